"""Updates, held against what the engine makes of the same text: the facts after it, and what came and went."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pyoxigraph as ox
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kg.draft import Draft
from kg.errors import BadQuery, BadRequest
from kg.operations import EVERYTHING, Using
from kg.terms import SKOLEM
from kg.updating import apply_update
from tests.updates import PROLOGUE, SPACE, Bench, bench, brief


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with bench(tmp_path_factory.mktemp("updating") / "bare", bare=True) as made:
        yield made


@pytest.fixture
def empty(bare: Bench) -> Bench:
    bare.hold(())
    return bare


def in_graph(draft: Draft, graph: str) -> set[ox.Quad]:
    return set(draft.store.quads_for_pattern(None, None, None, ox.NamedNode(graph)))


# --- against the engine ---------------------------------------------------------------------------------------------

#: Facts that each example begins with beside those it draws.
SOME_DATA = ":a :p :b . :b :q 1 . GRAPH g:1 { :a :p 2 , 'x' . :b :p :a } GRAPH g:2 { :a :p :b . :b :q 'x'@en }"
GRAPHS = ("g:1", "g:2", "g:3")
nodes = st.sampled_from([":a", ":b", "<#c>", ":d.e.f"])
values = st.one_of(
    nodes,
    st.sampled_from(["1", "01", "2.50", "true", "'x'@en", "'a ; b } c { # d'", '"""it\'s\n"}"""', "'\\u0061\\';'"]),
)
predicates = st.sampled_from([":p", ":q", "a"])
triples = st.builds("{} {} {} .".format, nodes, predicates, values)
graph_names = st.sampled_from(GRAPHS)
spaces = st.sampled_from([" ", "\n", " # a comment ; with } and {\n", "\t"])


