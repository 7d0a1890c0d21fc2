"""Several events within a window; or events of several devices."""

from dataclasses import dataclass
from typing import Any

from hub.rules.model import Asked, Signal, Step, Told, seconds

MAX_KEPT = 1000
"""Instants that one memory holds at most; a window that needs more is refused when it is loaded."""


@dataclass(frozen=True, slots=True)
class Count:
    """``at_least`` events, or events of that many devices, within ``within_s``.

    Once told, those events are used up: only new ones can tell again. State: ``{"hits": [[instant,
    device], ...], "told": instant}``, by when they happened, so that order of arrival does not matter.
    """

    events: frozenset[str]
    at_least: int
    within_s: float
    is_by_devices: bool = False
    keep_s: float = 0.0
    quantities: frozenset[str] = frozenset()
    is_stateful: bool = True

    def step(self, state: dict[str, Any] | None, signal: Signal, asked: Asked) -> Step | None:
        at_s = seconds(signal.at)
        told_s = state["told"] if state else 0.0
        if at_s <= told_s or not asked.holds():
            return None
        hits = sorted([*(state["hits"] if state else []), [at_s, asked.device_id]])
        end_s = self._full_at(hits, at_s)
        if end_s is None:
            oldest_s = hits[-1][0] - self.within_s - self.keep_s
            return Step({"hits": [h for h in hits if h[0] > oldest_s][-MAX_KEPT:], "told": told_s})
        rest = [hit for hit in hits if hit[0] > end_s]
        told = Told(end_s, count=self._size(hits, end_s), is_late=asked.is_late(end_s))
        return Step({"hits": rest, "told": end_s}, told=told)

    def _full_at(self, hits: list[list[float]], at_s: float) -> float | None:
        """The first instant at which a window that holds the new event is full."""
        ends = (hit[0] for hit in hits if at_s <= hit[0] < at_s + self.within_s)
        return next((end_s for end_s in ends if self._size(hits, end_s) >= self.at_least), None)

    def _size(self, hits: list[list[float]], end_s: float) -> int:
        inside = [hit for hit in hits if end_s - self.within_s < hit[0] <= end_s]
        return len({hit[1] for hit in inside}) if self.is_by_devices else len(inside)
