"""The Python client against a real server: values, frames, writes, and every way in which an answer can fail."""

from __future__ import annotations

import gzip
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rdflib import RDFS, Literal, URIRef

from kg import errors
from kg.answers import Rows, value
from kg.client import Client
from kg.errors import (
    BadData,
    BadQuery,
    BadRequest,
    Forbidden,
    NotFound,
    ParleyError,
    Refused,
    Stopped,
    TooMany,
    Unauthorized,
    Unreachable,
    from_problem,
)
from kg.report import Contradiction, Finding, Report
from kg.terms import PREFIXES, SOURCE
from tests.server import TOKEN, Server, served
from tests.test_docs import README, blocks

JAPAN = PREFIXES["country"] + "JP"
NOTE = """
<> a foaf:Document ;
    dcterms:title "A note"@en ; dcterms:publisher body:my-desk ; dcterms:issued "2026-11-20"^^xsd:date ;
    dcterms:type source-kind:press-report ; schema:url <https://example.org/note> ; trade:grade grade:V2 .
body:my-desk a org:Organization ; rdfs:label "My desk"@en ; trade:bodyKind body-kind:news-publisher .
"""
PREFIXED = "".join(f"@prefix {name}: <{iri}> .\n" for name, iri in PREFIXES.items()) + NOTE
ENDLESS = "SELECT * { ?a ?b ?c . ?d ?e ?f . ?g ?h ?i }"


@pytest.fixture
def client(server: Server) -> Client:
    return Client(server.url)


@pytest.fixture
def writer(server: Server) -> Client:
    return Client(server.url, token=TOKEN)


def xsd(text: str, name: str) -> dict[str, str]:
    return {"type": "literal", "value": text, "datatype": PREFIXES["xsd"] + name}


class TestQueries:
    def test_rows_have_python_values(self, client: Client) -> None:
        rows = client.query("""SELECT * { VALUES (?iri ?text ?whole ?exact ?double ?true ?day ?moment ?month ?none) { (
            country:JP "日本"@ja 5 2.50 1e3 true "2025-06-07"^^xsd:date "2025-06-07T08:00:00Z"^^xsd:dateTime
            "2025-06"^^xsd:gYearMonth UNDEF ) } }""")
        assert rows == [
            {
                "iri": JAPAN,
                "text": "日本",
                "whole": 5,
                "exact": Decimal("2.5"),
                "double": 1000.0,
                "true": True,
                "day": date(2025, 6, 7),
                "moment": datetime(2025, 6, 7, 8, tzinfo=UTC),
                "month": "2025-06",
                "none": None,
            }
        ]
        assert {name: type(found) for name, found in rows[0].items()} == {
            "iri": str, "text": str, "whole": int, "exact": Decimal, "double": float, "true": bool, "day": date,
            "moment": datetime, "month": str, "none": type(None),
        }  # fmt: skip

    def test_no_rows_have_columns_still(self, client: Client) -> None:
        rows = client.query("SELECT ?a ?b { ?a <urn:no-such-property> ?b }")
        assert (rows, rows.columns) == ([], ("a", "b"))

    def test_graphs_narrow_what_a_query_sees(self, client: Client) -> None:
        source = f"{SOURCE}2025-06-06-yomiuri-fifth-round"
        assert client.query("SELECT DISTINCT ?g { GRAPH ?g { ?s ?p ?o } }", named_graphs=[source]) == [{"g": source}]
        ask = "SELECT (COUNT(*) AS ?n) { ?s ?p ?o }"
        [narrow], [wide] = client.query(ask, default_graphs=[source]), client.query(ask)
        assert 0 < narrow["n"] < wide["n"]  # type: ignore[operator]

    def test_ask(self, client: Client) -> None:
        assert client.ask("ASK { country:JP ?p ?o }") is True
        assert client.ask("ASK { <urn:nobody> ?p ?o }") is False

    def test_construct_gives_a_graph(self, client: Client) -> None:
        graph = client.construct("CONSTRUCT WHERE { country:JP rdfs:label ?label }")
        assert (URIRef(JAPAN), RDFS.label, Literal("日本", lang="ja")) in graph
        assert "country:JP" in graph.serialize(format="turtle")

    @pytest.mark.parametrize(
        ("method", "text", "right"),
        [
            ("query", "ASK {}", "ask()"),
            ("query", "DESCRIBE country:JP", "construct()"),
            ("ask", "SELECT * {}", "query()"),
            ("ask", "CONSTRUCT WHERE { ?s ?p ?o }", "construct()"),
            ("construct", "SELECT * {}", "query()"),
            ("construct", "ASK {}", "ask()"),
        ],
    )
    def test_the_wrong_method_for_a_query_names_the_right_one(
        self, client: Client, method: str, text: str, right: str
    ) -> None:
        with pytest.raises(BadRequest) as caught:
            getattr(client, method)(text)
        assert right in caught.value.hint

    def test_words_in_iris_and_comments_do_not_change_what_a_query_is(self, client: Client) -> None:
        assert client.query("# DELETE\nPREFIX insert: <http://drop/INSERT#> SELECT (1 AS ?one) {}") == [{"one": 1}]


