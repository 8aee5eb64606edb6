"""The facts as some sources see them: what the screen and pySHACL are shown."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Set
from functools import lru_cache, partial
from typing import TYPE_CHECKING

import pyoxigraph as ox

from kg.quads import is_stated, matching
from kg.reach import Edge, Reach
from kg.shacl import as_rdflib
from kg.terms import PREFIXES, RDF_TYPE
from kg.verdicts import Term
from kg.view import View

if TYPE_CHECKING:
    import rdflib

_TYPE = ox.NamedNode(RDF_TYPE)
_SUBCLASS = PREFIXES["rdfs"] + "subClassOf"
#: Nodes whose description is remembered.
_REMEMBERED = 20_000


class Scene:
    """The facts as the sources `own` see them: their word where they give one, else the prevailing one."""

    def __init__(self, view: View, own: set[str]) -> None:
        self.view = view
        # Memories of functions, not of methods: those would keep the scene, and with it the store, open.
        self._describe = lru_cache(_REMEMBERED)(partial(_described, view, own))
        above = lru_cache(_REMEMBERED)(lambda kinds: frozenset(_superclasses(view, kinds)))
        self._classes = lru_cache(10 * _REMEMBERED)(lambda node: above(tuple(_kinds(view, node))))

    def properties(self, node: Term) -> Iterable[str]:
        return self._describe(node)

    def values(self, node: Term, predicate: str) -> list[Term]:
        return self._describe(node).get(predicate, [])

    def subjects(self, predicate: str, node: Term) -> Iterator[Term]:
        # From the merged copy, since it has each triple once: what is not stated comes before what is, if all is read.
        name, functional = ox.NamedNode(predicate), predicate in self.view.functional
        for quad in self.view.merged(None, predicate, node):
            value = None if functional else node
            said = {q.object for q in matching(self.view.facts, quad.subject, name, value, None) if is_stated(q)}
            if said == {node} or (node in said and node in self.values(quad.subject, predicate)):
                yield quad.subject

    def classes(self, node: Term) -> frozenset[str]:
        return self._classes(node)

    def edges(self, node: Term, predicate: str | None, *, inverse: bool) -> list[str]:
        """The predicate alone, or if it is None those that lead from (or, inverse, to) the node."""
        if predicate is not None:
            return [predicate]
        pointing = (q.predicate.value for q in self.view.merged(None, None, node)) if inverse else self.properties(node)
        return list(dict.fromkeys(pointing))


def _described(view: View, own: set[str], node: Term) -> dict[str, list[Term]]:
    found: dict[str, dict[Term, None]] = {}
    for quad in view.description(node, own) if isinstance(node, ox.NamedNode) else ():
        found.setdefault(quad.predicate.value, {})[quad.object] = None
    return {name: list(values) for name, values in found.items()}


def _kinds(view: View, node: Term) -> Iterator[ox.NamedNode]:
    """The classes that a node is said to be of, without looking at all that is said of it."""
    if isinstance(node, ox.NamedNode):
        for quad in view.facts.quads_for_pattern(node, _TYPE, None, None):
            if is_stated(quad) and isinstance(quad.object, ox.NamedNode):
                yield quad.object


def _superclasses(view: View, kinds: Iterable[ox.NamedNode]) -> Iterator[str]:
    """The classes and all above them."""
    seen, queue = set[ox.NamedNode](), list(kinds)
    while queue:
        kind = queue.pop()
        if kind not in seen:
            seen.add(kind)
            queue += [
                q.object
                for q in view.quads(kind)
                if q.predicate.value == _SUBCLASS and isinstance(q.object, ox.NamedNode)
            ]
            yield kind.value


def data_graph(scene: Scene, focus: Set[Term], reach: Reach) -> rdflib.Graph:
    """The focus nodes and all that the shapes look at from there, as pySHACL takes it."""
    import rdflib

    graph = rdflib.Graph(bind_namespaces="none")

    def follow(node: Term, edge: Edge) -> Iterator[Term]:
        predicate, inverse = edge
        for name in scene.edges(node, predicate, inverse=inverse):
            for end in scene.subjects(name, node) if inverse else scene.values(node, name):
                subject, object = (end, node) if inverse else (node, end)
                graph.add((as_rdflib(subject), rdflib.URIRef(name), as_rdflib(object)))
                yield end

    for node in focus:
        for _ in follow(node, (None, False)):
            pass
        reach.visit(node, follow)
    return graph
