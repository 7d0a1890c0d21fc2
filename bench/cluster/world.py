"""The fault run: edges over MQTT on all nodes, two hubs on the cluster; nodes and hubs die by ``kill -9``."""

import asyncio
import itertools
import random
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from bench.cluster.nodes import NatsCluster, Node
from bench.faults import judge
from bench.faults.database import Cluster, Database
from bench.faults.evidence import read_evidence
from bench.faults.judge import Allowance, Blow, Evidence, Violation
from bench.faults.ledger import count_lines
from bench.faults.programs import Edge, Hub, Program, boottime_ms, folder_owner_may_pass
from edge.outbox import OutboxError, read_stats
from hub.database import connect
from hub.devices import importing
from hub.notify import contacts

HUBS = 2
_EVENT_STREAM = "ALMENARA_EVENT"
_BUTTONS = 10
_SENSORS = 4
_WORKERS = 16
_POLL_S = 0.05
_START_LIMIT_S = 60.0
_STALL_LIMIT_S = 90.0
_LOOK_MS = 20_000
_AWAY_S = (1.0, 3.0)
"""How long a victim stays away, seeded."""
_CONTACTS = "name,phone,watch_group\nAna Rojas,+56987650001,vecinos\n"
_FREE_LEASES = (
    "update notifications set lease_until = now(), due_at = least(due_at, now()) where state = 'queued'"
)
_BYTES = """
    select sum(pg_total_relation_size(inhrelid)) / (select count(*) from events)::float8
    from pg_inherits where inhparent = 'events'::regclass
"""


