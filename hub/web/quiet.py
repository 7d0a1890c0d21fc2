"""Silences as the room sees and makes them: scope in words, ends that are near, who may, what is recorded."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from pydantic import BaseModel, Field

from hub.alerts import service as alerts
from hub.alerts.silences import Sort
from hub.devices import service as devices
from hub.web import audit, texts
from hub.web.context import Console
from hub.web.fleet import without_secrets
from hub.web.problem import Problem
from hub.web.sessions import Session

SORTS: dict[str, str] = {
    Sort.SILENCE: "Silencio",
    Sort.MAINTENANCE: "Mantención",
    Sort.DRILL: "Simulacro",
}
LENGTHS: dict[str, str] = {
    "1": "1 hora",
    "4": "4 horas",
    "8": "8 horas",
    "24": "1 día",
    "72": "3 días",
    "168": "1 semana",
}
"""Hours from the start, and what they are called; for another end there is a field."""
SOON = timedelta(hours=12)


@dataclass(frozen=True, kw_only=True, slots=True)
class SilenceView:
    """``state``: ``coming``, ``on`` or ``ending`` (within :data:`SOON`)."""

    silence_id: int
    sort_label: str
    scope: str
    author: str
    reason: str
    starts_at: datetime
    ends_at: datetime
    held_back: int
    last_held_at: datetime | None
    state: str


class SilenceForm(BaseModel):
    """The words of the form, as they were sent."""

    clase: Sort = Sort.SILENCE
    dispositivo: str = Field("", max_length=200)
    equipo: str = Field("", max_length=120)
    tipo: str = Field("", max_length=64)
    sector: str = Field("", max_length=80)
    desde: str = Field("", max_length=32)
    horas: str = Field("", max_length=4)
    hasta: str = Field("", max_length=32)
    motivo: str = Field("", max_length=500)


async def list_views(console: Console, silences: list[alerts.Silence]) -> list[SilenceView]:
    """As people read them; a silent button is named by its number alone."""
    now = console.now()
    names = await _names(console, {s.device_id for s in silences if s.device_id is not None})
    return [
        SilenceView(
            silence_id=silence.silence_id,
            sort_label=SORTS[silence.sort],
            scope=_scope(silence, names),
            author=silence.author,
            reason=silence.reason,
            starts_at=silence.starts_at,
            ends_at=silence.ends_at,
            held_back=silence.held_back,
            last_held_at=silence.last_held_at,
            state=_state(silence, now),
        )
        for silence in silences
    ]


def _state(silence: alerts.Silence, now: datetime) -> str:
    if silence.starts_at > now:
        return "coming"
    return "ending" if silence.ends_at <= now + SOON else "on"


def _scope(silence: alerts.Silence, names: dict[int, str]) -> str:
    parts = []
    if silence.device_id is not None:
        parts.append(names.get(silence.device_id, f"dispositivo {silence.device_id}"))
    if silence.gateway:
        parts.append(f"equipo {silence.gateway}")
    if silence.kind:
        parts.append(f"«{texts.named(texts.KINDS, silence.kind)}»")
    if silence.sector:
        parts.append(f"sector {silence.sector}")
    return ", ".join(parts)


async def _names(console: Console, ids: set[int]) -> dict[int, str]:
    rows = await devices.list_some(console.pool, sorted(ids), now=console.now())
    shown = [without_secrets(row) for row in rows]
    return {row.device_id: row.name or row.place or row.source for row in shown}


# ------------------------------------------------------------------------------------------ making


async def make(console: Console, session: Session, form: SilenceForm) -> None:
    """Raises :class:`Problem` 422 that says what to do, and then nothing changed."""
    now = console.now()
    starts_at = _instant(console, "desde", form.desde) or now
    device_id = await _device_id(console, form.dispositivo.strip()) if form.dispositivo.strip() else None
    if form.tipo and form.tipo not in texts.KINDS:
        raise Problem(422, "Ese tipo de alerta no existe.", {"tipo": "elija uno de la lista"})
    try:
        silence_id = await alerts.create_silence(
            console.pool,
            sort=form.clase,
            author=session.user.login,
            reason=form.motivo,
            starts_at=starts_at,
            ends_at=_end(console, form, starts_at),
            now=now,
            device_id=device_id,
            gateway=form.equipo.strip() or None,
            kind=form.tipo or None,
            sector=form.sector.strip() or None,
        )
    except alerts.SilenceError as error:
        raise Problem(422, str(error)) from None
    await audit.record(
        console.pool, now, session.user.login, audit.Action.SILENCE_MADE, str(silence_id), form.clase.value
    )


async def end(console: Console, session: Session, silence_id: int) -> None:
    now = console.now()
    try:
        await alerts.end_silence(console.pool, silence_id, session.user.login, now)
    except alerts.SilenceError as error:
        raise Problem(404, str(error)) from None
    await audit.record(console.pool, now, session.user.login, audit.Action.SILENCE_ENDED, str(silence_id))


def _end(console: Console, form: SilenceForm, starts_at: datetime) -> datetime:
    if ends_at := _instant(console, "hasta", form.hasta):
        return ends_at
    if form.horas not in LENGTHS:
        raise Problem(422, "Diga hasta cuándo.", {"horas": "elija un plazo o escriba el término"})
    return starts_at + timedelta(hours=int(form.horas))


def _instant(console: Console, field: str, text: str) -> datetime | None:
    if not text:
        return None
    try:
        return console.wall.instant(text)
    except ValueError:
        raise Problem(
            422, "La fecha y hora van como AAAA-MM-DD HH:MM.", {field: "no es fecha y hora"}
        ) from None


async def _device_id(console: Console, text: str) -> int:
    """People name a device by its source or by a name that only one has."""
    found = await devices.find_named(console.pool, text)
    if len(found) == 1:
        return found[0]
    what = "Hay varios dispositivos con ese nombre" if found else "No hay un dispositivo con ese nombre"
    raise Problem(
        422,
        f"{what}. Use el identificador que aparece en Dispositivos.",
        {"dispositivo": "no se sabe cuál es"},
    )
