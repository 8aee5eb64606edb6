"""What pySHACL finds, told to people: nodes, paths and shapes as they are written."""

from __future__ import annotations

from pathlib import Path

import pytest
import rdflib
from rdflib import RDF, SH

from kg.report import Report
from kg.validation import validate
from tests.invented import PREFIX, quads
from tests.whole import drafted

RDFS, VALUE = "http://www.w3.org/2000/01/rdf-schema#", "http://www.w3.org/1999/02/22-rdf-syntax-ns#value"


def reported(folder: Path, shapes: str, facts: str) -> Report:
    """The report on facts of one source."""
    path = folder / "shapes.ttl"
    path.write_text(PREFIX + shapes, "utf-8")
    with drafted(folder, []) as draft:
        draft.add(quads(facts + " source:one a foaf:Document .", "one"))
        return validate(draft, [path])


#: A path in a shape to how a finding has it, and how people read it.
PATHS = {
    "rdfs:label": (f"{RDFS}label", "rdfs:label"),
    "[ sh:inversePath rdfs:label ]": (f"^{RDFS}label", "^rdfs:label"),
    "( rdf:value [ sh:inversePath rdfs:label ] )": (f"(<{VALUE}>/^<{RDFS}label>)", "(rdf:value/^rdfs:label)"),
    "[ sh:zeroOrMorePath rdfs:seeAlso ]": (f"<{RDFS}seeAlso>*", "rdfs:seeAlso*"),
    "( [ sh:zeroOrOnePath rdf:value ] [ sh:oneOrMorePath [ sh:alternativePath ( rdf:value rdfs:label ) ] ] )": (
        f"(<{VALUE}>?/(<{VALUE}>|<{RDFS}label>)+)",
        "(rdf:value?/(rdf:value|rdfs:label)+)",
    ),
    "[ sh:inversePath ( rdf:value rdfs:label ) ]": (f"^(<{VALUE}>/<{RDFS}label>)", "^(rdf:value/rdfs:label)"),
}


@pytest.mark.parametrize("path", PATHS)
def test_path_is_told_as_sparql_writes_it(tmp_path: Path, path: str) -> None:
    shapes = f"x:Shape sh:targetNode x:a ; sh:property [ sh:path {path} ; sh:minCount 9 ; sh:message 'More.' ] ."
    (finding,) = reported(tmp_path, shapes, "x:a a x:A .").findings
    written, read = PATHS[path]
    assert finding.path == written
    assert finding.text() == f"violation: <urn:x:a> {read}: More."


def test_literal_in_focus_is_told_from_nodes_and_from_other_literals(tmp_path: Path) -> None:
    shapes = "x:Shape sh:targetObjectsOf x:p ; sh:nodeKind sh:BlankNode ; sh:message 'No.' ."
    report = reported(tmp_path, shapes, "x:a x:p 1 , '1' , <urn:1> .")
    focus = ['"1"', '"1"^^<http://www.w3.org/2001/XMLSchema#integer>', "urn:1"]
    assert [f.focus for f in report.findings] == focus
    assert [f.text() for f in report.findings] == [f"violation: {n}: No. (found {n})" for n in ("1", "1", "<urn:1>")]
    graph = rdflib.Graph().parse(data=report.turtle, format="turtle")
    assert set(graph.objects(None, SH.focusNode)) == set(graph.objects(None, SH.value))
    assert len(set(graph.objects(None, SH.focusNode))) == 3


@pytest.mark.parametrize(("name", "told"), [("x:Shape", "urn:x:Shape"), ("[]", "")])
def test_shape_without_a_name_is_told_by_the_shape_that_it_stands_in(tmp_path: Path, name: str, told: str) -> None:
    shapes = f"{name} sh:targetNode x:a ; sh:property [ sh:path x:p ; sh:minCount 1 ] ."
    assert [f.shape for f in reported(tmp_path, shapes, "x:a a x:A .").findings] == [told]


def test_violation_within_a_warning_is_none(tmp_path: Path) -> None:
    """The value breaks the inner shape, but all that the outer one makes of it is a warning."""
    inner = "sh:node [ sh:property [ sh:path x:p ; sh:minCount 1 ] ] ."
    shapes = f"x:Shape sh:targetNode x:a ; sh:severity sh:Warning ; {inner} x:Other sh:targetNode x:b ; {inner}"
    report = reported(tmp_path, shapes, "x:a a x:A . x:c x:p x:d .")
    graph = rdflib.Graph().parse(data=report.turtle, format="turtle")
    assert [(f.focus, f.severity) for f in report.findings] == [("urn:x:a", "warning")]
    assert str(graph.value(graph.value(None, RDF.type, SH.ValidationReport), SH.conforms)) == "true"
