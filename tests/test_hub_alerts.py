"""Alerts: the table of moves, opening and joining, people working them, and what is read of them."""

import asyncio
import itertools
import random
import re
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import msgspec
import pytest
import pytest_asyncio
from fakes import eventually
from hypothesis import given
from hypothesis import strategies as st

from edge.contract import uuid7
from hub.alerts import service
from hub.alerts.feedback import feedback_for
from hub.alerts.finding import Finding
from hub.alerts.lifecycle import (
    FINAL,
    MOVE_LABELS,
    MOVES,
    NEEDS,
    OPEN,
    REASON_LABELS,
    STATE_LABELS,
    IllegalMoveError,
    IncompleteMoveError,
    Move,
    Reason,
    State,
    Step,
    allowed,
    apply,
    markdown,
    mermaid,
)
from hub.alerts.model import Alert
from hub.alerts.working import changed
from hub.database import Pool, persist

NOW = datetime(2026, 11, 24, 0, 4, tzinfo=UTC)  # 21:04 in Santiago
BUTTON = "urn:dev:org:32473-boton-12"


def finding(key: str = "panic:1", **changes: Any) -> Finding:
    values: dict[str, Any] = {
        "rule": "panic_pressed",
        "kind": "panic",
        "priority": 1,
        "dedup_key": key,
        "summary": "Botón de pánico: Los Boldos 12",
        "happened_at": NOW,
        "place": "Los Boldos 12",
    }
    return Finding(**(values | changes))


async def open_all(pool: Pool, *findings: Finding, now: datetime = NOW) -> list[service.Outcome]:
    async with pool.acquire() as connection, connection.transaction():
        return await service.open_or_join(connection, findings, now)


async def open_one(pool: Pool, one: Finding | None = None) -> Alert:
    [outcome] = await open_all(pool, one or finding())
    alert = await service.get(pool, outcome.alert_id)
    assert alert is not None
    return alert


async def words(pool: Pool, alert_id: uuid.UUID) -> list[str]:
    return [entry.move for entry in await service.timeline(pool, alert_id)]


# ------------------------------------------------------------------------------------- the table


def step(move: Move, **changes: Any) -> Step:
    complete: dict[str, Any] = {
        "author": "ana",
        "at": NOW,
        "note": "visto en cámara",
        "reason": Reason.ATTENDED,
        "target": str(uuid.UUID(int=1)),
    }
    return Step(move=move, **(complete | changes))


LEGAL = {
    State.RECEIVED: "acknowledge verify dispatch close refer merge assign comment",
    State.ACKNOWLEDGED: "verify dispatch close refer merge assign comment",
    State.VERIFYING: "dispatch control close refer merge assign comment",
    State.DISPATCHED: "arrive control close refer merge assign comment",
    State.ON_SCENE: "control close refer merge assign comment",
    State.CONTROLLED: "dispatch close refer merge assign comment",
    State.REFERRED: "dispatch arrive control close refer merge assign comment",
    State.CLOSED: "reopen comment",
    State.MERGED: "reopen comment",
}


@pytest.mark.parametrize(("state", "move"), list(itertools.product(State, Move)))
def test_every_state_takes_its_own_moves_and_refuses_all_others(state: State, move: Move) -> None:
    if move.value in LEGAL[state].split():
        assert apply(state, step(move)) is MOVES[state, move]
        return
    with pytest.raises(IllegalMoveError) as caught:
        apply(state, step(move))
    for word in (state.value, move.value, *LEGAL[state].split()):
        assert word in str(caught.value)
    assert caught.value.allowed == allowed(state)


@pytest.mark.parametrize(("move", "field"), list(NEEDS.items()))
def test_a_move_without_its_cause_is_refused(move: Move, field: str) -> None:
    empty = None if field == "reason" else ""
    with pytest.raises(IncompleteMoveError) as caught:
        apply(State.RECEIVED, step(move, **{field: empty}))
    assert caught.value.field == field


