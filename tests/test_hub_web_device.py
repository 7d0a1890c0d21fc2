"""A device's page: its readings over a period, with gaps, silences and alerts, and as a file."""

import csv
import io
import math
import uuid
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest
import pytest_asyncio
from fakes import VirtualClock
from test_hub_web import HASHED, PEOPLE, Site, raise_alert, served

from hub.database import connect
from hub.servers.postgres import ROLE, EmbeddedPostgres
from hub.telemetry import Aggregate, Point, TelemetryError
from hub.telemetry.postgres import PostgresTelemetry
from hub.web import curves
from hub.web.settings import WebSettings
from hub.web.texts import figure

pytestmark = pytest.mark.asyncio(loop_scope="module")

AT = datetime(2026, 11, 24, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def reading(minutes: float, value: float = 1.0) -> Aggregate:
    return Aggregate(AT + minutes * MINUTE, 1, value, value, value)


# --------------------------------------------------------------------------------------------- lines


async def test_a_line_breaks_where_nothing_came_and_nowhere_else() -> None:
    rows = [reading(at) for at in (0, 5, 10, 40, 45)]
    pause = curves.longest_pause(rows, timedelta(), 600)
    assert pause == timedelta(seconds=600)
    times, means, lows, highs = curves.broken(rows, timedelta(), pause)
    assert means == [1, 1, 1, None, 1, 1]
    assert lows == highs == means
    assert times[3] == (AT + 25 * MINUTE).timestamp()


async def test_a_device_that_speaks_rarely_is_joined_all_the_same() -> None:
    rows = [reading(30 * at) for at in range(12)]
    assert curves.longest_pause(rows, timedelta(), 180) == timedelta(minutes=90)
    assert None not in curves.broken(rows, MINUTE, curves.longest_pause(rows, MINUTE, 180))[1]
    few = rows[:2]  # two readings do not make a habit: between them nothing is known
    assert None in curves.broken(few, MINUTE, curves.longest_pause(few, MINUTE, 180))[1]


async def test_a_rollup_stands_in_its_middle() -> None:
    hour = timedelta(hours=1)
    [times, *_] = curves.broken([Aggregate(AT, 60, 120.0, 1.0, 3.0)], hour, 2 * hour)
    assert times == [(AT + hour / 2).timestamp()]


async def test_the_table_says_where_nothing_came() -> None:
    rows = [reading(1, 4.0), reading(2, 8.0), reading(58, 1.0)]
    lines = curves.stretches(rows, AT, AT + 60 * MINUTE, 4)
    assert [line.n for line in lines] == [1, 0, 0, 2]  # the newest first
    assert (lines[-1].mean, lines[-1].low, lines[-1].high) == (6.0, 4.0, 8.0)
    assert lines[1].mean is None


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (12.345, "12,3 m"),
        (0.5, "0,5 m"),
        (0.0, "0 m"),
        (1234.5, "1.234 m"),
        (100.0, "100 m"),
        (None, "sin datos"),
    ],
)
async def test_figures_are_written_as_in_chile(value: float | None, text: str) -> None:
    assert figure(value, "m") == text


# ---------------------------------------------------------------------------------------------- page


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(postgres_server: EmbeddedPostgres) -> AsyncIterator[Site]:
    """One console for the file: each test has devices of its own."""
    admin = await asyncpg.connect(postgres_server.admin_dsn)
    await admin.execute(f"create database device_pages template migrated owner {ROLE}")
    pool = await connect(f"{postgres_server.address.rpartition('/')[0]}/device_pages")
    await pool.executemany(
        "insert into users (login, name, role, password) values ($1, $2, $3, $4)",
        [(login, name, role, HASHED) for login, (name, role) in PEOPLE.items()],
    )
    async with served(pool, WebSettings(commune="Los Aromos"), VirtualClock()) as running:
        yield running
    await pool.close()
    await admin.execute("drop database device_pages with (force)")
    await admin.close()


async def tank(site: Site, kind: str = "tank_level", name: str = "Estanque Los Boldos") -> int:
    await site.pool.execute("insert into gateways (gateway, name) values ('gw-1', '') on conflict do nothing")
    device_id: int = await site.pool.fetchval(
        "insert into devices (source, gateway, kind, name, place, sector, silent_after_s)"
        " values ($1, 'gw-1', $2, $3, 'APR Los Boldos', 'Norte', 900) returning device_id",
        f"urn:dev:ops:99999-{uuid.uuid4()}",
        kind,
        name,
    )
    return device_id


async def fill(site: Site, device_id: int, hours: float = 30, gap: tuple[float, float] = (4, 7)) -> int:
    """A level each five minutes up to now, but not between ``gap`` hours ago; returns how many."""
    store, now = PostgresTelemetry(), site.clock.now()
    points = [
        Point(device_id, "level", "m", now - timedelta(hours=ago), 2 + math.sin(ago / 3))
        for ago in (step / 12 for step in range(1, int(hours * 12)))
        if not gap[0] < ago < gap[1]
    ]
    await store.prepare(site.pool, points)
    await store.write(site.pool, points, now)
    await store.roll_up(site.pool, now)
    while await store.roll_up(site.pool, now) >= store.portion:
        pass
    return len(points)


async def outage(site: Site, device_id: int, from_h: float, to_h: float) -> None:
    """The alert of a silence as supervision opens and clears it; it began 900 s before it was noticed."""
    now = site.clock.now()
    at = now - timedelta(hours=from_h) + timedelta(seconds=900)
    alert = await raise_alert(
        site, kind="device_silent", priority=3, at=at, device_id=device_id, summary="Sin señal"
    )
    ended = now - timedelta(hours=to_h)
    await site.pool.execute(
        "insert into alert_log (alert_id, at, author, move) values ($1, $2, 'hub:silence', 'cleared')",
        alert.alert_id,
        ended,
    )
    await site.pool.execute(
        "update alerts set closed_at = $2, state = 'closed' where alert_id = $1", alert.alert_id, ended
    )


