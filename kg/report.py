"""The report of a validation: what a person must mend, as text, as JSON, and as SHACL's own graph."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from io import BytesIO
from typing import Any, cast

import pyoxigraph as ox

from kg import formats
from kg.evaluation import write_graph
from kg.terms import PREFIXES, RDF_TYPE, compact

_SH = PREFIXES["sh"]
_Term = ox.NamedNode | ox.BlankNode | ox.Literal


@dataclass(frozen=True)
class Finding:
    """One result of the validation. `focus`, `path` (with ^ in front if it is looked along backwards; one of several
    steps as SPARQL writes it), `shape` and `source` are IRIs, `value` is a term in N-Triples form, as is a literal in
    focus."""

    severity: str
    focus: str
    path: str
    value: str
    message: str
    constraint: str
    shape: str
    source: str = ""
    file: str = ""
    line: int | None = None
    hint: str = ""

    def text(self) -> str:
        place = f"{self.file}:{self.line}: " if self.line else f"{self.file}: " if self.file else ""
        found = f" (found {readable(self.value)})" if self.value else ""
        focus = readable(self.focus) if self.focus.startswith('"') else compact(self.focus)
        path = f" {_readable_path(self.path)}" if self.path else ""
        hint = f" {self.hint}" if self.hint else ""
        return f"{place}{self.severity}: {focus}{path}: {self.message}{found}{hint}"


@dataclass(frozen=True)
class Contradiction:
    """Two sources with different values for a property that has one value. `prevails` is the source that counts."""

    subject: str
    property: str
    value: str
    source: str
    other_value: str
    other_source: str
    prevails: str

    def text(self) -> str:
        return (
            f"contradiction: {compact(self.subject)} {compact(self.property)}: {readable(self.value)} says "
            f"{compact(self.source)}, {readable(self.other_value)} says {compact(self.other_source)}; "
            f"{compact(self.prevails)} prevails"
        )


@dataclass(frozen=True)
class Report:
    """All findings of one validation, and the contradictions with other sources. `turtle` is SHACL's report graph of
    the findings, written when the report is made: the server shows reports and hands nothing of them to native code."""

    findings: list[Finding] = field(default_factory=list)
    contradictions: list[Contradiction] = field(default_factory=list)
    turtle: str = ""

    def __post_init__(self) -> None:
        if not self.turtle:
            output = BytesIO()
            write_graph(_shacl(self), formats.GRAPHS[0], output)
            object.__setattr__(self, "turtle", output.getvalue().decode())

    @property
    def violations(self) -> list[Finding]:
        return [f for f in self.findings if f.severity == "violation"]

    @property
    def warnings(self) -> list[Finding]:
        return [f for f in self.findings if f.severity != "violation"]

    @property
    def conforms(self) -> bool:
        return not self.violations

    def as_dict(self) -> dict[str, Any]:
        return {
            "conforms": self.conforms,
            "violations": [asdict(f) for f in self.violations],
            "warnings": [asdict(f) for f in self.warnings],
            "contradictions": [asdict(c) for c in self.contradictions],
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Report:
        """The report from what `as_dict` made of it."""
        findings = [Finding(**finding) for finding in (*data["violations"], *data["warnings"])]
        return cls(findings, [Contradiction(**contradiction) for contradiction in data["contradictions"]])

    def text(self) -> str:
        """One line a finding, violations first."""
        lines = [f.text() for f in (*self.violations, *self.warnings)]
        return "\n".join(lines + [c.text() for c in self.contradictions])


def _component(name: str) -> ox.NamedNode:
    """A constraint component: SHACL's own are known by their local name, others by their IRI."""
    return ox.NamedNode(name if ":" in name else _SH + name)


def _shacl(report: Report) -> Iterator[ox.Triple]:
    """The report as SHACL has it, in the order of the findings, with the source that each is about."""
    top = ox.BlankNode("report")
    yield from _said(top, RDF_TYPE, ox.NamedNode(_SH + "ValidationReport"))
    yield from _said(top, _SH + "conforms", ox.Literal(report.conforms))
    results = [(ox.BlankNode(f"result{number}"), finding) for number, finding in enumerate(report.findings, 1)]
    for node, _ in results:
        yield from _said(top, _SH + "result", node)
    for node, finding in results:
        back = _named(finding.path[1:]) if finding.path.startswith("^") else None
        inverse = back and ox.BlankNode(f"{node.value}path")
        yield from _said(node, RDF_TYPE, ox.NamedNode(_SH + "ValidationResult"))
        yield from _said(node, _SH + "focusNode", _named(finding.focus) or _parsed(finding.focus))
        yield from _said(node, _SH + "resultPath", inverse or _named(finding.path))
        yield from _said(node, _SH + "value", _parsed(finding.value))
        yield from _said(node, _SH + "resultSeverity", ox.NamedNode(_SH + finding.severity.capitalize()))
        yield from _said(node, _SH + "resultMessage", ox.Literal(finding.message))
        yield from _said(node, _SH + "sourceConstraintComponent", _component(finding.constraint))
        yield from _said(node, _SH + "sourceShape", _named(finding.shape))
        yield from _said(node, PREFIXES["dcterms"] + "source", _named(finding.source))
        if inverse is not None:
            yield from _said(inverse, _SH + "inversePath", back)


def _said(subject: ox.BlankNode, predicate: str, value: _Term | None) -> Iterator[ox.Triple]:
    if value is not None:
        yield ox.Triple(subject, ox.NamedNode(predicate), value)


def _named(iri: str) -> ox.NamedNode | None:
    """None if it is no IRI: a path of several steps is none, nor is a literal that a shape looks at."""
    try:
        return ox.NamedNode(iri)
    except ValueError:
        return None


def _parsed(term: str) -> _Term | None:
    (quad,) = ox.parse(f"<urn:x> <urn:x> {term} .", ox.RdfFormat.TURTLE) if term else (None,)
    return None if quad is None else cast("_Term", quad.object)


def _readable_path(path: str) -> str:
    if "<" in path:
        return re.sub("<([^>]*)>", lambda iri: compact(iri[1]), path)
    return "^" * path.startswith("^") + compact(path.removeprefix("^"))


def readable(term: str) -> str:
    """Show a term in N-Triples form as people read it: prefixed names, bare values."""
    if term.startswith("<"):
        return compact(term[1:-1])
    if '"^^<' in term:
        return term[1 : term.rindex('"^^<')]
    if term.startswith('"'):
        return term[1 : term.rindex('"')]
    return term
