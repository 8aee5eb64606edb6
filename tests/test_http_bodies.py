"""Bodies: compressed ones are unpacked, and what is too large is refused before it is sent or unpacked in full."""

from __future__ import annotations

import gzip
import json
import re
import select
import socket
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from kg.incoming import MAX_QUERY_BYTES
from kg.parsing import MAX_BYTES
from tests.server import AUTHORIZED, Server, served
from tests.server import select as rows

GRAPH = {"graph": "urn:g"}
TURTLE = {"Content-Type": "text/turtle", **AUTHORIZED}
GZIP = {"Content-Encoding": "gzip"}
FACT = b"<urn:s> <urn:p> 'packed' ."
#: Megabytes that a server may take which holds one body of the largest size.
MOST = 3 * MAX_BYTES >> 20


def bomb() -> bytes:
    """A gigabyte of spaces in a megabyte."""
    packer, spaces = zlib.compressobj(wbits=31), b" " * (1 << 20)
    return b"".join([*(packer.compress(spaces) for _ in range(1024)), packer.flush()])


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with served(tmp_path_factory.mktemp("bodies") / "home", "--bare") as server:
        yield server


@pytest.fixture
def client(server: Server) -> Iterator[httpx.Client]:
    """A client of a server that must be there, and be no larger than it should, when the test is over."""
    with server.client() as client:
        yield client
        assert rows(client, "SELECT (1 AS ?one) {}") == [{"one": "1"}]
        assert server.alive
        assert megabytes(server) < MOST


