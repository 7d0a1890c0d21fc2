"""One, two and three hub processes on one broker and one database: what they take in together.

All of them share this machine's cores with everything else, so the curve shows what sharing costs; it cannot
show what further machines bring.
"""

import asyncio
import contextlib
from dataclasses import dataclass
from pathlib import Path

from bench import fleet, usage
from bench.figures import Figure, Ratio, Section, figure, ratios
from bench.setting import PLAIN, Setting

COUNTS = (1, 2, 3)
SHARDS = 6
_READY_S = 40.0
_SHARED = """
    select (select count(*) from hubs where seen_until > now()) as hubs,
      count(*) filter (where until > now() and listening_since is not null) as heard,
      count(distinct owner) filter (where until > now()) as holders
    from leases where name like 'shard%'
"""


@dataclass(frozen=True)
class Sample:
    rate: float
    hubs_cpu: float
    database_cpu: float
    peak_mb: float
    lost: int


async def measure(setting: Setting) -> Section:
    found: dict[str, list[Sample]] = {_name(hub, n): [] for hub in setting.trees for n in COUNTS}
    for index in range(setting.scale.growth_rounds):
        for hub, tree in setting.trees.items():
            for count in COUNTS:
                sample = await _one(setting, tree, count)
                found[_name(hub, count)].append(sample)
                setting.say(f"hubs {index + 1}: {_name(hub, count)}: {sample.rate:,.0f} events/s")
    return _section(setting, found)


def _name(hub: str, count: int) -> str:
    return f"{hub}, {count} process{'es' if count > 1 else ''}"


async def _one(setting: Setting, tree: Path, count: int) -> Sample:
    ground, events = setting.ground, setting.scale.growth_events
    async with contextlib.AsyncExitStack() as stack:
        database = await stack.enter_async_context(ground.database(PLAIN))
        broker = await stack.enter_async_context(ground.broker())
        options = ("--shards", str(SHARDS))
        hubs = [
            await stack.enter_async_context(ground.hub(broker, database, tree, options)) for _ in range(count)
        ]
        await _are_shared(setting, database, count)
        pids = [hub.pid for hub in hubs]
        before, before_cpu = sum(usage.cpu_s(pid) for pid in pids), ground.cpu(None, broker)
        load = await fleet.load(
            ground.programs, broker.port, count=events, receipts=1, leaf="event", seed=setting.next_seed()
        )
        used, k = ground.cpu(None, broker).since(before_cpu), events / 1000
        rate = load.sent / ((load.last_receipt_us - load.started_us) / 1e6)
        hubs_cpu = (sum(usage.cpu_s(pid) for pid in pids) - before) / k
        peak_mb = sum(usage.peak_mb(pid) for pid in pids)
        lost = max(events - load.receipts, events - await ground.count(database, "events"))
    return Sample(rate, hubs_cpu, used.database / k, peak_mb, lost)


async def _are_shared(setting: Setting, database: str, count: int) -> None:
    """Wait until every shard is heard and every hub holds some."""
    async with asyncio.timeout(_READY_S):
        while True:
            row = (await setting.ground.query(database, _SHARED))[0]
            if (row["hubs"], row["heard"], row["holders"]) == (count, SHARDS, count):
                return
            await asyncio.sleep(0.2)


# ------------------------------------------------------------------------------------------ section


def _section(setting: Setting, found: dict[str, list[Sample]]) -> Section:
    def rates(hub: str, count: int) -> list[float]:
        return [s.rate for s in found[_name(hub, count)]]

    return Section(
        title="More than one hub",
        ratios=[
            Ratio(f"{hub}: events/s of {count} processes / of one", ratios(rates(hub, count), rates(hub, 1)))
            for hub in setting.trees
            for count in COUNTS[1:]
        ],
        columns=["events/s", "CPU s/1,000 hubs", "database", "peak MB, all hubs", "lost"],
        rows={name: _row(samples) for name, samples in found.items()},
        lost=sum(s.lost for samples in found.values() for s in samples),
        notes=[
            f"{setting.scale.growth_events:,} events, {SHARDS} shards, {fleet.GATEWAYS} gateways.",
            "Everything shares the cores of this machine: the curve is the price of sharing, not its gain.",
        ],
    )


def _row(samples: list[Sample]) -> dict[str, Figure]:
    return {
        "events/s": figure([s.rate for s in samples]),
        "CPU s/1,000 hubs": figure([s.hubs_cpu for s in samples]),
        "database": figure([s.database_cpu for s in samples]),
        "peak MB, all hubs": figure([s.peak_mb for s in samples]),
        "lost": figure([s.lost for s in samples]),
    }
