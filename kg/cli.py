"""The command line: each command is a thin layer over one call of the library."""

from __future__ import annotations

import json
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

import click

from kg import __version__, formats, upkeep
from kg.console import (
    at_option,
    leave,
    load_files,
    open_versions,
    print_answer,
    progress_bar,
    read_iri,
    read_with,
    report_format,
    reported,
    tell,
    write_with,
)
from kg.errors import BadRequest, ParleyError, Refused
from kg.settings import Settings

if TYPE_CHECKING:
    from kg.parsing import Document
    from kg.store import Versions

_ROW_FORMATS = [f.name for f in (*formats.ROWS, *formats.WRITTEN)]
_FILES = click.Path(exists=True, path_type=Path)


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
@click.argument("files", nargs=-1, required=True, metavar="FILE|FOLDER...", type=_FILES)
@click.option("--graph", help="IRI of the source graph; default: named by the file.")
@click.option("--merge", is_flag=True, help="Keep what the graph holds already.")
@click.option("--message", default="", help="Why, for the history.")
@click.option("--dry-run", is_flag=True, help="Check everything, change nothing.")
@report_format
@click.pass_obj
def load(
    settings: Settings, files: Sequence[Path], graph: str | None, merge: bool, message: str, dry_run: bool, form: str
) -> None:
    """Load facts: all files, or nothing if one fact does not conform.

    A folder stands for all RDF files in it and below. A file that ends in .gz is unpacked while it is read.

    Example: kg load my-facts.ttl
    """
    outcome = load_files(settings, files, graph, form, merge=merge, message=message, dry_run=dry_run)
    if form == "text":
        tell(outcome, dry_run)


@main.command()
@click.argument("text", required=False)
@click.option(
    "--file", "-f", "file", type=click.File("r", encoding="utf-8"), help="Read the update from a file (- for stdin)."
)
@click.option("--message", default="", help="Why, for the history.")
@click.option("--dry-run", is_flag=True, help="Check everything, change nothing.")
@report_format
@click.pass_obj
def update(settings: Settings, text: str | None, file: IO[str] | None, message: str, dry_run: bool, form: str) -> None:
    """Change facts by SPARQL Update: all operations, or nothing if one fact would not conform.

    What is written names its source, by GRAPH source:NAME { ... } or WITH source:NAME; patterns see the whole graph.
    The prefixes of Parley need no declaration.

    Example: kg update "DELETE WHERE { GRAPH source:my-notes { ?s ?p ?o } }"
    """
    request = {"job": "update", "text": _one_text("update", text, file), "message": message, "dry_run": dry_run}
    outcome = write_with(settings, request, form)
    if form == "text":
        tell(outcome, dry_run, "Nothing to do: the graph stays as it is.")


def _one_text(what: str, text: str | None, file: IO[str] | None) -> str:
    if (text is None) == (file is None):
        raise click.UsageError(f"Give the {what} as an argument, or in a file with --file.")
    return text if text is not None else cast("IO[str]", file).read()


@main.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE|FOLDER...", type=_FILES)
@click.option("--graph", help="IRI of the source graph; default: named by the file.")
@report_format
@click.pass_obj
def validate(settings: Settings, files: Sequence[Path], graph: str | None, form: str) -> None:
    """Say whether files and folders conform, as `load` would, and change nothing.

    Example: kg validate my-facts.ttl --format json
    """
    load_files(settings, files, graph, form, dry_run=True)
    if form == "text":
        click.echo("The facts conform.")


def _import(versions: Versions, document: Document, file: Path, dry_run: bool) -> None:
    from kg.content import Content
    from kg.loading import load as run

    content, message = Content.shipped(), f"Import {file.name}"
    tell(
        reported(
            "text",
            lambda step: run(versions, [document], content, message=message, dry_run=dry_run, progress=step),
        ),
        dry_run,
    )


@main.command()
@click.argument("graphs", nargs=-1, required=True, metavar="GRAPH...")
@click.option("--message", default="", help="Why, for the history.")
@click.option("--dry-run", is_flag=True, help="Check everything, change nothing.")
@report_format
@click.pass_obj
def remove(settings: Settings, graphs: Sequence[str], message: str, dry_run: bool, form: str) -> None:
    """Remove graphs with all that they say: all of them, or nothing if other facts rely on one.

    Example: kg remove source:my-facts
    """
    iris = [read_iri("GRAPH", graph) for graph in graphs]
    outcome = write_with(settings, {"job": "remove", "graphs": iris, "message": message, "dry_run": dry_run}, form)
    if form == "text":
        tell(outcome, dry_run)


@main.group("import")
def import_() -> None:
    """Bring a table into the graph: a US tariff schedule, or a list of countries, as CSV.

    Example: kg import hts --help
    """


@import_.command("hts")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--edition", required=True, help='Which edition it is, such as "2025 basic edition".')
@click.option("--from", "valid_from", required=True, help="First day on which its rates hold, as YYYY-MM-DD.")
@click.option("--url", default="https://hts.usitc.gov/", show_default=True, help="Where the edition can be read.")
@click.option("--dry-run", is_flag=True, help="Check everything, change nothing.")
@click.pass_obj
def import_hts(settings: Settings, file: Path, edition: str, valid_from: str, url: str, dry_run: bool) -> None:
    """Import a US tariff schedule in the CSV form that USITC publishes.

    Codes, their tree and the ordinary rates become facts, and the special rates of the programs that the graph knows
    as conditions of entry. Rows that cannot be read are listed, and then nothing is imported.

    Example: kg import hts hts_2025_basic_edition.csv --edition "2025 basic edition" --from 2025-01-01
    """
    from kg.engines import StoreReader
    from kg.importing import Edition, schedule

    versions = open_versions(settings)
    with progress_bar() as progress, versions.reading() as (_, store):
        document, in_words = schedule(file, Edition(edition, valid_from, url), StoreReader(store), progress)
    _import(versions, document, file, dry_run)
    if in_words:
        click.echo(f"{len(in_words):,} rates stand in words and have no number, for example {in_words[0]}", err=True)


@import_.command("countries")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--dry-run", is_flag=True, help="Check everything, change nothing.")
@click.pass_obj
def import_countries(settings: Settings, file: Path, dry_run: bool) -> None:
    """Import a list of countries with the columns of the data package `country-codes`.

    Example: kg import countries country-codes.csv
    """
    from kg.engines import StoreReader
    from kg.importing import countries

    versions = open_versions(settings)
    with versions.reading() as (_, store):
        document = countries(file, StoreReader(store))
    _import(versions, document, file, dry_run)


@main.command()
@click.argument("text", required=False)
@click.option(
    "--file", "-f", "file", type=click.File("r", encoding="utf-8"), help="Read the query from a file (- for stdin)."
)
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
        print_answer(settings, at, Question(_one_text("query", text, file), gateways=opened), form)


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


for command in upkeep.COMMANDS:
    main.add_command(command)


def _print_coverage(settings: Settings) -> None:
    from kg.content import Content
    from kg.coverage import coverage
    from kg.questions import Questions
    from kg.store import in_memory

    questions = Questions(Content.shipped()).all
    with open_versions(settings).reading() as (_, store):
        found = coverage(in_memory(store), questions)
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
