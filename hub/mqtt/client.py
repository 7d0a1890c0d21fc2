"""A connection to a broker that is made again for ever: to publish, or to consume without loss.

The consumer acknowledges in order, only after its handler has committed, and never on a later connection.
"""

import asyncio
import logging
import random
import traceback
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from hub.mqtt import packets
from hub.mqtt.errors import (
    ConnectionLostError,
    HandlerError,
    MqttError,
    PublishError,
)
from hub.mqtt.link import Address, Link, open_link
from hub.mqtt.outgoing import check_topic, failed
from hub.mqtt.packets import Message
from hub.mqtt.retry import Complaints, Retry

log = logging.getLogger(__name__)

_T = TypeVar("_T")

BATCH_LIMIT = 500
HIGH_WATER = 10_000
SESSION_EXPIRY_S = 7 * 86_400
"""How long a broker keeps the messages of an absent consumer (version 5; in 3.1.1 the broker decides)."""


@dataclass(slots=True)
class Counters:
    """Since the start. ``messages`` and ``batches`` were handled; ``reconnects`` counts all but the first."""

    messages: int = 0
    batches: int = 0
    failed_batches: int = 0
    oversized: int = 0
    connections: int = 0
    published: int = 0

    @property
    def reconnects(self) -> int:
        return max(0, self.connections - 1)


async def _as_it_is(batch: list[Message]) -> list[Message]:
    return batch


async def _outcome(commit: asyncio.Task[None]) -> None:
    """Let a commit that is under way end with us: cancelled when we are."""
    try:
        await commit
    except asyncio.CancelledError:
        commit.cancel()
        raise


class Publisher:
    """Publishes with a clean session. ``on_state`` hears True when usable, False when lost."""

    def __init__(
        self, address: Address, client_id: str, *, on_state: Callable[[bool], None] | None = None
    ) -> None:
        self._address = address
        self._client_id = client_id
        self._on_state = on_state
        self._link: Link | None = None
        self._is_ready = False
        self._complaints = Complaints(client_id, f"{address.host}:{address.port}")
        self.counters = Counters()

    async def run_loop(self) -> None:
        """Connect, stay, connect again; ends only when cancelled, with a goodbye to the broker."""
        clock = asyncio.get_running_loop().time
        retry = Retry()
        while True:
            started_at = clock()
            cause = await self._one_connection()
            retry.failed(cause, lived_s=clock() - started_at)
            self._complaints.add(cause, clock())
            await asyncio.sleep(retry.delay_s(random.random()))  # noqa: S311 (jitter, no secret)

    @property
    def connected(self) -> bool:
        """True from SUBACK (or CONNACK, with nothing to subscribe to) until the connection's end."""
        return self._is_ready

    async def publish(
        self,
        topic: str,
        payload: bytes,
        qos: int = 1,
        retain: bool = False,
        message_expiry_s: int | None = None,
    ) -> None:
        """Return once the broker has it (QoS 1) or once it is written (QoS 0).

        Raises ConnectionLostError (it may have arrived), PublishError (refused) or ValueError.
        ``message_expiry_s`` is dropped with version 3.1.1.
        """
        await self.publish_nowait(topic, payload, qos, retain, message_expiry_s)

    def publish_nowait(
        self,
        topic: str,
        payload: bytes,
        qos: int = 1,
        retain: bool = False,
        message_expiry_s: int | None = None,
    ) -> asyncio.Future[None]:
        """As :meth:`publish`; the future may be dropped by whoever repeats on other grounds."""
        check_topic(topic)
        if qos not in (0, 1):
            raise ValueError(f"QoS {qos} is neither 0 nor 1")
        outgoing = self._link.outgoing if self._link is not None else None
        if outgoing is None:
            return failed(ConnectionLostError("not connected to the broker"))
        try:
            future = outgoing.submit(topic, payload, qos, retain, message_expiry_s)
        except PublishError as error:
            return failed(error)
        self.counters.published += 1
        return future

    # --------------------------------------------------------------------------- what a consumer adds

    _filters: tuple[str, ...] = ()
    _session_expiry_s = 0
    _high_water = HIGH_WATER

    def _on_messages(self) -> None:
        """Nothing is subscribed to, so nothing comes."""

    # ------------------------------------------------------------------------------ one connection

    async def _one_connection(self) -> MqttError:
        """From CONNECT to the end; returns why it ended."""
        try:
            link = await open_link(self._address, self._connect(), self._high_water, self._on_messages)
        except MqttError as error:
            return error
        try:
            return await self._stay(link)
        finally:
            self._set_ready(False)
            self._link = None
            await link.close()

    async def _stay(self, link: Link) -> MqttError:
        self._link = link
        self.counters.connections += 1
        # The broker may have sent the session's messages in one piece with its CONNACK.
        self._on_messages()
        try:
            if self._filters:
                await link.subscribe(self._filters)
        except MqttError as error:
            link.abort(error)
            return error
        log.info(
            "%s: connected to %s:%d, session %s",
            self._client_id,
            self._address.host,
            self._address.port,
            "resumed" if link.session_present else "new",
        )
        self._set_ready(True)
        return await asyncio.shield(link.closed)

    def _connect(self) -> bytes:
        return packets.connect(
            self._address.version,
            self._client_id,
            keepalive_s=self._address.keepalive_s,
            clean_start=not self._filters,
            session_expiry_s=self._session_expiry_s,
            username=self._address.username,
            password=self._address.password,
        )

    def _set_ready(self, is_ready: bool) -> None:
        if is_ready == self._is_ready:
            return
        self._is_ready = is_ready
        if self._on_state is not None:
            self._on_state(is_ready)


