"""Blows that end processes with ``kill -9``."""

import asyncio

from bench.faults.judge import Blow, Evidence, recovery_s
from bench.faults.world import World


async def edge(world: World) -> None:
    edge = world.chance.choice(world.edges)
    world.strike(edge.gateway)
    await world.kill_edge(edge)
    await world.hesitate()
    edge.launch()


async def hub(world: World) -> None:
    world.strike()
    await world.kill_hub()
    await world.hesitate()
    await world.start_hub()


async def mosquitto(world: World) -> None:
    assert world.mosquitto is not None  # noqa: S101 - this fault's plan has one
    world.strike()
    await world.mosquitto.kill()
    await world.hesitate()
    world.mosquitto.launch()
    await world.until(world.mosquitto.is_ready, "mosquitto")


async def embedded_keeps(world: World) -> None:
    await world.kill_embedded_broker(forgets=False)


async def embedded_forgets(world: World) -> None:
    await world.kill_embedded_broker(forgets=True)


async def database(world: World) -> None:
    world.strike()
    await world.cluster.kill()
    await world.hesitate()
    await world.cluster.start()


async def everything(world: World) -> None:
    """The machine's supply fails: all processes at once. Unlike then, what the kernel holds survives."""
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


_TAKEN_OVER_S = 10.0
"""A hub that stays away leaves its share to the others within this."""


async def one_of_two_hubs(world: World) -> None:
    """First one stays away until the other has taken its share; later the other is killed and comes back."""
    world.start_edges()
    gone, other = world.chance.sample(world.hubs, 2)
    first, second = world.moments(2)
    await world.reach(first)
    world.strike()
    await world.kill_hub(gone)
    await asyncio.sleep(_TAKEN_OVER_S + 2)
    await world.start_hub(gone)
    await world.reach(second)
    world.strike()
    await world.kill_hub(other)
    await world.hesitate()
    await world.start_hub(other)
    await world.reach(1.0)


async def taken_over_soon(world: World, evidence: Evidence) -> None:
    """Each gateway's events are stored again soon after the kill, whichever hub had it."""
    worst_s = 0.0
    for edge in world.edges:
        blows = [Blow(blow.at_ms, (edge.gateway,)) for blow in world.blows]
        worst_s = max([worst_s, *recovery_s(evidence, blows)])
    world.tally.notes["longest silence of a gateway"] = f"{worst_s:.1f} s"
    if worst_s > _TAKEN_OVER_S:
        world.tally.problems.append(f"a gateway's events waited {worst_s:.1f} s for another hub")
