"""What registers say in documents: agreements, requests, sessions, projects, outreach. As of an instant."""

from datetime import date

from hub.papers.desk import Desk
from hub.papers.happenings import Span
from hub.papers.paper import Block, Cell, Column, Heading, Paragraph, table
from hub.papers.words import day
from hub.plan.periods import SANTIAGO, local_midnight

MOST = 200
"""Lines of a table; a register grows by some hundreds a year."""

_OPEN = """
select folio, agreement, owner, due_on from council_agreements
where recorded_at <= $1 and dropped_because = '' and due_on < $2
  and (fulfilled_on is null or fulfilled_on_told_at > $1)
order by due_on, folio limit $3
"""
_REQUESTS = """
select folio, institution, document, received_on, due_on from image_requests
where recorded_at <= $1 and due_on < $2 and (answered_on is null or answered_on_told_at > $1)
order by due_on, folio limit $3
"""


_REQUEST_COLUMNS = (
    *(Column("Folio", width=1.3), Column("Institución", width=2), Column("Documento", width=1.6)),
    *(Column("Recibido", width=1.1), Column("Plazo", width=1.1), Column("Días", is_number=True)),
)


async def pending(desk: Desk, until: date) -> list[Block]:
    """Agreements and image requests whose day has come without an answer."""
    rows = await desk.pool.fetch(_OPEN, desk.as_of, until, MOST)
    blocks: list[Block] = [Heading("Acuerdos y requerimientos vencidos")]
    if rows:
        columns = (
            *(Column("Folio", width=1.3), Column("Acuerdo", width=4), Column("Responsable", width=1.6)),
            *(Column("Plazo", width=1.1), Column("Días", is_number=True)),
        )
        lines = [
            [r["folio"], r["agreement"], r["owner"], day(r["due_on"]), (until - r["due_on"]).days]
            for r in rows
        ]
        blocks.append(table("Acuerdos sin cumplir", columns, lines))
    else:
        blocks.append(Paragraph("Ningún acuerdo está vencido."))
    asked = await desk.pool.fetch(_REQUESTS, desk.as_of, until, MOST)
    if asked:
        lines = [
            [
                *(r["folio"], r["institution"], r["document"]),
                *(day(r["received_on"]), day(r["due_on"]), (until - r["due_on"]).days),
            ]
            for r in asked
        ]
        blocks.append(table("Requerimientos de imágenes sin respuesta", _REQUEST_COLUMNS, lines))
    else:
        blocks.append(Paragraph("Ningún requerimiento de imágenes está vencido."))
    return blocks


_SESSIONS = """
select s.folio, s.body, s.starts_at, s.state, count(a.seat) as seats,
  count(a.seat) filter (where a.is_present) as present,
  (select count(*) from council_agreements g where g.session = s.folio and g.recorded_at <= $3) as agreements
from council_sessions s left join council_attendance a on a.folio = s.folio and a.recorded_at <= $3
where s.starts_at >= $1 and s.starts_at < $2 and s.recorded_at <= $3
group by s.folio order by s.starts_at limit $4
"""
_SEATS = """
select a.seat, count(*) as called, count(*) filter (where a.is_present) as present
from council_attendance a join council_sessions s using (folio)
where s.starts_at >= $1 and s.starts_at < $2 and s.body = 'council' and s.state = 'held'
  and a.recorded_at <= $3
group by a.seat order by a.seat limit $4
"""
_STATES = {"planned": "programada", "held": "realizada", "cancelled": "suspendida"}
_BODIES = {"council": "Consejo", "committee": "Comité"}


_SEAT_COLUMNS = (
    Column("Asiento", width=4),
    Column("Asistió", is_number=True),
    Column("Convocado", is_number=True),
    Column("%", is_number=True, decimals=1),
)


