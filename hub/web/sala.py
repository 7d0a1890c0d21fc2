"""What the wall shows, figure by figure, from the views that dashboards read: nobody's name, and reserved
cases under their neutral label alone. One statement a figure."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from hub.database import Pool
from hub.database.statement import Statement, numbered
from hub.notify import watching
from hub.web.bus import AlertBus
from hub.web.texts import Wall
from hub.web.transport_views import SHOWN_FOR, TransportView, view_transport

MAX_LIVE = 60
"""Alerts of one wall: more cannot be read, and the counters tell how many there are."""
MAX_OUT = 40
HOURS = 24
WEEK_DAYS = 7
KEPT_S = 5.0
"""Figures that no alert changed are asked again after this: many screens are one question."""

OPEN = numbered("""
    select priority, count(*) as n, count(*) filter (where state = 'received') as waiting
    from panels.alerts where closed_at is null and not is_drill group by priority
""")
LIVE = numbered("""
    select code, priority, state, state_name, kind_name, coalesce(place, '') as place,
      coalesce(sector, '') as sector, opened_at, acknowledged_at, ack_target_s, latitude, longitude
    from panels.alerts where closed_at is null and not is_drill
    order by priority, state <> 'received', opened_at limit :limit
""")
# Counted is what somebody took, and what nobody took in its time. What ended before (a battery that came
# back) promised nothing.
ANSWERS = numbered("""
    select priority, ack_target_s,
      count(*) filter (where opened_at >= :today) as today,
      count(*) filter (where opened_at >= :today and ack_s <= ack_target_s) as today_in_time,
      percentile_cont(0.5) within group (order by ack_s) filter (where opened_at >= :today) as today_median_s,
      count(*) as week,
      count(*) filter (where ack_s <= ack_target_s) as week_in_time,
      percentile_cont(0.5) within group (order by ack_s) as week_median_s
    from panels.alerts
    where opened_at >= :week and opened_at <= :now and not is_drill and state <> 'merged'
      and (ack_s is not null
        or coalesce(closed_at, :now) > opened_at + make_interval(secs => ack_target_s))
    group by priority, ack_target_s
""")
EQUIPMENT = numbered("""
    select kind, count(*) as n, count(*) filter (where is_out) as n_out
    from panels.devices where kind in ('camera', 'panic_button') group by kind
""")
OUT = numbered("""
    select kind, name, coalesce(sector, '') as sector, coalesce(out_since, last_seen_at) as since
    from panels.devices where kind in ('camera', 'panic_button') and is_out
    order by since nulls last, name limit :limit
""")
WAITING_TEXTS = numbered("select count(*) as n from notifications where state = 'queued'")
EVENTS = numbered("""
    select at, sum(n)::bigint as n from panels.events_hourly where at >= :since group by at
