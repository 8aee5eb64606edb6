"""Reading by pattern."""

from __future__ import annotations

from pathlib import Path

import pyoxigraph as ox
import pytest

from kg.quads import TOP, is_stated, matching
from kg.terms import DERIVED_GRAPHS

S, P, G = (ox.NamedNode(f"urn:{name}") for name in "spg")
NUMBERS = (0, 254, 255, 256, 300, 511, 512, 65535, 65536, -1, -257)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> ox.Store:
    store = ox.Store(str(tmp_path_factory.mktemp("quads") / "store"))
    store.extend(ox.Quad(S, P, ox.Literal(number), graph) for number in NUMBERS for graph in (G, TOP))
    return store


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("start", [(None, None), (None, P), (S, P)])
@pytest.mark.parametrize("graph", [G, TOP])
def test_no_other_number_is_found(
    store: ox.Store, number: int, start: tuple[ox.NamedNode | None, ox.NamedNode | None], graph: ox.NamedNode
) -> None:
    assert list(matching(store, *start, ox.Literal(number), graph)) == [ox.Quad(S, P, ox.Literal(number), graph)]


def test_pattern_without_an_object_finds_all(store: ox.Store) -> None:
    assert len(list(matching(store, S, P, None, G))) == len(NUMBERS)


def test_engine_still_needs_the_filter(tmp_path: Path) -> None:
    """If this fails, the engine is mended, and `matching` can go."""
    store = ox.Store(str(tmp_path / "store"))
    store.extend(ox.Quad(S, P, ox.Literal(number), G) for number in (255, 256))
    assert len(list(store.quads_for_pattern(None, None, ox.Literal(255), None))) == 2


@pytest.mark.parametrize("graph", [TOP, *map(ox.NamedNode, sorted(DERIVED_GRAPHS))])
def test_what_parley_keeps_is_not_stated(graph: ox.NamedNode) -> None:
    assert not is_stated(ox.Quad(S, P, S, graph))
    assert is_stated(ox.Quad(S, P, S, G))
