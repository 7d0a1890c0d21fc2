"""Population and official series from CSV: good lines are kept, each bad one is named. Pure."""

import csv
import io
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TypeVar

from hub.nodes import Problem, number
from hub.plan import fields

PERMANENT = "permanente"
OPEN_END = date(2200, 12, 31)
MAX_LINES = 200_000
_PERIOD = re.compile(r"\d{4}(-(0[1-9]|1[0-2])|-T[1-4])?")
_T = TypeVar("_T")
Line = Mapping[str, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Population:
    """Residents (season ``permanente``) or visitors (any other season) of a sector, between two days."""

    sector: str
    season: str
    starts_on: date
    ends_on: date
    residents: int
    visitors: int
    is_rural: bool
    source: str


@dataclass(frozen=True, kw_only=True, slots=True)
class OfficialValue:
    """One value of an official series; the key is (source, level, code, period), never the name."""

    level: str
    code: str
    name: str
    period: str
    value: float
    unit: str


def read_population(text: str, file: str) -> tuple[list[Population], list[Problem]]:
    """Rows that do not overlap with an earlier one of the same sector and season."""
    rows, problems = _read(text, file, _POPULATION, _population)
    kept: list[Population] = []
    for line, row in rows:
        rival = next((one for one in kept if _overlap(one, row)), None)
        if rival is None:
            kept.append(row)
            continue
        text = f"«{row.sector}», {row.season}: se cruza con {rival.starts_on} a {rival.ends_on}"
        problems.append(Problem(file, line, f"{text}; corrija desde y hasta"))
    return kept, sorted(problems, key=lambda problem: problem.line)


def read_series(text: str, file: str) -> tuple[list[OfficialValue], list[Problem]]:
    """The first value of each (level, code, period); a second one is named."""
    rows, problems = _read(text, file, _SERIES, _official)
    kept: dict[tuple[str, str, str], OfficialValue] = {}
    for line, row in rows:
        key = (row.level, row.code, row.period)
        if key in kept:
            problems.append(
                Problem(
                    file,
                    line,
                    f"nivel {row.level}, código {row.code}, {row.period}: está dos veces; deje una",
                )
            )
        else:
            kept[key] = row
    return list(kept.values()), sorted(problems, key=lambda problem: problem.line)


_POPULATION = ("sector", "temporada", "desde", "hasta", "residentes", "flotante", "rural", "fuente")
_SERIES = ("nivel", "codigo", "nombre", "periodo", "valor", "unidad")


def _read(
    text: str, file: str, columns: Sequence[str], read: Callable[[Line], _T]
) -> tuple[list[tuple[int, _T]], list[Problem]]:
    reader = csv.DictReader(io.StringIO(text.lstrip("\ufeff")), delimiter=_delimiter(text), strict=True)
    rows: list[tuple[int, _T]] = []
    problems: list[Problem] = []
    try:
        if missing := [name for name in columns if name not in (reader.fieldnames or ())]:
            wanted = ",".join(columns)
            return [], [Problem(file, 1, f"falta la columna «{missing[0]}»; la primera línea es {wanted}")]
        for line in reader:
            if reader.line_num > MAX_LINES:
                problems.append(
                    Problem(file, reader.line_num, f"hay más de {MAX_LINES} líneas; divida el archivo")
                )
                break
            try:
                rows.append((reader.line_num, read(_whole(line))))
            except ValueError as error:
                problems.append(Problem(file, reader.line_num, str(error)))
    except csv.Error as error:
        problems.append(Problem(file, reader.line_num, f"no es CSV ({error}); revise las comillas"))
    return rows, problems


def _delimiter(text: str) -> str:
    """Spreadsheets in Chile write semicolons."""
    first = text.partition("\n")[0]
    return ";" if first.count(";") > first.count(",") else ","


def _whole(line: Mapping[str | None, str | None]) -> Line:
    if None in line:
        raise ValueError("hay más valores que columnas; revise comas y comillas")
    if absent := [str(name) for name, value in line.items() if value is None]:
        raise ValueError(f"falta el valor de «{absent[0]}»; revise comas y comillas")
    return {str(name): str(value).strip() for name, value in line.items()}


def _field(line: Line, name: str, read: Callable[[str], _T]) -> _T:
    try:
        return read(line[name])
    except ValueError as error:
        raise ValueError(f"«{name}»: {error}") from None


def _population(line: Line) -> Population:
    season = _field(line, "temporada", fields.line).lower()
    found = Population(
        sector=_field(line, "sector", fields.line),
        season=season,
        starts_on=_field(line, "desde", fields.day),
        ends_on=_field(line, "hasta", fields.day) if line["hasta"] else OPEN_END,
        residents=_field(line, "residentes", fields.natural) if line["residentes"] else 0,
        visitors=_field(line, "flotante", fields.natural) if line["flotante"] else 0,
        is_rural=_field(line, "rural", _yes),
        source=_field(line, "fuente", fields.line),
    )
    if found.ends_on < found.starts_on:
        raise ValueError(f"«hasta»: {found.ends_on} es anterior a «desde»; inviértalas")
    if season == PERMANENT and not found.residents:
        raise ValueError("«residentes»: la temporada permanente lleva la población residente, más que 0")
    if season == PERMANENT and found.visitors:
        raise ValueError("«flotante»: los visitantes van en una línea de su temporada, por ejemplo estival")
    return found


def _yes(text: str) -> bool:
    if text.lower() not in ("si", "sí", "no", ""):
        raise ValueError(f"«{text}» debe ser si o no")
    return text.lower() in ("si", "sí")


def _overlap(one: Population, other: Population) -> bool:
    is_same = (one.sector, one.season) == (other.sector, other.season)
    return is_same and one.starts_on <= other.ends_on and other.starts_on <= one.ends_on


def _official(line: Line) -> OfficialValue:
    return OfficialValue(
        level=_field(line, "nivel", fields.line),
        code=_field(line, "codigo", fields.line),
        name=_field(line, "nombre", fields.line),
        period=_field(line, "periodo", _period),
        value=_field(line, "valor", number),
        unit=_field(line, "unidad", fields.line),
    )


def _period(text: str) -> str:
    if not _PERIOD.fullmatch(text):
        raise ValueError(f"«{text}» debe ser 2026, 2026-03 o 2026-T1")
    return text
