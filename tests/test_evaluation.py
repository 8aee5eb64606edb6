"""The evaluation of a query, where it departs from what the engine does on its own."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import pyoxigraph as ox
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kg import formats
from kg.engines import StoreReader
from kg.evaluation import Question, write_graph
from kg.store import Versions
from kg.terms import PREFIXES


@pytest.mark.parametrize(
    "pattern",
    [
        "product:8703.23.01 skos:notation ?code",
        "VALUES ?p { product:8703.23.01 } ?p skos:notation ?code",
        "?p skos:notation ?code FILTER(?p = product:8703.23.01)",
        "?rate trade:onProduct product:8703.23.01. product:8703.23.01 skos:notation ?code",
    ],
)
def test_prefixed_name_with_several_dots_is_one_name(shipped_home: Path, pattern: str) -> None:
    """The engine alone reads product:8703.23 and the number .01, and answers without a word of warning."""
    with Versions(shipped_home).reading() as (_, store):
        rows = StoreReader(store).rows(f"SELECT DISTINCT ?code {{ {pattern} }}")
    assert [row["code"].value for row in rows] == ["8703.23.01"]


TRIPLES = [
    ox.Triple(ox.NamedNode(f"urn:{subject}"), ox.NamedNode(predicate), ox.Literal(value))
    for subject in "ab"
    for predicate in (PREFIXES["rdf"] + "type", PREFIXES["rdfs"] + "label", PREFIXES["dcterms"] + "title")
    for value in "xy"
]


@pytest.mark.parametrize("form", [formats.GRAPHS[0], formats.COMPACT], ids=["turtle", "compact"])
@given(order=st.permutations(TRIPLES))
def test_a_small_graph_for_people_is_the_same_in_whatever_order_its_triples_come(
    form: formats.Format, order: list[ox.Triple]
) -> None:
    written = []
    for triples in (TRIPLES, order):
        output = io.BytesIO()
        write_graph(iter(triples), form, output)
        written.append(output.getvalue())
    assert written[0] == written[1]
    assert written[0].count(b"urn:a") == 1


def test_types_come_first_in_turtle() -> None:
    output = io.BytesIO()
    write_graph(reversed(TRIPLES[:6]), formats.GRAPHS[0], output)
    names = re.findall(r" (a|\w+:\w+) \"", output.getvalue().decode())
    assert names[0] == "a"


@pytest.mark.parametrize(
    "question",
    [
        Question("ASK {}"),
        Question("CONSTRUCT WHERE { ?s ?p <x> }", ("urn:a", "urn:b"), ("urn:c",), "https://example.org/"),
        Question(
            "SELECT (NOW() AS ?n) { SERVICE <https://a.example/> { ?s ?p ?o } SERVICE SILENT <https://b.example/> {} }",
            gateways={"https://a.example/": "http://127.0.0.1:1/a", "https://b.example/": "http://127.0.0.1:1/b"},
        ),
    ],
)
def test_a_question_is_the_same_after_its_way_to_a_worker(question: Question) -> None:
    assert vars(Question.rebuilt(json.loads(json.dumps(question.fields)))) == vars(question)
