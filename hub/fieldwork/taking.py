"""What a phone takes along for today and tomorrow: operations, rounds, lists, permits, folios."""

import base64
import uuid
from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from hub.database import Pool
from hub.fieldwork import patrols, permits, phones
from hub.fieldwork.form import Form
from hub.fieldwork.messages import Take

if TYPE_CHECKING:
    import asyncpg

_MAX_OPERATIONS = 40
_KEPT_AFTER_END = timedelta(hours=12)
"""Records of the evening are written at night: an operation stays on the phone for a while."""


async def institution_of(pool: Pool, login: str) -> str:
    found: str = await pool.fetchval("select institution from users where login = $1", login)
    return found


async def load(
    pool: Pool,
    wish: Take,
    login: str,
    form: Form,
    names: Mapping[str, Mapping[str, str]],
    now: datetime,
    zone: ZoneInfo,
) -> dict[str, Any]:
    """As the page's script reads it. ``names``: Spanish words by ``kind`` and ``state`` of operations."""
    institution = await institution_of(pool, login)
    local = now.astimezone(zone)
    until = datetime.combine(local.date() + timedelta(days=2), time(), zone)
    async with pool.acquire() as connection, connection.transaction():
        key = await phones.key_of(connection, wish.phone, login, now)
        blocks = [
            await phones.issue_block(connection, year, wish.phone, login, now)
            for year in phones.wanted_years(local, wish.folios)
        ]
    rounds = await _rounds(pool, institution, now, until)
    return {
        "now": now,
        "login": login,
        "institution": institution,
        "key": base64.b64encode(key).decode(),
        "blocks": blocks,
        "operations": await _operations(pool, institution, names, now, until),
        "rounds": rounds,
        "form": form,
        "permits": await _permits(pool, wish.permits, local.date()),
    }


async def _operations(
    pool: Pool, institution: str, names: Mapping[str, Mapping[str, str]], now: datetime, until: datetime
) -> list[dict[str, Any]]:
    rows = await pool.fetch(
        "select o.* from operations o join operation_institutions i using (operation_id)"
        " where i.institution = $1 and o.state not in ('closed', 'suspended')"
        " and o.planned_start < $3 and (o.planned_end > $2 or o.state = 'in_progress')"
        " order by o.planned_start, o.folio limit $4",
        institution,
        now - _KEPT_AFTER_END,
        until,
        _MAX_OPERATIONS,
    )
    ids = [row["operation_id"] for row in rows]
    points = await _by_operation(
        pool,
        ids,
        "select operation_id, point, name, latitude, longitude, visited_at is not null as is_visited,"
        " cleared_at is not null as is_cleared from operation_points"
        " where operation_id = any($1) order by point",
    )
    tasks = await _by_operation(
        pool,
        ids,
        "select operation_id, position, phase, task, institution, done_at is not null as is_done"
        " from operation_tasks where operation_id = any($1) order by position",
    )
    return [
        {
            "id": row["operation_id"],
            "folio": row["folio"],
            "kind": names["kind"].get(row["kind"], row["kind"]),
            "name": row["name"],
            "state": names["state"].get(row["state"], row["state"]),
            "sector": row["sector"],
            "starts_at": row["planned_start"],
            "ends_at": row["planned_end"],
            "legal_basis": list(row["legal_basis"]),
            "is_drill": row["is_drill"],
            "points": points[row["operation_id"]],
            "tasks": tasks[row["operation_id"]],
        }
        for row in rows
    ]


async def _by_operation(pool: Pool, ids: list[uuid.UUID], sql: str) -> dict[uuid.UUID, list[dict[str, Any]]]:
    found: dict[uuid.UUID, list[dict[str, Any]]] = {one: [] for one in ids}
    for row in await pool.fetch(sql, ids):
        values = dict(row)
        found[values.pop("operation_id")].append(values)
    return found


async def _rounds(pool: Pool, institution: str, now: datetime, until: datetime) -> list[dict[str, Any]]:
    rounds = await patrols.rounds_of(pool, institution, now - _KEPT_AFTER_END, until)
    ids = [one.round_id for one in rounds]
    points = await patrols.points_of(pool, ids)
    marks: dict[tuple[uuid.UUID, str], list[dict[str, Any]]] = {}
    for row in await pool.fetch(
        "select round_id, code, checkin_id, at, verdict from patrol_checkins"
        " where round_id = any($1) order by round_id, at",
        ids,
    ):
        marks.setdefault((row["round_id"], row["code"]), []).append(_mark(row))
    return [
        {
            "id": one.round_id,
            "name": one.name,
            "starts_at": one.starts_at,
            "ends_at": one.ends_at,
            "max_gap_s": one.max_gap_s,
            "points": [
                {
                    "code": point.code,
                    "name": point.name,
                    "latitude": point.latitude,
                    "longitude": point.longitude,
                    "radius_m": point.radius_m,
                    "marks": marks.get((one.round_id, point.code), []),
                }
                for point in points[one.round_id]
            ],
        }
        for one in rounds
    ]


def _mark(row: "asyncpg.Record") -> dict[str, Any]:
    return {"id": row["checkin_id"], "at": row["at"], "verdict": row["verdict"]}


async def _permits(pool: Pool, version: str, today: date) -> dict[str, Any] | None:
    """None: the phone has this version already."""
    register = await permits.register(pool, today)
    newest = register.newest_at.isoformat() if register.newest_at else "ninguno"
    newest = f"{newest}/{today}"
    if version == newest:
        return None
    return {
        "version": newest,
        "imported_at": register.newest_at,
        "rows": await permits.carried(pool, today) if register.newest_at else [],
    }
