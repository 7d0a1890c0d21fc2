"""The history of the fictional commune, made and written into an empty database, step by step."""

import importlib.resources
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

from hub.alerts import catalogue
from hub.database import Pool
from hub.example_years import cases, equipment, operations, permits, readings, registers
from hub.example_years.commune import SECTORS, outline, seasons
from hub.example_years.rows import Rows
from hub.example_years.span import Span
from hub.hotspots import sheets
from hub.intake.partitions import ensure_event_partitions
from hub.operations.linking import Linking
from hub.plan import service
from hub.plan.facts import Asking
from hub.plan.loading import load_plan, load_topics
from hub.plan.model import Plan
from hub.plan.parameters import parameters_of
from hub.plan.periods import local_midnight, parse_period
from hub.plan.versions import Evidence, add_evidence, store

SEED = 20261126
AUTHOR = "ejemplo"
Progress = Callable[[str], Awaitable[None]]
"""Told what comes next, in Spanish."""

TABLES = (
    *("gateways", "devices", "device_state", "watch_groups", "contacts", "plan_population"),
    *("sectors", "seasons", "alerts", "alert_log", "notifications", "confirmations"),
    *("operations", "operation_log", "operation_institutions", "operation_points", "operation_tasks"),
    *("operation_counts", "inspections", "infringements", "seizures", "seizure_custody", "folio_counters"),
    *("council_sessions", "council_attendance", "council_agreements", "partnerships", "projects"),
    *("project_payments", "outreach", "referrals", "image_requests", "permits"),
)
"""In the order of their references."""


class ExampleError(Exception):
    """The example cannot be written; the message (Spanish) says what to do."""


@dataclass(frozen=True, slots=True)
class Written:
    devices: int
    alerts: int
    operations: int
    inspections: int
    events: int


async def silent(_next: str) -> None:
    """Nobody waits."""


async def write(
    pool: Pool, span: Span, *, seed: int = SEED, events: int = 0, progress: Progress = silent
) -> Written:
    """Fill an empty database; ``events`` is how many signals of devices stand behind the alerts at least.

    Raises :class:`ExampleError` where devices are in it already.
    """
    if await pool.fetchval("select exists (select from devices)"):
        raise ExampleError(
            "esta base ya tiene dispositivos; el ejemplo solo se escribe en una base vacía: use otra --data"
        )
    await progress("inventando dos años de casos y operativos")
    rows = make(span, seed)
    await progress(f"guardando {rows.count('alerts')} alertas")
    await rows.copy(pool, TABLES)
    await _number_on(pool)
    await progress("vinculando hechos y operativos")
    codes = parameters_of(catalogue.load())["code_of_kind"]
    await Linking(pool, lambda: codes).all(span.until)
    await sheets.refresh(pool, span.until, lambda: codes)
    await progress("guardando señales de los dispositivos")
    written = await _events(pool, span, events)
    await progress("guardando lecturas de las últimas semanas")
    await readings.write(pool, span.until, seed)
    await progress("cargando el plan y su evidencia")
    await _plan(pool, span)
    for table in (*TABLES, "events"):
        await pool.execute(f"analyze {table}")
    return Written(
        rows.count("devices"),
        rows.count("alerts"),
        rows.count("operations"),
        rows.count("inspections"),
        written,
    )


def make(span: Span, seed: int) -> Rows:
    """Everything but the signals and the plan; the same seed and span give the same rows."""
    rows = Rows()
    fleet = equipment.things(seed)
    equipment.register(rows, fleet, span, seed)
    neighbours = equipment.people(rows, span)
    _sectors(rows, span)
    held = operations.held(span, seed)
    found = cases.cases(span, held, seed)
    cases.record(rows, found, equipment.reporters(fleet), neighbours, span, seed)
    equipment.outages(rows, fleet, span, seed)
    operations.record(rows, held, seed)
    registers.record(rows, span, seed)
    permits.record(rows, span, seed)
    return rows


def _sectors(rows: Rows, span: Span) -> None:
    # those that are compared with come first: a row may refer to one above it
    for sector in sorted(SECTORS, key=lambda one: one.control != ""):
        rows.add(
            "sectors",
            sector=sector.id,
            name=sector.name,
            area=outline(sector),
            is_rural=sector.is_rural,
            control_for_effect=sector.control or None,
            source="ejemplo",
        )
    for season in seasons(span.first, span.end + timedelta(days=200)):
        rows.add(
            "seasons",
            season=season.id,
            name=season.name,
            starts_on=season.starts_on,
            ends_on=season.ends_on,
        )
    for sector in SECTORS:
        _population(
            rows,
            sector.id,
            "permanente",
            date(2024, 1, 1),
            date(2200, 12, 31),
            sector.residents,
            0,
            sector.is_rural,
        )
        for season in seasons(span.first, span.end) if sector.visitors else ():
            _population(
                rows,
                sector.id,
                season.id,
                season.starts_on,
                season.ends_on,
                0,
                sector.visitors,
                sector.is_rural,
            )


