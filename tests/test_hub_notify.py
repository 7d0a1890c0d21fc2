"""Notifications: words, who is told, the queue of rows, the loop that sends, the file, the contacts."""

import asyncio
import dataclasses
import json
import os
import signal
import sys
import textwrap
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from fakes import VirtualClock, eventually
from hypothesis import given
from hypothesis import strategies as st

from edge.contract import uuid7
from hub.alerts import service as alerts
from hub.alerts.finding import Finding
from hub.alerts.model import RESTRICTED_KINDS, Outcome
from hub.database import Pool
from hub.notify import contacts, queue, service
from hub.notify.policy import NotifySettings, drafts_for, next_attempt_at, retry_delay_s
from hub.notify.text import GSM7, alert_text, economic, kind_word, notice_text, restricted_text
from hub.notify.transports import Health, Outgoing, TransportError, TransportEvent
from hub.notify.transports.file import FileTransport

NOW = datetime(2026, 11, 24, 0, 4, tzinfo=UTC)  # 21:04 in Santiago
SETTINGS = NotifySettings(duty_phone="+56987650000")


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


def outcome(**changes: Any) -> Outcome:
    of_outcome = {name: changes.pop(name) for name in ("opened", "raised", "code") if name in changes}
    one = finding(**changes)
    values: dict[str, Any] = {
        "alert_id": uuid.UUID(int=7),
        "code": "K7",
        "kind": one.kind,
        "priority": one.priority,
        "opened": True,
        "raised": False,
        "finding": one,
    }
    return Outcome(**(values | of_outcome))


# ------------------------------------------------------------------------------------------ words


def test_the_text_of_an_alert_says_what_where_when_and_what_to_do() -> None:
    text = alert_text(
        code="K7", kind="panic", place="Los Boldos 12", happened_at=NOW, now=NOW, emergency_number="133"
    )
    assert text == (
        "ALERTA K7 PANICO Los Boldos 12, 21:04. Responda 1 voy, 2 sin novedad, 3 ayuda."
        " No se enfrente. Emergencia 133."
    )


def test_economic_text_drops_only_the_accents_that_cost() -> None:
    assert economic("Población Ñuñoa, ¿café pingüino? ¡Ánimo!") == (
        "Poblacion Ñuñoa, ¿café pingüino? ¡Animo!"
    )
    assert economic("“Los  Álamos” – N° 3º\t[b]\x00 €5 🚨") == '"Los Alamos" - N 3o (b) EUR5'


def test_a_text_of_another_day_says_the_day() -> None:
    late = notice_text(
        code="K7", kind="device_silent", place="Cerro", happened_at=NOW, now=NOW + timedelta(hours=12)
    )
    assert late == "AVISO K7 SIN SEÑAL Cerro, 23-11 21:04. Revise la consola."


def test_winter_time_is_told_as_the_clock_on_the_wall_says() -> None:
    winter = datetime(2026, 7, 1, 1, 4, tzinfo=UTC)
    assert ", 21:04." in restricted_text(code="K7", happened_at=winter, now=winter)


def test_a_long_place_is_cut_between_words() -> None:
    place = "Pasaje Los Aromos de la Villa Alemania 1234, detrás de la sede de la junta de vecinos número 8"
    text = alert_text(code="K7", kind="smoke", place=place, happened_at=NOW, now=NOW, emergency_number="132")
    assert len(text) <= 160
    assert "HUMO Pasaje Los Aromos de la Villa Alemania 1234, detras de la sede, 21:04." in text
    assert text.endswith("Emergencia 132.")


def test_an_unknown_kind_is_shown_as_such() -> None:
    assert kind_word("estanque_vacío") == "ESTANQUE VACIO"


ANY_TEXT = st.text(max_size=300)


