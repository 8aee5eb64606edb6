"""Evaluate one query on one open store, within limits, into bytes of one format."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import IO, Any, TypeVar, cast

import pyoxigraph as ox

from kg import formats
from kg.errors import BadQuery, Stopped, Unreachable
from kg.federation import routed
from kg.formats import Format
from kg.guard import Call, check_query, with_escaped_dots
from kg.limits import Enough, FirstRows
from kg.quads import for_people
from kg.store import is_damage
from kg.terms import PREFIXES

#: The native parser and evaluator recurse; a query within the guard's bounds fits in this many bytes.
STACK_BYTES = 512 * 1024 * 1024
#: Statements up to which a graph is small enough to look for the prefixes it uses.
_SMALL = 5_000
_SILENT = "With SERVICE SILENT the query goes on without it."

T = TypeVar("T")


@dataclass(frozen=True)
class Question:
    """A query and the dataset it asks. Empty graph lists mean the whole graph as the store presents it. Relative IRIs
    are resolved against `base`, and refused without one."""

    text: str
    default_graphs: tuple[str, ...] = ()
    named_graphs: tuple[str, ...] = ()
    base: str = ""
    #: Endpoints that it may call by SERVICE, each with its gateway (see `kg.federation`).
    gateways: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)
    form: str = field(init=False)
    #: Whether the same question may have another answer on the same facts.
    volatile: bool = field(init=False)
    calls: tuple[Call, ...] = field(init=False)

    def __post_init__(self) -> None:
        checked = check_query(self.text, self.gateways)
        for name, value in (("form", checked.form), ("volatile", checked.volatile), ("calls", checked.calls)):
            object.__setattr__(self, name, value)

    @classmethod
    def rebuilt(cls, fields: Mapping[str, Any]) -> Question:
        """The question that has these fields, as JSON tells them; its text is not checked again."""
        question = cls.__new__(cls)
        calls = tuple(Call(*call) for call in fields["calls"])
        default, named = tuple(fields["default_graphs"]), tuple(fields["named_graphs"])
        vars(question).update(fields, default_graphs=default, named_graphs=named, calls=calls)
        return question

    @property
    def fields(self) -> dict[str, Any]:
        """What `rebuilt` makes it of."""
        return {**vars(self), "gateways": dict(self.gateways)}

    @property
    def answers_with(self) -> tuple[Format, ...]:
        """The formats that can hold an answer, the preferred one first."""
        return formats.WRITTEN if self.form in ("CONSTRUCT", "DESCRIBE") else formats.ROWS


def solve(store: ox.Store, question: Question) -> ox.QuerySolutions | ox.QueryBoolean | ox.QueryTriples:
    """Start the evaluation. The result is bound to this thread: serialise and drop it here.

    Raises:
        BadQuery: the text does not parse.
    """
    # Those that the text may name: the engine reads each of them anew, which takes as long as a light query.
    prefixes = {name: iri for name, iri in PREFIXES.items() if f"{name}:" in question.text}
    how: dict[str, Any] = {"prefixes": prefixes, "base_iri": question.base or None}
    if question.default_graphs or question.named_graphs:
        how["default_graph"] = [ox.NamedNode(iri) for iri in question.default_graphs]
        how["named_graphs"] = [ox.NamedNode(iri) for iri in question.named_graphs]
    try:
        text = routed(question.text, question.calls, question.gateways)
        return store.query(with_escaped_dots(text), **how)
    except SyntaxError as error:
        raise BadQuery(f"The query does not parse: {error.msg}.") from None
    except ValueError as error:
        raise BadQuery(f"The query cannot be evaluated: {error}.") from None
    except RuntimeError as error:
        if "custom function" not in str(error):
            raise
        raise BadQuery(f"{error}.", "There are the functions of SPARQL 1.1 and no others.") from None


def write(store: ox.Store, question: Question, format: Format, output: IO[bytes], most: int | None = None) -> bool:
    """Evaluate and serialise the answer to `output` as it comes; with `most`, its first rows or triples alone.

    Returns whether there are more than those.

    Raises:
        BadQuery: the text does not parse.
        Unreachable: an endpoint that it calls gives no answer.
        Stopped: it ran out of memory.
    """
    try:
        return _write(store, question, format, output, most)
    except (OSError, RuntimeError) as error:
        if not question.calls or is_damage(error) or isinstance(error, ConnectionError):
            raise
        # The engine's words name the gateway, and after them comes what that said.
        _, told, reason = str(error).partition("with payload:\n")
    # Raised here, where nothing holds the engine's result any more: it must end in this thread.
    raise Unreachable(reason if told else "An endpoint gave no results that can be read.", _SILENT)


def _write(store: ox.Store, question: Question, format: Format, output: IO[bytes], most: int | None) -> bool:
    result = solve(store, question)
    if isinstance(result, ox.QueryTriples) != (format.kind == "graph"):
        # The engine reads CONSTRUCTWHERE as two words, the guard as none.
        raise BadQuery("The form of the query is not clear.", "Put a space after SELECT, ASK, CONSTRUCT or DESCRIBE.")
    try:
        if isinstance(result, ox.QueryTriples):
            write_graph(islice(result, most), format, output)
            return most is not None and next(result, None) is not None
        if isinstance(result, ox.QueryBoolean) and format.name in ("csv", "tsv"):
            output.write(b"true" if result else b"false")
        elif most is None or isinstance(result, ox.QueryBoolean):
            result.serialize(output, _rows_format(format))
        else:
            first = FirstRows(output, format, most)
            result.serialize(cast("IO[bytes]", first), _rows_format(format))
            first.finish()
    except Enough:
        return True
    except MemoryError:
        raise Stopped(
            "The query ran out of memory.", "Ask for less at a time, with LIMIT or a narrower pattern."
        ) from None
    return False


def write_graph(statements: Iterable[Any], format: Format, output: IO[bytes]) -> None:
    """Serialise triples or quads. Turtle and TriG get prefixes: those in use for small graphs, else all of ours. Small
    graphs in Turtle are put in order, so that each subject stands once, whatever came first."""
    if format is formats.COMPACT:
        from kg import jsonld

        jsonld.write(statements, output)
        return
    if format.name not in ("turtle", "trig"):
        ox.serialize(statements, output, _rdf_format(format))
        return
    rest = iter(statements)
    first = list(islice(rest, _SMALL))
    prefixes = PREFIXES if len(first) == _SMALL else _in_use(first)
    if format.name == "turtle" and len(first) < _SMALL:
        first.sort(key=for_people)
    head = _SortedPrefixes(output)
    ox.serialize(chain(first, rest), cast("IO[bytes]", head), _rdf_format(format), prefixes=prefixes)
    head.finish()


def _in_use(statements: Iterable[ox.Quad | ox.Triple]) -> dict[str, str]:
    """Our prefixes whose namespaces occur."""
    iris = set()
    for statement in statements:
        for term in statement:
            named = term if isinstance(term, ox.NamedNode) else getattr(term, "datatype", None)
            if named is not None:
                iris.add(named.value)
    namespaces = {iri[: max(iri.rfind("/"), iri.rfind("#")) + 1] for iri in iris}
    return {prefix: namespace for prefix, namespace in PREFIXES.items() if namespace in namespaces}


class _SortedPrefixes:
    """Passes output on, with the lines of prefixes at its beginning sorted: the engine gives them in any order."""

    def __init__(self, output: IO[bytes]) -> None:
        self._output, self._head, self._done = output, bytearray(), False

    def write(self, data: bytes) -> int:
        if self._done:
            self._output.write(data)
        else:
            self._head += data
            last = bytes(self._head.splitlines()[-1])
            if not (last.startswith(b"@prefix") or b"@prefix".startswith(last)):
                self.finish()
        return len(data)

    def flush(self) -> None:
        """Nothing is held back once the prefixes are over."""

    def finish(self) -> None:
        if not self._done:
            lines = bytes(self._head).splitlines(keepends=True)
            count = next((i for i, line in enumerate(lines) if not line.startswith(b"@prefix")), len(lines))
            self._output.write(b"".join(sorted(lines[:count]) + lines[count:]))
            self._done = True


def _rows_format(format: Format) -> ox.QueryResultsFormat:
    known = ox.QueryResultsFormat
    return {"json": known.JSON, "xml": known.XML, "csv": known.CSV, "tsv": known.TSV}[format.name]


def _rdf_format(format: Format) -> ox.RdfFormat:
    known = ox.RdfFormat
    return {
        "turtle": known.TURTLE,
        "ntriples": known.N_TRIPLES,
        "rdfxml": known.RDF_XML,
        "jsonld": known.JSON_LD,
        "trig": known.TRIG,
        "nquads": known.N_QUADS,
    }[format.name]


def in_deep_thread(work: Callable[[], T], deadline: float | None = None) -> T:
    """Run `work` in a thread with a stack that the native code cannot exhaust; return or raise what it does.

    Raises:
        Stopped: the deadline (in seconds) passed. Native code cannot be interrupted: the caller must end the process.
    """
    outcome: list[T] = []
    failure: list[BaseException] = []

    def run() -> None:
        try:
            outcome.append(work())
        except BaseException as error:
            failure.append(error)

    before = threading.stack_size(STACK_BYTES)
    try:
        thread = threading.Thread(target=run, daemon=True)
        thread.start()
    finally:
        threading.stack_size(before)
    thread.join(deadline)
    if thread.is_alive():
        raise Stopped(
            f"Stopped after {deadline:g} seconds.", "Ask for less at a time, with LIMIT or a narrower pattern."
        )
    if failure:
        raise failure[0]
    return outcome[0]
