"""Replays a recorded series as if a sensor measured it now: for trials, drills and the demo.

The file has a header and two columns: ``offset_s`` (seconds from the start) or ``time`` (ISO 8601), then
``value``. Semicolons with decimal commas, as spreadsheets in Chile write them, are read too. A row that
cannot be used is logged with its line number and skipped.
"""

import asyncio
import bisect
import csv
import importlib.resources
import io
import logging
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from edge import contract
from edge.clock import Clock
from edge.contract import Measurement
from edge.drivers import Outlet

log = logging.getLogger(__name__)

_SHIPPED = "recordings"
_LOGGED_ROWS = 20
"""Bad rows that are logged one by one; of more, only the count."""


class ReplayError(Exception):
    """The series cannot be replayed; the message (Spanish) names the file and says what to change."""


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that was skipped; ``line`` counts from 1, the header included."""

    line: int
    problem: str


@dataclass(frozen=True, slots=True)
class Point:
    offset_s: float
    value: float


@dataclass(frozen=True, slots=True)
class Series:
    """At least one point, the first at offset 0, offsets rising."""

    points: tuple[Point, ...]

    @property
    def period_s(self) -> float:
        """One round: the last offset and a usual step more, so that a loop keeps its rhythm."""
        steps = [after.offset_s - before.offset_s for before, after in pairwise(self.points)]
        return self.points[-1].offset_s + (median(steps) if steps else 1.0)

    def value_at(self, offset_s: float) -> float:
        """The value at any moment, between two points in a straight line; rounds follow one another."""
        offset_s %= self.period_s
        index = bisect.bisect_right(self.points, offset_s, key=lambda point: point.offset_s)
        before = self.points[index - 1]
        after = self.points[index] if index < len(self.points) else Point(self.period_s, self.points[0].value)
        share = (offset_s - before.offset_s) / (after.offset_s - before.offset_s)
        return before.value + share * (after.value - before.value)


# ----------------------------------------------------------------------------------------- reading

_MomentReader = Callable[[str], float]
_PARSERS: dict[str, _MomentReader] = {
    "offset_s": lambda text: _number(text),
    "time": lambda text: _moment(text),
}


def parse_series(text: str) -> tuple[Series, list[BadRow]]:
    """The usable rows and the others; raises :class:`ReplayError` when the columns or all rows are wrong."""
    lines = text.splitlines()
    is_chilean = bool(lines) and ";" in lines[0]
    reader = csv.reader(io.StringIO(text), delimiter=";" if is_chilean else ",")
    header = [name.strip().lower() for name in next(reader, [])]
    moment = next((name for name in _PARSERS if name in header), None)
    if moment is None or "value" not in header:
        raise ReplayError("faltan las columnas: el encabezado debe decir offset_s,value o time,value")
    columns = (header.index(moment), header.index("value"))
    points: list[Point] = []
    bad: list[BadRow] = []
    for row in reader:
        if not any(cell.strip() for cell in row):
            continue
        try:
            points.append(_point(row, columns, _PARSERS[moment], is_chilean, points))
        except ValueError as error:
            bad.append(BadRow(reader.line_num, str(error)))
    if not points:
        raise ReplayError("no hay ninguna fila que se pueda usar")
    start_s = points[0].offset_s
    return Series(tuple(Point(point.offset_s - start_s, point.value) for point in points)), bad


def _point(
    row: list[str],
    columns: tuple[int, int],
    parse: _MomentReader,
    is_chilean: bool,
    before: list[Point],
) -> Point:
    if len(row) <= max(columns):
        raise ValueError(f"has {len(row)} columns, fewer than the header")
    moment, value = (row[index].replace(",", ".") if is_chilean else row[index] for index in columns)
    point = Point(parse(moment), _number(value))
    if before and point.offset_s <= before[-1].offset_s:
        raise ValueError("does not come after the row before")
    return point


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise ValueError(f"{text.strip()[:20]!r} is not a number") from None
    if not math.isfinite(value):
        raise ValueError(f"{text.strip()[:20]!r} is not a finite number")
    return value


def _moment(text: str) -> float:
    try:
        at = datetime.fromisoformat(text.strip())
    except ValueError:
        raise ValueError(f"{text.strip()[:30]!r} is not an ISO 8601 time") from None
    if at.tzinfo is None:
        raise ValueError(f"{text.strip()[:30]!r} has no time zone")
    return at.timestamp()


def find_recording(name: Path) -> Path:
    """The file itself, or one of those that come with the program; raises :class:`ReplayError`."""
    shipped = Path(str(importlib.resources.files("edge") / _SHIPPED / name.name))
    for path in (name, shipped) if name == Path(name.name) else (name,):
        if path.is_file():
            return path
    raise ReplayError(f"el archivo {name} no existe")


def read_series(name: Path) -> Series:
    """Read a file, logging the rows that are skipped; raises :class:`ReplayError`."""
    path = find_recording(name)
    try:
        series, bad = parse_series(path.read_text("utf-8-sig"))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ReplayError(f"el archivo {path} no se puede leer: {error}") from error
    except ReplayError as error:
        raise ReplayError(f"el archivo {path} no sirve: {error}") from None
    _log_bad(path, bad)
    return series


def _log_bad(path: Path, bad: Iterable[BadRow]) -> None:
    rows = list(bad)
    for row in rows[:_LOGGED_ROWS]:
        log.warning("%s line %d is skipped: %s", path.name, row.line, row.problem)
    if len(rows) > _LOGGED_ROWS:
        log.warning("%s: %d rows are skipped in all", path.name, len(rows))


# ------------------------------------------------------------------------------------------ driver


class Settings(BaseModel):
    """``speed`` 60 plays an hour in a minute; ``loop`` begins again at the end."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    driver: Literal["csv_replay"] = "csv_replay"
    device: str = Field(min_length=1)
    file: Path
    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    unit: str
    speed: float = Field(default=1.0, gt=0, le=1e6)
    loop: bool = False

    @field_validator("unit")
    @classmethod
    def _registered(cls, unit: str) -> str:
        if unit not in contract.UNITS:
            raise ValueError(f"{unit!r} no es una unidad de SenML; use por ejemplo m, Cel, %RH o /")
        return unit


