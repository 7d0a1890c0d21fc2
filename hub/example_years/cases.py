"""Cases: alerts with their timeline, the texts of watch groups and their answers. From a seed."""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import asin, cos, radians, sin, sqrt

from hub.example_years.commune import BY_ID, moved
from hub.example_years.habits import HABITS, HELD_BACK, HELD_BACK_DAYS, HELD_BACK_M, WEEK, Habit, is_summer
from hub.example_years.operations import Held, spots
from hub.example_years.rows import Rows, chance_for, later, poisson, uuid7
from hub.example_years.span import Span, local

OPERATOR = "ejemplo"
_LETTERS = "ABCDEFGHJKLMNPRTUVWX"
_TAKEN_WITHIN: Mapping[int, timedelta] = {
    1: timedelta(seconds=7),
    2: timedelta(seconds=32),
    3: timedelta(seconds=140),
    4: timedelta(seconds=420),
}


@dataclass(frozen=True, slots=True)
class Case:
    habit: Habit
    sector: str
    at: datetime
    latitude: float
    longitude: float


def cases(span: Span, operations: Sequence[Held], seed: int) -> list[Case]:
    """In the order of time; what an operation held back is not there."""
    done = [one for one in operations if one.is_done]
    found = []
    for habit in HABITS:
        for sector, per_day in habit.per_day.items():
            chance = chance_for(seed, "cases", habit.code, sector)
            for case in _of(span, habit, sector, per_day, chance, seed):
                if not (habit.heeds and _is_held_back(case, done, chance)):
                    found.append(case)
                    found += _again(case, span, chance)
    found.sort(key=lambda case: (case.at, case.habit.code, case.sector))
    return found


def _of(
    span: Span, habit: Habit, sector: str, per_day: float, chance: random.Random, seed: int
) -> Iterator[Case]:
    places = spots(seed, sector, habit.code) if habit.spots else ()
    of = BY_ID[sector]
    for day in span.days():
        count = per_day * WEEK[day.weekday()] * (1 - habit.falls) ** span.year_of(day)
        count *= habit.summer if is_summer(day) else 1.0
        for _ in range(poisson(count, chance)):
            at = local(day, 3600 * (chance.choices(range(24), habit.hours)[0] + chance.random()))
            if chance.random() < habit.spots:
                spot = chance.choice(places)
                latitude, longitude = moved(
                    spot.latitude, spot.longitude, chance.gauss(0, 70), chance.gauss(0, 70)
                )
            else:
                reach = of.reach_m * 0.85
                latitude, longitude = moved(
                    of.latitude, of.longitude, chance.uniform(-reach, reach), chance.uniform(-reach, reach)
                )
            yield Case(habit, sector, at, latitude, longitude)


def _is_held_back(case: Case, done: Sequence[Held], chance: random.Random) -> bool:
    for one in done:
        age = case.at - one.ends_at
        if not timedelta() < age <= timedelta(days=HELD_BACK_DAYS) or case.habit.code not in one.sort.codes:
            continue
        if any(
            metres(case.latitude, case.longitude, s.latitude, s.longitude) <= HELD_BACK_M for s in one.spots
        ):
            return chance.random() < HELD_BACK
    return False


def metres(latitude: float, longitude: float, other: float, east: float) -> float:
    """Great-circle distance (haversine) on the mean sphere."""
    a = sin(radians(other - latitude) / 2) ** 2
    a += cos(radians(latitude)) * cos(radians(other)) * sin(radians(east - longitude) / 2) ** 2
    return 2 * 6_371_008.8 * asin(sqrt(min(1.0, a)))


