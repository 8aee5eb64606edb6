"""What a source may say: facts in terms that the ontology has, and no axioms."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Set
from functools import lru_cache

import pyoxigraph as ox

from kg.content import Content
from kg.errors import BadData, BadRequest
from kg.terms import DERIVED_GRAPHS, ONTOLOGY_GRAPH, PREFIXES, RDF_TYPE, TRADE, compact

_AXIOMS = {
    PREFIXES[prefix] + name
    for prefix, name in (
        ("rdfs", "subClassOf"), ("rdfs", "subPropertyOf"), ("rdfs", "domain"), ("rdfs", "range"), ("owl", "inverseOf"),
        ("owl", "propertyChainAxiom"), ("owl", "sameAs"), ("owl", "equivalentClass"), ("owl", "equivalentProperty"),
        ("owl", "disjointWith"),
    )
}  # fmt: skip


def writable(graph: str) -> None:
    """Refuse the graphs that Parley keeps itself.

    Raises:
        BadRequest: the graph is not the user's to write.
    """
    if graph in (*DERIVED_GRAPHS, ONTOLOGY_GRAPH) or graph.startswith(ONTOLOGY_GRAPH + "/"):
        raise BadRequest(f"The graph {graph} is not written by hand.", "Facts go into a graph of their own source.")


class Admission:
    """Lets quads of sources through, and refuses names in our own namespace that the ontology does not have, and
    axioms: those are the ontology's. An axiom in a source would change what follows, and what is valid, for all others.
    """

    def __init__(self, known: Set[str]) -> None:
        self._known = known
        self._fine: set[str] = set()

    def admit(self, numbered: Iterable[tuple[int | None, ox.Quad]], name: str = "") -> Iterator[ox.Quad]:
        """The quads themselves. `numbered` has the line of each, `name` is the file they stand in.

        Raises:
            BadData: at the first quad that is refused, with the nearest name that the ontology has.
        """
        for line, quad in numbered:
            predicate = quad.predicate.value
            if predicate not in self._fine or quad.subject.value.startswith(TRADE):  # type: ignore[union-attr]
                self._check(quad, name, line)
                if predicate != RDF_TYPE:
                    self._fine.add(predicate)
            yield quad

    def _check(self, quad: ox.Quad, name: str, line: int | None) -> None:
        subject, value = getattr(quad.subject, "value", ""), getattr(quad.object, "value", "")
        if quad.predicate.value in _AXIOMS or subject.startswith(TRADE):
            said = f"{compact(subject)} {compact(quad.predicate.value)}"
            message, hint = (
                f"{said}: a source states facts, not what terms mean.",
                "the ontology is changed in ontology/.",
            )
            raise BadData(message, f"Leave it out; {hint}", file=name, line=line)
        named = [quad.predicate.value]
        if named[0] == RDF_TYPE:
            named.append(value)
            if value.startswith(PREFIXES["owl"]):
                message = f"A source cannot declare {compact(value)}."
                raise BadData(message, "Use the classes and properties of the ontology.", file=name, line=line)
        for term in named:
            if term.startswith(TRADE) and term not in self._known:
                local, terms = term.removeprefix(TRADE), [k.removeprefix(TRADE) for k in self._known]
                near = difflib.get_close_matches(local, terms, n=1)
                hint = f"Did you mean trade:{near[0]}?" if near else "See /ontology for its terms."
                raise BadData(f"trade:{local} is not a term of the ontology.", hint, file=name, line=line)


@lru_cache(maxsize=4)
def vocabulary(content: Content) -> frozenset[str]:
    """Every IRI in our namespace that the ontology describes."""
    return frozenset(
        q.subject.value
        for path in content.ontology.values()
        for q in ox.parse(path=str(path), base_iri=ONTOLOGY_GRAPH)
        if isinstance(q.subject, ox.NamedNode) and q.subject.value.startswith(TRADE)
    )
