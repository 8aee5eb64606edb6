"""What the shapes demand of a class, as plain objects: for each property how many values, of which kind, in words."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pyoxigraph as ox

from kg.terms import PREFIXES

_SH: Final = PREFIXES["sh"]
_XSD: Final = PREFIXES["xsd"]
_RDF: Final = PREFIXES["rdf"]
#: Kinds of value that are no class, in words.
KINDS: Final = {
    _XSD + "date": "day",
    _XSD + "gYearMonth": "month",
    _XSD + "gYear": "year",
    _XSD + "decimal": "number",
    _XSD + "integer": "whole number",
    _XSD + "string": "text",
    _RDF + "langString": "text with its language",
    _SH + "IRI": "IRI",
    _SH + "Literal": "literal",
}

Term = Any


class Triples:
    """Some triples, held for reading: what a subject has, and the lists and texts among it."""

    def __init__(self, triples: Iterable[ox.Triple | ox.Quad]) -> None:
        self._by_subject: dict[Term, dict[str, list[Term]]] = defaultdict(lambda: defaultdict(list))
        for triple in triples:
            self._by_subject[triple.subject][triple.predicate.value].append(triple.object)

    @classmethod
    def from_files(cls, paths: Iterable[Path]) -> Triples:
        """Those of Turtle files; a blank node of one is none of another."""
        parsed: list[ox.Quad] = []
        for path in paths:
            parsed += ox.parse(path.read_bytes(), ox.RdfFormat.TURTLE, rename_blank_nodes=True)
        return cls(parsed)

    @property
    def subjects(self) -> list[Term]:
        return list(self._by_subject)

    def values(self, subject: Term, predicate: str) -> list[Term]:
        """The objects, each once."""
        if subject not in self._by_subject:
            return []
        return list(dict.fromkeys(self._by_subject[subject].get(predicate, ())))

    def value(self, subject: Term, predicate: str) -> Term | None:
        return next(iter(self.values(subject, predicate)), None)

    def texts(self, subject: Term, predicate: str) -> tuple[str, ...]:
        """The English texts, and those of no language."""
        found = [v for v in self.values(subject, predicate) if isinstance(v, ox.Literal)]
        return tuple(sorted(v.value for v in found if v.language in (None, "en")))

    def text(self, subject: Term, predicate: str) -> str:
        return next(iter(self.texts(subject, predicate)), "")

    def members(self, head: Term | None) -> list[Term]:
        """The members of an RDF list."""
        found = []
        while head is not None and (first := self.value(head, _RDF + "first")) is not None:
            found.append(first)
            head = self.value(head, _RDF + "rest")
        return found


@dataclass(frozen=True)
class Rule:
    """One demand in words. A warning lets the facts in."""

    name: str
    message: str
    warning: bool = False


@dataclass
class Field:
    """What the shapes of one class say of one property (or of its inverse), put together."""

    path: str
    inverse: bool = False
    least: int = 0
    most: int | None = None
    #: Datatypes, classes and kinds of node by their IRIs.
    kinds: list[str] = field(default_factory=list)
    #: The beginning that every value has, where values are concepts of one scheme.
    within: str = ""
    rules: list[Rule] = field(default_factory=list)
    #: How many values a warning demands; a warning about the values that are there demands none.
    wanted: int = 0

    @property
    def name(self) -> str:
        return self.rules[0].name if self.rules else ""

    @property
    def need(self) -> str:
        """`required`, `wanted` (its absence is a warning) or `optional`."""
        if self.least:
            return "required"
        return "wanted" if self.wanted else "optional"

    @property
    def number(self) -> str:
        """How many values there may be."""
        if least := self.least or self.wanted:
            return f"exactly {least}" if self.most == least else f"{least} or more"
        return "any number" if self.most is None else f"at most {self.most}"

    def add(self, shapes: Triples, shape: Term) -> None:
        """Take in one more property shape."""
        rule = _rule(shapes, shape)
        if rule not in self.rules:
            self.rules.append(rule)
        least = max(_number(shapes, shape, "minCount") or 0, _number(shapes, shape, "qualifiedMinCount") or 0)
        if rule.warning:
            self.wanted = max(self.wanted, least)
        else:
            self.least = max(self.least, least)
        most = _number(shapes, shape, "maxCount")
        if most is not None:
            self.most = most if self.most is None else min(self.most, most)
        self.kinds += [kind for kind in _kinds(shapes, shape) if kind not in self.kinds]
        pattern = shapes.text(shape, _SH + "pattern").removeprefix("^")
        if pattern.startswith("https://"):
            self.within = pattern


@dataclass
class Demands:
    """What the shapes demand of one class: rules for the node as a whole, and one field a property."""

    rules: list[Rule] = field(default_factory=list)
    fields: list[Field] = field(default_factory=list)

    def field_for(self, path: str, inverse: bool) -> Field:
        for known in self.fields:
            if (known.path, known.inverse) == (path, inverse):
                return known
        self.fields.append(Field(path, inverse))
        return self.fields[-1]


def read(paths: Iterable[Path]) -> dict[str, Demands]:
    """What the shapes in some Turtle files demand, by the IRI of the class that they aim at."""
    shapes = Triples.from_files(paths)
    demands: dict[str, Demands] = defaultdict(Demands)
    for shape in shapes.subjects:
        for target in shapes.values(shape, _SH + "targetClass"):
            _collect(shapes, shape, demands[target.value])
    return dict(demands)


def _collect(shapes: Triples, shape: Term, demands: Demands) -> None:
    if shapes.text(shape, _SH + "message"):
        demands.rules.append(_rule(shapes, shape))
    for nested in shapes.values(shape, _SH + "property"):
        path = shapes.value(nested, _SH + "path")
        inverse = shapes.value(path, _SH + "inversePath")
        named = path if inverse is None else inverse
        if isinstance(named, ox.NamedNode):
            demands.field_for(named.value, inverse is not None).add(shapes, nested)


def _rule(shapes: Triples, shape: Term) -> Rule:
    severity = shapes.value(shape, _SH + "severity")
    name = shapes.text(shape, _SH + "name") or shapes.text(shape, PREFIXES["rdfs"] + "label")
    return Rule(name, shapes.text(shape, _SH + "message"), severity == ox.NamedNode(_SH + "Warning"))


def _number(shapes: Triples, shape: Term, parameter: str) -> int | None:
    value = shapes.value(shape, _SH + parameter)
    return None if value is None else int(value.value)


def _kinds(shapes: Triples, shape: Term) -> list[str]:
    """The kinds of value that a property shape allows: its own, and those of its alternatives."""
    own = [v.value for part in ("datatype", "class", "nodeKind") for v in shapes.values(shape, _SH + part)]
    choices = shapes.members(shapes.value(shape, _SH + "or"))
    return own + [kind for choice in choices for kind in _kinds(shapes, choice)]
