"""How far shapes look: whatever a verdict rests on, a change of it has the node judged anew."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pyoxigraph as ox
import pytest

from kg.content import Content
from kg.screening import screen
from kg.validation import _affected, validate
from kg.view import View, overrule
from tests.invented import PREFIX, quads
from tests.whole import check, drafted, rebase, whole

FACTS = """
x:a a x:Start ; x:p x:b ; x:q x:c , 5 ; x:name "b"@en .
x:b a x:B ; x:q x:d ; x:r x:d ; x:low 1 ; x:high 2 ; rdfs:label "b"@en .
x:d a x:D ; x:p x:e ; rdfs:label "d"@en .
x:e x:p x:f . x:f rdfs:label "f"@en .
x:c x:s x:g . x:h x:t x:a . x:i x:u x:h .
x:B rdfs:subClassOf x:A . x:A rdfs:subClassOf x:Z .
"""
START = "x:Shape sh:targetClass x:Start ; "

#: What a shape says, and the fact far from x:a without which x:a gets another verdict.
FAR = {
    "the type of a value": ("sh:property [ sh:path x:p ; sh:class x:B ]", "x:b a x:B ."),
    "the class above the type of a value": ("sh:property [ sh:path x:p ; sh:class x:A ]", "x:B rdfs:subClassOf x:A ."),
    "the class two above the type of a value": (
        "sh:property [ sh:path x:p ; sh:class x:Z ]",
        "x:A rdfs:subClassOf x:Z .",
    ),
    "the label of a value": (
        "sh:property [ sh:path x:p ; sh:node [ sh:property [ sh:path rdfs:label ; sh:minCount 1 ] ] ]",
        'x:b rdfs:label "b"@en .',
    ),
    "the label by which values are counted": (
        "sh:property [ sh:path x:p ; sh:qualifiedMinCount 1 ; sh:qualifiedValueShape"
        " [ sh:property [ sh:path rdfs:label ; sh:hasValue 'b'@en ] ] ]",
        'x:b rdfs:label "b"@en .',
    ),
    "what values must not have that are counted elsewhere": (
        "sh:property [ sh:path x:p ; sh:qualifiedValueShapesDisjoint true ; sh:qualifiedMinCount 1 ;"
        " sh:qualifiedValueShape [ sh:class x:B ] ] , [ sh:path x:q ; sh:qualifiedMinCount 0 ;"
        " sh:qualifiedValueShape [ sh:property [ sh:path x:low ; sh:minCount 1 ] ] ]",
        "x:b x:low 1 .",
    ),
    "the type by which values are counted, of two": (
        "sh:property [ sh:path x:q ; sh:qualifiedMaxCount 0 ; sh:qualifiedValueShape [ sh:property [ sh:path x:s ;"
        " sh:qualifiedMinCount 1 ; sh:qualifiedValueShape [ sh:nodeKind sh:IRI ] ] ] ]",
        "x:c x:s x:g .",
    ),
    "what a value must not have": (
        "sh:property [ sh:path x:p ; sh:not [ sh:property [ sh:path x:q ; sh:minCount 1 ] ] ]",
        "x:b x:q x:d .",
    ),
    "what a value may have instead": (
        "sh:property [ sh:path x:p ; sh:or ( [ sh:class x:D ] [ sh:property [ sh:path x:r ; sh:class x:D ] ] ) ]",
        "x:d a x:D .",
    ),
    "one of all that a value has": (
        "sh:property [ sh:path x:p ; sh:and ( [ sh:class x:B ] [ sh:property [ sh:path x:low ; sh:minCount 1 ] ] ) ]",
        "x:b x:low 1 .",
    ),
    "one of two that exclude each other": (
        "sh:property [ sh:path x:p ; sh:xone ( [ sh:class x:B ] [ sh:property [ sh:path x:low ; sh:minCount 1 ] ] ) ]",
        "x:b x:low 1 .",
    ),
    "what is closed at a value": (
        "sh:property [ sh:path ( x:q x:s ) ; sh:minCount 0 ] ; sh:property [ sh:path x:p ; sh:node [ sh:closed true ;"
        " sh:ignoredProperties ( rdf:type x:q x:r x:low rdfs:label ) ] ]",
        "x:b x:high 2 .",
    ),
    "what is the same at a value": (
        "sh:property [ sh:path x:p ; sh:node [ sh:property [ sh:path x:q ; sh:equals x:r ] ] ]",
        "x:b x:r x:d .",
    ),
    "what is not the same at a value": (
        "sh:property [ sh:path x:p ; sh:node [ sh:property [ sh:path x:q ; sh:disjoint x:r ] ] ]",
        "x:b x:r x:d .",
    ),
    "what is more at a value": (
        "sh:property [ sh:path x:p ; sh:node [ sh:property [ sh:path x:high ; sh:lessThan x:low ] ] ]",
        "x:b x:low 1 .",
    ),
    "what is as much at a value": (
        "sh:property [ sh:path x:p ; sh:node [ sh:property [ sh:path x:high ; sh:lessThanOrEquals x:low ] ] ]",
        "x:b x:low 1 .",
    ),
    "the property that values are compared with": ("sh:property [ sh:path ( x:p rdfs:label ) ; sh:equals x:name ]",
        'x:b rdfs:label "b"@en .',
    ),
    "what points here": ("sh:property [ sh:path [ sh:inversePath x:t ] ; sh:minCount 1 ]", "x:h x:t x:a ."),
    "what points to what points here": (
        "sh:property [ sh:path ( [ sh:inversePath x:t ] [ sh:inversePath x:u ] ) ; sh:minCount 1 ]",
        "x:i x:u x:h .",
    ),
    "what points to what points here, back along the way": (
        "sh:property [ sh:path [ sh:inversePath ( x:t x:u ) ] ; sh:minCount 1 ]",
        "x:i x:u x:h .",
    ),
    "the end of a sequence": ("sh:property [ sh:path ( x:p x:q x:p x:p ) ; sh:minCount 1 ]", "x:e x:p x:f ."),
    "one of two ways": (
        "sh:property [ sh:path ( [ sh:alternativePath ( x:p x:q ) ] x:s ) ; sh:minCount 1 ]",
        "x:c x:s x:g .",
    ),
    "the end of any number of steps": (
        "sh:property [ sh:path ( x:p x:q [ sh:zeroOrMorePath x:p ] rdfs:label ) ; sh:hasValue 'f'@en ]",
        "x:e x:p x:f .",
    ),
    "the label after any number of steps": (
        "sh:property [ sh:path ( x:p x:q [ sh:oneOrMorePath x:p ] rdfs:label ) ; sh:minCount 1 ]",
        'x:f rdfs:label "f"@en .',
    ),
    "the middle of any number of steps, two ways": (
        "sh:property [ sh:path ( [ sh:zeroOrMorePath [ sh:alternativePath ( x:p x:q ) ] ] rdfs:label ) ;"
        " sh:qualifiedMinCount 3 ; sh:qualifiedValueShape [ sh:languageIn ( 'en' ) ] ]",
        "x:b x:q x:d .",
    ),
    "the end of a step that may be": (
        "sh:property [ sh:path ( x:p [ sh:zeroOrOnePath x:q ] ) ; sh:minCount 2 ]",
        "x:b x:q x:d .",
    ),
    "the class of the node itself": ("sh:class x:Z ; sh:severity sh:Warning", "x:A rdfs:subClassOf x:Z ."),
}  # fmt: skip


def turned(folder: Path, shapes: str, fact: str, facts: str = FACTS) -> set[str]:
    """The last parts of the nodes whose results turn when a fact goes, and turn back when it comes again."""
    path = folder / "shapes.ttl"
    path.write_text(PREFIX + shapes, "utf-8")
    with drafted(folder, quads(facts + fact, "one")) as draft:
        before = whole(draft.facts, [path])
        draft.remove(quads(fact, "one"))
        after = check(draft, [path], before)
        rebase(draft)
        draft.add(quads(fact, "one"))
        assert check(draft, [path], after) == before
    return {result.focus.removeprefix("urn:x:") for result in before ^ after}


@pytest.mark.parametrize("case", FAR)
def test_verdict_turns_with(tmp_path: Path, case: str) -> None:
    shape, fact = FAR[case]
    typed = FACTS + ("x:a a x:B ." if case == "the class of the node itself" else "")
    assert turned(tmp_path, f"{START} {shape} .", fact, typed) == {"a"}


#: Shapes as a whole, the fact that goes, and the nodes whose results turn.
TARGETS = {
    "class that a target is one of by two subclasses": (
        "x:Shape sh:targetClass x:Z ; sh:property [ sh:path x:s ; sh:minCount 1 ] .",
        "x:A rdfs:subClassOf x:Z .",
        {"b"},
    ),
    "shape that is a class": (
        "x:Z a sh:NodeShape , rdfs:Class ; sh:property [ sh:path x:s ; sh:minCount 1 ] .",
        "x:B rdfs:subClassOf x:A .",
        {"b"},
    ),
    "shape that is an instance of a class of classes": (
        "x:Kind rdfs:subClassOf rdfs:Class . "
        "x:B a sh:NodeShape , x:Kind ; sh:property [ sh:path x:s ; sh:minCount 1 ] .",
        "x:b a x:B .",
        {"b"},
    ),
    "node that has a property": ("x:Shape sh:targetSubjectsOf x:t ; sh:class x:H .", "x:h x:t x:a .", {"h"}),
    "node that a property has": ("x:Shape sh:targetObjectsOf x:s ; sh:class x:H .", "x:c x:s x:g .", {"g"}),
    "literal that a property has": (
        "x:Shape sh:targetObjectsOf x:q ; sh:nodeKind sh:IRI .",
        "x:a x:q 5 .",
        {'"5"^^<http://www.w3.org/2001/XMLSchema#integer>'},
    ),
    "node by its name that no other fact names": (
        "x:Shape sh:targetNode x:z ; sh:property [ sh:path [ sh:inversePath x:p ] ; sh:maxCount 0 ] .",
        "x:b x:p x:z .",
        {"z"},
    ),
    "property shape": ("x:Shape sh:targetClass x:Start ; sh:path x:p ; sh:class x:B .", "x:b a x:B .", {"a"}),
    "value of a property shape within another": (
        "x:Shape sh:targetClass x:Start ; sh:property [ sh:path x:p ; sh:property [ sh:path x:q ; sh:class x:D ] ] .",
        "x:d a x:D .",
        {"b"},
    ),
    "value of a property shape within another, to which the way is gone": (
        "x:Shape sh:targetClass x:Start ; sh:property [ sh:path x:p ; sh:property [ sh:path x:s ; sh:minCount 1 ] ] .",
        "x:a x:p x:b .",
        {"b"},
    ),
}


@pytest.mark.parametrize("case", TARGETS)
def test_target_is_found_by_what_goes(tmp_path: Path, case: str) -> None:
    shapes, fact, nodes = TARGETS[case]
    assert turned(tmp_path, shapes, fact) == nodes


#: Shapes whose verdict on x:a hangs on what another node, that nothing leads to, points to.
ANYWHERE = {
    "query": f"{START} sh:sparql [ sh:select 'SELECT $this WHERE {{ ?far <urn:x:u> ?end }}' ] .",
    "constraint component": f"""
        x:Component a sh:ConstraintComponent ; sh:parameter [ sh:path <urn:x/none> ] ;
            sh:validator [ a sh:SPARQLAskValidator ; sh:ask "ASK {{ FILTER NOT EXISTS {{ ?far $none ?end }} }}" ] .
        {START} <urn:x/none> x:u .""",
    "query on a target by its name": "x:Shape sh:targetNode x:z ; "
    "sh:sparql [ sh:select 'SELECT $this WHERE { ?far <urn:x:u> ?end }' ] .",
    "query on a target by what it is told of": "x:Shape sh:targetObjectsOf x:s ; "
    "sh:sparql [ sh:select 'SELECT $this WHERE { ?far <urn:x:u> ?end }' ] .",
}


@pytest.mark.parametrize("case", ANYWHERE)
def test_verdict_turns_with_what_is_anywhere(tmp_path: Path, case: str) -> None:
    assert len(turned(tmp_path, ANYWHERE[case], "x:i x:u x:h .")) == 1


@pytest.mark.filterwarnings("ignore::pyshacl.errors.ShapeRecursionWarning")
def test_verdict_of_a_shape_that_leads_to_itself_turns(tmp_path: Path) -> None:
    chain = "x:Chain sh:property [ sh:path x:p ; sh:node x:Chain ; sh:class x:Link ] ."
    assert "a" in turned(tmp_path, f"{START} sh:node x:Chain . {chain}", "x:b a x:Link .")


def test_shipped_shapes_look_at_a_neighbourhood_alone() -> None:
    assert not screen(tuple(Content.shipped().shapes)).reach.everywhere


_LEAST = "[ sh:path [ sh:inversePath x:to ] ; sh:minCount 2 ]"
#: What a shape says of what points to x:a along x:to, which do so before and after, and whether x:a is judged anew.
COUNTED = {
    "there were enough, one comes": (_LEAST, "ij", "ijk", False),
    "enough are left when one goes": (_LEAST, "ijk", "ij", False),
    "there were not enough": (_LEAST, "i", "ij", True),
    "not enough are left": (_LEAST, "ij", "i", True),
    "there are enough by what comes as another goes": (_LEAST, "ij", "ik", True),
    "there is a limit": ("[ sh:path [ sh:inversePath x:to ] ; sh:minCount 1 ; sh:maxCount 2 ]", "ij", "ijk", True),
    "another shape counts to more": (
        f"{_LEAST} , [ sh:path [ sh:inversePath x:to ] ; sh:minCount 3 ]", "ij", "ijk", True,
    ),
    "another shape looks at what they are": (
        f"{_LEAST} , [ sh:path [ sh:inversePath x:to ] ; sh:nodeKind sh:IRI ]", "ij", "ijk", True,
    ),
    "another shape looks further": (
        f"{_LEAST} , [ sh:path ( [ sh:inversePath x:to ] rdfs:label ) ; sh:minCount 1 ]", "ij", "ijk", True,
    ),
    "another shape looks on along the same": (
        f"{_LEAST} , [ sh:path [ sh:oneOrMorePath [ sh:inversePath x:to ] ] ; sh:minCount 2 ]", "ij", "ijk", True,
    ),
    "a shape has those as its target": (f"{_LEAST} . x:To sh:targetObjectsOf x:to ; sh:class x:No", "ij", "ijk", True),
}  # fmt: skip


@pytest.mark.parametrize("case", COUNTED)
def test_node_that_enough_point_to_is_left_alone(tmp_path: Path, case: str) -> None:
    said, earlier, later, anew = COUNTED[case]
    path = tmp_path / "shapes.ttl"
    path.write_text(f"{PREFIX} {START} sh:property {said} .", "utf-8")

    def pointing(names: Iterable[str]) -> list[ox.Quad]:
        return quads("".join(f"x:{name} x:to x:a ." for name in names), "two")

    with drafted(tmp_path, [*quads(FACTS, "one"), *pointing(earlier)]) as draft:
        before = whole(draft.facts, [path])
        draft.remove(pointing(set(earlier) - set(later)))
        draft.add(pointing(set(later) - set(earlier)))
        check(draft, [path], before)
        reach = screen((path,)).reach
        assert (ox.NamedNode("urn:x:a") in _affected(draft, View(draft.facts), reach, frozenset())) == anew


@pytest.mark.parametrize("doubted", ["before", "now", "now, in bulk"])
def test_node_whose_pointer_another_source_doubts_is_judged_anew(
    tmp_path: Path, doubted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The later source prevails: as it says, x:i points elsewhere, and nothing to x:a when x:j no more does."""
    monkeypatch.setattr("kg.draft._BULK", 0)
    path = tmp_path / "shapes.ttl"
    path.write_text(f"{PREFIX} {START} sh:property [ sh:path [ sh:inversePath x:to ] ; sh:minCount 1 ] .", "utf-8")
    days = f"{DISPUTE['terms']} x:to a owl:FunctionalProperty . {DISPUTE['one']} {DISPUTE['two']}"
    said = [*quads(FACTS + days, "terms"), *quads("x:i x:to x:a .", "two"), *quads("x:j x:to x:a .", "three")]
    doubt = quads("x:i x:to x:b .", "one")
    with drafted(tmp_path, [*said, *(doubt if doubted == "before" else ())]) as draft:
        if doubted == "now":
            draft.add(doubt)
        elif doubted == "now, in bulk":
            incoming = ox.Store()
            incoming.extend(doubt)
            draft.put(incoming)
            assert len(draft.fresh)
        draft.remove(quads("x:j x:to x:a .", "three"))
        assert "urn:x:a" in {f.focus for f in validate(draft, [path]).findings}


