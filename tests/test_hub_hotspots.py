"""Hot spots over a seeded year: where, when and why, against what was put in."""

import random
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import h3
import pytest
from commune_history import insert
from linked_field import alert_row, at_metres

from hub.alerts import catalogue
from hub.database import Pool
from hub.hotspots import sheets
from hub.hotspots.finding import best_time, find, next_time
from hub.hotspots.model import MIN_EVENTS, Bin, Sheet, When
from hub.hotspots.naming import code_of
from hub.plan.parameters import parameters_of

NOW = datetime(2027, 1, 16, 15, tzinfo=UTC)
SANTIAGO = ZoneInfo("America/Santiago")
DAY = timedelta(days=1)
MARKET, QUARRY = (0, 0), (4_000, 0)


def codes() -> Mapping[str, str]:
    found: Mapping[str, str] = parameters_of(catalogue.load())["code_of_kind"]
    return found


def scatter(dice: random.Random, count: int, since: int, until: int) -> list[dict[str, Any]]:
    """Events all over 6 x 6 km at any hour, between so many days ago."""
    return [
        alert_row(
            NOW - DAY * dice.uniform(until, since),
            (dice.uniform(-3_000, 3_000), dice.uniform(-3_000, 3_000)),
            sector="CENTRO", classification=dice.choice(("INC.RUIDOS", "DEL.HURTO")), place="",
        )
        for _ in range(count)
    ]  # fmt: skip


def saturdays(dice: random.Random, count: int) -> list[dict[str, Any]]:
    """Street trade at the market on the last four Saturdays, between 19 and 23 h local."""
    rows = []
    for number in range(count):
        day = datetime(2027, 1, 9, tzinfo=SANTIAGO) - 7 * DAY * (number % 4)
        at = (day + timedelta(hours=dice.uniform(19, 22.9))).astimezone(UTC)
        spot = (dice.uniform(-40, 40), dice.uniform(-40, 40))
        rows.append(alert_row(at, spot, place="Feria Costanera"))
    return rows


async def fill(pool: Pool) -> None:
    dice = random.Random(3)
    rows = scatter(dice, 120, 28, 0) + scatter(dice, 900, 390, 28)
    rows += saturdays(dice, 18)
    # a chronic place: the same share of all events before and now
    rows += [
        alert_row(NOW - DAY * dice.uniform(0, 28), QUARRY, sector="RURAL", place="Cantera") for _ in range(14)
    ]
    rows += [alert_row(NOW - DAY * dice.uniform(28, 390), QUARRY, sector="RURAL") for _ in range(95)]
    for change in (
        {"is_drill": True}, {"is_reserved": True}, {"kind": "duress", "classification": ""},
        {"reason": "mistaken"}, {"reason": "test"}, {"classification": "TEC.SIM"},
        {"classification": "EMG.MEDICA"}, {"closed_at": NOW + DAY},
    ):  # fmt: skip
        rows += [alert_row(NOW - DAY, (2_000, 2_000), **change) for _ in range(12)]
    rows += [alert_row(NOW - DAY, None, sector="CENTRO")]
    await insert(pool, "alerts", rows)


@pytest.fixture
async def found(pool: Pool) -> dict[str, Sheet]:
    await fill(pool)
    await sheets.refresh(pool, NOW, codes)
    loaded = {name: await sheets.load(pool, name) for name in ("", "INC", "DEL", "RUR")}
    return {name: sheet for name, sheet in loaded.items() if sheet is not None}


async def test_the_place_that_was_put_in_is_found_with_its_hours_and_its_reason(
    found: dict[str, Sheet],
) -> None:
    sheet = found[""]
    assert (sheet.recent, sheet.unplaced) == (120 + 18 + 14, 1)
    assert {spot.code for spot in sheet.spots} == {"FOC-COSTA-01", "FOC-RURAL-01"}
    [market] = [spot for spot in sheet.spots if spot.code == "FOC-COSTA-01"]
    assert market.recent >= 18
    assert market.kinds[0].code == "INC.COMERCIO"
    assert market.kinds[0].events == 18
    assert (market.when.weekday, market.when.hour) == (6, 19)
    assert market.when.is_hour_clear
    assert market.when.is_day_clear
    assert market.when.on_day == 18
    assert market.planned_start == datetime(2027, 1, 23, 22, tzinfo=UTC)  # today's block cannot be prepared
    assert market.points[0].name == "Feria Costanera"
    assert market.ratio is not None
    assert market.ratio.is_more  # it was nothing a month ago
    assert market.expected is not None
    assert market.expected < 3
    lat, lon = at_metres(*MARKET)
    assert h3.latlng_to_cell(lat, lon, 9) in market.cells


