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
import logging
import random
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from edge.clock import Clock
from edge.contract import Measurement
from edge.drivers import Driver, Lane, Outlet
from edge.outbox import OutboxError
from edge.scenario import Play, Scenario, ScenarioError, gateways, load, plays, sorted_steps

log = logging.getLogger(__name__)

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
                await _try(outlet.measure(self._measurements(play, readings)))
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
                if not play.is_silent(step.at_s):
                    lane = Lane.ALARM if step.lane == "alarm" else Lane.EVENT
                    await _try(outlet.event(play.device.source, step.event or "", step.data, lane))
            round_s += self._scenario.repeat_s


async def _try(saying: Awaitable[str]) -> None:
    """A full disk must not start the story anew; the outlet has made its noise."""
    try:
        await saying
    except OutboxError as error:
        log.warning("the simulation could not store something (%s)", error)


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
    steps = sorted_steps(scenario.story)
    return "\n".join(json.dumps(s.model_dump(exclude_defaults=True), ensure_ascii=False) for s in steps)


def geojson(path: Path) -> str:
    """The map beside a scenario file; raises :class:`ScenarioError`."""
    try:
        return path.with_suffix(".geojson").read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ScenarioError(f"the scenario {path} has no map beside it: {error}") from error


ANSWERS: dict[str, Callable[[Path], str]] = {
    "devices": lambda path: devices_csv(load(path)),
    "gateways": lambda path: "\n".join(gateways(load(path))) + "\n",
    "story": lambda path: summary(load(path)) + "\n",
    "geojson": geojson,
}


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="edge.simulate", description="Muestra lo que contiene un escenario."
    )
    parser.add_argument(
        "what", choices=sorted(ANSWERS), help="lista CSV de dispositivos, gateways, historia o mapa"
    )
    parser.add_argument("scenario", type=Path, help="archivo TOML del escenario")
    arguments = parser.parse_args(argv)
    try:
        sys.stdout.write(ANSWERS[arguments.what](arguments.scenario))
    except ScenarioError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
