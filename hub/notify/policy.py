"""Who is told of an alert at once, and in which words; how long a failed text waits. Pure."""

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from hub.alerts.model import Outcome
from hub.notify.text import alert_text, notice_text, question_text, restricted_text

DUTY = "turno"
"""The recipient that every notified alert has: the phone of whoever is on duty, from the settings."""

EQUIPMENT_KINDS = frozenset(
    {
        "battery_low",
        "device_silent",
        "gateway_silent",
        "sensor_failed",
        "room_silent",
        "transport_down",
        "transport_credit",
        "platform_fault",
    }
)
"""What only the municipality can mend. Neighbours who are told of it stop reading."""

_LEAST_URGENT_FOR_GROUP = 2
_LEAST_URGENT_FOR_DUTY = 3

RETRY_FIRST_S = 1.0
RETRY_MAX_S = 60.0
GIVE_UP_AFTER_S = 6 * 3600.0
"""A text that could not be sent for so long would call people to something that is over."""


@dataclass(frozen=True, kw_only=True, slots=True)
class NotifySettings:
    """What the municipality decides. ``emergency_numbers``: kinds with a number of their own, as fire has."""

    duty_phone: str = ""
    emergency_number: str = "133"
    emergency_numbers: Mapping[str, str] = field(default_factory=dict)

    def emergency_number_for(self, kind: str) -> str:
        return self.emergency_numbers.get(kind, self.emergency_number)


@dataclass(frozen=True, kw_only=True, slots=True)
class Draft:
    """A text for one contact, for every active contact of a watch group, or else for the duty phone."""

    alert_id: uuid.UUID
    priority: int
    text: str
    due_at: datetime
    watch_group: str | None = None
    contact_id: int | None = None
    transport: str = "sms"


def drafts_for(outcomes: Iterable[Outcome], settings: NotifySettings, now: datetime) -> list[Draft]:
    """What is to be sent at once; outcomes that are no news give nothing."""
    return [draft for outcome in outcomes if outcome.is_news for draft in _drafts(outcome, settings, now)]


def _drafts(outcome: Outcome, settings: NotifySettings, now: datetime) -> list[Draft]:
    if outcome.priority > _LEAST_URGENT_FOR_DUTY and outcome.finding.confirm is None:
        return []
    text = _text(outcome, settings, now)
    groups: list[str | None] = [None]
    if _concerns_neighbours(outcome):
        groups.append(outcome.finding.watch_group)
    return [
        Draft(
            alert_id=outcome.alert_id,
            priority=outcome.priority,
            text=text,
            due_at=now,
            watch_group=group,
        )
        for group in groups
    ]


def _concerns_neighbours(outcome: Outcome) -> bool:
    """Never for a restricted alert: whoever it is about may be a neighbour. Drills stay in the house."""
    return (
        (outcome.priority <= _LEAST_URGENT_FOR_GROUP or outcome.finding.confirm is not None)
        and outcome.finding.watch_group != ""
        and not outcome.finding.is_restricted
        and outcome.kind not in EQUIPMENT_KINDS
        and not outcome.finding.is_drill
    )


def _text(outcome: Outcome, settings: NotifySettings, now: datetime) -> str:
    finding = outcome.finding
    if finding.is_restricted:
        return restricted_text(code=outcome.code, happened_at=finding.happened_at, now=now)
    place = finding.place or finding.sector
    is_question = finding.confirm is not None and outcome.opened
    if is_question or outcome.priority > _LEAST_URGENT_FOR_GROUP or outcome.kind in EQUIPMENT_KINDS:
        words = question_text if is_question else notice_text
        return words(
            code=outcome.code,
            kind=outcome.kind,
            place=place,
            happened_at=finding.happened_at,
            now=now,
            is_drill=finding.is_drill,
        )
    return alert_text(
        code=outcome.code,
        kind=outcome.kind,
        place=place,
        happened_at=finding.happened_at,
        now=now,
        emergency_number=settings.emergency_number_for(outcome.kind),
        is_drill=finding.is_drill,
    )


def retry_delay_s(attempts: int) -> float:
    """How long a text waits after its ``attempts``-th failure: 1, 2, 4 ... 60 s."""
    return min(RETRY_MAX_S, RETRY_FIRST_S * 2.0 ** min(max(attempts - 1, 0), 16))


def next_attempt_at(attempts: int, created_at: datetime, now: datetime) -> datetime | None:
    """When to try again after the ``attempts``-th failure; None when it is no use any more."""
    if (now - created_at).total_seconds() >= GIVE_UP_AFTER_S:
        return None
    return now + timedelta(seconds=retry_delay_s(attempts))
