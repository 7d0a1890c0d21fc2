"""What an alert is, as every room sees it. Pure."""

import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from hub.alerts.finding import RESTRICTED_KINDS as RESTRICTED_KINDS
from hub.alerts.finding import Finding
from hub.alerts.lifecycle import Reason, State


@dataclass(frozen=True, kw_only=True, slots=True)
class Alert:
    """One row of ``alerts``. Instants are aware UTC; ``version`` counts changes."""

    alert_id: uuid.UUID
    code: str
    kind: str
    priority: int
    state: State
    reason: Reason | None
    dedup_key: str
    device_id: int | None
    gateway: str | None
    place: str
    sector: str
    latitude: float | None
    longitude: float | None
    summary: str
    rule: str
    happened_at: datetime
    time_quality: str
    opened_at: datetime
    last_event_at: datetime
    event_count: int
    is_drill: bool
    acknowledged_at: datetime | None
    acknowledged_by: str | None
    assigned_to: str | None
    merged_into: uuid.UUID | None
    closed_at: datetime | None
    version: int
    parent_id: uuid.UUID | None = None
    classification: str = ""
    first_classification: str = ""
    is_reserved: bool = False

    @property
    def is_restricted(self) -> bool:
        return self.kind in RESTRICTED_KINDS or self.is_reserved

    @property
    def is_open(self) -> bool:
        return self.closed_at is None

    @classmethod
    def from_row(cls, row: Any) -> "Alert":
        """From a database record that holds these columns and perhaps more."""
        values = {name: row[name] for name in cls.__slots__}
        values["state"] = State(values["state"])
        values["reason"] = None if values["reason"] is None else Reason(values["reason"])
        return cls(**values)


COLUMNS = ", ".join(Alert.__slots__)


@dataclass(frozen=True, kw_only=True, slots=True)
class LogEntry:
    """One line of an alert's timeline. ``move`` is a lifecycle move or what the hub did:
    opened, joined, cleared, covered, uncovered, notified, notify_failed, escalated."""

    log_id: int
    alert_id: uuid.UUID
    at: datetime
    author: str
    move: str
    from_state: State | None
    to_state: State | None
    note: str
    source_event: uuid.UUID | None

    @classmethod
    def from_row(cls, row: Any) -> "LogEntry":
        values = {name: row[name] for name in cls.__slots__}
        for name in ("from_state", "to_state"):
            values[name] = None if values[name] is None else State(values[name])
        return cls(**values)


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What became of the findings of one alert in one batch; ``finding`` is the first of them.

    ``raised``: joining made it more urgent than people have been told.
    """

    alert_id: uuid.UUID
    code: str
    kind: str
    priority: int
    opened: bool
    raised: bool
    finding: Finding

    @property
    def is_news(self) -> bool:
        """Whether people have to hear of it."""
        return self.opened or self.raised
