"""Speaking to the gateways: over MQTT, because only that waits at the broker for a gateway that is away."""

import asyncio
from collections.abc import Sequence

from hub.mqtt import Address, ConnectionLostError, Publisher
from hub.mqtt.outgoing import failed


class Downlink:
    """Publishes through whichever node answers. As :class:`hub.mqtt.Publisher`, with one address per node.

    A gateway's session belongs to the cluster, so each node reaches every gateway.
    """

    def __init__(self, addresses: Sequence[Address], client_id: str) -> None:
        # At every node at once: the death of one costs no time.
        self._publishers = [Publisher(a, f"{client_id}-{index}") for index, a in enumerate(addresses)]

    async def run_loop(self) -> None:
        async with asyncio.TaskGroup() as group:
            for publisher in self._publishers:
                group.create_task(publisher.run_loop())

    @property
    def connected(self) -> bool:
        return any(publisher.connected for publisher in self._publishers)

    async def publish(
        self,
        topic: str,
        payload: bytes,
        qos: int = 1,
        retain: bool = False,
        message_expiry_s: int | None = None,
    ) -> None:
        """Return once a node has it; raises as :meth:`hub.mqtt.Publisher.publish`."""
        await self.publish_nowait(topic, payload, qos, retain, message_expiry_s)

    def publish_nowait(
        self,
        topic: str,
        payload: bytes,
        qos: int = 1,
        retain: bool = False,
        message_expiry_s: int | None = None,
    ) -> asyncio.Future[None]:
        """The future may be dropped by whoever repeats on other grounds."""
        for publisher in self._publishers:
            if publisher.connected:
                return publisher.publish_nowait(topic, payload, qos, retain, message_expiry_s)
        return failed(ConnectionLostError("connected to no node of the cluster"))
