"""Texts that come in: stored, understood, acted on in one transaction, answered; and what they never do."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from fakes import VirtualClock, eventually
from processes import hub_process, run
from village import ANA, DUTY_PHONE, EVA, LUIS, NOW, POLICIES, SETTINGS, Village, after, settled

from edge.contract import uuid7
from hub.alerts import service as alerts
from hub.alerts.lifecycle import Move, Reason, State
from hub.database import Pool
from hub.notify import escalating, following, inbound, people_work, reporting, service
from hub.notify.inbound import Desk
from hub.notify.transports import Health, Inbound, Outgoing, TransportEvent


@pytest.fixture
async def village(pool: Pool) -> Village:
    return await settled(pool)


# ----------------------------------------------------------------------------------------- the walk


async def with_button(village: Village) -> alerts.Alert:
    """An alert that a registered button raised."""
    await village.pool.execute("insert into gateways (gateway) values ('gw-1')")
    device_id = await village.pool.fetchval(
        "insert into devices (source, gateway, kind)"
        " values ('urn:dev:org:32473-boton', 'gw-1', 'panic_button')"
        " returning device_id"
    )
    event_id = uuid7(NOW)
    await village.pool.execute(
        "insert into events (id, device_id, gateway, type, happened_at, time_quality, received_at, digest)"
        " values ($1, $2, 'gw-1', 'panic.pressed', $3, 'device', $3, '')",
        event_id,
        device_id,
        NOW,
    )
    return await village.alert(device_id=device_id, gateway="gw-1", source_event=event_id)


async def test_one_word_takes_the_alert_stops_the_steps_and_lights_the_button(village: Village) -> None:
    alert = await with_button(village)
    assert {r["recipient"] for r in await village.texts()} == {"turno", "Ana Rojas", "Luis Soto", "Eva Paz"}
    answer = await village.sends(ANA, f"1 {alert.code}", after(20))
    assert answer == (
        f"Recibido 21:04. {alert.code}: 1 de 3 confirmo. Observe e informe, no se enfrente. Emergencia 133."
    )
    taken = await village.fresh(alert.alert_id)
    assert (taken.state, taken.acknowledged_by) == (State.ACKNOWLEDGED, "Ana Rojas (SMS)")
    assert await village.answers(alert.alert_id) == {"Ana Rojas": "coming"}
    assert await village.lines(alert.alert_id, "acknowledge") == [
        ("Ana Rojas (SMS)", f"por SMS: «1 {alert.code}»")
    ]
    command = await village.pool.fetchrow("select gateway, name, arguments from commands")
    assert (command["gateway"], command["name"]) == ("gw-1", "show_feedback")
    shown = json.loads(command["arguments"])
    assert (shown["feedback"], shown["text"]) == ("on_its_way", "Recibido 21:04. Un vecino va en camino.")
    # nobody is called any more for want of an acknowledgement
    escalator = escalating.Escalator(pool=village.pool, policies=lambda: POLICIES)
    assert await escalator.fire_due(after(179)) == 0
    assert await village.lines(alert.alert_id, "escalated") == []


async def test_without_an_answer_the_next_step_goes_out(village: Village) -> None:
    alert = await with_button(village)
    escalator = escalating.Escalator(pool=village.pool, policies=lambda: POLICIES)
    assert await escalator.fire_due(after(30)) == 1
    [(_, note)] = await village.lines(alert.alert_id, "escalated")
    assert note == "paso 1, sin acuse hace 30 s: turno"
    assert await village.pool.fetchval("select count(*) from commands") == 0


# -------------------------------------------------------------------------------------- answers


async def test_nothing_found_and_not_coming_are_kept_and_take_nothing(village: Village) -> None:
    alert = await village.alert()
    await village.sends(ANA, "2", after(5))
    await village.sends(LUIS, "no puedo", after(6))
    assert await village.answers(alert.alert_id) == {"Ana Rojas": "nothing_found", "Luis Soto": "not_coming"}
    assert (await village.fresh(alert.alert_id)).state is State.RECEIVED
    assert [author for author, _ in await village.lines(alert.alert_id, "answered")] == [
        "Ana Rojas (SMS)",
        "Luis Soto (SMS)",
    ]


async def test_who_first_comes_and_then_does_not_is_not_counted(village: Village) -> None:
    alert = await village.alert()
    await village.sends(ANA, "voy", after(5))
    await village.sends(ANA, "no puedo ir", after(50))
    assert await village.answers(alert.alert_id) == {"Ana Rojas": "not_coming"}
    assert "0 de 3 confirmaron" in await village.sends(LUIS, "ESTADO", after(60))


async def test_help_at_an_alert_reaches_the_duty_phone_and_makes_it_a_matter_of_life(
    village: Village,
) -> None:
    alert = await village.alert("gate:1", kind="gate_open", priority=2)
    answer = await village.sends(ANA, "3", after(60))
    assert "la central sabe que pide AYUDA" in answer
    assert (await village.fresh(alert.alert_id)).priority == 1
    [text] = [r for r in await village.texts() if "PIDE AYUDA" in r["text"]]
    assert (text["recipient"], text["contact_id"], text["priority"]) == ("turno", None, 1)
    assert (await village.fresh(alert.alert_id)).state is State.RECEIVED  # somebody still has to take it


async def test_two_open_alerts_are_asked_back_once(village: Village) -> None:
    first, second = await village.alert("panic:1"), await village.alert("panic:2")
    answer = await village.sends(ANA, "voy", after(5))
    assert answer.startswith("Hay 2 alertas: ")
    assert first.code in answer
    assert second.code in answer
    assert await village.answers(first.alert_id) == {}
    # the code alone is the rest of that answer
    answer = await village.sends(ANA, second.code.lower(), after(20))
    assert f"{second.code}: 1 de 3 confirmo" in answer
    assert await village.answers(second.alert_id) == {"Ana Rojas": "coming"}


async def test_the_second_time_without_a_code_people_of_the_room_read_it(village: Village) -> None:
    first, second = await village.alert("panic:1"), await village.alert("panic:2")
    await village.sends(ANA, "1", after(5))
    answer = await village.sends(ANA, "1", after(9))
    assert answer == "Recibido 21:04. La central leera su respuesta."
    assert await village.states() == ["done", "unclear"]
    for alert in (first, second):
        assert await village.lines(alert.alert_id, "answered") == [
            ("Ana Rojas (SMS)", "«1» (sin código: puede ser otra alerta)")
        ]
        assert await village.answers(alert.alert_id) == {}


async def test_free_text_goes_to_the_alert_that_the_person_spoke_about_last(village: Village) -> None:
    first, second = await village.alert("panic:1"), await village.alert("panic:2")
    await village.sends(ANA, f"1 {first.code}", after(5))
    answer = await village.sends(ANA, "Veo una camioneta roja sin patente", after(60))
    assert first.code in answer
    assert ("Ana Rojas (SMS)", "«Veo una camioneta roja sin patente»") in await village.lines(
        first.alert_id, "answered"
    )
    assert await village.lines(second.alert_id, "answered") == []


async def test_a_code_of_which_nobody_was_told_reveals_nothing(village: Village) -> None:
    await village.pool.execute("update contacts set active = false where name = 'Eva Paz'")
    alert = await village.alert()
    there = await village.sends(EVA, f"1 {alert.code}", after(5))
    free = "B9" if alert.code != "B9" else "C9"
    nowhere = await village.sends(EVA, f"1 {free}", after(6))
    assert there.replace(alert.code, "XX") == nowhere.replace(free, "XX")
    assert (await village.fresh(alert.alert_id)).state is State.RECEIVED
    assert await village.answers(alert.alert_id) == {}


async def test_the_duty_phone_answers_too_and_alone_hears_of_restricted_alerts(village: Village) -> None:
    alert = await village.alert("vif:1", kind="vif")
    assert "No hay una alerta" in await village.sends(ANA, f"1 {alert.code}", after(5))
    await village.sends(DUTY_PHONE, f"1 {alert.code}", after(9))
    taken = await village.fresh(alert.alert_id)
    assert (taken.state, taken.acknowledged_by) == (State.ACKNOWLEDGED, "turno (SMS)")
    assert await village.pool.fetchval("select count(*) from answer_news") == 0
    assert await village.pool.fetchval("select count(*) from commands") == 0


async def test_the_same_text_brought_twice_is_one(village: Village) -> None:
    alert = await village.alert()
    text = Inbound(sender="9 8765 0001", at=after(3), text="1")
    assert await village.desk.receive("sms", text, after(5))
    assert not await village.desk.receive("sms", text, after(65))
    await village.desk.handle_due(after(65))
    assert len(await village.lines(alert.alert_id, "acknowledge")) == 1
    assert len(await village.texts("answer")) == 1


@pytest.mark.parametrize(
    ("first", "second", "is_new"),
    [
        (("", 3), ("", 3), False),  # a row that is read again
        (("", 3), ("", 180), True),  # the same words, minutes later
        (("m:1", 3), ("m:1", 180), False),  # told again later under its own name
        (("m:1", 3), ("m:2", 3), True),  # twice within a second
    ],
)
async def test_equal_words_are_one_text_only_when_it_is_the_same_delivery(
    village: Village, first: tuple[str, int], second: tuple[str, int], is_new: bool
) -> None:
    texts = [
        Inbound(sender=ANA, at=after(at_s), text="1", reference=reference)
        for reference, at_s in (first, second)
    ]
    found = [await village.desk.receive("operador", text, after(200)) for text in texts]
    assert found == [True, is_new]
    assert await village.desk.receive("otro", texts[1], after(200))


# ------------------------------------------------------------------------------- calls for help


async def test_a_call_for_help_opens_a_life_alert_at_the_persons_place(village: Village) -> None:
    answer = await village.sends(ANA, "A", after(1))
    [row] = await village.pool.fetch("select * from alerts")
    assert answer.startswith(f"Recibido 21:04. Su pedido de AYUDA es la alerta {row['code']}.")
    assert (row["kind"], row["priority"], row["place"], row["sector"]) == (
        "sms_help",
        1,
        "Parcela 4",
        "RURAL NORTE",
    )
    assert (row["latitude"], row["longitude"]) == (-34.3, -71.9)
    assert village.opened == ["sms_help"]
    told = {r["recipient"] for r in await village.texts("alert")}
    assert told == {"turno", "Ana Rojas", "Luis Soto", "Eva Paz"}
    assert await village.pool.fetchval("select count(*) from commands") == 0  # no siren, no light
    assert await village.pool.fetchval("select count(*) from escalations") == 1
    # again: the same alert, and nobody is called anew
    await village.sends(ANA, "AYUDA!!! me persiguen", after(30))
    assert await village.pool.fetchval("select count(*) from alerts") == 1
    assert len(await village.texts("alert")) == 4


async def test_violence_at_home_is_for_the_room_alone(village: Village) -> None:
    answer = await village.sends(ANA, "AYUDA, mi marido me está pegando", after(1))
    assert answer == "Recibido 21:04. Gracias."
    [row] = await village.pool.fetch("select * from alerts")
    assert (row["kind"], row["priority"], row["summary"]) == ("vif", 1, "Atención reservada")
    [text] = await village.texts("alert")
    assert (text["recipient"], text["text"]) == ("turno", f"AVISO {row['code']}, 21:04. Revise la consola.")
    await alerts.move(village.pool, row["alert_id"], Move.DISPATCH, author="olga", now=after(60))
    await people_work.run_once(village.desk, after(300))
    assert {r["purpose"] for r in await village.texts()} == {"alert", "answer"}
    assert "No hay alertas abiertas" in await village.sends(ANA, "ESTADO", after(400))


async def test_who_called_hears_how_it_goes_on_in_plain_words(village: Village) -> None:
    await village.sends(ANA, "ayuda", after(1))
    alert_id = await village.pool.fetchval("select alert_id from alerts")
    code = (await village.fresh(alert_id)).code
    for at_s, move, reason, expected in (
        (60, Move.ACKNOWLEDGE, None, []),
        (90, Move.DISPATCH, None, [f"{code}: Recibido 21:04. Patrulla en camino."]),
        (120, Move.CLOSE, Reason.ATTENDED, [f"{code}: Cerrado: atendido."]),
    ):
        await alerts.move(village.pool, alert_id, move, author="olga", now=after(at_s), reason=reason)
        before = len(await village.texts("outcome"))
        while await following.tell_outcomes(village.pool, after(at_s)):
            pass
        fresh = (await village.texts("outcome"))[before:]
        assert [(r["recipient"], r["text"]) for r in fresh] == [("Ana Rojas", text) for text in expected]


async def test_who_went_hears_the_end(village: Village) -> None:
    alert = await village.alert()
    await village.sends(LUIS, "voy", after(5))
    await alerts.move(village.pool, alert.alert_id, Move.DISPATCH, author="olga", now=after(60))
    await alerts.move(
        village.pool, alert.alert_id, Move.CLOSE, author="olga", now=after(90), reason=Reason.NOTHING_FOUND
    )
    while await following.tell_outcomes(village.pool, after(91)):
        pass
    assert [(r["recipient"], r["text"]) for r in await village.texts("outcome")] == [
        ("Luis Soto", f"{alert.code}: Cerrado: sin novedad.")
    ]


async def test_an_alert_that_became_restricted_tells_nobody_any_more(village: Village) -> None:
    await village.sends(ANA, "ayuda", after(1))
    alert_id = await village.pool.fetchval("select alert_id from alerts")
    await village.pool.execute("update alerts set is_reserved = true")
    await alerts.move(village.pool, alert_id, Move.DISPATCH, author="olga", now=after(60))
    while await following.tell_outcomes(village.pool, after(61)):
        pass
    assert await village.texts("outcome") == []


# ------------------------------------------------------------------------------- who goes


async def test_the_others_are_told_who_goes_and_not_at_every_answer(village: Village) -> None:
    alert = await village.alert()
    await village.sends(ANA, "voy", after(5))
    assert await following.tell_news(village.pool, after(6)) == 1
    news = await village.texts("news")
    assert {r["recipient"] for r in news} == {"Luis Soto", "Eva Paz"}  # Ana knows
    assert news[0]["text"] == f"{alert.code}: 1 de 3 confirmo a las 21:04. Van: Base 2. No se enfrente."
    await village.sends(LUIS, "voy", after(10))
    await village.sends(EVA, "voy", after(11))
    assert await following.tell_news(village.pool, after(60)) == 0
    assert await following.tell_news(village.pool, after(126)) == 1
    newest = {r["text"] for r in (await village.texts("news"))[2:]}
    assert newest == {
        f"{alert.code}: 3 de 3 confirmaron a las 21:06. Van: Base 2, Puma 1, 1 mas. No se enfrente."
    }


@pytest.mark.parametrize(
    ("shows", "names"), [("call_sign", ["Base 2", "1 mas"]), ("first_name", ["Ana", "Eva"]), ("count", [])]
)
def test_a_group_decides_how_its_people_are_named(shows: str, names: list[str]) -> None:
    assert following.shown_names([("Ana Rojas", "Base 2", shows), ("Eva Paz", "", shows)]) == names


# --------------------------------------------------------------------------------- strangers


async def test_a_stranger_learns_nothing_is_answered_once_a_day_and_is_read_by_the_room(
    village: Village,
) -> None:
    alert = await village.alert()
    answer = await village.sends("+56987659999", f"1 {alert.code}", after(5))
    assert answer == "Este numero atiende solo a personas inscritas. Emergencia 133."
    assert await village.sends("+56987659999", "ESTADO", after(60)) == ""
    assert await village.sends("+56987659999", "hola", after(86_000)) == ""
    assert await village.sends("+56987659999", "hola", after(86_500)) != ""
    assert await village.states() == ["unknown"] * 4
    assert (await village.fresh(alert.alert_id)).state is State.RECEIVED
    assert await village.answers(alert.alert_id) == {}


async def test_a_stranger_who_needs_help_is_shown_at_once(village: Village) -> None:
    await village.sends("+56987659999", "ayuda por favor", after(5))
    row = await village.pool.fetchrow("select kind, priority, place, summary from alerts")
    assert (row["kind"], row["priority"], row["place"]) == ("sms_stranger", 3, "")
    assert "9999" not in row["summary"]


@pytest.mark.parametrize("sender", ["ENTEL", "1033", "+5491123456789", "", "\x00\x01"])
async def test_machines_and_foreign_numbers_get_no_answer(village: Village, sender: str) -> None:
    assert await village.sends(sender, "Gane un premio", after(5)) == ""
    assert await village.states() == ["unknown"]


async def test_a_flood_is_stored_and_not_answered_but_a_call_for_help_passes(village: Village) -> None:
    for n in range(inbound.BURST + 5):
        await village.sends(ANA, f"texto {n}", after(n))
    assert (await village.states())[-5:] == ["limited"] * 5
    assert len(await village.texts("answer")) == inbound.MAX_ANSWERS
    await village.sends(ANA, "AYUDA", after(60))
    assert village.opened == ["sms_help"]


async def test_a_text_that_cannot_be_handled_does_not_stop_the_others(
    village: Village, caplog: pytest.LogCaptureFixture
) -> None:
    alert = await village.alert()
    await village.pool.execute(
        "create function refuse() returns trigger language plpgsql as $$ begin"
        " if new.note like '%canario%' then raise exception 'canario +56987650001'; end if;"
        " return new; end $$;"
        " create trigger refuse before insert on alert_log for each row execute function refuse()"
    )
    await village.sends(ANA, "canario", after(1))
    await village.sends(LUIS, "voy", after(2))
    assert await village.answers(alert.alert_id) == {"Luis Soto": "coming"}
    for n in range(inbound.MAX_ATTEMPTS):
        await village.desk.handle_due(after(10 * (n + 1)))
    assert await village.states() == ["failed", "done"]
    assert "canario" not in caplog.text
    assert "+569" not in caplog.text


async def test_two_hubs_handle_each_text_once(village: Village) -> None:
    alert = await village.alert()
    for n in range(10):
        for phone in (ANA, LUIS, EVA):
            await village.desk.receive("sms", Inbound(sender=phone, at=after(n), text=f"voy {'!' * n}"), NOW)
    counts = await asyncio.gather(*(village.desk.handle_due(after(20)) for _ in range(3)))
    assert sum(counts) == 30
    assert await village.states() == ["done"] * 30
    lines = await alerts.timeline(village.pool, alert.alert_id)
    spoken = [line for line in lines if line.move in ("acknowledge", "answered")]
    assert (len(spoken), sum(line.move == "acknowledge" for line in spoken)) == (30, 1)
    assert await village.pool.fetchval("select due_at from answer_news") == after(20)


@pytest.mark.parametrize("body", ["", "\x00", "\ud800", "🚨" * 900, "1" * 5000, "%s {} ' ; --", "\u202eK7 1"])
async def test_any_body_is_stored_and_handled(village: Village, body: str) -> None:
    await village.alert()
    await village.sends(ANA, body, after(1))
    assert (await village.states())[0] in ("done", "unclear")


# ------------------------------------------------------------------------------------ the list


async def test_leaving_and_coming_back_by_text_are_consents(village: Village) -> None:
    assert "responda ALTA" in await village.sends(ANA, "BAJA", after(1))
    assert not await village.pool.fetchval("select active from contacts where phone = $1", ANA)
    alert = await village.alert(at=after(5))
    assert "Ana Rojas" not in {r["recipient"] for r in await village.texts("alert")}
    assert "otra vez" in await village.sends(ANA, "alta", after(60))
    assert await village.pool.fetchval("select active from contacts where phone = $1", ANA)
    rows = await village.pool.fetch("select scope, is_given, how, proof from consents order by consent_id")
    assert [(r["scope"], r["is_given"], r["how"]) for r in rows] == [
        ("alerts", False, "sms"),
        ("alerts", True, "sms"),
    ]
    ids = [
        str(r["text_id"]) for r in await village.pool.fetch("select text_id from inbound_texts order by 1")
    ]
    assert [r["proof"] for r in rows] == ids
    assert alert.is_open


async def test_who_left_may_still_call_for_help(village: Village) -> None:
    await village.sends(ANA, "BAJA", after(1))
    assert "Su pedido de AYUDA" in await village.sends(ANA, "A", after(9))


async def test_whom_the_room_switched_off_does_not_switch_on_by_text(village: Village) -> None:
    await village.pool.execute("update contacts set active = false where phone = $1", ANA)
    assert await village.sends(ANA, "ALTA", after(1)) == "Recibido 21:04. La central revisara su inscripcion."
    assert not await village.pool.fetchval("select active from contacts where phone = $1", ANA)


async def test_test_status_and_bulletins(village: Village) -> None:
    assert "Prueba correcta" in await village.sends(ANA, "PRUEBA", after(1))
    assert "No hay alertas abiertas" in await village.sends(ANA, "ESTADO", after(2))
    alert = await village.alert(at=after(3))
    answer = await village.sends(ANA, "estado", after(4))
    assert answer == f"Recibido 21:04. {alert.code} PANICO: recibida, 0 de 3 confirmaron."
    await village.sends(ANA, "ALTA BOLETIN", after(5))
    assert await village.pool.fetchval("select bulletins from contacts where phone = $1", ANA)
    await village.sends(ANA, "BAJA BOLETIN", after(6))
    assert not await village.pool.fetchval("select bulletins from contacts where phone = $1", ANA)
    assert await village.pool.fetchval("select active from contacts where phone = $1", ANA)


# ----------------------------------------------------------------------------------- the loops


class Phone:
    """A transport whose events a test feeds."""

    def __init__(self) -> None:
        self.events_queue: asyncio.Queue[TransportEvent] = asyncio.Queue()
        self.sent: list[Outgoing] = []

    async def send(self, message: Outgoing) -> tuple[str, ...]:
        self.sent.append(message)
        return (str(len(self.sent)),)

    async def run_loop(self) -> None:
        return

    async def events(self) -> AsyncIterator[TransportEvent]:
        while True:
            yield await self.events_queue.get()

    async def health(self) -> Health:
        return Health(is_ok=True)


async def test_from_the_modem_to_the_answer_that_leaves_by_it(village: Village) -> None:
    alert = await village.alert()
    phone, clock, wake, heard = Phone(), VirtualClock(NOW), asyncio.Event(), asyncio.Event()
    desk = Desk(pool=village.pool, settings=SETTINGS, policies=lambda: POLICIES, wake=wake.set)

    async def on_inbound(transport: str, text: Inbound) -> None:
        await desk.receive(transport, text, clock.now())
        heard.set()

    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(loop)
            for loop in (
                reporting.events_loop(village.pool, "sms", phone, clock, on_inbound),
                people_work.people_loop(desk, clock, heard),
                service.notify_loop(village.pool, {"sms": phone}, clock, wake, "hub-1", settings=SETTINGS),
            )
        ]
        await phone.events_queue.put(Inbound(sender="987650001", at=NOW, text=f"1 {alert.code}"))
        await eventually(lambda: any(m.to == ANA and "confirmo" in m.text for m in phone.sent))
        await eventually(lambda: any(m.to == LUIS and "Van: Base 2" in m.text for m in phone.sent))
        for task in tasks:
            task.cancel()
    assert (await village.fresh(alert.alert_id)).state is State.ACKNOWLEDGED


async def test_old_words_are_forgotten(village: Village) -> None:
    await village.sends(ANA, "PRUEBA", NOW)
    await inbound.forget_old(village.pool, NOW + timedelta(days=inbound.KEPT_DAYS - 1))
    assert await village.states() == ["done"]
    await village.pool.execute("update notifications set state = 'sent'")
    await inbound.forget_old(village.pool, NOW + timedelta(days=inbound.KEPT_DAYS + 1))
    assert await village.states() == []
    assert await village.texts() == []


async def test_a_running_hub_acts_on_a_text_and_answers_it(server_folder: Path, dsn: str, pool: Pool) -> None:
    await settled(pool)
    folder = server_folder / "hub"
    async with hub_process(folder, "--data", str(folder), "--database", dsn):
        code, _ = await run("hub.cli", "texts", "receive", ANA, "A", "--database", dsn)
        assert code == 0
        path = folder / "sms.jsonl"
        # Ana's answer leaves first, then those who may help
        await eventually(lambda: path.is_file() and LUIS in path.read_text("utf-8"))
        lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    answer = next(line for line in lines if "Su pedido de AYUDA" in line["text"])
    assert answer["to"] == ANA
    assert any("PIDE AYUDA" in line["text"] and line["to"] == LUIS for line in lines)
