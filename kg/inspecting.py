"""Look a store over for damage: every database to its last block, every change set to its last line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyoxigraph as ox

from kg.changes import HISTORY, Change
from kg.errors import StoreFailure
from kg.quads import DERIVED, TOP, matching


@dataclass(frozen=True)
class Tally:
    """What a change set comes to: facts that sources came to state or no longer state, and all graphs it touches."""

    added: int
    removed: int
    graphs: list[str]

    @classmethod
    def of(cls, change: Change) -> Tally:
        added, removed = change.asserted
        graphs = {getattr(q.graph_name, "value", "") for quads in change for q in quads}
        return cls(len(added), len(removed), sorted(graphs))


def inspect(path: Path, change: Change | None, *, bare: bool) -> int:
    """Read a database through each of its indexes, which makes the engine verify the checksum of every block in use.

    `change` is what the version added and removed, if that is known.

    Returns:
        How many facts the sources in it assert.

    Raises:
        StoreFailure: it does not open, a block is damaged, its indexes differ, its default graph is not the merge of
            the named ones, or it does not hold what its version added.
    """
    try:
        store = ox.Store.read_only(str(path))
        sizes = _read_all(store, bare=bare)
    except (OSError, RuntimeError, ValueError) as error:
        raise StoreFailure(f"{error}".strip().rstrip(".")) from None
    if change and not (all(q in store for q in change.added) and not any(q in store for q in change.removed)):
        raise StoreFailure("it does not hold what its change set says")
    apart = DERIVED if bare else DERIVED | {TOP}
    return sum(size for graph, size in sizes.items() if graph not in apart)


def _read_all(store: ox.Store, *, bare: bool) -> Counter[Any]:
    """The number of quads by graph.

    Raises:
        OSError, RuntimeError: the engine comes upon damage.
        ValueError: the indexes or the graphs contradict each other.
    """
    sizes: Counter[Any] = Counter()
    terms: tuple[set[Any], set[Any], set[Any]] = (set(), set(), set())
    within: tuple[set[Any], set[Any]] = (set(), set())
    # Of triples their hashes, which are much smaller and differ as surely as checksums do.
    merged, stated = set(), set()
    for quad in store:
        sizes[quad.graph_name] += 1
        for known, term in zip(terms, quad.triple, strict=True):
            known.add(term)
        if quad.graph_name == TOP:
            merged.add(hash(quad.triple))
            continue
        within[0].add((quad.predicate, quad.graph_name))
        within[1].add((quad.object, quad.graph_name))
        if quad.graph_name != HISTORY:
            stated.add(hash(quad.triple))
    if not bare and merged != stated:
        raise ValueError("its default graph is not the merge of the others")
    _compare(store, sizes, terms, within)
    return sizes


def _compare(store: ox.Store, sizes: Counter[Any], terms: tuple[Any, Any, Any], within: tuple[Any, Any]) -> None:
    """See that each index has as many quads as there are, and that the graphs that hold some are listed."""
    subjects, predicates, objects = terms
    named = sizes.total() - sizes[TOP]
    counts = {
        "subject": (sizes.total(), (store.quads_for_pattern(s, None, None, None) for s in subjects)),
        "predicate": (sizes.total(), (store.quads_for_pattern(None, p, None, None) for p in predicates)),
        "object": (sizes.total(), (matching(store, None, None, o, None) for o in objects)),
        "graph and predicate": (named, (store.quads_for_pattern(None, p, None, g) for p, g in within[0])),
        "graph and object": (named, (matching(store, None, None, o, g) for o, g in within[1])),
    }
    for name, (due, found) in counts.items():
        if (count := sum(map(_length, found))) != due:
            raise ValueError(f"its index by {name} has {count:,} quads and should have {due:,}")
    if not set(sizes) - {TOP} <= set(store.named_graphs()):
        raise ValueError("its list of graphs lacks some that hold quads")


def _length(quads: Iterable[ox.Quad]) -> int:
    return sum(1 for _ in quads)
