"""Indicators as documents show them: the frozen figure and its number, or a provisional one that says so."""

from collections.abc import Sequence
from dataclasses import dataclass

from hub.papers import charts
from hub.papers.desk import Desk
from hub.papers.paper import Cell, Chart, Column, KeyFigure, Table, number, table
from hub.plan import freezing, service
from hub.plan.computing import Datum, NoData
from hub.plan.freezing import Point, Set
from hub.plan.lights import LABELS, Light, light, target_of
from hub.plan.model import Indicator
from hub.plan.periods import Period, last_finished, last_periods

PERIODS = 13
LIGHTS = {
    Light.MET: "good",
    Light.ON_ITS_WAY: "fair",
    Light.BEHIND: "bad",
    Light.NO_TARGET: "plain",
    Light.NO_DATA: "plain",
}


@dataclass(frozen=True, slots=True)
class Standing:
    """One indicator at the newest period that was over; ``snapshot_id`` None: nobody froze it yet."""

    plan_id: str
    indicator: Indicator
    period: Period
    datum: Datum
    snapshot_id: int | None
    points: Sequence[Point]

    @property
    def target(self) -> float | None:
        return target_of(self.indicator, self.period.year)

    @property
    def light(self) -> Light:
        return light(self.indicator, self.datum, self.period.year)


async def standings(desk: Desk, at: Period) -> list[list[Standing]]:
    """Of the plan in force, if any, then of the ready indicators: each at the end of ``at``.

    An indicator of another kind of period stands at the last one of its own that is over by then.
    """
    found = []
    for of in await service.sets(desk.pool, desk.topics, at.until):
        found.append(await _standings(desk, of, at))
    return found


async def _standings(desk: Desk, of: Set, at: Period) -> list[Standing]:
    points = await freezing.series(desk.pool, of.plan_id, at.until, PERIODS)
    found: dict[str, Standing] = {}
    missing: dict[str, list[Indicator]] = {}
    for one in of.indicators:
        if one.period == "operativo":
            continue
        period = last_finished(one.period, at.until)
        series = points.get(one.id, [])
        frozen = next((point for point in series if point.period == period.label), None)
        if frozen:
            found[one.id] = Standing(of.plan_id, one, period, frozen.datum, frozen.snapshot_id, series)
        else:
            missing.setdefault(one.period, []).append(one)
    for kind in missing:
        period = last_finished(kind, at.until)
        figures, _ = await freezing.compute_period(desk.pool, of.of_kind(kind), period, desk.asking)
        for one in missing[kind]:
            series = points.get(one.id, [])
            found[one.id] = Standing(of.plan_id, one, period, figures[one.id].datum, None, series)
    return [found[one.id] for one in of.indicators if one.id in found]


_COLUMNS = (
    Column("Indicador", width=3.6),
    Column("Período", width=1.1),
    Column("Cifra", is_number=True, width=1.3),
    Column("Unidad", width=1.2),
    Column("Línea base", is_number=True, width=1.1),
    Column("Meta", is_number=True, width=1.0),
    Column("Situación", width=2.1),
    Column("N.º congelado", is_number=True, width=1.0),
)
_NOTE = (
    "Cada cifra congelada se recalcula desde los datos con «almenara-hub plan verify NÚMERO» y debe dar lo"
    " mismo. Las que no tienen número son provisionales."
)


def standings_table(caption: str, rows: Sequence[Standing]) -> Table:
    lines = [_line(one) for one in rows]
    lights = [LIGHTS[one.light] for one in rows]
    return table(caption, _COLUMNS, lines, lights=lights, note=_NOTE)


def _line(one: Standing) -> list[Cell]:
    indicator = one.indicator
    baseline = indicator.baseline.value if indicator.baseline else None
    situation = f"Sin dato: {one.datum.reason}" if isinstance(one.datum, NoData) else LABELS[one.light]
    return [
        f"{indicator.id} {indicator.name}",
        one.period.label,
        None if isinstance(one.datum, NoData) else number(one.datum, _decimals(one.datum)),
        "" if indicator.unit == "n" else indicator.unit,
        "—" if baseline is None else number(baseline, _decimals(baseline)),
        "—" if one.target is None else number(one.target, _decimals(one.target)),
        situation,
        "—" if one.snapshot_id is None else str(one.snapshot_id),
    ]


def _decimals(value: Datum) -> int:
    if isinstance(value, NoData):
        return 0
    return 0 if abs(value) >= 100 or float(value).is_integer() else 1 if abs(value) >= 10 else 2


def key_figure(one: Standing) -> KeyFigure:
    unit = "" if one.indicator.unit == "n" else f" {one.indicator.unit}"
    value = "sin dato" if isinstance(one.datum, NoData) else number(one.datum, _decimals(one.datum)) + unit
    target = f"meta {number(one.target, _decimals(one.target))}{unit}" if one.target is not None else ""
    return KeyFigure(one.indicator.name, value, target or LABELS[one.light], LIGHTS[one.light])


def history(one: Standing) -> Chart | None:
    """The frozen figures of the last periods as a line; None with fewer than two of them."""
    known = {point.period: point.datum for point in one.points if not isinstance(point.datum, NoData)}
    periods = last_periods(one.period, PERIODS)
    values = [known.get(period.label) for period in periods]
    there = [value for value in values if value is not None]
    if len(there) < 2:
        return None
    drawn = charts.lines([period.label for period in periods], [charts.Series("Cifra", values)], one.target)
    unit = "" if one.indicator.unit == "n" else f" {one.indicator.unit}"
    ends = f"de {number(there[0], 1)} a {number(there[-1], 1)}{unit}"
    words = f"{one.indicator.name}: {len(there)} períodos con dato, {ends}."
    return Chart(f"{one.indicator.id} {one.indicator.name}", words, drawn)