@pytest.mark.parametrize("move", list(Move))
def test_every_move_has_an_author(move: Move) -> None:
    state = next(state for state in State if (state, move) in MOVES)
    with pytest.raises(IncompleteMoveError, match="author"):
        apply(state, step(move, author=""))


def test_every_open_state_can_be_closed_and_every_state_is_reached() -> None:
    assert all(MOVES[state, Move.CLOSE] is State.CLOSED for state in OPEN)
    assert set(MOVES.values()) == set(State)


def test_every_word_has_a_spanish_label() -> None:
    assert set(STATE_LABELS) == set(State)
    assert set(REASON_LABELS) == set(Reason)
    assert set(MOVE_LABELS) == set(Move)
    for labels in (STATE_LABELS, REASON_LABELS, MOVE_LABELS):
        assert len(set(labels.values())) == len(labels)


def test_the_drawings_show_the_table() -> None:
    drawn = mermaid()
    for (state, move), after in MOVES.items():
        if state is not after:
            assert f"{state} --> {after}: {move}" in drawn or f"any_open --> {after}: {move}" in drawn
    rows = markdown().splitlines()
    assert len(rows) == len(State) + 2
    dispatch = rows[0].split(" | ").index("dispatch")
    assert next(r for r in rows if "**controlled**" in r).split(" | ")[dispatch] == "dispatched"


EMPTY = Alert(
    alert_id=uuid.UUID(int=7),
    code="K7",
    kind="panic",
    priority=1,
    state=State.RECEIVED,
    reason=None,
    dedup_key="panic:1",
    device_id=1,
    gateway="gw-1",
    place="",
    sector="",
    latitude=None,
    longitude=None,
    summary="Botón de pánico",
    rule="panic_pressed",
    happened_at=NOW,
    time_quality="device",
    opened_at=NOW,
    last_event_at=NOW,
    event_count=1,
    is_drill=False,
    acknowledged_at=None,
    acknowledged_by=None,
    assigned_to=None,
    merged_into=None,
    closed_at=None,
    version=1,
)


@given(st.lists(st.sampled_from(list(Move)), max_size=30))
def test_whatever_people_try_an_alert_stays_consistent(moves: list[Move]) -> None:
    alert = EMPTY
    for number, move in enumerate(moves):
        now = NOW + timedelta(seconds=number)
        if move not in allowed(alert.state):
            with pytest.raises(IllegalMoveError):
                changed(alert, step(move, at=now))
            continue
        before, alert = alert, changed(alert, step(move, at=now))
        assert alert.version == before.version + 1
        assert (alert.closed_at is not None) == (alert.state in FINAL)
        assert (alert.reason is not None) == (alert.state in FINAL)
        assert (alert.merged_into is not None) == (alert.state is State.MERGED)
        assert (alert.acknowledged_by is None) == (alert.state is State.RECEIVED)
        if before.acknowledged_at:
            assert alert.acknowledged_at == before.acknowledged_at


# -------------------------------------------------------------------------------- open and join


async def test_a_finding_opens_an_alert_and_its_repeat_joins(pool: Pool) -> None:
    first_event, second_event = uuid7(), uuid7()
    [opened] = await open_all(pool, finding(source_event=first_event))
    [joined] = await open_all(
        pool, finding(source_event=second_event, happened_at=NOW + timedelta(seconds=5))
    )
    assert (opened.opened, joined.opened, joined.is_news) == (True, False, False)
    assert (opened.alert_id, opened.code) == (joined.alert_id, joined.code)
    alert = await service.get(pool, opened.alert_id)
    assert alert is not None
    assert (alert.state, alert.event_count, alert.version) == (State.RECEIVED, 2, 1)
    assert (alert.happened_at, alert.last_event_at) == (NOW, NOW + timedelta(seconds=5))
    lines = await service.timeline(pool, alert.alert_id)
    assert [(e.move, e.source_event, e.author) for e in lines] == [
        ("opened", first_event, "hub:rules"),
        ("joined", second_event, "hub:rules"),
    ]


