"""Watch groups: the list in numbers, one group with its people, and texts that nobody could place."""

import uuid
from datetime import time
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Form, Query
from starlette.responses import RedirectResponse, Response

from hub.notify import call_tree, contacts, drills, groups
from hub.notify.contacts import Person
from hub.notify.groups import Group, GroupError
from hub.web import audit
from hub.web.auth import Changing, SignedIn, TheConsole, allowed
from hub.web.context import Console
from hub.web.frame import shown
from hub.web.permissions import Permission
from hub.web.problem import Problem
from hub.web.sessions import Session

router = APIRouter(include_in_schema=False)

PAGE = 100
LAST_DRILLS = 6
ROLE_LABELS = {"base": "Base", "guia": "Guía", "suplente": "Suplente", "": "—"}

_SEES_PEOPLE = [Depends(allowed(Permission.SEE_PEOPLE))]
_MANAGES = [Depends(allowed(Permission.MANAGE_PEOPLE))]
GroupName = Annotated[str, Query(min_length=1, max_length=120)]


async def tabs(console: Console, session: Session, tab: str) -> dict[str, object]:
    """What every page of this section shows above its own."""
    counts = {"calls": 0, "texts": 0}
    if session.user.may(Permission.CALL_PEOPLE):
        counts["calls"] = len(await call_tree.open_trees(console.pool))
    if session.user.may(Permission.SEE_PEOPLE):
        counts["texts"] = len(await groups.unread_texts(console.pool))
    return {"section": "grupos", "tab": tab, "counts": counts}


def link_to(group: str) -> str:
    return f"/grupos/ver?{urlencode({'grupo': group})}"


@router.get("/grupos", dependencies=[Depends(allowed(Permission.SEE_GROUPS))])
async def groups_page(
    console: TheConsole, session: SignedIn, desde: Annotated[str, Query(max_length=120)] = ""
) -> Response:
    found = await groups.list_groups(console.pool, limit=PAGE + 1, after=desde)
    values = {
        "groups": found[:PAGE],
        "link_to": link_to,
        "first_page": "/grupos" if desde else "",
        "next_page": f"/grupos?{urlencode({'desde': found[PAGE - 1].name})}" if len(found) > PAGE else "",
        **await tabs(console, session, "grupos"),
    }
    return await shown(console, session, "groups.html", values)


async def find_group(console: Console, name: str) -> Group:
    """Raises :class:`Problem` 404."""
    group = await groups.get_group(console.pool, name)
    if group is None:
        raise Problem(404, "Ese grupo no existe.")
    return group


def in_call_order(people: list[Person]) -> list[Person]:
    """Active ones as the call tree has them, then those who left."""
    return sorted(
        people,
        key=lambda p: (not p.active, p.call_order or 1000, call_tree.ROLE_ORDER.get(p.role, 3), p.name),
    )


@router.get("/grupos/ver", dependencies=_SEES_PEOPLE)
async def group_page(console: TheConsole, session: SignedIn, grupo: GroupName) -> Response:
    group = await find_group(console, grupo)
    now = console.now()
    if console.reads.is_new(session.session_id, f"group:{group.name}", now):
        await audit.record(console.pool, now, session.user.login, audit.Action.PEOPLE_READ, group.name)
    values = {
        "group": group,
        "people": in_call_order(await contacts.everybody(console.pool, group.name)),
        "masked": contacts.masked,
        "roles": ROLE_LABELS,
        "shows": groups.SHOWS,
        "drills": await drills.list_drills(console.pool, watch_group=group.name, limit=LAST_DRILLS),
        **await tabs(console, session, "grupos"),
    }
    return await shown(console, session, "group.html", values)


@router.post("/grupos/cambiar", dependencies=_MANAGES)
async def change_group(
    console: TheConsole,
    session: Changing,
    grupo: Annotated[str, Form(max_length=120)],
    quorum: Annotated[int, Form()],
    plazo: Annotated[int, Form()],
    muestra: Annotated[str, Form(max_length=20)],
    hora: Annotated[time, Form()],
    dia: Annotated[str, Form(pattern="^[0-9]{0,2}$")] = "",
) -> Response:
    """``plazo`` in seconds; an empty ``dia`` is no monthly drill."""
    try:
        await groups.change_group(
            console.pool,
            grupo,
            quorum=quorum,
            quorum_within_s=plazo,
            shows=muestra,
            drill_day=int(dia) if dia else None,
            drill_time=hora,
        )
    except GroupError as error:
        raise Problem(422, str(error)) from error
    await drills.plan(console.pool, console.now())
    await audit.record(console.pool, console.now(), session.user.login, audit.Action.GROUP_CHANGED, grupo)
    return RedirectResponse(link_to(grupo), status_code=303)


# ------------------------------------------------------------------------------------------ texts


@router.get("/mensajes", dependencies=_SEES_PEOPLE)
async def texts_page(console: TheConsole, session: SignedIn) -> Response:
    now = console.now()
    if console.reads.is_new(session.session_id, "texts", now):
        await audit.record(console.pool, now, session.user.login, audit.Action.TEXTS_READ)
    values = {
        "texts": await groups.unread_texts(console.pool),
        "masked": contacts.masked,
        **await tabs(console, session, "mensajes"),
    }
    return await shown(console, session, "texts.html", values)


@router.post("/mensajes/{text_id}/leido", dependencies=_SEES_PEOPLE)
async def mark_read(console: TheConsole, session: Changing, text_id: uuid.UUID) -> Response:
    await groups.mark_read(console.pool, text_id, session.user.login)
    return RedirectResponse("/mensajes", status_code=303)
