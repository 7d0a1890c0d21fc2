"""CSV and TOML files into rows of text. Never raises: what cannot be read is a problem of the report."""

import csv
import re
import tomllib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hub.devices.import_fields import (
    DEVICE_FIELDS,
    GATEWAY_FIELDS,
    REQUIRED,
    FieldError,
    Problem,
    quoted,
)

MAX_FILE_BYTES = 16 * 1024 * 1024
MAX_LINE_LENGTH = 4096
_LINE_END = re.compile(r"\r\n|\n|\r")
_SAVE_AS_UTF8 = "Guárdelo como «CSV UTF-8»."


@dataclass(frozen=True, slots=True)
class Row:
    """One device or gateway as it was written; ``cells`` by column name."""

    line: int
    cells: Mapping[str, str]


@dataclass(slots=True)
class Sheet:
    """What a file holds."""

    devices: list[Row] = field(default_factory=list)
    gateways: list[Row] = field(default_factory=list)
    unknown_columns: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    def unknown(self, names: Collection[str]) -> None:
        self.unknown_columns.extend(n for n in names if n not in self.unknown_columns)


def read_sheet(file_name: str, raw: bytes) -> Sheet:
    """The rows of a file: TOML by its ending ``.toml``, else CSV."""
    sheet = Sheet()
    if len(raw) > MAX_FILE_BYTES:
        sheet.problems.append(Problem(None, "el archivo supera los 16 MB", "Divídalo en varios."))
    elif file_name.lower().endswith(".toml"):
        _read_toml(raw, sheet)
    else:
        _read_csv(raw, sheet)
    return sheet


# ---------------------------------------------------------------------------------------------- CSV


def _read_csv(raw: bytes, sheet: Sheet) -> None:
    if raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
        sheet.problems.append(Problem(None, "el archivo está en UTF-16", _SAVE_AS_UTF8))
        return
    text = raw.decode("utf-8-sig", "surrogateescape")
    # Line by line, so that a forgotten quotation mark costs its own line only.
    lines = [(n, line) for n, line in enumerate(_LINE_END.split(text), 1) if line.strip(" \t;,")]
    if not lines:
        sheet.problems.append(Problem(None, "el archivo está vacío", "Agregue un encabezado y filas."))
        return
    header_line, header_text = lines[0]
    separator = ";" if header_text.count(";") >= header_text.count(",") else ","
    try:
        header = _header(_split(header_text, separator), sheet)
    except FieldError as error:
        sheet.problems.append(Problem(header_line, error.problem, error.remedy))
        return
    for number, line in lines[1:]:
        try:
            sheet.devices.append(Row(number, _cells(header, _split(line, separator))))
        except FieldError as error:
            sheet.problems.append(Problem(number, error.problem, error.remedy))


def _header(cells: Sequence[str], sheet: Sheet) -> list[str]:
    header = [" ".join(cell.split()).lower() for cell in cells]
    missing = [name for name in REQUIRED if name not in header]
    if missing:
        raise FieldError(
            f"en el encabezado falta: {', '.join(missing)}",
            f"La primera línea nombra las columnas: {', '.join(DEVICE_FIELDS)}.",
        )
    repeated = sorted({name for name in header if name and header.count(name) > 1})
    if repeated:
        raise FieldError(f"columna repetida: {quoted(', '.join(repeated))}", "Deje una sola de cada una.")
    sheet.unknown([name for name in header if name and name not in DEVICE_FIELDS])
    return header


def _split(line: str, separator: str) -> list[str]:
    if len(line) > MAX_LINE_LENGTH:
        raise FieldError("la línea es demasiado larga", "Revise comillas y saltos de línea.")
    if any("\udc80" <= c <= "\udcff" for c in line):
        raise FieldError("hay caracteres que no están en UTF-8", _SAVE_AS_UTF8)
    try:
        return next(csv.reader([line], delimiter=separator, strict=True, skipinitialspace=True))
    except (csv.Error, StopIteration):
        raise FieldError("las comillas no calzan", "Cierre cada comilla en la misma línea.") from None


def _cells(header: Sequence[str], cells: Sequence[str]) -> dict[str, str]:
    if any(cell.strip() for cell in cells[len(header) :]):
        raise FieldError(
            f"tiene {len(cells)} columnas y el encabezado {len(header)}",
            "Si usa coma decimal, separe las columnas con punto y coma.",
        )
    return {name: cell for name, cell in zip(header, cells, strict=False) if name in DEVICE_FIELDS}


# --------------------------------------------------------------------------------------------- TOML


def _read_toml(raw: bytes, sheet: Sheet) -> None:
    try:
        text = raw.decode("utf-8-sig")
        tables = tomllib.loads(text)
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        sheet.problems.append(Problem(line, "el archivo no está en UTF-8", "Guárdelo como UTF-8."))
    except (ValueError, RecursionError) as error:
        found = re.search(r"at line ([0-9]+)", str(error))
        sheet.problems.append(
            Problem(int(found[1]) if found else None, "la sintaxis TOML no es válida", "Corrija esa línea.")
        )
    else:
        sheet.unknown([name for name in tables if name not in ("gateways", "devices")])
        sheet.gateways.extend(_rows(text, tables, "gateways", GATEWAY_FIELDS, sheet))
        sheet.devices.extend(_rows(text, tables, "devices", DEVICE_FIELDS, sheet))


def _rows(
    text: str,
    tables: Mapping[str, Any],
    name: str,
    fields: Mapping[str, tuple[str, Callable[[str], Any]]],
    sheet: Sheet,
) -> list[Row]:
    listed = tables.get(name, [])
    if not isinstance(listed, list):
        sheet.problems.append(Problem(None, f"«{name}» no es una lista", f"Escriba [[{name}]]."))
        return []
    lines = [text.count("\n", 0, m.end()) + 1 for m in re.finditer(rf"(?m)^\s*\[\[\s*{name}\s*\]\]", text)]
    rows = []
    for index, table in enumerate(listed):
        line = lines[index] if index < len(lines) else index + 1
        try:
            rows.append(Row(line, _texts(table, fields)))
            sheet.unknown([key for key in table if key not in fields])
        except FieldError as error:
            sheet.problems.append(Problem(line, error.problem, error.remedy))
    return rows


def _texts(table: object, fields: Mapping[str, object]) -> dict[str, str]:
    if not isinstance(table, dict):
        raise FieldError("no es una tabla", "Escriba cada dispositivo bajo [[devices]].")
    return {key: _text(key, value) for key, value in table.items() if key in fields}


def _text(key: str, value: object) -> str:
    if isinstance(value, float):
        return f"{value:.10f}"
    if isinstance(value, str) or (isinstance(value, int) and not isinstance(value, bool)):
        return str(value)[:MAX_LINE_LENGTH]
    raise FieldError(f"{key}: el valor no es texto ni número", "Escríbalo entre comillas.")
