"""`kg check`: ontology, shapes, questions and facts hold together."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pyoxigraph as ox

from kg.content import Content
from kg.engines import StoreReader
from kg.errors import BadRequest, ParleyError, Refused
from kg.loading import ensure_content
from kg.past import in_memory
from kg.questions import NamedQuestion, Questions
from kg.store import Versions
from kg.terms import PREFIXES, TRADE


@dataclass(frozen=True)
class Result:
    """One check: its name, whether it passed (None: it could not be run here), and what was found."""

    name: str
    passed: bool | None
    detail: str


def run(content: Content | None = None) -> Iterator[Result]:
    """Run every check over a content folder (default: the shipped one), in a store made for it."""
    content = content or Content.shipped()
    yield check_shapes(content)
    with tempfile.TemporaryDirectory(prefix="kg-check-") as folder:
        versions = Versions.create(Path(folder), bare=False)
        try:
            outcome = ensure_content(versions, content)
        except Refused as error:
            yield Result("facts", False, error.report.text())
            return
        except ParleyError as error:
            yield Result("facts", False, str(error))
            return
        assert outcome is not None and outcome.record is not None
        warnings = len(outcome.report.warnings)
        yield Result(
            "facts",
            True,
            f"{outcome.record.quads:,} facts in {len(content.facts)} sources conform to the shapes; "
            f"{warnings} warnings, {len(outcome.report.contradictions)} contradictions between sources",
        )
        with versions.reading() as (number, on_disk):
            store = in_memory(versions, number, on_disk)
            yield check_questions(content, store)
            yield check_terms_are_used(content, store)
            yield check_labels(store)
            yield from check_reasoning(store)


def check_shapes(content: Content) -> Result:
    """The shapes are well-formed: they conform to SHACL's shapes for shapes."""
    import pyshacl
    import rdflib

    shapes = rdflib.Graph(bind_namespaces="none")
    for path in content.shapes:
        shapes.parse(path, format="turtle")
    try:
        pyshacl.validate(rdflib.Graph(), shacl_graph=shapes, meta_shacl=True, do_owl_imports=False)
    except (pyshacl.errors.ReportableRuntimeError, pyshacl.errors.ShapeLoadError) as error:
        return Result("shapes", False, str(error))
    number = sum(1 for _ in shapes.subjects(rdflib.RDF.type, rdflib.URIRef(PREFIXES["sh"] + "NodeShape")))
    return Result("shapes", True, f"{number} node shapes are well-formed SHACL")


def check_questions(content: Content, store: ox.Store) -> Result:
    """Every question parses, runs with and without its parameters, and gives the columns of its header."""
    questions = Questions(content).all
    failures = []
    for question in questions:
        try:
            failures += [f"{question.name}: {fault}" for fault in _faults(question, store)]
        except ParleyError as error:
            failures.append(f"{question.name}: {error}")
    return Result(
        "questions", not failures, "; ".join(failures) or f"{len(questions)} questions run, true to their headers"
    )


def _faults(question: NamedQuestion, store: ox.Store) -> Iterator[str]:
    examples = {p.name: p.example for p in question.parameters}
    required = {p.name: p.example for p in question.parameters if p.required}
    for parameter in question.parameters:
        if not parameter.example:
            yield f"the parameter {parameter.name} has no example"
    cases: list[Callable[[], ox.QuerySolutions]] = [
        lambda: _solve(store, question.text),
        lambda: _solve(store, question.bind(required).text),
        lambda: _solve(store, question.bind(examples).text),
    ]
    for case in cases:
        columns = tuple(v.value for v in case().variables)
        if columns != question.columns:
            yield f"the columns are {', '.join(columns)}, the header says {', '.join(question.columns)}"


def _solve(store: ox.Store, text: str) -> ox.QuerySolutions:
    # No prefixes given: a question must run in any SPARQL editor as it stands.
    try:
        result: ox.QuerySolutions = store.query(text)  # type: ignore[assignment]
    except SyntaxError as error:
        raise ParleyError(f"does not parse: {error.msg}") from None
    return result


def check_terms_are_used(content: Content, store: ox.Store) -> Result:
    """Every class and property of the ontology is used by a question or a shape, or another term builds on it."""
    declared = {
        row["t"].value.removeprefix(TRADE)
        for row in StoreReader(store).rows("SELECT DISTINCT ?t { ?t a ?k FILTER(STRSTARTS(STR(?k), STR(owl:))) }")
        if row["t"].value.startswith(TRADE)
    }
    texts = " ".join(path.read_text("utf-8") for path in (*content.queries, *content.shapes))
    used = set(re.findall(r"\btrade:(\w+)", texts))
    unused = sorted(declared - used)
    detail = f"no question and no shape uses {', '.join(unused)}" if unused else f"{len(declared)} terms are all used"
    return Result("ontology terms", not unused, detail)


def check_labels(store: ox.Store) -> Result:
    """Every entity that has a label has exactly one in English."""
    rows = StoreReader(store).rows("""
        SELECT ?s { ?s rdfs:label ?any OPTIONAL { ?s rdfs:label ?l FILTER(LANG(?l) = "en") } }
        GROUP BY ?s HAVING(COUNT(DISTINCT ?l) != 1)""")
    names = ", ".join(sorted(row["s"].value for row in rows))
    return Result("labels", not rows, names or "every labelled entity has exactly one English label")


def check_reasoning(store: ox.Store) -> Iterator[Result]:
    """HermiT finds the ontology with the facts consistent, every class satisfiable, and what the rules derive."""
    from kg.reasoning import classify, derived

    try:
        found = classify(store)
    except BadRequest as error:
        yield Result("reasoning", None, str(error))
        return
    if not found.consistent:
        yield Result("reasoning", False, "HermiT finds the ontology with the facts inconsistent")
        return
    detail = (
        f"unsatisfiable: {', '.join(found.unsatisfiable)}"
        if found.unsatisfiable
        else "consistent, every class satisfiable"
    )
    yield Result("reasoning", not found.unsatisfiable, f"HermiT: {detail}")
    ours, theirs = derived(store), found.inferred
    wrong = [f"derived but not entailed: {t}" for t in sorted(ours - theirs)]
    wrong += [f"entailed but not derived: {t}" for t in sorted(theirs - ours)]
    yield Result(
        "entailments", not wrong, "; ".join(wrong[:5]) or f"{len(ours):,} relations and types equal HermiT's answer"
    )
