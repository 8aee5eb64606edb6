"""The gateway: a server on loopback that carries the calls of SERVICE to the endpoints on the list, and to no other."""

from __future__ import annotations

import hmac
import http.client
import secrets
import socket
import ssl
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Timer
from typing import Any, Final

from kg import __version__
from kg.federation import Endpoint, is_public
from kg.limits import TRUNCATED

#: Bytes that an endpoint may answer with.
MAX_ANSWER: Final = 64 << 20
#: Bytes of a query that is passed on.
_MAX_QUERY: Final = 8 << 20
_CHUNK: Final = 1 << 16
_RESULTS: Final = ("application/sparql-results+json", "application/sparql-results+xml")


class Failed(Exception):
    """A call that came to nothing; the message is for whoever wrote the query."""


class Gateway(ThreadingHTTPServer):
    """Listens on a free port of loopback. Its paths hold a secret, so that other processes cannot use it."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, endpoints: Sequence[Endpoint], seconds: float, most: int = MAX_ANSWER) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self._secret = secrets.token_urlsafe(24)
        self._endpoints, self.seconds, self.most = endpoints, seconds, most
        root = f"http://127.0.0.1:{self.server_port}/{self._secret}"
        #: For each endpoint the URL that leads to it.
        self.addresses = {endpoint.url: f"{root}/{n}" for n, endpoint in enumerate(endpoints)}

    def find(self, path: str) -> Endpoint:
        """The endpoint that a path leads to. Raises: Failed."""
        secret, _, number = path.removeprefix("/").partition("/")
        if not hmac.compare_digest(secret.encode(), self._secret.encode()):
            raise Failed("This gateway serves its own server alone.")
        return self._endpoints[int(number)]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A worker that is stopped hangs up, which is no fault."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    server: Gateway
    protocol_version = "HTTP/1.1"
    timeout = 60

    def do_POST(self) -> None:
        self.close_connection = True
        try:
            endpoint = self.server.find(self.path)
            size = int(self.headers.get("Content-Length", "0"))
            if size > _MAX_QUERY:
                raise Failed(f"A query of more than {_MAX_QUERY:,} bytes is not passed on.")
            media, answer = call(endpoint, self.rfile.read(size), self.server.seconds, self.server.most)
            self._send(200, media, answer)
        except Failed as error:
            self._send(502, "text/plain; charset=utf-8", str(error).encode())

    def _send(self, status: int, media: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", media)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing: the paths are secret."""


class _Connection(http.client.HTTPConnection):
    """A connection to an address that was looked at: the name is resolved once, here, and nowhere again."""

    def __init__(self, endpoint: Endpoint, seconds: float) -> None:
        super().__init__(endpoint.host, endpoint.port, timeout=seconds)
        self.default_port = 443 if endpoint.secure else 80  # what the Host header leaves out
        self._endpoint, self._end = endpoint, time.monotonic() + seconds
        #: The library forgets its socket before the answer is read.
        self._reached: socket.socket | None = None

    def connect(self) -> None:
        self.sock = self._reached = self._reach(_addresses(self._endpoint))
        if self._endpoint.secure:
            context = ssl.create_default_context()
            secured = context.wrap_socket(self.sock, server_hostname=self._endpoint.host, do_handshake_on_connect=False)
            self.sock = self._reached = secured
            self.require_time()
            secured.do_handshake()
        self.require_time()

    def _reach(self, addresses: Sequence[str]) -> socket.socket:
        refusal: OSError | None = None
        for address in addresses:
            try:
                return socket.create_connection((address, self._endpoint.port), self.require_time())
            except OSError as error:
                refusal = error
        raise refusal or OSError("its name has no address")

    def require_time(self) -> float:
        """The seconds that are left. Raises: TimeoutError."""
        if self.late:
            raise TimeoutError
        return self._end - time.monotonic()

    @property
    def late(self) -> bool:
        return time.monotonic() >= self._end

    def hang_up(self) -> None:
        """Have whoever waits for bytes wait no longer."""
        if self._reached is not None:
            with suppress(OSError):
                # The method of the base class: that of a TLS socket would have the reader go on without TLS.
                socket.socket.shutdown(self._reached, socket.SHUT_RDWR)


def _addresses(endpoint: Endpoint) -> list[str]:
    """The addresses of an endpoint.

    Raises:
        Failed: one of them is not public, and the list does not name it as it is.
        OSError: there is none.
    """
    if endpoint.literal:
        return [endpoint.host]
    found = socket.getaddrinfo(endpoint.host, endpoint.port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    if not all(map(is_public, addresses)):
        raise Failed(f"{endpoint.url} is not called: its name leads into a network that is not public.")
    return addresses


def call(endpoint: Endpoint, query: bytes, seconds: float, most: int) -> tuple[str, bytes]:
    """The media type and the bytes of the results of a query.

    Raises:
        Failed: the endpoint is not to be called, cannot be reached, or does not answer in time and size with results.
    """
    connection = _Connection(endpoint, seconds)
    # An endpoint that sends a byte now and then would never time out on the socket.
    timer = Timer(seconds, connection.hang_up)
    timer.daemon = True
    timer.start()
    try:
        answer = _exchange(connection, endpoint, query, most)
        connection.require_time()  # an answer that ends with its connection may have been cut off by the timer
        return answer
    except (Failed, OSError, http.client.HTTPException, ValueError) as error:
        if isinstance(error, TimeoutError) or connection.late:
            raise Failed(f"{endpoint.url} did not answer within {seconds:g} seconds.") from None
        if isinstance(error, Failed):
            raise
        raise Failed(f"{endpoint.url} cannot be reached: {str(error) or type(error).__name__}.") from None
    finally:
        timer.cancel()
        connection.close()


def _exchange(connection: _Connection, endpoint: Endpoint, query: bytes, most: int) -> tuple[str, bytes]:
    headers = {
        "Accept": ", ".join(_RESULTS),
        "Content-Type": "application/sparql-query",
        "User-Agent": f"parley-kg/{__version__}",
    }
    connection.request("POST", endpoint.target, query, headers)
    response = connection.getresponse()
    if response.status != 200:
        raise Failed(f"{endpoint.url} answers with status {response.status}; redirects are not followed.")
    if cut := response.headers.get(TRUNCATED):
        raise Failed(f"{endpoint.url} cuts its answer ({cut}): ask it for less.")
    media = response.headers.get_content_type()
    if media not in _RESULTS or response.headers.get("Content-Encoding", "identity") != "identity":
        raise Failed(f"{endpoint.url} answers with {media}, not with results in JSON or XML.")
    answer = bytearray()
    while chunk := response.read(_CHUNK):
        answer += chunk
        if len(answer) > most:
            raise Failed(f"{endpoint.url} answers with more than {most:,} bytes: ask it for less.")
    if response.length:
        raise Failed(f"{endpoint.url} broke its answer off.")
    return media, bytes(answer)
