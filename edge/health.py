"""The gateway's own health as telemetry: heat, supply, disk, memory and the outbox.

Sources: sysfs thermal zones, ``vcgencmd get_throttled`` (Raspberry Pi firmware) or the ``rpi_volt`` hwmon
driver, statvfs, /proc/meminfo. What a machine does not have is left out.
"""

import asyncio
import shutil
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from edge.clock import Clock
from edge.contract import Measurement
from edge.rows import Stats

_VCGENCMD_TIMEOUT_S = 2.0

# Bits of get_throttled: now, and the same since boot sixteen bits higher.
_UNDERVOLTAGE = 1 << 0
_SLOWED = 1 << 1 | 1 << 2 | 1 << 3  # frequency capped, throttled, soft temperature limit
_SINCE_BOOT = 16


@dataclass(frozen=True, kw_only=True, slots=True)
class Throttling:
    """What the firmware does about heat and a weak supply; None where the source does not tell."""

    undervoltage: bool
    slowed: bool | None = None
    undervoltage_since_boot: bool | None = None


def parse_throttled(text: str) -> Throttling | None:
    """From ``throttled=0x50005``; None when the text is something else."""
    name, _, value = text.strip().partition("=")
    if name != "throttled":
        return None
    try:
        bits = int(value, 16)
    except ValueError:
        return None
    return Throttling(
        undervoltage=bool(bits & _UNDERVOLTAGE),
        slowed=bool(bits & _SLOWED),
        undervoltage_since_boot=bool(bits >> _SINCE_BOOT & _UNDERVOLTAGE),
    )


def parse_available_bytes(meminfo: str) -> int | None:
    """``MemAvailable`` of /proc/meminfo in bytes."""
    for line in meminfo.splitlines():
        name, _, rest = line.partition(":")
        if name == "MemAvailable":
            with suppress(ValueError, IndexError):
                return int(rest.split()[0]) * 1024
    return None


def _read(path: Path) -> str | None:
    try:
        return path.read_text("utf-8", "replace")
    except OSError:
        return None


def cpu_temperature(root: Path = Path("/")) -> float | None:
    """The hottest thermal zone in degrees Celsius."""
    found = []
    for zone in sorted((root / "sys/class/thermal").glob("thermal_zone*/temp")):
        with suppress(ValueError):
            found.append(int(_read(zone) or "") / 1000)
    return max(found, default=None)


def hwmon_throttling(root: Path = Path("/")) -> Throttling | None:
    """The under-voltage alarm of the ``rpi_volt`` driver."""
    for name in sorted((root / "sys/class/hwmon").glob("hwmon*/name")):
        if (_read(name) or "").strip() == "rpi_volt":
            alarm = _read(name.with_name("in0_lcrit_alarm"))
            return None if alarm is None else Throttling(undervoltage=alarm.strip() == "1")
    return None


async def vcgencmd() -> str | None:
    """What ``vcgencmd get_throttled`` prints; None where there is no such command or it hangs."""
    program = shutil.which("vcgencmd")
    if program is None:
        return None
    child = await asyncio.create_subprocess_exec(
        program, "get_throttled", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        async with asyncio.timeout(_VCGENCMD_TIMEOUT_S):
            output, _ = await child.communicate()
    except TimeoutError:
        child.kill()
        await child.wait()
        return None
    return output.decode("ascii", "replace")


async def throttling(
    root: Path = Path("/"), ask: Callable[[], Awaitable[str | None]] = vcgencmd
) -> Throttling | None:
    """From the firmware where it can be asked, else from the kernel."""
    answer = await ask()
    return (parse_throttled(answer) if answer else None) or hwmon_throttling(root)


@dataclass(frozen=True, kw_only=True, slots=True)
class Health:
    """One look at the machine; None is unknown here."""

    cpu_temperature: float | None
    throttling: Throttling | None
    memory_available: int | None
    disk_free: int
    queue: Stats


async def look(data_dir: Path, queue: Stats, root: Path = Path("/")) -> Health:
    return Health(
        cpu_temperature=cpu_temperature(root),
        throttling=await throttling(root),
        memory_available=parse_available_bytes(_read(root / "proc/meminfo") or ""),
        disk_free=shutil.disk_usage(data_dir).free,
        queue=queue,
    )


def measurements(health: Health, source: str, clock: Clock) -> list[Measurement]:
    """SenML: switches are 0 or 1 with unit ``/``; unknown ones are left out."""
    supply = health.throttling
    values: list[tuple[str, str, float | None]] = [
        ("cpu_temperature", "Cel", health.cpu_temperature),
        ("throttled", "/", supply.slowed if supply else None),
        ("undervoltage", "/", supply.undervoltage if supply else None),
        ("undervoltage_since_boot", "/", supply.undervoltage_since_boot if supply else None),
        ("memory_available", "B", health.memory_available),
        ("disk_free", "B", health.disk_free),
        ("queue_depth", "count", sum(health.queue.pending.values())),
        ("queue_bytes", "B", health.queue.size_bytes),
        ("queue_evicted", "count", sum(health.queue.evicted.values())),
    ]
    at = round(clock.wall().timestamp(), 3)
    return [
        Measurement(name=f"{source}:{name}", time=at, unit=unit, value=float(value))
        for name, unit, value in values
        if value is not None
    ]
