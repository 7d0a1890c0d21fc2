"""The operator console in a real browser: live, by keyboard, on a phone, without another host."""

import asyncio
import base64
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import pytest_asyncio
from fakes import VirtualClock, assert_in_time, eventually
from playwright.async_api import Browser, ConsoleMessage, Locator, Page, Request, async_playwright, expect
from test_hub_web import HASHED, PASSWORD, PEOPLE, Site, fresh, raise_alert, served
from test_hub_web_rules import GATE, workshop

from hub.alerts import service as alerts
from hub.alerts.lifecycle import Move, Reason
from hub.alerts.model import Alert
from hub.database import connect, listen_loop
from hub.rule_work.history import Span
from hub.rule_work.rehearsal import rehearse
from hub.rules.loading import load_rules
from hub.web.settings import EmergencyNumber, WebSettings
from hub.web.texts import age

pytestmark = pytest.mark.asyncio(loop_scope="module")

PICTURES = Path(__file__).parent.parent / "docs" / "imagenes"
RETAKES_PICTURES = "ALMENARA_PICTURES" in os.environ
"""``make pictures``; without it the pictures are taken too, and thrown away."""
COMMUNE = Path(__file__).parent.parent / "edge" / "scenarios" / "los-aromos.geojson"
CHROMIUM = "/usr/bin/chromium"
FLAGS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
    " --disable-component-update --disable-sync --mute-audio --force-color-profile=srgb"
).split()
DESK = {"width": 1440, "height": 900}
PHONE = {"width": 390, "height": 844}

SETTINGS = WebSettings(
    commune="Los Aromos",
    geojson_path=COMMUNE,
    emergency_numbers=(
        EmergencyNumber("SAMU", "131"),
        EmergencyNumber("Bomberos", "132"),
        EmergencyNumber("Carabineros", "133"),
        EmergencyNumber("Violencia contra la mujer", "1455"),
    ),
)


@dataclass
class Room:
    """A control room: a served console, its live line to the database, and a browser."""

    site: Site
    browser: Browser
    complaints: list[str] = field(default_factory=list)
    """Console errors, violations of the content policy, requests to other hosts."""
    expects_loss: bool = False
    """The test makes the server refuse or go away, so failed requests are no complaint."""

    async def open(
        self,
        path: str = "/",
        login: str = "olga",
        viewport: dict[str, int] = DESK,
        is_still: bool = False,
    ) -> Page:
        """A signed-in person looks at ``path``; ``is_still`` stops the browser's clock for a picture."""
        context = await self.browser.new_context(
            viewport=viewport,  # type: ignore[arg-type]
            locale="es-CL",
            timezone_id="America/Santiago",
            is_mobile=viewport is PHONE,
            has_touch=viewport is PHONE,
        )
        page = await context.new_page()
        if is_still:
            await page.clock.set_fixed_time(self.site.clock.now())
        page.on("console", self._said)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", self._asked)
        await page.goto(f"{self.site.url}{path}")
        await page.get_by_label("Usuario").fill(login)
        await page.get_by_label("Contraseña").fill(PASSWORD)
        await page.get_by_role("button", name="Ingresar").click()
        await expect(page.locator("#enlace")).to_have_text("Conectado")
        return page

    def _said(self, message: ConsoleMessage) -> None:
        is_loss = self.expects_loss and message.text.startswith("Failed to load resource")
        if message.type in ("error", "warning") and not is_loss:
            self.complaints.append(f"{message.type}: {message.text}")

    def _asked(self, request: Request) -> None:
        host = urlsplit(request.url).netloc
        if host and f"http://{host}" != self.site.url:
            self.complaints.append(f"request to another host: {request.url}")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    """One Chromium for this file: each test opens its own contexts, which share nothing."""
    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        await chromium.close()


