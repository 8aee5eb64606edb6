"""A draft: the copy of a version on which a commit is worked out, with the exact set of what it changes.

Small changes are written to the copy at once. Whole new graphs that come in bulk are held in memory, where they are
read several times faster than from disk, until the draft is published; `Draft.facts` shows both as one.
"""

from __future__ import annotations

import gzip
import json
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Set
from dataclasses import asdict
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

import pyoxigraph as ox

from kg.durable import replace, sync_folder, synced
from kg.quads import DERIVED, TOP, Facts, Graph, matching
from kg.records import Record, history_of, user
from kg.settling import Settling, with_copies

if TYPE_CHECKING:
    from kg.store import Versions

#: Quads from which on whole new graphs are held in memory, and the engine writes whole files at once.
_BULK = 10_000
#: Files of a database from which on it is compacted; each commit adds some, and each file costs every later reader.
_MANY_FILES = 400


class _Layered:
    """Facts in memory over facts on disk. The copies in the default graph of those in memory are made up on demand:
    they are found when that graph is asked for, not when all graphs are."""

    def __init__(self, fresh: ox.Store, store: ox.Store) -> None:
        self._fresh, self._store = fresh, store
        #: Nodes that the disk does not describe: a look there costs several times one in memory.
        self._new: set[Any] = set()

    def quads_for_pattern(self, subject: Any, predicate: Any, object: Any, graph_name: Any, /) -> Iterator[ox.Quad]:
        if subject is not None and self.is_new(subject):
            below: Iterator[ox.Quad] = iter(())
        else:
            below = self._store.quads_for_pattern(subject, predicate, object, graph_name)
        if graph_name != TOP:
            return chain(self._fresh.quads_for_pattern(subject, predicate, object, graph_name), below)
        above = self._fresh.quads_for_pattern(subject, predicate, object, None)
        merged = dict.fromkeys(ox.Quad(q.subject, q.predicate, q.object) for q in above)
        if not merged:
            return below
        return chain(merged, (q for q in below if q not in merged))

    def is_new(self, subject: Any) -> bool:
        """Whether all that is said of a node is in memory."""
        if subject in self._new:
            return True
        if any(self._store.quads_for_pattern(subject, None, None, TOP)):
            return False
        self._new.add(subject)
        return True

    def described(self, quads: Iterable[ox.Quad]) -> None:
        """Take note that quads have come to the disk."""
        self._new.difference_update(q.subject for q in quads)


