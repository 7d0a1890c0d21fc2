"""The simulated commune: what its file promises, what its gateways say, and the map beside it."""

import asyncio
import contextlib
import csv
import io
import itertools
import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import processes
import pytest
from fakes import VirtualClock, settle

import edge
from edge import contract, simulate
from edge.contract import Measurement
from edge.drivers import Feedback, Lane
from edge.outbox import OutboxFullError
from edge.scenario import Scenario, ScenarioError, gateways, load, plays
from edge.settings import load as load_settings
from hub.rules.evaluate import RuleSet
from hub.rules.library import ready_rules

SCENARIOS = Path(edge.__file__).parent / "scenarios"
LOS_AROMOS = SCENARIOS / "los-aromos.toml"


class EdgeClock:
    """A virtual :class:`edge.clock.Clock`."""

    boot_id = "0f0e0d0c-0000-4000-8000-000000000001"

    def __init__(self) -> None:
        self.virtual = VirtualClock()
        self._began = self.virtual.now()

    def wall(self) -> Any:
        return self.virtual.now()

    def boottime_ms(self) -> int:
        return round((self.virtual.now() - self._began).total_seconds() * 1000)

    def quality(self) -> contract.Clock:
        return contract.Clock.SYNCED

    async def sleep(self, delay_s: float) -> None:
        await self.virtual.sleep(delay_s)


@dataclass(frozen=True)
class Said:
    """One event, at a second of the play."""

    at_s: float
    device: str
    type: str
    data: dict[str, Any]
    lane: Lane


@dataclass
class Outlet:
    """Keeps what a gateway says, and when."""

    clock: EdgeClock
    events: list[Said] = field(default_factory=list)
    readings: list[tuple[float, Measurement]] = field(default_factory=list)
    is_full: bool = False

    async def event(
        self, source: str, type: str, data: Mapping[str, Any] | None = None, lane: Lane = Lane.EVENT
    ) -> str:
        if self.is_full:
            raise OutboxFullError("no room")
        self.events.append(Said(self.clock.boottime_ms() / 1000, short(source), type, dict(data or {}), lane))
        return str(len(self.events))

    async def measure(self, measurements: Sequence[Measurement]) -> str:
        if self.is_full:
            raise OutboxFullError("no room")
        contract.encode_pack(measurements)  # refuses what could not travel
        self.readings += [(self.clock.boottime_ms() / 1000, m) for m in measurements]
        return str(len(self.readings))

    def follow(self, source: str, listener: Callable[[str, Feedback], None]) -> None:
        raise AssertionError(f"the simulation has no lights, so {listener} hears nothing of {source}")

    def series(self, device: str, quantity: str) -> list[tuple[float, float | None]]:
        name = f"{contract.device_urn(device)}:{quantity}"
        return [(at_s, m.value) for at_s, m in self.readings if m.name == name]


def short(source: str) -> str:
    return source.removeprefix(contract.device_urn(""))


async def play(scenario: Path, gateway: str, for_s: float, outlet: Outlet, **settings: Any) -> bool:
    """Play one gateway for so many virtual seconds; True when the driver had ended by then."""
    chosen = {"driver": "simulate", "scenario": scenario, "gateway": gateway} | settings
    driver = simulate.build(simulate.Settings(**chosen), outlet.clock)
    task = asyncio.create_task(driver.run(outlet))
    await settle()
    await outlet.clock.virtual.advance(for_s)
    ended = task.done()
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    return ended


async def commune(for_s: float) -> Outlet:
    """All six gateways at once, on one clock."""
    outlet = Outlet(EdgeClock())
    drivers = [
        simulate.build(
            simulate.Settings(driver="simulate", scenario=LOS_AROMOS, gateway=gateway), outlet.clock
        )
        for gateway in gateways(load(LOS_AROMOS))
    ]
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(driver.run(outlet)) for driver in drivers]
        await outlet.clock.virtual.advance(for_s)
        for task in tasks:
            task.cancel()
    return outlet


# -------------------------------------------------------------------------------- the shipped commune


def test_los_aromos_has_12_buttons_4_cameras_and_8_rural_sensors_on_6_gateways() -> None:
    scenario = load(LOS_AROMOS)
    per_gateway = {
        gateway: Counter(d.kind for d in scenario.devices if d.gateway == gateway)
        for gateway in gateways(scenario)
    }
    neighbourhoods = [g for g, kinds in per_gateway.items() if kinds == {"panic_button": 3, "camera": 1}]
    rural = [kinds for g, kinds in per_gateway.items() if g not in neighbourhoods]
    assert (len(neighbourhoods), [kinds.total() for kinds in rural]) == (4, [4, 4])
    assert not any("panic_button" in kinds or "camera" in kinds for kinds in rural)


