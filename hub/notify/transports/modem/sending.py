"""One text through the modem: its parts in order, each tried again while that helps. Blocking."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from hub.notify.transports.modem import alphabet, replies
from hub.notify.transports.modem.dialogue import Reply
from hub.notify.transports.modem.errors import (
    MEMORY_FULL,
    NO_ANSWER,
    CommandError,
    Fault,
    LeftError,
    LineError,
    ModemError,
    NoAnswerError,
    cause_of,
    refusal,
)
from hub.notify.transports.modem.link import Link
from hub.notify.transports.modem.pdu import PduError, StatusReport, submit
from hub.notify.transports.modem.references import ConcatReferences, normal_number, part_reference
from hub.notify.transports.modem.segments import Segment, SegmentError, split
from hub.notify.transports.modem.settings import ModemSettings
from hub.notify.transports.modem.timing import Timing

log = logging.getLogger(__name__)

CLOCKS_DIFFER = timedelta(minutes=10)
"""A service centre's clock and ours; a report of a text that was sent longer ago belongs to another one."""
PART_ATTEMPTS = 3
"""A part that the network refuses for the moment; longer trouble is the router's to wait out."""
_PASSING = (Fault.NETWORK, Fault.MODEM)


@dataclass(slots=True)
class Parts:
    """A text and how far it has come: one entry a part in ``references``, None without an answer."""

    modem: str
    to: str
    segments: list[Segment]
    references: list[int | None] = field(default_factory=list)
    begun_at: datetime | None = None

    @property
    def is_known(self) -> bool:
        return None not in self.references

    def names(self) -> tuple[str, ...]:
        """The transport's references, in the order of the parts."""
        return tuple(part_reference(self.modem, r, self.to) for r in self.references if r is not None)

    def may_adopt(self, report: StatusReport) -> bool:
        """Whether the report can be of a part whose answer is missing: same phone, and not sent before it."""
        if self.is_known or report.reference in self.references or normal_number(report.recipient) != self.to:
            return False
        if report.sent_at is None or self.begun_at is None:
            return True
        return report.sent_at >= self.begun_at - CLOCKS_DIFFER

    def fill(self, reference: int) -> None:
        """The answer that was missing: the first one."""
        self.references[self.references.index(None)] = reference


def parts_of(text: str, to: str, settings: ModemSettings) -> Parts:
    """Cut the text as the settings say. Raises :class:`ModemError` for one that cannot be sent at all."""
    try:
        segments = split(text if settings.full_accents else alphabet.economic(text))
    except SegmentError as error:
        raise ModemError(str(error), Fault.MESSAGE) from error
    return Parts(settings.name, normal_number(to), segments)


class Sender:
    """Sends over one link. ``make_room`` empties the memory where that is what a refusal asks for."""

    def __init__(
        self,
        link: Link,
        settings: ModemSettings,
        timing: Timing,
        concat: ConcatReferences,
        make_room: Callable[[], None],
    ) -> None:
        self._link = link
        self._settings = settings
        self._timing = timing
        self._concat = concat
        self._make_room = make_room

    def send(self, parts: Parts) -> None:
        """Fill in ``parts.references``. Raises :class:`ModemError`, or LineError when the link died.

        After either, what left before is told by ``maybe_sent``: a person who got half a text has got it.
        """
        reference = self._concat.next(parts.to) if len(parts.segments) > 1 else 0
        for segment in parts.segments:
            pdu, length = self._pdu(parts.to, segment, reference)
            parts.references.append(self._send_part(pdu, length, has_begun=bool(parts.references)))

    def _pdu(self, to: str, segment: Segment, reference: int) -> tuple[str, int]:
        settings = self._settings
        try:
            return submit(
                to,
                segment,
                reference=reference,
                wants_report=settings.wants_reports,
                validity_s=settings.validity_h * 3600,
            )
        except PduError as error:
            raise ModemError("el número no es un teléfono", Fault.RECIPIENT) from error

    def _send_part(self, pdu: str, length: int, *, has_begun: bool) -> int | None:
        """The network's reference; None when the part left and nothing was heard."""
        for attempt in range(1, PART_ATTEMPTS + 1):
            try:
                return self._attempt(pdu, length)
            except ModemError as error:
                if error.maybe_sent or error.fault not in _PASSING or attempt == PART_ATTEMPTS:
                    raise ModemError(
                        str(error), error.fault, maybe_sent=error.maybe_sent or has_begun
                    ) from error
                log.info("%s: attempt %d of a part: %s", self._settings.name, attempt, error)
                self._link.pause(self._timing.part_retry_s)
        raise AssertionError

    def _attempt(self, pdu: str, length: int) -> int | None:
        self._set_mode()
        try:
            submission = self._link.submit(pdu, length)
        except NoAnswerError as error:
            self._link.greet()
            raise ModemError(str(error), Fault.MODEM) from error
        if submission.lost is not None:
            raise LeftError(str(submission.lost)) from submission.lost
        if submission.reply is None:
            self._check_alive()
            return None
        return self._read(submission.reply)

    def _set_mode(self) -> None:
        """A modem that has restarted unnoticed would take the PDU for a text to a short number."""
        try:
            self._link.order("AT+CMGF=0")
        except CommandError as error:
            raise ModemError(f"{NO_ANSWER.cause} ({error.final})", Fault.MODEM) from error

    def _check_alive(self) -> None:
        """No answer: only if the modem still lives, others may go on and the answer may still come."""
        try:
            self._link.greet()
        except LineError as error:
            raise LeftError(str(error)) from error

    def _read(self, reply: Reply) -> int | None:
        if reply.is_ok:
            return replies.reference(reply.lines)
        if cause_of(reply.final) in MEMORY_FULL:
            self._make_room()
        raise refusal(reply.final)
