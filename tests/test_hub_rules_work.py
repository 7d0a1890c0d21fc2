"""Rules on a real database: memories in the batch's transaction, durable timers, health, several hubs."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from fakes import VirtualClock

from edge.contract import uuid7
from hub.alerts import service as alerts
from hub.alerts.finding import Finding
from hub.database import Connection, Pool, persist
from hub.devices.registry import COLUMNS, Device
from hub.metrics import Metrics
from hub.rule_work.live import LiveRules
from hub.rule_work.timers import Timers
from hub.rule_work.work import RuleWork
from hub.rules.loading import load_rules
from hub.rules.model import Happening, Reading, Signal

LASTING = "{event: gate.opened, until: gate.closed, for: 10 min}"
HIGH = "{reading: level, above: 5, clear: 3, for: 10 min}"


def yaml_of(*rules: str) -> str:
    return "rules:\n" + "".join(f"  - {rule}\n" for rule in rules)


def rule(name: str, when: str, more: str = "priority: 2") -> str:
    return f"{{name: {name}, title: T, kind: {name}, when: {when}, {more}}}"


@dataclass
class World:
    """One hub's rules on the shared database."""

    pool: Pool
    clock: VirtualClock
    work: RuleWork
    devices: dict[str, Device]
    metrics: Metrics = field(default_factory=Metrics)
    told: list[Finding] = field(default_factory=list)
    listening_since: datetime | None = None

    async def hear(self, *signals: Signal) -> None:
        async def act() -> None:
            async with self.pool.acquire() as connection, connection.transaction():
                verdict = await self.work.judge(connection, signals, self.clock.now())
                await self.react(connection, verdict.findings, self.clock.now())
            self.work.committed(verdict)

        await persist(act, asyncio.sleep, "test")

    async def react(
        self, connection: Connection, findings: Sequence[Finding], now: datetime
    ) -> Callable[[], None]:
        await alerts.open_or_join(connection, findings, now)
        self.told += findings
        return lambda: None

    def timers(self) -> Timers:
        return Timers(
            pool=self.pool,
            work=self.work,
            react=self.react,
            clock=self.clock,
            listening_since=lambda: self.listening_since,
            metrics=self.metrics,
        )

    def event(self, type_: str, device: str = "d1", age_s: float = 0) -> Happening:
        at = self.clock.now() - timedelta(seconds=age_s)
        return Happening(uuid7(at), type_, self.devices[device], at, "device")

    def reading(self, value: float, device: str = "d1", age_s: float = 0, quantity: str = "level") -> Reading:
        return Reading(self.devices[device], quantity, self.clock.now() - timedelta(seconds=age_s), value)

    async def alerts(self, kind: str) -> int:
        return await self.pool.fetchval("select count(*) from alerts where kind = $1", kind)


async def world_of(pool: Pool, *rules: str, clock: VirtualClock | None = None, count: int = 3) -> World:
    await pool.execute("insert into gateways (gateway) values ('gw') on conflict do nothing")
    await pool.executemany(
        "insert into devices (source, gateway, kind, name, sector, place)"
        " values ($1, 'gw', 'other', $1, 'NORTE', 'Plaza') on conflict do nothing",
        [(f"d{i}",) for i in range(1, count + 1)],
    )
    records = await pool.fetch(f"select {COLUMNS} from devices")
    metrics = Metrics()
    work = RuleWork(load_rules({"r.yaml": yaml_of(*rules)}) if rules else [], metrics)
    await work.load(pool)
    devices = {device.source: device for device in (Device(*r) for r in records)}
    world = World(pool, clock or VirtualClock(), work, devices, metrics)
    world.listening_since = world.clock.now()
    return world


async def test_an_alert_names_the_version_of_its_rule(pool: Pool) -> None:
    world = await world_of(pool, rule("gate", "{event: gate.opened}"))
    await world.hear(world.event("gate.opened"))
    version = await pool.fetchval("select rule_version from alerts")
    assert version == world.work.rules.rules["gate"].version
    assert len(version) == 12
    edited = load_rules({"r.yaml": yaml_of(rule("gate", "{event: gate.opened}", "priority: 3"))})
    assert edited[0].version != version


async def test_a_memory_lives_and_dies_with_its_transaction(pool: Pool) -> None:
    world = await world_of(pool, rule("high", "{reading: level, above: 5, clear: 3}"))

    async def fail() -> None:
        async with pool.acquire() as connection, connection.transaction():
            await world.work.judge(connection, [world.reading(9)], world.clock.now())
            raise RuntimeError("the batch is taken back")

    with pytest.raises(RuntimeError):
        await fail()
    assert await pool.fetchval("select count(*) from rule_states") == 0
    await world.hear(world.reading(9))
    assert await world.alerts("high") == 1


