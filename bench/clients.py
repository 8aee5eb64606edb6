"""The clients of `bench.soak`: each has an address of its own, asks one thing at a time, and checks what it is told."""

from __future__ import annotations

import http.client
import random
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, Protocol
from urllib.parse import quote, urlencode

import pyoxigraph as ox

from bench.corpus import ENDLESS, FLOOD, KILLERS
from bench.truth import Facts, Known, Ledger, Newest, rows
from kg.terms import PREFIXES, RDF_TYPE, SOURCE
from tests.server import AUTHORIZED

#: What may happen to any request when there is more to do than can be done.
BUSY: Final = {429, 503}
_FORM: Final = {"Content-Type": "application/x-www-form-urlencoded"}
_PERSON, _LABEL = ox.NamedNode(PREFIXES["foaf"] + "Person"), ox.NamedNode(PREFIXES["rdfs"] + "label")


@dataclass
class Notes:
    """What the clients of a phase saw."""

    counts: Counter[tuple[str, int | str]] = field(default_factory=Counter)
    seconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    wrong: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    versions: set[int] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, kind: str, status: int | str, seconds: float, expected: bool, detail: str) -> None:
        with self._lock:
            self.counts[kind, status] += 1
            self.seconds[kind].append(seconds)
            if not expected:
                self.unexpected.append(f"{kind}: {status} {detail}")


@dataclass(frozen=True)
class Answer:
    """An answer; `status` is words if there was no whole one."""

    status: int | str
    body: bytes
    version: int


@dataclass
class Caller:
    """Sends requests from one address, and notes what comes of each."""

    port: int
    address: str
    notes: Notes
    newest: Newest

    def ask(
        self,
        kind: str,
        expected: set[int],
        method: str,
        target: str,
        body: bytes = b"",
        headers: Mapping[str, str] = MappingProxyType({}),
    ) -> Answer:
        """One request on a connection of its own. `expected` are the statuses that may come, beside those of a busy
        server."""
        begun = time.perf_counter()
        source = (self.address, 0)
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=120, source_address=source)) as wire:
            try:
                wire.request(method, target, body or None, dict(headers))
                response = wire.getresponse()
                answer = Answer(response.status, response.read(), int(response.headers.get("Parley-Version", 0)))
            except (OSError, http.client.HTTPException) as error:
                answer = Answer(type(error).__name__, str(error).encode(), 0)
        fine = answer.status in expected | BUSY
        self.notes.note(
            kind, answer.status, time.perf_counter() - begun, fine, answer.body[:300].decode(errors="replace")
        )
        return answer

    def query(self, kind: str, text: str, expected: set[int], **parameters: str) -> Answer:
        body = urlencode({"query": text, **parameters}).encode()
        return self.ask(kind, expected, "POST", "/sparql", body, _FORM)

    def leave(self, kind: str, text: str) -> None:
        """Ask, and go away at the beginning of the answer."""
        begun = time.perf_counter()
        source = (self.address, 0)
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=120, source_address=source)) as wire:
            try:
                wire.request("POST", "/sparql", urlencode({"query": text}), _FORM)
                response = wire.getresponse()
                response.read(10_000)
                status: int | str = response.status
            except (OSError, http.client.HTTPException) as error:
                status = type(error).__name__
        self.notes.note(kind, status, time.perf_counter() - begun, status in {200} | BUSY, "")

    def check(self, kind: str, known: Known, number: int) -> None:
        """Ask what has one right answer, and see that it is given, in a version no older than the newest known of."""
        least = self.newest.version
        if known.query is None:
            answer = self.ask(kind, {200}, "GET", known.target)
        else:
            answer = self.query(kind, f"{known.query}\n# {number}", {200})
        if answer.status != 200:
            return
        self.newest.told(answer.version)
        if rows(answer.body) != known.rows:
            self.notes.wrong.append(f"{kind}: another answer in version {answer.version} to {known}"[:1000])
        if answer.version < least:
            self.notes.wrong.append(f"{kind}: version {answer.version} was told after {least} was")

    def read(self, kind: str, ledger: Ledger, *, address: bool) -> None:
        """Read a graph, by its address or by a query, for its ledger to judge."""
        least = self.newest.version
        if address:
            target = f"/graphs?graph={quote(ledger.graph, safe='')}&format=ntriples"
            answer = self.ask(kind, {200, 404}, "GET", target)
        else:
            text = f"CONSTRUCT {{ ?s ?p ?o }} WHERE {{ GRAPH <{ledger.graph}> {{ ?s ?p ?o }} }}"
            answer = self.query(kind, text, {200}, format="ntriples")
        if answer.status != 200:
            return
        self.newest.told(answer.version)
        ledger.was_read(
            least, answer.version, frozenset(quad.triple for quad in ox.parse(answer.body, ox.RdfFormat.N_TRIPLES))
        )