@given(ANY_TEXT, ANY_TEXT, st.text("ABCDEFGH0123456789", min_size=2, max_size=5), ANY_TEXT, st.booleans())
def test_every_text_fits_one_sms(place: str, kind: str, code: str, number: str, is_drill: bool) -> None:
    long_ago = NOW - timedelta(days=3)
    texts = [
        alert_text(
            code=code,
            kind=kind,
            place=place,
            happened_at=long_ago,
            now=NOW,
            emergency_number=number,
            is_drill=is_drill,
        ),
        notice_text(code=code, kind=kind, place=place, happened_at=long_ago, now=NOW, is_drill=is_drill),
    ]
    for text in texts:
        assert len(text) <= 160
        assert set(text) <= GSM7 - {"\n", "\r"}
        assert code in text


# -------------------------------------------------------------------------------- who is told


def groups(*outcomes: Outcome) -> list[str | None]:
    return [draft.watch_group for draft in drafts_for(outcomes, SETTINGS, NOW)]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"priority": 1}, [None, "Los Boldos"]),
        ({"priority": 2, "kind": "gate_open"}, [None, "Los Boldos"]),
        ({"priority": 3, "kind": "gate_open"}, [None]),
        ({"priority": 4, "kind": "battery_low"}, []),
        ({"priority": 1, "watch_group": ""}, [None]),
        ({"priority": 2, "kind": "device_silent"}, [None]),
        ({"priority": 1, "is_drill": True}, [None]),
        ({"priority": 1, "opened": False}, []),
        ({"priority": 1, "opened": False, "raised": True}, [None, "Los Boldos"]),
    ],
)
def test_who_is_told_depends_on_urgency_and_kind(changes: dict[str, Any], told: list[str | None]) -> None:
    assert groups(outcome(**changes)) == told


@pytest.mark.parametrize("kind", sorted(RESTRICTED_KINDS))
def test_a_restricted_alert_tells_only_the_duty_phone_and_nothing(kind: str) -> None:
    secret = outcome(
        kind=kind, place="CANARIO 12", sector="CANARIO", summary="CANARIO", watch_group="CANARIO"
    )
    [draft] = drafts_for([secret], SETTINGS, NOW)
    assert draft.watch_group is None
    assert draft.text == "AVISO K7, 21:04. Revise la consola."
    # the same text, whatever the alert is about
    assert drafts_for([outcome(kind=kind, place="otro")], SETTINGS, NOW)[0].text == draft.text


def test_the_emergency_number_is_a_setting() -> None:
    settings = NotifySettings(emergency_number="1414", emergency_numbers={"smoke": "132"})
    panic, smoke = (
        drafts_for([outcome(kind=kind, watch_group="")], settings, NOW)[0] for kind in ("panic", "smoke")
    )
    assert panic.text.endswith("Emergencia 1414.")
    assert smoke.text.endswith("Emergencia 132.")


def test_a_drill_says_that_it_is_one() -> None:
    [draft] = drafts_for([outcome(is_drill=True)], SETTINGS, NOW)
    assert draft.text.startswith("SIMULACRO K7 PANICO")


def test_retries_slow_down_and_end() -> None:
    assert [retry_delay_s(n) for n in (1, 2, 3, 7, 1000)] == [1, 2, 4, 60, 60]
    assert next_attempt_at(3, NOW, NOW + timedelta(hours=1)) == NOW + timedelta(hours=1, seconds=4)
    assert next_attempt_at(3, NOW, NOW + timedelta(hours=6)) is None


# ---------------------------------------------------------------------------------- the queue

PEOPLE = "name,phone,watch_group\nAna,+56987650001,Los Boldos\nLuis,+56987650002,Los Boldos\n"


async def raise_alerts(
    pool: Pool, *findings: Finding, now: datetime = NOW, settings: NotifySettings = SETTINGS
) -> list[Outcome]:
    """What the intake does in its transaction."""
    async with pool.acquire() as connection, connection.transaction():
        outcomes = await alerts.open_or_join(connection, findings, now)
        await service.enqueue_for(connection, outcomes, now, settings)
    return outcomes


