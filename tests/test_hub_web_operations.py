"""Operations on the console: planned, held, recorded, signed and closed by people with their roles."""

import re
from datetime import UTC, date, datetime, timedelta

import httpx
import pytest
from icalendar import Calendar, Event
from test_hub_operations import NOW, example
from test_hub_web import HASHED, Person, Site, site

from hub.operations import importing, reading
from hub.operations.areas import FiledSector
from hub.operations.loading import load_operation
from hub.operations.model import Point
from hub.plan.periods import SANTIAGO
from hub.web.operations import month_of, sketch

__all__ = ["site"]  # a fixture

SQUARE = [[-72.02, -34.38], [-72.0, -34.38], [-72.0, -34.4], [-72.02, -34.4], [-72.02, -34.38]]
FORM = {
    "tipo": "street_trade",
    "nombre": "Feria y costanera",
    "sector": "COSTA",
    "inicio": "2026-11-28T17:00",
    "fin": "2026-11-28T21:00",
    "base": "Ordenanza 07 art. 12\nLey 21.426",
    "institucion": ["DSP", "Carabineros"],
    "rol": ["leads", "joins"],
    "actua": ["autonomous", "assisting"],
    "acompana": ["", ""],
    "personal": ["5", "3"],
    "punto": ["Feria"],
    "latitud": ["-34,39"],
    "longitud": ["-72,01"],
    "antes": "Revisar permisos",
}


async def with_sector(site: Site) -> None:
    area = {"type": "Polygon", "coordinates": [SQUARE]}
    costa = FiledSector(sector="COSTA", name="Borde costero", area=area, is_rural=False, control="")
    await importing.store_sectors(site.pool, [costa], "prueba", NOW)


async def inspector(site: Site) -> Person:
    await site.pool.execute(
        "insert into users (login, name, role, password) values ('ines', 'Inés', 'inspector', $1)", HASHED
    )
    return await site.person("ines")


async def send(person: Person, path: str, **fields: object) -> httpx.Response:
    return await person.client.post(path, data={"csrf": person.csrf, **fields})


async def test_an_operation_goes_from_the_form_to_the_closed_acta(site: Site) -> None:
    await with_sector(site)
    chief, street = await site.person("jaime"), await inspector(site)
    answer = await send(chief, "/operativos", **FORM)
    assert answer.status_code == 303, answer.text
    address = answer.headers["location"]
    assert address == "/operativos/OPF-2026-0001"
    page = (await chief.client.get(address)).text
    assert "Feria y costanera" in page
    assert "<polygon" in page
    listed = (await chief.client.get("/operativos?mes=2026-11")).text
    assert listed.count("OPF-2026-0001") >= 2  # in the calendar and in the list
    assert "OPF-2026-0001" not in (await chief.client.get("/operativos?mes=2026-12")).text

    async def step(what: str, **fields: str) -> httpx.Response:
        version = (await reading.find(site.pool, "OPF-2026-0001")).version
        return await send(chief, f"{address}/mover", paso=what, version=str(version), **fields)

    assert (await step("confirm")).status_code == 303
    assert (await send(street, f"{address}/mover", paso="start", version="2")).status_code == 403
    assert "Falta: que llegue su hora" in (await chief.client.get(address)).text
    early = await step("start")
    assert (early.status_code, "si parte antes, cambie el plan" in early.text) == (422, True)
    await site.pool.execute("update operations set planned_start = $1", site.clock.now())
    assert (await step("start")).status_code == 303
    marks = {"tarea": "1", "visitado": "P1", "despejado": "P1"}
    assert (await send(street, f"{address}/marcar", **marks)).status_code == 303
    assert (await step("execute")).status_code == 303
    page = (await chief.client.get(address)).text
    assert "Falta: cuántas personas de DSP estuvieron" in page
    counts = {"presentes:DSP": "5", "presentes:Carabineros": "2", "total:identity:Carabineros": "20"}
    assert (await send(street, f"{address}/registrar", **counts)).status_code == 303
    for name in ("DSP", "Carabineros"):
        assert (await send(chief, f"{address}/firmar", institucion=name)).status_code == 303
    assert (await step("close")).status_code == 303
    page = (await chief.client.get(f"{address}/acta")).text
    assert "Es la que se cerró" in page
    assert "Controles de identidad" in page
    await site.pool.execute("update operation_counts set total = 21")
    assert "Los registros cambiaron después del cierre" in (await chief.client.get(f"{address}/acta")).text
    changed = [what for _, _, what in await site.audited("operation_changed")]
    assert changed == ["plan", "confirm", "start", "tick", "execute", "count", "sign", "sign", "close"]


