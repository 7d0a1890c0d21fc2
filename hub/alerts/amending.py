"""People correct an alert: its priority, what it was, what belongs to it; each with author and reason."""

import enum
import logging
import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from hub.alerts.catalogue import Catalogue
from hub.alerts.lifecycle import AlertError
from hub.alerts.model import COLUMNS, Alert
from hub.alerts.opening import CHANNEL
from hub.alerts.working import ConflictError, UnknownAlertError
from hub.database import Connection, Pool

log = logging.getLogger(__name__)

MAX_REASON_CHARS = 500


class AmendError(AlertError):
    """What was asked cannot be; the message is Spanish and nothing changed."""


def _reason(text: str) -> str:
    cleaned = text.replace("\x00", "").strip()[:MAX_REASON_CHARS]
    if not cleaned:
        raise AmendError("Escriba el motivo.")
    return cleaned


async def _locked(connection: Connection, alert_id: uuid.UUID, expected_version: int | None) -> Alert:
    row = await connection.fetchrow(
        f"select {COLUMNS} from alerts where alert_id = $1 for update",  # noqa: S608  a constant of ours
        alert_id,
    )
    if row is None:
        raise UnknownAlertError(f"no alert {alert_id}")
    alert = Alert.from_row(row)
    if expected_version is not None and alert.version != expected_version:
        raise ConflictError(f"version is {alert.version}, not {expected_version}", alert)
    return alert


async def _write(connection: Connection, alert: Alert, sets: str, *values: Any) -> Alert:
    row = await connection.fetchrow(
        f"update alerts set {sets}, version = version + 1"  # noqa: S608  constants of this module
        f" where alert_id = $1 returning {COLUMNS}",
        alert.alert_id,
        *values,
    )
    return Alert.from_row(row)


async def _log(
    connection: Connection, alert: Alert, word: str, note: str, author: str, now: datetime
) -> None:
    await connection.fetchval(
        "with logged as (insert into alert_log (alert_id, at, author, move, from_state, to_state, note)"
        " values ($1, $2, $3, $4, $5, $5, $6)) select pg_notify($7, $1::uuid::text)",
        alert.alert_id,
        now,
        author,
        word,
        alert.state.value,
        note,
        CHANNEL,
    )


async def change_priority(
    pool: Pool,
    alert_id: uuid.UUID,
    priority: int,
    *,
    author: str,
    reason: str,
    now: datetime,
    expected_version: int | None = None,
) -> Alert:
    """Make an open alert more or less urgent; its escalation starts anew by the policy that then fits.

    Raises :class:`AmendError`, ``UnknownAlertError`` or ``ConflictError``; then nothing changed.
    """
    why = _reason(reason)
    if priority not in (1, 2, 3, 4):
        raise AmendError("La prioridad va de 1 (vida) a 4 (mantención).")
    async with pool.acquire() as connection, connection.transaction():
        alert = await _locked(connection, alert_id, expected_version)
        if not alert.is_open:
            raise AmendError("La alerta ya está cerrada.")
        if alert.priority == priority:
            return alert
        changed = await _write(connection, alert, "priority = $2, parent_id = null", priority)
        await connection.execute(
            "insert into escalations as e (alert_id, policy, stage, anchor_at, due_at)"
            " values ($1, '', 'acknowledge', $2, case when $3 then $2::timestamptz end)"
            " on conflict (alert_id) do update set policy = '', anchor_at = case e.stage"
            "  when 'acknowledge' then $2 else e.anchor_at end, fired = case e.stage"
            "  when 'acknowledge' then 0 else e.fired end, due_at = case e.stage"
            "  when 'acknowledge' then $2 else e.due_at end",
            alert_id,
            now,
            alert.state.value == "received",
        )
        await _log(connection, alert, "priority", f"P{alert.priority} → P{priority}: {why}", author, now)
    log.info("alert %s: priority %d, was %d", alert_id, priority, alert.priority)
    return changed


