"""What the routes share: the graph and its pages as dependencies, the choice of a format, and streams of answers."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Query, Request
from fastapi.responses import StreamingResponse

from kg import formats
from kg.errors import NotFound
from kg.evaluation import Question
from kg.formats import Format
from kg.graph import Graph
from kg.pages import Pages
from kg.pool import Answer

Wanted = Annotated[str, Query(alias="format", description="A format by name, instead of the Accept header.")]


def graph_of(request: Request) -> Graph:
    graph: Graph = request.app.state.graph
    return graph


def pages_of(request: Request) -> Pages:
    pages: Pages = request.app.state.pages
    return pages


TheGraph = Annotated[Graph, Depends(graph_of)]
ThePages = Annotated[Pages, Depends(pages_of)]


def choose(request: Request, wanted: str, among: tuple[Format, ...]) -> Format:
    """The format by name if one is wanted, else by the Accept header."""
    if wanted:
        return formats.named(wanted, among)
    return formats.negotiate(request.headers.get("accept", ""), among)


def stream(answer: Answer, form: Format) -> StreamingResponse:
    headers = {"Parley-Version": str(answer.head["version"])}
    return StreamingResponse(answer.chunks, media_type=form.content_type, headers=headers)


async def whole_graph(request: Request, graph: Graph, iri: str, wanted: str) -> StreamingResponse:
    """One graph ("" is the default graph). Raises: NotFound."""
    form = choose(request, wanted, formats.GRAPHS)
    await require_graph(graph, iri)
    return stream(await graph.graph(iri, form), form)


async def require_graph(graph: Graph, iri: str) -> None:
    """Raises: NotFound: there is no such graph."""
    if not await holds(graph, iri):
        raise NotFound(f"There is no graph {iri}.", "GET /graphs lists them.")


async def holds(graph: Graph, iri: str) -> bool:
    """Whether there is such a graph; the default graph ("") always is."""
    return not iri or await is_true(graph, f"ASK {{ GRAPH <{iri}> {{ ?s ?p ?o }} }}")


async def is_true(graph: Graph, ask: str) -> bool:
    return b"true" in await (await graph.query(Question(ask), formats.ROWS[2])).read()
