"""Sources of a user's own, as the tests of loading, validation and rates write them."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

from kg import formats
from kg.content import Content
from kg.exporting import export
from kg.loading import Mode, Outcome, load
from kg.parsing import Document, prefixed_turtle
from kg.store import Versions
from kg.terms import SOURCE

CONTENT = Content.shipped()

#: What makes a graph a source: the document that it is, with everything the shapes ask of one.
HEAD = """<> a foaf:Document ;
    dcterms:title "Notes"@en ;
    dcterms:publisher body:asahi-shimbun ;
    dcterms:issued "2026-11-01"^^xsd:date ;
    dcterms:type source-kind:press-report ;
    schema:url <https://www.example.org/notes> ;
    trade:grade grade:V3 .
"""

#: A fact that conforms: a concession with its status.
CONCESSION = """
proposal:test-rice a trade:Concession ;
    rdfs:label "More imports of rice"@en ;
    trade:offeredBy country:JP ;
    trade:offeredTo country:US ;
    trade:targets tariff:us-232-autos ;
    trade:subject subject:farm-goods ;
    trade:firstReportedOn "2025-05-28"^^xsd:date .
event:test-rice a trade:StatusEvent ;
    trade:ofProposal proposal:test-rice ;
    trade:status status:floated ;
    trade:date "2025-05-28"^^xsd:date .
"""


def turtle(facts: str, *, head: str = HEAD) -> str:
    """The text of a file with our prefixes, the head of a source and the facts."""
    return prefixed_turtle(head + facts)


def document(facts: str, name: str = "my-notes", *, head: str = HEAD) -> Document:
    """A Turtle document of the graph `source:<name>`."""
    text = turtle(facts, head=head)
    return Document(f"{name}.ttl", text.encode(), formats.named("turtle", formats.GRAPHS), SOURCE + name)


def line_of(facts: str, fragment: str, *, head: str = HEAD) -> int:
    """The line, from 1, of the only place where the text of the document holds `fragment`."""
    before, _, after = turtle(facts, head=head).partition(fragment)
    assert after and fragment not in after, fragment
    return before.count("\n") + 1


def put(home: Path, facts: str, name: str = "my-notes", *, mode: Mode = "replace", dry_run: bool = False) -> Outcome:
    """Load facts as the source `name`, as `kg load` does."""
    return load(Versions(home), [document(facts, name)], CONTENT, mode=mode, dry_run=dry_run)


def small_content(root: Path) -> Content:
    """Content in `root` with the shipped ontology and shapes, no questions, and one source: that of the shape tests."""
    for name in ("ontology", "shapes"):
        (root / name).symlink_to(CONTENT.root / name)
    (root / "queries").mkdir()
    (root / "facts").mkdir()
    (root / "facts" / "context.ttl").write_bytes((Path(__file__).parent / "shapes" / "context.ttl").read_bytes())
    return Content(root)


def exported(home: Path) -> bytes:
    output = BytesIO()
    with Versions(home).reading() as (_, store):
        export(store, None, formats.DATASETS[0], output)
    return output.getvalue()


def state(home: Path) -> tuple[int, bytes]:
    """What a refused load must leave as it was."""
    return Versions(home).current(), exported(home)
