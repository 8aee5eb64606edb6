"""How long a command takes from a cold start, against the bare import of the engine.

python -m bench.startup [RUNS]
"""

from __future__ import annotations

import statistics
import subprocess
import sys
from urllib.parse import urlencode

from bench.common import BIN, median_seconds, server, shipped_home

PATTERN = "SELECT ?label { tariff:us-reciprocal rdfs:label ?label }"
FIRST = "/sparql?" + urlencode({"query": PATTERN})


def main(runs: int) -> None:
    with shipped_home() as environment:

        def run(*command: object) -> None:
            subprocess.run([str(c) for c in command], env=environment, check=True, capture_output=True)

        engine = median_seconds(lambda: run(sys.executable, "-c", "import pyoxigraph"), runs)
        query = median_seconds(lambda: run(BIN / "kg", "query", "--format", "csv", PATTERN), runs)
        starts = []
        for i in range(max(3, runs // 4)):
            port = 18200 + i
            with server([BIN / "kg", "serve", "--port", str(port)], environment, port, FIRST) as (seconds, _):
                starts.append(seconds)
    print(f"python -c 'import pyoxigraph'        {engine * 1000:7.0f} ms")
    print(f"kg query, one pattern                {query * 1000:7.0f} ms   {query / engine:.1f} x")
    print(f"kg serve to the first answer         {statistics.median(starts) * 1000:7.0f} ms")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 15)
