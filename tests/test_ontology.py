"""The ontology as text: every term has a name and a meaning that a person can read."""

from __future__ import annotations

import pytest
from rdflib import OWL, RDF, RDFS, SH, SKOS, Graph, Literal, URIRef
from rdflib.term import Node

from kg import __version__
from kg.terms import CONCEPT_KINDS, ID, ONTOLOGY_GRAPH, TRADE
from tests.sources import CONTENT


def read(*names: str) -> Graph:
    graph = Graph(bind_namespaces="none")
    for name in names:
        graph.parse(CONTENT.root / "ontology" / f"{name}.ttl", publicID=ONTOLOGY_GRAPH)
    return graph


MAIN, SCHEMES, ALIGNMENTS = read("parley"), read("schemes"), read("alignments")
TERMS = sorted({str(s) for s in MAIN.subjects(RDF.type) if isinstance(s, URIRef) and str(s).startswith(TRADE)})
CLASSES = [term for term in TERMS if (URIRef(term), RDF.type, OWL.Class) in MAIN]
PROPERTIES = [term for term in TERMS if term not in CLASSES]
CONCEPTS = sorted(str(c) for c in SCHEMES.subjects(RDF.type, SKOS.Concept))
PROPERTY_KINDS = {OWL.ObjectProperty, OWL.DatatypeProperty, OWL.AnnotationProperty}


def english(graph: Graph, subject: str, predicate: Node) -> list[str]:
    found = graph.objects(URIRef(subject), predicate)
    return [str(o) for o in found if isinstance(o, Literal) and o.language == "en"]


def local(iri: str) -> str:
    return iri.rpartition("#")[2].rpartition("/")[2]


@pytest.mark.parametrize("term", TERMS, ids=local)
def test_term_has_one_english_label_and_definition(term: str) -> None:
    (label,) = english(MAIN, term, RDFS.label)
    (definition,) = english(MAIN, term, SKOS.definition)
    assert label == label.strip() != ""
    assert definition[0].isupper()
    assert definition.endswith(".")
    assert len(definition.split()) >= 5


@pytest.mark.parametrize("term", TERMS, ids=local)
def test_name_of_a_term_is_its_label(term: str) -> None:
    """So that whoever reads the one finds the other; a class begins with a capital, a property does not."""
    (label,) = english(MAIN, term, RDFS.label)
    name = local(term)
    assert name[0].isupper() == (term in CLASSES)
    assert not set("_-.") & set(name)
    first = label.replace("-", " ").split()[0]
    assert name.casefold().startswith(first.casefold())


@pytest.mark.parametrize("term", CLASSES, ids=local)
def test_class_has_an_example(term: str) -> None:
    assert len(english(MAIN, term, SKOS.example)) == 1


@pytest.mark.parametrize("term", PROPERTIES, ids=local)
def test_property_is_of_one_kind(term: str) -> None:
    assert len(PROPERTY_KINDS & set(MAIN.objects(URIRef(term), RDF.type))) == 1


def test_ontology_has_a_version_of_its_own_iri() -> None:
    ontology = URIRef(ONTOLOGY_GRAPH)
    version = str(MAIN.value(ontology, OWL.versionInfo))
    assert str(MAIN.value(ontology, OWL.versionIRI)) == f"{ONTOLOGY_GRAPH}/{version}"
    assert version == __version__
    assert english(MAIN, ONTOLOGY_GRAPH, URIRef("http://purl.org/dc/terms/title"))


def test_no_property_is_the_named_inverse_of_another() -> None:
    """One direction is enough: a query goes back along it with ^."""
    named = [s for s in MAIN.subjects(OWL.inverseOf) if isinstance(s, URIRef)]
    assert named == []


def test_meaning_is_said_without_domains_and_ranges() -> None:
    """They would type what they should check; schema:domainIncludes informs, and SHACL checks."""
    assert not list(MAIN.subject_objects(RDFS.domain))
    assert not list(MAIN.subject_objects(RDFS.range))


@pytest.mark.parametrize("concept", CONCEPTS, ids=lambda iri: iri.removeprefix(ID))
def test_concept_has_a_label_a_definition_a_notation_and_its_scheme(concept: str) -> None:
    kind, _, name = concept.removeprefix(ID).partition("/")
    assert kind in CONCEPT_KINDS
    assert len(english(SCHEMES, concept, RDFS.label)) == 1
    (definition,) = english(SCHEMES, concept, SKOS.definition)
    assert definition.endswith(".")
    assert [str(o) for o in SCHEMES.objects(URIRef(concept), SKOS.notation)] == [name]
    assert list(SCHEMES.objects(URIRef(concept), SKOS.inScheme)) == [URIRef(ID + kind)]


def test_each_scheme_is_described_and_has_concepts() -> None:
    schemes = {str(s) for s in SCHEMES.subjects(RDF.type, SKOS.ConceptScheme)}
    assert {str(s) for s in SCHEMES.objects(None, SKOS.inScheme)} == schemes
    for scheme in schemes:
        assert len(english(SCHEMES, scheme, RDFS.label)) == 1
        assert len(english(SCHEMES, scheme, SKOS.definition)) == 1


def test_alignments_relate_our_terms_to_those_of_others() -> None:
    known = {URIRef(iri) for iri in (*TERMS, *CONCEPTS)}
    pairs = [(s, o) for s, _, o in ALIGNMENTS if isinstance(o, URIRef)]
    assert pairs
    for ours, theirs in pairs:
        assert ours in known or str(ours).startswith(ONTOLOGY_GRAPH), ours
        assert not str(theirs).startswith(TRADE)


def test_every_property_of_a_fact_asks_for_the_type_of_its_subject() -> None:
    """A shape targets the subjects of each property that sources state, so that no node goes unjudged."""
    shapes = Graph(bind_namespaces="none")
    for path in CONTENT.shapes:
        shapes.parse(path)
    targets = {str(target) for target in shapes.objects(None, SH.targetSubjectsOf)}
    derived = {TRADE + name for name in ("concerns", "holdsOffice", "tookPartIn")}
    annotations = {term for term in PROPERTIES if (URIRef(term), RDF.type, OWL.AnnotationProperty) in MAIN}
    assert targets == set(PROPERTIES) - derived - annotations
