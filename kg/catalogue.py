"""What a server knows of its graph as a whole: the vocabulary and the counts, found out once a version."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

import pyoxigraph as ox

from kg import constraints, formats, vocabulary
from kg.errors import NotFound, Stopped
from kg.evaluation import Question
from kg.results import Table
from kg.vocabulary import Vocabulary

if TYPE_CHECKING:
    from kg.graph import Graph

#: How long, in seconds, a finding holds where versions are not told (another endpoint), and a failure to count.
_KEPT: Final = 600.0
_COUNT: Final = """
SELECT ?entities ?class ?property ?number {
    { SELECT (COUNT(DISTINCT ?thing) AS ?entities) { ?thing a ?any FILTER(isIRI(?thing)) } }
    UNION { SELECT ?class (COUNT(*) AS ?number) { ?thing a ?class } GROUP BY ?class }
    UNION { SELECT ?property (COUNT(*) AS ?number) { ?thing ?property ?value } GROUP BY ?property }
}"""

T = TypeVar("T")


@dataclass(frozen=True)
class Counts:
    """Numbers of the default graph: entities (with a name and a type), instances a class, uses a property."""

    entities: int
    classes: dict[str, int] = field(default_factory=dict)
    properties: dict[str, int] = field(default_factory=dict)

    @property
    def triples(self) -> int:
        return sum(self.properties.values())

    @classmethod
    def from_table(cls, table: Table) -> Counts:
        """Read the answer to the query that counts."""
        entities, classes, properties = 0, {}, {}
        for everything, class_, property_, number in table.rows:
            if everything.text:
                entities = int(everything.text)
            elif class_.iri:
                classes[class_.iri] = int(number.text)
            elif property_.iri:
                properties[property_.iri] = int(number.text)
        return cls(entities, classes, properties)


@dataclass(frozen=True)
class Summary:
    """One version: its number, the times of the first and the last commit, and its counts.

    Another endpoint tells neither number (0) nor times (empty). Counts are None if they exceed the limits of a query.
    """

    version: int
    issued: str = ""
    modified: str = ""
    counts: Counts | None = None


class Catalogue:
    """Finds out and remembers. Requests that come meanwhile wait for the one finding."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._summary: _Kept[Summary] = _Kept(self._summarise)
        self._vocabulary: _Kept[Vocabulary] = _Kept(self._read)

    async def summary(self, patience: float | None = None) -> Summary | None:
        """The summary of the current version, or None if it takes longer than `patience` seconds."""
        return await self._summary.get(self._graph.version(), patience)

    async def vocabulary(self) -> Vocabulary:
        """The ontology with shapes and questions. Raises: NotFound: the graph has no ontology."""
        found = await self._vocabulary.get(self._graph.version())
        assert found is not None
        return found

    async def _summarise(self) -> tuple[Summary, bool]:
        version, records = self._graph.version(), self._graph.history()
        issued, modified = (records[-1].at, records[0].at) if records else ("", "")
        try:
            answer = await self._graph.query(Question(_COUNT), formats.ROWS[0])
            counts = Counts.from_table(Table.from_json(await answer.read()))
        except Stopped:
            return Summary(version, issued, modified), False
        return Summary(version, issued, modified, counts), True

    async def _read(self) -> tuple[Vocabulary, bool]:
        if self._graph.bare:
            raise NotFound("A bare store has no ontology.", "GET /graphs lists the graphs that it has.")
        content = self._graph.content
        graphs = " ".join(f"<{iri}>" for iri in content.ontology)
        text = f"CONSTRUCT {{ ?s ?p ?o }} WHERE {{ VALUES ?graph {{ {graphs} }} GRAPH ?graph {{ ?s ?p ?o }} }}"
        answer = await self._graph.query(Question(text), formats.GRAPHS[1])
        triples = list(ox.parse(await answer.read(), ox.RdfFormat.N_TRIPLES))
        if not triples:
            raise NotFound("This graph has no ontology.", "GET /graphs lists the graphs that it has.")
        demands = await asyncio.to_thread(constraints.read, content.shapes)
        return await asyncio.to_thread(vocabulary.read, triples, demands, self._graph.questions.all), True


class _Kept(Generic[T]):
    """One finding, kept for the version that it was made for. `find` also says whether it lasts as long as that."""

    def __init__(self, find: Callable[[], Coroutine[Any, Any, tuple[T, bool]]]) -> None:
        self._find = find
        self._version, self._begun = -1, 0.0
        self._task: asyncio.Task[tuple[T, bool]] | None = None

    async def get(self, version: int, patience: float | None = None) -> T | None:
        """The finding, or None if it is not there after that many seconds; the search for it goes on."""
        if self._task is None or version != self._version or self._is_stale(self._task):
            self._version, self._begun = version, time.monotonic()
            self._task = asyncio.create_task(self._find())
        task = self._task
        done, _ = await asyncio.wait({task}, timeout=patience)
        return task.result()[0] if done else None

    def _is_stale(self, task: asyncio.Task[tuple[T, bool]]) -> bool:
        if not task.done():
            return False
        if task.cancelled() or task.exception() is not None:
            return True
        # Version 0 is that of another endpoint, which does not tell when it changes.
        lasts = task.result()[1] and self._version > 0
        return not lasts and time.monotonic() - self._begun > _KEPT
