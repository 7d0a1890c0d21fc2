"""Blows that end processes with ``kill -9``."""

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