class Draft:
    """A writable copy of one version. `added`, `removed` and `fresh` together are the exact changes."""

    def __init__(self, versions: Versions, base: int, path: Path, lock: IO[bytes]) -> None:
        self._versions, self._path, self._lock = versions, path, lock
        self.base = base
        self.store = ox.Store(str(path))
        self.added: set[ox.Quad] = set()
        self.removed: set[ox.Quad] = set()
        #: Graphs that the base does not have and that came in bulk, and what was added since: not yet on disk.
        self.fresh = ox.Store()
        self._settling: Settling | None = None
        #: The draft as it stands, for reading by pattern.
        self.facts: Facts = self.store

    @property
    def changed(self) -> bool:
        return bool(self.added or self.removed or len(self.fresh))

    def additions(
        self, predicates: Set[ox.NamedNode] | None = None, graph: ox.NamedNode | None = None
    ) -> Iterator[ox.Quad]:
        """All that is added, in bulk or not; only of some properties, and in a graph, if those are given."""
        for quad in self.added:
            if (predicates is None or quad.predicate in predicates) and graph in (None, quad.graph_name):
                yield quad
        for predicate in (None,) if predicates is None else predicates:
            yield from self.fresh.quads_for_pattern(None, predicate, None, graph)

    def adds(self, quad: ox.Quad) -> bool:
        return quad in self.added or quad in self.fresh

    def is_new(self, node: Any) -> bool:
        """Whether all that is said of a node came in bulk."""
        return isinstance(self.facts, _Layered) and self.facts.is_new(node)

    @property
    def changed_graphs(self) -> set[str]:
        fresh = {g.value for g in self.fresh.named_graphs()}
        return {getattr(q.graph_name, "value", "") for q in self.added | self.removed} | fresh

    def put(self, incoming: ox.Store, *, keep: bool = False) -> set[Graph]:
        """Make each graph that `incoming` has hold exactly what it holds there; with `keep`, at least that.

        The terms are those of the engine, so that a number written otherwise is no change. Returns the graphs that
        were not there.
        """
        graphs: list[Graph] = [cast("ox.NamedNode", g) for g in incoming.named_graphs()]
        if any(incoming.quads_for_pattern(None, None, None, TOP)):
            graphs.append(TOP)
        emptied = {q.graph_name for q in self.removed}
        new = {g for g in graphs if g not in emptied and not any(self._held(g))}
        if len(incoming) > _BULK:
            self._hold(incoming, new, whole=len(new) == len(graphs))
            graphs = [g for g in graphs if g not in new]
        for graph in graphs:
            if not keep:
                self.remove([q for q in self._held(graph) if q not in incoming])
            self.add(incoming.quads_for_pattern(None, None, None, graph))
        return new

    def _held(self, graph: Graph) -> Iterator[ox.Quad]:
        """The quads of a graph, on disk and in memory."""
        return chain(*(s.quads_for_pattern(None, None, None, graph) for s in (self.store, self.fresh)))

    def _hold(self, incoming: ox.Store, graphs: Iterable[Graph], *, whole: bool) -> None:
        """Keep new graphs in memory; `whole`: those are all that `incoming` has."""
        layered = isinstance(self.facts, _Layered)
        if whole and not layered:
            self.fresh = incoming
        else:
            for graph in graphs:
                self.fresh.bulk_extend(incoming.quads_for_pattern(None, None, None, graph))
        if not layered and len(self.fresh):
            self.facts = _Layered(self.fresh, self.store)

    def set_graph(self, graph: Graph, quads: Iterable[ox.Quad]) -> None:
        """Make the graph hold exactly these quads (none: the graph is gone)."""
        incoming = ox.Store()
        incoming.bulk_extend(quads)
        if len(incoming):
            self.put(incoming)
        else:
            self.remove(list(self._held(graph)))

    def add(self, quads: Iterable[ox.Quad]) -> None:
        """Add quads that may be there already."""
        new = [q for q in quads if q not in self.store and q not in self.fresh]
        if isinstance(self.facts, _Layered):
            self.fresh.bulk_extend(q for q in new if q not in self.removed)
            new = [q for q in new if q in self.removed]
            self.facts.described(new)
        extend = self.store.bulk_extend if len(new) > _BULK else self.store.extend
        extend(new if self._versions.bare else with_copies(new))
        self.added.update(q for q in new if q not in self.removed)
        self.removed.difference_update(new)

    def remove(self, quads: Iterable[ox.Quad]) -> None:
        """Remove quads; a triple leaves the default graph when no named graph holds it any more."""
        gone = [q for q in quads if q in self.store or q in self.fresh]
        before = {q for q in gone if q in self.store and q not in self.added}
        for store in (self.store, self.fresh):
            for quad in gone:
                store.remove(quad)
            for graph in {q.graph_name for q in gone}:
                if isinstance(graph, ox.NamedNode) and not any(store.quads_for_pattern(None, None, None, graph)):
                    store.remove_graph(graph)  # the engine would go on listing the name of an empty graph
        self.removed |= before
        self.added.difference_update(gone)
        if self._versions.bare:
            return
        for quad in gone:
            holders = matching(self.facts, quad.subject, quad.predicate, quad.object, None)
            if all(holder.graph_name == TOP for holder in holders):
                self.store.remove(ox.Quad(quad.subject, quad.predicate, quad.object))

    def publish(self, message: str, *, content: str = "", warnings: int = 0, author: str = "") -> Record | None:
        """Make this the current version, or do nothing if nothing changed. The draft is closed either way."""
        if not self.changed and not content:
            return None
        home, number = self._versions.home, self.base + 1
        counts = _Counts(self)
        record = Record(
            version=number,
            at=datetime.now(UTC).isoformat(timespec="seconds"),
            who=user(),
            message=message,
            graphs=sorted(self.changed_graphs),
            added=counts.added.total(),
            removed=counts.removed.total(),
            quads=self._versions.facts(self.base) + counts.added.total() - counts.removed.total(),
            content=content or self._versions.content(),
            warnings=warnings,
            author=author,
        )
        path = self._settled()
        _write_changes(home / "changes" / f"{number}.nq.gz", self, self._settling)
        if not self._versions.bare:
            self.store.extend(history_of(record, counts.added, counts.removed))
        self._close(path)
        replace(home / "records" / f"{number}.json", json.dumps(asdict(record), ensure_ascii=False, indent=1) + "\n")
        path.rename(home / "versions" / str(number))
        for folder in ("changes", "versions"):
            sync_folder(home / folder)
        replace(home / "current", f"{number}\n")
        self._versions.prune()
        return record

    def settle(self) -> None:
        """Begin to write what came in bulk to disk, in a process of its own; after this the draft may only be read."""
        if len(self.fresh):
            folder = self._path.with_name(f"{self._path.name}-bulk")
            self._settling = Settling(folder, self.store, self.fresh, self._lock, copies=not self._versions.bare)

    def _settled(self) -> Path:
        """The database with all changes, closed."""
        if self._settling is None:
            self.settle()
        if self._settling is None:
            return self._path
        self._settling.finish()
        self._release()
        self.store = ox.Store(str(self._settling.database))
        return self._settling.database

    def close(self) -> None:
        """Let go of the files and end what writes them; they are the store's to remove."""
        if self._settling:
            self._settling.stop()
        self._release()

    def _close(self, path: Path) -> None:
        """Make the copy durable and close it."""
        self.store.flush()
        if len(list(path.glob("*.sst"))) > _MANY_FILES:
            self.store.optimize()
        self._release()

    def _release(self) -> None:
        """The engine closes a database when its last reference goes."""
        self.facts = self.fresh
        self.__dict__.pop("store", None)


