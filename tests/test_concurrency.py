"""Processes that read and write one store at the same time: no update is lost, no answer mixes two versions."""

from __future__ import annotations

import shutil
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import cast

import httpx
import pyoxigraph as ox
import pytest

from kg.store import KEEP, Versions
from kg.terms import ENTAILED_GRAPH, SOURCE
from tests.server import AUTHORIZED, KG, Server, environment, kg, select, served
from tests.sources import turtle

TURTLE = {"Content-Type": "text/turtle", **AUTHORIZED}
#: Commits of each writer, and rows that each of them writes into each of its sources.
ROUNDS, ROWS = 3, 100
#: Which values stand in how many rows: in the sources, and in the default graph that is kept beside them.
COUNTS = (
    "SELECT ?k (COUNT(*) AS ?n) { GRAPH ?g { ?row <urn:value-of-cli> ?k } } GROUP BY ?k",
    "SELECT ?k (COUNT(*) AS ?n) { ?row <urn:value-of-cli> ?k } GROUP BY ?k",
)


@pytest.fixture
def server(home: Path) -> Iterator[Server]:
    with served(home, KG_WORKERS="3") as server:
        yield server


def rows(writer: str, source: str, value: int) -> str:
    return "".join(f"<urn:{source}:{n}> <urn:value-of-{writer}> {value} .\n" for n in range(ROWS))


def load(home: Path, folder: Path, writer: str, value: int) -> None:
    """Write a value into all rows of two sources, in one commit of the command line."""
    files = [folder / f"{writer}-{half}.ttl" for half in "ab"]
    for file in files:
        file.write_text(rows(writer, file.stem, value))
    kg(home, "load", "--message", f"{writer} {value}", *map(str, files))


def shown(client: httpx.Client, pattern: str) -> set[str]:
    """The values that the server shows for ?k."""
    return {row["k"] for row in select(client, f"SELECT DISTINCT ?k {{ {pattern} }}")}


@dataclass(frozen=True)
class Played:
    """The store after two command lines and a client of its server wrote, each again and again, while three clients
    read; and each answer that these got: its version, and (value, rows) of the first command line."""

    home: Path
    answers: list[tuple[int, list[tuple[str, str]]]]


