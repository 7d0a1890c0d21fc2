"""The next version of the plan, worked at in the console: its parts as forms, judged, told and approved."""

import hashlib
from datetime import date
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form, Path, Request, UploadFile
from starlette.responses import RedirectResponse, Response

from hub.plan import drafting, drafts, versions
from hub.plan.difference import differences
from hub.plan.drafting import KINDS, Document, Part
from hub.plan.drafts import Draft
from hub.plan.errors import PlanError
from hub.plan.measures import VOCABULARY
from hub.privacy import names_a_person
from hub.web import audit
from hub.web.auth import Changing, SignedIn, TheConsole, allowed
from hub.web.context import Console
from hub.web.files import sent
from hub.web.frame import shown
from hub.web.permissions import Permission
from hub.web.problem import Problem, sentence
from hub.web.sessions import Session

router = APIRouter(prefix="/plan", include_in_schema=False)

_SEES = [Depends(allowed(Permission.SEE_PLAN))]
_CHANGES = [Depends(allowed(Permission.CHANGE_PLAN))]
_Part = Annotated[str, Path(max_length=63)]
MAX_CHARS = 2000
MAX_FIELDS = 60
_Version = Annotated[int, Form(ge=1)]


@router.get("/exportar.yaml", dependencies=_SEES)
async def export(console: TheConsole, session: SignedIn) -> Response:
    """The plan in force as its file, which loads again as the same plan."""
    version = await versions.current(console.pool, console.topics(), console.now())
    if version is None:
        raise Problem(404, "No hay un plan vigente.")
    now, login = console.now(), session.user.login
    await audit.record(console.pool, now, login, audit.Action.PLAN_READ, f"{version.plan.id}.yaml")
    return sent(version.content, "application/yaml", f"{version.plan.id}.yaml")


@router.post("/evidencia", dependencies=_CHANGES)
async def evidence(
    console: TheConsole,
    session: Changing,
    actividad: Annotated[str, Form(max_length=63)],
    fecha: Annotated[date, Form()],
    nota: Annotated[str, Form(max_length=600)] = "",
    archivo: UploadFile | None = None,
) -> Response:
    """What proves that an activity was done; of a file its name and SHA-256 are kept, not the file."""
    now, login = console.now(), session.user.login
    version = await versions.current(console.pool, console.topics(), now)
    if version is None:
        raise Problem(404, "No hay un plan vigente.")
    note = " ".join(nota.split())
    if not note or names_a_person(note):
        raise Problem(422, "Diga qué prueba, sin nombres ni RUT.")
    name, sha256 = "", ""
    if archivo is not None and archivo.filename:
        name, sha256 = archivo.filename[:200], hashlib.sha256(await archivo.read()).hexdigest()
    proof = versions.Evidence(actividad, fecha, note, name, sha256, login)
    try:
        await versions.add_evidence(console.pool, version.plan, proof, now)
    except PlanError as error:
        raise Problem(422, sentence(error)) from error
    await audit.record(console.pool, now, login, audit.Action.PLAN_CHANGED, actividad, "evidence")
    return RedirectResponse("/plan", status_code=303)


async def _draft(console: Console) -> Draft:
    draft = await drafts.current(console.pool)
    if draft is None:
        raise Problem(404, "No hay un borrador del plan; empiece uno.")
    return draft


def _years(document: Document) -> list[int]:
    """Of the plan's days, where they can be read."""
    try:
        first, last = (date.fromisoformat(day).year for day in document["plan"]["vigencia"])
    except (KeyError, TypeError, ValueError):
        return []
    return list(range(first, min(last, first + 5) + 1))


@router.get("/editar", dependencies=_CHANGES)
async def page(console: TheConsole, session: SignedIn) -> Response:
    return await _page(console, session)


async def _page(console: Console, session: Session, error: str = "") -> Response:
    draft = await drafts.current(console.pool)
    values: dict[str, Any] = {"section": "plan", "draft": draft, "kinds": KINDS, "error": error}
    in_force = await versions.current(console.pool, console.topics(), console.now())
    values["in_force"] = in_force
    if draft is not None:
        document = drafting.read(draft.content)
        plan, problems = drafting.judge(draft.content, console.topics())
        values |= {
            "tree": drafting.tree(document),
            "problems": problems,
            "changes": differences(in_force.plan, plan) if in_force and plan else [],
            "update": document["plan"].get("actualizacion", ""),
        }
    return await shown(console, session, "plan_edit.html", values, 422 if error else 200)


async def _done(console: Console, session: Session, what: str, part: str = "") -> Response:
    """The change is on record; the person goes on with the list, or with the part."""
    login = session.user.login
    await audit.record(console.pool, console.now(), login, audit.Action.PLAN_CHANGED, "borrador", what)
    return RedirectResponse(f"/plan/editar/{part}".rstrip("/"), status_code=303)


@router.post("/editar", dependencies=_CHANGES)
async def start(console: TheConsole, session: Changing) -> Response:
    await drafts.start(console.pool, console.topics(), author=session.user.login, now=console.now())
    return await _done(console, session, "start")


