"""Charts and the wall in a real browser, at a desk, on a phone and across a room."""

import math
import os
import random
import re
from datetime import timedelta

import planned_commune
import pytest
from playwright.async_api import Page, expect
from test_hub_console import DESK, PHONE, PICTURES, Room, browser, looks_alike, room, tell_a_night
from test_hub_console_plan import fits
from test_hub_web import raise_alert
from test_hub_web_device import outage
from test_hub_web_sala import hear

from hub.alerts import service as alerts
from hub.alerts.lifecycle import Move
from hub.plan.parameters import SLA_S
from hub.telemetry import Point
from hub.telemetry.postgres import PostgresTelemetry
from hub.web import screens

pytestmark = pytest.mark.asyncio(loop_scope="module")
__all__ = ["browser", "room"]  # fixtures

TAKES_PICTURES = bool(os.environ.get("ALMENARA_PICTURES"))
"""Pictures of the guides change with every font and browser: they are taken on demand."""


async def picture(room: Room, page: Page, name: str, *, is_whole: bool = True) -> None:
    """Keep what the page looks like, the whole or the first screen of it, where pictures are wanted."""
    if not TAKES_PICTURES:
        return
    await page.evaluate("document.fonts.ready")
    path = PICTURES / f"{name}.png"
    taken = await page.screenshot(animations="disabled", full_page=is_whole)
    if not path.exists() or not await looks_alike(room, path.read_bytes(), taken):
        path.write_bytes(taken)


async def a_river(room: Room) -> int:
    """The river's week: a tide of days, a flood of this evening, three hours without signal."""
    await tell_a_night(room.site)
    pool, now, store = room.site.pool, room.site.clock.now(), PostgresTelemetry()
    device_id: int = await pool.fetchval("select device_id from devices where kind = 'river_level'")
    points = []
    for step in range(1, 24 * 12):
        ago = step / 12
        if 9 < ago < 12:
            continue
        at = now - timedelta(hours=ago)
        level = 1.1 + 0.12 * math.sin(ago / 3) + 1.4 * math.exp(-ago / 1.6) + 0.03 * math.sin(step * 7)
        points.append(Point(device_id, "level", "m", at, level))
        points.append(Point(device_id, "battery", "/", at, 0.71 + 0.002 * ago))
        points.append(Point(device_id, "temperature", "Cel", at, 13 + 4 * math.sin(ago / 4)))
    await store.prepare(pool, points)
    await store.write(pool, points, now)
    while await store.roll_up(pool, now):
        pass
    await outage(room.site, device_id, 12, 9)
    return device_id


async def lit(page: Page) -> list[int]:
    """Of each chart: how many points of its canvas are as blue as the line."""
    return list(
        await page.evaluate(
            """() => [...document.querySelectorAll('.chart canvas')].map((canvas) => {
              const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
              let n = 0;
              for (let i = 0; i < data.length; i += 4) {
                if (data[i + 2] > 180 && data[i + 2] > data[i] + 60) n += 1;
              }
              return n;
            })"""
        )
    )


async def test_the_history_of_a_device_is_drawn_and_read(room: Room) -> None:
    device_id = await a_river(room)
    for name, viewport in (("", DESK), ("-movil", PHONE)):
        page = await room.open(f"/dispositivos/{device_id}", viewport=viewport, is_still=True)
        await expect(page.locator(".chart[data-drawn]")).to_have_count(3)
        assert all(count > 300 for count in await lit(page))
        assert await fits(page)
        await picture(room, page, f"dispositivo{name}")
        await page.locator(".chart-table summary").first.focus()
        await page.keyboard.press("Enter")
        await expect(page.locator(".chart-table").first.get_by_text("sin datos").first).to_be_visible()
        assert await fits(page)
        await page.get_by_role("link", name="7 días").click()
        await expect(page.locator(".chart[data-drawn]")).to_have_count(3)
    async with page.expect_download() as download:
        await page.get_by_role("link", name="Descargar CSV").click()
    assert (await download.value).suggested_filename == f"dispositivo-{device_id}-7d.csv"


async def test_an_indicator_is_drawn_with_its_running_period_apart(room: Room) -> None:
    await planned_commune.fill(room.site.pool)
    for name, viewport in (("", DESK), ("-movil", PHONE)):
        page = await room.open("/plan/PCSP-EJEMPLO-2025-2028/O1-2", "jaime", viewport, is_still=True)
        await expect(page.locator("#serie[data-drawn][data-provisional='2026-11']")).to_be_visible()
        await expect(page.locator("#provisorio")).to_contain_text("Cambia hasta que se congele")
        await expect(page.locator("#serie canvas")).to_have_count(1)
        assert all(count > 100 for count in await lit(page))
        assert await fits(page)
        await picture(room, page, f"indicador{name}", is_whole=False)


# ---------------------------------------------------------------------------------------------- wall

WALL = {"width": 1920, "height": 1080}


