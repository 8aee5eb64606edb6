"""The generator of load reads answers whole, however they come, and asks each query as often as any other."""

from __future__ import annotations

import asyncio
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.load_generator import Answer, Job, requests, run
from tests.server import Server

HEAD = b"HTTP/1.1 %d Some Reason\r\nX-Other: 7\r\n"


def chunked(pieces: list[bytes]) -> bytes:
    body = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
    return HEAD % 200 + b"Transfer-Encoding: chunked\r\n\r\n" + body + b"0\r\n\r\n"


def whole(body: bytes) -> bytes:
    return HEAD % 503 + b"Content-Length: %d\r\n\r\n%b" % (len(body), body)


ANSWERS = st.one_of(
    st.lists(st.binary(min_size=1, max_size=40), max_size=6).map(chunked), st.binary(max_size=60).map(whole)
)


@given(sent=ANSWERS, cuts=st.lists(st.integers(1, 200)))
def test_an_answer_is_complete_with_its_last_byte_and_not_before(sent: bytes, cuts: list[int]) -> None:
    answer = Answer()
    ends = sorted({cut for cut in cuts if cut < len(sent) - 1} | {len(sent) - 1})
    for start, end in zip([0, *ends], ends, strict=False):
        assert not answer.feed(sent[start:end])
    assert answer.feed(sent[-1:])
    assert answer.status == (200 if b"chunked" in sent else 503)


def test_an_answer_that_does_not_tell_its_end_is_no_answer() -> None:
    with pytest.raises(ValueError, match="no length"):
        Answer().feed(HEAD % 200 + b"\r\n")


def test_distinct_requests_differ_and_repeated_ones_come_back() -> None:
    for distinct in (False, True):
        asked = requests(Job(80, "/sparql", ["ASK {}", "ASK { ?s ?p ?o }"], distinct, 1, 1, 1))
        first, _, third = (next(asked) for _ in range(3))
        assert (first != third) is distinct


def test_a_server_is_asked_each_query_equally_often(server: Server) -> None:
    queries = ["ASK {}", "SELECT * { ?s ?p ?o } LIMIT 500", "this is no query"]
    figures = asyncio.run(run(Job(int(server.url.rpartition(":")[2]), "/sparql", queries, True, 0.5, 30, 3)))
    assert figures.answers >= 2
    assert abs(figures.answers - 2 * figures.failures) <= 2 * 3  # of each connection one may be under way
    assert 0 < figures.p50 <= figures.p99


def test_a_server_that_does_not_answer_has_failed_for_as_long_as_it_was_waited_for() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        figures = asyncio.run(run(Job(silent.getsockname()[1], "/", ["ASK {}"], True, 0.1, 0.5, 3)))
    assert (figures.answers, figures.failures, figures.p50, figures.p99) == (0, 3, -1, -1)
    assert figures.seconds >= 0.5
