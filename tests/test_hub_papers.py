"""Documents: what stands in them against a count of their own, and each form that they are handed out in."""

import asyncio
import csv
import importlib.resources
import io
import json
import re
import shutil
import subprocess
import zipfile
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import planned_commune
import pytest
import pytest_asyncio
from fakes import VirtualClock
from test_hub_web import HASHED, PEOPLE, Site

from hub.alerts import catalogue
from hub.database import Pool
from hub.example_years import writing
from hub.example_years.span import Span
from hub.operations import importing
from hub.operations.loading import EXAMPLE, load_operation
from hub.papers import charts, service
from hub.papers.desk import Desk, PaperError, Subject
from hub.papers.kinds import KINDS
from hub.papers.making import Workshop
from hub.papers.paper import (
    Block,
    Chart,
    Column,
    Heading,
    KeyFigures,
    Paper,
    Paragraph,
    Signatures,
    Table,
    decode,
    encode,
    number,
    table,
)
from hub.papers.pdf import as_pdf
from hub.papers.sheet import as_csv, as_xlsx, tables
from hub.papers.words import period_name
from hub.plan.loading import load_topics
from hub.plan.parameters import parameters_of
from hub.plan.periods import SANTIAGO, parse_period
from hub.web.settings import WebSettings

NOW = planned_commune.NOW
MONTH = parse_period("2026-10")


def desk(pool: Pool, **changes: Any) -> Desk:
    values = {
        "pool": pool,
        "as_of": NOW,
        "commune": "Los Aromos",
        "catalogue": catalogue.load(),
        "topics": load_topics(),
    }
    return Desk(**(values | changes))


def find(paper: Paper, caption: str) -> Table:
    return next(block for block in tables(paper) if block.caption == caption)


def sample(*blocks: Block, **changes: Any) -> Paper:
    values: dict[str, Any] = {
        "kind": "muestra",
        "title": "Hoja de muestra",
        "subtitle": "octubre de 2026",
        "commune": "Los Aromos",
        "prepared_at": NOW.replace(microsecond=123_456),
        "blocks": blocks,
    }
    return Paper(**(values | changes))


# ---------------------------------------------------------------------------------------- contents


async def confirmed(pool: Pool) -> list[tuple[date, str]]:
    """(local day, class) of what was really found, read row by row and sorted out here."""
    known, found = parameters_of(catalogue.load()), []
    for row in await pool.fetch("select * from alerts"):
        code = row["classification"] or known["code_of_kind"].get(row["kind"], "")
        is_told = (
            not row["is_drill"] and not row["is_reserved"] and row["kind"] not in known["restricted_kinds"]
        )
        is_closed = row["closed_at"] is not None and row["closed_at"] <= NOW
        is_ours = code.partition(".")[0] not in ("TEC", "VIF")
        if is_told and is_closed and is_ours and row["reason"] in ("attended", "referred"):
            found.append((row["opened_at"].astimezone(SANTIAGO).date(), code))
    return found


async def test_the_weekly_sheet_counts_what_a_plain_count_finds(pool: Pool) -> None:
    await planned_commune.fill(pool, months=1)
    week = parse_period("2026-W46")
    paper = await KINDS["stop"].build(desk(pool), Subject("2026-W46", week))
    assert (await as_pdf(paper)).startswith(b"%PDF-")
    days = await confirmed(pool)
    end = week.end_day

    def count(first: date, last: date) -> int:
        return sum(first <= day < last for day, _ in days)

    figures = next(block for block in paper.blocks if isinstance(block, KeyFigures)).figures
    shown = {one.label: one.value for one in figures}
    assert shown["Hechos, 7 días"] == number(count(end - timedelta(days=7), end))
    assert shown["Hechos, 28 días"] == number(count(end - timedelta(days=28), end))
    year = next(value for label, value in shown.items() if "28" not in label and "7 d" not in label)
    assert year == number(count(date(2026, 1, 1), end))
    totals = [row for one in tables(paper) for index, row in enumerate(one.rows) if index in one.strong]
    assert sum(float(row[1] or 0) for row in totals) == count(end - timedelta(days=7), end)