async def test_repeats_within_one_batch_are_one_alert(pool: Pool) -> None:
    events = [uuid7() for _ in range(4)]
    outcomes = await open_all(
        pool,
        finding("b:2", priority=3, kind="gate_open", source_event=events[0]),
        finding("a:1", source_event=events[1]),
        finding("b:2", priority=2, kind="gate_open", source_event=events[2]),
        finding("b:2", priority=3, kind="gate_open", source_event=events[3]),
    )
    by_key = {o.finding.dedup_key: o for o in outcomes}
    assert len(outcomes) == 2
    assert by_key["b:2"].opened
    assert by_key["b:2"].priority == 2
    lines = await service.timeline(pool, by_key["b:2"].alert_id)
    assert [(e.move, e.source_event) for e in lines] == [
        ("opened", events[0]),
        ("joined", events[2]),
        ("joined", events[3]),
    ]


async def test_two_batches_of_one_transaction_join(pool: Pool) -> None:
    async with pool.acquire() as connection, connection.transaction():
        [opened] = await service.open_or_join(connection, [finding()], NOW)
        [joined] = await service.open_or_join(connection, [finding()], NOW)
    assert (opened.opened, joined.opened, joined.raised) == (True, False, False)
    assert await words(pool, opened.alert_id) == ["opened", "joined"]


async def test_joining_only_makes_an_alert_more_urgent_and_says_so(pool: Pool) -> None:
    await open_all(pool, finding(priority=3))
    [more] = await open_all(pool, finding(priority=1))
    [less] = await open_all(pool, finding(priority=4))
    assert (more.priority, more.raised, more.is_news) == (1, True, True)
    assert (less.priority, less.raised, less.is_news) == (1, False, False)


async def test_a_closed_alert_is_not_joined(pool: Pool) -> None:
    alert = await open_one(pool)
    await service.move(pool, alert.alert_id, Move.CLOSE, author="ana", now=NOW, reason=Reason.TEST)
    [again] = await open_all(pool, finding())
    assert again.opened
    assert again.alert_id != alert.alert_id
    assert again.code != alert.code


async def test_nothing_is_opened_for_nothing(pool: Pool) -> None:
    assert await open_all(pool) == []


async def test_nothing_stays_of_a_transaction_that_fails(pool: Pool) -> None:
    async with pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        await service.open_or_join(connection, [finding()], NOW)
        await transaction.rollback()
    assert (await service.counts(pool)).open == 0


@pytest_asyncio.fixture
async def two_hubs(pool: Pool) -> AsyncIterator[list[Any]]:
    async with pool.acquire() as one, pool.acquire() as other:
        yield [one, other]


async def test_two_hubs_at_once_give_one_alert(pool: Pool, two_hubs: list[Any]) -> None:
    keys = [f"panic:{n}" for n in range(40)]

    async def hub(connection: Any, order: list[str]) -> list[service.Outcome]:
        async with connection.transaction():
            return await service.open_or_join(connection, [finding(key) for key in order], NOW)

    for _ in range(5):
        shuffled = random.sample(keys, len(keys))
        one, other = await asyncio.gather(hub(two_hubs[0], keys), hub(two_hubs[1], shuffled))
        assert {o.alert_id for o in one} == {o.alert_id for o in other}
    rows = await pool.fetch(
        "select count(*) as log, count(*) filter (where move = 'opened') as opened from alert_log"
    )
    assert (rows[0]["opened"], rows[0]["log"]) == (40, 400)
    assert {a.event_count for a in await service.list_open(pool)} == {10}


async def test_a_second_hub_waits_for_the_first_one_and_joins(pool: Pool, two_hubs: list[Any]) -> None:
    one, other = two_hubs
    transaction = one.transaction()
    await transaction.start()
    [opened] = await service.open_or_join(one, [finding()], NOW)
    late = asyncio.create_task(service.open_or_join(other, [finding()], NOW))
    await somebody_waits(pool)
    await transaction.commit()
    [joined] = await late
    assert (joined.opened, joined.alert_id) == (False, opened.alert_id)
    # it cannot know what the first one told; the queue drops a text that is there already
    assert joined.raised


