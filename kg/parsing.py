"""Read RDF files into quads of source graphs, and find the line that a triple stands on."""

from __future__ import annotations

import codecs
import difflib
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pyoxigraph as ox

from kg import formats
from kg.errors import BadData, BadRequest, UnsupportedMedia
from kg.formats import Format
from kg.terms import PREFIXES, RDF_TYPE, SKOLEM, SOURCE, TRADE, compact

if TYPE_CHECKING:
    from typing import IO

_AXIOMS = {
    PREFIXES[prefix] + name
    for prefix, name in (
        ("rdfs", "subClassOf"), ("rdfs", "subPropertyOf"), ("rdfs", "domain"), ("rdfs", "range"), ("owl", "inverseOf"),
        ("owl", "propertyChainAxiom"), ("owl", "sameAs"), ("owl", "equivalentClass"), ("owl", "equivalentProperty"),
        ("owl", "disjointWith"),
    )
}  # fmt: skip
MAX_BYTES = 256 * 1024 * 1024
_SLUG = re.compile(r"[a-z0-9]+(?:[.-][a-z0-9]+)*\Z")
_POSITION = re.compile(r"\AParser error (?:at|between) line (\d+)[^:]*: ")


@dataclass(frozen=True)
class Document:
    """One RDF document on its way in: where it came from, its bytes, its format and the graph it is for."""

    name: str
    data: bytes
    format: Format
    graph: str
    #: Set apart the blank nodes of documents that are merged into one graph.
    salt: str = ""

    @classmethod
    def from_file(cls, path: Path, graph: str | None = None) -> Document:
        """Take a file; its graph is named by the file's stem unless one is given.

        Raises:
            BadRequest: the file cannot be read, or its name makes no source name.
            UnsupportedMedia: the ending is not that of an RDF format.
        """
        form = formats.by_ending(path.name)
        if form is None:
            endings = ", ".join("." + e for f in (*formats.GRAPHS, *formats.DATASETS) for e in f.endings)
            raise UnsupportedMedia(f"{path} has no ending of an RDF format.", f"Use one of: {endings}.")
        try:
            if path.stat().st_size > MAX_BYTES:
                raise BadRequest(f"{path} is larger than {MAX_BYTES >> 20} MB.", "Split it.")
            data = path.read_bytes()
        except OSError as error:
            raise BadRequest(f"{path} cannot be read: {error.strerror}.") from None
        return cls(str(path), data, form, graph or source_iri(path.stem))

    @cached_property
    def quads(self) -> list[ox.Quad]:
        """The quads of the document in their order, blank nodes replaced by IRIs.

        The n-th blank node of a graph gets the same IRI each time, so that an unchanged file changes nothing.

        Raises:
            BadData: the document does not parse.
        """
        return [quad for _, quad in self._numbered]

    def lines(self) -> dict[tuple[str, str, str], int]:
        """(subject, predicate, object) to the line on which the triple ends, for line-based formats."""
        if self.format.name in ("rdfxml", "jsonld"):
            return {}
        return {(str(q.subject), str(q.predicate), str(q.object)): line for line, q in self._numbered}

    @cached_property
    def _numbered(self) -> list[tuple[int, ox.Quad]]:
        """The quads with their lines, literals in the form in which the store gives them back."""
        numbered = list(self._parsed())
        stored = _as_stored({q.object for _, q in numbered if isinstance(q.object, ox.Literal)})
        return [
            (line, ox.Quad(q.subject, q.predicate, stored.get(q.object, q.object), q.graph_name))
            for line, q in numbered
        ]

    def _parsed(self) -> Iterator[tuple[int, ox.Quad]]:
        self._refuse_doctype()
        reader = _LineReader(self.data.removeprefix(codecs.BOM_UTF8))
        graph = ox.NamedNode(self.graph) if self.graph else ox.DefaultGraph()
        nodes = Skolem(self.graph + self.salt)
        try:
            parser = ox.parse(cast("IO[bytes]", reader), _parser_format(self.format), base_iri=self.graph or None)
            for quad in parser:
                target = graph if isinstance(quad.graph_name, ox.DefaultGraph) else nodes.node(quad.graph_name)
                yield (
                    reader.line,
                    ox.Quad(nodes.node(quad.subject), quad.predicate, nodes.replace(quad.object), target),
                )
        except SyntaxError as error:
            text = error.msg
            found = _POSITION.search(text)
            line = error.lineno or (int(found[1]) if found else None)
            raise BadData(f"{_POSITION.sub('', text, count=1)}.", file=self.name, line=line) from None
        except UnicodeDecodeError:
            raise BadData("The file is not UTF-8.", "Save it as UTF-8.", file=self.name) from None
        except ValueError as error:
            raise BadData(f"{error}.", file=self.name) from None

    def _refuse_doctype(self) -> None:
        # Entity declarations let a few bytes grow to gigabytes, or name local files.
        if self.format.name == "rdfxml" and b"<!DOCTYPE" in self.data.replace(b"\0", b"").upper():
            raise BadData("A DOCTYPE is not allowed.", "Write the names out instead of entities.", file=self.name)

    def check_vocabulary(self, known: set[str]) -> None:
        """Refuse names in our own namespace that the ontology does not have, and axioms: those are the ontology's.

        An axiom in a source would change what follows, and what is valid, for every other source.

        Raises:
            BadData: at the first such name or axiom; with the nearest name that the ontology has.
        """
        for line, quad in self._numbered:
            subject = getattr(quad.subject, "value", "")
            if quad.predicate.value in _AXIOMS or subject.startswith(TRADE):
                said = f"{compact(subject)} {compact(quad.predicate.value)}"
                message = f"{said}: a source states facts, not what terms mean."
                raise BadData(message, "Leave it out; the ontology is changed in ontology/.", file=self.name, line=line)
            if quad.predicate.value == RDF_TYPE and getattr(quad.object, "value", "").startswith(PREFIXES["owl"]):
                message = f"A source cannot declare {compact(getattr(quad.object, 'value', ''))}."
                raise BadData(message, "Use the classes and properties of the ontology.", file=self.name, line=line)
            names = [quad.predicate.value]
            if names[0] == RDF_TYPE:
                names.append(getattr(quad.object, "value", ""))
            for name in names:
                if name.startswith(TRADE) and name not in known:
                    local, terms = name.removeprefix(TRADE), [k.removeprefix(TRADE) for k in known]
                    near = difflib.get_close_matches(local, terms, n=1)
                    hint = f"Did you mean trade:{near[0]}?" if near else "See /ontology for its terms."
                    message = f"trade:{local} is not a term of the ontology."
                    raise BadData(message, hint, file=self.name, line=line)


