"""What is true while clients write: the answers that no write changes, and what each acknowledged write left."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pyoxigraph as ox

from kg import formats
from kg.content import Content
from kg.engines import StoreReader
from kg.evaluation import Question
from kg.questions import Questions
from kg.store import Versions

#: Seconds that the engine may take for a question that counts as light.
_LIGHT: Final = 0.03
#: Its answer tells of commits, and so changes with each.
_OF_COMMITS: Final = "changes-since"
#: Entities that single patterns ask for.
_ENTITIES: Final = 200

#: Joins that take seconds.
_HEAVY: Final = (
    "SELECT (COUNT(*) AS ?n) { ?a a trade:Rate ; ?p ?o . ?b a trade:Rate ; ?p ?o }",
    "SELECT (COUNT(*) AS ?n) { ?a skos:notation ?x . ?b a trade:Statement ; rdfs:label|skos:note|rdf:type ?y "
    "FILTER(STRLEN(STR(?x)) = STRLEN(STR(?y)) || STR(?x) < STR(?y)) }",
    "SELECT (COUNT(DISTINCT ?z) AS ?n) { ?a a trade:Rate ; trade:from ?x . ?b a trade:Rate ; trade:from ?y . "
    "?b trade:rateOf ?t BIND(CONCAT(STR(?a), STR(?t), STR(?y)) AS ?z) }",
)

Rows = Counter[str]
Facts = frozenset[ox.Triple]


@dataclass(frozen=True)
class Known:
    """A request for rows and the only right answer to it."""

    target: str
    #: A query is sent as such, with a comment that makes it new; a named question is asked by its address.
    query: str | None
    rows: Rows


def rows(body: bytes) -> Rows:
    """The rows of an answer in JSON, in no order."""
    return Counter(json.dumps(row, sort_keys=True) for row in json.loads(body)["results"]["bindings"])


def known(home: Path) -> tuple[list[Known], list[Known]]:
    """Light and heavy requests with their answers, which the engine finds in the store."""
    light, heavy = [], []
    with Versions(home).reading() as (_, store):
        reader = StoreReader(store)

        def answer(question: Question) -> Rows:
            return rows(reader.answer(question, formats.ROWS[0]))

        for named in Questions(Content.shipped()).all:
            given = {p.name: p.example for p in named.parameters}
            question, begun = named.bind(given), time.perf_counter()
            found = answer(question)
            if time.perf_counter() - begun < _LIGHT and named.name != _OF_COMMITS:
                address = "&".join(f"{name}={value}" for name, value in given.items())
                light.append(Known(f"/questions/{named.name}?{address}", None, found))
                light.append(Known("/sparql", question.text, found))
        entities = f"SELECT DISTINCT ?s {{ ?s trade:grade|rdfs:label ?o }} ORDER BY ?s LIMIT {_ENTITIES}"
        for row in reader.rows(entities):
            text = f"SELECT ?p ?o {{ <{row['s'].value}> ?p ?o }}"
            light.append(Known("/sparql", text, answer(Question(text))))
        heavy = [Known("/sparql", text, answer(Question(text))) for text in _HEAVY]
    return light, heavy


@dataclass
class _Reading:
    least: int
    version: int
    facts: Facts


@dataclass
class Ledger:
    """What one graph must hold at each version. Its one writer notes here what is acknowledged, and everybody who
    reads it what was read; that is judged at the end, when it is known which versions there are."""

    graph: str
    states: list[tuple[int, Facts]] = field(default_factory=lambda: [(0, frozenset())])
    _readings: list[_Reading] = field(default_factory=list)

    @property
    def facts(self) -> Facts:
        """What was acknowledged last."""
        return self.states[-1][1]

    def committed(self, version: int, facts: Facts) -> None:
        self.states.append((version, facts))

    def was_read(self, least: int, version: int, facts: Facts) -> None:
        """`least` is the last version that anybody knew of when the request was sent."""
        self._readings.append(_Reading(least, version, facts))

    def at(self, version: int) -> Facts:
        return next(facts for since, facts in reversed(self.states) if since <= version)

    @property
    def readings(self) -> int:
        return len(self._readings)

    def wrong(self) -> list[str]:
        """The readings that were not as they should be."""
        found = []
        for reading in self._readings:
            if reading.version < reading.least:
                found.append(f"{self.graph}: version {reading.version} was read after {reading.least} was acknowledged")
            elif reading.facts != (right := self.at(reading.version)):
                lacks, more = len(right - reading.facts), len(reading.facts - right)
                found.append(f"{self.graph}: version {reading.version} lacks {lacks} facts and has {more} more")
        return found


@dataclass
class Newest:
    """The newest version that a client was told of: no later answer may be older."""

    version: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def told(self, version: int) -> None:
        with self._lock:
            self.version = max(self.version, version)
