"""Messages that were read and not yet handled, and when that is enough of them."""

from collections import deque

from hub.mqtt.packets import Message

HIGH_BYTES = 32 * 1024 * 1024
"""Payload bytes that may wait before the socket is left unread."""


class Inbox:
    """Messages not yet handled; says when to stop reading and when to go on (below half)."""

    def __init__(self, high_water: int, high_bytes: int = HIGH_BYTES) -> None:
        self._messages: deque[Message] = deque()
        self._high = high_water
        self._high_bytes = high_bytes
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._messages)

    def add(self, messages: list[Message]) -> None:
        self._messages.extend(messages)
        self._bytes += sum([len(m.payload) for m in messages])

    def take(self, limit: int) -> list[Message]:
        pop = self._messages.popleft
        batch = [pop() for _ in range(min(limit, len(self._messages)))]
        self._bytes -= sum([len(m.payload) for m in batch])
        return batch

    @property
    def is_full(self) -> bool:
        return len(self._messages) >= self._high or self._bytes >= self._high_bytes

    @property
    def has_room(self) -> bool:
        return 2 * len(self._messages) < self._high and 2 * self._bytes < self._high_bytes
