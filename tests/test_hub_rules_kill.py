"""kill -9 with many timers running: each fires once, none early, none lost, also with two hubs at once."""

import asyncio
import os
import signal
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from fakes import eventually

from edge.contract import uuid7
from hub.clock import SystemClock
from hub.database import Pool
from hub.devices.registry import COLUMNS, Device
from hub.rule_work.work import RuleWork
from hub.rules.loading import load_rules
from hub.rules.model import Happening

RULE = """rules:
  - {name: open, title: T, kind: left_open, priority: 3, max_per_hour: 5000,
     when: {event: gate.opened, until: gate.closed, for: 1 s}}
"""
TIMERS = 400
SPREAD_S = 4.0

HUB = """
import asyncio, sys
from pathlib import Path
from hub.alerts import service as alerts
from hub.clock import SystemClock
from hub.database import connect
from hub.rule_work.timers import Timers
from hub.rule_work.work import RuleWork
from hub.rules.loading import load_rules

async def main(dsn, rules):
    pool, clock = await connect(dsn, max_size=2), SystemClock()
    work = RuleWork(load_rules({"r.yaml": Path(rules).read_text()}))
    await work.load(pool)
    async def react(connection, findings, now):
        await alerts.open_or_join(connection, findings, now)
        return lambda: None
    await Timers(pool=pool, work=work, react=react, clock=clock, listening_since=clock.now).run_loop()

asyncio.run(main(*sys.argv[1:]))
"""


async def start_timers(pool: Pool) -> None:
    """Gates that opened over a while; each asks for its timer one second later."""
    clock = SystemClock()
    await pool.execute("insert into gateways (gateway) values ('gw')")
    await pool.execute(
        "insert into devices (source, gateway) select 'd' || i, 'gw' from generate_series(1, $1) i", TIMERS
    )
    devices = [Device(*r) for r in await pool.fetch(f"select {COLUMNS} from devices order by device_id")]
    work, now = RuleWork(load_rules({"r.yaml": RULE})), clock.now()
    opened = [
        Happening(uuid7(now), "gate.opened", d, now + timedelta(seconds=SPREAD_S * i / TIMERS), "device")
        for i, d in enumerate(devices)
    ]
    async with pool.acquire() as connection, connection.transaction():
        await work.judge(connection, opened, now)


@pytest.mark.parametrize("hubs", [1, 2])
async def test_timers_outlive_kills_and_fire_once(pool: Pool, dsn: str, tmp_path: Path, hubs: int) -> None:
    rules = tmp_path / "rules.yaml"
    rules.write_text(RULE)
    (tmp_path / "worker.py").write_text(HUB)

    async def start() -> asyncio.subprocess.Process:
        environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent.parent)}
        return await asyncio.create_subprocess_exec(
            sys.executable, str(tmp_path / "worker.py"), dsn, str(rules), env=environment
        )

    await start_timers(pool)
    running = [await start() for _ in range(hubs)]
    try:
        for share in (0.15, 0.4, 0.65):
            await eventually(lambda share=share: _fired(pool, TIMERS * share), 20)
            victim = running.pop(0)
            victim.send_signal(signal.SIGKILL)
            await victim.wait()
            running.append(await start())
        await eventually(lambda: _fired(pool, TIMERS), 20)
    finally:
        for process in running:
            process.kill()
            await process.wait()
    counts = await pool.fetchrow(
        "select count(*) as alerts, sum(event_count) as findings,"
        " min(opened_at - happened_at) as earliest from alerts"
    )
    assert (counts["alerts"], counts["findings"]) == (TIMERS, TIMERS)
    assert counts["earliest"] >= timedelta(0)
    assert await pool.fetchval("select count(*) from rule_states where due_at is not null") == 0


async def _fired(pool: Pool, count: float) -> bool:
    return bool(await pool.fetchval("select count(*) from alerts") >= count)
