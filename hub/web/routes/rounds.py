"""Rounds: planned, walked, proven by check-in points, with what was not proven beside it."""

import uuid
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Form, Path, Query
from starlette.responses import RedirectResponse, Response

from hub.fieldwork import patrols
from hub.fieldwork.errors import FieldError
from hub.papers.stickers import Sticker, stickers_pdf
from hub.web import audit, patrolling
from hub.web.auth import Changing, SignedIn, TheConsole, allowed
from hub.web.context import Console
from hub.web.fieldpage import VERDICTS
from hub.web.files import PDF, sent
from hub.web.frame import shown
from hub.web.patrolling import PointForm, RoundForm
from hub.web.permissions import Permission
from hub.web.problem import Problem
from hub.web.sessions import Session

router = APIRouter(prefix="/rondas", include_in_schema=False)

PAGE = 30
_SEES = [Depends(allowed(Permission.SEE_OPERATIONS))]
_PLANS = [Depends(allowed(Permission.PLAN_OPERATIONS))]
_Code = Annotated[str, Path(pattern="^[0-9A-Z]{8}$")]


async def _page(
    console: Console,
    session: Session,
    before: datetime | None = None,
    form: RoundForm | None = None,
    problem: Problem | None = None,
) -> Response:
    now = console.now()
    rounds = await patrols.list_rounds(console.pool, limit=PAGE + 1, before=before)
    proven = await patrols.proofs(console.pool, rounds[:PAGE], now)
    values = {
        "section": "rondas",
        "lines": [patrolling.line_of(one, now) for one in proven],
        "next_before": rounds[PAGE - 1].starts_at if len(rounds) > PAGE else None,
        "points": await patrols.list_checkpoints(console.pool),
        "form": form or RoundForm.model_validate({}),
        "problem": problem,
    }
    return await shown(console, session, "rounds.html", values, problem.status if problem else 200)


@router.get("", dependencies=_SEES)
async def rounds_page(
    console: TheConsole, session: SignedIn, antes: Annotated[datetime | None, Query()] = None
) -> Response:
    if antes is not None and antes.tzinfo is None:
        raise Problem(422, errors={"antes": "debe llevar zona horaria"})
    return await _page(console, session, antes)


@router.post("", dependencies=_PLANS)
async def plan_round(console: TheConsole, session: Changing, form: Annotated[RoundForm, Form()]) -> Response:
    try:
        round_id = await patrolling.plan(console, session, form)
    except Problem as problem:
        return await _page(console, session, None, form, problem)
    return RedirectResponse(f"/rondas/{round_id}", status_code=303)


@router.get("/puntos", dependencies=_SEES)
async def points_page(console: TheConsole, session: SignedIn) -> Response:
    return await _points(console, session)


async def _points(
    console: Console, session: Session, form: PointForm | None = None, problem: Problem | None = None
) -> Response:
    values = {
        "section": "rondas",
        "points": await patrols.list_checkpoints(console.pool),
        "form": form or PointForm.model_validate({}),
        "problem": problem,
    }
    return await shown(console, session, "checkpoints.html", values, problem.status if problem else 200)


@router.get("/puntos/adhesivos.pdf", dependencies=_PLANS)
async def stickers(console: TheConsole) -> Response:
    points = await patrols.list_checkpoints(console.pool)
    if not points:
        raise Problem(404, "No hay puntos de control; cree el primero.")
    made = await stickers_pdf(
        [Sticker(code=point.code, name=point.name, place=point.sector) for point in points],
        kind="Punto de control de ronda",
        commune=console.settings.commune,
        prepared_at=console.now(),
    )
    return sent(made, PDF, "adhesivos-puntos.pdf")


@router.post("/puntos", dependencies=_PLANS)
async def add_point(console: TheConsole, session: Changing, form: Annotated[PointForm, Form()]) -> Response:
    try:
        await patrolling.add_point(console, session, form)
    except Problem as problem:
        return await _points(console, session, form, problem)
    return RedirectResponse("/rondas/puntos", status_code=303)


@router.post("/puntos/{code}/retirar", dependencies=_PLANS)
async def retire_point(console: TheConsole, session: Changing, code: _Code) -> Response:
    if not await patrols.retire_checkpoint(console.pool, code, console.now()):
        raise Problem(404, "Ese punto no existe o ya fue retirado.")
    await audit.record(console.pool, console.now(), session.user.login, audit.Action.CHECKPOINT_RETIRED, code)
    return RedirectResponse("/rondas/puntos", status_code=303)


@router.get("/{round_id}", dependencies=_SEES)
async def round_page(console: TheConsole, session: SignedIn, round_id: uuid.UUID) -> Response:
    return await _one(console, session, round_id)


async def _one(
    console: Console, session: Session, round_id: uuid.UUID, problem: Problem | None = None
) -> Response:
    values = {
        "section": "rondas",
        "line": await patrolling.load(console, round_id),
        "verdicts": VERDICTS,
        "ways": patrolling.WAYS,
        "problem": problem,
    }
    return await shown(console, session, "round.html", values, problem.status if problem else 200)


@router.post("/{round_id}/suspender", dependencies=_PLANS)
async def cancel_round(
    console: TheConsole,
    session: Changing,
    round_id: uuid.UUID,
    motivo: Annotated[str, Form(max_length=300)] = "",
) -> Response:
    try:
        await patrols.cancel_round(console.pool, round_id, motivo, console.now())
    except FieldError as error:
        return await _one(console, session, round_id, Problem(409, str(error)))
    await audit.record(
        console.pool, console.now(), session.user.login, audit.Action.ROUND_CANCELLED, str(round_id)
    )
    return RedirectResponse(f"/rondas/{round_id}", status_code=303)
