"""`make run` with a stand-in project: ready, stopped, refused, and never anything left behind."""

import ast
import os
import re
import shutil
import signal
import socket
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.ports import ReservePort
from tests.scripts.conftest import ROOT, Script, StartScript, eventually, pretend_installed, processes_naming

pytestmark = pytest.mark.skipif(not Path("/proc").exists(), reason="looks processes up in /proc")


@pytest.fixture
def new_ports(reserve_port: ReservePort) -> Callable[[], dict[str, str]]:
    return lambda: {"PORT": str(reserve_port()), "ARBITER_SIMULATOR_PORT": str(reserve_port())}


@pytest.fixture
def ports(new_ports: Callable[[], dict[str, str]]) -> dict[str, str]:
    return {**new_ports(), "ARBITER_DATA": ""}


def left_behind(checkout: Path) -> list[str]:
    return processes_naming(str(checkout))


@pytest.fixture
def arbiter(start_script: StartScript, ports: dict[str, str]) -> Script:
    script = start_script("run.py", **ports)
    script.until("Ctrl-C stops it")
    return script


def test_it_answers_and_prints_the_links(arbiter: Script, ports: dict[str, str]) -> None:
    base = f"http://127.0.0.1:{ports['PORT']}"
    assert urllib.request.urlopen(f"{base}/healthz", timeout=60).read() == b"ok"
    assert f"Arbiter is running at {base}" in arbiter.said
    assert f"owner  {base}/sign-in/one" in arbiter.said


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_everything(arbiter: Script, checkout: Path, number: int) -> None:
    assert len(left_behind(checkout)) >= 4
    assert arbiter.end(number) == 0
    assert not left_behind(checkout)


def test_nothing_outlives_it_when_it_is_killed(arbiter: Script, checkout: Path) -> None:
    arbiter.end(signal.SIGKILL)
    eventually(lambda: not left_behind(checkout))


@pytest.mark.parametrize("other_ports", [False, True])
def test_a_second_one_in_the_checkout_is_told_where_the_first_is(
    arbiter: Script,
    start_script: StartScript,
    ports: dict[str, str],
    new_ports: Callable[[], dict[str, str]],
    checkout: Path,
    other_ports: bool,
) -> None:
    (checkout / ".venv" / "arbiter-stamp.json").unlink()  # the message comes before any installing
    own = new_ports() if other_ports else {}
    second = start_script("run.py", **{**ports, **own})
    assert second.process.wait(600) == 1
    assert (
        f"Arbiter is running already: at http://127.0.0.1:{ports['PORT']}, from {checkout}, process"
        in second.said
    )
    assert f"on the data in {checkout}/var. Use that one or stop it" in second.said
    assert re.search(r"make run PORT=\d+ ARBITER_SIMULATOR_PORT=\d+ ARBITER_DATA=", second.said)
    assert f"ARBITER_DATA={checkout}/var-2" in second.said
    assert "Installing" not in second.said
    assert arbiter.process.poll() is None


def test_another_one_on_its_port_is_told_whose_it_is(
    arbiter: Script,
    start_script: StartScript,
    ports: dict[str, str],
    reserve_port: ReservePort,
    folder: Path,
    checkout: Path,
) -> None:
    other = {**ports, "ARBITER_DATA": str(folder / "elsewhere")}
    second = start_script("run.py", **other)
    assert second.process.wait(600) == 1
    assert (
        f"Port {ports['PORT']}, for the web server, is taken on 127.0.0.1 by the Arbiter at http"
        in second.said
    )
    assert f"from {checkout}, process" in second.said
    assert "for example: make run PORT=" in second.said
    third = start_script("run.py", **{**other, "PORT": str(reserve_port())})
    assert third.process.wait(600) == 1
    assert f"Port {ports['ARBITER_SIMULATOR_PORT']}, for the simulated provider, is taken" in third.said
    assert f"by the Arbiter at http://127.0.0.1:{ports['PORT']}" in third.said


def test_a_port_of_another_program_is_told_so(start_script: StartScript, ports: dict[str, str]) -> None:
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", int(ports["PORT"])))
        other.listen()
        script = start_script("run.py", **ports)
        assert script.process.wait(600) == 1
    assert (
        f"Port {ports['PORT']}, for the web server, is taken on 127.0.0.1 by another program." in script.said
    )


