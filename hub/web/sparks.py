"""Small lines as plain SVG: the content policy lets no style into the page. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 132.0, 32.0
_EDGE = 4.0
"""Room for the last dot and the lines' own thickness."""


@dataclass(frozen=True, slots=True)
class Spark:
    """``lines`` are the points of polylines, broken where there is no figure; ``last`` is a dot (x, y).

    ``target`` is the height of the target's line.
    """

    lines: tuple[str, ...]
    dots: tuple[tuple[float, float], ...]
    """Figures that stand alone between two gaps, and the last one."""
    target: float | None


def spark(values: Sequence[float | None], target: float | None) -> Spark:
    """Values from the oldest on; the target is within the drawing, wherever it lies."""
    known = [value for value in (*values, target) if value is not None]
    low, high = min(known, default=0.0), max(known, default=1.0)
    places = [None if v is None else _place(i, len(values), v, low, high) for i, v in enumerate(values)]
    runs = _runs(places)
    dots = [run[0] for run in runs if len(run) == 1]
    if places and places[-1] is not None and places[-1] not in dots:
        dots.append(places[-1])
    lines = tuple(" ".join(f"{x:g},{y:g}" for x, y in run) for run in runs if len(run) > 1)
    return Spark(lines, tuple(dots), None if target is None else _height(target, low, high))


def _place(index: int, count: int, value: float, low: float, high: float) -> tuple[float, float]:
    step = (WIDTH - 2 * _EDGE) / max(1, count - 1)
    x = _EDGE + index * step if count > 1 else WIDTH / 2
    return round(x, 1), _height(value, low, high)


def _height(value: float, low: float, high: float) -> float:
    share = (value - low) / (high - low) if high > low else 0.5
    return round(HEIGHT - _EDGE - share * (HEIGHT - 2 * _EDGE), 1)


def _runs(places: Sequence[tuple[float, float] | None]) -> list[list[tuple[float, float]]]:
    runs: list[list[tuple[float, float]]] = [[]]
    for place in places:
        if place is None:
            runs.append([])
        else:
            runs[-1].append(place)
    return [run for run in runs if run]