async def reclassify(
    pool: Pool,
    alert_id: uuid.UUID,
    code: str,
    catalogue: Catalogue,
    *,
    author: str,
    reason: str = "",
    now: datetime,
    expected_version: int | None = None,
) -> Alert:
    """Say what it was; the first code is kept for ever, and every later one needs a reason.

    A code of the restricted sort closes the alert off at once: neutral label, texts to neighbours that
    have not gone out yet stay unsent. Taking it out again is for a reason and in the timeline.
    """
    entry = catalogue.by_code.get(code)
    if entry is None or entry.retired:
        raise AmendError(f"El código {code[:40]} no está en el catálogo.")
    async with pool.acquire() as connection, connection.transaction():
        alert = await _locked(connection, alert_id, expected_version)
        if alert.classification == code:
            return alert
        why = _reason(reason) if alert.classification else reason.strip()[:MAX_REASON_CHARS]
        changed = await _write(
            connection,
            alert,
            "classification = $2, is_reserved = $3,"
            " first_classification = coalesce(nullif(first_classification, ''), $2)",
            code,
            entry.is_restricted,
        )
        if entry.is_restricted:
            await connection.execute(
                "update notifications set state = 'failed', error = 'the alert is reserved by now'"
                " where alert_id = $1 and contact_id is not null and state = 'queued'",
                alert_id,
            )
        change = f"{alert.classification} → {code}" if alert.classification else code
        await _log(connection, alert, "classified", f"{change}: {why}" if why else change, author, now)
    log.info("alert %s classified", alert_id)
    return changed


# ------------------------------------------------------------------------------------------ links


class LinkSort(enum.StrEnum):
    DEVICE = "device"
    PLACE = "place"
    EVIDENCE = "evidence"
    OPERATION = "operation"


@dataclass(frozen=True, kw_only=True, slots=True)
class Link:
    """``reference`` is the other room's own id: a source, a place's code, an evidence id, a folio."""

    link_id: int
    alert_id: uuid.UUID
    sort: LinkSort
    reference: str
    note: str
    author: str
    at: datetime


async def link(
    pool: Pool,
    alert_id: uuid.UUID,
    sort: LinkSort,
    reference: str,
    *,
    author: str,
    now: datetime,
    note: str = "",
) -> None:
    """Join something of another room to an alert; the same twice is once."""
    what = reference.replace("\x00", "").strip()
    if not 1 <= len(what) <= 200:
        raise AmendError("Diga qué se enlaza (hasta 200 caracteres).")
    async with pool.acquire() as connection, connection.transaction():
        alert = await _locked(connection, alert_id, None)
        is_new = await connection.fetchval(
            "insert into alert_links (alert_id, sort, reference, note, author, at)"
            " values ($1, $2, $3, $4, $5, $6) on conflict do nothing returning true",
            alert_id,
            sort.value,
            what,
            note.strip()[:MAX_REASON_CHARS],
            author,
            now,
        )
        if is_new:
            await _log(connection, alert, "linked", f"{sort.value}: {what}", author, now)


async def unlink(pool: Pool, link_id: int, *, author: str, reason: str, now: datetime) -> None:
    """Take a link off again; the timeline keeps both."""
    why = _reason(reason)
    async with pool.acquire() as connection, connection.transaction():
        row = await connection.fetchrow("delete from alert_links where link_id = $1 returning *", link_id)
        if row is None:
            raise AmendError("Ese enlace no existe.")
        alert = await _locked(connection, row["alert_id"], None)
        await _log(connection, alert, "unlinked", f"{row['sort']}: {row['reference']}: {why}", author, now)


async def links_of(pool: Pool, alert_id: uuid.UUID) -> list[Link]:
    rows = await pool.fetch(
        "select * from alert_links where alert_id = $1 order by link_id limit 500", alert_id
    )
    return [_link(row) for row in rows]


async def alerts_linked_to(pool: Pool, sort: LinkSort, reference: str, *, limit: int = 100) -> list[Link]:
    """The newest links to one thing of another room, one page."""
    rows = await pool.fetch(
        "select * from alert_links where sort = $1 and reference = $2 order by link_id desc limit $3",
        sort.value,
        reference,
        min(max(limit, 1), 500),
    )
    return [_link(row) for row in rows]


def _link(row: Any) -> Link:
    return Link(**{**dict(row), "sort": LinkSort(row["sort"])})
