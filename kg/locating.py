"""Where a finding stands: its source, its file and line, and for an unknown name what may have been meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Set
from dataclasses import replace
from itertools import islice

import pyoxigraph as ox

from kg.parsing import Document, Triple
from kg.report import Finding
from kg.terms import ID, RDF_TYPE, TRADE, compact
from kg.view import View

#: Names that are looked through for the nearest one.
_NAMES = 100_000


def locate(findings: Iterable[Finding], view: View, changed: Set[str], documents: Iterable[Document]) -> list[Finding]:
    """The findings with their places and hints. Each document is read once more for the lines that are wanted of it."""
    placed = [(finding, _place(finding, view, changed)) for finding in findings]
    lines: dict[tuple[str, Triple], tuple[str, int | None]] = {}
    names: dict[str, str] = {}
    for document in documents:
        names.setdefault(document.graph, document.name)
        wanted = {
            _triple(quad): _source(quad)
            for _, quad in placed
            if quad is not None and (_source(quad) == document.graph or not document.claims_graph)
        }
        for triple, line in document.lines(wanted.keys()).items() if wanted else ():
            lines.setdefault((wanted[triple], triple), (document.name, line))
    return [_placed(finding, quad, view, names, lines) for finding, quad in placed]


def _placed(
    finding: Finding,
    quad: ox.Quad | None,
    view: View,
    names: dict[str, str],
    lines: dict[tuple[str, Triple], tuple[str, int | None]],
) -> Finding:
    if quad is None:
        return replace(finding, source=finding.focus, file=names.get(finding.focus, ""), hint=_hint(finding, view))
    source = _source(quad)
    file, line = lines.get((source, _triple(quad)), (names.get(source, ""), None))
    return replace(finding, source=source, file=file, line=line, hint=_hint(finding, view))


def _place(finding: Finding, view: View, changed: Set[str]) -> ox.Quad | None:
    """The quad that the finding is about, or the nearest to it: in a changed source if there is one."""
    if not finding.focus.startswith(("http://", "https://", "urn:")):
        return None
    quads = view.quads(ox.NamedNode(finding.focus))
    exact = [q for q in quads if q.predicate.value == finding.path and str(q.object) == finding.value]
    same = [q for q in quads if q.predicate.value == finding.path]
    typed = [q for q in quads if q.predicate.value == RDF_TYPE]
    ours = [q for q in (*exact, *same, *typed, *quads) if _source(q) in changed]
    return next(iter(ours or quads), None)


def _source(quad: ox.Quad) -> str:
    return getattr(quad.graph_name, "value", "")


def _triple(quad: ox.Quad) -> Triple:
    return str(quad.subject), str(quad.predicate), str(quad.object)


def _hint(finding: Finding, view: View) -> str:
    """For a name that the graph does not know: the nearest of the same kind that it does."""
    name = finding.value[1:-1]
    if finding.constraint != "ClassConstraintComponent" or not name.startswith(ID):
        return ""
    if view.quads(ox.NamedNode(name)):
        return ""
    kind = name[: name.rindex("/") + 1]
    code = ox.Literal(name.removeprefix(kind))
    by_code = view.merged(None, TRADE + "alpha3Code", code)
    near = [q.subject.value for q in by_code if isinstance(q.subject, ox.NamedNode)]
    if not near:
        typed = (q.subject for q in view.merged(None, RDF_TYPE, None))
        known = islice((s.value for s in typed if isinstance(s, ox.NamedNode) and s.value.startswith(kind)), _NAMES)
        local = sorted({iri.removeprefix(kind) for iri in known})
        near = [kind + n for n in difflib.get_close_matches(name.removeprefix(kind), local, n=3, cutoff=0.5)]
    meant = f" Did you mean {', '.join(map(compact, near))}?" if near else ""
    return f"The graph knows no {compact(name)}.{meant}"