async def test_the_first_minute_shows_one_of_each() -> None:
    outlet = await commune(60)
    presses = [said for said in outlet.events if said.type == "panic.pressed"]
    assert len(presses) >= 15
    assert len({said.device for said in presses}) >= 10
    assert 4 <= presses[0].at_s <= 6
    assert all(said.lane is Lane.ALARM and said.data["held_s"] >= 2 for said in presses)
    first = {said.type: said.at_s for said in reversed(outlet.events)}
    assert {"duress.pressed", "gate.opened", "gate.closed", "camera.moved"} <= first.keys()
    assert (first["gate.opened"], first["camera.moved"]) == (6, 15)
    rules = RuleSet(ready_rules())
    assert len([type_ for type_ in first if not rules.knows(type_)]) == 1  # a type that no rule knows


async def test_the_river_rises_over_its_limit_and_falls_again() -> None:
    outlet = await commune(300)
    level = outlet.series("nivel-estero", "level")
    assert all(value is not None and value < 1.5 for at_s, value in level if at_s < 10)
    high = [at_s for at_s, value in level if value is not None and value > 2.5]
    assert 15 <= high[0] <= 35
    assert all(value is not None and value < 2.2 for at_s, value in level if at_s > 250)
    heat = outlet.series("humo-quebrada", "temperature")
    assert max(value or 0 for at_s, value in heat if 170 < at_s < 220) > 50


async def test_a_battery_runs_low_and_is_changed() -> None:
    outlet = await commune(150)
    battery = outlet.series("temp-vado", "battery")
    assert all(value is not None and value > 0.7 for at_s, value in battery if at_s < 10)
    low = [value or 0 for at_s, value in battery if 10 <= at_s < 130]
    assert low
    assert all(0.1 < value < 0.14 for value in low)
    assert all(value is not None and value > 0.8 for at_s, value in battery if at_s > 130)


async def test_one_device_falls_silent_and_speaks_again() -> None:
    outlet = await commune(150)
    heard = [at_s for at_s, _ in outlet.series("estanque-apr", "level")]
    assert len([at_s for at_s in heard if at_s < 10]) >= 2
    assert not [at_s for at_s in heard if 10 <= at_s < 120]
    assert [at_s for at_s in heard if at_s >= 120]
    silent_after_s = {d.device: d.silent_after_s for d in load(LOS_AROMOS).devices}
    assert silent_after_s["estanque-apr"] == 20


async def test_every_other_device_gives_a_sign_of_life_each_5_seconds() -> None:
    outlet = await commune(60)
    for device in load(LOS_AROMOS).devices:
        beats = sorted({at_s for at_s, m in outlet.readings if m.source == device.source})
        if device.device == "estanque-apr":
            continue
        assert len(beats) in (12, 13)
        assert all(b - a == pytest.approx(5, abs=0.002) for a, b in itertools.pairwise(beats))


async def test_two_runs_say_the_same() -> None:
    first, second = await commune(30), await commune(30)
    assert first.events == second.events
    assert first.readings == second.readings


async def test_a_gateway_speaks_only_for_its_own() -> None:
    outlet = Outlet(EdgeClock())
    await play(LOS_AROMOS, "gw-boldos", 60, outlet)
    own = {d.source for d in load(LOS_AROMOS).devices if d.gateway == "gw-boldos"}
    assert {m.source for _, m in outlet.readings} == own
    assert {contract.device_urn(said.device) for said in outlet.events} <= own


async def test_the_story_starts_again_and_can_be_hastened() -> None:
    outlet = Outlet(EdgeClock())
    assert not await play(LOS_AROMOS, "gw-boldos", 70, outlet, speed=10)
    at = [said.at_s for said in outlet.events if said.device == "boton-boldos-12"]
    assert at == [0.5, 1.3, 5.4, 30.5, 31.3, 35.4, 60.5, 61.3, 65.4]


async def test_the_play_ends_in_time() -> None:
    outlet = Outlet(EdgeClock())
    assert await play(LOS_AROMOS, "gw-boldos", 31, outlet, stop_after_s=30)
    assert max(said.at_s for said in outlet.events) < 30
    assert max(at_s for at_s, _ in outlet.readings) < 30


