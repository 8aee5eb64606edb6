"""Named questions: headers, and parameters that are filled in as terms and as nothing else."""

from __future__ import annotations

import re
from pathlib import Path

import pyoxigraph as ox
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kg import formats
from kg.errors import BadQuery, BadRequest, NotFound, StoreFailure
from kg.questions import NamedQuestion, Parameter, Questions, parse, refuse_unknown
from kg.results import Table
from kg.terms import CONCEPT_KINDS, ENTITY_KINDS, PREFIXES, SOURCE
from tests.conftest import Asker
from tests.sources import CONTENT

HEADER = """#+ title: Test
#+ question: What is it?
#+ parameters:
#+   - {name: a, kind: %s, example: "x"}
#+ columns: [a]
"""
BODY = "SELECT ?a {\n  VALUES ?a { UNDEF }\n  VALUES ?aa { UNDEF } # UNDEF\n  ?a ?p 'VALUES ?b { UNDEF }'\n}\n"
KINDS = ("date", "integer", "text", "iri", "source", *ENTITY_KINDS, *CONCEPT_KINDS)


def question(tmp_path: Path, header: str, body: str = BODY) -> NamedQuestion:
    path = tmp_path / "test.rq"
    path.write_text(header + body)
    return parse(path)


def bound(kind: str, value: str) -> str:
    """The body of the test question with `a` filled in."""
    parameter = Parameter("a", kind, "a", example="x")
    return NamedQuestion("test", BODY, "Test", "What?", (parameter,), ("a",)).bind({"a": value}).text


@pytest.mark.parametrize(
    ("kind", "value", "term"),
    [
        ("country", "JP", f"<{PREFIXES['country']}JP>"),
        ("country", "jp", f"<{PREFIXES['country']}JP>"),
        ("person", "ryosei-akazawa", f"<{PREFIXES['person']}ryosei-akazawa>"),
        ("person", "person:ryosei-akazawa", f"<{PREFIXES['person']}ryosei-akazawa>"),
        ("source", "2025-06-06-x", f"<{SOURCE}2025-06-06-x>"),
        ("product", "87032301", f"<{PREFIXES['product']}8703.23.01>"),
        ("product", "8703.23.01", f"<{PREFIXES['product']}8703.23.01>"),
        ("iri", "https://example.org/x", "<https://example.org/x>"),
        ("iri", "trade:percent", f"<{PREFIXES['trade']}percent>"),
        ("date", " 2025-06-07 ", f'"2025-06-07"^^<{PREFIXES["xsd"]}date>'),
        ("integer", "5", "5"),
        ("integer", "-007", "-7"),
        ("text", 'say "so"\n', '"say \\u0022so\\u0022"'),
    ],
)
def test_value_takes_the_place_of_undef_as_a_term_and_nothing_else_changes(kind: str, value: str, term: str) -> None:
    assert bound(kind, value) == BODY.replace("VALUES ?a { UNDEF }", f"VALUES ?a {{ {term} }}")


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("country", "J P"),
        ("country", "JP> }"),
        ("person", "-"),
        ("person", "a/b"),
        ("person", "Ryosei Akazawa"),
        ("person", "nobody:x"),
        ("product", "cars"),
        ("product", "870"),
        ("date", "2025-13-01"),
        ("date", "yesterday"),
        ("date", '2025-06-07"'),
        ("integer", "1.5"),
        ("integer", "one"),
        ("integer", "1 2"),
        ("integer", "9" * 40),
        ("iri", "percent"),
        ("iri", "urn:a b"),
        ("iri", "urn:a> } #"),
        ("source", "../x"),
    ],
)
def test_value_that_is_not_of_its_kind_is_refused(kind: str, value: str) -> None:
    with pytest.raises(BadRequest) as caught:
        bound(kind, value)
    assert not isinstance(caught.value, BadQuery)
    assert repr(value) in str(caught.value)


nasty = st.text(st.sampled_from("ab:<>{}\"'\\\n\r\t #?$.;^@|UNDEF\u0000é\U0001f600"), max_size=20) | st.text(
    max_size=20
)


@settings(max_examples=300)
@given(kind=st.sampled_from(KINDS), value=nasty)
def test_no_value_gets_out_of_its_place(kind: str, value: str) -> None:
    """Whatever is given, the text has one term more than before and still parses, or the value is refused."""
    if not value:
        return
    try:
        text = bound(kind, value)
    except BadRequest as error:
        assert not isinstance(error, BadQuery)
        return
    head, tail = BODY.split("UNDEF", 1)
    assert text.startswith(head)
    assert text.endswith(tail)
    term = text[len(head) : len(text) - len(tail)]
    ox.Store().query(text)
    (row,) = ox.Store().query(f"SELECT ?x {{ VALUES ?x {{ {term} }} }}")  # type: ignore[misc]
    if kind == "text":
        assert row["x"] == ox.Literal(value.strip())
    elif kind not in ("date", "integer"):
        assert isinstance(row["x"], ox.NamedNode)


