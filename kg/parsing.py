"""Read RDF files into quads of source graphs, and find the line that a triple stands on."""

from __future__ import annotations

import codecs
import dataclasses
import gzip
import hashlib
import os
import re
import zlib
from collections.abc import Iterator, Set
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pyoxigraph as ox

from kg import formats
from kg.errors import BadData, BadRequest, UnsupportedMedia
from kg.formats import Format
from kg.quads import LONG_TERM, MAX_TERM, is_long
from kg.terms import PREFIXES, SKOLEM, SOURCE

if TYPE_CHECKING:
    from typing import IO

MAX_BYTES = 256 * 1024 * 1024
#: Bytes that a compressed document may unpack to.
MAX_UNPACKED = 4 * 1024 * 1024 * 1024
_SLUG = re.compile(r"[a-z0-9]+(?:[.-][a-z0-9]+)*\Z")
_POSITION = re.compile(r"\AParser error (?:at|between) line (\d+)[^:]*: ")
#: Bytes that are hashed, or looked through, at a time.
_BLOCK = 1 << 20
#: Characters of the parser's words that are passed on: it quotes what it cannot read.
_QUOTED = 300
#: Levels of nested XML elements.
_DEEPEST = 500
#: The formats with a statement on each line.
_BY_LINE = frozenset(("ntriples", "nquads"))
#: The endings of RDF files, in words.
_ENDINGS = ", ".join("." + e for f in (*formats.GRAPHS, *formats.DATASETS) for e in f.endings) + "; .gz may follow"

Triple = tuple[str, str, str]


