"""Duty rates on a day: the rows of the fact sheet for Japan, what is set aside, and what always holds."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kg.engines import StoreReader
from kg.errors import BadRequest, NotFound
from kg.rates import Inquiry, explain, product_codes
from kg.store import Versions
from kg.terms import ID
from tests.effort import tries
from tests.sources import put

CAR, TRUCK, PART = "8703.23.01", "8704.21.01", "8708.30.50"
STEEL, ALUMINUM, AIRCRAFT = "7208.51.00", "7606.12.30", "8802.40.01"
SHAVER, SWEATER, BEEF = "8510.20.90", "6110.30.30", "0202.30.80"
CIDER, WATCH = "2206.00.45", "9102.11.10"

#: Product, day, total rate in percent on goods of Japan: section 1.4 of the fact sheet, worked out by hand from its
#: rules and the ordinary rates (car 2.5, truck 25, part 2.5, steel 0, aluminum 3, shaver 4, sweater 32, beef 26.4).
JAPAN = [
    # Passenger cars: ordinary; + 25 from 3 April 2025; 15 all-in from 16 September.
    (CAR, "2025-04-02", 2.5),
    (CAR, "2025-04-03", 27.5),
    (CAR, "2025-04-09", 27.5),
    (CAR, "2025-06-07", 27.5),
    (CAR, "2025-08-07", 27.5),
    (CAR, "2025-09-15", 27.5),
    (CAR, "2025-09-16", 15),
    (CAR, "2026-02-24", 15),
    (CAR, "2026-09-29", 15),
    # Light trucks: 25 + 25; from 16 September 2025 nothing is added to an ordinary duty of 15 or more.
    (TRUCK, "2025-04-02", 25),
    (TRUCK, "2025-04-03", 50),
    (TRUCK, "2025-09-15", 50),
    (TRUCK, "2025-09-16", 25),
    # Parts of vehicles: + 25 from 3 May 2025; 15 all-in from 16 September.
    (PART, "2025-05-03", 27.5),
    (PART, "2025-09-15", 27.5),
    (PART, "2025-09-16", 15),
    # Steel and aluminum: + 25 from 12 March 2025, + 50 from 4 June 2025, not eased by the deal.
    (STEEL, "2025-03-12", 25),
    (STEEL, "2025-06-03", 25),
    (STEEL, "2025-06-04", 50),
    (STEEL, "2025-09-16", 50),
    (STEEL, "2026-04-05", 50),
    (STEEL, "2026-04-06", 50),
    (ALUMINUM, "2025-03-12", 28),
    (ALUMINUM, "2025-06-04", 53),
    # Other goods with an ordinary duty under 15: + 10, one day + 24, + 10, 15 all-in, + 10, 12.5 all-in.
    (SHAVER, "2025-04-04", 4),
    (SHAVER, "2025-04-05", 14),
    (SHAVER, "2025-04-08", 14),
    (SHAVER, "2025-04-09", 28),
    (SHAVER, "2025-04-10", 14),
    (SHAVER, "2025-08-06", 14),
    (SHAVER, "2025-08-07", 15),
    (SHAVER, "2026-02-23", 15),
    (SHAVER, "2026-02-24", 14),
    (SHAVER, "2026-07-23", 14),
    (SHAVER, "2026-07-24", 12.5),
    # Other goods with an ordinary duty of 15 or more: nothing on top while a ceiling of 15 holds.
    (SWEATER, "2025-08-06", 42),
    (SWEATER, "2025-08-07", 32),
    (SWEATER, "2026-02-23", 32),
    (SWEATER, "2026-02-24", 42),
    (SWEATER, "2026-07-24", 32),
    (BEEF, "2025-08-07", 26.4),
    # Civil aircraft: free of the reciprocal duty from 16 September 2025.
    (AIRCRAFT, "2025-09-15", 15),
    (AIRCRAFT, "2025-09-16", 0),
    (AIRCRAFT, "2026-02-23", 0),
]


@pytest.fixture(scope="module")
def reader(shipped_home: Path) -> Iterator[StoreReader]:
    with Versions(shipped_home).reading() as (_, store):
        yield StoreReader(store)


def japan(reader: StoreReader, product: str, on: str) -> dict[str, Any]:
    return explain(reader, Inquiry("US", "JP", product, on))


@pytest.mark.parametrize(("product", "on", "total"), JAPAN)
def test_rate_on_goods_of_japan_is_that_of_the_fact_sheet(
    reader: StoreReader, product: str, on: str, total: float
) -> None:
    answer = japan(reader, product, on)
    assert (answer["total"], answer["unit"]) == (total, "percent")
    assert "reason" not in answer
    assert answer["sources"]


def test_car_on_the_day_of_the_article_has_two_components_with_their_acts(reader: StoreReader) -> None:
    answer = japan(reader, CAR, "2025-06-07")
    told = [(c["measure"], c["form"], c["rate"], c["contribution"], c["act"]) for c in answer["components"]]
    assert told == [
        (f"{ID}tariff/us-ordinary", "ordinary", 2.5, 2.5, f"{ID}act/htsus-2025"),
        (f"{ID}tariff/us-232-autos", "additional", 25, 25, f"{ID}act/proc-10908"),
    ]
    assert [c["authorityLabel"] for c in answer["components"]] == [
        "Harmonized Tariff Schedule",
        "Section 232 of the Trade Expansion Act of 1962",
    ]
    assert answer["components"][1]["actLabel"].startswith("Proc. 10908: ")


#: Product, day, the measure that is set aside, and what the reason names.
EXCLUDED = [
    (CAR, "2025-06-07", "us-reciprocal", "Vehicles under Section 232 are outside the reciprocal duty"),
    (CAR, "2026-03-01", "us-section-122", "Section 232"),
    (PART, "2025-06-07", "us-reciprocal", "Parts of vehicles under Section 232"),
    (STEEL, "2025-06-07", "us-reciprocal", "Section 232 duty on steel"),
    (AIRCRAFT, "2025-09-16", "us-reciprocal", "Civil aircraft of Japan"),
    (BEEF, "2026-02-24", "us-section-122", "beef"),
]


@pytest.mark.parametrize(("product", "on", "measure", "reason"), EXCLUDED)
def test_measure_that_does_not_count_is_named_with_the_reason(
    reader: StoreReader, product: str, on: str, measure: str, reason: str
) -> None:
    excluded = {e["measure"]: e["reason"] for e in japan(reader, product, on)["excluded"]}
    assert reason in excluded[f"{ID}tariff/{measure}"]


def test_rate_that_was_corrected_for_the_past_never_held(reader: StoreReader) -> None:
    """On 7 August 2025 15 % on top was collected; the ceiling that replaced it counts from that day."""
    (part,) = [c for c in japan(reader, SHAVER, "2025-08-20")["components"] if c["form"] != "ordinary"]
    assert (part["form"], part["rate"], part["contribution"]) == ("all-in", 15, 11)


def test_code_is_read_with_and_without_dots(reader: StoreReader) -> None:
    assert japan(reader, "87032301", "2025-06-07") == japan(reader, CAR, "2025-06-07")


def test_code_finer_than_the_graph_falls_under_its_heading(reader: StoreReader) -> None:
    answer = japan(reader, "8703.23.01.90", "2025-06-07")
    assert (answer["product"], answer["total"]) == ("8703.23.01.90", 27.5)


@pytest.mark.parametrize("product", ["9999", "8703", "8703.99.99"])
def test_goods_without_an_ordinary_rate_have_no_total_and_a_reason(reader: StoreReader, product: str) -> None:
    answer = japan(reader, product, "2025-06-07")
    assert answer["total"] is None
    assert answer["reason"] == "The graph holds no ordinary rate for these goods on this day."


def test_steel_of_japan_under_a_quota_that_the_graph_lacks_has_no_total(reader: StoreReader) -> None:
    answer = japan(reader, STEEL, "2025-03-11")
    assert answer["total"] is None
    assert "quota" in answer["reason"]


def test_day_before_all_rates_has_no_total_and_a_reason(reader: StoreReader) -> None:
    answer = japan(reader, CAR, "1999-12-31")
    assert (answer["total"], answer["components"]) == (None, [])
    assert answer["reason"]


@pytest.mark.parametrize(
    ("product", "form", "duty"), [(CIDER, "specific", "3¢/liter"), (WATCH, "in-words", "44¢ each + 6% on the case")]
)
def test_duty_that_is_no_percentage_has_no_total_and_is_printed(
    reader: StoreReader, product: str, form: str, duty: str
) -> None:
    answer = japan(reader, product, "2025-06-07")
    assert answer["total"] is None
    assert answer["reason"].startswith(f"The ordinary duty on these goods is '{duty}")
    ordinary = answer["components"][0]
    assert (ordinary["form"], ordinary["rate"], ordinary["contribution"]) == (form, None, None)
    assert ordinary["duty"].startswith(duty)


SPECIFIC = """
product:0406.90.99 a trade:Product ; rdfs:label "Cheese"@en ; skos:notation "0406.90.99" ;
    skos:inScheme <https://w3id.org/parley/id/product-scheme/hts> .
