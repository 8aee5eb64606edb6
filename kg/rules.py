"""The rules of law that touch one inquiry about a duty rate, as the graph states them.

Rates, exemptions and gaps are read once for the goods, the origin and the day; where sources differ, the prevailing
one counts. Two clocks run: the day of entry, and the day on which somebody asks. What an act ordered is known from
the day on which the act was signed or published, so that a later act with effect for the past is not yet there.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kg.errors import BadRequest, NotFound
from kg.terms import DERIVED_GRAPHS, OVERRULED_GRAPH, PREFIXES, TRADE, prologue

if TYPE_CHECKING:
    from kg.engines import Reader, Row
    from kg.rates import Inquiry

_COUNTRY, _PRODUCT, _CONDITION = PREFIXES["country"], PREFIXES["product"], PREFIXES["condition"]
_ALL_ORIGINS, _ALL_GOODS = _COUNTRY + "ALL", _PRODUCT + "ALL"
_NAMESPACES = (TRADE, PREFIXES["rdfs"])


@dataclass
class Rule:
    """A rate, an exemption or a gap: the prevailing values of its properties, and the sources that state them."""

    iri: str
    values: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    sources: set[str] = field(default_factory=set)

    def one(self, name: str) -> str | None:
        return next(iter(self.values.get(name, ())), None)

    def holds_on(self, day: str) -> bool:
        begin, end = self.one("from"), self.one("until")
        return (begin is None or begin <= day) and (end is None or day <= end)

    def fits(self, name: str, among: Sequence[str]) -> int | None:
        """How near the rule's limit is (0: the thing itself), len(among) without one, None if it does not fit."""
        limits = self.values.get(name)
        if not limits:
            return len(among)
        return min((among.index(v) for v in limits if v in among), default=None)


