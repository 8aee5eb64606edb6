"""The worker: a process that does the work with foreign text, and that the server may lose without harm.

It is started as `python -m kg.worker FD HOME MEGABYTES`, talks over the socket FD (see `kg.wire`), and serves one
request at a time. It ends at once when the other side is gone.
"""

from __future__ import annotations

import json
import os
import resource
import select
import signal
import socket
import sys
import threading
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import asdict
from math import inf
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

import pyoxigraph as ox

from kg import formats
from kg.errors import Oversize, ParleyError, StoreFailure
from kg.evaluation import STACK_BYTES, Question, in_deep_thread, write, write_graph
from kg.limits import UNLIMITED, Limits
from kg.memory import free_memory
from kg.past import in_memory, replay
from kg.settings import limit_memory
from kg.store import REPAIR, Versions, is_damage
from kg.wire import problem, receive, send

if TYPE_CHECKING:
    from kg.loading import Outcome

#: The head is sent with the first chunk, so that a failure before this many bytes is still a clean error.
CHUNK = 64 * 1024
#: Bytes of a body that was held back which go into one message.
_PIECE = 1 << 20
#: Of the memory of a worker, and of what the system has left, the parts that a copy of the version may take, from which
#: reads are several times faster than from disk.
_PART, _PART_OF_FREE = 1 / 2, 1 / 3
#: Bytes of memory that a byte of the text of change sets takes while it is copied, measured; and bytes of text that a
#: fact has at least, as a rule.
_BYTES, _LINE = 5, 100
#: Facts up to which a copy is waited for: it takes about a second, and heavy queries win more by it.
SMALL = 200_000
#: Commits, and bytes of their change sets, up to which such a copy is changed; beyond them it is made anew.
MOST_STEPS, MOST_BYTES = 20, 100_000


class _Body:
    """A binary file that sends what is written to it in chunks, after the head.

    With limits it sends nothing before its end: whether the answer is whole or too large is told before it.
    """

    def __init__(self, sock: socket.socket, head: dict[str, Any], limits: Limits = UNLIMITED) -> None:
        self._sock, self.head, self._buffer, self.started = sock, head, bytearray(), False
        self._most, self._held = limits.bytes, limits != UNLIMITED

    def write(self, data: bytes) -> int:
        """Raises: Oversize: the body would have more bytes than it may."""
        if self._most is not None and len(self._buffer) + len(data) > self._most:
            raise Oversize(f"The answer has more than {self._most:,} bytes.", "Ask for less at a time, with LIMIT.")
        self._buffer += data
        if len(self._buffer) >= CHUNK and not self._held:
            self._send()
        return len(data)

    def flush(self) -> None:
        """Nothing: the engine asks for it at the end of some formats. Small answers go in one piece, and of one that is
        held back it is not yet known what the head has to tell."""

    def _send(self) -> None:
        if not self.started:
            send(self._sock, json.dumps(self.head).encode())
            self.started = True
        for start in range(0, len(self._buffer), _PIECE):
            send(self._sock, bytes(self._buffer[start : start + _PIECE]))
        self._buffer.clear()

    def end(self) -> None:
        if self.started or len(self._buffer) > CHUNK:
            self._send()
            send(self._sock, b"")
        else:  # all of it in one piece, of which the head tells
            head = json.dumps({**self.head, "whole": True}).encode()
            send(self._sock, head, bytes(self._buffer), b"")
            self.started = True


