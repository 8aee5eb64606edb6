"""A first look at the nodes to be judged: those that surely conform need not be shown to pySHACL.

The shapes are read into the predicates of `kg.verdicts`. Only a verdict of True passes, so a screen may flag too much,
never too little; pySHACL judges what is flagged, and its report is the report.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from itertools import chain, islice
from pathlib import Path

import pyoxigraph as ox

from kg.reach import Reach, instances
from kg.terms import PREFIXES
from kg.verdicts import (
    ON_ALL,
    ON_EACH,
    Constraint,
    Facts,
    Term,
    Test,
    Verdict,
    all_of,
    any_of,
    is_exact,
    negated,
    one_of,
    speaks,
)

_SH, _RDF = PREFIXES["sh"], PREFIXES["rdf"]
_SUBCLASS = PREFIXES["rdfs"] + "subClassOf"
_REST, _FIRST, _NIL = _RDF + "rest", _RDF + "first", _RDF + "nil"


#: Kinds of nodes whose shapes are remembered.
_KINDS = 10_000


@dataclass
class _Shape:
    """A shape: its path (None: the focus node itself; "^…": backwards), what each value must pass, by itself and by the
    shapes of its properties, and the constraints on all values, which may be content with the first ones found."""

    path: str | None = None
    tests: list[Test] = field(default_factory=list)
    properties: list[_Shape] = field(default_factory=list)
    constraints: list[Constraint] = field(default_factory=list)
    enough: int | None = None

    def judge(self, facts: Facts, focus: Term) -> Verdict:
        """The loops are written out: a bulk load spends its time here."""
        if self.path is None:
            values = [focus]
        elif self.path.startswith("^"):
            values = list(islice(facts.subjects(self.path[1:], focus), self.enough))
        else:
            values = facts.values(focus, self.path)
        unsure = False
        for value in values:
            for test in self._all_tests:
                verdict = test(facts, value)
                if verdict is False:
                    return False
                unsure = unsure or verdict is None
        for constraint in self.constraints:
            verdict = constraint(facts, focus, values)
            if verdict is False:
                return False
            unsure = unsure or verdict is None
        return None if unsure else True

    @cached_property
    def _all_tests(self) -> list[Test]:
        return [*self.tests, *(shape.judge for shape in self.properties)]

    def parts(self, properties: Container[str]) -> Iterator[_Shape]:
        """The shapes that a node with values for some properties must pass to pass this one: none twice, and none that
        has nothing to say where there is no value."""
        if self.path is not None:
            if self.constraints or self.path.startswith("^") or self.path in properties:
                yield self
        else:
            if self.tests or self.constraints:
                yield self.itself
            for shape in self.properties:
                yield from shape.parts(properties)

    @cached_property
    def itself(self) -> _Shape:
        """The shape without those of properties."""
        return replace(self, properties=[])


class Screen:
    """The shapes of some files, as predicates."""

    def __init__(self, files: Iterable[Path]) -> None:
        self._store = ox.Store()
        for file in files:
            self._store.load(path=str(file))
        #: The shapes of nodes of some classes and properties: most nodes are like one before.
        self._targeting = lru_cache(_KINDS)(self._find)
        self._shapes: dict[Term, _Shape] = {}
        self._by_class: dict[str, list[_Shape]] = {}
        self._by_property: dict[str, list[_Shape]] = {}
        for quad in self._store.quads_for_pattern(None, ox.NamedNode(_SH + "targetClass"), None):
            self._by_class.setdefault(quad.object.value, []).append(self._shape(quad.subject))  # type: ignore[union-attr]
        for quad in self._store.quads_for_pattern(None, ox.NamedNode(_SH + "targetSubjectsOf"), None):
            self._by_property.setdefault(quad.object.value, []).append(self._shape(quad.subject))  # type: ignore[union-attr]

    @cached_property
    def blind(self) -> bool:
        """Whether some shape has a target, or looks at nodes, that the screen does not know."""
        if self.reach.everywhere:
            return True
        targets = ("targetNode", "targetObjectsOf", "target")
        if any(any(self._store.quads_for_pattern(None, ox.NamedNode(_SH + t), None)) for t in targets):
            return True
        classes = instances(self._store, PREFIXES["rdfs"] + "Class") | instances(self._store, PREFIXES["owl"] + "Class")
        return any(self._is_shape(subject) for subject in classes)

    @cached_property
    def reach(self) -> Reach:
        """How far the shapes look."""
        return Reach(self._store)

    def passes(self, facts: Facts, node: Term, properties: Iterable[str]) -> bool:
        """Whether the node surely conforms to every shape that targets it. `properties` are those it has values for."""
        if self.blind:
            return False
        return all(shape.judge(facts, node) for shape in self._targeting(facts.classes(node), tuple(properties)))

    def _find(self, classes: Iterable[str], properties: Sequence[str]) -> list[_Shape]:
        shapes = [s for name in classes for s in self._by_class.get(name, ())]
        shapes += [s for name in properties for s in self._by_property.get(name, ())]
        parts = {id(part): part for shape in shapes for part in shape.parts(properties)}
        return list(parts.values())

    def _is_shape(self, node: Term) -> bool:
        return any(q.predicate.value.startswith(_SH) for q in self._store.quads_for_pattern(node, None, None))  # type: ignore[arg-type]

    def _objects(self, subject: Term, name: str) -> list[Term]:
        return [q.object for q in self._store.quads_for_pattern(subject, ox.NamedNode(name), None)]  # type: ignore[arg-type]

    def _list(self, head: Term) -> Iterator[Term]:
        while getattr(head, "value", "") != _NIL:
            yield self._objects(head, _FIRST)[0]
            head = self._objects(head, _REST)[0]

    def _shape(self, node: Term) -> _Shape:
        if node in self._shapes:
            return self._shapes[node]
        shape = self._shapes[node] = _Shape()
        parameters: dict[str, list[Term]] = {}
        for quad in self._store.quads_for_pattern(node, None, None):  # type: ignore[arg-type]
            if quad.predicate.value.startswith(_SH):
                parameters.setdefault(quad.predicate.value.removeprefix(_SH), []).append(quad.object)
        if "path" in parameters:
            shape.path = self._path(parameters["path"][0])
            if shape.path is None:
                shape.constraints = [_unsure]
                return shape
        for name, values in parameters.items():
            if name == "property":
                shape.properties += [self._shape(value) for value in values]
            elif name in ON_ALL:
                shape.constraints += [ON_ALL[name](value) for value in values]
            elif name in _QUALIFIED:
                shape.constraints += [self._qualified(name, value, parameters) for value in values]
            elif name in ON_EACH or name in _COMPOUND:
                shape.tests += [self._test(name, value, parameters) for value in values]
            elif name not in _SILENT:
                shape.constraints.append(_unsure)
        if parameters.keys() - _SILENT <= {"minCount", "maxCount"}:
            limits = chain.from_iterable(parameters.get(name, ()) for name in ("minCount", "maxCount"))
            shape.enough = max((int(getattr(limit, "value", "")) + 1 for limit in limits), default=0)
        return shape

    def _mild(self, *nodes: Term) -> bool:
        """Whether some shape among these or within them gives warnings instead of violations."""
        found, queue = set(nodes), list(nodes)
        while queue:
            node = queue.pop()
            if isinstance(node, (ox.NamedNode, ox.BlankNode)):
                within = {q.object for q in self._store.quads_for_pattern(node, None, None)} - found
                found |= within
                queue += within
        return bool({ox.NamedNode(_SH + "Warning"), ox.NamedNode(_SH + "Info")} & found)

    def _path(self, path: Term) -> str | None:
        if isinstance(path, ox.NamedNode):
            return path.value
        back = list(self._store.quads_for_pattern(path, None, None))  # type: ignore[arg-type]
        if [q.predicate.value for q in back] != [_SH + "inversePath"] or not isinstance(back[0].object, ox.NamedNode):
            return None
        return f"^{back[0].object.value}"

    def _test(self, name: str, value: Term, parameters: dict[str, list[Term]]) -> Test:
        if name in ON_EACH:
            return ON_EACH[name](value, parameters)
        if name in ("not", "xone") and self._mild(value):
            return _unsure  # to pySHACL a node with mere warnings conforms
        if name in ("node", "not"):
            inner = self._shape(value)
            return inner.judge if name == "node" else lambda facts, v: negated(inner.judge(facts, v))
        if name in ("or", "and", "xone"):
            shapes = [self._shape(member) for member in self._list(value)]
            combine = {"or": any_of, "and": all_of, "xone": one_of}[name]
            return lambda facts, v: combine(s.judge(facts, v) for s in shapes)
        members = list(self._list(value))
        if name == "in":
            allowed = {str(member) for member in members}
            return lambda _, v: str(v) in allowed if is_exact(v) else None
        tags = [getattr(member, "value", "").lower() for member in members]
        return lambda _, v: speaks(v, tags)

    def _qualified(self, name: str, value: Term, parameters: dict[str, list[Term]]) -> Constraint:
        counted = parameters.get("qualifiedValueShape", ())
        if "path" not in parameters or len(counted) != 1 or self._mild(value, *counted):
            return _unsure
        return _qualified(name, int(getattr(value, "value", "")), self._shape(counted[0]))


def _unsure(*_: object) -> Verdict:
    return None


#: Constraints on each value by itself that are made of other shapes or of a list.
_COMPOUND = {"node", "not", "or", "and", "xone", "in", "languageIn"}
_QUALIFIED = ("qualifiedMinCount", "qualifiedMaxCount")
#: What a shape says besides its constraints; targets are read apart.
_SILENT = {
    "path", "name", "description", "message", "severity", "order", "group", "defaultValue", "targetClass",
    "targetSubjectsOf", "qualifiedValueShape", "flags",
}  # fmt: skip


def _qualified(name: str, limit: int, shape: _Shape) -> Constraint:
    def least(facts: Facts, _: Term, values: list[Term]) -> Verdict:
        found = [shape.judge(facts, v) for v in values]
        if found.count(True) >= limit:
            return True
        return False if len(found) - found.count(False) < limit else None

    def most(facts: Facts, _: Term, values: list[Term]) -> Verdict:
        found = [shape.judge(facts, v) for v in values]
        if found.count(True) > limit:
            return False
        return True if len(found) - found.count(False) <= limit else None

    return least if name == "qualifiedMinCount" else most


@lru_cache(maxsize=4)
def screen(files: tuple[Path, ...]) -> Screen:
    """The screen of these shape files, read once."""
    return Screen(files)
