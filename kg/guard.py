"""What a SPARQL text may be, decided before any engine sees it.

The engine's parser recurses on the native stack and its SERVICE and LOAD reach out over the network or read local
files. So the text is cut into the terminals of the SPARQL grammar first: IRIs, strings and comments are opaque,
keywords are reserved words outside of them, and length, tokens and nesting are bounded.

The engine's parser asks for no space around keywords: `1SERVICE`, `p:.SERVICE`, `SERVICESILENT<x>` and, before a
group, `SERVICE:x` all hold the word, as `LOADx:y` does where an operation begins. And it reads `<` as a comparison
where one may stand, so that `<b>` after an operand in parentheses may be the beginning of `a<b`, with a string or a
comment that goes on beyond it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from kg.errors import BadQuery

MAX_LENGTH: Final = 1_000_000
MAX_TOKENS: Final = 60_000
MAX_DEPTH: Final = 200
#: Calls of other servers in one query.
MAX_CALLS: Final = 10

#: The terminals of the grammar, each in the group of its kind; space is one of them, and `mark` any other sign.
TERMINAL = re.compile(
    r"""
    (?P<space>\s+|\#[^\n\r]*)
  | (?P<iri><[^<>"{}|^`\\\x00-\x20]*>)
  | (?P<string>\"\"\"(?:\"{0,2}(?:[^"\\]|\\.))*\"\"\" | '''(?:'{0,2}(?:[^'\\]|\\.))*'''
             | "(?:[^"\\\n\r]|\\.)*" | '(?:[^'\\\n\r]|\\.)*')
  | (?P<variable>[?$]\w+)
  | (?P<language>@[A-Za-z]+(?:-[A-Za-z0-9]+)*)
  | (?P<name>(?:[^\W\d_][\w.-]*)?:
             (?:(?![.-])(?:[\w:.-]|%[0-9A-Fa-f]{2}|\\[_~.\-!$&'()*+,;=/?\#@%])+)? | _:[\w.-]+)
  | (?P<word>[A-Za-z_]\w*)
  | (?P<number>\d[\w.]*)
  | (?P<mark>.)
    """,
    re.VERBOSE | re.DOTALL,
)
#: An IRI token that could also be a comparison and, if it were one, would end elsewhere. `scheme://` never compares.
_AMBIGUOUS = re.compile(r"<(?![A-Za-z][\w+.-]*://)[^'#()]*['#()]")
#: What stands in parentheses before an IRI, but never before a comparison.
_BEFORE_OPERAND: Final = frozenset("(,=!&|+-*/^<>")
_DOT, _ESCAPED_DOT = re.compile(r"(?<!\\)\."), r"\\."
_ESCAPE = re.compile(r"\\u([0-9A-Fa-f]{4})|\\U([0-9A-Fa-f]{8})")
_QUERY_FORMS: Final = frozenset({"SELECT", "ASK", "CONSTRUCT", "DESCRIBE"})
_UPDATE_FORMS: Final = frozenset({"INSERT", "DELETE", "LOAD", "CLEAR", "CREATE", "DROP", "COPY", "MOVE", "ADD", "WITH"})
#: What an update that we take may begin with, for messages.
UPDATE_WORDS: Final = "INSERT, DELETE, WITH, CLEAR, DROP, CREATE, COPY, MOVE or ADD"
_REACHING_OUT: Final = {
    "SERVICE": "SERVICE calls other servers, which is not allowed here. Ask each endpoint on its own.",
    "LOAD": "LOAD fetches documents, which is not allowed here. Load a file with `kg load` or PUT /graphs.",
}
#: Functions whose values differ from one evaluation to the next.
_VOLATILE: Final = ("NOW", "RAND", "UUID", "BNODE")


class Call(NamedTuple):
    """A SERVICE pattern: its endpoint, and where the IRI of that begins and ends in the text."""

    iri: str
    start: int
    end: int


@dataclass(frozen=True)
class Checked:
    """What is known of a query that may be evaluated."""

    #: SELECT, ASK, CONSTRUCT or DESCRIBE.
    form: str
    #: Whether the same text may have another answer on the same facts: it calls NOW(), RAND() or another server.
    volatile: bool
    calls: tuple[Call, ...] = ()


def check_query(text: str, endpoints: Collection[str] = ()) -> Checked:
    """Let a query through that may be evaluated, and may call these endpoints by SERVICE.

    Raises:
        BadQuery: the text is too large or too deep, reaches out of the store, or is no query.
    """
    words = _words(text, endpoints)
    form = _form(words)
    if form in _UPDATE_FORMS:
        raise BadQuery(
            f"This is an update ({form}), not a query.", "A query begins with SELECT, ASK, CONSTRUCT or DESCRIBE."
        )
    if not form:
        raise BadQuery("This is no SPARQL query.", "It needs SELECT, ASK, CONSTRUCT or DESCRIBE.")
    return Checked(form, words.volatile or bool(words.calls), words.calls)


def check_update(text: str) -> None:
    """Let an update through that may be taken apart.

    Raises:
        BadQuery: the text is too large or too deep, reaches out of the store, or is no update.
    """
    words = _words(text)
    form = _form(words)
    if words.loads:
        raise BadQuery(_REACHING_OUT["LOAD"])
    if form in _QUERY_FORMS:
        raise BadQuery(f"This is a query ({form}), not an update.", f"An update begins with {UPDATE_WORDS}.")
    if not form:
        raise BadQuery("This is no SPARQL update.", f"It begins with {UPDATE_WORDS}, and a space after it.")


def with_escaped_dots(text: str) -> str:
    """Write the dots inside local names as `\\.`, where a name has several, as in product:8703.23.01.

    The engine's parser ends a local name before its second dot, against the grammar, and takes the rest for a number
    or the end of the triple.
    """
    return TERMINAL.sub(_escape_dots, text)


def _escape_dots(match: re.Match[str]) -> str:
    prefix, _, local = match[0].partition(":")
    inner = local.rstrip(".")
    if match.lastgroup != "name" or prefix == "_" or inner.count(".") < 2:
        return match[0]
    return f"{prefix}:{_DOT.sub(_ESCAPED_DOT, inner)}{local[len(inner) :]}"


@dataclass
class _Words:
    """The reserved words of a text, upper case, and what else is known from them."""

    reserved: list[str] = field(default_factory=list)
    volatile: bool = False
    calls: tuple[Call, ...] = ()
    #: Whether a name where an operation may begin holds the word LOAD, as `LOADp:x` does for the engine.
    loads: bool = False


def _form(words: _Words) -> str:
    """The first word that makes a text a query or an update, empty if there is none."""
    return next((word for word in words.reserved if word in _QUERY_FORMS or word in _UPDATE_FORMS), "")


def _words(text: str, endpoints: Collection[str] = ()) -> _Words:
    """Check the text as written and with its codepoint escapes decoded; return its words.

    Engines differ in whether `\\u0053ERVICE` is the word SERVICE, so neither reading may hold a forbidden one.
    """
    if len(text) > MAX_LENGTH:
        raise BadQuery(f"The text has {len(text):,} characters.", f"Keep it under {MAX_LENGTH:,}.")
    words = _scan(text, endpoints)
    if "\\u" in text or "\\U" in text:
        decoded = _scan(_ESCAPE.sub(_decode, text), endpoints)
        words.volatile |= decoded.volatile
        words.loads |= decoded.loads
        if len(words.calls) != len(decoded.calls):
            raise BadQuery("It is not clear which endpoints the query calls.", "Write SERVICE without escapes.")
    if len(words.calls) > MAX_CALLS:
        raise BadQuery(f"The query has more than {MAX_CALLS} calls of SERVICE.", "Ask for less at a time.")
    return words


def _decode(match: re.Match[str]) -> str:
    code = int(match[1] or match[2], 16)
    return chr(code) if code < 0x110000 else "\ufffd"


def _scan(text: str, endpoints: Collection[str]) -> _Words:
    words = _Words(calls=tuple(_calls(text, endpoints)) if endpoints else ())
    nesting: list[str] = []
    tokens, previous, last = 0, "", ""
    for match in TERMINAL.finditer(text):
        kind, terminal = match.lastgroup, match[0]
        if kind == "space":
            continue
        tokens += 1
        if tokens > MAX_TOKENS:
            raise BadQuery(
                f"The text has more than {MAX_TOKENS:,} tokens.", "Split it, or load the values from a file."
            )
        if kind == "word":
            words.reserved.append(terminal.upper())
        if words.calls and terminal.upper() == "SERVICE":
            pass
        elif kind in ("word", "number") or (kind == "name" and terminal.count(".") > 1):
            _refuse_reaching_out(terminal)  # a name of several dots may end before the last, see with_escaped_dots
            # A word may be glued to the one before, as in FILTERNOW(). To take too many for volatile does no harm.
            words.volatile |= any(name in terminal.upper() for name in _VOLATILE)
        elif kind == "name" and not nesting and last != "word":
            words.loads |= "LOAD" in terminal.partition(":")[0].upper()
        elif kind == "iri" and nesting[-1:] == ["("] and previous not in _BEFORE_OPERAND:
            if _AMBIGUOUS.match(terminal):
                raise BadQuery(
                    f"{terminal[:80]!r} may be an IRI or a comparison.", "Put a space after each < that compares."
                )
        elif kind == "mark":
            if terminal == "{" and ":" in previous:
                _refuse_reaching_out(previous.partition(":")[0])
            _nest(nesting, terminal, text[match.end() : match.end() + 1])
        previous, last = terminal if kind in ("mark", "name") else "operand", str(kind)
    return words


def _calls(text: str, endpoints: Collection[str]) -> Iterator[Call]:
    """The SERVICE patterns of a text, each of which must name one of the endpoints by its whole IRI.

    None stands in a group that is evaluated once for each solution, where the engine takes a failure for a match; and
    none in another, which goes to the endpoint as it is.
    """
    terminals = [match for match in TERMINAL.finditer(text) if match.lastgroup != "space"]
    depth, barred = 0, 0  # how deep the group is in which none may stand
    for place, match in enumerate(terminals):
        if match[0] == "{":
            depth += 1
            before = [word[0].upper() for word in terminals[max(place - 3, 0) : place]]
            if not barred and ("SERVICE" in before or "".join(before).endswith(("EXISTS", "LATERAL"))):
                barred = depth
        elif match[0] == "}":
            depth -= 1
            barred = barred if depth >= barred else 0
        elif match.lastgroup == "word" and match[0].upper() == "SERVICE":
            silent = [word[0].upper() for word in terminals[place + 1 : place + 2]] == ["SILENT"]
            target, opening = (*terminals[place + 1 + silent : place + 3 + silent], match, match)[:2]
            if barred or target.lastgroup != "iri" or opening[0] != "{":
                raise BadQuery(
                    "SERVICE takes the whole IRI of an endpoint, and does not stand in EXISTS, LATERAL or SERVICE.",
                    "Write SERVICE <https://…> { … }, without a variable or a prefixed name.",
                )
            if target[0][1:-1] not in endpoints:
                raise BadQuery(f"SERVICE may not call {target[0][:200]}.", f"Allowed: {', '.join(sorted(endpoints))}.")
            yield Call(target[0][1:-1], target.start(), target.end())


def _refuse_reaching_out(terminal: str) -> None:
    for word, reason in _REACHING_OUT.items():
        if word in terminal.upper():
            raise BadQuery(reason)


def _nest(nesting: list[str], mark: str, following: str) -> None:
    """Keep account of the open brackets; of `<<` and `>>`, which enclose triple terms, by their first character."""
    if mark in ("(", "{", "[") or mark == following == "<":
        nesting.append(mark)
        if len(nesting) > MAX_DEPTH:
            raise BadQuery(f"The text nests deeper than {MAX_DEPTH} levels.", "Flatten its groups and brackets.")
    elif mark in (")", "}", "]"):
        while nesting and nesting.pop() == "<":
            pass
    elif mark == following == ">" and nesting[-1:] == ["<"]:
        nesting.pop()
