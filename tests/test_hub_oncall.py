"""Who is on call: turns over clock changes, overrides, iCalendar, quiet hours, and a silent room."""

# ruff: noqa: DTZ001 - wall times are naive on purpose

import asyncio
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import Any

import pytest
from fakes import VirtualClock
from hypothesis import given
from hypothesis import strategies as st
from processes import run

from hub.alerts import service as alerts
from hub.alerts.finding import Finding
from hub.database import Pool
from hub.notify import calendar_file, calendars, contacts, escalating, policy_file, room, service
from hub.notify.calendar_file import People
from hub.notify.oncall import (
    SANTIAGO,
    Turn,
    gaps,
    on_call,
    rotation,
    shifts,
    to_local,
    to_utc,
)

NOW = datetime(2026, 11, 24, 0, 4, tzinfo=UTC)  # 21:04 in Santiago
PEOPLE = People({1: "Ana", 2: "Luis", 3: "Eva", 4: "José Núñez"})
ROTATION = rotation("jefe_turno", [(1, "Ana"), (2, "Luis"), (3, "Eva")], datetime(2026, 11, 2, 8))


def names(turns: Sequence[Turn], at: datetime) -> list[str]:
    return [turn.person for turn in on_call(turns, at)]


def turn(**changes: Any) -> Turn:
    values: dict[str, Any] = {
        "calendar": "jefe_turno",
        "uid": "u1",
        "contact_id": 1,
        "person": "Ana",
        "starts_local": datetime(2026, 11, 23, 20),
        "duration_s": 12 * 3600,
    }
    return Turn(**(values | changes))


# --------------------------------------------------------------------------------------- pure


def test_a_rotation_goes_round_at_its_hour() -> None:
    monday = to_utc(datetime(2026, 11, 23, 8))
    assert names(ROTATION, monday - timedelta(seconds=1)) == ["Eva"]
    assert names(ROTATION, monday) == ["Ana"]
    assert names(ROTATION, monday + timedelta(days=7)) == ["Luis"]
    assert names(ROTATION, to_utc(datetime(2026, 11, 2, 7, 59))) == []


@pytest.mark.parametrize(
    "night", [datetime(2026, 9, 5, 20), datetime(2027, 4, 3, 20)], ids=["spring", "autumn"]
)
def test_a_night_turn_ends_at_the_wall_clocks_hour_when_the_clock_moves(night: datetime) -> None:
    daily = turn(starts_local=night, rrule="FREQ=DAILY;COUNT=2")
    first, second = shifts([daily], to_utc(night), to_utc(night + timedelta(days=3)))
    assert first.ends_at.astimezone(SANTIAGO).hour == 8
    assert second.starts_at.astimezone(SANTIAGO).hour == 20
    assert (first.ends_at - first.starts_at) in (timedelta(hours=11), timedelta(hours=13))


@given(
    st.datetimes(datetime(2026, 1, 1), datetime(2027, 12, 31)).map(lambda d: d.replace(microsecond=0)),
    st.integers(0, 23),
    st.integers(0, 59),
)
def test_two_turns_a_day_leave_no_second_without_somebody_and_give_none_twice(
    at: datetime, hour: int, minute: int
) -> None:
    change = datetime(2025, 12, 1, hour, minute)
    day = turn(uid="d", starts_local=change, rrule="FREQ=DAILY")
    night = turn(
        uid="n", starts_local=change + timedelta(hours=12), rrule="FREQ=DAILY", contact_id=2, person="Luis"
    )
    instant = at.replace(tzinfo=UTC)
    assert len(on_call([day, night], instant)) == 1
    assert gaps([day, night], instant, instant + timedelta(days=3)) == []


