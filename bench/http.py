"""Throughput over HTTP of the named questions, distinct and repeated, against `oxigraph serve` on the same facts.

    python -m bench.http [SECONDS]

Both servers hold the shipped facts; oxigraph serves the union of the named graphs as its default graph. Eight
connections ask over keep-alive; the two servers take turns, so that a change in the machine's speed meets both.
"""

from __future__ import annotations

import http.client
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from itertools import count
from pathlib import Path
from urllib.parse import urlencode

from bench.common import BIN, server, shipped_home
from kg.content import Content
from kg.questions import Questions

CONNECTIONS = 8
ROUNDS = 3
KG, PEER = 18300, 18301


def texts() -> list[str]:
    """The questions with their example parameters, as queries."""
    questions = Questions(Content.shipped()).all
    return [q.bind({p.name: p.example for p in q.parameters}).text for q in questions]


def throughput(port: int, path: str, queries: list[str], seconds: float, *, distinct: bool) -> tuple[float, float]:
    """Answers per second and the median latency in milliseconds. Distinct queries differ in a comment."""
    numbers, latencies, lock = count(), [], threading.Lock()
    end = time.perf_counter() + seconds

    def ask() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port)
        mine = []
        while time.perf_counter() < end:
            i = next(numbers)
            text = queries[i % len(queries)] + (f"\n# {i}" if distinct else "")
            begin = time.perf_counter()
            headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/sparql-results+json"}
            connection.request("POST", path, urlencode({"query": text}), headers)
            response = connection.getresponse()
            body = response.read()
            if response.status != 200:
                raise RuntimeError(f"port {port}: status {response.status} for {text}: {body.decode()[:300]}")
            mine.append(time.perf_counter() - begin)
        connection.close()
        with lock:
            latencies.extend(mine)

    threads = [threading.Thread(target=ask) for _ in range(CONNECTIONS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return len(latencies) / seconds, statistics.median(latencies) * 1000


def main(seconds: float) -> None:
    queries = texts()
    light = ["SELECT ?r ?p { ?r <https://w3id.org/parley/ontology#percent> ?p } LIMIT 20"]
    with shipped_home() as environment, tempfile.TemporaryDirectory() as folder:
        facts, location = Path(folder) / "facts.nq", Path(folder) / "store"
        subprocess.run([BIN / "kg", "export", "--format", "nquads", "-o", facts], env=environment, check=True)
        subprocess.run(
            [BIN / "oxigraph", "load", "--location", location, "--file", facts], check=True, capture_output=True
        )
        peer: list[str | Path] = [
            BIN / "oxigraph",
            "serve-read-only",
            "--location",
            location,
            "--bind",
            f"127.0.0.1:{PEER}",
            "--union-default-graph",
        ]
        ours: list[str | Path] = [BIN / "kg", "serve", "--port", str(KG)]
        ask = "/query?query=ASK%7B%7D"
        with server(ours, environment, KG, "/health"), server(peer, environment, PEER, ask):
            for name, asked, distinct in (
                ("one pattern, LIMIT 20, distinct", light, True),
                ("the named questions, distinct", queries, True),
                ("the named questions, repeated", queries, False),
            ):
                pairs = [
                    (
                        throughput(KG, "/sparql", asked, seconds, distinct=distinct),
                        throughput(PEER, "/query", asked, seconds, distinct=distinct),
                    )
                    for _ in range(ROUNDS)
                ]
                kg, kg_ms = (statistics.median(p[0][i] for p in pairs) for i in (0, 1))
                ox, ox_ms = (statistics.median(p[1][i] for p in pairs) for i in (0, 1))
                ratio = statistics.median(p[0][0] / p[1][0] for p in pairs)
                print(
                    f"{name:33} kg {kg:7.0f}/s {kg_ms:6.2f} ms   oxigraph {ox:7.0f}/s {ox_ms:6.2f} ms   {ratio:.2f} x"
                )


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 5.0)
