"""Validating a commit of one source, and the whole shipped content, against pySHACL over all facts at once.

python -m bench.validate [RUNS]
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import pyshacl
import rdflib

from bench.common import median_seconds
from kg.content import Content
from kg.loading import ensure_content, load
from kg.parsing import Document
from kg.store import Versions

SOURCE = "2025-06-07-econotimes-japan-pushes-for-tariff-relief.ttl"


def main(runs: int) -> None:
    content = Content.shipped()
    with tempfile.TemporaryDirectory() as folder:
        versions = Versions.create(Path(folder), bare=False)
        begin = time.perf_counter()
        ensure_content(versions, content)
        whole = time.perf_counter() - begin
        text = next((content.root / "facts").rglob(SOURCE)).read_text("utf-8")
        edited = iter(range(10_000))

        def commit() -> None:
            changed = text.replace("Japan Pushes", f"Japan {next(edited)} pushes")
            path = Path(folder) / SOURCE
            path.write_text(changed, "utf-8")
            load(versions, [Document.from_file(path)], content)

        one = median_seconds(commit, runs)
    data, shapes = rdflib.Graph(), rdflib.Graph()
    for iri, path in content.graphs.items():
        data.parse(path, format="turtle", publicID=iri)
    for path in content.shapes:
        shapes.parse(path, format="turtle")
    begin = time.perf_counter()
    pyshacl.validate(data, shacl_graph=shapes, inplace=True, allow_warnings=True)
    peer = time.perf_counter() - begin
    print(f"pySHACL over all {len(data):,} facts           {peer:6.2f} s")
    print(f"first load: parse, derive, validate, publish {whole:6.2f} s   {whole / peer:.2f} x")
    print(f"commit of one changed source                 {one:6.2f} s   {one / peer:.2f} x")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