async def rows(pool: Pool, what: str = "*") -> list[Any]:
    return await pool.fetch(f"select {what} from notifications order by recipient")


async def claim(pool: Pool, now: datetime = NOW, limit: int = 50) -> list[queue.Notification]:
    return await queue.claim(pool, "sms", limit, 60, now)


async def test_an_alert_queues_a_text_for_duty_and_each_active_neighbour(pool: Pool) -> None:
    others = "Eva,+56987650003,Otro grupo\nRosa,+56987650004,Los Boldos\n"
    await contacts.import_csv(pool, PEOPLE + others)
    await pool.execute("update contacts set active = false where name = 'Rosa'")
    [one] = await raise_alerts(pool, finding())
    queued = await rows(pool)
    assert [(r["recipient"], r["contact_id"] is None) for r in queued] == [
        ("Ana", False),
        ("Luis", False),
        ("turno", True),
    ]
    assert {(r["alert_id"], r["state"], r["priority"], r["due_at"]) for r in queued} == {
        (one.alert_id, "queued", 1, NOW)
    }
    for row in queued:
        # a UUIDv7 of the hub's clock
        assert row["notification_id"].version == 7
        assert row["notification_id"].int >> 80 == int(NOW.timestamp() * 1000)


async def test_one_text_reaches_one_person_once(pool: Pool) -> None:
    await contacts.import_csv(pool, PEOPLE)
    [one] = await raise_alerts(pool, finding())
    async with pool.acquire() as connection:
        assert (await service.enqueue_for(connection, [one], NOW, SETTINGS)).count == 0
        assert (await service.enqueue_for(connection, [], NOW, SETTINGS)).count == 0
    assert len(await rows(pool)) == 3


async def test_nothing_is_queued_when_the_transaction_fails(pool: Pool) -> None:
    async with pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        outcomes = await alerts.open_or_join(connection, [finding()], NOW)
        assert (await service.enqueue_for(connection, outcomes, NOW)).count == 1
        await transaction.rollback()
    assert await rows(pool) == []


async def test_the_most_urgent_is_claimed_first(pool: Pool) -> None:
    for number, priority in enumerate((3, 2, 1, 3, 1)):
        await raise_alerts(
            pool,
            finding(f"k:{number}", priority=priority, watch_group=""),
            now=NOW + timedelta(seconds=number),
        )
    later = NOW + timedelta(minutes=1)
    first, rest = await claim(pool, later, limit=3), await claim(pool, later)
    assert [(n.priority, (n.due_at - NOW).seconds) for n in first + rest] == [
        (1, 2),
        (1, 4),
        (2, 1),
        (3, 0),
        (3, 3),
    ]
    assert first[0].code
    assert first[0].attempts == 1


async def test_two_hubs_never_claim_the_same_text(pool: Pool) -> None:
    await raise_alerts(pool, *(finding(f"k:{n}", watch_group="") for n in range(200)))
    claims = await asyncio.gather(*(claim(pool, limit=25) for _ in range(8)))
    ids = [n.notification_id for part in claims for n in part]
    assert len(ids) == len(set(ids)) == 200


async def test_a_hub_that_hangs_on_one_text_does_not_hold_up_the_rest(pool: Pool) -> None:
    await raise_alerts(pool, finding("k:1", watch_group=""), finding("k:2", watch_group=""))
    async with pool.acquire() as hanging, hanging.transaction():
        held = await hanging.fetchval("select notification_id from notifications limit 1 for update")
        async with asyncio.timeout(5):
            [free] = await claim(pool)
        assert free.notification_id != held


async def test_a_text_is_not_claimed_before_it_is_due(pool: Pool) -> None:
    await raise_alerts(pool, finding(watch_group=""), now=NOW + timedelta(seconds=10))
    assert await claim(pool) == []
    assert len(await claim(pool, NOW + timedelta(seconds=10))) == 1


