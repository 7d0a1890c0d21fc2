"""What comes from outside into the plan's tables: population and official series."""

from collections.abc import Sequence
from datetime import datetime

from hub.database import Pool
from hub.plan.csv_files import OfficialValue, Population


async def store_population(pool: Pool, rows: Sequence[Population]) -> int:
    """Replace the rows of every sector that occurs in ``rows``; returns how many sectors."""
    sectors = sorted({row.sector for row in rows})
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("delete from plan_population where sector = any($1)", sectors)
        await connection.executemany(
            "insert into plan_population (sector, season, starts_on, ends_on, residents, visitors, is_rural,"
            " source) values ($1, $2, $3, $4, $5, $6, $7, $8)",
            [
                (r.sector, r.season, r.starts_on, r.ends_on, r.residents, r.visitors, r.is_rural, r.source)
                for r in rows
            ],
        )
    return len(sectors)


async def store_series(pool: Pool, source: str, rows: Sequence[OfficialValue], now: datetime) -> None:
    """Keep official values beside our own, by code and level; a newer import of a period replaces it."""
    await pool.executemany(
        "insert into official_series (source, level, code, name, period, value, unit, imported_at)"
        " values ($1, $2, $3, $4, $5, $6, $7, $8)"
        " on conflict (source, level, code, period) do update set name = excluded.name,"
        " value = excluded.value, unit = excluded.unit, imported_at = excluded.imported_at",
        [(source, r.level, r.code, r.name, r.period, r.value, r.unit, now) for r in rows],
    )
