"""Disks that are full, locks that are left behind, versions that are damaged: one clear error, and nothing is lost."""

from __future__ import annotations

import errno
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pyoxigraph as ox
import pytest

from bench.generate import sources
from kg.durable import locked
from kg.errors import StoreFailure
from kg.store import Versions
from tests.crash import leftovers
from tests.server import KG, environment, kg

#: A mount of one's own, which ends with the command, needs no root where the system lets users have their namespaces.
NAMESPACE = ["unshare", "--user", "--map-root-user", "--mount"]
ON_A_SMALL_DISK = 'mount -t tmpfs -o size="$1" none "$2" && shift 2 && exec "$@"'
FSYNCS_BEFORE_THE_POINTER = 6


def fact(number: int) -> ox.Quad:
    return ox.Quad(ox.NamedNode(f"urn:{number}"), ox.NamedNode("urn:p"), ox.Literal(number), ox.NamedNode("urn:g"))


def commit(versions: Versions, *numbers: int) -> None:
    with versions.writing() as draft:
        draft.add(fact(number) for number in numbers)
        draft.publish("test")


def held(versions: Versions, version: int | None = None) -> set[ox.Quad]:
    with versions.reading(version) as (_, store):
        return set(store.quads_for_pattern(None, None, None, ox.NamedNode("urn:g")))


def limited(kilobytes: int) -> Callable[[], None]:
    size = kilobytes << 10
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


@pytest.fixture
def versions(tmp_path: Path) -> Versions:
    versions = Versions.create(tmp_path / "store", bare=False)
    commit(versions, 1)
    commit(versions, 2)
    return versions


@pytest.mark.parametrize(("size", "kilobytes"), [(2_000, 8), (2_000, 40), (11_000, 8), (11_000, 100), (11_000, 1_000)])
def test_load_that_the_disk_does_not_take_is_one_line_and_changes_nothing(
    home: Path, tmp_path: Path, size: int, kilobytes: int
) -> None:
    file, versions = tmp_path / "facts.nq", Versions(home)
    file.write_text("".join(sources(size)))
    done = subprocess.run(
        [KG, "load", file],
        env=environment(KG_HOME=str(home)),
        preexec_fn=limited(kilobytes),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"kg: {home} cannot be written to: ")
    assert done.stderr.count("\n") == 1
    assert versions.current() == 1
    assert list(leftovers(versions)) == []
    assert kg(home, "load", str(file)).startswith("Version 2: ")


@pytest.mark.parametrize("size", ["200k", "1m"])
def test_store_that_a_full_disk_does_not_take_is_one_line(tmp_path: Path, size: str) -> None:
    if not shutil.which("unshare") or subprocess.run([*NAMESPACE, "true"], capture_output=True).returncode:
        pytest.skip("no mount of one's own here")
    disk = tmp_path / "disk"
    disk.mkdir()
    command = [*NAMESPACE, "sh", "-c", ON_A_SMALL_DISK, "sh", size, str(disk), KG, "history"]
    env = environment(KG_HOME=str(disk / "store"))
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert done.stderr.startswith(f"kg: {disk / 'store'} cannot be written to: ")
    assert done.stderr.count("\n") == 1


@contextmanager
def full_from(step: int) -> Iterator[None]:
    """A disk that says it is full when it is forced for the so many-th time, counted from 0."""
    left, fsync = [step], os.fsync

    def full(handle: int) -> None:
        if not left[0]:
            raise OSError(errno.ENOSPC, "No space left on device")
        left[0] -= 1
        fsync(handle)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", full)
        yield


@pytest.mark.parametrize("step", range(FSYNCS_BEFORE_THE_POINTER))
def test_disk_that_is_full_at_any_step_of_a_commit_changes_nothing(versions: Versions, step: int) -> None:
    """Change set, record, folders, pointer: each is forced to the disk, which may say only then that it has no room."""
    refused = pytest.raises(StoreFailure, match=r"No space left on device\. Version 2 is the current one")
    with full_from(step), refused:
        commit(versions, 3)
    assert held(versions) == {fact(1), fact(2)}
    commit(versions, 4)
    assert held(versions) == {fact(1), fact(2), fact(4)}
    assert list(leftovers(versions)) == []


def test_failure_after_the_pointer_is_renamed_names_the_new_version(versions: Versions) -> None:
    told = pytest.raises(StoreFailure, match=r"No space left on device\. Version 3 is the current one")
    with full_from(FSYNCS_BEFORE_THE_POINTER), told:
        commit(versions, 3)
    assert held(versions) == {fact(1), fact(2), fact(3)}


def test_published_version_stays_published_if_old_ones_cannot_be_pruned(
    versions: Versions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kg.store.KEEP", 1)
    (versions.home / "locks" / "0").unlink()
    (versions.home / "locks" / "0").mkdir()
    commit(versions, 3)
    assert versions.current() == 3
    assert versions.kept() == [0, 3]


@pytest.mark.parametrize("text", [b"", b"4711\n", b"\xff\x00" * 4096])
def test_lock_files_of_dead_processes_are_no_hindrance(versions: Versions, text: bytes) -> None:
    for name in ("writer", "0", "1", "2", "3", "99"):
        lock = versions.home / "locks" / name
        lock.write_bytes(text)
        lock.chmod(0o444)
    assert held(versions) == {fact(1), fact(2)}
    commit(versions, 3)
    assert held(versions) == {fact(1), fact(2), fact(3)}


def test_writer_waits_for_one_that_lives(versions: Versions) -> None:
    script = f"from tests.test_crash_disk import *; commit(Versions(Path({str(versions.home)!r})), 3)"
    with locked(versions.home / "locks" / "writer"):
        second = subprocess.Popen([sys.executable, "-c", script])
        with pytest.raises(subprocess.TimeoutExpired):
            second.wait(3)
        assert versions.current() == 2
    assert second.wait(60) == 0
    assert held(versions) == {fact(1), fact(2), fact(3)}


def test_files_half_written_are_harmless_and_swept(versions: Versions) -> None:
    for name in ("current.new", "store.json.new", "records/3.json.new"):
        (versions.home / name).write_text("7")
    (versions.home / "staging" / "3.tmp").mkdir()
    assert held(versions) == {fact(1), fact(2)}
    commit(versions, 3)
    assert list(leftovers(versions)) == []


def cut(file: Path) -> bytes:
    return file.read_bytes()[: file.stat().st_size // 2]


def flipped(file: Path) -> bytes:
    return bytes(byte ^ 0xFF for byte in file.read_bytes())


@pytest.mark.parametrize("pattern", ["*.sst", "MANIFEST-*", "CURRENT"])
@pytest.mark.parametrize("damage", [cut, flipped, None])
def test_damaged_version_is_named_and_older_ones_can_be_read(
    versions: Versions, pattern: str, damage: Callable[[Path], bytes] | None
) -> None:
    file = max((versions.home / "versions" / "2").glob(pattern), key=lambda path: path.stat().st_size)
    spoilt = damage(file) if damage else None
    file.unlink()  # the file of the older version is the same one
    if spoilt is not None:
        file.write_bytes(spoilt)
    with pytest.raises(StoreFailure, match=r"Version 2 in .* cannot be (opened|read): .*Run `kg repair`"):
        held(versions)
    with pytest.raises(StoreFailure, match=r"Version 2 in .* cannot be (opened|read): .*Run `kg repair`"):
        commit(versions, 3)
    assert held(versions, 1) == {fact(1)}