class Rules:
    """The tariffs that an inquiry touches, with their rates, exemptions and gaps.

    Raises:
        BadRequest: the goods cannot meet a condition given, or there is no such condition.
        NotFound: the graph does not know the importer or the origin.
    """

    def __init__(self, reader: Reader, inquiry: Inquiry, codes: Sequence[str]) -> None:
        self._reader = reader
        self.day, self._known = inquiry.day, inquiry.known_day
        importer, origin = self.importer, self.origin = inquiry.country("importer"), inquiry.country("origin")
        self._check_known({"importer": importer, "origin": origin})
        self.origins = [origin, *self._column(f"SELECT ?o {{ <{origin}> trade:memberOf ?o }}"), _ALL_ORIGINS]
        self.products = self._products([_PRODUCT + code for code in codes])
        self.conditions = [_CONDITION + name for name in inquiry.conditions]
        self._check_conditions()
        self.gaps = self._gaps(importer)
        self.tariffs = self._tariffs(importer)
        self.rates = self._rules(f"""
            {{ {_values("onProduct", self.products)} ?rule trade:onProduct ?onProduct ; trade:rateOf ?tariff }} UNION
            {{ ?rule trade:rateOf ?tariff FILTER NOT EXISTS {{ ?rule trade:onProduct ?any }} }}
            FILTER(NOT EXISTS {{ ?rule trade:onOrigin ?anywhere }}
                || EXISTS {{ {_values("here", self.origins)} ?rule trade:onOrigin ?here }})""")
        self.exemptions = self._rules(f"""
            {{ {_values("covered", self.products)} ?rule trade:covers ?covered ; trade:exempts ?tariff }} UNION
            {{ ?rule trade:exempts ?tariff FILTER NOT EXISTS {{ ?rule trade:covers ?any }} }}""")
        self._forget_the_future()
        self._exempt: dict[str, Rule | None] = {}
        self._effects: dict[str, set[str]] | None = None

    def _rows(self, text: str) -> list[Row]:
        return self._reader.rows(prologue(text) + text)

    def _column(self, text: str) -> list[str]:
        return [str(next(iter(row.values())).value) for row in self._rows(text)]

    def _check_known(self, countries: dict[str, str]) -> None:
        known = set(self._column(f"SELECT ?c {{ {_values('c', countries.values())} ?c a trade:TradeParty }}"))
        for name, iri in countries.items():
            if iri not in known:
                code = iri.removeprefix(_COUNTRY)
                raise NotFound(
                    f"{name}={code} is no country that the graph knows.", "Give an ISO code such as US, JP or EU."
                )

    def _check_conditions(self) -> None:
        """Refuse a condition that the graph does not know, or that goods of this origin cannot meet."""
        scheme = _CONDITION.removesuffix("/")
        rows = self._rows(
            f"SELECT ?c ?origin {{ ?c skos:inScheme <{scheme}> OPTIONAL {{ ?c trade:appliesToOrigin ?origin }} }}"
        )
        origins: dict[str, set[str]] = defaultdict(set)
        for row in rows:
            origins[text_of(row, "c")].add(text_of(row, "origin"))
        self._unmeetable = {c for c, among in origins.items() if among != {""} and not among & set(self.origins)}
        for condition in self.conditions:
            name = slug(condition)
            if condition not in origins:
                names = ", ".join(sorted(slug(c) for c in origins))
                raise BadRequest(f"condition={name} is no condition that the graph knows.", f"It knows: {names}.")
            if condition in self._unmeetable:
                names = ", ".join(sorted(slug(o) for o in origins[condition]))
                raise BadRequest(
                    f"Goods of {slug(self.origin)} cannot meet condition={name}.", f"It is for goods of {names}."
                )

    def _products(self, given: list[str]) -> list[str]:
        """The codes given and all that is broader in the graph, nearest first."""
        text = f"SELECT ?a ?b {{ {_values('code', given)} ?code skos:broader* ?a . ?a skos:broader ?b }}"
        broader: dict[str, list[str]] = defaultdict(list)
        for row in self._rows(text):
            broader[text_of(row, "a")].append(text_of(row, "b"))
        found = dict.fromkeys(given)
        queue = list(given)
        while queue:
            for parent in sorted(broader[queue.pop(0)]):
                if parent not in found:
                    found[parent] = None
                    queue.append(parent)
        found.pop(_ALL_GOODS, None)
        return [*found, _ALL_GOODS]

    def _reaches(self, importer: str) -> str:
        """What a tariff of the importer must meet to reach the origin."""
        return f"""
            {_values("origin", self.origins)}
            ?tariff trade:imposedBy <{importer}> ; trade:appliesToOrigin ?origin .
            FILTER NOT EXISTS {{ {_values("out", self.origins)} ?tariff trade:exceptOrigin ?out }}"""

    def _tariffs(self, importer: str) -> dict[str, Row]:
        """The tariffs whose scope holds the goods, and those of which a gap says that nobody can tell."""
        text = f"""
            SELECT DISTINCT ?tariff ?label ?authority ?authorityLabel {{
                {{ {_values("product", self.products)} ?tariff trade:covers ?product }}
                UNION {{ {_values("tariff", self.gaps)} }}
                {self._reaches(importer)}
                ?tariff rdfs:label ?label ; trade:restsOn ?authority .
                ?authority rdfs:label ?authorityLabel .
                FILTER(LANG(?label) = "en" && LANG(?authorityLabel) = "en")
            }} ORDER BY ?tariff ?authority"""
        return {text_of(row, "tariff"): row for row in self._rows(text)}

    def _gaps(self, importer: str) -> dict[str, list[Rule]]:
        """What the graph lacks that touches these goods from this origin on this day, by tariff."""
        found = self._rules(f"?rule trade:about ?tariff ; a trade:Gap . {self._reaches(importer)}", tariffs=())
        touching = {
            tariff: [
                gap
                for gap in gaps
                if gap.holds_on(self.day)
                and gap.fits("covers", self.products) is not None
                and gap.fits("onOrigin", self.origins) is not None
                and gap.fits("onCondition", self.conditions) is not None
            ]
            for tariff, gaps in found.items()
        }
        return {tariff: gaps for tariff, gaps in touching.items() if gaps}

    def _rules(self, pattern: str, tariffs: Iterable[str] | None = None) -> dict[str, list[Rule]]:
        """Tariff to its rules; where sources differ on a functional property, the prevailing value."""
        within = _values("tariff", self.tariffs) if tariffs is None else ""
        derived = ", ".join(f"<{graph}>" for graph in sorted(DERIVED_GRAPHS))
        text = f"""
            SELECT DISTINCT ?tariff ?rule ?property ?value ?source {{
                {within}
                {pattern}
                GRAPH ?source {{ ?rule ?property ?value }}
                FILTER(?source NOT IN ({derived}))
                FILTER NOT EXISTS {{ GRAPH <{OVERRULED_GRAPH}> {{ ?rule ?property ?value }} }}
            }} ORDER BY ?tariff ?rule ?property ?value ?source"""
        found: dict[str, dict[str, Rule]] = defaultdict(dict)
        for row in self._rows(text):
            rule = found[text_of(row, "tariff")].setdefault(text_of(row, "rule"), Rule(text_of(row, "rule")))
            for namespace in _NAMESPACES:
                name, value = text_of(row, "property").removeprefix(namespace), text_of(row, "value")
                if name != text_of(row, "property"):
                    rule.sources.add(text_of(row, "source"))
                    if value not in rule.values[name]:
                        rule.values[name].append(value)
        return {tariff: list(rules.values()) for tariff, rules in found.items()}

    def _forget_the_future(self) -> None:
        """Undo what acts did that nobody knew of on the day of knowledge: rules, ends and replacements for the past."""
        replacing = self._replacing_acts()
        acts = {act for acts in replacing.values() for act in acts}
        for rules in (*self.rates.values(), *self.exemptions.values()):
            acts.update(act for rule in rules for name in ("setBy", "endedBy") for act in rule.values.get(name, ()))
        known = self._known_acts(acts) if self._known else acts
        for table in (self.rates, self.exemptions):
            for tariff, rules in table.items():
                kept = [r for r in rules if known & set(r.values.get("setBy", ()))]
                kept = [
                    r for r in kept if not (known & replacing[r.iri] if self._known else "supersededBy" in r.values)
                ]
                for rule in kept:
                    if rule.values.get("endedBy") and not known.intersection(rule.values["endedBy"]):
                        rule.values.pop("until", None)
                table[tariff] = kept

    def _replacing_acts(self) -> dict[str, set[str]]:
        """For each rate that was replaced with effect for the past, the acts that set what took its place."""
        replaced = [rule.iri for rules in self.rates.values() for rule in rules if rule.values.get("supersededBy")]
        text = f"""
            SELECT DISTINCT ?rate ?act {{ {_values("rate", replaced)} ?rate trade:supersededBy/trade:setBy ?act }}"""
        found: dict[str, set[str]] = defaultdict(set)
        for row in self._rows(text) if replaced else ():
            found[text_of(row, "rate")].add(text_of(row, "act"))
        return found

    def _known_acts(self, acts: Iterable[str]) -> set[str]:
        """The acts that were signed or published by the day of knowledge; a month counts from its end.

        An act that says neither counts from its entry into force, which may lie before the act where it has both.
        """
        text = f"""
            SELECT DISTINCT ?act {{ {_values("act", acts)}
                {{ ?act eli:date_document|eli:date_publication ?day }}
                UNION {{
                    ?act eli:first_date_entry_in_force ?day .
                    FILTER NOT EXISTS {{ ?act eli:date_document|eli:date_publication ?other }}
                }}
                FILTER(CONCAT(STR(?day), "~") <= "{self._known}~") }}"""
        return set(self._column(text))

    def rate(self, tariff: str) -> list[Rule]:
        """The rate of a tariff for these goods on this day; more than one if none is nearer than the other.

        A rate on a condition that the goods meet goes before others, then one for the nearest origin, then one for
        the nearest product, then the later.
        """
        found: dict[tuple[int, int, int], list[Rule]] = defaultdict(list)
        for rule in self.rates.get(tariff, ()):
            places = (
                rule.fits("onCondition", self.conditions),
                rule.fits("onOrigin", self.origins),
                rule.fits("onProduct", self.products),
            )
            if rule.holds_on(self.day) and not set(rule.values.get("exceptOrigin", ())) & set(self.origins):
                condition, origin, product = places
                if condition is not None and origin is not None and product is not None:
                    found[condition, origin, product].append(rule)
        nearest = found[min(found)] if found else []
        latest = max((rule.one("from") or "" for rule in nearest), default="")
        return [rule for rule in nearest if (rule.one("from") or "") == latest]

    def exemption(self, tariff: str) -> Rule | None:
        """The exemption that takes these goods out of a tariff on this day, if one does."""
        if tariff not in self._exempt:
            self._exempt[tariff] = None  # two tariffs that yield to each other: the first asked for stays
            self._exempt[tariff] = next((r for r in self.exemptions.get(tariff, ()) if self._exempts(r)), None)
        return self._exempt[tariff]

    def _exempts(self, rule: Rule) -> bool:
        if not rule.holds_on(self.day) or rule.fits("onCondition", self.conditions) is None:
            return False
        if rule.fits("covers", self.products) is None or rule.fits("onOrigin", self.origins) is None:
            return False
        favoured = rule.values.get("inFavourOf", [])
        return not favoured or any(self.rate(t) and not self.exemption(t) for t in favoured)

    def unmet(self) -> list[tuple[str, Rule, str]]:
        """The rates and exemptions that would hold if these goods met a condition that goods of their origin can meet.

        Each with its tariff, unless that is set aside, and with the condition.
        """
        return [
            (tariff, rule, condition)
            for table in (self.rates, self.exemptions)
            for tariff, rules in table.items()
            for rule in rules
            if rule.holds_on(self.day)
            and rule.fits("onCondition", self.conditions) is None
            and rule.fits("onOrigin", self.origins) is not None
            and self.exemption(tariff) is None
            for condition in rule.values["onCondition"]
            if condition not in self._unmeetable
        ]

    def in_force(self, tariff: str) -> bool:
        """Whether acts have enacted the tariff by this day and none has ended it.

        A tariff whose known rates have all run out has lapsed by its own terms.
        """
        rates = self.rates.get(tariff, [])
        if rates and not any(rule.holds_on(self.day) for rule in rates):
            return False
        if self._effects is None:
            text = f"""
                SELECT ?tariff ?kind ?act {{
                    {_values("tariff", self.tariffs)} VALUES ?kind {{ effect-kind:enacts effect-kind:ends }}
                    ?effect trade:affects ?tariff ; trade:effectKind ?kind ; trade:from ?from ; trade:byAct ?act .
                    FILTER(STR(?from) <= "{self.day}")
                }}"""
            rows = self._rows(text)
            acts = {text_of(row, "act") for row in rows}
            known = self._known_acts(acts) if self._known else acts
            self._effects = defaultdict(set)
            for row in rows:
                if text_of(row, "act") in known:
                    self._effects[text_of(row, "tariff")].add(slug(text_of(row, "kind")))
        return self._effects[tariff] == {"enacts"}

    def open_scopes(self) -> list[str]:
        """Labels of measures with a rate on this day whose scope is a list without members, so that nobody can tell."""
        text = f"""
            SELECT DISTINCT ?label {{
                {{ SELECT DISTINCT ?tariff ?label {{
                    {self._reaches(self.importer)}
                    ?tariff trade:covers ?list ; rdfs:label ?label .
                    FILTER NOT EXISTS {{ ?list skos:notation ?code }}
                    FILTER NOT EXISTS {{ ?tariff trade:covers ?any . ?member skos:broader ?any }}
                    FILTER(LANG(?label) = "en")
                }} }}
                FILTER EXISTS {{
                    ?rate trade:rateOf ?tariff ; trade:from ?from .
                    FILTER(STR(?from) <= "{self.day}")
                    FILTER NOT EXISTS {{ ?rate trade:until ?until FILTER(STR(?until) < "{self.day}") }}
                }}
            }} ORDER BY ?label"""
        return self._column(text)

    def holds_all_duties(self) -> bool:
        """Whether the graph says of itself that it holds every duty of the importer on goods of the origin."""
        text = f"SELECT ?o {{ {_values('o', self.origins)} <{self.importer}> trade:holdsDutiesOn ?o }}"
        return bool(self._column(text))

    def duty_parts(self, rates: Iterable[Rule]) -> dict[str, Row]:
        """Amount, currency and unit of each part of these rates that is due for a quantity, by the part's IRI."""
        parts = [part for rate in rates for part in rate.values.get("hasDutyPart", ())]
        if not parts:
            return {}
        text = f"""
            SELECT ?part ?amount ?currency ?unit {{ {_values("part", parts)}
                ?part trade:amount ?amount ; trade:currency ?currency ; trade:perUnit ?unit }}"""
        return {text_of(row, "part"): row for row in self._rows(text)}

    def labels(self, iris: Iterable[str]) -> dict[str, str]:
        """English labels; that of an act is headed by its number."""
        text = f"""
            SELECT ?thing ?label ?id {{ {_values("thing", iris)} ?thing rdfs:label ?label .
            OPTIONAL {{ ?thing eli:id_local ?id }}
            FILTER(LANG(?label) = "en") }}"""
        rows = self._rows(text)
        return {text_of(r, "thing"): ": ".join(filter(None, (text_of(r, "id"), text_of(r, "label")))) for r in rows}


def _values(variable: str, iris: Iterable[str]) -> str:
    return f"VALUES ?{variable} {{ {' '.join(f'<{iri}>' for iri in iris)} }}"


def text_of(row: Row, name: str) -> str:
    return str(row[name].value) if name in row else ""


def slug(iri: str | None) -> str:
    """The last part of an IRI: jp for …/id/country/jp."""
    return (iri or "").rsplit("/", 1)[-1]
