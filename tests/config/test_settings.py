"""The key that is made where none is given."""

import time

import pytest

from config import settings
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
