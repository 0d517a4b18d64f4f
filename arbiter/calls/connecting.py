"""How a service is reached beyond its address: headers, a query, certificates, a proxy; and with what key.

What is secret is never part of an endpoint's description: a value names the variable that holds it, as in
`Bearer ${TOKEN}`, and is filled in here, in the process that calls.
"""

import os
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

from arbiter.calls.addresses import is_own_variable, refuse_address, why_not
from arbiter.calls.service import Service
from arbiter.core.errors import UserError

NO_KEY = "none"  # what a service is sent for a key that wants none
MOST, LONGEST = 20, 500
VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]{0,119})\}")
HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
QUERY_NAME = re.compile(r"[A-Za-z0-9._~\[\]-]{1,100}")
SET_HERE = {  # by the HTTP library or by the dialect
    "accept-encoding",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "host",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
}
SECRET_NAME = re.compile(
    r"auth|key|token|secret|passw|cookie|credential|signature|session|^(?:sig|code|pwd)$", re.IGNORECASE
)
SCHEME_WORD = re.compile(r"(?:(?:bearer|basic|token|api-?key|key)[ ])?", re.IGNORECASE)
LIKE_A_KEY = re.compile(
    r"\b(?:sk|pk|rk|gsk|xai|hf|ghp|key)[-_][A-Za-z0-9]|\bAIza|\beyJ|\bbearer |\bbasic "
    r"|(?=[A-Za-z0-9+/]*[0-9])(?=[A-Za-z0-9+/]*[A-Za-z])[A-Za-z0-9+/]{24,}",
    re.IGNORECASE,
)


def why_no_header(name: str, value: str) -> str:
    """Say why a header can't be an endpoint's, without its value, which may be a key; empty where it can."""
    if not HEADER_NAME.fullmatch(name):
        return f"{name[:40]!r} is no header's name"
    if name.lower() in SET_HERE:
        return f"the header {name} is set by Arbiter"
    return _why_no_value(f"the header {name}", name, value)


def why_no_parameter(name: str, value: str) -> str:
    """Say why a query's parameter can't be an endpoint's, without its value; empty where it can."""
    if not QUERY_NAME.fullmatch(name):
        return f"{name[:40]!r} is no parameter's name"
    return _why_no_value(f"the parameter {name}", name, value)


def _why_no_value(what: str, name: str, value: str) -> str:
    literal = VARIABLE.sub("", value)
    if not value or len(value) > LONGEST or not (value.isascii() and value.isprintable()):
        return f"{what} needs 1 to {LONGEST} printable characters of ASCII"
    if own := _own_variable(value):
        return f"{own} is a variable of Arbiter's own; name one that holds what the service wants"
    if "${" in literal:
        return f"{what} has a ${{ that begins no variable's name; write ${{NAME}}"
    if not SCHEME_WORD.fullmatch(literal) and (SECRET_NAME.search(name) or LIKE_A_KEY.search(literal)):
        return (
            f"{what} would be stored and shown, and it may be a key; put it in a variable and name that: "
            "${NAME}"
        )
    return ""


def why_no_proxy(url: str) -> str:
    """Say why this can't be an endpoint's proxy, without repeating it: it may hold a password."""
    if own := _own_variable(url):
        return f"{own} is a variable of Arbiter's own; name another"
    try:
        parts = urlsplit(VARIABLE.sub("x", url))
        bare, _ = urlsplit(VARIABLE.sub("", url)), parts.port
    except ValueError:
        return "a proxy is an address such as http://proxy.example.org:3128"
    if parts.scheme not in ("http", "https") or not parts.hostname or len(url) > LONGEST:
        return "a proxy is an address such as http://proxy.example.org:3128"
    if bare.username or bare.password:
        return (
            "a proxy's name and password would be stored; put them in variables: "
            "http://${PROXY_USER}:${PROXY_PASSWORD}@proxy.example.org:3128"
        )
    if parts.query or parts.fragment or parts.path not in ("", "/"):
        return "a proxy's address ends with its port"
    return why_not(parts.hostname)


