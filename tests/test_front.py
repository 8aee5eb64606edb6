"""Plain queries are answered before the rest of the application stands; all else waits for it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from kg import api
from kg.content import Content
from kg.front import Front
from kg.graph import open_graph
from kg.settings import Settings
from kg.store import Versions

QUERY = "/sparql?query=ASK%7B%7D"


@asynccontextmanager
async def living(home: Path) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a front that was started as a server starts it, and is stopped so in the end."""
    front = Front(open_graph(Settings(home=home, workers=1, memory=1600), Versions(home), Content.shipped()))
    inbox, outbox = asyncio.Queue[dict[str, str]](), asyncio.Queue[object]()
    life = asyncio.create_task(front({"type": "lifespan"}, inbox.get, outbox.put))
    try:
        await inbox.put({"type": "lifespan.startup"})
        assert await outbox.get() == {"type": "lifespan.startup.complete"}
        transport = httpx.ASGITransport(front, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            yield client
    finally:
        await inbox.put({"type": "lifespan.shutdown"})
        await life
    assert await outbox.get() == {"type": "lifespan.shutdown.complete"}


def run(home: Path, check: Callable[[httpx.AsyncClient], Awaitable[None]]) -> None:
    async def lived() -> None:
        async with living(home) as client, asyncio.timeout(60):
            await check(client)

    asyncio.run(lived())


@pytest.fixture
def held_up(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """The application is not put together before this is set."""
    free, create = threading.Event(), api.create_app

    def create_later(*arguments: object) -> object:
        assert free.wait(60)
        return create(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(api, "create_app", create_later)
    return free


def test_a_plain_query_is_answered_while_the_rest_is_put_together(shipped_home: Path, held_up: threading.Event) -> None:
    async def check(client: httpx.AsyncClient) -> None:
        answer = await client.get(QUERY)
        assert (answer.status_code, answer.json()["boolean"]) == (200, True)
        assert answer.headers["x-request-id"]
        held_up.set()

    run(shipped_home, check)


def test_other_requests_wait_for_the_rest(shipped_home: Path, held_up: threading.Event) -> None:
    async def check(client: httpx.AsyncClient) -> None:
        waiting = [asyncio.create_task(client.get(path)) for path in ("/questions", "/health/ready", "/nothing")]
        await client.get(QUERY)
        assert not any(task.done() for task in waiting)
        held_up.set()
        assert [answer.status_code for answer in await asyncio.gather(*waiting)] == [200, 200, 404]

    run(shipped_home, check)


def test_a_client_that_leaves_while_it_waits_keeps_nobody_from_the_rest(
    shipped_home: Path, held_up: threading.Event
) -> None:
    async def check(client: httpx.AsyncClient) -> None:
        leaving = asyncio.create_task(client.get("/questions"))
        await client.get(QUERY)
        leaving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaving
        held_up.set()
        assert (await client.get("/questions")).status_code == 200

    run(shipped_home, check)


def test_requests_of_both_ways_are_in_one_set_of_measures(shipped_home: Path) -> None:
    async def check(client: httpx.AsyncClient) -> None:
        await client.get(QUERY)
        await client.get("/questions")
        lines = (await client.get("/metrics")).text.splitlines()
        counted = [line for line in lines if line.startswith("parley_http_requests_total{")]
        assert sum('route="/sparql"' in line for line in counted) == 1
        assert sum('route="/questions"' in line for line in counted) == 1

    run(shipped_home, check)