def test_an_override_takes_the_place_of_its_level_alone() -> None:
    second = turn(uid="u2", contact_id=2, person="Luis", level=2)
    sick = turn(uid="u3", contact_id=3, person="Eva", is_override=True, duration_s=3600)
    turns = [turn(), second, sick]
    assert names(turns, to_utc(datetime(2026, 11, 23, 20, 30))) == ["Eva", "Luis"]
    assert names(turns, to_utc(datetime(2026, 11, 23, 21))) == ["Ana", "Luis"]


def test_excepted_and_moved_instances_are_not_on_call() -> None:
    weekly = turn(rrule="FREQ=WEEKLY", exdates=(datetime(2026, 11, 30, 20),))
    moved = turn(recurrence="2026-12-07T20:00:00", starts_local=datetime(2026, 12, 8, 20))
    found = shifts([weekly, moved], NOW, NOW + timedelta(days=24))
    assert [to_local(s.starts_at).day for s in found] == [23, 8, 14]


def test_hours_without_anybody_are_named() -> None:
    start = to_utc(datetime(2026, 11, 23, 18))
    [before, after] = gaps([turn()], start, start + timedelta(hours=24))
    assert (to_local(before.starts_at).hour, to_local(before.ends_at).hour) == (18, 20)
    assert (to_local(after.starts_at).hour, to_local(after.ends_at).hour) == (8, 18)


# ---------------------------------------------------------------------------------- iCalendar


def ics(*lines: str) -> str:
    event = ["BEGIN:VEVENT", "UID:u1", "SUMMARY:Ana", *lines, "END:VEVENT"]
    return "\r\n".join(["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:x", *event, "END:VCALENDAR", ""])


START, END = "DTSTART;TZID=America/Santiago:20261123T200000", "DTEND;TZID=America/Santiago:20261124T080000"


def test_what_a_calendar_program_writes_is_read() -> None:
    text = ics(
        START,
        END,
        "RRULE:FREQ=WEEKLY;BYDAY=MO,TH;UNTIL=20261231T235959Z",
        "EXDATE;TZID=America/Santiago:20261126T200000,20261130T200000",
    )
    [found], problems = calendar_file.read(text, "jefe_turno", PEOPLE)
    assert problems == []
    assert (found.person, found.contact_id, found.starts_local, found.duration_s) == (
        "Ana",
        1,
        datetime(2026, 11, 23, 20),
        43_200,
    )
    assert "UNTIL=20261231T205959" in found.rrule
    assert names([found], NOW) == ["Ana"]
    assert names([found], NOW + timedelta(days=7)) == []
    assert names([found], NOW + timedelta(days=10)) == ["Ana"]


@pytest.mark.parametrize(
    ("lines", "wall"),
    [
        (("DTSTART:20261124T000000Z", "DURATION:PT8H"), (datetime(2026, 11, 23, 21), 8 * 3600)),
        (("DTSTART;VALUE=DATE:20261123",), (datetime(2026, 11, 23), 86_400)),
        (("DTSTART:20261123T200000", "DTEND:20261123T210000"), (datetime(2026, 11, 23, 20), 3600)),
    ],
)
def test_every_way_to_write_a_time_is_wall_time(lines: tuple[str, ...], wall: tuple[datetime, int]) -> None:
    [found], problems = calendar_file.read(ics(*lines), "a", PEOPLE)
    assert problems == []
    assert (found.starts_local, found.duration_s) == wall


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no es un calendario"),
        ("BEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n", "no tiene eventos"),
        ("\x00" * 50, "no es un calendario"),
        (ics(END), "falta DTSTART"),
        (ics(START, "DTEND;TZID=America/Santiago:20261123T190000"), "dura menos"),
        (ics(START, "DTEND;TZID=America/Santiago:20270123T190000"), "31 días"),
        (ics(START, END, "RRULE:FREQ=SECONDLY"), "por día, semana"),
        (ics(START, END, "RRULE:FREQ=DAILY;BYHOUR=1,2,3"), "BYHOUR"),
        (ics(START, END, "RRULE:FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30"), "no ocurre nunca"),
        (ics(START, END).replace("SUMMARY:Ana", "SUMMARY:Nadie"), "no hay un contacto"),
        (ics(START, END).replace("UID:u1\r\n", ""), "no tiene UID"),
        (ics("DTSTART:00010101T000000", "DURATION:PT8H"), "no puede ser"),
        (ics("DTSTART:garbage", END), "DTSTART"),
    ],
)
def test_a_wrong_event_is_named_and_gives_no_turn(text: str, words: str) -> None:
    turns, [problem] = calendar_file.read(text, "a", PEOPLE)
    assert turns == []
    assert words in problem.problem
    assert problem.remedy.endswith(".")