async def test_hysteresis_survives_a_restart(pool: Pool) -> None:
    text = rule("high", "{reading: level, above: 5, clear: 3}")
    world = await world_of(pool, text)
    await world.hear(world.reading(9))
    await world.clock.advance(60)
    again = await world_of(pool, text, clock=world.clock)
    await again.hear(again.reading(6))
    assert again.told == []
    await world.clock.advance(60)
    await again.hear(again.reading(2))
    await world.clock.advance(60)
    await again.hear(again.reading(6))
    assert len(again.told) == 1


async def test_a_hub_that_decides_on_an_old_memory_repeats_its_batch(pool: Pool) -> None:
    text = rule("high", "{reading: level, above: 5, clear: 3}")
    one = await world_of(pool, text)
    two = await world_of(pool, text, clock=one.clock)
    await two.hear(two.reading(1))  # both have read that there is nothing to remember
    await one.hear(one.reading(1))
    await one.hear(one.reading(9))
    await one.clock.advance(1)
    await two.hear(two.reading(9))
    assert len(one.told) == 1
    assert two.told == []


async def test_hubs_that_count_together_tell_once(pool: Pool) -> None:
    text = rule(
        "riot", "{count: {event: panic.pressed, at_least: 6, within: 5 min}}", "priority: 2, by: sector"
    )
    worlds = [await world_of(pool, text) for _ in range(3)]
    events = [
        (w, w.event("panic.pressed", f"d{i}", age_s=i + 10 * n)) for n, w in enumerate(worlds) for i in (1, 2)
    ]
    await asyncio.gather(*(w.hear(e) for w, e in events))
    assert sum(len(w.told) for w in worlds) == 1
    assert await pool.fetchval("select event_count from alerts") == 1


async def test_a_timer_fires_when_it_is_due_and_once_over_all_hubs(pool: Pool) -> None:
    text = rule("open", LASTING)
    worlds = [await world_of(pool, text, count=40)]
    worlds += [await world_of(pool, text, clock=worlds[0].clock) for _ in range(2)]
    world = worlds[0]
    await world.hear(*(world.event("gate.opened", f"d{i}") for i in range(1, 41)))
    await world.hear(world.event("gate.closed", "d7"))
    await world.clock.advance(599.9)
    assert [await w.timers().fire_due() for w in worlds] == [0, 0, 0]
    await world.clock.advance(0.1)
    await asyncio.gather(*(w.timers().fire_due() for w in worlds for _ in range(3)))
    assert await world.alerts("open") == 39
    assert sum(len(w.told) for w in worlds) == 39
    assert await world.timers().fire_due() == 0
    assert all(f.happened_at == world.clock.now() for w in worlds for f in w.told)


async def test_a_reading_and_a_timer_never_tell_twice(pool: Pool) -> None:
    world = await world_of(pool, rule("high", HIGH))
    other = await world_of(pool, rule("high", HIGH), clock=world.clock)
    await world.hear(world.reading(9))
    await world.clock.advance(601)
    assert await other.timers().fire_due() == 1  # the other hub fires, this one still remembers the wait
    await world.hear(world.reading(9))
    assert await world.alerts("high") == 1
    assert await pool.fetchval("select event_count from alerts") == 1
    await world.clock.advance(1)
    await world.hear(world.reading(1))
    await world.clock.advance(1)
    await world.hear(world.reading(9))
    await world.clock.advance(601)
    await world.timers().fire_due()
    assert len(world.told) + len(other.told) == 2


async def test_a_deleted_device_and_an_unknown_rule_stop_no_timer(pool: Pool) -> None:
    world = await world_of(pool, rule("open", LASTING))
    await world.hear(*(world.event("gate.opened", d) for d in ("d1", "d2")))
    await pool.execute(
        "insert into rule_states (rule, scope, state, due_at, changed_at) values ('gone', '1', '{}', $1, $1)",
        world.clock.now(),
    )
    await pool.execute("delete from devices where source = 'd1'")
    await world.clock.advance(600)
    assert await world.timers().fire_due() == 2
    assert [f.device_id for f in world.told] == [world.devices["d2"].device_id]
    assert await world.timers().fire_due() == 0


async def test_silence_is_told_only_while_the_hub_could_hear(pool: Pool) -> None:
    world = await world_of(pool, rule("lost", "{silence: {event: beat, for: 10 min}}"))
    await world.hear(world.event("beat"))
    world.listening_since = None
    await world.clock.advance(700)
    await world.timers().fire_due()
    assert world.told == []
    world.listening_since = world.clock.now()
    await world.clock.advance(10)
    await world.timers().fire_due()
    assert world.told == []
    await world.clock.advance(600)
    await world.timers().fire_due()
    assert len(world.told) == 1


