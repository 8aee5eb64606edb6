"""Compact JSON-LD holds the triples of the expanded form, under names that people read."""

from __future__ import annotations

import json
from io import BytesIO
from typing import Any

import httpx
import pyoxigraph as ox
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rdflib import Graph
from rdflib.compare import isomorphic

from kg import jsonld
from kg.errors import NotAcceptable
from kg.formats import COMPACT, GRAPHS, WRITTEN, negotiate
from kg.terms import PREFIXES, RDF_TYPE, TRADE, compact
from tests.conftest import CONTENT
from tests.server import Server, kg

JSON_LD = "application/ld+json"
PROFILE = f'{JSON_LD};profile="http://www.w3.org/ns/json-ld#compacted"'
EXPANDED = f'{JSON_LD};profile="http://www.w3.org/ns/json-ld#expanded"'
TARIFF = "/id/tariff/us-232-autos"
CONTEXT = jsonld.shipped_context()


# rdflib's parser reads into a class that rdflib deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:ConjunctiveGraph is deprecated:DeprecationWarning")


def written(triples: list[ox.Triple]) -> bytes:
    output = BytesIO()
    jsonld.write(triples, output)
    return output.getvalue()


def same(one: list[ox.Triple], other: list[ox.Triple]) -> bool:
    """Whether they are the same but for the names of blank nodes."""
    datasets = [ox.Dataset([ox.Quad(*triple) for triple in triples]) for triples in (one, other)]
    for dataset in datasets:
        dataset.canonicalize(ox.CanonicalizationAlgorithm.UNSTABLE)
    return datasets[0] == datasets[1]


def parsed(body: bytes) -> list[ox.Triple]:
    return [quad.triple for quad in ox.parse(body, ox.RdfFormat.JSON_LD)]


class TestContext:
    def test_it_names_every_class_and_property_of_the_ontology(self) -> None:
        terms = {
            quad.subject.value.removeprefix(TRADE)
            for file in CONTENT.ontology.values()
            for quad in ox.parse(file.read_bytes(), ox.RdfFormat.TURTLE)
            if isinstance(quad.subject, ox.NamedNode)
            and quad.subject.value.startswith(TRADE)
            and isinstance(quad.object, ox.NamedNode)
            and compact(quad.object.value) in ("owl:Class", "owl:ObjectProperty", "owl:DatatypeProperty")
        }
        assert len(terms) > 100
        assert terms <= set(CONTEXT)

    @pytest.mark.parametrize(
        ("name", "meaning"),
        [
            ("Tariff", f"{TRADE}Tariff"),
            ("targets", {"@id": f"{TRADE}targets", "@type": "@id"}),
            ("percent", {"@id": f"{TRADE}percent", "@type": f"{PREFIXES['xsd']}decimal"}),
            ("from", f"{TRADE}from"),
            ("rdfs:label", {"@id": f"{PREFIXES['rdfs']}label", "@container": "@language"}),
            ("foaf", PREFIXES["foaf"]),
        ],
    )
    def test_values_are_written_as_the_ontology_and_the_shapes_have_them(self, name: str, meaning: Any) -> None:
        assert CONTEXT[name] == meaning

    def test_the_server_gives_it_to_pages_of_any_origin(self, client: httpx.Client) -> None:
        answer = client.get("/context.jsonld", headers={"Origin": "https://example.org"})
        assert answer.json() == {"@context": CONTEXT}
        assert answer.headers["content-type"] == JSON_LD
        assert answer.headers["access-control-allow-origin"] == "*"
        assert "max-age" in answer.headers["cache-control"]

    def test_a_document_of_ones_own_can_use_it(self) -> None:
        document = {"@context": CONTEXT, "@id": "urn:a", "@type": "Tariff", "rdfs:label": {"en": "A"}, "from": "2025"}
        graph = Graph().parse(data=json.dumps(document), format="json-ld")
        expected = f"""<urn:a> a <{TRADE}Tariff> ; <{PREFIXES["rdfs"]}label> "A"@en ; <{TRADE}from> "2025" ."""
        assert isomorphic(graph, Graph().parse(data=expected, format="turtle"))


class TestRoundTrip:
    @pytest.mark.parametrize("graph", sorted(CONTENT.facts)[::6])
    def test_sources(self, graph: str) -> None:
        file = CONTENT.facts[graph].read_bytes()
        triples = [quad.triple for quad in ox.parse(file, ox.RdfFormat.TURTLE, base_iri=graph)]
        if len(triples) > jsonld.MOST:
            with pytest.raises(NotAcceptable):
                written(triples)
        else:
            assert same(parsed(written(triples)), triples)

    def test_the_ontology_with_its_lists_and_blank_nodes(self) -> None:
        for file in CONTENT.ontology.values():
            triples = [quad.triple for quad in ox.parse(file.read_bytes(), ox.RdfFormat.TURTLE)]
            assert same(parsed(written(triples)), triples)

    iris = st.sampled_from(
        ["urn:a", "urn:b", "void:x", "foaf:x", "http://x/#y", *(PREFIXES["trade"] + n for n in CONTEXT)]
    )
    names = st.builds(ox.NamedNode, iris)
    tagged = st.builds(ox.Literal, st.text(), language=st.sampled_from(["en", "en-gb", "ja"]))
    typed = st.builds(
        ox.Literal,
        st.sampled_from(["1", "01", "1.50", "1e3", "true", "2025-06-07", "2025-06-07T08:00:00Z", "words", ""]),
        datatype=st.sampled_from(
            [PREFIXES["xsd"] + n for n in ("integer", "decimal", "double", "boolean", "date")]
        ).map(ox.NamedNode),
    )
    objects = names | tagged | typed | st.builds(ox.Literal, st.text()) | st.sampled_from("ab").map(ox.BlankNode)
    properties = st.sampled_from(
        [meaning if isinstance(meaning, str) else meaning["@id"] for meaning in CONTEXT.values()]
        + ["urn:p", "void:p", RDF_TYPE]
    ).map(ox.NamedNode)
    triples = st.lists(st.builds(ox.Triple, names | st.sampled_from("ab").map(ox.BlankNode), properties, objects))

    @settings(deadline=None, max_examples=300)
    @given(triples)
    def test_any_graph(self, triples: list[ox.Triple]) -> None:
        assert same(parsed(written(triples)), triples)

    def test_what_is_too_large_or_no_json_ld_is_refused(self) -> None:
        node = ox.NamedNode("urn:a")
        many = [ox.Triple(node, node, ox.Literal(number)) for number in range(jsonld.MOST + 1)]
        assert len(parsed(written(many[:-1]))) == jsonld.MOST
        with pytest.raises(NotAcceptable, match="5,000"):
            written(many)
        with pytest.raises(NotAcceptable):
            written([ox.Triple(node, node, many[0])])


