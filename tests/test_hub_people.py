"""Groups and their people: lists, who is called when nobody answers, drills, bulletins."""

import asyncio
import csv
import hashlib
import io
import json
from datetime import UTC, datetime, time, timedelta
from typing import Any

import pytest
from fakes import VirtualClock
from village import ANA, EVA, LUIS, NOW, SETTINGS, Village, after, settled

from hub.alerts import service as alerts
from hub.alerts.finding import Finding
from hub.alerts.lifecycle import Reason
from hub.database import Pool
from hub.notify import bulletins, call_tree, contacts, drills, groups, people_work
from hub.notify.bulletins import BulletinError
from hub.notify.call_tree import Callee, next_to_call
from hub.notify.calls import CallError, record_call
from hub.notify.contact_file import COLUMNS
from hub.notify.drills import DrillError
from hub.notify.phones import masked, sender_of


@pytest.fixture
async def village(pool: Pool) -> Village:
    return await settled(pool)


# ------------------------------------------------------------------------------------------ lists

FULL = (
    "name,phone,watch_group,cell,place,role,call_order,call_sign,signal,quiet_from,quiet_until,bulletins,"
    "consent_on,consent_how,consent_by,consent_proof\n"
    "Ana Rojas,987650001,Los Boldos,Norte,Parcela 4,Base,1,Base 2,Buena,23:00,7:00,sí,"
    "2026-10-02,papel,Jaime Rojas,folio 12\n"
    "Luis Soto,987650002,Los Boldos,Sur,,Guía,2,Puma 1,mala,,,no,,,,\n"
)


async def test_a_full_list_is_kept_and_exported_as_it_came(pool: Pool) -> None:
    report = await contacts.import_csv(pool, FULL)
    assert (report.created, report.problems) == (2, ())
    ana, luis = await contacts.list_people(pool, watch_group="Los Boldos")
    assert (ana.cell, ana.role, ana.call_order, ana.call_sign, ana.signal) == (
        "Norte",
        "base",
        1,
        "Base 2",
        "buena",
    )
    assert (ana.quiet_from, ana.quiet_until, ana.bulletins) == (time(23), time(7), True)
    assert (ana.consent_how, ana.consent_by, ana.consent_proof) == ("papel", "Jaime Rojas", "folio 12")
    assert (luis.role, luis.consent_at) == ("guia", None)
    text = await contacts.export_csv(pool)
    rows = list(csv.DictReader(io.StringIO(text)))
    assert tuple(rows[0]) == COLUMNS
    assert rows[0]["consent_on"] == "2026-10-02"
    assert (await contacts.import_csv(pool, text)).unchanged == 2
    assert await contacts.export_csv(pool) == text
    assert [g.name for g in await groups.list_groups(pool)] == ["Los Boldos"]


async def test_what_a_list_has_no_column_for_is_left_alone_and_an_empty_cell_clears(pool: Pool) -> None:
    await contacts.import_csv(pool, FULL)
    await contacts.import_csv(pool, "name,phone,cell\nAna Rojas,987650001,Centro\n")
    [ana, _] = await contacts.list_people(pool)
    assert (ana.cell, ana.role, ana.quiet_from, ana.bulletins) == ("Centro", "base", time(23), True)
    await contacts.import_csv(pool, "name,phone,quiet_from,quiet_until,call_order\nAna Rojas,987650001,,,\n")
    [ana, _] = await contacts.list_people(pool)
    assert (ana.quiet_from, ana.quiet_until, ana.call_order, ana.cell) == (None, None, None, "Centro")


@pytest.mark.parametrize(
    ("cells", "problem"),
    [
        ("Ana,987650001,jefa,,,", "no se conoce el rol «jefa»"),
        ("Ana,987650001,,x,,", "el orden de llamado «x» no es un número"),
        ("Ana,987650001,,0,,", "el orden de llamado «0» no es un número"),
        ("Ana,987650001,,,25:00,7:00", "la hora «25:00» no se entiende"),
        ("Ana,987650001,,,23:00,", "las horas de descanso van de a dos"),
        ("Ana,133,,,,", "133 es un número de emergencia o de servicio"),
        ("Ana,*4242,,,,", "el teléfono tiene caracteres que no son de un número"),
    ],
)
async def test_each_bad_cell_is_named_and_costs_its_line_alone(pool: Pool, cells: str, problem: str) -> None:
    text = f"name,phone,role,call_order,quiet_from,quiet_until\n{cells}\nLuis,987650002,,,,\n"
    report = await contacts.import_csv(pool, text)
    assert [(p.line, p.problem) for p in report.problems] == [(2, problem)]
    assert report.created == 1