async def test_the_monthly_pack_tells_figures_happenings_and_what_is_missing(pool: Pool) -> None:
    await planned_commune.fill(pool, months=3)
    told: list[str] = []

    async def tell(done: int, of: int, what: str) -> None:
        told.append(f"{done}/{of} {what}")

    paper = await KINDS["mes"].build(desk(pool, progress=tell), Subject("2026-10", MONTH))
    assert (await as_pdf(paper)).startswith(b"%PDF-")
    assert told[0] == "0/6 indicadores"
    assert len(told) == 6
    ready = find(paper, "Indicadores de la plataforma")
    assert len(ready.rows) >= 25
    frozen = {
        row["indicator"]: row["snapshot_id"]
        for row in await pool.fetch(
            "select * from plan_snapshots where plan_id = 'BASE' and period = '2026-10'"
        )
    }
    numbered = {str(row[0])[:3]: row[7] for row in ready.rows if row[1] == "2026-10"}
    assert {name: str(number) for name, number in frozen.items()} == numbered
    assert any(row[2] is None for row in ready.rows)  # «sin dato» stays without a number
    days = await confirmed(pool)
    months = find(paper, "Por familia").rows[-1]
    assert months[1] == sum(MONTH.first_day <= day < MONTH.end_day for day, _ in days)
    assert Paragraph("Con evidencia: 1 de 1 actividades comenzadas.") in paper.blocks
    later = desk(pool, as_of=datetime(2027, 1, 5, 12, tzinfo=UTC))
    paper = await KINDS["mes"].build(later, Subject("2026-12", parse_period("2026-12")))
    assert Paragraph("Con evidencia: 1 de 2 actividades comenzadas.") in paper.blocks
    assert [str(row[0])[:6] for row in find(paper, "Sin evidencia").rows] == ["O1C1A1"]


async def test_a_period_that_goes_on_or_is_of_another_kind_is_refused() -> None:
    now = datetime(2026, 11, 20, 12, tzinfo=UTC)
    month = service.kind_of("mes")
    assert service.subject_of(month, "", now).label == "2026-10"
    for text, why in (
        ("2026-11", "no ha terminado"),
        ("2026-W40", "se hace por mes"),
        ("octubre", "octubre"),
    ):
        with pytest.raises(PaperError, match=why):
            service.subject_of(month, text, now)
    with pytest.raises(PaperError, match="los hay: stop, mes, permisos, cuenta, acta, sesion"):
        service.kind_of("nada")


async def test_a_document_is_kept_as_it_was_made(pool: Pool) -> None:
    await planned_commune.fill(pool, months=1)
    subject = Subject("2026-10", MONTH)
    made = await service.make(desk(pool), service.kind_of("mes"), subject, author="jaime")
    kept, paper = await service.find(pool, made)
    assert decode(encode(paper)) == paper
    assert kept.author == "jaime"
    again = await KINDS["mes"].build(desk(pool), subject)
    assert encode(again) == encode(paper)  # the same instant gives the same document
    with pytest.raises(asyncpg.RaiseError, match="never changed"):
        await pool.execute("update papers set content = '{}'")
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("alter table papers disable trigger papers_kept")
        await connection.execute("update papers set content = replace(content, 'Octubre', 'Agosto')")
    with pytest.raises(PaperError, match="fue alterado"):
        await service.find(pool, made)


# ------------------------------------------------------------------------------------------- forms

_LINES = [["Hurto", 3, -12.5], ["=cmd()", None, 1234.5]]
_TABLE = table(
    "Por clase: a/b",
    (Column("Clase"), Column("Mes", is_number=True), Column("%", True, 1, 1.0, True)),
    _LINES,
    strong=(1,),
    lights=("good", "bad"),
    note="Una nota.",
)
_DRAWN = Chart("Por mes", "Sube de 1 a 3.", charts.bars(["ene", "feb"], [charts.Series("Hechos", [1, 3])]))


