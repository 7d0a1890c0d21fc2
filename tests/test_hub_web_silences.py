"""The page of silences: what is not to be heard, who asked for it, and until when."""

import re
from datetime import timedelta

import test_hub_web
from test_hub_web import Person, Site

from hub.alerts import service as alerts
from hub.alerts.finding import Finding
from hub.alerts.silences import Silences

site = test_hub_web.site


async def make(person: Person, **fields: str) -> tuple[int, str]:
    values = {"csrf": person.csrf, "clase": "silence", "horas": "4", "motivo": "cambio de portón"}
    answer = await person.client.post("/silencios", data=values | fields)
    return answer.status_code, answer.text


async def test_the_operator_asks_for_quiet_with_a_reason_and_an_end(site: Site) -> None:
    operator, auditor, technician = [await site.person(login) for login in ("olga", "aida", "tito")]
    assert (await make(auditor, tipo="gate_open"))[0] == 403
    assert (await make(technician, tipo="gate_open"))[0] == 403
    for fields, wanted in (
        ({"tipo": "gate_open", "motivo": " "}, "Escriba el motivo"),
        ({}, "Diga qué se silencia"),
        ({"tipo": "panic"}, "no se silencia"),
        ({"tipo": "gate_open", "horas": ""}, "Diga hasta cuándo"),
        ({"tipo": "gate_open", "desde": "mañana"}, "AAAA-MM-DD"),
        ({"dispositivo": "El que sea"}, "No hay un dispositivo con ese nombre"),
        ({"tipo": "gate_open", "horas": "", "hasta": "2020-01-01 00:00"}, "debe ser posterior"),
    ):
        status, text = await make(operator, **fields)
        assert status == 422, fields
        assert wanted in text, fields
    assert await alerts.list_silences(site.pool, site.clock.now()) == []
    assert (await make(operator, tipo="gate_open", sector="Norte"))[0] == 303
    [silence] = await alerts.list_silences(site.pool, site.clock.now())
    assert (silence.author, silence.ends_at - silence.starts_at) == ("olga", timedelta(hours=4))
    for person in (auditor, technician):
        page = (await person.client.get("/silencios")).text
        assert "«Portón abierto», sector Norte" in page
        assert "Terminar ahora" not in page
    assert await site.audited("silence_made") == [("olga", str(silence.silence_id), "silence")]


async def test_what_ends_soon_stands_out_and_anybody_of_the_room_ends_it_early(site: Site) -> None:
    operator, chief = await site.person("olga"), await site.person("jaime")
    await make(operator, tipo="gate_open", horas="168")
    page = (await chief.client.get("/silencios")).text
    assert "por terminar" not in page
    await make(operator, tipo="smoke", horas="4", motivo="quema controlada")
    page = (await chief.client.get("/silencios")).text
    assert page.count("is-ending") == 1
    assert "quedan 4 h 00" in page
    number = re.search(r"/silencios/(\d+)/terminar", page)
    assert number is not None  # the first to end stands first
    token = {"csrf": chief.csrf}
    assert (await chief.client.post(f"/silencios/{number[1]}/terminar", data=token)).status_code == 303
    assert (await chief.client.post("/silencios/999/terminar", data=token)).status_code == 404
    [left] = await alerts.list_silences(site.pool, site.clock.now())
    assert left.kind == "gate_open"
    page = (await chief.client.get("/silencios")).text
    assert "quema controlada" in page.partition("Los últimos que terminaron")[2]
    assert await site.audited("silence_ended") == [("jaime", number[1], "")]


async def test_a_silence_made_on_the_page_holds_back_what_it_names_alone(site: Site) -> None:
    await site.pool.execute("insert into gateways (gateway) values ('gw-1')")
    await site.pool.executemany(
        "insert into devices (source, gateway, kind, name, place) values ($1, 'gw-1', $2, $3, 'Canario 77')",
        [
            ("urn:dev:x:1", "gate", "Portón Retamo"),
            ("urn:dev:x:2", "gate", "Portón doble"),
            ("urn:dev:x:3", "gate", "Portón doble"),
            ("urn:dev:x:4", "duress_button", "Casa de Ana"),
        ],
    )
    operator = await site.person("olga")
    assert "Hay varios" in (await make(operator, dispositivo="portón doble"))[1]
    assert "No hay" in (await make(operator, dispositivo="Casa de Ana"))[1]
    assert (await make(operator, dispositivo="portón retamo", clase="maintenance"))[0] == 303
    assert (await make(operator, dispositivo="urn:dev:x:4", tipo="battery_low"))[0] == 303
    page = (await operator.client.get("/silencios")).text
    assert "Portón Retamo" in page
    assert "Botón silencioso 4" in page
    assert "Ana" not in page
    held = Silences()
    await held.load(site.pool, site.clock.now())
    base = {"rule": "r", "kind": "gate_open", "priority": 2, "summary": "x", "happened_at": site.clock.now()}
    findings = [Finding(**base, dedup_key=str(n), device_id=n) for n in (1, 2)]  # type: ignore[arg-type]
    kept = held.sort_out(findings, site.clock.now() + timedelta(seconds=1)).kept
    assert [finding.device_id for finding in kept] == [2]
