"""The rows of measures from the database: one query for each measure and window, asked once.

A busy month is tens of thousands of rows. What is done with them is done in threads: the loop of a hub
carries alarms.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from hub.database import Pool
from hub.database.statement import numbered
from hub.plan.computing import Row, Use
from hub.plan.formula import Node, aggregates
from hub.plan.measures import VOCABULARY
from hub.plan.parameters import as_json
from hub.plan.periods import Period, Window
from hub.plan.vocabulary import Measure

QUERY_LIMIT_S = 120.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Asking:
    """With what every query is asked. Nothing later than ``as_of`` is known to any of them."""

    as_of: datetime
    parameters: Mapping[str, Any]


def uses_of(nodes: Iterable[Node]) -> list[Use]:
    """What formulas need, each once; measures without a query need nothing."""
    found = {Use.of(part) for node in nodes for part in aggregates(node)}
    return sorted(
        (use for use in found if VOCABULARY[use.measure].sql), key=lambda use: (use.measure, use.days or 0)
    )


def window_of(use: Use, period: Period) -> Window:
    return period.window(use.days, use.years_back)


async def fetch(pool: Pool, measure: Measure, window: Window, asking: Asking) -> list[Row]:
    """The rows of one measure, as plain values: text, numbers, yes or no, None."""
    statement = numbered(measure.sql)
    values = {
        "since": window.since,
        "until": window.until,
        "as_of": asking.as_of,
        "settings": as_json(asking.parameters),
    }
    async with (
        pool.acquire() as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        # a plan made for one month is a bad one for the next: the tables differ by orders of magnitude
        rows = await connection.fetch(statement.sql, *statement.arguments(values), timeout=120)
    return await asyncio.to_thread(lambda: [dict(row) for row in rows])


async def gather(pool: Pool, uses: Sequence[Use], period: Period, asking: Asking) -> dict[Use, Sequence[Row]]:
    """The rows of each use; one query after the other, because the database has alarms to serve."""
    found: dict[Use, Sequence[Row]] = {}
    for use in uses:
        found[use] = await fetch(pool, VOCABULARY[use.measure], window_of(use, period), asking)
    return found
