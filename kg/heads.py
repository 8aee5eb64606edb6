"""How long the head of a request may be. A line, a header or a trailer that goes on without end would otherwise fill
the memory of the server, since the parser of HTTP keeps what it has until it is whole."""

from __future__ import annotations

import asyncio
import json
from typing import Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

#: Bytes of request line and headers; a URL may have half of them.
MAX_HEAD: Final = 1 << 17
#: Seconds for which a client may go on sending after it was refused, so that it can read the answer.
_LINGER: Final = 2.0
_PROBLEM: Final = json.dumps(
    {
        "title": "Head too large",
        "status": 431,
        "detail": f"The head of the request is larger than {MAX_HEAD:,} bytes. Send long queries by POST.",
        "hint": "Send long queries by POST.",
    }
).encode()
_ANSWER: Final = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\nContent-Type: application/problem+json\r\n"
    b"Content-Length: %d\r\nConnection: close\r\n\r\n%b" % (len(_PROBLEM), _PROBLEM)
)


class BoundedHeads(HttpToolsProtocol):
    """The protocol of one connection, which ends where a head does not."""

    #: Bytes since the last head that was whole, or the last of a body.
    _open = 0
    _refused = False

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        self._open += len(data)
        super().data_received(data)
        if self._open > MAX_HEAD and not self.transport.is_closing():
            self._refuse()

    def on_headers_complete(self) -> None:
        self._open = 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._open = 0
        super().on_body(body)

    def _refuse(self) -> None:
        self._refused = True
        self.logger.warning("The head of a request is too large.")
        self.transport.write(_ANSWER)
        asyncio.get_running_loop().call_later(_LINGER, self.transport.close)
