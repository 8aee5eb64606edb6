"""A newer package brings the newer shipped content into a store that is there, whoever opens it first: a command, two
commands at once, or one beside a server that goes on. What becomes of single facts is in test_loading.py."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pyoxigraph as ox
import pytest

import kg
from kg.store import Versions
from kg.terms import ID, SOURCE
from tests.server import KG, environment, select, served
from tests.sources import HEAD, small_content, turtle

MINE = turtle(
    'round:mine a trade:Round ; rdfs:label "Mine"@en ; trade:partOf negotiation:us-jp ; '
    'trade:from "2025-06-13"^^xsd:date .\n',
    head=HEAD.replace("body:asahi-shimbun", "body:us-treasury"),
)


def person(name: str) -> str:
    return turtle(f'person:{name} a foaf:Person ; rdfs:label "{name.title()}"@en .\n', head="")


class Package:
    """A copy of the package with a small edition of the content inside, as a wheel has it, and a store that it uses."""

    def __init__(self, folder: Path) -> None:
        self.home, site = folder / "home", folder / "site"
        package = shutil.copytree(Path(kg.__file__).parent, site / "kg", ignore=shutil.ignore_patterns("__pycache__"))
        content = package / "content"
        content.mkdir()
        self.facts = small_content(content).root / "facts"
        self.path = str(site)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [KG, *arguments],
            env=environment(KG_HOME=str(self.home), PYTHONPATH=self.path),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str) -> tuple[str, str]:
        """Standard output and standard error of a command that must end well."""
        process = self.start(*arguments)
        output, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
        return output, errors

    def edit(self, old: str, new: str) -> None:
        """The next edition says otherwise what the first says."""
        context = self.facts / "context.ttl"
        text = context.read_text()
        assert old in text
        context.write_text(text.replace(old, new))

    def next_edition(self) -> None:
        """A source changed, one gone, one new."""
        self.edit('"Vehicles"@en', '"Vehicles and parts"@en')
        (self.facts / "leaving.ttl").unlink()
        (self.facts / "coming.ttl").write_text(person("coming"))

    def graphs(self) -> set[str]:
        with Versions(self.home).reading() as (_, store):
            return {g.value for g in store.named_graphs() if isinstance(g, ox.NamedNode) and g.value.startswith(SOURCE)}


@pytest.fixture
def package(tmp_path: Path) -> Package:
    """With the first edition in its store, and a source of the user's."""
    package = Package(tmp_path)
    (package.facts / "leaving.ttl").write_text(person("leaving"))
    (tmp_path / "mine.ttl").write_text(MINE)
    package.run("load", str(tmp_path / "mine.ttl"))
    assert package.graphs() == {SOURCE + "context", SOURCE + "leaving", SOURCE + "mine"}
    assert Versions(package.home).current() == 2
    return package


def test_the_next_command_brings_the_new_edition_in_one_commit_and_the_one_after_does_nothing(package: Package) -> None:
    mine, _ = package.run("export", "--graph", "source:mine")
    package.next_edition()
    after, told = package.run("export", "--graph", "source:mine")
    assert told == "Shipped facts loaded as version 3: 3 added, 3 removed.\n"
    assert after == mine
    assert package.graphs() == {SOURCE + "context", SOURCE + "coming", SOURCE + "mine"}
    words = '("Vehicles", "Vehicles and parts", "Leaving", "Coming")'
    query = f"SELECT ?label {{ ?thing rdfs:label ?label . FILTER(STR(?label) IN {words}) }}"
    found, told = package.run("query", "--format", "csv", query)
    assert (sorted(found.splitlines()[1:]), told) == (["Coming", "Vehicles and parts"], "")
    assert [record.message for record in Versions(package.home).records()] == [
        "Shipped content",
        f"Load {package.home.with_name('mine.ttl')}",
        "Shipped content",
    ]


def test_facts_of_the_user_that_no_longer_conform_are_named_and_the_command_goes_on(package: Package) -> None:
    mine, _ = package.run("export", "--graph", "source:mine")
    package.edit("negotiation:us-jp", "negotiation:jp-us")
    after, told = package.run("export", "--graph", "source:mine")
    first, *others = told.splitlines()
    assert first.startswith("Shipped facts loaded as version 3: ")
    assert len(others) == 1
    assert others[0].startswith("no longer conforms: source:mine: violation: round:mine trade:partOf: ")
    assert after == mine
    assert package.run("history")[1] == ""


def test_an_edition_goes_back_as_it_came(package: Package) -> None:
    before, _ = package.run("export")
    older = {file.name: file.read_text() for file in package.facts.iterdir()}
    package.next_edition()
    assert package.run("export")[0] != before
    (package.facts / "coming.ttl").unlink()
    for name, text in older.items():
        (package.facts / name).write_text(text)
    assert package.run("export")[0] == before
    assert Versions(package.home).current() == 4


def test_two_commands_that_bring_the_new_edition_at_once_make_one_commit(package: Package) -> None:
    package.next_edition()
    commands = [package.start("history") for _ in range(2)]
    told = [command.communicate(timeout=120) for command in commands]
    assert [command.returncode for command in commands] == [0, 0], told
    assert {len(output.splitlines()) for output, _ in told} == {3}
    assert sorted(len(errors.splitlines()) for _, errors in told) == [0, 1]
    assert Versions(package.home).current() == 3


def test_a_server_that_runs_shows_the_new_edition_without_a_restart(package: Package) -> None:
    query = f"SELECT ?name {{ VALUES ?p {{ <{ID}person/leaving> <{ID}person/coming> }} ?p rdfs:label ?name }}"
    with served(package.home, PYTHONPATH=package.path) as server, server.client() as client:
        assert select(client, query) == [{"name": "Leaving"}]
        package.next_edition()
        package.run("history")
        assert select(client, query) == [{"name": "Coming"}]
        assert client.get("/sparql", params={"query": "ASK {}"}).headers["parley-version"] == "3"
