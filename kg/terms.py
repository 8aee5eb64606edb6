"""Names: the namespaces, the prefix for each kind of entity, and the way between IRIs and short names."""

from __future__ import annotations

import re
from typing import Final

import pyoxigraph as ox

ROOT: Final = "https://w3id.org/parley/"
TRADE: Final = ROOT + "ontology#"
ID: Final = ROOT + "id/"
SOURCE: Final = ROOT + "source/"
ONTOLOGY_GRAPH: Final = ROOT + "ontology"
ENTAILED_GRAPH: Final = ROOT + "graph/entailed"
OVERRULED_GRAPH: Final = ROOT + "graph/overruled"
HISTORY_GRAPH: Final = ROOT + "graph/history"
#: What Parley works out itself on each commit; no source says it.
DERIVED_GRAPHS: Final = frozenset((ENTAILED_GRAPH, OVERRULED_GRAPH, HISTORY_GRAPH))
SKOLEM: Final = ROOT + ".well-known/genid/"

#: Kinds of entity; each is a path segment under `ID` and a prefix in queries and Turtle.
ENTITY_KINDS: Final = (
    "country", "person", "body", "office", "tenure", "product", "tariff", "rate", "exemption", "act", "effect",
    "negotiation", "round", "meeting", "participation", "statement", "proposal", "event", "agreement", "commitment",
    "implementation", "deadline", "claim", "correction", "duty-part", "dossier", "gap", "version", "change",
)  # fmt: skip
#: Kinds of concept, one scheme each (see ontology/schemes.ttl).
CONCEPT_KINDS: Final = (
    "form", "status", "authority", "stance", "act-kind", "effect-kind", "source-kind", "grade", "subject",
    "body-kind", "meeting-kind", "product-scheme", "condition",
)  # fmt: skip

PREFIXES: Final[dict[str, str]] = {
    "trade": TRADE,
    "source": SOURCE,
    "graph": ROOT + "graph/",
    **{kind: f"{ID}{kind}/" for kind in ENTITY_KINDS + CONCEPT_KINDS},
    "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
    "rdfs": "http://www.w3.org/2000/01/rdf-schema#",
    "xsd": "http://www.w3.org/2001/XMLSchema#",
    "owl": "http://www.w3.org/2002/07/owl#",
    "skos": "http://www.w3.org/2004/02/skos/core#",
    "dcterms": "http://purl.org/dc/terms/",
    "foaf": "http://xmlns.com/foaf/0.1/",
    "org": "http://www.w3.org/ns/org#",
    "eli": "http://data.europa.eu/eli/ontology#",
    "schema": "http://schema.org/",
    "prov": "http://www.w3.org/ns/prov#",
    "sh": "http://www.w3.org/ns/shacl#",
    "void": "http://rdfs.org/ns/void#",
    "sd": "http://www.w3.org/ns/sparql-service-description#",
    "dcat": "http://www.w3.org/ns/dcat#",
    "wd": "http://www.wikidata.org/entity/",
}

RDF_TYPE: Final = PREFIXES["rdf"] + "type"
RDFS_LABEL: Final = PREFIXES["rdfs"] + "label"

_LOCAL = re.compile(r"[\w](?:[\w.-]*[\w-])?\Z")
_CURIE = re.compile(r"(?P<prefix>[A-Za-z][\w-]*):(?P<local>.*)\Z", re.DOTALL)


def compact(iri: str) -> str:
    """Return the IRI as a prefixed name, or in angle brackets where no prefix fits."""
    for prefix, namespace in PREFIXES.items():
        if iri.startswith(namespace) and _LOCAL.match(iri[len(namespace) :]):
            return f"{prefix}:{iri[len(namespace) :]}"
    return f"<{iri}>"


def expand(name: str) -> str | None:
    """Return the IRI for a prefixed name or an absolute IRI, or None if it is neither."""
    name = name.strip().removeprefix("<").removesuffix(">")
    match = _CURIE.match(name)
    if match is None:
        return None
    if match["prefix"] in PREFIXES and not match["local"].startswith("//"):
        name = PREFIXES[match["prefix"]] + match["local"]
    elif "://" not in name and not name.startswith("urn:"):
        return None
    try:
        return ox.NamedNode(name).value  # the engine has the last word on what an IRI may hold
    except ValueError:
        return None


def prologue(text: str) -> str:
    """Return the PREFIX lines that a SPARQL text uses, for texts that leave them out.

    Every prefix named somewhere in the text and not declared there is declared; a name inside a string costs an
    idle line at most.
    """
    declared = {m.lower() for m in re.findall(r"(?i)\bprefix\s+([\w-]*)\s*:", text)}
    used = set(re.findall(r"([A-Za-z][\w-]*):", text))
    names = [prefix for prefix in PREFIXES if prefix in used and prefix.lower() not in declared]
    return "".join(f"PREFIX {name}: <{PREFIXES[name]}>\n" for name in names)
