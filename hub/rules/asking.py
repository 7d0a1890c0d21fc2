"""What conditions may look at, made from a signal; only what a condition names is made."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from hub.rules.condition import Condition
from hub.rules.errors import MissingFieldError
from hub.rules.model import Happening, NearKey, Place, Reading, Rule, Signal
from hub.rules.schedule import SANTIAGO, SUMMER, Schedule, is_holiday, is_in_season


@dataclass(frozen=True, slots=True)
class Around:
    """What is known besides the signals.

    ``limits``: a device's own numbers. ``near``: what was measured lately in a place or sector.
    """

    limits: Mapping[tuple[int, str], float] = field(default_factory=dict)
    near: Mapping[NearKey, float] = field(default_factory=dict)


NOTHING_AROUND = Around()


def _local(signal: Signal) -> dict[str, Any]:
    local = signal.at.astimezone(SANTIAGO)
    return {
        "hour": local.hour,
        "minute": local.minute,
        "weekday": local.weekday(),
        "month": local.month,
        "day": local.day,
        "holiday": is_holiday(local.date()),
        "summer": is_in_season(SUMMER, local.date()),
    }


def _device(device: Place) -> dict[str, Any]:
    names = ("kind", "name", "place", "sector", "gateway", "watch_group")
    return {name: getattr(device, name) for name in names}


def near_keys(rule: Rule, device: Place) -> list[NearKey]:
    """The values near ``device`` that the rule's conditions may ask for."""
    return [(near.scope, place_key(device, near.scope), near.quantity) for near in rule.near]


def place_key(device: Place, scope: str) -> str:
    """The name under which ``near`` values of a device's place or sector are kept."""
    return device.sector if scope == "sector" else f"{device.sector}:{device.place}"


def _near(rule: Rule, signal: Signal, around: Around) -> dict[str, float]:
    found = {key[2]: around.near.get(key) for key in near_keys(rule, signal.device)}
    return {quantity: value for quantity, value in found.items() if value is not None}


_MAKERS: dict[str, Callable[[Rule, Signal, Around], Any]] = {
    "type": lambda _rule, s, _around: s.type if isinstance(s, Happening) else "",
    "data": lambda _rule, s, _around: s.fields() if isinstance(s, Happening) else {},
    "value": lambda _rule, s, _around: s.value if isinstance(s, Reading) else 0.0,
    "device": lambda _rule, s, _around: _device(s.device),
    "local": lambda _rule, s, _around: _local(s),
    "near": _near,
}


def holds(
    condition: Condition | None, during: Schedule | None, rule: Rule, signal: Signal, around: Around
) -> bool:
    """Whether both hold for the signal; a field that it does not have makes the condition false.

    Raises :class:`hub.rules.errors.ConditionError` where the condition fails otherwise.
    """
    if during is not None and not during.holds(signal.at):
        return False
    if condition is None:
        return True
    variables = {name: _MAKERS[name](rule, signal, around) for name in condition.variables}
    try:
        return condition.holds(variables)
    except MissingFieldError:
        return False
