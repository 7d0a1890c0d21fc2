"""Operations as the console shows them: the month, one with what may be done now, the form, a sketch."""

import calendar
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from math import cos, radians
from typing import Annotated, Any

from fastapi import Path
from pydantic import BaseModel, Field
from starlette.responses import RedirectResponse, Response

from hub.operations import lifecycle, reading, recurrence, series
from hub.operations.lifecycle import Move, Offer
from hub.operations.model import Area, Dossier, Draft, Institution, Operation, Point, Task
from hub.operations.places import polygons
from hub.operations.reading import Filter, Line
from hub.operations.words import KINDS, PHASES
from hub.plan.periods import SANTIAGO
from hub.web import audit
from hub.web.context import Console
from hub.web.problem import Problem
from hub.web.sessions import Session

Folio = Annotated[str, Path(max_length=40, pattern=r"^[A-Z]+-\d{4}-\d+$")]
MONTH_ROWS = 2000
"""Operations of a month that its page shows: some hundreds where there are many."""
ROWS = 6
"""Lines of institutions and of points that the form has; a file can bring more."""
MOVE_WORDS: Mapping[str, str] = {
    "confirm": "Confirmar",
    "start": "Iniciar",
    "execute": "Terminar",
    "close": "Cerrar el acta",
    "suspend": "Suspender",
    "replan": "Volver a programar",
}
# ---------------------------------------------------------------------------------------- the month


@dataclass(frozen=True, slots=True)
class Day:
    day: date
    is_of_month: bool
    is_today: bool
    lines: Sequence[Line]


@dataclass(frozen=True, slots=True)
class Month:
    """``weeks`` begin on Monday."""

    label: str
    before: str
    after: str
    weeks: Sequence[Sequence[Day]]


def month_days(label: str, today: date) -> tuple[date, date]:
    """First day and the day after the last. Raises :class:`Problem` 422."""
    try:
        first = date.fromisoformat(f"{label}-01") if label else today.replace(day=1)
    except ValueError:
        raise Problem(422, "El mes va como AAAA-MM, por ejemplo 2026-12.") from None
    if not 2000 <= first.year <= 2200:
        raise Problem(422, "El mes debe estar entre 2000 y 2200.")
    return first, (first + timedelta(days=32)).replace(day=1)


def month_of(first: date, lines: Sequence[Line], today: date) -> Month:
    """The calendar of a month. Pure."""
    of: dict[date, list[Line]] = {}
    for line in sorted(lines, key=lambda one: one.planned_start):
        of.setdefault(line.planned_start.astimezone(SANTIAGO).date(), []).append(line)
    weeks = [
        [Day(day, day.month == first.month, day == today, of.get(day, ())) for day in week]
        for week in calendar.Calendar().monthdatescalendar(first.year, first.month)
    ]
    before = (first - timedelta(days=1)).strftime("%Y-%m")
    after = (first + timedelta(days=32)).strftime("%Y-%m")
    return Month(first.strftime("%Y-%m"), before, after, weeks)


# -------------------------------------------------------------------------------------------- sketch

WIDTH, HEIGHT, EDGE = 520.0, 300.0, 26.0


@dataclass(frozen=True, slots=True)
class Mark:
    x: float
    y: float
    label: str


@dataclass(frozen=True, slots=True)
class Sketch:
    """The place as a drawing, north up; ``scale_m`` metres are ``scale_px`` long."""

    outlines: Sequence[str]
    points: Sequence[Mark]
    cases: Sequence[Mark]
    scale_m: int
    scale_px: float


def sketch(
    area: Area | None, points: Sequence[Point], cases: Sequence[tuple[float, float]] = ()
) -> Sketch | None:
    """Area, points and cases (latitude, longitude) on one drawing; None where there is nothing. Pure."""
    rings = [[(y, x) for x, y, *_ in ring] for polygon in polygons(area or {}) for ring in polygon]
    every = [*(place for ring in rings for place in ring), *((p.latitude, p.longitude) for p in points)]
    if not every:
        return None
    south, north = min(y for y, _ in every), max(y for y, _ in every)
    west, east = min(x for _, x in every), max(x for _, x in every)
    squeeze = cos(radians((south + north) / 2))
    height_m = max(111_195 * (north - south), 200.0)
    width_m = max(111_195 * squeeze * (east - west), 200.0)
    per_m = min((WIDTH - 2 * EDGE) / width_m, (HEIGHT - 2 * EDGE) / height_m)

    def on(place: tuple[float, float]) -> tuple[float, float]:
        x = WIDTH / 2 + 111_195 * squeeze * (place[1] - (west + east) / 2) * per_m
        y = HEIGHT / 2 - 111_195 * (place[0] - (south + north) / 2) * per_m
        return round(x, 1), round(y, 1)

    marks = [Mark(*on((p.latitude, p.longitude)), p.name or p.id) for p in points]
    dots = [Mark(*on(place), "") for place in cases]
    inside = [dot for dot in dots if 0 <= dot.x <= WIDTH and 0 <= dot.y <= HEIGHT]
    outlines = [" ".join(f"{x},{y}" for x, y in map(on, ring)) for ring in rings]
    scale_m = next(m for m in (5000, 2000, 1000, 500, 200, 100, 50, 1) if m * per_m <= WIDTH / 3)
    return Sketch(outlines, marks, inside, scale_m, round(scale_m * per_m, 1))


