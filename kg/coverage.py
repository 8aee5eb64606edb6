"""`kg check --coverage`: how far each dossier of a graph reaches, and what it is known to lack."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

import pyoxigraph as ox

from kg.engines import StoreReader
from kg.errors import NotFound
from kg.questions import NamedQuestion
from kg.terms import PREFIXES

_COUNTS = """
SELECT ?dossier ?label ?grade (COUNT(DISTINCT ?source) AS ?sources) (COUNT(*) AS ?facts) {
    ?dossier a trade:Dossier ; rdfs:label ?label . FILTER(LANG(?label) = "en")
    ?source dcterms:isPartOf ?dossier ; trade:grade/skos:notation ?grade .
    GRAPH ?source { ?subject ?property ?value }
} GROUP BY ?dossier ?label ?grade"""
_GAPS = """
SELECT DISTINCT ?dossier ?label {
    ?gap a trade:Gap ; trade:about ?dossier ; rdfs:label ?label . ?dossier a trade:Dossier . FILTER(LANG(?label) = "en")
} ORDER BY ?dossier ?label"""
_HOMES = """
SELECT DISTINCT ?entity ?dossier {
    ?source dcterms:isPartOf ?dossier . ?dossier a trade:Dossier . GRAPH ?source { ?entity a ?class }
}"""


@dataclass
class Coverage:
    """One dossier: its sources, the facts that they state by grade, the questions that draw on it, and its gaps."""

    name: str
    label: str
    sources: int = 0
    facts: dict[str, int] = field(default_factory=dict)
    questions: list[str] = field(default_factory=list)
    gaps: list[str] = field(default_factory=list)

    def text(self, asked: int) -> str:
        """As lines for people; `asked` is how many questions there are."""
        total = sum(self.facts.values())
        shares = ", ".join(f"{grade} {100 * count / total:.0f} %" for grade, count in sorted(self.facts.items()))
        lines = [
            f"{self.name}: {self.label}",
            f"    {self.sources:,} sources, {total:,} facts ({shares})",
            f"    {len(self.questions)} of {asked} questions draw on it: {', '.join(self.questions)}",
            *(f"    missing: {gap}" for gap in self.gaps),
        ]
        return "\n".join(lines)


def coverage(store: ox.Store, questions: Iterable[NamedQuestion]) -> list[Coverage]:
    """The dossiers of a graph.

    A question draws on a dossier if an answer, to the question as it stands or with its examples, names a source of
    the dossier or something that such a source introduces.

    Raises:
        NotFound: the graph has no dossiers.
    """
    reader = StoreReader(store)
    found: dict[str, Coverage] = {}
    for row in reader.rows(_COUNTS):
        iri = str(row["dossier"].value)
        one = found.setdefault(iri, Coverage(iri.removeprefix(PREFIXES["dossier"]), str(row["label"].value)))
        one.sources += int(row["sources"].value)
        one.facts[str(row["grade"].value)] = int(row["facts"].value)
    if not found:
        raise NotFound("The graph has no dossiers.", "A source names its dossier with dcterms:isPartOf.")
    for row in reader.rows(_GAPS):
        if (iri := str(row["dossier"].value)) in found:
            found[iri].gaps.append(str(row["label"].value))
    homes: dict[str, set[str]] = defaultdict(set)
    for row in reader.rows(_HOMES):
        homes[str(row["entity"].value)].add(str(row["dossier"].value))
    for question in questions:
        for iri in {home for name in _named(store, question) for home in homes.get(name, ())} & found.keys():
            found[iri].questions.append(question.name)
    return sorted(found.values(), key=lambda one: one.name)


def _named(store: ox.Store, question: NamedQuestion) -> set[str]:
    """The IRIs in the answers to a question."""
    examples = {p.name: p.example for p in question.parameters}
    texts = {question.text, question.bind(examples).text}
    return {
        term.value
        for text in texts
        for solution in store.query(text)  # type: ignore[union-attr]
        for term in solution
        if isinstance(term, ox.NamedNode)
    }
