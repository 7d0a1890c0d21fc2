"""Operations' one door for changes: plan, change, move on, record what was counted, sign, close.

Every change writes a line of the timeline and counts the version up: two people never overwrite each other.
"""

import hashlib
import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from edge.contract import uuid7
from hub.alerts.model import RESTRICTED_KINDS
from hub.database import Connection, Pool
from hub.operations import acta, reading
from hub.operations.checking import problems
from hub.operations.folios import next_folio
from hub.operations.lifecycle import CHANGEABLE, MOVES, Move, missing
from hub.operations.model import Dossier, Draft, Operation, OperationError, Point, StaleError
from hub.operations.words import COUNTS, RELATIONS, STATES
from hub.plan.periods import SANTIAGO
from hub.privacy import names_a_person

MAX_NOTE = 500


async def plan(pool: Pool, draft: Draft, *, author: str, now: datetime) -> Operation:
    """A new operation with a folio of its own. Raises :class:`OperationError` that names every mistake."""
    async with pool.acquire() as connection, connection.transaction():
        return await plan_within(connection, draft, author=author, now=now)


async def plan_within(
    connection: Connection, draft: Draft, *, author: str, now: datetime, folio: str = ""
) -> Operation:
    """The same inside of the caller's transaction; ``folio`` is one that was given elsewhere."""
    await _check(connection, draft)
    if draft.season is None:
        day = draft.planned_start.astimezone(SANTIAGO).date()
        draft = replace(draft, season=await reading.season_on(connection, day))
    operation_id = uuid7(now)
    folio = folio or await next_folio(connection, draft.planned_start)
    await connection.execute(
        "insert into operations (operation_id, folio, author, created_at, kind, name, sector, area,"
        " planned_start, planned_end, legal_basis, plan_id, objective, activity, season, series_id, hot_spot,"
        " origin_since, origin_until, remarks, is_drill)"
        " values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19,"
        " $20, $21)",
        *(operation_id, folio, author, now),
        *_columns(draft),
    )
    await _parts(connection, operation_id, draft)
    await _log(connection, operation_id, now, author, "plan", None, "planned")
    return await reading.by_id(connection, operation_id)


async def _check(connection: Connection, draft: Draft) -> None:
    known = [one.sector for one in await reading.sectors(connection)]
    found = problems(draft, known)
    if draft.season and not await reading.is_season(connection, draft.season):
        found.append(f"no existe la temporada «{draft.season}»; regístrela con «operations season»")
    if found:
        raise OperationError("; ".join(found))


def _columns(draft: Draft) -> tuple[object, ...]:
    return (
        draft.kind,
        draft.name,
        draft.sector,
        json.dumps(draft.area) if draft.area is not None else None,
        draft.planned_start,
        draft.planned_end,
        list(draft.legal_basis),
        draft.plan_id,
        draft.objective,
        draft.activity,
        draft.season,
        draft.series_id,
        draft.hot_spot,
        draft.origin_since,
        draft.origin_until,
        draft.remarks,
        draft.is_drill,
    )


async def _parts(connection: Connection, operation_id: uuid.UUID, draft: Draft) -> None:
    await connection.executemany(
        "insert into operation_institutions (operation_id, institution, role, acting, assists, headcount)"
        " values ($1, $2, $3, $4, $5, $6)",
        [(operation_id, i.name, i.role, i.acting, i.assists, i.headcount) for i in draft.institutions],
    )
    await connection.executemany(
        "insert into operation_points (operation_id, point, name, latitude, longitude, visited_at,"
        " cleared_at) values ($1, $2, $3, $4, $5, $6, $7)",
        [
            (operation_id, p.id, p.name, p.latitude, p.longitude, p.visited_at, p.cleared_at)
            for p in draft.points
        ],
    )
    await connection.executemany(
        "insert into operation_tasks (operation_id, position, phase, task, institution, done_at, done_by)"
        " values ($1, $2, $3, $4, $5, $6, $7)",
        [
            (operation_id, n, t.phase, t.task, t.institution, t.done_at, t.done_by)
            for n, t in enumerate(draft.tasks, 1)
        ],
    )


