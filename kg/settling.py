"""Write quads that came in bulk into a database: in a process of its own, while they are judged in another.

It is started as `python -m kg.settling DATABASE QUADS.nq COPIES`; COPIES (0 or 1) says whether each triple goes into
the default graph as well. The engine sorts each chunk in memory.
"""

from __future__ import annotations

import fcntl
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import IO, cast

import pyoxigraph as ox

#: Quads that are written at once.
_CHUNK = 400_000
#: Chunks from which on the database is compacted.
_MANY_CHUNKS = 4


class Settling:
    """The work on its way. `database` is a copy of the draft, in a folder of its own beside the quads.

    The process shares the writer's lock, so that nobody sweeps its folder before it has ended.
    """

    def __init__(self, folder: Path, base: ox.Store, fresh: ox.Store, lock: IO[bytes], *, copies: bool) -> None:
        folder.mkdir()
        self.database, self.quads = folder / "database", folder / "quads.nq"
        fresh.dump(str(self.quads), format=ox.RdfFormat.N_QUADS)
        base.flush()
        base.backup(str(self.database))
        # -P: what the folder of the caller holds is not imported.
        command = [sys.executable, "-P", "-m", "kg.settling", str(self.database), str(self.quads), str(int(copies))]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, pass_fds=[lock.fileno()]
        )

    def finish(self) -> None:
        """Wait for the end. Raises: OSError with the reason if the disk did not take it."""
        with self._process as process:
            # Not `communicate`: it closes the pipe by which the process knows that somebody waits for it.
            errors = cast("IO[bytes]", process.stderr).read()
            process.wait()
        if process.returncode:
            raise OSError(errors.decode(errors="replace").strip().rpartition("\n")[2] or "the writing process died")

    def stop(self) -> None:
        """End it, if it has not ended."""
        with self._process as process:
            process.kill()


def with_copies(quads: Iterable[ox.Quad]) -> Iterator[ox.Quad]:
    """Each quad and its copy in the default graph."""
    for quad in quads:
        yield quad
        yield ox.Quad(quad.subject, quad.predicate, quad.object)


def _end_with_the_other_side() -> None:
    """End when the process that began this is gone: by a signal, as the engine leaves other threads no time."""
    signal.signal(signal.SIGIO, signal.SIG_DFL)
    fcntl.fcntl(0, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(0, fcntl.F_SETFL, fcntl.fcntl(0, fcntl.F_GETFL) | fcntl.FASYNC)
    if select.select([0], [], [], 0)[0]:  # it went before it could be told
        os._exit(1)


def main() -> None:
    database, file, copies = sys.argv[1:]
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C ends it at once, also inside native code
    _end_with_the_other_side()
    store = ox.Store(database)
    quads: Iterator[ox.Quad] = ox.parse(path=file, format=ox.RdfFormat.N_QUADS)
    if copies == "1":
        quads = with_copies(quads)
    chunks = 0
    while chunk := list(islice(quads, _CHUNK)):
        store.bulk_extend(chunk)
        chunks += 1
    if chunks > _MANY_CHUNKS:
        store.optimize()  # else each reader would look for each term in the files of every chunk
    store.flush()
    del store
    os._exit(0)


if __name__ == "__main__":
    main()
