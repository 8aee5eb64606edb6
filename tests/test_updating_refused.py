"""Updates that are not applied, and what they say; the graphs that an update may write to."""

from __future__ import annotations

from collections.abc import Iterator

import pyoxigraph as ox
import pytest

from kg.errors import BadQuery, BadRequest
from kg.terms import ENTAILED_GRAPH, HISTORY_GRAPH, ONTOLOGY_GRAPH, OVERRULED_GRAPH
from tests.updates import PROLOGUE, SPACE, Bench, bench


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with bench(tmp_path_factory.mktemp("updating") / "bare", bare=True) as made:
        yield made


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """That of a store that keeps its default graph itself."""
    with bench(tmp_path_factory.mktemp("updating") / "kept", bare=False) as made:
        yield made


@pytest.fixture
def empty(bare: Bench) -> Bench:
    bare.hold(())
    return bare


REFUSED = {
    "SELECT * { ?s ?p ?o }": "This is a query \\(SELECT\\), not an update",
    "": "This is no SPARQL update",
    "# INSERT DATA {}": "This is no SPARQL update",
    "INSERTDATA { :a :p 1 }": "This is no SPARQL update",
    "CLEAR ALL ; INSERTDATA { :a :p 1 }": "'INSERTDATA' begins no operation",
    "CLEAR ALL ; ; CLEAR ALL ; nonsense": "'nonsense' begins no operation",
    "DELETE { ?s ?p ?o } USINGNAMED g:1 WHERE { ?s ?p ?o }": "run into each other",
    "CLEARSILENT GRAPH g:1 ; CLEAR ALL": "'CLEARSILENT' begins no operation",
    "CLEAR SILENTALL": "run into each other",
    "INSERT { :a :p ?x } WHERE { SERVICE <urn:x> { ?x ?y ?z } }": "SERVICE calls other servers",
    f"INSERT {{ :a :p ?x }} WHERE {{ BIND('{'x' * 600_000}' AS ?h) BIND(CONCAT(?h, ?h) AS ?x) }}": "1,000,000",
    "LOAD <file:///etc/passwd>": "LOAD fetches documents",
    "CLEAR ALL ; LOAD SILENT <file:///etc/passwd> INTO GRAPH g:1": "LOAD fetches documents",
    "CLEAR ALL ; LOADg:x": "LOAD fetches documents",
    "CLEAR ALL } ; LOADg:x": "LOAD fetches documents",
    "INSERT DATA { :a :p 1": "The update does not parse",
    "INSERT DATA { :a :p ?v }": "Variables are not allowed",
    "DELETE DATA { _:a :p 1 }": "blank nodes are not allowed",
    "DELETE { [] :p 1 } WHERE {}": "does not parse: error at 2:",
    "DELETE WHERE { [] :p 1 }": "Blank nodes are not allowed",
    "INSERT DATA { :a :p ' }": "does not parse",
    "PREFIX x: <no good> CLEAR ALL": "A PREFIX or BASE cannot be read",
    "PREFIX x: <%> CLEAR ALL": "does not parse: in a PREFIX or BASE",
    "INSERT { :a :p ?x } WHERE { BIND(<urn:f>(1) AS ?x) }": "cannot be evaluated: The custom function <urn:f>",
    "INSERT { 'x' :p 1 } WHERE {}": "A template of the update holds no quads",
    "INSERT DATA { :a :p <<( :a :p 1 )>> }": "Triple terms",
    "INSERT { :a :p ?t } WHERE { BIND(TRIPLE(:a, :p, 1) AS ?t) }": "Triple terms",
    "INSERT DATA { _:x :p 1 } ; INSERT DATA { _:x :p 2 }": "_:x stands in two operations",
    "CREATE GRAPH g:1": f"There is a graph {SPACE}g/1 already",
    "COPY g:none TO g:1": f"There is no graph {SPACE}g/none",
    "MOVE GRAPH g:none TO DEFAULT": f"There is no graph {SPACE}g/none",
    "ADD g:none TO g:none": f"There is no graph {SPACE}g/none",
}


