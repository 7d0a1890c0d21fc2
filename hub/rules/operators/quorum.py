"""Several sensors of one place that agree."""

from dataclasses import dataclass
from typing import Any

from hub.rules.model import Asked, Reading, Signal, Step, Told, seconds
from hub.rules.operators import hysteresis


@dataclass(frozen=True, slots=True)
class Quorum:
    """``at_least`` devices, and ``share`` of those heard within ``fresh_s``, are beyond the limit.

    State: the hysteresis's, and ``m``: device → [is beyond, instant].
    """

    quantity: str
    is_above: bool
    raise_at: float
    clear_at: float
    at_least: int
    share: float
    fresh_s: float
    events: frozenset[str] = frozenset()
    is_stateful: bool = True

    @property
    def quantities(self) -> frozenset[str]:
        return frozenset({self.quantity})

    def step(self, state: dict[str, Any] | None, signal: Signal, asked: Asked) -> Step | None:
        assert isinstance(signal, Reading)  # noqa: S101 - events are not listened to
        at_s, device = seconds(signal.at), str(asked.device_id)
        members: dict[str, list[Any]] = state["m"] if state else {}
        was, seen_s = members.get(device, (False, None))
        if seen_s is not None and at_s <= seen_s:
            return None
        is_beyond = self._is_beyond(signal.value, bool(was))
        if is_beyond == was and seen_s is not None and at_s - seen_s < self.fresh_s / 4:
            return None  # nothing new to remember
        members = {**members, device: [is_beyond, at_s]}
        members = {d: m for d, m in members.items() if m[1] > at_s - 2 * self.fresh_s}
        fresh = [m[0] for m in members.values() if abs(m[1] - at_s) < self.fresh_s]
        is_met = sum(fresh) >= self.at_least and sum(fresh) >= self.share * len(fresh)
        turn = hysteresis.Turn(at_s, signal.value, is_met, is_met, asked.is_late(at_s), asked.holds)
        turned = hysteresis.turn(state, turn, 0.0)
        after = turned.state if turned and turned.state else state or {"is": "ok", "at": 0.0}
        told = turned.told if turned else None
        if told is not None:
            told = Told(told.at_s, told.value, sum(fresh), told.is_late)
        return Step({**after, "m": members}, told=told)

    def _is_beyond(self, value: float, was: bool) -> bool:
        limit = self.clear_at if was else self.raise_at
        return value >= limit if self.is_above else value <= limit
