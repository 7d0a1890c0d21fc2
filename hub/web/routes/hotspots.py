"""Hot spots, their way to an operation, and what followed an operation."""

import json
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query
from starlette.responses import JSONResponse, RedirectResponse, Response

from hub.hotspots import planning, sheets
from hub.operations import effect, reading
from hub.operations.effect import NotYet
from hub.operations.model import Operation, OperationError
from hub.operations.ratios import Ratio
from hub.plan.parameters import parameters_of
from hub.web import audit, hotspots
from hub.web.auth import Changing, SignedIn, TheConsole, allowed
from hub.web.context import Console
from hub.web.frame import shown
from hub.web.permissions import Permission
from hub.web.problem import Problem, sentence

router = APIRouter(include_in_schema=False)

_SEES = [Depends(allowed(Permission.SEE_OPERATIONS))]
_PLANS = [Depends(allowed(Permission.PLAN_OPERATIONS))]
_Family = Annotated[str, Query(max_length=3, pattern="^(|INC|DEL|RUR)$")]
_Folio = Annotated[str, Path(max_length=40, pattern=r"^[A-Z]+-\d{4}-\d+$")]


@router.get("/focos", dependencies=_SEES)
async def page(
    console: TheConsole,
    session: SignedIn,
    familia: _Family = "",
    sector: Annotated[str, Query(max_length=80)] = "",
) -> Response:
    sheet = await sheets.load(console.pool, familia)
    heats = {heat.sector: heat for heat in sheet.heats} if sheet else {}
    heat = heats.get(sector) or heats.get("")
    catalogue = console.catalogue()
    values = {
        "section": "focos",
        "sheet": sheet,
        "family": familia,
        "families": hotspots.FAMILIES,
        "picture": hotspots.picture(sheet) if sheet else None,
        "advice": [hotspots.advice(spot, catalogue) for spot in sheet.spots] if sheet else [],
        "heat": heat,
        "shades": hotspots.shades(heat) if heat else [],
        "sectors": sorted(filter(None, heats)),
        "sector": sector if sector in heats else "",
        "labels": {code.code: code.label for code in catalogue.codes},
        "days": hotspots.DAYS,
    }
    return await shown(console, session, "hotspots.html", values)


@router.post("/focos/{code}/programar", dependencies=_PLANS)
async def plan(
    console: TheConsole,
    session: Changing,
    code: Annotated[str, Path(max_length=60)],
    familia: _Family = "",
) -> Response:
    sheet = await sheets.load(console.pool, familia)
    login, now = session.user.login, console.now()
    try:
        spot = planning.find_spot(sheet, code)
        assert sheet is not None  # noqa: S101  (find_spot raised otherwise)
        operation = await planning.plan(console.pool, sheet, spot, author=login, now=now)
    except OperationError as error:
        raise Problem(422, sentence(error)) from error
    await audit.record(
        console.pool, now, login, audit.Action.OPERATION_CHANGED, operation.folio, f"plan {code}"
    )
    return RedirectResponse(f"/operativos/{operation.folio}", status_code=303)


# ------------------------------------------------------------------------------------------- effect


async def _effect(console: Console, folio: str) -> tuple[Operation, effect.Effect | NotYet]:
    codes = json.dumps(parameters_of(console.catalogue())["code_of_kind"])
    try:
        operation = await reading.find(console.pool, folio)
        return operation, await effect.effect_of(console.pool, operation, codes, console.now())
    except OperationError as error:
        raise Problem(404, sentence(error)) from error


@router.get("/operativos/{folio}/efecto", dependencies=_SEES)
async def effect_page(console: TheConsole, session: SignedIn, folio: _Folio) -> Response:
    operation, found = await _effect(console, folio)
    values = {
        "section": "operativos",
        "operation": operation,
        "effect": found,
        "is_due": not isinstance(found, NotYet),
        "lines": effect.told(found),
        "most": max(1, *_counts(found)),
    }
    return await shown(console, session, "operation_effect.html", values)


def _counts(found: effect.Effect | NotYet) -> list[int]:
    if isinstance(found, NotYet):
        return [0]
    return [found.before, found.after, found.control_before, found.control_after]


@router.get("/api/v1/operations/{folio}/effect", dependencies=_SEES)
async def effect_json(console: TheConsole, folio: _Folio) -> Response:
    _, found = await _effect(console, folio)
    if isinstance(found, NotYet):
        return JSONResponse({"due_at": found.due_at.isoformat(), "text": effect.told(found)})
    return JSONResponse(
        {
            "before": found.before,
            "after": found.after,
            "control": found.control,
            "control_before": found.control_before,
            "control_after": found.control_after,
            "ratio": _ratio(found.ratio),
            "relative": None if found.relative is None else _ratio(found.relative),
            "text": effect.told(found),
        }
    )


def _ratio(ratio: Ratio) -> dict[str, float | None]:
    return {"value": ratio.value, "low": ratio.low, "high": ratio.high}
