"""Explain the duty rate on one product from one origin on one day, component by component.

The rules are data: which tariff covers what, for whom, from when, in which form, and what is exempt from it. This
module gathers them for one inquiry, lets the prevailing source speak where sources differ, and adds up.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from kg.errors import BadRequest, NotFound
from kg.terms import ENTAILED_GRAPH, PREFIXES, TRADE

if TYPE_CHECKING:
    from kg.engines import Reader, Row

_COUNTRY, _PRODUCT = PREFIXES["country"], PREFIXES["product"]
_ALL_ORIGINS, _ALL_GOODS = _COUNTRY + "ALL", _PRODUCT + "ALL"
_CODE = re.compile(r"\d{2}(?:\d{2}(?:\d{2}(?:\d{2}(?:\d{2})?)?)?)?\Z", re.ASCII)


@dataclass(frozen=True)
class Inquiry:
    """Who imports what from where on which day. Countries by code, the product by HS/HTS code, the day as ISO date."""

    importer: str
    origin: str
    product: str
    on: str

    @property
    def day(self) -> str:
        """Raises: BadRequest: `on` is no ISO date."""
        try:
            return date.fromisoformat(self.on).isoformat()
        except ValueError:
            raise BadRequest(f"on={self.on!r} is not a day.", "Give an ISO date such as 2025-06-07.") from None

    def country(self, which: str) -> str:
        """The IRI of importer or origin. Raises: BadRequest: it is no code."""
        given: str = getattr(self, which)
        code = given.upper()
        if not re.fullmatch(r"[A-Z]{2,}", code):
            raise BadRequest(f"{which}={given!r} is not a country code.", "Give an ISO code such as US, JP or EU.")
        return _COUNTRY + code


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
class _Rule:
    """A rate or an exemption: the prevailing values of its properties, and the sources that state them."""

    iri: str
    values: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    sources: set[str] = field(default_factory=set)

    def one(self, name: str) -> str | None:
        return next(iter(self.values.get(name, ())), None)

    def holds_on(self, day: str) -> bool:
        begin, end = self.one("from"), self.one("until")
        return begin is not None and begin <= day and (end is None or day <= end)

    def fits(self, name: str, among: Sequence[str]) -> int | None:
        """How near the rule's limit is (0: the thing itself), len(among) without one, None if it does not fit."""
        limits = self.values.get(name)
        if not limits:
            return len(among)
        return min((among.index(v) for v in limits if v in among), default=None)


