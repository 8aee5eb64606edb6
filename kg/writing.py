"""The routes that write: SPARQL Update, and whole graphs by the Graph Store Protocol. What does not conform changes
nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Annotated, Any
from uuid import uuid4

from fastapi import Depends, FastAPI, Query, Request
from fastapi.responses import Response
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from kg import formats
from kg.conditions import read_expected
from kg.errors import BadRequest, Forbidden, NotFound, Unauthorized, UnsupportedMedia
from kg.formats import Format
from kg.graph import Graph
from kg.incoming import MAX_QUERY_BYTES, Part, read_body, read_facts, read_flag, read_iri, read_protocol, read_text
from kg.loading import Mode
from kg.operations import EVERYTHING, Using
from kg.parsing import MAX_BYTES, Document
from kg.replies import DryRun, ReportForm, graph_of, tell
from kg.terms import SOURCE
from kg.tokens import find
from kg.tracing import current

GraphName = Annotated[
    list[str] | None, Query(alias="graph", description="The graph's IRI; `default` alone: all sources merged.")
]
_BEARER = HTTPBearer(auto_error=False, description="The server's token, for writes.")


def _writer(request: Request, given: Annotated[HTTPAuthorizationCredentials | None, Depends(_BEARER)] = None) -> Graph:
    """The graph, for a request that may write."""
    graph = graph_of(request)
    if graph.refusal:
        raise Forbidden("This server is read-only.", graph.refusal)
    author = find(graph.tokens, given.credentials.strip()) if given else None
    if author is None:
        raise Unauthorized("Writing needs the server's token.", "Send it as: Authorization: Bearer TOKEN.")
    return graph.written_by(author)


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
    "content": {
        **{form.media[0]: _TEXT for form in (*formats.GRAPHS, *formats.DATASETS)},
        "multipart/form-data": {
            "schema": {"type": "object", "additionalProperties": {"type": "string", "format": "binary"}}
        },
    },
}
_PATCH_BODY = {
    "required": True,
    "description": "An update that writes to the graph of the request alone, and means it where it names none.",
    "content": {"application/sparql-update": _TEXT},
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
    403: {"description": "The server is read-only, or the token is for other sources", "content": _PROBLEM},
    406: {"description": "No such form of the report", "content": _PROBLEM},
    422: {"description": "Facts that do not conform; nothing was changed", "content": {**_PROBLEM, **_REPORT}},
}
_MISSING: dict[int | str, dict[str, Any]] = {404: {"description": "There is no such graph", "content": _PROBLEM}}
_UNMET: dict[int | str, dict[str, Any]] = {
    412: {"description": "The graph is not as If-Match or If-None-Match expects", "content": _PROBLEM}
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
        responses={**_TAKEN, **_UNMET},
    )
    async def update(request: Request, graph: Writer, form: ReportForm) -> Response:
        given = await read_protocol(request, "update", MAX_QUERY_BYTES)
        texts = given.get("update", [])
        current().wants("update", texts[0] if texts else "")
        if len(texts) != 1:
            raise BadRequest(f"There are {len(texts)} updates in the request.", "Give exactly one as `update`.")
        default, named = (
            tuple(map(read_iri, given.get(name, []))) for name in ("using-graph-uri", "using-named-graph-uri")
        )
        dry_run = read_flag("dry-run", given.get("dry-run", []))
        # A source must not get names that depend on where a server happens to run.
        base = str(request.url.replace(query="")) if graph.bare else ""
        how: dict[str, Any] = {"base": base, "dry_run": dry_run, "expected": read_expected(request, graph)}
        outcome = await graph.update(texts[0], Using(default, named), **how)
        return tell(request, outcome, form, dry_run=dry_run)


def _graph_routes(app: FastAPI) -> None:
    """The same methods wherever a graph is named: by a parameter, by its own IRI, or by the address of the request."""
    for path, name, what in (
        ("/graphs", _by_parameter, "a graph"),
        ("/source/{path:path}", _by_slug, "a source"),
        ("/graphs/{path:path}", _by_address, "the graph that this address names, on a bare server"),
    ):
        several = ", or each graph that the body names," if path == "/graphs" else ""
        routes: tuple[tuple[str, Callable[..., Any], str, dict[str, Any], dict[int | str, dict[str, Any]]], ...] = (
            ("PUT", _put, f"Replace {what}{several} by the body, if it conforms", _FACTS_BODY, {**_TAKEN, **_MADE}),
            ("POST", _post, f"Add the body to {what}{several}, if it conforms", _FACTS_BODY, {**_TAKEN, **_MADE}),
            ("PATCH", _patch, f"Change {what} by SPARQL Update, if it conforms", _PATCH_BODY, {**_TAKEN, **_MADE}),
            ("DELETE", _delete, f"Remove {what}, if no other fact relies on it", {}, {**_TOLD, **_MISSING}),
        )
        for method, handler, summary, body, responses in routes:
            app.add_api_route(
                path,
                handler,
                methods=[method],
                tags=["Graphs"],
                summary=summary,
                dependencies=[Depends(name)],
                openapi_extra={"requestBody": body} if body else {},
                responses={**responses, **_UNMET},
            )


def _by_parameter(request: Request, graph_iri: GraphName = None) -> None:
    named = graph_iri or "default" in request.query_params
    request.state.target = partial(read_target, request, graph_iri) if named else None


def _by_slug(request: Request, path: str) -> None:
    request.state.target = partial(read_iri, SOURCE + path)


def _by_address(request: Request, path: str) -> None:
    request.state.target = partial(read_address, request)


async def _put(request: Request, graph: Writer, form: ReportForm, dry_run: DryRun) -> Response:
    return await _load(request, graph, "replace", form, dry_run=dry_run)


async def _post(request: Request, graph: Writer, form: ReportForm, dry_run: DryRun) -> Response:
    return await _load(request, graph, "merge", form, dry_run=dry_run)


async def _patch(request: Request, graph: Writer, form: ReportForm, dry_run: DryRun) -> Response:
    iri, expected = _one(request), read_expected(request, graph)
    media = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if media != "application/sparql-update":
        raise UnsupportedMedia(
            f"A graph cannot be changed by {media or 'a body without Content-Type'}.", "Send application/sparql-update."
        )
    text = read_text(await read_body(request, MAX_QUERY_BYTES))
    current().wants("update", text)
    base = iri or str(request.url.replace(query=""))
    how: dict[str, Any] = {"base": base, "within": iri, "dry_run": dry_run, "expected": expected}
    return tell(request, await graph.update(text, EVERYTHING, **how), form, dry_run=dry_run)


async def _delete(request: Request, graph: Writer, form: ReportForm, dry_run: DryRun) -> Response:
    current().wants("remove")
    expected = read_expected(request, graph)
    return tell(request, await graph.remove(_one(request), dry_run=dry_run, expected=expected), form, dry_run=dry_run)


async def _load(request: Request, graph: Graph, mode: Mode, form: Format, *, dry_run: bool) -> Response:
    """Put the body of the request into its graphs, and tell the outcome in a form."""
    current().wants("load")
    expected = read_expected(request, graph)
    parts = await read_facts(request, MAX_BYTES)
    iri = _target(request, graph, parts, mode)
    documents = [Document(part.name, part.data, part.format, iri or "") for part in parts]
    outcome = await graph.load(documents, mode, dry_run=dry_run, expected=expected)
    return tell(request, outcome, form, dry_run=dry_run)


def _one(request: Request) -> str:
    """The one graph that a request names; empty for the default graph."""
    target: Callable[[], str] | None = request.state.target
    if target is None:
        raise BadRequest("The request must name one graph.", "Give ?graph=IRI.")
    return target()


def _target(request: Request, graph: Graph, parts: Sequence[Part], mode: Mode) -> str | None:
    """The graph that the parts of a body are for; None if they name their graphs themselves."""
    if request.state.target is None:
        if all(part.format.kind == "dataset" for part in parts):
            return None
        if graph.bare and mode == "merge":  # the protocol has such a graph named by the server
            return f"{request.base_url}graphs/{uuid4()}"
        return _one(request)
    if several := next((part for part in parts if part.format.kind == "dataset"), None):
        offered = ", ".join(f.media[0] for f in formats.GRAPHS)
        raise UnsupportedMedia(
            f"A body of {several.format.media[0]} names its graphs itself, and the request names one too.",
            f"Leave the graph out of the request, or send one of: {offered}.",
        )
    return _one(request)


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


def read_address(request: Request) -> str:
    """The address of the request, which on a bare server is the name of a graph.

    Raises:
        NotFound: the server is not bare.
    """
    if not graph_of(request).bare:
        raise NotFound("Graphs have no address of this form here.", "Use /graphs?graph=IRI, or /source/… for a source.")
    return read_iri(f"{request.base_url}{request.scope['raw_path'].decode('latin-1').removeprefix('/')}")