async def test_half_a_consent_is_no_consent(pool: Pool) -> None:
    report = await contacts.import_csv(pool, "name,phone,consent_on\nAna,987650001,2026-10-02\n")
    assert report.problems[0].problem == "el consentimiento está incompleto"
    report = await contacts.import_csv(
        pool, "name,phone,consent_on,consent_how,consent_by\nAna,987650001,2/10/26,papel,Jaime\n"
    )
    assert report.problems[0].problem == "el día «2/10/26» no se entiende"


@pytest.mark.parametrize(
    "number", ["987650001", "56987650001", "+56 9 8765 0001", "0056987650001", "09-87650001"]
)
def test_a_sender_is_known_in_every_form_of_the_number(number: str) -> None:
    assert sender_of(number) == ("+56987650001", True)


def test_what_is_no_mobile_is_kept_as_it_came_and_gets_no_answer() -> None:
    assert sender_of("ENTEL") == ("ENTEL", False)
    assert sender_of("\x00") == ("?", False)
    assert masked("+56987654321") == "+569 •••• 4321"


# -------------------------------------------------------------------------------------- call tree


def callee(contact_id: int, **changes: Any) -> Callee:
    values: dict[str, Any] = {
        "contact_id": contact_id,
        "name": f"p{contact_id}",
        "phone": "",
        "role": "",
        "call_order": None,
        "call_sign": "",
        "cell": "",
        "answer": "",
        "calls": 0,
        "outcome": "",
        "called_at": None,
    }
    return Callee(**(values | changes))


def test_the_next_to_call_follows_order_role_and_who_was_tried() -> None:
    people = [callee(1), callee(2, role="guia"), callee(3, role="base"), callee(4, call_order=1)]
    assert [c.contact_id for c in call_tree.in_order(people)] == [4, 3, 2, 1]
    tried = [callee(4, call_order=1, calls=1, outcome="no_answer"), callee(3, answer="coming"), callee(1)]
    chosen = next_to_call(tried)
    assert chosen is not None
    assert chosen.contact_id == 1
    assert next_to_call([callee(1, calls=1, outcome="no_answer")]) is not None  # a second round
    assert next_to_call([callee(1, calls=2, outcome="no_answer"), callee(2, outcome="answered")]) is None


async def test_three_minutes_without_a_quorum_and_the_room_calls(village: Village) -> None:
    alert = await village.alert()
    await village.sends(ANA, "voy", after(20))
    assert await call_tree.watch_quorums(village.pool, after(179)) == 0
    assert await call_tree.watch_quorums(village.pool, after(180)) == 1
    assert await call_tree.watch_quorums(village.pool, after(181)) == 0
    [(author, note)] = await village.lines(alert.alert_id, "call_tree")
    assert (author, note) == ("hub:calls", "confirmaron 1 de 2 del grupo Los Boldos")
    people = await call_tree.callees(village.pool, alert.alert_id)
    first = next_to_call(people)
    assert first is not None
    assert first.name == "Eva Paz"  # Ana comes; nobody has an order, so by name
    await record(village, alert, first.contact_id, "no_answer", 200)
    second = next_to_call(await call_tree.callees(village.pool, alert.alert_id))
    assert second is not None
    assert second.name == "Luis Soto"
    await record(village, alert, second.contact_id, "coming", 230)
    assert await village.answers(alert.alert_id) == {"Ana Rojas": "coming", "Luis Soto": "coming"}
    await call_tree.watch_quorums(village.pool, after(231))
    assert await call_tree.open_trees(village.pool) == []
    assert await village.lines(alert.alert_id, "called") == [
        ("olga", "Eva Paz: no contesta"),
        ("olga", "Luis Soto: va"),
    ]


async def record(village: Village, alert: alerts.Alert, contact_id: int, outcome: str, at_s: float) -> None:
    await record_call(village.pool, alert.alert_id, contact_id, outcome, author="olga", now=after(at_s))


async def test_nobody_is_called_for_a_quorum_in_time_a_drill_or_a_reserved_alert(village: Village) -> None:
    alert = await village.alert()
    for phone in (ANA, LUIS):
        await village.sends(phone, "voy", after(20))
    await village.alert("panic:2", is_drill=True)
    hidden = await village.alert("panic:3")
    await village.pool.execute("update alerts set is_reserved = true where alert_id = $1", hidden.alert_id)
    await village.alert("vif:1", kind="vif")
    assert await call_tree.watch_quorums(village.pool, after(600)) == 0
    with pytest.raises(CallError, match="no está en la lista"):
        await record(village, alert, 999, "coming", 601)


