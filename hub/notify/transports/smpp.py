"""SMPP 3.4 to an operator or aggregator: one connection, several texts under way, receipts and replies.

The session is our own: a text has its deadline here and its queue in the database. What was under way when
the connection broke *may* have left; what the operator refused did not. PDUs are aiosmpplib's and
:mod:`smpp_pdu`'s.
"""

import asyncio
import itertools
import logging
import ssl
import struct
import uuid
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Literal

from aiosmpplib import NPI, TON, BindTransceiver, EnquireLink, PhoneNumber, SubmitSm
from aiosmpplib.protocol import SmppMessage

from hub.notify.transports import (
    DeliveryReport,
    Health,
    Inbound,
    Outgoing,
    TransportError,
    TransportEvent,
)
from hub.notify.transports import smpp_pdu as wire
from hub.notify.transports.modem.assemble import Assembler
from hub.notify.transports.modem.fields import PduError
from hub.notify.transports.modem.segments import SegmentError

log = logging.getLogger(__name__)

BIND_S = 5.0
ANSWER_S = 6.0
"""An operator's own deadline for one part; below the eight seconds that a whole text has."""
ENQUIRE_S = 15.0
"""A dead line is noticed within this and the deadline of an answer."""
RETRY_FIRST_S, RETRY_MAX_S = 0.5, 30.0
REPEAT_S = 120.0
"""An operator that was not answered brings a reply again within this; later the same words are a new text."""
BUSY_PAUSE_S = 0.5
BUSY_TRIES = 8
_MAX_SEQUENCE = 0x7FFF_FFFF


@dataclass(frozen=True, kw_only=True, slots=True)
class SmppAccount:
    """What the operator gave. ``sender`` is a short number, a phone in E.164 or a name; empty: theirs.

    ``multipart`` ``sar`` is for operators that join parts by optional parameters. ``ids``: some operators
    write a message's id in hexadecimal in one place and in decimal in the other.
    """

    host: str
    port: int
    system_id: str
    password: str
    system_type: str = ""
    sender: str = ""
    multipart: Literal["udh", "sar"] = "udh"
    ids: Literal["same", "hex_answer", "hex_receipt"] = "same"
    tls: ssl.SSLContext | None = None


@dataclass
class _Session:
    """One bound connection. ``answers`` are the requests under way, by sequence number."""

    writer: asyncio.StreamWriter
    answers: dict[int, asyncio.Future[bytes]] = field(default_factory=dict)
    sequence: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))

    async def ask(self, message: SmppMessage, timeout_s: float) -> bytes:
        """The response's PDU; raises TimeoutError, or OSError when the connection breaks meanwhile."""
        message.sequence_num = next(self.sequence) % _MAX_SEQUENCE + 1
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self.answers[message.sequence_num] = answer
        try:
            self.writer.write(message.pdu())
            async with asyncio.timeout(timeout_s):
                return await answer
        finally:
            self.answers.pop(message.sequence_num, None)

    def answer(self, command: int, sequence: int) -> None:
        body = b"\0" if command == wire.DELIVER else b""
        header = struct.pack(
            "!IIII", wire.HEADER_SIZE + len(body), command | wire.RESPONSE, wire.OK, sequence
        )
        self.writer.write(header + body)

    def end(self) -> None:
        for answer in self.answers.values():
            if not answer.done():
                answer.set_exception(ConnectionResetError("the connection broke"))
        self.writer.close()


@dataclass(frozen=True, slots=True)
class _Heard:
    """An event and its answer to the operator, which goes out once the event was taken."""

    event: TransportEvent | None
    done: Callable[[], None]


@dataclass(frozen=True, slots=True)
class _Unanswered:
    """A reply that came by ``session`` and is not answered yet; another may bring it again."""

    session: _Session
    sender: str
    text: str
    reference: str
    at: datetime


