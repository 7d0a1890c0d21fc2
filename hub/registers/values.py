"""Words of forms and files into values of fields, and back. Errors are Spanish ``ValueError``\\ s. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from hub.plan.periods import SANTIAGO
from hub.privacy import names_a_person
from hub.registers.model import Field, Register, Sort

MAX_TEXT, MAX_LONG = 300, 8_000
_SHA = re.compile(r"[0-9a-f]{64}")
_FOLIO = re.compile(r"[A-Z]{3}-\d{4}-\d{1,6}")


@dataclass(frozen=True, slots=True)
class Mistake:
    """``field`` is the Spanish title."""

    field: str
    text: str

    def __str__(self) -> str:
        return f"{self.field}: {self.text}" if self.field else self.text


def read(register: Register, words: Mapping[str, str]) -> tuple[dict[str, Any], list[Mistake]]:
    """Values by column from words by column; every mistake, not only the first."""
    values: dict[str, Any] = {}
    mistakes: list[Mistake] = []
    for field in register.fields:
        text = words.get(field.name, "").strip()
        try:
            values[field.name] = value_of(field, text)
        except ValueError as error:
            mistakes.append(Mistake(field.title, str(error)))
    if not mistakes:
        mistakes += [Mistake("", text) for text in contradictions(register, values)]
    return values, mistakes


def value_of(field: Field, text: str) -> Any:
    if not text:
        if field.is_needed:
            raise ValueError("falta")
        return _empty(field)
    if field.sort in _READERS:
        return _READERS[field.sort](text)
    if field.sort is Sort.CHOICE:
        return _choice(field, text)
    return _text(text, MAX_LONG if field.sort is Sort.LONG else MAX_TEXT)


def _empty(field: Field) -> Any:
    if field.sort in (Sort.DAY, Sort.INSTANT):
        return None
    if field.sort in (Sort.COUNT, Sort.MONEY):
        return 0
    if field.sort is Sort.FLAG:
        return False
    return next(iter(field.choices), "") if field.sort is Sort.CHOICE else ""


def _text(text: str, most: int) -> str:
    if len(text) > most:
        raise ValueError(f"pasa de {most} caracteres; acórtelo")
    if not all(sign.isprintable() or sign in "\r\n" for sign in text):
        raise ValueError("tiene signos que no se pueden mostrar; bórrelos")
    if names_a_person(text):
        raise ValueError("parece haber un RUT; aquí van folios, oficinas e instituciones")
    return text.replace("\r\n", "\n")


def _choice(field: Field, text: str) -> str:
    """The code, or the Spanish word that the page shows."""
    for code, label in field.choices.items():
        if text == code or text.casefold() == label.casefold():
            return code
    raise ValueError(f"«{text}» no vale; elija entre {', '.join(filter(None, field.choices.values()))}")


def _day(text: str) -> date:
    for form in ("%Y-%m-%d", "%d-%m-%Y", "%d/%m/%Y"):
        try:
            found = datetime.strptime(text, form).date()  # noqa: DTZ007  (a day has no zone)
        except ValueError:
            continue
        if 2000 <= found.year <= 2200:
            return found
    raise ValueError(f"«{text}» no es una fecha; escriba AAAA-MM-DD")


def _instant(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"«{text}» no es fecha y hora; escriba AAAA-MM-DD HH:MM") from None
    return found if found.tzinfo else found.replace(tzinfo=SANTIAGO)


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or len(text) > 9:
        raise ValueError(f"«{text}» no es un número entero, cero o más")
    return int(text)


def _money(text: str) -> int:
    """Whole pesos; points as thousands and a leading sign are taken."""
    plain = text.removeprefix("$").strip()
    if re.fullmatch(r"\d{1,3}(\.\d{3})+", plain):
        plain = plain.replace(".", "")
    if not (plain.isascii() and plain.isdigit()) or len(plain) > 15:
        raise ValueError(f"«{text}» no es un monto en pesos enteros, por ejemplo 9600000")
    return int(plain)


def _flag(text: str) -> bool:
    word = text.casefold()
    if word in ("sí", "si", "true", "1", "s"):
        return True
    if word in ("no", "false", "0", "n"):
        return False
    raise ValueError(f"«{text}» no vale; escriba sí o no")


def _sha256(text: str) -> str:
    if not _SHA.fullmatch(text):
        raise ValueError("son 64 cifras hexadecimales en minúscula")
    return text


def _folio(text: str) -> str:
    if not _FOLIO.fullmatch(text):
        raise ValueError(f"«{text}» no es un folio, por ejemplo CON-2026-0001")
    return text


_READERS: Mapping[Sort, Any] = {
    Sort.DAY: _day,
    Sort.INSTANT: _instant,
    Sort.COUNT: _count,
    Sort.MONEY: _money,
    Sort.FLAG: _flag,
    Sort.SHA256: _sha256,
    Sort.FOLIO: _folio,
}


def contradictions(register: Register, values: Mapping[str, Any]) -> list[str]:
    """What fields say against each other, and what to do."""
    found = []
    for first, last, text in (
        ("starts_on", "ends_on", "el término va después del inicio"),
        ("received_on", "due_on", "el plazo va después de la recepción"),
        ("received_on", "answered_on", "la respuesta va después de la recepción"),
        ("referred_on", "accepted_on", "la aceptación va después de la derivación"),
    ):
        a, b = values.get(first), values.get(last)
        if a is not None and b is not None and b < a:
            found.append(text)
    if register.id == "derivaciones":
        if values["referred_on"] and not values["has_consent"]:
            found.append("sin consentimiento no se deriva: borre la fecha o registre el consentimiento")
        if values["has_consent"] and not values["consent_how"]:
            found.append("diga cómo consintió y con qué prueba")
        if values["accepted_on"] and not values["referred_on"]:
            found.append("una aceptación necesita la fecha en que se derivó")
    if register.id == "requerimientos" and bool(values["answered_on"]) != bool(values["outcome"]):
        found.append("la respuesta lleva fecha y resultado, o ninguno")
    if register.id == "sesiones" and (values["state"] == "cancelled") != bool(values["cancelled_because"]):
        found.append("una sesión suspendida lleva su motivo, y solo ella")
    return found


def shown(field: Field, value: Any) -> str:
    """As people read it; empty where there is nothing."""
    if value is None or value == "":
        return ""
    if field.sort is Sort.DAY:
        return f"{value:%d-%m-%Y}"
    if field.sort is Sort.INSTANT:
        return f"{value.astimezone(SANTIAGO):%d-%m-%Y %H:%M}"
    if field.sort is Sort.MONEY:
        return f"$ {value:,}".replace(",", ".")
    if field.sort is Sort.FLAG:
        return "sí" if value else "no"
    return field.choices.get(value, str(value)) if field.choices else str(value)


def typed(field: Field, value: Any) -> str:
    """As a form's field takes it, and as a CSV has it."""
    if value is None:
        return ""
    if field.sort is Sort.DAY:
        return str(value.isoformat())
    if field.sort is Sort.INSTANT:
        return f"{value.astimezone(SANTIAGO):%Y-%m-%dT%H:%M}"
    if field.sort is Sort.FLAG:
        return "sí" if value else "no"
    return str(value)
