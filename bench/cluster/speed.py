"""Events a second, fully processed: JetStream by pull with one and two hubs, beside Mosquitto by MQTT.

Every run begins with a fresh database and a fresh broker; c/load.c publishes flat out to one node and counts
the receipts that come back. The ways take turns, so that each meets the same state of the machine.
"""

import asyncio
import contextlib
import statistics
import urllib.request
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from bench import fleet, programs, usage
from bench.cluster.nodes import NatsCluster
from bench.faults.database import Cluster, Database
from bench.faults.programs import Hub, Mosquitto, folder_owner_may_pass
from hub.database import connect
from hub.devices import importing

_CONNECTED = b'almenara_broker_connected{lane="'
_LANES = ("alarm", "event", "telemetry")
_START_LIMIT_S = 60.0


@dataclass(frozen=True, kw_only=True)
class Way:
    """One way from the load to the database."""

    name: str
    hubs: int
    is_cluster: bool


WAYS = (
    Way(name="Mosquitto, 1 hub", hubs=1, is_cluster=False),
    Way(name="Mosquitto, 2 hubs (4 shards)", hubs=2, is_cluster=False),
    Way(name="JetStream ×3 replicas, 1 hub", hubs=1, is_cluster=True),
    Way(name="JetStream ×3 replicas, 2 hubs", hubs=2, is_cluster=True),
)


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One run: events a second until the last receipt; CPU seconds for 1,000 events."""

    events_per_s: float
    hub_cpu_s: float
    broker_cpu_s: float
    lost: int


@dataclass(frozen=True, kw_only=True)
class Row:
    """One way's runs."""

    name: str
    events_per_s: float
    low: float
    high: float
    hub_cpu_s: float
    broker_cpu_s: float
    lost: int


async def measure(
    postgres: Cluster, folder: Path, *, events: int, rounds: int, say: Callable[[str], None]
) -> list[Row]:
    """Medians of ``rounds`` runs of each way."""
    folder.mkdir()  # noqa: ASYNC240 - before anything runs
    folder_owner_may_pass(folder)
    load = programs.build().load
    samples: dict[str, list[Sample]] = {way.name: [] for way in WAYS}
    for index in range(rounds):
        for way in WAYS[index % len(WAYS) :] + WAYS[: index % len(WAYS)]:
            place = folder / f"{index}-{WAYS.index(way)}"
            sample = await _sample(way, postgres, place, load, events, seed=index * 100 + WAYS.index(way))
            samples[way.name].append(sample)
            say(f"{way.name}: {sample.events_per_s:,.0f} events/s")
    return [_row(name, found) for name, found in samples.items()]


def _row(name: str, found: Sequence[Sample]) -> Row:
    rates = [s.events_per_s for s in found]
    return Row(
        name=name,
        events_per_s=round(statistics.median(rates)),
        low=round(min(rates)),
        high=round(max(rates)),
        hub_cpu_s=round(statistics.median(s.hub_cpu_s for s in found), 3),
        broker_cpu_s=round(statistics.median(s.broker_cpu_s for s in found), 3),
        lost=sum(s.lost for s in found),
    )