class _Case:
    """The rules that an inquiry touches, read once."""

    def __init__(self, reader: Reader, inquiry: Inquiry) -> None:
        self._reader = reader
        self.day = inquiry.day
        importer, origin = self.importer, self.origin = inquiry.country("importer"), inquiry.country("origin")
        codes = product_codes(inquiry.product)
        self._check_known({"importer": importer, "origin": origin})
        self.origins = [origin, *self._column(f"SELECT ?o {{ <{origin}> trade:memberOf ?o }}"), _ALL_ORIGINS]
        self.products = self._products([_PRODUCT + code for code in codes])
        self.tariffs = self._tariffs(importer)
        self.rates = self._rules(f"""
            {{ {_values("onProduct", self.products)} ?rule trade:onProduct ?onProduct ; trade:rateOf ?tariff }} UNION
            {{ ?rule trade:rateOf ?tariff FILTER NOT EXISTS {{ ?rule trade:onProduct ?any }} }}""")
        self.exemptions = self._rules("?rule trade:exempts ?tariff")
        self._exempt: dict[str, _Rule | None] = {}
        self._effects: dict[str, set[str]] | None = None

    def _column(self, text: str) -> list[str]:
        return [str(next(iter(row.values())).value) for row in self._reader.rows(_with_prefixes(text))]

    def _check_known(self, countries: dict[str, str]) -> None:
        known = set(self._column(f"SELECT ?c {{ {_values('c', countries.values())} ?c a trade:TradeParty }}"))
        for name, iri in countries.items():
            if iri not in known:
                code = iri.removeprefix(_COUNTRY)
                raise NotFound(
                    f"{name}={code} is no country that the graph knows.", "Give an ISO code such as US, JP or EU."
                )

    def _products(self, given: list[str]) -> list[str]:
        """The codes given and all that is broader in the graph, nearest first."""
        text = f"SELECT ?a ?b {{ {_values('code', given)} ?code skos:broader* ?a . ?a skos:broader ?b }}"
        broader: dict[str, list[str]] = defaultdict(list)
        for row in self._reader.rows(_with_prefixes(text)):
            broader[str(row["a"].value)].append(str(row["b"].value))
        found = dict.fromkeys(given)
        queue = list(given)
        while queue:
            for parent in sorted(broader[queue.pop(0)]):
                if parent not in found:
                    found[parent] = None
                    queue.append(parent)
        found.pop(_ALL_GOODS, None)
        return [*found, _ALL_GOODS]

    def _tariffs(self, importer: str) -> dict[str, Row]:
        text = f"""
            SELECT DISTINCT ?tariff ?label ?authority ?authorityLabel {{
                {_values("product", self.products)} {_values("origin", self.origins)}
                ?tariff trade:imposedBy <{importer}> ; trade:covers ?product ; trade:appliesToOrigin ?origin ;
                    rdfs:label ?label ; trade:restsOn ?authority .
                ?authority rdfs:label ?authorityLabel .
                FILTER(LANG(?label) = "en" && LANG(?authorityLabel) = "en")
                FILTER NOT EXISTS {{ {_values("out", self.origins)} ?tariff trade:exceptOrigin ?out }}
            }} ORDER BY ?tariff ?authority"""
        return {str(row["tariff"].value): row for row in self._reader.rows(_with_prefixes(text))}

    def _rules(self, pattern: str) -> dict[str, list[_Rule]]:
        """Tariff to its rules; where sources differ on a functional property, the prevailing value."""
        if not self.tariffs:
            return {}
        text = f"""
            SELECT DISTINCT ?tariff ?rule ?property ?value ?source ?functional ?precedence ?issued {{
                {_values("tariff", self.tariffs)}
                {pattern}
                GRAPH ?source {{ ?rule ?property ?value }}
                FILTER(?source != <{ENTAILED_GRAPH}>)
                BIND(EXISTS {{ ?property a owl:FunctionalProperty }} AS ?functional)
                OPTIONAL {{ ?source dcterms:type/trade:precedence ?precedence ; dcterms:issued ?issued }}
            }}"""
        stated: dict[tuple[str, str], dict[str, list[Row]]] = defaultdict(lambda: defaultdict(list))
        for row in self._reader.rows(_with_prefixes(text)):
            stated[_text(row, "tariff"), _text(row, "rule")][_text(row, "property")].append(row)
        rules: dict[str, list[_Rule]] = defaultdict(list)
        for (tariff, iri), properties in sorted(stated.items()):
            rule = _Rule(iri)
            for name, rows in properties.items():
                if not name.startswith(TRADE) and name != PREFIXES["rdfs"] + "label":
                    continue
                for row in _prevailing(rows):
                    rule.values[name.removeprefix(TRADE).removeprefix(PREFIXES["rdfs"])].append(_text(row, "value"))
                    rule.sources.add(_text(row, "source"))
            rules[tariff].append(rule)
        return rules

    def rate(self, tariff: str) -> _Rule | None:
        """The rate of a tariff for these goods on this day: for the nearest origin, then the nearest product."""
        best: tuple[tuple[int, int], _Rule] | None = None
        for rule in self.rates.get(tariff, ()):
            origin, product = rule.fits("onOrigin", self.origins), rule.fits("onProduct", self.products)
            if origin is None or product is None or not rule.holds_on(self.day) or rule.one("supersededBy"):
                continue
            if any(o in self.origins for o in rule.values.get("exceptOrigin", [])):
                continue
            if best is None or (origin, product) < best[0]:
                best = (origin, product), rule
        return best[1] if best else None

    def exemption(self, tariff: str) -> _Rule | None:
        """The exemption that takes these goods out of a tariff on this day, if one does."""
        if tariff not in self._exempt:
            self._exempt[tariff] = None  # two tariffs that yield to each other: the first asked for stays
            self._exempt[tariff] = next((r for r in self.exemptions.get(tariff, ()) if self._exempts(r)), None)
        return self._exempt[tariff]

    def _exempts(self, rule: _Rule) -> bool:
        if not rule.holds_on(self.day):
            return False
        if rule.fits("covers", self.products) is None or rule.fits("onOrigin", self.origins) is None:
            return False
        favoured = rule.values.get("inFavourOf", [])
        return not favoured or any(self.rate(t) and not self.exemption(t) for t in favoured)

    def in_force(self, tariff: str) -> bool:
        """Whether acts have enacted the tariff by this day and none has ended it.

        A tariff whose known rates have all run out has lapsed by its own terms.
        """
        rates = self.rates.get(tariff, [])
        if rates and not any(rule.holds_on(self.day) for rule in rates):
            return False
        if self._effects is None:
            text = f"""
                SELECT ?tariff ?kind {{
                    {_values("tariff", self.tariffs)} VALUES ?kind {{ effect-kind:enacts effect-kind:ends }}
                    ?effect trade:affects ?tariff ; trade:effectKind ?kind ; trade:from ?from .
                    FILTER(STR(?from) <= "{self.day}")
                }}"""
            self._effects = defaultdict(set)
            for row in self._reader.rows(_with_prefixes(text)):
                self._effects[_text(row, "tariff")].add(_slug(_text(row, "kind")))
        return self._effects[tariff] == {"enacts"}

    def holds_all_duties(self) -> bool:
        """Whether the graph says of itself that it holds every duty of the importer on goods of the origin."""
        text = f"SELECT ?o {{ {_values('o', self.origins)} <{self.importer}> trade:holdsDutiesOn ?o }}"
        return bool(self._column(text))

    def open_scopes(self) -> list[Row]:
        """Measures with a rate on this day whose scope is a list without members, so that nobody can tell."""
        text = """
            SELECT DISTINCT ?tariff ?label {
                ?tariff trade:covers ?list ; rdfs:label ?label .
                FILTER NOT EXISTS { ?tariff trade:covers/^skos:broader ?member }
                FILTER NOT EXISTS { ?list skos:notation ?code }
                ?rate trade:rateOf ?tariff ; trade:from ?from . OPTIONAL { ?rate trade:until ?until }
                FILTER(LANG(?label) = "en" && STR(?from) <= "DAY" && (!BOUND(?until) || STR(?until) >= "DAY"))
            } ORDER BY ?tariff"""
        return self._reader.rows(_with_prefixes(text.replace("DAY", self.day)))

    def acts(self, iris: Iterable[str]) -> dict[str, str]:
        text = f"""
            SELECT ?act ?label ?id {{ {_values("act", iris)} ?act rdfs:label ?label .
            OPTIONAL {{ ?act eli:id_local ?id }}
            FILTER(LANG(?label) = "en") }}"""
        rows = self._reader.rows(_with_prefixes(text))
        return {_text(r, "act"): ": ".join(filter(None, (_text(r, "id"), _text(r, "label")))) for r in rows}


