"""The room and its calendars: consoles say that somebody is there, and the page says who is on call."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta

import test_hub_web
from test_hub_web import Person, Site

from hub.alerts import service as alerts
from hub.alerts.finding import Finding
from hub.alerts.model import Alert
from hub.notify import calendars, policy_file, room
from hub.notify import service as notify

site = test_hub_web.site

ICS = """BEGIN:VCALENDAR
VERSION:2.0
PRODID:-//prueba//ES
BEGIN:VEVENT
UID:noche
SUMMARY:Ana Rojas
DTSTART:20261101T200000
DTEND:20261102T080000
RRULE:FREQ=DAILY
END:VEVENT
END:VCALENDAR
""".replace("\n", "\r\n")


async def beat(person: Person) -> int:
    answer = await person.client.post("/presencia", headers={"X-CSRF-Token": person.csrf})
    return answer.status_code


@asynccontextmanager
async def hub_of(site: Site) -> AsyncIterator[None]:
    """The part of a hub that hears the room's silence, as its composition joins it."""
    policies = policy_file.parse(policy_file.default_text())

    async def on_findings(findings: Sequence[Finding]) -> None:
        now = site.clock.now()
        async with site.pool.acquire() as connection, connection.transaction():
            outcomes = await alerts.receive(connection, findings, now)
            await notify.enqueue_for(connection, outcomes, now, policies=policies)

    watching = asyncio.create_task(room.room_loop(site.pool, site.clock, on_findings))
    try:
        await site.clock.sleeping()
        yield
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)


async def wait(site: Site, minutes: float) -> None:
    """Time passes in the steps in which the loop looks."""
    for _ in range(int(minutes * 60 / room.CADENCE_S)):
        await site.clock.advance(room.CADENCE_S)
        await site.clock.sleeping()


async def silences(site: Site) -> list[Alert]:
    return [a for a in await alerts.list_open(site.pool, priority=1) if a.kind == room.KIND]


async def test_a_room_that_nobody_sits_in_is_a_life_alert_and_two_consoles_hold_it_off(site: Site) -> None:
    operator, chief = await site.person("olga"), await site.person("jaime")
    answer = await chief.client.post("/turnos/central", data={"csrf": chief.csrf, "vigilar": "true"})
    assert answer.status_code == 303
    async with hub_of(site):
        for _ in range(4):  # olga goes after this; jaime came in time
            assert await beat(operator) == 204
            await wait(site, 2)
        assert await beat(chief) == 204
        await wait(site, 4.5)
        assert await silences(site) == []
        await wait(site, 1)
        [alert] = await silences(site)
    page = (await operator.client.get("/")).text
    assert "Central sin operador" in page
    assert "1 alerta de vida sin acuse" in page
    texts = await site.pool.fetch("select text from notifications where alert_id = $1", alert.alert_id)
    assert len(texts) == 1
    due = await site.pool.fetchval("select due_at from escalations where alert_id = $1", alert.alert_id)
    assert due is not None
    # another hub, or the same after a restart: consoles get their five minutes, and it stays one alert
    async with hub_of(site):
        await wait(site, 4.5)
        await wait(site, 2)
        [again] = await silences(site)
        assert again.alert_id == alert.alert_id
        assert await beat(operator) == 204
        await operator.move(again, "acknowledge")
        await operator.move(again, "close", reason="nothing_found", version="", state="")
        await wait(site, 4.5)
        assert await silences(site) == []
    assert await site.audited("room_watched") == [("jaime", "", "on")]


async def test_a_console_counts_only_for_who_keeps_the_room_and_not_too_often(site: Site) -> None:
    operator, auditor, technician = [await site.person(login) for login in ("olga", "aida", "tito")]
    assert [await beat(p) for p in (auditor, technician)] == [403, 403]
    assert (await operator.client.post("/presencia")).status_code == 403  # without the token
    assert (await notify.watch_of(site.pool)).seen == {}
    first = site.clock.now()
    await beat(operator)
    await site.clock.advance(10)
    await beat(operator)
    assert (await notify.watch_of(site.pool)).seen == {"olga": first}
    await site.clock.advance(25)
    await beat(operator)
    assert (await notify.watch_of(site.pool)).seen == {"olga": site.clock.now()}
    denied = await operator.client.post("/turnos/central", data={"csrf": operator.csrf, "vigilar": "true"})
    assert denied.status_code == 403
    assert (await notify.watch_of(site.pool)).since is None


async def test_the_page_shows_who_is_on_call_and_when_nobody_is(site: Site) -> None:
    await site.pool.execute("insert into contacts (name, phone) values ('Ana Rojas', '+56900000001')")
    operator, chief, auditor = [await site.person(login) for login in ("olga", "jaime", "aida")]

    async def give(person: Person, text: str, calendar: str = "jefe_turno") -> tuple[int, str]:
        answer = await person.client.post(
            "/turnos",
            data={"csrf": person.csrf, "calendario": calendar},
            files={"archivo": ("turnos.ics", text.encode(), "text/calendar")},
        )
        return answer.status_code, answer.text

    assert (await auditor.client.get("/turnos")).status_code == 403
    assert (await give(operator, ICS))[0] == 403
    assert (await give(chief, "hola"))[0] == 422
    assert (await give(chief, ICS, "Jefe de Turno"))[0] == 422
    status, text = await give(chief, ICS.replace("Ana Rojas", "Nadie Conocido"))
    assert (status, "no hay un contacto activo" in text) == (422, True)
    status, text = await give(chief, ICS)
    assert (status, "1 turnos guardados" in text) == (200, True)
    page = (await operator.client.get("/turnos")).text
    assert "Ahora: <strong>Ana Rojas</strong>" in page  # 21:04
    assert "14 tramos sin nadie" in page
    assert page.count("<strong>Nadie</strong>") == 14
    assert "+569" not in page
    file = (await operator.client.get("/turnos/jefe_turno.ics")).text
    assert "SUMMARY:Ana Rojas" in file
    assert (await operator.client.get("/turnos/otro.ics")).status_code == 404
    turns = await calendars.turns_of(site.pool, site.clock.now() + timedelta(days=1), "jefe_turno")
    assert [turn.person for turn in turns] == ["Ana Rojas"]
    assert await site.audited("turns_imported") == [("jaime", "jefe_turno", "1")]
