import socket
from collections.abc import Iterator

import pytest

from arbiter.cli.launch.address import Address, read_address, require_free
from arbiter.cli.launch.console import LaunchProblem
from tests.ports import ReservePort


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def test_defaults() -> None:
    address = read_address({})
    assert (address.bind, address.url) == ("127.0.0.1:8000", "http://127.0.0.1:8000")
    assert address.simulator_url == "http://127.0.0.1:8001/v1"


@pytest.mark.parametrize(
    ("host", "bind", "url"),
    [
        ("0.0.0.0", "0.0.0.0:8000", "http://127.0.0.1:8000"),
        ("::", "[::]:8000", "http://[::1]:8000"),
        ("localhost", "localhost:8000", "http://localhost:8000"),
    ],
)
def test_links_name_a_host_this_machine_reaches(host: str, bind: str, url: str) -> None:
    address = read_address({"ARBITER_HOST": host})
    assert (address.bind, address.url) == (bind, url)


@pytest.mark.parametrize("value", ["web", "0", "65536", "-1", "8000.5", "²"])
@pytest.mark.parametrize("name", ["PORT", "ARBITER_SIMULATOR_PORT"])
def test_a_port_that_is_none_is_refused_by_its_variable(name: str, value: str) -> None:
    with pytest.raises(LaunchProblem, match=f"^{name} should be a port number"):
        read_address({name: value})


def test_the_two_ports_must_differ() -> None:
    with pytest.raises(LaunchProblem, match="both 8001"):
        read_address({"PORT": "8001"})


def test_a_taken_port_is_named_with_its_variable(taken: int, reserve_port: ReservePort) -> None:
    with pytest.raises(LaunchProblem, match=rf"Port {taken}, for the web server, is taken[^\n]*\n.* PORT="):
        require_free(Address("127.0.0.1", taken, reserve_port()))
    with pytest.raises(LaunchProblem, match=rf"Port {taken}, for the simulated.*\n.*ARBITER_SIMULATOR_PORT="):
        require_free(Address("127.0.0.1", reserve_port(), taken))


def test_a_host_that_is_not_ours_is_named(reserve_port: ReservePort) -> None:
    with pytest.raises(LaunchProblem, match="Check ARBITER_HOST"):
        require_free(Address("192.0.2.1", reserve_port(), reserve_port()))
