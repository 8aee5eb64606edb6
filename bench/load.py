"""Loading a generated graph, with validation, against the engine alone, `oxigraph load` and validators.

    python -m bench.load [SIZE ...] [--judges-up-to N]

Each load is a whole process: seconds from start to end and the memory of the process that took most. `kg load` starts
from a store with the shipped facts, and ends with a published version. The validators see shipped and generated facts
in one graph; above --judges-up-to triples (default 300,000) they are left out, since they take minutes to hours.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import click

from bench.common import BIN, Run, measured, python, shipped_home
from bench.generate import sources


def load(facts: Path, home: Path) -> Run:
    """`kg load` into a copy of a store."""
    with tempfile.TemporaryDirectory(prefix="kg-bench-") as folder:
        own = Path(folder) / "home"
        shutil.copytree(home, own)
        return measured([BIN / "kg", "load", facts], {**os.environ, "KG_HOME": str(own), "KG_MEMORY": "20000"})


def oxigraph(facts: Path) -> Run:
    with tempfile.TemporaryDirectory(prefix="kg-bench-") as folder:
        return measured([BIN / "oxigraph", "load", "--location", folder, "--file", facts], dict(os.environ))


@click.command(help=__doc__)
@click.argument("sizes", nargs=-1, type=int)
@click.option("--judges-up-to", default=300_000, show_default=True)
def main(sizes: tuple[int, ...], judges_up_to: int) -> None:
    with shipped_home() as environment, tempfile.TemporaryDirectory(prefix="kg-bench-") as folder:
        for size in sizes or (10_000, 100_000, 1_000_000):
            facts = Path(folder) / "facts.nq"
            with facts.open("w", encoding="utf-8") as file:
                file.writelines(sources(size))
            ours = load(facts, Path(environment["KG_HOME"]))
            runs = {"kg load": ours, "oxigraph load": oxigraph(facts), "pyoxigraph": python("pyoxigraph", facts)}
            if size <= judges_up_to:
                runs |= {name: python(name, facts) for name in ("pyshacl", "pyrudof")}
            for name, run in runs.items():
                ratio = f"{run.seconds / ours.seconds:6.2f} x"
                print(f"{size:>11,}  {name:14} {run.seconds:8.1f} s  {run.megabytes:7,.0f} MB  {ratio}  {run.said}")


if __name__ == "__main__":
    main()
