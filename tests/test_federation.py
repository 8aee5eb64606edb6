"""SERVICE: only what is on the list is called, and only by a way that looks where it leads."""

from __future__ import annotations

import http.client
import re
import socket
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pyoxigraph as ox
import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st

from kg.engines import StoreReader
from kg.errors import BadQuery, BadRequest, Unreachable
from kg.evaluation import Question
from kg.federation import gateways, is_public, read_endpoint
from kg.formats import ROWS
from kg.gateway import Failed, Gateway, call
from kg.guard import MAX_CALLS, check_query, check_update
from tests.server import AUTHORIZED, KG, environment, kg, served
from tests.trap import ANSWER, JSON, Trap, trap

URL = "https://example.org/sparql"


@pytest.fixture
def endpoint() -> Iterator[Trap]:
    with trap() as server:
        yield server


def ask(text: str, *urls: str, seconds: float = 5) -> str:
    """The answer to a query on an empty store that may call these endpoints, as CSV."""
    with gateways(urls, seconds) as opened:
        return StoreReader(ox.Store()).answer(Question(text, gateways=opened), ROWS[2]).decode()


class TestList:
    @pytest.mark.parametrize(
        "url",
        [
            "http://example.org/sparql",
            "http://localhost/sparql",
            "http://10.0.0.1/sparql",
            "http://0.0.0.0/sparql",
            "http://127.0.0.1.example.org/",
            "https://user:secret@example.org/",
            "https://example.org/#here",
            "https://example.org/ü",
            "https://exa<mple.org/",
            "https://example.org:port/",
            "https://[::1/",
            "https:///sparql",
            "example.org/sparql",
            "file:///etc/passwd",
            "*",
        ],
    )
    def test_what_is_neither_https_nor_an_address_of_this_machine_is_refused(self, url: str) -> None:
        with pytest.raises(BadRequest, match=r"no endpoint that can be allowed\. Name whole URLs"):
            read_endpoint(url)

    def test_a_bad_entry_stops_the_command(self, shipped_home: Path) -> None:
        done = subprocess.run(
            [KG, "query", "ASK {}"],
            env=environment(KG_HOME=str(shipped_home), KG_ALLOW_SERVICE=f"{URL} http://example.org/"),
            capture_output=True,
            text=True,
        )
        assert done.returncode == 2
        assert "KG_ALLOW_SERVICE: 'http://example.org/'" in done.stderr

    def test_port_and_target_are_read(self) -> None:
        found = read_endpoint("https://Example.org:8443/a?b=c")
        assert (found.host, found.port, found.target) == ("example.org", 8443, "/a?b=c")
        assert read_endpoint("https://example.org").target == "/"


