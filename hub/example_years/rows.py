"""Rows as they will be copied into the database, table by table, and identifiers that a seed repeats."""

import random
import uuid
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from hub.database import Pool

Row = Mapping[str, Any]


class Rows:
    """All rows of one table have the same columns, in the order of the first."""

    def __init__(self) -> None:
        self._of: dict[str, list[Row]] = {}

    def add(self, table: str, /, **columns: Any) -> None:
        self._of.setdefault(table, []).append(columns)

    def count(self, table: str) -> int:
        return len(self._of.get(table, ()))

    def of(self, table: str) -> Sequence[Row]:
        return self._of.get(table, ())

    async def copy(self, pool: Pool, tables: Iterable[str]) -> None:
        """In the order given, which is that of their references."""
        async with pool.acquire() as connection, connection.transaction():
            for table in tables:
                rows = self._of.get(table)
                if not rows:
                    continue
                columns = list(rows[0])
                records = ([row[name] for name in columns] for row in rows)
                await connection.copy_records_to_table(table, records=records, columns=columns)


def chance_for(seed: int, *names: object) -> random.Random:
    """A source of its own for each thing, so that one more of a kind does not change the others."""
    return random.Random(":".join(map(str, (seed, *names))))  # noqa: S311  (repeatable, nothing secret)


def uuid7(at: datetime, chance: random.Random) -> uuid.UUID:
    """A UUIDv7 (RFC 9562 section 5.7) whose random bits come from the seed."""
    ms = int(at.timestamp() * 1000)
    return uuid.UUID(int=ms << 80 | 7 << 76 | chance.getrandbits(12) << 64 | 2 << 62 | chance.getrandbits(62))


def poisson(count: float, chance: random.Random) -> int:
    """A Poisson number (Knuth's method), for means below about 30."""
    if count <= 0:
        return 0
    limit, product, number = 2.718281828459045**-count, 1.0, 0
    while (product := product * chance.random()) > limit:
        number += 1
    return number


def later(at: datetime, chance: random.Random, mean: timedelta) -> datetime:
    """Some exponentially distributed time later, to the millisecond."""
    found = at + timedelta(seconds=chance.expovariate(1 / mean.total_seconds()))
    return found.replace(microsecond=found.microsecond // 1000 * 1000)
