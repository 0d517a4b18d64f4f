"""What the tests need of the machine besides Python: a browser, Redis and PostgreSQL; installed where that is allowed."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from _console import Problem, say, shown
from _processes import run_logged

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
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


def find_browser() -> str | None:
    chosen = os.environ.get("ARBITER_CHROMIUM", "")
    if not chosen:
        return _first_on_path(BROWSERS) or next(
            (path for path in MAC_BROWSERS if os.access(path, os.X_OK)), None
        )
    found = shutil.which(chosen)
    if not found:
        raise Problem(f"ARBITER_CHROMIUM is {chosen}, which is not a program that can be run.")
    return found


def find_redis() -> str | None:
    return _first_on_path(("redis-server", "valkey-server"))


def find_postgres() -> str | None:
    """The folder of the newest server's programs. Debian keeps them off the PATH."""
    folders = sorted(DEBIAN_SERVERS.glob("*/bin"), key=_version, reverse=True)
    initdb = shutil.which("initdb")
    if initdb:
        folders.append(Path(initdb).resolve().parent)
    told = _output(["pg_config", "--bindir"])
    if told:
        folders.append(Path(told))
    return next((str(folder) for folder in folders if _is_server(folder)), None)


TOOLS = (
    Tool("Chromium", find_browser, "chromium", "--cask chromium"),
    Tool("Redis", find_redis, "redis-server", "redis"),
    Tool("PostgreSQL", find_postgres, "postgresql", "postgresql"),
)


def find_tools(log: Path, wanted: Sequence[Tool] = TOOLS) -> dict[str, str]:
    """Where each tool is, by its name; missing ones are installed if this user may."""
    missing = [tool for tool in wanted if not tool.find()]
    if missing:
        install(missing, log)
    found = {tool.name: tool.find() for tool in wanted}
    still_missing = [tool for tool in wanted if not found[tool.name]]
    if still_missing:
        raise Problem(how_to_install(still_missing))
    return {name: path for name, path in found.items() if path}


def install(missing: Sequence[Tool], log: Path) -> None:
    rights = may_install()
    if rights is None:
        raise Problem(how_to_install(missing))
    packages = [tool.apt for tool in missing]
    say(f"Installing {' '.join(packages)} with apt-get (details in {shown(log)}) ...")
    apt = [*rights, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-o", "DPkg::Lock::Timeout=120"]
    log.parent.mkdir(parents=True, exist_ok=True)
    try:
        run_logged([*apt, "update"], log, "apt-get update")
        run_logged([*apt, "install", "-y", "--no-install-recommends", *packages], log, "apt-get install")
    except Problem as problem:
        raise Problem(f"{problem}\n\n{how_to_install(missing)}") from None


def may_install() -> list[str] | None:
    """What to put before apt-get, or None where this user may not install or there is no apt-get."""
    if not shutil.which("apt-get"):
        return None
    if os.geteuid() == 0:
        return []
    return ["sudo", "-n"] if _output(["sudo", "-n", "echo", "yes"]) == "yes" else None


def how_to_install(missing: Sequence[Tool]) -> str:
    names = ", ".join(tool.name for tool in missing)
    lines = [
        f"The tests need {names}. Please install what is missing:",
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