class Client(Protocol):
    """What one client does, again and again."""

    pause: float

    def act(self) -> None: ...


@dataclass
class Asker:
    """Asks light questions, and now and then reads what others write."""

    caller: Caller
    light: Sequence[Known]
    ledgers: Sequence[Ledger]
    random: random.Random
    pause: float = 0.5

    def act(self) -> None:
        if self.ledgers and self.random.random() < 0.1:
            self.caller.read("read of another", self.random.choice(self.ledgers), address=False)
        else:
            self.caller.check("light", self.random.choice(self.light), self.random.getrandbits(60))


@dataclass
class Glutton:
    """Asks for what takes seconds, and every third time for what has to be stopped or refused."""

    caller: Caller
    heavy: Sequence[Known]
    random: random.Random
    pause: float = 8.0

    def act(self) -> None:
        if self.random.random() < 2 / 3:
            self.caller.check("heavy", self.random.choice(self.heavy), self.random.getrandbits(60))
            return
        match self.random.choice(("deadline", "memory", "guard", "left")):
            case "deadline":
                self.caller.query("over the deadline", ENDLESS, set(), timeout="2")
            case "memory":
                self.caller.query("over the memory", KILLERS["a sort of everything by everything"], set())
            case "guard":
                name = self.random.choice(["groups, 100,000", "functions", "many tokens", "long"])
                self.caller.query("refused by the guard", KILLERS[name], {400, 413})
            case "left":
                self.caller.leave("left by the client", FLOOD)


