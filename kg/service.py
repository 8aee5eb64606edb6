"""The SPARQL services described for machines (SPARQL 1.1 Service Description)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

import pyoxigraph as ox

from kg import formats
from kg.catalogue import Summary
from kg.terms import RDF_TYPE
from kg.void import grouped, number, read_template, term, w3c_format

#: Where the description stands, below the server's own address: the query endpoint itself.
PLACE: Final = "sparql"
#: Named graphs that are described; the rest are in the list at /graphs.
MOST_GRAPHS: Final = 1000
_OWN: Final = "A graph of its own."
#: Not sd:UnionDefaultGraph: what Parley writes of the history stands in a graph that is not merged.
_MERGED: Final = "The merge of all sources, with what the ontology entails."


def describe(base: str, summary: Summary, graphs: Iterable[str], *, bare: bool) -> list[ox.Triple]:
    """Describe the services of the server at the address `base`, which ends with a slash; `graphs` are the named graphs
    that are told of.

    Raises:
        BadRequest: the address, which the client's Host header gives, is none.
    """
    triples = read_template("service", base, PLACE)
    query, dataset, default = (ox.NamedNode(f"{base}{PLACE}#{name}") for name in ("query", "dataset", "default"))
    for form in (*formats.ROWS, *formats.GRAPHS):
        triples.append(ox.Triple(query, term("sd:resultFormat"), w3c_format(form)))
    triples.append(ox.Triple(default, term("rdfs:comment"), ox.Literal(_OWN if bare else _MERGED, language="en")))
    if summary.counts is not None:
        triples.append(number(default, "void:triples", summary.counts.triples))
    for place, iri in enumerate(graphs):
        triples += _named(dataset, place, iri)
    return grouped(triples)


def _named(dataset: ox.NamedNode, place: int, iri: str) -> Iterator[ox.Triple]:
    # The labels are fixed, so that one version has one description.
    entry = ox.BlankNode(f"named{place}")
    yield ox.Triple(dataset, term("sd:namedGraph"), entry)
    yield ox.Triple(entry, ox.NamedNode(RDF_TYPE), term("sd:NamedGraph"))
    yield ox.Triple(entry, term("sd:name"), ox.NamedNode(iri))