# ------------------------------------------------------------------------------------------ drills


def test_drills_are_planned_by_the_clock_on_the_wall_over_the_year() -> None:
    assert drills.months_to_plan(datetime(2026, 12, 15, tzinfo=UTC)) == [(2026, 12), (2027, 1)]
    # still November in Chile
    assert drills.months_to_plan(datetime(2026, 12, 1, 2, tzinfo=UTC)) == [(2026, 11), (2026, 12)]
    summer, winter = (drills.planned_at(2026, month, 5, time(11)) for month in (1, 7))
    assert (summer.astimezone(UTC).hour, winter.astimezone(UTC).hour) == (14, 15)


async def test_a_monthly_drill_is_planned_once_for_the_group_and_each_button(village: Village) -> None:
    await button(village)
    await village.pool.execute("update watch_groups set drill_day = 5, drill_time = '11:00'")
    await drills.plan(village.pool, NOW)
    await drills.plan(village.pool, NOW)
    found = [(d.sort, d.device, d.planned_at) for d in await drills.list_drills(village.pool)]
    assert found == [
        ("button", "Botón 1", datetime(2026, 12, 5, 14, 45, tzinfo=UTC)),
        ("group", "", datetime(2026, 12, 5, 14, 0, tzinfo=UTC)),
    ]


async def button(village: Village) -> int:
    await village.pool.execute("insert into gateways (gateway) values ('gw-1')")
    device_id: int = await village.pool.fetchval(
        "insert into devices (source, gateway, kind, name, place, watch_group) values"
        " ('urn:dev:org:32473-b1', 'gw-1', 'panic_button', 'Botón 1', 'Parcela 4', 'Los Boldos')"
        " returning device_id"
    )
    return device_id


async def test_a_drill_says_so_judges_each_person_and_keeps_its_proof(village: Village) -> None:
    await village.pool.execute(
        "update contacts set quiet_from = '20:00', quiet_until = '08:00' where phone = $1", EVA
    )
    drill_id = await drills.run_now(village.pool, "Los Boldos", author="jaime", now=NOW)
    alert = await village.fresh(await village.pool.fetchval("select alert_id from drills"))
    assert (alert.is_drill, alert.kind) == (True, "drill")
    texts = await village.texts("drill")
    assert [r["recipient"] for r in texts] == ["Ana Rojas", "Luis Soto"]  # Eva sleeps
    assert texts[0]["text"] == (
        f"SIMULACRO {alert.code} Los Boldos, 21:04. No es una emergencia. Responda 1 para probar su telefono."
    )
    assert texts[0]["priority"] == 4
    answer = await village.sends(ANA, "1", after(40))
    assert answer == f"SIMULACRO. Recibido 21:04. Su respuesta {alert.code} quedo registrada. Gracias."
    assert await village.texts("news") == []
    with pytest.raises(DrillError, match="Ya hay un simulacro"):
        await drills.run_now(village.pool, "Los Boldos", author="jaime", now=after(60))
    assert await drills.run_due(village.pool, SETTINGS, after(1799)) == 0
    assert await drills.run_due(village.pool, SETTINGS, after(1800)) == 1
    drill = await drills.get_drill(village.pool, drill_id)
    assert drill is not None
    assert (drill.state, drill.called, drill.answered) == ("closed", 2, 1)
    found = [(r.name, r.answer, r.answered_s) for r in await drills.results(village.pool, drill)]
    assert found == [("Ana Rojas", "coming", 40), ("Luis Soto", "", None)]
    assert drill.digest == hashlib.sha256(drill.snapshot.encode()).hexdigest()
    assert drill.is_proof_intact
    assert [r["answered_s"] for r in json.loads(drill.snapshot)["results"]] == [40, None]
    assert "Rojas" not in drill.snapshot
    assert "+569" not in drill.snapshot
    closed = await village.fresh(alert.alert_id)
    assert (closed.state, closed.reason) == ("closed", Reason.DRILL)
    await village.pool.execute("update drills set snapshot = replace(snapshot, '40', '4')")
    forged = await drills.get_drill(village.pool, drill_id)
    assert forged is not None
    assert not forged.is_proof_intact