class TestFrames:
    def test_columns_have_the_type_of_their_values(self, client: Client) -> None:
        frame = client.frame("""SELECT * { VALUES (?name ?whole ?exact ?day ?moment ?true ?mixed ?big) {
            ("a" 1 2.5 "2025-06-07"^^xsd:date "2025-06-07T08:00:00+09:00"^^xsd:dateTime true 1 18446744073709551616)
            (UNDEF UNDEF UNDEF UNDEF UNDEF UNDEF "b" UNDEF) } }""")
        assert {name: str(kind) for name, kind in frame.dtypes.items()} == {
            "name": "string",
            "whole": "Int64",
            "exact": "Float64",
            "day": "datetime64[s]",
            "moment": "datetime64[us, UTC]",
            "true": "boolean",
            "mixed": "object",
            "big": "object",
        }
        assert frame["whole"].sum() == 1
        assert frame.iloc[1].drop("mixed").isna().all()
        assert frame["big"][0] == 2**64

    def test_the_answer_to_a_question_makes_one_too(self, client: Client) -> None:
        frame = client.question("rounds", negotiation="us-jp").frame()
        assert len(frame) > 5
        assert frame["number"].max() > 5

    def test_no_rows_have_columns_still(self, client: Client) -> None:
        assert list(client.frame("SELECT ?a ?b { ?a <urn:no-such-property> ?b }").columns) == ["a", "b"]


class TestQuestions:
    def test_they_are_listed(self, client: Client) -> None:
        found = next(q for q in client.questions() if q["name"] == "rounds")
        assert [p["name"] for p in found["parameters"]] == ["negotiation"]

    def test_answers_have_python_values(self, client: Client) -> None:
        rows = client.question("round-participants", number=5)
        assert {row["number"] for row in rows} == {5}
        assert {type(row["date"]) for row in rows} == {date}

    def test_parameters_that_python_cannot_name(self, client: Client) -> None:
        assert client.question("deadlines", from_=date(2025, 7, 1), until="2025-08-31")
        rows = client.question("still-standing", authority_voided="IEEPA", importer="US", origin="JP", on="2026-03-01")
        assert rows

    def test_a_rate(self, client: Client) -> None:
        rate = client.rate("US", "JP", "8703.23.01", date(2025, 6, 7))
        assert (rate["total"], rate["origin"]) == (27.5, "JP")
        assert client.rate("US", "JP", "8510.20.90", "2025-08-20", known_on=date(2025, 8, 20))["total"] == 19
        with pytest.raises(BadRequest, match="usmca"):
            client.rate("US", "JP", "8703.23.01", "2025-06-07", conditions=["usmca"])


