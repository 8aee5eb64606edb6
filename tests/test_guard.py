"""What SPARQL text may be, held against what the engine's parser makes of it."""

from __future__ import annotations

import pyoxigraph as ox
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kg.errors import BadQuery
from kg.evaluation import Question, in_deep_thread
from kg.guard import MAX_DEPTH, MAX_LENGTH, MAX_TOKENS, check_query, check_update, with_escaped_dots

#: A server that nobody listens at. An engine that evaluates a SERVICE pattern fails at it at once.
NOWHERE = "http://127.0.0.1:1/"
CALL = f"SERVICE <{NOWHERE}> {{ ?s ?p ?o }}"


def reaches_out(text: str) -> bool:
    """Whether the engine calls another server for a text that it can parse."""
    store = ox.Store()
    store.add(ox.Quad(ox.NamedNode("urn:s"), ox.NamedNode("urn:p"), ox.Literal("o")))
    try:
        answer = store.query(text)
        if not isinstance(answer, ox.QueryBoolean):
            list(answer)
    except OSError:
        return True
    except RuntimeError as error:
        assert "127.0.0.1" in str(error) or "service" in str(error).lower(), error
        return True
    return False


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("SELECT * { ?s ?p ?o }", "SELECT"),
        ("select * { ?s ?p ?o }", "SELECT"),
        ("ASK { ?s ?p ?o }", "ASK"),
        ("CONSTRUCT WHERE { ?s ?p ?o }", "CONSTRUCT"),
        ("DESCRIBE <urn:x>", "DESCRIBE"),
        ("BASE <urn:x> PREFIX select: <urn:ask> # INSERT\nASK { ?s select:x 1 }", "ASK"),
        ("PREFIX insert: <urn:insert#> SELECT ?delete { ?delete insert:load 'drop' }", "SELECT"),
        ("PREFIX : <urn:#> ASK { :a :b :c }", "ASK"),
    ],
)
def test_form_is_that_of_the_first_query_keyword(text: str, form: str) -> None:
    assert check_query(text).form == form


@pytest.mark.parametrize(
    "text",
    [
        "INSERT DATA { <urn:a> <urn:b> <urn:c> }",
        "DELETE WHERE { ?s ?p ?o }",
        "WITH <urn:g> DELETE { ?s ?p ?o } WHERE { ?s ?p ?o }",
        "CLEAR ALL",
        "drop graph <urn:g>",
        "CREATE GRAPH <urn:g>",
        "COPY DEFAULT TO <urn:g>",
        "MOVE <urn:g> TO <urn:h>",
        "ADD <urn:g> TO <urn:h>",
        "PREFIX a: <urn:a> INSERT { ?s ?p 1 } WHERE { SELECT * { ?s ?p ?o } }",
    ],
)
def test_update_is_refused(text: str) -> None:
    with pytest.raises(BadQuery, match="This is an update"):
        check_query(text)


