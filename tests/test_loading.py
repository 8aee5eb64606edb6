"""The way of a fact: what loads, what is refused and how that is said, and that nothing is half done."""

from __future__ import annotations

from pathlib import Path

import pyoxigraph as ox
import pytest

from kg import formats
from kg.content import Content
from kg.engines import StoreReader
from kg.errors import BadData, BadRequest, Refused
from kg.loading import ensure_content, load, remove
from kg.parsing import Document, prefixed_turtle
from kg.store import Versions
from kg.terms import ENTAILED_GRAPH, ID, ONTOLOGY_GRAPH, SOURCE
from tests.sources import CONCESSION, CONTENT, HEAD, document, line_of, put, small_content, state, turtle

CLAIM_OF_17 = "rate:us-232-autos-jp-15 trade:percent 17.0 .\n"
TRIG = formats.named("trig", formats.DATASETS)


def asked(home: Path, pattern: str) -> list[dict[str, str]]:
    with Versions(home).reading() as (_, store):
        rows = StoreReader(store).rows(f"SELECT * {{ {pattern} }}")
    return [{name: str(term.value) for name, term in row.items()} for row in rows]


def test_valid_source_loads_and_is_found(home: Path) -> None:
    outcome = put(home, CONCESSION)
    assert outcome.report.conforms
    assert outcome.record is not None
    assert (outcome.record.version, outcome.record.added, outcome.record.removed) == (2, 18, 0)
    assert outcome.record.graphs == [ENTAILED_GRAPH, SOURCE + "my-notes"]
    assert asked(home, "GRAPH ?source { ?p rdfs:label 'More imports of rice'@en }") == [
        {"p": ID + "proposal/test-rice", "source": SOURCE + "my-notes"}
    ]