class TestText:
    """What the guard lets through when one endpoint is on the list."""

    @pytest.mark.parametrize(
        "text",
        [
            f"SELECT * {{ SERVICE <{URL}> {{ ?s ?p ?o }} }}",
            f"SELECT * {{ service silent <{URL}> {{ ?s ?p ?o }} }}",
            f"SELECT * {{ SERVICE # a comment\n<{URL}>{{ ?s ?p ?o {{ ?s ?p 1 }} }} }}",
            f"SELECT * {{ ?s ?p 'SERVICE' . OPTIONAL {{ SERVICE SILENT<{URL}> {{ ?s ?p ?o }} }} }}",
        ],
    )
    def test_a_call_of_the_endpoint_by_its_iri_is_let_through(self, text: str) -> None:
        checked = check_query(text, [URL])
        assert [text[found.start : found.end] for found in checked.calls] == [f"<{URL}>"]
        assert checked.volatile

    def test_two_calls_beside_each_other_are_let_through(self) -> None:
        group = f"SERVICE <{URL}> {{ ?s ?p ?o }} "
        assert len(check_query(f"SELECT * {{ {group * 2} }}", [URL]).calls) == 2

    @pytest.mark.parametrize(
        "call",
        [
            "SERVICE ?x { ?s ?p ?o }",
            "SERVICE SILENT $x { ?s ?p ?o }",
            "SERVICE x:sparql { ?s ?p ?o }",
            "SERVICE x: { ?s ?p ?o }",
            "SERVICE:x { ?s ?p ?o }",
            "SERVICEx:y { ?s ?p ?o }",
            f"SERVICESILENT<{URL}> {{ ?s ?p ?o }}",
            f"?a ?b 1SERVICE <{URL}> {{ ?s ?p ?o }}",
            f"?a ?b trueSERVICE <{URL}> {{ ?s ?p ?o }}",
            f"SERVICE <{URL}> ?x",
            f"SERVICE <{URL}>",
            "SERVICE",
            "SERVICE SILENT",
            f"SERVICE SILENT SILENT <{URL}> {{ ?s ?p ?o }}",
            f"SERVICE <{URL}/> {{ ?s ?p ?o }}",
            f"SERVICE <{URL}#> {{ ?s ?p ?o }}",
            f"SERVICE <{URL.upper()}> {{ ?s ?p ?o }}",
            "SERVICE <sparql> { ?s ?p ?o }",
            "SERVICE <https://example.org:443/sparql> { ?s ?p ?o }",
            "SERVICE <https://example.org/x/../sparql> { ?s ?p ?o }",
            "SERVICE <https://example.org/\\u0073parql> { ?s ?p ?o }",
            f"S\\u0045RVICE <{URL}> {{ ?s ?p ?o }}",
            f"SERVICE <{URL}\\u003E {{ ?s ?p ?o }} #> {{ ?s ?p ?o }}\n}}",
            f"SERVICE <{URL}> {{ ?s ?p ?o SERVICE <{URL}> {{ ?s ?p ?o }} }}",
            f"SERVICE <{URL}> {{ {{ SELECT * {{ ?s ?p ?o OPTIONAL {{ SERVICE SILENT <{URL}> {{ }} }} }} }} }}",
            f"?a ?b ?c FILTER EXISTS {{ SERVICE <{URL}> {{ ?s ?p ?o }} }}",
            f"?a ?b ?c FILTER(NOT\nEXISTS# {{}}\n{{ {{ ?s ?p 1 }} OPTIONAL {{ SERVICE <{URL}> {{ ?s ?p ?o }} }} }})",
            f"?a ?b ?c FILTERNOTEXISTS{{ SERVICE <{URL}> {{ ?s ?p ?o }} }}",
            f"?a ?b ?c LATERAL {{ SERVICE <{URL}> {{ ?s ?p ?o }} }}",
            f"SERVICE <{URL}> {{ ?s ?p ?o }} SERVICE <http://127.0.0.1:1/> {{ ?s ?p ?o }}",
            f"SERVICE <{URL}> {{ ?s ?p '\\u0027 . SERVICE <{URL}> {{ }} # ' }}",
            f"SERVICE <{URL}> {{ ?s ?p ?o }} LOAD <{URL}>",
        ],
    )
    def test_any_other_call_is_refused(self, call: str) -> None:
        text = f"BASE <https://example.org/> PREFIX x: <https://example.org/> SELECT * {{ {call} }}"
        with pytest.raises(BadQuery):
            check_query(text, [URL])

    def test_number_of_calls_is_bounded(self) -> None:
        group = f"SERVICE <{URL}> {{ ?s ?p ?o }} "
        assert len(check_query(f"SELECT * {{ {group * MAX_CALLS} }}", [URL]).calls) == MAX_CALLS
        with pytest.raises(BadQuery, match="more than 10 calls of SERVICE"):
            check_query(f"SELECT * {{ {group * (MAX_CALLS + 1)} }}", [URL])

    def test_refusal_names_what_is_allowed(self) -> None:
        with pytest.raises(BadQuery, match=rf"SERVICE may not call <urn:x>\. Allowed: {URL}\."):
            check_query("SELECT * { SERVICE <urn:x> { ?s ?p ?o } }", [URL])

    def test_update_may_call_nothing(self) -> None:
        with pytest.raises(BadQuery, match="SERVICE calls other servers"):
            check_update(f"INSERT {{ ?s ?p ?o }} WHERE {{ SERVICE <{URL}> {{ ?s ?p ?o }} }}")