@pytest.mark.parametrize(
    "text",
    [
        "INSERT DATA { <urn:a> <urn:b> 'LOAD' }",
        "PREFIX load: <urn:l> with load:SERVICE delete { ?s ?p ?o } where { ?s ?p ?o }",
        "# SELECT\nCLEAR GRAPH <urn:LOAD>",
        "PREFIX load: <urn:l> COPY load:a TO load:b ; INSERT DATA { load:a a load:b . load:c a 1 }",
        "INSERT { ?s ?p ?o } WHERE { SELECT * { ?s ?p ?o } }",
    ],
)
def test_update_is_let_through_as_one(text: str) -> None:
    check_update(text)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("ASK {}", r"This is a query \(ASK\), not an update"),
        ("PREFIX insert: <urn:insert> # INSERT", "no SPARQL update"),
        (f"INSERT {{ ?s ?p ?o }} WHERE {{ {CALL} }}", "SERVICE calls other servers"),
        ("CLEAR ALL ; LOAD <file:///etc/passwd>", "LOAD fetches documents"),
        ("PREFIX p: <urn:p> LOADp:x", "LOAD fetches documents"),
        ("PREFIX p: <urn:p> CLEAR ALL;LOADSILENTp:x", "LOAD fetches documents"),
        ("PREFIX p: <urn:p> CLEAR ALL; LO\\u0041Dp:x", "LOAD fetches documents"),
        ("INSERT DATA { <urn:a> <urn:b> " + "[ <urn:b> " * MAX_DEPTH, "nests deeper"),
        ("INSERT DATA { " + "<urn:a> <urn:b> 1 . " * (MAX_TOKENS // 4) + "}", "more than 60,000 tokens"),
        ("CLEAR ALL #" + "x" * MAX_LENGTH, r"1,000,0\d\d characters"),
    ],
)
def test_text_that_is_no_update_to_be_taken_is_refused(text: str, reason: str) -> None:
    with pytest.raises(BadQuery, match=reason):
        check_update(text)


@pytest.mark.parametrize(
    "text",
    [
        "SELECT (NOW() AS ?now) {}",
        "SELECT * { BIND(rand() AS ?x) }",
        "SELECT * { FILTERRAND() }",
        "SELECT * { ?s ?p ?o } ORDER BYNOW()",
        "SELECT (UUID() AS ?x) (STRUUID() AS ?y) {}",
        "SELECT (struuid(# comment\n) AS ?y) {}",
        "SELECT * { BIND(BNODE() AS ?x) }",
        "SELECT * { FILTER(?o<?p && 1<RAND()) }",
        "SELECT * { FILTER(N\\u004FW() > ?o) }",
    ],
)
def test_function_that_may_answer_otherwise_each_time_makes_a_query_volatile(text: str) -> None:
    assert Question(text).volatile


@pytest.mark.parametrize(
    "text",
    [
        "SELECT * { ?s ?p 'NOW()', \"RAND()\", '''UUID()''' } # BNODE()",
        "PREFIX now: <urn:now#> SELECT ?RAND { ?RAND now:UUID <urn:BNODE()> }",
        "SELECT (STR(?o) AS ?x) { ?s ?p ?o FILTER(ABS(?o) > 1) }",
    ],
)
def test_query_whose_answer_follows_from_the_facts_is_not_volatile(text: str) -> None:
    assert not Question(text).volatile


@pytest.mark.parametrize("text", ["", "   ", "# SELECT * { ?s ?p ?o }", "PREFIX a: <urn:a>", "hello", "'SELECT'"])
def test_text_without_a_query_keyword_is_no_query(text: str) -> None:
    with pytest.raises(BadQuery, match="no SPARQL query"):
        check_query(text)