async def test_a_stalled_text_is_claimed_again_when_its_lease_is_over(pool: Pool) -> None:
    await raise_alerts(pool, finding(watch_group=""))
    [first] = await claim(pool)
    assert await claim(pool, NOW + timedelta(seconds=59)) == []
    [second] = await claim(pool, NOW + timedelta(seconds=60))
    assert (second.notification_id, second.attempts) == (first.notification_id, 2)
    # who lost the lease can no longer give the text up, but what it did send is sent
    await queue.mark_failed(pool, [queue.Failed(first, NOW, "late", None)])
    assert [r["state"] for r in await rows(pool)] == ["queued"]
    await queue.mark_sent(pool, [queue.Sent(first, NOW, ("ref-1",))])
    [row] = await rows(pool)
    assert (row["state"], row["sent_at"], row["transport_ref"], row["lease_until"]) == (
        "sent",
        NOW,
        "ref-1",
        None,
    )


async def test_the_timeline_names_who_was_told_and_no_phone(pool: Pool) -> None:
    await contacts.import_csv(pool, PEOPLE)
    [one] = await raise_alerts(pool, finding())
    claimed = await claim(pool)
    assert sorted(n.phone or "" for n in claimed) == ["", "+56987650001", "+56987650002"]
    await queue.mark_sent(pool, [queue.Sent(n, NOW, ()) for n in claimed])
    await queue.mark_sent(pool, [queue.Sent(n, NOW, ()) for n in claimed])
    lines = await alerts.timeline(pool, one.alert_id)
    assert [(e.move, e.author, e.note) for e in lines[1:]] == [("notified", "hub:notify", "Ana, Luis, turno")]


async def test_what_was_not_tried_is_given_back_as_it_was(pool: Pool) -> None:
    await raise_alerts(pool, finding(watch_group=""))
    await queue.release(pool, await claim(pool))
    [again] = await claim(pool)
    assert again.attempts == 1


# ---------------------------------------------------------------------------------- the loop


class Recorder:
    """A transport that keeps what it was handed, and first does what the test wants."""

    def __init__(self, before: Callable[[Outgoing], Any] = lambda _: None) -> None:
        self.sent: list[Outgoing] = []
        self.tried = 0
        self.before = before

    async def send(self, message: Outgoing) -> tuple[str, ...]:
        self.tried += 1
        waiting = self.before(message)
        if waiting is not None:
            await waiting
        self.sent.append(message)
        return (f"ref-{len(self.sent)}",)

    async def events(self) -> AsyncIterator[TransportEvent]:
        nothing: tuple[TransportEvent, ...] = ()
        for event in nothing:
            yield event

    async def health(self) -> Health:
        return Health(is_ok=True)

    async def run_loop(self) -> None: ...


@asynccontextmanager
async def running(
    pool: Pool, clock: VirtualClock, wake: asyncio.Event | None = None, **transports: Any
) -> AsyncIterator[list[service.Notification]]:
    """The loop; yields what it says that it sent."""
    told: list[service.Notification] = []
    task = asyncio.create_task(
        service.notify_loop(
            pool,
            transports,
            clock,
            wake or asyncio.Event(),
            "hub-1",
            on_sent=lambda notification, _: told.append(notification),
            settings=SETTINGS,
        )
    )
    try:
        yield told
    finally:
        assert not task.done(), task.exception()
        task.cancel()
        await asyncio.wait([task])


async def states(pool: Pool) -> list[str]:
    return [r["state"] for r in await rows(pool)]


