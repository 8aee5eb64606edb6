"""A server that cannot answer says that it is not ready, and one that is told to stop finishes what it does."""

from __future__ import annotations

import os
import signal
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from bench.corpus import ENDLESS
from kg.durable import locked
from kg.store import Versions
from tests.server import AUTHORIZED, Server, kg, select, served, wait_until
from tests.test_http_limits import _is_dead

#: Takes some seconds, however the facts are held, and gives one row.
_MANY = " ".join(map(str, range(4000)))
SLOW = (
    f"SELECT (COUNT(*) AS ?n) {{ VALUES ?a {{ {_MANY} }} VALUES ?b {{ {_MANY} }} FILTER(CONTAINS(STR(?a), STR(?b))) }}"
)


def ready(client: httpx.Client, path: str) -> httpx.Response:
    """The answer of a probe, when the workers had time to open the store."""
    for _ in range(20):
        answer = client.get(path)
        if answer.status_code != 503:
            break
    return answer


class TestReady:
    @pytest.mark.parametrize("path", ["/health", "/health/ready"])
    def test_it_names_the_version_that_answers(self, server: Server, client: httpx.Client, path: str) -> None:
        answer = ready(client, path)
        assert answer.status_code == 200
        assert answer.json()["version"] == Versions(server.home).current()
        assert answer.headers["cache-control"] == "no-store"

    def test_it_is_a_worker_that_answers_and_not_the_cache(self, server: Server, client: httpx.Client) -> None:
        assert ready(client, "/health/ready").status_code == 200
        for pid in server.workers():
            os.kill(pid, signal.SIGKILL)
            while not _is_dead(pid):
                time.sleep(0.01)
        assert ready(client, "/health/ready").status_code == 200
        assert any(not _is_dead(pid) for pid in server.workers())

    def test_it_stays_ready_while_all_workers_are_at_work(self, client: httpx.Client) -> None:
        with ThreadPoolExecutor() as threads:
            for _ in range(2):
                threads.submit(client.post, "/sparql", data={"query": ENDLESS, "timeout": "3"})
            while 'parley_workers_busy{kind="read"} 2.0' not in client.get("/metrics").text:
                time.sleep(0.02)
            assert client.get("/health/ready").status_code == 200

    @pytest.mark.parametrize("path", ["/health", "/health/ready"])
    def test_a_store_that_lost_its_pointer_is_not_ready(self, server: Server, client: httpx.Client, path: str) -> None:
        pointer = server.home / "current"
        kept = pointer.read_text()
        pointer.unlink()
        try:
            answer = client.get(path)
            while "has answered within" in answer.text:  # a worker that is new has not looked for it yet
                answer = client.get(path)
        finally:
            pointer.write_text(kept)
        assert (answer.status_code, answer.headers["content-type"]) == (503, "application/problem+json")
        assert "no readable current version" in answer.json()["detail"]
        assert client.get("/health/live").status_code == 200
        assert ready(client, path).status_code == 200

    def test_a_worker_that_hangs_is_not_ready(self, home: Path) -> None:
        with served(home) as server, server.client() as client:
            assert ready(client, "/health").status_code == 200
            workers = _all_workers(server)
            for pid in workers:
                os.kill(pid, signal.SIGSTOP)
            try:
                answer = client.get("/health/ready")
            finally:
                for pid in workers:
                    os.kill(pid, signal.SIGCONT)
        assert answer.status_code == 503
        assert "No worker has answered" in answer.json()["detail"]


