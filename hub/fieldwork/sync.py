"""What phones bring: each item in a transaction of its own, once for its id, answered one by one.

A bad item is refused with its reason and stops nobody else. The answer to an item that was taken is kept,
so that a repeat, also years later, gets the same one.
"""

import hashlib
import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from hub.database import Connection, Pool
from hub.fieldwork import recording
from hub.fieldwork.errors import FieldError, RefusedError
from hub.fieldwork.messages import KINDS, Batch, Checkin, Inspection, Item, Point, Task, read_item
from hub.fieldwork.patrols import check_in
from hub.fieldwork.phone_time import corrected, offset_ms
from hub.fieldwork.recording import Bearer
from hub.fieldwork.rounds import CONTRADICTED, UNSUPPORTED, Position

_NOTES = {
    UNSUPPORTED: "Quedó sin posición que la compruebe.",
    CONTRADICTED: "Quedó señalada: la posición dice otro lugar.",
}


class Result(msgspec.Struct, frozen=True, omit_defaults=True):
    """``state``: accepted, repeated or refused. ``reason`` and ``note`` are Spanish, for the inspector."""

    id: str
    state: str
    folio: str = ""
    reason: str = ""
    note: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sender:
    """Who sends, from what phone, and how far the hub is ahead of its clock."""

    login: str
    institution: str
    phone: str
    offset_ms: int


async def take_items(pool: Pool, batch: Batch, login: str, institution: str, now: datetime) -> list[Result]:
    """One result for each item, in their order; raises only what says nothing about an item: no database."""
    sender = Sender(
        login=login, institution=institution, phone=batch.phone, offset_ms=offset_ms(batch.now, now)
    )
    return [await _take(pool, raw, sender, now) for raw in batch.items]


async def _take(pool: Pool, raw: dict[str, Any], sender: Sender, now: datetime) -> Result:
    try:
        item = read_item(raw)
        async with pool.acquire() as connection, connection.transaction():
            return await _once(connection, item, raw, sender, now)
    except FieldError as error:
        return Result(id=str(raw.get("id", ""))[:64], state="refused", reason=str(error))


async def _once(
    connection: Connection, item: Item, raw: dict[str, Any], sender: Sender, now: datetime
) -> Result:
    # Two requests with the same item: the second one waits and then finds the first one's answer.
    await connection.execute("select pg_advisory_xact_lock(hashtextextended($1, 16))", str(item.id))
    digest = hashlib.sha256(msgspec.json.encode(raw, order="deterministic")).digest()
    if known := await _known(connection, item.id, digest, sender.login):
        return known
    at, quality = corrected(item.at, item.offset_ms, sender.offset_ms, now)
    bearer = Bearer(
        login=sender.login,
        institution=sender.institution,
        phone=sender.phone,
        at=at,
        time_quality=quality,
        now=now,
    )
    result = await _ACTS[type(item)](connection, item, bearer)
    await connection.execute(
        "insert into field_items (item_id, kind, digest, answer, login, phone, received_at)"
        " values ($1, $2, $3, $4, $5, $6, $7)",
        item.id,
        KINDS[type(item)],
        digest,
        msgspec.json.encode(result).decode(),
        sender.login,
        sender.phone,
        now,
    )
    return result


async def _known(connection: Connection, item_id: uuid.UUID, digest: bytes, login: str) -> Result | None:
    row = await connection.fetchrow(
        "select digest, answer, login from field_items where item_id = $1", item_id
    )
    if row is None:
        return None
    if row["login"] != login:
        raise RefusedError("Ese registro ya lo envió otra persona; no se toma de nuevo.")
    if row["digest"] != digest:
        raise RefusedError("Este registro ya llegó con otro contenido; lo que llegó primero es lo que vale.")
    return msgspec.structs.replace(msgspec.json.decode(row["answer"], type=Result), state="repeated")


# ------------------------------------------------------------------------------------------------ acts


async def _inspection(connection: Connection, item: Any, bearer: Bearer) -> Result:
    folio = await recording.inspection(connection, item, bearer)
    return Result(id=str(item.id), state="accepted", folio=folio)


async def _task(connection: Connection, item: Any, bearer: Bearer) -> Result:
    await recording.task(connection, item, bearer)
    return Result(id=str(item.id), state="accepted")


async def _point(connection: Connection, item: Any, bearer: Bearer) -> Result:
    await recording.point(connection, item, bearer)
    return Result(id=str(item.id), state="accepted")


async def _checkin(connection: Connection, item: Any, bearer: Bearer) -> Result:
    where = item.where
    verdict = await check_in(
        connection,
        checkin_id=item.id,
        round_id=item.round_id,
        code=item.code,
        way=item.way,
        position=where
        and Position(latitude=where.latitude, longitude=where.longitude, accuracy_m=where.accuracy_m),
        at=bearer.at,
        time_quality=bearer.time_quality,
        author=bearer.login,
        phone=bearer.phone,
        now=bearer.now,
    )
    return Result(id=str(item.id), state="accepted", note=_NOTES.get(verdict, ""))


_ACTS: dict[type[Item], Callable[[Connection, Any, Bearer], Awaitable[Result]]] = {
    Inspection: _inspection,
    Task: _task,
    Point: _point,
    Checkin: _checkin,
}


def accepted(results: Sequence[Result]) -> int:
    return sum(result.state == "accepted" for result in results)
