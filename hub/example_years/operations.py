"""Operations of two years: where and when they were held, and what was written down. Pure, from a seed."""

import random
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from hub.example_years.commune import BY_ID, moved
from hub.example_years.habits import is_summer
from hub.example_years.rows import Rows, chance_for, uuid7
from hub.example_years.span import Span, local

LEAD = "DSP"
AUTHOR = "ejemplo"


@dataclass(frozen=True, slots=True)
class Sort:
    """A kind of operation: what it is against, who comes along, and the ordinances that it rests on."""

    kind: str
    name: str
    codes: tuple[str, ...]
    hour: float
    partners: tuple[str, ...]
    basis: tuple[str, ...]
    trades: tuple[str, ...]


STREET_TRADE = Sort(
    "street_trade",
    "Comercio ambulante",
    ("INC.COMERCIO", "DEL.HURTO", "DEL.ROBO_SORPRESA"),
    16.5,
    ("Carabineros", "SEREMI de Salud", "Autoridad Marítima"),
    ("Ordenanza 07 art. 12", "Ley 21.426"),
    ("alimentos", "artesanía", "bebidas", "ropa", "juguetes"),
)
ALCOHOL = Sort(
    "alcohol",
    "Alcohol en la vía pública",
    ("INC.ALCOHOL", "INC.RINA"),
    21.5,
    ("Carabineros", "SENDA"),
    ("Ley 19.925 art. 25", "Ordenanza 11 art. 4"),
    ("botillería", "restaurante", "bar", "almacén"),
)
SORTS = (STREET_TRADE, ALCOHOL)


@dataclass(frozen=True, slots=True)
class Spot:
    """A place where the same thing happens again and again."""

    sector: str
    code: str
    name: str
    latitude: float
    longitude: float


def spots(seed: int, sector: str, code: str, count: int = 3) -> Sequence[Spot]:
    """The same in every year: they lie inside of the sector, 400 m apart at least."""
    chance, of = chance_for(seed, "spots", sector, code), BY_ID[sector]
    found: list[tuple[float, float]] = []
    while len(found) < count:
        north, east = (chance.uniform(-0.7, 0.7) * of.reach_m for _ in range(2))
        if all(abs(north - n) + abs(east - e) > 400 for n, e in found):
            found.append((north, east))
    return [
        Spot(
            sector,
            code,
            f"{code.partition('.')[2].capitalize()} {number}",
            *moved(of.latitude, of.longitude, *at),
        )
        for number, at in enumerate(found, 1)
    ]


@dataclass(frozen=True, slots=True)
class Held:
    """One operation; ``state`` is how it stands at the end of the history."""

    operation_id: uuid.UUID
    folio: str
    sort: Sort
    sector: str
    spots: Sequence[Spot]
    starts_at: datetime
    ends_at: datetime
    state: str
    season: str | None
    is_planned: bool
    partners: Sequence[str] = field(default_factory=tuple)

    @property
    def is_done(self) -> bool:
        return self.state in ("executed", "closed")


