"""Programs that people use get the same answers: SPARQLWrapper, rdflib, curl, and Parley itself as a client."""

from __future__ import annotations

import http.client
import json
import shutil
import socket
import subprocess
import sysconfig
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
import zstandard
from rdflib import Graph, URIRef
from rdflib.compare import isomorphic
from rdflib.plugins.stores.sparqlstore import SPARQLStore
from SPARQLWrapper import CSV, JSON, JSONLD, N3, POST, RDFXML, TURTLE, SPARQLWrapper

from kg.terms import DERIVED_GRAPHS, PREFIXES
from tests.server import Server, kg, served

SELECT = """PREFIX trade: <https://w3id.org/parley/ontology#>
PREFIX rdfs: <http://www.w3.org/2000/01/rdf-schema#>
SELECT ?tariff ?label { ?tariff a trade:Tariff ; rdfs:label ?label FILTER(LANG(?label) = "en") } ORDER BY ?tariff"""
ASK = "ASK { <https://w3id.org/parley/id/country/JP> ?p ?o }"
CONSTRUCT = (
    "CONSTRUCT { <https://w3id.org/parley/id/country/JP> ?p ?o } { <https://w3id.org/parley/id/country/JP> ?p ?o }"
)
RATE = ("--importer", "US", "--origin", "JP", "--product", "8703.23.01", "--on", "2025-06-07", "--json")
OXIGRAPH = Path(sysconfig.get_path("scripts")) / "oxigraph"


