"""What gateways push to the console, as rows: the web's process puts them, the transport takes them."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from datetime import datetime

from hub.database import Pool
from hub.notify.transports import DeliveryReport, Inbound, TransportEvent

CHANNEL = "transport_inbox"
POLL_S = 5.0
"""A notification that was missed costs no more than this."""

_PUT = """
with put as (
  insert into transport_inbox (transport, at, reference, is_delivered, sender, text)
  values ($1, $2, $3, $4, $5, $6) returning transport
)
select pg_notify('transport_inbox', transport) from put
"""
_NEXT = """
select inbox_id, at, reference, is_delivered, sender, text from transport_inbox
where transport = $1 order by inbox_id limit 1 for update skip locked
"""


async def put(pool: Pool, transport: str, event: TransportEvent) -> None:
    """Keep what was pushed; it is committed when this returns."""
    is_delivered: bool | None = None
    sender = ""
    if isinstance(event, DeliveryReport):
        is_delivered, text = event.is_delivered, event.detail
    else:
        sender, text = event.sender, event.text
    await pool.execute(_PUT, transport, event.at, event.reference, is_delivered, sender, text)


@dataclass
class Mailbox:
    """One transport's rows; ``wake`` is set when there may be new ones."""

    pool: Pool
    transport: str
    wake: asyncio.Event = field(default_factory=asyncio.Event)

    async def events(self) -> AsyncGenerator[TransportEvent, None]:
        """In the order in which they came, for ever; a row goes when the next one is asked for."""
        while True:
            self.wake.clear()
            async with self.pool.acquire() as connection, connection.transaction():
                row = await connection.fetchrow(_NEXT, self.transport)
                if row is not None:
                    yield _event(row["reference"], row["at"], row["is_delivered"], row["sender"], row["text"])
                    await connection.execute(
                        "delete from transport_inbox where inbox_id = $1", row["inbox_id"]
                    )
                    continue
            await self._something()

    async def _something(self) -> None:
        try:
            async with asyncio.timeout(POLL_S):
                await self.wake.wait()
        except TimeoutError:
            return


def _event(reference: str, at: datetime, is_delivered: bool | None, sender: str, text: str) -> TransportEvent:
    if is_delivered is None:
        return Inbound(sender=sender, at=at, text=text, reference=reference)
    return DeliveryReport(reference=reference, at=at, is_delivered=is_delivered, detail=text)
