"""The wheel, installed into an empty environment, is a working Arbiter: pages, styles, commands
and data of its own.
"""

import os
import re
import subprocess
import sys
import sysconfig
import venv
import zipfile
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest

from tests.ports import ReservePort
from tests.scripts.conftest import ROOT, eventually

ROOMS = {"arbiter", "config", "benchmark", "annotation", "judging"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    build = ["-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder)]
    subprocess.run([sys.executable, *build, str(ROOT)], check=True)
    [made] = folder.glob("*.whl")
    return made


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make an environment of its own.

    What Arbiter needs is lent to it, so that nothing is downloaded; Arbiter is not.
    """
    place = tmp_path_factory.mktemp("installed")
    venv.create(place, with_pip=False, symlinks=True)
    [packages] = place.glob("lib/python*/site-packages")
    into = ["--python", str(place / "bin" / "python"), "install", "--quiet", "--no-deps"]
    subprocess.run([sys.executable, "-m", "pip", *into, str(wheel)], check=True)
    (packages / "lent.pth").write_text(sysconfig.get_path("purelib"))
    return place


def alone(folder: Path, **more: str) -> dict[str, str]:
    """Return an environment that tells nothing on of Arbiter or of where the checkout is."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ARBITER_")}
    for name in ("PYTHONPATH", "DJANGO_SETTINGS_MODULE", "DATABASE_URL", "CELERY_BROKER_URL"):
        kept.pop(name, None)
    return {**kept, "HOME": str(folder), "XDG_DATA_HOME": str(folder / "data"), **more}


def run(installed: Path, folder: Path, *arguments: str) -> str:
    program = [str(installed / "bin" / "arbiter"), *arguments]
    return subprocess.run(
        program, cwd=folder, env=alone(folder), check=True, capture_output=True, text=True
    ).stdout


def test_it_holds_all_that_is_tracked_of_the_rooms_and_no_module_of_another_name(wheel: Path) -> None:
    inside = set(zipfile.ZipFile(wheel).namelist())
    assert {name.partition("/")[0] for name in inside if "dist-info" not in name} == ROOMS
    tracked = subprocess.run(
        ["git", "ls-files", *ROOMS, "templates", "static"], cwd=ROOT, capture_output=True, text=True
    ).stdout.split()
    if not tracked:
        pytest.skip("this is no checkout of git")
    wanted = {re.sub(r"^(templates|static)/", r"arbiter/\1/", name) for name in tracked}
    assert {name for name in wanted if (ROOT / name).exists() or name.startswith("arbiter/")} <= inside


@pytest.fixture(scope="module")
def home(installed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a person's home with Arbiter's database in it."""
    folder = tmp_path_factory.mktemp("home")
    run(installed, folder, "migrate", "--verbosity", "0")
    return folder


def test_every_command_is_there_and_data_lies_in_the_persons_own_folder(installed: Path, home: Path) -> None:
    told = run(installed, home, "help", "--commands").split()
    ours = {path.stem for path in (ROOT / "arbiter/cli/management/commands").glob("[a-z]*.py")}
    assert ours <= set(told)
    database = home / "data" / "arbiter" / "arbiter.sqlite3"
    assert database.stat().st_mode & 0o077 == 0
    assert '"tasks": 88' in run(installed, home, "loadsuite", "--slug", "shipped", "--json")


@pytest.fixture
def page(installed: Path, home: Path, reserve_port: ReservePort) -> Iterator[str]:
    ports = {"PORT": str(reserve_port()), "ARBITER_SIMULATOR_PORT": str(reserve_port())}
    process = subprocess.Popen(
        [str(installed / "bin" / "arbiter"), "run"],
        cwd=home,
        env=alone(home, **ports),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout
    said: list[str] = []
    try:
        for line in process.stdout:
            said.append(line)
            if "Arbiter is running at" in line:
                break
        assert process.poll() is None, "".join(said)
        yield f"http://127.0.0.1:{ports['PORT']}"
    finally:
        process.terminate()
        process.communicate()
    eventually(lambda: process.returncode is not None)


def test_it_runs_and_shows_the_page_to_sign_in_with_its_style(page: str) -> None:
    body = urlopen(f"{page}/sign-in").read().decode()
    assert "<h1>Sign in</h1>" in body
    [style] = re.findall(r'href="(/static/web/arbiter[^"]*\.css)"', body)
    assert b"--" in urlopen(page + style).read()
