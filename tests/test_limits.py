"""The first rows of an answer are those of the whole one, in every format and whatever the terms hold."""

from __future__ import annotations

import csv
import json
from io import BytesIO, StringIO
from typing import Any, cast

import pyoxigraph as ox
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kg import formats
from kg.errors import NotAcceptable
from kg.evaluation import Question, write
from kg.formats import Format
from kg.limits import UNLIMITED, Enough, FirstRows, Limits

#: Texts that look like what the formats put between rows.
TEXTS = st.text(st.sampled_from(list("\"'\\{}[],:<>&;\n\r\t ab")), max_size=12) | st.sampled_from(
    ['"},{"s":{', "},{}", "</result><result>", '""\r\n', "\\", '\\"', "[{", ",{"]
)
LITERALS = TEXTS.map(ox.Literal)
TERMS = st.one_of(
    LITERALS,
    st.builds(lambda text: ox.Literal(text, language="en"), TEXTS),
    st.just(ox.NamedNode("urn:a,")),
    st.builds(lambda t: ox.Triple(ox.NamedNode("urn:a"), ox.NamedNode("urn:b"), t), LITERALS),
)
#: The objects of a row each: two, one or none.
ROWS = st.lists(st.tuples(st.none() | TERMS, st.none() | TERMS), max_size=8)
PAIR = "SELECT ?a ?b { ?row <urn:n> ?n OPTIONAL { ?row <urn:a> ?a } OPTIONAL { ?row <urn:b> ?b } } ORDER BY ?n"
NO_COLUMN = "SELECT * { [] <urn:n> [] }"


def stored(rows: list[tuple[Any, Any]]) -> ox.Store:
    store = ox.Store()
    for number, row in enumerate(rows):
        subject = ox.NamedNode(f"urn:row{number}")
        store.add(ox.Quad(subject, ox.NamedNode("urn:n"), ox.Literal(number)))
        for name, term in zip("ab", row, strict=True):
            if term is not None:
                store.add(ox.Quad(subject, ox.NamedNode(f"urn:{name}"), term))
    return store


def written(store: ox.Store, text: str, form: Format, most: int | None = None) -> tuple[bytes, bool]:
    output = BytesIO()
    cut = write(store, Question(text), form, output, most)
    return output.getvalue(), cut


@given(rows=ROWS, most=st.integers(1, 9))
@pytest.mark.parametrize("text", [PAIR, NO_COLUMN], ids=["two columns", "no column"])
@pytest.mark.parametrize("form", formats.ROWS, ids=lambda form: form.name)
def test_the_answer_is_that_of_the_engine_with_a_limit(
    form: Format, text: str, rows: list[tuple[Any, Any]], most: int
) -> None:
    store = stored(rows)
    assert written(store, text, form, most) == (written(store, f"{text} LIMIT {most}", form)[0], len(rows) > most)


@given(rows=ROWS, most=st.integers(1, 9), data=st.data())
@pytest.mark.parametrize("form", formats.ROWS, ids=lambda form: form.name)
def test_it_is_the_same_in_whatever_pieces_the_engine_writes(
    form: Format, rows: list[tuple[Any, Any]], most: int, data: st.DataObject
) -> None:
    store = stored(rows)
    whole, _ = written(store, PAIR, form)
    output, cut = BytesIO(), False
    first = FirstRows(output, form, most)
    try:
        while whole:
            size = data.draw(st.integers(1, 40))
            first.write(whole[:size])
            whole = whole[size:]
        first.finish()
    except Enough:
        cut = True
    assert (output.getvalue(), cut) == written(store, PAIR, form, most)


def test_a_text_that_comes_in_many_pieces_is_not_looked_through_for_each(monkeypatch: pytest.MonkeyPatch) -> None:
    first = FirstRows(BytesIO(), formats.ROWS[0], 1)
    looks: list[int] = []
    look = FirstRows._look

    def counted(first: FirstRows) -> None:
        looks.append(first._size)
        look(first)

    monkeypatch.setattr(FirstRows, "_look", counted)
    first.write(b'{"head":{"vars":["a"]},"results":{"bindings":[{"a":{"type":"literal","value":"')
    for _ in range(1000):
        first.write(b"x" * 1000)
    assert sum(looks) < 4_000_000


def test_no_more_is_evaluated_than_is_wanted() -> None:
    store = stored([(None, None)] * 100)
    product = " . ".join(f"?a{i} ?b{i} ?c{i}" for i in range(8))  # which would take ages
    body, cut = written(store, f"SELECT * {{ {product} }}", formats.ROWS[0], 5)
    assert (len(json.loads(body)["results"]["bindings"]), cut) == (5, True)


@pytest.mark.parametrize(
    "text",
    [
        f"{PAIR} LIMIT 5 OFFSET 1",
        f"{PAIR} VALUES ?n {{ 1 2 3 4 5 }}",
        f"{PAIR} # LIMIT 1",
        "SELECT (COUNT(*) AS ?c) ?n { ?row <urn:n> ?n } GROUP BY ?n HAVING (?n > 0)",
        "SELECT ?x { { SELECT ?x { ?x <urn:n> ?n } LIMIT 7 } }",
    ],
)
def test_the_words_of_a_query_do_not_matter(text: str) -> None:
    store = stored([(ox.Literal("a"), None)] * 9)
    form = formats.named("csv", formats.ROWS)
    whole = list(csv.reader(StringIO(written(store, text, form)[0].decode())))
    body, cut = written(store, text, form, 3)
    found = list(csv.reader(StringIO(body.decode())))
    assert len(whole) > 4
    assert (len(found), cut) == (4, True)
    if "ORDER BY" in text:
        assert found == whole[:4]
    assert written(store, text, form, len(whole) - 1)[1] is False


@pytest.mark.parametrize("form", formats.WRITTEN, ids=lambda form: form.name)
@pytest.mark.parametrize(("most", "number"), [(1, 1), (8, 8), (9, 9), (10, 9)])
def test_a_graph_is_cut_after_so_many_triples(form: Format, most: int, number: int) -> None:
    store = stored([(None, None)] * 9)
    body, cut = written(store, "CONSTRUCT WHERE { ?s ?p ?o }", form, most)
    if form is formats.COMPACT:
        data = json.loads(body)
        assert len(data.get("@graph", [data])) == number
    else:
        assert len(list(ox.parse(body, cast("ox.RdfFormat", ox.RdfFormat.from_media_type(form.media[0]))))) == number
    assert cut is (most < 9)


def test_a_graph_too_large_for_the_compact_form_has_room_in_it_when_it_is_cut() -> None:
    store = stored([(None, None)] * 6000)
    with pytest.raises(NotAcceptable):
        written(store, "CONSTRUCT WHERE { ?s ?p ?o }", formats.COMPACT)
    assert written(store, "CONSTRUCT WHERE { ?s ?p ?o }", formats.COMPACT, 10)[1]


@pytest.mark.parametrize("form", formats.ROWS, ids=lambda form: form.name)
def test_what_is_true_or_false_is_not_cut(form: Format) -> None:
    assert written(ox.Store(), "ASK {}", form, 1) == written(ox.Store(), "ASK {}", form)


def test_of_two_limits_the_smaller_one_holds() -> None:
    assert Limits(5, None).within(Limits(9, 7)) == Limits(9, 7).within(Limits(5, None)) == Limits(5, 7)
    assert UNLIMITED.within(UNLIMITED) == UNLIMITED
