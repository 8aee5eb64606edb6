"""The generated trade graph: as large as asked, the same each time, true to the shapes, and of every kind."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter, defaultdict
from pathlib import Path

import pyoxigraph as ox
import pytest

from bench.generate import MINIMUM, one_source, quads_lines, sources
from bench.invented import cast
from bench.invented.blocks import Block
from kg import formats
from kg.loading import Outcome, load
from kg.parsing import Document
from kg.store import Versions
from kg.terms import ID, PREFIXES, RDF_TYPE, SOURCE, compact
from tests.sources import CONTENT

ROOT = Path(__file__).parent.parent
NQUADS = formats.named("nquads", formats.DATASETS)
#: The classes of which every generated graph has nodes.
CLASSES = {
    *(f"foaf:{name}" for name in ("Document", "Person")), "org:Organization", "org:Post", "skos:ConceptScheme",
    *(f"trade:{name}" for name in (
        "Country", "CustomsUnion", "Product", "Tenure", "LegalAct", "ActEffect", "Tariff", "Rate", "DutyPart",
        "Exemption", "Negotiation", "Round", "Meeting", "Participation", "Statement", "Concession", "Demand",
        "StatusEvent", "Agreement", "Commitment", "Implementation", "Deadline", "Dossier",
    )),
}  # fmt: skip


def data(triples: int, seed: int = 1) -> bytes:
    return "".join(sources(triples, seed)).encode()


def parsed(text: bytes) -> list[ox.Quad]:
    return list(ox.parse(text, ox.RdfFormat.N_QUADS))


def put(home: Path, name: str, text: bytes) -> Outcome:
    """Load N-Quads as `kg load` does a file of that name."""
    return load(Versions(home), [Document(f"{name}.nq", text, NQUADS, SOURCE + name)], CONTENT)


def generated(quads: list[ox.Quad]) -> set[ox.NamedNode]:
    """The generated nodes that quads mention."""
    objects = {quad.object for quad in quads}
    return {node for node in objects if isinstance(node, ox.NamedNode) and "/gen-" in node.value}


def functional() -> set[str]:
    kind = ox.NamedNode(PREFIXES["owl"] + "FunctionalProperty")
    return {str(q.subject) for q in ox.parse(path=str(ROOT / "ontology" / "parley.ttl")) if q.object == kind}


@pytest.fixture(scope="module")
def quads() -> list[ox.Quad]:
    return parsed(data(20_000))


def test_a_block_is_written_like_turtle() -> None:
    block = Block("""
rate:gen-{n} a trade:Rate
    trade:percent "{percent}"^^xsd:decimal
    trade:onOrigin {origin}
