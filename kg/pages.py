"""The pages: what a browser gets in place of JSON or Turtle. No script, every value escaped."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from jinja2 import Environment, FileSystemLoader, select_autoescape
from starlette.responses import HTMLResponse

from kg import formats
from kg.diagram import draw
from kg.errors import NotFound, ParleyError
from kg.evaluation import Question
from kg.limits import UNLIMITED, Limits
from kg.paging import Page
from kg.questions import refuse_unknown
from kg.results import Cell, Table
from kg.terms import DERIVED_GRAPHS, ID, ONTOLOGY_GRAPH, PREFIXES, ROOT, SOURCE, TRADE, compact

if TYPE_CHECKING:
    from kg.catalogue import Summary
    from kg.graph import Graph
    from kg.questions import NamedQuestion
    from kg.vocabulary import Vocabulary

_FOLDER = Path(__file__).parent / "templates"
_COUNTS = """
SELECT ?sources ?facts ?tariffs ?rates ?acts ?proposals ?meetings ?people {
    { SELECT (COUNT(*) AS ?facts) { ?s ?p ?o } }
    { SELECT (COUNT(*) AS ?sources) { ?x a foaf:Document } }
    { SELECT (COUNT(*) AS ?tariffs) { ?x a trade:Tariff } }
    { SELECT (COUNT(*) AS ?rates) { ?x a trade:Rate } }
    { SELECT (COUNT(*) AS ?acts) { ?x a trade:LegalAct } }
    { SELECT (COUNT(*) AS ?proposals) { ?x a trade:Proposal } }
    { SELECT (COUNT(*) AS ?meetings) { ?x a trade:Meeting } }
    { SELECT (COUNT(*) AS ?people) { ?x a foaf:Person } }
}"""
_SAMPLE = """SELECT ?tariff ?tariffLabel ?percent ?from {
  ?rate trade:rateOf ?tariff ; trade:percent ?percent ; trade:from ?from ; trade:onOrigin country:JP .
  ?tariff rdfs:label ?tariffLabel .
}
ORDER BY ?from"""
_BARE_SAMPLE = "SELECT * { ?subject ?predicate ?object } LIMIT 20"
_FACTS = """
SELECT ?property ?propertyLabel ?value ?valueLabel ?source ?sourceLabel {
    GRAPH ?source { <IRI> ?property ?value }
    FILTER(?source NOT IN (DERIVED))
    OPTIONAL { ?property rdfs:label ?propertyLabel FILTER(LANG(?propertyLabel) = "en") }
    OPTIONAL { ?value rdfs:label ?valueLabel FILTER(LANG(?valueLabel) = "en") }
    OPTIONAL { ?source dcterms:title ?sourceLabel FILTER(LANG(?sourceLabel) = "en") }
} ORDER BY ?propertyLabel ?property ?value ?source"""
_MENTIONS = """
SELECT DISTINCT ?subject ?subjectLabel ?property ?propertyLabel {
    ?subject ?property <IRI> .
    FILTER(isIRI(?subject))
    OPTIONAL { ?subject rdfs:label|dcterms:title ?subjectLabel FILTER(LANG(?subjectLabel) = "en") }
    OPTIONAL { ?property rdfs:label ?propertyLabel FILTER(LANG(?propertyLabel) = "en") }
} ORDER BY ?property ?subject LIMIT 500"""
_CONTENTS = """
SELECT ?subject ?subjectLabel ?property ?propertyLabel ?value ?valueLabel {
    GRAPH <IRI> { ?subject ?property ?value }
    OPTIONAL { ?subject rdfs:label|dcterms:title ?subjectLabel FILTER(LANG(?subjectLabel) = "en") }
    OPTIONAL { ?property rdfs:label ?propertyLabel FILTER(LANG(?propertyLabel) = "en") }
    OPTIONAL { ?value rdfs:label ?valueLabel FILTER(LANG(?valueLabel) = "en") }
} ORDER BY ?subject ?property ?value LIMIT 2000"""


async def check_names(graph: Graph, question: NamedQuestion, given: Mapping[str, str]) -> None:
    """Raises: NotFound: a parameter names what the graph does not know."""
    names = question.unknown_names(given)
    if names is not None:
        answer = await graph.query(names, formats.ROWS[0])
        refuse_unknown(Table.from_json(await answer.read()))


async def links(
    graph: Graph, question: NamedQuestion, given: Mapping[str, str], page: Page, format: str = ""
) -> dict[str, str]:
    """The links from one page of the answer to a named question to the others."""
    answer = await graph.query(question.bind(given, page.next_row()), formats.ROWS[0])
    more = bool(Table.from_json(await answer.read()).rows)
    return page.links(f"/questions/{question.name}", {**given, **({"format": format} if format else {})}, more=more)


class Pages:
    """Renders the pages of one graph."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._templates = Environment(loader=FileSystemLoader(_FOLDER), autoescape=select_autoescape())
        self._templates.globals.update(root=ROOT, id_root=ID, source_root=SOURCE, ontology=TRADE, example=_example)
        self._templates.globals.update(
            media={f.name: f.media[0] for f in (*formats.ROWS, *formats.GRAPHS)},
            ontology_iri=ONTOLOGY_GRAPH,
            **{prefix: PREFIXES[prefix] for prefix in ("rdf", "sh", "xsd")},
        )
        self.style = (_FOLDER / "style.css").read_text("utf-8")

    async def start(self) -> HTMLResponse:
        if self._graph.bare:
            return self._render("start.html", sample=_BARE_SAMPLE, formats=_names(), counts=None, questions=None)
        table = await self._table(_COUNTS)
        counts = [(name, int(cell.text)) for name, cell in zip(table.columns, table.rows[0], strict=True)]
        return self._render(
            "start.html", sample=_SAMPLE, formats=_names(), counts=counts, questions=self._graph.questions.all
        )

    def questions(self) -> HTMLResponse:
        return self._render("questions.html", questions=self._graph.questions.all)

    async def ask(self, question: NamedQuestion, given: Mapping[str, str], part: Page) -> HTMLResponse:
        """A part of the answer to a named question, with a form for its parameters; a bad value is said beside it."""
        page: dict[str, Any] = {"title": question.title, "question": question, "given": given, "query": question.text}
        try:
            bound = question.bind(given, part)
            await check_names(self._graph, question, given)
        except ParleyError as error:
            return self._render("answer.html", status=error.status, problem=str(error), **page)
        answer = await self._graph.query(bound, formats.ROWS[0], limits=self._graph.limits)
        table = _titled(Table.from_json(await answer.read()).for_people())
        href = f"/questions/{question.name}?{urlencode({**given, 'format': ''})}"
        others = await links(self._graph, question, given, part)
        return self._render("answer.html", table=table, links=_links(href, formats.ROWS), pages=others, **page)

    def answer(
        self, title: str, question: Question, body: bytes, limits: Limits = UNLIMITED, cut: int | None = None
    ) -> HTMLResponse:
        """The answer to a query: a table, or Turtle as text; the limits are those asked for, and `cut` is the number of
        rows if there are more."""
        parameters = [
            ("query", question.text),
            *(("default-graph-uri", iri) for iri in question.default_graphs),
            *(("named-graph-uri", iri) for iri in question.named_graphs),
            *limits.parameters.items(),
            ("format", ""),
        ]
        links = _links("/sparql?" + urlencode(parameters), question.answers_with)
        page: dict[str, Any] = {"title": title, "links": links, "query": question.text, "cut": cut}
        if question.answers_with is formats.ROWS:
            return self._render("answer.html", table=Table.from_json(body).for_people(), **page)
        return self._render("answer.html", text=body.decode(), **page)

    def text(self, title: str, turtle: str) -> HTMLResponse:
        """A graph for reading: browsers save Turtle to disk."""
        return self._render("answer.html", title=title, text=turtle)

    def table(self, title: str, table: Table) -> HTMLResponse:
        return self._render("answer.html", title=title, table=table)

    def problem(self, status: int, title: str, detail: str) -> HTMLResponse:
        return self._render("answer.html", status=status, title=title, problem=detail)

    async def entity(self, iri: str) -> HTMLResponse:
        """What is said of an entity, by whom, and what mentions it."""
        facts = await self._table(
            _FACTS.replace("DERIVED", ", ".join(f"<{g}>" for g in sorted(DERIVED_GRAPHS))).replace("IRI>", iri + ">")
        )
        mentions = await self._table(_MENTIONS.replace("IRI>", iri + ">"))
        return self._entity(iri, "What the sources say", facts, mentions)

    async def source(self, iri: str) -> HTMLResponse:
        """All that a source says."""
        facts = await self._table(_CONTENTS.replace("IRI>", iri + ">"))
        mentions = await self._table(_MENTIONS.replace("IRI>", iri + ">"))
        return self._entity(iri, "What this source says", facts, mentions)

    def ontology(self, vocabulary: Vocabulary, summary: Summary | None) -> HTMLResponse:
        """Every term explained. Without a summary, or counts in it, the page has no numbers of instances."""
        return self._render(
            "ontology.html",
            vocabulary=vocabulary,
            counts=summary and summary.counts,
            drawing=draw(vocabulary),
            links=_links("/ontology?format=", formats.GRAPHS),
        )

    def _entity(self, iri: str, heading: str, facts: Table, mentions: Table) -> HTMLResponse:
        if not facts.rows and not mentions.rows:
            raise NotFound(
                f"The graph knows no {iri.removeprefix(ROOT)}.", "The questions and SPARQL tell what it knows."
            )
        label = next((_value(row).text for row in facts.rows if _is_label(facts, row, iri)), compact(iri))
        return self._render(
            "entity.html",
            iri=iri,
            name=compact(iri),
            label=label,
            heading=heading,
            facts=_titled(facts.for_people()),
            mentions=_titled(mentions.for_people()),
            links=_links(f"/{iri.removeprefix(ROOT)}?format=", formats.GRAPHS),
        )

    async def _table(self, text: str) -> Table:
        answer = await self._graph.query(Question(text), formats.ROWS[0])
        return Table.from_json(await answer.read())

    def _render(self, template: str, *, status: int = 200, **page: Any) -> HTMLResponse:
        text = self._templates.get_template(template).render(version=self._graph.version(), **page)
        return HTMLResponse(text, status)


def _names() -> list[str]:
    return ["html", *(f.name for f in formats.ROWS), *(f.name for f in formats.GRAPHS)]


def _links(href: str, among: tuple[formats.Format, ...]) -> list[tuple[str, str]]:
    return [(f.name, href + f.name) for f in among]


def _example(question: NamedQuestion) -> str:
    """The query string that makes a question run from a link: an example for each required parameter."""
    given = {p.name: p.default or p.example for p in question.parameters if p.required}
    return "?" + urlencode(given) if given else ""


def _titled(table: Table) -> Table:
    """The same with words for column names: `reportedByLabel` becomes `reported by`."""
    words = (re.sub(r"(?<=[a-z])([A-Z])", r" \1", name.removesuffix("Label")).lower() for name in table.columns)
    return Table(tuple(words), table.rows)


def _value(row: tuple[Cell, ...]) -> Cell:
    return row[2] if len(row) == 6 and row[2].iri == "" else row[4]


def _is_label(facts: Table, row: tuple[Cell, ...], iri: str) -> bool:
    place = facts.columns.index("property")
    ours = place == 0 or row[0].iri == iri
    return ours and row[place].text in ("rdfs:label", "dcterms:title")
