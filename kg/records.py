"""What is known of a commit: its record, and the same as facts that a query can ask for."""

from __future__ import annotations

import getpass
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import pyoxigraph as ox

from kg.terms import HISTORY_GRAPH, PREFIXES, RDF_TYPE


@dataclass(frozen=True)
class Record:
    """What is known of one commit. Counts are of what sources assert: not of entailments, nor of the merged copy."""

    version: int
    at: str
    who: str
    message: str
    graphs: list[str] = field(default_factory=list)
    added: int = 0
    removed: int = 0
    quads: int = 0
    content: str = ""
    warnings: int = 0


Counts = Mapping[ox.NamedNode | ox.DefaultGraph, int]


def history_of(record: Record, added: Counts, removed: Counts) -> Iterator[ox.Quad]:
    """What a version changed in each source, as facts; they stand in a graph of their own alone."""
    graph, prov, xsd = ox.NamedNode(HISTORY_GRAPH), PREFIXES["prov"], PREFIXES["xsd"]
    version = ox.NamedNode(f"{PREFIXES['version']}{record.version}")

    def fact(subject: ox.NamedNode, predicate: str, value: ox.NamedNode | ox.Literal) -> ox.Quad:
        return ox.Quad(subject, ox.NamedNode(predicate), value, graph)

    yield fact(version, RDF_TYPE, ox.NamedNode(PREFIXES["trade"] + "Version"))
    yield fact(version, prov + "generatedAtTime", ox.Literal(record.at, datatype=ox.NamedNode(xsd + "dateTime")))
    yield fact(version, PREFIXES["dcterms"] + "description", ox.Literal(record.message))
    sources = [name for name in {*added, *removed} if isinstance(name, ox.NamedNode)]
    for number, source in enumerate(sorted(sources, key=str), 1):
        change = ox.NamedNode(f"{PREFIXES['change']}{record.version}-{number}")
        yield fact(change, RDF_TYPE, ox.NamedNode(PREFIXES["trade"] + "Change"))
        yield fact(change, PREFIXES["trade"] + "inVersion", version)
        yield fact(change, PREFIXES["trade"] + "changedSource", source)
        yield fact(change, PREFIXES["trade"] + "factsAdded", ox.Literal(added.get(source, 0)))
        yield fact(change, PREFIXES["trade"] + "factsRemoved", ox.Literal(removed.get(source, 0)))


def user() -> str:
    """Who commits."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user may have a number and no name
        return f"uid {os.getuid()}"
