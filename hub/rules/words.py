"""Durations and other small words of the rule files. Errors are Spanish ``ValueError``\\ s."""

import re
from datetime import time

from hub.nodes import number as number

_UNITS_S = {"s": 1, "min": 60, "h": 3600, "d": 86_400}
_DURATION = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(s|min|h|d)\s*")
_TIME = re.compile(r"(\d{1,2}):(\d{2})")
_DAY = re.compile(r"(\d{2})-(\d{2})")


def duration_s(text: str) -> float:
    """``90 s``, ``10 min``, ``6 h``, ``2 d`` or sums like ``1 h 30 min``, in seconds; more than zero."""
    parts = _DURATION.findall(text)
    if not parts or _DURATION.sub("", text):
        raise ValueError(f"«{text}» no es una duración; escriba por ejemplo 90 s, 10 min, 6 h o 2 d")
    total_s = sum(float(number) * _UNITS_S[unit] for number, unit in parts)
    if not 0 < total_s <= 400 * 86_400:
        raise ValueError(f"«{text}» debe ser más que cero y a lo más 400 d")
    return total_s


def count(text: str) -> int:
    if not text.isdigit() or not 1 <= int(text) <= 100_000:
        raise ValueError(f"«{text}» no es un número entero mayor que cero")
    return int(text)


def time_of_day(text: str) -> time:
    """``HH:MM``; ``24:00`` is the end of the day."""
    found = _TIME.fullmatch(text)
    if found and text == "24:00":
        return time.max
    if not found or int(found[1]) > 23 or int(found[2]) > 59:
        raise ValueError(f"«{text}» no es una hora; escriba por ejemplo 21:00")
    return time(int(found[1]), int(found[2]))


def month_and_day(text: str) -> tuple[int, int]:
    """``MM-DD`` of any year."""
    found = _DAY.fullmatch(text)
    if not found or not 1 <= int(found[1]) <= 12 or not 1 <= int(found[2]) <= 31:
        raise ValueError(f"«{text}» no es mes y día; escriba por ejemplo 12-15")
    return int(found[1]), int(found[2])


def flag(text: str) -> bool:
    """``true`` or ``false``."""
    if text not in ("true", "false"):
        raise ValueError(f"«{text}» debe ser true o false")
    return text == "true"
