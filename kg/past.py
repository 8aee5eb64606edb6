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
from kg.errors import StoreFailure
from kg.quads import DERIVED
from kg.records import Counts, history_of, told_later
from kg.store import merge

if TYPE_CHECKING:
    from kg.quads import Graph
    from kg.store import Versions


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


def first_version(versions: Versions) -> ox.Store:
    """The first version, in memory.

    It is read from its change set by the engine alone, without an object for each quad as in `replay`.

    Raises:
        StoreFailure: its record or its change set is missing or damaged.
    """
    store = ox.Store()
    with versions.change_set(1) as lines:
        signed = lines.read()
    # A commit to an empty store only adds, so that each line begins with "A "; a literal has no line breaks of its own.
    quads = signed.removeprefix(b"A ").replace(b"\nA ", b"\n")
    try:
        store.bulk_load(quads, ox.RdfFormat.N_QUADS, lenient=True)
    except SyntaxError as error:
        raise versions.damaged("The change set of version 1", error.msg) from None
    if not versions.bare:
        sources = [cast("Graph", graph) for graph in store.named_graphs() if graph not in DERIVED]
        came = {graph: sum(1 for _ in store.quads_for_pattern(None, None, None, graph)) for graph in sources}
        merge(store)
        store.extend(history_of(versions.record(1), came, {}))
    return store


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
