"""What every measure gets."""

import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from bench import fleet
from bench.ground import TREE, Ground
from bench.scale import Scale

PLAIN = "bench_plain"
"""Template: 200 sensors and the buttons of all presses."""
WIDE = "bench_wide"
"""Template: ten times the sensors."""


@dataclass
class Setting:
    """The ground, how much to measure, and which checkouts. ``trees`` names each hub of the comparison."""

    ground: Ground
    scale: Scale
    seed: int
    trees: dict[str, Path] = field(default_factory=lambda: {"hub": TREE})
    started: float = field(default_factory=time.monotonic)
    _seeds: int = 0

    @property
    def buttons(self) -> int:
        """A button for each press of one hub's life: three levels of telemetry."""
        return 3 * self.scale.presses

    def next_seed(self) -> int:
        """A seed of its own for every load: ids never repeat within a run, and repeat from run to run."""
        self._seeds += 1
        return self.seed * 100_000 + self._seeds

    def say(self, text: str) -> None:
        """Progress, for whoever waits."""
        sys.stderr.write(f"[{time.monotonic() - self.started:6.1f} s] {text}\n")
        sys.stderr.flush()

    async def make_templates(self) -> None:
        newest = next(iter(self.trees.values()))
        await self.ground.template(PLAIN, fleet.SENSORS, self.buttons, newest)
        await self.ground.template(WIDE, 10 * fleet.SENSORS, self.buttons, newest)