@pytest.mark.parametrize("text", REFUSED)
def test_what_cannot_be_applied_is_refused_and_says_why(empty: Bench, text: str) -> None:
    empty.update("INSERT DATA { GRAPH g:1 { :a :p 1 } }")
    with pytest.raises(BadRequest, match=REFUSED[text]):
        empty.update(text)


@pytest.mark.parametrize(
    "text",
    [
        "CLEAR XYZ",
        "CLEAR ALL ;\n\n  INSERT DATA { :a :p }",
        "CLEAR ALL ; INSERT DATA { :a :p } ; CLEAR ALL",
        "CLEAR ALL ; INSERT DATA {\n :a :p 1 } ;\r\n\tDELETE { ?s ?p ?o } WHERE { ?s é }",
    ],
)
def test_error_in_any_operation_is_placed_where_the_engine_finds_it_in_the_whole(empty: Bench, text: str) -> None:
    with pytest.raises(SyntaxError) as of_engine:
        ox.Store().update(PROLOGUE + text)
    with pytest.raises(BadQuery) as refusal:
        empty.update(text)
    assert refusal.value.message == f"The update does not parse: {of_engine.value.msg}."


@pytest.mark.parametrize("text", ["CREATE SILENT GRAPH g:1", "COPY SILENT g:none TO g:1", "MOVE SILENT g:none TO g:1"])
def test_silent_operations_without_anything_to_work_on_change_nothing(empty: Bench, text: str) -> None:
    empty.update("INSERT DATA { GRAPH g:1 { :a :p 1 } }")
    assert empty.update(text) == ['<a> <p> "1" <g/1>']


def test_graphs_that_are_not_there_are_cleared_and_made_without_a_word(empty: Bench) -> None:
    assert empty.update("CREATE GRAPH g:1 ; CLEAR GRAPH g:1 ; DROP GRAPH g:1 ; DROP ALL") == []
    assert list(empty.draft.store.named_graphs()) == []


# --- a store that keeps its default graph ---------------------------------------------------------------------------

#: Writes to the merge of all sources.
TO_THE_MERGE = [
    "INSERT DATA { :a :p 1 }",
    "DELETE DATA { :a :p 1 }",
    "DELETE WHERE { ?s ?p ?o }",
    "DELETE WHERE { ?s ?p ?o . GRAPH g:1 { ?s ?p ?o } }",
    "INSERT { :a :p 1 } USING g:1 WHERE {}",
    "DELETE { :a :p 1 } WHERE { GRAPH g:1 { ?s ?p ?o } }",
    "CLEAR DEFAULT",
    "DROP SILENT DEFAULT",
    "COPY g:1 TO DEFAULT",
    "MOVE DEFAULT TO g:1",
    "ADD GRAPH g:1 TO DEFAULT",
    "INSERT DATA { GRAPH g:2 { :a :p 1 } } ; CLEAR DEFAULT",
]
FOREIGN = [
    "INSERT DATA { GRAPH <%s> { :a :p 1 } }",
    "DELETE DATA { GRAPH <%s> { :a :p 1 } }",
    "WITH <%s> DELETE { ?s ?p ?o } WHERE { ?s ?p ?o }",
    "DELETE WHERE { GRAPH <%s> { ?s ?p ?o } }",
    "INSERT { GRAPH ?g { :a :p 1 } } WHERE { VALUES ?g { <%s> } }",
    "DELETE { GRAPH ?g { :a :p 1 } } WHERE { VALUES ?g { <%s> } }",
    "CLEAR GRAPH <%s>",
    "CREATE GRAPH <%s>",
    "COPY g:1 TO <%s>",
    "MOVE <%s> TO g:1",
]
TRIPLE = (ox.NamedNode(f"{SPACE}#a"), ox.NamedNode(f"{SPACE}#p"), ox.Literal(1))
FACTS = [ox.Quad(*TRIPLE, ox.NamedNode(f"{SPACE}g/1"))]


