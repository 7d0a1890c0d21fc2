"""Check-in points and rounds as rows: planned, walked, shown."""

import secrets
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from edge.contract import uuid7
from hub.database import Connection, Pool
from hub.fieldwork.errors import FieldError
from hub.fieldwork.rounds import Checkin, Checkpoint, Position, Proof, judge, prove

if TYPE_CHECKING:
    import asyncpg

# Without 0 and O, 1, I and L: people read codes off stickers in the dark.
_SIGNS = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"
MAX_LENGTH = timedelta(hours=24)
MAX_POINTS = 40
_POINT = "code, name, sector, latitude, longitude, radius_m"
_ROUND = "round_id, name, institution, starts_at, ends_at, max_gap_s, author, cancelled_at, cancelled_because"


@dataclass(frozen=True, kw_only=True, slots=True)
class Round:
    round_id: uuid.UUID
    name: str
    institution: str
    starts_at: datetime
    ends_at: datetime
    max_gap_s: int
    author: str
    cancelled_at: datetime | None
    cancelled_because: str


@dataclass(frozen=True, slots=True)
class Proven:
    round: Round
    proof: Proof


# --------------------------------------------------------------------------------------------- points


async def add_checkpoint(
    pool: Pool,
    *,
    name: str,
    sector: str,
    latitude: float,
    longitude: float,
    radius_m: int,
    author: str,
    now: datetime,
) -> Checkpoint:
    """A new place with a code of its own; raises :class:`FieldError` for what cannot be one."""
    if not name.strip() or len(name) > 120:
        raise FieldError("El punto lleva un nombre de 1 a 120 caracteres.")
    if not (-90 <= latitude <= 90 and -180 <= longitude <= 180):
        raise FieldError("La posición va en grados: latitud de -90 a 90, longitud de -180 a 180.")
    if not 10 <= radius_m <= 1000:
        raise FieldError("El radio va de 10 a 1.000 metros.")
    code = "".join(secrets.choice(_SIGNS) for _ in range(8))
    point = Checkpoint(
        code=code,
        name=name.strip(),
        sector=sector.strip(),
        latitude=latitude,
        longitude=longitude,
        radius_m=radius_m,
    )
    await pool.execute(
        f"insert into checkpoints ({_POINT}, author, created_at) values ($1, $2, $3, $4, $5, $6, $7, $8)",  # noqa: S608
        point.code,
        point.name,
        point.sector,
        point.latitude,
        point.longitude,
        point.radius_m,
        author,
        now,
    )
    return point


async def retire_checkpoint(pool: Pool, code: str, now: datetime) -> bool:
    """Plan no more rounds over it; those that were walked keep it. False where there is none."""
    done = await pool.fetchval(
        "update checkpoints set retired_at = $2 where code = $1 and retired_at is null returning true",
        code,
        now,
    )
    return bool(done)


async def list_checkpoints(pool: Pool, limit: int = 500) -> list[Checkpoint]:
    rows = await pool.fetch(
        f"select {_POINT} from checkpoints where retired_at is null order by sector, name, code limit $1",  # noqa: S608
        limit,
    )
    return [Checkpoint(**row) for row in rows]


# --------------------------------------------------------------------------------------------- rounds


async def plan_round(
    pool: Pool,
    *,
    name: str,
    institution: str,
    starts_at: datetime,
    ends_at: datetime,
    max_gap_s: int,
    codes: Sequence[str],
    author: str,
    now: datetime,
) -> uuid.UUID:
    """Raises :class:`FieldError` with what is wrong and how to mend it."""
    if not name.strip() or not institution.strip():
        raise FieldError("La ronda lleva un nombre y la institución que la hace.")
    if not starts_at < ends_at <= starts_at + MAX_LENGTH:
        raise FieldError("La ronda termina después de empezar y dura a lo más 24 horas; corrija las horas.")
    if not 60 <= max_gap_s <= MAX_LENGTH.total_seconds():
        raise FieldError("El tiempo máximo entre puntos va de 1 minuto a 24 horas.")
    if not 1 <= len(codes) <= MAX_POINTS or len(set(codes)) != len(codes):
        raise FieldError(f"La ronda lleva entre 1 y {MAX_POINTS} puntos distintos; marque los que recorre.")
    round_id = uuid7(now)
    async with pool.acquire() as connection, connection.transaction():
        known = await connection.fetchval(
            "select count(*) from checkpoints where code = any($1) and retired_at is null", list(codes)
        )
        if known != len(codes):
            raise FieldError("Uno de los puntos ya no está en uso; recargue la página y elija de nuevo.")
        await connection.execute(
            "insert into patrol_rounds (round_id, name, institution, starts_at, ends_at, max_gap_s, author,"
            " created_at) values ($1, $2, $3, $4, $5, $6, $7, $8)",
            round_id,
            name.strip(),
            institution.strip(),
            starts_at,
            ends_at,
            max_gap_s,
            author,
            now,
        )
        await connection.executemany(
            "insert into patrol_points (round_id, position, code) values ($1, $2, $3)",
            [(round_id, position, code) for position, code in enumerate(codes)],
        )
    return round_id


