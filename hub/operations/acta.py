"""The acta of an operation, from its records alone: the same records give the same text. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from hub.operations.model import Dossier, Inspection, Task
from hub.operations.reading import totals
from hub.operations.words import (
    ACTING,
    COUNTS,
    DESTINATIONS,
    PERMITS,
    PHASES,
    RESULTS,
    ROLES,
    kind_name,
)
from hub.plan.periods import SANTIAGO


@dataclass(frozen=True, slots=True)
class Part:
    """A chapter of the acta: words, or a table with its columns' titles."""

    title: str
    lines: Sequence[str] = ()
    columns: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()


def parts(dossier: Dossier) -> list[Part]:
    """In the order in which they are read. Signatures are not part of what is signed."""
    return [
        _what(dossier),
        _who(dossier),
        _points(dossier),
        _tasks(dossier),
        _inspections(dossier),
        _seizures(dossier.inspections),
        _counts(dossier),
        _why(dossier),
        _proof(dossier),
    ]


def text(dossier: Dossier) -> str:
    """What the SHA-256 of a closed acta is made of."""
    return "\n".join(_lines(dossier)) + "\n"


def _lines(dossier: Dossier) -> Iterator[str]:
    yield f"ACTA {dossier.operation.folio}"
    for part in parts(dossier):
        yield f"# {part.title}"
        yield from part.lines
        if part.columns:
            yield " | ".join(part.columns)
        yield from (" | ".join(row) for row in part.rows)


def _moment(at: datetime | None) -> str:
    return "sin registro" if at is None else f"{at.astimezone(SANTIAGO):%d-%m-%Y %H:%M}"


def _what(dossier: Dossier) -> Part:
    operation, draft = dossier.operation, dossier.operation.draft
    lines = [
        f"Folio: {operation.folio}",
        f"Tipo: {kind_name(draft.kind)}",
        f"Sector: {draft.sector or 'según sus puntos'}",
        f"Programado: {_moment(draft.planned_start)} a {_moment(draft.planned_end)}",
        f"Realizado: {_moment(operation.started_at)} a {_moment(operation.ended_at)}",
        f"Base legal: {'; '.join(draft.legal_basis)}",
    ]
    if draft.objective or draft.activity:
        lines.append(f"Plan: {draft.plan_id}, objetivo {draft.objective}, actividad {draft.activity}")
    if draft.season:
        lines.append(f"Temporada: {draft.season}")
    if draft.remarks:
        lines.append(f"Observaciones: {draft.remarks}")
    if draft.is_drill:
        lines.append("SIMULACRO: no cuenta en los indicadores")
    return Part("Operativo", lines)


def _who(dossier: Dossier) -> Part:
    rows = [
        (
            one.institution,
            ROLES["leads" if place == 0 else "joins"],
            f"{ACTING[one.acting]}{f' de {one.assists}' if one.assists else ''}",
            str(one.headcount),
            "sin registro" if one.present is None else str(one.present),
            str(one.inspections),
            str(one.warnings),
            str(one.infringements),
            str(one.seizures),
        )
        for place, one in enumerate(totals(dossier))
    ]
    columns = (
        *("Institución", "Rol", "Actuó", "Previstos", "Presentes"),
        *("Fiscalizaciones", "Advertencias", "Infracciones", "Decomisos"),
    )
    return Part("Instituciones y sus resultados", (), columns, rows)


def _points(dossier: Dossier) -> Part:
    rows = [
        (
            point.name or point.id,
            f"{point.latitude:.5f}, {point.longitude:.5f}",
            "sí" if point.visited_at else "no",
            "sí" if point.cleared_at else "no",
        )
        for point in dossier.operation.draft.points
    ]
    return _table(
        "Puntos", "Sin puntos: se recorrió el sector.", ("Punto", "Posición", "Visitado", "Despejado"), rows
    )


def _tasks(dossier: Dossier) -> Part:
    rows = [
        (PHASES[task.phase], task.task, task.institution, _done(task))
        for task in dossier.operation.draft.tasks
    ]
    return _table("Tareas", "Sin tareas.", ("Fase", "Tarea", "Institución", "Hecha"), rows)


def _done(task: Task) -> str:
    if task.dropped_because:
        return f"no: {task.dropped_because}"
    return "sí" if task.done_at else "no"


def _inspections(dossier: Dossier) -> Part:
    rows = [
        (
            f"{one.folio} ({one.mark})" if one.mark else one.folio,
            _moment(one.inspected_at)[-5:],
            one.point,
            one.trade,
            PERMITS[one.permit_state],
            RESULTS[one.result],
            "; ".join(_fine(one)),
            f"{ACTING[one.acting]}{f' de {one.assists}' if one.assists else ''}",
        )
        for one in dossier.inspections
    ]
    columns = ("Folio", "Hora", "Punto", "Rubro", "Permiso", "Resultado", "Infracciones", "Actuó")
    lines = [] if rows else ["No se registraron fiscalizaciones."]
    lines += [f"Retirada: {one.folio} ({one.reason}); no cuenta." for one in dossier.withdrawn]
    return Part("Fiscalizaciones", lines, columns if rows else (), rows)


def _fine(inspection: Inspection) -> Iterator[str]:
    for one in inspection.infringements:
        court = f", {one.court}" if one.court else ""
        hearing = f" el {one.hearing_on:%d-%m-%Y}" if one.hearing_on else ""
        yield f"{one.rule}, parte {one.ticket_folio or 'sin folio'}{court}{hearing}"


def _seizures(inspections: Sequence[Inspection]) -> Part:
    rows = [
        (
            inspection.folio,
            one.goods,
            f"{one.quantity:f} {one.unit}",
            DESTINATIONS[one.destination],
            one.record_folio,
            " → ".join(f"{holder} ({place})" if place else holder for _, holder, place in one.holders),
        )
        for inspection in inspections
        for one in inspection.seizures
    ]
    columns = ("Fiscalización", "Especie", "Cantidad", "Destino", "Acta", "Custodia")
    return _table("Decomisos", "Sin decomisos.", columns, rows)


def _counts(dossier: Dossier) -> Part:
    rows = [(COUNTS[one.kind], one.institution, str(one.total)) for one in dossier.counts]
    return _table("Otros totales", "Sin otros totales.", ("Qué", "De quién", "Total"), rows)


def _why(dossier: Dossier) -> Part:
    draft = dossier.operation.draft
    origins = [link for link in dossier.links if link.relation == "origin"]
    lines = [f"Foco: {draft.hot_spot}"] if draft.hot_spot else []
    if not origins and not lines:
        lines = ["Sin hechos vinculados: no nació de un foco ni de alertas."]
    rows = [(link.code, _moment(link.opened_at), link.sector, link.reason) for link in origins]
    return Part(
        "Hechos que lo originaron", lines, ("Alerta", "Fecha", "Sector", "Por qué") if rows else (), rows
    )


def _proof(dossier: Dossier) -> Part:
    rows = [(one.name, str(one.size_bytes), one.sha256) for one in dossier.files]
    return _table("Evidencia", "Sin archivos.", ("Archivo", "Bytes", "SHA-256"), rows)


def _table(title: str, if_none: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Part:
    return Part(title, (), columns, rows) if rows else Part(title, (if_none,))
