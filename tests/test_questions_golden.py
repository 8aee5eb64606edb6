"""The named questions against answers worked out by hand; golden/README.md has the form of a case."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pyoxigraph as ox
import pytest
import yaml

from kg.content import Content
from kg.questions import NamedQuestion, Questions

QUESTIONS = Questions(Content.shipped()).all


class Graph(Protocol):
    def ask(self, name: str, **parameters: str) -> list[dict[str, str]]: ...


@dataclass(frozen=True)
class Case:
    """One file of golden/."""

    name: str
    question: str
    parameters: dict[str, str]
    columns: list[str]
    rows: list[list[str]]
    contains: bool = False
    count: int | None = None
    absent: tuple[dict[str, str], ...] = ()

    @classmethod
    def read(cls, path: Path) -> Case:
        return cls(path.stem, path.stem.split(".")[0], **yaml.safe_load(path.read_text("utf-8")))


CASES = [Case.read(path) for path in sorted((Path(__file__).parent / "golden").glob("*.yaml"))]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_question_gives_the_golden_answer(graph: Graph, case: Case) -> None:
    answer = graph.ask(case.question, **case.parameters)

    found = Counter(tuple(row[column] for column in case.columns) for row in answer)
    expected = Counter(tuple(row) for row in case.rows)
    missing = expected - found
    surplus = Counter() if case.contains else found - expected
    forbidden = [row for row in answer for values in case.absent if values.items() <= row.items()]
    assert (missing, surplus, forbidden) == (Counter(), Counter(), [])
    assert case.count in (None, len(answer))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_case_names_only_what_the_question_has(case: Case) -> None:
    question = next(q for q in QUESTIONS if q.name == case.question)
    named = {*case.columns, *(column for values in case.absent for column in values)}

    assert named <= set(question.columns)
    assert all(len(row) == len(case.columns) for row in case.rows)
    assert all(isinstance(value, str) for row in case.rows for value in row)


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question.name)
def test_a_question_has_a_case_without_and_one_with_each_of_its_optional_parameters(question: NamedQuestion) -> None:
    given = [set(case.parameters) for case in CASES if case.question == question.name]
    required = {p.name for p in question.parameters if p.required}

    assert required in given
    assert {p.name for p in question.parameters} <= set().union(*given)


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question.name)
def test_a_question_answers_with_the_columns_of_its_header_and_no_row_twice(
    graph: Graph, question: NamedQuestion
) -> None:
    answer = graph.ask(question.name, **{p.name: p.example for p in question.parameters})

    rows = [tuple(row.items()) for row in answer]
    assert all(tuple(row) == question.columns for row in answer)
    assert len(rows) == len(set(rows))


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question.name)
def test_the_examples_of_a_question_have_an_answer(graph: Graph, question: NamedQuestion) -> None:
    assert graph.ask(question.name, **{p.name: p.example for p in question.parameters})


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question.name)
def test_a_question_is_a_valid_query_as_it_stands(question: NamedQuestion) -> None:
    ox.Store().query(question.text)
