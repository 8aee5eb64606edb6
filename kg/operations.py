"""The text of a SPARQL update, read as its operations.

The engine applies an update as a whole and does not tell what it changed. So the joints of the text are found here,
with the terminals of the guard, and what stands between them is left to the engine: it parses each operation, gives
the quads of a template, and finds the solutions of a pattern.
"""

from __future__ import annotations

import hashlib
import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import pyoxigraph as ox

from kg.errors import BadQuery, BadRequest
from kg.guard import TERMINAL, UPDATE_WORDS, check_update, with_escaped_dots
from kg.quads import TOP, Graph
from kg.terms import PREFIXES

Target = Graph | Literal["ALL", "NAMED"]
#: A term of a template: what stands for itself, or a variable.
Slot = ox.NamedNode | ox.BlankNode | ox.Literal | ox.DefaultGraph | ox.Variable
Template = tuple[tuple[Slot, Slot, Slot, Slot], ...]
_MODIFYING: Final = ("INSERT", "DELETE", "WITH")
_VERBS: Final = (*_MODIFYING, "CLEAR", "DROP", "CREATE", "COPY", "MOVE", "ADD")
_POSITION = re.compile(r"error at (\d+):(\d+)")
NO_TRIPLE_TERMS: Final = ("Triple terms (RDF 1.2) are not taken.", "Name the statement with an IRI of its own.")
_NO_PROLOGUE: Final = ("A PREFIX or BASE cannot be read.", "Write PREFIX name: <IRI>, or BASE <IRI>.")
_UNCLEAR: Final = ("The words of the update run into each other.", "Put a space after each keyword.")


@dataclass(frozen=True)
class Using:
    """The dataset that a request gives for the patterns of an update, as `using-graph-uri` and `using-named-graph-uri`
    do. Both empty: the patterns see what the text says, or the whole graph."""

    default_graphs: tuple[str, ...] = ()
    named_graphs: tuple[str, ...] = ()


EVERYTHING: Final = Using()


@dataclass(frozen=True)
class Modify:
    """Quads to delete and to insert for each solution of a query.

    The other kinds are such too: INSERT DATA and DELETE DATA have an empty pattern, with one solution; DELETE WHERE has
    its pattern as template.
    """

    deletes: Template
    inserts: Template
    query: str
    #: Arguments of the engine's query: those that are left out mean the graphs of the store.
    dataset: dict[str, list[ox.NamedNode]]

    @property
    def writes(self) -> set[Target]:
        """The graphs to write to that are named; others may come with the solutions."""
        graphs = (slots[3] for slots in self.deletes + self.inserts)
        return {graph for graph in graphs if isinstance(graph, ox.NamedNode | ox.DefaultGraph)}


@dataclass(frozen=True)
class Manage:
    """An operation on whole graphs. COPY, MOVE and ADD have a source, the others none."""

    verb: str
    silent: bool
    target: Target
    source: Graph | None = None

    @property
    def writes(self) -> set[Target]:
        return {self.target, self.source} if self.source and self.verb == "MOVE" else {self.target}


def read_operations(
    text: str, using: Using = EVERYTHING, base: str = "", within: ox.NamedNode | None = None
) -> list[Modify | Manage]:
    """Read an update. Relative IRIs are resolved against `base`, and refused without one. `within` is the graph that it
    means by the default graph.

    Raises:
        BadQuery: the text is refused by the guard, or does not parse.
        BadRequest: the dataset is given both with the request and in the text.
    """
    check_update(text)
    text = with_escaped_dots(text)
    context = _Context(text, using, base, within)
    try:
        return [operation for tokens in _cut(text) if (operation := _Reader(tokens, context).operation())]
    except SyntaxError:  # the engine takes more for a template than it does for data
        raise BadQuery("A template of the update holds no quads.", "A literal, for one, is no subject.") from None


@dataclass(frozen=True)
class _Token:
    """A terminal outside of braces, or a whole group in braces (`block`), with its place in the text."""

    kind: str
    text: str
    start: int