async def somebody_waits(pool: Pool) -> None:
    """Until a session of this database waits for another one's lock."""
    await eventually(
        lambda: pool.fetchval(
            "select bool_or(wait_event_type = 'Lock') from pg_stat_activity"
            " where datname = current_database()"
        )
    )


async def test_five_hundred_open_alerts_have_five_hundred_codes(pool: Pool, two_hubs: list[Any]) -> None:
    async def hub(connection: Any, name: str) -> None:
        async def open_500() -> None:
            async with connection.transaction():
                await service.open_or_join(connection, [finding(f"{name}:{n}") for n in range(500)], NOW)

        await persist(open_500, asyncio.sleep, name)  # as the intake does

    await asyncio.gather(hub(two_hubs[0], "a"), hub(two_hubs[1], "b"))
    await check_codes(pool, 1000)


async def test_a_hub_that_hangs_with_500_codes_holds_up_nobody(pool: Pool, two_hubs: list[Any]) -> None:
    hanging, other = two_hubs
    transaction = hanging.transaction()
    await transaction.start()
    await service.open_or_join(hanging, [finding(f"a:{n}") for n in range(500)], NOW)
    async with asyncio.timeout(60), other.transaction():
        outcomes = await service.open_or_join(other, [finding(f"b:{n}") for n in range(500)], NOW)
    assert len(outcomes) == 500
    await transaction.commit()
    await check_codes(pool, 1000)


async def check_codes(pool: Pool, count: int) -> None:
    codes = [r["code"] for r in await pool.fetch("select code from alerts where closed_at is null")]
    assert len(codes) == len(set(codes)) == count
    assert all(re.fullmatch("[A-Z][1-9][0-9]{0,4}", code) for code in codes)


async def test_listeners_hear_each_change_after_its_commit(pool: Pool, dsn: str) -> None:
    heard: list[str] = []
    listener = await asyncpg.connect(dsn)
    await listener.add_listener(service.CHANNEL, lambda *args: heard.append(args[3]))
    alert = await open_one(pool)
    await eventually(lambda: heard == [str(alert.alert_id)])
    await service.move(pool, alert.alert_id, Move.ACKNOWLEDGE, author="ana", now=NOW)
    await eventually(lambda: heard == [str(alert.alert_id)] * 2)
    await listener.close()


# ----------------------------------------------------------------------------- ended by the hub


async def clear(pool: Pool, *keys: str) -> list[uuid.UUID]:
    async with pool.acquire() as connection, connection.transaction():
        return await service.close_by_hub(connection, keys, note="volvió a comunicarse", now=NOW)


async def test_what_nobody_took_ends_with_its_cause(pool: Pool) -> None:
    silent = await open_one(pool, finding("device_silent:1", kind="device_silent", priority=3))
    assert await clear(pool, "device_silent:1", "device_silent:2") == [silent.alert_id]
    after = await service.get(pool, silent.alert_id)
    assert after is not None
    assert (after.state, after.reason, after.closed_at) == (State.CLOSED, Reason.TECHNICAL, NOW)
    assert (after.acknowledged_at, after.version) == (None, 2)
    last = (await service.timeline(pool, silent.alert_id))[-1]
    assert (last.move, last.author, last.note) == ("close", "hub:supervision", "volvió a comunicarse")
    assert await clear(pool, "device_silent:1") == []


async def test_what_somebody_took_gets_a_line_and_stays_open(pool: Pool) -> None:
    silent = await open_one(pool, finding("device_silent:1", kind="device_silent", priority=2))
    await service.move(pool, silent.alert_id, Move.ACKNOWLEDGE, author="ana", now=NOW)
    assert await clear(pool, "device_silent:1") == []
    assert await words(pool, silent.alert_id) == ["opened", "acknowledge", "cleared"]


