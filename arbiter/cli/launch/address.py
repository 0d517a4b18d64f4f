"""Where a running Arbiter listens: read from the environment, and free before anything slow begins."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable, Mapping
from typing import NamedTuple

from arbiter.cli.launch.console import LaunchProblem, run_command

EVERY_INTERFACE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - what a person may choose, not a default


class Address(NamedTuple):
    host: str
    port: int
    simulator_port: int

    @property
    def bind(self) -> str:
        return f"{_bracketed(self.host)}:{self.port}"

    @property
    def reachable_host(self) -> str:
        """Return the host by which this machine reaches the address; sign-in links work on loopback only."""
        return EVERY_INTERFACE.get(self.host, self.host)

    @property
    def url(self) -> str:
        return f"http://{_bracketed(self.reachable_host)}:{self.port}"

    @property
    def simulator_url(self) -> str:
        return f"http://127.0.0.1:{self.simulator_port}/v1"


def read_address(environment: Mapping[str, str]) -> Address:
    host = environment.get("ARBITER_HOST", "").strip() or "127.0.0.1"
    address = Address(
        host, _port(environment, "PORT", 8000), _port(environment, "ARBITER_SIMULATOR_PORT", 8001)
    )
    if address.port == address.simulator_port:
        raise LaunchProblem(f"PORT and ARBITER_SIMULATOR_PORT are both {address.port}; they must differ.")
    return address


def require_free(address: Address, known: Callable[[int], str] = lambda port: "") -> None:
    """Refuse an address one of whose ports is taken; `known` says which Arbiter has a port."""
    _require_free(address.host, address.port, "PORT", "web server", known)
    _require_free("127.0.0.1", address.simulator_port, "ARBITER_SIMULATOR_PORT", "simulated provider", known)


def _port(environment: Mapping[str, str], name: str, default: int) -> int:
    value = environment.get(name, "").strip() or str(default)
    if not (value.isascii() and value.isdigit() and 1 <= int(value) <= 65535):
        raise LaunchProblem(f"{name} should be a port number from 1 to 65535; it is {value!r}.")
    return int(value)


def _require_free(host: str, port: int, variable: str, purpose: str, known: Callable[[int], str]) -> None:
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            # As the servers do: a port whose last connections are just closing is free.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(place)
    except OSError as error:
        raise LaunchProblem(_why_not(error, host, port, variable, purpose, known(port))) from None


def _why_not(error: OSError, host: str, port: int, variable: str, purpose: str, by: str) -> str:
    if error.errno == errno.EADDRINUSE:
        another = port + 1000 if port < 60000 else 9000
        return (
            f"Port {port}, for the {purpose}, is taken on {host} by {by or 'another program'}.\n"
            f"Choose another with {variable}, for example: " + run_command(f"{variable}={another}")
        )
    if error.errno == errno.EACCES:
        return f"This user may not open port {port} for the {purpose}. Choose another with {variable}."
    return f"The {purpose} cannot listen on {host} port {port} ({error}). Check ARBITER_HOST and {variable}."


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
