"""Why a call of an endpoint's check came to nothing, in a sentence that says what to mend."""

from urllib.parse import urlsplit

from arbiter.calls.client import Call
from arbiter.calls.connecting import VARIABLE
from arbiter.calls.faults import read_error
from arbiter.calls.service import Service

NAMED_AT_MOST = 8  # models in a sentence


def why_failed(endpoint: Service, call: Call, model: str = "", listed: list[str] | None = None) -> str:
    """Say in one sentence what went wrong, where, and what to look at."""
    return (
        _not_connected(endpoint, call)
        or _not_let_in(endpoint, call)
        or _not_there(endpoint, call, model, listed or [])
        or _not_now(endpoint, call)
        or _not_understood(endpoint, call)
        or f"The service refused the call ({_said(call)})."
    )


def _not_connected(endpoint: Service, call: Call) -> str:
    host, proxy = _host(endpoint.base_url), _host(VARIABLE.sub("x", endpoint.proxy))
    reason = call.error.removeprefix("Connection error.").strip() or "the connection broke"
    if call.trouble == "proxy" or call.status == 407:
        return (
            f"The proxy {proxy or 'of the environment'} let nothing through to {host} ({_said(call)}): see "
            "its address, its name and password, and whether it may reach that host."
        )
    if proxy and call.unreached:
        return f"The proxy {proxy} can't be reached ({reason}): see whether its address is right."
    if call.trouble == "dns":
        return (
            f"No address is known of the host {host} (DNS: {reason}): see whether base_url is spelled right, "
            "and whether this machine can look names up."
        )
    if call.trouble == "tls":
        return _no_tls(host, reason)
    if call.trouble == "refused" or (call.unreached and call.outcome == "connection"):
        return f"Nobody listens at {host} ({reason}): start the service, or mend base_url."
    if call.outcome == "timeout":
        part = "the network and base_url" if call.unreached else "the service's load, and raise timeout"
        return f"From {host} came {call.error}: look at {part}."
    if call.outcome == "connection":
        return f"The connection to {host} broke ({reason}): check again; if it stays so, look at the service."
    return ""


def _no_tls(host: str, reason: str) -> str:
    if "certificate" in reason.lower():
        return (
            f"The certificate of {host} is not trusted ({reason}): give ca_bundle the file of the authority "
            "that signed it, or see whether base_url is right."
        )
    return (
        f"{host} does not speak TLS as https has it ({reason}): see whether base_url should begin with "
        "http://, or name another port."
    )


def _not_let_in(endpoint: Service, call: Call) -> str:
    if call.status == 401 or call.keyless:
        if variable := endpoint.key_variable:
            return f"The service knows no such key ({_said(call)}): see what the variable {variable} holds."
        named = sorted({name for value in endpoint.headers.values() for name in VARIABLE.findall(value)})
        if named:
            return (
                f"The service let the call in with no key ({_said(call)}): see what {', '.join(named)} holds."
            )
        return f"The service wants a key ({_said(call)}): name its variable as key_variable, or in a header."
    if call.status == 403:
        return f"The key may not be used for this ({_said(call)}): see what its account allows."
    error = read_error(call.raw)
    if call.status == 402 or (call.outcome == "rejected" and error and error.spent):
        return f"The account has nothing left ({_said(call)}): pay, or name another key."
    return ""


def _not_there(endpoint: Service, call: Call, model: str, listed: list[str]) -> str:
    if call.status is not None and 300 <= call.status < 400:
        return f"The service sends calls elsewhere ({_said(call)})."
    error = read_error(call.raw)
    unknown = error is not None and "model_not_found" in error.codes
    if call.status != 404 and not unknown:
        return ""
    up_to = "/v1beta" if endpoint.dialect == "gemini" else "/v1"
    there = f" It lists {_some(listed)}." if listed and model not in listed else ""
    return (
        f"There is no model {model!r} at {endpoint.base_url} ({_said(call)}): see whether it is spelled as "
        f"the service has it, and whether base_url is right, up to and including {up_to}.{there}"
    )


def _not_now(endpoint: Service, call: Call) -> str:
    if call.outcome == "rate_limited":
        wait = f"in {call.pause:.0f} s" if call.pause else "later"
        return (
            f"The service is asked too much, or its allowance is used up ({_said(call)}): check again {wait}."
        )
    if call.outcome == "server_error":
        return f"The service failed ({_said(call)}): check again later, or look at its own log."
    return ""


def _not_understood(endpoint: Service, call: Call) -> str:
    if call.outcome != "not_json":
        return ""
    begins = " ".join(call.raw[:80].split())
    shown = f", which begins with {begins!r}" if begins else ""
    return (
        f"What answers at {endpoint.base_url} gives no model's answer ({call.error}{shown}): see whether "
        f"base_url and the dialect, {endpoint.dialect}, are right."
    )


def _said(call: Call) -> str:
    return " ".join(call.error.split())[:300].rstrip(".") or f"status {call.status}"


def _some(models: list[str]) -> str:
    more = len(models) - NAMED_AT_MOST
    return ", ".join(models[:NAMED_AT_MOST]) + (f" and {more} more" if more > 0 else "")


def _host(url: str) -> str:
    try:
        return urlsplit(url).netloc.rpartition("@")[2]
    except ValueError:
        return url
