"""Where files lie: in a checkout's own folders or those of an installed package. Needs nothing but Python."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]  # what holds the rooms
IN_CHECKOUT = (ROOT / "templates" / "web").is_dir()
# Templates and static files: beside the rooms in a checkout, inside the package where it is installed.
SHIPPED = ROOT if IN_CHECKOUT else ROOT / "arbiter"


def data_folder(environment: Mapping[str, str]) -> Path:
    """Return ARBITER_DATA, or by default var/ of a checkout, else a person's own data folder."""
    chosen = environment.get("ARBITER_DATA", "").strip()
    return Path(chosen).absolute() if chosen else _usual(environment)


def _usual(environment: Mapping[str, str]) -> Path:
    if IN_CHECKOUT:
        return ROOT / "var"
    homes = environment.get("XDG_DATA_HOME", "").strip() or "~/.local/share"
    return Path(homes).expanduser().absolute() / "arbiter"
