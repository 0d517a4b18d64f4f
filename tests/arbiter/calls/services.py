"""Services that behave in one chosen way, for what the simulated provider can't be told to do."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from ssl import PROTOCOL_TLS_SERVER, SSLContext
from typing import Any

HttpAnswer = tuple[int, dict[str, str], bytes]  # status, headers, body
CERTIFICATE = Path(__file__).parent / "certificates" / "loopback.pem"  # of 127.0.0.1, by itself
BYTE_SECONDS = 0.05  # between two bytes, where an answer has the header Trickle


@contextmanager
def service(
    answer: Callable[[dict[str, str], dict[str, Any]], HttpAnswer], *, tls: bool = False
) -> Iterator[str]:
    """Serve as a service that answers every request with what `answer` makes of its headers (and its `:path`)
    and body, which is empty for a GET; yield its base URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self._answer(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

        def do_GET(self) -> None:
            self._answer({})

        def _answer(self, body: dict[str, Any]) -> None:
            named = {name.title(): value for name, value in self.headers.items()}
            status, headers, content = answer({**named, ":path": self.path}, body)
            self.send_response(status)
            for name, value in {"Content-Length": str(len(content)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            with suppress(OSError):  # the client may have gone
                if "Trickle" not in headers:
                    self.wfile.write(content)
                else:
                    self._trickle(content)

        def _trickle(self, content: bytes) -> None:
            for byte in content:
                self.wfile.write(bytes([byte]))
                self.wfile.flush()
                time.sleep(BYTE_SECONDS)

        def log_message(self, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if tls:
        context = SSLContext(PROTOCOL_TLS_SERVER)
        context.load_cert_chain(CERTIFICATE, CERTIFICATE.with_name("loopback-key.pem"))
        # Each connection's own thread greets: one that comes to nothing holds up no other.
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield f"http{'s' if tls else ''}://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()
        server.server_close()


def completion(
    content: str | None = "LABEL: convergence", *, message: dict[str, Any] | None = None, **body: Any
) -> HttpAnswer:
    """Return a chat completion that says `content`."""
    said = {"role": "assistant", "content": content, **(message or {})}
    full = {
        "object": "chat.completion",
        "choices": [{"index": 0, "message": said, "finish_reason": "stop"}],
        **body,
    }
    return 200, {"Content-Type": "application/json"}, json.dumps(full).encode()
