"""What surrounds every answer: HEAD as GET without the body, the headers that keep browsers safe, and a clean end of
the connection where an answer comes before the end of its request."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kg.tracing import current

_POLICY: Final = (
    "default-src 'none'; script-src {}; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
#: Bytes of a body that are taken even if nobody reads them, so that the connection can be used again.
_SMALL: Final = 1 << 20
#: Seconds for which a client may go on sending after its answer.
_LINGER: Final = 2.0
#: The API page of the library starts itself by an inline script; no other page runs any.
_DOCS_SCRIPT: Final = "'self' 'unsafe-inline'"


def usual_headers(path: str) -> dict[str, str]:
    """The headers of an answer that does not set them itself."""
    script = _DOCS_SCRIPT if path.startswith("/docs") else "'none'"
    return {
        "Content-Security-Policy": _POLICY.format(script),
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        # Facts change with any commit: a cache may keep them, and asks whether they are still so.
        "Cache-Control": "no-cache",
    }


class Envelope:
    """ASGI middleware. Plain ASGI, so that a stream that breaks stays visibly broken."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        head = scope["method"] == "HEAD"
        usual = usual_headers(scope["path"])

        async def send_safely(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in usual.items():
                    headers.setdefault(name, value)
                headers.add_vary_header("Accept")
            elif head:
                message = {**message, "body": b""}
            await send(message)

        inner = {**scope, "method": "GET"} if head else scope
        current().scope = inner  # which the router fills in
        await self._app(inner, receive, send_safely)


class Unread:
    """ASGI middleware: an answer that comes while a large body is still being sent ends the connection.

    Were it closed at once, the system would reset it, and the client might lose the answer while it sends. So the
    answer goes out whole, and what still comes is thrown away for a moment.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not _is_large(Headers(scope=scope)):
            await self._app(scope, receive, send)
            return
        ended = False

        async def receive_on() -> Message:
            nonlocal ended
            message = await receive()
            ended = not message.get("more_body", False)
            return message

        async def send_and_linger(message: Message) -> None:
            if message["type"] == "http.response.start" and not ended:
                MutableHeaders(scope=message)["Connection"] = "close"
            elif message["type"] == "http.response.body" and not message.get("more_body", False) and not ended:
                await send({**message, "more_body": True})
                with suppress(TimeoutError):
                    async with asyncio.timeout(_LINGER):
                        while not ended:
                            await receive_on()
                message = {"type": "http.response.body"}
            await send(message)

        await self._app(scope, receive_on, send_and_linger)


def _is_large(headers: Headers) -> bool:
    """Whether a request announces a large body, or does not say how large it is."""
    return "transfer-encoding" in headers or int(headers.get("content-length", "0")) > _SMALL
