"""How much is measured. ``tiny`` proves that the bench works; only ``full`` is worth quoting."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Scale:
    """Counts and durations of one run; ``limit_s`` ends it whatever happens."""

    name: str
    limit_s: float
    rounds: int
    events: int
    packs: int
    presses: int
    press_rate: int
    press_rounds: int
    growth_rounds: int
    growth_events: int
    telemetry_rows: int
    open_alerts: int
    idle_s: float
    edge_events: int


SCALES = {
    scale.name: scale
    for scale in (
        Scale("tiny", 120, 1, 3_000, 500, 30, 60, 1, 1, 2_000, 10_000, 200, 1, 100),
        Scale("quick", 180, 2, 20_000, 3_000, 80, 40, 1, 1, 10_000, 1_000_000, 2_000, 5, 400),
        Scale("full", 1200, 5, 100_000, 20_000, 200, 40, 3, 3, 50_000, 10_000_000, 10_000, 10, 2_000),
    )
}
