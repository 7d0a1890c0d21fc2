"""The monthly pack for the safety council: figures, what happened, what was done, what is missing."""

from collections.abc import Sequence
from datetime import timedelta

from hub.papers import charts
from hub.papers.desk import Desk, Kind, PaperError, Subject
from hub.papers.happenings import FAMILY_NAMES, Daily, Span, change, daily, hourly
from hub.papers.indicators import Standing, history, key_figure, standings, standings_table
from hub.papers.operating import STATES, Held, operations
from hub.papers.paper import (
    Block,
    Cell,
    Chart,
    Column,
    Heading,
    KeyFigures,
    NewPage,
    Paper,
    Paragraph,
    number,
    table,
)
from hub.papers.registering import pending
from hub.papers.words import MONTHS, day, period_name
from hub.plan import versions
from hub.plan.periods import SANTIAGO, Period, previous, years_before

_FIRST = ("I01", "I02", "I03", "I04", "I05", "I08", "I13", "I20")
_MOST_CHARTS = 6
_STEPS = 6


async def build(desk: Desk, subject: Subject) -> Paper:
    """Raises :class:`PaperError` for a month that is not over."""
    month = subject.period
    if month is None or month.until > desk.as_of:
        raise PaperError("el mes no ha terminado; pida el anterior")
    span = Span("Mes", month.first_day, month.end_day)
    await desk.progress(0, _STEPS, "indicadores")
    groups = await standings(desk, month)
    await desk.progress(1, _STEPS, "hechos")
    found = await daily(desk, years_before(month.first_day, 1), month.end_day)
    hours = await hourly(desk, span)
    await desk.progress(2, _STEPS, "operativos")
    held = await operations(desk, span)
    await desk.progress(3, _STEPS, "actividades del plan")
    activities = await _activities(desk, month)
    await desk.progress(4, _STEPS, "acuerdos y requerimientos")
    overdue = await pending(desk, month.end_day)
    await desk.progress(5, _STEPS, "portada")
    return Paper(
        kind="mes",
        title="Informe mensual al Consejo Comunal de Seguridad Pública",
        subtitle=period_name(month).capitalize(),
        commune=desk.letterhead,
        prepared_at=desk.as_of,
        blocks=(
            *_cover(groups),
            *_figures(groups),
            NewPage(),
            *_happenings(found, month, span, hours),
            *_operations(held),
            *activities,
            *overdue,
        ),
    )


def _cover(groups: Sequence[Sequence[Standing]]) -> list[Block]:
    ready = {one.indicator.id: one for one in groups[-1]}
    return [KeyFigures(tuple(key_figure(ready[name]) for name in _FIRST if name in ready))]


def _figures(groups: Sequence[Sequence[Standing]]) -> list[Block]:
    blocks: list[Block] = [Heading("Indicadores")]
    if len(groups) > 1:
        blocks.append(standings_table("Indicadores del plan vigente", groups[0]))
        drawn = [chart for one in groups[0] if (chart := history(one))][:_MOST_CHARTS]
        blocks += drawn
    else:
        blocks.append(
            Paragraph("No hay un plan vigente cargado; se muestran los indicadores de la plataforma.")
        )
    blocks.append(standings_table("Indicadores de la plataforma", groups[-1]))
    return blocks


