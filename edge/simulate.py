"""A simulated neighbourhood: one gateway's part of a scenario file, played in real time.

The driver ``simulate`` plays only the devices of its own gateway, so a commune is as many real edge
processes as it has gateways. All randomness comes from the scenario's seed and the device's name: two runs
say the same. ``python -m edge.simulate`` tells what a scenario holds (for the hub's registry).
"""

import argparse
import asyncio
import csv
import io
import json
import random
import sys
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from edge import contract
from edge.clock import Clock
from edge.contract import Measurement
from edge.drivers import Driver, Lane, Outlet


class ScenarioError(Exception):
    """A scenario cannot be played; the message names the part that is wrong."""


# ---------------------------------------------------------------------------------------- scenario


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Quantity(Part):
    """What a reading looks like when nothing happens: ``value`` ± ``noise``, in a SenML ``unit``."""

    value: float
    noise: float = 0.0
    unit: str


class SimulatedDevice(Part):
    """A device as the registry knows it, and what it reports each ``heartbeat_s``."""

    device: str
    gateway: str
    kind: str
    name: str
    place: str
    sector: str
    latitude: float = Field(ge=-90, le=90)
    longitude: float = Field(ge=-180, le=180)
    watch_group: str = ""
    silent_after_s: int = Field(default=60, gt=0)
    heartbeat_s: float = Field(default=5.0, gt=0)

    @property
    def source(self) -> str:
        return contract.device_urn(self.device)


class Step(Part):
    """One thing that happens ``at_s`` seconds after the start: an event, a reading that changes, or silence.

    ``reading`` moves to ``value`` at once, or evenly until ``until_s``; ``silent_for_s`` stops everything
    that the device says.
    """

    at_s: float = Field(ge=0)
    device: str
    event: str | None = None
    lane: Literal["alarm", "event"] = "event"
    data: dict[str, Any] = {}
    reading: str | None = None
    value: float | None = None
    until_s: float | None = None
    silent_for_s: float | None = None

    @model_validator(mode="after")
    def _one_thing(self) -> "Step":
        given = [self.event is not None, self.reading is not None, self.silent_for_s is not None]
        if sum(given) != 1 or (self.reading is None) != (self.value is None):
            raise ValueError("a step is one of: event; reading with value; silent_for_s")
        return self


class Scenario(Part):
    """A whole commune. ``repeat_s``: the story starts again after so long."""

    name: str
    seed: int
    repeat_s: float = Field(gt=0)
    kinds: dict[str, dict[str, Quantity]]
    devices: tuple[SimulatedDevice, ...]
    story: tuple[Step, ...]

    @model_validator(mode="after")
    def _known(self) -> "Scenario":
        names = [d.device for d in self.devices]
        if twice := {n for n in names if names.count(n) > 1}:
            raise ValueError(f"devices named twice: {', '.join(sorted(twice))}")
        for d in self.devices:
            if d.kind not in self.kinds:
                raise ValueError(f"device {d.device}: no [kinds.{d.kind}]")
        kind_of = {d.device: d.kind for d in self.devices}
        for step in self.story:
            if step.device not in kind_of:
                raise ValueError(f"story at {step.at_s} s: no device {step.device}")
            if step.reading is not None and step.reading not in self.kinds[kind_of[step.device]]:
                raise ValueError(f"story at {step.at_s} s: {step.device} has no reading {step.reading}")
            if step.at_s >= self.repeat_s:
                raise ValueError(f"story at {step.at_s} s: beyond repeat_s")
        return self


def load(path: Path) -> Scenario:
    """Read a scenario; raises :class:`ScenarioError`."""
    try:
        return Scenario.model_validate(tomllib.loads(path.read_text("utf-8")))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ScenarioError(f"the scenario {path} cannot be read: {error}") from error
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise ScenarioError(f"the scenario {path} is wrong: {problems}") from error


# ------------------------------------------------------------------------------------ what happens


@dataclass(frozen=True)
class Play:
    """What one device does at any second of the story. Pure, but for the random generator that comes in."""

    device: SimulatedDevice
    quantities: Mapping[str, Quantity]
    steps: Sequence[Step]

    def is_silent(self, at_s: float) -> bool:
        return any(
            s.silent_for_s is not None and s.at_s <= at_s < s.at_s + s.silent_for_s for s in self.steps
        )

    def readings(self, at_s: float, noise: random.Random) -> dict[str, float]:
        """Quantity → value at that second, rounded to a thousandth."""
        return {
            name: round(self._level(name, quantity, at_s) + noise.gauss(0, quantity.noise), 3)
            for name, quantity in self.quantities.items()
        }

    def _level(self, name: str, quantity: Quantity, at_s: float) -> float:
        level = quantity.value
        for step in self.steps:
            if step.reading != name or step.value is None or at_s < step.at_s:
                continue
            if step.until_s is None or at_s >= step.until_s:
                level = step.value
            else:
                level += (step.value - level) * (at_s - step.at_s) / (step.until_s - step.at_s)
        return level


