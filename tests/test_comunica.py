"""Comunica, a query engine in JavaScript, takes `/sparql` for one of its sources, alone and together with another."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sysconfig
from pathlib import Path
from typing import Any

import pytest
from platformdirs import user_cache_path
from rdflib import Graph
from rdflib.compare import isomorphic

from kg.terms import PREFIXES
from tests.server import AUTHORIZED, Server, kg

VERSION = "5.4.1"
PATH = os.pathsep.join([sysconfig.get_path("scripts"), os.environ["PATH"]])
PROLOGUE = "".join(f"PREFIX {name}: <{PREFIXES[name]}> " for name in ("country", "foaf", "rdfs", "trade"))
SELECT = f"{PROLOGUE} SELECT ?t ?label {{ ?t a trade:Tariff ; rdfs:label ?label FILTER(LANG(?label) = 'en') }}"
CONSTRUCT = f"{PROLOGUE} CONSTRUCT {{ country:JP ?p ?o }} WHERE {{ country:JP ?p ?o }}"
NOTES = f"INSERT DATA {{ <{PREFIXES['country']}JP> foaf:nick 'a' . <{PREFIXES['country']}KR> foaf:nick 'b' }}"
JOINED = f"""{PROLOGUE} SELECT ?nick ?label {{
    ?country foaf:nick ?nick . ?country a trade:Country ; rdfs:label ?label FILTER(LANG(?label) = "en")
}}"""


@pytest.fixture(scope="module")
def program() -> Path:
    """Comunica's command; installed once, in the user's cache. Where it cannot be, CI fails and others skip."""
    folder = user_cache_path("parley-kg") / f"comunica-{VERSION}"
    program = folder / "node_modules" / ".bin" / "comunica-sparql"
    if not program.exists():
        npm = shutil.which("npm", path=PATH)
        package = f"@comunica/query-sparql@{VERSION}"
        command = [npm or "npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(folder), package]
        try:
            subprocess.run(command, env={**os.environ, "PATH": PATH}, check=True, capture_output=True, timeout=300)
        except (OSError, subprocess.SubprocessError):
            shutil.rmtree(folder, ignore_errors=True)
            if os.environ.get("CI") == "true":
                raise
            pytest.skip("npm or its registry is not there")
    return program


def ask(program: Path, media: str, query: str, *sources: str) -> str:
    command = [str(program), *(f"sparql@{source}/sparql" for source in sources), "-q", query, "-t", media]
    env = {**os.environ, "PATH": PATH}
    return subprocess.run(command, env=env, capture_output=True, text=True, check=True, timeout=120).stdout


def rows(text: str) -> list[str]:
    answer: dict[str, Any] = json.loads(text)
    return sorted(json.dumps(row, sort_keys=True) for row in answer["results"]["bindings"])


def test_rows(program: Path, server: Server) -> None:
    expected = rows(kg(server.home, "query", "--format", "json", SELECT))
    assert len(expected) > 10
    assert rows(ask(program, "application/sparql-results+json", SELECT, server.url)) == expected


@pytest.mark.parametrize(("country", "known"), [("JP", True), ("XX", False)])
def test_booleans(program: Path, server: Server, country: str, known: bool) -> None:
    answer = ask(
        program, "application/sparql-results+json", f"{PROLOGUE} ASK {{ country:{country} ?p ?o }}", server.url
    )
    assert json.loads(answer)["boolean"] is known


def test_graphs(program: Path, server: Server) -> None:
    expected = Graph().parse(data=kg(server.home, "query", "--format", "ntriples", CONSTRUCT), format="nt")
    assert len(expected) > 5
    assert isomorphic(Graph().parse(data=ask(program, "text/turtle", CONSTRUCT, server.url), format="turtle"), expected)


def test_two_sources_at_once(program: Path, server: Server, bare_server: Server) -> None:
    with bare_server.client() as client:
        client.post("/update", data={"update": NOTES}, headers=AUTHORIZED).raise_for_status()
    answer = json.loads(ask(program, "application/sparql-results+json", JOINED, server.url, bare_server.url))
    found = {row["nick"]["value"]: row["label"]["value"] for row in answer["results"]["bindings"]}
    assert found == {"a": "Japan", "b": "South Korea"}
