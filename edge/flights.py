"""What is on its way to the hub and when to send it again. Pure: rows and the time come in, messages go out.

A row is in flight from its first sending until its receipt, whatever the broker says meanwhile. Each lane
has its own window, so that telemetry nobody answers never keeps an alarm from leaving.
"""

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from edge import contract
from edge.drivers import Lane
from edge.rows import Entry, Row


@dataclass(frozen=True, kw_only=True, slots=True)
class LaneRules:
    """How a lane travels: ``window_rows`` and ``window_bytes`` bound what waits for receipts (one row is
    always allowed), ``first_retry_s`` doubles up to ``last_retry_s``; ``batch_rows`` share one message.
    """

    leaf: contract.Leaf
    window_rows: int
    window_bytes: int
    first_retry_s: float
    last_retry_s: float
    batch_rows: int = 1


BATCH_BYTES = 64 * 1024

# 64 KiB of telemetry in flight keep a link of 1 Mbit/s and 0.5 s round trip busy, and hold an alarm that
# comes behind them in the same TCP stream back for at most a second on one of 0.5 Mbit/s.
RULES: dict[Lane, LaneRules] = {
    Lane.ALARM: LaneRules(
        leaf=contract.Leaf.ALARM,
        window_rows=64,
        window_bytes=256 * 1024,
        first_retry_s=1.0,
        last_retry_s=15.0,
    ),
    Lane.EVENT: LaneRules(
        leaf=contract.Leaf.EVENT,
        window_rows=200,
        window_bytes=128 * 1024,
        first_retry_s=5.0,
        last_retry_s=60.0,
        batch_rows=50,
    ),
    Lane.TELEMETRY: LaneRules(
        leaf=contract.Leaf.TELEMETRY,
        window_rows=20,
        window_bytes=64 * 1024,
        first_retry_s=5.0,
        last_retry_s=60.0,
    ),
}


@dataclass(slots=True)
class _Flight:
    row: Row
    due_ms: int
    attempts: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Message:
    """One MQTT message to publish; ``payload`` states the ages as of now."""

    leaf: contract.Leaf
    payload: bytes
    message_ids: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """The clocks at one moment."""

    boottime_ms: int
    boot_id: str
    wall_ms: int
    is_synced: bool


def age_ms(entry: Entry, now: Reading) -> int | None:
    """How long ago it happened; None when no clock knows.

    After a reboot the monotonic clock knows nothing of what came before; two synchronised wall clocks do.
    """
    if entry.boot_id == now.boot_id:
        return max(0, now.boottime_ms - entry.boottime_ms)
    if now.is_synced and entry.clock is contract.Clock.SYNCED:
        return max(0, now.wall_ms - round(entry.wall.timestamp() * 1000))
    return None


def aged(entry: Entry, now: Reading) -> bytes:
    """The payload as it travels."""
    age = age_ms(entry, now)
    return entry.payload if age is None else contract.with_age(entry.payload, age)


def retry_s(rules: LaneRules, attempts: int, chance: random.Random) -> float:
    """How long to wait for a receipt after the n-th sending; up to a fifth less, so that gateways spread."""
    delay_s = min(rules.last_retry_s, rules.first_retry_s * 2.0 ** min(attempts - 1, 16))
    return delay_s * chance.uniform(0.8, 1.0)


class Flights:
    """Rows in flight, by message id, over all lanes."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._lanes: dict[Lane, dict[str, _Flight]] = {lane: {} for lane in Lane}
        self._bytes = dict.fromkeys(Lane, 0)
        self.last_row_id = dict.fromkeys(Lane, 0)
        """Highest row of each lane that was taken up since :meth:`clear`."""

    def clear(self) -> None:
        """A new connection: everything pending leaves again at once."""
        for lane in Lane:
            self._lanes[lane].clear()
            self._bytes[lane] = 0
            self.last_row_id[lane] = 0

    def room(self, lane: Lane) -> int:
        """How many more rows may be taken up."""
        rules = RULES[lane]
        if self._bytes[lane] >= rules.window_bytes:
            return 0
        return max(0, rules.window_rows - len(self._lanes[lane]))

    def take_up(self, lane: Lane, rows: Sequence[Row], now_ms: int) -> bool:
        """Add fresh rows, due at once, as far as the window's bytes go; False when some were left behind."""
        for row in rows:
            if self._bytes[lane] >= RULES[lane].window_bytes:
                return False
            self.last_row_id[lane] = row.row_id
            if row.entry.message_id not in self._lanes[lane]:
                self._lanes[lane][row.entry.message_id] = _Flight(row, now_ms)
                self._bytes[lane] += len(row.entry.payload)
        return True

    def due(self, lane: Lane, now: Reading) -> list[Message]:
        """What to publish now, oldest first; counts as sent."""
        flights = [f for f in self._lanes[lane].values() if f.due_ms <= now.boottime_ms]
        flights.sort(key=lambda flight: flight.row.row_id)
        for flight in flights:
            flight.attempts += 1
            delay_s = retry_s(RULES[lane], flight.attempts, self._chance)
            flight.due_ms = now.boottime_ms + round(delay_s * 1000)
        return list(_messages(RULES[lane], [flight.row for flight in flights], now))

    def land(self, message_ids: Iterable[str]) -> list[Row]:
        """Receipts or refusals: these are no longer in flight; returns the rows that were."""
        landed = []
        for message_id in message_ids:
            for lane, flights in self._lanes.items():
                flight = flights.pop(message_id, None)
                if flight is not None:
                    self._bytes[lane] -= len(flight.row.entry.payload)
                    landed.append(flight.row)
        return landed

    def next_due_ms(self) -> int | None:
        """When the next one must be sent again."""
        return min((f.due_ms for flights in self._lanes.values() for f in flights.values()), default=None)


def _messages(rules: LaneRules, rows: Sequence[Row], now: Reading) -> Iterable[Message]:
    """One message for each row, or for each batch of rows where the lane has batches."""
    batch: list[Row] = []
    size = 0
    for row in rows:
        if batch and (len(batch) == rules.batch_rows or size + len(row.entry.payload) > BATCH_BYTES):
            yield _message(rules, batch, now)
            batch, size = [], 0
        batch.append(row)
        size += len(row.entry.payload)
    if batch:
        yield _message(rules, batch, now)


def _message(rules: LaneRules, batch: Sequence[Row], now: Reading) -> Message:
    parts = [aged(row.entry, now) for row in batch]
    payload = parts[0] if len(parts) == 1 else b"[" + b",".join(parts) + b"]"
    return Message(leaf=rules.leaf, payload=payload, message_ids=tuple(row.entry.message_id for row in batch))