#: What sources say of the type of x:b before and after, and whether the verdict on x:a turns.
SAYING: dict[str, tuple[list[str], list[str], bool]] = {
    "both say it at once": ([], ["one", "two"], True),
    "the second says it too": (["one"], ["one", "two"], False),
    "one of two says it no more": (["one", "two"], ["two"], False),
    "both say it no more": (["one", "two"], [], True),
    "another says it instead": (["one"], ["two"], False),
    "two others say it instead": (["one"], ["two", "three"], False),
}


@pytest.mark.parametrize("case", SAYING)
def test_verdict_turns_if_nobody_or_somebody_says(tmp_path: Path, case: str) -> None:
    earlier, later, turns = SAYING[case]
    path = tmp_path / "shapes.ttl"
    path.write_text(f"{PREFIX} {START} sh:property [ sh:path x:p ; sh:class x:Said ] .", "utf-8")
    with drafted(tmp_path, [*quads(FACTS, "one"), *said_by(earlier)]) as draft:
        before = whole(draft.facts, [path])
        draft.remove(q for q in said_by(earlier) if q not in said_by(later))
        draft.add(said_by(later))
        assert (check(draft, [path], before) != before) == turns


def said_by(names: list[str]) -> list[ox.Quad]:
    return [quad for name in names for quad in quads("x:b a x:Said .", name)]


