"""The web server around the application: its log, its signals, and what it tells the service manager."""

from __future__ import annotations

import logging
import math
import os
import socket
from types import FrameType

import uvicorn

from kg import logs
from kg.front import Front
from kg.graph import Graph
from kg.heads import BoundedHeads
from kg.settings import Settings

_LOG = logging.getLogger(__name__)


def run(graph: Graph, settings: Settings, listener: socket.socket) -> None:
    """Answer on a socket until a signal stops it."""
    logs.configure(settings.log)
    config = uvicorn.Config(
        Front(graph),
        http=BoundedHeads,
        lifespan="on",  # a graph that cannot be started is an error
        log_config=None,
        access_log=False,
        # Every query that runs has ended by then. A load may take longer, and is lost as a whole.
        timeout_graceful_shutdown=math.ceil(settings.deadline) + 1,
        server_header=False,
    )
    _Server(config).run(sockets=[listener])


class _Server(uvicorn.Server):
    """Finishes what runs at the first signal, which is the way to stop it and no failure, and ends at the second."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        _notify("READY=1")

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        _notify("STOPPING=1")
        _LOG.info("Stopping: what runs has %d seconds to end.", self.config.timeout_graceful_shutdown)
        await super().shutdown(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self.should_exit:
            os._exit(128 + sig)  # the workers see it and end
        self.should_exit = True


def _notify(state: str) -> None:
    """Tell the service manager, if it asked for that (sd_notify)."""
    if address := os.environ.get("NOTIFY_SOCKET"):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.connect("\0" + address[1:] if address.startswith("@") else address)
            manager.send(state.encode())