class TestAddresses:
    @pytest.mark.parametrize(
        "address",
        [
            *("127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.0.1", "169.254.169.254", "0.0.0.0", "100.64.0.1"),
            *("224.0.0.1", "240.0.0.1", "255.255.255.255", "192.0.2.1", "198.18.0.1", "192.0.0.8", "203.0.113.9"),
            *("::1", "::", "fe80::1", "fe80::1%lo", "fc00::1", "fd12::1", "ff02::1", "fec0::1", "2001:db8::1"),
            *("::ffff:127.0.0.1", "::ffff:8.8.8.8", "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::808:808"),
            *("64:ff9b:1::a00:1", "2002:7f00:1::", "2002:808:808::1", "2001:0:53aa::1", "100::1", "no address"),
        ],
    )
    def test_address_that_is_not_public_is_told(self, address: str) -> None:
        assert not is_public(address)

    @pytest.mark.parametrize("address", ["8.8.8.8", "93.184.216.34", "2606:4700::1111", "2a00:1450:4001::8a"])
    def test_address_that_is_public_is_told(self, address: str) -> None:
        assert is_public(address)

    @given(st.ip_addresses(v=4))
    def test_ipv4_address_in_the_clothes_of_ipv6_is_never_public(self, address: object) -> None:
        number = int(address)  # type: ignore[call-overload]
        high, low = divmod(number, 1 << 16)
        wrapped = (f"::ffff:{high:x}:{low:x}", f"::{high:x}:{low:x}", f"64:ff9b::{high:x}:{low:x}")
        assert not any(map(is_public, (*wrapped, f"2002:{high:x}:{low:x}::1")))

    def test_name_that_leads_to_this_machine_is_not_called(self, endpoint: Trap) -> None:
        url = f"https://localhost:{endpoint.server_port}/sparql"
        with pytest.raises(Unreachable, match="is not called: its name leads into a network that is not public"):
            ask(f"SELECT * {{ SERVICE <{url}> {{ ?s ?p ?o }} }}", url)
        assert endpoint.connections == 0

    def test_one_private_address_among_public_ones_is_enough(self, monkeypatch: pytest.MonkeyPatch) -> None:
        entries = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (a, 443)) for a in ("8.8.8.8", "10.0.0.1")]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: entries)
        with pytest.raises(Failed, match="not public"):
            call(read_endpoint(URL), b"ASK {}", 5, 1000)

    def test_the_address_that_was_looked_at_is_the_one_connected_to(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A name that leads elsewhere when it is asked again gains nothing: it is asked once."""
        answers = iter(["8.8.8.8", "127.0.0.1"])
        reached = []

        def resolve(*_: object, **__: object) -> list[object]:
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (next(answers), 443))]

        def connect(address: tuple[str, int], timeout: float) -> socket.socket:
            reached.append(address)
            raise ConnectionRefusedError("not here")

        monkeypatch.setattr(socket, "getaddrinfo", resolve)
        monkeypatch.setattr(socket, "create_connection", connect)
        with pytest.raises(Failed, match="cannot be reached: not here"):
            call(read_endpoint(URL), b"ASK {}", 5, 1000)
        assert reached == [("8.8.8.8", 443)]
        assert next(answers) == "127.0.0.1"


class TestCall:
    def test_results_come_from_the_endpoint(self, endpoint: Trap, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
            monkeypatch.setenv(name, "http://127.0.0.1:1/")
        url = f"{endpoint.root}/sparql?key=1"
        assert ask(f"SELECT ?s ?p {{ SERVICE <{url}> {{ ?s ?p 'é' }} }}", url).split() == ["s,p", "urn:remote,"]
        method, path, headers, body = endpoint.asked[0]
        assert (method, path) == ("POST", "/sparql?key=1")
        assert body.decode() == 'SELECT * WHERE { ?s ?p "é" . }'
        assert headers["Content-Type"] == "application/sparql-query"
        assert {"Authorization", "Cookie", "Referer"}.isdisjoint(headers)

    @pytest.mark.parametrize(
        ("path", "reason"),
        [
            ("redirect", "status 307; redirects are not followed"),
            ("error", "answers with status 500"),
            ("page", "answers with text/html, not with results"),
            ("packed", "not with results"),
            ("short", "broke its answer off|cannot be reached"),
            ("junk", "no results that can be read"),
        ],
    )
    def test_what_is_no_answer_is_told_without_what_it_says(self, endpoint: Trap, path: str, reason: str) -> None:
        url = f"{endpoint.root}/{path}"
        text = f"SELECT ?s ?p {{ SERVICE <{url}> {{ ?s ?p ?o }} }}"
        with pytest.raises(Unreachable, match=reason) as caught:
            ask(text, url)
        assert "secret" not in str(caught.value)
        assert len(endpoint.asked) == 1
        assert ask(text.replace("SERVICE", "SERVICE SILENT"), url).split() == ["s,p", ","]

    def test_endpoint_that_does_not_listen_is_told(self) -> None:
        url = "http://127.0.0.1:1/"
        with pytest.raises(Unreachable, match=r"http://127\.0\.0\.1:1/ cannot be reached: .*refused"):
            ask(f"SELECT * {{ SERVICE <{url}> {{ ?s ?p ?o }} }}", url)

    @pytest.mark.parametrize("path", ["drip", "drip-head"])
    def test_endpoint_that_sends_on_and_on_is_left_after_its_time(self, endpoint: Trap, path: str) -> None:
        url = f"{endpoint.root}/{path}"
        with pytest.raises(Unreachable, match=r"did not answer within 0\.3 seconds"):
            ask(f"SELECT * {{ SERVICE <{url}> {{ ?s ?p ?o }} }}", url, seconds=0.3)

    def test_answer_is_held_to_a_size(self, endpoint: Trap) -> None:
        found = read_endpoint(f"{endpoint.root}/large")
        with pytest.raises(Failed, match="more than 50,000 bytes"):
            call(found, b"ASK {}", 5, 50_000)
        assert call(found, b"ASK {}", 5, 200_000) == (JSON, ANSWER + b" " * 100_000)

    def test_service_is_called_once_however_many_solutions_there_are(self, endpoint: Trap) -> None:
        """Where the engine would call it once for each, the guard lets none through."""
        url = f"{endpoint.root}/sparql"
        group, values = f"SERVICE <{url}> {{ ?x ?y ?z }}", f"VALUES ?a {{ {'1 ' * 50} }}"
        for pattern in (f"OPTIONAL {{ {group} }}", f"MINUS {{ {group} }}", f"{{ {group} }} UNION {{}}", group):
            endpoint.asked.clear()
            ask(f"SELECT ?a {{ {values} {pattern} FILTER(?a = 1) }}", url)
            assert len(endpoint.asked) == 1, pattern


class TestTls:
    @pytest.fixture
    def authority(self) -> trustme.CA:
        return trustme.CA()

    @pytest.fixture
    def secure(self, authority: trustme.CA) -> Iterator[Trap]:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1").configure_cert(context)
        with trap(context) as server:
            yield server

    def test_certificate_is_held_against_the_name(
        self, secure: Trap, authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        found = read_endpoint(f"https://127.0.0.1:{secure.server_port}/")
        with pytest.raises(Failed, match="certificate verify failed"):
            call(found, b"ASK {}", 5, 1000)
        authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
        assert call(found, b"ASK {}", 5, 1000) == (JSON, ANSWER)
        entry = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", secure.server_port))
        monkeypatch.setattr("kg.gateway._addresses", lambda _: [entry[4][0]])
        with pytest.raises(Failed, match="certificate verify failed: Hostname mismatch"):
            call(read_endpoint(f"https://example.org:{secure.server_port}/"), b"ASK {}", 5, 1000)
        assert len(secure.asked) == 1


class TestGateway:
    def test_it_serves_nobody_who_does_not_know_its_secret(self, endpoint: Trap) -> None:
        with gateways([f"{endpoint.root}/sparql"], 5) as opened:
            address = next(iter(opened.values()))
            port = int(address.split("/")[2].rpartition(":")[2])
            for path in ("/", "/0", f"/{'x' * 32}/0"):
                connection = http.client.HTTPConnection("127.0.0.1", port)
                connection.request("POST", path, b"ASK {}")
                assert connection.getresponse().status == 502
                connection.close()
        assert endpoint.connections == 0

    def test_its_secret_is_new_each_time(self) -> None:
        first, second = (Gateway([read_endpoint(URL)], 5) for _ in range(2))
        with first, second:
            secrets = {server.addresses[URL].split("/")[3] for server in (first, second)}
        assert len(secrets) == 2

    def test_without_a_list_nothing_listens(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("kg.gateway.Gateway.__init__", None)
        with gateways([], 5) as opened:
            assert opened == {}


class TestServer:
    def test_server_calls_what_is_on_its_list_and_nothing_else(self, tmp_path: Path) -> None:
        with trap() as allowed, trap() as other:
            url = f"{allowed.root}/sparql"
            with served(tmp_path / "home", "--bare", KG_ALLOW_SERVICE=url) as server, server.client() as client:

                def get(call: str) -> tuple[int, str]:
                    text = f"SELECT ?s {{ SERVICE <{call}> {{ ?s ?p ?o }} }}"
                    answer = client.get("/sparql", params={"query": text, "format": "csv"})
                    return answer.status_code, answer.text

                assert get(url) == (200, "s\r\nurn:remote\r\n")
                status, text = get(f"{other.root}/sparql")
                assert status == 400
                assert "Allowed: " in text
                status, text = get(url)  # it is asked each time
                assert len(allowed.asked) == 2
                update = f"INSERT {{ ?s ?p ?o }} WHERE {{ SERVICE <{url}> {{ ?s ?p ?o }} }}"
                headers = {"Content-Type": "application/sparql-update", **AUTHORIZED}
                assert client.post("/update", content=update, headers=headers).status_code == 400
                assert (len(allowed.asked), other.connections) == (2, 0)

    def test_failure_of_an_endpoint_is_a_bad_gateway_that_names_no_inner_address(self, tmp_path: Path) -> None:
        url = "http://127.0.0.1:1/sparql"
        with served(tmp_path / "home", "--bare", KG_ALLOW_SERVICE=url) as server, server.client() as client:
            text = f"SELECT * {{ SERVICE <{url}> {{ ?s ?p ?o }} }}"
            answer = client.get("/sparql", params={"query": text})
            assert answer.status_code == 502
            assert answer.headers["content-type"] == "application/problem+json"
            assert "SERVICE SILENT" in answer.json()["hint"]
            assert set(re.findall(r"http://127\.0\.0\.1:\d+/\S*", answer.text)) == {url}


def test_command_has_the_same_list(endpoint: Trap, shipped_home: Path) -> None:
    url = f"{endpoint.root}/sparql"
    text = f"SELECT ?s {{ SERVICE <{url}> {{ ?s ?p ?o }} }}"
    assert kg(shipped_home, "query", text, status=2) == ""
    assert endpoint.connections == 0
    done = subprocess.run(
        [KG, "query", text, "--format", "csv"],
        env=environment(KG_HOME=str(shipped_home), KG_ALLOW_SERVICE=url),
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout.split()) == (0, ["s", "urn:remote"]), done.stderr
