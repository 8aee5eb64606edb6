"""The command line: each command is a thin layer over one call of the library."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeVar, cast

import click

from kg import __version__, formats
from kg.errors import BadRequest, ParleyError, Refused
from kg.settings import Settings, limit_memory

if TYPE_CHECKING:
    from kg.engines import Reader
    from kg.evaluation import Question
    from kg.loading import Outcome, Progress
    from kg.parsing import Document
    from kg.store import Versions

T = TypeVar("T")
_ROW_FORMATS = [f.name for f in (*formats.ROWS, *formats.GRAPHS)]


class _Group(click.Group):
    """Prints our errors as one line and exits with their status."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except Refused as error:
            click.echo(error.report.text(), err=True)
            click.echo(f"kg: {error.message}", err=True)
            _leave(error.exit_code)
        except ParleyError as error:
            click.echo(f"kg: {error}", err=True)
            _leave(error.exit_code)


def _leave(status: int) -> None:
    """End at once: native code in another thread may still be running and cannot be interrupted."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


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
        run(settings, _versions(settings, bare=bare), host, port)


@main.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--graph", help="IRI of the source graph; default: named by the file.")
@click.option("--merge", is_flag=True, help="Keep what the graph holds already.")
@click.option("--message", default="", help="Why, for the history.")
@click.option("--dry-run", is_flag=True, help="Check everything, change nothing.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "turtle"]),
    default="text",
    show_default=True,
    help="How to print the report.",
)
@click.pass_obj
def load(
    settings: Settings, files: Sequence[Path], graph: str | None, merge: bool, message: str, dry_run: bool, form: str
) -> None:
    """Load facts: all files, or nothing if one fact does not conform.

    Example: kg load my-facts.ttl
    """
    versions = _versions(settings)
    outcome = _load(versions, _documents(files, graph), form, merge=merge, message=message, dry_run=dry_run)
    if form != "text":
        return
    if outcome.record:
        record = outcome.record
        click.echo(f"Version {record.version}: {record.added:,} added, {record.removed:,} removed.")
    else:
        click.echo("The facts conform. Nothing was changed." if dry_run else "Nothing to do: the graph holds all this.")


@main.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--graph", help="IRI of the source graph; default: named by the file.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "turtle"]),
    default="text",
    show_default=True,
    help="How to print the report.",
)
@click.pass_obj
def validate(settings: Settings, files: Sequence[Path], graph: str | None, form: str) -> None:
    """Say whether files conform, as `load` would, and change nothing.

    Example: kg validate my-facts.ttl --format json
    """
    _load(_versions(settings), _documents(files, graph), form, dry_run=True)
    if form == "text":
        click.echo("The facts conform.")


@main.command()
@click.argument("text", required=False)
@click.option(
    "--file", "-f", "file", type=click.File("r", encoding="utf-8"), help="Read the query from a file (- for stdin)."
)
@click.option("--format", "form", type=click.Choice(_ROW_FORMATS), help="For programs; default: a table or Turtle.")
@click.pass_obj
def query(settings: Settings, text: str | None, file: IO[str] | None, form: str | None) -> None:
    """Ask in SPARQL. The prefixes of Parley need no declaration.

    Example: kg query "SELECT ?label { ?t a trade:Tariff ; rdfs:label ?label }"
    """
    if (text is None) == (file is None):
        raise click.UsageError("Give the query as an argument, or in a file with --file.")
    from kg.evaluation import Question

    _print_answer(settings, Question(text if text is not None else cast("IO[str]", file).read()), form)


@main.command()
@click.argument("name", required=False)
@click.argument("parameters", nargs=-1, metavar="[NAME=VALUE]...")
@click.option(
    "--format", "form", type=click.Choice([f.name for f in formats.ROWS]), help="For programs; default: a table."
)
@click.pass_obj
def ask(settings: Settings, name: str | None, parameters: Sequence[str], form: str | None) -> None:
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
        rows = _read(settings, lambda reader: reader.answer(lookup, formats.ROWS[0]))
        refuse_unknown(Table.from_json(rows))
    _print_answer(settings, bound, form)


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
@click.pass_obj
def rate(settings: Settings, /, as_json: bool, **inquired: Any) -> None:
    """Explain the duty rate on a product from an origin on a day.

    Example: kg rate --importer US --origin JP --product 8703.23.01 --on 2025-06-07
    """
    from kg.rates import Inquiry, explain
    from kg.results import rate_text

    inquiry = Inquiry(**inquired)
    answer = _read(settings, lambda reader: explain(reader, inquiry))
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
@click.pass_obj
def export(settings: Settings, graph: str | None, form: str | None, output: IO[bytes]) -> None:
    """Write the facts out, the same bytes for the same facts. Entailments are left out: they follow.

    Example: kg export --output parley.trig
    """
    from kg.exporting import export as write

    chosen = formats.named(form or ("turtle" if graph else "trig"), (*formats.DATASETS, *formats.GRAPHS))
    with _versions(settings).reading() as (_, store):
        write(store, graph, chosen, output)


@main.command()
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="How to print the list.",
)
@click.pass_obj
def history(settings: Settings, form: str) -> None:
    """List the commits, the newest first.

    Example: kg history
    """
    records = _versions(settings).records()
    if form == "json":
        click.echo(json.dumps([asdict(r) for r in records], ensure_ascii=False, indent=2))
        return
    for r in records:
        click.echo(f"{r.version}  {r.at}  {r.who}  +{r.added:,} -{r.removed:,} ({r.quads:,} facts)  {r.message}")


@main.command()
def check() -> None:
    """Verify that ontology, shapes, questions and facts hold together. Needs the extra `reasoning` for HermiT.

    Example: kg check
    """
    from kg.checks import run

    failures = 0
    for result in run():
        failures += result.passed is False
        word = {True: "ok  ", False: "FAIL", None: "skip"}[result.passed]
        click.echo(f"{word} {result.name}: {result.detail}")
    if failures:
        _leave(1)


def _versions(settings: Settings, *, bare: bool = False) -> Versions:
    """The embedded store, made and filled on first use."""
    from kg.content import Content
    from kg.errors import Conflict
    from kg.store import Versions

    if settings.store:
        raise BadRequest("This command works on the embedded store, not on another endpoint.", "Leave KG_STORE out.")
    versions = Versions(settings.home) if Versions.exists(settings.home) else Versions.create(settings.home, bare=bare)
    if bare and not versions.bare:
        raise Conflict(
            f"The store in {settings.home} holds Parley's facts.", "Give --bare an empty folder with --home."
        )
    content = Content.shipped()
    if versions.bare or versions.content() == content.digest():
        return versions
    from kg.loading import ensure_content  # late: most commands find a store that is up to date

    with _progress() as step:
        outcome = ensure_content(versions, content, step)
    if outcome and outcome.record:
        record = outcome.record
        click.echo(
            f"Shipped facts loaded as version {record.version}: {record.added:,} added, {record.removed:,} removed.",
            err=True,
        )
        for finding in outcome.report.violations:
            click.echo(f"no longer conforms: {finding.text()}", err=True)
    return versions


@contextmanager
def _progress() -> Iterator[Progress]:
    """Show steps of long work on a terminal's standard error, and nothing elsewhere."""
    if not sys.stderr.isatty():
        yield lambda step: None
        return
    from rich.console import Console

    with Console(stderr=True).status("") as status:
        yield lambda step: status.update(step)