class Writer:
    """The one writer of a graph: by uploads or by updates, of which some are refused. Reads it back after each."""

    pause = 8.0

    def __init__(self, caller: Caller, number: int, random: random.Random, *, updates: bool) -> None:
        self.caller, self.number, self.random = caller, number, random
        self.ledger = Ledger(f"{SOURCE}soak-{number}")
        self._next = 0
        self._kind = "update" if updates else "upload"
        self._deeds: tuple[Callable[[], None], ...] = (
            (self._insert, self._insert, self._delete, self._modify, self._insert_wrong)
            if updates
            else (self._put, self._post, self._post, self._remove, self._post_wrong, self._post_broken)
        )

    def act(self) -> None:
        first = self._next == 0
        (self._deeds[0] if first else self.random.choice(self._deeds))()
        self.caller.read("read back", self.ledger, address=self.random.random() < 0.5)

    def _people(self, count: int) -> Facts:
        facts = set()
        for _ in range(count):
            self._next += 1
            name = f"soak-{self.number}-{self._next}"
            person = ox.NamedNode(PREFIXES["person"] + name)
            facts |= {
                ox.Triple(person, ox.NamedNode(RDF_TYPE), _PERSON),
                ox.Triple(person, _LABEL, ox.Literal(name, language="en")),
            }
        return frozenset(facts)

    def _send(self, method: str, facts: Facts, after: Facts) -> None:
        body = ox.serialize(sorted(facts, key=str), format=ox.RdfFormat.N_TRIPLES) or b""
        self._write(method, self._target, body, {"Content-Type": "application/n-triples"}, after)

    @property
    def _target(self) -> str:
        return f"/graphs?graph={quote(self.ledger.graph, safe='')}"

    def _write(self, method: str, target: str, body: bytes, headers: dict[str, str], after: Facts) -> None:
        """A write after which the graph holds `after`."""
        answer = self.caller.ask(self._kind, {200, 201}, method, target, body, {**headers, **AUTHORIZED})
        if answer.status in (200, 201) and after != self.ledger.facts:
            self.ledger.committed(answer.version, after)
            self.caller.notes.versions.add(answer.version)
            self.caller.newest.told(answer.version)

    def _refused(self, status: int, method: str, target: str, body: str, media: str) -> None:
        kind = f"{self._kind}, to be refused"
        self.caller.ask(kind, {status}, method, target, body.encode(), {"Content-Type": media, **AUTHORIZED})

    def _put(self) -> None:
        facts = self._people(self.random.randint(1, 20))
        self._send("PUT", facts, facts)

    def _post(self) -> None:
        facts = self._people(1)
        self._send("POST", facts, self.ledger.facts | facts)

    def _remove(self) -> None:
        if self.ledger.facts:
            self._write("DELETE", self._target, b"", {}, frozenset())

    def _post_wrong(self) -> None:
        self._refused(422, "POST", self._target, f"<urn:x> a <{PREFIXES['trade']}Rate> .", "text/turtle")

    def _post_broken(self) -> None:
        good = f"<{PREFIXES['person']}x> a <{_PERSON.value}> ; <{_LABEL.value}> 'x'@en .\n" * 3
        self._refused(400, "POST", self._target, f"{good}<urn:x> <urn:y> ; .", "text/turtle")

    def _update(self, text: str, after: Facts) -> None:
        self._write("POST", "/update", text.encode(), {"Content-Type": "application/sparql-update"}, after)

    def _insert(self) -> None:
        facts = self._people(self.random.randint(1, 5))
        self._update(self._data("INSERT", facts), self.ledger.facts | facts)

    def _data(self, verb: str, facts: Facts) -> str:
        triples = " ".join(f"{fact} ." for fact in facts)
        return f"{verb} DATA {{ GRAPH <{self.ledger.graph}> {{ {triples} }} }}"

    def _one(self) -> Facts:
        """All that is said of one of those in the graph."""
        subjects = sorted({str(fact.subject) for fact in self.ledger.facts})
        subject = self.random.choice(subjects) if subjects else ""
        return frozenset(fact for fact in self.ledger.facts if str(fact.subject) == subject)

    def _delete(self) -> None:
        if gone := self._one():
            self._update(self._data("DELETE", gone), self.ledger.facts - gone)

    def _modify(self) -> None:
        """Give one another name, by a pattern."""
        if not (one := self._one()):
            return
        subject = next(iter(one)).subject
        old = frozenset(fact for fact in one if fact.predicate == _LABEL)
        new = ox.Triple(subject, _LABEL, ox.Literal(f"renamed {self.random.getrandbits(40)}", language="en"))
        text = (
            f"WITH <{self.ledger.graph}> DELETE {{ ?s ?p ?old }} INSERT {{ {new} }} "
            f"WHERE {{ ?s ?p ?old VALUES (?s ?p) {{ ({subject} {_LABEL}) }} }}"
        )
        self._update(text, self.ledger.facts - old | {new})

    def _insert_wrong(self) -> None:
        text = f"INSERT DATA {{ GRAPH <{self.ledger.graph}> {{ <urn:x> a <{PREFIXES['trade']}Rate> }} }}"
        self._refused(422, "POST", "/update", text, "application/sparql-update")


def work(client: Client, end: float, hurry: float, random: random.Random) -> None:
    """Have a client act until the time has come, with pauses as people make them."""
    while True:
        time.sleep(min(random.expovariate(hurry / client.pause), max(0.0, end - time.monotonic())))
        if time.monotonic() >= end:
            return
        client.act()