@pytest_asyncio.fixture(loop_scope="module")
async def room(dsn: str, browser: Browser) -> AsyncIterator[Room]:
    pool = await connect(dsn)
    await pool.executemany(
        "insert into users (login, name, role, password) values ($1, $2, $3, $4)",
        [(login, name, role, HASHED) for login, (name, role) in PEOPLE.items()],
    )
    async with served(pool, SETTINGS, VirtualClock()) as site, listening(dsn, site):
        room = Room(site, browser)
        yield room
        for context in browser.contexts:
            await context.close()
    await pool.close()
    assert room.complaints == []


@asynccontextmanager
async def listening(dsn: str, site: Site) -> AsyncIterator[None]:
    """The hub's own way from a commit to the open consoles."""
    hears = asyncio.create_task(listen_loop(dsn, {"alerts": lambda payload: site.bus.heard(payload)}))
    try:
        yield
    finally:
        hears.cancel()
        await asyncio.gather(hears, return_exceptions=True)


def card(page: Page, alert: Alert) -> Locator:
    return page.locator(f'#cola [data-alert="{alert.alert_id}"]')


async def rows(room: Room, sql: str, *values: object) -> int:
    """How many rows the query counts."""
    return int(await room.site.pool.fetchval(sql, *values))


# ------------------------------------------------------------------------------------------ live work


@pytest.mark.speed
async def test_a_new_alert_appears_by_itself_and_its_strip_stays_until_somebody_takes_it(room: Room) -> None:
    page = await room.open()
    await expect(page.get_by_text("Sin alertas abiertas")).to_be_visible()
    loop = asyncio.get_running_loop()
    began = loop.time()
    alert = await raise_alert(room.site)
    await expect(card(page, alert)).to_be_visible()
    assert_in_time(loop.time() - began, 2)
    strip = page.locator(".strip")
    await expect(strip).to_contain_text("1 alerta de vida sin acuse")
    await expect(page).to_have_title("(1) SIN ACUSE · Consola · Almenara")
    await expect(page.locator("#anuncios")).to_contain_text(f"Alerta nueva, prioridad 1: {alert.code}")
    for key in ("Escape", "Escape", "?", "Escape", "/", "Escape"):
        await page.keyboard.press(key)
        await expect(strip).to_be_visible()
    await page.locator("#buscar").fill("nada que exista")
    await expect(card(page, alert)).to_be_visible()  # an alert of life is never filtered away
    for path in ("/alertas", "/dispositivos", "/ayuda", "/"):
        await page.goto(f"{room.site.url}{path}")
        await expect(strip).to_be_visible()
    await strip.get_by_role("button", name="Acusar recibo").click()
    await expect(strip).to_have_count(0)
    await expect(page).to_have_title("Consola · Almenara")
    after = await fresh(room.site, alert.alert_id)
    assert (after.state, after.acknowledged_by) == ("acknowledged", "olga")


async def test_the_strip_of_another_page_is_live_and_goes_when_a_colleague_acknowledges(room: Room) -> None:
    page = await room.open("/ayuda")
    alert = await raise_alert(room.site)
    await expect(page.locator(".strip")).to_contain_text(alert.code)
    await alerts.move(
        room.site.pool, alert.alert_id, Move.ACKNOWLEDGE, author="jaime", now=room.site.clock.now()
    )
    await expect(page.locator(".strip")).to_have_count(0)