def _again(case: Case, span: Span, chance: random.Random) -> list[Case]:
    """Some victims are victims again within the month, at the same place."""
    if case.habit.code not in ("DEL.ROBO_HABITADO", "RUR.ABIGEATO", "DEL.HURTO") or chance.random() > 0.12:
        return []
    at = case.at + timedelta(days=chance.uniform(1, 26))
    at = at.replace(microsecond=at.microsecond // 1000 * 1000)
    if at >= span.until:
        return []
    place = moved(case.latitude, case.longitude, chance.gauss(0, 30), chance.gauss(0, 30))
    return [Case(case.habit, case.sector, at, *place)]


# ------------------------------------------------------------------------------------------- records


@dataclass(frozen=True, slots=True)
class Reporter:
    """A device, as a case names it."""

    device_id: int
    gateway: str
    name: str


@dataclass(frozen=True, slots=True)
class Neighbour:
    contact_id: int
    name: str


def record(
    rows: Rows,
    found: Sequence[Case],
    reporters: Mapping[tuple[str, str], Sequence[Reporter]],
    neighbours: Mapping[str, Sequence[Neighbour]],
    span: Span,
    seed: int,
) -> None:
    """``reporters`` by (kind of case, sector); ``neighbours`` by sector: who is told there."""
    for number, case in enumerate(found):
        chance = chance_for(seed, "case", number)
        devices = reporters.get((case.habit.kind, case.sector), ())
        device = chance.choice(devices) if devices else None
        _case(rows, case, number, device, neighbours.get(case.sector, ()), span, chance)


def _case(
    rows: Rows,
    case: Case,
    number: int,
    device: Reporter | None,
    neighbours: Sequence[Neighbour],
    span: Span,
    chance: random.Random,
) -> None:
    habit = case.habit
    opened_at = case.at + timedelta(milliseconds=chance.randrange(40, 2500))
    alert_id = uuid7(opened_at, chance)
    is_open = span.until - opened_at < timedelta(hours=8) and chance.random() < 0.5
    reason = None if is_open else _reason(habit, chance)
    year = span.year_of(opened_at.date())
    taken_at = later(opened_at, chance, _TAKEN_WITHIN[habit.priority] * (1.25 - 0.2 * year))
    arrived_at = later(taken_at + timedelta(minutes=3), chance, timedelta(minutes=9))
    is_visited = reason in ("attended", "referred", "nothing_found") and chance.random() < 0.8
    closed_at = later(
        (arrived_at if is_visited else taken_at) + timedelta(minutes=4), chance, timedelta(minutes=25)
    )
    is_classified = reason in ("attended", "referred") and habit.code not in ("", "VIF")
    rows.add(
        "alerts",
        alert_id=alert_id,
        code=f"{_LETTERS[number % 20]}{number // 20 % 900 + 100}",
        kind=habit.kind,
        priority=habit.priority,
        state="acknowledged" if is_open else "closed",
        reason=reason,
        dedup_key=f"ejemplo:{number}",
        device_id=device.device_id if device else None,
        gateway=device.gateway if device else None,
        place=f"{BY_ID[case.sector].name}, sitio {chance.randrange(1, 400)}",
        sector=case.sector,
        latitude=case.latitude,
        longitude=case.longitude,
        summary=f"{habit.summary}: {device.name if device else BY_ID[case.sector].name}",
        rule=f"ejemplo_{habit.kind}",
        happened_at=case.at,
        opened_at=opened_at,
        last_event_at=case.at,
        is_drill=reason == "drill",
        acknowledged_at=taken_at,
        acknowledged_by=OPERATOR,
        closed_at=None if is_open else closed_at,
        classification=habit.code if is_classified else "",
    )
    steps = [
        ("opened", opened_at, None, "received", "hub:rules"),
        ("acknowledge", taken_at, "received", "acknowledged", OPERATOR),
    ]
    if is_visited:
        steps += [
            ("dispatch", taken_at + timedelta(seconds=50), "acknowledged", "dispatched", OPERATOR),
            ("arrive", arrived_at, "dispatched", "on_scene", OPERATOR),
        ]
    if not is_open:
        steps.append(("close", closed_at, "on_scene" if is_visited else "acknowledged", "closed", OPERATOR))
    for move, at, before, after, author in steps:
        rows.add(
            "alert_log", alert_id=alert_id, at=at, author=author, move=move, from_state=before, to_state=after
        )
    if habit.priority <= 2 and habit.code != "VIF" and reason not in ("test", "drill"):
        _texts(rows, alert_id, habit, opened_at, neighbours, chance)


def _reason(habit: Habit, chance: random.Random) -> str:
    throw = chance.random()
    if throw < 0.025:
        return chance.choice(("test", "drill", "duplicate"))
    if throw < 0.025 + habit.false_share:
        return chance.choice(("nothing_found", "nothing_found", "mistaken", "technical"))
    return "referred" if habit.institution and chance.random() < 0.7 else "attended"


def _texts(
    rows: Rows,
    alert_id: object,
    habit: Habit,
    opened_at: datetime,
    neighbours: Sequence[Neighbour],
    chance: random.Random,
) -> None:
    for place, neighbour in enumerate(neighbours):
        at = opened_at + timedelta(seconds=2 + 4 * place)
        is_delivered = chance.choices((True, False, None), (0.86, 0.08, 0.06))[0]
        reported_at = None if is_delivered is None else later(at, chance, timedelta(seconds=45))
        rows.add(
            "notifications",
            notification_id=uuid7(at, chance),
            alert_id=alert_id,
            contact_id=neighbour.contact_id,
            recipient=neighbour.name,
            priority=habit.priority,
            text=f"ALMENARA {habit.summary}. Responda 1 voy, 2 nada, 3 ayuda",
            state="sent",
            due_at=opened_at,
            attempts=1,
            created_at=opened_at,
            sent_at=at,
            is_delivered=is_delivered,
            reported_at=reported_at,
            purpose="alert",
        )
        if is_delivered and chance.random() < 0.55:
            rows.add(
                "confirmations",
                alert_id=alert_id,
                person=f"contact:{neighbour.contact_id}",
                answer=chance.choice(("coming", "coming", "nothing_found")),
                at=later(at, chance, timedelta(minutes=3)),
            )
