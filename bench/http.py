"""Throughput and latency over HTTP of light queries and of the named questions, against servers on the same facts.

    python -m bench.http [--triples N] [--seconds S] [--rounds R] [--stores FOLDER] [--peers NAME,NAME]

The facts are the shipped ones; with --triples, so many invented ones beside them. Every server holds the same quads:
each fact in its source and in the default graph. Four connections with keep-alive ask through a process that costs
little; the servers take turns, so that a change in the machine's speed meets all. A distinct query differs from all
before in a comment. CPU is that of the server with its children, which other work on the machine changes least.

Peers: `oxigraph` (`oxigraph serve-read-only`), `rdflib-endpoint`, and `fuseki` if FUSEKI_JAR names the jar
jena-fuseki-server of Maven Central (it needs Java). A server that does not go through the questions within two minutes
is reported by what it did until then.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import click
import pyoxigraph as ox

from bench.common import BIN, server
from bench.load_generator import Figures, Job
from kg.content import Content
from kg.questions import Questions

LIGHT = ["SELECT ?r ?p { ?r <https://w3id.org/parley/ontology#percent> ?p } LIMIT 20"]
CONNECTIONS = 4
#: Seconds for one measurement at most.
MOST = 120.0
FIRST_PORT = 18300
#: Clock ticks a second, in which the system counts CPU.
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Running:
    """A server that answers queries at a path of a port."""

    name: str
    port: int
    path: str
    pid: int

    def cpu(self) -> float:
        """Seconds of CPU that it and its children, also those that are gone, have taken."""
        return sum(map(_cpu, _tree(self.pid)))


def _tree(pid: int) -> Iterator[int]:
    yield pid
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in children.read_text().split():
            yield from _tree(int(child))


def _cpu(pid: int) -> float:
    # utime, stime, and those of children that were waited for; the name before them may hold anything.
    return sum(map(int, Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:15])) / TICKS


def questions() -> list[str]:
    """The questions with their example parameters, as queries."""
    known = Questions(Content.shipped()).all
    return [q.bind({p.name: p.example for p in q.parameters}).text for q in known]


def store(folder: Path, triples: int) -> dict[str, str]:
    """An environment whose store holds the shipped facts and so many invented ones; made unless the folder has it."""
    home, environment = folder / "home", {**os.environ, "KG_HOME": str(folder / "home"), "KG_LOG": "none"}
    if not home.exists():
        subprocess.run([BIN / "kg", "history"], env=environment, check=True, capture_output=True)
        if triples:
            invented = folder / "invented.nq"
            generate: list[str | Path] = [sys.executable, "-m", "bench.generate", str(triples), "--output", invented]
            subprocess.run(generate, check=True)
            roomy = {**environment, "KG_MEMORY": "20000"}  # 0.6 GB a million facts
            subprocess.run([BIN / "kg", "load", invented], env=roomy, check=True, capture_output=True)
            invented.unlink()
    facts = folder / "facts.nq"
    if not facts.exists():
        with (home / "current").open() as current, facts.open("wb") as file:
            whole = ox.Store.read_only(str(home / "versions" / current.read().strip()))
            whole.dump(file, ox.RdfFormat.N_QUADS)
    return environment


@contextmanager
def serving(name: str, folder: Path, environment: dict[str, str], port: int) -> Iterator[Running]:
    """Run one of the servers on the facts in a folder."""
    facts, bind, ask = folder / "facts.nq", f"127.0.0.1:{port}", "?query=ASK%7B%7D"
    if name == "oxigraph" and not (folder / "oxigraph").exists():
        load: list[str | Path] = [BIN / "oxigraph", "load", "--location", folder / "oxigraph", "--file", facts]
        subprocess.run(load, check=True, capture_output=True)
    commands: dict[str, tuple[list[str | Path], str]] = {
        "parley": ([BIN / "kg", "serve", "--port", str(port)], "/sparql"),
        "oxigraph": (
            [BIN / "oxigraph", "serve-read-only", "--location", folder / "oxigraph", "--bind", bind],
            "/query",
        ),
        "rdflib-endpoint": ([BIN / "rdflib-endpoint", "serve", "--port", str(port), facts], "/"),
        "fuseki": (
            [
                "java",
                "-jar",
                os.environ.get("FUSEKI_JAR", ""),
                "--localhost",
                f"--port={port}",
                f"--file={facts}",
                "/ds",
            ],
            "/ds/sparql",
        ),
    }
    command, path = commands[name]
    with server(command, environment, port, f"{path}{ask}", patience=600) as (_, pid):
        yield Running(name, port, path, pid)


def measure(running: Running, queries: list[str], seconds: float, *, distinct: bool) -> tuple[Figures, float]:
    """What a server does in so many seconds, and its CPU for it."""
    job = Job(running.port, running.path, queries, distinct, seconds, MOST, CONNECTIONS)
    before = running.cpu()
    command = [sys.executable, "-m", "bench.load_generator"]
    done = subprocess.run(command, input=json.dumps(asdict(job)), check=True, capture_output=True, text=True)
    return Figures(**json.loads(done.stdout)), running.cpu() - before


def table(servers: list[Running], seconds: float, rounds: int) -> Iterator[str]:
    """The lines of the report, as those of a table in Markdown."""
    yield "| what | server | answers/s | p50 | p99 | CPU an answer | failed | throughput to oxigraph's |"
    yield "|---|---|---|---|---|---|---|---|"
    for what, queries, distinct in (
        ("one pattern, LIMIT 20, distinct", LIGHT, True),
        ("one pattern, LIMIT 20, repeated", LIGHT, False),
        ("the named questions, distinct", questions(), True),
        ("the named questions, repeated", questions(), False),
    ):
        runs: dict[str, list[tuple[Figures, float]]] = {running.name: [] for running in servers}
        for _ in range(rounds):
            for running in servers:
                # Who did not get through once has shown what it does.
                if not (runs[running.name] and runs[running.name][-1][0].failures):
                    runs[running.name].append(measure(running, queries, seconds, distinct=distinct))
        rates = {name: statistics.median(f.answers / f.seconds for f, _ in done) for name, done in runs.items()}
        for name, done in runs.items():
            p50, p99 = (statistics.median(values) for values in zip(*((f.p50, f.p99) for f, _ in done), strict=True))
            cpu = statistics.median(cpu / max(f.answers, 1) * 1000 for f, cpu in done)
            failed = sum(f.failures for f, _ in done)
            ratio = f"{rates[name] / rates['oxigraph']:.2f}" if rates.get("oxigraph") else "–"
            yield (
                f"| {what} | {name} | {rates[name]:,.1f} | {p50:,.2f} ms | {p99:,.2f} ms | {cpu:,.2f} ms | {failed} "
                f"| {ratio} |"
            )


@click.command()
@click.option("--triples", default=0, help="Invented triples beside the shipped facts.")
@click.option("--seconds", default=5.0, help="Seconds for one measurement.")
@click.option("--rounds", default=3, help="Measurements of which the medians are shown.")
@click.option("--stores", type=click.Path(path_type=Path, file_okay=False), help="Folder that keeps what was loaded.")
@click.option("--peers", default="oxigraph,rdflib-endpoint,fuseki", help="Servers beside Parley.")
def main(triples: int, seconds: float, rounds: int, stores: Path | None, peers: str) -> None:
    """Measure servers over HTTP, and print a table."""
    with ExitStack() as stack:
        # Absolute, since the servers are started elsewhere.
        folder = (stores and stores.resolve()) or Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="kg-bench-"))
        )
        folder.mkdir(parents=True, exist_ok=True)
        environment = store(folder, triples)
        servers = []
        for number, name in enumerate(["parley", *filter(None, peers.split(","))]):
            if name == "fuseki" and not os.environ.get("FUSEKI_JAR"):
                print("fuseki is left out: FUSEKI_JAR names no jar.")
                continue
            servers.append(stack.enter_context(serving(name, folder, environment, FIRST_PORT + number)))
        for line in table(servers, seconds, rounds):
            print(line, flush=True)


if __name__ == "__main__":
    main()
