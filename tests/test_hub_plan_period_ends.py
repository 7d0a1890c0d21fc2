"""Figures are frozen by themselves: when, once, and what was missed."""

import asyncio
import re
from datetime import UTC, datetime, timedelta

import commune_history
import pytest_asyncio

from hub.alerts import catalogue
from hub.database import Pool
from hub.plan import freezing, service
from hub.plan.facts import Asking
from hub.plan.loading import load_topics
from hub.plan.parameters import parameters_of
from hub.plan.period_ends import freeze_due
from hub.plan.periods import SANTIAGO

TOPICS = load_topics()
DAYS = 3


def asking(at: datetime) -> Asking:
    return Asking(as_of=at, parameters=parameters_of(catalogue.load()))


@pytest_asyncio.fixture
async def newest(pool: Pool) -> datetime:
    """The end of the history: the first instant of a month."""
    await commune_history.fill(pool)
    last: datetime = await pool.fetchval("select max(opened_at) from alerts")
    return datetime(last.year + last.month // 12, last.month % 12 + 1, 1, 5, tzinfo=UTC)


async def frozen(pool: Pool) -> set[str]:
    return {row["period"] for row in await pool.fetch("select distinct period from plan_snapshots")}


async def test_a_month_is_frozen_some_days_after_its_end_and_once(pool: Pool, newest: datetime) -> None:
    month = (newest - timedelta(days=2)).strftime("%Y-%m")
    assert await freeze_due(pool, TOPICS, asking(newest + timedelta(days=2)), DAYS) > 0
    assert month not in await frozen(pool)
    at = newest + timedelta(days=DAYS, hours=1)
    counts = await asyncio.gather(*(freeze_due(pool, TOPICS, asking(at), DAYS) for _ in range(3)))
    assert month in await frozen(pool)
    assert sum(count > 0 for count in counts) >= 1
    rows = await pool.fetch("select count(*) as n from plan_snapshots group by plan_id, indicator, period")
    assert {row["n"] for row in rows} == {1}
    assert await freeze_due(pool, TOPICS, asking(at), DAYS) == 0
    number = await pool.fetchval("select snapshot_id from plan_snapshots where period = $1 limit 1", month)
    assert (await service.verify(pool, TOPICS, number)).is_equal
    assert (await freezing.find(pool, number)).author == "hub"


async def months(pool: Pool) -> list[str]:
    return sorted(one for one in await frozen(pool) if re.fullmatch(r"\d{4}-\d{2}", one))


async def test_what_was_missed_is_made_up_for(pool: Pool, newest: datetime) -> None:
    assert await freeze_due(pool, TOPICS, asking(newest + timedelta(days=75)), DAYS) > 0
    assert len(await months(pool)) == 3


async def test_what_ended_before_the_first_alert_is_left_alone(pool: Pool, newest: datetime) -> None:
    first: datetime = await pool.fetchval("select min(opened_at) from alerts")
    assert await freeze_due(pool, TOPICS, asking(first + timedelta(days=40)), 0) > 0
    assert (await months(pool))[0] == first.astimezone(SANTIAGO).strftime("%Y-%m")


async def test_an_empty_hub_freezes_nothing(pool: Pool) -> None:
    assert await freeze_due(pool, TOPICS, asking(datetime(2026, 11, 26, tzinfo=UTC)), DAYS) == 0
    assert await frozen(pool) == set()
