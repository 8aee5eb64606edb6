"""A store with a short history, and what can happen to its files."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pyoxigraph as ox

from kg.records import Record
from kg.store import Versions
from kg.terms import ENTAILED_GRAPH
from tests.test_past import content
from tests.test_store import commit, quad

#: Versions whose databases are kept, and the current one.
KEPT, TOP = 3, 6
#: Version to what it holds, the graphs it lists, and its record.
Snapshot = dict[int, tuple[tuple[set[ox.Quad], set[object]], Record | None]]


def snapshot(versions: Versions) -> Snapshot:
    """What each version holds, and its record."""
    return {n: (content(versions, n), versions.record(n) if n else None) for n in range(versions.current() + 1)}


def within(quad: ox.Quad, graph: str) -> ox.Quad:
    """The triple of a quad in another graph."""
    return ox.Quad(quad.subject, quad.predicate, quad.object, ox.NamedNode(graph))


def fill(versions: Versions) -> Versions:
    """Six versions that add, remove and bring back facts of two sources, and entailments."""
    commit(versions, *(quad(str(n)) for n in range(40)), message="First")
    commit(versions, quad("x", "h"), within(quad("0"), "urn:e" if versions.bare else ENTAILED_GRAPH))
    with versions.writing() as draft:
        draft.remove([quad("0"), quad("1"), quad("x", "h")])
        draft.publish("Third")
    commit(versions, quad("0"), quad("x", "h"), quad("x"))
    with versions.writing() as draft:
        draft.set_graph(ox.NamedNode("urn:h"), ())
        draft.publish("Fifth")
    commit(versions, quad("last"))
    assert versions.current() == TOP
    return versions


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def turn_a_bit(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[len(data) // 3] ^= 4
    file.write_bytes(data)


def drop(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()


def put_folder(path: Path, like: Path | None = None) -> Path:
    """Put a folder where a file is, or another where a folder is."""
    drop(path)
    shutil.copytree(like, path) if like else path.mkdir()
    return path


def put_file(path: Path) -> Path:
    if path.exists():
        drop(path)
    path.write_text("x")
    return path


def leave_unfinished(home: Path) -> None:
    for name in ("staging", "versions"):
        (home / name / "7").mkdir()
    for name in ("records/7.json.new", "changes/7.nq.gz", "current.new"):
        put_file(home / name)


def edit_record(home: Path, number: int, **fields: object) -> None:
    path = home / "records" / f"{number}.json"
    path.write_text(json.dumps({**json.loads(path.read_text("utf-8")), **fields}), "utf-8")


def wound(home: Path, name: str, how: str) -> None:
    """Damage one file of a store, if it is there (still)."""
    path = home / name
    if not path.exists():
        return
    if path.is_dir() or how == "drop":
        drop(path)
    elif how == "cut":
        cut(path)
    else:
        data = bytearray(path.read_bytes())
        if data:
            data[len(data) * 2 // 3] ^= 0x55
        path.write_bytes(data)


#: Damage that the rest of the store makes good: where it is, what is done there, and what is said.
MENDED: dict[str, tuple[Callable[[Path], object], list[str]]] = {
    "the pointer is empty": (
        lambda home: (home / "current").write_text(""),
        ["current cannot be read (invalid literal for int() with base 10: ''): set to 6."],
    ),
    "the pointer is gone": (lambda home: drop(home / "current"), ["current cannot be read"]),
    "the pointer is a folder": (
        lambda home: put_folder(home / "current"),
        ["current cannot be read"],
    ),
    "the pointer is cut": (
        lambda home: (home / "current").write_text("1"),
        ["current names version 1, but there are later ones: set to 6."],
    ),
    "the current database is gone": (
        lambda home: drop(home / "versions" / "6"),
        ["version 6 is missing: made again from version 5."],
    ),
    "the current database does not open": (
        lambda home: (home / "versions" / "6" / "CURRENT").write_text("x"),
        ["version 6 is damaged (Corruption: CURRENT file does not end with newline): made again from version 5."],
    ),
    "an older database is gone": (
        lambda home: drop(home / "versions" / "5"),
        ["version 5 is missing: made again from version 4."],
    ),
    "a database is a file": (
        lambda home: put_file(home / "versions" / "5"),
        ["version 5 is damaged ("],
    ),
    "all databases are gone": (
        lambda home: drop(home / "versions"),
        ["The folder versions is missing: made.", "version 6 is missing: made again from the change sets."],
    ),
    "a database is that of another version": (
        lambda home: put_folder(home / "versions" / "6", like=home / "versions" / "5"),
        ["version 6 is damaged (it does not hold what its change set says): made again from version 5."],
    ),
    "a change set is gone": (
        lambda home: drop(home / "changes" / "2.nq.gz"),
        ["change set 2 is missing: worked out anew from versions 1 and 2."],
    ),
    "a change set is cut": (
        lambda home: cut(home / "changes" / "5.nq.gz"),
        ["change set 5 is damaged: worked out anew from versions 4 and 5."],
    ),
    "a change set is empty": (
        lambda home: (home / "changes" / "6.nq.gz").write_bytes(b""),
        ["change set 6 is damaged: worked out anew from versions 5 and 6."],
    ),
    "the kind of the store is gone": (
        lambda home: drop(home / "store.json"),
        ["store.json cannot be read: written anew"],
    ),
    "a record has wrong counts": (
        lambda home: edit_record(home, 3, removed=7, quads=1000),
        ["record 3 has other counts than its change set: set right."],
    ),
    "a folder is gone": (lambda home: drop(home / "staging"), ["The folder staging is missing: made."]),
    "all locks are gone": (lambda home: drop(home / "locks"), ["The folder locks is missing: made."]),
    "a lock is a folder": (
        lambda home: put_folder(home / "locks" / "writer"),
        ["locks/writer is no file: moved to lost/locks-writer."],
    ),
    "locks are of no version, or odd": (
        lambda home: [(home / "locks" / name).write_text("pid 7") for name in ("1", "5", "writer", "x")],
        ["locks/1 is no lock of a version: removed.", "locks/5 is", "locks/x is"],
    ),
    "work is unfinished": (
        lambda home: leave_unfinished(home),
        [
            "staging/7 is what a process left that did not come to its end: removed.",
            "current.new is what",
            "records/7.json.new is what",
            "versions/7 is what",
            "changes/7.nq.gz is what",
        ],
    ),
    "foreign things are in the folders": (
        lambda home: (put_file(home / "versions" / "old"), put_file(home / "records" / "007.json")),
        [
            "versions/old does not belong there: moved to lost/versions-old.",
            "records/007.json does not belong there: moved to lost/records-007.json.",
        ],
    ),
}
