"""The author of the generated sources: what one says, one after the other."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from itertools import count, takewhile
from typing import TypeVar

from bench.invented import blocks, cast
from bench.invented.blocks import Block
from kg.terms import ID, SOURCE

T = TypeVar("T")

#: More than any episode has facts, and more than any small one.
_LARGE, _SMALL = 80, 16


class Author:
    """Writes one source after the other, and remembers of earlier ones how many nodes of each kind they have."""

    def __init__(self) -> None:
        self.facts = 0
        self.today = cast.FIRST
        #: The number of the next node of a kind, and how many there were before the source at hand.
        self._next: defaultdict[str, int] = defaultdict(int)
        self._known: Counter[str] = Counter()
        self._graph = ""
        self._text: list[str] = []
        self._negotiation = 0
        self.reseed("foundation")
        self._small = [
            self._deadline, *[self._status] * 3, *[self._statement] * 4, *[self._proposal] * 4, *[self._exemption] * 2,
            *[self._later] * 8,
        ]  # fmt: skip
        self._episodes = [
            self._talks, *[self._round] * 9, *[self._agreement] * 4, *[self._measure] * 4, *[self._amendment] * 6,
            *self._small, *self._small,
        ]  # fmt: skip

    def reseed(self, seed: str) -> None:
        self._random = random.Random(seed).random

    def number_from(self, first: int) -> None:
        """Number the new nodes of each kind from here on; the nodes known are those there are now."""
        self._next = defaultdict(lambda: first)

    def size(self) -> int:
        """Facts of the next source: 30 to 300, rarely 1,500."""
        size = int(30 * 10 ** self._random())
        return size if self._random() < 0.97 else size * 5

    def foundation(self) -> Iterator[str]:
        """What every graph has, whatever its size and seed."""
        steps = (
            [self._register], [self._nomenclature], [self._talks] * 3, [self._measure] * 3,
            [self._proposal] * 4 + [self._statement] * 4, [self._agreement],
        )  # fmt: skip
        for episodes in steps:
            self._open()
            for episode in episodes:
                episode()
            yield self._close()

    def report(self, size: int, *, exact: bool = False) -> str:
        """A source of about so many facts, or of exactly so many that no other source has."""
        end = self.facts + size
        self._open()
        if not exact and self._random() < 0.3:  # as an earlier source said, so that it is no further triple
            one, other = cast.sides(self._negotiation)
            self._say(blocks.BETWEEN, n=self._negotiation, one=one, other=other)
            self.facts -= blocks.BETWEEN.facts
        while self.facts < (end - _LARGE if exact else end):
            self._pick(self._episodes)()
        while exact and self.facts < end - _SMALL:
            self._pick(self._small)()
        for n in range(end - self.facts):
            self._say(blocks.NOTE, n=n)
        return self._close()

    def schedule(self, size: int) -> str:
        """A source of about so many facts: the schedule of goods of a country, with a rate for each line."""
        end = self.facts + size
        self._open(kind="legal-text", grade="V1")
        act, scheme = self._act(), self._new("scheme")
        tariff = self._tariff()
        self._say(blocks.SCHEME, n=scheme)
        start = int(self._random() * len(cast.SUBHEADINGS))
        for n in takewhile(lambda _: self.facts < end, count()):
            broader = cast.SUBHEADINGS[(start + n // 90) % len(cast.SUBHEADINGS)]
            code = f"{broader}.{10 + n % 90}"
            self._say(blocks.LINE, n=scheme, code=code, broader=broader)
            self._rate(tariff, act, form="ordinary", product=f"<{ID}product/gen-{scheme}-{code}>")
            if n % 3 == 0:
                for last in ("10", "90"):
                    self._say(blocks.LINE, n=scheme, code=f"{code}.{last}", broader=f"{scheme}-{code}")
        return self._close()

    # What sources are made of

    def _open(self, kind: str = "", grade: str = "") -> None:
        if not kind:
            kind, grade = self._pick(cast.SOURCE_KINDS)
        n = self._new("source")
        self._graph = f"<{SOURCE}gen-{n}>"
        self._negotiation = self._one("negotiation")
        blanks = {"n": n, "kind": kind, "grade": grade, "dossier": self._negotiation % cast.DOSSIERS}
        issued, topic, publisher = self._time(self.today), self._topic(), self._publisher()
        self._say(blocks.SOURCE, **blanks, issued=issued, topic=topic, publisher=publisher)
        if self._random() < 0.1:
            self._say(blocks.SOURCE_IN_JAPANESE)
        if self._known["source"] and self._random() < 0.1:
            self._say(blocks.SOURCE_FROM_ANOTHER, other=self._one("source"))

    def _close(self) -> str:
        text = "".join(self._text)
        self._text.clear()
        self._known = Counter(self._next)
        return text

    def _say(self, block: Block, **blanks: object) -> None:
        self._text.append(block.quads.format(graph=self._graph, **blanks))
        self.facts += block.facts

    def _new(self, kind: str) -> int:
        number = self._next[kind]
        self._next[kind] = number + 1
        return number

    def _one(self, kind: str) -> int:
        """The number of a node that an earlier source has; most often one of the first."""
        return int(self._known[kind] * self._random() ** 3)

    def _pick(self, options: Sequence[T]) -> T:
        return options[int(len(options) * self._random())]

    def _hub(self, options: Sequence[T]) -> T:
        """One of the options; most often one of the first."""
        return options[int(len(options) * self._random() ** 3)]

    def _topic(self) -> str:
        return self._hub(cast.SUBJECTS)

    def _publisher(self) -> int:
        return int(cast.PUBLISHERS * self._random() ** 3)

    def _day(self) -> str:
        """A day in the months before the source was issued."""
        return cast.TIMES[self.today - int(200 * self._random())][0]

    def _later_day(self) -> str:
        """A day in the months after it."""
        return cast.TIMES[self.today + int(200 * self._random())][0]

    def _time(self, day: int) -> str:
        """A day as sources give it: now and then only the month or the year."""
        chance = self._random()
        return cast.TIMES[day][0 if chance < 0.9 else 1 if chance < 0.98 else 2]

    def _some_time(self) -> str:
        return self._time(self.today - int(200 * self._random()))

    def _product(self) -> str:
        return self._hub(cast.SHIPPED_PRODUCTS) if self._random() < 0.3 else self._hub(cast.PRODUCTS)

    def _any_tariff(self) -> str:
        return self._hub(cast.SHIPPED_TARIFFS) if self._random() < 0.2 else self._own_tariff()

    def _own_tariff(self) -> str:
        return f"<{ID}tariff/gen-{self._one('tariff')}>"

    # Countries and goods

    def _register(self) -> None:
        for n in range(4):
            self._say(blocks.UNION, n=n)
        for n, code in enumerate(cast.CODES):
            self._say(blocks.COUNTRY, n=n, code=code, number=900 + n, union=n % 4)
        for n in range(cast.PUBLISHERS):
            self._say(blocks.PUBLISHER, n=n)
        for n in range(cast.DOSSIERS):
            self._say(blocks.DOSSIER, n=n)

    def _nomenclature(self) -> None:
        self._say(blocks.SCHEME, n=self._new("scheme"))
        self._say(blocks.CHAPTER)
        for code in cast.HEADINGS + cast.SUBHEADINGS:
            self._say(blocks.PRODUCT, code=code, broader=code[:4] if len(code) > 4 else "77")

    # Talks

    def _talks(self) -> None:
        """Talks, and for each side an office that three officials hold in turn."""
        n = self._new("negotiation")
        one, other = cast.sides(n)
        self._say(blocks.NEGOTIATION, n=n, time=self._some_time())
        self._say(blocks.BETWEEN, n=n, one=one, other=other)
        for office, party in ((2 * n, one), (2 * n + 1, other)):
            self._say(blocks.OFFICE, n=office, party=party)
            for holder in range(3):
                first = self.today - 1_900 + 600 * holder
                official = 3 * office + holder
                self._say(blocks.OFFICIAL, n=official, office=office, day=cast.TIMES[first][0])
                if holder < 2:
                    self._say(blocks.TENURE_ENDS, n=official, day=cast.TIMES[first + 599][0])

    def _round(self) -> None:
        n, talks, start = self._new("round"), self._negotiation, self.today - int(180 * self._random())
        number, place = 1 + int(12 * self._random()), int(60 * self._random() ** 2)
        day, end = cast.TIMES[start][0], cast.TIMES[start + 2][0]
        self._say(blocks.ROUND, n=n, negotiation=talks, number=number, place=place, day=day, end=end)
        if self._random() < 0.5:
            self._say(blocks.ROUND_OUTCOME, n=n)
        for _ in range(1 + int(2 * self._random())):
            meeting, kind = self._new("meeting"), self._hub(cast.MEETING_KINDS)
            day, minutes = cast.TIMES[start + int(3 * self._random())][0], 15 + int(200 * self._random())
            self._say(blocks.MEETING, n=meeting, round=n, day=day, kind=kind, minutes=minutes)
            first = int(6 * self._random())
            for number in (first, (first + 3) % 6, (first + 1) % 6)[: 2 + int(2 * self._random())]:
                official, party = 6 * talks + number, cast.sides(talks)[number // 3]
                own = self._new("participation")
                self._say(blocks.PARTICIPATION, n=own, meeting=meeting, official=official, party=party)

    def _statement(self) -> None:
        n, official = self._new("statement"), 6 * self._negotiation + int(6 * self._random())
        about = self._any_tariff() if self._random() < 0.5 else f"<{ID}negotiation/gen-{self._negotiation}>"
        time, stance, topic = self._some_time(), self._hub(cast.STANCES), self._topic()
        self._say(blocks.STATEMENT, n=n, official=official, time=time, about=about, stance=stance, topic=topic)

    # Bargains

    def _proposal(self) -> None:
        """A concession, which has an even number, or a demand, which has an odd one."""
        n, (one, other) = self._new("proposal"), cast.sides(self._negotiation)
        if self._random() < 0.5:
            one, other = other, one
        blanks = {"n": n, "kind": "Demand" if n % 2 else "Concession", "one": one, "other": other}
        tariff, topic, time, publisher = self._any_tariff(), self._topic(), self._some_time(), self._publisher()
        self._say(blocks.PROPOSAL, **blanks, tariff=tariff, topic=topic, time=time, publisher=publisher)
        if self._random() < 0.3:
            self._say(blocks.PROPOSAL_AMOUNT, n=n, amount=10**6 * (1 + int(5_000 * self._random() ** 4)))
        demands = self._known["proposal"] // 2
        if n % 2 == 0 and demands and self._random() < 0.5:
            self._say(blocks.PROPOSAL_ANSWERS, n=n, demand=2 * int(demands * self._random() ** 3) + 1)
        self._status(n)

    def _status(self, proposal: int | None = None) -> None:
        proposal = self._one("proposal") if proposal is None else proposal
        status, time = self._hub(cast.STATUSES), self._some_time()
        self._say(blocks.EVENT, n=self._new("event"), proposal=proposal, status=status, time=time)

    def _agreement(self) -> None:
        n, (one, other) = self._new("agreement"), cast.sides(self._negotiation)
        time = self._some_time()
        self._say(blocks.AGREEMENT, n=n, one=one, other=other, time=time, negotiation=self._negotiation)
        for _ in range(2 + int(3 * self._random())):
            commitment, topic, party = self._new("commitment"), self._topic(), self._pick((one, other))
            self._say(blocks.COMMITMENT, n=commitment, agreement=n, one=party, topic=topic, time=time)
            if self._random() < 0.3:
                self._say(blocks.COMMITMENT_AMOUNT, n=commitment, amount=f"{1 + int(10**6 * self._random() ** 4)}.5")
            if self._random() < 0.3:
                self._say(blocks.PROPOSAL_RESULT, n=self._one("proposal"), commitment=commitment)
        implementation, act = self._new("implementation"), self._one("act")
        self._say(blocks.IMPLEMENTATION, n=implementation, commitment=commitment, act=act, day=self._later_day())

    def _deadline(self) -> None:
        n, about = self._new("deadline"), self._own_tariff()
        self._say(blocks.DEADLINE, n=n, day=self._later_day(), act=self._one("act"), about=about)

    # Law

    def _act(self) -> int:
        n, signed = self._new("act"), self.today - 10 - int(200 * self._random())
        topic, kind, office = self._topic(), self._hub(cast.ACT_KINDS), 2 * self._one("negotiation")
        time, published = self._time(signed), cast.TIMES[signed + 5][0]
        self._say(blocks.ACT, n=n, topic=topic, kind=kind, office=office, signed=time, published=published)
        if self._random() < 0.6:
            self._say(blocks.ACT_IN_FORCE, n=n, day=cast.TIMES[signed + 8][0])
        return n

    def _effect(self, act: int, kind: str, tariff: str) -> None:
        self._say(blocks.EFFECT, n=self._new("effect"), act=act, kind=kind, tariff=tariff, day=self._day())

    def _tariff(self) -> str:
        """A new tariff of an invented country."""
        n, general = self._new("tariff"), self._random() < 0.4
        origin = f"<{ID}country/ALL>" if general else self._hub(cast.PARTIES)
        party, product, topic, time = self._hub(cast.COUNTRIES), self._product(), self._topic(), self._some_time()
        self._say(blocks.TARIFF, n=n, party=party, origin=origin, product=product, topic=topic, time=time)
        if general and self._random() < 0.5:
            self._say(blocks.TARIFF_EXCEPT, n=n, origin=self._pick(cast.PARTIES))
        return f"<{ID}tariff/gen-{n}>"

    def _rate(self, tariff: str, act: int, *, form: str = "", origin: str = "", product: str = "") -> None:
        n = self._new("rate")
        turn = n % cast.CYCLE
        form = form or ("additional" if self._random() < 0.8 else "all-in")
        form = {cast.SPECIFIC: "specific", cast.IN_WORDS: "in-words"}.get(turn, form)
        self._say(blocks.RATE, n=n, tariff=tariff, form=form, act=act, day=self._day())
        if turn == cast.SPECIFIC:
            amount = f"{1 + n % 9}.5"
            self._say(blocks.RATE_TEXT, n=n, text=f"${amount}/kg")
            self._say(blocks.RATE_PART, n=n, amount=amount)
        elif turn == cast.IN_WORDS:
            self._say(blocks.RATE_TEXT, n=n, text=f"as generated act {act} says")
        else:
            self._say(blocks.RATE_PERCENT, n=n, percent=cast.percent(n))
        if origin:
            self._say(blocks.RATE_ON_ORIGIN, n=n, origin=origin)
        if product:
            self._say(blocks.RATE_ON_PRODUCT, n=n, product=product)
        if self._random() < 0.2:
            self._say(blocks.RATE_UNTIL, n=n, day=self._later_day())
        if self._random() < 0.2:
            self._say(blocks.RATE_HEADING, n=n, high=n // 100 % 100, low=n % 100)

    def _measure(self) -> None:
        """An act and the tariff that it enacts."""
        act, tariff = self._act(), self._tariff()
        self._effect(act, "enacts", tariff)
        self._rate(tariff, act)
        for _ in range(int(3 * self._random())):
            self._rate(tariff, act, origin=self._hub(cast.PARTIES), product=self._pick(("", self._product())))

    def _amendment(self) -> None:
        """An act that changes an earlier tariff, with another rate for someone."""
        act, tariff = self._act(), self._own_tariff()
        self._effect(act, self._pick(("amends", "suspends", "extends", "ends")), tariff)
        for _ in range(1 + int(2 * self._random())):
            self._rate(tariff, act, origin=self._hub(cast.PARTIES))

    def _exemption(self) -> None:
        n, act, day, topic = self._new("exemption"), self._one("act"), self._day(), self._topic()
        tariff, product, origin = self._any_tariff(), self._product(), self._hub(cast.COUNTRIES)
        self._say(blocks.EXEMPTION, n=n, act=act, day=day, topic=topic, tariff=tariff, product=product, origin=origin)
        if self._random() < 0.3:
            self._say(blocks.EXEMPTION_UNTIL, n=n, day=self._later_day())

    # Later words on what earlier sources describe. Each node gets a value of the same kind once.

    def _later(self) -> None:
        words = (self._further_rate, self._tenure_ends, self._another_language)
        self._pick((*words, *words, *words, self._contradiction))()

    def _further_rate(self) -> None:
        self._rate(self._any_tariff(), self._one("act"), origin=self._hub(cast.COUNTRIES))

    def _tenure_ends(self) -> None:
        office = self._new("ended")
        if office < 2 * self._known["negotiation"]:
            self._say(blocks.TENURE_ENDS, n=3 * office + 2, day=cast.TIMES[self.today][0])

    def _another_language(self) -> None:
        n = self._new("translated")
        if n < 6 * self._known["negotiation"]:
            self._say(blocks.PERSON_IN_JAPANESE, n=n)
        if n < self._known["proposal"]:
            self._say(blocks.PROPOSAL_IN_FRENCH, n=n)

    def _contradiction(self) -> None:
        """Another percentage for a rate, a day before all others for a statement and an event."""
        n, day = self._new("contradicted"), cast.TIMES[int(50 * self._random())][0]
        if 2 * n + 1 < self._known["rate"]:
            self._say(blocks.RATE_PERCENT, n=2 * n + 1, percent=cast.percent(2 * n + 2))
        if n < self._known["statement"]:
            self._say(blocks.STATEMENT_DATE, n=n, day=day)
        if n < self._known["event"]:
            self._say(blocks.EVENT_DATE, n=n, day=day)
