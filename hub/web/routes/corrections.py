"""An inspection mended at the desk, withdrawn or put back: the page, and what it sends."""

from datetime import date
from typing import Annotated

from fastapi import APIRouter, Depends, Form, Path
from pydantic import BaseModel, Field
from starlette.responses import Response

from hub.operations import correcting
from hub.operations.correcting import Correction
from hub.operations.model import Infringement, Inspection, OperationError
from hub.operations.words import PERMITS, RESULTS
from hub.web.auth import Changing, SignedIn, TheConsole, allowed
from hub.web.context import Console
from hub.web.frame import shown
from hub.web.operations import Folio, Text, Words, changed, padded
from hub.web.permissions import Permission
from hub.web.problem import Problem, sentence
from hub.web.sessions import Session

router = APIRouter(prefix="/operativos", include_in_schema=False)

_RECORDS = [Depends(allowed(Permission.RECORD_INSPECTIONS))]
_Inspection = Annotated[str, Path(max_length=60, pattern=r"^[\w-]+$")]
ROWS = 3


class CorrectionForm(BaseModel):
    rubro: Text = ""
    permiso: str = Field("", max_length=20)
    folio_permiso: str = Field("", max_length=40)
    resultado: str = Field("", max_length=20)
    nota: str = Field("", max_length=2000)
    norma: Words
    parte: Words
    juzgado: Words
    audiencia: Words
    motivo: Text = ""

    @property
    def rows(self) -> list[tuple[str, ...]]:
        return padded(self.norma, self.parte, self.juzgado, self.audiencia, least=ROWS)


def _form_of(one: Inspection, permit_folio: str) -> CorrectionForm:
    return CorrectionForm(
        rubro=one.trade,
        permiso=one.permit_state,
        folio_permiso=permit_folio,
        resultado=one.result,
        nota=one.note,
        norma=[fine.rule for fine in one.infringements],
        parte=[fine.ticket_folio for fine in one.infringements],
        juzgado=[fine.court for fine in one.infringements],
        audiencia=[fine.hearing_on.isoformat() if fine.hearing_on else "" for fine in one.infringements],
    )


def _correction(form: CorrectionForm) -> Correction:
    """Raises :class:`OperationError`."""
    fines = []
    for rule, ticket, court, day in form.rows:
        words = [word.strip() for word in (rule, ticket, court, day)]
        if not any(words):
            continue
        try:
            hearing = date.fromisoformat(words[3]) if words[3] else None
        except ValueError:
            raise OperationError(f"«{words[3]}» no es una fecha AAAA-MM-DD") from None
        fines.append(Infringement(rule=words[0], ticket_folio=words[1], court=words[2], hearing_on=hearing))
    return Correction(
        trade=form.rubro.strip(),
        permit_state=form.permiso,
        permit_folio=form.folio_permiso.strip(),
        result=form.resultado,
        note=form.nota.strip(),
        infringements=fines,
        reason=form.motivo,
    )


async def _page(
    console: Console,
    session: Session,
    folio: str,
    inspection: str,
    form: CorrectionForm | None = None,
    error: str = "",
) -> Response:
    try:
        one, permit = await correcting.find(console.pool, folio, inspection)
    except OperationError as gone:
        raise Problem(404, sentence(gone)) from gone
    values = {
        "section": "operativos",
        "folio": folio,
        "inspection": one,
        "form": form or _form_of(one, permit),
        "permits": PERMITS,
        "results": RESULTS,
        "error": error,
    }
    return await shown(console, session, "inspection_correct.html", values, 422 if error else 200)


class ReasonForm(BaseModel):
    motivo: Text = ""


@router.get("/{folio}/fiscalizaciones/{inspection}/corregir", dependencies=_RECORDS)
async def page(console: TheConsole, session: SignedIn, folio: Folio, inspection: _Inspection) -> Response:
    return await _page(console, session, folio, inspection)


@router.post("/{folio}/fiscalizaciones/{inspection}/corregir", dependencies=_RECORDS)
async def correct(
    console: TheConsole,
    session: Changing,
    folio: Folio,
    inspection: _Inspection,
    form: Annotated[CorrectionForm, Form()],
) -> Response:
    now, login = console.now(), session.user.login
    try:
        await correcting.correct(console.pool, folio, inspection, _correction(form), author=login, now=now)
    except OperationError as error:
        return await _page(console, session, folio, inspection, form, sentence(error))
    return await changed(console, session, folio, f"correct {inspection}")


@router.post("/{folio}/fiscalizaciones/{inspection}/retirar", dependencies=_RECORDS)
async def withdraw(
    console: TheConsole,
    session: Changing,
    folio: Folio,
    inspection: _Inspection,
    form: Annotated[ReasonForm, Form()],
) -> Response:
    now, login = console.now(), session.user.login
    try:
        await correcting.withdraw(console.pool, folio, inspection, form.motivo, author=login, now=now)
    except OperationError as error:
        return await _page(console, session, folio, inspection, error=sentence(error))
    return await changed(console, session, folio, f"withdraw {inspection}")


@router.post("/{folio}/fiscalizaciones/{inspection}/reponer", dependencies=_RECORDS)
async def restore(
    console: TheConsole,
    session: Changing,
    folio: Folio,
    inspection: _Inspection,
    form: Annotated[ReasonForm, Form()],
) -> Response:
    now, login = console.now(), session.user.login
    try:
        await correcting.restore(console.pool, folio, inspection, form.motivo, author=login, now=now)
    except OperationError as error:
        raise Problem(422, sentence(error)) from error
    return await changed(console, session, folio, f"restore {inspection}")
