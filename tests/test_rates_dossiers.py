"""Duty rates on goods of the other dossiers: the fact sheet's sections, two clocks, conditions of entry, and gaps."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kg.content import Content
from kg.engines import StoreReader
from kg.errors import BadRequest
from kg.questions import Questions
from kg.rates import Inquiry, explain
from kg.store import Versions
from kg.terms import ID
from tests.effort import tries
from tests.sources import put

# Ordinary duties: car 2.5, truck 25, shaver 4, sweater 32, steel 0.
CAR, TRUCK, SHAVER, SWEATER, STEEL, CHIP = (
    "8703.23.01",
    "8704.21.01",
    "8510.20.90",
    "6110.30.30",
    "7208.51.00",
    "8542.31.00",
)

#: Origin, product, day, total, worked out by hand from sections 2.1 to 2.9 of the fact sheet and the ordinary duties.
TOTALS = [
    # Union: 20 for one day in April 2025, a ceiling of 15 from 7 August; cars from 1 August.
    ("EU", SHAVER, "2025-04-09", 24),
    ("DE", SHAVER, "2025-08-06", 14),
    ("DE", SHAVER, "2025-08-07", 15),
    ("DE", SWEATER, "2025-08-07", 32),
    ("DE", CAR, "2025-07-31", 27.5),
    ("DE", CAR, "2025-08-01", 15),
    ("DE", TRUCK, "2025-08-01", 25),
    # South Korea: 15 on top from 7 August, a ceiling of 15 from 14 November; cars from 1 November.
    ("KR", SHAVER, "2025-04-09", 29),
    ("KR", SHAVER, "2025-08-07", 19),
    ("KR", SHAVER, "2025-11-13", 19),
    ("KR", SHAVER, "2025-11-14", 15),
    ("KR", CAR, "2025-10-31", 27.5),
    ("KR", CAR, "2025-11-01", 15),
    ("KR", SHAVER, "2026-07-24", 12.5),
    # Switzerland 31, 39, a ceiling of 15; Liechtenstein 37, 15, a ceiling of 15.
    ("CH", SHAVER, "2025-04-09", 35),
    ("CH", SHAVER, "2025-08-07", 43),
    ("CH", SHAVER, "2025-11-13", 43),
    ("CH", SHAVER, "2025-11-14", 15),
    ("LI", SHAVER, "2025-04-09", 41),
    ("LI", SHAVER, "2025-08-07", 19),
    ("LI", SHAVER, "2025-11-14", 15),
    # United Kingdom: 10 throughout, no rate of its own in April 2025.
    ("GB", SHAVER, "2025-04-09", 14),
    ("GB", SHAVER, "2025-08-07", 14),
    ("GB", CAR, "2025-06-30", 27.5),
    # Canada 25 from 4 March 2025, 35 from 1 August; Mexico 25; the surcharge of 10 from 24 February 2026.
    ("CA", SHAVER, "2025-03-03", 4),
    ("CA", SHAVER, "2025-03-04", 29),
    ("CA", SHAVER, "2025-07-31", 29),
    ("CA", SHAVER, "2025-08-01", 39),
    ("CA", SHAVER, "2026-02-24", 14),
    ("MX", SHAVER, "2025-04-09", 29),
    ("MX", SHAVER, "2025-08-20", 29),
    # India: 25, and 25 more from 27 August 2025 to 6 February 2026.
    ("IN", SHAVER, "2025-08-26", 29),
    ("IN", SHAVER, "2025-09-10", 54),
    ("IN", SHAVER, "2026-02-06", 54),
    ("IN", SHAVER, "2026-02-07", 29),
    ("IN", SHAVER, "2026-02-24", 14),
    # Vietnam 46 and 20, Indonesia 32 and 19.
    ("VN", SHAVER, "2025-04-09", 50),
    ("VN", SHAVER, "2025-08-07", 24),
    ("VN", SHAVER, "2026-07-24", 16.5),
    ("ID", SHAVER, "2025-04-09", 36),
    ("ID", SHAVER, "2025-08-07", 23),
]

#: Day, what the duties under IEEPA come to on goods of China: section 2.4.
CHINA = [
    ("2025-02-03", None),
    ("2025-02-04", 10),
    ("2025-03-04", 20),
    ("2025-04-05", 30),
    ("2025-04-09", 104),
    ("2025-04-10", 145),
    ("2025-05-09", 145),
    ("2025-05-14", 30),
    ("2025-06-01", 30),
    ("2025-11-09", 30),
    ("2025-11-10", 20),
    ("2026-02-23", 20),
    ("2026-02-24", None),
]

#: Origin, product, day, day of knowledge, total.
KNOWN = [
    ("JP", SHAVER, "2025-08-20", "", 15),
    ("JP", SHAVER, "2025-08-20", "2025-08-20", 19),
    ("JP", SHAVER, "2025-08-20", "2025-09-03", 19),
    ("JP", SHAVER, "2025-08-20", "2025-09-04", 15),
    # What April's order meant for August, until May, and until the deal was ordered.
    ("JP", SHAVER, "2025-08-20", "2025-04-08", 28),
    ("JP", SHAVER, "2025-08-20", "2025-06-01", 28),
    ("KR", SHAVER, "2025-08-20", "2025-06-01", 29),
    ("DE", CAR, "2025-08-20", "2025-08-20", 27.5),
    ("DE", CAR, "2025-08-20", "2025-10-01", 15),
    ("IN", SHAVER, "2025-09-10", "2025-08-01", 29),
    # Before the court, nobody knew of an end.
    ("VN", SHAVER, "2026-03-01", "2026-02-01", 24),
    ("VN", SHAVER, "2026-03-01", "", 14),
]

#: Origin, product, day, conditions, total.
CONDITIONS = [
    ("CA", SHAVER, "2025-03-06", ["usmca"], 29),
    ("CA", SHAVER, "2025-03-07", ["usmca"], 4),
    ("MX", SHAVER, "2025-08-20", ["usmca"], 4),
    ("CA", SHAVER, "2026-03-01", ["usmca"], 4),
    ("GB", CAR, "2025-06-29", ["uk-auto-quota"], 27.5),
    ("GB", CAR, "2025-06-30", ["uk-auto-quota"], 10),
    ("KR", CAR, "2025-02-01", ["korus"], 0),
    ("KR", CAR, "2025-06-01", ["korus"], 25),
    ("KR", CAR, "2025-11-01", ["korus"], 15),
    ("VN", SHAVER, "2025-08-20", ["transshipped"], 44),
]


@pytest.fixture(scope="module")
def reader(shipped_home: Path) -> Iterator[StoreReader]:
    with Versions(shipped_home).reading() as (_, store):
        yield StoreReader(store)


def by_authority(answer: dict[str, Any], name: str) -> float | None:
    return {a["authority"].rsplit("/", 1)[1]: a["contribution"] for a in answer["byAuthority"]}.get(name)


@pytest.mark.parametrize(("origin", "product", "on", "total"), TOTALS)
def test_rate_on_goods_of_an_origin_is_that_of_the_fact_sheet(
    reader: StoreReader, origin: str, product: str, on: str, total: float
) -> None:
    assert explain(reader, Inquiry("US", origin, product, on))["total"] == total


@pytest.mark.parametrize(("on", "part"), CHINA)
def test_duties_under_emergency_powers_on_goods_of_china(reader: StoreReader, on: str, part: float | None) -> None:
    answer = explain(reader, Inquiry("US", "CN", SHAVER, on))
    assert by_authority(answer, "IEEPA") == part
    assert answer["total"] is None
    assert "Section 301" in answer["reason"]


@pytest.mark.parametrize(("origin", "product", "on", "known", "total"), KNOWN)
def test_rate_as_known_on_a_day(
    reader: StoreReader, origin: str, product: str, on: str, known: str, total: float
) -> None:
    answer = explain(reader, Inquiry("US", origin, product, on, known))
    assert (answer["total"], answer["knownOn"]) == (total, known or None)


@pytest.mark.parametrize(("origin", "product", "on", "conditions", "total"), CONDITIONS)
def test_rate_on_a_condition_of_entry(
    reader: StoreReader, origin: str, product: str, on: str, conditions: list[str], total: float
) -> None:
    assert explain(reader, Inquiry("US", origin, product, on, conditions=tuple(conditions)))["total"] == total


def test_condition_that_the_inquiry_does_not_name_is_told_with_what_it_would_change(reader: StoreReader) -> None:
    answer = explain(reader, Inquiry("US", "CA", SHAVER, "2025-08-20"))
    told = {(c["condition"], c["measure"].rsplit("/", 1)[1], c["effect"]) for c in answer["conditions"]}
    assert told == {("usmca", "us-ieepa-ca", "exempt"), ("transshipped", "us-ieepa-ca", "additional 40 %")}


def test_condition_that_the_graph_does_not_know_is_refused_with_those_it_knows(reader: StoreReader) -> None:
    with pytest.raises(BadRequest, match=r"condition=nafta is no condition .* korus, .*usmca"):
        explain(reader, Inquiry("US", "CA", SHAVER, "2025-08-20", conditions=("nafta",)))


def test_condition_that_goods_of_the_origin_cannot_meet_is_refused(reader: StoreReader) -> None:
    with pytest.raises(BadRequest, match=r"Goods of JP cannot meet condition=usmca.* CA, MX"):
        explain(reader, Inquiry("US", "JP", SHAVER, "2025-08-20", conditions=("usmca",)))


@pytest.mark.parametrize("day", ["2025-02-30", "July 2025"])
def test_malformed_day_of_knowledge_is_refused(reader: StoreReader, day: str) -> None:
    with pytest.raises(BadRequest, match=r"knownOn=.* is not a day"):
        explain(reader, Inquiry("US", "JP", SHAVER, "2025-08-20", day))


GAP = """
gap:test a trade:Gap ; rdfs:label "Some shavers may be exempt."@en ; trade:about tariff:us-reciprocal ;
    trade:covers product:8510 ; trade:onOrigin country:VN ; trade:from "2025-08-01"^^xsd:date ;
    trade:until "2025-08-31"^^xsd:date .
