"""Files into quads of source graphs, and the line that a mistake stands on."""

from __future__ import annotations

import gzip
from io import BytesIO
from pathlib import Path

import pyoxigraph as ox
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kg import formats
from kg.admission import Admission, vocabulary
from kg.errors import BadData, BadRequest, UnsupportedMedia
from kg.parsing import Document, _LinesOf, as_stored, prefixed_turtle, source_iri
from kg.quads import MAX_TERM
from kg.terms import PREFIXES, SKOLEM, SOURCE, TRADE
from tests.sources import CONTENT, turtle

GRAPH = SOURCE + "test"
ALL = (*formats.GRAPHS, *formats.DATASETS)


def document(text: str | bytes, form: str = "turtle", graph: str = GRAPH) -> Document:
    data = text.encode() if isinstance(text, str) else text
    return Document(f"test.{form}", data, formats.named(form, ALL), graph)


def failure(text: str | bytes, form: str = "turtle") -> BadData:
    with pytest.raises(BadData) as caught:
        list(document(text, form).quads())
    return caught.value


#: One triple, in each format.
SAME = {
    "turtle": "<urn:s> <urn:p> <urn:o> .",
    "ntriples": "<urn:s> <urn:p> <urn:o> .",
    "trig": "<urn:s> <urn:p> <urn:o> .",
    "nquads": "<urn:s> <urn:p> <urn:o> .",
    "rdfxml": '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns:u="urn:">'
    '<rdf:Description rdf:about="urn:s"><u:p rdf:resource="urn:o"/></rdf:Description></rdf:RDF>',
    "jsonld": '{"@id": "urn:s", "urn:p": {"@id": "urn:o"}}',
}


@pytest.mark.parametrize("form", SAME)
def test_each_format_gives_the_quads_of_its_graph(form: str) -> None:
    assert list(document(SAME[form], form).quads()) == [
        ox.Quad(*(ox.NamedNode(x) for x in ("urn:s", "urn:p", "urn:o", GRAPH)))
    ]


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("a.ttl", "turtle"),
        ("a.nt", "ntriples"),
        ("a.rdf", "rdfxml"),
        ("a.owl", "rdfxml"),
        ("a.jsonld", "jsonld"),
        ("a.trig", "trig"),
        ("a.nq", "nquads"),
        ("2025-06-06-asahi.5.TTL", "turtle"),
    ],
)
def test_file_names_its_format_and_its_graph(tmp_path: Path, name: str, form: str) -> None:
    (tmp_path / name).write_text(SAME[form])
    found = Document.from_file(tmp_path / name)
    assert (found.format.name, found.graph) == (form, SOURCE + name.rpartition(".")[0])
    assert len(list(found.quads())) == 1


def test_given_graph_prevails_over_the_name_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "Not A Slug.ttl").write_text(SAME["turtle"])
    assert Document.from_file(tmp_path / "Not A Slug.ttl", "urn:g").graph == "urn:g"


@pytest.mark.parametrize("slug", ["My-Notes", "my notes", "-notes", "notes-", "a--b", "ü", "", "a_b", "a/b", "a\n"])
def test_name_that_makes_no_source_is_refused(slug: str) -> None:
    with pytest.raises(BadRequest, match=r"makes no name for a source\. Name the file like 2025-06-06-\S+\.ttl"):
        source_iri(slug)


@pytest.mark.parametrize("name", ["notes", "notes.txt", "notes.csv", "notes.ttl.bak"])
def test_ending_of_no_rdf_format_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("")
    with pytest.raises(UnsupportedMedia, match=r"Use one of: \.ttl, \.nt, "):
        Document.from_file(tmp_path / name)


def test_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadRequest, match="cannot be read: No such file or directory"):
        Document.from_file(tmp_path / "none.ttl")


def test_relative_iris_are_resolved_against_the_graph() -> None:
    (quad,) = document("<> <#p> <other> .").quads()
    assert [quad.subject, quad.predicate, quad.object] == [
        ox.NamedNode(iri) for iri in (GRAPH, GRAPH + "#p", SOURCE + "other")
    ]