def _own_variable(value: str) -> str:
    return next((name for name in VARIABLE.findall(value) if is_own_variable(name)), "")


def key_of(endpoint: Service) -> str:
    """Return the endpoint's key, from the environment. Services that want none are sent a placeholder."""
    refuse_address(endpoint.base_url)
    if is_own_variable(endpoint.key_variable):
        raise UserError(
            f"Endpoint {endpoint.name!r} names {endpoint.key_variable}, a variable of Arbiter's own; "
            "no service is sent that."
        )
    if not endpoint.key_variable:
        return NO_KEY
    key = os.environ.get(endpoint.key_variable, "").strip()
    if not key:
        raise UserError(
            f"Endpoint {endpoint.name!r} takes its key from the variable {endpoint.key_variable}, "
            "which is not set."
        )
    if not (key.isascii() and key.isprintable()):  # an HTTP library would refuse it in words that quote it
        raise UserError(f"The variable {endpoint.key_variable} holds characters that no key can have.")
    return key


@dataclass(frozen=True, slots=True)
class Connection:
    """What goes with every call to an endpoint, filled in. It holds secrets: it is never shown or stored."""

    key: str
    headers: Mapping[str, str]
    query: Mapping[str, str]
    proxy: str
    trusted: ssl.SSLContext | None  # None: the usual authorities
    secrets: frozenset[str]

    @property
    def without_key(self) -> bool:
        """Tell whether no placeholder goes for a key: a header says who calls."""
        return self.key == NO_KEY and bool(self.headers)

    def __repr__(self) -> str:
        return "Connection(…)"


def connection_of(endpoint: Service) -> Connection:
    """Return how the endpoint is reached; UserError where a variable or a file that it names isn't there."""
    key = key_of(endpoint)
    headers = {name: _filled(endpoint, value) for name, value in endpoint.headers.items()}
    query = {name: _filled(endpoint, value) for name, value in endpoint.query.items()}
    proxy = _proxy(endpoint)
    named = [*endpoint.headers.values(), *endpoint.query.values(), endpoint.proxy]
    variables = {name for value in named for name in VARIABLE.findall(value)}
    secrets = frozenset({os.environ[name].strip() for name in variables} | {key})
    return Connection(key, headers, query, proxy, _trusted(endpoint), secrets)


def _filled(endpoint: Service, value: str) -> str:
    return VARIABLE.sub(lambda found: _variable(endpoint, found[1]), value)


def _variable(endpoint: Service, name: str) -> str:
    if is_own_variable(name):
        raise UserError(
            f"Endpoint {endpoint.name!r} names {name}, a variable of Arbiter's own; no service is sent that."
        )
    value = os.environ.get(name, "").strip()
    if not value:
        raise UserError(f"Endpoint {endpoint.name!r} names the variable {name}, which is not set.")
    if not (value.isascii() and value.isprintable()):
        raise UserError(f"The variable {name} holds characters that no header can have.")
    return value


def _proxy(endpoint: Service) -> str:
    if not endpoint.proxy:
        return ""
    filled = VARIABLE.sub(lambda found: quote(_variable(endpoint, found[1]), safe=""), endpoint.proxy)
    try:
        host = urlsplit(filled).hostname or ""
    except ValueError:
        host = ""
    if not host or why_not(host):
        raise UserError(f"Endpoint {endpoint.name!r} has a proxy to which no call goes; give it another.")
    return filled


def _trusted(endpoint: Service) -> ssl.SSLContext | None:
    if not endpoint.ca_bundle:
        return None
    try:
        return ssl.create_default_context(cafile=endpoint.ca_bundle)
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        raise UserError(
            f"Endpoint {endpoint.name!r} trusts the certificates in {endpoint.ca_bundle}, "
            f"which can't be read as such ({_reason(error)})."
        ) from None


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", "") or str(error) or type(error).__name__
