"""The safety plan: its board, each indicator with its frozen figures, and their verification."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path
from starlette.responses import JSONResponse, Response

from hub.plan.errors import PlanError
from hub.web import audit, plan_chart, planning
from hub.web.auth import Changing, SignedIn, TheConsole, allowed
from hub.web.context import Console
from hub.web.frame import shown
from hub.web.permissions import Permission
from hub.web.problem import Problem
from hub.web.sessions import Session

router = APIRouter(include_in_schema=False)

_SEES = [Depends(allowed(Permission.SEE_PLAN))]
_Name = Annotated[str, Path(max_length=63)]


async def _record(console: Console, session: Session, what: str) -> None:
    now = console.now()
    if console.reads.is_new(session.session_id, f"plan:{what}", now):
        await audit.record(console.pool, now, session.user.login, audit.Action.PLAN_READ, what)


@router.get("/plan", dependencies=_SEES)
async def board(console: TheConsole, session: SignedIn) -> Response:
    await _record(console, session, "")
    values = {"section": "plan", "board": await planning.load_board(console)}
    return await shown(console, session, "plan.html", values)


@router.get("/plan/{plan_id}/{indicator}", dependencies=_SEES)
async def indicator_page(
    console: TheConsole, session: SignedIn, plan_id: _Name, indicator: _Name
) -> Response:
    detail = await planning.load_detail(console, plan_id, indicator)
    await _record(console, session, f"{plan_id}/{indicator}")
    return await shown(console, session, "plan_indicator.html", {"section": "plan", "detail": detail})


@router.get("/plan/{plan_id}/{indicator}/serie.json", dependencies=_SEES)
async def series(console: TheConsole, plan_id: _Name, indicator: _Name) -> Response:
    return JSONResponse(await plan_chart.load_frozen(console, plan_id, indicator))


@router.get("/plan/{plan_id}/{indicator}/provisorio.json", dependencies=_SEES)
async def provisional(console: TheConsole, plan_id: _Name, indicator: _Name) -> Response:
    async with console.verifying:
        return JSONResponse(await plan_chart.load_provisional(console, plan_id, indicator))


@router.post("/plan/cifras/{number}/verificar", dependencies=_SEES)
async def verify(
    console: TheConsole, session: Changing, number: Annotated[int, Path(ge=1, le=2**62)]
) -> Response:
    try:
        async with console.verifying:
            checked = await planning.check(console, number)
    except PlanError as error:
        raise Problem(404, f"{str(error).capitalize()}.") from error
    outcome = "equal" if checked.found.is_equal else "differs"
    login = session.user.login
    await audit.record(console.pool, console.now(), login, audit.Action.FIGURE_VERIFIED, str(number), outcome)
    return await shown(console, session, "plan_verified.html", {"section": "plan", "checked": checked})
