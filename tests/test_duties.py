"""Duties as the US schedule prints them: what becomes numbers, what stays in words, what is neither."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kg.duties import Duty, parse_duty, parse_special

#: Text to percentage (None: none), amounts in dollars with their units, and form.
READ: dict[str, tuple[str | None, list[tuple[str, str]], str]] = {
    "Free": ("0", [], "ordinary"),
    " free ": ("0", [], "ordinary"),
    "2.5%": ("2.5", [], "ordinary"),
    "25 %": ("25", [], "ordinary"),
    "4.4¢/kg": (None, [("0.044", "kg")], "specific"),
    "$1.646/kg": (None, [("1.646", "kg")], "specific"),
    "1¢ each": (None, [("0.01", "each")], "specific"),
    "44¢ each + 6%": ("6", [("0.44", "each")], "compound"),
    "6% + 44¢ each": ("6", [("0.44", "each")], "compound"),
    "52.9¢/kg+14.2%": ("14.2", [("0.529", "kg")], "compound"),
    "$1.035/kg + 0.5¢/liter + 8.5%": ("8.5", [("1.035", "kg"), ("0.005", "liter")], "compound"),
    "1.7¢/kg on lead content": (None, [("0.017", "kg on lead content")], "specific"),
    "22.4¢/pf. liter": (None, [("0.224", "pf. liter")], "specific"),
    "9.9¢/line/ gross": (None, [("0.099", "line/ gross")], "specific"),
    "27.1¢/1000": (None, [("0.271", "1000")], "specific"),
}
#: Rules that no number stands for.
IN_WORDS = [
    "2.5% on the value of the lead content",
    "30¢ each + 6.9% on the case + 5.3% on the battery",
    "See additional U.S. note 1",
    "The rate applicable to the natural juice in heading 2009",
    "3.6606¢/kg less 0.020668¢/kg for each degree under 100 degrees but not less than 3.143854¢/kg",
    "2% + 3% on the rest",
    "Free + the rate of heading 9101",
]
MALFORMED = [
    "6,8%",
    "12",
    "%",
    "",
    "5%%",
    "4.4¢/",
    "4,4¢/kg",
    "44,5¢ each + 6%",
    "-5%",
    "2% + 3%",
    "$5",
    "1.2.3%",
    "+",
    ".5%",
]


@pytest.mark.parametrize("text", READ)
def test_printed_rate_becomes_numbers(text: str) -> None:
    percent, amounts, form = READ[text]
    duty = parse_duty(text)
    assert duty.percent == (None if percent is None else Decimal(percent))
    assert duty.amounts == tuple((Decimal(amount), unit) for amount, unit in amounts)
    assert (duty.form, duty.in_words, duty.malformed) == (form, False, False)
    assert duty.text == text.strip()


@pytest.mark.parametrize("text", IN_WORDS)
def test_rule_that_is_no_sum_of_numbers_stays_in_words(text: str) -> None:
    duty = parse_duty(text)
    assert duty == Duty(text)
    assert (duty.form, duty.in_words, duty.malformed) == ("in-words", True, False)


@pytest.mark.parametrize("text", MALFORMED)
def test_neither_numbers_nor_words_is_malformed(text: str) -> None:
    assert parse_duty(text).malformed


def test_spaces_and_line_ends_are_one_space() -> None:
    assert parse_duty(" 44¢   each\n +  6% ") == Duty("44¢ each + 6%", Decimal(6), ((Decimal("0.44"), "each"),))


WANTED = {"S", "S+", "KR", "JP"}
#: A special column to the rates of the wanted programs: text and indicators of each.
SPECIAL = {
    "Free (A,AU,KR,S) 1.6% (JP)": [("Free", ["KR", "S"]), ("1.6%", ["JP"])],
    "Free (A*, AU, BH, S+ , S)": [("Free", ["S", "S+"])],
    "Free (A,AU) 4.4¢/kg (KR) 2% (PE)": [("4.4¢/kg", ["KR"])],
    "See 9908.04.01 (KR)": [("See 9908.04.01", ["KR"])],
    "Free (A,AU,BH)": [],
    "(KR)": [],
    "Free": [],
    "": [],
    "JP KR S": [],
}


@pytest.mark.parametrize("text", SPECIAL)
def test_special_column_gives_the_rates_of_the_wanted_programs(text: str) -> None:
    assert [(duty.text, symbols) for duty, symbols in parse_special(text, WANTED)] == SPECIAL[text]


def test_special_rate_is_read_like_a_general_one() -> None:
    [(free, _), (compound, _), (words, _)] = parse_special("Free (S) 44¢ each + 6% (KR) See 9908.04.01 (JP)", WANTED)
    assert (free.percent, compound.form, words.form) == (Decimal(0), "compound", "in-words")
    assert not words.malformed


def test_program_that_nobody_wants_is_left_out() -> None:
    assert parse_special("Free (KR) 1.6% (JP)", set()) == []


numbers = st.decimals(min_value=0, max_value=9999, places=4).map(lambda n: n.quantize(Decimal("0.0001")))
units = st.sampled_from(["kg", "liter", "pf. liter", "doz.", "m2", "1000", "clean kg", "kg on lead content", "each"])


def printed(amount: Decimal, unit: str, in_cents: bool) -> str:
    number = f"{amount * 100:f}¢" if in_cents else f"${amount:f}"
    if unit == "each":
        return f"{amount * 100:f}¢ each" if in_cents else f"${amount:f} each"
    return f"{number}/{unit}"


@given(
    percent=st.none() | numbers,
    amounts=st.lists(st.tuples(numbers, units, st.booleans()), max_size=3),
    place=st.integers(0, 3),
    plus=st.sampled_from([" + ", "+", " +", "+ "]),
)
def test_printed_sum_is_read_back(
    percent: Decimal | None, amounts: list[tuple[Decimal, str, bool]], place: int, plus: str
) -> None:
    terms = [printed(*amount) for amount in amounts]
    if percent is not None:
        terms.insert(place, f"{percent:f}%")
    duty = parse_duty(plus.join(terms))
    assert duty.percent == percent
    assert duty.amounts == tuple((amount, unit) for amount, unit, _ in amounts)
    assert duty.malformed == (not terms)


@given(st.text() | st.text("0123456789.,%¢$/+ ()eachFrkgKRJPS"))
def test_any_text_is_read_or_kept(text: str) -> None:
    duty = parse_duty(text)
    assert duty.text.split() == text.split()
    assert duty.form in ("ordinary", "specific", "compound", "in-words")
    assert duty.in_words == (duty.form == "in-words")
    for special, symbols in parse_special(text, WANTED):
        assert special.text in " ".join(text.split())
        assert set(symbols) <= WANTED