async def change(
    pool: Pool, folio: str, draft: Draft, *, version: int, author: str, now: datetime
) -> Operation:
    """Replace the plan while nothing was done yet. Raises :class:`OperationError`."""
    async with pool.acquire() as connection, connection.transaction():
        operation = await _locked(connection, folio, version)
        if operation.state not in CHANGEABLE:
            state = STATES[operation.state].lower()
            raise OperationError(f"{folio} está «{state}»: su plan ya no se cambia")
        await _check(connection, draft)
        id_ = operation.operation_id
        names = (
            "kind name sector area planned_start planned_end legal_basis plan_id objective activity season"
            " series_id hot_spot origin_since origin_until remarks is_drill"
        ).split()
        pairs = ", ".join(f"{name} = ${place}" for place, name in enumerate(names, 2))
        await connection.execute(
            f"update operations set {pairs} where operation_id = $1",  # noqa: S608  (names of ours)
            id_,
            *_columns(draft),
        )
        for table in ("operation_institutions", "operation_points", "operation_tasks"):
            await connection.execute(f"delete from {table} where operation_id = $1", id_)  # noqa: S608
        await _parts(connection, id_, _with_marks(draft, operation.draft))
        await touch(connection, operation, now, author, "change")
        return await reading.by_id(connection, id_)


def _with_marks(draft: Draft, old: Draft) -> Draft:
    """The new plan, with what was marked already on the tasks and points that stay."""
    tasks = {(one.phase, one.task): one for one in old.tasks}
    points = {_spot(one): one for one in old.points}
    return replace(
        draft,
        tasks=[
            replace(one, done_at=was.done_at, done_by=was.done_by)
            if (was := tasks.get((one.phase, one.task)))
            else one
            for one in draft.tasks
        ],
        points=[
            replace(one, visited_at=seen.visited_at, cleared_at=seen.cleared_at)
            if (seen := points.get(_spot(one)))
            else one
            for one in draft.points
        ],
    )


def _spot(point: Point) -> tuple[str, float, float]:
    return point.name or point.id, round(point.latitude, 6), round(point.longitude, 6)


async def move(
    pool: Pool,
    folio: str,
    step: Move,
    *,
    version: int,
    author: str,
    now: datetime,
    note: str = "",
) -> Operation:
    """Take an operation on. Raises :class:`OperationError` that says what is missing.

    Closing makes the acta's text from the records as they stand, and keeps its SHA-256.
    """
    async with pool.acquire() as connection, connection.transaction():
        return await move_within(connection, folio, step, version=version, author=author, now=now, note=note)


async def move_within(
    connection: Connection,
    folio: str,
    step: Move,
    *,
    version: int,
    author: str,
    now: datetime,
    note: str = "",
) -> Operation:
    """The same inside of the caller's transaction."""
    operation = await _locked(connection, folio, version)
    after = MOVES.get((operation.state, step))
    if after is None:
        raise OperationError(f"{folio} está «{STATES[operation.state].lower()}»; eso no se puede ahora")
    dossier = await reading.dossier(connection, folio)
    if lacks := list(missing(dossier, step, now)):
        raise OperationError(f"antes falta: {'; '.join(lacks)}")
    note = checked_note(note)
    if step is Move.SUSPEND and not note:
        raise OperationError("diga por qué se suspende")
    await connection.execute(
        "update operations set state = $2,"
        " started_at = case $2 when 'in_progress' then $3 when 'planned' then null else started_at end,"
        " ended_at = case $2 when 'executed' then greatest($3, started_at) when 'planned' then null"
        " else ended_at end,"
        " suspended_because = case $2 when 'suspended' then $4 else '' end,"
        " closed_at = case $2 when 'closed' then $3 end, acta_folio = case $2 when 'closed' then $5 end,"
        " acta_sha256 = case $2 when 'closed' then $6 else '' end where operation_id = $1",
        operation.operation_id,
        after.value,
        now,
        note,
        f"ACTA-{folio}",
        digest(dossier) if step is Move.CLOSE else "",
    )
    await touch(connection, operation, now, author, step.value, after.value, note)
    return await reading.by_id(connection, operation.operation_id)


def digest(dossier: Dossier) -> str:
    """SHA-256 (hexadecimal) of the acta's text."""
    return hashlib.sha256(acta.text(dossier).encode()).hexdigest()


# ------------------------------------------------------------------------------------------- records


