"""Every fault: what is done to the world while the flood flows. Add one here and it is played and judged."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from bench.faults.world import World

Play = Callable[[World], Awaitable[None]]


@dataclass(frozen=True, kw_only=True)
class Fault:
    """``title`` says what is done, for the report; ``plan`` overrides :class:`bench.faults.world.Plan`.

    ``weight`` is its share of the events; ``simulated`` says honestly what is not the real thing.
    """

    name: str
    title: str
    play: Play
    plan: dict[str, object] = field(default_factory=dict)
    weight: float = 1.0
    blows: int = 3
    simulated: str = ""
    is_quick: bool = False


async def _flow(world: World, strike: Callable[[World], Awaitable[None]], blows: int = 3) -> None:
    """The flood from start to end, struck at seeded moments."""
    world.start_edges()
    for moment in world.moments(blows):
        await world.reach(moment)
        await world.hesitate(0.15)
        await strike(world)
    await world.reach(1.0)


# ------------------------------------------------------------------------------------ kills of ours


async def _edge(world: World) -> None:
    edge = world.chance.choice(world.edges)
    world.strike(edge.gateway)
    await world.kill_edge(edge)
    await world.hesitate()
    edge.launch()


async def _hub(world: World) -> None:
    world.strike()
    await world.kill_hub()
    await world.hesitate()
    await world.start_hub()


async def _mosquitto(world: World) -> None:
    assert world.mosquitto is not None  # noqa: S101 - this fault's plan has one
    world.strike()
    await world.mosquitto.kill()
    await world.hesitate()
    world.mosquitto.launch()
    await world.until(world.mosquitto.is_ready, "mosquitto")


async def _embedded_keeps(world: World) -> None:
    await world.kill_embedded_broker(forgets=False)


async def _embedded_forgets(world: World) -> None:
    await world.kill_embedded_broker(forgets=True)


async def _database(world: World) -> None:
    world.strike()
    await world.cluster.kill()
    await world.hesitate()
    await world.cluster.start()


async def _everything(world: World) -> None:
    """The machine's supply fails: all processes at once. What the kernel holds survives, unlike a real cut."""
    world.strike(kills=2 + len(world.edges))
    await world.kill_hub()
    for edge in world.edges:
        await world.kill_edge(edge)
    await world.cluster.kill()
    await world.hesitate()
    await world.cluster.start()
    for edge in world.edges:
        edge.launch()
    await world.start_hub()


def flowing(strike: Callable[[World], Awaitable[None]], blows: int = 3) -> Play:
    async def play(world: World) -> None:
        await _flow(world, strike, blows)

    return play


KILLS = (
    Fault(
        name="edge",
        title="an edge agent killed",
        play=flowing(_edge),
        is_quick=True,
    ),
    Fault(name="hub", title="the hub killed", play=flowing(_hub), is_quick=True),
    Fault(
        name="broker-forgets",
        title="Mosquitto killed, its memory lost",
        play=flowing(_mosquitto),
        is_quick=True,
    ),
    Fault(
        name="broker-keeps",
        title="Mosquitto killed, sessions of up to a second before on its disk",
        play=flowing(_mosquitto),
        plan={"broker": "lasting"},
    ),
    Fault(
        name="embedded-forgets",
        title="the embedded broker killed, its store deleted",
        play=flowing(_embedded_forgets),
        plan={"broker": "embedded"},
        is_quick=True,
    ),
    Fault(
        name="embedded-keeps",
        title="the embedded broker killed, its store kept",
        play=flowing(_embedded_keeps),
        plan={"broker": "embedded"},
    ),
    Fault(
        name="database",
        title="PostgreSQL killed: crash recovery",
        play=flowing(_database),
        is_quick=True,
    ),
    Fault(
        name="everything",
        title="edges, hub, embedded broker and PostgreSQL killed at once",
        play=flowing(_everything, 2),
        plan={"broker": "embedded"},
        simulated="a power cut of a machine would also take what its kernel had not written yet",
    ),
)
FAULTS: tuple[Fault, ...] = KILLS
