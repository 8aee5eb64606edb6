"""The values that a prevailing source overrules: kept up to date by each change as if worked out anew."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import pyoxigraph as ox
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kg.draft import Draft
from kg.store import Versions
from kg.terms import OVERRULED_GRAPH, PREFIXES
from kg.view import overrule
from tests.effort import tries

OVERRULED = ox.NamedNode(OVERRULED_GRAPH)
#: A graph that says which properties have one value and how kinds rank, and sources a, b, c with what they say.
BASE = """
graph:terms {
    trade:one a owl:FunctionalProperty . trade:day a owl:FunctionalProperty .
    source-kind:law trade:precedence 3 . source-kind:press trade:precedence 1 .
}
source:a { source:a dcterms:type source-kind:press ; dcterms:issued "2025-01-01"^^xsd:date . }
source:b { source:b dcterms:type source-kind:press ; dcterms:issued "2025-01-02"^^xsd:date . }
source:c { source:c dcterms:type source-kind:law ; dcterms:issued "2024-01-01"^^xsd:date . }
"""


def quads(trig: str) -> list[ox.Quad]:
    prefixes = "".join(f"@prefix {name}: <{iri}> .\n" for name, iri in PREFIXES.items())
    return list(ox.parse(prefixes + trig, ox.RdfFormat.TRIG))


def prefixed(term: object) -> str:
    """A literal as its text, a name as its last part."""
    value = str(getattr(term, "value", ""))
    return value if isinstance(term, ox.Literal) else value.replace("#", "/").rpartition("/")[2]


def found(draft: Draft) -> set[tuple[str, str, str]]:
    """The overruled values as they stand: subject, property, value."""
    rows = draft.store.quads_for_pattern(None, None, None, OVERRULED)
    return {(prefixed(q.subject), prefixed(q.predicate), prefixed(q.object)) for q in rows}


def anew(store: ox.Store) -> set[tuple[str, str, str]]:
    """The overruled values worked out from nothing but what the sources say, in words of its own."""
    stated = [q for q in store if isinstance(q.graph_name, ox.NamedNode) and q.graph_name != OVERRULED]
    triples = {(prefixed(q.subject), prefixed(q.predicate), prefixed(q.object)) for q in stated}
    single = {s for s, p, o in triples if (p, o) == ("type", "FunctionalProperty")}
    ranks: dict[str, tuple[int, str]] = {}
    for source, _, kind in (t for t in triples if t[1] == "type"):
        for _, _, number in (t for t in triples if t[:2] == (kind, "precedence")):
            for _, _, issued in (t for t in triples if t[:2] == (source, "issued")):
                ranks[source] = max((int(number), issued), ranks.get(source, (0, "")))
    values: dict[tuple[str, str], dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for q in stated:
        if prefixed(q.predicate) in single:
            values[prefixed(q.subject), prefixed(q.predicate)][prefixed(q.graph_name)].add(prefixed(q.object))
    wrong = set()
    for (subject, predicate), by_source in values.items():
        every = set().union(*by_source.values())
        vague = {v for v in every if any(len(other) > len(v) >= 4 and other.startswith(v + "-") for other in every)}
        exact = {source: said - vague for source, said in by_source.items() if said - vague}
        _, best = max((ranks.get(source, (0, "")), source) for source in exact)
        wrong |= {(subject, predicate, value) for value in every - exact[best]}
    return wrong


@pytest.fixture
def versions(tmp_path: Path) -> Versions:
    versions = Versions.create(tmp_path / "store", bare=False)
    commit(versions, lambda draft: draft.add(quads(BASE)))
    return versions


def commit(versions: Versions, change: Callable[[Draft], object]) -> set[tuple[str, str, str]]:
    """Make one version and return its overruled values, which must be those that are worked out anew."""
    with versions.writing() as draft:
        change(draft)
        overrule(draft)
        values = found(draft)
        assert values == anew(draft.store)
        draft.publish("test")
    return values


def say(versions: Versions, *trig: str) -> set[tuple[str, str, str]]:
    return commit(versions, lambda draft: draft.add([q for text in trig for q in quads(text)]))


def unsay(versions: Versions, trig: str) -> set[tuple[str, str, str]]:
    return commit(versions, lambda draft: draft.remove(quads(trig)))


A1, B2, C3 = (f"source:{g} {{ proposal:x trade:one {n} }}" for g, n in (("a", 1), ("b", 2), ("c", 3)))


def test_kind_goes_before_day_and_day_before_name(versions: Versions) -> None:
    assert say(versions, A1) == set()
    assert say(versions, B2) == {("x", "one", "1")}
    assert say(versions, C3) == {("x", "one", "1"), ("x", "one", "2")}
    assert unsay(versions, C3) == {("x", "one", "1")}


def test_equal_ranks_go_by_name(versions: Versions) -> None:
    unsay(versions, 'source:b { source:b dcterms:issued "2025-01-02"^^xsd:date }')
    assert say(versions, 'source:b { source:b dcterms:issued "2025-01-01"^^xsd:date }', A1, B2) == {("x", "one", "1")}


def test_sources_without_a_rank_go_by_name_after_all_others(versions: Versions) -> None:
    texts = ("source:y { proposal:x trade:one 8 }", "source:z { proposal:x trade:one 9 }")
    assert say(versions, *texts) == {("x", "one", "8")}
    assert say(versions, A1) == {("x", "one", "8"), ("x", "one", "9")}


def test_values_of_one_source_are_never_overruled_by_itself(versions: Versions) -> None:
    assert say(versions, "source:b { proposal:x trade:one 1 , 2 }") == set()
    assert say(versions, A1) == set()
    assert say(versions, "source:a { proposal:x trade:one 5 }") == {("x", "one", "5")}


def test_agreement_is_not_overruled(versions: Versions) -> None:
    assert say(versions, A1, A1.replace("source:a", "source:c")) == set()


def test_property_with_many_values_is_never_overruled(versions: Versions) -> None:
    assert say(versions, A1.replace("trade:one", "trade:many"), C3.replace("trade:one", "trade:many")) == set()


MONTH = 'source:c { proposal:x trade:day "2025-05"^^xsd:gYearMonth }'


def test_month_gives_way_to_a_day_in_it_whoever_says_so(versions: Versions) -> None:
    day = 'source:a { proposal:x trade:day "2025-05-22"^^xsd:date }'
    assert say(versions, MONTH, day) == {("x", "day", "2025-05")}
    assert say(versions, 'source:b { proposal:x trade:day "2025"^^xsd:gYear }') == {
        ("x", "day", "2025-05"), ("x", "day", "2025"),
    }  # fmt: skip
    assert unsay(versions, day) == {("x", "day", "2025")}


def test_month_of_a_better_source_stands_against_a_day_out_of_it(versions: Versions) -> None:
    assert say(versions, MONTH, 'source:a { proposal:x trade:day "2025-06-01"^^xsd:date }') == {
        ("x", "day", "2025-06-01")
    }


def test_text_that_looks_like_a_month_gives_way_to_nothing(versions: Versions) -> None:
    texts = ('source:c { proposal:x trade:day "2025-05" }', 'source:a { proposal:x trade:day "2025-05-22"^^xsd:date }')
    with versions.writing() as draft:
        draft.add([q for text in texts for q in quads(text)])
        overrule(draft)
        assert found(draft) == {("x", "day", "2025-05-22")}


#: A change that says nothing of the value itself, and what is overruled after it; before, 1 and 2 are.
TURNS: dict[str, tuple[str, str, set[str]]] = {
    "the day of issue": (
        'source:c { source:c dcterms:issued "2024-01-01"^^xsd:date }',
        'source:c { source:c dcterms:issued "2023-01-01"^^xsd:date }',
        {"1", "2"},
    ),
    "the kind of a source": (
        "source:c { source:c dcterms:type source-kind:law }",
        "source:c { source:c dcterms:type source-kind:press }",
        {"1", "3"},
    ),
    "what a source says of another": ("", "source:c { source:a dcterms:type source-kind:law }", {"2", "3"}),
    "the rank of a kind": (
        "graph:terms { source-kind:law trade:precedence 3 }",
        "graph:terms { source-kind:law trade:precedence 0 }",
        {"1", "3"},
    ),
    "the rank of a kind goes": ("graph:terms { source-kind:law trade:precedence 3 }", "", {"1", "3"}),
    "a source loses its day": ('source:c { source:c dcterms:issued "2024-01-01"^^xsd:date }', "", {"1", "3"}),
    "a property has many values from now on": ("graph:terms { trade:one a owl:FunctionalProperty }", "", set()),
}


@pytest.mark.parametrize("case", TURNS)
def test_change_of_rank_turns_what_is_overruled(versions: Versions, case: str) -> None:
    gone, new, expected = TURNS[case]
    assert say(versions, A1, B2, C3) == {("x", "one", "1"), ("x", "one", "2")}

    def change(draft: Draft) -> None:
        draft.remove(quads(gone))
        draft.add(quads(new))

    assert {value for _, _, value in commit(versions, change)} == expected


def test_property_that_has_one_value_from_now_on_is_looked_through_in_every_graph(versions: Versions) -> None:
    say(versions, "source:y { proposal:x trade:many 8 }", "source:z { proposal:x trade:many 9 }")
    assert say(versions, "graph:terms { trade:many a owl:FunctionalProperty }") == {("x", "many", "8")}


def test_source_that_goes_overrules_nothing_any_more(versions: Versions) -> None:
    say(versions, A1, C3)
    assert commit(versions, lambda draft: draft.set_graph(ox.NamedNode(PREFIXES["source"] + "c"), [])) == set()
    with versions.reading() as (_, store):
        assert not store.contains_named_graph(OVERRULED)


names, kinds = st.sampled_from(["a", "b", "c", "z"]), st.sampled_from(["law", "press"])
facts = st.one_of(
    st.builds("source:{} {{ proposal:{} trade:one {} }}".format, names, st.sampled_from("xy"), st.integers(1, 3)),
    st.builds(
        "source:{} {{ proposal:x trade:day {} }}".format,
        names,
        st.sampled_from(['"2025"^^xsd:gYear', '"2025-05"^^xsd:gYearMonth', '"2025-05-22"^^xsd:date']),
    ),
    st.builds(
        "source:{} {{ source:{} dcterms:issued {} }}".format,
        names,
        names,
        st.sampled_from(['"2024-01-01"^^xsd:date', '"2025-01-02"^^xsd:date']),
    ),
    st.builds("source:{} {{ source:{} dcterms:type source-kind:{} }}".format, names, names, kinds),
    st.builds("graph:terms {{ source-kind:{} trade:precedence {} }}".format, kinds, st.integers(0, 3)),
    st.builds("graph:terms {{ trade:{} a owl:FunctionalProperty }}".format, st.sampled_from(["one", "day"])),
)  # fmt: skip
changes = st.lists(st.tuples(st.booleans(), facts), min_size=1, max_size=12)


@settings(deadline=None, max_examples=tries(10), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(start=st.lists(facts, min_size=5, max_size=20), rounds=st.lists(changes, min_size=1, max_size=3))
def test_random_changes_give_what_is_worked_out_anew(
    tmp_path_factory: pytest.TempPathFactory, start: list[str], rounds: list[list[tuple[bool, str]]]
) -> None:
    versions = Versions.create(tmp_path_factory.mktemp("random") / "store", bare=False)
    say(versions, BASE, *start)

    for steps in rounds:

        def change(draft: Draft, steps: list[tuple[bool, str]] = steps) -> None:
            for add, text in steps:
                (draft.add if add else draft.remove)(quads(text))

        commit(versions, change)
