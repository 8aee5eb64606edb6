"""Shared parts: one store with the shipped facts for all tests that only read, copies for those that write."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from hypothesis import settings

from kg import formats
from kg.content import Content
from kg.engines import StoreReader
from kg.loading import ensure_content
from kg.questions import Questions
from kg.results import Table
from kg.store import Versions
from tests.effort import THOROUGH
from tests.server import Server, served

# The tests start processes by the hundred: modules are compiled once, and not by each of them.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

settings.register_profile(THOROUGH)
CONTENT = Content.shipped()


def pytest_xdist_auto_num_workers() -> int:
    """One process more than there are processors, since many tests wait; not too many, as servers and their workers are
    processes of their own."""
    return min(os.cpu_count() or 1, 7) + 1


@dataclass
class Asker:
    """Asks named questions of the shipped facts, as `kg ask` does."""

    reader: StoreReader

    def ask(self, name: str, **parameters: str) -> list[dict[str, str]]:
        """Rows with IRIs as prefixed names and literals as text; unbound is ''."""
        question = Questions(CONTENT)[name].bind(parameters)
        table = Table.from_json(self.reader.answer(question, formats.ROWS[0]))
        return [dict(zip(table.columns, (cell.text for cell in row), strict=True)) for row in table.rows]


@pytest.fixture(scope="session")
def shipped_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a store that holds the shipped facts. Not to be written to."""
    home = tmp_path_factory.mktemp("shipped")
    ensure_content(Versions.create(home, bare=False), CONTENT)
    return home


@pytest.fixture
def home(shipped_home: Path, tmp_path: Path) -> Path:
    """A copy of the shipped store that a test may change."""
    return Path(shutil.copytree(shipped_home, tmp_path / "home"))


@pytest.fixture(scope="module")
def server(shipped_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server on a copy of the shipped store, which the tests of one file may change."""
    with served(Path(shutil.copytree(shipped_home, tmp_path_factory.mktemp("server") / "home"))) as server:
        yield server


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[httpx.Client]:
    with server.client() as client:
        yield client


@pytest.fixture(scope="module")
def bare_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server on a store without shapes, where a commit takes milliseconds."""
    with served(tmp_path_factory.mktemp("bare") / "home", "--bare") as server:
        yield server


@pytest.fixture(scope="session")
def graph(shipped_home: Path) -> Iterator[Asker]:
    with Versions(shipped_home).reading() as (_, store):
        yield Asker(StoreReader(store))