def test_a_pdf_is_tagged_spanish_a4_and_gives_the_same_bytes(tmp_path: Path) -> None:
    paper = sample(Heading("Hechos"), Paragraph("Ñandú, ¿sí?"), _TABLE, _DRAWN, Signatures(("DSP",)))
    first, second = (asyncio.run(as_pdf(paper)) for _ in range(2))
    assert first == second
    assert re.search(rb"/Lang ?\(es-CL\)", first)
    target = tmp_path / "muestra.pdf"
    target.write_bytes(first)
    assert shutil.which("pdftotext"), "install poppler-utils (make peers)"
    told = subprocess.run(["pdfinfo", target], capture_output=True, text=True, check=True).stdout
    assert re.search(r"Tagged:\s+yes", told)
    assert "A4" in told
    text = subprocess.run(
        ["pdftotext", "-layout", target, "-"], capture_output=True, text=True, check=True
    ).stdout
    for words in ("Hoja de muestra", "Ñandú, ¿sí?", "−12,5", "+1.234,5", "sin dato", "Página 1 de 1"):
        assert words in text, words
    structure = subprocess.run(
        ["pdfinfo", "-struct-text", target], capture_output=True, text=True, check=True
    ).stdout
    for mark in ("H1", "Table", "TH", "Figure"):
        assert re.search(rf"\b{mark}\b", structure), mark


def test_a_spreadsheet_holds_numbers_and_no_formula() -> None:
    with zipfile.ZipFile(io.BytesIO(as_xlsx(sample(_TABLE, _TABLE)))) as book:
        names = book.read("xl/workbook.xml").decode()
        assert 'name="Por clase  a b"' in names
        assert "(2)" in names
        sheet = book.read("xl/worksheets/sheet2.xml").decode()
    assert "<f>" not in sheet
    assert "<v>-12.5</v>" in sheet


def test_a_csv_is_no_formula_either() -> None:
    text = as_csv(_TABLE)
    assert text.startswith("\ufeff")
    rows = list(csv.reader(io.StringIO(text.removeprefix("\ufeff"))))
    assert rows[1:] == [["Hurto", "3", "-12.5"], ["'=cmd()", "sin dato", "1234.5"]]


def test_a_row_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="has 1 cells for 2 columns"):
        table("x", (Column("a"), Column("b")), [["1"]])


def test_a_line_breaks_where_there_is_no_value() -> None:
    drawn = charts.lines(["a", "b", "c", "d", "e"], [charts.Series("x", [1, 2, None, 4, 5])])
    assert drawn.count("<polyline") == 2
    assert charts.lines(["a", "b", "c"], [charts.Series("x", [1, None, 3])]).count("<circle") == 2
    escaped = charts.bars(["<b>"], [charts.Series("&", [-1])])
    assert "<b>" not in escaped
    assert "−1" in escaped


@pytest.mark.parametrize(
    ("label", "name"),
    [
        ("2026-10", "octubre de 2026"),
        ("2026-W01", "semana 1 de 2026"),
        ("2026-T3", "tercer trimestre de 2026"),
        ("2026", "2026"),
    ],
)
def test_a_period_has_its_name(label: str, name: str) -> None:
    assert period_name(parse_period(label)) == name


# ------------------------------------------------------------------------------------------- pages


@pytest_asyncio.fixture
async def site(pool: Pool) -> AsyncIterator[Site]:
    await pool.executemany(
        "insert into users (login, name, role, password) values ($1, $2, $3, $4)",
        [(login, name, role, HASHED) for login, (name, role) in PEOPLE.items()],
    )
    await planned_commune.fill(pool, months=1)
    running = Site(pool, VirtualClock(NOW), WebSettings(commune="Los Aromos"))
    running.workshop = Workshop(lambda now: desk(pool, as_of=now), running.clock)
    await running.start()
    work = asyncio.create_task(running.workshop.run_loop())
    try:
        yield running
        for browser in running.browsers:
            await browser.aclose()
    finally:
        work.cancel()
        await running.stop()


