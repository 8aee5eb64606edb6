"""Rows of an answer with Python values.

| in RDF | in Python |
|---|---|
| an IRI, a text in any language, a blank node (`_:` in front) | `str` |
| `xsd:boolean` | `bool` |
| `xsd:integer` and what derives from it | `int` |
| `xsd:decimal` | `Decimal` |
| `xsd:double`, `xsd:float` | `float` |
| `xsd:date` without a time zone | `date` |
| `xsd:dateTime` | `datetime` |
| a triple | a tuple of three values |
| unbound | `None` |
| anything else, and what Python cannot hold, such as the year -1 | `str`, as it is written |
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from kg.terms import PREFIXES

if TYPE_CHECKING:
    import pandas

Value = str | bool | int | float | Decimal | date | datetime | tuple["Value", ...] | None
Row = dict[str, Value]

_INTEGERS: Final = (
    "integer", "long", "int", "short", "byte", "nonNegativeInteger", "positiveInteger", "nonPositiveInteger",
    "negativeInteger", "unsignedLong", "unsignedInt", "unsignedShort", "unsignedByte",
)  # fmt: skip
_DAY: Final = r"\d{4}-\d\d-\d\d"
#: For each datatype the form that Python reads as XML Schema means it, and the reading.
_READERS: Final[dict[str, tuple[re.Pattern[str], Callable[[str], Value]]]] = {
    PREFIXES["xsd"] + name: (re.compile(form, re.ASCII), read)
    for names, form, read in (
        (("boolean",), "true|false|0|1", lambda text: text in ("true", "1")),
        (_INTEGERS, r"[+-]?\d+", int),
        (("decimal",), r"[+-]?(?:\d+\.?\d*|\.\d+)", Decimal),
        (("double", "float"), r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|[+-]?INF|NaN", float),
        (("date",), _DAY, date.fromisoformat),
        (("dateTime",), rf"{_DAY}T\d\d:\d\d:\d\d(?:\.\d{{1,6}})?(?:Z|[+-]\d\d:\d\d)?", datetime.fromisoformat),
    )
    for name in names
}


class Rows(list[Row]):
    """The rows of an answer, each with all its columns."""

    def __init__(self, columns: Iterable[str], rows: Iterable[Row]) -> None:
        super().__init__(rows)
        self.columns = tuple(columns)

    @classmethod
    def from_json(cls, answer: dict[str, Any]) -> Rows:
        """Read the SPARQL results JSON format."""
        columns = answer["head"]["vars"]
        bindings = answer["results"]["bindings"]
        return cls(columns, ({name: value(row.get(name)) for name in columns} for row in bindings))

    def frame(self) -> pandas.DataFrame:
        """The same as a pandas frame.

        A column of one kind has the type of pandas for it, which also holds the unbound: string, boolean, Int64,
        Float64, datetime64. Decimals become floats, and moments with a time zone UTC. A column of several kinds, or
        with whole numbers beyond 64 bits, keeps its Python values.
        """
        import pandas

        return pandas.DataFrame({name: _column([row[name] for row in self]) for name in self.columns})


def value(term: dict[str, Any] | None) -> Value:
    """The Python value of a term in the SPARQL results JSON format."""
    if term is None:
        return None
    given = term["value"]
    if term["type"] == "triple":
        return tuple(value(given[part]) for part in ("subject", "predicate", "object"))
    if term["type"] == "bnode":
        return f"_:{given}"
    form, read = _READERS.get(term.get("datatype", ""), (None, None))
    if form is None or read is None or not form.fullmatch(given):
        return str(given)
    try:
        return read(given)
    except ValueError:  # the 30th of February, the year 0, a number of more digits than Python reads
        return str(given)


def _column(values: list[Value]) -> pandas.Series[Any]:
    import pandas

    kinds = {type(value) for value in values if value is not None}
    if kinds == {str}:
        return pandas.Series(values, dtype="string")
    if kinds == {bool}:
        return pandas.Series(values, dtype="boolean")
    if kinds == {int} and all(value is None or -(2**63) <= value < 2**63 for value in values):  # type: ignore[operator]
        return pandas.Series(values, dtype="Int64")
    if kinds and kinds <= {int, float, Decimal} and kinds != {int}:
        numbers = [None if value is None else float(value) for value in values]  # type: ignore[arg-type]
        return pandas.Series(numbers, dtype="Float64")
    zones = {getattr(value, "tzinfo", None) is not None for value in values if value is not None}
    if kinds in ({date}, {datetime}) and len(zones) == 1:
        return pandas.Series(pandas.to_datetime(pandas.Series(values, dtype="object"), utc=zones == {True}))
    return pandas.Series(values, dtype="object")
