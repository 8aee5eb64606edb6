"""/graphs reads and writes sources: what conforms is published, what does not changes nothing."""

from __future__ import annotations

import asyncio
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pyoxigraph as ox
import pytest

from kg.api import create_app
from kg.content import Content
from kg.graph import EmbeddedGraph
from kg.metrics import Metrics
from kg.settings import Settings
from kg.store import Versions
from kg.terms import PREFIXES
from tests.server import AUTHORIZED, KG, Server, environment, kg, select, served, version

GRAPH = "https://example.org/graphs/desk"
SHIPPED = "https://w3id.org/parley/source/2025-06-06-cna-scaled-auto-tariff"
TURTLE = {"Content-Type": "text/turtle", **AUTHORIZED}


def person(name: str) -> str:
    slug = name.lower().replace(" ", "-")
    return (
        f"@prefix foaf: <{PREFIXES['foaf']}> . @prefix rdfs: <{PREFIXES['rdfs']}> .\n"
        f'<{PREFIXES["person"]}{slug}> a foaf:Person ; rdfs:label "{name}"@en .\n'
    )


@pytest.fixture
def client(server: Server) -> Iterator[httpx.Client]:
    """A client; what a test leaves in its graph is removed."""
    with server.client() as client:
        yield client
        client.delete("/graphs", params={"graph": GRAPH}, headers=AUTHORIZED)


@pytest.fixture
def bare(bare_server: Server) -> Iterator[httpx.Client]:
    """A client of a server without shapes, where a commit takes milliseconds; what a test leaves is removed."""
    with bare_server.client() as client:
        yield client
        client.delete("/graphs", params={"graph": GRAPH}, headers=AUTHORIZED)


def put(client: httpx.Client, body: str | bytes, **headers: str) -> httpx.Response:
    return client.put("/graphs", params={"graph": GRAPH}, content=body, headers={**TURTLE, **headers})


def labels(client: httpx.Client) -> list[str]:
    rows = select(client, "SELECT ?l { ?x rdfs:label ?l } ORDER BY ?l", **{"default-graph-uri": GRAPH})
    return [row["l"] for row in rows]


class TestReading:
    def test_the_list_names_each_graph_with_its_size(self, client: httpx.Client) -> None:
        graphs = {entry["graph"]: entry["facts"] for entry in client.get("/graphs").json()}
        assert set(graphs) >= set(Content.shipped().graphs)
        assert graphs[SHIPPED] == client.get("/graphs", params={"graph": SHIPPED, "format": "nt"}).text.count("\n")

    @pytest.mark.parametrize(
        ("media", "form"),
        [
            ("text/turtle", ox.RdfFormat.TURTLE),
            ("application/n-triples", ox.RdfFormat.N_TRIPLES),
            ("application/rdf+xml", ox.RdfFormat.RDF_XML),
            ("application/ld+json", ox.RdfFormat.JSON_LD),
        ],
    )
    @pytest.mark.parametrize("graph", ["one", "default"])
    def test_each_format_gives_all_triples(
        self, client: httpx.Client, graph: str, media: str, form: ox.RdfFormat
    ) -> None:
        parameters = {"graph": SHIPPED} if graph == "one" else {"default": ""}
        plain = client.get("/graphs", params=parameters, headers={"Accept": "application/n-triples"})
        answer = client.get("/graphs", params=parameters, headers={"Accept": media})
        assert answer.headers["content-type"].split(";")[0] == media
        assert set(ox.parse(answer.content, form)) == set(ox.parse(plain.content, ox.RdfFormat.N_TRIPLES))

    def test_what_is_read_back_is_what_the_file_says(self, client: httpx.Client) -> None:
        answer = client.get("/graphs", params={"graph": SHIPPED}, headers={"Accept": "text/turtle"})
        file = Content.shipped().facts[SHIPPED].read_bytes()
        assert set(ox.parse(answer.content, ox.RdfFormat.TURTLE)) == set(
            ox.parse(file, ox.RdfFormat.TURTLE, base_iri=SHIPPED)
        )

    def test_the_default_graph_is_the_merge(self, client: httpx.Client) -> None:
        lines = client.get("/graphs?default", headers={"Accept": "application/n-triples"}).text.count("\n")
        assert select(client, "SELECT (COUNT(*) AS ?n) { ?s ?p ?o }") == [{"n": str(lines)}]

    def test_a_graph_that_is_not_there_is_404(self, client: httpx.Client) -> None:
        assert client.get("/graphs", params={"graph": "urn:none"}).status_code == 404

    def test_a_format_that_holds_no_graph_is_406(self, client: httpx.Client) -> None:
        assert client.get("/graphs", params={"graph": SHIPPED}, headers={"Accept": "text/csv"}).status_code == 406

    @pytest.mark.parametrize("query", ["graph=not+an+iri", f"graph={SHIPPED}&default", "graph=urn:a&graph=urn:b"])
    def test_an_unclear_graph_is_400(self, client: httpx.Client, query: str) -> None:
        assert client.get(f"/graphs?{query}").status_code == 400


