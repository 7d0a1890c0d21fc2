"""The short way of a press, one statement, does what the long way does; where it does not hold, nothing."""

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from fakes import VirtualClock
from test_hub_intake import GATEWAY, message

from edge import contract
from edge.contract import Leaf
from hub.alerts import service as alerts
from hub.alerts.silences import Silences, Sort
from hub.database import Pool
from hub.devices.registry import Registry
from hub.intake.clock_offsets import ClockOffsets
from hub.intake.pipeline import Intake, event_lane
from hub.intake.presence import Presence
from hub.intake.reaction import Reaction
from hub.metrics import Metrics
from hub.notify import service as notify
from hub.notify.policy_file import PolicyBook
from hub.notify.transports.file import FileTransport
from hub.rule_work.work import RuleWork
from hub.rules.library import ready_rules
from hub.telemetry.postgres import PostgresTelemetry

PLACE = "Los Boldos 12"


@dataclass
class Hub:
    """One hub's intake and senders; two of them on one database share the work."""

    intake: Intake
    senders: notify.Senders | None
    short: list[bool]
    """For each try of the short way, whether it held."""

    async def press(self, button: str, *, id: str | None = None, **data: Any) -> str:
        event = contract.new_event(
            source=contract.device_urn(button),
            type="panic.pressed",
            time=self.intake.clock.now(),
            data={"held_s": 2.1} | data,
            **({} if id is None else {"id": id}),
        )
        await event_lane(self.intake, Leaf.ALARM)([message(Leaf.ALARM, contract.encode_event(event))])
        return event.id


@pytest.fixture
async def registered(pool: Pool) -> Pool:
    await pool.execute("insert into gateways (gateway) values ($1)", GATEWAY)
    await pool.executemany(
        "insert into devices (source, gateway, kind, name, place, sector, watch_group)"
        " values ($1, $2, 'panic_button', $3, $4, 'LOS BOLDOS', 'jvr-boldos')",
        [(contract.device_urn(f"boton-{n}"), GATEWAY, f"Botón {n}", PLACE) for n in range(1, 6)],
    )
    await pool.executemany(
        "insert into contacts (name, phone, watch_group) values ($1, $2, 'jvr-boldos')",
        [("Ana", "+56987654321"), ("Luis", "+56987654322")],
    )
    return pool


async def hub_on(pool: Pool, folder: Path, *, is_short: bool = True, sends: bool = False) -> Hub:
    registry, clock, short = Registry(), VirtualClock(), list[bool]()
    await registry.load(pool)
    silences, wake = Silences(), asyncio.Event()
    await silences.load(pool, clock.now())
    transport = FileTransport(folder / "sms.jsonl")
    senders = notify.Senders(pool, {"sms": transport}, clock, "hub") if sends else None
    reaction = Reaction(
        settings=notify.NotifySettings(duty_phone="+56987654320"),
        policies=PolicyBook(folder / "policies.yaml"),
        silences=silences,
        senders=senders,
        wake=wake.set,
        metrics=Metrics(),
    )

    async def at_once(*arguments: Any) -> Any:
        tell = await reaction.at_once(*arguments)
        short.append(tell is not None)
        return tell

    intake = Intake(
        pool=pool,
        registry=registry,
        rules=RuleWork(ready_rules()),
        react=reaction,
        at_once=at_once if is_short else None,
        send_receipt=lambda *_: None,
        telemetry=PostgresTelemetry(),
        offsets=ClockOffsets(),
        presence=Presence(),
        metrics=Metrics(),
        clock=clock,
    )
    await intake.load()
    return Hub(intake, senders, short)


async def whole(pool: Pool) -> list[list[tuple[object, ...]]]:
    """Everything that a press leaves, but for ids and moments."""
    statements = (
        "select type, gateway, data::text, time_quality from events order by id",
        """select kind, priority, state, dedup_key, place, sector, summary, rule, event_count, is_drill,
             parent_id is null, rule_version from alerts order by dedup_key""",
        "select move, from_state, to_state, note, source_event is null from alert_log order by log_id",
        """select dedup_key, n.recipient, n.transport, n.priority, n.state, n.attempts,
             length(n.text) <= 160, replace(n.text, code, '')
           from notifications n join alerts using (alert_id) order by n.created_at, dedup_key, n.recipient""",
        """select policy, stage, fired, due_at - anchor_at, dispatch_within_s, e.watch_group
           from escalations e join alerts using (alert_id) order by dedup_key""",
        "select rule, scope, version > 0, due_at from rule_states where state is not null order by 1, 2",
    )
    return [[tuple(row) for row in await pool.fetch(statement)] for statement in statements]


async def wipe(pool: Pool) -> None:
    await pool.execute("truncate events, alerts, alert_log, notifications, escalations, rule_states cascade")


