"""Pages of other origins may ask and may not write: what a browser says of where a request comes from."""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from kg import problems
from kg.errors import Forbidden
from kg.express import PATH


class Origins:
    """ASGI middleware: refuses writes that a browser sends for a page of another origin, whatever token they carry.

    A form needs no leave of the server to be posted, so that CORS does not keep it out. Programs name no origin.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and _writes(scope) and _is_foreign(Headers(scope=scope)):
            error = Forbidden(
                "Pages of other origins may not write here.", "Write from a page of this server, or a program."
            )
            response = await problems.on_parley_error(Request(scope), error)
            await response(scope, receive, send)
        else:
            await self._app(scope, receive, send)


def _writes(scope: Scope) -> bool:
    """Whether it is a write, or asks whether one may be sent by POST; for other methods CORS says no."""
    method = scope["method"]
    if method == "OPTIONS" and Headers(scope=scope).get("access-control-request-method") == "POST":
        method = "POST"
    return method not in ("GET", "HEAD", "OPTIONS") and not (method == "POST" and scope["path"] == PATH)  # a question


def _is_foreign(headers: Headers) -> bool:
    if headers.get("sec-fetch-site", "none") not in ("same-origin", "none"):
        return True
    origins = headers.getlist("origin")
    return any(urlsplit(origin).netloc.lower() != headers.get("host", "").lower() for origin in origins)
