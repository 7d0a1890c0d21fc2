"""Quantities and their numbers: rows of PostgreSQL, whatever store holds the readings."""

from collections.abc import Hashable, Iterable, Sequence
from datetime import datetime
from typing import TypeVar

from edge.contract import FUTURE_TOLERANCE
from hub.database import Pool
from hub.telemetry import Point, Reading, Series

_QUANTITY = """
    with made as (
      insert into quantities (name, unit) values ($1, $2) on conflict do nothing returning quantity_id)
    select quantity_id from made
    union all select quantity_id from quantities where name = $1 and unit = $2 limit 1
"""
_LATEST = """
    select l.device_id, q.name, q.unit, l.at, l.value, l.text
    from telemetry_latest l join quantities q using (quantity_id)
    where l.device_id = any($1) order by l.device_id, q.name, q.unit
"""
K = TypeVar("K", bound=Hashable)

# More names than this from the field is a fault or an attack, not a quantity.
_MAX_QUANTITIES = 5000


class Quantities:
    """(name, unit) → number."""

    def __init__(self) -> None:
        self.ids: dict[tuple[str, str], int] = {}

    async def load(self, pool: Pool) -> None:
        rows = await pool.fetch("select quantity_id, name, unit from quantities")
        self.ids = {(r["name"], r["unit"]): r["quantity_id"] for r in rows}

    async def prepare(self, pool: Pool, points: Iterable[Point]) -> None:
        """Give every new quantity its number, outside of the batch's transaction."""
        for key in {(p.quantity, p.unit) for p in points} - self.ids.keys():
            if len(self.ids) >= _MAX_QUANTITIES:
                break
            quantity_id = await pool.fetchval(_QUANTITY, *key)
            if quantity_id is None:  # another hub made it between the two halves of the statement
                quantity_id = await pool.fetchval(_QUANTITY, *key)
            self.ids[key] = quantity_id

    def known(self, points: Iterable[Point]) -> list[tuple[int, Point]]:
        """The points of quantities that have a number, with it."""
        return [
            (quantity_id, p)
            for p in points
            if (quantity_id := self.ids.get((p.quantity, p.unit))) is not None
        ]


def newest(
    series: Iterable[K], points: Iterable[Point], now: datetime, found: dict[K, Point] | None = None
) -> dict[K, Point]:
    """The newest point of each series in the batch that is not from the future.

    ``series`` names the series of each point, in whatever way its caller has at hand; ``found`` is what
    earlier parts of the batch gave, and is added to.
    """
    limit = now + FUTURE_TOLERANCE
    found = {} if found is None else found
    get = found.get
    for key, p in zip(series, points, strict=True):
        best = get(key)
        if (best is None or best.at < p.at) and p.at <= limit:
            found[key] = p
    return found


async def latest(pool: Pool, device_ids: Sequence[int]) -> list[Reading]:
    """From ``telemetry_latest``, which every store keeps: rules look there too."""
    rows = await pool.fetch(_LATEST, list(device_ids))
    return [
        Reading(Series(r["device_id"], r["name"], r["unit"]), r["at"], r["value"], r["text"]) for r in rows
    ]
