"""Leases: who does what when hubs come, die, stop and come back."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest
from fakes import eventually

from hub.clock import SystemClock
from hub.database import Pool
from hub.intake.shards import shard_name, shard_of
from hub.leases import Leases

NAMES = ["shard-0-of-3", "shard-1-of-3", "shard-2-of-3", "control"]
TTL_S, ROUND_S = 0.6, 0.05
HEARD = datetime(2026, 11, 24, tzinfo=UTC)


class Hub:
    """One hub's leases and what it is doing because of them."""

    def __init__(self, pool: Pool, owner: str) -> None:
        shards = [n for n in NAMES if n.startswith("shard")]
        self.doing: set[str] = set()
        self.leases = Leases(
            pool,
            owner,
            NAMES,
            SystemClock(),
            ttl_s=TTL_S,
            round_s=ROUND_S,
            listening={name: lambda: HEARD for name in shards},
        )

    async def run(self) -> None:
        await self.leases.run_loop({name: lambda name=name: self._work(name) for name in NAMES})

    async def _work(self, name: str) -> None:
        self.doing.add(name)
        try:
            await asyncio.Event().wait()
        finally:
            self.doing.discard(name)


@asynccontextmanager
async def running(hub: Hub) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(hub.run())
    yield task
    task.cancel()
    await asyncio.wait([task])


async def test_one_hub_does_everything_at_once(pool: Pool) -> None:
    hub = Hub(pool, "a")
    async with running(hub):
        await eventually(lambda: hub.doing == set(NAMES))
        await eventually(lambda: hub.leases.fleet_since() == HEARD)
    assert hub.doing == set()


async def test_two_hubs_share_and_never_do_the_same(pool: Pool) -> None:
    one, two = Hub(pool, "a"), Hub(pool, "b")
    async with running(one):
        await eventually(lambda: one.doing == set(NAMES))
        async with running(two):

            def is_shared() -> bool:
                assert not one.doing & two.doing
                return len(one.doing) == len(two.doing) == 2

            await eventually(is_shared)
            await eventually(lambda: one.leases.fleet_since() == two.leases.fleet_since() == HEARD)
        # b stopped in order: its work is back without waiting for the leases to run out
        await eventually(lambda: one.doing == set(NAMES), limit_s=TTL_S)


async def test_a_dead_hubs_work_is_taken_over_when_its_leases_run_out(pool: Pool) -> None:
    await pool.execute("insert into hubs values ('dead', now() + interval '0.6 s')")
    await pool.executemany(
        "insert into leases (name, owner, until) values ($1, 'dead', now() + interval '0.6 s')",
        [(n,) for n in NAMES],
    )
    hub = Hub(pool, "a")
    async with running(hub):
        await asyncio.wait_for(hub.leases._pool.fetchval("select pg_sleep(0.3)"), 5)
        assert hub.doing == set()
        assert hub.leases.fleet_since() is None
        await eventually(lambda: hub.doing == set(NAMES))


async def test_a_hub_that_was_killed_finds_its_own_leases_at_once(pool: Pool) -> None:
    await pool.executemany(
        "insert into leases (name, owner, until) values ($1, 'a', now() + interval '1 hour')",
        [(n,) for n in NAMES],
    )
    hub = Hub(pool, "a")
    async with running(hub):
        await eventually(lambda: hub.doing == set(NAMES))


async def test_work_that_fails_ends_the_hub(pool: Pool) -> None:
    async def fail() -> None:
        raise RuntimeError("broken")

    leases = Leases(pool, "a", ["x"], SystemClock(), ttl_s=TTL_S, round_s=ROUND_S)
    with pytest.raises(ExceptionGroup, match="unhandled errors"):
        await leases.run_loop({"x": fail})
    assert await pool.fetchval("select owner from leases") == ""


def test_a_gateway_has_one_shard_for_ever() -> None:
    # Written down: a change here would move gateways between sessions at the broker.
    assert [shard_of(g, 4) for g in ("gw-centro", "gw-costa", "gw-norte", "gw-boldos")] == [2, 3, 0, 2]
    assert {shard_of(f"gw-{i}", 8) for i in range(200)} == set(range(8))
    assert shard_name(1, 4) == "shard-1-of-4"
