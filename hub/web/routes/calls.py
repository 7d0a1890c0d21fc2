"""Whom the room calls when a group does not answer: one at a time, the number here and nowhere else."""

import uuid
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends, Form
from starlette.responses import RedirectResponse, Response

from hub.notify import call_tree, calls
from hub.notify.call_tree import Callee, Tree
from hub.notify.calls import CallError
from hub.web import audit, texts
from hub.web.auth import Changing, SignedIn, TheConsole, allowed
from hub.web.context import Console
from hub.web.frame import shown
from hub.web.permissions import Permission
from hub.web.problem import Problem
from hub.web.routes.groups import ROLE_LABELS, tabs
from hub.web.sessions import Session

router = APIRouter(include_in_schema=False)

_CALLS = [Depends(allowed(Permission.CALL_PEOPLE))]

ANSWER_LABELS = {
    "coming": "Va",
    "nothing_found": "Sin novedad",
    "help": "Pide ayuda",
    "not_coming": "No puede",
}


@dataclass(frozen=True, slots=True)
class CallView:
    """An alert, the next person to be called (None: everybody was tried), and the others by name alone."""

    tree: Tree
    kind_label: str
    next: Callee | None
    others: list[tuple[Callee, str]]


@router.get("/llamadas", dependencies=_CALLS)
async def calls_page(console: TheConsole, session: SignedIn) -> Response:
    trees = await call_tree.open_trees(console.pool)
    values = {
        "views": [await _view(console, session, tree) for tree in trees],
        "outcomes": calls.OUTCOMES.items(),
        "roles": ROLE_LABELS,
        **await tabs(console, session, "llamadas"),
    }
    return await shown(console, session, "calls.html", values)


async def _view(console: Console, session: Session, tree: Tree) -> CallView:
    people = await call_tree.callees(console.pool, tree.alert_id)
    chosen = call_tree.next_to_call(people)
    if chosen is not None:
        await _record_reading(console, session, tree, chosen)
    others = [(p, _standing(p)) for p in people if chosen is None or p.contact_id != chosen.contact_id]
    return CallView(tree, texts.named(texts.KINDS, tree.kind), chosen, others)


def _standing(callee: Callee) -> str:
    if callee.answer:
        return ANSWER_LABELS[callee.answer]
    return calls.OUTCOMES.get(callee.outcome, "sin respuesta").capitalize()


async def _record_reading(console: Console, session: Session, tree: Tree, callee: Callee) -> None:
    """A number that was shown is a number that was read."""
    now, key = console.now(), f"{tree.alert_id}:{callee.contact_id}"
    if console.reads.is_new(session.session_id, key, now):
        await audit.record(
            console.pool,
            now,
            session.user.login,
            audit.Action.PHONE_READ,
            str(tree.alert_id),
            f"contact:{callee.contact_id}",
        )


@router.post("/llamadas/{alert_id}", dependencies=_CALLS)
async def record_call(
    console: TheConsole,
    session: Changing,
    alert_id: uuid.UUID,
    persona: Annotated[int, Form(ge=0, le=2**31 - 1)],
    resultado: Annotated[str, Form(max_length=20)],
) -> Response:
    if await call_tree.tree_of(console.pool, alert_id) is None:
        raise Problem(404, "Esa alerta no tiene llamadas.")
    await note(console, session, alert_id, persona, resultado)
    return RedirectResponse("/llamadas", status_code=303)


async def note(
    console: Console, session: Session, alert_id: uuid.UUID, contact_id: int | None, outcome: str
) -> None:
    """Note a call, from the list of calls or from the alert; None: the duty phone."""
    now, login = console.now(), session.user.login
    try:
        await calls.record_call(console.pool, alert_id, contact_id, outcome, author=login, now=now)
    except CallError as error:
        raise Problem(422, str(error)) from error
    who = "turno" if contact_id is None else f"contact:{contact_id}"
    await audit.record(
        console.pool, now, login, audit.Action.PERSON_CALLED, str(alert_id), f"{who} {outcome}"
    )
