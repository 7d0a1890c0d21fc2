"""A quantity beyond a limit, with hysteresis, at once or for a while."""

from dataclasses import dataclass
from typing import Any

from hub.rules.model import Asked, Limit, Reading, Signal, Step, seconds
from hub.rules.operators import hysteresis


@dataclass(frozen=True, slots=True)
class Threshold:
    """``raise_at`` opens, only back beyond ``clear_at`` can it open again; units are the quantity's SenML.

    A device with a raising limit of its own keeps the rule's distance between the two.
    """

    quantity: str
    is_above: bool
    raise_at: Limit
    clear_at: float
    for_s: float = 0.0
    events: frozenset[str] = frozenset()
    is_stateful: bool = True

    @property
    def quantities(self) -> frozenset[str]:
        return frozenset({self.quantity})

    def step(self, state: dict[str, Any] | None, signal: Signal, asked: Asked) -> Step | None:
        assert isinstance(signal, Reading)  # noqa: S101 - events are not listened to
        raise_at = asked.limit(self.raise_at) if self.raise_at.name else self.raise_at.value
        clear_at = raise_at + (self.clear_at - self.raise_at.value)
        value, at_s = signal.value, seconds(signal.at)
        turn = hysteresis.Turn(
            at_s=at_s,
            value=value,
            is_raising=value >= raise_at if self.is_above else value <= raise_at,
            is_staying=value >= clear_at if self.is_above else value <= clear_at,
            is_late=asked.is_late(at_s),
            holds=asked.holds,
        )
        return hysteresis.turn(state, turn, self.for_s)

    def on_due(self, state: dict[str, Any], _now_s: float, _seen_s: float | None) -> Step | None:
        return hysteresis.on_due(state, self.for_s)
