"""Sessions of the council and of the committee: who was there by seat, and the acta that is approved."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from hub.database import Connection, Pool
from hub.plan.periods import SANTIAGO
from hub.registers.catalogue import AGREEMENTS, SESSIONS
from hub.registers.model import RegisterError
from hub.registers.service import Entry, find, listed

Executor = Pool | Connection

SEATS: Mapping[str, Sequence[str]] = {
    "council": (
        "Alcaldía (preside)",
        "Concejo municipal 1",
        "Concejo municipal 2",
        "Delegación Presidencial",
        "Carabineros",
        "PDI",
        "Ministerio Público",
        "Consejo de la sociedad civil 1",
        "Consejo de la sociedad civil 2",
        "Dirección de Seguridad Pública (secretaría ejecutiva)",
        "Gendarmería",
        "Servicio de reinserción o protección de la niñez",
        "SENDA",
    ),
    "committee": (
        "Alcaldía (preside)",
        "Dirección de Seguridad Pública",
        "Carabineros",
        "PDI",
        "Ministerio Público",
    ),
}
"""Suggested seats (Ley 18.695 art. 104 B, Ley 21.802); a session keeps those that were in it."""
QUORUM = 0.5
"""More than this share of the seats makes a quorum."""


@dataclass(frozen=True, slots=True)
class Seat:
    seat: str
    is_present: bool
    is_substitute: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Sitting:
    """A session with its seats and agreements; ``acta_text`` is what was approved, else empty."""

    entry: Entry
    seats: Sequence[Seat]
    agreements: Sequence[Entry]
    approved_on: date | None
    acta_text: str
    acta_sha256: str

    @property
    def present(self) -> int:
        return sum(seat.is_present for seat in self.seats)

    @property
    def has_quorum(self) -> bool:
        return bool(self.seats) and self.present > QUORUM * len(self.seats)

    @property
    def is_approved(self) -> bool:
        return self.approved_on is not None


async def sitting(executor: Executor, folio: str) -> Sitting:
    """Raises :class:`RegisterError`."""
    entry = await find(executor, SESSIONS, folio)
    row: Any = await executor.fetchrow(
        "select approved_on, acta_text, acta_sha256 from council_sessions where folio = $1", folio
    )
    seats = await executor.fetch(
        "select seat, is_present, is_substitute from council_attendance where folio = $1 order by seat", folio
    )
    return Sitting(
        entry=entry,
        seats=[Seat(**dict(seat)) for seat in seats],
        agreements=await listed(executor, AGREEMENTS, only={"session": folio}, limit=200),
        approved_on=row["approved_on"],
        acta_text=row["acta_text"],
        acta_sha256=row["acta_sha256"],
    )


def seats_of(found: Sitting) -> list[Seat]:
    """Those that were noted, then those that its body suggests. Pure."""
    noted = {seat.seat: seat for seat in found.seats}
    suggested = SEATS[found.entry.values["body"]]
    order = [
        *(name for name in suggested if name in noted or not noted),
        *sorted(noted.keys() - set(suggested)),
    ]
    return [noted.get(name, Seat(name, is_present=False, is_substitute=False)) for name in order]


async def attend(pool: Pool, folio: str, seats: Sequence[Seat], *, author: str, now: datetime) -> None:
    """Note who was there; replaces what was noted. Raises :class:`RegisterError`."""
    if not seats:
        raise RegisterError("anote al menos un asiento")
    names = [seat.seat for seat in seats]
    if len(set(names)) < len(names):
        raise RegisterError("un asiento está dos veces; deje uno")
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("select from council_sessions where folio = $1 for update", folio)
        found = await sitting(connection, folio)
        check_open(found)
        await connection.execute("delete from council_attendance where folio = $1", folio)
        await connection.executemany(
            "insert into council_attendance (folio, seat, is_present, is_substitute, recorded_at)"
            " values ($1, $2, $3, $4, $5)",
            [(folio, seat.seat, seat.is_present, seat.is_substitute, now) for seat in seats],
        )
        await connection.execute(
            "update council_sessions set state = 'held', version = version + 1 where folio = $1", folio
        )
        await _log(connection, folio, author, now, f"{sum(s.is_present for s in seats)} de {len(seats)}")


async def approve(pool: Pool, folio: str, *, author: str, now: datetime) -> str:
    """Fix the acta as it stands; its SHA-256. Raises :class:`RegisterError`."""
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("select from council_sessions where folio = $1 for update", folio)
        found = await sitting(connection, folio)
        check_open(found)
        if not found.seats:
            raise RegisterError("antes anote la asistencia")
        if not found.entry.values["minutes"]:
            raise RegisterError("antes escriba el desarrollo de la sesión")
        text = acta(found)
        sha256 = hashlib.sha256(text.encode()).hexdigest()
        await connection.execute(
            "update council_sessions set approved_on = $2, acta_text = $3, acta_sha256 = $4,"
            " version = version + 1 where folio = $1",
            *(folio, now.astimezone(SANTIAGO).date(), text, sha256),
        )
        await _log(connection, folio, author, now, f"acta aprobada {sha256[:12]}")
    return sha256


def check_open(found: Sitting) -> None:
    """Raises :class:`RegisterError` once the acta is approved, or where the session was called off."""
    if found.is_approved:
        raise RegisterError("el acta ya está aprobada: no se cambia; lo nuevo va en otra sesión")
    if found.entry.values["state"] == "cancelled":
        raise RegisterError("la sesión está suspendida")


async def _log(connection: Connection, folio: str, author: str, now: datetime, what: str) -> None:
    await connection.execute(
        "insert into register_log (register, folio, at, author, changes)"
        " values ('sesiones', $1, $2, $3,"
        " jsonb_build_object('asistencia y acta', jsonb_build_array('', $4::text)))",
        *(folio, now, author, what),
    )


def acta(found: Sitting) -> str:
    """The draft of the acta, from what was noted. Pure: the same notes give the same text."""
    values = found.entry.values
    body = SESSIONS.field("body").choices[values["body"]]
    kind = SESSIONS.field("kind").choices[values["kind"]].lower()
    quorum = "con" if found.has_quorum else "sin"
    lines = [
        f"ACTA {found.entry.folio}",
        f"{body}, sesión {kind}",
        f"Fecha: {values['starts_at'].astimezone(SANTIAGO):%d-%m-%Y %H:%M}",
        f"Lugar: {values['place'] or 'sin anotar'}",
        f"Asistencia: {found.present} de {len(found.seats)} asientos ({quorum} quórum)",
    ]
    for seat in found.seats:
        state = "presente" if seat.is_present else "ausente"
        lines.append(
            f"- {seat.seat}: {state}{' (suplente)' if seat.is_substitute and seat.is_present else ''}"
        )
    lines += ["Tabla:", *(f"{n}. {item}" for n, item in enumerate(_items(values["agenda"]), 1))]
    lines += ["Desarrollo:", values["minutes"], "Acuerdos:"]
    lines += [
        f"- {one.folio}: {one.values['agreement']} Responsable: {one.values['owner']}."
        f" Plazo: {one.values['due_on']:%d-%m-%Y}."
        for one in sorted(found.agreements, key=lambda one: one.folio)
    ] or ["- Ninguno."]
    return "\n".join(lines) + "\n"


def _items(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]
