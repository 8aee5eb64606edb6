"""Requests that try to write from elsewhere, or to reach files and other servers, against a real server."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, urlsplit

import httpx
import pytest

from tests.server import AUTHORIZED, Server, served, version
from tests.trap import Trap, trap

PASSWD = "/etc/passwd"
FACT = "<urn:s> <urn:p> 1 ."


@pytest.fixture
def client(bare_server: Server) -> Iterator[httpx.Client]:
    with bare_server.client() as client:
        yield client


@pytest.fixture
def elsewhere() -> Iterator[Trap]:
    with trap() as server:
        yield server


def own(client: httpx.Client) -> str:
    return str(client.base_url).rstrip("/")


class TestOtherOrigins:
    """A page of another site that somehow has the token still may not write."""

    WRITES = (
        ("PUT", "/graphs?graph=urn:g", "text/turtle", FACT),
        ("POST", "/graphs?graph=urn:g", "text/turtle", FACT),
        ("DELETE", "/graphs?graph=urn:g", "text/turtle", ""),
        ("PATCH", "/graphs?graph=urn:g", "application/sparql-update", "CLEAR ALL"),
        ("POST", "/update", "application/sparql-update", "CLEAR ALL"),
        ("POST", "/update", "application/x-www-form-urlencoded", "update=CLEAR+ALL"),
    )
    FOREIGN = (
        {"Origin": "https://example.org"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "file://"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    )

    @pytest.mark.parametrize("headers", FOREIGN, ids=str)
    @pytest.mark.parametrize("write", WRITES, ids=lambda write: f"{write[0]} {write[1]} {write[2]}")
    def test_a_write_for_another_site_is_refused(
        self, client: httpx.Client, write: tuple[str, str, str, str], headers: dict[str, str]
    ) -> None:
        before = version(client)
        method, path, media, body = write
        answer = client.request(method, path, content=body, headers={"Content-Type": media, **AUTHORIZED, **headers})
        assert answer.status_code == 403
        assert answer.headers["content-type"] == "application/problem+json"
        assert "Pages of other origins may not write here" in answer.json()["detail"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "access-control-allow-origin" not in answer.headers
        assert version(client) == before

    def test_a_second_origin_does_not_hide_the_first(self, client: httpx.Client) -> None:
        headers = [("Origin", own(client)), ("Origin", "https://example.org"), *AUTHORIZED.items()]
        headers.append(("Content-Type", "text/turtle"))
        assert client.put("/graphs?graph=urn:g", content=FACT, headers=headers).status_code == 403

    @pytest.mark.parametrize("name", ["Origin", "Sec-Fetch-Site", ""])
    def test_a_page_of_the_server_and_a_program_may_write(self, client: httpx.Client, name: str) -> None:
        value = {"Origin": own(client), "Sec-Fetch-Site": "same-origin"}.get(name, "")
        headers = {"Content-Type": "text/turtle", **AUTHORIZED, **({name: value} if name else {})}
        assert client.put("/graphs?graph=urn:own", content=FACT, headers=headers).is_success

    @pytest.mark.parametrize("headers", FOREIGN, ids=str)
    def test_a_page_of_another_site_may_ask(self, client: httpx.Client, headers: dict[str, str]) -> None:
        form = {"query": "ASK {}"}
        assert client.post("/sparql", data=form, headers=headers).status_code == 200
        assert client.get("/sparql", params=form, headers=headers).status_code == 200

    @pytest.mark.parametrize(("method", "path"), [("POST", "/update"), ("POST", "/graphs"), ("PUT", "/graphs")])
    def test_a_browser_that_asks_first_is_told_no(self, client: httpx.Client, method: str, path: str) -> None:
        headers = {"Origin": "https://example.org", "Access-Control-Request-Method": method}
        assert client.options(path, headers=headers).status_code in (400, 403)

    def test_a_name_that_was_bound_anew_gains_nothing_without_the_token(self, client: httpx.Client) -> None:
        """For a page whose name leads here by DNS rebinding the browser sends matching names, but it has no token."""
        headers = {"Host": "evil.example", "Origin": "http://evil.example", "Sec-Fetch-Site": "same-origin"}
        for method, path, media, body in self.WRITES:
            answer = client.request(method, path, content=body, headers={"Content-Type": media, **headers})
            assert answer.status_code == 401

    def test_the_name_that_a_client_calls_is_no_text_of_the_page(self, client: httpx.Client) -> None:
        for host in ('"><script>alert(1)</script>', "a> <urn:p> <urn:o", "a\\u003e"):
            for path in ("/.well-known/void", "/", "/sparql"):
                answer = client.get(path, headers={"Host": host, "Accept": "text/html"})
                assert "<script>alert" not in answer.text


#: Spellings of a way up to the root, as far as clients let them through.
UP = ("../" * 8, "..%2f" * 8, "%2e%2e/" * 8, "%2e%2e%2f" * 8, "..\\" * 8, "..%5c" * 8, "....//" * 8, "..%252f" * 8)


class TestFiles:
    @staticmethod
    def raw(client: httpx.Client, path: str) -> bytes:
        """The answer to a path as it is written: clients resolve dots before they send."""
        parts = urlsplit(own(client))
        with socket.create_connection((parts.hostname or "", parts.port or 0), 10) as sock:
            sock.sendall(f"GET {path} HTTP/1.1\r\nHost: parley\r\nConnection: close\r\n\r\n".encode())
            answer = bytearray()
            while part := sock.recv(1 << 16):
                answer += part
        return bytes(answer)

    @pytest.mark.parametrize(
        "start", ["/", "/id/", "/source/", "/docs/static/", "/docs/static/x/", "/questions/", "/graphs/", "/ontology/"]
    )
    def test_no_path_leads_to_a_file(self, client: httpx.Client, start: str) -> None:
        kept = Path(PASSWD).read_bytes()[:40]
        for up in (*UP, "/", "//", "file://", "%2f", "C:/"):
            for file in ("etc/passwd", "etc%2fpasswd", "etc/passwd%00.css", "kg/settings.py"):
                answer = self.raw(client, f"{start}{up}{file}")
                assert answer.startswith(b"HTTP/1.1 4"), (start, up, file, answer[:300])
                assert kept not in answer

    @pytest.mark.parametrize("graph", [f"file://{PASSWD}", f"file:{PASSWD}", "file:///", "http://127.0.0.1:1/"])
    def test_a_graph_is_a_name_and_never_a_place(self, client: httpx.Client, graph: str) -> None:
        assert client.get("/graphs", params={"graph": graph}).status_code in (400, 404)
        text = f"SELECT * FROM <{graph}> FROM NAMED <{graph}> {{ {{ ?s ?p ?o }} UNION {{ GRAPH ?g {{ ?s ?p ?o }} }} }}"
        for parameters in (
            {"query": text},
            {"query": "SELECT * { ?s ?p ?o }", "default-graph-uri": f"file://{PASSWD}"},
        ):
            answer = client.get("/sparql", params=parameters)
            assert answer.status_code == 200
            assert answer.json()["results"]["bindings"] == []

    def test_a_format_is_none_of_a_file(self, client: httpx.Client) -> None:
        for format in (PASSWD, "../../turtle", "file:///etc/passwd", "turtle/../.."):
            assert client.get("/graphs", params={"default": "", "format": format}).status_code == 400


class TestElsewhere:
    """Nothing that a client sends makes the server call another."""

    @pytest.mark.parametrize("place", ["file", "http"])
    def test_a_document_that_names_another_does_not_have_it_read(
        self, client: httpx.Client, elsewhere: Trap, place: str
    ) -> None:
        url = f"file://{PASSWD}" if place == "file" else f"{elsewhere.root}/sparql"
        rdf = "xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#'"
        value = "<rdf:Description rdf:about='urn:s'><x:p xmlns:x='urn:'>&a;</x:p></rdf:Description></rdf:RDF>"
        bodies = {
            "application/ld+json": [
                f'{{"@context": "{url}", "@id": "urn:s", "x": 1}}',
                f'{{"@context": {{"@version": 1.1, "@import": "{url}"}}, "@id": "urn:s", "x": 1}}',
                f'{{"@context": ["{url}", {{}}], "@id": "urn:s", "x": 1}}',
            ],
            "application/rdf+xml": [
                f"<!DOCTYPE x [<!ENTITY a SYSTEM '{url}'>]><rdf:RDF {rdf}>{value}",
                f"<!DOCTYPE x SYSTEM '{url}'><rdf:RDF {rdf}>{value}",
                f"<!DOCTYPE x [<!ENTITY % a SYSTEM '{url}'> %a;]><rdf:RDF {rdf}>{value}",
                f"<rdf:RDF {rdf} xmlns:xi='http://www.w3.org/2001/XInclude'><xi:include href='{url}'/></rdf:RDF>x",
            ],
            "text/turtle": [f"@import <{url}> .", f"#include <{url}>\n@prefix : <{url}> . :s :p ."],
        }
        for media, texts in bodies.items():
            for text in texts:
                headers = {"Content-Type": media, **AUTHORIZED}
                answer = client.put("/graphs", params={"graph": "urn:r"}, content=text, headers=headers)
                assert answer.status_code == 400, (text, answer.text)
                assert "root:" not in answer.text
        assert elsewhere.connections == 0

    def test_an_import_of_an_ontology_is_a_fact_like_any_other(self, client: httpx.Client, elsewhere: Trap) -> None:
        text = f"<urn:o> <http://www.w3.org/2002/07/owl#imports> <{elsewhere.root}/o> ; <urn:see> <file://{PASSWD}> ."
        headers = {"Content-Type": "text/turtle", **AUTHORIZED}
        assert client.put("/graphs", params={"graph": "urn:i"}, content=text, headers=headers).is_success
        assert elsewhere.connections == 0

    @pytest.mark.parametrize(
        "function",
        [
            "<http://jena.apache.org/ARQ/js#eval>('1')",
            "<http://jena.apache.org/ARQ/function#system>('id')",
            "<java:java.lang.Runtime>()",
            "<http://www.ontotext.com/js#execute>('1')",
            "<bif:system>('id')",
            "<sql:x>()",
        ],
    )
    def test_a_function_that_would_run_a_program_is_not_there(self, client: httpx.Client, function: str) -> None:
        answer = client.get("/sparql", params={"query": f"SELECT ({function} AS ?x) {{}}", "format": "csv"})
        assert answer.status_code == 400
        assert "is not supported. There are the functions of SPARQL 1.1 and no others." in answer.json()["detail"]

    def test_a_load_is_refused_in_an_update_and_in_a_query(self, client: httpx.Client, elsewhere: Trap) -> None:
        for target in (f"file://{PASSWD}", f"{elsewhere.root}/x"):
            for text in (f"LOAD <{target}>", f"LOAD SILENT <{target}> INTO GRAPH <urn:g>", f"CLEAR ALL;LOAD<{target}>"):
                headers = {"Content-Type": "application/sparql-update", **AUTHORIZED}
                assert client.post("/update", content=text, headers=headers).status_code == 400
                assert client.get("/sparql", params={"query": text}).status_code == 400
        assert elsewhere.connections == 0


def test_facts_that_carry_code_are_data_to_the_shapes(home: Path, elsewhere: Trap) -> None:
    """SHACL-JS, SPARQL constraints and imports of a source are none of the shapes that it is judged by."""
    sh = "http://www.w3.org/ns/shacl#"
    text = f"""<urn:shape> a <{sh}NodeShape> ; <{sh}targetSubjectsOf> <urn:p> ; <{sh}js> <urn:js> .
        <urn:js> <{sh}jsLibrary> <{elsewhere.root}/a.js> ; <{sh}jsFunctionName> "f" .
        <urn:shape> <{sh}sparql> [ <{sh}select> "SELECT $this {{ SERVICE <{elsewhere.root}/s> {{ $this ?p ?o }} }}" ] .
        <urn:s> <urn:p> 1 ."""
    with served(home) as server, server.client() as client:
        source = quote("https://w3id.org/parley/source/code", safe="")
        headers = {"Content-Type": "text/turtle", **AUTHORIZED}
        answer = client.put(f"/graphs?graph={source}", content=text, headers=headers)
        assert answer.status_code < 500, answer.text
    assert elsewhere.connections == 0
