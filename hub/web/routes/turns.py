"""Who is on call and who is in the room: calendars, their files, and the consoles' signs of life."""

from typing import Annotated

from fastapi import APIRouter, Depends, File, Form, UploadFile
from starlette.responses import RedirectResponse, Response

from hub.notify import calendar_file, calendars
from hub.notify import service as notify
from hub.notify.escalation import Who, targets_of
from hub.web import audit, roster
from hub.web.auth import Changing, SignedIn, TheConsole, allowed
from hub.web.context import Console
from hub.web.files import sent
from hub.web.frame import shown
from hub.web.permissions import Permission
from hub.web.problem import Problem
from hub.web.sessions import Session

router = APIRouter(include_in_schema=False)

_SEES = [Depends(allowed(Permission.SEE_TURNS))]


@router.post("/presencia", dependencies=[Depends(allowed(Permission.KEEP_ROOM))])
async def beat(console: TheConsole, session: Changing) -> Response:
    """A console that somebody sits at; sent every minute while its page is looked at."""
    now = console.now()
    if console.beats.is_new(session.session_id, "", now):
        await notify.room_heartbeat(console.pool, session.user.login, now)
    return Response(status_code=204)


@router.post("/turnos/central", dependencies=[Depends(allowed(Permission.WATCH_ROOM))])
async def watch(console: TheConsole, session: Changing, vigilar: Annotated[bool, Form()]) -> Response:
    now = console.now()
    await notify.watch_room(console.pool, now, is_on=vigilar)
    await audit.record(
        console.pool, now, session.user.login, audit.Action.ROOM_WATCHED, "", "on" if vigilar else "off"
    )
    return RedirectResponse("/turnos", status_code=303)


async def _page(
    console: Console, session: Session, problems: list[str], done: str = "", status: int = 200
) -> Response:
    called = {t.name for t in targets_of(console.policies().policies) if t.who is Who.ON_CALL}
    names = sorted(called.union(await calendars.calendar_names(console.pool)))
    values = {
        "section": "turnos",
        "calendars": sorted(
            [await roster.load(console, name) for name in names], key=lambda found: found.is_empty
        ),
        "watch": await notify.watch_of(console.pool),
        "problems": problems,
        "done": done,
    }
    return await shown(console, session, "turns.html", values, status)


@router.get("/turnos", dependencies=_SEES)
async def turns_page(console: TheConsole, session: SignedIn) -> Response:
    if console.reads.is_new(session.session_id, "turnos", console.now()):
        await audit.record(console.pool, console.now(), session.user.login, audit.Action.TURNS_READ)
    return await _page(console, session, [])


@router.get("/turnos/{calendar}.ics", dependencies=_SEES)
async def export(console: TheConsole, session: SignedIn, calendar: str) -> Response:
    if calendar not in await calendars.calendar_names(console.pool):
        raise Problem(404, "Ese calendario no existe.")
    await audit.record(
        console.pool, console.now(), session.user.login, audit.Action.TURNS_READ, calendar, "exported"
    )
    text = await calendars.export_ics(console.pool, calendar, console.now())
    return sent(text, "text/calendar; charset=utf-8", f"{calendar}.ics")


@router.post("/turnos", dependencies=[Depends(allowed(Permission.CHANGE_TURNS))])
async def import_calendar(
    console: TheConsole,
    session: Changing,
    archivo: Annotated[UploadFile, File()],
    calendario: Annotated[str, Form(max_length=40)] = "",
) -> Response:
    text = (await archivo.read()).decode("utf-8", "replace")
    name = calendario.strip()
    try:
        report = await calendars.import_ics(console.pool, name, text, session.user.login)
    except calendars.CalendarError as error:
        return await _page(console, session, [f"{str(error).capitalize()}."], status=422)
    problems = calendar_file.problem_lines(report.problems)
    if not report.turns:
        return await _page(console, session, ["No se cambió nada.", *problems], status=422)
    await audit.record(
        console.pool, console.now(), session.user.login, audit.Action.TURNS_IMPORTED, name, str(report.turns)
    )
    return await _page(console, session, problems, f"Calendario {name}: {report.turns} turnos guardados.")
