"""Run the server: one uvicorn process in front of the workers."""

from __future__ import annotations

import dataclasses
import ipaddress
import secrets
import signal
import socket
from contextlib import closing

import click

from kg.content import Content
from kg.errors import BadRequest
from kg.graph import open_graph
from kg.settings import Settings
from kg.store import Versions


def serve(settings: Settings, versions: Versions | None, host: str, port: int) -> None:
    """Serve until stopped. On loopback, a server without a token makes one for as long as it runs.

    Raises:
        BadRequest: the address cannot be listened on.
    """
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)  # a worker or a client that goes is no end of the server
    made = not (settings.token or settings.token_file) and versions is not None and _is_loopback(host)
    if made:
        settings = dataclasses.replace(settings, token=secrets.token_urlsafe(24))
    graph = open_graph(settings, versions, Content.shipped())
    with closing(_listen(host, port)) as listener:
        url = f"http://{f'[{host}]' if ':' in host else host}:{listener.getsockname()[1]}"
        click.echo(f"Parley answers at {url} (SPARQL: {url}/sparql, API: {url}/docs). Ctrl-C stops it.")
        if made:
            click.echo(f"Token for writes until it stops: {settings.token}")
        graph.spawn()
        # Late, so that the workers start meanwhile: these imports are half of what the start takes.
        from kg.running import run

        run(graph, settings, listener)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _listen(host: str, port: int) -> socket.socket:
    # Not socket.create_server: its sockets carry no protocol number, and asyncio turns Nagle's algorithm off (which
    # costs 40 ms an answer) only where it sees TCP.
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP
        )[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(2048)
    except OSError as error:
        raise BadRequest(
            f"Cannot listen on {host}:{port}: {error.strerror or error}.", "Choose another with --port."
        ) from None
    return listener