async def a_busy_week(room: Room) -> None:
    """The evening of the other pictures, after a week with answers, events, texts and cameras out."""
    site = room.site
    await tell_a_night(site)
    now, chance = site.clock.now(), random.Random(3)
    days = [(priority, target) for priority, target in SLA_S.items() for _ in range(60)]
    rows = []
    for number, (priority, target_s) in enumerate(days):
        opened = now - timedelta(hours=1 + chance.random() * 24 * (0.7 if number % 3 else 6.8))
        took_s = chance.lognormvariate(0, 0.7) * target_s * 0.5
        taken_at = opened + timedelta(seconds=took_s)
        rows.append((priority, f"w{number}", opened, taken_at, opened + timedelta(minutes=40)))
    await site.pool.executemany(
        "insert into alerts (alert_id, code, kind, priority, state, reason, dedup_key, summary, rule,"
        " happened_at, opened_at, last_event_at, acknowledged_at, closed_at) values"
        " (gen_random_uuid(), 'Z9', 'panic', $1, 'closed', 'attended', $2, '', '', $3, $3, $3, $4, $5)",
        rows,
    )
    device_id = await site.pool.fetchval("select device_id from devices where kind = 'panic_button' limit 1")
    heard = [
        now - timedelta(minutes=minute)
        for minute in range(24 * 60)
        for _ in range(round(2 + 1.6 * math.sin(minute / 230)))
    ]
    await hear(site, device_id, heard)
    for name, kind, is_ok, signal in (("modem-1", "modem", True, -71), ("smpp-movil", "smpp", False, None)):
        await site.pool.execute(
            "insert into transport_states"
            " (transport, owner, kind, is_ok, is_open, signal_dbm, checked_at, since)"
            " values ($1, 'hub-1', $2, $3, false, $4, $5, $5)",
            name,
            kind,
            is_ok,
            signal,
            now,
        )
    for name, hours in (("camera4", 5), ("button4", 2)):
        number = await site.pool.fetchval("select device_id from devices where source like '%' || $1", name)
        await raise_alert(
            site, kind="device_silent", priority=3, device_id=number, at=now - timedelta(hours=hours),
            summary="Sin señal", place="Terminal", sector="Centro",
        )  # fmt: skip


async def a_screen(room: Room, viewport: dict[str, int], is_still: bool = False) -> Page:
    """A wall that was signed in with its key, once."""
    site, login = room.site, f"sala-{len(room.browser.contexts)}"
    key = await screens.add(site.pool, login, "Sala de operaciones", site.clock.now())
    context = await room.browser.new_context(
        viewport=viewport, locale="es-CL", timezone_id="America/Santiago", is_mobile=viewport is PHONE
    )  # type: ignore[arg-type]
    page = await context.new_page()
    if is_still:
        await page.clock.set_fixed_time(site.clock.now())
    page.on("console", room._said)
    page.on("pageerror", lambda error: room.complaints.append(str(error)))
    page.on("request", room._asked)
    await page.goto(f"{site.url}/sala")
    await page.get_by_label("Usuario").fill(login)
    await page.get_by_label("Contraseña").fill(key)
    await page.get_by_role("button", name="Ingresar").click()
    await expect(page.locator("#enlace")).to_have_text("En vivo")
    return page


async def test_the_wall_fits_each_screen_and_is_read_from_afar(room: Room) -> None:
    await a_busy_week(room)
    for name, viewport in (("sala-muro", WALL), ("sala", DESK), ("sala-movil", PHONE)):
        page = await a_screen(room, viewport, is_still=True)
        await expect(page.locator("#mapa .pin").first).to_be_visible()
        await expect(page.locator(".sala-answers tbody tr")).to_have_count(4)
        assert await fits(page)
        if viewport is not PHONE:
            assert await page.evaluate("document.documentElement.scrollHeight <= window.innerHeight")
            overflowing = await page.evaluate(
                """() => [...document.querySelectorAll('.sala-figures > section')]
                  .filter((one) => one.scrollHeight > one.clientHeight + 1).map((one) => one.className)"""
            )
            assert overflowing == []
        if viewport is WALL:  # 23 mm at five metres on a screen of 55 inches are some 36 pixels
            sizes = await page.evaluate(
                """() => ['.sala-counts strong', '.wall-alert .code', '.wall-clock', '.wall-alert .timer']
                  .map((one) => parseFloat(getComputedStyle(document.querySelector(one)).fontSize))"""
            )
            assert min(sizes) >= 40, sizes
        await picture(room, page, name)


async def test_the_wall_is_live_and_says_since_when_it_is_not(room: Room) -> None:
    page = await a_screen(room, DESK)
    await expect(page.get_by_text("Sin alertas abiertas")).to_be_visible()
    alert = await raise_alert(room.site)
    await expect(page.locator(".wall-alert.is-untaken .code")).to_have_text(alert.code, timeout=5000)
    await alerts.move(
        room.site.pool, alert.alert_id, Move.ACKNOWLEDGE, author="olga", now=room.site.clock.now()
    )
    await expect(page.locator(".wall-alert .promise")).to_have_text("Tomada", timeout=5000)
    room.expects_loss = True
    port = int(room.site.url.rpartition(":")[2])
    await room.site.stop()
    lost = page.get_by_role("alert")
    await expect(lost).to_contain_text(
        re.compile(r"Sin conexión desde \d\d:\d\d:\d\d — lo que se ve es de las")
    )
    await expect(page.locator("body")).to_have_class(re.compile("is-lost"))
    await expect(page.locator(".wall-alert .timer")).to_be_hidden()
    await room.site.start(port)
    await expect(lost).to_be_hidden(timeout=15_000)
    await expect(page.locator("#enlace")).to_have_text("En vivo")


async def test_the_walls_figures_are_old_without_database_and_gone_once_it_is_revoked(room: Room) -> None:
    page = await a_screen(room, DESK)
    room.expects_loss = True
    await page.route(
        "**/sala/cifras", lambda route: route.fulfill(status=503, json={"detail": "no responde"})
    )
    room.site.bus.refresh()
    await expect(page.locator("#atraso")).to_contain_text("Sin conexión desde")
    await page.unroute("**/sala/cifras")
    room.site.bus.refresh()
    await expect(page.locator("#atraso")).to_be_hidden(timeout=15_000)
    [login] = [one.login for one in await screens.list_screens(room.site.pool, room.site.clock.now())]
    await screens.revoke(room.site.pool, login, room.site.clock.now())
    room.site.bus.refresh()
    await expect(page.get_by_role("button", name="Ingresar")).to_be_visible(timeout=10_000)
