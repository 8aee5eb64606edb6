"""What the measurements share: medians of repeated runs, and a server process to talk to."""

from __future__ import annotations

import http.client
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

#: The command of the package under test and of its peer, beside the interpreter that runs the measurement.
BIN = Path(sys.executable).parent

# Modules are compiled once, as where people install it, and not by each process.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


def median_seconds(work: Callable[[], object], runs: int) -> float:
    """The median wall time of several runs, after one that is not counted."""
    work()
    times = []
    for _ in range(runs):
        begin = time.perf_counter()
        work()
        times.append(time.perf_counter() - begin)
    return statistics.median(times)


def percentile(values: Sequence[float], part: float) -> float:
    """The value below which this part of all is."""
    return sorted(values)[min(len(values) - 1, int(len(values) * part))]


@dataclass(frozen=True)
class Run:
    """One whole process: its wall time, the peak memory of the largest process it started, and its last line."""

    seconds: float
    megabytes: float
    said: str


def measured(command: Sequence[str | Path], environment: dict[str, str]) -> Run:
    """Run a command to its end. Raises: RuntimeError if it fails."""
    watch = [sys.executable, "-m", "bench.watch", *command]
    done = subprocess.run(watch, env=environment, check=False, capture_output=True, text=True)
    lines = done.stdout.splitlines()
    if done.returncode or not lines:
        raise RuntimeError(f"{command} ended with {done.returncode}: {done.stderr[-2000:]}")
    seconds, megabytes = lines[-1].split()
    return Run(float(seconds), float(megabytes), lines[-2] if len(lines) > 1 else "")


def python(peer: str, facts: Path) -> Run:
    """One of `bench.peers`."""
    return measured([sys.executable, "-m", "bench.peers", peer, facts], dict(os.environ))


@contextmanager
def shipped_home() -> Iterator[dict[str, str]]:
    """An environment whose store holds the shipped facts."""
    with tempfile.TemporaryDirectory(prefix="kg-bench-") as folder:
        environment = {**os.environ, "KG_HOME": folder}
        subprocess.run([BIN / "kg", "history"], env=environment, check=True, capture_output=True)
        yield environment


@contextmanager
def server(
    command: Sequence[str | Path], environment: dict[str, str], port: int, path: str, patience: float = 60
) -> Iterator[tuple[float, int]]:
    """Run a server; yields the seconds until its first answer to GET `path`, and its process id."""
    begin = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="kg-bench-") as own:  # some write to the folder that they are started in
        process = subprocess.Popen(
            command, cwd=own, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            while not _answers(port, path):
                if process.poll() is not None or time.perf_counter() - begin > patience:
                    raise RuntimeError(f"{command[0]} did not start")
                time.sleep(0.005)
            yield time.perf_counter() - begin, process.pid
        finally:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:  # some bring to an end first what they are at
                process.kill()
                process.wait()


def _answers(port: int, path: str) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()
