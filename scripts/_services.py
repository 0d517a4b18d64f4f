"""Private PostgreSQL and Redis servers in a temporary folder, gone when the `with` block ends."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from arbiter.cli.launch.console import LaunchProblem, tail
from arbiter.cli.launch.processes import Process, pause, run_logged, running, start

LOOPBACK = "127.0.0.1"
USER = DATABASE = "arbiter"
START_SECONDS = 30.0


@contextlib.contextmanager
def temporary_folder() -> Iterator[Path]:
    # A short name: a socket's path may have about 100 characters, and PostgreSQL's lies in here.
    folder = Path(tempfile.mkdtemp(prefix="arbiter-"))
    folder.chmod(0o711)  # the database server's own user must get through to its part
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def postgresql(programs: Path, folder: Path, *, durable: bool = False) -> Iterator[str]:
    """Run a new PostgreSQL cluster under `folder` and yield its DATABASE_URL.

    Only `durable` ones wait for the disk, as a measurement must and a test need not.
    """
    user = server_user()
    home, log, port = folder / "postgres", folder / "postgres.log", free_port()
    home.mkdir()
    if user:
        shutil.chown(home, user)
    make = ["initdb", "-D", "data", "-U", USER, "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"]
    run_logged(
        [str(programs / make[0]), *make[1:]], log, "Making a PostgreSQL cluster", user=user, folder=home
    )
    with log.open("ab") as output:
        server = start(
            [str(programs / "postgres"), "-D", "data", *_options(home, port, durable)],
            output=output,
            user=user,
            folder=home,
            death_signal=signal.SIGINT,
        )
        # SIGINT is PostgreSQL's "fast" shutdown: it ends open sessions and frees its shared memory.
        with running(server, number=signal.SIGINT, grace=15):
            _await(server, lambda: _create_database(programs, port), "PostgreSQL", log)
            yield f"postgresql://{USER}@{LOOPBACK}:{port}/{DATABASE}"


def _options(home: Path, port: int, durable: bool) -> list[str]:
    settings = {
        "port": str(port),
        "listen_addresses": LOOPBACK,
        "unix_socket_directories": str(home),
        "max_connections": "300",
    }
    if not durable:
        settings.update(fsync="off", synchronous_commit="off", full_page_writes="off")
        # Statistics of tables that were empty between two tests would have it join
        # the next one's by brute force.
        settings.update(autovacuum="off")
    return [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]


def _create_database(programs: Path, port: int) -> bool:
    command = [str(programs / "createdb"), "-h", LOOPBACK, "-p", str(port), "-U", USER, DATABASE]
    return (
        subprocess.run(
            command, capture_output=True, timeout=START_SECONDS, stdin=subprocess.DEVNULL
        ).returncode
        == 0
    )


def server_user() -> str | None:
    """Return the user to run PostgreSQL as, which refuses root; None to run it as who we are."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name).pw_name
    raise LaunchProblem(
        "PostgreSQL does not run as root, and there is no user 'postgres' or 'nobody' to run it as."
    )


@contextlib.contextmanager
def redis(program: Path, folder: Path) -> Iterator[str]:
    """Run a Redis server that keeps nothing on disk and yield its URL."""
    log, port = folder / "redis.log", free_port()
    # A database for each process that runs tests.
    settings = [
        "--port",
        str(port),
        "--bind",
        LOOPBACK,
        "--databases",
        "256",
        "--save",
        "",
        "--appendonly",
        "no",
    ]
    settings += ["--dir", str(folder)]
    with log.open("ab") as output, running(start([str(program), *settings], output=output)) as server:
        _await(server, lambda: _pings(port), "Redis", log)
        yield f"redis://{LOOPBACK}:{port}/0"


def _pings(port: int) -> bool:
    try:
        with socket.create_connection((LOOPBACK, port), timeout=1) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(16).startswith(b"+PONG")
    except OSError:
        return False


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


def _await(server: Process[bytes], ready: Callable[[], bool], name: str, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not ready():
        if server.poll() is not None or time.monotonic() > deadline:
            raise LaunchProblem(f"{name} did not start. The end of its log:\n{tail(log)}")
        pause(0.05)
