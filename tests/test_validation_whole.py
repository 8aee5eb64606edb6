"""What the validation finds of a change is what pySHACL finds in all facts, before and after."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pyoxigraph as ox
import pyshacl
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from kg.draft import Draft
from kg.quads import is_stated
from kg.terms import SOURCE
from tests.effort import tries
from tests.invented import change, facts, shapes
from tests.whole import Results, check, drafted, rebase, whole

SUITE = Path(os.environ.get("PARLEY_DATA", "none")) / "w3c" / "shacl" / "tests"
GRAPH = ox.NamedNode(SOURCE + "one")
#: Tests whose shapes pySHACL does not take, or whose data say what shapes are.
UNFIT = {
    "unsupported-sparql-006.ttl": "pySHACL refuses its query, but only when there are data",
    "shacl-shacl-data-shapes.ttl": "the file beside shacl-shacl.ttl, no test of its own",
}


def stated(draft: Draft) -> list[ox.Quad]:
    return [q for q in draft.store if is_stated(q)]


def apply(draft: Draft, gone: list[ox.Quad], new: list[ox.Quad]) -> None:
    draft.remove(gone)
    draft.add(new)


@given(text=shapes, seed=st.integers(0, 2**32), bulk=st.booleans())
@settings(
    max_examples=tries(15), deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much]
)
def test_random_changes_under_random_shapes_are_judged_like_all_facts(
    tmp_path_factory: pytest.TempPathFactory, text: str, seed: int, bulk: bool
) -> None:
    chance, folder = random.Random(seed), tmp_path_factory.mktemp("whole")
    path = folder / "shapes.ttl"
    path.write_text(text, "utf-8")
    with pytest.MonkeyPatch.context() as patch, drafted(folder, facts(chance)) as draft:
        before = _whole(draft, path)
        for _ in range(3):
            gone, new = change(chance, sorted(stated(draft), key=str))
            apply(draft, gone, new)
            before = check(draft, [path], before)
            rebase(draft)
        if bulk:
            patch.setattr("kg.draft._BULK", 0)
            incoming = ox.Store()
            third = ox.NamedNode(SOURCE + "three")
            incoming.extend(ox.Quad(q.subject, q.predicate, q.object, third) for q in facts(chance))
            incoming.add(ox.Quad(third, *_DOCUMENT, third))
            draft.put(incoming)
            assert len(draft.fresh)
            check(draft, [path], before)


_DOCUMENT = (
    ox.NamedNode("http://www.w3.org/1999/02/22-rdf-syntax-ns#type"),
    ox.NamedNode("http://xmlns.com/foaf/0.1/Document"),
)


def _whole(draft: Draft, path: Path) -> Results:
    """What pySHACL finds at the beginning; shapes that it does not take are none to compare on."""
    try:
        return whole(draft.facts, [path])
    except (pyshacl.errors.ReportableRuntimeError, pyshacl.errors.ShapeLoadError, pyshacl.errors.ConstraintLoadError):
        assume(False)
        raise


def w3c() -> Iterator[Path]:
    """The files of the suite that have a test, the core ones and those with SPARQL."""
    for path in sorted(SUITE.rglob("*.ttl")) if SUITE.is_dir() else ():
        if path.name != "manifest.ttl" and path.name not in UNFIT:
            yield path


@pytest.mark.slow
@pytest.mark.skipif(not SUITE.is_dir(), reason="PARLEY_DATA names no folder with the tests of the W3C for SHACL")
@pytest.mark.parametrize("path", list(w3c()), ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_data_of_the_w3c_are_judged_like_all_facts(tmp_path: Path, path: Path) -> None:
    """Taken in as a whole, and with each of some facts taken out and put back."""
    from kg.parsing import Document

    document = Document.from_file(path, GRAPH.value)
    (tmp_path / "shapes.ttl").write_bytes(b"@base <https://example.org/test> .\n" + path.read_bytes())
    incoming = ox.Store()
    incoming.bulk_extend(document.quads())
    said = [q for q in incoming if not q.predicate.value.startswith(_TESTS)]
    with drafted(tmp_path, []) as draft:
        try:
            before = whole(draft.facts, [tmp_path / "shapes.ttl"])
        except (pyshacl.errors.ReportableRuntimeError, pyshacl.errors.ShapeLoadError) as error:
            pytest.skip(f"pySHACL does not take it: {error}")
        except Exception as error:
            pytest.skip(f"pySHACL fails on it: {error}")
        apply(draft, [], [*said, ox.Quad(GRAPH, *_DOCUMENT, GRAPH)])
        before = check(draft, [tmp_path / "shapes.ttl"], before)
        rebase(draft)
        for quad in random.Random(path.name).sample(said, min(len(said), 12)):
            for gone, new in (([quad], []), ([], [quad])):
                apply(draft, gone, new)
                before = check(draft, [tmp_path / "shapes.ttl"], before)
                rebase(draft)


_TESTS = "http://www.w3.org/2001/sw/DataAccess/tests/test-manifest#"
