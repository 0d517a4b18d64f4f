"""A checkout with a stand-in for the Django project, so that the scripts are tried without it."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# The scripts run by themselves, before any package is installed: they are modules
# beside each other, not a package.
sys.path.insert(0, str(ROOT / "scripts"))

STAND_IN = """
import http.server, os, sys, time
command = sys.argv[1]
if command == "run":
    from arbiter.cli.launch import console, serving
    console.run_script(lambda _: serving.main(os.environ))
elif command == "prepare":
    if os.environ.get("STUB_PREPARE") == "fails":
        sys.exit("no such table: study")
    print("owner  " + sys.argv[sys.argv.index("--base-url") + 1] + "/sign-in/one")
elif command == "simulateprovider":
    own = ("127.0.0.1", int(sys.argv[3]))
    http.server.HTTPServer(own, http.server.SimpleHTTPRequestHandler).serve_forever()
elif command == "runworker":
    time.sleep(float(os.environ.get("STUB_WORKER_SECONDS", "600")))
    sys.exit("the worker lost heart")
"""
WSGI = """
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"ok"]
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """Make a folder that the database server's own user can enter, unlike tmp_path; it must be empty
    of ours at the end.
    """
    place = Path(tempfile.mkdtemp(prefix="scripts-"))
    place.chmod(0o755)
    yield place
    shutil.rmtree(place)


@pytest.fixture
def checkout(folder: Path) -> Path:
    root = folder / "checkout"
    shutil.copytree(ROOT / "scripts", root / "scripts", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, root)
    for name in (
        "__init__.py",
        "cli/__init__.py",
        "cli/launch",
        "core/__init__.py",
        "core/folders.py",
        "core/privatefiles.py",
    ):
        (root / "arbiter" / name).parent.mkdir(parents=True, exist_ok=True)
        copy = shutil.copytree if (ROOT / "arbiter" / name).is_dir() else shutil.copy
        copy(ROOT / "arbiter" / name, root / "arbiter" / name)
    (root / "arbiter" / "__main__.py").write_text(STAND_IN)
    (root / "templates" / "web").mkdir(parents=True)  # by which a checkout is told from an installed package
    (root / "config").mkdir()
    (root / "config" / "__init__.py").touch()
    (root / "config" / "wsgi.py").write_text(WSGI)
    pretend_installed(root)
    (folder / "tmp").mkdir()
    (folder / "tmp").chmod(0o755)
    return root


def pretend_installed(root: Path) -> None:
    """Make a .venv that is this one by another name, stamped as complete."""
    from _setup import EVERY_EXTRA, Environment

    environment = Environment(root)
    environment.python.parent.mkdir(parents=True)
    environment.python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    environment.python.chmod(0o755)
    environment.write_stamp(EVERY_EXTRA)


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a PATH with nothing on it but what a test puts there (and the shell's own tools)."""
    import _machine

    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("sh", "env", "cp", "chmod"):
        (folder / name).symlink_to(f"/bin/{name}" if os.path.exists(f"/bin/{name}") else f"/usr/bin/{name}")
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.delenv("ARBITER_CHROMIUM", raising=False)
    monkeypatch.setattr(_machine, "DEBIAN_SERVERS", tmp_path / "servers")
    monkeypatch.setattr(_machine, "MAC_BROWSERS", ())
    return folder


def add_program(path: Path, text: str = "#!/bin/sh\n") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


def be(user: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: user)


class Script:
    """One of the scripts, started in a checkout, with all it prints in one file."""

    def __init__(self, root: Path, name: str, arguments: list[str], settings: dict[str, str]) -> None:
        self._output = root / f"{name}.out"
        with self._output.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, str(root / "scripts" / name), *arguments],
                cwd=root,
                env={**os.environ, "TMPDIR": str(root.parent / "tmp"), **settings},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def said(self) -> str:
        return self._output.read_text()

    def until(self, text: str, seconds: float = 600) -> None:
        eventually(lambda: text in self.said or self.process.poll() is not None, seconds)
        assert text in self.said, self.said

    def end(self, number: int = signal.SIGINT, seconds: float = 600) -> int:
        self.process.send_signal(number)
        return self.process.wait(seconds)


StartScript = Callable[..., Script]


@pytest.fixture
def start_script(checkout: Path) -> Iterator[StartScript]:
    started: list[Script] = []

    def begin(name: str, *arguments: str, **settings: str) -> Script:
        started.append(Script(checkout, name, list(arguments), settings))
        return started[-1]

    yield begin
    for script in started:
        script.process.kill()
        script.process.wait()


def eventually(holds: Callable[[], object], seconds: float = 600) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.03)


def processes_naming(text: str) -> list[str]:
    """Return the command lines of the processes that name `text` or work in a folder of that name."""
    commands = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                place = os.readlink(entry / "cwd")
            except OSError:
                continue
            if text in command or place.startswith(text):
                commands.append(command)
    return commands
