"""The first look before pySHACL: what it lets pass has no result in any report, and what it cannot judge is flagged."""

from __future__ import annotations

import logging
import random
from collections.abc import Iterable
from pathlib import Path

import pyoxigraph as ox
import pyshacl
import pytest
import rdflib
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rdflib import SH

from kg.screening import Screen
from kg.shacl import as_rdflib
from kg.terms import PREFIXES, RDF_TYPE
from kg.verdicts import Term
from tests.effort import tries
from tests.sources import CONTENT
from tests.test_shapes import BASE, CASES, REFUSED, REPORTS, ROOT, VALID, case_id

PREFIX = "".join(f"@prefix {name}: <{iri}> .\n" for name, iri in {**PREFIXES, "x": "urn:x:"}.items())


class Plain:
    """What a screen looks at, read from the default graph of a store."""

    def __init__(self, store: ox.Store) -> None:
        self.store = store

    def values(self, node: Term, predicate: str) -> list[Term]:
        if isinstance(node, (ox.Literal, ox.Triple)):
            return []
        return [q.object for q in self.store.quads_for_pattern(node, ox.NamedNode(predicate), None)]

    def subjects(self, predicate: str, node: Term) -> list[Term]:
        return [q.subject for q in self.store.quads_for_pattern(None, ox.NamedNode(predicate), node)]

    def classes(self, node: Term) -> frozenset[str]:
        queue = [kind for kind in self.values(node, RDF_TYPE) if isinstance(kind, ox.NamedNode)]
        found: set[str] = set()
        while queue:
            kind = queue.pop()
            if kind.value not in found:
                found.add(kind.value)
                above = self.values(kind, PREFIXES["rdfs"] + "subClassOf")
                queue += [c for c in above if isinstance(c, ox.NamedNode)]
        return frozenset(found)

    def passed(self, screen: Screen, nodes: Iterable[ox.NamedNode]) -> set[str]:
        """Those of the nodes that the screen lets pass."""
        return {
            node.value
            for node in nodes
            if screen.passes(self, node, {q.predicate.value for q in self.store.quads_for_pattern(node, None, None)})
        }


def loaded(*paths: Path) -> ox.Store:
    store = ox.Store()
    for path in paths:
        store.load(path=str(path), base_iri=BASE)
    return store


def named(store: ox.Store) -> set[ox.NamedNode]:
    return {q.subject for q in store if isinstance(q.subject, ox.NamedNode)}


@pytest.fixture(scope="module")
def shipped() -> Screen:
    return Screen(CONTENT.shapes)


@pytest.fixture(scope="module")
def background() -> list[ox.Quad]:
    ontology = ROOT / "ontology"
    return list(loaded(ontology / "parley.ttl", ontology / "schemes.ttl", CASES / "context.ttl"))


def judged(screen: Screen, background: list[ox.Quad], path: Path) -> tuple[set[str], set[str]]:
    """The nodes of a case, and those of them that pass."""
    case = loaded(path)
    nodes = named(case)
    case.extend(background)
    return {node.value for node in nodes}, Plain(case).passed(screen, nodes)


def test_shipped_shapes_leave_the_screen_its_sight(shipped: Screen) -> None:
    assert not shipped.blind


def test_background_passes_the_screen(shipped: Screen, background: list[ox.Quad]) -> None:
    store = ox.Store()
    store.extend(background)
    nodes = named(store)
    assert Plain(store).passed(shipped, nodes) == {node.value for node in nodes}


@pytest.mark.parametrize("case", VALID, ids=case_id)
def test_nodes_of_a_valid_case_pass(case: Path, shipped: Screen, background: list[ox.Quad]) -> None:
    nodes, passed = judged(shipped, background, case)
    assert nodes - passed == set()


@pytest.mark.parametrize(("case", "report"), [*zip(REFUSED, REPORTS, strict=True)], ids=map(case_id, REFUSED))
def test_nodes_of_a_refused_case_with_a_result_are_flagged(
    case: Path, report: Path, shipped: Screen, background: list[ox.Quad]
) -> None:
    nodes, passed = judged(shipped, background, case)
    focus = {str(node) for node in rdflib.Graph().parse(report, publicID=BASE).objects(None, SH.focusNode)}
    assert focus & nodes
    assert focus & passed == set()


