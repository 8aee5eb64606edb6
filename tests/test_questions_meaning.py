"""What the named questions mean where the shipped facts have no case of it, on a few facts made up for the purpose."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar

import pyoxigraph as ox
import pytest

from bench.truth import rows
from kg import formats
from kg.content import Content
from kg.engines import StoreReader
from kg.past import in_memory
from kg.questions import Questions
from kg.store import Versions
from kg.terms import PREFIXES, compact

FACTS = """
source:law { source:law dcterms:issued "2025-01-10"^^xsd:date ; dcterms:type source-kind:legal-text . }
source:press { source:press dcterms:issued "2025-03-10"^^xsd:date ; dcterms:type source-kind:press-report . }
source:later { source:later dcterms:issued "2025-04-10"^^xsd:date ; dcterms:type source-kind:press-report . }
source:schemes {
    source-kind:legal-text trade:precedence 50 .
    source-kind:press-report trade:precedence 30 .
    form:additional rdfs:label "additional"@en .
    authority:X rdfs:label "X"@en .
    act:a rdfs:label "Act A"@en .
    country:FR trade:memberOf country:EU .
}
<https://w3id.org/parley/ontology> {
    trade:from a owl:FunctionalProperty ; rdfs:label "from"@en .
    trade:percent a owl:FunctionalProperty ; rdfs:label "percent"@en .
}
source:law {
    tariff:t a trade:Tariff ; rdfs:label "T"@en ; trade:imposedBy country:US ; trade:appliesToOrigin country:ALL ;
        trade:restsOn authority:X .
    rate:general trade:rateOf tariff:t ; trade:form form:additional ; trade:setBy act:a ; trade:percent 25.0 ;
        trade:from "2025-02-01"^^xsd:date .
}
"""


def ask(question: str, facts: str, **parameters: str) -> list[dict[str, str]]:
    prologue = "".join(f"PREFIX {prefix}: <{iri}>\n" for prefix, iri in PREFIXES.items())
    store = ox.Store()
    store.load((prologue + FACTS + facts).encode(), format=ox.RdfFormat.TRIG)
    named = Questions(Content.shipped())[question]
    answer = store.query(named.bind(parameters).text, use_default_graph_as_union=True)
    assert isinstance(answer, ox.QuerySolutions)
    return [{name: _text(row[name]) for name in named.columns} for row in answer]


def _text(term: object) -> str:
    return compact(term.value) if isinstance(term, ox.NamedNode) else term.value if isinstance(term, ox.Literal) else ""


def in_force(facts: str, origin: str = "JP", on: str = "2025-05-01") -> list[tuple[str, str]]:
    rows = ask("tariffs-in-force", facts, importer="US", origin=origin, on=on)
    return sorted((row["ratePercent"], row["onProduct"]) for row in rows)


def special(origin: str, product: str = "") -> str:
    scope = f"trade:onProduct product:{product} ;" if product else ""
    return f"""
source:law {{
    rate:special trade:rateOf tariff:t ; trade:form form:additional ; trade:setBy act:a ; trade:percent 15.0 ; {scope}
        trade:onOrigin country:{origin} ; trade:from "2025-04-01"^^xsd:date .
    product:p rdfs:label "P"@en .
}}"""


def test_a_rate_for_the_origin_sets_the_general_rate_aside() -> None:
    assert in_force(special("JP")) == [("15", "")]


def test_a_rate_for_another_origin_leaves_the_general_rate() -> None:
    assert in_force(special("KR")) == [("25", "")]


def test_a_rate_for_the_origin_that_is_not_yet_in_force_leaves_the_general_rate() -> None:
    assert in_force(special("JP"), on="2025-03-01") == [("25", "")]


def test_a_rate_for_the_origin_on_one_product_leaves_the_general_rate_for_the_others() -> None:
    assert in_force(special("JP", "p")) == [("15", "product:p"), ("25", "")]


def test_a_rate_for_a_customs_union_is_one_for_its_members() -> None:
    assert in_force(special("EU"), origin="FR") == [("15", "")]


def test_a_rate_that_was_replaced_for_the_past_is_not_in_force() -> None:
    replaced = "source:law { rate:special trade:supersededBy rate:other . }"

    assert in_force(special("JP") + replaced) == [("25", "")]


def test_the_law_prevails_over_a_later_press_report() -> None:
    assert in_force('source:press { rate:general trade:from "2025-06-01"^^xsd:date . }') == [("25", "")]


def test_a_contradiction_names_the_source_that_prevails() -> None:
    rows = ask("contradictions", 'source:press { rate:general trade:from "2025-01-31"^^xsd:date . }')

    assert [(row["valueA"], row["sourceA"], row["valueB"], row["sourceB"], row["prevails"]) for row in rows] == [
        ("2025-01-31", "source:press", "2025-02-01", "source:law", "source:law")
    ]


def test_of_two_press_reports_the_later_prevails() -> None:
    facts = """
