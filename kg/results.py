"""Answers for people: tables with labels in place of IRIs, on a terminal or in a page."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO, Any

from kg.terms import compact


@dataclass(frozen=True)
class Cell:
    """One value: what to show, and the IRI behind it if there is one."""

    text: str
    iri: str = ""


@dataclass(frozen=True)
class Table:
    """A SELECT result: column names and rows of cells."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]

    @classmethod
    def from_json(cls, body: bytes) -> Table:
        """Read the SPARQL results JSON format; a boolean becomes a table of one cell."""
        data = json.loads(body)
        if "boolean" in data:
            return cls(("answer",), ((Cell("yes" if data["boolean"] else "no"),),))
        columns = tuple(data["head"]["vars"])
        bindings = data["results"]["bindings"]
        return cls(columns, tuple(tuple(_cell(row.get(name)) for name in columns) for row in bindings))

    def for_people(self) -> Table:
        """Merge each column `x` with its `xLabel`: the label is shown, the IRI stays behind it."""
        order: list[tuple[str, int, int | None]] = []
        place = {name: i for i, name in enumerate(self.columns)}
        for name, i in place.items():
            if name.endswith("Label") and name.removesuffix("Label") in place:
                continue
            order.append((name, i, place.get(name + "Label")))
        rows = tuple(tuple(_merged(row, i, label) for _, i, label in order) for row in self.rows)
        return Table(tuple(name.removesuffix("Label") for name, _, _ in order), rows)


def _cell(term: dict[str, Any] | None) -> Cell:
    if term is None:
        return Cell("")
    value = str(term["value"])
    return Cell(compact(value), value) if term["type"] == "uri" else Cell(value)


def _merged(row: Sequence[Cell], i: int, label: int | None) -> Cell:
    if label is None or not row[label].text:
        return row[i]
    return Cell(row[label].text, row[i].iri)


def show(table: Table, output: IO[str]) -> None:
    """Print a table, fitted to the terminal, or at full width where the output is none."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table as Drawing
    from rich.text import Text

    terminal = output.isatty()
    drawing = Drawing(box=SIMPLE_HEAD, pad_edge=False)
    for name in table.columns:
        drawing.add_column(name, overflow="fold")
    for row in table.rows:
        drawing.add_row(*(Text(cell.text) for cell in row))
    width = None if terminal else max(200, sum(_widths(table)) + 4 * len(table.columns))
    console = Console(file=output, width=width, highlight=False, soft_wrap=False)
    console.print(drawing)
    if terminal:
        console.print(f"{len(table.rows)} row{'s' if len(table.rows) != 1 else ''}", style="dim")


def _widths(table: Table) -> list[int]:
    from rich.cells import cell_len

    return [
        max([cell_len(name), *(cell_len(row[i].text) for row in table.rows)]) for i, name in enumerate(table.columns)
    ]


def rate_text(answer: dict[str, Any]) -> str:
    """An explained rate (see `kg.rates.explain`) as lines of text."""
    total = "not known" if answer["total"] is None else f"{answer['total']:g} %"
    known = f", as known on {answer['knownOn']}" if answer["knownOn"] else ""
    lines = [f"{answer['product']} from {answer['origin']} into {answer['importer']} on {answer['on']}{known}: {total}"]
    if answer.get("reason"):
        lines.append(f"  {answer['reason']}")
    for part in answer["components"]:
        share = "?" if part["contribution"] is None else f"{part['contribution']:g}"
        until = f" until {part['until']}" if part["until"] else ""
        lines.append(f"  + {share:>5}  {part['label']} ({part['form']} {part['duty']}, from {part['from']}{until})")
        lines.append(f"           {part['actLabel']}; {part['authorityLabel']}")
    shares = [f"{a['label']} {'?' if a['contribution'] is None else a['contribution']}" for a in answer["byAuthority"]]
    if len(shares) < len(answer["components"]):
        lines.append(f"  by authority: {', '.join(shares)}")
    lines += [f"  set aside: {part['label']}: {part['reason']}" for part in answer["excluded"]]
    lines += [
        f"  if {entry['label']} ({entry['condition']}): {entry['measureLabel']} {entry['effect']}"
        for entry in answer["conditions"]
    ]
    lines += [f"  note: {note}" for note in answer["notes"]]
    lines += [f"  source: {source}" for source in answer["sources"]]
    return "\n".join(lines)
