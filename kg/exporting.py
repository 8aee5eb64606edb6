"""Write a version out, so that equal facts give equal bytes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO

import pyoxigraph as ox

from kg.errors import BadRequest, NotFound
from kg.evaluation import write_graph
from kg.formats import Format
from kg.quads import TOP, Graph
from kg.terms import DERIVED_GRAPHS, expand


def export(store: ox.Store, graph: str | None, format: Format, output: IO[bytes], *, bare: bool = False) -> None:
    """Serialise one graph, or every graph but the entailments: sorted by graph, then in the store's own order. The
    default graph comes first where it is one of its own, in a bare store.

    The store keeps its quads in an order that depends on their content alone. A graph format holds the merge of
    all sources when no graph is named.

    Raises:
        BadRequest: the graph's name is no IRI.
        NotFound: there is no such graph.
    """
    if graph is not None:
        iri = expand(graph)
        if iri is None:
            raise BadRequest(f"{graph!r} is no IRI.", "Give an absolute IRI or a name such as source:my-notes.")
        name = ox.NamedNode(iri)
        if not store.contains_named_graph(name):
            raise NotFound(f"There is no graph {iri}.", "`kg query 'SELECT DISTINCT ?g { GRAPH ?g {} }'` lists them.")
        write_graph(_triples(store, [name]), format, output)
    elif format.kind == "graph":
        write_graph(_triples(store, _graphs(store, bare=bare)), format, output)
    else:
        write_graph(_quads(store, bare=bare), format, output)


def _graphs(store: ox.Store, *, bare: bool) -> list[Graph]:
    names = (g for g in store.named_graphs() if isinstance(g, ox.NamedNode) and g.value not in DERIVED_GRAPHS)
    return [*([TOP] if bare else []), *sorted(names, key=lambda g: g.value)]


def _quads(store: ox.Store, *, bare: bool) -> Iterator[ox.Quad]:
    for graph in _graphs(store, bare=bare):
        yield from store.quads_for_pattern(None, None, None, graph)


def _triples(store: ox.Store, graphs: list[Graph]) -> Iterator[ox.Triple]:
    for graph in graphs:
        for quad in store.quads_for_pattern(None, None, None, graph):
            yield ox.Triple(quad.subject, quad.predicate, quad.object)
