"""Change sets: what versions added and removed, read, put together and applied."""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Iterator
from itertools import groupby, islice
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pyoxigraph as ox

from kg.durable import synced
from kg.quads import DERIVED, TOP, matching
from kg.terms import HISTORY_GRAPH

if TYPE_CHECKING:
    from kg.store import Versions

HISTORY = ox.NamedNode(HISTORY_GRAPH)
#: Quads from which on the engine writes whole files at once.
_BULK = 10_000
#: Lines that are parsed at once.
_CHUNK = 50_000


class Change(NamedTuple):
    """Quads that came and quads that went; none of them did both."""

    added: set[ox.Quad]
    removed: set[ox.Quad]

    @property
    def reverse(self) -> Change:
        return Change(self.removed, self.added)

    @property
    def asserted(self) -> Change:
        """Without what Parley derives: what sources came to say, or no longer say."""
        return Change(*({q for q in quads if q.graph_name not in DERIVED} for quads in self))


def read(versions: Versions, version: int) -> Change:
    """The change set of a version.

    Raises:
        NotFound: there is no such version.
        StoreFailure: the change set is missing or damaged.
    """
    change = Change(set(), set())
    try:
        for sign, lines in groupby(versions.changes(version), key=lambda line: line[0]):
            {"A": change.added, "D": change.removed}[sign].update(_parsed(line for _, line in lines))
    except SyntaxError as error:
        raise versions.damaged(f"The change set of version {version}", error.msg) from None
    except KeyError as error:
        raise versions.damaged(f"The change set of version {version}", f"a line begins with {error}") from None
    return change


def _parsed(lines: Iterator[str]) -> Iterator[ox.Quad]:
    while chunk := list(islice(lines, _CHUNK)):
        yield from ox.parse("\n".join(chunk), ox.RdfFormat.N_QUADS)


def write(path: Path, change: Change) -> None:
    """Write a change set, durably: removed quads, then added ones, each in their order."""
    with synced(path) as raw, gzip.GzipFile("", "wb", compresslevel=3, fileobj=raw, mtime=0) as file:
        for sign, quads in (("D", change.removed), ("A", change.added)):
            for line in sorted(f"{quad} ." for quad in quads):
                file.write(f"{sign} {line}\n".encode())


def between(versions: Versions, start: int, end: int) -> Change:
    """What has to be added and removed to come from one version to another, in either direction.

    Raises:
        StoreFailure: a change set on the way is missing or damaged.
    """
    if start > end:
        return between(versions, end, start).reverse
    total = Change(set(), set())
    for number in range(start + 1, end + 1):
        change = read(versions, number)
        back, gone = change.added & total.removed, change.removed & total.added
        total.removed.difference_update(back)
        total.added.difference_update(gone)
        total.added.update(change.added - back)
        total.removed.update(change.removed - gone)
    return total


def apply(store: ox.Store, change: Change, *, bare: bool) -> None:
    """Change a store, and with it the merged default graph unless the store is bare."""
    for quad in change.removed:
        store.remove(quad)
    for graph in {q.graph_name for q in change.removed}:
        drop_if_empty(store, graph)
    if not bare:
        _unmerge(store, change.removed)
    extend = store.bulk_extend if len(change.added) > _BULK else store.extend
    extend(change.added)
    if not bare:
        extend(ox.Quad(q.subject, q.predicate, q.object) for q in change.added)


def drop_if_empty(store: ox.Store, graph: ox.NamedNode | ox.BlankNode | ox.DefaultGraph | ox.Triple) -> None:
    """Have the engine forget the name of a graph that holds nothing any more; it would go on listing it."""
    if isinstance(graph, ox.NamedNode) and not any(store.quads_for_pattern(None, None, None, graph)):
        store.remove_graph(graph)


def _unmerge(store: ox.Store, removed: Iterable[ox.Quad]) -> None:
    """Take the triples out of the default graph that no named graph but the history holds any more."""
    for quad in removed:
        holders = matching(store, quad.subject, quad.predicate, quad.object, None)
        if all(holder.graph_name in (TOP, HISTORY) for holder in holders):
            store.remove(ox.Quad(quad.subject, quad.predicate, quad.object))