async def count(
    pool: Pool,
    folio: str,
    *,
    present: Mapping[str, int],
    totals: Mapping[tuple[str, str], int],
    author: str,
    now: datetime,
) -> None:
    """Who was there, by institution, and what was counted, by (kind, institution). Raises OperationError."""
    async with pool.acquire() as connection, connection.transaction():
        operation = await running(connection, folio)
        names = {one.name for one in operation.draft.institutions}
        for name in {*present, *(institution for _, institution in totals)} - names:
            raise OperationError(f"«{name}» no participa en {folio}")
        if any(kind not in COUNTS for kind, _ in totals) or any(
            n < 0 for n in (*present.values(), *totals.values())
        ):
            raise OperationError("los totales son números, cero o más")
        id_ = operation.operation_id
        await connection.executemany(
            "update operation_institutions set present = $3,"
            " signed_at = case when present is distinct from $3 then null else signed_at end"
            " where operation_id = $1 and institution = $2",
            [(id_, name, number) for name, number in present.items()],
        )
        await connection.executemany(
            "insert into operation_counts (operation_id, kind, institution, total, recorded_at)"
            " values ($1, $2, $3, $4, $5) on conflict (operation_id, kind, institution)"
            " do update set total = excluded.total, recorded_at = excluded.recorded_at"
            " where operation_counts.total <> excluded.total",
            [(id_, kind, institution, number, now) for (kind, institution), number in totals.items()],
        )
        await touch(connection, operation, now, author, "count")


async def tick(
    pool: Pool,
    folio: str,
    *,
    tasks: Sequence[int],
    visited: Sequence[str],
    cleared: Sequence[str],
    author: str,
    now: datetime,
) -> None:
    """Mark tasks (by position) as done, points as visited or cleared; what is marked stays.

    Raises :class:`OperationError`.
    """
    async with pool.acquire() as connection, connection.transaction():
        operation = await running(connection, folio, also=("planned", "confirmed"))
        id_ = operation.operation_id
        await connection.execute(
            "update operation_tasks set done_at = $3, done_by = $4, dropped_because = ''"
            " where operation_id = $1 and position = any($2::smallint[]) and done_at is null",
            *(id_, list(tasks), now, author),
        )
        await connection.execute(
            "update operation_points set visited_at = coalesce(visited_at, $4),"
            " cleared_at = coalesce(cleared_at, case when point = any($3::text[]) then $4 end)"
            " where operation_id = $1 and (point = any($2::text[]) or point = any($3::text[]))",
            *(id_, list(visited), list(cleared), now),
        )
        await touch(connection, operation, now, author, "task")


async def drop_task(
    pool: Pool, folio: str, position: int, reason: str, *, author: str, now: datetime
) -> None:
    """Say why a task was not done: the acta shows it with its reason. Raises :class:`OperationError`."""
    reason = checked_note(reason)
    if not reason:
        raise OperationError("diga por qué no se hizo la tarea")
    async with pool.acquire() as connection, connection.transaction():
        operation = await running(connection, folio)
        task = await connection.fetchval(
            "update operation_tasks set dropped_because = $3"
            " where operation_id = $1 and position = $2 and done_at is null returning task",
            *(operation.operation_id, position, reason),
        )
        if task is None:
            raise OperationError("esa tarea ya está hecha o no existe")
        note = f"{task}: {reason}"[:MAX_NOTE]
        await touch(connection, operation, now, author, "drop", note=note)


async def sign(pool: Pool, folio: str, institution: str, *, author: str, now: datetime) -> None:
    """An institution that was there signs the acta as it stands. Raises :class:`OperationError`."""
    async with pool.acquire() as connection, connection.transaction():
        operation = await running(connection, folio, also=(), only="executed")
        done = await connection.execute(
            "update operation_institutions set signed_at = $3"
            " where operation_id = $1 and institution = $2 and present > 0",
            *(operation.operation_id, institution, now),
        )
        if done == "UPDATE 0":
            raise OperationError(f"«{institution}» no tiene nada que firmar: no consta que estuviera")
        await touch(connection, operation, now, author, "sign", note=institution)


