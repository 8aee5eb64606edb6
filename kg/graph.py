"""The graph as the server sees it: asynchronous, over the embedded store or over another endpoint."""

from __future__ import annotations

import asyncio
import copy
import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from hashlib import sha256
from typing import Any, Protocol

from kg import __version__
from kg.cache import Cache
from kg.conditions import WHATEVER, Expected
from kg.content import Content
from kg.engines import EndpointReader
from kg.errors import BadRequest, Forbidden, NotAcceptable
from kg.evaluation import Question
from kg.federation import gateways
from kg.formats import Format
from kg.limits import UNLIMITED, Limits
from kg.loading import Mode, Outcome
from kg.operations import Using
from kg.parsing import Document
from kg.pool import Answer, Pool
from kg.questions import Questions
from kg.rates import Inquiry
from kg.records import Record
from kg.settings import Settings
from kg.store import Versions
from kg.tokens import ANYBODY, Author, Token, read_tokens
from kg.tracing import Tally, current
from kg.wire import rebuild_outcome


class Graph(Protocol):
    """What the HTTP layer needs of a graph."""

    content: Content
    questions: Questions
    tokens: Sequence[Token]
    bare: bool
    #: Why nothing can be written, empty if something can.
    refusal: str
    #: The endpoints that queries may call, each with its gateway.
    gateways: Mapping[str, str]
    #: What an answer to a client's query may have at most.
    limits: Limits
    cache: Cache
    #: What its workers count.
    tally: Tally

    def spawn(self) -> None:
        """Start the workers before `start`, so that they open the store meanwhile."""

    async def start(self) -> None: ...
    async def stop(self) -> None: ...
    def version(self) -> int: ...
    def latest(self) -> Record | None:
        """The last commit."""

    def history(self) -> list[Record]: ...
    def mark(self, version: int) -> str:
        """A short word that tells a version from one of the same number in another store, or under another edition of
        Parley; empty where versions are not told."""

    def written_by(self, author: Author) -> Graph: ...
    async def query(
        self, question: Question, format: Format, deadline: float | None = None, limits: Limits = UNLIMITED
    ) -> Answer:
        """The answer; `truncated` in its head is the number of rows that it was cut to.

        Raises:
            Oversize: it has more bytes than it may.
        """

    async def graph(self, iri: str, format: Format) -> Answer: ...
    async def dataset(self, format: Format) -> Answer:
        """Every graph but the entailments. Raises: NotAcceptable: the engine cannot tell it."""

    async def rate(self, inquiry: Inquiry) -> dict[str, Any]: ...
    async def load(
        self, documents: Sequence[Document], mode: Mode, *, dry_run: bool, expected: Expected
    ) -> Outcome: ...
    async def remove(self, graph: str, *, dry_run: bool, expected: Expected) -> Outcome: ...
    async def update(
        self,
        text: str,
        using: Using,
        *,
        base: str,
        dry_run: bool,
        within: str | None = None,
        expected: Expected = WHATEVER,
    ) -> Outcome: ...


class EmbeddedGraph:
    """The store in a folder, read and written through worker processes."""

    def __init__(self, versions: Versions, content: Content, settings: Settings) -> None:
        self._versions, self.content = versions, content
        self.tokens: Sequence[Token] = read_tokens(settings)
        self.bare = versions.bare
        self.questions = Questions(None if versions.bare else content)
        self.refusal = "" if self.tokens else "Start it with a token in KG_TOKEN to allow writes."
        self._author = ANYBODY
        self._marks: dict[int, str] = {0: "0"}
        self.limits = Limits(settings.max_rows, settings.max_bytes)
        self.cache = Cache(settings.cache << 20)
        self._pool = Pool(versions.home, workers=settings.workers, memory=settings.memory, deadline=settings.deadline)
        self.tally = self._pool.tally
        self._settings, self._opened = settings, ExitStack()
        self.gateways: Mapping[str, str] = {}

    def spawn(self) -> None:
        self._pool.spawn()

    async def start(self) -> None:
        self.gateways = self._opened.enter_context(gateways(self._settings.allow_service, self._settings.deadline))
        await self._pool.start()

    async def stop(self) -> None:
        await self._pool.stop()
        await asyncio.to_thread(self._opened.close)

    def version(self) -> int:
        return self._versions.current()

    def latest(self) -> Record | None:
        current = self._versions.current()
        return self._versions.record(current) if current else None

    def history(self) -> list[Record]:
        return self._versions.records()

    def mark(self, version: int) -> str:
        if version not in self._marks:
            record = self._versions.record(version)
            digest = sha256(f"{__version__} {record.at} {record.message} {record.graphs}".encode())
            self._marks[version] = digest.hexdigest()[:8]
        return self._marks[version]

    def written_by(self, author: Author) -> EmbeddedGraph:
        """The same graph, whose writes are those of an author."""
        graph = copy.copy(self)
        graph._author = author
        return graph

    async def query(
        self, question: Question, format: Format, deadline: float | None = None, limits: Limits = UNLIMITED
    ) -> Answer:
        key, size = (question, format.name, limits), len(question.text)
        if not question.volatile:
            version = self._versions.current()
            found = self.cache.get(version, key)
            trace = current()
            trace.cache = "miss" if found is None else "hit"
            if found is not None:
                trace.version = version
                cut = {"truncated": limits.rows} if self.cache.is_cut(key) else {}
                return Answer({"version": version, **cut}, found)
        request = {
            "job": "query",
            "question": question.fields,
            "format": format.name,
            "limits": (limits.rows, limits.bytes),
        }
        answer = await self._pool.read(request, deadline)
        if question.volatile:
            return answer
        version, was_cut = answer.head["version"], "truncated" in answer.head
        if isinstance(answer.body, bytes):
            self.cache.put(version, key, answer.body, size, cut=was_cut)
            return answer
        return Answer(answer.head, self.cache.keeping(answer.body, version, key, size, cut=was_cut))

    async def graph(self, iri: str, format: Format) -> Answer:
        return await self._pool.read({"job": "graph", "graph": iri, "format": format.name})

    async def dataset(self, format: Format) -> Answer:
        return await self._pool.read({"job": "dataset", "format": format.name})

    async def rate(self, inquiry: Inquiry) -> dict[str, Any]:
        return await _json(await self._pool.read({"job": "rate", "inquiry": asdict(inquiry)}))

    async def load(self, documents: Sequence[Document], mode: Mode, *, dry_run: bool, expected: Expected) -> Outcome:
        first = documents[0]
        target = first.graph or ("default graph" if first.claims_graph else "data set")
        request = {
            "job": "load",
            "parts": [{"name": d.name, "format": d.format.name, "graph": d.graph} for d in documents],
            "mode": mode,
            "message": f"{'PUT' if mode == 'replace' else 'POST'} {target}",
            "dry_run": dry_run,
            "expected": asdict(expected),
        }
        bodies = [d.data for d in documents if isinstance(d.data, bytes)]
        return await self._write(request, *bodies)

    async def remove(self, graph: str, *, dry_run: bool, expected: Expected) -> Outcome:
        request = {"job": "remove", "graphs": [graph], "dry_run": dry_run, "expected": asdict(expected)}
        return await self._write(request)

    async def update(
        self,
        text: str,
        using: Using,
        *,
        base: str,
        dry_run: bool,
        within: str | None = None,
        expected: Expected = WHATEVER,
    ) -> Outcome:
        how = {"base": base, "within": within, "dry_run": dry_run, "expected": asdict(expected)}
        if within is not None:
            how["message"] = f"PATCH {within or 'default graph'}"
        request = {"job": "update", "text": text, **asdict(using), **how}
        return await self._write(request)

    async def _write(self, request: dict[str, Any], *documents: bytes) -> Outcome:
        answer = await self._pool.write({**request, "author": asdict(self._author)}, *documents)
        return rebuild_outcome(await _json(answer))


