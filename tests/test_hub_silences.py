"""Few alerts: one for a gateway and its ten thousand, groups, what flaps, what is silenced until when."""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fakes import assert_in_time
from hypothesis import given
from hypothesis import strategies as st

from hub.alerts import few, service, silences
from hub.alerts.ending import close_calm
from hub.alerts.finding import Finding
from hub.alerts.lifecycle import Move, Reason, State
from hub.alerts.model import RESTRICTED_KINDS, Alert
from hub.alerts.silences import NEVER_SILENCED, Silence, SilenceError, Silences, Sort, sort_out
from hub.database import Pool
from hub.notify import escalating, policy_file
from hub.notify import service as notify

NOW = datetime(2026, 11, 24, 0, 4, tzinfo=UTC)
POLICIES = policy_file.load(None)


def after(**length: float) -> datetime:
    return NOW + timedelta(**length)


def finding(key: str, **changes: Any) -> Finding:
    values: dict[str, Any] = {
        "rule": "r",
        "kind": key.partition(":")[0],
        "priority": 3,
        "dedup_key": key,
        "summary": f"Algo: {key}",
        "happened_at": NOW,
        "gateway": "gw-1",
        "place": "Los Boldos",
    }
    return Finding(**(values | changes))


def silent(device: int, **changes: Any) -> Finding:
    return finding(f"device_silent:{device}", **changes)


GATEWAY = finding("gateway_silent:gw-1", priority=2)


async def receive(
    pool: Pool, *findings: Finding, now: datetime = NOW, quiet: Silences | None = None
) -> list[service.Outcome]:
    async with pool.acquire() as connection, connection.transaction():
        outcomes = await service.receive(connection, findings, now, quiet)
        await notify.enqueue_for(connection, outcomes, now, policies=POLICIES)
    return outcomes


async def speak(pool: Pool, *keys: str, now: datetime) -> None:
    """The supervision hears of them again."""
    async with pool.acquire() as connection, connection.transaction():
        await service.close_by_hub(connection, keys, now=now, note="volvió a comunicarse")


async def on_screen(pool: Pool) -> list[Alert]:
    return await service.list_open(pool, limit=500)


async def keys_on_screen(pool: Pool) -> list[str]:
    return sorted(alert.dedup_key for alert in await on_screen(pool))


# ------------------------------------------------------------------------------ parent and child


async def test_a_silent_gateway_covers_what_its_silence_explains(pool: Pool) -> None:
    await receive(pool, silent(1), finding("battery_low:2", priority=4), finding("gate_open:3"))
    await receive(pool, GATEWAY, now=after(seconds=10))
    assert await keys_on_screen(pool) == ["gate_open:3", "gateway_silent:gw-1"]
    assert await receive(pool, silent(4), now=after(seconds=20)) == []
    assert await keys_on_screen(pool) == ["gate_open:3", "gateway_silent:gw-1"]
    [parent] = [alert for alert in await on_screen(pool) if alert.kind == "gateway_silent"]
    assert (await service.covered(pool, parent.alert_id)).count == 3
    assert {c.dedup_key for c in await service.list_children(pool, parent.alert_id)} == {
        "device_silent:1",
        "device_silent:4",
        "battery_low:2",
    }
    assert (await service.counts(pool)).open == 2


async def test_a_life_alert_is_never_covered(pool: Pool) -> None:
    await receive(pool, GATEWAY)
    outcomes = await receive(pool, finding("panic:1", priority=1), silent(2, priority=1))
    assert all(outcome.opened for outcome in outcomes)
    assert len(await keys_on_screen(pool)) == 3


async def test_covered_alerts_call_nobody_and_come_back_when_their_cause_stays(pool: Pool) -> None:
    await receive(pool, silent(1), silent(2))
    await receive(pool, GATEWAY, now=after(seconds=10))
    hub = escalating.Escalator(pool=pool, policies=lambda: POLICIES)
    await hub.fire_due(after(hours=1))
    lines = await pool.fetch(
        "select distinct a.kind from alert_log l join alerts a using (alert_id) where l.move = 'escalated'"
    )
    assert [row["kind"] for row in lines] == ["gateway_silent"]
    await speak(pool, "gateway_silent:gw-1", "device_silent:2", now=after(hours=1))
    [left] = await on_screen(pool)
    assert (left.dedup_key, left.parent_id) == ("device_silent:1", None)
    assert await hub.fire_due(after(hours=1)) == 1  # plans anew from now on, fires nothing yet
    assert await hub.fire_due(after(hours=1, minutes=29)) == 0
    assert await hub.fire_due(after(hours=1, minutes=30)) == 1


