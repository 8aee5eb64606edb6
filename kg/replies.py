"""What the routes share: the graph and its pages as dependencies, the choice of a format, and answers to writes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import Depends, Query, Request
from fastapi.responses import JSONResponse, Response

from kg import formats
from kg.conditions import tag_headers
from kg.errors import NotFound
from kg.evaluation import Question
from kg.formats import Format
from kg.graph import Graph
from kg.incoming import read_flag
from kg.loading import Outcome
from kg.pages import Pages
from kg.report import Report
from kg.streaming import stream

Wanted = Annotated[str, Query(alias="format", description="A format by name, instead of the Accept header.")]


def part(name: str) -> Any:
    """A dependency: what the application keeps under a name."""

    def kept(request: Request) -> Any:
        return getattr(request.app.state, name)

    return Depends(kept)


TheGraph = Annotated[Graph, part("graph")]
ThePages = Annotated[Pages, part("pages")]


def graph_of(request: Request) -> Graph:
    graph: Graph = request.app.state.graph
    return graph


def pages_of(request: Request) -> Pages:
    pages: Pages = request.app.state.pages
    return pages


def choose(request: Request, wanted: str, among: tuple[Format, ...]) -> Format:
    """The format by name if one is wanted, else by the Accept header."""
    if wanted:
        return formats.named(wanted, among)
    return formats.negotiate(request.headers.get("accept", ""), among)


def report_form(
    request: Request,
    format: Annotated[str, Query(description="`json`, `text` or `turtle`, instead of the Accept header.")] = "",
) -> Format:
    """The form in which a request wants the report on its write. To be asked before anything is written.

    Raises:
        BadRequest, NotAcceptable: there is no such form.
    """
    return choose(request, format, formats.REPORTS)


def _dry_run(
    request: Request,
    _: Annotated[
        str,
        Query(
            alias="dry-run",
            description="`true`: check everything, change nothing.",
            json_schema_extra={"type": "boolean", "default": False},
        ),
    ] = "",
) -> bool:
    return read_flag("dry-run", request.query_params.getlist("dry-run"))


ReportForm = Annotated[Format, Depends(report_form)]
DryRun = Annotated[bool, Depends(_dry_run)]


def tell(request: Request, outcome: Outcome, form: Format, *, dry_run: bool) -> Response:
    """What came of a write: 201 if it made a graph, else 200; the report in the form that is wanted."""
    commit, headers = outcome.record, {}
    if commit is not None:
        headers["Parley-Version"] = str(commit.version)
    if len(outcome.created) == 1:
        (iri,) = outcome.created
        here = iri.startswith(f"{request.base_url}graphs/")
        headers["Location"] = iri if here else f"/graphs?graph={quote(iri, safe='')}"
    status = 201 if outcome.created else 200
    if form.name != "json":
        return Response(written(outcome.report, form), status, headers, form.content_type)
    body = {
        "commit": None if commit is None else asdict(commit),
        "created": outcome.created,
        "dryRun": dry_run,
        "report": outcome.report.as_dict(),
    }
    return JSONResponse(body, status, headers)


def tagged(response: Response, tag: Mapping[str, str]) -> Response:
    """A page with these headers, unless it tells of a problem."""
    if response.status_code == 200:
        response.headers.update(tag)
    return response


def written(report: Report, form: Format) -> str:
    """A report as text or as SHACL's graph."""
    return report.turtle if form.name == "turtle" else f"{report.text() or 'The facts conform.'}\n"


async def whole_graph(request: Request, graph: Graph, iri: str, wanted: str) -> Response:
    """One graph ("" is the default graph). Raises: NotFound, NotModified."""
    form = choose(request, wanted, formats.WRITTEN)
    await require_graph(graph, iri)
    tag = tag_headers(request, graph, form.name)
    return stream(await graph.graph(iri, form), form, tag)


async def require_graph(graph: Graph, iri: str) -> None:
    """Raises: NotFound: there is no such graph."""
    if not await holds(graph, iri):
        raise NotFound(f"There is no graph {iri}.", "GET /graphs lists them.")


async def holds(graph: Graph, iri: str) -> bool:
    """Whether there is such a graph; the default graph ("") always is."""
    return not iri or await is_true(graph, f"ASK {{ GRAPH <{iri}> {{ ?s ?p ?o }} }}")


async def is_true(graph: Graph, ask: str) -> bool:
    return b"true" in await (await graph.query(Question(ask), formats.ROWS[2])).read()