def source_iri(slug: str) -> str:
    """The graph of the source with this slug.

    Raises:
        BadRequest: the slug is not of the form that source names have.
    """
    if not _SLUG.match(slug):
        raise BadRequest(
            f"{slug!r} makes no name for a source.",
            "Name the file like 2025-06-06-asahi-round-5.ttl (lower case, digits, hyphens, dots), or give --graph.",
        )
    return SOURCE + slug


class _LineReader:
    """A binary reader that hands out one line at a time, so that the parser's progress is known by line."""

    def __init__(self, data: bytes) -> None:
        self._lines = iter(data.splitlines(keepends=True))
        self.line = 0

    def read(self, _size: int = -1) -> bytes:
        self.line += 1
        return next(self._lines, b"")


class Skolem:
    """Replaces the blank nodes of one document by IRIs that depend on the graph and their order alone."""

    def __init__(self, graph: str) -> None:
        self._root = SKOLEM + hashlib.sha256(graph.encode()).hexdigest()[:16]
        self._seen: dict[ox.BlankNode, ox.NamedNode] = {}

    def replace(self, term: ox.NamedNode | ox.BlankNode | ox.Literal | ox.Triple) -> ox.NamedNode | ox.Literal:
        """The term itself, or the IRI in place of a blank node."""
        return term if isinstance(term, ox.Literal) else self.node(term)

    def node(self, term: ox.NamedNode | ox.BlankNode | ox.Triple) -> ox.NamedNode:
        if isinstance(term, ox.Triple):
            raise SyntaxError("Triple terms (RDF 1.2) are not taken: name the statement with an IRI of its own")
        if not isinstance(term, ox.BlankNode):
            return term
        if term not in self._seen:
            self._seen[term] = ox.NamedNode(f"{self._root}-{len(self._seen) + 1}")
        return self._seen[term]


def _as_stored(literals: set[ox.Literal]) -> dict[ox.NamedNode | ox.BlankNode | ox.Literal | ox.Triple, ox.Literal]:
    """Literals to what the engine makes of them: it keeps numbers by value, so that "25.0" comes back as "25"."""
    store = ox.Store()
    subject, ordered = ox.NamedNode("urn:x"), list(literals)
    store.extend(ox.Quad(subject, ox.NamedNode(f"urn:{i}"), literal) for i, literal in enumerate(ordered))
    return {ordered[int(q.predicate.value[4:])]: q.object for q in store if isinstance(q.object, ox.Literal)}


def _parser_format(form: Format) -> ox.RdfFormat:
    found = ox.RdfFormat.from_media_type(form.media[0])
    assert found is not None, form.name
    return found


def prefixed_turtle(text: str) -> str:
    """Put our prefixes in front of Turtle that leaves them out (for examples and tests)."""
    return "".join(f"@prefix {name}: <{iri}> .\n" for name, iri in PREFIXES.items()) + text