DATA = """
x:A rdfs:subClassOf x:Top . x:B rdfs:subClassOf x:A .
x:a a x:B ; x:p 1 , "text" ; x:q x:b ; x:r 1.0 ;
    x:l "b"@en , "c"@EN ; x:from "2025-01-02"^^xsd:date ; x:until "2025-01-01"^^xsd:date , "2025-01-03"^^xsd:date .
x:b a x:Other ; x:p 2 .
"""


def screened(folder: Path, shapes: str, data: str) -> set[str]:
    """The last parts of the nodes of the data that pass shapes."""
    (folder / "shapes.ttl").write_text(PREFIX + shapes, "utf-8")
    store = ox.Store()
    store.load((PREFIX + data).encode(), ox.RdfFormat.TURTLE)
    passed = Plain(store).passed(Screen([folder / "shapes.ttl"]), named(store))
    return {name.removeprefix("urn:x:") for name in passed}


#: Shapes for class x:Top, to whether x:a, which is one by two subclasses, passes.
KNOWN = {
    "sh:property [ sh:path x:l ; sh:uniqueLang true ]": False,
    "sh:property [ sh:path x:p ; sh:uniqueLang true ]": True,
    "sh:property [ sh:path x:l ; sh:languageIn ( 'en' ) ]": True,
    "sh:property [ sh:path x:from ; sh:lessThanOrEquals x:from ]": True,
    "sh:property [ sh:path x:from ; sh:lessThan x:from ]": False,
    "sh:property [ sh:path x:from ; sh:lessThanOrEquals x:until ]": False,
    "sh:property [ sh:path x:r ; sh:minInclusive 1 ; sh:maxInclusive 1 ]": True,
    "sh:property [ sh:path x:r ; sh:minExclusive 1 ]": False,
    "sh:property [ sh:path x:q ; sh:in ( x:a x:b ) ]": True,
    "sh:property [ sh:path x:q ; sh:in ( x:a x:c ) ]": False,
    "sh:property [ sh:path x:q ; sh:disjoint x:q ]": False,
    "sh:property [ sh:path x:p ; sh:minCount 2 ]": True,
    "sh:property [ sh:path x:p ; sh:minCount 3 ]": False,
    "sh:property [ sh:path x:q ; sh:class x:Other ; sh:nodeKind sh:IRI ]": True,
    "sh:property [ sh:path x:q ; sh:class x:Top ]": False,
    "sh:property [ sh:path [ sh:inversePath x:q ] ; sh:maxCount 0 ]": True,
    "sh:property [ sh:path [ sh:inversePath x:q ] ; sh:minCount 1 ]": False,
    "sh:property [ sh:path x:p ; sh:or ( [ sh:datatype xsd:integer ] [ sh:pattern '^te' ] ) ]": True,
    "sh:property [ sh:path x:p ; sh:xone ( [ sh:datatype xsd:integer ] [ sh:nodeKind sh:Literal ] ) ]": False,
    "sh:property [ sh:path x:q ; sh:disjoint x:p ]": True,
    "sh:not [ sh:property [ sh:path x:q ; sh:minCount 1 ] ]": False,
    "sh:property [ sh:path x:p ; sh:qualifiedValueShape [ sh:datatype xsd:integer ] ; sh:qualifiedMaxCount 1 ]": True,
    "sh:property [ sh:path x:p ; sh:qualifiedValueShape [ sh:datatype xsd:integer ] ; sh:qualifiedMinCount 2 ]": False,
}


@pytest.mark.parametrize("shape", KNOWN)
def test_known_constraint_is_judged(tmp_path: Path, shape: str) -> None:
    passed = screened(tmp_path, f"x:Shape a sh:NodeShape ; sh:targetClass x:Top ; {shape} .", DATA)
    assert ("a" in passed) == KNOWN[shape]
    assert "b" in passed