async def test_a_text_goes_out_when_the_loop_is_woken(pool: Pool) -> None:
    clock, wake, modem = VirtualClock(NOW), asyncio.Event(), Recorder()
    await contacts.import_csv(pool, PEOPLE)
    async with running(pool, clock, wake, sms=modem) as told:
        await clock.sleeping()
        [one] = await raise_alerts(pool, finding())
        wake.set()  # no time passes: the poll has no part in this
        await eventually(lambda: len(modem.sent) == 3)
        await eventually(lambda: _are_all_sent(pool))
    assert {(m.to, m.recipient) for m in modem.sent} == {
        ("+56987650000", "turno"),
        ("+56987650001", "Ana"),
        ("+56987650002", "Luis"),
    }
    assert {(m.alert_id, m.code, m.at) for m in modem.sent} == {(one.alert_id, one.code, NOW)}
    assert len(told) == 3
    assert [r["attempts"] for r in await rows(pool)] == [1, 1, 1]


async def _are_all_sent(pool: Pool) -> bool:
    return set(await states(pool)) == {"sent"}


async def test_what_was_queued_before_the_start_goes_out_at_once(pool: Pool) -> None:
    await raise_alerts(pool, finding(watch_group=""))
    modem = Recorder()
    async with running(pool, VirtualClock(NOW), sms=modem):
        await eventually(lambda: _are_all_sent(pool))


async def test_a_text_that_nobody_told_of_is_found_by_the_poll(pool: Pool) -> None:
    clock, modem = VirtualClock(NOW), Recorder()
    async with running(pool, clock, sms=modem):
        await clock.sleeping()
        await raise_alerts(pool, finding(watch_group=""))
        await clock.advance(service.POLL_S)
        await eventually(lambda: _are_all_sent(pool))


async def test_a_failure_is_tried_again_later_and_later(pool: Pool) -> None:
    def fail_twice(_: Outgoing) -> None:
        if modem.tried <= 2:
            raise TransportError("no signal", permanent=False)

    clock, modem = VirtualClock(NOW), Recorder(fail_twice)
    await raise_alerts(pool, finding(watch_group=""))
    async with running(pool, clock, sms=modem):
        for tried, due_in_s in ((1, 1), (2, 2)):
            await eventually(lambda t=tried: _is_waiting(pool, t))
            [row] = await rows(pool)
            assert row["due_at"] == clock.now() + timedelta(seconds=due_in_s)
            assert row["error"] == "no signal"
            await clock.advance(due_in_s)
        await eventually(lambda: _are_all_sent(pool))
    assert (await rows(pool))[0]["error"] == ""


async def _is_waiting(pool: Pool, attempts: int) -> bool:
    [row] = await rows(pool)
    return (row["state"], row["attempts"], row["lease_until"]) == ("queued", attempts, None)


async def test_a_failure_for_good_is_in_the_timeline_and_not_repeated(pool: Pool) -> None:
    def refuse(_: Outgoing) -> None:
        raise TransportError("number does not exist", permanent=True)

    clock, modem = VirtualClock(NOW), Recorder(refuse)
    [one] = await raise_alerts(pool, finding(watch_group=""))
    async with running(pool, clock, sms=modem):
        await eventually(lambda: _has_state(pool, "failed"))
        await clock.advance(100)
    assert modem.tried == 1
    lines = await alerts.timeline(pool, one.alert_id)
    assert [(e.move, e.note) for e in lines[1:]] == [("notify_failed", "turno")]


async def _has_state(pool: Pool, state: str) -> bool:
    return state in await states(pool)


async def test_a_text_older_than_six_hours_is_given_up(pool: Pool) -> None:
    def fail(_: Outgoing) -> None:
        raise TransportError("no signal", permanent=False)

    await raise_alerts(pool, finding(watch_group=""))
    clock = VirtualClock(NOW + timedelta(hours=6))
    async with running(pool, clock, sms=Recorder(fail)):
        await eventually(lambda: _has_state(pool, "failed"))


async def test_a_contact_who_was_switched_off_meanwhile_gets_nothing(pool: Pool) -> None:
    await contacts.import_csv(pool, PEOPLE)
    await raise_alerts(pool, finding())
    await pool.execute("update contacts set active = false where name = 'Ana'")
    modem = Recorder()
    async with running(pool, VirtualClock(NOW), sms=modem):
        await eventually(lambda: _has_state(pool, "sent"))
        await eventually(lambda: _has_state(pool, "failed"))
    assert [(r["recipient"], r["state"]) for r in await rows(pool)] == [
        ("Ana", "failed"),
        ("Luis", "sent"),
        ("turno", "sent"),
    ]


