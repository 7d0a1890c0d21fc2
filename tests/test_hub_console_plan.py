"""The plan in a real browser, on a desk and on a phone."""

from pathlib import Path

import planned_commune
import pytest
from playwright.async_api import Page, expect
from test_hub_console import DESK, PHONE, Room, browser, room

pytestmark = pytest.mark.asyncio(loop_scope="module")
__all__ = ["browser", "room"]  # fixtures


async def fits(page: Page) -> bool:
    wide: int = await page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    return wide <= 0


async def test_from_the_board_to_a_verified_figure(room: Room, tmp_path: Path) -> None:
    await planned_commune.fill(room.site.pool)
    for name, viewport in (("desk", DESK), ("phone", PHONE)):
        page = await room.open("/plan", "jaime", viewport)
        await expect(page.get_by_role("heading", name="Plan Comunal de Seguridad Pública")).to_be_visible()
        await expect(page.locator(".spark").first).to_be_visible()
        assert await fits(page)
        await page.screenshot(path=tmp_path / f"board-{name}.png", full_page=True)
        await page.get_by_text("Indicadores de la plataforma").click()
        assert await fits(page)
        link = page.get_by_role("link", name="I04 Alertas inoficiosas")
        await link.focus()
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("heading", name="Cómo se calcula")).to_be_visible()
        assert await fits(page)
        await page.screenshot(path=tmp_path / f"indicator-{name}.png", full_page=True)
        await page.get_by_role("button", name="Verificar 2026-10, revisión 1").click()
        await expect(page.get_by_role("status").filter(has_text="Igual")).to_be_visible()
        assert await fits(page)
        await page.screenshot(path=tmp_path / f"verified-{name}.png", full_page=True)