@pytest.fixture(scope="module")
def played(shipped_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Played:
    folder = tmp_path_factory.mktemp("played")
    home = Path(shutil.copytree(shipped_home, folder / "home"))
    load(home, folder, "cli", 0)
    with served(home, KG_WORKERS="3") as server, server.client() as client, ThreadPoolExecutor(8) as threads:
        over = threading.Event()
        readers = [threads.submit(read_until, over, client, COUNTS[n % 2]) for n in range(3)]
        writers = [threads.submit(load_and_look, home, folder, client, name) for name in ("cli", "other")]
        writers.append(threads.submit(put_and_look, client))
        try:
            for writer in writers:
                writer.result()
        finally:
            over.set()
        return Played(home, [answer for reader in readers for answer in reader.result()])


def read_until(over: threading.Event, client: httpx.Client, query: str) -> list[tuple[int, list[tuple[str, str]]]]:
    answers = []
    while not over.is_set():
        answer = client.get("/sparql", params={"query": query, "format": "json"})
        assert answer.status_code == 200, answer.text
        found = [(row["k"]["value"], row["n"]["value"]) for row in answer.json()["results"]["bindings"]]
        answers.append((int(answer.headers["parley-version"]), found))
        time.sleep(0.05)  # leave the writers a share of the machine
    return answers


def load_and_look(home: Path, folder: Path, client: httpx.Client, writer: str) -> None:
    """What is acknowledged is what the next query sees, whoever wrote it."""
    for value in range(1, ROUNDS + 1):
        load(home, folder, writer, value)
        assert shown(client, f"?row <urn:value-of-{writer}> ?k") == {str(value)}


def put_and_look(client: httpx.Client) -> None:
    for value in range(1, ROUNDS + 1):
        facts = rows("http", "http", value)
        answer = client.put("/graphs", params={"graph": SOURCE + "http"}, content=facts, headers=TURTLE)
        assert answer.status_code in (200, 201), answer.text
        assert shown(client, "?row <urn:value-of-http> ?k") == {str(value)}


def test_each_acknowledged_commit_is_there_once_and_the_versions_have_no_gap(played: Played) -> None:
    records = Versions(played.home).records()[::-1]
    assert [record.version for record in records] == list(range(1, len(records) + 1))
    messages = [record.message for record in records[1:]]
    by_writer = {start: [m for m in messages if m.startswith(start)] for start in ("cli", "other", "PUT")}
    assert by_writer == {
        "cli": [f"cli {value}" for value in range(ROUNDS + 1)],
        "other": [f"other {value}" for value in range(1, ROUNDS + 1)],
        "PUT": [f"PUT {SOURCE}http"] * ROUNDS,
    }
    assert len(messages) == 3 * ROUNDS + 1


def test_no_writer_undoes_what_another_wrote(played: Played) -> None:
    versions = Versions(played.home)
    for later, earlier in pairwise(versions.records()):
        assert later.quads == earlier.quads + later.added - later.removed
    with versions.reading() as (_, store):
        held = Counter(
            (quad.predicate.value, cast("ox.Literal", quad.object).value)
            for quad in store
            if quad.predicate.value.startswith("urn:value") and quad.graph_name != ox.DefaultGraph()
        )
    last = str(ROUNDS)
    assert held == {
        ("urn:value-of-cli", last): 2 * ROWS,
        ("urn:value-of-other", last): 2 * ROWS,
        ("urn:value-of-http", last): ROWS,
    }


def test_each_answer_shows_one_version_and_says_which(played: Played) -> None:
    value, of_version = "", {}
    for record in Versions(played.home).records()[::-1]:
        if record.message.startswith("cli "):
            value = record.message.removeprefix("cli ")
        of_version[record.version] = value
    assert len({version for version, _ in played.answers}) > ROUNDS
    for version, found in played.answers:
        assert found == [(of_version[version], str(2 * ROWS))]


#: Two values for what has one, each of them fine alone.
PERCENTS = ("rate:us-232-autos-jp-15 trade:percent 17.0 .", "rate:us-232-autos-jp-15 trade:percent 18.0 .")


def waiting(lock: Path) -> int:
    """How many processes wait for a lock on a file."""
    inode = f":{lock.stat().st_ino} "
    return sum("->" in line and inode in line for line in Path("/proc/locks").read_text().splitlines())


def merged(home: Path, file: Path) -> bool:
    command = [KG, "load", "--merge", "--graph", "source:shared", str(file)]
    done = subprocess.run(command, env=environment(KG_HOME=str(home)), capture_output=True, text=True, timeout=120)
    assert done.returncode in (0, 1), done.stderr
    assert done.returncode == 0 or "Give the rate once" in done.stderr
    return done.returncode == 0


def posted(client: httpx.Client, file: Path) -> bool:
    answer = client.post("/graphs", params={"graph": SOURCE + "shared"}, content=file.read_bytes(), headers=TURTLE)
    assert answer.status_code in (200, 201, 422), answer.text
    assert answer.status_code != 422 or "Give the rate once" in answer.text
    return answer.status_code != 422


@pytest.mark.parametrize("second", ["by the command line", "over HTTP"])
def test_of_two_loads_that_are_valid_alone_and_not_together_one_is_refused(
    server: Server, tmp_path: Path, second: str
) -> None:
    files = [tmp_path / f"{n}.ttl" for n in range(2)]
    for file, facts in zip(files, PERCENTS, strict=True):
        file.write_text(turtle(facts))
    versions = Versions(server.home)
    with server.client() as client, ThreadPoolExecutor() as threads:
        with versions.writing():  # both are read, and wait to be judged, before either is written
            done: list[Future[bool]] = [threads.submit(merged, server.home, files[0])]
            if second == "over HTTP":
                done.append(threads.submit(posted, client, files[1]))
            else:
                done.append(threads.submit(merged, server.home, files[1]))
            while waiting(server.home / "locks" / "writer") < 2 and not any(one.done() for one in done):
                time.sleep(0.01)
        assert sorted(one.result() for one in done) == [False, True]
    assert versions.current() == 2
    with versions.reading() as (_, store):
        percents = store.quads_for_pattern(
            None, ox.NamedNode("https://w3id.org/parley/ontology#percent"), None, ox.NamedNode(SOURCE + "shared")
        )
        assert len(list(percents)) == 1


def test_two_commands_that_find_an_empty_folder_make_one_first_version(tmp_path: Path) -> None:
    settings = environment(KG_HOME=str(tmp_path / "home"))
    commands = [
        subprocess.Popen([KG, "history"], env=settings, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    told = [command.communicate(timeout=120) for command in commands]
    assert [command.returncode for command in commands] == [0, 0], told
    assert [len(output.splitlines()) for output, _ in told] == [1, 1]
    assert sorted(bool(errors) for _, errors in told) == [False, True]
    (record,) = Versions(tmp_path / "home").records()
    assert (record.version, record.message) == (1, "Shipped content")
    assert ENTAILED_GRAPH in record.graphs


def test_an_answer_on_its_way_stays_with_its_version_until_its_end(tmp_path: Path) -> None:
    """More facts than a worker copies into memory: what it sends is read from the disk as the client takes it."""
    versions = Versions.create(tmp_path / "home", bare=True)
    total, value, graph, other = 210_000, *(ox.NamedNode(f"urn:{name}") for name in ("value", "g", "other"))
    incoming = ox.Store()
    incoming.bulk_extend(ox.Quad(ox.NamedNode(f"urn:row:{n}"), value, ox.Literal(0), graph) for n in range(total))
    with versions.writing() as draft:
        draft.put(incoming)
        draft.publish("0")
    folders = versions.home / "versions"
    with served(versions.home, KG_DEADLINE="120") as server, server.client() as client:
        query = "SELECT ?row ?k { GRAPH ?g { ?row <urn:value> ?k } }"
        with client.stream("GET", "/sparql", params={"query": query, "format": "tsv"}) as answer:
            lines = answer.iter_lines()
            assert (answer.headers["parley-version"], next(lines)) == ("1", "?row\t?k")
            for number in range(1, KEEP + 11):
                with versions.writing() as draft:
                    draft.set_graph(other, [ox.Quad(ox.NamedNode("urn:row"), value, ox.Literal(number), other)])
                    draft.publish(str(number))
            assert {int(path.name) for path in folders.iterdir()} == {1, *range(12, KEEP + 12)}
            values = [line.split("\t")[1] for line in lines]
        assert (len(values), set(values)) == (total, {"0"})
        assert shown(client, "GRAPH ?g { ?row <urn:value> ?k }") == {"0", str(KEEP + 10)}
