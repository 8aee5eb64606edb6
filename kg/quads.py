"""What a quad of the store can be: stated by a source, derived by Parley, or of the merged copy. Reading by pattern."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

import pyoxigraph as ox

from kg.terms import DERIVED_GRAPHS

#: The default graph: in a store of Parley's the merged copy of all others.
TOP = ox.DefaultGraph()
DERIVED = frozenset(ox.NamedNode(iri) for iri in DERIVED_GRAPHS)
#: Graphs that are no source.
NOT_STATED = DERIVED | {TOP}

Graph = ox.NamedNode | ox.DefaultGraph


class Facts(Protocol):
    """What finds quads by pattern as a store does; None stands for any term, and for any graph."""

    def quads_for_pattern(self, subject: Any, predicate: Any, object: Any, graph_name: Any, /) -> Iterator[ox.Quad]: ...


def is_stated(quad: ox.Quad) -> bool:
    """Whether the quad is what a source says: neither derived nor of the merged copy."""
    return quad.graph_name not in NOT_STATED
