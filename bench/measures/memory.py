"""Memory of hub, database and broker: idle, in everyday traffic, and after a flood; CPU while idle."""

import asyncio
from collections.abc import Callable

from bench import fleet, usage
from bench.figures import Figure, Ratio, Section, figure
from bench.ground import Broker, Hub
from bench.measures import hub_run
from bench.setting import PLAIN, Setting

_EVERYDAY_RATE = 500


async def measure(setting: Setting) -> Section:
    found: dict[str, dict[str, Figure]] = {}
    for name, tree in setting.trees.items():
        ground = setting.ground
        async with (
            ground.database(PLAIN) as database,
            ground.broker() as broker,
            ground.hub(broker, database, tree) as hub,
        ):
            found |= await _one(setting, name, broker, hub)
    hubs = [
        Ratio(f"{name}, idle", found[f"{name}, idle"]["hub MB"], "MB", "<= 150") for name in setting.trees
    ]
    return Section(
        title="Memory",
        ratios=hubs,
        columns=["hub MB", "database MB", "broker MB", "hub CPU %"],
        rows=found,
        notes=[
            f"Idle: {setting.scale.idle_s:g} s after the start, nobody connected.",
            f"Everyday: {_EVERYDAY_RATE} packs a second. Flood: {setting.scale.events:,} events flat out.",
            "Hub and broker: resident set. Database: all its processes, shared pages counted once.",
        ],
    )


async def _one(setting: Setting, name: str, broker: Broker, hub: Hub) -> dict[str, dict[str, Figure]]:
    ground, idle_s = setting.ground, setting.scale.idle_s
    look = _looker(setting, broker, hub)
    await asyncio.sleep(idle_s)
    before = usage.cpu_s(hub.pid)
    await asyncio.sleep(idle_s)
    rows = {f"{name}, idle": look((usage.cpu_s(hub.pid) - before) / idle_s)}
    everyday = {"leaf": "telemetry", "rate": _EVERYDAY_RATE, "receipts": 1, "seed": setting.next_seed()}
    before = usage.cpu_s(hub.pid)
    await fleet.load(ground.programs, broker.port, count=int(_EVERYDAY_RATE * idle_s), **everyday)
    rows[f"{name}, everyday"] = look((usage.cpu_s(hub.pid) - before) / idle_s)
    run = await hub_run.flat_out(setting, broker, hub, setting.scale.events, leaf="event")
    rows[f"{name}, after a flood"] = look(run.cpu.hub * run.rate / run.messages)
    setting.say(f"memory: {name}: {rows[f'{name}, idle']['hub MB'].median:.0f} MB idle")
    return rows


def _looker(setting: Setting, broker: Broker, hub: Hub) -> Callable[[float], dict[str, Figure]]:
    def look(cpu_share: float) -> dict[str, Figure]:
        values = {
            "hub MB": usage.resident_mb(hub.pid),
            "database MB": setting.ground.database_mb(),
            "broker MB": usage.resident_mb(broker.pid),
            "hub CPU %": 100 * cpu_share,
        }
        return {title: figure([value]) for title, value in values.items()}

    return look