async def test_what_a_person_closes_takes_its_children_along(pool: Pool) -> None:
    await receive(pool, *[silent(n) for n in range(8)])
    await receive(pool, GATEWAY, now=after(seconds=5))
    [parent] = await on_screen(pool)
    assert (await service.covered(pool, parent.alert_id)).count == 8
    await service.move(
        pool, parent.alert_id, Move.CLOSE, author="ana", now=after(minutes=1), reason=Reason.TECHNICAL
    )
    assert await on_screen(pool) == []
    rows = await pool.fetch("select distinct state, reason from alerts")
    assert [tuple(row) for row in rows] == [("closed", "technical")]


async def test_who_takes_a_covered_alert_has_it_on_its_own(pool: Pool) -> None:
    await receive(pool, GATEWAY)
    await receive(pool, silent(1))
    [child] = await service.list_children(pool, (await on_screen(pool))[0].alert_id)
    taken = await service.move(pool, child.alert_id, Move.ACKNOWLEDGE, author="ana", now=after(seconds=9))
    assert taken.parent_id is None
    assert "device_silent:1" in await keys_on_screen(pool)


@pytest.mark.speed
@pytest.mark.parametrize("order", ["gateway last", "gateway first", "together"])
async def test_ten_thousand_devices_that_lose_their_gateway_are_one_alert(pool: Pool, order: str) -> None:
    count = 10_000
    many = [silent(n, latitude=-34 - n / 1e5, longitude=-72.0) for n in range(count)]
    began = time.monotonic()
    if order == "gateway last":
        await receive(pool, *many)
        assert len(await on_screen(pool)) == 1
        await receive(pool, GATEWAY, now=after(seconds=30))
    elif order == "gateway first":
        await receive(pool, GATEWAY)
        await receive(pool, *many, now=after(seconds=30))
    else:
        await receive(pool, *many, GATEWAY)
    took_s = time.monotonic() - began
    [alert] = await on_screen(pool)
    assert alert.kind == "gateway_silent"
    below = await service.covered(pool, alert.alert_id)
    assert below.count == count
    assert below.area == pytest.approx((-34.09999, -72.0, -34.0, -72.0))
    assert await pool.fetchval("select count(*) from notifications") <= 2
    # the gateway is back, its devices are not: one alert for all of them, then none
    await speak(pool, GATEWAY.dedup_key, now=after(minutes=5))
    [group] = await on_screen(pool)
    assert (await service.covered(pool, group.alert_id)).count == count
    assert group.kind == "device_silent"
    await speak(pool, *(f.dedup_key for f in many), now=after(minutes=9))
    assert await on_screen(pool) == []
    assert await pool.fetchval("select count(*) from alerts where closed_at is null") == 0
    assert_in_time(took_s, 10)


# --------------------------------------------------------------------------------------- groups


async def test_the_fifth_of_a_kind_at_a_place_makes_them_one(pool: Pool) -> None:
    for n in range(4):
        await receive(pool, finding(f"tamper:{n}", priority=2), now=after(seconds=n))
    assert len(await on_screen(pool)) == 4
    [outcome] = await receive(pool, finding("tamper:4", priority=2), now=after(seconds=5))
    [alert] = await on_screen(pool)
    assert outcome.alert_id == alert.alert_id
    assert alert.summary == "Sabotaje: 5 dispositivos, Los Boldos"
    assert (await service.covered(pool, alert.alert_id)).count == 5
    assert await receive(pool, finding("tamper:9", priority=2), now=after(seconds=9)) == []


async def test_other_places_other_kinds_and_other_times_are_not_grouped(pool: Pool) -> None:
    for n in range(4):
        await receive(pool, finding(f"tamper:{n}"), now=NOW)
    await receive(pool, finding("tamper:5", place="Norte"), finding("camera_moved:6"), now=after(seconds=9))
    await receive(pool, finding("tamper:7"), now=after(seconds=301))
    assert len(await on_screen(pool)) == 7