@settings(max_examples=200)
@given(value=nasty)
def test_value_of_text_is_found_as_it_is(value: str) -> None:
    """With the question of a user: what has this label?"""
    if not value.strip():
        return
    store = ox.Store()
    store.add(ox.Quad(ox.NamedNode("urn:x"), ox.NamedNode("urn:p"), ox.Literal(value.strip())))
    body = "SELECT ?s { VALUES ?a { UNDEF } ?s ?p ?a }"
    parameter = Parameter("a", "text", "a")
    text = NamedQuestion("test", body, "Test", "What?", (parameter,), ("s",)).bind({"a": value}).text
    assert [row["s"].value for row in store.query(text)] == ["urn:x"]  # type: ignore[union-attr]


def test_parameter_not_given_means_any(tmp_path: Path) -> None:
    header = HEADER % "country"
    assert question(tmp_path, header).bind({}).text == header + BODY
    assert question(tmp_path, header).bind({"a": ""}).text == header + BODY


def test_parameter_of_no_such_name_is_refused_with_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(BadRequest, match=r"The question test has no parameter 'b'\. It takes: a\."):
        question(tmp_path, HEADER % "country").bind({"b": "JP"})
    none = "#+ title: T\n#+ question: Q?\n#+ columns: [a]\n"
    with pytest.raises(BadRequest, match=r"has no parameter 'b'\. It takes none\."):
        question(tmp_path, none).bind({"b": "JP"})


def test_missing_parameter_is_named_with_an_example(tmp_path: Path) -> None:
    header = (HEADER % "country").replace('"x"}', '"JP", required: true}')
    with pytest.raises(BadRequest, match=r"The question test needs a\. For example: a=JP\."):
        question(tmp_path, header).bind({"a": ""})


def test_default_is_filled_in(tmp_path: Path) -> None:
    header = (HEADER % "country").replace('"x"}', '"JP", default: US}')
    assert f"VALUES ?a {{ <{PREFIXES['country']}US> }}" in question(tmp_path, header).bind({}).text
    assert f"VALUES ?a {{ <{PREFIXES['country']}JP> }}" in question(tmp_path, header).bind({"a": "JP"}).text


def test_parameter_may_stand_for_a_variable_of_another_name(tmp_path: Path) -> None:
    header = (HEADER % "country").replace("name: a,", "name: the-country, variable: a,")
    text = question(tmp_path, header).bind({"the-country": "JP"}).text
    assert f"VALUES ?a {{ <{PREFIXES['country']}JP> }}" in text


def test_every_place_of_a_parameter_is_filled(tmp_path: Path) -> None:
    body = "SELECT ?a { { VALUES ?a { UNDEF } } UNION { VALUES ?a {UNDEF} } }"
    text = question(tmp_path, HEADER % "integer", body).bind({"a": "5"}).text
    assert "SELECT ?a { { VALUES ?a { 5 } } UNION { VALUES ?a {5} } }" in text


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("", "the header is not complete: 'title'"),
        ("#+ title: T\n#+ question: Q?\n", "the header is not complete: 'columns'"),
        ("#+ title: [\n", "the header is not complete"),
        ("#+ - a list\n", "the header is not complete"),
        (HEADER % "colour", "'colour' is no kind of parameter"),
        ((HEADER % "country").replace("name: a,", "name: c,"), r"no line VALUES \?c \{ UNDEF \} for c"),
    ],
)
def test_header_that_is_not_as_it_must_be_is_refused(tmp_path: Path, header: str, message: str) -> None:
    with pytest.raises(StoreFailure, match=message) as caught:
        question(tmp_path, header)
    assert str(tmp_path / "test.rq") in str(caught.value)


def test_unknown_question_is_refused_with_the_nearest() -> None:
    with pytest.raises(NotFound, match=r"There is no question 'roundparticipants'\. Did you mean round-participants"):
        Questions(CONTENT)["roundparticipants"]
    with pytest.raises(NotFound, match="lists them all"):
        Questions(CONTENT)["zzzzzzzzzz"]


@pytest.mark.parametrize("name", ["../facts/x", "/etc/passwd", "rounds.rq", ""])
def test_name_of_a_question_is_no_path(name: str) -> None:
    with pytest.raises(NotFound):
        Questions(CONTENT)[name]


@pytest.mark.parametrize("shipped", Questions(CONTENT).all, ids=lambda q: q.name)
def test_shipped_question_reads_well(shipped: NamedQuestion) -> None:
    assert shipped.question.endswith("?")
    assert shipped.title
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*", shipped.name)
    for parameter in shipped.parameters:
        assert parameter.description, parameter.name
        assert parameter.term(parameter.example)


def test_name_that_the_graph_does_not_know_is_refused_with_the_nearest(graph: Asker) -> None:
    def lookup(**given: str) -> Table:
        names = Questions(CONTENT)["rounds"].unknown_names(given)
        assert names is not None
        return Table.from_json(graph.reader.answer(names, formats.ROWS[0]))

    refuse_unknown(lookup(negotiation="us-jp"))
    with pytest.raises(NotFound, match=r"negotiation: the graph knows no negotiation:us-jpn\. .*negotiation:us-jp, "):
        refuse_unknown(lookup(negotiation="us-jpn"))


def test_question_without_names_looks_none_up() -> None:
    assert Questions(CONTENT)["deadlines"].unknown_names({"from": "2025-07-01"}) is None