def test_one_bad_event_does_not_stop_the_others() -> None:
    good, bad = ics(START, END), ics(START, END, "RRULE:FREQ=HOURLY").replace("UID:u1", "UID:u2")
    inner = bad[bad.index("BEGIN:VEVENT") : bad.index("END:VCALENDAR")]
    turns, problems = calendar_file.read(good.replace("END:VCALENDAR", inner + "END:VCALENDAR"), "a", PEOPLE)
    assert [t.uid for t in turns] == ["u1"]
    assert [p.line for p in problems] == [2]


def test_two_people_of_one_name_are_told_apart_or_refused() -> None:
    same = People({1: "Ana", 2: "Ana"})
    _, [problem] = calendar_file.read(ics(START, END), "a", same)
    assert "2 contactos llamados" in problem.problem
    [found], _ = calendar_file.read(ics(START, END, "X-ALMENARA-CONTACT:2"), "a", same)
    assert found.contact_id == 2


def test_what_is_written_is_read_again_as_it_was() -> None:
    turns = [
        *ROTATION,
        turn(
            uid="x", contact_id=4, person="José Núñez", rrule="FREQ=WEEKLY;BYDAY=MO", level=2,
            exdates=(datetime(2026, 11, 30, 20),), note="con, comas; y\nlíneas",
        ),
        turn(uid="x", contact_id=4, person="José Núñez", recurrence="2026-12-07T20:00:00", level=2),
        turn(uid="r", is_override=True),
    ]  # fmt: skip
    found, problems = calendar_file.read(calendar_file.write(turns, "jefe_turno", NOW), "jefe_turno", PEOPLE)
    assert problems == []
    assert found == turns


@given(st.binary(max_size=300))
def test_no_file_breaks_the_reader(noise: bytes) -> None:
    text = ics(START, END)
    for wrong in (noise.decode("latin-1"), text[:60] + noise.decode("latin-1") + text[60:]):
        turns, problems = calendar_file.read(wrong, "a", PEOPLE)
        assert turns or problems


# ------------------------------------------------------------------------------- in the database

CONTACTS = "name,phone\nAna,+56987650001\nLuis,+56987650002\nEva,+56987650003\n"


async def ids(pool: Pool) -> dict[str, int]:
    await contacts.import_csv(pool, CONTACTS)
    return {r["name"]: r["contact_id"] for r in await pool.fetch("select name, contact_id from contacts")}


async def now_on_call(pool: Pool, at: datetime, calendar: str = "jefe_turno") -> list[str]:
    async with pool.acquire() as connection:
        find = await calendars.on_call_now(connection, at)
    return [person.name for person in find(calendar, at)]


async def test_an_import_replaces_its_calendar_and_keeps_overrides(pool: Pool) -> None:
    people = await ids(pool)
    report = await calendars.import_ics(pool, "jefe_turno", ics(START, END), "director")
    assert (report.turns, report.problems) == (1, ())
    assert await now_on_call(pool, NOW) == ["Ana"]
    await calendars.override(
        pool, "jefe_turno", people["Luis"], NOW, NOW + timedelta(hours=1), author="director", note="enferma"
    )
    assert await now_on_call(pool, NOW) == ["Luis"]
    await calendars.import_ics(pool, "jefe_turno", ics(START, END).replace("Ana", "Eva"), "director")
    assert await now_on_call(pool, NOW) == ["Luis"]
    assert await now_on_call(pool, NOW + timedelta(hours=2)) == ["Eva"]
    exported = await calendars.export_ics(pool, "jefe_turno", NOW)
    assert "+569" not in exported
    await calendars.import_ics(pool, "jefe_turno", exported, "director")
    assert await now_on_call(pool, NOW) == ["Luis"]


