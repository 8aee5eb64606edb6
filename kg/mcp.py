"""An MCP server (Model Context Protocol): four tools by which a language model reads the graph.

It works on the store itself, through workers with a deadline and a limit of memory, as `kg serve` does; or on the
endpoint of `KG_STORE`, which may be a running Parley server. It cannot write.
"""

from __future__ import annotations

import asyncio
import functools
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import Annotated, Any, Final, ParamSpec, TypeVar

from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import ToolAnnotations
from pydantic import Field

from kg import __version__, formats
from kg.catalogue import Catalogue
from kg.content import Content
from kg.errors import NotFound, ParleyError
from kg.evaluation import Question
from kg.graph import Graph, open_graph
from kg.pages import check_names
from kg.pool import Answer
from kg.questions import NamedQuestion, Parameter
from kg.results import Table
from kg.settings import Settings
from kg.store import Versions
from kg.terms import PREFIXES, compact, expand
from kg.vocabulary import Class, Property, Ref, Vocabulary

#: Characters of an answer after which it is cut, however few its rows are.
_MOST_TEXT: Final = 100_000
#: Names that are looked at for the best ones.
_MOST_NAMES: Final = 500
_INSTRUCTIONS: Final = """A knowledge graph of trade talks and tariffs: who negotiates with whom, what was offered, and
which duties were in force on a day. Every fact has its source. First look for a named question that fits (`ask`). Else
call `schema` once, `find` for the names of entities, and write SPARQL (`query`); the prefixes are known and need no
declaration. Say so where the graph does not know."""
_READS = ToolAnnotations(read_only_hint=True, open_world_hint=False)

Limit = Annotated[int, Field(ge=1, le=1000, description="Rows that the answer may have.")]
P = ParamSpec("P")
T = TypeVar("T")


def serve(settings: Settings, versions: Versions | None) -> None:
    """Serve on standard input and output until the host closes them. Without versions, over KG_STORE."""
    asyncio.run(_run(open_graph(settings, versions, Content.shipped())))


async def _run(graph: Graph) -> None:
    server = MCPServer("parley", instructions=_INSTRUCTIONS, version=__version__, log_level="WARNING")
    tools = Tools(graph)
    for tool in (tools.query, tools.schema, tools.find):
        server.add_tool(_telling(tool), annotations=_READS)
    listed = "\n".join(map(_in_a_line, graph.questions.all))
    server.add_tool(_telling(tools.ask), annotations=_READS, description=f"{tools.ask.__doc__}\n\n{listed}")
    await graph.start()
    try:
        await server.run_stdio_async()
    finally:
        await graph.stop()


