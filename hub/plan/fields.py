"""How the words of a plan's file become values. Errors are Spanish ``ValueError``\\ s. Pure."""

import re
from datetime import date

from hub.nodes import number

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")
MAX_TEXT = 600


def identifier(text: str) -> str:
    if not _ID.fullmatch(text):
        raise ValueError(f"«{text}» no sirve de código; use letras sin tilde, números, - y _")
    return text


def line(text: str) -> str:
    """Some text, not empty, that a screen can show."""
    if not all(sign.isprintable() or sign == "\n" for sign in text):
        raise ValueError("tiene signos que no se pueden mostrar; bórrelos")
    if not text.strip() or len(text) > MAX_TEXT:
        raise ValueError(f"debe tener entre 1 y {MAX_TEXT} caracteres")
    return text


def day(text: str) -> date:
    try:
        found = date.fromisoformat(text)
    except ValueError:
        raise ValueError(f"«{text}» no es una fecha; escriba AAAA-MM-DD, por ejemplo 2026-12-01") from None
    if len(text) != 10 or not 2000 <= found.year <= 2200:
        raise ValueError(f"«{text}» debe ser AAAA-MM-DD entre 2000 y 2200")
    return found


def natural(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or len(text) > 15:
        raise ValueError(f"«{text}» debe ser un número entero sin puntos ni signo, por ejemplo 9600000")
    return int(text)


def year(text: str) -> int:
    found = natural(text)
    if not 2000 <= found <= 2200:
        raise ValueError(f"«{text}» no es un año, por ejemplo 2026")
    return found


def optional_figure(text: str) -> float | None:
    """``null`` where it is not known yet."""
    return None if text in ("null", "~", "") else number(text)
