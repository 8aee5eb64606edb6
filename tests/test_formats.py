"""Names of formats, and the choice by an Accept header."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kg.errors import BadRequest, NotAcceptable
from kg.formats import DATASETS, GRAPHS, HTML, ROWS, Format, by_ending, by_media, named, negotiate

ALL = (*ROWS, *GRAPHS, *DATASETS)


@pytest.mark.parametrize("form", ALL, ids=lambda form: form.name)
def test_format_goes_by_its_name_its_media_types_and_its_endings(form: Format) -> None:
    among = next(group for group in (ROWS, GRAPHS, DATASETS) if form in group)
    for name in (form.name, form.name.upper(), f" {form.name} ", *form.media, *form.endings):
        assert named(name, among) is form


@pytest.mark.parametrize("name", ["", "docx", "turtle/", "*/*"])
def test_unknown_name_is_refused_with_those_on_offer(name: str) -> None:
    with pytest.raises(BadRequest, match=r"is no format for this\. Use one of: json, xml, csv, tsv\."):
        named(name, ROWS)


def test_names_are_not_shared() -> None:
    assert len({form.name for form in ALL}) == len(ALL)


def test_text_formats_say_their_encoding() -> None:
    assert {form.name: form.content_type for form in (*ROWS, *GRAPHS)} == {
        "json": "application/sparql-results+json",
        "xml": "application/sparql-results+xml",
        "csv": "text/csv; charset=utf-8",
        "tsv": "text/tab-separated-values; charset=utf-8",
        "turtle": "text/turtle; charset=utf-8",
        "ntriples": "application/n-triples",
        "rdfxml": "application/rdf+xml",
        "jsonld": "application/ld+json",
    }


@pytest.mark.parametrize(
    ("accept", "name"),
    [
        ("", "json"),
        ("*/*", "json"),
        ("application/*", "json"),
        ("text/*", "csv"),
        ("text/csv", "csv"),
        ("TEXT/CSV", "csv"),
        ("text/csv;q=0.5, text/tab-separated-values", "tsv"),
        ("text/csv; q=0.5 , text/tab-separated-values;q=0.4", "csv"),
        ("text/csv, */*;q=0.1", "csv"),
        ("application/sparql-results+json;q=0, */*", "xml"),
        ("application/json", "json"),
        ("text/xml", "xml"),
        ("*/*;q=0.1, text/csv;q=0", "json"),
        ("text/html, text/csv;q=0.9, */*;q=0.8", "csv"),
        ("application/sparql-results+xml,application/sparql-results+json", "json"),
        ("text/csv;header=present;q=0.3, text/tab-separated-values;q=0.2", "csv"),
        ("text/csv;q=high, text/tab-separated-values;q=0.1", "tsv"),
        (",,text/csv,", "csv"),
        ('text/csv;a="x,application/json;q=1", */*;q=0.1', "csv"),
        ('text/csv;a="\\"";q=0.1, text/tab-separated-values;q=0.2', "tsv"),
        ("application/sparql-results+json;version=1.2", "json"),
        ("application/sparql-results+json;q=0.5, application/sparql-results+xml;q=0.6", "xml"),
        ("text/csv;header=absent;q=0.2, text/csv;header=present;q=0.9, text/tab-separated-values;q=0.5", "csv"),
        ("text/*;q=0.4, text/csv;q=0, */*;q=0.3", "tsv"),
        ("text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2", "json"),
        ("text/csv;q=nan, text/tab-separated-values;q=0.001", "tsv"),
        ("text/csv;q=1.000, text/tab-separated-values;q=0.999", "csv"),
    ],
)
def test_highest_quality_is_chosen_and_ours_among_equals(accept: str, name: str) -> None:
    assert negotiate(accept, ROWS).name == name


@pytest.mark.parametrize("accept", ["text/html", "image/*", "*/*;q=0", "text/csv;q=0", "csv", "text/turtle"])
def test_nothing_acceptable_is_refused_with_what_is_on_offer(accept: str) -> None:
    with pytest.raises(NotAcceptable) as caught:
        negotiate(accept, ROWS)
    assert "Accept one of: application/sparql-results+json, " in str(caught.value)


def test_browser_gets_the_page() -> None:
    accept = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
    assert negotiate(accept, (HTML, *GRAPHS)) is HTML
    assert negotiate("text/turtle", (HTML, *GRAPHS)).name == "turtle"


@given(st.text())
def test_any_header_gives_a_format_or_a_clear_refusal(accept: str) -> None:
    try:
        assert negotiate(accept, ROWS) in ROWS
    except NotAcceptable as error:
        assert error.hint


@pytest.mark.parametrize(
    ("name", "form"), [("a.ttl", "turtle"), ("A.B.NT", "ntriples"), ("x.trig", "trig"), ("x.csv", None), ("ttl.", None)]
)
def test_ending_of_a_file_tells_its_format(name: str, form: str | None) -> None:
    found = by_ending(name)
    assert (found.name if found else None) == form


@pytest.mark.parametrize(
    ("media", "form"),
    [("text/turtle; charset=utf-8", "turtle"), ("Application/TriG", "trig"), ("text/csv", None), ("", None)],
)
def test_content_type_tells_the_format(media: str, form: str | None) -> None:
    found = by_media(media)
    assert (found.name if found else None) == form
