"""Requests that are hostile to a web server: bodies that unpack without end, broken encodings, lines and heads that do
not end, messages that are no HTTP. Each is the bytes of a request, in pieces, which may go on and on."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterable, Iterator
from itertools import repeat
from typing import Final

from bench.corpus import MB, packed

#: Writes by these need a token, which the sender of the requests puts in this place.
TOKEN: Final = b"{token}"
_QUERY = "application/sparql-query"
_FORM = "application/x-www-form-urlencoded"
_TURTLE = "text/turtle"
_FACTS = "PUT /graphs?graph=urn:bomb"
_LIGHT = b"ASK {}"
#: What never ends is sent in pieces of this size.
_PIECE = b"x" * (MB // 16)

Pieces = Iterable[bytes]


def request(line: str, body: bytes = b"", **headers: str) -> list[bytes]:
    """A whole request. `line` is its method and target; a header is named with `_` for `-`."""
    return [_head(line, {**headers, "Content-Length": str(len(body))} if body else headers), body]


def _head(line: str, headers: dict[str, str]) -> bytes:
    lines = [f"{line} HTTP/1.1", "Host: 127.0.0.1", f"Authorization: Bearer {TOKEN.decode()}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def _chunked(line: str, start: bytes, **headers: str) -> Iterator[bytes]:
    """A request whose body begins so and does not end."""
    yield _head(line, {**headers, "Transfer-Encoding": "chunked"})
    yield b"%x\r\n%b\r\n" % (len(start), start)
    yield from repeat(b"%x\r\n%b\r\n" % (len(_PIECE), _PIECE))


def _endless(start: str, piece: bytes = _PIECE) -> Iterator[bytes]:
    yield start.encode("latin-1")
    yield from repeat(piece)


_GET = "GET /health/live"
_MULTIPART = "multipart/form-data; boundary=b"
_PART = b'--b\r\nContent-Disposition: form-data; name="f"; filename="f.ttl"\r\nContent-Type: text/turtle\r\n\r\n'

#: By name, what makes the pieces of the request.
REQUESTS: Final[dict[str, Callable[[], Pieces]]] = {
    # compressed
    "gzip: a query of 1.6 GB": lambda: request(
        "POST /sparql", packed("ASK {} #", 100), Content_Type=_QUERY, Content_Encoding="gzip"
    ),
    "gzip: a form of 1.6 GB": lambda: request(
        "POST /sparql", packed("query=", 100), Content_Type=_FORM, Content_Encoding="gzip"
    ),
    "gzip: an update of 1.6 GB": lambda: request(
        "POST /update", packed("CLEAR SILENT GRAPH <urn:x> #", 100), Content_Type="application/sparql-update",
        Content_Encoding="gzip",
    ),
    "gzip: in gzip in gzip": lambda: request(
        "POST /sparql", gzip.compress(gzip.compress(packed("ASK {} #", 20))), Content_Type=_QUERY,
        Content_Encoding="gzip",
    ),
    "gzip: twice announced": lambda: request(
        _FACTS, gzip.compress(packed("#", 20)), Content_Type=_TURTLE, Content_Encoding="gzip, gzip"
    ),
    "gzip: empty members": lambda: request(
        _FACTS, gzip.compress(b"") * 500_000, Content_Type=_TURTLE, Content_Encoding="gzip"
    ),
    "gzip: cut short": lambda: request(
        "POST /sparql", gzip.compress(_LIGHT)[:-5], Content_Type=_QUERY, Content_Encoding="gzip"
    ),
    "gzip: that is none": lambda: request("POST /sparql", _LIGHT, Content_Type=_QUERY, Content_Encoding="gzip"),
    "brotli": lambda: request("POST /sparql", _LIGHT, Content_Type=_QUERY, Content_Encoding="br"),
    # encodings
    "latin-1 in a query": lambda: request("POST /sparql", "ASK { ?s ?p 'é' }".encode("latin-1"), Content_Type=_QUERY),
    "UTF-16 in a query": lambda: request("POST /sparql", "ASK {}".encode("utf-16"), Content_Type=_QUERY),
    "UTF-7 announced": lambda: request("POST /sparql", _LIGHT, Content_Type=f"{_QUERY}; charset=utf-7"),
    "half of a pair in a query": lambda: request("POST /sparql", b"ASK { ?s ?p '\xed\xa0\x80' }", Content_Type=_QUERY),
    "overlong UTF-8 in a query": lambda: request("POST /sparql", b"ASK { ?s ?p '\xc0\xaf' }", Content_Type=_QUERY),
    "NUL in a query": lambda: request("POST /sparql", b"ASK { ?s ?p '\0' } \0", Content_Type=_QUERY),
    "no text in a form": lambda: request("POST /sparql", b"query=%ff%fe", Content_Type=_FORM),
    "half an escape in a form": lambda: request("POST /sparql", b"query=ASK%20{}%2", Content_Type=_FORM),
    "no text in a URL": lambda: request("GET /sparql?query=%ff%fe"),
    "no text in a path": lambda: request("GET /source/%ff%fe"),
    "NUL in a path": lambda: request("GET /id/country/%00"),
    "bytes in a header": lambda: request(_GET, X_Request_ID="\xff\xfe\x80"),
    "a name of a graph that is no text": lambda: request("PUT /graphs?graph=%ed%a0%80", b"", Content_Type=_TURTLE),
    # lines, heads and bodies that are long or do not end
    "a line that does not end": lambda: _endless("GET /"),
    "a query in a URL that does not end": lambda: _endless("GET /sparql?query="),
    "a method that does not end": lambda: _endless("X"),
    "a header that does not end": lambda: _endless(f"{_GET} HTTP/1.1\r\nHost: x\r\nX-Long: "),
    "a name of a header that does not end": lambda: _endless(f"{_GET} HTTP/1.1\r\nHost: x\r\nX"),
    "headers that do not end": lambda: _endless(f"{_GET} HTTP/1.1\r\nHost: x\r\n", b"X-More: 1\r\n" * 10_000),
    "trailers that do not end": lambda: _endless(
        f"POST /sparql HTTP/1.1\r\nHost: x\r\nContent-Type: {_QUERY}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n",
        b"X-More: 1\r\n" * 10_000,
    ),
    "empty lines that do not end": lambda: _endless("\r\n", b"\r\n" * 10_000),
    "a size of a chunk that does not end": lambda: _endless(
        f"POST /sparql HTTP/1.1\r\nHost: x\r\nContent-Type: {_QUERY}\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"0" * 60_000,
    ),
    "an extension of a chunk that does not end": lambda: _endless(
        f"POST /sparql HTTP/1.1\r\nHost: x\r\nContent-Type: {_QUERY}\r\nTransfer-Encoding: chunked\r\n\r\n1;"
    ),
    "a query that does not end": lambda: _chunked("POST /sparql", b"ASK {} #", Content_Type=_QUERY),
    "a form that does not end": lambda: _chunked("POST /sparql", b"query=", Content_Type=_FORM),
    "facts that do not end": lambda: _chunked(_FACTS, b"#", Content_Type=_TURTLE),
    "a file of a form that does not end": lambda: _chunked(_FACTS, _PART, Content_Type=_MULTIPART),
    "a head of a file that does not end": lambda: _chunked(_FACTS, b"--b\r\nX-Long: ", Content_Type=_MULTIPART),
    "a body without type that does not end": lambda: _chunked("POST /sparql", b"x"),
    "a body for GET that does not end": lambda: _chunked(_GET, b"x"),
    "100,000 files in a form": lambda: request(_FACTS, (_PART + b"\r\n") * 100_000, Content_Type=_MULTIPART),
    "100,000 fields in a form": lambda: request("POST /sparql", b"query=&" * 100_000, Content_Type=_FORM),
    "10,000 parameters in a URL": lambda: request("GET /sparql?" + "a=1&" * 10_000),
    "a query of 60 kB in a URL": lambda: request("GET /sparql?query=ASK%7B%7D%23" + "x" * 60_000),
    "a query of 100 kB in a URL": lambda: request("GET /sparql?query=ASK%7B%7D%23" + "x" * 100_000),
    "a path of 60 kB": lambda: request("GET /" + "x/" * 30_000),
    "a name of a graph of 60 kB": lambda: request("GET /graphs?graph=urn:" + "x" * 60_000),
    "a name of a question of 60 kB": lambda: request("GET /questions/" + "x" * 60_000),
    "a page of a question at the end of all numbers": lambda: request(
        "GET /questions/rounds?negotiation=us-japan-2025&limit=1&offset=99999999999999999999"
    ),
    "a deadline that is no number": lambda: request("GET /sparql?query=ASK%7B%7D&timeout=nan"),
    "an Accept of 50 kB": lambda: request("GET /sparql?query=ASK%7B%7D", Accept="a/b;q=0.1," * 5_000),
    "an Accept full of quotes": lambda: request("GET /sparql?query=ASK%7B%7D", Accept='a/b;p="\\' * 5_000),
    "an Accept-Encoding of 50 kB": lambda: request(_GET, Accept_Encoding="gzip;q=0.1," * 4_000),
    "an If-None-Match of 50 kB": lambda: request("GET /graphs", If_None_Match='W/"x",' * 8_000),
    "a Content-Type of 50 kB": lambda: request("POST /sparql", _LIGHT, Content_Type="a" * 50_000),
    "a boundary of 50 kB": lambda: request(_FACTS, _PART, Content_Type="multipart/form-data; boundary=" + "b" * 50_000),
    "a form without boundary": lambda: request(_FACTS, _PART, Content_Type="multipart/form-data"),
    "a token of 50 kB": lambda: _whole(f"POST /update HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {'x' * 50_000}"),
    "10,000 ranges": lambda: request("GET /docs/static/swagger-ui.css", Range="bytes=" + "0-0," * 10_000),
    # what is no HTTP
    "a length below zero": lambda: _whole("POST /sparql HTTP/1.1\r\nHost: x\r\nContent-Length: -1"),
    "a length that is no number": lambda: _whole("POST /sparql HTTP/1.1\r\nHost: x\r\nContent-Length: 1e9"),
    "a length beyond 64 bits": lambda: _whole(f"POST /sparql HTTP/1.1\r\nHost: x\r\nContent-Length: {10**30}"),
    "a length of an exabyte": lambda: request("POST /sparql", Content_Type=_QUERY, Content_Length=str(10**18)),
    "two lengths": lambda: _whole("POST /sparql HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2"),
    "a length and chunks": lambda: _whole(
        "POST /sparql HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked"
    ),
    "a coding that nobody knows": lambda: _whole("POST /sparql HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: nonsense"),
    "a chunk of 16 exabytes": lambda: [
        *_whole(f"POST /sparql HTTP/1.1\r\nHost: x\r\nContent-Type: {_QUERY}\r\nTransfer-Encoding: chunked"),
        b"ffffffffffffffffff\r\n",
    ],
    "a folded header": lambda: _whole(f"{_GET} HTTP/1.1\r\nHost: x\r\nX-A: 1\r\n 2"),
    "no Host": lambda: _whole(f"{_GET} HTTP/1.1"),
    "a Host that is none": lambda: _whole("GET /.well-known/void HTTP/1.1\r\nHost: a b\"<>"),
    "a version that is none": lambda: _whole(f"{_GET} HTTP/9.9\r\nHost: x"),
    "the beginning of TLS": lambda: [bytes.fromhex("16030100f1010000ed0303") + bytes(240)],
    "the beginning of HTTP/2": lambda: [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9)],
    "bytes at random": lambda: [bytes(range(256)) * 400],
    "a method of nobody": lambda: _whole("FLOOD /sparql HTTP/1.1\r\nHost: x"),
    "a tunnel": lambda: _whole("CONNECT 127.0.0.1:22 HTTP/1.1\r\nHost: x"),
    "a change of protocol": lambda: request(
        "GET /sparql", Connection="Upgrade", Upgrade="websocket", Sec_WebSocket_Version="13", Sec_WebSocket_Key="AAAA"
    ),
}  # fmt: skip


def _whole(head: str) -> list[bytes]:
    return [f"{head}\r\n\r\n".encode("latin-1")]
