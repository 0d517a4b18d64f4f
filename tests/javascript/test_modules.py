"""The modules of JavaScript by themselves, by Node.js's own test runner: `node --test
tests/javascript/` does the same.
"""

import re
import subprocess
from pathlib import Path

import pytest

from arbiter.cli.launch.console import in_ci
from tests.scripts.conftest import ROOT  # whose folder of scripts can be imported from here on

from _javascript import OLDEST_NODE, find_node  # isort: skip

FOLDER = Path(__file__).parent
MISSING = f"The tests of JavaScript need Node.js {OLDEST_NODE} or newer on the PATH."


@pytest.fixture
def node() -> str:
    node = find_node()
    if not node and in_ci():
        pytest.fail(MISSING)
    return node or pytest.skip(MISSING)


@pytest.mark.timeout(900)
def test_their_own_tests_pass(node: str) -> None:
    files = sorted(map(str, FOLDER.glob("*.test.js")))
    command = [node, "--test", "--test-reporter=spec", *files]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    print(ran.stdout, ran.stderr, sep="\n")
    assert ran.returncode == 0
    assert re.search(r"^ℹ pass [1-9]", ran.stdout, re.MULTILINE)