def test_blank_nodes_get_the_same_iris_each_time() -> None:
    text = "<urn:s> <urn:p> [ <urn:q> _:a ] , ( 1 2 ) . _:a <urn:p> _:b ."
    one, two = list(document(text).quads()), list(document(text).quads())
    assert one == two
    nodes = {t for q in one for t in (q.subject, q.object)}
    assert not any(isinstance(node, ox.BlankNode) for node in nodes)
    assert sum(str(node).startswith(f"<{SKOLEM}") for node in nodes) == 5


def test_blank_nodes_of_two_graphs_are_apart() -> None:
    text = "_:a <urn:p> 1 ."
    (one,), (two,) = document(text).quads(), document(text, graph=SOURCE + "other").quads()
    assert one.subject != two.subject


def test_blank_node_as_a_graph_gets_an_iri() -> None:
    (quad,) = document("_:g { <urn:s> <urn:p> 1 }", "trig").quads()
    assert str(quad.graph_name).startswith(f"<{SKOLEM}")


def test_quads_of_named_graphs_keep_their_graph() -> None:
    quads = list(document("<urn:a> <urn:p> 1 . <urn:g> { <urn:b> <urn:p> 2 }", "trig").quads())
    assert [str(q.graph_name) for q in quads] == [f"<{GRAPH}>", "<urn:g>"]


LITERALS = (
    '25.0 , 025 , 1.50e3 , "+7"^^xsd:integer , "2025-06-07Z"^^xsd:date , "x"@EN , true , "1"^^xsd:boolean , '
    '"99999999999999999999999"^^xsd:integer , "abc"^^xsd:integer , "x"'
)


def test_lines_are_found_for_terms_as_the_store_gives_them_back() -> None:
    file = document(prefixed_turtle(f"<urn:s> <urn:p> {LITERALS} ."))
    store = ox.Store()
    store.extend(file.quads())
    wanted = {(str(q.subject), str(q.predicate), str(q.object)) for q in store}
    assert len(wanted) == 10  # "true" and "1" are one boolean
    assert file.lines(wanted).keys() == wanted


@given(number=st.decimals(allow_nan=False, allow_infinity=False, places=3, min_value=-(10**9), max_value=10**9))
def test_every_decimal_is_found_as_the_store_gives_it_back(number: object) -> None:
    (quad,) = document(prefixed_turtle(f'<urn:s> <urn:p> "{number}"^^xsd:decimal .')).quads()
    store = ox.Store()
    store.add(quad)
    assert as_stored(quad.object) == next(iter(store)).object


LINES = {
    "turtle": "@prefix u: <urn:> .\n\nu:a u:p 1 ;\n  u:q 2 ,\n    3 .\n# c\nu:b u:p 'two\\nlines' . u:c u:p 4 .\n",
    "trig": "@prefix u: <urn:> .\nu:g {\nu:a u:p 1 ;\n  u:q 2 ,\n    3 .\n\nu:b u:p 'x' . u:c u:p 4 }\n",
    "ntriples": '\n\n<urn:a> <urn:p> "1" .\n<urn:a> <urn:q> "2" .\n<urn:a> <urn:q> "3" .\n\n<urn:b> <urn:p> "x" .\n',
}


@pytest.mark.parametrize("form", LINES)
def test_line_of_a_triple_is_the_one_on_which_it_ends(form: str) -> None:
    file = document(LINES[form], form)
    lines = file.lines({(str(q.subject), str(q.predicate), str(q.object)) for q in file.quads()})
    found = {(s, p, o.partition("^^")[0].strip('"')): line for (s, p, o), line in lines.items()}
    assert found["<urn:a>", "<urn:p>", "1"] == 3
    assert found["<urn:a>", "<urn:q>", "2"] == 4
    assert found["<urn:a>", "<urn:q>", "3"] == 5
    assert {line for (s, _, _), line in found.items() if s != "<urn:a>"} == {7}


SUBJECTS = [*(f"<urn:{name}>" for name in ("a", "b", r"\u00E9", r"\U000000E9", "é", "long" * 3000)), "_:b1", "_:b2"]
OBJECTS = ["<urn:o>", "_:b1", "_:b3", '"1"', '"a _: b"', '"\\u0041"', f'"{"long " * 3000}"', '"<urn:a>"']