def held(span: Span, seed: int) -> list[Held]:
    """Weekly through the year and twice a week in summer, in turn in the places of each sort."""
    numbers: dict[int, int] = {}
    found = []
    for day in span.days():
        weekdays = (4, 5) if is_summer(day) else (4,)
        if day.weekday() not in weekdays:
            continue
        sort = SORTS[(day.toordinal() // 7 + day.weekday()) % 2]
        number = numbers[day.year] = numbers.get(day.year, 0) + 1
        found.append(_held(day, sort, number, span, seed))
    return found


def _held(day: date, sort: Sort, number: int, span: Span, seed: int) -> Held:
    chance = chance_for(seed, "operation", day)
    sector = chance.choice(("CENTRO", "COSTA") if is_summer(day) else ("CENTRO", "CENTRO", "LOS BOLDOS"))
    if sort is STREET_TRADE and sector == "LOS BOLDOS":
        sector = "CENTRO"
    # one after the other: a place has its fourteen days before it is looked at again
    places = spots(seed, sector, sort.codes[0])
    chosen = [places[(number + step) % len(places)] for step in range(chance.choice((1, 1, 2)))]
    starts_at = local(day, sort.hour * 3600 + chance.randrange(-6, 7) * 300)
    ends_at = starts_at + timedelta(minutes=chance.randrange(24, 48) * 5)
    partners = sort.partners[: chance.choice((0, 1, 1, 2, 2, 3))]
    is_late = span.end - day < timedelta(days=12)
    state = chance.choices(
        ("closed", "executed", "suspended"), (0.78, 0.1, 0.12) if not is_late else (0.4, 0.6, 0.0)
    )[0]
    season = f"estival-{day.year if day.month == 12 else day.year - 1}-{day.year + (day.month == 12)}"
    return Held(
        operation_id=uuid7(starts_at - timedelta(days=9), chance),
        folio=f"OPF-{day.year}-{number:04}",
        sort=sort,
        sector=sector,
        spots=chosen,
        starts_at=starts_at,
        ends_at=ends_at,
        state=state,
        season=season if is_summer(day) else None,
        is_planned=True,
        partners=partners,
    )


# ------------------------------------------------------------------------------------------- records

_REASONS = ("lluvia", "sin personal de Carabineros", "emergencia en otro sector")
_HEADCOUNT: Mapping[str, int] = {
    LEAD: 4,
    "Carabineros": 3,
    "SEREMI de Salud": 1,
    "Autoridad Marítima": 2,
    "SENDA": 1,
}


def record(rows: Rows, operations: Sequence[Held], seed: int) -> None:
    """The rows of every operation: state, timeline, institutions, points, tasks, counts, inspections."""
    folios: dict[int, int] = {}
    for one in operations:
        chance = chance_for(seed, "record", one.folio)
        _operation(rows, one, chance)
        _timeline(rows, one)
        _institutions(rows, one, chance)
        _tasks(rows, one)
        _points(rows, one, chance)
        if one.is_done:
            _counts(rows, one, chance)
            for _ in range(chance.randrange(6, 22)):
                _inspection(rows, one, _folio(folios, one.starts_at), chance)
            for spot in one.spots:
                if chance.random() < 0.7:
                    _look_again(rows, one, spot, _folio(folios, one.ends_at), chance)
    for year in sorted({one.starts_at.year for one in operations}):
        made = sum(one.folio.startswith(f"OPF-{year}-") for one in operations)
        rows.add("folio_counters", prefix="OPF", year=year, next=made + 1)
        rows.add("folio_counters", prefix="FIS", year=year, next=folios.get(year, 0) + 1)


def _folio(folios: dict[int, int], at: datetime) -> str:
    folios[at.year] = folios.get(at.year, 0) + 1
    return f"FIS-{at.year}-{folios[at.year]:06}"


def _look_again(rows: Rows, one: Held, spot: Spot, folio: str, chance: random.Random) -> None:
    """An inspector comes by some days later: that tells whether the trade came back."""
    at = one.ends_at + timedelta(seconds=round(chance.uniform(3, 13) * 86400))
    latitude, longitude = moved(spot.latitude, spot.longitude, chance.gauss(0, 20), chance.gauss(0, 20))
    is_back = chance.random() < 0.4
    rows.add(
        "inspections",
        inspection_id=uuid7(at, chance),
        folio=folio,
        operation_id=None,
        point="",
        sector=one.sector,
        latitude=latitude,
        longitude=longitude,
        accuracy_m=round(chance.uniform(4, 25), 1),
        trade=one.sort.trades[0],
        permit_state="none" if is_back else "valid",
        result="warning" if is_back else "no_remark",
        acting="autonomous",
        assists="",
        institution=LEAD,
        inspected_at=at,
        author=AUTHOR,
        recorded_at=at + timedelta(minutes=3),
    )


def _operation(rows: Rows, one: Held, chance: random.Random) -> None:
    is_closed = one.state == "closed"
    began = one.starts_at + timedelta(minutes=chance.randrange(0, 20)) if one.is_done else None
    rows.add(
        "operations",
        operation_id=one.operation_id,
        folio=one.folio,
        kind=one.sort.kind,
        name=f"{one.sort.name}, {BY_ID[one.sector].name}",
        state=one.state,
        plan_id="PCSP-EJEMPLO-2025-2028",
        objective="O1",
        activity="O1C1A1",
        season=one.season,
        sector=one.sector,
        planned_start=one.starts_at,
        planned_end=one.ends_at,
        started_at=began,
        ended_at=one.ends_at if one.is_done else None,
        origin_since=one.starts_at - timedelta(days=28),
        origin_until=one.starts_at - timedelta(days=1),
        legal_basis=list(one.sort.basis),
        suspended_because=chance.choice(_REASONS) if one.state == "suspended" else "",
        acta_folio=f"ACTA-{one.folio}" if is_closed else None,
        closed_at=_closed_at(one) if is_closed else None,
        author=AUTHOR,
        created_at=one.starts_at - timedelta(days=9),
    )


def _closed_at(one: Held) -> datetime:
    return one.ends_at + timedelta(hours=18)


def _timeline(rows: Rows, one: Held) -> None:
    planned = one.starts_at - timedelta(days=9)
    steps: list[tuple[str, datetime, str | None, str]] = [("plan", planned, None, "planned")]
    steps.append(("confirm", one.starts_at - timedelta(days=2), "planned", "confirmed"))
    if one.state == "suspended":
        steps.append(("suspend", one.starts_at - timedelta(hours=3), "confirmed", "suspended"))
    else:
        steps.append(("start", one.starts_at, "confirmed", "in_progress"))
        steps.append(("execute", one.ends_at, "in_progress", "executed"))
    if one.state == "closed":
        steps.append(("close", _closed_at(one), "executed", "closed"))
    for move, at, before, after in steps:
        rows.add(
            "operation_log",
            operation_id=one.operation_id,
            at=at,
            author=AUTHOR,
            move=move,
            from_state=before,
            to_state=after,
            note="",
        )


def _institutions(rows: Rows, one: Held, chance: random.Random) -> None:
    for name in (LEAD, *one.partners):
        count = max(1, _HEADCOUNT[name] + chance.choice((-1, 0, 0, 1)))
        rows.add(
            "operation_institutions",
            operation_id=one.operation_id,
            institution=name,
            role="leads" if name == LEAD else "joins",
            acting="autonomous" if name == LEAD else "assisting",
            assists="" if name == LEAD else LEAD,
            headcount=count,
            present=count if one.is_done else None,
            signed_at=_closed_at(one) if one.state == "closed" else None,
        )


def _tasks(rows: Rows, one: Held) -> None:
    tasks = (
        ("before", "Revisar permisos vigentes del sector"),
        ("during", "Recorrer todos los puntos"),
        ("after", "Entregar decomisos y cerrar el acta"),
    )
    for position, (phase, task) in enumerate(tasks, 1):
        at = one.starts_at if phase == "before" else one.ends_at
        rows.add(
            "operation_tasks",
            operation_id=one.operation_id,
            position=position,
            phase=phase,
            task=task,
            institution=LEAD,
            done_at=at if one.is_done else None,
            done_by=AUTHOR if one.is_done else None,
        )


def _points(rows: Rows, one: Held, chance: random.Random) -> None:
    for number, spot in enumerate(one.spots, 1):
        visited_at = one.starts_at + timedelta(minutes=20 * number) if one.is_done else None
        is_clear = visited_at is not None and chance.random() < 0.85
        rows.add(
            "operation_points",
            operation_id=one.operation_id,
            point=f"P{number}",
            name=spot.name,
            latitude=spot.latitude,
            longitude=spot.longitude,
            visited_at=visited_at,
            cleared_at=one.ends_at if is_clear else None,
        )


def _counts(rows: Rows, one: Held, chance: random.Random) -> None:
    counts = [("stalls", LEAD, chance.randrange(4, 25))]
    if "Carabineros" in one.partners:
        counts += [
            ("identity", "Carabineros", chance.randrange(5, 40)),
            ("vehicles", "Carabineros", chance.randrange(0, 20)),
            ("arrests", "Carabineros", chance.choice((0, 0, 0, 1, 2))),
        ]
    if "SEREMI de Salud" in one.partners:
        counts.append(("sanitary_files", "SEREMI de Salud", chance.choice((0, 1, 2))))
    for kind, institution, total in counts:
        rows.add(
            "operation_counts",
            operation_id=one.operation_id,
            kind=kind,
            institution=institution,
            total=total,
            recorded_at=one.ends_at,
        )


def _inspection(rows: Rows, one: Held, folio: str, chance: random.Random) -> None:
    number = chance.randrange(len(one.spots))
    spot = one.spots[number]
    latitude, longitude = moved(spot.latitude, spot.longitude, chance.gauss(0, 25), chance.gauss(0, 25))
    span_s = (one.ends_at - one.starts_at).total_seconds()
    at = one.starts_at + timedelta(seconds=round(chance.uniform(600, span_s)))
    permit = chance.choices(("valid", "expired", "none", "other_place"), (0.45, 0.12, 0.38, 0.05))[0]
    results = ("no_remark", "warning", "infringement", "closure_referred")
    weights = (0.92, 0.08, 0.0, 0.0) if permit == "valid" else (0.05, 0.35, 0.58, 0.02)
    result = chance.choices(results, weights)[0]
    inspection_id = uuid7(at, chance)
    partner = "Carabineros" if "Carabineros" in one.partners and chance.random() < 0.3 else ""
    rows.add(
        "inspections",
        inspection_id=inspection_id,
        folio=folio,
        operation_id=one.operation_id,
        point=f"P{number + 1}",
        sector=one.sector,
        latitude=latitude,
        longitude=longitude,
        accuracy_m=round(chance.uniform(4, 25), 1),
        trade=chance.choice(one.sort.trades),
        permit_state=permit,
        result=result,
        acting="assisting" if partner else "autonomous",
        assists=partner,
        institution=LEAD,
        inspected_at=at,
        author=AUTHOR,
        recorded_at=at + timedelta(minutes=chance.randrange(1, 90)),
    )
    if result == "infringement":
        _infringement(rows, one, inspection_id, at, chance)


def _infringement(
    rows: Rows, one: Held, inspection_id: uuid.UUID, at: datetime, chance: random.Random
) -> None:
    rows.add(
        "infringements",
        inspection_id=inspection_id,
        position=1,
        rule=chance.choice(one.sort.basis),
        ticket_folio=f"A-{chance.randrange(1, 10**6):06}",
        court="JPL Ejemplo",
        hearing_on=at.date() + timedelta(days=chance.randrange(14, 40)),
    )
    if chance.random() < 0.4:
        goods, unit = chance.choice(
            (("alimentos sin resolución sanitaria", "kg"), ("ropa", "un"), ("bebidas alcohólicas", "l"))
        )
        seizure_id = uuid7(at, chance)
        rows.add(
            "seizures",
            seizure_id=seizure_id,
            inspection_id=inspection_id,
            goods=goods,
            quantity=chance.randrange(2, 60),
            unit=unit,
            destination="destruction" if unit != "un" else "custody",
            record_folio=f"DEC-{chance.randrange(1, 10**4):04}",
        )
        rows.add(
            "seizure_custody",
            seizure_id=seizure_id,
            position=1,
            at=one.ends_at,
            holder=LEAD,
            place="Bodega municipal",
            author=AUTHOR,
        )
