"""The yearly public account of the plan and its council (Ley 18.695 art. 67). Small counts are suppressed."""

from datetime import date

from hub.papers import charts
from hub.papers.desk import Desk, Kind, PaperError, Subject
from hub.papers.happenings import FAMILY_NAMES, Daily, Span, change, daily
from hub.papers.indicators import standings, standings_table
from hub.papers.operating import operations
from hub.papers.paper import Block, Cell, Chart, Column, Heading, NewPage, Paper, Paragraph, table
from hub.papers.registering import council, outreach, projects
from hub.papers.words import MONTHS
from hub.plan.figures import SMALL
from hub.plan.periods import Period, years_before

_STEPS = 4


async def build(desk: Desk, subject: Subject) -> Paper:
    """Raises :class:`PaperError` for a year that is not over."""
    year = subject.period
    if year is None or year.until > desk.as_of:
        raise PaperError("el año no ha terminado; pida el anterior")
    span = Span(year.label, year.first_day, year.end_day)
    await desk.progress(0, _STEPS, "indicadores del plan")
    groups = await standings(desk, year)
    await desk.progress(1, _STEPS, "hechos de dos años")
    found = await daily(desk, years_before(year.first_day, 1), year.end_day)
    await desk.progress(2, _STEPS, "operativos")
    held = await operations(desk, span)
    await desk.progress(3, _STEPS, "Consejo y proyectos")
    blocks: list[Block] = [Heading("Plan Comunal de Seguridad Pública")]
    if len(groups) > 1:
        blocks.append(standings_table("Indicadores del plan al cierre del año", groups[0]))
    else:
        blocks.append(Paragraph("No hubo un plan vigente cargado al cierre del año."))
    done = sum(one.state in ("executed", "closed") for one in held)
    closed = sum(one.state == "closed" for one in held)
    return Paper(
        kind="cuenta",
        title="Cuenta pública de seguridad",
        subtitle=f"Año {year.label}",
        commune=desk.letterhead,
        prepared_at=desk.as_of,
        is_public=True,
        blocks=(
            *blocks,
            *(await council(desk, span)),
            NewPage(),
            *_happened(found, year, span),
            Heading("Operativos"),
            Paragraph(f"{done} operativos ejecutados de {len(held)} programados; {closed} con acta cerrada."),
            *(await outreach(desk, span)),
            *(await projects(desk, year.end_day)),
        ),
    )


def _happened(found: Daily, year: Period, span: Span) -> list[Block]:
    before = span.a_year_before()
    is_whole = found.is_whole(before)
    lines: list[list[Cell]] = []
    for family, name in FAMILY_NAMES.items():
        codes = [code for code in found.codes if code.partition(".")[0] == family]
        if codes:
            now, then = found.total(span, *codes), found.total(before, *codes)
            hidden = min(now, then) < SMALL or not is_whole
            shown: list[Cell] = ["menos de 5" if n < SMALL else n for n in (now, then)]
            lines.append([name, *shown, "—" if hidden else change(now, then)])
    columns = (
        Column("Familia", width=3),
        Column(year.label, is_number=True),
        Column("Año anterior", is_number=True),
        Column("Variación %", is_number=True, decimals=1, is_signed=True),
    )
    totals = [_month(found, year, month) for month in range(1, 13)]
    drawn = charts.bars([name[:3] for name in MONTHS], [charts.Series("Hechos", totals)])
    words = f"Hechos confirmados por mes, de {totals[0]} en enero a {totals[-1]} en diciembre."
    note = "Confirmados por la central; no son casos policiales ni se suman con los del CEAD."
    if not is_whole:
        note += " El año anterior no está completo: no se compara."
    return [
        Heading("Hechos confirmados"),
        table("Por familia", columns, lines, note=note),
        Chart("Por mes", words, drawn),
    ]


def _month(found: Daily, year: Period, month: int) -> int:
    first = date(year.first_day.year, month, 1)
    end = date(first.year + month // 12, month % 12 + 1, 1)
    return found.total(Span("", first, end))


ACCOUNT = Kind(
    id="cuenta",
    name="Cuenta pública",
    doc="Del año: plan, Consejo con la asistencia por asiento, hechos, operativos, difusión y proyectos.",
    of="anio",
    build=build,
    is_public=True,
)
