"""Named questions: SPARQL files with a YAML header, and the safe way to fill in their parameters.

A parameter stands in the query as a line `VALUES ?name { UNDEF }`. UNDEF means any; the binder puts one typed,
serialised term in its place and touches nothing else, so the file is a valid query as it stands.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Final

from kg.content import Content
from kg.errors import BadRequest, NotFound, StoreFailure
from kg.evaluation import Question
from kg.paging import Page, paged
from kg.rates import product_codes
from kg.results import Table
from kg.terms import CONCEPT_KINDS, ENTITY_KINDS, PREFIXES, SOURCE, expand

#: Parameters of the URL that are not the question's own.
RESERVED: Final = ("format", "limit", "offset")
_SLUG = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?\Z")


@dataclass(frozen=True)
class Parameter:
    """A parameter as its header describes it. `kind` says how a value is read; see `term`."""

    name: str
    kind: str
    variable: str
    description: str = ""
    example: str = ""
    default: str = ""
    required: bool = False

    def term(self, value: str) -> str:
        """The value as a SPARQL term.

        Raises:
            BadRequest: the value is not of the parameter's kind.
        """
        value = value.strip()
        try:
            return self._term(value)
        except ValueError as error:
            text = f"{self.name}={value!r} {error}"
            raise BadRequest(text, f"For example: {self.name}={self.example}." if self.example else "") from None

    def _term(self, value: str) -> str:
        if self.kind == "integer":
            if not re.fullmatch(r"[+-]?\d{1,18}", value):
                raise ValueError("is not a whole number.")
            return str(int(value))
        if self.kind == "date":
            try:
                return f'"{date.fromisoformat(value).isoformat()}"^^<{PREFIXES["xsd"]}date>'
            except ValueError:
                raise ValueError("is not a day: write it as YYYY-MM-DD.") from None
        if self.kind == "text":
            escaped = re.sub(r'["\\\x00-\x1f\x7f]', lambda m: f"\\u{ord(m[0]):04X}", value)
            return f'"{escaped}"'
        if self.kind == "iri" or ":" in value:
            iri = expand(value)
            if iri is None:
                raise ValueError("is not an IRI or a prefixed name such as country:JP.")
            return f"<{iri}>"
        if self.kind == "product":
            return f"<{PREFIXES['product']}{product_codes(value)[0]}>"
        if self.kind == "country":
            value = value.upper()
        if not _SLUG.match(value):
            raise ValueError(f"is not the name of a {self.kind}: give the last part of its IRI.")
        return f"<{SOURCE if self.kind == 'source' else PREFIXES[self.kind]}{value}>"


@dataclass(frozen=True)
class NamedQuestion:
    """One file of queries/: its header and its text."""

    name: str
    text: str
    title: str
    question: str
    parameters: tuple[Parameter, ...]
    columns: tuple[str, ...]
    description: str = ""

    def bind(self, given: Mapping[str, str], page: Page | None = None) -> Question:
        """Fill the parameters in, for the whole answer or for one page of it. Empty values count as not given.

        Raises:
            BadRequest: an unknown or malformed parameter, or a required one that is missing.
        """
        given = {name: value for name, value in given.items() if value != ""}
        known = {p.name for p in self.parameters}
        for name in given:
            if name not in known:
                choice = f"It takes: {', '.join(sorted(known))}." if known else "It takes none."
                raise BadRequest(f"The question {self.name} has no parameter {name!r}.", choice)
        text = self.text
        for parameter in self.parameters:
            value = given.get(parameter.name, parameter.default)
            if value:
                text = _slot(parameter.variable).sub(lambda m, p=parameter, v=value: m[1] + p.term(v) + m[2], text)  # type: ignore[misc]
            elif parameter.required:
                example = f"For example: {parameter.name}={parameter.example}." if parameter.example else ""
                raise BadRequest(f"The question {self.name} needs {parameter.name}.", example)
        return Question(text if page is None else paged(text, self.columns, page))

    def unknown_names(self, given: Mapping[str, str]) -> Question | None:
        """A query for the values given that name nothing in the graph, with what it knows of their kind.

        None if no value names an entity. Codes of products may be finer than the graph's own, so they are not asked.
        """
        named = [
            f'("{p.name}" {p.term(given[p.name])} "{PREFIXES[p.kind]}")'
            for p in self.parameters
            if given.get(p.name) and p.kind in (*ENTITY_KINDS, *CONCEPT_KINDS) and p.kind != "product"
        ]
        if not named:
            return None
        return Question(f"""
            SELECT DISTINCT ?parameter ?iri ?known {{
                VALUES (?parameter ?iri ?kind) {{ {" ".join(named)} }}
                FILTER NOT EXISTS {{ ?iri ?property ?value }}
                ?known a ?class . FILTER(STRSTARTS(STR(?known), ?kind))
            }}""")


def refuse_unknown(answer: Table) -> None:
    """Take the answer to `unknown_names`.

    Raises:
        NotFound: a value names nothing in the graph; says what may have been meant.
    """
    for parameter, iri, _ in answer.rows[:1]:
        kind, _, name = iri.text.partition(":")
        known = [cell.text.partition(":")[2] for _, _, cell in answer.rows]
        near = difflib.get_close_matches(name, known, n=3, cutoff=0.4)
        hint = f"Did you mean {', '.join(f'{kind}:{n}' for n in near)}?" if near else ""
        raise NotFound(f"{parameter.text}: the graph knows no {iri.text}.", hint)


def _slot(variable: str) -> re.Pattern[str]:
    return re.compile(rf"(\bVALUES\s+\?{re.escape(variable)}\s*\{{\s*)UNDEF(\s*\}})")


class Questions:
    """The questions of one content folder (none: there are none), read when first asked for."""

    def __init__(self, content: Content | None) -> None:
        self._files = {path.stem: path for path in content.queries} if content else {}

    @cached_property
    def all(self) -> list[NamedQuestion]:
        return [self[name] for name in sorted(self._files)]

    def __getitem__(self, name: str) -> NamedQuestion:
        """Raises: NotFound: there is no question of that name."""
        if name not in self._files:
            near = difflib.get_close_matches(name, self._files, n=3, cutoff=0.4)
            hint = f"Did you mean {', '.join(near)}?" if near else "`kg ask` lists them all."
            raise NotFound(f"There is no question {name!r}.", hint)
        return parse(self._files[name])


def parse(path: Path) -> NamedQuestion:
    """Read one file.

    Raises:
        StoreFailure: the header is not as it must be; says how.
    """
    import yaml

    text = path.read_text("utf-8")
    lines = [line[2:].removeprefix(" ") for line in text.splitlines() if line.startswith("#+")]
    try:
        header = yaml.safe_load("\n".join(lines)) or {}
        parameters = tuple(_parameter(entry) for entry in header.get("parameters") or ())
        question = NamedQuestion(
            name=path.stem,
            text=text,
            title=header["title"],
            question=header["question"],
            parameters=parameters,
            columns=tuple(header["columns"]),
            description=str(header.get("description", "")).strip(),
        )
    except (yaml.YAMLError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise StoreFailure(
            f"{path}: the header is not complete: {error}.", "It needs title, question and columns."
        ) from None
    for parameter in parameters:
        if not _slot(parameter.variable).search(text):
            raise StoreFailure(f"{path}: no line VALUES ?{parameter.variable} {{ UNDEF }} for {parameter.name}.")
    return question


def _parameter(entry: Mapping[str, object]) -> Parameter:
    kind = str(entry["kind"])
    if kind not in ("date", "integer", "text", "iri", "source", *ENTITY_KINDS, *CONCEPT_KINDS):
        raise ValueError(f"{kind!r} is no kind of parameter")
    name = str(entry["name"])
    if name in RESERVED:
        raise ValueError(f"{name!r} is for every question")
    return Parameter(
        name=name,
        kind=kind,
        variable=str(entry.get("variable", name)),
        description=str(entry.get("description", "")),
        example=str(entry.get("example", "")),
        default=str(entry.get("default", "")),
        required=bool(entry.get("required", False)),
    )
