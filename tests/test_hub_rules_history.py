"""The generated month of a commune, and a rehearsal on it against a recomputation that shares no code."""

from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from hub import example_history as example
from hub.cli import main
from hub.database import Pool
from hub.rule_work.history import Span
from hub.rule_work.rehearsal import rehearse
from hub.rules.loading import load_rules

UNTIL = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)
LENGTH = example.Length(UNTIL - timedelta(days=6), UNTIL)
CHILE = ZoneInfo("America/Santiago")
DRAFT = """rules:
  - name: gate_wide
    title: Portón muy abierto
    kind: gate_open
    priority: 3
    when: {event: gate.opened}
    if: data.width_cm > 60
    during: {from: "20:00", to: "06:00"}
  - {name: panic, title: Pánico, kind: panic, priority: 1, when: {event: panic.pressed}}
  - name: river
    title: Río alto
    kind: river_high
    priority: 2
    device_kind: river_level
    when: {reading: level, above: 2.2, clear: 1.9}
"""
FALSE = {"nothing_found", "mistaken", "technical"}


async def test_the_same_seed_gives_the_same_month(pool: Pool) -> None:
    fleet = example.things(7)
    assert fleet == example.things(7)
    assert fleet != example.things(8)
    assert len(fleet) == sum(sort.count for sort in example.FLEET)
    gate = next(thing for thing in fleet if thing.sort.kind == "gate")
    first = list(example.events_of(gate, LENGTH, 7))
    assert first == list(example.events_of(gate, LENGTH, 7))
    assert first != list(example.events_of(gate, LENGTH, 8))
    assert all(LENGTH.since <= happened.at < LENGTH.until for happened in first)


async def test_the_example_is_only_written_where_nothing_is(pool: Pool) -> None:
    short = example.Length(UNTIL - timedelta(hours=3), UNTIL)
    written = await example.write(pool, short, 7)
    assert written.devices == await pool.fetchval("select count(*) from devices")
    assert written.measurements == await pool.fetchval("select count(*) from telemetry")
    with pytest.raises(example.HistoryError, match="base vacía"):
        await example.write(pool, short, 7)


async def test_a_rehearsal_comes_to_what_a_plain_recount_comes_to(pool: Pool) -> None:
    written = await example.write(pool, LENGTH, 7)
    assert written.events > 1000
    found = await rehearse(pool, load_rules({"d.yaml": DRAFT}), Span(LENGTH.since, LENGTH.until))
    told = sorted([*await gates(pool), *await presses(pool), *await floods(pool)])
    alerts = gathered(told)
    assert found.by_rule == Counter(kind for _, kind, _ in alerts)
    assert set(found.by_rule) == {"gate_wide", "panic", "river"}
    hours = Counter(at.astimezone(CHILE).hour for at, _, _ in alerts)
    assert found.by_hour == [hours[hour] for hour in range(24)]
    assert {d.device_id: d.alerts for d in found.by_device} == Counter(device for _, _, device in alerts)
    assert (found.alerts, found.joined) == (len(alerts), len(told) - len(alerts))
    assert found.false_share == pytest.approx(await expected_share(pool, alerts), abs=0.001)
    assert 0.2 < found.false_share < 0.8
    real = await pool.fetchval("select count(*) from alerts where kind = 'gate_open' and not is_drill")
    assert sum(found.really["gate_open"].values()) == real


Told = tuple[datetime, str, int]


async def gates(pool: Pool) -> list[Told]:
    rows = await pool.fetch(
        "select happened_at at, device_id, (data->>'width_cm')::int width"
        " from events where type = 'gate.opened'"
    )
    return [
        (r["at"], "gate_wide", r["device_id"])
        for r in rows
        if r["width"] > 60 and not 6 <= r["at"].astimezone(CHILE).hour < 20
    ]


async def presses(pool: Pool) -> list[Told]:
    rows = await pool.fetch("select happened_at at, device_id from events where type = 'panic.pressed'")
    return [(r["at"], "panic", r["device_id"]) for r in rows]


async def floods(pool: Pool) -> list[Told]:
    """Each climb over 2.2 m, once the level has been below 1.9 m since the last one."""
    rows = await pool.fetch(
        "select t.at, t.device_id, t.value from telemetry t join devices d using (device_id)"
        " where d.kind = 'river_level' order by t.device_id, t.at"
    )
    high: set[int] = set()
    told: list[Told] = []
    for row in rows:
        device = row["device_id"]
        if device in high and row["value"] < 1.9:
            high.discard(device)
        elif device not in high and row["value"] >= 2.2:
            high.add(device)
            told.append((row["at"], "river", device))
    return told


def gathered(told: Iterable[Told]) -> list[Told]:
    """What comes within an hour of the last of its like joins it."""
    last: dict[tuple[str, int], datetime] = {}
    alerts = []
    for at, kind, device in told:
        before = last.get((kind, device))
        if before is None or at - before > timedelta(hours=1):
            alerts.append((at, kind, device))
        last[kind, device] = at
    return alerts


async def expected_share(pool: Pool, alerts: list[Told]) -> float:
    """Means of the device, its kind and everything, each pulled to the wider one by two cases."""
    rows = await pool.fetch(
        "select kind, device_id, reason from alerts where not is_drill and reason is not null"
        " and reason not in ('test', 'drill', 'duplicate')"
    )
    kinds = {"gate_wide": "gate_open", "panic": "panic", "river": "river_high"}

    def mean(chosen: list[bool], wider: float) -> float:
        return (sum(chosen) + 2 * wider) / (len(chosen) + 2)

    base = sum(r["reason"] in FALSE for r in rows) / len(rows)
    total = 0.0
    for _, rule, device in alerts:
        like = [r for r in rows if r["kind"] == kinds[rule]]
        of_kind = mean([r["reason"] in FALSE for r in like], base)
        total += mean([r["reason"] in FALSE for r in like if r["device_id"] == device], of_kind)
    return total / len(alerts)


def test_the_command_fills_an_empty_database(
    dsn: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["rules", "example-history", "--days", "1", "--database", dsn]) == 0
    assert "28400 habitantes" in capsys.readouterr().out
    assert main(["rules", "example-history", "--days", "1", "--database", dsn]) == 1
    assert "base vacía" in capsys.readouterr().err
    assert main(["rules", "example-history", "--days", "400", "--database", dsn]) == 2
    draft = tmp_path / "draft.yaml"
    draft.write_text(DRAFT)
    assert main(["rules", "rehearse", str(draft), "--since", "1d", "--database", dsn]) == 0
    assert "gate_wide" in capsys.readouterr().out