@given(
    statements=st.lists(st.tuples(st.sampled_from(SUBJECTS), st.sampled_from(OBJECTS)), max_size=12),
    before=st.sampled_from(["", " ", "\n", "# <urn:a>\n"]),
    between=st.sampled_from([" ", "\t"]),
    data=st.data(),
)
def test_lines_of_some_triples_are_those_that_reading_all_gives(
    statements: list[tuple[str, str]], before: str, between: str, data: st.DataObject
) -> None:
    text = "".join(f"{before}{s}{between}<urn:p>{between}{o}{between}.\n" for s, o in statements)
    file = document(text, "ntriples")
    places = {(str(q.subject), str(q.predicate), str(q.object)): line for line, q in file.numbered()}
    wanted = data.draw(st.sets(st.sampled_from(sorted(places)))) if places else set()
    assert file.lines(wanted) == {triple: places[triple] for triple in wanted}


@pytest.mark.parametrize("ending", ["\n", ""])
@pytest.mark.parametrize("form", ["turtle", "ntriples", "nquads"])
@pytest.mark.parametrize(
    "statement",
    ['<urn:s> <urn:p> "{}" .', "<urn:{}> <urn:p> 'o' .", "<urn:s> <urn:{}> 'o' .", "<urn:s> <urn:p> <urn:{}> ."],
    ids=["literal", "subject", "predicate", "object"],
)
def test_a_term_that_is_too_long_is_refused_with_its_line(statement: str, form: str, ending: str) -> None:
    first, last = "<urn:s> <urn:p> <urn:o> .\n", statement.replace("'o'", '"o"')
    unit = len("urn:") if "urn:{}" in last else 0
    assert len(list(document(first + last.format("x" * (MAX_TERM - unit)) + ending, form).quads())) == 2
    with pytest.raises(BadData, match="A term has more than 1,000,000 characters") as refusal:
        list(document(first + last.format("x" * (MAX_TERM - unit + 1)) + ending, form).quads())
    assert refusal.value.line == 2


def test_lines_of_turtle_that_begin_with_another_name_are_read_too() -> None:
    wanted = {("<urn:a>", "<urn:q>", "<urn:o>")}
    assert set(document("<urn:a> <urn:p> 1 ;\n<urn:q> <urn:o> .\n").lines(wanted).values()) == {2}


@pytest.mark.parametrize(
    "text",
    [
        f"<urn:s> <urn:p> '''{'x' * 600_000}\n{'x' * 600_000}''' .",
        f"@prefix x: <urn:{'x' * 600_000}> .\n<urn:s> <urn:p> x:{'x' * 600_000} .",
    ],
    ids=["over several lines", "by its prefix"],
)
def test_a_term_of_turtle_that_is_longer_than_its_line_is_refused_too(text: str) -> None:
    with pytest.raises(BadData, match="A term has more than 1,000,000 characters"):
        list(document(text).quads())


def test_blank_nodes_of_other_subjects_count() -> None:
    file = document("<urn:b> <urn:p> _:x .\n<urn:a> <urn:p> _:y .\n", "ntriples")
    _, (line, quad) = file.numbered()
    wanted = (str(quad.subject), str(quad.predicate), str(quad.object))
    assert file.lines({wanted}) == {wanted: line}


@pytest.mark.parametrize("size", range(1, 40))
def test_no_part_of_a_wanted_line_is_left_out_however_it_is_cut(size: int) -> None:
    wanted, other = b"<urn:a> <urn:p> <urn:o> .\n", b"<urn:b> <urn:p> <urn:o> .\n"
    reader = _LinesOf(BytesIO(wanted + other + wanted), frozenset((b"<urn:a>",)))
    text = b"".join(iter(lambda: reader.read(size), b""))
    assert text.replace(other, b"") == 2 * wanted
    assert (other in text) == (size < len(other))


@pytest.mark.parametrize("form", ["rdfxml", "jsonld"])
def test_formats_without_lines_have_none(form: str) -> None:
    assert document(SAME[form], form).lines({("<urn:s>", "<urn:p>", "<urn:o>")}) == {}


