"""How many texts a SIM may send: a token bucket (pure). Operators block SIMs that send without pause."""

from dataclasses import dataclass

RESERVE = 0.2
"""The share of the bucket that only priority 1 may use."""


@dataclass(slots=True)
class Bucket:
    """``burst`` texts at once, filled up at ``per_hour``. Times are seconds of one monotonic clock."""

    per_hour: float
    burst: float
    tokens: float
    filled_at: float

    def take(self, count: int, now: float, *, is_urgent: bool) -> float:
        """Take ``count`` and return 0, or take nothing and return the seconds until there is enough.

        A text of more parts than the bucket holds leaves when it is full, and puts it into debt.
        """
        self._fill(now)
        floor = 0.0 if is_urgent else self.burst * RESERVE
        missing = min(count + floor, self.burst) - self.tokens
        if missing > 0:
            return missing * 3600 / self.per_hour
        self.tokens -= count
        return 0.0

    def _fill(self, now: float) -> None:
        self.tokens = min(self.burst, self.tokens + (now - self.filled_at) * self.per_hour / 3600)
        self.filled_at = now


def full(per_hour: float, burst: float, now: float) -> Bucket:
    """A bucket of a SIM that has rested."""
    return Bucket(per_hour, burst, burst, now)