class Consumer(Publisher):
    """Hands what the ``filters`` match to ``handle``, in order, in batches; acknowledges after it returns.

    A batch is whatever came while the previous one was being committed, at most ``batch_limit``. Unless
    ``linger_s`` says how long to gather more of what is not urgent, there is no timer, so a lone message
    never waits. Calls of ``handle`` never overlap. ``prepare``, where given,
    turns a batch into what ``handle`` gets; with a batch's worth waiting it works ahead, on the next batch
    while ``handle`` is busy with the last. When ``handle`` or ``prepare`` raises, the
    connection is dropped and the broker sends everything unacknowledged again, so ``handle`` must bear
    repeats. With more than ``high_water`` messages or 32 MB waiting the socket is left unread until half
    of it is handled. ``client_id`` names the session at the broker: fixed, and used by one process only.
    """

    def __init__(
        self,
        address: Address,
        client_id: str,
        filters: Sequence[str],
        handle: Callable[[Any], Awaitable[None]],
        *,
        prepare: Callable[[list[Message]], Awaitable[Any]] | None = None,
        batch_limit: int = BATCH_LIMIT,
        linger_s: float = 0.0,
        high_water: int = HIGH_WATER,
        session_expiry_s: int = SESSION_EXPIRY_S,
        on_state: Callable[[bool], None] | None = None,
    ) -> None:
        super().__init__(address, client_id, on_state=on_state)
        if not filters:
            raise ValueError("a consumer needs a topic filter")
        self._filters = tuple(filters)
        self._handle = handle
        self._prepare = prepare or _as_it_is
        self._batch_limit = batch_limit
        self._linger_s = linger_s
        self._high_water = high_water
        self._session_expiry_s = session_expiry_s
        self._wake = asyncio.Event()

    async def run_loop(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(super().run_loop())
            tasks.create_task(self._pump_loop())

    @property
    def session_present(self) -> bool | None:
        """Whether the broker had kept our session; False means that it may have lost messages.

        None while there is no connection.
        """
        return self._link.session_present if self._link is not None else None

    @property
    def waiting(self) -> int:
        """Messages read and not yet handed over."""
        return self._link.waiting if self._link is not None else 0

    def _on_messages(self) -> None:
        self._wake.set()

    async def _pump_loop(self) -> None:
        while True:
            await self._wake.wait()
            if self._linger_s and self.waiting < self._batch_limit:
                await asyncio.sleep(self._linger_s)
            self._wake.clear()
            await self._pump()

    async def _pump(self) -> None:
        """Handle what waits. With more than a batch waiting, the next one is prepared during a commit."""
        commit: asyncio.Task[None] | None = None
        try:
            # A lost connection's messages go with it: the broker sends them again on the next.
            while (link := self._link) is not None and (batch := link.take(self._batch_limit)):
                prepared = await self._guard(link, batch, self._prepare(batch))
                if commit is not None:
                    await commit
                    commit = None
                # After a failure nothing behind it may be stored: what comes again keeps its order.
                if prepared is None or link.is_ending:
                    continue
                work = self._commit(link, batch, prepared)
                if link.waiting >= self._batch_limit:
                    commit = asyncio.create_task(work)
                    continue
                await work
                if self._linger_s:
                    if link.waiting:
                        self._wake.set()
                    return
        finally:
            if commit is not None:
                await _outcome(commit)

    async def _commit(self, link: Link, batch: list[Message], prepared: object) -> None:
        if await self._guard(link, batch, self._done(prepared)) is None:
            return
        link.acknowledge(batch)
        self.counters.batches += 1
        self.counters.messages += len(batch)
        self.counters.oversized += sum([m.oversize > 0 for m in batch])

    async def _done(self, prepared: object) -> bool:
        await self._handle(prepared)
        return True

    async def _guard(self, link: Link, batch: list[Message], work: Awaitable[_T]) -> _T | None:
        """What ``work`` returns; None when it failed, and the batch comes again on the next connection."""
        try:
            return await work
        except Exception as error:  # noqa: BLE001  (whatever it was, the batch is not committed)
            self._report(error, len(batch))
            link.abort(HandlerError(f"a batch of {len(batch)} was not committed ({type(error).__name__})"))
            return None

    def _report(self, error: Exception, count: int) -> None:
        self.counters.failed_batches += 1
        # Without the error's own text: a database quotes the row that it refused.
        frames = "".join(traceback.format_tb(error.__traceback__))
        log.error("%s: %s in a batch of %d\n%s", self._client_id, type(error).__name__, count, frames)
