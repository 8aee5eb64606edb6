"""The ontology and the shapes as plain objects; the diagram, the page and the dictionary made of them."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

import pyoxigraph as ox
import pytest

from kg import constraints, diagram, vocabulary
from kg.diagram import ARROWS, PLACES, Arrow, draw, is_declared
from kg.graph import EmbeddedGraph
from kg.pages import Pages
from kg.questions import NamedQuestion
from kg.settings import Settings
from kg.store import Versions
from kg.terms import PREFIXES, TRADE, expand
from kg.vocabulary import Class, Property, Vocabulary
from tests.conftest import CONTENT
from tests.dictionary import FILE, dictionary, shipped

HEAD = "".join(f"@prefix {name}: <{iri}> .\n" for name, iri in PREFIXES.items())
ONTOLOGY = """
<https://w3id.org/parley/ontology> dcterms:title "Small"@en ; owl:versionInfo "2" .
trade:Ship a owl:Class ; rdfs:label "ship"@en , "Schiff"@de ; skos:definition "A vessel."@en ;
    skos:closeMatch schema:Vehicle ; rdfs:subClassOf trade:Vessel ,
    [ a owl:Restriction ; owl:onProperty trade:flag ; owl:someValuesFrom trade:Flag ] .
trade:Vessel a owl:Class ; rdfs:label "vessel"@en .
trade:Flag a owl:Class ; rdfs:label "flag kind"@en .
trade:flag a owl:ObjectProperty , owl:FunctionalProperty ; rdfs:label "flag"@en ;
    rdfs:subPropertyOf trade:mark ; schema:domainIncludes trade:Ship ; schema:rangeIncludes trade:Flag .
trade:mark a owl:ObjectProperty , owl:TransitiveProperty .
trade:seenUnder a owl:ObjectProperty ; owl:propertyChainAxiom ( [ owl:inverseOf trade:mark ] trade:flag ) .
trade:tons a owl:DatatypeProperty ; rdfs:domain trade:Ship .
trade:paint a owl:ObjectProperty ; schema:rangeIncludes skos:Concept .
<https://w3id.org/parley/id/form> a skos:ConceptScheme ; rdfs:label "forms"@en .
form:wide a skos:Concept ; rdfs:label "wide"@en ; skos:inScheme <https://w3id.org/parley/id/form> ; skos:notation "w" .
[] a owl:AllDisjointClasses ; owl:members ( trade:Ship trade:Flag ) .
"""
SHAPES = """
[] a sh:NodeShape ; rdfs:label "ship"@en ; sh:targetClass trade:Ship ;
    sh:or ( [ sh:path trade:tons ; sh:minCount 1 ] ) ; sh:message "Give one or the other."@en ;
    sh:property
        [ sh:path trade:tons ; sh:name "tons"@en ; sh:minCount 1 ; sh:datatype xsd:decimal ; sh:message "Weigh."@en ] ,
        [ sh:path trade:tons ; sh:maxCount 1 ; sh:message "Once."@en ] ,
        [ sh:path trade:paint ; sh:class skos:Concept ; sh:pattern "^https://w3id.org/parley/id/form/" ;
          sh:message "Paint."@en ] ,
        [ sh:path rdfs:label ; sh:name "name"@en ; sh:message "Name."@en ; sh:qualifiedMinCount 1 ] ,
        [ sh:path trade:mark ; sh:severity sh:Warning ; sh:minCount 2 ; sh:message "Mark twice."@en ] ,
        [ sh:path trade:seenUnder ; sh:severity sh:Warning ; sh:not [ sh:in ( trade:X ) ] ; sh:message "Not X."@en ] ,
        [ sh:path [ sh:inversePath trade:flag ] ; sh:minCount 1 ; sh:message "Fly."@en ] .
