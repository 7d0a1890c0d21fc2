"""Operations that come again: made from one, listed with what comes next, ended."""

import uuid
from datetime import date, timedelta
from typing import Annotated

from fastapi import APIRouter, Depends, Form
from pydantic import BaseModel, Field
from starlette.responses import RedirectResponse, Response

from hub.operations import reading, recurrence, series
from hub.operations.model import OperationError
from hub.plan.periods import SANTIAGO
from hub.web import audit
from hub.web.auth import Changing, SignedIn, TheConsole, allowed
from hub.web.context import Console
from hub.web.frame import shown
from hub.web.operations import Folio
from hub.web.permissions import Permission
from hub.web.problem import Problem, sentence
from hub.web.sessions import Session

router = APIRouter(prefix="/operativos", include_in_schema=False)

_SEES = [Depends(allowed(Permission.SEE_OPERATIONS))]
_PLANS = [Depends(allowed(Permission.PLAN_OPERATIONS))]


async def _page(console: Console, session: Session, said: str = "", error: str = "") -> Response:
    values = {
        "section": "operativos",
        "series": await series.listed(console.pool, console.now()),
        "rule_words": recurrence.words,
        "ahead_weeks": series.AHEAD // timedelta(weeks=1),
        "said": said,
        "error": error,
    }
    return await shown(console, session, "operation_series.html", values, 422 if error else 200)


@router.get("/repeticiones", dependencies=_SEES)
async def page(console: TheConsole, session: SignedIn) -> Response:
    return await _page(console, session)


@router.post("/repeticiones/{series_id}/terminar", dependencies=_PLANS)
async def end(
    console: TheConsole,
    session: Changing,
    series_id: uuid.UUID,
    motivo: Annotated[str, Form(max_length=500)] = "",
    suspende: Annotated[bool, Form()] = False,
) -> Response:
    now, login = console.now(), session.user.login
    try:
        folios = await series.end(
            console.pool, series_id, suspends=suspende, reason=motivo, author=login, now=now
        )
    except OperationError as error:
        return await _page(console, session, error=sentence(error))
    await audit.record(
        console.pool, now, login, audit.Action.OPERATION_CHANGED, str(series_id), "end of the series"
    )
    left = f" Se suspendieron: {', '.join(folios)}." if folios else ""
    return await _page(console, session, f"La repetición terminó.{left}")


class RepeatForm(BaseModel):
    """``como``: weekly or monthly."""

    como: str = Field("weekly", max_length=10)
    dia: Annotated[list[str], Field(default_factory=list, max_length=7)]
    cada: int = Field(1, ge=1, le=52)
    hasta: date


@router.get("/{folio}/repetir", dependencies=_PLANS)
async def repeat_page(console: TheConsole, session: SignedIn, folio: Folio) -> Response:
    return await _repeat_page(console, session, folio)


async def _repeat_page(console: Console, session: Session, folio: str, error: str = "") -> Response:
    try:
        operation = await reading.find(console.pool, folio)
    except OperationError as gone:
        raise Problem(404, sentence(gone)) from gone
    start = operation.draft.planned_start
    season = operation.draft.season
    day = start.astimezone(SANTIAGO).date()
    last = await series.season_end(console.pool, season) if season else None
    values = {
        "section": "operativos",
        "operation": operation,
        "days": recurrence.DAYS,
        "own_day": list(recurrence.DAYS)[day.weekday()],
        "monthly_words": recurrence.words(recurrence.monthly(start, day)).rpartition(", hasta")[0],
        "last": last or day + timedelta(weeks=12),
        "season": season if last else "",
        "error": error,
    }
    return await shown(console, session, "operation_repeat.html", values, 422 if error else 200)


@router.post("/{folio}/repetir", dependencies=_PLANS)
async def repeat(
    console: TheConsole, session: Changing, folio: Folio, form: Annotated[RepeatForm, Form()]
) -> Response:
    now, login = console.now(), session.user.login
    try:
        operation = await reading.find(console.pool, folio)
        start = operation.draft.planned_start
        if form.como == "monthly":
            rule = recurrence.monthly(start, form.hasta)
        else:
            rule = recurrence.weekly(form.dia, form.cada, form.hasta)
        await series.repeat(console.pool, folio, rule, author=login, now=now)
    except OperationError as error:
        return await _repeat_page(console, session, folio, sentence(error))
    await audit.record(console.pool, now, login, audit.Action.OPERATION_CHANGED, folio, "repeat")
    return RedirectResponse("/operativos/repeticiones", status_code=303)
