"""A calendar as the page shows it: who is on call now, who comes, and when nobody does."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from hub.notify import calendars
from hub.notify.oncall import Gap, Shift, gaps, on_call, shifts
from hub.web.context import Console

AHEAD = timedelta(days=14)


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """A turn, or a stretch without anybody (``person`` empty)."""

    starts_at: datetime
    ends_at: datetime
    person: str
    level: int = 1
    is_override: bool = False
    note: str = ""

    def is_now(self, now: datetime) -> bool:
        return self.starts_at <= now < self.ends_at


@dataclass(frozen=True, kw_only=True, slots=True)
class Roster:
    """``lines``: fourteen days of turns and gaps in order of time. ``is_empty``: no turn was ever given."""

    name: str
    now: list[str]
    lines: list[Line]
    gap_count: int
    is_empty: bool


async def load(console: Console, name: str) -> Roster:
    now = console.now()
    turns = await calendars.turns_of(console.pool, now, name)
    missing = gaps(turns, now, now + AHEAD)
    return Roster(
        name=name,
        now=[turn.person for turn in on_call(turns, now)],
        lines=_lines(shifts(turns, now, now + AHEAD), missing),
        gap_count=len(missing),
        is_empty=not turns,
    )


def _lines(turns: Sequence[Shift], missing: Sequence[Gap]) -> list[Line]:
    lines = [
        Line(
            starts_at=shift.starts_at,
            ends_at=shift.ends_at,
            person=shift.turn.person,
            level=shift.turn.level,
            is_override=shift.turn.is_override,
            note=shift.turn.note,
        )
        for shift in turns
    ]
    lines += [Line(starts_at=gap.starts_at, ends_at=gap.ends_at, person="") for gap in missing]
    return sorted(lines, key=lambda line: (line.starts_at, line.level))
