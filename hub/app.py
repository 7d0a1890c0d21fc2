"""The composition root: what a hub is made of, and the loops that it runs.

This is the only place with a real clock, brokers, transports and servers.
"""

import asyncio
import fcntl
import gc
import hashlib
import logging
import secrets
import signal
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from fastapi import FastAPI

from edge import contract
from edge.contract import Leaf
from hub import upkeep
from hub.alerts import catalogue
from hub.alerts import service as alerts
from hub.alerts.finding import Finding
from hub.alerts.silences import Silences
from hub.annotating import Annotating, Grafana
from hub.clock import Clock, SystemClock
from hub.database import UNAVAILABLE, Pool, connect, listen_loop, migrate, persist
from hub.devices import commands, supervision
from hub.devices.registry import Registry
from hub.fieldwork import form
from hub.hotspots import sheets
from hub.intake.clock_offsets import ClockOffsets
from hub.intake.partitions import ensure_event_partitions
from hub.intake.pipeline import Intake
from hub.intake.presence import Listening, Presence, flush_loop
from hub.intake.reaction import Reaction
from hub.intake.shards import LANES, Shards, shard_name
from hub.leases import Leases, Work
from hub.metrics import Metrics
from hub.mqtt import Address, MqttError, Publisher
from hub.mqtt.negotiate import negotiated
from hub.notify import calendars, inbound, mailbox, people_work, room
from hub.notify import service as notify
from hub.notify.outfit import Outfit, outfit_for
from hub.notify.policy_file import PolicyBook, policy_watch_loop
from hub.notify.reporting import OnInbound
from hub.notify.transports import Inbound
from hub.notify.transports.modem import figures
from hub.notify.transports.spec import HttpSpec, read_secret
from hub.notify.watching import Watched
from hub.opening import HubError, broker_folder, influx_access, postgres_folder, rules_folder
from hub.operations import series
from hub.operations.linking import Linking
from hub.papers.desk import Desk
from hub.papers.making import Workshop
from hub.plan import period_ends
from hub.plan.parameters import parameters_of
from hub.plan.service import TopicsBook
from hub.rule_work import memories
from hub.rule_work.apart import rehearse_apart
from hub.rule_work.confirming import Confirming
from hub.rule_work.drafts import Drafts
from hub.rule_work.live import LiveRules
from hub.rule_work.timers import Timers
from hub.rule_work.work import RuleWork
from hub.rules.library import ready_rules
from hub.servers import ServerError
from hub.servers.broker import EmbeddedBroker, site_secret
from hub.servers.child import Server
from hub.servers.postgres import EmbeddedPostgres
from hub.settings import HubSettings
from hub.telemetry import Keep, TelemetryStore
from hub.telemetry.partitions import ensure_partitions
from hub.telemetry.postgres import PostgresTelemetry
from hub.telemetry.rolling import rollup_loop
from hub.web import server as web_server
from hub.web import sessions, users
from hub.web.app import create_app
from hub.web.bus import AlertBus
from hub.web.context import RulesDesk
from hub.web.settings import EmergencyNumber, Hook, WebSettings

if TYPE_CHECKING:
    from hub.jetstream import Downlink

log = logging.getLogger(__name__)


Loop: TypeAlias = Coroutine[None, None, None]

CLOSE_S = 3.0


# --------------------------------------------------------------------------------------------- hub


@dataclass
class Hub:
    """A running hub, for those who look at it: the demo, tests, benchmarks."""

    settings: HubSettings
    pool: Pool
    dsn: str
    address: Address
    registry: Registry
    metrics: Metrics
    broker: EmbeddedBroker | None
    postgres: EmbeddedPostgres | None
    http_url: str
    first_login: tuple[str, str] | None
    owner: str
    publisher: "Publisher | Downlink"
    catalogue: catalogue.CatalogueBook

    def does(self, role: str) -> bool:
        return self.settings.role in ("all", role)

    def servers(self) -> Iterable[Server]:
        return [server for server in (self.broker, self.postgres) if server is not None]


