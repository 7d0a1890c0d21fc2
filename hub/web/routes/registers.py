"""The directorate's registers: lists, entries, their CSV; the council's sessions; datasets."""

from datetime import date
from typing import Annotated

from fastapi import APIRouter, Depends, File, Path, Query, Request, UploadFile
from starlette.responses import RedirectResponse, Response

from hub.plan.periods import SANTIAGO, local_midnight
from hub.registers import files, service, sessions
from hub.registers.catalogue import AGREEMENTS, REGISTERS, SESSIONS
from hub.registers.datasets import DATASETS
from hub.registers.model import Register, RegisterError, StaleError
from hub.registers.sessions import Seat
from hub.registers.values import Mistake, read, shown, typed
from hub.web import audit
from hub.web.auth import Changing, SignedIn, TheConsole, allowed, require
from hub.web.context import Console
from hub.web.files import CSV, sent
from hub.web.frame import shown as framed
from hub.web.permissions import Permission
from hub.web.problem import Problem
from hub.web.sessions import Session

router = APIRouter(prefix="/registros", include_in_schema=False)
MAX_FILE = 5_000_000

_SEES = [Depends(allowed(Permission.SEE_REGISTERS))]
_Name = Annotated[str, Path(max_length=40)]
_Folio = Annotated[str, Path(max_length=20, pattern=r"^[A-Z]{3}-\d{4}-\d+$")]


def _register(session: Session, name: str, *, to_keep: bool = False) -> Register:
    """The register, if this person may; a stranger to it is told that it is not theirs."""
    register = REGISTERS.get(name)
    if register is None:
        raise Problem(404)
    require(session, Permission(register.keep if to_keep else register.see))
    return register


def _may_keep(session: Session, register: Register) -> bool:
    return session.user.may(Permission(register.keep))


async def _audit_reading(console: Console, session: Session, register: Register, what: str) -> None:
    if register.is_restricted:
        login = session.user.login
        await audit.record(console.pool, console.now(), login, audit.Action.REGISTER_READ, what, register.id)


@router.get("", dependencies=_SEES)
async def home(console: TheConsole, session: SignedIn) -> Response:
    mine = [one for one in REGISTERS.values() if session.user.may(Permission(one.see))]
    datasets = [one for one in DATASETS.values() if session.user.may(Permission(one.see))]
    today = console.now().astimezone(SANTIAGO).date()
    values = {
        "section": "registros",
        "registers": mine,
        "datasets": datasets,
        "first": today.replace(month=1, day=1),
        "today": today,
    }
    return await framed(console, session, "registers.html", values)


@router.get("/datos/{dataset}.csv", dependencies=_SEES)
async def dataset_file(
    console: TheConsole,
    session: SignedIn,
    dataset: _Name,
    desde: Annotated[date, Query()],
    hasta: Annotated[date, Query()],
) -> Response:
    """Rows of local days, the last one included."""
    found = DATASETS.get(dataset)
    if found is None:
        raise Problem(404)
    require(session, Permission(found.see))
    if hasta < desde or (hasta - desde).days > 3700:
        raise Problem(422, "Las fechas van en orden y hasta diez años.")
    end = date.fromordinal(hasta.toordinal() + 1)
    rows = await console.pool.fetch(found.sql, local_midnight(desde), local_midnight(end), timeout=120)
    login, what = session.user.login, f"{desde} {hasta}"
    await audit.record(console.pool, console.now(), login, audit.Action.DATASET_READ, dataset, what)
    return _csv(files.rows_as_csv([dict(row) for row in rows]), f"{dataset}-{desde}-{hasta}.csv")


def _csv(text: str, name: str) -> Response:
    return sent(text, CSV, name)


# ----------------------------------------------------------------------------------------- entries


async def _list_page(
    console: Console,
    session: Session,
    register: Register,
    *,
    before: str = "",
    problems: list[str] | None = None,
    notice: str = "",
    status: int = 200,
) -> Response:
    entries = await service.listed(console.pool, register, before=before)
    await _audit_reading(console, session, register, "")
    values = {
        "section": "registros",
        "register": register,
        "columns": [field for field in register.fields if field.in_list],
        "entries": entries,
        "shown": shown,
        "may_keep": _may_keep(session, register),
        "first_page": f"/registros/{register.id}" if before else "",
        "next_page": f"/registros/{register.id}?antes={entries[-1].folio}"
        if len(entries) == service.PAGE
        else "",
        "problems": problems or [],
        "notice": notice,
        "today": console.now().astimezone(SANTIAGO).date(),
    }
    return await framed(console, session, "register.html", values, status)


