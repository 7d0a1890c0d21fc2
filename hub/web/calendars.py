"""Secret addresses of the calendar: whoever has one reads the agenda, so only its SHA-256 is kept."""

import hashlib
import secrets
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from edge.contract import uuid7
from hub.database import Pool
from hub.web.permissions import Permission
from hub.web.users import User

LENGTH = timedelta(days=365)
MAX_KEYS = 5
"""Addresses of one person that are in force: phone, desk and a few more."""


class CalendarError(Exception):
    """An address that cannot be made; the message is Spanish and says what to do."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Key:
    """``read_at``: when a calendar last fetched it; None: never."""

    key_id: uuid.UUID
    label: str
    created_at: datetime
    expires_at: datetime
    read_at: datetime | None


async def make(pool: Pool, login: str, label: str, now: datetime) -> str:
    """A new address's secret, which is kept nowhere. Raises :class:`CalendarError`."""
    label = " ".join(label.split())[:60]
    if not label:
        raise CalendarError("Escriba para qué equipo es, por ejemplo «mi teléfono».")
    if len(await listed(pool, login, now)) >= MAX_KEYS:
        raise CalendarError(f"Ya tiene {MAX_KEYS} direcciones; quite una que no use.")
    secret = secrets.token_urlsafe(32)
    await pool.execute(
        "insert into calendar_keys (key_id, sha256, login, label, created_at, expires_at)"
        " values ($1, $2, $3, $4, $5, $6)",
        *(uuid7(now), _digest(secret), login, label, now, now + LENGTH),
    )
    return secret


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "replace")).digest()


async def listed(pool: Pool, login: str, now: datetime) -> Sequence[Key]:
    """Those of a person that are in force, the newest first."""
    rows = await pool.fetch(
        "select key_id, label, created_at, expires_at, read_at from calendar_keys"
        " where login = $1 and revoked_at is null and expires_at > $2 order by created_at desc",
        *(login, now),
    )
    return [Key(**dict(row)) for row in rows]


async def revoke(pool: Pool, login: str, key_id: uuid.UUID, now: datetime) -> bool:
    """Take one of a person's own back; False where there is none in force."""
    done: str = await pool.execute(
        "update calendar_keys set revoked_at = $3 where key_id = $1 and login = $2 and revoked_at is null",
        *(key_id, login, now),
    )
    return not done.endswith(" 0")


async def reader(pool: Pool, secret: str, now: datetime) -> tuple[User, bool] | None:
    """Whose address it is, and whether this is its first reading of the day; None: nobody's any more.

    The account must be active and still see operations: who lost that loses the calendar, too.
    """
    row = await pool.fetchrow(
        "select k.key_id, k.read_at, u.login, u.name, u.role from calendar_keys k join users u using (login)"
        " where k.sha256 = $1 and k.revoked_at is null and k.expires_at > $2 and u.active",
        *(_digest(secret), now),
    )
    if row is None:
        return None
    user = User(row["login"], row["name"], row["role"])
    if not user.may(Permission.SEE_OPERATIONS):
        return None
    is_first = row["read_at"] is None or now - row["read_at"] >= timedelta(days=1)
    if is_first:
        await pool.execute("update calendar_keys set read_at = $2 where key_id = $1", row["key_id"], now)
    return user, is_first
