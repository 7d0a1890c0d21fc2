"""A mistake in an inspection is mended by another row in its place; what was written in the street stays.

One that should not be there at all, such as one typed twice, is withdrawn by a row that says so, and put back
by a third.
"""

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from edge.contract import uuid7
from hub.database import Connection, Pool
from hub.operations import reading, service
from hub.operations.model import Infringement, Inspection, OperationError
from hub.operations.words import PERMITS, RESULTS
from hub.privacy import names_a_person

MAX_INFRINGEMENTS = 10


@dataclass(frozen=True, kw_only=True, slots=True)
class Correction:
    """What may be mended; who wrote it, where and when stays. ``reason``: why, for the timeline."""

    trade: str
    permit_state: str
    permit_folio: str
    result: str
    note: str
    infringements: Sequence[Infringement]
    reason: str


async def find(executor: Pool | Connection, folio: str, inspection: str) -> tuple[Inspection, str]:
    """An inspection of an operation as it stands, and the folio of its permit. Raises OperationError."""
    dossier = await reading.dossier(executor, folio)
    for one in dossier.inspections:
        if one.folio == inspection:
            permit: str = await executor.fetchval(
                "select permit_folio from inspections where inspection_id = $1", one.inspection_id
            )
            return one, permit
    raise OperationError(f"{folio} no tiene la fiscalización {inspection}")


async def correct(
    pool: Pool, folio: str, inspection: str, wanted: Correction, *, author: str, now: datetime
) -> None:
    """Put the mended inspection in place of the one that stands, with its goods and their custody.

    Raises :class:`OperationError` that names every mistake. Whoever signed is asked to sign again.
    """
    wanted = replace(wanted, reason=service.checked_note(wanted.reason))
    if wrong := list(_mistakes(wanted)):
        raise OperationError("; ".join(wrong))
    async with pool.acquire() as connection, connection.transaction():
        operation = await service.running(connection, folio)
        old, permit = await find(connection, folio, inspection)
        if _as_it_stands(old, permit) == replace(wanted, reason=""):
            raise OperationError("no cambió nada; escriba lo correcto")
        await _put(connection, old.inspection_id, old.inspection_id, wanted, author, now)
        await service.touch(
            connection, operation, now, author, "correct", note=_note(inspection, wanted.reason)
        )


async def withdraw(
    pool: Pool, folio: str, inspection: str, reason: str, *, author: str, now: datetime
) -> None:
    """Take an inspection out of the operation and of every figure. Raises :class:`OperationError`.

    Whoever signed is asked to sign again.
    """
    reason = _reason(reason, "diga por qué se retira")
    async with pool.acquire() as connection, connection.transaction():
        operation = await service.running(connection, folio)
        old, _ = await find(connection, folio, inspection)
        await connection.execute(_WITHDRAW, uuid7(now), old.inspection_id, author, now, reason)
        await service.touch(connection, operation, now, author, "withdraw", note=_note(inspection, reason))


async def restore(
    pool: Pool, folio: str, inspection: str, reason: str, *, author: str, now: datetime
) -> None:
    """Put a withdrawn inspection back as it was. Raises :class:`OperationError`."""
    reason = _reason(reason, "diga por qué se repone")
    async with pool.acquire() as connection, connection.transaction():
        operation = await service.running(connection, folio)
        gone = await connection.fetchrow(_GONE, operation.operation_id, inspection)
        if gone is None:
            raise OperationError(f"{folio} no tiene retirada la fiscalización {inspection}")
        withdrawal, source, *fields = gone
        fines = [Infringement(**dict(row)) for row in await connection.fetch(_FINES, source)]
        before = Correction(**dict(zip(_MENDED, fields, strict=True)), infringements=fines, reason="")
        await _put(connection, source, withdrawal, before, author, now)
        await service.touch(connection, operation, now, author, "restore", note=_note(inspection, reason))


def _reason(text: str, if_none: str) -> str:
    if not (reason := service.checked_note(text)):
        raise OperationError(if_none)
    return reason


def _note(inspection: str, reason: str) -> str:
    return f"{inspection}: {reason}"[: service.MAX_NOTE]


def _as_it_stands(one: Inspection, permit_folio: str) -> Correction:
    return Correction(
        trade=one.trade,
        permit_state=one.permit_state,
        permit_folio=permit_folio,
        result=one.result,
        note=one.note,
        infringements=list(one.infringements),
        reason="",
    )