@pytest.mark.parametrize(
    "text",
    [
        f"SELECT * {{ {CALL} }}",
        f"SELECT * {{ {CALL.lower()} }}",
        "SELECT * { SeRvIcE SILENT <urn:x> {} }",
        "SELECT * { service?x{} }",
        "SELECT * { ?s ?p ?o.SERVICE<urn:x>{} }",
        "SELECT * { { SELECT * { OPTIONAL { SERVICE ?x { ?a ?b ?c } } } } }",
        "SELECT * { ?s ?p 1SERVICE <urn:x> {} }",
        "SELECT * { ?s ?p 1.5e3SERVICE <urn:x> {} }",
        "SELECT * { ?s ?p 1.SERVICE <urn:x> {} }",
        "SELECT * { ?s ?p 1e-5SERVICE <urn:x> {} }",
        "SELECT * { ?s ?p trueSERVICE <urn:x> {} }",
        "SELECT * { ?s ?p 'x'SERVICE <urn:x> {} }",
        "PREFIX p: <urn:p> SELECT * { ?s ?p p:.SERVICE <urn:x> {} }",
        "PREFIX p: <urn:p> SELECT * { ?s ?p p:a.b.SERVICE <urn:x> {} }",
        "PREFIX p: <urn:p> SELECT * { ?s ?p p:a.%41.SERVICE <urn:x> {} }",
        "SELECT * { SERVICESILENT<urn:x> {} }",
        "PREFIX : <urn:p> SELECT * { SERVICE:a { ?s ?p ?o } }",
        "PREFIX x: <urn:p> SELECT * { SERVICEx:a # comment\n{ ?s ?p ?o } }",
        "PREFIX x: <urn:p> SELECT * { ?s ?p trueservicesilentx:a{ ?s ?p ?o } }",
        "SELECT * { ?s ?p 'x'@en SERVICE <urn:x> {} }",
        "SELECT * { ?s ?p '''x''''' SERVICE <urn:x> {} }",
        "SELECT * { ?s ?p <urn:o># comment\nSERVICE <urn:x> {} }",
        "SELECT * { ?s ?p <urn:o># comment\rSERVICE <urn:x> {} }",
        "SELECT * { ?s ?p '\\'' . SERVICE <urn:x> {} # '\n}",
        'SELECT * { ?s ?p "\\\\" . SERVICE <urn:x> {} # "\n}',
        "SELECT * { FILTER(?a<?b) SERVICE <urn:x> {} FILTER(?a>?b) }",
        "SELECT * { FILTER(1 <2) SERVICE <urn:x> {} }",
        "SELECT * { FILTER NOT EXISTS { SERVICE <urn:x> {} } }",
        "SELECT * { ?s ?p ?o . \\u0053ERVICE <urn:x> {} }",
        "SELECT * { ?s ?p ?o . \\U00000053\\u0045RVICE <urn:x> {} }",
        "SELECT * { ?s ?p '\\u0027 . SERVICE <urn:x> {} # ' }",
        "SELECT * { ?s ?p <urn:o\\u003E SERVICE <urn:x> {} . ?s ?p <urn:o> }",
        "ASK {} ; LOAD <file:///etc/passwd>",
        "LOAD <http://example.org/>",
        "SELECT * { ?s ?p ?o } L\\u004FAD <urn:x>",
    ],
)
def test_keyword_that_reaches_out_is_refused(text: str) -> None:
    with pytest.raises(BadQuery, match="which is not allowed here"):
        check_query(text)


@pytest.mark.parametrize(
    "text",
    [
        f"SELECT * {{ ?s ?p ?a FILTER(?a<?b)SERVICE#>\n<{NOWHERE}> {{ ?x ?y ?z }} }}",
        f"SELECT * {{ ?s ?p ?a FILTER(?a<'>')SERVICE <{NOWHERE}> {{ ?x ?y ?z }} FILTER(?a='') }}",
        f"SELECT * {{ ?s ?p ?a FILTER(?a<?b#>'''\n)SERVICE <{NOWHERE}> {{ ?x ?y ?z }} }} #'''",
        f"PREFIX u: <urn:u> SELECT * {{ ?s ?p ?a FILTER(?a<u:x#>'''\n)SERVICE <{NOWHERE}> {{ ?x ?y ?z }} }} #'''",
        "SELECT * { ?s ?p ?a FILTER(?a<" + "(" * 1000 + "1>2" + ")" * 1000 + ") }",
    ],
)
def test_comparison_that_looks_like_an_iri_is_refused(text: str) -> None:
    """Otherwise the rest of the text could hide in what the guard takes for an IRI, or in a string after it."""
    with pytest.raises(BadQuery, match="may be an IRI or a comparison"):
        check_query(text)