source:press { rate:other trade:percent 10 . }
source:later { rate:other trade:percent 24 . }"""

    assert [row["prevails"] for row in ask("contradictions", facts)] == ["source:later"]


def test_the_same_value_written_with_more_or_less_precision_is_no_contradiction() -> None:
    facts = 'source:press { rate:general trade:percent 25 ; trade:from "2025-02"^^xsd:gYearMonth . }'

    assert ask("contradictions", facts) == []


EXEMPTION = """
source:law {
    act:a eli:date_document "2025-01-10"^^xsd:date .
    act:end eli:date_document "2025-06-01"^^xsd:date .
    rate:general trade:setBy act:a .
    tariff:t trade:covers product:ALL .
    exemption:e trade:exempts tariff:t ; rdfs:label "E"@en ; trade:setBy act:a ; trade:from "2025-02-01"^^xsd:date ;
        trade:until "2025-03-31"^^xsd:date ; trade:endedBy act:end .
    product:8703 rdfs:label "P"@en ; skos:notation "8703" .
}"""
ALL_IN = """
source:law {
    rate:ordinary trade:rateOf tariff:t ; trade:onProduct product:8703 ; trade:form form:ordinary ; trade:percent 5.0 ;
        trade:from "2025-01-01"^^xsd:date .
    rate:ceiling trade:rateOf tariff:t ; trade:onOrigin country:JP ; trade:form form:all-in ; trade:percent 15.0 ;
        trade:from "2025-02-01"^^xsd:date ; trade:setBy act:a .
}"""
PAIR = """
source:law {
    tariff:listed a trade:Tariff ; rdfs:label "L"@en ; trade:imposedBy country:US ; trade:appliesToOrigin country:ALL ;
        trade:restsOn authority:X ; trade:covers product:8703 .
    rate:listed trade:rateOf tariff:listed ; trade:form form:additional ; trade:setBy act:a ; trade:percent 10.0 ;
        trade:from "2025-02-01"^^xsd:date .
}"""


@pytest.mark.parametrize(
    ("known", "exempt"), [("2025-05-01", True), ("2025-07-01", False)], ids=["not yet known", "known"]
)
class TestTheEndOfAnExemption:
    """It counts, though it lies in the past, from when the act that ended it is known."""

    OF: ClassVar = {"importer": "US", "origin": "JP", "on": "2025-04-15"}

    def test_for_the_components_of_a_rate(self, known: str, *, exempt: bool) -> None:
        rows = ask("rate-components", EXEMPTION, product="8703", knownOn=known, **self.OF)
        assert [row["setAsideBy"] for row in rows] == ["exemption:e" if exempt else ""]

    def test_for_a_ceiling(self, known: str, *, exempt: bool) -> None:
        rows = ask("all-in-or-stacked", EXEMPTION + ALL_IN, product="8703", knownOn=known, **self.OF)
        assert [row["allIn"] for row in rows] == ([] if exempt else ["15"])

    def test_for_goods_under_two_measures(self, known: str, *, exempt: bool) -> None:
        rows = ask("two-measures", EXEMPTION + PAIR, knownOn=known, **self.OF)
        assert [row["product"] for row in rows] == ([] if exempt else ["product:8703"])


CONCESSIONS = """
source:law {
    country:JP rdfs:label "Japan"@en .
    country:KR rdfs:label "Korea"@en .
    subject:s rdfs:label "S"@en .
    subject:alone rdfs:label "Alone"@en .
    tariff:t trade:covers product:ALL .
    proposal:jp a trade:Concession ; rdfs:label "J"@en ; trade:subject subject:s, subject:alone ;
        trade:offeredBy country:JP ; trade:offeredTo country:US .
    event:first trade:ofProposal proposal:jp ; trade:status status:offered ; trade:date "2025-03-01"^^xsd:date .
    event:last trade:ofProposal proposal:jp ; trade:status status:accepted ; trade:date "2025-04-01"^^xsd:date .
    rate:first trade:rateOf tariff:t ; trade:form form:additional ; trade:percent 24.0 ; trade:onOrigin country:JP ;
        trade:from "2025-03-01"^^xsd:date .
    rate:last trade:rateOf tariff:t ; trade:form form:additional ; trade:percent 15.0 ; trade:onOrigin country:JP ;
        trade:from "2025-04-01"^^xsd:date .
    rate:replaced trade:rateOf tariff:t ; trade:form form:additional ; trade:percent 10.0 ;
        trade:onOrigin country:JP ; trade:from "2025-05-01"^^xsd:date ; trade:supersededBy rate:last .
    rate:conditional trade:rateOf tariff:t ; trade:form form:additional ; trade:percent 5.0 ;
        trade:onOrigin country:JP ; trade:from "2025-06-01"^^xsd:date ; trade:onCondition "with a licence"@en .
}"""


def korean(offered_to: str) -> str:
    return f"""
