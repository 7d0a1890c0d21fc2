"""Hubs that pull from a three-node NATS cluster: redelivery, the death of a node, of a hub, of both."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest
from fakes import eventually

from bench.cluster import world
from bench.cluster.nodes import NatsCluster
from bench.faults.database import Cluster
from edge import contract
from edge.contract import Leaf
from hub.jetstream import Downlink, Nodes, PullConsumer, Stream
from hub.mqtt import Address, Consumer, Message, MqttError
from hub.settings import SettingsError, load

TOPIC = contract.topic("gw-1", Leaf.EVENT)
STREAM = Stream(name="TEST", topics=[contract.subscription(Leaf.EVENT)], max_bytes=2**26, ack_wait_s=2.0)


@pytest.fixture
async def cluster(server_folder: Path) -> AsyncIterator[NatsCluster]:
    nodes = NatsCluster(server_folder / "nats")
    await nodes.start()
    yield nodes
    await nodes.stop()


def nodes_of(cluster: NatsCluster) -> Nodes:
    return Nodes(servers=cluster.nats_option.split(","))


def addresses(cluster: NatsCluster) -> list[Address]:
    return [Address(host="127.0.0.1", port=node.ports["mqtt"], version=4) for node in cluster.nodes]


@asynccontextmanager
async def running(*parts: PullConsumer | Downlink | Consumer) -> AsyncIterator[None]:
    """Run them; end with the first error of any."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(part.run_loop()) for part in parts]
        yield
        for task in tasks:
            task.cancel()


async def publish(downlink: Downlink, numbers: Iterable[int]) -> None:
    for n in numbers:
        await downlink.publish(TOPIC, b"%d" % n)


async def publish_until_taken(downlink: Downlink, numbers: range, taken: Callable[[], set[int]]) -> None:
    """As edges do: again until the hub has it. A node's word means little while nobody leads the stream."""
    async with asyncio.timeout(30):
        while missing := set(numbers) - taken():
            with suppress(MqttError, TimeoutError):
                async with asyncio.timeout(5):
                    await publish(downlink, sorted(missing))
            with suppress(AssertionError):
                await eventually(lambda: taken() >= set(numbers), limit_s=1)


async def test_a_batch_that_is_not_committed_comes_again_to_whoever_is_there(cluster: NatsCluster) -> None:
    refused: list[Message] = []
    taken: list[Message] = []

    async def refuse(batch: list[Message]) -> None:
        refused.extend(batch)
        raise RuntimeError("the database said no")

    async def take(batch: list[Message]) -> None:
        taken.extend(batch)

    states: list[bool] = []
    bad = PullConsumer(nodes_of(cluster), "bad", STREAM, refuse, on_state=states.append)
    good = PullConsumer(nodes_of(cluster), "good", STREAM, take)
    downlink = Downlink(addresses(cluster), "test-edge")
    async with running(downlink):
        async with running(bad):
            await eventually(lambda: states == [True], limit_s=20)
            await eventually(lambda: downlink.connected, limit_s=20)
            await publish(downlink, range(20))
            await eventually(lambda: len(refused) >= 20, limit_s=10)
        assert bad.counters.failed_batches > 0
        assert bad.counters.messages == 0
        assert states[-1] is False
        async with running(good):
            await eventually(lambda: len(taken) >= 20, limit_s=10)
            assert {int(m.payload) for m in taken} == set(range(20))
            assert {m.topic for m in taken} == {TOPIC}
            # Acknowledged, so nothing comes a third time.
            await eventually(lambda: _left(cluster) == 0, limit_s=10)


async def test_two_readers_share_the_work_over_the_death_of_the_leading_node(cluster: NatsCluster) -> None:
    taken: list[list[int]] = [[], []]

    is_reading = [False, False]

    def take(reader: int) -> PullConsumer:
        async def act(batch: list[Message]) -> None:
            taken[reader].extend(int(m.payload) for m in batch)

        def on_state(is_up: bool) -> None:
            is_reading[reader] = is_up

        return PullConsumer(nodes_of(cluster), f"reader-{reader}", STREAM, act, on_state=on_state)

    downlink = Downlink(addresses(cluster), "test-edge")
    async with running(downlink, take(0), take(1)):
        await eventually(lambda: all(is_reading), limit_s=20)
        await eventually(lambda: downlink.connected, limit_s=20)
        await publish(downlink, range(200))
        await eventually(lambda: set(taken[0] + taken[1]) == set(range(200)), limit_s=10)
        assert min(len(part) for part in taken) > 20
        leader = cluster.leader_of(STREAM.name)
        assert leader is not None
        await leader.kill()
        await publish_until_taken(downlink, range(200, 400), lambda: set(taken[0] + taken[1]))
        now = cluster.leader_of(STREAM.name)
        assert now is not None
        assert now.name != leader.name


