"""Makes the recorded series that come with the program; see README.md beside this file.

``python edge/recordings/make.py [FOLDER]`` writes them anew, byte for byte the same: the noise is seeded.
"""

import math
import random
import sys
from collections.abc import Callable
from pathlib import Path

STEP_S = 300
SEED = 20_261_122

RIVER_FILE = "river-flood.csv"
RIVER_HOURS = 25
"""At speed 300 the series plays in five minutes and passes 2.5 m after about 27 s."""
_CALM_M, _CREST_M = 1.20, 3.05
_RISE_FROM_S, _CREST_AT_S, _RECESSION_S = 3_000.0, 11_000.0, 15_000.0

TEMPERATURE_FILE = "temperature-fire.csv"
TEMPERATURE_HOURS = 24
_FIRE_FROM_S, _FIRE_RISE_S, _FIRE_COOLING_S, _FIRE_CEL = 52_800.0, 1_500.0, 3_600.0, 41.0


def _smooth(share: float) -> float:
    """From 0 to 1 with a gentle start and end."""
    share = min(1.0, max(0.0, share))
    return share * share * (3 - 2 * share)


def river_level(at_s: float) -> float:
    """Metres at a gauge: low water, a flood wave of steep rise and slow recession."""
    above_m = _CREST_M - _CALM_M
    if at_s <= _CREST_AT_S:
        return _CALM_M + above_m * _smooth((at_s - _RISE_FROM_S) / (_CREST_AT_S - _RISE_FROM_S))
    return _CALM_M + above_m * math.exp(-(at_s - _CREST_AT_S) / _RECESSION_S)


def temperature(at_s: float) -> float:
    """Degrees Celsius over a spring day from midnight, coldest at 6, warmest at 15 h, and a fire at 14:40."""
    hours = at_s / 3600 % 24
    share = (hours - 6) / 9 if 6 <= hours < 15 else 1 - ((hours - 15) % 24) / 15
    day = 8.5 + 13.0 * _smooth(share)
    since_s = at_s - _FIRE_FROM_S
    if since_s < 0:
        return day
    cooling = math.exp(-max(0.0, since_s - _FIRE_RISE_S) / _FIRE_COOLING_S)
    return day + _FIRE_CEL * _smooth(since_s / _FIRE_RISE_S) * cooling


def series(shape: Callable[[float], float], hours: int, noise: float, digits: int) -> str:
    """CSV text: one row every five minutes, the shape plus Gaussian noise."""
    source = random.Random(SEED)  # noqa: S311 - noise that has to be the same each time
    rows = ["offset_s,value"]
    for at_s in range(0, hours * 3600, STEP_S):
        rows.append(f"{at_s},{shape(at_s) + source.gauss(0, noise):.{digits}f}")
    return "\n".join(rows) + "\n"


def recordings() -> dict[str, str]:
    """File name to content."""
    return {
        RIVER_FILE: series(river_level, RIVER_HOURS, 0.012, 3),
        TEMPERATURE_FILE: series(temperature, TEMPERATURE_HOURS, 0.15, 2),
    }


def main(folder: Path) -> None:
    for name, text in recordings().items():
        (folder / name).write_text(text, "utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
