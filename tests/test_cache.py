"""Answers are remembered within bounds, and never those of another version."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kg.cache import Cache
from tests.server import Server

COUNT = "SELECT (COUNT(*) AS ?n) { GRAPH <urn:cached> { ?s ?p ?o } }"


def test_an_answer_is_found_again_in_its_version_only() -> None:
    cache = Cache(100_000)
    cache.put(3, "key", b"body", 3)
    assert cache.get(3, "key") == b"body"
    assert cache.get(2, "key") is None
    assert cache.get(4, "key") is None
    cache.put(4, "other", b"newer", 5)
    assert cache.get(3, "key") is None


def test_an_answer_of_an_older_version_is_not_remembered() -> None:
    cache = Cache(100_000)
    cache.put(4, "new", b"", 0)
    cache.put(3, "old", b"", 0)
    assert cache.get(3, "old") is None
    assert cache.get(4, "new") == b""


def test_an_answer_too_large_for_its_share_is_not_remembered() -> None:
    cache = Cache(8_000)
    cache.put(1, "large", b"x" * 1_000, 0)
    assert cache.get(1, "large") is None
    assert cache.bytes == 0


def test_those_asked_for_the_longest_ago_go_first() -> None:
    cache = Cache(8 * 600)
    for name in "abcdefgh":
        cache.put(1, name, b"", 100)
    cache.get(1, "a")
    cache.put(1, "i", b"", 100)
    assert cache.get(1, "a") == b""
    assert cache.get(1, "b") is None


@given(st.lists(st.tuples(st.integers(1, 3), st.sampled_from("abcdef"), st.binary(max_size=3000))))
def test_the_bytes_stay_within_the_limit_and_answers_are_those_put(puts: list[tuple[int, str, bytes]]) -> None:
    cache, newest = Cache(16_000), 0
    put: dict[tuple[int, str], bytes] = {}
    for version, key, body in puts:
        cache.put(version, key, body, len(key))
        put.setdefault((version, key), body)
        newest = max(newest, version)
        assert 0 <= cache.bytes <= 16_000
        found = cache.get(newest, key)
        assert found is None or found in {b for v, k, b in puts if (v, k) == (newest, key)}


def test_an_answer_that_breaks_or_is_dropped_is_not_remembered() -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield b"one"
        raise OSError("the worker died")

    async def read() -> None:
        cache = Cache(100_000)
        with pytest.raises(OSError, match="died"):
            async for _ in cache.keeping(chunks(), 1, "broken", 0):
                pass
        dropped = cache.keeping(chunks(), 1, "dropped", 0)
        await anext(dropped)
        await dropped.aclose()  # type: ignore[attr-defined]
        assert cache.get(1, "broken") is None
        assert cache.get(1, "dropped") is None

    asyncio.run(read())


def test_a_write_shows_in_an_answer_that_was_remembered(bare_server: Server) -> None:
    with bare_server.client() as client:
        headers = {"Authorization": "Bearer a-token-for-the-tests", "Content-Type": "text/turtle"}

        def count() -> str:
            answer = client.get("/sparql", params={"query": COUNT, "format": "csv"})
            return answer.text.split()[1]

        before = [count(), count()]
        body = "<urn:s> <urn:p> <urn:o> ."
        assert client.put("/graphs", params={"graph": "urn:cached"}, content=body, headers=headers).status_code == 201
        assert before == ["0", "0"]
        assert [count(), count()] == ["1", "1"]


def test_a_query_that_draws_numbers_is_evaluated_each_time(bare_server: Server) -> None:
    with bare_server.client() as client:
        texts = {
            client.get("/sparql", params={"query": "SELECT (STRUUID() AS ?x) {}", "format": "csv"}).text
            for _ in range(3)
        }
    assert len(texts) == 3
