"""Compressed answers: the same bytes unpacked, told by the headers, and streams that stay streams."""

from __future__ import annotations

import gzip

import brotli
import httpx
import pytest
import zstandard

from tests.server import AUTHORIZED, Server

CODINGS = ["zstd", "br", "gzip"]
UNPACK = {
    "zstd": lambda data: zstandard.ZstdDecompressor().decompressobj().decompress(data),
    "br": brotli.decompress,
    "gzip": gzip.decompress,
}
LARGE = "/sparql?query=SELECT+*+{+?s+?p+?o+}+ORDER+BY+?s+?p+?o&format="
PATHS = [
    *(LARGE + form for form in ("json", "xml", "csv", "tsv")),
    "/graphs?default",
    "/graphs?format=nquads",
    "/ontology",
]


def raw(client: httpx.Client, path: str, coding: str, method: str = "GET") -> tuple[httpx.Headers, bytes]:
    """The headers and the bytes as they are sent."""
    with client.stream(method, path, headers={"Accept-Encoding": coding}) as answer:
        assert answer.status_code == 200
        return answer.headers, b"".join(answer.iter_raw())


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("path", PATHS)
def test_an_answer_unpacks_to_what_it_is_without(client: httpx.Client, path: str, coding: str) -> None:
    headers, body = raw(client, path, coding)
    plain_headers, plain = raw(client, path, "identity")
    assert (headers["content-encoding"], "content-encoding" in plain_headers) == (coding, False)
    assert headers["content-type"] == plain_headers["content-type"]
    assert sorted(UNPACK[coding](body).splitlines()) == sorted(plain.splitlines())
    assert len(body) < len(plain) / 2
    for given in (headers, plain_headers):
        assert {"accept", "accept-encoding"} <= {name.strip().lower() for name in given["vary"].split(",")}


@pytest.mark.parametrize(
    ("accept", "coding"),
    [
        ("gzip, deflate, br, zstd", "zstd"),
        ("gzip, br;q=0.5", "br"),
        ("gzip;q=0.1, br;q=0", "gzip"),
        ("*", "zstd"),
        ("identity", None),
        ("gzip;q=0", None),
        ("compress", None),
    ],
)
def test_the_coding_is_one_that_the_client_takes(client: httpx.Client, accept: str, coding: str | None) -> None:
    assert raw(client, "/ontology", accept)[0].get("content-encoding") == coding


def test_a_small_answer_is_sent_as_it_is(client: httpx.Client) -> None:
    headers, body = raw(client, "/health", "gzip")
    assert ("content-encoding" in headers, body[:1]) == (False, b"{")


def test_the_tag_is_weak_and_the_same_in_each_coding(client: httpx.Client) -> None:
    plain, packed = (raw(client, "/ontology", coding)[0]["etag"] for coding in ("identity", "br"))
    assert plain.startswith('W/"')
    assert packed == plain
    again = client.get("/ontology", headers={"Accept-Encoding": "br", "If-None-Match": packed})
    assert (again.status_code, again.content) == (304, b"")


def test_the_weak_tag_guards_a_write(bare_server: Server) -> None:
    with bare_server.client() as client:
        headers = {"Content-Type": "text/turtle", **AUTHORIZED}
        body = "".join(f"<urn:x> <urn:is> {n:06} .\n" for n in range(300))
        client.put("/graphs/a", content=body, headers=headers)
        tag = raw(client, "/graphs/a", "gzip")[0]["etag"]
        assert tag.startswith("W/")
        assert client.put("/graphs/a", content="", headers={**headers, "If-Match": tag}).status_code == 200
        assert client.put("/graphs/a", content=body, headers={**headers, "If-Match": tag}).status_code == 412


def test_head_has_no_body(client: httpx.Client) -> None:
    assert raw(client, LARGE + "json", "gzip", "HEAD")[1] == b""


@pytest.mark.parametrize("coding", CODINGS)
def test_a_stream_comes_before_it_ends_and_breaks_if_it_is_stopped(client: httpx.Client, coding: str) -> None:
    """Were it gathered first, the deadline would come with a clean 503; were it ended, it would pass for whole."""
    query = "SELECT * { ?a ?b ?c . ?d ?e ?f . ?g ?h ?i }"
    parameters = {"query": query, "format": "tsv", "timeout": "6"}
    with client.stream("GET", "/sparql", params=parameters, headers={"Accept-Encoding": coding}) as answer:
        assert (answer.status_code, answer.headers["content-encoding"]) == (200, coding)
        with pytest.raises(httpx.RemoteProtocolError):
            for _ in answer.iter_raw():
                pass
