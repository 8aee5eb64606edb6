"""The outermost layer of the server: each request gets an id, is measured, and leaves a line in the log."""

from __future__ import annotations

import logging
import re
import secrets
from itertools import count
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final

from kg.tracing import Trace, begin

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from kg.metrics import Metrics

#: The logger of the requests. A record has the fields of the line, by their names in FIELDS, as `fields`.
REQUESTS: Final = logging.getLogger("kg.requests")
#: What the line of a request may hold, in this order, beside the time; what is not known is left out.
FIELDS: Final = {
    "id": "the request's id, as in `X-Request-ID`",
    "client": "the address of the client",
    "method": "the method",
    "route": "the template of the path, such as `/id/{path}`; `other` for a path that no route has",
    "status": "the status",
    "outcome": "`ok`, `refused` (4xx), `failed` (5xx), `deadline`, `memory`, `size`, "
    "`full` (queue), `left` (the client)",
    "bytes": "bytes of the body that were sent",
    "seconds": "seconds from the request to the last byte",
    "waited": "seconds of it in the queue for a worker",
    "version": "the version of the graph that the answer is made from",
    "job": "`query`, `update`, `load` or `remove`",
    "digest": "of the text of a query or an update: SHA-256, the first 16 hexadecimal digits",
    "cache": "`hit` or `miss`, where the cache of answers was asked",
}
#: An id from a client that is good to log, to search for and to send on.
_SANE: Final = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_METHODS: Final = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))


class Telemetry:
    """ASGI middleware around everything else."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics
        self._prefix, self._number = secrets.token_hex(5), count()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = perf_counter()
        name = self._id(scope)
        trace = Trace(name.decode(), scope["client"][0] if scope["client"] else "")
        begin(trace)
        status, size, whole, fault = 0, 0, False, False

        async def send_on(message: Message) -> None:
            nonlocal status, size, whole
            if message["type"] == "http.response.start":
                status = message["status"]
                # A new list: the answer's own may be shared with other answers.
                message = {**message, "headers": [*message.get("headers", ()), (b"x-request-id", name)]}
            elif message["type"] == "http.response.body":
                size += len(message.get("body", b""))
                whole = not message.get("more_body", False)
            await send(message)

        try:
            await self._app(scope, receive, send_on)
        except BaseException:
            fault = True
            raise
        finally:
            if not trace.outcome:
                trace.outcome = _outcome(status, whole=whole, fault=fault)
            self._tell(scope, trace, status, size, perf_counter() - began)

    def _id(self, scope: Scope) -> bytes:
        for key, value in scope["headers"]:
            if key == b"x-request-id" and _SANE.fullmatch(value):
                given: bytes = value
                return given
        return f"{self._prefix}-{next(self._number):x}".encode()

    def _tell(self, scope: Scope, trace: Trace, status: int, size: int, seconds: float) -> None:
        trace.route = trace.route or _route(trace.scope)
        method = scope["method"] if scope["method"] in _METHODS else "other"
        self._metrics.observe(trace, method, status, seconds)
        if not REQUESTS.isEnabledFor(logging.INFO):
            return
        fields: dict[str, Any] = {
            "id": trace.id,
            "client": trace.client,
            "method": method,
            "route": trace.route,
            "status": status,
            "outcome": trace.outcome,
            "bytes": size,
            "seconds": round(seconds, 6),
        }
        if trace.waited is not None:
            fields["waited"] = round(trace.waited, 6)
        if trace.version is not None:
            fields["version"] = trace.version
        if trace.job:
            fields["job"] = trace.job
        if trace.digest:
            fields["digest"] = trace.digest
        if trace.cache:
            fields["cache"] = trace.cache
        REQUESTS.info("%s %s %d", method, trace.route, status, extra={"fields": fields})


def _route(scope: Scope | None) -> str:
    route = scope and scope.get("route")
    return getattr(route, "path_format", "other")


def _outcome(status: int, *, whole: bool, fault: bool) -> str:
    """How a request ended, as far as it can be seen from outside."""
    if fault or status >= 500:
        return "failed"
    if not whole:
        return "left"
    return "refused" if status >= 400 else "ok"
