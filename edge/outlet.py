"""The outlet that drivers write to: numbers, stamps and stores what they saw, and tells them how it fares."""

import logging
from collections import OrderedDict, defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from edge import contract
from edge.clock import Clock
from edge.contract import ContractError, Leaf, Measurement
from edge.drivers import Feedback, Lane
from edge.outbox import Entry, Outbox, OutboxError

log = logging.getLogger(__name__)

PACK_RECORDS = 500
"""Measurements of one pack; a driver may hand over any number."""
_PAYLOAD_LIMIT_BYTES = contract.MAX_PAYLOAD_BYTES - 1024  # room for ``age``
_REMEMBERED_EVENTS = 1000
_NOISE_INTERVAL_MS = 60_000

Shout = Callable[[Leaf, bytes], Awaitable[bool]]


class AgentOutlet:
    """Implements :class:`edge.drivers.Outlet`. ``own_source`` is the gateway as a device.

    Sources may be short names; they become the device's URN. ``shout`` sends what could not be stored.
    """

    def __init__(self, outbox: Outbox, clock: Clock, own_source: str) -> None:
        self._outbox = outbox
        self._clock = clock
        self._own_source = own_source
        self._listeners: defaultdict[str, list[Callable[[str, Feedback], None]]] = defaultdict(list)
        self._sources: OrderedDict[str, str] = OrderedDict()
        self._noise_at_ms: int | None = None
        self.shout: Shout | None = None

    # ----------------------------------------------------------------------------- what drivers say

    async def event(
        self,
        source: str,
        type: str,
        data: Mapping[str, Any] | None = None,
        lane: Lane = Lane.EVENT,
    ) -> str:
        """Record one event that happens now; returns its id once it is on disk.

        Raises :class:`OutboxError` when it could not be stored (an alarm was then still sent, if there is a
        connection) and :class:`ContractError` when it is larger than the hub takes.
        """
        source = contract.device_urn(source)
        event = contract.new_event(
            source=source,
            type=type,
            time=self._clock.wall(),
            data=None if data is None else dict(data),
            sequence=self._outbox.next_sequence(source),
            bootid=self._clock.boot_id,
            clock=self._clock.quality(),
        )
        entry = self._entry(lane, event.id, source, contract.encode_event(event), event.sequence_number)
        self._remember(event.id, source)
        await self._put(entry)
        self.tell([event.id], Feedback.HEARD)
        return event.id

    async def measure(self, measurements: Sequence[Measurement]) -> str:
        """Record measurements; returns the id of their (first) pack. Raises as :meth:`event` does."""
        ids = [
            await self._measure(measurements[start : start + PACK_RECORDS])
            for start in range(0, max(1, len(measurements)), PACK_RECORDS)
        ]
        return ids[0]

    async def _measure(self, measurements: Sequence[Measurement]) -> str:
        pack_id = str(contract.uuid7(self._clock.wall()))
        payload = contract.encode_pack(
            measurements, id=pack_id, clock=self._clock.quality(), bootid=self._clock.boot_id
        )
        await self._put(
            self._entry(Lane.TELEMETRY, pack_id, measurements[0].source, payload, measured=len(measurements))
        )
        return pack_id

    def follow(self, source: str, listener: Callable[[str, Feedback], None]) -> None:
        """Call ``listener(event_id, feedback)`` whenever an event of this source gets further."""
        self._listeners[contract.device_urn(source)].append(listener)

    # ------------------------------------------------------------------------------- what they hear

    def tell(self, event_ids: Sequence[str], feedback: Feedback, source: str | None = None) -> bool:
        """Pass feedback on; ``source`` helps with events of before a restart. False: nobody to tell."""
        told = False
        for event_id in event_ids:
            of = contract.device_urn(source) if source else self._sources.get(event_id)
            for listener in self._listeners.get(of or "", ()):
                told = True
                try:
                    listener(event_id, feedback)
                except Exception:
                    log.exception("a driver failed on the feedback %s", feedback)
        return told

    def _remember(self, event_id: str, source: str) -> None:
        self._sources[event_id] = source
        if len(self._sources) > _REMEMBERED_EVENTS:
            self._sources.popitem(last=False)

    # ---------------------------------------------------------------------------------- storing

    def _entry(
        self,
        lane: Lane,
        message_id: str,
        source: str,
        payload: bytes,
        sequence: int | None = None,
        measured: int = 0,
    ) -> Entry:
        if len(payload) > _PAYLOAD_LIMIT_BYTES:
            raise ContractError(
                "payload", f"{len(payload)} bytes, more than {_PAYLOAD_LIMIT_BYTES}", message_id
            )
        return Entry(
            lane=lane,
            message_id=message_id,
            source=source,
            payload=payload,
            boot_id=self._clock.boot_id,
            boottime_ms=self._clock.boottime_ms(),
            wall=self._clock.wall(),
            clock=self._clock.quality(),
            measurements=measured,
            sequence=sequence,
        )

    async def _put(self, entry: Entry) -> None:
        try:
            await self._outbox.put(entry)
        except OutboxError as error:
            log.critical("%s of %s could not be stored (%s)", entry.lane.name, entry.source, error)
            if entry.lane is Lane.ALARM:
                await self._shout(Leaf.ALARM, entry.payload)
            await self._make_noise(error)
            raise

    async def _make_noise(self, error: OutboxError) -> None:
        """Tell the hub past the outbox, once a minute, that this gateway is losing what it sees."""
        now_ms = self._clock.boottime_ms()
        if self._noise_at_ms is not None and now_ms - self._noise_at_ms < _NOISE_INTERVAL_MS:
            return
        self._noise_at_ms = now_ms
        event = contract.new_event(
            source=self._own_source,
            type="outbox.failed",
            time=self._clock.wall(),
            data={"problem": type(error).__name__},
            bootid=self._clock.boot_id,
            clock=self._clock.quality(),
        )
        await self._shout(Leaf.EVENT, contract.encode_event(event))

    async def _shout(self, leaf: Leaf, payload: bytes) -> None:
        if self.shout is None or not await self.shout(leaf, contract.with_age(payload, 0)):
            log.critical("an %s was neither stored nor sent", leaf.value)