async def test_a_drill_that_the_hub_slept_through_is_missed_and_one_asleep_too(village: Village) -> None:
    await village.pool.execute("update watch_groups set drill_day = 5, drill_time = '11:00'")
    await drills.plan(village.pool, NOW)
    planned = datetime(2026, 12, 5, 14, tzinfo=UTC)
    assert await drills.run_due(village.pool, SETTINGS, planned + timedelta(hours=3)) == 1
    assert [d.state for d in await drills.list_drills(village.pool)] == ["missed"]
    await village.pool.execute("update drills set state = 'planned'")
    await village.pool.execute("update contacts set quiet_from = '10:00', quiet_until = '12:00'")
    await drills.run_due(village.pool, SETTINGS, planned)
    assert [d.state for d in await drills.list_drills(village.pool)] == ["missed"]
    assert await village.texts() == []


async def test_a_press_in_the_window_is_the_buttons_result(village: Village) -> None:
    device_id = await button(village)
    await village.pool.execute("update watch_groups set drill_day = 5")
    await village.pool.execute("update contacts set role = 'guia' where phone = $1", LUIS)
    await drills.plan(village.pool, NOW)
    await village.pool.execute("delete from drills where sort = 'group'")
    begins = datetime(2026, 12, 5, 14, 45, tzinfo=UTC)
    assert await drills.run_due(village.pool, SETTINGS, begins) == 1
    [text] = await village.texts("drill")
    assert (text["recipient"], text["text"]) == (
        "Luis Soto",
        (
            "SIMULACRO. Presione el boton de panico de Parcela 4 entre las 11:45 y las 12:00."
            " Emergencia real: 133."
        ),
    )
    silences = alerts.Silences()
    await silences.load(village.pool, begins)
    pressed = Finding(
        rule="panic_pressed",
        kind="panic",
        priority=1,
        dedup_key="panic:1",
        summary="Botón",
        happened_at=begins,
        device_id=device_id,
        gateway="gw-1",
    )
    async with village.pool.acquire() as connection, connection.transaction():
        await alerts.receive(connection, [pressed], begins + timedelta(seconds=75), silences)
    assert await drills.run_due(village.pool, SETTINGS, begins + drills.BUTTON_LENGTH) == 1
    [drill] = await drills.list_drills(village.pool)
    assert (drill.state, drill.called, drill.answered) == ("closed", 1, 1)
    assert json.loads(drill.snapshot)["results"][0]["answered_s"] == 75


# ---------------------------------------------------------------------------------------- bulletins


async def test_a_bulletin_goes_to_those_who_asked_one_by_one_behind_everything(village: Village) -> None:
    await village.pool.execute("update contacts set bulletins = true where phone <> $1", EVA)
    await village.pool.execute(
        "update contacts set quiet_from = '21:00', quiet_until = '07:00' where phone = $1", LUIS
    )
    with pytest.raises(BulletinError, match="2 personas y usted confirmó 3"):
        await bulletins.send(village.pool, "", "Corte de agua", confirmed=3, author="jaime", now=NOW)
    await bulletins.send(
        village.pool, "Los Boldos", "Mañana corte de agua.", confirmed=2, author="jaime", now=NOW
    )
    texts = await village.texts("bulletin")
    ana, luis = texts
    assert (ana["recipient"], luis["recipient"]) == ("Ana Rojas", "Luis Soto")
    assert ana["due_at"] in (NOW, after(6))
    assert luis["due_at"] == datetime(2026, 11, 24, 10, tzinfo=UTC)  # seven in the morning
    assert {r["priority"] for r in texts} == {4}


@pytest.mark.parametrize("text", ["", "   ", "x" * 161])
def test_a_bulletin_is_one_sms(text: str) -> None:
    with pytest.raises(BulletinError):
        bulletins.checked(text)


async def test_an_alert_overtakes_waiting_bulletins(village: Village) -> None:
    from hub.notify import queue

    await village.pool.execute("update contacts set bulletins = true")
    for n in range(5):
        await bulletins.send(
            village.pool, "", f"Boletín {n}", confirmed=3, author="jaime", now=after(-3600 + n)
        )
    alert = await village.alert()
    claimed = await queue.claim(village.pool, "sms", 100, 15, NOW)
    assert [c.priority for c in claimed] == [1] * 4 + [4] * 15
    assert {c.alert_id for c in claimed[:4]} == {alert.alert_id}


# ------------------------------------------------------------------------------------- the loop


async def test_one_part_that_fails_does_not_hold_up_the_others(
    village: Village,
    caplog: pytest.LogCaptureFixture,
) -> None:
    await village.alert()
    await village.pool.execute("alter table followers rename to gone")
    clock, heard = VirtualClock(after(200)), asyncio.Event()
    task = asyncio.create_task(people_work.people_loop(village.desk, clock, heard))
    await clock.sleeping()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert "outcomes failed: UndefinedTableError" in caplog.text
    assert len(await call_tree.open_trees(village.pool)) == 1
