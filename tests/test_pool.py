"""The pool hands out workers that have opened the store, and has others in the place of those that are no good."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from kg import pool
from kg.errors import NotReady, Stopped
from kg.evaluation import Question
from kg.pool import Pool
from kg.wire import send, start_worker


def asked(text: str) -> dict[str, Any]:
    return {"job": "query", "question": Question(text).fields, "format": "json", "limits": (None, None)}


ASK = asked("ASK {}")
ENDLESS = asked("SELECT (COUNT(*) AS ?n) { ?a ?b ?c . ?d ?e ?f . ?g ?h ?i }")
DRY_RUN = {"job": "update", "text": "INSERT DATA {}", "dry_run": True}

Block = Callable[[], AbstractContextManager[None]]
Started = tuple["subprocess.Popen[bytes]", socket.socket]


def no_process(*_: object) -> Started:
    raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))


def instead(program: str) -> Started:
    """A process that runs this program with its end of the socket as `sock`."""
    ours, theirs = socket.socketpair()
    with theirs:
        text = f"import socket, time; sock = socket.socket(fileno={theirs.fileno()}); {program}"
        return subprocess.Popen([sys.executable, "-c", text], pass_fds=[theirs.fileno()]), ours


def check(home: Path, scenario: Callable[[Pool], Awaitable[None]], workers: int = 1, deadline: float = 30) -> None:
    """Play a scenario with a pool that is started before and stopped after it."""

    async def play() -> None:
        readers = Pool(home, workers=workers, memory=1600, deadline=deadline)
        try:
            await readers.start()
            await scenario(readers)
        finally:
            await readers.stop()

    asyncio.run(play())


async def answers(readers: Pool) -> None:
    """Assert that a query is answered."""
    assert b"true" in await (await readers.read(ASK)).read()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.01)


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)  # whose process it is may still take note of it


@pytest.fixture
def processes(monkeypatch: pytest.MonkeyPatch) -> list[subprocess.Popen[bytes]]:
    """The processes of the workers, in the order of their starts."""
    found: list[subprocess.Popen[bytes]] = []

    def noted(*arguments: Any) -> Started:
        process, sock = start_worker(*arguments)
        found.append(process)
        return process, sock

    monkeypatch.setattr(pool, "start_worker", noted)
    return found


class TestNoProcess:
    @pytest.fixture
    def none_left(self, monkeypatch: pytest.MonkeyPatch) -> Block:
        """A block in which no process can be started."""

        @contextmanager
        def block() -> Iterator[None]:
            with monkeypatch.context() as patched:
                patched.setattr(pool, "start_worker", no_process)
                yield

        return block

    def test_each_request_is_told_so_until_there_can_be_one_again(self, shipped_home: Path, none_left: Block) -> None:
        async def scenario(readers: Pool) -> None:
            await answers(readers)
            with none_left():
                for pid in readers.tally.pids:
                    kill(pid)
                for request in (readers.read(ASK), readers.read(ASK), readers.read(ASK), readers.write(DRY_RUN)):
                    with pytest.raises(NotReady, match="No process can be started: Resource temporarily"):
                        await request
            assert not readers.tally.busy.total()
            await answers(readers)
            assert await (await readers.write(DRY_RUN)).read()

        check(shipped_home, scenario)

    def test_one_that_is_stopped_is_no_fault_of_its_successor(self, shipped_home: Path, none_left: Block) -> None:
        async def scenario(readers: Pool) -> None:
            await answers(readers)
            with none_left(), pytest.raises(Stopped):
                await readers.read(ENDLESS, 0.2)
            await answers(readers)
            assert not readers.tally.busy.total()

        check(shipped_home, scenario)

    def test_those_that_follow_the_first_are_started_though_it_cannot_be(
        self, shipped_home: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # The first is tried early, and once more by those who start the others.
        starts = iter([no_process, no_process])
        monkeypatch.setattr(pool, "start_worker", lambda *given: next(starts, start_worker)(*given))

        async def scenario(readers: Pool) -> None:
            await until(lambda: readers.tally.started == 1)
            await answers(readers)

        check(shipped_home, scenario, workers=2)


class TestOpening:
    @pytest.mark.parametrize(
        "program",
        ["pass", "sock.recv(1); sock.close()", "sock.recv(1); time.sleep(60)", "time.sleep(60)"],
        ids=["ends at once", "hangs up", "does not answer", "does not listen"],
    )
    def test_a_process_that_does_not_open_the_store_is_replaced(
        self, program: str, shipped_home: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        first, sock = instead(program)
        starts = iter([(first, sock)])

        async def scenario(readers: Pool) -> None:
            with pytest.raises(Stopped, match="too large"):
                await readers.read(ASK)
            monkeypatch.setattr(pool, "_OPENING", 30)
            assert first.wait(10) is not None
            await answers(readers)
            assert readers.tally.ended == {"memory": 1}
            assert len(readers.tally.pids) == 1
            assert first.pid not in readers.tally.pids

        monkeypatch.setattr(pool, "_OPENING", 0.5)
        monkeypatch.setattr(pool, "start_worker", lambda *given: next(starts, None) or start_worker(*given))
        check(shipped_home, scenario)

    def test_it_is_no_part_of_the_deadline(self, shipped_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def late(*arguments: Any) -> Started:
            process, sock = start_worker(*arguments)
            process.send_signal(signal.SIGSTOP)
            asyncio.get_running_loop().call_later(1, process.send_signal, signal.SIGCONT)
            return process, sock

        monkeypatch.setattr(pool, "start_worker", late)
        check(shipped_home, answers, deadline=0.9)

    def test_it_goes_on_when_the_client_leaves(self, shipped_home: Path) -> None:
        async def scenario(readers: Pool) -> None:
            for _ in range(2):
                leaving = asyncio.create_task(readers.read(ASK))
                await until(lambda: bool(readers.tally.busy["read"]))
                leaving.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await leaving
            assert not readers.tally.busy.total()
            await answers(readers)
            assert (readers.tally.started, readers.tally.ended.total()) == (1, 0)

        check(shipped_home, scenario)


class TestStart:
    def test_the_readers_start_one_after_the_other(
        self, shipped_home: Path, processes: list[subprocess.Popen[bytes]]
    ) -> None:
        async def scenario(readers: Pool) -> None:
            processes[0].send_signal(signal.SIGSTOP)
            await asyncio.sleep(0.5)
            assert len(processes) == 1
            processes[0].send_signal(signal.SIGCONT)
            await until(lambda: readers.tally.started == 3)

        check(shipped_home, scenario, workers=3)

    def test_the_first_does_not_wait_for_its_copy_and_all_others_do(
        self, shipped_home: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        hurries: list[bool] = []

        def noted(sock: socket.socket, message: bytes) -> None:
            hurries.append(json.loads(message)["hurry"])
            send(sock, message)

        async def scenario(readers: Pool) -> None:
            await until(lambda: readers.tally.started == 2)
            with pytest.raises(Stopped):
                await readers.read(ENDLESS, 0.2)

        monkeypatch.setattr(pool, "send", noted)
        check(shipped_home, scenario, workers=2)
        assert hurries == [True, False, False]

    def test_those_that_follow_start_though_the_first_dies(self, shipped_home: Path) -> None:
        async def scenario(readers: Pool) -> None:
            for pid in readers.tally.pids:
                kill(pid)
            await until(lambda: readers.tally.started == 2)
            await answers(readers)

        check(shipped_home, scenario, workers=2)

    def test_a_stopped_pool_leaves_no_process(
        self, shipped_home: Path, processes: list[subprocess.Popen[bytes]]
    ) -> None:
        async def scenario(readers: Pool) -> None:
            await answers(readers)
            await until(lambda: readers.tally.started == 2)

        check(shipped_home, scenario, workers=2)
        assert [process.returncode for process in processes] == [-signal.SIGKILL] * 2


def test_one_that_is_killed_at_work_is_replaced_before_anybody_asks(shipped_home: Path) -> None:
    async def scenario(readers: Pool) -> None:
        await answers(readers)
        with pytest.raises(Stopped, match=r"0\.2 seconds"):
            await readers.read(ENDLESS, 0.2)
        assert readers.tally.started == 2

    check(shipped_home, scenario)
