"""Operations: the month, one with its moves and records, the form, the acta."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Form, Query, Request
from starlette.responses import Response

from hub.operations import acta, reading, service
from hub.operations.model import Institution, OperationError, StaleError
from hub.operations.words import (
    ACTING,
    COUNTS,
    KINDS,
    MOVES,
    PERMITS,
    PHASES,
    RELATIONS,
    RESULTS,
    ROLES,
    STATES,
    kind_name,
)
from hub.plan import versions
from hub.plan.periods import SANTIAGO
from hub.web import audit
from hub.web import operations as views
from hub.web.auth import Changing, SignedIn, TheConsole, allowed
from hub.web.context import Console
from hub.web.frame import shown
from hub.web.operations import Folio, OperationForm
from hub.web.permissions import Permission
from hub.web.problem import Problem, sentence
from hub.web.sessions import Session
from hub.web.texts import KINDS as ALERT_KINDS

router = APIRouter(prefix="/operativos", include_in_schema=False)

_SEES = [Depends(allowed(Permission.SEE_OPERATIONS))]
_PLANS = [Depends(allowed(Permission.PLAN_OPERATIONS))]
_RECORDS = [Depends(allowed(Permission.RECORD_INSPECTIONS))]
_LINKS = [Depends(allowed(Permission.LINK_ALERTS))]
_Short = Annotated[str, Query(max_length=80)]

_WORDS = {
    "states": STATES,
    "kinds": KINDS,
    "kind_name": kind_name,
    "results": RESULTS,
    "permits": PERMITS,
    "acting": ACTING,
    "roles": ROLES,
    "counts": COUNTS,
    "phases": PHASES,
    "relations": RELATIONS,
    "moves": MOVES,
    "move_words": views.MOVE_WORDS,
    "alert_kinds": ALERT_KINDS,
}


@router.get("", dependencies=_SEES)
async def listed(
    console: TheConsole,
    session: SignedIn,
    mes: _Short = "",
    sector: _Short = "",
    estado: _Short = "",
    tipo: _Short = "",
    temporada: _Short = "",
) -> Response:
    today = console.now().astimezone(SANTIAGO).date()
    first, end = views.month_days(mes, today)
    wanted = views.filter_of(first, end, sector, estado, tipo, temporada)
    lines = await reading.listed(console.pool, wanted, limit=views.MONTH_ROWS)
    seasons = await reading.seasons(console.pool)
    values = {
        **_WORDS,
        "section": "operativos",
        "month": views.month_of(first, lines, today),
        "lines": lines,
        "sectors": await reading.sectors(console.pool),
        "is_cut": len(lines) == views.MONTH_ROWS,
        "seasons": seasons,
        "running": [one for one in seasons if one.starts_on < end and one.ends_on >= first],
        "chosen": {"sector": sector, "estado": estado, "tipo": tipo, "temporada": temporada},
        "today": today,
    }
    return await shown(console, session, "operations.html", values)


@router.get("/nuevo", dependencies=_PLANS)
async def new(console: TheConsole, session: SignedIn) -> Response:
    return await _form_page(console, session, views.empty_form())


async def _form_page(
    console: Console, session: Session, form: OperationForm, folio: str = "", error: str = ""
) -> Response:
    version = await versions.current(console.pool, console.topics(), console.now())
    values = {
        **_WORDS,
        "section": "operativos",
        "form": form,
        "folio": folio,
        "error": error,
        "sectors": await reading.sectors(console.pool),
        "objectives": version.plan.objectives if version else (),
        "activities": list(version.plan.activities()) if version else (),
    }
    return await shown(console, session, "operation_form.html", values, 422 if error else 200)


async def _plan_id(console: Console) -> str:
    version = await versions.current(console.pool, console.topics(), console.now())
    return version.plan.id if version else ""


@router.post("", dependencies=_PLANS)
async def plan(console: TheConsole, session: Changing, form: Annotated[OperationForm, Form()]) -> Response:
    now, login = console.now(), session.user.login
    try:
        draft = views.draft_of(form, console, await _plan_id(console))
        operation = await service.plan(console.pool, draft, author=login, now=now)
    except (OperationError, Problem) as error:
        return await _form_page(console, session, form, error=sentence(error))
    return await views.changed(console, session, operation.folio, "plan")


# --------------------------------------------------------------------------------------------- one


async def _page(
    console: Console, session: Session, folio: str, error: str = "", status: int = 200
) -> Response:
    try:
        view = await views.load_view(console, folio)
    except OperationError as gone:
        raise Problem(404, sentence(gone)) from gone
    now = console.now()
    if console.reads.is_new(session.session_id, f"operation:{folio}", now):
        await audit.record(console.pool, now, session.user.login, audit.Action.OPERATION_READ, folio)
    values = {**_WORDS, "section": "operativos", "view": view, "dossier": view.dossier, "error": error}
    values["operation"] = view.dossier.operation
    return await shown(console, session, "operation.html", values, status)


@router.get("/{folio}", dependencies=_SEES)
async def page(console: TheConsole, session: SignedIn, folio: Folio) -> Response:
    return await _page(console, session, folio)


@router.get("/{folio}/cambiar", dependencies=_PLANS)
async def change_page(console: TheConsole, session: SignedIn, folio: Folio) -> Response:
    try:
        operation = await reading.find(console.pool, folio)
    except OperationError as gone:
        raise Problem(404, sentence(gone)) from gone
    return await _form_page(console, session, views.form_of(operation, console), folio)


@router.post("/{folio}/cambiar", dependencies=_PLANS)
async def change(
    console: TheConsole, session: Changing, folio: Folio, form: Annotated[OperationForm, Form()]
) -> Response:
    now, login = console.now(), session.user.login
    try:
        old = (await reading.find(console.pool, folio)).draft
        draft = views.draft_of(form, console, await _plan_id(console) or old.plan_id, old)
        await service.change(console.pool, folio, draft, version=form.version, author=login, now=now)
    except (OperationError, Problem) as error:
        return await _form_page(console, session, form, folio, sentence(error))
    return await views.changed(console, session, folio, "change")


@router.post("/{folio}/mover", dependencies=_PLANS)
async def move(
    console: TheConsole,
    session: Changing,
    folio: Folio,
    paso: Annotated[str, Form(max_length=20)],
    version: Annotated[int, Form()],
    motivo: Annotated[str, Form(max_length=500)] = "",
) -> Response:
    if paso not in views.MOVES:
        raise Problem(422)
    try:
        await service.move(
            console.pool,
            folio,
            views.MOVES[paso],
            version=version,
            author=session.user.login,
            now=console.now(),
            note=motivo,
        )
    except OperationError as error:
        status = 409 if isinstance(error, StaleError) else 422
        return await _page(console, session, folio, sentence(error), status)
    return await views.changed(console, session, folio, paso)


@router.post("/{folio}/registrar", dependencies=_RECORDS)
async def record(request: Request, console: TheConsole, session: Changing, folio: Folio) -> Response:
    """Fields ``presentes:<institution>`` and ``total:<kind>:<institution>``; empty ones change nothing."""
    form = await request.form()
    present: dict[str, int] = {}
    totals: dict[tuple[str, str], int] = {}
    try:
        for name, value in form.items():
            if not isinstance(value, str) or not value.strip():
                continue
            sort, _, rest = name.partition(":")
            if sort == "presentes":
                present[rest] = _number(value)
            elif sort == "total":
                kind, _, institution = rest.partition(":")
                totals[kind, institution] = _number(value)
        await service.count(
            console.pool,
            folio,
            present=present,
            totals=totals,
            author=session.user.login,
            now=console.now(),
        )
    except (OperationError, Problem) as error:
        return await _page(console, session, folio, sentence(error), 422)
    return await views.changed(console, session, folio, "count")


def _number(text: str) -> int:
    if not text.strip().isascii() or not text.strip().isdigit() or len(text.strip()) > 6:
        raise Problem(422, f"«{text}» no es un número, cero o más.")
    return int(text)


@router.post("/{folio}/marcar", dependencies=_RECORDS)
async def tick(
    console: TheConsole,
    session: Changing,
    folio: Folio,
    tarea: Annotated[list[int], Form()] = [],  # noqa: B006  (FastAPI copies it)
    visitado: Annotated[list[str], Form()] = [],  # noqa: B006
    despejado: Annotated[list[str], Form()] = [],  # noqa: B006
) -> Response:
    try:
        await service.tick(
            console.pool,
            folio,
            tasks=[number for number in tarea if 0 < number < 1000],
            visited=visitado,
            cleared=despejado,
            author=session.user.login,
            now=console.now(),
        )
    except OperationError as error:
        return await _page(console, session, folio, sentence(error), 422)
    return await views.changed(console, session, folio, "tick")


@router.post("/{folio}/omitir", dependencies=_RECORDS)
async def drop_task(
    console: TheConsole,
    session: Changing,
    folio: Folio,
    tarea: Annotated[int, Form(ge=1, le=999)],
    motivo: Annotated[str, Form(max_length=500)] = "",
) -> Response:
    try:
        await service.drop_task(
            console.pool, folio, tarea, motivo, author=session.user.login, now=console.now()
        )
    except OperationError as error:
        return await _page(console, session, folio, sentence(error), 422)
    return await views.changed(console, session, folio, "drop")


@router.post("/{folio}/firmar", dependencies=_PLANS)
async def sign(
    console: TheConsole, session: Changing, folio: Folio, institucion: Annotated[str, Form(max_length=80)]
) -> Response:
    try:
        await service.sign(console.pool, folio, institucion, author=session.user.login, now=console.now())
    except OperationError as error:
        return await _page(console, session, folio, sentence(error), 422)
    return await views.changed(console, session, folio, "sign")


@router.post("/{folio}/vincular", dependencies=_LINKS)
async def link(
    console: TheConsole,
    session: Changing,
    folio: Folio,
    alerta: Annotated[str, Form(max_length=12)],
    relacion: Annotated[str, Form(max_length=12)],
    motivo: Annotated[str, Form(max_length=500)] = "",
) -> Response:
    try:
        await service.link(
            console.pool,
            folio,
            alerta,
            relacion,
            motivo,
            author=session.user.login,
            now=console.now(),
        )
    except OperationError as error:
        return await _page(console, session, folio, sentence(error), 422)
    return await views.changed(console, session, folio, "link")


@router.post("/{folio}/desvincular", dependencies=_LINKS)
async def unlink(
    console: TheConsole,
    session: Changing,
    folio: Folio,
    vinculo: Annotated[int, Form(ge=1)],
    motivo: Annotated[str, Form(max_length=500)] = "",
) -> Response:
    try:
        await service.unlink(
            console.pool, folio, vinculo, motivo, author=session.user.login, now=console.now()
        )
    except OperationError as error:
        return await _page(console, session, folio, sentence(error), 422)
    return await views.changed(console, session, folio, "unlink")


# --------------------------------------------------------------------------------------------- acta


@router.get("/{folio}/acta", dependencies=_SEES)
async def acta_page(console: TheConsole, session: SignedIn, folio: Folio) -> Response:
    """The acta as its records give it now; of a closed one, whether it is still what was signed."""
    try:
        dossier = await reading.dossier(console.pool, folio)
    except OperationError as gone:
        raise Problem(404, sentence(gone)) from gone
    operation = dossier.operation
    values = {
        **_WORDS,
        "section": "operativos",
        "operation": operation,
        "parts": acta.parts(dossier),
        "signatures": _signatures(dossier.operation.draft.institutions),
        "sha256": service.digest(dossier),
    }
    return await shown(console, session, "operation_acta.html", values)


def _signatures(institutions: Sequence[Institution]) -> list[tuple[str, datetime | None]]:
    """Of those who were there, or of whom nobody said yet."""
    return [(one.name, one.signed_at) for one in institutions if one.present != 0]