""")
FIGURES: Mapping[str, Statement] = {
    "open": OPEN,
    "live": LIVE,
    "answers": ANSWERS,
    "equipment": EQUIPMENT,
    "out": OUT,
    "waiting_texts": WAITING_TEXTS,
    "events": EVENTS,
}


@dataclass(frozen=True, slots=True)
class Count:
    priority: int
    n: int
    waiting: int
    """Nobody has taken them."""


@dataclass(frozen=True, slots=True)
class LiveAlert:
    code: str
    priority: int
    state: str
    state_label: str
    kind_label: str
    where: str
    opened_at: datetime
    due_at: datetime | None
    """Until when it has to be taken; None once it is."""
    latitude: float | None
    longitude: float | None


@dataclass(frozen=True, slots=True)
class Answers:
    """How many alerts were taken in time; ``median_s`` None where none was taken."""

    n: int
    in_time: int
    median_s: float | None

    @property
    def percent(self) -> int | None:
        return None if not self.n else int(100 * self.in_time / self.n)  # 99.6 is not all of them


@dataclass(frozen=True, slots=True)
class Promise:
    priority: int
    target_s: int
    today: Answers
    week: Answers


@dataclass(frozen=True, slots=True)
class OutDevice:
    name: str
    sector: str
    since: datetime | None
    """None: it was never heard."""


@dataclass(frozen=True, slots=True)
class Equipment:
    n: int
    n_out: int
    out: Sequence[OutDevice]


@dataclass(frozen=True, slots=True)
class HourBar:
    """``label`` is the local hour; ``height`` 0..1 of the highest."""

    label: str
    n: int
    height: float


@dataclass(frozen=True, slots=True)
class Sala:
    at: datetime
    counts: Sequence[Count]
    live: Sequence[LiveAlert]
    promises: Sequence[Promise]
    cameras: Equipment
    buttons: Equipment
    transports: Sequence[TransportView]
    waiting_texts: int
    hours: Sequence[HourBar]

    @property
    def total(self) -> int:
        return sum(one.n for one in self.counts)


# --------------------------------------------------------------------------------------------- pure


def counts(rows: Sequence[Mapping[str, Any]]) -> list[Count]:
    found = {row["priority"]: row for row in rows}
    return [
        Count(priority, found[priority]["n"], found[priority]["waiting"])
        if priority in found
        else Count(priority, 0, 0)
        for priority in (1, 2, 3, 4)
    ]


def live_alert(row: Mapping[str, Any]) -> LiveAlert:
    is_waiting = row["acknowledged_at"] is None and row["state"] == "received"
    due_at = row["opened_at"] + timedelta(seconds=row["ack_target_s"]) if is_waiting else None
    return LiveAlert(
        row["code"],
        row["priority"],
        row["state"],
        row["state_name"],
        row["kind_name"],
        row["place"] or row["sector"],
        row["opened_at"],
        due_at,
        row["latitude"],
        row["longitude"],
    )


def promise(row: Mapping[str, Any]) -> Promise:
    return Promise(
        row["priority"],
        row["ack_target_s"],
        Answers(row["today"], row["today_in_time"], row["today_median_s"]),
        Answers(row["week"], row["week_in_time"], row["week_median_s"]),
    )


def equipment(kind: str, totals: Sequence[Mapping[str, Any]], out: Sequence[Mapping[str, Any]]) -> Equipment:
    of_kind = next((row for row in totals if row["kind"] == kind), None)
    silent = [OutDevice(row["name"], row["sector"], row["since"]) for row in out if row["kind"] == kind]
    return Equipment(of_kind["n"], of_kind["n_out"], silent) if of_kind else Equipment(0, 0, ())


def hour_bars(rows: Sequence[Mapping[str, Any]], now: datetime, wall: Wall) -> list[HourBar]:
    """The last hours up to the running one, those without events too."""
    found = {row["at"]: row["n"] for row in rows}
    last = now.replace(minute=0, second=0, microsecond=0)
    hours = [last - timedelta(hours=ago) for ago in range(HOURS - 1, -1, -1)]
    most = max((found.get(at, 0) for at in hours), default=0) or 1
    return [HourBar(wall.clock(at)[:2], found.get(at, 0), found.get(at, 0) / most) for at in hours]


# ------------------------------------------------------------------------------------------- loading


def arguments(now: datetime, wall: Wall) -> dict[str, dict[str, Any]]:
    """What each statement is asked with."""
    midnight = wall.midnight(wall.field(now)[:10])
    hour = now.replace(minute=0, second=0, microsecond=0)
    return {
        "open": {},
        "live": {"limit": MAX_LIVE},
        "answers": {"today": midnight, "week": now - timedelta(days=WEEK_DAYS), "now": now},
        "equipment": {},
        "out": {"limit": MAX_OUT},
        "waiting_texts": {},
        "events": {"since": hour - timedelta(hours=HOURS - 1)},
    }


async def load(pool: Pool, now: datetime, wall: Wall) -> Sala:
    found: dict[str, list[Any]] = {}
    for name, values in arguments(now, wall).items():
        statement = FIGURES[name]
        found[name] = await pool.fetch(statement.sql, *statement.arguments(values))
    states = [state for state in await watching.states(pool) if now - state.checked_at < SHOWN_FOR]
    return Sala(
        at=now,
        counts=counts(found["open"]),
        live=[live_alert(row) for row in found["live"]],
        promises=sorted(map(promise, found["answers"]), key=lambda one: one.priority),
        cameras=equipment("camera", found["equipment"], found["out"]),
        buttons=equipment("panic_button", found["equipment"], found["out"]),
        transports=[view_transport(state, now) for state in states],
        waiting_texts=found["waiting_texts"][0]["n"],
        hours=hour_bars(found["events"], now, wall),
    )


@dataclass
class SalaBook:
    """The newest figures, asked once for all screens that want them at the same time."""

    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    _newest: Sala | None = None
    _changes: int = -1
    _loaded_at_s: float = 0.0

    async def read(self, pool: Pool, bus: AlertBus, now: datetime, wall: Wall) -> Sala:
        """Never older than the last change of an alert that was known when it was asked for."""
        asked_s = asyncio.get_running_loop().time()
        async with self._turn:
            is_fresh = self._changes == bus.changes and asked_s - self._loaded_at_s < KEPT_S
            if self._newest is None or not is_fresh:
                changes = bus.changes
                self._newest = await load(pool, now, wall)
                self._changes, self._loaded_at_s = changes, asyncio.get_running_loop().time()
            return self._newest