async def test_the_keyboard_works_an_alert_to_its_end(room: Room) -> None:
    first = await raise_alert(room.site)
    second = await raise_alert(room.site, kind="gate_open", priority=3, place="Portón Fundo El Retamo")
    page = await room.open()
    await page.keyboard.press("j")
    await page.keyboard.press("ArrowDown")
    await page.keyboard.press("k")
    await expect(card(page, first).locator("a")).to_be_focused()
    await page.keyboard.press("Enter")
    detail = page.locator("#detalle")
    await expect(detail.locator("[data-detail]")).to_have_attribute("data-detail", str(first.alert_id))
    await page.keyboard.press("a")
    await expect(detail.locator(".chip").first).to_have_text("Acusada")
    await page.keyboard.press("d")
    await expect(detail.locator(".chip").first).to_have_text("Despachada")
    await page.keyboard.press("n")
    await page.keyboard.type("Móvil 3 en camino, j k a d c no son atajos aquí")
    await detail.get_by_role("button", name="Guardar novedad").click()
    await expect(detail.locator(".timeline")).to_contain_text("Móvil 3 en camino")
    await page.keyboard.press("c")
    reason = detail.get_by_label("Motivo de cierre")
    await expect(reason).to_be_focused()
    submit = detail.locator('.moves button[value="close"]')
    await submit.click()
    assert await reason.evaluate("field => field.matches(':invalid')")  # the browser asks for the reason
    assert (await fresh(room.site, first.alert_id)).closed_at is None
    await reason.select_option(label="Real atendida")
    await submit.click()
    await expect(card(page, first)).to_have_count(0)
    closed = await fresh(room.site, first.alert_id)
    assert (closed.state, closed.reason) == ("closed", Reason.ATTENDED)
    # a letter never acts on an alert that nobody has in front of them
    await card(page, second).locator("a").focus()
    await page.keyboard.press("a")
    await expect(detail.locator("[data-detail]")).to_have_attribute("data-detail", str(second.alert_id))
    assert (await fresh(room.site, second.alert_id)).state == "received"
    await page.keyboard.press("a")
    await expect(detail.locator(".chip").first).to_have_text("Acusada")


async def test_what_a_person_is_writing_survives_the_news(room: Room) -> None:
    alert = await raise_alert(room.site, dedup_key="panic:1")
    page = await room.open(f"/?alerta={alert.alert_id}")
    await page.keyboard.press("n")
    await page.keyboard.type("Vecina informa que")
    await alerts.move(
        room.site.pool, alert.alert_id, Move.ACKNOWLEDGE, author="jaime", now=room.site.clock.now()
    )
    await raise_alert(room.site, dedup_key="panic:1")
    detail = page.locator("#detalle")
    await expect(detail.locator(".chip").first).to_have_text("Acusada")
    await expect(detail.locator("textarea").last).to_have_value("Vecina informa que")
    await detail.get_by_role("button", name="Guardar novedad").click()
    await expect(detail.locator(".timeline")).to_contain_text("Vecina informa que")


async def test_a_late_click_is_refused_in_words(room: Room) -> None:
    alert = await raise_alert(room.site)
    page = await room.open(f"/?alerta={alert.alert_id}")
    room.expects_loss = True  # the browser logs the 409 as a failed resource
    await page.route("**/cola", lambda route: route.abort())
    await page.route(f"**/alertas/{alert.alert_id}", lambda route: route.abort())
    await alerts.move(
        room.site.pool, alert.alert_id, Move.DISPATCH, author="jaime", now=room.site.clock.now()
    )
    await page.locator("#detalle").get_by_role("button", name="Verificar").click()
    await expect(page.locator("#aviso")).to_contain_text("ahora está «Despachada»")


async def test_the_chime_sounds_after_a_gesture_and_repeats_until_the_acknowledgement(room: Room) -> None:
    page = await room.open()
    await page.context.add_init_script(COUNT_TONES)
    await page.clock.install()
    await page.reload()
    button = page.locator("#sonido")
    await expect(button).to_have_text("Activar sonido")
    await button.click()
    await expect(button).to_have_text("Sonido activado")
    before = await page.evaluate("window.tones")
    alert = await raise_alert(room.site)
    await expect(page.locator(".strip")).to_be_visible()
    await page.clock.run_for(9_000)
    assert (
        await page.evaluate("window.tones") - before >= 4 * 3
    )  # at once and three times more, three tones each
    await page.locator(".strip").get_by_role("button", name="Acusar recibo").click()
    await expect(page.locator(".strip")).to_have_count(0)
    before = await page.evaluate("window.tones")
    await page.clock.run_for(9_000)
    assert await page.evaluate("window.tones") == before
    assert (await fresh(room.site, alert.alert_id)).acknowledged_by == "olga"
    await button.click()
    await expect(button).to_have_text("Activar sonido")


