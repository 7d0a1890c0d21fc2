"""Fan-out of "this alert changed" to the open consoles. In memory: the rows are in the database."""

import asyncio
import uuid
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

# A console that is this many changes behind reads everything again, which is cheaper than replaying.
MAX_PENDING = 64


@dataclass(frozen=True, slots=True)
class AlertChanged:
    """``version`` is None where the sender did not say it."""

    alert_id: str
    version: int | None = None


@dataclass(frozen=True, slots=True)
class Refresh:
    """Read everything again: something may have been missed."""


@dataclass(frozen=True, slots=True)
class Closed:
    """The hub is stopping; nothing more will come."""


Change = AlertChanged | Refresh | Closed


class Subscription:
    """One console's pending changes. Never holds more than ``max_pending``."""

    def __init__(self, max_pending: int) -> None:
        self._pending: deque[Change] = deque()
        self._max_pending = max_pending
        self._wake = asyncio.Event()

    def offer(self, change: Change) -> None:
        if isinstance(change, Closed):
            self._pending.clear()
        elif Refresh() in self._pending:
            return
        elif isinstance(change, Refresh) or len(self._pending) >= self._max_pending:
            self._pending.clear()
            change = Refresh()
        self._pending.append(change)
        self._wake.set()

    async def next(self, timeout_s: float) -> Change | None:
        """The oldest pending change, or None when ``timeout_s`` passed quietly."""
        if not self._pending:
            try:
                await asyncio.wait_for(self._wake.wait(), timeout_s)
            except TimeoutError:
                return None
        change = self._pending.popleft()
        if not self._pending:
            self._wake.clear()
        return change


class AlertBus:
    """Never blocks the publisher, however slow a console is."""

    def __init__(self, max_pending: int = MAX_PENDING) -> None:
        self._max_pending = max_pending
        self._subscriptions: set[Subscription] = set()
        self._is_closed = False
        self.changes = 0
        """How many were heard of: what was read before the newest may be out of date."""

    def publish(self, alert_id: str, version: int | None = None) -> None:
        self._offer(AlertChanged(alert_id, version))

    def refresh(self) -> None:
        self._offer(Refresh())

    def heard(self, payload: str) -> None:
        """Take a NOTIFY payload: an alert's id; empty after a reconnection, when much may be missed."""
        try:
            alert_id = uuid.UUID(payload)
        except ValueError:
            self.refresh()
        else:
            self.publish(str(alert_id))

    def close(self) -> None:
        """End every stream, and those that begin later."""
        self._is_closed = True
        self._offer(Closed())

    @contextmanager
    def subscribe(self) -> Iterator[Subscription]:
        subscription = Subscription(self._max_pending)
        self._subscriptions.add(subscription)
        if self._is_closed:
            subscription.offer(Closed())
        try:
            yield subscription
        finally:
            self._subscriptions.discard(subscription)

    @property
    def listeners(self) -> int:
        return len(self._subscriptions)

    def _offer(self, change: Change) -> None:
        self.changes += 1
        for subscription in tuple(self._subscriptions):
            subscription.offer(change)
