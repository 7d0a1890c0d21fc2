"""Hubs for tests of rules: everything real but the broker, as many as wanted on one database."""

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from fakes import VirtualClock

from edge import contract
from edge.contract import Leaf, Measurement
from hub.alerts import service as alerts
from hub.alerts.finding import Finding
from hub.database import Connection, Pool
from hub.devices.registry import Registry
from hub.intake.clock_offsets import ClockOffsets
from hub.intake.pipeline import Intake, event_lane
from hub.intake.presence import Presence
from hub.intake.streams import shared_telemetry_lane
from hub.metrics import Metrics
from hub.mqtt.packets import Message
from hub.notify import service as notify
from hub.rule_work.confirming import Confirming
from hub.rule_work.timers import Timers
from hub.rule_work.work import RuleWork
from hub.rules.loading import load_rules
from hub.telemetry.postgres import PostgresTelemetry

GATEWAY = "gw-mesa"
START = datetime(2026, 11, 24, 15, 0, tzinfo=UTC)


def minute(at: float) -> datetime:
    return START + timedelta(minutes=at)


@dataclass(frozen=True)
class Heard:
    """What a device says at minute ``at``: an event of type ``name``, or a ``value`` of quantity ``name``."""

    at: float
    name: str
    value: float | None = None
    device: int = 1
    data: dict[str, object] = field(default_factory=dict)

    def message(self) -> Message:
        source = contract.device_urn(f"d{self.device}")
        if self.value is not None:
            measurement = Measurement(
                name=f"{source}:{self.name}", time=minute(self.at).timestamp(), unit="m", value=self.value
            )
            return _message(Leaf.TELEMETRY, contract.encode_pack([measurement]))
        id_ = uuid.uuid5(uuid.NAMESPACE_OID, f"{self.at}{self.name}{self.device}")
        event = contract.new_event(
            source=source, type=self.name, time=minute(self.at), data=self.data or None, id=str(id_)
        )
        return _message(Leaf.EVENT, contract.encode_event(event))


def _message(leaf: Leaf, payload: bytes) -> Message:
    topic = contract.topic(GATEWAY, leaf)
    return Message(topic=topic, payload=payload, qos=1, retain=False, dup=False, packet_id=1, oversize=0)


@dataclass
class RuleHub:
    """One hub's intake and timers."""

    intake: Intake
    timers: Timers
    confirming: Confirming

    async def hear(self, said: Sequence[Heard]) -> None:
        events = [s.message() for s in said if s.value is None]
        readings = [s.message() for s in said if s.value is not None]
        if events:
            await event_lane(self.intake, Leaf.EVENT)(events)
        if readings:
            await shared_telemetry_lane(self.intake)(readings)


async def add_fleet(pool: Pool, count: int = 3) -> None:
    await pool.execute("insert into gateways (gateway) values ($1)", GATEWAY)
    await pool.executemany(
        "insert into devices (source, gateway, kind, name, sector, place)"
        " values ($1, $2, 'other', $1, 'NORTE', 'Plaza')",
        [(contract.device_urn(f"d{i}"), GATEWAY) for i in range(1, count + 1)],
    )


async def hub_on(pool: Pool, clock: VirtualClock, rules: str) -> RuleHub:
    """A hub that has just started: what it knows is in the database or in the rules' text."""
    registry, metrics = Registry(), Metrics()
    await registry.load(pool)

    async def react(connection: Connection, findings: Sequence[Finding], now: datetime) -> Callable[[], None]:
        await notify.enqueue_for(connection, await alerts.receive(connection, findings, now), now)
        return lambda: None

    work = RuleWork(load_rules({"r.yaml": rules}), metrics)
    intake = Intake(
        pool=pool,
        registry=registry,
        rules=work,
        react=react,
        send_receipt=lambda _gateway, _receipt: None,
        telemetry=PostgresTelemetry(),
        offsets=ClockOffsets(),
        presence=Presence(),
        metrics=metrics,
        clock=clock,
    )
    await intake.load()
    timers = Timers(pool=pool, work=work, react=react, clock=clock, listening_since=lambda: START)
    return RuleHub(intake, timers, Confirming(pool=pool, react=react, clock=clock))


_NEXT_DUE = """
    select min(due_at) from (select due_at from rule_states union all select due_at from alert_questions) d
    where due_at <= $1
"""


async def pass_time(pool: Pool, clock: VirtualClock, hubs: Sequence[RuleHub], to: datetime) -> None:
    """Let the time pass: whenever a timer is due, all hubs look for it."""
    while True:
        due_at = await pool.fetchval(_NEXT_DUE, to)
        if due_at is None:
            break
        await clock.advance(max(0.0, (due_at - clock.now()).total_seconds()))
        for hub in hubs:
            await hub.timers.fire_due()
            await hub.confirming.decide_due()
    await clock.advance(max(0.0, (to - clock.now()).total_seconds()))
