"""The way to pySHACL and back: terms and shapes as it takes them, a run, and what its results say."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Set
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyoxigraph as ox

from kg.report import Finding
from kg.terms import PREFIXES
from kg.verdicts import Term

if TYPE_CHECKING:
    import rdflib

_SH = PREFIXES["sh"]
_SEVERITY = {_SH + "Warning": "warning", _SH + "Info": "info"}
_REPEATS = {"zeroOrMorePath": "*", "oneOrMorePath": "+", "zeroOrOnePath": "?"}


def as_rdflib(term: Any) -> Any:
    """A term of the engine as one of rdflib."""
    import rdflib

    if isinstance(term, ox.NamedNode):
        return rdflib.URIRef(term.value)
    if isinstance(term, ox.BlankNode):
        return rdflib.BNode(term.value)
    literal = _literal()
    if term.language:
        return literal(term.value, lang=term.language)
    string = PREFIXES["xsd"] + "string"
    datatype = None if term.datatype.value == string else rdflib.URIRef(term.datatype.value)
    return literal(term.value, datatype=datatype, normalize=False)


@lru_cache(maxsize=1)
def _literal() -> type[rdflib.Literal]:
    """Literals of which none is less than the other if they cannot be compared, as SHACL says.

    rdflib raises TypeError there (31 June, a month and an earlier one), and pySHACL lets that through.
    """
    import rdflib

    class Literal(rdflib.Literal):
        def __lt__(self, other: Any) -> bool:
            return super().__lt__(other) is True

        def __le__(self, other: Any) -> bool:
            try:
                return self < other or self.eq(other)
            except TypeError:
                return False

    return Literal


@lru_cache(maxsize=4)
def read_shapes(files: tuple[Path, ...]) -> rdflib.Graph:
    """The shapes of Turtle files, read once."""
    import rdflib

    # An ill-formed literal is a finding of the shapes; rdflib would print a traceback beside it.
    logging.getLogger("rdflib.term").setLevel(logging.CRITICAL)
    graph = rdflib.Graph(bind_namespaces="none")
    for file in files:
        graph.parse(file, format="turtle")
    return graph


def judge(data: rdflib.Graph, shapes: rdflib.Graph, focus: Set[Term]) -> Iterator[Finding]:
    """What pySHACL finds on the nodes in focus, in any order."""
    # Not with pySHACL's focus_nodes: 0.40 applies that filter to nested shapes too, so that sh:not, sh:or and
    # sh:qualifiedValueShape pass or fail wrongly. Results of nodes that are only neighbours are passed over afterwards.
    import pyshacl
    import rdflib

    _, results, _ = pyshacl.validate(data, shacl_graph=shapes, inplace=True, do_owl_imports=False, allow_warnings=True)
    if not isinstance(results, rdflib.Graph):
        raise RuntimeError(f"pySHACL gave no report: {results}")
    sh = rdflib.Namespace(_SH)
    wanted = {as_rdflib(node) for node in focus}
    for report in results.subjects(rdflib.RDF.type, sh.ValidationReport):
        for node in results.objects(report, sh.result):
            if results.value(node, sh.focusNode) in wanted:
                yield _finding(results, node, shapes)


def _finding(results: rdflib.Graph, node: Any, shapes: rdflib.Graph) -> Finding:
    import rdflib

    sh = rdflib.Namespace(_SH)

    def text(predicate: Any) -> str:
        value = results.value(node, predicate)
        return "" if value is None else str(value)

    focus, value = results.value(node, sh.focusNode), results.value(node, sh.value)
    return Finding(
        severity=_SEVERITY.get(text(sh.resultSeverity), "violation"),
        focus=str(focus) if isinstance(focus, rdflib.URIRef) else _written(focus),
        path=_path(results, results.value(node, sh.resultPath)),
        value="" if value is None else _written(value),
        message=text(sh.resultMessage),
        constraint=text(sh.sourceConstraintComponent).removeprefix(_SH),
        shape=_owner(shapes, results.value(node, sh.sourceShape)),
    )


def _written(term: Any) -> str:
    """A term of rdflib in N-Triples, on one line; its own n3() breaks a literal with line breaks into several."""
    import rdflib

    if not isinstance(term, rdflib.Literal):
        return str(term.n3())
    if term.language:
        return str(ox.Literal(str(term), language=term.language))
    return str(ox.Literal(str(term), datatype=None if term.datatype is None else ox.NamedNode(term.datatype)))


def _owner(shapes: rdflib.Graph, shape: Any) -> str:
    """The IRI of the shape, or of the node shape that an anonymous property shape stands in."""
    import rdflib

    while isinstance(shape, rdflib.BNode):
        shape = shapes.value(None, rdflib.URIRef(_SH + "property"), shape)
    return "" if shape is None else str(shape)


def _path(graph: rdflib.Graph, path: Any) -> str:
    """A path as SPARQL writes it, but for the brackets around an IRI if there is one only and nothing behind it."""
    text = "" if path is None else _nested_path(graph, path)
    return text.replace("<", "").rstrip(">") if text.count("<") == 1 and text.endswith(">") else text


def _nested_path(graph: rdflib.Graph, path: Any) -> str:
    import rdflib
    from rdflib.collection import Collection

    if isinstance(path, rdflib.URIRef):
        return f"<{path}>"
    if (path, rdflib.RDF.first, None) in graph:
        return f"({'/'.join(_nested_path(graph, step) for step in Collection(graph, path))})"
    (name, inner), *_ = ((str(p).removeprefix(_SH), o) for p, o in graph.predicate_objects(path))
    if name == "alternativePath":
        return f"({'|'.join(_nested_path(graph, way) for way in Collection(graph, inner))})"
    if name == "inversePath":
        return f"^{_nested_path(graph, inner)}"
    return _nested_path(graph, inner) + _REPEATS[name]
