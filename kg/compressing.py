"""Compressed answers: zstd, brotli or gzip, whichever the client takes, in this order."""

from __future__ import annotations

from typing import Final

from starlette.types import ASGIApp
from starlette_compress import CompressMiddleware, add_compress_type

from kg import formats

#: Bytes below which an answer costs more to compress than it saves.
_SMALL: Final = 1000
#: The library compresses types that it knows, which these are to be among.
for _form in (*formats.ROWS, *formats.GRAPHS, *formats.DATASETS):
    for _media in _form.media:
        add_compress_type(_media)
add_compress_type("application/problem+json")


class Compressed(CompressMiddleware):
    """ASGI middleware: the library's with our bound.

    What is streamed is compressed as it comes. A stream that breaks is not ended, so that it stays visibly broken.
    """

    def __init__(self, app: ASGIApp) -> None:
        super().__init__(app, minimum_size=_SMALL)
