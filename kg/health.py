"""What those who watch over the server ask: whether it lives, whether it is ready, and its metrics."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response

from kg import __version__, formats
from kg.errors import NotReady, ParleyError
from kg.evaluation import Question
from kg.graph import Graph
from kg.metrics import Metrics
from kg.replies import part

#: Seconds that a probe waits for a worker.
_PATIENCE = 2.0
#: A query whose answer is not remembered from one time to the next.
_PROBE = Question("ASK { BIND(NOW() AS ?now) }")
_PROBLEM = {"application/problem+json": {"schema": {"type": "object"}}}
_NOW = {"Cache-Control": "no-store"}
_NOT_READY: dict[int | str, dict[str, Any]] = {503: {"description": "No worker answers", "content": _PROBLEM}}


class Readiness:
    """Whether queries are answered, found out by one query at a time, however many ask."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._probe: asyncio.Task[int] | None = None

    async def version(self) -> int:
        """The version that a worker answers from; the current one, if all workers are at work on other queries, each of
        which has its deadline.

        Raises:
            NotReady: no worker answers, or not in time.
        """
        if self._probe is None or self._probe.done():
            tally = self._graph.tally
            if tally.readers and tally.busy["read"] >= tally.readers:
                return self._graph.version()
            self._probe = asyncio.create_task(self._ask())
        probe = self._probe
        # The query goes on: a worker that is still opening the store would be killed with it, and start again.
        done, _ = await asyncio.wait({probe}, timeout=_PATIENCE)
        if not done:
            raise NotReady(f"No worker has answered within {_PATIENCE:g} seconds.", "Try again in a few seconds.")
        return probe.result()

    async def _ask(self) -> int:
        try:
            answer = await self._graph.query(_PROBE, formats.ROWS[0])
            await answer.read()
        except ParleyError as error:
            raise NotReady(error.message, error.hint) from None
        version: int = answer.head["version"]
        return version


def routes(app: FastAPI) -> None:
    """Add the routes to an application."""

    @app.get("/health/live", tags=["Service"], summary="Whether the process answers")
    async def live() -> JSONResponse:
        return JSONResponse({"status": "ok"}, headers=_NOW)

    @app.get("/health", tags=["Service"], summary="The same as /health/ready", responses=_NOT_READY)
    @app.get(
        "/health/ready",
        tags=["Service"],
        summary="Whether a worker answers queries, and from which version",
        responses=_NOT_READY,
    )
    async def ready(readiness: Annotated[Readiness, part("readiness")]) -> JSONResponse:
        version = await readiness.version()
        return JSONResponse({"status": "ok", "version": version, "package": __version__}, headers=_NOW)

    @app.get("/metrics", tags=["Service"], summary="The metrics, as Prometheus text or OpenMetrics")
    async def metrics(request: Request, metrics: Annotated[Metrics, part("metrics")]) -> Response:
        body, content_type = metrics.exposition(request.headers.get("accept", ""))
        return Response(body, media_type=content_type, headers=_NOW)