async def test_silence_looks_at_what_was_stored(pool: Pool) -> None:
    world = await world_of(pool, rule("lost", "{silence: {reading: level, for: 10 min}}"))
    await world.hear(world.reading(1))
    device_id = world.devices["d1"].device_id
    await world.clock.advance(500)
    quantity = await pool.fetchval("insert into quantities (name) values ('level') returning quantity_id")
    await pool.execute(
        "insert into telemetry_latest values ($1, $2, $3, 1)", device_id, quantity, world.clock.now()
    )
    await world.clock.advance(300)
    await world.timers().fire_due()
    assert world.told == []
    await world.clock.advance(301)
    await world.timers().fire_due()
    assert len(world.told) == 1


async def test_late_news_joins_what_is_open_and_opens_nothing(pool: Pool) -> None:
    world = await world_of(pool, rule("gate", "{event: gate.opened}"))
    await world.hear(world.event("gate.opened", "d1", age_s=3600))
    assert await world.alerts("gate") == 0
    assert world.metrics.registry.get_sample_value("almenara_findings_filed_total") == 1
    await world.hear(world.event("gate.opened", "d1"))
    await world.hear(world.event("gate.opened", "d1", age_s=3500))
    assert await pool.fetchval("select event_count from alerts") == 2


async def test_a_call_for_help_is_answered_hours_later_and_says_so(pool: Pool) -> None:
    world = await world_of(pool, rule("help", "{event: panic.pressed}", "priority: 1"))
    await world.hear(world.event("panic.pressed", age_s=5 * 3600))
    assert "tardío: ocurrió el 23-11 a las 16:04" in await pool.fetchval("select summary from alerts")


async def test_a_value_of_the_neighbourhood_decides(pool: Pool) -> None:
    text = rule(
        "dry", "{event: smoke.seen}", "priority: 2, near: {humidity: sector}, if: near.humidity < 30.0"
    )
    world = await world_of(pool, text)
    await world.hear(world.event("smoke.seen"))
    quantity = await pool.fetchval("insert into quantities (name) values ('humidity') returning quantity_id")
    await pool.execute(
        "insert into telemetry_latest values ($1, $2, $3, 22)",
        world.devices["d2"].device_id,
        quantity,
        world.clock.now() - timedelta(minutes=30),
    )
    await world.hear(world.event("smoke.seen", "d3"))
    assert [f.device_id for f in world.told] == [world.devices["d3"].device_id]
    await world.clock.advance(3600)
    await world.hear(world.event("smoke.seen", "d2"))
    assert len(world.told) == 1


# ------------------------------------------------------------------------------------------- health


async def test_a_rule_that_fails_is_stopped_and_told_of_and_the_others_go_on(pool: Pool) -> None:
    world = await world_of(
        pool,
        rule("bad", "{event: gate.opened}", "priority: 2, if: data.x > 1"),
        rule("good", "{event: gate.opened}"),
    )
    for _ in range(7):
        opened = world.event("gate.opened")
        await world.hear(
            Happening(opened.id, opened.type, opened.device, opened.at, "device", data='{"x": "a"}')
        )
    assert await world.alerts("rule_failed") == 1
    assert await world.alerts("good") == 1
    assert await pool.fetchval("select event_count from alerts where kind = 'good'") == 7
    assert await pool.fetchval("select count(*) from rule_stops where rule = 'bad'") == 1
    assert list(world.work.rules.rules) == ["good"]
    again = await world_of(pool, rule("bad", "{event: gate.opened}", "priority: 2, if: data.x > 1"))
    assert list(again.work.rules.rules) == []
    mended = await world_of(pool, rule("bad", "{event: gate.opened}", "priority: 2, if: data.x > 2"))
    assert list(mended.work.rules.rules) == ["bad"]


async def test_a_field_that_is_missing_is_no_failure(pool: Pool) -> None:
    world = await world_of(pool, rule("held", "{event: gate.opened}", "priority: 2, if: data.x > 1"))
    for _ in range(7):
        await world.hear(world.event("gate.opened"))
    assert await world.alerts("rule_failed") == 0
    assert list(world.work.rules.rules) == ["held"]


async def test_more_alerts_an_hour_than_stated_trip_the_breaker(pool: Pool) -> None:
    world = await world_of(
        pool, rule("gate", "{event: gate.opened}", "priority: 3, max_per_hour: 5"), count=12
    )
    await world.hear(*(world.event("gate.opened", f"d{i}") for i in range(1, 13)))
    assert await world.alerts("gate") == 5
    assert await world.alerts("rule_flood") == 1
    await world.hear(world.event("gate.opened", "d1"))
    assert await pool.fetchval("select sum(event_count) from alerts where kind = 'gate'") == 6
    await world.clock.advance(3601)
    await world.hear(world.event("gate.opened", "d12"))
    assert await world.alerts("gate") == 6


