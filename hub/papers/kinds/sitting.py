"""The acta of a session of the council or of the committee: as it was approved, else a draft."""

from hub.papers.desk import Desk, Kind, PaperError, Subject
from hub.papers.paper import (
    Block,
    Column,
    Heading,
    KeyFigure,
    KeyFigures,
    Paper,
    Paragraph,
    Signatures,
    table,
)
from hub.papers.words import day
from hub.registers import sessions
from hub.registers.catalogue import SESSIONS
from hub.registers.model import RegisterError
from hub.registers.values import shown


async def build(desk: Desk, subject: Subject) -> Paper:
    """Raises :class:`PaperError` for a folio that is not there, or a session without attendance."""
    try:
        found = await sessions.sitting(desk.pool, subject.label)
    except RegisterError as error:
        raise PaperError(str(error)) from error
    if not found.seats:
        raise PaperError(f"{subject.label} no tiene asistencia anotada; anótela primero")
    values = found.entry.values
    seats = [
        (one.seat, "presente" if one.is_present else "ausente", "sí" if one.is_substitute else "")
        for one in found.seats
    ]
    agreements = [
        (one.folio, one.values["agreement"], one.values["owner"], day(one.values["due_on"]))
        for one in sorted(found.agreements, key=lambda one: one.folio)
    ]
    agenda = [line for line in values["agenda"].splitlines() if line.strip()]
    blocks: list[Block] = [
        KeyFigures(
            (
                KeyFigure("Asistencia", f"{found.present} de {len(found.seats)}", "asientos"),
                KeyFigure(
                    "Quórum", "sí" if found.has_quorum else "no", light="good" if found.has_quorum else "bad"
                ),
                KeyFigure("Acuerdos", str(len(agreements))),
            )
        ),
        Heading("Tabla"),
        *(Paragraph(f"{number}. {item}") for number, item in enumerate(agenda, 1)),
        Heading("Asistencia"),
        table("Por asiento", (Column("Asiento", width=4), Column("Asistencia"), Column("Suplente")), seats),
        Heading("Desarrollo"),
        *(Paragraph(line) for line in values["minutes"].splitlines() if line.strip()),
        Heading("Acuerdos"),
    ]
    if agreements:
        columns = (
            Column("Folio", width=1.3),
            Column("Acuerdo", width=4),
            Column("Responsable", width=1.6),
            Column("Plazo"),
        )
        blocks.append(table("Acuerdos de la sesión", columns, agreements))
    else:
        blocks.append(Paragraph("No hubo acuerdos."))
    blocks.append(
        Signatures(
            ("Presidencia del Consejo", "Secretaría ejecutiva", "Secretaría municipal, ministro de fe")
        )
    )
    if found.is_approved:
        blocks.append(
            Paragraph(f"Acta aprobada. Huella SHA-256 del texto: {found.acta_sha256}", is_note=True)
        )
    kind = SESSIONS.field("kind").choices[values["kind"]].lower()
    when = shown(SESSIONS.field("starts_at"), values["starts_at"])
    return Paper(
        kind="sesion",
        title=f"Acta del {SESSIONS.field('body').choices[values['body']]}",
        subtitle=f"Sesión {kind}, {when}",
        commune=desk.letterhead,
        prepared_at=desk.as_of,
        blocks=tuple(blocks),
        folio=subject.label,
        is_draft=not found.is_approved,
    )


SITTING = Kind(
    id="sesion",
    name="Acta de sesión",
    doc="Del Consejo o del Comité: asistencia por asiento, desarrollo y acuerdos, con sus firmas.",
    of="folio",
    build=build,
)
