"""What a sheet of hot spots holds, as it is stored and shown. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from hub.operations.ratios import Ratio

WINDOW = timedelta(days=28)
"""Events that a hot spot is made of."""
HALF_LIFE = timedelta(days=14)
"""An event counts half as much for every fortnight that has passed since."""
BASE = timedelta(days=364)
"""What a place is compared with: the year before the window, whole weeks."""
MIN_BASE = timedelta(days=84)
"""A shorter history tells nothing about what is usual."""
HOURS_FROM = timedelta(days=84)
"""When it happens is asked of three months: 28 days are too few for 168 hours of a week."""
BLOCK_H = 4
"""Hours of one operation."""
RESOLUTION = 9
"""Of H3: hexagons 350 m across, so that a cell and its neighbours are the reach of one operation."""
MIN_EVENTS = 5
"""Below it a cell is neither drawn nor named: it can point at one house, and it says nothing."""
CHANCE = 0.01
"""How seldom a cell would hold so many events if they were spread evenly over all active cells."""
MAX_SPOTS = 12
MAX_POINTS = 4
REPEAT_M = 200
REPEAT_WINDOW = timedelta(days=28)

FAMILIES = ("", "INC", "DEL", "RUR")
"""The sheets; the first is of all of them together, with what nobody classified."""
NOT_FOR_OPERATIONS = ("TEC", "VIF", "EMG", "SOC")
"""An operation changes neither emergencies nor counselling; VIF is closed off, and equipment is no event."""


@dataclass(frozen=True, slots=True)
class Bin:
    """Events of one square of about 20 m. ``weight`` is the sum over recent ones by their age."""

    latitude: float
    longitude: float
    sector: str
    recent: int
    base: int
    weight: float


@dataclass(frozen=True, slots=True)
class Cell:
    """A hexagon that may be drawn. ``outline`` is (latitude, longitude), not closed."""

    cell: str
    recent: int
    weight: float
    outline: Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class When:
    """The best block of hours and, of its days, the best. Weekdays as ISO counts them, Monday 1.

    A block begun before midnight belongs to its first day. ``is_hour_clear`` False: the events keep to no
    hours that chance would not make, and the block is merely the fullest.
    """

    hour: int
    weekday: int
    total: int
    in_block: int
    on_day: int
    is_hour_clear: bool
    is_day_clear: bool


@dataclass(frozen=True, slots=True)
class Point:
    """A place to stand at, with the events that were there."""

    name: str
    latitude: float
    longitude: float
    events: int


@dataclass(frozen=True, slots=True)
class Kind:
    """A code of the catalogue and how many of the events had it."""

    code: str
    events: int


@dataclass(frozen=True, slots=True)
class Spot:
    """``expected`` None: there is no history to compare with. ``ratio`` compares its share of all events."""

    code: str
    sector: str
    cells: Sequence[str]
    recent: int
    base: int
    weight: float
    mean: float
    """Events of one active cell, for as many cells as the spot has, if all had the same."""
    expected: float | None
    ratio: Ratio | None
    when: When
    points: Sequence[Point]
    kinds: Sequence[Kind]
    planned_start: datetime
    planned_end: datetime


@dataclass(frozen=True, slots=True)
class Heat:
    """Events by weekday (7, Monday first) and hour (24), local time. ``sector`` empty: the commune."""

    sector: str
    total: int
    hours: Sequence[Sequence[int]]


@dataclass(frozen=True, slots=True)
class Repeat:
    """Events of one code that follow each other within 28 days and 200 m."""

    code: str
    sector: str
    place: str
    events: int
    first_at: datetime
    last_at: datetime
    latitude: float
    longitude: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Sheet:
    """All that is known at one instant for one family of events."""

    family: str
    computed_at: datetime
    since: datetime
    base_since: datetime
    recent: int
    base: int
    unplaced: int
    active_cells: int
    hidden_cells: int
    hidden_events: int
    cells: Sequence[Cell]
    spots: Sequence[Spot]
    heats: Sequence[Heat]
    repeats: Sequence[Repeat]
