"""Hot spots from counts: cells with more than an even spread explains, joined around their peaks. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import h3

from hub.hotspots.model import (
    BLOCK_H,
    CHANCE,
    MAX_SPOTS,
    MIN_BASE,
    MIN_EVENTS,
    RESOLUTION,
    Bin,
    Cell,
    When,
)
from hub.operations.ratios import Ratio, binomial_tail, poisson_tail, rate_ratio

SANTIAGO = ZoneInfo("America/Santiago")
NOTICE = timedelta(hours=24)
"""Nobody calls four institutions together for tonight."""
MIN_BASE_EVENTS = 50
_CLEAR = 0.05

Hours = Mapping[tuple[int, int], tuple[int, float]]
"""(ISO weekday, hour) → events and their weight."""


@dataclass(slots=True)
class Count:
    """What lies in one cell."""

    recent: int = 0
    base: int = 0
    weight: float = 0.0
    sectors: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    bins: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Peak:
    """One hot spot without its name; ``bins`` are indices of what was given."""

    cells: tuple[str, ...]
    sector: str
    recent: int
    base: int
    weight: float
    bins: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Found:
    recent: int
    base: int
    active_cells: int
    hidden_cells: int
    hidden_events: int
    cells: Sequence[Cell]
    peaks: Sequence[Peak]

    @property
    def mean(self) -> float:
        return self.recent / self.active_cells if self.active_cells else 0.0


def find(bins: Sequence[Bin]) -> Found:
    """Cells that may be shown, and the peaks among them, the heaviest first."""
    counts = _by_cell(bins)
    recent = sum(one.recent for one in counts.values())
    mean = recent / len(counts) if counts else 0.0
    shown = {cell: one for cell, one in counts.items() if one.recent >= MIN_EVENTS}
    hidden = [one for one in counts.values() if 0 < one.recent < MIN_EVENTS]
    hot = {cell: one for cell, one in shown.items() if poisson_tail(one.recent, mean) < CHANCE}
    return Found(
        recent,
        sum(one.base for one in counts.values()),
        len(counts),
        len(hidden),
        sum(one.recent for one in hidden),
        [_cell(cell, one) for cell, one in sorted(shown.items(), key=lambda c: (-c[1].weight, c[0]))],
        _peaks(hot),
    )


def _by_cell(bins: Iterable[Bin]) -> dict[str, Count]:
    counts: dict[str, Count] = defaultdict(Count)
    for number, one in enumerate(bins):
        count = counts[h3.latlng_to_cell(one.latitude, one.longitude, RESOLUTION)]
        count.recent += one.recent
        count.base += one.base
        count.weight += one.weight
        count.sectors[one.sector] += one.recent
        count.bins.append(number)
    return counts


def _cell(cell: str, count: Count) -> Cell:
    outline = [(round(lat, 6), round(lon, 6)) for lat, lon in h3.cell_to_boundary(cell)]
    return Cell(cell, count.recent, round(count.weight, 2), outline)


def _peaks(hot: Mapping[str, Count]) -> list[Peak]:
    """The heaviest cell takes its hot neighbours with it; then the heaviest of what is left."""
    left, peaks = dict(hot), list[Peak]()
    for cell in sorted(hot, key=lambda c: (-hot[c].weight, c)):
        if cell not in left or len(peaks) == MAX_SPOTS:
            continue
        members = [cell, *sorted(set(h3.grid_ring(cell, 1)) & left.keys())]
        peaks.append(_peak(members, [left.pop(one) for one in members]))
    return sorted(peaks, key=lambda peak: -peak.weight)


def _peak(cells: Sequence[str], counts: Sequence[Count]) -> Peak:
    sectors: dict[str, int] = defaultdict(int)
    for count in counts:
        for sector, events in count.sectors.items():
            sectors[sector] += events
    return Peak(
        tuple(cells),
        min(sectors, key=lambda name: (-sectors[name], name)),
        sum(one.recent for one in counts),
        sum(one.base for one in counts),
        sum(one.weight for one in counts),
        tuple(number for one in counts for number in one.bins),
    )


def compared(peak: Peak, found: Found, base_length: timedelta) -> tuple[float | None, Ratio | None]:
    """Events to be expected, had the place kept its share of the commune's events, and the ratio to them.

    A share and not a rate: when the summer or a new way of reporting lifts all counts, no place is special.
    """
    if base_length < MIN_BASE or found.base < MIN_BASE_EVENTS:
        return None, None
    expected = found.recent * peak.base / found.base
    return expected, rate_ratio(peak.recent, peak.base, found.recent, found.base)


def best_time(hours: Hours) -> When:
    """The heaviest block of hours over all days, then its heaviest day."""
    total = sum(events for events, _ in hours.values())
    blocks = {hour: _block(hours, hour) for hour in range(24)}
    hour = max(blocks, key=lambda one: (sum(w for _, w in blocks[one].values()), -one))
    days = blocks[hour]
    in_block = sum(events for events, _ in days.values())
    weekday = max(days, key=lambda one: (days[one][1], days[one][0], -one))
    on_day = days[weekday][0]
    # the best of 24 blocks and of 7 days was chosen, so the chance of any of them counts
    is_hour_clear = 24 * binomial_tail(in_block, total, BLOCK_H / 24) < _CLEAR
    is_day_clear = is_hour_clear and 7 * binomial_tail(on_day, in_block, 1 / 7) < _CLEAR
    return When(hour, weekday, total, in_block, on_day, is_hour_clear, is_day_clear)


def _block(hours: Hours, start: int) -> dict[int, tuple[int, float]]:
    """Events by the weekday on which the block began."""
    days = dict.fromkeys(range(1, 8), (0, 0.0))
    for (weekday, hour), (events, weight) in hours.items():
        if (hour - start) % 24 < BLOCK_H:
            day = weekday if hour >= start else (weekday - 2) % 7 + 1
            days[day] = (days[day][0] + events, days[day][1] + weight)
    return days


def next_time(when: When, now: datetime) -> tuple[datetime, datetime]:
    """The next block of that weekday that can still be prepared; UTC."""
    local = now.astimezone(SANTIAGO)
    start = local.replace(hour=when.hour, minute=0, second=0, microsecond=0)
    start += timedelta(days=(when.weekday - start.isoweekday()) % 7)
    while start - local < NOTICE:  # two aware instants of one zone differ by their clocks, which is meant
        start += timedelta(days=7)
    first = start.astimezone(ZoneInfo("UTC"))
    return first, first + timedelta(hours=BLOCK_H)
