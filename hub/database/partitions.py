"""Range partitions that are made ahead and dropped as a whole.

Rows that came before their partition was there wait in ``<table>_default`` and move when it is made.
"""

from hub.database import Pool


async def ensure(pool: Pool, table: str, suffix: str, column: str, low: object, high: object) -> bool:
    """Make the partition ``<table>_<suffix>`` for [low, high) of ``column``; False when it is there already.

    Names and bounds are the program's own: PostgreSQL takes no parameters in DDL.
    """
    name = f"{table}_{suffix}"
    async with pool.acquire() as connection, connection.transaction():
        # Two hubs that make the same partition wait for each other here.
        await connection.execute("select pg_advisory_xact_lock(hashtext($1))", f"partitions of {table}")
        if await connection.fetchval("select to_regclass($1)", name):
            return False
        # Whoever inserts waits here: a row that came in between the move and the attachment would belong to
        # neither, and one planned before the attachment would miss its partition.
        await connection.execute(f"lock table {table} in share row exclusive mode")
        await connection.execute(f"create table {name} (like {table} including all)")
        await connection.execute(
            f"with moved as (delete from {table}_default where {column} >= $1 and {column} < $2 returning *)"  # noqa: S608
            f" insert into {name} select * from moved",
            low,
            high,
        )
        await connection.execute(
            f"alter table {table} attach partition {name} for values from ('{low}') to ('{high}')"
        )
    return True


async def drop_before(pool: Pool, table: str, suffix: str) -> list[str]:
    """Drop the partitions that sort before ``<table>_<suffix>``; returns their names."""
    rows = await pool.fetch(
        "select inhrelid::regclass::text as name from pg_inherits where inhparent = $1::regclass", table
    )
    kept = {f"{table}_default"}
    dropped = sorted(r["name"] for r in rows if r["name"] not in kept and r["name"] < f"{table}_{suffix}")
    for name in dropped:
        await pool.execute(f"drop table {name}")
    return dropped
