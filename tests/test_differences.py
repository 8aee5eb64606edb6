"""What changed between two versions, for people and for programs."""

from __future__ import annotations

import gzip
import json
import re
import tempfile
from pathlib import Path

import pyoxigraph as ox
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kg.changes import Change, write
from kg.differences import difference
from kg.errors import NotFound, StoreFailure
from kg.quads import DERIVED, TOP
from kg.store import Versions
from kg.terms import ENTAILED_GRAPH, ID, PREFIXES, RDFS_LABEL, SOURCE
from tests.effort import tries
from tests.sources import CONCESSION, put
from tests.test_cli import done, kg, refused
from tests.test_past import Steps, content, histories, run
from tests.test_store import commit, quad, triple

LABEL = ox.NamedNode(RDFS_LABEL)
RICE = ox.NamedNode(ID + "proposal/test-rice")
NOTES = ox.NamedNode(SOURCE + "my-notes")


@pytest.fixture
def versions(tmp_path: Path) -> Versions:
    return Versions.create(tmp_path / "store", bare=False)


def change(versions: Versions, *, add: tuple[ox.Quad, ...] = (), drop: tuple[ox.Quad, ...] = ()) -> None:
    with versions.writing() as draft:
        draft.remove(drop)
        draft.add(add)
        draft.publish("test")


def about(predicate: str, value: ox.Literal | ox.NamedNode, subject: ox.NamedNode = RICE) -> ox.Quad:
    return ox.Quad(subject, ox.NamedNode(predicate), value, NOTES)


def text(versions: Versions, start: int, end: int) -> list[str]:
    return list(difference(versions, start, end).text())


def parsed(lines: list[str]) -> set[ox.Quad]:
    return set(ox.parse("\n".join(lines), ox.RdfFormat.N_QUADS))


def patched(quads: set[ox.Quad], rows: list[str]) -> set[ox.Quad]:
    """What an RDF Patch makes of a data set, after a look at the frame of its one transaction."""
    assert re.fullmatch(r"H id <uuid:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}> \.", rows[0])
    assert (rows[1], rows[-1]) == ("TX .", "TC .")
    assert {row[:2] for row in rows[2:-1]} <= {"A ", "D "}
    for row in rows[2:-1]:
        [changed] = parsed([row[2:]])
        assert (changed in quads) == (row[0] == "D")
        quads = quads ^ {changed}
    return quads


@pytest.mark.parametrize("bare", [False, True])
def test_each_form_leads_from_any_version_to_any_other(bare: bool) -> None:
    """What sources assert in one version, and the difference, give what they assert in the other."""

    @settings(max_examples=tries(4), deadline=None)
    @given(histories(bare), st.data())
    def check(history: list[Steps], data: st.DataObject) -> None:
        with tempfile.TemporaryDirectory() as folder:
            versions = Versions.create(Path(folder) / "store", bare=bare)
            run(versions, history)
            ends = st.integers(0, versions.current())
            start, end = data.draw(ends), data.draw(ends)
            apart = DERIVED if bare else DERIVED | {TOP}
            before, after = ({q for q in content(versions, n)[0] if q.graph_name not in apart} for n in (start, end))
            found = difference(versions, start, end)
            added, removed = parsed(list(found.nquads())), parsed(list(found.nquads(removed=True)))
            assert (added, removed) == (after - before, before - after)
            assert patched(before, list(found.patch())) == after
            told = json.loads("".join(found.json()))
            assert (len(told["added"]), len(told["removed"])) == (len(added), len(removed))
            lines = [line for line in found.text() if line.startswith("  ")]
            assert (sum(line[2] == "+" for line in lines), sum(line[2] == "-" for line in lines)) == (
                len(added),
                len(removed),
            )
            back = difference(versions, end, start)
            assert (back.added, back.removed) == (found.removed, found.added)

    check()


def test_what_came_and_went_again_does_not_appear(versions: Versions) -> None:
    change(versions, add=(quad("stays"), quad("passes")))
    change(versions, drop=(quad("passes"), quad("stays")))
    change(versions, add=(quad("stays"),))
    found = difference(versions, 0, 3)
    assert (found.added, found.removed) == ([quad("stays")], [])
    assert text(versions, 1, 3)[0] == "From version 1 to 3: 0 added, 1 removed."


