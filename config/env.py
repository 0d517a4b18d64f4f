"""Settings come from the environment; each reader refuses a bad value and names its variable."""

import os
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured

TRUE, FALSE = {"1", "true", "yes", "on"}, {"0", "false", "no", "off"}


def text(name: str, default: str = "") -> str:
    """Return the variable's value; set but empty counts as unset."""
    return os.environ.get(name, "").strip() or default


def required(name: str, why: str) -> str:
    """Return the variable's value, which must be set, and say why where it is not."""
    value = text(name)
    if not value:
        raise ImproperlyConfigured(f"{name} is not set: {why}")
    return value


def flag(name: str, default: bool = False) -> bool:
    value = text(name, "1" if default else "0").lower()
    if value not in TRUE | FALSE:
        raise ImproperlyConfigured(f"{name} should be 1 or 0; it is {value!r}")
    return value in TRUE


def number(name: str, default: float, low: float, high: float) -> float:
    value = text(name)
    try:
        parsed = float(value) if value else default
    except ValueError:
        parsed = low - 1
    if not low <= parsed <= high:
        raise ImproperlyConfigured(f"{name} should be a number from {low:g} to {high:g}; it is {value!r}")
    return parsed


def choice(name: str, default: str, *choices: str) -> str:
    value = text(name, default)
    if value not in choices:
        raise ImproperlyConfigured(f"{name} should be one of {', '.join(choices)}; it is {value!r}")
    return value


def words(name: str, default: str = "") -> list[str]:
    return [word.strip() for word in text(name, default).split(",") if word.strip()]


def database(url: str, sqlite_path: Path) -> dict[str, object]:
    """Return DATABASE_URL as Django wants it:
    postgresql://user:password@host:port/name?option=value, else SQLite.

    A socket folder goes in the query: postgresql:///name?host=/run/postgresql.
    """
    if not url:
        return sqlite(sqlite_path)
    parts = urlsplit(url)
    if parts.scheme == "sqlite":
        return sqlite(Path(unquote(parts.path)))
    if parts.scheme not in ("postgres", "postgresql") or not parts.path.strip("/"):
        raise ImproperlyConfigured(
            "DATABASE_URL should look like postgresql://user:password@host:5432/name; "
            f"its scheme is {parts.scheme!r}"
        )
    options = dict(parse_qsl(parts.query))
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": unquote(parts.path.strip("/")),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": options.pop("host", parts.hostname or ""),
        "PORT": str(parts.port or options.pop("port", "")),
        "OPTIONS": options,
        "CONN_MAX_AGE": 60,
        "CONN_HEALTH_CHECKS": True,
    }


def mail(url: str) -> dict[str, Any]:
    """Return the mail server of a URL.

    It is smtp://user:password@host:587 (which turns to TLS), smtps:// (TLS throughout) or
    smtp+plain:// (none).
    """
    if not url:
        return {}
    parts = urlsplit(url)
    if parts.scheme not in ("smtp", "smtps", "smtp+plain") or not parts.hostname:
        raise ImproperlyConfigured(
            f"ARBITER_MAIL_URL should look like smtp://user:password@host:587; its scheme is {parts.scheme!r}"
        )
    usual = {"smtp": 587, "smtps": 465, "smtp+plain": 25}
    return {
        "host": parts.hostname,
        "port": parts.port or usual[parts.scheme],
        "user": unquote(parts.username or ""),
        "password": unquote(parts.password or ""),
        "tls": parts.scheme == "smtp",
        "ssl": parts.scheme == "smtps",
    }


def sqlite(path: Path) -> dict[str, object]:
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": str(path),
        "CONN_MAX_AGE": 60,  # to open the file and set it up takes longer than most questions to it
        "OPTIONS": {
            # IMMEDIATE: two writers queue for the lock instead of failing when a read turns into a write.
            "transaction_mode": "IMMEDIATE",
            "timeout": 20,
            # recursive_triggers: what REPLACE deletes is guarded too (arbiter.core.guards).
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA cache_size=-32000; "
            "PRAGMA recursive_triggers=ON;",
        },
    }