# ---------------------------------------------------------------------------------------------- page


@dataclass(frozen=True, slots=True)
class View:
    """One operation's page."""

    dossier: Dossier
    offers: Sequence[Offer]
    totals: Sequence[reading.Total]
    sketch: Sketch | None
    repeats: str
    """How it comes again, in words; empty for one that stands alone."""
    beside: Sequence[reading.Beside]
    """What else is planned for the same time, while its own is to come."""

    @property
    def is_running(self) -> bool:
        """What was done can be written down."""
        return self.dossier.operation.state in ("in_progress", "executed")

    @property
    def is_changeable(self) -> bool:
        return self.dossier.operation.state in lifecycle.CHANGEABLE


_CASES = """
select a.latitude, a.longitude from operation_links l join alerts a using (alert_id)
where l.operation_id = $1 and l.removed_at is null and a.latitude is not null and a.longitude is not null
  and not a.is_reserved limit 500
"""


async def load_view(console: Console, folio: str) -> View:
    """Raises :class:`OperationError` where it is not there."""
    dossier = await reading.dossier(console.pool, folio)
    operation = dossier.operation
    area = operation.draft.area or await reading.area_of(console.pool, operation.draft.sector)
    cases = await console.pool.fetch(_CASES, operation.operation_id)
    drawn = sketch(area, operation.draft.points, [(row["latitude"], row["longitude"]) for row in cases])
    series_id = operation.draft.series_id
    repeats = recurrence.words(await series.rule_of(console.pool, series_id)) if series_id else ""
    is_ahead = operation.state in lifecycle.CHANGEABLE
    return View(
        dossier,
        lifecycle.offers(dossier, console.now()),
        reading.totals(dossier),
        drawn,
        repeats,
        await reading.beside(console.pool, operation) if is_ahead else [],
    )


async def changed(console: Console, session: Session, folio: str, what: str) -> Response:
    """The answer to a form that changed an operation: noted in the audit, and back to its page."""
    login = session.user.login
    await audit.record(console.pool, console.now(), login, audit.Action.OPERATION_CHANGED, folio, what)
    return RedirectResponse(f"/operativos/{folio}", status_code=303)


# ---------------------------------------------------------------------------------------------- form

Words = Annotated[list[str], Field(default_factory=list, max_length=60)]
Text = Annotated[str, Field(max_length=400)]


class OperationForm(BaseModel):
    """The words of the form, as they were sent."""

    version: int = 0
    tipo: str = Field("street_trade", max_length=60)
    nombre: Text = ""
    sector: str = Field("", max_length=80)
    inicio: str = Field("", max_length=32)
    fin: str = Field("", max_length=32)
    base: str = Field("", max_length=2000)
    objetivo: str = Field("", max_length=40)
    actividad: str = Field("", max_length=40)
    foco: str = Field("", max_length=60)
    observaciones: str = Field("", max_length=1000)
    simulacro: bool = False
    institucion: Words
    rol: Words
    actua: Words
    acompana: Words
    personal: Words
    punto: Words
    latitud: Words
    longitud: Words
    antes: str = Field("", max_length=2000)
    durante: str = Field("", max_length=2000)
    despues: str = Field("", max_length=2000)

    @property
    def institution_rows(self) -> list[tuple[str, ...]]:
        return padded(self.institucion, self.rol, self.actua, self.acompana, self.personal)

    @property
    def point_rows(self) -> list[tuple[str, ...]]:
        return padded(self.punto, self.latitud, self.longitud)


def padded(*columns: Sequence[str], least: int = ROWS) -> list[tuple[str, ...]]:
    """Columns of a form as its lines, ``least`` of them at least."""
    height = max(least, *(len(column) for column in columns))
    return [tuple(column[row] if row < len(column) else "" for column in columns) for row in range(height)]


def empty_form() -> OperationForm:
    return OperationForm.model_validate(
        {"institucion": ["DSP"], "rol": ["leads"], "actua": ["autonomous"], "personal": ["4"]}
    )


