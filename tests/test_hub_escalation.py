"""Nobody takes an alert: policies as data, the next step, rows that fire once, who is on call."""

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from conftest import Mosquitto
from fakes import VirtualClock, eventually
from hypothesis import given
from hypothesis import strategies as st
from processes import hub_process, run

from hub.alerts import service as alerts
from hub.alerts.finding import Finding
from hub.alerts.lifecycle import Move, Reason, State
from hub.alerts.stages import STAGES, stage_of
from hub.database import Pool, connect
from hub.notify import contacts, escalating, policy_file, service
from hub.notify.escalation import (
    Policies,
    Policy,
    PolicyStep,
    Stage,
    Standing,
    Step,
    Target,
    Who,
    first_due_at,
    next_step,
    schedule,
    transport_for,
)
from hub.notify.policy_file import PolicyBook, PolicyFileError, parse, unknown_targets
from hub.notify.text import GSM7, reminder_text
from hub.notify.transports import Health, Outgoing, TransportError, TransportEvent

NOW = datetime(2026, 11, 24, 0, 4, tzinfo=UTC)  # 21:04 in Santiago
DEFAULT = policy_file.load(None)
LIFE = DEFAULT.by_name["vida"]


def finding(key: str = "panic:1", **changes: Any) -> Finding:
    values: dict[str, Any] = {
        "rule": "panic_pressed",
        "kind": "panic",
        "priority": 1,
        "dedup_key": key,
        "summary": "Botón de pánico: Los Boldos 12",
        "happened_at": NOW,
        "place": "Los Boldos 12",
        "watch_group": "Los Boldos",
    }
    return Finding(**(values | changes))