class WorldError(Exception):
    """The run itself got stuck."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """``rate`` is events a second of all edges together, 0 for as many as go.

    ``hasten_leases``: texts that a killed hub had in hand are given free at once, not after their lease.
    """

    events: int
    seed: int
    edges: int = 5
    window: int = 500
    rate: float = 0.0
    drain_limit_s: float = 180.0
    hasten_leases: bool = False
    blows: Sequence[Sequence[str]] = (("node",), ("hub",), ("node", "hub"))


@dataclass(frozen=True, kw_only=True)
class Strike:
    """One blow and what it cost, in seconds from it.

    ``alarms_s`` and ``events_s``: until every gateway had a press, or another event, stored that happened
    after the blow. ``silence_s``: the longest time without any commit of other events in the 20 s after it.
    """

    what: str
    alarms_s: float
    events_s: float
    silence_s: float


@dataclass(kw_only=True)
class Outcome:
    """What the run came to."""

    accepted: int
    stored: int
    lost: int
    twice: int
    wrong_order: int
    panics: int
    alerts: int
    alarm_delay_s: dict[str, float]
    repeats_stopped: int
    texts_sent: int
    texts_again: int
    edges_moved: int
    events_per_s: float
    bytes_per_event: float
    strikes: list[Strike]
    violations: list[Violation]
    took_s: float


@dataclass(kw_only=True)
class World:
    """Made by :func:`play`."""

    plan: Plan
    folder: Path
    database: Database
    cluster: NatsCluster
    chance: random.Random
    edges: list[Edge] = field(default_factory=list)
    hubs: list[Hub] = field(default_factory=list)
    blows: list[tuple[str, Blow]] = field(default_factory=list)
    hub_kills: int = 0

    @property
    def texts(self) -> Path:
        return self.folder / "sms.jsonl"

    # --------------------------------------------------------------------------------------- start

    async def start(self, stack: AsyncExitStack) -> None:
        stack.push_async_callback(self.cluster.stop)
        await self.cluster.start()
        self.edges = [Edge(f"gw-{k + 1}", self.folder / f"gw-{k + 1}", self.folder / f"gw-{k + 1}" / "data")
                      for k in range(self.plan.edges)]  # fmt: skip
        await self._register()
        for index in range(HUBS):
            self.hubs.append(hub := self.new_hub(f"hub-{index + 1}"))
            stack.push_async_callback(hub.kill)
            hub.launch()
        await self.until(lambda: all(hub.is_ready() for hub in self.hubs), "the hubs")
        for index, edge in enumerate(self.edges):
            ports = [node.ports["mqtt"] for node in self.cluster.nodes]
            turn = index % len(ports)
            first, *others = ports[turn:] + ports[:turn]
            edge.configure(
                first, self._flood(), outbox_limit_bytes=2**30, health_interval_s=60.0, others=others
            )
            stack.push_async_callback(edge.kill)

    def new_hub(self, name: str) -> Hub:
        options = ("--database", self.database.dsn, "--mqtt", self.cluster.mqtt_option)
        hub = Hub(self.folder / name, *options)
        hub.environment = {
            "ALMENARA_HUB_JETSTREAM": self.cluster.nats_option,
            "ALMENARA_HUB_SMS_FILE": str(self.texts),
        }
        return hub

    async def _register(self) -> None:
        path = self.folder / "devices.csv"
        path.write_text("\n".join(["device,gateway,kind,name,place,sector,watch_group,silent_after_s",
                                   *self._devices()]) + "\n", "utf-8")  # fmt: skip
        pool = await connect(self.database.dsn, max_size=1)
        try:
            report = await importing.import_file(pool, path)
            people = await contacts.import_csv(pool, _CONTACTS)
        finally:
            await pool.close()
        if report.problems or people.problems:
            raise WorldError(f"{report.problems} {people.problems}")

    def _devices(self) -> list[str]:
        lines = []
        for g in (edge.gateway for edge in self.edges):
            lines.append(f"{g},{g},gateway,Gateway {g},Plaza,norte,,8640000")
            lines += [
                f"{g}-s{k},{g},gate_sensor,Sensor {k},Calle {k},norte,,8640000" for k in range(_SENSORS)
            ]
            lines += [
                f"{g}-b{k},{g},panic_button,Botón {k},Pasaje {k},norte,vecinos,8640000"
                for k in range(_BUTTONS)
            ]
        return lines

    def _flood(self) -> dict[str, int | float]:
        return {
            "events": self.plan.events // self.plan.edges,
            "workers": _WORKERS,
            "sensors": _SENSORS,
            "buttons": _BUTTONS,
            "panic_every": 25,
            "window": self.plan.window,
            "rate": self.plan.rate / self.plan.edges,
        }

    # ------------------------------------------------------------------------------------ progress

    async def until(self, condition: Callable[[], bool], what: str, limit_s: float = _START_LIMIT_S) -> None:
        try:
            async with asyncio.timeout(limit_s):
                while not await asyncio.to_thread(condition):  # noqa: ASYNC110 - others' processes
                    await asyncio.sleep(_POLL_S)
        except TimeoutError:
            raise WorldError(f"{what}: not within {limit_s:g} s") from None

    @property
    def taken(self) -> int:
        """Events that the outboxes have accepted."""
        return sum(count_lines(edge.ledger) for edge in self.edges)

    async def reach(self, part: float) -> None:
        target = part * (self.plan.events // self.plan.edges * self.plan.edges)
        loop = asyncio.get_running_loop()
        before, moved_at = -1, loop.time()
        while (now := self.taken) < target:
            if now != before:
                before, moved_at = now, loop.time()
            elif loop.time() - moved_at > _STALL_LIMIT_S:
                raise WorldError(f"the flood stands still at {now} of {target:.0f} events")
            await asyncio.sleep(_POLL_S)

    # --------------------------------------------------------------------------------------- blows

    def _victim_node(self) -> Node:
        """The one that the events go through, where it can be told: the worst to lose."""
        return self.cluster.leader_of(_EVENT_STREAM) or self.chance.choice(self.cluster.nodes)

    async def strike(self, *kinds: str) -> None:
        """Kill one of each kind at once, and start them again a little later; wait until all is whole."""
        for hub in self.hubs:
            await asyncio.to_thread(hub.look_at_repeats)
        victims: list[Program] = []
        if "node" in kinds:
            victims.append(await asyncio.to_thread(self._victim_node))
        if "hub" in kinds:
            victims.append(self.chance.choice(self.hubs))
            self.hub_kills += 1
        self.blows.append((" and ".join(kinds), Blow(boottime_ms())))
        for victim in victims:
            await victim.kill()
        await asyncio.sleep(self.chance.uniform(*_AWAY_S))
        for victim in victims:
            victim.launch()
        await self.until(lambda: all(hub.is_ready() for hub in self.hubs), "the hubs")
        for node in self.cluster.nodes:
            await self.cluster.until_ready(node)

    # --------------------------------------------------------------------------------------- drain

    async def pending(self) -> dict[str, int]:
        waiting = {edge.gateway: _rows_of(edge) for edge in self.edges}
        rows = await self.database.rows("select count(*) from notifications where state <> 'sent'")
        return {**waiting, "texts": rows[0][0]}

    async def drain(self) -> None:
        with suppress(TimeoutError):  # what still waits then is told by the judge
            async with asyncio.timeout(self.plan.drain_limit_s):
                while any((waiting := await self.pending()).values()):
                    if self.plan.hasten_leases and not any(n for k, n in waiting.items() if k != "texts"):
                        await self.database.execute(_FREE_LEASES)
                    await asyncio.sleep(0.2)


def _rows_of(edge: Edge) -> int:
    if not edge.outbox.exists():
        return 0
    try:
        pending = read_stats(edge.outbox).pending
    except OutboxError:
        return 1
    return pending["alarm"] + pending["event"]


Say = Callable[[str], None]


async def play(plan: Plan, postgres: Cluster, folder: Path, say: Say) -> Outcome:
    """The flood, struck at seeded moments: a node, a hub, both at once."""
    folder.mkdir()  # noqa: ASYNC240 - before anything runs
    folder_owner_may_pass(folder)
    world = World(
        plan=plan,
        folder=folder,
        database=await postgres.fresh(),
        cluster=NatsCluster(folder / "nats"),
        chance=random.Random(plan.seed),  # noqa: S311 - a seeded run
    )
    began = time.monotonic()
    async with AsyncExitStack() as stack:
        await world.start(stack)
        say(f"a cluster of {len(world.cluster.nodes)} nodes, {HUBS} hubs, {plan.edges} edges: all up")
        for edge in world.edges:
            edge.launch()
        for index, kinds in enumerate(plan.blows):
            await world.reach((index + 0.3 + 0.4 * world.chance.random()) / (len(plan.blows) + 0.5))
            await world.strike(*kinds)
            say(f"killed and started again: {' and '.join(kinds)} ({world.taken} events so far)")
        await world.reach(1.0)
        await world.drain()
        evidence = await _finish(world)
        found = await world.database.rows(_BYTES)
    return _outcome(world, evidence, round(found[0][0]), time.monotonic() - began)


async def _finish(world: World) -> Evidence:
    pending = await world.pending()
    for hub in world.hubs:
        await asyncio.to_thread(hub.look_at_repeats)
    for program in (*world.edges, *world.hubs):
        await program.stop()
    found = await read_evidence(world.edges, world.database, [world.texts], pending)
    # Nobody answers here, so texts go out again step by step, as they should; lines are still counted. And a
    # press may belong to an alert of several neighbours besides its own, which is the one that is judged.
    own = [(event, alert) for event, alert in found.handled if alert in found.event_counts]
    return replace(found, texts=[], handled=own)


# ------------------------------------------------------------------------------------------ outcome


def _outcome(world: World, evidence: Evidence, bytes_per_event: float, took_s: float) -> Outcome:
    violations = judge.judge(evidence, Allowance(hub_kills=world.hub_kills))
    count = {v.kind: v.count for v in violations}
    received = sorted(row.received_ms for row in evidence.stored)
    return Outcome(
        accepted=len(evidence.accepted),
        stored=len(evidence.stored),
        lost=count.get("lost", 0),
        twice=count.get("stored_twice", 0) + count.get("handled_twice", 0),
        wrong_order=count.get("wrong_order", 0),
        panics=sum(row.is_alarm for row in evidence.stored),
        alerts=len(evidence.event_counts),
        alarm_delay_s=_quantiles(judge.alarm_delays_s(evidence)),
        repeats_stopped=sum(hub.repeats for hub in world.hubs),
        texts_sent=len({line.text_id for line in evidence.lines}),
        texts_again=len(evidence.lines) - len({line.text_id for line in evidence.lines}),
        edges_moved=sum(_moves(edge.nodes()) for edge in world.edges),
        events_per_s=round(len(received) / max(0.001, (received[-1] - received[0]) / 1000), 1),
        bytes_per_event=bytes_per_event,
        strikes=[_cost(world, evidence, what, blow) for what, blow in world.blows],
        violations=violations,
        took_s=round(took_s, 1),
    )


def _cost(world: World, evidence: Evidence, what: str, blow: Blow) -> Strike:
    events = [row.received_ms for row in evidence.stored if not row.is_alarm]
    after = [blow.at_ms, *sorted(at for at in events if blow.at_ms < at < blow.at_ms + _LOOK_MS)]
    pauses = [b - a for a, b in itertools.pairwise(after)]
    return Strike(
        what=what,
        alarms_s=_all_heard_s(world, evidence, blow, is_alarm=True),
        events_s=_all_heard_s(world, evidence, blow, is_alarm=False),
        silence_s=round(max(pauses, default=0) / 1000, 2),
    )


def _all_heard_s(world: World, evidence: Evidence, blow: Blow, *, is_alarm: bool) -> float:
    accepted = [a for a in evidence.accepted if a.is_alarm == is_alarm]
    blows = [Blow(blow.at_ms, (edge.gateway,)) for edge in world.edges]
    return round(max(judge.recovery_s(replace(evidence, accepted=accepted), blows), default=0.0), 2)


def _quantiles(values: Sequence[float]) -> dict[str, float]:
    if not values:
        return {}
    return {
        "p50": round(values[len(values) // 2], 3),
        "p99": round(values[min(len(values) - 1, int(0.99 * len(values)))], 3),
        "max": round(values[-1], 3),
    }


def _moves(nodes: Sequence[str]) -> int:
    return sum(one != other for one, other in itertools.pairwise(nodes))
