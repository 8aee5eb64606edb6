"""The axioms of the ontology as rules: where a path leads from one node to another, a triple holds of the two.

The rules are those of OWL 2 RL for subclass, subproperty, inverse, transitive property and property chain. They are
read from what the sources state, so a new axiom needs no code.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Set
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TypeGuard

import pyoxigraph as ox

from kg.quads import Facts, is_stated, matching
from kg.terms import PREFIXES, RDF_TYPE, SKOLEM

Node = ox.NamedNode | ox.BlankNode | ox.Triple
Term = Node | ox.Literal
_Key = tuple[ox.NamedNode, Term | None]

_TYPE = ox.NamedNode(RDF_TYPE)
_FIRST, _REST, _NIL = (ox.NamedNode(PREFIXES["rdf"] + name) for name in ("first", "rest", "nil"))
_SUBCLASS, _SUBPROPERTY = (ox.NamedNode(PREFIXES["rdfs"] + name) for name in ("subClassOf", "subPropertyOf"))
_INVERSE, _CHAIN, _TRANSITIVE = (
    ox.NamedNode(PREFIXES["owl"] + name) for name in ("inverseOf", "propertyChainAxiom", "TransitiveProperty")
)
_AXIOMS, _LISTS = {_SUBCLASS, _SUBPROPERTY, _INVERSE, _CHAIN}, {_FIRST, _REST}


@dataclass(frozen=True)
class Edge:
    """A way from node to node: along a property, or against it; of a class, from each member back to itself."""

    predicate: ox.NamedNode
    inverse: bool = False
    kind: ox.NamedNode | None = None

    @cached_property
    def back(self) -> Edge:
        """The same edge, gone the other way."""
        return self if self.kind else replace(self, inverse=not self.inverse)

    def ends(self, triple: ox.Triple) -> tuple[Term, Term]:
        """From where to where a triple of this property or class leads."""
        if self.kind:
            return triple.subject, triple.subject
        return (triple.object, triple.subject) if self.inverse else (triple.subject, triple.object)

    def pattern(self, start: Term) -> tuple[Node | None, ox.NamedNode, Term | None] | None:
        """The pattern of the triples that lead on from a node; None if there can be none, as from a literal."""
        if self.inverse:
            return None, self.predicate, start
        return None if isinstance(start, ox.Literal) else (start, self.predicate, self.kind)

    def triple(self, start: Term, end: Term) -> ox.Triple | None:
        """The triple that leads from one node to another; None if a literal would be its subject."""
        subject, value = (end, start) if self.inverse else (start, self.kind or end)
        return None if isinstance(subject, ox.Literal) else ox.Triple(subject, self.predicate, value)


@dataclass(frozen=True)
class Rule:
    """Where the edges of the body lead from one node to another, the edge of the head does."""

    body: tuple[Edge, ...]
    head: Edge


@dataclass(frozen=True)
class Place:
    """A place in the body of a rule: its edge, the way from there back to the start, the way on to the end."""

    edge: Edge
    before: tuple[Edge, ...]
    after: tuple[Edge, ...]
    head: Edge


class Rules:
    """The rules of an ontology by what they use and give, and where its axioms stand."""

    def __init__(self, facts: Facts) -> None:
        self._cells: set[Term] = set()
        self._places: dict[_Key, list[Place]] = defaultdict(list)
        self._by_head: dict[_Key, list[Rule]] = defaultdict(list)
        for rule in {*_pair_rules(facts), *self._chain_rules(facts)}:
            self._by_head[rule.head.predicate, rule.head.kind].append(rule)
            for i, edge in enumerate(rule.body):
                before = tuple(e.back for e in reversed(rule.body[:i]))
                place = Place(edge, before, rule.body[i + 1 :], rule.head)
                self._places[edge.predicate, edge.kind].append(place)

    @cached_property
    def predicates(self) -> Set[ox.NamedNode]:
        """The properties of all triples that rules rest on or concern: a quick test for the many others."""
        return {predicate for predicate, _ in (*self._places, *self._by_head)} | _AXIOMS | _LISTS | {_TYPE}

    @property
    def used(self) -> list[_Key]:
        """The properties, and the classes with rdf:type, that some rule starts from."""
        return list(self._places)

    @property
    def relations(self) -> set[str]:
        """The IRIs of the properties, rdf:type apart, that the rules can give."""
        return {predicate.value for predicate, _ in self._by_head} - {RDF_TYPE}

    def using(self, triple: ox.Triple) -> Iterator[Place]:
        """Where a triple can stand in a body."""
        for key in _keys(triple):
            yield from self._places.get(key, ())

    def giving(self, triple: ox.Triple) -> Iterator[Rule]:
        """The rules that a triple can follow by."""
        for key in _keys(triple):
            yield from self._by_head.get(key, ())

    def concern(self, triple: ox.Triple) -> bool:
        """Whether a triple can be used or given by a rule; of all others nothing follows."""
        return any(key in self._places or key in self._by_head for key in _keys(triple))

    def rest_on(self, triple: ox.Triple) -> bool:
        """Whether the rules may be others with a triple than without it."""
        if triple.predicate in _LISTS:
            return triple.subject in self._cells
        return triple.predicate in _AXIOMS or triple.object == _TRANSITIVE

    def _chain_rules(self, facts: Facts) -> Iterator[Rule]:
        for triple in _stated(facts, None, _CHAIN):
            path = self._path(facts, triple.object)
            if path and _is_name(triple.subject):
                yield Rule(path, Edge(triple.subject))

    def _path(self, facts: Facts, cell: Term) -> tuple[Edge, ...]:
        """The edges that a list of properties and inverses of properties gives; none if the list is faulty."""
        path: list[Edge] = []
        passed: set[Term] = set()
        while cell != _NIL:
            self._cells.add(cell)
            firsts, rests = ([t.object for t in _stated(facts, cell, p)] for p in (_FIRST, _REST))
            edge = _edge(facts, firsts[0]) if len(firsts) == len(rests) == 1 else None
            if edge is None or cell in passed:
                return ()
            passed.add(cell)
            path.append(edge)
            cell = rests[0]
        return tuple(path)


def _keys(triple: ox.Triple) -> tuple[_Key, _Key]:
    predicate = triple.predicate
    return (predicate, None), (predicate, triple.object)


def _stated(facts: Facts, subject: Term | None, predicate: ox.NamedNode, value: Term | None = None) -> set[ox.Triple]:
    """What sources state of the pattern; of a subject that is a literal, nothing."""
    if isinstance(subject, ox.Literal):
        return set()
    return {quad.triple for quad in matching(facts, subject, predicate, value, None) if is_stated(quad)}


def _pair_rules(facts: Facts) -> Iterator[Rule]:
    for a, b in _pairs(facts, _SUBCLASS):
        yield Rule((Edge(_TYPE, kind=a),), Edge(_TYPE, kind=b))
    for p, q in _pairs(facts, _SUBPROPERTY):
        yield Rule((Edge(p),), Edge(q))
    for p, q in _pairs(facts, _INVERSE):
        yield Rule((Edge(p, inverse=True),), Edge(q))
        yield Rule((Edge(q, inverse=True),), Edge(p))
    for triple in _stated(facts, None, _TYPE, _TRANSITIVE):
        if _is_name(triple.subject):
            edge = Edge(triple.subject)
            yield Rule((edge, edge), edge)


def _pairs(facts: Facts, predicate: ox.NamedNode) -> Iterator[tuple[ox.NamedNode, ox.NamedNode]]:
    for triple in _stated(facts, None, predicate):
        if _is_name(a := triple.subject) and _is_name(b := triple.object):
            yield a, b


def _edge(facts: Facts, step: Term) -> Edge | None:
    if _is_name(step):
        return Edge(step)
    inverses = [t.object for t in _stated(facts, step, _INVERSE)]
    return Edge(inverses[0], inverse=True) if len(inverses) == 1 and _is_name(inverses[0]) else None


def _is_name(term: Term) -> TypeGuard[ox.NamedNode]:
    """Whether a term is a class or property with a name; restrictions and inverses have skolem IRIs in the store."""
    return isinstance(term, ox.NamedNode) and not term.value.startswith(SKOLEM)