def _cut(text: str) -> Iterator[list[_Token]]:
    """The tokens of each operation. There is one after the last semicolon too, which may be empty."""
    tokens: list[_Token] = []
    depth = opened = 0
    for match in TERMINAL.finditer(text):
        kind, terminal = str(match.lastgroup), match[0]
        if kind == "mark" and terminal == "{":
            opened = opened if depth else match.start()
            depth += 1
        elif kind == "mark" and terminal == "}" and depth:
            depth -= 1
            if depth == 0:
                tokens.append(_Token("block", text[opened : match.end()], opened))
        elif depth == 0 and terminal == ";":
            yield tokens
            tokens = []
        elif depth == 0 and kind != "space":
            tokens.append(_Token(kind, terminal, match.start()))
    if depth:
        tokens.append(_Token("block", text[opened:], opened))  # for the engine to say what is missing
    yield tokens


@dataclass
class _Context:
    """What one operation hands on to the next, and what holds for all."""

    text: str
    using: Using
    base: str
    within: ox.NamedNode | None
    prologue: str = ""
    labels: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        # Nobody can write an IRI into a text that depends on the text.
        self._mark = f"urn:parley:{hashlib.sha256(self.text.encode()).hexdigest()}:"

    def run(self, update: str) -> ox.Store:
        """An empty store after an update with the prologue as far as it goes."""
        store = ox.Store()
        store.update(f"{self.prologue}\n{update}", prefixes=PREFIXES, base_iri=self.base or None)
        return store

    def template(self, block: str, within: ox.NamedNode | None) -> Template:
        """The quads of a template, those without a graph in the graph `within`; for the same text in the same order."""
        data = TERMINAL.sub(self._placeholder, block)
        return tuple(
            (
                self._slot(quad.subject),
                self._slot(quad.predicate),
                self._slot(quad.object),
                within if within and quad.graph_name == TOP else self._slot(quad.graph_name),
            )
            for quad in self.run(f"INSERT DATA {data}")
        )

    def _placeholder(self, match: re.Match[str]) -> str:
        return f"<{self._mark}{match[0][1:]}>" if match.lastgroup == "variable" else match[0]

    def _slot(self, term: Slot | ox.Triple) -> Slot:
        if isinstance(term, ox.Triple):
            raise BadQuery(*NO_TRIPLE_TERMS)
        if isinstance(term, ox.NamedNode) and term.value.startswith(self._mark):
            return ox.Variable(term.value.removeprefix(self._mark))
        return term

    def graph(self, name: str) -> ox.NamedNode:
        """The IRI that a name or a relative IRI stands for."""
        (quad,) = self.run(f"INSERT DATA {{ GRAPH {name} {{ <urn:s> <urn:p> 0 }} }}")
        assert isinstance(quad.graph_name, ox.NamedNode)
        return quad.graph_name

    def own_labels(self, block: str) -> None:
        """Refuse a label of a blank node that an earlier block of data has: they would be two nodes."""
        labels = {m[0] for m in TERMINAL.finditer(block) if m.lastgroup == "name" and m[0].startswith("_:")}
        if shared := sorted(labels & self.labels):
            raise BadQuery(f"{shared[0]} stands in two operations.", "One blank node is told of in one INSERT DATA.")
        self.labels |= labels

    def place(self, message: str, start: int) -> str:
        """The engine's words, with the place of the error in the whole text; the prologue was its first line."""
        found = _POSITION.match(message)
        if not found:
            return message
        line, column = int(found[1]) - 2, int(found[2])
        if line < 0:
            return f"in a PREFIX or BASE{message[found.end() :]}"
        if line == 0:
            column += start - (self.text.rfind("\n", 0, start) + 1)
        return f"error at {line + self.text.count(chr(10), 0, start) + 1}:{column}{message[found.end() :]}"


