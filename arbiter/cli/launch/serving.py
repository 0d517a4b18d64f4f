"""`arbiter run`: from an empty data folder to a page that answers; Ctrl-C ends everything it started."""

from __future__ import annotations

import http.client
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from arbiter.cli.launch.address import Address, read_address, require_free
from arbiter.cli.launch.console import LaunchProblem, say, shown, tail
from arbiter.cli.launch.folder_lock import noted, on_port, only_one
from arbiter.cli.launch.processes import (
    Process,
    Stopped,
    adopt_orphans,
    end_orphans,
    pause,
    running,
    start,
    stop,
    wait,
)
from arbiter.core.folders import data_folder
from arbiter.core.privatefiles import private_folder

PATIENCE = 60.0
ARBITER = (sys.executable, "-m", "arbiter")


class Services:
    """The processes of one running Arbiter, each with its log."""

    def __init__(self, logs: Path, environment: Mapping[str, str]) -> None:
        self._logs, self._environment = logs, environment
        self._processes: dict[str, Process[bytes]] = {}

    def __enter__(self) -> Services:
        return self

    def __exit__(self, *_: object) -> None:
        stop(*self._processes.values())

    def start(self, name: str, command: list[str], death_signal: int = signal.SIGKILL) -> None:
        with self._log(name).open("wb") as output:
            process = start(command, output=output, environment=self._environment, death_signal=death_signal)
        self._processes[name] = process

    def require_alive(self) -> None:
        for name, process in self._processes.items():
            code = process.poll()
            if code is not None:
                how = f"signal {-code}" if code < 0 else f"exit code {code}"
                log = self._log(name)
                raise LaunchProblem(
                    f"The {name} ended unexpectedly ({how}). The end of {shown(log)}:\n{tail(log)}"
                )

    def watch(self) -> None:
        while True:
            self.require_alive()
            pause(0.25)

    def _log(self, name: str) -> Path:
        return self._logs / f"{name.replace(' ', '-')}.log"


def main(environment: Mapping[str, str]) -> int:
    """Start everything, say where it is, and stay until asked to stop."""
    address = read_address(environment)
    with only_one(data_folder(environment), address) as note:
        require_free(address, on_port)
        with noted(address, note):
            return run(environment, address)


def run(environment: Mapping[str, str], address: Address) -> int:
    settings, logs = child_settings(environment), log_folder(environment)
    adopt_orphans()
    try:
        links = prepare(address, settings, logs)
        with Services(logs, settings) as services:
            start_all(services, address)
            wait_until_ready(services, address)
            announce(address, links, logs)
            return serve(services)
    finally:
        end_orphans()


def log_folder(environment: Mapping[str, str]) -> Path:
    data = data_folder(environment)
    try:
        private_folder(data)
        logs = private_folder(data / "log")
    except OSError as error:
        raise LaunchProblem(
            f"The data folder cannot be used ({error}). ARBITER_DATA names another."
        ) from None
    return logs


def child_settings(environment: Mapping[str, str]) -> dict[str, str]:
    own = {"ARBITER_DATA": str(data_folder(environment)), "DJANGO_SETTINGS_MODULE": "config.settings"}
    return {**environment, **own, "PYTHONUNBUFFERED": "1"}


def prepare(address: Address, settings: Mapping[str, str], logs: Path) -> str:
    """Migrate, load the demo study and make sign-in links, in one process for the sake of a quick start."""
    log = logs / "prepare.log"
    command = [*ARBITER, "prepare", "--simulator-url", address.simulator_url, "--base-url", address.url]
    say("Preparing the database ...")
    with tempfile.TemporaryFile() as answer, log.open("wb") as errors:
        with running(start(command, output=answer, errors=errors, environment=settings)) as process:
            code = wait(process)
        if code != 0:
            raise LaunchProblem(
                f"Preparing the database failed (exit code {code}). The end of {shown(log)}:\n{tail(log)}"
            )
        answer.seek(0)
        return answer.read().decode()


def start_all(services: Services, address: Address) -> None:
    web = [
        sys.executable,
        "-m",
        "gunicorn",
        "config.wsgi",
        "--bind",
        address.bind,
        "--worker-class",
        "gthread",
    ]
    options = ["--threads", "8", "--graceful-timeout", "5", "--no-control-socket"]
    # gunicorn ends its own workers when asked; the others may die at any moment, as their work is in the
    # database.
    services.start("web server", web + options, death_signal=signal.SIGTERM)
    services.start(
        "simulated provider", [*ARBITER, "simulateprovider", "--port", str(address.simulator_port)]
    )
    services.start("worker", [*ARBITER, "runworker"])


def wait_until_ready(services: Services, address: Address) -> None:
    deadline = time.monotonic() + PATIENCE
    while not (is_healthy(address) and is_open(address.simulator_port)):
        services.require_alive()
        if time.monotonic() > deadline:
            raise LaunchProblem(f"{address.url}/healthz did not answer within {PATIENCE:.0f} s.")
        pause(0.1)
    services.require_alive()


def is_healthy(address: Address) -> bool:
    connection = http.client.HTTPConnection(address.reachable_host, address.port, timeout=2)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def is_open(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def announce(address: Address, links: str, logs: Path) -> None:
    say(f"\nArbiter is running at {address.url}\n")
    say("Sign in by one of these links (each works once, on this machine, for a while):")
    for line in links.splitlines():
        say(f"  {line}")
    say(f"\nCtrl-C stops it. Logs are in {shown(logs)}/.")


def serve(services: Services) -> int:
    try:
        services.watch()
    except Stopped:
        say("\nStopping ...")
    return 0
