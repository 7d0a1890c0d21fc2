"""A position outside (or inside) a zone: a threshold on the distance from its edge."""

from dataclasses import dataclass
from typing import Any

from hub.rules.model import Asked, Signal, Step, seconds
from hub.rules.operators import hysteresis
from hub.rules.zones import Zone


@dataclass(frozen=True, slots=True)
class Geofence:
    """Events that carry ``lat`` and ``lon`` in their data, at least ``margin_m`` beyond the edge.

    Back over the edge it is quiet again.
    """

    events: frozenset[str]
    zone: Zone
    is_outside: bool
    margin_m: float
    for_s: float = 0.0
    quantities: frozenset[str] = frozenset()
    is_stateful: bool = True

    def step(self, state: dict[str, Any] | None, signal: Signal, asked: Asked) -> Step | None:
        position = _position(asked.fields())
        if position is None:
            return None
        distance_m = self.zone.distance_m(*position) * (1 if self.is_outside else -1)
        at_s = seconds(signal.at)
        turn = hysteresis.Turn(
            at_s=at_s,
            value=distance_m,
            is_raising=distance_m >= self.margin_m,
            is_staying=distance_m > 0,
            is_late=asked.is_late(at_s),
            holds=asked.holds,
        )
        return hysteresis.turn(state, turn, self.for_s)

    def on_due(self, state: dict[str, Any], _now_s: float, _seen_s: float | None) -> Step | None:
        return hysteresis.on_due(state, self.for_s)


def _position(fields: Any) -> tuple[float, float] | None:
    latitude, longitude = fields.get("lat"), fields.get("lon")
    if not isinstance(latitude, (int, float)) or not isinstance(longitude, (int, float)):
        return None
    is_on_earth = abs(latitude) <= 90 and abs(longitude) <= 180
    return (float(latitude), float(longitude)) if is_on_earth else None
