"""Figures are frozen by themselves some days after their period ended. Any number of hubs may run it."""

import logging
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from hub.clock import Clock
from hub.database import UNAVAILABLE, Pool
from hub.plan import freezing, service
from hub.plan.errors import PlanError
from hub.plan.facts import Asking
from hub.plan.model import INDICATOR_PERIODS, Topics
from hub.plan.periods import Period, last_finished, last_periods

log = logging.getLogger(__name__)

CADENCE_S = 1800.0
AUTHOR = "hub"
BACK: Mapping[str, int] = {"dia": 14, "semana": 4, "mes": 3, "trimestre": 2, "anio": 1}
"""Periods of each kind that are made up for after the hub, or its database, was away."""
_LOCK = 0x66726565

Parameters = Callable[[], Mapping[str, Any]]


async def freeze_loop(
    pool: Pool, clock: Clock, topics: Callable[[], Topics], parameters: Parameters, days: int
) -> None:
    """``days`` after a period's end: phones that had no network and late closings are in by then."""
    while True:
        try:
            await freeze_due(pool, topics(), Asking(as_of=clock.now(), parameters=parameters()), days)
        except UNAVAILABLE as error:
            log.warning("freezing waits: database away (%s)", type(error).__name__)
        await clock.sleep(CADENCE_S)


async def freeze_due(pool: Pool, topics: Topics, asking: Asking, days: int) -> int:
    """Freeze what ended and is not frozen yet; how many figures. Nothing at all while another hub does.

    What ended before the hub had its first alert is left alone: there is nothing to say about it.
    """
    first: datetime | None = await pool.fetchval("select min(opened_at) from alerts")
    if first is None:
        return 0
    ended = asking.as_of - timedelta(days=days)
    count = 0
    async with pool.acquire() as guard, guard.transaction():
        if not await guard.fetchval("select pg_try_advisory_xact_lock($1)", _LOCK):
            return 0
        for period in _periods(ended):
            if period.until > first:
                count += await _freeze(pool, topics, period, asking)
    return count


def _periods(ended: datetime) -> list[Period]:
    """Periods that were over at ``ended``, the oldest of each kind first."""
    kinds = [kind for kind in INDICATOR_PERIODS if kind in BACK]
    return [one for kind in kinds for one in last_periods(last_finished(kind, ended), BACK[kind])]


async def _freeze(pool: Pool, topics: Topics, period: Period, asking: Asking) -> int:
    count = 0
    # the plan that ruled when the period ended, not the one of today
    for of in await service.sets(pool, topics, period.until - timedelta(seconds=1)):
        if not of.of_kind(period.kind):
            continue
        try:
            frozen = await freezing.freeze(pool, of, period, asking, author=AUTHOR)
        except PlanError as error:
            # one plan that cannot be computed stops no other
            log.warning("%s of %s is not frozen: %s", period.label, of.plan_id, error)
            continue
        if frozen:
            log.info("froze %d figures of %s for %s", len(frozen), of.plan_id, period.label)
        count += len(frozen)
    return count