def megabytes(server: Server) -> int:
    """The most memory that the server process ever had."""
    status = Path(f"/proc/{server.pid}/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert found
    return int(found[1]) >> 10


class TestGzip:
    @pytest.mark.parametrize("coding", ["gzip", "x-gzip", "GZIP", "identity, gzip"])
    def test_facts_are_unpacked(self, client: httpx.Client, coding: str) -> None:
        headers = {**TURTLE, "Content-Encoding": coding}
        assert client.put("/graphs", params=GRAPH, content=gzip.compress(FACT), headers=headers).is_success
        assert "packed" in client.get("/graphs", params=GRAPH).text
        assert client.delete("/graphs", params=GRAPH, headers=AUTHORIZED).is_success

    @pytest.mark.parametrize("headers", [{}, {"Content-Encoding": "identity"}, {"Content-Encoding": ""}])
    def test_facts_that_are_not_packed_are_taken_as_they_are(
        self, client: httpx.Client, headers: dict[str, str]
    ) -> None:
        assert client.put("/graphs", params=GRAPH, content=FACT, headers={**TURTLE, **headers}).is_success

    def test_members_follow_each_other_and_chunks_may_be_cut_anywhere(self, client: httpx.Client) -> None:
        body = b"".join(gzip.compress(part) for part in (FACT, b"", b"<urn:s> <urn:p> 'more' ."))

        def one_by_one() -> Iterator[bytes]:
            for byte in body:
                yield bytes([byte])

        assert client.put("/graphs", params=GRAPH, content=one_by_one(), headers={**TURTLE, **GZIP}).is_success
        text = client.get("/graphs", params=GRAPH).text
        assert "packed" in text
        assert "more" in text

    @pytest.mark.parametrize(
        ("media", "body"),
        [
            ("application/sparql-query", b"SELECT (7 AS ?n) {}"),
            ("application/x-www-form-urlencoded", b"query=SELECT+(7+AS+?n)+{}"),
        ],
    )
    def test_queries_are_unpacked(self, client: httpx.Client, media: str, body: bytes) -> None:
        answer = client.post("/sparql", content=gzip.compress(body), headers={"Content-Type": media, **GZIP})
        assert answer.json()["results"]["bindings"][0]["n"]["value"] == "7"

    def test_updates_are_unpacked(self, client: httpx.Client) -> None:
        headers = {"Content-Type": "application/sparql-update", **AUTHORIZED, **GZIP}
        body = gzip.compress(b"INSERT DATA { <urn:updated> <urn:p> 1 }")
        assert client.post("/update", content=body, headers=headers).is_success
        assert client.get("/sparql", params={"query": "ASK { <urn:updated> ?p ?o }"}).json()["boolean"]

    PACKED = gzip.compress(FACT)

    @pytest.mark.parametrize(
        "body",
        [
            FACT,
            b"",
            PACKED[:-1],
            PACKED[:5],
            PACKED + b"more",
            PACKED + PACKED[:-4],
            PACKED[:-8] + b"\0" * 8,
            zlib.compress(FACT),
        ],
        ids=["plain", "empty", "cut", "head only", "with a tail", "second cut", "checksum", "zlib"],
    )
    @pytest.mark.parametrize("path", ["/graphs?graph=urn:broken", "/sparql"])
    def test_what_is_broken_is_400(self, client: httpx.Client, path: str, body: bytes) -> None:
        media = "text/turtle" if path.startswith("/graphs") else "application/sparql-query"
        answer = client.post(path, content=body, headers={**AUTHORIZED, "Content-Type": media, **GZIP})
        assert (answer.status_code, answer.json()["hint"]) == (400, "Send it whole, as `gzip` makes it.")
        assert client.get("/graphs?graph=urn:broken").status_code == 404

    @pytest.mark.parametrize("coding", ["br", "deflate", "zstd", "gzip, gzip", "br, gzip", "nonsense"])
    @pytest.mark.parametrize("path", ["/graphs?graph=urn:g", "/sparql", "/update"])
    def test_another_coding_is_415_with_what_is_taken(self, client: httpx.Client, path: str, coding: str) -> None:
        media = {"/sparql": "application/sparql-query", "/update": "application/sparql-update"}.get(path, "text/turtle")
        headers = {**AUTHORIZED, "Content-Type": media, "Content-Encoding": coding}
        answer = client.post(path, content=b"", headers=headers)
        assert (answer.status_code, answer.json()["hint"]) == (415, "Send it as it is, or as gzip.")
        assert answer.headers["accept-encoding"] == "gzip"

    @pytest.mark.parametrize("path", ["/graphs?graph=urn:bomb", "/sparql", "/update"])
    def test_a_bomb_is_413(self, client: httpx.Client, path: str) -> None:
        media = {"/sparql": "application/sparql-query", "/update": "application/sparql-update"}.get(path, "text/turtle")
        answer = client.post(path, content=bomb(), headers={**AUTHORIZED, "Content-Type": media, **GZIP})
        assert (answer.status_code, answer.headers["content-type"]) == (413, "application/problem+json")

    def test_what_unpacks_to_nothing_is_limited_as_it_comes(self, client: httpx.Client) -> None:
        member = gzip.compress(b"")
        body = member * (MAX_QUERY_BYTES // len(member) + 1)
        headers = {"Content-Type": "application/sparql-query", **GZIP}
        assert client.post("/sparql", content=iter([body]), headers=headers).status_code == 413

    def test_the_largest_that_is_allowed_is_read(self, client: httpx.Client) -> None:
        query = b"SELECT (7 AS ?n) {}".ljust(1_000_000)
        headers = {"Content-Type": "application/x-www-form-urlencoded", **GZIP}
        body = b"query=" + query.replace(b" ", b"+") + b"&x="
        full, over = (gzip.compress(body.ljust(size, b"x")) for size in (MAX_QUERY_BYTES, MAX_QUERY_BYTES + 1))
        assert client.post("/sparql", content=full, headers=headers).status_code == 200
        assert client.post("/sparql", content=over, headers=headers).status_code == 413


@dataclass
class Exchange:
    """What came of a request over a plain socket: the answer, and the bytes of the body that were sent before it."""

    status: int
    headers: dict[str, str]
    body: bytes
    sent: int


def exchange(server: Server, head: Iterable[str], body: Iterable[bytes]) -> Exchange:
    """Send a request and its body until an answer comes; then read that to the end of the connection.

    A connection that is reset is an error.
    """
    address = httpx.URL(server.url)
    with socket.create_connection((address.host, address.port), timeout=60) as sock:
        sock.sendall("\r\n".join([*head, "Host: parley", "", ""]).encode())
        sent = 0
        for piece in body:
            if select.select([sock], [], [], 0)[0]:
                break
            sock.sendall(piece)
            sent += len(piece)
        answer = bytearray()
        while part := sock.recv(1 << 16):
            answer += part
    top, _, rest = bytes(answer).partition(b"\r\n\r\n")
    status, *lines = top.decode().split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    return Exchange(int(status.split()[1]), headers, rest, sent)


TOKEN = f"Authorization: {AUTHORIZED['Authorization']}"
PUT = ("PUT /graphs?graph=urn:large HTTP/1.1", "Content-Type: text/turtle")
MEGABYTE = b"# a comment that fills a line, so that the whole is a graph without a fact   \n".ljust(1 << 20, b"#")
CHUNK = b"%x\r\n%b\r\n" % (len(MEGABYTE), MEGABYTE)


class TestSize:
    def test_five_gigabytes_that_are_announced_are_refused_unread(self, server: Server, client: httpx.Client) -> None:
        answer = exchange(server, [*PUT, TOKEN, f"Content-Length: {5 << 30}"], ())
        assert (answer.status, answer.headers["connection"]) == (413, "close")
        problem = json.loads(answer.body)
        assert problem["detail"] == f"The body is larger than {MAX_BYTES:,} bytes. Send it in parts."

    def test_the_answer_comes_while_the_client_sends(self, server: Server, client: httpx.Client) -> None:
        answer = exchange(server, [*PUT, TOKEN, f"Content-Length: {5 << 30}"], (MEGABYTE for _ in range(5 << 10)))
        assert (answer.status, json.loads(answer.body)["status"]) == (413, 413)
        assert answer.sent < MAX_BYTES

    def test_what_goes_on_without_end_is_cut_at_the_limit(self, server: Server, client: httpx.Client) -> None:
        answer = exchange(server, [*PUT, TOKEN, "Transfer-Encoding: chunked"], (CHUNK for _ in range(5 << 10)))
        assert (answer.status, answer.headers["connection"]) == (413, "close")
        assert MAX_BYTES <= answer.sent < 2 * MAX_BYTES
        assert client.get("/graphs?graph=urn:large").status_code == 404

    def test_a_client_that_does_not_stop_is_cut_off(self, server: Server, client: httpx.Client) -> None:
        address = httpx.URL(server.url)
        with socket.create_connection((address.host, address.port), timeout=60) as sock:
            sock.sendall("\r\n".join([*PUT, TOKEN, f"Content-Length: {1 << 50}", "Host: parley", "", ""]).encode())
            with pytest.raises((ConnectionResetError, BrokenPipeError)):
                while True:
                    sock.sendall(MEGABYTE)

    @pytest.mark.parametrize("size", [f"Content-Length: {5 << 30}", "Transfer-Encoding: chunked"])
    def test_without_the_token_nothing_is_read(self, server: Server, client: httpx.Client, size: str) -> None:
        answer = exchange(server, [*PUT, size], ())
        assert (answer.status, answer.headers["connection"]) == (401, "close")

    def test_a_query_has_a_smaller_limit(self, server: Server, client: httpx.Client) -> None:
        head = ("POST /sparql HTTP/1.1", "Content-Type: application/sparql-query", "Transfer-Encoding: chunked")
        answer = exchange(server, head, (CHUNK for _ in range(5 << 10)))
        assert (answer.status, f"{MAX_QUERY_BYTES:,}" in json.loads(answer.body)["detail"]) == (413, True)
        assert answer.sent < MAX_BYTES

    def test_a_client_that_asks_first_is_told_before_it_sends(self, server: Server, client: httpx.Client) -> None:
        answer = exchange(server, [*PUT, TOKEN, f"Content-Length: {5 << 30}", "Expect: 100-continue"], ())
        assert answer.status == 413

    def test_a_small_body_that_is_not_read_leaves_the_connection_open(self, client: httpx.Client) -> None:
        for _ in range(2):
            answer = client.put("/graphs?graph=urn:g", content=b"x" * 1000, headers={"Content-Type": "text/turtle"})
            assert (answer.status_code, answer.headers.get("connection")) == (401, None)

    def test_a_large_body_that_is_read_leaves_the_connection_open(self, client: httpx.Client) -> None:
        body = iter([b"<urn:s> <urn:p> 1 .\n", MEGABYTE, MEGABYTE])
        answer = client.put("/graphs?graph=urn:g", content=body, headers=TURTLE)
        assert (answer.is_success, answer.headers.get("connection")) == (True, None)

    def test_the_largest_body_is_taken(self, client: httpx.Client) -> None:
        body = (MEGABYTE for _ in range(MAX_BYTES // len(MEGABYTE)))
        headers = {**TURTLE, "Content-Length": str(MAX_BYTES)}
        assert client.put("/graphs?graph=urn:large", content=body, headers=headers).status_code == 200
