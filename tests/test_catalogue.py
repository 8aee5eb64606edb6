"""What a server finds out about its graph as a whole, once a version, and how it describes it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from kg import void
from kg.catalogue import Catalogue, Counts, Summary
from kg.errors import BadRequest, NotFound, Stopped
from kg.terms import TRADE
from tests.conftest import CONTENT


class FakeGraph:
    """Counts how often it is asked; fails or waits if told to."""

    bare = False
    content = CONTENT

    def __init__(self) -> None:
        self.asked, self.number, self.wait = 0, 1, 0.0
        self.error: Exception | None = None

    def version(self) -> int:
        return self.number

    def history(self) -> list[Any]:
        return []

    async def query(self, question: Any, format: Any, deadline: float | None = None) -> Any:
        self.asked += 1
        await asyncio.sleep(self.wait)
        if self.error is not None:
            raise self.error
        rows = b'{"head":{"vars":["entities","class","property","number"]},"results":{"bindings":[]}}'

        class Answer:
            async def read(self) -> bytes:
                return rows if format.kind == "rows" else b""

        return Answer()


class TestCatalogue:
    def test_it_counts_once_a_version(self) -> None:
        async def scenario() -> list[int]:
            graph: Any = FakeGraph()
            catalogue, asked = Catalogue(graph), []
            graph.wait = 0.05
            for version in (1, 1, 2):
                graph.number = version
                await asyncio.gather(*(catalogue.summary() for _ in range(5)))
                asked.append(graph.asked)
            return asked

        assert asyncio.run(scenario()) == [1, 1, 2]

    def test_it_does_not_wait_longer_than_it_is_told(self) -> None:
        async def scenario() -> list[Summary | None]:
            graph: Any = FakeGraph()
            graph.wait = 0.2
            catalogue = Catalogue(graph)
            return [await catalogue.summary(0.01), await catalogue.summary()]

        impatient, patient = asyncio.run(scenario())
        assert impatient is None
        assert patient == Summary(1, counts=Counts(0))

    def test_a_graph_too_large_to_count_has_a_summary_without_counts(self) -> None:
        async def scenario() -> tuple[Summary | None, int]:
            graph: Any = FakeGraph()
            graph.error = Stopped("Stopped after 30 seconds.")
            catalogue = Catalogue(graph)
            await catalogue.summary()
            return await catalogue.summary(), graph.asked

        assert asyncio.run(scenario()) == (Summary(1), 1)

    def test_a_failure_is_not_remembered(self) -> None:
        async def scenario() -> Summary | None:
            graph: Any = FakeGraph()
            graph.error = OSError("gone")
            catalogue = Catalogue(graph)
            with pytest.raises(OSError, match="gone"):
                await catalogue.summary()
            graph.error = None
            return await catalogue.summary()

        assert asyncio.run(scenario()) is not None

    def test_a_graph_without_an_ontology_has_no_vocabulary(self) -> None:
        graph: Any = FakeGraph()
        with pytest.raises(NotFound):
            asyncio.run(Catalogue(graph).vocabulary())


class TestDescription:
    BASE = "http://example.org/"

    def test_without_counts_it_gives_none(self) -> None:
        counted = void.describe(self.BASE, Summary(3, counts=Counts(5, {TRADE + "Rate": 2})), bare=False)
        uncounted = void.describe(self.BASE, Summary(3), bare=False)
        assert "void#triples" in str(counted)
        assert "void#triples" not in str(uncounted)

    def test_one_version_has_one_description(self) -> None:
        summary = Summary(3, counts=Counts(5, {TRADE + "Rate": 2}, {TRADE + "from": 7}))
        assert void.describe(self.BASE, summary, bare=True) == void.describe(self.BASE, summary, bare=True)

    @pytest.mark.parametrize("base", ["http://a b/", "http://<script>/", "no address/"])
    def test_an_address_that_is_none_is_refused(self, base: str) -> None:
        with pytest.raises(BadRequest, match="Host"):
            void.describe(base, Summary(1), bare=False)