def plays(scenario: Scenario, gateway: str) -> list[Play]:
    """The parts of one gateway; raises :class:`ScenarioError` when it has none."""
    mine = [
        Play(d, scenario.kinds[d.kind], sorted_steps(s for s in scenario.story if s.device == d.device))
        for d in scenario.devices
        if d.gateway == gateway
    ]
    if not mine:
        known = ", ".join(gateways(scenario))
        raise ScenarioError(f"gateway {gateway!r} has no device in {scenario.name}; known are {known}")
    return mine


def sorted_steps(steps: Iterator[Step]) -> list[Step]:
    return sorted(steps, key=lambda s: s.at_s)


def gateways(scenario: Scenario) -> list[str]:
    """Names in the order in which they first appear."""
    return list(dict.fromkeys(d.gateway for d in scenario.devices))


# ------------------------------------------------------------------------------------------ driver


class Settings(BaseModel):
    """``[[drivers]]`` with ``driver = "simulate"``. ``speed`` 2 plays twice as fast."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    driver: Literal["simulate"]
    scenario: Path
    gateway: str
    speed: float = Field(default=1.0, gt=0)
    stop_after_s: float | None = Field(default=None, gt=0)


def build(settings: Settings, clock: Clock) -> Driver:
    """Raises :class:`ScenarioError`."""
    return Simulator(load(settings.scenario), settings, clock)


class Simulator:
    """Plays one gateway's devices until ``stop_after_s``, or for ever."""

    def __init__(self, scenario: Scenario, settings: Settings, clock: Clock) -> None:
        self._scenario = scenario
        self._settings = settings
        self._clock = clock
        self._plays = plays(scenario, settings.gateway)
        self._began_ms = 0

    async def run(self, outlet: Outlet) -> None:
        self._began_ms = self._clock.boottime_ms()
        async with asyncio.TaskGroup() as group:
            for play in self._plays:
                group.create_task(self._heartbeat_loop(play, outlet))
                group.create_task(self._story_loop(play, outlet))

    def _now_s(self) -> float:
        """Seconds of the scenario since the start."""
        return (self._clock.boottime_ms() - self._began_ms) / 1000 * self._settings.speed

    async def _sleep_until(self, at_s: float) -> bool:
        """Wait for a second of the scenario; False when the play ends before it."""
        end_s = self._settings.stop_after_s
        if end_s is not None and at_s >= end_s:
            return False
        await self._clock.sleep(max(0.0, at_s - self._now_s()) / self._settings.speed)
        return True

    async def _heartbeat_loop(self, play: Play, outlet: Outlet) -> None:
        noise = random.Random(f"{self._scenario.seed}:{play.device.device}")  # noqa: S311 - noise, no secret
        # Devices do not all speak at once.
        at_s = noise.uniform(0, min(2.0, play.device.heartbeat_s))
        while await self._sleep_until(at_s):
            second = at_s % self._scenario.repeat_s
            readings = play.readings(second, noise)
            if not play.is_silent(second):
                await outlet.measure(self._measurements(play, readings))
            at_s += play.device.heartbeat_s

    def _measurements(self, play: Play, readings: Mapping[str, float]) -> list[Measurement]:
        now = round(self._clock.wall().timestamp(), 3)
        return [
            Measurement(
                name=f"{play.device.source}:{name}", time=now, unit=play.quantities[name].unit, value=value
            )
            for name, value in readings.items()
        ]

    async def _story_loop(self, play: Play, outlet: Outlet) -> None:
        events = [s for s in play.steps if s.event is not None]
        round_s = 0.0
        while events:
            for step in events:
                if not await self._sleep_until(round_s + step.at_s):
                    return
                lane = Lane.ALARM if step.lane == "alarm" else Lane.EVENT
                await outlet.event(play.device.source, step.event or "", step.data, lane)
            round_s += self._scenario.repeat_s


# ----------------------------------------------------------------------------------------- command

_COLUMNS = (
    "device",
    "gateway",
    "kind",
    "name",
    "place",
    "sector",
    "latitude",
    "longitude",
    "watch_group",
    "silent_after_s",
)


def devices_csv(scenario: Scenario) -> str:
    """The registry import of the scenario's devices, one line each."""
    text = io.StringIO()
    writer = csv.DictWriter(text, _COLUMNS, lineterminator="\n")
    writer.writeheader()
    for device in scenario.devices:
        writer.writerow({name: getattr(device, name) for name in _COLUMNS})
    return text.getvalue()


def summary(scenario: Scenario) -> str:
    """What the story tells, as JSON lines in the order of time."""
    steps = sorted_steps(iter(scenario.story))
    return "\n".join(json.dumps(s.model_dump(exclude_defaults=True), ensure_ascii=False) for s in steps)


ANSWERS: dict[str, Callable[[Scenario], str]] = {
    "devices": devices_csv,
    "gateways": lambda scenario: "\n".join(gateways(scenario)) + "\n",
    "story": lambda scenario: summary(scenario) + "\n",
}


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="edge.simulate", description="Muestra lo que contiene un escenario."
    )
    parser.add_argument(
        "what", choices=sorted(ANSWERS), help="lista CSV de dispositivos, gateways o historia"
    )
    parser.add_argument("scenario", type=Path, help="archivo TOML del escenario")
    arguments = parser.parse_args(argv)
    try:
        sys.stdout.write(ANSWERS[arguments.what](load(arguments.scenario)))
    except ScenarioError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
