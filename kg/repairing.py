"""Make a damaged store whole again, as far as what is left of it allows.

A store says most things twice: a version stands in its database, and follows from any other by the change sets; a
change set follows from the versions on both sides; the history in later versions tells what records tell. So what is
damaged is set aside and made again from the rest. What cannot be made again stays in the folder `lost`.
"""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, replace
from itertools import chain
from pathlib import Path

import pyoxigraph as ox

from kg import durable
from kg.changes import HISTORY, Change, read, write
from kg.durable import locked, scratch, sync_folder
from kg.errors import Conflict, NotFound, StoreFailure
from kg.inspecting import Tally, inspect
from kg.loading import Progress
from kg.past import rebuild
from kg.quads import TOP, count_stated
from kg.recalling import recall
from kg.records import Record
from kg.store import KEEP, Versions
from kg.tidying import Finding, discard, furnish, numbered, set_aside, tidy, unblock


def repair(home: Path, progress: Progress, *, dry_run: bool = False) -> list[Finding]:
    """Mend the store in a folder. A dry run does the same to a copy of hard links, which is thrown away.

    Raises:
        NotFound: the folder holds nothing of a store.
        Conflict: a process reads a version that is damaged.
        StoreFailure: the store is of another format, or the folder cannot be written.
    """
    if not any((home / name).exists() for name in ("store.json", "current", "versions", "records")):
        raise NotFound(f"{home} holds no Parley store.", "Name its folder with KG_HOME.")
    with ExitStack() as stack:
        try:
            if not dry_run:
                found = unblock(home)
                stack.enter_context(locked(home / "locks" / "writer"))
                return found + _Mending(home, progress).run()
            with suppress(OSError):  # without the folder for locks nobody can write
                stack.enter_context(locked(home / "locks" / "writer"))
            copy = stack.enter_context(scratch(home / "past")) / "copy"
            shutil.copytree(home, copy, copy_function=os.link, symlinks=True, ignore=_but(home / "past"))
            return unblock(copy) + _Mending(copy, progress).run()
        except OSError as error:
            raise StoreFailure(f"The store in {home} cannot be mended: {error}.") from None


def _but(folder: Path) -> Callable[[str, list[str]], list[str]]:
    """Leave a folder out of a copy."""
    return lambda parent, names: [name for name in names if Path(parent, name) == folder]


