"""The description of the API is true: requests made from it get the answers that it names."""

from __future__ import annotations

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import CheckFunction
from schemathesis.core.result import Ok
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

from kg.api import create_app
from kg.graph import EndpointGraph
from kg.metrics import Metrics
from kg.settings import Settings
from kg.terms import SOURCE
from tests.conftest import CONTENT
from tests.server import TOKEN, Server

#: Values that lead further than into a refusal.
LIKELY: dict[str, list[str]] = {
    "query": [
        "SELECT * { ?s ?p ?o } LIMIT 3",
        "ASK { country:JP ?p ?o }",
        "CONSTRUCT WHERE { country:JP ?p ?o }",
        "DESCRIBE country:JP",
    ],
    "update": [f"INSERT DATA {{ GRAPH <{SOURCE}x> {{ <urn:a> a foaf:Person }} }}", "CLEAR GRAPH source:x"],
    "graph": [f"{SOURCE}2025-06-06-yomiuri-fifth-round", "source:x", "graph:entailed"],
    "format": ["", "json", "csv", "turtle", "jsonld", "html", "text"],
    "path": ["country/JP", "2025-06-06-yomiuri-fifth-round", "country/XX", "a//b", "%"],
    "importer": ["US", "EU"],
    "origin": ["JP", "XX"],
    "product": ["8703.23.01", "87"],
    "on": ["2025-06-07", "9999-12-31"],
    "knownOn": ["2025-06-07", ""],
    "limit": ["1", "10000"],
    "timeout": ["20"],
    "max-rows": ["1", "1000"],
    "max-bytes": ["1000000"],
}
BODIES = {
    "application/sparql-query": LIKELY["query"],
    "application/sparql-update": LIKELY["update"],
    "text/turtle": ["<urn:a> a foaf:Person .", "<urn:a> <urn:b> 1 .", "<> a"],
    "application/n-triples": ["<urn:a> <urn:b> <urn:c> .", ""],
    "application/rdf+xml": ['<RDF xmlns="http://www.w3.org/1999/02/22-rdf-syntax-ns#"/>', "<!DOCTYPE a>"],
    "application/ld+json": ['{"@id": "urn:a", "urn:b": 1}', '{"@context": "http://127.0.0.1:1/"}', "["],
    "application/trig": [f"<{SOURCE}x> {{ <urn:a> <urn:b> 1 }}", "<urn:a> <urn:b> 1 ."],
    "application/n-quads": [f"<urn:a> <urn:b> <urn:c> <{SOURCE}x> .", "<urn:a>"],
}
for media, texts in BODIES.items():
    schemathesis.openapi.media_type(media, st.sampled_from([text.encode() for text in texts]) | st.binary())

_GRAPH = EndpointGraph("http://127.0.0.1:1/", CONTENT, Settings())
schema = schemathesis.openapi.from_dict(create_app(_GRAPH, Metrics(_GRAPH)).openapi())
#: Each operation by its method and path. The plugin's own way to parametrise a test gives all of them one name, and
#: xdist then runs the first alone.
OPERATIONS = {found.ok().label: found.ok() for found in schema.get_all_operations() if isinstance(found, Ok)}
likely_values = st.fixed_dictionaries({name: st.sampled_from(LIKELY[name]) for name in LIKELY})
bounded: dict[str, Any] = {
    "deadline": None,
    "suppress_health_check": list(HealthCheck),
    "phases": [Phase.generate],
}


def cases(name: str) -> st.SearchStrategy[schemathesis.Case[Any]]:
    """Requests for an operation: such as the description allows, and others if it takes anything."""
    operation = OPERATIONS[name]
    allowed = operation.as_strategy()
    return allowed | operation.as_strategy(GenerationMode.NEGATIVE) if operation.query or operation.body else allowed


def check(server: Server, case: schemathesis.Case[Any], likely: dict[str, str]) -> None:
    """Send the request, as it is or with likely values, and compare the answer with what the description says."""
    if case.meta is not None and case.meta.generation.mode is GenerationMode.POSITIVE:
        for part in (case.path_parameters, case.query, case.body):
            if isinstance(part, dict):
                part.update({name: value for name, value in likely.items() if name in part})
    # A text that fits the description need not be a query or the name of a thing: 400 and 404 are right answers to it.
    excluded: list[CheckFunction] = [positive_data_acceptance]
    declared = {parameter.name for parameter in case.operation.query} - {"parameters"}
    if set(case.query or ()) - declared or case.method != "GET":
        # A parameter that the route does not have is passed over, one of a question counts as not given if it is empty,
        # and the token that is left out is given below.
        excluded.append(negative_data_rejection)
    headers = {"Authorization": f"Bearer {TOKEN}"}
    case.call_and_validate(base_url=server.url, headers=headers, timeout=60, excluded_checks=excluded)


@pytest.mark.parametrize("path", ["/source/%25", "/source/%C2%8D", "/source/%EF%BF%BF"])
@pytest.mark.parametrize("method", ["GET", "PUT", "POST", "DELETE"])
def test_a_name_that_no_iri_can_have_is_refused(server: Server, method: str, path: str) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "text/turtle"}
    with server.client() as client:
        assert client.request(method, path, headers=headers).status_code == 400


@pytest.mark.parametrize("operation", OPERATIONS)
@settings(max_examples=30, **bounded)
@given(st.data())
def test_answers_are_those_that_the_description_names(server: Server, operation: str, data: st.DataObject) -> None:
    check(server, data.draw(cases(operation)), data.draw(likely_values))


@pytest.mark.long
@pytest.mark.parametrize("operation", OPERATIONS)
@settings(max_examples=1000, **bounded)
@given(st.data())
def test_answers_to_many_requests_are_those_that_the_description_names(
    server: Server, operation: str, data: st.DataObject
) -> None:
    check(server, data.draw(cases(operation)), data.draw(likely_values))


def test_every_operation_is_asked() -> None:
    asked = {
        f"{method.upper()} {path}" for path, operations in schema.raw_schema["paths"].items() for method in operations
    }
    assert set(OPERATIONS) == asked
    assert len(asked) > 25
