"""The server's application from outside: what plain queries need stands as soon as the server listens, and the rest,
which takes as long to import as all else, is put together meanwhile."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from kg.compressing import Compressed
from kg.express import Express
from kg.graph import Graph
from kg.metrics import Metrics
from kg.telemetry import Telemetry

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send


class Front:
    """An ASGI application over one graph, which it starts and stops."""

    def __init__(self, graph: Graph) -> None:
        self._graph, self._metrics = graph, Metrics(graph)
        self._layers: ASGIApp = Telemetry(Compressed(Express(self._rest, graph)), self._metrics)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        else:
            await self._layers(scope, receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()  # the server starts
        await self._graph.start()
        self._made = asyncio.create_task(asyncio.to_thread(self._make))
        await send({"type": "lifespan.startup.complete"})
        await receive()  # it stops
        await self._graph.stop()
        await send({"type": "lifespan.shutdown.complete"})

    def _make(self) -> ASGIApp:
        from kg.api import create_app

        return create_app(self._graph, self._metrics)

    async def _rest(self, scope: Scope, receive: Receive, send: Send) -> None:
        app = await asyncio.shield(self._made)
        await app(scope, receive, send)