@dataclass(frozen=True)
class Document:
    """One RDF document on its way in: where it came from, its bytes or its file, its format and the graph it is for.

    A file whose name ends with `.gz` is unpacked while it is read.
    """

    name: str
    data: bytes | Path
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
        plain = _unpacked(path)
        form = formats.by_ending(plain.name)
        if form is None:
            raise UnsupportedMedia(f"{path} has no ending of an RDF format.", f"Use one of: {_ENDINGS}.")
        try:
            if not path.is_file() and path.exists():  # a pipe or a device can be read once, or for ever
                raise BadRequest(f"{path} is no regular file.", "Save what it holds to one.")
            with path.open("rb"):
                pass
        except OSError as error:
            raise BadRequest(f"{path} cannot be read: {error.strerror}.") from None
        return cls(str(path), path, form, graph or source_iri(plain.stem))

    @property
    def claims_graph(self) -> bool:
        """Whether it speaks for its graph as a whole, even if it says nothing; a data set names its graphs itself."""
        return self.format.kind == "graph"

    def salted(self) -> Document:
        """The same with blank nodes that no other document has."""
        digest = hashlib.sha256()
        with self._open() as file:
            while block := file.read(_BLOCK):
                digest.update(block)
        return dataclasses.replace(self, salt=digest.hexdigest())

    def quads(self) -> Iterator[ox.Quad]:
        """The quads in their order, read anew each time; blank nodes are replaced by IRIs.

        The n-th blank node of a graph gets the same IRI each time, so that an unchanged file changes nothing.

        Raises:
            BadData: the document does not parse.
        """
        return (quad for _, quad in self.numbered())

    def lines(self, wanted: Set[Triple]) -> dict[Triple, int]:
        """The line on which a triple ends, for those wanted that are found and for line-based formats.

        A triple is (subject, predicate, object) in N-Triples form, as the engine gives the terms back.
        """
        if self.format.name in ("rdfxml", "jsonld"):
            return {}
        subjects, starts = {triple[0] for triple in wanted}, {triple[:2] for triple in wanted}
        found: dict[Triple, int] = {}
        for line, quad in self.numbered(frozenset(subject.encode() for subject in subjects)):
            subject = str(quad.subject)
            if subject in subjects and (subject, str(quad.predicate)) in starts:
                found[subject, str(quad.predicate), str(as_stored(quad.object))] = line
        return {triple: line for triple, line in found.items() if triple in wanted}

    def numbered(self, subjects: Set[bytes] | None = None) -> Iterator[tuple[int, ox.Quad]]:
        """The quads with the lines that they end on (from 1); where that can be told from a line alone, only those with
        one of the subjects, if any are given."""
        if self.format.name == "rdfxml":
            self._screen_xml()
        by_line = self.format.name in _BY_LINE
        graph = ox.NamedNode(self.graph) if self.graph else ox.DefaultGraph()
        nodes = Skolem(self.graph + self.salt)
        try:
            with self._open() as file:
                reader = _LineReader(file) if subjects is None or not by_line else _LinesOf(file, subjects)
                parser = ox.parse(cast("IO[bytes]", reader), _parser_format(self.format), base_iri=self.graph or None)
                for quad in parser:
                    made = nodes.quad(quad, graph)
                    if (reader.size > MAX_TERM or not by_line) and is_long(made):
                        raise BadData(*LONG_TERM, file=self.name, line=reader.line)
                    yield reader.line, made
        except SyntaxError as error:
            found = _POSITION.search(error.msg)
            line = error.lineno or (int(found[1]) if found else None)
            reason = _shortened(_POSITION.sub("", error.msg, count=1))
            raise BadData(f"{reason}.", file=self.name, line=line) from None
        except UnicodeDecodeError:
            raise BadData("The file is not UTF-8.", "Save it as UTF-8.", file=self.name) from None
        except (OSError, EOFError, zlib.error) as error:
            raise BadData(f"The file cannot be read: {error}.", file=self.name) from None
        except ValueError as error:
            raise BadData(f"{_shortened(str(error))}.", file=self.name) from None

    @contextmanager
    def _open(self) -> Iterator[IO[bytes]]:
        """The bytes of the document, unpacked and without a byte order mark."""
        with ExitStack() as stack:
            file: IO[bytes]
            if isinstance(self.data, bytes):
                file = BytesIO(self.data)
            elif self.data.suffix == ".gz":
                file = cast("IO[bytes]", stack.enter_context(gzip.open(self.data)))
            else:
                file = stack.enter_context(self.data.open("rb"))
            if file.read(len(codecs.BOM_UTF8)) != codecs.BOM_UTF8:
                file.seek(0)
            before = self._stamp(file)
            yield file
            if self._stamp(file) != before:
                raise BadData("The file changed while it was read.", "Load it when it is whole.", file=self.name)

    def _stamp(self, file: IO[bytes]) -> tuple[int, int]:
        """What tells that a file on disk was written to."""
        if isinstance(self.data, bytes):
            return 0, 0
        status = os.fstat(file.fileno())
        return status.st_size, status.st_mtime_ns

    def _screen_xml(self) -> None:
        """Refuse what would exhaust the parser: entities, with which a few bytes grow to gigabytes or name local files,
        and elements nested so deep that its time grows with the square."""
        from xml.parsers import expat

        depth = 0

        def refuse_doctype(*_: object) -> None:
            raise BadData("A DOCTYPE is not allowed.", "Write the names out instead of entities.", file=self.name)

        def start(*_: object) -> None:
            nonlocal depth
            depth += 1
            if depth > _DEEPEST:
                line = parser.CurrentLineNumber
                raise BadData(f"More than {_DEEPEST} elements are nested.", "Flatten it.", file=self.name, line=line)

        def end(*_: object) -> None:
            nonlocal depth
            depth -= 1

        parser = expat.ParserCreate()
        parser.StartDoctypeDeclHandler = refuse_doctype
        parser.StartElementHandler, parser.EndElementHandler = start, end
        try:
            with self._open() as file:
                # Not ParseFile: it hands out 2 kB at a time, and expat reads an endless name anew with each.
                while block := file.read(_BLOCK):
                    parser.Parse(block)
                parser.Parse(b"", True)
        except expat.ExpatError as error:
            reason = expat.errors.messages[error.code]
            raise BadData(f"The XML does not parse: {reason}.", file=self.name, line=error.lineno) from None
        except (ValueError, LookupError):  # an encoding that expat has to ask Python for
            raise BadData("The file is not UTF-8.", "Save it as UTF-8.", file=self.name) from None


def _shortened(text: str) -> str:
    """So short that it can be read, in one line, and without what would steer a terminal."""
    shown = "".join(c if c.isprintable() else f"\\u{ord(c):04X}" for c in text[:_QUOTED])
    return shown if len(text) <= _QUOTED else f"{shown} …"


def rdf_files(path: Path) -> list[Path]:
    """The RDF files that a path stands for: a file for itself, a folder for all in it and below, sorted by path.

    What is hidden (its name begins with a dot) does not count.

    Raises:
        BadRequest: the folder holds none.
    """
    if not path.is_dir():
        return [path]
    inside = (p for p in path.rglob("*") if not any(part.startswith(".") for part in p.relative_to(path).parts))
    found = sorted(p for p in inside if formats.by_ending(_unpacked(p).name) and p.is_file())
    if not found:
        raise BadRequest(f"The folder {path} holds no RDF file.", f"Files count that end in {_ENDINGS}.")
    return found


