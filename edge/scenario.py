"""A scenario file: the devices of an invented commune, what they measure and the story that they tell.

Pure but for :func:`load` and :func:`plays`, which read files. All randomness comes in as a generator that the
scenario's seed and the device's name decide: two runs say the same.
"""

import random
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from edge import contract
from edge.drivers.csv_replay import ReplayError, Series, read_series


class ScenarioError(Exception):
    """A scenario cannot be played; the message names the part that is wrong."""


# ---------------------------------------------------------------------------------------- scenario


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Quantity(Part):
    """What a reading looks like when nothing happens: ``value`` ± ``noise``, in a SenML ``unit``."""

    value: float
    noise: float = Field(default=0.0, ge=0)
    unit: str

    @field_validator("unit")
    @classmethod
    def _registered(cls, unit: str) -> str:
        if unit not in contract.UNITS:
            raise ValueError(f"{unit!r} is no unit of the SenML registry")
        return unit


class Recording(Part):
    """A recorded series (see :mod:`edge.drivers.csv_replay`) in place of a quantity's usual value."""

    file: Path
    speed: float = Field(default=1.0, gt=0)


class SimulatedDevice(Part):
    """A device as the registry knows it, and what it reports each ``heartbeat_s``."""

    device: str
    gateway: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")
    kind: str
    name: str
    place: str
    sector: str
    latitude: float = Field(ge=-90, le=90)
    longitude: float = Field(ge=-180, le=180)
    watch_group: str = ""
    silent_after_s: int = Field(default=60, gt=0)
    heartbeat_s: float = Field(default=5.0, gt=0)
    series: dict[str, Recording] = {}

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
    event: str | None = Field(default=None, pattern=r"^[a-z]+(\.[a-z_]+)+$")
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
        if self.until_s is not None and self.until_s <= self.at_s:
            raise ValueError("until_s must come after at_s")
        return self


class Scenario(Part):
    """A whole commune. ``repeat_s``: the story starts again after so long."""

    name: str
    seed: int
    repeat_s: float = Field(gt=0)
    kinds: dict[str, dict[str, Quantity]]
    devices: tuple[SimulatedDevice, ...]
    story: tuple[Step, ...] = ()

    @model_validator(mode="after")
    def _known(self) -> "Scenario":
        names = [d.device for d in self.devices]
        if twice := {n for n in names if names.count(n) > 1}:
            raise ValueError(f"devices named twice: {', '.join(sorted(twice))}")
        for d in self.devices:
            if d.kind not in self.kinds:
                raise ValueError(f"device {d.device}: no [kinds.{d.kind}]")
            if unknown := d.series.keys() - self.kinds[d.kind].keys():
                raise ValueError(f"device {d.device}: no reading {', '.join(sorted(unknown))}")
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
    series: Mapping[str, tuple[Series, float]]
    """Quantity → recorded series and its speed."""

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
        if name in self.series:
            series, speed = self.series[name]
            level = series.value_at(at_s * speed)
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
    mine = [_play(scenario, device) for device in scenario.devices if device.gateway == gateway]
    if not mine:
        known = ", ".join(gateways(scenario))
        raise ScenarioError(f"gateway {gateway!r} has no device in {scenario.name}; known are {known}")
    return mine


def _play(scenario: Scenario, device: SimulatedDevice) -> Play:
    steps = sorted_steps(step for step in scenario.story if step.device == device.device)
    try:
        series = {n: (read_series(r.file), r.speed) for n, r in device.series.items()}
    except ReplayError as error:
        raise ScenarioError(f"device {device.device}: {error}") from error
    return Play(device, scenario.kinds[device.kind], steps, series)


def sorted_steps(steps: Iterable[Step]) -> list[Step]:
    return sorted(steps, key=lambda s: s.at_s)


def gateways(scenario: Scenario) -> list[str]:
    """Names in the order in which they first appear."""
    return list(dict.fromkeys(d.gateway for d in scenario.devices))
