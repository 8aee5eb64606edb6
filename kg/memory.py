"""How much memory there is left."""

from __future__ import annotations

from contextlib import suppress
from math import inf
from pathlib import Path

_ROOT = Path("/")


def free_memory(root: Path = _ROOT) -> float:
    """Bytes that processes here may still take: of the system, and of the control group (version 2) that bounds this
    process in a container or as a service. Infinite where neither is told.

    Args:
        root: the folder that `proc` and `sys` are in.
    """
    return min(_of_system(root), _of_group(root))


def _of_system(root: Path) -> float:
    with suppress(OSError, KeyError, ValueError):
        return _fields(root / "proc/meminfo")["MemAvailable:"] * 1024
    return inf


def _of_group(root: Path) -> float:
    with suppress(OSError, KeyError, StopIteration, ValueError):
        lines = (root / "proc/self/cgroup").read_text().splitlines()
        name = next(line.removeprefix("0::") for line in lines if line.startswith("0::"))
        group = root / "sys/fs/cgroup" / name.lstrip("/")
        # What the group holds of files is given back when it is needed.
        return int((group / "memory.max").read_text()) - _fields(group / "memory.stat")["anon"]
    return inf


def _fields(file: Path) -> dict[str, int]:
    return {name: int(value) for name, value, *_ in map(str.split, file.read_text().splitlines())}