def in_graphs(body: st.SearchStrategy[str], names: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Blocks of quads, some of them in graphs."""
    part = st.one_of(body, st.builds("GRAPH {}{}{{ {} }}".format, names, spaces, body))
    return st.lists(part, max_size=3).map(" ".join)


blocks = in_graphs(triples, graph_names)
variables = st.sampled_from(["?s", "?p", "?o", "$g", "?none"])
holes = st.builds(
    "{} {} {} .".format, st.one_of(nodes, variables), st.one_of(predicates, variables), values | variables
)
templates = in_graphs(holes, graph_names | st.just("?g"))
patterns = st.sampled_from(
    [
        "?s ?p ?o",
        "GRAPH ?g { ?s ?p ?o }",
        "?s ?p ?o . GRAPH ?g { ?s ?q ?x }",
        "{ ?s :p ?o } UNION { GRAPH g:1 { ?s ?p ?o } }",
        "?s :p ?o OPTIONAL { GRAPH ?g { ?o ?p ?s } }",
        "?s ?p ?o FILTER(isLiteral(?o) && ?o <2 || STR(?o) = '}')",
        "?s ?p ?o FILTER NOT EXISTS { GRAPH g:2 { ?s ?p ?o } }",
        "VALUES (?s ?p ?o ?g) { (:a :p 3 g:2) ('no subject' :q :b g:1) (:b UNDEF :c g:3) }",
        "SELECT ?s (:q AS ?p) (COUNT(*) AS ?o) { ?s ?any ?thing } GROUP BY ?s",
        "GRAPH ?g { ?s ?p ?n } BIND(STRDT('02.50', <http://www.w3.org/2001/XMLSchema#decimal>) AS ?o)",
        "",
    ]
)
using = st.one_of(
    st.just(""),
    st.builds("USING {} ".format, graph_names),
    st.builds("USING NAMED {} ".format, graph_names),
    st.builds("USING {} USING NAMED {} USING {} ".format, graph_names, graph_names, graph_names),
)
with_graph = st.one_of(st.just(""), st.builds("WITH {} ".format, graph_names))
pairs = st.one_of(
    st.builds("DELETE {{ {} }} INSERT {{ {} }}".format, templates, templates),
    st.builds("DELETE {{ {} }}".format, templates),
    st.builds("insert {{ {} }}".format, templates),
)
either = st.one_of(st.just("DEFAULT"), graph_names, st.builds("GRAPH {}".format, graph_names))
modifications = st.builds("{}{}{}{}WHERE {{ {} }}".format, with_graph, pairs, spaces, using, patterns)
operations = st.one_of(
    modifications,
    modifications,
    st.builds("INSERT DATA{}{{ {} }}".format, spaces, blocks),
    st.builds("DELETE DATA {{ {} }}".format, blocks),
    st.builds("DELETE WHERE {{ {} }}".format, in_graphs(holes, graph_names | st.just("?g"))),
    modifications,
    st.builds(
        "{} SILENT {}".format,
        st.sampled_from(["CLEAR", "DROP"]),
        st.one_of(st.sampled_from(["DEFAULT", "NAMED", "all"]), st.builds("GRAPH {}".format, graph_names)),
    ),
    st.builds("CREATE SILENT GRAPH {}".format, graph_names),
    st.builds("{} {} TO {}".format, st.sampled_from(["COPY", "MOVE", "ADD"]), either, either),
)


def source_is_there(store: ox.Store, operation: str) -> bool:
    """Whether the graph that an operation takes facts from holds any; the engine minds less than we do."""
    words = operation.split()
    name = words[2] if words[1] == "GRAPH" else words[1]
    return (
        words[0] not in ("COPY", "MOVE", "ADD")
        or name == "DEFAULT"
        or bool(store.query(f"{PROLOGUE}ASK {{ GRAPH {name} {{ ?s ?p ?o }} }}"))
    )


@settings(max_examples=300, deadline=None)
@given(data=blocks, drawn=st.lists(operations, min_size=1, max_size=4), separator=spaces.map("{};".format))
def test_bare_store_holds_what_the_engine_makes_of_an_update(
    bare: Bench, data: str, drawn: list[str], separator: str
) -> None:
    engine, kept = ox.Store(), []
    engine.update(f"{PROLOGUE}INSERT DATA {{ {SOME_DATA} {data} }}".replace(":d.e.f", ":d\\.e\\.f"))
    before = set(engine)
    for operation in drawn:
        if source_is_there(engine, operation):
            engine.update(PROLOGUE + operation.replace(":d.e.f", ":d\\.e\\.f"))
            kept.append(operation)
    bare.hold(before)
    bare.update(separator.join(kept) or "INSERT DATA {}")
    after, draft = set(bare.draft.store), bare.draft
    assert after == set(engine)
    assert (draft.added, draft.removed) == (after - before, before - after)


# --- single cases ---------------------------------------------------------------------------------------------------


def test_each_operation_sees_what_those_before_it_left(empty: Bench) -> None:
    text = "INSERT DATA { :a :p 1 } ; INSERT { :a :q ?o } WHERE { :a :p ?o } ; DELETE WHERE { ?s :p ?o }"
    assert empty.update(text) == ['<a> <q> "1"']
    assert [brief(quad) for quad in empty.draft.added] == ['<a> <q> "1"']


def test_what_is_deleted_and_inserted_at_once_stays_and_is_no_change(empty: Bench) -> None:
    empty.update("INSERT DATA { :a :p 1 , 2 }")
    empty.draft.added.clear()
    assert empty.update("DELETE { ?s :p ?o } INSERT { ?s :p 1 } WHERE { ?s :p ?o }") == ['<a> <p> "1"']
    assert (empty.draft.added, [brief(quad) for quad in empty.draft.removed]) == (set(), ['<a> <p> "2"'])


def test_a_prologue_stands_before_any_operation_and_holds_from_there_on(empty: Bench) -> None:
    text = """INSERT DATA { :a p:p <r> } ;
        PREFIX : <urn:other#> BASE <http://y.example/a/> # ; not here
        INSERT DATA { :a p:p <r> } ; BASE <b/>
        INSERT DATA { p:x p:p <r> } ; PREFIX last: <urn:last>"""
    expected = ["<#a> <urn:p#p> <r>", "<urn:other#a> <urn:p#p> <http://y.example/a/r>"]
    expected.append("<urn:p#x> <urn:p#p> <http://y.example/a/b/r>")
    assert empty.update("PREFIX p: <urn:p#> " + text) == sorted(line.replace("<#", "<") for line in expected)


def test_semicolons_and_braces_in_strings_comments_and_iris_part_nothing(empty: Bench) -> None:
    text = """# ; INSERT DATA { :no :no 0 }
        INSERT DATA { :a :p 'x ; } {', \"\"\"}';{\"\"\" , <urn:a;b#c> } # } ; {
        ;# { INSERT DATA { :no :no 0 } ;
        DELETE{?s :p ?o}WHERE{ ?s :p ?o FILTER(?o = '}\\'};')# }
        }"""
    assert empty.update(text) == ['<a> <p> "x ; } {"', '<a> <p> "}\';{"', "<a> <p> <urn:a;b#c>"]


def test_names_with_several_dots_need_no_escapes(empty: Bench) -> None:
    text = "INSERT DATA { :8703.23.01 a :b } ; INSERT { ?s :p :8703.23.01. } WHERE { ?s a :b }"
    assert "<8703.23.01> <p> <8703.23.01>" in empty.update(text)


def test_an_iri_that_looks_like_a_placeholder_is_none(empty: Bench) -> None:
    text = "INSERT { ?s :p <urn:parley:s> , '?s' } WHERE { VALUES ?s { :a } } # ?s"
    assert empty.update(text) == ['<a> <p> "?s"', "<a> <p> <urn:parley:s>"]


def test_instances_that_are_no_quads_are_left_out(empty: Bench) -> None:
    text = """INSERT { ?v :p 1 . :a ?v 2 ; :p ?v , ?none ; ?node 4 . GRAPH ?v { :a :p 3 } GRAPH ?node { :a :p 5 } }
        WHERE { { VALUES ?v { 'text' :i } } UNION { BIND(BNODE() AS ?node) } OPTIONAL { ?v :nothing ?none } }"""
    assert empty.update(text) == [
        "<a> <i> \"2\"", '<a> <p> "3" <i>', '<a> <p> "text"', "<a> <p> <i>", '<i> <p> "1"',
    ]  # fmt: skip


def nodes_of(quads: Iterable[ox.Quad]) -> list[str]:
    return sorted({str(quad.subject) for quad in quads})


def test_blank_nodes_become_iris(empty: Bench) -> None:
    empty.update("INSERT DATA { _:x :p [ :q (1 2) ] . GRAPH g:1 { _:x :p 3 } }")
    assert all(node.startswith(f"<{SKOLEM}") for node in nodes_of(empty.draft.store))
    assert len(nodes_of(empty.draft.store)) == 4
    (named,) = in_graph(empty.draft, f"{SPACE}g/1")
    assert len(list(empty.draft.store.quads_for_pattern(named.subject, None, None))) == 2


def test_each_solution_and_each_operation_has_blank_nodes_of_its_own(empty: Bench) -> None:
    insert = "INSERT { _:x :p ?v ; :q _:x , ?b } WHERE { VALUES ?v { 1 2 } BIND(BNODE() AS ?b) }"
    empty.update(f"{insert} ; {insert}")
    assert len(nodes_of(empty.draft.store)) == 4
    own = [quad for quad in empty.draft.store if quad.object == quad.subject]
    assert len(own) == 4
    other = {quad.object for quad in empty.draft.store if quad.predicate.value.endswith("q")} - {q.subject for q in own}
    assert len(other) == 4


def test_blank_nodes_have_the_same_iris_each_time_on_the_same_version(empty: Bench) -> None:
    text = "INSERT DATA { [] :p (1 [] [ :q _:x ]) , _:x } ; INSERT { [] :p ?v } WHERE { VALUES ?v { 1 2 } }"
    first = empty.update(text)
    empty.hold(())
    assert empty.update(text) == first
    assert len(empty.update(text + " # another")) == 2 * len(first)


@pytest.mark.parametrize(
    ("using", "expected"),
    [
        (Using((f"{SPACE}g/1",)), ["1"]),
        (Using((f"{SPACE}g/1", f"{SPACE}g/2")), ["1", "2"]),
        (Using((), (f"{SPACE}g/2",)), ["named 2"]),
        (Using((f"{SPACE}g/1",), (f"{SPACE}g/2",)), ["1", "named 2"]),
        (EVERYTHING, ["0", "named 1", "named 2"]),
    ],
)
def test_dataset_of_the_request_is_what_patterns_see(empty: Bench, using: Using, expected: list[str]) -> None:
    empty.update("INSERT DATA { :a :v 0 GRAPH g:1 { :a :v 1 } GRAPH g:2 { :a :v 2 } }")
    named = "GRAPH ?g { ?s :v ?v } BIND(CONCAT('named ', STR(?v)) AS ?seen)"
    pattern = f"{{ ?s :v ?v BIND(STR(?v) AS ?seen) }} UNION {{ {named} }}"
    empty.update(f"INSERT {{ :x :saw ?seen }} WHERE {{ {pattern} }}", using)
    seen = empty.draft.store.quads_for_pattern(ox.NamedNode(f"{SPACE}#x"), None, None)
    assert sorted(str(getattr(quad.object, "value", "")) for quad in seen) == expected


@pytest.mark.parametrize(
    ("clauses", "expected"),
    [
        ("WITH g:1 INSERT { :x :saw ?v } WHERE", '<x> <saw> "1" <g/1>'),
        ("WITH g:1 INSERT { :x :saw ?v } USING g:2 WHERE", '<x> <saw> "2" <g/1>'),
        ("WITH g:1 INSERT { GRAPH g:2 { :x :saw ?v } } WHERE", '<x> <saw> "1" <g/2>'),
        ("INSERT { :x :saw ?v } USING g:2 WHERE", '<x> <saw> "2"'),
        ("INSERT { :x :saw ?v } WHERE", '<x> <saw> "0"'),
    ],
)
def test_with_names_the_graph_of_patterns_and_templates_and_using_that_of_patterns(
    empty: Bench, clauses: str, expected: str
) -> None:
    empty.update("INSERT DATA { :a :v 0 GRAPH g:1 { :a :v 1 } GRAPH g:2 { :a :v 2 } }")
    assert [quad for quad in empty.update(clauses + "{ :a :v ?v }") if quad.startswith("<x>")] == [expected]


def test_dataset_of_the_request_holds_for_a_pattern_that_is_its_template(empty: Bench) -> None:
    empty.update("INSERT DATA { :a :p 0 . :a :p 1 GRAPH g:1 { :a :p 1 } }")
    assert empty.update("DELETE WHERE { ?s ?p ?o }", Using((f"{SPACE}g/1",))) == ['<a> <p> "0"', '<a> <p> "1" <g/1>']


@pytest.mark.parametrize("clause", ["USING g:1 ", "USING NAMED g:1 "])
def test_a_dataset_both_with_the_request_and_in_the_text_is_refused(empty: Bench, clause: str) -> None:
    for text in (f"INSERT {{ :a :p 1 }} {clause} WHERE {{}}", "WITH g:1 INSERT { :a :p 1 } WHERE {}"):
        with pytest.raises(BadRequest, match="given with the request and in the text"):
            empty.update(text, Using((), (f"{SPACE}g/2",)))


def test_relative_iris_need_a_base(empty: Bench) -> None:
    with pytest.raises(BadQuery, match="does not parse"):
        apply_update(empty.draft, "INSERT DATA { <a> <b> 1 }", bare=True)
    apply_update(empty.draft, "INSERT DATA { <a> <b> 1 } ; CLEAR GRAPH <a>", bare=True, base=f"{SPACE}update")
    assert empty.quads == ['<a> <b> "1"']
    with pytest.raises(BadQuery, match="cannot be evaluated"):
        apply_update(empty.draft, "CLEAR GRAPH <a>", bare=True, base="no base")