async def serve_until_signal(settings: HubSettings) -> int:
    """Run until SIGTERM or SIGINT; returns the exit code."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, stop.set)
    async with running(settings) as hub:
        for line in welcome(hub):
            log.info("%s", line)
        _settle_memory()
        await stop.wait()
        log.info("stopping")
    return 0


def _settle_memory() -> None:
    """What the start has made stays: the collector need not walk through it again, batch after batch.

    A batch makes thousands of objects that no cycle holds, so collections can be rarer than Python's own.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


def welcome(hub: Hub) -> list[str]:
    """What the person who started the hub needs to know, in Spanish."""
    lines = [f"consola: {hub.http_url}", f"broker MQTT: {hub.address.host}:{hub.address.port}"]
    if hub.settings.role != "all":
        lines.append(f"tarea de este proceso: {hub.settings.role}")
    if hub.first_login:
        login, password = hub.first_login
        lines.append(f"primera cuenta: usuario «{login}», clave «{password}» (se muestra solo esta vez)")
    if hub.settings.adopt_unknown_gateways:
        lines.append("ATENCIÓN: se aceptan gateways desconocidos; úselo solo en laboratorio")
    return lines


@asynccontextmanager
async def running(settings: HubSettings, clock: Clock | None = None) -> AsyncIterator[Hub]:
    """A whole hub: servers, database, loops. Leaving the context stops all of it, in order."""
    clock = clock or SystemClock()
    # The servers' own folders inside are closed; their account must be able to pass.
    settings.data.mkdir(parents=True, exist_ok=True, mode=0o711)
    async with AsyncExitStack() as stack:
        stack.enter_context(_only_hub_on(settings.data))
        postgres, dsn = await _start_database(settings, stack)
        pool = await connect(dsn, max_size=16)
        stack.push_async_callback(_close, pool)
        await migrate(pool)
        await ensure_partitions(pool, clock.now().date())
        await ensure_event_partitions(pool, clock.now().date())
        registry, metrics = Registry(), Metrics()
        await registry.load(pool)
        broker, address = await _start_broker(settings, registry, stack)
        password = await users.ensure_first_user(pool)
        host, port = settings.http_address()
        owner = _hub_id(settings.data)
        hub = Hub(
            settings=settings,
            pool=pool,
            dsn=dsn,
            address=address,
            registry=registry,
            metrics=metrics,
            broker=broker,
            postgres=postgres,
            http_url=f"http://{host}:{port}",
            first_login=(users.FIRST_LOGIN, password) if password else None,
            owner=owner,
            publisher=_downward(settings, address, f"almenara-hub-{owner}-out"),
            catalogue=catalogue.CatalogueBook(settings.data / catalogue.FILE),
        )
        await hub.catalogue.keep_used(pool)
        await _run_loops(hub, clock, stack)
        yield hub


async def _close(pool: Pool) -> None:
    """In order while the database answers: statements that were cut off still hand back their connections."""
    try:
        async with asyncio.timeout(CLOSE_S):
            await pool.close()
    except (TimeoutError, *UNAVAILABLE):
        pool.terminate()