#: A mistake in each format, with its line if the parser can tell.
BROKEN = {
    "turtle": ("<urn:a> <urn:p> 1 .\n\n<urn:a> urn:p 1 .\n", 3),
    "ntriples": ('<urn:a> <urn:p> "1" .\n<urn:a> "p" <urn:o> .\n', 2),
    "trig": ("<urn:g> {\n <urn:a> <urn:p>\n <urn:o> ] }", 3),
    "nquads": ("<urn:a> <urn:p> <urn:o> <urn:g> .\n<urn:a> <urn:p> <urn:o> <urn:g> <urn:h> .\n", 2),
    "rdfxml": ('<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">\n<a:b/>\n</rdf:RDF>', None),
    "jsonld": ('{\n"@id": "urn:s",\n"urn:p": }', 3),
}


@pytest.mark.parametrize("form", BROKEN)
def test_syntax_error_names_the_file_and_the_line(form: str) -> None:
    text, line = BROKEN[form]
    error = failure(text, form)
    assert error.file == f"test.{form}"
    assert error.line == line or line is None
    assert str(error).startswith(f"test.{form}:{line}: " if line else f"test.{form}:")
    assert "line " not in error.message


def test_open_string_at_the_end_of_the_file_is_an_error_with_a_line() -> None:
    assert failure("<urn:a> <urn:p> 1 .\n<urn:a> <urn:p> '''open\n\n").line in (2, 3, 4)


@pytest.mark.parametrize("data", ["<urn:a> <urn:p> 'é' .".encode("latin-1"), b"\xff\xfe<\0u\0r\0n\0", b"\x00\x01"])
@pytest.mark.parametrize("form", ["turtle", "ntriples", "trig", "nquads", "jsonld", "rdfxml"])
def test_file_that_is_not_utf_8_is_an_error_of_the_file(data: bytes, form: str) -> None:
    assert failure(data, form).file == f"test.{form}"


@pytest.mark.parametrize(
    "head",
    [
        "<!DOCTYPE rdf:RDF [<!ENTITY a 'aaaa'>]>",
        "<?xml version='1.0'?>\n<!DOCTYPE x SYSTEM 'file:///x'>",
    ],
)
def test_doctype_is_refused(head: str) -> None:
    """Entities let a few bytes grow to gigabytes, and name local files."""
    assert "A DOCTYPE is not allowed." in str(failure(head + SAME["rdfxml"], "rdfxml"))
    wide = (head + SAME["rdfxml"]).encode("utf-16")
    assert "test.rdfxml" in str(failure(wide, "rdfxml"))


def test_word_doctype_is_no_matter_in_other_formats() -> None:
    assert len(list(document("<urn:s> <urn:p> '<!DOCTYPE x>' .").quads())) == 1


@pytest.mark.parametrize("text", ["<urn:s> <urn:p> <<( <urn:a> <urn:b> 1 )>> .", "<< <urn:a> <urn:b> 1 >> <urn:p> 2 ."])
def test_triple_terms_are_refused(text: str) -> None:
    error = failure("\n" + text)
    assert "Triple terms (RDF 1.2) are not taken: name the statement with an IRI of its own." in str(error)


@pytest.mark.parametrize("context", ['"http://127.0.0.1:1/c"', '"file:///etc/hostname"', '["http://127.0.0.1:1/c"]'])
def test_remote_context_of_json_ld_is_not_fetched(context: str) -> None:
    text = f'{{"@context": {context}, "@id": "urn:s", "name": "x"}}'
    assert "context" in str(failure(text, "jsonld")).lower()


def admitted(file: Document, known: set[str]) -> list[ox.Quad]:
    return list(Admission(known).admit(file.numbered(), file.name))


KNOWN = {TRADE + name for name in ("Tariff", "Concession", "targets", "percent")}