class _Current:
    """The current version, kept open from one request to the next.

    A version that fits is copied into memory, a small one before it is read, a larger one while it is read on disk.
    Small commits change the copy; after others it is made anew.
    """

    def __init__(self, versions: Versions, memory: float) -> None:
        self._versions, self._memory, self._stack = versions, memory, ExitStack()
        self._number, self._store, self._copied = -1, ox.Store(), False
        self._copy: _Copy | None = None

    def get(self, *, hurry: bool = False) -> tuple[int, ox.Store]:
        """Its number and what holds it. In a hurry no copy is waited for."""
        current = self._versions.current()
        self._take_copy()
        if current != self._number and not self._follow(current):
            self._open(hurry=hurry)
        return self._number, self._store

    def _open(self, *, hurry: bool) -> None:
        self._stack.close()
        self._copied = False
        self._number, self._store = self._stack.enter_context(self._versions.reading())
        most = int(min(self._memory * _PART, free_memory() * _PART_OF_FREE) / _BYTES)
        quads = self._versions.record(self._number).quads if self._number > 0 else inf
        # A copy that could not be made is not tried again: the change sets do not become fewer, nor whole.
        if self._copy is None and quads * _LINE <= most:
            self._copy = _Copy(self._versions, self._number, self._store, most)
            self._copy.start()
            if quads <= SMALL and not hurry:
                self._copy.join()
                self._take_copy()

    def _take_copy(self) -> None:
        """Go over to the copy, if there is one by now."""
        if self._copy is not None and self._copy.store is not None and not self._copy.is_alive():
            self._stack.close()
            self._number, self._store, self._copied, self._copy = self._copy.number, self._copy.store, True, None

    def _follow(self, version: int) -> bool:
        """Change the copy as a few commits changed the graph; whether that could be done.

        If not, the copy may be changed in part, and the version is to be opened anew.
        """
        try:
            if not (self._copied and self._is_near(version)):
                return False
            for number in range(self._number + 1, version + 1):
                replay(self._versions, number, self._store)
        except (ParleyError, OSError):
            return False
        self._number = version
        return True

    def _is_near(self, version: int) -> bool:
        if not 0 <= version - self._number <= MOST_STEPS:
            return False
        sizes = (self._versions.change_file(n).stat().st_size for n in range(self._number + 1, version + 1))
        return sum(sizes) <= MOST_BYTES


class _Copy(threading.Thread):
    """Copies a version into memory. When it has ended, `store` is the copy, or None if it could not be made."""

    def __init__(self, versions: Versions, number: int, on_disk: ox.Store, most: int) -> None:
        # As arguments, which a thread forgets at its end: a database that nobody refers to is closed.
        super().__init__(target=self._make, args=(versions, number, on_disk, most), daemon=True)
        self.number = number
        self.store: ox.Store | None = None

    def _make(self, versions: Versions, number: int, on_disk: ox.Store, most: int) -> None:
        with suppress(ParleyError, OSError):  # whoever reads the version is told what is wrong, if it matters
            self.store = in_memory(versions, number, on_disk, most)


