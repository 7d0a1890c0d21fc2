"""Rules as data. Evaluation is in ``hub.rules.evaluate``; both are pure."""

import enum
from dataclasses import dataclass
from datetime import time


class Direction(enum.Enum):
    ABOVE = "above"
    BELOW = "below"


@dataclass(frozen=True, kw_only=True, slots=True)
class EventRule:
    """An event of ``event_type`` opens an alert of ``kind``.

    ``title`` is Spanish and stands before the device's name. Between ``night`` (local times, may cross
    midnight) ``night_priority`` counts instead of ``priority``.
    """

    name: str
    event_type: str
    kind: str
    priority: int
    title: str
    night: tuple[time, time] | None = None
    night_priority: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ThresholdRule:
    """A quantity beyond ``raise_at`` opens an alert; only back beyond ``clear_at`` can it open again.

    Values are in the quantity's SenML unit. ``device_kind`` limits the rule to one kind of device.
    """

    name: str
    quantity: str
    kind: str
    priority: int
    title: str
    direction: Direction
    raise_at: float
    clear_at: float
    device_kind: str | None = None

    def __post_init__(self) -> None:
        gap = self.raise_at - self.clear_at
        if gap < 0 if self.direction is Direction.ABOVE else gap > 0:
            raise ValueError(f"rule {self.name}: clear_at must lie on the quiet side of raise_at")
