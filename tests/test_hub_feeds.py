"""What leaves the console without a session: the calendar by its secret address, and the open data."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from fakes import VirtualClock
from icalendar import Calendar
from processes import run
from test_hub_papers import NOW, desk
from test_hub_web import Site, site
from test_hub_web_operations import FORM, inspector, send, with_sector

from hub.database import Pool
from hub.papers import open_data
from hub.papers.desk import PaperError
from hub.papers.making import Workshop
from hub.plan.figures import not_for_all
from hub.web import calendars
from hub.web.settings import WebSettings

__all__ = ["site"]  # a fixture


# --------------------------------------------------------------------------------------- calendar


async def subscribe(site: Site, login: str = "jaime") -> str:
    person = await site.person(login)
    answer = await send(person, "/operativos/calendario", equipo="mi teléfono")
    assert answer.headers["cache-control"] == "no-store"
    address = answer.text.partition('<code class="is-long">')[2].partition("</code>")[0]
    assert address.endswith(".ics"), answer.text
    return address.removeprefix(site.url)


async def test_a_phone_follows_the_agenda_by_a_secret_address(site: Site) -> None:
    await with_sector(site)
    chief = await site.person("jaime")
    now = site.clock.now()
    start = now + timedelta(days=3)
    hours = {"inicio": f"{start:%Y-%m-%dT%H:%M}", "fin": f"{start + timedelta(hours=3):%Y-%m-%dT%H:%M}"}
    await send(chief, "/operativos", **(FORM | hours))
    address = await subscribe(site)
    phone = site.stranger()
    answer = await phone.get(address)
    assert answer.headers["content-type"].startswith("text/calendar")
    assert [str(event["SUMMARY"]) for event in Calendar.from_ical(answer.content).walk("VEVENT")] == [
        "Feria y costanera"
    ]
    assert b"REFRESH-INTERVAL;VALUE=DURATION:PT1H" in answer.content
    secret = address.rsplit("/", 1)[1].removesuffix(".ics")
    kept = await site.pool.fetch("select row_to_json(k)::text as row from calendar_keys k")
    assert secret not in kept[0]["row"]
    assert secret not in (await chief.client.get("/operativos/calendario")).text
    for _ in range(3):
        await phone.get(address)
    assert len(await site.audited("calendar_read")) == 1  # once a day
    for wrong in (secret[:-1] + ("A" if secret[-1] != "A" else "B"), "x", "x" * 100):
        assert (await phone.get(f"/calendario/{wrong}.ics")).status_code == 404


async def test_an_address_ends_with_its_owner_its_date_or_by_hand(site: Site) -> None:
    address, phone = await subscribe(site), site.stranger()
    assert (await phone.get(address)).status_code == 200
    await site.pool.execute("update users set active = false where login = 'jaime'")
    assert (await phone.get(address)).status_code == 404
    await site.pool.execute("update users set active = true, role = 'tecnico' where login = 'jaime'")
    assert (await phone.get(address)).status_code == 404
    await site.pool.execute("update users set role = 'jefe_turno' where login = 'jaime'")
    assert (await phone.get(address)).status_code == 200
    street = await inspector(site)
    key = (await calendars.listed(site.pool, "jaime", site.clock.now()))[0].key_id
    assert (await send(street, f"/operativos/calendario/{key}/quitar")).status_code == 404
    assert (await phone.get(address)).status_code == 200
    chief = await site.person("jaime")
    assert (await send(chief, f"/operativos/calendario/{key}/quitar")).status_code == 200
    assert (await phone.get(address)).status_code == 404
    other = await subscribe(site)
    await site.pool.execute("update calendar_keys set expires_at = created_at")
    assert (await phone.get(other)).status_code == 404


async def test_addresses_are_few_and_have_a_name(site: Site) -> None:
    chief = await site.person("jaime")
    assert (await send(chief, "/operativos/calendario", equipo=" ")).status_code == 422
    for _ in range(calendars.MAX_KEYS):
        await subscribe(site)
    answer = await send(chief, "/operativos/calendario", equipo="otro")
    assert answer.status_code == 422
    assert "quite una" in answer.text


# -------------------------------------------------------------------------------------- open data


@pytest.mark.parametrize(
    ("counts", "hidden"),
    [
        ({"A": 9, "B": 7}, set()),
        ({"A": 9, "B": 7, "C": 4}, {"B", "C"}),
        ({"A": 9, "B": 3, "C": 0}, {"B", "C"}),
        ({"A": 9, "B": None, "C": 4}, {"A", "C"}),
        ({"A": 1}, {"A"}),
        ({}, set()),
    ],
)
def test_one_hole_alone_is_never_left(counts: dict[str, int | None], hidden: set[str]) -> None:
    assert not_for_all(counts) == hidden


OCTOBER = datetime(2026, 10, 5, 15, tzinfo=UTC)


async def commune(pool: Pool) -> None:
    """Three sectors; what must not count stands beside what must."""
    await pool.executemany(
        "insert into sectors (sector, name) values ($1, $2)",
        [("CENTRO", "Centro"), ("COSTA", "Borde costero"), ("ALTO", "Población Alta")],
    )
    rows: list[dict[str, object]] = []

    def add(count: int, **changes: object) -> None:
        rows.extend([changes] * count)

    add(9, sector="CENTRO", classification="INC.COMERCIO")
    add(7, sector="COSTA", classification="INC.RUIDOS")
    add(6, sector="ALTO", classification="INC.RUIDOS")
    add(8, sector="CENTRO", classification="DEL.ROBO_LUGAR")
    add(5, sector="COSTA", classification="DEL.ROBO_LUGAR")
    add(4, sector="ALTO", classification="DEL.ROBO_LUGAR")
    add(6, sector="CENTRO", classification="VIF.AGRESION")
    add(6, sector="CENTRO", classification="EMG.INCENDIO", is_reserved=True)
    add(6, sector="CENTRO", classification="EMG.INCENDIO", is_drill=True)
    add(6, sector="CENTRO", classification="EMG.INCENDIO", reason="false_alarm")
    add(6, sector="CENTRO", classification="EMG.INCENDIO", at=OCTOBER - timedelta(days=30))
    await pool.executemany(
        "insert into alerts (alert_id, code, kind, priority, state, dedup_key, summary, rule, happened_at,"
        " opened_at, last_event_at, closed_at, sector, classification, reason, is_reserved, is_drill)"
        " values (gen_random_uuid(), $1, 'community_alarm', 2, 'closed', $1, 's', 'r', $2, $2, $2, $2, $3,"
        " $4, $5, $6, $7)",
        [
            (
                f"A{number}",
                row.get("at", OCTOBER),
                row["sector"],
                row["classification"],
                row.get("reason", "attended"),
                row.get("is_reserved", False),
                row.get("is_drill", False),
            )
            for number, row in enumerate(rows)
        ],
    )


async def test_what_is_published_is_whole_small_counts_are_not_and_reserved_ones_never(pool: Pool) -> None:
    await commune(pool)
    at = desk(pool)
    found = await open_data.features(at, open_data.month_of(at, "2026-10"))
    told = {one["id"]: one["properties"]["hechos"] for one in found["features"]}
    assert {sector: of["Incivilidades"] for sector, of in told.items()} == {
        "ALTO": 6,
        "CENTRO": 9,
        "COSTA": 7,
    }
    # four in ALTO are too few, and the five beside them would be what the year's total leaves
    assert {sector: of["Delitos"] for sector, of in told.items()} == {
        "ALTO": None,
        "CENTRO": 8,
        "COSTA": None,
    }
    assert {of["Emergencias"] for of in told.values()} == {None}
    assert set(told["CENTRO"]) == {"Delitos", "Incivilidades", "Rural", "Emergencias", "Social"}
    for month in ("2026-11", "2020-01", "2026", "octubre"):
        with pytest.raises(PaperError):
            open_data.month_of(at, month)
    assert open_data.month_of(at, "").label == "2026-10"


async def test_it_is_published_only_where_the_commune_says_so(pool: Pool) -> None:
    await commune(pool)
    for publishes in (False, True):
        settings = WebSettings(commune="Los Aromos", publishes=publishes)
        running = Site(pool, VirtualClock(NOW), settings)
        running.workshop = Workshop(lambda now: desk(pool, as_of=now), running.clock)
        await running.start()
        try:
            anybody = running.stranger()
            answer = await anybody.get("/publico/sectores.geojson?mes=2026-10")
            if not publishes:
                assert answer.status_code == 404
                continue
            assert answer.headers["content-type"] == "application/geo+json"
            assert answer.headers["access-control-allow-origin"] == "*"
            assert "set-cookie" not in answer.headers
            assert answer.json()["mes"] == "2026-10"
            assert answer.content == (await anybody.get("/publico/sectores.geojson?mes=2026-10")).content
            wrong = await anybody.get("/publico/sectores.geojson?mes=2030-01")
            assert wrong.status_code == 422
        finally:
            for browser in running.browsers:
                await browser.aclose()
            await running.stop()


async def test_the_command_writes_the_file(dsn: str, pool: Pool, tmp_path: Path) -> None:
    await pool.execute("insert into sectors (sector, name) values ('COSTA', 'Borde costero')")
    out = tmp_path / "sectores.geojson"
    code, said = await run(
        "hub.cli", "papers", "public", "--out", str(out), "--database", dsn, "--data", str(tmp_path)
    )
    assert code == 0, said
    [one] = json.loads(out.read_text("utf-8"))["features"]
    assert one["properties"]["nombre"] == "Borde costero"
    assert set(one["properties"]["hechos"].values()) == {None}
    code, said = await run(
        "hub.cli",
        "papers",
        "public",
        "2020-01",
        "--out",
        str(out),
        "--database",
        dsn,
        "--data",
        str(tmp_path),
    )
    assert (code, "se publica por mes" in said) == (1, True)
