"""Answers to named questions in pages."""

from __future__ import annotations

import json
import re
from urllib.parse import parse_qsl, urlsplit

import httpx
import pyoxigraph as ox
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kg import formats
from kg.engines import StoreReader
from kg.evaluation import Question
from kg.paging import MOST, Page, paged
from kg.questions import Questions
from tests.conftest import CONTENT, Asker

QUESTION = "/questions/round-participants"
NAMES = [question.name for question in Questions(CONTENT).all]
LINK = re.compile(r'<([^>]+)>; rel="(\w+)"')


def links(answer: httpx.Response) -> dict[str, str]:
    return {relation: address for address, relation in LINK.findall(answer.headers["link"])}


@pytest.mark.parametrize("name", NAMES)
def test_the_pages_of_every_question_make_up_its_answer(graph: Asker, name: str) -> None:
    question = Questions(CONTENT)[name]
    given = {p.name: p.default or p.example for p in question.parameters}

    def rows(page: Page | None) -> list[str]:
        answer = json.loads(graph.reader.answer(question.bind(given, page), formats.ROWS[0]))
        return [json.dumps(row, sort_keys=True) for row in answer["results"]["bindings"]]

    whole = rows(None)
    size = max(1, len(whole) // 3)
    pages = [row for offset in range(0, len(whole) + 1, size) for row in rows(Page(size, offset))]
    assert whole
    assert sorted(pages) == sorted(whole)
    assert pages == rows(Page(MOST))


@given(
    own_limit=st.none() | st.integers(0, 12),
    own_offset=st.none() | st.integers(0, 12),
    limit=st.integers(1, 12),
    offset=st.integers(0, 12),
    order=st.sampled_from(["", "ORDER BY ?x", "order by DESC(?x) ", "GROUP BY ?x HAVING(?x > 0) ORDER BY ?x"]),
    ending=st.sampled_from(["", "\n", " # LIMIT 1"]),
)
def test_a_limit_of_the_question_holds_for_its_pages(
    own_limit: int | None, own_offset: int | None, limit: int, offset: int, order: str, ending: str
) -> None:
    own = ("" if own_limit is None else f" LIMIT {own_limit}") + ("" if own_offset is None else f" OFFSET {own_offset}")
    text = f"SELECT ?x {{ {{ SELECT * {{ VALUES ?x {{ 4 2 3 1 5 7 9 8 }} }} LIMIT 100 }} }} {order}{own}{ending}"
    numbers = sorted([4, 2, 3, 1, 5, 7, 9, 8], reverse="DESC" in order)[own_offset or 0 :][:own_limit]
    rows = StoreReader(ox.Store()).rows(Question(paged(text, ("x",), Page(limit, offset))).text)
    assert [int(row["x"].value) for row in rows] == numbers[offset:][:limit]


def test_rows_that_the_order_leaves_level_keep_their_place() -> None:
    text = "SELECT ?x ?y { VALUES (?y ?x) { (3 0) (1 0) (2 0) } } ORDER BY ?x"
    pages = [paged(text, ("x", "y"), Page(1, offset)) for offset in range(3)]
    assert [StoreReader(ox.Store()).rows(page)[0]["y"].value for page in pages] == ["1", "2", "3"]


class TestOverHttp:
    def test_links_lead_through_the_whole_answer(self, client: httpx.Client) -> None:
        whole = client.get(QUESTION, params={"number": 5}).json()["results"]["bindings"]
        rows, address, offsets = [], f"{QUESTION}?number=5&limit=4", []
        while address:
            answer = client.get(address)
            rows += answer.json()["results"]["bindings"]
            assert "first" in links(answer)
            offsets.append(links(answer).get("prev"))
            address = links(answer).get("next", "")
        assert len(rows) == len(whole) > 8
        assert sorted(map(str, rows)) == sorted(map(str, whole))
        assert offsets[0] is None
        assert None not in offsets[1:]

    def test_links_keep_what_was_asked(self, client: httpx.Client) -> None:
        answer = client.get(QUESTION, params={"number": 5, "limit": 2, "offset": 2, "format": "csv"})
        assert len(answer.text.splitlines()) == 3
        found = {relation: dict(parse_qsl(urlsplit(address).query)) for relation, address in links(answer).items()}
        asked = {"number": "5", "limit": "2", "format": "csv"}
        expected = {"first": 0, "prev": 0, "next": 4}
        assert found == {relation: {**asked, "offset": str(offset)} for relation, offset in expected.items()}

    def test_a_page_that_ends_with_the_answer_has_no_next(self, client: httpx.Client) -> None:
        number = len(client.get(QUESTION).json()["results"]["bindings"])
        assert set(links(client.get(QUESTION, params={"limit": number}))) == {"first"}
        assert set(links(client.get(QUESTION, params={"limit": number - 1}))) == {"first", "next"}

    def test_without_a_limit_the_answer_is_whole_and_has_no_links(self, client: httpx.Client) -> None:
        assert "link" not in client.get(QUESTION).headers

    def test_pages_of_other_origins_can_read_the_links(self, client: httpx.Client) -> None:
        answer = client.get(QUESTION, params={"limit": 2}, headers={"Origin": "https://example.org"})
        assert "Link" in answer.headers["access-control-expose-headers"]

    @pytest.mark.parametrize(
        "given",
        [
            {"limit": "0"},
            {"limit": "-1"},
            {"limit": str(MOST + 1)},
            {"limit": "many"},
            {"limit": "5", "offset": "-1"},
            {"limit": "5", "offset": str(2**63)},
            {"offset": "5"},
        ],
    )
    def test_what_makes_no_page_is_refused(self, client: httpx.Client, given: dict[str, str]) -> None:
        answer = client.get(QUESTION, params=given)
        assert (answer.status_code, answer.headers["content-type"]) == (400, "application/problem+json")
        assert "limit" in answer.json()["detail"] or "offset" in answer.json()["detail"]

    def test_a_browser_gets_links_to_more_rows(self, client: httpx.Client) -> None:
        first, second = (
            client.get(QUESTION, params={"limit": 3, "offset": offset}, headers={"Accept": "text/html"}).text
            for offset in (0, 3)
        )
        assert f'<a rel="next" href="{QUESTION}?limit=3&amp;offset=3">' in first
        assert 'rel="prev"' not in first
        assert f'<a rel="prev" href="{QUESTION}?limit=3&amp;offset=0">' in second
        assert first.count("<tr>") == second.count("<tr>") == 4
