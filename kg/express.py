"""The short way to an answer: plain queries to /sparql pass by the layers that the web framework needs for the rest.

Most of what programs ask is plain. Whatever is not, or fails, goes the whole way and gets the same answer there.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import lru_cache
from typing import Final, NamedTuple
from urllib.parse import parse_qsl

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kg import formats
from kg.conditions import entity_tag
from kg.envelope import usual_headers
from kg.errors import ParleyError
from kg.evaluation import Question
from kg.formats import Format
from kg.graph import Graph
from kg.streaming import stream
from kg.tracing import current, digest_of

#: Where queries are asked.
PATH: Final = "/sparql"
#: Headers that a plain request may have, each once. With any other it may want what is not known here.
_PLAIN: Final = frozenset(
    name.encode()
    for name in (
        *("host", "user-agent", "connection", "accept", "accept-encoding", "accept-language"),
        *("content-type", "content-length", "x-request-id", "x-forwarded-for", "x-forwarded-proto", "x-real-ip"),
    )
)
#: Parameters that a plain request may have, each once; the last two are sent by SPARQLWrapper and mean nothing here.
_PARAMETERS: Final = frozenset(("query", "format", "output", "results"))
#: Bytes of a plain request.
_MOST: Final = 1 << 16
#: Requests that are remembered as they were read.
_REMEMBERED: Final = 512
#: Bytes up to which one is remembered.
_SHORT: Final = 1 << 13
_FORM: Final = b"application/x-www-form-urlencoded"
_TEXT: Final = b"application/sparql-query"
#: The name under which the application is told, in the state of a request, how the short way failed.
FAILURE: Final = "failure"
#: What the layers add to every answer.
_USUAL: Final = [
    (name.lower().encode(), value.encode()) for name, value in {**usual_headers(PATH), "Vary": "Origin, Accept"}.items()
]


class _Plan(NamedTuple):
    question: Question
    form: Format
    digest: str


class Express:
    """ASGI middleware in front of the application over one graph."""

    def __init__(self, app: ASGIApp, graph: Graph) -> None:
        self._app, self._graph = app, graph
        self._remembered = lru_cache(_REMEMBERED)(self._read)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = _plain_headers(scope) if scope["type"] == "http" and scope["path"] == PATH else None
        # On a bare server relative names depend on the address, which is the framework's to tell.
        if headers is None or self._graph.bare:
            await self._app(scope, receive, send)
            return
        if scope["method"] == "GET":
            kind, raw = _FORM, scope["query_string"]
        else:
            kind, body = headers[b"content-type"], await _body(receive)
            if body is None:
                return
            raw, receive = body, _again(body, receive)
        plan = self._plan(kind, raw, headers.get(b"accept", b""))
        if plan is None:
            await self._app(scope, receive, send)
            return
        trace = current()
        trace.route, trace.job, trace.digest = PATH, "query", plan.digest
        try:
            answer = await self._graph.query(plan.question, plan.form, limits=self._graph.limits)
        except Exception as error:  # the application knows what to answer
            scope.setdefault("state", {})[FAILURE] = error
            await self._app(scope, receive, send)
            return
        tag = ""
        if scope["method"] == "GET" and not plan.question.volatile:
            tag = entity_tag(self._graph, answer.head["version"], plan.form.name)
        response = stream(answer, plan.form, {"ETag": tag} if tag else None)
        response.raw_headers += _USUAL
        await response(scope, receive, send)

    def _plan(self, kind: bytes, raw: bytes, accept: bytes) -> _Plan | None:
        try:
            return (self._remembered if len(raw) <= _SHORT else self._read)(kind, raw, accept)
        except (ParleyError, ValueError):
            return None

    def _read(self, kind: bytes, raw: bytes, accept: bytes) -> _Plan | None:
        """What is asked, None if it is not plain."""
        if kind == _TEXT:
            given = {"query": raw.decode()}
        else:
            fields = parse_qsl(raw.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=4)
            given = dict(fields)
            if len(given) < len(fields) or "query" not in given or not given.keys() <= _PARAMETERS:
                return None
        wanted, accepted = given.get("format", ""), accept.decode("latin-1")
        if not wanted and formats.prefers_page(accepted):
            return None
        question = Question(given["query"], gateways=self._graph.gateways)
        offered = question.answers_with
        form = formats.named(wanted, offered) if wanted else formats.negotiate(accepted, offered)
        return _Plan(question, form, digest_of(question.text))


def _plain_headers(scope: Scope) -> dict[bytes, bytes] | None:
    """The headers of a request that may be plain, else None."""
    headers = dict(scope["headers"])
    if len(headers) < len(scope["headers"]) or not headers.keys() <= _PLAIN:
        return None
    if scope["method"] == "GET":
        return headers if b"content-length" not in headers else None
    if scope["method"] != "POST" or scope["query_string"] or headers.get(b"content-type") not in (_FORM, _TEXT):
        return None
    return headers if 0 < int(headers.get(b"content-length", b"0")) <= _MOST else None


async def _body(receive: Receive) -> bytes | None:
    """The whole body; None if the client left before its end."""
    body, more = b"", True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return body


def _again(body: bytes, receive: Receive) -> Callable[[], Awaitable[Message]]:
    """A receive that begins with the body, which was taken already."""
    told = False

    async def receive_again() -> Message:
        nonlocal told
        if told:
            return await receive()
        told = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receive_again
