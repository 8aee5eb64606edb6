"""/sparql speaks the SPARQL 1.1 Protocol."""

from __future__ import annotations

import csv
import io
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import pyoxigraph as ox
import pytest

from tests.server import Server, select, served

COUNTRY = 'SELECT ?name { country:JP rdfs:label ?name FILTER(LANG(?name) = "en") }'
CONSTRUCT = "CONSTRUCT WHERE { country:JP rdfs:label ?name }"
ARTICLE = "https://w3id.org/parley/source/2025-06-06-cna-scaled-auto-tariff"
OTHER = "https://w3id.org/parley/source/2025-06-06-yomiuri-fifth-round"
FORM = "application/x-www-form-urlencoded"
DIRECT = "application/sparql-query"


@pytest.fixture(scope="module")
def server(shipped_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with served(Path(shutil.copytree(shipped_home, tmp_path_factory.mktemp("sparql") / "home"))) as server:
        yield server


def names(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/sparql-results+json"
    return [row["name"]["value"] for row in answer.json()["results"]["bindings"]]


def ask(client: httpx.Client, accept: str, query: str = COUNTRY) -> httpx.Response:
    return client.get("/sparql", params={"query": query}, headers={"Accept": accept})


class TestWaysToAsk:
    def test_get(self, client: httpx.Client) -> None:
        assert names(client.get("/sparql", params={"query": COUNTRY})) == ["Japan"]

    def test_post_of_a_form(self, client: httpx.Client) -> None:
        assert names(client.post("/sparql", data={"query": COUNTRY})) == ["Japan"]

    def test_post_of_the_query_itself(self, client: httpx.Client) -> None:
        answer = client.post("/sparql", content=COUNTRY, headers={"Content-Type": f"{DIRECT}; charset=utf-8"})
        assert names(answer) == ["Japan"]

    @pytest.mark.parametrize("way", ["get", "form", "direct"])
    def test_text_beyond_ascii_arrives_whole(self, client: httpx.Client, way: str) -> None:
        query = 'SELECT ?name { ?x rdfs:label "日本"@ja ; rdfs:label ?name FILTER(LANG(?name) = "en") }'
        match way:
            case "get":
                answer = client.get("/sparql", params={"query": query})
            case "form":
                answer = client.post("/sparql", data={"query": query})
            case _:
                answer = client.post("/sparql", content=query.encode(), headers={"Content-Type": DIRECT})
        assert names(answer) == ["Japan"]

    def test_answers_name_the_version_they_come_from(self, client: httpx.Client) -> None:
        assert client.get("/sparql", params={"query": COUNTRY}).headers["parley-version"] == "1"

    def test_head_gives_the_headers_alone(self, client: httpx.Client) -> None:
        answer = client.head("/sparql", params={"query": COUNTRY})
        assert (answer.status_code, answer.content) == (200, b"")
        assert answer.headers["content-type"] == "application/sparql-results+json"


class TestFormatsOfRows:
    def test_json(self, client: httpx.Client) -> None:
        answer = ask(client, "application/sparql-results+json")
        assert answer.json() == {
            "head": {"vars": ["name"]},
            "results": {"bindings": [{"name": {"type": "literal", "value": "Japan", "xml:lang": "en"}}]},
        }

    def test_xml(self, client: httpx.Client) -> None:
        answer = ask(client, "application/sparql-results+xml")
        assert answer.headers["content-type"] == "application/sparql-results+xml"
        solutions = ox.parse_query_results(answer.content, ox.QueryResultsFormat.XML)
        assert isinstance(solutions, ox.QuerySolutions)
        assert [solution["name"] for solution in solutions] == [ox.Literal("Japan", language="en")]

    def test_csv(self, client: httpx.Client) -> None:
        answer = ask(client, "text/csv")
        assert answer.headers["content-type"] == "text/csv; charset=utf-8"
        assert list(csv.reader(io.StringIO(answer.text))) == [["name"], ["Japan"]]

    def test_tsv(self, client: httpx.Client) -> None:
        answer = ask(client, "text/tab-separated-values")
        assert answer.headers["content-type"] == "text/tab-separated-values; charset=utf-8"
        assert answer.text.splitlines() == ["?name", '"Japan"@en']

    @pytest.mark.parametrize(
        ("accept", "body"), [("application/sparql-results+json", '{"head":{},"boolean":true}'), ("text/csv", "true")]
    )
    def test_a_boolean(self, client: httpx.Client, accept: str, body: str) -> None:
        assert ask(client, accept, "ASK { country:JP ?p ?o }").text == body


class TestFormatsOfGraphs:
    @pytest.mark.parametrize(
        ("name", "media", "form"),
        [
            ("turtle", "text/turtle", ox.RdfFormat.TURTLE),
            ("ntriples", "application/n-triples", ox.RdfFormat.N_TRIPLES),
            ("rdfxml", "application/rdf+xml", ox.RdfFormat.RDF_XML),
            ("jsonld", "application/ld+json", ox.RdfFormat.JSON_LD),
        ],
    )
    def test_each_format_holds_the_same_triples(
        self, client: httpx.Client, name: str, media: str, form: ox.RdfFormat
    ) -> None:
        accepted = ask(client, media, CONSTRUCT)
        named = client.get("/sparql", params={"query": CONSTRUCT, "format": name})
        assert accepted.headers["content-type"].split(";")[0] == media
        assert accepted.content == named.content
        values = {quad.object for quad in ox.parse(accepted.content, form)}
        assert {ox.Literal("Japan", language="en"), ox.Literal("日本", language="ja")} <= values

    def test_describe_gives_a_graph(self, client: httpx.Client) -> None:
        answer = ask(client, "*/*", "DESCRIBE country:JP")
        assert answer.headers["content-type"] == "text/turtle; charset=utf-8"
        assert '"Japan"@en' in answer.text


class TestChoiceOfFormat:
    @pytest.mark.parametrize(
        ("accept", "media"),
        [
            ("", "application/sparql-results+json"),
            ("*/*", "application/sparql-results+json"),
            ("application/json", "application/sparql-results+json"),
            ("text/*", "text/csv"),
            ("text/csv;q=0.5, application/sparql-results+xml;q=0.9", "application/sparql-results+xml"),
            ("text/csv;q=0.5, */*;q=0.1", "text/csv"),
            ("application/sparql-results+json;q=0, */*;q=0.5", "application/sparql-results+xml"),
            ("text/html;q=0.1, text/tab-separated-values", "text/tab-separated-values"),
            ("text/html, */*;q=0.1", "text/html"),
        ],
    )
    def test_accept_with_qualities(self, client: httpx.Client, accept: str, media: str) -> None:
        assert ask(client, accept).headers["content-type"].split(";")[0] == media

    def test_format_by_name_wins_over_accept(self, client: httpx.Client) -> None:
        answer = client.get("/sparql", params={"query": COUNTRY, "format": "csv"}, headers={"Accept": "text/html"})
        assert answer.headers["content-type"] == "text/csv; charset=utf-8"

    def test_format_by_name_in_a_form(self, client: httpx.Client) -> None:
        assert client.post("/sparql", data={"query": COUNTRY, "format": "csv"}).text.split() == ["name", "Japan"]

    @pytest.mark.parametrize("query", [COUNTRY, CONSTRUCT])
    def test_406_names_what_there_is(self, client: httpx.Client, query: str) -> None:
        answer = ask(client, "image/png", query)
        assert answer.status_code == 406
        offered = "text/turtle" if query is CONSTRUCT else "application/sparql-results+json"
        assert offered in answer.json()["hint"]

    def test_a_format_that_does_not_exist_is_400(self, client: httpx.Client) -> None:
        answer = client.get("/sparql", params={"query": COUNTRY, "format": "turtle"})
        assert (answer.status_code, answer.json()["hint"]) == (400, "Use one of: json, xml, csv, tsv.")

    def test_caches_are_told_that_accept_matters(self, client: httpx.Client) -> None:
        assert "Accept" in ask(client, "*/*").headers["vary"]


class TestDataset:
    COUNT = "SELECT (COUNT(*) AS ?n) { ?s ?p ?o }"
    GRAPHS = "SELECT DISTINCT ?g { GRAPH ?g { ?s ?p ?o } } ORDER BY ?g"

    def test_all_sources_are_merged_by_default(self, client: httpx.Client) -> None:
        graphs = {row["g"] for row in select(client, self.GRAPHS)}
        assert {ARTICLE, OTHER} < graphs

    def test_default_graph_uri_narrows_the_default_graph(self, client: httpx.Client) -> None:
        whole = int(client.get("/graphs", params={"graph": ARTICLE, "format": "nt"}).text.count("\n"))
        narrowed = select(client, self.COUNT, **{"default-graph-uri": ARTICLE})
        assert narrowed == [{"n": str(whole)}]
        assert select(client, self.GRAPHS, **{"default-graph-uri": ARTICLE}) == []

    def test_named_graph_uri_narrows_the_named_graphs(self, client: httpx.Client) -> None:
        assert select(client, self.GRAPHS, **{"named-graph-uri": ARTICLE}) == [{"g": ARTICLE}]
        assert select(client, self.COUNT, **{"named-graph-uri": ARTICLE}) == [{"n": "0"}]

    def test_several_default_graphs_are_merged(self, client: httpx.Client) -> None:
        one, other = (int(select(client, self.COUNT, **{"default-graph-uri": g})[0]["n"]) for g in (ARTICLE, OTHER))
        parameters = {"query": self.COUNT, "default-graph-uri": [ARTICLE, OTHER]}
        both = client.get("/sparql", params=parameters).json()["results"]["bindings"][0]["n"]["value"]
        assert max(one, other) < int(both) <= one + other

    def test_the_protocol_wins_over_from(self, client: httpx.Client) -> None:
        query = f"SELECT (COUNT(*) AS ?n) FROM <{OTHER}> {{ ?s ?p ?o }}"
        assert select(client, query, **{"default-graph-uri": ARTICLE}) == select(
            client, self.COUNT, **{"default-graph-uri": ARTICLE}
        )

    @pytest.mark.parametrize("way", ["form", "direct"])
    def test_post_takes_the_dataset_too(self, client: httpx.Client, way: str) -> None:
        if way == "form":
            answer = client.post("/sparql", data={"query": self.GRAPHS, "named-graph-uri": ARTICLE})
        else:
            answer = client.post(
                "/sparql",
                params={"named-graph-uri": ARTICLE},
                content=self.GRAPHS,
                headers={"Content-Type": DIRECT},
            )
        assert [row["g"]["value"] for row in answer.json()["results"]["bindings"]] == [ARTICLE]

    def test_a_graph_that_is_no_iri_is_400(self, client: httpx.Client) -> None:
        answer = client.get("/sparql", params={"query": self.COUNT, "default-graph-uri": "not an iri"})
        assert answer.status_code == 400


class TestRefusals:
    def refused(self, answer: httpx.Response, status: int, word: str) -> None:
        assert answer.status_code == status, answer.text
        assert answer.headers["content-type"] == "application/problem+json"
        document = answer.json()
        assert document["status"] == status
        assert word in document["detail"]

    def test_no_query(self, client: httpx.Client) -> None:
        self.refused(client.get("/sparql", params={"default-graph-uri": "urn:g"}), 400, "exactly one")

    def test_two_queries(self, client: httpx.Client) -> None:
        self.refused(client.get("/sparql", params={"query": [COUNTRY, COUNTRY]}), 400, "2 queries")

    def test_two_queries_in_a_form(self, client: httpx.Client) -> None:
        self.refused(client.post("/sparql", data={"query": [COUNTRY, COUNTRY]}), 400, "2 queries")

    def test_a_query_in_the_url_and_one_in_the_body(self, client: httpx.Client) -> None:
        answer = client.post("/sparql", params={"query": COUNTRY}, content=COUNTRY, headers={"Content-Type": DIRECT})
        self.refused(answer, 400, "2 queries")

    @pytest.mark.parametrize("update", ["INSERT DATA { <urn:a> <urn:b> 1 }", "DROP ALL", "DELETE WHERE { ?s ?p ?o }"])
    def test_an_update_sent_as_a_query(self, client: httpx.Client, update: str) -> None:
        self.refused(client.get("/sparql", params={"query": update}), 400, "update")

    def test_an_update_by_get(self, client: httpx.Client) -> None:
        assert client.get("/sparql", params={"update": "INSERT DATA { <urn:a> <urn:b> 1 }"}).status_code == 400

    @pytest.mark.parametrize("media", [FORM, DIRECT])
    def test_a_body_in_utf_16(self, client: httpx.Client, media: str) -> None:
        body = (f"query={COUNTRY}" if media == FORM else COUNTRY).encode("utf-16")
        answer = client.post("/sparql", content=body, headers={"Content-Type": f"{media}; charset=utf-16"})
        assert answer.status_code == 400

    @pytest.mark.parametrize("media", ["text/plain", "application/json", "application/sparql-update", ""])
    def test_a_body_of_another_type(self, client: httpx.Client, media: str) -> None:
        answer = client.post("/sparql", content=COUNTRY, headers={"Content-Type": media} if media else {})
        self.refused(answer, 415, "application/sparql-query")

    def test_a_syntax_error_with_its_position(self, client: httpx.Client) -> None:
        self.refused(client.get("/sparql", params={"query": "SELECT *\n{ ?s ?p }"}), 400, "error at 2:10")

    @pytest.mark.parametrize(
        "query",
        [
            "SELECT * { SERVICE <http://127.0.0.1:1/sparql> { ?s ?p ?o } }",
            "SELECT * { SERVICE SILENT ?where { ?s ?p ?o } }",
            "SELECT * { \\u0053ERVICE <http://127.0.0.1:1/sparql> { ?s ?p ?o } }",
            "LOAD <file:///etc/passwd>",
            "LOAD <http://127.0.0.1:1/>",
        ],
    )
    def test_what_would_reach_out(self, client: httpx.Client, query: str) -> None:
        assert client.get("/sparql", params={"query": query}).status_code == 400

    def test_a_name_that_contains_a_forbidden_word_is_taken(self, client: httpx.Client) -> None:
        query = 'SELECT ?service { BIND("SERVICE LOAD" AS ?service) } # LOAD'
        assert select(client, query) == [{"service": "SERVICE LOAD"}]

    @pytest.mark.parametrize("seconds", ["0", "-1", "soon"])
    @pytest.mark.parametrize("way", ["get", "post"])
    def test_a_timeout_that_is_no_time(self, client: httpx.Client, seconds: str, way: str) -> None:
        given = {"query": COUNTRY, "timeout": seconds}
        answer = client.get("/sparql", params=given) if way == "get" else client.post("/sparql", data=given)
        self.refused(answer, 400, "timeout")

    def test_a_browser_gets_the_error_as_a_page(self, client: httpx.Client) -> None:
        answer = client.get("/sparql", params={"query": "SELECT"}, headers={"Accept": "text/html"})
        assert (answer.status_code, answer.headers["content-type"]) == (400, "text/html; charset=utf-8")
        assert "does not parse" in answer.text


def test_a_graph_in_json_ld_names_its_nodes(client: httpx.Client) -> None:
    nodes = json.loads(ask(client, "application/ld+json", CONSTRUCT).content)
    assert [node["@id"] for node in nodes] == ["https://w3id.org/parley/id/country/JP"]