class TestWrites:
    def test_a_text_is_loaded_updated_and_removed(self, server: Server, writer: Client) -> None:
        graph = f"{SOURCE}a-note"
        before = len(writer.history())
        assert writer.load(PREFIXED, graph=graph, dry_run=True)["commit"] is None
        assert writer.load(PREFIXED, graph=graph)["created"] == [graph]
        update = f'INSERT DATA {{ GRAPH <{graph}> {{ body:my-desk rdfs:label "Mon bureau"@fr }} }}'
        assert writer.update(update, dry_run=True)["dryRun"] is True
        assert writer.update(update)["commit"]["added"] == 1
        merged = writer.load(
            f'<{PREFIXES["body"]}my-desk> <{RDFS.label}> "Schreibtisch"@de .', graph=graph, mode="merge"
        )
        assert (merged["created"], merged["commit"]["added"]) == ([], 1)
        assert len(writer.query("SELECT ?label { body:my-desk rdfs:label ?label }")) == 3
        assert writer.remove(graph, dry_run=True)["commit"] is None
        assert writer.remove(graph)["commit"]["removed"] > 5
        assert len(writer.history()) == before + 4

    @pytest.mark.parametrize("packed", [False, True])
    def test_a_file_names_its_source(self, writer: Client, tmp_path: Path, packed: bool) -> None:
        file = tmp_path / ("my-file.ttl.gz" if packed else "my-file.ttl")
        file.write_bytes(gzip.compress(PREFIXED.encode()) if packed else PREFIXED.encode())
        try:
            assert writer.load(file)["created"] == [f"{SOURCE}my-file"]
        finally:
            writer.remove("source:my-file")

    def test_a_data_set_names_its_graphs(self, writer: Client, tmp_path: Path) -> None:
        file = tmp_path / "several.trig"
        for number in (1, 2):
            subject = f'<{PREFIXES["body"]}my-desk> <{RDFS.label}> "Desk {number}"@en'
            file.write_text(f"<{SOURCE}several-{number}> {{ {subject} }}")
            assert writer.load(file, dry_run=True)["created"] == []

    def test_facts_that_do_not_conform_come_back_with_their_report(self, writer: Client) -> None:
        with pytest.raises(Refused) as caught:
            writer.load(PREFIXED.replace("grade:V2", "grade:V9"), graph="source:a-note")
        [finding] = caught.value.report.violations
        assert finding.path == PREFIXES["trade"] + "grade"
        assert "1 fact does not conform" in str(caught.value)

    def test_a_text_that_does_not_parse_comes_back_with_its_line(self, writer: Client) -> None:
        with pytest.raises(BadData) as caught:
            writer.load("<urn:a>\n<urn:b> 'c", graph="source:a-note")
        assert (caught.value.file, caught.value.line) == ("the body", 2)
        assert str(caught.value).count("the body") == 1

    def test_without_the_token(self, client: Client) -> None:
        with pytest.raises(Unauthorized):
            client.remove("source:a-note")

    def test_a_token_does_not_follow_a_redirect(self) -> None:
        with answering(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}") as (other, seen):
            moved = f"HTTP/1.1 303 See Other\r\nLocation: {other}\r\nContent-Length: 0\r\n\r\n"
            with answering(moved.encode()) as (url, asked):
                Client(url, token="secret").update("CLEAR GRAPH source:a")
        assert b"secret" in asked[0]
        assert b"secret" not in seen[0]


