"""Answers that are remembered: as long as the version stays the same, so does the answer to a query."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import AsyncIterator, Hashable
from typing import Final

#: The part of the cache that one answer may take.
_SHARE: Final = 8
#: Bytes that an entry takes beside its body and its key's text.
_OVERHEAD: Final = 500


class Cache:
    """The bodies of answers of the newest version, those asked for last, within so many bytes.

    A key is whatever the answer depends on beside the version; `size` says how much of the bytes its text takes.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._bodies: OrderedDict[Hashable, tuple[bytes, int, bool]] = OrderedDict()
        self._version = 0
        self.bytes = self.hits = self.misses = 0

    def get(self, version: int, key: Hashable) -> bytes | None:
        """The body of the answer, if it is of this version and remembered."""
        found = self._bodies.get(key) if version == self._version else None
        if found is None:
            self.misses += 1
            return None
        self.hits += 1
        self._bodies.move_to_end(key)
        return found[0]

    def is_cut(self, key: Hashable) -> bool:
        """Whether an answer that was found has its first rows alone."""
        return self._bodies[key][2]

    def put(self, version: int, key: Hashable, body: bytes, size: int, *, cut: bool = False) -> None:
        """Remember an answer, and forget those of older versions and those not asked for the longest."""
        if version > self._version:
            self._bodies.clear()
            self._version, self.bytes = version, 0
        cost = len(body) + size + _OVERHEAD
        if version < self._version or key in self._bodies or cost > self._limit // _SHARE:
            return
        self._bodies[key] = body, cost, cut
        self.bytes += cost
        while self.bytes > self._limit:
            _, (_, dropped, _) = self._bodies.popitem(last=False)
            self.bytes -= dropped

    async def keeping(
        self, chunks: AsyncIterator[bytes], version: int, key: Hashable, size: int, *, cut: bool = False
    ) -> AsyncIterator[bytes]:
        """Pass on the chunks of an answer; remember it if it is small enough and read to its end."""
        kept: list[bytes] | None = []
        left = self._limit // _SHARE
        try:
            async for chunk in chunks:
                left -= len(chunk)
                if left < 0:
                    kept = None
                elif kept is not None:
                    kept.append(chunk)
                yield chunk
        finally:
            # An answer that is dropped gives its worker back at once, not when the garbage is collected.
            await chunks.aclose()  # type: ignore[attr-defined]
        if kept is not None:
            self.put(version, key, b"".join(kept), size, cut=cut)
