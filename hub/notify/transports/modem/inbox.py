"""Texts and reports on their way from the modem's memory to the hub. No I/O.

A message stays in the modem until the hub has committed what came of it; only then its place is named for
deletion. What is in hand is not told again by the next sweep.
"""

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
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


@dataclass(frozen=True, slots=True)
class Arrived:
    """An event for the hub; ``places`` are free once the hub has committed it. ``report`` is its source."""

    event: TransportEvent
    places: tuple[Place, ...] = ()
    report: StatusReport | None = None


@dataclass(slots=True)
class _Held:
    """One message in hand; ``part`` while it waits for the others of its text."""

    pdu: str
    part: Deliver | None = None


@dataclass(slots=True)
class Inbox:
    """What one modem's memories hold and how far each message has come."""

    modem: str
    assembler: Assembler
    _held: dict[Place, _Held] = field(default_factory=dict)
    _free: dict[Place, None] = field(default_factory=dict)
    _rubbish: dict[Place, None] = field(default_factory=dict)

    def take(self, stored: Stored, now: datetime) -> list[Arrived]:
        """What the message completes: usually one event, none for a part or for what is in hand already."""
        place = (stored.memory, stored.index)
        held = self._held.get(place)
        if held is not None and held.pdu == stored.pdu:
            return []
        self._free.pop(place, None)
        self._rubbish.pop(place, None)
        held = self._held[place] = _Held(stored.pdu)
        return self._read(stored.pdu, now, place, held)

    def take_direct(self, pdu: str, now: datetime) -> list[Arrived]:
        """As :meth:`take`, for a message that the modem did not store."""
        return self._read(pdu, now, None, _Held(pdu))

    def give_up(self, now: datetime) -> list[Arrived]:
        """Texts whose other parts did not come in time."""
        return self._texts(self.assembler.give_up(now), now)

    def committed(self, arrived: Arrived) -> None:
        """The hub has it: its places may be deleted."""
        for place in arrived.places:
            self._free[place] = None

    def to_delete(self) -> tuple[Place, ...]:
        return tuple(self._free)

    def rubbish(self) -> tuple[Place, ...]:
        """What nobody can read: left alone while there is room."""
        return tuple(self._rubbish)

    def deleted(self, place: Place) -> None:
        """The place is empty and may be used again."""
        for table in (self._held, self._free, self._rubbish):
            table.pop(place, None)

    def seen(self, memory: str, indexes: Iterable[int]) -> None:
        """``indexes`` are all that ``memory`` holds: forget what has gone (another SIM, another program)."""
        present = set(indexes)
        for place in [p for p in self._held if p[0] == memory and p[1] not in present]:
            if not self._is_waiting(self._held[place]):
                self.deleted(place)

    def _is_waiting(self, held: _Held) -> bool:
        return held.part is not None and self.assembler.is_waiting(held.part)

    def _read(self, pdu: str, now: datetime, place: Place | None, held: _Held) -> list[Arrived]:
        try:
            message = parse(pdu)
        except PduError as error:
            log.warning("%s: a message that cannot be read (%s)", self.modem, error)
            return self._drop(place)
        if isinstance(message, StatusReport):
            return self._report(message, now, place)
        if isinstance(message, Deliver):
            held.part = message
            return self._texts(self.assembler.add(message, now), now)
        return self._drop(place)

    def _drop(self, place: Place | None) -> list[Arrived]:
        if place is not None:
            self._rubbish[place] = None
        return []

    def _report(self, report: StatusReport, now: datetime, place: Place | None) -> list[Arrived]:
        places = (place,) if place else ()
        if not report.is_final:
            self._free.update(dict.fromkeys(places))
            return []
        event = DeliveryReport(
            reference=part_reference(self.modem, report.reference, report.recipient),
            at=report.done_at or now,
            is_delivered=report.is_delivered,
            detail=report_text(report.status),
        )
        return [Arrived(event, places, report)]

    def _texts(self, messages: list[Message], now: datetime) -> list[Arrived]:
        """The first text gets the places of all that waits no longer; a repeated part is free at once."""
        done = self._no_longer_waiting()
        for found in done:
            self._held[found].part = None
        texts = [message for message in messages if message.text]
        if not texts:
            self._set_aside(done, is_rubbish=bool(messages))
            return []
        places = [tuple(done), *[()] * (len(texts) - 1)]
        return [Arrived(self._inbound(text, now), mine) for text, mine in zip(texts, places, strict=True)]

    def _set_aside(self, places: list[Place], *, is_rubbish: bool) -> None:
        """Repeated parts may go; an operator's settings or a picture are no text for a person."""
        (self._rubbish if is_rubbish else self._free).update(dict.fromkeys(places))

    def _no_longer_waiting(self) -> list[Place]:
        return [
            place
            for place, held in self._held.items()
            if held.part is not None and not self.assembler.is_waiting(held.part)
        ]

    def _inbound(self, message: Message, now: datetime) -> Inbound:
        told = f"{message.sender}|{message.at}|{message.text}".encode("utf-8", "replace")
        return Inbound(
            sender=message.sender,
            at=message.at or now,
            text=message.text,
            reference=f"{self.modem}:{blake2s(told, digest_size=12).hexdigest()}",
        )
