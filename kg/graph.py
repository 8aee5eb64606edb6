"""The graph as the server sees it: asynchronous, over the embedded store or over another endpoint."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import asdict
from typing import Any, Protocol

from kg.content import Content
from kg.engines import EndpointReader
from kg.errors import Forbidden
from kg.evaluation import Question
from kg.formats import Format
from kg.loading import Mode, Outcome
from kg.operations import Using
from kg.pool import Answer, Pool
from kg.questions import Questions
from kg.rates import Inquiry
from kg.records import Record
from kg.settings import Settings
from kg.store import Versions
from kg.wire import rebuild_outcome


class Graph(Protocol):
    """What the HTTP layer needs of a graph."""

    content: Content
    questions: Questions
    token: str
    bare: bool
    #: Why nothing can be written, empty if something can.
    refusal: str

    async def start(self) -> None: ...
    async def stop(self) -> None: ...
    def version(self) -> int: ...
    def history(self) -> list[Record]: ...
    async def query(self, question: Question, format: Format, deadline: float | None = None) -> Answer: ...
    async def graph(self, iri: str, format: Format) -> Answer: ...
    async def rate(self, inquiry: Inquiry) -> dict[str, Any]: ...
    async def load(self, data: bytes, format: Format, graph: str, mode: Mode, *, dry_run: bool) -> Outcome: ...
    async def remove(self, graph: str, *, dry_run: bool) -> Outcome: ...
    async def update(self, text: str, using: Using, *, base: str, dry_run: bool) -> Outcome: ...


class EmbeddedGraph:
    """The store in a folder, read and written through worker processes."""

    def __init__(self, versions: Versions, content: Content, settings: Settings) -> None:
        self._versions, self.content = versions, content
        self.token, self.bare = settings.token, versions.bare
        self.questions = Questions(None if versions.bare else content)
        self.refusal = "" if self.token else "Start it with a token in KG_TOKEN to allow writes."
        self._pool = Pool(versions.home, workers=settings.workers, memory=settings.memory, deadline=settings.deadline)

    async def start(self) -> None:
        await self._pool.start()

    async def stop(self) -> None:
        await self._pool.stop()

    def version(self) -> int:
        return self._versions.current()

    def history(self) -> list[Record]:
        return self._versions.records()

    async def query(self, question: Question, format: Format, deadline: float | None = None) -> Answer:
        request = {
            "job": "query",
            "text": question.text,
            "format": format.name,
            "default_graphs": question.default_graphs,
            "named_graphs": question.named_graphs,
        }
        return await self._pool.read(request, deadline)

    async def graph(self, iri: str, format: Format) -> Answer:
        return await self._pool.read({"job": "graph", "graph": iri, "format": format.name})

    async def rate(self, inquiry: Inquiry) -> dict[str, Any]:
        return await _json(await self._pool.read({"job": "rate", "inquiry": asdict(inquiry)}))

    async def load(self, data: bytes, format: Format, graph: str, mode: Mode, *, dry_run: bool) -> Outcome:
        target = graph or ("default graph" if format.kind == "graph" else "data set")
        request = {
            "job": "load",
            "name": "the body",
            "format": format.name,
            "graph": graph,
            "mode": mode,
            "message": f"{'PUT' if mode == 'replace' else 'POST'} {target}",
            "dry_run": dry_run,
        }
        return rebuild_outcome(await _json(await self._pool.write(request, data)))

    async def remove(self, graph: str, *, dry_run: bool) -> Outcome:
        request = {"job": "remove", "graphs": [graph], "dry_run": dry_run}
        return rebuild_outcome(await _json(await self._pool.write(request)))

    async def update(self, text: str, using: Using, *, base: str, dry_run: bool) -> Outcome:
        request = {"job": "update", "text": text, **asdict(using), "base": base, "dry_run": dry_run}
        return rebuild_outcome(await _json(await self._pool.write(request)))


class EndpointGraph:
    """Another SPARQL 1.1 endpoint, read only: questions, rates and queries over a graph that lives elsewhere."""

    token = ""
    bare = False
    refusal = "It shows another endpoint (KG_STORE): write to that endpoint itself."

    def __init__(self, url: str, content: Content, settings: Settings) -> None:
        self._reader = EndpointReader(url, settings.deadline)
        self.content = content
        self.questions = Questions(content)

    async def start(self) -> None:
        """Nothing to start."""

    async def stop(self) -> None:
        """Nothing to stop."""

    def version(self) -> int:
        return 0

    def history(self) -> list[Record]:
        return []

    async def query(self, question: Question, format: Format, deadline: float | None = None) -> Answer:
        body = await asyncio.to_thread(self._reader.answer, question, format)
        return Answer({"version": 0}, _once(body))

    async def graph(self, iri: str, format: Format) -> Answer:
        pattern = f"GRAPH <{iri}> {{ ?s ?p ?o }}" if iri else "?s ?p ?o"
        return await self.query(Question(f"CONSTRUCT {{ ?s ?p ?o }} WHERE {{ {pattern} }}"), format)

    async def rate(self, inquiry: Inquiry) -> dict[str, Any]:
        from kg.rates import explain

        return await asyncio.to_thread(explain, self._reader, inquiry)

    async def load(self, data: bytes, format: Format, graph: str, mode: Mode, *, dry_run: bool) -> Outcome:
        raise Forbidden("This server reads another endpoint (KG_STORE).", "Write to that endpoint itself.")

    async def remove(self, graph: str, *, dry_run: bool) -> Outcome:
        raise Forbidden("This server reads another endpoint (KG_STORE).", "Write to that endpoint itself.")

    async def update(self, text: str, using: Using, *, base: str, dry_run: bool) -> Outcome:
        raise Forbidden("This server reads another endpoint (KG_STORE).", "Write to that endpoint itself.")


async def _json(answer: Answer) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(await answer.read())
    return body


async def _once(body: bytes) -> AsyncIterator[bytes]:
    yield body