class EndpointGraph:
    """Another SPARQL 1.1 endpoint, read only: questions, rates and queries over a graph that lives elsewhere."""

    tokens: Sequence[Token] = ()
    bare = False
    gateways: Mapping[str, str] = {}
    limits = UNLIMITED
    refusal = "It shows another endpoint (KG_STORE): write to that endpoint itself."

    def __init__(self, url: str, content: Content, settings: Settings) -> None:
        """Raises: BadRequest: the settings limit answers, which is up to the endpoint."""
        _refuse_limits(Limits(settings.max_rows, settings.max_bytes))
        self._reader = EndpointReader(url, settings.deadline)
        self.content = content
        self.questions = Questions(content)
        self.cache, self.tally = Cache(0), Tally()

    def spawn(self) -> None:
        """Nothing to start."""

    async def start(self) -> None:
        """Nothing to start."""

    async def stop(self) -> None:
        """Nothing to stop."""

    def version(self) -> int:
        return 0

    def latest(self) -> Record | None:
        return None

    def history(self) -> list[Record]:
        return []

    def mark(self, version: int) -> str:
        return ""

    def written_by(self, author: Author) -> EndpointGraph:
        return self

    async def query(
        self, question: Question, format: Format, deadline: float | None = None, limits: Limits = UNLIMITED
    ) -> Answer:
        """Raises: BadRequest: there are limits, which it cannot hold the endpoint to."""
        _refuse_limits(limits)
        body = await asyncio.to_thread(self._reader.answer, question, format)
        return Answer({"version": 0}, body)

    async def graph(self, iri: str, format: Format) -> Answer:
        pattern = f"GRAPH <{iri}> {{ ?s ?p ?o }}" if iri else "?s ?p ?o"
        return await self.query(Question(f"CONSTRUCT {{ ?s ?p ?o }} WHERE {{ {pattern} }}"), format)

    async def dataset(self, format: Format) -> Answer:
        raise NotAcceptable("This server reads another endpoint (KG_STORE).", "Ask for one graph at a time.")

    async def rate(self, inquiry: Inquiry) -> dict[str, Any]:
        from kg.rates import explain

        return await asyncio.to_thread(explain, self._reader, inquiry)

    async def _refuse(self, *_: Any, **__: Any) -> Outcome:
        raise Forbidden("This server reads another endpoint (KG_STORE).", "Write to that endpoint itself.")

    load = remove = update = _refuse


def _refuse_limits(limits: Limits) -> None:
    if limits != UNLIMITED:
        raise BadRequest(
            "Answers of another endpoint (KG_STORE) are not limited here.",
            "Write LIMIT, or set limits at the endpoint.",
        )


def open_graph(settings: Settings, versions: Versions | None, content: Content) -> Graph:
    """The graph of an embedded store, or without one that of the endpoint which the settings name."""
    if versions is None:
        return EndpointGraph(settings.store, content, settings)
    return EmbeddedGraph(versions, content, settings)


async def _json(answer: Answer) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(await answer.read())
    return body
