"""Gammu SMSD through its PostgreSQL tables: a process of its own, met in SQL alone.

SMSD sends a long text as one part cut off at 70 characters and calls it delivered, so the parts are ours
(``outbox_multipart``). It compares local times without a zone, so a text is due a day ago. A daemon that
hangs leaves texts lying: they are taken back and told.
"""

import asyncio
import itertools
import logging
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import Any

import asyncpg

from hub.database import UNAVAILABLE, Pool
from hub.notify.transports import (
    DeliveryReport,
    Health,
    Inbound,
    Outgoing,
    TransportError,
    TransportEvent,
)
from hub.notify.transports.modem.fields import Concat, write_header
from hub.notify.transports.modem.segments import Coding, Segment, SegmentError, split

log = logging.getLogger(__name__)

CREATOR = "almenara"
_TOLD = "almenara/informado"
POLL_S = 1.0
STALE_AFTER_S = 150
"""SMSD renews its row in ``phones`` each ``statusfrequency`` (60 s): two of them missed, and some."""
STUCK_AFTER_S = 180

_CODINGS = {Coding.GSM7: "Default_No_Compression", Coding.UCS2: "Unicode_No_Compression"}

_FIRST = """
insert into outbox ("SendingDateTime", "SendingTimeOut", "DestinationNumber", "TextDecoded", "Coding", "UDH",
  "MultiPart", "DeliveryReport", "CreatorID", "Priority", "SenderID")
values (localtimestamp - interval '1 day', localtimestamp - interval '1 day', $1, $2, $3, $4, $5, 'yes', $6,
  $7, $8)
returning "ID"
"""
_OTHERS = """
insert into outbox_multipart ("ID", "SequencePosition", "TextDecoded", "Coding", "UDH")
select $1, p.number, p.text, p.coding, p.udh
from unnest($2::int[], $3::text[], $4::text[], $5::text[]) as p (number, text, coding, udh)
"""
# What a part came to. An error in sending is the end of it: SMSD has tried as often as it is told to.
_REPORTS = """
select "ID", "SequencePosition" as number, "Status" as status, "StatusError" as status_error,
  "StatusCode" as status_code
from sentitems
where "CreatorID" = $1 and "Status" in ('DeliveryOK', 'DeliveryFailed', 'SendingError', 'Error')
order by "ID", "SequencePosition" limit 100
"""
_REPORTED = 'update sentitems set "CreatorID" = $1 where "ID" = $2 and "SequencePosition" = $3'
_REPLIES = """
select "ID", "SenderNumber" as sender, "TextDecoded" as text,
  "ID" || ':' || extract(epoch from "ReceivingDateTime")::bigint as name
from inbox where not "Processed" order by "ID" limit 100
"""
# SMSD moves "SendingTimeOut" forward when it takes a text, so one that lies there was never taken.
_STUCK = """
with gone as (
  delete from outbox where "CreatorID" = $1 and "SendingTimeOut" < localtimestamp
    and "InsertIntoDB" < localtimestamp - make_interval(secs => $2) returning "ID"
), parts as (
  delete from outbox_multipart m using gone where m."ID" = gone."ID" returning m."ID", m."SequencePosition"
)
select "ID", 1 as number from gone union all select "ID", "SequencePosition" from parts
"""
_PHONE = """
select "Signal" as signal, "NetName" as network,
  "UpdatedInDB" > localtimestamp - make_interval(secs => $1) as is_fresh,
  (select count(*) from outbox)::integer as queue
from phones where $2 = '' or "ID" = $2 order by "UpdatedInDB" desc limit 1
"""