class SmppTransport:
    """``first_reference`` of the parts' references counts on; a random start keeps two hubs apart."""

    def __init__(self, account: SmppAccount, first_reference: int = 0) -> None:
        self._account = account
        self._sender = _address(account.sender)
        self._references = itertools.count(first_reference)
        self._session: _Session | None = None
        self._trouble = "todavía sin conexión"
        self._heard: asyncio.Queue[_Heard] = asyncio.Queue()
        self._assembler = Assembler()
        self._unanswered: list[_Unanswered] = []

    # ------------------------------------------------------------------------------------------ sending

    async def send(self, message: Outgoing) -> tuple[str, ...]:
        """The operator's id of each part."""
        session = self._session
        if not message.to:
            raise TransportError("falta el teléfono de turno", permanent=True)
        if session is None:
            raise TransportError(f"sin conexión con el operador: {self._trouble}", permanent=False)
        try:
            parts = wire.submits(
                message.text,
                message.to,
                self._sender,
                next(self._references) & 0xFF,
                is_sar=self._account.multipart == "sar",
            )
        except SegmentError as error:
            raise TransportError(str(error), permanent=True) from error
        references: list[str] = []
        for part in parts:
            # one after the other: a refused first part stops the text before anything left
            references.append(await self._submit(session, part, has_begun=bool(references)))
        return tuple(references)

    async def _submit(self, session: _Session, part: SubmitSm, *, has_begun: bool) -> str:
        for _ in range(BUSY_TRIES):
            try:
                answer = await session.ask(part, ANSWER_S)
            except TimeoutError:
                raise TransportError("el operador no contestó", permanent=False, maybe_sent=True) from None
            except OSError:
                raise TransportError(
                    "se cortó la conexión con el operador", permanent=False, maybe_sent=True
                ) from None
            status = struct.unpack_from("!I", answer, 8)[0]
            if status == wire.OK:
                return self._normal(_message_id(answer), self._account.ids == "hex_answer")
            if status not in wire.BUSY:
                break
            await asyncio.sleep(BUSY_PAUSE_S)
        raise TransportError(
            f"el operador respondió: {wire.status_text(status)}",
            permanent=status in wire.REFUSED_PHONE and not has_begun,
            maybe_sent=has_begun,
        )

    @staticmethod
    def _normal(message_id: str, is_hex: bool) -> str:
        """As decimal where one of the two places is hexadecimal."""
        try:
            return str(int(message_id, 16)) if is_hex else message_id
        except ValueError:
            return message_id

    # ------------------------------------------------------------------------------------------ hearing

    async def events(self) -> AsyncIterator[TransportEvent]:
        """The operator is answered once an event was taken, so that it repeats what we could not keep.

        Parts of a long reply are answered as they come: many operators send the next one only then.
        """
        while True:
            heard = await self._heard.get()
            if heard.event is not None:
                yield heard.event
            heard.done()

    def _hear(self, session: _Session, pdu: bytes, sequence: int) -> None:
        events = self._events_of(session, pdu)

        def done() -> None:
            if session is self._session:
                session.answer(wire.DELIVER, sequence)
                names = {event.reference for event in events}
                self._unanswered = [one for one in self._unanswered if one.reference not in names]

        for event in events[:-1]:
            self._heard.put_nowait(_Heard(event, lambda: None))
        self._heard.put_nowait(_Heard(events[-1] if events else None, done))

    def _events_of(self, session: _Session, pdu: bytes) -> list[TransportEvent]:
        now = datetime.now(UTC)
        try:
            return self._read_events(session, pdu, now)
        except Exception as error:  # noqa: BLE001  what is not answered is repeated for ever
            log.warning("smpp: a message cannot be read and is passed over (%s)", type(error).__name__)
            return []

    def _read_events(self, session: _Session, pdu: bytes, now: datetime) -> list[TransportEvent]:
        found = wire.read_deliver(pdu, now)
        if isinstance(found, wire.Receipt):
            if found.is_delivered is None:
                return []
            reference = self._normal(found.message_id, self._account.ids == "hex_receipt")
            return [
                DeliveryReport(
                    reference=reference, at=now, is_delivered=found.is_delivered, detail=found.detail
                )
            ]
        whole = [*self._assembler.give_up(now), *self._assembler.add(found, now)]
        return [self._reply(session, message.sender, message.text, message.at or now) for message in whole]

    def _reply(self, session: _Session, sender: str, text: str, now: datetime) -> Inbound:
        """SMPP names no text: one that comes again because its answer was lost keeps name and time."""
        since = now - timedelta(seconds=REPEAT_S)
        self._unanswered = [one for one in self._unanswered if one.at > since]
        for one in self._unanswered:
            if (one.sender, one.text) == (sender, text) and one.session is not session:
                # by this session from now on: the same words once more in it are another text
                self._unanswered.remove(one)
                break
        else:
            one = _Unanswered(session, sender, text, uuid.uuid4().hex, now)
        self._unanswered.append(replace(one, session=session))
        return Inbound(sender=sender, at=one.at, text=text, reference=one.reference)

    # --------------------------------------------------------------------------------------- connection

    async def health(self) -> Health:
        if self._session is None:
            return Health(is_ok=False, detail=f"sin conexión con el operador: {self._trouble}")
        return Health(
            is_ok=True,
            detail=f"conectado a {self._account.host}:{self._account.port}",
            queue=len(self._session.answers),
        )

    async def run_loop(self) -> None:
        delay_s = RETRY_FIRST_S
        while True:
            try:
                await self._connect_and_listen()
                delay_s = RETRY_FIRST_S
            except (OSError, TimeoutError, asyncio.IncompleteReadError, _BindError, PduError) as error:
                self._trouble = str(error) if isinstance(error, _BindError) else "no se puede conectar"
                log.warning("smpp: %s; again in %.1f s", self._trouble, delay_s)
            await asyncio.sleep(delay_s)
            delay_s = min(RETRY_MAX_S, delay_s * 2)

    async def _connect_and_listen(self) -> None:
        """Returns when a connection that was bound ends; raises when there was none."""
        account = self._account
        async with asyncio.timeout(BIND_S):
            reader, writer = await asyncio.open_connection(account.host, account.port, ssl=account.tls)
        session = _Session(writer)
        try:
            async with asyncio.timeout(BIND_S):
                await self._bind(session, reader)
            self._session = session
            log.info("smpp: bound to %s:%d", account.host, account.port)
            cause = await _first_error(self._listen(session, reader), _keep_alive(session))
            self._trouble = "se cortó la conexión"
            log.warning("smpp: the connection to %s:%d broke (%s)", account.host, account.port, cause)
        finally:
            self._session = None
            session.end()

    async def _bind(self, session: _Session, reader: asyncio.StreamReader) -> None:
        account = self._account
        request = BindTransceiver(
            system_id=account.system_id, password=account.password, system_type=account.system_type
        )
        request.sequence_num = next(session.sequence)
        session.writer.write(request.pdu())
        _, status, _, _ = await _read(reader)
        if status != wire.OK:
            raise _BindError(wire.status_text(status))

    async def _listen(self, session: _Session, reader: asyncio.StreamReader) -> None:
        while True:
            command, _, sequence, pdu = await _read(reader)
            if command & wire.RESPONSE:
                answer = session.answers.get(sequence)
                if answer is not None and not answer.done():
                    answer.set_result(pdu)
            elif command == wire.DELIVER:
                self._hear(session, pdu, sequence)
            else:
                session.answer(command, sequence)
                if command == wire.UNBIND:
                    raise ConnectionResetError("unbound")


