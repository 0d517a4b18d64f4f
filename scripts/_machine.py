"""What the tests need of the machine besides Python: a browser, Redis and PostgreSQL; installed
where that is allowed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from arbiter.cli.launch.console import LaunchProblem, say, shown
from arbiter.cli.launch.processes import run_logged
from arbiter.core.privatefiles import private_folder

# The first has no windows to draw, so that the same tests take half the time.
BROWSERS = (
    "chromium-headless-shell",
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
)
MAC_BROWSERS = (
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
)
DEBIAN_SERVERS = Path("/usr/lib/postgresql")


class Tool(NamedTuple):
    name: str
    find: Callable[[], str | None]
    apt: str
    brew: str
    rather: str = ""  # a package that is taken instead of `apt` where there is one of that name


def find_browser() -> str | None:
    chosen = os.environ.get("ARBITER_CHROMIUM", "")
    if not chosen:
        return _first_on_path(BROWSERS) or next(
            (path for path in MAC_BROWSERS if os.access(path, os.X_OK)), None
        )
    program = shutil.which(chosen)
    if not program:
        raise LaunchProblem(f"ARBITER_CHROMIUM is {chosen}, which is not a program that can be run.")
    return program


def find_redis() -> str | None:
    return _first_on_path(("redis-server", "valkey-server"))


def find_postgres() -> str | None:
    """Return the folder of the newest server's programs, which Debian keeps off the PATH."""
    folders = sorted(DEBIAN_SERVERS.glob("*/bin"), key=_version, reverse=True)
    initdb = shutil.which("initdb")
    if initdb:
        folders.append(Path(initdb).resolve().parent)
    named = _output(["pg_config", "--bindir"])
    if named:
        folders.append(Path(named))
    return next((str(folder) for folder in folders if _is_server(folder)), None)


TOOLS = (
    Tool("Chromium", find_browser, "chromium", "--cask chromium", "chromium-headless-shell"),
    Tool("Redis", find_redis, "redis-server", "redis"),
    Tool("PostgreSQL", find_postgres, "postgresql", "postgresql"),
)


def find_tools(log: Path, wanted: Sequence[Tool] = TOOLS) -> dict[str, str]:
    """Return where each tool is, by its name; what is missing is installed if this user may."""
    missing = [tool for tool in wanted if not tool.find()]
    if missing:
        install(missing, log)
    places = {tool.name: tool.find() for tool in wanted}
    still_missing = [tool for tool in wanted if not places[tool.name]]
    if still_missing:
        raise LaunchProblem(how_to_install(still_missing))
    return {name: path for name, path in places.items() if path}


def install(missing: Sequence[Tool], log: Path) -> None:
    rights = may_install()
    if rights is None:
        raise LaunchProblem(how_to_install(missing))
    say(f"Installing {' '.join(tool.name for tool in missing)} with apt-get (details in {shown(log)}) ...")
    apt = [*rights, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-o", "DPkg::Lock::Timeout=120"]
    private_folder(log.parent)
    try:
        run_logged([*apt, "update"], log, "apt-get update", progress=True)
        packages = [tool.rather if _is_package(tool.rather) else tool.apt for tool in missing]
        run_logged(
            [*apt, "install", "-y", "--no-install-recommends", *packages],
            log,
            "apt-get install",
            progress=True,
        )
    except LaunchProblem as problem:
        raise LaunchProblem(f"{problem}\n\n{how_to_install(missing)}") from None


def _is_package(name: str) -> bool:
    return bool(name) and f"Package: {name}" in _output(["apt-cache", "show", name])


def may_install() -> list[str] | None:
    """Return what to put before apt-get; None where this user may not install or there is no apt-get."""
    if not shutil.which("apt-get"):
        return None
    if os.geteuid() == 0:
        return []
    return ["sudo", "-n"] if _output(["sudo", "-n", "echo", "yes"]) == "yes" else None


def how_to_install(missing: Sequence[Tool]) -> str:
    names = ", ".join(tool.name for tool in missing)
    lines = [
        f"This needs {names}. Please install what is missing:",
        "  Debian, Ubuntu:  sudo apt-get install " + " ".join(tool.apt for tool in missing),
        *(f"  macOS:           brew install {tool.brew}" for tool in missing),
    ]
    if any(tool.name == "Chromium" for tool in missing):
        lines.append("Any Chromium or Chrome will do: name it with ARBITER_CHROMIUM=/path/to/chrome.")
    return "\n".join(lines)


def _first_on_path(names: Sequence[str]) -> str | None:
    return next((path for path in map(shutil.which, names) if path), None)


def _is_server(folder: Path) -> bool:
    return all(os.access(folder / name, os.X_OK) for name in ("initdb", "postgres", "createdb"))


def _version(folder: Path) -> tuple[int, ...]:
    return tuple(int(part) for part in folder.parent.name.split(".") if part.isdigit())


def _output(command: Sequence[str]) -> str:
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=20, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return answer.stdout.strip() if answer.returncode == 0 else ""
