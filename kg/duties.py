"""Read a duty as the US schedule prints it: "Free", "2.5%", "4.4¢/kg + 3%", "Free (A,KR,S) 1.6% (JP)"."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal

_NUMBER = r"(\d+(?:\.\d+)?)"
_PERCENT = re.compile(_NUMBER + r"\s*%\Z")
#: 4.4¢/kg, $1.646/kg, 44¢ each: the sign before or behind the number, then the unit.
_AMOUNT = re.compile(rf"(?:\${_NUMBER}|{_NUMBER}\s*¢)(?:\s*/\s*(\w[^¢$%/]*|line/ gross)|\s+(each))\Z")
_WORDS = re.compile(r"[A-Za-z]{2}")
_DECIMAL_COMMA = re.compile(r"\d,\d*\s*[%¢]")
_SPECIAL = re.compile(r"([^()]*)\(([^()]*)\)")


@dataclass(frozen=True)
class Duty:
    """A duty: the percentage of the value (None: none), amounts in dollars each with its unit, and the text itself."""

    text: str
    percent: Decimal | None = None
    amounts: tuple[tuple[Decimal, str], ...] = ()

    @property
    def in_words(self) -> bool:
        """Whether it is a rule in words, such as a rate on a part of the goods, which no number stands for."""
        return self.percent is None and not self.amounts

    @property
    def malformed(self) -> bool:
        """Whether it is neither a number that can be read nor words."""
        return self.in_words and (_WORDS.search(self.text) is None or _DECIMAL_COMMA.search(self.text) is not None)

    @property
    def form(self) -> str:
        """The concept of the scheme of forms: ordinary, specific, compound or in-words."""
        if self.in_words:
            return "in-words"
        if not self.amounts:
            return "ordinary"
        return "specific" if self.percent is None else "compound"


def parse_duty(text: str) -> Duty:
    """Read one duty. What is not a sum of one percentage and amounts per unit stays in words."""
    text = " ".join(text.split())
    if text.lower() == "free":
        return Duty(text, Decimal(0))
    percents: list[Decimal] = []
    amounts: list[tuple[Decimal, str]] = []
    for term in re.split(r"\s*\+\s*", text):
        if found := _PERCENT.match(term):
            percents.append(Decimal(found[1]))
        elif found := _AMOUNT.match(term):
            amount = Decimal(found[1]) if found[1] else Decimal(found[2]) / 100
            amounts.append((amount, found[4] or found[3].strip()))
        else:
            return Duty(text)
    if len(percents) > 1:
        return Duty(text)
    return Duty(text, percents[0] if percents else None, tuple(amounts))


def parse_special(text: str, wanted: set[str]) -> list[tuple[Duty, list[str]]]:
    """The special rates for the wanted program indicators, each with its indicators; other programs are left out.

    A rate that refers elsewhere ("See 9908.04.01") stays in words.
    """
    found = []
    for duty, programs in _SPECIAL.findall(text):
        symbols = sorted({s.strip() for s in programs.split(",")} & wanted)
        if duty.strip() and symbols:
            found.append((parse_duty(duty), symbols))
    return found
