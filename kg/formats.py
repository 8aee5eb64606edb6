"""Formats: names, media types and file endings, and the choice between them by an Accept header."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from kg.errors import BadRequest, NotAcceptable


@dataclass(frozen=True)
class Format:
    """A serialisation. `kind` is what it can hold: rows (and booleans), a graph, or a dataset.

    The aliases are names that clients such as SPARQLWrapper send as `format`.
    """

    name: str
    kind: str
    media: tuple[str, ...]
    endings: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()

    @property
    def content_type(self) -> str:
        text = self.media[0].startswith("text/")
        return f"{self.media[0]}; charset=utf-8" if text else self.media[0]


ROWS: Final = (
    Format("json", "rows", ("application/sparql-results+json", "application/json"), ("srj", "json")),
    Format("xml", "rows", ("application/sparql-results+xml", "application/xml", "text/xml"), ("srx", "xml")),
    Format("csv", "rows", ("text/csv",), ("csv",)),
    Format("tsv", "rows", ("text/tab-separated-values",), ("tsv",)),
)
GRAPHS: Final = (
    Format("turtle", "graph", ("text/turtle", "application/x-turtle"), ("ttl",), ("n3",)),
    Format("ntriples", "graph", ("application/n-triples", "text/plain"), ("nt",)),
    Format(
        "rdfxml", "graph", ("application/rdf+xml", "application/xml", "text/xml"), ("rdf", "owl"), ("xml", "rdf+xml")
    ),
    Format("jsonld", "graph", ("application/ld+json", "application/json"), ("jsonld",), ("json", "json-ld")),
)
#: JSON-LD with the names of the ontology's context, for small graphs; see `kg.jsonld`. It is written, and read as any.
COMPACT: Final = Format("compact", "graph", ('application/ld+json;profile="http://www.w3.org/ns/json-ld#compacted"',))
#: What a graph can be written as.
WRITTEN: Final = (*GRAPHS[:3], COMPACT, GRAPHS[3])
DATASETS: Final = (
    Format("trig", "dataset", ("application/trig",), ("trig",)),
    Format("nquads", "dataset", ("application/n-quads",), ("nq",)),
)
#: The forms of a report on a write.
REPORTS: Final = (
    Format("json", "report", ("application/json", "application/problem+json")),
    Format("text", "report", ("text/plain",), ("txt",)),
    Format("turtle", "report", GRAPHS[0].media, GRAPHS[0].endings),
)
#: JSON-LD of a form that its profile names.
_PROFILED = re.compile(r'application/ld\+json\s*;\s*profile\s*=\s*("[^"]*"|[^\s,;]*)', re.IGNORECASE)
_COMPACTED: Final = "application/ld+json+compacted"
#: A string in quotes, which may hold the signs that part a header.
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')
#: A quality; that of Java's own client begins with the dot.
_WEIGHT = re.compile(r"0\.?|0?\.\d+|1(?:\.0*)?")
HTML: Final = Format("html", "page", ("text/html", "application/xhtml+xml"))


def named(name: str, among: tuple[Format, ...]) -> Format:
    """Return the format of that name (a media type or a file ending will do too).

    Raises:
        BadRequest: no format among those offered has that name.
    """
    wanted = {part.strip() for part in name.lower().split(",")}
    for choice in among:
        if wanted & {choice.name, *choice.media, *choice.endings, *choice.aliases}:
            return choice
    raise BadRequest(f"{name!r} is no format for this.", f"Use one of: {', '.join(f.name for f in among)}.")


def by_ending(filename: str) -> Format | None:
    """Return the graph or dataset format for a file name, or None."""
    ending = filename.rsplit(".", 1)[-1].lower()
    return next((f for f in (*GRAPHS, *DATASETS) if ending in f.endings), None)


def by_media(content_type: str) -> Format | None:
    """Return the graph or dataset format for a Content-Type header, or None."""
    media = content_type.split(";")[0].strip().lower()
    return next((f for f in (*GRAPHS, *DATASETS) if media in f.media), None)


def negotiate(accept: str, among: tuple[Format, ...]) -> Format:
    """Choose by the Accept header (RFC 9110): highest quality, then our order of preference.

    Raises:
        NotAcceptable: nothing on offer is acceptable.
    """
    ranges = _ranges(accept or "*/*")
    best: tuple[float, int, Format] | None = None
    for place, choice in enumerate(among):
        quality = _quality(choice, ranges)
        if quality > 0 and (best is None or quality > best[0]):
            best = (quality, place, choice)
    if best is None:
        offered = ", ".join(f.media[0] for f in among)
        raise NotAcceptable(f"Nothing here is of the kind {accept!r}.", f"Accept one of: {offered}.")
    return best[2]


def compact_by_default(accept: str, form: Format) -> Format:
    """Compact JSON-LD in the place of JSON-LD, unless an Accept header asks for the expanded form."""
    return COMPACT if form is GRAPHS[3] and "#expanded" not in accept else form


def prefers_page(accept: str) -> bool:
    """Whether an Accept header prefers HTML to all else that it names; the one named first wins a tie."""
    ranges = _ranges(accept)
    best = max(ranges, key=ranges.__getitem__, default="")
    return best in HTML.media and ranges[best] > 0


@lru_cache(64)
def _ranges(accept: str) -> Mapping[str, float]:
    """The media ranges with their qualities. Of one that comes several times the best counts."""
    ranges: dict[str, float] = {}
    for part in _QUOTED.sub("", _PROFILED.sub(_marked, accept)).split(","):
        media, *parameters = (p.strip().lower() for p in part.split(";"))
        quality = next((_weight(p[2:]) for p in parameters if p.startswith("q=")), 1.0)
        if media:
            # That client also sends `*` for all.
            media = "*/*" if media == "*" else media
            for known in (COMPACT.media[0], GRAPHS[3].media[0]) if media == _COMPACTED else (media,):
                ranges[known] = max(quality, ranges.get(known, 0.0))
    return ranges


def _marked(match: re.Match[str]) -> str:
    return _COMPACTED if "#compacted" in match[1].lower() else match[0]


def _weight(text: str) -> float:
    return float(text) if _WEIGHT.fullmatch(text) else 0.0


def _quality(choice: Format, ranges: Mapping[str, float]) -> float:
    """That of its media types if the header names one, else of the most specific wildcard that covers the first."""
    if named := [ranges[media] for media in choice.media if media in ranges]:
        return max(named)
    return ranges.get(choice.media[0].split("/")[0] + "/*", ranges.get("*/*", 0.0))
