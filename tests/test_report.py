"""A report says the same as text, as JSON and as SHACL's own graph, and the same bytes for the same facts."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pyoxigraph as ox
import pytest
import rdflib
from rdflib import DCTERMS, RDF, SH

from kg.errors import Refused
from kg.loading import load
from kg.report import Finding, Report
from kg.store import Versions
from kg.terms import SOURCE
from tests.server import KG, environment
from tests.sources import CONCESSION, CONTENT, document, turtle

WRONG = CONCESSION.replace("tariff:us-232-autos", "country:JP")
#: Sources that break a shape; the last two say different things, so that they are judged one after the other.
BATCHES = {
    "bad": WRONG,
    "other": f"{WRONG} rate:us-232-autos-jp-15 trade:percent 1700.0 .",
    "third": f"{WRONG} rate:us-232-autos-jp-15 trade:percent 1800.0 .",
}
#: What a result says, as JSON has it.
Row = tuple[str, str, str, str, str, str, str, str]


def finding(**members: Any) -> Finding:
    usual = {"severity": "violation", "focus": "urn:a", "path": "urn:p", "value": "", "message": "No."}
    return Finding(**{**usual, "constraint": "InConstraintComponent", "shape": "urn:S", **members})


def rows_of(turtle: str) -> list[Row]:
    """The results of the one report in a text of Turtle, sorted."""
    graph = rdflib.Graph().parse(data=turtle, format="turtle")
    (report,) = graph.subjects(RDF.type, SH.ValidationReport)
    results = list(graph.objects(report, SH.result))
    assert set(results) == set(graph.subjects(RDF.type, SH.ValidationResult))

    def row(result: Any) -> Row:
        path, value = graph.value(result, SH.resultPath), graph.value(result, SH.value)
        inverse = graph.value(path, SH.inversePath) if isinstance(path, rdflib.BNode) else None
        return (
            str(graph.value(result, SH.resultSeverity)).removeprefix(str(SH)).lower(),
            str(graph.value(result, SH.focusNode)),
            f"^{inverse}" if inverse else str(path or ""),
            "" if value is None else as_n_triples(value),
            str(graph.value(result, SH.resultMessage)),
            str(graph.value(result, SH.sourceConstraintComponent)).removeprefix(str(SH)),
            str(graph.value(result, SH.sourceShape)),
            str(graph.value(result, DCTERMS.source) or ""),
        )

    return sorted(map(row, results))


def as_n_triples(term: Any) -> str:
    text = rdflib.Graph().add((rdflib.URIRef("urn:x"), rdflib.URIRef("urn:x"), term)).serialize(format="nt")
    (quad,) = ox.parse(text, ox.RdfFormat.N_TRIPLES)
    return str(quad.object)


def told(report: dict[str, Any]) -> list[Row]:
    """The same of a report as JSON has it."""
    names = ("severity", "focus", "path", "value", "message", "constraint", "shape", "source")
    found = report["violations"] + report["warnings"]
    return sorted(tuple(each[name] for name in names) for each in found)


@pytest.fixture(scope="module")
def report(shipped_home: Path) -> Report:
    """The report on sources that are judged in several runs of pySHACL."""
    documents = [document(facts, name) for name, facts in BATCHES.items()]
    with pytest.raises(Refused) as caught:
        load(Versions(shipped_home), documents, CONTENT, dry_run=True)
    return caught.value.report


def test_turtle_is_one_report_with_the_results_of_json(report: Report) -> None:
    assert rows_of(report.turtle) == told(report.as_dict())
    assert {f.severity for f in report.findings} == {"violation", "warning"}
    percents = {f.value for f in report.violations if f.path.endswith("#percent")}
    assert percents == {f'"{n}"^^<http://www.w3.org/2001/XMLSchema#decimal>' for n in (1700, 1800)}


def test_text_has_a_line_for_each_finding_and_contradiction(report: Report) -> None:
    lines = report.text().splitlines()
    assert len(lines) == len(report.findings) + len(report.contradictions)
    assert {f.text() for f in report.findings} < set(lines)


def test_turtle_says_whether_the_facts_conform() -> None:
    verdicts = [([], "true"), ([finding()], "false"), ([finding(severity="warning")], "true")]
    for findings, verdict in verdicts:
        graph = rdflib.Graph().parse(data=Report(findings).turtle, format="turtle")
        assert [str(c) for c in graph.objects(None, SH.conforms)] == [verdict]


@pytest.mark.parametrize(
    "members",
    [
        {"path": "^urn:p"},
        {"path": ""},
        {"source": f"{SOURCE}my-notes"},
        {"value": "<https://example.org/ü>"},
        {"value": '"two\\nlines, \\"quotes\\" and \\\\"'},
        {"value": '"Zölle"@de'},
        {"value": '"many"^^<http://www.w3.org/2001/XMLSchema#integer>'},
        {"focus": "https://w3id.org/parley/id/person/a(b)"},
    ],
    ids=str,
)
def test_each_kind_of_member_is_written(members: dict[str, str]) -> None:
    report = Report([finding(**members)])
    assert rows_of(report.turtle) == told(report.as_dict())


def test_path_and_shape_without_a_name_are_left_out() -> None:
    """A path of several steps has no IRI, and a shape may have none; a literal in focus is one."""
    for path in ("(<urn:p>/<urn:q>)", "^(<urn:p>/<urn:q>)", "<urn:p>*"):
        (row,) = rows_of(Report([finding(path=path, focus='"5"', shape="")]).turtle)
        assert (row[1], row[2], row[6]) == ("5", "", "None")


def test_value_of_several_lines_is_told_on_one(home: Path) -> None:
    facts = "proposal:test-rice trade:subject '''two\nlines''' ."
    with pytest.raises(Refused) as caught:
        load(Versions(home), [document(CONCESSION + facts)], CONTENT)
    (found,) = [f for f in caught.value.report.violations if f.path.endswith("#subject")][:1]
    assert found.value == '"two\\nlines"'
    assert found.line
    assert "\n" not in found.text()


@pytest.mark.parametrize("form", ["json", "turtle", "text"])
def test_equal_facts_give_equal_bytes(home: Path, form: str) -> None:
    """In processes that order their sets differently."""
    for name, facts in BATCHES.items():
        (home.parent / f"{name}.ttl").write_text(turtle(facts), "utf-8")
    files = [f"{name}.ttl" for name in BATCHES]
    outputs = set()
    for seed in ("1", "2", "3"):
        done = subprocess.run(
            [KG, "validate", *files, "--format", form],
            env=environment(KG_HOME=str(home), PYTHONHASHSEED=seed),
            cwd=home.parent,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 1, done.stderr
        outputs.add((done.stdout, done.stderr))
    (output,) = outputs
    if form == "json":
        shown = json.loads(output[0])
        assert len(shown["violations"]) == 3
    if form == "turtle":
        assert len(rows_of(output[0])) == 6
        assert output[0].endswith(" .\n")


def test_nothing_to_do_is_a_report_too(home: Path) -> None:
    source = next(iter(CONTENT.facts.values()))
    done = subprocess.run(
        [KG, "load", str(source), "--format", "turtle"],
        env=environment(KG_HOME=str(home)),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (done.returncode, done.stdout) == (0, Report().turtle)