async def test_mistakes_are_told_above_the_form_and_nothing_is_lost(site: Site) -> None:
    await with_sector(site)
    chief = await site.person("jaime")
    for changes, why in (
        ({"institucion": [], "rol": [], "personal": []}, "agregue al menos la que lidera"),
        ({"fin": "2026-11-28T10:00"}, "después del inicio"),
        ({"latitud": ["norte"]}, "no es un número"),
        ({"base": ""}, "base legal"),
        ({"observaciones": "vendía 12.345.678-5"}, "RUT"),
        ({"inicio": ""}, "Falta el inicio"),
    ):
        answer = await send(chief, "/operativos", **(FORM | changes))
        assert answer.status_code == 422, why
        assert why in answer.text
        assert "Feria y costanera" in answer.text
    assert await site.pool.fetchval("select count(*) from operations") == 0


async def test_the_plan_is_changed_until_it_begins(site: Site) -> None:
    await with_sector(site)
    chief = await site.person("jaime")
    address = (await send(chief, "/operativos", **FORM)).headers["location"]
    page = (await chief.client.get(f"{address}/cambiar")).text
    assert 'value="2026-11-28T17:00"' in page
    assert 'value="Carabineros"' in page
    answer = await send(chief, f"{address}/cambiar", **FORM, version="1", observaciones="Con drones")
    assert answer.status_code == 303, answer.text
    assert "Con drones" in (await chief.client.get(address)).text
    answer = await send(chief, f"{address}/cambiar", **FORM, version="1")
    assert "Otra persona cambió" in answer.text


async def test_roles_see_and_do_what_is_theirs(site: Site) -> None:
    await with_sector(site)
    chief, street = await site.person("jaime"), await inspector(site)
    address = (await send(chief, "/operativos", **FORM)).headers["location"]
    assert (await street.client.get("/")).headers["location"] == "/operativos"
    assert (await street.client.get(address)).status_code == 200
    assert (await street.client.get("/operativos/nuevo")).status_code == 403
    assert (await send(street, "/operativos", **FORM)).status_code == 403
    operator, technician = await site.person("olga"), await site.person("tito")
    assert (await operator.client.get(address)).status_code == 200
    assert (await send(operator, f"{address}/mover", paso="confirm", version="1")).status_code == 403
    for path in ("/operativos", address, f"{address}/acta"):
        assert (await technician.client.get(path)).status_code == 403
    assert (await chief.client.get("/operativos/OPF-2026-9999")).status_code == 404
    assert (await chief.client.get("/operativos?mes=ayer")).status_code == 422


async def test_a_case_is_tied_by_hand_and_untied_with_a_reason(site: Site) -> None:
    await with_sector(site)
    chief, operator = await site.person("jaime"), await site.person("olga")
    address = (await send(chief, "/operativos", **FORM)).headers["location"]
    await site.pool.execute(
        "insert into alerts (alert_id, code, kind, priority, state, dedup_key, summary, rule, happened_at,"
        " opened_at, last_event_at) values (gen_random_uuid(), 'K7', 'panic', 1, 'received', 'k', 'x', 'r',"
        " $1, $1, $1)",
        site.clock.now(),
    )
    values = {"alerta": "K7", "relacion": "origin", "motivo": "lo dijo la vecina"}
    assert (await send(operator, f"{address}/vincular", **values)).status_code == 303
    page = (await operator.client.get(address)).text
    assert "lo dijo la vecina" in page
    link = re.search(r'name="vinculo" value="(\d+)"', page)
    assert link
    answer = await send(operator, f"{address}/desvincular", vinculo=link[1], motivo="era otra")
    assert answer.status_code == 303
    assert "Hechos vinculados (0)" in (await operator.client.get(address)).text


async def test_the_example_shows_all_that_was_written_down(site: Site) -> None:
    filed, _ = load_operation(example())
    await importing.store(site.pool, filed, author="línea de órdenes", now=NOW)
    chief = await site.person("jaime")
    page = (await chief.client.get("/operativos/OPF-2027-0014")).text
    for text in ("Ordenanza 07 art. 12, parte A-004512", "Decomiso: 34 kg", "Coadyuvante de DSP"):
        assert text in page, text
    assert "solo se conoce su huella" in page