class _Reader:
    """Reads one operation from its tokens."""

    def __init__(self, tokens: list[_Token], context: _Context) -> None:
        self._tokens, self._context = deque(tokens), context

    def operation(self) -> Modify | Manage | None:
        """The operation; None if there is but a prologue or nothing.

        Raises:
            BadQuery: it does not parse.
        """
        self._prologue()
        if not self._tokens:
            return None
        first, last = self._tokens[0], self._tokens[-1]
        verb = self._word(*_VERBS)
        if not verb:
            raise BadQuery(f"{first.text[:40]!r} begins no operation.", f"Begin with {UPDATE_WORDS}, and a space.")
        self._parse(verb, first.start, last.start + len(last.text))
        operation = self._modify(verb) if verb in _MODIFYING else self._manage(verb)
        if self._tokens:
            raise BadQuery(*_UNCLEAR)
        return operation

    def _prologue(self) -> None:
        while word := self._word("PREFIX", "BASE", "VERSION"):
            kinds = ("name", "iri") if word == "PREFIX" else ("iri", "string")
            parts = [self._take(*kinds, problem=_NO_PROLOGUE) for _ in range(2 if word == "PREFIX" else 1)]
            self._context.prologue += f"{word} {' '.join(parts)} "

    def _parse(self, verb: str, start: int, end: int) -> None:
        """Have the engine parse the operation, and so run it on nothing."""
        try:
            self._context.run(self._context.text[start:end])
        except SyntaxError as error:
            raise BadQuery(f"The update does not parse: {self._context.place(error.msg, start)}.") from None
        except (RuntimeError, ValueError) as error:
            # That a graph is not there, in the empty store, says nothing.
            if verb in _MODIFYING or isinstance(error, ValueError):
                raise BadQuery(f"The update cannot be evaluated: {error}.") from None

    def _modify(self, verb: str) -> Modify:
        context = self._context
        deleted = inserted = pattern = "{}"
        dataset: dict[str, list[ox.NamedNode]] = {}
        within = context.within
        if verb == "WITH":
            within = self._graph()
            verb = self._word("DELETE", "INSERT")
        if self._word("DATA"):
            if verb == "DELETE":
                deleted = self._take("block")
            else:
                inserted = self._take("block")
                context.own_labels(inserted)
        elif verb == "DELETE" and self._word("WHERE"):
            deleted = pattern = self._take("block")
            dataset = self._dataset(context.within)
        else:
            deleted = self._take("block") if verb == "DELETE" else "{}"
            inserted = self._take("block") if verb == "INSERT" or self._word("INSERT") else "{}"
            dataset = self._dataset(within)
            self._expect("WHERE")
            pattern = self._take("block")
        query = f"{context.prologue}\nSELECT * WHERE {pattern}"
        return Modify(context.template(deleted, within), context.template(inserted, within), query, dataset)

    def _dataset(self, within: ox.NamedNode | None) -> dict[str, list[ox.NamedNode]]:
        default: list[ox.NamedNode] = []
        named: list[ox.NamedNode] = []
        while self._word("USING"):
            (named if self._word("NAMED") else default).append(self._graph())
        using = self._context.using
        if using != EVERYTHING:
            if default or named or within:
                raise BadRequest(
                    "The dataset is given with the request and in the text.",
                    "Leave out using-graph-uri and using-named-graph-uri, or USING and WITH.",
                )
            default, named = (list(map(ox.NamedNode, iris)) for iris in (using.default_graphs, using.named_graphs))
        if default or named:
            return {"default_graph": default, "named_graphs": named}
        return {"default_graph": [within]} if within else {}

    def _manage(self, verb: str) -> Manage:
        silent = bool(self._word("SILENT"))
        source = None
        if verb in ("COPY", "MOVE", "ADD"):
            source = self._target()
            self._expect("TO")
        target: Any = self._word("ALL", "NAMED") or self._target()
        return Manage(verb, silent, target, source)

    def _target(self) -> Graph:
        if self._word("DEFAULT"):
            return self._context.within or TOP
        self._word("GRAPH")
        return self._graph()

    def _graph(self) -> ox.NamedNode:
        return self._context.graph(self._take("iri", "name"))

    def _word(self, *wanted: str) -> str:
        """Take the next token if it is one of these words; the word, or nothing."""
        if self._tokens and self._tokens[0].kind == "word" and self._tokens[0].text.upper() in wanted:
            return self._tokens.popleft().text.upper()
        return ""

    def _expect(self, word: str) -> None:
        if not self._word(word):
            raise BadQuery(*_UNCLEAR)

    def _take(self, *kinds: str, problem: tuple[str, str] = _UNCLEAR) -> str:
        """Take the next token, which must be of one of these kinds."""
        if not self._tokens or self._tokens[0].kind not in kinds:
            raise BadQuery(*problem)
        return self._tokens.popleft().text
