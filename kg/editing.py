"""The commands that change facts: `load`, `update`, `validate`, `remove` and `import`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING

import click

from kg.console import (
    file_option,
    load_files,
    one_text,
    open_versions,
    progress_bar,
    read_iri,
    report_format,
    reported,
    tell,
    write_with,
)
from kg.settings import Settings

if TYPE_CHECKING:
    from kg.parsing import Document
    from kg.store import Versions

_FILES = click.Path(exists=True, path_type=Path)


@click.command()
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


@click.command()
@click.argument("text", required=False)
@file_option
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
    request = {"job": "update", "text": one_text("update", text, file), "message": message, "dry_run": dry_run}
    outcome = write_with(settings, request, form)
    if form == "text":
        tell(outcome, dry_run, "Nothing to do: the graph stays as it is.")


@click.command()
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


@click.command()
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


@click.group("import")
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


COMMANDS = (load, update, validate, remove, import_)
