"""An operation (operativo de fiscalización) as planned and as it stands. Instants are aware UTC. Pure."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

Area = Mapping[str, Any]
"""GeoJSON Polygon or MultiPolygon (RFC 7946), WGS 84."""


class OperationError(Exception):
    """What cannot be done with an operation; the message is Spanish and says what to do."""


class StaleError(OperationError):
    """Somebody else changed it meanwhile."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Institution:
    """Who takes part. ``assists`` is the unit that it accompanies where it does not act on its own.

    ``headcount`` is planned, ``present`` was counted on the day (None: nobody said).
    """

    name: str
    role: str = "joins"
    acting: str = "assisting"
    assists: str = ""
    headcount: int = 0
    present: int | None = None
    signed_at: datetime | None = None

    @property
    def is_lead(self) -> bool:
        return self.role == "leads"


@dataclass(frozen=True, kw_only=True, slots=True)
class Point:
    id: str
    name: str = ""
    latitude: float
    longitude: float
    visited_at: datetime | None = None
    cleared_at: datetime | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Task:
    phase: str
    task: str
    institution: str = ""
    position: int = 0
    done_at: datetime | None = None
    done_by: str | None = None
    dropped_because: str = ""
    """Why it was not done; empty: nobody left it out."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Draft:
    """What a person plans. ``hot_spot`` and the origin window say why here and now."""

    kind: str
    name: str = ""
    sector: str = ""
    area: Area | None = None
    planned_start: datetime
    planned_end: datetime
    legal_basis: Sequence[str] = ()
    institutions: Sequence[Institution] = ()
    points: Sequence[Point] = ()
    tasks: Sequence[Task] = ()
    plan_id: str = ""
    objective: str = ""
    activity: str = ""
    season: str | None = None
    series_id: uuid.UUID | None = None
    hot_spot: str = ""
    origin_since: datetime | None = None
    origin_until: datetime | None = None
    remarks: str = ""
    is_drill: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Operation:
    """``draft`` as it stands after changes; ``version`` counts them."""

    operation_id: uuid.UUID
    folio: str
    state: str
    draft: Draft
    started_at: datetime | None
    ended_at: datetime | None
    suspended_because: str
    acta_folio: str | None
    acta_sha256: str
    closed_at: datetime | None
    author: str
    created_at: datetime
    version: int

    @property
    def is_open(self) -> bool:
        return self.state not in ("closed", "suspended")


@dataclass(frozen=True, kw_only=True, slots=True)
class Infringement:
    rule: str
    ticket_folio: str = ""
    court: str = ""
    hearing_on: Any = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Seizure:
    goods: str
    quantity: Any
    unit: str
    destination: str
    record_folio: str = ""
    holders: Sequence[tuple[datetime, str, str]] = ()
    """Its custody: when, who, where."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Inspection:
    """As it stands after corrections."""

    inspection_id: uuid.UUID
    folio: str
    point: str
    trade: str
    permit_state: str
    result: str
    acting: str
    assists: str
    institution: str
    inspected_at: datetime
    note: str
    author: str
    recorded_at: datetime
    mark: str = ""
    """«corregida» or «repuesta» where a later row, by ``author``, stands for what the street wrote."""
    infringements: Sequence[Infringement] = ()
    seizures: Sequence[Seizure] = ()
    referrals: Sequence[tuple[str, str]] = ()
    """(institution, matter)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Withdrawn:
    """An inspection that was taken out of the operation, by ``author`` ``at``: it counts nowhere."""

    folio: str
    point: str
    trade: str
    inspected_at: datetime
    author: str
    at: datetime
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Count:
    kind: str
    institution: str
    total: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Link:
    """A case that belongs to the operation; nothing of a restricted one is told."""

    link_id: int
    alert_id: uuid.UUID
    code: str
    kind: str
    sector: str
    opened_at: datetime
    relation: str
    way: str
    reason: str
    author: str
    at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class File:
    file_id: uuid.UUID
    name: str
    media_type: str
    size_bytes: int
    sha256: str
    claimed_sha256: str
    captured_at: datetime | None
    is_stored: bool
    author: str


@dataclass(frozen=True, kw_only=True, slots=True)
class LogLine:
    at: datetime
    author: str
    move: str
    note: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Dossier:
    """All that is known of one operation."""

    operation: Operation
    inspections: Sequence[Inspection] = field(default_factory=tuple)
    withdrawn: Sequence[Withdrawn] = field(default_factory=tuple)
    counts: Sequence[Count] = field(default_factory=tuple)
    links: Sequence[Link] = field(default_factory=tuple)
    files: Sequence[File] = field(default_factory=tuple)
    log: Sequence[LogLine] = field(default_factory=tuple)
