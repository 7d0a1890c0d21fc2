"""Beyond a limit, and back beyond another: the turn that thresholds, rates and zones share.

State: ``{"is": "ok" | "wait" | "up", "at": instant of the last turn, "late": bool}``. ``late`` is set while
only data older than the watermark says so; then nobody has been told, until new data affirms it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hub.rules.model import Step, Told


@dataclass(frozen=True, slots=True)
class Turn:
    """One value on its way through: is it beyond the raising limit, or still beyond the clearing one?"""

    at_s: float
    value: float
    is_raising: bool
    is_staying: bool
    is_late: bool
    holds: Callable[[], bool]


def turn(state: dict[str, Any] | None, t: Turn, for_s: float) -> Step | None:
    if state is not None and t.at_s <= state["at"]:
        return None  # older than the last turn, or that very reading again
    phase = "ok" if state is None else state["is"]
    return _PHASES[phase](state or {}, t, for_s)


def _quiet(_state: dict[str, Any], t: Turn, for_s: float) -> Step | None:
    if not t.is_raising or not t.holds():
        return None
    if for_s > 0:
        return Step({"is": "wait", "at": t.at_s, "late": t.is_late}, due_s=t.at_s + for_s)
    return Step({"is": "up", "at": t.at_s, "late": t.is_late}, told=Told(t.at_s, t.value, is_late=t.is_late))


def _waiting(state: dict[str, Any], t: Turn, for_s: float) -> Step | None:
    due_s = state["at"] + for_s
    if t.at_s >= due_s and (t.is_staying or not state["late"]):
        # The time was full before this value came; the timer has only not been heard yet.
        after = {"is": "up", "at": due_s, "late": t.is_late}
        told = Told(due_s, t.value, is_late=t.is_late)
        return Step(after if t.is_staying else {"is": "ok", "at": t.at_s}, told=told)
    if not t.is_staying:
        return Step({"is": "ok", "at": t.at_s})
    return Step({**state, "late": False}, due_s) if state["late"] and not t.is_late else None


def _raised(state: dict[str, Any], t: Turn, _for_s: float) -> Step | None:
    if not t.is_staying:
        return Step({"is": "ok", "at": t.at_s})
    if state["late"] and not t.is_late:
        return Step({**state, "late": False}, told=Told(t.at_s, t.value))
    return None


_PHASES = {"ok": _quiet, "wait": _waiting, "up": _raised}


def on_due(state: dict[str, Any], for_s: float) -> Step | None:
    """The time of ``for`` is full and nothing said otherwise."""
    if state["is"] != "wait":
        return Step(state)
    due_s = state["at"] + for_s
    return Step({**state, "is": "up", "at": due_s}, told=Told(due_s, is_late=state["late"]))
