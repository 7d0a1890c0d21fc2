"""People correct, join and hand on alerts in the console, and see what is promised and who is told."""

import re
import uuid
from dataclasses import replace

import pytest_asyncio
import test_hub_web
from test_hub_web import Person, Site, fresh, raise_alert

from hub.alerts.finding import Finding
from hub.alerts.model import Alert
from hub.alerts.receiving import receive
from hub.notify import policy_file
from hub.notify import service as notify

site = test_hub_web.site


async def change(person: Person, alert: Alert, path: str, **fields: str) -> int:
    values = {"csrf": person.csrf, "version": str(alert.version)}
    answer = await person.client.post(f"/alertas/{alert.alert_id}/{path}", data=values | fields)
    return answer.status_code


async def page_of(person: Person, alert: Alert) -> str:
    return (await person.client.get(f"/alertas/{alert.alert_id}")).text


async def test_the_operator_changes_a_priority_with_a_reason_and_it_is_kept(site: Site) -> None:
    alert = await raise_alert(site, kind="gate_open", priority=3)
    operator, auditor = await site.person("olga"), await site.person("aida")
    assert await change(operator, alert, "prioridad", prioridad="1") == 422
    assert await change(operator, alert, "prioridad", prioridad="7", motivo="x") == 422
    assert await change(auditor, alert, "prioridad", prioridad="1", motivo="x") == 403
    assert (await fresh(site, alert.alert_id)).priority == 3
    assert await change(operator, alert, "prioridad", prioridad="1", motivo="hay gente adentro") == 303
    assert "P3 → P1: hay gente adentro" in await page_of(operator, alert)
    # the page that olga had open is old by now
    assert await change(operator, alert, "prioridad", prioridad="4", motivo="ya no") == 409
    assert await site.audited("alert_amended") == [("olga", str(alert.alert_id), "priority 1")]


async def test_a_classification_names_its_likeness_in_cead_and_keeps_the_first(site: Site) -> None:
    alert = await raise_alert(site, kind="gate_open", priority=3)
    operator = await site.person("olga")
    page = await page_of(operator, alert)
    assert '<option value="DEL.HURTO">Hurto · CEAD: Hurtos</option>' in page
    assert 'value="RUR.PORTON"' in page  # what such an alert most likely is
    assert await change(operator, alert, "clasificar", codigo="NO.EXISTE") == 422
    assert await change(operator, alert, "clasificar", codigo="rur.porton") == 303
    alert = await fresh(site, alert.alert_id)
    assert await change(operator, alert, "clasificar", codigo="DEL.HURTO") == 422  # now with a reason
    assert await change(operator, alert, "clasificar", codigo="DEL.HURTO", motivo="faltan animales") == 303
    page = await page_of(operator, alert)
    assert "CEAD: Hurtos" in page
    assert "primero RUR.PORTON" in page


async def test_only_the_chief_takes_a_reservation_off(site: Site) -> None:
    alert = await raise_alert(site, kind="panic")
    operator, chief = await site.person("olga"), await site.person("jaime")
    assert await change(operator, alert, "clasificar", codigo="VIF") == 303
    alert = await fresh(site, alert.alert_id)
    assert alert.is_restricted
    assert await change(operator, alert, "clasificar", codigo="EMG.MEDICA", motivo="no era") == 403
    assert (await fresh(site, alert.alert_id)).is_restricted
    assert await change(chief, alert, "clasificar", codigo="EMG.MEDICA", motivo="no era") == 303
    assert not (await fresh(site, alert.alert_id)).is_restricted


async def test_an_alert_is_joined_to_an_operation_and_taken_off_with_a_reason(site: Site) -> None:
    alert, other = await raise_alert(site), await raise_alert(site)
    operator, chief, auditor = [await site.person(login) for login in ("olga", "jaime", "aida")]
    assert await change(operator, alert, "vinculos", que="operation", referencia="OP-2026-014") == 303
    assert await change(operator, alert, "vinculos", que="persona", referencia="x") == 422
    assert await change(operator, alert, "vinculos", que="evidence", referencia=" ") == 422
    assert await change(auditor, alert, "vinculos", que="evidence", referencia="EV-1") == 403
    page = await page_of(chief, alert)
    assert "Operativo: OP-2026-014" in page
    number = re.search(r"/vinculos/(\d+)/quitar", page)
    assert number is not None
    off = f"vinculos/{number[1]}/quitar"
    assert await change(chief, other, off, motivo="no es de esta") == 404  # of another alert
    assert await change(chief, alert, off) == 422
    assert await change(chief, alert, off, motivo="otro folio") == 303
    page = await page_of(chief, alert)
    assert "Se desvinculó" in page
    assert "/quitar" not in page