async def test_a_broken_transport_does_not_stop_the_others(pool: Pool) -> None:
    forever = asyncio.Event()

    def break_down(_: Outgoing) -> None:
        raise ZeroDivisionError("a defect that names +56987650001")

    await raise_alerts(pool, *(finding(f"k:{n}", watch_group="") for n in range(3)))
    ids = [r["notification_id"] for r in await rows(pool)]
    await pool.execute("update notifications set transport = 'hangs' where notification_id = $1", ids[0])
    await pool.execute("update notifications set transport = 'breaks' where notification_id = $1", ids[1])
    hanging, breaking, modem = Recorder(lambda _: forever.wait()), Recorder(break_down), Recorder()
    async with running(pool, VirtualClock(NOW), hangs=hanging, breaks=breaking, sms=modem):
        await eventually(lambda: modem.sent and breaking.tried and hanging.tried)
        await eventually(lambda: _broke_quietly(pool))


async def _broke_quietly(pool: Pool) -> bool:
    return [r["error"] for r in await rows(pool, "error, recipient")].count("ZeroDivisionError") == 1


async def test_a_transport_that_hangs_is_let_go(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "SEND_TIMEOUT_S", 0.01)
    forever = asyncio.Event()
    await raise_alerts(pool, finding(watch_group=""))
    async with running(pool, VirtualClock(NOW), sms=Recorder(lambda _: forever.wait())):
        await eventually(lambda: _is_waiting(pool, 1))
    assert "sin respuesta" in (await rows(pool))[0]["error"]


async def test_something_urgent_passes_a_long_queue_of_a_slow_transport(pool: Pool) -> None:
    clock = VirtualClock(NOW)
    gate: asyncio.Queue[None] = asyncio.Queue()

    async def slow() -> None:
        await gate.get()
        await clock.advance(3)  # a modem needs its seconds

    modem = Recorder(lambda _: slow())
    await raise_alerts(
        pool, *(finding(f"k:{n}", kind="gate_open", priority=3, watch_group="") for n in range(10))
    )
    async with running(pool, clock, sms=modem):
        await eventually(lambda: modem.tried == 1)
        await raise_alerts(pool, finding())
        for number in range(1, 12):
            gate.put_nowait(None)
            await eventually(lambda n=number: len(modem.sent) == n)
    assert [m.priority for m in modem.sent] == [3, 1, *[3] * 9]


async def test_a_database_that_goes_away_delays_texts_and_loses_none(pool: Pool, dsn: str) -> None:
    clock, modem, wake = VirtualClock(NOW), Recorder(), asyncio.Event()
    admin = await asyncpg.connect(dsn)
    async with running(pool, clock, wake, sms=modem):
        await clock.sleeping()
        await raise_alerts(pool, finding(watch_group=""))
        await admin.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where datname = current_database() and pid <> pg_backend_pid()"
        )
        wake.set()
        while not modem.sent:
            await clock.advance(1)
        await eventually(lambda: _are_all_sent(pool))
    await admin.close()


SENDER = """
    import asyncio, sys
    from pathlib import Path
    from hub.clock import SystemClock
    from hub.database import connect
    from hub.notify import queue, service
    from hub.notify.transports.file import FileTransport

    async def main(dsn, path):
        async def hang(pool, sent):
            print("sent", flush=True)
            await asyncio.Event().wait()
        queue.mark_sent = hang
        pool = await connect(dsn)
        transports = {"sms": FileTransport(Path(path))}
        await service.notify_loop(pool, transports, SystemClock(), asyncio.Event(), "hub-1")

    asyncio.run(main(*sys.argv[1:]))
"""


