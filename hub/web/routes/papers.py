"""Documents: the list, one being made, and each as page, PDF, spreadsheet, CSV and JSON."""

from typing import Annotated

from fastapi import APIRouter, Depends, Form, Path, Query
from starlette.responses import RedirectResponse, Response

from hub.papers import service
from hub.papers.desk import PaperError
from hub.papers.kinds import KINDS
from hub.papers.making import Workshop
from hub.papers.paper import Chart, Paper, encode
from hub.papers.paper import shown as cell_text
from hub.papers.pdf import as_pdf
from hub.papers.service import Kept
from hub.papers.sheet import as_csv, as_xlsx, tables
from hub.papers.words import footer_of
from hub.web import audit
from hub.web.auth import Changing, SignedIn, TheConsole, allowed
from hub.web.context import Console
from hub.web.files import CSV, PDF, sent
from hub.web.frame import shown
from hub.web.permissions import Permission
from hub.web.problem import Problem
from hub.web.sessions import Session

router = APIRouter(prefix="/documentos", include_in_schema=False)

_SEES = [Depends(allowed(Permission.SEE_PAPERS))]
_MAKES = [Depends(allowed(Permission.MAKE_PAPERS))]
_Number = Annotated[int, Path(ge=1, le=2**62)]
_Index = Annotated[int, Path(ge=1, le=500)]

XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


def _workshop(console: Console) -> Workshop:
    if console.workshop is None:
        raise Problem(503, "Esta consola no prepara documentos.")
    return console.workshop


async def _find(console: Console, session: Session, number: int) -> tuple[Kept, Paper]:
    try:
        found = await service.find(console.pool, number)
    except PaperError as error:
        raise Problem(404, f"{str(error).capitalize()}.") from error
    now = console.now()
    if console.reads.is_new(session.session_id, f"paper:{number}", now):
        await audit.record(
            console.pool, now, session.user.login, audit.Action.PAPER_READ, str(number), found[0].kind
        )
    return found


async def _list(
    console: Console, session: Session, before: int | None = None, error: str = "", status: int = 200
) -> Response:
    papers = await service.kept(console.pool, before)
    values = {
        "section": "documentos",
        "kinds": KINDS.values(),
        "papers": papers,
        "going": console.workshop.going() if console.workshop else [],
        "first_page": "/documentos" if before else "",
        "next_page": f"/documentos?antes={papers[-1].paper_id}" if len(papers) == service.PAGE else "",
        "error": error,
    }
    return await shown(console, session, "papers.html", values, status)


@router.get("", dependencies=_SEES)
async def listed(
    console: TheConsole, session: SignedIn, antes: Annotated[int | None, Query(ge=1, le=2**62)] = None
) -> Response:
    return await _list(console, session, antes)


@router.post("", dependencies=_MAKES)
async def ask(
    console: TheConsole,
    session: Changing,
    documento: Annotated[str, Form(max_length=40)],
    de: Annotated[str, Form(max_length=40)] = "",
) -> Response:
    try:
        job = _workshop(console).ask(documento, de.strip(), session.user.login)
    except PaperError as error:
        return await _list(console, session, error=f"{str(error).capitalize()}.", status=422)
    login = session.user.login
    what = f"{job.kind.id} {job.subject.label}"
    await audit.record(console.pool, console.now(), login, audit.Action.PAPER_ASKED, "", what)
    return RedirectResponse(f"/documentos/preparando/{job.job_id}", status_code=303)


async def _making(console: Console, session: Session, job_id: str, template: str) -> Response:
    job = _workshop(console).get(job_id)
    if job is None:
        raise Problem(404, "Ese pedido ya no está: el hub se reinició. Pida el documento de nuevo.")
    return await shown(console, session, template, {"section": "documentos", "job": job})


@router.get("/preparando/{job_id}", dependencies=_SEES)
async def making(console: TheConsole, session: SignedIn, job_id: str) -> Response:
    return await _making(console, session, job_id, "paper_making.html")


@router.get("/preparando/{job_id}/avance", dependencies=_SEES)
async def making_fragment(console: TheConsole, session: SignedIn, job_id: str) -> Response:
    return await _making(console, session, job_id, "fragments/paper_making.html")


@router.get("/{number}", dependencies=_SEES)
async def page(console: TheConsole, session: SignedIn, number: _Number) -> Response:
    kept, paper = await _find(console, session, number)
    values = {
        "section": "documentos",
        "kept": kept,
        "paper": paper,
        "footer": footer_of(paper),
        "cell_text": cell_text,
    }
    return await shown(console, session, "paper.html", values)


@router.get("/{number}/grafico/{index}.svg", dependencies=_SEES)
async def chart(console: TheConsole, session: SignedIn, number: _Number, index: _Index) -> Response:
    """The n-th chart of a document, counted from 1."""
    _, paper = await _find(console, session, number)
    drawn = [block for block in paper.blocks if isinstance(block, Chart)]
    if index > len(drawn):
        raise Problem(404)
    return Response(drawn[index - 1].svg, media_type="image/svg+xml")


@router.get("/{number}/pdf", dependencies=_SEES)
async def pdf(console: TheConsole, session: SignedIn, number: _Number) -> Response:
    kept, paper = await _find(console, session, number)
    return sent(await as_pdf(paper), PDF, f"{_stem(kept)}.pdf", how="inline")


@router.get("/{number}/xlsx", dependencies=_SEES)
async def xlsx(console: TheConsole, session: SignedIn, number: _Number) -> Response:
    kept, paper = await _find(console, session, number)
    return sent(as_xlsx(paper), XLSX, f"{_stem(kept)}.xlsx")


@router.get("/{number}/json", dependencies=_SEES)
async def json(console: TheConsole, session: SignedIn, number: _Number) -> Response:
    kept, paper = await _find(console, session, number)
    return sent(encode(paper), "application/json", f"{_stem(kept)}.json")


@router.get("/{number}/csv/{index}", dependencies=_SEES)
async def csv(console: TheConsole, session: SignedIn, number: _Number, index: _Index) -> Response:
    """The n-th table of a document, counted from 1."""
    kept, paper = await _find(console, session, number)
    found = tables(paper)
    if index > len(found):
        raise Problem(404)
    text = as_csv(found[index - 1])
    return sent(text, CSV, f"{_stem(kept)}-{index}.csv")


def _stem(kept: Kept) -> str:
    subject = "".join(sign if sign.isalnum() or sign in "-_" else "-" for sign in kept.subject)
    return f"{kept.kind}-{subject}-{kept.paper_id}"
