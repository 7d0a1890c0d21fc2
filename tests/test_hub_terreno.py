"""The inspector's page in a real browser: without a network, with the hub stopped, on two phones at once."""

import hashlib
import struct
import zlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import fieldwork_commune
import pytest
import pytest_asyncio
from fakes import VirtualClock, eventually
from fieldwork_commune import LATITUDE, LONGITUDE, Evening
from playwright.async_api import Browser, BrowserContext, FilePayload, Locator, Page, expect
from test_hub_console import PHONE, browser
from test_hub_web import HASHED, PASSWORD, Site

from hub.database import connect
from hub.fieldwork.vault import Vault
from hub.web import fieldpage
from hub.web.settings import WebSettings

pytestmark = pytest.mark.asyncio(loop_scope="module")
__all__ = ["browser"]  # a fixture

PEOPLE = {"ines": "inspector", "ivan": "inspector", "jaime": "jefe_turno"}


def picture(width: int = 2000, height: int = 1500) -> bytes:
    """A PNG larger than what the phone keeps: stripes."""
    line = b"\0" + bytes((x // 40 * 53) % 256 for x in range(width) for _ in range(3))

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = (chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(line * height, 1)), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


PHOTO = FilePayload(name="puesto.png", mimeType="image/png", buffer=picture())


@dataclass
class Street:
    """A served hub, a commune's evening, and phones."""

    site: Site
    evening: Evening
    browser: Browser
    vault: Vault
    port: int
    complaints: list[str] = field(default_factory=list)

    async def phone(self) -> BrowserContext:
        context = await self.browser.new_context(
            viewport=PHONE,  # type: ignore[arg-type]
            locale="es-CL",
            timezone_id="America/Santiago",
            is_mobile=True,
            has_touch=True,
            permissions=["geolocation"],
            geolocation={"latitude": LATITUDE + 0.0001, "longitude": LONGITUDE, "accuracy": 8},
        )
        context.on("weberror", lambda error: self.complaints.append(str(error.error)))
        context.on("request", lambda request: self._asked(request.url))
        return context

    def _asked(self, url: str) -> None:
        host = urlsplit(url).netloc
        if host and host != f"127.0.0.1:{self.port}":
            self.complaints.append(f"request to another host: {url}")

    async def open(self, context: BrowserContext, screen: str = "") -> Page:
        page = await context.new_page()
        await page.goto(f"{self.site.url}/terreno{screen}")
        return page

    async def sign_in(self, context: BrowserContext, login: str) -> Page:
        """Signed in, with the day's load and the page kept for when there is no network."""
        page = await self.open(context)
        await expect(page.locator("#entrada:not([hidden]), #usuario")).to_be_visible()
        if await page.locator("#entrada").is_visible():  # the page of the phone's own cache
            await page.get_by_role("link", name="Ingresar").click()
        await page.get_by_label("Usuario").fill(login)
        await page.get_by_label("Contraseña").fill(PASSWORD)
        await page.get_by_role("button", name="Ingresar").click()
        await expect(page.locator("#senal")).to_have_text("Con señal")
        await expect(page.locator("#quien")).to_have_text(f"{login} · DSP")
        await page.evaluate("navigator.serviceWorker.ready.then(() => true)")
        return page

    async def count(self, sql: str) -> int:
        return int(await self.site.pool.fetchval(sql))


@pytest_asyncio.fixture(loop_scope="module")
async def street(dsn: str, browser: Browser, tmp_path: Path) -> AsyncIterator[Street]:
    pool = await connect(dsn)
    await pool.executemany(
        "insert into users (login, name, role, password) values ($1, $1, $2, $3)",
        [(login, role, HASHED) for login, role in PEOPLE.items()],
    )
    clock = VirtualClock(datetime.now(UTC))  # the browser lives today
    evening = await fieldwork_commune.fill(pool, clock.now())
    folder = tmp_path / "boveda"
    site = Site(pool, clock, WebSettings(commune="Los Aromos", evidence_folder=folder))
    await site.start()
    street = Street(site, evening, browser, Vault(folder), int(site.url.rpartition(":")[2]))
    yield street
    for context in browser.contexts:
        await context.close()
    await site.stop()
    await pool.close()
    assert street.complaints == []


def size_of(jpeg: bytes) -> tuple[int, int]:
    """Width and height, from the frame's header (SOF0)."""
    at = jpeg.index(b"\xff\xc0")
    height, width = struct.unpack(">HH", jpeg[at + 5 : at + 9])
    return width, height


def chip(page: Page, group: str, text: str) -> Locator:
    return page.locator(f'[data-field="{group}"] label', has_text=text).first


async def write(page: Page, *, result: str = "Infracción", note: str = "") -> None:
    """The touches of one inspection, but the last one."""
    await chip(page, "trade", "alimentos").click()
    await chip(page, "permit_state", "No tiene").click()
    await chip(page, "result", result).click()
    if result == "Infracción":
        await chip(page, "rule", "Ordenanza 07 art. 12").click()
    if note:
        await page.get_by_text("Nota y forma de actuar").click()
        await page.get_by_label("Nota (sin nombres ni RUT)").fill(note)


async def save(page: Page) -> None:
    await page.get_by_role("button", name="Guardar fiscalización").click()
    await expect(page.locator("#aviso")).to_contain_text("guardada en el teléfono")
    await expect(page.locator('[name="trade"]:checked')).to_have_count(0)  # the form is ready for the next


async def test_what_is_saved_waits_for_the_photo_that_a_slow_phone_still_works_at(street: Street) -> None:
    phone = await street.phone()
    await phone.add_init_script(
        "const fast = window.createImageBitmap; window.createImageBitmap = async (...given) => {"
        " await new Promise((go) => setTimeout(go, 1500)); return fast(...given); };"
    )
    page = await street.sign_in(phone, "ines")
    await write(page)
    await page.locator("#camara").set_input_files(PHOTO)
    await save(page)
    await expect(page.locator("#cola li")).to_contain_text("Enviado")
    stored = await street.site.pool.fetch("select is_stored from operation_files")
    assert [row["is_stored"] for row in stored] == [True]


async def test_an_inspection_outlives_no_network_a_stopped_hub_and_a_killed_tab(street: Street) -> None:
    phone = await street.phone()
    page = await street.sign_in(phone, "ines")
    await phone.set_offline(True)
    await street.site.stop()
    await page.reload()  # from the phone's own cache
    await expect(page.locator("#senal")).to_have_text("Sin conexión")
    await expect(page.locator("#posicion")).to_contain_text("P1, a 11 m")
    assert await page.locator('[name="point"]:checked').input_value() == "P1"  # by the position
    await write(page)
    await page.locator("#camara").set_input_files(PHOTO)
    await expect(page.locator("#tomadas img")).to_have_count(1)
    await page.get_by_role("button", name="Agregar decomiso").click()
    await page.get_by_label("Cantidad").fill("34")
    await page.locator('[name="unit"]').select_option("kg")
    await page.wait_for_function("document.body.dataset.draft === 'guardado'")
    await page.close()  # in the middle of writing

    page = await street.open(phone)
    await expect(page.locator("#tomadas img")).to_have_count(1)
    await expect(page.get_by_label("Cantidad")).to_have_value("34")
    await save(page)
    await page.close()  # the battery is empty

    page = await street.open(phone, "#envios")
    await expect(page.locator("#cola li")).to_contain_text("Por enviar")
    await expect(page.locator("#pendientes")).to_have_text("1")
    await street.site.start(street.port)
    await phone.set_offline(False)
    await page.get_by_role("button", name="Enviar ahora").click()
    await expect(page.locator("#cola li")).to_contain_text("Enviado")
    row = await street.site.pool.fetchrow("select * from inspections")
    assert row is not None
    assert (row["folio"][:9], row["point"], row["sector"]) == (f"FIS-{row['recorded_at']:%Y}-", "P1", "COSTA")
    assert (row["author"], row["result"], row["time_quality"]) == ("ines", "infringement", "offset")
    assert row["accuracy_m"] == 8
    assert await street.count("select count(*) from infringements") == 1
    assert await street.site.pool.fetchrow("select quantity, unit from seizures") == (34, "kg")
    file = await street.site.pool.fetchrow("select * from operation_files")
    assert file is not None
    assert file["sha256"] == file["claimed_sha256"]
    content = street.vault.get(file["sha256"])
    assert hashlib.sha256(content).hexdigest() == file["sha256"]
    assert file["media_type"] == "image/jpeg"
    assert size_of(content) == (1600, 1200)
    # asked again, and again with a new tab: nothing comes twice
    await page.get_by_role("button", name="Enviar ahora").click()
    page = await street.open(phone, "#envios")
    await expect(page.locator("#resumen")).to_have_text("0 por enviar, 0 con rechazo, 1 enviados.")
    assert await street.count("select count(*) from inspections") == 1


async def test_two_phones_without_a_network_never_take_the_same_folio(street: Street) -> None:
    pages = []
    for login in ("ines", "ines"):
        context = await street.phone()
        page = await street.sign_in(context, login)
        await context.set_offline(True)
        pages.append((context, page))
    for _, page in pages:
        for _ in range(2):
            await write(page, result="Advertencia")
            await save(page)
    for context, page in pages:
        await context.set_offline(False)
        await page.goto(f"{street.site.url}/terreno#envios")
        await page.get_by_role("button", name="Enviar ahora").click()
        await expect(page.locator("#resumen")).to_have_text("0 por enviar, 0 con rechazo, 2 enviados.")
    folios = [r["folio"] for r in await street.site.pool.fetch("select folio from inspections")]
    assert len(set(folios)) == len(folios) == 4
    assert {int(folio[-6:]) // 50 for folio in folios} == {0, 1}  # each from its own block


async def test_what_the_hub_refuses_stays_with_its_reason_and_is_corrected(street: Street) -> None:
    phone = await street.phone()
    page = await street.sign_in(phone, "ines")
    await phone.set_offline(True)
    await write(page, result="Advertencia")
    await save(page)
    await write(page, result="Sin observación", note="dijo ser 12.345.678-5")
    await save(page)
    await phone.set_offline(False)
    await page.get_by_role("link", name="Envíos").click()
    await page.get_by_role("button", name="Enviar ahora").click()
    await expect(page.locator("#resumen")).to_have_text("0 por enviar, 1 con rechazo, 1 enviados.")
    await expect(page.locator(".reason")).to_contain_text("«nota» contiene un RUT")
    await page.reload()
    await page.get_by_role("button", name="Corregir").click()
    await expect(page.locator("#corrigiendo")).to_contain_text("Corrige FIS-")
    await page.get_by_label("Nota (sin nombres ni RUT)").fill("se retira solo")
    await save(page)
    await page.get_by_role("link", name="Envíos").click()
    await expect(page.locator("#resumen")).to_have_text("0 por enviar, 0 con rechazo, 2 enviados.")
    notes = await street.site.pool.fetch("select note, folio from inspections order by folio")
    assert [row["note"] for row in notes] == ["", "se retira solo"]


READ_ALL = """async () => {
  const of = (request) => new Promise((ok) => { request.onsuccess = () => ok(request.result); });
  const db = await of(indexedDB.open("almenara-terreno"));
  const texts = [];
  for (const name of db.objectStoreNames) {
    const rows = await of(db.transaction(name).objectStore(name).getAll());
    const latin = new TextDecoder("latin1");
    const open = (key, value) => value instanceof ArrayBuffer ? latin.decode(value) : value;
    for (const row of rows) texts.push(JSON.stringify(row, open));
  }
  db.close();
  return texts.join("\\n");
}"""


async def test_who_signs_out_leaves_nothing_that_the_next_person_can_read(street: Street) -> None:
    phone = await street.phone()
    page = await street.sign_in(phone, "ines")
    await phone.set_offline(True)
    await write(page, result="Advertencia", note="puesto junto al farol")
    await save(page)
    assert "farol" not in await page.evaluate(READ_ALL)  # sealed, also while she is signed in
    await page.get_by_role("link", name="Envíos").click()
    await page.get_by_role("button", name="Salir de este teléfono").click()
    await expect(page.locator("#confirma")).to_contain_text("Sin entregar: 1")
    await page.locator("#confirma").get_by_role("button", name="Salir").click()
    await expect(page.locator("#entrada")).to_be_visible()
    kept = await page.evaluate(READ_ALL)
    assert "Costanera segura" not in kept
    assert "farol" not in kept
    await phone.set_offline(False)
    await page.reload()
    await eventually(lambda: street.site.audited("logout"))  # the hub learns of it with the signal
    page = await street.sign_in(phone, "ivan")
    await page.get_by_role("link", name="Envíos").click()
    await expect(page.locator("#cola li")).to_have_count(0)
    assert await street.count("select count(*) from inspections") == 0
    await page.get_by_role("button", name="Salir de este teléfono").click()
    await page.locator("#confirma").get_by_role("button", name="Salir").click()
    await eventually(lambda: street.count("select (count(*) = 2)::int from audit where action = 'logout'"))
    page = await street.sign_in(phone, "ines")
    await page.get_by_role("link", name="Envíos").click()
    await expect(page.locator("#resumen")).to_have_text("0 por enviar, 0 con rechazo, 1 enviados.")
    assert await street.site.pool.fetchval("select note from inspections") == "puesto junto al farol"
    await page.goto(f"{street.site.url}/rondas")  # a page of the console ends it, too
    await page.get_by_role("button", name="Salir").click()
    await expect(page.get_by_label("Usuario")).to_be_visible()
    assert "Costanera segura" not in await page.evaluate(READ_ALL)
    await phone.set_offline(True)
    await page.goto(f"{street.site.url}/terreno")
    await expect(page.locator("#entrada")).to_be_visible()


async def test_permits_rounds_points_and_tasks_without_a_network(street: Street) -> None:
    phone = await street.phone()
    page = await street.sign_in(phone, "ines")
    await phone.set_offline(True)
    await page.get_by_role("link", name="Permisos").click()
    await expect(page.locator("#sin-qr")).to_contain_text("Este navegador no lee códigos QR")
    for folio, said in (("pv-0001", "Vigente"), ("PV-0002", "Vencido"), ("PV-9", "No figura")):
        await page.locator("#folio").fill(folio)
        await page.locator("#buscar-permiso").get_by_role("button", name="Buscar").click()
        await expect(page.locator("#hallado .chip")).to_have_text(said)
    await page.get_by_role("link", name="Rondas").click()
    await page.get_by_role("button", name="Marcar Muelle por posición").click()
    await expect(page.locator("#aviso")).to_contain_text("Guardada, a 11 m del punto")
    await page.get_by_label("Código del punto").fill("ZZZZZZZZ")
    await page.get_by_role("button", name="Marcar", exact=True).click()
    await expect(page.locator("#aviso")).to_contain_text("no es de esta ronda")
    await page.get_by_role("link", name="Operativos").click()
    await page.get_by_role("button", name="Despejado: P1").click()
    await page.get_by_label("Revisar chalecos").check()
    await expect(page.locator("#pendientes")).to_have_text("3")
    await phone.set_offline(False)
    await page.get_by_role("link", name="Envíos").click()
    await page.get_by_role("button", name="Enviar ahora").click()
    await expect(page.locator("#resumen")).to_have_text("0 por enviar, 0 con rechazo, 3 enviados.")
    checkin = await street.site.pool.fetchrow("select way, verdict, distance_m from patrol_checkins")
    assert checkin is not None
    assert (checkin["way"], checkin["verdict"], round(checkin["distance_m"])) == ("position", "proven", 11)
    assert await street.count("select count(*) from operation_points where cleared_at is not null") == 1
    assert await street.count("select count(*) from operation_tasks where done_by = 'ines'") == 1


async def test_a_new_version_waits_until_it_is_wanted(
    street: Street, monkeypatch: pytest.MonkeyPatch
) -> None:
    phone = await street.phone()
    page = await street.sign_in(phone, "ines")
    await expect(page.locator("#nueva")).to_be_hidden()
    monkeypatch.setattr(fieldpage, "page_version", lambda _console: "otra")
    await page.reload()
    await expect(page.locator("#nueva")).to_be_visible()
    await chip(page, "trade", "bebidas").click()
    async with page.expect_navigation():
        await page.get_by_role("button", name="Actualizar").click()
    await expect(page.locator("#nueva")).to_be_hidden()
    await expect(page.locator('[name="trade"][value="bebidas"]')).to_be_checked()  # nothing was lost
    assert await page.evaluate("caches.keys()") == ["terreno-otra"]


# Chromium on Linux has no detector of its own: this one says what a real one would have read. The stream,
# the window and what becomes of the text are real.
DETECTOR = """
if (location.protocol === "http:") {
window.BarcodeDetector = class {
  static async getSupportedFormats() { return ["qr_code"]; }
  async detect(video) { return video.videoWidth ? [{ rawValue: "https://comuna.cl/permisos/pv-0001" }] : []; }
};
navigator.mediaDevices.getUserMedia = async () => {
  const canvas = document.createElement("canvas");
  const paint = canvas.getContext("2d");
  setInterval(() => paint.fillRect(0, 0, 10, 10), 30);
  return canvas.captureStream(30);
};
}
"""


async def test_a_permit_is_read_from_its_qr_where_the_browser_can(street: Street) -> None:
    phone = await street.phone()
    await phone.add_init_script(DETECTOR)
    page = await street.sign_in(phone, "ines")
    await phone.set_offline(True)
    await page.locator('#ficha [data-read="permiso"]').click()
    await expect(page.get_by_label("Folio del permiso")).to_have_value("PV-0001")
    await expect(page.locator("#permiso-dice")).to_contain_text("PV-0001: vigente hasta")
    await expect(page.locator('[name="permit_state"][value="valid"]')).to_be_checked()
    await expect(page.locator('[name="trade"][value="artesanía"]')).to_be_checked()
    await expect(page.locator("#lector")).to_be_hidden()


async def test_a_wrong_clock_of_the_phone_is_corrected_and_an_inspection_takes_few_touches(
    street: Street,
) -> None:
    phone = await street.phone()
    await phone.clock.install(time=datetime.now(UTC) - timedelta(hours=5))
    page = await street.sign_in(phone, "ines")
    touches = 0

    def touched() -> None:
        nonlocal touches
        touches += 1

    await page.expose_function("touched", touched)
    await page.evaluate("addEventListener('click', (event) => { if (event.isTrusted) touched(); }, true)")
    await phone.set_offline(True)
    await write(page)
    await save(page)
    await phone.set_offline(False)
    await page.get_by_role("link", name="Envíos").click()
    await page.get_by_role("button", name="Enviar ahora").click()
    await expect(page.locator("#resumen")).to_have_text("0 por enviar, 0 con rechazo, 1 enviados.")
    row = await street.site.pool.fetchrow("select inspected_at, time_quality, recorded_at from inspections")
    assert row is not None
    assert row["time_quality"] == "offset"
    assert abs(row["recorded_at"] - row["inspected_at"]) < timedelta(minutes=10)  # not five hours
    assert touches <= 7  # trade, permit, result, rule and "save", then the two that send
