"""The same work where there is more of everything: devices, stored telemetry, open alerts."""

import contextlib
from dataclasses import dataclass
from pathlib import Path

from bench import fleet
from bench.figures import Figure, Ratio, Section, figure, quantile, ratios
from bench.fleet import FIRST_BUTTON
from bench.measures import hub_run, press
from bench.rule_files import rule_files
from bench.setting import PLAIN, WIDE, Setting

PLAIN_CASE = "as it is"
FEW, MANY = 3, 200
FEW_CASE, MANY_CASE = f"{FEW} rules", f"{MANY} rules"
_RECORDS = 10

# Half a day of history up to an hour ago, ten quantities for each sensor.
_FILL_TELEMETRY = """
    with sensors as (select device_id from devices where kind = 'sensor' order by device_id limit 200),
    made as (
      insert into telemetry (device_id, quantity_id, at, value)
      select s.device_id, q, now() - interval '1 hour' - n * interval '43200 seconds' / $1::int, n % 100
      from generate_series(1, $1::int) n, sensors s, generate_series(1001, 1010) q
      returning 1)
    select count(*) from made
"""
_FILL_ALERTS = """
    do $$ begin
      for n in 1..%d loop
        insert into alerts (alert_id, code, kind, priority, state, dedup_key, summary, rule, happened_at,
                            opened_at, last_event_at)
        values (gen_random_uuid(), next_alert_code(), 'gate_open', 3, 'received', 'bench:' || n,
                'Portón abierto', 'gate_opened', now(), now(), now());
      end loop;
    end $$
"""


@dataclass(frozen=True)
class Case:
    """One kind of growth: which fleet, and how the database is filled."""

    template: str = PLAIN
    sensors: int = fleet.SENSORS
    telemetry_rows: int = 0
    open_alerts: int = 0
    rules: int = 0
    """How many rules the hub has; 0: those that come with it."""


@dataclass(frozen=True)
class Sample:
    events_rate: float
    measurements_rate: float
    press_ms: list[float]
    lost: int


def _cases(setting: Setting) -> dict[str, Case]:
    rows, alerts = setting.scale.telemetry_rows, setting.scale.open_alerts
    return {
        PLAIN_CASE: Case(),
        "10 times the devices": Case(WIDE, 10 * fleet.SENSORS),
        f"{rows:,} rows of telemetry": Case(telemetry_rows=rows),
        f"{alerts:,} open alerts": Case(open_alerts=alerts),
        FEW_CASE: Case(rules=FEW),
        MANY_CASE: Case(rules=MANY),
    }


async def measure(setting: Setting) -> Section:
    cases = _cases(setting)
    samples: dict[str, list[Sample]] = {f"{hub}, {name}": [] for hub in setting.trees for name in cases}
    async with contextlib.AsyncExitStack() as stack:
        databases = {}
        for name, case in cases.items():
            databases[name] = await stack.enter_async_context(setting.ground.database(case.template))
            await _fill(setting, databases[name], case)
        for index in range(setting.scale.growth_rounds):
            for hub, tree in setting.trees.items():
                for name, case in cases.items():
                    sample = await _one(setting, tree, databases[name], case, index)
                    samples[f"{hub}, {name}"].append(sample)
                    setting.say(f"growth {index + 1}: {hub}, {name}: {sample.events_rate:,.0f} events/s")
    return _section(setting, samples)


async def _fill(setting: Setting, database: str, case: Case) -> None:
    ground = setting.ground
    if case.telemetry_rows:
        setting.say(f"growth: writing {case.telemetry_rows:,} rows of telemetry")
        await ground.query(database, _FILL_TELEMETRY, case.telemetry_rows // 2000)
        await ground.query(database, "analyze telemetry")
    if case.open_alerts:
        await ground.query(database, _FILL_ALERTS % case.open_alerts)
        await ground.query(database, "analyze alerts")
    await ground.admin("checkpoint")


async def _one(setting: Setting, tree: Path, database: str, case: Case, index: int) -> Sample:
    """Events flat out, packs flat out, then presses of buttons that nobody has pressed in this database."""
    ground, scale = setting.ground, setting.scale
    packs = max(scale.growth_events // _RECORDS, 200)
    first_button = FIRST_BUTTON + index * scale.presses
    rules = rule_files(case.rules, tree) if case.rules else None
    async with ground.broker() as broker, ground.hub(broker, database, tree, rules) as hub:
        events = await hub_run.flat_out(
            setting, broker, hub, scale.growth_events, leaf="event", devices=case.sensors
        )
        measured = await hub_run.flat_out(
            setting, broker, hub, packs, leaf="telemetry", records=_RECORDS, devices=case.sensors
        )
        presses = await press.presses(setting, broker, hub, database, 0, first_button)
    lost = events.lost + measured.lost + presses.lost
    return Sample(events.rate, measured.rate * _RECORDS, presses.hub_ms, lost)


def _section(setting: Setting, samples: dict[str, list[Sample]]) -> Section:
    def rates(hub: str, name: str) -> list[float]:
        return [s.events_rate for s in samples[f"{hub}, {name}"]]

    grown = [name for name, case in _cases(setting).items() if name != PLAIN_CASE and not case.rules]
    return Section(
        title="Growth",
        ratios=[
            Ratio(
                f"{hub}: events/s with {name} / {PLAIN_CASE}",
                ratios(rates(hub, name), rates(hub, PLAIN_CASE)),
            )
            for hub in setting.trees
            for name in grown
        ]
        + _rule_ratios(setting, samples),
        columns=["events/s", "measurements/s", "press hub p50 ms", "p99 ms", "lost"],
        rows={name: _row(found) for name, found in samples.items()},
        lost=sum(s.lost for found in samples.values() for s in found),
        notes=[
            f"{setting.scale.growth_events:,} events, then packs of {_RECORDS} records, both flat out.",
            f"{MANY} rules: a file each, a tenth about the load's own events, half about its quantities.",
        ],
    )


def _rule_ratios(setting: Setting, samples: dict[str, list[Sample]]) -> list[Ratio]:
    found = []
    for hub in setting.trees:
        few, many = samples[f"{hub}, {FEW_CASE}"], samples[f"{hub}, {MANY_CASE}"]
        events = ratios([s.events_rate for s in many], [s.events_rate for s in few])
        measured = ratios([s.measurements_rate for s in many], [s.measurements_rate for s in few])
        name = f"with {MANY_CASE} / {FEW_CASE}"
        found.append(Ratio(f"{hub}: events/s {name}", events, budget=">= 0.85"))
        found.append(Ratio(f"{hub}: measurements/s {name}", measured, budget=">= 0.85"))
    return found


def _row(found: list[Sample]) -> dict[str, Figure]:
    return {
        "events/s": figure([s.events_rate for s in found]),
        "measurements/s": figure([s.measurements_rate for s in found]),
        "press hub p50 ms": figure([quantile(s.press_ms, 0.5) for s in found]),
        "p99 ms": figure([quantile(s.press_ms, 0.99) for s in found]),
        "lost": figure([s.lost for s in found]),
    }
