"""One walk in a real browser: alert, hot spot, operation, inspection offline, acta, effect, council."""

import asyncio
import random
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import pytest_asyncio
from commune_history import insert
from fakes import VirtualClock, eventually
from fieldwork_commune import LATITUDE, LONGITUDE
from linked_field import alert_line, alert_row
from playwright.async_api import Browser, Page, expect
from test_hub_console import browser
from test_hub_hotspots import codes
from test_hub_papers import desk
from test_hub_terreno import PHOTO, Street, save, write
from test_hub_web import HASHED, PASSWORD, Site, raise_alert

from hub.alerts import catalogue
from hub.database import connect
from hub.example_years.commune import moved
from hub.fieldwork.vault import Vault
from hub.hotspots import sheets
from hub.operations import reading
from hub.operations.linking import Linking
from hub.papers.making import Workshop
from hub.plan import freezing, service
from hub.plan.facts import Asking
from hub.plan.parameters import parameters_of
from hub.plan.periods import SANTIAGO, parse_period
from hub.web.settings import WebSettings

pytestmark = pytest.mark.asyncio(loop_scope="module")
__all__ = ["browser"]  # a fixture

DAY = timedelta(days=1)


@pytest_asyncio.fixture(loop_scope="module")
async def street(dsn: str, browser: Browser, tmp_path: Path) -> AsyncIterator[Street]:
    pool = await connect(dsn)
    people = {"ines": "inspector", "jaime": "jefe_turno"}
    await pool.executemany(
        "insert into users (login, name, role, password) values ($1, $1, $2, $3)",
        [(login, role, HASHED) for login, role in people.items()],
    )
    await pool.execute("insert into sectors (sector, name) values ('COSTA', 'Costanera')")
    clock = VirtualClock(datetime.now(UTC))  # the browser lives today
    site = Site(pool, clock, WebSettings(commune="Los Aromos", evidence_folder=tmp_path / "boveda"))
    site.workshop = Workshop(lambda now: desk(pool, as_of=now), clock)
    await site.start()
    port = int(site.url.rpartition(":")[2])
    street = Street(site, None, browser, Vault(tmp_path / "boveda"), port)  # type: ignore[arg-type]  # no evening
    yield street
    for context in browser.contexts:
        await context.close()
    await site.stop()
    await pool.close()
    assert street.complaints == []


async def history(street: Street) -> None:
    """A quiet year all over the sector, and four weeks of street trade at one corner."""
    dice, now, rows = random.Random(5), street.site.clock.now(), []
    for days, count, spread in ((390, 700, 2_500), (27, 60, 2_500), (27, 24, 30)):
        for _ in range(count):
            latitude, longitude = moved(
                LATITUDE, LONGITUDE, *(dice.uniform(-spread, spread) for _ in range(2))
            )
            at = now - DAY * dice.uniform(1, days)
            rows.append(alert_row(at, None, latitude=latitude, longitude=longitude, place="Feria"))
    await insert(street.site.pool, "alerts", rows)


async def sign_in(page: Page, street: Street) -> None:
    await page.goto(f"{street.site.url}/ingresar")
    await page.get_by_label("Usuario").fill("jaime")
    await page.get_by_label("Contraseña").fill(PASSWORD)
    await page.get_by_role("button", name="Ingresar").click()
    await page.wait_for_url(f"{street.site.url}/")


async def paper(page: Page, street: Street) -> bytes:
    """The PDF of the document that the page has just asked for."""
    workshop = street.site.workshop
    assert workshop is not None
    await expect(page.locator("#avance")).to_be_visible()
    await eventually(lambda: not workshop.going(), limit_s=60)
    await page.wait_for_url(re.compile(r"/documentos/\d+$"))
    answer = await page.request.get(f"{page.url}/pdf")
    return await answer.body()


async def ratio(street: Street, name: str, label: str) -> object:
    asking = Asking(as_of=street.site.clock.now(), parameters=parameters_of(catalogue.load()))
    [one] = [indicator for indicator in service.library() if indicator.id == name]
    figures, _ = await freezing.compute_period(street.site.pool, [one], parse_period(label), asking)
    return figures[name].datum


