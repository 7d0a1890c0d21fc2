"""From a text to the parts that the network carries. Pure.

One character outside the GSM alphabet makes the *whole* text UCS-2, so that a phone never shows half of it
in another way. A part never ends between an escape and its code, or between two surrogates.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from hub.notify.transports.modem import alphabet

MAX_PARTS = 255
"""One octet in the header counts the parts."""


class Coding(Enum):
    """How the characters of a text travel (3GPP TS 23.038, section 4)."""

    GSM7 = "gsm7"
    DATA = "data"
    UCS2 = "ucs2"


class SegmentError(ValueError):
    """A text that cannot be sent at all; the message is Spanish."""


@dataclass(frozen=True, slots=True)
class Segment:
    """Part ``number`` (from 1) of ``total``."""

    coding: Coding
    text: str
    number: int = 1
    total: int = 1


@dataclass(frozen=True, slots=True)
class Room:
    """What fits, in septets or UCS-2 units: into a single message, and into a part behind its header."""

    single: int
    part: int
    wide: int
    """A part whose header holds a reference of 16 bits."""


ROOM = {Coding.GSM7: Room(160, 153, 152), Coding.UCS2: Room(70, 67, 66)}


def split(text: str, *, is_wide: bool = False) -> list[Segment]:
    """The parts in order, at least one. ``is_wide`` leaves room for references of 16 bits.

    Raises :class:`SegmentError` above 255 parts.
    """
    text = _whole(text)
    coding = Coding.GSM7 if alphabet.is_gsm(text) else Coding.UCS2
    costs = [cost_of(char, coding) for char in text]
    room = ROOM[coding]
    if sum(costs) <= room.single:
        return [Segment(coding, text)]
    cuts = list(_cuts(costs, room.wide if is_wide else room.part))
    if len(cuts) > MAX_PARTS:
        raise SegmentError(f"el texto ocupa {len(cuts)} mensajes y el máximo es {MAX_PARTS}; acórtelo")
    starts = [0, *cuts[:-1]]
    return [
        Segment(coding, text[start:end], number, len(cuts))
        for number, (start, end) in enumerate(zip(starts, cuts, strict=True), 1)
    ]


def count(text: str) -> int:
    """How many messages the text costs. Raises :class:`SegmentError` above 255."""
    return len(split(text))


def cost_of(char: str, coding: Coding) -> int:
    """Septets or UCS-2 units."""
    return alphabet.COSTS[char] if coding is Coding.GSM7 else 1 + (char > "\uffff")


def _cuts(costs: list[int], room: int) -> Iterator[int]:
    """Where each part ends: as late as it can without cutting a character."""
    used = 0
    for index, cost in enumerate(costs):
        if used + cost > room:
            yield index
            used = 0
        used += cost
    yield len(costs)


def _whole(text: str) -> str:
    """Half a surrogate pair, which no phone can show, becomes U+FFFD: an alert is not refused for it."""
    return text.encode("utf-16-be", "surrogatepass").decode("utf-16-be", "replace")
