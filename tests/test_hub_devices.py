"""Registry, status, supervision, commands and the console's reads, on a real PostgreSQL."""

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator, Coroutine, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from edge import contract
from edge.contract import Command, CommandResult, ContractError, ResultState, State, Status, device_urn
from hub.alerts.finding import Finding
from hub.database import Pool, connect, listen_loop
from hub.devices import commands, service, silence, supervision
from hub.devices.importing import import_bytes
from hub.devices.registry import Device, Registry, kind_of
from hub.devices.service import RefusalEntry
from hub.devices.silence import Sighting, age_text, judge, silent_devices
from hub.devices.status import apply_status
from tests.fakes import VirtualClock, eventually

NOW = datetime(2026, 11, 24, 0, 4, tzinfo=UTC)
LIST = """device,gateway,kind,name,place,sector,silent_after_s
boton-1,gw-a,panic_button,Botón Los Boldos 12,Los Boldos 12,NORTE,180
boton-2,gw-a,panic_button,Botón Los Boldos 14,Los Boldos 14,NORTE,180
rio,gw-b,river_level,Río en el puente,Puente,SUR,600
"""


@contextlib.asynccontextmanager
async def running(loop: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    task = asyncio.create_task(loop)
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def a_fleet(pool: Pool, text: str = LIST) -> dict[str, Device]:
    """Import the list; devices by the short name."""
    report = await import_bytes(pool, "list.csv", text.encode())
    assert not report.problems
    registry = Registry()
    await registry.load(pool)
    names = [line.split(",")[0] for line in text.splitlines()[1:]]
    names += sorted({line.split(",")[1] for line in text.splitlines()[1:]})
    found = {name: registry.device(device_urn(name)) for name in names}
    return {name: device for name, device in found.items() if device is not None}


# ----------------------------------------------------------------------------------------- registry


async def test_the_snapshot_knows_each_device_and_its_owner(pool: Pool) -> None:
    await a_fleet(pool)
    registry = Registry()
    assert registry.device(device_urn("boton-1")) is None
    await registry.load(pool)
    device = registry.device(device_urn("boton-1"))
    assert device is not None
    assert (device.kind, device.name, device.sector) == ("panic_button", "Botón Los Boldos 12", "NORTE")
    assert registry.owner_of(device_urn("rio")) == "gw-b"
    assert registry.owner_of(device_urn("nobody")) is None
    assert registry.knows_gateway("gw-a")
    assert not registry.knows_gateway("gw-c")
    # the two gateways are devices themselves
    assert (registry.device_count, registry.gateway_count) == (5, 2)


async def test_an_import_reaches_the_snapshot_through_notify(pool: Pool, dsn: str) -> None:
    registry, clock = Registry(), VirtualClock()
    await registry.load(pool)
    channels = {"devices": registry.on_notify}
    async with running(listen_loop(dsn, channels)), running(registry.reload_loop(pool, clock)):
        await clock.sleeping()  # the renewed LISTEN made it reload once
        await a_fleet(pool)
        assert registry.gateway_count == 0
        await clock.advance(1)
        await eventually(lambda: registry.owner_of(device_urn("boton-1")) == "gw-a")


async def test_a_reload_outlives_a_database_that_went_away(dsn: str, pool: Pool) -> None:
    await a_fleet(pool)
    other = await connect(dsn, max_size=1)
    registry, clock = Registry(), VirtualClock()
    async with running(registry.reload_loop(other, clock)):
        await pool.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where datname = current_database() and pid <> pg_backend_pid()"
        )
        registry.on_notify("")
        await clock.sleeping()
        await clock.advance(1)
        await eventually(lambda: registry.gateway_count == 2)
    other.terminate()


