"""The acta of an operation as a document: what its page shows, with lines to sign on."""

from hub.operations import acta, reading, service
from hub.operations.model import OperationError
from hub.operations.words import STATES, kind_name
from hub.papers.desk import Desk, Kind, PaperError, Subject
from hub.papers.paper import Block, Column, Heading, Paper, Paragraph, Signatures, table
from hub.papers.words import moment

_WIDTHS = {
    **dict.fromkeys(("Infracciones", "Custodia", "Por qué", "Tarea", "SHA-256", "Especie"), 2.2),
    **dict.fromkeys(("Folio", "Fiscalización", "Institución", "Actuó", "Qué", "De quién", "Archivo"), 1.6),
    "Resultado": 1.3,
    **dict.fromkeys(("Previstos", "Presentes", "Hora", "Punto"), 0.8),
}
"""Shares of the line by column; the others have 1."""
_RESULTS = "Instituciones y sus resultados"


async def build(desk: Desk, subject: Subject) -> Paper:
    """Raises :class:`PaperError` for a folio that is not there."""
    try:
        dossier = await reading.dossier(desk.pool, subject.label)
    except OperationError as error:
        raise PaperError(str(error)) from error
    operation = dossier.operation
    blocks: list[Block] = []
    for part in acta.parts(dossier):
        blocks.append(Heading(part.title))
        blocks += [Paragraph(line) for line in part.lines]
        if part.rows:
            widths = {"Infracciones": 1.0} if part.title == _RESULTS else {}
            columns = [Column(title, width=(_WIDTHS | widths).get(title, 1.0)) for title in part.columns]
            blocks.append(table(part.title, columns, part.rows))
    there = [one for one in operation.draft.institutions if one.present != 0]
    lines = [
        f"{one.name}" + (f", firmó el {moment(one.signed_at)}" if one.signed_at else "") for one in there
    ]
    blocks += [Heading("Firmas"), Signatures(tuple(lines))]
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
