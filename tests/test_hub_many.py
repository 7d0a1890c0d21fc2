"""Two hubs on one broker and one database give the same alerts as one, and one of them may die."""

import asyncio
import json
import time
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import pytest
from conftest import Mosquitto
from fakes import assert_in_time, eventually
from processes import HubProcess, hub_process

from edge import contract
from edge.contract import Leaf
from hub.mqtt import Address, Publisher

GATEWAYS = [f"gw-{i}" for i in range(8)]
BUTTONS = [contract.device_urn(f"boton-{g}") for g in GATEWAYS]

# The first text of every press; later steps of the escalation come on top.
SENT = """
    select count(distinct alert_id) = 8 from notifications join alerts using (alert_id)
    where notifications.state = 'sent' and kind = 'panic'
"""

OPENED = (
    "select count(*) from alert_log join alerts using (alert_id) where move = 'opened' and kind = 'panic'"
)


@pytest.fixture
async def database(dsn: str) -> asyncpg.Pool:
    pool = await asyncpg.create_pool(dsn, min_size=1, max_size=2)
    await pool.executemany("insert into gateways (gateway) values ($1)", [(g,) for g in GATEWAYS])
    await pool.executemany(
        "insert into devices (source, gateway, kind, name) values ($1, $2, 'panic_button', $2)",
        list(zip(BUTTONS, GATEWAYS, strict=True)),
    )
    yield pool
    await pool.close()


async def press_all(publisher: Publisher, rounds: int) -> None:
    """Each button once a round, as its own gateway."""
    for _ in range(rounds):
        for gateway, source in zip(GATEWAYS, BUTTONS, strict=True):
            event = contract.new_event(source=source, type="panic.pressed", time=datetime.now(UTC))
            await publisher.publish(contract.topic(gateway, Leaf.ALARM), contract.encode_event(event))


@pytest.mark.timeout(90)
@pytest.mark.speed
async def test_two_hubs_are_one_and_survive_the_death_of_one(
    mosquitto: Mosquitto, dsn: str, database: asyncpg.Pool, server_folder: Path
) -> None:
    options = ("--mqtt", f"127.0.0.1:{mosquitto.port}", "--database", dsn, "--shards", "4")
    publisher = Publisher(Address(host="127.0.0.1", port=mosquitto.port), "test-edges")
    async with AsyncExitStack() as stack:
        hubs = [
            await stack.enter_async_context(
                hub_process(server_folder / name, *options, "--data", str(server_folder / name / "data"))
            )
            for name in ("a", "b")
        ]
        pushing = asyncio.create_task(publisher.run_loop())
        stack.callback(pushing.cancel)
        await eventually(lambda: _holders(database, hubs_alive=2))
        await eventually(lambda: publisher.connected)
        await press_all(publisher, rounds=5)
        await eventually(lambda: database.fetchval("select count(*) = 40 from events"))

        killed_at = time.monotonic()
        await hubs[0].kill()
        await press_all(publisher, rounds=5)
        await eventually(lambda: database.fetchval("select count(*) = 80 from events"))
        assert_in_time(time.monotonic() - killed_at, 10)
        assert await database.fetchval("select count(*) from alerts where kind = 'panic'") == len(BUTTONS)
        assert await database.fetch("select distinct event_count from alerts where kind = 'panic'") == [(10,)]
        assert await database.fetchval(OPENED) == len(BUTTONS)
        # The dead hub may have claimed a text: its lease has to run out first.
        await eventually(lambda: database.fetchval(SENT))
        # Each text once by each hub; only what the dead one sent and could not mark any more goes out again.
        dead, alive = ([json.loads(line)["notification_id"] for line in _texts(hub)] for hub in hubs)
        assert len({*dead, *alive}) >= len(BUTTONS)
        assert len(set(dead)) == len(dead)
        assert len(set(alive)) == len(alive)
        assert await hubs[1].stop() == 0


async def _holders(pool: asyncpg.Pool, hubs_alive: int) -> bool:
    """Whether the shards are spread over so many hubs and all of them are being heard."""
    row = await pool.fetchrow(
        "select count(distinct owner) as hubs, count(listening_since) as heard"
        " from leases where name like 'shard-%'"
    )
    return bool(row["hubs"] == hubs_alive and row["heard"] == 4)


def _texts(hub: HubProcess) -> list[str]:
    path = hub.log.parent / "data" / "sms.jsonl"
    return path.read_text("utf-8").splitlines() if path.exists() else []


async def test_roles_split_over_processes(
    mosquitto: Mosquitto, dsn: str, database: asyncpg.Pool, server_folder: Path
) -> None:
    options = ("--mqtt", f"127.0.0.1:{mosquitto.port}", "--database", dsn)
    publisher = Publisher(Address(host="127.0.0.1", port=mosquitto.port), "test-edges")
    async with AsyncExitStack() as stack:
        for role in ("intake", "notify", "web"):
            folder = server_folder / role
            await stack.enter_async_context(
                hub_process(folder, *options, "--data", str(folder / "data"), "--role", role)
            )
        pushing = asyncio.create_task(publisher.run_loop())
        stack.callback(pushing.cancel)
        await eventually(lambda: database.fetchval("select count(listening_since) = 1 from leases"))
        await eventually(lambda: publisher.connected)
        await press_all(publisher, rounds=1)
        await eventually(lambda: database.fetchval(SENT))
        texts = {
            role: (server_folder / role / "data" / "sms.jsonl").exists()
            for role in ("intake", "notify", "web")
        }
        assert texts == {"intake": False, "notify": True, "web": False}
