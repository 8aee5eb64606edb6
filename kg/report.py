"""The report of a validation: what a person must mend, as text, as JSON, and as SHACL's own graph."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from kg.terms import compact


@dataclass(frozen=True)
class Finding:
    """One result of the validation. `focus`, `path` (with ^ in front if it is looked along
    backwards), `shape` and `source` are IRIs, `value` is a term in N-Triples form."""

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
        inverse = self.path.startswith("^")
        path = f" {'^' * inverse}{compact(self.path.removeprefix('^'))}" if self.path else ""
        hint = f" {self.hint}" if self.hint else ""
        return f"{place}{self.severity}: {compact(self.focus)}{path}: {self.message}{found}{hint}"


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
    """All findings of one validation, and the contradictions with other sources."""

    findings: list[Finding] = field(default_factory=list)
    contradictions: list[Contradiction] = field(default_factory=list)
    turtle: str = ""

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

    def text(self) -> str:
        """One line a finding, violations first."""
        lines = [f.text() for f in (*self.violations, *self.warnings)]
        return "\n".join(lines + [c.text() for c in self.contradictions])


def readable(term: str) -> str:
    """Show a term in N-Triples form as people read it: prefixed names, bare values."""
    if term.startswith("<"):
        return compact(term[1:-1])
    if '"^^<' in term:
        return term[1 : term.rindex('"^^<')]
    if term.startswith('"'):
        return term[1 : term.rindex('"')]
    return term
