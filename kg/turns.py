"""Whose turn it is. Workers are handed out by client, not by request: one client's work leaves others served."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Iterable
from typing import Generic, TypeVar

T = TypeVar("T")


class Turns(Generic[T]):
    """Things that clients take and give back. Who waits gets one in turn, those first who hold the fewest.

    The last `spare` of them are for clients that hold none: who has taken all others finds the rest still there.
    """

    def __init__(self, spare: int = 0) -> None:
        self._spare = spare
        self._idle: list[T] = []
        self._held: Counter[str] = Counter()
        self._waiting: dict[str, deque[asyncio.Future[T]]] = {}

    def add(self, items: Iterable[T]) -> None:
        """Put in things that nobody held. The one added last is taken first."""
        self._idle += items
        self._serve()

    async def take(self, client: str) -> T:
        """Wait for one. Whoever takes it gives it back, or another in its place."""
        turn: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(client, deque()).append(turn)
        self._serve()
        try:
            return await turn
        except asyncio.CancelledError:
            if not turn.cancelled():  # it was this client's turn already
                self.give(turn.result(), client)
            raise

    def give(self, item: T, client: str) -> None:
        """Give one back that the client holds."""
        self._held[client] -= 1
        self._held += Counter()  # forgets who holds none
        self._idle.append(item)
        self._serve()

    def _serve(self) -> None:
        while self._idle and (client := self._next()) is not None:
            # To the end of the line with the client's other requests.
            turns = self._waiting.pop(client)
            turn = turns.popleft()
            if turns:
                self._waiting[client] = turns
            if not turn.done():
                self._held[client] += 1
                turn.set_result(self._idle.pop())

    def _next(self) -> str | None:
        """The client whose turn it is, None if those who wait must go on waiting."""
        client = min(self._waiting, key=self._held.__getitem__, default=None)
        if client is None or (self._held[client] and len(self._idle) <= self._spare):
            return None
        return client