async def _sample(way: Way, postgres: Cluster, folder: Path, load: Path, events: int, seed: int) -> Sample:
    folder.mkdir()  # noqa: ASYNC240 - before anything runs
    folder_owner_may_pass(folder)
    database = await postgres.fresh()
    await _register(database, folder)
    async with _broker(way, folder) as (port, broker_pids, hub_of), AsyncExitStack() as stack:
        hubs = [hub_of(index, database) for index in range(way.hubs)]
        for hub in hubs:
            stack.push_async_callback(hub.kill)
            hub.launch()
        await _until_reading(hubs, database, way)
        hub_pids = [hub.pid or 0 for hub in hubs]
        before = [_cpu_s(hub_pids), _cpu_s(broker_pids)]
        words = [f"count={events}", f"seed={seed}", f"devices={fleet.SENSORS}", f"gateways={fleet.GATEWAYS}",
                 "receipts=1", "patience_s=40"]  # fmt: skip
        async with programs.running(load, "127.0.0.1", port, *words) as running:
            found = fleet.Load.parse(await running.result())
        used = [_cpu_s(hub_pids) - before[0], _cpu_s(broker_pids) - before[1]]
        stored = (await database.rows("select count(*) from events"))[0][0]
    await database.drop()
    span_s = (found.last_receipt_us - found.started_us) / 1e6
    return Sample(
        events_per_s=stored / span_s,
        hub_cpu_s=used[0] / events * 1000,
        broker_cpu_s=used[1] / events * 1000,
        lost=events - stored,
    )


def _cpu_s(pids: Sequence[int]) -> float:
    return sum(usage.cpu_s(pid) for pid in pids)


async def _register(database: Database, folder: Path) -> None:
    devices = folder / "devices.csv"
    fleet.write_devices(devices, fleet.SENSORS, 1)
    pool = await connect(database.dsn, max_size=1)
    try:
        await importing.import_file(pool, devices)
    finally:
        await pool.close()


HubOf = Callable[[int, Database], Hub]


@contextlib.asynccontextmanager
async def _broker(way: Way, folder: Path) -> AsyncIterator[tuple[int, list[int], HubOf]]:
    """Where to publish, the brokers' process ids, and how to make a hub on them."""
    if way.is_cluster:
        cluster = NatsCluster(folder / "nats")
        try:
            await cluster.start()

            def on_cluster(index: int, database: Database) -> Hub:
                options = ("--database", database.dsn, "--mqtt", cluster.mqtt_option)
                hub = Hub(folder / f"hub-{index}", *options)
                hub.environment = {"ALMENARA_HUB_JETSTREAM": cluster.nats_option}
                return hub

            pids = [node.pid or 0 for node in cluster.nodes]
            yield cluster.nodes[0].ports["mqtt"], pids, on_cluster
        finally:
            await cluster.stop()
        return
    mosquitto = Mosquitto(folder / "mosquitto", has_memory=False)
    mosquitto.launch()
    try:
        while not await asyncio.to_thread(mosquitto.is_ready):  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.05)

        def on_mosquitto(index: int, database: Database) -> Hub:
            shards = ("--shards", "4") if way.hubs > 1 else ()
            options = ("--database", database.dsn, "--mqtt", f"127.0.0.1:{mosquitto.port}", *shards)
            return Hub(folder / f"hub-{index}", *options)

        yield mosquitto.port, [mosquitto.pid or 0], on_mosquitto
    finally:
        await mosquitto.kill()


async def _until_reading(hubs: Sequence[Hub], database: Database, way: Way) -> None:
    """Every lane of every hub is read, or every shard is held and heard, evenly."""
    async with asyncio.timeout(_START_LIMIT_S):
        while not all([await asyncio.to_thread(hub.is_ready) for hub in hubs]):  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.05)
        while not await _is_reading(hubs, database, way):  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.1)


async def _is_reading(hubs: Sequence[Hub], database: Database, way: Way) -> bool:
    if way.is_cluster:
        return all([await asyncio.to_thread(_reads_all_lanes, hub) for hub in hubs])
    rows = await database.rows(
        "select count(distinct owner), count(*) - count(listening_since) from leases"
        " where name like 'shard-%'"
    )
    return bool(rows[0][0] == way.hubs and rows[0][1] == 0)


def _reads_all_lanes(hub: Hub) -> bool:
    if hub.url is None:
        return False
    with urllib.request.urlopen(f"{hub.url}/metrics", timeout=5) as answer:  # noqa: S310 - our own hub
        text: bytes = answer.read()
    return all(_CONNECTED + lane.encode() + b'"} 1.0' in text for lane in _LANES)
