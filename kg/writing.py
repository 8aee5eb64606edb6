"""The routes that write: SPARQL Update, and whole graphs by the Graph Store Protocol. What does not conform changes
nothing."""

from __future__ import annotations

import hmac
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Query, Request
from fastapi.responses import Response
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from kg import formats
from kg.errors import BadRequest, Forbidden, Unauthorized, UnsupportedMedia
from kg.formats import Format
from kg.graph import Graph
from kg.incoming import MAX_QUERY_BYTES, read_body, read_flag, read_iri, read_protocol
from kg.loading import Mode
from kg.operations import Using
from kg.parsing import MAX_BYTES
from kg.replies import DryRun, ReportForm, graph_of, tell

GraphName = Annotated[
    list[str] | None, Query(alias="graph", description="The graph's IRI; `default` alone: all sources merged.")
]
_BEARER = HTTPBearer(auto_error=False, description="The server's token, for writes.")


def _writer(request: Request, given: Annotated[HTTPAuthorizationCredentials | None, Depends(_BEARER)] = None) -> Graph:
    """The graph, for a request that may write."""
    graph = graph_of(request)
    if graph.refusal:
        raise Forbidden("This server is read-only.", graph.refusal)
    if given is None or not hmac.compare_digest(given.credentials.strip().encode(), graph.token.encode()):
        raise Unauthorized("Writing needs the server's token.", "Send it as: Authorization: Bearer TOKEN.")
    return graph


Writer = Annotated[Graph, Depends(_writer)]


_TEXT = {"schema": {"type": "string"}}
_GRAPHS = {"type": "array", "items": {"type": "string"}}
_UPDATE_FIELDS = {
    "update": {"type": "string", "description": "One update; writes name their source by GRAPH or WITH."},
    "using-graph-uri": {**_GRAPHS, "description": "Graphs whose merge the patterns see."},
    "using-named-graph-uri": {**_GRAPHS, "description": "Graphs that GRAPH sees."},
    "dry-run": {"type": "boolean", "description": "Check everything, change nothing."},
}
_UPDATE_BODY = {
    "required": True,
    "description": "The update as it is, with the other parameters in the URL; or all of them as a form.",
    "content": {
        "application/sparql-update": _TEXT,
        "application/x-www-form-urlencoded": {
            "schema": {"type": "object", "properties": _UPDATE_FIELDS, "required": ["update"]}
        },
    },
}
_FACTS_BODY = {
    "required": True,
    "description": "Facts in the graph that the request names, or a data set (TriG, N-Quads) in a request that names "
    "none. With `Content-Encoding: gzip` it is unpacked.",
    "content": {form.media[0]: _TEXT for form in (*formats.GRAPHS, *formats.DATASETS)},
}
_PROBLEM = {"application/problem+json": {"schema": {"type": "object"}}}
_REPORT = {form.media[0]: _TEXT for form in formats.REPORTS if form.name != "json"}
_OUTCOME = {
    "type": "object",
    "properties": {
        "commit": {"type": ["object", "null"], "description": "null if nothing was changed."},
        "created": {"type": "array", "items": {"type": "string"}, "description": "The graphs that were not there."},
        "dryRun": {"type": "boolean"},
        "report": {"type": "object"},
    },
}
_DONE = {"application/json": {"schema": _OUTCOME}, **_REPORT}
_MADE: dict[int | str, dict[str, Any]] = {201: {"description": "Done, and graphs were made", "content": _DONE}}
_TOLD: dict[int | str, dict[str, Any]] = {
    200: {"description": "Done, or nothing to do", "content": _DONE},
    400: {"description": "The request or its body cannot be read", "content": _PROBLEM},
    401: {"description": "No token, or a wrong one", "content": _PROBLEM},
    403: {"description": "The server is read-only", "content": _PROBLEM},
    406: {"description": "No such form of the report", "content": _PROBLEM},
    422: {"description": "Facts that do not conform; nothing was changed", "content": {**_PROBLEM, **_REPORT}},
}
_TAKEN: dict[int | str, dict[str, Any]] = {
    **_TOLD,
    413: {"description": "The body is too large", "content": _PROBLEM},
    415: {"description": "The body is of a type or a coding that is not taken", "content": _PROBLEM},
}


def routes(app: FastAPI) -> None:
    """Add the routes to an application."""
    _update_route(app)
    _graph_routes(app)


