"""Whether an event belongs to an operation, as what, and why: by place and time. Pure."""

import enum
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from hub.operations.places import Place, contains, metres

REACH_M = 300.0
BEFORE = timedelta(days=28)
"""Events that may have caused an operation which names no window of its own."""
AFTER = timedelta(days=14)


class Relation(enum.StrEnum):
    ORIGIN = "origin"
    DURING = "during"
    AFTER = "after"


@dataclass(frozen=True, kw_only=True, slots=True)
class Span:
    """Where and when an operation is or was. ``sector_area`` stands in where it has no place of its own.

    ``started_at`` None: nothing happened there yet, so events of its hours are not "during".
    """

    operation_id: uuid.UUID
    sector: str
    area: Mapping[str, Any] | None
    sector_area: Mapping[str, Any] | None
    points: Sequence[tuple[str, Place]]
    planned_start: datetime
    started_at: datetime | None
    ended_at: datetime | None
    origin_since: datetime | None
    origin_until: datetime | None
    hot_spot: str = ""

    @property
    def first(self) -> datetime:
        """The start of the earliest window."""
        start = self.started_at or self.planned_start
        return min(self.origin_since or start - BEFORE, start)

    @property
    def last(self) -> datetime | None:
        """The end of the latest window; None while it is going on."""
        if self.ended_at is not None:
            return self.ended_at + AFTER
        return None if self.started_at is not None else self.planned_start


@dataclass(frozen=True, slots=True)
class Happening:
    """An alert as far as linking looks at it."""

    alert_id: uuid.UUID
    at: datetime
    place: Place | None
    sector: str


@dataclass(frozen=True, slots=True)
class Tie:
    """That an event belongs to an operation; ``reason`` is Spanish and goes into the acta."""

    alert_id: uuid.UUID
    relation: Relation
    reason: str


def tie_of(span: Span, event: Happening) -> Tie | None:
    """None where the event is elsewhere or of another time."""
    relation = _relation(span, event.at)
    if relation is None:
        return None
    where = _where(span, event)
    if where is None:
        return None
    return Tie(event.alert_id, relation, f"{where}, {_when(span, relation, event.at)}")


def _relation(span: Span, at: datetime) -> Relation | None:
    start = span.started_at or span.planned_start
    if span.ended_at is not None and span.ended_at < at <= span.ended_at + AFTER:
        return Relation.AFTER
    if span.started_at is not None and start <= at and (span.ended_at is None or at <= span.ended_at):
        return Relation.DURING
    since = span.origin_since or start - BEFORE
    until = span.origin_until or start
    return Relation.ORIGIN if since <= at <= until and at < start else None


def _where(span: Span, event: Happening) -> str | None:
    area = span.area or (None if span.points else span.sector_area)
    if event.place is None:
        is_there = not span.area and not span.points and _is_in_sector(span, event)
        return f"en el sector {span.sector}, sin posición" if is_there else None
    near = [(metres(place, event.place), name) for name, place in span.points]
    if near and min(near)[0] <= REACH_M:
        distance, name = min(near)
        return f"a {distance:.0f} m del punto {name}"
    if area is not None:
        return _inside(span) if contains(area, event.place) else None
    is_there = not span.points and _is_in_sector(span, event)
    return f"en el sector {span.sector}" if is_there else None


def _inside(span: Span) -> str:
    if span.area is None:
        return f"dentro del sector {span.sector}"
    return f"dentro del foco {span.hot_spot}" if span.hot_spot else "dentro del área"


def _is_in_sector(span: Span, event: Happening) -> bool:
    return bool(span.sector) and span.sector == event.sector


def _when(span: Span, relation: Relation, at: datetime) -> str:
    if relation is Relation.DURING:
        return "durante el operativo"
    if relation is Relation.AFTER and span.ended_at is not None:
        return f"{_length(at - span.ended_at)} después"
    return f"{_length((span.started_at or span.planned_start) - at)} antes"


def _length(time: timedelta) -> str:
    hours = int(time.total_seconds() // 3600)
    if hours < 1:
        return "menos de una hora"
    if hours < 24:
        return f"{hours} {'hora' if hours == 1 else 'horas'}"
    return f"{hours // 24} {'día' if hours < 48 else 'días'}"
