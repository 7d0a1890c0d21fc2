"""From an operator's conclusion to a finding: priority, key and Spanish text."""

from collections.abc import Callable
from datetime import datetime

from hub.alerts.finding import (
    RESTRICTED_KINDS,
    SILENT_BUTTONS,
    Confirm,
    Finding,
    silent_button,
    without_place,
)
from hub.rules.asking import Around, holds
from hub.rules.errors import ConditionError
from hub.rules.model import SCOPE_OF, By, Happening, Place, Reading, Rule, Signal, Told, instant
from hub.rules.schedule import SANTIAGO

TELL_AGE_S = 600.0
"""Older news says so in its text, also where it still opens an alert."""


def finding_of(
    rule: Rule,
    device: Place,
    told: Told,
    now_s: float,
    signal: Signal | None,
    around: Around,
    scope: str = "",
) -> Finding:
    """``signal`` is what completed the conclusion; None for a timer, whose memory's ``scope`` counts then."""
    is_drill = signal.is_drill if signal is not None else scope.endswith(":drill")
    happened_at = instant(told.at_s)
    event = signal if isinstance(signal, Happening) else None
    is_silent = device.kind in SILENT_BUTTONS and rule.kind not in RESTRICTED_KINDS
    is_reserved = is_silent and rule.priority == 1 and rule.by is By.DEVICE
    is_hidden = is_silent and not is_reserved
    priority = _priority_at(rule, happened_at) if signal is None else _priority(rule, signal, around)
    found = Finding(
        rule=rule.name,
        kind=rule.kind,
        priority=priority,
        dedup_key=_dedup_key(rule, device, is_drill),
        summary=_summary(rule, device, told, signal, now_s, is_hidden=is_hidden),
        happened_at=event.happened_at if event is not None and event.at == happened_at else happened_at,
        time_quality=event.time_quality if event is not None else "device",
        device_id=device.device_id,
        gateway=device.gateway,
        place=device.place or device.name,
        sector=device.sector,
        latitude=device.latitude,
        longitude=device.longitude,
        watch_group=device.watch_group,
        is_drill=is_drill,
        source_event=event.id if event is not None else None,
        rule_version=rule.version,
        confirm=_question(rule, priority),
        is_reserved=is_reserved,
    )
    return without_place(found) if is_hidden else found


def _question(rule: Rule, priority: int) -> Confirm | None:
    """What is as urgent already as people could make it waits for nobody's word."""
    confirm = rule.confirm
    return confirm if confirm is not None and confirm.priority < priority else None


def _priority(rule: Rule, signal: Signal, around: Around) -> int:
    """The first of ``raise`` that holds; one whose condition fails does not."""
    for other in rule.raises:
        try:
            if holds(other.condition, other.during, rule, signal, around):
                return other.priority
        except ConditionError:
            continue
    return rule.priority


def _priority_at(rule: Rule, at: datetime) -> int:
    """For a timer: only schedules can raise it, there is no message to look at."""
    for other in rule.raises:
        if other.condition is None and (other.during is None or other.during.holds(at)):
            return other.priority
    return rule.priority


_WHERE: dict[By, Callable[[Place], str]] = {
    By.DEVICE: lambda d: d.name or d.place or f"dispositivo {d.device_id}",
    By.PLACE: lambda d: d.place or d.name,
    By.SECTOR: lambda d: f"sector {d.sector}" if d.sector else d.name,
    By.GATEWAY: lambda d: d.place or d.gateway,
    By.COMMUNE: lambda d: d.place or d.name,
}


def _dedup_key(rule: Rule, device: Place, is_drill: bool) -> str:
    # A drill never joins a real alert, nor the other way round.
    return f"{rule.kind}:{SCOPE_OF[rule.by](device)}" + (":drill" if is_drill else "")


def _summary(
    rule: Rule, device: Place, told: Told, signal: Signal | None, now_s: float, *, is_hidden: bool
) -> str:
    where = silent_button(device.device_id) if is_hidden else _WHERE[rule.by](device)
    text = f"{rule.title}: {where}"
    if told.count is not None:
        text += f" ({told.count})"
    elif told.value is not None and isinstance(signal, Reading):
        text += f" ({number_text(signal.quantity, signal.value)})"
    if now_s - told.at_s > TELL_AGE_S and signal is not None:
        text += f" [tardío: ocurrió el {_local(instant(told.at_s))}]"
    return text


def _local(at: datetime) -> str:
    return f"{at.astimezone(SANTIAGO):%d-%m a las %H:%M}"


def _decimals(value: float, digits: int) -> str:
    return f"{value:.{digits}f}".replace(".", ",")


_FORMATS: dict[str, Callable[[float], str]] = {
    "battery": lambda v: f"{v * 100:.0f} %",
    "humidity": lambda v: f"{v * 100:.0f} %" if abs(v) <= 1 else f"{v:.0f} %",
    "level": lambda v: f"{_decimals(v, 2)} m",
    "temperature": lambda v: f"{_decimals(v, 1)} °C",
}


def number_text(quantity: str, value: float) -> str:
    """A value as people in Chile write it."""
    form = _FORMATS.get(quantity)
    return form(value) if form is not None else f"{value:.6g}".replace(".", ",")
