"""The key that is made where none is given, and a data folder that is its user's own."""

import os
import subprocess
import sys
import time

import pytest
from django.core.exceptions import ImproperlyConfigured

from config import env, settings
from tests.arbiter.core.test_privatefiles import modes
from tests.processes import ROOT
from tests.together import expect_no_errors, together


@pytest.fixture
def data(monkeypatch, tmp_path):
    monkeypatch.delenv("SECRET_KEY", raising=False)
    monkeypatch.setattr(settings, "ENVIRONMENT", "development")
    monkeypatch.setattr(settings, "DATA", tmp_path / "var")
    return tmp_path / "var"


def test_the_secret_key_is_made_once_and_for_its_owner_alone(data):
    key = settings._secret_key()
    assert len(key) >= 50 and settings._secret_key() == key
    assert [(path.name, path.stat().st_mode & 0o777) for path in data.iterdir()] == [("secret-key", 0o600)]


def test_processes_that_start_at_once_read_the_same_whole_key(data, monkeypatch):
    made = iter(f"{number}" * 60 for number in range(1, 9))

    def slowly(length):
        time.sleep(0.02)  # long enough for the others to find the file if it is there already
        return next(made)

    monkeypatch.setattr(settings.secrets, "token_urlsafe", slowly)
    keys = expect_no_errors(together(*[settings._secret_key] * 8, connects=False))
    assert len(set(keys)) == 1 and len(keys[0]) == 60


def test_a_folder_that_all_share_is_refused_and_left_alone(data, monkeypatch, tmp_path):
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    monkeypatch.setattr(settings, "DATA", shared)
    with pytest.raises(ImproperlyConfigured, match=r"ARBITER_DATA is .*, a folder that all users share"):
        settings._private_data()
    assert shared.stat().st_mode & 0o7777 == 0o1777


def test_a_command_mends_an_old_data_folder_before_it_does_anything(tmp_path):
    """As a person runs it: what an earlier version left open is closed, and nothing new is open."""
    data = tmp_path / "var"
    data.mkdir(mode=0o755)
    (data / "secret-key").write_text("k" * 50)
    (data / "secret-key").chmod(0o644)
    given = {key: value for key, value in os.environ.items() if key not in ("DATABASE_URL", "SECRET_KEY")}
    command = [sys.executable, "manage.py", "migrate", "benchmark", "--verbosity", "0"]
    subprocess.run(
        command, cwd=ROOT, env={**given, "ARBITER_DATA": str(data), "ARBITER_ENV": "development"}, check=True
    )
    assert {name for name, mode in modes(data).items() if mode & 0o077} == set()
    assert (data / "arbiter.sqlite3").stat().st_size > 0


def test_the_data_folder_is_made_with_any_database(tmp_path):
    """Locks and exports lie in it, where the tables are PostgreSQL's and the key is given too."""
    data = tmp_path / "new" / "var"
    given = {
        "ARBITER_DATA": str(data),
        "ARBITER_ENV": "test",
        "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none",
    }
    subprocess.run(
        [sys.executable, "-c", "from config import settings"],
        cwd=ROOT,
        env={**os.environ, **given},
        check=True,
    )
    assert data.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    ("url", "wanted"),
    [
        ("", {}),
        ("smtp://me:p%40ss@mail.example", ("mail.example", 587, "me", "p@ss", True, False)),
        ("smtps://mail.example:2465", ("mail.example", 2465, "", "", False, True)),
        ("smtp+plain://localhost", ("localhost", 25, "", "", False, False)),
    ],
)
def test_the_mail_server_is_one_url(url, wanted):
    assert (env.mail(url) if not url else tuple(env.mail(url).values())) == wanted


@pytest.mark.parametrize("url", ["mail.example", "http://mail.example", "smtp://"])
def test_a_mail_server_that_is_none_is_refused(url):
    with pytest.raises(ImproperlyConfigured, match="ARBITER_MAIL_URL should look like"):
        env.mail(url)
