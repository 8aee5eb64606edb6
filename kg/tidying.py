"""The files of a store as a repair finds them: what is missing, what does not belong there, and what is set aside."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pyoxigraph as ox

from kg.changes import HISTORY
from kg.durable import locked, replace, sweep
from kg.store import FOLDERS, FORMAT

#: The folders with a file (or folder) for each version, and how their names end.
ENDINGS = {"versions": "", "records": ".json", "changes": ".nq.gz", "locks": ""}
_LEFT = "is what a process left that did not come to its end"


@dataclass(frozen=True)
class Finding:
    """What was wrong, what was done about it, and what is lost with it."""

    wrong: str
    done: str
    lost: str = ""

    @property
    def text(self) -> str:
        return f"{self.wrong}: {self.done}." + (f" Lost: {self.lost}." if self.lost else "")


def numbered(home: Path, folder: str) -> dict[int, Path]:
    """The files of a folder of the store by version; other names are left out."""
    ending = ENDINGS[folder]
    stems = {p: p.name.removesuffix(ending) for p in (home / folder).iterdir() if p.name.endswith(ending)}
    return {int(stem): path for path, stem in stems.items() if stem.isdecimal() and str(int(stem)) == stem}


def set_aside(home: Path, path: Path) -> str:
    """Move something out of the store's way into its folder `lost`, and say where it is now."""
    name = "-".join(path.relative_to(home).parts)
    (home / "lost").mkdir(exist_ok=True)
    discard(home / "lost" / name)
    path.rename(home / "lost" / name)
    return f"lost/{name}"


def discard(path: Path) -> None:
    """Remove a file or a folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def unblock(home: Path) -> list[Finding]:
    """See to it that locks can be taken."""
    odd = [path for path in (home / "locks").glob("*") if not path.is_file()]
    found = [Finding(f"locks/{path.name} is no file", f"moved to {set_aside(home, path)}") for path in odd]
    return [*_folder(home, "locks"), *found]


def furnish(home: Path) -> list[Finding]:
    """See to the folders and to store.json, and clear away unfinished work; the writer's lock must be held."""
    found = [finding for name in FOLDERS[:-1] for finding in _folder(home, name)]
    found += [Finding(f"past/{name} {_LEFT}", "removed") for name in sweep(home / "past")]
    unfinished = list((home / "staging").iterdir())
    for path in (*unfinished, *home.glob("*.new"), *home.glob("records/*.new")):
        discard(path)
        found.append(Finding(f"{path.relative_to(home)} {_LEFT}", "removed"))
    if not _has_kind(home):
        bare = _looks_bare(home)
        replace(home / "store.json", json.dumps({"format": FORMAT, "bare": bare}) + "\n")
        found.append(Finding("store.json cannot be read", f"written anew, for a {'bare ' if bare else ''}store"))
    return found


def _folder(home: Path, name: str) -> Iterator[Finding]:
    path = home / name
    if path.exists() and not path.is_dir():
        yield Finding(f"{name} is no folder", f"moved to {set_aside(home, path)}")
    if not path.exists():
        path.mkdir()
        yield Finding(f"The folder {name} is missing", "made")


def _has_kind(home: Path) -> bool:
    try:
        kind = json.loads((home / "store.json").read_text("utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(kind, dict) and "bare" in kind and "format" in kind


def _looks_bare(home: Path) -> bool:
    """Whether what is there is of a bare store: its commits bring no shipped content, and its versions no history."""
    for path in numbered(home, "records").values():
        with suppress(OSError, ValueError, AttributeError):
            if json.loads(path.read_text("utf-8")).get("content"):
                return False
    for number, path in numbered(home, "versions").items():
        with suppress(OSError, RuntimeError):
            if number:
                return not ox.Store.read_only(str(path)).contains_named_graph(HISTORY)
    return False


def tidy(home: Path, top: int) -> list[Finding]:
    """Clear away what is of no version up to the current one; what is of no store at all is set aside."""
    found = list(_odd_locks(home))
    for folder in ("versions", "records", "changes"):
        known = numbered(home, folder)
        for number in sorted(n for n in known if n > top):
            discard(known.pop(number))
            found.append(Finding(f"{folder}/{number}{ENDINGS[folder]} {_LEFT}", "removed"))
        strays = sorted(set((home / folder).iterdir()) - set(known.values()))
        found += [
            Finding(f"{p.relative_to(home)} does not belong there", f"moved to {set_aside(home, p)}") for p in strays
        ]
    with suppress(OSError):
        (home / "lost").rmdir()
    return found


def _odd_locks(home: Path) -> Iterator[Finding]:
    """Remove the locks of versions that are gone, and what is no lock of a version; not what somebody holds."""
    versions = {str(number) for number in numbered(home, "versions")}
    for path in sorted((home / "locks").iterdir()):
        odd = path.stat().st_size > 0 or path not in numbered(home, "locks").values()
        if path.name != "writer" and (odd or path.name not in versions):
            with suppress(BlockingIOError), locked(path, wait=False):
                path.unlink()
                if odd:
                    yield Finding(f"locks/{path.name} is no lock of a version", "removed")
