"""Addresses to which no call goes, whoever asks for it, and variables that hold no key of a service.

The addresses are those of the services of a cloud that tell a machine its own credentials, and link-local
ones, at which they live. The variables are Arbiter's own.
"""

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any
from urllib.parse import urlsplit

import httpcore2
import httpx2

from arbiter.core.errors import UserError

METADATA_NAMES = {
    "metadata.google.internal",
    "metadata.goog",
    "metadata",
    "instance-data",
    "instance-data.ec2.internal",
}
METADATA = {
    ip_address(address)
    for address in ("fd00:ec2::254", "fd20:ce::254", "100.100.100.200", "168.63.129.16", "192.0.0.192")
}
NAT64, COMPATIBLE = ip_network("64:ff9b::/96"), ip_network("::/96")
OWN_VARIABLES = {
    "SECRET_KEY",
    "DATABASE_URL",
    "CELERY_BROKER_URL",
    "CELERY_RESULT_BACKEND",
    "PGPASSWORD",
    "PGPASSFILE",
    "PGSERVICEFILE",
}
OWN_PREFIXES = ("ARBITER_", "DJANGO_")
REFUSED = "is the address of a cloud's metadata service or a link-local one, where no call goes"


def is_forbidden(address: IPv4Address | IPv6Address) -> bool:
    """Tell whether no call goes to the address, also where it is an IPv4 address in an IPv6 one's guise."""
    inner = _inner(address)
    return any(each.is_link_local or each in METADATA for each in (address, inner) if each)


def _inner(address: IPv4Address | IPv6Address) -> IPv4Address | None:
    if isinstance(address, IPv4Address):
        return None
    if address in NAT64 or address in COMPATIBLE:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)


def why_not(host: str) -> str:
    """Tell why no call goes to this host of a URL, by its name or address; empty where one may."""
    name = host.strip("[]").rstrip(".").lower()
    if name in METADATA_NAMES or name.endswith(".metadata.google.internal"):
        return f"{host} {REFUSED}"
    address = _address(name)
    return f"{host} {REFUSED}" if address and is_forbidden(address) else ""


def _address(name: str) -> IPv4Address | IPv6Address | None:
    """Return the address that a name spells to resolvers: 0xa9fea9fe, 2852039166, 169.254.43518 too."""
    try:
        return ip_address(name.partition("%")[0])
    except ValueError:
        return _odd_ipv4(name)


def _odd_ipv4(name: str) -> IPv4Address | None:
    parts = name.split(".")
    try:
        numbers = [int(part, _base(part)) for part in parts]
    except ValueError:
        return None
    *first, last = numbers
    if (
        len(parts) > 4
        or any(not 0 <= number < 256 for number in first)
        or not 0 <= last < 256 ** (5 - len(parts))
    ):
        return None
    return IPv4Address(sum(one << (24 - 8 * place) for place, one in enumerate(first)) + last)


def _base(digits: str) -> int:
    if digits.startswith("0x"):
        return 16
    return 8 if digits.startswith("0") and digits != "0" else 10


def refuse_address(base_url: str) -> None:
    try:
        host = urlsplit(base_url).hostname or ""
    except ValueError:
        host = ""
    if said := why_not(host):
        raise UserError(f"{said}; give the endpoint another base_url.")


def is_own_variable(name: str) -> bool:
    """Tell whether the variable holds a secret of Arbiter's, in any case: some systems mind none."""
    upper = name.upper()
    return upper in OWN_VARIABLES or upper.startswith(OWN_PREFIXES)


class Guarded(httpcore2.AsyncNetworkBackend):
    """A network backend that connects as the one it wraps, and hangs up on whoever is not to be called.

    It does so before a byte is sent: what a name leads to is known for sure only once it is connected.
    """

    def __init__(self, inner: httpcore2.AsyncNetworkBackend) -> None:
        self.inner = inner

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        if said := why_not(host):
            raise httpcore2.ConnectError(said)
        stream = await self.inner.connect_tcp(host, port, timeout, local_address, socket_options)
        peer = (stream.get_extra_info("server_addr") or ("",))[0]
        if why_not(str(peer)):
            await stream.aclose()
            raise httpcore2.ConnectError(f"{host} leads to {peer}, which {REFUSED}")
        return stream

    async def connect_unix_socket(self, *given: Any, **named: Any) -> httpcore2.AsyncNetworkStream:
        return await self.inner.connect_unix_socket(*given, **named)

    async def sleep(self, seconds: float) -> None:
        await self.inner.sleep(seconds)


def guard(client: httpx2.AsyncClient, *, proxy: bool = False) -> httpx2.AsyncClient:
    """Make the client watch whom it connects to; where `proxy` is an endpoint's own, that too. Where a proxy
    of the environment's connects, it is not watched."""
    transports = [client._transport, *(client._mounts.values() if proxy else ())]
    for transport in filter(None, transports):
        pool = transport._pool
        pool._network_backend = Guarded(pool._network_backend)
    return client