def _documents(files: Sequence[Path], graph: str | None) -> list[Document]:
    from kg.parsing import Document
    from kg.terms import expand

    iri = None
    if graph is not None:
        iri = expand(graph)
        if iri is None:
            raise BadRequest(f"--graph {graph!r} is no IRI.", "Give an absolute IRI or a name such as source:my-notes.")
    return [Document.from_file(file, iri) for file in files]


def _load(
    versions: Versions,
    documents: list[Document],
    form: str,
    *,
    merge: bool = False,
    message: str = "",
    dry_run: bool = False,
) -> Outcome:
    from kg.content import Content
    from kg.loading import load as run

    mode: Any = "merge" if merge else "replace"
    try:
        with _progress() as step:
            outcome = run(
                versions, documents, Content.shipped(), mode=mode, message=message, dry_run=dry_run, progress=step
            )
    except Refused as error:
        if form != "text":
            click.echo(error.report.turtle if form == "turtle" else json.dumps(error.report.as_dict(), indent=2))
        raise
    report = outcome.report
    if form == "text":
        if report.text():
            click.echo(report.text(), err=True)
    else:
        click.echo(report.turtle if form == "turtle" else json.dumps(report.as_dict(), ensure_ascii=False, indent=2))
    return outcome


def _read(settings: Settings, work: Callable[[Reader], T]) -> T:
    """Run work on a reader, under the deadline and the memory limit of the settings."""
    from kg.engines import EndpointReader, StoreReader
    from kg.evaluation import in_deep_thread

    if settings.store:
        return work(EndpointReader(settings.store, settings.deadline))
    versions = _versions(settings)
    limit_memory(settings.memory)

    def run() -> T:
        with versions.reading() as (_, store):
            return work(StoreReader(store))

    return in_deep_thread(run, settings.deadline)


def _print_answer(settings: Settings, question: Question, form: str | None) -> None:
    from kg.results import Table, show

    chosen = formats.named(form, question.answers_with) if form else question.answers_with[0]
    body = _read(settings, lambda reader: reader.answer(question, chosen))
    if form or chosen.kind == "graph":
        sys.stdout.buffer.write(body)
        if body and not body.endswith(b"\n"):
            sys.stdout.buffer.write(b"\n")
    else:
        show(Table.from_json(body).for_people(), sys.stdout)
