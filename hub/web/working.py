"""A person works an alert: permission, the move itself, the audit; errors in Spanish."""

import uuid
from dataclasses import dataclass

from hub.alerts import service
from hub.alerts.lifecycle import STATE_LABELS, IllegalMoveError, IncompleteMoveError, Move, Reason
from hub.alerts.model import Alert
from hub.web import audit
from hub.web.auth import require
from hub.web.cards import MOVE_PERMISSIONS
from hub.web.cases import find_alert
from hub.web.context import Console
from hub.web.problem import Problem
from hub.web.sessions import Session
from hub.web.users import list_workers

_ATTEMPTS = 3

_MISSING: dict[str, str] = {
    "reason": "Elija el motivo de cierre.",
    "note": "Escriba la novedad.",
    "target": "Falta el destino.",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Wish:
    """What a person asked for. ``version`` and ``state`` are those that the person saw.

    With ``state`` an alert that merely got another event or comment meanwhile still takes the move.
    """

    move: Move
    version: int | None = None
    state: str = ""
    reason: Reason | None = None
    note: str = ""
    target: str = ""


async def work(console: Console, session: Session, alert_id: uuid.UUID, wish: Wish) -> Alert:
    """Carry it out; raises :class:`Problem` (403, 404, 409, 422), and then nothing changed."""
    require(session, MOVE_PERMISSIONS[wish.move])
    await find_alert(console, session, alert_id)
    alert = await _moved(console, session, alert_id, wish)
    detail = f"{wish.move.value}{f' {wish.reason.value}' if wish.reason else ''}"
    await audit.record(
        console.pool, console.now(), session.user.login, audit.Action.ALERT_MOVED, str(alert_id), detail
    )
    return alert


async def _moved(console: Console, session: Session, alert_id: uuid.UUID, wish: Wish) -> Alert:
    version = wish.version
    target = await _target(console, session, wish)
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            return await service.move(
                console.pool,
                alert_id,
                wish.move,
                author=session.user.login,
                now=console.now(),
                note=wish.note,
                reason=wish.reason,
                expected_version=version,
                target=target,
            )
        except service.ConflictError as error:
            is_same = wish.state == error.current.state and version != error.current.version
            if not is_same or attempt == _ATTEMPTS:
                state = STATE_LABELS[error.current.state]
                raise Problem(
                    409, f"La alerta cambió: ahora está «{state}». Revísela antes de seguir."
                ) from None
            version = error.current.version
        except service.UnknownAlertError:
            raise Problem(404, "Esa alerta no existe.") from None
        except IllegalMoveError as error:
            state = STATE_LABELS[error.state]
            raise Problem(409, f"Esa acción no corresponde: la alerta está «{state}».") from None
        except IncompleteMoveError as error:
            text = _MISSING.get(error.field, "Faltan datos.")
            raise Problem(422, text, {error.field: text}) from None
    raise AssertionError("the last attempt returns or raises")


async def _target(console: Console, session: Session, wish: Wish) -> str:
    if wish.move is Move.ASSIGN:
        return await _worker(console, wish.target) if wish.target else session.user.login
    if wish.move is Move.MERGE and not _is_uuid(wish.target):
        return await _id_of_open_code(console, session.user.role, wish.target)
    return wish.target


async def _worker(console: Console, login: str) -> str:
    """Only somebody who may work it can be given an alert."""
    if login not in {user.login for user in await list_workers(console.pool)}:
        raise Problem(422, "Elija a quién se asigna.", {"target": "no es de quienes atienden alertas"})
    return login


def _is_uuid(text: str) -> bool:
    try:
        uuid.UUID(text)
    except ValueError:
        return False
    return True


async def _id_of_open_code(console: Console, role: str, code: str) -> str:
    """People name alerts by their code, and an open code is unique."""
    wanted = code.strip().upper().lstrip("#")
    found = await service.search(console.pool, text=wanted, limit=500, role=role) if wanted else []
    for alert in found:
        if alert.is_open and alert.code == wanted:
            return str(alert.alert_id)
    raise Problem(
        422, f"No hay una alerta abierta con el código {wanted or '(vacío)'}.", {"target": "código"}
    )
