"""The acta of an operation as a document: what its page shows, with lines to sign on."""

from hub.operations import acta, reading, service
from hub.operations.model import OperationError
from hub.operations.words import STATES, kind_name
from hub.papers.desk import Desk, Kind, PaperError, Subject
from hub.papers.paper import Block, Column, Heading, Paper, Paragraph, Signatures, table
from hub.papers.words import moment

_LONG = ("Infracciones", "Custodia", "Por qué", "Tarea", "SHA-256", "Institución", "Especie")


async def build(desk: Desk, subject: Subject) -> Paper:
    """Raises :class:`PaperError` for a folio that is not there."""
    try:
        dossier = await reading.dossier(desk.pool, subject.label)
    except OperationError as error:
        raise PaperError(str(error)) from error
    operation = dossier.operation
    blocks: list[Block] = []
    for part in acta.parts(dossier):
        blocks.append(Heading(part.title, 2))
        blocks += [Paragraph(line) for line in part.lines]
        if part.rows:
            columns = [Column(title, width=2.0 if title in _LONG else 1.0) for title in part.columns]
            blocks.append(table(part.title, columns, part.rows))
    there = [one for one in operation.draft.institutions if one.present != 0]
    lines = [
        f"{one.name}" + (f", firmó el {moment(one.signed_at)}" if one.signed_at else "") for one in there
    ]
    blocks += [Heading("Firmas", 2), Signatures(tuple(lines))]
    blocks.append(Paragraph(f"Huella SHA-256 de los registros: {service.digest(dossier)}", is_note=True))
    name = operation.draft.name or kind_name(operation.draft.kind)
    return Paper(
        kind="acta",
        title="Acta de operativo",
        subtitle=f"{name} ({STATES[operation.state].lower()})",
        commune=desk.letterhead,
        prepared_at=desk.as_of,
        blocks=tuple(blocks),
        folio=operation.acta_folio or operation.folio,
        is_draft=operation.state != "closed",
    )


ACTA = Kind(
    id="acta",
    name="Acta de operativo",
    doc="Instituciones y sus resultados, puntos, fiscalizaciones, decomisos, hechos de origen y firmas.",
    of="folio",
    build=build,
)