async def test_it_leaves_what_the_long_way_leaves(registered: Pool, tmp_path: Path) -> None:
    """Two presses of one button, then two more buttons: the third makes a community alarm."""
    left = []
    for is_short in (False, True):
        hub = await hub_on(registered, tmp_path, is_short=is_short)
        for button in ("boton-1", "boton-1", "boton-2", "boton-3"):
            await hub.press(button)
        left.append(await whole(registered))
        assert hub.short == [True] * 4 * is_short
        await wipe(registered)
    assert left[0] == left[1]
    events, opened, _, texts, steps, _ = left[1]
    assert (len(events), len(opened), len(texts), len(steps)) == (4, 4, 12, 4)
    assert all(PLACE.split()[1] in str(text[-1]) for text in texts)


@pytest.mark.parametrize("is_short", [True, False])
async def test_help_from_a_silent_button_is_of_the_case_alone(
    registered: Pool, tmp_path: Path, is_short: bool
) -> None:
    """An ordinary press, but of a button whose place is where somebody in danger lives."""
    await registered.execute("update devices set kind = 'duress_button'")
    hub = await hub_on(registered, tmp_path, is_short=is_short)
    for n in range(1, 4):
        await hub.press(f"boton-{n}")
    rows = await registered.fetch("select kind, is_reserved, place, summary from alerts order by kind")
    assert [(row["kind"], row["is_reserved"]) for row in rows] == [
        ("community_alarm", False),
        *[("panic", True)] * 3,
    ]
    assert rows[0]["place"] == ""
    assert PLACE not in rows[0]["summary"]
    texts = await registered.fetch(
        "select recipient, text from notifications join alerts using (alert_id) where is_reserved"
    )
    assert {row["recipient"] for row in texts} == {"turno"}
    assert not any("PANICO" in row["text"] or "Boldos" in row["text"] for row in texts)


async def test_every_text_names_its_alert(registered: Pool, tmp_path: Path) -> None:
    hub = await hub_on(registered, tmp_path)
    await hub.press("boton-1")
    rows = await registered.fetch("select text, code from notifications join alerts using (alert_id)")
    assert len(rows) == 3
    assert all(f" {row['code']} " in row["text"] and "Φ" not in row["text"] for row in rows)


async def test_a_repeat_undoes_the_statement_and_changes_nothing(registered: Pool, tmp_path: Path) -> None:
    hub = await hub_on(registered, tmp_path)
    id_ = await hub.press("boton-1")
    before = await whole(registered)
    await hub.press("boton-1", id=id_)
    assert hub.short == [True, False]
    assert await whole(registered) == before


async def test_a_new_press_beside_a_repeat_in_one_batch(registered: Pool, tmp_path: Path) -> None:
    hub = await hub_on(registered, tmp_path)
    id_ = await hub.press("boton-1")
    events = [
        contract.new_event(
            source=contract.device_urn(f"boton-{n}"),
            type="panic.pressed",
            time=hub.intake.clock.now(),
            data={"held_s": 2.1},
            **extra,
        )
        for n, extra in ((1, {"id": id_}), (2, {}))
    ]
    batch = [message(Leaf.ALARM, contract.encode_event(event)) for event in events]
    await event_lane(hub.intake, Leaf.ALARM)(batch)
    assert hub.short == [True, False]
    assert await registered.fetchval("select count(*) from events") == 2
    assert await registered.fetchval("select count(*) from alerts") == 2


async def test_two_hubs_see_each_others_presses(registered: Pool, tmp_path: Path) -> None:
    """Each remembers the sector as it saw it last; the other's presses are never missed."""
    hubs = [await hub_on(registered, tmp_path) for _ in range(2)]
    await hubs[0].press("boton-1")
    await hubs[1].press("boton-2")
    assert not await _is_community(registered)
    await hubs[0].press("boton-3")
    assert await _is_community(registered)
    # Hub 1 had never seen the sector, hub 0 an older state of it: both looked before they judged.
    assert [hub.short for hub in hubs] == [[True, False], [False]]
    await hubs[0].press("boton-4")
    assert hubs[0].short[-1]


async def test_presses_at_one_moment_on_two_hubs(registered: Pool, tmp_path: Path) -> None:
    hubs = [await hub_on(registered, tmp_path) for _ in range(2)]
    async with asyncio.TaskGroup() as group:
        for n in range(1, 6):
            group.create_task(hubs[n % 2].press(f"boton-{n}"))
    assert await registered.fetchval("select count(*) from events") == 5
    assert await registered.fetchval("select count(*) from alerts where kind = 'panic'") == 5
    assert await _is_community(registered)


async def test_a_restart_remembers(registered: Pool, tmp_path: Path) -> None:
    first = await hub_on(registered, tmp_path)
    await first.press("boton-1")
    await first.press("boton-2")
    second = await hub_on(registered, tmp_path)
    await second.press("boton-3")
    assert second.short == [True]
    assert await _is_community(registered)


