"""An indicator's chart: frozen figures against baseline and target, and the running period apart."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from hub.plan import freezing
from hub.plan.computing import Datum, NoData
from hub.plan.facts import Asking
from hub.plan.figures import COUNT, shown
from hub.plan.freezing import Point
from hub.plan.lights import LABELS, light, target_of
from hub.plan.model import Indicator
from hub.plan.parameters import parameters_of
from hub.plan.periods import last_finished, last_periods, parse_period
from hub.web import planning
from hub.web.context import Console

PERIODS = 24


async def load_frozen(console: Console, plan_id: str, indicator_id: str) -> dict[str, object]:
    """Raises :class:`hub.web.problem.Problem` 404 for no such indicator."""
    _, indicator = await planning.find_indicator(console, plan_id, indicator_id)
    points = (await freezing.series(console.pool, plan_id, console.now(), PERIODS)).get(indicator.id, [])
    return frozen(indicator, points, console.now())


def frozen(indicator: Indicator, points: Sequence[Point], now: datetime) -> dict[str, object]:
    """Pure. Every finished period from the first frozen one on, those without a figure too."""
    known = {one.period: one.datum for one in points}
    bars: list[Mapping[str, object]] = []
    if points and indicator.period != "operativo":
        periods = last_periods(last_finished(indicator.period, now), PERIODS)
        labels = [one.label for one in periods]
        first = labels.index(points[0].period) if points[0].period in labels else 0
        bars = [bar(indicator, label, known.get(label)) for label in labels[first:]]
    return {
        "unit": "" if indicator.unit == COUNT else indicator.unit,
        "baseline": indicator.baseline.value if indicator.baseline else None,
        "bars": bars,
    }


def bar(indicator: Indicator, label: str, datum: Datum | None) -> Mapping[str, object]:
    """Pure. ``datum`` None: nobody froze that period."""
    year = parse_period(label).year
    found: dict[str, object] = {
        "period": label,
        "target": target_of(indicator, year),
        "value": None,
        "light": "",
    }
    if datum is None:
        return found | {"text": "sin congelar"}
    what = light(indicator, datum, year)
    value = None if isinstance(datum, NoData) else datum
    return found | {
        "value": value,
        "light": what.value,
        "text": f"{shown(datum, indicator.unit).rstrip('.')}. {LABELS[what]}",
    }


async def load_provisional(console: Console, plan_id: str, indicator_id: str) -> Mapping[str, object]:
    """The running period, up to now; empty for what is counted by operation."""
    of, indicator = await planning.find_indicator(console, plan_id, indicator_id)
    if indicator.period == "operativo":
        return {}
    now = console.now()
    asking = Asking(as_of=now, parameters=parameters_of(console.catalogue()))
    period, datum = await freezing.provisional(console.pool, of, indicator, asking)
    told = f"Provisoria {period.label}, hasta {console.wall.day(now)} {console.wall.clock(now)[:5]}"
    text = shown(datum, indicator.unit).rstrip(".")
    # half a month held against a month's target would shine green
    unrated = {"light": "", "text": f"{text}. No se califica hasta que termine"}
    return {
        **bar(indicator, period.label, datum),
        **unrated,
        "told": f"{told}: {text}. Cambia hasta que se congele.",
    }
