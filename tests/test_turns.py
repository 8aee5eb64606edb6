"""Workers are handed out by client: one client's requests leave others served."""

from __future__ import annotations

import asyncio
import threading

import httpx
from hypothesis import given
from hypothesis import strategies as st

from kg.turns import Turns
from tests.server import Server, wait_until

ENDLESS = "SELECT (COUNT(*) AS ?n) { ?a ?b ?c . ?d ?e ?f . ?g ?h ?i }"


async def settled(*tasks: asyncio.Task[int]) -> list[bool]:
    """Which of the tasks are done once all others had their turn."""
    for _ in range(5):
        await asyncio.sleep(0)
    return [task.done() for task in tasks]


def test_clients_take_turns_whatever_the_number_of_their_requests() -> None:
    async def run() -> None:
        turns = Turns[int]()
        turns.add([1])
        item = await turns.take("many")
        waiting = [asyncio.create_task(turns.take(client)) for client in ("many", "many", "few")]
        await settled(*waiting)
        turns.give(item, "many")
        first = await settled(*waiting)
        turns.give(1, "many" if first[0] else "few")
        second = await settled(*waiting)
        assert waiting[2].done()
        assert sum(second) == 2
        turns.give(1, "few" if first[0] else "many")
        assert all(await settled(*waiting))

    asyncio.run(run())


def test_the_spare_one_is_for_a_client_that_holds_none() -> None:
    async def run() -> None:
        turns = Turns[int](spare=1)
        turns.add([1, 2, 3])
        assert {await turns.take("many"), await turns.take("many")} == {2, 3}
        third = asyncio.create_task(turns.take("many"))
        assert await settled(third) == [False]
        assert await turns.take("other") == 1
        turns.give(1, "other")
        assert await settled(third) == [False]
        turns.give(2, "many")
        assert await settled(third) == [True]

    asyncio.run(run())


def test_who_gives_up_waiting_leaves_nothing_behind() -> None:
    async def run() -> None:
        turns = Turns[int]()
        turns.add([1])
        held = await turns.take("a")
        left, late = (asyncio.create_task(turns.take("b")) for _ in range(2))
        await settled(left, late)
        left.cancel()
        await settled(left)
        turns.give(held, "a")
        late.cancel()  # its turn has come, but it has not seen it yet
        await settled(late)
        assert await asyncio.wait_for(turns.take("c"), 1) == 1

    asyncio.run(run())


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), max_size=60), st.integers(1, 4), st.integers(0, 1))
def test_nothing_is_lost_or_handed_out_twice(steps: list[tuple[str, bool]], count: int, spare: int) -> None:
    async def run() -> None:
        turns = Turns[int](spare)
        turns.add(range(count))
        held: list[tuple[str, int]] = []
        tasks: dict[asyncio.Task[int], str] = {}
        for client, takes in steps:
            if takes:
                tasks[asyncio.create_task(turns.take(client))] = client
            elif held:
                owner, item = held.pop(0)
                turns.give(item, owner)
            await settled()
            held += [(owner, task.result()) for task, owner in tasks.items() if task.done()]
            tasks = {task: owner for task, owner in tasks.items() if not task.done()}
            items = [item for _, item in held]
            assert len(items) == len(set(items)) <= count
        while held or tasks:  # whoever waits is served in the end
            assert held
            owner, item = held.pop(0)
            turns.give(item, owner)
            await settled()
            held += [(owner, task.result()) for task, owner in tasks.items() if task.done()]
            tasks = {task: owner for task, owner in tasks.items() if not task.done()}

    asyncio.run(run())


def test_one_clients_heavy_queries_leave_another_served(server: Server) -> None:
    """The other comes from another address of loopback. Without its turn it would wait for the deadlines of five."""

    def heavy() -> None:
        with server.client() as client:
            client.post("/sparql", data={"query": ENDLESS, "timeout": "5"})

    threads = [threading.Thread(target=heavy) for _ in range(5)]
    for thread in threads:
        thread.start()
    with httpx.Client(
        base_url=server.url, timeout=60, transport=httpx.HTTPTransport(local_address="127.0.0.2")
    ) as other:

        def told() -> str:
            return other.get("/metrics").text

        two, three = 'parley_workers_busy{kind="read"} 2.0', "parley_queue_length 3.0"
        wait_until(lambda: two in (text := told()) and three in text, "two at work, three that wait")
        answer = other.get("/sparql", params={"query": "SELECT (NOW() AS ?now) {}", "format": "json"})
        after = told()
    for thread in threads:
        thread.join()
    assert answer.status_code == 200
    assert two in after
    assert three in after
