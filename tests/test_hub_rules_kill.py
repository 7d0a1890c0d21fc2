"""kill -9 with many timers running: each fires once, none early, none lost, also with two hubs at once."""

import asyncio
import logging
import os
import signal
import sys
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from conftest import Mosquitto
from fakes import assert_in_time, eventually
from processes import hub_process

from edge.contract import uuid7
from hub.alerts import service as alerts
from hub.alerts.finding import Finding
from hub.clock import SystemClock
from hub.database import Pool
from hub.devices.registry import COLUMNS, Device
from hub.notify import policy_file
from hub.notify import service as notify
from hub.rule_work.work import RuleWork
from hub.rules.loading import load_rules
from hub.rules.model import Happening

log = logging.getLogger(__name__)

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


async def start_timers(
    pool: Pool, count: int = TIMERS, spread_s: float = SPREAD_S, begin_s: float = 0.0
) -> None:
    """Gates that open over ``spread_s`` from ``begin_s`` on; each asks for its timer one second later."""
    clock = SystemClock()
    await pool.execute("insert into gateways (gateway) values ('gw')")
    await pool.execute(
        "insert into devices (source, gateway) select 'd' || i, 'gw' from generate_series(1, $1) i", count
    )
    devices = [Device(*r) for r in await pool.fetch(f"select {COLUMNS} from devices order by device_id")]
    work, now = RuleWork(load_rules({"r.yaml": RULE})), clock.now()
    opened = [
        Happening(
            uuid7(now), "gate.opened", d, now + timedelta(seconds=begin_s + spread_s * i / count), "device"
        )
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
            await eventually(lambda share=share: _fired(pool, TIMERS * share))
            victim = running.pop(0)
            victim.send_signal(signal.SIGKILL)
            await victim.wait()
            running.append(await start())
        await eventually(lambda: _fired(pool, TIMERS))
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


# ------------------------------------------------------------------------------------------ at size

MANY_TIMERS, MANY_STEPS, MANY_SPREAD_S = 1000, 200, 12.0
LATEST_S = 1.0
POLICY = """policies:
- {name: atascada, priorities: [4], kinds: [stuck], steps: [{wait_s: 5, who: [duty]}]}
"""
# The clock of the database at the very insert, not what the hub believes the time to be.
_WATCH = """
    create table fired
      (alert_id uuid, sort text, due_at timestamptz, at timestamptz default clock_timestamp());
    create function note_alert() returns trigger language plpgsql as $$ begin
      insert into fired values (new.alert_id, 'timer', new.happened_at); return null; end $$;
    create function note_step() returns trigger language plpgsql as $$ begin
      insert into fired select new.alert_id, 'step', opened_at + interval '5 s' from alerts
      where alert_id = new.alert_id; return null; end $$;
    create trigger note_alert after insert on alerts for each row when (new.kind = 'left_open')
      execute function note_alert();
    create trigger note_step after insert on alert_log for each row when (new.move = 'escalated')
      execute function note_step();
"""
_LATENESS = """
    select sort, count(*)::integer as n, count(distinct alert_id)::integer as different,
      min(at - due_at) as earliest, max(at - greatest(due_at, $1)) as latest,
      count(*) filter (where due_at < $1 and at >= $1)::integer as overdue
    from fired group by sort order by sort
"""


_IS_OVERDUE = """
    select not exists (select from rule_states where due_at > now())
      and not exists (select from escalations where due_at > now())
"""


async def start_steps(pool: Pool, begin_s: float) -> None:
    """Alerts that nobody takes, opened so that their first steps come over the same while."""
    policies, now = policy_file.parse(POLICY), SystemClock().now()
    for i in range(MANY_STEPS):
        at = now + timedelta(seconds=begin_s - 5 + MANY_SPREAD_S * i / MANY_STEPS)
        finding = Finding(
            rule="r", kind="stuck", priority=4, dedup_key=f"stuck:{i}", summary="s", happened_at=at
        )
        async with pool.acquire() as connection, connection.transaction():
            outcomes = await alerts.open_or_join(connection, [finding], at)
            await notify.enqueue_for(connection, outcomes, at, policies=policies)


@pytest.mark.speed
@pytest.mark.parametrize("away", ["while it runs out", "until all is overdue"])
async def test_a_thousand_timers_and_two_hundred_steps_outlive_a_kill(
    mosquitto: Mosquitto, pool: Pool, dsn: str, server_folder: Path, away: str
) -> None:
    """A whole hub dies while they run: each fires once, none early, none later than a second after the start.

    What ran out while no hub ran is due at the moment at which the next one says that it runs.
    """
    data = server_folder / "data"
    (data / "rules").mkdir(parents=True)
    (data / "rules" / "own.yaml").write_text(RULE)
    (data / "policies.yaml").write_text(POLICY)
    await pool.execute(_WATCH)
    options = ("--mqtt", f"127.0.0.1:{mosquitto.port}", "--database", dsn, "--data", str(data))
    async with hub_process(server_folder, *options) as hub:
        await start_steps(pool, begin_s=4)
        await start_timers(pool, MANY_TIMERS, MANY_SPREAD_S, begin_s=3)
        await eventually(lambda: _all_fired(pool, MANY_TIMERS // 6, MANY_STEPS // 6))
        await hub.kill()
    if away == "until all is overdue":
        await eventually(lambda: pool.fetchval(_IS_OVERDUE))
    async with hub_process(server_folder / "again", *options):
        started_at: datetime = await pool.fetchval("select clock_timestamp()")
        await eventually(lambda: _all_fired(pool, MANY_TIMERS, MANY_STEPS))
        rows = {row["sort"]: row for row in await pool.fetch(_LATENESS, started_at)}
    for sort, row in rows.items():
        log.info("%s: latest %s after a start with %d overdue", sort, row["latest"], row["overdue"])
    assert {sort: (r["n"], r["different"]) for sort, r in rows.items()} == {
        "timer": (MANY_TIMERS, MANY_TIMERS),
        "step": (MANY_STEPS, MANY_STEPS),
    }
    assert all(row["earliest"] >= timedelta(0) for row in rows.values())
    for row in rows.values():
        assert_in_time(row["latest"].total_seconds(), LATEST_S)


async def _all_fired(pool: Pool, timers: int, steps: int) -> bool:
    rows = await pool.fetch("select sort, count(*) as n from fired group by sort")
    fired = {row["sort"]: row["n"] for row in rows}
    return fired.get("timer", 0) >= timers and fired.get("step", 0) >= steps
