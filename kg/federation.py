"""SERVICE: the endpoints that a query may call, and the way to them.

The engine calls endpoints by itself, resolves names by itself and asks nobody. So it is never given the address of one.
Each address on the list is exchanged for one of a gateway on loopback before evaluation; the gateway resolves the name
once, looks at every address that it has, connects to one of those, and follows no redirect and no proxy.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Thread
from typing import Final
from urllib.parse import urlsplit

from kg.errors import BadRequest

#: Characters that no IRI of a query may hold.
_NO_IRI = re.compile(r'[\x00-\x20<>"{}|^`\\]')
_RULE: Final = (
    "Name whole URLs, as queries write them: https://HOST/PATH, or http://127.0.0.1:PORT/PATH for one on this machine."
)
#: Networks that some versions of the standard library have as global: for protocols, for examples, and those that wrap
#: IPv4 addresses (6to4, Teredo).
_SPECIAL: Final = tuple(
    map(ipaddress.ip_network, ("192.0.0.0/24", "192.88.99.0/24", "2001::/23", "2002::/16", "3fff::/20"))
)
_GLOBAL_IPV6: Final = ipaddress.ip_network("2000::/3")


@dataclass(frozen=True)
class Endpoint:
    """A SPARQL endpoint that queries may call."""

    url: str
    host: str
    port: int
    #: Path and query of its URL.
    target: str
    secure: bool
    #: Whether the URL names the address itself, which then is taken even if it is private.
    literal: bool


def read_endpoint(url: str) -> Endpoint:
    """An entry of the list.

    Raises:
        BadRequest: it is no URL of an endpoint, or is neither https nor on this machine.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        parts, host, port = urlsplit(""), "", None
    address = _address(host)
    known = parts.scheme == "https" or (parts.scheme == "http" and address is not None and address.is_loopback)
    if not (known and host) or "@" in parts.netloc or parts.fragment or not url.isascii() or _NO_IRI.search(url):
        raise BadRequest(f"KG_ALLOW_SERVICE: {url!r} is no endpoint that can be allowed.", _RULE)
    secure = parts.scheme == "https"
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Endpoint(url, host, port or (443 if secure else 80), target, secure, address is not None)


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def is_public(address: str) -> bool:
    """Whether an IP address is one of the public internet, and no other one is wrapped in it."""
    found = _address(address)
    if found is None or not found.is_global or found.is_multicast or found.is_reserved:
        return False
    usual = isinstance(found, ipaddress.IPv4Address) or found in _GLOBAL_IPV6
    return usual and not any(found in network for network in _SPECIAL)


@contextmanager
def gateways(urls: Sequence[str], seconds: float) -> Iterator[Mapping[str, str]]:
    """Open the way to the endpoints: each, and what stands for it in a query that the engine is given.

    An endpoint has so many seconds for its answer. Without endpoints nothing is opened.
    """
    if not urls:
        yield {}
        return
    from kg.gateway import Gateway

    server = Gateway([read_endpoint(url) for url in urls], seconds)
    # It looks for its end ten times a second, and a command does not wait for that.
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)
    thread.start()
    try:
        yield server.addresses
    finally:
        server.shutdown()
        server.server_close()


def routed(text: str, calls: Sequence[tuple[str, int, int]], gateways: Mapping[str, str]) -> str:
    """The text with each endpoint that it calls (its IRI, and where that begins and ends) exchanged for its gateway."""
    for iri, start, end in reversed(calls):
        text = f"{text[:start]}<{gateways[iri]}>{text[end:]}"
    return text
