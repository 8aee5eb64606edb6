"""/metrics is what Prometheus reads, and counts what happened."""

from __future__ import annotations

import os
import signal

import httpx
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics import parser as openmetrics_parser
from prometheus_client.parser import text_string_to_metric_families

from bench.corpus import ENDLESS
from kg.store import Versions
from tests.server import AUTHORIZED, Server

OPENMETRICS = "application/openmetrics-text; version=1.0.0"
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def families_of(text: str) -> list[Metric]:
    return list(text_string_to_metric_families(text))


def scrape(client: httpx.Client) -> Samples:
    text = client.get("/metrics").text
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in families_of(text)
        for sample in family.samples
    }


def value(samples: Samples, name: str, **labels: str) -> float:
    return samples.get((name, frozenset(labels.items())), 0.0)


def grown(before: Samples, after: Samples, name: str, **labels: str) -> float:
    return value(after, name, **labels) - value(before, name, **labels)


def test_prometheus_gets_its_text(client: httpx.Client) -> None:
    answer = client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    families = {family.name: family for family in families_of(answer.text)}
    assert families["parley_http_requests"].type == "counter"
    assert families["parley_http_request_duration_seconds"].type == "histogram"
    assert [family.name for family in families.values() if not family.documentation] == []
    assert "process_resident_memory_bytes" in families


def test_openmetrics_is_given_where_it_is_accepted(client: httpx.Client) -> None:
    answer = client.get("/metrics", headers={"Accept": OPENMETRICS})
    assert answer.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    assert answer.text.endswith("# EOF\n")
    families = openmetrics_parser.text_string_to_metric_families(answer.text)  # type: ignore[no-untyped-call]
    names = {family.name for family in families}
    assert {"parley", "parley_queries", "parley_store_version"} <= names


def test_requests_are_counted_by_route_method_and_status(client: httpx.Client) -> None:
    before = scrape(client)
    for path in ("/id/country/JP", "/id/country/US", "/id/country/nowhere", "/no/such/page", "/nor/this"):
        client.get(path)
    client.head("/id/country/JP")
    after = scrape(client)

    def requests(route: str, method: str, status: str) -> float:
        return grown(before, after, "parley_http_requests_total", route=route, method=method, status=status)

    assert requests("/id/{path}", "GET", "200") == 2
    assert requests("/id/{path}", "GET", "404") == 1
    assert requests("/id/{path}", "HEAD", "200") == 1
    assert requests("other", "GET", "404") == 2
    assert grown(before, after, "parley_http_request_duration_seconds_count", route="/id/{path}") == 4


def test_no_path_and_no_text_of_a_client_becomes_a_label(client: httpx.Client) -> None:
    for number in range(30):
        client.get(f"/invented/{number}")
        client.get("/sparql", params={"query": f"ASK {{ ?s ?p {number} }}"})
        client.get(f"/questions/invented-{number}")
    client.request("PROPFIND", "/invented")
    text = client.get("/metrics").text
    assert "invented" not in text
    assert "PROPFIND" not in text


def test_queries_are_counted_by_outcome(client: httpx.Client) -> None:
    before = scrape(client)
    client.get("/sparql", params={"query": "ASK { country:US ?p ?o }"})
    client.get("/sparql", params={"query": "ASK {"})
    client.post("/sparql", data={"query": ENDLESS, "timeout": "0.5"})
    client.get("/questions/rounds")
    after = scrape(client)
    counts = [grown(before, after, "parley_queries_total", outcome=how) for how in ("ok", "refused", "deadline")]
    assert counts == [2, 1, 1]
    assert grown(before, after, "parley_worker_ends_total", reason="deadline") == 1
    assert grown(before, after, "parley_queue_wait_seconds_count") >= 3


def test_writes_are_counted_by_kind_and_outcome(client: httpx.Client) -> None:
    before = scrape(client)
    assert client.post("/update", data={"update": "nonsense"}, headers=AUTHORIZED).status_code == 400
    assert client.post("/update", data={"update": "CREATE GRAPH source:new"}, headers=AUTHORIZED).status_code == 200
    client.delete("/graphs", params={"graph": "source:nowhere"}, headers=AUTHORIZED)
    after = scrape(client)
    for outcome in ("ok", "refused"):
        assert grown(before, after, "parley_writes_total", kind="update", outcome=outcome) == 1
    assert grown(before, after, "parley_writes_total", kind="remove", outcome="refused") == 1


def test_the_store_is_shown_as_it_is(server: Server, client: httpx.Client) -> None:
    samples = scrape(client)
    versions = Versions(server.home)
    record = versions.record(versions.current())
    assert value(samples, "parley_store_version") == record.version
    assert value(samples, "parley_store_facts") == record.quads
    assert value(samples, "parley_store_last_commit_timestamp_seconds") > 1.7e9


def test_the_cache_is_shown(client: httpx.Client) -> None:
    query = {"query": "ASK { country:KR ?p ?o }"}
    before = scrape(client)
    client.get("/sparql", params=query)
    client.get("/sparql", params=query)
    after = scrape(client)
    for result in ("hit", "miss"):
        assert grown(before, after, "parley_cache_requests_total", result=result) == 1
    assert value(after, "parley_cache_bytes") > 0


def test_workers_are_shown_with_their_memory(server: Server, client: httpx.Client) -> None:
    for _ in range(2):
        client.get("/health")
    before = scrape(client)
    assert value(before, "parley_workers") == len(server.workers())
    assert value(before, "parley_workers_busy", kind="read") == 0
    assert value(before, "parley_worker_resident_memory_bytes") > 1e7
    for pid in server.workers():
        os.kill(pid, signal.SIGKILL)
    while client.get("/health").status_code != 200:
        pass
    assert grown(before, scrape(client), "parley_worker_starts_total") >= 1


def test_a_store_that_cannot_be_read_takes_no_other_metric_away(server: Server, client: httpx.Client) -> None:
    pointer = server.home / "current"
    kept = pointer.read_text()
    pointer.unlink()
    try:
        answer = client.get("/metrics")
    finally:
        pointer.write_text(kept)
    assert answer.status_code == 200
    assert "parley_workers" in answer.text
    assert "parley_store_version" not in answer.text
