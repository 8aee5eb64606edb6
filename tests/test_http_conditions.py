"""Conditional requests: what is read again only if it changed, and writes that do not overwrite what others wrote."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request

from kg import formats
from kg.conditions import Expected, NotModified, read_expected, tag_headers
from kg.content import Content
from kg.errors import BadRequest, PreconditionFailed
from kg.graph import EmbeddedGraph
from kg.loading import load, remove, update
from kg.parsing import Document
from kg.pool import Answer
from kg.settings import Settings
from kg.store import Versions
from kg.streaming import stream
from tests.server import AUTHORIZED, Server, served

TURTLE, UPDATE = ({"Content-Type": media, **AUTHORIZED} for media in ("text/turtle", "application/sparql-update"))
PAGE = "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8"
RATE = "/rate?importer=US&origin=JP&product=8703.23.01&on=2025-06-07"
ROUTES = [
    "/sparql",
    "/sparql?query=ASK%7B%7D",
    "/sparql?query=CONSTRUCT+WHERE+%7B%3Fs+a+%3Fo%7D",
    "/graphs",
    "/graphs?default",
    "/questions",
    "/questions/rounds",
    "/id/country/JP",
    "/source/2025-06-06-cna-scaled-auto-tariff",
    "/ontology",
    "/shapes",
    "/.well-known/void",
]


@pytest.fixture
def bare(bare_server: Server) -> Iterator[httpx.Client]:
    """A client of a store that holds two graphs, which say 0."""
    with bare_server.client() as client:
        client.post("/update", content="CLEAR ALL", headers=UPDATE)
        for graph in ("a", "b"):
            put(client, graph, 0)
        yield client


def put(client: httpx.Client, graph: str, value: int, **conditions: str) -> int:
    headers = {**TURTLE, **{name.replace("_", "-"): text for name, text in conditions.items()}}
    return client.put(f"/graphs/{graph}", content=f"<urn:x> <urn:is> {value} .", headers=headers).status_code


def tag(client: httpx.Client, path: str) -> str:
    return client.get(path, headers={"Accept-Encoding": "identity"}).headers["etag"]


class TestReading:
    @pytest.mark.parametrize("accept", ["*/*", PAGE])
    @pytest.mark.parametrize("path", [*ROUTES, "/", "/history", RATE])
    def test_what_the_client_holds_is_not_sent_again(self, client: httpx.Client, path: str, accept: str) -> None:
        first = client.get(path, headers={"Accept": accept})
        assert (first.status_code, first.headers["cache-control"]) == (200, "no-cache")
        for method in ("GET", "HEAD"):
            again = client.request(
                method, path, headers={"Accept": accept, "If-None-Match": f'"x, y", {first.headers["etag"]}'}
            )
            assert (again.status_code, again.content) == (304, b"")
            assert again.headers["etag"] == first.headers["etag"]
            assert "accept" in again.headers["vary"].lower()

    @pytest.mark.parametrize("path", ROUTES)
    def test_each_format_has_a_tag_of_its_own(self, client: httpx.Client, path: str) -> None:
        tags = {client.get(path, headers={"Accept": accept}).headers["etag"] for accept in ("*/*", PAGE)}
        assert len(tags) == (1 if path == "/graphs?default" else 2)

    @pytest.mark.parametrize("given", ['"1-0-turtle"', "nonsense", '""', "W/"])
    def test_what_it_holds_of_another_state_is(self, client: httpx.Client, given: str) -> None:
        assert client.get("/id/country/JP", headers={"If-None-Match": given}).status_code == 200

    def test_a_commit_changes_the_tag(self, bare: httpx.Client) -> None:
        before = tag(bare, "/graphs/a")
        assert bare.get("/graphs/a", headers={"If-None-Match": before}).status_code == 304
        put(bare, "a", 1)
        answer = bare.get("/graphs/a", headers={"If-None-Match": before})
        assert (answer.status_code, answer.headers["etag"] != before) == (200, True)

    @pytest.mark.parametrize("path", ["/graphs/none", "/graphs?graph=urn:none", "/id/nothing", "/questions/none"])
    def test_what_is_not_there_is_404_all_the_same(self, bare: httpx.Client, path: str) -> None:
        assert bare.get(path, headers={"If-None-Match": "*"}).status_code == 404

    def test_a_problem_has_no_tag(self, client: httpx.Client) -> None:
        for accept in ("*/*", PAGE):
            answer = client.get("/questions/round-participants?number=five", headers={"Accept": accept})
            assert (answer.status_code, "etag" in answer.headers) == (400, False)

    def test_health_is_not_kept(self, client: httpx.Client) -> None:
        assert client.get("/health").headers["cache-control"] == "no-store"

    def test_a_description_without_its_counts_has_no_tag(self, tmp_path: Path) -> None:
        """The same version is described otherwise once it could be counted."""
        with served(tmp_path / "home", "--bare", KG_DEADLINE="0.00001") as server, server.client() as client:
            answer = client.get("/.well-known/void")
            assert (answer.status_code, "etag" in answer.headers) == (200, False)

    @pytest.mark.parametrize(("version", "tags"), [(2, ['W/"2-x-turtle"']), (1, []), (22, [])])
    def test_an_answer_of_another_version_has_no_tag(self, version: int, tags: list[str]) -> None:
        async def nothing() -> AsyncIterator[bytes]:
            yield b""

        answer = stream(Answer({"version": version}, nothing()), formats.GRAPHS[0], {"ETag": 'W/"2-x-turtle"'})
        assert answer.headers.getlist("etag") == tags

    def test_two_stores_do_not_share_a_tag(self, tmp_path: Path) -> None:
        marks = set()
        for name in ("a", "b"):
            versions = Versions.create(tmp_path / name, bare=True)
            load(versions, [document(f"urn:{name}")], Content.shipped())
            marks.add(EmbeddedGraph(versions, Content.shipped(), Settings(home=tmp_path / name)).mark(1))
        assert len(marks) == 2


class TestWriting:
    def test_the_first_of_two_who_read_the_same_wins(self, bare: httpx.Client) -> None:
        held = tag(bare, "/graphs/a")
        assert put(bare, "a", 1, If_Match=held) == 200
        answer = bare.put("/graphs/a", content="<urn:x> <urn:is> 2 .", headers={**TURTLE, "If-Match": held})
        assert (answer.status_code, answer.json()["title"]) == (412, "Precondition failed")
        assert '"1"' in bare.get("/graphs/a?format=ntriples").text

    def test_a_commit_to_another_graph_does_not_matter(self, bare: httpx.Client) -> None:
        held = tag(bare, "/graphs/a")
        assert put(bare, "b", 1) == 200
        assert put(bare, "a", 2, If_Match=held) == 200

    @pytest.mark.parametrize("path", ["/graphs/a", "/graphs?default"])
    def test_holds_for_every_method(self, bare: httpx.Client, path: str) -> None:
        bare.put(path, content="<urn:x> <urn:is> 3 .", headers=TURTLE)
        held = tag(bare, path)
        bare.put(path, content="<urn:x> <urn:is> 4 .", headers=TURTLE)
        for method, headers, body in (
            ("PUT", TURTLE, ""),
            ("POST", TURTLE, "<urn:x> <urn:is> 5 ."),
            ("PATCH", UPDATE, "CLEAR DEFAULT"),
            ("DELETE", AUTHORIZED, ""),
        ):
            for dry_run in ("true", "false"):
                answer = bare.request(
                    method, path, params={"dry-run": dry_run, **dict(httpx.QueryParams(path.partition("?")[2]))},
                    content=body, headers={**headers, "If-Match": held},
                )  # fmt: skip
                assert answer.status_code == 412, (method, answer.text)
        assert bare.request("DELETE", path, headers={**AUTHORIZED, "If-Match": tag(bare, path)}).status_code == 200

    def test_any_tag_that_still_holds_will_do(self, bare: httpx.Client) -> None:
        assert (
            put(
                bare, "a", 1, If_Match=f'"old", {tag(bare, "/graphs/a?format=jsonld").removeprefix("W/")}, "1-0-turtle"'
            )
            == 200
        )

    @pytest.mark.parametrize("given", ['"1-0-turtle"', '"999999-0-turtle"', "nonsense", '"99999999999999999999-a-b"'])
    def test_a_tag_that_is_not_of_this_store_never_holds(self, bare: httpx.Client, given: str) -> None:
        assert put(bare, "a", 1, If_Match=given) == 412

    def test_a_star_asks_that_the_graph_is_there(self, bare: httpx.Client) -> None:
        assert (put(bare, "a", 1, If_Match="*"), put(bare, "new", 1, If_Match="*")) == (200, 412)

    def test_a_star_of_none_asks_that_it_is_not(self, bare: httpx.Client) -> None:
        assert (put(bare, "a", 1, If_None_Match="*"), put(bare, "new", 1, If_None_Match="*")) == (412, 201)
        assert put(bare, "a", 1, If_None_Match='"x"') == 400

    def test_a_graph_that_came_or_went_has_changed(self, bare: httpx.Client) -> None:
        held = tag(bare, "/graphs/a")
        bare.delete("/graphs/a", headers=AUTHORIZED)
        assert put(bare, "a", 1, If_Match=held) == 412
        assert put(bare, "a", 1) == 201
        assert put(bare, "a", 2, If_Match=held) == 412

    def test_a_data_set_goes_by_the_whole_store(self, bare: httpx.Client) -> None:
        body, headers = "GRAPH <urn:g> { <urn:x> <urn:is> 1 }", {"Content-Type": "application/trig", **AUTHORIZED}
        held = tag(bare, "/graphs")
        put(bare, "b", 1)
        assert bare.put("/graphs", content=body, headers={**headers, "If-Match": held}).status_code == 412
        held = tag(bare, "/graphs")
        assert bare.put("/graphs", content=body, headers={**headers, "If-Match": held}).status_code == 201

    def test_so_does_an_update(self, bare: httpx.Client) -> None:
        held = tag(bare, "/graphs")
        for status in (200, 412):
            text = f"INSERT DATA {{ <urn:x> <urn:is> {status} }}"
            answer = bare.post("/update", content=text, headers={**UPDATE, "If-Match": held})
            assert answer.status_code == status

    def test_no_update_is_lost_among_many_writers(self, bare: httpx.Client) -> None:
        def count_up(_: int) -> int:
            """Read the number and write the next one, until nobody came between."""
            for attempt in range(100):
                answer = bare.get("/graphs/a?format=ntriples")
                found = re.search(r'"(\d+)"', answer.text)
                assert found
                status = put(bare, "a", int(found[1]) + 1, If_Match=answer.headers["etag"])
                if status == 200:
                    return attempt
                assert status == 412
            raise AssertionError("never came through")

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(count_up, range(12)))
        assert '"12"' in bare.get("/graphs/a?format=ntriples").text


def document(graph: str, text: str = "<urn:x> <urn:is> 1 .") -> Document:
    return Document("a test", text.encode(), formats.GRAPHS[0], graph)


class TestUnderTheLock:
    """The expectation is looked at where the write has the lock, whatever the server saw before."""

    @pytest.mark.parametrize("expected", [Expected(since=(1,)), Expected(exists=False), Expected(since=())])
    def test_each_way_to_write_holds_to_it(self, tmp_path: Path, expected: Expected) -> None:
        versions, content = Versions.create(tmp_path / "home", bare=True), Content.shipped()
        for value in (1, 2):
            load(versions, [document("urn:g", f"<urn:x> <urn:is> {value} .")], content)
        writes: list[Callable[[], object]] = [
            lambda: load(versions, [document("urn:g")], content, expected=expected),
            lambda: remove(versions, ["urn:g"], content, expected=expected),
            lambda: update(versions, "CLEAR DEFAULT", content, within="urn:g", expected=expected),
        ]
        for write in writes:
            with pytest.raises(PreconditionFailed):
                write()
        assert versions.current() == 2
        assert load(versions, [document("urn:g")], content, expected=Expected(since=(2,), exists=True)).record


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> EmbeddedGraph:
    home = tmp_path_factory.mktemp("conditions") / "home"
    return EmbeddedGraph(Versions.create(home, bare=True), Content.shipped(), Settings(home=home))


class TestAnyHeader:
    """Whatever a client sends as a condition, it is one, or is refused in words."""

    @given(match=st.text(), none_match=st.text())
    def test_of_a_write(self, empty: EmbeddedGraph, match: str, none_match: str) -> None:
        with suppress(BadRequest):
            expected = read_expected(asked({"if-match": match, "if-none-match": none_match}), empty)
            assert expected.since is None or set(expected.since) <= {0}

    @given(st.text(alphabet='W/"0123-turtle, *'))
    def test_of_a_reader(self, empty: EmbeddedGraph, given: str) -> None:
        try:
            assert tag_headers(asked({"if-none-match": given}), empty, "turtle") == {"ETag": 'W/"0-0-turtle"'}
        except NotModified:
            assert given.strip() == "*" or '"0-0-turtle"' in given


def asked(headers: dict[str, str]) -> Request:
    raw = [(name.encode(), value.encode("utf-8", "surrogatepass")) for name, value in headers.items()]
    return Request({"type": "http", "headers": raw})


@pytest.mark.parametrize("query", ["SELECT (NOW() AS ?now) {}", "SELECT (RAND() AS ?number) {}"])
def test_what_may_be_otherwise_the_next_time_has_no_tag(client: httpx.Client, query: str) -> None:
    answer = client.get("/sparql", params={"query": query}, headers={"If-None-Match": "*"})
    assert (answer.status_code, "etag" in answer.headers) == (200, False)


def test_a_query_that_is_posted_has_no_tag(client: httpx.Client) -> None:
    answer = client.post("/sparql", data={"query": "ASK {}"}, headers={"If-None-Match": "*"})
    assert (answer.status_code, "etag" in answer.headers) == (200, False)