async def test_priority_one_never_leaves_the_screen_by_itself(pool: Pool) -> None:
    alert = await open_one(pool)
    assert await clear(pool, "panic:1") == []
    assert [a.alert_id for a in await service.list_open(pool)] == [alert.alert_id]
    assert await words(pool, alert.alert_id) == ["opened", "cleared"]


# --------------------------------------------------------------------------------- people work it


async def test_an_alert_is_worked_from_receipt_to_closing(pool: Pool) -> None:
    alert = await open_one(pool)
    moves = [Move.ACKNOWLEDGE, Move.VERIFY, Move.DISPATCH, Move.ARRIVE, Move.CONTROL]
    for number, move in enumerate(moves, 1):
        now = NOW + timedelta(minutes=number)
        alert = await service.move(pool, alert.alert_id, move, author="ana", now=now, expected_version=number)
    alert = await service.move(
        pool, alert.alert_id, Move.CLOSE, author="luis", now=NOW, reason=Reason.ATTENDED, note="dos detenidos"
    )
    assert (alert.state, alert.reason, alert.closed_at, alert.version) == (
        State.CLOSED,
        Reason.ATTENDED,
        NOW,
        7,
    )
    assert (alert.acknowledged_by, alert.acknowledged_at) == ("ana", NOW + timedelta(minutes=1))
    assert alert == await service.get(pool, alert.alert_id)
    lines = await service.timeline(pool, alert.alert_id)
    assert [e.move for e in lines] == ["opened", *moves, "close"]
    assert [e.to_state for e in lines][-2:] == [State.CONTROLLED, State.CLOSED]
    assert (lines[-1].author, lines[-1].note) == ("luis", "attended: dos detenidos")


async def test_an_illegal_move_changes_nothing(pool: Pool) -> None:
    alert = await open_one(pool)
    with pytest.raises(IllegalMoveError):
        await service.move(pool, alert.alert_id, Move.ARRIVE, author="ana", now=NOW)
    with pytest.raises(IncompleteMoveError):
        await service.move(pool, alert.alert_id, Move.CLOSE, author="ana", now=NOW)
    with pytest.raises(service.UnknownAlertError):
        await service.move(pool, uuid7(), Move.ACKNOWLEDGE, author="ana", now=NOW)
    assert await service.get(pool, alert.alert_id) == alert
    assert await words(pool, alert.alert_id) == ["opened"]


async def test_of_two_people_at_once_one_hears_of_the_other(pool: Pool) -> None:
    alert = await open_one(pool)

    async def dispatch(author: str) -> Alert | service.ConflictError:
        try:
            return await service.move(
                pool, alert.alert_id, Move.DISPATCH, author=author, now=NOW, expected_version=1
            )
        except service.ConflictError as error:
            return error

    results = await asyncio.gather(dispatch("ana"), dispatch("luis"))
    [winner] = [r for r in results if isinstance(r, Alert)]
    [loser] = [r for r in results if isinstance(r, service.ConflictError)]
    assert loser.current == winner
    assert await words(pool, alert.alert_id) == ["opened", "dispatch"]


async def test_a_move_waits_for_a_change_under_way_and_sees_it(pool: Pool) -> None:
    alert = await open_one(pool)
    async with pool.acquire() as other:
        transaction = other.transaction()
        await transaction.start()
        await other.execute("update alerts set version = version + 1")
        late = asyncio.create_task(
            service.move(
                pool, alert.alert_id, Move.ACKNOWLEDGE, author="ana", now=NOW, expected_version=alert.version
            )
        )
        await somebody_waits(pool)
        await transaction.commit()
    with pytest.raises(service.ConflictError):
        await late


async def test_a_repeated_press_does_not_undo_the_operators_click(pool: Pool) -> None:
    alert = await open_one(pool)
    await open_all(pool, finding())
    taken = await service.move(
        pool, alert.alert_id, Move.ACKNOWLEDGE, author="ana", now=NOW, expected_version=alert.version
    )
    assert taken.event_count == 2


