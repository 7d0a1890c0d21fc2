"""The list of people as a CSV file: read line by line, and written again. Pure."""

import csv
import io
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, time
from itertools import zip_longest
from typing import Any

from hub.devices.import_fields import FieldError, Problem, quoted
from hub.notify.phones import normal_phone

REQUIRED = ("name", "phone")
ROLES = ("base", "guia", "suplente")
SIGNALS = ("buena", "regular", "mala")
WAYS = ("papel", "sms", "presencial", "web")
"""How somebody agreed."""
MAX_LABEL_CHARS = 120
MAX_LINE_CHARS = 4096
MAX_FILE_CHARS = 16 * 1024 * 1024

_YES = frozenset(("si", "s", "1", "true", "x"))
_NO = frozenset(("no", "n", "0", "false", ""))
_TIME = re.compile(r"([01]?[0-9]|2[0-3]):([0-5][0-9])\Z")


@dataclass(frozen=True, kw_only=True, slots=True)
class Consent:
    """That somebody agreed to be told: when (local day), how, what proves it, who took it."""

    day: date
    how: str
    proof: str
    author: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Contact:
    """A person of the list; ``phone`` is E.164. None: the list has no such column."""

    name: str
    phone: str
    watch_group: str | None = None
    cell: str | None = None
    place: str | None = None
    role: str | None = None
    call_order: int | None = None
    call_sign: str | None = None
    signal: str | None = None
    quiet_from: time | None = None
    quiet_until: time | None = None
    bulletins: bool | None = None
    consent: Consent | None = None


@dataclass(frozen=True, slots=True)
class PeopleFile:
    """``contacts`` in order of their phones; ``columns`` are those that the file has."""

    contacts: Sequence[Contact]
    problems: Sequence[Problem]
    columns: frozenset[str] = frozenset()


def read_csv(text: str) -> tuple[Sequence[Contact], Sequence[Problem]]:
    """The people of a list, and what is wrong with it."""
    read = read_people(text)
    return read.contacts, read.problems


def read_people(text: str) -> PeopleFile:
    """A bad line costs itself only."""
    if len(text) > MAX_FILE_CHARS:
        return _refused(None, "el archivo supera los 16 MB", "Divídalo en varios.")
    # line by line, so that a forgotten quotation mark costs its own line only
    lines = [
        (n, line) for n, line in enumerate(text.removeprefix("\ufeff").splitlines(), 1) if line.strip(" \t;,")
    ]
    if not lines:
        return _refused(None, "el archivo está vacío", f"La primera línea dice: {','.join(COLUMNS)}.")
    first_number, first = lines[0]
    separator = ";" if first.count(";") >= first.count(",") else ","
    try:
        header = _header(_split(first, separator))
    except FieldError as error:
        return _refused(first_number, error.problem, error.remedy)
    contacts: dict[str, Contact] = {}
    problems: list[Problem] = []
    for number, line in lines[1:]:
        try:
            _add(contacts, _contact(dict(_cells(header, _split(line, separator)))))
        except FieldError as error:
            problems.append(Problem(number, error.problem, error.remedy))
    found = [contacts[phone] for phone in sorted(contacts)]
    return PeopleFile(found, problems, frozenset(header) & frozenset(COLUMNS))


def _refused(line: int | None, problem: str, remedy: str) -> PeopleFile:
    return PeopleFile([], [Problem(line, problem, remedy)])


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


# ------------------------------------------------------------------------------------------ fields


def _contact(cells: Mapping[str, str]) -> Contact:
    values: dict[str, Any] = {name: read(cells[name]) for name, read in _FIELDS.items() if name in cells}
    if ("quiet_from" in values or "quiet_until" in values) and (
        (values.get("quiet_from") is None) != (values.get("quiet_until") is None)
    ):
        raise FieldError("las horas de descanso van de a dos", "Escriba quiet_from y quiet_until, o ninguna.")
    return Contact(**values, phone=normal_phone(cells.get("phone", "")), consent=_consent(cells))


