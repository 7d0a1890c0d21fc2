"""What dashboards may read: the views of ``panels`` as the role ``grafana_ro`` sees them."""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import commune_history
import pytest
import pytest_asyncio

from hub.cli import main
from hub.database import Connection, DatabaseError, Pool
from hub.database.readers import ROLE, keep_reader
from hub.devices.words import DEVICE_KINDS
from hub.plan.parameters import SLA_S
from hub.web.texts import KINDS

PASSWORD = "una-clave-de-prueba{}'larga"
CANARY = "canarioreservado"
PHONE = "+56911112222"
VIEWS = {
    *("alerts", "devices", "outages", "camera_days", "texts", "reach", "transports", "indicators"),
    *("activities", "events_hourly", "telemetry_1m", "telemetry_1h", "telemetry_1d", "latest", "gateways"),
    *("sectors", "public_events"),
}
OPENED = datetime(2026, 10, 9, 12, tzinfo=UTC)


def _of(dsn: str, base: str) -> str:
    return f"{base.rpartition('/')[0]}/{dsn.rpartition('/')[2]}"


@pytest_asyncio.fixture
async def admin(dsn: str, postgres_dsn: str) -> AsyncIterator[Connection]:
    connection = await asyncpg.connect(_of(dsn, postgres_dsn))
    yield connection
    await connection.close()


@pytest_asyncio.fixture
async def reader(pool: Pool, dsn: str, admin: Connection) -> AsyncIterator[Connection]:
    """A real connection of the role to a commune's rows, with people and reserved cases among them."""
    await commune_history.fill(pool, alerts=300)
    await _canaries(pool)
    await keep_reader(admin, PASSWORD)
    connection = await asyncpg.connect(dsn, user=ROLE, password=PASSWORD)
    yield connection
    await connection.close()


async def _canaries(pool: Pool) -> None:
    """A silent button, a case classified as reserved, and a person: each with words to look for."""
    device = await pool.fetchval(
        "insert into devices (source, gateway, kind, name, place, sector, latitude, longitude) values"
        " ($1, 'gw-1', 'vif_button', $1, $1, $1, -34.123456, -72.123456) returning device_id",
        CANARY,
    )
    plain = await pool.fetchval(
        "insert into devices (source, gateway, kind, name, place, sector, latitude, longitude) values"
        " ($1, 'gw-1', 'panic_button', $1, $1, $1, -34.123456, -72.123456) returning device_id",
        CANARY + "2",
    )
    for number, (kind, is_reserved, source) in enumerate(
        (("vif", True, device), ("panic", True, plain), ("device_silent", False, device),
         ("panic", False, plain), ("duress", False, None))
    ):  # fmt: skip
        await pool.execute(
            "insert into alerts (alert_id, code, kind, priority, state, dedup_key, device_id, gateway, place,"
            " sector, latitude, longitude, summary, rule, happened_at, opened_at, last_event_at, is_reserved,"
            " acknowledged_by) values"
            " ($1, $2, $3, 1, 'received', $2, $4, 'gw-1', $5, $5, -34.123456, -72.123456, $5, 'r', $6, $6,"
            " $6, $7, $5)",
            *(uuid.UUID(int=number + 1), f"ZZ{number}", kind, source, CANARY, OPENED, is_reserved),
        )
    quantity = await pool.fetchval(
        "insert into quantities (name, unit) values ('battery', '/') returning quantity_id"
    )
    await pool.execute("insert into telemetry_latest values ($1, $2, $3, 0.5)", device, quantity, OPENED)
    await pool.execute("insert into telemetry_latest values (12, $1, $2, 0.5)", quantity, OPENED)
    for table in ("telemetry_1m", "telemetry_1h", "telemetry_1d"):
        await pool.execute(f"insert into {table} values ($1, $2, $3, 2, 1, 0, 1)", device, quantity, OPENED)
        await pool.execute(f"insert into {table} values (12, $1, $2, 2, 1, 0, 1)", quantity, OPENED)
    contact = await pool.fetchval(
        "insert into contacts (name, phone, watch_group) values ($1, $2, $1) returning contact_id",
        CANARY,
        PHONE,
    )
    await pool.execute(
        "insert into notifications (notification_id, alert_id, contact_id, recipient, priority, text, due_at,"
        " created_at, error) values ($1, $2, $3, $4, 1, $4, $5, $5, $4)",
        *(uuid.UUID(int=99), uuid.UUID(int=1), contact, CANARY, OPENED),
    )
    await pool.execute(
        "insert into users (login, name, role, password) values ($1, $1, 'operador', 'x')", CANARY
    )