async def test_a_place_that_was_always_like_that_is_within_what_is_expected(found: dict[str, Sheet]) -> None:
    [quarry] = [spot for spot in found[""].spots if spot.code == "FOC-RURAL-01"]
    assert quarry.ratio is not None
    assert quarry.ratio.may_be_chance
    assert quarry.recent == pytest.approx(quarry.expected, rel=0.3)
    assert not quarry.when.is_hour_clear


async def test_small_cells_are_counted_and_not_shown(found: dict[str, Sheet]) -> None:
    for sheet in found.values():
        assert all(cell.recent >= MIN_EVENTS for cell in sheet.cells)
        assert sum(cell.recent for cell in sheet.cells) + sheet.hidden_events == sheet.recent
    assert found[""].hidden_cells > 20


async def test_a_family_has_its_own_sheet(found: dict[str, Sheet]) -> None:
    assert not found["DEL"].spots
    assert {spot.code for spot in found["INC"].spots} == {"FOC-COSTA-01", "FOC-RURAL-01"}
    assert found["RUR"].recent == 0
    assert found["RUR"].heats == []


async def test_heats_count_every_event_once_in_local_hours(found: dict[str, Sheet]) -> None:
    whole, *sectors = found[""].heats
    assert whole.sector == ""
    assert whole.total == sum(one.total for one in sectors)
    [coast] = [one for one in sectors if one.sector == "COSTA"]
    assert sum(coast.hours[5][19:23]) == coast.total == 18  # Saturdays, as it is in Chile


async def test_repeats_are_of_one_kind_near_and_soon(pool: Pool) -> None:
    rows = [
        alert_row(NOW - 10 * DAY, (0, 0), classification="DEL.ROBO_HABITADO", place="Los Aromos"),
        alert_row(NOW - 5 * DAY, (150, 0), classification="DEL.ROBO_HABITADO", place="Los Aromos"),
        alert_row(NOW - 2 * DAY, (320, 0), classification="DEL.ROBO_HABITADO", place="Los Aromos"),
        alert_row(NOW - 2 * DAY, (320, 0), classification="DEL.HURTO"),
        alert_row(NOW - 40 * DAY, (900, 0), classification="DEL.HURTO"),
        alert_row(NOW - 20 * DAY, (900, 10), classification="DEL.HURTO", place="Plaza"),
        alert_row(NOW - 49 * DAY, (3_000, 0), classification="INC.RUIDOS"),
        alert_row(NOW - 20 * DAY, (3_000, 0), classification="INC.RUIDOS"),  # 29 days after
        alert_row(NOW - 3 * DAY, (0, 0), classification="DEL.ROBO_HABITADO", is_reserved=True),
    ]  # fmt: skip
    await insert(pool, "alerts", rows)
    [sheet, *_] = await sheets.refresh(pool, NOW, codes)
    assert [(one.code, one.place, one.events) for one in sheet.repeats] == [
        ("DEL.ROBO_HABITADO", "Los Aromos", 3),
        ("DEL.HURTO", "Plaza", 2),
    ]


async def test_a_hot_spot_keeps_its_code_and_a_second_one_gets_the_next(pool: Pool) -> None:
    await fill(pool)
    first = await sheets.refresh(pool, NOW, codes)
    assert await sheets.refresh(pool, NOW, codes) == first
    rows = [alert_row(NOW - DAY, (0, 2_500), place="Muelle") for _ in range(16)]
    await insert(pool, "alerts", rows)
    [sheet, *_] = await sheets.refresh(pool, NOW + timedelta(hours=1), codes)
    by_code = {spot.code: spot for spot in sheet.spots}
    assert by_code["FOC-COSTA-02"].points[0].name == "Muelle"
    assert by_code["FOC-COSTA-01"].points[0].name == "Feria Costanera"
    assert await pool.fetchval("select count(*) from hot_spots") == 3