def _mistakes(wanted: Correction) -> Iterator[str]:
    if not wanted.reason:
        yield "diga por qué se corrige"
    if wanted.permit_state not in PERMITS or wanted.result not in RESULTS:
        yield "elija permiso y resultado de la lista"
    if not wanted.trade:
        yield "falta el rubro"
    if wanted.result == "infringement" and not wanted.infringements:
        yield "una infracción lleva la norma infringida; escriba al menos una"
    if wanted.result in ("no_remark", "warning") and wanted.infringements:
        yield "hay normas infringidas, pero el resultado no es infracción; cambie uno de los dos"
    if len(wanted.infringements) > MAX_INFRINGEMENTS:
        yield f"tiene más de {MAX_INFRINGEMENTS} infracciones"
    texts = [wanted.trade, wanted.permit_folio, wanted.note]
    for one in wanted.infringements:
        if not one.rule:
            yield "una infracción no tiene su norma"
        texts += [one.rule, one.ticket_folio, one.court]
    if any(map(names_a_person, texts)):
        yield "parece haber un RUT en el texto; aquí van lugares y folios, nunca personas"


_COPIED = (
    "folio, operation_id, point, sector, latitude, longitude, accuracy_m, acting, assists, institution,"
    " inspected_at, time_quality, phone"
)


_MENDED = ("trade", "permit_state", "permit_folio", "result", "note")
_PUT = f"""
insert into inspections (inspection_id, replaces, author, recorded_at, {", ".join(_MENDED)}, {_COPIED})
select $1, $2, $3, $4, $5, $6, $7, $8, $9, {_COPIED} from inspections where inspection_id = $10
"""  # noqa: S608  (names of ours)
_WITHDRAW = f"""
insert into inspections (inspection_id, replaces, author, recorded_at, note, is_withdrawn, trade,
  permit_state, permit_folio, result, {_COPIED})
select $1, $2, $3, $4, $5, true, trade, permit_state, permit_folio, result, {_COPIED}
from inspections where inspection_id = $2
"""  # noqa: S608
_GONE = f"""
select w.inspection_id, w.replaces, {", ".join(f"s.{name}" for name in _MENDED)}
from inspections w join inspections s on s.inspection_id = w.replaces
where w.operation_id = $1 and w.folio = $2 and w.is_withdrawn
  and not exists (select from inspections r where r.replaces = w.inspection_id)
"""  # noqa: S608
_FINES = """
select rule, ticket_folio, court, hearing_on from infringements where inspection_id = $1 order by position
"""


async def _put(
    connection: Connection,
    source: uuid.UUID,
    replaced: uuid.UUID,
    wanted: Correction,
    author: str,
    now: datetime,
) -> None:
    """A version with the goods, custody and referrals of ``source``, in the place of ``replaced``."""
    new = uuid7(now)
    fields = [getattr(wanted, name) for name in _MENDED]
    await connection.execute(_PUT, new, replaced, author, now, *fields, source)
    await connection.executemany(
        "insert into infringements (inspection_id, position, rule, ticket_folio, court, hearing_on)"
        " values ($1, $2, $3, $4, $5, $6)",
        [
            (new, place, one.rule, one.ticket_folio, one.court, one.hearing_on)
            for place, one in enumerate(wanted.infringements, 1)
        ],
    )
    for row in await connection.fetch("select seizure_id from seizures where inspection_id = $1", source):
        copy = uuid7(now)
        await connection.execute(
            "insert into seizures (seizure_id, inspection_id, goods, quantity, unit, destination,"
            " record_folio) select $1, $2, goods, quantity, unit, destination, record_folio from seizures"
            " where seizure_id = $3",
            *(copy, new, row["seizure_id"]),
        )
        await connection.execute(
            "insert into seizure_custody (seizure_id, position, at, holder, place, note, author)"
            " select $1, position, at, holder, place, note, author from seizure_custody"
            " where seizure_id = $2",
            *(copy, row["seizure_id"]),
        )
    await connection.execute(
        "insert into inspection_referrals (inspection_id, institution, matter)"
        " select $1, institution, matter from inspection_referrals where inspection_id = $2",
        *(new, source),
    )
