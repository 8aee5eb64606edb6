"""Conditional requests (RFC 9110): entity tags that name a version, and what a write expects of its graph."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import pyoxigraph as ox

from kg.errors import BadRequest, PreconditionFailed

if TYPE_CHECKING:
    from starlette.requests import Request

    from kg.draft import Draft
    from kg.graph import Graph
    from kg.store import Versions

#: A tag without the mark of weakness.
_TAG: Final = re.compile(r'(?:W/)?("[^"]*")')
_OURS: Final = re.compile(r'"(\d{1,9})-(\w+)-[^"]*"')
#: Commits that are looked through for one that changed a graph; a tag from before them counts as outdated.
_HORIZON: Final = 1000


class NotModified(Exception):
    """The client holds the current answer already. `tag` is that of the answer."""

    def __init__(self, tag: str) -> None:
        super().__init__(tag)
        self.tag = tag


def entity_tag(graph: Graph, version: int, name: str) -> str:
    """The tag of an answer that is made from a version in the format `name`; empty where versions are not told. It is
    weak: it stands for the facts, which workers may give in another order, and servers in another coding.
    """
    mark = graph.mark(version)
    return f'W/"{version}-{mark}-{name}"' if mark else ""


def tag_headers(request: Request, graph: Graph, name: str) -> dict[str, str]:
    """The headers that tag the answer to a reading request, made from the current version in the format `name`.

    To be asked before the answer is made: if a commit comes between, the answer is newer than its tag, and the client
    will ask for it again. There are none where versions are not told.

    Raises:
        NotModified: the request says that the client has this answer.
    """
    tag = entity_tag(graph, graph.version(), name)
    if not tag:
        return {}
    given = _given(request, "if-none-match")
    if given.strip() == "*" or tag.removeprefix("W/") in _TAG.findall(given):
        raise NotModified(tag)
    return {"ETag": tag}


@dataclass(frozen=True)
class Expected:
    """What a write expects of its target, a graph or the whole store, at the moment when it holds the writer's lock:
    that it was not changed since one of these versions, and that it exists or does not. None: whatever is so."""

    since: tuple[int, ...] | None = None
    exists: bool | None = None

    def check(self, versions: Versions, draft: Draft, graph: str | None) -> None:
        """Look at a draft before anything is changed; `graph` is empty for the default graph, None for the store.

        Raises:
            PreconditionFailed: it is not as expected.
        """
        what = "The store" if graph is None else f"The graph {graph}" if graph else "The default graph"
        if self.exists is not None and self.exists != _holds(draft, graph):
            state, hint = ("does not exist", "PUT makes it") if self.exists else ("exists already", "Read it first")
            raise PreconditionFailed(f"{what} {state}; nothing was changed.", f"{hint}, or leave the condition out.")
        if self.since is not None and not any(_same(versions, since, draft.base, graph) for since in self.since):
            raise PreconditionFailed(
                f"{what} has changed since it was read; nothing was changed by this request.",
                "Read it again, make the change anew, and send the ETag of that answer as If-Match.",
            )


WHATEVER: Final = Expected()


def read_expected(request: Request, graph: Graph) -> Expected:
    """What a write expects, by If-Match (tags, or `*`) and If-None-Match (`*`).

    Raises:
        BadRequest: If-None-Match names tags, which says nothing that a write could go by.
    """
    match, none_match = _given(request, "if-match").strip(), _given(request, "if-none-match").strip()
    if none_match not in ("", "*"):
        raise BadRequest("If-None-Match of a write names tags.", "Send If-None-Match: *, or If-Match with a tag.")
    exists = True if match == "*" else False if none_match else None
    if match in ("", "*"):
        return Expected(exists=exists)
    named = [found for tag in _TAG.findall(match) if (found := _OURS.fullmatch(tag))]
    current = graph.version()
    known = (int(found[1]) for found in named if int(found[1]) <= current and found[2] == graph.mark(int(found[1])))
    return Expected(tuple(sorted(known, reverse=True)), exists)


def _given(request: Request, name: str) -> str:
    return ", ".join(request.headers.getlist(name))


def _holds(draft: Draft, graph: str | None) -> bool:
    if not graph:  # the default graph and the store always are there
        return True
    return any(draft.store.quads_for_pattern(None, None, None, ox.NamedNode(graph)))


def _same(versions: Versions, since: int, current: int, graph: str | None) -> bool:
    """Whether no commit after one version and up to another changed a graph, or anything."""
    if graph is None or current - since > _HORIZON:
        return since == current
    return all(graph not in versions.record(number).graphs for number in range(since + 1, current + 1))
