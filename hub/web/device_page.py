"""One device with its readings, silences and alerts over a period."""

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from hub.alerts.finding import SILENT_BUTTONS
from hub.alerts.lifecycle import STATE_LABELS
from hub.database.statement import numbered
from hub.devices import service
from hub.telemetry import Aggregate, Reading, TelemetryError, resolution_for
from hub.web import curves, texts
from hub.web.context import Console
from hub.web.curves import RESOLUTION_NAMES, Stretch
from hub.web.fleet import DeviceView, view_device
from hub.web.permissions import Permission
from hub.web.problem import Problem
from hub.web.users import User

MAX_SERIES = 12
MAX_BANDS = 200

# Reserved alerts are on no device's page: that they were here is what they hide.
_ALERTS = numbered("""
    select alert_id, code, kind, priority, state, opened_at, closed_at
    from alerts
    where device_id = :device_id and opened_at < :until and coalesce(closed_at, 'infinity') > :since
      and not is_reserved and kind not in ('duress', 'vif', 'device_silent')
    order by opened_at desc limit :limit
""")
# As dashboards and the plan's figures know silence: from the last sign of life to the next one.
_SILENCES = numbered("""
    select greatest(began_at, :since) as began_at, least(ended_at, :until) as ended_at, is_by_gateway
    from panels_base.outages
    where device_id = :device_id and opened_at < :until and began_at < :until
      and coalesce(ended_at, 'infinity') > greatest(began_at, :since)
    order by began_at desc limit :limit
""")


@dataclass(frozen=True, slots=True)
class Mark:
    """An alert of the device; ``ended_at`` None: it is open."""

    code: str
    label: str
    state_label: str
    priority: int
    path: str
    """Empty for who may not see alerts."""
    began_at: datetime
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class Silence:
    """``ended_at`` None: it lasts."""

    began_at: datetime
    ended_at: datetime | None
    is_by_gateway: bool


@dataclass(frozen=True, slots=True)
class Curve:
    """One quantity; figures are in ``unit`` as people read it."""

    name: str
    label: str
    unit: str
    newest: float | None
    newest_at: datetime
    columns: list[list[float | None]]
    table: Sequence[Stretch]
    rows: Sequence[Aggregate]


@dataclass(frozen=True, slots=True)
class DevicePage:
    device: DeviceView
    device_id: int
    period: str
    since: datetime
    until: datetime
    resolution_name: str
    has_range: bool
    """Each point stands for several readings: their lowest and highest are drawn, too."""
    curves: Sequence[Curve]
    more_series: int
    marks: Sequence[Mark]
    silences: Sequence[Silence]
    trouble: str
    """Why the store gave no readings; empty where it did."""


async def load(console: Console, user: User, device_id: int, period: str) -> DevicePage:
    """Raises :class:`Problem`: 404 for no device, 403 for one that is hidden, 422 for another period."""
    if period not in curves.PERIODS:
        raise Problem(422, errors={"periodo": f"use uno de: {', '.join(curves.PERIODS)}"})
    until = console.now()
    rows = await service.list_some(console.pool, [device_id], now=until)
    if not rows:
        raise Problem(404, "Ese dispositivo no existe.")
    row = rows[0]
    if row.kind in SILENT_BUTTONS:
        raise Problem(403, "La historia de un botón silencioso es reservada: no se muestra aquí.")
    since = until - curves.PERIODS[period][1]
    resolution = resolution_for(until - since)
    readings = [one for one in await console.telemetry.latest(console.pool, [device_id]) if one.text is None]
    drawn, trouble = readings[:MAX_SERIES], ""
    found: list[Curve] = []
    try:
        for reading in drawn:
            history = await console.telemetry.history(console.pool, reading.series, since, until)
            found.append(_curve(reading, history, since, until, row.silent_after_s))
    except TelemetryError as error:
        found, trouble = [], str(error)
    window = {"device_id": device_id, "since": since, "until": until, "limit": MAX_BANDS}
    return DevicePage(
        device=view_device(row),
        device_id=device_id,
        period=period,
        since=since,
        until=until,
        resolution_name=RESOLUTION_NAMES[resolution],
        has_range=bool(resolution.length),
        curves=found,
        more_series=len(readings) - len(drawn),
        marks=await _marks(console, user, window),
        silences=await _silences(console, window),
        trouble=trouble,
    )


def _curve(
    reading: Reading, rows: Sequence[Aggregate], since: datetime, until: datetime, silent_after_s: int
) -> Curve:
    length = resolution_for(until - since).length
    unit, factor = curves.unit_of(reading.series.unit)
    scaled = [scale(row, factor) for row in rows]
    pause = curves.longest_pause(scaled, length, silent_after_s)
    return Curve(
        name=reading.series.quantity,
        label=texts.named(curves.QUANTITIES, reading.series.quantity),
        unit=unit,
        newest=None if reading.value is None else reading.value * factor,
        newest_at=reading.at,
        columns=curves.broken(scaled, length, pause),
        table=curves.stretches(scaled, since, until),
        rows=scaled,
    )


def scale(row: Aggregate, factor: float) -> Aggregate:
    return Aggregate(row.at, row.n, row.sum * factor, row.min * factor, row.max * factor)


async def _marks(console: Console, user: User, window: dict[str, Any]) -> list[Mark]:
    may_open = user.may(Permission.SEE_ALERTS)
    rows = await console.pool.fetch(_ALERTS.sql, *_ALERTS.arguments(window))
    return [
        Mark(
            row["code"],
            texts.named(texts.KINDS, row["kind"]),
            STATE_LABELS[row["state"]],
            row["priority"],
            f"/alertas/{row['alert_id']}" if may_open else "",
            row["opened_at"],
            row["closed_at"],
        )
        for row in rows
    ]


async def _silences(console: Console, window: dict[str, Any]) -> list[Silence]:
    rows = await console.pool.fetch(_SILENCES.sql, *_SILENCES.arguments(window))
    return [Silence(*row) for row in rows]


def as_json(page: DevicePage) -> dict[str, object]:
    """What the chart draws. Instants are seconds since 1970."""
    return {
        "since": page.since.timestamp(),
        "until": page.until.timestamp(),
        "hasRange": page.has_range,
        "curves": [
            {"name": one.name, "label": one.label, "unit": one.unit, "columns": one.columns}
            for one in page.curves
        ],
        "silences": [_band(one.began_at, one.ended_at) for one in page.silences],
        "alerts": [
            {
                **_band(one.began_at, one.ended_at),
                "code": one.code,
                "label": one.label,
                "priority": one.priority,
            }
            for one in page.marks
        ],
    }


def _band(began_at: datetime, ended_at: datetime | None) -> dict[str, float | None]:
    return {"from": began_at.timestamp(), "to": ended_at.timestamp() if ended_at else None}


CSV_HEAD = ("fecha_hora", "fecha_hora_utc", "magnitud", "unidad", "lecturas", "promedio", "minimo", "maximo")


def as_csv(page: DevicePage, wall: texts.Wall) -> str:
    """Every point of every curve, the local time with its offset beside the universal one."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(CSV_HEAD)
    for one in page.curves:
        writer.writerows(_lines(one, wall))
    return text.getvalue()


def _lines(curve: Curve, wall: texts.Wall) -> Iterable[tuple[object, ...]]:
    name = curve.name if curve.name[:1].isalnum() else f"'{curve.name}"  # a sheet would run =, + or @
    for row in curve.rows:
        yield (
            wall.stamp(row.at),
            row.at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            name,
            curve.unit,
            row.n,
            f"{row.mean:.6g}",
            f"{row.min:.6g}",
            f"{row.max:.6g}",
        )