# --------------------------------------------------------------------------------------------- pure


def test_a_month_has_whole_weeks() -> None:
    month = month_of(date(2026, 12, 1), [], date(2026, 12, 5))
    assert (month.before, month.after) == ("2026-11", "2027-01")
    assert {len(week) for week in month.weeks} == {7}
    days = [day for week in month.weeks for day in week]
    assert days[0].day.weekday() == 0
    assert [day.day.day for day in days if day.is_today] == [5]


def test_a_sketch_keeps_directions_and_scale() -> None:
    north, south = (Point(id=name, latitude=y, longitude=-72.0) for name, y in (("N", -34.39), ("S", -34.40)))
    drawn = sketch(None, [north, south])
    assert drawn is not None
    top, bottom = drawn.points
    assert top.x == pytest.approx(bottom.x)
    assert bottom.y - top.y == pytest.approx(1111.95 * drawn.scale_px / drawn.scale_m, rel=0.01)
    assert sketch(None, []) is None
    assert sketch({"type": "Polygon", "coordinates": [SQUARE]}, []) is not None


def test_instants_of_the_example_are_in_order() -> None:
    filed, _ = load_operation(example())
    assert filed.started_at is not None
    assert filed.started_at == datetime(2027, 1, 16, 20, 12, tzinfo=UTC)
    assert filed.ended_at is not None
    assert filed.ended_at - filed.started_at == timedelta(hours=3, minutes=36)


async def test_the_agenda_is_a_calendar_that_follows_changes(site: Site) -> None:
    await with_sector(site)
    chief = await site.person("jaime")
    start = site.clock.now() + timedelta(days=3)
    local = start.astimezone(SANTIAGO)
    hours = {"inicio": f"{local:%Y-%m-%dT%H:%M}", "fin": f"{local + timedelta(hours=4):%Y-%m-%dT%H:%M}"}
    answer = await send(chief, "/operativos", **(FORM | hours))
    assert answer.status_code == 303, answer.text
    folio = answer.headers["location"].rsplit("/", 1)[1]
    for number, (state, because, days) in enumerate(
        [("planned", "", 5), ("cancelled", "sin quórum", 6), ("held", "", 900)], 1
    ):
        await site.pool.execute(
            "insert into council_sessions"
            " (folio, body, starts_at, state, cancelled_because, author, recorded_at)"
            " values ($1, 'council', $2, $3, $4, 'x', $5)",
            *(f"CON-2026-{number:04}", start + timedelta(days=days), state, because, site.clock.now()),
        )

    async def taken() -> dict[str, Event]:
        answer = await chief.client.get("/operativos/agenda.ics")
        assert answer.headers["content-type"].startswith("text/calendar")
        found = Calendar.from_ical(answer.content).walk("VEVENT")
        assert not any(event.errors for event in found)
        return {str(event["UID"]).split("@")[0]: event for event in found}

    first = await taken()
    assert list(first) == [folio, "CON-2026-0001", "CON-2026-0002"]
    operation = first[folio]
    assert (str(operation["SUMMARY"]), str(operation["LOCATION"])) == ("Feria y costanera", "COSTA")
    assert operation["DTSTART"].dt == start.replace(second=0, microsecond=0)
    assert str(operation["URL"]).endswith(f"/operativos/{folio}")
    assert [str(event["STATUS"]) for event in first.values()] == ["TENTATIVE", "TENTATIVE", "CANCELLED"]
    for address in (str(first["CON-2026-0001"]["URL"]), str(operation["URL"])):
        page = await chief.client.get(address.removeprefix(site.url))
        assert page.status_code == 200, address

    page = (await chief.client.get("/operativos")).text
    assert "/operativos/calendario" in page
    await site.pool.execute(
        "update operations set state = 'suspended', suspended_because = 'lluvia', version = version + 1"
    )
    again = (await taken())[folio]
    assert str(again["STATUS"]) == "CANCELLED"
    assert int(again["SEQUENCE"]) > int(operation["SEQUENCE"])
    assert (await site.stranger().get("/operativos/agenda.ics")).status_code == 303
