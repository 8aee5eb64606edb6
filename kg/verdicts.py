"""The constraints of SHACL as predicates of three values, for a first look at many nodes (see `kg.screening`).

True says that the values surely conform, False that they surely do not, and None that this cannot be told here: the
literal may be ill-formed, or SHACL compares it as it is written, which the engine does not keep.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Protocol

import pyoxigraph as ox

from kg.terms import PREFIXES

Term = ox.NamedNode | ox.BlankNode | ox.Literal | ox.Triple
Verdict = bool | None
_SH, _RDF, _XSD = PREFIXES["sh"], PREFIXES["rdf"], PREFIXES["xsd"]


class Facts(Protocol):
    """What a screen looks at: the values of a node, forwards and backwards along a property."""

    def values(self, node: Term, predicate: str) -> list[Term]: ...

    def subjects(self, predicate: str, node: Term) -> Iterable[Term]:
        """Each once; there may be many, so they are looked up as they are asked for."""

    def classes(self, node: Term) -> frozenset[str]:
        """The classes of a node and all above them."""


#: (facts, value node) to a verdict on that value by itself.
Test = Callable[[Facts, Term], Verdict]
#: (facts, focus node, value nodes) to a verdict.
Constraint = Callable[[Facts, Term, list[Term]], Verdict]


def all_of(verdicts: Iterable[Verdict]) -> Verdict:
    unsure = False
    for verdict in verdicts:
        if verdict is False:
            return False
        unsure = unsure or verdict is None
    return None if unsure else True


def any_of(verdicts: Iterable[Verdict]) -> Verdict:
    return negated(all_of(map(negated, verdicts)))


def one_of(verdicts: Iterable[Verdict]) -> Verdict:
    found = list(verdicts)
    if found.count(True) > 1:
        return False
    return None if None in found else found.count(True) == 1


def negated(verdict: Verdict) -> Verdict:
    return None if verdict is None else not verdict


def _datatype(value: Term, _: object) -> Test:
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


def _class(value: Term, _: object) -> Test:
    wanted = getattr(value, "value", "")
    return lambda facts, v: wanted in facts.classes(v)


_KINDS = {"IRI": ox.NamedNode, "Literal": ox.Literal, "BlankNode": ox.BlankNode}


def _node_kind(value: Term, _: object) -> Test:
    classes = tuple(_KINDS[name] for name in getattr(value, "value", "").removeprefix(_SH).split("Or"))
    return lambda _, v: isinstance(v, classes)


def _pattern(value: Term, parameters: dict[str, list[Term]]) -> Test:
    if "flags" in parameters:
        return lambda _, v: None
    pattern = re.compile(getattr(value, "value", ""))
    return lambda _, v: None if isinstance(v, ox.BlankNode) else pattern.search(getattr(v, "value", "")) is not None


def _length(least: bool) -> Callable[[Term, object], Test]:
    def make(value: Term, _: object) -> Test:
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


def _bound(fits: Callable[[Decimal, Decimal], bool]) -> Callable[[Term, object], Test]:
    def make(value: Term, _: object) -> Test:
        limit = _number(value)

        def test(_: Facts, v: Term) -> Verdict:
            number = _number(v)
            return None if number is None or limit is None else fits(number, limit)

        return test

    return make


def speaks(term: Term, tags: list[str]) -> Verdict:
    language = (getattr(term, "language", None) or "").lower()
    return any(language == tag or language.startswith(tag + "-") for tag in tags)


def is_exact(term: Term) -> bool:
    """Whether a term has one spelling: the engine rewrites a number, and pySHACL compares as it is written."""
    return not isinstance(term, ox.Literal) or term.datatype.value in (_XSD + "string", _RDF + "langString")


#: Constraints on each value by itself.
ON_EACH: dict[str, Callable[[Term, dict[str, list[Term]]], Test]] = {
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


def _count(least: bool) -> Callable[[Term], Constraint]:
    def make(value: Term) -> Constraint:
        limit = int(getattr(value, "value", ""))
        if least:
            return lambda _f, _n, values: len(values) >= limit
        return lambda _f, _n, values: len(values) <= limit

    return make


def _unique_language(value: Term) -> Constraint:
    if getattr(value, "value", "") != "true":
        return lambda *_: True

    def test(_f: Facts, _n: Term, values: list[Term]) -> Verdict:
        tags = [v.language.lower() for v in values if isinstance(v, ox.Literal) and v.language]
        return len(tags) == len(set(tags))

    return test


def _compared(fits: Callable[[str, str], bool]) -> Callable[[Term], Constraint]:
    """Each value against each value of another property of the focus node; plain days only."""

    def make(value: Term) -> Constraint:
        def test(facts: Facts, focus: Term, values: list[Term]) -> Verdict:
            others = facts.values(focus, getattr(value, "value", ""))
            return all_of(
                fits(getattr(a, "value", ""), getattr(b, "value", "")) if _is_day(a) and _is_day(b) else None
                for a in values
                for b in others
            )

        return test

    return make


def _is_day(term: Term) -> bool:
    return isinstance(term, ox.Literal) and term.datatype.value == _XSD + "date" and _iso_date(term.value)


def _disjoint(value: Term) -> Constraint:
    name = getattr(value, "value", "")
    return lambda facts, focus, values: not set(values) & set(facts.values(focus, name))


#: Constraints on the values together.
ON_ALL: dict[str, Callable[[Term], Constraint]] = {
    "minCount": _count(least=True),
    "maxCount": _count(least=False),
    "uniqueLang": _unique_language,
    "lessThan": _compared(lambda a, b: a < b),
    "lessThanOrEquals": _compared(lambda a, b: a <= b),
    "disjoint": _disjoint,
    "hasValue": lambda value: lambda _f, _n, values: (value in values and is_exact(value)) or None,
}
