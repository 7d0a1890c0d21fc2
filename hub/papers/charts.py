"""Bars and lines as SVG, for the page and for paper alike. Pure.

Presentation attributes only: the console's content policy lets no style in. Colours differ in lightness, so
that a black-and-white print can be read.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from hub.papers.paper import number

WIDTH, HEIGHT = 640.0, 220.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 44.0, 8.0, 22.0, 26.0
NOW, BEFORE, TARGET, GRID, INK = "#0b4f6c", "#9fb8c4", "#b3261e", "#d9dfe3", "#333b41"
_FONT = 'font-family="Libertinus Serif, Georgia, serif"'
_LINES = 4
_WIDEST = 40.0
_LETTER = 6


@dataclass(frozen=True, slots=True)
class Series:
    """``values``: None is a gap. ``color`` is one of this module's."""

    name: str
    values: Sequence[float | None]
    color: str = NOW


def bars(labels: Sequence[str], series: Sequence[Series]) -> str:
    """Grouped bars, below the line where negative; nothing is drawn for zero or for a gap."""
    scale = _Scale(series, None)
    slot = scale.width / max(1, len(labels))
    width = min(_WIDEST, slot * 0.72 / max(1, len(series)))
    parts = [scale.grid(), _labels(labels, slot), _legend([(s.name, s.color) for s in series])]
    for place, one in enumerate(series):
        for index, value in enumerate(one.values):
            if value:
                x = _LEFT + (index + 0.5) * slot + (place - len(series) / 2) * width
                y = scale.y(max(value, 0.0))
                height = abs(scale.y(0.0) - scale.y(value))
                parts.append(
                    f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"'
                    f' fill="{one.color}"/>'
                )
    return _svg(parts)


def lines(labels: Sequence[str], series: Sequence[Series], target: float | None = None) -> str:
    """Lines that break at gaps, and a dashed line at the target."""
    scale = _Scale(series, target)
    slot = scale.width / max(1, len(labels))
    legend = [(s.name, s.color) for s in series] + ([("Meta", TARGET)] if target is not None else [])
    parts = [scale.grid(), _labels(labels, slot), _legend(legend)]
    if target is not None:
        y = scale.y(target)
        parts.append(
            f'<line x1="{_LEFT}" y1="{y:.1f}" x2="{WIDTH - _RIGHT}" y2="{y:.1f}" stroke="{TARGET}"'
            ' stroke-width="1.5" stroke-dasharray="6 4"/>'
        )
    for one in series:
        parts += [_run(run, one.color) for run in _runs(one.values, slot, scale)]
    return _svg(parts)


def _run(points: Sequence[tuple[float, float]], color: str) -> str:
    if len(points) == 1:
        x, y = points[0]
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.5" fill="{color}"/>'
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="2"/>'


def _runs(values: Sequence[float | None], slot: float, scale: "_Scale") -> list[list[tuple[float, float]]]:
    runs: list[list[tuple[float, float]]] = [[]]
    for index, value in enumerate(values):
        if value is None:
            runs.append([])
        else:
            runs[-1].append((_LEFT + (index + 0.5) * slot, scale.y(value)))
    return [run for run in runs if run]


class _Scale:
    """From zero to a round number above the greatest value; below zero where a value is."""

    def __init__(self, series: Sequence[Series], target: float | None) -> None:
        known = [v for s in series for v in s.values if v is not None]
        known += [target] if target is not None else []
        low, high = min(known, default=0.0), max(known, default=1.0)
        self._step = _round_step((max(high, 0.0) - min(low, 0.0)) / _LINES)
        self._low = -self._step * -(min(low, 0.0) // self._step) if low < 0 else 0.0
        self._high = max(self._step, self._step * -(-max(high, 0.0) // self._step))
        self.width = WIDTH - _LEFT - _RIGHT

    def y(self, value: float) -> float:
        share = (value - self._low) / (self._high - self._low)
        return HEIGHT - _BOTTOM - share * (HEIGHT - _BOTTOM - _TOP)

    def grid(self) -> str:
        parts = []
        count = round((self._high - self._low) / self._step)
        decimals = len(f"{self._step:g}".partition(".")[2])
        for index in range(count + 1):
            value = self._low + index * self._step
            y = self.y(value)
            parts.append(
                f'<line x1="{_LEFT}" y1="{y:.1f}" x2="{WIDTH - _RIGHT}" y2="{y:.1f}" stroke="{GRID}"/>'
                + _text(_LEFT - 6, y + 3.5, number(value, decimals), "end")
            )
        return "".join(parts)


def _round_step(step: float) -> float:
    if step <= 0:
        return 0.25
    power = 10.0 ** int(f"{step:e}".partition("e")[2])
    return next(power * nice for nice in (1, 2, 2.5, 5, 10) if power * nice >= step * 0.999)


def _labels(labels: Sequence[str], slot: float) -> str:
    widest = max((len(label) for label in labels), default=0) * _LETTER + 10
    every = max(1, -(-len(labels) * widest // int(WIDTH - _LEFT - _RIGHT)))
    return "".join(
        _text(_LEFT + (index + 0.5) * slot, HEIGHT - 8, label, "middle")
        for index, label in enumerate(labels)
        if index % every == 0
    )


def _legend(entries: Sequence[tuple[str, str]]) -> str:
    x, parts = _LEFT, []
    for name, color in entries:
        parts.append(f'<rect x="{x:.1f}" y="4" width="10" height="10" fill="{color}"/>')
        parts.append(_text(x + 14, 13, name, "start"))
        x += 30 + 6.2 * len(name)
    return "".join(parts)


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="11" {_FONT} fill="{INK}">'
        f"{escape(text)}</text>"
    )


def _svg(parts: Sequence[str]) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH:g} {HEIGHT:g}">{"".join(parts)}</svg>'
    )