async def test_a_file_without_one_good_event_changes_nothing(pool: Pool) -> None:
    await ids(pool)
    await calendars.import_ics(pool, "jefe_turno", ics(START, END), "director")
    report = await calendars.import_ics(pool, "jefe_turno", ics(START), "director")
    report = await calendars.import_ics(pool, "jefe_turno", "nada", "director")
    assert report.turns == 0
    assert report.problems
    assert await now_on_call(pool, NOW) == ["Ana"]
    with pytest.raises(calendars.CalendarError, match="minúsculas"):
        await calendars.import_ics(pool, "Jefe de turno", ics(START, END), "director")


async def test_who_was_switched_off_is_not_on_call(pool: Pool) -> None:
    people = await ids(pool)
    await calendars.import_ics(pool, "jefe_turno", ics(START, END), "director")
    await pool.execute("update contacts set active = false where contact_id = $1", people["Ana"])
    assert await now_on_call(pool, NOW) == []
    with pytest.raises(calendars.CalendarError, match="contactos activos"):
        await calendars.override(
            pool, "jefe_turno", people["Ana"], NOW, NOW + timedelta(hours=1), author="director"
        )


POLICY = policy_file.parse(
    "policies:\n"
    "- {name: uno, priorities: [1], steps: [{wait_s: 60, who: ['oncall:jefe_turno']}]}\n"
    "- name: dos\n  priorities: [2]\n"
    "  steps: [{wait_s: 60, who: ['oncall:jefe_turno'], otherwise: ['oncall:director']}]\n"
)


async def escalated(pool: Pool, priority: int, at: datetime) -> str:
    key = str(uuid.uuid4())
    finding = Finding(
        rule="r",
        kind="gate_open",
        priority=priority,
        dedup_key=key,
        summary="x",
        happened_at=at,
        place="Norte",
    )
    async with pool.acquire() as connection, connection.transaction():
        [outcome] = await alerts.open_or_join(connection, [finding], at)
        await service.enqueue_for(connection, [outcome], at, policies=POLICY)
    hub = escalating.Escalator(pool=pool, policies=lambda: POLICY, on_call=calendars.on_call_now)
    await hub.fire_due(at + timedelta(seconds=60))
    [line] = [e.note for e in await alerts.timeline(pool, outcome.alert_id) if e.move == "escalated"]
    return line.partition(": ")[2]


async def test_quiet_hours_pass_the_call_on_and_life_alerts_ignore_them(pool: Pool) -> None:
    people = await ids(pool)
    await calendars.import_ics(pool, "jefe_turno", ics(START, END), "director")
    assert await escalated(pool, 2, NOW) == "Ana (jefe_turno)"
    await calendars.set_quiet_hours(pool, people["Ana"], (time(21), time(7)))
    assert await escalated(pool, 2, NOW) == "nadie de guardia, turno"
    await calendars.override(
        pool, "director", people["Eva"], NOW, NOW + timedelta(hours=12), author="director"
    )
    assert await escalated(pool, 2, NOW) == "nadie de guardia, Eva (director)"
    assert await escalated(pool, 1, NOW) == "Ana (jefe_turno)"
    assert await escalated(pool, 2, to_utc(datetime(2026, 11, 24, 7, 30))) == "Ana (jefe_turno)"


