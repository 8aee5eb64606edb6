"""The limits of an answer over HTTP: what is cut says so, what is too large is refused, and all else is whole."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from kg import formats
from kg.client import Client
from kg.engines import EndpointReader
from kg.errors import BadRequest, Oversize
from kg.evaluation import Question
from kg.graph import EndpointGraph
from kg.settings import Settings
from tests.conftest import CONTENT
from tests.server import Server, served

HEADER = "Parley-Truncated"
MANY = "SELECT ?s ?p ?o { ?s ?p ?o } ORDER BY ?s ?p ?o"
TEN = "SELECT * { VALUES ?n { 0 1 2 3 4 5 6 7 8 9 } }"


@pytest.fixture(scope="module")
def limited(shipped_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server whose operator has limits of his own."""
    home = Path(shutil.copytree(shipped_home, tmp_path_factory.mktemp("limited") / "home"))
    with served(home, KG_MAX_ROWS="7", KG_MAX_BYTES="20000") as server:
        yield server


def ask(client: httpx.Client, query: str, **given: Any) -> httpx.Response:
    """Asked with names in Python for those of the parameters: `max_rows`, `format`."""
    return client.get("/sparql", params={"query": query, **{k.replace("_", "-"): v for k, v in given.items()}})


def rows(answer: httpx.Response) -> list[Any]:
    assert answer.status_code == 200, answer.text
    found: list[Any] = answer.json()["results"]["bindings"]
    return found


class TestRows:
    def test_an_answer_with_more_has_the_first_ones_and_says_so(self, client: httpx.Client) -> None:
        answer = ask(client, MANY, max_rows=4)
        assert answer.headers[HEADER] == "rows=4"
        assert rows(answer) == rows(ask(client, f"{MANY} LIMIT 4"))

    @pytest.mark.parametrize("most", [10, 11])
    def test_an_answer_without_more_is_whole_and_says_nothing(self, client: httpx.Client, most: int) -> None:
        answer = ask(client, TEN, max_rows=most)
        assert len(rows(answer)) == 10
        assert HEADER not in answer.headers

    def test_a_query_without_end_is_answered_at_once(self, client: httpx.Client) -> None:
        answer = ask(client, "SELECT * { ?a ?b ?c . ?d ?e ?f . ?g ?h ?i }", max_rows=3)
        assert (len(rows(answer)), answer.headers[HEADER]) == (3, "rows=3")

    def test_an_answer_of_megabytes_comes_whole(self, client: httpx.Client) -> None:
        whole = client.get("/sparql", params={"query": MANY})
        found = ask(client, MANY, max_rows=10**9, max_bytes=10**9)
        assert len(whole.content) > 2 << 20
        assert found.content == whole.content
        assert HEADER not in found.headers

    def test_one_that_is_remembered_still_says_so(self, client: httpx.Client) -> None:
        query = f"{MANY} # remembered"
        first, again = ask(client, query, max_rows=5), ask(client, query, max_rows=5)
        assert first.content == again.content
        assert first.headers[HEADER] == again.headers[HEADER] == "rows=5"
        assert len(rows(ask(client, query, max_rows=6))) == 6

    def test_a_large_one_that_is_remembered_still_says_so(self, client: httpx.Client) -> None:
        """It comes in chunks at first."""
        first, again = ask(client, MANY, max_rows=2000), ask(client, MANY, max_rows=2000)
        assert len(first.content) > 1 << 17
        assert first.content == again.content
        assert first.headers[HEADER] == again.headers[HEADER] == "rows=2000"

    def test_a_graph_is_cut_after_so_many_triples(self, client: httpx.Client) -> None:
        answer = ask(client, "CONSTRUCT WHERE { ?s ?p ?o }", max_rows=3, format="ntriples")
        assert (answer.text.count(" .\n"), answer.headers[HEADER]) == (3, "rows=3")

    def test_a_form_and_the_url_of_a_direct_post_take_it(self, client: httpx.Client) -> None:
        by_form = client.post("/sparql", data={"query": TEN, "max-rows": "2"})
        direct = client.post(
            "/sparql", params={"max-rows": 2}, content=TEN, headers={"Content-Type": "application/sparql-query"}
        )
        for answer in (by_form, direct):
            assert (len(rows(answer)), answer.headers[HEADER]) == (2, "rows=2")

    def test_a_page_says_it_in_words_and_links_to_the_same(self, client: httpx.Client) -> None:
        page = ask(client, TEN, max_rows=2, format="html")
        assert page.headers[HEADER] == "rows=2"
        assert "These are the first 2 rows; there are more." in page.text
        assert "max-rows=2&amp;format=csv" in page.text
        assert "there are more" not in ask(client, TEN, format="html").text
        assert "the first 1 triples" in ask(client, "CONSTRUCT WHERE { ?s ?p ?o }", max_rows=1, format="html").text

    def test_pages_of_other_origins_see_it(self, client: httpx.Client) -> None:
        answer = client.get("/sparql", params={"query": TEN, "max-rows": 2}, headers={"Origin": "https://example.org"})
        assert HEADER in answer.headers["access-control-expose-headers"]


