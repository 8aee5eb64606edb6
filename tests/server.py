"""A real server on loopback: the `kg` command in a process of its own, on a copy of a store."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sysconfig
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

KG = str(Path(sysconfig.get_path("scripts")) / "kg")
TOKEN = "a-token-for-the-tests"
AUTHORIZED = {"Authorization": f"Bearer {TOKEN}"}


@dataclass(frozen=True)
class Server:
    """A running server. `home` is the folder of its store."""

    url: str
    home: Path
    process: subprocess.Popen[str]

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def client(self) -> httpx.Client:
        return httpx.Client(base_url=self.url, timeout=60)

    @property
    def log(self) -> Path:
        """What it writes to standard error."""
        return self.home.with_name(self.home.name + ".log")

    def lines(self, until: Callable[[list[dict[str, Any]]], bool]) -> list[dict[str, Any]]:
        """The lines of its log as soon as they are as they should be: an answer may be here before its line is."""
        for _ in range(500):
            found = [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]
            if until(found):
                return found
            time.sleep(0.02)
        raise AssertionError(self.log.read_text())

    def line(self, id: str) -> dict[str, Any]:
        """The line of the request with this id."""
        lines = self.lines(lambda lines: any(line.get("id") == id and "status" in line for line in lines))
        [line] = [line for line in lines if line.get("id") == id and "status" in line]
        return line

    def workers(self) -> list[int]:
        """The process ids of its workers."""
        tasks = Path(f"/proc/{self.pid}/task").glob("*/children")
        return [int(pid) for children in tasks for pid in children.read_text().split()]


def environment(**settings: str) -> dict[str, str]:
    """The environment of the tests without settings of the person who runs them, and with these."""
    rest = {name: value for name, value in os.environ.items() if not name.startswith("KG_")}
    return {**rest, "USER": "tester", **settings}


def kg(home: Path | None, *arguments: str, status: int = 0) -> str:
    """Run a command to its end; its standard output. Asserts its exit status."""
    settings = {} if home is None else {"KG_HOME": str(home)}
    done = subprocess.run([KG, *arguments], env=environment(**settings), capture_output=True, text=True, timeout=120)
    assert done.returncode == status, done.stderr
    return done.stdout


@contextmanager
def served(home: Path, *arguments: str, options: tuple[str, ...] = (), **settings: str) -> Iterator[Server]:
    """`kg [options] serve [arguments]` on a free port, until the block ends."""
    log = home.with_name(home.name + ".log")
    with log.open("w") as errors:
        process = subprocess.Popen(
            [KG, *options, "serve", "--port", "0", *arguments],
            env=environment(**{"KG_HOME": str(home), "KG_TOKEN": TOKEN, **settings}),
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
    assert process.stdout is not None
    try:
        with process.stdout as output:
            line = output.readline()
            found = re.search(r"http://\S+:\d+", line)
            assert found, f"{line}{log.read_text()}"
            yield Server(found[0], home, process)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def select(client: httpx.Client, query: str, **parameters: str) -> list[dict[str, str]]:
    """The rows of a SELECT query as plain text."""
    answer = client.get("/sparql", params={"query": query, "format": "json", **parameters})
    assert answer.status_code == 200, answer.text
    rows = answer.json()["results"]["bindings"]
    return [{name: term["value"] for name, term in row.items()} for row in rows]


def wait_until(condition: Callable[[], bool], what: str) -> None:
    """Wait up to twenty seconds until something holds. Asserts that it does."""
    for _ in range(1000):
        if condition():
            return
        time.sleep(0.02)
    raise AssertionError(f"It never came to this: {what}.")


def version(client: httpx.Client) -> int:
    """The current version; 0 of a store without commits."""
    return max((int(commit["version"]) for commit in client.get("/history").json()), default=0)