class TestErrorsOfTheServer:
    @pytest.mark.parametrize(
        ("ask", "kind", "says"),
        [
            (lambda c: c.query("SELECT * { ?s ?p }"), BadQuery, "does not parse"),
            (lambda c: c.query("SELECT * {}", deadline=-1), BadRequest, "timeout"),
            (lambda c: c.question("roundz"), NotFound, "Did you mean"),
            (lambda c: c.question("rounds", negotiation="us-xx"), NotFound, "Did you mean"),
            (lambda c: c.question("rounds", planet="mars"), BadRequest, "negotiation"),
            (lambda c: c.rate("US", "JP", "cars", "2025-06-07"), BadRequest, "HTS"),
            (lambda c: c.query(ENDLESS + " ORDER BY ?i", deadline=0.5), Stopped, "0.5 seconds"),
        ],
    )
    def test_they_are_ours_again(
        self, client: Client, ask: Callable[[Client], object], kind: type[ParleyError], says: str
    ) -> None:
        with pytest.raises(ParleyError) as caught:
            ask(client)
        assert type(caught.value) is kind
        assert says in str(caught.value)
        assert caught.value.message
        assert caught.value.message not in caught.value.hint

    @given(st.data())
    def test_a_problem_document_is_read_back(self, data: st.DataObject) -> None:
        word = st.text("abc .:", max_size=9).map(str.strip)
        kinds = [k for k in vars(errors).values() if isinstance(k, type) and issubclass(k, ParleyError)]
        kind = data.draw(st.sampled_from([k for k in kinds if k is not Refused]))
        error = kind("It is wrong." + data.draw(word), data.draw(word))
        if isinstance(error, BadData):
            error.file, error.line = data.draw(word), data.draw(st.none() | st.integers(1, 9))
        document = {"title": error.title, "detail": str(error), "hint": error.hint, **error.details()}
        again = from_problem(error.status, document)
        told = (type(error), error.status, str(error), error.details())
        assert (type(again), again.status, str(again), again.details()) == told

    def test_a_report_is_read_back(self) -> None:
        finding = Finding("violation", "urn:a", "urn:b", '"c"', "Say it.", "MinCount", "urn:shape", line=3)
        report = Report([finding], [Contradiction("urn:a", "urn:b", "1", "urn:s", "2", "urn:t", "urn:t")])
        error = from_problem(422, {"report": report.as_dict()})
        assert isinstance(error, Refused)
        assert error.report == report

    @pytest.mark.parametrize(("status", "kind"), [(403, Forbidden), (429, TooMany), (502, Unreachable)])
    def test_a_page_of_something_between_has_the_status_at_least(self, status: int, kind: type[ParleyError]) -> None:
        page = f"HTTP/1.1 {status} No\r\nContent-Length: 6\r\n\r\n<html>".encode()
        with answering(page) as (url, _), pytest.raises(kind, match=str(status)):
            Client(url).history()


@contextmanager
def answering(answer: bytes) -> Iterator[tuple[str, list[bytes]]]:
    """A server that answers one request with these bytes and hangs up; its address, and what it was sent."""
    seen: list[bytes] = []

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            seen.append(_request(connection))
            connection.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", seen
        thread.join()


@contextmanager
def cut_after(size: int, server: Server, cut: Callable[[], object]) -> Iterator[str]:
    """The address of a relay to a server, which calls `cut` when so many bytes of an answer have passed."""

    def relay() -> None:
        near, _ = listener.accept()
        port = int(server.url.rsplit(":", 1)[1])
        with near, socket.create_connection(("127.0.0.1", port)) as far:
            far.sendall(_request(near))
            passed, done = 0, False
            while data := _received(far):
                near.sendall(data)
                passed += len(data)
                if passed > size and not done:
                    cut()
                    done = True

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=relay)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        thread.join()


