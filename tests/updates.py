"""A bench for updates: a draft that takes one after the other, and quads in a form that is short to write."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyoxigraph as ox

from kg.draft import Draft
from kg.operations import EVERYTHING, Using
from kg.store import Versions
from kg.updating import apply_update

SPACE = "http://x.example/"
PROLOGUE = f"BASE <{SPACE}> PREFIX : <#> PREFIX g: <g/>\n"


@dataclass(frozen=True)
class Bench:
    """A draft that is never published, for one update after the other."""

    draft: Draft
    bare: bool

    def hold(self, quads: Iterable[ox.Quad]) -> None:
        """Have the draft hold these quads, as if it had begun with them."""
        self.draft.store.clear()
        self.draft.add(quads)
        self.draft.added.clear()
        self.draft.removed.clear()

    def update(self, text: str, using: Using = EVERYTHING, base: str = "") -> list[str]:
        """Apply an update after the prologue; the quads after it, in short form and sorted."""
        apply_update(self.draft, PROLOGUE + text, bare=self.bare, using=using, base=base)
        return self.quads

    @property
    def quads(self) -> list[str]:
        return sorted(brief(quad) for quad in self.draft.store)


@contextmanager
def bench(folder: Path, *, bare: bool) -> Iterator[Bench]:
    with Versions.create(folder, bare=bare).writing() as draft:
        yield Bench(draft, bare)


def brief(quad: ox.Quad) -> str:
    """A quad in N-Quads without the namespace of these tests and the type of integers."""
    return str(quad).replace(SPACE, "").replace("^^<http://www.w3.org/2001/XMLSchema#integer>", "").replace("<#", "<")
