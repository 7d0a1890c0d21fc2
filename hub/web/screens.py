"""Screens on the wall: accounts that see ``/sala`` and nothing else, and stay signed in for a year.

A screen has no person and no password that lasts: an administrator makes a key, somebody types it once at
the screen's sign-in, and from then on only the screen's own session opens the wall.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

import asyncpg

from hub.database import Pool
from hub.web import audit, passwords
from hub.web.sessions import Session
from hub.web.users import UserError

ROLE = "pantalla"
AUTHOR = "línea de órdenes"
LENGTH = timedelta(days=400)
"""No browser keeps a cookie longer; each load of the wall begins it anew."""
RENEW_AFTER = timedelta(days=1)
MAX_LISTED = 200
_USED = "-"
"""Stands where the hash of a key was: no password matches it."""


@dataclass(frozen=True, slots=True)
class Screen:
    """``state``: waiting (its key was never used), on, ended (its session is over), revoked."""

    login: str
    name: str
    state: str
    since: datetime | None


async def add(pool: Pool, login: str, name: str, now: datetime) -> str:
    """Make a screen; returns its key, which is kept nowhere. Raises :class:`UserError`."""
    key = passwords.generate()
    try:
        await pool.execute(
            "insert into users (login, name, role, password) values ($1, $2, $3, $4)",
            login,
            name,
            ROLE,
            passwords.hash_password(key),
        )
    except asyncpg.UniqueViolationError as error:
        raise UserError(f"«{login}» ya existe; para una clave nueva: users screen key {login}.") from error
    except asyncpg.CheckViolationError as error:
        raise UserError(
            f"«{login}» no sirve: va en minúsculas, empieza con una letra y tiene 2 a 32 signos."
        ) from error
    await audit.record(pool, now, AUTHOR, audit.Action.SCREEN_ADDED, login)
    return key


async def new_key(pool: Pool, login: str, now: datetime) -> str:
    """Another key for a screen, also one that was revoked; what was signed in is out."""
    key = passwords.generate()
    await _change(pool, login, passwords.hash_password(key), is_active=True)
    await audit.record(pool, now, AUTHOR, audit.Action.SCREEN_ADDED, login, "clave nueva")
    return key


async def revoke(pool: Pool, login: str, now: datetime) -> None:
    """End the screen's session and its key at once."""
    await _change(pool, login, _USED, is_active=False)
    await audit.record(pool, now, AUTHOR, audit.Action.SCREEN_REVOKED, login)


async def _change(pool: Pool, login: str, password: str, *, is_active: bool) -> None:
    async with pool.acquire() as connection, connection.transaction():
        known = await connection.fetchval(
            "update users set password = $2, active = $3 where login = $1 and role = $4 returning true",
            login,
            password,
            is_active,
            ROLE,
        )
        if not known:
            raise UserError(f"No hay una pantalla «{login}»; las que hay: users screen list.")
        await connection.execute("delete from sessions where login = $1", login)


async def take_key(pool: Pool, login: str) -> bool:
    """Whether ``login`` is a screen; its key, which was right just now, opens nothing any more."""
    return bool(
        await pool.fetchval(
            "update users set password = $2 where login = $1 and role = $3 returning true", login, _USED, ROLE
        )
    )


async def renew(pool: Pool, session: Session, now: datetime) -> bool:
    """Begin the session's year anew, once a day at most; True where it was."""
    renewed = await pool.fetchval(
        "update sessions set expires_at = $2 where session_id = $1 and expires_at < $3 returning true",
        session.session_id,
        now + LENGTH,
        now + LENGTH - RENEW_AFTER,
    )
    return bool(renewed)


async def list_screens(pool: Pool, now: datetime) -> list[Screen]:
    """By login, at most :data:`MAX_LISTED`: a municipality has a few."""
    rows = await pool.fetch(
        "select u.login, u.name, s.created_at,"
        " case when not u.active then 'revoked' when s.login is not null then 'on'"
        " when u.password = $3 then 'ended' else 'waiting' end as state"
        " from users u left join lateral (select login, created_at from sessions"
        "  where login = u.login and expires_at > $2 order by created_at desc limit 1) s on true"
        " where u.role = $1 order by u.login limit $4",
        ROLE,
        now,
        _USED,
        MAX_LISTED,
    )
    return [Screen(row["login"], row["name"], row["state"], row["created_at"]) for row in rows]
