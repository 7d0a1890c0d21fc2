"""The modem's memories over one link: read what came, delete what the hub has. Blocking."""

import logging
from datetime import datetime

from hub.notify.transports.modem import replies
from hub.notify.transports.modem.inbox import Inbox, Place
from hub.notify.transports.modem.link import Link
from hub.notify.transports.modem.replies import Stored
from hub.notify.transports.modem.setup import Setup, choose_notices
from hub.notify.transports.modem.timing import Timing

log = logging.getLogger(__name__)

DELETES = 4
"""In one go; a modem needs up to a second for each. One text of three parts brings three reports."""
PRESSED = 0.8
"""From this share of the memory on, what nobody can read is deleted too."""


class Storage:
    """``setup`` says which memories there are."""

    def __init__(self, link: Link, setup: Setup, inbox: Inbox, timing: Timing) -> None:
        self._link = link
        self._setup = setup
        self._inbox = inbox
        self._timing = timing
        self._selected = setup.receiving
        self._notices = setup.notices
        self._stuck: set[Place] = set()
        self._filled: dict[str, tuple[int, int]] = {}

    def read(self, place: Place, now: datetime) -> None:
        """Take in one message that a notice named; if it cannot be read, the next sweep finds it."""
        memory, index = place
        if not self._select(memory):
            return
        reply = self._link.ask(f"AT+CMGR={index}")
        pdu = replies.pdu(reply.lines)
        if reply.is_ok and pdu is not None:
            self._inbox.take(Stored(memory, index, pdu), now)

    def sweep(self, now: datetime) -> None:
        """Take in all that is in the memories, and let go of the texts whose other parts never came."""
        self._stuck.clear()
        self._prepare()
        for memory in self._setup.swept:
            if self._select(memory):
                self._list(memory, now)
        self._select(self._setup.receiving)
        self._make_room_where_pressed()
        self._inbox.give_up(now)

    @property
    def filled(self) -> tuple[int, int] | None:
        """Used and total places of the memory that receives, as of the last sweep."""
        return self._filled.get(self._setup.receiving)

    def _prepare(self) -> None:
        """A modem that has restarted unnoticed has forgotten these."""
        self._link.ask("AT+CMGF=0")
        if not (self._notices and self._link.ask(f"AT+CNMI={self._notices}").is_ok):
            self._notices = choose_notices(self._link)
        self._selected = ""

    def _list(self, memory: str, now: datetime) -> None:
        reply = self._link.ask("AT+CMGL=4", timeout_s=self._timing.network_s)
        if not reply.is_ok:
            return
        found = replies.listing(reply.lines, memory)
        if found.is_whole:
            self._inbox.seen(memory, [message.index for message in found.messages])
        for message in found.messages:
            self._inbox.take(message, now)

    def delete_some(self) -> bool:
        """Free places whose messages the hub has committed, a few, so that no text waits for long.

        Returns whether all of them are free. One that stays is tried again after the next sweep.
        """
        done = [place for place in self._inbox.to_delete() if place not in self._stuck]
        self._delete(done[:DELETES])
        return len(done) <= DELETES

    def make_room(self) -> None:
        """Delete all that the hub has, and what nobody can read."""
        self._delete(self._inbox.to_delete() + self._inbox.rubbish())

    def _make_room_where_pressed(self) -> None:
        """Before a memory is full: a full one takes no more texts."""
        for memory, (used, total) in self._filled.items():
            if used >= PRESSED * total:
                self._delete([place for place in self._inbox.rubbish() if place[0] == memory])

    def _delete(self, places: list[Place]) -> None:
        for place in places:
            memory, index = place
            if self._select(memory) and self._link.ask(f"AT+CMGD={index}").is_ok:
                self._inbox.deleted(place)
            else:
                self._stuck.add(place)

    def _select(self, memory: str) -> bool:
        """Make ``memory`` the one that is read; the one that receives stays."""
        if memory and memory != self._selected:
            reply = self._link.ask(f'AT+CPMS="{memory}"')
            if not reply.is_ok:
                return False
            self._selected = memory
            if (filled := replies.filled(reply.lines)) is not None:
                self._filled[memory] = filled
        return True
