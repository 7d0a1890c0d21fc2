"""Bulletins: written, counted, confirmed by the number of people, and then sent."""

from typing import Annotated

from fastapi import APIRouter, Depends, Form
from starlette.responses import RedirectResponse, Response

from hub.notify import bulletins, groups
from hub.notify.bulletins import BulletinError
from hub.web import audit
from hub.web.auth import Changing, SignedIn, TheConsole, allowed
from hub.web.context import Console
from hub.web.frame import shown
from hub.web.permissions import Permission
from hub.web.problem import Problem
from hub.web.routes.groups import tabs
from hub.web.sessions import Session

router = APIRouter(include_in_schema=False)

_MANAGES = [Depends(allowed(Permission.MANAGE_PEOPLE))]


async def _page(
    console: Console, session: Session, *, text: str = "", group: str = "", count: int | None = None
) -> Response:
    """With ``count``: the text as it would go out, and the question whether it is meant for so many."""
    values = {
        "text": text,
        "group": group,
        "count": count,
        "every_s": int(bulletins.EVERY.total_seconds()),
        "groups": await groups.list_groups(console.pool),
        "bulletins": await bulletins.list_bulletins(console.pool),
        **await tabs(console, session, "boletines"),
    }
    return await shown(console, session, "bulletins.html", values)


@router.get("/boletines", dependencies=_MANAGES)
async def bulletins_page(console: TheConsole, session: SignedIn) -> Response:
    return await _page(console, session)


@router.post("/boletines", dependencies=_MANAGES)
async def send_bulletin(
    console: TheConsole,
    session: Changing,
    texto: Annotated[str, Form(max_length=1000)],
    grupo: Annotated[str, Form(max_length=120)] = "",
    confirmados: Annotated[int | None, Form()] = None,
) -> Response:
    """The first time it only counts; with ``confirmados`` it sends."""
    now, login = console.now(), session.user.login
    try:
        if confirmados is None:
            ready = bulletins.checked(texto)
            count = await bulletins.count_recipients(console.pool, grupo)
            return await _page(console, session, text=ready, group=grupo, count=count)
        sent = await bulletins.send(console.pool, grupo, texto, confirmed=confirmados, author=login, now=now)
    except BulletinError as error:
        raise Problem(422, str(error)) from error
    await audit.record(
        console.pool, now, login, audit.Action.BULLETIN_SENT, str(sent.bulletin_id), f"{sent.recipients}"
    )
    return RedirectResponse("/boletines", status_code=303)
