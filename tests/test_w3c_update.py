"""The W3C's tests of the SPARQL 1.1 Protocol that concern updates, on a bare server.

They are not in the repository: PARLEY_DATA names a folder that holds them as w3c/sparql11/protocol/manifest.ttl.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pyoxigraph as ox
import pytest

from tests.server import AUTHORIZED, served

MANIFEST = Path(os.environ.get("PARLEY_DATA", "")) / "w3c" / "sparql11" / "protocol" / "manifest.ttl"
pytestmark = pytest.mark.skipif(not MANIFEST.is_file(), reason="PARLEY_DATA names no folder with the W3C's tests")
#: The requests of a test in their order: the list of requests is walked by the number of steps to each.
REQUESTS = """PREFIX mf: <http://www.w3.org/2001/sw/DataAccess/tests/test-manifest#>
PREFIX ht: <http://www.w3.org/2011/http#> PREFIX cnt: <http://www.w3.org/2011/content#>
SELECT ?test ?step ?method ?path ?body ?encoding ?type ?truth
    (GROUP_CONCAT(STRAFTER(STR(?status), "#StatusCode")) AS ?expected)
{
    ?test mf:action/ht:requests ?list .
    { SELECT ?list ?cell (COUNT(?between) AS ?step)
      { ?list rdf:rest* ?between . ?between rdf:rest* ?cell } GROUP BY ?list ?cell }
    ?cell rdf:first ?request . ?request ht:absolutePath ?path ; ht:methodName ?method ; ht:resp ?response .
    ?response mf:expectedStatus ?status .
    OPTIONAL { ?response mf:expectedBoolean ?truth }
    OPTIONAL { ?request ht:body [ cnt:chars ?body ; cnt:characterEncoding ?encoding ] }
    OPTIONAL { ?request ht:headers/rdf:rest*/rdf:first [ ht:fieldName "content-type" ; ht:fieldValue ?type ] }
    FILTER CONTAINS(STR(?test), "update")
} GROUP BY ?test ?step ?method ?path ?body ?encoding ?type ?truth ORDER BY ?test ?step"""


@dataclass(frozen=True)
class Step:
    """One request of a test and what is expected of its answer: the first digits of its status, and a boolean."""

    method: str
    path: str
    content: bytes
    headers: dict[str, str]
    statuses: set[str]
    truth: str

    def run(self, client: httpx.Client) -> None:
        route = "/sparql" if self.headers.get("Content-Type") == "application/sparql-query" else "/update"
        url = self.path.replace("/sparql/", route)
        answer = client.request(self.method, url, content=self.content, headers=self.headers)
        assert str(answer.status_code)[0] in self.statuses, answer.text
        if self.truth:
            assert str(answer.json()["boolean"]).lower() == self.truth


def steps() -> dict[str, list[Step]]:
    tests: dict[str, list[Step]] = {}
    if not MANIFEST.is_file():
        return tests
    store = ox.Store()
    store.load(path=str(MANIFEST), base_iri="http://www.w3.org/protocol/manifest")
    prefixes = {"rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#"}
    rows = store.query(REQUESTS, prefixes=prefixes)
    assert isinstance(rows, ox.QuerySolutions)
    for row in rows:
        said = {name: getattr(row[name], "value", "") for name in ("body", "encoding", "type", "truth")}
        headers = {**AUTHORIZED, **({"Content-Type": said["type"]} if said["type"] else {})}
        content = said["body"].encode(said["encoding"] or "utf-8")
        statuses = {status[0] for status in row["expected"].value.split()}
        step = Step(row["method"].value, row["path"].value, content, headers, statuses, said["truth"])
        tests.setdefault(row["test"].value.rpartition("#")[2], []).append(step)
    return tests


TESTS = steps()


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    with served(tmp_path_factory.mktemp("w3c") / "home", "--bare") as server, server.client() as client:
        yield client


@pytest.mark.parametrize("name", sorted(TESTS))
def test_protocol_is_kept(client: httpx.Client, name: str) -> None:
    for step in TESTS[name]:
        step.run(client)


def test_there_are_tests() -> None:
    assert len(TESTS) == 14
    assert all(step.statuses for requests in TESTS.values() for step in requests)