async def _relations(connection: Connection, *schemas: str) -> list[str]:
    rows = await connection.fetch(
        "select format('%I.%I', n.nspname, c.relname) as name from pg_class c join pg_namespace n on n.oid ="
        " c.relnamespace where n.nspname = any($1) and c.relkind in ('r', 'v', 'p', 'm', 'S') order by 1",
        schemas,
    )
    return [row["name"] for row in rows]


async def test_the_role_reads_every_view_and_nothing_else(reader: Connection) -> None:
    views = await _relations(reader, "panels")
    assert {name.removeprefix("panels.") for name in views} >= VIEWS
    for name in views:
        await reader.fetch(f"select * from {name} limit 5")
    hidden = await _relations(reader, "public", "panels_base")
    assert len(hidden) > 40
    for name in hidden:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await reader.fetch(f"select * from {name} limit 1")
    assert await reader.fetchval("show statement_timeout") == "30s"


WRITES = (
    "create table panels.x (a int)",
    "create table public.x (a int)",
    "create temporary table x (a int)",
    "create function pg_temp.f(a text) returns text language sql as 'select 1::text'",
    "update panels.gateways set state = 'online'",
    "delete from panels.gateways",
    "create role another",
)


async def test_the_role_writes_nothing_even_where_it_turns_its_read_only_default_off(
    reader: Connection,
) -> None:
    with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
        await reader.execute(WRITES[0])
    await reader.execute("set default_transaction_read_only = off")
    for sql in WRITES:
        with pytest.raises((asyncpg.InsufficientPrivilegeError, asyncpg.ObjectNotInPrerequisiteStateError)):
            await reader.execute(sql)


async def test_nothing_reserved_and_nobody_is_in_any_view(reader: Connection, pool: Pool) -> None:
    for name in await _relations(reader, "panels"):
        rows = await reader.fetch(f"select t::text as row from {name} t")
        for word in (CANARY, PHONE, "34.123456", "72.123456", "Vecino", "+569"):
            assert not [row["row"] for row in rows if word in row["row"]], (name, word)
    reserved = await reader.fetch("select * from panels.alerts where code like 'ZZ%' order by code")
    assert [row["kind_name"] for row in reserved] == ["Atención reservada"] * 5
    for row in reserved:
        assert row["is_reserved"]
        assert [row[n] for n in ("place", "sector", "latitude", "longitude", "reason")] == [None] * 5
    hidden = await pool.fetchval("select count(*) from alerts where is_reserved or kind in ('vif', 'duress')")
    assert await reader.fetchval("select count(*) from panels.alerts where is_reserved") == hidden + 2
    assert await reader.fetchval("select count(*) from panels.telemetry_1m") == 1


async def test_the_figures_of_the_views_are_those_of_the_tables(reader: Connection, pool: Pool) -> None:
    assert await reader.fetchval("select count(*) from panels.alerts") == await pool.fetchval(
        "select count(*) from alerts"
    )
    for priority, seconds in SLA_S.items():
        found = await reader.fetchval(
            "select distinct ack_target_s from panels.alerts where priority = $1", priority
        )
        assert found == seconds
    small = await reader.fetch("select n from panels.public_events")
    assert small
    assert all(row["n"] is None or row["n"] >= 5 for row in small)
    days = await reader.fetch("select * from panels.camera_days")
    assert days
    assert all(-1e-6 <= row["signal_min"] <= row["required_min"] + 1e-6 for row in days)
    assert any(row["signal_min"] < row["required_min"] for row in days)