def _telling(tool: Callable[P, Awaitable[T]]) -> Callable[P, Awaitable[T]]:
    """The tool with our errors told to the model, which can then do better."""

    @functools.wraps(tool)
    async def told(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return await tool(*args, **kwargs)
        except ParleyError as error:
            raise ToolError(str(error)) from None

    return told


def _in_a_line(question: NamedQuestion) -> str:
    names = ", ".join(f"{p.name}{'' if p.required else '?'}={p.example}" for p in question.parameters)
    return f"- {question.name}({names}): {question.question}"


class Tools:
    """The tools, over one graph. Terms are written as in SPARQL, with prefixed names for IRIs."""

    def __init__(self, graph: Graph) -> None:
        self._graph, self._catalogue = graph, Catalogue(graph)

    async def query(
        self,
        sparql: Annotated[str, Field(description="A SELECT, ASK, CONSTRUCT or DESCRIBE query.")],
        limit: Limit = 100,
    ) -> dict[str, Any]:
        """Run a SPARQL 1.1 query, read only.

        Without GRAPH it sees the merge of all sources; GRAPH ?source { … } tells who says so. `cut` is true if there
        are more rows than `limit`, or more text than fits: then ask for less, or count in SPARQL.
        """
        return await self._answer(Question(sparql), limit)

    async def schema(
        self,
        about: Annotated[str, Field(description="A class or property, such as trade:Tariff; empty for all.")] = "",
    ) -> dict[str, Any]:
        """Describe the classes and properties with their labels and how often they are used, and the prefixes.

        With `about`, one of them in full: its definition, and the properties of a class or the classes of a property.
        """
        vocabulary = await self._vocabulary()
        summary = await self._catalogue.summary()
        counts = summary.counts if summary else None
        classes, properties = (counts.classes, counts.properties) if counts else ({}, {})
        if about:
            return _term(vocabulary, about, {**classes, **properties})
        if vocabulary is None:
            return {"classes": _named(classes), "properties": _named(properties), "prefixes": PREFIXES}
        return {
            "classes": {c.name: {"label": c.label, "instances": classes.get(c.iri, 0)} for c in vocabulary.classes},
            "properties": {
                p.name: {
                    "label": p.label,
                    "of": _names(p.domains),
                    "values": _names(p.ranges),
                    "uses": properties.get(p.iri, 0),
                }
                for p in vocabulary.properties
            },
            "schemes": {s.label: [c.name for c in s.concepts] for s in vocabulary.schemes},
            "prefixes": PREFIXES,
        }

    async def find(
        self,
        name: Annotated[str, Field(description="Words of a name in any language, or a code.", min_length=1)],
        limit: Limit = 10,
    ) -> list[dict[str, str]]:
        """Find entities by name: people, countries, tariffs, acts, sources and all else; the best match first."""
        words = name.split()
        if not words:
            raise NotFound("There is no word in the name.", "Give a part of it, such as Akazawa.")
        table = await self._table(_search(words))
        found: dict[str, dict[str, str]] = {}
        for entity, matched, label in table.rows:
            found.setdefault(entity.iri, {"entity": entity.text, "matched": matched.text, "label": label.text})
        if not found:
            raise NotFound(f"The graph knows nothing by the name {name!r}.", "Try fewer words, or another spelling.")
        return list(found.values())[:limit]

    async def ask(
        self,
        question: Annotated[str, Field(description="The name of the question.")],
        parameters: Annotated[dict[str, str | int] | None, Field(description="Its parameters by name.")] = None,
        limit: Limit = 100,
    ) -> dict[str, Any]:
        """Ask a named question, which is better tried than a query of one's own. Those with ? may be left out.

        Countries go by code (JP), days as YYYY-MM-DD, products by HTS code, everything else by the last part of its
        prefixed name. `cut` is as in `query`.
        """
        named = self._graph.questions[question]
        given = {name: str(value) for name, value in (parameters or {}).items()}
        bound = named.bind(given)
        await check_names(self._graph, named, given)
        return await self._answer(bound, limit)

    async def _vocabulary(self) -> Vocabulary | None:
        """None if the graph has no ontology."""
        try:
            return await self._catalogue.vocabulary()
        except NotFound:
            return None

    async def _table(self, text: str) -> Table:
        answer = await self._graph.query(Question(text), formats.ROWS[0])
        return Table.from_json(await answer.read())

    async def _answer(self, question: Question, limit: int) -> dict[str, Any]:
        """The first rows. Both formats have a line for each, in which no term has a line break or a tab of its own."""
        if question.form == "ASK":
            answer = await self._graph.query(question, formats.ROWS[0])
            return {"answer": json.loads(await answer.read())["boolean"], "version": answer.head["version"]}
        is_graph = question.answers_with is not formats.ROWS
        form = formats.named("ntriples" if is_graph else "tsv", question.answers_with)
        answer = await self._graph.query(question, form)
        lines, cut = await _first_lines(answer, limit if is_graph else limit + 1)  # its first has the columns
        told: dict[str, Any] = {"cut": cut, "version": answer.head["version"]}
        if is_graph:
            return {"triples": [[*map(_short, line.removesuffix(" .").split(" ", 2))] for line in lines], **told}
        columns = [name.removeprefix("?") for name in lines[0].split("\t")]
        return {"columns": columns, "rows": [[*map(_short, line.split("\t"))] for line in lines[1:]], **told}


async def _first_lines(answer: Answer, limit: int) -> tuple[list[str], bool]:
    """So many lines of an answer at most, and whether there are more."""
    if isinstance(answer.body, bytes):
        text, ended = answer.body, True
    else:
        text, ended = await _beginning(answer.body, limit)
    if len(text) > _MOST_TEXT:
        text, ended = text[: text.rfind(b"\n", 0, _MOST_TEXT) + 1], False
    lines = text.decode().removesuffix("\n").split("\n") if text else []
    return lines[:limit], not ended or len(lines) > limit


async def _beginning(chunks: AsyncIterator[bytes], limit: int) -> tuple[bytes, bool]:
    """What is needed of an answer that comes in chunks, and whether that is all of it. The rest is dropped."""
    text = b""
    async with aclosing(chunks):  # type: ignore[type-var]
        async for chunk in chunks:
            text += chunk
            if len(text) > _MOST_TEXT or text.count(b"\n") > limit:
                return text[: text.rfind(b"\n") + 1], False
    return text, True


def _short(term: str) -> str:
    """A term with its IRI as a prefixed name, where it has one."""
    if term.startswith("<") and not term.startswith("<<"):
        return compact(term[1:-1])
    value, sign, datatype = term.rpartition("^^<")
    return f"{value}^^{compact(datatype.removesuffix('>'))}" if sign and datatype.endswith(">") else term


def _term(vocabulary: Vocabulary | None, about: str, counts: dict[str, int]) -> dict[str, Any]:
    """One class or property. Raises: NotFound: the ontology has no such term."""
    iri = expand(about)
    entries: tuple[Class | Property, ...] = (*vocabulary.classes, *vocabulary.properties) if vocabulary else ()
    entry = next((e for e in entries if e.iri == iri), None)
    if vocabulary is None or entry is None:
        raise NotFound(f"The ontology has no class or property {about!r}.", "Call schema without `about` for all.")
    told: dict[str, Any] = {
        "name": entry.name,
        "label": entry.label,
        "definition": entry.definition,
        "notes": list(entry.notes),
    }
    told |= {"parents": _names(entry.parents), "children": _names(entry.children), "count": counts.get(entry.iri, 0)}
    uses: list[dict[str, Any]] = [
        {
            "property": f"^{use.property.name}" if use.inverse else use.property.name,
            "meaning": use.meaning,
            "values": _names(use.values),
            "number": use.number,
        }
        for known in (_with_ancestors(vocabulary, entry) if isinstance(entry, Class) else ())
        for use in known.uses
    ]
    pairs = {"of": getattr(entry, "domains", ()), "values": getattr(entry, "ranges", ())}
    return {**told, "properties": uses} if uses else {**told, **{key: _names(refs) for key, refs in pairs.items()}}


def _with_ancestors(vocabulary: Vocabulary, start: Class) -> list[Class]:
    """The class, and those that it is a kind of."""
    known, found = {c.iri: c for c in vocabulary.classes}, [start]
    for class_ in found:
        found += [known[p.iri] for p in class_.parents if p.iri in known and known[p.iri] not in found]
    return found


def _names(refs: tuple[Ref, ...]) -> list[str]:
    return [ref.name for ref in refs]


def _named(counts: dict[str, int]) -> dict[str, int]:
    return {compact(iri): number for iri, number in sorted(counts.items())}


def _search(words: list[str]) -> str:
    """A query for names that hold all the words: first those that hold them in their order, then the short ones."""
    text = Parameter("name", "text", "name")
    whole = text.term(" ".join(words).lower())
    holds = " && ".join(f"CONTAINS(?lower, {text.term(word.lower())})" for word in words)
    return f"""
        SELECT ?entity ?name ?label {{
            ?entity rdfs:label|skos:prefLabel|skos:altLabel|skos:notation|dcterms:title ?name
            BIND(LCASE(STR(?name)) AS ?lower)
            FILTER(isIRI(?entity) && {holds})
            OPTIONAL {{ ?entity rdfs:label|dcterms:title ?label FILTER(LANG(?label) = "en") }}
        }} ORDER BY DESC(CONTAINS(?lower, {whole})) STRLEN(?lower) ?entity ?name LIMIT {_MOST_NAMES}"""
