"""The ontology, the shapes and the questions read into plain objects, for the page, the diagram and the dictionary."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final

import pyoxigraph as ox

from kg.constraints import KINDS, Demands, Field, Rule, Triples
from kg.questions import NamedQuestion
from kg.terms import ONTOLOGY_GRAPH, PREFIXES, RDF_TYPE, RDFS_LABEL, ROOT, SKOLEM, TRADE, compact

_RDFS: Final = PREFIXES["rdfs"]
_OWL: Final = PREFIXES["owl"]
_SKOS: Final = PREFIXES["skos"]
_SCHEMA: Final = PREFIXES["schema"]
_DCTERMS: Final = PREFIXES["dcterms"]
_PROPERTY_KINDS: Final = {
    _OWL + "ObjectProperty": "object property",
    _OWL + "DatatypeProperty": "datatype property",
    _OWL + "AnnotationProperty": "annotation property",
}
_DECIMAL, _INTEGER = PREFIXES["xsd"] + "decimal", PREFIXES["xsd"] + "integer"
_DATATYPE: Final = ox.NamedNode(_OWL + "DatatypeProperty")
_CHARACTERISTICS: Final = {
    "FunctionalProperty": "functional: one value at most",
    "InverseFunctionalProperty": "inverse functional: a value has one subject at most",
    "TransitiveProperty": "transitive: it carries on from value to value",
    "SymmetricProperty": "symmetric: it holds both ways",
    "AsymmetricProperty": "asymmetric: it never holds both ways",
    "ReflexiveProperty": "reflexive: everything has it to itself",
    "IrreflexiveProperty": "irreflexive: nothing has it to itself",
}
_MATCHES: Final = {
    "exactMatch": "the same as",
    "closeMatch": "close to",
    "broadMatch": "narrower than",
    "narrowMatch": "broader than",
    "relatedMatch": "related to",
}


@dataclass(frozen=True)
class Ref:
    """A term as another mentions it. The anchor is empty where the vocabulary does not describe it."""

    iri: str
    name: str
    label: str
    anchor: str = ""


@dataclass(frozen=True)
class Entry:
    """A class, property, scheme or concept: what they have in common."""

    iri: str
    name: str
    anchor: str
    label: str
    definition: str = ""
    examples: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    #: How it compares with the terms of other vocabularies: (words, the term).
    alignments: tuple[tuple[str, Ref], ...] = ()
    parents: tuple[Ref, ...] = ()
    children: tuple[Ref, ...] = ()
    questions: tuple[NamedQuestion, ...] = ()

    @property
    def own(self) -> bool:
        """Whether it is a term of Parley's, not of another vocabulary."""
        return self.iri.startswith(ROOT)


@dataclass(frozen=True)
class Use:
    """A property as one class uses it. `rules` and the number are those of the shapes."""

    property: Ref
    inverse: bool
    meaning: str
    values: tuple[Ref, ...]
    need: str
    number: str
    rules: tuple[Rule, ...]


@dataclass(frozen=True)
class Class(Entry):
    """A class with its properties. `axioms` are what OWL says of it beyond its parents, in words."""

    axioms: tuple[str, ...] = ()
    uses: tuple[Use, ...] = ()
    rules: tuple[Rule, ...] = ()


@dataclass(frozen=True)
class Property(Entry):
    """A property. Its domains are the classes that the ontology or a shape names, its ranges likewise."""

    kind: str = ""
    characteristics: tuple[str, ...] = ()
    domains: tuple[Ref, ...] = ()
    ranges: tuple[Ref, ...] = ()


@dataclass(frozen=True)
class Concept(Entry):
    """A concept of a scheme."""

    notation: str = ""


@dataclass(frozen=True)
class Scheme(Entry):
    """A concept scheme with its concepts."""

    concepts: tuple[Concept, ...] = ()


@dataclass(frozen=True)
class Vocabulary:
    """All of it, each kind sorted by label, Parley's own terms first."""

    title: str
    description: str
    version: str
    licence: str
    classes: tuple[Class, ...] = ()
    properties: tuple[Property, ...] = ()
    schemes: tuple[Scheme, ...] = ()
    #: Sets of classes that share no instance.
    disjoint: tuple[tuple[Ref, ...], ...] = ()
    #: What the ontology declares of each property: (property, class) pairs of domains and of ranges.
    domains: frozenset[tuple[str, str]] = field(default_factory=frozenset)
    ranges: frozenset[tuple[str, str]] = field(default_factory=frozenset)


def read(
    ontology: Iterable[ox.Triple | ox.Quad], demands: dict[str, Demands], questions: Iterable[NamedQuestion] = ()
) -> Vocabulary:
    """Read the triples of an ontology, with what the shapes demand of its classes (see `kg.constraints.read`)."""
    return _Reader(Triples(ontology), demands, list(questions)).vocabulary()


def anchor(iri: str) -> str:
    """The place of a term on the page: the local name of Parley's own, else the prefixed name."""
    if iri.startswith(TRADE):
        return iri[len(TRADE) :]
    name = compact(iri)
    return f"scheme:{iri.rsplit('/', 1)[-1]}" if name.startswith("<") else name


