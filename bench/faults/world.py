"""One fault's world: edges, a broker, a hub and a database, with bad networks between them where wanted."""

import asyncio
import os
import random
import shutil
import signal
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bench.faults.database import Cluster, Database
from bench.faults.evidence import read_evidence
from bench.faults.judge import Allowance, Blow, Evidence
from bench.faults.ledger import count_lines
from bench.faults.programs import POLL_S, START_LIMIT_S, Edge, Hub, Mosquitto, boottime_ms, is_listening
from bench.faults.proxy import Proxy
from edge.outbox import OutboxError, read_stats
from hub.devices import importing
from hub.notify import contacts
from hub.servers.broker import gateway_password, site_secret

WORKERS = 32
PANIC_EVERY = 25
_LOOK_S = 0.2
_LAST_TEXTS_S = 5.0
_OUTBOX_LIMIT_BYTES = 1024 * 1024 * 1024
_STALL_LIMIT_S = 150.0
_CONTACTS = "name,phone,watch_group\nAna Rojas,+56987650001,vecinos\nLuis Soto,+56987650002,vecinos\n"


class WorldError(Exception):
    """The run itself got stuck: the flood stands still, or a program does not come up."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a fault's world is made of. ``broker`` is ``mosquitto`` (forgets when killed), ``lasting``
    (Mosquitto that writes its sessions down each second) or ``embedded`` (NATS, a child of the hub). At most
    ``most_blows`` of a fault's blows are struck.

    ``flood`` overrides settings of the driver. ``hasten_leases``: notifications that a killed hub held are
    given free at once instead of after their 60 s lease; what is judged stays the same, only the wait is cut.
    """

    events: int
    edges: int = 2
    hubs: int = 1
    broker: str = "mosquitto"
    flood: Mapping[str, float] = field(default_factory=dict)
    edge_proxies: bool = False
    hub_proxy: bool = False
    buttons: int = 20
    window: int = 500
    most_blows: int = 99
    health_interval_s: float = 60.0
    hasten_leases: bool = False
    drain_limit_s: float = 120.0


@dataclass
class Tally:
    """What the fault did, for the judge's allowance and for the table."""

    kills: int = 0
    hub_kills: int = 0
    edge_kills: int = 0
    missing: int = 0
    missing_alarms: int = 0
    may_gap: bool = False
    notes: dict[str, object] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def allowance(self) -> Allowance:
        return Allowance(
            hub_kills=self.hub_kills,
            unlogged=self.edge_kills * WORKERS,
            missing=self.missing,
            missing_alarms=self.missing_alarms,
            may_gap=self.may_gap,
        )


