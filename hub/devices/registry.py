"""The registry in memory: who owns which device, for the intake's hot path; NOTIFY ``devices`` reloads it."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Literal, TypeAlias

import asyncpg

from edge import contract
from hub.clock import Clock
from hub.database import Connection, Pool, persist

log = logging.getLogger(__name__)

CHANNEL = "devices"
RELOAD_PAUSE_S = 0.2
"""At most five reloads a second, however many devices are adopted or imported one by one."""
_PREFETCH_ROWS = 500  # about 2 ms of work between two chances for an alarm to pass
MAX_SOURCE_LENGTH = 255


@dataclass(frozen=True, slots=True)
class Device:
    """One row of ``devices``. ``adopted``: taken in on first contact, nobody has confirmed it."""

    device_id: int
    source: str
    gateway: str
    kind: str
    name: str
    place: str
    sector: str
    latitude: float | None
    longitude: float | None
    watch_group: str
    silent_after_s: int
    adopted: bool


COLUMNS = (
    "device_id, source, gateway, kind, name, place, sector, latitude, longitude,"
    " watch_group, silent_after_s, adopted"
)
"""In the order of :class:`Device`'s fields."""

KIND_OF_PREFIX = {
    "panic": "panic_button",
    "duress": "duress_button",
    "man": "wearable",
    "smoke": "smoke_detector",
    "gate": "gate",
    "camera": "camera",
    "river": "river_level",
    "level": "river_level",
    "temperature": "temperature",
    "fence": "fence",
    "power": "power_meter",
    "siren": "siren",
}
"""First part of an event type, or of a quantity's name, to the kind of device that says such things."""


def kind_of(hint: str) -> str:
    """The likely kind of a device from what it said first (``panic.pressed``, ``level``); else ``other``."""
    return KIND_OF_PREFIX.get(hint.partition(".")[0], "other")


NotOurs: TypeAlias = Literal["foreign_device", "unknown_device"]
"""Why a gateway may not speak for a device; the causes under which refusals are kept."""


class Registry:
    """A snapshot of gateways and devices. Look-ups never wait; a reload swaps the whole of it."""

    def __init__(self) -> None:
        self._devices: dict[str, Device] = {}
        self._gateways: set[str] = set()
        self._is_stale = asyncio.Event()

    def device(self, source: str) -> Device | None:
        return self._devices.get(source)

    def knows_gateway(self, name: str) -> bool:
        return name in self._gateways

    def gateways(self) -> frozenset[str]:
        return frozenset(self._gateways)

    def owner_of(self, source: str) -> str | None:
        """The gateway that may speak for ``source``; every other one is foreign to it."""
        device = self._devices.get(source)
        return None if device is None else device.gateway

    @property
    def device_count(self) -> int:
        return len(self._devices)

    @property
    def gateway_count(self) -> int:
        return len(self._gateways)

    async def load(self, pool: Pool) -> None:
        """Read everything in one consistent view, then swap it in."""
        self._devices, self._gateways = await _read(pool)

    def on_notify(self, payload: str) -> None:
        """For NOTIFY ``devices``, and for a renewed LISTEN: something may have been missed."""
        del payload  # whatever changed, the whole snapshot is read again
        self._is_stale.set()

    async def reload_loop(self, pool: Pool, clock: Clock) -> None:
        while True:
            await self._is_stale.wait()
            self._is_stale.clear()
            await persist(lambda: self.load(pool), clock.sleep, "device registry")
            log.debug("registry holds %d devices of %d gateways", len(self._devices), len(self._gateways))
            await clock.sleep(RELOAD_PAUSE_S)

    async def adopt(
        self, executor: Pool | Connection, gateway: str, source: str | None = None, hint: str = ""
    ) -> Device | NotOurs:
        """Take in a gateway, and a device of it, on first contact; for laboratories only.

        Without ``source`` the device is the gateway itself. ``hint`` is the event type or quantity that
        came first. Repeats and races end in one row: whoever was first owns the device, so the answer is
        ``foreign_device`` for the others, and ``unknown_device`` for a source that no row can hold.

        Inside a caller's transaction the snapshot follows at the commit, by NOTIFY.
        """
        contract.check_gateway(gateway)
        own = contract.device_urn(gateway)
        source = own if source is None else source
        if not 0 < len(source) <= MAX_SOURCE_LENGTH or "\x00" in source:
            return "unknown_device"
        is_ours_to_commit = isinstance(executor, asyncpg.Pool) or not executor.is_in_transaction()
        async with _transaction(executor) as connection:
            rows = await _insert_adopted(connection, gateway, own, source, kind_of(hint))
        if is_ours_to_commit:
            self._gateways.add(gateway)
            self._devices.update({device.source: device for device in rows})
        device = next(device for device in rows if device.source == source)
        return device if device.gateway == gateway else "foreign_device"


async def _read(pool: Pool) -> tuple[dict[str, Device], set[str]]:
    devices: dict[str, Device] = {}
    async with (
        pool.acquire() as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        gateways = {r[0] for r in await connection.fetch("select gateway from gateways")}
        # A cursor hands rows over in portions, so that a large registry never holds up the event loop.
        async for record in connection.cursor(
            f"select {COLUMNS} from devices",  # noqa: S608  a constant of ours
            prefetch=_PREFETCH_ROWS,
        ):
            device = Device(*record)
            devices[device.source] = device
    return devices, gateways


@asynccontextmanager
async def _transaction(executor: Pool | Connection) -> AsyncIterator[Connection]:
    if isinstance(executor, asyncpg.Pool):
        async with executor.acquire() as connection, connection.transaction():
            yield connection
    else:
        async with executor.transaction():
            yield executor


async def _insert_adopted(
    connection: Connection, gateway: str, own: str, source: str, kind: str
) -> list[Device]:
    """The rows of the gateway's own device and of ``source``, whoever made them."""
    sources = [own] if source == own else [own, source]
    kinds = ["gateway"] if source == own else ["gateway", kind]
    is_new = await connection.fetchval(
        "insert into gateways (gateway, adopted) values ($1, true) on conflict do nothing returning true",
        gateway,
    )
    # In order of the source: two that adopt the same devices wait for each other, never in a circle.
    made = await connection.fetch(
        "insert into devices (source, gateway, kind, adopted)"
        " select s, $1, k, true from unnest($2::text[], $3::text[]) as n (s, k) order by s"
        " on conflict (source) do nothing returning source",
        gateway,
        sources,
        kinds,
    )
    if is_new or made:
        await connection.execute("select pg_notify($1, $2)", CHANNEL, gateway)
        log.warning("adopted on first contact: gateway %s, %d new devices", gateway, len(made))
    records = await connection.fetch(
        f"select {COLUMNS} from devices where source = any($1)",  # noqa: S608  a constant of ours
        sources,
    )
    return [Device(*record) for record in records]
