"""Blows to connections: between an edge and the broker, or between the hub and the broker."""

import asyncio

from bench.faults.fault import Play
from bench.faults.proxy import Proxy
from bench.faults.world import World

_LONGEST_CUT_S = 2.0
_LONGEST_STALL_S = 3.0
_SLOW_S = 0.3
_SLOW_FOR_S = 2.0


async def _reset(_world: World, proxy: Proxy) -> None:
    proxy.reset()


async def _cut(world: World, proxy: Proxy) -> None:
    proxy.cut()
    await world.hesitate(_LONGEST_CUT_S)
    proxy.mend()


async def _stall(world: World, proxy: Proxy) -> None:
    proxy.stall()
    await world.hesitate(_LONGEST_STALL_S)
    proxy.mend()


async def _slow(world: World, proxy: Proxy) -> None:
    proxy.delay_s = world.chance.uniform(0.05, _SLOW_S)
    await asyncio.sleep(_SLOW_FOR_S)
    proxy.mend()


_TROUBLES = (_reset, _cut, _stall, _slow)


def edge_link() -> Play:
    """Each trouble once, in a seeded order, on the link of a gateway chosen by chance."""
    return _all_troubles(at_hub=False)


def hub_link() -> Play:
    """The same between the hub and the broker."""
    return _all_troubles(at_hub=True)


def _all_troubles(*, at_hub: bool) -> Play:
    async def play(world: World) -> None:
        troubles = world.chance.sample(_TROUBLES, len(_TROUBLES))
        world.start_edges()
        for trouble, moment in zip(troubles, world.moments(len(troubles)), strict=True):
            await world.reach(moment)
            await trouble(world, _link(world, at_hub=at_hub))
        await world.reach(1.0)

    return play


async def half_open_edge(world: World) -> None:
    _link(world, at_hub=False).lose()


async def half_open_hub(world: World) -> None:
    _link(world, at_hub=True).lose()


def _link(world: World, *, at_hub: bool) -> Proxy:
    """The link to strike; the blow is noted for the gateways behind it."""
    if at_hub:
        assert world.hub_proxy is not None  # noqa: S101 - the fault's plan has one
        world.strike()
        return world.hub_proxy
    gateway = world.chance.choice(sorted(world.proxies))
    world.strike(gateway)
    return world.proxies[gateway]
