"""PostgreSQL: the pool and the migrations. SQL itself lives in the room that needs it."""

import asyncio
import importlib.resources
import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeAlias

import asyncpg

log = logging.getLogger(__name__)

if TYPE_CHECKING:
    Connection: TypeAlias = (
        asyncpg.Connection[asyncpg.Record] | asyncpg.pool.PoolConnectionProxy[asyncpg.Record]
    )
    Pool: TypeAlias = asyncpg.Pool[asyncpg.Record]
else:  # asyncpg's classes take no parameters at run time
    Connection = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy
    Pool = asyncpg.Pool

Warm: TypeAlias = Callable[[Connection], Awaitable[None]]

# Any constant serves, so long as every hub takes the same lock before it migrates.
_MIGRATION_LOCK = 0x616C6D65


class DatabaseError(Exception):
    """The database cannot be used as it is; the message says what to do."""


async def _keep(_connection: Connection) -> None:
    """Nothing to reset: no room changes a session's state, and the usual reset costs a round trip a use."""


async def connect(dsn: str, *, max_size: int = 10, warm: Warm | None = None) -> Pool:
    """A pool on ``dsn`` whose sessions speak UTC; raises :class:`DatabaseError` when nobody answers.

    ``warm`` is for what cannot wait: it runs on each new connection before anybody gets it, connections
    are never let go for want of work, and every statement is planned once, not anew for its arguments: by
    indexes, also while the tables are still small.
    """
    settings = {"TimeZone": "UTC", "application_name": "almenara-hub"}
    if warm is not None:
        # Before version 18 a forbidden scan costs so much on paper that the statement would be compiled.
        settings |= {"plan_cache_mode": "force_generic_plan", "enable_seqscan": "off", "jit": "off"}
    try:
        return await asyncpg.create_pool(
            dsn,
            min_size=1,
            max_size=max_size,
            server_settings=settings,
            max_inactive_connection_lifetime=0.0 if warm is not None else 300.0,
            init=warm,  # type: ignore[arg-type]  # asyncpg hands over a connection of its own sort
            reset=_keep,
        )
    except (OSError, asyncpg.PostgresError, TimeoutError) as error:
        raise DatabaseError(f"no PostgreSQL answers ({error}); check the setting database") from error


def migrations() -> list[tuple[int, str, str]]:
    """(number, name, SQL) in order."""
    folder = importlib.resources.files(__name__) / "migrations"
    files = sorted(f.name for f in folder.iterdir() if f.name.endswith(".sql"))
    return [(int(name.split("_")[0]), name, (folder / name).read_text("utf-8")) for name in files]


async def migrate(pool: Pool) -> int:
    """Bring the schema up to date, each step in a transaction; returns how many steps ran.

    Raises :class:`DatabaseError` when the schema is newer than this program.
    """
    steps = migrations()
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("select pg_advisory_xact_lock($1)", _MIGRATION_LOCK)
        await connection.execute(
            "create table if not exists schema_migrations ("
            " number integer primary key, name text not null, applied_at timestamptz not null default now())"
        )
        done = {r["number"] for r in await connection.fetch("select number from schema_migrations")}
        newest = max((number for number, _, _ in steps), default=0)
        if max(done, default=0) > newest:
            raise DatabaseError(
                f"the database is at migration {max(done)}, this hub knows only {newest}: install a newer hub"
            )
        pending = [step for step in steps if step[0] not in done]
        for number, name, sql in pending:
            await connection.execute(sql)
            await connection.execute(
                "insert into schema_migrations (number, name) values ($1, $2)", number, name
            )
            log.info("migration %s applied", name)
    return len(pending)


def _listener(callback: Callable[[str], None]) -> Callable[[Any, int, str, object], None]:
    def heard(_connection: Any, _pid: int, _channel: str, payload: object) -> None:
        callback(str(payload))

    return heard


async def listen_loop(dsn: str, channels: dict[str, Callable[[str], None]], retry_s: float = 1.0) -> None:
    """Call ``channels[name](payload)`` at each NOTIFY, for ever; reconnects.

    After every (re)connection each callback gets an empty payload once: something may have been missed.
    """
    while True:
        lost = asyncio.Event()
        try:
            connection = await asyncpg.connect(dsn)
        except (OSError, asyncpg.PostgresError, TimeoutError) as error:
            log.warning("no connection for LISTEN (%s); retrying", error)
            await asyncio.sleep(retry_s)
            continue
        try:
            connection.add_termination_listener(lambda *_, lost=lost: lost.set())
            for name, callback in channels.items():
                await connection.add_listener(name, _listener(callback))
                callback("")
            await lost.wait()
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            log.warning("LISTEN connection failed (%s); reconnecting", error)
        finally:
            if not connection.is_closed():
                connection.terminate()


# What a server that is away, restarting or out of reach makes asyncpg raise: try again.
UNAVAILABLE = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # a server that ends an idle connection surprises the client's state machine
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.TooManyConnectionsError,
    asyncpg.SerializationError,
    asyncpg.DeadlockDetectedError,
    asyncpg.DiskFullError,
    asyncpg.ReadOnlySQLTransactionError,  # a primary that was demoted: wait for the new one
)


async def persist(
    act: Callable[[], Awaitable[None]],
    sleep: Callable[[float], Awaitable[None]],
    what: str,
    limit_s: float = 2.0,
) -> None:
    """Repeat ``act`` until the database lets it through; for work that must not be dropped."""
    delay_s = 0.05
    while True:
        try:
            await act()
        except UNAVAILABLE as error:
            log.warning(
                "%s: database away (%s: %s), again in %.2f s", what, type(error).__name__, error, delay_s
            )
            await sleep(delay_s)
            delay_s = min(limit_s, delay_s * 2)
        else:
            return