async def test_referring_assigning_and_commenting_are_in_the_timeline(pool: Pool) -> None:
    alert = await open_one(pool)
    for move, target, note in (
        (Move.ASSIGN, "luis", ""),
        (Move.REFER, "Carabineros", "cabo de guardia, 21:10"),
        (Move.COMMENT, None, "llamó la vecina\x00"),
    ):
        alert = await service.move(
            pool, alert.alert_id, move, author="ana", now=NOW, target=target, note=note
        )
    assert (alert.state, alert.assigned_to) == (State.REFERRED, "luis")
    notes = [e.note for e in await service.timeline(pool, alert.alert_id)][1:]
    assert notes == ["luis", "Carabineros: cabo de guardia, 21:10", "llamó la vecina"]


async def test_a_merged_alert_leaves_its_weight_with_the_other(pool: Pool) -> None:
    await open_all(pool, finding("gate:1", kind="gate_open", priority=3), finding("panic:2"))
    panic, gate = await service.list_open(pool)
    merged = await service.move(
        pool, panic.alert_id, Move.MERGE, author="ana", now=NOW, target=str(gate.alert_id)
    )
    assert (merged.state, merged.reason, merged.merged_into) == (
        State.MERGED,
        Reason.DUPLICATE,
        gate.alert_id,
    )
    [left] = await service.list_open(pool)
    assert (left.alert_id, left.priority, left.event_count, left.version) == (gate.alert_id, 1, 2, 2)
    assert await words(pool, gate.alert_id) == ["opened", "joined"]


@pytest.mark.parametrize("target", ["itself", "closed", "unknown", "no-id"])
async def test_an_alert_is_merged_only_into_another_open_one(pool: Pool, target: str) -> None:
    alert, other = await open_one(pool), await open_one(pool, finding("panic:2"))
    await service.move(pool, other.alert_id, Move.CLOSE, author="ana", now=NOW, reason=Reason.TEST)
    targets = {
        "itself": (str(alert.alert_id), service.ConflictError),
        "closed": (str(other.alert_id), service.ConflictError),
        "unknown": (str(uuid7()), service.UnknownAlertError),
        "no-id": ("K7", IncompleteMoveError),
    }
    value, error = targets[target]
    with pytest.raises(error):
        await service.move(pool, alert.alert_id, Move.MERGE, author="ana", now=NOW, target=value)
    assert await service.get(pool, alert.alert_id) == alert


async def test_two_people_merging_crosswise_leave_one_alert_open(pool: Pool) -> None:
    one, other = await open_one(pool), await open_one(pool, finding("panic:2"))
    results = await asyncio.gather(
        service.move(pool, one.alert_id, Move.MERGE, author="ana", now=NOW, target=str(other.alert_id)),
        service.move(pool, other.alert_id, Move.MERGE, author="luis", now=NOW, target=str(one.alert_id)),
        return_exceptions=True,
    )
    # the later one finds its alert merged already, or its target closed
    assert sum(isinstance(r, Alert) for r in results) == 1
    assert sum(isinstance(r, (IllegalMoveError, service.ConflictError)) for r in results) == 1
    assert (await service.counts(pool)).open == 1


async def test_a_closed_alert_is_reopened_by_whoever_takes_it(pool: Pool) -> None:
    alert = await open_one(pool)
    await service.move(pool, alert.alert_id, Move.CLOSE, author="ana", now=NOW, reason=Reason.MISTAKEN)
    again = await service.move(pool, alert.alert_id, Move.REOPEN, author="luis", now=NOW)
    assert (again.state, again.reason, again.closed_at, again.code) == (
        State.ACKNOWLEDGED,
        None,
        None,
        alert.code,
    )