COUNT_TONES = """
window.tones = 0;
const start = OscillatorNode.prototype.start;
OscillatorNode.prototype.start = function (...when) {
    window.tones += 1;
    return start.apply(this, when);
};
"""


async def test_a_lost_line_is_shown_and_what_was_missed_is_read_again(room: Room) -> None:
    page = await room.open()
    room.expects_loss = True
    port = int(urlsplit(room.site.url).port or 0)
    await room.site.stop()
    await expect(page.locator("#enlace")).to_have_text("Sin conexión")
    await expect(page.locator("#atraso")).to_contain_text("Sin conexión desde 21:04")
    alert = await raise_alert(room.site)
    await room.site.start(port)
    await expect(page.locator("#enlace")).to_have_text("Conectado")
    await expect(page.locator("#atraso")).to_be_hidden()
    await expect(card(page, alert)).to_be_visible()


async def test_a_session_that_ends_leads_to_the_login(room: Room) -> None:
    page = await room.open()
    room.expects_loss = True
    await room.site.pool.execute("delete from sessions")
    await raise_alert(room.site)
    await expect(page).to_have_url(f"{room.site.url}/ingresar?siguiente=%2F")


async def test_a_session_that_the_server_forgot_leads_to_the_login_too(room: Room) -> None:
    page = await room.open()
    room.expects_loss = True
    port = int(urlsplit(room.site.url).port or 0)
    await room.site.stop()
    await room.site.pool.execute("delete from sessions")
    await room.site.start(port)
    await expect(page).to_have_url(f"{room.site.url}/ingresar?siguiente=%2F")


async def test_browser_and_server_write_ages_alike(room: Room) -> None:
    page = await room.open("/ayuda")
    await page.clock.set_fixed_time(room.site.clock.now())
    seconds = [0, 9, 59, 60, 599, 600, 3599, 3600, 7325, 86_399, 86_400, 200_000, -5]
    script = f"""async (seconds) => {{
        const time = await import("/static/{room.site.app.state.console.assets.version}/js/time.js");
        time.setHubTime(new Date().toISOString());
        return seconds.map((s) => time.age(Date.now() - s * 1000));
    }}"""
    now = room.site.clock.now()
    assert await page.evaluate(script, seconds) == [age(now - timedelta(seconds=s), now) for s in seconds]


# --------------------------------------------------------------------------------------- map and pages


async def test_the_map_shows_the_commune_its_devices_and_the_alerts(room: Room) -> None:
    ids = await tell_a_night(room.site)
    page = await room.open()
    await expect(page.locator("#mapa .place-name").get_by_text("Quebrada Honda").first).to_be_visible()
    pins = page.locator("#mapa .pin")
    located = await page.locator("#cola .card[data-lat]").count()
    assert located >= 5
    await expect(pins).to_have_count(located)
    await expect(page.locator("#mapa path.leaflet-interactive")).not_to_have_count(0)  # devices
    pin = pins.filter(has_text=ids["camera"].code)
    await pin.click()
    await expect(page.locator("#detalle .code")).to_have_text(ids["camera"].code)
    await expect(page.locator("#mapa .is-selected")).to_have_text(ids["camera"].code)


async def test_a_restricted_alert_is_read_with_a_reason(room: Room) -> None:
    ids = await tell_a_night(room.site)
    page = await room.open(f"/?alerta={ids['duress'].alert_id}")
    assert "Pasaje Canario" not in await page.content()
    await page.get_by_label("Motivo", exact=True).select_option(label="Despachar un móvil al lugar")
    await page.get_by_role("button", name="Ver datos reservados").click()
    await expect(page.locator("#detalle")).to_contain_text("Pasaje Canario 77")
    assert "Pasaje Canario" not in await page.locator("#zona-cola").inner_text()
    assert (
        await rows(room, "select count(*) from audit where action = 'restricted_read' and login = 'olga'")
        == 1
    )