def test_what_parley_derives_does_not_appear(versions: Versions) -> None:
    change(versions, add=(ox.Quad(RICE, LABEL, ox.Literal("x"), ox.NamedNode(ENTAILED_GRAPH)),))
    assert text(versions, 0, 1) == ["Versions 0 and 1 say the same."]


def test_text_groups_by_entity_with_label_and_source(versions: Versions) -> None:
    trade, xsd = PREFIXES["trade"], PREFIXES["xsd"]
    day = ox.NamedNode(xsd + "date")
    change(
        versions,
        add=(
            about(RDFS_LABEL, ox.Literal("More rice", language="en")),
            about(RDFS_LABEL, ox.Literal("Mehr Reis", language="de")),
            about(trade + "firstReportedOn", ox.Literal("2025-05-28", datatype=day)),
            about("urn:p", ox.Literal("x"), ox.NamedNode("urn:other")),
        ),
    )
    change(
        versions,
        drop=(
            about(trade + "firstReportedOn", ox.Literal("2025-05-28", datatype=day)),
            about("urn:p", ox.Literal("x"), ox.NamedNode("urn:other")),
        ),
        add=(
            about(trade + "firstReportedOn", ox.Literal("2025-05-29", datatype=day)),
            about(trade + "offeredBy", ox.NamedNode(ID + "country/JP")),
        ),
    )
    assert text(versions, 1, 2) == [
        "From version 1 to 2: 2 added, 2 removed.",
        "\nproposal:test-rice  More rice",
        "  - trade:firstReportedOn 2025-05-28  [source:my-notes]",
        "  + trade:firstReportedOn 2025-05-29  [source:my-notes]",
        "  + trade:offeredBy country:JP  [source:my-notes]",
        "\n<urn:other>",
        '  - <urn:p> "x"  [source:my-notes]',
    ]


def test_label_is_that_of_the_later_end_or_the_one_that_went(versions: Versions) -> None:
    old, new = (about(RDFS_LABEL, ox.Literal(word, language="en-GB")) for word in ("Old", "New"))
    change(versions, add=(old,))
    change(versions, drop=(old,), add=(new,))
    change(versions, drop=(new,))
    assert text(versions, 1, 2)[1] == "\nproposal:test-rice  New"
    assert text(versions, 2, 1)[1] == "\nproposal:test-rice  Old"
    assert text(versions, 2, 3)[1] == "\nproposal:test-rice  New"
    assert text(versions, 1, 3)[1] == "\nproposal:test-rice  Old"


def test_change_of_the_language_or_of_the_kind_of_a_value_is_seen(versions: Versions) -> None:
    change(versions, add=(about("urn:p", ox.Literal("x", language="en")), about("urn:q", ox.Literal(1))))
    change(
        versions,
        drop=(about("urn:p", ox.Literal("x", language="en")), about("urn:q", ox.Literal(1))),
        add=(about("urn:p", ox.Literal("x", language="fr")), about("urn:q", ox.Literal("1"))),
    )
    assert [line.split("  [")[0] for line in text(versions, 1, 2)[2:]] == [
        '  - <urn:p> "x"@en',
        '  + <urn:p> "x"@fr',
        "  - <urn:q> 1",
        '  + <urn:q> "1"',
    ]


@pytest.mark.parametrize("value", ["two\nlines", 'a"^^<b', "tab\there", "\u2028"])
def test_value_of_any_characters_takes_one_line(versions: Versions, value: str) -> None:
    change(versions, add=(about("urn:p", ox.Literal(value)),))
    line = text(versions, 0, 1)[2]
    assert line == f"  + <urn:p> {ox.Literal(value)}  [source:my-notes]"
    assert "\n" not in line


def test_facts_of_the_default_graph_of_a_bare_store_have_no_source(tmp_path: Path) -> None:
    bare = Versions.create(tmp_path / "bare", bare=True)
    commit(bare, triple("a"))
    assert text(bare, 0, 1)[2] == "  + <urn:p> <urn:o>"
    assert json.loads("".join(difference(bare, 0, 1).json()))["added"] == [
        {"subject": "urn:a", "predicate": "urn:p", "object": "<urn:o>", "graph": ""}
    ]


