"""The peers of a load and of a validation, each as a program of its own that is measured from outside.

    python -m bench.peers NAME FACTS.nq

Facts are N-Quads. Of the validators each sees the shipped ontology and facts beside them, all in one graph, since the
facts refer to those. What is printed is one line of JSON.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import pyoxigraph as ox

from kg.content import Content


def main(name: str, facts: str) -> None:
    print(json.dumps({"pyoxigraph": bulk_load, "pyshacl": with_pyshacl, "pyrudof": with_pyrudof}[name](facts)))


def bulk_load(facts: str) -> dict[str, object]:
    """The engine alone: no default graph of all, no rules, no shapes, no versions."""
    with tempfile.TemporaryDirectory(prefix="kg-bench-") as folder:
        store = ox.Store(folder)
        store.bulk_load(path=facts)
        store.flush()
        quads = len(store)
        del store  # it writes to its folder as long as it is open
        return {"quads": quads}


def merged(facts: str) -> bytes:
    """All triples as N-Triples, blank nodes of different files apart."""
    store = ox.Store()
    for iri, path in Content.shipped().graphs.items():
        store.bulk_load(path=str(path), base_iri=iri)
    store.bulk_extend(ox.Quad(q.subject, q.predicate, q.object) for q in ox.parse(path=facts))
    output = store.dump(format=ox.RdfFormat.N_TRIPLES, from_graph=ox.DefaultGraph())
    assert output is not None
    return output


def with_pyshacl(facts: str) -> dict[str, object]:
    import pyshacl
    import rdflib

    shapes = rdflib.Graph()
    for path in Content.shipped().shapes:
        shapes.parse(path, format="turtle")
    triples = merged(facts)
    begin = time.perf_counter()
    data = rdflib.Graph().parse(data=triples, format="nt")
    parsed = time.perf_counter() - begin
    begin = time.perf_counter()
    _, results, _ = pyshacl.validate(data, shacl_graph=shapes, inplace=True, allow_warnings=True)
    seconds = time.perf_counter() - begin
    assert isinstance(results, rdflib.Graph)
    kinds = Counter(str(severity).rpartition("#")[2] for severity in results.objects(None, rdflib.SH.resultSeverity))
    return {"triples": len(data), "parse": parsed, "validate": seconds, "results": kinds}


def with_pyrudof(facts: str) -> dict[str, object]:
    import pyrudof

    triples = merged(facts).decode()
    rudof = pyrudof.Rudof(pyrudof.RudofConfig())
    begin = time.perf_counter()
    rudof.read_data(triples, format=pyrudof.RDFFormat.NTriples)
    parsed = time.perf_counter() - begin
    shapes = "\n".join(path.read_text("utf-8") for path in Content.shipped().shapes)
    rudof.read_shacl(shapes)
    begin = time.perf_counter()
    report = rudof.validate_shacl()
    return {"parse": parsed, "validate": time.perf_counter() - begin, "report": str(report)[:60]}


if __name__ == "__main__":
    main(sys.argv[1], str(Path(sys.argv[2])))