class CsvReplay:
    """Driver of one series."""

    def __init__(self, settings: Settings, clock: Clock, series: Series) -> None:
        self._settings = settings
        self._clock = clock
        self._series = series
        self._name = f"{contract.device_urn(settings.device)}:{settings.name}"

    async def run(self, outlet: Outlet) -> None:
        """Play the series once, or for ever; each reading carries the time at which it is replayed."""
        start_ms = float(self._clock.boottime_ms())
        while True:
            for point in self._series.points:
                await self._until(start_ms + point.offset_s * 1000 / self._settings.speed)
                await outlet.measure([self._measurement(point)])
            if not self._settings.loop:
                log.info("the series of %s has been played", self._settings.device)
                return
            start_ms += self._series.period_s * 1000 / self._settings.speed

    async def _until(self, due_ms: float) -> None:
        wait_ms = due_ms - self._clock.boottime_ms()
        # A speed beyond what the disk takes must still let the other loops run.
        await (self._clock.sleep(wait_ms / 1000) if wait_ms > 0 else asyncio.sleep(0))

    def _measurement(self, point: Point) -> Measurement:
        # Milliseconds: finer times are not exact in the wire format.
        now_s = round(self._clock.wall().timestamp(), 3)
        return Measurement(name=self._name, time=now_s, unit=self._settings.unit, value=point.value)


def build(settings: Settings, clock: Clock) -> CsvReplay:
    """The driver as the agent starts it; raises :class:`ReplayError`."""
    return CsvReplay(settings, clock, read_series(settings.file))
