"""Versions whose databases are gone, made again from one that is kept and the change sets on the way."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from functools import cache
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pyoxigraph as ox

from kg.changes import HISTORY, Change, apply, drop_if_empty, read
from kg.errors import Oversize, StoreFailure
from kg.records import Counts, history_of, told_later
from kg.terms import HISTORY_GRAPH

if TYPE_CHECKING:
    from kg.quads import Graph
    from kg.store import Versions

#: Copies into the default graph, which is empty, what it merges.
_MERGE = f"INSERT {{ ?s ?p ?o }} WHERE {{ GRAPH ?g {{ ?s ?p ?o }} FILTER(?g != <{HISTORY_GRAPH}>) }}"
#: Bytes of a change set that are read at once.
_PIECE = 16 << 20


def rebuild(versions: Versions, version: int, path: Path, kept: Iterable[int]) -> int:
    """Make the database of a version at `path`, which must not exist, and close it.

    It is made from one of the versions `kept`, or from nothing, which is version 0: from where the change sets on the
    way are smallest.

    Returns:
        The version that it was made from.

    Raises:
        StoreFailure: a record or a change set on the way is missing or damaged, wherever one begins.
    """
    base = _nearest(versions, version, {0, *kept})
    store = _copy(versions, base, path)
    for number in range(base, version, -1):
        apply(store, read(versions, number).reverse, bare=versions.bare)
    for number in range(base + 1, version + 1):
        replay(versions, number, store)
    for quad in told_later(store, version):
        store.remove(quad)
    drop_if_empty(store, HISTORY)
    store.flush()
    return base


def replay(versions: Versions, number: int, store: ox.Store) -> None:
    """Change a store that holds the version before as this version changed it.

    Raises:
        StoreFailure: its record or its change set is missing or damaged. The store may be changed in part.
    """
    change = read(versions, number)
    apply(store, change, bare=versions.bare)
    if not versions.bare:
        store.extend(history_of(versions.record(number), *_counts(change)))


def in_memory(versions: Versions, version: int, on_disk: ox.Store, most: float = inf) -> ox.Store:
    """A copy of a version that needs no disk, for reading several times faster.

    It is made of all change sets from the first on, by the engine alone: to read a database of the same size takes
    twice as long. Of the database it reads only the history. Other threads run meanwhile.

    Raises:
        StoreFailure: a change set is missing or damaged.
        Oversize: the change sets have more than so many bytes of text.
    """
    history = list(on_disk.quads_for_pattern(None, None, None, HISTORY))
    store, size = ox.Store(), 0
    for number in range(1, version + 1):
        with versions.change_set(number) as lines:
            while piece := lines.read(_PIECE):
                piece += lines.readline()
                size += len(piece)
                if size > most:
                    raise Oversize(f"Version {version} has more than {most:,} bytes.", "It can be read on disk.")
                try:
                    _apply_text(store, piece)
                except SyntaxError as error:
                    raise versions.damaged(f"The change set of version {number}", error.msg) from None
    for graph in list(store.named_graphs()):  # one is not to be removed while they are listed
        drop_if_empty(store, graph)
    if not versions.bare:
        store.update(_MERGE)
    store.extend(history)
    return store


def _apply_text(store: ox.Store, piece: bytes) -> None:
    """Change a store by whole lines of a change set: those of removed quads come before those of added ones."""
    start = 0 if piece.startswith(b"A ") else piece.find(b"\nA ") + 1 or len(piece)
    for quad in ox.parse(_unsigned(piece[:start], b"D "), ox.RdfFormat.N_QUADS):
        store.remove(quad)
    added = _unsigned(piece[start:], b"A ")
    if b"_:" in added:  # read natively, blank nodes get other names, by which later change sets do not know them
        store.bulk_extend(ox.parse(added, ox.RdfFormat.N_QUADS, lenient=True))
    else:
        store.bulk_load(added, ox.RdfFormat.N_QUADS, lenient=True)


def _unsigned(lines: bytes, sign: bytes) -> bytes:
    """Lines without the sign before each. A line with another is none that the engine takes for a quad."""
    return lines.removeprefix(sign).replace(b"\n" + sign, b"\n")  # a literal has no line breaks of its own


def _counts(change: Change) -> tuple[Counts, Counts]:
    """How many facts of each source came, and how many went."""
    came, went = (Counter(cast("Graph", q.graph_name) for q in quads) for quads in change.asserted)
    return came, went


def _nearest(versions: Versions, version: int, bases: Iterable[int]) -> int:
    """The base from which the bytes of the change sets are fewest."""
    costs: dict[int, float] = {}
    size = cache(lambda number: _size(versions.change_file(number)))
    for base in bases:
        cost = sum(size(number) for number in range(min(base, version) + 1, max(base, version) + 1))
        if cost < inf:
            costs[base] = cost
    if not costs:
        raise StoreFailure(
            f"Version {version} cannot be made again: change sets are missing.", "`kg repair` says which."
        )
    return min(costs, key=lambda base: (costs[base], -base))


def _size(file: Path) -> float:
    return file.stat().st_size if file.is_file() else inf


def _copy(versions: Versions, base: int, path: Path) -> ox.Store:
    if base:
        with versions.reading(base) as (_, store):
            store.backup(str(path))
    return ox.Store(str(path))
