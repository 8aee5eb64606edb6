"""Limits of an answer: so many rows, which are its first ones, and so many bytes, beyond which there is none.

The engine serialises the rows of a SELECT query as a whole. So its output is looked through for the beginnings of rows,
and the evaluation ends where the first one begins that is too many: nothing is evaluated twice, and the text of the
query stays as it is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import IO, Final

from kg.formats import Format

#: The header of an answer that has its first rows alone, as in `rows=1000`.
TRUNCATED: Final = "Parley-Truncated"
#: No count is larger: the engine and the standard library count no further.
LARGEST: Final = 2**63 - 1


@dataclass(frozen=True)
class Limits:
    """What an answer may have. None: as much as there is."""

    rows: int | None = None
    bytes: int | None = None

    def within(self, other: Limits) -> Limits:
        """Both together: of each kind the smaller one."""
        return Limits(_smaller(self.rows, other.rows), _smaller(self.bytes, other.bytes))

    @property
    def parameters(self) -> dict[str, int]:
        """The same as parameters of a request."""
        given = {"max-rows": self.rows, "max-bytes": self.bytes}
        return {name: value for name, value in given.items() if value is not None}


UNLIMITED: Final = Limits()


def _smaller(one: int | None, other: int | None) -> int | None:
    return min((number for number in (one, other) if number is not None), default=None)


@dataclass(frozen=True)
class _Layout:
    """How the engine lays out rows.

    The pattern finds the beginning of each (the group `row`), skips texts in quotes, which may hold anything, and tells
    of one whose end is still to come (`open`). `end` is what closes the whole after the last row.
    """

    pattern: re.Pattern[bytes]
    end: bytes = b""


_LAYOUTS: Final[Mapping[str, _Layout]] = {
    "json": _Layout(
        # Of the objects only rows stand in a list; all others follow a colon.
        # What stands before the next row is one match, since each one takes its time.
        re.compile(rb'(?:"[^"\\]*+(?:\\.[^"\\]*+)*+"|[^"\[,]|[\[,](?=[^{]))++|(?P<open>")|(?P<row>[\[,]\{)', re.DOTALL),
        b"]}}",
    ),
    "xml": _Layout(re.compile(rb"(?P<row><result>)"), b"</results></sparql>"),
    # A line is a row if a line came before it, which has the columns.
    "csv": _Layout(re.compile(rb'"[^"]*(?:"|(?P<open>\Z))|\r\n(?P<row>)(?=.)', re.DOTALL)),
    "tsv": _Layout(re.compile(rb"\n(?P<row>)(?=.)", re.DOTALL)),
}


class Enough(Exception):
    """There is a row more than is wanted. Ends the evaluation from within its output."""


class FirstRows:
    """Passes on what the engine writes in one format, up to the end of so many rows."""

    def __init__(self, output: IO[bytes], format: Format, most: int) -> None:
        self._output, self._layout, self._left = output, _LAYOUTS[format.name], most
        self._held: list[bytes] = []
        self._size = self._looked_at = 0
        self._over = False

    def write(self, data: bytes) -> int:
        """Raises: Enough: a row too many begins. All before it is passed on, and the end that belongs to it."""
        if self._over:  # the engine tries again to write what it has when it is ended
            return len(data)
        self._held.append(data)
        self._size += len(data)
        # What has no end yet is not looked through again for each of its pieces.
        if self._size >= 2 * self._looked_at:
            self._look()
        return len(data)

    def flush(self) -> None:
        """What is held back is the beginning of something whose end is not known."""

    def finish(self) -> None:
        """Pass on the rest. Raises: Enough, as `write` does."""
        self._look()
        self._output.write(self._held.pop())

    def _look(self) -> None:
        text, known = b"".join(self._held), 0
        for match in self._layout.pattern.finditer(text):
            if match.lastgroup == "open":
                break
            if match.lastgroup == "row":
                if not self._left:
                    self._output.write(text[: match.start("row")] + self._layout.end)
                    self._over = True
                    raise Enough
                self._left -= 1
            known = match.end()
        self._output.write(text[:known])
        self._held = [text[known:]]
        self._size = self._looked_at = len(text) - known