@router.get("/{name}", dependencies=_SEES)
async def listed(
    console: TheConsole,
    session: SignedIn,
    name: _Name,
    antes: Annotated[str, Query(max_length=20)] = "",
) -> Response:
    return await _list_page(console, session, _register(session, name), before=antes)


@router.get("/{name}/archivo.csv", dependencies=_SEES)
async def export(console: TheConsole, session: SignedIn, name: _Name) -> Response:
    register = _register(session, name)
    entries = await service.listed(console.pool, register, limit=files.MAX_LINES)
    login = session.user.login
    await audit.record(console.pool, console.now(), login, audit.Action.DATASET_READ, register.id)
    return _csv(files.as_csv(register, entries), f"{register.id}.csv")


@router.post("/{name}/importar", dependencies=_SEES)
async def load(
    console: TheConsole,
    session: Changing,
    name: _Name,
    archivo: Annotated[UploadFile, File()],
    parcial: Annotated[str, Query(max_length=4)] = "",
) -> Response:
    register = _register(session, name, to_keep=True)
    raw = await archivo.read(MAX_FILE + 1)
    if len(raw) > MAX_FILE:
        raise Problem(413, "El archivo pasa de 5 MB; divídalo.")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        return await _list_page(
            console, session, register, problems=["el archivo no está en UTF-8; guárdelo así"], status=422
        )
    file = archivo.filename or "archivo.csv"
    lines, problems = files.parse(register, text, file)
    is_partial = bool(parcial)
    done = 0
    if is_partial or not problems:
        done, refused = await files.store(
            console.pool,
            register,
            lines,
            file,
            author=session.user.login,
            now=console.now(),
            is_partial=is_partial,
        )
        problems += refused
    login, what = session.user.login, f"{done} líneas"
    await audit.record(console.pool, console.now(), login, audit.Action.REGISTER_CHANGED, register.id, what)
    told = [str(problem) for problem in problems]
    notice = f"{done} líneas importadas." if done or not problems else "No se importó nada."
    return await _list_page(
        console, session, register, problems=told, notice=notice, status=422 if problems else 200
    )


async def _form_page(
    console: Console,
    session: Session,
    register: Register,
    words: dict[str, str],
    *,
    folio: str = "",
    version: int = 0,
    mistakes: list[Mistake] | None = None,
    status: int = 200,
) -> Response:
    values = {
        "section": "registros",
        "register": register,
        "words": words,
        "folio": folio,
        "version": version,
        "mistakes": mistakes or [],
        "wrong": {mistake.field for mistake in mistakes or []},
    }
    return await framed(console, session, "register_form.html", values, status)


@router.get("/{name}/nuevo", dependencies=_SEES)
async def new(request: Request, console: TheConsole, session: SignedIn, name: _Name) -> Response:
    """Fields may come prefilled in the address: a session's page leads to its agreement."""
    register = _register(session, name, to_keep=True)
    known = {field.name for field in register.fields}
    words = {key: value[:300] for key, value in request.query_params.items() if key in known}
    return await _form_page(console, session, register, words)


@router.post("/{name}", dependencies=_SEES)
async def create(request: Request, console: TheConsole, session: Changing, name: _Name) -> Response:
    return await _save(request, console, session, _register(session, name, to_keep=True))


@router.post("/{name}/{folio}", dependencies=_SEES)
async def change(
    request: Request, console: TheConsole, session: Changing, name: _Name, folio: _Folio
) -> Response:
    return await _save(request, console, session, _register(session, name, to_keep=True), folio)


