"""From what the field says to findings. Pure: no clock, no database, no waiting."""

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, time
from typing import Protocol
from zoneinfo import ZoneInfo

from hub.alerts.finding import Finding
from hub.rules.model import Direction, EventRule, ThresholdRule

SANTIAGO = ZoneInfo("America/Santiago")


class Place(Protocol):
    """What a rule may know of a device; the registry's ``Device`` fits."""

    @property
    def device_id(self) -> int: ...
    @property
    def gateway(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def place(self) -> str: ...
    @property
    def sector(self) -> str: ...
    @property
    def latitude(self) -> float | None: ...
    @property
    def longitude(self) -> float | None: ...
    @property
    def watch_group(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Happening:
    """A stored event as rules see it."""

    id: uuid.UUID
    type: str
    device: Place
    happened_at: datetime
    time_quality: str
    is_drill: bool = False


@dataclass(frozen=True, slots=True)
class Reading:
    """A stored measurement as rules see it; ``value`` in the quantity's SenML unit."""

    device: Place
    quantity: str
    at: datetime
    value: float


@dataclass(frozen=True, slots=True)
class Crossing:
    """A threshold was passed (``is_raised``) or the value is back on the quiet side."""

    rule: ThresholdRule
    device_id: int
    is_raised: bool
    at: datetime


def is_within(window: tuple[time, time], instant: datetime) -> bool:
    """Whether the local time of day in Chile lies in the window, which may cross midnight."""
    local, (start, end) = instant.astimezone(SANTIAGO).time(), window
    return start <= local < end if start <= end else local >= start or local < end


class RuleSet:
    """Rules indexed by what they look at; one lookup decides that a message concerns nobody."""

    def __init__(self, events: Iterable[EventRule], thresholds: Iterable[ThresholdRule]) -> None:
        self._by_type: dict[str, list[EventRule]] = {}
        self._by_quantity: dict[str, list[ThresholdRule]] = {}
        for rule in events:
            self._by_type.setdefault(rule.event_type, []).append(rule)
        for threshold in thresholds:
            self._by_quantity.setdefault(threshold.quantity, []).append(threshold)

    def on_events(self, happenings: Iterable[Happening]) -> list[Finding]:
        return [
            _event_finding(rule, happening)
            for happening in happenings
            for rule in self._by_type.get(happening.type, ())
        ]

    def knows(self, event_type: str) -> bool:
        return event_type in self._by_type

    def concerns(self, quantity: str) -> bool:
        return quantity in self._by_quantity

    def on_readings(
        self, readings: Sequence[Reading], raised: Mapping[tuple[str, int], bool]
    ) -> tuple[list[Finding], list[Crossing]]:
        """Findings of a batch, and the changes of state to remember.

        ``raised`` tells which (rule, device) already is beyond its threshold.
        """
        now_raised = dict(raised)
        findings: list[Finding] = []
        crossings: dict[tuple[str, int], Crossing] = {}
        for reading in sorted(readings, key=lambda r: r.at):
            for rule in self._by_quantity.get(reading.quantity, ()):
                if rule.device_kind not in (None, reading.device.kind):
                    continue
                key = (rule.name, reading.device.device_id)
                before = now_raised.get(key, False)
                after = _is_raised(rule, reading.value, before)
                if after == before:
                    continue
                now_raised[key] = after
                crossings[key] = Crossing(rule, reading.device.device_id, after, reading.at)
                if after:
                    findings.append(_threshold_finding(rule, reading))
        return findings, list(crossings.values())


def _is_raised(rule: ThresholdRule, value: float, before: bool) -> bool:
    limit = rule.clear_at if before else rule.raise_at
    return value >= limit if rule.direction is Direction.ABOVE else value <= limit


def _event_finding(rule: EventRule, happening: Happening) -> Finding:
    at_night = rule.night is not None and is_within(rule.night, happening.happened_at)
    return _finding(
        rule,
        happening.device,
        summary=f"{rule.title}: {_label(happening.device)}",
        priority=rule.night_priority if at_night and rule.night_priority else rule.priority,
        happened_at=happening.happened_at,
        time_quality=happening.time_quality,
        is_drill=happening.is_drill,
        source_event=happening.id,
    )


def _threshold_finding(rule: ThresholdRule, reading: Reading) -> Finding:
    return _finding(
        rule,
        reading.device,
        summary=f"{rule.title}: {_label(reading.device)} ({_number(rule.quantity, reading.value)})",
        priority=rule.priority,
        happened_at=reading.at,
    )


_FORMATS = {"battery": lambda v: f"{v * 100:.0f} %", "level": lambda v: f"{v:.2f} m".replace(".", ",")}


def _number(quantity: str, value: float) -> str:
    return _FORMATS.get(quantity, lambda v: f"{v:g}".replace(".", ","))(value)


def _label(device: Place) -> str:
    return device.name or device.place or f"dispositivo {device.device_id}"


def _finding(
    rule: EventRule | ThresholdRule,
    device: Place,
    *,
    summary: str,
    priority: int,
    happened_at: datetime,
    time_quality: str = "device",
    is_drill: bool = False,
    source_event: uuid.UUID | None = None,
) -> Finding:
    return Finding(
        rule=rule.name,
        kind=rule.kind,
        priority=priority,
        # A drill never joins a real alert, nor the other way round.
        dedup_key=f"{rule.kind}:{device.device_id}" + (":drill" if is_drill else ""),
        summary=summary,
        happened_at=happened_at,
        time_quality=time_quality,
        device_id=device.device_id,
        gateway=device.gateway,
        place=device.place or device.name,
        sector=device.sector,
        latitude=device.latitude,
        longitude=device.longitude,
        watch_group=device.watch_group,
        is_drill=is_drill,
        source_event=source_event,
    )
