"""The HTTP side: `create_app` makes the application for one graph."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import FastAPI, Query, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response
from fastapi_offline import FastAPIOffline
from starlette.middleware.cors import CORSMiddleware

from kg import __version__, describing, formats, health, openapi, problems, writing
from kg.catalogue import Catalogue
from kg.conditions import tag_headers
from kg.envelope import Envelope, Unread
from kg.errors import BadRequest, NotFound
from kg.evaluation import Question
from kg.express import FAILURE
from kg.formats import Format
from kg.graph import Graph
from kg.health import Readiness
from kg.incoming import MAX_QUERY_BYTES, read_iri, read_limits, read_protocol, read_seconds, wants_page
from kg.limits import LARGEST, TRUNCATED, Limits
from kg.metrics import Metrics
from kg.origins import Origins
from kg.pages import Pages, check_names, links
from kg.paging import IN_BROWSER, MOST, Page, header
from kg.questions import RESERVED, NamedQuestion
from kg.rates import Inquiry
from kg.replies import (
    TheGraph,
    ThePages,
    Wanted,
    choose,
    graph_of,
    is_true,
    pages_of,
    tagged,
    whole_graph,
)
from kg.results import Table
from kg.streaming import cut_headers, stream
from kg.terms import ID, ROOT, SOURCE
from kg.tracing import current
from kg.writing import GraphName, read_address, read_target

#: Headers of answers that scripts of other origins may see.
_EXPOSED = ["ETag", "Link", "Location", TRUNCATED, "Parley-Version", "X-Request-ID"]
_DESCRIPTION = """Parley holds facts about trade talks and tariffs as one RDF graph, every fact with its source.
Ask in SPARQL, or ask a named question. Writes need a bearer token. Errors are `application/problem+json`."""


def create_app(graph: Graph, metrics: Metrics) -> FastAPI:
    """The application over one graph, which `kg.front` starts and stops."""
    app = FastAPIOffline(
        title="Parley",
        version=__version__,
        description=_DESCRIPTION,
        redoc_url=None,
        static_url="/docs/static",
    )
    app.state.graph, app.state.pages, app.state.catalogue = graph, Pages(graph), Catalogue(graph)
    app.state.readiness, app.state.metrics = Readiness(graph), metrics
    app.add_middleware(
        CORSMiddleware,
        allow_origins=["*"],
        allow_methods=["GET", "HEAD", "POST"],
        expose_headers=_EXPOSED,
    )
    app.add_middleware(Origins)
    app.add_middleware(Envelope)
    app.add_middleware(Unread)
    problems.install(app)
    own = (_sparql_routes, _graph_routes, _question_routes, _rate_route, _entity_routes, _service_routes)
    for route in (*own, writing.routes, describing.routes, health.routes):
        route(app)
    openapi.install(app, graph)
    return app


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
        max_rows: Annotated[
            int | None, Query(alias="max-rows", ge=1, le=LARGEST, description="The first rows or triples alone.")
        ] = None,
        max_bytes: Annotated[
            int | None, Query(alias="max-bytes", ge=1, le=LARGEST, description="No answer if it has more bytes.")
        ] = None,
    ) -> Response:
        if not set(request.query_params) - {"format"}:
            return await describing.service_description(request)
        limits = Limits(max_rows, max_bytes)
        return await _answer(request, query or [], default_graph or [], named_graph or [], format, timeout, limits)

    @app.post(
        "/sparql",
        tags=["SPARQL"],
        summary="Ask a query in the body, as a form or as application/sparql-query",
        openapi_extra={"requestBody": _QUERY_BODY},
    )
    async def sparql_post(request: Request) -> Response:
        given = await read_protocol(request, "query", MAX_QUERY_BYTES)
        return await _answer(
            request,
            given.get("query", []),
            given.get("default-graph-uri", []),
            given.get("named-graph-uri", []),
            given.get("format", [""])[-1],
            read_seconds(given.get("timeout", [""])[-1]),
            read_limits(given.get("max-rows", [""])[-1], given.get("max-bytes", [""])[-1]),
        )


async def _answer(
    request: Request,
    queries: list[str],
    default: list[str],
    named: list[str],
    wanted: str,
    timeout: float | None,
    asked: Limits,
) -> Response:
    if failure := getattr(request.state, FAILURE, None):
        raise failure
    if len(queries) != 1:
        raise BadRequest(f"There are {len(queries)} queries in the request.", "Give exactly one as `query`.")
    current().wants("query", queries[0])
    graph, pages = graph_of(request), pages_of(request)
    # In a store of Parley's no name depends on where a server happens to run.
    base = str(request.url.replace(query="")) if graph.bare else ""
    dataset = tuple(map(read_iri, default)), tuple(map(read_iri, named))
    question = Question(queries[0], *dataset, base, graph.gateways)
    limits = asked.within(graph.limits)
    page = wanted == "html" or (not wanted and wants_page(request))
    form = formats.HTML if page else choose(request, wanted, question.answers_with)
    tag = tag_headers(request, graph, form.name) if request.method == "GET" and not question.volatile else {}
    if page:
        answer = await graph.query(question, question.answers_with[0], timeout, limits)
        shown = pages.answer("Answer", question, await answer.read(), asked, cut=answer.head.get("truncated"))
        return tagged(shown, {**tag, **cut_headers(answer)})
    return stream(await graph.query(question, form, timeout, limits), form, tag)


# --- graphs ---------------------------------------------------------------------------------------------------------


def _graph_routes(app: FastAPI) -> None:
    @app.get("/graphs", tags=["Graphs"], summary="One graph, the list of them, or all of them as a data set")
    async def graphs_get(
        request: Request, graph: TheGraph, graph_iri: GraphName = None, format: Wanted = ""
    ) -> Response:
        if graph_iri is None and "default" not in request.query_params:
            page = wants_page(request)
            form = formats.HTML if page else choose(request, format, (_LIST, *formats.DATASETS))
            tag = tag_headers(request, graph, form.name)
            if form in formats.DATASETS:
                return stream(await graph.dataset(form), form, tag)
            answer = await graph.query(Question(_LIST_GRAPHS), formats.ROWS[0])
            table = Table.from_json(await answer.read())
            if page:
                return tagged(pages_of(request).table("Graphs", table), tag)
            return JSONResponse([{"graph": row[0].iri, "facts": int(row[1].text)} for row in table.rows], headers=tag)
        iri = read_target(request, graph_iri)
        return await whole_graph(request, graph, iri, format)

    @app.get("/graphs/{path:path}", tags=["Graphs"], summary="The graph that this address names, on a bare server")
    async def graphs_direct(request: Request, graph: TheGraph, path: str, format: Wanted = "") -> Response:
        return await whole_graph(request, graph, read_address(request), format)


_TEXT = {"schema": {"type": "string"}}
_LIMIT = {"type": "integer", "minimum": 1, "maximum": LARGEST}
_QUERY_BODY = {
    "required": True,
    "content": {
        "application/sparql-query": _TEXT,
        "application/x-www-form-urlencoded": {
            "schema": {
                "type": "object",
                "properties": {"query": {"type": "string"}, "max-rows": _LIMIT, "max-bytes": _LIMIT},
                "required": ["query"],
            }
        },
    },
}
_LIST = formats.Format("json", "list", ("application/json",))
_LIST_GRAPHS = "SELECT ?graph (COUNT(*) AS ?facts) { GRAPH ?graph { ?s ?p ?o } } GROUP BY ?graph ORDER BY ?graph"


# --- questions and rates --------------------------------------------------------------------------------------------


def _question_routes(app: FastAPI) -> None:
    @app.get("/questions", tags=["Questions"], summary="The named questions and their parameters")
    async def questions_list(request: Request, graph: TheGraph, pages: ThePages) -> Response:
        page = wants_page(request)
        tag = tag_headers(request, graph, "html" if page else "json")
        if page:
            return tagged(pages.questions(), tag)
        return JSONResponse([_described(q) for q in graph.questions.all], headers=tag)

    @app.get("/questions/{name}", tags=["Questions"], summary="Ask a named question; its parameters go in the URL")
    async def questions_ask(
        request: Request,
        graph: TheGraph,
        pages: ThePages,
        name: str,
        format: Wanted = "",
        limit: Annotated[int | None, Query(ge=1, le=MOST, description="Rows of a page; without it, all rows.")] = None,
        offset: Annotated[int, Query(ge=0, lt=2**63 - MOST, description="Rows before the page; it needs a limit.")] = 0,
    ) -> Response:
        current().wants("query")
        named = graph.questions[name]
        given = {key: value for key, value in request.query_params.items() if key not in RESERVED}
        most = graph.limits.rows or MOST
        if limit is not None and limit > most:
            raise BadRequest(f"A page of {limit:,} rows is more than this server gives.", f"It gives {most:,}.")
        if wants_page(request):
            tag = tag_headers(request, graph, "html")
            return tagged(await pages.ask(named, given, Page(limit or min(IN_BROWSER, most), offset)), tag)
        if offset and limit is None:
            raise BadRequest("An offset alone makes no page.", "Give a limit too.")
        form = choose(request, format, formats.ROWS)
        return await _rows(request, graph, named, given, Page(limit, offset) if limit else None, form)


async def _rows(
    request: Request, graph: Graph, named: NamedQuestion, given: dict[str, str], page: Page | None, form: Format
) -> Response:
    """The rows of a named question, or a page of them with its links."""
    bound = named.bind(given, page)
    await check_names(graph, named, given)
    tag = tag_headers(request, graph, form.name)
    wanted = request.query_params.get("format", "")
    others = {} if page is None else await links(graph, named, given, page, wanted)
    answer = stream(await graph.query(bound, form, limits=graph.limits), form, tag)
    if others:
        answer.headers["Link"] = header(others)
    return answer


def _rate_route(app: FastAPI) -> None:
    @app.get("/rate", tags=["Questions"], summary="The duty rate on a product from an origin on a day, explained")
    async def rate(
        request: Request,
        graph: TheGraph,
        importer: Annotated[str, Query(description="ISO code of the importer.", examples=["US"])],
        origin: Annotated[str, Query(description="ISO code of the origin.", examples=["JP"])],
        product: Annotated[str, Query(description="HS or HTS code.", examples=["8703.23.01"])],
        on: Annotated[str, Query(description="Day of entry.", examples=["2025-06-07"])],
        knownOn: Annotated[  # noqa: N803, as in the named questions
            str, Query(description="Answer as known on this day; by default as the law stands now.")
        ] = "",
        condition: Annotated[
            tuple[str, ...], Query(description="Conditions of entry that the goods meet, such as usmca or korus.")
        ] = (),
    ) -> Response:
        inquiry = Inquiry(importer, origin, product, on, knownOn, condition)
        tag = tag_headers(request, graph, "json")
        return JSONResponse(await graph.rate(inquiry), headers=tag)


def _described(question: NamedQuestion) -> dict[str, Any]:
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
        iri = read_iri(SOURCE + path)
        if wants_page(request):
            tag = tag_headers(request, graph, "html")
            return tagged(await pages.source(iri), tag)
        return await whole_graph(request, graph, iri, format)


async def _describe(request: Request, graph: Graph, pages: Pages, iri: str, wanted: str) -> Response:
    iri = read_iri(iri)
    if wants_page(request):
        tag = tag_headers(request, graph, "html")
        return tagged(await pages.entity(iri), tag)
    accept = request.headers.get("accept", "")
    form = formats.compact_by_default(accept, choose(request, wanted, formats.WRITTEN))
    if not await is_true(graph, f"ASK {{ <{iri}> ?p ?o }}"):
        raise NotFound(f"The graph knows no {iri.removeprefix(ROOT)}.", "Ask /questions or /sparql for what it knows.")
    tag = tag_headers(request, graph, form.name)
    return stream(await graph.query(Question(f"CONSTRUCT WHERE {{ <{iri}> ?p ?o }}"), form), form, tag)


# --- the service itself ---------------------------------------------------------------------------------------------


def _service_routes(app: FastAPI) -> None:
    @app.get("/", include_in_schema=False)
    async def start(request: Request, graph: TheGraph, pages: ThePages) -> Response:
        tag = tag_headers(request, graph, "html")
        return tagged(await pages.start(), tag)

    @app.get("/style.css", include_in_schema=False)
    async def style(pages: ThePages) -> Response:
        return Response(pages.style, media_type="text/css", headers={"Cache-Control": "max-age=3600"})

    @app.get("/favicon.ico", include_in_schema=False)
    async def favicon() -> Response:
        return RedirectResponse("/docs/static/favicon.png")

    @app.get("/history", tags=["Service"], summary="The commits, the newest first")
    async def history(request: Request, graph: TheGraph) -> Response:
        tag = tag_headers(request, graph, "json")
        return JSONResponse([asdict(record) for record in graph.history()], headers=tag)
