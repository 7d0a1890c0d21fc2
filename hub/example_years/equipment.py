"""Devices, their outages, and the neighbours who are told. From a seed."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from hub.example_years.cases import Neighbour, Reporter
from hub.example_years.commune import SECTORS, Sector, moved
from hub.example_years.rows import Rows, chance_for, later, uuid7
from hub.example_years.span import Span

SUPERVISOR = "hub:supervision"


@dataclass(frozen=True, slots=True)
class Model:
    """``each`` devices a thousand residents; ``reports`` are the kinds of cases that come from it."""

    kind: str
    label: str
    each: float
    silent_after_s: int
    up_for: timedelta
    down_for: timedelta
    reports: tuple[str, ...] = ()
    is_rural_only: bool = False


_DAY, _HOUR = timedelta(days=1), timedelta(hours=1)
MODELS = (
    Model("panic_button", "Botón", 4.0, 180, 160 * _DAY, 20 * _HOUR, ("panic", "duress")),
    Model("siren", "Alarma comunitaria", 1.2, 180, 200 * _DAY, 30 * _HOUR, ("community_alarm",)),
    Model("camera", "Cámara", 1.6, 180, 55 * _DAY, 40 * _HOUR, ("camera_moved",)),
    Model("smoke_detector", "Detector de humo", 1.0, 300, 220 * _DAY, 16 * _HOUR, ("smoke",)),
    Model("gate", "Portón", 8.0, 600, 90 * _DAY, 26 * _HOUR, ("gate_open",), True),
    Model("collar", "Collar", 5.0, 3600, 80 * _DAY, 30 * _HOUR, ("cattle_theft",), True),
    Model("pump", "Bomba", 3.0, 600, 120 * _DAY, 36 * _HOUR, ("pump_theft",), True),
    Model("smoke_camera", "Vigía de humo", 1.5, 600, 90 * _DAY, 24 * _HOUR, ("smoke_suspected",), True),
    Model("river_level", "Nivel de río", 0.9, 600, 140 * _DAY, 18 * _HOUR, ("river_high",), True),
)


@dataclass(frozen=True, slots=True)
class Thing:
    source: str
    gateway: str
    model: Model
    name: str
    sector: Sector
    latitude: float
    longitude: float


def things(seed: int) -> list[Thing]:
    found = []
    for model in MODELS:
        for sector in SECTORS:
            if model.is_rural_only and not sector.is_rural:
                continue
            for number in range(1, max(1, round(model.each * sector.residents / 1000)) + 1):
                found.append(_thing(model, sector, number, seed))
    return found


def _thing(model: Model, sector: Sector, number: int, seed: int) -> Thing:
    name = slug(sector.id)
    source = f"urn:example:{model.kind}-{name}-{number}"
    chance = chance_for(seed, source)
    reach = sector.reach_m * 0.85
    place = moved(sector.latitude, sector.longitude, *(chance.uniform(-reach, reach) for _ in range(2)))
    return Thing(
        source, f"gw-{name}-{number % 3 + 1}", model, f"{model.label} {sector.name} {number}", sector, *place
    )


def slug(sector: str) -> str:
    return sector.lower().replace(" ", "-").replace("í", "i")


def register(rows: Rows, fleet: Sequence[Thing], span: Span, seed: int) -> None:
    """Numbers are given here, so that the rows that name them can be made before anything is written."""
    created_at = span.since - timedelta(days=20)
    for gateway in sorted({thing.gateway for thing in fleet}):
        rows.add("gateways", gateway=gateway, created_at=created_at, state="online", status_at=span.until)
    for number, thing in enumerate(fleet, 1):
        chance = chance_for(seed, "installed", thing.source)
        # most were there before, the others came in the course of the years
        installed = span.since + (span.until - span.since) * 0.8 * max(0.0, chance.uniform(-2, 1))
        installed_at = created_at if installed <= span.since else installed
        rows.add(
            "devices",
            device_id=number,
            source=thing.source,
            gateway=thing.gateway,
            kind=thing.model.kind,
            name=thing.name,
            place=f"{thing.sector.name}, sitio {number}",
            sector=thing.sector.id,
            latitude=thing.latitude,
            longitude=thing.longitude,
            watch_group=group_of(thing.sector),
            silent_after_s=thing.model.silent_after_s,
            created_at=installed_at,
        )
        rows.add(
            "device_state",
            device_id=number,
            first_seen_at=installed_at + timedelta(hours=chance.uniform(0.5, 30)),
            last_seen_at=span.until,
            battery=round(chance.uniform(0.35, 1.0), 2),
        )


def reporters(fleet: Sequence[Thing]) -> Mapping[tuple[str, str], Sequence[Reporter]]:
    """By kind of case and sector."""
    found: dict[tuple[str, str], list[Reporter]] = {}
    for number, thing in enumerate(fleet, 1):
        for kind in thing.model.reports:
            found.setdefault((kind, thing.sector.id), []).append(Reporter(number, thing.gateway, thing.name))
    return found


# ------------------------------------------------------------------------------------------- outages


def outages(rows: Rows, fleet: Sequence[Thing], span: Span, seed: int) -> None:
    """What the supervision noticed: each silence an alert, ended by the device's own sign of life."""
    for number, thing in enumerate(fleet, 1):
        chance = chance_for(seed, "outages", thing.source)
        installed_at: datetime = rows.of("devices")[number - 1]["created_at"]
        at = later(max(span.since, installed_at), chance, thing.model.up_for)
        while at < span.until:
            back_at = later(at, chance, thing.model.down_for)
            _outage(rows, number, thing, at, back_at if back_at < span.until else None, chance)
            at = later(back_at, chance, thing.model.up_for)


