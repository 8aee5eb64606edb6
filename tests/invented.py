"""Invented shapes and facts: all constraints, paths and targets of SHACL Core over a handful of names."""

from __future__ import annotations

import random
from functools import lru_cache

import pyoxigraph as ox
from hypothesis import strategies as st

from kg.parsing import prefixed_turtle
from kg.terms import PREFIXES, SOURCE

_NAMES = {name: PREFIXES[name] for name in ("rdf", "rdfs", "sh", "xsd")}
PREFIX = "".join(f"@prefix {name}: <{iri}> .\n" for name, iri in {**_NAMES, "x": "urn:x:"}.items())
Text = st.SearchStrategy[str]

LITERALS = [
    "0", "1", "2", "1.0", "1.5", "-1", "1e0", '"b"', '"bc"', '"b"@en', '"c"@en', '"c"@de', '"C"@EN-us', "true", '""',
    '"2025-01-01"^^xsd:date', '"2025-02-01"^^xsd:date', '"2025-02-30"^^xsd:date', '"2025-01"^^xsd:gYearMonth',
    '"2025-01-01T00:00:00"^^xsd:dateTime', '"many"^^xsd:integer',
]  # fmt: skip
NODES = ["x:a", "x:b", "x:c", "x:d"]
CLASSES = ["x:A", "x:B", "x:C"]
PROPERTIES = ["x:p", "x:q", "x:r"]
DATATYPES = ["xsd:string", "xsd:integer", "xsd:decimal", "xsd:date", "rdf:langString", "xsd:gYearMonth", "xsd:boolean"]
KINDS = ["IRI", "Literal", "BlankNode", "IRIOrLiteral", "BlankNodeOrIRI", "BlankNodeOrLiteral"]

few = st.integers(0, 3).map(str)
number = st.sampled_from(["0", "1", "1.5", '"2025-01-15"^^xsd:date'])
nodes, classes, properties = st.sampled_from(NODES), st.sampled_from(CLASSES), st.sampled_from(PROPERTIES)
literals = st.sampled_from(LITERALS)
terms = nodes | nodes | classes | literals


def listed(items: Text, least: int = 1) -> Text:
    return st.lists(items, min_size=least, max_size=3).map(lambda found: f"( {' '.join(found)} )")


def chosen(parts: dict[str, Text], least: int, most: int) -> Text:
    """Some of the constraints, each once."""
    names = st.lists(st.sampled_from(sorted(parts)), min_size=least, max_size=most, unique=True)
    stated = names.flatmap(lambda found: st.tuples(*(parts[n].map(f"sh:{n} {{}} ;".format) for n in found)))
    return stated.map(" ".join)


#: Constraints on each value, for node shapes and property shapes.
ON_EACH: dict[str, Text] = {
    "datatype": st.sampled_from(DATATYPES),
    "class": classes,
    "nodeKind": st.sampled_from(KINDS).map("sh:{}".format),
    "pattern": st.sampled_from(["'^b'", "'1'", "'^urn:x:[a-b]$'", "'C' ; sh:flags 'i'"]),
    "in": listed(terms),
    "minInclusive": number,
    "maxInclusive": number,
    "minExclusive": number,
    "maxExclusive": number,
    "minLength": few,
    "maxLength": few,
    "languageIn": listed(st.sampled_from(["'en'", "'de'"])),
    "hasValue": terms,
    "equals": properties,
    "disjoint": properties,
    "closed": st.sampled_from(["true", "true ; sh:ignoredProperties ( rdf:type x:p )", "false"]),
    "severity": st.sampled_from(["sh:Warning", "sh:Info", "sh:Violation", "x:Grave"]),
    "deactivated": st.sampled_from(["false", "false", "true"]),
}
#: Constraints on the values of a path together.
ON_PATH: dict[str, Text] = {
    "minCount": few,
    "maxCount": few,
    "uniqueLang": st.sampled_from(["true", "false"]),
    "lessThan": properties,
    "lessThanOrEquals": properties,
}


def longer(path: Text) -> Text:
    """Paths around smaller ones."""
    one = st.sampled_from(["inversePath", "zeroOrMorePath", "oneOrMorePath", "zeroOrOnePath"])
    return st.one_of(
        st.tuples(one, path).map(lambda pair: "[ sh:{} {} ]".format(*pair)),
        listed(path, 2),
        listed(path, 2).map("[ sh:alternativePath {} ]".format),
    )


paths = properties | st.recursive(
    properties | st.sampled_from(["rdf:type", "rdfs:label", "rdfs:subClassOf"]), longer, max_leaves=3
)


def parts(shape: Text) -> Text:
    """Constraints that hold shapes of their own."""
    inner = shape.map("[ {} ]".format)
    return st.one_of(
        st.tuples(st.sampled_from(["or", "and", "xone"]), listed(inner)).map(lambda pair: "sh:{} {} ;".format(*pair)),
        st.tuples(st.sampled_from(["not", "node"]), inner).map(lambda pair: "sh:{} {} ;".format(*pair)),
        st.sampled_from(["sh:node x:Named ;", "sh:not x:Named ;", "sh:property x:NamedProperty ;"]),
        on_path(shape).map("sh:property [ {} ] ;".format),
    )