async def test_adoption_takes_in_gateway_and_device_once(pool: Pool) -> None:
    registry = Registry()
    device = await registry.adopt(pool, "lab-1", device_urn("b1"), "panic.pressed")
    again = await registry.adopt(pool, "lab-1", device_urn("b1"), "gate.opened")
    assert isinstance(device, Device)
    assert again == device == registry.device(device_urn("b1"))
    assert (device.kind, device.adopted, device.gateway) == ("panic_button", True, "lab-1")
    own = registry.device(device_urn("lab-1"))
    assert own is not None
    assert own.kind == "gateway"
    assert await registry.adopt(pool, "lab-1") == own
    assert await pool.fetchval("select adopted from gateways where gateway = 'lab-1'")
    assert await pool.fetchval("select count(*) from devices") == 2


async def test_a_device_belongs_to_whoever_brought_it_first(pool: Pool) -> None:
    registry = Registry()
    await registry.adopt(pool, "lab-1", "urn:x:1")
    assert await registry.adopt(pool, "lab-2", "urn:x:1") == "foreign_device"
    assert registry.owner_of("urn:x:1") == "lab-1"
    assert registry.knows_gateway("lab-2")


@pytest.mark.parametrize("source", ["", "x" * 256, "urn:x:\x00"])
async def test_a_source_that_no_row_can_hold_is_not_adopted(pool: Pool, source: str) -> None:
    registry = Registry()
    assert await registry.adopt(pool, "lab-1", source) == "unknown_device"
    assert not registry.knows_gateway("lab-1")


async def test_many_adopt_the_same_devices_at_once(pool: Pool) -> None:
    """Two hubs, four gateways, the same ten devices in opposite orders: one owner each, no deadlock."""
    hubs = [Registry(), Registry()]
    sources = [f"urn:x:{n}" for n in range(10)]
    orders = [sources, sources[::-1], sources[5:] + sources[:5], sources[::2] + sources[1::2]]
    answers = await asyncio.gather(
        *(
            hub.adopt(pool, f"lab-{n}", source)
            for n, order in enumerate(orders)
            for source in order
            for hub in hubs
        )
    )
    owned = {device for device in answers if isinstance(device, Device)}
    assert len(owned) == 10
    assert sum(answer == "foreign_device" for answer in answers) == 60
    assert await pool.fetchval("select count(*) from devices where kind = 'gateway'") == 4
    for hub in hubs:
        await hub.load(pool)
        assert {hub.device(source) for source in sources} == owned


async def test_an_adoption_that_is_rolled_back_leaves_no_trace(pool: Pool) -> None:
    registry = Registry()
    async with pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        device = await registry.adopt(connection, "lab-1", "urn:x:1")
        assert isinstance(device, Device)
        await transaction.rollback()
    assert registry.device("urn:x:1") is None
    assert not registry.knows_gateway("lab-1")


@pytest.mark.parametrize(
    ("hint", "kind"),
    [
        ("panic.pressed", "panic_button"),
        ("camera.moved", "camera"),
        ("level", "river_level"),
        ("weird.thing", "other"),
        ("", "other"),
    ],
)
def test_the_first_word_tells_the_kind(hint: str, kind: str) -> None:
    assert kind_of(hint) == kind


# ------------------------------------------------------------------------------------------- status


def a_status(epoch: int, state: State = State.ONLINE, bootid: str = "boot-1") -> Status:
    return Status(state=state, bootid=bootid, epoch=epoch, version="0.1.0")


async def gateway_state(pool: Pool, gateway: str = "gw-a") -> tuple[str, int]:
    row = await pool.fetchrow("select state, epoch from gateways where gateway = $1", gateway)
    assert row is not None
    return row["state"], row["epoch"]


async def test_a_will_that_a_newer_birth_overtook_is_ignored(pool: Pool) -> None:
    await a_fleet(pool)
    async with pool.acquire() as connection:
        assert await apply_status(connection, "gw-a", a_status(7), NOW)
        assert not await apply_status(connection, "gw-a", a_status(6, State.OFFLINE), NOW)
        assert await gateway_state(pool) == ("online", 7)
        assert await apply_status(connection, "gw-a", a_status(7, State.OFFLINE), NOW)
        assert await gateway_state(pool) == ("offline", 7)
        assert await apply_status(connection, "gw-a", a_status(8), NOW)
        assert await gateway_state(pool) == ("online", 8)


