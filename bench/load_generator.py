"""Ask a server one query after the other over several connections, at little cost to the machine.

    python -m bench.load_generator < JOB

A process of its own that speaks of HTTP only what it needs: requests are bytes made beforehand, and of an answer it
reads the status and where it ends. JOB is a `Job` as JSON; it prints `Figures` as JSON.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from itertools import count, cycle
from urllib.parse import urlencode

import uvloop

from bench.common import percentile

_LENGTH = re.compile(rb"content-length: *(\d+)")


@dataclass(frozen=True)
class Job:
    """What to ask of a server on this machine, and for how long."""

    port: int
    path: str
    queries: list[str]
    #: Whether each request differs from all others, in a comment.
    distinct: bool
    #: After so many seconds it ends with the last query of the list, so that each is asked as often as any other.
    seconds: float
    #: After so many it ends in any case.
    most: float
    connections: int


@dataclass(frozen=True)
class Figures:
    """What came of a job. Latencies are in milliseconds, -1 where nothing was answered."""

    answers: int
    #: Answers other than 200, and those that had not come at the end.
    failures: int
    #: To the last answer, or to the end of the job where some had not come.
    seconds: float
    p50: float
    p99: float


class Answer:
    """One answer as it comes in: its head, and a body whose length is told or that comes in chunks."""

    def __init__(self) -> None:
        self.status = 0
        self._data = b""
        #: Where the body ends in what has come, or the next chunk begins; before the head is read, 0.
        self._end = 0
        self._chunked = False

    def feed(self, data: bytes) -> bool:
        """Take the next bytes; true when the answer is complete.

        Raises:
            ValueError: it does not tell where it ends.
        """
        self._data += data
        if not self.status and not self._begin():
            return False
        while self._chunked and self._end < len(self._data):
            line = self._data.find(b"\r\n", self._end)
            if line < 0:
                return False
            size = int(self._data[self._end : line].partition(b";")[0], 16)
            if size == 0:
                return self._data.endswith(b"\r\n\r\n")
            # What is behind is not needed any more.
            self._end, self._data = size + 2, self._data[line + 2 :]
            if self._end > len(self._data):
                self._end, self._data = self._end - len(self._data), b""
                return False
            self._data, self._end = self._data[self._end :], 0
        return not self._chunked and len(self._data) >= self._end

    def _begin(self) -> bool:
        end = self._data.find(b"\r\n\r\n")
        if end < 0:
            return False
        head, self._data = self._data[:end].lower(), self._data[end + 4 :]
        self.status = int(head[9:12])
        self._chunked = b"\r\ntransfer-encoding: chunked" in head
        length = _LENGTH.search(head)
        if not self._chunked and length is None:
            raise ValueError("The answer tells no length and does not come in chunks.")
        self._end = int(length[1]) if length and not self._chunked else 0
        return True


def requests(job: Job) -> Iterator[bytes]:
    """The requests, without end; the list is gone through again and again."""
    salt = time.time_ns()
    for number, query in zip(count(), cycle(job.queries), strict=False):
        text = f"{query}\n# {salt} {number}" if job.distinct else query
        body = urlencode({"query": text}).encode()
        yield (
            f"POST {job.path} HTTP/1.1\r\nHost: 127.0.0.1:{job.port}\r\nAccept: application/sparql-results+json\r\n"
            f"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {len(body)}\r\n\r\n"
        ).encode() + body


async def run(job: Job) -> Figures:
    """Do a job."""
    waiting, asked = requests(job), 0
    latencies: list[float] = []
    failures = 0
    begin = last = time.perf_counter()

    async def ask() -> None:
        nonlocal asked, failures, last
        reader, writer = await asyncio.open_connection("127.0.0.1", job.port)
        with closing(writer):
            while not (asked and asked % len(job.queries) == 0 and time.perf_counter() - begin >= job.seconds):
                asked += 1
                writer.write(next(waiting))
                sent, answer, complete = time.perf_counter(), Answer(), False
                while not complete:
                    data = await reader.read(1 << 18)
                    if not data:
                        raise ConnectionError("The server closed the connection in the middle.")
                    complete = answer.feed(data)
                last = time.perf_counter()
                if answer.status == 200:
                    latencies.append(last - sent)
                else:
                    failures += 1

    tasks = [asyncio.ensure_future(ask()) for _ in range(job.connections)]
    _, late = await asyncio.wait(tasks, timeout=job.most)
    for task in late:
        last = time.perf_counter()
        task.cancel()
    for error in (task.exception() for task in tasks if task not in late):
        if error is not None:
            raise error
    p50, p99 = (percentile(latencies, part) * 1000 if latencies else -1.0 for part in (0.5, 0.99))
    return Figures(len(latencies), failures + len(late), last - begin, p50, p99)


if __name__ == "__main__":
    print(json.dumps(asdict(uvloop.run(run(Job(**json.load(sys.stdin)))))))