def on_path(shape: Text) -> Text:
    """Property shapes without brackets. They hold shapes as well, but no property shape: that is a case of its own."""
    counted = st.builds(
        "sh:qualifiedValueShape [ {} ] ; sh:{} {} ; {}".format,
        shape,
        st.sampled_from(["qualifiedMinCount", "qualifiedMaxCount"]),
        few,
        st.sampled_from(["", "sh:qualifiedValueShapesDisjoint true ;"]),
    )
    nested = st.tuples(st.sampled_from(["node", "not"]), shape).map(lambda pair: "sh:{} [ {} ] ;".format(*pair))
    each, together = chosen(ON_EACH, 1, 2), chosen(ON_PATH, 1, 1)
    return st.builds("sh:path {} ; {} {}".format, paths, each, st.one_of(together, counted, nested, nested))


def nested(shape: Text) -> Text:
    return st.builds("{} {}".format, chosen(ON_EACH, 0, 1), parts(shape))


bodies = st.recursive(chosen(ON_EACH, 1, 2), nested, max_leaves=4)
#: Targets that the first look knows, and all of them.
screened = st.builds("sh:targetClass {}".format, classes) | st.builds("sh:targetSubjectsOf {}".format, properties)
targets = st.one_of(
    screened,
    screened,
    st.builds("sh:targetNode {}".format, terms),
    st.builds("sh:targetObjectsOf {}".format, properties),
)
#: Property shapes of one node shape, whose values may be counted apart from each other's.
siblings = st.lists(on_path(bodies).map("sh:property [ {} ] ;".format), min_size=1, max_size=2).map(" ".join)
plain = st.builds("[] a sh:NodeShape ; {} ; {} {} .".format, screened, siblings, chosen(ON_EACH, 0, 1))
odd = st.one_of(
    st.builds("[] a sh:NodeShape ; {} ; {} .".format, targets, bodies),
    st.builds("x:Property a sh:PropertyShape ; {} ; {} .".format, targets, on_path(bodies)),
    st.builds("{} a sh:NodeShape , rdfs:Class ; {} .".format, classes, siblings),
    st.builds("{} a sh:NodeShape , x:Kind ; {} . x:Kind rdfs:subClassOf rdfs:Class .".format, classes, bodies),
    # A property shape within one: its results are about the values of the outer path.
    st.builds("[] a sh:NodeShape ; {} ; sh:property [ sh:path {} ; {} ] .".format, targets, paths, siblings),
)
targeted = plain | plain | plain | odd
#: The text of a file of shapes.
shapes = st.builds(
    "{}\nx:Named a sh:NodeShape ; {}\n.\nx:NamedProperty {}\n.\n{}\n".format,
    st.just(PREFIX),
    chosen(ON_EACH, 1, 2),
    st.builds("sh:path {} ; {} {}".format, properties, chosen(ON_EACH, 0, 1), chosen(ON_PATH, 0, 1)),
    st.lists(targeted, min_size=1, max_size=2, unique_by=lambda text: text.split(" ; ")[0]).map("\n".join),
)


def quads(text: str, source: str) -> list[ox.Quad]:
    """What Turtle without its prefixes says, as quads of a source in the terms of the engine."""
    store, graph = ox.Store(), ox.NamedNode(SOURCE + source)
    store.load(prefixed_turtle("@prefix x: <urn:x:> .\n" + text).encode(), ox.RdfFormat.TURTLE, to_graph=graph)
    return list(store)


@lru_cache(maxsize=4096)
def quad(subject: str, predicate: str, object: str, source: str) -> ox.Quad:
    (found,) = quads(f"{subject} {predicate} {object} .", source)
    return found


def said(chance: random.Random) -> ox.Quad:
    """Something that a source may say; much of it ties the nodes to each other and to their classes."""
    source = chance.choice(("one", "two"))
    kind = chance.random()
    if kind < 0.15:
        return quad(chance.choice(CLASSES), "rdfs:subClassOf", chance.choice(CLASSES), source)
    if kind < 0.4:
        return quad(chance.choice(NODES), "rdf:type", chance.choice(CLASSES), source)
    if kind < 0.5:
        return quad(chance.choice(NODES), "rdfs:label", chance.choice(LITERALS), source)
    values = [*NODES, *NODES, *NODES, chance.choice(CLASSES), *chance.sample(LITERALS, 4)]
    return quad(chance.choice(NODES), chance.choice(PROPERTIES), chance.choice(values), source)


def facts(chance: random.Random) -> list[ox.Quad]:
    return [said(chance) for _ in range(chance.randint(10, 40))]


def change(chance: random.Random, present: list[ox.Quad]) -> tuple[list[ox.Quad], list[ox.Quad]]:
    """Some of the quads that are present, which go, and others that come; now and then both sources say the same."""
    gone = chance.sample(present, min(len(present), chance.choice((0, 1, 1, 2, 3))))
    new = [said(chance) for _ in range(chance.choice((0, 1, 1, 2)))]
    if chance.random() < 0.2:
        gone = [q for q in present if q.triple in {g.triple for g in gone}]
        new += [
            ox.Quad(q.subject, q.predicate, q.object, ox.NamedNode(SOURCE + name))
            for q in new
            for name in ("one", "two")
        ]
    return gone, new
