"""Derivation by what changed: each time the graph of entailments is the closure that a naive oracle works out anew."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import cast

import pyoxigraph as ox
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kg.draft import Draft
from kg.reasoning import derive
from kg.store import Versions
from kg.terms import DERIVED_GRAPHS, ENTAILED_GRAPH, expand
from kg.view import overrule
from tests.effort import tries
from tests.sources import document

#: What the oracle knows of an axiom: its name in OWL, the class or property it is of, what leads there (^: against it).
Axiom = tuple[str, str, tuple[str, ...]]
Fact = tuple[str, str, str]
ENTAILED = ox.NamedNode(ENTAILED_GRAPH)

AXIOMS: dict[str, Callable[[str, tuple[str, ...]], str]] = {
    "subclass": lambda head, path: f"{path[0]} rdfs:subClassOf {head} .",
    "subproperty": lambda head, path: f"{path[0]} rdfs:subPropertyOf {head} .",
    "inverse": lambda head, path: f"{path[0]} owl:inverseOf {head} .",
    "transitive": lambda head, _: f"{head} a owl:TransitiveProperty .",
    "chain": lambda head, path: f"{head} owl:propertyChainAxiom ( {' '.join(map(step_text, path))} ) .",
}


def step_text(step: str) -> str:
    return f"[ owl:inverseOf {step[1:]} ]" if step.startswith("^") else step


def axiom_quads(axiom: Axiom) -> list[ox.Quad]:
    kind, head, path = axiom
    text = AXIOMS[kind](head, path)
    return list(document(text, f"axiom-{zlib.crc32(text.encode())}", head="").quads())


def quads(text: str, source: str = "a") -> list[ox.Quad]:
    return list(document(text, source, head="").quads())


def term(name: str) -> str:
    """A prefixed name as an IRI, a literal as it is."""
    return name if name.startswith('"') else f"<{expand(name)}>"


def paths(axiom: Axiom) -> Iterator[tuple[str, list[str]]]:
    """The axiom of a property as (property, path that implies it)."""
    kind, head, path = axiom
    if kind == "inverse":
        yield head, ["^" + path[0]]
        yield path[0], ["^" + head]
    else:
        yield head, [head, head] if kind == "transitive" else list(path)


def closure(stated: set[Fact], axioms: Iterable[Axiom]) -> set[Fact]:
    """All that is stated or follows, worked out by trying every axiom on everything until nothing is new."""
    known, kind_of = set(stated), term("rdf:type")

    def pairs(step: str) -> set[tuple[str, str]]:
        if step.startswith("^"):
            return {(o, s) for s, o in pairs(step[1:])}
        return {(s, o) for s, p, o in known if p == term(step)}

    def follows(axiom: Axiom) -> Iterator[Fact]:
        if axiom[0] == "subclass":
            yield from ((s, kind_of, term(axiom[1])) for s, o in pairs("rdf:type") if o == term(axiom[2][0]))
            return
        for head, (first, *others) in paths(axiom):
            ends = pairs(first)
            for step in others:
                ends = {(s, o) for s, middle in ends for start, o in pairs(step) if start == middle}
            yield from ((s, term(head), o) for s, o in ends if not s.startswith('"'))

    while new := {fact for axiom in axioms for fact in follows(axiom)} - known:
        known |= new
    return known


def stated(draft: Draft) -> set[Fact]:
    return {
        as_fact(quad)
        for quad in draft.facts.quads_for_pattern(None, None, None, None)
        if isinstance(quad.graph_name, ox.NamedNode) and quad.graph_name.value not in DERIVED_GRAPHS
    }


def as_fact(quad: ox.Quad) -> Fact:
    return str(quad.subject), str(quad.predicate), str(quad.object)


def in_graph(draft: Draft, graph: ox.NamedNode | ox.DefaultGraph) -> set[Fact]:
    return {as_fact(q) for q in draft.facts.quads_for_pattern(None, None, None, graph)}


def check(draft: Draft, axioms: Iterable[Axiom]) -> None:
    """Derive, and compare with the oracle."""
    derive(draft)
    facts = stated(draft)
    expected = closure(facts, axioms)
    assert in_graph(draft, ENTAILED) == expected - facts
    assert in_graph(draft, ox.DefaultGraph()) == expected


PARTS: Axiom = ("transitive", "trade:p", ())
#: Two classes that include each other, and a property that leads along parts, against another.
BASIC: tuple[Axiom, ...] = (
    PARTS,
    ("subclass", "trade:A", ("trade:B",)),
    ("subclass", "trade:B", ("trade:A",)),
    ("chain", "trade:r", ("^trade:q", "trade:p")),
)


@pytest.fixture
def versions(tmp_path: Path) -> Versions:
    versions = Versions.create(tmp_path / "store", bare=False)
    with versions.writing() as draft:
        draft.add(q for axiom in BASIC for q in axiom_quads(axiom))
        derive(draft)
        draft.publish("axioms")
    return versions


def after(versions: Versions, *, add: str = "", remove: str = "", source: str = "a") -> set[str]:
    """Make one version and return what is derived in it, which is what the oracle says."""
    with versions.writing() as draft:
        draft.remove(quads(remove, source))
        draft.add(quads(add, source))
        check(draft, BASIC)
        found = in_graph(draft, ENTAILED)
        draft.publish("test")
    return {" ".join(name.replace("#", "/").rpartition("/")[2].rstrip(">") for name in fact) for fact in found}


def test_what_has_two_grounds_goes_with_the_second(versions: Versions) -> None:
    links = [f"body:x trade:p body:{m} . body:{m} trade:p body:y ." for m in "vw"]
    assert after(versions, add=" ".join(links)) == {"x p y"}
    assert after(versions, remove=links[0]) == {"x p y"}
    assert after(versions, remove=links[1]) == set()


def test_circle_does_not_keep_itself_alive(versions: Versions) -> None:
    circle = "body:x trade:p body:y . body:y trade:p body:x ."
    assert after(versions, add=f"{circle} body:z trade:p body:x .") == {"x p x", "y p y", "z p y"}
    assert after(versions, remove="body:z trade:p body:x .") == {"x p x", "y p y"}
    assert after(versions, remove="body:y trade:p body:x .") == set()


def test_classes_that_include_each_other_do_not_keep_a_member(versions: Versions) -> None:
    assert after(versions, add="body:x a trade:A .") == {"x type B"}
    assert after(versions, remove="body:x a trade:A .") == set()


def test_fact_that_is_stated_no_more_but_follows_becomes_an_entailment_and_back(versions: Versions) -> None:
    both = "body:x trade:p body:y . body:y trade:p body:z ."
    assert after(versions, add=f"{both} body:x trade:p body:z .") == set()
    assert after(versions, remove="body:x trade:p body:z .") == {"x p z"}
    assert after(versions, add="body:x trade:p body:z .", source="b") == set()


def test_fact_that_another_source_states_too_keeps_what_follows(versions: Versions) -> None:
    text = "body:x a trade:A ."
    after(versions, add=text)
    after(versions, add=text, source="b")
    assert after(versions, remove=text) == {"x type B"}
    assert after(versions, remove=text, source="b") == set()


def test_facts_that_move_from_one_source_to_another_change_nothing_derived(versions: Versions) -> None:
    text = "body:y trade:q body:x . body:y trade:p body:z ."
    after(versions, add=text)
    with versions.writing() as draft:
        draft.remove(quads(text))
        draft.add(quads(text, "b"))
        check(draft, BASIC)
        assert not any(q.graph_name == ENTAILED for q in (*draft.additions(), *draft.removed))


def test_nothing_follows_from_a_literal(versions: Versions) -> None:
    assert after(versions, add="body:x trade:q 'here' ; trade:p 'there' .") == set()


def test_value_that_only_the_graph_of_overruled_values_still_holds_grounds_nothing(versions: Versions) -> None:
    one, two = quads("body:x trade:s 'one' .", "a"), quads("body:x trade:s 'two' .", "b")
    with versions.writing() as draft:
        draft.add(quads("trade:s a owl:FunctionalProperty ; rdfs:subPropertyOf trade:t .", "axioms"))
        draft.add(one + two)
        derive(draft)
        overrule(draft)
        draft.publish("two values")
    with versions.writing() as draft:
        draft.remove(one)
        derive(draft)
        assert [fact[2] for fact in in_graph(draft, ENTAILED)] == ['"two"']


def test_axiom_that_goes_takes_along_what_followed_by_it_alone(versions: Versions) -> None:
    facts = "body:y trade:q body:x . body:x a trade:A . body:x trade:p body:y . body:y trade:p body:z ."
    assert after(versions, add=facts) == {"x type B", "x p z", "x r z"}
    with versions.writing() as draft:
        draft.remove(axiom_quads(PARTS))
        check(draft, BASIC[1:])
        assert (term("body:x"), term("trade:p"), term("body:z")) not in in_graph(draft, ENTAILED)
        assert len(in_graph(draft, ENTAILED)) == 2


def test_second_call_for_a_draft_undoes_what_the_first_derived(versions: Versions) -> None:
    axiom: Axiom = ("subproperty", "trade:t", ("trade:s",))
    with versions.writing() as draft:
        draft.add([*axiom_quads(axiom), *quads("body:x trade:s body:y ; a trade:A .")])
        check(draft, (*BASIC, axiom))
        draft.remove([*axiom_quads(axiom), *quads("body:x a trade:A .")])
        check(draft, BASIC)
        draft.remove(quads("body:x trade:s body:y ."))
        check(draft, BASIC)
        assert not [*draft.additions(), *draft.removed]


def test_second_call_for_a_draft_brings_back_what_the_first_took(versions: Versions) -> None:
    text = "body:x a trade:A . body:x trade:p body:y . body:y trade:p body:z ."
    assert after(versions, add=text) == {"x type B", "x p z"}
    with versions.writing() as draft:
        draft.remove(quads(text))
        check(draft, BASIC)
        draft.add(quads(text))
        check(draft, BASIC)
        assert not [*draft.additions(), *draft.removed]


#: The list of a chain that is none, what it lacks to be one, and what is wrong in it.
FAULTY = {
    "a cell without a rest": ("rdf:first trade:s", "rdf:rest rdf:nil", ""),
    "a circle": ("rdf:first trade:s ; rdf:rest trade:list", "rdf:rest rdf:nil", "rdf:rest trade:list"),
    "two firsts": ("rdf:first trade:s , trade:u ; rdf:rest rdf:nil", "", "rdf:first trade:u"),
    "a literal": ("rdf:first 's' ; rdf:rest rdf:nil", "rdf:first trade:s", "rdf:first 's'"),
}


@pytest.mark.parametrize("fault", FAULTY)
def test_chain_with_a_faulty_list_is_no_rule_until_it_is_mended(versions: Versions, fault: str) -> None:
    faulty, missing, wrong = (f"trade:list {text} ." if text else "" for text in FAULTY[fault])
    with versions.writing() as draft:
        draft.add(quads(f"trade:t owl:propertyChainAxiom trade:list . {faulty} body:x trade:s body:y ."))
        check(draft, BASIC)
        draft.publish("faulty")
    with versions.writing() as draft:
        draft.remove(quads(wrong))
        draft.add(quads(missing))
        check(draft, (*BASIC, ("chain", "trade:t", ("trade:s",))))


def test_two_chains_of_one_property_are_two_rules(versions: Versions) -> None:
    chains: tuple[Axiom, ...] = (("chain", "trade:t", ("trade:s", "trade:s")), ("chain", "trade:t", ("^trade:q",)))
    with versions.writing() as draft:
        draft.add(q for axiom in chains for q in axiom_quads(axiom))
        draft.add(quads("body:x trade:s body:y . body:y trade:s body:z . body:x trade:q body:z ."))
        check(draft, (*BASIC, *chains))
        assert len(in_graph(draft, ENTAILED)) == 2


class Counted:
    """A draft that counts the patterns looked for in its facts, and the quads they gave."""

    def __init__(self, draft: Draft) -> None:
        self._draft = draft
        self.facts = self
        self.additions, self.removed, self.add, self.remove = draft.additions, draft.removed, draft.add, draft.remove
        self.counts: Counter[str] = Counter()

    def quads_for_pattern(self, *pattern: object) -> Iterator[ox.Quad]:
        self.counts["patterns"] += 1
        for quad in self._draft.facts.quads_for_pattern(*pattern):
            self.counts["quads"] += 1
            yield quad


def visit(number: int, body: str, whole: str) -> str:
    """A body (q: visited by) at a meeting that is part of a whole: it follows that it is r to the whole."""
    return f"body:m{number} trade:q body:{body} ; trade:p body:{whole} ; a trade:A .\n"


def unrelated(number: int) -> str:
    return visit(number, f"b{number}", f"w{number}")


def busy(number: int) -> str:
    """A body that is everywhere."""
    return visit(number, "x", f"w{number}")


def crowded(number: int) -> str:
    """A whole that everybody visits."""
    return visit(number, f"b{number}", "w")


@pytest.mark.parametrize("others", [unrelated, busy, crowded])
def test_reads_follow_the_change_and_not_the_store(tmp_path: Path, others: Callable[[int], str]) -> None:
    counts = []
    for size in (30, 600):
        versions = Versions.create(tmp_path / str(size), bare=False)
        with versions.writing() as draft:
            draft.add(q for axiom in BASIC for q in axiom_quads(axiom))
            draft.add(quads("".join(map(others, range(size))) + visit(10_000, "x", "w")))
            derive(draft)
            draft.publish("facts")
        with versions.writing() as draft:
            draft.remove(quads(visit(10_000, "x", "w")))
            draft.add(quads(visit(10_001, "y", "v")))
            counted = Counted(draft)
            derive(cast("Draft", counted))
            counts.append(counted.counts)
            assert (term("body:y"), term("trade:r"), term("body:v")) in in_graph(draft, ENTAILED)
            assert (term("body:x"), term("trade:r"), term("body:w")) not in in_graph(draft, ENTAILED)
    assert counts[0] == counts[1]


properties = st.sampled_from(["trade:p", "trade:q", "trade:r", "rdf:type"])
classes = st.sampled_from(["trade:A", "trade:B", "trade:C"])
nodes = st.sampled_from(["body:x", "body:y", "body:z"])
one_class, one_property = st.tuples(classes), st.tuples(properties)
steps = st.lists(st.builds(str.__add__, st.sampled_from(["", "^"]), properties), min_size=1, max_size=3).map(tuple)
axioms = st.one_of(
    st.tuples(st.just("subclass"), classes, one_class),
    st.tuples(st.just("subproperty"), properties, one_property),
    st.tuples(st.just("inverse"), properties, one_property),
    st.tuples(st.just("transitive"), properties, st.just(())),
    st.tuples(st.just("chain"), properties, steps),
)
facts = st.one_of(
    st.builds("{} a {} .".format, nodes, classes),
    st.builds("{} {} {} .".format, nodes, properties, st.one_of(nodes, st.just("'text'"))),
)
statements = st.tuples(facts, st.sampled_from("ab"))
#: The places of statements to say or unsay, and of axioms, before the rules are called.
turns = st.tuples(st.sets(st.integers(0, 11), max_size=5), st.one_of(st.none(), st.none(), st.integers(0, 4)))


@settings(deadline=None, max_examples=tries(12))
@given(
    pool=st.lists(axioms, min_size=1, max_size=5, unique=True),
    said=st.lists(statements, min_size=3, max_size=12, unique=True),
    commits=st.lists(st.lists(turns, min_size=1, max_size=3), min_size=1, max_size=4),
)
def test_random_changes_give_what_the_oracle_works_out_anew(
    tmp_path_factory: pytest.TempPathFactory,
    pool: list[Axiom],
    said: list[tuple[str, str]],
    commits: list[list[tuple[set[int], int | None]]],
) -> None:
    versions = Versions.create(tmp_path_factory.mktemp("random") / "store", bare=False)
    valid: set[Axiom] = set(pool)
    with versions.writing() as draft:
        draft.add(q for axiom in pool for q in axiom_quads(axiom))
        draft.add(q for text, source in said[::2] for q in quads(text, source))
        check(draft, valid)
        draft.publish("start")
    for commit in commits:
        with versions.writing() as draft:
            for places, place in commit:
                for text, source in {said[i % len(said)] for i in places}:
                    turn(draft, quads(text, source))
                if place is not None:
                    turn(draft, axiom_quads(pool[place % len(pool)]))
                    valid ^= {pool[place % len(pool)]}
                check(draft, valid)
            draft.publish("changes")


def turn(draft: Draft, quads: list[ox.Quad]) -> None:
    """Say what is not said, unsay what is."""
    first = quads[0]
    if any(draft.facts.quads_for_pattern(first.subject, first.predicate, first.object, first.graph_name)):
        draft.remove(quads)
    else:
        draft.add(quads)
