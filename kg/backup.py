"""A backup: one tar file with a version of the store and all that is known of the versions before it.

    manifest.json                       what it is a backup of; size and SHA-256 of every other member
    store.json                          what kind of store it is
    records/N.json, changes/N.nq.gz     of every version up to the one saved
    database/…                          the database of that version

The file is put in its place when it is whole, and so is the store that comes out of one.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import re
import tarfile
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from io import BytesIO
from pathlib import Path
from typing import IO, Any, cast

from kg import __version__
from kg.durable import locked, replace, scratch, sync_folder
from kg.errors import BadData, BadRequest, Conflict, StoreFailure
from kg.loading import Progress
from kg.quads import count_stated
from kg.store import FOLDERS, REPAIR, Versions

FORMAT = 1
_MANIFEST = "manifest.json"
#: Bytes that a manifest may have: some million members.
_LARGEST_MANIFEST = 1 << 28
_IN_DATABASE = re.compile(r"database/[A-Za-z0-9_-][A-Za-z0-9._-]*\Z")


@dataclass(frozen=True)
class Manifest:
    """What a backup holds: `facts` that sources assert, `members` as name to (bytes, SHA-256 in hexadecimal)."""

    version: int
    facts: int
    members: dict[str, tuple[int, str]]
    format: int = FORMAT
    package: str = __version__


def back_up(versions: Versions, file: Path, progress: Progress) -> Manifest:
    """Save the current version in a file, whoever reads and writes meanwhile. A name that ends with gz is compressed.

    Raises:
        BadRequest: the file cannot stand there.
        Conflict: another backup writes to the same file.
        StoreFailure: the store is damaged, or the file cannot be written.
    """
    if file.is_dir() or not file.parent.is_dir() or file.resolve().is_relative_to(versions.home.resolve()):
        raise BadRequest(
            f"{file} cannot hold a backup.", "Give a file in a folder that is there, outside of the store."
        )
    try:
        with versions.reading() as (number, store), scratch(versions.home / "past") as folder:
            progress("counting")
            if count_stated(store, bare=versions.bare) != versions.facts(number):
                raise StoreFailure(f"Version {number} does not hold as many facts as its record says.", REPAIR)
            store.backup(str(folder / "database"))
            members = _members(versions, number, folder / "database")
            manifest = Manifest(number, versions.facts(number), {name: _sum(path) for name, path in members.items()})
            with _written(file) as raw:
                _write(raw, file.suffix in (".gz", ".tgz"), manifest, members, progress)
    except OSError as error:
        raise StoreFailure(f"{file} cannot be written: {error.strerror or error}.") from None
    return manifest


def _members(versions: Versions, number: int, database: Path) -> dict[str, Path]:
    """Name to file of what goes into a backup; records and change sets are read once, so that none is damaged."""
    for version in range(1, number + 1):
        versions.record(version)
        for _ in versions.changes(version):
            pass
    names = ["store.json"]
    names += [name for n in range(1, number + 1) for name in (f"records/{n}.json", f"changes/{n}.nq.gz")]
    members = {name: versions.home / name for name in names}
    return members | {f"database/{path.name}": path for path in sorted(database.iterdir())}


def _sum(path: Path) -> tuple[int, str]:
    with path.open("rb") as file:
        return path.stat().st_size, hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def _written(file: Path) -> Iterator[IO[bytes]]:
    """A file to write that takes its name when it is whole and on the disk, and is gone if something fails."""
    part = file.with_name(file.name + ".part")
    try:
        with locked(part, wait=False) as raw:
            try:
                raw.seek(0)
                raw.truncate()
                yield raw
                raw.flush()
                os.fsync(raw.fileno())
                part.replace(file)
            except BaseException:
                part.unlink(missing_ok=True)
                raise
        sync_folder(file.parent)
    except BlockingIOError:
        raise Conflict(f"Another process writes {part}.", "Wait for it, or give another name.") from None


def _write(raw: IO[bytes], packed: bool, manifest: Manifest, members: dict[str, Path], progress: Progress) -> None:
    text = json.dumps(asdict(manifest), indent=1).encode()
    done, total = 0, sum(size for size, _ in manifest.members.values())
    with ExitStack() as stack:
        if packed:
            raw = cast("IO[bytes]", stack.enter_context(gzip.GzipFile("", "wb", 6, raw, mtime=0)))
        tar = stack.enter_context(tarfile.open(fileobj=raw, mode="w"))
        _add(tar, _MANIFEST, len(text), BytesIO(text))
        for name, path in members.items():
            with path.open("rb") as file:
                _add(tar, name, manifest.members[name][0], file)
            done += manifest.members[name][0]
            progress("saving", done, total)


def _add(tar: tarfile.TarFile, name: str, size: int, file: IO[bytes]) -> None:
    info = tarfile.TarInfo(name)  # no times and owners: they are of no use elsewhere
    info.size = size
    tar.addfile(info, file)


def verify(file: Path, progress: Progress) -> Manifest:
    """Read a backup to its end and check every member.

    Raises:
        BadData: it is no backup, or not what was written.
        StoreFailure: the file cannot be read.
    """
    try:
        return _unpack(file, None, progress)
    except OSError as error:
        raise StoreFailure(f"{file} cannot be read: {error.strerror or error}.") from None


def restore(file: Path, home: Path, progress: Progress) -> Manifest:
    """Put the store that a backup holds in a folder that is empty or not there yet. If that fails, nothing is left.

    Raises:
        Conflict: the folder holds something.
        BadData: the file is no backup, or not what was written, or the store in it does not open.
        StoreFailure: the folder cannot be written.
    """
    home = home.resolve()
    if home.exists() and (not home.is_dir() or any(home.iterdir())):
        what = "holds a store already" if Versions.exists(home) else "is not empty"
        raise Conflict(f"{home} {what}.", "Give an empty folder, or one that is not there yet, with KG_HOME.")
    made = [folder for folder in home.parents if not folder.exists()]
    try:
        home.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{home.name}.", dir=home.parent) as folder:
            fresh = Path(folder) / "store"
            fresh.mkdir()
            manifest = _unpack(file, fresh, progress)
            _furnish(fresh, manifest.version)
            _check(file, fresh, manifest)
            _sync(fresh)
            fresh.rename(home)
        sync_folder(home.parent)
    except OSError as error:
        _unmake(made)
        raise StoreFailure(f"{file} cannot be restored to {home}: {error.strerror or error}.") from None
    except BaseException:
        _unmake(made)
        raise
    return manifest


def _unmake(folders: list[Path]) -> None:
    for folder in folders:
        with suppress(OSError):
            folder.rmdir()


def _furnish(fresh: Path, version: int) -> None:
    """Make a store of the members of a backup."""
    for name in FOLDERS:
        (fresh / name).mkdir(exist_ok=True)
    (fresh / "database").rename(fresh / "versions" / str(version))
    replace(fresh / "current", f"{version}\n")


def _check(file: Path, fresh: Path, manifest: Manifest) -> None:
    """See that the store opens and holds what the backup says."""
    try:
        versions = Versions(fresh)
        with versions.reading() as (number, store):
            facts = count_stated(store, bare=versions.bare)
        recorded = versions.facts(number)
    except StoreFailure as error:
        raise BadData(f"The store in it does not open: {error.message}", file=str(file)) from None
    if not facts == recorded == manifest.facts:
        message = f"It holds {facts:,} facts; its record says {recorded:,} and its manifest {manifest.facts:,}."
        raise BadData(message, file=str(file))


def _sync(folder: Path) -> None:
    """Force all files and names in a folder to the disk."""
    for parent, _, names in os.walk(folder):
        for name in names:
            with (Path(parent) / name).open("rb") as file:
                os.fsync(file.fileno())
        sync_folder(Path(parent))


def _unpack(file: Path, folder: Path | None, progress: Progress) -> Manifest:
    """Check each member of a backup, and write it into a folder if one is given."""
    try:
        with file.open("rb") as raw:
            packed = raw.read(2) == b"\x1f\x8b"
        with tarfile.open(file, "r:gz" if packed else "r:") as tar:
            manifest = _manifest(tar)
            missing = dict(manifest.members)
            while member := tar.next():
                if not (member.isreg() and member.name in missing):
                    raise tarfile.ReadError(f"{member.name!r} does not belong in it")
                _take(tar, member, missing.pop(member.name), folder)
                progress("reading", len(manifest.members) - len(missing), len(manifest.members))
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile, ValueError) as error:
        raise BadData(f"This is no whole backup of Parley: {error}.", file=str(file)) from None
    if missing:
        raise BadData(f"This is no whole backup of Parley: {min(missing)} is missing.", file=str(file))
    return manifest


def _manifest(tar: tarfile.TarFile) -> Manifest:
    """The manifest, which comes first. What it says of itself is checked, so that nothing else than a backup is taken.

    Raises:
        tarfile.ReadError: there is none, or it is not as one is written.
    """
    first = tar.next()
    file = tar.extractfile(first) if first and first.name == _MANIFEST and first.size < _LARGEST_MANIFEST else None
    if file is None:
        raise tarfile.ReadError(f"it does not begin with {_MANIFEST}")
    try:
        fields: dict[str, Any] = json.loads(file.read())
        members = {str(name): (int(size), str(digest)) for name, (size, digest) in fields["members"].items()}
        manifest = Manifest(int(fields["version"]), int(fields["facts"]), members, int(fields["format"]))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise tarfile.ReadError(f"its manifest cannot be read: {error!r}") from None
    if manifest.format != FORMAT:
        raise tarfile.ReadError(f"it has format {manifest.format}, this package reads {FORMAT}")
    others = {name for name in members if not _IN_DATABASE.match(name)}
    known = {"store.json"} | {f"records/{n}.json" for n in _numbers(others)}
    known |= {f"changes/{n}.nq.gz" for n in _numbers(others)}
    if others != known or len(others) != 2 * manifest.version + 1 or len(others) == len(members):
        raise tarfile.ReadError("its manifest does not list what a backup holds")
    return manifest


def _numbers(names: set[str]) -> range:
    """The versions that so many names of records and change sets can be of."""
    return range(1, len(names) // 2 + 1)


def _take(tar: tarfile.TarFile, member: tarfile.TarInfo, due: tuple[int, str], folder: Path | None) -> None:
    """Write a member into the folder, if there is one, and compare its size and checksum with what is due."""
    if member.size != due[0]:
        raise tarfile.ReadError(f"{member.name} has {member.size:,} bytes and should have {due[0]:,}")
    if folder:
        tar.extract(member, folder, set_attrs=False, filter="data")
    with (folder / member.name).open("rb") if folder else cast("IO[bytes]", tar.extractfile(member)) as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != due[1]:  # type: ignore[arg-type]
            raise tarfile.ReadError(f"{member.name} is damaged: its checksum is another")