def _update_route(app: FastAPI) -> None:
    @app.post(
        "/update",
        tags=["SPARQL"],
        summary="Change facts by SPARQL Update, if what comes of it conforms (SPARQL 1.1 Protocol)",
        openapi_extra={"requestBody": _UPDATE_BODY},
        responses=_TAKEN,
    )
    async def update(request: Request, graph: Writer, form: ReportForm) -> Response:
        given = await read_protocol(request, "update", MAX_QUERY_BYTES)
        texts = given.get("update", [])
        if len(texts) != 1:
            raise BadRequest(f"There are {len(texts)} updates in the request.", "Give exactly one as `update`.")
        default, named = (
            tuple(map(read_iri, given.get(name, []))) for name in ("using-graph-uri", "using-named-graph-uri")
        )
        dry_run = read_flag("dry-run", given.get("dry-run", []))
        # A source must not get names that depend on where a server happens to run.
        base = str(request.url.replace(query="")) if graph.bare else ""
        outcome = await graph.update(texts[0], Using(default, named), base=base, dry_run=dry_run)
        return tell(outcome, form, dry_run=dry_run)


def _graph_routes(app: FastAPI) -> None:
    @app.put(
        "/graphs",
        tags=["Graphs"],
        summary="Replace a graph by the body, or each graph that the body names, if it conforms",
        openapi_extra={"requestBody": _FACTS_BODY},
        responses={**_TAKEN, **_MADE},
    )
    async def graphs_put(
        request: Request, graph: Writer, form: ReportForm, dry_run: DryRun, graph_iri: GraphName = None
    ) -> Response:
        return await _load(request, graph, graph_iri, "replace", form, dry_run=dry_run)

    @app.post(
        "/graphs",
        tags=["Graphs"],
        summary="Add the body to a graph, or to each graph that the body names, if it conforms",
        openapi_extra={"requestBody": _FACTS_BODY},
        responses={**_TAKEN, **_MADE},
    )
    async def graphs_post(
        request: Request, graph: Writer, form: ReportForm, dry_run: DryRun, graph_iri: GraphName = None
    ) -> Response:
        return await _load(request, graph, graph_iri, "merge", form, dry_run=dry_run)

    @app.delete(
        "/graphs",
        tags=["Graphs"],
        summary="Remove a graph, if no other fact relies on it",
        responses={**_TOLD, 404: {"description": "There is no such graph", "content": _PROBLEM}},
    )
    async def graphs_delete(
        request: Request, graph: Writer, form: ReportForm, dry_run: DryRun, graph_iri: GraphName = None
    ) -> Response:
        return tell(await graph.remove(read_target(request, graph_iri), dry_run=dry_run), form, dry_run=dry_run)


async def _load(
    request: Request, graph: Graph, named: list[str] | None, mode: Mode, form: Format, *, dry_run: bool
) -> Response:
    """Put the body of the request into its graphs, and tell the outcome in a form."""
    body_form, iri = _source(request, named)
    data = await read_body(request, MAX_BYTES)
    return tell(await graph.load(data, body_form, iri, mode, dry_run=dry_run), form, dry_run=dry_run)


def read_target(request: Request, graphs: list[str] | None) -> str:
    """The graph that a request names; empty for the default graph."""
    if "default" in request.query_params:
        if graphs:
            raise BadRequest("The request names both a graph and the default graph.", "Give one of them.")
        if request.method != "GET" and not graph_of(request).bare:
            raise BadRequest("The default graph is the merge of all sources.", "Write to a source: ?graph=IRI.")
        return ""
    if not graphs or len(graphs) != 1:
        raise BadRequest("The request must name one graph.", "Give ?graph=IRI.")
    return read_iri(graphs[0])


def _source(request: Request, graphs: list[str] | None) -> tuple[Format, str]:
    """The format of a body of facts and the graph that the request names for it; empty if the body names graphs."""
    content_type = request.headers.get("content-type", "")
    form = formats.by_media(content_type)
    if form is None:
        offered = ", ".join(f.media[0] for f in (*formats.GRAPHS, *formats.DATASETS))
        raise UnsupportedMedia(
            f"Facts cannot be read from {content_type or 'a body without Content-Type'}.", f"Send one of: {offered}."
        )
    if form.kind == "graph":
        return form, read_target(request, graphs)
    if graphs or "default" in request.query_params:
        offered = ", ".join(f.media[0] for f in formats.GRAPHS)
        raise UnsupportedMedia(
            f"A body of {form.media[0]} names its graphs itself, and the request names one too.",
            f"Leave the graph out of the request, or send one of: {offered}.",
        )
    return form, ""
