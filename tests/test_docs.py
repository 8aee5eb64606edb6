"""The documentation says what is so: settings, commands, questions, examples and links."""

from __future__ import annotations

import re
from dataclasses import Field, fields
from pathlib import Path
from typing import Any

import pytest

from kg import formats
from kg.api import create_app
from kg.cli import main
from kg.engines import StoreReader
from kg.evaluation import Question
from kg.graph import EmbeddedGraph
from kg.loading import load
from kg.metrics import Metrics
from kg.parsing import Document, prefixed_turtle
from kg.questions import NamedQuestion, Parameter, Questions
from kg.settings import Settings
from kg.store import Versions
from kg.terms import PREFIXES, SOURCE
from tests.conftest import CONTENT

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
HTTP = ROOT / "docs" / "http.md"
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "tests").rglob("*.md")])
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def blocks(page: Path, language: str) -> list[str]:
    """The fenced blocks of a page that are marked with a language."""
    return [text for mark, text in FENCE.findall(page.read_text("utf-8")) if mark == language]


def rows(page: Path, first: str) -> list[list[str]]:
    """The cells of the table whose first heading is `first`."""
    lines = page.read_text("utf-8").splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith(f"| {first} |"))
    table = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        table.append([cell.strip() for cell in line.strip("|").split("|")])
    return table


def parameter_text(parameter: Parameter) -> str:
    """A parameter as docs/questions.md has it."""
    example = f"`{parameter.name}={parameter.example}`"
    if parameter.required:
        return f"{example} (required)"
    return f"{example} (default `{parameter.default}`)" if parameter.default else example


def setting_row(spec: Field[Any]) -> list[str]:
    """The row of the README for a setting. A default that is not a number is told by the help, or is none."""
    default = f"`{spec.default:g}`" if isinstance(spec.default, int | float) else ""
    return [f"`{spec.metadata['variable']}`", spec.metadata["help"], default]


def question_row(question: NamedQuestion) -> list[str]:
    """The row of docs/questions.md for a question."""
    link = f"[`{question.name}`](../queries/{question.name}.rq)"
    return [link, question.question, ", ".join(map(parameter_text, question.parameters)) or "none"]


def examples(page: Path) -> list[Document]:
    """The Turtle examples of a page, as files of their own; those without prefixes get them."""
    texts = [text if "@prefix" in text else prefixed_turtle(text) for text in blocks(page, "turtle")]
    return [
        Document(f"{page.name}, example {number}", text.encode(), formats.GRAPHS[0], f"{SOURCE}example-{number}")
        for number, text in enumerate(texts, 1)
    ]


def missing_links(text: str, folder: Path) -> list[str]:
    """The relative links of a text in a folder that name no file."""
    targets = [link.split("#")[0] for link in LINK.findall(text) if "://" not in link]
    return [target for target in targets if target and not (folder / target).exists()]


def test_readme_has_every_setting_with_its_help_and_default() -> None:
    """The README's table of settings is that of kg.settings, word for word."""
    assert rows(README, "variable") == [setting_row(spec) for spec in fields(Settings)]


def test_readme_has_every_command() -> None:
    """The README's table of commands has each command of the command line, and no other."""
    assert [row[0] for row in rows(README, "command")] == [f"`{name}`" for name in main.commands]


def test_questions_page_equals_the_headers() -> None:
    """docs/questions.md has a row for each question, with the words and parameters of its header."""
    page = ROOT / "docs" / "questions.md"
    assert rows(page, "question") == [question_row(question) for question in Questions(CONTENT).all]


def test_http_page_has_every_route_with_its_methods(shipped_home: Path) -> None:
    """The routes of docs/http.md are those of the API's own description, by path up to the first variable."""
    graph = EmbeddedGraph(Versions(shipped_home), CONTENT, Settings(home=shipped_home))
    app = create_app(graph, Metrics(graph))
    described = {path.split("{")[0]: {m.upper() for m in methods} for path, methods in app.openapi()["paths"].items()}
    listed = {row[0].strip("`").split("{")[0]: set(row[1].split(", ")) for row in rows(HTTP, "route")}
    undescribed = {"/", "/docs", "/openapi.json"}
    assert {path: methods for path, methods in listed.items() if path not in undescribed} == described


def test_readme_prefixes_are_those_of_parley() -> None:
    """Each prefix that the README offers for copying stands for what it stands for in Parley."""
    listed = re.findall(r"^PREFIX ([\w-]+): <(.+)>$", README.read_text("utf-8"), re.MULTILINE)
    assert listed
    assert {name: PREFIXES.get(name) for name, _ in listed} == dict(listed)


@pytest.mark.parametrize("page", ["README.md", "docs/modelling.md"])
def test_turtle_examples_conform(page: str, home: Path) -> None:
    """The Turtle examples of a page load together, without a finding but that excerpts leave out their document."""
    documents = examples(ROOT / page)
    outcome = load(Versions(home), documents, CONTENT)
    assert outcome.record is not None
    assert [f for f in outcome.report.findings if not f.shape.endswith("#GraphShape")] == []


def test_readme_queries_give_an_answer(shipped_home: Path) -> None:
    """The SPARQL examples of the README parse, and find something in the shipped facts."""
    queries = blocks(README, "sparql")
    assert queries
    with Versions(shipped_home).reading() as (_, store):
        for text in queries:
            assert StoreReader(store).rows(Question(text).text), text


def test_architecture_names_every_module() -> None:
    """docs/architecture.md places each module of the package, and names none that is not there."""
    places = " ".join(row[1] for row in rows(ROOT / "docs" / "architecture.md", "layer"))
    modules = {path.stem for path in (ROOT / "kg").glob("*.py")} - {"__init__"}
    assert set(re.findall(r"`(\w+)`", places)) == modules


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_relative_links_lead_somewhere(page: Path) -> None:
    """Each link to a file of the repository names one that is there."""
    assert missing_links(page.read_text("utf-8"), page.parent) == []


def unknown_tests(text: str) -> list[str]:
    """The tests that a text names, as `file.py::name`, and that are not there."""
    named = re.findall(r"`(test_\w+\.py)::(test_\w+)`", text)
    assert named
    tests = {path.name: path.read_text("utf-8") for path in (ROOT / "tests").glob("test_*.py")}
    return [f"{file}::{name}" for file, name in named if f"def {name}(" not in tests.get(file, "")]


def test_security_page_names_tests_that_are_there() -> None:
    """Each point of docs/security.md is shown by a test of the name that it gives."""
    assert unknown_tests((ROOT / "docs" / "security.md").read_text("utf-8")) == []


def test_a_test_that_is_not_there_is_found() -> None:
    """A test of another file or of no file is told from one that is where it is said to be."""
    own = test_a_test_that_is_not_there_is_found.__name__
    text = f"`test_docs.py::{own}`, `test_store.py::{own}` and `test_nothing.py::{own}`"
    assert unknown_tests(text) == [f"test_store.py::{own}", f"test_nothing.py::{own}"]


def test_a_link_to_nowhere_is_found() -> None:
    """A link to a file that is not there is told from one that is, and from one to another host."""
    text = "[a](README.md#start), [b](docs/nowhere.md) and [c](https://example.org/nowhere.md)"
    assert missing_links(text, ROOT) == ["docs/nowhere.md"]
