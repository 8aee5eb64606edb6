"""/update over a real server: SPARQL 1.1 Protocol, the token, and what a refused update leaves as it was."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import httpx
import pytest

from kg.content import Content
from kg.errors import Forbidden
from kg.graph import EndpointGraph
from kg.operations import EVERYTHING
from kg.settings import Settings
from kg.store import Versions
from kg.terms import ENTAILED_GRAPH, SOURCE
from tests.server import AUTHORIZED, Server, select, version

MINE = f"{SOURCE}desk"
TEXT = {"Content-Type": "application/sparql-update", **AUTHORIZED}
PERSON = "person:desk-one a foaf:Person ; rdfs:label 'Desk One'@en ."
INSERT = f"INSERT DATA {{ GRAPH <{MINE}> {{ {PERSON} }} }}"


@pytest.fixture
def client(server: Server) -> Iterator[httpx.Client]:
    """A client; what a test leaves in its graph is removed."""
    with server.client() as client:
        yield client
        client.delete("/graphs", params={"graph": MINE}, headers=AUTHORIZED)


@pytest.fixture
def bare(bare_server: Server) -> Iterator[httpx.Client]:
    """A client of a plain SPARQL server, whose store is empty before each test."""
    with bare_server.client() as client:
        assert update(client, "CLEAR ALL").status_code == 200
        yield client


def update(client: httpx.Client, text: str, **parameters: str | list[str]) -> httpx.Response:
    return client.post("/update", content=text, params=parameters, headers=TEXT)


def values(client: httpx.Client) -> list[str]:
    """What the subject <urn:x> saw."""
    return [row["v"] for row in select(client, "SELECT ?v { <urn:x> <urn:saw> ?v } ORDER BY ?v")]


class TestForms:
    def test_the_body_is_the_update(self, client: httpx.Client) -> None:
        answer = update(client, INSERT)
        assert answer.status_code == 200
        commit = answer.json()["commit"]
        assert (commit["version"], commit["added"], MINE in commit["graphs"]) == (version(client), 2, True)
        assert commit["message"].startswith("Update: INSERT DATA")
        assert answer.json()["report"]["conforms"] is True
        assert select(client, f"SELECT ?l {{ GRAPH <{MINE}> {{ ?p rdfs:label ?l }} }}") == [{"l": "Desk One"}]

    def test_a_form_holds_the_update(self, bare: httpx.Client) -> None:
        answer = bare.post("/update", data={"update": "INSERT DATA { <urn:x> <urn:saw> 1 }"}, headers=AUTHORIZED)
        assert (answer.status_code, values(bare)) == (200, ["1"])

    def test_an_update_that_comes_to_nothing_makes_no_version(self, bare: httpx.Client) -> None:
        before = version(bare)
        assert update(bare, "DELETE WHERE { ?s ?p ?o }").json()["commit"] is None
        assert version(bare) == before

    @pytest.mark.parametrize("texts", [[], ["CLEAR ALL", "CLEAR ALL"]])
    def test_there_is_exactly_one(self, bare: httpx.Client, texts: list[str]) -> None:
        answer = bare.post("/update", data={"update": texts, "x": "y"}, headers=AUTHORIZED)
        assert (answer.status_code, answer.json()["hint"]) == (400, "Give exactly one as `update`.")

    def test_one_in_the_url_and_one_in_the_body_are_two(self, bare: httpx.Client) -> None:
        assert update(bare, "CLEAR ALL", update="CLEAR ALL").status_code == 400

    def test_get_is_no_way_to_change_anything(self, client: httpx.Client) -> None:
        answer = client.get("/update", params={"update": INSERT}, headers=AUTHORIZED)
        assert (answer.status_code, answer.headers["allow"]) == (405, "OPTIONS, POST")

    @pytest.mark.parametrize("media", ["text/plain", "application/sparql-query", ""])
    def test_other_bodies_are_415(self, bare: httpx.Client, media: str) -> None:
        answer = bare.post("/update", content=b"CLEAR ALL", headers={**AUTHORIZED, "Content-Type": media})
        assert answer.status_code == 415
        assert "application/sparql-update" in answer.json()["hint"]

    @pytest.mark.parametrize("body", ["CLEAR ALL".encode("utf-16"), b"CLEAR ALL # \xff"])
    def test_bodies_that_are_not_utf_8_are_400(self, bare: httpx.Client, body: bytes) -> None:
        assert bare.post("/update", content=body, headers=TEXT).status_code == 400

    def test_a_query_is_told_from_an_update(self, client: httpx.Client) -> None:
        answer = update(client, "SELECT * { ?s ?p ?o }")
        assert (answer.status_code, answer.json()["title"]) == (400, "Query refused")
        assert "not an update" in answer.json()["detail"]


class TestDataset:
    DATA = "INSERT DATA { <urn:x> <urn:v> 0 GRAPH <urn:1> { <urn:x> <urn:v> 1 } GRAPH <urn:2> { <urn:x> <urn:v> 2 } }"
    SEE = "INSERT { <urn:x> <urn:saw> ?v } WHERE { { ?x <urn:v> ?v } UNION { GRAPH ?g { ?x <urn:v> ?v } } }"

    @pytest.mark.parametrize(
        ("parameters", "expected"),
        [
            ({}, ["0", "1", "2"]),
            ({"using-graph-uri": ["urn:1"]}, ["1"]),
            ({"using-graph-uri": ["urn:1", "urn:2"]}, ["1", "2"]),
            ({"using-named-graph-uri": ["urn:2"]}, ["2"]),
        ],
    )
    def test_the_request_says_what_patterns_see(
        self, bare: httpx.Client, parameters: dict[str, str | list[str]], expected: list[str]
    ) -> None:
        update(bare, self.DATA)
        assert update(bare, self.SEE, **parameters).status_code == 200
        assert values(bare) == expected

    def test_the_form_says_it_too(self, bare: httpx.Client) -> None:
        update(bare, self.DATA)
        bare.post("/update", data={"update": self.SEE, "using-graph-uri": "urn:2"}, headers=AUTHORIZED)
        assert values(bare) == ["2"]

    def test_together_with_the_text_it_is_400(self, bare: httpx.Client) -> None:
        answer = update(bare, f"WITH <urn:1> {self.SEE}", **{"using-graph-uri": "urn:1"})
        assert (answer.status_code, values(bare)) == (400, [])

    def test_what_is_no_iri_is_400(self, bare: httpx.Client) -> None:
        assert update(bare, self.SEE, **{"using-graph-uri": "no iri"}).status_code == 400


class TestRefusals:
    def test_facts_that_do_not_conform_change_nothing(self, client: httpx.Client) -> None:
        before = version(client)
        answer = update(client, INSERT.replace("rdfs:label 'Desk One'@en", "org:memberOf body:nobody"))
        assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
        report = answer.json()["report"]
        assert not report["conforms"]
        assert {violation["source"] for violation in report["violations"]} == {MINE}
        assert version(client) == before
        assert client.get("/graphs", params={"graph": MINE}).status_code == 404

    def test_a_later_operation_that_fails_takes_the_earlier_ones_along(self, client: httpx.Client) -> None:
        before = version(client)
        assert update(client, f"{INSERT} ; COPY source:none TO <{MINE}>").status_code == 400
        assert version(client) == before

    @pytest.mark.parametrize(
        "text",
        [
            f"INSERT DATA {{ {PERSON} }}",
            f"INSERT DATA {{ GRAPH <{ENTAILED_GRAPH}> {{ {PERSON} }} }}",
            "CLEAR ALL",
            "DROP DEFAULT",
            INSERT.replace("rdfs:label", "trade:rateOff"),
            "INSERT DATA {",
            "INSERT DATA { <relative> <urn:p> 1 }",
            "LOAD <file:///etc/passwd>",
            "INSERT { ?s ?p ?o } WHERE { SERVICE <http://127.0.0.1:1/> { ?s ?p ?o } }",
            "INSERT DATA { <urn:a> <urn:b> " + "[ <urn:b> " * 10_000,
        ],
        ids=lambda text: text[:40],
    )
    def test_what_cannot_be_taken_is_400_with_a_hint(self, client: httpx.Client, text: str) -> None:
        before = version(client)
        answer = update(client, text)
        assert (answer.status_code, answer.headers["content-type"]) == (400, "application/problem+json")
        assert len(answer.json()["detail"]) > 20
        assert version(client) == before

    def test_a_dry_run_reports_and_changes_nothing(self, client: httpx.Client) -> None:
        before = version(client)
        answer = update(client, INSERT, **{"dry-run": "true"})
        assert (answer.status_code, answer.json()["commit"]) == (200, None)
        assert answer.json()["report"]["conforms"] is True
        assert update(client, INSERT.replace("'Desk One'@en", "5"), **{"dry-run": "true"}).status_code == 422
        assert update(client, INSERT, **{"dry-run": "perhaps"}).status_code == 400
        assert version(client) == before

    @pytest.mark.parametrize("header", [{}, {"Authorization": "Bearer wrong"}])
    def test_without_the_token_nothing_is_changed(self, client: httpx.Client, header: dict[str, str]) -> None:
        answer = client.post("/update", data={"update": INSERT}, headers=header)
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
        assert client.get("/graphs", params={"graph": MINE}).status_code == 404

    def test_another_endpoint_is_not_written_to(self) -> None:
        graph = EndpointGraph("http://127.0.0.1:1/sparql", Content.shipped(), Settings())
        with pytest.raises(Forbidden, match="reads another endpoint"):
            asyncio.run(graph.update(INSERT, EVERYTHING, base="", dry_run=False))

    def test_a_body_beyond_the_limit_is_413(self, bare: httpx.Client) -> None:
        assert update(bare, "CLEAR ALL #" + "x" * 4_000_000).status_code == 413


def test_changes_are_in_the_change_set_of_the_version(bare_server: Server, bare: httpx.Client) -> None:
    update(bare, "INSERT DATA { <urn:x> <urn:saw> 1 , 2 }")
    update(bare, "DELETE { ?x ?p ?v } INSERT { ?x ?p ?next } WHERE { ?x ?p ?v BIND(?v + 1 AS ?next) }")
    number = "^^<http://www.w3.org/2001/XMLSchema#integer> ."
    changes = list(Versions(bare_server.home).changes(version(bare)))
    assert changes == [("D", f'<urn:x> <urn:saw> "1"{number}'), ("A", f'<urn:x> <urn:saw> "3"{number}')]
