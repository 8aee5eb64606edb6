"""A server under everything at once: light queries, heavy ones, killing ones, uploads and updates, for minutes.

    python -m bench.soak [MINUTES] [CLIENTS]

Starts `kg serve` on a fresh store with the shipped facts, and sends it the requests of 32 clients, each from an
address of its own. First, for a fifth of the time, the light ones are alone; then all are there. Of eight clients five
ask light questions (2 a second), one asks for what takes seconds and every third time for what has to be stopped or
refused (one in 8 seconds), one uploads and one updates (one in 8 seconds, each read back).

Every answer is checked. Light and heavy queries ask for what no write changes, and have answers that the engine found
in the same store at the start. Each graph that is written has one writer; whoever reads it must see exactly what that
writer was told is done, as of the version that the answer names. Versions never go back. Exit status 1 if an answer
is wrong, or if anything fails that should not: only 429 and 503 may come unexpected.
"""

from __future__ import annotations

import random
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from bench.clients import Asker, Caller, Client, Glutton, Notes, Writer, work
from bench.common import percentile
from bench.truth import Ledger, Newest, known
from kg.terms import SOURCE
from tests.server import Server, served

#: Megabytes that a worker may take.
MEMORY = 2048
#: The part of the time in which light queries are alone.
ALONE = 0.2
#: What each client is, in turn.
ROLES = ("asker", "asker", "glutton", "asker", "uploader", "asker", "updater", "asker")


@dataclass(frozen=True)
class Memory:
    """Megabytes that the server and its workers hold, as the sum of what each has in memory."""

    server: int
    workers: tuple[int, ...]

    @classmethod
    def of(cls, running: Server) -> Memory:
        return cls(_resident(running.pid), tuple(sorted(_resident(pid) for pid in running.workers())))

    def __str__(self) -> str:
        workers = " + ".join(map(str, self.workers))
        return f"{self.server + sum(self.workers):,} MB (server {self.server}, workers {workers})"


def _resident(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):  # it has just gone
        return 0
    return next((int(line.split()[1]) >> 10 for line in lines if line.startswith("VmRSS:")), 0)


@dataclass(frozen=True)
class Report:
    """What a run found."""

    alone: Notes
    mixed: Notes
    ledgers: list[Ledger]
    lost: list[str]
    memory: dict[str, Memory]
    pid: int
    alive: bool
    clients: int
    seconds: float

    @property
    def wrong(self) -> list[str]:
        judged = [line for ledger in self.ledgers for line in ledger.wrong()]
        return [*self.alone.wrong, *self.mixed.wrong, *judged, *self.lost]

    @property
    def unexpected(self) -> list[str]:
        return [*self.alone.unexpected, *self.mixed.unexpected]

    @property
    def fine(self) -> bool:
        return self.alive and not self.wrong and not self.unexpected

    def text(self) -> str:
        rows = [f"{self.clients} clients, {self.seconds:.0f} seconds", ""]
        rows.append(f"{'kind':24} {'number':>7} {'p50 ms':>8} {'p99 ms':>8}  by status")
        for phase, notes in (("alone", self.alone), ("mixed", self.mixed)):
            for kind in sorted(notes.seconds):
                statuses = Counter({status: n for (name, status), n in notes.counts.items() if name == kind})
                told = ", ".join(f"{status}: {n}" for status, n in sorted(statuses.items(), key=str))
                half, most = (percentile(notes.seconds[kind], part) * 1000 for part in (0.5, 0.99))
                name = f"{kind}, alone" if phase == "alone" else kind
                rows.append(f"{name:24} {statuses.total():7,} {half:8,.0f} {most:8,.0f}  {told}")
        rows.append("")
        rows += [f"memory {when}: {memory}" for when, memory in self.memory.items()]
        rows.append(
            f"versions made: {len(self.mixed.versions)}; readings judged: {sum(g.readings for g in self.ledgers)}"
        )
        rows.append(f"pid {self.pid} at the start, {self.pid if self.alive else 'gone'} at the end")
        for name, found in (("unexpected errors", self.unexpected), ("wrong answers", self.wrong)):
            rows.append(f"{name}: {len(found)}")
            rows += [f"  {line}" for line in found[:20]]
        return "\n".join(rows)


