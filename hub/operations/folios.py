"""Numbers that people quote: one series a prefix and year, without gaps but those that are explained."""

from datetime import datetime

from hub.database import Connection
from hub.plan.periods import SANTIAGO

PREFIX = "OPF"


async def next_folio(connection: Connection, now: datetime, prefix: str = PREFIX) -> str:
    """``OPF-2027-0014``; given back if the caller's transaction is."""
    year = now.astimezone(SANTIAGO).year
    taken = f"{prefix}-{year}-%"
    # folios that came in from files are behind us too
    await connection.execute(
        "insert into folio_counters (prefix, year, next)"
        " select $1, $2, coalesce(max(substring(folio from '[0-9]+$')::integer), 0) + 1 from operations"
        " where folio like $3"
        " on conflict (prefix, year) do update set next = greatest(folio_counters.next, excluded.next)",
        *(prefix, year, taken),
    )
    number: int = await connection.fetchval(
        "insert into folio_counters (prefix, year, next) values ($1, $2, 2)"
        " on conflict (prefix, year) do update set next = folio_counters.next + 1 returning next - 1",
        prefix,
        year,
    )
    return f"{prefix}-{year}-{number:04}"
