"""A hub's hand in one queue of the cluster: pull, hand over in batches, acknowledge after the commit."""

import asyncio
import json
import logging
import traceback
from collections import deque
from collections.abc import Awaitable, Callable, Sequence

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg

from hub.jetstream.nodes import Nodes
from hub.jetstream.streams import DURABLE, Stream, set_up, topic_of
from hub.mqtt import CUT_BYTES, DEFAULT_LIMIT_BYTES, Counters, Message

log = logging.getLogger(__name__)

BATCH_LIMIT = 500
HEARTBEAT_S = 1.0
"""So often the cluster says that it knows of our request while there is nothing to deliver."""
_SILENT_S = 2.5 * HEARTBEAT_S
# Requests that a change of leader left behind are forgotten after this.
_REQUEST_LIVES_S = 10.0
_RETRY_S = 1.0
_NANO = 1_000_000_000
_ACK, _STILL_AT_IT = b"+ACK", b"+WPI"
_NOT_NOW = b'-NAK {"delay": %d}' % _NANO
_HEARTBEAT, _NOBODY_THERE = "100", "503"
_LEFT = "Nats-Pending-Messages"


class PullConsumer:
    """Hands a stream's messages to ``handle`` in batches; acknowledges each after it returns.

    Any number of these, on any hubs, share the stream. A batch is whatever came while the previous one was
    being committed, at most ``batch_limit``; there is no timer, so a lone message never waits. Calls of
    ``handle`` never overlap. When it raises, the cluster is asked to deliver the batch again after a second.
    ``on_state`` hears True when the cluster answers, False when it stays silent.
    """

    def __init__(
        self,
        nodes: Nodes,
        client_name: str,
        stream: Stream,
        handle: Callable[[list[Message]], Awaitable[None]],
        *,
        batch_limit: int = BATCH_LIMIT,
        on_state: Callable[[bool], None] | None = None,
    ) -> None:
        self._nodes = nodes
        self._name = client_name
        self._stream = stream
        self._handle = handle
        self._batch_limit = batch_limit
        self._on_state = on_state
        self._queue: deque[Msg] = deque()
        self._in_hand = 0
        self._requested = 0
        self._heard_at = 0.0
        self._is_up = False
        self._must_set_up = True
        self._wake = asyncio.Event()
        self._has_room = asyncio.Event()
        self.counters = Counters()

    async def run_loop(self) -> None:
        """Consume until cancelled."""
        async with self._nodes.connected(self._name, self._lost, self._back) as client:
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._pull_loop(client))
                    group.create_task(self._pump_loop(client))
            finally:
                self._set_up_state(False)

    # ---------------------------------------------------------------------------------------- pull

    async def _lost(self) -> None:
        self._set_up_state(False)

    async def _back(self) -> None:
        self.counters.connections += 1
        self._forget_requests()

    def _forget_requests(self) -> None:
        self._requested = 0
        self._has_room.set()

    async def _pull_loop(self, client: Client) -> None:
        self.counters.connections += 1
        inbox = client.new_inbox()
        await client.subscribe(inbox, cb=self._take)
        if self._stream.is_urgent:
            for subject in self._stream.subjects():
                await client.subscribe(subject, queue=DURABLE, cb=self._overhear)
        clock = asyncio.get_running_loop().time
        while True:
            try:
                if self._must_set_up:
                    await set_up(client, self._stream)
                    self._must_set_up = False
                await self._ask(client, inbox)
            except (nats.errors.Error, TimeoutError) as error:
                log.warning("%s: the cluster is not ready (%s)", self._name, type(error).__name__)
                await asyncio.sleep(_RETRY_S)
                continue
            await self._room_or_beat()
            if clock() - self._heard_at > _SILENT_S:
                self._set_up_state(False)
                self._heard_at = clock()
                self._forget_requests()

    async def _ask(self, client: Client, inbox: str) -> None:
        """Request as much as we can hold, once at least half of it is free."""
        held = len(self._queue) + self._in_hand + self._requested
        if 2 * held > self._stream.prefetch:
            return
        count = self._stream.prefetch - held
        request = {
            "batch": count,
            "expires": round(_REQUEST_LIVES_S * _NANO),
            "idle_heartbeat": round(HEARTBEAT_S * _NANO),
        }
        subject = f"$JS.API.CONSUMER.MSG.NEXT.{self._stream.name}.{DURABLE}"
        await client.publish(subject, json.dumps(request).encode(), reply=inbox)
        self._requested += count

    async def _room_or_beat(self) -> None:
        self._has_room.clear()
        waiting = asyncio.ensure_future(self._has_room.wait())
        await asyncio.wait([waiting], timeout=HEARTBEAT_S)
        waiting.cancel()

    async def _take(self, message: Msg) -> None:
        """What came: a message, or the cluster's word about a request."""
        self._heard_at = asyncio.get_running_loop().time()
        status = message.headers.get("Status") if message.headers else None
        if status is None:
            self._queue.append(message)
            self._requested = max(0, self._requested - 1)
            self._wake.set()
        elif status == _NOBODY_THERE:
            # No leader at the moment, or no such consumer: the set-up tells.
            self._must_set_up = True
            self._requested = 0
            return
        elif status != _HEARTBEAT:
            left = (message.headers or {}).get(_LEFT, "")
            self._requested = max(0, self._requested - int(left)) if left.isdigit() else 0
            self._has_room.set()
        self._set_up_state(True)

    async def _overhear(self, message: Msg) -> None:
        """A message on its way to the queue. Nobody counts on us: the queue has what we cannot hold."""
        if len(self._queue) < self._stream.prefetch:
            self._queue.append(message)
            self._wake.set()

    def _set_up_state(self, is_up: bool) -> None:
        if is_up != self._is_up:
            self._is_up = is_up
            log.info("%s: %s", self._name, "reading" if is_up else "the cluster does not answer")
            if self._on_state is not None:
                self._on_state(is_up)

    # ---------------------------------------------------------------------------------------- pump

    async def _pump_loop(self, client: Client) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._queue:
                count = min(self._batch_limit, len(self._queue))
                batch = [self._queue.popleft() for _ in range(count)]
                self._in_hand = count
                await self._commit(client, batch)
                self._in_hand = 0
                self._has_room.set()

    async def _commit(self, client: Client, batch: Sequence[Msg]) -> None:
        messages = [_message(m) for m in batch]
        handling = asyncio.ensure_future(self._handle(messages))
        try:
            while not (await asyncio.wait([handling], timeout=self._stream.ack_wait_s / 2))[0]:
                await self._answer(client, batch, _STILL_AT_IT)
            handling.result()
        except Exception as error:  # noqa: BLE001 - whatever it was, the batch is not committed
            self._report(error, len(batch))
            await self._answer(client, batch, _NOT_NOW)
            return
        finally:
            handling.cancel()
        await self._answer(client, batch, _ACK)
        self.counters.batches += 1
        self.counters.messages += len(batch)
        self.counters.oversized += sum([m.oversize > 0 for m in messages])

    async def _answer(self, client: Client, batch: Sequence[Msg], word: bytes) -> None:
        """What cannot be said now stays unsaid: unacknowledged messages come again, repeats are stopped."""
        try:
            for message in batch:
                if message.reply:  # what was overheard has none
                    await client.publish(message.reply, word)
        except nats.errors.Error as error:
            log.warning("%s: %d messages not answered (%s)", self._name, len(batch), type(error).__name__)

    def _report(self, error: Exception, count: int) -> None:
        self.counters.failed_batches += 1
        # Without the error's own text: a database quotes the row that it refused.
        frames = "".join(traceback.format_tb(error.__traceback__))
        log.error("%s: %s in a batch of %d\n%s", self._name, type(error).__name__, count, frames)


def _message(found: Msg) -> Message:
    """As from the MQTT consumer, so that the same handlers take it."""
    size = len(found.data)
    is_oversize = size > DEFAULT_LIMIT_BYTES
    return Message(
        topic=topic_of(found.subject),
        payload=found.data[:CUT_BYTES] if is_oversize else found.data,
        qos=1,
        retain=False,
        dup=False,
        packet_id=None,
        oversize=size if is_oversize else 0,
    )