def _weigh(case: _Case) -> tuple[list[tuple[str, _Rule]], list[dict[str, str]], list[str], set[str]]:
    """The rates that apply by tariff, the tariffs set aside, the reasons for not knowing, and the sources of it all."""
    applied: list[tuple[str, _Rule]] = []
    excluded: list[dict[str, str]] = []
    reasons: list[str] = []
    sources: set[str] = set()
    for tariff, row in case.tariffs.items():
        rate, label = case.rate(tariff), _text(row, "label")
        if rate is None and not case.in_force(tariff):
            continue
        exemption = case.exemption(tariff)
        if exemption is not None:
            reason = exemption.one("label") or "An exemption applies."
            excluded.append({"measure": tariff, "label": label, "reason": reason, "exemption": exemption.iri})
            sources |= exemption.sources
        elif rate is None:
            reasons.append(f"The graph holds no rate of the {label} for these goods from this origin on this day.")
        else:
            applied.append((tariff, rate))
            sources |= rate.sources
    return applied, excluded, reasons, sources


def explain(reader: Reader, inquiry: Inquiry) -> dict[str, Any]:
    """The rate in percent of the customs value, with its components, what was set aside and why, and the sources.

    `total` is None, with a `reason`, where the graph does not know: no ordinary rate, or one that is no percentage.

    Raises:
        BadRequest: a code or a day is malformed.
        NotFound: the graph does not know the importer or the origin.
    """
    case = _Case(reader, inquiry)
    applied, excluded, reasons, sources = _weigh(case)
    if not case.holds_all_duties():
        pair = f"{inquiry.importer.upper()} on goods of {inquiry.origin.upper()}"
        reasons.append(f"The graph does not hold all duties of {pair}: those it holds are listed, without a total.")
    ordinary, reason = _ordinary(applied)
    acts = case.acts({act for _, rate in applied for act in rate.values.get("setBy", [])})
    components = [_component(case.tariffs[tariff], rate, ordinary, acts) for tariff, rate in applied]
    components.sort(key=lambda c: (c["form"] != "ordinary", c["from"], c["measure"]))
    if reason:
        reasons.insert(0, reason)
    elif unknown := next((c for c in components if c["contribution"] is None), None):
        reasons.append(f"The {unknown['label']} is {unknown['duty']!r} on these goods, which is no percentage.")
    total = None if reasons else sum((Decimal(str(c["contribution"])) for c in components), Decimal(0))
    answer: dict[str, Any] = {
        "importer": inquiry.importer,
        "origin": inquiry.origin,
        "product": product_codes(inquiry.product)[0],
        "on": case.day,
        "total": None if total is None else _number(total),
        "unit": "percent",
        "components": components,
        "excluded": excluded,
        "sources": sorted(sources),
        "notes": [
            f"{_text(row, 'label')}: the graph does not hold the codes that it covers; these goods may be among them."
            for row in case.open_scopes()
        ],
    }
    return {**answer, "reason": " ".join(reasons)} if reasons else answer


