"""`kg update`, as a shell runs it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kg.store import Versions
from kg.terms import SOURCE
from tests.sources import CONCESSION, HEAD
from tests.test_cli import done, kg, refused

MINE = f"{SOURCE}my-notes"
#: Facts that nobody complains of.
FACTS = HEAD.replace("<>", f"<{MINE}>").replace("grade:V3", "grade:V2") + CONCESSION
INSERT = f"INSERT DATA {{ GRAPH source:my-notes {{ {FACTS} }} }}"
WRONG = INSERT.replace("tariff:us-232-autos", "country:JP")
ASK = "ASK { GRAPH source:my-notes { proposal:test-rice rdfs:label ?label } }"


def test_update_tells_the_version_and_history_has_the_message(home: Path) -> None:
    assert done(home, "update", INSERT, "--message", "My notes") == "Version 2: 18 added, 0 removed.\n"
    assert json.loads(done(home, "history", "--format", "json"))[0]["message"] == "My notes"
    assert done(home, "query", ASK, "--format", "csv") == "true\n"
    assert done(home, "update", INSERT) == "Nothing to do: the graph stays as it is.\n"
    assert done(home, "update", "CLEAR GRAPH source:my-notes") == "Version 3: 0 added, 18 removed.\n"


def test_update_is_read_from_a_file_and_from_standard_input(home: Path) -> None:
    file = home.parent / "mine.ru"
    file.write_text(INSERT)
    assert done(home, "update", "--file", str(file)) == "Version 2: 18 added, 0 removed.\n"
    assert done(home, "update", "-f", "-", stdin="CLEAR GRAPH source:my-notes") == "Version 3: 0 added, 18 removed.\n"


@pytest.mark.parametrize("arguments", [["update"], ["update", "CLEAR ALL", "--file", "-"]])
def test_update_takes_one_text(shipped_home: Path, arguments: list[str]) -> None:
    result = kg(shipped_home, *arguments)
    assert result.returncode == 2
    assert "Give the update as an argument, or in a file with --file." in result.stderr


def test_dry_run_checks_and_changes_nothing(home: Path) -> None:
    assert done(home, "update", INSERT, "--dry-run") == "The facts conform. Nothing was changed.\n"
    assert kg(home, "update", WRONG, "--dry-run").returncode == 1
    assert Versions(home).current() == 1


def test_facts_that_do_not_conform_are_told_and_refused(home: Path) -> None:
    result = kg(home, "update", WRONG)
    finding, summary = result.stderr.splitlines()
    assert (result.returncode, result.stdout) == (1, "")
    assert finding.startswith("violation: proposal:test-rice trade:targets: Name at least one tariff")
    assert summary == "kg: 1 fact does not conform to the shapes; nothing was changed."
    report = json.loads(kg(home, "update", WRONG, "--format", "json").stdout)
    assert [violation["source"] for violation in report["violations"]] == [MINE]
    assert "sh:ValidationReport" in kg(home, "update", WRONG, "--format", "turtle").stdout
    assert Versions(home).current() == 1


@pytest.mark.parametrize(
    ("text", "status", "line"),
    [
        ("CLEAR ALL", 2, "kg: ALL would take the ontology too. Name each source: GRAPH <…>."),
        ("SELECT * { ?s ?p ?o }", 2, "kg: This is a query (SELECT), not an update."),
        ("INSERT DATA { GRAPH source:x { <urn:x> trade:rateOff 1 } }", 1, "kg: trade:rateOff is not a term"),
        ("INSERT DATA { GRAPH source:x { <urn:x> a } }", 2, "kg: The update does not parse: error at 1:42"),
    ],
)
def test_what_cannot_be_applied_is_said_in_one_line(home: Path, text: str, status: int, line: str) -> None:
    result = kg(home, "update", text)
    assert (result.returncode, result.stdout) == (status, "")
    assert result.stderr.startswith(line)
    assert Versions(home).current() == 1


def test_another_endpoint_is_not_updated(home: Path) -> None:
    message = refused(home, 2, "update", INSERT, KG_STORE="http://127.0.0.1:1/sparql")
    assert message.startswith("kg: This command works on the embedded store")


def test_text_that_nests_as_deep_as_may_be_is_no_end_of_the_process(home: Path) -> None:
    deep = "INSERT DATA { GRAPH source:x { <urn:x> rdfs:seeAlso " + "(" * 190 + ")" * 190 + " } }"
    assert kg(home, "update", deep, "--dry-run").returncode in (0, 1)