rate:test-cheese a trade:Rate ; trade:rateOf tariff:us-ordinary ; trade:form form:specific ;
    trade:onProduct product:0406.90.99 ; trade:dutyText "$1.509/kg" ; trade:setBy act:htsus-2025 ;
    trade:from "2025-01-01"^^xsd:date .
"""


def test_specific_duty_of_a_user_has_no_total_and_is_printed(home: Path) -> None:
    put(home, SPECIFIC)
    with Versions(home).reading() as (_, store):
        answer = japan(StoreReader(store), "0406.90.99", "2025-06-07")
    assert answer["total"] is None
    assert answer["reason"] == "The ordinary duty on these goods is '$1.509/kg', which is no percentage of the value."


def test_word_of_a_weaker_source_does_not_change_the_rate(home: Path) -> None:
    put(home, "rate:us-232-autos-25 trade:percent 99.0 .")
    with Versions(home).reading() as (_, store):
        assert japan(StoreReader(store), CAR, "2025-06-07")["total"] == 27.5


@pytest.mark.parametrize(("importer", "origin", "told"), [("US", "XX", "origin=XX"), ("QQ", "JP", "importer=QQ")])
def test_unknown_country_is_not_found(reader: StoreReader, importer: str, origin: str, told: str) -> None:
    with pytest.raises(NotFound, match=f"{told} is no country that the graph knows"):
        explain(reader, Inquiry(importer, origin, CAR, "2025-06-07"))


@pytest.mark.parametrize("code", ["", "J", "u s", "U S", "US>", "US } #", "ＵＳ", "JP\n"])
def test_malformed_country_is_refused(reader: StoreReader, code: str) -> None:
    with pytest.raises(BadRequest, match="is not a country code"):
        explain(reader, Inquiry("US", code, CAR, "2025-06-07"))


@pytest.mark.parametrize(
    "code", ["", "8", "870", "8703.23.0", "car", "8703.23.01.90.11", "87 03", "８７０３", "8703\n9"]
)
def test_malformed_product_is_refused(reader: StoreReader, code: str) -> None:
    with pytest.raises(BadRequest, match="is no HS or HTS code"):
        japan(reader, code, "2025-06-07")


@pytest.mark.parametrize("day", ["", "2025-02-30", "7 June 2025", "2025-6-7", "2025-06", "06/07/2025"])
def test_malformed_day_is_refused(reader: StoreReader, day: str) -> None:
    with pytest.raises(BadRequest, match="is not a day"):
        japan(reader, CAR, day)


def test_code_falls_under_each_of_its_headings() -> None:
    assert product_codes("8703230190") == ["8703.23.01.90", "8703.23.01", "8703.23", "8703", "87"]
    assert product_codes(" 87 ") == ["87"]


PRODUCTS = [
    CAR,
    TRUCK,
    PART,
    STEEL,
    ALUMINUM,
    AIRCRAFT,
    SHAVER,
    SWEATER,
    BEEF,
    CIDER,
    WATCH,
    "9403.60.80",
    "8482.10.50",
]
ORIGINS = ["JP", "KR", "DE", "EU", "GB", "CN", "CA", "MX", "CH", "IN", "BR"]
inquiries = st.builds(
    Inquiry,
    importer=st.just("US"),
    origin=st.sampled_from(ORIGINS),
    product=st.sampled_from(PRODUCTS),
    on=st.dates(date(2024, 12, 1), date(2026, 12, 31)).map(date.isoformat),
)


@settings(max_examples=tries(15), deadline=None)
@given(inquiry=inquiries)
def test_what_holds_of_every_rate(reader: StoreReader, inquiry: Inquiry) -> None:
    answer = explain(reader, inquiry)
    parts = answer["components"]
    ordinary = next((Decimal(str(c["rate"])) for c in parts if c["form"] == "ordinary"), None)

    if answer["total"] is None:
        assert answer["reason"]
    else:
        assert ordinary is not None
        total = Decimal(str(answer["total"]))
        assert total == sum(Decimal(str(c["contribution"])) for c in parts)
        assert total >= ordinary
        ceilings = [c for c in parts if c["form"] == "all-in"]
        for ceiling in ceilings:
            together = ordinary + Decimal(str(ceiling["contribution"]))
            assert together == max(ordinary, Decimal(str(ceiling["rate"])))

    for part in parts:
        assert part["from"] <= inquiry.on
        assert part["until"] is None or inquiry.on <= part["until"]

    applied, excluded = ({c["measure"] for c in answer[name]} for name in ("components", "excluded"))
    assert not applied & excluded
    assert len(applied) == len(parts)
    assert all(part["reason"] for part in answer["excluded"])
    assert bool(answer["sources"]) == bool(parts or answer["excluded"])


def test_total_is_not_known_for_an_origin_whose_duties_the_graph_does_not_hold_in_full(reader: StoreReader) -> None:
    answer = explain(reader, Inquiry("US", "SG", "9401.61.40", "2025-09-01"))
    assert (answer["total"], [c["contribution"] for c in answer["components"]]) == (None, [0, 10])
    assert answer["reason"] == (
        "The graph does not hold all duties of US on goods of SG: those it holds are listed, without a total."
    )


ENACTED = """
tariff:test a trade:Tariff ; rdfs:label "Test tariff"@en ; trade:imposedBy country:US ;
    trade:appliesToOrigin country:ALL ; trade:covers product:ALL ; trade:restsOn authority:IEEPA .
