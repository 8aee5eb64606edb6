"""Everything in the corpus of hostile input sent to one server, which must answer each and be there afterwards.

    python -m bench.hostile

The server is `kg serve` on the shipped facts, with a deadline of 5 seconds and 1,600 MB for a worker, so that what
has to be stopped is stopped soon. One after the other, each input must be answered with a 4xx or a 503, or with a 2xx
if it can simply be done, and a light query right after it must be answered as before. Exit status 1 if anything else
happens.
"""

from __future__ import annotations

import http.client
import select
import socket
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import quote, urlencode, urlsplit

from bench import corpus
from bench.requests import REQUESTS, TOKEN, Pieces, request
from kg import formats
from tests import server
from tests.server import served

DEADLINE, MEMORY = 5, 1600
#: Bytes after which input without end has been taken for too long, and seconds to wait for an answer.
MOST, PATIENCE = 300_000_000, 60.0
_LIGHT = "SELECT (COUNT(*) AS ?n) { ?t a trade:Tariff }"

HEADER = f"{'input':62} {'bytes':>11}  {'status':12} {'seconds':>7}"

Status = int | str


@dataclass(frozen=True)
class Outcome:
    """What came of one input: `status` is a number, or words if there was no whole answer."""

    name: str
    bytes: int
    status: Status
    seconds: float
    #: The seconds of the light query after it; None if that was not answered as it should.
    light: float | None

    @property
    def fine(self) -> bool:
        refused = self.status == 503 or (isinstance(self.status, int) and 400 <= self.status < 500)
        return self.light is not None and (refused or self.done)

    @property
    def done(self) -> bool:
        """Whether the server simply did it."""
        return isinstance(self.status, int) and 200 <= self.status < 300

    def row(self) -> str:
        note = "" if self.fine else "  <- no light query after it" if self.light is None else "  <- not as it should be"
        return f"{self.name:62} {self.bytes:11,}  {self.status!s:12} {self.seconds:7.2f}{note}"


@dataclass(frozen=True)
class Report:
    """What came of all of them."""

    outcomes: list[Outcome]
    pid: int
    alive: bool

    @property
    def fine(self) -> bool:
        return self.alive and all(outcome.fine for outcome in self.outcomes)

    def text(self) -> str:
        """What there is to say beside the rows of the inputs."""
        rows = []
        if done := [o.name for o in self.outcomes if o.done]:
            rows.append(f"Simply done ({len(done)}): {'; '.join(done)}.")
        slowest = max((o.light or 0 for o in self.outcomes), default=0)
        rows.append(f"The slowest light query afterwards took {slowest * 1000:.0f} ms.")
        counts = Counter(str(o.status) for o in self.outcomes)
        told = ", ".join(f"{status}: {count}" for status, count in sorted(counts.items()))
        end = f"pid {self.pid} at the end" if self.alive else "gone at the end"
        rows.append(f"pid {self.pid} at the start, {end}; {len(self.outcomes)} inputs, {told}")
        return "\n".join(rows)


def inputs() -> Iterator[tuple[str, Callable[[], Pieces]]]:
    """Every input by its name, and what makes its request."""
    for name, text in (corpus.KILLERS | corpus.HEAVY).items():
        yield f"query: {name}", partial(_form, "/sparql", "query", text)
    for name, text in corpus.UPDATES.items():
        yield f"update: {name}", partial(_form, "/update", "update", text)
    for name, (media, text) in corpus.BOMBS.items():
        yield f"upload: {name}", partial(_upload, media, text.encode("utf-8", "surrogateescape"))
    for name, (content, _) in corpus.MALFORMED.items():
        yield f"upload: {name}", partial(_file, name, partial(_bytes, content))
    for name, make in (corpus.LARGE | corpus.LONG).items():
        yield f"upload: {name}", partial(_file, name, make)
    for name, pieces in REQUESTS.items():
        yield f"http: {name}", pieces
    for name, content in corpus.ODD.items():  # last, since they are stored
        yield f"upload: {name}", partial(_file, name, partial(_bytes, content))


