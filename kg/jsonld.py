"""JSON-LD for people who read JSON: compact, with short names from the ontology in place of IRIs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from functools import cache
from itertools import islice
from typing import IO, Any, Final

import pyoxigraph as ox

from kg import constraints, vocabulary
from kg.content import Content
from kg.errors import NotAcceptable
from kg.quads import for_people
from kg.terms import PREFIXES, RDF_TYPE, ROOT, TRADE, compact
from kg.vocabulary import Vocabulary

#: Where the whole context stands, below the server's own address.
PLACE: Final = "context.jsonld"
#: Triples up to which a graph is written compactly: it is held in memory and worked on in Python.
MOST: Final = 5_000
_XSD, _RDF = PREFIXES["xsd"], PREFIXES["rdf"]
_LANGUAGE_STRING: Final = _RDF + "langString"


@cache
def shipped_context() -> dict[str, Any]:
    """The context of the ontology that ships with the package."""
    content = Content.shipped()
    triples = [quad for file in content.ontology.values() for quad in ox.parse(file.read_bytes(), ox.RdfFormat.TURTLE)]
    return context(vocabulary.read(triples, constraints.read(content.shapes)))


def context(terms: Vocabulary) -> dict[str, Any]:
    """The context of a vocabulary: prefixes of vocabularies, a name for each term, and how its values are written.

    Parley's own terms go by their local names, those of other vocabularies by prefixed names. Prefixes for kinds of
    entity are left out, since some of them are names of properties too: entities go by their IRIs.
    """
    names: dict[str, Any] = {
        prefix: namespace
        for prefix, namespace in PREFIXES.items()
        if not namespace.startswith(ROOT) or namespace == TRADE
    }
    names |= {_short(class_.iri): class_.iri for class_ in terms.classes if class_.own}
    for property_ in terms.properties:
        values = _values(property_.kind, [ref.iri for ref in property_.ranges])
        if values:
            names[_short(property_.iri)] = {"@id": property_.iri, **values}
        elif property_.own:
            names[_short(property_.iri)] = property_.iri
    return names


def _short(iri: str) -> str:
    return iri[len(TRADE) :] if iri.startswith(TRADE) else compact(iri)


def _values(kind: str, ranges: list[str]) -> dict[str, str]:
    """How the values of a property are written: as IRIs, of one datatype, or by their language."""
    if kind == "object property":
        return {"@type": "@id"}
    if ranges == [_LANGUAGE_STRING]:
        return {"@container": "@language"}
    [only] = ranges if len(ranges) == 1 else [""]
    if only.startswith(_XSD) and only != _XSD + "string":
        return {"@type": only}
    return {}


def write(statements: Iterable[Any], output: IO[bytes]) -> None:
    """Write triples compactly, with the part of the context that they need.

    Raises:
        NotAcceptable: they are too many, or JSON-LD cannot hold one.
    """
    from pyld.jsonld import compact as compacted

    triples = list(islice(statements, MOST + 1))
    if len(triples) > MOST:
        raise NotAcceptable(
            f"More than {MOST:,} triples are not written as compact JSON-LD.",
            "Ask for application/ld+json without the profile, or for another format.",
        )
    if any(isinstance(triple.object, ox.Triple) for triple in triples):
        raise NotAcceptable("Compact JSON-LD has no triples as terms.", "Ask for text/turtle.")
    triples.sort(key=for_people)
    expanded = json.loads(ox.serialize(triples, format=ox.RdfFormat.JSON_LD) or b"[]")
    for node in expanded:
        _set_types(node)
    # An IRI such as <void:x> would be taken for a prefixed name.
    schemes = {word.partition(":")[0] for word in _words(expanded)}
    names = {name: meaning for name, meaning in shipped_context().items() if name not in schemes}
    document = compacted(expanded, names)
    document.pop("@context", None)
    text = json.dumps({"@context": _used(document, names), **document}, ensure_ascii=False, separators=(",", ":"))
    output.write(text.encode())


def _set_types(node: dict[str, Any]) -> None:
    """The engine writes types as it does any property; JSON-LD has a key for them."""
    types = node.get(RDF_TYPE, [])
    if types and all(set(value) == {"@id"} for value in types):
        node["@type"] = [value["@id"] for value in node.pop(RDF_TYPE)]


def _used(document: Any, names: dict[str, Any]) -> dict[str, Any]:
    """The part of a context that a document needs."""
    words = set(_words(document))
    words |= {word.partition(":")[0] for word in words}
    return {name: meaning for name, meaning in names.items() if name in words}


def _words(value: Any) -> Iterator[str]:
    """Every key and every text."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for entry in value:
            yield from _words(entry)
    elif isinstance(value, dict):
        yield from value
        for entry in value.values():
            yield from _words(entry)