async def test_a_hub_killed_between_sending_and_marking_repeats_once(
    pool: Pool, dsn: str, tmp_path: Path
) -> None:
    path = tmp_path / "sms.jsonl"
    now = datetime.now(UTC)
    await raise_alerts(pool, finding(watch_group="", happened_at=now), now=now)
    hub = await asyncio.create_subprocess_exec(
        sys.executable, "-c", textwrap.dedent(SENDER), dsn, str(path), stdout=asyncio.subprocess.PIPE
    )
    assert hub.stdout is not None
    assert await hub.stdout.readline() == b"sent\n"
    hub.send_signal(signal.SIGKILL)
    await hub.wait()
    assert (await states(pool), len(lines_of(path))) == (["queued"], 1)
    clock = VirtualClock(datetime.now(UTC) + timedelta(seconds=1))
    async with running(pool, clock, sms=FileTransport(path)):
        await clock.sleeping()
        assert len(lines_of(path)) == 1  # its lease still counts
        await clock.advance(service.LEASE_S)
        await eventually(lambda: _are_all_sent(pool))
        await clock.advance(2 * service.LEASE_S)
    first, second = lines_of(path)
    assert first["notification_id"] == second["notification_id"]
    assert first["text"] == second["text"]


# ---------------------------------------------------------------------------------- the file


def message(**changes: Any) -> Outgoing:
    one = Outgoing(
        notification_id=uuid7(NOW),
        at=NOW,
        to="+56987650001",
        recipient="Ana",
        text="ALERTA K7 SIN SEÑAL",
        priority=1,
        alert_id=uuid.UUID(int=7),
        code="K7",
    )
    return dataclasses.replace(one, **changes)


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


@pytest.mark.parametrize("is_synced", [False, True])
async def test_each_text_is_one_line_that_only_its_owner_reads(tmp_path: Path, is_synced: bool) -> None:
    path = tmp_path / "sms.jsonl"
    transport = FileTransport(path, is_synced=is_synced)
    sent = [message(text="línea uno\nlínea dos"), message(alert_id=None)]
    references = [await transport.send(m) for m in sent]
    assert references == [(str(m.notification_id),) for m in sent]
    assert path.stat().st_mode & 0o777 == 0o600
    assert lines_of(path)[0] == {
        "at": "2026-11-24T00:04:00+00:00",
        "to": "+56987650001",
        "recipient": "Ana",
        "text": "línea uno\nlínea dos",
        "notification_id": str(sent[0].notification_id),
        "alert": str(uuid.UUID(int=7)),
        "code": "K7",
    }
    assert lines_of(path)[1]["alert"] is None
    assert (await transport.health()).is_ok
    assert [event async for event in transport.events()] == []


async def test_a_deleted_file_is_started_anew_and_a_missing_folder_is_an_error_for_now(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "sms"
    folder.mkdir()
    transport = FileTransport(folder / "sms.jsonl")
    await transport.send(message())
    (folder / "sms.jsonl").unlink()
    await transport.send(message())
    assert len(lines_of(folder / "sms.jsonl")) == 1
    (folder / "sms.jsonl").unlink()
    folder.rmdir()
    with pytest.raises(TransportError) as caught:
        await transport.send(message())
    assert not caught.value.permanent
    assert "+569" not in str(caught.value)
    assert not (await transport.health()).is_ok
    folder.mkdir()
    await transport.send(message())


async def test_a_full_disk_is_an_error_for_now() -> None:
    with pytest.raises(TransportError, match="No space left") as caught:
        await FileTransport(Path("/dev/full")).send(message())
    assert not caught.value.permanent


async def test_half_a_line_is_taken_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "sms.jsonl"
    transport = FileTransport(path)
    await transport.send(message())
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, data[:20]))
    with pytest.raises(TransportError, match="No space left"):
        await transport.send(message())
    monkeypatch.undo()
    await transport.send(message())
    assert len(lines_of(path)) == 2


