"""Rounds as the console shows and plans them."""

import uuid
from dataclasses import dataclass
from datetime import datetime

from pydantic import BaseModel, Field

from hub.fieldwork import patrols
from hub.fieldwork.errors import FieldError
from hub.fieldwork.patrols import Proven
from hub.web import audit
from hub.web.context import Console
from hub.web.problem import Problem
from hub.web.sessions import Session

WAYS: dict[str, str] = {"qr": "QR", "code": "código escrito", "position": "posición"}


class RoundForm(BaseModel):
    """The words of the form, as they were sent."""

    nombre: str = Field("", max_length=120)
    institucion: str = Field("DSP", max_length=80)
    desde: str = Field("", max_length=32)
    hasta: str = Field("", max_length=32)
    minutos: str = Field("60", max_length=4)
    punto: list[str] = Field(default_factory=list, max_length=200)


class PointForm(BaseModel):
    nombre: str = Field("", max_length=120)
    sector: str = Field("", max_length=80)
    latitud: str = Field("", max_length=24)
    longitud: str = Field("", max_length=24)
    radio: str = Field("60", max_length=5)


@dataclass(frozen=True, slots=True)
class RoundLine:
    """A round with its share in words, and how it stands: coming, on, whole, gaps, cancelled."""

    proven: Proven
    state: str
    state_label: str


_LABELS = {
    "coming": "Por empezar",
    "on": "En curso",
    "whole": "Comprobada",
    "gaps": "Con vacíos",
    "none": "Sin marcas",
    "cancelled": "Suspendida",
}


def line_of(one: Proven, now: datetime) -> RoundLine:
    """Pure. A round is whole when every point was proven and no gap is longer than it allows."""
    round_, proof = one.round, one.proof
    if round_.cancelled_at is not None:
        state = "cancelled"
    elif now < round_.starts_at:
        state = "coming"
    elif now < round_.ends_at:
        state = "on"
    elif proof.proven == len(proof.visits) and not proof.gaps:
        state = "whole"
    else:
        state = "gaps" if any(visit.checkins for visit in proof.visits) else "none"
    return RoundLine(one, state, _LABELS[state])


async def load(console: Console, round_id: uuid.UUID) -> RoundLine:
    """Raises :class:`Problem` 404."""
    round_ = await patrols.find_round(console.pool, round_id)
    if round_ is None:
        raise Problem(404, "Esa ronda no existe.")
    (proven,) = await patrols.proofs(console.pool, [round_], console.now())
    return line_of(proven, console.now())


async def plan(console: Console, session: Session, form: RoundForm) -> uuid.UUID:
    """Raises :class:`Problem` 422 with what to mend."""
    try:
        starts_at, ends_at = console.wall.instant(form.desde), console.wall.instant(form.hasta)
        minutes = int(form.minutos)
    except ValueError:
        raise Problem(422, "Escriba desde y hasta con fecha y hora, y los minutos como número.") from None
    now = console.now()
    try:
        round_id = await patrols.plan_round(
            console.pool,
            name=form.nombre,
            institution=form.institucion,
            starts_at=starts_at,
            ends_at=ends_at,
            max_gap_s=minutes * 60,
            codes=form.punto,
            author=session.user.login,
            now=now,
        )
    except FieldError as error:
        raise Problem(422, str(error)) from error
    await audit.record(console.pool, now, session.user.login, audit.Action.ROUND_PLANNED, str(round_id))
    return round_id


async def add_point(console: Console, session: Session, form: PointForm) -> None:
    """Raises :class:`Problem` 422 with what to mend."""
    try:
        latitude, longitude = (float(text.replace(",", ".")) for text in (form.latitud, form.longitud))
        radius_m = int(form.radio)
    except ValueError:
        raise Problem(
            422, "Latitud y longitud van en grados, por ejemplo -34,3900; el radio en metros."
        ) from None
    now = console.now()
    try:
        point = await patrols.add_checkpoint(
            console.pool,
            name=form.nombre,
            sector=form.sector,
            latitude=latitude,
            longitude=longitude,
            radius_m=radius_m,
            author=session.user.login,
            now=now,
        )
    except FieldError as error:
        raise Problem(422, str(error)) from error
    await audit.record(console.pool, now, session.user.login, audit.Action.CHECKPOINT_MADE, point.code)
