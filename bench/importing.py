"""`kg import hts` of a whole tariff schedule, against pySHACL over the facts that it makes.

python -m bench.importing FILE
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pyshacl
import rdflib

from bench.common import BIN, shipped_home
from kg.content import Content

EDITION = ["--edition", "measured", "--from", "2025-01-01"]


def main(table: Path) -> None:
    with shipped_home() as environment, tempfile.TemporaryDirectory() as folder:
        begin = time.perf_counter()
        subprocess.run([BIN / "kg", "import", "hts", table, *EDITION], env=environment, check=True, capture_output=True)
        ours = time.perf_counter() - begin
        facts = Path(folder) / "facts.nt"
        graph = ("--graph", "source:imported-hts-measured", "--format", "ntriples", "--output", str(facts))
        subprocess.run([BIN / "kg", "export", *graph], env=environment, check=True)
        data, shapes = rdflib.Graph().parse(facts), rdflib.Graph()
    for path in (*Content.shipped().ontology.values(), *Content.shipped().shapes):
        (shapes if path.parent.name == "shapes" else data).parse(path, format="turtle")
    begin = time.perf_counter()
    pyshacl.validate(data, shacl_graph=shapes, inplace=True, allow_warnings=True)
    peer = time.perf_counter() - begin
    print(f"pySHACL over {len(data):,} facts, parsed before       {peer:6.1f} s")
    print(f"kg import hts: read, store, derive, validate, publish {ours:6.1f} s   {ours / peer:.2f} x")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
