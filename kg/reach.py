"""How far shapes look: which triples can turn the verdict on a node, and which nodes a changed triple can concern.

Each thing that a shape looks at is a trace: the steps from the focus node to it. Paths that repeat are widened (any
of their edges, any number of times): a trace may reach too far, never too little.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

import pyoxigraph as ox

from kg.terms import PREFIXES, RDF_TYPE
from kg.verdicts import Term

_SH, _RDF = PREFIXES["sh"], PREFIXES["rdf"]
_SUBCLASS = PREFIXES["rdfs"] + "subClassOf"
_TYPE = ox.NamedNode(RDF_TYPE)
_NIL = _RDF + "nil"

#: A predicate (None: any) and whether it is followed backwards.
Edge = tuple[str | None, bool]
#: From a node along an edge to the nodes at its other end.
Follow = Callable[[Term, Edge], Iterable[Term]]


class Ground(Protocol):
    """The facts that have not changed."""

    def knows(self, node: Term) -> bool:
        """Whether anything leads to or from the node."""

    def changes(self, quad: ox.Quad) -> bool:
        """Whether the quad makes a difference to those who look at its triple."""

    def follow(self, node: Term, edge: Edge) -> Iterable[Term]: ...

    def has(self, least: int, node: Term, predicate: str) -> bool:
        """Whether so many point to the node along a property, before and after, whichever source prevails."""


@dataclass(frozen=True)
class Step:
    """Any of some edges; `repeats`: any number of times, also none."""

    edges: frozenset[Edge]
    repeats: bool = False


Trace = tuple[Step, ...]


def _step(predicate: str | None, *, inverse: bool = False, repeats: bool = False) -> Step:
    return Step(frozenset([(predicate, inverse)]), repeats)


_CLASS: Trace = (_step(RDF_TYPE), _step(_SUBCLASS, repeats=True))
#: Constraints on a pair of properties of one node.
_PAIRS = ("equals", "disjoint", "lessThan", "lessThanOrEquals")
_NESTED = ("property", "node", "not", "qualifiedValueShape")
_LISTED = ("and", "or", "xone")
#: What a shape that only counts says.
_COUNTING = {"path", "name", "description", "message", "severity", "order", "group", "minCount"}
#: What needs no look beyond the node itself.
_LOCAL = {
    "path", "name", "description", "message", "severity", "order", "group", "defaultValue", "deactivated", "flags",
    "targetNode", "datatype", "nodeKind", "minCount", "maxCount", "minExclusive", "minInclusive", "maxExclusive",
    "maxInclusive", "minLength", "maxLength", "pattern", "languageIn", "uniqueLang", "hasValue", "in",
    "ignoredProperties", "qualifiedMinCount", "qualifiedMaxCount", "qualifiedValueShapesDisjoint",
}  # fmt: skip


@dataclass
class _Tree:
    """Traces with a common beginning share it."""

    ends: bool = False
    branches: dict[Step, _Tree] = field(default_factory=dict)

    def add(self, trace: Trace) -> None:
        tree = self
        for step in trace:
            tree = tree.branches.setdefault(step, _Tree())
        tree.ends = True


class Reach:
    """What the shapes of a graph look at. `everywhere`: some constraint may look anywhere, or judge other nodes than
    those that it looks from. `named` are the nodes that shapes target by name."""

    def __init__(self, shapes: ox.Store) -> None:
        self._shapes = shapes
        self.everywhere = bool(instances(shapes, _SH + "ConstraintComponent"))
        self.named = {q.object for q in self._find(None, "targetNode")}
        #: With how many ends of a trace suffice, if shapes only count them up to there; else None.
        self._traces: dict[Trace, int | None] = {}
        for node, trace in self._targets():
            self._look(trace)
            self._shape(node, (), frozenset())
        self._forwards = _Tree()
        watched: dict[tuple[str | None, bool], _Tree] = defaultdict(_Tree)
        for trace in self._traces:
            self._forwards.add(trace)
            for place, step in enumerate(trace):
                before = trace[: place + step.repeats]
                for edge in step.edges:
                    watched[edge].add(tuple(map(_reversed, reversed(before))))
        #: By predicate how many that point to a node are enough, so that others more or less do not concern it.
        self._enough = self._counted()
        #: By predicate the ways back from a triple to those who look at it, but for its subject.
        self._watched: dict[str | None, list[tuple[bool, _Tree]]] = defaultdict(list)
        for (predicate, inverse), tree in watched.items():
            if inverse or tree.branches:
                self._watched[predicate].append((inverse, tree))

    def concerned(self, quad: ox.Quad, ground: Ground) -> Iterator[Term]:
        """The nodes, beside its subject, whose verdict the triple can turn."""
        for at_object, tree in (*self._watched[quad.predicate.value], *self._watched[None]):
            start = quad.object if at_object else quad.subject
            if tree.ends and at_object:
                enough = self._enough.get(quad.predicate.value)
                if enough is None or not ground.has(enough, start, quad.predicate.value):
                    yield start
            if tree.branches and ground.knows(start) and ground.changes(quad):
                yield from _ends(tree, {start}, ground.follow)

    def visit(self, focus: Term, follow: Follow) -> None:
        """Call `follow` for every edge that some shape may look along from a focus node."""
        for _ in _ends(self._forwards, {focus}, follow):
            pass

    def _look(self, trace: Trace, least: int | None = None) -> None:
        """Take in a trace; `least`: so many ends are all that is asked for."""
        known = self._traces.get(trace, 0)
        self._traces[trace] = None if known is None or least is None else max(known, least)

    def _counted(self) -> dict[str, int]:
        counts: dict[str, int | None] = {}
        for trace, least in self._traces.items():
            for predicate, inverse in trace[0].edges if trace else ():
                if inverse and predicate is not None:
                    known = counts.get(predicate, 0)
                    alone = None if len(trace) > 1 else least
                    counts[predicate] = None if known is None or alone is None else max(known, alone)
        return {predicate: least for predicate, least in counts.items() if least is not None}

    def _targets(self) -> Iterator[tuple[Term, Trace]]:
        """The shapes with a target, and how the target is known."""
        for name, trace in (("targetNode", ()), ("targetClass", _CLASS)):
            for quad in self._find(None, name):
                yield quad.subject, trace
        for name in ("targetSubjectsOf", "targetObjectsOf"):
            for quad in self._find(None, name):
                yield quad.subject, (_step(getattr(quad.object, "value", ""), inverse=name == "targetObjectsOf"),)
        for kind in (PREFIXES["rdfs"] + "Class", PREFIXES["owl"] + "Class"):
            for node in instances(self._shapes, kind):
                yield node, _CLASS
        if any(self._find(None, "target")):
            self.everywhere = True

    def _shape(self, node: Term, before: Trace, outer: frozenset[Term]) -> None:
        if node in outer:  # a shape that leads back to itself
            self.everywhere = True
            return
        parameters = [
            (q.predicate.value.removeprefix(_SH), q.object)
            for q in self._shapes.quads_for_pattern(node, None, None)  # type: ignore[arg-type]
            if q.predicate.value.startswith(_SH)
        ]
        if any(name == "qualifiedValueShapesDisjoint" for name, _ in parameters):
            parameters += [("qualifiedValueShape", sibling) for sibling in self._siblings(node)]
        paths = [path for name, value in parameters if name == "path" for path in self._paths(value)] or [()]
        counts = [int(getattr(value, "value", "")) for name, value in parameters if name == "minCount"]
        least = max(counts) if counts and all(name in _COUNTING for name, _ in parameters) else None
        for path in paths:
            here = before + path
            self._look(here, least)
            for name, value in parameters:
                self._parameter(name, value, before, here, outer | {node})

    def _parameter(self, name: str, value: Term, before: Trace, here: Trace, outer: frozenset[Term]) -> None:
        if name == "property" and here != before:  # its results are about the values, which no other shape may target
            self.everywhere = True
        elif name == "class":
            self._look(here + _CLASS)
        elif name == "closed":
            self._look((*here, _step(None)))
        elif name in _PAIRS:
            self._look((*before, _step(getattr(value, "value", ""))))
        elif name in _NESTED:
            self._shape(value, here, outer)
        elif name in _LISTED:
            for member in self._list(value):
                self._shape(member, here, outer)
        elif name not in _LOCAL and not name.startswith("target"):
            self.everywhere = True

    def _paths(self, path: Term) -> list[Trace]:
        """The ways that a path can take."""
        if isinstance(path, ox.NamedNode) and path.value != _NIL:
            return [(_step(path.value),)]
        steps = list(self._list(path))
        ways: list[Trace] = [()] if steps else []
        for member in steps:
            ways = [way + further for way in ways for further in self._paths(member)]
        for quad in self._shapes.quads_for_pattern(path, None, None):  # type: ignore[arg-type]
            name = quad.predicate.value.removeprefix(_SH)
            if name == "inversePath":
                for way in self._paths(quad.object):
                    back = tuple(map(_reversed, way))
                    ways += [back[::-1], back]  # pySHACL 0.40 goes back along a sequence in the order of the sequence
            elif name == "alternativePath":
                ways += [way for member in self._list(quad.object) for way in self._paths(member)]
            elif name in ("zeroOrMorePath", "oneOrMorePath", "zeroOrOnePath"):
                edges = {edge for way in self._paths(quad.object) for step in way for edge in step.edges}
                ways.append((Step(frozenset(edges), repeats=True),))
        return list(dict.fromkeys(ways))

    def _siblings(self, node: Term) -> Iterator[Term]:
        """The shapes that the values of other properties are counted by."""
        for parent in self._shapes.quads_for_pattern(None, ox.NamedNode(_SH + "property"), node):
            for quad in self._shapes.quads_for_pattern(parent.subject, parent.predicate, None):
                counted = self._shapes.quads_for_pattern(
                    quad.object,  # type: ignore[arg-type]
                    ox.NamedNode(_SH + "qualifiedValueShape"),
                    None,
                )
                yield from (q.object for q in counted)

    def _list(self, head: Term) -> Iterator[Term]:
        while head != ox.NamedNode(_NIL):
            rest = {q.predicate.value: q.object for q in self._shapes.quads_for_pattern(head, None, None)}  # type: ignore[arg-type]
            if _RDF + "first" not in rest:
                return
            yield rest[_RDF + "first"]
            head = rest[_RDF + "rest"]

    def _find(self, subject: None, name: str) -> Iterator[ox.Quad]:
        return self._shapes.quads_for_pattern(subject, ox.NamedNode(_SH + name), None)


def instances(shapes: ox.Store, kind: str) -> set[Term]:
    """The instances of a class in a graph of shapes, also of what is said to be a subclass of it."""
    below = shapes.quads_for_pattern(None, ox.NamedNode(_SUBCLASS), ox.NamedNode(kind))
    kinds = [ox.NamedNode(kind), *(q.subject for q in below)]
    return {q.subject for k in kinds for q in shapes.quads_for_pattern(None, _TYPE, k)}


def _reversed(step: Step) -> Step:
    return Step(frozenset((predicate, not inverse) for predicate, inverse in step.edges), step.repeats)


def _ends(tree: _Tree, nodes: set[Term], follow: Follow) -> Iterator[Term]:
    """Where the traces of a tree end that start at some nodes."""
    if tree.ends:
        yield from nodes
    for step, further in tree.branches.items():
        reached = _along(step, nodes, follow)
        if reached:
            yield from _ends(further, reached, follow)


def _along(step: Step, nodes: set[Term], follow: Follow) -> set[Term]:
    found = {end for node in nodes for edge in step.edges for end in follow(node, edge)}
    if not step.repeats:
        return found
    fresh = found - nodes
    found = nodes | fresh
    while fresh:
        fresh = {end for node in fresh for edge in step.edges for end in follow(node, edge)} - found
        found |= fresh
    return found