async def test_an_alert_that_somebody_took_stays_out_of_the_group(pool: Pool) -> None:
    outcomes = [(await receive(pool, finding(f"tamper:{n}")))[0] for n in range(4)]
    await service.move(pool, outcomes[0].alert_id, Move.ACKNOWLEDGE, author="ana", now=NOW)
    await receive(pool, finding("tamper:4"), finding("tamper:5"))
    assert await keys_on_screen(pool) == ["group:tamper:place:Los Boldos", "tamper:0"]


async def test_two_hubs_make_one_group(pool: Pool) -> None:
    async def hub(part: int) -> None:
        for n in range(part, 60, 3):
            for _ in range(5):
                try:
                    await receive(pool, finding(f"tamper:{n}"), finding(f"tamper:{n + 100}"))
                    break
                except Exception as error:  # noqa: BLE001 - what the intake repeats, too
                    assert "deadlock" in str(error) or "repeat" in str(error)  # noqa: PT017

    await asyncio.gather(*(hub(part) for part in range(3)))
    groups = [a for a in await on_screen(pool) if a.dedup_key.startswith("group:")]
    assert len(groups) == 1
    assert len(await on_screen(pool)) <= 1 + 6
    assert await pool.fetchval("select count(*) from alerts where dedup_key like 'tamper:%'") == 120


# ------------------------------------------------------------------------------------- flapping


async def test_what_comes_and_goes_is_one_alert_until_it_is_calm(pool: Pool) -> None:
    for n in range(4):
        await receive(pool, silent(1), now=after(minutes=5 * n))
        await speak(pool, "device_silent:1", now=after(minutes=5 * n + 2))
    [outcome] = await receive(pool, silent(1), now=after(minutes=20))
    assert outcome.opened
    for n in range(5, 30):
        await speak(pool, "device_silent:1", now=after(minutes=5 * n - 1))
        [outcome] = await receive(pool, silent(1, happened_at=after(minutes=5 * n)), now=after(minutes=5 * n))
        assert not outcome.opened
    [alert] = await on_screen(pool)
    assert alert.summary.startswith("Intermitente (4 veces en 60 min): ")
    assert alert.event_count == 26
    assert await close_calm(pool, after(minutes=145 + 59)) == 0
    assert await close_calm(pool, after(minutes=145 + 61)) == 1
    assert await on_screen(pool) == []
    [outcome] = await receive(pool, silent(1), now=after(hours=5))
    assert outcome.opened
    assert await keys_on_screen(pool) == ["device_silent:1"]


async def test_a_panic_button_pressed_often_is_no_flapping(pool: Pool) -> None:
    for n in range(8):
        [outcome] = await receive(pool, finding("panic:1", priority=1), now=after(minutes=n))
        assert outcome.opened
        await service.move(
            pool, outcome.alert_id, Move.CLOSE, author="ana", now=after(minutes=n), reason=Reason.MISTAKEN
        )


# ------------------------------------------------------------------------------------- silences


def silence(**changes: Any) -> Silence:
    values: dict[str, Any] = {
        "silence_id": 1,
        "sort": Sort.SILENCE,
        "device_id": None,
        "gateway": "gw-1",
        "kind": None,
        "sector": None,
        "author": "ana",
        "reason": "poda",
        "starts_at": NOW,
        "ends_at": after(hours=1),
        "created_at": NOW,
        "ended_by": None,
        "held_back": 0,
        "last_held_at": None,
    }
    return Silence(**(values | changes))


@pytest.mark.parametrize(
    ("quiet", "now", "is_kept"),
    [
        (silence(), NOW, False),
        (silence(), after(minutes=59), False),
        (silence(), after(hours=1), True),
        (silence(), after(seconds=-1), True),
        (silence(gateway="gw-2"), NOW, True),
        (silence(gateway=None, device_id=7), NOW, False),
        (silence(gateway=None, device_id=8), NOW, True),
        (silence(kind="gate_open"), NOW, False),
        (silence(kind="tamper"), NOW, True),
        (silence(gateway=None, sector="Norte"), NOW, False),
        (silence(gateway=None, sector="Sur"), NOW, True),
        (silence(sort=Sort.MAINTENANCE), NOW, False),
    ],
)
def test_a_silence_holds_back_what_it_names_while_it_lasts(
    quiet: Silence, now: datetime, is_kept: bool
) -> None:
    one = finding("gate_open:7", device_id=7, sector="Norte")
    result = sort_out([one], [quiet], now)
    assert result.kept == ([one] if is_kept else [])
    assert dict(result.held_back) == ({} if is_kept else {1: 1})