async def council(desk: Desk, span: Span) -> list[Block]:
    """Sessions and attendance by seat: what the public account must tell (Ley 18.695 art. 67)."""
    values = (local_midnight(span.first), local_midnight(span.end), desk.as_of, MOST)
    rows = await desk.pool.fetch(_SESSIONS, *values)
    blocks: list[Block] = [Heading("Consejo Comunal")]
    if not rows:
        return [*blocks, Paragraph("No hay sesiones registradas.")]
    held = [row for row in rows if row["body"] == "council" and row["state"] == "held"]
    seats, present = sum(row["seats"] for row in held), sum(row["present"] for row in held)
    share = f"{100 * present / seats:.1f} %".replace(".", ",") if seats else "sin dato"
    blocks.append(
        Paragraph(f"{len(held)} sesiones realizadas del Consejo. Asistencia: {share} de los asientos.")
    )
    lines: list[list[Cell]] = [
        [
            row["folio"],
            _BODIES[row["body"]],
            day(row["starts_at"].astimezone(SANTIAGO).date()),
            _STATES[row["state"]],
            row["present"] if row["seats"] else None,
            row["seats"] or None,
            row["agreements"],
        ]
        for row in rows
    ]
    columns = (
        *(Column("Folio", width=1.3), Column("Cuerpo"), Column("Fecha"), Column("Estado")),
        *(Column("Presentes", is_number=True), Column("Asientos", is_number=True)),
        Column("Acuerdos", is_number=True),
    )
    blocks.append(table("Sesiones", columns, lines))
    by_seat = await desk.pool.fetch(_SEATS, *values)
    if by_seat:
        shares: list[list[Cell]] = [
            [row["seat"], row["present"], row["called"], 100 * row["present"] / row["called"]]
            for row in by_seat
        ]
        blocks.append(table("Asistencia por asiento", _SEAT_COLUMNS, shares))
    return blocks


_PROJECTS = """
select p.folio, p.name, p.fund, p.amount_clp,
  coalesce(sum(m.amount_clp) filter (where m.sort = 'instalment'), 0)::bigint as paid,
  coalesce(sum(m.amount_clp) filter (where m.sort = 'account'), 0)::bigint as accounted
from projects p left join project_payments m on m.project = p.folio and m.day < $2 and m.recorded_at <= $1
where p.state in ('running', 'finished') and p.starts_on < $2 and p.recorded_at <= $1
group by p.folio order by p.folio limit $3
"""


async def projects(desk: Desk, until: date) -> list[Block]:
    """Amounts in CLP, transferred and accounted for before ``until``."""
    rows = await desk.pool.fetch(_PROJECTS, desk.as_of, until, MOST)
    if not rows:
        return [Heading("Proyectos"), Paragraph("No hay proyectos en ejecución.")]
    columns = (
        *(Column("Folio", width=1.3), Column("Proyecto", width=3), Column("Fondo")),
        *(
            Column("Monto CLP", is_number=True, width=1.4),
            Column("Transferido CLP", is_number=True, width=1.4),
        ),
        Column("Rendido CLP", is_number=True, width=1.4),
    )
    lines = [[r["folio"], r["name"], r["fund"], r["amount_clp"], r["paid"], r["accounted"]] for r in rows]
    return [Heading("Proyectos"), table("Montos hasta la fecha", columns, lines)]


_OUTREACH = """
select kind, count(*) as n, sum(attendees) as people from outreach
where day >= $1 and day < $2 and recorded_at <= $3 group by kind order by n desc
"""
_KINDS = {
    "talk": "Charlas",
    "fair": "Ferias",
    "media": "Medios",
    "training": "Capacitaciones",
    "other": "Otras",
}


async def outreach(desk: Desk, span: Span) -> list[Block]:
    rows = await desk.pool.fetch(_OUTREACH, span.first, span.end, desk.as_of)
    if not rows:
        return [Heading("Difusión"), Paragraph("No hay actividades de difusión registradas.")]
    columns = (
        Column("Tipo", width=3),
        Column("Actividades", is_number=True),
        Column("Asistentes", is_number=True),
    )
    lines = [[_KINDS[r["kind"]], r["n"], r["people"]] for r in rows]
    return [Heading("Difusión"), table("Actividades de difusión", columns, lines)]
