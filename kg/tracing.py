"""What is known of the request at hand, and what the workers have gone through: told where it happens, read by
`kg.telemetry` and `kg.metrics`. Light, so that every layer may import it."""

from __future__ import annotations

from collections import Counter
from collections.abc import MutableMapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Final, Literal

#: The outcomes of a job that was stopped before its end.
STOPS: Final = frozenset(("deadline", "memory"))

Job = Literal["", "query", "update", "load", "remove"]


@dataclass(slots=True)
class Trace:
    """One request. Whoever learns something sets the field; none has to be set."""

    id: str = ""
    #: The address that it comes from.
    client: str = ""
    #: The template of the path, such as `/id/{path}`. The router's, unless a handler in front of it sets it.
    route: str = ""
    #: What the client wants done, if it is work on the graph that it describes itself.
    job: Job = ""
    #: Of the text that came with it: enough to find the same one again, and nothing of what it says.
    digest: str = ""
    #: How the job ended, if the status cannot tell: `deadline`, `memory`, `size` or `full`.
    outcome: str = ""
    #: The version that the answer is made from.
    version: int | None = None
    #: Whether the cache of answers had it: `hit` or `miss`; empty if it was not asked.
    cache: Literal["", "hit", "miss"] = ""
    #: Seconds for which it stood in the queue for a worker.
    waited: float | None = None
    #: The scope that the router filled in.
    scope: MutableMapping[str, Any] | None = None

    def wants(self, job: Job, text: str = "") -> None:
        """Note the job, and the digest of a query or an update."""
        self.job = job
        if text:
            self.digest = digest_of(text)


def digest_of(text: str) -> str:
    """Enough of a digest to find the same text again."""
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


_CURRENT: ContextVar[Trace] = ContextVar("trace")


def begin(trace: Trace) -> None:
    """Make it the trace of the task at hand and of those that it starts."""
    _CURRENT.set(trace)


def current() -> Trace:
    """The trace of the request at hand. Work that no request asked for gets one that nobody reads."""
    return _CURRENT.get(None) or Trace()


@dataclass(slots=True)
class Tally:
    """What a pool counts and shows of itself."""

    #: The process ids of the workers that run.
    pids: set[int] = field(default_factory=set)
    #: Worker processes started, from the start on.
    started: int = 0
    #: Workers that were killed or found dead, by reason: `deadline`, `memory` or `left` (the client).
    ended: Counter[str] = field(default_factory=Counter)
    #: Jobs that wait for a worker now.
    waiting: int = 0
    #: Jobs at work now: `read` and `write`.
    busy: Counter[str] = field(default_factory=Counter)
    #: How many may read at a time.
    readers: int = 0