class TestBytes:
    def test_an_answer_of_more_bytes_is_refused_as_a_whole(self, client: httpx.Client) -> None:
        size = len(ask(client, TEN).content)
        assert ask(client, TEN, max_bytes=size).status_code == 200
        answer = ask(client, TEN, max_bytes=size - 1)
        assert (answer.status_code, answer.headers["content-type"]) == (503, "application/problem+json")
        assert answer.json()["title"] == "Answer too large"
        assert answer.json()["detail"] == f"The answer has more than {size - 1:,} bytes. {answer.json()['hint']}"

    @pytest.mark.parametrize("format", ["turtle", "compact", "jsonld", "rdfxml", "ntriples"])
    def test_that_holds_for_graphs(self, client: httpx.Client, format: str) -> None:
        query = "CONSTRUCT WHERE { country:JP ?p ?o }"
        size = len(ask(client, query, format=format).content)
        assert ask(client, query, format=format, max_bytes=size).status_code == 200
        assert ask(client, query, format=format, max_bytes=size - 1).status_code == 503

    def test_it_is_noticed_before_the_query_has_ended(self, client: httpx.Client) -> None:
        answer = ask(client, "SELECT * { ?a ?b ?c . ?d ?e ?f . ?g ?h ?i }", max_bytes=1_000_000)
        assert (answer.status_code, answer.json()["title"]) == (503, "Answer too large")

    def test_the_bytes_are_those_of_what_is_left_after_the_cut(self, client: httpx.Client) -> None:
        answer = ask(client, MANY, max_rows=5, max_bytes=5_000)
        assert (len(rows(answer)), answer.headers[HEADER]) == (5, "rows=5")

    def test_the_log_and_the_metrics_tell_it_apart(self, server: Server, client: httpx.Client) -> None:
        metric = 'parley_queries_total{outcome="size"}'
        before = [line for line in client.get("/metrics").text.splitlines() if line.startswith(metric)]
        client.get("/sparql", params={"query": TEN, "max-bytes": 10}, headers={"X-Request-ID": "too-large"})
        assert server.line("too-large")["outcome"] == "size"
        after = [line for line in client.get("/metrics").text.splitlines() if line.startswith(metric)]
        assert after
        assert after != before

    def test_it_costs_no_worker(self, server: Server, client: httpx.Client) -> None:
        before = server.workers()
        for _ in range(4):
            assert ask(client, TEN, max_bytes=10).status_code == 503
        assert server.workers() == before


def test_an_error_after_much_of_a_held_answer_is_still_a_status(client: httpx.Client) -> None:
    query = "SELECT * { ?a ?b ?c . ?d ?e ?f . ?g ?h ?i }"
    answer = ask(client, query, max_rows=10**12, timeout=1)
    assert (answer.status_code, answer.json()["title"]) == (503, "Stopped")


@pytest.mark.parametrize("name", ["max-rows", "max-bytes"])
@pytest.mark.parametrize("text", ["0", "-1", "many", "1.5", "nan", "1e3", "9" * 19, "9" * 6000, "٣ ٤"])
def test_a_limit_that_is_none_is_refused(client: httpx.Client, name: str, text: str) -> None:
    for answer in (
        client.get("/sparql", params={"query": TEN, name: text}),
        client.post("/sparql", data={"query": TEN, name: text}),
    ):
        assert (answer.status_code, answer.headers["content-type"]) == (400, "application/problem+json")
        assert name in answer.json()["detail"]


