"""Import of the people who are warned: a CSV file; a bad line never stops the others."""

import csv
import logging
import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import zip_longest

import phonenumbers

from hub.database import Pool
from hub.devices.import_fields import FieldError, Problem, quoted

log = logging.getLogger(__name__)

COLUMNS = ("name", "phone", "watch_group")
REQUIRED = ("name", "phone")
MAX_LABEL_CHARS = 120
MAX_LINE_CHARS = 4096
MAX_FILE_CHARS = 16 * 1024 * 1024

# Chilean mobiles and landlines are one kind to phonenumbers: only the shape tells who can read an SMS.
_MOBILE = re.compile(r"\+569[0-9]{8}\Z")
# Any phone that a person may have written; stops letters, which phonenumbers would dial as a keypad does.
_WRITTEN = re.compile(r"\+?[0-9][0-9 ().\-/]*\Z|\([0-9][0-9 ().\-/]*\Z")


@dataclass(frozen=True, slots=True)
class Report:
    """What an import did; ``problems`` are Spanish, for the list's author."""

    created: int = 0
    updated: int = 0
    unchanged: int = 0
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True)
class Contact:
    """A person of the list; ``phone`` is E.164; ``watch_group`` None where the list has no such column."""

    name: str
    phone: str
    watch_group: str | None


def normal_phone(text: str) -> str:
    """A Chilean mobile as E.164; raises :class:`FieldError` for anything that gets no SMS."""
    written = " ".join(unicodedata.normalize("NFKC", text).split())
    if not written:
        raise FieldError("falta el teléfono", "Escriba el celular, por ejemplo +56987654321.")
    if not _WRITTEN.match(written):
        raise FieldError("el teléfono tiene caracteres que no son de un número", "Escriba solo el número.")
    digits = re.sub(r"[^0-9+]", "", written)
    if _is_short(digits):
        raise FieldError(
            f"{digits} es un número de emergencia o de servicio", "Escriba el celular de la persona."
        )
    # "09-8765 4321" is how mobiles were dialled until 2018; kept, the 0 makes a number of ten digits
    national = digits[1:] if digits.startswith("0") and not digits.startswith("00") else digits
    try:
        number = phonenumbers.parse(national, "CL")
    except phonenumbers.NumberParseException:
        raise FieldError("el teléfono no es un número posible", "Revise las cifras.") from None
    phone = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    if not phonenumbers.is_valid_number(number) or not _MOBILE.match(phone):
        raise FieldError(
            "el teléfono no es un celular chileno que exista",
            "Debe tener la forma +569 y ocho cifras; los fijos no reciben SMS.",
        )
    return phone


def _is_short(digits: str) -> bool:
    number = phonenumbers.PhoneNumber(country_code=56, national_number=int(digits.lstrip("+") or 0))
    return len(digits) <= 5 or phonenumbers.is_valid_short_number_for_region(number, "CL")


async def import_csv(pool: Pool, text: str) -> Report:
    """Import ``text`` (columns name, phone and, if wanted, watch_group); the phone tells who is who.

    Importing a list again changes nothing. Who is not in it stays as they are, who was switched off stays
    off, and a list without groups leaves the groups alone.
    """
    contacts, problems = read_csv(text)
    rows = await pool.fetch(
        _UPSERT,
        [c.name for c in contacts],
        [c.phone for c in contacts],
        [c.watch_group for c in contacts],
    )
    created = sum(row["is_new"] for row in rows)
    report = Report(
        created=created,
        updated=len(rows) - created,
        unchanged=len(contacts) - len(rows),
        problems=tuple(problems),
    )
    log.info(
        "contacts imported: %d created, %d updated, %d unchanged, %d problems",
        report.created,
        report.updated,
        report.unchanged,
        len(report.problems),
    )
    return report


_UPSERT = """
insert into contacts (name, phone, watch_group)
select n.name, n.phone, coalesce(n.watch_group, old.watch_group, '')
from unnest($1::text[], $2::text[], $3::text[]) as n (name, phone, watch_group)
left join contacts old using (phone)
on conflict (phone) do update set name = excluded.name, watch_group = excluded.watch_group
  where (contacts.name, contacts.watch_group) is distinct from (excluded.name, excluded.watch_group)
returning xmax = 0 as is_new
"""


