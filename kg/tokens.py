"""Bearer tokens: who may write over HTTP, and to which sources.

`KG_TOKEN`, or the file that `KG_TOKEN_FILE` names, holds any number of them, with spaces or line ends between:

    SECRET                  may write everything
    NAME:SECRET             the same, and the history names who it was
    NAME:SECRET@PREFIX      may change only sources whose IRI begins with the prefix
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from kg.errors import BadRequest, Forbidden
from kg.terms import expand

if TYPE_CHECKING:
    from kg.settings import Settings

#: Characters that a secret has at least: with fewer it can be guessed.
LEAST: Final = 16
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\Z")
#: What RFC 6750 lets a bearer token consist of.
_SECRET = re.compile(r"[A-Za-z0-9._~+/-]+=*\Z")
_FORMS: Final = "It is SECRET, NAME:SECRET, SECRET@PREFIX or NAME:SECRET@PREFIX."


@dataclass(frozen=True)
class Author:
    """Who writes. `scope` is what the IRIs of the sources begin with that may be changed; empty: any source."""

    name: str = ""
    scope: str = ""

    def require(self, graphs: Iterable[str]) -> None:
        """Raises: Forbidden: one of the graphs is not this author's to change."""
        foreign = sorted(graph for graph in graphs if not graph.startswith(self.scope))
        if foreign:
            raise Forbidden(
                f"The token may not change {foreign[0] or 'the default graph'}; nothing was changed.",
                f"It may change sources that begin with {self.scope}.",
            )


ANYBODY: Final = Author()


@dataclass(frozen=True)
class Token:
    """A secret, as what is kept of it, and whom it stands for."""

    digest: bytes = field(repr=False)
    author: Author


def read_tokens(settings: Settings) -> tuple[Token, ...]:
    """The tokens that the settings give.

    Raises:
        BadRequest: one is malformed or too short, two are the same, or the file cannot be read. No secret is told.
    """
    tokens = _read(settings.token, "KG_TOKEN")
    if settings.token_file:
        try:
            text = Path(settings.token_file).read_text("utf-8")
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "it is not UTF-8"
            raise BadRequest(f"KG_TOKEN_FILE cannot be read: {reason}.", "Name a file of tokens.") from None
        tokens += _read(text, "KG_TOKEN_FILE")
    if len({token.digest for token in tokens}) < len(tokens):
        raise BadRequest("Two tokens have the same secret.", "Give each its own.")
    return tuple(tokens)


def _read(text: str, variable: str) -> list[Token]:
    return [_token(entry, f"Token {number} of {variable}") for number, entry in enumerate(text.split(), 1)]


def _token(entry: str, which: str) -> Token:
    words, at, prefix = entry.partition("@")
    name, colon, secret = words.rpartition(":")
    if (colon and not _NAME.match(name)) or not _SECRET.match(secret):
        raise BadRequest(f"{which} is malformed.", _FORMS)
    if len(secret) < LEAST:
        raise BadRequest(f"{which} has a secret of {len(secret)} characters.", f"Give it at least {LEAST}.")
    scope = expand(prefix) if at else ""
    if scope is None:
        raise BadRequest(f"{which} has a prefix that begins no IRI.", "Write it as https://… or as source:….")
    return Token(_digest(secret), Author(name, scope))


def find(tokens: Sequence[Token], secret: str) -> Author | None:
    """Whose token it is. It takes the same time for each, and for one that nobody has."""
    digest, found = _digest(secret), None
    for token in tokens:
        if hmac.compare_digest(token.digest, digest):
            found = token.author
    return found


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()
