"""The register of permits from CSV: good lines are kept, each bad one is named. Pure."""

import csv
import io
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from hub.nodes import Problem
from hub.privacy import names_a_person

NEEDED = ("folio", "rubro", "lugar", "hasta")
COLUMNS = (*NEEDED, "sector", "desde", "estado")
STATES = {"": "active", "vigente": "active", "suspendido": "suspended", "caducado": "revoked"}
MAX_LINES = 100_000
_PERSONAL = ("rut", "run", "nombre", "apellido", "titular", "contribuyente", "telefono", "teléfono", "correo")
_FOLIO = re.compile(r"[0-9A-ZÑ][0-9A-ZÑ./_-]{0,39}")
_Line = Mapping[str, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Permit:
    folio: str
    trade: str
    place: str
    sector: str
    valid_from: date | None
    valid_until: date
    state: str


def folio_of(text: str) -> str:
    """A folio as it is stored and searched; raises ValueError (Spanish) for what cannot be one."""
    folio = "".join(text.split()).upper()
    if not _FOLIO.fullmatch(folio):
        raise ValueError(f"«{text[:40]}» no es un folio; use letras, números y los signos . / _ -")
    if names_a_person(folio):
        raise ValueError("parece un RUT; aquí van folios de permisos, nunca personas")
    return folio


def read_permits(text: str, file: str) -> tuple[list[Permit], list[Problem]]:
    """Permits in the order of the file; of a folio that comes twice the second line is named."""
    reader = csv.DictReader(io.StringIO(text.lstrip("\ufeff")), delimiter=_delimiter(text), strict=True)
    problems: list[Problem] = []
    kept: dict[str, tuple[int, Permit]] = {}
    try:
        names = [name.strip().lower() for name in reader.fieldnames or ()]
        reader.fieldnames = names
        if why := _wrong_columns(names):
            return [], [Problem(file, 1, why)]
        for line in reader:
            if reader.line_num > MAX_LINES:
                problems.append(
                    Problem(file, reader.line_num, f"más de {MAX_LINES} líneas; divida el archivo")
                )
                break
            try:
                permit = _permit(_whole(line))
            except ValueError as error:
                problems.append(Problem(file, reader.line_num, str(error)))
                continue
            if first := kept.get(permit.folio):
                text = f"«folio»: {permit.folio} ya está en la línea {first[0]}; deje una"
                problems.append(Problem(file, reader.line_num, text))
            else:
                kept[permit.folio] = (reader.line_num, permit)
    except csv.Error as error:
        problems.append(Problem(file, reader.line_num, f"no es CSV ({error}); revise las comillas"))
    return [permit for _, permit in kept.values()], problems


def _wrong_columns(names: list[str]) -> str:
    for name in names:
        if any(word in name for word in _PERSONAL):
            return f"la columna «{name}» puede identificar personas; quítela: solo van folios y lugares"
    if missing := [name for name in NEEDED if name not in names]:
        wanted = ",".join(COLUMNS)
        return f"falta la columna «{missing[0]}»; la primera línea es {wanted} (las tres últimas, opcionales)"
    if unknown := [name for name in names if name not in COLUMNS]:
        return f"la columna «{unknown[0]}» no se conoce; quítela o use {','.join(COLUMNS)}"
    return ""


def _delimiter(text: str) -> str:
    """Spreadsheets in Chile write semicolons."""
    first = text.partition("\n")[0]
    return ";" if first.count(";") > first.count(",") else ","


def _whole(line: Mapping[str | None, str | None]) -> _Line:
    if None in line:
        raise ValueError("hay más valores que columnas; revise comas y comillas")
    if absent := [str(name) for name, value in line.items() if value is None]:
        raise ValueError(f"falta el valor de «{absent[0]}»; revise comas y comillas")
    return {str(name): str(value).strip() for name, value in line.items()}


def _permit(line: _Line) -> Permit:
    state = line.get("estado", "").lower()
    if state not in STATES:
        raise ValueError(f"«estado»: «{state}» debe ser vigente, suspendido o caducado")
    try:
        folio = folio_of(line["folio"])
    except ValueError as error:
        raise ValueError(f"«folio»: {error}") from None
    permit = Permit(
        folio=folio,
        trade=_text(line, "rubro", is_needed=True),
        place=_text(line, "lugar", is_needed=True),
        sector=_text(line, "sector"),
        valid_from=_day(line, "desde") if line.get("desde") else None,
        valid_until=_day(line, "hasta"),
        state=STATES[state],
    )
    if permit.valid_from is not None and permit.valid_from > permit.valid_until:
        raise ValueError(f"«hasta»: {permit.valid_until} es anterior a «desde»; inviértalas")
    return permit


def _text(line: _Line, name: str, *, is_needed: bool = False) -> str:
    text = line.get(name, "")
    if (is_needed and not text) or len(text) > 120 or not text.isprintable():
        raise ValueError(f"«{name}»: debe tener entre {int(is_needed)} y 120 caracteres que se puedan leer")
    if names_a_person(text):
        raise ValueError(f"«{name}»: contiene un RUT; bórrelo: solo van folios y lugares")
    return text


def _day(line: _Line, name: str) -> date:
    """2026-12-31 or 31-12-2026, as spreadsheets write it."""
    text = line[name].replace("/", "-")
    parts = text.split("-")
    if len(parts) == 3 and len(parts[2]) == 4:
        text = "-".join(part.zfill(2) for part in reversed(parts))
    try:
        found = date.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or not 2000 <= found.year <= 2200:
        raise ValueError(f"«{name}»: «{line[name]}» no es una fecha; escriba 2026-12-31 o 31-12-2026")
    return found