class Worker:
    """Serves requests against the store in `home` until the other side hangs up."""

    def __init__(self, sock: socket.socket, home: Path, megabytes: int) -> None:
        self._sock, self._versions = sock, Versions(home)
        self._current = _Current(self._versions, (megabytes << 20) - STACK_BYTES)
        self._jobs: dict[str, Callable[[dict[str, Any], list[bytes]], None]] = {
            "open": self._open,
            "query": self._query,
            "graph": self._graph,
            "dataset": self._dataset,
            "rate": self._rate,
            "load": self._load,
            "files": self._files,
            "remove": self._remove,
            "update": self._update,
        }

    def serve(self) -> None:
        while True:
            try:
                request = json.loads(receive(self._sock))
                documents = [receive(self._sock) for _ in range(request.get("documents", 0))]
            except EOFError:
                return
            self._body: _Body | None = None
            self._wants_progress = bool(request.get("progress"))
            try:
                self._jobs[request["job"]](request, documents)
            except Exception as error:
                if is_damage(error):
                    error = StoreFailure(f"The current version is damaged: {error}.", REPAIR)
                if self._body is not None and self._body.started:
                    return  # the client must see a broken answer, not a short one
                send(self._sock, json.dumps(problem(error)).encode())
                send(self._sock, b"")

    def _answer(self, limits: Limits = UNLIMITED, **head: Any) -> _Body:
        self._body = _Body(self._sock, head, limits)
        return self._body

    def _open(self, request: dict[str, Any], _: list[bytes]) -> None:
        """Open the store before there is a query. If that cannot be done, the first one is told."""
        with suppress(Exception):
            self._current.get(hurry=request["hurry"])
        send(self._sock, b"{}", b"")

    def _query(self, request: dict[str, Any], _: list[bytes]) -> None:
        question = Question.rebuilt(request["question"])
        form = formats.named(request["format"], question.answers_with)
        version, store = self._current.get()
        limits = Limits(*request["limits"])
        body = self._answer(limits, version=version)
        if write(store, question, form, cast("IO[bytes]", body), limits.rows):
            body.head["truncated"] = limits.rows
        body.end()

    def _graph(self, request: dict[str, Any], _: list[bytes]) -> None:
        form = formats.named(request["format"], formats.WRITTEN)
        graph = ox.NamedNode(request["graph"]) if request["graph"] else ox.DefaultGraph()
        version, store = self._current.get()
        body = self._answer(version=version)
        quads = store.quads_for_pattern(None, None, None, graph)
        write_graph((quad.triple for quad in quads), form, cast("IO[bytes]", body))
        body.end()

    def _dataset(self, request: dict[str, Any], _: list[bytes]) -> None:
        from kg.exporting import export

        version, store = self._current.get()
        body = self._answer(version=version)
        form = formats.named(request["format"], formats.DATASETS)
        export(store, None, form, cast("IO[bytes]", body), bare=self._versions.bare)
        body.end()

    def _rate(self, request: dict[str, Any], _: list[bytes]) -> None:
        from kg.engines import StoreReader
        from kg.rates import Inquiry, explain

        version, store = self._current.get()
        answer = explain(StoreReader(store), Inquiry(**request["inquiry"]))
        body = self._answer(version=version)
        body.write(json.dumps(answer, ensure_ascii=False).encode())
        body.end()

    def _load(self, request: dict[str, Any], data: list[bytes]) -> None:
        from kg.loading import load
        from kg.parsing import Document

        among = (*formats.GRAPHS, *formats.DATASETS)
        documents = [
            Document(part["name"], body, formats.named(part["format"], among), part["graph"])
            for part, body in zip(request["parts"], data, strict=True)
        ]
        self._commit(load, request, documents, mode=request["mode"])

    def _files(self, request: dict[str, Any], _: list[bytes]) -> None:
        """Load the files that the command line names."""
        from kg.loading import load
        from kg.parsing import Document

        documents = [Document.from_file(Path(path), request["graph"]) for path in request["paths"]]
        self._commit(load, request, documents, mode=request["mode"])

    def _remove(self, request: dict[str, Any], _: list[bytes]) -> None:
        from kg.loading import remove

        self._commit(remove, request, request["graphs"])

    def _update(self, request: dict[str, Any], _: list[bytes]) -> None:
        from kg.loading import update
        from kg.operations import Using

        using = Using(tuple(request.get("default_graphs", ())), tuple(request.get("named_graphs", ())))
        how = {"base": request.get("base", ""), "within": request.get("within")}
        self._commit(update, request, request["text"], using=using, **how)

    def _commit(self, write: Callable[..., Outcome], request: dict[str, Any], what: object, **how: object) -> None:
        """Have one of `kg.loading` write, as the request wants it done, and answer with the outcome."""
        from kg.conditions import Expected
        from kg.content import Content
        from kg.tokens import Author

        outcome = write(
            self._versions,
            what,
            Content.shipped(),
            message=request.get("message", ""),
            dry_run=request["dry_run"],
            expected=Expected(**request.get("expected", {})),
            progress=self._progress,
            author=Author(**request.get("author", {})),
            **how,
        )
        body = self._answer(version=self._versions.current())
        body.write(json.dumps(asdict(outcome), ensure_ascii=False).encode())
        body.end()

    def _progress(self, step: str, done: int = 0, total: int = 0) -> None:
        if self._wants_progress:
            send(self._sock, json.dumps({"progress": [step, done, total]}).encode())


def main() -> None:
    descriptor, home, megabytes = int(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    # Ctrl-C goes to the whole foreground group; the server ends its workers itself, after their answers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    limit_memory(megabytes)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    threading.Thread(target=_end_with_the_other_side, args=(descriptor,), daemon=True).start()
    with socket.socket(fileno=descriptor) as sock:
        in_deep_thread(Worker(sock, home, megabytes).serve)
    os._exit(0)


def _end_with_the_other_side(descriptor: int) -> None:
    """End at once when whoever asked is gone, however it went: native code would run on, and a load would commit."""
    watch = select.poll()
    watch.register(descriptor, 0)  # a hang-up is told without being asked for
    watch.poll()
    os._exit(1)


if __name__ == "__main__":
    main()
