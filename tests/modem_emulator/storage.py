"""The modem's memories for messages."""

from dataclasses import dataclass, field
from enum import IntEnum


class Status(IntEnum):
    """As ``+CMGL`` gives it in PDU mode."""

    UNREAD = 0
    READ = 1
    UNSENT = 2
    SENT = 3


@dataclass(slots=True)
class Stored:
    pdu: str
    length: int
    status: Status = Status.UNREAD

    def read(self) -> Status:
        """The status before this reading."""
        before = self.status
        if before is Status.UNREAD:
            self.status = Status.READ
        return before


@dataclass(slots=True)
class Memory:
    """Numbered slots from 1; ``capacity`` may be lowered at any time."""

    capacity: int
    slots: dict[int, Stored] = field(default_factory=dict)

    @property
    def is_full(self) -> bool:
        return len(self.slots) >= self.capacity

    def put(self, stored: Stored) -> int:
        """The number of the slot, the lowest free one."""
        slot = next(n for n in range(1, self.capacity + 1) if n not in self.slots)
        self.slots[slot] = stored
        return slot