def _happenings(found: Daily, month: Period, span: Span, hours: Sequence[int]) -> list[Block]:
    last = previous(month)
    before, year = Span("", last.first_day, last.end_day), span.a_year_before()
    families: dict[str, list[str]] = {}
    for code in found.codes:
        families.setdefault(code.partition(".")[0], []).append(code)
    lines: list[list[Cell]] = []
    for family, name in FAMILY_NAMES.items():
        if codes := families.get(family):
            lines.append(_compare(name, *(found.total(one, *codes) for one in (span, before, year))))
    if not lines:
        return [Heading("Hechos confirmados"), Paragraph("No hubo hechos confirmados en el mes.")]
    lines.append(_compare("Total", *(found.total(one) for one in (span, before, year))))
    columns = (
        Column("Familia", width=2.4),
        Column("Mes", is_number=True),
        Column("Mes anterior", is_number=True),
        Column("Variación %", is_number=True, decimals=1, is_signed=True),
        Column("Un año antes", is_number=True),
        Column("Variación %", is_number=True, decimals=1, is_signed=True),
    )
    note = "No son casos policiales. Sin pruebas, simulacros ni casos reservados."
    most = max(range(24), key=lambda hour: hours[hour])
    words = f"Hechos confirmados por hora del día; la hora con más es las {most}, con {hours[most]}."
    drawn = charts.bars([f"{hour:02}" for hour in range(24)], [charts.Series("Hechos", hours)])
    return [
        Heading("Hechos confirmados"),
        table("Por familia", columns, lines, strong=(len(lines) - 1,), note=note),
        _months(found, month),
        Chart("Por hora del día", words, drawn),
    ]


def _compare(name: str, now: int, before: int, year: int) -> list[Cell]:
    return [name, now, before, change(now, before), year, change(now, year)]


def _months(found: Daily, month: Period) -> Chart:
    months = [month]
    while len(months) < 13:
        months.append(previous(months[-1]))
    months.reverse()
    totals = [found.total(Span("", one.first_day, one.end_day)) for one in months]
    labels = [f"{MONTHS[one.first_day.month - 1][:3]} {one.first_day:%y}" for one in months]
    words = f"Hechos confirmados por mes en un año, de {totals[0]} a {totals[-1]}."
    return Chart("Por mes", words, charts.bars(labels, [charts.Series("Hechos", totals)]))


def _operations(held: Sequence[Held]) -> list[Block]:
    if not held:
        return [Heading("Operativos"), Paragraph("No hubo operativos programados en el mes.")]
    lines: list[list[Cell]] = [
        [
            one.folio,
            f"{one.at.astimezone(SANTIAGO):%d-%m %H:%M}",
            one.sector,
            STATES[one.state],
            one.institutions,
            one.inspections,
            one.infringements,
            one.origins,
        ]
        for one in held
    ]
    columns = (
        Column("Folio", width=1.7),
        Column("Fecha", width=1.3),
        Column("Sector", width=1.3),
        Column("Estado", width=1.9),
        Column("Instituciones", is_number=True, width=1.4),
        Column("Fiscalizaciones", is_number=True, width=1.5),
        Column("Infracciones", is_number=True, width=1.2),
        Column("Hechos de origen", is_number=True, width=1.1),
    )
    done = sum(one.state in ("executed", "closed") for one in held)
    closed = sum(one.state == "closed" for one in held)
    text = f"{number(done)} de {number(len(held))} ejecutados; {closed} con acta cerrada."
    return [Heading("Operativos"), Paragraph(text), table("Operativos del mes", columns, lines)]


async def _activities(desk: Desk, month: Period) -> list[Block]:
    version = await versions.current(desk.pool, desk.topics, month.until)
    if version is None:
        return []
    proven = {one.activity for one in await versions.evidence_of(desk.pool, version.plan.id)}
    last = month.end_day - timedelta(days=1)
    begun = [one for one in version.plan.activities() if one.starts_on <= last]
    missing = [one for one in begun if one.id not in proven]
    blocks: list[Block] = [Heading("Actividades del plan")]
    text = f"Con evidencia: {len(begun) - len(missing)} de {len(begun)} actividades comenzadas."
    blocks.append(Paragraph(text))
    if missing:
        columns = (
            Column("Actividad", width=4),
            Column("Responsable", width=1.6),
            Column("Inicio", width=1.2),
            Column("Término", width=1.2),
        )
        lines = [[f"{a.id} {a.name}", a.responsible, day(a.starts_on), day(a.ends_on)] for a in missing]
        blocks.append(table("Sin evidencia", columns, lines))
    return blocks


MONTH = Kind(
    id="mes",
    name="Informe mensual al Consejo",
    doc="Indicadores con su número congelado, hechos, operativos y lo que falta en el plan.",
    of="mes",
    build=build,
)