def _bytes(content: str | bytes) -> bytes:
    return content if isinstance(content, bytes) else content.encode()


def _form(path: str, field: str, text: str) -> Pieces:
    return request(f"POST {path}", urlencode({field: text}).encode(), Content_Type="application/x-www-form-urlencoded")


def _upload(media: str, body: bytes, **headers: str) -> Pieces:
    dataset = any(media in form.media for form in formats.DATASETS)
    target = "/graphs" if dataset else f"/graphs?graph={quote('urn:bomb')}"
    return request(f"PUT {target}", body, Content_Type=media, **headers)


def _file(name: str, make: Callable[[], bytes]) -> Pieces:
    """A file as it would be sent: its ending tells its type."""
    form = formats.by_ending(name.removesuffix(".gz"))
    assert form is not None
    packed = {"Content_Encoding": "gzip"} if name.endswith(".gz") else {}
    return _upload(form.media[0], make(), **packed)


def send(address: tuple[str, int], pieces: Pieces, most: int = MOST) -> tuple[int, Status]:
    """Send a request until it ends or is answered: the bytes that were sent, and the status.

    An answer that is broken off, as those are that fail after their beginning, has the status `broken off`.
    """
    sent = 0
    with closing(socket.create_connection(address, timeout=PATIENCE)) as connection:
        try:
            for piece in _cut(pieces):
                if select.select([connection], [], [], 0)[0]:
                    break
                if sent > most:
                    return sent, "goes on"
                connection.sendall(piece)
                sent += len(piece)
        except TimeoutError:
            return sent, "no answer"
        except OSError:
            pass  # it was closed while we sent; the answer may be here yet
        try:
            answer = http.client.HTTPResponse(connection)
            answer.begin()
            answer.read()
        except TimeoutError:
            return sent, "no answer"
        except http.client.IncompleteRead:
            return sent, "broken off"
        except (OSError, http.client.HTTPException):
            return sent, "closed"
        return sent, answer.status


def _cut(pieces: Iterable[bytes], size: int = 1 << 16) -> Iterator[bytes]:
    for piece in pieces:
        piece = piece.replace(TOKEN, server.TOKEN.encode()) if TOKEN in piece[:500] else piece
        for start in range(0, len(piece), size):
            yield piece[start : start + size]


def _light(address: tuple[str, int], number: int) -> bytes | None:
    """The answer to the light query, which is not remembered from the last time; None if there is none."""
    with closing(http.client.HTTPConnection(*address, timeout=10)) as connection:
        try:
            connection.request("GET", "/sparql?" + urlencode({"query": f"{_LIGHT} # {number}", "format": "csv"}))
            answer = connection.getresponse()
            body = answer.read()
        except (OSError, http.client.HTTPException):
            return None
        return body if answer.status == 200 else None


def attack(
    home: Path, only: Collection[str] | None = None, tell: Callable[[Outcome], None] = lambda outcome: None
) -> Report:
    """Send all inputs, or only those that are named, to a server on the store in `home`."""
    with served(home, KG_DEADLINE=str(DEADLINE), KG_MEMORY=str(MEMORY)) as running:
        address = "127.0.0.1", urlsplit(running.url).port or 0
        truth, outcomes = _light(address, 0), []
        for number, (name, make) in enumerate(inputs(), 1):
            if only is not None and name not in only:
                continue
            pieces, begun = make(), time.perf_counter()
            sent, status = send(address, pieces)
            seconds = time.perf_counter() - begun
            begun = time.perf_counter()
            right = truth is not None and _light(address, number) == truth
            light = time.perf_counter() - begun if right else None
            outcomes.append(Outcome(name, sent, status, seconds, light))
            tell(outcomes[-1])
        return Report(outcomes, running.pid, running.alive)


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="kg-bench-") as folder:
        print(HEADER)
        report = attack(Path(folder) / "home", tell=lambda outcome: print(outcome.row(), flush=True))
    print(f"\n{report.text()}")
    sys.exit(not report.fine)


if __name__ == "__main__":
    main()