"""


@pytest.mark.parametrize(
    ("origin", "product", "on", "total"),
    [
        ("VN", SHAVER, "2025-08-20", None),
        ("VN", SHAVER, "2025-09-01", 24),
        ("ID", SHAVER, "2025-08-20", 23),
        ("VN", SWEATER, "2025-08-20", 52),
    ],
)
def test_gap_stops_the_total_of_what_it_touches_and_of_nothing_else(
    home: Path, origin: str, product: str, on: str, total: float | None
) -> None:
    put(home, GAP)
    with Versions(home).reading() as (_, store):
        answer = explain(StoreReader(store), Inquiry("US", origin, product, on))
    assert answer["total"] == total
    assert ("Some shavers may be exempt." in answer.get("reason", "")) == (total is None)


def test_gap_in_a_measure_that_is_set_aside_changes_nothing(home: Path) -> None:
    put(home, GAP.replace("product:8510", "product:8703").replace("VN", "ID"))
    with Versions(home).reading() as (_, store):
        assert explain(StoreReader(store), Inquiry("US", "ID", CAR, "2025-08-20"))["total"] == 27.5


def test_two_rates_of_which_none_is_nearer_are_a_reason_not_to_know(home: Path) -> None:
    put(
        home,
        """rate:test a trade:Rate ; trade:rateOf tariff:us-reciprocal ; trade:form form:additional ;
        trade:percent 21.0 ; trade:onOrigin country:VN ; trade:setBy act:eo-14326 ;
        trade:from "2025-08-07"^^xsd:date .""",
    )
    with Versions(home).reading() as (_, store):
        answer = explain(StoreReader(store), Inquiry("US", "VN", SHAVER, "2025-08-20"))
    assert answer["total"] is None
    assert "more than one rate of the US reciprocal tariff" in answer["reason"]


def test_chips_are_outside_the_reciprocal_duty_since_april(reader: StoreReader) -> None:
    answer = explain(reader, Inquiry("US", "VN", CHIP, "2025-08-20"))
    assert [e["measure"] for e in answer["excluded"]] == [f"{ID}tariff/us-reciprocal"]


def test_part_of_a_compound_duty_for_each_unit_is_told(home: Path) -> None:
    put(
        home,
        """product:0406.90.99 a trade:Product ; rdfs:label "Cheese"@en ; skos:notation "0406.90.99" ;
            skos:inScheme <https://w3id.org/parley/id/product-scheme/hts> .
        rate:test a trade:Rate ; trade:rateOf tariff:us-ordinary ; trade:form form:compound ; trade:percent 3.0 ;
            trade:dutyText "4.4¢/kg + 3%" ; trade:hasDutyPart duty-part:test ; trade:onProduct product:0406.90.99 ;
            trade:setBy act:htsus-2025 ; trade:from "2025-01-01"^^xsd:date .
        duty-part:test a trade:DutyPart ; trade:amount 0.044 ; trade:currency "USD" ; trade:perUnit "kg" .""",
    )
    with Versions(home).reading() as (_, store):
        answer = explain(StoreReader(store), Inquiry("US", "JP", "0406.90.99", "2025-08-20"))
    ordinary, added = answer["components"]
    assert (ordinary["rate"], ordinary["contribution"]) == (3, None)
    assert ordinary["amounts"] == [{"amount": 0.044, "currency": "USD", "perUnit": "kg"}]
    assert (added["form"], added["contribution"], answer["total"]) == ("all-in", None, None)


inquiries = st.builds(
    Inquiry,
    importer=st.just("US"),
    origin=st.sampled_from(["JP", "KR", "DE", "GB", "CN", "CA", "MX", "CH", "LI", "IN", "VN", "ID", "BR", "LA", "SG"]),
    product=st.sampled_from([CAR, TRUCK, SHAVER, SWEATER, STEEL, CHIP, "0202.30.80", "8802.40.01", "8708.30.50"]),
    on=st.dates(date(2025, 1, 1), date(2026, 12, 31)).map(date.isoformat),
    known_on=st.one_of(st.just(""), st.dates(date(2025, 1, 1), date(2026, 12, 31)).map(date.isoformat)),
)


@settings(max_examples=tries(15), deadline=None)
@given(inquiry=inquiries)
def test_what_holds_of_every_rate_on_either_clock(reader: StoreReader, inquiry: Inquiry) -> None:
    answer = explain(reader, inquiry)
    parts = answer["components"]
    ordinary = next((Decimal(str(c["rate"])) for c in parts if c["form"] == "ordinary"), None)
    for part in parts:
        assert part["from"] <= inquiry.on
        assert part["until"] is None or inquiry.on <= part["until"]
        if part["form"] == "all-in" and ordinary is not None:
            together = ordinary + Decimal(str(part["contribution"]))
            assert together == max(ordinary, Decimal(str(part["rate"])))
    assert answer["total"] is None or Decimal(str(answer["total"])) == sum(
        Decimal(str(c["contribution"])) for c in parts
    )
    assert (answer["total"] is None) == ("reason" in answer)
    shares = [a["contribution"] for a in answer["byAuthority"]]
    known = None not in [c["contribution"] for c in parts]
    assert not known or sum(map(Decimal, map(str, shares))) == sum(Decimal(str(c["contribution"])) for c in parts)
    if not inquiry.known_on and inquiry.on >= "2026-02-24":
        assert by_authority(answer, "IEEPA") is None


@settings(max_examples=tries(8), deadline=None)
@example(inquiry=Inquiry("US", "CA", CAR, "2026-03-01", "2025-05-01"))  # the end of an exemption was not known yet
@given(inquiry=inquiries)
def test_question_of_the_components_gives_those_of_the_rate(reader: StoreReader, inquiry: Inquiry) -> None:
    answer = explain(reader, inquiry)
    question = Questions(Content.shipped())["rate-components"]
    given = {"importer": "US", "origin": inquiry.origin, "product": inquiry.product, "on": inquiry.on}
    if inquiry.known_on:
        given["knownOn"] = inquiry.known_on
    rows = [r for r in reader.rows(question.bind(given).text) if "condition" not in r]
    applied = {str(r["measure"].value): str(r["form"].value).rsplit("/", 1)[1] for r in rows if "setAsideBy" not in r}
    assert applied == {c["measure"]: c["form"] for c in answer["components"]}
    assert {str(r["measure"].value) for r in rows if "setAsideBy" in r} <= {e["measure"] for e in answer["excluded"]}