class _BindError(Exception):
    """The operator refused the account; Spanish."""


async def _first_error(*loops: Coroutine[None, None, None]) -> str:
    """Run loops that end by an error alone until one does; returns its name."""
    tasks = [asyncio.create_task(loop) for loop in loops]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        return type(done.pop().exception()).__name__
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _read(reader: asyncio.StreamReader) -> tuple[int, int, int, bytes]:
    """(command, status, sequence, whole PDU) of the next one."""
    header = await reader.readexactly(wire.HEADER_SIZE)
    size, command, status, sequence = struct.unpack("!IIII", header)
    if not wire.HEADER_SIZE <= size <= wire.MAX_SIZE:
        raise PduError("a PDU of an impossible size", 0)
    return command, status, sequence, header + await reader.readexactly(size - wire.HEADER_SIZE)


async def _keep_alive(session: _Session) -> None:
    """Ends the connection when the other side no longer answers."""
    while True:
        await asyncio.sleep(ENQUIRE_S)
        await session.ask(EnquireLink(), ANSWER_S)


def _message_id(pdu: bytes) -> str:
    return pdu[wire.HEADER_SIZE :].split(b"\0", 1)[0].decode("latin-1")


def _address(sender: str) -> PhoneNumber:
    if sender.startswith("+"):
        return PhoneNumber(sender[1:], TON.INTERNATIONAL, NPI.ISDN)
    if sender and not sender.isdigit():
        return PhoneNumber(sender, TON.ALPHANUMERIC, NPI.UNKNOWN)
    return PhoneNumber(sender)
