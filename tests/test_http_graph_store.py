"""The Graph Store Protocol beyond one body for one named graph: addresses, forms with files, PATCH, OPTIONS, dumps."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import httpx
import pyoxigraph as ox
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request

from kg.errors import BadRequest, UnsupportedMedia
from kg.incoming import read_facts
from kg.terms import DERIVED_GRAPHS, PREFIXES, SOURCE
from tests.server import AUTHORIZED, Server, kg, version

TURTLE, UPDATE = ({"Content-Type": media, **AUTHORIZED} for media in ("text/turtle", "application/sparql-update"))
NTRIPLES = {"Accept": "application/n-triples"}
FILES = {
    "one": ("one.ttl", "<urn:a> <urn:p> 1 .", "text/turtle"),
    "two": ("two.nt", "<urn:a> <urn:p> <urn:two> .", "application/octet-stream"),
}


@pytest.fixture
def client(server: Server) -> Iterator[httpx.Client]:
    """A client of a server with the shipped facts; the graph that a test makes is removed."""
    with server.client() as client:
        yield client
        client.delete("/source/desk", headers=AUTHORIZED)


@pytest.fixture
def bare(bare_server: Server) -> Iterator[httpx.Client]:
    """A client of an empty store."""
    with bare_server.client() as client:
        assert client.post("/update", content="CLEAR ALL", headers=UPDATE).is_success
        yield client


def person(name: str) -> str:
    return f'<{PREFIXES["person"]}{name}> a <{PREFIXES["foaf"]}Person> ; <{PREFIXES["rdfs"]}label> "{name}"@en .'


def objects(client: httpx.Client, path: str) -> set[str]:
    """The objects in a graph; none if it is not there."""
    answer = client.get(path, headers=NTRIPLES)
    assert answer.status_code in (200, 404)
    return {q.object.value for q in ox.parse(answer.content, ox.RdfFormat.N_TRIPLES)} if answer.is_success else set()


class TestAddresses:
    def test_an_address_is_the_name_of_a_graph_on_a_bare_server(self, bare: httpx.Client) -> None:
        url = f"{bare.base_url}/graphs/person/1"
        made = bare.put("/graphs/person/1", content="<> <urn:p> <#x> .", headers=TURTLE)
        assert (made.status_code, made.headers["location"], made.json()["created"]) == (201, url, [url])
        assert bare.get("/graphs", params={"graph": url}, headers=NTRIPLES).text == f"<{url}> <urn:p> <{url}#x> .\n"
        assert bare.post("/graphs/person/1", content="<> <urn:p> 2 .", headers=TURTLE).status_code == 200
        assert objects(bare, "/graphs/person/1") == {f"{url}#x", "2"}
        assert bare.delete("/graphs/person/1", headers=AUTHORIZED).status_code == 200
        for method in ("GET", "HEAD", "DELETE"):
            assert bare.request(method, "/graphs/person/1", headers=AUTHORIZED).status_code == 404

    def test_an_address_is_taken_as_it_is_sent(self, bare: httpx.Client) -> None:
        bare.put("/graphs/%C3%A9/a%20b", content="<urn:a> <urn:p> 1 .", headers=TURTLE)
        assert [entry["graph"] for entry in bare.get("/graphs").json()] == [f"{bare.base_url}/graphs/%C3%A9/a%20b"]

    def test_elsewhere_it_is_none(self, client: httpx.Client) -> None:
        for method in ("GET", "PUT", "POST", "PATCH", "DELETE"):
            headers = UPDATE if method == "PATCH" else TURTLE
            answer = client.request(method, "/graphs/person/1", headers=headers)
            assert (answer.status_code, "/source/" in answer.json()["hint"]) == (404, True)

    def test_a_source_is_written_at_its_own(self, client: httpx.Client) -> None:
        assert client.put("/source/desk", content=person("ann"), headers=TURTLE).json()["created"] == [SOURCE + "desk"]
        assert client.post("/source/desk", content=person("bob"), headers=TURTLE).status_code == 200
        assert {"ann", "bob"} < objects(client, "/source/desk")
        assert client.delete("/source/desk", headers=AUTHORIZED).status_code == 200
        assert client.head("/source/desk").status_code == 404

    def test_the_address_of_a_source_does_not_spare_its_facts_the_shapes(self, client: httpx.Client) -> None:
        wrong = f"<urn:x> a <{PREFIXES['trade']}Rate> ."
        assert client.put("/source/desk", content=wrong, headers=TURTLE).status_code == 422
        assert client.head("/source/desk").status_code == 404

    @pytest.mark.parametrize("method", ["PUT", "POST", "PATCH", "DELETE"])
    @pytest.mark.parametrize("path", ["/graphs/person/1", "/source/desk"])
    def test_each_asks_for_the_token(self, bare: httpx.Client, method: str, path: str) -> None:
        assert bare.request(method, path).status_code == 401

    def test_post_without_a_graph_makes_one_on_a_bare_server(self, bare: httpx.Client) -> None:
        made = [bare.post("/graphs", content=f"<> <urn:p> {n} .", headers=TURTLE) for n in (1, 2)]
        first, second = (answer.headers["location"] for answer in made)
        assert {answer.status_code for answer in made} == {201}
        assert first != second
        assert first.startswith(f"{bare.base_url}/graphs/")
        assert (objects(bare, first), objects(bare, second)) == ({"1"}, {"2"})

    def test_elsewhere_a_source_needs_its_name(self, client: httpx.Client) -> None:
        assert client.post("/graphs", content=person("ann"), headers=TURTLE).status_code == 400


class TestForms:
    @pytest.mark.parametrize("path", ["/graphs?graph=urn:g", "/graphs/g", "/graphs?default"])
    def test_files_go_by_their_type_or_their_ending(self, bare: httpx.Client, path: str) -> None:
        bare.put(path, content="<urn:a> <urn:p> 0 .", headers=TURTLE)
        answer = bare.post(path, files=FILES, headers=AUTHORIZED)
        assert answer.status_code == 200, answer.text
        assert objects(bare, path) == {"0", "1", "urn:two"}

    def test_put_replaces_the_graph_by_all_of_them(self, bare: httpx.Client) -> None:
        bare.put("/graphs/g", content="<urn:a> <urn:p> 0 .", headers=TURTLE)
        assert bare.put("/graphs/g", files=FILES, headers=AUTHORIZED).status_code == 200
        assert objects(bare, "/graphs/g") == {"1", "urn:two"}

    def test_blank_nodes_of_two_files_are_two(self, bare: httpx.Client) -> None:
        files = {name: (f"{name}.ttl", f"[] <urn:p> '{name}' .", "text/turtle") for name in "ab"}
        bare.post("/graphs/g", files=files, headers=AUTHORIZED)
        assert (
            len({q.subject for q in ox.parse(bare.get("/graphs/g", headers=NTRIPLES).content, ox.RdfFormat.N_TRIPLES)})
            == 2
        )

    def test_data_sets_name_their_graphs(self, bare: httpx.Client) -> None:
        files = {
            "one": ("one.trig", "GRAPH <urn:1> { <urn:a> <urn:p> 1 }", ""),
            "two": ("two.nq", "<urn:a> <urn:p> <urn:b> <urn:2> .", ""),
        }
        assert bare.post("/graphs", files=files, headers=AUTHORIZED).json()["created"] == ["urn:1", "urn:2"]
        assert bare.post("/graphs/g", files=files, headers=AUTHORIZED).status_code == 415

    @pytest.mark.parametrize(
        ("last", "status", "said"),
        [
            (("three.ttl", "<urn:a> <urn:p> .", "text/turtle"), 400, "three.ttl"),
            (("three.pdf", "<urn:a> <urn:p> 3 .", "application/pdf"), 415, "three.pdf"),
            ((None, "a field", None), 400, "as a file"),
        ],
    )
    def test_one_that_cannot_be_read_refuses_all(
        self, bare: httpx.Client, last: tuple[str | None, str, str | None], status: int, said: str
    ) -> None:
        before = version(bare)
        answer = bare.post("/graphs/g", files={**FILES, "three": last}, headers=AUTHORIZED)
        assert (answer.status_code, said in answer.text) == (status, True)
        assert version(bare) == before

    @pytest.mark.parametrize(
        ("media", "body"),
        [
            ("multipart/form-data", b""),
            ("multipart/form-data; boundary=x", b"--x--\r\n"),
            ("multipart/form-data; boundary=x", b"<urn:a> <urn:p> 1 ."),
            ("multipart/form-data; boundary=x", b"--x\r\nContent-Disposition: form-data\r\n\r\n\r\n--x--\r\n"),
        ],
    )
    def test_one_that_is_none_is_400(self, bare: httpx.Client, media: str, body: bytes) -> None:
        answer = bare.post("/graphs/g", content=body, headers={"Content-Type": media, **AUTHORIZED})
        assert (answer.status_code, "curl -F" in answer.json()["hint"]) == (400, True)

    def test_a_finding_names_the_file(self, client: httpx.Client) -> None:
        files = {"a": ("fine.ttl", person("ann")), "b": ("wrong.ttl", f"<urn:x> a <{PREFIXES['trade']}Rate> .")}
        answer = client.post("/source/desk", files=files, headers=AUTHORIZED)
        assert answer.status_code == 422
        assert {v["file"] for v in answer.json()["report"]["violations"]} == {"wrong.ttl"}
        assert client.head("/source/desk").status_code == 404

    def test_the_name_of_a_file_is_but_a_label(self, bare: httpx.Client) -> None:
        files = {"a": ("../../etc/passwd.ttl", "<urn:a> <urn:p> 1 .")}
        assert bare.post("/graphs/g", files=files, headers=AUTHORIZED).status_code == 201
        assert objects(bare, "/graphs/g") == {"1"}


class TestAnyForm:
    """Whatever stands in a form, it is files that are RDF, or is refused in words."""

    PIECES = st.sampled_from(
        [
            b"--x", b"--x--", b"\r\n", b"\r\n\r\n", b"Content-Disposition: form-data", b'; name="a"', b"; name=",
            b'; filename="a.ttl"', b"; filename=a.nq", b"Content-Type: text/turtle", b"Content-Type: ", b"<urn:a>",
            b"\xff",
        ]
    )  # fmt: skip

    @given(st.lists(PIECES | st.binary(max_size=8), max_size=20).map(b"".join))
    def test_is_read_or_refused(self, body: bytes) -> None:
        async def receive() -> dict[str, object]:
            return {"type": "http.request", "body": body}

        headers = [(b"content-type", b"multipart/form-data; boundary=x")]
        request = Request({"type": "http", "headers": headers}, receive)
        try:
            parts = asyncio.run(read_facts(request, 10_000))
        except (BadRequest, UnsupportedMedia) as error:
            assert error.hint
        else:
            assert all(part.data in body for part in parts)


class TestPatch:
    @pytest.fixture
    def held(self, bare: httpx.Client) -> httpx.Client:
        """A store where two graphs and the default graph say the same."""
        for path in ("/graphs/g", "/graphs/other", "/graphs?default"):
            bare.put(path, content="<urn:a> <urn:p> 1 .", headers=TURTLE)
        return bare

    @pytest.mark.parametrize("path", ["/graphs/g", "/graphs?default"])
    @pytest.mark.parametrize(
        ("update", "left"),
        [
            ("INSERT DATA { <urn:a> <urn:p> 2 }", {"1", "2"}),
            ("DELETE DATA { <urn:a> <urn:p> 1 } ; INSERT DATA { <urn:a> <urn:p> 2 }", {"2"}),
            ("DELETE { ?s ?p ?o } INSERT { ?s ?p 3 } WHERE { ?s ?p ?o }", {"3"}),
            ("DELETE WHERE { ?s ?p ?o } ; INSERT DATA { <urn:a> <urn:p> 4 }", {"4"}),
            ("CLEAR DEFAULT ; INSERT DATA { <urn:a> <urn:p> 5 }", {"5"}),
            ("INSERT { ?s ?p 6 } USING <urn:none> WHERE { ?s ?p ?o }", {"1"}),
        ],
    )
    def test_means_the_graph_where_it_names_none(
        self, held: httpx.Client, path: str, update: str, left: set[str]
    ) -> None:
        assert held.patch(path, content=update, headers=UPDATE).status_code == 200
        assert objects(held, path) == left
        others = {"/graphs/g", "/graphs/other", "/graphs?default"} - {path}
        assert all(objects(held, other) == {"1"} for other in others)

    @pytest.mark.parametrize(
        "update",
        [
            "INSERT DATA { GRAPH <other> { <urn:a> <urn:p> 2 } }",
            "WITH <other> DELETE { ?s ?p ?o } WHERE { ?s ?p ?o }",
            "DELETE { GRAPH ?g { ?s ?p ?o } } WHERE { GRAPH ?g { ?s ?p ?o } }",
            "CLEAR ALL",
            "CLEAR NAMED",
            "DROP GRAPH <other>",
            "MOVE <other> TO DEFAULT",
            "COPY DEFAULT TO <other>",
            "INSERT DATA { <urn:a> <urn:p> 2 } ; CLEAR GRAPH <other>",
        ],
    )
    def test_of_another_graph_changes_nothing(self, held: httpx.Client, update: str) -> None:
        before = version(held)
        answer = held.patch("/graphs/g", content=f"BASE <{held.base_url}/graphs/> {update}", headers=UPDATE)
        assert (answer.status_code, "the request names" in answer.json()["detail"]) == (400, True)
        assert version(held) == before

    def test_may_name_its_own_graph(self, held: httpx.Client) -> None:
        update = "INSERT DATA { GRAPH <> { <urn:a> <urn:p> <#x> } }"
        assert held.patch("/graphs/g", content=update, headers=UPDATE).status_code == 200
        assert objects(held, "/graphs/g") == {"1", f"{held.base_url}/graphs/g#x"}

    def test_may_read_another_graph(self, held: httpx.Client) -> None:
        update = "INSERT { ?s ?p 2 } USING <other> WHERE { ?s ?p ?o }"
        assert held.patch("/graphs/g", content=update, headers=UPDATE).status_code == 200
        assert objects(held, "/graphs/g") == {"1", "2"}

    def test_makes_a_graph(self, bare: httpx.Client) -> None:
        answer = bare.patch("/graphs/new", content="INSERT DATA { <urn:a> <urn:p> 1 }", headers=UPDATE)
        assert (answer.status_code, answer.headers["location"]) == (201, f"{bare.base_url}/graphs/new")

    def test_is_in_the_history_by_its_graph(self, held: httpx.Client) -> None:
        held.patch("/graphs?graph=urn:g", content="INSERT DATA { <urn:a> <urn:p> 1 }", headers=UPDATE)
        assert held.get("/history").json()[0]["message"] == "PATCH urn:g"

    def test_is_validated(self, client: httpx.Client) -> None:
        client.put("/source/desk", content=person("ann"), headers=TURTLE)
        wrong, fine = (f"INSERT DATA {{ person:ann {what} }}" for what in ("a trade:Rate", 'rdfs:label "Anna"@de'))
        assert client.patch("/source/desk", content=wrong, headers=UPDATE).status_code == 422
        assert client.patch("/source/desk", content=fine, headers=UPDATE).status_code == 200
        assert "Anna" in objects(client, "/source/desk")

    def test_of_no_graph_is_400(self, bare: httpx.Client) -> None:
        assert bare.patch("/graphs", content="CLEAR ALL", headers=UPDATE).status_code == 400

    def test_by_another_type_is_415_and_names_the_one(self, bare: httpx.Client) -> None:
        answer = bare.patch("/graphs/g", content="<urn:a> <urn:p> 1 .", headers=TURTLE)
        assert (answer.status_code, answer.headers["accept-patch"]) == (415, "application/sparql-update")


class TestOptions:
    @pytest.mark.parametrize(
        ("path", "methods"),
        [
            ("/sparql", "GET, HEAD, OPTIONS, POST"),
            ("/update", "OPTIONS, POST"),
            ("/graphs", "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT"),
            ("/graphs/a/b", "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT"),
            ("/source/desk", "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT"),
            ("/ontology", "GET, HEAD, OPTIONS"),
            ("/id/country/JP", "GET, HEAD, OPTIONS"),
        ],
    )
    def test_name_the_methods_of_the_path(self, bare: httpx.Client, path: str, methods: str) -> None:
        answer = bare.options(path)
        assert (answer.status_code, answer.headers["allow"], answer.content) == (204, methods, b"")

    def test_name_the_bodies_that_are_taken(self, bare: httpx.Client) -> None:
        headers = bare.options("/graphs").headers
        assert headers["accept-patch"] == "application/sparql-update"
        assert {"text/turtle", "application/trig", "multipart/form-data"} < set(headers["accept-post"].split(", "))
        assert bare.options("/update").headers["accept-post"].split(", ")[0] == "application/sparql-update"
        assert not {"accept-post", "accept-patch"} & set(bare.options("/ontology").headers)

    def test_of_no_route_are_404(self, bare: httpx.Client) -> None:
        assert bare.options("/nowhere").status_code == 404


class TestAllGraphs:
    @pytest.mark.parametrize(
        ("media", "form"), [("application/trig", ox.RdfFormat.TRIG), ("application/n-quads", ox.RdfFormat.N_QUADS)]
    )
    def test_are_what_the_command_exports(
        self, server: Server, client: httpx.Client, media: str, form: ox.RdfFormat
    ) -> None:
        answer = client.get("/graphs", headers={"Accept": media})
        assert answer.headers["content-type"] == media
        quads = set(ox.parse(answer.content, form))
        assert quads == set(ox.parse(kg(server.home, "export").encode(), ox.RdfFormat.TRIG))
        assert quads
        assert not {q.graph_name.value for q in quads if isinstance(q.graph_name, ox.NamedNode)} & DERIVED_GRAPHS

    def test_of_a_bare_store_are_with_its_default_graph(self, bare_server: Server, bare: httpx.Client) -> None:
        data = "<urn:a> <urn:p> <urn:0> .\n<urn:a> <urn:p> <urn:1> <urn:g> .\n"
        bare.put("/graphs", content=data, headers={"Content-Type": "application/n-quads", **AUTHORIZED})
        assert bare.get("/graphs?format=nquads").text == data
        assert kg(bare_server.home, "export", "--format", "nquads") == data

    @pytest.mark.parametrize("accept", ["*/*", "application/json", "application/trig;q=0.5, application/json"])
    def test_are_listed_unless_a_data_set_is_asked_for(self, bare: httpx.Client, accept: str) -> None:
        assert bare.get("/graphs", headers={"Accept": accept}).headers["content-type"] == "application/json"

    def test_in_a_format_that_holds_but_one_are_406(self, bare: httpx.Client) -> None:
        assert bare.get("/graphs", headers={"Accept": "text/turtle"}).status_code == 406
