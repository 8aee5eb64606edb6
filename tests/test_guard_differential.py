"""The guard held against two parsers, rdflib's and the engine's, and against what the engine really does.

The engine runs each text beside servers on loopback that count who connects. SILENT hides a failure from whoever asks,
and not from these.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any, NamedTuple

import pyoxigraph as ox
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyparsing.exceptions import ParseBaseException
from rdflib.plugins.sparql.parser import parseQuery, parseUpdate
from rdflib.plugins.sparql.parserutils import CompValue
from rdflib.term import URIRef

from kg.errors import BadQuery
from kg.evaluation import Question, solve
from kg.federation import routed
from kg.guard import check_query, check_update
from kg.questions import Questions
from tests.conftest import CONTENT
from tests.effort import tries
from tests.trap import Trap, trap

#: What stands in generated texts for the endpoint on the list, and for another one.
ALLOWED, OTHER = "http://allowed/", "http://other/"


class Ground(NamedTuple):
    """Where a text is run: `gate` is what stands for the endpoint on the list."""

    allowed: Trap
    other: Trap
    gate: Trap

    def placed(self, text: str) -> str:
        """A text with the real addresses in it."""
        return text.replace(ALLOWED, self.url).replace(OTHER, f"{self.other.root}/")

    @property
    def url(self) -> str:
        return f"{self.allowed.root}/"

    @property
    def gateways(self) -> dict[str, str]:
        return {self.url: f"{self.gate.root}/"}

    def reached(self) -> tuple[int, int]:
        return self.allowed.connections, self.other.connections


@pytest.fixture(scope="module")
def ground() -> Iterator[Ground]:
    with trap() as allowed, trap() as other, trap() as gate:
        yield Ground(allowed, other, gate)


def filled() -> ox.Store:
    store = ox.Store()
    for graph in (ox.DefaultGraph(), ox.NamedNode("urn:g")):
        store.add(ox.Quad(ox.NamedNode("urn:s"), ox.NamedNode("urn:p"), ox.Literal(1), graph))
    return store


def run_query(text: str) -> None:
    """Have the engine evaluate a text to the end, if it parses."""
    with suppress(SyntaxError, ValueError, OSError, RuntimeError):
        answer = filled().query(text)
        if not isinstance(answer, ox.QueryBoolean):
            list(answer)


def run_update(text: str) -> None:
    """Have the engine apply a text, if it parses."""
    with suppress(SyntaxError, ValueError, OSError, RuntimeError):
        filled().update(text)


# --- texts ----------------------------------------------------------------------------------------------------------

GAPS = st.sampled_from(["", "", " ", "\n", "\t", "#x\n", "#'\r", ' #"""\n', "#>\n", " # SERVICE\n"])
SERVICES = st.sampled_from(
    [
        "SERVICE",
        "service",
        "SeRvIcE",
        "SERVICE SILENT",
        "SERVICE#\nSILENT",
        "SERVICESILENT",
        "\\u0053ERVICE",
        "S\\U00000045RVICE",
        "trueSERVICE",
        "1SERVICE",
        "1.SERVICE",
        "p:.SERVICE",
        "p:a.b.SERVICE",
        "'x'SERVICE",
    ]
)
TARGETS = st.sampled_from(
    [
        f"<{ALLOWED}>",
        f"<{ALLOWED}>",
        f"<{OTHER}>",
        "?x",
        "$SERVICE",
        "p:",
        "p:x",
        ":",
        "SERVICE:",
        "a:",
        "<>",
        "<x>",
        f"<{ALLOWED}#>",
        f"<{ALLOWED}?x>",
        f"<{ALLOWED}\\u003E",
        f"<{OTHER}\\u0020>",
        "<",
        "SILENT",
        "a",
    ]
)
GROUPS = st.sampled_from(["{ ?s ?p ?o }", "{}", "{ ?s ?p '}' }", "{ ?s ?p ?o # }\n }", "{ { ?s ?p 1 } }", "{ ?s ?p"])
#: Calls after a comparison that looks like the beginning of an IRI, and after an operand without a space.
HIDDEN = st.builds(
    lambda before, word, gap, after: f"{before}{word}{gap}<{OTHER}> {{ ?s ?p ?o }}{after}",
    st.sampled_from(["FILTER(?o<?p)", "FILTER(?o<'>')", "FILTER(1<2)", "?s ?p ", "?s ?p <urn:o>", "?s ?p ?o"]),
    st.sampled_from(["SERVICE", "SERVICE SILENT", "1SERVICE", "p:.SERVICE"]),
    st.sampled_from(["", " ", "#>\n", "#>'\n", "#x>\n"]),
    st.sampled_from(["", "FILTER(?o='')", " FILTER(?o>1)", "#>", "#'"]),
)
CALLS = st.tuples(SERVICES, GAPS, TARGETS, GAPS, GROUPS).map("".join)
CLEAR_CALLS = st.builds(
    lambda word, gap, more, group: f"{word} {gap}<{ALLOWED}>{more}{group} ",
    st.sampled_from(["SERVICE", "service silent", "Service"]),
    GAPS,
    GAPS,
    st.sampled_from(["{ ?s ?p ?o }", "{}", "{ ?s ?p '}' }"]),
)
SCRAPS = st.sampled_from(
    [
        "?s ?p ?o . ",
        "?s ?p 1 ",
        "?s ?p 'SERVICE' . ",
        "?s ?p p:a.b",
        "?s p:SERVICE <urn:SERVICE> . ",
        "FILTER(?o<?p) ",
        "FILTER(?o<",
        ">1) ",
        "FILTER(?o<'>') ",
        "FILTER(1 <2)",
        "'",
        '"',
        "'''",
        "#",
        "\n",
        "\\",
        "{",
        "}",
        "(",
        ")",
        "",
        "BIND(1 AS ?x) ",
        "VALUES ?x { 1 } ",
        f"VALUES ?x {{ <{OTHER}> }} ",
        "?s ?p true",
        "; ",
        ". ",
        "@en",
        "^^p:",
    ]
)
WRAPPED = st.sampled_from(
    [
        "%s",
        "%s",
        "OPTIONAL { %s } ",
        "{ %s } UNION {} ",
        "GRAPH <urn:g> { %s } ",
        "{ SELECT * { %s } } ",
        "MINUS { %s } ",
        "FILTER EXISTS { %s } ",
        "FILTER(NOT EXISTS { %s }) ",
        "LATERAL { %s } ",
        f"SERVICE <{ALLOWED}> {{ %s }} ",
        f"SERVICE SILENT <{OTHER}> {{ %s }} ",
        "FILTER(?o < 1 || EXISTS{%s}) ",
    ]
)
PROLOGUE = f"PREFIX p: <{OTHER}> PREFIX : <{OTHER}> PREFIX a: <{ALLOWED}> PREFIX SERVICE: <{OTHER}> "


