"""Sign in and out."""

import re
import secrets
from typing import Annotated

from fastapi import APIRouter, Depends, Form, Request
from starlette.responses import RedirectResponse, Response

from hub.web import audit, screens
from hub.web.auth import Changing, TheConsole, address_of, current_session
from hub.web.context import Console
from hub.web.cookies import cookie_name, give_cookie
from hub.web.permissions import Permission, permissions_of
from hub.web.sessions import Session, close_session, open_session
from hub.web.users import find_password

router = APIRouter(include_in_schema=False)

# There is no session yet, so the form's token lives in a cookie of its own and must come back twice.
_FORM_COOKIE = "almenara_ingreso"
_LOGIN = re.compile(r"[a-z][a-z0-9._-]{1,31}\Z")

WRONG = "Usuario o contraseña incorrectos."
EXPIRED = "El formulario venció. Intente de nuevo."


def _next_page(wanted: str) -> str:
    """Only our own paths: a login page must not send people to another host."""
    is_ours = wanted.startswith("/") and not wanted.startswith(("//", "/\\")) and wanted.isprintable()
    return wanted if is_ours and "\\" not in wanted else "/"


def _form(console: Console, next_page: str, login: str = "", error: str = "", status: int = 200) -> Response:
    token = secrets.token_urlsafe(24)
    values = {"token": token, "next_page": next_page, "login": login, "error": error}
    response = console.page("login.html", values, status=status)
    response.set_cookie(
        _FORM_COOKIE,
        token,
        max_age=3600,
        path="/ingresar",
        secure=console.settings.secure_cookie,
        httponly=True,
        samesite="strict",
    )
    return response


@router.get("/ingresar")
async def login_page(
    console: TheConsole,
    session: Annotated[Session | None, Depends(current_session)],
    siguiente: str = "/",
) -> Response:
    if session is not None:
        return RedirectResponse(_home(session.user.role, _next_page(siguiente)), status_code=303)
    return _form(console, _next_page(siguiente))


@router.post("/ingresar")
async def login(
    request: Request,
    console: TheConsole,
    usuario: Annotated[str, Form(max_length=64)] = "",
    clave: Annotated[str, Form()] = "",
    token: Annotated[str, Form()] = "",
    siguiente: Annotated[str, Form()] = "/",
) -> Response:
    name, next_page, now = usuario.strip().lower(), _next_page(siguiente), console.now()
    if not token or not secrets.compare_digest(
        token.encode(), request.cookies.get(_FORM_COOKIE, "").encode()
    ):
        return _form(console, next_page, name, EXPIRED, status=403)
    # Somebody may type a password into the wrong field: keep only what looks like a login.
    known_as = name if _LOGIN.fullmatch(name) else "?"
    address = address_of(request)
    wait_s = console.throttle.wait_s(known_as, address, now)
    if wait_s > 0:
        await audit.record(console.pool, now, known_as, audit.Action.LOGIN_THROTTLED, detail=address)
        response = _form(console, next_page, name, _wait_text(wait_s), status=429)
        response.headers["Retry-After"] = str(int(wait_s) + 1)
        return response
    if not await console.passwords.is_right(await find_password(console.pool, known_as), clave):
        console.throttle.failed(known_as, address, now)
        await audit.record(console.pool, now, known_as, audit.Action.LOGIN_FAILED, detail=address)
        return _form(console, next_page, name, WRONG, status=401)
    console.throttle.succeeded(known_as, address)
    return await _welcome(console, known_as, address, next_page)


def _wait_text(wait_s: float) -> str:
    minutes = int(wait_s // 60) + 1
    return f"Demasiados intentos. Espere {minutes} {'minuto' if minutes == 1 else 'minutos'}."


def _home(role: str, next_page: str) -> str:
    """Whoever answers for the plan begins at its page, unless the way led elsewhere."""
    is_directors = next_page == "/" and Permission.SEE_DIRECTION in permissions_of(role)
    return "/direccion" if is_directors else next_page


async def _welcome(console: Console, login: str, address: str, next_page: str) -> Response:
    now, settings = console.now(), console.settings
    is_screen = await screens.take_key(console.pool, login)
    length = screens.LENGTH if is_screen else settings.session_length
    cookie = await open_session(console.pool, login, now, length)
    await audit.record(console.pool, now, login, audit.Action.LOGIN, detail=address)
    role = await console.pool.fetchval("select role from users where login = $1", login)
    target = "/sala" if is_screen else _home(role, next_page)
    response = RedirectResponse(target, status_code=303)
    give_cookie(response, settings, cookie, length)
    response.delete_cookie(_FORM_COOKIE, path="/ingresar")
    return response


@router.post("/salir")
async def logout(console: TheConsole, session: Changing) -> Response:
    await close_session(console.pool, session)
    await audit.record(console.pool, console.now(), session.user.login, audit.Action.LOGOUT)
    response = RedirectResponse("/ingresar", status_code=303)
    response.delete_cookie(
        cookie_name(console.settings),
        path="/",
        secure=console.settings.secure_cookie,
        httponly=True,
        samesite="strict",
    )
    return response
