"""The quarterly report of permits to the council: register, what the street found, the plan's measures."""

from collections.abc import Mapping
from datetime import timedelta

from hub.operations.words import PERMITS
from hub.papers import charts
from hub.papers.desk import Desk, Kind, PaperError, Subject
from hub.papers.fieldwork import work
from hub.papers.happenings import Span, change
from hub.papers.indicators import standings, standings_table
from hub.papers.operating import operations
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
from hub.papers.permits import Held, Register, asked, in_force, register
from hub.papers.words import day, moment
from hub.plan.periods import last_periods

QUARTERS = 9
"""Two years and the quarter itself."""
_STEPS = 3


async def build(desk: Desk, subject: Subject) -> Paper:
    """Raises :class:`PaperError` for a quarter that is not over."""
    quarter = subject.period
    if quarter is None or quarter.until > desk.as_of:
        raise PaperError("el trimestre no ha terminado; pida el anterior")
    span = Span(quarter.label, quarter.first_day, quarter.end_day)
    await desk.progress(0, _STEPS, "registro de permisos")
    held = await register(desk, span)
    ends = [one.end_day - timedelta(days=1) for one in last_periods(quarter, QUARTERS)]
    labels = [one.label for one in last_periods(quarter, QUARTERS)]
    counts = await in_force(desk, ends)
    await desk.progress(1, _STEPS, "fiscalizaciones")
    now, before = await asked(desk, span), await asked(desk, span.a_year_before())
    done = await work(desk, (span,))
    events = [one for one in await operations(desk, span) if one.state.startswith(("executed", "closed"))]
    await desk.progress(2, _STEPS, "medidas del plan")
    groups = await standings(desk, quarter)
    measures: list[Block] = [Paragraph("No hubo un plan vigente cargado al cierre del trimestre.")]
    if len(groups) > 1:
        measures = [standings_table("Indicadores del plan al cierre del trimestre", groups[0])]
    return Paper(
        kind="permisos",
        title="Informe trimestral de permisos",
        subtitle=f"Trimestre {quarter.label} ({day(span.first)} al {day(ends[-1])})",
        commune=desk.letterhead,
        prepared_at=desk.as_of,
        blocks=(
            *_register(held, labels, counts),
            Heading("Qué encontró la fiscalización"),
            _asked(now, before),
            Paragraph(f"{len(events)} operativos ejecutados en el trimestre."),
            table(
                "Trabajo en terreno",
                (
                    Column("Qué", width=3),
                    Column("Trimestre", is_number=True),
                    Column("Un año antes", is_number=True),
                    Column("Variación %", is_number=True, decimals=1, is_signed=True),
                ),
                [[one.what, one.now[0], one.before[0], change(one.now[0], one.before[0])] for one in done],
            ),
            Heading("Medidas del plan"),
            *measures,
        ),
    )


def _register(held: Register, labels: list[str], counts: list[int]) -> list[Block]:
    if held.newest_at is None:
        words = "Sin dato: nadie importó el registro de permisos («almenara-hub permits import ARCHIVO.csv»)."
        return [Heading("Permisos"), Paragraph(words)]
    total = held.total
    figures = KeyFigures(
        (
            KeyFigure("Vigentes al cierre", number(total.last), f"{number(total.first)} al empezar"),
            KeyFigure("Comenzaron", number(total.begun), "en el trimestre"),
            KeyFigure("Vencieron", number(total.ended), "en el trimestre"),
            KeyFigure("Suspendidos o revocados", number(total.suspended + total.revoked), "a hoy"),
        )
    )
    note = (
        f"Según el registro importado el {moment(held.newest_at)} ({held.source}). Suspensiones y"
        " revocaciones son las de ese registro, sin fecha propia. Permisos por folio; nunca sus titulares."
    )
    words = f"Permisos vigentes al cierre de cada trimestre, de {counts[0]} a {counts[-1]}."
    return [
        Heading("Permisos"),
        figures,
        _held("Por rubro", "Rubro", held.by_trade, note),
        _held("Por sector", "Sector", {name or "Sin sector": one for name, one in held.by_sector.items()}),
        Chart("Vigentes al cierre", words, charts.bars(labels, [charts.Series("Permisos", counts)])),
    ]


def _held(caption: str, what: str, rows: Mapping[str, Held], note: str = "") -> Table:
    columns = (
        Column(what, width=2),
        Column("Al empezar", is_number=True),
        Column("Al cierre", is_number=True),
        Column("Comenzaron", is_number=True),
        Column("Vencieron", is_number=True),
        Column("Suspendidos", is_number=True),
        Column("Revocados", is_number=True),
    )
    lines: list[list[Cell]] = [
        [name, one.first, one.last, one.begun, one.ended, one.suspended, one.revoked]
        for name, one in rows.items()
    ]
    total = sum(rows.values(), Held())
    lines.append(["Total", total.first, total.last, total.begun, total.ended, total.suspended, total.revoked])
    return table(caption, columns, lines, strong=(len(lines) - 1,), note=note)


def _asked(now: Mapping[str, tuple[int, int]], before: Mapping[str, tuple[int, int]]) -> Table:
    lines: list[list[Cell]] = [
        [PERMITS[code].capitalize(), now[code][0], now[code][1], before[code][0]] for code in PERMITS
    ]
    lines.append(["Total", *(sum(one[i] for one in now.values()) for i in (0, 1)), _sum(before)])
    columns = (
        Column("Permiso de quien fue fiscalizado", width=3),
        Column("Fiscalizaciones", is_number=True),
        Column("Con infracción", is_number=True),
        Column("Un año antes", is_number=True),
    )
    return table("Permisos en la calle", columns, lines, strong=(len(lines) - 1,))


def _sum(found: Mapping[str, tuple[int, int]]) -> int:
    return sum(one[0] for one in found.values())


PERMITS_REPORT = Kind(
    id="permisos",
    name="Informe de permisos",
    doc="Del trimestre, para el Consejo: permisos por rubro y sector, qué halló la calle, medidas del plan.",
    of="trimestre",
    build=build,
)