def form_of(operation: Operation, console: Console) -> OperationForm:
    draft, wall = operation.draft, console.wall
    tasks = {phase: "\n".join(t.task for t in draft.tasks if t.phase == phase) for phase in PHASES}
    return OperationForm(
        version=operation.version,
        tipo=draft.kind,
        nombre=draft.name,
        sector=draft.sector,
        inicio=wall.field(draft.planned_start),
        fin=wall.field(draft.planned_end),
        base="\n".join(draft.legal_basis),
        objetivo=draft.objective,
        actividad=draft.activity,
        foco=draft.hot_spot,
        observaciones=draft.remarks,
        simulacro=draft.is_drill,
        institucion=[one.name for one in draft.institutions],
        rol=[one.role for one in draft.institutions],
        actua=[one.acting for one in draft.institutions],
        acompana=[one.assists for one in draft.institutions],
        personal=[str(one.headcount) for one in draft.institutions],
        punto=[one.name or one.id for one in draft.points],
        latitud=[f"{one.latitude:.6f}" for one in draft.points],
        longitud=[f"{one.longitude:.6f}" for one in draft.points],
        antes=tasks["before"],
        durante=tasks["during"],
        despues=tasks["after"],
    )


def draft_of(form: OperationForm, console: Console, plan_id: str, old: Draft | None = None) -> Draft:
    """What the form plans. Raises :class:`Problem` 422 that names the field."""
    start, end = _instant(form.inicio, console, "inicio"), _instant(form.fin, console, "fin")
    if form.tipo not in KINDS and (old is None or form.tipo != old.kind):
        raise Problem(422, "Elija el tipo de la lista.")
    institutions = [
        Institution(
            name=name.strip(),
            role="leads" if role == "leads" else "joins",
            acting="autonomous" if acting == "autonomous" else "assisting",
            assists=assists.strip(),
            headcount=_natural(people, f"personal de {name}"),
        )
        for name, role, acting, assists, people in form.institution_rows
        if name.strip()
    ]
    lead = next((one.name for one in institutions if one.is_lead), "")
    kept: dict[str, Any] = {}
    if old is not None:
        kept = {
            "area": old.area,
            "series_id": old.series_id,
            "origin_since": old.origin_since,
            "origin_until": old.origin_until,
        }
    return Draft(
        kind=form.tipo,
        name=form.nombre.strip(),
        sector=form.sector,
        planned_start=start,
        planned_end=end,
        legal_basis=_lines(form.base),
        institutions=tuple(_accompanied(one, lead) for one in institutions),
        points=tuple(_points(form)),
        tasks=tuple(
            Task(phase=phase, task=text)
            for phase, texts in (("before", form.antes), ("during", form.durante), ("after", form.despues))
            for text in _lines(texts)
        ),
        plan_id=plan_id if form.objetivo or form.actividad else "",
        objective=form.objetivo.strip(),
        activity=form.actividad.strip(),
        hot_spot=form.foco.strip(),
        remarks=form.observaciones.strip(),
        is_drill=form.simulacro,
        **kept,
    )


def _accompanied(one: Institution, lead: str) -> Institution:
    """Who only joins accompanies the one that leads, unless the form says otherwise."""
    if one.is_lead or one.acting == "autonomous" or one.assists:
        return one
    return Institution(name=one.name, role=one.role, acting=one.acting, assists=lead, headcount=one.headcount)


def _points(form: OperationForm) -> list[Point]:
    found = []
    for number, (name, latitude, longitude) in enumerate(form.point_rows, 1):
        if not (latitude.strip() or longitude.strip()):
            if name.strip():
                raise Problem(422, f"Al punto «{name.strip()}» le falta la posición.")
            continue
        try:
            place = float(latitude.replace(",", ".")), float(longitude.replace(",", "."))
        except ValueError:
            raise Problem(
                422, f"La posición del punto {number} no es un número, por ejemplo -34.39."
            ) from None
        found.append(Point(id=f"P{number}", name=name.strip(), latitude=place[0], longitude=place[1]))
    return found


def _lines(text: str) -> tuple[str, ...]:
    return tuple(line.strip() for line in text.splitlines() if line.strip())


def _natural(text: str, what: str) -> int:
    if not text.strip():
        return 0
    if not (text.strip().isascii() and text.strip().isdigit()) or len(text.strip()) > 4:
        raise Problem(422, f"El {what} es un número, cero o más.")
    return int(text)


def _instant(text: str, console: Console, what: str) -> datetime:
    try:
        return console.wall.instant(text)
    except ValueError:
        raise Problem(422, f"Falta el {what}: escriba fecha y hora.") from None


def filter_of(first: date, end: date, sector: str, state: str, kind: str, season: str) -> Filter:
    return Filter(state=state, sector=sector, kind=kind, first=first, end=end, season=season)


MOVES = {move.value: move for move in Move}
