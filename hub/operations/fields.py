"""How the words of an operation's file become values. Errors are Spanish ``ValueError``\\ s. Pure."""

from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation

from hub.nodes import choice
from hub.privacy import names_a_person


def line(text: str) -> str:
    if not text.strip() or len(text) > 400 or not text.isprintable():
        raise ValueError("debe tener entre 1 y 400 caracteres que se puedan mostrar")
    if names_a_person(text):
        raise ValueError("parece un RUT; aquí van lugares y folios, nunca personas")
    return text


def slug(text: str) -> str:
    if not text or len(text) > 60 or not all(sign.isalnum() or sign == "_" for sign in text):
        raise ValueError("escriba una palabra con letras y _, por ejemplo comercio_ambulante")
    return text


def folio(text: str) -> str:
    parts = text.split("-")
    if len(parts) != 3 or not parts[1].isdigit() or not parts[2].isdigit() or not parts[0].isalpha():
        raise ValueError(f"«{text}» no es un folio, por ejemplo OPF-2027-0014")
    return text


def instant(text: str) -> datetime:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise ValueError(f"«{text}» necesita fecha, hora y zona, por ejemplo 2027-01-16T17:00:00-03:00")
    return at.astimezone(UTC)


def instant_or_none(text: str) -> datetime | None:
    return instant(text)


def day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ValueError(f"«{text}» no es una fecha AAAA-MM-DD") from None


def day_or_none(text: str) -> date | None:
    return day(text)


def natural(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or len(text) > 6:
        raise ValueError(f"«{text}» debe ser un número entero, cero o más")
    return int(text)


def quantity(text: str) -> Decimal:
    try:
        value = Decimal(text)
    except InvalidOperation:
        value = Decimal(0)
    if not value.is_finite() or value <= 0 or value > 10**7:
        raise ValueError(f"«{text}» debe ser una cantidad mayor que cero")
    return value


def sha256(text: str) -> str:
    if len(text) != 64 or any(sign not in "0123456789abcdef" for sign in text):
        raise ValueError("debe ser una huella SHA-256: 64 cifras hexadecimales en minúscula")
    return text


def flag(text: str) -> bool:
    return choice("true", "false")(text) == "true"
