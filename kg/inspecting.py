"""Look a store over for damage: every database to its last block, every change set to its last line."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pyoxigraph as ox

from kg.changes import HISTORY, Change
from kg.errors import StoreFailure
from kg.quads import DERIVED, TOP

#: Quads strewn over the ranges of keys; the ends that they leave out are about a thousandth of each.
_STREWN = 2_000
#: Words of errors that say nothing of the database.
_WANTS = ("No space left", "Disk quota", "Too many open files", "Permission denied")


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


def inspect(path: Path, change: Change | None, scratch: Path, *, bare: bool) -> int:
    """Read a database to its last block, in every index, so that the engine verifies its checksums.

    `change` is what the version added and removed, if that is known. `scratch` is an empty folder on the same disk,
    which takes as much room as the database meanwhile.

    Returns:
        How many facts the sources in it assert.

    Raises:
        StoreFailure: it does not open, a block is damaged, its indexes differ, its default graph is not the merge of
            the named ones, or it does not hold what its version added.
        OSError: the check itself is not possible, for want of room or of rights.
    """
    try:
        store = ox.Store.read_only(str(path))
        _compact(store, scratch / "copy")
        sizes = _read_all(store, bare=bare)
    except (OSError, RuntimeError, ValueError) as error:
        if any(want in str(error) for want in _WANTS):
            raise OSError(str(error)) from None
        raise StoreFailure(str(error).strip().rstrip(".")) from None
    if change and not (all(q in store for q in change.added) and not any(q in store for q in change.removed)):
        raise StoreFailure("it does not hold what its change set says")
    apart = DERIVED if bare else DERIVED | {TOP}
    return sum(size for graph, size in sizes.items() if graph not in apart)


def _compact(store: ox.Store, path: Path) -> None:
    """Have the engine rewrite a copy, which reads each block of each index.

    It would take over unread the files with whose range of keys no new ones overlap: so new quads are strewn over all
    ranges before.

    Raises:
        OSError, RuntimeError: the engine comes upon damage.
    """
    store.backup(str(path))
    copy = ox.Store(str(path))
    copy.bulk_extend(_strewn())
    copy.optimize()
    copy.flush()


@cache
def _strewn() -> tuple[ox.Quad, ...]:
    """Quads of terms of every kind that the engine keeps apart, in named graphs and in the default graph. Of most terms
    it stores a hash, so that they lie all over."""
    quads: list[ox.Quad] = []
    for number in range(_STREWN):
        one, other, kind, graph = (ox.NamedNode(f"urn:strewn:{part}:{number}") for part in range(4))
        text = f"longer than what is kept in place: {number}"
        objects = (
            one, ox.BlankNode(), ox.Literal(number), ox.Literal(text), ox.Literal(text, datatype=kind),
            ox.Triple(one, kind, other),
        )  # fmt: skip
        triple = (other if number % 2 else ox.BlankNode(), kind, objects[number % len(objects)])
        quads += ox.Quad(*triple, graph), ox.Quad(*triple)
    return tuple(quads)


def _read_all(store: ox.Store, *, bare: bool) -> Counter[Any]:
    """The number of quads by graph.

    Raises:
        OSError, RuntimeError: the engine comes upon damage.
        ValueError: the indexes or the graphs contradict each other.
    """
    sizes: Counter[Any] = Counter()
    # Of triples their hashes, which are much smaller and differ as surely as checksums do.
    merged: set[int] = set()
    stated: set[int] = set()
    for graph in (TOP, *store.named_graphs()):
        predicates: Counter[Any] = Counter()
        for subject, predicate, object, _ in store.quads_for_pattern(None, None, None, graph):
            predicates[predicate] += 1
            if graph != HISTORY:
                (merged if graph == TOP else stated).add(hash((subject, predicate, object)))
        for predicate, count in predicates.items():
            if sum(1 for _ in store.quads_for_pattern(None, predicate, None, graph)) != count:
                raise ValueError("its index by predicate is not that of its quads")
        sizes[graph] = predicates.total()
    if not bare and merged != stated:
        raise ValueError("its default graph is not the merge of the others")
    if sum(1 for _ in store) != sizes.total():
        raise ValueError("its list of graphs lacks some that hold quads")
    return sizes
