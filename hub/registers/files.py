"""Registers from and to CSV: good lines are kept if asked, each bad one is named with its line and remedy."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from hub.database import Pool
from hub.nodes import Problem
from hub.registers import service
from hub.registers.model import Register, RegisterError
from hub.registers.service import Entry
from hub.registers.values import read, typed

MAX_LINES = 100_000
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True, slots=True)
class Line:
    number: int
    folio: str
    values: Mapping[str, Any]


def parse(register: Register, text: str, file: str) -> tuple[list[Line], list[Problem]]:
    """The lines of a CSV (comma or semicolon, Spanish titles) that can be written, and the others. Pure."""
    text = text.removeprefix("\ufeff")
    head = text.partition("\n")[0]
    reader = csv.reader(io.StringIO(text), delimiter=";" if head.count(";") > head.count(",") else ",")
    try:
        titles = [title.strip().casefold() for title in next(reader)]
    except StopIteration:
        return [], [Problem(file, 1, "el archivo está vacío; la primera línea son los títulos")]
    known = {field.title.casefold(): field.name for field in register.fields} | {"folio": "folio"}
    problems = [
        Problem(file, 1, f"no existe la columna «{title}»; las hay: {', '.join(known)}")
        for title in titles
        if title not in known
    ]
    missing = [f.title for f in register.fields if f.is_needed and f.title.casefold() not in titles]
    problems += [Problem(file, 1, f"falta la columna «{title}»") for title in missing]
    if problems:
        return [], problems
    lines: list[Line] = []
    for cells in reader:
        number = reader.line_num
        if not any(cell.strip() for cell in cells):
            continue
        if len(lines) >= MAX_LINES:
            return lines, [*problems, Problem(file, number, f"tiene más de {MAX_LINES} líneas; divídalo")]
        if len(cells) != len(titles):
            text_ = f"tiene {len(cells)} celdas y los títulos son {len(titles)}"
            problems.append(Problem(file, number, text_))
            continue
        words = {known[title]: _bare(cell) for title, cell in zip(titles, cells, strict=True)}
        values, mistakes = read(register, words)
        problems += [Problem(file, number, str(mistake)) for mistake in mistakes]
        if not mistakes:
            lines.append(Line(number, words.get("folio", "").strip(), values))
    return lines, problems


def _bare(cell: str) -> str:
    """Without the mark that keeps a spreadsheet from running a cell."""
    return cell[1:] if cell.startswith("'") and cell[1:].startswith(_FORMULA) else cell


async def store(
    pool: Pool,
    register: Register,
    lines: Sequence[Line],
    file: str,
    *,
    author: str,
    now: datetime,
    is_partial: bool,
) -> tuple[int, list[Problem]]:
    """Write lines one by one: how many went in, and why the others did not.

    A line with a folio changes that entry. Unless ``is_partial``, one that is refused takes all back.
    """
    done: int = 0
    problems: list[Problem] = []
    async with pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        for line in lines:
            try:
                await service.write(
                    connection, register, line.values, author=author, now=now, folio=line.folio
                )
            except RegisterError as error:
                problems.append(Problem(file, line.number, str(error)))
            else:
                done += 1
        if problems and not is_partial:
            await transaction.rollback()
            return 0, problems
        await transaction.commit()
    return done, problems


def as_csv(register: Register, entries: Iterable[Entry]) -> str:
    """RFC 4180 with a byte order mark; what :func:`parse` reads."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(["folio", *(field.title for field in register.fields)])
    for entry in entries:
        cells = (typed(field, entry.values[field.name]) for field in register.fields)
        writer.writerow([entry.folio, *map(_safe, cells)])
    return "\ufeff" + out.getvalue()


def rows_as_csv(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows of a query; without any, only the byte order mark and a line that says so."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(rows[0].keys() if rows else ["sin datos en estas fechas"])
    for row in rows:
        writer.writerow(["" if cell is None else _safe(str(cell)) for cell in row.values()])
    return "\ufeff" + out.getvalue()


def _safe(cell: str) -> str:
    """A spreadsheet runs a cell that begins like a formula; a negative number is none."""
    is_number = cell[:1] == "-" and cell[1:].replace(".", "", 1).isdigit()
    return f"'{cell}" if cell.startswith(_FORMULA) and not is_number else cell