async def test_an_alert_is_assigned_only_to_somebody_who_may_work_it(site: Site) -> None:
    alert = await raise_alert(site)
    operator = await site.person("olga")
    assert "Jaime Rojas · Jefe/a de turno" in await page_of(operator, alert)
    for login in ("aida", "nadie"):
        assert (await operator.move(alert, "assign", target=login)).status_code == 422
    assert (await operator.move(alert, "assign", target="jaime")).status_code == 303
    assert (await fresh(site, alert.alert_id)).assigned_to == "jaime"


async def test_a_gateway_that_is_out_shows_what_it_covers_by_pages_and_where(site: Site) -> None:
    parent = await gateway_out(site, devices=60)
    operator = await site.person("olga")
    page = await page_of(operator, parent)
    assert "Cubre 60 alertas abiertas" in page
    area = re.search(r'data-area="([^"]+)"', page)
    assert area is not None
    assert [round(float(edge), 3) for edge in area[1].split(",")] == [-34.5, -72.0, -34.441, -71.941]
    first = (await operator.client.get(f"/alertas/{parent.alert_id}/cubiertas")).text
    link = re.search(r'href="([^"]+)" rel="next"', first)
    assert link is not None
    assert "Poste" not in link[1]  # no place in an address
    second = (await operator.client.get(link[1])).text
    names = [set(re.findall(r"Poste \d+", text)) for text in (first, second)]
    assert [len(found) for found in names] == [50, 10]
    child = re.search(r'/alertas/([0-9a-f-]{36})">', second.split("<tbody>")[1])
    assert child is not None
    child_page = (await operator.client.get(f"/alertas/{child[1]}")).text
    assert "Cubierta por" in child_page
    assert parent.code in child_page


async def gateway_out(site: Site, devices: int) -> Alert:
    """A gateway falls silent, and then one device after the other is missed."""
    now = site.clock.now()
    base = Finding(
        rule="gateway_silent",
        kind="gateway_silent",
        priority=3,
        dedup_key="gateway_silent:gw-9",
        summary="Sin señal: equipo gw-9",
        happened_at=now,
        gateway="gw-9",
    )
    silent = [
        replace(
            base,
            rule="device_silent",
            kind="device_silent",
            dedup_key=f"device_silent:{n:03}",
            summary=f"Sin señal: Poste {n}",
            place=f"Poste {n}",
            latitude=-34.5 + n / 1000,
            longitude=-72 + n / 1000,
        )
        for n in range(devices)
    ]
    async with site.pool.acquire() as connection, connection.transaction():
        [outcome] = await receive(connection, [base], now)
        await receive(connection, silent, now)
    return await fresh(site, outcome.alert_id)


# ------------------------------------------------------------------------------- promises and steps


@pytest_asyncio.fixture
async def strict(site: Site) -> Site:
    """The same console with the escalation policies that come with the hub."""
    await site.stop()
    policies = policy_file.parse(policy_file.default_text())
    site.policies = lambda: policies
    await site.start()
    return site


async def test_the_times_promised_run_down_and_are_kept_or_missed(strict: Site) -> None:
    policies = strict.policies()
    promised = policies.policy_for("panic", 1, False)
    assert promised is not None
    within_s = promised.acknowledge_within_s
    assert within_s is not None
    alert = await raise_under_policy(strict)
    operator = await strict.person("olga")
    page = await page_of(operator, alert)
    assert 'data-promise="running"' in page
    assert f"quedan 0:{within_s}" in page
    assert "Próximo paso" in page
    await strict.clock.advance(within_s + 1)
    assert "vencido hace 0:01" in await page_of(operator, alert)
    await operator.move(alert, "acknowledge")
    page = await page_of(operator, alert)
    assert 'data-promise="late"' in page
    assert promised.dispatch_within_s is not None
    assert 'data-promise="running"' in page  # the dispatch
    await operator.move(await fresh(strict, alert.alert_id), "dispatch")
    page = await page_of(operator, alert)
    assert 'data-promise="kept"' in page
    assert "Sin más pasos" in page


async def raise_under_policy(site: Site) -> Alert:
    """As the hub does: the alert and its first step in one transaction."""
    now = site.clock.now()
    finding = Finding(
        rule="panic", kind="panic", priority=1, dedup_key=f"panic:{uuid.uuid4()}", summary="Botón",
        happened_at=now, place="Los Boldos 12", watch_group="jvr",
    )  # fmt: skip
    async with site.pool.acquire() as connection, connection.transaction():
        outcomes = await receive(connection, [finding], now)
        await notify.enqueue_for(connection, outcomes, now, policies=site.policies())
    return await fresh(site, outcomes[0].alert_id)
