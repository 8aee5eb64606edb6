"""A first look at the nodes to be judged: those that surely conform need not be shown to pySHACL.

The shapes are read into plain predicates of three values: True (surely conforms), False (surely does not) and None
(the screen cannot tell, since it does not know the constraint or the literal). Only True passes, so a screen may
flag too much, never too little; pySHACL judges what is flagged, and its report is the report.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal, InvalidOperation
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Protocol

import pyoxigraph as ox

from kg.terms import PREFIXES, RDF_TYPE

Term = ox.NamedNode | ox.BlankNode | ox.Literal | ox.Triple
Verdict = bool | None
_SH, _RDF, _XSD = PREFIXES["sh"], PREFIXES["rdf"], PREFIXES["xsd"]
_SUBCLASS = PREFIXES["rdfs"] + "subClassOf"
_REST, _FIRST, _NIL = _RDF + "rest", _RDF + "first", _RDF + "nil"


class Facts(Protocol):
    """What a screen looks at: the values of a node, forwards and backwards along a property."""

    def values(self, node: Term, predicate: str) -> list[Term]: ...

    def subjects(self, predicate: str, node: Term) -> list[Term]: ...

    def superclasses(self, kind: str) -> set[str]: ...


#: (facts, focus node, value nodes) to a verdict.
_Constraint = Callable[[Facts, Term, list[Term]], Verdict]


@dataclass
class _Shape:
    """A shape: its path (None: the focus node itself; "^…": backwards) and its constraints."""

    path: str | None = None
    constraints: list[_Constraint] = field(default_factory=list)

    def judge(self, facts: Facts, focus: Term) -> Verdict:
        if self.path is None:
            values = [focus]
        elif self.path.startswith("^"):
            values = facts.subjects(self.path[1:], focus)
        else:
            values = facts.values(focus, self.path)
        return _all(constraint(facts, focus, values) for constraint in self.constraints)


class Screen:
    """The shapes of some files, as predicates."""

    def __init__(self, files: Iterable[Path]) -> None:
        self._store = ox.Store()
        for file in files:
            self._store.load(path=str(file))
        self._shapes: dict[Term, _Shape] = {}
        self._by_class: dict[str, list[_Shape]] = {}
        self._by_property: dict[str, list[_Shape]] = {}
        for quad in self._store.quads_for_pattern(None, ox.NamedNode(_SH + "targetClass"), None):
            self._by_class.setdefault(quad.object.value, []).append(self._shape(quad.subject))  # type: ignore[union-attr]
        for quad in self._store.quads_for_pattern(None, ox.NamedNode(_SH + "targetSubjectsOf"), None):
            self._by_property.setdefault(quad.object.value, []).append(self._shape(quad.subject))  # type: ignore[union-attr]

    @cached_property
    def blind(self) -> bool:
        """Whether some shape has a target that the screen does not know, so that any node may be its focus."""
        targets = ("targetNode", "targetObjectsOf", "target")
        if any(any(self._store.quads_for_pattern(None, ox.NamedNode(_SH + t), None)) for t in targets):
            return True
        classes = {
            q.subject
            for name in (PREFIXES["rdfs"] + "Class", PREFIXES["owl"] + "Class")
            for q in self._store.quads_for_pattern(None, ox.NamedNode(RDF_TYPE), ox.NamedNode(name))
        }
        return any(self._is_shape(subject) for subject in classes)

    @cached_property
    def inverse_paths(self) -> set[str]:
        """The properties along which some shape looks back."""
        found = self._store.quads_for_pattern(None, ox.NamedNode(_SH + "inversePath"), None)
        return {q.object.value for q in found if isinstance(q.object, ox.NamedNode)}

    def passes(self, facts: Facts, node: ox.NamedNode, properties: Iterable[str]) -> bool:
        """Whether the node surely conforms to every shape that targets it. `properties` are those it has values for."""
        if self.blind:
            return False
        shapes: dict[int, _Shape] = {}
        for name in _classes(facts, node):
            shapes.update((id(s), s) for s in self._by_class.get(name, ()))
        for name in properties:
            shapes.update((id(s), s) for s in self._by_property.get(name, ()))
        return all(shape.judge(facts, node) is True for shape in shapes.values())

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
                shape.constraints = [lambda *_: None]
                return shape
        for name, values in parameters.items():
            if name not in _SILENT:
                shape.constraints += [self._constraint(name, value, parameters) for value in values]
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
        back = self._objects(path, _SH + "inversePath")
        return f"^{back[0].value}" if back and isinstance(back[0], ox.NamedNode) else None

    def _constraint(self, name: str, value: Term, parameters: dict[str, list[Term]]) -> _Constraint:
        if name in _ON_EACH:
            test = _ON_EACH[name](value, parameters)
            return lambda facts, _, values: _all(test(facts, v) for v in values)
        if name in _ON_ALL:
            return _ON_ALL[name](value)
        if name in ("not", "xone", *_QUALIFIED) and self._mild(value, *parameters.get("qualifiedValueShape", ())):
            return lambda *_: None  # to pySHACL a node with mere warnings conforms
        if name in ("property", "node", "not"):
            inner = self._shape(value)
            if name == "not":
                return lambda facts, _, values: _all(_negated(inner.judge(facts, v)) for v in values)
            return lambda facts, _, values: _all(inner.judge(facts, v) for v in values)
        if name in ("or", "and", "xone"):
            shapes = [self._shape(member) for member in self._list(value)]
            combine = {"or": _any, "and": _all, "xone": _one}[name]
            return lambda facts, _, values: _all(combine(s.judge(facts, v) for s in shapes) for v in values)
        if name == "in":
            allowed = {str(member) for member in self._list(value)}
            return lambda _f, _n, values: _all(str(v) in allowed if _is_exact(v) else None for v in values)
        if name == "languageIn":
            tags = [getattr(member, "value", "").lower() for member in self._list(value)]
            return lambda _f, _n, values: _all(_speaks(v, tags) for v in values)
        if name in _QUALIFIED and len(parameters.get("qualifiedValueShape", ())) == 1:
            return _qualified(name, int(getattr(value, "value", "")), self._shape(parameters["qualifiedValueShape"][0]))
        return lambda *_: None


_QUALIFIED = ("qualifiedMinCount", "qualifiedMaxCount")
#: What a shape says besides its constraints; targets are read apart.
_SILENT = {
    "path", "name", "description", "message", "severity", "order", "group", "defaultValue", "targetClass",
    "targetSubjectsOf", "qualifiedValueShape", "flags",
}  # fmt: skip


def _all(verdicts: Iterable[Verdict]) -> Verdict:
    unsure = False
    for verdict in verdicts:
        if verdict is False:
            return False
        unsure = unsure or verdict is None
    return None if unsure else True


def _any(verdicts: Iterable[Verdict]) -> Verdict:
    return _negated(_all(map(_negated, verdicts)))


def _one(verdicts: Iterable[Verdict]) -> Verdict:
    found = list(verdicts)
    if found.count(True) > 1:
        return False
    return None if None in found else found.count(True) == 1


def _negated(verdict: Verdict) -> Verdict:
    return None if verdict is None else not verdict


def _qualified(name: str, limit: int, shape: _Shape) -> _Constraint:
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


def _datatype(value: Term, _: object) -> Callable[[Facts, Term], Verdict]:
    wanted = getattr(value, "value", "")

    def test(_: Facts, v: Term) -> Verdict:
        if not isinstance(v, ox.Literal) or v.datatype.value != wanted:
            return False
        well_formed = _LEXICAL.get(wanted)
        return None if well_formed is None else well_formed(v.value) or None

    return test


def _iso_date(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


#: Datatype to a test that a literal is surely well-formed.
_LEXICAL: dict[str, Callable[[str], bool]] = {
    _XSD + "string": lambda text: True,
    _RDF + "langString": lambda text: True,
    _XSD + "date": _iso_date,
    _XSD + "integer": lambda text: re.fullmatch(r"[+-]?\d+", text, re.ASCII) is not None,
    _XSD + "decimal": lambda text: re.fullmatch(r"[+-]?\d+(\.\d+)?", text, re.ASCII) is not None,
    _XSD + "gYear": lambda text: re.fullmatch(r"[12]\d{3}", text, re.ASCII) is not None,
    _XSD + "gYearMonth": lambda text: re.fullmatch(r"[12]\d{3}-(0[1-9]|1[0-2])", text, re.ASCII) is not None,
}


def _class(value: Term, _: object) -> Callable[[Facts, Term], Verdict]:
    wanted = getattr(value, "value", "")
    return lambda facts, v: wanted in _classes(facts, v)


def _classes(facts: Facts, node: Term) -> set[str]:
    """The classes of a node and all above them."""
    kinds = (kind.value for kind in facts.values(node, RDF_TYPE) if isinstance(kind, ox.NamedNode))
    return {name for kind in kinds for name in facts.superclasses(kind)}


_KINDS = {"IRI": ox.NamedNode, "Literal": ox.Literal, "BlankNode": ox.BlankNode}


def _node_kind(value: Term, _: object) -> Callable[[Facts, Term], Verdict]:
    classes = tuple(_KINDS[name] for name in getattr(value, "value", "").removeprefix(_SH).split("Or"))
    return lambda _, v: isinstance(v, classes)


def _pattern(value: Term, parameters: dict[str, list[Term]]) -> Callable[[Facts, Term], Verdict]:
    if "flags" in parameters:
        return lambda _, v: None
    pattern = re.compile(getattr(value, "value", ""))
    return lambda _, v: None if isinstance(v, ox.BlankNode) else pattern.search(getattr(v, "value", "")) is not None


def _length(least: bool) -> Callable[[Term, object], Callable[[Facts, Term], Verdict]]:
    def make(value: Term, _: object) -> Callable[[Facts, Term], Verdict]:
        limit = int(getattr(value, "value", ""))

        def test(_: Facts, v: Term) -> Verdict:
            if isinstance(v, ox.BlankNode):
                return False
            size = len(getattr(v, "value", ""))
            return size >= limit if least else size <= limit

        return test

    return make


def _number(term: Term) -> Decimal | None:
    if isinstance(term, ox.Literal) and term.datatype.value in (_XSD + "integer", _XSD + "decimal"):
        try:
            return Decimal(term.value)
        except InvalidOperation:
            return None
    return None


def _bound(fits: Callable[[Decimal, Decimal], bool]) -> Callable[[Term, object], Callable[[Facts, Term], Verdict]]:
    def make(value: Term, _: object) -> Callable[[Facts, Term], Verdict]:
        limit = _number(value)

        def test(_: Facts, v: Term) -> Verdict:
            number = _number(v)
            return None if number is None or limit is None else fits(number, limit)

        return test

    return make


def _speaks(term: Term, tags: list[str]) -> Verdict:
    language = (getattr(term, "language", None) or "").lower()
    return any(language == tag or language.startswith(tag + "-") for tag in tags)


def _is_exact(term: Term) -> bool:
    """Whether a term has one spelling: the engine rewrites a number, and pySHACL compares as it is written."""
    return not isinstance(term, ox.Literal) or term.datatype.value in (_XSD + "string", _RDF + "langString")


#: Constraints on each value by itself.
_ON_EACH: dict[str, Callable[[Term, dict[str, list[Term]]], Callable[[Facts, Term], Verdict]]] = {
    "datatype": _datatype,
    "class": _class,
    "nodeKind": _node_kind,
    "pattern": _pattern,
    "minLength": _length(least=True),
    "maxLength": _length(least=False),
    "minInclusive": _bound(lambda a, b: a >= b),
    "minExclusive": _bound(lambda a, b: a > b),
    "maxInclusive": _bound(lambda a, b: a <= b),
    "maxExclusive": _bound(lambda a, b: a < b),
}


def _count(least: bool) -> Callable[[Term], _Constraint]:
    def make(value: Term) -> _Constraint:
        limit = int(getattr(value, "value", ""))
        if least:
            return lambda _f, _n, values: len(values) >= limit
        return lambda _f, _n, values: len(values) <= limit

    return make


def _unique_language(value: Term) -> _Constraint:
    if getattr(value, "value", "") != "true":
        return lambda *_: True

    def test(_f: Facts, _n: Term, values: list[Term]) -> Verdict:
        tags = [v.language.lower() for v in values if isinstance(v, ox.Literal) and v.language]
        return len(tags) == len(set(tags))

    return test


def _compared(fits: Callable[[str, str], bool]) -> Callable[[Term], _Constraint]:
    """Each value against each value of another property of the focus node; plain days only."""

    def make(value: Term) -> _Constraint:
        def test(facts: Facts, focus: Term, values: list[Term]) -> Verdict:
            others = facts.values(focus, getattr(value, "value", ""))
            return _all(
                fits(getattr(a, "value", ""), getattr(b, "value", "")) if _is_day(a) and _is_day(b) else None
                for a in values
                for b in others
            )

        return test

    return make


def _is_day(term: Term) -> bool:
    return isinstance(term, ox.Literal) and term.datatype.value == _XSD + "date" and _iso_date(term.value)


def _disjoint(value: Term) -> _Constraint:
    name = getattr(value, "value", "")
    return lambda facts, focus, values: not set(values) & set(facts.values(focus, name))


#: Constraints on the values together.
_ON_ALL: dict[str, Callable[[Term], _Constraint]] = {
    "minCount": _count(least=True),
    "maxCount": _count(least=False),
    "uniqueLang": _unique_language,
    "lessThan": _compared(lambda a, b: a < b),
    "lessThanOrEquals": _compared(lambda a, b: a <= b),
    "disjoint": _disjoint,
    "hasValue": lambda value: lambda _f, _n, values: (value in values and _is_exact(value)) or None,
}


@lru_cache(maxsize=4)
def screen(files: tuple[Path, ...]) -> Screen:
    """The screen of these shape files, read once."""
    return Screen(files)
