"""The SHACL shapes, case by case.

A case is a Turtle file in `shapes/<node shape>/`: `valid.*` conforms without a result, `invalid.*` and
`warning.*` give exactly the results of the `.report.ttl` beside them. Each is judged together with the
ontology and `shapes/context.ttl`.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pyshacl
import pytest
from pyshacl.errors import ReportableRuntimeError
from rdflib import RDF, RDFS, SH, BNode, Graph, Literal, URIRef
from rdflib.term import Node

ROOT = Path(__file__).parent.parent
CASES = Path(__file__).parent / "shapes"
BASE = "https://w3id.org/parley/source/test"

VALID = sorted(CASES.glob("*/valid.*.ttl"))
REPORTS = sorted(CASES.glob("*/*.report.ttl"))
REFUSED = [report.with_name(report.name.replace(".report.ttl", ".ttl")) for report in REPORTS]

# What a shape may say besides its constraints; any other term of SHACL on a shape is taken for a constraint.
NO_CONSTRAINT = {
    SH.path,
    SH.name,
    SH.description,
    SH.message,
    SH.severity,
    SH.property,
    SH.targetClass,
    SH.targetSubjectsOf,
    SH.qualifiedValueShape,
}


class Result(NamedTuple):
    """What a validation result says, apart from its message; the terms as N-Triples, "" for none."""

    focus: str
    path: str
    component: str
    severity: str
    value: str


class Constraint(NamedTuple):
    """A constraint as a report shows it: the node shape's name, path ("" for none), component, severity."""

    shape: str
    path: str
    component: str
    severity: str