async def link(
    pool: Pool, folio: str, code: str, relation: str, reason: str, *, author: str, now: datetime
) -> None:
    """Tie a case to an operation by hand, with a reason. Raises :class:`OperationError`.

    ``code`` is the case's short name, of which the newest counts; reserved ones are as if they were not.
    """
    reason = checked_note(reason)
    if not reason or relation not in RELATIONS:
        raise OperationError("diga qué relación tiene y por qué")
    async with pool.acquire() as connection, connection.transaction():
        operation = await reading.find(connection, folio)
        alert_id = await connection.fetchval(
            "select alert_id from alerts where code = $1 and not is_reserved and not kind = any($2::text[])"
            " order by opened_at desc limit 1",
            code.strip().upper(),
            sorted(RESTRICTED_KINDS),
        )
        if alert_id is None:
            raise OperationError(f"no hay una alerta {code}")
        done = await connection.execute(
            "insert into operation_links (operation_id, alert_id, relation, way, reason, author, at)"
            " values ($1, $2, $3, 'by_hand', $4, $5, $6)"
            " on conflict (operation_id, alert_id, relation) where removed_at is null do nothing",
            *(operation.operation_id, alert_id, relation, reason, author, now),
        )
        if done.endswith(" 0"):
            raise OperationError(f"la alerta {code} ya está vinculada así")
        await _log(
            connection, operation.operation_id, now, author, "link", note=f"{code}: {reason}"[:MAX_NOTE]
        )


async def unlink(pool: Pool, folio: str, link_id: int, reason: str, *, author: str, now: datetime) -> None:
    """Take a tie back; it stays in the records. Raises :class:`OperationError`."""
    reason = checked_note(reason)
    if not reason:
        raise OperationError("diga por qué se quita el vínculo")
    async with pool.acquire() as connection, connection.transaction():
        operation = await reading.find(connection, folio)
        code = await connection.fetchval(
            "update operation_links l set removed_at = $3, removed_by = $4 from alerts a"
            " where l.alert_id = a.alert_id and l.operation_id = $1 and l.link_id = $2"
            " and l.removed_at is null"
            " returning a.code",
            *(operation.operation_id, link_id, now, author),
        )
        if code is None:
            raise OperationError("ese vínculo ya no está")
        await _log(
            connection, operation.operation_id, now, author, "unlink", note=f"{code}: {reason}"[:MAX_NOTE]
        )


# --------------------------------------------------------------------------------------------- parts


async def _locked(connection: Connection, folio: str, version: int) -> Operation:
    await connection.execute("select from operations where folio = $1 for update", folio)
    operation = await reading.find(connection, folio)
    if operation.version != version:
        raise StaleError(f"otra persona cambió {folio}; revise cómo quedó antes de seguir")
    return operation


async def running(
    connection: Connection,
    folio: str,
    also: Sequence[str] = (),
    only: str = "",
) -> Operation:
    """The operation, locked, in a state in which what was done is written down. Raises OperationError."""
    await connection.execute("select from operations where folio = $1 for update", folio)
    operation = await reading.find(connection, folio)
    allowed = (only,) if only else ("in_progress", "executed", *also)
    if operation.state not in allowed:
        raise OperationError(f"{folio} está «{STATES[operation.state].lower()}»; eso no se registra ahora")
    return operation


async def touch(
    connection: Connection,
    operation: Operation,
    now: datetime,
    author: str,
    step: str,
    after: str | None = None,
    note: str = "",
) -> None:
    """Count a change and write its line of the timeline."""
    await connection.execute(
        "update operations set version = version + 1 where operation_id = $1", operation.operation_id
    )
    before = operation.state if after else None
    await _log(connection, operation.operation_id, now, author, step, before, after, note)


async def _log(
    connection: Connection,
    operation_id: uuid.UUID,
    now: datetime,
    author: str,
    step: str,
    before: str | None = None,
    after: str | None = None,
    note: str = "",
) -> None:
    await connection.execute(
        "insert into operation_log (operation_id, at, author, move, from_state, to_state, note)"
        " values ($1, $2, $3, $4, $5, $6, $7)",
        *(operation_id, now, author, step, before, after, note),
    )


def checked_note(text: str) -> str:
    """A note of the timeline on one line. Raises :class:`OperationError`."""
    text = " ".join(text.split())
    if len(text) > MAX_NOTE:
        raise OperationError(f"el texto pasa de {MAX_NOTE} caracteres; acórtelo")
    if names_a_person(text):
        raise OperationError("parece haber un RUT en el texto; aquí van lugares y folios, nunca personas")
    return text