@pytest.mark.parametrize("text", TO_THE_MERGE)
def test_the_merge_of_all_sources_is_not_written(kept: Bench, text: str) -> None:
    kept.hold(FACTS)
    with pytest.raises(BadRequest, match=r"The default graph is the merge of all sources. Name one: GRAPH <…>"):
        kept.update(text)
    assert kept.quads == ['<a> <p> "1"', '<a> <p> "1" <g/1>']


@pytest.mark.parametrize("text", ["CLEAR ALL", "CLEAR NAMED", "DROP SILENT ALL", "drop named"])
def test_all_graphs_at_once_are_not_cleared(kept: Bench, text: str) -> None:
    kept.hold(FACTS)
    with pytest.raises(BadRequest, match=r"would take the ontology too\. Name each source"):
        kept.update(text)
    assert kept.quads == ['<a> <p> "1"', '<a> <p> "1" <g/1>']


@pytest.mark.parametrize("text", FOREIGN)
@pytest.mark.parametrize(
    "graph", [ENTAILED_GRAPH, OVERRULED_GRAPH, HISTORY_GRAPH, ONTOLOGY_GRAPH, f"{ONTOLOGY_GRAPH}/schemes"]
)
def test_graphs_that_are_not_the_users_are_not_written(kept: Bench, graph: str, text: str) -> None:
    kept.hold(FACTS)
    with pytest.raises(BadRequest, match=f"The graph {graph} is not written by hand"):
        kept.update(text % graph)
    assert kept.quads == ['<a> <p> "1"', '<a> <p> "1" <g/1>']


def test_a_variable_graph_that_takes_too_many_is_told_how_to_take_less(kept: Bench) -> None:
    kept.hold([*FACTS, ox.Quad(*TRIPLE, ox.NamedNode(ENTAILED_GRAPH))])
    delete = "DELETE WHERE { GRAPH ?g { :a ?p ?o } }"
    with pytest.raises(BadRequest, match=r"FILTER\(STRSTARTS\(STR\(\?g\), STR\(source:\)\)\)"):
        kept.update(delete)
    narrow = "DELETE { GRAPH ?g { :a ?p ?o } } WHERE { GRAPH ?g { :a ?p ?o } FILTER(STRSTARTS(STR(?g), STR(g:))) }"
    assert kept.update(narrow) == ['<a> <p> "1"', f'<a> <p> "1" <{ENTAILED_GRAPH}>']


def test_patterns_see_the_merge_and_the_merge_follows_the_sources(kept: Bench) -> None:
    kept.hold([*FACTS, ox.Quad(*TRIPLE, ox.NamedNode(f"{SPACE}g/2"))])
    kept.update("INSERT { GRAPH g:3 { ?s :count ?n } } WHERE { SELECT ?s (COUNT(*) AS ?n) { ?s :p ?o } GROUP BY ?s }")
    assert '<a> <count> "1" <g/3>' in kept.quads
    assert '<a> <count> "1"' in kept.quads
    kept.update("DELETE DATA { GRAPH g:1 { :a :p 1 } }")
    assert '<a> <p> "1"' in kept.quads
    kept.update("WITH g:2 DELETE { ?s :p ?o } WHERE { ?s :p ?o }")
    assert kept.quads == ['<a> <count> "1"', '<a> <count> "1" <g/3>']
    assert all(isinstance(quad.graph_name, ox.NamedNode) for quad in kept.draft.added | kept.draft.removed)


def test_graphs_of_the_user_are_copied_moved_and_cleared(kept: Bench) -> None:
    kept.hold(FACTS)
    text = "COPY g:1 TO g:2 ; MOVE g:1 TO g:3 ; ADD g:2 TO g:3 ; CLEAR GRAPH g:2"
    assert kept.update(text) == ['<a> <p> "1"', '<a> <p> "1" <g/3>']
