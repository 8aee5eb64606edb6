"""Whom and what the generated sources speak of: lists to choose from, and what follows from the number of a node."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta

from kg.terms import ID

#: Codes that ISO 3166 leaves to its users; not XK, which many use for Kosovo.
CODES = [f"Q{letter}" for letter in "MNOPQRSTUVWXYZ"] + [f"X{letter}" for letter in "ABCDEFGHIJLMNOPQRSTUVWX"]
COUNTRIES = [f"<{ID}country/gen-{n}>" for n in range(len(CODES))]
#: Those of whom most is said stand first, here and below.
_CODES_SHIPPED = (
    "US", "EU", "CN", "JP", "GB", "KR", "CA", "MX", "IN", "CH", "VN", "ID", "BR", "TW", "AU", "NO", "TH", "MY", "SG",
    "TR", "ZA", "AR", "CL", "NZ", "EG", "NG", "KE", "PH", "BD", "PK",
)  # fmt: skip
SHIPPED_PARTIES = [f"<{ID}country/{code}>" for code in _CODES_SHIPPED]
PARTIES = SHIPPED_PARTIES + COUNTRIES
SHIPPED_TARIFFS = [
    f"<{ID}tariff/us-{name}>"
    for name in ("reciprocal", "232-autos", "232-steel", "232-aluminum", "232-auto-parts", "301-china", "232-wood")
]
SHIPPED_PRODUCTS = [f"<{ID}product/{code}>" for code in ("ALL", "8703", "87", "72", "2206", "3004", "8542", "40")]
HEADINGS = [f"77{n:02}" for n in range(1, 21)]
SUBHEADINGS = [f"{heading}.{n}0" for heading in HEADINGS for n in range(1, 7)]
PRODUCTS = [f"<{ID}product/gen-{code}>" for code in HEADINGS + SUBHEADINGS]
SUBJECTS = (
    "tariff-relief", "farm-goods", "auto-industry", "investment", "market-access", "metals", "energy", "shipbuilding",
    "semiconductors", "pharmaceuticals", "critical-minerals", "digital-trade", "aircraft", "export-controls",
)  # fmt: skip
STATUSES = ("offered", "floated", "agreed", "implemented", "dropped", "not-adopted")
STANCES = ("seeks-deal", "reports-progress", "opposes", "neutral", "supports", "reports-no-agreement")
ACT_KINDS = ("agency-notice", "executive-order", "proclamation", "statute", "memorandum")
MEETING_KINDS = ("ministerial", "call", "working-level", "summit", "courtesy")
#: Kinds of source with the grades that go with them.
SOURCE_KINDS = [
    *[("press-report", "V2")] * 30, *[("legal-text", "V1")] * 8, *[("official-page", "V1")] * 6,
    *[("law-firm-note", "V2")] * 5, ("reference-work", "V3"),
]  # fmt: skip
PERCENTS = (
    "10", "25", "15", "2.5", "0", "5", "50", "3.8", "7.5", "20", "12.5", "4.2", "30", "6.4", "35", "8.25", "1.9", "40",
    "9.6", "100", "17.5", "0.8", "11",
)  # fmt: skip
#: The rates, by number, that are no percentage.
CYCLE, SPECIFIC, IN_WORDS = 20, 6, 12
PUBLISHERS, DOSSIERS = 40, 12


def _times() -> Iterator[tuple[str, str, str]]:
    """From 2010 on, each day with its month and its year, as literals."""
    datatype = "^^<http://www.w3.org/2001/XMLSchema#"
    day = date(2010, 1, 1)
    while day < date(2026, 7, 1):
        text = day.isoformat()
        yield f'"{text}"{datatype}date>', f'"{text[:7]}"{datatype}gYearMonth>', f'"{text[:4]}"{datatype}gYear>'
        day += timedelta(days=1)


TIMES = list(_times())
#: The graph is written between this day and half a year before the last: what it tells lies before and after.
FIRST, LAST = 2_000, len(TIMES) - 200


def sides(negotiation: int) -> tuple[str, str]:
    """The parties of some talks: an invented country, and any other party."""
    one = COUNTRIES[int(len(COUNTRIES) * _spread(negotiation) ** 2)]
    other = PARTIES[int(len(PARTIES) * _spread(negotiation * 5) ** 3)]
    return one, other if other != one else PARTIES[0]


def _spread(number: int) -> float:
    """A number from 0 to 1, evenly spread over the numbers (multiples of the golden ratio)."""
    return number * 0.618033988749895 % 1


def percent(rate: int) -> str:
    """The percentage of a rate that has one; that of the next number is another."""
    return PERCENTS[rate % len(PERCENTS)]