async def test_a_retained_repeat_changes_nothing(pool: Pool) -> None:
    await a_fleet(pool)
    async with pool.acquire() as connection:
        await apply_status(connection, "gw-a", a_status(1), NOW)
        assert not await apply_status(connection, "gw-a", a_status(1), NOW + timedelta(hours=1))
    assert await pool.fetchval("select status_at from gateways where gateway = 'gw-a'") == NOW


async def test_a_gateway_with_a_new_card_counts_from_one_and_is_believed(pool: Pool) -> None:
    await a_fleet(pool)
    async with pool.acquire() as connection:
        await apply_status(connection, "gw-a", a_status(90), NOW)
        assert not await apply_status(connection, "gw-a", a_status(89), NOW)
        assert await apply_status(connection, "gw-a", a_status(1, bootid="boot-2"), NOW)
    assert await gateway_state(pool) == ("online", 1)


async def test_hostile_status_fields_are_bounded(pool: Pool) -> None:
    await a_fleet(pool)
    status = Status(state=State.ONLINE, bootid="b\x00" * 500, epoch=2**63 - 1, version="v" * 9000)
    async with pool.acquire() as connection:
        assert await apply_status(connection, "gw-a", status, NOW)
        assert not await apply_status(connection, "gw-unknown", status, NOW)
        for epoch in (-1, 2**63):
            with pytest.raises(ContractError, match="epoch"):
                await apply_status(connection, "gw-a", a_status(epoch), NOW)
    assert await pool.fetchval("select max(length(version)) from gateways") == 64


async def test_a_change_of_state_is_told_on_devices_state(pool: Pool, dsn: str) -> None:
    await a_fleet(pool)
    heard: list[str] = []
    async with running(listen_loop(dsn, {"devices_state": heard.append})):
        await eventually(lambda: heard == [""])
        async with pool.acquire() as connection:
            await apply_status(connection, "gw-a", a_status(1), NOW)
        await eventually(lambda: heard == ["", "gw-a"])


# ------------------------------------------------------------------------------------------ silence

LONG_AGO = NOW - timedelta(days=1)


def a_sighting(
    device_id: int, seen_s_ago: float, *, kind: str = "camera", gateway: str = "gw-a", limit_s: int = 180
) -> Sighting:
    return Sighting(
        device_id=device_id,
        gateway=gateway,
        gateway_name="",
        kind=kind,
        name=f"Nombre {device_id}",
        source=f"urn:x:{device_id}",
        place="Lugar",
        sector="NORTE",
        latitude=None,
        longitude=None,
        watch_group="boldos",
        silent_after_s=limit_s,
        last_seen_at=NOW - timedelta(seconds=seen_s_ago),
    )


def keys(findings: Sequence[Finding]) -> list[str]:
    return [finding.dedup_key for finding in findings]


def test_a_silent_device_is_a_finding_that_people_understand() -> None:
    rows = [a_sighting(1, 200, kind="panic_button"), a_sighting(2, 1)]
    (finding,) = silent_devices(rows, NOW, LONG_AGO)
    assert finding.summary == "Sin señal hace 3 min: Nombre 1"
    assert (finding.rule, finding.kind, finding.priority) == ("device_silent", "device_silent", 2)
    assert finding.dedup_key == "device_silent:1"
    assert finding.happened_at == NOW - timedelta(seconds=20)
    assert (finding.device_id, finding.watch_group, finding.place) == (1, "boldos", "Lugar")


def test_silence_begins_at_the_limit_and_not_before() -> None:
    speaks = a_sighting(2, 0)
    assert keys(silent_devices([a_sighting(1, 180), speaks], NOW, LONG_AGO)) == ["device_silent:1"]
    assert silent_devices([a_sighting(1, 179.999), speaks], NOW, LONG_AGO) == []


def test_silence_counts_only_while_the_hub_was_listening() -> None:
    rows = [a_sighting(1, 80_000), a_sighting(2, 0)]
    assert silent_devices(rows, NOW, NOW - timedelta(seconds=179)) == []
    assert keys(silent_devices(rows, NOW, NOW - timedelta(seconds=180))) == ["device_silent:1"]