class TestStop:
    @pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGINT])
    def test_a_running_query_gets_its_whole_answer(self, home: Path, sig: signal.Signals) -> None:
        with served(home) as server, ThreadPoolExecutor() as threads, server.client() as client:
            asked = threads.submit(select, client, SLOW)
            workers = _busy(server)
            server.process.send_signal(sig)
            _wait_for_refusal(server)
            assert not asked.done()
            assert len(asked.result()) == 1
            assert server.process.wait(30) == 0
            assert all(map(_is_dead, workers))

    def test_a_stream_is_read_to_its_end(self, home: Path) -> None:
        query, plain = "SELECT * { ?s ?p ?o }", {"Accept-Encoding": "identity"}
        with served(home) as server, server.client() as client:
            whole = client.get("/sparql", params={"query": query, "format": "csv"}).content
            with client.stream(
                "GET", "/sparql", params={"query": query + " #", "format": "csv"}, headers=plain
            ) as answer:
                parts = answer.iter_raw(1000)
                begin = next(parts)
                server.process.send_signal(signal.SIGTERM)
                _wait_for_refusal(server)
                received = begin + b"".join(parts)
            assert len(received) == len(whole)
            assert server.process.wait(30) == 0

    def test_a_load_is_committed_and_nothing_is_left(self, home: Path) -> None:
        facts = "\n".join(f"<https://example.org/{n}> <https://example.org/p> {n} ." for n in range(100_000))
        with served(home.with_name("bare"), "--bare") as server, ThreadPoolExecutor() as threads:
            with server.client() as client:
                put = threads.submit(
                    client.put,
                    "/graphs",
                    params={"graph": "https://example.org/g"},
                    content=facts,
                    headers={**AUTHORIZED, "Content-Type": "text/turtle"},
                )
                _busy(server, "write")
                server.process.send_signal(signal.SIGTERM)
                assert put.result().status_code == 201
            assert server.process.wait(30) == 0
            versions = Versions(server.home)
            assert versions.facts(versions.current()) == 100_000
            assert list((server.home / "staging").iterdir()) == []
            with locked(server.home / "locks" / "writer", wait=False):
                pass

    def test_a_query_longer_than_its_deadline_does_not_hold_the_end_up(self, home: Path) -> None:
        with served(home, KG_DEADLINE="2") as server, ThreadPoolExecutor() as threads, server.client() as client:
            asked = threads.submit(client.post, "/sparql", data={"query": ENDLESS})
            _busy(server)
            server.process.send_signal(signal.SIGTERM)
            assert asked.result().status_code == 503
            assert server.process.wait(30) == 0

    def test_a_second_signal_ends_it_at_once(self, home: Path) -> None:
        with served(home) as server, ThreadPoolExecutor() as threads, server.client() as client:
            asked = threads.submit(client.post, "/sparql", data={"query": ENDLESS})
            workers = _busy(server)
            server.process.send_signal(signal.SIGTERM)
            _wait_for_refusal(server)
            server.process.send_signal(signal.SIGTERM)
            assert server.process.wait(10) == 128 + signal.SIGTERM
            with pytest.raises(httpx.RemoteProtocolError):
                asked.result()
            for pid in workers:
                while not _is_dead(pid):
                    time.sleep(0.01)
        assert "1" in kg(home, "query", "--format", "csv", "SELECT (1 AS ?one) {}")

    def test_the_service_manager_is_told(self, tmp_path: Path) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.bind(str(tmp_path / "notify"))
            manager.settimeout(30)
            with served(tmp_path / "home", "--bare", NOTIFY_SOCKET=str(tmp_path / "notify")) as server:
                assert manager.recv(100) == b"READY=1"
                server.process.send_signal(signal.SIGTERM)
                assert manager.recv(100) == b"STOPPING=1"
                assert server.process.wait(30) == 0


def _all_workers(server: Server) -> list[int]:
    """Its workers, once those are there that it starts by itself: the second one follows the first."""
    wait_until(lambda: len(server.workers()) == 2, "there are two workers")
    return server.workers()


def _busy(server: Server, kind: str = "read") -> list[int]:
    """The workers of a server, once one of them is at work."""
    line = f'parley_workers_busy{{kind="{kind}"}} 1.0'
    with server.client() as client:
        wait_until(lambda: line in client.get("/metrics").text, "a worker is at work")
    return server.workers()


def _wait_for_refusal(server: Server) -> None:
    """Wait until new connections are refused."""
    host, _, port = server.url.removeprefix("http://").rpartition(":")

    def is_refused() -> bool:
        try:
            socket.create_connection((host, int(port))).close()
        except ConnectionRefusedError:
            return True
        return False

    wait_until(is_refused, "new connections are refused")
