"""Processes that are killed, disks that are full, locks that are left, versions that are damaged."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pyoxigraph as ox
import pytest

from kg.durable import locked
from kg.repairing import repair
from kg.store import Versions
from tests.crash import besiege, leftovers, members

#: Begins to write what came in bulk, tells it, and is killed.
WRITER = """
import os, signal, sys, time
from pathlib import Path
import pyoxigraph as ox
from kg.store import Versions

quads = ox.Store()
p, g = ox.NamedNode("urn:p"), ox.NamedNode("urn:g")
quads.bulk_extend(ox.Quad(ox.NamedNode(f"urn:{n}"), p, ox.Literal(n), g) for n in range(100_000))
with Versions(Path(sys.argv[1])).writing() as draft:
    draft.put(quads)
    draft.settle()
    while not Path(sys.argv[1], "staging", "1-bulk", "database", "LOCK").exists():
        time.sleep(0.01)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_is_acknowledged_survives_kills(home: Path, tmp_path: Path) -> None:
    tally = besiege(tmp_path, home, kills=24, seed=7)
    assert not tally.lost, tally.text()
    assert tally.kills.total() == 24
    assert tally.found == tally.acknowledged + tally.only_published


@pytest.mark.long
def test_what_is_acknowledged_survives_many_kills(home: Path, tmp_path: Path) -> None:
    tally = besiege(tmp_path, home, kills=200, seed=1)
    assert not tally.lost, tally.text()


def test_killed_writer_takes_the_process_that_writes_its_bulk_with_it(tmp_path: Path) -> None:
    """Else it would write on into the folder that the next writer sweeps and uses."""
    versions = Versions.create(tmp_path / "store", bare=False)
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(versions.home)], start_new_session=True)
    assert writer.wait(60) == -signal.SIGKILL
    with locked(versions.home / "locks" / "writer"):
        assert members(writer.pid) == []
    with versions.writing():
        pass
    assert list(leftovers(versions)) == []


def test_bulk_is_written_to_its_end_if_the_writer_waits_for_it(tmp_path: Path) -> None:
    versions = Versions.create(tmp_path / "store", bare=True)
    quads, p, g = ox.Store(), ox.NamedNode("urn:p"), ox.NamedNode("urn:g")
    quads.bulk_extend(ox.Quad(ox.NamedNode(f"urn:{n}"), p, ox.Literal(n), g) for n in range(100_000))
    with versions.writing() as draft:
        draft.put(quads)
        draft.publish("bulk")
    with versions.reading() as (_, store):
        assert len(store) == 100_000


def test_repair_finds_numbers_whose_last_byte_is_255_whole(tmp_path: Path) -> None:
    versions = Versions.create(tmp_path / "store", bare=True)
    s, p = ox.NamedNode("urn:s"), ox.NamedNode("urn:p")
    with versions.writing() as draft:
        draft.add(ox.Quad(s, p, ox.Literal(n)) for n in range(300))
        draft.publish("numbers")
    assert repair(versions.home, lambda step, done=0, total=0: None, dry_run=True) == []