#: Two sources that differ on the number of x:b; the later one prevails, and only the first says anything of x:a.
DISPUTE = {
    "terms": "source-kind:law trade:precedence 1 . x:number a owl:FunctionalProperty .",
    "one": 'source:one dcterms:type source-kind:law ; dcterms:issued "2025-01-02"^^xsd:date . x:b x:number 1 .',
    "two": 'source:two dcterms:type source-kind:law ; dcterms:issued "2025-01-01"^^xsd:date . x:b x:number 2 .',
}


@pytest.mark.parametrize(("issued", "number", "found"), [("2025-01-03", 1, {"a"}), ("2025-01-03", 2, set())])
def test_verdict_turns_with_the_source_that_prevails_on_a_value(
    tmp_path: Path, issued: str, number: int, found: set[str]
) -> None:
    """Nothing new is said of x:a, nor of x:b on whose number two sources differ, but of the day of a source."""
    path = tmp_path / "shapes.ttl"
    path.write_text(f"{PREFIX} {START} sh:property [ sh:path ( x:p x:number ) ; sh:hasValue {number} ] .", "utf-8")
    with drafted(
        tmp_path, [*quads(FACTS, "one"), *(q for name in DISPUTE for q in quads(DISPUTE[name], name))]
    ) as draft:
        overrule(draft)
        rebase(draft)
        draft.remove(quads('source:two dcterms:issued "2025-01-01"^^xsd:date .', "two"))
        draft.add(quads(f'source:two dcterms:issued "{issued}"^^xsd:date .', "two"))
        findings = validate(draft, [path], swayed=overrule(draft)).findings
    assert {f.focus.removeprefix("urn:x:") for f in findings} == found


