"""The routes by which the server describes itself: its ontology, its shapes, and its graph as a whole."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated

import pyoxigraph as ox
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response

from kg import formats, jsonld, service, void
from kg.catalogue import Catalogue, Summary
from kg.conditions import tag_headers
from kg.evaluation import Question
from kg.incoming import wants_page
from kg.replies import TheGraph, ThePages, Wanted, choose, graph_of, pages_of, part, tagged, whole_graph
from kg.results import Table
from kg.terms import ONTOLOGY_GRAPH

_GRAPHS = f"SELECT DISTINCT ?graph {{ GRAPH ?graph {{}} }} ORDER BY ?graph LIMIT {service.MOST_GRAPHS}"
#: Seconds that a page waits for counts before it goes without them.
_PATIENCE = 5.0


TheCatalogue = Annotated[Catalogue, part("catalogue")]


def routes(app: FastAPI) -> None:
    """Add the routes to an application."""

    @app.get("/ontology", tags=["Description"], summary="The ontology; for a browser, a page that explains each term")
    async def ontology(
        request: Request, graph: TheGraph, pages: ThePages, catalogue: TheCatalogue, format: Wanted = ""
    ) -> Response:
        if wants_page(request):
            tag = tag_headers(request, graph, "html")
            vocabulary, summary = await catalogue.vocabulary(), await catalogue.summary(_PATIENCE)
            return tagged(pages.ontology(vocabulary, summary), _if_counted(summary, tag))
        return await whole_graph(request, graph, ONTOLOGY_GRAPH, format)

    @app.get("/shapes", tags=["Description"], summary="The shapes that facts must conform to, in Turtle")
    async def shapes(request: Request, graph: TheGraph, pages: ThePages) -> Response:
        page = wants_page(request)
        tag = tag_headers(request, graph, "html" if page else "turtle")
        text = "\n".join(path.read_text("utf-8") for path in graph.content.shapes)
        if page:
            return tagged(pages.text("The shapes", text), tag)
        return Response(text, media_type=formats.GRAPHS[0].content_type, headers=tag)

    @app.get(
        f"/{jsonld.PLACE}", tags=["Description"], summary="The JSON-LD context: short names of the ontology's terms"
    )
    async def context() -> Response:
        names = await asyncio.to_thread(jsonld.shipped_context)
        headers = {"Cache-Control": "public, max-age=3600"}
        return JSONResponse(
            {"@context": names}, media_type=formats.named("jsonld", formats.GRAPHS).media[0], headers=headers
        )

    @app.get(f"/{void.PLACE}", tags=["Description"], summary="What the graph holds and where to get it (VoID, DCAT)")
    async def description(request: Request, format: Wanted = "") -> Response:
        return await _described(request, format, "The graph as a whole", _whole)


async def service_description(request: Request) -> Response:
    """What `/sparql` answers without a query: the services, their formats and their graphs."""
    return await _described(request, request.query_params.get("format", ""), "The SPARQL services", _services)


_Describe = Callable[[Request, Summary], Awaitable[list[ox.Triple]]]


async def _described(request: Request, wanted: str, title: str, describe: _Describe) -> Response:
    """A description of the server for machines, or the same as a page to read."""
    graph, page = graph_of(request), wants_page(request)
    form = formats.GRAPHS[0] if page else choose(request, wanted, formats.GRAPHS)
    tag = tag_headers(request, graph, "html" if page else form.name)
    catalogue: Catalogue = request.app.state.catalogue
    summary = await catalogue.summary()
    assert summary is not None
    body = void.serialised(await describe(request, summary), form)
    headers = {"Parley-Version": str(summary.version), **_if_counted(summary, tag)}
    if page:
        return tagged(pages_of(request).text(title, body.decode()), headers)
    return Response(body, media_type=form.content_type, headers=headers)


async def _whole(request: Request, summary: Summary) -> list[ox.Triple]:
    return void.describe(str(request.base_url), summary, bare=graph_of(request).bare)


async def _services(request: Request, summary: Summary) -> list[ox.Triple]:
    graph = graph_of(request)
    answer = await graph.query(Question(_GRAPHS), formats.ROWS[0])
    named = [row[0].iri for row in Table.from_json(await answer.read()).rows]
    return service.describe(str(request.base_url), summary, named, bare=graph.bare)


def _if_counted(summary: Summary | None, tag: Mapping[str, str]) -> Mapping[str, str]:
    """The tag, or none if the counts are still to come: then the same version will be described otherwise."""
    return tag if summary is not None and summary.counts is not None else {}
