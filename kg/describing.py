"""The routes by which the server describes itself: its ontology, its shapes, and its graph as a whole."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, FastAPI, Request
from fastapi.responses import Response

from kg import formats, void
from kg.catalogue import Catalogue
from kg.incoming import wants_page
from kg.replies import TheGraph, ThePages, Wanted, choose, whole_graph
from kg.terms import ONTOLOGY_GRAPH

#: Seconds that a page waits for counts before it goes without them.
_PATIENCE = 5.0


def _catalogue(request: Request) -> Catalogue:
    catalogue: Catalogue = request.app.state.catalogue
    return catalogue


TheCatalogue = Annotated[Catalogue, Depends(_catalogue)]


def routes(app: FastAPI) -> None:
    """Add the routes to an application."""

    @app.get("/ontology", tags=["Description"], summary="The ontology; for a browser, a page that explains each term")
    async def ontology(
        request: Request, graph: TheGraph, pages: ThePages, catalogue: TheCatalogue, format: Wanted = ""
    ) -> Response:
        if wants_page(request):
            vocabulary = await catalogue.vocabulary()
            return pages.ontology(vocabulary, await catalogue.summary(_PATIENCE))
        return await whole_graph(request, graph, ONTOLOGY_GRAPH, format)

    @app.get("/shapes", tags=["Description"], summary="The shapes that facts must conform to, in Turtle")
    async def shapes(request: Request, graph: TheGraph, pages: ThePages) -> Response:
        text = "\n".join(path.read_text("utf-8") for path in graph.content.shapes)
        if wants_page(request):
            return pages.text("The shapes", text)
        return Response(text, media_type=formats.GRAPHS[0].content_type)

    @app.get(f"/{void.PLACE}", tags=["Description"], summary="What the graph holds and where to get it (VoID, DCAT)")
    async def description(
        request: Request, graph: TheGraph, pages: ThePages, catalogue: TheCatalogue, format: Wanted = ""
    ) -> Response:
        page = wants_page(request)
        form = formats.GRAPHS[0] if page else choose(request, format, formats.GRAPHS)
        summary = await catalogue.summary()
        assert summary is not None
        body = void.serialised(void.describe(str(request.base_url), summary, bare=graph.bare), form)
        if page:
            return pages.text("The graph as a whole", body.decode())
        return Response(body, media_type=form.content_type, headers={"Parley-Version": str(summary.version)})
