"""Bars as plain SVG rectangles: the content policy lets no style into the page. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

HEIGHT = 120.0
SLOT = 30.0
"""Width of one hour, in the drawing's own units."""
_BAR, _GAP = 11.0, 3.0


@dataclass(frozen=True, slots=True)
class Bar:
    x: float
    y: float
    width: float
    height: float
    text: str
    is_real: bool


def by_hour(would: Sequence[int], real: Sequence[int]) -> list[Bar]:
    """Two bars for each of the 24 hours, side by side, on one scale; nothing is drawn for zero."""
    most = max(*would, *real, 1)
    bars = []
    for hour, pair in enumerate(zip(would, real, strict=True)):
        for side, count in enumerate(pair):
            if count:
                height = max(2.0, count / most * HEIGHT)
                x = hour * SLOT + _GAP + side * (_BAR + 1)
                what = "ocurrieron" if side else "ensayo"
                text = f"{hour:02} h, {what}: {count}"
                bars.append(Bar(x, HEIGHT - height, _BAR, round(height, 1), text, bool(side)))
    return bars


def share_of(count: int, most: int) -> float:
    """0..100: the length of a bar in a list whose longest is ``most``."""
    return round(count / most * 100, 1) if most else 0.0
