"""What each column of a device list may hold; problems and remedies are Spanish, for the list's author."""

import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from edge import contract
from hub.devices.registry import MAX_SOURCE_LENGTH

DEFAULT_SILENT_AFTER_S = 180
MAX_SILENT_AFTER_S = 366 * 86_400
MAX_LABEL_LENGTH = 120
GATEWAY_KIND = "gateway"

_SHORT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}\Z")
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[!-~]+\Z")
_KIND = re.compile(r"[a-z][a-z0-9_]{0,39}\Z")
_DECIMAL = re.compile(r"[+-]?[0-9]{1,3}(?:[.,][0-9]{0,20})?\Z")
_WHOLE = re.compile(r"[0-9]{1,9}\Z")


class FieldError(ValueError):
    """A cell cannot be used: what is wrong with it, and what to do."""

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(problem)
        self.problem = problem
        self.remedy = remedy


@dataclass(frozen=True, slots=True)
class Problem:
    """``line`` is None when the whole file is meant."""

    line: int | None
    problem: str
    remedy: str


def quoted(text: str) -> str:
    """The text as a person may read it on a terminal, cut short."""
    shown = "".join(c if c.isprintable() else "�" for c in text[:40])
    return f"«{shown}{'…' if len(text) > 40 else ''}»"


def _source(text: str) -> str:
    if not text:
        raise FieldError("falta el nombre del dispositivo", "Escriba un nombre corto, por ejemplo boton-12.")
    source = contract.device_urn(text)
    if not (_URI if ":" in text else _SHORT_NAME).match(text) or len(source) > MAX_SOURCE_LENGTH:
        raise FieldError(
            f"{quoted(text)} no sirve como nombre de dispositivo",
            "Use solo letras sin tilde, números, punto, guion y guion bajo, o una URI completa.",
        )
    return source


def _gateway(text: str) -> str:
    if not text:
        raise FieldError(
            "falta el gateway", "Escriba el nombre del equipo que transmite por este dispositivo."
        )
    try:
        return contract.check_gateway(text)
    except contract.ContractError:
        raise FieldError(
            f"{quoted(text)} no sirve como nombre de gateway",
            "Use de 1 a 63 minúsculas sin tilde, números y guiones.",
        ) from None


def _kind(text: str) -> str:
    kind = text.lower().replace(" ", "_").replace("-", "_") or "other"
    if not _KIND.match(kind):
        raise FieldError(
            f"{quoted(text)} no sirve como tipo",
            "Use minúsculas sin tilde, números y guion bajo, por ejemplo panic_button.",
        )
    return kind


def _label(text: str) -> str:
    label = unicodedata.normalize("NFC", text)
    if len(label) > MAX_LABEL_LENGTH:
        raise FieldError(f"el texto tiene {len(label)} caracteres", f"Acórtelo a {MAX_LABEL_LENGTH} o menos.")
    if not label.isprintable():
        raise FieldError(
            f"{quoted(text)} tiene caracteres que no se pueden mostrar", "Escriba el texto de nuevo."
        )
    return label


def _degrees(limit: int) -> Callable[[str], float | None]:
    def degrees(text: str) -> float | None:
        if not text:
            return None
        plain = text.replace("\N{MINUS SIGN}", "-").removesuffix("°")
        if not _DECIMAL.match(plain):
            raise FieldError(f"{quoted(text)} no es una coordenada", "Escriba grados decimales: -34,3921.")
        value = float(plain.replace(",", "."))
        if abs(value) > limit:
            raise FieldError(f"{quoted(text)} está fuera de rango", f"Debe estar entre -{limit} y {limit}.")
        return value

    return degrees


def _seconds(text: str) -> int:
    if not text:
        return DEFAULT_SILENT_AFTER_S
    if not _WHOLE.match(text) or not 0 < int(text) <= MAX_SILENT_AFTER_S:
        raise FieldError(
            f"{quoted(text)} no es un plazo en segundos",
            f"Escriba un número entero entre 1 y {MAX_SILENT_AFTER_S}, o deje la celda vacía.",
        )
    return int(text)


DEVICE_FIELDS: dict[str, tuple[str, Callable[[str], Any]]] = {
    "device": ("source", _source),
    "gateway": ("gateway", _gateway),
    "kind": ("kind", _kind),
    "name": ("name", _label),
    "place": ("place", _label),
    "sector": ("sector", _label),
    "latitude": ("latitude", _degrees(90)),
    "longitude": ("longitude", _degrees(180)),
    "watch_group": ("watch_group", _label),
    "silent_after_s": ("silent_after_s", _seconds),
}
"""Column to the field of :class:`hub.devices.registry.Device` and how its text is read."""

GATEWAY_FIELDS: dict[str, tuple[str, Callable[[str], Any]]] = {
    "gateway": ("gateway", _gateway),
    "name": ("name", _label),
}
REQUIRED = ("device", "gateway")


def parse_cells(
    line: int, cells: Mapping[str, str], fields: Mapping[str, tuple[str, Callable[[str], Any]]]
) -> tuple[dict[str, Any], list[Problem]]:
    """The values of one row by field name, and every problem found in it."""
    values: dict[str, Any] = {}
    problems: list[Problem] = []
    for column, (field, parse) in fields.items():
        if column not in cells and column not in REQUIRED:
            continue
        try:
            # any white space, also the no-break space of spreadsheets, counts as one blank
            values[field] = parse(" ".join(cells.get(column, "").split()))
        except FieldError as error:
            problems.append(Problem(line, f"{column}: {error.problem}", error.remedy))
    if not problems and (values.get("latitude") is None) != (values.get("longitude") is None):
        problems.append(
            Problem(line, "hay solo una coordenada", "Escriba latitud y longitud, o ninguna de las dos.")
        )
    return values, problems
