"""Short names and IRIs."""

from __future__ import annotations

import re

import pyoxigraph as ox
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kg.guard import with_escaped_dots
from kg.terms import CONCEPT_KINDS, ENTITY_KINDS, ID, PREFIXES, TRADE, compact, expand, prologue


def is_iri(text: str) -> bool:
    """No "%" without two hexadecimal digits after it, no second "#"."""
    return re.search(r"%(?![0-9A-Fa-f]{2})", text) is None and text.count("#") < 2


names = st.builds(
    lambda namespace, local: namespace + local,
    st.sampled_from(sorted(PREFIXES.values())),
    st.text("abcXYZ0189é-._/#:~%", max_size=12),
).filter(is_iri)


@given(iri=names)
def test_compact_name_expands_to_its_iri(iri: str) -> None:
    assert expand(compact(iri)) == iri


@given(iri=names)
def test_compact_name_is_what_sparql_and_turtle_read(iri: str) -> None:
    """Prefixed or in brackets, a name can be copied from our output into a query."""
    text = with_escaped_dots(f"SELECT ?x {{ VALUES ?x {{ {compact(iri)} }} }}")
    rows = ox.Store().query(text, prefixes=PREFIXES)
    assert isinstance(rows, ox.QuerySolutions)
    assert [row["x"] for row in rows] == [ox.NamedNode(iri)]


@given(text=st.text())
def test_expand_gives_an_iri_or_nothing(text: str) -> None:
    iri = expand(text)
    if iri is not None:
        assert not set(iri) & set('<>"{}|^`\\ \n\t')
        assert ":" in iri


@pytest.mark.parametrize(
    ("iri", "name"),
    [
        (ID + "country/JP", "country:JP"),
        (ID + "product/8703.23.01", "product:8703.23.01"),
        (TRADE + "Tariff", "trade:Tariff"),
        (ID + "act-kind/judgment", "act-kind:judgment"),
        (ID + "country/", f"<{ID}country/>"),
        (ID + "country/a/b", f"<{ID}country/a/b>"),
        (ID + "country/ends.", f"<{ID}country/ends.>"),
        ("urn:other", "<urn:other>"),
    ],
)
def test_compact(iri: str, name: str) -> None:
    assert compact(iri) == name


@pytest.mark.parametrize(
    ("name", "iri"),
    [
        ("country:JP", ID + "country/JP"),
        (" country:JP ", ID + "country/JP"),
        ("<urn:x>", "urn:x"),
        ("https://example.org/a", "https://example.org/a"),
        ("nobody:JP", None),
        ("JP", None),
        ("", None),
        ("country:J P", None),
        ("urn:a> } #", None),
        ("https://example.org/a\n", "https://example.org/a"),
        ("https://example.org/a b", None),
        ("urn:%", None),
        ("source:%zz", None),
    ],
)
def test_expand(name: str, iri: str | None) -> None:
    assert expand(name) == iri


def test_every_kind_has_a_prefix() -> None:
    assert {kind: PREFIXES[kind] for kind in ENTITY_KINDS + CONCEPT_KINDS} == {
        kind: f"{ID}{kind}/" for kind in ENTITY_KINDS + CONCEPT_KINDS
    }


def test_no_prefix_stands_for_the_namespace_of_another() -> None:
    assert len(set(PREFIXES.values())) == len(PREFIXES)


def test_prologue_declares_what_is_used_and_not_declared() -> None:
    text = "PREFIX trade: <urn:mine#> SELECT * { country:JP trade:x ?o ; rdfs:label 'act: not used' ; other:p 1 }"
    assert prologue(text) == (
        f"PREFIX country: <{PREFIXES['country']}>\nPREFIX act: <{PREFIXES['act']}>\nPREFIX rdfs: <{PREFIXES['rdfs']}>\n"
    )


def test_prologue_makes_a_text_stand_on_its_own() -> None:
    text = "ASK { person:ryosei-akazawa a foaf:Person . ?p product:87 product:8703.23.01 }"
    ox.Store().query(with_escaped_dots(prologue(text) + text))
