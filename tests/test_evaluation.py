"""The evaluation of a query, where it departs from what the engine does on its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from kg.engines import StoreReader
from kg.store import Versions


@pytest.mark.parametrize(
    "pattern",
    [
        "product:8703.23.01 skos:notation ?code",
        "VALUES ?p { product:8703.23.01 } ?p skos:notation ?code",
        "?p skos:notation ?code FILTER(?p = product:8703.23.01)",
        "?rate trade:onProduct product:8703.23.01. product:8703.23.01 skos:notation ?code",
    ],
)
def test_prefixed_name_with_several_dots_is_one_name(shipped_home: Path, pattern: str) -> None:
    """The engine alone reads product:8703.23 and the number .01, and answers without a word of warning."""
    with Versions(shipped_home).reading() as (_, store):
        rows = StoreReader(store).rows(f"SELECT DISTINCT ?code {{ {pattern} }}")
    assert [row["code"].value for row in rows] == ["8703.23.01"]