@pytest.mark.parametrize(
    "text",
    [
        "BASE <urn:x> SELECT * { ?s <#p> <#o> FILTER(?s != <#s>) }",
        "SELECT * { VALUES (?s ?o) { (<http://example.org/#a> <http://example.org/it's>) } ?s ?p ?o }",
        "SELECT * { ?s ?p ?o FILTER(?o < 1 || ?o<2&&?o>1 || ?o IN (<#a>, <#b>)) }",
        "SELECT * { ?s ?p ?o FILTER(?o = '1'^^<http://www.w3.org/2001/XMLSchema#integer>) }",
        "SELECT * { ?s (<#a>|<#b>/^<#c>)+ ?o }",
        "SELECT * { ?s ?p ?o FILTER(" + " || ".join(["?o < 1"] * 2 * MAX_DEPTH) + ") }",
        "PREFIX service: <urn:s> SELECT * { GRAPH <urn:g> { ?s service:a service:b } }",
    ],
)
def test_clear_comparison_or_iri_is_let_through(text: str) -> None:
    assert check_query(text).form == "SELECT"
    ox.Store().query(text, base_iri="urn:base")


@pytest.mark.parametrize(
    "text",
    [
        "SELECT * { ?s <http://example.org/SERVICE> <urn:LOAD> }",
        "SELECT * { ?s ?p 'SERVICE <urn:x> {}' , \"LOAD\" , '''a ' SERVICE''' , \"\"\"a \" LOAD\"\"\" }",
        "SELECT * { ?s ?p ?o } # SERVICE <urn:x> {}",
        "# LOAD <urn:x>\nSELECT * { ?s ?p ?o }",
        "PREFIX service: <urn:x> SELECT * { ?s service:load service:SERVICE }",
        "PREFIX a: <urn:x> SELECT * { ?s a:SERVICE a:x-SERVICE , a:x.SERVICE , a:LOAD\\-SERVICE , a:%53SERVICE }",
        "PREFIX : <urn:x> SELECT * { ?s :SERVICE :LOAD }",
        "SELECT ?SERVICE $load { ?SERVICE ?p $load }",
        "SELECT * { _:SERVICE ?p _:load }",
        "SELECT * { ?s ?p 'x'@load , 'x'@en-service }",
        "SELECT * { ?s ?p ?SERVICES , ?my_service }",
        "SELECT * { ?s ?p '\\u0053ERVICE' }",
    ],
)
def test_word_that_is_no_keyword_is_let_through(text: str) -> None:
    assert check_query(text).form == "SELECT"
    assert not reaches_out(text)


def test_query_that_really_calls_is_seen_to_do_so() -> None:
    """What the tests against the engine rest on."""
    assert reaches_out(f"SELECT * {{ {CALL} }}")


#: Fragments that hold the words where they are none; each is a pattern or a space of the grammar.
WORDS = st.sampled_from(["SERVICE", "service", "LOAD", "Service <urn:x> {}", "LOAD <urn:x>"])
PLAIN = st.text("abc SERVICE\t{}<>#.;,?:@-éж'\"\\", max_size=12)


def quoted(text: str, quote: str) -> str:
    escaped = text.replace("\\", "\\\\").replace(quote[0], "\\" + quote[0]).replace("\t", "\\t")
    return f"{quote}{escaped}{quote}"


