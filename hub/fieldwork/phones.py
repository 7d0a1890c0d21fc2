"""Phones and what they may count on without a network: a key for the queue, and folios of their own."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from hub.database import Connection

PREFIX = "FIS"
BLOCK = 50
LOW = 20
"""A phone with fewer folios left gets another block: a long day without a network is some dozens."""
NEW_YEAR_FROM = timedelta(days=15)


@dataclass(frozen=True, kw_only=True, slots=True)
class Block:
    """Numbers ``first`` to ``last`` of a prefix and year, for one phone and person."""

    prefix: str
    year: int
    first: int
    last: int


def folio(prefix: str, year: int, number: int) -> str:
    return f"{prefix}-{year}-{number:06d}"


def wanted_years(local_now: datetime, left: Mapping[int, int]) -> list[int]:
    """Years of which the phone needs another block; the next one some days before it begins. Pure."""
    years = sorted({local_now.year, (local_now + NEW_YEAR_FROM).year})
    return [year for year in years if left.get(year, 0) < LOW]


async def key_of(connection: Connection, phone: str, login: str, now: datetime) -> bytes:
    """The key that closes this person's queue on this phone; the same for ever, so old queues open again."""
    key: bytes = await connection.fetchval(
        "insert into field_phones (phone, login, key, first_seen_at, seen_at) values ($1, $2, $3, $4, $4)"
        " on conflict (phone, login) do update set seen_at = excluded.seen_at returning key",
        phone,
        login,
        secrets.token_bytes(32),
        now,
    )
    return key


async def issue_block(
    connection: Connection, year: int, phone: str, login: str, now: datetime, *, size: int = BLOCK
) -> Block:
    """The next numbers of the year, once and for all; in the caller's transaction."""
    first: int = await connection.fetchval(
        "insert into folio_counters (prefix, year, next) values ($1, $2, 1 + $3)"
        " on conflict (prefix, year) do update set next = folio_counters.next + $3 returning next - $3",
        PREFIX,
        year,
        size,
    )
    await connection.execute(
        "insert into folio_blocks (prefix, year, first, last, phone, login, issued_at)"
        " values ($1, $2, $3, $4, $5, $6, $7)",
        PREFIX,
        year,
        first,
        first + size - 1,
        phone,
        login,
        now,
    )
    return Block(prefix=PREFIX, year=year, first=first, last=first + size - 1)


async def is_ours(connection: Connection, text: str, login: str) -> bool:
    """Whether the folio lies in a block that this person was given, on whatever phone."""
    prefix, _, rest = text.partition("-")
    year, _, number = rest.partition("-")
    if prefix != PREFIX or not (year.isascii() and year.isdigit() and number.isascii() and number.isdigit()):
        return False
    if len(year) != 4 or len(number) > 9 or folio(prefix, int(year), int(number)) != text:
        return False
    found = await connection.fetchval(
        "select true from folio_blocks where prefix = $1 and year = $2 and first <= $3 and last >= $3"
        " and login = $4",
        prefix,
        int(year),
        int(number),
        login,
    )
    return bool(found)
