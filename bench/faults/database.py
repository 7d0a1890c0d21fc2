"""The PostgreSQL of the fault runs: one cluster, a fresh database for each fault, ``kill -9`` of it all."""

import asyncio
import itertools
import os
import signal
from collections.abc import Iterable
from pathlib import Path

import asyncpg

from hub.database import connect, migrate
from hub.servers.postgres import ROLE, EmbeddedPostgres

_numbers = itertools.count(1)
_GONE_LIMIT_S = 20.0


class Cluster:
    """Under ``root``; :meth:`start` first."""

    def __init__(self, root: Path) -> None:
        self.server = EmbeddedPostgres(root)
        self._has_template = False

    async def start(self) -> None:
        await self.server.start()
        if not self._has_template:
            await self._make_template()
            self._has_template = True

    async def stop(self) -> None:
        await self.server.stop()

    async def kill(self) -> None:
        """``kill -9`` of the postmaster; returns when its children have noticed and are gone too."""
        pid = self.server.pid
        assert pid is not None  # noqa: S101 - the caller started it
        family = [pid, *_children(pid)]
        os.kill(pid, signal.SIGKILL)
        async with asyncio.timeout(_GONE_LIMIT_S):
            while self.server.pid is not None or _any_left(family):  # noqa: ASYNC110 - others' children
                await asyncio.sleep(0.01)

    async def fresh(self) -> "Database":
        """A new migrated database, owned by the hub's role as in production."""
        name = f"faults_{next(_numbers)}"
        await self.admin(f"create database {name} template migrated owner {ROLE}")
        return Database(self, name)

    async def admin(self, sql: str, database: str = "postgres") -> None:
        connection = await asyncpg.connect(_in(self.server.admin_dsn, database))
        try:
            await connection.execute(sql)
        finally:
            await connection.close()

    async def _make_template(self) -> None:
        await self.admin(f"create database migrated owner {ROLE}")
        pool = await connect(_in(self.server.address, "migrated"), max_size=1)
        await migrate(pool)
        await pool.close()


class Database:
    """One fault's database."""

    def __init__(self, cluster: Cluster, name: str) -> None:
        self.cluster = cluster
        self.name = name

    @property
    def dsn(self) -> str:
        return _in(self.cluster.server.address, self.name)

    @property
    def admin_dsn(self) -> str:
        return _in(self.cluster.server.admin_dsn, self.name)

    async def rows(self, sql: str) -> list[asyncpg.Record]:
        connection = await asyncpg.connect(self.dsn)
        try:
            return list(await connection.fetch(sql))
        finally:
            await connection.close()

    async def execute(self, sql: str) -> None:
        connection = await asyncpg.connect(self.dsn)
        try:
            await connection.execute(sql)
        finally:
            await connection.close()

    async def drop(self) -> None:
        await self.cluster.admin(f"drop database {self.name} with (force)")


def _children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _any_left(pids: Iterable[int]) -> bool:
    return any(Path(f"/proc/{pid}").exists() for pid in pids)


def _in(dsn: str, database: str) -> str:
    return f"{dsn.rpartition('/')[0]}/{database}"
