"""Kill commands that write, again and again, and see that nothing is lost that was acknowledged.

    python -m tests.crash [--kills N] [--seed S]

One store, and real commands in processes of their own: small loads, loads in bulk, updates, loads that are refused,
undoing. Each is killed at a moment drawn from the time that such a command takes: all of its processes, or only the
one that was started, its worker, or the process that writes what came in bulk. Few versions are kept, so that most
commits prune. After each kill the next commit must work, every version that a command has acknowledged must be as it
was, and at most one version more may be there, whole. Exit status 1 if anything is lost.
"""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from unittest.mock import patch

import click
import pyoxigraph as ox

from bench.generate import one_source, sources
from kg import store
from kg.changes import HISTORY, read
from kg.content import Content
from kg.durable import locked
from kg.loading import ensure_content
from kg.store import Versions
from kg.terms import PREFIXES, SOURCE
from tests.ledger import Ledger, Lost
from tests.server import KG, environment

#: Versions kept while the loop runs, in all processes.
KEEP = 3
#: Facts that come in bulk: enough for a process of their own that writes them.
BULK = 11_000
#: Loads in bulk that stand at once.
MANY = 3
#: Seconds after which a process that should have ended, or a lock that should be free, counts as left behind.
PATIENCE = 60
#: Every so many kills, all facts are compared, not only their number and those that changed.
WHOLE = 10
MARKER = ox.NamedNode(SOURCE + "crash-marker")
NOTES = ox.NamedNode(SOURCE + "crash-notes")
#: What is killed: everything more often than one process.
VICTIMS = ("all", "all", "all", "parent", "worker", "settling", "settling")
WEIGHTS = {"load": 3, "update": 3, "bulk load": 4, "refused load": 1, "undo": 2}

REFUSED = (
    f"<{PREFIXES['proposal']}crash> <{PREFIXES['rdf']}type> <{PREFIXES['trade']}Concession> <{SOURCE}crash-refused> .\n"
)


@dataclass
class Tally:
    """What a run found."""

    kills: Counter[str] = field(default_factory=Counter)
    victims: Counter[str] = field(default_factory=Counter)
    ended_before: int = 0
    acknowledged: int = 0
    only_published: int = 0
    found: int = 0
    facts: int = 0
    lost: list[str] = field(default_factory=list)
    seconds: float = 0

    def text(self) -> str:
        kills = ", ".join(f"{name} {count}" for name, count in sorted(self.kills.items()))
        victims = ", ".join(f"{name} {count}" for name, count in sorted(self.victims.items()))
        rows = {
            "kills": f"{self.kills.total()} ({kills})",
            "killed": victims,
            "commands that ended before the kill": self.ended_before,
            "versions acknowledged": self.acknowledged,
            "versions found": self.found,
            "published but not acknowledged": self.only_published,
            "facts of the last version": f"{self.facts:,}",
            "lost": "; ".join(self.lost) or 0,
            "seconds": round(self.seconds),
        }
        return "\n".join(f"{name + ':':37}{value}" for name, value in rows.items())


@dataclass(frozen=True)
class Deed:
    """A command to run, and what must be so once it has committed."""

    kind: str
    arguments: tuple[str, ...]
    message: str
    adds: frozenset[ox.Quad] = frozenset()
    removes: frozenset[ox.Quad] = frozenset()
    #: The version that it undoes.
    undoes: int = 0


