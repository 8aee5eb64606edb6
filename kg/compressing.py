"""Compressed answers: zstd, brotli or gzip, whichever the client takes, in this order."""

from __future__ import annotations

from typing import Final

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette_compress import CompressMiddleware, add_compress_type

from kg import formats

#: Bytes below which an answer costs more to compress than it saves.
_SMALL: Final = 1000
#: The library compresses types that it knows, which these are to be among.
for _form in (*formats.ROWS, *formats.GRAPHS, *formats.DATASETS):
    for _media in _form.media:
        add_compress_type(_media)
add_compress_type("application/problem+json")


class Compressed:
    """ASGI middleware around the library's. A strong entity tag becomes a weak one, since the bytes are others.

    What is streamed is compressed as it comes. A stream that breaks is not ended, so that it stays visibly broken.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = CompressMiddleware(app, minimum_size=_SMALL)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_weakened(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                if "content-encoding" in headers and headers.get("etag", "").startswith('"'):
                    headers["etag"] = f"W/{headers['etag']}"
            await send(message)

        await self._app(scope, receive, send_weakened)