class TestWriting:
    def test_put_makes_a_graph(self, client: httpx.Client) -> None:
        answer = put(client, person("Desk One"))
        assert answer.status_code == 201
        commit = answer.json()["commit"]
        assert (commit["version"], commit["added"], GRAPH in commit["graphs"]) == (version(client), 2, True)
        assert labels(client) == ["Desk One"]
        assert client.delete("/graphs", params={"graph": GRAPH}, headers=AUTHORIZED).status_code == 200
        assert labels(client) == []

    def test_put_replaces_a_graph(self, bare: httpx.Client) -> None:
        put(bare, person("Desk One"))
        assert put(bare, person("Desk Two")).status_code == 200
        assert labels(bare) == ["Desk Two"]

    def test_post_adds_to_a_graph(self, bare: httpx.Client) -> None:
        put(bare, person("Desk One"))
        answer = bare.post("/graphs", params={"graph": GRAPH}, content=person("Desk Two"), headers=TURTLE)
        assert answer.status_code == 200
        assert labels(bare) == ["Desk One", "Desk Two"]

    def test_post_makes_a_graph(self, bare: httpx.Client) -> None:
        answer = bare.post("/graphs", params={"graph": GRAPH}, content=person("Desk One"), headers=TURTLE)
        assert (answer.status_code, labels(bare)) == (201, ["Desk One"])

    def test_put_of_the_same_again_makes_no_version(self, bare: httpx.Client) -> None:
        put(bare, person("Desk One"))
        before = version(bare)
        assert put(bare, person("Desk One")).json()["commit"] is None
        assert version(bare) == before

    def test_delete_removes_a_graph(self, bare: httpx.Client) -> None:
        put(bare, person("Desk One"))
        assert bare.delete("/graphs", params={"graph": GRAPH}, headers=AUTHORIZED).status_code == 200
        assert bare.get("/graphs", params={"graph": GRAPH}).status_code == 404
        assert GRAPH not in bare.get("/graphs").text

    def test_delete_of_what_is_not_there_is_404(self, client: httpx.Client) -> None:
        assert client.delete("/graphs", params={"graph": "urn:none"}, headers=AUTHORIZED).status_code == 404

    def test_a_graph_that_others_rely_on_cannot_be_deleted(self, client: httpx.Client) -> None:
        act = "https://w3id.org/parley/source/2025-04-03-federal-register-proc-10908"
        answer = client.delete("/graphs", params={"graph": act}, headers=AUTHORIZED)
        assert answer.status_code == 422
        assert client.get("/graphs", params={"graph": act}).status_code == 200

    @pytest.mark.parametrize("form", [ox.RdfFormat.N_TRIPLES, ox.RdfFormat.RDF_XML, ox.RdfFormat.JSON_LD])
    def test_every_graph_format_is_read(self, bare: httpx.Client, form: ox.RdfFormat) -> None:
        triples = [quad.triple for quad in ox.parse(person("Desk One"), ox.RdfFormat.TURTLE)]
        body = ox.serialize(triples, format=form)
        assert body is not None
        assert put(bare, body, **{"Content-Type": form.media_type}).status_code == 201
        assert labels(bare) == ["Desk One"]

    def test_the_commit_is_in_the_history(self, bare: httpx.Client) -> None:
        put(bare, person("Desk One"))
        newest = bare.get("/history").json()[0]
        assert (newest["version"], newest["message"]) == (version(bare), f"PUT {GRAPH}")

    @pytest.mark.parametrize("query", ["default", ""])
    def test_facts_without_a_source_are_400(self, client: httpx.Client, query: str) -> None:
        answer = client.put(f"/graphs?{query}", content=person("Desk One"), headers=TURTLE)
        assert (answer.status_code, answer.json()["hint"].split()[-1]) == (400, "?graph=IRI.")

    @pytest.mark.parametrize("graph", ["https://w3id.org/parley/ontology", "https://w3id.org/parley/graph/entailed"])
    def test_graphs_that_are_not_the_users_are_400(self, client: httpx.Client, graph: str) -> None:
        assert client.put("/graphs", params={"graph": graph}, content="", headers=TURTLE).status_code == 400


