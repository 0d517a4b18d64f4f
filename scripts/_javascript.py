"""What checks the JavaScript: Node.js, and the packages that package.json names, in node_modules."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
from pathlib import Path

from _machine import Tool, find_tools
from _setup import setup_lock

from arbiter.cli.launch.console import say, shown
from arbiter.cli.launch.processes import run_logged
from arbiter.core.folders import ROOT

OLDEST_NODE = 20


def find_node() -> str | None:
    """Return where Node.js is, if it is on the PATH and new enough."""
    node = shutil.which("node")
    return node if node and _major(node) >= OLDEST_NODE else None


def find_npm() -> str | None:
    """Return where npm is, if Node.js is there too."""
    return shutil.which("npm") if find_node() else None


NODE = Tool(f"Node.js {OLDEST_NODE} or newer with npm", find_npm, "npm", "node")


class Packages:
    """The packages in node_modules of one checkout."""

    def __init__(self, root: Path = ROOT) -> None:
        self.root = root
        self.folder = root / "node_modules"
        self.log = root / "var" / "npm.log"
        self._stamp = self.folder / "arbiter-stamp"

    def ensure(self) -> None:
        """Have every package in the version that package.json names; two file reads where nothing changed."""
        if self._is_current():
            return
        npm = self._npm()
        with setup_lock(self.log.parent):
            if not self._is_current():
                self._install(npm)

    def program(self, name: str) -> str:
        return str(self.folder / ".bin" / name)

    def _npm(self) -> str:
        return find_tools(self.log, [NODE])[NODE.name]

    def _install(self, npm: str) -> None:
        say(f"Installing what checks the JavaScript (details in {shown(self.log)}) ...")
        self._stamp.unlink(missing_ok=True)
        command = [npm, "install", "--no-audit", "--no-fund", "--no-progress", "--ignore-scripts"]
        run_logged(command, self.log, "npm install", folder=self.root)
        self._stamp.write_text(self._fingerprint(), encoding="utf-8")

    def _is_current(self) -> bool:
        try:
            return self._stamp.read_text(encoding="utf-8") == self._fingerprint()
        except OSError:
            return False

    def _fingerprint(self) -> str:
        return hashlib.sha256((self.root / "package.json").read_bytes()).hexdigest()


def _major(node: str) -> int:
    try:
        said = subprocess.run([node, "--version"], capture_output=True, text=True, timeout=20).stdout
    except (OSError, subprocess.TimeoutExpired):
        return 0
    match = re.match(r"v(\d+)\.", said)
    return int(match[1]) if match else 0
