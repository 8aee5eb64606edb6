"""What is known of a commit: its record, and the same as facts that a query can ask for."""

from __future__ import annotations

import getpass
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

import pyoxigraph as ox

from kg.terms import HISTORY_GRAPH, PREFIXES, RDF_TYPE

_ABOUT = re.compile(rf"(?:{re.escape(PREFIXES['version'])}|{re.escape(PREFIXES['change'])})(\d+)(?:-\d+)?\Z")


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
    #: The name of the token by which it came over HTTP; `who` then runs the server.
    author: str = ""


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


def told_of(store: ox.Store, version: int) -> tuple[str, str] | None:
    """Time and message of a version, as the history in a store tells them; None if it does not."""
    node, graph = ox.NamedNode(f"{PREFIXES['version']}{version}"), ox.NamedNode(HISTORY_GRAPH)
    told = {q.predicate.value: q.object for q in store.quads_for_pattern(node, None, None, graph)}
    at, message = (
        told.get(PREFIXES[p] + name) for p, name in (("prov", "generatedAtTime"), ("dcterms", "description"))
    )
    if not (isinstance(at, ox.Literal) and isinstance(message, ox.Literal)):
        return None
    return datetime.fromisoformat(at.value).isoformat(timespec="seconds"), message.value


def told_later(store: ox.Store, version: int) -> list[ox.Quad]:
    """What the history in a store tells of the versions after this one."""
    history = store.quads_for_pattern(None, None, None, ox.NamedNode(HISTORY_GRAPH))
    return [quad for quad in history if _version_of(quad.subject) > version]


def _version_of(subject: ox.NamedNode | ox.BlankNode | ox.Triple) -> int:
    """The version that a node of the history is, or tells a change of."""
    about = _ABOUT.match(getattr(subject, "value", ""))
    return int(about[1]) if about else 0


def user() -> str:
    """Who commits."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user may have a number and no name
        return f"uid {os.getuid()}"
