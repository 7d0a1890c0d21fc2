"""Rollups in InfluxDB by our own loop: asked for in InfluxQL, written back as lines.

Tasks inside of the server speak Flux, which version 3 has dropped. What is computed twice overwrites itself.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from hub.telemetry import Aggregate, Resolution, slots
from hub.telemetry.influx.lines import instant, milliseconds, rollup
from hub.telemetry.influx.server import AnswerSeries, InfluxServer

_OF_READINGS = 'count("value") as "n", sum("value") as "sum", min("value") as "min", max("value") as "max"'
_OF_ROLLUPS = 'sum("n") as "n", sum("sum") as "sum", min("min") as "min", max("max") as "max"'


@dataclass(frozen=True)
class _Step:
    """``portion`` is asked for at once: for 1,000 devices an answer stays below some 100,000 rows."""

    source: Resolution
    fields: str
    result: Resolution
    portion: timedelta


_STEPS = (
    _Step(Resolution.RAW, _OF_READINGS, Resolution.MINUTE, timedelta(hours=1)),
    _Step(Resolution.MINUTE, _OF_ROLLUPS, Resolution.HOUR, timedelta(days=2)),
    _Step(Resolution.HOUR, _OF_ROLLUPS, Resolution.DAY, timedelta(days=60)),
)


async def refresh(server: InfluxServer, changed: Sequence[datetime]) -> None:
    """Compute the minutes, hours and days anew that these slots belong to."""
    for step in _STEPS:
        for span in slots.spans(changed, step.result.length):
            for start, end in _portions(*span, step.portion):
                await _refresh(server, step, start, end)


def _portions(start: datetime, end: datetime, portion: timedelta) -> Iterator[tuple[datetime, datetime]]:
    while start < end:
        yield start, min(start + portion, end)
        start += portion


async def _refresh(server: InfluxServer, step: _Step, start: datetime, end: datetime) -> None:
    answer = await server.query(
        f"select {step.fields} from {server.table(step.source)}"  # noqa: S608 - names of ours, and numbers
        f" where time >= {milliseconds(start)}ms and time < {milliseconds(end)}ms"
        f' group by time({step.result.value}), "device", "quantity", "unit" fill(none)'
    )
    lines = [rollup(series.tags, row) for series in answer for row in aggregates(series)]
    if lines:
        await server.write(step.result, "\n".join(lines).encode())


def aggregates(series: AnswerSeries) -> Iterator[Aggregate]:
    """Rows of ``time, n, sum, min, max``."""
    for ms, n, total, low, high in series.values:
        yield Aggregate(instant(ms), int(n), float(total), float(low), float(high))