async def test_reopening_beside_a_newer_alert_of_the_same_thing_is_a_conflict(pool: Pool) -> None:
    alert = await open_one(pool)
    await service.move(pool, alert.alert_id, Move.CLOSE, author="ana", now=NOW, reason=Reason.TEST)
    await open_all(pool, finding())
    with pytest.raises(service.ConflictError) as caught:
        await service.move(pool, alert.alert_id, Move.REOPEN, author="ana", now=NOW)
    assert caught.value.current.state is State.CLOSED
    assert await words(pool, alert.alert_id) == ["opened", "close"]


async def test_a_reopened_alert_does_not_take_its_code_back_from_another(pool: Pool) -> None:
    old = await open_one(pool)
    await service.move(pool, old.alert_id, Move.CLOSE, author="ana", now=NOW, reason=Reason.TEST)
    newer = await open_one(pool, finding("panic:2"))
    await pool.execute("update alerts set code = $2 where alert_id = $1", newer.alert_id, old.code)
    again = await service.move(pool, old.alert_id, Move.REOPEN, author="ana", now=NOW)
    assert again.code != old.code
    assert (await service.counts(pool)).open == 2


# ------------------------------------------------------------------------------ back to who pressed


async def press(pool: Pool, event_id: str | None = None, kind: str = "panic") -> Alert:
    """An alert that a registered button's stored event raised."""
    await pool.execute("insert into gateways (gateway) values ('gw-1') on conflict do nothing")
    device_id = await pool.fetchval(
        "insert into devices (source, gateway) values ($1, 'gw-1')"
        " on conflict (source) do update set name = '' returning device_id",
        BUTTON,
    )
    row_id = uuid7(NOW)
    await pool.execute(
        "insert into events (id, device_id, event_id, gateway, type, happened_at, time_quality, received_at,"
        " digest) values ($1, $2, $3, 'gw-1', 'panic.pressed', $4, 'device', $4, '')",
        row_id,
        device_id,
        event_id,
        NOW,
    )
    return await open_one(pool, finding(kind=kind, device_id=device_id, gateway="gw-1", source_event=row_id))


async def commands(pool: Pool) -> list[Any]:
    return await pool.fetch("select * from commands order by created_at, command_id")


async def test_who_pressed_hears_that_a_patrol_comes_and_how_it_ended(pool: Pool) -> None:
    alert = await press(pool, event_id="evt-1")
    await service.move(pool, alert.alert_id, Move.ACKNOWLEDGE, author="ana", now=NOW)
    assert await commands(pool) == []
    await press(pool, event_id="evt-2")
    later = NOW + timedelta(minutes=2)
    await service.move(pool, alert.alert_id, Move.DISPATCH, author="ana", now=later)
    await service.move(
        pool,
        alert.alert_id,
        Move.CLOSE,
        author="ana",
        now=later + timedelta(seconds=1),
        reason=Reason.NOTHING_FOUND,
    )
    sent, closed = await commands(pool)
    assert (sent["gateway"], sent["name"]) == ("gw-1", "show_feedback")
    assert sent["expires_at"] == later + timedelta(minutes=15)
    assert msgspec.json.decode(sent["arguments"]) == {
        "event_id": "evt-2",
        "source": BUTTON,
        "feedback": "on_its_way",
        "text": "Recibido 21:04. Patrulla en camino.",
    }
    assert msgspec.json.decode(closed["arguments"])["text"] == "Cerrado: sin novedad."


async def test_the_id_of_an_event_that_has_a_uuid_is_its_own(pool: Pool) -> None:
    alert = await press(pool)
    await service.move(pool, alert.alert_id, Move.DISPATCH, author="ana", now=NOW)
    [opened] = [e for e in await service.timeline(pool, alert.alert_id) if e.move == "opened"]
    [command] = await commands(pool)
    assert msgspec.json.decode(command["arguments"])["event_id"] == str(opened.source_event)


