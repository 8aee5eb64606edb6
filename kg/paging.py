"""Long answers in pages: which rows, in an order that holds from page to page, and the links between pages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode

from kg.guard import TERMINAL

#: Rows that a page may have.
MOST: Final = 10_000
#: Rows of an answer that a browser gets at a time if it does not say.
IN_BROWSER: Final = 500


@dataclass(frozen=True)
class Page:
    """`limit` rows after the first `offset`."""

    limit: int
    offset: int = 0

    def next_row(self) -> Page:
        """The row after the page: it is there if there is another page."""
        return Page(1, self.offset + self.limit)

    def links(self, path: str, given: Mapping[str, str], *, more: bool) -> dict[str, str]:
        """The addresses of the first page, the one before and the one after, by their relation (RFC 8288)."""
        offsets = {"first": 0}
        if self.offset:
            offsets["prev"] = max(0, self.offset - self.limit)
        if more:
            offsets["next"] = self.offset + self.limit
        return {
            relation: f"{path}?{urlencode({**given, 'limit': self.limit, 'offset': offset})}"
            for relation, offset in offsets.items()
        }


def header(links: Mapping[str, str]) -> str:
    """The same as the value of a Link header."""
    return ", ".join(f'<{address}>; rel="{relation}"' for relation, address in links.items())


def paged(text: str, columns: tuple[str, ...], page: Page) -> str:
    """A SELECT query that ends with its modifiers, for one page; a LIMIT and an OFFSET of its own still hold.

    Rows that its ORDER BY leaves level are put in the order of their columns.
    """
    terminals = [match for match in TERMINAL.finditer(text) if match.lastgroup != "space"]
    last = max(place for place, match in enumerate(terminals) if match[0] == "}")
    modifiers = terminals[last + 1 :]
    words = {match[0].upper(): place for place, match in enumerate(modifiers) if match.lastgroup == "word"}
    own = {word: int(modifiers[words[word] + 1][0]) for word in ("LIMIT", "OFFSET") if word in words}
    end = min((modifiers[words[word]].start() for word in own), default=len(text))
    tie_break = " ".join(f"?{name}" for name in columns)
    order = "" if "ORDER" in words else "ORDER BY "
    limit = min(page.limit, max(0, own.get("LIMIT", page.offset + page.limit) - page.offset))
    return f"{text[:end].rstrip()}\n{order}{tie_break}\nLIMIT {limit} OFFSET {own.get('OFFSET', 0) + page.offset}"
