"""Lets a script find the rooms of its own checkout, whatever PYTHONPATH names: importing this is enough."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(1, str(Path(__file__).resolve().parent.parent))
