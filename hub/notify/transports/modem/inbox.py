"""Texts and reports on their way from the modem's memory to the hub. No I/O.

A message stays in the modem until the hub has committed what came of it; only then its place is named for
deletion, and only if this session has seen that it still holds that message: an answer to a deletion may have
been lost, and the place filled again. What is in hand is not told again by the next sweep, so what it
completed is kept here until somebody takes it: the modem may die in the middle of a sweep.
"""

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from hashlib import blake2s
from typing import TypeAlias

from hub.notify.transports import DeliveryReport, Inbound, TransportEvent
from hub.notify.transports.modem.assemble import Assembler, Message
from hub.notify.transports.modem.errors import report_text
from hub.notify.transports.modem.pdu import Deliver, PduError, StatusReport, parse
from hub.notify.transports.modem.references import part_reference
from hub.notify.transports.modem.replies import Stored

log = logging.getLogger(__name__)

Place: TypeAlias = tuple[str, int]


class Stage(Enum):
    """How far a stored message is."""

    IN_HAND = "in hand"
    DONE = "done"
    """The hub has what came of it."""
    RUBBISH = "rubbish"
    """Nobody can read it: left alone while there is room."""


@dataclass(frozen=True, slots=True)
class Arrived:
    """An event for the hub; ``sources`` may be deleted once it has committed it."""

    event: TransportEvent
    sources: tuple[Stored, ...] = ()
    report: StatusReport | None = None


@dataclass(slots=True)
class _Held:
    """One stored message. ``part`` while it waits for the others of its text."""

    stored: Stored
    stage: Stage = Stage.IN_HAND
    part: Deliver | None = None
    is_seen: bool = True


@dataclass(slots=True)
class Inbox:
    """What one modem's memories hold and how far each message has come."""

    modem: str
    assembler: Assembler
    _held: dict[Place, _Held] = field(default_factory=dict)
    _arrived: list[Arrived] = field(default_factory=list)

    def start_session(self) -> None:
        """The modem may have been away: nothing is certain until it is seen again."""
        for held in self._held.values():
            held.is_seen = False

    def take(self, stored: Stored, now: datetime) -> None:
        """A message in a memory; usually it completes one event, none if it is a part or in hand already."""
        place = (stored.memory, stored.index)
        held = self._held.get(place)
        if held is not None and held.stored == stored:
            held.is_seen = True
            return
        held = self._held[place] = _Held(stored)
        self._arrived += self._read(stored.pdu, now, held)

    def take_direct(self, pdu: str, now: datetime) -> None:
        """As :meth:`take`, for a message that the modem did not store."""
        self._arrived += self._read(pdu, now, None)

    def give_up(self, now: datetime) -> None:
        """Let go of texts whose other parts did not come in time."""
        self._arrived += self._texts(self.assembler.give_up(now), now)

    def take_arrived(self) -> list[Arrived]:
        """The events since the last time; across memories, a first answer before a second one."""
        arrived, self._arrived = self._arrived, []
        return sorted(arrived, key=lambda one: one.event.at)

    def committed(self, arrived: Arrived) -> None:
        """The hub has it."""
        for stored in arrived.sources:
            held = self._held.get((stored.memory, stored.index))
            if held is not None and held.stored == stored:
                held.stage = Stage.DONE

    def to_delete(self) -> list[Place]:
        return self._places(Stage.DONE)

    def rubbish(self) -> list[Place]:
        return self._places(Stage.RUBBISH)

    def deleted(self, place: Place) -> None:
        """The place is empty and may be used again."""
        self._held.pop(place, None)

    def seen(self, memory: str, indexes: Iterable[int]) -> None:
        """``indexes`` are all that ``memory`` holds: forget what has gone (another SIM, another program)."""
        present = set(indexes)
        for place in [p for p in self._held if p[0] == memory and p[1] not in present]:
            if not self._is_waiting(self._held[place]):
                self.deleted(place)

    def _places(self, stage: Stage) -> list[Place]:
        return sorted(place for place, held in self._held.items() if held.stage is stage and held.is_seen)

    def _is_waiting(self, held: _Held) -> bool:
        return held.part is not None and self.assembler.is_waiting(held.part)

    def _read(self, pdu: str, now: datetime, held: _Held | None) -> list[Arrived]:
        try:
            message = parse(pdu)
        except PduError as error:
            log.warning("%s: a message that cannot be read (%s)", self.modem, error)
            message = None
        if isinstance(message, StatusReport):
            return self._report(message, now, held)
        if isinstance(message, Deliver):
            if held is not None:
                held.part = message
            return self._texts(self.assembler.add(message, now), now)
        self._set_aside([held] if held else [], Stage.RUBBISH)
        return []

    def _report(self, report: StatusReport, now: datetime, held: _Held | None) -> list[Arrived]:
        if not report.is_final:
            self._set_aside([held] if held else [], Stage.DONE)
            return []
        event = DeliveryReport(
            reference=part_reference(self.modem, report.reference, report.recipient),
            at=report.done_at or now,
            is_delivered=report.is_delivered,
            detail=report_text(report.status),
        )
        return [Arrived(event, (held.stored,) if held else (), report)]

    def _texts(self, messages: list[Message], now: datetime) -> list[Arrived]:
        """The first text has as its sources all that waits no longer; a repeated part is done at once."""
        ended = [held for held in self._held.values() if held.part and not self._is_waiting(held)]
        for held in ended:
            held.part = None
        texts = [message for message in messages if message.text]
        if not texts:
            # an operator's settings or a picture are no text for a person
            self._set_aside(ended, Stage.RUBBISH if messages else Stage.DONE)
            return []
        sources = [tuple(held.stored for held in ended), *[()] * (len(texts) - 1)]
        return [Arrived(self._inbound(text, now), mine) for text, mine in zip(texts, sources, strict=True)]

    def _set_aside(self, helds: Iterable[_Held], stage: Stage) -> None:
        for held in helds:
            held.stage = stage

    def _inbound(self, message: Message, now: datetime) -> Inbound:
        told = f"{message.sender}|{message.at}|{message.text}".encode("utf-8", "replace")
        # without the network's time the same words of another day would have the same name
        name = f"{self.modem}:{blake2s(told, digest_size=12).hexdigest()}" if message.at else ""
        return Inbound(sender=message.sender, at=message.at or now, text=message.text, reference=name)