def _unpacked(path: Path) -> Path:
    """The path without the ending of a compressed file."""
    return path.with_suffix("") if path.suffix == ".gz" else path


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
    """A binary reader that hands out one line at a time, so that the parser's progress is known by line; of a long one
    as much as the parser asks for."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self._unpacked, self._ended = file, 0, True
        self.line = 0
        #: Bytes of the line so far.
        self.size = 0

    def read(self, size: int) -> bytes:
        piece = self._file.readline(size)
        self.line += self._ended
        self.size = len(piece) if self._ended else self.size + len(piece)
        self._ended = piece.endswith(b"\n")
        self._unpacked += len(piece)
        if self._unpacked > MAX_UNPACKED and isinstance(self._file, gzip.GzipFile):
            raise ValueError(f"It unpacks to more than {MAX_UNPACKED >> 30} GB; split it, or unpack it first")
        return piece


class _LinesOf(_LineReader):
    """One of a format with a statement on each line, that leaves out lines with other subjects than those given."""

    def __init__(self, file: IO[bytes], subjects: Set[bytes]) -> None:
        super().__init__(file)
        self._subjects = subjects

    def read(self, size: int) -> bytes:
        piece = super().read(size)
        while self._is_idle(piece):
            piece = super().read(size)
        return piece

    def _is_idle(self, piece: bytes) -> bool:
        """Whether it is a whole line with another subject, and with neither a blank node, which is counted, nor an
        escape in a name."""
        return (
            self._ended
            and len(piece) == self.size
            and piece.startswith(b"<")
            and piece[: piece.find(b">") + 1] not in self._subjects
            and b"_:" not in piece
            and b"\\u" not in piece
            and b"\\U" not in piece
        )


class Skolem:
    """Replaces the blank nodes of one document by IRIs that depend on the graph and their order alone."""

    def __init__(self, graph: str) -> None:
        self._root = SKOLEM + hashlib.sha256(graph.encode()).hexdigest()[:16]
        self._seen: dict[ox.BlankNode, ox.NamedNode] = {}

    def quad(self, quad: ox.Quad, graph: ox.NamedNode | ox.DefaultGraph) -> ox.Quad:
        """The quad without blank nodes, in `graph` if it names none."""
        subject, object, target = quad.subject, quad.object, quad.graph_name
        plain = isinstance(object, (ox.NamedNode, ox.Literal))
        if plain and isinstance(subject, ox.NamedNode) and isinstance(target, ox.NamedNode):
            return quad
        named = graph if isinstance(target, ox.DefaultGraph) else self.node(target)
        value = object if isinstance(object, ox.Literal) else self.node(object)
        return ox.Quad(self.node(subject), quad.predicate, value, named)

    def node(self, term: ox.NamedNode | ox.BlankNode | ox.Triple) -> ox.NamedNode:
        if isinstance(term, ox.NamedNode):
            return term
        if isinstance(term, ox.Triple):
            raise SyntaxError("Triple terms (RDF 1.2) are not taken: name the statement with an IRI of its own")
        if term not in self._seen:
            self._seen[term] = ox.NamedNode(f"{self._root}-{len(self._seen) + 1}")
        return self._seen[term]


def as_stored(term: ox.NamedNode | ox.BlankNode | ox.Literal | ox.Triple) -> ox.NamedNode | ox.BlankNode | ox.Literal:
    """What the engine makes of a term: it keeps numbers by value, so that "25.0" comes back as "25"."""
    store, node = ox.Store(), ox.NamedNode("urn:x")
    store.add(ox.Quad(node, node, term))
    (quad,) = store
    return cast("ox.NamedNode | ox.BlankNode | ox.Literal", quad.object)


def _parser_format(form: Format) -> ox.RdfFormat:
    found = ox.RdfFormat.from_media_type(form.media[0])
    assert found is not None, form.name
    return found


def prefixed_turtle(text: str) -> str:
    """Put our prefixes in front of Turtle that leaves them out (for examples and tests)."""
    return "".join(f"@prefix {name}: <{iri}> .\n" for name, iri in PREFIXES.items()) + text
