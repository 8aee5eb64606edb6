"""What the rules derive, and what HermiT finds (see also `tests/test_checks.py`)."""

from __future__ import annotations

from pathlib import Path

import pyoxigraph as ox
import pytest

from kg import formats
from kg.content import Content
from kg.loading import ensure_content
from kg.parsing import Document, prefixed_turtle
from kg.reasoning import classify, derive
from kg.store import Versions
from kg.terms import ENTAILED_GRAPH, ONTOLOGY_GRAPH, PREFIXES, RDF_TYPE, TRADE, compact
from tests.sources import CONTENT, document, small_content


def ontology_with(facts: str, axioms: str = "") -> ox.Store:
    """The ontology, further axioms and some facts, with what a store holds of them: a merged default graph."""
    store = ox.Store()
    documents = [Document.from_file(path, graph) for graph, path in CONTENT.ontology.items()]
    for file in (*documents, document(facts, head=""), document(axioms, "axioms", head="")):
        for quad in file.quads():
            store.extend([quad, ox.Quad(quad.subject, quad.predicate, quad.object)])
    return store


@pytest.mark.parametrize(
    "facts",
    [
        "person:x a foaf:Person , trade:Tariff .",
        "country:x a trade:Country , trade:CustomsUnion .",
        "rate:x a trade:Rate ; trade:rateOf tariff:a , tariff:b . tariff:a owl:differentFrom tariff:b .",
    ],
)
def test_facts_that_contradict_the_ontology_are_found(facts: str) -> None:
    assert not classify(ontology_with(facts)).consistent


def test_facts_that_agree_with_the_ontology_are_consistent() -> None:
    assert classify(ontology_with("person:x a foaf:Person . tariff:y a trade:Tariff .")).consistent


def test_class_that_nothing_can_belong_to_is_named() -> None:
    found = classify(ontology_with("", "trade:Odd a owl:Class ; rdfs:subClassOf trade:Tariff , foaf:Person ."))
    assert (found.consistent, found.unsatisfiable) == (True, (TRADE + "Odd",))


@pytest.mark.parametrize(
    ("facts", "follows"),
    [
        (
            "proposal:x a trade:Proposal ; trade:targets tariff:y . tariff:y a trade:Tariff .",
            "proposal:x trade:concerns tariff:y",
        ),
        (
            "round:x a trade:Round ; trade:holds meeting:y . meeting:y a trade:Meeting .",
            "meeting:y trade:partOf round:x",
        ),
        (
            "round:x a trade:Round ; trade:seats meeting:y . meeting:y a trade:Meeting .",
            "meeting:y trade:partOf round:x",
        ),
    ],
    ids=["by a narrower property", "by the inverse", "by what is narrower than the inverse"],
)
def test_what_follows_from_a_relation_is_found(facts: str, follows: str) -> None:
    axioms = """trade:holds a owl:ObjectProperty ; owl:inverseOf trade:partOf .
        trade:seats a owl:ObjectProperty ; rdfs:subPropertyOf trade:holds ."""
    found = classify(ontology_with(facts, axioms))
    assert follows in {" ".join(map(compact, triple)) for triple in found.inferred}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Versions:
    root: Path = tmp_path_factory.mktemp("content")
    content: Content = small_content(root)
    versions = Versions.create(tmp_path_factory.mktemp("store") / "small", bare=False)
    ensure_content(versions, content)
    return versions


def entailed(versions: Versions, facts: str) -> set[str]:
    """What follows from facts, in prefixed names, beyond what followed before."""
    name = ox.NamedNode(ENTAILED_GRAPH)
    with versions.writing() as draft:
        before = set(draft.store.quads_for_pattern(None, None, None, name))
        draft.add(
            Document(
                "x.ttl", prefixed_turtle(facts).encode(), formats.named("turtle", formats.GRAPHS), "urn:user"
            ).quads()
        )
        derive(draft)
        new = set(draft.store.quads_for_pattern(None, None, None, name)) - before
    short = {iri: prefix for prefix, iri in PREFIXES.items()}

    def compact(term: ox.NamedNode) -> str:
        head, local = term.value.rsplit("#" if "#" in term.value else "/", 1)
        return f"{short[head + term.value[len(head)]]}:{local}"

    return {" ".join(compact(t) for t in (q.subject, q.predicate, q.object)) for q in new}  # type: ignore[arg-type]


#: Facts, and all that follows from them.
RULES = {
    "a subclass": ("proposal:x a trade:Concession .", {"proposal:x rdf:type trade:Proposal"}),
    "a subproperty": ("proposal:x trade:targets tariff:y .", {"proposal:x trade:concerns tariff:y"}),
    "a transitive property": (
        "meeting:x trade:partOf round:y . round:y trade:partOf negotiation:z .",
        {"meeting:x trade:partOf negotiation:z"},
    ),
    "a chain": (
        "tenure:x org:member person:x ; trade:ofOffice office:y .",
        {"person:x trade:holdsOffice office:y"},
    ),
    "a chain over what was derived": (
        "meeting:x trade:hasParticipation participation:x ; trade:partOf round:x . "
        "round:x trade:partOf negotiation:x . participation:x trade:participant person:x .",
        {
            "meeting:x trade:partOf negotiation:x",
            "person:x trade:tookPartIn round:x",
            "person:x trade:tookPartIn negotiation:x",
        },
    ),
    "nothing": ("person:x a foaf:Document ; trade:place 'here' .", set()),
    "what is stated already": ("proposal:x a trade:Concession , trade:Proposal .", set()),
}


@pytest.mark.parametrize("rule", RULES)
def test_rule_derives_what_follows_and_no_more(small: Versions, rule: str) -> None:
    facts, expected = RULES[rule]
    assert entailed(small, facts) == expected


def test_inverse_of_a_new_axiom_needs_no_code(small: Versions) -> None:
    facts = "trade:memberOf owl:inverseOf trade:hasMember . country:JP trade:memberOf country:EU ."
    assert "country:EU trade:hasMember country:JP" in entailed(small, facts)


def test_entailments_go_when_their_grounds_go(small: Versions) -> None:
    name, user = ox.NamedNode(ENTAILED_GRAPH), ox.NamedNode("urn:user")
    text = prefixed_turtle("meeting:x trade:partOf round:us-jp-5 . proposal:x a trade:Demand .")
    with small.writing() as draft:
        before = set(draft.store.quads_for_pattern(None, None, None, name))
        draft.add(Document("x.ttl", text.encode(), formats.named("turtle", formats.GRAPHS), user.value).quads())
        derive(draft)
        assert len(set(draft.store.quads_for_pattern(None, None, None, name)) - before) == 2
        draft.set_graph(user, ())
        derive(draft)
        assert set(draft.store.quads_for_pattern(None, None, None, name)) == before
        assert (draft.added, draft.removed) == (set(), set())


def test_restrictions_are_no_types(shipped_home: Path) -> None:
    with Versions(shipped_home).reading() as (_, store):
        types = {
            q.object.value  # type: ignore[union-attr]
            for q in store.quads_for_pattern(None, ox.NamedNode(RDF_TYPE), None, ox.NamedNode(ENTAILED_GRAPH))
        }
    assert types
    assert all(not t.startswith(ONTOLOGY_GRAPH + "/") and "genid" not in t for t in types)
