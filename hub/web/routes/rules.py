"""Rules in force; drafts checked, rehearsed over what is stored, and put in force."""

from typing import Annotated

from fastapi import APIRouter, Depends, File, Form, UploadFile
from starlette.responses import RedirectResponse, Response

from hub.nodes import Problem as RuleProblem
from hub.rule_work.drafts import MAX_DAYS, Draft
from hub.web import audit, rulings
from hub.web.auth import Changing, SignedIn, TheConsole, allowed
from hub.web.context import Console
from hub.web.frame import shown
from hub.web.permissions import Permission
from hub.web.problem import Problem
from hub.web.sessions import Session

router = APIRouter(prefix="/reglas", include_in_schema=False)

_REHEARSES = [Depends(allowed(Permission.REHEARSE_RULES))]
DAYS = (1, 7, 30, 90)


async def _page(
    console: Console,
    session: Session,
    *,
    text: str = "",
    days: int = 30,
    problems: list[RuleProblem] | None = None,
    error: str = "",
    status: int = 200,
) -> Response:
    desk = rulings.desk_of(console)
    values = {
        "section": "reglas",
        "rules": await rulings.list_rules(console),
        "folder_problems": desk.live.problems,
        "drafts": desk.drafts.newest() if session.user.may(Permission.REHEARSE_RULES) else [],
        "text": text,
        "chosen_days": days,
        "day_choices": DAYS,
        "problems": problems or [],
        "error": error,
    }
    return await shown(console, session, "rules.html", values, status)


@router.get("", dependencies=[Depends(allowed(Permission.SEE_RULES))])
async def rules_page(console: TheConsole, session: SignedIn) -> Response:
    return await _page(console, session)


@router.post("", dependencies=_REHEARSES)
async def try_out(
    console: TheConsole,
    session: Changing,
    borrador: Annotated[str, Form()] = "",
    dias: Annotated[int, Form(ge=1, le=MAX_DAYS)] = 30,
    archivo: Annotated[UploadFile | None, File()] = None,
) -> Response:
    """A text in the field counts before a file."""
    text = borrador.replace("\r\n", "\n")
    if not text.strip() and archivo is not None:
        text = (await archivo.read()).decode("utf-8", "replace")
    try:
        draft, problems = rulings.try_out(console, session, text, dias)
    except Problem as problem:
        return await _page(console, session, text=text, days=dias, error=problem.detail, status=422)
    if draft is None:
        return await _page(console, session, text=text, days=dias, problems=problems, status=422)
    names = ", ".join(rule.name for rule in draft.rules)
    await audit.record(
        console.pool, console.now(), session.user.login, audit.Action.RULES_REHEARSED, "", names[:500]
    )
    return RedirectResponse(f"/reglas/ensayos/{draft.draft_id}", status_code=303)


async def _draft_page(
    console: Console,
    session: Session,
    draft: Draft,
    template: str = "rehearsal.html",
    error: str = "",
    status: int = 200,
) -> Response:
    values = {
        "section": "reglas",
        "draft": draft,
        "result": rulings.result_of(draft),
        "file": draft.promoted_as or rulings.file_for(console, draft),
        "error": error,
    }
    return await shown(console, session, template, values, status)


@router.get("/ensayos/{draft_id}", dependencies=_REHEARSES)
async def draft_page(console: TheConsole, session: SignedIn, draft_id: str) -> Response:
    return await _draft_page(console, session, rulings.find_draft(console, session, draft_id))


@router.get("/ensayos/{draft_id}/avance", dependencies=_REHEARSES)
async def draft_fragment(console: TheConsole, session: SignedIn, draft_id: str) -> Response:
    draft = rulings.find_draft(console, session, draft_id)
    return await _draft_page(console, session, draft, "fragments/rehearsal.html")


@router.post("/ensayos/{draft_id}/activar", dependencies=[Depends(allowed(Permission.PROMOTE_RULES))])
async def promote(
    console: TheConsole,
    session: Changing,
    draft_id: str,
    archivo: Annotated[str, Form(max_length=80)] = "",
) -> Response:
    draft = rulings.find_draft(console, session, draft_id)
    try:
        await rulings.promote(console, session, draft, archivo.strip())
    except Problem as problem:
        return await _draft_page(console, session, draft, error=problem.detail, status=problem.status)
    return RedirectResponse(f"/reglas/ensayos/{draft_id}", status_code=303)