#: Shapes for class x:Top that x:a conforms to, in words that the screen does not know or pySHACL reads otherwise.
UNKNOWN = [
    'sh:sparql [ sh:select "SELECT $this { $this a x:Nothing }" ]',
    "sh:closed false",
    "sh:closed true ; sh:ignoredProperties ( rdf:type x:p x:q )",
    "sh:property [ sh:path ( x:q x:p ) ; sh:maxCount 9 ]",
    "sh:property [ sh:path [ sh:alternativePath ( x:p x:q ) ] ; sh:maxCount 9 ]",
    "sh:property [ sh:path [ sh:zeroOrMorePath x:q ] ; sh:maxCount 9 ]",
    "sh:property [ sh:path [ sh:inversePath [ sh:zeroOrOnePath x:q ] ] ; sh:maxCount 9 ]",
    "sh:property [ sh:path x:s ; sh:equals x:t ]",
    "sh:property [ sh:path x:p ; sh:pattern 'T|1' ; sh:flags 'i' ]",
    "sh:property [ sh:path x:p ; sh:maxCount 1 ; sh:deactivated true ]",
    "sh:property [ sh:path x:p ; sh:qualifiedValueShape [ sh:nodeKind sh:IRI ] ; sh:qualifiedMaxCount 1 ;"
    " sh:qualifiedValueShapesDisjoint true ]",
    "sh:or ( [ sh:closed true ] [ sh:class x:Other ] )",
    "sh:not [ sh:closed true ]",
    "sh:someday 5",
    "sh:not [ sh:qualifiedValueShape [ sh:nodeKind sh:Literal ] ; sh:qualifiedMinCount 1 ]",
    "sh:property [ sh:path [ sh:inversePath x:q ; rdf:first x:q ; rdf:rest ( x:p ) ] ; sh:maxCount 9 ]",
    "sh:property [ sh:path x:r ; sh:hasValue 1.0 ]",
    "sh:property [ sh:path x:r ; sh:in ( 1.0 ) ]",
    "sh:not [ sh:property [ sh:path x:s ; sh:minCount 1 ; sh:severity sh:Warning ] ]",
    "sh:xone ( [ sh:property [ sh:path x:s ; sh:minCount 1 ; sh:severity sh:Info ] ] [ sh:nodeKind sh:IRI ] )",
    "sh:property [ sh:path x:q ; sh:qualifiedMaxCount 0 ; sh:qualifiedValueShape"
    " [ sh:class x:Top ; sh:severity sh:Warning ] ]",
]


#: Constraints that may look anywhere, so that no node is sure.
ANYWHERE = ("sh:sparql", "sh:someday")


@pytest.mark.parametrize("shape", UNKNOWN)
def test_unknown_constraint_flags(tmp_path: Path, shape: str) -> None:
    passed = screened(tmp_path, f"x:Shape a sh:NodeShape ; sh:targetClass x:Top ; {shape} .", DATA)
    assert "a" not in passed
    assert ("b" in passed) == (not shape.startswith(ANYWHERE))


@pytest.mark.parametrize(
    "shapes",
    [
        "x:Shape sh:targetNode x:a ; sh:nodeKind sh:IRI .",
        "x:Shape sh:targetObjectsOf x:q ; sh:nodeKind sh:IRI .",
        "x:Shape sh:target [ sh:select 'SELECT ?this { ?this a x:A }' ] ; sh:nodeKind sh:IRI .",
        "x:A a sh:NodeShape , rdfs:Class ; sh:nodeKind sh:IRI .",
        "x:A a sh:NodeShape , owl:Class ; sh:nodeKind sh:IRI .",
        "x:A a sh:NodeShape , x:Kind ; sh:nodeKind sh:IRI . x:Kind rdfs:subClassOf rdfs:Class .",
        "x:Shape sh:targetClass x:Top ; x:own 5 . x:Own a sh:ConstraintComponent ; sh:parameter [ sh:path x:own ] .",
        "x:Shape sh:targetClass x:Top ; sh:property [ sh:path x:q ; sh:property [ sh:path x:p ; sh:minCount 1 ] ] .",
        "x:Shape sh:targetClass x:Top ; sh:property [ sh:path x:q ; sh:node x:Shape ] .",
    ],
)
def test_unknown_target_or_sight_flags_every_node(tmp_path: Path, shapes: str) -> None:
    assert screened(tmp_path, shapes, DATA) == set()


