"""The safety plan as the console shows it: objectives, activities with their evidence, indicators."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

import msgspec

from hub.plan import freezing, service, versions
from hub.plan.computing import Datum, NoData
from hub.plan.figures import PER_OPERATION, decimal, shown
from hub.plan.formula import aggregates
from hub.plan.freezing import LIBRARY, Point, Set, Snapshot, Verification
from hub.plan.lights import LABELS, Light, light, target_of
from hub.plan.measures import VOCABULARY
from hub.plan.model import Activity, Indicator, Plan, Topics
from hub.plan.periods import SANTIAGO, last_finished, last_periods, parse_period
from hub.plan.vocabulary import Measure
from hub.plan.words import in_words
from hub.web.context import Console
from hub.web.problem import Problem
from hub.web.sparks import Spark, spark

PERIODS = 12
MAX_IDS = 50


@dataclass(frozen=True, slots=True)
class Card:
    """One indicator in a list; ``period`` is that of the newest frozen figure, perhaps none."""

    plan_id: str
    id: str
    name: str
    value: str
    reason: str
    """Why there is no figure; empty where there is one."""
    light: str
    light_label: str
    baseline: str
    target: str
    period: str
    spark: Spark
    is_neutral: bool


@dataclass(frozen=True, slots=True)
class ActivityView:
    id: str
    name: str
    span: str
    responsible: str
    budget: str
    state: str
    state_label: str


@dataclass(frozen=True, slots=True)
class ObjectiveView:
    id: str
    goal: str
    problem: str
    topics: str
    activities: Sequence[ActivityView]
    cards: Sequence[Card]


@dataclass(frozen=True, slots=True)
class Board:
    """``plan`` None: nobody has loaded one; the ready indicators are there all the same."""

    plan: Plan | None
    topics_version: str
    objectives: Sequence[ObjectiveView]
    ready: Sequence[Card]
    counts: Mapping[str, int]
    missing_evidence: int


@dataclass(frozen=True, slots=True)
class Source:
    measure: Measure
    query: str


@dataclass(frozen=True, slots=True)
class FrozenLine:
    snapshot_id: int
    period: str
    revision: int
    value: str
    reason: str
    frozen_at: datetime
    author: str
    why: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Detail:
    card: Card
    indicator: Indicator
    words: str
    sources: Sequence[Source]
    frozen: Sequence[FrozenLine]


async def load_board(console: Console) -> Board:
    now, topics = console.now(), console.topics()
    version = await versions.current(console.pool, topics, now)
    ready = await _cards(console, Set(LIBRARY, 0, service.library()))
    if version is None:
        return Board(None, topics.version, [], list(ready.values()), Counter(), 0)
    plan = version.plan
    cards = await _cards(console, Set(plan.id, plan.update, tuple(plan.indicators())))
    proven = Counter(one.activity for one in await versions.evidence_of(console.pool, plan.id))
    today = now.astimezone(SANTIAGO).date()
    objectives = [
        ObjectiveView(
            one.id,
            one.goal,
            one.problem,
            _topics_text(one.topics, topics),
            [activity_view(a, proven[a.id], today) for part in one.components for a in part.activities],
            [cards[indicator.id] for indicator in one.indicators],
        )
        for one in plan.objectives
    ]
    missing = sum(a.state == "missing" for one in objectives for a in one.activities)
    counts = Counter(card.light for card in cards.values())
    return Board(plan, version.topics, objectives, list(ready.values()), counts, missing)


def _topics_text(codes: Iterable[str], topics: Topics) -> str:
    return "; ".join(f"{code}) {topics.names.get(code, 'materia de otra versión')}" for code in codes)


def activity_view(activity: Activity, proven: int, today: date) -> ActivityView:
    """Pure. An activity that has begun and proves nothing is what an auditor asks for first."""
    state, label = "later", "Aún no empieza"
    if proven:
        state, label = "proven", f"{proven} {'evidencia' if proven == 1 else 'evidencias'}"
    elif activity.starts_on <= today:
        state, label = "missing", "Falta evidencia"
    budget = f"$ {decimal(activity.budget_clp)} ({activity.fund})" if activity.budget_clp else activity.fund
    span = f"{activity.starts_on:%d-%m-%Y} a {activity.ends_on:%d-%m-%Y}"
    who = ", ".join((activity.responsible, *activity.co_responsible))
    return ActivityView(activity.id, activity.name, span, who, budget, state, label)


async def _cards(console: Console, of: Set) -> dict[str, Card]:
    points = await freezing.series(console.pool, of.plan_id, console.now(), PERIODS)
    return {one.id: card(of.plan_id, one, points.get(one.id, []), console.now()) for one in of.indicators}


def card(plan_id: str, indicator: Indicator, points: Sequence[Point], now: datetime) -> Card:
    """Pure. Periods that nobody froze are gaps in the line."""
    newest = points[-1] if points else None
    datum: Datum = newest.datum if newest else NoData(_why_none(indicator))
    year = parse_period(newest.period).year if newest else now.astimezone(SANTIAGO).year
    target = target_of(indicator, year)
    found = light(indicator, datum, year)
    baseline = indicator.baseline
    return Card(
        plan_id=plan_id,
        id=indicator.id,
        name=indicator.name,
        value="sin dato" if isinstance(datum, NoData) else shown(datum, indicator.unit),
        reason=datum.reason if isinstance(datum, NoData) else "",
        light=found.value,
        light_label=LABELS[found],
        baseline=_baseline_text(baseline.value, baseline.year) if baseline else "",
        target=f"{decimal(target)} en {year}" if target is not None else "",
        period=newest.period if newest else "",
        spark=spark(_values(indicator, points, now), target),
        is_neutral=found is Light.NO_TARGET,
    )


def _why_none(indicator: Indicator) -> str:
    is_by_operation = indicator.period == "operativo"
    return PER_OPERATION if is_by_operation else "aún no se ha congelado ningún período"


def _baseline_text(value: float | None, year: int) -> str:
    return f"por medir en {year}" if value is None else f"{decimal(value)} en {year}"


def _values(indicator: Indicator, points: Sequence[Point], now: datetime) -> list[float | None]:
    known = {one.period: one.datum for one in points if not isinstance(one.datum, NoData)}
    if indicator.period == "operativo":
        return []
    return [known.get(one.label) for one in last_periods(last_finished(indicator.period, now), PERIODS)]


# --------------------------------------------------------------------------------------- one indicator


async def find_indicator(console: Console, plan_id: str, indicator_id: str) -> tuple[Set, Indicator]:
    """Raises :class:`Problem` 404 for an indicator that neither the plan nor the hub has."""
    for of in await service.sets(console.pool, console.topics(), console.now()):
        for one in of.indicators:
            if (of.plan_id, one.id) == (plan_id, indicator_id):
                return of, one
    raise Problem(404, "Ese indicador no existe en el plan vigente.")


async def load_detail(console: Console, plan_id: str, indicator_id: str) -> Detail:
    """As :func:`find_indicator`."""
    return await _detail(console, *await find_indicator(console, plan_id, indicator_id))


async def _detail(console: Console, of: Set, indicator: Indicator) -> Detail:
    cards = await _cards(console, Set(of.plan_id, of.update, [indicator]))
    frozen = await freezing.snapshots_of(console.pool, of.plan_id, indicator.id)
    names = dict.fromkeys(part.measure for part in aggregates(indicator.checked.node))
    sources = [Source(VOCABULARY[name], VOCABULARY[name].sql.strip()) for name in names]
    node = indicator.checked.node
    lines = [frozen_line(one, indicator.unit) for one in frozen]
    return Detail(cards[indicator.id], indicator, in_words(node), sources, lines)


def frozen_line(one: Snapshot, unit: str) -> FrozenLine:
    has_none = isinstance(one.datum, NoData)
    return FrozenLine(
        one.snapshot_id,
        one.period,
        one.revision,
        "sin dato" if has_none else shown(one.datum, unit),
        one.datum.reason if isinstance(one.datum, NoData) else "",
        one.frozen_at,
        one.author,
        one.reason,
        one.sha256,
    )


@dataclass(frozen=True, slots=True)
class Checked:
    """What a verification found, with the ids of the rows behind the frozen figure."""

    found: Verification
    line: FrozenLine
    name: str
    rows: Mapping[str, Sequence[str]]
    counts: Mapping[str, int]


async def check(console: Console, snapshot_id: int) -> Checked:
    """Raises :class:`hub.plan.errors.PlanError` where it cannot be verified at all."""
    found = await service.verify(console.pool, console.topics(), snapshot_id)
    document = msgspec.json.decode(found.snapshot.document)
    rows = await freezing.rows_behind(console.pool, found.snapshot)
    return Checked(
        found,
        frozen_line(found.snapshot, document.get("unit", "")),
        document.get("name", ""),
        {name: ids[:MAX_IDS] for name, ids in rows.items()},
        {name: len(ids) for name, ids in rows.items()},
    )
