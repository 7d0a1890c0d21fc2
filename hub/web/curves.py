"""Readings as lines that break where nothing came. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from statistics import median

from hub.telemetry import Aggregate, Resolution

PERIODS: dict[str, tuple[str, timedelta]] = {
    "6h": ("6 horas", timedelta(hours=6)),
    "24h": ("24 horas", timedelta(hours=24)),
    "7d": ("7 días", timedelta(days=7)),
    "30d": ("30 días", timedelta(days=30)),
    "1a": ("1 año", timedelta(days=365)),
}
"""What the page offers; the store chooses the resolution by the length (:func:`resolution_for`)."""
DEFAULT_PERIOD = "24h"

RESOLUTION_NAMES: dict[Resolution, str] = {
    Resolution.RAW: "cada lectura",
    Resolution.MINUTE: "por minuto",
    Resolution.HOUR: "por hora",
    Resolution.DAY: "por día",
}

# SenML (RFC 8428) → (what people read, what a value is multiplied by)
_UNITS: dict[str, tuple[str, float]] = {
    "Cel": ("°C", 1.0),
    "/": ("%", 100.0),
    "%RH": ("% HR", 1.0),
    "%EL": ("%", 1.0),
    "%": ("%", 1.0),
    "count": ("", 1.0),
    "lx": ("lux", 1.0),
    "Pa": ("hPa", 0.01),
    "deg": ("°", 1.0),
    "1/s": ("por segundo", 1.0),
    "1/min": ("por minuto", 1.0),
}

QUANTITIES: dict[str, str] = {
    "battery": "Batería",
    "battery_v": "Tensión de la batería",
    "cpu_temperature": "Temperatura del procesador",
    "current": "Corriente",
    "disk_free": "Disco libre",
    "flow": "Caudal",
    "humidity": "Humedad",
    "level": "Nivel",
    "power": "Potencia",
    "pressure": "Presión",
    "queue_bytes": "Cola por enviar",
    "rain": "Lluvia",
    "rssi": "Señal de radio",
    "signal": "Señal",
    "smoke": "Humo",
    "temperature": "Temperatura",
    "tilt": "Inclinación",
    "uptime": "Tiempo encendido",
    "voltage": "Tensión",
    "wind": "Viento",
    "wind_speed": "Viento",
}

_FEW = 8
"""With fewer intervals than this their middle says nothing about how often a device speaks."""
_LATE = 3.0
"""A reading is missing when it is this many times later than usual."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """One line of the table. ``n`` 0: nothing came, and there is no figure."""

    since: datetime
    until: datetime
    n: int
    mean: float | None
    low: float | None
    high: float | None


def unit_of(unit: str) -> tuple[str, float]:
    """The unit that people read, and the factor from the stored one."""
    return _UNITS.get(unit, (unit, 1.0))


def longest_pause(rows: Sequence[Aggregate], length: timedelta, silent_after_s: int) -> timedelta:
    """How far two neighbours may lie apart and still be joined: as the device usually speaks, and never less
    than the silence that the registry allows it."""
    least = max(2 * length, timedelta(seconds=silent_after_s))
    pauses = [(after.at - before.at).total_seconds() for before, after in pairwise(rows)]
    if len(pauses) < _FEW:
        return least
    return max(least, timedelta(seconds=_LATE * median(pauses)))


def broken(rows: Sequence[Aggregate], length: timedelta, pause: timedelta) -> list[list[float | None]]:
    """Columns for a chart: seconds since 1970, mean, lowest, highest.

    A stretch stands at its middle. Where nothing came for longer than ``pause`` there is a point without a
    value, at which the line ends.
    """
    half = length / 2
    columns: list[list[float | None]] = [[], [], [], []]
    for index, row in enumerate(rows):
        if index and row.at - rows[index - 1].at > pause:
            gap_at = (rows[index - 1].at + half + (row.at - rows[index - 1].at) / 2).timestamp()
            _append(columns, gap_at, None, None, None)
        _append(columns, (row.at + half).timestamp(), row.mean, row.min, row.max)
    return columns


def _append(columns: list[list[float | None]], *values: float | None) -> None:
    for column, value in zip(columns, values, strict=True):
        column.append(value)


def stretches(rows: Sequence[Aggregate], since: datetime, until: datetime, count: int = 48) -> list[Stretch]:
    """The same readings as ``count`` lines of equal length, those without any too; the newest first."""
    step = (until - since) / count
    groups: list[list[Aggregate]] = [[] for _ in range(count)]
    for row in rows:
        groups[min(count - 1, max(0, int((row.at - since) / step)))].append(row)
    lines = [_stretch(group, since + i * step, since + (i + 1) * step) for i, group in enumerate(groups)]
    return lines[::-1]


def _stretch(group: Sequence[Aggregate], since: datetime, until: datetime) -> Stretch:
    n = sum(row.n for row in group)
    if not n:
        return Stretch(since, until, 0, None, None, None)
    mean = sum(row.sum for row in group) / n
    return Stretch(since, until, n, mean, min(row.min for row in group), max(row.max for row in group))
