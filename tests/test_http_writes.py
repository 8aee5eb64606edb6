"""What a write over HTTP may bring and what it tells: data sets, dry runs, and the report in three forms."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pyoxigraph as ox
import pytest

from kg.api import create_app
from kg.content import Content
from kg.graph import EmbeddedGraph
from kg.metrics import Metrics
from kg.report import Report
from kg.settings import Settings
from kg.store import Versions
from kg.terms import ENTAILED_GRAPH, ONTOLOGY_GRAPH, PREFIXES, SOURCE
from kg.wire import rebuild_report
from tests.server import AUTHORIZED, Server, kg, version
from tests.sources import CONCESSION, turtle
from tests.test_report import rows_of, told

MINE, OTHER = SOURCE + "desk", SOURCE + "desk-two"
TURTLE, TRIG = ({"Content-Type": media, **AUTHORIZED} for media in ("text/turtle", "application/trig"))
NQUADS = {"Content-Type": "application/n-quads", **AUTHORIZED}
FINE, WRONG = turtle(CONCESSION), turtle(CONCESSION.replace("tariff:us-232-autos", "country:JP"))
DRY = {"dry-run": "true"}


def person(name: str) -> str:
    return f'<{PREFIXES["person"]}{name}> a <{PREFIXES["foaf"]}Person> ; <{PREFIXES["rdfs"]}label> "{name}"@en .'


@pytest.fixture
def client(server: Server) -> Iterator[httpx.Client]:
    """A client; the graphs that a test makes are removed."""
    with server.client() as client:
        before = graphs(client)
        yield client
        for graph in graphs(client) - before:
            client.delete("/graphs", params={"graph": graph}, headers=AUTHORIZED)


@pytest.fixture
def bare(bare_server: Server) -> Iterator[httpx.Client]:
    """A client of an empty store without shapes, which is emptied again."""
    with bare_server.client() as client:
        yield client
        for target in ({"default": ""}, *({"graph": graph} for graph in graphs(client))):
            client.delete("/graphs", params=target, headers=AUTHORIZED)


def graphs(client: httpx.Client) -> set[str]:
    return {entry["graph"] for entry in client.get("/graphs").json()}


def held(client: httpx.Client, graph: str) -> set[str]:
    """The objects in a graph of a bare store; the default graph is ''."""
    parameters = {"graph": graph} if graph else {"default": ""}
    answer = client.get("/graphs", params={**parameters, "format": "ntriples"})
    return {q.object.value for q in ox.parse(answer.content, ox.RdfFormat.N_TRIPLES)}


class TestDataSets:
    def test_put_replaces_the_graphs_that_the_body_names_and_no_other(self, bare: httpx.Client) -> None:
        first = "GRAPH <urn:1> { <urn:a> <urn:p> 1 } GRAPH <urn:2> { <urn:a> <urn:p> 2 }"
        second = "GRAPH <urn:2> { <urn:a> <urn:p> 3 } GRAPH <urn:3> { <urn:a> <urn:p> 4 }"
        assert bare.put("/graphs", content=first, headers=TRIG).status_code == 201
        assert bare.put("/graphs", content=second, headers=TRIG).status_code == 201
        assert [held(bare, f"urn:{n}") for n in (1, 2, 3)] == [{"1"}, {"3"}, {"4"}]

    def test_post_adds_to_each_graph_that_the_body_names(self, bare: httpx.Client) -> None:
        bare.put("/graphs", content='<urn:a> <urn:p> "1" <urn:1> .', headers=NQUADS)
        answer = bare.post("/graphs", content='<urn:a> <urn:p> "2" <urn:1> .', headers=NQUADS)
        assert (answer.status_code, held(bare, "urn:1")) == (200, {"1", "2"})

    def test_the_default_graph_is_one_of_a_bare_store(self, bare: httpx.Client) -> None:
        body = '<urn:a> <urn:p> "0" .\n<urn:a> <urn:p> "1" <urn:1> .\n'
        assert bare.put("/graphs", content=body, headers=NQUADS).status_code == 201
        assert (held(bare, ""), held(bare, "urn:1")) == ({"0"}, {"1"})
        bare.put("/graphs", content='<urn:a> <urn:p> "2" <urn:1> .', headers=NQUADS)
        assert (held(bare, ""), held(bare, "urn:1")) == ({"0"}, {"2"})

    def test_it_is_one_commit_that_names_its_graphs(self, client: httpx.Client) -> None:
        body = f"GRAPH <{MINE}> {{ {person('ann')} }} GRAPH <{OTHER}> {{ {person('bob')} }}"
        answer = client.post("/graphs", content=body, headers=TRIG)
        told = answer.json()
        assert (answer.status_code, told["created"]) == (201, [MINE, OTHER])
        assert {MINE, OTHER} <= set(told["commit"]["graphs"])
        assert (told["commit"]["version"], told["commit"]["message"]) == (version(client), "POST data set")
        assert "location" not in answer.headers

    def test_one_graph_that_does_not_conform_refuses_all(self, client: httpx.Client) -> None:
        before = version(client)
        body = f"GRAPH <{MINE}> {{ {person('ann')} }} GRAPH <{OTHER}> {{ <urn:x> a <{PREFIXES['trade']}Rate> }}"
        answer = client.put("/graphs", content=body, headers=TRIG)
        assert answer.status_code == 422
        assert {v["source"] for v in answer.json()["report"]["violations"]} == {OTHER}
        assert version(client) == before
        assert not {MINE, OTHER} & graphs(client)

    def test_facts_in_no_graph_are_400_with_their_line(self, client: httpx.Client) -> None:
        body = f"GRAPH <{MINE}> {{ {person('ann')} }}\n{person('bob')}"
        answer = client.put("/graphs", content=body, headers=TRIG)
        assert (answer.status_code, answer.json()["line"]) == (400, 2)
        assert answer.json()["hint"] == "Name its source: GRAPH source:… { … }."
        assert MINE not in graphs(client)

    @pytest.mark.parametrize("graph", [ONTOLOGY_GRAPH, ENTAILED_GRAPH])
    @pytest.mark.parametrize("method", ["PUT", "POST"])
    def test_a_graph_that_is_not_the_users_is_400(self, client: httpx.Client, method: str, graph: str) -> None:
        body = f"GRAPH <{MINE}> {{ {person('ann')} }} GRAPH <{graph}> {{ {person('bob')} }}"
        answer = client.request(method, "/graphs", content=body, headers=TRIG)
        assert answer.status_code == 400
        assert "not written by hand" in answer.json()["detail"]
        assert MINE not in graphs(client)

    @pytest.mark.parametrize("query", [f"graph={MINE}", "default"])
    @pytest.mark.parametrize("headers", [TRIG, NQUADS])
    @pytest.mark.parametrize("method", ["PUT", "POST"])
    def test_together_with_a_graph_in_the_request_it_is_415(
        self, client: httpx.Client, method: str, headers: dict[str, str], query: str
    ) -> None:
        answer = client.request(method, f"/graphs?{query}", content="", headers=headers)
        assert answer.status_code == 415
        assert "names its graphs itself, and the request names one too." in answer.json()["detail"]
        assert "Leave the graph out of the request, or send one of: text/turtle" in answer.json()["hint"]

    @pytest.mark.parametrize("method", ["PUT", "POST"])
    def test_a_graph_without_its_name_is_400(self, client: httpx.Client, method: str) -> None:
        answer = client.request(method, "/graphs", content=FINE, headers=TURTLE)
        assert (answer.status_code, answer.json()["hint"]) == (400, "Give ?graph=IRI.")


class TestCreation:
    def test_a_new_graph_is_201_with_its_location(self, client: httpx.Client) -> None:
        answer = client.put("/graphs", params={"graph": MINE}, content=person("ann"), headers=TURTLE)
        assert (answer.status_code, answer.json()["created"]) == (201, [MINE])
        assert answer.headers["location"] == f"/graphs?graph={quote(MINE, safe='')}"
        assert answer.headers["parley-version"] == str(version(client))
        assert "ann" in client.get(answer.headers["location"]).text

    def test_one_that_is_there_is_200_without(self, bare: httpx.Client) -> None:
        bare.put("/graphs", params={"graph": MINE}, content=person("ann"), headers=TURTLE)
        for method in ("PUT", "POST"):
            answer = bare.request(method, "/graphs", params={"graph": MINE}, content=person(method), headers=TURTLE)
            assert (answer.status_code, answer.json()["created"]) == (200, [])
            assert "location" not in answer.headers

    def test_nothing_to_do_is_200_without_a_commit(self, bare: httpx.Client) -> None:
        answer = bare.put("/graphs", params={"graph": MINE}, content="", headers=TURTLE)
        assert (answer.status_code, answer.json()["commit"], answer.json()["created"]) == (200, None, [])
        assert "parley-version" not in answer.headers


class TestDryRun:
    @pytest.mark.parametrize("method", ["PUT", "POST"])
    def test_reports_and_changes_nothing(self, client: httpx.Client, method: str) -> None:
        before = version(client)
        answer = client.request(method, "/graphs", params={"graph": MINE, **DRY}, content=FINE, headers=TURTLE)
        answered = answer.json()
        assert (answer.status_code, answered["commit"], answered["created"], answered["dryRun"]) == (
            200,
            None,
            [],
            True,
        )
        assert [w["path"].rpartition("#")[2] for w in answered["report"]["warnings"]] == ["grade"]
        assert (version(client), MINE in graphs(client)) == (before, False)

    def test_of_a_data_set_changes_nothing(self, client: httpx.Client) -> None:
        body = f"GRAPH <{MINE}> {{ {person('ann')} }}"
        answer = client.put("/graphs", params=DRY, content=body, headers=TRIG)
        assert (answer.status_code, answer.json()["dryRun"], MINE in graphs(client)) == (200, True, False)

    def test_of_facts_that_do_not_conform_is_422(self, client: httpx.Client) -> None:
        answer = client.put("/graphs", params={"graph": MINE, **DRY}, content=WRONG, headers=TURTLE)
        assert (answer.status_code, len(answer.json()["report"]["violations"])) == (422, 1)

    def test_of_a_removal_keeps_the_graph(self, client: httpx.Client) -> None:
        client.put("/graphs", params={"graph": MINE}, content=person("ann"), headers=TURTLE)
        answer = client.delete("/graphs", params={"graph": MINE, **DRY}, headers=AUTHORIZED)
        assert (answer.status_code, answer.json()["commit"], answer.json()["dryRun"]) == (200, None, True)
        assert MINE in graphs(client)

    def test_of_a_removal_that_others_rely_on_is_422(self, client: httpx.Client) -> None:
        act = SOURCE + "2025-04-03-federal-register-proc-10908"
        answer = client.delete("/graphs", params={"graph": act, **DRY}, headers=AUTHORIZED)
        assert (answer.status_code, act in graphs(client)) == (422, True)

    def test_of_a_removal_of_what_is_not_there_is_404(self, client: httpx.Client) -> None:
        assert client.delete("/graphs", params={"graph": MINE, **DRY}, headers=AUTHORIZED).status_code == 404

    def test_false_is_none(self, bare: httpx.Client) -> None:
        parameters = {"graph": MINE, "dry-run": "false"}
        answer = bare.put("/graphs", params=parameters, content=person("ann"), headers=TURTLE)
        assert (answer.status_code, answer.json()["dryRun"]) == (201, False)

    @pytest.mark.parametrize("flag", ["dry-run", "dry-run=", "dry-run=1", "dry-run=yes", "dry-run=true&dry-run=false"])
    @pytest.mark.parametrize("method", ["PUT", "POST", "DELETE"])
    def test_any_other_value_is_400(self, bare: httpx.Client, method: str, flag: str) -> None:
        before = version(bare)
        answer = bare.request(method, f"/graphs?graph={MINE}&{flag}", content=person("ann"), headers=TURTLE)
        assert (answer.status_code, answer.json()["hint"]) == (400, "Give dry-run=true, or leave it out.")
        assert version(bare) == before


def each_form(client: httpx.Client, method: str, path: str, **request: Any) -> dict[str, httpx.Response]:
    """The answers to a request that asks for each form by Accept."""
    media = {"json": "application/json", "text": "text/plain", "turtle": "text/turtle"}
    headers = request.pop("headers")
    return {
        form: client.request(method, path, headers={**headers, "Accept": accept}, **request)
        for form, accept in media.items()
    }


def as_report(body: dict[str, Any]) -> Report:
    """The report as a whole from its JSON."""
    findings = [*body["violations"], *body["warnings"]]
    return rebuild_report({"findings": findings, "contradictions": body["contradictions"], "turtle": ""})


class TestForms:
    """The report says the same in each form."""

    def test_of_facts_that_conform(self, client: httpx.Client) -> None:
        contradicting = FINE + "<https://w3id.org/parley/id/rate/us-232-autos-jp-15> trade:percent 17.0 ."
        parameters = {"graph": MINE, **DRY}
        answers = each_form(client, "PUT", "/graphs", params=parameters, content=contradicting, headers=TURTLE)
        self.check(answers, answers["json"].json()["report"], 200)
        assert "contradiction: " in answers["text"].text

    def test_of_facts_that_do_not(self, client: httpx.Client) -> None:
        answers = each_form(client, "PUT", "/graphs", params={"graph": MINE}, content=WRONG, headers=TURTLE)
        assert answers["json"].headers["content-type"] == "application/problem+json"
        self.check(answers, answers["json"].json()["report"], 422)
        assert answers["text"].text.startswith(
            f"the body:{len(PREFIXES) + 13}: violation: proposal:test-rice trade:targets: Name at least"
        )

    def test_of_a_removal_that_others_rely_on(self, client: httpx.Client) -> None:
        act = SOURCE + "2025-04-03-federal-register-proc-10908"
        answers = each_form(client, "DELETE", "/graphs", params={"graph": act}, headers=AUTHORIZED)
        self.check(answers, answers["json"].json()["report"], 422)

    def test_of_an_update(self, client: httpx.Client) -> None:
        text = f"INSERT DATA {{ GRAPH <{MINE}> {{ <urn:x> a trade:Rate }} }}"
        headers = {"Content-Type": "application/sparql-update", **AUTHORIZED}
        answers = each_form(client, "POST", "/update", content=text, headers=headers)
        self.check(answers, answers["json"].json()["report"], 422)

    @staticmethod
    def check(answers: dict[str, httpx.Response], report: dict[str, Any], status: int) -> None:
        assert {answer.status_code for answer in answers.values()} == {status}
        assert answers["text"].headers["content-type"] == "text/plain; charset=utf-8"
        assert answers["turtle"].headers["content-type"] == "text/turtle; charset=utf-8"
        assert answers["text"].text == as_report(report).text() + "\n"
        assert rows_of(answers["turtle"].text) == told(report) != []

    def test_is_that_of_the_command_line(self, server: Server, client: httpx.Client, tmp_path: Path) -> None:
        file = tmp_path / "desk.ttl"
        file.write_text(WRONG)
        printed = kg(server.home, "validate", str(file), "--format", "turtle", status=1)
        answer = client.put("/graphs", params={"graph": MINE, "format": "turtle"}, content=WRONG, headers=TURTLE)
        assert answer.text == printed

    def test_without_findings_is_a_sentence_and_an_empty_report(self, bare: httpx.Client) -> None:
        parameters = {"graph": MINE}
        answers = each_form(bare, "PUT", "/graphs", params=parameters, content=person("ann"), headers=TURTLE)
        assert answers["text"].text == "The facts conform.\n"
        assert answers["turtle"].text == Report().turtle

    @pytest.mark.parametrize(
        ("accept", "media"),
        [
            ("*/*", "application/json"),
            ("application/problem+json", "application/json"),
            ("text/*", "text/plain; charset=utf-8"),
            ("text/turtle;q=0.5, text/plain;q=0.4", "text/turtle; charset=utf-8"),
            ("application/json;q=0.1, application/x-turtle", "text/turtle; charset=utf-8"),
        ],
    )
    def test_goes_by_what_is_accepted(self, bare: httpx.Client, accept: str, media: str) -> None:
        headers = {**TURTLE, "Accept": accept}
        answer = bare.put("/graphs", params={"graph": MINE}, content=person("ann"), headers=headers)
        assert answer.headers["content-type"] == media

    @pytest.mark.parametrize("form", ["json", "text", "turtle", "text/turtle"])
    def test_goes_by_its_name_before_what_is_accepted(self, bare: httpx.Client, form: str) -> None:
        parameters, headers = {"graph": MINE, "format": form}, {**TURTLE, "Accept": "image/png"}
        answer = bare.put("/graphs", params=parameters, content=person("ann"), headers=headers)
        assert form in answer.headers["content-type"].replace("text/plain", "text")

    @pytest.mark.parametrize("method", ["PUT", "POST", "DELETE"])
    def test_that_there_is_not_is_refused_before_anything_is_written(self, bare: httpx.Client, method: str) -> None:
        bare.put("/graphs", params={"graph": MINE}, content=person("ann"), headers=TURTLE)
        before = version(bare)
        headers = {**TURTLE, "Accept": "application/rdf+xml"}
        answer = bare.request(method, "/graphs", params={"graph": MINE}, content=person("bob"), headers=headers)
        assert (answer.status_code, "text/turtle" in answer.json()["hint"]) == (406, True)
        parameters = {"graph": MINE, "format": "rdfxml"}
        answer = bare.request(method, "/graphs", params=parameters, content=person("bob"), headers=TURTLE)
        assert answer.status_code == 400
        assert version(bare) == before

    def test_of_other_errors_is_a_problem_in_any_case(self, bare: httpx.Client) -> None:
        headers = {**TURTLE, "Accept": "text/turtle"}
        answer = bare.put("/graphs", params={"graph": MINE}, content="<urn:x>", headers=headers)
        assert (answer.status_code, answer.headers["content-type"]) == (400, "application/problem+json")


@pytest.fixture(scope="module")
def paths(shipped_home: Path) -> dict[str, Any]:
    graph = EmbeddedGraph(Versions(shipped_home), Content.shipped(), Settings(home=shipped_home))
    app = create_app(graph, Metrics(graph))
    paths: dict[str, Any] = app.openapi()["paths"]
    return paths


class TestDescription:
    """The API's own description says what the routes take and give."""

    @pytest.mark.parametrize("method", ["put", "post"])
    def test_lists_the_bodies_that_are_taken(self, bare: httpx.Client, paths: dict[str, Any], method: str) -> None:
        described = paths["/graphs"][method]["requestBody"]["content"]
        assert set(described) == {form.media_type for form in FORMATS} | {"multipart/form-data"}
        for media in set(described) - {"multipart/form-data"}:
            parameters = {} if media in (TRIG["Content-Type"], NQUADS["Content-Type"]) else {"graph": MINE}
            headers = {**AUTHORIZED, "Content-Type": media}
            answer = bare.request(method, "/graphs", params=parameters, content=EMPTY.get(media, ""), headers=headers)
            assert answer.status_code == 200, media

    @pytest.mark.parametrize(
        ("path", "method"),
        [("/graphs", "put"), ("/graphs", "post"), ("/graphs", "patch"), ("/graphs", "delete"), ("/update", "post")],
    )
    def test_lists_the_forms_of_the_report(self, paths: dict[str, Any], path: str, method: str) -> None:
        operation = paths[path][method]
        assert set(operation["responses"]["200"]["content"]) == {"application/json", "text/plain", "text/turtle"}
        refused = set(operation["responses"]["422"]["content"])
        assert refused == {"application/problem+json", "text/plain", "text/turtle"}
        assert ("201" in operation["responses"]) == (method != "delete" and path == "/graphs")

    @pytest.mark.parametrize("method", ["put", "post", "patch", "delete"])
    def test_lists_the_parameters(self, paths: dict[str, Any], method: str) -> None:
        parameters = {p["name"]: p["schema"] for p in paths["/graphs"][method]["parameters"]}
        assert set(parameters) == {"graph", "dry-run", "format"}
        assert parameters["dry-run"]["type"] == "boolean"


FORMATS = (
    ox.RdfFormat.TURTLE, ox.RdfFormat.N_TRIPLES, ox.RdfFormat.RDF_XML, ox.RdfFormat.JSON_LD, ox.RdfFormat.TRIG,
    ox.RdfFormat.N_QUADS,
)  # fmt: skip
#: Bodies that state nothing, where an empty one is none.
EMPTY = {
    "application/rdf+xml": "<rdf:RDF xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#'/>",
    "application/ld+json": "[]",
}
