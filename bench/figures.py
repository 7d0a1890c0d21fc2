"""Figures with their range, and what a section of the report is made of. Pure."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Figure:
    """The median of several measurements, with the lowest and the highest."""

    median: float
    low: float
    high: float
    runs: int


def figure(values: Sequence[float]) -> Figure:
    return Figure(statistics.median(values), min(values), max(values), len(values))


def quantile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least ``share`` of all do not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, -int(-share * len(ordered) // 1) - 1)]


@dataclass(frozen=True)
class Ratio:
    """One of ours over one of theirs, or a figure beside its budget. ``budget`` reads as ``>= 0.9``."""

    name: str
    value: Figure
    unit: str = "x"
    budget: str = ""

    @property
    def is_met(self) -> bool | None:
        """None without a budget."""
        if not self.budget:
            return None
        sign, limit = self.budget.split()
        return self.value.median >= float(limit) if sign == ">=" else self.value.median <= float(limit)


@dataclass(frozen=True)
class Section:
    """What one measure found: ratios first, then a table of figures, then what to know about them."""

    title: str
    ratios: list[Ratio]
    columns: list[str]
    rows: Mapping[str, Mapping[str, Figure]]
    lost: int = 0
    notes: list[str] = field(default_factory=list)


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> Figure:
    """Ratios of what was measured side by side: the first with the first, and so on."""
    return figure([mine / other for mine, other in zip(ours, theirs, strict=True) if other])
