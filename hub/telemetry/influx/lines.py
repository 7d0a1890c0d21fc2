"""Line protocol: points and rollups as text, and back into single lines. Pure.

One measurement, ``telemetry``, with the tags device (its source), quantity and unit; the fields are ``value``
and ``text``, or ``n``, ``sum``, ``min`` and ``max`` in rollups; times are milliseconds. A point is the same
for InfluxDB when tags and time are: that is our natural key.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import msgspec

from hub.telemetry import Aggregate, Point
from hub.telemetry.slots import EPOCH, SLOT_MS

MEASUREMENT = "telemetry"
TAGS = ("device", "quantity", "unit")

# Line protocol cannot carry these in a tag, or only in ways that its readers disagree about.
_FORBIDDEN = re.compile(r'[\x00-\x1f\x7f\\"]')
_SPECIAL = re.compile(r"([,= ])")
# A quotation holds line breaks and escaped marks.
_LINE = re.compile(rb'(?:[^\n"]|"(?:[^"\\]|\\.)*")+', re.DOTALL)
_MILLISECOND = timedelta(milliseconds=1)
_NO_NUMBER = "null"


class Batch(msgspec.Struct, frozen=True):
    """Lines of one write, and the slots (ten minutes, by their start in milliseconds) that they lie in."""

    lines: bytes
    count: int
    slots: tuple[int, ...]


def tag_value(text: str) -> str:
    """The text as a tag holds it: what a tag cannot hold becomes ``_``."""
    return _FORBIDDEN.sub("_", text)


def prefix(device: str, quantity: str, unit: str) -> str:
    """Everything before the fields; a tag without a value is left out, as the protocol demands."""
    tags = zip(TAGS, (device, quantity, unit), strict=True)
    pairs = [f"{name}={_SPECIAL.sub(_escape_mark, tag_value(value))}" for name, value in tags if value]
    return ",".join([MEASUREMENT, *pairs]) + " "


def _escape_mark(found: re.Match[str]) -> str:
    return "\\" + found[0]


def milliseconds(at: datetime) -> int:
    return (at - EPOCH) // _MILLISECOND


def instant(ms: int) -> datetime:
    return EPOCH + timedelta(milliseconds=ms)


def batch(starts: Sequence[str], points: Sequence[Point]) -> Batch:
    """Points as lines in their order; ``starts`` has the prefix of each one's series.

    By columns, because this is most of what a reading costs the hub: 0.9 µs, against 1.3 line by line.
    """
    if not points:
        return Batch(b"", 0, ())
    values = msgspec.json.encode([p.value for p in points]).decode()[1:-1].split(",")
    since = [p.at - EPOCH for p in points]  # taken apart by hand: half of what dividing timedeltas takes
    times = [(s.days * 86_400 + s.seconds) * 1000 + s.microseconds // 1000 for s in since]
    lines = [f"{start}value={value} {ms}" for start, value, ms in zip(starts, values, times, strict=True)]
    if _NO_NUMBER in values:
        rows = zip(lines, starts, points, times, strict=True)
        texts = (line if p.value is not None else _text_line(start, p, ms) for line, start, p, ms in rows)
        lines = [line for line in texts if line]
    return Batch("\n".join(lines).encode(), len(lines), _slots(times))


def _slots(times: Sequence[int]) -> tuple[int, ...]:
    first, last = (ms - ms % SLOT_MS for ms in (min(times), max(times)))
    return (first,) if first == last else tuple({ms - ms % SLOT_MS: None for ms in times})


def _text_line(start: str, p: Point, ms: int) -> str:
    """Empty for a point that has no text either."""
    return f'{start}text="{_escaped_text(p.text)}" {ms}' if p.text is not None else ""


def joined(parts: Sequence[Batch]) -> Batch:
    """The lines of all of them, in order."""
    return Batch(
        b"\n".join(part.lines for part in parts if part.count),
        sum(part.count for part in parts),
        tuple({slot: None for part in parts for slot in part.slots}),
    )


def _escaped_text(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


def rollup(tags: Mapping[str, str], row: Aggregate) -> str:
    """One line of a rollup; ``tags`` as a server gave them."""
    start = prefix(*(tags.get(name, "") for name in TAGS))
    fields = f"n={row.n}i,sum={row.sum!r},min={row.min!r},max={row.max!r}"
    return f"{start}{fields} {milliseconds(row.at)}"


def split(lines: bytes) -> list[bytes]:
    """The single lines; a line break inside of a text does not end one."""
    return _LINE.findall(lines)


def quoted(text: str) -> str:
    """A string of InfluxQL."""
    escaped = tag_value(text).replace("'", "\\'")
    return f"'{escaped}'"


def identifier(text: str) -> str:
    """A name of InfluxQL."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