def test_known_constraint_that_is_broken_flags_beside_an_unknown_one(tmp_path: Path) -> None:
    shape = "x:Shape sh:targetSubjectsOf x:q ; sh:or ( [ sh:closed true ] [ sh:nodeKind sh:IRI ] ) ; sh:nodeKind "
    assert "a" in screened(tmp_path, shape + "sh:IRI .", DATA)
    assert "a" not in screened(tmp_path, shape + "sh:Literal .", DATA)


LITERALS = [
    "0", "1", "2", "10", "1.0", "1.5", "-1", "01", "1e0", '"1"', '"b"', '"bc"', '"b"@en', '"c"@en', '"c"@EN-us',
    '"d"@de', "true", '"2025-01-01"^^xsd:date', '"2025-02-01"^^xsd:date', '"2025-02-30"^^xsd:date',
    '"2025-01-01Z"^^xsd:date', '"2025-01"^^xsd:gYearMonth', '"2025"^^xsd:gYear', '"many"^^xsd:integer', '""',
    '"2025-01-01T00:00:00"^^xsd:dateTime', '" 1"^^xsd:integer', '"1."^^xsd:decimal', '"+1"^^xsd:integer',
]  # fmt: skip
NODES = ["x:a", "x:b", "x:c"]
CLASSES = ["x:A", "x:B", "x:C"]
DATATYPES = [
    "xsd:string", "xsd:integer", "xsd:decimal", "xsd:date", "xsd:gYear", "xsd:gYearMonth", "xsd:double",
    "xsd:boolean", "xsd:dateTime", "rdf:langString",
]  # fmt: skip
KINDS = ["IRI", "Literal", "BlankNode", "IRIOrLiteral", "BlankNodeOrIRI", "BlankNodeOrLiteral"]
number = st.sampled_from(["0", "1", "1.0", "1.5", "10", '"2025-01-15"^^xsd:date'])
small = st.integers(0, 3)
terms = st.sampled_from([*NODES, *LITERALS])