# ------------------------------------------------------------------------------------ contacts


@pytest.mark.parametrize(
    "written",
    [
        "987654321",
        "9 8765 4321",
        "56987654321",
        "0056987654321",
        "+56 9 8765 4321",
        "(9)87654321",
        "09-8765 4321",
        "９８７６５４３２１",
    ],
)
def test_a_mobile_is_understood_however_it_is_written(written: str) -> None:
    assert contacts.normal_phone(written) == "+56987654321"


@pytest.mark.parametrize(
    "written",
    [
        *("", "131", "132", "133", "149", "1455", "*4242", "+", "abc", "1-800-PANIC"),
        *("12345678", "98765432", "9876543210", "9" * 100),
        *("+56912345678", "+56900000000", "+56223456789", "+5491123456789"),
    ],
)
def test_what_gets_no_sms_is_refused(written: str) -> None:
    with pytest.raises(ValueError):
        contacts.normal_phone(written)


@given(ANY_TEXT)
def test_any_text_is_a_mobile_or_refused(text: str) -> None:
    try:
        phone = contacts.normal_phone(text)
    except contacts.FieldError:
        return
    assert contacts.normal_phone(phone) == phone


@given(ANY_TEXT)
def test_any_file_is_read_or_refused(text: str) -> None:
    people, problems = contacts.read_csv(f"name,phone\n{text}")
    assert all(p.problem and p.remedy for p in problems)
    assert len({c.phone for c in people}) == len(people)


async def people(pool: Pool) -> list[tuple[str, str, str]]:
    found = await pool.fetch("select name, phone, watch_group from contacts order by phone")
    return [tuple(r) for r in found]


async def test_a_bad_line_is_reported_and_does_not_stop_the_others(pool: Pool) -> None:
    report = await contacts.import_csv(
        pool,
        "\ufeffName;Phone;Watch_Group;correo\n"
        "María Ñuñez;9 8765 0001;Los Boldos;m@x.cl\n"
        "Pedro;133;Los Boldos\n"
        '"Sin cierre;987650002;Los Boldos\n'
        ";987650003;\n"
        "\n"
        "Otra María;+56987650001;Los Boldos\n"
        "José;987650004\n",
    )
    assert await people(pool) == [("María Ñuñez", "+56987650001", "Los Boldos"), ("José", "+56987650004", "")]
    assert (report.created, report.updated, report.unchanged) == (2, 0, 0)
    assert [p.line for p in report.problems] == [3, 4, 5, 7]
    text = contacts.render_report(report)
    assert text.splitlines()[0] == "Contactos: 2 nuevos, 0 actualizados, 0 sin cambios."
    assert "Línea 3: 133 es un número de emergencia o de servicio. " in text
    assert "Línea 7: el teléfono está repetido en el archivo. " in text
    assert "+5698765" not in text


async def test_importing_again_changes_only_what_changed(pool: Pool) -> None:
    await contacts.import_csv(pool, PEOPLE)
    assert (await contacts.import_csv(pool, PEOPLE)).unchanged == 2
    await pool.execute("update contacts set active = false where name = 'Ana'")
    report = await contacts.import_csv(pool, "phone,name\n987650001,Ana María\n987650002,Luis\n")
    assert (report.created, report.updated, report.unchanged) == (0, 1, 1)
    assert await people(pool) == [
        ("Ana María", "+56987650001", "Los Boldos"),
        ("Luis", "+56987650002", "Los Boldos"),
    ]
    assert not await pool.fetchval("select active from contacts where name = 'Ana María'")


@pytest.mark.parametrize("text", ["", "\n;;\n", "nombre,fono\nAna,987650001\n", '"name,phone\n'])
async def test_a_file_without_its_header_is_refused_whole(pool: Pool, text: str) -> None:
    report = await contacts.import_csv(pool, text)
    assert len(report.problems) == 1
    assert await people(pool) == []