class TestRefusals:
    def test_facts_that_do_not_conform_come_back_with_a_report(self, client: httpx.Client) -> None:
        before = version(client)
        prefixes = "".join(
            f"@prefix {p}: <{PREFIXES[p]}> .\n" for p in ("rate", "tariff", "form", "act", "trade", "xsd")
        )
        body = (
            prefixes
            + "rate:wrong a trade:Rate ;\n    trade:rateOf tariff:us-232-autos ;\n    trade:form form:all-in ;\n"
            "    trade:percent -5.0 ;\n    trade:setBy act:eo-14345 ;\n    trade:from '2025-09-16'^^xsd:date ."
        )
        answer = put(client, body)
        assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
        report = answer.json()["report"]
        violation = next(v for v in report["violations"] if v["path"].endswith("#percent"))
        assert (violation["file"], violation["line"]) == ("the body", 10)
        assert "between 0 and 1000" in violation["message"]
        assert violation["value"].startswith('"-5')
        assert violation["focus"] == PREFIXES["rate"] + "wrong"
        assert report["conforms"] is False
        assert version(client) == before
        assert client.get("/graphs", params={"graph": GRAPH}).status_code == 404

    def test_an_unknown_country_is_said_with_what_there_is(self, client: httpx.Client) -> None:
        answer = put(client, person("Desk One").replace("a foaf:Person", f"a <{PREFIXES['trade']}Persn>"))
        assert answer.status_code == 400

    def test_an_unknown_term_is_400_with_its_line_and_the_nearest(self, client: httpx.Client) -> None:
        body = f"\n<urn:x> <{PREFIXES['trade']}rateOff> <urn:y> ."
        problem = put(client, body).json()
        assert (problem["status"], problem["line"], problem["hint"]) == (400, 2, "Did you mean trade:rateOf?")

    def test_a_syntax_error_is_400_with_its_line(self, client: httpx.Client) -> None:
        problem = put(client, person("Desk One") + "<urn:x> <urn:y> .\n").json()
        assert (problem["status"], problem["file"], problem["line"]) == (400, "the body", 3)

    @pytest.mark.parametrize("media", ["text/csv", "multipart/mixed; boundary=x", "nonsense", "application/trig"])
    def test_a_body_that_is_no_graph_is_415(self, client: httpx.Client, media: str) -> None:
        answer = put(client, person("Desk One"), **{"Content-Type": media})
        assert answer.status_code == 415
        assert "text/turtle" in answer.json()["hint"]

    def test_a_body_of_unknown_type_is_415(self, client: httpx.Client) -> None:
        answer = client.put("/graphs", params={"graph": GRAPH}, content=b"", headers=AUTHORIZED)
        assert answer.status_code == 415


