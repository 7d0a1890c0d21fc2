"""Reserved alerts, told with roles: olga works them, aida audits and must not know that there are any."""

import asyncio
import json
from dataclasses import replace
from datetime import timedelta

import test_hub_web
from test_hub_web import Person, Site, fresh, raise_alert

from hub.alerts import service as alerts
from hub.alerts.lifecycle import Move
from hub.alerts.model import Alert
from hub.database import Pool
from hub.devices.registry import COLUMNS, Device
from hub.devices.silence import Sighting, silent_devices
from hub.rule_work.work import RuleWork
from hub.rules.library import ready_rules
from hub.rules.model import Reading

site = test_hub_web.site

SECRET = "Pasaje Canario 77"


async def raise_secret(site: Site) -> Alert:
    return await raise_alert(site, kind="duress", place=SECRET, summary=f"Atención reservada: {SECRET}")


async def pages_about(person: Person, alert: Alert) -> dict[str, str]:
    """Every page and list that could tell of the alert, as this person gets them."""
    paths = [
        "/",
        "/cola",
        "/tira",
        "/alertas",
        "/alertas?estado=abiertas",
        "/alertas?prioridad=1",
        "/api/v1/alerts",
    ]
    paths += [
        "/api/v1/alerts?open_only=true",
        f"/alertas?texto={alert.code}",
        f"/alertas?despues={alert.alert_id}",
    ]
    return {path: (await person.client.get(path)).text for path in paths}


async def test_who_is_not_of_the_case_does_not_learn_that_there_is_one(site: Site) -> None:
    secret, plain = await raise_secret(site), await raise_alert(site, kind="gate_open", priority=2)
    operator, auditor = await site.person("olga"), await site.person("aida")
    assert "Atención reservada" in (await operator.client.get("/cola")).text
    for path, text in (await pages_about(auditor, secret)).items():
        content = text.partition('id="contenido"')[2] or text
        assert str(secret.alert_id) not in content.replace(f"despues={secret.alert_id}", ""), path
        assert "Atención reservada" not in content, path
        assert SECRET not in content, path
    queue = (await auditor.client.get("/cola")).text
    assert 'data-total="1"' in queue  # the number tells nothing either
    assert plain.code in queue
    for path in (
        f"/alertas/{secret.alert_id}",
        f"/?alerta={secret.alert_id}",
        f"/alertas/{secret.alert_id}/cubiertas",
        f"/api/v1/alerts/{secret.alert_id}",
        f"/api/v1/alerts/{secret.alert_id}/timeline",
    ):
        assert (await auditor.client.get(path)).status_code == 404, path
    assert await site.audited("alert_read") == []


async def test_an_alert_that_becomes_reserved_leaves_the_lists_of_the_others(site: Site) -> None:
    alert = await raise_alert(site, kind="panic")
    operator, auditor = await site.person("olga"), await site.person("aida")
    assert alert.code in (await auditor.client.get("/cola")).text
    values = {"csrf": operator.csrf, "codigo": "VIF", "motivo": ""}
    assert (
        await operator.client.post(f"/alertas/{alert.alert_id}/clasificar", data=values)
    ).status_code == 303
    assert alert.code not in (await auditor.client.get("/cola")).text
    page = (await operator.client.get(f"/alertas/{alert.alert_id}")).text
    assert "Datos reservados" in page
    assert "Los Boldos 12" not in page


async def test_the_live_line_names_no_alert_to_who_may_not_know_it(site: Site) -> None:
    secret, plain = await raise_secret(site), await raise_alert(site)
    auditor, operator = await site.person("aida"), await site.person("olga")
    heard = await asyncio.gather(*(listen(site, p, [secret, plain]) for p in (auditor, operator)))
    assert heard[0] == [("todo", None), ("alerta", str(plain.alert_id))]
    assert heard[1] == [("alerta", str(secret.alert_id)), ("alerta", str(plain.alert_id))]


async def listen(site: Site, person: Person, alerts: list[Alert]) -> list[tuple[str, str | None]]:
    """What one console hears of the changes, in order."""
    heard: list[tuple[str, str | None]] = []
    async with asyncio.timeout(60), person.client.stream("GET", "/eventos", timeout=10) as line:
        event = ""
        async for text in line.aiter_lines():
            name, _, value = text.partition(": ")
            if name == "event":
                event = value
            elif name == "data" and event == "latido":
                if site.bus.listeners == 2:
                    for alert in alerts:
                        site.bus.publish(str(alert.alert_id))
            elif name == "data":
                heard.append((event, json.loads(value).get("alert_id")))
                if len(heard) == len(alerts):
                    return heard
    return heard


