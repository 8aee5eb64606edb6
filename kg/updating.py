"""Apply a SPARQL 1.1 update to a draft, quad by quad, so that the draft knows exactly what came and what went.

A store with shapes keeps its default graph itself, as the merge of all sources, and some graphs too; there an update
that would write to those is refused. In a bare store every graph is the user's.

Blank nodes become IRIs on the way in, as those of files do. A graph that holds nothing is not there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, cast

import pyoxigraph as ox

from kg.admission import writable
from kg.errors import BadQuery, BadRequest
from kg.operations import (
    EVERYTHING,
    NO_TRIPLE_TERMS,
    Manage,
    Modify,
    Slot,
    Target,
    Template,
    Using,
    read_operations,
)
from kg.parsing import Skolem
from kg.quads import LONG_TERM, TOP, Graph, is_long
from kg.terms import PREFIXES

if TYPE_CHECKING:
    from kg.draft import Draft

Term = ox.NamedNode | ox.BlankNode | ox.Literal | ox.Triple
#: What the slots of a template are filled with; None: the solution leaves the variable open.
Row = Mapping[Slot, Term | None]


def apply_update(
    draft: Draft, text: str, *, bare: bool, using: Using = EVERYTHING, base: str = "", within: str | None = None
) -> None:
    """Apply each operation of an update to what those before it left.

    `using` is the dataset that the request itself gives to the patterns; `base` resolves relative IRIs, which are
    refused without one. `within` is the one graph (empty: the default graph) that the update may write to, and that it
    means where it names none.

    Raises:
        BadQuery: the text is refused by the guard, or does not parse.
        BadRequest: it writes to a graph that is not the user's or not the one it is kept to, or an operation on graphs
            has nothing to work on.
    """
    only: Graph | None = None if within is None else ox.NamedNode(within) if within else TOP
    operations = read_operations(text, using, base, only if isinstance(only, ox.NamedNode) else None)
    update = _Update(draft, text, bare, base, only)
    for operation in operations:
        update.allow(operation.writes)
    for operation in operations:
        if isinstance(operation, Modify):
            update.modify(operation)
        else:
            update.manage(operation)


class _Update:
    """One update on its way into a draft."""

    def __init__(self, draft: Draft, text: str, bare: bool, base: str, only: Graph | None) -> None:
        self._draft, self._bare, self._base, self._only = draft, bare, base, only
        # The same text on the same version gives the same IRIs; later it makes nodes of its own.
        self._nodes = Skolem(f"update of {draft.base}: {text}")

    def allow(self, graphs: Iterable[Target]) -> None:
        """Refuse to write to graphs that are not the user's, or not the one that the update is kept to."""
        graphs = set(graphs)
        if self._only is not None and (other := graphs - {self._only}):
            raise BadRequest(
                f"The update also writes to {other.pop()}, and the request names {self._only}.",
                "Keep it to that graph, which it means where it names none; POST /update may write to several.",
            )
        if self._bare:
            return
        for graph in graphs:
            if isinstance(graph, ox.NamedNode):
                writable(graph.value)
            elif isinstance(graph, ox.DefaultGraph):
                raise BadRequest(
                    "The default graph is the merge of all sources.", "Name one: GRAPH <…> { … }, or WITH <…>."
                )
            else:
                raise BadRequest(f"{graph} would take the ontology too.", "Name each source: GRAPH <…>.")

    def modify(self, operation: Modify) -> None:
        deletes: set[ox.Quad] = set()
        inserts: set[ox.Quad] = set()
        for row in self._rows(operation):
            deletes.update(self._instances(operation.deletes, row))
            inserts.update(self._instances(operation.inserts, row))
        self._change(deletes, inserts)

    def _rows(self, operation: Modify) -> Iterator[Row]:
        """What each solution puts into the slots of the templates; each has blank nodes of its own."""
        slots = {slot for quad in operation.deletes + operation.inserts for slot in quad}
        nodes = [slot for slot in slots if isinstance(slot, ox.BlankNode)]
        unbound: dict[Slot, Term | None] = {slot: None for slot in slots if isinstance(slot, ox.Variable)}
        dataset: dict[str, Any] = operation.dataset
        found = self._draft.store.query(operation.query, prefixes=PREFIXES, base_iri=self._base or None, **dataset)
        assert isinstance(found, ox.QuerySolutions)
        bound = [variable for variable in found.variables if variable in unbound]
        for solution in found:
            row = unbound.copy()
            row.update((variable, solution[variable]) for variable in bound)
            row.update((node, ox.BlankNode()) for node in nodes)
            yield row

    def _instances(self, template: Template, row: Row) -> Iterator[ox.Quad]:
        """The quads of a template for a solution; what would be none is left out, as the standard has it."""
        for slots in template:
            subject, predicate, object, graph = (row.get(slot, slot) for slot in slots)
            if isinstance(object, ox.Triple):
                raise BadQuery(*NO_TRIPLE_TERMS)
            if (
                isinstance(subject, ox.NamedNode | ox.BlankNode)
                and isinstance(predicate, ox.NamedNode)
                and isinstance(object, ox.NamedNode | ox.BlankNode | ox.Literal)
                and isinstance(graph, ox.NamedNode | ox.DefaultGraph)
            ):
                value = object if isinstance(object, ox.Literal) else self._nodes.node(object)
                quad = ox.Quad(self._nodes.node(subject), predicate, value, graph)
                if is_long(quad):
                    raise BadQuery(*LONG_TERM)
                yield quad

    def manage(self, operation: Manage) -> None:
        if operation.source is not None:
            self._transfer(operation, operation.source, cast("Graph", operation.target))
        elif operation.verb != "CREATE":
            self._change(self._facts(operation.target), set())
        elif not operation.silent and self._facts(operation.target):
            name = getattr(operation.target, "value", "")
            raise BadRequest(f"There is a graph {name} already.", "Leave CREATE out, or write CREATE SILENT.")

    def _transfer(self, operation: Manage, source: Graph, target: Graph) -> None:
        facts = self._facts(source)
        if not facts and isinstance(source, ox.NamedNode):
            if operation.silent:
                return
            raise BadRequest(f"There is no graph {source.value}.", f"{operation.verb} SILENT then does nothing.")
        copies = {ox.Quad(q.subject, q.predicate, q.object, target) for q in facts}
        gone = self._facts(target) if operation.verb != "ADD" else set()
        self._change(gone | facts if operation.verb == "MOVE" else gone, copies)

    def _facts(self, target: Target) -> set[ox.Quad]:
        store = self._draft.store
        if target == "ALL":
            return set(store)
        if target == "NAMED":
            return {quad for quad in store if quad.graph_name != TOP}
        return set(store.quads_for_pattern(None, None, None, target))

    def _change(self, deletes: set[ox.Quad], inserts: set[ox.Quad]) -> None:
        try:
            self.allow({cast("Graph", quad.graph_name) for quad in deletes | inserts})
        except BadRequest as error:  # no graph that is named: those were looked at before
            hint = "GRAPH ?g sees it too; keep to the sources by FILTER(STRSTARTS(STR(?g), STR(source:)))."
            raise BadRequest(error.message, hint) from None
        self._draft.remove(deletes - inserts)
        self._draft.add(inserts)
