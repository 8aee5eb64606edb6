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
import getpass
import gzip
import json
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

import pyoxigraph as ox

from kg.errors import Conflict, NotFound, StoreFailure
from kg.terms import DERIVED_GRAPHS, HISTORY_GRAPH, PREFIXES, RDF_TYPE

FORMAT = 1
#: Versions kept; older databases go, unless a reader holds them. Records and change sets stay.
KEEP = 20
_DERIVED = {ox.NamedNode(iri) for iri in DERIVED_GRAPHS}
#: Quads from which on the engine writes whole files at once, which no reader of a draft could mind.
_BULK = 10_000
_FOLDERS = ("versions", "records", "changes", "locks", "staging")


@dataclass(frozen=True)
class Record:
    """What is known of one commit. Counts are of what sources assert: not of entailments, nor of the merged copy."""

    version: int
    at: str
    who: str
    message: str
    graphs: list[str] = field(default_factory=list)
    added: int = 0
    removed: int = 0
    quads: int = 0
    content: str = ""
    warnings: int = 0


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
            with _locked(home / ".create"):
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
        _open(home / "versions" / "0").flush()
        _replace(home / "current", "0\n")
        _replace(home / "store.json", json.dumps({"format": FORMAT, "bare": bare}) + "\n")

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
            with _locked(self.home / "locks" / str(number), shared=True):
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
        """Hold the writer's lock and work on a copy of the current version; publish it or lose it."""
        with _locked(self.home / "locks" / "writer"):
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


class Draft:
    """A writable copy of one version. Changes are collected, so that the change set is exact."""

    def __init__(self, versions: Versions, base: int, path: Path) -> None:
        self._versions, self._path = versions, path
        self.base = base
        self.store = _open(path)
        self.added: set[ox.Quad] = set()
        self.removed: set[ox.Quad] = set()

    @property
    def facts(self) -> ox.Store:
        """The facts as they are now, to be read by pattern."""
        return self.store

    def additions(self) -> Iterator[ox.Quad]:
        """The quads added so far."""
        return iter(self.added)

    @property
    def changed_graphs(self) -> set[str]:
        return {getattr(q.graph_name, "value", "") for q in self.added | self.removed}

    def set_graph(self, graph: ox.NamedNode | ox.DefaultGraph, quads: Iterable[ox.Quad]) -> None:
        """Make the graph hold exactly these quads (none: the graph is gone)."""
        wanted = set(quads)
        present = set(self.store.quads_for_pattern(None, None, None, graph))
        self.add(wanted - present)
        self.remove(present - wanted)

    def add(self, quads: Iterable[ox.Quad]) -> None:
        """Add quads that may be there already."""
        new = [q for q in quads if q not in self.store]
        extend = self.store.bulk_extend if len(new) > _BULK else self.store.extend
        extend(new)
        if not self._versions.bare:
            extend([ox.Quad(q.subject, q.predicate, q.object) for q in new])
        self.added.update(q for q in new if q not in self.removed)
        self.removed.difference_update(new)

    def remove(self, quads: Iterable[ox.Quad]) -> None:
        """Remove quads; a triple leaves the default graph when no named graph holds it any more."""
        gone = [q for q in quads if q in self.store]
        for quad in gone:
            self.store.remove(quad)
        self.removed.update(q for q in gone if q not in self.added)
        self.added.difference_update(gone)
        for graph in {q.graph_name for q in gone}:
            if isinstance(graph, ox.NamedNode) and not any(self.store.quads_for_pattern(None, None, None, graph)):
                self.store.remove_graph(graph)  # the engine would go on listing the name of an empty graph
        if self._versions.bare:
            return
        default = ox.DefaultGraph()
        for quad in gone:
            holders = self.store.quads_for_pattern(quad.subject, quad.predicate, quad.object, None)
            if all(holder.graph_name == default for holder in holders):
                self.store.remove(ox.Quad(quad.subject, quad.predicate, quad.object))

    def publish(self, message: str, *, content: str = "", warnings: int = 0) -> Record | None:
        """Make this the current version, or do nothing if nothing changed. The draft is closed either way."""
        if not (self.added or self.removed) and not content:
            return None
        home, number = self._versions.home, self.base + 1
        previous = self._versions.record(self.base).quads if self.base else 0
        added, removed = (sum(q.graph_name not in _DERIVED for q in quads) for quads in (self.added, self.removed))
        record = Record(
            version=number,
            at=datetime.now(UTC).isoformat(timespec="seconds"),
            who=_user(),
            message=message,
            graphs=sorted(self.changed_graphs),
            added=added,
            removed=removed,
            quads=previous + added - removed,
            content=content or self._versions.content(),
            warnings=warnings,
        )
        if not self._versions.bare:
            self.store.extend(_history(record, self.added, self.removed))
        self._close()
        with (
            _synced(home / "changes" / f"{number}.nq.gz") as raw,
            gzip.GzipFile("", "wb", fileobj=raw, mtime=0) as file,
        ):
            for sign, quads in (("D", self.removed), ("A", self.added)):
                for line in sorted(f"{quad} ." for quad in quads):
                    file.write(f"{sign} {line}\n".encode())
        _replace(home / "records" / f"{number}.json", json.dumps(asdict(record), ensure_ascii=False, indent=1) + "\n")
        self._path.rename(home / "versions" / str(number))
        for folder in ("changes", "versions"):
            _sync_folder(home / folder)
        _replace(home / "current", f"{number}\n")
        self._versions.prune()
        return record

    def discard(self) -> None:
        """Throw the copy away; after `publish` there is nothing left to throw."""
        if hasattr(self, "store"):
            self._close()
        shutil.rmtree(self._path, ignore_errors=True)

    def _close(self) -> None:
        """Make the copy durable and close it: the engine closes a database when its last reference goes."""
        self.store.flush()
        del self.store


