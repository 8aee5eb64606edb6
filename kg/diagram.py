"""The diagram of the main classes. Where they stand is laid down here; what they are called and what relates them is
the ontology's to say: a class or an arrow that it does not declare is not drawn.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from kg.terms import PREFIXES, expand
from kg.vocabulary import Class, Ref, Vocabulary

_BOX: Final = (132, 40)
_PITCH: Final = (244, 92)
_ORIGIN: Final = (67, 30)
_SUBCLASS: Final = PREFIXES["rdfs"] + "subClassOf"
_ABOVE, _BESIDE = 7, 7

#: Where a class stands: (column, row).
PLACES: Final[dict[str, tuple[int, int]]] = {
    "trade:Statement": (0, 0),
    "foaf:Person": (1, 0),
    "trade:Meeting": (0, 1),
    "trade:Participation": (1, 1),
    "trade:Tenure": (2, 1),
    "org:Post": (3, 1),
    "trade:Round": (0, 2),
    "trade:ActEffect": (2, 2),
    "trade:LegalAct": (3, 2),
    "trade:Negotiation": (0, 3),
    "trade:TradeParty": (1, 3),
    "trade:Tariff": (2, 3),
    "trade:Rate": (3, 3),
    "trade:Product": (4, 3),
    "trade:Proposal": (2, 4),
    "trade:Exemption": (3, 4),
    "trade:Agreement": (0, 5),
    "trade:Commitment": (1, 5),
    "trade:StatusEvent": (3, 5),
    "trade:Implementation": (1, 6),
    "trade:Concession": (2, 6),
    "trade:Demand": (3, 6),
}


@dataclass(frozen=True)
class Arrow:
    """An arrow to draw. It leaves and enters a box at a side, so many pixels from the side's middle.

    It goes there with at most one bend, or by way of the rows and columns in `by`, in turns, beginning with a row if
    it leaves at the top or the bottom. The label stands at the longest stretch, `at` that part of it, and
    beside an upright stretch to its right or left.
    """

    source: str
    property: str
    target: str
    leaves: tuple[str, int]
    enters: tuple[str, int]
    by: tuple[float, ...] = ()
    at: float = 0.5
    label_left: bool = False


ARROWS: Final = (
    Arrow("trade:Statement", "trade:speaker", "foaf:Person", ("right", 0), ("left", 0)),
    Arrow("trade:Meeting", "trade:partOf", "trade:Round", ("bottom", 0), ("top", 0)),
    Arrow("trade:Meeting", "trade:hasParticipation", "trade:Participation", ("right", 0), ("left", 0)),
    Arrow("trade:Participation", "trade:participant", "foaf:Person", ("top", 0), ("bottom", 0)),
    Arrow("trade:Participation", "trade:inCapacityOf", "trade:Tenure", ("right", 0), ("left", 0)),
    Arrow("trade:Participation", "trade:onBehalfOf", "trade:TradeParty", ("bottom", -40), ("top", -40)),
    Arrow("trade:Tenure", "trade:ofOffice", "org:Post", ("right", 0), ("left", 0)),
    Arrow("foaf:Person", "trade:holdsOffice", "org:Post", ("right", 0), ("top", 0)),
    Arrow("org:Post", "trade:actsFor", "trade:TradeParty", ("bottom", -40), ("top", 45), by=(1.5,), at=0.35),
    Arrow("trade:Round", "trade:partOf", "trade:Negotiation", ("bottom", 0), ("top", 0)),
    Arrow("trade:Negotiation", "trade:betweenParty", "trade:TradeParty", ("right", 0), ("left", 0)),
    Arrow("trade:LegalAct", "trade:issuedBy", "org:Post", ("top", 0), ("bottom", 0)),
    Arrow("trade:ActEffect", "trade:byAct", "trade:LegalAct", ("right", 0), ("left", 0)),
    Arrow("trade:ActEffect", "trade:affects", "trade:Tariff", ("bottom", 0), ("top", 0)),
    Arrow("trade:Tariff", "trade:imposedBy", "trade:TradeParty", ("left", 0), ("right", 0)),
    Arrow("trade:Rate", "trade:rateOf", "trade:Tariff", ("left", 0), ("right", 0)),
    Arrow("trade:Rate", "trade:setBy", "trade:LegalAct", ("top", 0), ("bottom", 0)),
    Arrow("trade:Rate", "trade:onProduct", "trade:Product", ("right", 0), ("left", 0)),
    Arrow("trade:Exemption", "trade:exempts", "trade:Tariff", ("top", 0), ("bottom", 40), by=(3.5,)),
    Arrow("trade:Exemption", "trade:covers", "trade:Product", ("right", 0), ("bottom", 0)),
    Arrow("trade:Proposal", "trade:targets", "trade:Tariff", ("top", -40), ("bottom", -40)),
    Arrow("trade:Proposal", "trade:offeredBy", "trade:TradeParty", ("left", 0), ("bottom", 40)),
    Arrow("trade:Proposal", "trade:resultedIn", "trade:Commitment", ("bottom", -40), ("right", 0)),
    Arrow("trade:StatusEvent", "trade:ofProposal", "trade:Proposal", ("left", 0), ("bottom", 40)),
    Arrow("trade:Concession", "rdfs:subClassOf", "trade:Proposal", ("top", 0), ("bottom", 0), at=0.8, label_left=True),
    Arrow("trade:Demand", "rdfs:subClassOf", "trade:Proposal", ("top", 0), ("bottom", 0), by=(5.5,)),
    Arrow("trade:Concession", "trade:answers", "trade:Demand", ("right", 0), ("left", 0)),
    Arrow("trade:Commitment", "trade:partOf", "trade:Agreement", ("left", 0), ("right", 0)),
    Arrow("trade:Commitment", "trade:committedBy", "trade:TradeParty", ("top", -40), ("bottom", -40), label_left=True),
    Arrow("trade:Agreement", "trade:partOf", "trade:Negotiation", ("top", 0), ("bottom", 0)),
    Arrow("trade:Implementation", "trade:implements", "trade:Commitment", ("top", 0), ("bottom", 0)),
    Arrow("trade:Implementation", "trade:byAct", "trade:LegalAct", ("bottom", 0), ("right", 0), by=(6.6, 4.3)),
)


@dataclass(frozen=True)
class Box:
    """A class where it is drawn: the left upper corner in pixels."""

    term: Class
    x: int
    y: int
    width: int = _BOX[0]
    height: int = _BOX[1]


@dataclass(frozen=True)
class Line:
    """A relation where it is drawn. Its property is None for "is a"."""

    source: Class
    target: Class
    property: Ref | None
    label: str
    points: tuple[tuple[int, int], ...]
    #: Where the label stands, and which end of it: `start`, `middle` or `end`.
    x: int
    y: int
    anchor: str


@dataclass(frozen=True)
class Drawing:
    """All that is drawn, in pixels."""

    boxes: tuple[Box, ...]
    lines: tuple[Line, ...]
    width: int = _ORIGIN[0] * 2 + _PITCH[0] * 4 + 9
    height: int = _ORIGIN[1] * 2 + _PITCH[1] * 6 + 36


def draw(vocabulary: Vocabulary) -> Drawing:
    """What the ontology declares of the laid down classes and arrows."""
    classes = {c.name: c for c in vocabulary.classes}
    labels = {p.iri: Ref(p.iri, p.name, p.label, p.anchor) for p in vocabulary.properties}
    boxes = tuple(
        Box(classes[name], _center(place)[0] - _BOX[0] // 2, _center(place)[1] - _BOX[1] // 2)
        for name, place in PLACES.items()
        if name in classes
    )
    lines = tuple(_line(arrow, classes, labels) for arrow in ARROWS if is_declared(arrow, vocabulary))
    return Drawing(boxes, lines)


def is_declared(arrow: Arrow, vocabulary: Vocabulary) -> bool:
    """Whether the ontology has both classes, and the property between them (or the one as parent of the other)."""
    classes = {c.name: c for c in vocabulary.classes}
    if arrow.source not in classes or arrow.target not in classes:
        return False
    source, target, iri = classes[arrow.source], classes[arrow.target], expand(arrow.property)
    if iri == _SUBCLASS:
        return target.iri in {parent.iri for parent in source.parents}
    return (iri, source.iri) in vocabulary.domains and (iri, target.iri) in vocabulary.ranges


def _line(arrow: Arrow, classes: dict[str, Class], labels: dict[str, Ref]) -> Line:
    points = _points(arrow)
    x, y, anchor = _label_place(arrow, points)
    ref = labels.get(expand(arrow.property) or "")
    label = ref.label if ref else "is a"
    return Line(classes[arrow.source], classes[arrow.target], ref, label, points, x, y, anchor)


def _center(place: tuple[float, float]) -> tuple[int, int]:
    return round(_ORIGIN[0] + _PITCH[0] * place[0]), round(_ORIGIN[1] + _PITCH[1] * place[1])


def _at_side(name: str, side: str, shift: int) -> tuple[int, int]:
    x, y = _center(PLACES[name])
    half = {
        "left": (-_BOX[0] // 2, 0),
        "right": (_BOX[0] // 2, 0),
        "top": (0, -_BOX[1] // 2),
        "bottom": (0, _BOX[1] // 2),
    }
    dx, dy = half[side]
    return (x + dx, y + shift) if dx else (x + shift, y + dy)


def _points(arrow: Arrow) -> tuple[tuple[int, int], ...]:
    """The ends and the bends between them: each stretch is level or upright."""
    start, end = _at_side(arrow.source, *arrow.leaves), _at_side(arrow.target, *arrow.enters)
    points, upright = [start], arrow.leaves[0] in ("top", "bottom")
    for place in arrow.by:
        x, y = points[-1]
        points.append((x, _center((0, place))[1]) if upright else (_center((place, 0))[0], y))
        upright = not upright
    x, y = points[-1]
    bend = (x, end[1]) if upright else (end[0], y)
    if bend not in (points[-1], end):
        points.append(bend)
    return (*points, end)


def _label_place(arrow: Arrow, points: tuple[tuple[int, int], ...]) -> tuple[int, int, str]:
    (x1, y1), (x2, y2) = max(
        pairwise(points), key=lambda ends: abs(ends[0][0] - ends[1][0]) + abs(ends[0][1] - ends[1][1])
    )
    x, y = round(x1 + (x2 - x1) * arrow.at), round(y1 + (y2 - y1) * arrow.at)
    if y1 == y2:
        return x, y - _ABOVE, "middle"
    return (x - _BESIDE, y + 4, "end") if arrow.label_left else (x + _BESIDE, y + 4, "start")
