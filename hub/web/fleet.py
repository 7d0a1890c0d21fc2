"""Devices as the console shows them."""

from dataclasses import dataclass, replace
from datetime import datetime

from hub.alerts.finding import SILENT_BUTTONS, silent_button
from hub.devices import service
from hub.devices.service import DeviceRow, RefusalRow
from hub.devices.words import DEVICE_KINDS
from hub.web import texts
from hub.web.context import Console

LOW_BATTERY = 0.20
"""As the rule ``battery_low``: what is red here has an alert there."""

STATES: dict[str, str] = {"online": "En línea", "silent": "Sin señal", "never": "Nunca visto"}
STATE_FILTERS: dict[str, str] = {**STATES, "adopted": "Adoptados"}

MAP_PAGE = service.MAX_PAGE
MAP_DEVICES = 5_000
"""A canvas draws this many without effort; a larger fleet is looked up in its list."""


@dataclass(frozen=True, slots=True)
class DeviceView:
    """``device_id`` is None where the device has no page: a silent button."""

    device_id: int | None
    source: str
    title: str
    kind_label: str
    place: str
    sector: str
    gateway: str
    gateway_state: str
    adopted: bool
    last_seen_at: datetime | None
    battery_percent: int | None
    is_battery_low: bool
    state: str
    state_label: str


@dataclass(frozen=True, slots=True)
class RefusalView:
    gateway: str
    cause_label: str
    count: int
    last_at: datetime
    detail: str


def without_secrets(row: DeviceRow) -> DeviceRow:
    """The row as lists may show it: where a silent button lives is what its alerts hide."""
    if row.kind not in SILENT_BUTTONS:
        return row
    name = silent_button(row.device_id).capitalize()
    return replace(row, name=name, place="", latitude=None, longitude=None)


def view_device(row: DeviceRow) -> DeviceView:
    return DeviceView(
        device_id=None if row.kind in SILENT_BUTTONS else row.device_id,
        source=row.source,
        title=row.name or row.place or row.source,
        kind_label=texts.named(DEVICE_KINDS, row.kind),
        place=row.place,
        sector=row.sector,
        gateway=row.gateway,
        gateway_state=row.gateway_state,
        adopted=row.adopted,
        last_seen_at=row.last_seen_at,
        battery_percent=None if row.battery is None else round(row.battery * 100),
        is_battery_low=row.battery is not None and row.battery < LOW_BATTERY,
        state=row.state,
        state_label=STATES[row.state],
    )


def view_refusal(row: RefusalRow) -> RefusalView:
    return RefusalView(
        gateway=row.gateway if row.gateway != service.OTHERS else "otros",
        cause_label=texts.named(texts.REFUSAL_CAUSES, row.cause),
        count=row.count,
        last_at=row.last_at,
        detail=row.detail,
    )


async def find_device(console: Console, device_id: int) -> DeviceRow | None:
    """The device of an alert."""
    rows = await service.list_devices(console.pool, now=console.now(), limit=1, after=device_id - 1)
    return rows[0] if rows and rows[0].device_id == device_id else None


async def located_devices(console: Console) -> list[dict[str, object]]:
    """name, state, state_label, latitude, longitude of the devices that have a place on the map."""
    found: list[dict[str, object]] = []
    after, seen = 0, 0
    while seen < MAP_DEVICES:
        rows = await service.list_devices(console.pool, now=console.now(), limit=MAP_PAGE, after=after)
        found.extend(_on_map(row) for row in rows if _is_public_place(row))
        seen += len(rows)
        if len(rows) < MAP_PAGE:
            break
        after = rows[-1].device_id
    return found


def _is_public_place(row: DeviceRow) -> bool:
    return row.latitude is not None and row.longitude is not None and row.kind not in SILENT_BUTTONS


def _on_map(row: DeviceRow) -> dict[str, object]:
    return {
        "name": row.name or row.place or row.source,
        "state": row.state,
        "state_label": STATES[row.state],
        "latitude": row.latitude,
        "longitude": row.longitude,
    }
