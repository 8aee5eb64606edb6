"""Questions, rates, entities and pages over HTTP; errors, headers and the description of the API."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pyoxigraph as ox
import pytest

from kg import __version__
from kg.content import Content
from tests.server import AUTHORIZED, Server, kg, served

PAGE = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
SOURCE = "/source/2025-06-06-cna-scaled-auto-tariff"
RATE = {"importer": "US", "origin": "JP", "product": "8703.23.01", "on": "2025-06-07"}
ROUTES = [
    "/",
    "/sparql?query=ASK+{}",
    "/graphs",
    "/questions",
    "/questions/rounds",
    "/rate?importer=US&origin=JP&product=8703.23.01&on=2025-06-07",
    "/id/country/JP",
    SOURCE,
    "/ontology",
    "/shapes",
    "/.well-known/void",
    "/history",
    "/health",
    "/docs",
    "/openapi.json",
    "/style.css",
]


@pytest.fixture(scope="module")
def server(shipped_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with served(Path(shutil.copytree(shipped_home, tmp_path_factory.mktemp("http") / "home"))) as server:
        yield server


class TestQuestions:
    def test_the_list_says_how_to_ask_each(self, client: httpx.Client) -> None:
        listed = {entry["name"]: entry for entry in client.get("/questions").json()}
        assert set(listed) == {path.stem for path in Content.shipped().queries}
        entry = listed["round-participants"]
        assert {parameter["name"] for parameter in entry["parameters"]} >= {"negotiation", "number"}
        assert entry["question"].endswith("?")
        assert entry["href"] == "/questions/round-participants"

    @pytest.mark.parametrize("name", sorted(path.stem for path in Content.shipped().queries))
    def test_each_question_runs_with_its_examples(self, client: httpx.Client, name: str) -> None:
        entry = next(entry for entry in client.get("/questions").json() if entry["name"] == name)
        given = {p["name"]: p["default"] or p["example"] for p in entry["parameters"] if p["required"]}
        answer = client.get(entry["href"], params=given)
        assert answer.status_code == 200, answer.text
        assert answer.json()["head"]["vars"] == entry["columns"]

    def test_a_parameter_narrows_the_answer(self, client: httpx.Client) -> None:
        def rounds(**given: str) -> set[str]:
            bindings = client.get("/questions/round-participants", params=given).json()["results"]["bindings"]
            return {row["number"]["value"] for row in bindings if "number" in row}

        assert rounds(number="5") == {"5"}
        assert rounds() > {"5"}

    @pytest.mark.parametrize("parameters", [[], ["number=5"]])
    @pytest.mark.parametrize("form", ["json", "csv"])
    def test_the_answer_is_that_of_the_command_line(
        self, server: Server, client: httpx.Client, form: str, parameters: list[str]
    ) -> None:
        given = dict(parameter.split("=") for parameter in parameters)
        answer = client.get("/questions/round-participants", params={**given, "format": form})
        told = kg(server.home, "ask", "round-participants", *parameters, "--format", form)
        if form == "json":
            assert answer.json() == json.loads(told)
        else:
            assert sorted(csv.reader(io.StringIO(answer.text))) == sorted(csv.reader(io.StringIO(told)))

    def test_an_unknown_question_is_404_with_the_nearest(self, client: httpx.Client) -> None:
        problem = client.get("/questions/round-participant").json()
        assert (problem["status"], "round-participants" in problem["hint"]) == (404, True)

    @pytest.mark.parametrize(
        ("given", "hint"),
        [
            ({"number": "five"}, "For example: number="),
            ({"round": "5"}, "It takes: "),
            ({"negotiation": 'us-jp" }'}, "For example: negotiation="),
        ],
    )
    def test_a_bad_parameter_is_400_and_says_what_is_good(
        self, client: httpx.Client, given: dict[str, str], hint: str
    ) -> None:
        problem = client.get("/questions/round-participants", params=given).json()
        assert problem["status"] == 400
        assert problem["hint"].startswith(hint)


class TestRate:
    def test_is_that_of_the_command_line(self, server: Server, client: httpx.Client) -> None:
        options = [part for name, value in RATE.items() for part in (f"--{name}", value)]
        answer = client.get("/rate", params=RATE).json()
        assert answer == json.loads(kg(server.home, "rate", *options, "--json"))
        assert answer["total"] == 27.5

    @pytest.mark.parametrize("missing", sorted(RATE))
    def test_a_missing_parameter_is_named(self, client: httpx.Client, missing: str) -> None:
        given = {name: value for name, value in RATE.items() if name != missing}
        answer = client.get("/rate", params=given)
        assert (answer.status_code, missing in answer.json()["detail"]) == (400, True)

    @pytest.mark.parametrize("off", [{"on": "yesterday"}, {"product": "car"}, {"origin": "Japan!"}])
    def test_a_parameter_that_is_off_is_named(self, client: httpx.Client, off: dict[str, str]) -> None:
        answer = client.get("/rate", params={**RATE, **off})
        assert answer.status_code in (400, 404), answer.text
        assert next(iter(off.values())).lower() in answer.json()["detail"].lower()


class TestEntities:
    @pytest.mark.parametrize(
        ("media", "form"), [("text/turtle", ox.RdfFormat.TURTLE), ("application/ld+json", ox.RdfFormat.JSON_LD)]
    )
    def test_an_entity_as_a_graph(self, client: httpx.Client, media: str, form: ox.RdfFormat) -> None:
        answer = client.get("/id/country/JP", headers={"Accept": media})
        assert answer.headers["content-type"].split(";")[0] == media
        quads = list(ox.parse(answer.content, form))
        assert {quad.subject for quad in quads} == {ox.NamedNode("https://w3id.org/parley/id/country/JP")}
        assert ox.Literal("Japan", language="en") in {quad.object for quad in quads}

    def test_an_entity_as_a_page_with_its_sources(self, client: httpx.Client) -> None:
        page = client.get("/id/proposal/us-jp-auto-contribution", headers=PAGE)
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        assert f'href="{SOURCE}"' in page.text

    def test_a_source_as_a_graph_and_as_a_page(self, client: httpx.Client) -> None:
        graph = client.get(SOURCE)
        assert ox.NamedNode("http://purl.org/dc/terms/title") in {
            quad.predicate for quad in ox.parse(graph.content, ox.RdfFormat.TURTLE)
        }
        assert "<h1>Japan eases demand for US auto tariff repeal" in client.get(SOURCE, headers=PAGE).text

    @pytest.mark.parametrize("path", ["/id/country/XX", "/id/", "/source/none", "/id/%E2%98%83"])
    @pytest.mark.parametrize("headers", [{}, PAGE])
    def test_what_is_not_known_is_404(self, client: httpx.Client, path: str, headers: dict[str, str]) -> None:
        assert client.get(path, headers=headers).status_code == 404

    @pytest.mark.parametrize("path", ["/id/a%3E%20%3Fp%20%3Fo", "/id/a%22b", "/id/%5Cu003E", "/source/a%20b"])
    @pytest.mark.parametrize("headers", [{}, PAGE])
    def test_a_path_that_makes_no_iri_is_400(self, client: httpx.Client, path: str, headers: dict[str, str]) -> None:
        assert client.get(path, headers=headers).status_code == 400

    def test_the_ontology(self, client: httpx.Client) -> None:
        quads = ox.parse(client.get("/ontology").content, ox.RdfFormat.TURTLE)
        classes = {q.subject for q in quads if q.object == ox.NamedNode("http://www.w3.org/2002/07/owl#Class")}
        assert ox.NamedNode("https://w3id.org/parley/ontology#Tariff") in classes

    def test_the_shapes(self, client: httpx.Client) -> None:
        quads = list(ox.parse(client.get("/shapes").content, ox.RdfFormat.TURTLE))
        kind = ox.NamedNode("http://www.w3.org/ns/shacl#NodeShape")
        files = [quad for path in Content.shipped().shapes for quad in ox.parse(path=str(path))]
        assert sum(q.object == kind for q in quads) == sum(q.object == kind for q in files) > 0


class TestService:
    def test_health_names_the_version(self, client: httpx.Client) -> None:
        assert client.get("/health").json() == {"status": "ok", "version": 1, "package": __version__}

    def test_history_lists_the_commits(self, client: httpx.Client) -> None:
        commit = client.get("/history").json()[-1]
        assert (commit["version"], commit["message"]) == (1, "Shipped content")

    @pytest.mark.parametrize("path", ROUTES)
    def test_head_is_get_without_the_body(self, client: httpx.Client, path: str) -> None:
        head, get = client.head(path), client.get(path)
        assert (head.status_code, head.content) == (200, b"") == (get.status_code, b"")
        assert head.headers["content-type"] == get.headers["content-type"]


class TestErrors:
    @pytest.mark.parametrize(
        ("method", "path", "status"),
        [
            ("GET", "/nowhere", 404),
            ("GET", "/docs/static/nothing.js", 404),
            ("GET", "/questions/nothing", 404),
            ("GET", "/id/nothing", 404),
            ("GET", "/source/nothing", 404),
            ("GET", "/graphs?graph=urn:none", 404),
            ("GET", "/sparql?update=CLEAR+ALL", 400),
            ("GET", "/rate", 400),
            ("GET", "/sparql?query=ASK+{}&timeout=never", 400),
            ("GET", "/questions/rounds?format=pdf", 400),
            ("POST", "/sparql", 415),
            ("PUT", "/sparql", 405),
            ("DELETE", "/questions", 405),
            ("POST", "/health", 405),
            ("PATCH", "/graphs", 401),
            ("PATCH", "/ontology", 405),
            ("TRACE", "/graphs", 405),
            ("PROPFIND", "/graphs", 405),
            ("PUT", "/graphs/person/1", 401),
            ("GET", "/graphs/person/1", 404),
            ("PUT", "/graphs", 401),
        ],
    )
    def test_every_error_is_a_problem_document(self, client: httpx.Client, method: str, path: str, status: int) -> None:
        answer = client.request(method, path)
        assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
        problem = answer.json()
        assert problem["status"] == status
        assert problem["title"]
        assert problem["detail"]

    def test_405_names_every_method_of_the_path(self, client: httpx.Client) -> None:
        assert client.delete("/sparql").headers["allow"] == "GET, HEAD, OPTIONS, POST"
        assert client.request("TRACE", "/graphs").headers["allow"] == "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT"

    def test_a_browser_gets_a_page(self, client: httpx.Client) -> None:
        answer = client.get("/questions/nothing", headers=PAGE)
        assert (answer.status_code, answer.headers["content-type"]) == (404, "text/html; charset=utf-8")


class TestOtherOrigins:
    ORIGIN = "https://elsewhere.example"

    def preflight(self, client: httpx.Client, method: str, headers: str = "") -> httpx.Response:
        asked = {"Origin": self.ORIGIN, "Access-Control-Request-Method": method}
        return client.options("/sparql", headers={**asked, "Access-Control-Request-Headers": headers})

    @pytest.mark.parametrize("path", ["/sparql?query=ASK+{}", "/questions/rounds", "/id/country/JP", "/sparql"])
    def test_may_read(self, client: httpx.Client, path: str) -> None:
        answer = client.get(path, headers={"Origin": self.ORIGIN})
        assert answer.headers["access-control-allow-origin"] == "*"
        assert "access-control-allow-credentials" not in answer.headers

    def test_may_post_a_query(self, client: httpx.Client) -> None:
        assert self.preflight(client, "POST", "content-type").status_code == 200

    @pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH"])
    def test_may_not_use_methods_that_write(self, client: httpx.Client, method: str) -> None:
        answer = self.preflight(client, method)
        assert answer.status_code == 400
        assert method not in answer.headers["access-control-allow-methods"]

    @pytest.mark.parametrize("method", ["GET", "POST"])
    def test_may_not_send_a_token(self, client: httpx.Client, method: str) -> None:
        answer = self.preflight(client, method, "authorization")
        assert answer.status_code == 400
        assert "authorization" not in answer.headers["access-control-allow-headers"].lower()


class TestHeaders:
    @pytest.mark.parametrize("path", [*ROUTES, "/nowhere", "/sparql"])
    def test_every_answer_has_the_safe_ones(self, client: httpx.Client, path: str) -> None:
        headers = client.get(path, headers=PAGE).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert ("script-src 'none'" in policy) == (path != "/docs")
        assert "server" not in headers


class TestHostileFacts:
    SCRIPT = "<script>alert(1)</script>"
    FACTS = f"""
        @prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> .
        <https://w3id.org/parley/id/person/mallory> rdfs:label "{SCRIPT}"@en ;
            <http://xmlns.com/foaf/0.1/page> <javascript:alert(1)> , <data:text/html,alert(1)> ;
            <urn:attribute> "\\" onmouseover=\\"alert(1)" ;
            <http://example.org/'onmouseover='alert(1)'> "x" .
        """
    PATHS = (
        "/id/person/mallory",
        "/source/mallory",
        "/sparql?query=SELECT+*+{+GRAPH+?g+{+?s+?p+?o+}+}",
        "/sparql?query=CONSTRUCT+{+?s+?p+?o+}+WHERE+{+GRAPH+?g+{+?s+?p+?o+}+}",
        "/graphs",
        f"/sparql?query=SELECT+{SCRIPT}",
        f"/sparql?query=ASK+{{}}+%23{SCRIPT}%22%3E{SCRIPT}",
        f"/questions/{SCRIPT}",
        f"/questions/rounds?negotiation=%22%3E{SCRIPT}",
        f"/questions/rounds?{SCRIPT}=x",
        f"/id/{SCRIPT}",
    )

    @pytest.fixture(scope="session")
    @staticmethod
    def hostile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
        home = tmp_path_factory.mktemp("hostile") / "home"
        with served(home, "--bare") as server, server.client() as client:
            graph = "https://w3id.org/parley/source/mallory"
            headers = {"Content-Type": "text/turtle", **AUTHORIZED}
            put = client.put("/graphs", params={"graph": graph}, content=TestHostileFacts.FACTS, headers=headers)
            assert put.status_code == 201, put.text
            yield client

    @pytest.mark.parametrize("path", PATHS)
    def test_are_shown_as_text(self, hostile: httpx.Client, path: str) -> None:
        page = hostile.get(path, headers=PAGE)
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        assert "<script" not in page.text.lower()
        assert not re.search(r"<[^<>]*\son\w+\s*=", page.text)

    @pytest.mark.parametrize("path", PATHS[:3])
    def test_only_http_is_linked(self, hostile: httpx.Client, path: str) -> None:
        page = hostile.get(path, headers=PAGE).text
        assert "javascript:alert(1)" in page
        links = re.findall(r'href="([^"]*)"', page)
        assert links
        assert {urlsplit(link).scheme for link in links} <= {"", "http", "https"}


class TestDescription:
    def test_every_route_has_a_summary(self, client: httpx.Client) -> None:
        paths = client.get("/openapi.json").json()["paths"]
        assert set(paths) == {
            "/sparql",
            "/update",
            "/health/live",
            "/health/ready",
            "/metrics",
            "/graphs",
            "/graphs/{path}",
            "/questions",
            "/questions/{name}",
            "/rate",
            "/id/{path}",
            "/source/{path}",
            "/ontology",
            "/shapes",
            "/context.jsonld",
            "/.well-known/void",
            "/health",
            "/history",
        }
        operations = [operation for path in paths.values() for operation in path.values()]
        assert all(operation["summary"] for operation in operations)

    def test_graphs_are_named_by_the_parameter_of_the_protocol(self, client: httpx.Client) -> None:
        graphs = client.get("/openapi.json").json()["paths"]["/graphs"]
        assert set(graphs) == {"get", "put", "post", "patch", "delete"}
        assert all("graph" in {p["name"] for p in operation["parameters"]} for operation in graphs.values())

    def test_writes_need_the_bearer_token(self, client: httpx.Client) -> None:
        paths = client.get("/openapi.json").json()["paths"]
        secured = {(m, path) for path, methods in paths.items() for m, op in methods.items() if op.get("security")}
        graphs = {
            (m, p) for m in ("put", "post", "patch", "delete") for p in ("/graphs", "/graphs/{path}", "/source/{path}")
        }
        assert secured == {*graphs, ("post", "/update")}

    @pytest.mark.parametrize("path", ["/docs", "/", "/questions", "/id/country/JP"])
    def test_pages_load_nothing_from_elsewhere(self, client: httpx.Client, path: str) -> None:
        page = client.get(path, headers=PAGE).text
        loaded = re.findall(r'(?:src="|<link[^>]*href="|url: *[\'"])([^"\']+)', page)
        assert loaded
        for url in loaded:
            assert not urlsplit(url).netloc, url
            assert client.get(url).status_code == 200, url

    def test_the_page_of_the_api_names_no_other_host(self, client: httpx.Client) -> None:
        assert not re.findall(r"https?://", client.get("/docs").text)