source:law {{
    proposal:kr a trade:Concession ; rdfs:label "K"@en ; trade:subject subject:s ; trade:offeredBy country:KR ;
        trade:offeredTo country:{offered_to} .
}}"""


class TestLikeConcessions:
    def test_are_those_of_several_parties_in_one_field_each_with_its_last_status_and_rate(self) -> None:
        rows = ask("like-concessions", CONCESSIONS + korean("US"))
        assert [tuple(row[name] for name in ("subject", "concession", "status", "rate")) for row in rows] == [
            ("subject:s", "proposal:jp", "status:accepted", "rate:last"),
            ("subject:s", "proposal:kr", "", ""),
        ]

    def test_concessions_to_different_parties_are_not_alike(self) -> None:
        assert not ask("like-concessions", CONCESSIONS + korean("CN"))

    def test_a_rate_on_one_product_is_none_that_a_party_faces_on_all(self) -> None:
        rows = ask(
            "like-concessions", CONCESSIONS + korean("US") + "source:law { rate:last trade:onProduct product:8703 . }"
        )
        assert [row["rate"] for row in rows] == ["rate:first", ""]


def test_what_aims_at_a_measure_without_a_basis_has_the_status_that_it_reached_last() -> None:
    rows = ask("basis-lost", CONCESSIONS + "source:law { proposal:jp trade:targets tariff:t . }", authority="X")
    assert [(row["kind"], row["thing"], row["status"]) for row in rows] == [
        ("concession", "proposal:jp", "status:accepted"),
        ("measure", "tariff:t", ""),
    ]


def test_a_measure_with_another_basis_loses_none() -> None:
    assert not ask("basis-lost", "source:law { tariff:t trade:restsOn authority:Y . }", authority="X")


def test_answers_do_not_depend_on_where_the_facts_are_held(shipped_home: Path) -> None:
    """On disk or in memory, as the command line and a server do, nor on the order in which they came there."""
    versions = Versions(shipped_home)
    with versions.reading() as (number, store):
        facts = sorted(store, key=str)
        copy = StoreReader(in_memory(versions, number, store))
        held = [StoreReader(store), copy, *map(_holding, (facts, reversed(facts)))]
        for question in Questions(Content.shipped()).all:
            bound = question.bind({p.name: p.example for p in question.parameters})
            on_disk, *others = (rows(reader.answer(bound, formats.ROWS[0])) for reader in held)
            assert all(other == on_disk for other in others), question.name


def _holding(facts: Iterable[ox.Quad]) -> StoreReader:
    store = ox.Store()
    store.extend(facts)
    return StoreReader(store)