async def _save(
    request: Request, console: Console, session: Session, register: Register, folio: str = ""
) -> Response:
    form = await request.form()
    words = {key: value for key, value in form.items() if isinstance(value, str)}
    version = int(words["version"]) if words.get("version", "").isdigit() else 0
    values, mistakes = read(register, words)
    login, now = session.user.login, console.now()
    if not mistakes:
        try:
            if folio and register is SESSIONS:
                sessions.check_open(await sessions.sitting(console.pool, folio))
            async with console.pool.acquire() as connection, connection.transaction():
                saved = await service.write(
                    connection,
                    register,
                    values,
                    author=login,
                    now=now,
                    folio=folio,
                    version=version if folio else None,
                )
        except RegisterError as error:
            mistakes = [Mistake("", str(error))]
            status = 409 if isinstance(error, StaleError) else 422
            return await _form_page(
                console,
                session,
                register,
                words,
                folio=folio,
                version=version,
                mistakes=mistakes,
                status=status,
            )
        await audit.record(console.pool, now, login, audit.Action.REGISTER_CHANGED, saved, register.id)
        return RedirectResponse(f"/registros/{register.id}/{saved}", status_code=303)
    return await _form_page(
        console, session, register, words, folio=folio, version=version, mistakes=mistakes, status=422
    )


async def _entry_page(
    console: Console, session: Session, register: Register, folio: str, error: str = "", status: int = 200
) -> Response:
    try:
        entry = await service.find(console.pool, register, folio)
    except RegisterError as gone:
        raise Problem(404, f"{str(gone).capitalize()}.") from gone
    await _audit_reading(console, session, register, folio)
    sitting = await sessions.sitting(console.pool, folio) if register is SESSIONS else None
    values = {
        "section": "registros",
        "register": register,
        "entry": entry,
        "shown": shown,
        "may_keep": _may_keep(session, register),
        "history": await service.history(console.pool, register, folio),
        "titles": {field.name: field.title for field in register.fields},
        "sitting": sitting,
        "seats": sessions.seats_of(sitting) if sitting else [],
        "acta": (sitting.acta_text or sessions.acta(sitting)) if sitting and sitting.seats else "",
        "agreements": AGREEMENTS,
        "error": error,
    }
    return await framed(console, session, "register_entry.html", values, status)


@router.get("/{name}/{folio}", dependencies=_SEES)
async def entry_page(console: TheConsole, session: SignedIn, name: _Name, folio: _Folio) -> Response:
    return await _entry_page(console, session, _register(session, name), folio)


@router.get("/{name}/{folio}/cambiar", dependencies=_SEES)
async def change_page(console: TheConsole, session: SignedIn, name: _Name, folio: _Folio) -> Response:
    register = _register(session, name, to_keep=True)
    try:
        entry = await service.find(console.pool, register, folio)
    except RegisterError as gone:
        raise Problem(404, f"{str(gone).capitalize()}.") from gone
    await _audit_reading(console, session, register, folio)
    words = {field.name: typed(field, entry.values[field.name]) for field in register.fields}
    return await _form_page(console, session, register, words, folio=folio, version=entry.version)


# ---------------------------------------------------------------------------------------- sessions


@router.post("/sesiones/{folio}/asistencia", dependencies=_SEES)
async def attend(request: Request, console: TheConsole, session: Changing, folio: _Folio) -> Response:
    """Fields ``asiento`` (names), ``presente`` and ``suplente`` (their numbers)."""
    register = _register(session, SESSIONS.id, to_keep=True)
    form = await request.form()
    names = [str(one).strip()[:120] for one in form.getlist("asiento")]
    present, substitute = set(form.getlist("presente")), set(form.getlist("suplente"))
    seats = [
        Seat(name, str(number) in present, str(number) in substitute)
        for number, name in enumerate(names)
        if name
    ]
    try:
        await sessions.attend(console.pool, folio, seats, author=session.user.login, now=console.now())
    except RegisterError as error:
        return await _entry_page(console, session, register, folio, f"{str(error).capitalize()}.", 422)
    return await _session_done(console, session, folio, "asistencia")


@router.post("/sesiones/{folio}/aprobar", dependencies=_SEES)
async def approve(console: TheConsole, session: Changing, folio: _Folio) -> Response:
    register = _register(session, SESSIONS.id, to_keep=True)
    try:
        await sessions.approve(console.pool, folio, author=session.user.login, now=console.now())
    except RegisterError as error:
        return await _entry_page(console, session, register, folio, f"{str(error).capitalize()}.", 422)
    return await _session_done(console, session, folio, "acta aprobada")


async def _session_done(console: Console, session: Session, folio: str, what: str) -> Response:
    login = session.user.login
    await audit.record(console.pool, console.now(), login, audit.Action.REGISTER_CHANGED, folio, what)
    return RedirectResponse(f"/registros/sesiones/{folio}", status_code=303)
