"""No process outlives the one that started it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from arbiter.cli.launch import processes
from arbiter.cli.launch.console import LaunchProblem
from arbiter.cli.launch.processes import run_logged, running, start, stop
from tests.scripts.conftest import ROOT, eventually

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="the kernel's death signal is Linux's")
NAP = "import time; time.sleep(60)"
# Starts a child that starts one in a session of its own, writes both process ids, and waits.
FAMILY = f"""
import os, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", {NAP!r}])
loner = subprocess.Popen([sys.executable, "-c", {NAP!r}], start_new_session=True)
print(child.pid, loner.pid, flush=True)
time.sleep(60)
"""


def is_alive(pid: int) -> bool:
    try:
        return "Z" not in Path("/proc", str(pid), "stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):  # the second where it ends as it is read
        return False


def read_ids(path: Path) -> list[int]:
    eventually(lambda: path.exists() and path.read_text().endswith("\n"))
    return [int(word) for word in path.read_text().split()]


def helper(code: str, output: Path) -> subprocess.Popen[bytes]:
    """Start a Python with the scripts at hand, as a process of its own: some of this is said once per
    process.
    """
    source = f"import sys; sys.path.insert(0, {str(ROOT)!r})\n{code}"
    with output.open("wb") as file:
        return subprocess.Popen([sys.executable, "-c", source], stdout=file)


def test_stopping_a_process_stops_its_children(tmp_path: Path) -> None:
    with (tmp_path / "ids").open("wb") as output:
        process = start([sys.executable, "-c", FAMILY], output=output)
    child, loner = read_ids(tmp_path / "ids")
    stop(process)
    eventually(lambda: not is_alive(child))
    os.kill(loner, signal.SIGKILL)  # in a session of its own: only `end_orphans` finds it


def test_one_that_will_not_end_is_killed(tmp_path: Path) -> None:
    deaf = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
        "print(1, flush=True); time.sleep(60)"
    )
    with (tmp_path / "ids").open("wb") as output:
        process = start([sys.executable, "-c", deaf], output=output)
    read_ids(tmp_path / "ids")
    stop(process, grace=0.1)
    assert process.returncode == -signal.SIGKILL


@linux_only
def test_orphans_are_found_and_ended(tmp_path: Path) -> None:
    code = f"""
import subprocess
from arbiter.cli.launch.processes import adopt_orphans, end_orphans
adopt_orphans()
family = subprocess.Popen([sys.executable, "-c", {FAMILY!r}], stdout=subprocess.PIPE)
sys.stdout.buffer.write(family.stdout.readline())
family.kill()
family.wait()
end_orphans()
"""
    assert helper(code, tmp_path / "ids").wait(600) == 0
    assert not any(is_alive(pid) for pid in read_ids(tmp_path / "ids"))


@linux_only
def test_children_die_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    code = f"""
from arbiter.cli.launch.processes import start, wait
child = start([sys.executable, "-c", {NAP!r}])
print(child.pid, flush=True)
wait(child)
"""
    parent = helper(code, tmp_path / "ids")
    (child,) = read_ids(tmp_path / "ids")
    assert is_alive(child)
    parent.kill()
    parent.wait()
    eventually(lambda: not is_alive(child))


def test_a_signal_ends_the_wait_and_cleans_up(tmp_path: Path) -> None:
    code = f"""
from arbiter.cli.launch.console import run_script
from arbiter.cli.launch.processes import running, start, wait
def main(arguments):
    with running(start([sys.executable, "-c", {NAP!r}])) as child:
        print(child.pid, flush=True)
        return wait(child)
run_script(main)
"""
    parent = helper(code, tmp_path / "ids")
    (child,) = read_ids(tmp_path / "ids")
    parent.terminate()
    assert parent.wait(600) == 128 + signal.SIGTERM
    assert not is_alive(child)


def test_a_failing_command_shows_the_end_of_its_log(tmp_path: Path) -> None:
    log = tmp_path / "setup.log"
    with pytest.raises(
        LaunchProblem, match=r"(?s)^The install failed \(exit code 3\)\. The end of .*setup\.log:.*no space"
    ):
        run_logged([sys.executable, "-c", "print('no space'); raise SystemExit(3)"], log, "The install")


def test_an_error_in_the_block_ends_the_process() -> None:
    with pytest.raises(ZeroDivisionError), running(start([sys.executable, "-c", NAP])) as process:
        _ = 1 / 0
    assert process.returncode == -signal.SIGTERM


def test_a_long_command_is_seen_at_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It goes on until its line has been printed."""
    seen = tmp_path / "seen"
    monkeypatch.setattr(processes, "BETWEEN_NEWS", 0.0)
    monkeypatch.setattr(processes, "say", lambda line: seen.touch() if "Collecting numpy" in line else None)
    code = f"""
import pathlib, time
print("Collecting numpy", flush=True)
while not pathlib.Path({str(seen)!r}).exists():
    time.sleep(0.01)
"""
    run_logged([sys.executable, "-c", code], tmp_path / "log", "The install", progress=True)
    assert seen.exists()
