"""A backlog drains while people press: how fast it drains, and how long the fresh presses take.

The hub is stopped (SIGSTOP) while the gateways fill its session at the broker, and goes on when it is full.
"""

import asyncio
import contextlib
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from bench import fleet
from bench.errors import BenchError
from bench.figures import Figure, Ratio, Section, figure, quantile, ratios
from bench.fleet import FIRST_BUTTON
from bench.ground import Broker, Hub
from bench.measures import hub_run, press
from bench.setting import PLAIN, Setting

_PRESSES_A_SECOND = 100
_PATIENCE_S = 60.0
_DRAINED = """
    select count(*), (extract(epoch from max(received_at)) * 1000000)::bigint as last_us
    from events where received_at >= to_timestamp($1::float8) and type <> 'panic.pressed'
"""


@dataclass(frozen=True)
class Sample:
    """Events a second live and draining; latencies of the presses that fell into the drain."""

    live: float
    drain: float
    press_ms: list[float]
    lost: int


async def measure(setting: Setting) -> Section:
    found: dict[str, list[Sample]] = {hub: [] for hub in setting.trees}
    for index in range(setting.scale.press_rounds):
        for hub, tree in setting.trees.items():
            sample = await _one(setting, tree)
            found[hub].append(sample)
            setting.say(
                f"backlog {index + 1}: {hub}: {sample.drain:,.0f} events/s, {len(sample.press_ms)} presses"
            )
    return _section(setting, found)


async def _one(setting: Setting, tree: Path) -> Sample:
    ground, events = setting.ground, setting.scale.events
    async with (
        ground.database(PLAIN) as database,
        ground.broker() as broker,
        ground.hub(broker, database, tree) as hub,
    ):
        live = await hub_run.flat_out(setting, broker, hub, events, leaf="event")
        await _fill(setting, broker, hub)
        went_on_us = time.time_ns() // 1000
        pressing = asyncio.create_task(
            press.presses(setting, broker, hub, database, 0, FIRST_BUTTON, _PRESSES_A_SECOND)
        )
        drained_us, lost = await _drained(setting, database, went_on_us)
        pressed = await pressing
    during = [ms for ms, at in zip(pressed.hub_ms, pressed.pressed_us, strict=True) if at < drained_us]
    if not during:
        raise BenchError("nobody pressed while the backlog drained: it was too short")
    rate = (events - lost) / ((drained_us - went_on_us) / 1e6)
    return Sample(live.rate, rate, during, live.lost + lost + pressed.lost)


async def _fill(setting: Setting, broker: Broker, hub: Hub) -> None:
    """Let a session fill; the hub may go on afterwards."""
    os.kill(hub.pid, signal.SIGSTOP)
    try:
        count, seed = setting.scale.events, setting.next_seed()
        await fleet.load(setting.ground.programs, broker.port, count=count, seed=seed)
    finally:
        os.kill(hub.pid, signal.SIGCONT)


async def _drained(setting: Setting, database: str, since_us: int) -> tuple[int, int]:
    """When the last event of the backlog was taken in (Unix microseconds), and how many never were."""
    wanted, count, last_us = setting.scale.events, 0, since_us
    with contextlib.suppress(TimeoutError):  # what is missing then is counted as lost
        async with asyncio.timeout(_PATIENCE_S):
            while count < wanted:
                await asyncio.sleep(0.2)
                count, last = (await setting.ground.query(database, _DRAINED, since_us / 1e6))[0]
                last_us = last or last_us
    return last_us, wanted - count


# ------------------------------------------------------------------------------------------ section


def _section(setting: Setting, found: dict[str, list[Sample]]) -> Section:
    kept = []
    for hub, samples in found.items():
        all_ms = [ms for s in samples for ms in s.press_ms]
        kept += [
            Ratio(
                f"{hub}: draining a backlog while people press / live",
                ratios([s.drain for s in samples], [s.live for s in samples]),
                budget=">= 0.8",
            ),
            Ratio(f"{hub} p99 of presses meanwhile", figure([quantile(all_ms, 0.99)]), "ms", "<= 50"),
        ]
    return Section(
        title="A backlog drains while people press",
        ratios=kept,
        columns=[
            "drain events/s",
            "live events/s",
            "presses",
            "press hub p50 ms",
            "p99 ms",
            "max ms",
            "lost",
        ],
        rows={hub: _row(samples) for hub, samples in found.items()},
        lost=sum(s.lost for samples in found.values() for s in samples),
        notes=[
            f"{setting.scale.events:,} events wait; presses come at {_PRESSES_A_SECOND}/s meanwhile.",
        ],
    )


def _row(samples: list[Sample]) -> dict[str, Figure]:
    return {
        "drain events/s": figure([s.drain for s in samples]),
        "live events/s": figure([s.live for s in samples]),
        "presses": figure([len(s.press_ms) for s in samples]),
        "press p50 ms": figure([quantile(s.press_ms, 0.5) for s in samples]),
        "p99 ms": figure([quantile(s.press_ms, 0.99) for s in samples]),
        "max ms": figure([max(s.press_ms) for s in samples]),
        "lost": figure([s.lost for s in samples]),
    }
