"""Nothing that a client sends stops the server: what is too much ends with an error, and the next query is answered."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from bench.corpus import BOMBS, ENDLESS, FLOOD, HEAVY, KILLERS
from bench.hostile import send
from bench.requests import REQUESTS
from tests.server import AUTHORIZED, Server, select, served


@pytest.fixture(scope="module")
def server(shipped_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    home = Path(shutil.copytree(shipped_home, tmp_path_factory.mktemp("limits") / "home"))
    with served(home, KG_MEMORY="1600") as server:
        yield server
        assert server.alive


@pytest.fixture
def client(server: Server) -> Iterator[httpx.Client]:
    """A client of a server that must be the same process, and answer, when the test is over."""
    with server.client() as client:
        yield client
        assert server.alive
        assert select(client, "SELECT (1 AS ?one) {}") == [{"one": "1"}]


def ask(client: httpx.Client, query: str, **parameters: str) -> httpx.Response:
    return client.post("/sparql", data={"query": query, **parameters})


class TestDeadline:
    def test_a_runaway_query_is_stopped(self, client: httpx.Client) -> None:
        answer = ask(client, ENDLESS, timeout="1")
        assert (answer.status_code, answer.headers["content-type"]) == (503, "application/problem+json")
        assert "1 seconds" in answer.json()["detail"]
        assert answer.headers["retry-after"]

    def test_other_queries_are_answered_meanwhile(self, client: httpx.Client) -> None:
        with ThreadPoolExecutor() as threads:
            runaway = threads.submit(ask, client, ENDLESS, timeout="1")
            while not runaway.done():
                assert select(client, "SELECT (1 AS ?one) {}") == [{"one": "1"}]
        assert runaway.result().status_code == 503

    def test_an_answer_cut_short_is_seen_to_be(self, client: httpx.Client) -> None:
        with client.stream("GET", "/sparql", params={"query": FLOOD, "timeout": "5", "format": "tsv"}) as answer:
            assert answer.status_code == 200
            with pytest.raises(httpx.RemoteProtocolError):
                for _ in answer.iter_bytes():
                    pass

    def test_a_client_that_leaves_gives_its_worker_back(self, server: Server, client: httpx.Client) -> None:
        for _ in range(len(server.workers()) + 1):
            with client.stream("GET", "/sparql", params={"query": FLOOD}) as answer:
                next(answer.iter_bytes())
        assert select(client, "SELECT (1 AS ?one) {}") == [{"one": "1"}]


def test_a_query_that_takes_too_much_memory_is_stopped_before_its_deadline(client: httpx.Client) -> None:
    answer = ask(client, FLOOD + " ORDER BY ?c ?f ?a", timeout="30")
    assert answer.status_code == 503
    assert "seconds" not in answer.json()["detail"]


class TestWorkers:
    def test_one_that_is_killed_while_idle_is_replaced_unnoticed(self, server: Server, client: httpx.Client) -> None:
        select(client, "SELECT (1 AS ?one) {}")
        for worker in server.workers():
            os.kill(worker, signal.SIGKILL)
            while not _is_dead(worker):
                time.sleep(0.01)
        for _ in range(4):
            assert select(client, "SELECT (1 AS ?one) {}") == [{"one": "1"}]

    def test_the_start_of_one_is_no_part_of_the_time_of_its_query(self, shipped_home: Path) -> None:
        with served(shipped_home, KG_DEADLINE="0.4") as server, server.client() as client:
            for _ in range(3):
                assert ask(client, "ASK {}").status_code == 200
                for worker in server.workers():
                    os.kill(worker, signal.SIGKILL)
                    while not _is_dead(worker):
                        time.sleep(0.01)

    def test_one_that_is_killed_at_work_costs_its_query_alone(self, server: Server, client: httpx.Client) -> None:
        with ThreadPoolExecutor() as threads:
            running = threads.submit(ask, client, ENDLESS)
            while not running.done():
                time.sleep(0.2)
                for worker in server.workers():
                    os.kill(worker, signal.SIGKILL)
        assert running.result().status_code == 503

    def test_one_that_leaves_a_broken_pipe_does_not_end_the_server(self, server: Server, client: httpx.Client) -> None:
        os.kill(server.pid, signal.SIGPIPE)
        assert select(client, "SELECT (1 AS ?one) {}") == [{"one": "1"}]
        assert server.alive

    def test_they_end_with_the_server(self, shipped_home: Path) -> None:
        with served(shipped_home) as server, server.client() as client:
            select(client, "SELECT (1 AS ?one) {}")
            workers = server.workers()
            assert workers
            server.process.send_signal(signal.SIGINT)
            server.process.wait(30)
            assert all(_is_dead(worker) for worker in workers)

    def test_they_end_when_the_server_is_killed(self, shipped_home: Path) -> None:
        with served(shipped_home) as server, server.client() as client:
            select(client, "SELECT (1 AS ?one) {}")
            workers = server.workers()
            server.process.kill()
            for worker in workers:
                while not _is_dead(worker):
                    time.sleep(0.01)


def _is_dead(pid: int) -> bool:
    """Gone, or waiting for its parent to take note with the last of its threads ended."""
    process = Path(f"/proc/{pid}")
    try:
        threads = len(list((process / "task").iterdir()))
        return threads <= 1 and (process / "stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


@pytest.mark.parametrize("name", KILLERS)
def test_a_query_that_would_end_the_process_is_refused_or_stopped(client: httpx.Client, name: str) -> None:
    answer = ask(client, KILLERS[name], timeout="1")
    assert answer.status_code in (400, 413, 503), answer.text
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("name", HEAVY)
def test_a_heavy_query_is_answered_or_refused_or_stopped(client: httpx.Client, name: str) -> None:
    assert ask(client, HEAVY[name], timeout="1").status_code in (200, 400, 503)


@pytest.mark.parametrize("name", BOMBS)
def test_an_upload_that_would_end_the_process_is_refused(client: httpx.Client, name: str) -> None:
    media, text = BOMBS[name]
    answer = client.put(
        "/graphs",
        params={"graph": "urn:bomb"},
        content=text.encode("utf-8", "surrogateescape"),
        headers={"Content-Type": media, **AUTHORIZED},
    )
    assert answer.status_code in (400, 503), answer.text
    assert client.get("/graphs", params={"graph": "urn:bomb"}).status_code == 404


class TestHeads:
    @pytest.mark.parametrize(
        "name",
        [
            "a line that does not end",
            "a query in a URL that does not end",
            "a header that does not end",
            "a name of a header that does not end",
            "headers that do not end",
            "trailers that do not end",
            "empty lines that do not end",
            "a size of a chunk that does not end",
            "an extension of a chunk that does not end",
        ],
    )
    def test_one_that_does_not_end_is_refused(self, server: Server, client: httpx.Client, name: str) -> None:
        port = httpx.URL(server.url).port or 0
        sent, status = send(("127.0.0.1", port), REQUESTS[name]())
        assert status == 431
        assert sent < 20_000_000  # what the buffers between the two take in before anybody reads it

    def test_the_refusal_is_a_problem_document_that_says_what_would_be_right(self, client: httpx.Client) -> None:
        answer = client.get("/sparql", params={"query": "ASK {}"}, headers={"X-Long": "x" * 1_000_000})
        assert (answer.status_code, answer.headers["content-type"]) == (431, "application/problem+json")
        assert answer.json()["hint"] == "Send long queries by POST."

    def test_many_requests_on_one_connection_are_no_long_head(self, client: httpx.Client) -> None:
        for _ in range(4):
            headers = {"X-Long": "x" * 60_000}
            assert client.get("/health/live", headers=headers).status_code == 200
            assert client.post("/sparql", data={"query": "ASK {} #" + "x" * 200_000}).status_code == 200