async def test_all_pages_fit_a_phone_and_the_detail_is_a_sheet_with_a_way_back(room: Room) -> None:
    ids = await tell_a_night(room.site)
    page = await room.open(viewport=PHONE)
    for path in (
        "/alertas",
        "/dispositivos",
        "/entrega",
        "/silencios",
        "/turnos",
        "/ayuda",
        f"/alertas/{ids['river'].alert_id}",
        "/",
    ):
        await page.goto(f"{room.site.url}{path}")
        assert await page.evaluate("document.documentElement.scrollWidth") <= 390, path
    await card(page, ids["river"]).locator("a").click()
    await expect(page.locator("#detalle .code")).to_be_visible()
    await expect(page.locator("#zona-cola")).to_be_hidden()
    assert await page.evaluate("document.documentElement.scrollWidth") <= 390
    await expect(page.locator(".strip")).to_be_visible()
    await page.get_by_role("link", name="Volver a la lista").click()
    await expect(page.locator("#zona-cola")).to_be_visible()
    await page.get_by_role("tab", name="Mapa").click()
    await expect(page.locator("#mapa .pin").first).to_be_visible()


async def test_login_lists_and_moves_work_without_javascript(room: Room) -> None:
    alert = await raise_alert(room.site)
    context = await room.browser.new_context(java_script_enabled=False, viewport=DESK)  # type: ignore[arg-type]
    page = await context.new_page()
    await page.goto(f"{room.site.url}/")
    await page.get_by_label("Usuario").fill("olga")
    await page.get_by_label("Contraseña").fill(PASSWORD)
    await page.get_by_role("button", name="Ingresar").click()
    await card(page, alert).locator("a").click()
    await page.locator(".moves").get_by_role("button", name="Acusar recibo").click()
    await expect(page.locator(".chip").first).to_have_text("Acusada")


async def test_a_console_says_that_somebody_is_there_until_nobody_touches_it(room: Room) -> None:
    page = await room.open(viewport=DESK)
    await eventually(lambda: rows(room, "select count(*) from room_heartbeats where login = 'olga'"))
    beats: list[str] = []
    page.on("request", lambda request: beats.append(request.url) if "/presencia" in request.url else None)
    await page.clock.install()
    await page.reload()
    await eventually(lambda: len(beats) == 1)
    await page.clock.run_for(5 * 60_000)
    await eventually(lambda: len(beats) == 6)
    await expect(page.locator("#presencia")).to_be_hidden()
    await page.clock.run_for(4 * 60_000)
    await expect(page.locator("#presencia")).to_be_visible()
    await page.clock.run_for(10 * 60_000)
    away = len(beats)
    assert away <= 11  # ten minutes without a sign, and not one more
    await page.keyboard.press("Shift")
    await eventually(lambda: len(beats) == away + 1)
    await expect(page.locator("#presencia")).to_be_hidden()


async def test_a_rehearsal_is_followed_to_its_result_without_loading_the_page_again(room: Room) -> None:
    half = asyncio.Event()

    async def slowly(
        text: str, span: Span, role: str, on_progress: Callable[[float], None]
    ) -> dict[str, object]:
        on_progress(0.5)
        await half.wait()
        return (await rehearse(room.site.pool, load_rules({"d.yaml": text}), span, role=role)).as_json()

    await tell_a_night(room.site)
    async with workshop(room.site, slowly):
        page = await room.open("/reglas", login="jaime")
        await page.get_by_label("Reglas en YAML").fill(GATE)
        await page.get_by_role("button", name="Revisar y ensayar").click()
        await expect(page.get_by_text("50 %")).to_be_visible()
        half.set()
        await expect(page.get_by_role("heading", name="Por hora del día")).to_be_visible()
        await expect(page.locator("svg rect.is-real")).to_have_count(1)  # the gate of that night
        await page.get_by_role("button", name="Activar con mi nombre").click()
        await expect(page.get_by_text("Activada como")).to_be_visible()