async def test_merging_a_reserved_alert_tells_the_other_one_nothing(site: Site) -> None:
    secret, plain = await raise_secret(site), await raise_alert(site, kind="panic")
    operator, auditor = await site.person("olga"), await site.person("aida")
    assert (await operator.move(secret, "merge", target=plain.code)).status_code == 303
    page = (await auditor.client.get(f"/alertas/{plain.alert_id}")).text
    assert f"se fusionó {secret.code}" in page
    assert SECRET not in page
    assert "reservada" not in page.partition('id="detalle-bitacora"')[2]
    # an open one brings its words along
    other = await raise_alert(site, kind="smoke", summary="Humo: Bosque")
    await alerts.move(
        site.pool, other.alert_id, Move.MERGE, author="olga", now=site.clock.now(), target=str(plain.alert_id)
    )
    assert "Humo: Bosque" in (await auditor.client.get(f"/alertas/{plain.alert_id}")).text


# ------------------------------------------------------------------------- the upkeep of silent buttons


async def silent_button(pool: Pool, kind: str = "duress_button") -> Device:
    await pool.execute("insert into gateways (gateway, name) values ('gw-1', 'Casa de Ana')")
    row = await pool.fetchrow(
        "insert into devices (source, gateway, kind, name, place, sector, latitude, longitude, watch_group)"
        " values ('urn:dev:x:9', 'gw-1', $1, 'Casa de Ana', $2, 'Norte', -34.4, -72, 'jvr')"
        f" returning {COLUMNS}",
        kind,
        SECRET,
    )
    return Device(*row)


def sighting(device: Device, **changes: object) -> Sighting:
    found = Sighting(
        device_id=device.device_id, gateway="gw-1", gateway_name="Casa de Ana", kind=device.kind,
        name=device.name, source=device.source, place=device.place, sector=device.sector,
        latitude=device.latitude, longitude=device.longitude, watch_group=device.watch_group,
        silent_after_s=180, last_seen_at=test_hub_web.VirtualClock().now() - timedelta(hours=1),
    )  # fmt: skip
    return replace(found, **changes)  # type: ignore[arg-type]


async def test_a_silent_button_without_signal_or_battery_does_not_tell_where_it_is(site: Site) -> None:
    now, device = site.clock.now(), await silent_button(site.pool)
    speaking = sighting(device, device_id=77, kind="camera", last_seen_at=now)
    findings = silent_devices([sighting(device), speaking], now, now - timedelta(days=1))
    work = RuleWork(ready_rules())
    async with site.pool.acquire() as connection, connection.transaction():
        for value in (0.5, 0.1):
            verdict = await work.judge(connection, [Reading(device, "battery", now, value)], now)
            work.committed(verdict)
            findings += verdict.findings
        assert [f.kind for f in findings] == ["device_silent", "battery_low"]
        outcomes = await alerts.receive(connection, findings, now)
    operator, auditor = await site.person("olga"), await site.person("aida")
    for person in (operator, auditor):
        for outcome in outcomes:
            alert = await fresh(site, outcome.alert_id)
            assert f"botón silencioso {device.device_id}" in alert.summary
            pages = await pages_about(person, alert)
            pages["detail"] = (await person.client.get(f"/alertas/{alert.alert_id}")).text
            for path, text in pages.items():
                assert "Canario" not in text, path
                assert "Ana" not in text, path
                assert "-34.4" not in text, path
            assert "Norte" in pages["detail"]  # where to look for it, roughly


async def test_a_gateway_that_serves_silent_buttons_alone_tells_as_little(pool: Pool) -> None:
    device, now = await silent_button(pool, "vif_button"), test_hub_web.VirtualClock().now()
    rows = [sighting(device), sighting(device, device_id=78)]
    [finding] = silent_devices(rows, now, now - timedelta(days=1))
    assert finding.kind == "gateway_silent"
    assert (finding.place, finding.latitude, finding.watch_group) == ("", None, "")
    assert "Ana" not in finding.summary
    mixed = [*rows, sighting(device, device_id=79, kind="camera", place="Plaza", name="Cámara")]
    [finding] = silent_devices(mixed, now, now - timedelta(days=1))
    assert finding.place == "Plaza"
    assert SECRET not in finding.summary


async def test_the_handover_names_no_silent_button(site: Site) -> None:
    device = await silent_button(site.pool)
    await site.pool.execute(
        "insert into device_state values ($1, $2)", device.device_id, site.clock.now() - timedelta(hours=1)
    )
    sheet = await alerts.handover(site.pool, site.clock.now() - timedelta(hours=8), site.clock.now())
    assert [(d.name, d.place) for d in sheet.devices_out] == [(f"Botón silencioso {device.device_id}", "")]
