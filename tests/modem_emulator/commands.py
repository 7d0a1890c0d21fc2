"""AT command lines taken apart, and the errors that answer them (ITU-T V.250, 3GPP TS 27.007 and 27.005)."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from modem_emulator.modem import Modem


class AtError(Exception):
    def shown(self, style: int) -> str:  # noqa: ARG002 - the others ask for it
        return "ERROR"


_CME_WORDS = {
    11: "SIM PIN required",
    12: "SIM PUK required",
    16: "incorrect password",
    30: "no network service",
}


class CmeError(AtError):
    """By number or in words, as ``AT+CMEE`` chose."""

    def __init__(self, code: int) -> None:
        self.code = code

    def shown(self, style: int) -> str:
        return ("ERROR", f"+CME ERROR: {self.code}", f"+CME ERROR: {_CME_WORDS[self.code]}")[style]


class CmsError(AtError):
    def __init__(self, code: int) -> None:
        self.code = code

    def shown(self, style: int) -> str:  # noqa: ARG002 - modems give this one by number in any style
        return f"+CMS ERROR: {self.code}"


@dataclass(frozen=True, slots=True)
class Command:
    """``kind``: ``test`` (=?), ``read`` (?), ``set`` (=..) or ``run``."""

    name: str
    kind: str
    values: tuple[str, ...] = ()

    def number(self, index: int, default: int | None = None) -> int:
        if index >= len(self.values) or not self.values[index]:
            if default is None:
                raise AtError
            return default
        if not self.values[index].isdigit():
            raise AtError
        return int(self.values[index])


_EXTENDED = re.compile(r'([+^$*%][A-Za-z0-9]*)(=\?|\?|=((?:[^";]|"[^"]*"?)*))?;?')
_BASIC = re.compile(r"(&?[A-Za-z])(\d*)(\?)?;?")


def commands(text: str) -> Iterator[Command]:
    """The commands of one line, without its ``AT``. Raises :class:`AtError` where it ceases to be one."""
    at = 0
    while at < len(text):
        if text[at] in "; ":
            at += 1
            continue
        found = _EXTENDED.match(text, at) or _BASIC.match(text, at)
        if found is None:
            raise AtError
        yield _extended(found) if text[at] in "+^$*%" else _basic(found)
        at = found.end()


def _extended(found: re.Match[str]) -> Command:
    name, rest = found[1].upper(), found[2] or ""
    if rest.startswith("=") and rest != "=?":
        return Command(name, "set", tuple(_values(found[3])))
    return Command(name, {"": "run", "?": "read", "=?": "test"}[rest])


def _basic(found: re.Match[str]) -> Command:
    return Command(found[1].upper(), "read" if found[3] else "set", (found[2],))


def _values(text: str) -> list[str]:
    """Split at commas outside quotes; quotes are taken off."""
    parts, in_quotes = [""], False
    for char in text:
        in_quotes ^= char == '"'
        if char == "," and not in_quotes:
            parts.append("")
        elif char != '"':
            parts[-1] += char
    return [part.strip() for part in parts]


Handler = Callable[["Modem", Command], list[str] | None]
"""The lines before the OK; None when no OK is due. Raises :class:`AtError`."""