class Siege:
    """One store, and the commands that are killed on it."""

    def __init__(self, folder: Path, home: Path, seed: int) -> None:
        self._folder, self._home, self._random = folder, home, random.Random(seed)
        self._versions, self._ledger, self._tally = Versions(home), Ledger(), Tally()
        self._numbers = iter(range(1, sys.maxsize))
        self._bulk = "".join(sources(BULK, seed))
        #: The versions that came in bulk and stand, and small ones that can be undone.
        self._bulks: list[int] = []
        self._smalls: list[int] = []
        self._durations: dict[str, float] = {}
        (folder / "sitecustomize.py").write_text(f"from kg import store\nstore.KEEP = {KEEP}\n")
        self._environment = environment(
            KG_HOME=str(home), PYTHONPATH=os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])
        )

    def run(self, kills: int, tell: Callable[[str], None] = lambda line: None) -> Tally:
        """Kill so many commands."""
        began = time.monotonic()
        try:
            self._set_out()
            while self._tally.kills.total() < kills:
                deed = self._deed(self._random.choices(list(WEIGHTS), list(WEIGHTS.values()))[0])
                done = self._kill(deed)
                self._inspect(deed, done)
                tell(f"{self._tally.kills.total():4} {deed.kind}, version {self._ledger.version}")
            self._audit()
        except Lost as error:
            self._tally.lost.append(str(error))
        self._tally.found = self._versions.current()
        self._tally.facts, self._tally.seconds = len(self._ledger.facts), time.monotonic() - began
        return self._tally

    def _set_out(self) -> None:
        """What generated sources refer to; and each kind of command once to its end, for the time that it takes."""
        self._file("base", "".join(sources(2_000)))
        subprocess.run([KG, "load", self._folder / "base.nq"], env=self._environment, capture_output=True, check=True)
        while self._ledger.version < self._versions.current():
            self._ledger.take(self._versions)
        self._tally.acknowledged = self._ledger.version
        for kind in ("update", "load", "refused load", "bulk load", "undo"):
            deed, began = self._deed(kind), time.monotonic()
            process = self._start(deed)
            done = self._finish(process)
            self._durations[kind] = time.monotonic() - began
            self._inspect(deed, done)

    def _file(self, name: str, text: str) -> frozenset[ox.Quad]:
        """Write a file of quads; they as the engine writes them."""
        (self._folder / f"{name}.nq").write_text(text)
        read_back = ox.Store()
        read_back.load(text, ox.RdfFormat.N_QUADS)
        return frozenset(read_back)

    def _deed(self, kind: str) -> Deed:
        number = next(self._numbers)
        if kind == "bulk load" and len(self._bulks) == MANY:
            kind = "undo"
        message = f"{kind} {number}"
        if kind == "undo":
            undoes = self._random.choice(self._bulks or self._smalls or [0])
            if not undoes:
                return self._deed("load")
            gone = frozenset(read(self._versions, undoes).asserted.added)
            return Deed(kind, ("undo", str(undoes), "--message", message), message, removes=gone, undoes=undoes)
        if kind == "update":
            said = ox.Quad(NOTES, ox.NamedNode(PREFIXES["rdfs"] + "comment"), ox.Literal(message, language="en"), NOTES)
            text = f"INSERT DATA {{ GRAPH {NOTES} {{ {said.triple} }} }}"
            return Deed(kind, ("update", text, "--message", message), message, frozenset([said]))
        name = f"file-{number}"
        text = {
            "load": lambda: one_source(number, 30)[1].decode(),
            "bulk load": lambda: self._bulk.replace("/gen-", f"/bulk{number}-gen-"),
            "refused load": lambda: REFUSED,
        }[kind]()
        quads = self._file(name, text)
        command = ("load", str(self._folder / f"{name}.nq"), "--message", message)
        return Deed(kind, command, message, frozenset() if kind == "refused load" else quads)

    def _start(self, deed: Deed) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [KG, *deed.arguments],
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def _kill(self, deed: Deed) -> int:
        """Run a command until it is killed; the version that it acknowledged, or 0."""
        moment, victim = self._random.uniform(0, self._durations[deed.kind]), self._random.choice(VICTIMS)
        began, process = time.monotonic(), self._start(deed)
        try:
            process.wait(moment)
            self._durations[deed.kind] = time.monotonic() - began
            self._tally.ended_before += 1
        except subprocess.TimeoutExpired:
            self._tally.kills[deed.kind] += 1
            self._tally.victims[self._strike(process.pid, victim)] += 1
        return self._finish(process)

    @staticmethod
    def _strike(pid: int, victim: str) -> str:
        """Kill one process of a command, or all of them if there is none such at the moment; what it was."""
        children = {"worker": "kg.worker", "settling": "kg.settling"}
        one = next((p for p, line in members(pid) if children.get(victim, " ") in line), 0)
        if victim == "parent" or one:
            os.kill(one or pid, signal.SIGKILL)
            return victim
        os.killpg(pid, signal.SIGKILL)
        return "all"

    def _finish(self, process: subprocess.Popen[str]) -> int:
        """Wait for the process that was started, not for those that it started."""
        try:
            status = process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise Lost(f"{process.args!r} does not end") from None
        self._last = process
        if status:
            return 0
        assert process.stdout is not None
        said = re.match(r"Version (\d+):", process.stdout.read())
        return int(said[1]) if said else 0

    def _inspect(self, deed: Deed, done: int) -> None:
        """What must be so after a command, however it ended. `done` is the version that it acknowledged, or 0."""
        before = self._ledger.version
        with self._versions.reading() as (number, _):
            if number not in (before, before + 1) or number < done:
                raise Lost(f"version {number} is current after {deed.message}, and {done or before} was acknowledged")
        wait_for(self._lock_is_free, f"the writer's lock is held after {deed.message}")
        self._commit()
        wait_for(lambda: not members(self._last.pid), f"processes run on after {deed.message}")
        self._no_traceback(deed)
        while self._ledger.version < self._versions.current():
            self._ledger.take(self._versions)
        if self._ledger.version - before == 2:
            self._took_effect(deed, before + 1)
        elif done or self._ledger.version - before != 1:
            raise Lost(f"{deed.message} was acknowledged as {done}, but {self._ledger.version} is current")
        self._tally.acknowledged += bool(done)
        self._tally.only_published += self._ledger.version - before == 2 and not done
        self._ledger.compare(self._versions, whole=self._tally.kills.total() % WHOLE == 0)
        if left := list(leftovers(self._versions)):
            raise Lost(f"left behind after {deed.message}: {', '.join(left)}")

    def _lock_is_free(self) -> bool:
        try:
            with locked(self._home / "locks" / "writer", wait=False):
                return True
        except BlockingIOError:
            return False

    def _commit(self) -> None:
        """The next commit."""
        number = next(self._numbers)
        with self._versions.writing() as draft:
            draft.set_graph(MARKER, [ox.Quad(MARKER, MARKER, ox.Literal(number), MARKER)])
            draft.publish(f"marker {number}")
        self._tally.acknowledged += 1

    def _no_traceback(self, deed: Deed) -> None:
        with self._last as process:
            assert process.stderr is not None
            if "Traceback" in (errors := process.stderr.read()):
                raise Lost(f"{deed.message} ended with a traceback: {errors}")

    def _took_effect(self, deed: Deed, number: int) -> None:
        """The version that a command published is the one that it was to make."""
        message = self._versions.record(number).message
        if message != deed.message or deed.kind == "refused load":
            raise Lost(f"version {number} is of {message!r}, not of {deed.message!r}")
        if not deed.adds <= self._ledger.facts or deed.removes & self._ledger.facts:
            raise Lost(f"version {number} is not what {deed.message!r} was to make")
        if deed.undoes:
            (self._bulks if deed.undoes in self._bulks else self._smalls).remove(deed.undoes)
        else:
            (self._bulks if deed.kind == "bulk load" else self._smalls).append(number)

    def _audit(self) -> None:
        """At the end: the versions that are kept follow from nothing by the change sets, and `kg repair` agrees."""
        self._ledger.compare(self._versions, whole=True)
        kept, ledger = self._versions.kept(), Ledger()
        for number in range(1, self._versions.current() + 1):
            ledger.take(self._versions)
            if number in kept:
                with self._versions.reading(number) as (_, opened):
                    if {q for q in opened if q.graph_name != HISTORY} != ledger.facts:
                        raise Lost(f"version {number} is not what its change sets say")
        repair = subprocess.run([KG, "repair", "--dry-run"], env=self._environment, capture_output=True, text=True)
        if repair.stdout != "The store is whole.\n":
            raise Lost(f"kg repair: {repair.stdout}{repair.stderr}")


