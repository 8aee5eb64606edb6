"""A server on loopback that nobody should reach, or that answers as a test wants: it counts what comes."""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

JSON = "application/sparql-results+json"
ANSWER = b'{"head":{"vars":["s"]},"results":{"bindings":[{"s":{"type":"uri","value":"urn:remote"}}]}}'


class Trap(ThreadingHTTPServer):
    """`connections` counts all that connect, `asked` holds method, path, headers and body of each request."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.connections = 0
        self.asked: list[tuple[str, str, dict[str, str], bytes]] = []
        if context:
            self.socket = context.wrap_socket(self.socket, server_side=True)

    @property
    def root(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def verify_request(self, request: Any, client_address: Any) -> bool:
        self.connections += 1
        return True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Those who are not trusted hang up."""


class _Handler(BaseHTTPRequestHandler):
    server: Trap
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        self.server.asked.append((self.command, self.path, dict(self.headers), body))
        answers: dict[str, Callable[[], None]] = {
            "/redirect": self._redirect,
            "/page": lambda: self._send(b"<p>", "text/html"),
            "/junk": lambda: self._send(b"junk"),
            "/packed": lambda: self._send(ANSWER, more={"Content-Encoding": "gzip"}),
            "/error": lambda: self._send(b"secret words", status=500),
            "/large": lambda: self._send(ANSWER + b" " * 100_000),
            "/short": lambda: self._send(ANSWER, more={"Content-Length": "5000"}),
            "/drip": self._drip,
            "/drip-head": lambda: self._drip(b""),
        }
        answers.get(self.path, lambda: self._send(ANSWER))()

    do_POST = do_GET  # noqa: N815

    def _send(self, body: bytes, media: str = JSON, status: int = 200, more: dict[str, str] | None = None) -> None:
        self.close_connection = True
        self.send_response(status)
        for name, value in {"Content-Type": media, "Content-Length": str(len(body)), **(more or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def _redirect(self) -> None:
        self._send(b"", status=307, more={"Location": f"{self.server.root}/elsewhere"})

    def _drip(self, head: bytes = b"HTTP/1.1 200 OK\r\nContent-Type: application/sparql-results+json\r\n\r\n") -> None:
        """Send a byte now and then, for as long as somebody listens."""
        self.close_connection = True
        self.wfile.write(head or b"HTTP/1.1 200 OK\r\nX: ")
        while True:
            self.wfile.write(b"x")
            time.sleep(0.05)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@contextmanager
def trap(context: ssl.SSLContext | None = None) -> Iterator[Trap]:
    with Trap(context) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