# ------------------------------------------------------------------------------------------- pictures


async def test_the_pictures_of_the_guide_are_taken_from_a_working_console(room: Room, tmp_path: Path) -> None:
    ids = await tell_a_night(room.site)
    folder = PICTURES if RETAKES_PICTURES else tmp_path
    desk = await room.open(f"/?alerta={ids['panic'].alert_id}", is_still=True)
    await expect(desk.locator("#mapa .pin.is-selected")).to_be_visible()
    await desk.locator("#sonido").click()
    await picture(room, folder, desk, "consola")
    await desk.goto(f"{room.site.url}/?alerta={ids['camera'].alert_id}")
    await expect(desk.locator("#mapa .pin.is-selected")).to_be_visible()
    await expect(desk.locator("#mapa path.leaflet-interactive").first).to_be_visible()
    await desk.keyboard.press("c")
    await expect(desk.get_by_label("Motivo de cierre")).to_be_focused()
    await picture(room, folder, desk, "consola-cierre")
    await desk.goto(f"{room.site.url}/dispositivos")
    await picture(room, folder, desk, "dispositivos")
    await desk.goto(f"{room.site.url}/entrega")
    await picture(room, folder, desk, "entrega")
    phone = await room.open(viewport=PHONE, is_still=True)
    await picture(room, folder, phone, "consola-movil")
    await card(phone, ids["panic"]).locator("a").click()
    await expect(phone.locator("#detalle .code")).to_be_visible()
    await picture(room, folder, phone, "alerta-movil")
    assert len(list(folder.glob("*.png"))) >= 5


async def picture(room: Room, folder: Path, page: Page, name: str) -> None:
    """Keep what the page looks like; a picture that differs only in how edges were smoothed stays."""
    await expect(page.locator("#enlace")).to_have_text("Conectado")
    await page.evaluate("document.fonts.ready")
    path = folder / f"{name}.png"
    taken = await page.screenshot(animations="disabled")
    if not path.exists() or not await looks_alike(room, path.read_bytes(), taken):
        path.write_bytes(taken)


async def looks_alike(room: Room, before: bytes, now: bytes) -> bool:
    page = await room.browser.new_page()
    try:
        pictures = [base64.b64encode(picture).decode() for picture in (before, now)]
        return bool(await page.evaluate(LOOKS_ALIKE, pictures))
    finally:
        await page.close()


LOOKS_ALIKE = """async (pictures) => {
    const [a, b] = await Promise.all(pictures.map(async (picture) => {
        const image = new Image();
        image.src = `data:image/png;base64,${picture}`;
        await image.decode();
        const canvas = new OffscreenCanvas(image.width, image.height).getContext("2d");
        canvas.drawImage(image, 0, 0);
        return canvas.getImageData(0, 0, image.width, image.height).data;
    }));
    return a.length === b.length && a.every((value, at) => Math.abs(value - b[at]) <= 8);
}"""


# ------------------------------------------------------------------------------------------- the story


@dataclass(frozen=True)
class Thing:
    """A device of the fictional commune."""

    kind: str
    name: str
    place: str
    sector: str
    latitude: float
    longitude: float
    battery: float | None
    seen_s: int


