"""A draft over stored history: the same engine, nobody told; and the command that does it."""

import json
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from edge.contract import uuid7
from hub.cli import main
from hub.database import Pool
from hub.rule_work.history import Span
from hub.rule_work.rehearsal import rehearse
from hub.rules.loading import load_rules

UNTIL = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)  # midnight in Santiago
SPAN = Span(UNTIL - timedelta(days=30), UNTIL)
DRAFT = """rules:
  - {name: gate, title: Portón, kind: gate_open, priority: 3, when: {event: gate.opened}}
  - name: river
    title: Río
    kind: river_high
    priority: 2
    when: {reading: level, above: 2.5, clear: 2.2, for: 10 min}
  - name: mute
    title: Mudo
    kind: mute
    priority: 3
    when: {silence: {reading: level, for: 2 h}}
"""


async def add_devices(pool: Pool, count: int = 2) -> list[int]:
    await pool.execute("insert into gateways (gateway) values ('gw')")
    rows = await pool.fetch(
        "insert into devices (source, gateway, name) select 'd' || i, 'gw', 'Equipo ' || i"
        " from generate_series(1, $1) i returning device_id",
        count,
    )
    return [row["device_id"] for row in rows]


async def add_events(pool: Pool, device: int, *at: datetime, data: str | None = None) -> None:
    await pool.executemany(
        "insert into events"
        " (id, device_id, gateway, type, happened_at, time_quality, received_at, digest, data)"
        " values ($1, $2, 'gw', 'gate.opened', $3, 'device', $3, '', $4::jsonb)",
        [(uuid7(t), device, t, data) for t in at],
    )


async def add_levels(pool: Pool, device: int, *points: tuple[datetime, float]) -> None:
    quantity = await pool.fetchval(
        "insert into quantities (name, unit) values ('level', 'm')"
        " on conflict (name, unit) do update set unit = 'm' returning quantity_id"
    )
    await pool.executemany(
        "insert into telemetry (device_id, quantity_id, at, value) values ($1, $2, $3, $4)",
        [(device, quantity, at, value) for at, value in points],
    )


async def add_alert(pool: Pool, kind: str, device: int, reason: str, at: datetime) -> None:
    await pool.execute(
        "insert into alerts"
        " (alert_id, code, kind, priority, state, reason, dedup_key, device_id, summary, rule,"
        " happened_at, opened_at, last_event_at, closed_at)"
        " values ($1, 'K7', $2, 3, 'closed', $3, $2, $4, 's', 'r', $5, $5, $5, $5)",
        uuid7(at),
        kind,
        reason,
        device,
        at,
    )


async def test_a_rehearsal_tells_what_the_draft_would_have_done(pool: Pool) -> None:
    first, second = await add_devices(pool)
    noon = UNTIL - timedelta(days=2, hours=12)
    await add_events(pool, first, noon, noon + timedelta(minutes=5), noon + timedelta(hours=3))
    await add_events(pool, second, noon + timedelta(hours=8), SPAN.since - timedelta(days=1))
    high = [(noon + timedelta(minutes=m), v) for m, v in ((0, 1.0), (5, 2.8), (20, 2.7), (30, 1.0))]
    await add_levels(pool, first, *high)
    found = await rehearse(pool, load_rules({"d.yaml": DRAFT}), SPAN)
    assert found.by_rule == {"gate": 3, "river": 1, "mute": 1}
    assert (found.signals, found.alerts, found.joined) == (8, 5, 1)
    assert {hour: n for hour, n in enumerate(found.by_hour) if n} == {12: 2, 14: 1, 15: 1, 20: 1}
    assert [(d.name, d.alerts) for d in found.by_device] == [("Equipo 1", 4), ("Equipo 2", 1)]
    assert found.false_share is None
    assert await pool.fetchval("select count(*) from alerts") == 0
    assert await pool.fetchval("select count(*) from rule_states") == 0


async def test_the_expected_share_of_false_alarms_comes_from_how_cases_were_closed(pool: Pool) -> None:
    noisy, quiet = await add_devices(pool)
    day = UNTIL - timedelta(days=3)
    for i in range(8):
        await add_alert(pool, "gate_open", noisy, "mistaken", day + timedelta(hours=i))
        await add_alert(pool, "gate_open", quiet, "attended", day + timedelta(hours=i))
        await add_alert(pool, "gate_open", quiet, "drill", day + timedelta(hours=i))

    async def share_of(device: int, at: datetime) -> float | None:
        await pool.execute("delete from events")
        await add_events(pool, device, at)
        return (await rehearse(pool, load_rules({"d.yaml": DRAFT}), SPAN)).false_share

    assert await share_of(noisy, day) == pytest.approx(0.9, abs=0.01)
    assert await share_of(quiet, day) == pytest.approx(0.1, abs=0.01)
    found = await rehearse(pool, load_rules({"d.yaml": DRAFT}), SPAN)
    assert found.really["gate_open"] == {"attended": 8, "drill": 8, "mistaken": 8}


async def test_the_order_in_time_holds_over_many_portions_and_progress_only_grows(pool: Pool) -> None:
    devices = await add_devices(pool, 20)
    chance = random.Random(3)
    start = UNTIL - timedelta(days=1)
    for device in devices:
        points = [(start + timedelta(seconds=30 * i), chance.gauss(2.4, 0.2)) for i in range(600)]
        await add_levels(pool, device, *points)
        await add_events(pool, device, *(start + timedelta(minutes=20 * i) for i in range(15)))
    shown: list[float] = []
    found = await rehearse(pool, load_rules({"d.yaml": DRAFT}), SPAN, shown.append)
    assert found.signals == 20 * 615
    assert found.by_rule["gate"] == 20  # one every twenty minutes joins the first
    assert shown == sorted(shown)
    assert shown[-1] == 1.0


def test_the_command_rehearses_and_checks(
    dsn: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    draft = tmp_path / "draft.yaml"
    draft.write_text(DRAFT)
    assert main(["rules", "rehearse", str(draft), "--since", "30d", "--json", "--database", dsn]) == 0
    told = capsys.readouterr()
    assert json.loads(told.out)["alerts"] == 0
    assert "100 %" in told.err
    assert main(["rules", "rehearse", str(draft), "--database", dsn]) == 0
    assert "sin casos cerrados" in capsys.readouterr().out
    assert main(["rules", "rehearse", str(draft), "--since", "ayer", "--database", dsn]) == 2
    assert "no es una duración" in capsys.readouterr().err
    assert main(["rules", "check", str(tmp_path)]) == 0
    assert "3 reglas correctas" in capsys.readouterr().out
    draft.write_text(DRAFT.replace("above: 2.5", "above: alto"))
    assert main(["rules", "check", str(draft)]) == 1
    assert "draft.yaml:7: regla river, when: «above»: «alto» no es un número" in capsys.readouterr().err
    assert main(["rules", "list", "--data", str(tmp_path)]) == 0
    assert "panic_pressed\tpanic\tBotón de pánico" in capsys.readouterr().out
