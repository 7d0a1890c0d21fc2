"""The intake from a cluster: every hub pulls from the same queues, so there is nothing to share out."""

import asyncio
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace

from edge import contract
from edge.contract import Leaf
from hub.clock import Clock
from hub.database import persist
from hub.intake import control
from hub.intake.control import control_lane
from hub.intake.decode import Incoming
from hub.intake.pipeline import Handler, Intake, event_lane, telemetry_lane
from hub.intake.presence import Listening
from hub.jetstream import Nodes, PullConsumer, Stream

_CONTROL = "control"
_GIB = 1024**3

STREAMS: dict[str, Stream] = {
    # Edges repeat an alarm after a second, so a killed hub's alarms come to the others before these 5 s.
    Leaf.ALARM: Stream(
        name="ALMENARA_ALARM",
        topics=[contract.subscription(Leaf.ALARM)],
        max_bytes=_GIB // 4,
        ack_wait_s=5.0,
        prefetch=200,
        is_urgent=True,
    ),
    Leaf.EVENT: Stream(name="ALMENARA_EVENT", topics=[contract.subscription(Leaf.EVENT)], max_bytes=_GIB),
    Leaf.TELEMETRY: Stream(
        name="ALMENARA_TELEMETRY", topics=[contract.subscription(Leaf.TELEMETRY)], max_bytes=2 * _GIB
    ),
    _CONTROL: Stream(
        name="ALMENARA_CONTROL",
        topics=[contract.subscription(leaf) for leaf in control.LEAVES],
        max_bytes=_GIB // 4,
    ),
}


@dataclass(frozen=True, kw_only=True)
class Streams:
    """The lanes of one hub of the cluster."""

    intake: Intake
    nodes: Nodes
    replicas: int
    clock: Clock
    owner: str

    async def run_loop(self, listening: Listening) -> None:
        """Consume until cancelled; each lane over a connection of its own: alarms wait behind nothing."""
        await persist(self.intake.load, self.clock.sleep, "intake")
        async with asyncio.TaskGroup() as group:
            for lane, stream in STREAMS.items():
                group.create_task(self._consumer(lane, stream, listening).run_loop())

    def _consumer(self, lane: str, stream: Stream, listening: Listening) -> PullConsumer:
        gauge = self.intake.metrics.connected.labels(lane)

        def on_state(is_up: bool) -> None:
            gauge.set(is_up)
            if lane != _CONTROL:
                listening.changed(lane, is_up, self.clock.now())

        return PullConsumer(
            self.nodes,
            f"almenara-hub-{self.owner}-{lane}-{secrets.token_hex(2)}",
            replace(stream, replicas=self.replicas),
            self._handler(lane),
            on_state=on_state,
        )

    def _handler(self, lane: str) -> Handler:
        if lane == _CONTROL:
            return control_lane(self.intake)
        if lane == Leaf.TELEMETRY:
            return shared_telemetry_lane(self.intake)
        return event_lane(self.intake, Leaf(lane))


def shared_telemetry_lane(intake: Intake) -> Handler:
    """The telemetry lane where any hub may get a device's readings: memories are read with each batch.

    Where two hubs hold readings of one device at the same moment, the second one to write a memory sees
    that it changed and repeats its batch.
    """
    handle = telemetry_lane(intake)

    async def act(messages: Sequence[Incoming]) -> None:
        intake.rules.memories.clear()
        await handle(messages)

    return act