class _Mending:
    """The work on one store, whose writers are kept off. What `facts` and `tallies` list is whole."""

    def __init__(self, home: Path, progress: Progress) -> None:
        self._home, self._progress = home, progress
        self._found = furnish(home)
        self._versions = Versions(home)
        self._top = self._settle_current()
        #: Databases that are whole: version to the number of facts that sources assert in it.
        self._facts: dict[int, int] = {}
        #: Databases and change sets that are not, and why.
        self._no_database: dict[int, str] = {}
        self._no_change: dict[int, str] = {}
        #: Change sets that are whole.
        self._tallies: dict[int, Tally] = {}
        self._records: dict[int, Record] = {}
        #: How many facts each version has, where that is known.
        self._sizes = {0: 0}

    def run(self) -> list[Finding]:
        self._read_changes()
        self._read_databases()
        self._mend_records(self._tallies)
        self._mend_changes()
        self._mend_records(range(1, self._top + 1))
        self._mend_databases()
        self._fall_back()
        self._tell_what_is_out_of_reach()
        return self._found + tidy(self._home, self._top)

    def _tell(self, wrong: str, done: str, lost: str = "") -> None:
        self._found.append(Finding(wrong, done, lost))

    def _settle_current(self) -> int:
        """Find which version is to be the current one, if its file does not say so."""
        parts = Counter(chain.from_iterable(numbered(self._home, f) for f in ("versions", "records", "changes")))
        # Of a commit that did not come to its end, two parts at most are there, and none of a later one.
        there = max((number for number, count in parts.items() if count > 1), default=0)
        pointer = self._home / "current"
        try:
            named = int(pointer.read_text("ascii"))
            if named < 0:
                raise ValueError(f"it says {named}")
        except (OSError, ValueError) as error:
            named, wrong = there, f"current cannot be read ({getattr(error, 'strerror', error)})"
        else:
            wrong = "" if there <= named + 1 else f"current names version {named}, but there are later ones"
        if named > max(parts, default=0):
            wrong, lost = (
                f"current names version {named}, of which nothing is there",
                f"what came after version {there}",
            )
        elif not wrong:
            return named
        else:
            lost = ""
        if pointer.is_dir():
            set_aside(self._home, pointer)
        durable.replace(pointer, f"{there}\n")
        self._tell(wrong, f"set to {there}", lost)
        return there

    def _read_changes(self) -> None:
        for number in range(1, self._top + 1):
            self._progress("reading change sets", number, self._top)
            file = self._versions.change_file(number)
            try:
                self._tallies[number] = Tally.of(read(self._versions, number))
            except StoreFailure:
                self._no_change[number] = "is damaged" if file.exists() else "is missing"
                if file.exists():
                    set_aside(self._home, file)

    def _read_databases(self) -> None:
        kept = sorted(n for n in numbered(self._home, "versions") if n <= self._top)
        for place, number in enumerate(kept):
            self._progress(f"checking version {number}", place, len(kept))
            change = read(self._versions, number) if number in self._tallies else None
            try:
                with scratch(self._home / "past") as folder:
                    self._facts[number] = inspect(self._path(number), change, folder, bare=self._versions.bare)
            except StoreFailure as error:
                self._no_database[number] = f"is damaged ({error.message})".replace(f"{self._home}{os.sep}", "")
        self._set_databases_aside()
        oldest = min((n for n in kept if n > self._top - KEEP), default=self._top)
        for number in set(range(oldest, self._top + 1)) - set(kept):
            self._no_database[number] = "is missing"

    def _set_databases_aside(self) -> None:
        """Take the damaged databases out of the way of readers: all of them, or none if one of them is read."""
        with ExitStack() as stack:
            for number in self._no_database:
                stack.enter_context(self._alone(number))
            for number in self._no_database:
                set_aside(self._home, self._path(number))
                (self._home / "locks" / str(number)).unlink()

    @contextmanager
    def _alone(self, number: int) -> Iterator[None]:
        """Keep readers of a version off."""
        try:
            with locked(self._home / "locks" / str(number), wait=False):
                yield
        except BlockingIOError:
            raise Conflict(
                f"Version {number} is damaged, and a process reads it.",
                "End `kg serve` and what else reads the store, then run `kg repair` again.",
            ) from None

    def _path(self, number: int) -> Path:
        return self._home / "versions" / str(number)

    def _mend_records(self, numbers: Iterable[int]) -> None:
        """Make records again, and set their counts right by the change sets."""
        for number in sorted(set(numbers) - set(self._records)):
            file, found, lost = self._home / "records" / f"{number}.json", None, ""
            try:
                record = found = self._versions.record(number)
                wrong, done = f"record {number} has other counts than its change set", "set right"
            except StoreFailure:
                wrong = f"record {number} is {'damaged' if file.exists() else 'missing'}"
                done = "made again from its change set and the history"
                record, lost = recall(self._versions, number, sorted(n for n in self._facts if n >= number))
            record = self._records[number] = self._counted(record, trusted=found is not None)
            if record == found:
                continue
            if lost and file.exists():
                set_aside(self._home, file)
            durable.replace(file, json.dumps(asdict(record), ensure_ascii=False, indent=1) + "\n")
            self._tell(wrong, done, lost)

    def _counted(self, record: Record, *, trusted: bool) -> Record:
        """The record with the counts of its change set, and with as many facts as follow from the version before it.

        Where that is not known, the record is trusted or not, and then its database.
        """
        number, tally = record.version, self._tallies.get(record.version)
        quads = record.quads if trusted else self._facts.get(number)
        if tally:
            record = replace(record, added=tally.added, removed=tally.removed, graphs=tally.graphs)
            if number - 1 in self._sizes:
                quads = self._sizes[number - 1] + tally.added - tally.removed
        if quads is None:
            return record
        self._sizes[number] = quads
        return replace(record, quads=quads)

    def _reachable(self, bases: Iterable[int]) -> set[int]:
        """The versions to which whole change sets lead from the bases, or from nothing."""
        reached = {0, *bases}
        for number in range(1, self._top + 1):
            if number - 1 in reached and number in self._tallies:
                reached.add(number)
        for number in range(self._top, 0, -1):
            if number in reached and number in self._tallies:
                reached.add(number - 1)
        return reached

    def _mend_changes(self) -> None:
        reached = self._reachable(self._facts)
        for number, state in self._no_change.items():
            wrong, file = f"change set {number} {state}", self._versions.change_file(number)
            if {number - 1, number} <= reached:
                with self._state(number - 1) as before, self._state(number) as after:
                    change = Change(self._beyond(after, before), self._beyond(before, after))
                write(file, change)
                self._tallies[number] = Tally.of(change)
                self._tell(wrong, f"worked out anew from versions {number - 1} and {number}")
                discard(self._home / "lost" / f"changes-{file.name}")
            elif number <= max(reached):
                self._tell(wrong, "it cannot be worked out", f"what version {number} changed")

    @contextmanager
    def _state(self, number: int) -> Iterator[ox.Store]:
        """A version to read, made again if its database is not whole."""
        if number in self._facts:
            yield ox.Store.read_only(str(self._path(number)))
            return
        with scratch(self._home / "past") as folder:
            rebuild(self._versions, number, folder / "store", self._facts)
            yield ox.Store.read_only(str(folder / "store"))

    def _beyond(self, store: ox.Store, other: ox.Store) -> set[ox.Quad]:
        """What one version holds and another does not, as change sets tell it."""
        apart = {HISTORY} if self._versions.bare else {HISTORY, TOP}
        return {quad for quad in store if quad.graph_name not in apart and quad not in other}

    def _mend_databases(self) -> None:
        suspects = {n: f for n, f in self._facts.items() if f != (self._records[n].quads if n else 0)}
        for number in suspects:
            del self._facts[number]
        reached = self._reachable(self._facts)
        for number, facts in suspects.items():
            wrong = f"version {number} holds {facts:,} facts, which its record contradicts"
            if number not in reached:
                self._facts[number] = facts
                self._tell(wrong, "left as it is, since nothing tells which is right", "the certainty of it")
            else:
                self._make(number, wrong, unlike=facts)
        for number in sorted(self._no_database):
            if number in reached:
                self._make(number, f"version {number} {self._no_database[number]}")

    def _make(self, number: int, wrong: str, *, unlike: int | None = None) -> None:
        """Make a database again, and put it in its place unless it has as many facts as the one that is there."""
        path = self._home / "staging" / str(number)
        self._progress(f"making version {number} again")
        base = rebuild(self._versions, number, path, self._facts)
        facts = count_stated(ox.Store.read_only(str(path)), bare=self._versions.bare)
        self._facts[number] = facts
        if facts == unlike:
            discard(path)
            return
        if self._path(number).exists():
            with self._alone(number):
                set_aside(self._home, self._path(number))
        path.rename(self._path(number))
        sync_folder(self._home / "versions")
        discard(self._home / "lost" / f"versions-{number}")
        self._tell(wrong, f"made again from {f'version {base}' if base else 'the change sets'}")

    def _fall_back(self) -> None:
        """If the current version cannot be made again, make the newest current that is whole."""
        if self._top in self._facts:
            return
        newest = max(self._reachable(self._facts))
        if newest not in self._facts:
            self._make(newest, f"version {newest} is the newest that can be had")
        durable.replace(self._home / "current", f"{newest}\n")
        for number in range(newest + 1, self._top + 1):
            for path in (self._versions.change_file(number), self._home / "records" / f"{number}.json"):
                if path.exists():
                    set_aside(self._home, path)
            wrong = f"version {number} {self._no_database.get(number, 'is not kept')} and cannot be made again"
            self._tell(wrong, "what is left of it is in the folder lost", _described(self._records[number]))
        self._tell(f"version {self._top} was the current one", f"version {newest} is now")
        self._top = newest

    def _tell_what_is_out_of_reach(self) -> None:
        gone = sorted(set(range(self._top + 1)) - self._reachable(self._facts))
        starts = [n for n in gone if n - 1 not in gone]
        for start in starts:
            end = next(n for n in range(start, self._top + 1) if n + 1 not in gone)
            which = f"version {start}" if start == end else f"versions {start} to {end}"
            self._tell(f"no change sets lead to {which}", "nothing can be done", f"reading {which}")


def _described(record: Record) -> str:
    return (
        f"the commit of {record.at} by {record.who} ({record.message}), which added {record.added:,} facts and removed "
        f"{record.removed:,} in {', '.join(record.graphs) or 'no graph that is known'}"
    )