@contextmanager
def _only_hub_on(data: Path) -> Iterator[None]:
    """Two hubs on one folder would take each other's name and leases."""
    with (data / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise HubError(f"otro hub ya usa la carpeta {data}; dele a este otra con --data") from None
        yield


def _hub_id(data: Path) -> str:
    """A name that stays over restarts, so that a hub finds its own leases and sessions again."""
    path = data / "hub-id"
    if not path.exists():
        path.write_text(secrets.token_hex(6) + "\n")
    return path.read_text().strip()


async def _start_database(
    settings: HubSettings, stack: AsyncExitStack
) -> tuple[EmbeddedPostgres | None, str]:
    if dsn := settings.database.get_secret_value():
        return None, dsn
    server = EmbeddedPostgres(postgres_folder(settings))
    stack.push_async_callback(server.stop)
    return server, await server.start()


async def _start_broker(
    settings: HubSettings, registry: Registry, stack: AsyncExitStack
) -> tuple[EmbeddedBroker | None, Address]:
    if settings.mqtt:
        address = settings.broker_address()
        if settings.mqtt_version == "auto" and not settings.jetstream:
            address = await negotiated(address, f"almenara-hub-{secrets.token_hex(4)}-hello")
        return None, address
    broker = EmbeddedBroker(
        broker_folder(settings), settings.broker_port or None, open_laboratory=settings.adopt_unknown_gateways
    )
    stack.push_async_callback(broker.stop)
    await broker.set_gateways(registry.gateways())
    await broker.start()
    return broker, Address(
        host="127.0.0.1", port=broker.mqtt_port, username="hub", password=broker.hub_password, version=4
    )


def _downward(settings: HubSettings, address: Address, client_id: str) -> "Publisher | Downlink":
    if not settings.jetstream:
        return Publisher(address, client_id)
    from hub.jetstream import Downlink

    return Downlink(settings.broker_addresses(), client_id)


def _from_cluster(
    hub: Hub, intake: Intake, clock: Clock, listening: Listening
) -> Coroutine[None, None, None]:
    """The lanes of a cluster; its client library is loaded only where there is one."""
    from hub.intake.streams import Streams
    from hub.jetstream import Nodes

    settings = hub.settings
    nodes = Nodes(
        servers=settings.jetstream_servers(),
        username=settings.mqtt_username or None,
        password=settings.broker_password() or None,
        tls=settings.tls(),
    )
    streams = Streams(
        intake=intake, nodes=nodes, replicas=settings.jetstream_replicas, clock=clock, owner=hub.owner
    )
    return streams.run_loop(listening)


@dataclass(frozen=True, kw_only=True)
class Parts:
    """What the loops of one hub share."""

    hub: Hub
    clock: Clock
    policies: PolicyBook
    silences: Silences
    rules: RuleWork
    live: LiveRules
    drafts: Drafts
    topics: TopicsBook
    workshop: Workshop
    outfit: Outfit
    intake: Intake
    listening: Sequence[Listening]
    leases: Leases
    work: Mapping[str, Work]
    senders: notify.Senders | None
    notify_wake: asyncio.Event
    stores: Sequence[TelemetryStore]
    """The first one takes what comes; another may still hold history."""
    store_loops: Sequence[Loop]
    command_wake: asyncio.Event = field(default_factory=asyncio.Event)
    registry_changed: asyncio.Event = field(default_factory=asyncio.Event)
    bus: AlertBus = field(default_factory=AlertBus)
    annotations_due: asyncio.Event = field(default_factory=asyncio.Event)


async def _run_loops(hub: Hub, clock: Clock, stack: AsyncExitStack) -> None:
    """Start every loop; the first one that fails stops the hub instead of leaving it half alive."""
    parts = await _make_parts(hub, clock, stack)
    stack.callback(parts.bus.close)
    host, port = hub.settings.http_address()
    is_serving: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    loops = [*_common_loops(parts), web_server.serve(_web_app(parts), host, port, is_serving.set_result)]
    if hub.does("intake"):
        loops += _intake_loops(parts)
    if parts.senders is not None:
        loops += _notify_loops(parts, parts.senders)
    if hub.does("web"):
        loops += [sessions.sweep_loop(hub.pool, clock), parts.drafts.run_loop(), parts.workshop.run_loop()]
    if hub.does("intake") or hub.does("web"):
        loops.append(parts.live.reload_loop())
    group = await stack.enter_async_context(asyncio.TaskGroup())
    tasks = [group.create_task(loop) for loop in loops]
    stack.callback(lambda: [task.cancel() for task in tasks])
    hub.http_url = f"http://{host}:{await is_serving}"


# ------------------------------------------------------------------------------------------- loops


def _common_loops(parts: Parts) -> list[Loop]:
    hub, clock = parts.hub, parts.clock
    return [
        *(server.supervise_loop() for server in hub.servers()),
        listen_loop(hub.dsn, _channels(parts)),
        hub.registry.reload_loop(hub.pool, clock),
        policy_watch_loop(parts.policies, clock),
        catalogue.catalogue_watch_loop(hub.catalogue, clock),
        parts.silences.reload_loop(hub.pool, clock),
        _broker_users_loop(hub, parts.registry_changed),
        hub.publisher.run_loop(),
    ]


def _channels(parts: Parts) -> dict[str, Callable[[str], None]]:
    """What is done at each NOTIFY."""

    def registry_told(payload: str) -> None:
        parts.hub.registry.on_notify(payload)
        parts.registry_changed.set()

    def alerts_told(payload: str) -> None:
        parts.bus.heard(payload)
        parts.annotations_due.set()

    return {
        "devices": registry_told,
        "notifications": lambda _: parts.notify_wake.set(),
        "commands": lambda _: parts.command_wake.set(),
        "alerts": alerts_told,
        "silences": parts.silences.on_notify,
        memories.CHANNEL: parts.rules.memories.heard,
        mailbox.CHANNEL: parts.outfit.heard,
    }


def _intake_loops(parts: Parts) -> list[Loop]:
    hub, clock, intake = parts.hub, parts.clock, parts.intake

    def codes() -> Mapping[str, str]:
        found: Mapping[str, str] = parameters_of(hub.catalogue())["code_of_kind"]
        return found

    timers = Timers(
        pool=hub.pool,
        work=parts.rules,
        react=intake.react,
        clock=clock,
        listening_since=parts.leases.fleet_since,
        metrics=hub.metrics,
    )
    loops = [
        timers.run_loop(),
        timers.count_loop(),
        Confirming(pool=hub.pool, react=intake.react, clock=clock).run_loop(),
        parts.leases.run_loop(parts.work),
        flush_loop(intake.presence, parts.listening, hub.pool, clock),
        alerts.calm_loop(hub.pool, clock),
        upkeep.upkeep_loop(
            hub.pool, clock, parts.stores, hub.settings.telemetry_days, hub.settings.event_days
        ),
        rollup_loop(intake.telemetry, hub.pool, clock),
        Linking(hub.pool, codes).run_loop(clock),
        sheets.sheets_loop(hub.pool, clock, codes),
        series.plan_loop(hub.pool, clock),
        period_ends.freeze_loop(
            hub.pool, clock, parts.topics, lambda: parameters_of(hub.catalogue()), hub.settings.freeze_days
        ),
        *parts.store_loops,
    ]
    if hub.settings.grafana_url:
        grafana = Grafana(url=hub.settings.grafana_url, token=read_secret(hub.settings.grafana_token_file))
        loops.append(Annotating(hub.pool, grafana, clock).run_loop(parts.annotations_due))
    if hub.settings.jetstream:
        loops.append(_from_cluster(hub, intake, clock, parts.listening[0]))
    return loops


def _notify_loops(parts: Parts, senders: notify.Senders) -> list[Loop]:
    hub, clock, outfit = parts.hub, parts.clock, parts.outfit
    heard, desk = asyncio.Event(), _desk(hub, parts.policies, parts.notify_wake)
    escalator = notify.Escalator(
        pool=hub.pool,
        policies=parts.policies,
        transports=outfit.router.ways(),
        on_call=calendars.on_call_now,
    )
    return [
        senders.run_loop(parts.notify_wake),
        *outfit.loops(
            hub.owner,
            _supervised(hub, parts.intake, clock),
            partial(_tell_of_transport, hub),
            _kept_by(desk, clock, heard),
        ),
        people_work.people_loop(desk, clock, heard),
        commands.commands_loop(hub.pool, _publisher(hub), clock, parts.command_wake),
        room.room_loop(hub.pool, clock, _room_silent(hub, parts.intake, clock)),
        notify.escalation_loop(escalator, clock, parts.notify_wake.set),
    ]


# ------------------------------------------------------------------------------------------- parts


async def _make_parts(hub: Hub, clock: Clock, stack: AsyncExitStack) -> Parts:
    notify_wake, silences = asyncio.Event(), Silences()
    policies = PolicyBook(hub.settings.data / "policies.yaml")
    await silences.load(hub.pool, clock.now())
    rules = RuleWork(ready_rules(), hub.metrics)
    live = LiveRules(hub.pool, rules, rules_folder(hub.settings), clock)
    await live.start()
    outfit = _outfit(hub, clock)
    senders = _senders(hub, outfit, clock) if hub.does("notify") else None
    reaction = Reaction(
        settings=_notify_settings(hub.settings),
        policies=policies,
        silences=silences,
        senders=senders,
        wake=notify_wake.set,
        metrics=hub.metrics,
    )
    stores, store_loops = await _telemetry_stores(hub, clock, stack)
    intake = await _intake(hub, rules, reaction, stores[0], clock, stack)
    listening = [Listening(LANES) for _ in range(hub.settings.shards)]
    leases, work = _shared_work(hub, intake, listening, clock)
    topics = TopicsBook(hub.settings.data / "materias.yaml")
    return Parts(
        hub=hub,
        clock=clock,
        policies=policies,
        silences=silences,
        rules=rules,
        live=live,
        drafts=Drafts(partial(rehearse_apart, hub.dsn), rules_folder(hub.settings), clock),
        topics=topics,
        workshop=_workshop(hub, topics, clock),
        outfit=outfit,
        intake=intake,
        listening=listening,
        leases=leases,
        work=work,
        senders=senders,
        notify_wake=notify_wake,
        stores=stores,
        store_loops=store_loops,
    )


def _workshop(hub: Hub, topics: TopicsBook, clock: Clock) -> Workshop:
    def desk_at(now: datetime) -> Desk:
        return Desk(
            pool=hub.pool,
            as_of=now,
            commune=hub.settings.commune,
            catalogue=hub.catalogue(),
            topics=topics(),
        )

    return Workshop(desk_at, clock)


def _senders(hub: Hub, outfit: Outfit, clock: Clock) -> notify.Senders:
    return notify.Senders(
        hub.pool,
        outfit.transports,
        clock,
        hub.owner,
        on_sent=_on_sent(hub),
        settings=_notify_settings(hub.settings),
        router=outfit.router,
    )


async def _intake(
    hub: Hub,
    rules: RuleWork,
    reaction: Reaction,
    telemetry: TelemetryStore,
    clock: Clock,
    stack: AsyncExitStack,
) -> Intake:
    alarm_pool = await connect(hub.dsn, max_size=2, warm=reaction.warm)
    stack.push_async_callback(_close, alarm_pool)
    return Intake(
        pool=hub.pool,
        alarm_pool=alarm_pool,
        registry=hub.registry,
        rules=rules,
        react=reaction,
        at_once=reaction.at_once,
        send_receipt=lambda gateway, receipt: _send_receipt(hub, gateway, receipt),
        telemetry=telemetry,
        offsets=ClockOffsets(),
        presence=Presence(),
        metrics=hub.metrics,
        clock=clock,
        adopts_unknown=hub.settings.adopt_unknown_gateways,
    )


def _shared_work(
    hub: Hub, intake: Intake, listening: Sequence[Listening], clock: Clock
) -> tuple[Leases, dict[str, Work]]:
    """What several hubs share out among them, and how this one does each piece of it."""
    shards = hub.settings.shards
    names = [shard_name(index, shards) for index in range(shards)]
    lanes = Shards(
        intake=intake,
        address=hub.address,
        shards=shards,
        client_id=lambda purpose: f"almenara-hub-{purpose}{_client_id_suffix(hub)}",
        clock=clock,
    )
    # In a cluster nothing is shared out: who judges silence must be listening itself, that is all.
    heard = ["supervision"] if hub.settings.jetstream else names
    rest = [] if hub.settings.jetstream else ["control", "supervision"]
    since = {name: part.since for name, part in zip(heard, listening, strict=True)}
    leases = Leases(hub.pool, hub.owner, [*heard, *rest], clock, listening=since)
    work: dict[str, Work] = {
        "control": lanes.run_control,
        "supervision": lambda: supervision.supervision_loop(
            hub.pool, clock, leases.fleet_since, _supervised(hub, intake, clock)
        ),
    }
    for index, (name, part) in enumerate(zip(names, listening, strict=True)):
        work[name] = partial(lanes.run_shard, index, part)
    return leases, work


def _web_app(parts: Parts) -> FastAPI:
    hub = parts.hub
    return create_app(
        pool=hub.pool,
        clock=parts.clock,
        settings=_web_settings(hub.settings),
        metrics=hub.metrics.exposition,
        bus=parts.bus,
        has_console=hub.does("web"),
        policies=parts.policies,
        desk=RulesDesk(parts.live, parts.drafts),
        catalogue=hub.catalogue,
        topics=parts.topics,
        telemetry=parts.stores[0],
        workshop=parts.workshop,
        on_findings=_supervised(hub, parts.intake, parts.clock, "Grafana informa que pasó"),
    )


# ---------------------------------------------------------------------------------------- reactions


def _desk(hub: Hub, policies: PolicyBook, wake: asyncio.Event) -> inbound.Desk:
    """What acts on texts that come in."""
    return inbound.Desk(
        pool=hub.pool,
        settings=_notify_settings(hub.settings),
        policies=policies,
        wake=wake.set,
        on_opened=lambda kind: hub.metrics.alerts.labels(kind).inc(),
    )


def _kept_by(desk: inbound.Desk, clock: Clock, heard: asyncio.Event) -> OnInbound:
    async def on_inbound(transport: str, text: Inbound) -> None:
        await desk.receive(transport, text, clock.now())
        heard.set()

    return on_inbound


def _send_receipt(hub: Hub, gateway: str, receipt: contract.Receipt) -> None:
    """Best effort: a receipt that is lost is asked for again by the edge's next repeat."""
    if hub.publisher.connected:
        hub.publisher.publish_nowait(contract.topic(gateway, Leaf.RECEIPT), contract.encode(receipt))


# ------------------------------------------------------------------------------------------- wiring


def _client_id_suffix(hub: Hub) -> str:
    """On the embedded broker the ids cannot be guessed: whoever connects under one would kick a lane off."""
    if hub.broker is None:
        return ""
    return "-" + hashlib.sha256(b"client id" + site_secret(hub.broker.root)).hexdigest()[:12]


def _publisher(hub: Hub) -> commands.Publish:
    async def publish(topic: str, payload: bytes, qos: int, expiry_s: int) -> None:
        try:
            await hub.publisher.publish(topic, payload, qos, message_expiry_s=expiry_s)
        except MqttError as error:
            raise commands.PublishError(str(error)) from error

    return publish


def _supervised(
    hub: Hub, intake: Intake, clock: Clock, note: str = "volvió a comunicarse"
) -> supervision.OnFindings:
    """Silence opens alerts like any other finding; a device that speaks again closes what nobody took."""

    async def on_findings(fresh: Sequence[Finding], cleared: Sequence[str]) -> None:
        now = clock.now()
        async with hub.pool.acquire() as connection, connection.transaction():
            tell = await intake.react(connection, fresh, now) if fresh else None
            if cleared:
                await alerts.close_by_hub(connection, cleared, note=note, now=now)
        if tell:
            tell()

    return on_findings


def _room_silent(hub: Hub, intake: Intake, clock: Clock) -> room.OnFindings:
    async def on_findings(findings: Sequence[Finding]) -> None:
        async with hub.pool.acquire() as connection, connection.transaction():
            tell = await intake.react(connection, findings, clock.now())
        tell()

    return on_findings


async def _broker_users_loop(hub: Hub, changed: asyncio.Event) -> None:
    """A gateway that was registered gets its account on the embedded broker at once."""
    if hub.broker is None:
        return
    while True:
        await changed.wait()
        changed.clear()
        await persist(lambda: hub.registry.load(hub.pool), asyncio.sleep, "broker accounts")
        try:
            await hub.broker.set_gateways(hub.registry.gateways())
        except ServerError as error:
            log.error("the broker keeps its old accounts: %s", error)  # noqa: TRY400 - the message says it


def _on_sent(hub: Hub) -> Callable[[notify.Notification, datetime], None]:
    def on_sent(notification: notify.Notification, sent_at: datetime) -> None:
        hub.metrics.notifications.labels(notification.transport).inc()
        hub.metrics.notify_s.observe((sent_at - notification.created_at).total_seconds())

    return on_sent


def _outfit(hub: Hub, clock: Clock) -> Outfit:
    try:
        return outfit_for(
            hub.settings.transport_specs(),
            hub.pool,
            clock,
            hub.settings.data / "sms.jsonl",
            on_modem=partial(figures.publish, hub.metrics),
        )
    except ValueError as error:
        raise HubError(f"transports: {error}") from error


def _tell_of_transport(hub: Hub, watched: Watched, s_per_text: float | None) -> None:
    metrics, health = hub.metrics, watched.health
    metrics.transport_up.labels(watched.name).set(health.is_ok)
    metrics.transport_held_back.labels(watched.name).set(watched.is_held_back)
    figures = (
        (metrics.transport_signal, health.signal_dbm),
        (metrics.transport_queue, health.queue),
        (metrics.transport_credit, health.credit),
        (metrics.transport_s, s_per_text),
    )
    for gauge, figure in figures:
        if figure is not None:
            gauge.labels(watched.name).set(figure)


def _notify_settings(settings: HubSettings) -> notify.NotifySettings:
    return notify.NotifySettings(
        duty_phone=settings.duty_phone,
        emergency_number=settings.emergency_number,
        emergency_numbers=settings.emergency_numbers_by_kind,
    )


async def _telemetry_stores(
    hub: Hub, clock: Clock, stack: AsyncExitStack
) -> tuple[list[TelemetryStore], list[Loop]]:
    """The store of the settings, then one that may still hold history, which grows old there too; loops."""
    settings = hub.settings
    keep = Keep(settings.telemetry_days, settings.telemetry_rollup_days)
    in_postgres = PostgresTelemetry(keep)
    is_writer = hub.does("intake")
    if settings.telemetry_store == "postgresql" or not (is_writer or hub.does("web")):
        return [in_postgres], []
    from hub.telemetry.influx.store import open_influx

    # a console alone only reads: its spool stays empty, and apart from one that an intake may keep beside it
    folder = settings.data / ("telemetry" if is_writer else "telemetry-web")
    room = settings.telemetry_spool_mb * 2**20
    opening = open_influx(influx_access(settings), folder, room, keep, hub.metrics)
    in_influx = await stack.enter_async_context(opening)
    return [in_influx, in_postgres], [in_influx.send_loop(hub.pool, clock)] if is_writer else []


def _web_settings(settings: HubSettings) -> WebSettings:
    return WebSettings(
        commune=settings.commune,
        secure_cookie=settings.https_cookies,
        geojson_path=settings.geojson,
        emergency_numbers=tuple(
            EmergencyNumber(n, number) for n, number in settings.emergency_numbers.items()
        ),
        adopt_unknown_gateways=settings.adopt_unknown_gateways,
        evidence_folder=settings.vault_folder(),
        form_path=settings.data / form.FILE,
        metrics_token=settings.metrics_token.get_secret_value(),
        grafana_token=read_secret(settings.grafana_hook_token_file),
        publishes=settings.open_data,
        hooks=tuple(
            Hook(
                transport=spec.name,
                token=read_secret(spec.hook_token_file),
                delivered_values=spec.delivered_values,
                failed_values=spec.failed_values,
            )
            for spec in settings.transport_specs()
            if isinstance(spec, HttpSpec) and spec.hook_token_file
        ),
    )