def case_id(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"


def load(*paths: Path) -> Graph:
    graph = Graph()
    for path in paths:
        graph.parse(path, publicID=BASE)
    return graph


def text(graph: Graph, term: Node | None) -> str:
    """A term in N-Triples; a one-step inverse path with a caret before the property."""
    if isinstance(term, BNode):
        return "^" + text(graph, graph.value(term, SH.inversePath))
    return "" if term is None else term.n3()


def results(report: Graph) -> set[Result]:
    parts = (SH.focusNode, SH.resultPath, SH.sourceConstraintComponent, SH.resultSeverity, SH.value)
    nodes = report.subjects(RDF.type, SH.ValidationResult)
    return {Result(*(text(report, report.value(node, part)) for part in parts)) for node in nodes}


def validated(data: Graph, shapes: Graph) -> set[Result]:
    report = pyshacl.validate(data, shacl_graph=shapes, advanced=False, inplace=True)[1]
    assert isinstance(report, Graph)
    return results(report)


def aimed(shapes: Graph, data: Graph, case: Graph) -> Graph:
    """The node shapes that target some node of the case; the others would only judge the background again.

    Not done with `use_shapes` or `focus_nodes`: in pySHACL 0.40 the first skips property shapes that have an
    IRI, and the second passes over the values that sh:or, sh:not and sh:qualifiedValueShape look at.
    """
    types = {kind for node in case.subjects(unique=True) for kind in data.objects(node, RDF.type)}
    classes = {ancestor for kind in types for ancestor in data.transitive_objects(kind, RDFS.subClassOf)}
    targeting = [shape for shape, target in shapes.subject_objects(SH.targetClass) if target in classes]
    stating = set(case.predicates(unique=True))
    targeting += {shape for shape, target in shapes.subject_objects(SH.targetSubjectsOf) if target in stating}
    nodes: set[Node] = set()
    for shape in targeting:
        nodes.update(node for node in shapes.transitive_objects(shape, None) if node is not None)
    graph = Graph(bind_namespaces="none")
    graph.addN((node, *rest, graph) for node in nodes for rest in shapes.predicate_objects(node))
    return graph


def judged(path: Path, background: Graph, shapes: Graph) -> set[Result]:
    """The results for a case, which joins the background only for as long as it is judged."""
    case = load(path)
    new = case - background
    background += new
    try:
        return validated(background, aimed(shapes, background, case))
    finally:
        background -= new


def own_shapes(shapes: Graph, shape: Node) -> Iterator[Node]:
    """The node shape itself and its property shapes."""
    yield shape
    yield from shapes.objects(shape, SH.property)


def stated(shapes: Graph) -> set[Constraint]:
    """Every constraint that a shape with a target states."""
    found = set()
    for target in shapes.subjects(SH.targetClass):
        for shape in own_shapes(shapes, target):
            severity = shapes.value(shape, SH.severity, default=SH.Violation)
            path = text(shapes, shapes.value(shape, SH.path))
            for term in shapes.predicates(shape, unique=True):
                if str(term).startswith(str(SH)) and term not in NO_CONSTRAINT:
                    name = local(term)
                    component = SH[f"{name[0].upper()}{name[1:]}ConstraintComponent"].n3()
                    found.add(Constraint(local(target), path, component, text(shapes, severity)))
    return found


def expected() -> set[Constraint]:
    """Every constraint of which some case expects a result."""
    pairs = ((report.parent.name, result) for report in REPORTS for result in results(load(report)))
    return {Constraint(shape, r.path, r.component, r.severity) for shape, r in pairs}


def mute(shapes: Graph) -> set[str]:
    """The node shapes and paths whose message is missing or not in English."""
    found = set()
    for target in shapes.subjects(SH.targetClass):
        for shape in own_shapes(shapes, target):
            messages = [m for m in shapes.objects(shape, SH.message) if getattr(m, "language", None) == "en"]
            silent = shape == target and not {SH["or"], SH["not"]} & set(shapes.predicates(shape))
            if len(messages) != 1 and not silent:
                found.add(f"{local(target)} {text(shapes, shapes.value(shape, SH.path))}".strip())
    return found


def local(term: Node) -> str:
    return str(term).rpartition("#")[2]


@pytest.fixture(scope="module")
def shapes() -> Graph:
    return load(*sorted((ROOT / "shapes").glob("*.ttl")))


@pytest.fixture(scope="module")
def background() -> Graph:
    ontology = ROOT / "ontology"
    return load(ontology / "parley.ttl", ontology / "schemes.ttl", CASES / "context.ttl")


def test_ontology_schemes_and_context_conform(background: Graph, shapes: Graph) -> None:
    assert validated(background, shapes) == set()


@pytest.mark.parametrize("case", VALID, ids=case_id)
def test_valid_case_has_no_result(case: Path, background: Graph, shapes: Graph) -> None:
    assert judged(case, background, shapes) == set()


@pytest.mark.parametrize("case", REFUSED, ids=case_id)
def test_refused_case_has_exactly_the_expected_results(case: Path, background: Graph, shapes: Graph) -> None:
    report = load(case.with_suffix(".report.ttl"))
    assert judged(case, background, shapes) == results(report)


@pytest.mark.parametrize("report", REPORTS, ids=case_id)
def test_report_is_named_after_its_worst_result(report: Path) -> None:
    graph = load(report)
    severities = {result.severity for result in results(graph)}
    assert set(graph.objects(predicate=SH.conforms)) == {Literal(False)}
    assert report.name.partition(".")[0] == ("invalid" if SH.Violation.n3() in severities else "warning")


def test_each_case_has_a_shape_and_each_shape_a_valid_case(shapes: Graph) -> None:
    names = {local(s) for kind in (SH.targetClass, SH.targetSubjectsOf) for s in shapes.subjects(kind)}
    assert {path.parent.name for path in VALID} == names
    assert {path.parent.name for path in CASES.glob("*/*")} == names


def test_each_case_is_run() -> None:
    assert {*VALID, *REFUSED, *REPORTS} == set(CASES.glob("*/*"))


def test_each_constraint_refuses_some_case(shapes: Graph) -> None:
    assert stated(shapes) - expected() == set()


def test_constraint_without_a_case_is_found() -> None:
    shapes = Graph().parse(
        data="""
        @prefix sh: <http://www.w3.org/ns/shacl#> .
        <urn:x#RateShape> sh:targetClass <urn:x#Rate> ;
            sh:property [ sh:path <urn:x#colour> ; sh:maxLength 3 ] .
        """
    )
    component = SH.MaxLengthConstraintComponent.n3()
    assert stated(shapes) - expected() == {Constraint("RateShape", "<urn:x#colour>", component, SH.Violation.n3())}


def test_each_shape_has_one_english_message(shapes: Graph) -> None:
    assert mute(shapes) == set()


def test_shape_without_an_english_message_is_found() -> None:
    shapes = Graph().parse(
        data="""
        @prefix sh: <http://www.w3.org/ns/shacl#> .
        <urn:x#RateShape> sh:targetClass <urn:x#Rate> ;
            sh:property [ sh:path <urn:x#colour> ; sh:message "Male es an."@de ] ; sh:or ( [ sh:in ( 1 ) ] ) .
        """
    )
    assert mute(shapes) == {"RateShape", "RateShape <urn:x#colour>"}


def test_shapes_are_well_formed(shapes: Graph) -> None:
    assert pyshacl.validate(Graph(), shacl_graph=shapes, meta_shacl=True)[0]


def test_malformed_shape_is_found() -> None:
    shapes = Graph().add((URIRef("urn:x#RateShape"), SH.property, Literal("percent")))
    with pytest.raises(ReportableRuntimeError):
        pyshacl.validate(Graph(), shacl_graph=shapes, meta_shacl=True)
