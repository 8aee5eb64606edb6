"""The seam between what Parley asks and what answers: the embedded store, or any SPARQL 1.1 endpoint."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from typing import Any, Protocol

import pyoxigraph as ox

from kg import formats
from kg.errors import BadQuery, Oversize, StoreFailure
from kg.evaluation import Question, solve, write, write_graph
from kg.formats import Format
from kg.limits import TRUNCATED
from kg.terms import prologue

Row = dict[str, "ox.NamedNode | ox.Literal | ox.BlankNode"]


class Reader(Protocol):
    """What questions and rates need of an engine."""

    def answer(self, question: Question, format: Format) -> bytes:
        """The whole answer, serialised."""

    def rows(self, text: str) -> list[Row]:
        """The solutions of a SELECT query; a row has no key for an unbound variable."""


class StoreReader:
    """Reads an open pyoxigraph store."""

    def __init__(self, store: ox.Store) -> None:
        self._store = store

    def answer(self, question: Question, format: Format) -> bytes:
        output = BytesIO()
        write(self._store, question, format, output)
        return output.getvalue()

    def rows(self, text: str) -> list[Row]:
        return list(_rows(solve(self._store, Question(text))))


class EndpointReader:
    """Reads a SPARQL 1.1 endpoint. Its default graph must be the union of its named graphs.

    The media types are asked for by header; prefixes are written out, since other engines do not know ours.
    """

    def __init__(self, url: str, deadline: float) -> None:
        self._url, self._deadline = url, deadline

    def answer(self, question: Question, format: Format) -> bytes:
        if question.calls:
            raise BadQuery("SERVICE is not passed on to another endpoint (KG_STORE).", "Ask each endpoint on its own.")
        if format is formats.COMPACT:
            return _compacted(self.answer(question, formats.named("ntriples", formats.GRAPHS)))
        from urllib.error import URLError

        from SPARQLWrapper import SPARQLWrapper
        from SPARQLWrapper.SPARQLExceptions import QueryBadFormed, SPARQLWrapperException

        client = SPARQLWrapper(self._url)
        client.setTimeout(int(self._deadline) or 1)
        client.setMethod("POST")
        client.setOnlyConneg(True)
        client.addCustomHttpHeader("Accept", format.media[0])
        for iri in question.default_graphs:
            client.addParameter("default-graph-uri", iri)
        for iri in question.named_graphs:
            client.addParameter("named-graph-uri", iri)
        client.setQuery(prologue(question.text) + question.text)
        try:
            response = client.query().response
            cut, body = response.headers.get(TRUNCATED), response.read()
        except QueryBadFormed as error:
            raise BadQuery(f"{self._url} does not take the query: {error}.") from None
        except (SPARQLWrapperException, URLError, OSError) as error:
            raise StoreFailure(
                f"{self._url} does not answer: {error}.", "Is KG_STORE the URL of a query endpoint?"
            ) from None
        if cut:
            raise Oversize(f"{self._url} cuts its answer ({cut}).", "Ask for less at a time, with LIMIT.")
        return bytes(body)

    def rows(self, text: str) -> list[Row]:
        body = self.answer(Question(text), formats.ROWS[0])
        return list(_rows(ox.parse_query_results(body, ox.QueryResultsFormat.JSON)))


def _compacted(ntriples: bytes) -> bytes:
    output = BytesIO()
    write_graph((quad.triple for quad in ox.parse(ntriples, ox.RdfFormat.N_TRIPLES)), formats.COMPACT, output)
    return output.getvalue()


def _rows(solutions: Any) -> Iterator[Row]:
    names = [variable.value for variable in solutions.variables]
    for solution in solutions:
        yield {name: solution[name] for name in names if solution[name] is not None}
