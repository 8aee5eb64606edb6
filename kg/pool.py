"""The server's side of the workers: hand out requests, stop what takes too long, replace what dies."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kg.errors import NotReady, Oversize, Stopped, TooMany
from kg.tracing import STOPS, Tally, current
from kg.turns import Turns
from kg.wire import LENGTH, rebuild, send, start_worker

#: Requests that may wait for a worker before the server says 429.
MAX_WAITING = 100
#: Seconds that a load may take; a query has its own, shorter deadline.
LOAD_DEADLINE = 600.0
#: Seconds that a reader may take to start and open the store, before the deadline of its first query begins.
_OPENING = 60.0
#: Bytes of a message that are handed to the socket at a time.
_PIECE = 1 << 20
#: The outcome of a job that its worker stopped, by the error that it told.
_OUTCOMES = {Stopped.__name__: "memory", Oversize.__name__: "size"}


@dataclass
class Answer:
    """The head of an answer and its body: whole, or in chunks to be read to the end or dropped with `aclose`."""

    head: dict[str, Any]
    body: bytes | AsyncIterator[bytes]

    async def read(self) -> bytes:
        if isinstance(self.body, bytes):
            return self.body
        return b"".join([chunk async for chunk in self.body])


class _Process:
    """One worker process and the socket to it. A reader opens the store as soon as it is there."""

    #: Whose request it is at work on.
    client = ""

    process: subprocess.Popen[bytes]
    _ours: socket.socket
    _writer: asyncio.StreamWriter | None = None
    _opening: asyncio.Task[None] | None = None

    def __init__(self, home: Path, megabytes: int, tally: Tally, *, reads: bool) -> None:
        self._home, self._megabytes, self._tally, self._reads = home, megabytes, tally, reads

    def spawn(self, *, hurry: bool = False) -> None:
        """Start a process. In a hurry it can be asked at once, though it does not answer as fast as it will.

        Raises:
            OSError: the system has none left, or no file for the socket to it.
        """
        if hasattr(self, "process"):  # it died
            self._hang_up()
        self.process, self._ours = start_worker(self._home, self._megabytes)
        self._writer = self._opening = None
        self._tally.started += 1
        self._tally.pids.add(self.process.pid)
        if self._reads:
            with suppress(OSError):  # it is dead already
                send(self._ours, json.dumps({"job": "open", "hurry": hurry}).encode())

    def spawn_early(self, *, hurry: bool = False) -> None:
        """Start a process while nobody waits for it. If there can be none, `ready` tries again, and says so."""
        with suppress(OSError):
            self.spawn(hurry=hurry)

    async def ready(self) -> None:
        """Have a process that has opened the store, if it is to. What is wrong with it is told to its next request.

        Raises:
            NotReady: no process can be started.
        """
        if not self.alive:
            try:
                self.spawn()
            except OSError as error:
                raise NotReady(f"No process can be started: {error.strerror or error}.", "Try again later.") from None
        if self._opening is None:
            self._opening = asyncio.create_task(self._open())
        await asyncio.shield(self._opening)

    async def _open(self) -> None:
        self._reader, self._writer = await asyncio.open_connection(sock=self._ours)
        if self._reads:
            try:
                async with asyncio.timeout(_OPENING):
                    while await self.receive():  # the answer to `open`
                        pass
            except (TimeoutError, EOFError, OSError):
                self.process.kill()

    @property
    def alive(self) -> bool:
        return hasattr(self, "process") and self.process.poll() is None

    async def ask(self, request: dict[str, Any], documents: tuple[bytes, ...]) -> dict[str, Any]:
        assert self._writer is not None
        if self._writer.is_closing():  # the process died while it opened the store
            raise EOFError
        message = json.dumps({**request, "documents": len(documents)}).encode()
        self._writer.write(LENGTH.pack(len(message)) + message)  # in one piece: each write is a call of the system
        for message in documents:
            self._writer.write(LENGTH.pack(len(message)))
            for start in range(0, len(message), _PIECE):  # as a whole it would be copied twice on its way
                self._writer.write(message[start : start + _PIECE])
                await self._writer.drain()
        head: dict[str, Any] = json.loads(await self.receive())
        return head

    async def receive(self) -> bytes:
        size = LENGTH.unpack(await self._reader.readexactly(LENGTH.size))[0]
        return await self._reader.readexactly(size) if size else b""

    async def kill(self) -> None:
        if self._opening is not None:
            self._opening.cancel()
        if hasattr(self, "process"):
            self.process.kill()
            self._hang_up()
            await asyncio.to_thread(self.process.wait)

    def _hang_up(self) -> None:
        self._tally.pids.discard(self.process.pid)
        (self._writer or self._ours).close()


class Pool:
    """Readers that share the queries, one more for who has none while all are at work for others, and one writer.
    Started and stopped with the server."""

    def __init__(self, home: Path, *, workers: int, memory: int, deadline: float) -> None:
        self._home, self._memory, self._deadline = home, memory, deadline
        self._count = workers
        self._readers = Turns[_Process](spare=1)
        self._writers = Turns[_Process]()
        self.tally = Tally(readers=workers)
        self._all: set[_Process] = set()
        self._stopped = False

    def spawn(self) -> None:
        """Start the first reader, which opens the store by itself while the server is still being put together."""
        self._fresh().spawn_early(hurry=True)

    async def start(self) -> None:
        if not self._all:
            self.spawn()
        [first] = self._all
        later = [self._fresh() for _ in range(self._count - 1)]
        # The last is taken first. The spare one is started when it is needed.
        self._readers.add([self._fresh(), *later, first])
        self._writers.add([self._fresh(reads=False)])
        self._starting = asyncio.create_task(self._start_later(first, later))

    async def _start_later(self, first: _Process, later: list[_Process]) -> None:
        """Start the other readers when the first one can answer: together they would only hold each other up."""
        for process, following in zip([first, *later], later, strict=False):
            with suppress(NotReady):
                await process.ready()
            if following in self._all and not following.alive:
                following.spawn_early()

    async def stop(self) -> None:
        self._starting.cancel()
        self._stopped = True
        for process in list(self._all):
            await process.kill()
        self._all.clear()

    def _fresh(self, *, reads: bool = True) -> _Process:
        process = _Process(self._home, self._memory, self.tally, reads=reads)
        self._all.add(process)
        return process

    async def read(self, request: dict[str, Any], deadline: float | None = None) -> Answer:
        """Have a reader do the request.

        Raises:
            Stopped: the deadline passed, or the worker died (of its memory limit, or of the request).
            TooMany: too many requests wait already.
            ParleyError: whatever the worker refused the request for.
        """
        limit = min(deadline or self._deadline, self._deadline)
        return await self._run(self._readers, request, (), limit)

    async def write(self, request: dict[str, Any], *documents: bytes) -> Answer:
        """Have the writer do the request; the same errors as `read`."""
        return await self._run(self._writers, request, documents, LOAD_DEADLINE)

    def _kind(self, queue: Turns[_Process]) -> str:
        return "read" if queue is self._readers else "write"

    async def _run(
        self, queue: Turns[_Process], request: dict[str, Any], documents: tuple[bytes, ...], limit: float
    ) -> Answer:
        trace = current()
        if self.tally.waiting >= MAX_WAITING:
            trace.outcome = "full"
            raise TooMany("Too many requests are waiting.", "Try again in a few seconds.")
        self.tally.waiting += 1
        begun = asyncio.get_running_loop().time()
        try:
            process = await queue.take(trace.client)
            process.client = trace.client
        finally:
            self.tally.waiting -= 1
            now = asyncio.get_running_loop().time()
            trace.waited = (trace.waited or 0.0) + now - begun
        self.tally.busy[self._kind(queue)] += 1
        try:
            await process.ready()
        except BaseException:
            self._give_back(queue, process)
            raise
        end = asyncio.get_running_loop().time() + limit
        try:
            async with asyncio.timeout_at(end):
                head = await process.ask(request, documents)
                body = await process.receive() if "whole" in head or "error" in head else None
                if "whole" in head:
                    await process.receive()  # the empty message
        except BaseException as error:
            await self._replace(queue, process, error)
            raise _stopped(error, limit) from None
        trace.version = head.get("version", trace.version)
        if body is None:
            chunks = self._chunks(queue, process, end, limit)
            # Once begun, the generator gives the process back even if the answer is dropped unread.
            await anext(chunks)
            return Answer(head, chunks)
        self._give_back(queue, process)
        if "error" in head:
            trace.outcome = _OUTCOMES.get(head["error"], trace.outcome)
            raise rebuild(head)
        return Answer(head, body)

    async def _chunks(
        self, queue: Turns[_Process], process: _Process, end: float, limit: float
    ) -> AsyncIterator[bytes]:
        failure: BaseException | None = GeneratorExit()  # the answer is dropped
        try:
            yield b""
            while True:
                async with asyncio.timeout_at(end):
                    chunk = await process.receive()
                if not chunk:
                    failure = None
                    return
                yield chunk
        except (TimeoutError, EOFError, OSError) as error:
            failure = error
            raise _stopped(error, limit) from None
        finally:
            if failure is None:
                self._give_back(queue, process)
            else:
                await self._replace(queue, process, failure)

    def _give_back(self, queue: Turns[_Process], process: _Process, fresh: _Process | None = None) -> None:
        """Give a process back, or a fresh one in its place."""
        self.tally.busy[self._kind(queue)] -= 1
        queue.give(fresh or process, process.client)

    async def _replace(self, queue: Turns[_Process], process: _Process, error: BaseException) -> None:
        """Put a new process in the place of one that is stuck, dead or in the middle of an answer."""
        reason = _reason(error)
        self.tally.ended[reason] += 1
        if reason in STOPS:
            current().outcome = reason
        self._all.discard(process)
        fresh = self._fresh(reads=queue is self._readers)
        if queue is self._readers and not self._stopped:
            fresh.spawn_early()  # it opens the store while nobody waits for it
        self._give_back(queue, process, fresh)
        with suppress(ProcessLookupError):
            await process.kill()


def _reason(error: BaseException) -> str:
    """Why a worker had to go: `deadline`, `memory`, or `left` when nobody wants the answer any more."""
    if isinstance(error, TimeoutError):
        return "deadline"
    return "memory" if isinstance(error, EOFError | OSError) else "left"


def _stopped(error: BaseException, limit: float) -> BaseException:
    if isinstance(error, TimeoutError):
        return Stopped(f"Stopped after {limit:g} seconds.", "Ask for less at a time, with LIMIT or a narrower pattern.")
    if isinstance(error, EOFError | OSError):
        return Stopped("The work was too large for its process.", "Ask for less at a time.")
    return error