async def test_a_full_disk_does_not_start_the_story_anew() -> None:
    outlet = Outlet(EdgeClock(), is_full=True)
    driver = simulate.build(
        simulate.Settings(driver="simulate", scenario=LOS_AROMOS, gateway="gw-boldos"), outlet.clock
    )
    task = asyncio.create_task(driver.run(outlet))
    await outlet.clock.virtual.advance(12)
    outlet.is_full = False
    await outlet.clock.virtual.advance(8)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    assert [(said.at_s, said.device) for said in outlet.events] == [(13, "boton-boldos-12")]


# --------------------------------------------------------------------------------- scenario files

SMALL = """
name = "Prueba"
seed = 1
repeat_s = 100
[kinds.pump]
current = {value = 7.0, unit = "A"}
[[devices]]
device = "bomba"
gateway = "gw-1"
kind = "pump"
name = "Bomba"
place = "Pozo"
sector = "NORTE"
latitude = -34.4
longitude = -72.0
heartbeat_s = 10
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "small.toml"
    path.write_text(text, "utf-8")
    return path


async def test_a_reading_moves_evenly_and_stays(tmp_path: Path) -> None:
    step = '[[story]]\nat_s = 20\nuntil_s = 40\ndevice = "bomba"\nreading = "current"\nvalue = 9.0\n'
    outlet = Outlet(EdgeClock())
    await play(write(tmp_path, SMALL + step), "gw-1", 60, outlet)
    assert all(
        value == pytest.approx(7 if at_s < 20 else min(9, 7 + (at_s - 20) / 10), abs=0.002)
        for at_s, value in outlet.series("bomba", "current")
    )


async def test_a_silent_device_tells_no_events_either(tmp_path: Path) -> None:
    story = (
        '[[story]]\nat_s = 10\ndevice = "bomba"\nsilent_for_s = 30\n'
        '[[story]]\nat_s = 20\ndevice = "bomba"\nevent = "pump.stopped"\n'
        '[[story]]\nat_s = 50\ndevice = "bomba"\nevent = "pump.started"\n'
    )
    outlet = Outlet(EdgeClock())
    await play(write(tmp_path, SMALL + story), "gw-1", 60, outlet)
    assert [(said.at_s, said.type, said.lane) for said in outlet.events] == [(50, "pump.started", Lane.EVENT)]


BOMBA = '[[story]]\nat_s = 5\ndevice = "bomba"\n'


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("name = ", "cannot be read"),
        ("name = 'x'", "seed: Field required"),
        (SMALL.replace("-34.4", "-134.4"), "devices.0.latitude"),
        (SMALL.replace('unit = "A"', 'unit = "amperes"'), "kinds.pump.current.unit"),
        (SMALL.replace('"gw-1"', '"GW 1"'), "devices.0.gateway"),
        (SMALL.replace('kind = "pump"', 'kind = "well"'), "device bomba: no [kinds.well]"),
        (SMALL + 'series = {level = {file = "x.csv"}}\n', "device bomba: no reading level"),
        (SMALL + SMALL[SMALL.index("[[devices]]") :], "devices named twice: bomba"),
        (SMALL + BOMBA, "a step is one of"),
        (SMALL + BOMBA + 'reading = "current"\n', "a step is one of"),
        (SMALL + BOMBA + 'event = "Pump Stopped"\n', "story.0.event"),
        (SMALL + BOMBA + 'reading = "volume"\nvalue = 1\n', "bomba has no reading volume"),
        (SMALL + BOMBA + 'reading = "current"\nvalue = 1\nuntil_s = 5\n', "until_s must come after at_s"),
        (SMALL + BOMBA.replace("bomba", "pozo") + "silent_for_s = 5\n", "no device pozo"),
        (SMALL + BOMBA.replace("5", "100") + "silent_for_s = 5\n", "beyond repeat_s"),
        (SMALL + BOMBA + "silent_for_s = 5\nloud = true\n", "story.0.loud"),
    ],
)
def test_a_wrong_scenario_is_refused_naming_the_part(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(ScenarioError, match=re.escape(problem)):
        load(write(tmp_path, text))


def test_a_recording_that_is_missing_is_named(tmp_path: Path) -> None:
    scenario = load(write(tmp_path, SMALL + 'series = {current = {file = "nada.csv"}}\n'))
    with pytest.raises(ScenarioError, match=r"device bomba.*nada\.csv"):
        plays(scenario, "gw-1")


def test_a_gateway_that_is_not_in_the_scenario_is_told_which_ones_are() -> None:
    with pytest.raises(ScenarioError, match="known are gw-centro, gw-costa"):
        plays(load(LOS_AROMOS), "gw-otro")


def test_the_agents_settings_know_the_simulation(tmp_path: Path) -> None:
    path = tmp_path / "edge.toml"
    path.write_text(
        f'gateway = "gw-costa"\n[[drivers]]\ndriver = "simulate"\nscenario = "{LOS_AROMOS}"\n'
        'gateway = "gw-costa"\nstop_after_s = 60\n',
        "utf-8",
    )
    assert len(load_settings(path).drivers) == 1


# ------------------------------------------------------------------------------------ the command


async def test_the_command_lists_devices_for_the_registry() -> None:
    code, text = await processes.run("edge.simulate", "devices", str(LOS_AROMOS))
    assert code == 0
    assert text.splitlines()[0] == (
        "device,gateway,kind,name,place,sector,latitude,longitude,watch_group,silent_after_s"
    )
    rows = list(csv.DictReader(io.StringIO(text)))
    devices = load(LOS_AROMOS).devices
    assert [(r["device"], r["gateway"], float(r["latitude"])) for r in rows] == [
        (d.device, d.gateway, d.latitude) for d in devices
    ]
    assert len(rows) == 24


async def test_the_command_lists_gateways_the_story_and_the_map() -> None:
    answers = {}
    for what in ("gateways", "story", "geojson"):
        code, answers[what] = await processes.run("edge.simulate", what, str(LOS_AROMOS))
        assert code == 0
    assert answers["gateways"].split() == gateways(load(LOS_AROMOS))
    steps = [json.loads(line) for line in answers["story"].splitlines()]
    assert len(steps) == len(load(LOS_AROMOS).story)
    assert [step["at_s"] for step in steps] == sorted(step["at_s"] for step in steps)
    assert json.loads(answers["geojson"])["type"] == "FeatureCollection"


async def test_the_command_says_what_is_wrong(tmp_path: Path) -> None:
    code, text = await processes.run("edge.simulate", "devices", str(tmp_path / "nada.toml"))
    assert code == 1
    assert "nada.toml cannot be read" in text
    assert "Traceback" not in text


# ----------------------------------------------------------------------------------------- the map

Ring = list[list[float]]


@pytest.fixture(scope="module")
def features() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((SCENARIOS / "los-aromos.geojson").read_text("utf-8"))[
        "features"
    ]
    return found


def rings(features: list[dict[str, Any]], kind: str) -> dict[str, Ring]:
    chosen = [f for f in features if f["properties"]["kind"] == kind and f["geometry"]["type"] == "Polygon"]
    return {f["properties"]["name"]: f["geometry"]["coordinates"][0] for f in chosen}


def is_inside(lon: float, lat: float, ring: Ring) -> bool:
    crossings = 0
    for (x1, y1), (x2, y2) in itertools.pairwise(ring):
        if (y1 > lat) != (y2 > lat) and lon < x1 + (lat - y1) * (x2 - x1) / (y2 - y1):
            crossings += 1
    return crossings % 2 == 1


def test_the_map_is_what_its_maker_draws() -> None:
    drawn = subprocess.run(
        [sys.executable, SCENARIOS / "make.py"], capture_output=True, check=True, timeout=30
    )
    assert drawn.stdout == (SCENARIOS / "los-aromos.geojson").read_bytes()


def test_the_map_has_what_a_commune_has(features: list[dict[str, Any]]) -> None:
    kinds = Counter(f["properties"]["kind"] for f in features)
    assert kinds["commune"] == 1
    assert {"street", "road", "river", "water", "green"} <= kinds.keys()
    assert kinds.total() >= 40
    sectors = {name.upper() for name in rings(features, "sector")}
    assert sectors == {"CENTRO", "COSTA", "NORTE", "QUEBRADA HONDA", "LOS BOLDOS"}
    assert all(ring[0] == ring[-1] for kind in kinds for ring in rings(features, kind).values())


def test_every_device_stands_on_the_communes_land(features: list[dict[str, Any]]) -> None:
    (outline,) = rings(features, "commune").values()
    waters = rings(features, "water").values()
    scenario: Scenario = load(LOS_AROMOS)
    for device in scenario.devices:
        at = (device.longitude, device.latitude)
        assert is_inside(*at, outline), device.device
        assert not any(is_inside(*at, water) for water in waters), device.device


def test_every_device_belongs_to_a_sector_of_the_map(features: list[dict[str, Any]]) -> None:
    known = {name.upper() for name in rings(features, "sector")}
    assert {device.sector for device in load(LOS_AROMOS).devices} == known
