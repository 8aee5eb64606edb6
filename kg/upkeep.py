"""Commands that keep the store: its history, what changed, taking back, saving and mending."""

from __future__ import annotations

import json
import signal
import sys
from dataclasses import asdict
from pathlib import Path

import click

from kg.console import (
    embedded,
    leave,
    open_versions,
    present_versions,
    progress_bar,
    report_format,
    reported,
    tell,
)
from kg.errors import BadRequest
from kg.settings import Settings


@click.command()
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
    records = open_versions(settings).records()
    if form == "json":
        click.echo(json.dumps([asdict(r) for r in records], ensure_ascii=False, indent=2))
        return
    for r in records:
        click.echo(
            f"{r.version}  {r.at}  {r.author or r.who}  +{r.added:,} -{r.removed:,} ({r.quads:,} facts)  {r.message}"
        )


@click.command()
@click.argument("start", metavar="A")
@click.argument("end", metavar="[B]", required=False)
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "nquads", "patch"]),
    default="text",
    show_default=True,
    help="For people, or for programs; `patch` is RDF Patch.",
)
@click.option("--removed", is_flag=True, help="With nquads: the quads that went, not those that came.")
@click.pass_obj
def diff(settings: Settings, start: str, end: str | None, form: str, removed: bool) -> None:
    """Show what sources came to say, or no longer say, from version A to version B (default: the current one).

    A and B are numbers, or days (UTC) or moments at which the version was current. Entailments are left out: they
    follow.

    Example: kg diff 1 --format patch
    """
    from kg.differences import difference

    if removed and form != "nquads":
        raise BadRequest("--removed goes with --format nquads.", "The other formats show both.")
    versions = open_versions(settings)
    found = difference(versions, versions.at(start), versions.current() if end is None else versions.at(end))
    lines = found.nquads(removed=removed) if form == "nquads" else getattr(found, form)()
    sys.stdout.writelines(f"{line}\n" for line in lines)


@click.command()
@click.argument("version", type=click.IntRange(min=1), required=False)
@click.option("--message", default="", help="Why, for the history.")
@click.option("--dry-run", is_flag=True, help="Check everything, change nothing.")
@report_format
@click.pass_obj
def undo(settings: Settings, version: int | None, message: str, dry_run: bool, form: str) -> None:
    """Take back what a version changed (default: the current one), as a new commit.

    Facts that later commits changed again are left as they are. If other facts rely on what would go, nothing is
    changed.

    Example: kg undo 2
    """
    from kg.content import Content
    from kg.loading import undo as run

    versions = open_versions(settings)
    number = versions.current() if version is None else version
    outcome = reported(
        form,
        lambda step: run(versions, number, Content.shipped(), message=message, dry_run=dry_run, progress=step),
    )
    if form != "text":
        return
    if outcome.skipped:
        click.echo(f"Changed again since, and left as they are: {outcome.skipped:,} facts.", err=True)
    record = versions.record(number)
    if outcome.skipped == record.added + record.removed:
        click.echo(f"Nothing to do: nothing is left of version {number}.")
    else:
        tell(outcome, dry_run)


@click.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--verify", is_flag=True, help="Only check a backup that is there, to its last byte.")
@click.pass_obj
def backup(settings: Settings, file: Path, verify: bool) -> None:
    """Save the current version in one tar file, with the history of all versions before it.

    The store may be read and written meanwhile. A file whose name ends with .gz or .tgz is compressed.

    Example: kg backup parley.tar
    """
    from kg.backup import back_up
    from kg.backup import verify as run

    _interruptible()
    with progress_bar() as step:
        manifest = run(file, step) if verify else back_up(present_versions(settings), file, step)
    done = "is whole: it holds" if verify else "holds"
    click.echo(f"{file} {done} version {manifest.version} with {manifest.facts:,} facts.")


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.pass_obj
def restore(settings: Settings, file: Path) -> None:
    """Make a store of a backup, in a folder that holds none.

    Everything is checked before the store is put in its place; if that fails, nothing is left.

    Example: kg restore parley.tar
    """
    from kg.backup import restore as run

    embedded(settings)
    _interruptible()
    with progress_bar() as step:
        manifest = run(file, settings.home, step)
    click.echo(f"{settings.home} holds version {manifest.version} with {manifest.facts:,} facts.")


def _interruptible() -> None:
    """Let Ctrl-C clean up: what these commands leave half done, no other would sweep."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@click.command()
@click.option("--dry-run", is_flag=True, help="Tell what would be done, and change nothing.")
@click.pass_obj
def repair(settings: Settings, dry_run: bool) -> None:
    """Check the store to its last block, and mend it if it is damaged.

    Each line says what was wrong, what was done and what is lost. Exit status: 0 if the store is whole (again), 1 if
    something is lost, or would have to be mended.

    Example: kg repair --dry-run
    """
    from kg.repairing import repair as run

    embedded(settings)
    with progress_bar() as step:
        found = run(settings.home, step, dry_run=dry_run)
    for finding in found:
        click.echo(finding.text)
    if not found:
        click.echo("The store is whole.")
    elif any(finding.lost for finding in found):
        click.echo(
            "The store would be usable again, with losses." if dry_run else "The store is usable again, with losses."
        )
    else:
        click.echo("The store would be whole again." if dry_run else "The store is whole again.")
    if found and (dry_run or any(finding.lost for finding in found)):
        leave(1)


COMMANDS = (history, diff, undo, backup, restore, repair)
