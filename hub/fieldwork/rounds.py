"""What a check-in proves, and what a round shows without one. Pure.

A position proves presence when it is sharp enough and near enough. A code proves that the sticker was
read, not where: alone it supports nothing, because a sticker can be photographed; with a position it is
judged by the position. Nothing is left out for being weak: it stands there under its own verdict.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from hub.fieldwork.places import distance_m

SHARP_M = 100.0
"""A position that may be off by more proves nothing about a point with a radius of some dozens of metres."""
MAX_ALLOWANCE_M = 50.0
"""How much of a position's own uncertainty is granted to whoever stands near."""

PROVEN, UNSUPPORTED, CONTRADICTED = "proven", "unsupported", "contradicted"


@dataclass(frozen=True, kw_only=True, slots=True)
class Checkpoint:
    code: str
    name: str
    sector: str
    latitude: float
    longitude: float
    radius_m: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Position:
    """Degrees, and the radius in metres within which the phone believes to be."""

    latitude: float
    longitude: float
    accuracy_m: float


@dataclass(frozen=True, slots=True)
class Judged:
    """``distance_m`` None: without a position."""

    verdict: str
    distance_m: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Checkin:
    code: str
    at: datetime
    way: str
    verdict: str
    distance_m: float | None
    accuracy_m: float | None
    time_quality: str
    author: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Visit:
    """A point of a round; ``first`` and ``proven_at`` None: nobody, or nothing that proves it."""

    point: Checkpoint
    checkins: Sequence[Checkin]
    proven_at: datetime | None


@dataclass(frozen=True, slots=True)
class Gap:
    """A stretch of the round without a proven check-in, longer than the round allows."""

    since: datetime
    until: datetime

    @property
    def length(self) -> timedelta:
        return self.until - self.since


@dataclass(frozen=True, kw_only=True, slots=True)
class Proof:
    """A round as it can be shown to an auditor; ``outside`` are check-ins before or after its hours."""

    visits: Sequence[Visit]
    gaps: Sequence[Gap]
    outside: Sequence[Checkin]

    @property
    def proven(self) -> int:
        return sum(visit.proven_at is not None for visit in self.visits)


def judge(point: Checkpoint, position: Position | None) -> Judged:
    if position is None:
        return Judged(UNSUPPORTED, None)
    away = distance_m(point.latitude, point.longitude, position.latitude, position.longitude)
    if away - position.accuracy_m > point.radius_m and away > point.radius_m + MAX_ALLOWANCE_M:
        return Judged(CONTRADICTED, away)
    is_near = away <= point.radius_m + min(position.accuracy_m, MAX_ALLOWANCE_M)
    return Judged(PROVEN if is_near and position.accuracy_m <= SHARP_M else UNSUPPORTED, away)


def prove(
    points: Sequence[Checkpoint],
    checkins: Sequence[Checkin],
    starts_at: datetime,
    ends_at: datetime,
    max_gap: timedelta,
    now: datetime,
) -> Proof:
    """The points in their order, each with its check-ins, and the gaps up to ``now`` or the round's end."""
    inside = sorted((one for one in checkins if starts_at <= one.at <= ends_at), key=lambda one: one.at)
    proven = [one for one in inside if one.verdict == PROVEN]
    visits = [
        Visit(
            point=point,
            checkins=[one for one in inside if one.code == point.code],
            proven_at=next((one.at for one in proven if one.code == point.code), None),
        )
        for point in points
    ]
    marks = [starts_at, *(one.at for one in proven), min(max(now, starts_at), ends_at)]
    gaps = [Gap(a, b) for a, b in itertools.pairwise(marks) if b - a > max_gap]
    outside = [one for one in checkins if not starts_at <= one.at <= ends_at]
    return Proof(visits=visits, gaps=gaps, outside=sorted(outside, key=lambda one: one.at))
