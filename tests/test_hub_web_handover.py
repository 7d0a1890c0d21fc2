"""The hand-over page: one gives the shift away, another takes it, both over what they have seen."""

import re
from datetime import timedelta

import pytest
import test_hub_web
from test_hub_web import Person, Site, fresh, raise_alert

from hub.alerts import service as alerts
from hub.alerts.silences import Sort
from hub.web.shifts import current

site = test_hub_web.site


async def sheet_of(person: Person) -> dict[str, str]:
    """The fields of the page's form, as a browser would send them; empty without one."""
    page = (await person.client.get("/entrega")).text
    fields = dict(re.findall(r'name="(lado|desde|huella)" value="([^"]+)"', page))
    return fields | {"csrf": person.csrf}


async def sign(person: Person, fields: dict[str, str], **more: str) -> tuple[int, str]:
    answer = await person.client.post("/entrega/firmar", data=fields | more)
    return answer.status_code, answer.text


async def test_the_sheet_tells_the_next_shift_what_it_has_to_know(site: Site) -> None:
    now = site.clock.now()
    old = await raise_alert(site, at=now - timedelta(hours=26), place="Las Lomas")
    new = await raise_alert(site, kind="gate_open", priority=2, place="Portón Retamo")
    operator, chief = await site.person("olga"), await site.person("jaime")
    await operator.move(new, "acknowledge")
    await operator.move(await fresh(site, new.alert_id), "close", reason="attended")
    await alerts.create_silence(
        site.pool, sort=Sort.MAINTENANCE, author="jaime", reason="recambio", starts_at=now,
        ends_at=now + timedelta(hours=3), now=now, kind="tamper",
    )  # fmt: skip
    await site.pool.execute("insert into gateways (gateway) values ('gw-1')")
    await site.pool.execute(
        "insert into devices (source, gateway, kind, name, place) values ('a', 'gw-1', 'camera', 'Plaza', '')"
    )
    await site.pool.execute("insert into device_state values (1, $1)", now - timedelta(hours=2))
    await site.clock.advance(60)
    page = (await chief.client.get("/entrega")).text
    sections = dict(re.findall(r'<h2 id="(\w+)">(.*?)</section>', page, re.DOTALL))
    assert old.code in sections["abiertas"]
    assert old.code in sections["vencidas"]
    assert "Portón Retamo" in sections["cambios"]
    assert "Cerró la alerta (olga)" in sections["cambios"]
    assert "recambio" in sections["silencios"]
    assert "Plaza" in sections["fuera"]
    assert await site.audited("handover_read") == [("jaime", "", "")]


async def test_one_gives_the_shift_away_and_another_takes_it(site: Site) -> None:
    operator, chief, auditor = [await site.person(login) for login in ("olga", "jaime", "aida")]
    await raise_alert(site)
    sheet = await sheet_of(operator)
    assert sheet["lado"] == "off"
    assert (await sign(operator, sheet, lado="on"))[0] == 422  # nobody gave it away yet
    assert (await sign(operator, sheet, nota="ojo con el portón"))[0] == 303
    status, text = await sign(operator, sheet)
    assert (status, "ya firmó" in text) == (422, True)
    assert "lado" not in await sheet_of(operator)  # who gives it away does not take it
    page = (await chief.client.get("/entrega")).text
    assert "ojo con el portón" in page
    taking = await sheet_of(chief)
    assert (taking["lado"], taking["desde"]) == ("on", sheet["desde"])
    assert (await sign(auditor, taking | {"csrf": auditor.csrf}))[0] == 403
    await site.clock.advance(60)
    assert (await sign(chief, taking))[0] == 303
    signed = await alerts.signatures(site.pool)
    assert [(s.login, s.role) for s in signed] == [("jaime", "on"), ("olga", "off")]
    assert signed[1].digest == sheet["huella"]
    assert current(signed, site.clock.now()).since == signed[1].at
    assert [who for who, _, _ in await site.audited("handover_signed")] == ["olga", "jaime"]
    page = (await auditor.client.get("/entrega")).text
    assert signed[1].digest[:16] in page


async def test_nobody_signs_what_was_not_on_the_page(site: Site) -> None:
    operator, chief = await site.person("olga"), await site.person("jaime")
    sheet = await sheet_of(operator)
    assert (await sign(operator, sheet, huella="0" * 64))[0] == 409
    assert (await sign(chief, sheet | {"csrf": chief.csrf}))[0] == 409  # olga saw it, he did not
    assert (await sign(operator, sheet, huella="x"))[0] == 422
    await site.clock.advance(2 * 3600)
    assert (await sign(operator, sheet))[0] == 409
    assert await alerts.signatures(site.pool) == []


@pytest.mark.parametrize("since", ["ayer", "2026-11-23T10:00:00", "2020-01-01T00:00:00+00:00"])
async def test_an_address_that_names_no_shift_is_refused(site: Site, since: str) -> None:
    operator = await site.person("olga")
    answer = await operator.client.get("/entrega", params={"desde": since})
    assert answer.status_code == 422


async def test_a_reserved_alert_stands_on_the_sheet_of_its_case_alone_and_without_place(site: Site) -> None:
    secret = await raise_alert(site, kind="duress", place="Pasaje Canario 77", at=site.clock.now())
    operator, auditor = await site.person("olga"), await site.person("aida")
    await operator.move(secret, "acknowledge")
    page = (await operator.client.get("/entrega")).text
    assert secret.code in page
    assert "Canario" not in page
    assert secret.code not in (await auditor.client.get("/entrega")).text