def listed(items: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.lists(items, min_size=1, max_size=3).map(lambda found: f"( {' '.join(found)} )")


#: Constraints on each value, which node shapes and property shapes may have; one of each name a shape.
ON_EACH: dict[str, st.SearchStrategy[str]] = {
    "datatype": st.sampled_from(DATATYPES),
    "class": st.sampled_from(CLASSES),
    "nodeKind": st.sampled_from(KINDS).map("sh:{}".format),
    "pattern": st.sampled_from(["'^b'", "'1'", "'urn'", "'^$'", "'c$'", "'[0-9]{2}'"]),
    "in": listed(terms),
    "minInclusive": number,
    "maxInclusive": number,
    "minExclusive": number,
    "maxExclusive": number,
    "minLength": small.map(str),
    "maxLength": small.map(str),
    "languageIn": listed(st.sampled_from(["'en'", "'de'"])),
    "hasValue": terms,
}
#: Constraints on the values of a path together.
ON_PATH: dict[str, st.SearchStrategy[str]] = {
    "minCount": small.map(str),
    "maxCount": small.map(str),
    "uniqueLang": st.sampled_from(["true", "false"]),
    "lessThan": st.sampled_from(["x:p", "x:q"]),
    "lessThanOrEquals": st.sampled_from(["x:p", "x:q"]),
    "disjoint": st.sampled_from(["x:p", "x:q"]),
}
paths = st.sampled_from(["x:p", "x:q", "[ sh:inversePath x:p ]", "[ sh:inversePath x:q ]"])


def stated(parts: dict[str, st.SearchStrategy[str]], most: int) -> st.SearchStrategy[str]:
    names = st.lists(st.sampled_from(sorted(parts)), max_size=most, unique=True)
    chosen = names.flatmap(lambda found: st.tuples(*(st.tuples(st.just(n), parts[n]) for n in found)))
    return chosen.map(lambda pairs: " ".join(f"sh:{name} {value} ;" for name, value in pairs))


def combined(shape: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Constraints that hold shapes of their own."""
    inner = shape.map("[ {} ]".format)
    return st.one_of(
        st.tuples(st.sampled_from(["or", "and", "xone"]), listed(inner)).map(lambda pair: "sh:{} {} ;".format(*pair)),
        st.tuples(st.sampled_from(["not", "node"]), inner).map(lambda pair: "sh:{} {} ;".format(*pair)),
    )


def nested(shape: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Node shapes and property shapes around smaller ones."""
    inside = st.one_of(st.just(""), st.just(""), combined(shape))
    counted = st.builds(
        "sh:qualifiedValueShape [ {} ] ; sh:{} {} ;".format,
        shape,
        st.sampled_from(["qualifiedMinCount", "qualifiedMaxCount"]),
        small,
    )
    on_path = st.builds(
        "sh:path {} ; {} {} {} {}".format, paths, stated(ON_EACH, 1), stated(ON_PATH, 1), inside, st.just("") | counted
    )
    return st.builds("sh:property [ {} ] ; {} {}".format, on_path, stated(ON_EACH, 1), inside)


bodies = st.recursive(stated(ON_EACH, 2), nested, max_leaves=5)
direct = st.builds("sh:property [ sh:path {} ; {} {} ] ;".format, paths, stated(ON_EACH, 1), stated(ON_PATH, 1))
targets = st.sampled_from(["sh:targetClass x:A", "sh:targetClass x:C", "sh:targetSubjectsOf x:p"])
shapes = st.lists(
    st.builds("[] a sh:NodeShape ; {} ; {} .".format, targets, direct | nested(bodies)), min_size=1, max_size=2
)


def dataset(seed: int) -> str:
    """Twelve nodes of random classes, each with up to two values of each property, many of them alike."""
    chance = random.Random(seed)
    pool = [*NODES, *chance.sample(LITERALS, 5)]
    lines = ["x:B rdfs:subClassOf x:A ."]
    for name in [*NODES, *(f"x:n{n}" for n in range(9))]:
        lines.append(f"{name} a {chance.choice(CLASSES)} .")
        lines += [
            f"{name} {p} {chance.choice(pool)} ." for p in ("x:p", "x:q") for _ in range(chance.choice((0, 1, 1, 2)))
        ]
    return "\n".join(lines)


@settings(
    deadline=None,
    max_examples=tries(100),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(shapes=shapes, data=st.integers(0, 9999).map(dataset))
def test_node_that_passes_has_no_result_of_pyshacl(tmp_path: Path, shapes: list[str], data: str) -> None:
    passed = screened(tmp_path, "\n".join(shapes), data)
    store = ox.Store()
    store.load((PREFIX + data).encode(), ox.RdfFormat.TURTLE)
    logging.getLogger("rdflib.term").setLevel(logging.CRITICAL)  # it prints a traceback for an ill-formed literal
    graph = rdflib.Graph(bind_namespaces="none")
    for quad in store:
        graph.add((as_rdflib(quad.subject), as_rdflib(quad.predicate), as_rdflib(quad.object)))
    known = rdflib.Graph(bind_namespaces="none").parse(tmp_path / "shapes.ttl", format="turtle")
    _, report, _ = pyshacl.validate(graph, shacl_graph=known, inplace=True, do_owl_imports=False, allow_warnings=True)
    assert isinstance(report, rdflib.Graph)
    top = report.objects(report.value(None, rdflib.RDF.type, SH.ValidationReport), SH.result)
    broken = {str(report.value(result, SH.focusNode)).removeprefix("urn:x:") for result in top}
    assert broken & passed == set()