async def test_the_second_of_a_calendar_is_called_when_the_first_sleeps(pool: Pool) -> None:
    people = await ids(pool)
    await calendars.import_ics(pool, "jefe_turno", ics(START, END), "director")
    await calendars.override(
        pool, "jefe_turno", people["Luis"], NOW, NOW + timedelta(hours=1), author="director", level=2
    )
    await calendars.set_quiet_hours(pool, people["Ana"], (time(21), time(7)))
    assert await escalated(pool, 2, NOW) == "Luis (jefe_turno)"


async def test_neighbours_sleep_unless_a_life_is_at_stake(pool: Pool) -> None:
    await contacts.import_csv(pool, "name,phone,watch_group\nRosa,+56987650009,Norte\n")
    await pool.execute("update contacts set quiet_from = '21:00', quiet_until = '07:00'")
    for key, priority in (("a", 2), ("b", 1)):
        finding = Finding(
            rule="r", kind="gate_open", priority=priority, dedup_key=key, summary="x", happened_at=NOW,
            watch_group="Norte",
        )  # fmt: skip
        async with pool.acquire() as connection, connection.transaction():
            outcomes = await alerts.open_or_join(connection, [finding], NOW)
            await service.enqueue_for(connection, outcomes, NOW)
    rows = await pool.fetch("select recipient, priority from notifications order by 1, 2")
    assert [tuple(row) for row in rows] == [("Rosa", 1), ("turno", 1), ("turno", 2)]


async def test_calendars_come_and_go_by_the_command_line(pool: Pool, dsn: str, tmp_path: Path) -> None:
    await ids(pool)
    path, copy = tmp_path / "turnos.ics", tmp_path / "copia.ics"
    path.write_text(ics(START, END, "RRULE:FREQ=DAILY"), "utf-8", newline="")
    options = ("--database", dsn, "--data", str(tmp_path))
    code, output = await run("hub.cli", "oncall", "import", "jefe_turno", str(path), *options)
    assert (code, "jefe_turno: 1 turnos." in output) == (0, True), output
    code, output = await run("hub.cli", "oncall", "export", "jefe_turno", str(copy), *options)
    assert code == 0, output
    assert "SUMMARY:Ana" in copy.read_text("utf-8")
    code, output = await run("hub.cli", "oncall", "show", "jefe_turno", *options)
    assert code == 0
    assert "SIN NADIE" in output
    assert "  Ana" in output
    code, output = await run("hub.cli", "oncall", "import", "Jefe", str(path), *options)
    assert code == 1
    assert "minúsculas" in output
    assert "Traceback" not in output


# ------------------------------------------------------------------------------ the room itself


async def test_a_room_without_operators_for_five_minutes_is_a_life_alert(pool: Pool) -> None:
    clock = VirtualClock(NOW)
    told: list[Finding] = []

    async def on_findings(findings: Sequence[Finding]) -> None:
        told.extend(findings)

    loop = asyncio.create_task(room.room_loop(pool, clock, on_findings))

    async def wait(seconds: float) -> None:
        for _ in range(int(seconds // room.CADENCE_S)):
            await clock.sleeping()
            await clock.advance(room.CADENCE_S)
        await clock.sleeping()

    await wait(400)
    assert told == []  # nobody said that consoles should be there
    await room.watch_room(pool, clock.now(), is_on=True)
    await wait(295)
    await room.room_heartbeat(pool, "ana", clock.now())
    await wait(295)
    assert told == []
    await wait(10)
    [finding] = told
    assert (finding.priority, finding.kind) == (1, "room_silent")
    await wait(600)
    assert len(told) == 1
    await room.room_heartbeat(pool, "ana", clock.now())
    await wait(305)
    assert len(told) == 2
    await room.watch_room(pool, clock.now(), is_on=False)
    await wait(600)
    assert len(told) == 2
    loop.cancel()


def test_a_hub_that_just_started_gives_consoles_their_time() -> None:
    long_ago = NOW - timedelta(hours=3)
    assert room.room_finding(long_ago, NOW, NOW + timedelta(seconds=299)) is None
    assert room.room_finding(long_ago, NOW, NOW + timedelta(seconds=300)) is not None
