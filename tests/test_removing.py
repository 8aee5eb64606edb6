"""Whole graphs go together or not at all, by the library and by `kg remove`."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from kg.errors import BadRequest, NotFound, Refused
from kg.loading import remove
from kg.store import Versions
from kg.terms import ENTAILED_GRAPH, HISTORY_GRAPH, ID, ONTOLOGY_GRAPH, SOURCE
from tests.server import KG, environment
from tests.sources import CONCESSION, CONTENT, exported, put, state
from tests.test_report import rows_of, told

OWN_BODY = 'body:test-press a org:Organization ; rdfs:label "Test Press"@en ; trade:bodyKind body-kind:news-publisher .'
RELIES = CONCESSION + "proposal:test-rice trade:reportedBy body:test-press ."
BODIES, RICE, NOTES = (SOURCE + name for name in ("bodies", "rice", "my-notes"))


def kg_remove(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [KG, "remove", *arguments]
    return subprocess.run(
        command, env=environment(KG_HOME=str(home)), capture_output=True, text=True, timeout=120, check=False
    )


@pytest.fixture
def relying(home: Path) -> Path:
    """A store with a source of a body, and one that names the body."""
    put(home, OWN_BODY, "bodies")
    put(home, RELIES, "rice")
    return home


def test_removal_is_refused_while_others_rely_on_the_graph_and_names_them(relying: Path) -> None:
    before = state(relying)
    with pytest.raises(Refused) as refusal:
        remove(Versions(relying), [BODIES], CONTENT)
    (finding,) = refusal.value.report.violations
    assert (finding.focus, finding.source) == (ID + "proposal/test-rice", RICE)
    assert "(found body:test-press) The graph knows no body:test-press." in finding.text()
    assert state(relying) == before


def test_graphs_that_rely_on_each_other_go_together(home: Path) -> None:
    before = exported(home)
    put(home, OWN_BODY, "bodies")
    put(home, RELIES, "rice")
    outcome = remove(Versions(home), [BODIES, RICE], CONTENT)
    assert outcome.record is not None
    assert outcome.record.message == f"Remove {BODIES}, {RICE}"
    assert {BODIES, RICE} <= set(outcome.record.graphs)
    assert exported(home) == before


def test_removal_of_a_graph_that_nobody_relies_on_works(home: Path) -> None:
    before = exported(home)
    put(home, CONCESSION)
    outcome = remove(Versions(home), [NOTES], CONTENT, message="Not needed")
    assert outcome.record is not None
    assert (outcome.record.removed, outcome.record.message) == (18, "Not needed")
    assert exported(home) == before


def test_a_graph_named_twice_goes_once(home: Path) -> None:
    put(home, CONCESSION)
    outcome = remove(Versions(home), [NOTES, NOTES], CONTENT)
    assert outcome.record is not None
    assert outcome.record.removed == 18


def test_a_graph_that_is_not_there_keeps_the_others(relying: Path) -> None:
    before = state(relying)
    with pytest.raises(NotFound, match=f"There is no graph <{SOURCE}nobody>, <{SOURCE}nothing>; nothing was changed"):
        remove(Versions(relying), [RICE, SOURCE + "nobody", SOURCE + "nothing"], CONTENT)
    assert state(relying) == before


@pytest.mark.parametrize("graph", [ONTOLOGY_GRAPH, ENTAILED_GRAPH, HISTORY_GRAPH])
def test_a_graph_that_is_not_the_users_keeps_the_others(relying: Path, graph: str) -> None:
    before = state(relying)
    with pytest.raises(BadRequest, match="not written by hand"):
        remove(Versions(relying), [RICE, graph], CONTENT)
    assert state(relying) == before


def test_a_dry_run_reports_and_keeps_all(relying: Path) -> None:
    before = state(relying)
    outcome = remove(Versions(relying), [BODIES, RICE], CONTENT, dry_run=True)
    assert (outcome.record, outcome.report.conforms) == (None, True)
    with pytest.raises(Refused):
        remove(Versions(relying), [BODIES], CONTENT, dry_run=True)
    assert state(relying) == before


class TestCommand:
    def test_takes_names_and_iris_and_a_message(self, relying: Path) -> None:
        done = kg_remove(relying, "source:bodies", RICE, "--message", "Not needed")
        assert (done.returncode, done.stdout) == (0, "Version 4: 0 added, 29 removed.\n")
        assert Versions(relying).record(4).message == "Not needed"

    def test_a_refusal_has_its_report_in_each_form(self, relying: Path) -> None:
        as_text = kg_remove(relying, "source:bodies")
        as_json = kg_remove(relying, "source:bodies", "--format", "json")
        as_turtle = kg_remove(relying, "source:bodies", "--format", "turtle")
        assert {as_text.returncode, as_json.returncode, as_turtle.returncode} == {1}
        report = json.loads(as_json.stdout)
        assert [v["focus"] for v in report["violations"]] == [ID + "proposal/test-rice"]
        assert rows_of(as_turtle.stdout) == told(report)
        assert as_text.stdout == ""
        assert as_text.stderr.startswith("violation: proposal:test-rice trade:reportedBy")
        assert as_text.stderr.endswith("kg: 1 fact does not conform to the shapes; nothing was changed.\n")
        assert Versions(relying).current() == 3

    def test_a_dry_run_says_so(self, relying: Path) -> None:
        done = kg_remove(relying, "source:rice", "--dry-run")
        assert (done.returncode, done.stdout) == (0, "The facts conform. Nothing was changed.\n")
        assert Versions(relying).current() == 3

    @pytest.mark.parametrize(
        ("graphs", "message"),
        [
            (["source:rice", "source:nobody"], f"kg: There is no graph <{SOURCE}nobody>; nothing was changed."),
            (["source:rice", "nobody"], "kg: GRAPH 'nobody' is no IRI. Give an absolute IRI or a name such as"),
            (["urn:%"], "kg: GRAPH 'urn:%' is no IRI. Give an absolute IRI or a name such as"),
            (["graph:entailed"], f"kg: The graph {ENTAILED_GRAPH} is not written by hand."),
            ([], "Usage: kg remove"),
        ],
    )
    def test_wrong_usage_is_status_2_and_keeps_all(self, relying: Path, graphs: list[str], message: str) -> None:
        done = kg_remove(relying, *graphs)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith(message)
        assert Versions(relying).current() == 3