@pytest.fixture(scope="module")
def server(shipped_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with served(Path(shutil.copytree(shipped_home, tmp_path_factory.mktemp("clients") / "home"))) as server:
        yield server


def told(server: Server, query: str, form: str = "json") -> Any:
    """What `kg query` says."""
    text = kg(server.home, "query", "--format", form, query)
    return json.loads(text) if form == "json" else text


class TestSparqlWrapper:
    @pytest.fixture
    def wrapper(self, server: Server) -> SPARQLWrapper:
        return SPARQLWrapper(f"{server.url}/sparql")

    @pytest.mark.parametrize("query", [SELECT, ASK])
    @pytest.mark.parametrize("method", ["GET", POST])
    def test_rows_and_booleans(self, server: Server, wrapper: SPARQLWrapper, method: str, query: str) -> None:
        wrapper.setQuery(query)
        wrapper.setMethod(method)
        wrapper.setReturnFormat(JSON)
        assert wrapper.query().convert() == told(server, query)

    def test_csv(self, server: Server, wrapper: SPARQLWrapper) -> None:
        wrapper.setQuery(SELECT)
        wrapper.setReturnFormat(CSV)
        answer: Any = wrapper.query().convert()
        assert answer.decode().split() == told(server, SELECT, "csv").split()

    # SPARQLWrapper 2.0 puts graphs into a class that rdflib 7 deprecates.
    @pytest.mark.filterwarnings("ignore:ConjunctiveGraph is deprecated:DeprecationWarning")
    @pytest.mark.parametrize("form", [TURTLE, N3, RDFXML, JSONLD, None])
    def test_graphs(self, server: Server, wrapper: SPARQLWrapper, form: str | None) -> None:
        wrapper.setQuery(CONSTRUCT)
        if form:
            wrapper.setReturnFormat(form)
        answer: Any = wrapper.query().convert()
        graph = answer if isinstance(answer, Graph) else Graph().parse(data=answer, format="turtle")
        expected = Graph().parse(data=told(server, CONSTRUCT, "ntriples"), format="nt")
        assert len(expected) > 5
        assert isomorphic(graph, expected)


class TestRdflib:
    @pytest.fixture(params=["GET", "POST"])
    def remote(self, server: Server, request: pytest.FixtureRequest) -> Graph:
        return Graph(SPARQLStore(f"{server.url}/sparql", method=request.param))

    def test_rows(self, server: Server, remote: Graph) -> None:
        rows = [(str(tariff), str(label)) for tariff, label in remote.query(SELECT)]  # type: ignore[misc]
        expected = [(r["tariff"]["value"], r["label"]["value"]) for r in told(server, SELECT)["results"]["bindings"]]
        assert rows == expected

    def test_booleans(self, server: Server, remote: Graph) -> None:
        assert remote.query(ASK).askAnswer is told(server, ASK)["boolean"] is True

    def test_graphs(self, server: Server, remote: Graph) -> None:
        graph = remote.query(CONSTRUCT).graph
        assert graph is not None
        assert isomorphic(graph, Graph().parse(data=told(server, CONSTRUCT, "ntriples"), format="nt"))

    def test_triples_by_pattern(self, remote: Graph) -> None:
        japan = URIRef(PREFIXES["country"] + "JP")
        label = URIRef(PREFIXES["rdfs"] + "label")
        assert "Japan" in {str(name) for name in remote.objects(japan, label)}


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
class TestCurl:
    def curl(self, server: Server, path: str, *arguments: str) -> str:
        command = ["curl", "--silent", "--show-error", "--fail", *arguments, server.url + path]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout

    def test_rows(self, server: Server) -> None:
        answer = self.curl(server, "/sparql", "--data-urlencode", f"query={SELECT}", "-H", "Accept: text/csv")
        assert answer.split() == told(server, SELECT, "csv").split()

    def test_a_graph(self, server: Server) -> None:
        answer = self.curl(
            server, "/sparql", "-G", "--data-urlencode", f"query={CONSTRUCT}", "-H", "Accept: text/turtle"
        )
        expected = Graph().parse(data=told(server, CONSTRUCT, "turtle"), format="turtle")
        assert set(Graph().parse(data=answer, format="turtle")) == set(expected)


class TestYasgui:
    """The editor YASQE, as browsers send what it asks: a form by POST, from a page of another origin."""

    ORIGIN = "https://yasgui.example"
    #: The media types that it asks for, by what the query gives.
    ROWS, GRAPHS = "application/sparql-results+json,*/*;q=0.9", "application/n-triples,*/*;q=0.9"

    def sent(self, server: Server, head: list[str], body: str = "") -> tuple[int, dict[str, str], bytes]:
        """Send the bytes of a request as they are; the status, headers and body of the answer."""
        host = server.url.removeprefix("http://")
        lines = [head[0], f"Host: {host}", "Connection: close", f"Origin: {self.ORIGIN}", *head[1:]]
        with socket.create_connection((host.split(":")[0], int(host.split(":")[1]))) as connection:
            connection.sendall("\r\n".join([*lines, "", body]).encode("ascii"))
            answer = http.client.HTTPResponse(connection)
            answer.begin()
            return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()

    def asked(self, server: Server, query: str, accept: str) -> tuple[int, dict[str, str], bytes]:
        body = f"query={quote(query, safe='!*()')}".replace("'", "%27")
        return self.sent(
            server,
            [
                "POST /sparql HTTP/1.1",
                f"Content-Length: {len(body)}",
                "Content-Type: application/x-www-form-urlencoded",
                f"Accept: {accept}",
                "Accept-Encoding: gzip, deflate, br, zstd",
                "Sec-Fetch-Site: cross-site",
                "Sec-Fetch-Mode: cors",
                "Sec-Fetch-Dest: empty",
                f"Referer: {self.ORIGIN}/",
            ],
            body,
        )

    @pytest.mark.parametrize("query", [SELECT, ASK])
    def test_rows_and_booleans(self, server: Server, query: str) -> None:
        status, headers, body = self.asked(server, query, self.ROWS)
        assert (status, headers["content-type"]) == (200, "application/sparql-results+json")
        assert headers["access-control-allow-origin"] == "*"
        packed = headers.get("content-encoding")
        text = zstandard.ZstdDecompressor().stream_reader(body).read() if packed == "zstd" else body
        assert packed in (None, "zstd")
        assert json.loads(text) == told(server, query)

    def test_graphs(self, server: Server) -> None:
        status, headers, _ = self.asked(server, CONSTRUCT, self.GRAPHS)
        assert (status, headers["content-type"]) == (200, "application/n-triples")

    def test_an_error_can_be_read_by_the_page(self, server: Server) -> None:
        status, headers, body = self.asked(server, "SELECT * { ?s ?p }", self.ROWS)
        assert (status, headers["access-control-allow-origin"]) == (400, "*")
        assert "error at 1:19" in json.loads(body)["detail"]

    def test_a_header_of_its_user_is_asked_for_first(self, server: Server) -> None:
        status, headers, _ = self.sent(
            server,
            [
                "OPTIONS /sparql HTTP/1.1",
                "Access-Control-Request-Method: POST",
                "Access-Control-Request-Headers: content-type",
                "Sec-Fetch-Site: cross-site",
            ],
        )
        assert (status, headers["access-control-allow-origin"]) == (200, "*")
        assert "POST" in headers["access-control-allow-methods"]
        assert "content-type" in headers["access-control-allow-headers"].lower()

    def test_an_update_from_another_origin_is_refused(self, server: Server) -> None:
        body = "update=DROP%20ALL"
        head = ["POST /update HTTP/1.1", f"Content-Length: {len(body)}", "Accept: text/plain,*/*;q=0.9"]
        status, _, _ = self.sent(server, [*head, "Content-Type: application/x-www-form-urlencoded"], body)
        assert status in (401, 403)


@contextmanager
def oxigraph(quads: str) -> Iterator[str]:
    """The query endpoint of an Oxigraph server that holds these N-Quads; its default graph is their union."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    process = subprocess.Popen(
        [OXIGRAPH, "serve", "--bind", address, "--union-default-graph"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        headers = {"Content-Type": "application/n-quads"}
        while True:
            assert process.poll() is None
            try:
                loaded = httpx.post(f"http://{address}/store", content=quads, headers=headers, timeout=60)
            except httpx.ConnectError:
                time.sleep(0.05)
                continue
            assert loaded.status_code == 204, loaded.text
            break
        yield f"http://{address}/query"
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="module", params=["parley", "oxigraph"])
def endpoint(server: Server, request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of a SPARQL endpoint, of another maker too, with the same facts as the server."""
    if request.param == "parley":
        yield f"{server.url}/sparql"
        return
    everything = "CONSTRUCT { ?s ?p ?o } { ?s ?p ?o }"
    lines = kg(server.home, "export", "--format", "nquads")
    # An export leaves out what Parley works out itself; the questions rely on it.
    for graph in sorted(DERIVED_GRAPHS):
        derived = httpx.get(
            f"{server.url}/sparql",
            params={"query": everything, "default-graph-uri": graph, "format": "nt"},
        ).text
        lines += derived.replace(" .\n", f" <{graph}> .\n")
    with oxigraph(lines) as url:
        yield url


class TestAnotherEngine:
    @pytest.mark.parametrize(
        "question", [["round-participants", "number=5"], ["offices-held", "country=JP", "on=2025-06-06"], ["rounds"]]
    )
    def test_questions(self, server: Server, endpoint: str, question: list[str]) -> None:
        here, there = (
            json.loads(kg(server.home, *options, "ask", *question, "--format", "json"))
            for options in ([], ["--store", endpoint])
        )
        rows, other_rows = (
            sorted(json.dumps(row, sort_keys=True) for row in answer["results"]["bindings"]) for answer in (here, there)
        )
        assert rows
        assert (there["head"]["vars"], other_rows) == (here["head"]["vars"], rows)

    def test_rates(self, server: Server, endpoint: str) -> None:
        here = json.loads(kg(server.home, "rate", *RATE))
        there = json.loads(kg(server.home, "--store", endpoint, "rate", *RATE))
        assert here["total"] == 27.5
        assert there == here

    def test_queries(self, server: Server, endpoint: str) -> None:
        query = "SELECT ?name { country:JP rdfs:label ?name } ORDER BY LANG(?name)"
        there = json.loads(kg(server.home, "--store", endpoint, "query", "--format", "json", query))
        assert there["results"] == told(server, query)["results"]

    def test_a_query_that_does_not_parse(self, server: Server, endpoint: str) -> None:
        kg(server.home, "--store", endpoint, "query", "SELECT * { ?s ?p }", status=2)

    def test_commands_that_need_the_store_itself(self, server: Server, endpoint: str) -> None:
        kg(server.home, "--store", endpoint, "history", status=2)


class TestServerOverAnotherEngine:
    @pytest.fixture(scope="module")
    @staticmethod
    def front(server: Server, endpoint: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
        home = tmp_path_factory.mktemp("front") / "home"
        with served(home, options=("--store", endpoint)) as front, front.client() as client:
            yield client

    @pytest.fixture(scope="module")
    @staticmethod
    def back(server: Server) -> Iterator[httpx.Client]:
        with server.client() as client:
            yield client

    @pytest.mark.parametrize(
        "path", ["/questions/rounds", "/sparql?query=SELECT+?l+{+country:JP+rdfs:label+?l+}+ORDER+BY+LANG(?l)"]
    )
    def test_answers_the_same_rows(self, front: httpx.Client, back: httpx.Client, path: str) -> None:
        ours, theirs = (
            sorted(json.dumps(row, sort_keys=True) for row in client.get(path).json()["results"]["bindings"])
            for client in (front, back)
        )
        assert ours
        assert theirs == ours

    @pytest.mark.parametrize(
        "path", ["/rate?importer=US&origin=JP&product=8703.23.01&on=2025-06-07", "/questions", "/graphs"]
    )
    def test_answers_the_same_document(self, front: httpx.Client, back: httpx.Client, path: str) -> None:
        assert front.get(path).json() == back.get(path).json()

    @pytest.mark.parametrize("path", ["/id/country/JP", "/source/2025-06-06-cna-scaled-auto-tariff", "/ontology"])
    def test_answers_the_same_graph(self, front: httpx.Client, back: httpx.Client, path: str) -> None:
        ours, theirs = (
            Graph().parse(data=client.get(path, headers={"Accept": "application/n-triples"}).text, format="nt")
            for client in (front, back)
        )
        assert len(ours) > 5
        assert set(ours) == set(theirs)

    @pytest.mark.parametrize("path", ["/", "/id/country/JP", "/questions/rounds"])
    def test_shows_its_pages(self, front: httpx.Client, path: str) -> None:
        assert front.get(path, headers={"Accept": "text/html"}).status_code == 200

    @pytest.mark.parametrize("path", ["/source/none", "/id/none", "/graphs?graph=urn:none"])
    def test_knows_what_is_not_there(self, front: httpx.Client, path: str) -> None:
        assert front.get(path).status_code == 404

    def test_is_read_only(self, front: httpx.Client) -> None:
        assert front.put("/graphs?graph=urn:x", content="").status_code == 403

    def test_refuses_what_the_embedded_store_refuses(self, front: httpx.Client) -> None:
        answer = front.get("/sparql", params={"query": "SELECT * { SERVICE <http://127.0.0.1:1/> { ?s ?p ?o } }"})
        assert answer.status_code == 400
        assert front.get("/sparql", params={"query": "SELECT * { ?s ?p }"}).status_code == 400