async def test_the_words_of_the_views_are_those_of_the_console(pool: Pool) -> None:
    for kind, name in KINDS.items():
        assert await pool.fetchval("select panels_base.kind_name($1)", kind) == name
    for kind, name in DEVICE_KINDS.items():
        assert await pool.fetchval("select panels_base.device_kind_name($1)", kind) == name


def _indexes(plan: Any) -> set[str]:
    found = {plan["Index Name"]} if "Index Name" in plan else set()
    return found.union(*(_indexes(child) for child in plan.get("Plans", [])))


MANY = {
    "alerts (alert_id, code, kind, priority, state, dedup_key, summary, rule, happened_at, opened_at,"
    " last_event_at, closed_at)": "gen_random_uuid(), 'M' || n, 'panic', 2, 'closed', 'm' || n, 's', 'r', t,"
    " t, t, t",
    "notifications (notification_id, recipient, priority, text, due_at, created_at, state)": (
        "gen_random_uuid(), 'turno', 2, 't', t, t, 'sent'"
    ),
    "events (id, device_id, gateway, type, happened_at, time_quality, received_at, digest)": (
        "gen_random_uuid(), 12, 'gw-1', 'x', t, 'device', t, ''"
    ),
    "telemetry_1m": "12, 1, t, 1, 1, 1, 1",
    "telemetry_1h": "12, 1, t, 1, 1, 1, 1",
}
"""Table and columns, and the values of row ``n`` at ``t``."""


async def test_a_time_filter_uses_an_index_among_100_000_rows(reader: Connection, pool: Pool) -> None:
    for into, values in MANY.items():
        await pool.execute(
            f"insert into {into} select {values} from generate_series(1, 100000) n,"
            " lateral (select timestamptz '2026-01-01Z' + n * interval '2 minutes' as t) x"
        )
    await pool.execute("analyze")
    for view, column, indexes in (
        ("alerts", "opened_at", {"alerts_opened"}),
        ("reach", "opened_at", {"alerts_opened"}),
        ("texts", "created_at", {"notifications_created"}),
        ("events_hourly", "at", {"events_default_date_bin_idx"}),
        ("telemetry_1m", "at", {"telemetry_1m_default_at_idx", "telemetry_1m_default_pkey"}),
        ("telemetry_1h", "at", {"telemetry_1h_at", "telemetry_1h_pkey"}),
    ):
        sql = f"select * from panels.{view} where {column} between '2026-03-01Z' and '2026-03-02Z'"
        plan = await pool.fetchval("explain (format json) " + sql)

        found = _indexes(json.loads(plan)[0]["Plan"])
        assert indexes & found, (view, found)


async def test_a_short_password_is_refused_and_running_again_changes_it(
    reader: Connection, admin: Connection, dsn: str
) -> None:
    with pytest.raises(DatabaseError, match="menos de 12"):
        await keep_reader(admin, "corta")
    assert not await keep_reader(admin, "otra-clave-larga")
    again = await asyncpg.connect(dsn, user=ROLE, password="otra-clave-larga")
    assert await again.fetchval("select count(*) from panels.gateways") == 1
    await again.close()
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(dsn, user=ROLE, password=PASSWORD)


async def test_the_command_makes_the_role_from_a_password_file(
    pool: Pool, dsn: str, postgres_dsn: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "clave"
    file.write_text(PASSWORD + "\n", "utf-8")
    options = ["--password-file", str(file), "--database", dsn, "--data", str(tmp_path)]
    argv = ["dashboards", "role", *options, "--admin", _of(dsn, postgres_dsn)]
    assert await asyncio.to_thread(main, argv) == 0
    assert "lee las vistas de panels y nada más" in capsys.readouterr().out
    connection = await asyncpg.connect(dsn, user=ROLE, password=PASSWORD)
    assert await connection.fetch("select * from panels.gateways") == []
    await connection.close()
    assert await asyncio.to_thread(main, [*argv[:-2], "--admin", dsn]) == 1
    assert "indique en --admin la de un administrador" in capsys.readouterr().err