class _Counts:
    """How many facts of each source a draft adds and removes; what Parley derives does not count."""

    def __init__(self, draft: Draft) -> None:
        self.added: Counter[Graph] = Counter(_graphs(draft.added))
        self.removed: Counter[Graph] = Counter(_graphs(draft.removed))
        for graph in {cast("Graph", g) for g in (*draft.fresh.named_graphs(), TOP)} - DERIVED:
            if count := sum(1 for _ in draft.fresh.quads_for_pattern(None, None, None, graph)):
                self.added[graph] += count


def _graphs(quads: Iterable[ox.Quad]) -> Iterator[Graph]:
    return (cast("Graph", q.graph_name) for q in quads if q.graph_name not in DERIVED)


def _write_changes(path: Path, draft: Draft, settling: Settling | None) -> None:
    """The change set: removed quads, added ones, then those that came in bulk; the same bytes for the same load."""
    with synced(path) as raw, gzip.GzipFile("", "wb", compresslevel=3, fileobj=raw, mtime=0) as file:
        for sign, quads in (("D", draft.removed), ("A", draft.added)):
            for line in sorted(f"{quad} ." for quad in quads):
                file.write(f"{sign} {line}\n".encode())
        if settling:
            with settling.quads.open("rb") as bulk:
                shutil.copyfileobj(bulk, _Signed(cast("IO[bytes]", file)), 1 << 20)


class _Signed:
    """Passes lines on with "A " in front of each."""

    def __init__(self, output: IO[bytes]) -> None:
        self._output, self._at_start = output, True

    def write(self, data: bytes) -> int:
        signed = (b"A " if self._at_start else b"") + data.replace(b"\n", b"\nA ")
        self._at_start = data.endswith(b"\n")
        self._output.write(signed.removesuffix(b"A ") if self._at_start else signed)
        return len(data)
