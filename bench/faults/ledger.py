"""The list that the flooding driver keeps: one line of fixed width for each event that the outbox took."""

from dataclasses import dataclass
from pathlib import Path

_SOURCE_CHARS = 24
_ID_CHARS = 36
WIDTH = 4 + 1 + 10 + 1 + 1 + 1 + _SOURCE_CHARS + 1 + _ID_CHARS + 1 + 14 + 1
"""Bytes of a line: the file's size tells how far the flood is."""


@dataclass(frozen=True, slots=True)
class Line:
    """``id`` is empty for what the outbox refused; ``at_ms`` is CLOCK_BOOTTIME when it was handed over."""

    life: int
    n: int
    is_alarm: bool
    source: str
    id: str
    at_ms: int


def format_line(line: Line) -> bytes:
    lane = "A" if line.is_alarm else "E"
    text = (
        f"{line.life:04d} {line.n:010d} {lane} {line.source:<{_SOURCE_CHARS}} {line.id or '-':<{_ID_CHARS}}"
        f" {line.at_ms:014d}\n"
    ).encode("ascii")
    assert len(text) == WIDTH  # noqa: S101 - the reader counts on it
    return text


def read_lines(path: Path) -> list[Line]:
    """All whole lines; empty when there is no file yet."""
    return [_parse(text) for text in path.read_text("ascii").splitlines()] if path.exists() else []


def count_lines(path: Path) -> int:
    return path.stat().st_size // WIDTH if path.exists() else 0


def _parse(text: str) -> Line:
    life, n, lane, source, id_, at_ms = text.split()
    return Line(int(life), int(n), lane == "A", source, "" if id_ == "-" else id_, int(at_ms))
