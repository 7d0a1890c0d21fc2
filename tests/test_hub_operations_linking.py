"""Events tied to operations by place and time: what is tied, why, and what is never tied again."""

import uuid
from datetime import timedelta

import pytest
from linked_field import NOON, alert, alert_line, at_metres, operation, operation_line, square

from hub.alerts import catalogue
from hub.database import Pool
from hub.operations import linking
from hub.operations.linking import Linking
from hub.operations.places import Place, contains, metres
from hub.plan.parameters import parameters_of

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
LATER = NOON + 30 * DAY


@pytest.fixture
def worker(pool: Pool) -> Linking:
    return Linking(pool, lambda: parameters_of(catalogue.load())["code_of_kind"])


async def links(pool: Pool, operation_id: uuid.UUID) -> dict[uuid.UUID, tuple[str, str]]:
    rows = await pool.fetch(
        "select alert_id, relation, reason from operation_links"
        " where operation_id = $1 and removed_at is null",
        operation_id,
    )
    return {row["alert_id"]: (row["relation"], row["reason"]) for row in rows}


async def test_place_and_time_make_a_tie_and_its_reason(pool: Pool, worker: Linking) -> None:
    before = await alert(pool, NOON - 6 * DAY - HOUR, (120, 0))
    during = await alert(pool, NOON + HOUR, (0, 299))
    after = await alert(pool, NOON + 3 * HOUR + 2 * DAY, (0, -40))
    for stray in (
        (NOON - 29 * DAY, (0, 0)), (NOON + 18 * DAY, (0, 0)), (NOON - DAY, (301, 0)), (NOON - DAY, None),
    ):  # fmt: skip
        await alert(pool, *stray)
    one = await operation(pool, points={"Feria": (0, 0), "Muelle": (2_000, 0)})
    done = await worker.round(LATER)
    assert (done.made, done.taken_back) == (3, 0)
    assert await links(pool, one) == {
        before: ("origin", "a 120 m del punto Feria, 6 días antes"),
        during: ("during", "a 299 m del punto Feria, durante el operativo"),
        after: ("after", "a 40 m del punto Feria, 2 días después"),
    }


async def test_a_round_again_changes_nothing(pool: Pool, worker: Linking) -> None:
    await alert(pool, NOON - DAY)
    await operation(pool, points={"Feria": (0, 0)})
    assert (await worker.round(LATER)).made == 1
    for _ in range(2):
        done = await worker.round(LATER)
        assert (done.made, done.taken_back, done.is_last) == (0, 0, True)
    assert (await worker.all(LATER)).made == 0
    assert await pool.fetchval("select count(*) from operation_links") == 1


async def test_the_area_ties_and_where_there_is_no_place_the_sector(pool: Pool, worker: Linking) -> None:
    near, far = await alert(pool, NOON - DAY, (400, 400)), await alert(pool, NOON - DAY, (900, 0))
    unplaced = await alert(pool, NOON - 5 * HOUR, None)
    drawn = await operation(pool, area=square(500))
    bare = await operation(pool)
    await worker.round(LATER)
    assert await links(pool, drawn) == {near: ("origin", "dentro del área, 1 día antes")}
    assert (await links(pool, bare))[far] == ("origin", "en el sector COSTA, 1 día antes")
    assert (await links(pool, bare))[unplaced] == (
        "origin",
        "en el sector COSTA, sin posición, 5 horas antes",
    )
    await pool.execute(
        "insert into sectors (sector, area) values ('COSTA', $1::jsonb)", str(square(500)).replace("'", '"')
    )
    await worker.all(LATER)  # the outline is known by now: who is outside of it goes
    assert far not in await links(pool, bare)
    assert (await links(pool, bare))[near] == (
        "origin",
        "en el sector COSTA, 1 día antes",
    )  # the acta's words


async def test_a_window_of_its_own_stands_before_the_28_days(pool: Pool, worker: Linking) -> None:
    early, late = await alert(pool, NOON - 40 * DAY), await alert(pool, NOON - DAY)
    one = await operation(
        pool, points={"Feria": (0, 0)}, origin_since=NOON - 45 * DAY, origin_until=NOON - 20 * DAY
    )
    await worker.round(LATER)
    assert set(await links(pool, one)) == {early}
    assert late


async def test_an_alert_that_comes_later_is_tied_as_it_comes(pool: Pool, worker: Linking) -> None:
    one = await operation(pool, points={"Feria": (0, 0)})
    await worker.round(NOON + 4 * HOUR)
    fresh = await alert(pool, NOON + DAY, state="received", reason=None, closed_at=None)
    assert (await worker.round(NOON + DAY)).made == 1
    assert (await links(pool, one))[fresh][0] == "after"
    await pool.execute("update alerts set state = 'closed', reason = 'mistaken', closed_at = $1", NOON + DAY)
    await alert_line(pool, fresh, NOON + DAY)
    assert (await worker.round(NOON + DAY)).taken_back == 1  # it was nothing
    assert await links(pool, one) == {}
    await pool.execute("update alerts set reason = 'attended'")
    await alert_line(pool, fresh, NOON + 2 * DAY)
    assert (await worker.round(NOON + 2 * DAY)).made == 1  # the hub itself had taken it back


