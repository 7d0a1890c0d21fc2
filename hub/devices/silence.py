"""Who fell silent: a pure decision over when each device was last heard, by the hub's clock alone."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby

from edge.contract import TimeQuality
from hub.alerts.finding import SILENT_BUTTONS, Finding, silent_button, without_place

DEVICE_RULE = "device_silent"
GATEWAY_RULE = "gateway_silent"
PRIORITY_OF_KIND = {"panic_button": 2, "duress_button": 2, "wearable": 2}
"""Nobody can call for help with a button that is off; everything else is upkeep."""
DEFAULT_PRIORITY = 3


@dataclass(frozen=True, slots=True)
class Sighting:
    """A device that has been seen, and when last; ``last_seen_at`` is the hub's clock."""

    device_id: int
    gateway: str
    gateway_name: str
    kind: str
    name: str
    source: str
    place: str
    sector: str
    latitude: float | None
    longitude: float | None
    watch_group: str
    silent_after_s: int
    last_seen_at: datetime


@dataclass(frozen=True, slots=True)
class Silence:
    """``findings``: what people are to hear. ``keys``: all that is silent, also what a finding covers."""

    findings: list[Finding]
    keys: frozenset[str]


def silent_devices(rows: Iterable[Sighting], now: datetime, hub_listening_since: datetime) -> list[Finding]:
    """One finding for each silent device, or one for a gateway whose devices are all silent."""
    return judge(rows, now, hub_listening_since).findings


def judge(rows: Iterable[Sighting], now: datetime, hub_listening_since: datetime) -> Silence:
    """Decide over all the devices ever seen of each gateway that occurs in ``rows``."""
    findings: list[Finding] = []
    keys: set[str] = set()
    for gateway, group in groupby(sorted(rows, key=lambda r: (r.gateway, r.device_id)), lambda r: r.gateway):
        devices = list(group)
        silent = [r for r in devices if _silent_at(r, hub_listening_since) <= now]
        keys.update(device_key(r.device_id) for r in silent if not _is_gateway(r))
        if _is_gateway_silent(devices, silent, now, hub_listening_since):
            keys.add(gateway_key(gateway))
            findings.append(_gateway_finding(devices, now, hub_listening_since))
        else:
            # A gateway whose devices speak is alive, whatever its own health reports do.
            findings.extend(
                _device_finding(r, now, hub_listening_since) for r in silent if not _is_gateway(r)
            )
    return Silence(findings, frozenset(keys))


def device_key(device_id: int) -> str:
    return f"{DEVICE_RULE}:{device_id}"


def gateway_key(gateway: str) -> str:
    return f"{GATEWAY_RULE}:{gateway}"


def _silent_at(row: Sighting, since: datetime) -> datetime:
    return max(row.last_seen_at, since) + timedelta(seconds=row.silent_after_s)


def _is_gateway(row: Sighting) -> bool:
    return row.kind == "gateway"


def _is_gateway_silent(
    devices: Sequence[Sighting], silent: Sequence[Sighting], now: datetime, since: datetime
) -> bool:
    """All silent; or no sign of life, from any device, for as long as the gateway's own limit."""
    own = [r for r in devices if _is_gateway(r)]
    if not own:
        return len(devices) > 1 and len(silent) == len(devices)
    heard_at = max(since, *(r.last_seen_at for r in devices))
    limit = timedelta(seconds=min(r.silent_after_s for r in own))
    return len(silent) == len(devices) or heard_at + limit <= now


def _device_finding(row: Sighting, now: datetime, since: datetime) -> Finding:
    is_hidden = row.kind in SILENT_BUTTONS
    label = silent_button(row.device_id) if is_hidden else row.name or row.place or row.source
    found = Finding(
        rule=DEVICE_RULE,
        kind=DEVICE_RULE,
        priority=PRIORITY_OF_KIND.get(row.kind, DEFAULT_PRIORITY),
        dedup_key=device_key(row.device_id),
        summary=f"Sin señal hace {age_text(now - row.last_seen_at)}: {label}",
        happened_at=_silent_at(row, since),
        time_quality=TimeQuality.RECEIPT.value,
        device_id=row.device_id,
        gateway=row.gateway,
        place=row.place,
        sector=row.sector,
        latitude=row.latitude,
        longitude=row.longitude,
        watch_group=row.watch_group,
    )
    return without_place(found) if is_hidden else found


def _gateway_finding(devices: Sequence[Sighting], now: datetime, since: datetime) -> Finding:
    own = next((r for r in devices if _is_gateway(r)), None)
    children = [r for r in devices if not _is_gateway(r)]
    shown = [r for r in children if r.kind not in SILENT_BUTTONS]
    at = own or (shown or devices)[0]
    heard_at = max(r.last_seen_at for r in devices)
    # A gateway for silent buttons alone stands where they are.
    is_hidden = bool(children) and not shown
    label = at.gateway if is_hidden else at.gateway_name or (own.name if own else "") or at.gateway
    found = Finding(
        rule=GATEWAY_RULE,
        kind=GATEWAY_RULE,
        priority=min(
            (PRIORITY_OF_KIND.get(r.kind, DEFAULT_PRIORITY) for r in children), default=DEFAULT_PRIORITY
        ),
        dedup_key=gateway_key(at.gateway),
        summary=f"Sin señal hace {age_text(now - heard_at)}: equipo {label}{_count_text(len(children))}",
        happened_at=min(now, max(heard_at, since) + timedelta(seconds=at.silent_after_s)),
        time_quality=TimeQuality.RECEIPT.value,
        device_id=own.device_id if own else None,
        gateway=at.gateway,
        place=at.place,
        sector=at.sector,
        latitude=at.latitude,
        longitude=at.longitude,
    )
    return without_place(found) if is_hidden else found


def _count_text(count: int) -> str:
    return "" if count == 0 else " y su dispositivo" if count == 1 else f" y sus {count} dispositivos"


_UNITS = ((86_400, "día", "días"), (3_600, "h", "h"), (60, "min", "min"), (1, "s", "s"))


def age_text(age: timedelta) -> str:
    """``3 min``, ``2 h``, ``1 día``: whole units, cut off."""
    total_s = max(0, int(age.total_seconds()))
    size, one, many = next((unit for unit in _UNITS if total_s >= unit[0]), _UNITS[-1])
    count = total_s // size
    return f"{count} {one if count == 1 else many}"