# name | kind | what it is called | where | sector | latitude longitude | battery | heard seconds ago, else 20
THINGS_TABLE = """
panic | panic_button | Botón sede vecinal | Los Boldos 12, sede | Los Boldos | -34.3632 -71.9532 | 0.86
duress | duress_button | Botón silencioso 4 | Pasaje Canario 77 | Norte | -34.366 -72.01 | 0.9
camera | camera | Cámara Costanera con Prat | Costanera con Arturo Prat | Costa | -34.3838 -72.0182
river | river_level | Limnímetro El Vado | Puente El Vado | Quebrada Honda | -34.403 -71.9435 | 0.71
gate | gate | Portón Fundo El Retamo | Camino Quebrada Honda km 4,5 | Quebrada Honda | -34.429 -71.962 | 0.64
silent | rural_sensor | Sensor Cerro La Cruz | Cerro La Cruz, torre | Norte | -34.371 -71.985 | 0.44 | 1900
battery | panic_button | Botón Escuela Las Lomas | Escuela Las Lomas | Norte | -34.3585 -72.0165 | 0.14
smoke | smoke | Detector Bosque municipal | Bosque municipal, caseta norte | Norte | -34.36 -72.0035 | 0.77
button2 | panic_button | Botón Feria Comercio | Comercio con La Marina | Centro | -34.3912 -72.0101 | 0.92
button3 | panic_button | Botón Consultorio | Gabriela Mistral 340 | Centro | -34.3875 -72.0031 | 0.95
button4 | panic_button | Botón Caleta | Caleta Los Aromos | Costa | -34.3945 -72.02 | 0.58
button5 | panic_button | Botón Villorrio | Villorrio, sede | Quebrada Honda | -34.4335 -71.9575 | 0.81
camera2 | camera | Cámara Plaza de Armas | Plaza de Armas | Centro | -34.39 -72.0066
camera3 | camera | Cámara Playa Grande | Playa Grande | Costa | -34.4015 -72.0212
camera4 | camera | Cámara Terminal | Terminal de buses, San Martín 120 | Centro | -34.394 -72.0008
tank | tank_level | Estanque APR Los Boldos | APR Los Boldos | Los Boldos | -34.356 -71.948 | 0.83
gate2 | gate | Portón Corrales Municipales | Corrales municipales | Los Boldos | -34.374 -71.96 | 0.52
"""


def _thing(line: str) -> tuple[str, Thing]:
    name, kind, title, place, sector, at, *rest = [part.strip() for part in line.split("|")]
    latitude, longitude = map(float, at.split())
    battery = float(rest[0]) if rest else None
    seen_s = int(rest[1]) if len(rest) > 1 else 20
    return name, Thing(kind, title, place, sector, latitude, longitude, battery, seen_s)


THINGS = dict(_thing(line) for line in THINGS_TABLE.strip().splitlines())


async def install(site: Site) -> dict[str, int]:
    """Register the devices and the people who are warned; returns name → device_id."""
    pool, now = site.pool, site.clock.now()
    await pool.execute(
        "insert into gateways (gateway, name, state, version, clock, status_at) values"
        " ('gw-centro', 'Central', 'online', '0.1.0', 'synced', $1),"
        " ('gw-rural', 'Antena Cerro Alto', 'online', '0.1.0', 'synced', $1)",
        now,
    )
    ids = {}
    for name, thing in THINGS.items():
        ids[name] = await pool.fetchval(
            "insert into devices"
            " (source, gateway, kind, name, place, sector, latitude, longitude, watch_group) values"
            " ($1, $2, $3, $4, $5, $6, $7, $8, 'jvr') returning device_id",
            f"urn:dev:ops:99999-{name}",
            "gw-centro" if thing.sector in ("Centro", "Costa") else "gw-rural",
            thing.kind, thing.name, thing.place, thing.sector, thing.latitude, thing.longitude,
        )  # fmt: skip
        seen_at = now - timedelta(seconds=thing.seen_s)
        await pool.execute("insert into device_state values ($1, $2, $3)", ids[name], seen_at, thing.battery)
    await pool.execute(
        "insert into contacts (name, phone, watch_group) values"
        " ('Presidencia JJ.VV. Los Boldos', '+56900000001', 'jvr'),"
        " ('Guía JVR Los Boldos', '+56900000002', 'jvr')"
    )
    await pool.execute(
        "insert into refusals (gateway, cause, count, first_at, last_at, detail) values"
        " ('gw-bodega', 'unknown_gateway', 14, $1, $1, 'no está en el registro'),"
        " ('gw-rural', 'malformed', 2, $1, $1, 'data.held_s: Expected `float`, got `str`')",
        now - timedelta(minutes=9),
    )
    return ids


