"""Tokens: how they are written, what each may change, whom the history names; and that none is ever shown."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kg.errors import BadRequest
from kg.records import Record
from kg.settings import Settings
from kg.tokens import LEAST, Author, find, read_tokens
from tests.server import KG, Server, environment, select, served

SECRET = "x" * LEAST
BIS, FT = "https://w3id.org/parley/source/bis-", "https://w3id.org/parley/source/ft-"


def tokens(text: str) -> list[Author]:
    return [token.author for token in read_tokens(Settings(token=text))]


class TestSyntax:
    @pytest.mark.parametrize(
        ("text", "authors"),
        [
            ("", []),
            (SECRET, [Author()]),
            (f"bis:{SECRET}", [Author("bis")]),
            (f"{SECRET}@{BIS}", [Author("", BIS)]),
            (f" bis-2.a_b:{SECRET}@source:bis- \n {SECRET}==", [Author("bis-2.a_b", BIS), Author()]),
            (f"n:{SECRET}@https://example.org/@home:8443/a", [Author("n", "https://example.org/@home:8443/a")]),
        ],
    )
    def test_tokens_are_read(self, text: str, authors: list[Author]) -> None:
        assert tokens(text) == authors

    @pytest.mark.parametrize(
        ("text", "reason"),
        [
            (f"{SECRET} :{SECRET}y", "Token 2 of KG_TOKEN is malformed"),
            (f"a b:{SECRET}", "Token 1 of KG_TOKEN has a secret of 1 characters"),
            (f"a/b:{SECRET}", "malformed"),
            (f"a:b:{SECRET}", "malformed"),
            ("name:", "malformed"),
            (f"@{BIS}", "malformed"),
            ("ü" * LEAST, "malformed"),
            ("x" * (LEAST - 1), f"has a secret of 15 characters. Give it at least {LEAST}"),
            (f"{SECRET}@", "a prefix that begins no IRI"),
            (f"{SECRET}@bis", "a prefix that begins no IRI"),
            (f'{SECRET}@https://example.org/"', "a prefix that begins no IRI"),
            (f"a:{SECRET} b:{SECRET}", "Two tokens have the same secret"),
        ],
    )
    def test_what_is_malformed_is_told_without_the_secret(self, text: str, reason: str) -> None:
        with pytest.raises(BadRequest) as caught:
            tokens(text)
        assert reason in str(caught.value)
        assert SECRET not in str(caught.value)

    @given(st.text())
    def test_any_text_is_tokens_or_one_clear_error(self, text: str) -> None:
        try:
            read_tokens(Settings(token=text))
        except BadRequest as error:
            assert error.hint

    def test_a_file_adds_to_them(self, tmp_path: Path) -> None:
        file = tmp_path / "tokens"
        file.write_text(f"bis:{SECRET}\n")
        found = read_tokens(Settings(token=SECRET + "y", token_file=str(file)))
        assert [token.author.name for token in found] == ["", "bis"]

    @pytest.mark.parametrize(("name", "reason"), [("none", "No such file"), ("latin", "not UTF-8"), (".", "directory")])
    def test_a_file_that_cannot_be_read_is_told(self, tmp_path: Path, name: str, reason: str) -> None:
        (tmp_path / "latin").write_bytes(b"\xff" * LEAST)
        with pytest.raises(BadRequest, match=f"KG_TOKEN_FILE cannot be read: .*{reason}"):
            read_tokens(Settings(token_file=str(tmp_path / name)))

    def test_the_author_of_a_secret_is_found_and_of_another_is_not(self) -> None:
        known = read_tokens(Settings(token=f"a:{SECRET}a b:{SECRET}b"))
        assert [find(known, SECRET + end) for end in ("a", "b", "c", "")] == [Author("a"), Author("b"), None, None]
        assert SECRET not in repr(known)


TOKENS = {"all": "all-may-write-here", "bis": "only-the-feed-of-bis", "ft": "only-what-ft-writes"}
FACT = "<urn:s> <urn:p> 'new' ."
GIVEN = f"all:{TOKENS['all']} bis:{TOKENS['bis']}@{BIS} {TOKENS['ft']}@{FT}"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with served(tmp_path_factory.mktemp("tokens") / "home", "--bare", KG_TOKEN=GIVEN) as server:
        yield server


def write(
    client: httpx.Client, who: str, method: str, path: str, body: str = "", media: str = "text/turtle", **query: str
) -> httpx.Response:
    headers = {"Authorization": f"Bearer {TOKENS[who]}", "Content-Type": media}
    return client.request(method, path, params=query, content=body, headers=headers)


def update(client: httpx.Client, who: str, text: str, **query: str) -> httpx.Response:
    return write(client, who, "POST", "/update", text, "application/sparql-update", **query)


def patch(client: httpx.Client, who: str, graph: str, **query: str) -> httpx.Response:
    return write(
        client, who, "PATCH", "/graphs", f"INSERT DATA {{ {FACT} }}", "application/sparql-update", graph=graph, **query
    )


def facts(client: httpx.Client) -> list[dict[str, str]]:
    return select(client, "SELECT * { { GRAPH ?g { ?s ?p ?o } } UNION { ?s ?p ?o } } ORDER BY ?g ?s ?p ?o")


class TestScope:
    @pytest.fixture(autouse=True)
    def filled(self, client: httpx.Client) -> None:
        texts = (f"GRAPH <{BIS}1> {{ <urn:s> <urn:p> 'bis' }}", f"GRAPH <{FT}1> {{ <urn:s> <urn:p> 'ft' }}")
        assert update(client, "all", f"CLEAR ALL ; INSERT DATA {{ {' '.join(texts)} }}").status_code == 200

    @pytest.mark.parametrize("method", ["PUT", "POST"])
    def test_its_own_sources_are_written(self, client: httpx.Client, method: str) -> None:
        assert write(client, "bis", method, "/graphs", FACT, graph=f"{BIS}2").status_code == 201
        assert write(client, "bis", method, "/graphs", FACT, graph=f"{BIS}1").status_code == 200
        assert write(client, "bis", "DELETE", "/graphs", graph=f"{BIS}1").status_code == 200
        assert patch(client, "bis", f"{BIS}2").is_success
        assert update(client, "bis", f"INSERT DATA {{ GRAPH <{BIS}3> {{ {FACT} }} }}").status_code == 200

    @pytest.mark.parametrize("graph", [f"{FT}1", f"{FT}new", BIS[:-1], BIS.upper(), f"x{BIS}", "urn:x"])
    @pytest.mark.parametrize("dry", ["true", "false"])
    def test_other_sources_are_not(self, client: httpx.Client, graph: str, dry: str) -> None:
        before = facts(client)
        asked: list[httpx.Response] = [
            write(client, "bis", "PUT", "/graphs", FACT, graph=graph, **{"dry-run": dry}),
            write(client, "bis", "POST", "/graphs", FACT, graph=graph, **{"dry-run": dry}),
            write(client, "bis", "PUT", "/graphs", f"<{graph}> {{ {FACT} }}", "application/trig", **{"dry-run": dry}),
            patch(client, "bis", graph, **{"dry-run": dry}),
        ]
        if graph == f"{FT}1":
            asked.append(write(client, "bis", "DELETE", "/graphs", graph=graph, **{"dry-run": dry}))
        for answer in asked:
            assert answer.status_code == 403, answer.text
            assert answer.headers["content-type"] == "application/problem+json"
            assert answer.json()["hint"] == f"It may change sources that begin with {BIS}."
        assert facts(client) == before

    def test_a_data_set_that_names_one_other_source_is_refused_as_a_whole(self, client: httpx.Client) -> None:
        before = facts(client)
        for graph in (f"<{FT}1>", f"<{FT}2>", ""):
            body = f"<{BIS}1> {{ {FACT} }} {graph} {{ {FACT} }}"
            for method in ("PUT", "POST"):
                assert write(client, "bis", method, "/graphs", body, "application/trig").status_code == 403
        assert facts(client) == before

    @pytest.mark.parametrize(
        "text",
        [
            f"INSERT DATA {{ GRAPH <{FT}1> {{ {FACT} }} }}",
            f"INSERT DATA {{ {FACT} }}",
            f"INSERT DATA {{ GRAPH <{BIS}1> {{ {FACT} }} }} ; DROP GRAPH <{FT}1>",
            "DELETE { GRAPH ?g { ?s ?p ?o } } WHERE { GRAPH ?g { ?s ?p ?o } }",
            f"INSERT {{ GRAPH ?g {{ ?s ?p ?o }} }} WHERE {{ ?x ?y ?z . GRAPH ?h {{ ?s ?p ?o }} BIND(<{FT}2> AS ?g) }}",
            f"INSERT {{ GRAPH ?g {{ <urn:s> <urn:p> 1 }} }} WHERE {{ BIND(IRI(CONCAT('{FT}', '2')) AS ?g) }}",
            f"MOVE <{FT}1> TO <{BIS}1>",
            f"COPY <{BIS}1> TO <{FT}1>",
            f"ADD <{BIS}1> TO DEFAULT",
            "CLEAR ALL",
            "DROP NAMED",
            f"PREFIX b: <{FT}> WITH b:1 DELETE {{ ?s ?p ?o }} WHERE {{ ?s ?p ?o }}",
        ],
    )
    def test_an_update_that_would_change_another_source_is_refused_as_a_whole(
        self, client: httpx.Client, text: str
    ) -> None:
        before = facts(client)
        if "?x ?y ?z" in text:
            assert update(client, "all", "INSERT DATA { <urn:a> <urn:b> 1 }").status_code == 200
            before = facts(client)
        assert update(client, "bis", text).status_code == 403
        assert update(client, "bis", text, **{"dry-run": "true"}).status_code == 403
        assert facts(client) == before

    def test_an_update_that_only_reads_another_source_is_done(self, client: httpx.Client) -> None:
        assert update(client, "bis", f"ADD <{FT}1> TO <{BIS}1>").status_code == 200
        text = f"DELETE {{ GRAPH ?g {{ ?s ?p 'nobody' }} }} INSERT {{ GRAPH <{BIS}9> {{ ?s ?p ?o }} }}"
        assert update(client, "bis", f"{text} WHERE {{ GRAPH ?g {{ ?s ?p ?o }} }}").status_code == 200


class TestHistory:
    def last(self, client: httpx.Client) -> dict[str, Any]:
        found: dict[str, Any] = client.get("/history").json()[0]
        return found

    def test_it_names_the_token_and_never_its_secret(self, client: httpx.Client) -> None:
        for who, author in (("bis", "bis"), ("all", "all"), ("ft", "")):
            graph = {"all": "urn:g", "bis": f"{BIS}h", "ft": f"{FT}h"}[who]
            answer = write(client, who, "PUT", "/graphs", f"<urn:s> <urn:p> '{who} {author} here' .", graph=graph)
            assert answer.json()["commit"]["author"] == author
            assert self.last(client)["author"] == author
            assert self.last(client)["who"] == "tester"
        assert not any(secret in client.get("/history").text for secret in TOKENS.values())


def test_no_process_that_works_with_foreign_text_knows_a_token(server: Server, client: httpx.Client) -> None:
    write(client, "all", "PUT", "/graphs", FACT, graph="urn:g")  # starts the writer
    workers = server.workers()
    assert len(workers) >= 3
    for pid in workers:
        for file in ("environ", "cmdline"):
            held = Path(f"/proc/{pid}/{file}").read_bytes()
            assert held
            assert not any(secret.encode() in held for secret in TOKENS.values())
    assert not any(secret.encode() in Path(f"/proc/{server.pid}/cmdline").read_bytes() for secret in TOKENS.values())


def test_refusals_and_the_log_hold_no_token(server: Server, client: httpx.Client) -> None:
    wrong = TOKENS["all"] + "x"
    for header in (f"Bearer {wrong}", f"Basic {TOKENS['all']}", f"Bearer {TOKENS['all']} {TOKENS['bis']}"):
        answer = client.put("/graphs", params={"graph": "urn:g"}, content=FACT, headers={"Authorization": header})
        assert answer.status_code == 401
        assert TOKENS["all"] not in answer.text
    log = server.home.with_name("home.log").read_text()
    assert not any(secret in log for secret in (*TOKENS.values(), wrong))


def test_server_takes_the_tokens_of_a_file(tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    file.write_text(f"all:{TOKENS['all']}\n")
    home = tmp_path / "home"
    with served(home, "--bare", KG_TOKEN="", KG_TOKEN_FILE=str(file)) as server, server.client() as client:
        assert write(client, "all", "PUT", "/graphs", FACT, graph="urn:g").status_code == 201
        assert write(client, "bis", "PUT", "/graphs", FACT, graph="urn:g").status_code == 401


def test_server_with_a_token_that_can_be_guessed_does_not_start(tmp_path: Path) -> None:
    done = subprocess.run(
        [KG, "serve", "--bare", "--port", "0"],
        env=environment(KG_HOME=str(tmp_path / "home"), KG_TOKEN="short"),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 2
    assert done.stderr == f"kg: Token 1 of KG_TOKEN has a secret of 5 characters. Give it at least {LEAST}.\n"


def test_records_of_stores_made_before_have_no_author(shipped_home: Path) -> None:
    stored = json.loads((shipped_home / "records" / "1.json").read_text())
    del stored["author"]
    assert Record(**stored).author == ""
