"""Nothing heard for a while from a device that has spoken before."""

from dataclasses import dataclass
from typing import Any

from hub.rules.model import Asked, Signal, Step, Told, seconds


@dataclass(frozen=True, slots=True)
class Absence:
    """None of ``events`` and ``quantities`` for ``for_s``.

    A heartbeat writes nothing: the timer looks up when the device was last heard (``seen_s``). State:
    ``{"is": "heard" | "gone", "at": instant}``.
    """

    events: frozenset[str]
    quantities: frozenset[str]
    for_s: float
    is_stateful: bool = True

    def step(self, state: dict[str, Any] | None, signal: Signal, _asked: Asked) -> Step | None:
        if state is not None:
            return None
        at_s = seconds(signal.at)
        return Step({"is": "heard", "at": at_s}, due_s=at_s + self.for_s)

    def on_due(self, state: dict[str, Any], now_s: float, seen_s: float | None) -> Step | None:
        heard_s = max(state["at"], seen_s or 0.0) if state["is"] == "heard" else seen_s or 0.0
        due_s = heard_s + self.for_s
        if due_s > now_s:
            return Step({"is": "heard", "at": heard_s}, due_s=due_s)
        again_s = now_s + min(self.for_s, 60.0)
        if state["is"] == "gone":
            return Step(state, due_s=again_s)
        return Step({"is": "gone", "at": due_s}, due_s=again_s, told=Told(due_s))