async def test_a_device_shows_its_curve_with_gap_silence_and_alert(site: Site) -> None:
    device_id = await tank(site)
    await fill(site, device_id)
    await outage(site, device_id, 7, 4)
    now = site.clock.now()
    alert = await raise_alert(
        site,
        kind="tank_low",
        priority=2,
        device_id=device_id,
        at=now - timedelta(hours=2),
        summary="Estanque bajo",
    )
    olga = await site.person("olga")
    page = await olga.client.get(f"/dispositivos/{device_id}?periodo=24h")
    assert page.status_code == 200
    for text in ("Estanque Los Boldos", "Nivel", "(m)", "por minuto", alert.code, "sin datos", "3 h 00"):
        assert text in page.text, text
    found = (await olga.client.get(f"/dispositivos/{device_id}/historia.json?periodo=24h")).json()
    [curve] = found["curves"]
    times, means, *_ = curve["columns"]
    assert curve["unit"] == "m"
    assert means.count(None) == 1
    hole = means.index(None)
    assert (times[hole + 1] - times[hole - 1]) / 3600 == pytest.approx(3, abs=0.2)
    [silence] = found["silences"]
    assert silence == {
        "from": (now - timedelta(hours=7)).timestamp(),
        "to": (now - timedelta(hours=4)).timestamp(),
    }
    assert [(one["code"], one["to"]) for one in found["alerts"]] == [(alert.code, None)]


@pytest.mark.parametrize(
    ("period", "step_s", "has_range"), [("6h", 300, False), ("24h", 300, True), ("7d", 3600, True)]
)
async def test_the_period_chooses_the_resolution(
    site: Site, period: str, step_s: int, has_range: bool
) -> None:
    device_id = await tank(site)
    await fill(site, device_id, gap=(0, 0))
    client = (await site.person("tito")).client
    found = (await client.get(f"/dispositivos/{device_id}/historia.json?periodo={period}")).json()
    times = found["curves"][0]["columns"][0]
    assert found["hasRange"] is has_range
    assert times[1] - times[0] == pytest.approx(step_s)
    assert found["until"] - found["since"] == curves.PERIODS[period][1].total_seconds()


async def test_the_file_has_every_point_in_local_and_universal_time(site: Site) -> None:
    device_id = await tank(site)
    await fill(site, device_id, hours=3, gap=(0, 0))
    client = (await site.person("olga")).client
    answer = await client.get(f"/dispositivos/{device_id}/historia.csv?periodo=6h")
    assert answer.headers["content-disposition"] == f'attachment; filename="dispositivo-{device_id}-6h.csv"'
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert len(rows) == 35
    assert {row["unidad"] for row in rows} == {"m"}
    last = rows[-1]
    assert (last["fecha_hora"], last["fecha_hora_utc"]) == (
        "2026-11-23T20:59:00.000-03:00",
        "2026-11-23T23:59:00.000Z",
    )


async def test_a_formula_in_a_quantity_stays_text(site: Site) -> None:
    device_id = await tank(site)
    store, now = PostgresTelemetry(), site.clock.now()
    point = Point(device_id, "=1+1", "", now - MINUTE, 1.0)
    await store.prepare(site.pool, [point])
    await store.write(site.pool, [point], now)
    client = (await site.person("olga")).client
    text = (await client.get(f"/dispositivos/{device_id}/historia.csv?periodo=6h")).text
    assert "'=1+1" in text
    assert ",=1+1" not in text


async def test_a_silent_button_has_no_history_and_a_reserved_alert_is_on_no_page(site: Site) -> None:
    button = await tank(site, "duress_button", "Casa de alguien")
    device_id = await tank(site, "panic_button", "Botón 7")
    reserved = await raise_alert(site, kind="panic", device_id=device_id, is_reserved=True)
    client = (await site.person("olga")).client
    answer = await client.get(f"/dispositivos/{button}")
    assert answer.status_code == 403
    assert "Casa de alguien" not in answer.text
    for ending in ("", "/historia.json"):
        assert (
            reserved.code
            not in (await client.get(f"/dispositivos/{device_id}{ending}")).text.split("<main")[-1]
        )
    listing = (await client.get("/dispositivos")).text
    assert f'href="/dispositivos/{device_id}"' in listing
    assert f'href="/dispositivos/{button}"' not in listing


async def test_a_store_that_is_away_is_no_empty_chart(site: Site) -> None:
    class Away(PostgresTelemetry):
        async def history(self, *_: object, **__: object) -> list[Aggregate]:
            raise TelemetryError("InfluxDB no responde")

    device_id = await tank(site)
    await fill(site, device_id, hours=2, gap=(0, 0))
    whole = site.app.state.console
    site.app.state.console = replace(whole, telemetry=Away())
    page = (await (await site.person("olga")).client.get(f"/dispositivos/{device_id}")).text
    site.app.state.console = whole
    assert "El almacén de mediciones no entrega la historia: InfluxDB no responde" in page
    assert "Sin mediciones" not in page


async def test_mistakes_in_the_address_are_named(site: Site) -> None:
    device_id = await tank(site)
    client = (await site.person("olga")).client
    assert (await client.get(f"/dispositivos/{device_id}?periodo=2d")).status_code == 422
    assert (await client.get("/dispositivos/99999")).status_code == 404
    assert (await (await site.person("aida")).client.get(f"/dispositivos/{device_id}")).status_code == 403
    empty = await client.get(f"/dispositivos/{device_id}")
    assert "Sin mediciones" in empty.text
