"""Starting, awaiting and ending child processes so that none is ever left behind.

Signals only raise a flag; `Stopped` is raised from the waiting functions here and nowhere else. So no
exception can hit between starting a process and noting it, nor in the middle of cleaning up.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from arbiter.cli.launch.console import LaunchProblem, say, shown, tail

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
BETWEEN_NEWS = 3.0  # seconds

Process = subprocess.Popen  # always of bytes


class Stopped(Exception):
    """The person (or the system) asked us to end."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.signal = signal.Signals(number)


_asked_to_stop: list[int] = []


def catch_signals() -> None:
    # nohup has a command ignore SIGHUP, which then stays so. A shell script has its background commands
    # ignore SIGINT, but whoever sends that to us means it.
    hangup = [] if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN else [signal.SIGHUP]
    for number in (signal.SIGINT, signal.SIGTERM, *hangup):
        signal.signal(number, lambda received, _frame: _asked_to_stop.append(received))


def check_stopped() -> None:
    if _asked_to_stop:
        raise Stopped(_asked_to_stop[0])


def pause(seconds: float) -> None:
    time.sleep(seconds)
    check_stopped()


def _prctl(option: int, value: int) -> None:
    ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def _die_with_parent(number: int) -> Callable[[], None] | None:
    """Return what a child is to run before its program starts, so that it gets `number` when this process
    dies, even by SIGKILL.

    Linux only; None elsewhere. The kernel watches the *thread* that forked: start children from the main
    thread.
    """
    if sys.platform != "linux":
        return None
    libc, parent = ctypes.CDLL(None), os.getpid()

    def arrange() -> None:
        libc.prctl(PR_SET_PDEATHSIG, int(number), 0, 0, 0)
        if os.getppid() != parent:  # it died before the kernel was told to watch it
            os._exit(1)

    return arrange


def start(
    command: Sequence[str],
    *,
    output: IO[bytes] | None = None,
    errors: IO[bytes] | None = None,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
    death_signal: int = signal.SIGKILL,
    user: str | None = None,
    keep_input: bool = False,
) -> Process[bytes]:
    """Start a process in a session of its own: the terminal's Ctrl-C reaches us alone, and we end it in
    order."""
    # A dropped user must not keep root's supplementary groups. The death signal is set after the user
    # changes, as the kernel forgets it at that change.
    identity: dict[str, Any] = {"user": user, "group": user_group(user), "extra_groups": []} if user else {}
    return subprocess.Popen(
        list(command),
        stdin=None if keep_input else subprocess.DEVNULL,
        stdout=output,
        stderr=errors or (subprocess.STDOUT if output else None),
        env=dict(environment) if environment is not None else None,
        cwd=folder,
        start_new_session=True,
        preexec_fn=_die_with_parent(death_signal),
        **identity,
    )


def user_group(user: str) -> int:
    import pwd

    return pwd.getpwnam(user).pw_gid


def wait(process: Process[bytes], news: Callable[[], str] | None = None) -> int:
    """Wait for a process to end by itself, and print what is new meanwhile; `Stopped` if we are asked to end
    first."""
    last_line, due = "", time.monotonic() + BETWEEN_NEWS
    while True:
        try:
            return process.wait(timeout=0.2)
        except subprocess.TimeoutExpired:
            check_stopped()
        if news and time.monotonic() >= due:
            line, due = news()[:100], time.monotonic() + BETWEEN_NEWS
            if line != last_line:
                say(line)
                last_line = line


def stop(*processes: Process[bytes], number: int = signal.SIGTERM, grace: float = 8.0) -> None:
    """Ask all of them to end, then end whatever is left of them and of their own children."""
    for process in processes:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(number)
    deadline = time.monotonic() + grace
    for process in processes:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=max(0.0, deadline - time.monotonic()))
    for process in processes:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@contextlib.contextmanager
def running(
    process: Process[bytes], *, number: int = signal.SIGTERM, grace: float = 8.0
) -> Iterator[Process[bytes]]:
    try:
        yield process
    finally:
        stop(process, number=number, grace=grace)


def run_logged(
    command: Sequence[str], log: Path, what: str, *, progress: bool = False, **options: Any
) -> None:
    """Run a command with its output appended to `log`; `LaunchProblem` with the log's last lines if it fails.

    With `progress` the log's last line is printed every few seconds: what takes minutes is to be seen at
    work.
    """
    with log.open("ab") as output:
        output.write(f"$ {' '.join(command)}\n".encode())
        output.flush()
        with running(start(command, output=output, **options)) as process:
            code = wait(process, (lambda: tail(log, 1)) if progress else None)
    if code != 0:
        raise LaunchProblem(f"{what} failed (exit code {code}). The end of {shown(log)}:\n{tail(log)}")


def adopt_orphans() -> None:
    """Have a descendant whose own parent dies become our child from now on, where `end_orphans` finds it.
    Linux only."""
    if sys.platform == "linux":
        _prctl(PR_SET_CHILD_SUBREAPER, 1)


def end_orphans() -> None:
    """End every child left, and the children those leave to us, until there are none."""
    if sys.platform != "linux":
        return
    deadline = time.monotonic() + 5
    while (children := _children()) and time.monotonic() < deadline:
        for child in children:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(child, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        time.sleep(0.02)


def _children() -> list[int]:
    return [int(entry) for entry in os.listdir("/proc") if entry.isdigit() and _parent(entry) == os.getpid()]


def _parent(pid: str) -> int | None:
    try:
        stat = Path("/proc", pid, "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    return int(stat.rpartition(")")[2].split()[1])  # the name before it may hold spaces and brackets
