"""The register of permits: imported, searched by folio alone, and the part of it that phones carry."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

from hub.database import Pool
from hub.fieldwork.errors import RegisterError
from hub.fieldwork.permit_file import Permit, read_permits
from hub.nodes import Problem
from hub.papers.stickers import Sticker

if TYPE_CHECKING:
    import asyncpg

MAX_CARRIED = 5000
CARRIED_AFTER_END = timedelta(days=120)
"""A phone still knows a permit that expired this long ago: «vencido» says more than «no figura»."""
_FIELDS = "folio, trade, place, sector, valid_from, valid_until, state"


@dataclass(frozen=True, kw_only=True, slots=True)
class Imported:
    """What an import did. ``absent``: permits of earlier imports that this file no longer has."""

    new: int
    changed: int
    equal: int
    absent: int
    problems: Sequence[Problem]


@dataclass(frozen=True, kw_only=True, slots=True)
class Known:
    """A permit with its standing on one day."""

    permit: Permit
    standing: str
    """valid, not_yet, expired, suspended or revoked."""
    imported_at: datetime
    source: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Register:
    """``newest_at`` None: nobody has imported one."""

    count: int
    valid: int
    newest_at: datetime | None
    source: str


def standing(permit: Permit, today: date) -> str:
    """Pure. Withdrawn counts before dates: a suspended permit is none even while it runs."""
    if permit.state != "active":
        return permit.state
    if permit.valid_until < today:
        return "expired"
    return "not_yet" if permit.valid_from is not None and permit.valid_from > today else "valid"


async def import_permits(
    pool: Pool, text: str, file: str, now: datetime, *, is_partial: bool = False
) -> Imported:
    """Store the register's rows by folio; raises :class:`RegisterError` for bad lines unless ``is_partial``.

    A file without one good line is never imported.
    """
    permits, problems = read_permits(text, file)
    if not permits and not problems:
        problems = [Problem(file, 1, "no trae ningún permiso; revise que sea el registro")]
    if not permits or (problems and not is_partial):
        raise RegisterError(problems)
    async with pool.acquire() as connection, connection.transaction():
        rows = await connection.fetch(f"select {_FIELDS} from permits")  # noqa: S608
        known = {row["folio"]: _permit(row) for row in rows}
        await connection.executemany(
            "insert into permits (folio, trade, place, sector, valid_from, valid_until, state, source,"
            " imported_at) values ($1, $2, $3, $4, $5, $6, $7, $8, $9)"
            " on conflict (folio) do update set trade = excluded.trade, place = excluded.place,"
            " sector = excluded.sector, valid_from = excluded.valid_from, valid_until = excluded.valid_until,"
            " state = excluded.state, source = excluded.source, imported_at = excluded.imported_at",
            [
                (p.folio, p.trade, p.place, p.sector, p.valid_from, p.valid_until, p.state, file, now)
                for p in permits
            ],
        )
    new = sum(p.folio not in known for p in permits)
    equal = sum(known.get(p.folio) == p for p in permits)
    absent = len(known.keys() - {p.folio for p in permits})
    return Imported(
        new=new, changed=len(permits) - new - equal, equal=equal, absent=absent, problems=problems
    )


async def find(pool: Pool, folio: str, today: date) -> Known | None:
    row = await pool.fetchrow(
        f"select {_FIELDS}, imported_at, source from permits where folio = $1",  # noqa: S608
        folio,
    )
    if row is None:
        return None
    permit = _permit(row)
    return Known(
        permit=permit,
        standing=standing(permit, today),
        imported_at=row["imported_at"],
        source=row["source"],
    )


async def register(pool: Pool, today: date) -> Register:
    row = await pool.fetchrow(
        "select count(*) as total, count(*) filter (where state = 'active' and valid_until >= $1"
        " and (valid_from is null or valid_from <= $1)) as valid, max(imported_at) as newest_at,"
        " (select source from permits order by imported_at desc limit 1) as source from permits",
        today,
    )
    assert row is not None  # noqa: S101  (an aggregate has one row)
    return Register(
        count=row["total"], valid=row["valid"], newest_at=row["newest_at"], source=row["source"] or ""
    )


async def carried(pool: Pool, today: date) -> list[Permit]:
    """What a phone takes along: those that run or ended not long ago, the longest valid first."""
    rows = await pool.fetch(
        f"select {_FIELDS} from permits where valid_until >= $1"  # noqa: S608
        " order by valid_until desc, folio limit $2",
        today - CARRIED_AFTER_END,
        MAX_CARRIED,
    )
    return [_permit(row) for row in rows]


async def in_force(pool: Pool, today: date, folios: Sequence[str] = (), sector: str = "") -> list[Permit]:
    """Permits that are valid now or will be, by folio; those of ``folios`` or of a sector only."""
    rows = await pool.fetch(
        f"select {_FIELDS} from permits where state = 'active' and valid_until >= $1"  # noqa: S608
        " and (cardinality($2::text[]) = 0 or folio = any($2)) and ($3 = '' or sector = $3) order by folio",
        today,
        list(folios),
        sector,
    )
    return [_permit(row) for row in rows]


def sticker(permit: Permit) -> Sticker:
    until = f"hasta el {permit.valid_until:%d-%m-%Y}"
    return Sticker(code=permit.folio, name=permit.trade, place=f"{permit.place}, {until}")


def _permit(row: "asyncpg.Record") -> Permit:
    return Permit(**{name.strip(): row[name.strip()] for name in _FIELDS.split(",")})
