"""The way of a fact: parse, stage, derive, validate, publish. All of it or nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from textwrap import shorten
from typing import Literal, Protocol

import pyoxigraph as ox

from kg.admission import Admission, vocabulary, writable
from kg.changes import read
from kg.conditions import WHATEVER, Expected
from kg.content import Content
from kg.draft import Draft
from kg.errors import BadData, Conflict, NotFound, Refused
from kg.operations import EVERYTHING, Using
from kg.parsing import Document
from kg.quads import TOP
from kg.records import Record
from kg.report import Report
from kg.store import Versions
from kg.terms import DERIVED_GRAPHS
from kg.tokens import ANYBODY, Author
from kg.updating import apply_update

Mode = Literal["replace", "merge"]
#: The message of commits that bring shipped content.
SHIPPED = "Shipped content"


class Progress(Protocol):
    """Is told the step of long work, and how far it has come if that is known (total 0: it is not)."""

    def __call__(self, step: str, done: int = 0, total: int = 0) -> None: ...


def _silent(step: str, done: int = 0, total: int = 0) -> None:
    """Tell nobody."""


@dataclass(frozen=True)
class Outcome:
    """What a write did: the commit (None: nothing to do, or a dry run), the report, and the graphs that it made.

    `skipped` facts of a commit that was to be taken back were changed again since, and are left as they are.
    """

    record: Record | None
    report: Report
    created: tuple[str, ...] = ()
    skipped: int = 0


def load(
    versions: Versions,
    documents: Sequence[Document],
    content: Content,
    *,
    mode: Mode = "replace",
    message: str = "",
    dry_run: bool = False,
    expected: Expected = WHATEVER,
    progress: Progress = _silent,
    author: Author = ANYBODY,
) -> Outcome:
    """Put documents into their graphs: instead of what the graph held, or beside it.

    A data set names its graphs itself, and only those are written. What is `expected` is that of the graph which all
    documents are for, or of the store.

    Raises:
        BadData: a document does not parse, uses a term that the ontology does not have, or states facts in no graph.
        BadRequest: a document is for a graph that is not the user's to write.
        PreconditionFailed: the graph is not as expected.
        Forbidden: a graph that would change is not the author's to change.
        Refused: the facts do not conform. The store is as before.
    """
    documents = _told_apart(documents, mode)
    incoming = _read(documents, None if versions.bare else Admission(vocabulary(content)), progress)
    if not versions.bare:
        _refuse_unsourced(documents, incoming)
    targets = {d.graph if d.claims_graph else None for d in documents}
    with versions.writing() as draft:
        expected.check(versions, draft, targets.pop() if len(targets) == 1 else None)
        new = _put(draft, documents, incoming, keep=mode == "merge")
        text = message or "Load " + ", ".join(d.name for d in documents)
        outcome = _finish(versions, draft, content, documents, text, dry_run, progress, author)
    return outcome if outcome.record is None else replace(outcome, created=tuple(sorted(new)))


def _told_apart(documents: Sequence[Document], mode: Mode) -> list[Document]:
    """The documents, with blank nodes that no other has where others may speak of the same graphs."""
    times = Counter(d.graph for d in documents)

    def shares(document: Document) -> bool:
        names_all = not (document.graph or document.claims_graph)
        return mode == "merge" or names_all or times[document.graph] > 1

    return [d.salted() if shares(d) else d for d in documents]


def _refuse_unsourced(documents: Iterable[Document], incoming: ox.Store) -> None:
    """Raises: BadData: a data set has facts in its default graph, and no name of a file stands for their source."""
    stray = next(incoming.quads_for_pattern(None, None, None, TOP), None)
    if stray is None:
        return
    triple = (str(stray.subject), str(stray.predicate), str(stray.object))
    document = next(d for d in documents if not d.graph)
    message = "A fact stands in no graph, so that it has no source."
    line = document.lines({triple}).get(triple)
    raise BadData(message, "Name its source: GRAPH source:… { … }.", file=document.name, line=line)


def _read(documents: Iterable[Document], admission: Admission | None, progress: Progress) -> ox.Store:
    """The quads of all documents, in memory and in the terms of the engine."""
    incoming = ox.Store()
    for document in documents:
        progress(f"reading {document.name}")
        numbered = document.numbered()
        incoming.bulk_extend(admission.admit(numbered, document.name) if admission else (q for _, q in numbered))
    return incoming


def _put(draft: Draft, documents: Iterable[Document], incoming: ox.Store, *, keep: bool) -> list[str]:
    """Put what was read into its graphs. Returns the names of those that were not there."""
    for graph in {d.graph for d in documents} | {getattr(g, "value", "") for g in incoming.named_graphs()}:
        writable(graph)
    for graph in {d.graph for d in documents if d.claims_graph and not keep}:
        name = _graph_name(graph)
        if not any(incoming.quads_for_pattern(None, None, None, name)):
            draft.set_graph(name, ())
    return [g.value for g in draft.put(incoming, keep=keep) if isinstance(g, ox.NamedNode)]


def remove(
    versions: Versions,
    graphs: Sequence[str],
    content: Content,
    *,
    message: str = "",
    dry_run: bool = False,
    expected: Expected = WHATEVER,
    progress: Progress = _silent,
    author: Author = ANYBODY,
) -> Outcome:
    """Remove whole graphs, all of them or none, if each is as expected.

    Raises:
        BadRequest: a graph is not the user's to write.
        PreconditionFailed: a graph is not as expected.
        NotFound: there is no such graph.
        Forbidden: a graph is not the author's to change.
        Refused: other facts rely on what a graph says. The store is as before.
    """
    for graph in graphs:
        writable(graph)
    with versions.writing() as draft:
        for graph in graphs:
            expected.check(versions, draft, graph)
        names = {graph: _graph_name(graph) for graph in graphs}
        held = {g for g, name in names.items() if any(draft.store.quads_for_pattern(None, None, None, name))}
        if missing := [f"<{g}>" for g in names if g and g not in held]:
            raise NotFound(
                f"There is no graph {', '.join(missing)}; nothing was changed.",
                "SELECT DISTINCT ?g { GRAPH ?g { } } lists the graphs.",
            )
        for name in names.values():
            draft.set_graph(name, ())
        text = message or f"Remove {', '.join(names)}"
        return _finish(versions, draft, content, (), text, dry_run, progress, author)


def update(
    versions: Versions,
    text: str,
    content: Content,
    *,
    using: Using = EVERYTHING,
    base: str = "",
    within: str | None = None,
    message: str = "",
    dry_run: bool = False,
    expected: Expected = WHATEVER,
    progress: Progress = _silent,
    author: Author = ANYBODY,
) -> Outcome:
    """Apply a SPARQL 1.1 update, all of its operations or none, to the store or `within` one graph; see `apply_update`.

    Raises:
        BadQuery: the text is refused by the guard, or does not parse.
        BadRequest: it writes to a graph that is not the user's, or not the one that it is kept to.
        PreconditionFailed: the graph, or without one the store, is not as expected.
        BadData: it states an axiom, or uses a term that the ontology does not have.
        Forbidden: a graph that would change is not the author's to change.
        Refused: what would be does not conform. The store is as before.
    """
    progress("updating")
    with versions.writing() as draft:
        expected.check(versions, draft, within)
        there = within is None or any(draft.store.quads_for_pattern(None, None, None, _graph_name(within)))
        apply_update(draft, text, bare=versions.bare, using=using, base=base, within=within)
        if not versions.bare:
            for _ in Admission(vocabulary(content)).admit((None, q) for q in sorted(draft.additions(), key=str)):
                pass
        said = message or f"Update: {shorten(text, 80, placeholder=' …')}"
        outcome = _finish(versions, draft, content, (), said, dry_run, progress, author)
    return replace(outcome, created=(within,)) if within and outcome.record and not there else outcome


def undo(
    versions: Versions,
    version: int,
    content: Content,
    *,
    message: str = "",
    dry_run: bool = False,
    progress: Progress = _silent,
) -> Outcome:
    """Take back what a version changed in the graphs of sources, as a new commit.

    Raises:
        NotFound: there is no such version.
        Conflict: the version brought shipped content.
        StoreFailure: its change set is missing or damaged.
        Refused: other facts rely on what it said. The store is as before.
    """
    record = versions.record(version)
    if record.content != (versions.record(version - 1).content if version > 1 else ""):
        raise Conflict(
            f"Version {version} brought the shipped facts, which cannot be taken back.",
            "They come with the package; install the edition that you want.",
        )
    change = read(versions, version).asserted
    with versions.writing() as draft:
        there = [q for q in change.added if q in draft.store]
        gone = [q for q in change.removed if q not in draft.store]
        draft.remove(there)
        draft.add(gone)
        text = message or f"Undo version {version}"
        outcome = _finish(versions, draft, content, (), text, dry_run, progress, ANYBODY)
    return replace(outcome, skipped=len(change.added) + len(change.removed) - len(there) - len(gone))


def ensure_content(versions: Versions, content: Content, progress: Progress = _silent) -> Outcome | None:
    """Bring the shipped knowledge into a store that lacks it or has another edition of it, as one commit.

    Graphs that the shipped content no longer has are removed; the user's own graphs are left alone. Facts of the
    user that do not conform to the new edition are listed as findings, not refused.
    """
    digest = content.digest()
    if versions.bare or versions.content() == digest:
        return None
    documents = [Document.from_file(path, iri) for iri, path in content.graphs.items()]
    with versions.writing() as draft:
        if versions.content() == digest:  # another process was faster
            return None
        before = _shipped_before(versions)
        for graph in before - set(content.graphs):
            draft.set_graph(_graph_name(graph), ())
        draft.put(_read(documents, None, progress))
        report = _judge(draft, content, documents, progress)
        own = [f for f in report.violations if f.source in content.graphs]
        if any(not _described_elsewhere(draft, finding.focus, content) for finding in own):
            raise Refused(report)
        record = draft.publish(SHIPPED, content=digest, warnings=len(report.findings))
    return Outcome(record, report)


def _described_elsewhere(draft: Draft, iri: str, content: Content) -> bool:
    """Whether a graph of the user says something of a node, so that it is this that may not go with the new edition."""
    graphs = {
        getattr(q.graph_name, "value", "") for q in draft.facts.quads_for_pattern(ox.NamedNode(iri), None, None, None)
    }
    return bool(graphs - set(content.graphs) - DERIVED_GRAPHS - {""})


def _shipped_before(versions: Versions) -> set[str]:
    """The graphs that earlier editions of the shipped content wrote."""
    graphs: set[str] = set()
    edition = ""
    for record in reversed(versions.records()):
        if record.content != edition:
            graphs.update(record.graphs)
            edition = record.content
    return graphs - DERIVED_GRAPHS


def _finish(
    versions: Versions,
    draft: Draft,
    content: Content,
    documents: Iterable[Document],
    message: str,
    dry_run: bool,
    progress: Progress,
    author: Author,
) -> Outcome:
    author.require(draft.changed_graphs)
    report = Report()
    if not versions.bare and draft.changed:
        report = _judge(draft, content, documents, progress, dry_run=dry_run)
        if not report.conforms:
            raise Refused(report)
    if dry_run:
        return Outcome(None, report)
    return Outcome(draft.publish(message, warnings=len(report.findings), author=author.name), report)


def _judge(
    draft: Draft, content: Content, documents: Iterable[Document], progress: Progress, *, dry_run: bool = False
) -> Report:
    """Derive what follows from the changes, and validate them."""
    from kg.reasoning import derive
    from kg.validation import validate
    from kg.view import View, overrule

    progress("deriving")
    derive(draft)
    view = View(draft.facts)
    swayed = overrule(draft, view)
    if not dry_run:
        draft.settle()  # goes on while the facts are judged
    return validate(draft, content.shapes, documents, progress, view=view, swayed=swayed)


def _graph_name(graph: str) -> ox.NamedNode | ox.DefaultGraph:
    return ox.NamedNode(graph) if graph else ox.DefaultGraph()