class World:
    """Made, started, struck, drained and stopped by one fault; see :mod:`bench.faults.catalogue`."""

    def __init__(self, folder: Path, cluster: Cluster, plan: Plan, chance: random.Random) -> None:
        self.folder = folder
        self.cluster = cluster
        self.plan = plan
        self.chance = chance
        self.tally = Tally()
        self.blows: list[Blow] = []
        self.edges = [self._edge(f"gw-{k + 1}") for k in range(plan.edges)]
        self.proxies: dict[str, Proxy] = {}
        self.hub_proxy: Proxy | None = None
        self.mosquitto: Mosquitto | None = None
        self.hubs: list[Hub] = []
        self.database: Database
        self.drain_s = 0.0
        self.drained_events = 0
        self._watch: asyncio.Task[None] | None = None
        self._reach: dict[str, tuple[int, str, str]] = {}
        self.limits: dict[str, int] = {}
        self.undo: list[list[str]] = []

    def _edge(self, gateway: str) -> Edge:
        folder = self.folder / gateway
        return Edge(gateway, folder, folder / "data")

    # --------------------------------------------------------------------------------------- start

    async def start(self) -> None:
        """Everything up but the edges, which :meth:`start_edges` launches."""
        self.database = await self.cluster.fresh()
        await self._register()
        if self.plan.broker != "embedded":
            self.mosquitto = Mosquitto(self.folder / "broker", has_memory=self.plan.broker == "lasting")
            self.mosquitto.launch()
            await self.until(self.mosquitto.is_ready, "mosquitto")
        options = ["--database", self.database.dsn, *(await self._broker_option())]
        if self.plan.hubs > 1:
            options += ["--shards", str(2 * self.plan.hubs)]
        self.hubs = [Hub(self.folder / f"hub-{k + 1}", *options) for k in range(self.plan.hubs)]
        for hub in self.hubs:
            await self.start_hub(hub)
        for edge in self.edges:
            await self._prepare_edge(edge)
        self._watch = asyncio.create_task(self._watch_loop())

    async def _register(self) -> None:
        """The registry import that a technician would do, before the hub's first start."""
        path = self.folder / "devices.csv"
        path.write_text(self._devices(), "utf-8")
        from hub.database import connect

        pool = await connect(self.database.dsn, max_size=1)
        try:
            report = await importing.import_file(pool, path)
            people = await contacts.import_csv(pool, _CONTACTS)
        finally:
            await pool.close()
        if report.problems or people.problems:
            raise WorldError(f"{importing.render_report(report)} {contacts.render_report(people)}")

    def _devices(self) -> str:
        lines = ["device,gateway,kind,name,place,sector,watch_group,silent_after_s"]
        for edge in self.edges:
            g = edge.gateway
            lines.append(f"{g},{g},gateway,Gateway {g},Plaza,norte,,8640000")
            lines += [f"{g}-s{k},{g},gate_sensor,Sensor {k},Calle {k},norte,,8640000" for k in range(4)]
            lines += [
                f"{g}-b{k},{g},panic_button,Botón {k},Pasaje {k},norte,vecinos,8640000"
                for k in range(self.plan.buttons)
            ]
        return "\n".join(lines) + "\n"

    async def _broker_option(self) -> list[str]:
        if self.mosquitto is None:
            return []
        port = self.mosquitto.port
        if self.plan.hub_proxy:
            self.hub_proxy = Proxy(port)
            await self.hub_proxy.start()
            port = self.hub_proxy.port
        return ["--mqtt", f"127.0.0.1:{port}"]

    async def _prepare_edge(self, edge: Edge) -> None:
        username = password = ""
        if self.mosquitto is None:
            username = edge.gateway
            password = gateway_password(site_secret(self.hub.folder / "broker"), edge.gateway)
        port = self.broker_port
        if self.plan.edge_proxies:
            proxy = self.proxies[edge.gateway] = Proxy(port)
            await proxy.start()
            port = proxy.port
        self._reach[edge.gateway] = (port, username, password)
        self.configure(edge)

    def configure(self, edge: Edge, **changes: float) -> None:
        """Set the edge's flood; takes effect at its next launch."""
        port, username, password = self._reach[edge.gateway]
        edge.configure(
            port,
            self.flood(**changes),
            username=username,
            password=password,
            health_interval_s=self.plan.health_interval_s,
            outbox_limit_bytes=self.limits.get(edge.gateway, _OUTBOX_LIMIT_BYTES),
        )

    def flood(self, **changes: float) -> dict[str, int | float]:
        """Settings of the flooding driver for one edge."""
        settings: dict[str, int | float] = {
            "events": self.plan.events // self.plan.edges,
            "workers": WORKERS,
            "buttons": self.plan.buttons,
            "panic_every": PANIC_EVERY,
            "window": self.plan.window,
        }
        return settings | dict(self.plan.flood) | changes

    @property
    def broker_port(self) -> int:
        return self.mosquitto.port if self.mosquitto is not None else self.hub.broker_port

    def start_edges(self) -> None:
        for edge in self.edges:
            edge.launch()

    @property
    def hub(self) -> Hub:
        """The only one, or the first of several."""
        return self.hubs[0]

    async def start_hub(self, hub: Hub | None = None) -> None:
        hub = hub or self.hub
        hub.launch()
        await self.until(hub.is_ready, hub.name)

    # ------------------------------------------------------------------------------------ progress

    @property
    def attempts(self) -> int:
        """Events handed to the outboxes so far, refused ones included."""
        return sum(count_lines(e.ledger) + count_lines(e.refusals) for e in self.edges)

    async def reach(self, part: float) -> None:
        """Wait until that part of the flood has been handed over; raises when it stands still."""
        target = part * (self.plan.events // self.plan.edges * self.plan.edges)
        loop = asyncio.get_running_loop()
        before, moved_at = -1, loop.time()
        while (now := self.attempts) < target:
            if now != before:
                before, moved_at = now, loop.time()
            elif loop.time() - moved_at > _STALL_LIMIT_S:
                raise WorldError(f"the flood stands still at {now} of {target:.0f} events")
            await asyncio.sleep(POLL_S)

    def moments(self, count: int, first: float = 0.1, last: float = 0.85) -> list[float]:
        """Seeded parts of the flood at which to strike, one somewhere in each of ``count`` equal spans."""
        span = (last - first) / count
        return [first + span * (k + self.chance.random()) for k in range(count)]

    def strike(self, *gateways: str, kills: int = 1) -> None:
        """Note that a fault begins now, for these gateways only or for all."""
        self.tally.kills += kills
        self.blows.append(Blow(boottime_ms(), gateways))

    async def hesitate(self, longest_s: float = 0.5) -> None:
        """As a supervisor would before it starts something again."""
        await asyncio.sleep(self.chance.uniform(0, longest_s))

    async def until(self, condition: Callable[[], bool], what: str, limit_s: float = START_LIMIT_S) -> None:
        try:
            async with asyncio.timeout(limit_s):
                while not condition():  # noqa: ASYNC110 - other processes tell by files and ports only
                    await asyncio.sleep(POLL_S)
        except TimeoutError:
            raise WorldError(f"{what}: not within {limit_s:g} s") from None

    # --------------------------------------------------------------------------------------- kills

    async def kill_edge(self, edge: Edge) -> None:
        self.tally.edge_kills += 1
        await edge.kill()

    async def kill_hub(self, hub: Hub | None = None) -> None:
        hub = hub or self.hub
        self.tally.hub_kills += 1
        hub.look_at_repeats()
        await hub.kill()

    async def kill_embedded_broker(self, *, forgets: bool) -> None:
        """The hub starts it again; ``forgets``: its store is gone before that."""
        server = self.hub.folder / "broker" / "server"
        await self.until(lambda: self._embedded_pid() is not None, "the embedded broker")
        self.strike()
        os.kill(self._embedded_pid() or 0, signal.SIGKILL)
        if forgets:
            gone = server / f"store.gone-{boottime_ms()}"
            (server / "store").rename(gone)
            shutil.rmtree(gone, ignore_errors=True)

    def _embedded_pid(self) -> int | None:
        """While it listens; its pid file outlives it."""
        try:
            pid = int((self.hub.folder / "broker" / "server" / "nats.pid").read_text())
            name = Path(f"/proc/{pid}/comm").read_text()
        except (OSError, ValueError):
            return None
        return pid if name.startswith("nats-server") and is_listening(self.broker_port) else None

    # --------------------------------------------------------------------------------------- drain

    async def pending(self) -> dict[str, int]:
        """What still waits: rows of the outboxes, texts."""
        waiting: dict[str, int] = {}
        for edge in self.edges:
            waiting[edge.gateway] = self._pending_rows(edge)
        try:
            rows = await self.database.rows("select count(*) from notifications where state <> 'sent'")
            waiting["texts"] = rows[0][0]
        except OSError:
            waiting["texts"] = 1  # the database is away: nobody knows
        return waiting

    def _pending_rows(self, edge: Edge) -> int:
        if not edge.outbox.exists():
            return 0
        try:
            pending = read_stats(edge.outbox).pending
        except OutboxError:
            return 1
        return pending["alarm"] + pending["event"]

    async def drain(self) -> None:
        """Wait until nothing waits any more, at most ``plan.drain_limit_s``."""
        began_ms = boottime_ms()
        waiting = await self.pending()
        self.drained_events = sum(n for name, n in waiting.items() if name != "texts")
        rows_done_ms = began_ms
        while any(waiting.values()) and boottime_ms() - began_ms < self.plan.drain_limit_s * 1000:
            if any(n for name, n in waiting.items() if name != "texts"):
                rows_done_ms = boottime_ms()
            elif self.plan.hasten_leases:
                await self.database.execute(
                    "update notifications set lease_until = now(), due_at = least(due_at, now())"
                    " where state = 'queued'"
                )
            await asyncio.sleep(_LOOK_S)
            waiting = await self.pending()
        self.drain_s = max(0.0, rows_done_ms - began_ms) / 1000
        await self._end_the_watch()

    async def _end_the_watch(self) -> None:
        """Nobody here takes an alert, so it would escalate for ever: no step from here on."""
        await self.database.execute("update escalations set due_at = null")
        for _ in range(round(_LAST_TEXTS_S / _LOOK_S)):
            if not (await self.pending())["texts"]:
                return
            await asyncio.sleep(_LOOK_S)

    # ----------------------------------------------------------------------------------------- end

    async def finish(self) -> Evidence:
        """Stop everything in order, and read what is left behind."""
        for edge in self.edges:
            await edge.stop()
        for hub in self.hubs:
            hub.look_at_repeats()
            await hub.stop()
        texts = [hub.texts for hub in self.hubs]
        return await read_evidence(self.edges, self.database, texts, await self.pending())

    async def abandon(self) -> None:
        """End whatever still runs; called in any case."""
        if self._watch is not None:
            self._watch.cancel()
        for edge in self.edges:
            await edge.kill()
        for hub in self.hubs:
            await hub.kill()
        if self.mosquitto is not None:
            await self.mosquitto.kill()
        for proxy in [*self.proxies.values(), *([self.hub_proxy] if self.hub_proxy else [])]:
            await proxy.stop()
        for words in self.undo:
            await asyncio.to_thread(subprocess.run, words, check=False)

    async def _watch_loop(self) -> None:
        """The hub counts stopped repeats in memory: look often, a kill forgets them."""
        while True:
            await asyncio.sleep(0.5)
            for hub in self.hubs:
                await asyncio.to_thread(hub.look_at_repeats)
