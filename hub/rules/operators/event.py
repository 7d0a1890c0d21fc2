"""An event that speaks for itself; and one that lasts: opened, and not closed within a time."""

from dataclasses import dataclass
from typing import Any

from hub.rules.model import Asked, Happening, Signal, Step, Told, seconds


@dataclass(frozen=True, slots=True)
class OnEvent:
    """Each event of ``events`` tells."""

    events: frozenset[str]
    quantities: frozenset[str] = frozenset()
    is_stateful: bool = False

    def step(self, state: dict[str, Any] | None, signal: Signal, asked: Asked) -> Step | None:
        if not asked.holds():
            return None
        at_s = seconds(signal.at)
        return Step(state, told=Told(at_s, is_late=asked.is_late(at_s)))


@dataclass(frozen=True, slots=True)
class Lasting:
    """An event of ``starts`` tells ``for_s`` later, unless one of ``ends`` came meanwhile.

    State: ``{"is": "open" | "told" | "closed", "at": instant of the last turn, "late": bool}``.
    """

    starts: frozenset[str]
    ends: frozenset[str]
    for_s: float
    quantities: frozenset[str] = frozenset()
    is_stateful: bool = True

    @property
    def events(self) -> frozenset[str]:
        return self.starts | self.ends

    def step(self, state: dict[str, Any] | None, signal: Signal, asked: Asked) -> Step | None:
        assert isinstance(signal, Happening)  # noqa: S101 - readings are not listened to
        at_s = seconds(signal.at)
        if state is not None and at_s < state["at"]:
            return None  # what came later has been seen already
        if signal.type in self.ends:
            return Step({"is": "closed", "at": at_s})
        if state is not None and state["is"] != "closed":
            return self._affirm(state, at_s, asked)
        if state is not None and at_s == state["at"]:
            return None
        if not asked.holds():
            return None
        return Step({"is": "open", "at": at_s, "late": asked.is_late(at_s)}, due_s=at_s + self.for_s)

    def _affirm(self, state: dict[str, Any], at_s: float, asked: Asked) -> Step | None:
        """Still open: what only old data said so far is said by new data now."""
        if state["late"] and not asked.is_late(at_s):
            told = Told(at_s) if state["is"] == "told" else None
            due_s = state["at"] + self.for_s if told is None else None
            return Step({**state, "late": False}, due_s, told)
        return None

    def on_due(self, state: dict[str, Any], _now_s: float, _seen_s: float | None) -> Step | None:
        if state["is"] != "open":
            return Step(state)
        return Step({**state, "is": "told"}, told=Told(state["at"] + self.for_s, is_late=state["late"]))