class TestToken:
    @pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer wrong", "Basic a-token-for-the-tests", "Bearer ü"])
    @pytest.mark.parametrize("method", ["PUT", "POST", "DELETE"])
    def test_without_the_token_nothing_is_written(self, client: httpx.Client, method: str, header: str | None) -> None:
        headers = [(b"Content-Type", b"text/turtle")]
        if header is not None:
            headers.append((b"Authorization", header.encode()))
        answer = client.request(method, "/graphs", params={"graph": GRAPH}, content="", headers=headers)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == "Bearer"
        assert answer.json()["hint"] == "Send it as: Authorization: Bearer TOKEN."

    def test_on_loopback_a_server_without_one_makes_one(self, home: Path) -> None:
        with served(home, KG_TOKEN="") as server, server.client() as client:
            assert server.process.stdout is not None
            said = server.process.stdout.readline()
            token = re.search(r": (\S+)$", said)
            assert token, said
            headers = {**TURTLE, "Authorization": f"Bearer {token[1]}"}
            assert put(client, person("Desk One"), **headers).status_code == 201
            assert put(client, person("Desk Two")).status_code == 401

    def test_a_server_without_one_is_read_only(self, shipped_home: Path) -> None:
        graph = EmbeddedGraph(Versions(shipped_home), Content.shipped(), Settings(home=shipped_home, workers=1))
        transport = httpx.ASGITransport(create_app(graph, Metrics(graph)))

        async def ask() -> tuple[httpx.Response, httpx.Response]:
            await graph.start()
            async with httpx.AsyncClient(transport=transport, base_url="http://parley") as client:
                read = await client.get("/sparql", params={"query": "ASK {}"})
                write = await client.put(f"/graphs?graph={GRAPH}", content="", headers=TURTLE)
            await graph.stop()
            return read, write

        read, write = asyncio.run(ask())
        assert read.status_code == 200
        assert (write.status_code, write.json()["title"]) == (403, "Not allowed")


class TestOtherWriters:
    def test_a_load_by_the_command_line_is_seen_without_a_restart(
        self, server: Server, client: httpx.Client, tmp_path: Path
    ) -> None:
        file = tmp_path / "desk.ttl"
        file.write_text(person("Desk Three"))
        before = version(client)
        kg(server.home, "load", "--graph", GRAPH, str(file))
        assert (version(client), labels(client)) == (before + 1, ["Desk Three"])
        count = "SELECT (COUNT(*) AS ?n) { ?x rdfs:label 'Desk Three'@en }"
        for _ in range(4):
            answer = client.get("/sparql", params={"query": count})
            assert answer.headers["parley-version"] == str(before + 1)

    def test_a_put_is_seen_by_the_command_line(self, server: Server, client: httpx.Client) -> None:
        put(client, person("Desk Four"))
        rows = kg(server.home, "query", "--format", "csv", f"SELECT ?l {{ GRAPH <{GRAPH}> {{ ?x rdfs:label ?l }} }}")
        assert rows.split("\n")[1].strip() == "Desk Four"


class TestBareServer:
    def test_takes_any_triples_in_the_default_graph(self, bare: httpx.Client) -> None:
        answer = bare.put("/graphs?default", content="<urn:s> <urn:p> -1 .", headers=TURTLE)
        assert answer.status_code == 200
        assert bare.get("/graphs?default", headers={"Accept": "application/n-triples"}).text == (
            '<urn:s> <urn:p> "-1"^^<http://www.w3.org/2001/XMLSchema#integer> .\n'
        )

    def test_keeps_named_graphs_out_of_the_default_graph(self, bare: httpx.Client) -> None:
        assert put(bare, "<urn:only> <urn:here> 1 .").status_code == 201
        assert select(bare, "SELECT * { <urn:only> ?p ?o }") == []
        assert len(select(bare, "SELECT * { GRAPH ?g { <urn:only> ?p ?o } }")) == 1

    def test_does_not_take_a_store_that_has_facts(self, shipped_home: Path) -> None:
        command = [KG, "--home", str(shipped_home), "serve", "--bare", "--port", "0"]
        done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=60)
        assert (done.returncode, "empty folder" in done.stderr) == (2, True)
