"""`bench.soak` in a short form, and that it finds what is wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx
import pyoxigraph as ox
import pytest

from bench.clients import Caller, Notes
from bench.common import percentile
from bench.soak import soak
from bench.truth import Known, Ledger, Newest
from tests.server import Server

ONE, TWO = (ox.Triple(ox.NamedNode("urn:s"), ox.NamedNode("urn:p"), ox.Literal(text)) for text in ("one", "two"))


@pytest.mark.long
def test_a_server_under_everything_at_once_gives_right_answers(home: Path) -> None:
    report = soak(home, seconds=15, clients=8, hurry=8)
    assert report.fine, report.text()
    asked = {kind for kind, _ in report.mixed.counts}
    assert {"light", "upload", "update", "read back"} <= asked
    assert report.mixed.versions
    assert {kind for kind, _ in report.alone.counts} == {"light"}
    assert "wrong answers: 0" in report.text()


@pytest.fixture
def caller(server: Server) -> Caller:
    return Caller(httpx.URL(server.url).port or 0, "127.0.0.9", Notes(), Newest())


def test_an_answer_other_than_the_known_one_is_wrong(caller: Caller) -> None:
    caller.check("light", Known("/sparql", "SELECT (1 AS ?n) {}", Counter(["another"])), 1)
    assert len(caller.notes.wrong) == 1
    assert caller.notes.unexpected == []


def test_an_answer_of_a_version_before_the_newest_is_wrong(caller: Caller) -> None:
    caller.newest.told(1_000_000)
    caller.check("light", Known("/sparql", "SELECT * {} LIMIT 0", Counter()), 1)
    assert ["was told after 1000000" in line for line in caller.notes.wrong] == [True]


def test_a_status_that_should_not_come_is_unexpected(caller: Caller) -> None:
    caller.query("light", "SELECT", {200})
    caller.query("light", "SELECT", {400})
    assert [line[:10] for line in caller.notes.unexpected] == ["light: 400"]
    assert caller.notes.counts == {("light", 400): 2}


def test_a_connection_that_fails_is_unexpected() -> None:
    caller = Caller(1, "127.0.0.9", Notes(), Newest())
    caller.query("light", "ASK {}", {200})
    assert [line[:29] for line in caller.notes.unexpected] == ["light: ConnectionRefusedError"]


class TestLedger:
    @pytest.fixture
    def ledger(self) -> Iterator[Ledger]:
        """A graph that has one fact since version 3 and another since version 5."""
        ledger = Ledger("urn:g")
        ledger.committed(3, frozenset([ONE]))
        ledger.committed(5, frozenset([TWO]))
        yield ledger

    def test_what_was_so_in_the_version_of_the_answer_is_right(self, ledger: Ledger) -> None:
        for version, facts in ((2, []), (3, [ONE]), (4, [ONE]), (5, [TWO]), (9, [TWO])):
            ledger.was_read(version, version, frozenset(facts))
        assert ledger.wrong() == []

    def test_lost_facts_and_facts_too_many_are_wrong(self, ledger: Ledger) -> None:
        ledger.was_read(0, 4, frozenset())
        ledger.was_read(0, 5, frozenset([ONE, TWO]))
        assert ledger.wrong() == [
            "urn:g: version 4 lacks 1 facts and has 0 more",
            "urn:g: version 5 lacks 0 facts and has 1 more",
        ]

    def test_a_version_older_than_one_that_was_acknowledged_is_wrong(self, ledger: Ledger) -> None:
        ledger.was_read(5, 4, frozenset([ONE]))
        assert ledger.wrong() == ["urn:g: version 4 was read after 5 was acknowledged"]


def test_percentiles_are_values_that_were_seen() -> None:
    values = [float(n) for n in range(100)]
    assert (percentile(values, 0.5), percentile(values, 0.99), percentile([7.0], 0.99)) == (50, 99, 7)