async def test_without_history_nothing_is_compared(pool: Pool) -> None:
    await insert(pool, "alerts", saturdays(random.Random(1), 18) + scatter(random.Random(2), 60, 28, 0))
    [sheet, *_] = await sheets.refresh(pool, NOW, codes)
    [spot] = sheet.spots
    assert spot.expected is None
    assert spot.ratio is None


async def test_an_empty_commune_has_empty_sheets(pool: Pool) -> None:
    for sheet in await sheets.refresh(pool, NOW, codes):
        assert (sheet.recent, sheet.cells, sheet.spots, sheet.repeats) == (0, [], [], [])


# --------------------------------------------------------------------------------------------- pure


def test_events_spread_evenly_make_no_hot_spot() -> None:
    bins = [
        Bin(*at_metres(east, north), "CENTRO", 6, 60, 3.0)
        for east in range(-2_000, 2_001, 400)
        for north in range(-2_000, 2_001, 400)
    ]
    found = find(bins)
    assert found.cells
    assert not found.peaks


def test_neighbours_join_the_heavier_peak_and_a_far_one_stands_alone() -> None:
    background = [Bin(*at_metres(x, 9_000), "CENTRO", 1, 10, 0.5) for x in range(0, 40_000, 400)]
    middle = h3.latlng_to_cell(*at_metres(0, 0), 9)
    beside, far = min(h3.grid_ring(middle, 1)), min(h3.grid_ring(middle, 6))
    hot = [
        Bin(*h3.cell_to_latlng(cell), "COSTA", events, 0, float(events))
        for cell, events in ((middle, 30), (beside, 20), (far, 25))
    ]
    peaks = find([*background, *hot]).peaks
    assert [(peak.cells, peak.recent) for peak in peaks] == [((middle, beside), 50), ((far,), 25)]


def test_a_block_over_midnight_belongs_to_the_day_on_which_it_began() -> None:
    when = best_time({(5, 23): (6, 6.0), (6, 0): (6, 6.0), (6, 1): (6, 6.0), (2, 12): (1, 1.0)})
    assert (when.weekday, when.on_day, when.in_block, when.total) == (5, 18, 18, 19)
    assert when.hour in (22, 23)


def test_hours_that_chance_would_make_are_not_called_clear() -> None:
    when = best_time({(1 + n % 7, (5 * n) % 24): (1, 1.0) for n in range(10)})
    assert not when.is_hour_clear
    assert not when.is_day_clear


@pytest.mark.parametrize(
    ("weekday", "hour", "starts"),
    [
        (6, 19, datetime(2027, 1, 23, 22, tzinfo=UTC)),  # today at 19 h is too soon
        (7, 13, datetime(2027, 1, 17, 16, tzinfo=UTC)),  # tomorrow, 25 hours ahead
        (7, 11, datetime(2027, 1, 24, 14, tzinfo=UTC)),  # tomorrow, 23 hours ahead
    ],
)
def test_the_next_time_leaves_a_day_to_prepare(weekday: int, hour: int, starts: datetime) -> None:
    when = When(hour, weekday, 10, 10, 10, is_hour_clear=True, is_day_clear=True)
    assert next_time(when, NOW) == (starts, starts + timedelta(hours=4))


def test_the_next_time_keeps_its_local_hour_over_the_change_of_clocks() -> None:
    when = When(19, 1, 1, 1, 1, is_hour_clear=True, is_day_clear=True)
    start, _ = next_time(when, datetime(2027, 4, 3, 12, tzinfo=UTC))  # winter time begins that night
    assert start.astimezone(SANTIAGO).strftime("%A %H:%M") == "Monday 19:00"


def test_codes_are_plain_letters() -> None:
    assert code_of("Quebrada Honda", 3) == "FOC-QUEBRADA-HONDA-03"
    assert code_of("ÑUÑOA / norte", 12) == "FOC-NUNOA-NORTE-12"
    assert code_of("", 1) == "FOC-SIN-SECTOR-01"