async def test_a_document_is_asked_for_followed_and_handed_out(site: Site) -> None:
    person = await site.person("jaime")
    answer = await person.client.post(
        "/documentos", data={"csrf": person.csrf, "documento": "mes", "de": "2026-10"}
    )
    assert answer.status_code == 303
    following = answer.headers["location"]
    for _ in range(600):
        page = (await person.client.get(f"{following}/avance")).text
        if 'data-state="done"' in page:
            break
        assert 'data-state="failed"' not in page, page
        await asyncio.sleep(0.05)
    found = re.search(r'data-next="(/documentos/\d+)"', page)
    assert found
    page = (await person.client.get(found[1])).text
    assert "Informe mensual al Consejo" in page
    assert "Octubre de 2026" in page
    for path, begins in (("pdf", b"%PDF-"), ("xlsx", b"PK"), ("json", b"{"), ("csv/1", "\ufeff".encode())):
        answer = await person.client.get(f"{found[1]}/{path}")
        assert answer.status_code == 200, path
        assert answer.content.startswith(begins), path
        named = answer.headers["content-disposition"].partition("filename=")[2]
        assert re.fullmatch(r'"mes-2026-10-\d+[-\d]*\.\w+"', named)
    assert json.loads((await person.client.get(f"{found[1]}/json")).text)["kind"] == "mes"
    drawn = await person.client.get(f"{found[1]}/grafico/1.svg")
    assert drawn.headers["content-type"].startswith("image/svg+xml")
    assert (await person.client.get(f"{found[1]}/grafico/99.svg")).status_code == 404
    assert "Informe mensual" in (await person.client.get("/documentos")).text
    assert [what for _, _, what in await site.audited("paper_asked")] == ["mes 2026-10"]
    assert len(await site.audited("paper_read")) == 1  # one reading, in whatever form


async def test_what_cannot_be_made_is_said_on_the_page(site: Site) -> None:
    person = await site.person("jaime")
    for values, why in (
        ({"documento": "mes", "de": "2026-12"}, "no ha terminado"),
        ({"documento": "nada"}, "No existe el documento"),
    ):
        answer = await person.client.post("/documentos", data={"csrf": person.csrf} | values)
        assert answer.status_code == 422
        assert why in answer.text
    assert (await person.client.get("/documentos/99")).status_code == 404
    assert (await person.client.get("/documentos/preparando/olvidado")).status_code == 404


async def test_only_who_steers_makes_documents(site: Site) -> None:
    for login, sees, makes in (
        ("olga", 403, 403),
        ("tito", 403, 403),
        ("aida", 200, 403),
        ("jaime", 200, 422),
    ):
        person = await site.person(login)
        assert (await person.client.get("/documentos")).status_code == sees
        answer = await person.client.post("/documentos", data={"csrf": person.csrf, "documento": "nada"})
        assert answer.status_code == makes


# ------------------------------------------------------------------------------- acta, session, account


async def test_an_operation_becomes_an_acta_on_paper(pool: Pool) -> None:
    filed, _ = load_operation(
        (importlib.resources.files("hub.operations") / "examples" / EXAMPLE).read_text("utf-8")
    )
    await importing.store(pool, filed, author="jaime", now=NOW)
    paper = await KINDS["acta"].build(desk(pool), Subject("OPF-2027-0014"))
    assert (paper.folio, paper.is_draft) == ("ACTA-OPF-2027-0014", False)
    (fined,) = [row for row in find(paper, "Fiscalizaciones").rows if "parte A-004512" in str(row)]
    assert "Ordenanza 07 art. 12" in str(fined)
    assert any(isinstance(block, Signatures) and len(block.lines) == 4 for block in paper.blocks)
    assert (await as_pdf(paper)).startswith(b"%PDF-")
    with pytest.raises(PaperError, match="no existe el operativo"):
        await KINDS["acta"].build(desk(pool), Subject("OPF-2027-0099"))