def _population(
    rows: Rows,
    sector: str,
    season: str,
    first: date,
    last: date,
    residents: int,
    visitors: int,
    is_rural: bool,
) -> None:
    rows.add(
        "plan_population",
        sector=sector,
        season=season,
        starts_on=first,
        ends_on=last,
        residents=residents,
        visitors=visitors,
        is_rural=is_rural,
        source="ejemplo",
    )


async def _number_on(pool: Pool) -> None:
    """What comes after the example has numbers of its own."""
    for table, column in (("devices", "device_id"), ("contacts", "contact_id")):
        await pool.execute(
            f"select setval(pg_get_serial_sequence('{table}', '{column}'), max({column})) from {table}"  # noqa: S608
        )


# Each alert of a device has its event; the others are signals that raised nothing, spread over devices and
# days by a hash, so that a million of them need no row of Python.
_OF_ALERTS = """
insert into events (id, device_id, gateway, type, happened_at, time_quality, received_at, digest)
select a.alert_id, a.device_id, a.gateway, a.kind, a.happened_at, 'device', a.opened_at, ''
from alerts a where a.device_id is not null and a.kind <> 'device_silent'
"""
_OTHERS = """
with spread as (
  select n, 1 + abs(hashint8extended(n, 1)) % $3::bigint as device_id,
    $1::timestamptz + ($2::timestamptz - $1::timestamptz) * (n::float8 / $4) as at
  from generate_series(1, $4::bigint) n
)
insert into events (id, device_id, gateway, type, happened_at, time_quality, received_at, digest)
select (lpad(to_hex((extract(epoch from s.at) * 1000)::bigint), 12, '0') || '7'
    || substr(md5(s.n::text), 1, 3) || '8' || substr(md5(s.n::text), 4, 15))::uuid,
  d.device_id, d.gateway, case d.kind when 'gate' then 'gate.opened' when 'camera' then 'camera.moved'
    else 'signal.seen' end, s.at, 'device', s.at + interval '1 second', ''
from spread s join devices d using (device_id)
"""


async def _events(pool: Pool, span: Span, events: int) -> int:
    await ensure_event_partitions(pool, span.first, math.ceil((span.end - span.first).days / 28) + 1)
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute(_OF_ALERTS)
        made: int = await connection.fetchval("select count(*) from events")
        more = max(0, events - made)
        if more:
            devices = await connection.fetchval("select max(device_id) from devices")
            await connection.execute(_OTHERS, span.since, span.until, devices, more, timeout=600)
    return made + more


# ---------------------------------------------------------------------------------------------- plan


def example_plan() -> Plan:
    text = (importlib.resources.files("hub.plan") / "examples" / "plan-ejemplo.yaml").read_text("utf-8")
    return load_plan(text, load_topics()).plan


async def _plan(pool: Pool, span: Span) -> None:
    """The plan of the first year and its yearly update, each from when it was approved; evidence monthly."""
    topics, plan = load_topics(), example_plan()
    first = replace(plan, update=1)
    await store(pool, first, topics, author=AUTHOR, now=span.since - timedelta(days=5))
    await store(pool, plan, topics, author=AUTHOR, now=span.since + (span.until - span.since) / 2)
    for activity in plan.activities():
        day = activity.starts_on
        while day < min(span.end, activity.ends_on):
            evidence = Evidence(activity.id, day, f"informe de {day:%m-%Y}", "", "", AUTHOR)
            await add_evidence(pool, plan, evidence, local_midnight(day + timedelta(days=2)))
            day = (day.replace(day=1) + timedelta(days=32)).replace(day=1)


def periods_of(span: Span, months: int) -> list[str]:
    """The newest months of the span, with the quarters and weeks that end in them."""
    end = span.end - timedelta(days=1)
    first = max(span.first, months_before(span.end, months))
    found: list[str] = []
    for day in span.days():
        if day < first:
            continue
        after = day + timedelta(days=1)
        if after.day == 1:
            found.append(f"{day:%Y-%m}")
            if day.month % 3 == 0:
                found.append(f"{day.year}-T{day.month // 3}")
        if after.weekday() == 0 and end - day < timedelta(weeks=9):
            year, week, _ = day.isocalendar()
            found.append(f"{year}-W{week:02}")
    return found


def months_before(day: date, count: int) -> date:
    """The first day of the month that lies ``count`` months back."""
    months = day.year * 12 + day.month - 1 - count
    return date(months // 12, months % 12 + 1, 1)


async def freeze(pool: Pool, labels: list[str], now: datetime, progress: Progress = silent) -> int:
    """Freeze the periods named; how many figures that gave."""
    topics, asking = load_topics(), Asking(as_of=now, parameters=parameters_of(catalogue.load()))
    for label in labels:
        await progress(f"congelando {label}")
        await service.freeze(pool, topics, parse_period(label), asking, author=AUTHOR)
    count: int = await pool.fetchval("select count(*) from plan_snapshots")
    return count
