"""The intake in shards of gateways: one set of connections a shard, held by one hub at a time.

With one shard the lanes subscribe by wildcard. With more, each shard names the topics of its own gateways,
because a shared subscription strands the messages of a member that died (on Mosquitto). The session at the
broker belongs to the shard, not to the hub: whoever holds the shard goes on where the last one stopped.
"""

import asyncio
import logging
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from edge import contract
from edge.contract import Leaf
from hub.clock import Clock
from hub.intake.control import LEAVES, control_lane
from hub.intake.pipeline import Intake, Lane, event_lane, telemetry_lane
from hub.intake.presence import Listening
from hub.mqtt import Address, Consumer

log = logging.getLogger(__name__)

LANES = (Leaf.ALARM, Leaf.EVENT, Leaf.TELEMETRY)
TELEMETRY_LINGER_S = 0.02
"""One commit for all telemetry of so long: each one costs the disk and the alarms beside it."""

FOLLOW_REGISTRY_S = 1.0
"""How long a new gateway waits until its shard subscribes to it; its edge keeps what it sends meanwhile."""


def shard_of(gateway: str, shards: int) -> int:
    """The same on every hub and for ever, so a gateway's messages have one reader."""
    return zlib.crc32(gateway.encode()) % shards


def shard_name(index: int, shards: int) -> str:
    return f"shard-{index}-of-{shards}"


@dataclass(frozen=True, kw_only=True)
class Shards:
    """What the shards of one hub share. ``client_id`` names a session at the broker from its purpose."""

    intake: Intake
    address: Address
    shards: int
    client_id: Callable[[str], str]
    clock: Clock

    def lane(self, leaf: Leaf) -> Lane[Any]:
        return telemetry_lane(self.intake) if leaf is Leaf.TELEMETRY else event_lane(self.intake, leaf)

    async def run_shard(self, index: int, listening: Listening) -> None:
        """Consume one shard until cancelled."""
        await self.intake.load()
        while True:
            gateways = self._gateways(index)
            async with asyncio.TaskGroup() as group:
                tasks = [
                    group.create_task(self._lane(index, leaf, filters, listening).run_loop())
                    for leaf in LANES
                    if (filters := self._filters(leaf, gateways))
                ]
                if not tasks:
                    listening.all_quiet(self.clock.now())
                await self._until_changed(index, gateways)
                for task in tasks:
                    task.cancel()

    async def run_control(self) -> None:
        """Births, deaths and command results of all gateways."""
        gauge = self.intake.metrics.connected.labels("control")
        filters = [contract.subscription(leaf) for leaf in LEAVES]
        consumer = Consumer(
            self.address, self.client_id("control"), filters, control_lane(self.intake), on_state=gauge.set
        )
        await consumer.run_loop()

    def _gateways(self, index: int) -> frozenset[str] | None:
        """The shard's gateways; None where one shard has them all."""
        if self.shards == 1:
            return None
        return frozenset(g for g in self.intake.registry.gateways() if shard_of(g, self.shards) == index)

    def _filters(self, leaf: Leaf, gateways: frozenset[str] | None) -> Sequence[str]:
        if gateways is None:
            return [contract.subscription(leaf)]
        return [contract.topic(gateway, leaf) for gateway in sorted(gateways)]

    def _lane(self, index: int, leaf: Leaf, filters: Sequence[str], listening: Listening) -> Consumer:
        gauge = self.intake.metrics.connected.labels(leaf)

        def on_state(is_up: bool) -> None:
            gauge.set(is_up)
            listening.changed(leaf, is_up, self.clock.now())

        purpose = leaf.value if self.shards == 1 else f"{index}-of-{self.shards}-{leaf}"
        lane = self.lane(leaf)
        return Consumer(
            self.address,
            self.client_id(purpose),
            filters,
            lane.commit,
            prepare=lane.prepare,
            linger_s=TELEMETRY_LINGER_S if leaf is Leaf.TELEMETRY else 0.0,
            on_state=on_state,
        )

    async def _until_changed(self, index: int, gateways: frozenset[str] | None) -> None:
        while True:
            await self.clock.sleep(FOLLOW_REGISTRY_S)
            if self._gateways(index) != gateways:
                log.info("shard %d follows the registry", index)
                return
