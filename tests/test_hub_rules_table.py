"""Every form of rule × how its messages arrive, through the intake into PostgreSQL. One table."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import pytest
from fakes import VirtualClock
from rule_hubs import START, Heard, RuleHub, add_fleet, hub_on, minute, pass_time

from hub.database import Pool


@dataclass(frozen=True)
class Case:
    """``said`` makes one alert, whose cause happened at minute ``at``; by minute ``end`` all timers are out.

    ``shuffled``: another order of arrival that must come to one alert as well; by default the reverse.
    """

    when: str
    said: tuple[Heard, ...]
    at: float
    end: float
    more: str = "priority: 2"
    shuffled: tuple[int, ...] | None = None


def on(at: float, name: str = "a.x", device: int = 1, **data: object) -> Heard:
    return Heard(at, name, None, device, data)


def q(at: float, value: float, device: int = 1, name: str = "q") -> Heard:
    return Heard(at, name, value, device)


HOME = {"lat": -34.4, "lon": -72.0}
FAR = {"lat": -34.0, "lon": -72.0}
CIRCLE = "{circle: [-34.4, -72.0, 500]}"
SQUARE = "{polygon: [[-34.5, -72.1], [-34.5, -71.9], [-34.3, -71.9], [-34.3, -72.1]]}"
TABLE = {
    "event": Case("{event: a.x}", (on(1),), 1, 5),
    "event-if": Case("{event: a.x}", (on(1, n=1), on(2, n=7)), 2, 5, "priority: 2, if: data.n > 5"),
    "event-during": Case(
        "{event: a.x}", (on(1), on(61)), 61, 65, 'priority: 2, during: {from: "13:00", to: "14:00"}'
    ),
    "lasting": Case("{event: a.x, until: b.x, for: 5 min}", (on(1, "b.x"), on(2)), 7, 8, shuffled=(1, 0)),
    "above": Case("{reading: q, above: 5, clear: 3}", (q(0, 4), q(1, 6), q(2, 4)), 1, 5, shuffled=(0, 2, 1)),
    "below": Case("{reading: q, below: 5, clear: 7}", (q(0, 6), q(1, 4), q(2, 6)), 1, 5, shuffled=(0, 2, 1)),
    "above-for": Case(
        "{reading: q, above: 5, clear: 3, for: 5 min}", (q(0, 2), q(1, 6), q(2, 4)), 6, 7, shuffled=(2, 1, 0)
    ),
    "own-limit": Case(
        "{reading: q, above: {default: 5, device: limite}, clear: 4}",
        (q(0, 6, device=2), q(1, 6), q(2, 8, device=2)),
        1,
        5,
        shuffled=(2, 0, 1),
    ),
    "near": Case(
        "{event: a.x}",
        (q(0, 0.2, device=2, name="humidity"), on(1)),
        1,
        5,
        "priority: 2, near: {humidity: sector}, if: near.humidity < 0.3",
        shuffled=(0, 1),  # nothing is known of the surroundings before somebody measured them
    ),
    "rise": Case(
        "{rate: {reading: q, rise: 1, per: 1 h, over: 1 h}}",
        (q(0, 1.0), q(30, 1.1), q(60, 2.0), q(61, 2.0)),
        60,
        62,
        "priority: 2, late_after: 2 h",
        shuffled=(0, 2, 1, 3),
    ),
    "fall": Case(
        "{rate: {reading: q, fall: 1, per: 1 h, over: 1 h}}",
        (q(0, 3.0), q(30, 2.9), q(60, 1.9)),
        60,
        62,
        "priority: 2, late_after: 2 h",
        shuffled=(1, 0, 2),
    ),
    "count": Case(
        "{count: {event: a.x, at_least: 3, within: 5 min}}",
        (on(1), on(3), on(4), on(5)),
        4,
        6,
        shuffled=(2, 0, 1, 3),
    ),
    "count-devices": Case(
        "{count: {event: a.x, at_least: 2, within: 5 min, of: devices}}",
        (on(1), on(2), on(3, device=2)),
        3,
        6,
        "priority: 2, by: sector",
        shuffled=(2, 1, 0),
    ),
    "sequence": Case(
        "{sequence: [{event: a.x}, {event: b.x}], within: 5 min}",
        (on(1), on(3, "b.x")),
        3,
        6,
        shuffled=(1, 0),
    ),
    "sequence-of-three": Case(
        "{sequence: [{event: a.x}, {reading: q, above: 5}, {event: b.x}], within: 9 min}",
        (on(1), q(2, 6), on(3, "b.x")),
        3,
        6,
        shuffled=(2, 1, 0),
    ),
    "together": Case(
        "{together: [{reading: q, below: 1}, {event: b.x}], within: 5 min}",
        (on(1, "b.x"), q(4, 0.5)),
        4,
        6,
        shuffled=(1, 0),
    ),
    "quorum": Case(
        "{quorum: {reading: q, above: 5, at_least: 2, within: 10 min}}",
        (q(0, 1), q(1, 6), q(2, 7, device=2)),
        2,
        5,
        "priority: 2, by: place",
        shuffled=(2, 1, 0),
    ),
    "silence-of-events": Case("{silence: {event: a.x, for: 5 min}}", (on(0), on(1)), 6, 7, shuffled=(1, 0)),
    "silence-of-readings": Case(
        "{silence: {reading: q, for: 5 min}}", (q(0, 1), q(1, 1)), 6, 7, shuffled=(1, 0)
    ),
    "outside": Case(
        f"{{position: {{event: a.x, outside: {CIRCLE}}}}}",
        (on(0, **HOME), on(1, **FAR), on(2, **FAR)),
        1,
        5,
        shuffled=(1, 2, 0),
    ),
    "inside": Case(
        f"{{position: {{event: a.x, inside: {SQUARE}}}}}",
        (on(0, **FAR), on(1, **HOME), on(2, **HOME)),
        1,
        5,
        shuffled=(1, 2, 0),
    ),
    "outside-for": Case(
        f"{{position: {{event: a.x, outside: {CIRCLE}, for: 5 min}}}}",
        (on(0, **HOME), on(1, **FAR), on(2, **FAR)),
        6,
        7,
        shuffled=(1, 2, 0),
    ),
}
EVERY_FORM = pytest.mark.parametrize("name", TABLE)
LATE_H = 30.0
"""Longer ago than any watermark of the table."""


@dataclass
class Ground:
    """A database, a clock and the text of one rule; hubs come and go."""

    pool: Pool
    clock: VirtualClock
    rules: str

    async def hub(self) -> RuleHub:
        return await hub_on(self.pool, self.clock, self.rules)

    async def until(self, at: float, *hubs: RuleHub) -> None:
        await pass_time(self.pool, self.clock, hubs, minute(at))

    async def alerts(self) -> list[tuple[str, int]]:
        """(cause's instant, how many findings) of every alert."""
        rows = await self.pool.fetch("select happened_at, event_count from alerts order by happened_at")
        return [(row["happened_at"].isoformat(), row["event_count"]) for row in rows]


async def ground_of(pool: Pool, case: Case) -> Ground:
    await add_fleet(pool)
    await pool.execute(
        "insert into device_limits select device_id, 'limite', 9 from devices where name like '%d2'"
    )
    text = f"rules:\n  - {{name: r_r, title: T, kind: k_k, when: {case.when}, {case.more}}}\n"
    return Ground(pool, VirtualClock(START), text)


def once(case: Case) -> list[tuple[str, int]]:
    return [(minute(case.at).isoformat(), 1)]


async def play(ground: Ground, case: Case, hubs: Sequence[RuleHub], said: Sequence[Heard]) -> None:
    """Each message arrives when it happens, at the next of the hubs."""
    for hub, heard in zip(itertools.cycle(hubs), said):
        await ground.until(heard.at, *hubs)
        await hub.hear([heard])
    await ground.until(case.end, *hubs)


@EVERY_FORM
async def test_on_time(pool: Pool, name: str) -> None:
    case = TABLE[name]
    ground = await ground_of(pool, case)
    await play(ground, case, [await ground.hub()], case.said)
    assert await ground.alerts() == once(case)


@EVERY_FORM
async def test_late(pool: Pool, name: str) -> None:
    """The whole story arrives after the watermark: it is stored and opens nothing.

    Silence is about now: who spoke yesterday and not since is silent since then.
    """
    case = TABLE[name]
    ground = await ground_of(pool, case)
    hub = await ground.hub()
    late = 60 * LATE_H
    await ground.until(late, hub)
    await hub.hear(case.said)
    await ground.until(late + case.end, hub)
    assert await ground.alerts() == (once(case) if name.startswith("silence") else [])
    stored = "select (select count(*) from events) + (select count(*) from telemetry)"
    assert await pool.fetchval(stored) == len(case.said)


@EVERY_FORM
async def test_duplicate(pool: Pool, name: str) -> None:
    """Every message comes three times: twice in one batch, and once more at the end of all."""
    case = TABLE[name]
    ground = await ground_of(pool, case)
    hub = await ground.hub()
    for heard in case.said:
        await ground.until(heard.at, hub)
        await hub.hear([heard, heard])
    await hub.hear(case.said)
    await ground.until(case.end, hub)
    await hub.hear(case.said)
    assert await ground.alerts() == once(case)


@EVERY_FORM
async def test_out_of_order(pool: Pool, name: str) -> None:
    """All of it arrives within the watermark, one by one in another order: one alert, told once."""
    case = TABLE[name]
    ground = await ground_of(pool, case)
    hub = await ground.hub()
    await ground.until(max(heard.at for heard in case.said), hub)
    for index in case.shuffled or range(len(case.said))[::-1]:
        await hub.hear([case.said[index]])
    await ground.until(case.end, hub)
    assert [count for _, count in await ground.alerts()] == [1]


@EVERY_FORM
async def test_restart_in_the_middle(pool: Pool, name: str) -> None:
    """Before each message and before the last timer the hub dies; the next one knows the database only."""
    case = TABLE[name]
    ground = await ground_of(pool, case)
    for heard in case.said:
        hub = await ground.hub()
        await ground.until(heard.at, hub)
        await hub.hear([heard])
    hub = await ground.hub()
    await ground.until(case.end, hub)
    assert await ground.alerts() == once(case)


@EVERY_FORM
async def test_two_hubs(pool: Pool, name: str) -> None:
    """Two hubs on one database take turns with the messages, and both look for timers."""
    case = TABLE[name]
    ground = await ground_of(pool, case)
    await play(ground, case, [await ground.hub(), await ground.hub()], case.said)
    assert await ground.alerts() == once(case)