def members(group: int) -> list[tuple[int, str]]:
    """The processes of a group that still run, each with its command line."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            state, _, process_group = folder.joinpath("stat").read_text().rpartition(")")[2].split()[:3]
            if int(process_group) == group and state not in "ZX":
                found.append((int(folder.name), folder.joinpath("cmdline").read_text().replace("\0", " ")))
        except (FileNotFoundError, ProcessLookupError):  # it has just gone
            continue
    return found


def wait_for(condition: Callable[[], bool], otherwise: str) -> None:
    """Raises: Lost, if it does not come true in time."""
    end = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > end:
            raise Lost(otherwise)
        time.sleep(0.01)


def leftovers(versions: Versions) -> Iterator[str]:
    """What should not be in the folder of a store that nobody writes to."""
    home, current = versions.home, versions.current()
    for path in (*home.glob("staging/*"), *home.rglob("*.new"), *(p for p in home.glob("past/*") if p.is_dir())):
        yield str(path.relative_to(home))
    for number in versions.kept():
        if not current - store.KEEP < number <= current:
            yield f"versions/{number}"


def besiege(folder: Path, home: Path, kills: int, seed: int, tell: Callable[[str], None] = lambda line: None) -> Tally:
    """Kill so many commands on the store in `home`, which holds the shipped facts. `folder` is for files."""
    with patch.object(store, "KEEP", KEEP):
        return Siege(folder, home, seed).run(kills, tell)


@click.command(help=__doc__)
@click.option("--kills", default=200, show_default=True, type=click.IntRange(min=1))
@click.option("--seed", default=1, show_default=True, help="Another number draws other commands and moments.")
@click.option("--verbose", is_flag=True, help="A line for each kill.")
def main(kills: int, seed: int, verbose: bool) -> None:
    with tempfile.TemporaryDirectory(prefix="kg-crash-") as folder:
        home = Path(folder) / "home"
        ensure_content(Versions.create(home, bare=False), Content.shipped())
        tally = besiege(Path(folder), home, kills, seed, click.echo if verbose else lambda line: None)
    click.echo(tally.text())
    sys.exit(bool(tally.lost))


if __name__ == "__main__":
    main()
