"""What the commands of the command line share: the store, progress on a terminal, reading and printing."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import click

from kg import formats
from kg.errors import BadRequest, Refused
from kg.settings import Settings, limit_memory

if TYPE_CHECKING:
    from kg.engines import Reader
    from kg.evaluation import Question
    from kg.loading import Outcome, Progress
    from kg.report import Report
    from kg.store import Versions

T = TypeVar("T")


def leave(status: int) -> NoReturn:
    """End at once: native code in another thread may still be running and cannot be interrupted."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def open_versions(settings: Settings, *, bare: bool = False) -> Versions:
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

    with progress_bar() as step:
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
    with reporting(form), progress_bar() as step:
        answer = ask_once(versions.home, settings.memory, request, step)
    return print_report(rebuild_outcome(answer), form)


def read_iri(argument: str, text: str) -> str:
    """The IRI of an argument. Raises: BadRequest."""
    from kg.terms import expand

    iri = expand(text)
    if iri is None:
        raise BadRequest(f"{argument} {text!r} is no IRI.", "Give an absolute IRI or a name such as source:my-notes.")
    return iri


@contextmanager
def reporting(form: str) -> Iterator[None]:
    """Print the report of facts that are refused, if it is wanted for programs; the text goes with the error."""
    try:
        yield
    except Refused as error:
        if form != "text":
            _print(error.report, form)
        raise


def print_report(outcome: Outcome, form: str) -> Outcome:
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


def read_with(settings: Settings, work: Callable[[Reader], T]) -> T:
    """Run work on a reader, under the deadline and the memory limit of the settings."""
    from kg.engines import EndpointReader, StoreReader
    from kg.evaluation import in_deep_thread

    if settings.store:
        return work(EndpointReader(settings.store, settings.deadline))
    versions = open_versions(settings)
    limit_memory(settings.memory)

    def run() -> T:
        with versions.reading() as (_, store):
            return work(StoreReader(store))

    return in_deep_thread(run, settings.deadline)


def print_answer(settings: Settings, question: Question, form: str | None) -> None:
    from kg.results import Table, show

    chosen = formats.named(form, question.answers_with) if form else question.answers_with[0]
    body = read_with(settings, lambda reader: reader.answer(question, chosen))
    if form or chosen.kind == "graph":
        sys.stdout.buffer.write(body)
        if body and not body.endswith(b"\n"):
            sys.stdout.buffer.write(b"\n")
    else:
        show(Table.from_json(body).for_people(), sys.stdout)
