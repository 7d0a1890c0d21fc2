"""The devices that the bench registers, and the load that they make (c/load.c)."""

import contextlib
import csv
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import programs
from bench.errors import BenchError
from bench.programs import Programs, Running

GATEWAYS = 10
SENSORS = 200
SECTORS = 1000
FIRST_BUTTON = 50_000
"""Sensors count from 0, buttons from here; a device belongs to the gateway of its number modulo GATEWAYS."""


@dataclass(frozen=True)
class Load:
    """What c/load.c counted. ``is_whole``: every message has its PUBACK and its receipt."""

    sent: int
    receipts: int
    started_us: int
    last_acked_us: int
    first_receipt_us: int
    first_receipts: int
    last_receipt_us: int
    payload_bytes: int

    @classmethod
    def parse(cls, found: dict[str, Any]) -> "Load":
        if found["refused"]:
            raise BenchError(f"the hub refused {found['refused']} messages: the devices are not registered")
        return cls(**{name: found[name] for name in cls.__dataclass_fields__})


def write_devices(path: Path, sensors: int, buttons: int) -> None:
    """A device list for ``almenara-hub devices import``."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["device", "gateway", "kind", "name", "place", "sector", "silent_after_s"])
        for number in [*range(sensors), *range(FIRST_BUTTON, FIRST_BUTTON + buttons)]:
            kind = "panic_button" if number >= FIRST_BUTTON else "sensor"
            gateway = f"bench-{number % GATEWAYS:03d}"
            writer.writerow(
                [
                    f"b-{number:05d}",
                    gateway,
                    kind,
                    f"Equipo {number}",
                    f"B{number:05d}",
                    _sector(number),
                    86_400,
                ]
            )


def _sector(number: int) -> str:
    """So many that no three presses of one make a community alarm."""
    return f"S{number % SECTORS:03d}"


def source_of(number: int) -> str:
    return f"urn:dev:org:32473-b-{number:05d}"


@contextlib.asynccontextmanager
async def loading(tools: Programs, port: int, **options: object) -> AsyncIterator[Running]:
    """A running fleet on the broker at ``port``; see c/load.c for its options."""
    given = {"devices": SENSORS, "gateways": GATEWAYS, **options}
    words = [f"{name}={value}" for name, value in given.items()]
    async with programs.running(tools.load, "127.0.0.1", port, *words) as fleet:
        yield fleet


async def load(tools: Programs, port: int, **options: object) -> Load:
    """Run a fleet to its end."""
    async with loading(tools, port, **options) as fleet:
        return Load.parse(await fleet.result())