class TestAnswers:
    def test_an_entity_is_compact_and_reads_like_json(self, client: httpx.Client) -> None:
        answer = client.get(TARIFF, headers={"Accept": JSON_LD})
        entity = answer.json()
        assert answer.headers["content-type"] == PROFILE
        assert entity["@id"].endswith(TARIFF)
        assert "Tariff" in entity["@type"]
        assert entity["rdfs:label"]["en"].startswith("US Section 232 tariff")
        assert entity["imposedBy"] == f"{PREFIXES['country']}US"
        assert set(entity["@context"]) < set(CONTEXT)

    @pytest.mark.parametrize(
        "accept", [EXPANDED, EXPANDED.replace('"', ""), f"{JSON_LD};q=0.5, {EXPANDED};q=0.9, text/turtle;q=0.1"]
    )
    def test_an_entity_is_expanded_if_that_is_asked_for(self, client: httpx.Client, accept: str) -> None:
        answer = client.get(TARIFF, headers={"Accept": accept})
        assert answer.headers["content-type"] == JSON_LD
        assert isinstance(answer.json(), list)

    @pytest.mark.parametrize(
        "path",
        [
            TARIFF,
            "/source/2025-06-06-yomiuri-fifth-round",
            "/graphs?graph=source:2025-06-06-yomiuri-fifth-round",
            "/sparql?query=CONSTRUCT+WHERE+%7B+country:JP+?p+?o+%7D",
            "/sparql?query=DESCRIBE+country:JP",
        ],
    )
    def test_both_forms_have_the_same_triples(self, client: httpx.Client, path: str) -> None:
        expanded, compacted = (client.get(path, headers={"Accept": accept}) for accept in (EXPANDED, PROFILE))
        assert compacted.headers["content-type"] == PROFILE
        one, other = (Graph().parse(data=answer.text, format="json-ld") for answer in (expanded, compacted))
        assert len(one) > 3
        assert isomorphic(one, other)

    def test_queries_and_graphs_are_expanded_by_default(self, client: httpx.Client) -> None:
        answer = client.get("/sparql", params={"query": "DESCRIBE country:JP"}, headers={"Accept": JSON_LD})
        assert answer.headers["content-type"] == JSON_LD
        assert isinstance(answer.json(), list)

    def test_it_goes_by_name_too(self, client: httpx.Client) -> None:
        assert client.get(f"{TARIFF}?format=compact").content == client.get(f"{TARIFF}?format=jsonld").content
        answer = client.get("/sparql", params={"query": "DESCRIBE country:JP", "format": "compact"})
        assert answer.json()["@id"] == f"{PREFIXES['country']}JP"

    def test_a_graph_that_is_too_large_is_refused_with_what_would_do(self, client: httpx.Client) -> None:
        answer = client.get("/graphs?default&format=compact")
        assert answer.status_code == 406
        assert "without the profile" in answer.json()["hint"]

    def test_the_command_line_writes_it(self, server: Server) -> None:
        assert json.loads(kg(server.home, "query", "--format", "compact", "DESCRIBE country:JP"))["@type"]


class TestChoice:
    @pytest.mark.parametrize(
        ("accept", "chosen"),
        [
            (PROFILE, COMPACT),
            (PROFILE.replace('"', ""), COMPACT),
            (f'{JSON_LD}; q=0.9; profile="http://www.w3.org/ns/json-ld#compacted", text/turtle;q=0.5', GRAPHS[3]),
            (f'{JSON_LD} ; profile = "urn:x http://www.w3.org/ns/json-ld#compacted";q=0.8, */*;q=0.1', COMPACT),
            (f"{PROFILE};q=0.1, text/turtle", GRAPHS[0]),
            (f"{PROFILE};q=0, {JSON_LD};q=0.5", GRAPHS[3]),
            (EXPANDED, GRAPHS[3]),
            (JSON_LD, GRAPHS[3]),
            ("*/*", GRAPHS[0]),
            ("", GRAPHS[0]),
        ],
    )
    def test_the_profile_decides_among_json_ld(self, accept: str, chosen: Any) -> None:
        assert negotiate(accept, WRITTEN) is chosen

    def test_where_there_is_no_compact_form_the_profile_is_passed_over(self) -> None:
        assert negotiate(PROFILE, GRAPHS) is GRAPHS[3]
