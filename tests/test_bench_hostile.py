"""`bench.hostile` in a short form: one input of each kind against a real server, and what it says of a failure."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from bench.hostile import Outcome, Report, attack, inputs

#: One input of each kind, and the status of its answer.
SOME = {
    "query: groups, 536": 400,
    "query: a string that doubles": 503,
    "query: a long comment": 200,
    "update: a file": 400,
    "upload: json arrays": 400,
    "upload: entities.rdf": 400,
    "upload: comment.ttl.gz": 413,
    "upload: schemes.nt": 201,
    "http: gzip: a query of 1.6 GB": 413,
    "http: UTF-16 in a query": 400,
    "http: headers that do not end": 431,
    "http: a query that does not end": 413,
    "http: the beginning of TLS": 400,
}


def test_hostile_input_is_refused_and_a_light_query_answered_after_it(home: Path) -> None:
    report = attack(home, SOME)
    assert report.fine, report.text()
    assert {outcome.name: outcome.status for outcome in report.outcomes} == SOME
    last = report.text().splitlines()[-1]
    assert last.startswith(f"pid {report.pid} at the start, pid {report.pid} at the end; 13 inputs, 200: 1, 201: 1,")


def test_every_input_has_a_name_of_its_own() -> None:
    assert [name for name, count in Counter(name for name, _ in inputs()).items() if count > 1] == []


@pytest.mark.parametrize("status", [500, 302, "closed", "no answer", "goes on"])
def test_what_is_neither_answered_nor_refused_fails(status: int | str) -> None:
    outcome = Outcome("x", 1, status, 0.1, light=0.1)
    assert not Report([outcome], 1, alive=True).fine
    assert "not as it should be" in outcome.row()


def test_a_light_query_that_fails_or_a_server_that_is_gone_fails() -> None:
    assert not Report([Outcome("x", 1, 400, 0.1, light=None)], 1, alive=True).fine
    assert not Report([Outcome("x", 1, 400, 0.1, light=0.1)], 1, alive=False).fine