def _ordinary(applied: list[tuple[str, _Rule]]) -> tuple[Decimal | None, str]:
    """The ordinary rate, or None and why it is not known."""
    for _, rate in applied:
        if _slug(rate.one("form")) == "ordinary":
            percent = rate.one("percent")
            return (Decimal(percent), "") if percent else (None, "The ordinary duty on these goods is no percentage.")
    specific = next((r for _, r in applied if _slug(r.one("form")) in ("specific", "compound")), None)
    if specific is not None:
        return None, f"The duty {specific.one('dutyText')!r} on these goods is no percentage."
    return None, "The graph holds no ordinary rate for these goods on this day."


def _component(row: Row, rate: _Rule, ordinary: Decimal | None, acts: dict[str, str]) -> dict[str, Any]:
    form, percent, act = _slug(rate.one("form")), rate.one("percent"), rate.one("setBy") or ""
    share: Decimal | None = Decimal(percent) if percent else None
    if form == "all-in" and share is not None:
        share = None if ordinary is None else max(Decimal(0), share - ordinary)
    return {
        "measure": _text(row, "tariff"),
        "label": _text(row, "label"),
        "form": form,
        "rate": _number(Decimal(percent)) if percent else None,
        "duty": rate.one("dutyText") or f"{percent} %",
        "contribution": None if share is None else _number(share),
        "act": act,
        "actLabel": acts.get(act, ""),
        "authority": _text(row, "authority"),
        "authorityLabel": _text(row, "authorityLabel"),
        "from": rate.one("from"),
        "until": rate.one("until"),
        "rateLine": rate.iri,
    }


def _prevailing(rows: list[Row]) -> list[Row]:
    """Of the values that sources give for one property: all, or those of the prevailing source if it has one value."""
    if _text(rows[0], "functional") != "true":
        return rows
    best = max(rows, key=lambda r: (int(_text(r, "precedence") or 0), _text(r, "issued"), _text(r, "source")))
    return [best]


def _with_prefixes(text: str) -> str:
    from kg.terms import prologue

    return prologue(text) + text


def _values(variable: str, iris: Iterable[str]) -> str:
    return f"VALUES ?{variable} {{ {' '.join(f'<{iri}>' for iri in iris)} }}"


def _text(row: Row, name: str) -> str:
    return str(row[name].value) if name in row else ""


def _slug(iri: str | None) -> str:
    return (iri or "").rsplit("/", 1)[-1]


def _number(value: Decimal) -> float | int:
    return int(value) if value == value.to_integral_value() else float(value)