effect:test a trade:ActEffect ; trade:byAct act:eo-14326 ; trade:effectKind effect-kind:enacts ;
    trade:affects tariff:test ; trade:from "2025-08-07"^^xsd:date .
rate:test a trade:Rate ; trade:rateOf tariff:test ; trade:form form:additional ; trade:percent 5.0 ;
    trade:onOrigin country:VN ; trade:setBy act:eo-14326 ; trade:from "2025-08-07"^^xsd:date .
"""


@pytest.mark.parametrize(("origin", "on", "known"), [("JP", "2025-08-20", False), ("VN", "2025-08-20", True)])
def test_tariff_in_force_without_a_rate_for_the_origin_is_a_reason_not_to_know(
    home: Path, origin: str, on: str, known: bool
) -> None:
    put(home, ENACTED)
    with Versions(home).reading() as (_, store):
        answer = explain(StoreReader(store), Inquiry("US", origin, SHAVER, on))
    reason = "The graph holds no rate of the Test tariff for these goods from this origin on this day."
    assert (answer["total"] is not None, reason not in answer.get("reason", "")) == (known, known)


def test_tariff_that_has_lapsed_is_no_reason_not_to_know(reader: StoreReader) -> None:
    answer = explain(reader, Inquiry("US", "JP", CAR, "2026-09-29"))
    assert (answer["total"], "reason" in answer) == (15, False)