async def test_a_quarter_of_permits_is_told_as_the_register_and_the_street_have_it(pool: Pool) -> None:
    quarter = parse_period("2026-T3")
    kind = KINDS["permisos"]
    paper = await kind.build(desk(pool), Subject("2026-T3", quarter))
    assert any(isinstance(b, Paragraph) and b.text.startswith("Sin dato") for b in paper.blocks)
    rows = [
        ("A1", "Alimentos", "COSTA", date(2026, 1, 1), date(2026, 12, 31), "active"),
        ("A2", "Alimentos", "CENTRO", date(2026, 7, 1), date(2027, 6, 30), "active"),  # began
        ("A3", "Alimentos", "COSTA", date(2026, 1, 1), date(2026, 8, 31), "active"),  # ended
        ("A4", "Alimentos", "COSTA", date(2026, 1, 1), date(2026, 9, 30), "active"),  # ends on the last day
        ("R1", "Ropa", "COSTA", None, date(2026, 12, 31), "suspended"),
        ("R2", "Ropa", "", None, date(2026, 6, 30), "active"),  # ended the day before
        ("R3", "Ropa", "COSTA", date(2026, 10, 1), date(2027, 9, 30), "active"),  # later
    ]
    await pool.executemany(
        "insert into permits (folio, trade, place, sector, valid_from, valid_until, state, source,"
        " imported_at) values ($1, $2, '', $3, $4, $5, $6, 'permisos.csv', '2026-10-05')",
        rows,
    )
    for number_, (standing, result, at) in enumerate(
        [
            ("valid", "no_remark", "2026-07-02"),
            ("none", "infringement", "2026-09-30"),
            ("none", "warning", "2026-08-01"),
            ("expired", "infringement", "2026-10-02"),
            ("expired", "warning", "2025-08-02"),
        ]
    ):
        await pool.execute(
            "insert into inspections (inspection_id, folio, permit_state, result, inspected_at, author,"
            " recorded_at) values (gen_random_uuid(), $1, $2, $3, $4, 'ines', $4)",
            *(f"FIS-{number_}", standing, result, datetime.fromisoformat(f"{at} 15:00Z")),
        )
    paper = await kind.build(desk(pool), Subject("2026-T3", quarter))
    by_trade = {row[0]: row[1:] for row in find(paper, "Por rubro").rows}
    assert by_trade == {
        "Alimentos": (3, 3, 1, 2, 0, 0),
        "Ropa": (1, 0, 0, 0, 1, 0),
        "Total": (4, 3, 1, 2, 1, 0),
    }
    assert {row[0] for row in find(paper, "Por sector").rows} == {"COSTA", "CENTRO", "Sin sector", "Total"}
    found = {row[0]: row[1:] for row in find(paper, "Permisos en la calle").rows}
    assert found["No tiene"] == (2, 1, 0)
    assert found["Vencido"] == (0, 0, 1)
    assert found["Total"] == (3, 1, 1)
    assert (await as_pdf(paper)).startswith(b"%PDF-")
    with pytest.raises(PaperError, match="no ha terminado"):
        await kind.build(desk(pool), Subject("2026-T4", parse_period("2026-T4")))


async def test_a_year_of_the_fictional_commune_is_accounted_for(pool: Pool) -> None:
    span = Span(date(2024, 11, 1), date(2026, 2, 1))
    await writing.write(pool, span)
    as_of = span.until
    told = desk(pool, as_of=as_of)
    paper = await KINDS["cuenta"].build(told, service.subject_of(KINDS["cuenta"], "2025", as_of))
    assert paper.is_public
    held = await pool.fetchval(
        "select count(*) from council_sessions where state = 'held' and starts_at >= '2025-01-01 03:00Z'"
        " and starts_at < '2026-01-01 03:00Z'"
    )
    text = " ".join(block.text for block in paper.blocks if isinstance(block, Paragraph))
    assert f"{held} sesiones realizadas" in text
    assert len(find(paper, "Asistencia por asiento").rows) == 13
    money = find(paper, "Montos hasta la fecha").rows
    paid = await pool.fetchval(
        "select sum(amount_clp) from project_payments where sort = 'instalment' and day < '2026-01-01'"
    )
    assert sum(int(row[4] or 0) for row in money) == paid
    folio = await pool.fetchval("select folio from council_sessions where state = 'held' limit 1")
    acta = await KINDS["sesion"].build(told, Subject(folio))
    assert acta.is_draft
    for one in (paper, acta):  # the engine refuses what is no proper PDF/UA
        assert (await as_pdf(one)).startswith(b"%PDF-")
    assert len(find(acta, "Por asiento").rows) == 13
    planned = await pool.fetchval("select folio from council_sessions where state = 'cancelled' limit 1")
    with pytest.raises(PaperError, match="no tiene asistencia"):
        await KINDS["sesion"].build(told, Subject(planned))
