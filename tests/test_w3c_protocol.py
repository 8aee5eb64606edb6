"""The W3C's tests of the SPARQL 1.1 Protocol, Graph Store Protocol and Service Description, on a bare server.

They are not in the repository: PARLEY_DATA names a folder that holds them as w3c/sparql11/. Requests go out as the
manifests write them; changed are the host, the path of the endpoint, and that writes carry the token.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pyoxigraph as ox
import pytest

from kg import formats
from kg.terms import RDF_TYPE
from tests.http_manifests import Request, Test, read
from tests.server import AUTHORIZED, Server

SUITE = Path(os.environ.get("PARLEY_DATA", "")) / "w3c" / "sparql11"
pytestmark = pytest.mark.skipif(not SUITE.is_dir(), reason="PARLEY_DATA names no folder with the W3C's tests")
TURTLE = {"Content-Type": "text/turtle"}
STATUSES = {"OK": "200", "Created": "201", "NoContent": "204", "NotFound": "404"}
#: What the answer to a query may be, by the kind that a manifest names.
KINDS = {
    "boolean": formats.ROWS[:2],
    "tabular": formats.ROWS,
    "RDF": formats.GRAPHS,
}
SD = "http://www.w3.org/ns/sparql-service-description#"
#: The schema of the vocabulary as far as descriptions here use it: the classes of a property's subject and object.
SCHEMA = {
    "endpoint": ("Service", None),
    "supportedLanguage": ("Service", "Language"),
    "resultFormat": ("Service", None),
    "defaultDataset": ("Service", "Dataset"),
    "defaultGraph": ("Dataset", "Graph"),
    "namedGraph": ("Dataset", "NamedGraph"),
    "name": ("NamedGraph", None),
}
LANGUAGES = {"SPARQL11Query", "SPARQL11Update"}
#: The tests of the service description are told in words alone.
IN_WORDS = {"returns-rdf", "has-endpoint-triple", "conforms-to-schema"}


def described(name: str) -> list[Test]:
    manifest = SUITE / f"{name}.ttl"
    return read(manifest) if manifest.is_file() else []


PROTOCOL = described("protocol/manifest")
DIRECT, INDIRECT = (described(f"graph-store-protocol/manifest-{how}") for how in ("direct", "indirect"))
DESCRIPTION = described("service-description/manifest")


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def media(self) -> str:
        return self.headers.get("content-type", "").split(";")[0]


@pytest.fixture
def server(bare_server: Server) -> Server:
    """A server on an empty store: the tests do not clean up, and several say that they create the same graph."""
    with bare_server.client() as client:
        assert client.post("/update", data={"update": "CLEAR ALL"}, headers=AUTHORIZED).is_success
    return bare_server


def send(server: Server, request: Request, path: str, names: dict[str, str]) -> Answer:
    """The request to a path, with nothing added to what is written but host, length and token."""
    body = request.body
    for name, value in names.items():
        path, body = path.replace(name, value), body.replace(name.encode(), value.encode())
    connection = HTTPConnection(urlsplit(server.url).netloc, timeout=60)
    connection.putrequest(request.method, path, skip_accept_encoding=True)
    for name, value in {**request.headers, **AUTHORIZED}.items():
        connection.putheader(name, value)
    if body or request.method in ("POST", "PUT"):
        connection.putheader("Content-Length", str(len(body)))
    connection.endheaders(body or None)
    response = connection.getresponse()
    answer = Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
    connection.close()
    return answer


def run(server: Server, test: Test, route: Callable[[Request], str]) -> None:
    """Send each request of a test to its route, and look at its answer as the manifest says."""
    names: dict[str, str] = {}
    with server.client() as client:
        for iri, file in test.graphs.items():
            headers = {"Content-Type": "application/n-triples", **AUTHORIZED}
            put = client.put("/graphs", params={"graph": iri}, content=file.read_bytes(), headers=headers)
            assert put.is_success, put.text
    for request in test.requests:
        answer = send(server, request, route(request), names)
        expected = request.expected
        assert is_expected(answer.status, expected.statuses), (answer.status, answer.body)
        if expected.location:
            names[expected.location] = answer.headers["location"]
        if media := expected.headers.get("content-type"):
            assert answer.headers["content-type"] == media
        if expected.body:
            assert triples(answer.body) == triples(expected.body)
        if expected.kind:
            assert answer.media in {f.media[0] for f in KINDS[expected.kind]}
        if expected.truth is not None:
            assert json.loads(answer.body)["boolean"] is expected.truth


def is_expected(status: int, among: frozenset[str]) -> bool:
    """Whether a status is one of those, which are named or told by their first digit."""
    patterns = {STATUSES.get(name, name.removeprefix("StatusCode")) for name in among}
    return any(str(status).startswith(pattern.rstrip("x")) for pattern in patterns)


def triples(turtle: bytes) -> Counter[str]:
    """The triples of a graph in a form that is the same for isomorphic ones, whether or not its blank nodes have become
    IRIs: those of the suite are trees, so a node without a name of its own is what is said of it."""
    said: dict[Any, list[ox.Triple]] = {}
    for quad in ox.parse(turtle, ox.RdfFormat.TURTLE, base_iri="http://base.example/"):
        said.setdefault(quad.subject, []).append(quad.triple)

    def shape(term: Any) -> str:
        if not (isinstance(term, ox.BlankNode) or ".well-known/genid" in str(term)):
            return str(term)
        return f"[{' ; '.join(sorted(f'{t.predicate} {shape(t.object)}' for t in said.get(term, [])))}]"

    return Counter(f"{shape(t.subject)} {t.predicate} {shape(t.object)}" for ts in said.values() for t in ts)


def names_of(cases: list[Test]) -> list[str]:
    return [test.name for test in cases]


@pytest.mark.parametrize("test", PROTOCOL, ids=names_of(PROTOCOL))
def test_protocol_is_kept(server: Server, test: Test) -> None:
    """The suite has one endpoint; here updates have a route of their own."""

    def route(request: Request) -> str:
        asks = request.headers.get("content-type") == "application/sparql-query"
        return request.path.replace("/sparql/", "/update" if "update" in test.name and not asks else "/sparql", 1)

    run(server, test, route)


@pytest.mark.parametrize("test", DIRECT + INDIRECT, ids=names_of(DIRECT + INDIRECT))
def test_graph_store_protocol_is_kept(server: Server, test: Test) -> None:
    run(server, test, lambda request: request.path.replace("/gsp", "/graphs", 1))


@pytest.mark.parametrize("form", formats.GRAPHS, ids=lambda form: form.name)
def test_returns_rdf(server: Server, form: formats.Format) -> None:
    with server.client() as client:
        answer = client.get("/sparql", headers={"Accept": form.media[0]})
    assert (answer.status_code, answer.headers["content-type"]) == (200, form.content_type)
    assert list(ox.parse(answer.content, ox.RdfFormat.from_media_type(form.media[0])))


def test_has_endpoint_triple(server: Server) -> None:
    endpoints = {quad.object for quad in description(server) if quad.predicate.value == SD + "endpoint"}
    assert ox.NamedNode(f"{server.url}/sparql") in endpoints


def test_conforms_to_schema(server: Server) -> None:
    """Each term of the vocabulary is one that it has, and stands between things of the classes that it is for."""
    with server.client() as client:
        client.put("/graphs", params={"graph": "urn:g"}, content="<a:> <b:> 1 .", headers={**TURTLE, **AUTHORIZED})
    quads = description(server)
    classes = {(quad.subject, quad.object.value) for quad in quads if quad.predicate.value == RDF_TYPE}
    classes |= {(ox.NamedNode(SD + name), SD + "Language") for name in LANGUAGES}
    used = {quad.predicate.value.removeprefix(SD) for quad in quads if quad.predicate.value.startswith(SD)}
    assert used == set(SCHEMA)
    for quad in quads:
        subject, object = SCHEMA.get(quad.predicate.value.removeprefix(SD), (None, None))
        assert subject is None or (quad.subject, SD + subject) in classes, quad
        assert object is None or (quad.object, SD + object) in classes, quad
    assert ox.NamedNode("urn:g") in {quad.object for quad in quads if quad.predicate.value == SD + "name"}


def description(server: Server) -> list[Any]:
    with server.client() as client:
        return list(ox.parse(client.get("/sparql").content, ox.RdfFormat.TURTLE))


def test_none_is_left_out() -> None:
    """The suites are as large as they were when all of them were seen to apply."""
    assert (len(PROTOCOL), len(DIRECT), len(INDIRECT)) == (34, 5, 9)
    assert set(names_of(DESCRIPTION)) == IN_WORDS
    assert all(test.requests for test in PROTOCOL + DIRECT + INDIRECT)
    assert all(request.expected.statuses for test in PROTOCOL + DIRECT + INDIRECT for request in test.requests)
