"""What the commands of the command line share: the store, progress on a terminal, reading and printing."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NoReturn, TypeVar, cast

import click

from kg import formats
from kg.errors import BadRequest, NotFound, Refused
from kg.settings import Settings, limit_memory

if TYPE_CHECKING:
    from kg.engines import Reader
    from kg.evaluation import Question
    from kg.loading import Outcome, Progress
    from kg.report import Report
    from kg.store import Versions

T = TypeVar("T")

at_option = click.option(
    "--at",
    metavar="VERSION|TIME",
    help="Read a past version: by number, or by the day (UTC) or moment when it was current.",
)
file_option = click.option(
    "--file", "-f", "file", type=click.File("r", encoding="utf-8"), help="Read it from a file (- for stdin)."
)
report_format = click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "turtle"]),
    default="text",
    show_default=True,
    help="How to print the report.",
)


def leave(status: int) -> NoReturn:
    """End at once: native code in another thread may still be running and cannot be interrupted."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def embedded(settings: Settings) -> None:
    """Refuse a command on the embedded store while another is set."""
    if settings.store:
        raise BadRequest("This command works on the embedded store, not on another endpoint.", "Leave KG_STORE out.")


def present_versions(settings: Settings) -> Versions:
    """The embedded store as it is: neither made nor brought up to date."""
    from kg.store import Versions

    embedded(settings)
    if not Versions.exists(settings.home):
        raise NotFound(f"{settings.home} holds no store.", "Name its folder with KG_HOME.")
    return Versions(settings.home)


def open_versions(settings: Settings, *, bare: bool = False) -> Versions:
    """The embedded store, made and filled on first use."""
    from kg.content import Content
    from kg.errors import Conflict
    from kg.store import Versions

    embedded(settings)
    versions = Versions(settings.home) if Versions.exists(settings.home) else Versions.create(settings.home, bare=bare)
    if bare and not versions.bare:
        raise Conflict(
            f"The store in {settings.home} holds Parley's facts.", "Give --bare an empty folder with --home."
        )
    content = Content.shipped()
    if versions.bare or versions.content() == content.digest():
        return versions
    from kg.loading import ensure_content  # late: most commands find a store that is up to date
    from kg.terms import compact

    with progress_bar() as step:
        outcome = ensure_content(versions, content, step)
    if outcome and outcome.record:
        record = outcome.record
        click.echo(
            f"Shipped facts loaded as version {record.version}: {record.added:,} added, {record.removed:,} removed.",
            err=True,
        )
        for finding in outcome.report.violations:
            click.echo(f"no longer conforms: {compact(finding.source)}: {finding.text()}", err=True)
    return versions


@contextmanager
def progress_bar() -> Iterator[Progress]:
    """Show the steps of long work on a terminal's standard error, with a bar where the end is known."""
    if not sys.stderr.isatty():
        yield lambda step, done=0, total=0: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None)
        yield lambda step, done=0, total=0: bar.update(task, description=step, completed=done, total=total or None)


def load_files(
    settings: Settings,
    files: Sequence[Path],
    graph: str | None,
    form: str,
    *,
    merge: bool = False,
    message: str = "",
    dry_run: bool = False,
) -> Outcome:
    """Load files, and those in folders, and print the report."""
    from kg.parsing import Document, rdf_files

    iri = None if graph is None else read_iri("--graph", graph)
    found = [file for path in files for file in rdf_files(path)]
    for file in found:  # what is wrong with a name is said before a process is started
        Document.from_file(file, iri)
    request = {
        "job": "files",
        "paths": [str(file) for file in found],
        "graph": iri,
        "mode": "merge" if merge else "replace",
        "message": message,
        "dry_run": dry_run,
    }
    return write_with(settings, request, form)


def write_with(settings: Settings, request: dict[str, Any], form: str) -> Outcome:
    """Have a process of its own, which foreign text may exhaust without harm, write; and print its report."""
    from kg.wire import ask_once, rebuild_outcome

    versions = open_versions(settings)

    def work(step: Progress) -> Outcome:
        return rebuild_outcome(ask_once(versions.home, settings.memory, request, step))

    return reported(form, work)


def one_text(what: str, text: str | None, file: IO[str] | None) -> str:
    if (text is None) == (file is None):
        raise click.UsageError(f"Give the {what} as an argument, or in a file with --file.")
    return text if text is not None else cast("IO[str]", file).read()


def read_iri(argument: str, text: str) -> str:
    """The IRI of an argument. Raises: BadRequest."""
    from kg.terms import expand

    iri = expand(text)
    if iri is None:
        raise BadRequest(f"{argument} {text!r} is no IRI.", "Give an absolute IRI or a name such as source:my-notes.")
    return iri


def reported(form: str, work: Callable[[Progress], Outcome]) -> Outcome:
    """Do work that commits and print its report: as text on standard error, or on standard output for programs."""
    try:
        with progress_bar() as step:
            outcome = work(step)
    except Refused as error:
        if form != "text":
            _print(error.report, form)
        raise
    report = outcome.report
    if form != "text":
        _print(report, form)
    elif report.text():
        click.echo(report.text(), err=True)
    return outcome


def _print(report: Report, form: str) -> None:
    if form == "turtle":
        click.echo(report.turtle, nl=False)
    else:
        click.echo(json.dumps(report.as_dict(), ensure_ascii=False, indent=2))


def tell(outcome: Outcome, dry_run: bool, idle: str = "Nothing to do: the graph holds all this.") -> None:
    """Say in a line what a commit did."""
    if outcome.record:
        record = outcome.record
        click.echo(f"Version {record.version}: {record.added:,} added, {record.removed:,} removed.")
    else:
        click.echo("The facts conform. Nothing was changed." if dry_run else idle)


def read_with(settings: Settings, at: str | None, work: Callable[[Reader], T]) -> T:
    """Run work on a reader, under the deadline and the memory limit of the settings.

    `at` names a version or a time (None: the current version), for the embedded store only.
    """
    from kg.engines import EndpointReader, StoreReader
    from kg.evaluation import in_deep_thread

    if settings.store and at is None:
        return work(EndpointReader(settings.store, settings.deadline))
    versions = open_versions(settings)
    with versions.reading(None if at is None else versions.at(at)) as (_, store):
        limit_memory(settings.memory)
        return in_deep_thread(lambda: work(StoreReader(store)), settings.deadline)


def print_answer(settings: Settings, at: str | None, question: Question, form: str | None) -> None:
    chosen = formats.named(form, question.answers_with) if form else question.answers_with[0]
    body = read_with(settings, at, lambda reader: reader.answer(question, chosen))
    if form or chosen.kind == "graph":
        sys.stdout.buffer.write(body)
        if body and not body.endswith(b"\n"):
            sys.stdout.buffer.write(b"\n")
    else:
        from kg.results import Table, show

        show(Table.from_json(body).for_people(), sys.stdout)
