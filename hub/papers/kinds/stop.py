"""The weekly sheet in the manner of STOP: 7 days, 28 days and the year, each against the year before."""

from collections.abc import Sequence
from datetime import date, timedelta

from hub.devices.words import DEVICE_KINDS
from hub.papers import charts
from hub.papers.desk import Desk, Kind, PaperError, Subject
from hub.papers.fieldwork import Work, work
from hub.papers.happenings import (
    FAMILY_NAMES,
    Count,
    Daily,
    Span,
    change,
    counts,
    daily,
    stop_spans,
    threshold,
)
from hub.papers.outages import outages
from hub.papers.paper import (
    Block,
    Cell,
    Chart,
    Column,
    Heading,
    KeyFigure,
    KeyFigures,
    Paper,
    Paragraph,
    Table,
    number,
    table,
)
from hub.papers.words import day, moment, period_name
from hub.plan.periods import years_before

WEEKS = 52
_NOT_POLICE = (
    "Hechos confirmados por la central (cerrados como atendidos o derivados). No son casos policiales y no se"
    " suman con las cifras de STOP ni del CEAD. Sin pruebas, simulacros ni casos reservados."
)


async def build(desk: Desk, subject: Subject) -> Paper:
    """Raises :class:`PaperError` for a week that is not over."""
    week = subject.period
    if week is None or week.until > desk.as_of:
        raise PaperError("la semana no ha terminado; pida la anterior")
    end = week.end_day
    spans = stop_spans(end)
    await desk.progress(0, 3, "hechos de dos años")
    first = min(years_before(end - timedelta(days=7 * WEEKS), 1), years_before(spans[2].first, 1))
    found = await daily(desk, first, end)
    await desk.progress(1, 3, "fiscalización")
    done = await work(desk, spans)
    await desk.progress(2, 3, "equipos fuera de servicio")
    out = await _outages(desk)
    return Paper(
        kind="stop",
        title="Hoja semanal de seguridad",
        subtitle=f"{period_name(week)} ({day(week.first_day)} al {day(end - timedelta(days=1))})",
        commune=desk.letterhead,
        prepared_at=desk.as_of,
        blocks=(
            _summary(found, spans),
            Heading("Hechos confirmados"),
            *_by_class(desk, found, spans),
            _weeks(found, week.end_day),
            Heading("Fiscalización"),
            _work(done, spans),
            Heading("Equipos fuera de servicio"),
            out,
        ),
    )


def _summary(found: Daily, spans: Sequence[Span]) -> KeyFigures:
    figures = []
    for span in spans:
        now, before = found.total(span), found.total(span.a_year_before())
        figures.append(
            KeyFigure(f"Hechos, {span.name.lower()}", number(now), _against(now, before), _light(now, before))
        )
    weeks = found.weeks(spans[0].first, WEEKS)
    limit = threshold(weeks)
    now = found.total(spans[0])
    if limit is not None:
        is_high = now > limit
        figures.append(
            KeyFigure(
                "Umbral de la semana",
                number(limit, 1),
                "sobre lo habitual" if is_high else "dentro de lo habitual",
                "bad" if is_high else "good",
            )
        )
    return KeyFigures(tuple(figures))


def _against(now: int, before: int) -> str:
    moved = change(now, before)
    if moved is None:
        return "sin hechos un año antes"
    return f"{number(moved, 1, is_signed=True)} % que un año antes ({number(before)})"


def _light(now: int, before: int) -> str:
    return "plain" if now == before else "bad" if now > before else "good"


_LEFT = (Column("Grupo", width=3.4),)


def _columns(spans: Sequence[Span]) -> tuple[Column, ...]:
    found = list(_LEFT)
    for span in spans:
        found += [
            Column(span.name, is_number=True),
            Column("Un año antes", is_number=True),
            Column("Variación %", is_number=True, decimals=1, is_signed=True),
        ]
    return tuple(found)


def _cells(label: str, now: Sequence[float], before: Sequence[float]) -> list[Cell]:
    cells: list[Cell] = [label]
    for one, then in zip(now, before, strict=True):
        cells += [one, then, change(one, then)]
    return cells


def _sums(rows: Sequence[Count]) -> tuple[list[float], list[float]]:
    return (
        [float(sum(values)) for values in zip(*(row.now for row in rows), strict=True)],
        [float(sum(values)) for values in zip(*(row.before for row in rows), strict=True)],
    )


def _by_class(desk: Desk, found: Daily, spans: Sequence[Span]) -> list[Block]:
    every = counts(desk, found, spans)
    dmcs = [row for row in every if row.is_dmcs]
    blocks: list[Block] = [Paragraph(_NOT_POLICE, is_note=True)]
    if dmcs:
        blocks.append(_table("Delitos de mayor connotación social", dmcs, spans))
    for family, name in FAMILY_NAMES.items():
        rows = [row for row in every if row.family == family and not row.is_dmcs]
        if rows:
            blocks.append(_table("Otros delitos" if family == "DEL" else name, rows, spans))
    return blocks


def _table(caption: str, rows: Sequence[Count], spans: Sequence[Span]) -> Table:
    lines = [_cells(row.label, row.now, row.before) for row in rows]
    lines.append(_cells("Total", *_sums(rows)))
    return table(caption, _columns(spans), lines, strong=(len(lines) - 1,))


def _weeks(found: Daily, end_day: date) -> Chart:
    now = found.weeks(end_day, WEEKS)
    before = found.weeks(end_day - timedelta(days=7 * WEEKS), WEEKS)
    labels = [f"{end_day - timedelta(days=7 * (WEEKS - index)):%d-%m}" for index in range(WEEKS)]
    drawn = charts.lines(
        labels,
        [charts.Series("Un año antes", before, charts.BEFORE), charts.Series("Últimas 52 semanas", now)],
    )
    words = (
        f"Hechos confirmados por semana en un año: entre {min(now)} y {max(now)}, la última {now[-1]}; el año"
        f" anterior entre {min(before)} y {max(before)}."
    )
    return Chart("Hechos confirmados por semana (día en que empieza)", words, drawn)


def _work(done: Sequence[Work], spans: Sequence[Span]) -> Block:
    if not done:
        return Paragraph(
            "No hay operativos ni fiscalizaciones registradas en estos períodos ni un año antes."
        )
    note = "De cada institución lo suyo: los controles de identidad y las detenciones son de las policías."
    lines: list[list[Cell]] = [_cells(one.what, one.now, one.before) for one in done]
    return table("Controles, fiscalizaciones e incautaciones", _columns(spans), lines, note=note)


async def _outages(desk: Desk) -> Block:
    found = await outages(desk)
    if not found.count:
        return Paragraph("Ningún equipo está fuera de servicio.")
    lines: list[list[Cell]] = [
        [
            one.name,
            DEVICE_KINDS.get(one.kind, one.kind),
            one.sector,
            moment(one.since),
            round((desk.as_of - one.since).total_seconds() / 3600, 1),
        ]
        for one in found.lines
    ]
    columns = (
        Column("Equipo", width=2.4),
        Column("Tipo", width=1.6),
        Column("Sector", width=1.4),
        Column("Desde", width=1.5),
        Column("Horas", is_number=True, decimals=1),
    )
    left = found.count - len(lines)
    note = f"Y {left} más, con menos tiempo fuera de servicio." if left else ""
    return table("Para el proveedor: los que llevan más tiempo primero", columns, lines, note=note)


STOP = Kind(
    id="stop",
    name="Hoja semanal",
    doc="Hechos de 7 días, 28 días y el año contra el anterior; fiscalización; equipos fuera de servicio.",
    of="semana",
    build=build,
)