"""


def question(name: str, text: str) -> NamedQuestion:
    return NamedQuestion(name, text, name, name, (), ())


@pytest.fixture(scope="module")
def words() -> Vocabulary:
    return shipped()


@pytest.fixture
def small(tmp_path: Path) -> Vocabulary:
    """The vocabulary of the little ontology and shapes above."""
    shapes = tmp_path / "shapes.ttl"
    shapes.write_text(HEAD + SHAPES)
    questions = [
        question("asks", "SELECT * { ?x a trade:Ship . ?x trade:flag ?y }"),
        question("boasts", "# about trade:Ship\nSELECT * { ?x a trade:Shipyard ; a trade:Ship-wreck }"),
    ]
    return vocabulary.read(ox.parse(HEAD + ONTOLOGY, ox.RdfFormat.TURTLE), constraints.read([shapes]), questions)


def class_(words: Vocabulary, name: str) -> Class:
    return next(entry for entry in words.classes if entry.name == name)


def property_(words: Vocabulary, name: str) -> Property:
    return next(entry for entry in words.properties if entry.name == name)


class TestVocabulary:
    def test_every_term_of_the_ontology_is_there(self, words: Vocabulary) -> None:
        quads = [q for file in CONTENT.ontology.values() for q in ox.parse(path=str(file))]
        declared: dict[str, set[str]] = {"Class": set(), "Property": set()}
        for quad in quads:
            for kind, names in declared.items():
                if isinstance(quad.subject, ox.NamedNode) and str(quad.object).endswith(f"{kind}>"):
                    names.add(quad.subject.value)
        assert {entry.iri for entry in words.classes} == declared["Class"]
        assert declared["Property"] <= {entry.iri for entry in words.properties}
        concepts = [concept for scheme in words.schemes for concept in scheme.concepts]
        assert len(concepts) == sum("inScheme" in str(q.predicate) for q in quads)

    def test_every_term_of_parley_has_its_words(self, words: Vocabulary) -> None:
        entries = [entry for entry in (*words.classes, *words.properties, *words.schemes) if entry.own]
        assert len(entries) > 100
        assert [entry.name for entry in entries if not (entry.label and entry.definition)] == []

    def test_each_anchor_is_there_once(self, words: Vocabulary) -> None:
        entries = [*words.classes, *words.properties, *words.schemes, *(c for s in words.schemes for c in s.concepts)]
        anchors = [entry.anchor for entry in entries]
        assert len(set(anchors)) == len(anchors)

    def test_the_anchor_of_a_parley_term_is_the_end_of_its_iri(self, words: Vocabulary) -> None:
        assert class_(words, "trade:Concession").anchor == "Concession"
        assert {e.anchor for e in words.properties if e.own} == {e.iri[len(TRADE) :] for e in words.properties if e.own}

    def test_every_mention_of_a_described_term_has_its_anchor(self, words: Vocabulary) -> None:
        anchors = {e.anchor for e in (*words.classes, *words.properties, *words.schemes)}
        mentions = [ref for c in words.classes for ref in (*c.parents, *c.children, *(u.property for u in c.uses))]
        assert {ref.anchor for ref in mentions} <= anchors

    def test_a_class_says_what_owl_says(self, small: Vocabulary) -> None:
        ship = class_(small, "trade:Ship")
        assert (ship.label, ship.definition) == ("ship", "A vessel.")
        assert [ref.label for ref in ship.parents] == ["vessel"]
        assert [ref.name for ref in class_(small, "trade:Vessel").children] == ["trade:Ship"]
        assert ship.axioms == ("every ship has a trade:flag that is a trade:Flag",)
        assert [(text, ref.name) for text, ref in ship.alignments] == [("close to", "schema:Vehicle")]
        assert [[ref.name for ref in refs] for refs in small.disjoint] == [["trade:Flag", "trade:Ship"]]

    def test_a_property_says_what_owl_says(self, small: Vocabulary) -> None:
        flag = property_(small, "trade:flag")
        assert flag.characteristics == ("functional: one value at most",)
        assert [ref.name for ref in flag.parents] == ["trade:mark"]
        assert [ref.name for ref in flag.domains] == ["trade:Ship"]
        assert [ref.name for ref in flag.ranges] == ["trade:Flag"]
        assert property_(small, "trade:mark").characteristics[0].startswith("transitive")
        assert property_(small, "trade:seenUnder").characteristics == (
            "follows from the inverse of trade:mark, then trade:flag",
        )

    def test_a_scheme_stands_for_its_concepts(self, small: Vocabulary) -> None:
        assert [(c.label, c.notation) for scheme in small.schemes for c in scheme.concepts] == [("wide", "w")]
        assert [ref.label for ref in property_(small, "trade:paint").ranges] == ["forms"]

    def test_a_question_uses_the_terms_that_its_query_names(self, small: Vocabulary) -> None:
        """Not those in a comment, nor longer names that begin alike."""
        assert [q.name for q in class_(small, "trade:Ship").questions] == ["asks"]
        assert [q.name for q in property_(small, "trade:flag").questions] == ["asks"]
        assert property_(small, "trade:mark").questions == ()

    def test_nodes_without_a_name_of_their_own_are_no_terms(self) -> None:
        text = HEAD + "<https://w3id.org/parley/.well-known/genid/x1> a owl:Class . trade:Ship a owl:Class ."
        words = vocabulary.read(ox.parse(text, ox.RdfFormat.TURTLE), {})
        assert [entry.name for entry in words.classes] == ["trade:Ship"]


class TestConstraints:
    def use(self, words: Vocabulary, name: str) -> Any:
        return next(use for use in class_(words, "trade:Ship").uses if use.property.name == name)

    def test_what_several_shapes_say_of_a_property_is_put_together(self, small: Vocabulary) -> None:
        tons = self.use(small, "trade:tons")
        assert (tons.need, tons.number) == ("required", "exactly 1")
        assert [rule.message for rule in tons.rules] == ["Weigh.", "Once."]
        assert [ref.label for ref in tons.values] == ["number"]

    def test_a_qualified_number_is_a_number(self, small: Vocabulary) -> None:
        assert (self.use(small, "rdfs:label").need, self.use(small, "rdfs:label").number) == ("required", "1 or more")

    def test_a_warning_requires_nothing(self, small: Vocabulary) -> None:
        assert (self.use(small, "trade:mark").need, self.use(small, "trade:mark").number) == ("wanted", "2 or more")
        assert self.use(small, "trade:seenUnder").need == "optional"

    def test_an_inverse_path_is_told_from_the_path(self, small: Vocabulary) -> None:
        uses = [(u.inverse, u.need, [r.name for r in u.values]) for u in class_(small, "trade:Ship").uses
                if u.property.name == "trade:flag"]  # fmt: skip
        assert uses == [(True, "required", ["trade:Ship"]), (False, "optional", ["trade:Flag"])]

    def test_a_rule_for_the_whole_is_a_rule_of_the_class(self, small: Vocabulary) -> None:
        assert [rule.message for rule in class_(small, "trade:Ship").rules] == ["Give one or the other."]

    def test_every_message_of_the_shapes_reaches_its_class(self, words: Vocabulary) -> None:
        """All but those of shapes that aim at no class of the ontology."""
        told = {rule.message for c in words.classes for rule in (*c.rules, *(r for u in c.uses for r in u.rules))}
        message = ox.NamedNode(PREFIXES["sh"] + "message")
        written = {q.object.value for f in CONTENT.shapes for q in ox.parse(path=str(f)) if q.predicate == message}
        assert {text[:22] for text in written - told} == {"Say what it is, such a", "Say which document the"}


Area = tuple[float, float, float, float]


def overlaps(words: Vocabulary) -> list[str]:
    """What is drawn over something else: labels on labels and boxes, and lines through boxes they do not touch.

    A letter is taken for 6.3 pixels wide, as the wide fonts have it on average.
    """
    drawing = draw(words)
    areas: list[tuple[str, Area]] = [
        (box.term.label, (box.x, box.y, box.x + box.width, box.y + box.height)) for box in drawing.boxes
    ]
    for line in drawing.lines:
        width = 6.3 * len(line.label)
        left = {"start": line.x, "middle": line.x - width / 2, "end": line.x - width}[line.anchor]
        areas.append((f"{line.label} of {line.source.label}", (left, line.y - 10, left + width, line.y + 3)))
    for line in drawing.lines:
        for (x1, y1), (x2, y2) in pairwise(line.points):
            # Shorter by a pixel than it is: it touches the boxes at its ends, and its label stands beside it.
            area = (min(x1, x2) + (x1 != x2), min(y1, y2) + (y1 != y2), max(x1, x2), max(y1, y2))
            stretch = (f"arrow {line.label} of {line.source.label}", area)
            areas_of_boxes = [a for a in areas[: len(drawing.boxes)] if _meet(a[1], area)]
            if areas_of_boxes:
                return [f"{stretch[0]} / {areas_of_boxes[0][0]}"]
    return [f"{a} / {b}" for (a, first), (b, second) in combinations(areas, 2) if _meet(first, second)]


def _meet(a: Area, b: Area) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


class TestDiagram:
    def test_every_class_in_it_is_in_the_ontology(self, words: Vocabulary) -> None:
        assert set(PLACES) <= {entry.name for entry in words.classes}

    def test_every_arrow_in_it_is_declared(self, words: Vocabulary) -> None:
        assert [arrow for arrow in ARROWS if not is_declared(arrow, words)] == []

    @pytest.mark.parametrize(
        "ends",
        [
            ("trade:Rate", "trade:rateOf", "trade:Product"),
            ("trade:Tariff", "trade:rateOf", "trade:Tariff"),
            ("trade:Rate", "trade:isRateOf", "trade:Tariff"),
            ("trade:Rates", "trade:rateOf", "trade:Tariff"),
            ("trade:Rate", "trade:rateOf", "trade:Tariffs"),
            ("trade:Proposal", "rdfs:subClassOf", "trade:Demand"),
        ],
    )
    def test_an_arrow_that_is_not_declared_is_told(self, words: Vocabulary, ends: tuple[str, str, str]) -> None:
        assert not is_declared(Arrow(*ends, ("left", 0), ("right", 0)), words)

    def test_its_labels_are_those_of_the_ontology(self, words: Vocabulary) -> None:
        labels = {entry.iri: entry.label for entry in words.properties}
        assert [line.label for line in draw(words).lines] == [
            labels.get(expand(a.property) or "", "is a") for a in ARROWS
        ]

    def test_what_the_ontology_does_not_have_is_not_drawn(self, words: Vocabulary) -> None:
        fewer = replace(words, classes=tuple(c for c in words.classes if c.name != "trade:Tariff"))
        drawing = draw(fewer)
        assert len(drawing.boxes) == len(PLACES) - 1
        assert not [line for line in drawing.lines if "tariff" in (line.source.label, line.target.label)]

    def test_nothing_in_it_overlaps(self, words: Vocabulary) -> None:
        assert overlaps(words) == []

    def test_two_classes_in_one_place_would_overlap(self, words: Vocabulary, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(diagram.PLACES, "trade:Product", PLACES["trade:Statement"])
        assert overlaps(words) != []

    def test_everything_is_inside(self, words: Vocabulary) -> None:
        drawing = draw(words)
        points = [point for line in drawing.lines for point in line.points]
        points += [(box.x + dx, box.y + dy) for box in drawing.boxes for dx in (0, box.width) for dy in (0, box.height)]
        assert all(0 < x < drawing.width and 0 < y < drawing.height for x, y in points)


class TestDictionary:
    def test_the_page_is_what_the_ontology_and_the_shapes_say(self, words: Vocabulary) -> None:
        """If not: python -m tests.dictionary > docs/dictionary.md"""
        assert FILE.read_text("utf-8") == dictionary(words)

    def test_another_rule_makes_another_page(self, words: Vocabulary) -> None:
        first = words.classes[0]
        changed = replace(first, rules=(constraints.Rule("new", "Be | bold <b>."),))
        page = dictionary(replace(words, classes=(changed, *words.classes[1:])))
        assert r"Be \| bold \<b\>." in page
        assert page != dictionary(words)


class TestPage:
    def test_it_escapes_what_the_ontology_says(self, small: Vocabulary, shipped_home: Path) -> None:
        evil = '<script>alert("x")</script>'
        entry = replace(
            small.classes[0], label=evil, definition=evil, examples=(evil,), rules=(constraints.Rule(evil, evil),)
        )
        page = Pages(EmbeddedGraph(Versions(shipped_home), CONTENT, Settings(home=shipped_home))).ontology(
            replace(small, title=evil, classes=(entry, *small.classes[1:])), None
        )
        text = bytes(page.body).decode()
        assert "<script" not in text
        assert text.count("&lt;script&gt;") > 5
