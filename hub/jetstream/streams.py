"""What there is in the cluster: one work queue for each lane, kept by several nodes, and its readers' place.

What gateways publish on ``almenara/1/<gateway>/alarm`` has the subject ``almenara.1.<gateway>.alarm`` here.
The stream takes it whether a hub is there or not and drops it when a hub has acknowledged it. It is full
rather than forgetful: then it takes nothing new, gateways get no receipt and keep what they have.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from nats.aio.client import Client
from nats.js.api import (
    AckPolicy,
    ConsumerConfig,
    DiscardPolicy,
    RetentionPolicy,
    StorageType,
    StreamConfig,
)
from nats.js.errors import BadRequestError

DURABLE = "hubs"
"""All hubs read from the same place in the queue; each message goes to one of them."""

_NAME_TAKEN = 10058
_API_TIMEOUT_S = 5.0


@dataclass(frozen=True, kw_only=True)
class Stream:
    """``topics`` are MQTT filters. ``ack_wait_s`` is how long a killed hub's messages wait for another hub.

    ``prefetch`` is how many messages one hub may hold unacknowledged. What ``is_urgent`` is also heard as it
    passes, before the queue has it: a stream whose leader died stands still for seconds until the other nodes
    have chosen a new one. The queue's copy comes later and is a repeat.
    """

    name: str
    topics: Sequence[str]
    max_bytes: int
    ack_wait_s: float = 10.0
    prefetch: int = 1000
    replicas: int = 3
    is_urgent: bool = False

    def subjects(self) -> list[str]:
        return [subject_of(topic) for topic in self.topics]


def subject_of(topic: str) -> str:
    """The NATS subject of a topic or filter of ours (they hold neither dots nor spaces)."""
    return topic.replace("/", ".").replace("+", "*")


def topic_of(subject: str) -> str:
    return subject.replace(".", "/")


async def set_up(client: Client, stream: Stream) -> None:
    """Make stream and consumer, or change them to what is asked for; again and again does no harm.

    Raises ``nats.errors.Error`` while the cluster has no leader.
    """
    manager = client.jetstream(timeout=_API_TIMEOUT_S)
    wanted = StreamConfig(
        name=stream.name,
        subjects=stream.subjects(),
        retention=RetentionPolicy.WORK_QUEUE,
        storage=StorageType.FILE,
        discard=DiscardPolicy.NEW,
        max_bytes=stream.max_bytes,
        num_replicas=stream.replicas,
    )
    try:
        await manager.add_stream(wanted)
    except BadRequestError as error:
        if error.err_code != _NAME_TAKEN:
            raise
        await manager.update_stream(wanted)
    await manager.add_consumer(
        stream.name,
        ConsumerConfig(
            durable_name=DURABLE,
            ack_policy=AckPolicy.EXPLICIT,
            ack_wait=stream.ack_wait_s,
            max_deliver=-1,
            # The hubs' own limit holds: each asks for no more than it can hold.
            max_ack_pending=-1,
        ),
    )
