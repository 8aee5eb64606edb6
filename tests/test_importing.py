"""A tariff schedule as a table: what each line becomes, and what `kg rate` then answers."""

from __future__ import annotations

import os
import shutil
from decimal import Decimal
from pathlib import Path

import pyoxigraph as ox
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kg.duties import parse_duty
from kg.engines import StoreReader
from kg.importing import Edition
from kg.store import Versions
from kg.terms import ID, PREFIXES, SOURCE, TRADE, compact, expand
from tests.effort import tries
from tests.sources import put
from tests.tables import (
    FIRST,
    LATER,
    WIDGETS,
    Line,
    changed,
    import_schedule,
    rate,
    read_schedule,
    schedule_text,
    write,
)

GRAPH = SOURCE + "imported-hts-2025-test-edition"
RATE = "rate:us-ordinary-2025-test-edition-"
PART = "duty-part:us-ordinary-2025-test-edition-"


@pytest.fixture(scope="module")
def imported(shipped_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store into which the widgets were imported. Not to be written to."""
    folder = tmp_path_factory.mktemp("imported")
    home = Path(shutil.copytree(shipped_home, folder / "home"))
    outcome = import_schedule(home, write(folder, schedule_text()))
    assert outcome.report.violations == []
    return home


def said(home: Path, name: str, graph: str = GRAPH) -> dict[str, set[str]]:
    """What the imported source says of a thing: property to values, IRIs as prefixed names."""
    iri = expand(name)
    assert iri is not None
    found: dict[str, set[str]] = {}
    with Versions(home).reading() as (_, store):
        for quad in store.quads_for_pattern(ox.NamedNode(iri), None, None, ox.NamedNode(graph)):
            value = quad.object
            text = compact(value.value) if isinstance(value, ox.NamedNode) else str(getattr(value, "value", ""))
            found.setdefault(compact(quad.predicate.value), set()).add(text)
    return found


def subjects(home: Path, kind: str) -> set[str]:
    """The last parts of the IRIs of a class in the imported source."""
    with Versions(home).reading() as (_, store):
        rows = StoreReader(store).rows(f"SELECT ?s {{ GRAPH <{GRAPH}> {{ ?s a trade:{kind} }} }}")
    return {str(row["s"].value).rpartition("/")[2] for row in rows}


#: Code to what is broader (None: nothing that has a name) and the label.
TREE = {
    "7701": (None, "Widgets"),
    "7701.10": ("product:7701", "Of brass – Polished"),
    "7701.10.10": ("product:7701.10", "Of brass – Polished – For doors"),
    "7701.10.10.30": ("product:7701.10.10", "Of brass – Polished – For doors – Left-handed"),
    "7701.10.10.60": ("product:7701.10.10", "Of brass – Polished – For doors – Right-handed"),
    "7701.10.90": ("product:7701.10", "Of brass – Polished – Other"),
    "7701.20.00": ("product:7701", "Of tin"),
    "7701.90": ("product:7701", "Other"),
    "7701.90.10": ("product:7701.90", "Other – Sets"),
    "7701.90.90": ("product:7701.90", "Other – Other"),
}


@pytest.mark.parametrize("code", TREE)
def test_line_becomes_a_product_with_label_tree_and_notation(imported: Path, code: str) -> None:
    broader, label = TREE[code]
    product = said(imported, f"product:{code}")
    assert product.pop("skos:broader", None) == (None if broader is None else {broader})
    assert product == {
        "rdf:type": {"trade:Product"},
        "rdfs:label": {label},
        "skos:inScheme": {"product-scheme:hts-2025-test-edition"},
        "skos:notation": {code},
    }


def test_goods_of_chapters_1_to_97_alone_are_imported(imported: Path) -> None:
    """A line of ten digits that stands alone is the line of eight; 98 and 99 are no goods, whatever they print."""
    assert subjects(imported, "Product") == set(TREE)


def test_chapter_is_broader_where_the_graph_names_it(shipped_home: Path, tmp_path: Path) -> None:
    document, _ = read_schedule(shipped_home, write(tmp_path, schedule_text([("8799", "0", "Else", "1%", "")])))
    broader = ox.NamedNode(PREFIXES["skos"] + "broader")
    assert [q.object for q in document.quads() if q.predicate == broader] == [ox.NamedNode(ID + "product/87")]


#: Name of a rate to what it says beside tariff, act and first day.
RATES = {
    "7701.10.10": {"trade:form": {"form:ordinary"}, "trade:percent": {"2.5"}},
    "7701.10.10-jp": {
        "trade:form": {"form:ordinary"},
        "trade:percent": {"1.6"},
        "trade:onCondition": {"condition:us-japan-trade-agreement"},
        "trade:onOrigin": {"country:JP"},
    },
    "7701.10.10-kr": {
        "trade:form": {"form:ordinary"},
        "trade:percent": {"0"},
        "trade:onCondition": {"condition:korus", "condition:usmca"},
        "trade:onOrigin": {"country:KR", "country:CA", "country:MX"},
    },
    "7701.10.90": {
        "trade:form": {"form:specific"},
        "trade:dutyText": {"4.4¢/kg"},
        "trade:hasDutyPart": {PART + "7701.10.90-1"},
    },
    "7701.10.90-kr": {
        "trade:form": {"form:in-words"},
        "trade:dutyText": {"See 9908.04.01"},
        "trade:onCondition": {"condition:korus"},
        "trade:onOrigin": {"country:KR"},
    },
    "7701.20.00": {
        "trade:form": {"form:compound"},
        "trade:percent": {"6"},
        "trade:dutyText": {"44¢ each + 6%"},
        "trade:hasDutyPart": {PART + "7701.20.00-1"},
    },
    "7701.20.00-s+": {
        "trade:form": {"form:ordinary"},
        "trade:percent": {"0"},
        "trade:onCondition": {"condition:usmca"},
        "trade:onOrigin": {"country:CA", "country:MX"},
    },
    "7701.90.10": {
        "trade:form": {"form:in-words"},
        "trade:dutyText": {"The rate applicable to the dearest part"},
    },
    "7701.90.90": {"trade:form": {"form:ordinary"}, "trade:percent": {"0"}},
}


@pytest.mark.parametrize("name", RATES)
def test_printed_duty_becomes_a_rate(imported: Path, name: str) -> None:
    iri = f"<{PREFIXES['rate']}us-ordinary-2025-test-edition-{name}>"
    assert said(imported, iri) == {
        "rdf:type": {"trade:Rate"},
        "trade:rateOf": {"tariff:us-ordinary"},
        "trade:onProduct": {f"product:{name.partition('-')[0]}"},
        "trade:setBy": {"act:hts-2025-test-edition"},
        "trade:from": {"2025-01-01"},
        **RATES[name],
    }


def test_special_rates_of_programs_that_the_graph_does_not_know_are_left_out(imported: Path) -> None:
    assert {name.removeprefix("us-ordinary-2025-test-edition-") for name in subjects(imported, "Rate")} == set(RATES)


def test_amount_becomes_a_part_in_dollars_for_a_unit(imported: Path) -> None:
    expected = {"rdf:type": {"trade:DutyPart"}, "trade:currency": {"USD"}}
    assert said(imported, PART + "7701.10.90-1") == {
        **expected, "trade:amount": {"0.044"}, "trade:perUnit": {"kg"},
    }  # fmt: skip
    assert said(imported, PART + "7701.20.00-1") == {
        **expected, "trade:amount": {"0.44"}, "trade:perUnit": {"each"},
    }  # fmt: skip


def test_edition_becomes_the_act_and_the_source(imported: Path) -> None:
    act, source = said(imported, "act:hts-2025-test-edition"), said(imported, f"<{GRAPH}>")
    assert act["eli:first_date_entry_in_force"] == source["dcterms:issued"] == {"2025-01-01"}
    assert source["trade:grade"] == {"grade:V1"}
    assert source["schema:url"] == {"<https://hts.usitc.gov/>"}


#: Product, origin, conditions of entry, and the total in percent.
AD_VALOREM = [
    ("7701.10.10", "JP", (), 2.5),
    ("7701.10.10", "JP", ("us-japan-trade-agreement",), 1.6),
    ("7701.10.10.30", "JP", (), 2.5),
    ("7701.10.10", "KR", ("korus",), 0),
    ("7701.10.10", "KR", (), 2.5),
    ("7701.90.90", "JP", (), 0),
]


@pytest.mark.parametrize(("product", "origin", "conditions", "total"), AD_VALOREM)
def test_percentage_is_a_total(
    imported: Path, product: str, origin: str, conditions: tuple[str, ...], total: float
) -> None:
    assert rate(imported, product, "2025-02-01", origin, *conditions)["total"] == total


#: Product to the duty in words and its amounts.
NO_PERCENTAGE = {
    "7701.10.90": ("4.4¢/kg", [{"amount": 0.044, "currency": "USD", "perUnit": "kg"}]),
    "7701.20.00": ("44¢ each + 6%", [{"amount": 0.44, "currency": "USD", "perUnit": "each"}]),
    "7701.90.10": ("The rate applicable to the dearest part", None),
}


@pytest.mark.parametrize("product", NO_PERCENTAGE)
def test_duty_for_a_quantity_or_in_words_has_no_total(imported: Path, product: str) -> None:
    duty, amounts = NO_PERCENTAGE[product]
    answer = rate(imported, product)
    assert answer["total"] is None
    assert repr(duty) in str(answer["reason"])
    [component] = answer["components"]
    assert (component["duty"], component["contribution"], component.get("amounts")) == (duty, None, amounts)


@pytest.mark.parametrize(
    ("origin", "conditions"), [("JP", ["us-japan-trade-agreement"]), ("KR", ["korus"]), ("CN", [])]
)
def test_condition_is_shown_to_goods_that_can_meet_it(imported: Path, origin: str, conditions: list[str]) -> None:
    found = rate(imported, "7701.10.10", "2025-01-02", origin)["conditions"]
    assert [entry["condition"] for entry in found if entry["measure"].endswith("us-ordinary")] == conditions


def test_label_of_another_source_is_left_to_it(home: Path, tmp_path: Path) -> None:
    put(home, 'product:7701 a trade:Product ; rdfs:label "Things"@en ; skos:inScheme product-scheme:htsus-2025 ;'
        ' skos:notation "7701" .')  # fmt: skip
    import_schedule(home, write(tmp_path, schedule_text()))
    assert "rdfs:label" not in said(home, "product:7701")
    assert said(home, "product:7701", SOURCE + "my-notes")["rdfs:label"] == {"Things"}
    assert said(home, "product:7701.90")["rdfs:label"] == {"Other"}


def test_second_import_changes_nothing_and_a_later_edition_prevails_from_its_day(home: Path, tmp_path: Path) -> None:
    table = write(tmp_path, schedule_text())
    assert import_schedule(home, table, dry_run=True).record is None
    assert Versions(home).current() == 1
    assert import_schedule(home, table).record is not None
    assert import_schedule(home, table).record is None
    revised = write(tmp_path, schedule_text(changed("7701.10.10", general="3.5%")), "revised.csv")
    outcome = import_schedule(home, revised, LATER)
    assert outcome.record is not None
    assert outcome.record.removed == 0
    totals = {on: rate(home, "7701.10.10", on)["total"] for on in ("2025-02-28", "2025-03-01", "2025-04-02")}
    assert totals == {"2025-02-28": 2.5, "2025-03-01": 3.5, "2025-04-02": 3.5}
    assert rate(home, "7701.10.90", "2025-03-01")["total"] is None
    assert import_schedule(home, table).record is None


digits = st.integers(0, 99).map("{:02}".format)
duties = st.sampled_from(["", "Free", "2.5%", "4.4¢/kg", "44¢ each + 6%", "The rate of the dearest part"])
specials = st.sampled_from(["", "Free (A)", "Free (A,KR,S) 1.6% (JP)", "See 9908.04.01 (KR)"])
#: Special column to the number of rates that it gives.
GIVES = {"": 0, "Free (A)": 0, "Free (A,KR,S) 1.6% (JP)": 2, "See 9908.04.01 (KR)": 1}


@st.composite
def schedules(draw: st.DrawFn) -> list[Line]:
    """Lines in the order of their codes, each at the depth of its digits, some with a heading before them."""
    found: dict[str, Line] = {}
    for heading in draw(st.lists(st.sampled_from(["7701", "7702", "7703"]), min_size=1, unique=True)):
        found[heading] = (heading, "0", "Heading", "", "")
        for pairs in draw(st.lists(st.lists(digits, min_size=1, max_size=3), max_size=5)):
            for depth in range(1, len(pairs) + 1):
                code = ".".join([heading, *pairs[:depth]])
                legal = depth == 2
                line = (code, str(depth), "Line", draw(duties) if legal else "", draw(specials) if legal else "")
                found.setdefault(code, line)
    lines: list[Line] = []
    for code in sorted(found):
        if draw(st.booleans()) and code.count("."):
            lines.append(("", found[code][1], "Group", "", ""))
        lines.append(found[code])
    return lines


@settings(deadline=None, max_examples=tries(15), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lines=schedules())
def test_each_printed_duty_gives_one_rate_and_what_is_broader_is_known(
    shipped_home: Path, tmp_path: Path, lines: list[Line]
) -> None:
    document, in_words = read_schedule(shipped_home, write(tmp_path, schedule_text(lines)))
    by_property: dict[str, dict[str, str]] = {}
    for quad in document.quads():
        by_property.setdefault(quad.predicate.value, {})[str(quad.subject)] = str(getattr(quad.object, "value", ""))
    kinds = list(by_property[PREFIXES["rdf"] + "type"].values())
    assert kinds.count(TRADE + "Rate") == sum(bool(line[3]) + GIVES[line[4]] for line in lines)
    assert kinds.count(TRADE + "Product") == len([line for line in lines if line[0]])
    codes = {line[0] for line in lines}
    broader = by_property.get(PREFIXES["skos"] + "broader", {})
    for subject, value in broader.items():
        code, wider = subject.strip("<>").rpartition("/")[2], value.rpartition("/")[2]
        assert code.startswith(wider + ".")
        assert wider in codes
    assert len(broader) == len([line for line in lines if "." in line[0]])
    words = [line[3] for line in lines if line[3] and parse_duty(line[3]).in_words]
    assert len(in_words) == len(words) + len([line for line in lines if line[4].startswith("See")])


@pytest.mark.slow
@pytest.mark.skipif("PARLEY_DATA" not in os.environ, reason="PARLEY_DATA names no folder with the real schedule")
def test_real_schedule_is_imported_and_answers(home: Path) -> None:
    table = Path(os.environ["PARLEY_DATA"]) / "hts_2025_basic_edition.csv"
    with table.open(encoding="utf-8-sig") as file:
        assert sum(1 for _ in file) > 35_859
    outcome = import_schedule(home, table, Edition("2025 basic edition", "2025-01-01"))
    assert outcome.record is not None
    assert outcome.record.added > 250_000
    totals = {code: rate(home, code)["total"] for code in ("8703.23.01", "8704.21.01", "0406.90.95")}
    assert totals == {"8703.23.01": 2.5, "8704.21.01": 25, "0406.90.95": 10}
    assert rate(home, "0406.90.97")["total"] is None
    assert Decimal(str(rate(home, "8703.23.01", "2025-06-07")["total"])) == Decimal("27.5")


def test_widgets_are_of_the_first_edition() -> None:
    """The editions of these tests differ in name and day, as those of the property do not."""
    assert FIRST.valid_from < LATER.valid_from
    assert len({line[0] for line in WIDGETS if line[0]}) == len([line for line in WIDGETS if line[0]])
