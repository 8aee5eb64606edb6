"""Each request has an id and leaves one line in the log, which says what it was and nothing of what it said."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import signal
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from bench.corpus import ENDLESS, FLOOD
from kg.errors import ParleyError
from kg.problems import install
from kg.telemetry import FIELDS, Telemetry
from kg.tracing import Trace, current
from kg.wire import problem, rebuild
from tests.server import AUTHORIZED, TOKEN, Server, select, served


def line(server: Server, answer: httpx.Response) -> dict[str, Any]:
    return server.line(answer.headers["x-request-id"])


class TestId:
    def test_each_request_gets_one_of_its_own(self, client: httpx.Client) -> None:
        ids = {client.get("/health/live").headers["x-request-id"] for _ in range(3)}
        assert len(ids) == 3

    def test_that_of_the_client_is_taken_and_sent_back(self, server: Server, client: httpx.Client) -> None:
        answer = client.get("/health/live", headers={"X-Request-ID": "caller-4.2_a"})
        assert answer.headers.get_list("x-request-id") == ["caller-4.2_a"]
        assert server.line("caller-4.2_a")["route"] == "/health/live"

    @pytest.mark.parametrize("given", ["", "two words", 'a"b', "x" * 65, "ä", "a\tb"])
    def test_one_that_could_spoil_a_log_is_not_taken(self, client: httpx.Client, given: str) -> None:
        answer = client.get("/health/live", headers=[(b"X-Request-ID", given.encode("latin-1"))])
        assert answer.headers["x-request-id"] not in ("", given)

    def test_a_problem_carries_it(self, client: httpx.Client) -> None:
        answer = client.get("/nowhere", headers={"X-Request-ID": "lost"})
        assert answer.json()["request"] == "lost"


class TestLine:
    def test_it_has_the_fields_that_are_documented_in_their_order(self, server: Server, client: httpx.Client) -> None:
        query = "SELECT (COUNT(*) AS ?n) { ?s a trade:Tariff }"
        found = line(server, client.get("/sparql", params={"query": query}))
        order = ["time", "level", *FIELDS]
        assert [name for name in found if name not in order] == []
        assert list(found) == sorted(found, key=order.index)
        assert found["client"] == "127.0.0.1"
        known = ("method", "route", "status", "outcome", "job", "cache", "digest", "version")
        digest = sha256(query.encode()).hexdigest()[:16]
        assert [found[name] for name in known] == ["GET", "/sparql", 200, "ok", "query", "miss", digest, 1]

    def test_bytes_are_those_of_the_body(self, server: Server, client: httpx.Client) -> None:
        answer = client.get("/source/us-eo-14257", params={"format": "ntriples"}, headers={"Accept-Encoding": ""})
        assert line(server, answer)["bytes"] == len(answer.content)

    def test_the_second_time_the_cache_has_it(self, server: Server, client: httpx.Client) -> None:
        query = {"query": "ASK { country:JP ?p ?o }"}
        lines = [line(server, client.get("/sparql", params=query)) for _ in range(2)]
        assert [found["cache"] for found in lines] == ["miss", "hit"]

    def test_path_is_told_by_its_template(self, server: Server, client: httpx.Client) -> None:
        assert line(server, client.get("/id/country/JP"))["route"] == "/id/{path}"
        assert line(server, client.head("/id/country/JP"))["route"] == "/id/{path}"
        assert line(server, client.get("/questions/rounds"))["route"] == "/questions/{name}"
        assert line(server, client.get("/wp-login.php"))["route"] == "other"
        assert line(server, client.request("PROPFIND", "/sparql"))["method"] == "other"

    def test_neither_queries_nor_tokens_stand_in_the_log(self, server: Server, client: httpx.Client) -> None:
        client.get("/sparql", params={"query": "ASK { ?hush ?p ?o }"})
        client.post("/sparql", data={"query": "ASK { ?hush"})
        client.post("/update", data={"update": "INSERT hush"}, headers=AUTHORIZED)
        answer = client.get("/rate", params={"importer": "hush"}, headers={"Authorization": "Bearer hush"})
        line(server, answer)
        text = server.log.read_text()
        assert "hush" not in text
        assert TOKEN not in text

    def test_what_was_refused_says_so(self, server: Server, client: httpx.Client) -> None:
        found = line(server, client.post("/update", data={"update": "INSERT"}, headers=AUTHORIZED))
        assert (found["status"], found["outcome"], found["job"]) == (400, "refused", "update")

    def test_writes_tell_their_job(self, server: Server, client: httpx.Client) -> None:
        dry = {"graph": "source:notes", "dry-run": "true"}
        put = client.put(
            "/graphs", params=dry, content="", headers={**AUTHORIZED, "Content-Type": "application/n-triples"}
        )
        gone = client.delete("/graphs", params=dry, headers=AUTHORIZED)
        assert [line(server, answer)["job"] for answer in (put, gone)] == ["load", "remove"]

    def test_a_query_that_its_deadline_stopped_says_so(self, server: Server, client: httpx.Client) -> None:
        found = line(server, client.post("/sparql", data={"query": ENDLESS, "timeout": "0.5"}))
        assert (found["status"], found["outcome"]) == (503, "deadline")

    def test_an_answer_that_was_cut_says_so_in_one_line(self, server: Server, client: httpx.Client) -> None:
        select(client, "SELECT (2 AS ?two) {}")  # a worker that is new would be stopped before its first byte
        query = {"query": FLOOD, "timeout": "2", "format": "tsv"}
        with pytest.raises(httpx.RemoteProtocolError):
            client.get("/sparql", params=query, headers={"X-Request-ID": "cut"})
        assert server.line("cut")["outcome"] == "deadline"
        select(client, "SELECT (1 AS ?one) {}")
        assert [found for found in server.lines(bool) if found.get("id") == "cut" and "status" not in found] == []

    def test_a_client_that_left_is_told(self, server: Server, client: httpx.Client) -> None:
        params = {"query": FLOOD, "format": "csv"}
        with client.stream("GET", "/sparql", params=params, headers={"X-Request-ID": "gone"}) as answer:
            next(answer.iter_bytes())
        assert server.line("gone")["outcome"] == "left"

    def test_a_worker_that_died_is_told(self, server: Server, client: httpx.Client) -> None:
        query = {"query": ENDLESS}

        async def kill() -> int:
            async with httpx.AsyncClient(base_url=server.url, timeout=60) as asking:
                task = asyncio.create_task(asking.get("/sparql", params=query, headers={"X-Request-ID": "dead"}))
                while not task.done():
                    await asyncio.sleep(0.3)
                    for pid in server.workers():
                        os.kill(pid, signal.SIGKILL)
                return task.result().status_code

        assert asyncio.run(kill()) == 503
        assert server.line("dead")["outcome"] == "memory"


class TestFaults:
    def test_a_store_that_cannot_be_read_is_logged_with_the_id(self, shipped_home: Path, tmp_path: Path) -> None:
        home = Path(shutil.copytree(shipped_home, tmp_path / "home"))
        with served(home) as server, server.client() as client:
            client.get("/health")
            (home / "current").write_text("nonsense")
            answer = client.get("/rate", headers={"X-Request-ID": "hurt"}, params={**_RATE})
            assert answer.status_code == 500
            lines = server.lines(lambda lines: sum(found.get("id") == "hurt" for found in lines) == 2)
            [fault] = [found for found in lines if found.get("id") == "hurt" and "status" not in found]
            assert fault["level"] == "error"
            assert "no readable current version" in fault["message"]

    def test_a_fault_in_a_worker_brings_its_traceback(self) -> None:
        try:
            raise KeyError("nobody thought of it")
        except KeyError as error:
            told = rebuild(problem(error))
        assert type(told) is ParleyError
        assert "test_telemetry.py" in told.origin
        assert "test_telemetry.py" not in str(told)

    def test_a_fault_in_a_worker_is_told_to_the_log_and_not_to_the_client(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        app = FastAPI()
        install(app)

        @app.get("/")
        async def fault() -> None:
            raise rebuild(problem(KeyError("nobody thought of it")))

        answer = asyncio.run(_get(app))
        assert (answer.status_code, answer.json()["title"]) == (500, "Internal error")
        assert "nobody thought" not in answer.text
        assert "nobody thought" in caplog.text

    def test_a_fault_in_the_server_is_measured_and_goes_on(self, caplog: pytest.LogCaptureFixture) -> None:
        seen: list[Trace] = []

        class Counting:
            def observe(self, trace: Trace, *_: Any) -> None:
                seen.append(trace)

        async def fault(*_: Any) -> None:
            current().route = "/here"
            raise RuntimeError("a fault")

        app = Telemetry(fault, Counting())  # type: ignore[arg-type]
        scope: dict[str, Any] = {"type": "http", "method": "GET", "path": "/here", "headers": [], "client": None}
        with caplog.at_level(logging.INFO, "kg.requests"), pytest.raises(RuntimeError, match="a fault"):
            asyncio.run(app(scope, _nothing, _nothing))
        assert [(trace.route, trace.outcome) for trace in seen] == [("/here", "failed")]
        assert caplog.messages == ["GET /here 0"]


async def _get(app: FastAPI) -> httpx.Response:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://here") as client:
        return await client.get("/")


_RATE = {"importer": "US", "origin": "JP", "product": "8703.23.01", "on": "2025-06-07"}


async def _nothing(*_: Any) -> Any:
    raise AssertionError("nothing is to be received or sent")


class TestForms:
    def test_text_is_a_line_a_request(self, tmp_path: Path) -> None:
        with served(tmp_path / "home", "--bare", KG_LOG="text") as server, server.client() as client:
            client.get("/health/live", headers={"X-Request-ID": "seen"})
            server.process.send_signal(signal.SIGTERM)
            server.process.wait(30)
            [line] = [line for line in server.log.read_text().splitlines() if "id=seen" in line]
        assert " info id=seen client=127.0.0.1 method=GET route=/health/live status=200 outcome=ok " in line

    def test_none_leaves_the_requests_out(self, tmp_path: Path) -> None:
        with served(tmp_path / "home", "--bare", KG_LOG="none") as server, server.client() as client:
            client.get("/health/live", headers={"X-Request-ID": "unseen"})
            server.process.send_signal(signal.SIGTERM)
            server.process.wait(30)
            text = server.log.read_text()
        assert "unseen" not in text
        assert "Stopping" in text