@given(
    st.sampled_from(sorted(NEVER_SILENCED)),
    st.lists(st.sampled_from([silence(), silence(sort=Sort.MAINTENANCE), silence(sort=Sort.DRILL)])),
)
def test_a_call_for_help_is_never_held_back(kind: str, asked: list[Silence]) -> None:
    one = finding(f"{kind}:1", priority=1)
    [kept] = sort_out([one], asked, NOW).kept
    is_drill = any(s.sort is Sort.DRILL for s in asked) and kind not in RESTRICTED_KINDS
    assert kept.is_drill == is_drill
    assert kept.dedup_key == f"{kind}:1" + (":drill" if is_drill else "")


ASK: dict[str, Any] = {
    "sort": Sort.SILENCE,
    "author": "ana",
    "reason": "poda de árboles",
    "starts_at": NOW,
    "ends_at": after(hours=2),
    "now": NOW,
    "gateway": "gw-1",
}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"reason": "  "}, "motivo"),
        ({"author": ""}, "motivo"),
        ({"ends_at": after(days=30, seconds=1)}, "30 días"),
        ({"ends_at": NOW}, "posterior"),
        ({"starts_at": after(hours=-9), "ends_at": after(hours=-1)}, "posterior"),
        ({"gateway": None}, "qué se silencia"),
        ({"kind": "panic"}, "simulacro"),
        ({"kind": "vif"}, "auxilio"),
        ({"sort": Sort.DRILL, "ends_at": after(hours=25)}, "un día"),
        ({"sort": Sort.DRILL, "kind": "duress"}, "reservada"),
    ],
)
async def test_a_silence_without_reason_end_or_aim_is_refused(
    pool: Pool, changes: dict[str, Any], words: str
) -> None:
    with pytest.raises(SilenceError, match=words):
        await silences.create_silence(pool, **(ASK | changes))
    assert await pool.fetchval("select count(*) from silences") == 0


async def test_what_is_silenced_opens_nothing_and_is_counted(pool: Pool) -> None:
    quiet = Silences()
    silence_id = await silences.create_silence(pool, **ASK)
    await quiet.load(pool, NOW)
    outcomes = await receive(pool, silent(1), silent(2), finding("panic:1", priority=1), quiet=quiet)
    assert [o.kind for o in outcomes] == ["panic"]
    [one] = await silences.list_silences(pool, NOW)
    assert (one.silence_id, one.held_back, one.last_held_at) == (silence_id, 2, NOW)
    assert [s.silence_id for s in await silences.about_to_end(pool, NOW)] == [silence_id]
    assert await silences.about_to_end(pool, NOW, timedelta(hours=1)) == []
    await silences.end_silence(pool, silence_id, "ana", after(minutes=1))
    await quiet.load(pool, after(minutes=1))
    assert not quiet.are_any
    assert len(await receive(pool, silent(1), quiet=quiet)) == 1
    with pytest.raises(SilenceError):
        await silences.end_silence(pool, 999, "ana", NOW)


async def test_a_declared_drill_turns_presses_into_drills(pool: Pool) -> None:
    quiet = Silences()
    await silences.create_silence(pool, **(ASK | {"sort": Sort.DRILL}))
    await quiet.load(pool, NOW)
    await receive(pool, finding("panic:1", priority=1), finding("duress:2", priority=1), quiet=quiet)
    assert {a.kind: a.is_drill for a in await on_screen(pool)} == {"panic": True, "duress": False}
    assert all(a.state is State.RECEIVED for a in await on_screen(pool))


def test_every_grouped_kind_has_a_spanish_title() -> None:
    assert set(few.GROUP_TITLES) == set(few.GROUP_SCOPES)
