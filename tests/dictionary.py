"""docs/dictionary.md, written from the ontology and the shapes.

`python -m tests.dictionary > docs/dictionary.md` writes it anew; tests/test_vocabulary.py compares.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import pyoxigraph as ox

from kg import constraints, vocabulary
from kg.constraints import Rule
from kg.content import Content
from kg.questions import Questions
from kg.vocabulary import Class, Ref, Scheme, Vocabulary

FILE = Path(__file__).parent.parent / "docs" / "dictionary.md"
_HEAD = """# Data dictionary

What a fact may say and must say, class by class. This page is written from `ontology/` and `shapes/`, not by hand:
`python -m tests.dictionary > docs/dictionary.md`. On a server, `/ontology` shows the same with definitions of the
properties, counts, and the questions that use a term. [modelling.md](modelling.md) tells how facts are written.

"Required" is what a fact must have to be let in. What is "wanted" brings a warning if it is absent. A rule is the
message that you get if you break it.
"""


def shipped() -> Vocabulary:
    """The vocabulary of the files that ship."""
    content = Content.shipped()
    triples = [
        quad
        for path in content.ontology.values()
        for quad in ox.parse(path.read_bytes(), ox.RdfFormat.TURTLE, rename_blank_nodes=True)
    ]
    return vocabulary.read(triples, constraints.read(content.shapes), Questions(content).all)


def dictionary(words: Vocabulary) -> str:
    """The page as Markdown."""
    classes = [c for c in words.classes if c.uses or c.rules]
    places = {entry.anchor: _slug(entry.label) for entry in (*classes, *words.schemes)}
    parts = [_HEAD, "## Classes\n", ", ".join(f"[{_plain(c.label)}](#{_slug(c.label)})" for c in classes) + "\n"]
    for entry in classes:
        parts += _class(entry, places)
    parts.append("## Concept schemes\n")
    for scheme in words.schemes:
        parts += _scheme(scheme)
    return "\n".join(parts)


def _class(entry: Class, places: dict[str, str]) -> Iterator[str]:
    yield f"### {entry.label}\n"
    yield f"`{entry.name}`. {_plain(entry.definition)}".rstrip() + "\n"
    if entry.parents:
        yield f"Kind of {_refs(entry.parents, places, ', ')}, so what holds of that holds here too.\n"
    if entry.rules:
        yield _rules(entry.rules, "\n\n") + "\n"
    if entry.uses:
        yield "| property | how many | values | rule |"
        yield "|---|---|---|---|"
        for use in entry.uses:
            name = ("inverse of " if use.inverse else "") + f"`{use.property.name}`"
            values = _refs(use.values, places, " or ") or "any"
            yield f"| {name} | {use.need}: {use.number} | {values} | {_rules(use.rules, '<br>')} |"
        yield ""


def _scheme(scheme: Scheme) -> Iterator[str]:
    yield f"### {scheme.label}\n"
    yield _plain(scheme.definition) + "\n"
    yield "| concept | label | definition |"
    yield "|---|---|---|"
    for concept in scheme.concepts:
        yield f"| `{concept.name}` | {_plain(concept.label)} | {_plain(concept.definition)} |"
    yield ""


def _rules(rules: Iterable[Rule], between: str) -> str:
    return between.join(("*Warning*: " if rule.warning else "") + _plain(rule.message) for rule in rules)


def _refs(refs: Iterable[Ref], places: dict[str, str], between: str) -> str:
    return between.join(
        f"[{_plain(ref.label)}](#{places[ref.anchor]})" if ref.anchor in places else _plain(ref.label) for ref in refs
    )


def _plain(text: str) -> str:
    """Text that Markdown shows as it is, also in a table."""
    return re.sub(r"([<>|*\[\]\\_])", r"\\\1", text)


def _slug(label: str) -> str:
    """The anchor that GitHub gives a heading."""
    return re.sub(r"[^\w -]", "", label.lower()).replace(" ", "-")


if __name__ == "__main__":
    sys.stdout.write(dictionary(shipped()))
