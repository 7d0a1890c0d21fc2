"""Plans in the database: every version that was ever in force, and the evidence of activities."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import msgspec

from hub.database import Pool
from hub.plan.errors import PlanError
from hub.plan.loading import load_plan, overlap_problem
from hub.plan.model import Plan, Topics
from hub.plan.writing import as_document, to_yaml


@dataclass(frozen=True, slots=True)
class Version:
    """One stored version; ``sha256`` is of the YAML text that an export gives."""

    version_id: int
    plan: Plan
    content: str
    sha256: str
    topics: str
    author: str
    loaded_at: datetime


@dataclass(frozen=True, slots=True)
class Evidence:
    activity: str
    done_on: date
    note: str
    file_name: str
    sha256: str
    author: str


async def store(pool: Pool, plan: Plan, topics: Topics, *, author: str, now: datetime) -> bool:
    """Keep a version; False where this very one is there already. Raises :class:`PlanError`."""
    content = to_yaml(plan)
    sha256 = hashlib.sha256(content.encode()).hexdigest()
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("lock table plan_versions in share row exclusive mode")
        rows = await connection.fetch(
            "select plan_id, update_number, starts_on, ends_on, sha256 from plan_versions"
        )
        if any(row["plan_id"] == plan.id and row["sha256"] == sha256 for row in rows):
            return False
        if problem := _problem(plan, rows):
            raise PlanError(problem)
        await connection.execute(
            "insert into plan_versions (plan_id, update_number, starts_on, ends_on, topics, content,"
            " document, sha256, author, loaded_at) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
            *(plan.id, plan.update, plan.starts_on, plan.ends_on, topics.version, content),
            *(msgspec.json.encode(as_document(plan)).decode(), sha256, author, now),
        )
    return True


def _problem(plan: Plan, rows: Sequence[Any]) -> str:
    for row in rows:
        if text := overlap_problem(plan, row["plan_id"], row["starts_on"], row["ends_on"]):
            return text
    own = [row["update_number"] for row in rows if row["plan_id"] == plan.id]
    if own and plan.update <= max(own):
        return (
            f"{plan.id} ya tiene la actualización {max(own)} y ese texto es otro;"
            f" escriba «actualizacion: {max(own) + 1}»"
        )
    return ""


async def current(pool: Pool, topics: Topics, at: datetime) -> Version | None:
    """The newest version in force on the day of ``at``; None where no plan was loaded."""
    row = await pool.fetchrow(
        "select * from plan_versions where loaded_at <= $1"
        " and starts_on <= ($1 at time zone 'America/Santiago')::date"
        " and ends_on >= ($1 at time zone 'America/Santiago')::date"
        " order by starts_on desc, update_number desc limit 1",
        at,
    )
    return None if row is None else _version(row, topics)


async def versions(pool: Pool, topics: Topics) -> list[Version]:
    """All of them, the newest last."""
    rows = await pool.fetch("select * from plan_versions order by starts_on, update_number")
    return [_version(row, topics) for row in rows]


def _version(row: Any, topics: Topics) -> Version:
    # A catalogue that changed since then must not make an old plan unreadable.
    names = {
        code: code
        for objective in msgspec.json.decode(row["document"])["objetivos"]
        for code in objective["materia_104F"]
    }
    known = Topics(row["topics"], {**names, **topics.names})
    plan = load_plan(row["content"], known, row["plan_id"], is_partial=True).plan
    return Version(
        row["version_id"], plan, row["content"], row["sha256"], row["topics"], row["author"], row["loaded_at"]
    )


async def add_evidence(pool: Pool, plan: Plan, evidence: Evidence, now: datetime) -> None:
    """Raises :class:`PlanError` for an activity that the plan does not have, or a day yet to come."""
    known = [activity.id for activity in plan.activities()]
    if evidence.activity not in known:
        raise PlanError(f"no existe la actividad «{evidence.activity}»; el plan tiene {', '.join(known)}")
    if evidence.done_on > now.date():
        raise PlanError(f"la fecha {evidence.done_on} no ha llegado; una evidencia es de algo ya hecho")
    await pool.execute(
        "insert into plan_evidence (plan_id, activity, done_on, note, file_name, sha256, author, recorded_at)"
        " values ($1, $2, $3, $4, $5, $6, $7, $8)",
        *(plan.id, evidence.activity, evidence.done_on, evidence.note, evidence.file_name),
        *(evidence.sha256, evidence.author, now),
    )


async def evidence_of(pool: Pool, plan_id: str) -> list[Evidence]:
    rows = await pool.fetch(
        "select activity, done_on, note, file_name, sha256, author from plan_evidence where plan_id = $1"
        " order by activity, done_on, evidence_id",
        plan_id,
    )
    return [Evidence(*row) for row in rows]
