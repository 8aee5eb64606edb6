"""Files that survive a crash: written whole, fsynced, put in place by one rename; and locks that die with a process."""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO


@contextmanager
def locked(path: Path, *, shared: bool = False, wait: bool = True) -> Iterator[IO[bytes]]:
    """Hold an advisory lock on a file, which is made if need be; the kernel releases it when the process ends.

    Who holds it exclusively may unlink or rename the file: those who waited take the one that is there then.

    Raises:
        BlockingIOError: the lock is held elsewhere, and `wait` is off.
    """
    mode = (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB)
    while True:
        with _lock_file(path) as file:
            fcntl.flock(file, mode)
            if _is_at(file, path):
                yield file
                return


def _lock_file(path: Path) -> IO[bytes]:
    try:
        return path.open("ab")
    except OSError:  # a lock needs no right to write
        if not path.is_file():
            raise
        return path.open("rb")


def _is_at(file: IO[bytes], path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


@contextmanager
def scratch(parent: Path) -> Iterator[Path]:
    """A fresh folder in `parent` that is removed at the end. It is locked meanwhile, so that `sweep` spares it."""
    parent.mkdir(exist_ok=True)
    with locked(parent / "lock"):
        folder = parent / f"{os.getpid()}-{time.monotonic_ns()}"
        folder.mkdir()
        handle = os.open(folder, os.O_RDONLY)
        fcntl.flock(handle, fcntl.LOCK_EX)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(handle)


def sweep(parent: Path) -> list[str]:
    """Remove the scratch folders whose processes are gone, and return their names."""
    if not parent.is_dir():
        return []
    with locked(parent / "lock"):
        return [folder.name for folder in list(parent.iterdir()) if folder.is_dir() and _removed(folder)]


def _removed(folder: Path) -> bool:
    with suppress(FileNotFoundError, BlockingIOError):  # it goes just now, or somebody works in it
        handle = os.open(folder, os.O_RDONLY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
            return True
        finally:
            os.close(handle)
    return False


@contextmanager
def synced(path: Path) -> Iterator[IO[bytes]]:
    """A file to write, that is on the disk when the block ends."""
    with path.open("wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


def replace(path: Path, text: str) -> None:
    """Put a whole new text in place of a file, durably and at once."""
    fresh = path.with_name(path.name + ".new")
    with synced(fresh) as file:
        file.write(text.encode())
    fresh.replace(path)
    sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Make renames and new names in a folder durable."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