async def test_what_a_person_took_back_is_never_made_again(pool: Pool, worker: Linking) -> None:
    fresh = await alert(pool, NOON - DAY)
    one = await operation(pool, points={"Feria": (0, 0)})
    await worker.round(LATER)
    await pool.execute("update operation_links set removed_at = $1, removed_by = 'jaime'", LATER)
    await alert_line(pool, fresh, NOON)
    await operation_line(pool, one, NOON, "executed")
    assert (await worker.round(LATER)).made == 0
    assert (await worker.all(LATER)).made == 0
    assert await links(pool, one) == {}


async def test_a_link_made_by_hand_is_left_alone(pool: Pool, worker: Linking) -> None:
    far = await alert(pool, NOON - 60 * DAY, (5_000, 0))
    one = await operation(pool, points={"Feria": (0, 0)})
    await pool.execute(
        "insert into operation_links (operation_id, alert_id, relation, way, reason, author, at)"
        " values ($1, $2, 'origin', 'by_hand', 'lo dijo la junta', 'jaime', $3)",
        one, far, NOON,
    )  # fmt: skip
    await worker.round(LATER)
    assert set(await links(pool, one)) == {far}


@pytest.mark.parametrize(
    "change",
    [
        {"is_reserved": True}, {"kind": "duress", "classification": ""}, {"classification": "VIF"},
        {"is_drill": True}, {"reason": "test"}, {"reason": "mistaken"}, {"reason": "duplicate"},
        {"classification": "TEC.SIM"}, {"kind": "battery_low", "classification": ""},
    ],
)  # fmt: skip
async def test_reserved_tests_and_equipment_are_never_tied(
    pool: Pool, worker: Linking, change: dict[str, object]
) -> None:
    await alert(pool, NOON - DAY, **change)
    one = await operation(pool, points={"Feria": (0, 0)})
    await worker.round(LATER)
    assert await links(pool, one) == {}


async def test_a_tie_goes_when_its_alert_becomes_reserved(pool: Pool, worker: Linking) -> None:
    was_open = await alert(pool, NOON - DAY)
    one = await operation(pool, points={"Feria": (0, 0)})
    await worker.round(LATER)
    await pool.execute("update alerts set is_reserved = true, classification = 'DEL.SEXUAL'")
    await alert_line(pool, was_open, LATER)
    assert (await worker.round(LATER)).taken_back == 1
    assert await links(pool, one) == {}


async def test_a_moved_operation_is_tied_anew_and_a_suspended_or_practised_one_not(
    pool: Pool, worker: Linking
) -> None:
    await alert(pool, NOON + HOUR)
    one = await operation(
        pool, NOON + 2 * DAY, points={"Feria": (0, 0)}, state="planned", started_at=None, ended_at=None
    )
    drill = await operation(pool, points={"Feria": (0, 0)}, is_drill=True)
    await worker.round(NOON + 2 * HOUR)
    [(relation, _)] = (await links(pool, one)).values()
    assert relation == "origin"
    assert await links(pool, drill) == {}
    await pool.execute(
        "update operations set state = 'executed', started_at = $2, ended_at = $3 where operation_id = $1",
        one, NOON, NOON + 5 * HOUR,
    )  # fmt: skip
    await operation_line(pool, one, NOON + 5 * HOUR, "executed")
    done = await worker.round(NOON + 6 * HOUR)
    assert (done.made, done.taken_back) == (1, 1)
    [(relation, _)] = (await links(pool, one)).values()
    assert relation == "during"
    await pool.execute(
        "update operations set state = 'suspended', suspended_because = 'lluvia' where operation_id = $1", one
    )
    await operation_line(pool, one, NOON + 7 * HOUR, "suspended")
    assert (await worker.round(LATER)).taken_back == 1


async def test_many_lines_are_read_in_portions(
    pool: Pool, worker: Linking, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(linking, "PORTION", 3)
    one = await operation(pool, points={"Feria": (0, 0)})
    await worker.round(LATER)
    for hours in range(10):
        await alert(pool, NOON - hours * HOUR - HOUR)
    rounds = 1
    while not (await worker.round(LATER)).is_last:
        rounds += 1
    assert rounds == 4
    assert len(await links(pool, one)) == 10


# --------------------------------------------------------------------------------------------- pure


def test_a_hole_is_outside_and_a_second_polygon_inside() -> None:
    outer, hole = square(500)["coordinates"][0], square(100)["coordinates"][0]
    other = square(50, (2_000, 0))["coordinates"][0]
    area = {"type": "MultiPolygon", "coordinates": [[outer, hole], [other]]}
    for place, is_in in (((0, 0), False), ((300, 300), True), ((2_000, 0), True), ((1_000, 0), False)):
        assert contains(area, Place(*at_metres(*place))) is is_in, place


def test_a_distance_is_what_was_measured() -> None:
    # Plaza de Armas of Santiago to the harbour of Valparaíso, by Vincenty's ellipsoid 100.7 km
    santiago, valparaiso = Place(-33.4378, -70.6505), Place(-33.0386, -71.6284)
    assert metres(santiago, valparaiso) == pytest.approx(100_700, rel=0.01)