def read_csv(text: str) -> tuple[list[Contact], list[Problem]]:
    """The people of a list in order of their phones, and what is wrong with it. Pure."""
    if len(text) > MAX_FILE_CHARS:
        return [], [Problem(None, "el archivo supera los 16 MB", "Divídalo en varios.")]
    # line by line, so that a forgotten quotation mark costs its own line only
    lines = [
        (n, line) for n, line in enumerate(text.removeprefix("\ufeff").splitlines(), 1) if line.strip(" \t;,")
    ]
    if not lines:
        return [], [Problem(None, "el archivo está vacío", f"La primera línea dice: {','.join(COLUMNS)}.")]
    first_number, first = lines[0]
    separator = ";" if first.count(";") >= first.count(",") else ","
    try:
        header = _header(_split(first, separator))
    except FieldError as error:
        return [], [Problem(first_number, error.problem, error.remedy)]
    contacts: dict[str, Contact] = {}
    problems: list[Problem] = []
    for number, line in lines[1:]:
        try:
            _add(contacts, _contact(dict(_cells(header, _split(line, separator)))))
        except FieldError as error:
            problems.append(Problem(number, error.problem, error.remedy))
    return [contacts[phone] for phone in sorted(contacts)], problems


def _add(contacts: dict[str, Contact], contact: Contact) -> None:
    if contact.phone in contacts:
        raise FieldError("el teléfono está repetido en el archivo", "Vale la primera línea.")
    contacts[contact.phone] = contact


def _header(cells: list[str]) -> list[str]:
    header = [" ".join(cell.split()).lower() for cell in cells]
    missing = [name for name in REQUIRED if name not in header]
    if missing:
        raise FieldError(
            f"en el encabezado falta: {', '.join(missing)}",
            f"La primera línea nombra las columnas: {', '.join(COLUMNS)}.",
        )
    return header


def _split(line: str, separator: str) -> list[str]:
    if len(line) > MAX_LINE_CHARS:
        raise FieldError("la línea es demasiado larga", "Revise comillas y saltos de línea.")
    try:
        return next(csv.reader([line], delimiter=separator, strict=True, skipinitialspace=True))
    except (csv.Error, StopIteration):
        raise FieldError("las comillas no calzan", "Cierre cada comilla en la misma línea.") from None


def _cells(header: list[str], cells: list[str]) -> Iterator[tuple[str, str]]:
    if any(cell.strip() for cell in cells[len(header) :]):
        raise FieldError(
            f"tiene {len(cells)} columnas y el encabezado {len(header)}", "Revise los separadores."
        )
    # a short line lacks its last cells, not its last columns
    return (
        (name, cell)
        for name, cell in zip_longest(header, cells[: len(header)], fillvalue="")
        if name in COLUMNS
    )


def _contact(cells: Mapping[str, str]) -> Contact:
    name = _label("el nombre", cells.get("name", ""))
    if not name:
        raise FieldError("falta el nombre", "Escriba cómo se llama la persona.")
    return Contact(
        name=name,
        phone=normal_phone(cells.get("phone", "")),
        watch_group=_label("el grupo", cells["watch_group"]) if "watch_group" in cells else None,
    )


def _label(what: str, text: str) -> str:
    label = unicodedata.normalize("NFC", " ".join(text.split()))
    if len(label) > MAX_LABEL_CHARS:
        raise FieldError(f"{what} tiene {len(label)} caracteres", f"Acórtelo a {MAX_LABEL_CHARS} o menos.")
    if not label.isprintable():
        raise FieldError(f"{what} {quoted(label)} no se puede mostrar", "Escríbalo de nuevo.")
    return label


def render_report(report: Report) -> str:
    """The report as people read it, in Spanish, one finding a line."""
    lines = [
        f"Contactos: {report.created} nuevos, {report.updated} actualizados, {report.unchanged} sin cambios."
    ]
    lines += [
        f"{'Archivo' if p.line is None else f'Línea {p.line}'}: {p.problem}. {p.remedy}"
        for p in report.problems
    ]
    if report.problems:
        lines.append(f"Con problemas: {len(report.problems)}. Lo demás quedó guardado.")
    return "\n".join(lines)
