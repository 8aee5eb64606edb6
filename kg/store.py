"""The embedded store: a folder of versions, each a closed database that never changes again.

    store.json       what kind of store this is
    current          the number of the current version; replaced by one atomic rename
    versions/N/      the database of version N
    records/N.json   when, who, why, counts and graphs of the commit that made N
    changes/N.nq.gz  what the commit added ("A ") and removed ("D "), one quad a line
    locks/N          held shared by each reader of N; `locks/writer` by the one writer
    staging/         work in progress, swept by the next writer

A commit checkpoints the current version (hard links, so its cost does not depend on the size), works on the
copy, and publishes it by renaming the pointer. A crash at any point leaves the old version current.

Every source is a named graph. The default graph of the database holds each triple of all named graphs once: it is
what a query sees by default, with set semantics, which a union taken at query time does not have in the engine.
A bare store (`kg serve --bare`) is a plain dataset, and its default graph is its own.
"""

from __future__ import annotations

import fcntl
import gzip
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyoxigraph as ox

from kg.draft import Draft
from kg.durable import locked, replace
from kg.errors import Conflict, NotFound, StoreFailure
from kg.records import Record

FORMAT = 1
#: Versions kept; older databases go, unless a reader holds them. Records and change sets stay.
KEEP = 20
_FOLDERS = ("versions", "records", "changes", "locks", "staging")


class Versions:
    """The versions in one folder. Opening creates nothing; see `create`."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self._kind = self._read_kind()

    @classmethod
    def exists(cls, home: Path) -> bool:
        return (home / "store.json").is_file()

    @classmethod
    def create(cls, home: Path, *, bare: bool) -> Versions:
        """Make an empty store (version 0) in a folder that holds none, or open the one that is there.

        Raises:
            Conflict: the folder holds something else.
        """
        home.mkdir(parents=True, exist_ok=True)
        try:
            with locked(home / ".create"):
                if not cls.exists(home):
                    cls._make(home, bare=bare)
        finally:
            (home / ".create").unlink(missing_ok=True)
        return cls(home)

    @staticmethod
    def _make(home: Path, *, bare: bool) -> None:
        if any(p.name not in (".create", *_FOLDERS) for p in home.iterdir()):
            raise Conflict(f"{home} is not empty and holds no Parley store.", "Give an empty folder with KG_HOME.")
        for name in _FOLDERS:
            (home / name).mkdir(exist_ok=True)
        shutil.rmtree(home / "versions" / "0", ignore_errors=True)
        ox.Store(str(home / "versions" / "0")).flush()
        replace(home / "current", "0\n")
        replace(home / "store.json", json.dumps({"format": FORMAT, "bare": bare}) + "\n")

    def _read_kind(self) -> dict[str, Any]:
        try:
            kind: dict[str, Any] = json.loads((self.home / "store.json").read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise StoreFailure(f"{self.home} holds no readable Parley store: {error}.") from None
        if not isinstance(kind, dict) or "bare" not in kind:
            raise StoreFailure(f"{self.home} holds no readable Parley store: store.json does not say what kind it is.")
        if kind.get("format") != FORMAT:
            raise StoreFailure(
                f"The store in {self.home} has format {kind.get('format')!r}, this package reads {FORMAT}.",
                "Use the package that made it, or an empty folder.",
            )
        return kind

    @property
    def bare(self) -> bool:
        return bool(self._kind["bare"])

    def current(self) -> int:
        try:
            return int((self.home / "current").read_text("ascii"))
        except (OSError, ValueError) as error:
            raise StoreFailure(f"The store in {self.home} has no readable current version: {error}.") from None

    def record(self, version: int) -> Record:
        try:
            return Record(**json.loads((self.home / "records" / f"{version}.json").read_text("utf-8")))
        except OSError:
            raise NotFound(f"There is no version {version}.", f"The versions go from 1 to {self.current()}.") from None

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

    def changes(self, version: int) -> Iterator[tuple[str, str]]:
        """The change set of a version: ("A" or "D", quad as an N-Quads line)."""
        with gzip.open(self.home / "changes" / f"{version}.nq.gz", "rt", encoding="utf-8") as lines:
            for line in lines:
                yield line[0], line[2:].rstrip("\n")

    @contextmanager
    def reading(self, version: int | None = None) -> Iterator[tuple[int, ox.Store]]:
        """Open a version (default: the current one) read-only and keep it from being pruned meanwhile."""
        while True:
            number = self.current() if version is None else version
            with locked(self.home / "locks" / str(number), shared=True):
                path = self.home / "versions" / str(number)
                if not path.is_dir():
                    if version is None and number != self.current():
                        continue
                    raise NotFound(f"Version {number} is not kept.", f"The current version is {self.current()}.")
                try:
                    store = ox.Store.read_only(str(path))
                except (OSError, RuntimeError) as error:  # the engine's word for corruption is RuntimeError
                    raise StoreFailure(f"Version {number} in {self.home} cannot be opened: {error}.") from None
                yield number, store
                return

    @contextmanager
    def writing(self) -> Iterator[Draft]:
        """Hold the writer's lock and work on a copy of the current version; publish it or lose it.

        Raises:
            StoreFailure: the disk does not take it. The version before stays current.
        """
        try:
            with locked(self.home / "locks" / "writer"):
                self._sweep()
                base = self.current()
                path = self.home / "staging" / str(base + 1)
                with self.reading(base) as (_, store):
                    store.backup(str(path))
                draft = Draft(self, base, path)
                try:
                    yield draft
                finally:
                    draft.discard()
        except OSError as error:
            raise StoreFailure(
                f"{self.home} cannot be written to: {error.strerror or error}. Nothing was changed.",
                "See that the disk has room and that the folder is yours.",
            ) from None

    def _sweep(self) -> None:
        """Remove what a crashed writer left: staged copies, and versions beyond the current one."""
        current = self.current()
        for stray in (self.home / "staging").iterdir():
            shutil.rmtree(stray, ignore_errors=True)
        for version in (self.home / "versions").iterdir():
            if int(version.name) > current:
                shutil.rmtree(version)

    def prune(self) -> None:
        """Remove the databases of versions older than the kept ones, but none that a reader holds."""
        oldest = self.current() - KEEP + 1
        for path in (self.home / "versions").iterdir():
            if int(path.name) < oldest:
                with (self.home / "locks" / path.name).open("w", encoding="ascii") as lock:
                    try:
                        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    except BlockingIOError:
                        continue
                    shutil.rmtree(path)


def in_memory(store: ox.Store) -> ox.Store:
    """A copy that needs no disk, for reading several times faster."""
    copy = ox.Store()
    copy.bulk_extend(store)
    return copy