def test_a_gateway_whose_devices_are_all_silent_is_one_finding() -> None:
    rows = [
        a_sighting(1, 300, kind="panic_button"),
        a_sighting(2, 400),
        a_sighting(3, 300, kind="gateway"),
        a_sighting(4, 300, gateway="gw-b"),
        a_sighting(5, 0, gateway="gw-b"),
    ]
    found = judge(rows, NOW, LONG_AGO)
    assert keys(found.findings) == ["gateway_silent:gw-a", "device_silent:4"]
    assert found.keys == {"gateway_silent:gw-a", "device_silent:1", "device_silent:2", "device_silent:4"}
    assert found.findings[0].summary == "Sin señal hace 5 min: equipo Nombre 3 y sus 2 dispositivos"
    assert found.findings[0].priority == 2  # a panic button is among them


def test_a_gateway_is_missed_at_its_own_limit_though_its_sensors_report_rarely() -> None:
    rows = [a_sighting(1, 200, kind="gateway"), a_sighting(2, 200, limit_s=21_600)]
    assert keys(silent_devices(rows, NOW, LONG_AGO)) == ["gateway_silent:gw-a"]


def test_a_gateway_whose_devices_speak_is_alive_without_health_reports() -> None:
    assert silent_devices([a_sighting(1, 9_000, kind="gateway"), a_sighting(2, 3)], NOW, LONG_AGO) == []


def test_the_only_device_ever_heard_of_a_gateway_speaks_for_itself() -> None:
    assert keys(silent_devices([a_sighting(1, 300)], NOW, LONG_AGO)) == ["device_silent:1"]
    lone = silent_devices([a_sighting(1, 300, kind="gateway")], NOW, LONG_AGO)
    assert keys(lone) == ["gateway_silent:gw-a"]
    assert lone[0].summary == "Sin señal hace 5 min: equipo Nombre 1"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "0 s"),
        (59.9, "59 s"),
        (60, "1 min"),
        (3_599, "59 min"),
        (7_200, "2 h"),
        (86_400, "1 día"),
        (200_000, "2 días"),
    ],
)
def test_ages_read_as_people_say_them(seconds: float, text: str) -> None:
    assert age_text(timedelta(seconds=seconds)) == text


# -------------------------------------------------------------------------------------- supervision


class Alerts:
    """Keeps what supervision tells."""

    def __init__(self) -> None:
        self.opened: list[str] = []
        self.cleared: list[str] = []
        self.is_away = False

    async def __call__(self, findings: Sequence[Finding], cleared: Sequence[str]) -> None:
        if self.is_away:
            raise asyncpg.InterfaceError("away")
        self.opened += keys(findings)
        self.cleared += cleared


async def touch(pool: Pool, seen: dict[int, datetime], battery: dict[int, float] | None = None) -> None:
    async with pool.acquire() as connection:
        await supervision.touch(connection, seen, battery or {})


async def last_seen(pool: Pool, device: Device) -> Any:
    return await pool.fetchrow(
        "select last_seen_at, battery from device_state where device_id = $1", device.device_id
    )


async def test_touch_never_turns_time_back_and_keeps_the_last_battery(pool: Pool) -> None:
    fleet = await a_fleet(pool)
    one, two = fleet["boton-1"], fleet["boton-2"]
    await touch(pool, {one.device_id: NOW, two.device_id: NOW}, {one.device_id: 0.8})
    await touch(pool, {one.device_id: NOW - timedelta(hours=1)})
    assert tuple(await last_seen(pool, one)) == (NOW, 0.8)
    await touch(pool, {one.device_id: NOW + timedelta(seconds=1)}, {one.device_id: 0.79, 999_999: 0.1})
    assert tuple(await last_seen(pool, one)) == (NOW + timedelta(seconds=1), 0.79)
    assert tuple(await last_seen(pool, two)) == (NOW, None)


