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
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from kg import pool
from kg.errors import NotReady, Stopped
from kg.pool import Pool
from kg.wire import send, start_worker

ASK = {
    "job": "query",
    "text": "ASK {}",
    "format": "json",
    "default_graphs": [],
    "named_graphs": [],
    "base": "",
    "gateways": {},
    "limits": {"rows": None, "bytes": None},
}
ENDLESS = {**ASK, "text": "SELECT (COUNT(*) AS ?n) { ?a ?b ?c . ?d ?e ?f . ?g ?h ?i }"}
DRY_RUN = {"job": "update", "text": "INSERT DATA {}", "dry_run": True}

Start = Callable[..., tuple["subprocess.Popen[bytes]", socket.socket]]


def no_process(*_: object) -> tuple[subprocess.Popen[bytes], socket.socket]:
    raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))


def instead(program: str) -> Start:
    """A start of a process that runs this program with its end of the socket as `sock`."""

    def start(*_: object) -> tuple[subprocess.Popen[bytes], socket.socket]:
        ours, theirs = socket.socketpair()
        with theirs:
            text = f"import socket, time; sock = socket.socket(fileno={theirs.fileno()}); {program}"
            return subprocess.Popen([sys.executable, "-c", text], pass_fds=[theirs.fileno()]), ours

    return start


@asynccontextmanager
async def started(home: Path, workers: int = 1, deadline: float = 30) -> AsyncIterator[Pool]:
    pool = Pool(home, workers=workers, memory=1600, deadline=deadline)
    try:
        await pool.start()
        yield pool
    finally:
        await pool.stop()


async def body(answer: Awaitable[pool.Answer]) -> bytes:
    return await (await answer).read()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.01)


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)  # whose process it is may still take note of it


