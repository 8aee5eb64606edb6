"""What a SPARQL text may be, decided before any engine sees it.

The engine's parser recurses on the native stack and its SERVICE and LOAD reach out over the network or read local
files. So the text is cut into the terminals of the SPARQL grammar first: IRIs, strings and comments are opaque,
keywords are reserved words outside of them, and length, tokens and nesting are bounded.

The engine's parser asks for no space around keywords: `1SERVICE`, `p:.SERVICE`, `SERVICESILENT<x>` and, before a
group, `SERVICE:x` all hold the word. And it reads `<` as a comparison where one may stand, so that `<b>` after an
operand in parentheses may be the beginning of `a<b`, with a string or a comment that goes on beyond it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from kg.errors import BadQuery

MAX_LENGTH: Final = 1_000_000
MAX_TOKENS: Final = 60_000
MAX_DEPTH: Final = 200

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


@dataclass(frozen=True)
class Checked:
    """What is known of a query that may be evaluated."""

    #: SELECT, ASK, CONSTRUCT or DESCRIBE.
    form: str
    #: Whether the same text may have another answer on the same facts: it calls NOW(), RAND() or the like.
    volatile: bool


def check_query(text: str) -> Checked:
    """Let a query through that may be evaluated.

    Raises:
        BadQuery: the text is too large or too deep, reaches out of the store, or is no query.
    """
    words = _words(text)
    form = _form(words)
    if form in _UPDATE_FORMS:
        raise BadQuery(
            f"This is an update ({form}), not a query.", "A query begins with SELECT, ASK, CONSTRUCT or DESCRIBE."
        )
    if not form:
        raise BadQuery("This is no SPARQL query.", "It needs SELECT, ASK, CONSTRUCT or DESCRIBE.")
    return Checked(form, words.volatile)


def check_update(text: str) -> None:
    """Let an update through that may be taken apart.

    Raises:
        BadQuery: the text is too large or too deep, reaches out of the store, or is no update.
    """
    form = _form(_words(text))
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


def _form(words: _Words) -> str:
    """The first word that makes a text a query or an update, empty if there is none."""
    return next((word for word in words.reserved if word in _QUERY_FORMS or word in _UPDATE_FORMS), "")


def _words(text: str) -> _Words:
    """Check the text as written and with its codepoint escapes decoded; return its words.

    Engines differ in whether `\\u0053ERVICE` is the word SERVICE, so neither reading may hold a forbidden one.
    """
    if len(text) > MAX_LENGTH:
        raise BadQuery(f"The text has {len(text):,} characters.", f"Keep it under {MAX_LENGTH:,}.")
    words = _scan(text)
    if "\\u" in text or "\\U" in text:
        words.volatile |= _scan(_ESCAPE.sub(_decode, text)).volatile
    return words


def _decode(match: re.Match[str]) -> str:
    code = int(match[1] or match[2], 16)
    return chr(code) if code < 0x110000 else "\ufffd"


def _scan(text: str) -> _Words:
    words = _Words()
    nesting: list[str] = []
    tokens, previous = 0, ""
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
        if kind in ("word", "number") or (kind == "name" and terminal.count(".") > 1):
            _refuse_reaching_out(terminal)  # a name of several dots may end before the last, see with_escaped_dots
            # A word may be glued to the one before, as in FILTERNOW(). To take too many for volatile does no harm.
            words.volatile |= any(name in terminal.upper() for name in _VOLATILE)
        elif kind == "iri" and nesting[-1:] == ["("] and previous not in _BEFORE_OPERAND:
            if _AMBIGUOUS.match(terminal):
                raise BadQuery(
                    f"{terminal[:80]!r} may be an IRI or a comparison.", "Put a space after each < that compares."
                )
        elif kind == "mark":
            if terminal == "{" and ":" in previous:
                _refuse_reaching_out(previous.partition(":")[0])
            _nest(nesting, terminal, text[match.end() : match.end() + 1])
        previous = terminal if kind in ("mark", "name") else "operand"
    return words


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
