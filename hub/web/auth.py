"""Who is asking, and whether that person may: the dependencies of every private route."""

import secrets
from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import Depends, Request

from hub.web.context import Console, console_of
from hub.web.cookies import cookie_name
from hub.web.permissions import Permission
from hub.web.problem import Problem
from hub.web.sessions import Session, find_session

CSRF_FIELD = "csrf"
CSRF_HEADER = "x-csrf-token"


def address_of(request: Request) -> str:
    return request.client.host if request.client else ""


async def current_session(request: Request) -> Session | None:
    console = console_of(request)
    cookie = request.cookies.get(cookie_name(console.settings), "")
    if not cookie:
        return None
    return await find_session(console.pool, cookie, console.now())


async def signed_in(session: Annotated[Session | None, Depends(current_session)]) -> Session:
    if session is None:
        raise Problem(401)
    return session


async def csrf_checked(request: Request, session: Annotated[Session, Depends(signed_in)]) -> Session:
    """The session of a request that changes something and proves that our own page sent it."""
    sent = request.headers.get(CSRF_HEADER)
    if sent is None:
        value = (await request.form()).get(CSRF_FIELD)
        sent = value if isinstance(value, str) else ""
    if not secrets.compare_digest(sent.encode(), session.csrf.encode()):
        raise Problem(403, "El formulario venció. Recargue la página e intente de nuevo.")
    return session


def allowed(permission: Permission) -> Callable[[Session], Awaitable[None]]:
    """A dependency that lets only this permission through."""

    async def check(session: Annotated[Session, Depends(signed_in)]) -> None:
        if not session.user.may(permission):
            raise Problem(403)

    return check


def require(session: Session, permission: Permission) -> None:
    if not session.user.may(permission):
        raise Problem(403)


TheConsole = Annotated[Console, Depends(console_of)]
SignedIn = Annotated[Session, Depends(signed_in)]
Changing = Annotated[Session, Depends(csrf_checked)]
