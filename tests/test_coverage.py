"""How far the dossiers reach: `kg check --coverage`."""

from __future__ import annotations

from pathlib import Path

import pyoxigraph as ox
import pytest

from kg.coverage import Coverage, coverage
from kg.errors import NotFound
from kg.past import in_memory
from kg.questions import Questions
from kg.store import Versions
from kg.terms import PREFIXES
from tests.conftest import CONTENT

QUESTIONS = Questions(CONTENT)
FACTS = """
dossier:a a trade:Dossier ; rdfs:label "Dossier A"@en .
dossier:b a trade:Dossier ; rdfs:label "Dossier B"@en .
gap:one a trade:Gap ; rdfs:label "Something is missing."@en ; trade:about dossier:a , tariff:t .
grade:V1 skos:notation "V1" . grade:V3 skos:notation "V3" .
GRAPH source:one {
    source:one dcterms:isPartOf dossier:a ; trade:grade grade:V1 .
    person:x a foaf:Person ; rdfs:label "X"@en .
}
GRAPH source:two {
    source:two dcterms:isPartOf dossier:a ; trade:grade grade:V3 .
}
GRAPH source:three {
    source:three dcterms:isPartOf dossier:b ; trade:grade grade:V3 .
}
"""


def small(facts: str) -> ox.Store:
    prologue = "".join(f"PREFIX {prefix}: <{iri}>\n" for prefix, iri in PREFIXES.items())
    store = ox.Store()
    store.load((prologue + facts).encode(), format=ox.RdfFormat.TRIG)
    merged = [ox.Quad(q.subject, q.predicate, q.object) for q in store]
    store.extend(merged)
    return store


def test_dossier_is_told_with_its_sources_facts_by_grade_questions_and_gaps() -> None:
    found = coverage(small(FACTS), [QUESTIONS["names-of"]])
    assert found == [
        Coverage("a", "Dossier A", 2, {"V1": 4, "V3": 2}, ["names-of"], ["Something is missing."]),
        Coverage("b", "Dossier B", 1, {"V3": 2}, [], []),
    ]
    assert found[0].text(35).splitlines() == [
        "a: Dossier A",
        "    2 sources, 6 facts (V1 67 %, V3 33 %)",
        "    1 of 35 questions draw on it: names-of",
        "    missing: Something is missing.",
    ]


def test_graph_without_dossiers_is_refused() -> None:
    with pytest.raises(NotFound, match="has no dossiers"):
        coverage(small("person:x a foaf:Person ."), [])


def test_every_folder_of_facts_is_a_dossier_with_gaps(shipped_home: Path) -> None:
    folders = {path.name: len(list(path.glob("*.ttl"))) for path in (CONTENT.root / "facts").iterdir()}
    versions = Versions(shipped_home)
    with versions.reading() as (number, on_disk):
        store = in_memory(versions, number, on_disk)
        found = {one.name: one for one in coverage(store, [QUESTIONS["concessions-by-tariff"]])}
    assert found.keys() == folders.keys()
    assert all(found[name].sources >= files for name, files in folders.items())
    assert [name for name, one in found.items() if not one.gaps] == []
    talks = {name for name in folders if name.startswith("us-") and name != "us-legal-order"}
    assert {name for name, one in found.items() if one.questions} >= talks