async def test_a_deleted_device_does_not_cost_the_others_their_sign_of_life(pool: Pool) -> None:
    fleet = await a_fleet(pool)
    await touch(pool, {999_999: NOW, fleet["rio"].device_id: NOW})
    assert await pool.fetchval("select count(*) from device_state") == 1
    await touch(pool, {})


async def test_batches_that_overlap_do_not_deadlock(pool: Pool) -> None:
    lines = "".join(f"b{n},gw-a\n" for n in range(300))
    fleet = await a_fleet(pool, f"device,gateway\n{lines}")
    ids = [device.device_id for device in fleet.values()]
    orders = [ids, ids[::-1], ids[150:] + ids[:150]]
    moments = [NOW + timedelta(seconds=n) for n in range(20)]
    await asyncio.gather(*(touch(pool, dict.fromkeys(order, at)) for at in moments for order in orders))
    assert await pool.fetchval("select min(last_seen_at) from device_state") == moments[-1]


async def test_the_loop_tells_of_a_silence_once_and_of_its_end_once(pool: Pool) -> None:
    fleet = await a_fleet(pool)
    clock, alerts = VirtualClock(NOW), Alerts()
    one, two = fleet["boton-1"].device_id, fleet["boton-2"].device_id

    async def beats(*ids: int, rounds: int) -> None:
        for _ in range(rounds):
            await touch(pool, dict.fromkeys(ids, clock.now()))
            await clock.advance(supervision.CADENCE_S)
            await clock.sleeping()

    await touch(pool, {one: NOW, two: NOW})
    async with running(supervision.supervision_loop(pool, clock, lambda: NOW, alerts)):
        await clock.sleeping()
        await beats(two, rounds=35)
        assert alerts.opened == []
        await beats(two, rounds=10)
        assert (alerts.opened, alerts.cleared) == ([f"device_silent:{one}"], [])
        # the other one too: now it is the gateway; what was told before is neither ended nor repeated
        # (never seen, so no word of them: the river gauge and both gateways)
        await beats(rounds=40)
        assert alerts.opened[1:] == ["gateway_silent:gw-a"]
        assert alerts.cleared == []
        # one of the two comes back: the gateway lives, the other device is what is missing
        await beats(one, rounds=3)
        assert alerts.opened[2:] == [f"device_silent:{two}"]
        assert alerts.cleared == [f"device_silent:{one}", "gateway_silent:gw-a"]
        await beats(one, two, rounds=3)
        assert len(alerts.opened) == 3
        assert alerts.cleared[2:] == [f"device_silent:{two}"]


async def test_a_hub_that_does_not_listen_misses_nobody(pool: Pool) -> None:
    fleet = await a_fleet(pool)
    clock, alerts = VirtualClock(NOW), Alerts()
    since: datetime | None = None
    await touch(pool, {fleet["rio"].device_id: NOW - timedelta(days=1)})
    async with running(supervision.supervision_loop(pool, clock, lambda: since, alerts)):
        for _ in range(3):
            await clock.sleeping()
            await clock.advance(300)
        assert alerts.opened == []
        since = clock.now()
        await clock.sleeping()
        await clock.advance(599)
        await clock.sleeping()
        assert alerts.opened == []
        await clock.advance(supervision.CADENCE_S)
        await eventually(lambda: alerts.opened == [f"device_silent:{fleet['rio'].device_id}"])


async def test_a_finding_that_could_not_be_told_is_told_again(pool: Pool) -> None:
    fleet = await a_fleet(pool)
    clock, alerts = VirtualClock(NOW), Alerts()
    await touch(pool, {fleet["rio"].device_id: NOW - timedelta(days=1)})
    async with running(supervision.supervision_loop(pool, clock, lambda: LONG_AGO, alerts)):
        alerts.is_away = True
        await clock.sleeping()
        await clock.advance(supervision.CADENCE_S)
        await clock.sleeping()
        alerts.is_away = False
        await clock.advance(supervision.CADENCE_S)
        await eventually(lambda: alerts.opened == [f"device_silent:{fleet['rio'].device_id}"])


