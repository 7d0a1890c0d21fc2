"""What an import changes: a list compared with the registry. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from edge import contract
from hub.devices.import_fields import (
    DEFAULT_SILENT_AFTER_S,
    DEVICE_FIELDS,
    GATEWAY_FIELDS,
    GATEWAY_KIND,
    Problem,
    parse_cells,
    quoted,
)
from hub.devices.import_files import Sheet
from hub.devices.registry import Device


@dataclass(frozen=True, slots=True)
class Move:
    """A device that the list gives to another gateway than before."""

    line: int
    source: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class ImportReport:
    """Counts are of the list's devices; a moved one is also among the updated."""

    created: int = 0
    updated: int = 0
    unchanged: int = 0
    gateways_created: int = 0
    moved: tuple[Move, ...] = ()
    unknown_columns: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True)
class Gateway:
    gateway: str
    name: str
    adopted: bool


@dataclass(frozen=True, slots=True)
class Entry:
    """One good row: the fields that the list gives. What it does not give stays as it is."""

    line: int
    source: str
    gateway: str
    values: Mapping[str, Any]

    @property
    def is_gateway_itself(self) -> bool:
        return self.source == contract.device_urn(self.gateway)


@dataclass(frozen=True, slots=True)
class Plan:
    """Rows to write: gateways first. ``changed`` keep their ``device_id``, ``new`` have none yet."""

    gateways: list[Gateway] = field(default_factory=list)
    new: list[Device] = field(default_factory=list)
    changed: list[Device] = field(default_factory=list)
    report: ImportReport = field(default_factory=ImportReport)


def make_plan(sheet: Sheet, gateways: Mapping[str, Gateway], devices: Mapping[str, Device]) -> Plan:
    """``gateways`` by name and ``devices`` by source are the registry as it stands."""
    problems = list(sheet.problems)
    names = _listed_gateways(sheet, problems)
    entries = _listed_devices(sheet, {*gateways, *names}, problems)
    names = _all_names(names, entries)
    new, changed = _split(entries, devices)
    own_new, own_changed = _split(_missing_own_entries(names, entries), devices)
    to_write = _gateways_to_write(names, gateways)
    report = ImportReport(
        created=len(new),
        updated=len(changed),
        unchanged=len(entries) - len(new) - len(changed),
        gateways_created=sum(g.gateway not in gateways for g in to_write),
        moved=_moves(entries, devices),
        unknown_columns=tuple(sheet.unknown_columns),
        problems=tuple(sorted(problems, key=lambda p: p.line or 0)),
    )
    return Plan(to_write, new + own_new, changed + own_changed, report)


def _split(entries: Iterable[Entry], devices: Mapping[str, Device]) -> tuple[list[Device], list[Device]]:
    """(new, changed) devices as the entries want them; those that stay as they are drop out."""
    pairs = [(devices.get(entry.source), _wanted(entry, devices)) for entry in entries]
    new = [wanted for before, wanted in pairs if before is None]
    changed = [wanted for before, wanted in pairs if before is not None and wanted != before]
    return new, changed


def _listed_gateways(sheet: Sheet, problems: list[Problem]) -> dict[str, str | None]:
    names: dict[str, str | None] = {}
    for row in sheet.gateways:
        values, found = parse_cells(row.line, row.cells, GATEWAY_FIELDS)
        problems.extend(found)
        if not found:
            names[values["gateway"]] = values.get("name")
    return names


def _listed_devices(sheet: Sheet, gateways: set[str], problems: list[Problem]) -> list[Entry]:
    entries: dict[str, Entry] = {}
    for row in sheet.devices:
        values, found = parse_cells(row.line, row.cells, DEVICE_FIELDS)
        problems.extend(found)
        if found:
            continue
        entry = _entry(row.line, values)
        if (first := entries.get(entry.source)) is not None:
            problems.append(
                Problem(
                    row.line,
                    f"el dispositivo ya está en la línea {first.line}",
                    "Deje una sola línea; vale la primera.",
                )
            )
        else:
            entries[entry.source] = entry
    own_sources = {contract.device_urn(g): g for g in {*gateways, *(e.gateway for e in entries.values())}}
    return [e for e in entries.values() if _is_sound(e, own_sources, problems)]


def _entry(line: int, values: dict[str, Any]) -> Entry:
    entry = Entry(line, values.pop("source"), values.pop("gateway"), values)
    if entry.is_gateway_itself:
        values["kind"] = GATEWAY_KIND
    return entry


def _is_sound(entry: Entry, own_sources: Mapping[str, str], problems: list[Problem]) -> bool:
    """Only a gateway's own device is a gateway, and nobody else may speak for it."""
    owner = own_sources.get(entry.source, entry.gateway)
    if owner != entry.gateway:
        problems.append(
            Problem(
                entry.line,
                f"{quoted(owner)} es un gateway y no puede depender de otro",
                "Use otro nombre de dispositivo.",
            )
        )
        return False
    if entry.values.get("kind") == GATEWAY_KIND and not entry.is_gateway_itself:
        problems.append(
            Problem(
                entry.line,
                "el tipo gateway es solo para el equipo mismo",
                "Ponga otro tipo, o en device el mismo nombre que en gateway.",
            )
        )
        return False
    return True


def _all_names(listed: Mapping[str, str | None], entries: Iterable[Entry]) -> dict[str, str | None]:
    """Every gateway that the list uses, with the name that it gives, if any."""
    names = dict(listed)
    for entry in entries:
        own_name = entry.values.get("name") if entry.is_gateway_itself else None
        names[entry.gateway] = names.get(entry.gateway) or own_name
    return names


def _wanted(entry: Entry, devices: Mapping[str, Device]) -> Device:
    """The device as the list wants it: whoever lists a device has confirmed it."""
    before = devices.get(entry.source) or Device(
        device_id=0,
        source=entry.source,
        gateway=entry.gateway,
        kind="other",
        name="",
        place="",
        sector="",
        latitude=None,
        longitude=None,
        watch_group="",
        silent_after_s=DEFAULT_SILENT_AFTER_S,
        adopted=False,
    )
    return replace(before, gateway=entry.gateway, adopted=False, **entry.values)


def _missing_own_entries(names: Mapping[str, str | None], entries: Iterable[Entry]) -> list[Entry]:
    """A device row for each gateway that the list does not give one: its health telemetry needs it."""
    listed = {entry.source for entry in entries}
    missing = []
    for gateway, name in names.items():
        source = contract.device_urn(gateway)
        if source not in listed:
            label = {"name": name} if name else {}
            missing.append(Entry(0, source, gateway, {"kind": GATEWAY_KIND, **label}))
    return missing


def _moves(entries: Iterable[Entry], devices: Mapping[str, Device]) -> tuple[Move, ...]:
    befores = ((entry, devices.get(entry.source)) for entry in entries)
    return tuple(
        Move(entry.line, entry.source, before.gateway, entry.gateway)
        for entry, before in befores
        if before is not None and before.gateway != entry.gateway
    )


def _gateways_to_write(names: Mapping[str, str | None], gateways: Mapping[str, Gateway]) -> list[Gateway]:
    wanted = []
    for gateway, name in names.items():
        before = gateways.get(gateway)
        after = Gateway(gateway, name or (before.name if before else ""), adopted=False)
        if after != before:
            wanted.append(after)
    return wanted
