"""The life of an operation: which move is possible from where, and what it still lacks. Pure."""

import enum
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from hub.operations.model import Dossier, Institution, Operation
from hub.plan.periods import SANTIAGO


class State(enum.StrEnum):
    PLANNED = "planned"
    CONFIRMED = "confirmed"
    IN_PROGRESS = "in_progress"
    EXECUTED = "executed"
    CLOSED = "closed"
    SUSPENDED = "suspended"


class Move(enum.StrEnum):
    CONFIRM = "confirm"
    START = "start"
    EXECUTE = "execute"
    CLOSE = "close"
    SUSPEND = "suspend"
    REPLAN = "replan"


_S, _M = State, Move

MOVES: Mapping[tuple[str, str], State] = {
    (_S.PLANNED, _M.CONFIRM): _S.CONFIRMED,
    (_S.CONFIRMED, _M.START): _S.IN_PROGRESS,
    (_S.IN_PROGRESS, _M.EXECUTE): _S.EXECUTED,
    (_S.EXECUTED, _M.CLOSE): _S.CLOSED,
    (_S.PLANNED, _M.SUSPEND): _S.SUSPENDED,
    (_S.CONFIRMED, _M.SUSPEND): _S.SUSPENDED,
    (_S.IN_PROGRESS, _M.SUSPEND): _S.SUSPENDED,
    (_S.SUSPENDED, _M.REPLAN): _S.PLANNED,
}
"""Every legal move, and the state after it. An acta that was closed stays closed."""

CHANGEABLE = frozenset({_S.PLANNED, _S.CONFIRMED})
"""While it stands like this, the plan itself can be changed."""


EARLIEST = timedelta(hours=12)
"""Before its planned start: a press on the wrong operation of a list starts none of next month."""


@dataclass(frozen=True, slots=True)
class Offer:
    """A move that the state allows; ``missing`` tells what has to be done first."""

    move: Move
    missing: tuple[str, ...]

    @property
    def is_ready(self) -> bool:
        return not self.missing


def offers(dossier: Dossier, now: datetime) -> list[Offer]:
    """In the order of the life of an operation."""
    state = dossier.operation.state
    return [Offer(move, tuple(missing(dossier, move, now))) for move in Move if (state, move) in MOVES]


def missing(dossier: Dossier, move: Move, now: datetime) -> Iterator[str]:
    """What stands between an operation and a move, in words."""
    if move is Move.CONFIRM:
        yield from _confirm(dossier.operation)
    elif move is Move.START:
        yield from _start(dossier.operation, now)
    elif move is Move.CLOSE:
        yield from _close(dossier)


def _confirm(operation: Operation) -> Iterator[str]:
    for one in operation.draft.institutions:
        if one.headcount == 0:
            yield f"cuántas personas lleva {one.name}"


def _start(operation: Operation, now: datetime) -> Iterator[str]:
    planned = operation.draft.planned_start
    if now < planned - EARLIEST:
        when = f"{planned.astimezone(SANTIAGO):%d-%m-%Y %H:%M}"
        yield f"que llegue su hora: está programado para el {when}; si parte antes, cambie el plan"


def _close(dossier: Dossier) -> Iterator[str]:
    draft = dossier.operation.draft
    for one in draft.institutions:
        if one.present is None:
            yield f"cuántas personas de {one.name} estuvieron"
    undone = [task for task in draft.tasks if task.done_at is None and not task.dropped_because]
    if undone:
        yield f"marcar {len(undone)} {'tarea' if len(undone) == 1 else 'tareas'}, o anotar por qué no se hizo"
    unseen = [point.name or point.id for point in draft.points if point.visited_at is None]
    if unseen and len(unseen) == len(draft.points):
        yield "qué puntos se visitaron"
    written = [one.recorded_at for one in dossier.inspections]
    newest = max([*written, *(one.at for one in dossier.withdrawn)], default=None)
    for one in filter(_signs, draft.institutions):
        if one.signed_at is None:
            yield f"la firma de {one.name}"
        elif newest is not None and one.signed_at < newest:
            yield f"que {one.name} firme de nuevo: después de su firma llegó o se retiró una fiscalización"


def _signs(institution: Institution) -> bool:
    """Who was there signs; who did not come has nothing to sign."""
    return bool(institution.present)
