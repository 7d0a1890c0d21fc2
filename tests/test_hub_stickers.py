"""Stickers as they are printed: another program reads the code off the page, and off a photo-like picture."""

import asyncio
import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

from test_hub_fieldwork import NOW, REGISTER, order
from test_hub_web import Site, site
from test_hub_web_operations import inspector

from hub.database import Pool
from hub.fieldwork import patrols, permits
from hub.papers.stickers import Sticker, stickers_pdf
from hub.plan.periods import SANTIAGO

__all__ = ["site"]  # a fixture

AT = datetime(2026, 11, 26, 12, tzinfo=UTC)


PER_SHEET, COLUMNS = 10, 2
LEFT_CM, WIDE_CM, HIGH_CM, STEP_X_CM, STEP_Y_CM = 1.0, 9.4, 5.2, 9.6, 5.4


def read(pdf: bytes, folder: Path, count: int, dots: int = 150) -> tuple[list[str], str]:
    """What a reader of QR finds on each sticker, cut out of a print of so many dots an inch; the writing."""
    assert shutil.which("zbarimg"), "install zbar-tools (make peers)"
    target = folder / "sheet.pdf"
    target.write_bytes(pdf)
    found = []
    for number in range(count):
        page, place = divmod(number, PER_SHEET)
        row, column = divmod(place, COLUMNS)
        box = (LEFT_CM + column * STEP_X_CM, LEFT_CM + row * STEP_Y_CM, WIDE_CM, HIGH_CM)
        x, y, width, height = (str(round(side / 2.54 * dots)) for side in box)
        where = ["-x", x, "-y", y, "-W", width, "-H", height, "-f", str(page + 1), "-l", str(page + 1)]
        words = ["pdftoppm", "-r", str(dots), *where, "-png", "-singlefile", target, folder / "one"]
        subprocess.run(words, check=True)
        words = ["zbarimg", "--quiet", "--raw", "-Sdisable", "-Sqrcode.enable", folder / "one.png"]
        one = subprocess.run(words, capture_output=True, text=True, check=True)
        found.append(one.stdout.strip())
    text = subprocess.run(["pdftotext", "-layout", target, "-"], capture_output=True, text=True, check=True)
    return found, text.stdout


async def test_what_is_printed_is_read_back_page_by_page(tmp_path: Path) -> None:
    codes = [
        *("7K3MPQ2X", "PV-0001", "PÑ-12/2027", "A" * 40, "1", "COM.AMB_2027-000123"),
        *(f"PV-{number:04}" for number in range(2, 9)),
    ]
    made = await stickers_pdf(
        [Sticker(code=code, name=f"Punto {code[:9]}", place="Costa") for code in codes],
        kind="Permiso municipal",
        commune="Los Aromos",
        prepared_at=AT,
    )
    found, text = await asyncio.to_thread(read, made, tmp_path, len(codes))
    assert found == codes
    assert all(code in text for code in codes if len(code) < 40)
    assert text.count("Los Aromos") == len(codes)
    assert text.count("\f") == 2, "ten on a sheet"
    coarse, _ = await asyncio.to_thread(read, made, tmp_path, len(codes), 72)
    assert coarse == codes, "a poor print is still read"


async def test_checkpoints_have_a_sheet_for_who_plans_rounds(site: Site, tmp_path: Path) -> None:
    chief, street = await site.person("jaime"), await inspector(site)
    address = "/rondas/puntos/adhesivos.pdf"
    assert (await chief.client.get(address)).status_code == 404
    point = await patrols.add_checkpoint(
        site.pool,
        name="Plaza",
        sector="CENTRO",
        latitude=-34.39,
        longitude=-72.01,
        radius_m=50,
        author="jaime",
        now=AT,
    )
    assert address in (await chief.client.get("/rondas/puntos")).text
    assert address not in (await street.client.get("/rondas/puntos")).text
    assert (await street.client.get(address)).status_code == 403
    sheet = await chief.client.get(address)
    assert sheet.headers["content-type"] == "application/pdf"
    codes, text = await asyncio.to_thread(read, sheet.content, tmp_path, 1)
    assert codes == [point.code]
    assert "Punto de control de ronda" in text


async def test_a_permit_that_is_in_force_has_a_sticker(site: Site, tmp_path: Path) -> None:
    await permits.import_permits(site.pool, REGISTER, "enero.csv", AT)
    today = site.clock.now().astimezone(SANTIAGO).date()
    await site.pool.execute(
        "update permits set state = 'active', valid_from = null, valid_until = case folio when 'PV-0001'"
        " then $1::date else $1::date - 1 end",
        today,
    )
    street = await inspector(site)
    page = (await street.client.get("/permisos?folio=PV-0001")).text
    assert "/permisos/adhesivo.pdf?folio=PV-0001" in page
    assert "adhesivo.pdf" not in (await street.client.get("/permisos?folio=PV-0002")).text
    sheet = await street.client.get("/permisos/adhesivo.pdf?folio=pv-0001")
    codes, text = await asyncio.to_thread(read, sheet.content, tmp_path, 1)
    assert codes == ["PV-0001"]
    assert f"{today:%d-%m-%Y}" in text
    assert (await street.client.get("/permisos/adhesivo.pdf?folio=PV-0002")).status_code == 404
    assert (await street.client.get("/permisos/adhesivo.pdf?folio=12345678-5")).status_code == 422
    read_ones = [subject for _, subject, _ in await site.audited("permit_read")]
    assert read_ones[-2:] == ["PV-0001", "PV-0002"]


async def test_the_order_prints_those_that_are_in_force(dsn: str, pool: Pool, tmp_path: Path) -> None:
    await permits.import_permits(pool, REGISTER, "enero.csv", NOW)
    await pool.execute(
        "update permits set valid_from = null, valid_until = $1, state = case folio when 'PV-0003'"
        " then 'revoked' else 'active' end",
        datetime.now(UTC).date() + timedelta(days=30),
    )
    sheet = tmp_path / "hoja.pdf"
    words = ["permits", "stickers", "--output", str(sheet)]
    code, said, _ = await order(dsn, tmp_path, *words)
    assert (code, "3 adhesivos" in said) == (0, True)
    codes, _ = await asyncio.to_thread(read, sheet.read_bytes(), tmp_path, 3)
    assert codes == ["PV-0001", "PV-0002", "PV-0004"]
    code, said, told = await order(dsn, tmp_path, *words, "--folio", "PV-0001", "--folio", "PV-0003")
    assert (code, "1 adhesivos" in said, "PV-0003: no figura, venció o no rige" in told) == (1, True, True)
    code, _, told = await order(dsn, tmp_path, *words, "--sector", "LUNA")
    assert (code, "ningún permiso que rija" in told) == (1, True)
    code, _, told = await order(dsn, tmp_path, *words, "--folio", "12.345.678-5")
    assert (code, "parece un RUT" in told) == (1, True)