class _Reader:
    """Reads one vocabulary; holds what all parts of it need."""

    def __init__(self, triples: Triples, demands: dict[str, Demands], questions: list[NamedQuestion]) -> None:
        self._triples, self._demands = triples, demands
        self._questions = [(question, _mentioned(question.text)) for question in questions]
        self._typed: dict[str, list[Any]] = defaultdict(list)
        for subject in triples.subjects:
            for kind in triples.values(subject, RDF_TYPE):
                self._typed[kind.value].append(subject)
        self._classes = self._named(_OWL + "Class")
        declared = {iri for kind in _PROPERTY_KINDS for iri in self._named(kind)}
        demanded = {known.path for demand in demands.values() for known in demand.fields}
        self._properties = declared | demanded
        self._schemes = self._named(_SKOS + "ConceptScheme")
        self._domains = self._pairs(_SCHEMA + "domainIncludes", _RDFS + "domain")
        self._ranges = self._pairs(_SCHEMA + "rangeIncludes", _RDFS + "range")
        self._children: dict[str, list[str]] = defaultdict(list)
        for predicate in ("subClassOf", "subPropertyOf"):
            for subject in filter(_is_named, triples.subjects):
                for parent in filter(_is_named, triples.values(subject, _RDFS + predicate)):
                    self._children[parent.value].append(subject.value)

    def vocabulary(self) -> Vocabulary:
        node = ox.NamedNode(ONTOLOGY_GRAPH)
        licence = self._triples.value(node, _DCTERMS + "license")
        return Vocabulary(
            title=self._triples.text(node, _DCTERMS + "title"),
            description=self._triples.text(node, _DCTERMS + "description"),
            version=self._triples.text(node, _OWL + "versionInfo"),
            licence=licence.value if licence is not None else "",
            classes=tuple(sorted(map(self._class, self._classes), key=_order)),
            properties=tuple(sorted(map(self._property, self._properties), key=_order)),
            schemes=tuple(sorted(map(self._scheme, self._schemes), key=_order)),
            disjoint=self._disjoint(),
            domains=frozenset(self._domains),
            ranges=frozenset(self._ranges),
        )

    def _named(self, kind: str) -> set[str]:
        return {term.value for term in self._typed[kind] if _is_named(term)}

    def _pairs(self, *predicates: str) -> set[tuple[str, str]]:
        return {
            (subject.value, value.value)
            for predicate in predicates
            for subject in filter(_is_named, self._triples.subjects)
            for value in filter(_is_named, self._triples.values(subject, predicate))
        }

    def _ref(self, iri: str) -> Ref:
        described = iri in self._classes or iri in self._properties or iri in self._schemes
        return Ref(iri, compact(iri), self._label(iri), anchor(iri) if described else "")

    def _refs(self, iris: Iterable[str]) -> tuple[Ref, ...]:
        return tuple(sorted(map(self._ref, set(iris)), key=_order))

    def _label(self, iri: str) -> str:
        if label := self._triples.text(ox.NamedNode(iri), RDFS_LABEL):
            return label
        local = re.split(r"[/#]", iri)[-1]
        return KINDS.get(iri) or re.sub(r"(?<=[a-z])([A-Z])|_", r" \1", local).lower()

    def _common(self, iri: str, parent: str = "") -> dict[str, Any]:
        node, triples = ox.NamedNode(iri), self._triples
        name = compact(iri)
        return {
            "iri": iri,
            "name": name,
            "anchor": anchor(iri),
            "label": self._label(iri),
            "definition": triples.text(node, _SKOS + "definition"),
            "examples": triples.texts(node, _SKOS + "example"),
            "notes": triples.texts(node, _SKOS + "scopeNote"),
            "alignments": tuple(
                (words, self._ref(term.value))
                for match, words in _MATCHES.items()
                for term in sorted(filter(_is_named, triples.values(node, _SKOS + match)), key=str)
            ),
            "parents": self._refs(p.value for p in triples.values(node, parent) if _is_named(p)) if parent else (),
            "children": self._refs(self._children.get(iri, ())),
            "questions": tuple(question for question, names in self._questions if name in names),
        }

    def _class(self, iri: str) -> Class:
        demands = self._demands.get(iri, Demands())
        declared = [Field(p) for p, domain in sorted(self._domains) if domain == iri]
        demanded = {known.path for known in demands.fields if not known.inverse}
        fields = [*demands.fields, *(f for f in declared if f.path not in demanded)]
        order: Callable[[Use], Any] = lambda use: (use.need != "required", use.inverse, use.property.label)  # noqa: E731
        return Class(
            **self._common(iri, _RDFS + "subClassOf"),
            axioms=self._axioms(iri),
            uses=tuple(sorted(map(self._use, fields), key=order)),
            rules=tuple(demands.rules),
        )

    def _use(self, known: Field) -> Use:
        ref = self._ref(known.path)
        pairs = self._domains if known.inverse else self._ranges
        kinds = known.kinds or [value for p, value in sorted(pairs) if p == known.path]
        if not kinds and _DATATYPE in self._triples.values(ox.NamedNode(known.path), RDF_TYPE):
            kinds = [PREFIXES["sh"] + "Literal"]
        return Use(
            property=Ref(ref.iri, ref.name, ref.label if ref.iri.startswith(TRADE) else known.name, ref.anchor),
            inverse=known.inverse,
            meaning=self._triples.text(ox.NamedNode(known.path), _SKOS + "definition"),
            values=self._values(kinds, known.within),
            need=known.need,
            number=known.number,
            rules=tuple(known.rules),
        )

    def _values(self, kinds: list[str], within: str) -> tuple[Ref, ...]:
        """The kinds of value; in place of any concept the scheme, and in place of any IRI the class."""
        if within.rstrip("/") in self._schemes:
            return (self._ref(within.rstrip("/")),)
        named = [kind for kind in kinds if kind not in KINDS]
        # Every whole number is a number.
        kinds = [k for k in kinds if k != _INTEGER or _DECIMAL not in kinds]
        return self._refs(named or kinds)

    def _axioms(self, iri: str) -> tuple[str, ...]:
        found = []
        for parent in self._triples.values(ox.NamedNode(iri), _RDFS + "subClassOf"):
            path = self._triples.value(parent, _OWL + "onProperty")
            some = self._triples.value(parent, _OWL + "someValuesFrom")
            if path is not None and some is not None:
                found.append(f"every {self._label(iri)} has a {compact(path.value)} that is a {compact(some.value)}")
        return tuple(sorted(found))

    def _property(self, iri: str) -> Property:
        node = ox.NamedNode(iri)
        types = {kind.value for kind in self._triples.values(node, RDF_TYPE)}
        words = [text for name, text in _CHARACTERISTICS.items() if _OWL + name in types]
        words += [
            "follows from " + ", then ".join(map(self._step, self._triples.members(chain)))
            for chain in self._triples.values(node, _OWL + "propertyChainAxiom")
        ]
        words += [f"inverse of {compact(v.value)}" for v in self._triples.values(node, _OWL + "inverseOf")]
        shaped = {c for c, d in self._demands.items() if any(f.path == iri and not f.inverse for f in d.fields)}
        used = [f for d in self._demands.values() for f in d.fields if f.path == iri and not f.inverse]
        demanded = {ref for f in used for ref in self._values(f.kinds, f.within)}
        ranges = {value for p, value in self._ranges if p == iri}
        if demanded:
            # Any concept will not do where the shapes name a scheme.
            ranges.discard(_SKOS + "Concept")
        return Property(
            **self._common(iri, _RDFS + "subPropertyOf"),
            kind=next((words for kind, words in _PROPERTY_KINDS.items() if kind in types), ""),
            characteristics=tuple(words),
            domains=self._refs({domain for p, domain in self._domains if p == iri} | (shaped & self._classes)),
            ranges=self._refs(ranges) or tuple(sorted(demanded, key=_order)),
        )

    def _step(self, step: Any) -> str:
        """One step of a property chain."""
        inverse = self._triples.value(step, _OWL + "inverseOf")
        return compact(step.value) if inverse is None else f"the inverse of {compact(inverse.value)}"

    def _scheme(self, iri: str) -> Scheme:
        scheme = ox.NamedNode(iri)
        members = [
            concept.value
            for concept in self._typed[_SKOS + "Concept"]
            if scheme in self._triples.values(concept, _SKOS + "inScheme")
        ]
        concepts = tuple(
            Concept(**self._common(member), notation=self._triples.text(ox.NamedNode(member), _SKOS + "notation"))
            for member in members
        )
        return Scheme(**self._common(iri), concepts=tuple(sorted(concepts, key=_order)))

    def _disjoint(self) -> tuple[tuple[Ref, ...], ...]:
        sets = [
            [member.value for member in self._triples.members(self._triples.value(node, _OWL + "members"))]
            for node in self._typed[_OWL + "AllDisjointClasses"]
        ]
        for subject in filter(_is_named, self._triples.subjects):
            sets += [[subject.value, o.value] for o in self._triples.values(subject, _OWL + "disjointWith")]
        return tuple(sorted(map(self._refs, sets), key=lambda refs: (-len(refs), refs[0].label)))


def _order(term: Ref | Entry) -> tuple[bool, str, str]:
    return (not term.iri.startswith(ROOT), term.label, term.iri)


def _is_named(term: Any) -> bool:
    """Whether it has a name of its own: the store gives those that had none an IRI that begins with `SKOLEM`."""
    return isinstance(term, ox.NamedNode) and not term.value.startswith(SKOLEM)


def _mentioned(text: str) -> set[str]:
    """The prefixed names in the lines of a SPARQL text that are no comments."""
    code = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    return set(re.findall(r"(?<![\w:<-])[A-Za-z][\w-]*:\w(?:[\w.-]*\w)?", code))
