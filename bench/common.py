"""What the measurements share: medians of repeated runs, and a server process to talk to."""

from __future__ import annotations

import http.client
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

#: The command of the package under test and of its peer, beside the interpreter that runs the measurement.
BIN = Path(sys.executable).parent


def median_seconds(work: Callable[[], object], runs: int) -> float:
    """The median wall time of several runs, after one that is not counted."""
    work()
    times = []
    for _ in range(runs):
        begin = time.perf_counter()
        work()
        times.append(time.perf_counter() - begin)
    return statistics.median(times)


@contextmanager
def shipped_home() -> Iterator[dict[str, str]]:
    """An environment whose store holds the shipped facts."""
    with tempfile.TemporaryDirectory(prefix="kg-bench-") as folder:
        environment = {**os.environ, "KG_HOME": folder, "PYTHONDONTWRITEBYTECODE": ""}
        subprocess.run([BIN / "kg", "history"], env=environment, check=True, capture_output=True)
        yield environment


@contextmanager
def server(command: list[str | Path], environment: dict[str, str], port: int, path: str) -> Iterator[float]:
    """Run a server; yields the seconds until its first answer to GET `path`."""
    begin = time.perf_counter()
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while not _answers(port, path):
            if process.poll() is not None or time.perf_counter() - begin > 60:
                raise RuntimeError(f"{command[0]} did not start")
            time.sleep(0.005)
        yield time.perf_counter() - begin
    finally:
        process.terminate()
        process.wait(30)


def _answers(port: int, path: str) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()
