"""Input that ends, fills or leads astray a process which takes it without care: one corpus for the tests and for
`bench.hostile`. Requests that are hostile to the web server alone are in `bench.requests`.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable
from typing import Final

MB: Final = 1 << 20
RDF = "<rdf:RDF xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#' xmlns:x='urn:x:'>"
OPEN = f"{RDF}<rdf:Description rdf:about='urn:s'><x:p>"
CLOSE = "</x:p></rdf:Description></rdf:RDF>"
ENDLESS = "SELECT (COUNT(*) AS ?n) { ?a ?b ?c . ?d ?e ?f . ?g ?h ?i }"
FLOOD = "SELECT * { ?a ?b ?c . ?d ?e ?f }"


def nested(left: str, middle: str, right: str, levels: int) -> str:
    return left * levels + middle + right * levels


def laughs() -> str:
    """An entity of ten entities of ten entities …: a kilobyte that unfolds to 100 GB."""
    entities = "".join(f"<!ENTITY a{n + 1} '{f'&a{n};' * 10}'>" for n in range(10))
    return f"<!DOCTYPE x [<!ENTITY a0 '0123456789'>{entities}]>{OPEN}&a10;{CLOSE}"


def packed(start: str, times: int) -> bytes:
    """A start and then one letter without end, of 16 MB each time."""
    return gzip.compress(start.encode()) + gzip.compress(b"x" * (16 * MB)) * times


#: Queries that end a process which parses or evaluates them without care.
KILLERS = {
    "groups, 536": "SELECT * " + nested("{", "?s ?p ?o", "}", 536),
    "groups, 100,000": "SELECT * " + nested("{", "?s ?p ?o", "}", 100_000),
    "groups, never closed": "SELECT * " + "{" * 20_000,
    "parentheses": "SELECT * { FILTER " + nested("(", "true", ")", 20_000) + " }",
    "unions": "SELECT * { " + nested("{ ?s ?p ?o } UNION {", "", "}", 5_000) + " }",
    "optionals": "SELECT * { " + nested("OPTIONAL { ?s ?p ?o ", "", "}", 5_000) + " }",
    "subselects": nested("SELECT * {", "?s ?p ?o", "}", 5_000),
    "exists": "SELECT * " + nested("{ FILTER EXISTS ", "{}", "}", 5_000),
    "functions": "SELECT * { BIND(" + nested("ABS(", "1", ")", 20_000) + " AS ?x) }",
    "property paths": "SELECT * { ?s " + nested("(", "rdf:type", ")*", 5_000) + " ?o }",
    "lists": "SELECT * { " + nested("(", "", ")", 20_000) + " ?p ?o }",
    "blank nodes": "SELECT * { " + nested("[ ?p ", "1", "]", 5_000) + " }",
    "triple terms": "SELECT * { " + nested("<<( ?s ?p ", "1", ")>>", 5_000) + " ?p ?o }",
    "many tokens": "SELECT * { VALUES ?x { " + "1 " * 100_000 + "} }",
    "long": "SELECT * { ?s ?p '" + "x" * 1_500_000 + "' }",
    "a string that doubles": "SELECT (STRLEN(?x40) AS ?n) { BIND('xxxxxxxx' AS ?x0) "
    + "".join(f"BIND(CONCAT(?x{i}, ?x{i}) AS ?x{i + 1}) " for i in range(40))
    + "}",
    "a sort of everything by everything": FLOOD + " ORDER BY ?c ?f ?a",
    "one group of everything": "SELECT (GROUP_CONCAT(STR(?b)) AS ?all) { ?a ?b ?c . ?d ?e ?f . ?g ?h ?i }",
    "everything with everything with everything": ENDLESS,
    "rows that must differ": "SELECT (COUNT(DISTINCT *) AS ?n) { ?a ?b ?c . ?d ?e ?f }",
    "a group for each pair": "SELECT ?c ?f (COUNT(*) AS ?n) { ?a ?b ?c . ?d ?e ?f } GROUP BY ?c ?f",
    "optionals without a link": "SELECT (COUNT(*) AS ?n) { ?a ?b ?c OPTIONAL { ?d ?e ?f OPTIONAL { ?g ?h ?i } } }",
    "values by values by values": "SELECT (COUNT(*) AS ?n) { "
    + " ".join(f"VALUES ?{x} {{ {' '.join(map(str, range(3000)))} }}" for x in "abcd")
    + " }",
    "paths from everywhere to everywhere": "SELECT (COUNT(*) AS ?n) { ?a (!<urn:none>)* ?b . ?c (!<urn:none>)* ?d }",
    "stars of stars": "SELECT (COUNT(*) AS ?n) { ?a ((!<urn:none>|^!<urn:none>)*/(!<urn:none>|^!<urn:none>)*)* ?b }",
    "a string that grows tenfold": "SELECT (STRLEN(?x20) AS ?n) { BIND('x' AS ?x0) "
    + "".join(f"BIND(REPLACE(?x{i}, 'x', 'xxxxxxxxxx') AS ?x{i + 1}) " for i in range(20))
    + "}",
    "a group with long separators": f"SELECT (GROUP_CONCAT(STR(?b); SEPARATOR='{'x' * 100_000}') AS ?x) {{ ?a ?b ?c }}",
    "more names in a list than tokens": "ASK { FILTER(1 IN (" + ",".join(["1"] * 50_000) + ")) }",
    "a sample of each pair, sorted": "SELECT * { { SELECT ?a ?f (SAMPLE(?c) AS ?x) { ?a ?b ?c . ?d ?e ?f } "
    "GROUP BY ?a ?f } } ORDER BY ?x",
}

#: Queries that are long or deep in ways which a process can stand. An answer is as good as an error.
HEAVY = {
    "negations": "ASK { FILTER(" + "!" * 50_000 + "true) }",
    "signs": "ASK { FILTER(" + "- " * 25_000 + "1 = 1) }",
    "disjunctions": "ASK { FILTER(" + " || ".join(["?x = 1"] * 14_000) + ") }",
    "sums": "ASK { FILTER(" + "+".join(["1"] * 29_000) + " = 1) }",
    "triple patterns": "ASK { " + "?s ?p ?o . " * 8_000 + "}",
    "a chain of patterns": "ASK { " + " ".join(f"?x{i} ?p{i} ?x{i + 1} ." for i in range(3_000)) + "}",
    "a path of steps": "ASK { ?s " + "/".join(["rdf:type"] * 20_000) + " ?o }",
    "a path of choices": "ASK { ?s " + "|".join(["rdf:type"] * 20_000) + " ?o }",
    "inverse paths": "ASK { ?s " + "^" * 20_000 + "rdf:type ?o }",
    "a chain of unions": "ASK { " + " UNION ".join(["{ ?s ?p ?o }"] * 8_000) + " }",
    "a chain of optionals": "ASK { " + "OPTIONAL { ?s ?p ?o } " * 8_000 + " }",
    "one wide list": "ASK { FILTER(1 IN (" + ",".join(["1"] * 29_000) + ")) }",
    "a pattern that backtracks": "ASK { FILTER(REGEX('" + "a" * 5_000 + "', '^(a+)+$b')) }",
    "brackets in a pattern": "ASK { FILTER(REGEX('a', '" + nested("(", "a", ")", 50_000) + "')) }",
    "many values": "SELECT (COUNT(*) AS ?n) { VALUES ?x { " + "1 " * 59_000 + "} }",
    "a long literal": "ASK { FILTER(STRLEN('" + "x" * 900_000 + "') > 1) }",
    "a long name": "ASK { <urn:" + "x" * 900_000 + "> ?p ?o }",
    "a long comment": "ASK {} #" + "x" * 900_000,
    "a long variable": "SELECT ?" + "x" * 900_000 + " {}",
    "a pattern that backtracks over every text": "SELECT (COUNT(*) AS ?n) { ?s ?p ?o "
    "FILTER(REGEX(STR(?o), '^(.*)*(.*)*(.*)*(.*)*x$')) }",
    "repetitions of repetitions": "ASK { FILTER(REGEX('aaa', '((a{1,1000}){1,1000}){1,1000}')) }",
    "many choices in a pattern": "ASK { FILTER(REGEX('a', '" + "|".join(["a?a"] * 100_000) + "')) }",
    "classes of letters, repeated": r"ASK { FILTER(REGEX('a', '(\\p{L}{500}){50}')) }",
    "a path of optional steps": "ASK { ?s " + "/".join(["rdf:type?"] * 2_000) + " ?o }",
    "a union of everything under a sort": "SELECT (COUNT(*) AS ?n) { SELECT * { "
    + " UNION ".join(["{ ?s ?p ?o }"] * 200)
    + " } ORDER BY ?o }",
    "exists for everything": "SELECT (COUNT(*) AS ?n) { ?a ?b ?c "
    "FILTER NOT EXISTS { ?d ?e ?a . ?f ?g ?d . ?h ?i ?f } }",
    "unlike everything else": "SELECT (COUNT(*) AS ?n) { ?a ?b ?c MINUS { ?d ?e ?c . ?d ?f ?g FILTER(?e != ?f) } }",
}


FILTERED = "INSERT { GRAPH <urn:g> { ?s ?p ?o } } WHERE { GRAPH <urn:g> { ?s ?p ?o } FILTER(%s) }"

#: Updates that end a process which parses them without care.
UPDATES = {
    "groups": "INSERT { GRAPH <urn:g> { <urn:a> <urn:p> 1 } } WHERE " + nested("{", "?s ?p ?o", "}", 10_000),
    "parentheses": FILTERED % nested("(", "true", ")", 20_000),
    "functions": FILTERED % nested("ABS(", "1", ")", 20_000),
    "optionals": "DELETE { GRAPH <urn:g> { ?s ?p ?o } } WHERE " + nested("{ OPTIONAL ", "{}", "}", 5_000),
    "lists": "INSERT DATA { GRAPH <urn:g> { <urn:s> <urn:p> " + nested("(", "", ")", 20_000) + " } }",
    "blank nodes": "INSERT DATA { GRAPH <urn:g> { " + nested("[ <urn:p> ", "1", "]", 10_000) + " } }",
    "a chain of more than the tokens": FILTERED % " || ".join(["?o = 1"] * 50_000),
    "never closed": "INSERT DATA { GRAPH <urn:g> {" * 5_000,
    "a file": "LOAD <file:///etc/passwd> INTO GRAPH <urn:g>",
    "a service": "INSERT { GRAPH <urn:g> { ?s ?p ?o } } WHERE { SERVICE <http://127.0.0.1:1/> { ?s ?p ?o } }",
    "a string that doubles": "INSERT { GRAPH <urn:g> { <urn:s> <urn:p> ?x40 } } WHERE { BIND('xxxxxxxx' AS ?x0) "
    + "".join(f"BIND(CONCAT(?x{n}, ?x{n}) AS ?x{n + 1}) " for n in range(40))
    + "}",
}


TURTLE, JSON_LD, RDF_XML = "text/turtle", "application/ld+json", "application/rdf+xml"
_XML = "<rdf:RDF xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#' xmlns:x='urn:x'>"

#: Uploads that end, or lead astray, a process which parses them without care.
BOMBS = {
    "triple terms": (TURTLE, "<urn:s> <urn:p> " + nested("<<( <urn:s> <urn:p> ", "1", ")>>", 50_000) + " ."),
    "blank nodes": (TURTLE, "<urn:s> <urn:p> " + nested("[ <urn:p> ", "", "]", 200_000) + ";"),
    "lists": (TURTLE, "<urn:s> <urn:p> " + "(" * 500_000),
    "json arrays": (JSON_LD, "[" * 500_000),
    "json objects": (JSON_LD, nested('{"@id": "urn:s", "urn:p": ', "1", "}", 100_000)),
    "a context elsewhere": (JSON_LD, '{"@context": "http://127.0.0.1:1/context", "@id": "urn:s", "x": 1}'),
    "a context in a file": (JSON_LD, '{"@context": "file:///etc/passwd", "@id": "urn:s", "x": 1}'),
    "xml elements": (RDF_XML, _XML + "<x:a><x:b>" * 200_000),
    "entities": (
        RDF_XML,
        "<!DOCTYPE a [<!ENTITY b 'bbbbbbbb'><!ENTITY c '&b;&b;&b;&b;'>]>"
        + _XML
        + "<x:a><x:p>&c;</x:p></x:a></rdf:RDF>",
    ),
    "bytes that are no text": (TURTLE, "<urn:s> <urn:p> '\udcff' ."),
}


#: Files that cannot be read, by name: their content, and a part of what is said.
MALFORMED: dict[str, tuple[str | bytes, str]] = {
    "entities.rdf": (laughs(), "A DOCTYPE is not allowed"),
    "long-iri.nt": ("<urn:s> <urn:p> <urn:" + "x" * 1_000_000 + "> .", "more than 1,000,000 characters"),
    "long-subject.nt": ("<urn:" + "x" * 1_000_000 + "> <urn:p> <urn:o> .", "more than 1,000,000 characters"),
    "long-predicate.nq": ("<urn:s> <urn:" + "x" * 1_000_000 + "> <urn:o> .", "more than 1,000,000 characters"),
    "long-graph.nq": ("<urn:s> <urn:p> <urn:o> <urn:" + "x" * 1_000_000 + "> .", "more than 1,000,000 characters"),
    "long-text.rdf": (OPEN + "x" * (20 * MB) + CLOSE, "more than 1,000,000 characters"),
    "long-attribute.rdf": (
        f"{RDF}<rdf:Description rdf:about='urn:s' x:p='{'x' * 1_000_001}'/></rdf:RDF>",
        "more than 1,000,000 characters",
    ),
    "entity-of-a-file.rdf": (f"<!DOCTYPE x [<!ENTITY a SYSTEM 'file:///etc/passwd'>]>{OPEN}&a;{CLOSE}", "DOCTYPE"),
    "doctype-elsewhere.rdf": (f"<!DOCTYPE x SYSTEM 'http://127.0.0.1:1/x.dtd'>{RDF}</rdf:RDF>", "DOCTYPE"),
    "doctype-late.rdf": (f"<?xml version='1.0'?>\n<!-- x -->\n<!DOCTYPE\nx>{RDF}</rdf:RDF>", "DOCTYPE"),
    "doctype-in-utf-16.rdf": (
        f"<?xml version='1.0' encoding='UTF-16'?><!DOCTYPE x [<!ENTITY a 'b'>]>{OPEN}&a;{CLOSE}".encode("utf-16"),
        "DOCTYPE",
    ),
    "doctype-in-small.rdf": (f"<!doctype x [<!ENTITY a 'b'>]>{RDF}</rdf:RDF>", "The XML does not parse"),
    "entity-of-nobody.rdf": (f"{OPEN}&a;{CLOSE}", "undefined entity"),
    "deep.rdf": (RDF + "<x:a><x:b>" * 100_000, "More than 500 elements are nested"),
    "deep-triple-terms.nq": ("<urn:s> <urn:p> " + nested("<<( <urn:s> <urn:p> ", "1", ")>>", 50_000) + " .", ""),
    "deep-lists.trig": ("<urn:g> { <urn:s> <urn:p> " + "(" * 200_000, ""),
    "deep-graphs.trig": ("<urn:g> {" * 200_000, ""),
    "deep-lists.jsonld": ('{"@id": "urn:s", "urn:p": ' + nested('{"@list": [', "1", "]}", 100_000) + "}", "stack"),
    "deep-contexts.jsonld": ('{"@context": ' + '{"a": {"@id": "urn:a", "@context": ' * 100_000, "stack"),
    "utf-16.ttl": ("<urn:s> <urn:p> 'é' .".encode("utf-16"), "UTF-8"),
    "utf-16.rdf": (f"<?xml version='1.0' encoding='UTF-16'?>{OPEN}é{CLOSE}".encode("utf-16"), "UTF-8"),
    "utf-16.jsonld": ('{"@id": "urn:s", "urn:p": "é"}'.encode("utf-16"), "FF"),
    "utf-7.rdf": (f"<?xml version='1.0' encoding='UTF-7'?>+ADwAIQ-DOCTYPE x+AD4-{RDF}</rdf:RDF>", "Save it as UTF-8"),
    "unheard-of.rdf": (f"<?xml version='1.0' encoding='nonsense'?>{RDF}</rdf:RDF>", "UTF-8"),
    "latin-1.ttl": ("<urn:s> <urn:p> 'é' .".encode("latin-1"), "UTF-8"),
    "latin-1.rdf": (f"<?xml version='1.0' encoding='ISO-8859-1'?>{OPEN}é{CLOSE}".encode("latin-1"), "UTF-8"),
    "nul.ttl": ("<urn:s> <urn:p> \0 .", r"\u0000"),
    "nul.rdf": (f"{OPEN}\0{CLOSE}", "invalid token"),
    "nul.jsonld": ('{"@id": "urn:s", "urn:p": "\0"}', r"\u0000"),
    "terminal-codes.ttl": ("<urn:s> <urn:p> \x1b[31mred .", r"\u001B"),
    "three-byte-order-marks.ttl": ("\ufeff\ufeff\ufeff<urn:s> <urn:p> 1 .", r"\uFEFF"),
    "half-of-a-pair.nt": (r'<urn:s> <urn:p> "\uD800" .', "D800"),
    "half-of-a-pair.jsonld": (r'{"@id": "urn:s", "urn:p": "\ud800"}', ""),
    "language.ttl": ("<urn:s> <urn:p> 'a'@muchtoolonga .", "eight characters"),
    "language.rdf": (OPEN.replace("<x:p", "<x:p xml:lang='no language'") + CLOSE, "language tag"),
    "datatype.ttl": ("<urn:s> <urn:p> 'a'^^<no iri> .", "Invalid IRI"),
    "datatype-that-is-none.ttl": ("<urn:s> <urn:p> 'a'^^'b' .", "datatype IRI"),
    "datatype-of-a-language.ttl": (
        "<urn:s> <urn:p> 'a'^^<http://www.w3.org/1999/02/22-rdf-syntax-ns#langString> .",
        "language tag",
    ),
    "language-and-datatype.jsonld": (
        '{"@id": "urn:s", "urn:p": {"@value": "a", "@language": "en", "@type": "urn:t"}}',
        "cannot be used together",
    ),
    "no-scheme.nt": ("<://x> <urn:p> <urn:o> .", "scheme"),
    "no-host.ttl": ("<urn:s> <urn:p> <http://[::1> .", "host"),
    "space-in-an-iri.ttl": (r"<urn:a\u0020b> <urn:p> 1 .", "Invalid IRI"),
    "line-end-in-an-iri.ttl": ("<urn:a\nb> <urn:p> 1 .", "Invalid IRI"),
    "context-elsewhere.jsonld": ('{"@context": "http://127.0.0.1:1/c", "@id": "urn:s", "x": 1}', "remote context"),
    "context-imported.jsonld": (
        '{"@context": {"@version": 1.1, "@import": "http://127.0.0.1:1/c"}, "@id": "urn:s", "x": 1}',
        "remote context",
    ),
    "context-in-a-circle.jsonld": ('{"@context": {"a": "b:x", "b": "a:y"}, "@id": "urn:s", "a": 1}', "Cyclic"),
    "many-properties.ttl": ("<urn:s> " + "<urn:p> 1 ; " * 50_000, "Unexpected end"),
    "long-name.ttl": ("<urn:s> <urn:p> " + "x" * MB, "xxx …"),
    "packed-twice.ttl.gz": (gzip.compress(gzip.compress(b"<urn:s> <urn:p> 1 .")), r"\u001F"),
    "cut-short.nt.gz": (gzip.compress(b"<urn:s> <urn:p> <urn:o> .\n" * 1000)[:-12], "cannot be read"),
    "wrong-sum.nt.gz": (gzip.compress(b"<urn:s> <urn:p> <urn:o> .\n")[:-8] + bytes(8), "cannot be read"),
    "not-packed.nt.gz": ("<urn:s> <urn:p> <urn:o> .\n", "cannot be read"),
}


#: Files that are more than the memory holds, or would keep a parser busy for hours, by name.
LARGE: dict[str, Callable[[], bytes]] = {
    "literal.ttl": lambda: b"<urn:s> <urn:p> '" + b"x" * (100 * MB) + b"' .",
    "literal.nq": lambda: b'<urn:s> <urn:p> "' + b"x" * (100 * MB) + b'" <urn:g> .',
    "key.jsonld": lambda: b'{"@id": "urn:s", "' + b"x" * (100 * MB) + b'": 1}',
    "iri.ttl": lambda: b"<urn:" + b"x" * (100 * MB) + b"> <urn:p> 1 .",
    "comment.ttl": lambda: b"#" + b"x" * (100 * MB),
    "element.rdf": lambda: b"<" + b"x" * (20 * MB),
    "literal.ttl.gz": lambda: packed("<urn:s> <urn:p> '", 200),
    "comment.ttl.gz": lambda: packed("#", 200),
    "key.jsonld.gz": lambda: packed('{"', 200),
}


#: Files that unpack to more than may be, piece by piece, or to more facts than fit into memory.
LONG: dict[str, Callable[[], bytes]] = {
    "blank-nodes.nt": lambda: b"".join(b"_:b%d <urn:p> _:b%d .\n" % (n, n) for n in range(1_000_000)),
    "comments.ttl.gz": lambda: gzip.compress(b"#\n" * (8 * MB)) * 270,
    "text.rdf.gz": lambda: packed(OPEN, 300),
    "spaces.jsonld.gz": lambda: gzip.compress(b" " * (16 * MB)) * 300,
    "facts.nt.gz": lambda: gzip.compress(b"".join(b"<urn:s> <urn:p%d> 1 .\n" % n for n in range(1_000_000))) * 5,
}


#: Files that are odd and yet can be read.
ODD: dict[str, str] = {
    "schemes.nt": "<javascript:alert(1)> <urn:p> <data:text/html,x> .\n<urn:s> <urn:p> <file:///etc/passwd> .\n",
    "nul-in-a-literal.ttl": "<urn:s> <urn:p> 'a\0b' .",
    "many-prefixes.ttl": "".join(f"@prefix p{n}: <urn:{n}:> .\n" for n in range(200_000)) + "p1:s p2:p p3:o .",
    "deep-blank-nodes.trig": "<urn:g> { " + nested("[ <urn:p> ", "1", "]", 20_000) + " . }",
    "longest-literal.rdf": OPEN + "x" * 1_000_000 + CLOSE,
}
