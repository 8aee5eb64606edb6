"""Plain queries go a short way, on which they get the answers of the whole one."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from kg.express import _again, _plain_headers
from tests.effort import tries
from tests.server import Server, served

ROWS = "SELECT ?tariff ?label { ?tariff a trade:Tariff ; rdfs:label ?label } ORDER BY ?tariff ?label"
LARGE = "SELECT * { ?s ?p ?o } ORDER BY ?s ?p ?o LIMIT 4000"
QUERIES = {
    "rows": ROWS,
    "large": LARGE,
    "boolean": "ASK { ?tariff a trade:Tariff }",
    "graph": "CONSTRUCT { ?t rdfs:label ?l } WHERE { ?t a trade:Tariff ; rdfs:label ?l }",
    "volatile": "SELECT (NOW() > '2020-01-01T00:00:00Z'^^xsd:dateTime AS ?later) {}",
    "syntax": "SELECT ?x { ?x",
    "update": "INSERT DATA { <urn:a> <urn:b> <urn:c> }",
    "service": "SELECT * { SERVICE <https://example.org/> { ?s ?p ?o } }",
    "nothing": "",
}
ACCEPTS = (
    "*/*",
    "application/sparql-results+json",
    "text/csv;q=0.5, text/turtle",
    "text/html",
    "text/html, */*;q=0.8",
    "image/png",
    "",
)
#: A header that nobody reads and that no plain request has.
LONG_WAY = {"X-Long-Way": "please"}
#: What differs from one answer to the next anyway: one that is remembered is sent in one piece.
OWN = {"date", "x-request-id", "content-length", "transfer-encoding"}


def told(answer: httpx.Response) -> tuple[int, dict[str, str], bytes]:
    headers = {name: value for name, value in answer.headers.items() if name not in OWN}
    body = answer.content
    if answer.headers["content-type"] == "application/problem+json":
        problem: dict[str, Any] = answer.json()
        del problem["request"]
        body = repr(problem).encode()
    return answer.status_code, headers, body


@pytest.fixture(scope="module")
def both(client: httpx.Client) -> Iterator[Any]:
    def ask(method: str, url: str, headers: dict[str, str], body: bytes | None) -> tuple[Any, Any]:
        short, whole = (
            told(client.request(method, url, headers={**headers, **more}, content=body)) for more in ({}, LONG_WAY)
        )
        return short, whole

    yield ask


@pytest.mark.parametrize("accept", ACCEPTS)
@pytest.mark.parametrize("text", QUERIES.values(), ids=QUERIES)
@pytest.mark.parametrize("coding", ["identity", "gzip"])
def test_short_and_whole_way_give_the_same_answer(both: Any, text: str, accept: str, coding: str) -> None:
    headers = {"Accept": accept, "Accept-Encoding": coding}
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    direct = {"Content-Type": "application/sparql-query"}
    for short, whole in (
        both("GET", f"/sparql?{urlencode({'query': text})}", headers, None),
        both("GET", f"/sparql?{urlencode({'query': text, 'format': 'json', 'output': 'x'})}", headers, None),
        both("POST", "/sparql", {**headers, **form}, urlencode({"query": text}).encode()),
        both("POST", "/sparql", {**headers, **direct}, text.encode()),
    ):
        assert short == whole


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=tries(20))
@example(fields=[("query", ROWS), ("query", "ASK {}")], raw="", method="GET")
@example(fields=[("query", "ASK {}"), ("format", "csv"), ("format", "json")], raw="", method="POST")
@example(fields=[("query", "ASK {}"), ("format", "html")], raw="", method="GET")
@example(fields=[("query", ROWS), ("default-graph-uri", "urn:x")], raw="", method="POST")
@example(fields=[("query", ROWS), ("max-rows", "1")], raw="", method="GET")
@example(fields=[("query", ROWS), ("timeout", "none")], raw="", method="POST")
@given(
    fields=st.lists(
        st.tuples(
            st.sampled_from(
                (
                    "query",
                    "query",
                    "format",
                    "output",
                    "max-rows",
                    "timeout",
                    "default-graph-uri",
                    "using-graph-uri",
                    "é",
                )
            ),
            st.sampled_from(("ASK {}", ROWS, "csv", "html", "1", "0", "urn:x", "", "ä")),
        ),
        max_size=4,
    ),
    raw=st.sampled_from(("", "&&", "%", "%ff", "&query=%C3%28", "+", "=", "\udcff")),
    method=st.sampled_from(("GET", "POST")),
)
def test_whatever_the_parameters_both_ways_say_the_same(
    both: Any, fields: list[tuple[str, str]], raw: str, method: str
) -> None:
    text = urlencode(fields).encode() + raw.encode("utf-8", "surrogateescape")
    if method == "GET":
        short, whole = both("GET", f"/sparql?{text.decode('latin-1')}", {}, None)
    else:
        short, whole = both("POST", "/sparql", {"Content-Type": "application/x-www-form-urlencoded"}, text)
    assert short == whole


@pytest.mark.parametrize("accept", ["application/sparql-results+json", "text/csv", "application/sparql-results+xml"])
def test_a_small_answer_comes_in_one_piece_though_it_is_new(client: httpx.Client, accept: str) -> None:
    text = f"SELECT ?tariff {{ ?tariff a trade:Tariff }} LIMIT 3 # {accept}"
    answer = client.get("/sparql", params={"query": text}, headers={"Accept": accept, "Accept-Encoding": "identity"})
    assert int(answer.headers["content-length"]) == len(answer.content)


def test_a_client_that_leaves_before_the_end_of_its_query_is_not_answered(server: Server) -> None:
    body = b"ASK {}" + b" " * 100
    head = f"POST /sparql HTTP/1.1\r\nHost: x\r\nX-Request-ID: leaver\r\nContent-Length: {len(body)}\r\n"
    with socket.create_connection((httpx.URL(server.url).host, httpx.URL(server.url).port or 0)) as connection:
        connection.sendall(head.encode() + b"Content-Type: application/sparql-query\r\n\r\n" + body[:20])
    line = server.line("leaver")
    assert (line["outcome"], line["bytes"]) == ("left", 0)
    assert "job" not in line


def test_an_answer_that_was_stopped_is_told_as_such_and_asked_once(home_with_deadline: Server) -> None:
    heavy = "SELECT (COUNT(*) AS ?n) { ?a ?b ?c . ?d ?e ?f . ?g ?h ?i }"
    with home_with_deadline.client() as client:
        answer = client.get("/sparql", params={"query": heavy}, headers={"X-Request-ID": "heavy"})
        assert (answer.status_code, answer.headers["content-type"]) == (503, "application/problem+json")
        assert "Stopped after 1 seconds" in answer.json()["detail"]
        metrics = client.get("/metrics").text
    assert 'parley_queries_total{outcome="deadline"} 1.0' in metrics
    assert 'parley_worker_ends_total{reason="deadline"} 1.0' in metrics
    assert home_with_deadline.line("heavy")["route"] == "/sparql"


@pytest.fixture
def home_with_deadline(home: Path) -> Iterator[Server]:
    with served(home, KG_DEADLINE="1") as server:
        yield server


@pytest.mark.parametrize(
    ("method", "query", "headers"),
    [
        ("GET", b"", {"origin": "https://example.org"}),
        ("GET", b"", {"if-none-match": "*"}),
        ("GET", b"", {"content-length": "3"}),
        ("HEAD", b"", {}),
        ("OPTIONS", b"", {}),
        ("PUT", b"", {}),
        ("POST", b"", {}),
        ("POST", b"", {"content-type": "text/plain", "content-length": "3"}),
        ("POST", b"", {"content-type": "application/sparql-query"}),
        ("POST", b"", {"content-type": "application/sparql-query", "content-length": "65537"}),
        ("POST", b"", {"content-type": "application/sparql-query", "content-length": "3", "content-encoding": "gzip"}),
        ("POST", b"a=b", {"content-type": "application/sparql-query", "content-length": "3"}),
    ],
)
def test_a_request_that_may_want_more_is_not_plain(method: str, query: bytes, headers: dict[str, str]) -> None:
    pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
    assert _plain_headers({"method": method, "query_string": query, "headers": pairs}) is None


def test_a_header_that_comes_twice_makes_no_plain_request() -> None:
    accepts = [(b"accept", b"text/csv"), (b"accept", b"text/turtle")]
    assert _plain_headers({"method": "GET", "query_string": b"", "headers": accepts}) is None
    assert _plain_headers({"method": "GET", "query_string": b"", "headers": accepts[:1]}) is not None


def test_a_body_that_was_read_is_received_again_once() -> None:
    async def receive() -> dict[str, str]:
        return {"type": "http.disconnect"}

    async def twice() -> list[Any]:
        again = _again(b"body", receive)
        return [await again(), await again()]

    body = {"type": "http.request", "body": b"body", "more_body": False}
    assert asyncio.run(twice()) == [body, {"type": "http.disconnect"}]