def soak(home: Path, seconds: float, clients: int, *, seed: int = 1, hurry: float = 1) -> Report:
    """Send the requests of so many clients for so many seconds to a server on the store in `home`. They act `hurry`
    times as often as people would."""
    newest, alone, mixed = Newest(), Notes(), Notes()
    with served(home, KG_MEMORY=str(MEMORY)) as running:
        light, heavy = known(home)
        port = urlsplit(running.url).port or 0
        with running.client() as client:
            first = _versions(client)

        def caller(number: int, notes: Notes) -> Caller:
            return Caller(port, f"127.0.{1 + number // 250}.{1 + number % 250}", notes, newest)

        begun = time.monotonic()
        roles = [(number, ROLES[number % len(ROLES)]) for number in range(clients)]
        memory = {"at the start": Memory.of(running)}
        askers = [Asker(caller(n, alone), light, [], random.Random(n)) for n, role in roles if role == "asker"]
        _run(askers, seconds * ALONE, seed, hurry)
        memory["after light queries alone"] = Memory.of(running)
        writers = [
            Writer(caller(n, mixed), n, random.Random(seed * 1000 + n), updates=role == "updater")
            for n, role in roles
            if role in ("uploader", "updater")
        ]
        ledgers = [writer.ledger for writer in writers]
        everybody: list[Client] = [*writers]
        for n, role in roles:
            drawn = random.Random(seed * 1000 + n)
            if role == "asker":
                everybody.append(Asker(caller(n, mixed), light, ledgers, drawn))
            elif role == "glutton":
                everybody.append(Glutton(caller(n, mixed), heavy, drawn))
        _run(everybody, seconds * (1 - ALONE), seed, hurry)
        memory["at the end"] = Memory.of(running)
        for ledger in ledgers:
            caller(0, mixed).read("read at the end", ledger, address=False)
        with running.client() as client:
            lost = _lost(client, first, mixed.versions, ledgers)
        took = time.monotonic() - begun
        return Report(alone, mixed, ledgers, lost, memory, running.pid, running.alive, clients, took)


def _run(clients: Sequence[Client], seconds: float, seed: int, hurry: float) -> None:
    """Have all act at once; those that are at something when the time has come bring it to its end."""
    end = time.monotonic() + seconds
    threads = [
        threading.Thread(target=work, args=(client, end, hurry, random.Random(seed + n)))
        for n, client in enumerate(clients)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _versions(client: httpx.Client) -> set[int]:
    return {commit["version"] for commit in client.get("/history").json()}


def _lost(client: httpx.Client, first: set[int], acknowledged: set[int], ledgers: list[Ledger]) -> list[str]:
    """Versions that were acknowledged and are not there, or the other way round; graphs that nobody wrote."""
    made, found = _versions(client) - first, []
    if made != acknowledged:
        found.append(f"versions acknowledged only: {acknowledged - made}; made only: {made - acknowledged}")
    there = {entry["graph"] for entry in client.get("/graphs").json() if entry["graph"].startswith(f"{SOURCE}soak-")}
    if there != (held := {ledger.graph for ledger in ledgers if ledger.facts}):
        found.append(f"graphs that lack: {held - there}; that are too many: {there - held}")
    return found


def main(minutes: float, clients: int) -> None:
    with tempfile.TemporaryDirectory(prefix="kg-bench-") as folder:
        report = soak(Path(folder) / "home", minutes * 60, clients)
    print(report.text())
    sys.exit(not report.fine)


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 10.0, int(sys.argv[2]) if len(sys.argv) > 2 else 32)