def test_two_checkouts_live_side_by_side(
    arbiter: Script,
    start_script: StartScript,
    ports: dict[str, str],
    new_ports: Callable[[], dict[str, str]],
    folder: Path,
    checkout: Path,
) -> None:
    """Each has its own ports, data, logs and simulated provider; one that ends leaves the other alone."""
    (folder / "second").mkdir()
    shutil.copytree(checkout, folder / "second" / "checkout", ignore=shutil.ignore_patterns("var", ".venv"))
    pretend_installed(folder / "second" / "checkout")
    own = {**new_ports(), "ARBITER_DATA": "", "TMPDIR": str(folder / "tmp")}
    second = Script(folder / "second" / "checkout", "run.py", [], own)
    try:
        second.until("Ctrl-C stops it")
        for where, its in ((checkout, ports), (folder / "second" / "checkout", own)):
            assert (where / "var" / "log" / "worker.log").exists()
            assert (
                urllib.request.urlopen(f"http://127.0.0.1:{its['PORT']}/healthz", timeout=60).read() == b"ok"
            )
            urllib.request.urlopen(f"http://127.0.0.1:{its['ARBITER_SIMULATOR_PORT']}/", timeout=60).read()
        assert second.end() == 0
    finally:
        second.process.kill()
    assert urllib.request.urlopen(f"http://127.0.0.1:{ports['PORT']}/healthz", timeout=60).read() == b"ok"
    assert arbiter.process.poll() is None


def test_one_that_was_killed_stands_in_nobodys_way(
    arbiter: Script, start_script: StartScript, ports: dict[str, str], checkout: Path
) -> None:
    arbiter.end(signal.SIGKILL)
    eventually(lambda: not left_behind(checkout))
    second = start_script("run.py", **ports)
    second.until("Ctrl-C stops it")


def test_a_process_that_dies_is_named_and_the_rest_stopped(
    start_script: StartScript, ports: dict[str, str], checkout: Path
) -> None:
    script = start_script("run.py", STUB_WORKER_SECONDS="0.2", **ports)
    assert script.process.wait(600) == 1
    assert "The worker ended unexpectedly (exit code 1). The end of var/log/worker.log:" in script.said
    assert "the worker lost heart" in script.said
    assert not left_behind(checkout)


def test_a_failing_preparation_is_shown(start_script: StartScript, ports: dict[str, str]) -> None:
    script = start_script("run.py", STUB_PREPARE="fails", **ports)
    assert script.process.wait(600) == 1
    assert "Preparing the database failed" in script.said
    assert "no such table: study" in script.said


def test_data_and_logs_lie_where_arbiter_data_says(
    start_script: StartScript, ports: dict[str, str], folder: Path, checkout: Path
) -> None:
    script = start_script("run.py", **{**ports, "ARBITER_DATA": str(folder / "elsewhere")})
    script.until("Ctrl-C stops it")
    assert (folder / "elsewhere" / "log" / "worker.log").exists()
    assert not (checkout / "var").exists()


def test_ports_are_free_again_at_once(arbiter: Script, ports: dict[str, str]) -> None:
    urllib.request.urlopen(f"http://127.0.0.1:{ports['PORT']}/healthz", timeout=60).read()
    arbiter.end()
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", int(ports["PORT"])))


@pytest.mark.parametrize("path", sorted((ROOT / "scripts").glob("*.py")), ids=lambda path: path.name)
def test_an_old_python_can_read_the_scripts_far_enough_to_say_it_is_old(path: Path) -> None:
    ast.parse(path.read_text(), feature_version=(3, 9))
    assert "from __future__ import annotations" in path.read_text()


def test_it_says_when_python_is_too_old(monkeypatch: pytest.MonkeyPatch) -> None:
    from arbiter.cli.launch import console

    monkeypatch.setattr(console, "OLDEST_PYTHON", (4, 0))
    with pytest.raises(console.LaunchProblem, match=r"(?s)needs Python 4\.0 or newer.*PYTHON="):
        console.require_python()


def test_ci_runs_what_a_person_runs() -> None:
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    assert [line for line in script.read_text().splitlines() if line.startswith("make ")] == [
        "make lint",
        "make test",
        "make test-slow",
    ]