async def test_after_a_restart_open_silences_are_neither_repeated_nor_forgotten(pool: Pool) -> None:
    fleet = await a_fleet(pool)
    rio, boton = fleet["rio"].device_id, fleet["boton-1"].device_id
    for n, device_id in enumerate((rio, boton)):
        await pool.execute(
            "insert into alerts (alert_id, code, kind, priority, state, dedup_key, device_id, summary, rule,"
            " happened_at, opened_at, last_event_at)"
            " values ($1, $2, 'device_silent', 3, 'received', $3, $4, '', 'device_silent', $5, $5, $5)",
            contract.uuid7(),
            f"A{n}",
            silence.device_key(device_id),
            device_id,
            NOW,
        )
    clock, alerts = VirtualClock(NOW), Alerts()
    await touch(pool, {rio: NOW - timedelta(days=1), boton: NOW})
    async with running(supervision.supervision_loop(pool, clock, lambda: LONG_AGO, alerts)):
        await clock.sleeping()
        await clock.advance(supervision.CADENCE_S)
        await eventually(lambda: alerts.cleared == [f"device_silent:{boton}"])
        await clock.sleeping()
    assert alerts.opened == []


# ----------------------------------------------------------------------------------------- commands


class Broker:
    """Takes what is published, as the hub's MQTT connection does; can refuse or hang up."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, Command, int, int]] = []
        self.error: BaseException | None = None

    async def publish(self, topic: str, payload: bytes, qos: int, expiry_s: int) -> None:
        if self.error is not None:
            raise self.error
        self.taken.append((topic, contract.decode(Command, payload), qos, expiry_s))


async def queued(pool: Pool, clock: VirtualClock, *, name: str = "siren", lasts_s: float = 60) -> uuid.UUID:
    async with pool.acquire() as connection, connection.transaction():
        return await commands.queue_command(
            connection, "gw-a", name, {"on": True}, clock.now() + timedelta(seconds=lasts_s), clock.now()
        )


async def command_state(pool: Pool, command_id: uuid.UUID) -> str:
    return str(await pool.fetchval("select state from commands where command_id = $1", command_id))


async def test_a_queued_command_reaches_its_gateway_at_once(pool: Pool, dsn: str) -> None:
    clock, broker, wake = VirtualClock(NOW), Broker(), asyncio.Event()
    channels = {"commands": lambda _: wake.set()}
    async with (
        running(listen_loop(dsn, channels)),
        running(commands.commands_loop(pool, broker.publish, clock, wake)),
    ):
        command_id = await queued(pool, clock)
        await eventually(lambda: broker.taken)
        topic, command, qos, expiry_s = broker.taken[0]
        assert (topic, qos, expiry_s) == ("almenara/1/gw-a/command", 1, 60)
        assert (command.id, command.name, command.arguments) == (str(command_id), "siren", {"on": True})
        assert command.expires == NOW + timedelta(seconds=60)

        async def is_sent() -> bool:
            return await command_state(pool, command_id) == "sent"

        await eventually(is_sent)


async def test_the_loop_finds_stalled_work_without_being_woken(pool: Pool) -> None:
    clock, broker = VirtualClock(NOW), Broker()
    async with running(commands.commands_loop(pool, broker.publish, clock, asyncio.Event())):
        await clock.sleeping()
        await queued(pool, clock)
        assert broker.taken == []
        await clock.advance(commands.POLL_S)
        await eventually(lambda: len(broker.taken) == 1)


async def test_an_expired_command_is_never_sent(pool: Pool) -> None:
    clock, broker = VirtualClock(NOW), Broker()
    command_id = await queued(pool, clock, lasts_s=5)
    await clock.advance(5)
    assert await commands.send_due(pool, broker.publish, clock) == 0
    assert broker.taken == []
    assert await command_state(pool, command_id) == "expired"
    assert await pool.fetchval("select ended_at from commands") == clock.now()


async def test_a_hub_that_died_while_sending_leaves_the_command_to_another(pool: Pool) -> None:
    clock, broker = VirtualClock(NOW), Broker()
    await queued(pool, clock)
    broker.error = asyncio.CancelledError()
    with pytest.raises(asyncio.CancelledError):
        await commands.send_due(pool, broker.publish, clock)
    broker.error = None
    assert await commands.send_due(pool, broker.publish, clock) == 0  # still under the lease
    await clock.advance(commands.LEASE_S)
    assert await commands.send_due(pool, broker.publish, clock) == 1
    assert len(broker.taken) == 1


@pytest.mark.parametrize("error", [commands.PublishError("refused"), ConnectionResetError(), TimeoutError()])
async def test_a_broker_that_is_away_is_tried_again(pool: Pool, error: Exception) -> None:
    clock, broker = VirtualClock(NOW), Broker()
    command_id = await queued(pool, clock)
    broker.error = error
    assert await commands.send_due(pool, broker.publish, clock) == 1
    assert await command_state(pool, command_id) == "queued"
    broker.error = None
    await clock.advance(commands.RETRY_S)
    await commands.send_due(pool, broker.publish, clock)
    assert await command_state(pool, command_id) == "sent"


async def test_two_hubs_send_each_command_once(pool: Pool) -> None:
    clock, broker = VirtualClock(NOW), Broker()
    ids = {str(await queued(pool, clock)) for _ in range(70)}
    await asyncio.gather(*(commands.send_due(pool, broker.publish, clock) for _ in range(4)))
    assert sorted(command.id for _, command, _, _ in broker.taken) == sorted(ids)


async def a_result(pool: Pool, gateway: str, id: str, state: ResultState, detail: str = "") -> bool:
    async with pool.acquire() as connection:
        result = CommandResult(id=id, state=state, detail=detail)
        return await commands.apply_result(connection, gateway, result, NOW)


async def test_answers_move_a_command_forward_only(pool: Pool) -> None:
    clock, broker = VirtualClock(NOW), Broker()
    command_id = await queued(pool, clock)
    await commands.send_due(pool, broker.publish, clock)
    told = str(command_id)
    assert await a_result(pool, "gw-a", told, ResultState.ACCEPTED)
    assert not await a_result(pool, "gw-a", told, ResultState.ACCEPTED)
    assert await a_result(pool, "gw-a", told, ResultState.FAILED, "sin\x00 sirena" + "." * 900)
    for late in ResultState:
        assert not await a_result(pool, "gw-a", told, late)
    row = await pool.fetchrow("select state, detail, ended_at from commands")
    assert row is not None
    assert (row["state"], row["detail"][:10], len(row["detail"]), row["ended_at"]) == (
        "failed",
        "sin sirena",
        500,
        NOW,
    )


async def test_only_the_gateway_that_was_asked_may_answer(pool: Pool) -> None:
    clock = VirtualClock(NOW)
    command_id = await queued(pool, clock)
    assert not await a_result(pool, "gw-b", str(command_id), ResultState.DONE)
    assert not await a_result(pool, "gw-a", "no uuid", ResultState.DONE)
    assert not await a_result(pool, "gw-a", str(uuid.uuid4()), ResultState.DONE)
    assert await command_state(pool, command_id) == "queued"


async def test_an_answer_that_overtakes_the_mark_sent_stays(pool: Pool) -> None:
    clock = VirtualClock(NOW)
    command_id = await queued(pool, clock)

    async def publish(topic: str, payload: bytes, qos: int, expiry_s: int) -> None:
        assert await a_result(pool, "gw-a", str(command_id), ResultState.DONE)

    await commands.send_due(pool, publish, clock)
    assert await command_state(pool, command_id) == "done"


# ------------------------------------------------------------------------------------------ service


async def test_the_device_list_tells_who_is_online_silent_or_was_never_heard(pool: Pool) -> None:
    fleet = await a_fleet(pool)
    await Registry().adopt(pool, "lab-1", device_urn("b1"), "panic.pressed")
    one, two = fleet["boton-1"].device_id, fleet["boton-2"].device_id
    await touch(pool, {one: NOW, two: NOW - timedelta(seconds=180)}, {one: 0.5})
    rows = await service.list_devices(pool, now=NOW)
    by_name = {row.source: row for row in rows}
    first = by_name[device_urn("boton-1")]
    assert (first.state, first.battery, first.last_seen_at) == ("online", 0.5, NOW)
    assert (first.gateway, first.gateway_state, first.place) == ("gw-a", "unknown", "Los Boldos 12")
    assert by_name[device_urn("boton-2")].state == "silent"
    assert by_name[device_urn("rio")].state == "never"
    assert by_name[device_urn("b1")].adopted

    async def sources(**filters: Any) -> list[str]:
        return [row.source for row in await service.list_devices(pool, now=NOW, **filters)]

    assert await sources(state="silent") == [device_urn("boton-2")]
    assert await sources(state="adopted") == [device_urn("b1"), device_urn("lab-1")]
    assert await sources(sector="SUR") == [device_urn("rio")]
    assert await sources(sector="NORTE", state="online") == [device_urn("boton-1")]
    counts = await service.count_fleet(pool, now=NOW)
    assert (counts.devices, counts.online, counts.silent, counts.never, counts.adopted) == (7, 1, 1, 5, 2)
    assert (counts.gateways, counts.gateways_online) == (3, 0)


async def test_the_list_comes_in_pages_that_join_without_gaps(pool: Pool) -> None:
    await a_fleet(pool)
    everyone = await service.list_devices(pool)
    pages, after = [], None
    while page := await service.list_devices(pool, limit=2, after=after):
        assert len(page) <= 2
        pages += page
        after = page[-1].device_id
    assert pages == everyone
    first = await service.list_gateways(pool, limit=1)
    second = await service.list_gateways(pool, limit=5, after=first[0].gateway)
    assert [(g.gateway, g.device_count) for g in first + second] == [("gw-a", 3), ("gw-b", 2)]


async def test_refusals_are_counted_by_gateway_and_cause(pool: Pool) -> None:
    later = NOW + timedelta(seconds=9)
    await service.record_refusals(pool, [])
    await service.record_refusals(
        pool,
        [
            RefusalEntry("gw-a", "malformed", 2, NOW, "type: newest"),
            RefusalEntry("gw-a", "malformed", 1, NOW, "type: older", b"older"),
            RefusalEntry("gw-z", "unknown_gateway", 1, NOW, "nul \x00 half \ud800"),
        ],
    )
    async with pool.acquire() as connection:
        await service.record_refusals(connection, [RefusalEntry("gw-a", "malformed", 5, later, "last")])
    rows = await service.list_refusals(pool)
    assert [(r.gateway, r.cause, r.count) for r in rows] == [
        ("gw-a", "malformed", 8),
        ("gw-z", "unknown_gateway", 1),
    ]
    assert (rows[0].first_at, rows[0].last_at, rows[0].detail) == (NOW, later, "last")
    assert rows[1].detail == "nul  half ?"


async def test_a_sample_is_bounded(pool: Pool) -> None:
    await service.record_refusals(pool, [RefusalEntry("gw-a", "malformed", 1, NOW, "d" * 9000, b"x" * 9000)])
    (row,) = await service.list_refusals(pool)
    assert (len(row.sample), len(row.detail)) == (512, 500)


async def test_invented_gateways_cannot_fill_the_table(pool: Pool) -> None:
    count = service.MAX_REFUSAL_ROWS + 300
    for start in range(0, count, 700):
        await service.record_refusals(
            pool,
            [
                RefusalEntry(f"gw-{n}", "unknown_gateway", 1, NOW)
                for n in range(start, min(start + 700, count))
            ],
        )
    await service.record_refusals(pool, [RefusalEntry("gw-1", "unknown_gateway", 1, NOW)])
    rows = {r["gateway"]: r["count"] for r in await pool.fetch("select gateway, count from refusals")}
    assert len(rows) <= service.MAX_REFUSAL_ROWS
    assert rows["gw-1"] == 2  # those that are known keep their own row
    assert sum(rows.values()) == count + 1