class TestNoProcess:
    def test_a_request_is_told_so_and_the_next_one_tries_again(
        self, shipped_home: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def run() -> None:
            with monkeypatch.context() as patched:
                patched.setattr(pool, "start_worker", no_process)
                async with started(shipped_home, workers=2) as readers:
                    for request in (readers.read(ASK), readers.write(DRY_RUN)):
                        with pytest.raises(NotReady, match="No process can be started: Resource temporarily"):
                            await request
                    assert not readers.tally.busy.total()
                    patched.undo()
                    assert b"true" in await body(readers.read(ASK))
                    assert await body(readers.write(DRY_RUN))

        asyncio.run(run())

    def test_one_that_died_is_replaced_when_there_can_be_one_again(
        self, shipped_home: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def run() -> None:
            async with started(shipped_home) as readers:
                await body(readers.read(ASK))
                with monkeypatch.context() as patched:
                    patched.setattr(pool, "start_worker", no_process)
                    for pid in readers.tally.pids:
                        kill(pid)
                    for _ in range(3):
                        with pytest.raises(NotReady):
                            await readers.read(ASK)
                assert b"true" in await body(readers.read(ASK))

        asyncio.run(run())

    def test_one_that_is_stopped_is_no_fault_of_its_successor(
        self, shipped_home: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def run() -> None:
            async with started(shipped_home) as readers:
                await body(readers.read(ASK))
                with monkeypatch.context() as patched:
                    patched.setattr(pool, "start_worker", no_process)
                    with pytest.raises(Stopped):
                        await readers.read(ENDLESS, 0.2)
                assert b"true" in await body(readers.read(ASK))
                assert not readers.tally.busy.total()

        asyncio.run(run())


class TestOpening:
    @pytest.mark.parametrize(
        "program",
        ["pass", "sock.recv(1); sock.close()", "sock.recv(1); time.sleep(60)", "time.sleep(60)"],
        ids=["ends at once", "hangs up", "does not answer", "does not listen"],
    )
    def test_a_process_that_does_not_open_the_store_is_replaced(
        self, program: str, shipped_home: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        processes: list[subprocess.Popen[bytes]] = []

        def start(*arguments: Any) -> tuple[subprocess.Popen[bytes], socket.socket]:
            started = (start_worker if processes else instead(program))(*arguments)
            processes.append(started[0])
            return started

        async def run() -> None:
            monkeypatch.setattr(pool, "start_worker", start)
            monkeypatch.setattr(pool, "_OPENING", 0.5)
            async with started(shipped_home) as readers:
                with pytest.raises(Stopped, match="too large"):
                    await readers.read(ASK)
                monkeypatch.undo()
                assert processes[0].wait(10) is not None
                assert b"true" in await body(readers.read(ASK))
                assert readers.tally.ended == {"memory": 1}
                assert readers.tally.pids == {process.pid for process in processes[1:]}

        asyncio.run(run())

    def test_it_is_no_part_of_the_deadline(self, shipped_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def late(*arguments: Any) -> tuple[subprocess.Popen[bytes], socket.socket]:
            process, sock = start_worker(*arguments)
            process.send_signal(signal.SIGSTOP)
            asyncio.get_running_loop().call_later(1, process.send_signal, signal.SIGCONT)
            return process, sock

        async def run() -> None:
            monkeypatch.setattr(pool, "start_worker", late)
            async with started(shipped_home, deadline=0.9) as readers:
                assert b"true" in await body(readers.read(ASK))

        asyncio.run(run())

    def test_it_goes_on_when_the_client_leaves(self, shipped_home: Path) -> None:
        async def run() -> None:
            async with started(shipped_home) as readers:
                for _ in range(2):
                    leaving = asyncio.create_task(readers.read(ASK))
                    await until(lambda: bool(readers.tally.busy["read"]))
                    leaving.cancel()
                    with pytest.raises(asyncio.CancelledError):
                        await leaving
                assert not readers.tally.busy.total()
                assert b"true" in await body(readers.read(ASK))
                assert (readers.tally.started, readers.tally.ended.total()) == (1, 0)

        asyncio.run(run())


class TestStart:
    def test_the_readers_start_one_after_the_other(self, shipped_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        processes: list[subprocess.Popen[bytes]] = []

        def start(*arguments: Any) -> tuple[subprocess.Popen[bytes], socket.socket]:
            started = start_worker(*arguments)
            processes.append(started[0])
            return started

        async def run() -> None:
            monkeypatch.setattr(pool, "start_worker", start)
            async with started(shipped_home, workers=3) as readers:
                processes[0].send_signal(signal.SIGSTOP)
                await asyncio.sleep(0.5)
                assert len(processes) == 1
                processes[0].send_signal(signal.SIGCONT)
                await until(lambda: readers.tally.started == 3)

        asyncio.run(run())

    def test_the_first_does_not_wait_for_its_copy_and_all_others_do(
        self, shipped_home: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        sent: list[bool] = []

        def noted(sock: socket.socket, message: bytes) -> None:
            sent.append(json.loads(message)["hurry"])
            send(sock, message)

        async def run() -> None:
            monkeypatch.setattr(pool, "send", noted)
            async with started(shipped_home, workers=2) as readers:
                await until(lambda: readers.tally.started == 2)
                with pytest.raises(Stopped):
                    await readers.read(ENDLESS, 0.2)
            assert sent == [True, False, False]

        asyncio.run(run())

    def test_those_that_follow_start_though_the_first_dies(self, shipped_home: Path) -> None:
        async def run() -> None:
            async with started(shipped_home, workers=2) as readers:
                for pid in readers.tally.pids:
                    kill(pid)
                await until(lambda: readers.tally.started == 2)
                assert b"true" in await body(readers.read(ASK))

        asyncio.run(run())

    def test_a_stopped_pool_leaves_no_process(self, shipped_home: Path) -> None:
        async def run() -> None:
            async with started(shipped_home, workers=2) as readers:
                await body(readers.read(ASK))
                await until(lambda: readers.tally.started == 2)
                pids = set(readers.tally.pids)
            assert len(pids) == 2
            assert not readers.tally.pids
            for pid in pids:
                with pytest.raises(ProcessLookupError):
                    os.kill(pid, 0)

        asyncio.run(run())


def test_one_that_is_killed_at_work_is_replaced_before_anybody_asks(shipped_home: Path) -> None:
    async def run() -> None:
        async with started(shipped_home) as readers:
            await body(readers.read(ASK))
            with pytest.raises(Stopped, match=r"0\.2 seconds"):
                await readers.read(ENDLESS, 0.2)
            assert readers.tally.started == 2

    asyncio.run(run())
