"""LiteLLM's proxy in front of another server, on loopback, with a key and prices."""

import json
import os
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.real.conftest import KEY, SMALL

INPUT, OUTPUT = 1e-6, 2e-6  # dollars a token
PATIENCE = 180.0  # seconds: a slow machine takes its time to import it


@contextmanager
def running_proxy(python: str, behind: str, folder: Path) -> Iterator[str]:
    model = {"model": f"openai/{SMALL}", "api_base": behind, "api_key": "none", "timeout": 600}
    prices = {"input_cost_per_token": INPUT, "output_cost_per_token": OUTPUT}
    config = {
        "model_list": [{"model_name": SMALL, "litellm_params": {**model, **prices}}],
        "general_settings": {"master_key": KEY},
        "litellm_settings": {"num_retries": 0, "drop_params": False},
    }
    (folder / "config.yaml").write_text(json.dumps(config))  # JSON is YAML
    port = _free_port()
    command = [
        str(Path(python).with_name("litellm")),
        "--config",
        str(folder / "config.yaml"),
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
    ]
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "LITELLM_TELEMETRY": "False",
    }
    with (
        (folder / "log").open("wb") as log,
        subprocess.Popen(command, stdout=log, stderr=log, env=environment, cwd=folder) as proxy,
    ):
        try:
            _wait_for(f"http://127.0.0.1:{port}/health/liveliness", proxy)
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            proxy.terminate()


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def _wait_for(url: str, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            assert process.poll() is None and time.monotonic() < deadline, "the proxy did not start"
            time.sleep(0.5)
