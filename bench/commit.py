"""A commit of 100 facts into graphs of different sizes.

    python -m bench.commit [SIZE ...] [--runs N]

The generated graph of each size is loaded first. Then new sources of 100 facts are loaded one by one: read, derived,
validated, published, with the library (the work itself) and with the command (a process to start and to end as well).
The ratio is against the smallest size of the same run.
"""

from __future__ import annotations

import os
import shutil
import statistics
import tempfile
import time
from pathlib import Path

import click

from bench.common import BIN, measured, shipped_home
from bench.generate import one_source, sources
from kg import formats
from kg.content import Content
from kg.loading import load
from kg.parsing import Document
from kg.store import Versions

NQUADS = formats.named("nquads", formats.DATASETS)


@click.command(help=__doc__)
@click.argument("sizes", nargs=-1, type=int)
@click.option("--runs", default=15, show_default=True)
def main(sizes: tuple[int, ...], runs: int) -> None:
    first: tuple[float, float] | None = None
    for size in sizes or (10_000, 100_000, 1_000_000):
        with shipped_home() as environment, tempfile.TemporaryDirectory(prefix="kg-bench-") as folder:
            facts, environment["KG_MEMORY"] = Path(folder) / "facts.nq", "20000"
            with facts.open("w", encoding="utf-8") as file:
                file.writelines(sources(size))
            measured([BIN / "kg", "load", facts], environment)
            library, command = one_by_one(Path(environment["KG_HOME"]), Path(folder), environment, runs)
        first = first or (library, command)
        print(
            f"{size:>11,}  library {library * 1000:6.0f} ms {library / first[0]:5.2f} x"
            f"   command {command * 1000:6.0f} ms {command / first[1]:5.2f} x"
        )


def one_by_one(home: Path, folder: Path, environment: dict[str, str], runs: int) -> tuple[float, float]:
    """The median seconds of a commit with the library and with the command."""
    versions, content, times = Versions(home), Content.shipped(), []
    for number in range(runs + 1):
        graph, data = one_source(number)
        begin = time.perf_counter()
        load(versions, [Document(f"{number}.nq", data, NQUADS, graph)], content)
        times.append(time.perf_counter() - begin)
    commands = []
    for number in range(runs + 1, runs + 1 + max(3, runs // 3)):
        file = folder / f"gen-{number}.nq"
        file.write_bytes(one_source(number)[1])
        commands.append(measured([BIN / "kg", "load", file], {**os.environ, **environment}).seconds)
    shutil.rmtree(home)
    return statistics.median(times[1:]), statistics.median(commands)  # the first reads the shapes


if __name__ == "__main__":
    main()