class TestOperator:
    def test_the_ceiling_of_the_operator_holds_for_all(self, limited: Server) -> None:
        with limited.client() as client:
            for given, most in (({}, 7), ({"max_rows": 10**6}, 7), ({"max_rows": 3}, 3)):
                answer = ask(client, TEN, **given)
                assert (len(rows(answer)), answer.headers[HEADER]) == (most, f"rows={most}")
            large = "SELECT (GROUP_CONCAT(STR(?o)) AS ?all) { ?s ?p ?o }"
            assert ask(client, large).status_code == ask(client, large, max_bytes=10**9).status_code == 503

    def test_named_questions_are_cut_and_say_so(self, limited: Server) -> None:
        with limited.client() as client:
            answer = client.get("/questions/concessions-by-tariff")
            assert (len(rows(answer)), answer.headers[HEADER]) == (7, "rows=7")

    def test_their_pages_are_whole_and_lead_on(self, limited: Server) -> None:
        with limited.client() as client:
            answer = client.get("/questions/concessions-by-tariff", params={"limit": 7})
            assert len(rows(answer)) == 7
            assert HEADER not in answer.headers
            assert 'rel="next"' in answer.headers["Link"]
            refused = client.get("/questions/concessions-by-tariff", params={"limit": 8})
            assert (refused.status_code, refused.json()["hint"]) == (400, "It gives 7.")
            page = client.get("/questions/concessions-by-tariff", headers={"Accept": "text/html"})
            assert "limit=7&amp;offset=7" in page.text

    def test_the_other_routes_go_on(self, limited: Server) -> None:
        with limited.client() as client:
            assert len(client.get("/graphs").json()) > 7
            for path in ("/", "/id/country/JP", "/ontology", "/.well-known/void", "/health/ready"):
                answer = client.get(path, headers={"Accept": "text/html, */*;q=0.5"})
                assert answer.status_code == 200, path
                assert HEADER not in answer.headers


class TestClients:
    def test_python_is_told_of_a_cut_and_gets_no_rows(self, limited: Server) -> None:
        client = Client(limited.url)
        assert len(client.query(f"{TEN} LIMIT 7")) == 7
        for call in (
            lambda: client.query(TEN),
            lambda: client.question("concessions-by-tariff"),
            lambda: client.construct("CONSTRUCT WHERE { ?s ?p ?o }"),
        ):
            with pytest.raises(Oversize, match=r"cuts its answer \(rows=7\)"):
                call()

    def test_python_is_told_of_what_is_too_large(self, limited: Server) -> None:
        with pytest.raises(Oversize, match="more than 20,000 bytes"):
            Client(limited.url).query("SELECT (GROUP_CONCAT(STR(?o)) AS ?all) { ?s ?p ?o }")

    def test_reading_an_endpoint_tells_of_a_cut(self, limited: Server) -> None:
        reader = EndpointReader(f"{limited.url}/sparql", 30)
        assert reader.answer(Question("ASK {}"), formats.ROWS[0])
        with pytest.raises(Oversize, match=r"/sparql cuts its answer \(rows=7\)"):
            reader.answer(Question(TEN), formats.ROWS[0])

    def test_calling_an_endpoint_tells_of_a_cut(self, limited: Server, bare_server: Server, tmp_path: Path) -> None:
        url = f"{limited.url}/sparql"
        with served(tmp_path / "home", "--bare", KG_ALLOW_SERVICE=url) as server, server.client() as client:
            answer = ask(client, f"SELECT * {{ SERVICE <{url}> {{ VALUES ?n {{ 0 1 2 3 4 5 6 7 8 9 }} }} }}")
            assert answer.status_code == 502
            assert "cuts its answer (rows=7)" in answer.json()["detail"]


@pytest.mark.parametrize("given", [{"max_rows": 5}, {"max_bytes": 5}])
def test_another_endpoint_is_held_to_no_limits_and_says_so(given: dict[str, Any]) -> None:
    with pytest.raises(BadRequest, match="set limits at the endpoint"):
        EndpointGraph("http://127.0.0.1:1/", CONTENT, Settings(**given))


def test_over_another_endpoint_a_limit_of_a_request_is_refused(bare_server: Server, tmp_path: Path) -> None:
    options = ("--store", f"{bare_server.url}/sparql")
    with served(tmp_path / "home", options=options) as server, server.client() as client:
        assert ask(client, TEN).status_code == 200
        for given in ({"max_rows": 5}, {"max_bytes": 5}):
            assert ask(client, TEN, **given).status_code == 400