#: What a shape asks of those that point to x:b, and whether the source that prevails has x:i point elsewhere, before
#: and after.
RIVALS = {
    "which comes to count": ("sh:maxCount 0", True, False),
    "which counts no more": ("sh:minCount 1", False, True),
}


@pytest.mark.parametrize("case", RIVALS)
@pytest.mark.parametrize("bulk", [False, True])
def test_node_is_judged_anew_by_the_rival_value_that_points_to_it(
    tmp_path: Path, case: str, bulk: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Source two says that x:i points to x:b. Nothing new is said of that, but of where it points by source one."""
    asked, earlier, later = RIVALS[case]
    monkeypatch.setattr("kg.draft._BULK", 0 if bulk else 10**6)
    path = tmp_path / "shapes.ttl"
    path.write_text(
        f"{PREFIX} x:S a sh:NodeShape ; sh:targetClass x:B ; "
        f"sh:property [ sh:path [ sh:inversePath x:to ] ; {asked} ] .",
        "utf-8",
    )
    days = f"{DISPUTE['terms']} x:to a owl:FunctionalProperty . {DISPUTE['one']} {DISPUTE['two']} x:b a x:B ."
    said = [*quads(days, "terms"), *quads("x:i x:to x:b .", "two")]
    elsewhere = quads("x:i x:to x:a .", "one")
    with drafted(tmp_path, [*said, *(elsewhere if earlier else ())]) as draft:
        draft.remove(elsewhere if earlier else ())
        if later:
            incoming = ox.Store()
            incoming.extend(elsewhere)
            draft.put(incoming)
        assert "urn:x:b" in {f.focus for f in validate(draft, [path]).findings}


def test_node_of_another_source_is_judged_by_the_word_that_prevails(tmp_path: Path) -> None:
    """x:a rests on the number of x:b: a source that does not prevail on that says nothing against x:a."""
    path = tmp_path / "shapes.ttl"
    path.write_text(f"{PREFIX} {START} sh:property [ sh:path ( x:p x:number ) ; sh:hasValue 1 ] .", "utf-8")
    said = [*quads(FACTS, "one"), *(q for name in ("terms", "one") for q in quads(DISPUTE[name], name))]
    with drafted(tmp_path, said) as draft:
        draft.add(quads(DISPUTE["two"], "two"))
        assert validate(draft, [path]).findings == []
        draft.add(quads('source:two dcterms:issued "2025-01-03"^^xsd:date .', "two"))
        assert [f.focus for f in validate(draft, [path]).findings] == ["urn:x:a"]


def test_query_sees_what_other_sources_say_beside_a_dispute(tmp_path: Path) -> None:
    path = tmp_path / "shapes.ttl"
    query = "SELECT $this WHERE { FILTER NOT EXISTS { ?far <urn:x:u> ?end } }"
    path.write_text(f"{PREFIX} x:Shape sh:targetNode x:b ; sh:sparql [ sh:select '{query}' ] .", "utf-8")
    said = [*quads(FACTS, "one"), *(q for name in ("terms", "one") for q in quads(DISPUTE[name], name))]
    with drafted(tmp_path, said) as draft:
        draft.add(quads(DISPUTE["two"], "two"))
        assert validate(draft, [path]).findings == []


def test_graph_that_names_no_document_is_judged_by_all_that_is_said_of_it(tmp_path: Path) -> None:
    """Another source describes it in full; x:a, which breaks a shape, looks at a part of that."""
    path = tmp_path / "shapes.ttl"
    labelled = "x:Labelled sh:targetClass x:Paper ; sh:property [ sh:path rdfs:label ; sh:minCount 1 ] ."
    printed = "sh:property [ sh:path x:in ; sh:class x:Paper ] , [ sh:path x:page ; sh:minCount 1 ] ."
    path.write_text(f"{PREFIX} {labelled} x:Printed sh:targetSubjectsOf x:in ; {printed}", "utf-8")
    with drafted(tmp_path, quads("source:one a x:Paper ; rdfs:label 'One' .", "two")) as draft:
        draft.add(quads("x:a x:in source:one .", "one"))
        assert [f.focus for f in validate(draft, [path]).findings] == ["urn:x:a"]
