"""What a quad of the store can be: stated by a source, derived by Parley, or of the merged copy. Reading by pattern."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, Protocol, cast

import pyoxigraph as ox

from kg.terms import DERIVED_GRAPHS, RDF_TYPE

#: The default graph: in a store of Parley's the merged copy of all others.
TOP = ox.DefaultGraph()
DERIVED = frozenset(ox.NamedNode(iri) for iri in DERIVED_GRAPHS)
#: Graphs that are no source.
NOT_STATED = DERIVED | {TOP}

Graph = ox.NamedNode | ox.DefaultGraph

#: Characters of a term. The engine reads a long one anew for many a look-up of others, and one of megabytes brings
#: every query beyond its deadline.
MAX_TERM: Final = 1_000_000
LONG_TERM: Final = (f"A term has more than {MAX_TERM:,} characters.", "Keep a long text elsewhere and link to it.")


class Facts(Protocol):
    """What finds quads by pattern as a store does; None stands for any term, and for any graph."""

    def quads_for_pattern(self, subject: Any, predicate: Any, object: Any, graph_name: Any, /) -> Iterator[ox.Quad]: ...


def matching(facts: Facts, subject: Any, predicate: Any, object: Any, graph: Any) -> Iterator[ox.Quad]:
    """The quads of a pattern, which on disk `quads_for_pattern` alone does not give if there is an object.

    There pyoxigraph 0.5.13 also finds objects whose keys come after one that ends in the byte 255: asked for the
    number 255, it finds 256 and 300 as well. SPARQL is not concerned.
    """
    found = facts.quads_for_pattern(subject, predicate, object, graph)
    return found if object is None else (quad for quad in found if quad.object == object)


def is_stated(quad: ox.Quad) -> bool:
    """Whether the quad is what a source says: neither derived nor of the merged copy."""
    return quad.graph_name not in NOT_STATED


def count_stated(store: ox.Store, *, bare: bool) -> int:
    """How many facts the sources in a store assert; in a bare store the default graph is one of them."""
    derived = ", ".join(sorted(map(str, DERIVED)))
    patterns = [f"GRAPH ?g {{ ?s ?p ?o }} FILTER(?g NOT IN ({derived}))", *(["?s ?p ?o"] if bare else [])]
    total = 0
    for pattern in patterns:
        [row] = cast("ox.QuerySolutions", store.query(f"SELECT (COUNT(*) AS ?n) {{ {pattern} }}"))
        total += int(cast("ox.Literal", row["n"]).value)
    return total


def is_long(quad: ox.Quad) -> bool:
    """Whether a quad of names and literals has a term with more characters than one may have."""
    return (
        len(quad.object.value) > MAX_TERM  # type: ignore[union-attr]
        or len(quad.subject.value) > MAX_TERM  # type: ignore[union-attr]
        or len(quad.predicate.value) > MAX_TERM
        or (quad.graph_name != TOP and len(quad.graph_name.value) > MAX_TERM)  # type: ignore[union-attr]
    )


def for_people(triple: ox.Triple | ox.Quad) -> tuple[str, bool, str, str]:
    """The place of a triple among others: by subject, its types first, then by predicate and object."""
    predicate = triple.predicate.value
    return str(triple.subject), predicate != RDF_TYPE, predicate, str(triple.object)
