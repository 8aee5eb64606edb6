"""The HTTP side: `create_app` makes the application for one graph."""

from __future__ import annotations

import hmac
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response, StreamingResponse
from fastapi_offline import FastAPIOffline
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware

from kg import __version__, formats
from kg.errors import (
    BadRequest,
    Forbidden,
    NotFound,
    ParleyError,
    TooLarge,
    Unauthorized,
    UnsupportedMedia,
)
from kg.evaluation import Question
from kg.formats import Format
from kg.graph import Graph
from kg.pages import Pages
from kg.parsing import MAX_BYTES
from kg.pool import Answer
from kg.rates import Inquiry
from kg.results import Table
from kg.terms import ID, ONTOLOGY_GRAPH, ROOT, SOURCE, expand

Wanted = Annotated[str, Query(alias="format", description="A format by name, instead of the Accept header.")]
_DESCRIPTION = """Parley holds facts about trade talks and tariffs as one RDF graph, every fact with its source.
Ask in SPARQL, or ask a named question. Writes need a bearer token. Errors are `application/problem+json`."""
_MAX_QUERY_BYTES = 4_000_000


def create_app(graph: Graph) -> FastAPI:
    """The application over one graph, which it starts and stops."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await graph.start()
        try:
            yield
        finally:
            await graph.stop()

    app = FastAPIOffline(
        title="Parley",
        version=__version__,
        description=_DESCRIPTION,
        lifespan=lifespan,
        redoc_url=None,
        static_url="/docs/static",
    )
    app.state.graph, app.state.pages = graph, Pages(graph)
    app.add_middleware(
        CORSMiddleware, allow_origins=["*"], allow_methods=["GET", "HEAD", "POST"], expose_headers=["Parley-Version"]
    )
    app.middleware("http")(_harden)
    app.exception_handler(ParleyError)(_on_parley_error)
    app.exception_handler(HTTPException)(_on_http_exception)
    app.exception_handler(RequestValidationError)(_on_validation_error)
    for route in (_sparql_routes, _graph_routes, _question_routes, _entity_routes, _service_routes):
        route(app)
    return app


def _graph(request: Request) -> Graph:
    graph: Graph = request.app.state.graph
    return graph


def _pages(request: Request) -> Pages:
    pages: Pages = request.app.state.pages
    return pages


def _writer(request: Request) -> Graph:
    """The graph, for a request that may write."""
    graph = _graph(request)
    if not graph.token:
        raise Forbidden("This server is read-only.", "Start it with a token in KG_TOKEN to allow writes.")
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not hmac.compare_digest(given.strip().encode(), graph.token.encode()):
        raise Unauthorized("Writing needs the server's token.", "Send it as: Authorization: Bearer TOKEN.")
    return graph


TheGraph = Annotated[Graph, Depends(_graph)]
ThePages = Annotated[Pages, Depends(_pages)]
Writer = Annotated[Graph, Depends(_writer)]


# --- errors and headers ---------------------------------------------------------------------------------------------


def problem(status: int, title: str, detail: str, **members: Any) -> JSONResponse:
    """A problem document (RFC 9457)."""
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else {"Retry-After": "5"} if status in (429, 503) else {}
    body = {"type": "about:blank", "title": title, "status": status, "detail": detail, **members}
    return JSONResponse(body, status, headers, media_type="application/problem+json")


async def _on_parley_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ParleyError)
    if _wants_page(request) and request.method == "GET":
        return _pages(request).problem(error)
    return problem(error.status, error.title, str(error), hint=error.hint, **error.details())


async def _on_http_exception(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    hint = "See /docs for what is here." if error.status_code == 404 else ""
    response = problem(error.status_code, str(error.detail), f"{error.detail}. {hint}".strip())
    response.headers.update(error.headers or {})
    return response


async def _on_validation_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    parts = [f"{'.'.join(str(p) for p in e['loc'][1:])}: {e['msg']}" for e in error.errors()]
    return problem(400, "Bad request", "; ".join(parts))


async def _harden(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
    response = await call_next(request)
    # The API page of the library starts itself by an inline script; no other page runs any.
    script = "'self' 'unsafe-inline'" if request.url.path.startswith("/docs") else "'none'"
    response.headers.setdefault(
        "Content-Security-Policy",
        f"default-src 'none'; script-src {script}; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    )
    response.headers.setdefault("X-Content-Type-Options", "nosniff")
    response.headers.setdefault("Referrer-Policy", "no-referrer")
    return response


def _wants_page(request: Request) -> bool:
    """Whether a browser asks: HTML by parameter, or named in Accept with no format by parameter."""
    wanted = request.query_params.get("format", "")
    return wanted == "html" or (not wanted and "text/html" in request.headers.get("accept", ""))


def _choose(request: Request, wanted: str, among: tuple[Format, ...]) -> Format:
    if wanted:
        return formats.named(wanted, among)
    return formats.negotiate(request.headers.get("accept", ""), among)


def _stream(answer: Answer, form: Format) -> StreamingResponse:
    headers = {"Parley-Version": str(answer.head["version"]), "Vary": "Accept"}
    return StreamingResponse(answer.chunks, media_type=form.content_type, headers=headers)


async def _body(request: Request, limit: int) -> bytes:
    """The whole body. Raises: TooLarge."""
    parts = bytearray()
    async for chunk in request.stream():
        parts += chunk
        if len(parts) > limit:
            raise TooLarge(f"The body is larger than {limit:,} bytes.", "Send it in parts.")
    return bytes(parts)


# --- SPARQL ---------------------------------------------------------------------------------------------------------


def _sparql_routes(app: FastAPI) -> None:
    @app.get("/sparql", tags=["SPARQL"], summary="Ask a query (SPARQL 1.1 Protocol)")
    async def sparql_get(
        request: Request,
        graph: TheGraph,
        query: Annotated[list[str] | None, Query(description="The query; exactly one.")] = None,
        default_graph: Annotated[
            list[str] | None, Query(alias="default-graph-uri", description="Graphs whose merge is the default graph.")
        ] = None,
        named_graph: Annotated[
            list[str] | None, Query(alias="named-graph-uri", description="The named graphs.")
        ] = None,
        format: Wanted = "",
        timeout: Annotated[float | None, Query(gt=0, description="Seconds; less than the server's deadline.")] = None,
    ) -> Response:
        return await _answer(request, query or [], default_graph or [], named_graph or [], format, timeout)

    @app.post("/sparql", tags=["SPARQL"], summary="Ask a query in the body, as a form or as application/sparql-query")
    async def sparql_post(request: Request) -> Response:
        media = request.headers.get("content-type", "").split(";")[0].strip().lower()
        parameters = request.query_params
        if media == "application/x-www-form-urlencoded":
            form = _form(await _body(request, _MAX_QUERY_BYTES))
            queries, default, named = (
                form.get("query", []),
                form.get("default-graph-uri", []),
                form.get("named-graph-uri", []),
            )
            wanted = (form.get("format") or [""])[0]
        elif media == "application/sparql-query":
            queries = [_utf8(await _body(request, _MAX_QUERY_BYTES)), *parameters.getlist("query")]
            default, named = parameters.getlist("default-graph-uri"), parameters.getlist("named-graph-uri")
            wanted = parameters.get("format", "")
        else:
            raise UnsupportedMedia(
                f"A query cannot be read from {media or 'a body without Content-Type'}.",
                "Send application/x-www-form-urlencoded or application/sparql-query.",
            )
        return await _answer(request, queries, default, named, wanted, None)


async def _answer(
    request: Request, queries: list[str], default: list[str], named: list[str], wanted: str, timeout: float | None
) -> Response:
    if len(queries) != 1:
        raise BadRequest(f"There are {len(queries)} queries in the request.", "Give exactly one as `query`.")
    question = Question(queries[0], tuple(map(_iri, default)), tuple(map(_iri, named)))
    graph, pages = _graph(request), _pages(request)
    if _wants_page(request):
        answer = await graph.query(question, question.answers_with[0], timeout)
        return pages.answer("Answer", question, await answer.read(), request)
    form = _choose(request, wanted, question.answers_with)
    return _stream(await graph.query(question, form, timeout), form)


def _iri(text: str) -> str:
    iri = expand(text)
    if iri is None:
        raise BadRequest(f"{text!r} is no absolute IRI.", "Give one such as https://w3id.org/parley/source/….")
    return iri


def _utf8(body: bytes) -> str:
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError:
        raise BadRequest("The body is not UTF-8.", "Send it as UTF-8.") from None


def _form(body: bytes) -> dict[str, list[str]]:
    from urllib.parse import parse_qs

    try:
        return parse_qs(body.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=1000)
    except ValueError:
        raise BadRequest("The form cannot be read.", "Encode it as UTF-8, percent-encoded.") from None


# --- graphs ---------------------------------------------------------------------------------------------------------


def _graph_routes(app: FastAPI) -> None:
    named = Annotated[
        list[str] | None, Query(alias="graph", description="The graph's IRI; `default` alone: all sources merged.")
    ]

    @app.get("/graphs", tags=["Graphs"], summary="One graph, or the list of them")
    async def graphs_get(request: Request, graph: TheGraph, graph_iri: named = None, format: Wanted = "") -> Response:
        if graph_iri is None and "default" not in request.query_params:
            answer = await graph.query(Question(_LIST_GRAPHS), formats.ROWS[0])
            table = Table.from_json(await answer.read())
            if _wants_page(request):
                return _pages(request).table("Graphs", table)
            return JSONResponse([{"graph": row[0].iri, "facts": int(row[1].text)} for row in table.rows])
        iri = _target(request, graph_iri)
        form = _choose(request, format, formats.GRAPHS)
        answer = await graph.graph(iri, form)
        if not answer.head["exists"]:
            await answer.read()
            raise NotFound(f"There is no graph {iri}.", "GET /graphs lists them.")
        return _stream(answer, form)

    @app.put("/graphs", tags=["Graphs"], summary="Replace a graph by the body, if it conforms")
    async def graphs_put(request: Request, graph: Writer, graph_iri: named = None) -> Response:
        return await _load(request, graph, _target(request, graph_iri), "replace")

    @app.post("/graphs", tags=["Graphs"], summary="Add the body to a graph, if it conforms")
    async def graphs_post(request: Request, graph: Writer, graph_iri: named = None) -> Response:
        return await _load(request, graph, _target(request, graph_iri), "merge")

    @app.delete("/graphs", tags=["Graphs"], summary="Remove a graph, if no other fact relies on it")
    async def graphs_delete(request: Request, graph: Writer, graph_iri: named = None) -> Response:
        iri = _target(request, graph_iri)
        existing = await graph.graph(iri, formats.GRAPHS[1])
        await existing.read()
        if not existing.head["exists"]:
            raise NotFound(f"There is no graph {iri}.", "GET /graphs lists them.")
        return JSONResponse(await graph.remove(iri))


_LIST_GRAPHS = "SELECT ?graph (COUNT(*) AS ?facts) { GRAPH ?graph { ?s ?p ?o } } GROUP BY ?graph ORDER BY ?graph"


def _target(request: Request, graphs: list[str] | None) -> str:
    """The graph that a request names; empty for the default graph."""
    if "default" in request.query_params:
        if graphs:
            raise BadRequest("The request names both a graph and the default graph.", "Give one of them.")
        if request.method != "GET" and not _graph(request).bare:
            raise BadRequest("The default graph is the merge of all sources.", "Write to a source: ?graph=IRI.")
        return ""
    if not graphs or len(graphs) != 1:
        raise BadRequest("The request must name one graph.", "Give ?graph=IRI.")
    return _iri(graphs[0])


async def _load(request: Request, graph: Graph, iri: str, mode: str) -> Response:
    content_type = request.headers.get("content-type", "")
    form = formats.by_media(content_type)
    if form is None:
        offered = ", ".join(f.media[0] for f in (*formats.GRAPHS, *formats.DATASETS))
        raise UnsupportedMedia(
            f"Facts cannot be read from {content_type or 'a body without Content-Type'}.", f"Send one of: {offered}."
        )
    before = graph.version()
    outcome = await graph.load(await _body(request, MAX_BYTES), form, iri, mode)
    created = outcome["commit"] is not None and before == 0
    return JSONResponse(outcome, 201 if created else 200)


# --- questions and rates --------------------------------------------------------------------------------------------


def _question_routes(app: FastAPI) -> None:
    @app.get("/questions", tags=["Questions"], summary="The named questions and their parameters")
    async def questions_list(request: Request, graph: TheGraph, pages: ThePages) -> Response:
        if _wants_page(request):
            return pages.questions()
        return JSONResponse([_described(q) for q in graph.questions.all])

    @app.get("/questions/{name}", tags=["Questions"], summary="Ask a named question; its parameters go in the URL")
    async def questions_ask(
        request: Request, graph: TheGraph, pages: ThePages, name: str, format: Wanted = ""
    ) -> Response:
        named = graph.questions[name]
        given = {key: value for key, value in request.query_params.items() if key != "format"}
        if _wants_page(request):
            return await pages.ask(named, given)
        form = _choose(request, format, formats.ROWS)
        return _stream(await graph.query(named.bind(given), form), form)

    @app.get("/rate", tags=["Questions"], summary="The duty rate on a product from an origin on a day, explained")
    async def rate(
        graph: TheGraph,
        importer: Annotated[str, Query(description="ISO code of the importer.", examples=["US"])],
        origin: Annotated[str, Query(description="ISO code of the origin.", examples=["JP"])],
        product: Annotated[str, Query(description="HS or HTS code.", examples=["8703.23.01"])],
        on: Annotated[str, Query(description="Day of entry.", examples=["2025-06-07"])],
    ) -> Response:
        return JSONResponse(await graph.rate(Inquiry(importer, origin, product, on)))


def _described(question: Any) -> dict[str, Any]:
    return {
        "name": question.name,
        "title": question.title,
        "question": question.question,
        "description": question.description,
        "parameters": [{k: v for k, v in asdict(p).items() if k != "variable"} for p in question.parameters],
        "columns": list(question.columns),
        "href": f"/questions/{question.name}",
    }


# --- entities -------------------------------------------------------------------------------------------------------


def _entity_routes(app: FastAPI) -> None:
    @app.get("/id/{path:path}", tags=["Entities"], summary="What the graph says of an entity, and who says so")
    async def entity(request: Request, graph: TheGraph, pages: ThePages, path: str, format: Wanted = "") -> Response:
        return await _describe(request, graph, pages, ID + path, format)

    @app.get("/source/{path:path}", tags=["Entities"], summary="A source: the document and all that it says")
    async def source(request: Request, graph: TheGraph, pages: ThePages, path: str, format: Wanted = "") -> Response:
        iri = _iri(SOURCE + path)
        if _wants_page(request):
            return await pages.source(iri)
        form = _choose(request, format, formats.GRAPHS)
        answer = await graph.graph(iri, form)
        if not answer.head["exists"]:
            await answer.read()
            raise NotFound(f"There is no source {iri}.", "GET /graphs lists them.")
        return _stream(answer, form)

    @app.get("/ontology", tags=["Entities"], summary="The ontology")
    async def ontology(request: Request, graph: TheGraph, format: Wanted = "") -> Response:
        form = formats.GRAPHS[0] if _wants_page(request) else _choose(request, format, formats.GRAPHS)
        return _stream(await graph.graph(ONTOLOGY_GRAPH, form), form)

    @app.get("/shapes", tags=["Entities"], summary="The shapes that facts must conform to, in Turtle")
    async def shapes(graph: TheGraph) -> Response:
        text = "\n".join(path.read_text("utf-8") for path in graph.content.shapes)
        return Response(text, media_type=formats.GRAPHS[0].content_type)


async def _describe(request: Request, graph: Graph, pages: Pages, iri: str, wanted: str) -> Response:
    iri = _iri(iri)
    if _wants_page(request):
        return await pages.entity(iri)
    form = _choose(request, wanted, formats.GRAPHS)
    known = await graph.query(Question(f"ASK {{ <{iri}> ?p ?o }}"), formats.ROWS[0])
    if b"true" not in await known.read():
        raise NotFound(f"The graph knows no {iri.removeprefix(ROOT)}.", "Ask /questions or /sparql for what it knows.")
    return _stream(await graph.query(Question(f"CONSTRUCT WHERE {{ <{iri}> ?p ?o }}"), form), form)


# --- the service itself ---------------------------------------------------------------------------------------------


def _service_routes(app: FastAPI) -> None:
    @app.get("/", include_in_schema=False)
    async def start(pages: ThePages) -> HTMLResponse:
        return await pages.start()

    @app.get("/style.css", include_in_schema=False)
    async def style(pages: ThePages) -> Response:
        return Response(pages.style, media_type="text/css", headers={"Cache-Control": "max-age=3600"})

    @app.get("/favicon.ico", include_in_schema=False)
    async def favicon() -> Response:
        return RedirectResponse("/docs/static/favicon.png")

    @app.get("/health", tags=["Service"], summary="Whether the server answers queries, and from which version")
    async def health(graph: TheGraph) -> Response:
        answer = await graph.query(Question("ASK {}"), formats.ROWS[0])
        await answer.read()
        return JSONResponse({"status": "ok", "version": graph.version(), "package": __version__})

    @app.get("/history", tags=["Service"], summary="The commits, the newest first")
    async def history(graph: TheGraph) -> Response:
        return JSONResponse([asdict(record) for record in graph.history()])
