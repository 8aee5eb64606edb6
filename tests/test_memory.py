"""The memory that is left is the least of what system and control group leave."""

from __future__ import annotations

from math import inf
from pathlib import Path

import pytest

from kg.memory import free_memory

MEGABYTE = 1 << 20
MEMINFO = "MemTotal:  4096000 kB\nMemAvailable:    2048 kB\nHugePages_Total:       0\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/meminfo").write_text(MEMINFO)
    return tmp_path


def bounded(root: Path, most: str, group: str = "/system.slice/parley.service") -> Path:
    folder = root / "sys/fs/cgroup" / group.lstrip("/")
    folder.mkdir(parents=True)
    (root / "proc/self/cgroup").write_text(f"1:name=systemd:/\n0::{group}\n")
    (folder / "memory.max").write_text(f"{most}\n")
    (folder / "memory.stat").write_text(f"anon {MEGABYTE}\nfile {64 * MEGABYTE}\n")
    return root


def test_it_is_what_the_system_has_available(root: Path) -> None:
    assert free_memory(root) == 2 * MEGABYTE


@pytest.mark.parametrize("group", ["/", "/system.slice/parley.service"])
def test_a_control_group_may_leave_less(root: Path, group: str) -> None:
    assert free_memory(bounded(root, str(2 * MEGABYTE), group)) == MEGABYTE


@pytest.mark.parametrize("most", ["max", str(1000 * MEGABYTE)])
def test_a_control_group_that_leaves_more_does_not_count(root: Path, most: str) -> None:
    assert free_memory(bounded(root, most)) == 2 * MEGABYTE


def test_it_has_no_bound_where_none_is_told(tmp_path: Path) -> None:
    assert free_memory(tmp_path) == inf


def test_there_is_some_here() -> None:
    assert free_memory() > MEGABYTE