async def _is_community(pool: Pool) -> bool:
    return bool(await pool.fetchval("select count(*) from alerts where kind = 'community_alarm'"))


async def test_a_silence_takes_the_long_way(registered: Pool, tmp_path: Path) -> None:
    now = VirtualClock().now()
    await alerts.create_silence(
        registered,
        sort=Sort.SILENCE,
        author="jefe",
        reason="prueba de botones",
        starts_at=now - timedelta(hours=1),
        ends_at=now + timedelta(hours=1),
        now=now,
        sector="OTRO",
    )
    hub = await hub_on(registered, tmp_path)
    await hub.press("boton-1")
    assert hub.short == [False]
    assert await registered.fetchval("select count(*) from alerts") == 1


async def test_data_that_is_no_json_for_postgresql(registered: Pool, tmp_path: Path) -> None:
    hub = await hub_on(registered, tmp_path)
    await hub.press("boton-1", note="\ud800".encode("utf-16", "surrogatepass").decode("utf-16", "replace"))
    await hub.press("boton-2", note="\x00")
    assert await registered.fetchval("select count(*) from alerts where kind = 'panic'") == 2
    assert await registered.fetchval("select count(*) from events where data ? 'unreadable_base64'") == 1


async def test_idle_senders_get_the_texts_without_a_look_at_the_queue(
    registered: Pool, tmp_path: Path
) -> None:
    hub = await hub_on(registered, tmp_path, sends=True)
    assert hub.senders is not None
    loop = asyncio.create_task(hub.senders.run_loop(asyncio.Event()))
    try:
        await _until(lambda: hub.senders is not None and hub.senders.claim() is not None)
        await hub.press("boton-1")
        await _until_sent(registered, 3)
        rows = await registered.fetch("select attempts, state from notifications")
        assert {tuple(row) for row in rows} == {(1, "sent")}
        assert len((tmp_path / "sms.jsonl").read_text().splitlines()) == 3
    finally:
        loop.cancel()


async def dead_after_its_commit(pool: Pool, folder: Path) -> Hub:
    """A hub whose senders claimed the texts of a press and never got to send them."""
    dead = await hub_on(pool, folder, sends=True)
    assert dead.senders is not None
    for sender in dead.senders._senders.values():
        sender.is_idle = True
    await dead.press("boton-1")
    return dead


async def test_texts_of_a_hub_that_died_after_its_commit_are_sent_by_another(
    registered: Pool, tmp_path: Path
) -> None:
    """The dead hub's claim is a lease: nobody sends before its end, somebody does after it."""
    dead = await dead_after_its_commit(registered, tmp_path)
    leases = await registered.fetch("select lease_until from notifications")
    assert {row["lease_until"] for row in leases} == {
        dead.intake.clock.now() + timedelta(seconds=notify.LEASE_S)
    }
    clock = VirtualClock()
    other = notify.Senders(registered, {"sms": FileTransport(tmp_path / "other.jsonl")}, clock, "other")
    loop = asyncio.create_task(other.run_loop(asyncio.Event()))
    try:
        await _until(lambda: other.claim() is not None)
        assert not (tmp_path / "other.jsonl").exists()
        await clock.advance(notify.LEASE_S + 1)
        await _until_sent(registered, 3)
    finally:
        loop.cancel()


async def _until(is_so: Any) -> None:
    async with asyncio.timeout(60):
        while not is_so():  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.01)


async def _until_sent(pool: Pool, count: int) -> None:
    async with asyncio.timeout(60):
        while await pool.fetchval("select count(*) from notifications where state = 'sent'") < count:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_a_hub_that_starts_again_does_not_wait_for_its_own_leases(
    registered: Pool, tmp_path: Path
) -> None:
    await dead_after_its_commit(registered, tmp_path)
    again = notify.Senders(
        registered, {"sms": FileTransport(tmp_path / "again.jsonl")}, VirtualClock(), "hub"
    )
    loop = asyncio.create_task(again.run_loop(asyncio.Event()))
    try:
        await _until_sent(registered, 3)  # no time passes on this clock: no lease runs out
    finally:
        loop.cancel()


async def test_a_hub_that_is_known_to_be_dead_leaves_its_texts_at_once(
    registered: Pool, tmp_path: Path
) -> None:
    await registered.execute("insert into hubs values ('hub', now() - interval '1 s')")
    dead = await dead_after_its_commit(registered, tmp_path)
    clock = VirtualClock()
    other = notify.Senders(registered, {"sms": FileTransport(tmp_path / "other.jsonl")}, clock, "other")
    loop = asyncio.create_task(other.run_loop(asyncio.Event()))
    try:
        await _until(lambda: other.claim() is not None)
        await clock.advance(1.5)
        await _until_sent(registered, 3)
        assert clock.now() < dead.intake.clock.now() + timedelta(seconds=3)
    finally:
        loop.cancel()