strings = st.builds(
    lambda a, w, b, quote: quoted(a + w + b, quote), PLAIN, WORDS, PLAIN, st.sampled_from(["'", '"', "'''", '"""'])
)
iris = st.builds(
    lambda a, b: f"<urn:{a}{b}>",
    st.sampled_from(["SERVICE", "load", "x#SERVICE", "a'b", "?load", "é", "%22"]),
    st.text("abcSERVICE:/.?'-", max_size=8),
)
names = st.sampled_from(
    ["p:SERVICE", "p:load", "p:", ":SERVICE", "p:a-SERVICE", "p:a\\-LOAD", "p:%53ERVICE", "p:a.load"]
)
terms = st.one_of(
    strings,
    iris,
    names,
    st.sampled_from(["?SERVICE", "$load", "1", "1.5", "true", "-1e3", "'a'@SERVICE", "'a'^^p:SERVICE"]),
)
comments = st.builds(lambda w, rest: f" # {w} {rest}\n", WORDS, st.text("abc '\"<>{}\\?:", max_size=10))
spaces = st.one_of(st.sampled_from([" ", "\n", "\t", "  "]), comments)
predicates = st.one_of(iris, names, st.sampled_from(["a", "?p"]))
subjects = st.one_of(iris, names, st.sampled_from(["?s", "?SERVICE"]))
triples = st.builds(
    lambda s, a, p, b, o, c: f"{s}{a}{p}{b}{o}{c}. ", subjects, spaces, predicates, spaces, terms, spaces
)
filters = st.builds(
    lambda t: f"FILTER(STR(?s) != {t} && 1 <2 && ?s<?p) ", st.one_of(strings, iris, st.just("?SERVICE"))
)
groups = st.recursive(
    st.one_of(triples, filters),
    lambda inner: st.one_of(
        st.builds(lambda g: f"OPTIONAL {{ {g} }} ", inner),
        st.builds(lambda g, h: f"{{ {g} }} UNION {{ {h} }} ", inner, inner),
        st.builds(lambda g, h: g + h, inner, inner),
        st.builds(lambda g: f"FILTER NOT EXISTS {{ {g} }} ", inner),
    ),
    max_leaves=4,
)
bodies = st.lists(groups, min_size=1, max_size=3)
PROLOGUE = "PREFIX p: <urn:p#> PREFIX : <urn:SERVICE#> "


@settings(max_examples=150, deadline=None)
@given(parts=bodies)
def test_query_without_a_call_is_let_through(parts: list[str]) -> None:
    text = PROLOGUE + "SELECT * { " + "".join(parts) + "}"
    assert check_query(text).form == "SELECT"
    assert not reaches_out(text)


@settings(max_examples=100, deadline=None)
@given(
    parts=bodies, place=st.integers(0, 3), keyword=st.sampled_from(["SERVICE", "service", "SERVICE SILENT", "Service"])
)
def test_query_with_a_call_anywhere_is_refused(parts: list[str], place: int, keyword: str) -> None:
    parts.insert(place, f"{keyword} <{NOWHERE}> {{ ?s ?p ?o }} ")
    text = PROLOGUE + "SELECT * { " + "".join(parts) + "}"
    with pytest.raises(BadQuery, match="SERVICE calls other servers"):
        check_query(text)


@settings(max_examples=300, deadline=None)
@given(
    pieces=st.lists(
        st.one_of(
            st.sampled_from(
                [CALL, "SERVICE", "'", '"', "'''", '"""', "#", "\n", "\r", "<", ">", "\\", "\\'", "\\u0027"]
            ),
            st.sampled_from(["FILTER(", "(", ")", "?a<", "?o", ">2", "SERVICE:x", "p:.", f"<{NOWHERE}>{{ ?x ?y ?z }}"]),
            st.sampled_from(
                ["{", "}", "?s ?p ?o .", "?s", "p:", "@en", "1", "\\u0053ERVICE", "\\u003C", "e3", ".", "a"]
            ),
            terms,
        ),
        max_size=10,
    ),
    glue=st.sampled_from(["", " "]),
)
def test_text_that_the_guard_passes_never_calls(pieces: list[str], glue: str) -> None:
    """Scraps in any order: whatever the engine makes of them, it reaches out for none that the guard let through."""
    text = PROLOGUE + "SELECT * { " + glue.join(pieces) + "}"
    try:
        check_query(text)
    except BadQuery:
        return
    try:
        assert not reaches_out(text)
    except SyntaxError:
        return


def nested(depth: int) -> str:
    return "SELECT * " + "{" * depth + "?s ?p ?o" + "}" * depth