@router.post("/editar/descartar", dependencies=_CHANGES)
async def discard(console: TheConsole, session: Changing) -> Response:
    await drafts.discard(console.pool)
    return await _done(console, session, "discard")


@router.post("/editar/aprobar", dependencies=_CHANGES)
async def approve(console: TheConsole, session: Changing, version: _Version) -> Response:
    now, login = console.now(), session.user.login
    try:
        plan = await drafts.approve(console.pool, console.topics(), version=version, author=login, now=now)
    except PlanError as error:
        return await _page(console, session, sentence(error))
    what = f"{plan.id} actualización {plan.update}"
    await audit.record(console.pool, now, login, audit.Action.PLAN_CHANGED, plan.id, what)
    return RedirectResponse("/plan", status_code=303)


@router.post("/editar/archivo", dependencies=_CHANGES)
async def upload(console: TheConsole, session: Changing, version: _Version, archivo: UploadFile) -> Response:
    """A whole plan as YAML takes the draft's place."""
    content = await archivo.read()
    try:
        document = drafting.read(content.decode("utf-8"))
        await _save(console, session, document, version)
    except UnicodeDecodeError:
        return await _page(console, session, "El archivo no es texto UTF-8; guárdelo así y súbalo de nuevo.")
    except PlanError as error:
        return await _page(console, session, sentence(error))
    return await _done(console, session, "file")


async def _save(console: Console, session: Session, document: Document, version: int) -> None:
    """Raises :class:`PlanError`."""
    text = drafting.write(document)
    await drafts.save(console.pool, text, version=version, author=session.user.login, now=console.now())


@router.post("/editar/agregar", dependencies=_CHANGES)
async def add(
    console: TheConsole,
    session: Changing,
    version: _Version,
    en: Annotated[str, Form(max_length=63)],
    tipo: Annotated[str, Form(max_length=20)],
    codigo: Annotated[str, Form(max_length=63)] = "",
) -> Response:
    document = drafting.read((await _draft(console)).content)
    try:
        drafting.add(document, en, tipo, codigo)
        await _save(console, session, document, version)
    except PlanError as error:
        return await _page(console, session, sentence(error))
    return await _done(console, session, f"add {codigo.strip()}", codigo.strip())


@router.get("/editar/{part}", dependencies=_CHANGES)
async def part_page(console: TheConsole, session: SignedIn, part: _Part) -> Response:
    draft = await _draft(console)
    document = drafting.read(draft.content)
    try:
        found = drafting.find(document, part)
    except PlanError as error:
        raise Problem(404, sentence(error)) from error
    return await _part_page(console, session, draft, document, found)


async def _part_page(
    console: Console,
    session: Session,
    draft: Draft,
    document: Document,
    found: Part,
    sent: dict[str, str] | None = None,
    error: str = "",
) -> Response:
    years = _years(document)
    values = {
        "section": "plan",
        "draft": draft,
        "part": found,
        "kind": KINDS[found.kind],
        "fields": drafting.fields_of(found.kind, years),
        "values": sent or drafting.flat(found, years),
        "topics": console.topics().names,
        "measures": VOCABULARY.values() if found.kind == "indicador" else (),
        "problems": [
            text
            for text in drafting.judge(draft.content, console.topics())[1]
            if text.startswith(f"{found.kind} {found.id}:")
        ],
        "error": error,
    }
    return await shown(console, session, "plan_part.html", values, 422 if error else 200)


@router.post("/editar/{part}", dependencies=_CHANGES)
async def change(request: Request, console: TheConsole, session: Changing, part: _Part) -> Response:
    form = await request.form()
    sent: dict[str, str] = {}
    for key, value in form.multi_items():
        if not isinstance(value, str) or len(value) > MAX_CHARS:
            raise Problem(422, f"Un campo pasa de {MAX_CHARS} caracteres; acórtelo.")
        if len(sent) < MAX_FIELDS:
            sent[key] = f"{sent[key]},{value}" if key in sent else value
    draft = await _draft(console)
    document = drafting.read(draft.content)
    try:
        version = int(sent.get("version", "0"))
        found = drafting.find(document, part)
        drafting.change(document, part, sent, _years(document))
        await _save(console, session, document, version)
    except ValueError:
        raise Problem(422) from None
    except PlanError as error:
        if "el borrador no tiene" in str(error):
            raise Problem(404, sentence(error)) from error
        return await _part_page(console, session, draft, document, found, sent, sentence(error))
    return await _done(console, session, f"change {part}")


@router.post("/editar/{part}/quitar", dependencies=_CHANGES)
async def remove(console: TheConsole, session: Changing, part: _Part, version: _Version) -> Response:
    document = drafting.read((await _draft(console)).content)
    try:
        drafting.remove(document, part)
        await _save(console, session, document, version)
    except PlanError as error:
        return await _page(console, session, sentence(error))
    return await _done(console, session, f"remove {part}")