def _name(text: str) -> str:
    name = _label("el nombre", text)
    if not name:
        raise FieldError("falta el nombre", "Escriba cómo se llama la persona.")
    return name


def _label(what: str, text: str) -> str:
    label = unicodedata.normalize("NFC", " ".join(text.split()))
    if len(label) > MAX_LABEL_CHARS:
        raise FieldError(f"{what} tiene {len(label)} caracteres", f"Acórtelo a {MAX_LABEL_CHARS} o menos.")
    if not label.isprintable():
        raise FieldError(f"{what} {quoted(label)} no se puede mostrar", "Escríbalo de nuevo.")
    return label


def _labelled(what: str) -> Callable[[str], str]:
    return lambda text: _label(what, text)


def _plain(text: str) -> str:
    """Without accents and case: «Guía» is ``guia``."""
    bare = unicodedata.normalize("NFKD", text.strip().casefold())
    return "".join(c for c in bare if not unicodedata.combining(c))


def _one_of(what: str, known: tuple[str, ...]) -> Callable[[str], str]:
    def read(text: str) -> str:
        word = _plain(text)
        if word and word not in known:
            raise FieldError(f"no se conoce {what} {quoted(text.strip())}", f"Use {', '.join(known)}.")
        return word

    return read


def _order(text: str) -> int | None:
    word = text.strip()
    if not word:
        return None
    if not re.fullmatch(r"[0-9]{1,3}", word) or int(word) == 0:
        raise FieldError(f"el orden de llamado {quoted(word)} no es un número", "Escriba de 1 a 999.")
    return int(word)


def _time(text: str) -> time | None:
    word = text.strip()
    if not word:
        return None
    if not (match := _TIME.match(word)):
        raise FieldError(f"la hora {quoted(word)} no se entiende", "Escriba por ejemplo 23:30.")
    return time(int(match[1]), int(match[2]))


def _yes(text: str) -> bool:
    word = _plain(text)
    if word not in _YES | _NO:
        raise FieldError(f"{quoted(text.strip())} no es ni sí ni no", "Escriba si o no.")
    return word in _YES


def _consent(cells: Mapping[str, str]) -> Consent | None:
    given = {name: cells.get(name, "").strip() for name in _CONSENT}
    if not any(given.values()):
        return None
    if not (given["consent_on"] and given["consent_how"] and given["consent_by"]):
        raise FieldError(
            "el consentimiento está incompleto", "Escriba consent_on (día), consent_how y consent_by (quién)."
        )
    return Consent(
        day=_day(given["consent_on"]),
        how=_one_of("la forma de consentir", WAYS)(given["consent_how"]),
        proof=_label("la prueba", given["consent_proof"]),
        author=_label("quién tomó el consentimiento", given["consent_by"]),
    )


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise FieldError(f"el día {quoted(text)} no se entiende", "Escriba por ejemplo 2026-11-24.") from None


_FIELDS: Mapping[str, Callable[[str], Any]] = {
    "name": _name,
    "watch_group": _labelled("el grupo"),
    "cell": _labelled("la célula"),
    "place": _labelled("el lugar"),
    "role": _one_of("el rol", ROLES),
    "call_order": _order,
    "call_sign": _labelled("el indicativo"),
    "signal": _one_of("la señal", SIGNALS),
    "quiet_from": _time,
    "quiet_until": _time,
    "bulletins": _yes,
}
_CONSENT = ("consent_on", "consent_how", "consent_by", "consent_proof")
COLUMNS = ("name", "phone", *(name for name in _FIELDS if name != "name"), *_CONSENT)
"""Columns of a list, in the order in which they are exported."""


def write_csv(rows: Iterable[Mapping[str, Any]]) -> str:
    """Rows with the keys of :data:`COLUMNS` as a file that :func:`read_people` takes unchanged."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows([_cell(row[name]) for name in COLUMNS] for row in rows)
    return out.getvalue()


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "si" if value else "no"
    if isinstance(value, time):
        return f"{value:%H:%M}"
    return "" if value is None else str(value)
