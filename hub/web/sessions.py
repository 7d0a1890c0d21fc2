"""Sessions: the browser holds a random cookie, the table only its SHA-256."""

import hashlib
import logging
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from hub.clock import Clock
from hub.database import UNAVAILABLE, Pool
from hub.web.users import User

log = logging.getLogger(__name__)

SWEEP_EVERY_S = 3600.0


@dataclass(frozen=True, slots=True)
class Session:
    """A signed-in person. ``session_id`` is the SHA-256 of the cookie; ``csrf`` goes into every form."""

    session_id: bytes
    user: User
    csrf: str


def session_id_of(cookie: str) -> bytes:
    return hashlib.sha256(cookie.encode()).digest()


async def open_session(pool: Pool, login: str, now: datetime, length: timedelta) -> str:
    """Start a session; returns the cookie's value, which is kept nowhere else."""
    cookie = secrets.token_urlsafe(32)
    await pool.execute(
        "insert into sessions (session_id, login, csrf, created_at, expires_at) values ($1, $2, $3, $4, $5)",
        session_id_of(cookie),
        login,
        secrets.token_urlsafe(24),
        now,
        now + length,
    )
    return cookie


async def find_session(pool: Pool, cookie: str, now: datetime) -> Session | None:
    """The living session of an active account."""
    row = await pool.fetchrow(
        "select s.session_id, s.csrf, u.login, u.name, u.role from sessions s join users u using (login)"
        " where s.session_id = $1 and s.expires_at > $2 and u.active",
        session_id_of(cookie),
        now,
    )
    if row is None:
        return None
    return Session(row["session_id"], User(row["login"], row["name"], row["role"]), row["csrf"])


async def is_alive(pool: Pool, session: Session, now: datetime) -> bool:
    """Whether the session still counts; long-lived streams ask again and again."""
    found = await pool.fetchval(
        "select true from sessions s join users u using (login)"
        " where s.session_id = $1 and s.expires_at > $2 and u.active and u.role = $3",
        session.session_id,
        now,
        session.user.role,
    )
    return bool(found)


async def close_session(pool: Pool, session: Session) -> None:
    await pool.execute("delete from sessions where session_id = $1", session.session_id)


async def sweep_loop(pool: Pool, clock: Clock) -> None:
    """Delete expired sessions every hour, for ever."""
    while True:
        try:
            await pool.execute("delete from sessions where expires_at <= $1", clock.now())
        except UNAVAILABLE as error:
            log.warning("expired sessions were not swept: %s", error)
        await clock.sleep(SWEEP_EVERY_S)
