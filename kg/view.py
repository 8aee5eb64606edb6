"""The facts of a store as its sources state them: who says what of a node, and whose word prevails."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import pyoxigraph as ox

from kg.terms import ENTAILED_GRAPH, PREFIXES

_RANK = """
SELECT ?source ?precedence ?issued {
    ?source dcterms:issued ?issued ; dcterms:type ?kind . ?kind trade:precedence ?precedence
}"""


@dataclass
class View:
    """The facts of a store by subject, and the rank of their sources."""

    store: ox.Store
    functional: set[str] = field(init=False)
    ranks: dict[str, tuple[int, str]] = field(init=False)

    def __post_init__(self) -> None:
        rows = self.store.query("SELECT ?p { ?p a owl:FunctionalProperty }", prefixes=PREFIXES)
        self.functional = {row["p"].value for row in rows}  # type: ignore[union-attr]
        self.ranks = {}
        for row in self.store.query(_RANK, prefixes=PREFIXES):  # type: ignore[union-attr]
            rank = (int(row["precedence"].value), row["issued"].value)
            self.ranks[row["source"].value] = max(rank, self.ranks.get(row["source"].value, rank))

    def quads(self, subject: ox.NamedNode) -> Iterator[ox.Quad]:
        """What the sources assert of a node: neither entailments nor the merged copy."""
        for quad in self.store.quads_for_pattern(subject, None, None, None):
            if getattr(quad.graph_name, "value", ENTAILED_GRAPH) != ENTAILED_GRAPH:
                yield quad

    def prevailing(self, graphs: Iterable[str]) -> str:
        """The source that counts among several: by kind, then the later one, then by name."""
        return max(graphs, key=lambda g: (*self.ranks.get(g, (0, "")), g))

    def description(self, subject: ox.NamedNode, own: set[str]) -> Iterator[ox.Quad]:
        """The node as the sources `own` see it: their values where they give one, else the prevailing ones."""
        by_property: dict[str, dict[str, list[ox.Quad]]] = defaultdict(lambda: defaultdict(list))
        for quad in self.quads(subject):
            by_property[quad.predicate.value][quad.graph_name.value].append(quad)  # type: ignore[union-attr]
        for predicate, stated in by_property.items():
            graphs: Iterable[str] = stated
            if predicate in self.functional:
                graphs = own & stated.keys() or {self.prevailing(stated)}
            for graph in graphs:
                yield from stated[graph]