async def test_from_an_alert_to_the_council(street: Street) -> None:
    site, clock = street.site, street.site.clock
    making = asyncio.create_task(site.workshop.run_loop())  # type: ignore[union-attr]  # set above
    linking = Linking(site.pool, codes)
    await history(street)
    context = await street.browser.new_context(viewport={"width": 1440, "height": 900}, locale="es-CL")
    page = await context.new_page()
    await sign_in(page, street)

    # an alert of today, taken and closed by a person
    alert = await raise_alert(
        site,
        "community_alarm",
        priority=4,
        sector="COSTA",
        latitude=LATITUDE,
        longitude=LONGITUDE,
        place="Feria",
    )
    await site.pool.execute(
        "update alerts set state = 'closed', reason = 'attended', classification = 'INC.COMERCIO',"
        " closed_at = $2 where alert_id = $1",
        alert.alert_id,
        clock.now(),
    )
    await alert_line(site.pool, alert.alert_id, clock.now())

    # where, when and why next; one press
    await clock.advance(60)
    await sheets.refresh(site.pool, clock.now(), codes)
    await page.goto(f"{site.url}/focos")
    await expect(page.get_by_text("es más de lo que explica el azar").first).to_be_visible()
    await page.get_by_role("button", name="Programar operativo").first.click()
    await page.wait_for_url(re.compile(r"/operativos/OPF-"))
    folio = page.url.rpartition("/")[2]
    await linking.all(clock.now())
    await page.reload()
    await expect(page.get_by_text(alert.code, exact=True)).to_be_visible()
    label = f"{clock.now().astimezone(SANTIAGO):%Y-%m}"

    # today instead of next week; then it begins
    local = clock.now().astimezone(SANTIAGO)
    await page.get_by_role("link", name="Cambiar el plan").click()
    await page.get_by_label("Inicio", exact=True).fill(f"{local - timedelta(minutes=5):%Y-%m-%dT%H:%M}")
    await page.get_by_label("Término", exact=True).fill(f"{local + timedelta(hours=3):%Y-%m-%dT%H:%M}")
    await page.get_by_role("button", name="Guardar").click()
    await page.get_by_role("button", name="Confirmar").click()
    await page.get_by_role("button", name="Iniciar").click()
    await expect(page.get_by_text("En curso").first).to_be_visible()
    assert await ratio(street, "I13", label) == 0.0

    # the inspector, without a network
    phone = await street.phone()
    pocket = await street.sign_in(phone, "ines")
    await phone.set_offline(True)
    await pocket.reload()
    await expect(pocket.locator("#senal")).to_have_text("Sin conexión")
    await write(pocket)
    await pocket.locator("#camara").set_input_files(PHOTO)
    await save(pocket)
    assert await street.count("select count(*) from inspections") == 0
    await phone.set_offline(False)
    await pocket.goto(f"{site.url}/terreno#envios")
    await pocket.get_by_role("button", name="Enviar ahora").click()
    await expect(pocket.locator("#cola li")).to_contain_text("Enviado")
    assert await street.count("select count(*) from inspections") == 1

    # written up, signed, closed
    await page.reload()
    for box in await page.locator(
        'input[name="tarea"], input[name="visitado"], input[name="despejado"]'
    ).all():
        await box.check()
    await page.get_by_role("button", name="Guardar lo marcado").click()
    await page.get_by_role("button", name="Terminar").click()
    await page.get_by_label("Presentes de DSP").fill("4")
    await page.get_by_role("button", name="Guardar presentes y totales").click()
    await clock.advance(60)
    await page.get_by_role("button", name="Firma DSP").click()
    await page.get_by_role("button", name="Cerrar el acta").click()
    await page.get_by_role("link", name="Acta", exact=True).click()
    await expect(page.get_by_text("Es la que se cerró")).to_be_visible()
    await expect(page.get_by_text("Ordenanza 07 art. 12").first).to_be_visible()
    await page.get_by_role("button", name="Preparar PDF").click()
    assert (await paper(page, street)).startswith(b"%PDF-")
    assert (await reading.find(site.pool, folio)).state == "closed"
    assert await ratio(street, "I13", label) == 100.0  # the indicator moved

    # a fortnight later, and the month's pack for the council
    await site.pool.execute("update sessions set expires_at = expires_at + interval '60 days'")
    await clock.advance(15 * 86400)
    await page.goto(f"{site.url}/operativos/{folio}")
    await page.get_by_role("link", name="Qué pasó después").click()
    await expect(page.get_by_text("los hechos confirmados bajaron de")).to_be_visible()
    await clock.advance(31 * 86400)
    await page.goto(f"{site.url}/documentos")
    await page.get_by_label("Documento", exact=True).select_option("mes")
    await page.get_by_label("Período o folio").fill(label)
    await page.get_by_role("button", name="Preparar").click()
    pack = await paper(page, street)
    assert pack.startswith(b"%PDF-")
    await expect(page.get_by_text(folio)).to_be_visible()
    making.cancel()