def after(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


async def raise_alerts(
    pool: Pool, *findings: Finding, now: datetime = NOW, policies: Policies = DEFAULT
) -> list[alerts.Outcome]:
    """What the intake does in its transaction."""
    async with pool.acquire() as connection, connection.transaction():
        outcomes = await alerts.open_or_join(connection, findings, now)
        await service.enqueue_for(connection, outcomes, now, policies=policies)
    return outcomes


async def raise_one(pool: Pool, policies: Policies = DEFAULT, **changes: Any) -> uuid.UUID:
    [outcome] = await raise_alerts(pool, finding(**changes), policies=policies)
    return outcome.alert_id


async def escalations_of(pool: Pool, alert_id: uuid.UUID) -> list[str]:
    return [line.note for line in await alerts.timeline(pool, alert_id) if line.move == "escalated"]


async def row_of(pool: Pool, alert_id: uuid.UUID) -> Any:
    return await pool.fetchrow("select * from escalations where alert_id = $1", alert_id)


def escalator(pool: Pool, policies: Policies = DEFAULT, **changes: Any) -> escalating.Escalator:
    return escalating.Escalator(pool=pool, policies=lambda: policies, **changes)


# -------------------------------------------------------------------------------- the next step


def walk(
    policy: Policy, seconds: int, confirmations: int = 0, stage: Stage = Stage.ACKNOWLEDGE
) -> list[Step]:
    """Every step that fires when somebody looks each second."""
    standing, fired = Standing(stage=stage, anchor_at=NOW), []
    for second in range(seconds + 1):
        while step := next_step(policy, standing, confirmations, after(second)):
            if step.due_at > after(second):
                break
            fired.append(step)
            standing = replace(standing, fired=step.number + 1)
    return fired


def test_an_unanswered_life_alert_climbs_at_30_60_120_and_180_seconds() -> None:
    steps = walk(LIFE, 180)
    assert [(s.waited_s, [str(t) for t in s.who]) for s in steps] == [
        (30, ["duty"]),
        (60, ["oncall:jefe_turno"]),
        (120, ["oncall:director", "duty"]),
        (180, ["oncall:segunda_central", "institution:Carabineros"]),
    ]
    assert LIFE.acknowledge_within_s == 15
    assert first_due_at(LIFE, NOW) == after(30)


def test_reminders_follow_the_last_step_for_ever() -> None:
    reminders = [s.waited_s for s in walk(LIFE, 1500) if s.is_reminder]
    assert reminders == [480, 780, 1080, 1380]


def test_reminders_that_were_missed_are_one() -> None:
    standing = Standing(stage=Stage.ACKNOWLEDGE, anchor_at=NOW, fired=4)
    step = next_step(LIFE, standing, 0, after(86_400))
    assert step is not None
    assert after(86_400 - 300) < step.due_at <= after(86_400)
    following = next_step(LIFE, replace(standing, fired=step.number + 1), 0, after(86_400))
    assert following is not None
    assert following.due_at == step.due_at + timedelta(seconds=300)


def test_who_acknowledges_and_sends_nobody_is_reminded() -> None:
    assert [s.waited_s for s in walk(LIFE, 800, stage=Stage.DISPATCH)] == [180, 480, 780]
    assert walk(LIFE, 800, stage=Stage.REST) == []


def test_a_step_repeats_until_enough_people_come() -> None:
    ask = PolicyStep(wait_s=60, who=(Target(Who.NEIGHBOURS),), repeat=2, until_confirmed=2)
    then = PolicyStep(wait_s=30, who=(Target(Who.DUTY),))
    policy = Policy(name="x", priorities=frozenset({2}), steps=(ask, then))
    assert [s.waited_s for s in walk(policy, 600, confirmations=1)] == [60, 120, 180, 210]
    assert [s.waited_s for s in walk(policy, 600, confirmations=2)] == [210]


def test_the_first_way_that_the_hub_has_is_taken() -> None:
    assert transport_for(("call", "sms"), ("sms", "call")) == "call"
    assert transport_for(("call", "sms"), ("sms",)) == "sms"
    assert transport_for(("call",), ("modem",)) == "modem"
    assert transport_for(("call",), ()) == "sms"


STEPS = st.builds(
    PolicyStep,
    wait_s=st.integers(1, 300),
    who=st.just((Target(Who.DUTY),)),
    repeat=st.integers(0, 3),
    until_confirmed=st.none() | st.integers(1, 3),
)
POLICIES = st.builds(
    Policy,
    name=st.just("x"),
    priorities=st.just(frozenset({1})),
    dispatch_within_s=st.none() | st.integers(1, 300),
    remind_every_s=st.none() | st.integers(30, 300),
    steps=st.lists(STEPS, max_size=4).map(tuple),
)


@given(
    POLICIES,
    st.sampled_from(list(Stage)),
    st.integers(0, 4),
    st.lists(st.integers(0, 400), min_size=1, max_size=12),
)
def test_however_late_somebody_looks_nothing_is_early_twice_or_lost(
    policy: Policy, stage: Stage, confirmations: int, looks: list[int]
) -> None:
    standing, fired, now = Standing(stage=stage, anchor_at=NOW), [], NOW
    for wait_s in looks:
        now += timedelta(seconds=wait_s)
        while (step := next_step(policy, standing, confirmations, now)) and step.due_at <= now:
            fired.append(step)
            standing = replace(standing, fired=step.number + 1)
    assert all(step.due_at <= now for step in fired)
    numbers = [step.number for step in fired]
    assert numbers == sorted(set(numbers))
    assert [step.due_at for step in fired] == sorted({step.due_at for step in fired})
    if stage is Stage.ACKNOWLEDGE:
        wanted = [
            number
            for number, (at_s, step) in enumerate(schedule(policy))
            if after(at_s) <= now and (step.until_confirmed is None or confirmations < step.until_confirmed)
        ]
        assert [step.number for step in fired if not step.is_reminder] == wanted


# ---------------------------------------------------------------------------------- the file


def test_the_policies_that_come_along_serve_every_alert() -> None:
    assert [DEFAULT.policy_for("x", p, False).name for p in (1, 2, 3, 4)] == [  # type: ignore[union-attr]
        "vida",
        "en_curso",
        "bienes",
        "mantencion",
    ]
    assert DEFAULT.policy_for("duress", 1, False) is DEFAULT.by_name["reservada"]
    assert DEFAULT.policy_for("panic", 1, True) is None  # nobody is called out of bed for a drill


ONE = "policies:\n- name: a\n  priorities: [1]\n"
WRONG = [
    ("", 1, "está vacío"),
    ("policies: [\n", 2, "no es YAML"),
    ("policies: 3\n", 1, "una lista"),
    ("policy: []\n", 1, "«policy»"),
    ("policies:\n- name: a\n  priorities: [1]\n  wiat: 3\n", 4, "«wiat»"),
    ("policies:\n- name: a\n  name: b\n  priorities: [1]\n", 3, "dos veces"),
    ("policies:\n- priorities: [1]\n", 2, "falta el campo «name»"),
    ("policies:\n- name: a\n  priorities: [5]\n", 3, "número entero"),
    ("policies:\n- name: a\n  priorities: [1]\n  steps:\n  - {wait_s: 0, who: [duty]}\n", 5, "número entero"),
    ("policies:\n- name: a\n  priorities: [1]\n  steps:\n  - {wait_s: 9, who: [alcalde]}\n", 5, "«alcalde»"),
    ("policies:\n- name: a\n  priorities: [1]\n  steps:\n  - {wait_s: 9, who: [oncall]}\n", 5, "incompleto"),
    (
        "policies:\n- name: a\n  priorities: [1]\n  steps:\n  - {wait_s: 9, who: [duty, duty]}\n",
        5,
        "dos veces",
    ),
    (
        ONE + "  steps:\n  - {wait_s: 9, who: [duty], otherwise: [neighbours]}\n",
        5,
        "no se alcanza nunca",
    ),
    (
        ONE + "  steps:\n  - {wait_s: 9, who: [duty], until_confirmed: 2}\n",
        5,
        "nadie ha sido consultado",
    ),
    (
        "policies:\n- name: a\n  priorities: [1]\n  acknowledge_within_s: 60\n  dispatch_within_s: 30\n",
        5,
        "se contradice",
    ),
    (
        ONE + "  kinds: [vif]\n  steps:\n  - {wait_s: 9, who: [neighbours]}\n",
        2,
        "nunca se avisa a vecinos",
    ),
    ("policies:\n- {name: a, priorities: [1, 2]}\n- {name: b, priorities: [2]}\n", 3, "no se alcanza nunca"),
    ("policies:\n- {name: a, priorities: [1]}\n- {name: a, priorities: [2]}\n", 3, "ya hay una política"),
    ("policies: &a\n- *a\n", 1, "ancla"),
    (
        ONE.replace("[1]", "[3]")
        + "  steps:\n  - {wait_s: 9, who: ['oncall:jefe']}\n"
        + "  - {wait_s: 9, who: [duty], until_confirmed: 5}\n",
        6,
        "no se cumple nunca: hasta aquí se avisa a lo más a 2",
    ),
    (ONE + "  steps:\n  - {wait_s: 2000000, who: [duty], repeat: 1}\n", 5, "el último paso no se alcanza"),
    (ONE + "  acknowledge_within_s: 60\n  remind: [duty]\n", 5, "remind no se alcanza nunca"),
]


@pytest.mark.parametrize(("text", "line", "words"), WRONG)
def test_a_wrong_file_is_refused_with_line_and_remedy(text: str, line: int, words: str) -> None:
    with pytest.raises(PolicyFileError) as caught:
        parse(text, "policies.yaml")
    [problem] = caught.value.problems
    assert problem.line == line
    assert words in problem.problem
    assert problem.remedy.endswith(".")
    assert str(caught.value).startswith(f"policies.yaml:{line}: ")


async def test_whom_nobody_has_entered_is_named(pool: Pool) -> None:
    policies = parse(
        ONE
        + "  steps:\n  - {wait_s: 9, who: ['oncall:jefe', 'group:junta', 'group:club', 'institution:PDI']}\n"
    )
    await pool.execute(
        "insert into contacts (name, phone, watch_group) values ('Ana', '+56911111111', 'junta')"
    )
    calendar, group = await unknown_targets(pool, policies)
    assert "el calendario «jefe» no tiene turnos" in calendar
    assert "el grupo «club» no tiene contactos" in group


def test_every_wrong_policy_is_told_at_once() -> None:
    with pytest.raises(PolicyFileError) as caught:
        parse("policies:\n- {name: A, priorities: [1]}\n- {name: b}\n")
    assert [p.line for p in caught.value.problems] == [2, 3]


@given(st.text(max_size=200))
def test_no_text_breaks_the_reader(text: str) -> None:
    with contextlib.suppress(PolicyFileError):
        assert parse(text).policies is not None


def test_a_changed_file_counts_and_a_wrong_one_changes_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "policies.yaml"
    book = PolicyBook(path)
    assert book().by_name.keys() == DEFAULT.by_name.keys()
    path.write_text("policies:\n- {name: propia, priorities: [1]}\n", "utf-8")
    book.refresh()
    assert list(book().by_name) == ["propia"]
    path.write_text("policies:\n- {name: rota, priorities: [1], wiat: 3}\n", "utf-8")
    book.refresh()
    assert list(book().by_name) == ["propia"]
    assert "policies.yaml:2" in caplog.text
    path.unlink()
    book.refresh()
    assert book().by_name.keys() == DEFAULT.by_name.keys()


async def test_the_command_line_checks_a_file(tmp_path: Path) -> None:
    path = tmp_path / "mias.yaml"
    code, output = await run("hub.cli", "policies", "check")
    assert code == 0
    path.write_text(output, "utf-8")
    code, output = await run("hub.cli", "policies", "check", str(path))
    assert code == 0
    assert "  2 min  oncall:director, duty" in output
    path.write_text("policies:\n- nombre: x\n", "utf-8")
    code, output = await run("hub.cli", "policies", "check", str(path))
    assert code == 1
    assert "mias.yaml:2: no existe el campo «nombre»" in output
    assert "Traceback" not in output


# ------------------------------------------------------------------------------------ texts


@given(st.text(max_size=200), st.integers(1, 10**6), st.booleans(), st.booleans())
def test_a_reminder_fits_one_sms(place: str, waited_s: int, is_drill: bool, is_restricted: bool) -> None:
    text = reminder_text(
        code="K7",
        kind="panic",
        place=place,
        happened_at=NOW,
        now=NOW,
        lack="SIN DESPACHO",
        waited_s=waited_s,
        is_drill=is_drill,
        is_restricted=is_restricted,
    )
    assert len(text) <= 160
    assert set(text) <= GSM7 - {"\n", "\r"}
    assert "K7" in text


def test_a_reminder_of_a_restricted_alert_tells_nothing() -> None:
    text = reminder_text(
        code="K7", kind="duress", place="CANARIO", happened_at=NOW, now=NOW, lack="SIN ACUSE", waited_s=90,
        is_restricted=True,
    )  # fmt: skip
    assert text == "AVISO K7, 21:04. Sin acuse hace 90 s. Revise la consola."


# ------------------------------------------------------------------------------------ the rows


async def test_the_first_step_is_written_with_the_alert(pool: Pool) -> None:
    alert_id = await raise_one(pool)
    row = await row_of(pool, alert_id)
    assert (row["policy"], row["stage"], row["fired"], row["due_at"]) == ("vida", "acknowledge", 0, after(30))
    assert (row["dispatch_within_s"], row["watch_group"]) == (180, "Los Boldos")


async def test_an_alert_that_is_rolled_back_leaves_no_step(pool: Pool) -> None:
    async with pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        outcomes = await alerts.open_or_join(connection, [finding()], NOW)
        await service.enqueue_for(connection, outcomes, NOW, policies=DEFAULT)
        await transaction.rollback()
    assert await pool.fetchval("select count(*) from escalations") == 0


async def test_a_second_press_does_not_start_the_clock_again(pool: Pool) -> None:
    alert_id = await raise_one(pool)
    await raise_alerts(pool, finding(), now=after(20))
    assert (await row_of(pool, alert_id))["due_at"] == after(30)


async def test_an_alert_that_becomes_more_urgent_climbs_faster(pool: Pool) -> None:
    alert_id = await raise_one(pool, kind="gate_open", priority=3)
    assert (await row_of(pool, alert_id))["due_at"] == after(1800)
    await raise_alerts(pool, finding(kind="gate_open", priority=1), now=after(60))
    row = await row_of(pool, alert_id)
    assert (row["policy"], row["due_at"]) == ("vida", after(90))


@pytest.mark.parametrize(
    ("moves", "stage", "due_at"),
    [
        ([Move.ACKNOWLEDGE], "dispatch", after(10 + 180)),
        ([Move.VERIFY], "dispatch", after(10 + 180)),
        ([Move.ACKNOWLEDGE, Move.VERIFY], "dispatch", after(10 + 180)),
        ([Move.DISPATCH], "rest", None),
        ([Move.ACKNOWLEDGE, Move.DISPATCH], "rest", None),
        ([Move.CLOSE], "rest", None),
        ([Move.REFER], "rest", None),
        ([Move.COMMENT], "acknowledge", after(30)),
        ([Move.ASSIGN], "acknowledge", after(30)),
        ([Move.CLOSE, Move.REOPEN], "dispatch", after(10 + 180)),
    ],
)
async def test_a_move_calls_the_step_off_in_its_own_transaction(
    pool: Pool, moves: list[Move], stage: str, due_at: datetime | None
) -> None:
    alert_id = await raise_one(pool)
    for move in moves:
        await alerts.move(
            pool, alert_id, move, author="ana", now=after(10), note="x", target="Carabineros",
            reason=Reason.ATTENDED if move is Move.CLOSE else None,
        )  # fmt: skip
    row = await row_of(pool, alert_id)
    assert (row["stage"], row["due_at"], row["fired"]) == (stage, due_at, 0)


def test_every_state_waits_for_something_or_rests() -> None:
    assert {stage_of(state) for state in State} == {stage.value for stage in Stage}
    assert set(STAGES.values()) < {stage.value for stage in Stage}


async def test_what_the_hub_closes_calls_nobody_any_more(pool: Pool) -> None:
    alert_id = await raise_one(pool, key="device_silent:1", kind="device_silent", priority=2)
    async with pool.acquire() as connection, connection.transaction():
        await alerts.close_by_hub(connection, ["device_silent:1"], now=after(5))
    assert (await row_of(pool, alert_id))["due_at"] is None
    assert await escalator(pool).fire_due(after(9999)) == 0


# ------------------------------------------------------------------------------------- firing


async def texts_of(pool: Pool) -> list[tuple[str, str, str]]:
    found = await pool.fetch("select recipient, transport, text from notifications order by notification_id")
    return [(row["recipient"], row["transport"], row["text"]) for row in found]


async def test_a_step_queues_its_texts_and_writes_its_line(pool: Pool) -> None:
    alert_id = await raise_one(pool)
    assert await escalator(pool).fire_due(after(29.9)) == 0
    assert await escalator(pool).fire_due(after(30)) == 1
    code = await pool.fetchval("select code from alerts")
    assert (
        "turno",
        "sms",
        f"SIN ACUSE HACE 30 s {code} PANICO Los Boldos 12, 21:04. Revise la consola.",
    ) in (await texts_of(pool))
    assert await escalations_of(pool, alert_id) == ["paso 1, sin acuse hace 30 s: turno"]
    assert (await row_of(pool, alert_id))["due_at"] == after(60)
    assert await escalator(pool).fire_due(after(30)) == 0


async def test_after_an_outage_every_missed_step_fires_once_and_reminders_once(pool: Pool) -> None:
    alert_id = await raise_one(pool)
    assert await escalator(pool).fire_due(after(4000)) == 1
    assert await escalations_of(pool, alert_id) == [
        "paso 1, sin acuse hace 30 s: turno",
        "paso 2, sin acuse hace 60 s: nadie de guardia, turno",
        "paso 3, sin acuse hace 120 s: turno",
        "paso 4, sin acuse hace 180 s: llame a Carabineros",
        "recordatorio, sin acuse hace 3780 s: turno",
    ]
    assert (await row_of(pool, alert_id))["due_at"] == after(4080)
    sent = [text for recipient, _, text in await texts_of(pool) if recipient == "turno"]
    assert len(sent) == len(set(sent)) == 5


async def test_who_acknowledged_and_sent_nobody_is_reminded(pool: Pool) -> None:
    alert_id = await raise_one(pool)
    await alerts.move(pool, alert_id, Move.ACKNOWLEDGE, author="ana", now=after(10))
    assert await escalator(pool).fire_due(after(189)) == 0
    assert await escalator(pool).fire_due(after(190)) == 1
    assert await escalations_of(pool, alert_id) == ["recordatorio, sin despacho hace 180 s: turno"]
    await alerts.move(pool, alert_id, Move.DISPATCH, author="ana", now=after(200))
    assert await escalator(pool).fire_due(after(9999)) == 0


async def test_a_quorum_of_replies_ends_the_call_tree(pool: Pool) -> None:
    await contacts.import_csv(pool, "name,phone,watch_group\nAna,+56987650001,Los Boldos\n")
    policies = parse(
        "policies:\n- name: vecinos\n  priorities: [1]\n  steps:\n"
        "  - {wait_s: 60, who: [neighbours], repeat: 3, until_confirmed: 1}\n"
        "  - {wait_s: 60, who: [duty]}\n"
    )
    alert_id = await raise_one(pool, policies)
    hub = escalator(pool, policies)
    await hub.fire_due(after(60))
    assert await escalations_of(pool, alert_id) == ["paso 1, sin acuse hace 60 s: grupo Los Boldos"]
    await service.confirm(pool, alert_id, "contact:1", "coming", after(70))
    await service.confirm(pool, alert_id, "contact:1", "coming", after(71))
    await hub.fire_due(after(900))
    assert (await escalations_of(pool, alert_id))[1:] == ["paso 5, sin acuse hace 300 s: turno"]


@pytest.mark.parametrize(
    "changes", [{"kind": "duress"}, {"kind": "device_silent"}, {"is_drill": True}], ids=lambda c: str(c)
)
async def test_neighbours_are_not_called_for_what_is_not_theirs(pool: Pool, changes: dict[str, Any]) -> None:
    await contacts.import_csv(pool, "name,phone,watch_group\nAna,+56987650001,Los Boldos\n")
    policies = parse(
        "policies:\n- {name: a, priorities: [1], drills: true, steps: [{wait_s: 60, who: [neighbours]}]}\n"
    )
    alert_id = await raise_one(pool, policies, **changes)
    await escalator(pool, policies).fire_due(after(60))
    assert await escalations_of(pool, alert_id) == ["paso 1, sin acuse hace 60 s: nadie de guardia, turno"]
    assert {recipient for recipient, _, _ in await texts_of(pool)} == {"turno"}


async def test_a_policy_that_was_dropped_is_replaced_where_it_stands(pool: Pool) -> None:
    alert_id = await raise_one(pool)
    await escalator(pool).fire_due(after(30))
    other = parse(ONE + "  steps: [{wait_s: 5, who: [duty]}, {wait_s: 70, who: [duty]}]\n")
    await escalator(pool, other).fire_due(after(60))
    assert (await row_of(pool, alert_id))["due_at"] == after(75)
    await escalator(pool, Policies()).fire_due(after(75))
    assert (await row_of(pool, alert_id))["due_at"] is None


async def test_two_hubs_fire_each_step_once(pool: Pool) -> None:
    await raise_alerts(pool, *[finding(f"panic:{n}") for n in range(150)])
    hubs = [escalator(pool), escalator(pool), escalator(pool)]

    async def exhaust(hub: escalating.Escalator) -> None:
        while await hub.fire_due(after(60)):
            pass

    await asyncio.gather(*(exhaust(hub) for hub in hubs))
    lines = await pool.fetch(
        "select alert_id, note, count(*) from alert_log where move = 'escalated' group by 1, 2"
    )
    assert len(lines) == 300
    assert {row["count"] for row in lines} == {1}
    assert await pool.fetchval("select count(*) from notifications where text like 'SIN ACUSE%'") == 300


async def test_people_and_the_loop_may_reach_for_the_same_alerts(pool: Pool) -> None:
    outcomes = await raise_alerts(pool, *[finding(f"panic:{n}") for n in range(40)])

    async def take(outcome: alerts.Outcome) -> None:
        await alerts.move(pool, outcome.alert_id, Move.ACKNOWLEDGE, author="ana", now=after(30))

    async def fire() -> None:
        for _ in range(10):
            await escalator(pool).fire_due(after(30))

    await asyncio.gather(fire(), *(take(outcome) for outcome in outcomes))
    assert {r["stage"] for r in await pool.fetch("select stage from escalations")} == {"dispatch"}


async def test_the_loop_fires_at_the_due_time(pool: Pool) -> None:
    clock = VirtualClock(NOW)
    alert_id = await raise_one(pool)
    woken: list[datetime] = []
    loop = asyncio.create_task(
        escalating.escalation_loop(escalator(pool), clock, lambda: woken.append(clock.now()))
    )
    while clock.now() < after(61):
        await clock.sleeping()
        await clock.advance(0.25)
    await clock.sleeping()
    loop.cancel()
    lines = [line.at for line in await alerts.timeline(pool, alert_id) if line.move == "escalated"]
    assert [(at - NOW).total_seconds() for at in lines] == [30, 60]
    assert woken == lines


class Unreachable:
    """A transport that no phone answers to."""

    def __init__(self, *, permanent: bool) -> None:
        self.permanent = permanent
        self.tried = 0

    async def send(self, message: Outgoing) -> tuple[str, ...]:
        del message
        self.tried += 1
        raise TransportError("the number does not exist", permanent=self.permanent)

    async def events(self) -> AsyncIterator[TransportEvent]:
        nothing: tuple[TransportEvent, ...] = ()
        for event in nothing:
            yield event

    async def health(self) -> Health:
        return Health(is_ok=False)

    async def run_loop(self) -> None: ...


@pytest.mark.parametrize(
    ("permanent", "priority", "due_at"),
    [(True, 1, after(5)), (True, 2, after(5)), (True, 3, after(1800)), (False, 1, after(30))],
)
async def test_nobody_waits_for_a_person_whom_no_text_can_reach(
    pool: Pool, permanent: bool, priority: int, due_at: datetime
) -> None:
    alert_id = await raise_one(pool, kind="gate_open", priority=priority, watch_group="")
    clock, transport = VirtualClock(after(5)), Unreachable(permanent=permanent)
    sending = asyncio.create_task(
        service.notify_loop(pool, {"sms": transport}, clock, asyncio.Event(), "hub")
    )
    await eventually(lambda: transport.tried)
    told = "select count(*) from notifications where error <> ''"
    await eventually(lambda: pool.fetchval(told))
    await clock.sleeping()

    async def next_due() -> bool:
        return bool((await row_of(pool, alert_id))["due_at"] == due_at)

    await eventually(next_due)
    sending.cancel()
    if due_at == after(5):
        await escalator(pool).fire_due(after(5))
        assert await escalations_of(pool, alert_id) == ["paso 1, sin acuse hace 5 s: turno"]


@pytest.mark.timeout(60)
async def test_a_killed_hub_fires_every_step_once_and_none_early(
    mosquitto: Mosquitto, dsn: str, server_folder: Path
) -> None:
    count = 200
    data = server_folder / "data"
    data.mkdir(mode=0o711)
    steps = ", ".join("{wait_s: 1, who: [duty]}" for _ in range(6))
    (data / "policies.yaml").write_text(
        f"policies:\n- {{name: a, priorities: [1], steps: [{steps}]}}\n", "utf-8"
    )
    policies = policy_file.load(data / "policies.yaml")
    options = ("--mqtt", f"127.0.0.1:{mosquitto.port}", "--database", dsn, "--data", str(data))
    pool = await connect(dsn, max_size=2)
    fired = "select count(*) from alert_log where move = 'escalated'"
    async with AsyncExitStack() as stack:
        stack.push_async_callback(pool.close)
        first = await stack.enter_async_context(hub_process(server_folder / "a", *options))
        opened_at = datetime.now(UTC)
        await raise_alerts(
            pool, *[finding(f"panic:{n}") for n in range(count)], now=opened_at, policies=policies
        )
        await eventually(lambda: pool.fetchval(f"select ({fired}) >= {2 * count}"))
        await first.kill()
        assert await pool.fetchval(fired) < 6 * count
        await stack.enter_async_context(hub_process(server_folder / "b", *options))
        up_at = datetime.now(UTC)
        await eventually(lambda: pool.fetchval(f"select ({fired}) >= {6 * count}"))
        lines = await pool.fetch(
            "select alert_id, note, min(at) as at, count(*) as n from alert_log"
            " where move = 'escalated' group by alert_id, note"
        )
        assert len(lines) == 6 * count
        assert {row["n"] for row in lines} == {1}
        for row in lines:
            due_at = opened_at + timedelta(seconds=int(row["note"].partition("hace ")[2].partition(" ")[0]))
            assert row["at"] >= due_at
            assert row["at"] <= max(due_at, up_at) + timedelta(seconds=1)
        # texts are as many as steps, whether they went out already or wait for the dead hub's lease
        texts = await pool.fetch("select distinct alert_id, text from notifications")
        assert len(texts) == await pool.fetchval("select count(*) from notifications") == (6 + 1) * count
        assert (data / "sms.jsonl").stat().st_size > 0
