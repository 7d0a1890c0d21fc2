"""The draft of the next version in the database: begun, changed by one person after another, approved."""

from dataclasses import dataclass
from datetime import datetime

from hub.database import Pool
from hub.plan import drafting, versions
from hub.plan.errors import PlanError
from hub.plan.model import Plan, Topics
from hub.plan.writing import to_yaml

_EMPTY = """\
plan: {id: PCSP, comuna: {nombre: '', cut: ''}, vigencia: ['', ''], actualizacion: 0}
objetivos: []
"""


@dataclass(frozen=True, slots=True)
class Draft:
    """``version`` counts its changes."""

    content: str
    version: int
    author: str
    started_at: datetime
    changed_at: datetime


async def current(pool: Pool) -> Draft | None:
    row = await pool.fetchrow("select content, version, author, started_at, changed_at from plan_drafts")
    return None if row is None else Draft(**dict(row))


async def start(pool: Pool, topics: Topics, *, author: str, now: datetime) -> None:
    """Begin the next update from the plan in force, or an empty plan where there is none.

    A draft that is there already stays as it is.
    """
    version = await versions.current(pool, topics, now)
    text = _EMPTY
    if version is not None:
        document = drafting.read(to_yaml(version.plan))
        newest = await pool.fetchval(
            "select max(update_number) from plan_versions where plan_id = $1", version.plan.id
        )
        document["plan"]["actualizacion"] = str(newest + 1)
        for key in ("aprobado", "publicado_web"):  # those are of each version
            document["plan"].pop(key, None)
        text = drafting.write(document)
    await pool.execute(
        "insert into plan_drafts (content, author, started_at, changed_at) values ($1, $2, $3, $3)"
        " on conflict do nothing",
        *(text, author, now),
    )


async def save(pool: Pool, content: str, *, version: int, author: str, now: datetime) -> None:
    """Raises :class:`PlanError` where somebody else changed it meanwhile."""
    done = await pool.execute(
        "update plan_drafts set content = $1, version = version + 1, author = $3, changed_at = $4"
        " where version = $2",
        *(content, version, author, now),
    )
    if done.endswith(" 0"):
        raise PlanError("otra persona cambió el borrador; revise cómo quedó antes de seguir")


async def discard(pool: Pool) -> None:
    await pool.execute("delete from plan_drafts")


async def approve(pool: Pool, topics: Topics, *, version: int, author: str, now: datetime) -> Plan:
    """Make the draft a version of the plan. Raises :class:`PlanError` with everything that is wrong."""
    draft = await current(pool)
    if draft is None or draft.version != version:
        raise PlanError("otra persona cambió el borrador; revise cómo quedó antes de aprobar")
    plan, problems = drafting.judge(draft.content, topics)
    if plan is None or problems:
        raise PlanError("; ".join(problems))
    await versions.store(pool, plan, topics, author=author, now=now)
    # whoever approves twice finds that version stored already, and the draft goes
    await pool.execute("delete from plan_drafts where version = $1", version)
    return plan
