"""From a bouncing contact to presses. Pure: edges and time go in, what the press means comes out.

A contact reports every edge it makes. :class:`Debouncer` turns them into steady levels; :class:`PressMachine`
turns these into presses, cancellations and a stuck button. Neither knows of pins, threads or clocks: the
caller hands in each edge with its monotonic time, and asks for :attr:`PressMachine.due_ms` to know when time
alone will change something. Legal transitions are the table :data:`MOVES`.
"""

import enum
from collections.abc import Mapping
from dataclasses import dataclass

CANCEL_TAP_MS = 1000
"""A button without hold time is cancelled by a tap; held this long, the second press is another cry."""


class Debouncer:
    """A level counts once it has been steady for ``bounce_ms``; shorter pulses never happened."""

    def __init__(self, bounce_ms: int) -> None:
        self._bounce_ms = bounce_ms
        self._is_down = False
        self._raw_is_down = False
        self._since_ms = 0

    def edge(self, is_down: bool, at_ms: int) -> None:
        """The contact's level from ``at_ms`` on; telling the same level twice changes nothing."""
        if is_down != self._raw_is_down:
            self._raw_is_down, self._since_ms = is_down, at_ms

    @property
    def due_ms(self) -> int | None:
        """When the new level will have been steady long enough; None while nothing changes."""
        return None if self._raw_is_down == self._is_down else self._since_ms + self._bounce_ms

    def settle(self) -> tuple[bool, int]:
        """Take the new level as steady; returns it with the time at which it began."""
        self._is_down = self._raw_is_down
        return self._is_down, self._since_ms


class State(enum.Enum):
    IDLE = enum.auto()
    HELD = enum.auto()
    """Down, not yet long enough."""
    SAID = enum.auto()
    """Down, and the alarm is out."""
    LONG = enum.auto()
    """Down, and the long press is out too."""
    STUCK = enum.auto()
    """Down for so long that nobody holds it."""
    WINDOW = enum.auto()
    """Up again; a short press still cancels."""
    HELD_AGAIN = enum.auto()
    """Down once more within the window."""


class Cue(enum.Enum):
    """What happens to the button: the first two come from the contact, the others from time."""

    DOWN = enum.auto()
    UP = enum.auto()
    HOLD_REACHED = enum.auto()
    LONG_REACHED = enum.auto()
    STUCK_REACHED = enum.auto()
    WINDOW_OVER = enum.auto()


class Said(enum.Enum):
    """What a press meant."""

    PRESSED = enum.auto()
    LONG_PRESSED = enum.auto()
    CANCELLED = enum.auto()
    STUCK = enum.auto()


MOVES: Mapping[tuple[State, Cue], tuple[State, Said | None]] = {
    (State.IDLE, Cue.DOWN): (State.HELD, None),
    (State.HELD, Cue.UP): (State.IDLE, None),
    (State.HELD, Cue.HOLD_REACHED): (State.SAID, Said.PRESSED),
    (State.SAID, Cue.LONG_REACHED): (State.LONG, Said.LONG_PRESSED),
    (State.SAID, Cue.STUCK_REACHED): (State.STUCK, Said.STUCK),
    (State.SAID, Cue.UP): (State.WINDOW, None),
    # A long press may be a call under duress, which nobody cancels at the button.
    (State.LONG, Cue.UP): (State.IDLE, None),
    (State.LONG, Cue.STUCK_REACHED): (State.STUCK, Said.STUCK),
    (State.STUCK, Cue.UP): (State.IDLE, None),
    (State.WINDOW, Cue.WINDOW_OVER): (State.IDLE, None),
    (State.WINDOW, Cue.DOWN): (State.HELD_AGAIN, None),
    (State.HELD_AGAIN, Cue.UP): (State.IDLE, Said.CANCELLED),
    (State.HELD_AGAIN, Cue.HOLD_REACHED): (State.SAID, Said.PRESSED),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Timing:
    """All in milliseconds. ``long_ms`` and ``window_ms`` of 0 switch the long press and cancelling off."""

    bounce_ms: int = 30
    hold_ms: int = 2000
    long_ms: int = 0
    window_ms: int = 0
    stuck_ms: int = 60_000


@dataclass(frozen=True, slots=True)
class Output:
    """``held_ms``: how long the button had been down when this was decided, at ``at_ms``."""

    said: Said
    at_ms: int
    held_ms: int


class PressMachine:
    """Edges in, :class:`Output` out. Times are monotonic milliseconds and never go back.

    An alarm is told as soon as it is decided; the window only allows a short second press to cancel it
    afterwards, because nothing may delay a cry for help.
    """

    def __init__(self, timing: Timing) -> None:
        self._timing = timing
        self._contact = Debouncer(timing.bounce_ms)
        self.state = State.IDLE
        self._down_ms = 0
        self._pressed_ms = 0

    def edge(self, is_down: bool, at_ms: int) -> list[Output]:
        """The contact changed at ``at_ms``; returns what had been decided by then."""
        outputs = self.advance(at_ms)
        self._contact.edge(is_down, at_ms)
        return outputs + self.advance(at_ms)

    def advance(self, to_ms: int) -> list[Output]:
        """Let everything happen that is due until ``to_ms``, in its order."""
        outputs: list[Output] = []
        while (due_ms := self.due_ms) is not None and due_ms <= to_ms:
            outputs += self._step(due_ms)
        return outputs

    @property
    def due_ms(self) -> int | None:
        """When :meth:`advance` is to be called next; None while only an edge can change anything."""
        times = [at_ms for at_ms, _ in self._deadlines()]
        if self._contact.due_ms is not None:
            times.append(self._contact.due_ms)
        return min(times, default=None)

    def _step(self, now_ms: int) -> list[Output]:
        # At one instant the contact goes first: letting go in time is letting go.
        if self._contact.due_ms is not None and self._contact.due_ms <= now_ms:
            is_down, since_ms = self._contact.settle()
            if is_down:
                self._down_ms = since_ms
            return self._take(Cue.DOWN if is_down else Cue.UP, now_ms)
        _, cue = min(self._deadlines(), key=lambda deadline: deadline[0])
        return self._take(cue, now_ms)

    def _take(self, cue: Cue, now_ms: int) -> list[Output]:
        self.state, said = MOVES[self.state, cue]
        if said is Said.PRESSED:
            self._pressed_ms = now_ms
        return [] if said is None else [Output(said, now_ms, now_ms - self._down_ms)]

    def _deadlines(self) -> list[tuple[int, Cue]]:
        """What time alone brings about in this state."""
        timing, down_ms = self._timing, self._down_ms
        stuck = (down_ms + timing.stuck_ms, Cue.STUCK_REACHED)
        match self.state:
            case State.HELD:
                return [(down_ms + timing.hold_ms, Cue.HOLD_REACHED)]
            case State.HELD_AGAIN:
                return [(down_ms + (timing.hold_ms or CANCEL_TAP_MS), Cue.HOLD_REACHED)]
            case State.SAID if timing.long_ms:
                return [(down_ms + timing.long_ms, Cue.LONG_REACHED), stuck]
            case State.SAID | State.LONG:
                return [stuck]
            case State.WINDOW:
                return [(self._pressed_ms + timing.window_ms, Cue.WINDOW_OVER)]
        return []