@pytest.mark.parametrize("kind", ["duress", "vif", "gate_open", "device_silent"])
async def test_a_silent_button_stays_silent(pool: Pool, kind: str) -> None:
    alert = await press(pool, kind=kind)
    await service.move(pool, alert.alert_id, Move.DISPATCH, author="ana", now=NOW)
    await service.move(pool, alert.alert_id, Move.CLOSE, author="ana", now=NOW, reason=Reason.ATTENDED)
    assert await commands(pool) == []


async def test_an_alert_without_an_event_is_worked_all_the_same(pool: Pool) -> None:
    alert = await open_one(pool)
    after = await service.move(pool, alert.alert_id, Move.DISPATCH, author="ana", now=NOW)
    assert after.state is State.DISPATCHED
    assert await commands(pool) == []


@pytest.mark.parametrize("reason", list(Reason))
def test_every_closing_has_words_for_who_pressed(reason: Reason) -> None:
    shown = feedback_for(EMPTY, step(Move.CLOSE, reason=reason))
    assert shown is not None
    assert shown.text.startswith("Cerrado: ")


# ------------------------------------------------------------------------------------------- reads


async def test_open_alerts_come_by_urgency_in_pages(pool: Pool) -> None:
    for number in range(25):
        await open_all(
            pool, finding(f"k:{number}", priority=number % 4 + 1), now=NOW + timedelta(seconds=number % 5)
        )
    seen: list[Alert] = []
    while page := await service.list_open(
        pool, limit=7, after=service.OpenAfter.of(seen[-1]) if seen else None
    ):
        seen += page
    assert len(seen) == 25
    assert seen == sorted(seen, key=lambda a: (a.priority, a.opened_at, a.alert_id))
    assert all(a.priority == 2 for a in await service.list_open(pool, priority=2))


async def test_closed_alerts_are_found_by_page_text_and_time(pool: Pool) -> None:
    for number in range(12):
        [o] = await open_all(
            pool,
            finding(f"k:{number}", place=f"Pasaje {number}_100%", is_drill=number == 11, sector="CENTRO"),
            now=NOW + timedelta(hours=number),
        )
        await service.move(pool, o.alert_id, Move.CLOSE, author="ana", now=NOW, reason=Reason.TEST)
    first = await service.search(pool, limit=5)
    rest = await service.search(pool, limit=50, after=first[-1])
    assert [a.place for a in first + rest] == [f"Pasaje {n}_100%" for n in reversed(range(12))]
    assert [a.place for a in await service.search(pool, text="pasaje 7_")] == ["Pasaje 7_100%"]
    assert [a.alert_id for a in await service.search(pool, text=first[0].code.lower())] == [first[0].alert_id]
    assert len(await service.search(pool, include_drills=False)) == 11
    window = await service.search(
        pool, opened_from=NOW + timedelta(hours=2), opened_until=NOW + timedelta(hours=4)
    )
    assert len(window) == 2
    assert await service.search(pool, state=State.RECEIVED) == []
    assert await service.search(pool, sector="COSTA") == []


async def test_the_timeline_has_pages(pool: Pool) -> None:
    alert = await open_one(pool)
    await open_all(pool, *[finding()] * 9)
    lines: list[service.LogEntry] = []
    while page := await service.timeline(
        pool, alert.alert_id, limit=4, after=lines[-1].log_id if lines else 0
    ):
        lines += page
    assert [e.move for e in lines] == ["opened", *["joined"] * 9]


async def test_counts_tell_what_waits(pool: Pool) -> None:
    await open_all(pool, finding("a"), finding("b"), finding("c", priority=3))
    taken = await open_one(pool, finding("a"))
    await service.move(pool, taken.alert_id, Move.ACKNOWLEDGE, author="ana", now=NOW)
    counts = await service.counts(pool)
    assert (counts.open, counts.unacknowledged) == (3, 2)
    assert counts.by_priority == {1: 2, 2: 0, 3: 1, 4: 0}
    assert counts.unacknowledged_by_priority == {1: 1, 2: 0, 3: 1, 4: 0}
    assert (counts.by_state[State.RECEIVED], counts.by_state[State.ACKNOWLEDGED]) == (2, 1)
