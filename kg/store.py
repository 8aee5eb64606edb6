"""The embedded store: a folder of versions, each a closed database that never changes again.

    store.json       what kind of store this is
    current          the number of the current version; replaced by one atomic rename
    versions/N/      the database of version N
    records/N.json   when, who, why, counts and graphs of the commit that made N
    changes/N.nq.gz  what the commit added ("A ") and removed ("D "), one quad a line
    locks/N          held shared by each reader of N; `locks/writer` by the one writer
    staging/         work in progress, swept by the next writer
    past/            older versions made again for a reader, swept by the next writer once the reader is gone

A commit checkpoints the current version (hard links, so its cost does not depend on the size), works on the
copy, and publishes it by renaming the pointer. A crash at any point leaves the old version current.

Every source is a named graph. The default graph of the database holds each triple of all named graphs once: it is
what a query sees by default, with set semantics, which a union taken at query time does not have in the engine.
A bare store (`kg serve --bare`) is a plain dataset, and its default graph is its own.
"""

from __future__ import annotations

import gc
import gzip
import json
import shutil
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

import pyoxigraph as ox

from kg.durable import locked, replace, scratch, sweep
from kg.errors import BadRequest, Conflict, NotFound, StoreFailure
from kg.records import Record

if TYPE_CHECKING:
    from kg.draft import Draft

FORMAT = 1
#: Objects made between two searches for cycles while there is a writer.
_ALLOCATIONS = 200_000
#: Versions kept; older databases go, unless a reader holds them. Records and change sets stay.
KEEP = 20
FOLDERS = ("versions", "records", "changes", "locks", "staging", "past")
#: What a creation that was interrupted may leave beside the folders.
_OF_CREATION = (".create", "current", "current.new", "store.json.new")
REPAIR = "Run `kg repair`."
_ROOM = "See that the disk has room and that the folder is yours."