@pytest.mark.parametrize(
    ("fact", "message"),
    [
        ("<urn:s> trade:target 1 .", "trade:target is not a term of the ontology. Did you mean trade:targets?"),
        ("<urn:s> a trade:Tarif .", "trade:Tarif is not a term of the ontology. Did you mean trade:Tariff?"),
        ("<urn:s> trade:zzz 1 .", "trade:zzz is not a term of the ontology. See /ontology for its terms."),
    ],
)
def test_unknown_term_is_refused_with_the_nearest(fact: str, message: str) -> None:
    text = turtle("<urn:s> trade:percent 1 .\n" + fact, head="")
    with pytest.raises(BadData) as caught:
        admitted(document(text), KNOWN)
    assert str(caught.value) == f"test.turtle:{len(PREFIXES) + 2}: {message}"


def test_terms_of_others_and_iris_as_values_are_not_checked() -> None:
    text = turtle("<urn:s> a <urn:Any> ; <urn:p> trade:nonsense ; trade:targets trade:nonsense .", head="")
    admitted(document(text), KNOWN)


def test_shipped_facts_use_known_terms_only() -> None:
    known = vocabulary(CONTENT)
    for graph, path in CONTENT.facts.items():
        file = Document.from_file(path, graph)
        assert list(Admission(known).admit(file.numbered(), file.name))


@pytest.mark.parametrize(
    "axiom",
    [
        "trade:Rate rdfs:subClassOf trade:Tariff .",
        "<urn:A> rdfs:subClassOf <urn:B> .",
        "country:JP owl:sameAs country:US .",
        "trade:covers a owl:FunctionalProperty .",
        "<urn:p> a owl:TransitiveProperty .",
        '<urn:p> rdfs:label "x"@en ; owl:inverseOf trade:covers .',
    ],
)
def test_axioms_of_a_source_are_refused(axiom: str) -> None:
    """They would change what follows from the facts of all other sources."""
    with pytest.raises(BadData, match=r"a source states facts|A source cannot declare"):
        admitted(document(turtle(axiom, head="")), KNOWN | {TRADE + "covers"})


@pytest.mark.parametrize("length", [1_000, 8_000, 100_000, 1_000_000])
@pytest.mark.parametrize("form", ["turtle", "nquads"])
def test_long_line_is_read_whole(form: str, length: int) -> None:
    text = "<urn:s> <urn:p> '{}' ." if form == "turtle" else '<urn:s> <urn:p> "{}" .'
    ((line, quad),) = document(text.format("x" * length), form).numbered()
    assert (line, len(quad.object.value)) == (1, length)  # type: ignore[union-attr]


def test_packed_file_is_read_like_a_plain_one(tmp_path: Path) -> None:
    (tmp_path / "note.ttl.gz").write_bytes(gzip.compress(b"<> <urn:p> 1 ."))
    file = Document.from_file(tmp_path / "note.ttl.gz")
    assert (file.graph, len(list(file.quads()))) == (SOURCE + "note", 1)


@pytest.mark.parametrize(
    "data", [b"not packed", gzip.compress(b"<> <urn:p> 1 ." * 99, mtime=0)[:-20]], ids=["not packed", "cut off"]
)
def test_damaged_packed_file_is_one_clear_error(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "note.ttl.gz").write_bytes(data)
    with pytest.raises(BadData, match=r"note\.ttl\.gz: The file cannot be read"):
        list(Document.from_file(tmp_path / "note.ttl.gz").quads())


def test_file_that_unpacks_to_more_than_the_limit_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kg.parsing.MAX_UNPACKED", 1 << 20)
    with gzip.open(tmp_path / "bomb.ttl.gz", "wb") as file:
        for _ in range(64):
            file.write(b"#" * 65_535 + b"\n")
    with pytest.raises(BadData, match="It unpacks to more than"):
        list(Document.from_file(tmp_path / "bomb.ttl.gz").quads())


def test_xml_that_is_malformed_is_named_with_its_line() -> None:
    assert str(failure("<a>\n<b>\n</a>", "rdfxml")) == "test.rdfxml:3: The XML does not parse: mismatched tag."


def test_xml_elements_nested_too_deep_are_refused() -> None:
    text = '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns:u="urn:">' + "<u:a><u:b>" * 300
    assert "More than 500 elements are nested. Flatten it." in str(failure(text, "rdfxml"))
