"""The command line: each command is a thin layer over one call of the library."""

from __future__ import annotations

import json
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import click

from kg import __version__, editing, formats, upkeep
from kg.console import (
    at_option,
    file_option,
    leave,
    one_text,
    open_versions,
    print_answer,
    read_with,
)
from kg.errors import BadRequest, ParleyError, Refused
from kg.settings import Settings

_ROW_FORMATS = [f.name for f in (*formats.ROWS, *formats.WRITTEN)]


class _Group(click.Group):
    """Prints our errors as one line and exits with their status."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except Refused as error:
            click.echo(error.report.text(), err=True)
            click.echo(f"kg: {error.message}", err=True)
            leave(error.exit_code)
        except ParleyError as error:
            click.echo(f"kg: {error}", err=True)
            leave(error.exit_code)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="kg")
@click.option("--home", type=click.Path(path_type=Path), help="Folder of the store (KG_HOME).")
@click.option("--store", help="URL of a SPARQL endpoint to read from instead (KG_STORE).")
@click.pass_context
def main(ctx: click.Context, home: Path | None, store: str | None) -> None:
    """Parley: a knowledge graph of trade actors. Ask it, load facts into it, serve it.

    Exit status: 0 done; 1 refused or does not conform; 2 wrong usage.
    """
    # Ctrl-C and a closed pipe end the process at once, also inside native code. Nothing can be left half done: a
    # commit becomes visible by one rename, and the next writer sweeps what an interrupted one left.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    ctx.obj = Settings.from_environment(home=home, store=store)


@main.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8000, show_default=True, type=click.IntRange(0, 65535), help="Port to listen on.")
@click.option("--bare", is_flag=True, help="An empty store without shapes: a plain SPARQL server.")
@click.pass_obj
def serve(settings: Settings, host: str, port: int, bare: bool) -> None:
    """Serve the graph over HTTP.

    Example: kg serve --port 8000
    """
    from kg.serving import serve as run

    if settings.store:
        run(settings, None, host, port)
    else:
        run(settings, open_versions(settings, bare=bare), host, port)


@main.command()
@click.pass_obj
def mcp(settings: Settings) -> None:
    """Let a language model read the graph: an MCP server on standard input and output. Needs the extra `mcp`.

    Its tools run SPARQL, describe the schema, find entities by name and ask named questions. It cannot write.

    Example: kg mcp
    """
    try:
        from kg.mcp import serve as run
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "mcp":
            raise
        raise BadRequest("`kg mcp` needs the extra mcp.", "Install it: pip install 'parley-kg[mcp]'.") from None
    run(settings, None if settings.store else open_versions(settings))


@main.command()
@click.argument("text", required=False)
@file_option
@click.option("--format", "form", type=click.Choice(_ROW_FORMATS), help="For programs; default: a table or Turtle.")
@at_option
@click.pass_obj
def query(settings: Settings, text: str | None, file: IO[str] | None, form: str | None, at: str | None) -> None:
    """Ask in SPARQL. The prefixes of Parley need no declaration.

    Example: kg query "SELECT ?label { ?t a trade:Tariff ; rdfs:label ?label }"
    """
    from kg.evaluation import Question
    from kg.federation import gateways

    with gateways(settings.allow_service, settings.deadline) as opened:
        print_answer(settings, at, Question(one_text("query", text, file), gateways=opened), form)


@main.command()
@click.argument("name", required=False)
@click.argument("parameters", nargs=-1, metavar="[NAME=VALUE]...")
@click.option(
    "--format", "form", type=click.Choice([f.name for f in formats.ROWS]), help="For programs; default: a table."
)
@at_option
@click.pass_obj
def ask(settings: Settings, name: str | None, parameters: Sequence[str], form: str | None, at: str | None) -> None:
    """Ask a named question; without a name, list them.

    Example: kg ask round-participants number=5
    """
    from kg.content import Content
    from kg.questions import Questions, refuse_unknown
    from kg.results import Table

    questions = Questions(Content.shipped())
    if name is None:
        for question in questions.all:
            names = " ".join(p.name if p.required else f"[{p.name}]" for p in question.parameters)
            click.echo(f"{question.name} {names}".rstrip() + f"\n    {question.question}")
        return
    given = dict(_pair(parameter) for parameter in parameters)
    question = questions[name]
    bound, lookup = question.bind(given), question.unknown_names(given)
    if lookup:
        rows = read_with(settings, at, lambda reader: reader.answer(lookup, formats.ROWS[0]))
        refuse_unknown(Table.from_json(rows))
    print_answer(settings, at, bound, form)


def _pair(parameter: str) -> tuple[str, str]:
    name, sign, value = parameter.partition("=")
    if not sign:
        raise BadRequest(f"{parameter!r} is not of the form name=value.", "For example: number=5.")
    return name, value


@main.command()
@click.option("--importer", required=True, help="Code of the importing country, such as US.")
@click.option("--origin", required=True, help="Code of the country of origin, such as JP.")
@click.option("--product", required=True, help="HS or HTS code, with or without dots.")
@click.option("--on", required=True, help="Day of entry, as YYYY-MM-DD.")
@click.option("--known-on", default="", help="Answer as known on this day; default: the law as it stands now.")
@click.option(
    "--condition",
    "conditions",
    multiple=True,
    help="A condition of entry that the goods meet, such as usmca or korus; may be given again.",
)
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@at_option
@click.pass_obj
def rate(settings: Settings, /, as_json: bool, at: str | None, **inquired: Any) -> None:
    """Explain the duty rate on a product from an origin on a day.

    Example: kg rate --importer US --origin JP --product 8703.23.01 --on 2025-06-07
    """
    from kg.rates import Inquiry, explain
    from kg.results import rate_text

    inquiry = Inquiry(**inquired)
    answer = read_with(settings, at, lambda reader: explain(reader, inquiry))
    if as_json:
        click.echo(json.dumps(answer, ensure_ascii=False, indent=2))
    else:
        click.echo(rate_text(answer))


@main.command()
@click.option("--graph", help="One graph by its IRI; default: all of them.")
@click.option(
    "--format",
    "form",
    type=click.Choice([f.name for f in (*formats.DATASETS, *formats.GRAPHS)]),
    help="Default: trig, or turtle for one graph.",
)
@click.option("--output", "-o", type=click.File("wb", lazy=True), default="-", help="File to write; default: stdout.")
@at_option
@click.pass_obj
def export(settings: Settings, graph: str | None, form: str | None, output: IO[bytes], at: str | None) -> None:
    """Write the facts out, the same bytes for the same facts. Entailments are left out: they follow.

    Example: kg export --output parley.trig
    """
    from kg.exporting import export as write

    chosen = formats.named(form or ("turtle" if graph else "trig"), (*formats.DATASETS, *formats.GRAPHS))
    versions = open_versions(settings)
    with versions.reading(None if at is None else versions.at(at)) as (_, store):
        write(store, graph, chosen, output, bare=versions.bare)


for command in (*editing.COMMANDS, *upkeep.COMMANDS):
    main.add_command(command)


def _print_coverage(settings: Settings) -> None:
    from kg.content import Content
    from kg.coverage import coverage
    from kg.past import in_memory
    from kg.questions import Questions

    questions = Questions(Content.shipped()).all
    versions = open_versions(settings)
    with versions.reading() as (number, store):
        found = coverage(in_memory(versions, number, store), questions)
    click.echo("\n\n".join(one.text(len(questions)) for one in found))


@main.command()
@click.option("--coverage", is_flag=True, help="Say instead how far each dossier of the graph reaches.")
@click.pass_obj
def check(settings: Settings, coverage: bool) -> None:
    """Verify that ontology, shapes, questions and facts hold together. Needs the extra `reasoning` for HermiT.

    With --coverage: sources and facts of each dossier by grade, the questions that draw on it, and what it is known to
    lack.

    Example: kg check --coverage
    """
    if coverage:
        _print_coverage(settings)
        return
    from kg.checks import run

    failures = 0
    for result in run():
        failures += result.passed is False
        word = {True: "ok  ", False: "FAIL", None: "skip"}[result.passed]
        click.echo(f"{word} {result.name}: {result.detail}")
    if failures:
        leave(1)