def _request(sock: socket.socket) -> bytes:
    """A whole request, whose head and body may come apart."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += sock.recv(65536)
    head, _, body = data.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)\r\ncontent-length: (\d+)", head)
    missing = int(length[1]) - len(body) if length else 0
    while missing > 0:
        more = sock.recv(65536)
        data, missing = data + more, missing - len(more)
    return data


def _received(sock: socket.socket) -> bytes:
    try:
        return sock.recv(65536)
    except ConnectionResetError:
        return b""


class TestAnswersThatBreak:
    @pytest.mark.parametrize("form", ["query", "construct"])
    def test_a_server_that_is_killed_in_the_middle(self, home: Path, form: str) -> None:
        text = ENDLESS if form == "query" else ENDLESS.replace("SELECT *", "CONSTRUCT { ?a ?b ?i }")
        with (
            served(home) as server,
            cut_after(1_000_000, server, lambda: os.kill(server.pid, signal.SIGKILL)) as url,
            pytest.raises(Unreachable, match="breaks off"),
        ):
            getattr(Client(url), form)(text)

    def test_a_worker_that_is_killed_in_the_middle(self, server: Server) -> None:
        def kill_workers() -> None:
            for pid in server.workers():
                os.kill(pid, signal.SIGKILL)

        with cut_after(1_000_000, server, kill_workers) as url, pytest.raises(Unreachable, match="breaks off"):
            Client(url).query(ENDLESS)
        assert Client(server.url).ask("ASK {}")

    @pytest.mark.parametrize(
        "answer",
        [
            b"",
            b"no HTTP\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n[]",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n[]\r\n",
            b'HTTP/1.0 200 OK\r\n\r\n[{"version": 1}, {"vers',
            b"HTTP/1.1 200 OK\r\nContent-Length: 14\r\n\r\n<html>A login.",
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n\xff\xfe",
        ],
    )
    def test_an_answer_that_is_not_whole(self, answer: bytes) -> None:
        with answering(answer) as (url, _), pytest.raises(Unreachable):
            Client(url).history()

    def test_nobody_there(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with pytest.raises(Unreachable, match="refused"):
            Client(url).ask("ASK {}")

    def test_a_server_that_keeps_silent(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            url = f"http://127.0.0.1:{listener.getsockname()[1]}"
            with pytest.raises(Unreachable, match="timed out"):
                Client(url, timeout=0.2).ask("ASK {}")

    @pytest.mark.parametrize("url", ["file:///etc/passwd", "127.0.0.1:8000", "ftp://example.org", ""])
    def test_an_address_that_is_none(self, url: str) -> None:
        with pytest.raises(BadRequest, match="http"):
            Client(url)


class TestValues:
    @pytest.mark.parametrize(
        "term",
        [
            xsd("twelve", "integer"),
            xsd("1_000", "integer"),
            xsd("٣", "integer"),
            xsd("9" * 5000, "integer"),
            xsd("1e3", "decimal"),
            xsd("NaN", "decimal"),
            xsd("infinity", "double"),
            xsd("yes", "boolean"),
            xsd("20250607", "date"),
            xsd("2025-02-30", "date"),
            xsd("0000-01-01", "date"),
            xsd("2025-06-07Z", "date"),
            xsd("2025-06-07", "dateTime"),
            xsd("2025-06-07T08:00:00.1234567Z", "dateTime"),
            xsd("2025", "gYear"),
        ],
    )
    def test_what_python_cannot_hold_stays_as_it_is_written(self, term: dict[str, str]) -> None:
        assert value(term) == term["value"]

    def test_a_text_that_looks_like_a_number_is_a_text(self) -> None:
        assert value({"type": "literal", "value": "5"}) == "5"

    def test_blank_nodes_and_triples(self) -> None:
        node: Any = {"type": "bnode", "value": "b0"}
        parts = {"subject": node, "predicate": {"type": "uri", "value": "urn:p"}, "object": xsd("1", "int")}
        assert value({"type": "triple", "value": parts}) == ("_:b0", "urn:p", 1)

    @given(st.integers() | st.booleans() | st.decimals(allow_nan=False, allow_infinity=False) | st.dates())
    def test_values_go_there_and_back(self, given: Any) -> None:
        name = {int: "integer", bool: "boolean", Decimal: "decimal", date: "date"}[type(given)]
        text = f"{given:f}" if name == "decimal" else str(given).lower()
        assert value(xsd(text, name)) == given

    @given(st.lists(st.none() | st.integers() | st.text() | st.booleans() | st.floats() | st.dates()))
    def test_any_column_makes_a_frame(self, column: list[Any]) -> None:
        frame = Rows(["x"], [{"x": entry} for entry in column]).frame()
        assert len(frame) == len(column)
        assert list(frame["x"].isna()) == [entry is None or entry != entry for entry in column]


def test_the_lines_of_the_readme_run(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    [text] = blocks(README, "python")
    exec(text.replace("http://127.0.0.1:8000", server.url), {})
    assert "27.5" in capsys.readouterr().out


def test_the_import_is_light() -> None:
    loaded = "import kg.client, sys; print({'pandas', 'rdflib', 'numpy', 'fastapi'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
