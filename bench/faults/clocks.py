"""Clocks that are wrong, and a hub that was away for 23 hours."""

import asyncio
import sqlite3
from contextlib import closing
from dataclasses import replace

from bench.faults.fault import Play
from bench.faults.judge import Evidence, alarm_delays_s
from bench.faults.ledger import format_line, read_lines
from bench.faults.programs import Edge, boottime_ms
from bench.faults.world import World

_AGE_ERROR_S = 5.0
"""What computing "receipt less age" may cost while messages wait for a blow to pass."""
AWAY_MS = 23 * 3600 * 1000
"""An hour short of a day: a press that is older is filed and calls nobody, by the rule's watermark."""
_BACKLOG = 0.9
_FRESH_RATE = 40.0
_SETTLE_S, _IDLE_S = 80.0, 60.0
"""Resending has reached its longest intervals (15 s alarms, 60 s events); so long is it watched then."""
_WATCHED_FROM_EVENTS = 20_000
_RECONNECTS = 3


def wrong_clock(wall: str) -> Play:
    """Edges that booted with a wrong clock, one of which believes it; two reboots; later NTP steps them."""

    async def play(world: World) -> None:
        for edge in world.edges:
            edge.set_clock(wall, is_synced=edge is world.edges[-1])
        world.start_edges()
        for moment in world.moments(2, last=0.5):
            await world.reach(moment)
            await _restart(world, world.chance.choice(world.edges))
        await world.reach(world.chance.uniform(0.55, 0.7))
        for edge in world.edges:
            edge.step_clock("+0")
        await world.reach(1.0)

    return play


async def _restart(world: World, edge: Edge) -> None:
    world.strike(edge.gateway)
    await world.kill_edge(edge)
    await world.hesitate()
    edge.reboot()
    edge.launch()


async def times_are_right(world: World, evidence: Evidence) -> None:
    """What an unsynchronised gateway reports is placed in time by its age, whatever its clock says."""
    pressed = {a.id: a for a in evidence.accepted}
    believing = world.edges[-1].gateway
    wrong = [
        row
        for row in evidence.stored
        if row.id in pressed
        and row.gateway != believing
        and abs(row.happened_ms - pressed[row.id].at_ms) > _AGE_ERROR_S * 1000
    ]
    if wrong:
        text = f"{len(wrong)} events of unsynchronised gateways are off by more than {_AGE_ERROR_S:g} s"
        world.tally.problems.append(text)


# ------------------------------------------------------------------------------- a hub away for long


async def away(world: World) -> None:
    """A backlog made while nobody answers, aged by 23 h, drained beside fresh events."""
    share = world.plan.events // world.plan.edges
    for edge in world.edges:
        edge.set_clock("-23h", is_synced=edge is world.edges[0])
        world.configure(edge, stop_at=round(share * _BACKLOG))
    world.start_edges()
    await world.reach(0.01)
    await world.kill_hub()
    await world.reach(_BACKLOG * 0.999)
    await _watch_resending(world)
    for edge in world.edges:
        await world.kill_edge(edge)
        _age(edge)
        edge.set_clock(None, is_synced=edge is world.edges[0])
        world.configure(edge, rate=_FRESH_RATE)
    before = {gateway: proxy.connections for gateway, proxy in world.proxies.items()}
    world.strike()
    world.start_edges()
    await world.start_hub()
    returned_ms = boottime_ms()
    await world.reach(1.0)
    world.tally.notes["returned_ms"] = returned_ms
    made = {gateway: proxy.connections - before[gateway] for gateway, proxy in world.proxies.items()}
    world.tally.notes["connections"] = made


async def _watch_resending(world: World) -> None:
    """What each gateway says again and again to a broker behind which nobody listens; in long runs only."""
    if world.plan.events < _WATCHED_FROM_EVENTS:
        return
    await asyncio.sleep(_SETTLE_S)
    before = sum(proxy.up_bytes for proxy in world.proxies.values())
    await asyncio.sleep(_IDLE_S)
    sent = sum(proxy.up_bytes for proxy in world.proxies.values()) - before
    per_gateway = sent / len(world.proxies) / _IDLE_S
    world.tally.notes["sent again while the hub is away"] = (
        f"{per_gateway:.0f} B/s a gateway, in 24 h {per_gateway * 86400 / 2**20:.0f} MiB"
    )


def _age(edge: Edge) -> None:
    """Make the backlog 23 h older by the monotonic clock; its wall times are as old already."""
    with closing(sqlite3.connect(edge.outbox)) as db, db:
        db.execute("update rows set boottime_ms = boottime_ms - ?", (AWAY_MS,))
    lines = read_lines(edge.ledger)
    edge.ledger.write_bytes(
        b"".join(format_line(replace(line, at_ms=line.at_ms - AWAY_MS)) for line in lines)
    )


async def drained_well(world: World, evidence: Evidence) -> None:
    """Alarms first, fresh ones not behind the backlog, and nobody storms the broker."""
    notes = world.tally.notes
    returned_ms = int(str(notes.pop("returned_ms")))
    received = {row.id: row.received_ms for row in evidence.stored}
    old = [a for a in evidence.accepted if a.life == 1 and received.get(a.id, 0) >= returned_ms - 1000]
    alarms = [received[a.id] for a in old if a.is_alarm]
    others = sorted(received[a.id] for a in old if not a.is_alarm)
    if not alarms or not others:
        world.tally.problems.append("there was no backlog")
        return
    before_last_alarm = sum(at <= max(alarms) for at in others) / len(others)
    took_s = (max(others) - returned_ms) / 1000
    notes["backlog"] = f"{len(old)} events, drained in {took_s:.1f} s: {len(old) / took_s:.0f}/s"
    alarms_s = (max(alarms) - returned_ms) / 1000
    notes["alarms first"] = (
        f"the last of {len(alarms)} old alarms was stored {alarms_s:.1f} s after the return,"
        f" with {before_last_alarm:.0%} of the other events"
    )
    fresh = [a for a in evidence.accepted if a.life > 1 and a.at_ms >= returned_ms]
    delays = alarm_delays_s(replace(evidence, accepted=fresh))
    if delays:
        notes["fresh presses"] = (
            f"{len(delays)} during and after the drain, at most {max(delays):.3f} s to the first text"
        )
    if before_last_alarm > 0.5:
        world.tally.problems.append(f"old alarms came behind {before_last_alarm:.0%} of the other events")
    if storms := {g: n for g, n in dict(notes["connections"]).items() if n > _RECONNECTS}:  # type: ignore[call-overload]
        world.tally.problems.append(f"reconnect storm: {storms}")