def _outage(
    rows: Rows, number: int, thing: Thing, at: datetime, back_at: datetime | None, chance: random.Random
) -> None:
    opened_at = at + timedelta(seconds=thing.model.silent_after_s)
    if back_at is not None and back_at <= opened_at:
        return
    alert_id = uuid7(opened_at, chance)
    rows.add(
        "alerts",
        alert_id=alert_id,
        code=f"Z{rows.count('alerts') % 9000 + 100}",
        kind="device_silent",
        priority=3,
        state="closed" if back_at else "received",
        reason="technical" if back_at else None,
        dedup_key=f"device_silent:{number}:{alert_id}",
        device_id=number,
        gateway=thing.gateway,
        place=f"{thing.sector.name}, sitio {number}",
        sector=thing.sector.id,
        latitude=thing.latitude,
        longitude=thing.longitude,
        summary=f"Sin señal: {thing.name}",
        rule="device_silent",
        happened_at=opened_at,
        opened_at=opened_at,
        last_event_at=opened_at,
        is_drill=False,
        acknowledged_at=None,
        acknowledged_by=None,
        closed_at=back_at,
        classification="",
    )
    lines: list[tuple[str, datetime, str | None, str | None]] = [("opened", opened_at, None, "received")]
    if back_at:
        lines += [("cleared", back_at, None, None), ("close", back_at, "received", "closed")]
    for move, when, before, after in lines:
        rows.add(
            "alert_log",
            alert_id=alert_id,
            at=when,
            author=SUPERVISOR,
            move=move,
            from_state=before,
            to_state=after,
        )


# -------------------------------------------------------------------------------------------- people

_NAMES = ("Rosa", "Juan", "Elba", "Pedro", "Marta", "Luis", "Ana", "José", "Inés", "Raúl", "Sara", "Hugo")


def group_of(sector: Sector) -> str:
    return f"junta-{slug(sector.id)}"


def people(rows: Rows, span: Span) -> Mapping[str, Sequence[Neighbour]]:
    """A watch group a sector; the numbers are from a range that nobody has."""
    found: dict[str, list[Neighbour]] = {}
    contact = 0
    for place, sector in enumerate(SECTORS, 1):
        rows.add(
            "watch_groups", name=group_of(sector), place=sector.name, sector=sector.id, quorum=2, drill_day=5
        )
        for member in range(1, 13 if sector.is_rural else 5):
            contact += 1
            name = f"{_NAMES[(contact - 1) % len(_NAMES)]} (ejemplo {contact})"
            rows.add(
                "contacts",
                contact_id=contact,
                name=name,
                phone=f"+5690000{place:02}{member:02}",
                watch_group=group_of(sector),
                call_order=member,
                created_at=span.since - timedelta(days=15),
            )
            found.setdefault(sector.id, []).append(Neighbour(contact, name))
    return found