class Versions:
    """The versions in one folder. Opening creates nothing; see `create`."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self._pointer = home / "current"
        self._kind = self._read_kind()

    @classmethod
    def exists(cls, home: Path) -> bool:
        return (home / "store.json").is_file()

    @classmethod
    def create(cls, home: Path, *, bare: bool) -> Versions:
        """Make an empty store (version 0) in a folder that holds none, or open the one that is there.

        Raises:
            Conflict: the folder holds something else.
            StoreFailure: it holds a store that has lost its store.json, or the disk does not take it.
        """
        try:
            home.mkdir(parents=True, exist_ok=True)
            try:
                with locked(home / ".create"):
                    if not cls.exists(home):
                        cls._make(home, bare=bare)
            finally:
                (home / ".create").unlink(missing_ok=True)
        except OSError as error:
            raise _unwritable(home, error, "Nothing was changed.") from None
        return cls(home)

    @staticmethod
    def _make(home: Path, *, bare: bool) -> None:
        if any(p.name not in (*FOLDERS, *_OF_CREATION) for p in home.iterdir()):
            raise Conflict(f"{home} is not empty and holds no Parley store.", "Give an empty folder with KG_HOME.")
        if any(home.glob("records/*")):
            raise StoreFailure(f"{home} holds versions of a store, but no store.json.", REPAIR)
        for name in FOLDERS:
            (home / name).mkdir(exist_ok=True)
        shutil.rmtree(home / "versions" / "0", ignore_errors=True)
        ox.Store(str(home / "versions" / "0")).flush()
        replace(home / "current", "0\n")
        replace(home / "store.json", json.dumps({"format": FORMAT, "bare": bare}) + "\n")

    def _read_kind(self) -> dict[str, Any]:
        hint = REPAIR if (self.home / "records").is_dir() else ""
        try:
            kind: dict[str, Any] = json.loads((self.home / "store.json").read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise StoreFailure(f"{self.home} holds no readable Parley store: {error}.", hint) from None
        if not isinstance(kind, dict) or "bare" not in kind:
            raise StoreFailure(
                f"{self.home} holds no readable Parley store: store.json does not say what kind it is.", hint
            )
        if kind.get("format") != FORMAT:
            raise StoreFailure(
                f"The store in {self.home} has format {kind.get('format')!r}, this package reads {FORMAT}.",
                "Use the package that made it, or an empty folder.",
            )
        for name in FOLDERS[:-1]:  # stores made before `past` was thought of lack it
            if not (self.home / name).is_dir():
                raise StoreFailure(f"The store in {self.home} lacks its folder {name}.", REPAIR)
        return kind

    @property
    def bare(self) -> bool:
        return bool(self._kind["bare"])

    def current(self) -> int:
        try:
            with self._pointer.open("rb", buffering=0) as file:  # each query asks: a third of the time of `read_text`
                return int(file.read())
        except (OSError, ValueError) as error:
            raise StoreFailure(f"The store in {self.home} has no readable current version: {error}.", REPAIR) from None

    def record(self, version: int) -> Record:
        self._known(version, first=1)
        try:
            record = Record(**json.loads((self.home / "records" / f"{version}.json").read_text("utf-8")))
            datetime.fromisoformat(record.at)
        except (OSError, ValueError, TypeError) as error:
            raise self.damaged(f"The record of version {version}", error) from None
        return record

    def content(self) -> str:
        """The fingerprint of the shipped content in the current version, empty if there is none."""
        current = self.current()
        return self.record(current).content if current else ""

    def facts(self, version: int) -> int:
        """How many facts the sources of a version assert."""
        return self.record(version).quads if version else 0

    def records(self) -> list[Record]:
        """Every commit up to the current version, the newest first."""
        return [self.record(n) for n in range(self.current(), 0, -1)]

    def change_file(self, version: int) -> Path:
        return self.home / "changes" / f"{version}.nq.gz"

    def changes(self, version: int) -> Iterator[tuple[str, str]]:
        """The change set of a version: ("A" or "D", quad as an N-Quads line).

        Raises:
            NotFound: there is no such version.
            StoreFailure: it is missing or damaged, which may show at its end only.
        """
        with self.change_set(version) as lines:
            for line in lines:
                yield line[:1].decode(), line[2:].rstrip(b"\n").decode()

    @contextmanager
    def change_set(self, version: int) -> Iterator[IO[bytes]]:
        """The same as lines of text, each with "A " or "D " before the quad; the same errors."""
        path = self.change_file(self._known(version, first=1))
        try:
            with gzip.open(path) as lines:
                if not path.stat().st_size:
                    raise EOFError("the file is empty")
                yield cast("IO[bytes]", lines)
        except (OSError, EOFError, ValueError, zlib.error) as error:
            raise self.damaged(f"The change set of version {version}", error) from None

    def kept(self) -> list[int]:
        """The versions whose databases are kept, the oldest first."""
        return sorted(int(p.name) for p in (self.home / "versions").iterdir() if p.name.isdecimal())

    def at(self, text: str) -> int:
        """The version with this number, or the one that was current at a time: at the end of a day in UTC, as
        YYYY-MM-DD, or at the moment of an ISO timestamp, which is in UTC unless it says otherwise.

        Raises:
            BadRequest: the text is none of the three.
            NotFound: there is no such version, or there was none yet.
        """
        if text.isascii() and text.isdecimal() and len(text) < 10:
            return self._known(int(text))
        moment = _moment(text)
        records = self.records()
        for record in records:
            if datetime.fromisoformat(record.at) <= moment:
                return record.version
        first = f"The first is of {records[-1].at}." if records else "The store is empty."
        raise NotFound(f"There was no version at {text}.", first)

    def _known(self, version: int, first: int = 0) -> int:
        current = self.current()
        if not first <= version <= current:
            raise NotFound(f"There is no version {version}.", f"The versions go from {first} to {current}.")
        return version

    @contextmanager
    def reading(self, version: int | None = None) -> Iterator[tuple[int, ox.Store]]:
        """Open a version (default: the current one) read-only and keep it from being pruned meanwhile.

        A version that is not kept any more is made again for this reader alone.

        Raises:
            NotFound: there is no such version.
            StoreFailure: the version is damaged, or cannot be made again since a change set is, or for lack of room.
        """
        with ExitStack() as stack:
            try:
                number, path = self._hold(version, stack)
            except OSError as error:
                raise StoreFailure(f"{self.home} cannot be read: {error.strerror or error}.", _ROOM) from None
            with self._telling(number):
                yield number, self._opened(number, path)

    def _hold(self, version: int | None, stack: ExitStack) -> tuple[int, Path]:
        """The number and the database of a version, which stays until the stack is unwound."""
        while True:
            number = self.current() if version is None else self._known(version)
            path = self.home / "versions" / str(number)
            if path.is_dir():
                with ExitStack() as lock:
                    lock.enter_context(locked(self.home / "locks" / str(number), shared=True))
                    if path.is_dir():
                        stack.push(lock.pop_all())
                        return number, path
            elif number == self.current():
                raise StoreFailure(f"Version {number} in {self.home} is missing, and it is the current one.", REPAIR)
            elif version is not None:
                break
        from kg.past import rebuild  # late: few look back

        path = stack.enter_context(scratch(self.home / "past")) / "store"
        with self._telling(number):
            rebuild(self, number, path, self.kept())
        return number, path

    def _opened(self, version: int, path: Path) -> ox.Store:
        try:
            return ox.Store.read_only(str(path))
        except (OSError, RuntimeError) as error:
            raise StoreFailure(f"Version {version} in {self.home} cannot be opened: {error}.", REPAIR) from None

    def damaged(self, what: str, why: object) -> StoreFailure:
        """The error for a part of the store that cannot be read."""
        return StoreFailure(f"{what} in {self.home} cannot be read: {why}.", REPAIR)

    @contextmanager
    def _telling(self, version: int) -> Iterator[None]:
        """Tell of damage that the engine finds while it reads or copies."""
        try:
            yield
        except RuntimeError as error:
            if not is_damage(error):
                raise
            raise self.damaged(f"Version {version}", error) from None

    @contextmanager
    def writing(self) -> Iterator[Draft]:
        """Hold the writer's lock and work on a copy of the current version; publish it or lose it.

        Raises:
            StoreFailure: the disk does not take it. The version before stays current.
        """
        try:
            with locked(self.home / "locks" / "writer") as lock:
                self._sweep()
                try:
                    with _few_collections():
                        yield from self._drafting(lock)
                finally:
                    self._clear_staging()
        except OSError as error:
            # The disk may fail after the pointer was renamed: what is current is what counts.
            raise _unwritable(self.home, error, f"Version {self.current()} is the current one.") from None

    def _drafting(self, lock: IO[bytes]) -> Iterator[Draft]:
        from kg.draft import Draft  # late: most commands only read

        base = self.current()
        path = self.home / "staging" / str(base + 1)
        with self.reading(base) as (_, store):
            store.backup(str(path))
        with self._telling(base), closing(Draft(self, base, path, lock)) as draft:
            yield draft

    def _clear_staging(self) -> None:
        for stray in (self.home / "staging").iterdir():
            shutil.rmtree(stray, ignore_errors=True)

    def _sweep(self) -> None:
        """Remove what a crashed writer left: staged copies, files half written, versions beyond the current one."""
        self._clear_staging()
        for unfinished in (*self.home.glob("*.new"), *self.home.glob("records/*.new")):
            unfinished.unlink()
        for version in self.kept():
            if version > self.current():
                shutil.rmtree(self.home / "versions" / str(version))
        sweep(self.home / "past")

    def prune(self) -> None:
        """Remove the databases of versions older than the kept ones, but none that a reader holds; and the locks of
        versions that are gone."""
        oldest = self.current() - KEEP + 1
        locks = {int(p.name) for p in (self.home / "locks").iterdir() if p.name.isdecimal()}
        for version in locks.union(self.kept()):
            lock = self.home / "locks" / str(version)
            if version < oldest:
                # A reader holds it, or the disk does not take a lock: the next commit comes by.
                with suppress(OSError), locked(lock, wait=False):
                    shutil.rmtree(self.home / "versions" / str(version), ignore_errors=True)
                    lock.unlink()


@contextmanager
def _few_collections() -> Iterator[None]:
    """Look for cycles among objects seldom: a writer keeps most of what it makes, so the search is for nothing."""
    before = gc.get_threshold()
    gc.set_threshold(_ALLOCATIONS, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


def _unwritable(home: Path, error: OSError, state: str) -> StoreFailure:
    return StoreFailure(f"{home} cannot be written to: {error.strerror or error}. {state}", _ROOM)


def is_damage(error: BaseException) -> bool:
    """Whether an error is the engine's word for a block that does not have the checksum it was written with."""
    return isinstance(error, RuntimeError) and str(error).startswith("Corruption")


def _moment(text: str) -> datetime:
    with suppress(ValueError):
        if "T" not in text and " " not in text:
            return datetime.combine(date.fromisoformat(text), time.max, UTC)
        moment = datetime.fromisoformat(text)
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    raise BadRequest(
        f"{text!r} is neither a version nor a time.",
        "Give a number, a day such as 2026-11-20, or 2026-11-20T12:00:00Z.",
    )