#: Facts that are refused: the fragment whose line is reported, what the message says, and what it suggests.
REFUSED = {
    "a concession that targets nothing": (
        CONCESSION.replace("    trade:targets tariff:us-232-autos ;\n", ""),
        "proposal:test-rice a trade:Concession",
        "proposal:test-rice trade:targets: Name at least one tariff",
    ),
    "a target that is no tariff": (
        CONCESSION.replace("tariff:us-232-autos", "country:JP"),
        "trade:targets country:JP",
        "a tariff that the graph knows, such as tariff:us-232-autos. (found country:JP)",
    ),
    "a target that nobody knows": (
        CONCESSION.replace("tariff:us-232-autos", "tariff:us-232-auto"),
        "trade:targets tariff:us-232-auto",
        "The graph knows no tariff:us-232-auto. Did you mean tariff:us-232-autos,",
    ),
    "a country that nobody knows": (
        CONCESSION.replace("country:JP", "country:JAPAN"),
        "trade:offeredBy country:JAPAN",
        "The graph knows no country:JAPAN. Did you mean country:",
    ),
    "a rate below nothing": (
        """rate:test a trade:Rate ; trade:rateOf tariff:us-232-autos ; trade:form form:additional ;
        trade:percent -5 ;
        trade:setBy act:proc-10908 ; trade:from "2025-06-07"^^xsd:date .""",
        "trade:percent -5",
        "Give the rate once as a percentage between 0 and 1000, such as 25.0. (found -5)",
    ),
    "a round that ends before it begins": (
        """round:test a trade:Round ; rdfs:label "Test"@en ; trade:partOf negotiation:us-jp ;
        trade:from "2025-06-07"^^xsd:date ;
        trade:until "2025-06-06"^^xsd:date .""",
        'trade:from "2025-06-07"',
        "that is not later than the last day in trade:until. (found 2025-06-07)",
    ),
    "two values for what has one": (
        """rate:us-232-autos-jp-15
        trade:percent 15.0 , 17.0 .""",
        "trade:percent 15.0 , 17.0",
        "Give the rate once",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_facts_that_do_not_conform_are_refused_with_file_line_and_message(home: Path, case: str) -> None:
    facts, fragment, message = REFUSED[case]
    before = state(home)
    with pytest.raises(Refused, match="does not conform to the shapes; nothing was changed") as refusal:
        put(home, facts)
    lines = refusal.value.report.text().splitlines()
    assert len(refusal.value.report.violations) == 1
    assert lines[0].startswith(f"my-notes.ttl:{line_of(facts, fragment)}: violation: ")
    assert message in lines[0]
    assert state(home) == before


def test_syntax_error_is_refused_with_file_and_line(home: Path) -> None:
    facts = 'proposal:test a trade:Concession ;\n    rdfs:label "unclosed .\n'
    before = state(home)
    with pytest.raises(BadData) as refusal:
        put(home, facts)
    assert str(refusal.value).startswith(f"my-notes.ttl:{line_of(facts, 'rdfs:label ' + chr(34) + 'unclosed')}: ")
    assert state(home) == before


def test_unknown_term_of_the_ontology_is_refused_with_the_nearest(home: Path) -> None:
    facts = "proposal:test-rice\n    trade:target tariff:us-232-autos ."
    before = state(home)
    with pytest.raises(BadData) as refusal:
        put(home, facts)
    assert str(refusal.value) == (
        f"my-notes.ttl:{line_of(facts, 'trade:target ')}: trade:target is not a term of the ontology. "
        "Did you mean trade:targets?"
    )
    assert state(home) == before


def test_one_bad_file_refuses_all_files_of_the_load(home: Path) -> None:
    before = state(home)
    documents = [document(CONCESSION, "good"), document(REFUSED["a rate below nothing"][0], "bad")]
    with pytest.raises(Refused) as refusal:
        load(Versions(home), documents, CONTENT)
    assert [(f.file, f.source) for f in refusal.value.report.violations] == [("bad.ttl", SOURCE + "bad")]
    assert state(home) == before


def test_files_of_one_load_may_rely_on_each_other(home: Path) -> None:
    first, second = CONCESSION.split("event:test-rice", 1)
    documents = [document("event:test-rice" + second, "event"), document(first, "proposal")]
    outcome = load(Versions(home), documents, CONTENT)
    assert outcome.record is not None
    assert outcome.record.message == "Load event.ttl, proposal.ttl"


def test_dry_run_reports_and_changes_nothing(home: Path) -> None:
    before = state(home)
    outcome = put(home, CONCESSION, dry_run=True)
    assert (outcome.record, outcome.report.conforms) == (None, True)
    with pytest.raises(Refused):
        put(home, REFUSED["a rate below nothing"][0], dry_run=True)
    assert state(home) == before


def test_same_file_again_does_nothing(home: Path) -> None:
    put(home, CONCESSION)
    assert put(home, CONCESSION).record is None
    assert Versions(home).current() == 2


def test_numbers_of_any_spelling_load_once(home: Path) -> None:
    """The engine keeps numbers by value and gives 25.0 back as 25: a file is no change for that."""
    facts = (
        "rate:us-232-autos-jp-15 trade:percent 15.0 .\n"
        "claim:econotimes-1712525-auto-tariff-24 trade:claimedValue 0550.50 .\n"
        'claim:econotimes-1712525-up-to-50 trade:claimedValue "+7"^^xsd:integer .\n'
        "claim:econotimes-1712525-some-progress trade:claimedValue 1.0e3 .\n"
        'claim:econotimes-1712525-friday trade:claimedValue "2025-06-07Z"^^xsd:date .\n'
    )
    assert put(home, facts).record is not None
    assert put(home, facts).record is None


def test_load_replaces_what_the_graph_held(home: Path) -> None:
    put(home, CONCESSION)
    outcome = put(home, CLAIM_OF_17)
    assert outcome.record is not None
    assert (outcome.record.added, outcome.record.removed) == (1, 11)
    assert asked(home, "proposal:test-rice ?p ?o") == []


def test_merge_keeps_what_the_graph_held(home: Path) -> None:
    put(home, CONCESSION)
    outcome = put(home, CLAIM_OF_17, mode="merge")
    assert outcome.record is not None
    assert (outcome.record.added, outcome.record.removed) == (1, 0)
    assert len(asked(home, "GRAPH source:my-notes { ?s ?p ?o }")) == 19


def test_merge_may_not_make_a_source_contradict_itself(home: Path) -> None:
    put(home, CLAIM_OF_17)
    before = state(home)
    with pytest.raises(Refused):
        put(home, "rate:us-232-autos-jp-15 trade:percent 18.0 .", mode="merge")
    assert state(home) == before


def test_contradiction_with_another_source_loads_and_is_listed_with_the_prevailing_one(home: Path) -> None:
    outcome = put(home, CLAIM_OF_17)
    assert outcome.record is not None
    listed = {(c.value, c.other_value, c.other_source, c.prevails) for c in outcome.report.contradictions}
    number = "^^<http://www.w3.org/2001/XMLSchema#decimal>"
    schedule = SOURCE + "2026-09-29-usitc-hts-2026-revision-20"
    assert (f'"17"{number}', f'"15"{number}', schedule, schedule) in listed
    assert SOURCE + "my-notes" not in {prevails for *_, prevails in listed}
    assert "17 says source:my-notes, 15 says source:" in outcome.report.text()


def test_contradiction_stands_beside_the_other_value(home: Path) -> None:
    put(home, CLAIM_OF_17)
    rows = asked(home, "rate:us-232-autos-jp-15 trade:percent ?percent")
    assert sorted(row["percent"] for row in rows) == ["15", "17"]


def test_warnings_let_a_load_through(home: Path) -> None:
    outcome = put(home, CONCESSION.partition("event:")[0])
    assert outcome.record is not None
    assert outcome.record.warnings == len(outcome.report.warnings) == 2
    assert "warning: proposal:test-rice ^trade:ofProposal: Add a status event" in outcome.report.text()


@pytest.mark.parametrize("graph", [ONTOLOGY_GRAPH, ONTOLOGY_GRAPH + "/schemes", ENTAILED_GRAPH])
def test_graphs_that_follow_from_others_are_not_written(home: Path, graph: str) -> None:
    versions, before = Versions(home), state(home)
    turtle_file = Document("x.ttl", turtle(CONCESSION).encode(), formats.GRAPHS[0], graph)
    trig_text = prefixed_turtle(f"{HEAD} GRAPH <{graph}> {{ country:JP a trade:Tariff }}")
    trig_file = Document("x.trig", trig_text.encode(), TRIG, SOURCE + "x")
    for file in (turtle_file, trig_file):
        with pytest.raises(BadRequest, match=f"The graph {graph} is not written by hand"):
            load(versions, [file], CONTENT)
    with pytest.raises(BadRequest, match="is not written by hand"):
        remove(versions, [graph], CONTENT)
    assert state(home) == before


def test_trig_file_writes_each_of_its_graphs(home: Path) -> None:
    text = prefixed_turtle(HEAD + f"GRAPH <{SOURCE}second> {{ {HEAD.replace('<>', f'<{SOURCE}second>')} }}")
    outcome = load(Versions(home), [Document("x.trig", text.encode(), TRIG, SOURCE + "first")], CONTENT)
    assert outcome.record is not None
    assert [g for g in outcome.record.graphs if g != ENTAILED_GRAPH] == [SOURCE + "first", SOURCE + "second"]


def test_entailments_of_new_facts_appear_and_go_with_them(home: Path) -> None:
    facts = CONCESSION + (
        "round:test a trade:Round ; rdfs:label 'Test'@en ; trade:partOf negotiation:us-jp ; "
        "trade:from '2025-06-05'^^xsd:date .\n"
        "meeting:test a trade:Meeting ; trade:partOf round:test ; rdfs:label 'Test'@en ; "
        "trade:date '2025-06-05'^^xsd:date ; trade:meetingKind meeting-kind:ministerial ; "
        "trade:hasParticipation participation:test-a , participation:test-b .\n"
        "participation:test-a a trade:Participation ; trade:participant person:ryosei-akazawa ; "
        "trade:onBehalfOf country:JP .\n"
        "participation:test-b a trade:Participation ; trade:participant person:scott-bessent ; "
        "trade:onBehalfOf country:US .\n"
    )
    entailed = (
        f"GRAPH <{ENTAILED_GRAPH}> {{ proposal:test-rice a trade:Proposal ; trade:concerns tariff:us-232-autos . "
        "meeting:test trade:partOf negotiation:us-jp . person:scott-bessent trade:tookPartIn round:test }"
    )
    put(home, facts)
    assert asked(home, entailed) == [{}]
    assert asked(home, f"GRAPH <{ENTAILED_GRAPH}> {{ proposal:test-rice a trade:Concession }}") == []
    remove(Versions(home), [SOURCE + "my-notes"], CONTENT)
    assert asked(home, f"GRAPH <{ENTAILED_GRAPH}> {{ VALUES ?s {{ proposal:test-rice meeting:test }} ?s ?p ?o }}") == []


def test_bare_store_takes_any_triples(tmp_path: Path) -> None:
    versions = Versions.create(tmp_path / "bare", bare=True)
    form = formats.named("turtle", formats.GRAPHS)
    file = Document("x.ttl", b"<urn:a> <https://w3id.org/parley/ontology#nonsense> 1 .", form, "urn:g")
    assert load(versions, [file], CONTENT).record is not None
    with versions.reading() as (_, store):
        assert {str(q.graph_name) for q in store} == {"<urn:g>"}


@pytest.fixture
def small(tmp_path: Path) -> tuple[Content, Versions]:
    """A small edition of the content, and a store that holds it."""
    root = tmp_path / "content"
    root.mkdir()
    content = small_content(root)
    versions = Versions.create(tmp_path / "store", bare=False)
    ensure_content(versions, content)
    return content, versions


def test_content_is_loaded_once(small: tuple[Content, Versions]) -> None:
    content, versions = small
    assert versions.current() == 1
    assert ensure_content(versions, Content(content.root)) is None


def test_bare_store_gets_no_content(tmp_path: Path) -> None:
    versions = Versions.create(tmp_path / "bare", bare=True)
    assert ensure_content(versions, CONTENT) is None
    assert versions.current() == 0


USER = prefixed_turtle(
    HEAD.replace("body:asahi-shimbun", "body:us-treasury").replace("<>", f"<{SOURCE}mine>")
    + 'round:mine a trade:Round ; rdfs:label "Mine"@en ; trade:partOf negotiation:us-jp ; '
    'trade:from "2025-06-13"^^xsd:date .'
)


def test_newer_content_leaves_the_graphs_of_the_user_alone(small: tuple[Content, Versions]) -> None:
    content, versions = small
    form = formats.named("turtle", formats.GRAPHS)
    mine_file = Document("mine.ttl", USER.encode(), form, SOURCE + "mine")
    load(versions, [mine_file], content, message="Shipped content")
    mine = ox.NamedNode(SOURCE + "mine")
    with versions.reading() as (_, store):
        before = set(store.quads_for_pattern(None, None, None, mine))
    facts = content.root / "facts" / "context.ttl"
    facts.write_text(facts.read_text().replace('"Vehicles"@en', '"Vehicles and parts"@en'))
    extra = prefixed_turtle('person:new a foaf:Person ; rdfs:label "New"@en .')
    (content.root / "facts" / "extra.ttl").write_text(extra)
    outcome = ensure_content(versions, Content(content.root))
    assert outcome is not None
    assert outcome.report.conforms
    assert outcome.record is not None
    assert (outcome.record.version, outcome.record.added, outcome.record.removed) == (3, 3, 1)
    with versions.reading() as (_, store):
        assert set(store.quads_for_pattern(None, None, None, mine)) == before
    (content.root / "facts" / "extra.ttl").unlink()
    ensure_content(versions, Content(content.root))
    with versions.reading() as (_, store):
        assert not store.contains_named_graph(ox.NamedNode(SOURCE + "extra"))
        assert store.contains_named_graph(mine)


def test_newer_content_lists_facts_of_the_user_that_no_longer_conform(small: tuple[Content, Versions]) -> None:
    content, versions = small
    form = formats.named("turtle", formats.GRAPHS)
    load(versions, [Document("mine.ttl", USER.encode(), form, SOURCE + "mine")], content)
    facts = content.root / "facts" / "context.ttl"
    facts.write_text(facts.read_text().replace("negotiation:us-jp", "negotiation:jp-us"))
    outcome = ensure_content(versions, Content(content.root))
    assert outcome is not None
    assert outcome.record is not None
    assert [(f.focus, f.source) for f in outcome.report.violations] == [(ID + "round/mine", SOURCE + "mine")]


def test_newer_content_that_the_user_said_otherwise_is_let_in_and_listed(small: tuple[Content, Versions]) -> None:
    """Two English labels, one of them the user's: the new edition is not at fault, and no command may be lost to it."""
    content, versions = small
    form = formats.named("turtle", formats.GRAPHS)
    label = USER + 'person:new a <http://xmlns.com/foaf/0.1/Person> ; rdfs:label "Newcomer"@en .'
    load(versions, [Document("mine.ttl", label.encode(), form, SOURCE + "mine")], content)
    extra = prefixed_turtle('person:new a foaf:Person ; rdfs:label "New"@en .')
    (content.root / "facts" / "extra.ttl").write_text(extra)
    outcome = ensure_content(versions, Content(content.root))
    assert outcome is not None
    assert outcome.record is not None
    assert {f.focus for f in outcome.report.violations} == {ID + "person/new"}


def test_content_that_breaks_its_own_shapes_is_refused(small: tuple[Content, Versions]) -> None:
    content, versions = small
    facts = content.root / "facts" / "context.ttl"
    facts.write_text(facts.read_text().replace("trade:percent 25.0", "trade:percent -25.0"))
    with pytest.raises(Refused):
        ensure_content(versions, Content(content.root))
    assert versions.current() == 1
