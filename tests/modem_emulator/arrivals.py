"""What the network has for the modem, and the way it takes: into a memory, or straight to the computer."""

from collections import deque
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from hub.notify.transports.modem import pdu
from hub.notify.transports.modem.segments import split
from modem_emulator.commands import CmsError
from modem_emulator.storage import Stored

if TYPE_CHECKING:
    from modem_emulator.modem import Modem


class Arrivals:
    """``waiting``: what the network keeps for us, (kind, PDU, length); kind is ``deliver`` or ``report``."""

    def __init__(self, modem: "Modem") -> None:
        self._modem = modem
        self.waiting: deque[tuple[str, str, int]] = deque()
        self._unacknowledged: tuple[str, str, int] | None = None
        self._reference = 0

    def reset(self) -> None:
        self._unacknowledged = None

    def receive(
        self,
        sender: str,
        text: str,
        *,
        order: Sequence[int] | None = None,
        at: datetime | None = None,
        reference: int | None = None,
    ) -> None:
        """A text comes in. ``order`` names the parts as they come: (2, 1), (1, 3), (1, 1, 2)."""
        segments = split(text)
        if reference is None:
            reference = self._reference = (self._reference + 1) % 256
        for number in order or range(1, len(segments) + 1):
            hexed, length = pdu.deliver(
                sender,
                segments[number - 1],
                at=at or datetime.now(UTC),
                reference=reference,
                centre=self._modem.sim.centre,
            )
            self.arrive("deliver", hexed, length)

    def receive_pdu(self, hexed: str) -> None:
        """Anything at all, as the network's message."""
        self.arrive("deliver", hexed, len(hexed) // 2 - 1 - int(hexed[:2], 16))

    def arrive(self, kind: str, hexed: str, length: int) -> None:
        self.waiting.append((kind, hexed, length))
        self.take_waiting()

    def take_waiting(self) -> None:
        """Take from the network what there is room for."""
        while self.waiting and self._modem.can_receive:
            if not self._take(*self.waiting[0]):
                return
            self.waiting.popleft()

    def _take(self, kind: str, hexed: str, length: int) -> bool:
        mode, mt, _, ds, _ = self._modem.profile.new_messages
        route = mt if kind == "deliver" else ds
        is_direct = route == (2 if kind == "deliver" else 1)
        if is_direct and mode:
            return self._hand_over(kind, hexed, length)
        if kind == "report" and route == 0:
            return True  # nobody asked for it
        memory = self._modem.memories[self._modem.chosen[2]]
        if memory.is_full:
            return False
        slot = memory.put(Stored(hexed, length))
        if route and mode:
            self._modem.unasked(
                f'{"+CMTI" if kind == "deliver" else "+CDSI"}: "{self._modem.chosen[2]}",{slot}'
            )
        return True

    def _hand_over(self, kind: str, hexed: str, length: int) -> bool:
        """Directly; one at a time where the computer must acknowledge."""
        if self._modem.profile.service:
            if self._unacknowledged is not None:
                return False
            self._unacknowledged = waited_for = (kind, hexed, length)
            self._modem.later(self._modem.ack_s, lambda: self._not_acknowledged(waited_for))
        self._modem.unasked(f"+CMT: ,{length}" if kind == "deliver" else f"+CDS: {length}", hexed)
        return True

    def acknowledged(self) -> None:
        """``AT+CNMA``. Raises :class:`CmsError` when nothing waits for it."""
        if self._unacknowledged is None:
            raise CmsError(340)
        self._unacknowledged = None
        self._modem.later(0, self.take_waiting)

    def _not_acknowledged(self, message: tuple[str, str, int]) -> None:
        """As TS 27.005 wants it: no more direct routing, and the network tries again later."""
        if self._unacknowledged is not message:
            return
        self._unacknowledged = None
        self._modem.profile.new_messages[1] = self._modem.profile.new_messages[3] = 0
        self.waiting.appendleft(message)
        self.take_waiting()