def queries(calls: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    parts = st.lists(st.one_of(calls, SCRAPS, SCRAPS), max_size=5).map("".join)
    groups = st.recursive(parts, lambda inner: st.builds(lambda wrap, group: wrap.replace("%s", group), WRAPPED, inner))
    return groups.map(lambda group: f"{PROLOGUE}SELECT * {{ {group} }}")


LOADS = st.sampled_from(
    ["LOAD", "load", "LoAd", "L\\u004FAD", "LOAD SILENT", "LOADSILENT", "p:.LOAD", "1LOAD", "#\nLOAD"]
)
UPDATES = st.builds(
    lambda before, load, gap, target, after: f"PREFIX p: <{OTHER}> {before}{load}{gap}{target}{after}",
    st.sampled_from(
        [
            "",
            "CLEAR ALL ; ",
            "CLEAR ALL;",
            "INSERT DATA { <urn:s> <urn:p> 1 } ;",
            "DELETE WHERE { ?s ?p 'x' };",
            "# x\n",
            "INSERT DATA { <urn:s> <urn:p> p:a } ;",
            "INSERT DATA { <urn:s> <urn:p> '\\u0027 } ;",
            "INSERT DATA { '",
            "DELETE { ?s ?p ?o } WHERE { ?s ?p ?o FILTER(?o<?p) };",
            "CREATE GRAPH <urn:LOAD>;",
            "BASE <urn:x> ",
        ]
    ),
    LOADS,
    GAPS,
    st.sampled_from([f"<{OTHER}>", f"<{OTHER}x>", "p:", "p:x", "<x>", f"<{OTHER}\\u003E"]),
    st.sampled_from(["", " INTO GRAPH <urn:l>", "INTO GRAPH<urn:l>", " ; CLEAR GRAPH <urn:g>", "#'"]),
)


# --- what rdflib reads ----------------------------------------------------------------------------------------------


def parsed(parse: Any, text: str) -> Any:
    """What rdflib's parser makes of a text, None if nothing."""
    with suppress(ParseBaseException, RecursionError, ValueError, TypeError, AttributeError, KeyError, OverflowError):
        return parse(text)
    return None


def nodes(tree: Any, name: str) -> Iterator[CompValue]:
    """The nodes of a name in a tree of the parser."""
    pending = [tree]
    while pending:
        node = pending.pop()
        if isinstance(node, CompValue):
            if node.name == name:
                yield node
            pending.extend(node.values())
        elif not isinstance(node, str):
            with suppress(TypeError):
                pending.extend(node)


@pytest.mark.parametrize(
    ("text", "count"),
    [
        (f"SELECT * {{ SERVICE <{OTHER}> {{ ?s ?p ?o }} }}", 1),
        (f"SELECT * {{ OPTIONAL {{ SERVICE SILENT ?x {{ ?s ?p ?o }} }} SERVICE <{OTHER}> {{ ?s ?p ?o }} }}", 2),
        (f"SELECT * {{ ?s ?p 1 FILTER NOT EXISTS {{ SERVICE <{OTHER}> {{ ?s ?p ?o }} }} }}", 1),
        ("SELECT * { ?s ?p 'SERVICE' }", 0),
    ],
)
def test_calls_are_found_in_what_rdflib_reads(text: str, count: int) -> None:
    """What the tests against rdflib rest on."""
    assert len(list(nodes(parsed(parseQuery, text), "ServiceGraphPattern"))) == count


def test_calls_of_the_engine_are_seen(ground: Ground) -> None:
    """What the tests against the engine rest on."""
    before = ground.reached()
    run_query(ground.placed(f"SELECT * {{ SERVICE SILENT <{OTHER}> {{ ?s ?p ?o }} }}"))
    run_update(ground.placed(f"LOAD SILENT <{OTHER}>"))
    run_update(ground.placed(f"PREFIX p: <{OTHER}>LOADp:x"))
    assert ground.reached() == (before[0], before[1] + 3)


COSTLY = settings(max_examples=tries(100), deadline=None, suppress_health_check=[HealthCheck.too_slow])


@COSTLY
@given(text=st.one_of(queries(CALLS), HIDDEN.map(lambda call: f"{PROLOGUE}SELECT * {{ {call} }}")))
def test_the_engine_connects_nowhere_for_a_query_that_the_guard_passes(ground: Ground, text: str) -> None:
    text, before = ground.placed(text), ground.reached()
    try:
        check_query(text)
    except BadQuery:
        return
    run_query(text)
    assert ground.reached() == before, text


@COSTLY
@given(text=queries(st.one_of(CALLS, CLEAR_CALLS, CLEAR_CALLS)))
def test_the_engine_connects_to_the_gateway_alone_for_a_query_that_may_call(ground: Ground, text: str) -> None:
    text, before = ground.placed(text), ground.reached()
    try:
        question = Question(text, gateways=ground.gateways)
    except BadQuery:
        return
    run_query(routed(question.text, question.calls, question.gateways))
    assert ground.reached() == before, text


@settings(max_examples=100, deadline=None)
@given(parts=st.lists(st.one_of(CLEAR_CALLS, st.just("?s ?p ?o . "), st.just("OPTIONAL { ?s ?p 1 } ")), max_size=6))
def test_clear_calls_of_an_endpoint_on_the_list_are_passed_and_go_to_the_gateway(
    ground: Ground, parts: list[str]
) -> None:
    text, before, gate = ground.placed(f"ASK {{ {''.join(parts)} }}"), ground.reached(), ground.gate.connections
    question = Question(text, gateways=ground.gateways)
    assert len(question.calls) == sum("<" in part for part in parts)
    with suppress(BadQuery, OSError):
        solve(filled(), question)
    assert ground.reached() == before, text
    assert bool(question.calls) >= (ground.gate.connections > gate)


@COSTLY
@given(text=queries(st.one_of(CALLS, CLEAR_CALLS)))
def test_rdflib_reads_no_call_in_a_query_that_the_guard_passes(text: str) -> None:
    text = text.replace("\r", "\n")  # at which alone rdflib does not end a comment, against the grammar
    tree = parsed(parseQuery, text)
    if tree is None:
        return
    found = list(nodes(tree, "ServiceGraphPattern"))
    if found:
        with pytest.raises(BadQuery):
            check_query(text)
    try:
        calls = check_query(text, [ALLOWED]).calls
    except BadQuery:
        return
    assert [node.term for node in found] == [URIRef(ALLOWED)] * len(calls), text


@COSTLY
@given(text=UPDATES)
def test_the_engine_connects_nowhere_for_an_update_that_the_guard_passes(ground: Ground, text: str) -> None:
    text, before = ground.placed(text), ground.reached()
    if parsed(parseUpdate, text) is not None and list(nodes(parsed(parseUpdate, text), "Load")):
        with pytest.raises(BadQuery):
            check_update(text)
    try:
        check_update(text)
    except BadQuery:
        return
    run_update(text)
    assert ground.reached() == before, text


@pytest.mark.parametrize("question", Questions(CONTENT).all, ids=lambda question: question.name)
def test_every_shipped_question_is_passed_and_calls_nothing(question: Any) -> None:
    checked = check_query(question.text, [ALLOWED])
    assert (checked.form, checked.calls, checked.volatile) == ("SELECT", (), False)
    tree = parsed(parseQuery, question.text)
    assert tree is not None
    assert not list(nodes(tree, "ServiceGraphPattern"))
