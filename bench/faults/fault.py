"""What a fault is: a play in a world, and what has to be looked at besides the judge's list."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from bench.faults.judge import Evidence
from bench.faults.world import World

_EVENTS_FOR_MORE_BLOWS = 20_000

Play = Callable[[World], Awaitable[None]]
Check = Callable[[World, Evidence], Awaitable[None]]


@dataclass(frozen=True, kw_only=True)
class Fault:
    """``title`` says what is done, for the report; ``plan`` overrides :class:`bench.faults.world.Plan`.

    ``check`` comes before the judge: it fills in what the fault may cost and notes what only it knows.
    ``recovers_within_s``: from a blow to the first event after it that is stored.
    ``weight`` is its share of the events; ``simulated`` says honestly what is not the real thing.
    """

    name: str
    title: str
    play: Play
    check: Check | None = None
    plan: dict[str, object] = field(default_factory=dict)
    weight: float = 1.0
    recovers_within_s: float = float("inf")
    simulated: str = ""
    is_quick: bool = False


def flowing(strike: Play, blows: int = 3) -> Play:
    """The flood from start to end, struck at seeded moments: ``blows`` times, more often in a long flood."""

    async def play(world: World) -> None:
        world.start_edges()
        count = blows * (1 + world.plan.events // _EVENTS_FOR_MORE_BLOWS)
        for moment in world.moments(min(count, world.plan.most_blows)):
            await world.reach(moment)
            await world.hesitate(0.15)
            await strike(world)
        await world.reach(1.0)

    return play