""")
    assert block.facts == 3
    assert block.quads.format(n=7, percent="2.5", origin="<urn:x>", graph="<urn:g>").splitlines() == [
        f"<{ID}rate/gen-7> <{RDF_TYPE}> <{PREFIXES['trade']}Rate> <urn:g> .",
        f'<{ID}rate/gen-7> <{PREFIXES["trade"]}percent> "2.5"^^<{PREFIXES["xsd"]}decimal> <urn:g> .',
        f"<{ID}rate/gen-7> <{PREFIXES['trade']}onOrigin> <urn:x> <urn:g> .",
    ]


def test_size_and_seed_settle_the_bytes_also_in_another_process() -> None:
    command = [sys.executable, "-m", "bench.generate", "5000", "--seed", "2"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
    assert run.stdout == data(5_000, 2)


def test_another_seed_gives_other_bytes() -> None:
    assert data(5_000, 1) != data(5_000, 2)


def test_lines_are_those_of_the_sources() -> None:
    lines = list(quads_lines(5_000))
    assert "".join(lines).encode() == data(5_000)
    assert all(line.endswith(" .\n") and line.count("\n") == 1 for line in lines)


@pytest.mark.parametrize("triples", [MINIMUM, 4_321, 10_000, 30_000])
def test_graph_has_exactly_as_many_distinct_triples_as_asked_and_no_quad_twice(triples: int) -> None:
    quads = parsed(data(triples))
    assert len({quad.triple for quad in quads}) == triples
    assert len(set(quads)) == len(quads) < 1.01 * triples


def test_smaller_graph_than_the_smallest_is_refused() -> None:
    with pytest.raises(ValueError, match="has 2,000 triples or more, not 1,999"):
        next(sources(MINIMUM - 1))
    run = subprocess.run([sys.executable, "-m", "bench.generate", "10"], cwd=ROOT, capture_output=True, check=False)
    assert (run.returncode, run.stdout) == (2, b"")


def test_each_graph_names_its_document_and_comes_in_one_piece() -> None:
    seen: set[ox.NamedNode] = set()
    for text in sources(10_000):
        quads = parsed(text.encode())
        (graph,) = {quad.graph_name for quad in quads}
        assert isinstance(graph, ox.NamedNode)
        assert graph.value.startswith(SOURCE + "gen-") and graph not in seen
        assert ox.Quad(graph, ox.NamedNode(RDF_TYPE), ox.NamedNode(PREFIXES["foaf"] + "Document"), graph) in quads
        seen.add(graph)


def test_sources_are_of_very_different_sizes(quads: list[ox.Quad]) -> None:
    sizes = Counter(quad.graph_name for quad in quads).values()
    assert sum(30 <= size <= 380 for size in sizes) > 0.8 * len(sizes)
    assert 1 < sum(size > 1_500 for size in sizes) < 10


def test_every_kind_of_node_and_literal_occurs_also_in_a_small_graph() -> None:
    quads = parsed(data(5_000))
    classes = {str(quad.object)[1:-1] for quad in quads if quad.predicate.value == RDF_TYPE}
    assert set(map(compact, classes)) == CLASSES
    literals = [quad.object for quad in quads if isinstance(quad.object, ox.Literal)]
    assert {"en", "ja", "fr"} == {literal.language for literal in literals if literal.language}
    datatypes = {literal.datatype.value.removeprefix(PREFIXES["xsd"]) for literal in literals if not literal.language}
    assert datatypes == {"date", "gYearMonth", "gYear", "decimal", "integer", "string"}


def test_generated_nodes_have_names_of_their_own_and_mention_shipped_ones(quads: list[ox.Quad]) -> None:
    for quad in quads:
        assert isinstance(quad.subject, ox.NamedNode)
        assert quad.subject.value.rpartition("/")[2].startswith("gen-")
    mentioned = {quad.object.value for quad in quads if isinstance(quad.object, ox.NamedNode)}
    for name in ("country/US", "tariff/us-reciprocal", "product/ALL", "subject/farm-goods", "form/all-in"):
        assert ID + name in mentioned


def test_few_nodes_draw_most_references(quads: list[ox.Quad]) -> None:
    targets = ox.NamedNode(PREFIXES["trade"] + "about"), ox.NamedNode(PREFIXES["trade"] + "targets")
    counts = [n for _, n in Counter(quad.object for quad in quads if quad.predicate in targets).most_common()]
    assert sum(counts[: len(counts) // 5]) > sum(counts) / 2
    assert counts[len(counts) // 2] < counts[0] / 10


def test_sources_add_to_each_other_and_contradict_each_other_rarely(quads: list[ox.Quad]) -> None:
    properties = functional()
    described, values = defaultdict(set), defaultdict(set)
    for quad in quads:
        described[quad.subject].add(quad.graph_name)
        if str(quad.predicate) in properties:
            values[quad.subject, quad.predicate].add(quad.object)
    assert 0.02 < sum(len(graphs) > 1 for graphs in described.values()) / len(described) < 0.2
    assert 0.005 < sum(len(given) > 1 for given in values.values()) / len(values) < 0.015


def test_generated_graph_and_a_further_source_conform_beside_the_shipped_facts(home: Path) -> None:
    outcome = put(home, "generated", data(4_000, 3))
    assert outcome.report.conforms
    assert len(outcome.report.findings) < 4
    assert outcome.report.contradictions
    for number in range(3):
        graph, text = one_source(number)
        outcome = put(home, graph.removeprefix(SOURCE), text)
        assert outcome.record is not None
        assert outcome.record.added == 100


def test_what_a_graph_of_any_seed_mentions_is_in_it() -> None:
    for seed in range(8):
        graph = parsed(data(MINIMUM, seed))
        nodes = {quad.subject for quad in graph}
        assert generated(graph) <= nodes
        further = parsed(one_source(seed, 300)[1])
        assert generated(further) <= nodes | {quad.subject for quad in further}
        assert generated(further) & nodes


def test_what_it_mentions_of_parley_is_shipped(quads: list[ox.Quad]) -> None:
    facts = [quad for iri, path in CONTENT.graphs.items() for quad in ox.parse(path=str(path), base_iri=iri)]
    shipped = {str(quad.subject) for quad in facts}
    mentioned = {str(q.object) for q in quads if str(q.object).startswith(f"<{ID}")} - set(map(str, generated(quads)))
    assert mentioned | {*cast.SHIPPED_TARIFFS, *cast.SHIPPED_PRODUCTS, *cast.SHIPPED_PARTIES} <= shipped


@pytest.mark.parametrize("facts", [10, 57, 100, 1_000])
def test_a_further_source_has_the_facts_asked_and_nodes_of_its_own(facts: int, quads: list[ox.Quad]) -> None:
    known = {quad.subject for quad in quads}
    seen: set[object] = set()
    for number in range(5):
        graph, text = one_source(number, facts)
        own = parsed(text)
        assert {quad.graph_name for quad in own} == {ox.NamedNode(graph)}
        assert len({quad.triple for quad in own} - {quad.triple for quad in quads}) == len(own) == facts
        types = {quad.subject for quad in own if quad.predicate.value == RDF_TYPE}
        assert not types & (known | seen)
        seen |= types


def test_a_source_smaller_than_its_document_is_refused() -> None:
    with pytest.raises(ValueError, match="has 10 facts or more, not 9"):
        one_source(0, 9)