def test_identifier_of_a_patch_depends_on_its_rows_alone(tmp_path: Path) -> None:
    stores = [Versions.create(tmp_path / name, bare=False) for name in ("one", "two")]
    commit(stores[1], quad("before"))
    for versions in stores:
        commit(versions, quad("a"))
    heads = [next(difference(v, v.current() - 1, v.current()).patch()) for v in stores]
    assert heads[0] == heads[1]
    commit(stores[0], quad("b"))
    assert next(difference(stores[0], 1, 2).patch()) != heads[0]


def test_difference_reaches_over_versions_that_are_not_kept(
    versions: Versions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kg.store.KEEP", 2)
    change(versions, add=(about(RDFS_LABEL, ox.Literal("Rice", language="en")),))
    for name in "abcd":
        commit(versions, quad(name))
    change(versions, drop=(about(RDFS_LABEL, ox.Literal("Rice", language="en")),))
    assert versions.kept() == [5, 6]
    assert len(difference(versions, 0, 6).added) == 4
    assert text(versions, 6, 2)[1:] == [
        "\nproposal:test-rice  Rice",
        '  + rdfs:label "Rice"@en  [source:my-notes]',
        *[line for name in "bcd" for line in (f"\n<urn:{name}>", "  - <urn:p> <urn:o>  [<urn:g>]")],
    ]


def test_unknown_version_is_not_found(versions: Versions) -> None:
    commit(versions, quad("a"))
    with pytest.raises(NotFound, match="There is no version 2"):
        difference(versions, 1, 2)


def test_damaged_change_set_on_the_way_points_to_repair(versions: Versions) -> None:
    commit(versions, quad("a"))
    versions.change_file(1).write_bytes(b"")
    with pytest.raises(StoreFailure, match="Run `kg repair`"):
        difference(versions, 0, 1)


def test_change_set_of_other_lines_is_one_clear_error(versions: Versions) -> None:
    commit(versions, quad("a"))
    write(versions.change_file(1), Change({quad("b")}, set()))
    assert difference(versions, 0, 1).added == [quad("b")]
    versions.change_file(1).write_bytes(gzip.compress(b"B <urn:a> <urn:p> <urn:o> <urn:g> .\n"))
    with pytest.raises(StoreFailure, match="a line begins with 'B'"):
        difference(versions, 0, 1)


def test_kg_diff_compares_with_the_current_version(home: Path) -> None:
    put(home, CONCESSION)
    lines = done(home, "diff", "1").splitlines()
    assert lines[0] == "From version 1 to 2: 18 added, 0 removed."
    assert "proposal:test-rice  More imports of rice" in lines
    assert "  + trade:offeredBy country:JP  [source:my-notes]" in lines
    assert done(home, "diff", "2", "2") == "Versions 2 and 2 say the same.\n"
    assert done(home, "diff", "9999-01-01") == "Versions 2 and 2 say the same.\n"
    assert done(home, "diff", "1", "9999-01-01T00:00:00Z").splitlines() == lines


def test_kg_diff_for_programs(home: Path) -> None:
    put(home, CONCESSION)
    quads = done(home, "diff", "1", "--format", "nquads").splitlines()
    assert len(parsed(quads)) == 18
    assert done(home, "diff", "1", "--format", "nquads", "--removed") == ""
    assert done(home, "diff", "2", "1", "--format", "nquads", "--removed").splitlines() == quads
    rows = done(home, "diff", "2", "1", "--format", "patch").splitlines()
    assert rows[2:-1] == [f"D {line}" for line in quads]
    assert json.loads(done(home, "diff", "1", "--format", "json"))["to"] == 2


def test_kg_diff_refuses_what_it_cannot_do(home: Path) -> None:
    assert "--removed goes with --format nquads" in refused(home, 2, "diff", "1", "--removed")
    assert "There is no version 7" in refused(home, 2, "diff", "7")
    assert "'soon' is neither a version nor a time" in refused(home, 2, "diff", "soon")
    assert "There was no version at 2020-01-01. The first is of 20" in refused(home, 2, "diff", "2020-01-01")
    assert kg(home, "diff").returncode == 2
