"""Bulletins: what the municipality tells those who asked for it, a text at a time, behind everything else."""

import logging
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Any

from edge.contract import uuid7
from hub.database import Connection, Pool
from hub.notify.direct import LAST, Text, queue_texts
from hub.notify.text import MAX_CHARS, SANTIAGO, economic

log = logging.getLogger(__name__)

EVERY = timedelta(seconds=6)
"""Between two texts: a SIM that bursts is blocked, and its modem is free for an alert meanwhile."""


class BulletinError(Exception):
    """A bulletin that cannot go out; the message is Spanish."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Bulletin:
    bulletin_id: uuid.UUID
    watch_group: str
    text: str
    author: str
    at: datetime
    recipients: int


def checked(text: str) -> str:
    """The text as it goes out; raises :class:`BulletinError` for none, or more than one SMS. Pure."""
    ready = economic(text)
    if not ready:
        raise BulletinError("Escriba el texto del boletín.")
    if len(ready) > MAX_CHARS:
        raise BulletinError(f"El texto tiene {len(ready)} caracteres; acórtelo a {MAX_CHARS}.")
    return ready


_RECIPIENTS = """
select contact_id, name, quiet_from, quiet_until from contacts
where active and bulletins and ($1 = '' or watch_group = $1) order by contact_id
"""


async def count_recipients(pool: Pool, watch_group: str = "") -> int:
    """How many would get it; an empty group is every group."""
    return len(await pool.fetch(_RECIPIENTS, watch_group))


async def send(
    pool: Pool, watch_group: str, text: str, *, confirmed: int, author: str, now: datetime
) -> Bulletin:
    """Queue it. ``confirmed`` is the number of people whom the author means to tell.

    Raises :class:`BulletinError` where that is not who would get it.
    """
    ready = checked(text)
    async with pool.acquire() as connection, connection.transaction():
        people = await connection.fetch(_RECIPIENTS, watch_group)
        if not people:
            raise BulletinError("Nadie pidió recibir boletines ahí.")
        if confirmed != len(people):
            raise BulletinError(
                f"Lo recibirían {len(people)} personas y usted confirmó {confirmed}. Confirme de nuevo."
            )
        bulletin = Bulletin(
            bulletin_id=uuid7(now),
            watch_group=watch_group,
            text=ready,
            author=author,
            at=now,
            recipients=len(people),
        )
        await _store(connection, bulletin)
        await queue_texts(connection, _texts(ready, people, now), now)
    log.info("bulletin %s queued for %d people", bulletin.bulletin_id, bulletin.recipients)
    return bulletin


def _texts(text: str, people: Sequence[Any], now: datetime) -> list[Text]:
    return [
        Text(
            text=text,
            purpose="bulletin",
            priority=LAST,
            recipient=person["name"],
            contact_id=person["contact_id"],
            due_at=awake_at(now + number * EVERY, person["quiet_from"], person["quiet_until"]),
        )
        for number, person in enumerate(people)
    ]


def awake_at(at: datetime, quiet_from: time | None, quiet_until: time | None) -> datetime:
    """``at``, or the end of the quiet hours that it falls into (local wall time). Pure."""
    if quiet_from is None or quiet_until is None or quiet_from == quiet_until:
        return at
    local = at.astimezone(SANTIAGO)
    clock = local.time().replace(tzinfo=None)
    crosses = quiet_from > quiet_until
    is_quiet = (clock >= quiet_from or clock < quiet_until) if crosses else quiet_from <= clock < quiet_until
    if not is_quiet:
        return at
    day = local.date() + timedelta(days=int(crosses and clock >= quiet_from))
    return datetime.combine(day, quiet_until, SANTIAGO)


async def _store(connection: Connection, bulletin: Bulletin) -> None:
    await connection.execute(
        "insert into bulletins (bulletin_id, watch_group, text, author, at, recipients)"
        " values ($1, $2, $3, $4, $5, $6)",
        bulletin.bulletin_id,
        bulletin.watch_group,
        bulletin.text,
        bulletin.author,
        bulletin.at,
        bulletin.recipients,
    )


async def list_bulletins(pool: Pool, limit: int = 50) -> list[Bulletin]:
    """The newest first."""
    rows = await pool.fetch(
        "select bulletin_id, watch_group, text, author, at, recipients from bulletins"
        " order by at desc, bulletin_id desc limit $1",
        limit,
    )
    return [Bulletin(**dict(row)) for row in rows]
