"""The gateway's health: parsing what the machine says, and the watchdog that needs progress."""

import asyncio
import socket
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge import contract, health, watchdog
from edge.clock import SystemClock, is_synchronised
from edge.health import Throttling
from edge.rows import Stats
from edge.watchdog import Pulse

NONE = {"alarm": 0, "event": 0, "telemetry": 0}
STATS = Stats(
    accepted=NONE,
    pending={"alarm": 1, "event": 2, "telemetry": 40},
    receipted=NONE,
    refused=NONE,
    evicted={"alarm": 0, "event": 0, "telemetry": 5},
    torn=NONE,
    measurements=0,
    size_bytes=12_345,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("throttled=0x0\n", Throttling(undervoltage=False, slowed=False, undervoltage_since_boot=False)),
        ("throttled=0x50005", Throttling(undervoltage=True, slowed=True, undervoltage_since_boot=True)),
        ("throttled=0x50000", Throttling(undervoltage=False, slowed=False, undervoltage_since_boot=True)),
        ("throttled=0x8", Throttling(undervoltage=False, slowed=True, undervoltage_since_boot=False)),
        ("VCHI initialization failed", None),
        ("throttled=", None),
        ("throttled=xyz", None),
        ("", None),
    ],
)
def test_what_the_firmware_says(text: str, expected: Throttling | None) -> None:
    assert health.parse_throttled(text) == expected


@given(st.text())
def test_no_text_breaks_the_parsers(text: str) -> None:
    health.parse_throttled(text)
    health.parse_throttled(f"throttled={text}")
    health.parse_available_bytes(text)
    health.parse_available_bytes(f"MemAvailable:{text}")


def test_memory_is_read_from_the_kernel_s_text() -> None:
    assert health.parse_available_bytes("MemTotal: 9 kB\nMemAvailable:    512 kB\n") == 524_288
    assert health.parse_available_bytes("MemAvailable:\n") is None


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A root folder with two thermal zones and an under-voltage alarm."""
    for zone, text in (("thermal_zone0", "48300\n"), ("thermal_zone1", "51200\n"), ("thermal_zone2", "?")):
        folder = tmp_path / "sys/class/thermal" / zone
        folder.mkdir(parents=True)
        (folder / "temp").write_text(text)
    for number, name in enumerate(("cpu_thermal", "rpi_volt")):
        folder = tmp_path / f"sys/class/hwmon/hwmon{number}"
        folder.mkdir(parents=True)
        (folder / "name").write_text(f"{name}\n")
    (tmp_path / "sys/class/hwmon/hwmon1/in0_lcrit_alarm").write_text("1\n")
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/meminfo").write_text("MemAvailable: 2000 kB\n")
    return tmp_path


async def _silence() -> str | None:
    return None


async def test_the_kernel_tells_where_the_firmware_cannot(machine: Path) -> None:
    assert health.cpu_temperature(machine) == 51.2
    assert await health.throttling(machine, _silence) == Throttling(undervoltage=True)


async def test_a_machine_without_sensors_leaves_them_out(tmp_path: Path) -> None:
    assert health.cpu_temperature(tmp_path) is None
    assert await health.throttling(tmp_path, _silence) is None
    found = await health.look(tmp_path, STATS, tmp_path)
    names = {m.quantity for m in health.measurements(found, "urn:dev:org:32473-gw", SystemClock())}
    assert names == {"disk_free", "queue_depth", "queue_bytes", "queue_evicted"}


async def test_health_travels_as_a_pack_with_registered_units(machine: Path) -> None:
    found = await health.look(machine, STATS, machine)
    measured = health.measurements(found, "urn:dev:org:32473-gw", SystemClock())
    assert {m.unit for m in measured} <= contract.UNITS
    pack = contract.decode_pack(contract.encode_pack(measured), datetime.now(UTC).timestamp())
    values = {m.quantity: m.value for m in pack.measurements}
    assert {m.source for m in pack.measurements} == {"urn:dev:org:32473-gw"}
    disk_free = values.pop("disk_free")
    assert disk_free is not None
    assert disk_free > 0
    assert values == {
        "cpu_temperature": 51.2,
        "undervoltage": 1.0,
        "memory_available": 2_048_000.0,
        "queue_depth": 43.0,
        "queue_bytes": 12_345.0,
        "queue_evicted": 5.0,
    }


# ------------------------------------------------------------------------------------------- clock


def test_the_machine_s_clock() -> None:
    clock = SystemClock()
    before_ms = clock.boottime_ms()
    assert abs((clock.wall() - datetime.now(UTC)).total_seconds()) < 5
    assert clock.boottime_ms() >= before_ms > 0
    assert len(clock.boot_id) == 36
    assert (clock.quality() is contract.Clock.SYNCED) == is_synchronised()


# ---------------------------------------------------------------------------------------- watchdog


class FakeClock(SystemClock):
    """Moves when it is told to; sleepers wake then."""

    def __init__(self) -> None:
        super().__init__()
        self.now_ms = 1_000_000
        self._moved = asyncio.Condition()

    def boottime_ms(self) -> int:
        return self.now_ms

    async def sleep(self, delay_s: float) -> None:
        until_ms = self.now_ms + round(delay_s * 1000)
        async with self._moved:
            await self._moved.wait_for(lambda: self.now_ms >= until_ms)

    async def advance(self, by_s: float) -> None:
        async with self._moved:
            self.now_ms += round(by_s * 1000)
            self._moved.notify_all()
        for _ in range(20):
            await asyncio.sleep(0)


async def test_a_part_that_hangs_stops_the_feeding_and_its_return_resumes_it() -> None:
    clock = FakeClock()
    pulse = Pulse(clock)
    beat_uplink = pulse.beater("uplink")
    pulse.beat("driver 0")
    told: list[str] = []

    async def probe() -> None:
        pulse.beat("outbox")

    feeding = asyncio.create_task(watchdog.feed_loop(pulse, clock, probe, told.append))
    for _ in range(8):
        await clock.advance(5)
        pulse.beat("driver 0")
    fed = len(told)
    assert fed >= 8
    assert set(told) == {"WATCHDOG=1"}
    for _ in range(4):
        pulse.beat("driver 0")
        await clock.advance(5)
    assert pulse.silent() == ["uplink"]
    starved = len(told)
    await clock.advance(5)
    assert len(told) == starved
    beat_uplink()
    pulse.forget("driver 0")
    await clock.advance(5)
    assert len(told) == starved + 1
    feeding.cancel()
    with suppress(asyncio.CancelledError):
        await feeding


@pytest.mark.parametrize("kind", ["path", "abstract"])
def test_systemd_hears_us(tmp_path: Path, kind: str) -> None:
    name = str(tmp_path / "notify") if kind == "path" else f"@almenara-test-{tmp_path.name}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(name.replace("@", "\0", 1))
        systemd.settimeout(5)
        assert watchdog.notify("READY=1", {"NOTIFY_SOCKET": name})
        assert systemd.recv(100) == b"READY=1"


def test_without_systemd_nothing_happens(tmp_path: Path) -> None:
    assert not watchdog.notify("READY=1", {})
    assert not watchdog.notify("READY=1", {"NOTIFY_SOCKET": str(tmp_path / "nobody")})