def test_nesting_is_bounded() -> None:
    assert check_query(nested(MAX_DEPTH)).form == "SELECT"
    with pytest.raises(BadQuery, match=f"nests deeper than {MAX_DEPTH} levels. Flatten"):
        check_query(nested(MAX_DEPTH + 1))


@pytest.mark.parametrize("pair", ["()", "[]", "{}"])
def test_nesting_of_every_bracket_counts(pair: str) -> None:
    with pytest.raises(BadQuery, match="nests deeper"):
        check_query("SELECT * { " + pair[0] * MAX_DEPTH + pair[1] * MAX_DEPTH + " }")


def test_brackets_in_strings_and_iris_do_not_count() -> None:
    assert check_query("SELECT * { ?s <urn:(((> '" + "{" * 2 * MAX_DEPTH + "' }").form == "SELECT"


def test_number_of_tokens_is_bounded() -> None:
    tokens = "SELECT * { " + "?s ?p 1 . " * (MAX_TOKENS // 4)
    with pytest.raises(BadQuery, match="more than 60,000 tokens"):
        check_query(tokens + "}")


def test_length_is_bounded() -> None:
    comment = " #" + "x" * MAX_LENGTH
    with pytest.raises(BadQuery, match=r"The text has 1,000,0\d\d characters. Keep it under 1,000,000"):
        check_query("SELECT * { ?s ?p ?o }" + comment)


@pytest.mark.parametrize(
    "text",
    [
        nested(MAX_DEPTH),
        "SELECT * { FILTER" + "(" * (MAX_DEPTH - 2) + "1" + ")" * (MAX_DEPTH - 2) + " }",
        "SELECT * { FILTER(" + " || ".join(["?s = 1"] * 5_000) + ") }",
        "SELECT * { FILTER(" + "!" * 50_000 + "?s) }",
        "SELECT * { FILTER(" + "- " * 50_000 + "1) }",
        "SELECT * { " + " UNION ".join(["{ ?s ?p 1 }"] * 1_000) + " }",
        "SELECT * { " + "OPTIONAL { ?s ?p 1 } " * 500 + "}",
        "SELECT * { ?s " + "/".join(["<urn:p>"] * 200) + " ?o }",
        "SELECT * { ?s " + "^" * 50_000 + "<urn:p> ?o }",
    ],
    ids=lambda text: text[9:30],
)
def test_text_within_the_bounds_does_not_overflow_the_stack_of_an_evaluation(text: str) -> None:
    """The bounds and the stack size belong together: a text that the guard passes must not end the process."""
    check_query(text)

    def parses() -> bool:
        try:
            ox.Store().query(text)
        except SyntaxError:
            return False
        return True

    assert in_deep_thread(parses) in (True, False)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ASK { product:8703.23.01 ?p ?o }", "ASK { product:8703\\.23\\.01 ?p ?o }"),
        ("ASK { ?s ?p product:8703.23.01. }", "ASK { ?s ?p product:8703\\.23\\.01. }"),
        ("ASK { ?s ?p :a..b }", "ASK { ?s ?p :a\\.\\.b }"),
        ("ASK { ?s ?p p:a\\.b.c }", "ASK { ?s ?p p:a\\.b\\.c }"),
        ("ASK { ?s ?p product:8703.23 . }", "ASK { ?s ?p product:8703.23 . }"),
        (
            "ASK { <http://a.b.c/> ?p 'p:a.b.c', _:a.b.c } # p:a.b.c",
            "ASK { <http://a.b.c/> ?p 'p:a.b.c', _:a.b.c } # p:a.b.c",
        ),
    ],
)
def test_dots_inside_names_are_escaped_where_there_are_several(text: str, expected: str) -> None:
    assert with_escaped_dots(text) == expected


@given(parts=bodies)
def test_text_without_such_names_stays_as_it_is(parts: list[str]) -> None:
    text = PROLOGUE + "SELECT * { " + "".join(parts) + "}"
    assert with_escaped_dots(text) == text
