"""Records that are gone, made again from what the rest of a store tells."""

from __future__ import annotations

from datetime import UTC, datetime

import pyoxigraph as ox

from kg.errors import StoreFailure
from kg.loading import SHIPPED
from kg.records import Record, told_of
from kg.store import Versions

#: Stands for the fingerprint of an edition that is not known any more: no edition has it, so the next one is brought.
_SOME_EDITION = "unknown"


def recall(versions: Versions, number: int, later: list[int]) -> tuple[Record, str]:
    """The record of a version without its counts, and what of it is lost.

    `later` are versions from this one on whose databases can be read: their history tells when and why it was made.
    """
    stores = (ox.Store.read_only(str(versions.home / "versions" / str(version))) for version in later)
    told = next(filter(None, (told_of(store, number) for store in stores)), None)
    at, message = told or (_last_written(versions, number), "")
    lost = "who made it and how many warnings it had" + ("" if told else ", when, and why")
    content = _edition(versions, number, message)
    return Record(number, at, "unknown", message or "(its message is lost)", content=content), lost


def _last_written(versions: Versions, number: int) -> str:
    """When the change set was written, or else the database; now if there is neither."""
    files = [versions.change_file(number), versions.home / "versions" / str(number)]
    times = [datetime.fromtimestamp(file.stat().st_mtime, UTC) for file in files if file.exists()]
    return [*times, datetime.now(UTC)][0].isoformat(timespec="seconds")


def _edition(versions: Versions, number: int, message: str) -> str:
    """The fingerprint of the shipped content in a version, by the records before and after it.

    A version that looks as if it had brought content would have its graphs taken for shipped ones, which an upgrade
    may remove: where nothing tells, it is taken for a commit of the user's.
    """
    after = _record(versions, number + 1)
    if after and after.message != SHIPPED:  # it took the fingerprint over
        return after.content
    before = _record(versions, number - 1)
    return _SOME_EDITION if message == SHIPPED else before.content if before else ""


def _record(versions: Versions, number: int) -> Record | None:
    try:
        return versions.record(number) if 1 <= number <= versions.current() else None
    except StoreFailure:
        return None
