"""Tables to import: a made-up schedule of a chapter that the real one leaves empty, as CSV, and a list of countries."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from io import StringIO
from pathlib import Path
from typing import Any

from kg.engines import StoreReader
from kg.importing import Edition, TableDocument, schedule
from kg.loading import Outcome, load
from kg.rates import Inquiry, explain
from kg.store import Versions
from tests.sources import CONTENT

COLUMNS = (
    "HTS Number", "Indent", "Description", "Unit of Quantity", "General Rate of Duty", "Special Rate of Duty",
    "Column 2 Rate of Duty", "Quota Quantity", "Additional Duties",
)  # fmt: skip
FIRST = Edition("2025 test edition", "2025-01-01")
LATER = Edition("2025 test revision", "2025-03-01")

#: Code, indent, description, general and special duty. HS reserves chapter 77, so that nothing else is said of it.
WIDGETS = [
    ("7701", "0", "Widgets:", "", ""),
    ("", "1", "Of <i>brass</i>:", "", ""),
    ("7701.10", "2", "Polished:", "", ""),
    ("7701.10.10", "3", "For doors", "2.5%", "Free (A,AU,KR,S) 1.6% (JP)"),
    ("7701.10.10.30", "4", "Left-handed", "", ""),
    ("7701.10.10.60", "4", "Right-handed", "", ""),
    ("7701.10.90", "3", "Other", "4.4¢/kg", "See 9908.04.01 (KR)"),
    ("7701.20.00.00", "1", "Of tin", "44¢ each + 6%", "Free (A*,S+)"),
    ("7701.90", "1", "Other:", "", ""),
    ("7701.90.10", "2", "Sets", "The rate applicable to the dearest part", ""),
    ("7701.90.90", "2", "Other", "Free", "Free (A)"),
    ("9801.00.10", "0", "Widgets that come home", "Free", "Free (S)"),
    ("", "1", "A heading without a code in chapter 98", "", ""),
    ("9903.01.01", "0", "Widgets of a certain year", "12", ""),
]
Line = tuple[str, str, str, str, str]


def schedule_text(lines: Iterable[Line] = WIDGETS) -> str:
    """A schedule as USITC prints it in CSV."""
    text = StringIO()
    table = csv.writer(text, quoting=csv.QUOTE_ALL)
    table.writerow(COLUMNS)
    table.writerows(
        (code, indent, description, "", general, special, "", "", "")
        for code, indent, description, general, special in lines
    )
    return text.getvalue()


def changed(code: str, /, **cells: str) -> list[Line]:
    """The widgets with one line changed, cells by their place in `Line`."""
    names = ("code", "indent", "description", "general", "special")
    lines = [dict(zip(names, line, strict=True)) for line in WIDGETS]
    next(line for line in lines if line["code"] == code).update(cells)
    return [(c["code"], c["indent"], c["description"], c["general"], c["special"]) for c in lines]


def write(folder: Path, text: str, name: str = "widgets.csv") -> Path:
    path = folder / name
    path.write_text(text, "utf-8")
    return path


def read_schedule(home: Path, path: Path, edition: Edition = FIRST) -> tuple[TableDocument, list[str]]:
    with Versions(home).reading() as (_, store):
        return schedule(path, edition, StoreReader(store), lambda step, done=0, total=0: None)


def import_schedule(home: Path, path: Path, edition: Edition = FIRST, *, dry_run: bool = False) -> Outcome:
    """Import a schedule as `kg import hts` does."""
    document, _ = read_schedule(home, path, edition)
    return load(Versions(home), [document], CONTENT, dry_run=dry_run)


def rate(home: Path, product: str, on: str = "2025-02-01", origin: str = "JP", *conditions: str) -> dict[str, Any]:
    """The answer of `kg rate` for goods that enter the United States before the duties of 2025 add anything."""
    with Versions(home).reading() as (_, store):
        return explain(StoreReader(store), Inquiry("US", origin, product, on, conditions=conditions))
