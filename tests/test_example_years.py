"""The fictional commune: its rows come from a seed, and all 26 indicators are counted a second time."""

import asyncio
import itertools
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest
import pytest_asyncio
from recount import Recount, Window

from hub.alerts import catalogue
from hub.database import Pool, connect
from hub.example_years import cases, operations, writing
from hub.example_years.commune import INHABITANTS, SECTORS
from hub.example_years.span import Span
from hub.plan import freezing, service
from hub.plan.computing import NoData
from hub.plan.facts import Asking
from hub.plan.loading import load_topics
from hub.plan.parameters import parameters_of
from hub.plan.periods import local_midnight, parse_period
from hub.servers.postgres import ROLE, EmbeddedPostgres

SPAN = Span.years(2, datetime(2026, 11, 26, 12, tzinfo=UTC))
NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
FROZEN = ["2025-01", "2026-02", "2026-09", "2026-T3", "2026-W40"]
EXPORTED = (*writing.TABLES, "plan_versions", "plan_evidence", "operation_links")


@dataclass(frozen=True)
class Commune:
    pool: Pool
    written: writing.Written
    recount: Recount


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def commune(
    postgres_server: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Commune]:
    """Two years in a database of their own, and their tables as CSV."""
    name = "example_years"
    admin = await asyncpg.connect(postgres_server.admin_dsn)
    await admin.execute(f"create database {name} template migrated owner {ROLE}")
    pool = await connect(f"{postgres_server.address.rpartition('/')[0]}/{name}", max_size=3)
    try:
        written = await writing.write(pool, SPAN, events=60_000)
        await writing.freeze(pool, FROZEN, NOW)
        folder = tmp_path_factory.mktemp("csv")
        async with pool.acquire() as connection:
            for table in EXPORTED:
                target = str(folder / f"{table}.csv")
                await connection.copy_from_table(table, output=target, format="csv", header=True)
        known = parameters_of(catalogue.load())
        recount = Recount(
            folder, NOW, known["code_of_kind"], known["restricted_kinds"], known["dmcs"], known["sla_s"]
        )
        yield Commune(pool, written, recount)
    finally:
        await pool.close()
        await admin.execute(f"drop database {name} with (force)")
        await admin.close()


def test_the_people_of_the_sectors_are_the_commune() -> None:
    assert sum(sector.residents for sector in SECTORS) == INHABITANTS


def test_a_seed_gives_the_same_rows_and_another_seed_others() -> None:
    span = Span(SPAN.first, SPAN.first + timedelta(days=40))
    first, again, other = (writing.make(span, seed) for seed in (1, 1, 2))
    for table in writing.TABLES:
        assert first.of(table) == again.of(table), table
    assert first.of("alerts") != other.of("alerts")


def test_nothing_is_of_the_future_and_nobody_has_a_real_number() -> None:
    span = Span(SPAN.first, SPAN.first + timedelta(days=40))
    rows = writing.make(span, 1)
    assert all(
        span.since <= row["opened_at"] < span.until + timedelta(seconds=3) for row in rows.of("alerts")
    )
    assert {row["phone"][:8] for row in rows.of("contacts")} == {"+5690000"}


def test_operations_hold_back_what_they_are_against() -> None:
    held = operations.held(SPAN, writing.SEED)
    found = cases.cases(SPAN, held, writing.SEED)
    without = cases.cases(SPAN, [], writing.SEED)
    fewer = Counter(case.habit.code for case in without)
    fewer.subtract(Counter(case.habit.code for case in found))
    assert fewer["INC.COMERCIO"] > 50
    assert fewer["INC.RUIDOS"] == 0  # no operation is against them


@pytest.mark.asyncio(loop_scope="module")
async def test_two_years_are_there(commune: Commune) -> None:
    assert commune.written.events == 60_000
    assert await commune.pool.fetchval("select count(*) from events") == 60_000
    months = await commune.pool.fetchval(
        "select count(distinct date_trunc('month', opened_at, 'America/Santiago')) from alerts"
    )
    assert months == 24
    with pytest.raises(writing.ExampleError, match="base vacía"):
        await writing.write(commune.pool, SPAN)


@pytest.mark.asyncio(loop_scope="module")
async def test_every_indicator_is_what_plain_python_counts(commune: Commune) -> None:
    asking = Asking(as_of=NOW, parameters=parameters_of(catalogue.load()))
    ready, differ, numbers = service.library(), {}, set()
    for label in ("2024-12", "2025-01", "2026-02", "2026-09", "2026-T3", "2026-W40"):
        period = parse_period(label)
        # I18 stands for one operation on its page; over a period it is the same formula over all of them
        here = [replace(one, period=period.kind) if one.period == "operativo" else one for one in ready]
        figures, _ = await freezing.compute_period(commune.pool, here, period, asking)
        window = Window(local_midnight(period.first_day), period.until)
        counted = await asyncio.to_thread(commune.recount.indicators, window)
        for one in ready:
            datum, mine = figures[one.id].datum, counted.get(one.id)
            told = None if isinstance(datum, NoData) else datum
            if told is not None and mine is not None:
                numbers.add(one.id)
                is_equal = told == pytest.approx(mine, rel=1e-9)
            else:
                is_equal = told is mine
            if not is_equal:
                differ[label, one.id] = (datum, mine)
    assert differ == {}
    assert {one.id for one in ready} - numbers == set()  # each was a number at least once


@pytest.mark.asyncio(loop_scope="module")
async def test_every_frozen_figure_is_verified(commune: Commune) -> None:
    snapshots = [
        row["snapshot_id"] for row in await commune.pool.fetch("select snapshot_id from plan_snapshots")
    ]
    assert len(snapshots) > 80
    topics = load_topics()
    for number in snapshots:
        found = await service.verify(commune.pool, topics, number)
        assert found.is_equal, number


def test_periods_end_within_the_history() -> None:
    labels = writing.periods_of(SPAN, 13)
    assert labels[0] == "2025-10"
    assert "2026-T3" in labels
    assert labels[-1] == "2026-10"
    assert all(parse_period(label).until <= SPAN.until for label in labels)
    assert sum("W" in label for label in labels) == 9
    assert list(itertools.islice(SPAN.days(), 1)) == [SPAN.first]