class SmsdTransport:
    """``dsn`` is of SMSD's own database; ``phone_id`` its ``phoneid``, empty where there is one modem."""

    def __init__(self, dsn: str, phone_id: str = "", first_reference: int = 0) -> None:
        self._dsn = dsn
        self._phone_id = phone_id
        self._references = itertools.count(first_reference)
        self._pool: Pool | None = None

    async def send(self, message: Outgoing) -> tuple[str, ...]:
        """``<ID>:<part>`` for each part, as ``sentitems`` will name it."""
        if not message.to:
            raise TransportError("falta el teléfono de turno", permanent=True)
        try:
            parts = split(message.text)
        except SegmentError as error:
            raise TransportError(str(error), permanent=True) from error
        if not (health := await self.health()).is_ok:
            raise TransportError(health.detail, permanent=False)
        try:
            number = await self._queue(message, parts)
        except UNAVAILABLE as error:
            # a commit whose answer was lost may have been one
            raise TransportError(
                f"la base de SMSD no contesta ({type(error).__name__})", permanent=False, maybe_sent=True
            ) from None
        except asyncpg.PostgresError as error:
            raise TransportError(
                f"la base de SMSD no acepta el texto ({type(error).__name__})", permanent=False
            ) from None
        return tuple(f"{number}:{part.number}" for part in parts)

    async def _queue(self, message: Outgoing, parts: Sequence[Segment]) -> int:
        reference = next(self._references) & 0xFF
        udhs = [_udh(part, reference) for part in parts]
        pool = await self._connected()
        async with pool.acquire() as connection, connection.transaction():
            number: int = await connection.fetchval(
                _FIRST,
                message.to,
                parts[0].text,
                _CODINGS[parts[0].coding],
                udhs[0],
                len(parts) > 1,
                CREATOR,
                5 - message.priority,
                self._phone_id or None,
            )
            await connection.execute(
                _OTHERS,
                number,
                [part.number for part in parts[1:]],
                [part.text for part in parts[1:]],
                [_CODINGS[part.coding] for part in parts[1:]],
                udhs[1:],
            )
        return number

    async def events(self) -> AsyncIterator[TransportEvent]:
        while True:
            try:
                pool = await self._connected()
                async for event in self._heard(pool):
                    yield event
            except UNAVAILABLE as error:
                log.warning("smsd: its database is away (%s)", type(error).__name__)
            await asyncio.sleep(POLL_S)

    async def _heard(self, pool: Pool) -> AsyncIterator[TransportEvent]:
        for row in await pool.fetch(_REPORTS, CREATOR):
            yield _report(row)
            await pool.execute(_REPORTED, _TOLD, row["ID"], row["number"])
        for row in await pool.fetch(_REPLIES):
            # the first part of a long text holds all of it, and the others nothing
            if row["text"]:
                yield Inbound(
                    sender=row["sender"], at=datetime.now(UTC), text=row["text"], reference=row["name"]
                )
            await pool.execute('update inbox set "Processed" = true where "ID" = $1', row["ID"])
        for row in await pool.fetch(_STUCK, CREATOR, STUCK_AFTER_S):
            yield DeliveryReport(
                reference=f"{row['ID']}:{row['number']}",
                at=datetime.now(UTC),
                is_delivered=False,
                detail=f"SMSD no lo envió en {STUCK_AFTER_S // 60} minutos; se retiró",
            )

    async def health(self) -> Health:
        try:
            async with asyncio.timeout(3):
                pool = await self._connected()
                row = await pool.fetchrow(_PHONE, STALE_AFTER_S, self._phone_id)
        except (*UNAVAILABLE, asyncpg.PostgresError) as error:
            return Health(is_ok=False, detail=f"la base de SMSD no contesta ({type(error).__name__})")
        if row is None:
            return Health(is_ok=False, detail="SMSD todavía no ha visto su módem")
        detail = f"red {row['network']}".strip() if row["is_fresh"] else "SMSD no da señales de vida"
        signal = row["signal"]
        return Health(
            is_ok=row["is_fresh"],
            detail=detail,
            # percent of 31 steps of 2 dB from -113 dBm (3GPP TS 27.007, +CSQ)
            signal_dbm=None if signal < 0 else round(-113 + signal * 0.62),
            queue=row["queue"],
        )

    async def run_loop(self) -> None:
        """The pool connects again by itself; here it ends."""
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            await self.close()

    async def close(self) -> None:
        if self._pool is not None:
            self._pool.terminate()

    async def _connected(self) -> Pool:
        if self._pool is None:
            self._pool = await asyncpg.create_pool(self._dsn, min_size=0, max_size=3, timeout=3)
        return self._pool


def _udh(part: Segment, reference: int) -> str:
    if part.total == 1:
        return ""
    return write_header(Concat(reference, part.number, part.total)).hex().upper()


def _report(row: Any) -> DeliveryReport:
    details = {
        "DeliveryFailed": f"no se pudo entregar (código {row['status_error']})",
        "SendingError": f"el módem no pudo enviarlo (código {row['status_code']})",
        "Error": "SMSD no pudo enviarlo",
    }
    return DeliveryReport(
        reference=f"{row['ID']}:{row['number']}",
        at=datetime.now(UTC),
        is_delivered=row["status"] == "DeliveryOK",
        detail=details.get(row["status"], ""),
    )
