"""Charts and the wall in a real browser, at a desk, on a phone and across a room."""

import math
import os
from datetime import timedelta

import pytest
from playwright.async_api import Page, expect
from test_hub_console import DESK, PHONE, PICTURES, Room, browser, looks_alike, room, tell_a_night
from test_hub_console_plan import fits
from test_hub_web_device import outage

from hub.telemetry import Point
from hub.telemetry.postgres import PostgresTelemetry

pytestmark = pytest.mark.asyncio(loop_scope="module")
__all__ = ["browser", "room"]  # fixtures

TAKES_PICTURES = bool(os.environ.get("ALMENARA_PICTURES"))
"""Pictures of the guides change with every font and browser: they are taken on demand."""


async def picture(room: Room, page: Page, name: str) -> None:
    """Keep what the whole page looks like, where pictures are wanted."""
    if not TAKES_PICTURES:
        return
    await page.evaluate("document.fonts.ready")
    path = PICTURES / f"{name}.png"
    taken = await page.screenshot(animations="disabled", full_page=True)
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