async def cancel_round(pool: Pool, round_id: uuid.UUID, because: str, now: datetime) -> None:
    """A round that nobody walked; raises :class:`FieldError` once somebody did."""
    if not because.strip():
        raise FieldError("Diga por qué se suspende la ronda.")
    done = await pool.fetchval(
        "update patrol_rounds r set cancelled_at = $2, cancelled_because = $3"
        " where round_id = $1 and cancelled_at is null"
        " and not exists (select from patrol_checkins c where c.round_id = r.round_id) returning true",
        round_id,
        now,
        because.strip(),
    )
    if not done:
        raise FieldError("La ronda ya tiene marcas o ya estaba suspendida; queda como está.")


async def list_rounds(pool: Pool, *, limit: int, before: datetime | None = None) -> list[Round]:
    """The newest first; ``before``: only those that start earlier."""
    rows = await pool.fetch(
        f"select {_ROUND} from patrol_rounds where $1::timestamptz is null or starts_at < $1"  # noqa: S608
        " order by starts_at desc, round_id limit $2",
        before,
        limit,
    )
    return [Round(**row) for row in rows]


async def find_round(pool: Pool | Connection, round_id: uuid.UUID) -> Round | None:
    row = await pool.fetchrow(f"select {_ROUND} from patrol_rounds where round_id = $1", round_id)  # noqa: S608
    return None if row is None else Round(**row)


async def rounds_of(pool: Pool, institution: str, since: datetime, until: datetime) -> list[Round]:
    """Rounds of an institution that touch the span and were not called off; at most fifty."""
    rows = await pool.fetch(
        f"select {_ROUND} from patrol_rounds where institution = $1 and starts_at < $3"  # noqa: S608
        " and starts_at > $2::timestamptz - interval '1 day' and ends_at > $2 and cancelled_at is null"
        " order by starts_at, round_id limit 50",
        institution,
        since,
        until,
    )
    return [Round(**row) for row in rows]


async def points_of(
    pool: Pool | Connection, round_ids: Sequence[uuid.UUID]
) -> dict[uuid.UUID, list[Checkpoint]]:
    """The points of each round, in its order."""
    rows = await pool.fetch(
        f"select p.round_id, {_POINT} from patrol_points p join checkpoints using (code)"  # noqa: S608
        " where p.round_id = any($1) order by p.round_id, p.position",
        list(round_ids),
    )
    points: dict[uuid.UUID, list[Checkpoint]] = {round_id: [] for round_id in round_ids}
    for row in rows:
        values = dict(row)
        points[values.pop("round_id")].append(Checkpoint(**values))
    return points


async def proofs(pool: Pool, rounds: Sequence[Round], now: datetime) -> list[Proven]:
    """Each round with its points, check-ins and gaps."""
    ids = [one.round_id for one in rounds]
    points = await points_of(pool, ids)
    checkins: dict[uuid.UUID, list[Checkin]] = {round_id: [] for round_id in ids}
    for row in await pool.fetch(
        "select round_id, code, at, way, verdict, distance_m, accuracy_m, time_quality, author"
        " from patrol_checkins where round_id = any($1) order by round_id, at",
        ids,
    ):
        checkins[row["round_id"]].append(_checkin(row))
    return [
        Proven(
            one,
            prove(
                points[one.round_id],
                checkins[one.round_id],
                one.starts_at,
                one.ends_at,
                timedelta(seconds=one.max_gap_s),
                now,
            ),
        )
        for one in rounds
    ]


def _checkin(row: "asyncpg.Record") -> Checkin:
    return Checkin(**{name: value for name, value in row.items() if name != "round_id"})


# ----------------------------------------------------------------------------------------- check-ins


async def check_in(
    connection: Connection,
    *,
    checkin_id: uuid.UUID,
    round_id: uuid.UUID,
    code: str,
    way: str,
    position: Position | None,
    at: datetime,
    time_quality: str,
    author: str,
    phone: str,
    now: datetime,
) -> str:
    """Keep one presence with its verdict, which is returned; raises :class:`FieldError` for none of ours."""
    round_ = await find_round(connection, round_id)
    if round_ is None:
        raise FieldError("Esa ronda no existe; actualice la página con señal.")
    points = (await points_of(connection, [round_id]))[round_id]
    point = next((one for one in points if one.code == code), None)
    if point is None:
        raise FieldError(f"El punto {code} no es de la ronda «{round_.name}»; revise el código.")
    if round_.cancelled_at is not None:
        raise FieldError(f"La ronda «{round_.name}» fue suspendida: {round_.cancelled_because}.")
    judged = judge(point, position)
    await connection.execute(
        "insert into patrol_checkins (checkin_id, round_id, code, way, latitude, longitude, accuracy_m,"
        " distance_m, verdict, at, time_quality, author, phone, recorded_at)"
        " values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)",
        checkin_id,
        round_id,
        code,
        way,
        position and position.latitude,
        position and position.longitude,
        position and position.accuracy_m,
        judged.distance_m,
        judged.verdict,
        at,
        time_quality,
        author,
        phone,
        now,
    )
    return judged.verdict
