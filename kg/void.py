"""The graph described for machines (VoID and DCAT): what Turtle files say, and what only the server knows."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Final

import pyoxigraph as ox

from kg import formats
from kg.catalogue import Counts, Summary
from kg.errors import BadRequest
from kg.evaluation import write_graph
from kg.formats import Format
from kg.terms import PREFIXES, RDF_TYPE, expand

#: Where the description stands, below the server's own address.
PLACE: Final = ".well-known/void"
_FOLDER: Final = Path(__file__).parent / "templates"
_MEDIA_TYPES: Final = "https://www.iana.org/assignments/media-types/"
_W3C_FORMATS: Final = "http://www.w3.org/ns/formats/"
_FEATURES: Final = {
    "turtle": "Turtle",
    "ntriples": "N-Triples",
    "rdfxml": "RDF_XML",
    "jsonld": "JSON-LD",
    "json": "SPARQL_Results_JSON",
    "xml": "SPARQL_Results_XML",
    "csv": "SPARQL_Results_CSV",
    "tsv": "SPARQL_Results_TSV",
}

#: What the default graph is, which the numbers and the downloads are of.
_MERGED: Final = "The merge of all graphs, with what the ontology entails"
_BARE: Final = "The default graph"

Node = ox.NamedNode | ox.BlankNode


def describe(base: str, summary: Summary, *, bare: bool) -> list[ox.Triple]:
    """Describe the graph of the server at the address `base`, which ends with a slash.

    Raises:
        BadRequest: the address, which the client's Host header gives, is none.
    """
    triples = read_template("server", base, PLACE) + read_template("bare" if bare else "parley", base, PLACE)
    dataset = ox.NamedNode(f"{base}{PLACE}#dataset")
    triples += _version(dataset, summary)
    triples += _distributions(dataset, base, _BARE if bare else _MERGED)
    if summary.counts is not None:
        triples += _numbers(dataset, summary.counts)
    return grouped(triples)


def grouped(triples: list[ox.Triple]) -> list[ox.Triple]:
    """The triples with all of a subject and of a property together, in the order in which they come first."""
    subjects = {triple.subject: place for place, triple in reversed(list(enumerate(triples)))}
    names = {triple.predicate: place for place, triple in reversed(list(enumerate(triples)))}
    return sorted(triples, key=lambda triple: (subjects[triple.subject], names[triple.predicate]))


def serialised(triples: list[ox.Triple], format: Format) -> bytes:
    output = BytesIO()
    write_graph(triples, format, output)
    return output.getvalue()


def read_template(name: str, base: str, place: str) -> list[ox.Triple]:
    """What a Turtle file says of a server at the address `base`, with addresses relative to a place on it.

    Raises:
        BadRequest: the address is none.
    """
    text = (_FOLDER / f"{name}.ttl").read_bytes()
    try:
        parsed = ox.parse(text, ox.RdfFormat.TURTLE, base_iri=base + place, rename_blank_nodes=True)
        return [quad.triple for quad in parsed]
    except (ValueError, SyntaxError):
        raise BadRequest("The Host header gives no address.", "Send the name of the server.") from None


def w3c_format(form: Format) -> ox.NamedNode:
    """The name of the W3C for a format."""
    return ox.NamedNode(_W3C_FORMATS + _FEATURES[form.name])


def term(name: str) -> ox.NamedNode:
    """The term of a prefixed name."""
    return ox.NamedNode(expand(name) or name)


def _version(dataset: ox.NamedNode, summary: Summary) -> Iterator[ox.Triple]:
    if summary.version:
        yield ox.Triple(dataset, term("dcat:version"), ox.Literal(str(summary.version)))
    for name, time in (("dcterms:issued", summary.issued), ("dcterms:modified", summary.modified)):
        if time:
            yield ox.Triple(dataset, term(name), ox.Literal(time, datatype=term("xsd:dateTime")))


def _distributions(dataset: ox.NamedNode, base: str, what: str) -> Iterator[ox.Triple]:
    """The default graph to download, in each format."""
    for form in formats.GRAPHS:
        dump, node = (
            ox.NamedNode(f"{base}graphs?default&format={form.name}"),
            ox.NamedNode(f"{base}{PLACE}#{form.name}"),
        )
        yield ox.Triple(dataset, term("void:feature"), w3c_format(form))
        yield ox.Triple(dataset, term("void:dataDump"), dump)
        yield ox.Triple(dataset, term("dcat:distribution"), node)
        yield ox.Triple(node, ox.NamedNode(RDF_TYPE), term("dcat:Distribution"))
        title = f"{what}, as {form.media[0]}"
        yield ox.Triple(node, term("dcterms:title"), ox.Literal(title, language="en"))
        yield ox.Triple(node, term("dcat:downloadURL"), dump)
        yield ox.Triple(node, term("dcat:accessURL"), dump)
        yield ox.Triple(node, term("dcat:mediaType"), ox.NamedNode(_MEDIA_TYPES + form.media[0]))


def _numbers(dataset: ox.NamedNode, counts: Counts) -> Iterator[ox.Triple]:
    yield number(dataset, "void:triples", counts.triples)
    yield number(dataset, "void:entities", counts.entities)
    yield number(dataset, "void:classes", len(counts.classes))
    yield number(dataset, "void:properties", len(counts.properties))
    parts = [("class", "void:entities", *item) for item in sorted(counts.classes.items())]
    parts += [("property", "void:triples", *item) for item in sorted(counts.properties.items())]
    for place, (kind, counted, iri, count) in enumerate(parts):
        # The labels are fixed, so that one version has one description.
        node = ox.BlankNode(f"part{place}")
        yield ox.Triple(dataset, term(f"void:{kind}Partition"), node)
        yield ox.Triple(node, term(f"void:{kind}"), ox.NamedNode(iri))
        yield number(node, counted, count)


def number(node: Node, name: str, count: int) -> ox.Triple:
    """A statement of a number."""
    return ox.Triple(node, term(name), ox.Literal(str(count), datatype=ox.NamedNode(PREFIXES["xsd"] + "integer")))