async def test_a_breaker_counts_for_all_hubs_and_outlives_a_restart(pool: Pool) -> None:
    text = rule("gate", "{event: gate.opened}", "priority: 3, max_per_hour: 5")
    one = await world_of(pool, text, count=12)
    await one.hear(*(one.event("gate.opened", f"d{i}") for i in range(1, 5)))
    two = await world_of(pool, text, clock=one.clock)
    await two.work.health.count_opened(pool, two.work.rules.rules, two.clock.now())
    await two.hear(*(two.event("gate.opened", f"d{i}") for i in range(5, 13)))
    assert await two.alerts("gate") == 5
    assert await two.alerts("rule_flood") == 1
    await two.hear(two.event("gate.opened", "d1"))
    assert await pool.fetchval("select sum(event_count) from alerts where kind = 'gate'") == 6
    await two.clock.advance(3601)
    await two.work.health.count_opened(pool, two.work.rules.rules, two.clock.now())
    await two.hear(two.event("gate.opened", "d12"))
    assert await two.alerts("gate") == 6


async def test_life_is_never_held_back(pool: Pool) -> None:
    world = await world_of(
        pool, rule("help", "{event: panic.pressed}", "priority: 1, max_per_hour: 5"), count=12
    )
    await world.hear(*(world.event("panic.pressed", f"d{i}") for i in range(1, 13)))
    assert await world.alerts("help") == 12
    assert await world.alerts("rule_flood") == 1


async def test_a_failing_condition_never_silences_a_call_for_help(pool: Pool) -> None:
    world = await world_of(pool, rule("help", "{event: panic.pressed}", "priority: 1, if: data.x > 1"))
    for _ in range(6):
        pressed = world.event("panic.pressed")
        await world.hear(
            Happening(pressed.id, pressed.type, pressed.device, pressed.at, "device", data='{"x": "a"}')
        )
    assert await pool.fetchval("select event_count from alerts where kind = 'help'") == 6
    assert await world.alerts("rule_failed") == 1
    assert list(world.work.rules.rules) == ["help"]


# ------------------------------------------------------------------------------------------- reload


async def test_a_saved_file_goes_live_and_a_wrong_one_changes_nothing(pool: Pool, tmp_path: Path) -> None:
    world = await world_of(pool)
    live = LiveRules(pool, world.work, tmp_path / "rules", world.clock)
    await live.start()
    ready = set(world.work.rules.rules)
    assert {"panic_pressed", "battery_low"} <= ready
    assert "cattle_left" not in ready
    file = tmp_path / "rules" / "own.yaml"
    file.write_text(yaml_of(rule("goat", "{event: goat.seen}")))
    assert await live.look()
    assert set(world.work.rules.rules) == ready | {"goat"}
    assert not await live.look()
    await world.hear(world.event("goat.seen"))
    assert await world.alerts("goat") == 1
    file.write_text(yaml_of(rule("goat", "{event: goat.seen}"), rule("wrong", "{event: a, evnt: b}")))
    assert not await live.look()
    assert len(live.problems) == 1
    assert "own.yaml:3: regla wrong, when: no existe «evnt»" in live.problems[0]
    assert set(world.work.rules.rules) == ready | {"goat"}
    file.unlink()
    assert await live.look()
    assert set(world.work.rules.rules) == ready
    assert live.problems == []


async def test_own_rules_replace_ready_ones_and_turn_them_off(pool: Pool, tmp_path: Path) -> None:
    world = await world_of(pool)
    live = LiveRules(pool, world.work, tmp_path, world.clock)
    (tmp_path / "own.yaml").write_text(
        yaml_of(rule("battery_low", "{reading: battery, below: 0.5}")) + "off: [gate_opened]\n"
    )
    await live.start()
    rules = world.work.rules.rules
    assert "gate_opened" not in rules
    await world.hear(world.reading(0.4, quantity="battery"))
    assert await world.alerts("battery_low") == 1
    kept = await pool.fetchval("select source from rule_versions where rule = 'battery_low'")
    assert "0.5" in kept


async def test_a_rule_of_another_form_does_not_stumble_over_an_old_memory(pool: Pool, tmp_path: Path) -> None:
    world = await world_of(pool, rule("high", HIGH))
    await world.hear(world.reading(9))
    world.work.use(load_rules({"r.yaml": yaml_of(rule("high", "{silence: {reading: level, for: 5 min}}"))}))
    await world.hear(world.reading(9))
    await world.clock.advance(700)
    await world.timers().fire_due()
    assert await world.alerts("rule_failed") == 0
    assert [f.summary for f in world.told] == ["T: d1"]
