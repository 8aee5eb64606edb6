"""Reads the W3C's manifests of tests that tell requests and the answers expected as RDF (HTTP in RDF)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyoxigraph as ox

_MF = "http://www.w3.org/2001/sw/DataAccess/tests/test-manifest#"
_UT = "http://www.w3.org/2009/sparql/tests/test-update#"
_HT = "http://www.w3.org/2011/http#"
_CNT = "http://www.w3.org/2011/content#"
_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_LABEL = "http://www.w3.org/2000/01/rdf-schema#label"


@dataclass(frozen=True)
class Said:
    """Headers and a body, as the manifest writes them; names of headers in lower case."""

    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class Expected(Said):
    """An answer: statuses such as `Created` or `StatusCode2xx`, boolean, kind, and a word that stands for Location."""

    statuses: frozenset[str]
    truth: bool | None
    kind: str
    location: str


@dataclass(frozen=True)
class Request(Said):
    method: str
    path: str
    expected: Expected


@dataclass(frozen=True)
class Test:
    """One test: the graphs that the store holds before it, by IRI, and the requests in their order."""

    __test__ = False  # it is none of pytest's

    name: str
    graphs: dict[str, Path]
    requests: tuple[Request, ...]


def read(manifest: Path) -> list[Test]:
    """The tests that a manifest describes, by name; also those that its list of entries forgets."""
    return _Manifest(manifest).tests()


class _Manifest:
    def __init__(self, path: Path) -> None:
        self._store = ox.Store()
        self._store.load(path=str(path), base_iri=path.resolve().as_uri())

    def tests(self) -> list[Test]:
        named = self._store.quads_for_pattern(None, ox.NamedNode(_MF + "name"), None, None)
        return sorted((self._test(quad.subject) for quad in named), key=lambda test: test.name)  # type: ignore[arg-type]

    def _test(self, test: ox.NamedNode) -> Test:
        graphs = {
            self._text(data, _LABEL): Path(self._text(data, _UT + "graph").removeprefix("file://"))
            for data in self._all(test, _UT + "graphData")
        }
        action = self._one(test, _MF + "action")
        requests = self._list(self._one(action, _HT + "requests")) if action else []
        return Test(test.value.rpartition("#")[2], graphs, tuple(map(self._request, requests)))

    def _request(self, node: ox.NamedNode) -> Request:
        headers, body = self._said(node)
        method, path = (self._text(node, _HT + name) for name in ("methodName", "absolutePath"))
        return Request(headers, body, method, path, self._expected(self._one(node, _HT + "resp")))

    def _expected(self, node: ox.NamedNode) -> Expected:
        truth = self._text(node, _MF + "expectedBoolean")
        return Expected(
            *self._said(node),
            frozenset(status.value.rpartition("#")[2] for status in self._all(node, _MF + "expectedStatus")),
            truth == "true" if truth else None,
            self._text(node, _MF + "expectedFormat"),
            self._text(node, _MF + "expectedLocation"),
        )

    def _said(self, node: ox.NamedNode) -> tuple[dict[str, str], bytes]:
        listed = self._one(node, _HT + "headers")
        headers = {
            self._text(header, _HT + "fieldName").lower(): self._text(header, _HT + "fieldValue")
            for header in self._list(listed)
        }
        content = self._one(node, _HT + "body")
        text, coding = (self._text(content, _CNT + name) for name in ("chars", "characterEncoding"))
        return headers, text.encode(coding or "utf-8")

    def _all(self, subject: ox.NamedNode, predicate: str) -> Iterator[ox.NamedNode]:
        if subject:
            for quad in self._store.quads_for_pattern(subject, ox.NamedNode(predicate), None, None):
                yield quad.object  # type: ignore[misc]

    def _one(self, subject: ox.NamedNode, predicate: str) -> ox.NamedNode:
        return next(self._all(subject, predicate), None)  # type: ignore[return-value]

    def _text(self, subject: ox.NamedNode, predicate: str) -> str:
        return getattr(self._one(subject, predicate), "value", "")

    def _list(self, node: ox.NamedNode) -> list[ox.NamedNode]:
        items = []
        while node and node.value != _RDF + "nil":
            items.append(self._one(node, _RDF + "first"))
            node = self._one(node, _RDF + "rest")
        return items
