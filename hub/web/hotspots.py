"""Hot spots as the console shows them: the map, the hours, and where, when and why in words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import cos, radians

from hub.alerts.catalogue import Catalogue
from hub.hotspots.model import Heat, Sheet, Spot
from hub.plan.periods import SANTIAGO

FAMILIES: Mapping[str, str] = {"": "Todos", "INC": "Incivilidades", "DEL": "Delitos", "RUR": "Rural"}
DAYS = ("lunes", "martes", "miércoles", "jueves", "viernes", "sábado", "domingo")
WIDTH, HEIGHT, EDGE = 720.0, 440.0, 30.0


@dataclass(frozen=True, slots=True)
class Hexagon:
    """``shade`` 1..5, by weight."""

    points: str
    shade: int
    events: int


@dataclass(frozen=True, slots=True)
class Mark:
    x: float
    y: float
    code: str


@dataclass(frozen=True, slots=True)
class Picture:
    hexagons: Sequence[Hexagon]
    marks: Sequence[Mark]
    scale_m: int
    scale_px: float


def picture(sheet: Sheet) -> Picture | None:
    """Cells and hot spots on one drawing, north up; None where no cell may be drawn. Pure."""
    corners = [place for cell in sheet.cells for place in cell.outline]
    if not corners:
        return None
    south, north = min(y for y, _ in corners), max(y for y, _ in corners)
    west, east = min(x for _, x in corners), max(x for _, x in corners)
    squeeze = cos(radians((south + north) / 2))
    width_m, height_m = 111_195 * squeeze * (east - west), 111_195 * (north - south)
    per_m = min((WIDTH - 2 * EDGE) / width_m, (HEIGHT - 2 * EDGE) / height_m)

    def on(place: tuple[float, float]) -> tuple[float, float]:
        x = WIDTH / 2 + 111_195 * squeeze * (place[1] - (west + east) / 2) * per_m
        y = HEIGHT / 2 - 111_195 * (place[0] - (south + north) / 2) * per_m
        return round(x, 1), round(y, 1)

    most = max(cell.weight for cell in sheet.cells) or 1.0
    hexagons = [
        Hexagon(
            " ".join(f"{x},{y}" for x, y in map(on, cell.outline)),
            max(1, min(5, 1 + int(5 * cell.weight / most))),
            cell.recent,
        )
        for cell in sheet.cells
    ]
    middles = {cell.cell: _middle(cell.outline) for cell in sheet.cells}
    marks = [Mark(*on(middles[spot.cells[0]]), spot.code) for spot in sheet.spots if spot.cells[0] in middles]
    scale_m = next(m for m in (5000, 2000, 1000, 500, 200, 100, 1) if m * per_m <= WIDTH / 3)
    return Picture(hexagons, marks, scale_m, round(scale_m * per_m, 1))


def _middle(outline: Sequence[tuple[float, float]]) -> tuple[float, float]:
    return sum(y for y, _ in outline) / len(outline), sum(x for _, x in outline) / len(outline)


def shades(heat: Heat) -> list[list[int]]:
    """0..5 for each weekday and hour. Pure."""
    most = max((n for row in heat.hours for n in row), default=0)
    return [[0 if n == 0 else max(1, min(5, round(5 * n / most))) for n in row] for row in heat.hours]


@dataclass(frozen=True, slots=True)
class Advice:
    """One line of the list: where, when and why next."""

    spot: Spot
    where: str
    when: str
    why: Sequence[str]


def advice(spot: Spot, catalogue: Catalogue) -> Advice:
    """Pure."""
    labels = {code.code: code.label for code in catalogue.codes}
    places = ", ".join(point.name for point in spot.points if point.name)
    kinds = ", ".join(
        f"{labels.get(k.code, k.code or 'sin clasificar').lower()} ({k.events})" for k in spot.kinds
    )
    why = [f"{spot.recent} hechos confirmados en 28 días: {kinds}."]
    if spot.ratio is None or spot.expected is None:
        why.append("No hay historia suficiente para decir si es más de lo habitual.")
    elif spot.ratio.is_more:
        why.append(f"Lo habitual serían {_number(spot.expected)}: es más de lo que explica el azar.")
    elif spot.ratio.is_less:
        why.append(f"Lo habitual serían {_number(spot.expected)}: está bajando.")
    else:
        why.append(f"Lo habitual serían {_number(spot.expected)}: sigue igual, es un lugar crónico.")
    when = spot.when
    start, end = (at.astimezone(SANTIAGO) for at in (spot.planned_start, spot.planned_end))
    time = f"{DAYS[start.isoweekday() - 1]} {start:%d-%m} de {start:%H:%M} a {end:%H:%M}"
    if when.is_hour_clear:
        why.append(f"{when.in_block} de {when.total} ocurren en esas horas.")
    else:
        why.append("No tiene horas marcadas: se propone el tramo con más hechos.")
    return Advice(spot, places or spot.sector, time, why)


def _number(value: float) -> str:
    return f"{value:.0f}" if value >= 10 else f"{value:.1f}".replace(".", ",")
