"""A trade graph of any size, made up by a program: what loads, commits and validation are measured on.

python -m bench.generate TRIPLES [--seed N] [--output FILE]

Nothing in it is a fact about the world. Its countries, acts, officials and talks do not exist, its names begin with
`gen-` and its labels with "Generated"; it mentions countries, tariffs, goods and concepts that Parley ships, so that a
load has to look them up. It conforms to the shapes beside the shipped facts.

The graph comes source by source and needs no memory of what it said: nodes are numbered, and what must be known of an
earlier one (the parties of some talks, the percentage of a rate) follows from its number. Schedules of goods make about
a third of it, in sources of thousands of facts; the other sources have 30 to 300, a few more. A few nodes are referred
to most often. Later sources add to earlier ones, some repeat them, and a few contradict them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO

import click

from bench.invented import cast
from bench.invented.author import Author
from kg.terms import SOURCE

#: The first sources are the same in every graph; one of this size has a few hundred facts beside them.
MINIMUM = 2_000
#: Nodes of sources that stand beside a graph have numbers from here on, each source so many.
_FRESH = 10**9
#: The share of schedules in a graph, the facts that one has at most, and the part of a graph that it makes at most.
_SCHEDULED, _SCHEDULE, _PART = 1 / 3, 6_000, 1 / 10
#: What a source says of itself at most, and what the last one has at least, so that it can end where it must.
_DOCUMENT, _ROOM = 10, 160


def sources(triples: int, seed: int = 1) -> Iterator[str]:
    """The graph source by source, as N-Quads: exactly so many distinct triples, a few of which two sources state.

    Raises:
        ValueError: fewer triples than `MINIMUM`.
    """
    if triples < MINIMUM:
        raise ValueError(f"A generated graph has {MINIMUM:,} triples or more, not {triples:,}.")
    author = Author()
    yield from author.foundation()
    author.reseed(f"{seed}/{triples}")
    scheduled = 0
    while (left := triples - author.facts) > 0:
        author.today = cast.FIRST + int((cast.LAST - cast.FIRST) * author.facts / triples)
        before, size = author.facts, author.size()
        schedule = int(min(size * 40, _SCHEDULE, triples * _PART))
        if scheduled < _SCHEDULED * author.facts and schedule < left / 2:
            yield author.schedule(schedule)
            scheduled += author.facts - before
        elif left < size + _ROOM:
            yield author.report(left, exact=True)
        else:
            yield author.report(size)


def quads_lines(triples: int, seed: int = 1) -> Iterator[str]:
    """The same by lines, each with its line break."""
    for text in sources(triples, seed):
        yield from text.splitlines(keepends=True)


def one_source(number: int, facts: int = 100, seed: int = 1) -> tuple[str, bytes]:
    """A source that no generated graph has, and that conforms beside any of them: the IRI of its graph, and N-Quads.

    Each number from 0 on gives another source. It refers to nodes that all generated graphs have.

    Raises:
        ValueError: fewer facts than the document alone has.
    """
    if facts < _DOCUMENT:
        raise ValueError(f"A generated source has {_DOCUMENT} facts or more, not {facts}.")
    author, first = Author(), _FRESH * (number + 1)
    for _ in author.foundation():
        pass
    author.number_from(first)
    author.reseed(f"{seed}/one/{number}")
    author.today = cast.LAST
    return f"{SOURCE}gen-{first}", author.report(facts, exact=True).encode()


@click.command()
@click.argument("triples", type=click.IntRange(min=MINIMUM))
@click.option("--seed", default=1, show_default=True, help="Another number gives another graph.")
@click.option("--output", type=click.File("w", encoding="utf-8"), default="-", help="File to write; standard output.")
def main(triples: int, seed: int, output: IO[str]) -> None:
    """Write an invented trade graph of so many distinct TRIPLES as N-Quads."""
    output.writelines(sources(triples, seed))


if __name__ == "__main__":
    main()
