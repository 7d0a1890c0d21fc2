"""Rules that are well written and still can never happen, or that say something nobody looks at. Pure."""

from collections.abc import Callable, Iterable, Iterator
from datetime import date, time, timedelta
from functools import lru_cache

from hub.rules.condition import Condition
from hub.rules.model import By, Rule
from hub.rules.operators.absence import Absence
from hub.rules.operators.count import Count
from hub.rules.operators.geofence import Geofence
from hub.rules.operators.quorum import Quorum
from hub.rules.operators.rate import Rate
from hub.rules.schedule import Schedule, Window, is_holiday, is_in_season
from hub.rules.zones import Circle

Nonsense = tuple[str, str]
"""(key of the rule that is wrong, what is wrong and what to do, in Spanish)."""

_FIRST, _YEARS = date(2024, 1, 1), 28
"""In 28 years every date has been every day of the week."""


def nonsense(rule: Rule) -> Iterator[Nonsense]:
    """Everything about ``rule`` that cannot be meant like this."""
    for check in _CHECKS:
        yield from check(rule)


def _alone(rule: Rule) -> Iterator[Nonsense]:
    is_several = isinstance(rule.operator, Quorum) or (
        isinstance(rule.operator, Count) and rule.operator.is_by_devices
    )
    if is_several and rule.by is By.DEVICE:
        yield (
            "when",
            "pide varios dispositivos y mira uno solo: no avisa nunca; agregue «by: sector»",
        )


def _far_edge(rule: Rule) -> Iterator[Nonsense]:
    operator = rule.operator
    if not isinstance(operator, Geofence) or not isinstance(operator.zone, Circle) or operator.is_outside:
        return
    if operator.margin_m >= operator.zone.radius_m:
        yield "when", "«margin_m» es mayor que el radio: nadie puede estar tan adentro; achíquelo"


def _unheard(rule: Rule) -> Iterator[Nonsense]:
    if not isinstance(rule.operator, Absence):
        return
    advice = "; para otra prioridad a ciertas horas use «raise» con «during»"
    if rule.condition is not None:
        yield "if", "un silencio no trae mensaje que mirar: quite «if»" + advice
    if rule.during is not None:
        yield "during", "un silencio se espera a toda hora: quite «during»" + advice
    if any(other.condition is not None for other in rule.raises):
        yield "raise", "no se alcanza nunca: un silencio no trae mensaje que mirar; use «during»"


def _conditions(rule: Rule) -> Iterator[tuple[str, Condition]]:
    if rule.condition is not None:
        yield "if", rule.condition
    yield from (("raise", other.condition) for other in rule.raises if other.condition is not None)


def _constant(rule: Rule) -> Iterator[Nonsense]:
    for key, condition in _conditions(rule):
        if not condition.variables:
            yield key, f"«{condition.text}» da siempre lo mismo: no mira nada; quítelo o compare algo"


def _absent_fields(rule: Rule) -> Iterator[Nonsense]:
    for key, condition in _conditions(rule):
        if "value" in condition.variables and not rule.operator.quantities:
            yield key, "la condición mira «value», y esta regla oye eventos, sin valor; use «data»"
        if condition.variables & {"data", "type"} and not rule.operator.events:
            yield key, "la condición mira «data» o «type», y esta regla oye mediciones; use «value»"


def _unused_near(rule: Rule) -> Iterator[Nonsense]:
    if rule.near and not any("near" in condition.variables for _, condition in _conditions(rule)):
        yield "near", "ninguna condición usa near; quítelo, o agregue «if: near...»"


def _short_window(rule: Rule) -> Iterator[Nonsense]:
    operator = rule.operator
    if isinstance(operator, Rate) and operator.per_s > 48 * operator.over_s:
        yield (
            "when",
            "«per» es más de 48 veces «over»: el ruido parecería un cambio; alargue «over»",
        )


def _restated(rule: Rule) -> Iterator[Nonsense]:
    seen: list[tuple[str, Schedule | None]] = []
    for other in rule.raises:
        mark = (other.condition.text if other.condition else "", other.during)
        if mark in seen:
            yield "raise", "no se alcanza nunca: otro anterior pide lo mismo; deje uno"
        seen.append(mark)


# --------------------------------------------------------------------------------------- schedules


def _closed_schedules(rule: Rule) -> Iterator[Nonsense]:
    named = [("during", rule.during), *(("raise", other.during) for other in rule.raises)]
    for key, schedule in named:
        for window in schedule.windows if schedule is not None else ():
            if not _open_days(window.days, window.holidays, window.season):
                yield key, "ese horario no vale ningún día: «days», «holidays» y «season» se excluyen"
        if schedule is not None and len(set(schedule.windows)) < len(schedule.windows):
            yield key, "dos ventanas del horario son iguales; deje una"


def _apart(rule: Rule) -> Iterator[Nonsense]:
    if rule.during is None:
        return
    for other in rule.raises:
        if other.during is not None and not _meet(rule.during, other.during):
            yield "raise", "no se alcanza nunca: su «during» cae fuera del «during» de la regla"


def _meet(one: Schedule, other: Schedule) -> bool:
    return any(_windows_meet(a, b) for a in one.windows for b in other.windows)


def _windows_meet(one: Window, other: Window) -> bool:
    if not any(a[0] < b[1] and b[0] < a[1] for a in _parts(one.hours) for b in _parts(other.hours)):
        return False
    days = _open_days(one.days, one.holidays, one.season)
    others = _open_days(other.days, other.holidays, other.season)
    if not (_crosses(one) or _crosses(other)):
        return not days.isdisjoint(others)
    # A night belongs to the day on which it began: its morning meets the next day.
    return any(day + shift in others for day in days for shift in (-1, 0, 1))


def _crosses(window: Window) -> bool:
    return window.hours is not None and window.hours[0] > window.hours[1]


def _parts(hours: tuple[time, time] | None) -> Iterable[tuple[time, time]]:
    if hours is None:
        return [(time.min, time.max)]
    if hours[0] < hours[1]:
        return [hours]
    return [(hours[0], time.max), (time.min, hours[1])]


@lru_cache(maxsize=64)
def _open_days(
    weekdays: frozenset[int], holidays: str, season: tuple[tuple[int, int], tuple[int, int]] | None
) -> frozenset[int]:
    """The days (ordinals) of 28 years that such a window lets through."""
    days = (_FIRST + timedelta(days=n) for n in range(_YEARS * 365 + 7))
    return frozenset(
        day.toordinal()
        for day in days
        if day.weekday() in weekdays
        and (season is None or is_in_season(season, day))
        and (holidays == "any" or is_holiday(day) == (holidays == "only"))
    )


_CHECKS: tuple[Callable[[Rule], Iterator[Nonsense]], ...] = (
    _alone,
    _far_edge,
    _unheard,
    _constant,
    _absent_fields,
    _unused_near,
    _short_window,
    _restated,
    _closed_schedules,
    _apart,
)