def _left(cluster: NatsCluster) -> int:
    """Messages in the test's stream that wait or are not acknowledged."""
    leader = cluster.leader_of(STREAM.name)
    assert leader is not None
    for account in leader.look("jsz?streams=1")["account_details"]:
        for stream in account["stream_detail"]:
            if stream["name"] == STREAM.name:
                return int(stream["state"]["messages"])
    return -1


async def test_a_command_waits_for_a_gateway_that_is_away_and_comes_through_another_node(
    cluster: NatsCluster,
) -> None:
    heard: list[Message] = []

    async def hear(batch: list[Message]) -> None:
        heard.extend(batch)

    first, *_, other = addresses(cluster)
    topic = contract.topic("gw-1", Leaf.COMMAND)
    downlink = Downlink(addresses(cluster), "test-hub")
    async with running(downlink):
        async with running(edge := Consumer(first, "gw-1", [topic], hear)):
            await eventually(lambda: edge.connected and downlink.connected, limit_s=20)
        assert not edge.connected
        await downlink.publish(topic, b"open")
        async with running(Consumer(other, "gw-1", [topic], hear)):
            await eventually(lambda: [m.payload for m in heard] == [b"open"], limit_s=20)


async def test_communes_on_one_cluster_do_not_hear_each_other(server_folder: Path) -> None:
    communes = {"curico": "clave-1", "molina": "clave-2"}
    cluster = NatsCluster(server_folder / "nats", communes)
    heard: dict[str, list[bytes]] = {name: [] for name in communes}
    is_reading: dict[str, bool] = {}

    def reader(name: str) -> PullConsumer:
        async def act(batch: list[Message]) -> None:
            heard[name].extend(m.payload for m in batch)

        def on_state(is_up: bool) -> None:
            is_reading[name] = is_up

        nodes = replace(nodes_of(cluster), username=name, password=communes[name])
        return PullConsumer(nodes, name, STREAM, act, on_state=on_state)

    def writer(name: str) -> Downlink:
        places = [replace(a, username=name, password=communes[name]) for a in addresses(cluster)]
        return Downlink(places, "gw-1")

    await cluster.start()
    try:
        writers = {name: writer(name) for name in communes}
        async with running(*writers.values(), *(reader(name) for name in communes)):
            await eventually(lambda: is_reading == dict.fromkeys(communes, True), limit_s=20)
            await eventually(lambda: all(w.connected for w in writers.values()), limit_s=20)
            for name in communes:
                await writers[name].publish(TOPIC, name.encode())
            await eventually(lambda: heard == {name: [name.encode()] for name in communes}, limit_s=10)
    finally:
        await cluster.stop()


@pytest.mark.timeout(110)
async def test_nothing_is_lost_or_done_twice_when_a_node_and_a_hub_die_under_load(
    server_folder: Path,
) -> None:
    postgres = Cluster(server_folder / "postgres")
    await postgres.start()
    try:
        plan = world.Plan(events=2000, seed=3, edges=4, rate=200, hasten_leases=True, blows=[("node", "hub")])
        outcome = await world.play(plan, postgres, server_folder / "world", lambda _: None)
    finally:
        await postgres.stop()
        shutil.rmtree(server_folder / "world", ignore_errors=True)
    assert outcome.violations == []
    assert outcome.accepted == outcome.stored == 2000
    assert (outcome.lost, outcome.twice, outcome.wrong_order) == (0, 0, 0)
    assert outcome.panics == 80
    assert [strike.what for strike in outcome.strikes] == ["node and hub"]
    assert outcome.edges_moved > 0


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"jetstream": "127.0.0.1:4222"}, "mqtt"),
        ({"jetstream": "127.0.0.1:4222", "mqtt": "127.0.0.1:1883", "shards": 2}, "shards"),
        ({"jetstream": "127.0.0.1", "mqtt": "127.0.0.1:1883"}, "HOST:PUERTO"),
        ({"mqtt": "127.0.0.1:1883,127.0.0.1:1884"}, "jetstream"),
    ],
)
def test_settings_that_do_not_fit_together_are_named(options: dict[str, object], word: str) -> None:
    with pytest.raises(SettingsError, match=word):
        load(**options)


def test_a_cluster_is_named_by_its_nodes() -> None:
    settings = load(jetstream="a:4222, b:4222,c:4222", mqtt="a:1883,b:1883,c:1883", mqtt_version="auto")
    assert settings.jetstream_servers() == ["a:4222", "b:4222", "c:4222"]
    assert [(a.host, a.port, a.version) for a in settings.broker_addresses()] == [
        ("a", 1883, 4),
        ("b", 1883, 4),
        ("c", 1883, 4),
    ]
