"""How fast a quantity rises or falls, over a window that slides with the readings."""

from dataclasses import dataclass
from typing import Any

from hub.rules.model import Asked, Reading, Signal, Step, seconds
from hub.rules.operators import hysteresis

POINTS = 12
"""Readings kept of a window: one write of the memory for each twelfth, whatever the sensor's cadence."""


@dataclass(frozen=True, slots=True)
class Rate:
    """The change against the oldest point of the window, per ``per_s`` seconds; negative for a fall.

    At least half of the window must have been seen. Quiet again below half of the limit. State: the
    hysteresis's, and ``p``: the points as [instant, value].
    """

    quantity: str
    change: float
    per_s: float
    over_s: float
    events: frozenset[str] = frozenset()
    is_stateful: bool = True

    @property
    def quantities(self) -> frozenset[str]:
        return frozenset({self.quantity})

    def step(self, state: dict[str, Any] | None, signal: Signal, asked: Asked) -> Step | None:
        assert isinstance(signal, Reading)  # noqa: S101 - events are not listened to
        at_s, value = seconds(signal.at), signal.value
        points: list[list[float]] = state["p"] if state else []
        turned = self._turn(state, points, at_s, value, asked)
        kept = self._keep(points, at_s, value)
        if turned is None and kept is points:
            return None
        after = turned.state if turned is not None and turned.state else state or {"is": "ok", "at": 0.0}
        return Step({**after, "p": kept}, told=turned.told if turned else None)

    def _turn(
        self, state: dict[str, Any] | None, points: list[list[float]], at_s: float, value: float, asked: Asked
    ) -> Step | None:
        from_s = at_s - self.over_s
        base = None
        for point in points:
            if from_s <= point[0]:
                base = point if point[0] < at_s else None
                break
        if base is None or at_s - base[0] < self.over_s / 2:
            return None
        change = (value - base[1]) / (at_s - base[0]) * self.per_s
        share = change / self.change  # 1 at the limit, whether it is a rise or a fall
        if share < 1 and (state is None or state["is"] == "ok"):
            return None  # quiet before and after: nearly every reading of nearly every sensor
        turn = hysteresis.Turn(at_s, change, share >= 1, share >= 0.5, asked.is_late(at_s), asked.holds)
        return hysteresis.turn(state, turn, 0.0)

    def _keep(self, points: list[list[float]], at_s: float, value: float) -> list[list[float]]:
        """The points of the window, with this one where it lies apart from the others."""
        gap_s = self.over_s / POINTS
        if points and 0 <= at_s - points[-1][0] < gap_s:
            return points
        newest = max(at_s, points[-1][0]) if points else at_s
        if at_s <= newest - self.over_s or any(abs(p[0] - at_s) < gap_s for p in points):
            return points
        return sorted([*(p for p in points if p[0] > newest - self.over_s - gap_s), [at_s, value]])
