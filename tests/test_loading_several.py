"""Several files at once: folders, compressed files, data sets that name their graphs, and blank nodes kept apart."""

from __future__ import annotations

import gzip
import subprocess
from pathlib import Path

import pyoxigraph as ox
import pytest

from kg import formats
from kg.errors import BadData, BadRequest
from kg.loading import load
from kg.parsing import Document, prefixed_turtle, rdf_files
from kg.store import Versions
from kg.terms import SKOLEM, SOURCE
from tests.server import KG, environment
from tests.sources import CONCESSION, CONTENT, state, turtle

TRIG, NQUADS = formats.DATASETS
TURTLE = formats.GRAPHS[0]
PERSON = "person:{} a foaf:Person ; rdfs:label '{}'@en ."


def person(name: str) -> str:
    return PERSON.format(name, name.capitalize())


def kg(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [KG, *arguments],
        env=environment(KG_HOME=str(home)),
        cwd=home.parent,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture
def bare(tmp_path: Path) -> Versions:
    return Versions.create(tmp_path / "bare", bare=True)


@pytest.fixture
def folder(home: Path) -> Path:
    """A folder with sources in two formats, one of them compressed and further down, and with what is none."""
    root = home.parent / "notes"
    (root / "deeper" / "down").mkdir(parents=True)
    (root / ".hidden").mkdir()
    (root / "b.ttl").write_text(turtle(CONCESSION))
    (root / "a.trig").write_text(prefixed_turtle(f"GRAPH source:a {{ {person('ann')} }}"))
    (root / "deeper" / "down" / "c.ttl.gz").write_bytes(gzip.compress(turtle(person("cid"), head="").encode()))
    for name in ("README.md", "table.csv", ".hidden/d.ttl", ".e.ttl"):
        (root / name).write_text("not RDF")
    return root


def graphs(home: Path) -> set[str]:
    with Versions(home).reading() as (_, store):
        return {g.value for g in store.named_graphs()} - set(CONTENT.graphs)


class TestFolders:
    def test_a_folder_stands_for_its_rdf_files_sorted(self, folder: Path) -> None:
        found = [path.relative_to(folder).as_posix() for path in rdf_files(folder)]
        assert found == ["a.trig", "b.ttl", "deeper/down/c.ttl.gz"]

    def test_a_file_stands_for_itself(self, folder: Path) -> None:
        assert rdf_files(folder / "README.md") == [folder / "README.md"]

    def test_load_takes_a_folder_as_one_commit(self, home: Path, folder: Path) -> None:
        done = kg(home, "load", "notes")
        assert (done.returncode, done.stdout) == (0, "Version 2: 22 added, 0 removed.\n")
        assert {SOURCE + name for name in "abc"} <= graphs(home)
        assert Versions(home).record(2).message == "Load notes/a.trig, notes/b.ttl, notes/deeper/down/c.ttl.gz"

    def test_validate_takes_a_folder_and_changes_nothing(self, home: Path, folder: Path) -> None:
        (folder / "b.ttl").write_text(turtle(CONCESSION.replace("tariff:us-232-autos", "country:JP")))
        done = kg(home, "validate", "notes")
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith("notes/b.ttl:")
        assert Versions(home).current() == 1

    @pytest.mark.parametrize("command", ["load", "validate"])
    def test_a_folder_without_rdf_says_which_endings_count(self, home: Path, command: str) -> None:
        (home.parent / "empty").mkdir()
        (home.parent / "empty" / "table.csv").write_text("a,b")
        done = kg(home, command, "empty")
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr == (
            "kg: The folder empty holds no RDF file. "
            "Files count that end in .ttl, .nt, .rdf, .owl, .jsonld, .trig, .nq; .gz may follow.\n"
        )

    def test_a_file_in_a_folder_that_cannot_be_named_refuses_all(self, home: Path, folder: Path) -> None:
        (folder / "My Notes.ttl").write_text(turtle(CONCESSION))
        done = kg(home, "load", "notes")
        assert done.returncode == 2
        assert done.stderr.startswith("kg: 'My Notes' makes no name for a source.")
        assert Versions(home).current() == 1


class TestDataSets:
    def test_each_graph_that_it_names_is_replaced_and_no_other(self, bare: Versions) -> None:
        load(bare, [data("GRAPH <urn:1> { <urn:a> <urn:p> 1 } GRAPH <urn:2> { <urn:a> <urn:p> 2 }")], CONTENT)
        outcome = load(bare, [data("GRAPH <urn:2> { <urn:a> <urn:p> 3 } GRAPH <urn:3> { <urn:a> <urn:p> 4 }")], CONTENT)
        assert outcome.created == ("urn:3",)
        assert held(bare) == {("urn:1", "1"), ("urn:2", "3"), ("urn:3", "4")}

    def test_merged_it_adds_to_each(self, bare: Versions) -> None:
        load(bare, [data("GRAPH <urn:1> { <urn:a> <urn:p> 1 }")], CONTENT)
        outcome = load(bare, [data("GRAPH <urn:1> { <urn:a> <urn:p> 2 }")], CONTENT, mode="merge")
        assert outcome.created == ()
        assert held(bare) == {("urn:1", "1"), ("urn:1", "2")}

    def test_its_default_graph_is_taken_by_a_bare_store(self, bare: Versions) -> None:
        outcome = load(bare, [data("<urn:a> <urn:p> 1 . GRAPH <urn:1> { <urn:a> <urn:p> 2 }")], CONTENT)
        assert outcome.created == ("urn:1",)
        assert held(bare) == {("", "1"), ("urn:1", "2")}

    def test_its_default_graph_is_refused_elsewhere_with_the_line(self, home: Path) -> None:
        before = state(home)
        text = f"<{SOURCE}a> <urn:p> 1 <{SOURCE}a> .\n<{SOURCE}a> <urn:p> 02 .\n"
        text = text.replace(" 1 ", ' "1" ').replace(" 02 ", ' "02"^^<http://www.w3.org/2001/XMLSchema#integer> ')
        with pytest.raises(BadData, match="stands in no graph, so that it has no source") as caught:
            load(Versions(home), [Document("the body", text.encode(), NQUADS, "")], CONTENT)
        assert caught.value.line == 2
        assert state(home) == before

    def test_a_graph_that_is_not_the_users_refuses_all(self, home: Path) -> None:
        before = state(home)
        text = prefixed_turtle(f"GRAPH source:a {{ {person('ann')} }} GRAPH graph:entailed {{ {person('bob')} }}")
        with pytest.raises(BadRequest, match="graph/entailed is not written by hand"):
            load(Versions(home), [Document("the body", text.encode(), TRIG, "")], CONTENT)
        assert state(home) == before

    def test_the_same_again_changes_nothing(self, bare: Versions) -> None:
        text = "GRAPH <urn:1> { _:a <urn:p> _:b }"
        assert load(bare, [data(text)], CONTENT).record
        again = load(bare, [data(text)], CONTENT)
        assert (again.record, again.created) == (None, ())

    def test_blank_nodes_of_different_ones_are_different(self, bare: Versions) -> None:
        load(bare, [data("GRAPH <urn:1> { _:a <urn:p> 1 }")], CONTENT)
        load(bare, [data("GRAPH <urn:2> { _:a <urn:p> 2 }")], CONTENT)
        assert len(blank(bare)) == 2

    def test_a_blank_node_in_two_graphs_is_one(self, bare: Versions) -> None:
        load(bare, [data("GRAPH <urn:1> { _:a <urn:p> 1 } GRAPH <urn:2> { _:a <urn:p> 2 }")], CONTENT)
        assert len(blank(bare)) == 1


class TestOneGraph:
    def test_blank_nodes_of_two_files_are_different(self, bare: Versions) -> None:
        files = [Document(f"{n}.ttl", f"[] <urn:p> {n} .".encode(), TURTLE, "urn:g") for n in (1, 2)]
        load(bare, files, CONTENT)
        assert len(blank(bare)) == 2
        assert load(bare, files, CONTENT).record is None

    def test_an_outcome_names_the_graph_that_it_made_once(self, bare: Versions) -> None:
        file = Document("a.ttl", b"<urn:a> <urn:p> 1 .", TURTLE, "urn:g")
        assert load(bare, [file], CONTENT, dry_run=True).created == ()
        assert load(bare, [file], CONTENT).created == ("urn:g",)
        assert load(bare, [file], CONTENT).created == ()


def data(text: str) -> Document:
    """A data set that comes without the name of a file."""
    return Document("the body", text.encode(), TRIG, "")


def held(versions: Versions) -> set[tuple[str, str]]:
    """Graph and object of each quad; the default graph is ''."""
    with versions.reading() as (_, store):
        return {(getattr(q.graph_name, "value", ""), q.object.value) for q in store}


def blank(versions: Versions) -> set[ox.NamedNode]:
    """The IRIs that stand for blank nodes."""
    with versions.reading() as (_, store):
        terms = {term for quad in store for term in (quad.subject, quad.object)}
    return {term for term in terms if isinstance(term, ox.NamedNode) and term.value.startswith(SKOLEM)}