def _history(record: Record, added: Iterable[ox.Quad], removed: Iterable[ox.Quad]) -> Iterator[ox.Quad]:
    """What a version changed, as facts that a query can ask for; they stand in a graph of their own alone."""
    graph, prov, xsd = ox.NamedNode(HISTORY_GRAPH), PREFIXES["prov"], PREFIXES["xsd"]
    version = ox.NamedNode(f"{PREFIXES['version']}{record.version}")

    def fact(subject: ox.NamedNode, predicate: str, value: ox.NamedNode | ox.Literal) -> ox.Quad:
        return ox.Quad(subject, ox.NamedNode(predicate), value, graph)

    yield fact(version, RDF_TYPE, ox.NamedNode(PREFIXES["trade"] + "Version"))
    yield fact(version, prov + "generatedAtTime", ox.Literal(record.at, datatype=ox.NamedNode(xsd + "dateTime")))
    yield fact(version, PREFIXES["dcterms"] + "description", ox.Literal(record.message))
    counts: dict[ox.NamedNode, list[int]] = {}
    for place, quads in enumerate((added, removed)):
        for quad in quads:
            if isinstance(quad.graph_name, ox.NamedNode) and quad.graph_name not in _DERIVED:
                counts.setdefault(quad.graph_name, [0, 0])[place] += 1
    for number, source in enumerate(sorted(counts, key=str), 1):
        change = ox.NamedNode(f"{PREFIXES['change']}{record.version}-{number}")
        yield fact(change, RDF_TYPE, ox.NamedNode(PREFIXES["trade"] + "Change"))
        yield fact(change, PREFIXES["trade"] + "inVersion", version)
        yield fact(change, PREFIXES["trade"] + "changedSource", source)
        for name, count in zip(("factsAdded", "factsRemoved"), counts[source], strict=True):
            yield fact(change, PREFIXES["trade"] + name, ox.Literal(count))


def _open(path: Path) -> ox.Store:
    return ox.Store(str(path))


def in_memory(store: ox.Store) -> ox.Store:
    """A copy that needs no disk, for reading several times faster."""
    copy = ox.Store()
    copy.bulk_extend(store)
    return copy


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user may have a number and no name
        return f"uid {os.getuid()}"


@contextmanager
def _locked(path: Path, *, shared: bool = False) -> Iterator[None]:
    """Hold an advisory lock on a file; the kernel releases it when the process ends, however it ends."""
    with path.open("a", encoding="ascii") as file:
        fcntl.flock(file, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
        yield


@contextmanager
def _synced(path: Path) -> Iterator[IO[bytes]]:
    with path.open("wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


def _replace(path: Path, text: str) -> None:
    """Put a whole new text in place of a file, durably and at once."""
    fresh = path.with_name(path.name + ".new")
    with _synced(fresh) as file:
        file.write(text.encode())
    fresh.replace(path)
    _sync_folder(path.parent)


def _sync_folder(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
