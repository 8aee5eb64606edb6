"""`kg mcp`, spoken to by the client of the official SDK over the pipes of a real process."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal
from mcp import Client, StdioServerParameters
from mcp.types import CallToolResult, TextContent

from kg.questions import Questions
from kg.terms import PREFIXES
from tests.conftest import CONTENT
from tests.server import KG, Server, environment, kg, served

ENDLESS = "SELECT * { ?a ?b ?c . ?d ?e ?f . ?g ?h ?i }"


class Host:
    """What runs models: it starts the server and calls its tools."""

    def __init__(self, portal: BlockingPortal, client: Client) -> None:
        self._portal, self._client = portal, client

    def tools(self) -> dict[str, Any]:
        return {tool.name: tool for tool in self._portal.call(self._client.list_tools).tools}

    def call(self, tool: str, **arguments: Any) -> Any:
        """What the tool answers; asserts that it is no error."""
        result = self._result(tool, arguments)
        assert not result.is_error, result.content
        assert result.structured_content is not None
        [text] = (c for c in result.content[:1] if isinstance(c, TextContent))
        assert json.loads(text.text)
        return result.structured_content.get("result", result.structured_content)

    def error(self, tool: str, **arguments: Any) -> str:
        """The text of the error that the tool answers."""
        result = self._result(tool, arguments)
        assert result.is_error
        [content] = result.content
        assert isinstance(content, TextContent)
        return content.text

    def _result(self, tool: str, arguments: dict[str, Any]) -> CallToolResult:
        result: CallToolResult = self._portal.call(self._client.call_tool, tool, arguments)
        return result


@contextmanager
def hosted(home: Path, *options: str, **settings: str) -> Iterator[Host]:
    server = StdioServerParameters(
        command=KG, args=[*options, "mcp"], env=environment(**{"KG_HOME": str(home), **settings})
    )
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(Client(server)) as client:
        yield Host(portal, client)


@pytest.fixture(scope="module")
def host(shipped_home: Path) -> Iterator[Host]:
    with hosted(shipped_home) as host:
        yield host


class TestTools:
    def test_there_are_four_and_they_only_read(self, host: Host) -> None:
        tools = host.tools()
        assert set(tools) == {"query", "schema", "find", "ask"}
        assert all(tool.annotations.read_only_hint for tool in tools.values())
        assert all(tool.description for tool in tools.values())

    def test_the_questions_are_described(self, host: Host) -> None:
        description = host.tools()["ask"].description
        assert [q.name for q in Questions(CONTENT).all if f"- {q.name}(" not in description] == []


class TestQuery:
    def test_rows_in_the_terms_of_sparql(self, host: Host) -> None:
        query = """SELECT * { VALUES (?a ?b ?c ?d) {
            (country:JP "two\\tcells\\n"@en 5 "2025-06-07"^^xsd:date) (<urn:a> UNDEF 1.5 true) } }"""
        assert host.call("query", sparql=query) == {
            "columns": ["a", "b", "c", "d"],
            "rows": [
                ["country:JP", r'"two\tcells\n"@en', "5", '"2025-06-07"^^xsd:date'],
                ["<urn:a>", "", "1.5", "true"],
            ],
            "cut": False,
            "version": 1,
        }

    def test_no_rows(self, host: Host) -> None:
        answer = host.call("query", sparql="SELECT ?a { ?a <urn:b> ?c }")
        assert (answer["columns"], answer["rows"], answer["cut"]) == (["a"], [], False)

    def test_a_boolean(self, host: Host) -> None:
        assert host.call("query", sparql="ASK { country:JP ?p ?o }")["answer"] is True
        assert host.call("query", sparql="ASK { <urn:a> ?p ?o }")["answer"] is False

    def test_a_graph(self, host: Host) -> None:
        answer = host.call("query", sparql="CONSTRUCT WHERE { country:JP rdfs:label ?label }")
        assert ["country:JP", "rdfs:label", '"Japan"@en'] in answer["triples"]
        assert answer["cut"] is False

    @pytest.mark.parametrize("form", ["SELECT *", "CONSTRUCT { ?a ?b ?i }"])
    def test_an_answer_is_cut_at_the_limit_and_says_so(self, host: Host, form: str) -> None:
        answer = host.call("query", sparql=ENDLESS.replace("SELECT *", form), limit=7)
        assert (len(answer.get("rows") or answer["triples"]), answer["cut"]) == (7, True)

    @pytest.mark.parametrize(("limit", "cut"), [(4, True), (5, False)])
    def test_an_answer_of_as_many_rows_as_the_limit_is_whole(self, host: Host, limit: int, cut: bool) -> None:
        answer = host.call("query", sparql="SELECT ?x { VALUES ?x { 1 2 3 4 5 } }", limit=limit)
        assert (len(answer["rows"]), answer["cut"]) == (limit, cut)

    def test_an_answer_of_too_much_text_is_cut_between_rows(self, host: Host) -> None:
        query = f'SELECT ?x {{ VALUES ?n {{ 1 2 3 4 5 6 7 }} BIND("{"x" * 30_000}" AS ?x) }}'
        answer = host.call("query", sparql=query)
        assert answer["cut"] is True
        assert {len(row[0]) for row in answer["rows"]} == {30_002}

    @pytest.mark.parametrize(
        ("sparql", "says"),
        [
            ("SELECT * { ?s ?p }", "does not parse"),
            ("INSERT DATA { <urn:a> <urn:b> 1 }", "update"),
            ("SELECT * { SERVICE <http://127.0.0.1:1/> { ?s ?p ?o } }", "SERVICE"),
            ("Which tariffs are there?", "SELECT"),
        ],
    )
    def test_what_is_no_query_is_told_why(self, host: Host, sparql: str, says: str) -> None:
        assert says in host.error("query", sparql=sparql)

    def test_a_limit_that_is_none(self, host: Host) -> None:
        assert "1000" in host.error("query", sparql="ASK {}", limit=5000)

    def test_a_query_that_takes_too_long_is_stopped(self, shipped_home: Path) -> None:
        with hosted(shipped_home, KG_DEADLINE="5") as host:
            assert "Stopped after 5 seconds" in host.error("query", sparql=ENDLESS.replace("*", "(COUNT(*) AS ?n)"))
            assert host.call("query", sparql="ASK {}")["answer"] is True


class TestSchema:
    def test_the_whole(self, host: Host) -> None:
        schema = host.call("schema")
        assert schema["prefixes"] == PREFIXES
        assert schema["classes"]["trade:Tariff"]["label"] == "tariff"
        assert schema["classes"]["trade:Tariff"]["instances"] > 10
        assert schema["properties"]["trade:targets"]["values"] == ["trade:Tariff"]
        assert "status:agreed" in schema["schemes"]["statuses"]

    def test_a_class(self, host: Host) -> None:
        term = host.call("schema", about="trade:Concession")
        assert term["definition"].startswith("A proposal")
        assert "trade:targets" in [use["property"] for use in term["properties"]]

    def test_a_property(self, host: Host) -> None:
        term = host.call("schema", about="<https://w3id.org/parley/ontology#targets>")
        assert (term["name"], term["values"]) == ("trade:targets", ["trade:Tariff"])
        assert term["count"] > 10

    @pytest.mark.parametrize("about", ["trade:Tarif", "tariffs", "country:JP"])
    def test_a_term_that_is_not_there(self, host: Host, about: str) -> None:
        assert about in host.error("schema", about=about)

    def test_a_bare_store_tells_what_it_uses(self, tmp_path: Path) -> None:
        home = tmp_path / "bare"
        with served(home, "--bare"):
            pass
        kg(home, "update", "INSERT DATA { <urn:a> a foaf:Person ; foaf:name 'A' }")
        with hosted(home) as host:
            schema = host.call("schema")
        assert (schema["classes"], schema["properties"]) == ({"foaf:Person": 1}, {"foaf:name": 1, "rdf:type": 1})


class TestFind:
    @pytest.mark.parametrize(
        ("name", "entity"),
        [
            ("Japan", "country:JP"),
            ("japan", "country:JP"),
            ("日本", "country:JP"),
            ("Akazawa Ryosei", "person:ryosei-akazawa"),
            ("Akazawa", "person:ryosei-akazawa"),
            ("8703.23.01", "product:8703.23.01"),
            ("trade party", "trade:TradeParty"),
        ],
    )
    def test_the_best_match_is_first(self, host: Host, name: str, entity: str) -> None:
        assert host.call("find", name=name)[0]["entity"] == entity

    def test_an_entity_is_found_once_and_no_more_than_the_limit(self, host: Host) -> None:
        found = host.call("find", name="tariff", limit=20)
        assert len({entry["entity"] for entry in found}) == len(found) == 20

    @pytest.mark.parametrize("name", ["Nobody of this name", '"}', "\\", '") . ?x ?y ?z #', " "])
    def test_nothing_found_is_told(self, host: Host, name: str) -> None:
        assert "name" in host.error("find", name=name)


class TestAsk:
    def test_a_question(self, host: Host) -> None:
        answer = host.call("ask", question="round-participants", parameters={"number": 5})
        assert "person:ryosei-akazawa" in [row[answer["columns"].index("person")] for row in answer["rows"]]
        assert answer["cut"] is False

    def test_without_parameters_and_with_a_limit(self, host: Host) -> None:
        answer = host.call("ask", question="corrections", limit=1)
        assert (len(answer["rows"]), answer["cut"]) == (1, True)

    @pytest.mark.parametrize(
        ("question", "parameters", "says"),
        [
            ("round", {}, "Did you mean"),
            ("rounds", {"negotiation": "us-japan"}, "Did you mean negotiation:us-jp"),
            ("rounds", {"round": 5}, "It takes: negotiation"),
            ("deadlines", {}, "needs from"),
            ("deadlines", {"from": "July", "until": "2025-08-01"}, "YYYY-MM-DD"),
        ],
    )
    def test_what_is_wrong_is_told(self, host: Host, question: str, parameters: dict[str, Any], says: str) -> None:
        assert says in host.error("ask", question=question, parameters=parameters)


def test_it_reads_a_running_server(server: Server, tmp_path: Path) -> None:
    with hosted(tmp_path / "none", "--store", f"{server.url}/sparql") as host:
        assert host.call("find", name="Japan")[0]["entity"] == "country:JP"
        assert host.call("query", sparql="ASK { country:JP ?p ?o }")["answer"] is True
        assert host.call("query", sparql="SELECT * { country:JP ?p ?o }", limit=2)["cut"] is True
        assert host.call("ask", question="corrections", limit=1)["cut"] is True
    assert not (tmp_path / "none").exists()


def test_without_the_extra_it_says_what_to_install(shipped_home: Path) -> None:
    code = "import sys; sys.modules['mcp'] = None; from kg.cli import main; main(['mcp'])"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment(KG_HOME=str(shipped_home)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert "parley-kg[mcp]" in done.stderr
