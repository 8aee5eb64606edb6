"""Explain the duty rate on one product from one origin on one day, component by component.

The rules are data (see `kg.rules`): which tariff covers what, for whom, from when, in which form, and what is exempt
from it. This module adds up.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from kg.errors import BadRequest
from kg.rules import Rule, Rules, slug, text_of
from kg.terms import PREFIXES

if TYPE_CHECKING:
    from kg.engines import Reader, Row

_CODE = re.compile(r"\d{2}(?:\d{2}(?:\d{2}(?:\d{2}(?:\d{2})?)?)?)?\Z", re.ASCII)


@dataclass(frozen=True)
class Inquiry:
    """Who imports what from where on which day, as known on which day, and which conditions of entry the goods meet.

    Countries by code, the product by HS/HTS code, days as ISO dates, conditions by the last part of their IRI.
    Without `known_on` the law is taken as it stands now, with all that was changed for the past.
    """

    importer: str
    origin: str
    product: str
    on: str
    known_on: str = ""
    conditions: tuple[str, ...] = ()

    @property
    def day(self) -> str:
        """Raises: BadRequest: `on` is no ISO date."""
        return _day("on", self.on)

    @property
    def known_day(self) -> str:
        """Raises: BadRequest: `known_on` is no ISO date."""
        return _day("knownOn", self.known_on) if self.known_on else ""

    def country(self, which: str) -> str:
        """The IRI of importer or origin. Raises: BadRequest: it is no code."""
        given: str = getattr(self, which)
        code = given.upper()
        if not re.fullmatch(r"[A-Z]{2,}", code):
            raise BadRequest(f"{which}={given!r} is not a country code.", "Give an ISO code such as US, JP or EU.")
        return PREFIXES["country"] + code


def _day(name: str, given: str) -> str:
    try:
        return date.fromisoformat(given).isoformat()
    except ValueError:
        raise BadRequest(f"{name}={given!r} is not a day.", "Give an ISO date such as 2025-06-07.") from None


def product_codes(text: str) -> list[str]:
    """The dotted code and those it falls under, nearest first: 8703.23.01, 8703.23, 8703, 87.

    Raises:
        BadRequest: the text is no HS or HTS code of 2 to 10 digits.
    """
    digits = text.replace(".", "").strip()
    if not _CODE.match(digits):
        raise BadRequest(
            f"product={text!r} is no HS or HTS code.", "Give 2 to 10 digits such as 8703.23.01 or 87032301."
        )
    lengths = [n for n in (10, 8, 6, 4, 2) if n <= len(digits)]
    return [
        ".".join([digits[:4], *(digits[i : i + 2] for i in range(4, n, 2))]) if n > 2 else digits[:2] for n in lengths
    ]


@dataclass
class _Findings:
    """What the rules come to: the rates that apply by tariff, what is set aside, and why something is not known."""

    applied: list[tuple[str, Rule]] = field(default_factory=list)
    excluded: list[dict[str, str]] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)
    sources: set[str] = field(default_factory=set)


def _weigh(rules: Rules) -> _Findings:
    found = _Findings()
    for tariff, row in rules.tariffs.items():
        rates, label = rules.rate(tariff), text_of(row, "label")
        if not rates and not rules.in_force(tariff):
            continue
        exemption = rules.exemption(tariff)
        if exemption is not None:
            reason = exemption.one("label") or "An exemption applies."
            found.excluded.append({"measure": tariff, "label": label, "reason": reason, "exemption": exemption.iri})
            found.sources |= exemption.sources
        elif not rates:
            found.reasons.append(
                f"The graph holds no rate of the {label} for these goods from this origin on this day."
            )
        elif len({(rate.one("form"), rate.one("percent"), rate.one("dutyText")) for rate in rates}) > 1:
            names = ", ".join(slug(rate.iri) for rate in rates)
            found.reasons.append(f"The graph holds more than one rate of the {label} for these goods: {names}.")
        else:
            found.applied.append((tariff, rates[0]))
            found.sources |= rates[0].sources
    return found


def explain(reader: Reader, inquiry: Inquiry) -> dict[str, Any]:
    """The rate in percent of the customs value, with its components, what was set aside and why, and the sources.

    `total` is None, with a `reason`, where the graph does not know: no ordinary rate, one that is no percentage, or
    something that the graph says it lacks. `byAuthority` adds up the components that rest on one authority, and
    `conditions` are rates and exemptions that would hold if the goods met a condition of entry.

    Raises:
        BadRequest: a code, a day or a condition is malformed.
        NotFound: the graph does not know the importer or the origin.
    """
    codes = product_codes(inquiry.product)
    rules = Rules(reader, inquiry, codes)
    found = _weigh(rules)
    ordinary, reason = _ordinary(found.applied)
    parts = rules.duty_parts(rate for _, rate in found.applied)
    labels = rules.labels({act for _, rate in found.applied for act in rate.values.get("setBy", ())})
    components = [_component(rules.tariffs[t], rate, ordinary, labels, parts) for t, rate in found.applied]
    components.sort(key=lambda c: (c["form"] not in _BASE, c["from"], c["measure"]))
    reasons = [*([reason] if reason else []), *found.reasons, *_doubts(rules, inquiry, components, found.excluded)]
    total = None if reasons else sum((Decimal(str(c["contribution"])) for c in components), Decimal(0))
    answer: dict[str, Any] = {
        "importer": inquiry.importer,
        "origin": inquiry.origin,
        "product": codes[0],
        "on": rules.day,
        "knownOn": inquiry.known_day or None,
        "total": None if total is None else _number(total),
        "unit": "percent",
        "components": components,
        "byAuthority": _by_authority(components),
        "excluded": found.excluded,
        "conditions": _conditions(rules),
        "sources": sorted(found.sources),
        "notes": [
            f"{label}: the graph does not hold the codes that it covers; these goods may be among them."
            for label in rules.open_scopes()
        ],
    }
    return {**answer, "reason": " ".join(reasons)} if reasons else answer


_BASE = ("ordinary", "specific", "compound", "in-words")


def _ordinary(applied: list[tuple[str, Rule]]) -> tuple[Decimal | None, str]:
    """The ordinary rate, or None and why it is not known."""
    for _, rate in applied:
        if slug(rate.one("form")) == "ordinary":
            return Decimal(rate.one("percent") or 0), ""
    base = next((rate for _, rate in applied if slug(rate.one("form")) in _BASE), None)
    if base is not None:
        return (
            None,
            f"The ordinary duty on these goods is {base.one('dutyText')!r}, which is no percentage of the value.",
        )
    return None, "The graph holds no ordinary rate for these goods on this day."


def _doubts(
    rules: Rules, inquiry: Inquiry, components: list[dict[str, Any]], excluded: list[dict[str, str]]
) -> list[str]:
    """Why the sum of the components may not be the whole rate, as far as the graph says so of itself."""
    doubts = []
    idle = {c["measure"] for c in components if c["contribution"] == 0 and c["form"] not in _BASE}
    idle |= {e["measure"] for e in excluded}
    for tariff, gaps in rules.gaps.items():
        if tariff not in idle:  # a gap in what adds nothing, or is set aside, changes nothing
            doubts += [(gap.one("label") or "").rstrip(".") + "." for gap in gaps]
    if not rules.holds_all_duties():
        pair = f"{inquiry.importer.upper()} on goods of {inquiry.origin.upper()}"
        doubts.append(f"The graph does not hold all duties of {pair}: those it holds are listed, without a total.")
    return list(dict.fromkeys(doubts))


def _component(
    row: Row, rate: Rule, ordinary: Decimal | None, labels: dict[str, str], parts: dict[str, Row]
) -> dict[str, Any]:
    form, percent, act = slug(rate.one("form")), rate.one("percent"), rate.one("setBy") or ""
    share: Decimal | None = Decimal(percent) if percent and form != "compound" else None
    if form == "all-in" and share is not None:
        share = None if ordinary is None else max(Decimal(0), share - ordinary)
    component = {
        "measure": text_of(row, "tariff"),
        "label": text_of(row, "label"),
        "form": form,
        "rate": _number(Decimal(percent)) if percent else None,
        "duty": rate.one("dutyText") or f"{percent} %",
        "contribution": None if share is None else _number(share),
        "act": act,
        "actLabel": labels.get(act, ""),
        "authority": text_of(row, "authority"),
        "authorityLabel": text_of(row, "authorityLabel"),
        "from": rate.one("from"),
        "until": rate.one("until"),
        "rateLine": rate.iri,
    }
    amounts = [
        {
            "amount": _number(Decimal(text_of(parts[p], "amount"))),
            "currency": text_of(parts[p], "currency"),
            "perUnit": text_of(parts[p], "unit"),
        }
        for p in rate.values.get("hasDutyPart", ())
        if p in parts
    ]
    return {**component, "amounts": amounts} if amounts else component


def _by_authority(components: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The contributions added up by authority, in the order of the components; None where one is not known."""
    shares: dict[tuple[str, str], Decimal | None] = {}
    for c in components:
        key, share = (c["authority"], c["authorityLabel"]), c["contribution"]
        before = shares.get(key, Decimal(0))
        shares[key] = None if before is None or share is None else before + Decimal(str(share))
    return [
        {"authority": iri, "label": label, "contribution": None if share is None else _number(share)}
        for (iri, label), share in shares.items()
    ]


def _conditions(rules: Rules) -> list[dict[str, str]]:
    """What would change if the goods met a condition that the inquiry does not name."""
    unmet = rules.unmet()
    labels = rules.labels({condition for _, _, condition in unmet})
    entries = [
        {
            "condition": slug(condition),
            "label": labels.get(condition, ""),
            "measure": tariff,
            "measureLabel": text_of(rules.tariffs[tariff], "label"),
            "effect": _effect(rule),
        }
        for tariff, rule, condition in unmet
    ]
    return sorted(entries, key=lambda e: (e["condition"], e["measure"], e["effect"]))


def _effect(rule: Rule) -> str:
    form = slug(rule.one("form"))
    return f"{form} {rule.one('dutyText') or rule.values['percent'][0] + ' %'}" if form else "exempt"


def _number(value: Decimal) -> float | int:
    return int(value) if value == value.to_integral_value() else float(value)
