"""Events a second, fully processed by the hub, beside bare C subscribers on the same broker and database.

``live``: gateways publish flat out while the subject works. ``drain``: the queue of a persistent session is
full before the subject starts. Subjects take turns in every round, so that a ratio compares neighbours.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from bench import fleet, programs, usage
from bench.errors import BenchError
from bench.figures import Figure, Ratio, Section, figure, ratios
from bench.fleet import Load
from bench.ground import HOST, Broker
from bench.measures import hub_run
from bench.setting import PLAIN, Setting

COUNT, LOG, KEYED = "C, counts only", "C + COPY, no key", "C + COPY, key and indexes"
_MODES = {COUNT: "count", LOG: "log", KEYED: "keyed"}
_TABLES = {LOG: "bench_log", KEYED: "bench_keyed"}
_FILTER = "almenara/1/+/event"
WAYS = ("live", "drain")
_DRAIN_S = 60.0
_BACKEND_ENDS_S = 0.2


@dataclass(frozen=True)
class Sample:
    """One run of one subject; CPU seconds for 1,000 events."""

    rate: float
    own: float
    database: float
    broker: float
    peak_mb: float
    lost: int


Subject = Callable[[Setting, str, str], Awaitable[Sample]]


async def measure(setting: Setting) -> Section:
    subjects: dict[str, Subject] = {name: _bare(name) for name in _MODES}
    subjects |= {name: _hub(tree) for name, tree in setting.trees.items()}
    samples: dict[str, list[Sample]] = {f"{name}, {way}": [] for way in WAYS for name in subjects}
    for index in range(setting.scale.rounds):
        for way in WAYS:
            for name in _turned(list(subjects), index):
                sample = await _sample(setting, subjects[name], way)
                samples[f"{name}, {way}"].append(sample)
                setting.say(f"throughput {index + 1}: {name}, {way}: {sample.rate:,.0f} events/s")
    return _section(setting, samples)


def _turned(names: list[str], by: int) -> list[str]:
    """Another one begins in each round: none always runs on a machine that the same neighbour left."""
    return names[by % len(names) :] + names[: by % len(names)]


async def _sample(setting: Setting, subject: Subject, way: str) -> Sample:
    async with setting.ground.database(PLAIN) as database:
        return await subject(setting, database, way)


# ------------------------------------------------------------------------------------------ bare C


def _bare(name: str) -> Subject:
    async def run(setting: Setting, database: str, way: str) -> Sample:
        ground, events = setting.ground, setting.scale.events
        async with ground.broker() as broker:
            words = [HOST, broker.port, _FILTER, events]
            mode = [_MODES[name], ground.dsn(database)]
            subscriber = ground.programs.subscriber
            if way == "drain":
                async with programs.running(subscriber, *words, "session") as session:
                    await session.result()
                await _load(setting, broker)
            before = ground.cpu(None, broker)
            async with programs.running(subscriber, *words, *mode) as running:
                await running.hears("ready")
                started_us = (await _load(setting, broker)).started_us if way == "live" else 0
                found = await running.result()
            # PostgreSQL's account holds a backend's time once it has waited for its end.
            await asyncio.sleep(_BACKEND_ENDS_S)
            used = ground.cpu(None, broker).since(before)
        stored = await ground.count(database, _TABLES[name]) if name in _TABLES else found["seen"]
        span_s = (found["last_us"] - (started_us or found["first_us"])) / 1e6
        k = events / 1000
        return Sample(
            rate=found["seen"] / span_s,
            own=found["cpu_s"] / k,
            database=used.database / k,
            broker=used.broker / k,
            peak_mb=found["peak_kb"] / 1024,
            lost=events - stored,
        )

    return run


async def _load(setting: Setting, broker: Broker) -> Load:
    return await fleet.load(
        setting.ground.programs, broker.port, count=setting.scale.events, seed=setting.next_seed()
    )


# --------------------------------------------------------------------------------------------- hub


def _hub(tree: Path) -> Subject:
    async def run(setting: Setting, database: str, way: str) -> Sample:
        ground, events = setting.ground, setting.scale.events
        async with ground.broker() as broker:
            live = _live if way == "live" else _drain
            sample = await live(setting, broker, database, tree)
        stored = await ground.count(database, "events")
        return Sample(**{**sample.__dict__, "lost": max(sample.lost, events - stored)})

    return run


async def _live(setting: Setting, broker: Broker, database: str, tree: Path) -> Sample:
    async with setting.ground.hub(broker, database, tree) as hub:
        run = await hub_run.flat_out(setting, broker, hub, setting.scale.events, leaf="event")
    each = run.cpu_per_1000()
    return Sample(run.rate, each.hub, each.database, each.broker, run.peak_mb, run.lost)


async def _drain(setting: Setting, broker: Broker, database: str, tree: Path) -> Sample:
    ground, events = setting.ground, setting.scale.events
    async with ground.hub(broker, database, tree):
        pass  # it leaves its session behind
    await _load(setting, broker)
    before = ground.cpu(None, broker)
    async with ground.hub(broker, database, tree) as hub:
        rate = await _drained(setting, database)
        used, peak_mb = ground.cpu(hub.pid, broker).since(before), usage.peak_mb(hub.pid)
    k = events / 1000
    # Its start is in the hub's CPU seconds here; the live figure is the one to compare.
    return Sample(rate, used.hub / k, used.database / k, used.broker / k, peak_mb, 0)


async def _drained(setting: Setting, database: str) -> float:
    """Events a second while the queue emptied, by the moments at which the hub took its batches."""
    ground, events = setting.ground, setting.scale.events
    with contextlib.suppress(TimeoutError):  # what is missing then is counted as lost
        async with asyncio.timeout(_DRAIN_S):
            while await ground.count(database, "events") < events:  # noqa: ASYNC110 - nothing tells
                await asyncio.sleep(0.2)
    rows = await ground.query(
        database,
        "select count(*) filter (where received_at < last), extract(epoch from last - min(received_at))"
        " from events, (select max(received_at) as last from events) as newest group by last",
    )
    if not rows or not rows[0][1]:
        raise BenchError("the queue was too short to see it drain")
    return float(rows[0][0]) / float(rows[0][1])


# ------------------------------------------------------------------------------------------ section


def _section(setting: Setting, samples: dict[str, list[Sample]]) -> Section:
    return Section(
        title="Events a second, fully processed",
        ratios=[ratio for hub in setting.trees for ratio in _ratios(hub, samples)],
        columns=["events/s", "CPU s/1,000 own", "database", "broker", "peak MB", "lost"],
        rows={name: _row(found) for name, found in samples.items()},
        lost=sum(s.lost for found in samples.values() for s in found),
        notes=[
            f"{setting.scale.events:,} events in each run, 244 bytes, of a type that raises no alert.",
            f"{fleet.SENSORS} devices, {fleet.GATEWAYS} gateways, QoS 1.",
            "Hub: key, duplicates, rules, acknowledged after the commit, receipt back at the gateway.",
            "Bare C: acknowledged before the commit, no duplicate found, nothing evaluated, no receipt.",
            "Drain: the hub's CPU seconds include its start.",
        ],
    )


def _ratios(hub: str, samples: dict[str, list[Sample]]) -> list[Ratio]:
    found = []
    for way in WAYS:
        ours = [s.rate for s in samples[f"{hub}, {way}"]]
        for name in (KEYED, LOG, COUNT):
            theirs = [s.rate for s in samples[f"{name}, {way}"]]
            budget = ">= 0.9" if name == KEYED and way == "live" else ""
            found.append(Ratio(f"{hub} / {name}, {way}: events/s", ratios(ours, theirs), budget=budget))
    drained = [s.rate for s in samples[f"{hub}, drain"]]
    live = [s.rate for s in samples[f"{hub}, live"]]
    found.append(Ratio(f"{hub}: drain / live", ratios(drained, live), budget=">= 0.8"))
    return found


def _row(samples: list[Sample]) -> dict[str, Figure]:
    return {
        "events/s": figure([s.rate for s in samples]),
        "CPU s/1,000 own": figure([s.own for s in samples]),
        "database": figure([s.database for s in samples]),
        "broker": figure([s.broker for s in samples]),
        "peak MB": figure([s.peak_mb for s in samples]),
        "lost": figure([s.lost for s in samples]),
    }