# name, seconds ago, kind, priority, summary
STORY = (
    ("battery", 14_700, "battery_low", 4, "Batería baja: Botón Escuela Las Lomas"),
    ("silent", 1_720, "device_silent", 3, "Sin señal hace 28 min: Sensor Cerro La Cruz"),
    ("smoke", 2_640, "smoke", 1, "Humo: Detector Bosque municipal"),
    ("gate", 1_325, "gate_open", 2, "Portón abierto de noche: Portón Fundo El Retamo"),
    ("river", 940, "river_high", 2, "Crecida del río: Limnímetro El Vado, 2,61 m"),
    ("camera", 611, "camera_moved", 2, "Cámara desviada: Cámara Costanera con Prat"),
    ("duress", 268, "duress", 1, "Atención reservada"),
    ("panic", 42, "panic", 1, "Botón de pánico: Botón sede vecinal"),
)

# name, seconds after the opening, who, what, note
WORK = (
    ("smoke", 9, "olga", Move.ACKNOWLEDGE, ""),
    ("smoke", 40, "olga", Move.DISPATCH, "Móvil 2 y Bomberos avisados por radio."),
    ("smoke", 620, "jaime", Move.ARRIVE, ""),
    ("smoke", 1_500, "jaime", Move.CONTROL, "Quema de basura. Bomberos apagó; se cita al responsable."),
    ("gate", 31, "olga", Move.ACKNOWLEDGE, ""),
    ("gate", 120, "olga", Move.VERIFY, "Se llama al dueño; no contesta."),
    ("river", 22, "jaime", Move.ACKNOWLEDGE, ""),
    ("camera", 18, "olga", Move.ACKNOWLEDGE, ""),
    ("camera", 55, "olga", Move.ASSIGN, ""),
    ("camera", 97, "olga", Move.DISPATCH, "Móvil 3 a Costanera con Prat. No acercarse solos."),
    ("duress", 6, "olga", Move.ACKNOWLEDGE, ""),
    ("duress", 50, "olga", Move.DISPATCH, "Coordinado con Carabineros, sin baliza."),
)


async def tell_a_night(site: Site) -> dict[str, Alert]:
    """One evening in Los Aromos, through the same doors as the real thing."""
    devices = await install(site)
    opened: dict[str, Alert] = {}
    for name, ago_s, kind, priority, summary in STORY:
        thing = THINGS[name]
        opened[name] = await raise_alert(
            site, kind=kind, priority=priority, at=site.clock.now() - timedelta(seconds=ago_s),
            device_id=devices[name], summary=summary, dedup_key=name, place=thing.place, sector=thing.sector,
            latitude=thing.latitude, longitude=thing.longitude, gateway="gw-rural", watch_group="jvr",
        )  # fmt: skip
    again = site.clock.now() - timedelta(seconds=35)
    await raise_alert(site, dedup_key="panic", summary="Botón de pánico: Botón sede vecinal", at=again)
    for name, after_s, author, move, note in WORK:
        at = opened[name].opened_at + timedelta(seconds=after_s)
        target = author if move is Move.ASSIGN else None
        await alerts.move(
            site.pool, opened[name].alert_id, move, author=author, now=at, note=note, target=target
        )
    await site.pool.execute(
        "update notifications set state = 'sent', attempts = 1, sent_at = created_at + interval '0.4 seconds'"
    )
    return {name: await fresh(site, alert.alert_id) for name, alert in opened.items()}
