"""Drivers: the button through gpiozero's mock pins, the thermometer over a bus of our own, file replay.

What is not covered here: real pins and a real I2C bus, which this kind of machine does not have. The border
to them is gpiozero's mock factory for the button, and the object that ``opener`` returns for the bus.
"""

import asyncio
import contextlib
import errno
import logging
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from fakes import VirtualClock, eventually, settle
from gpiozero.pins.mock import MockFactory
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

import edge.drivers
from edge import contract
from edge.clock import SystemClock
from edge.contract import Measurement
from edge.drivers import Driver, Feedback, Lane, csv_replay, i2c_thermometer, panic_button
from edge.drivers.debounce import MOVES, Cue, PressMachine, Said, State, Timing
from edge.drivers.panic_button import PanicButton
from edge.outbox import Outbox, OutboxFullError, outbox_path, read_stats
from edge.outlet import AgentOutlet
from edge.recordings import make
from edge.settings import SettingsError, load

# A loaded machine is slow; that says nothing about the code.
patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


class EdgeClock:
    """A virtual :class:`edge.clock.Clock`: boot time is the time since the test began."""

    boot_id = "0f0e0d0c-0000-4000-8000-000000000001"

    def __init__(self) -> None:
        self.virtual = VirtualClock()
        self._began = self.virtual.now()

    def wall(self) -> Any:
        return self.virtual.now()

    def boottime_ms(self) -> int:
        return round((self.virtual.now() - self._began).total_seconds() * 1000)

    def quality(self) -> contract.Clock:
        return contract.Clock.SYNCED

    async def sleep(self, delay_s: float) -> None:
        await self.virtual.sleep(delay_s)


@dataclass
class Outlet:
    """Keeps what drivers say and, as the agent's does, tells them that it is on disk."""

    events: list[tuple[str, str, dict[str, Any], Lane]] = field(default_factory=list)
    measurements: list[Measurement] = field(default_factory=list)
    listeners: dict[str, Callable[[str, Feedback], None]] = field(default_factory=dict)
    before: Callable[[], None] = lambda: None
    is_full: bool = False

    async def event(
        self, source: str, type: str, data: Mapping[str, Any] | None = None, lane: Lane = Lane.EVENT
    ) -> str:
        self.before()
        if self.is_full:
            raise OutboxFullError("no room")
        self.events.append((source, type, dict(data or {}), lane))
        event_id = f"id-{len(self.events)}"
        self.tell(event_id, Feedback.HEARD)
        return event_id

    async def measure(self, measurements: Sequence[Measurement]) -> str:
        contract.encode_pack(measurements)  # refuses what could not travel
        self.measurements += measurements
        return f"pack-{len(self.measurements)}"

    def follow(self, source: str, listener: Callable[[str, Feedback], None]) -> None:
        self.listeners[source] = listener

    def tell(self, event_id: str, feedback: Feedback) -> None:
        for listener in self.listeners.values():
            listener(event_id, feedback)

    def types(self) -> list[str]:
        return [type_ for _, type_, _, _ in self.events]


@pytest.fixture
def clock() -> EdgeClock:
    return EdgeClock()


@pytest.fixture
def outlet() -> Outlet:
    return Outlet()


@contextlib.asynccontextmanager
async def running(driver: Driver, outlet: edge.drivers.Outlet) -> AsyncIterator[asyncio.Task[None]]:
    """The driver's task, cancelled at the end; what went wrong in it comes out."""
    task = asyncio.create_task(driver.run(outlet))
    try:
        await settle()
        yield task
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


# -------------------------------------------------------------------------------- the pure machine

OUTDOOR = Timing(bounce_ms=30, hold_ms=2000, long_ms=0, window_ms=10_000, stuck_ms=60_000)


def play(timing: Timing, *edges: tuple[int, bool], until_ms: int = 200_000) -> list[tuple[str, int, int]]:
    """(what was said, when, held for how long) after these edges, time running to ``until_ms``."""
    machine = PressMachine(timing)
    outputs = [output for at_ms, is_down in edges for output in machine.edge(is_down, at_ms)]
    outputs += machine.advance(until_ms)
    return [(output.said.name, output.at_ms, output.held_ms) for output in outputs]


def bounces(at_ms: int, is_down: bool) -> list[tuple[int, bool]]:
    """A contact that needs 8 ms to make up its mind."""
    return [(at_ms, is_down), (at_ms + 2, not is_down), (at_ms + 4, is_down), (at_ms + 6, not is_down),
            (at_ms + 8, is_down)]  # fmt: skip


def test_a_bouncing_press_held_long_enough_is_one_press() -> None:
    edges = [*bounces(1000, True), *bounces(4000, False)]
    assert play(OUTDOOR, *edges) == [("PRESSED", 3008, 2000)]


def test_a_glitch_never_happened() -> None:
    assert play(Timing(hold_ms=0), (1000, True), (1005, False)) == []


def test_letting_go_too_early_says_nothing() -> None:
    assert play(OUTDOOR, (1000, True), (2960, False)) == []


def test_a_glitch_of_the_wire_does_not_end_a_press() -> None:
    assert play(OUTDOOR, (1000, True), (2000, False), (2005, True)) == [
        ("PRESSED", 3000, 2000),
        ("STUCK", 61_000, 60_000),
    ]


def test_without_hold_time_the_first_touch_counts() -> None:
    timing = Timing(hold_ms=0, bounce_ms=30)
    machine = PressMachine(timing)
    assert machine.edge(True, 1000) == []
    assert machine.due_ms == 1030  # and not a moment later
    assert [output.said for output in machine.advance(1030)] == [Said.PRESSED]


@pytest.mark.parametrize(
    ("timing", "second_up_ms", "expected"),
    [
        (OUTDOOR, 5300, ["PRESSED", "CANCELLED"]),
        (OUTDOOR, 8000, ["PRESSED", "PRESSED"]),  # held again: another cry
        (Timing(hold_ms=0, window_ms=10_000), 5300, ["PRESSED", "CANCELLED"]),
        (Timing(hold_ms=0, window_ms=10_000), 6500, ["PRESSED", "PRESSED"]),
        (Timing(hold_ms=2000), 5300, ["PRESSED"]),  # no window, nothing to cancel
    ],
)
def test_a_second_press_within_the_window(timing: Timing, second_up_ms: int, expected: list[str]) -> None:
    edges = [(0, True), (2500, False), (5000, True), (second_up_ms, False)]
    assert [said for said, _, _ in play(timing, *edges)] == expected


def test_a_tap_after_the_window_cancels_nothing() -> None:
    edges = [(0, True), (2500, False), (12_500, True), (12_800, False)]
    assert [said for said, _, _ in play(OUTDOOR, *edges)] == ["PRESSED"]


def test_a_long_press_is_told_besides_and_cannot_be_cancelled() -> None:
    timing = Timing(hold_ms=1000, long_ms=4000, window_ms=10_000)
    edges = [(0, True), (4500, False), (5000, True), (5300, False)]
    assert play(timing, *edges) == [("PRESSED", 1000, 1000), ("LONG_PRESSED", 4000, 4000)]


def test_a_stuck_button_is_told_once_and_works_again_when_it_comes_free() -> None:
    edges = [(0, True), (500_000, False), (501_000, True), (504_000, False)]
    assert play(Timing(), *edges, until_ms=600_000) == [
        ("PRESSED", 2000, 2000),
        ("STUCK", 60_000, 60_000),
        ("PRESSED", 503_000, 2000),
    ]


def test_edges_that_come_in_late_mean_the_same() -> None:
    """The loop was busy for ten seconds; each edge still carries its own time."""
    late = play(OUTDOOR, (0, True), (2500, False), (5000, True), (5200, False), until_ms=60_000)
    assert late == [("PRESSED", 2000, 2000), ("CANCELLED", 5230, 230)]


def test_every_move_that_the_contact_or_time_can_ask_for_is_in_the_table() -> None:
    down = {State.HELD, State.SAID, State.LONG, State.STUCK, State.HELD_AGAIN}
    for state in State:
        assert ((state, Cue.UP) in MOVES) == (state in down)
        assert ((state, Cue.DOWN) in MOVES) == (state not in down)


@patient
@given(
    st.lists(st.tuples(st.integers(0, 3000), st.booleans()), max_size=40),
    st.sampled_from([Timing(), OUTDOOR, Timing(hold_ms=0), Timing(hold_ms=0, long_ms=500, window_ms=900)]),
    st.integers(1, 500),
)
def test_how_often_the_clock_is_looked_at_changes_nothing(
    gaps: list[tuple[int, bool]], timing: Timing, tick_ms: int
) -> None:
    """Whatever the contact does: the same presses, whether time is asked every few ms or only at edges."""
    edges, at_ms = [], 0
    for gap_ms, is_down in gaps:
        at_ms += gap_ms
        edges.append((at_ms, is_down))
    machine, told = PressMachine(timing), []
    now_ms = 0
    for at_ms, is_down in edges:
        while now_ms + tick_ms < at_ms:
            now_ms += tick_ms
            told += machine.advance(now_ms)
        told += machine.edge(is_down, at_ms)
        now_ms = at_ms
    told += machine.advance(now_ms + 100_000)
    expected = play(timing, *edges, until_ms=now_ms + 100_000)
    assert [(output.said.name, output.at_ms, output.held_ms) for output in told] == expected
    assert machine.due_ms is None


# ------------------------------------------------------------------------------ the button's pins


@dataclass
class Board:
    """Mock pins: a button to ground on 17, a light on 27."""

    factory: MockFactory

    def press(self) -> None:
        self.factory.pin(17).drive_low()

    def release(self) -> None:
        self.factory.pin(17).drive_high()

    @property
    def light(self) -> bool:
        return bool(self.factory.pin(27).state)

    @property
    def changes(self) -> int:
        return len(self.factory.pin(27).states)


@pytest.fixture
def board() -> Iterator[Board]:
    factory = MockFactory()
    yield Board(factory)
    factory.reset()


def button(clock: EdgeClock, board: Board, **settings: Any) -> PanicButton:
    chosen = panic_button.Settings(**{"device": "boton-1", "pin": 17, "led_pin": 27} | settings)
    return PanicButton(chosen, clock, board.factory)


async def hold(clock: EdgeClock, board: Board, held_s: float = 2.5) -> None:
    board.press()
    await clock.virtual.advance(held_s)
    board.release()
    await clock.virtual.advance(0.1)


async def test_a_press_on_the_pin_becomes_an_alarm(clock: EdgeClock, board: Board, outlet: Outlet) -> None:
    async with running(button(clock, board), outlet):
        await clock.virtual.advance(1)
        await hold(clock, board)
    assert outlet.events == [
        ("boton-1", "panic.pressed", {"held_s": 2.0, "button": "GPIO17"}, Lane.ALARM),
    ]


async def test_bounces_of_the_pin_are_one_press(clock: EdgeClock, board: Board, outlet: Outlet) -> None:
    async with running(button(clock, board, hold_s=0), outlet):
        for _ in range(6):
            board.press()
            await clock.virtual.advance(0.002)
            board.release()
            await clock.virtual.advance(0.002)
        await hold(clock, board, 0.3)
    assert outlet.types() == ["panic.pressed"]


async def test_the_light_tells_how_far_the_call_got(clock: EdgeClock, board: Board, outlet: Outlet) -> None:
    def not_yet() -> None:
        assert not board.light
        assert board.changes == 1, "the light must not say heard before the event is on disk"

    outlet.before = not_yet
    async with running(button(clock, board), outlet):
        await hold(clock, board)
        await eventually(lambda: board.changes > 4)  # heard: it blinks fast
        outlet.tell("id-1", Feedback.RECEIVED)
        assert board.light
        steady = board.changes
        outlet.tell("id-1", Feedback.ON_ITS_WAY)
        await eventually(lambda: board.changes > steady)  # it blinks again
        outlet.tell("id-1", Feedback.RECEIVED)  # a repeated receipt hides no patrol
        assert board.changes == steady + 1
        outlet.tell("id-1", Feedback.CLOSED)
        assert not board.light
    outlet.tell("id-1", Feedback.RECEIVED)  # the driver has ended; its light is no more


def blinks(pattern: Feedback) -> tuple[float, float] | None:
    return panic_button.BLINKS[pattern]


def test_heard_blinks_faster_than_on_its_way() -> None:
    heard, on_its_way = blinks(Feedback.HEARD), blinks(Feedback.ON_ITS_WAY)
    assert heard is not None
    assert on_its_way is not None
    assert sum(heard) * 4 <= sum(on_its_way)
    assert blinks(Feedback.RECEIVED) is None


async def test_an_older_events_receipt_does_not_calm_the_newest_press(
    clock: EdgeClock, board: Board, outlet: Outlet
) -> None:
    async with running(button(clock, board), outlet):
        await hold(clock, board)
        await hold(clock, board)
        outlet.tell("id-1", Feedback.RECEIVED)
        before = board.changes
        await eventually(lambda: board.changes > before + 2)  # still blinking: the second is not received
        outlet.tell("id-2", Feedback.RECEIVED)
        assert board.light


async def test_a_short_second_press_cancels(clock: EdgeClock, board: Board, outlet: Outlet) -> None:
    async with running(button(clock, board, cancel_window_s=10, button="plaza"), outlet):
        await hold(clock, board)
        await clock.virtual.advance(3)
        await hold(clock, board, 0.3)
        assert not board.light
    assert outlet.events[1:] == [
        (
            "boton-1",
            "panic.cancelled",
            {"held_s": 0.33, "button": "plaza", "cancels": "id-1"},
            Lane.EVENT,
        )
    ]


async def test_a_silent_button_calls_and_shows_nothing(
    clock: EdgeClock, board: Board, outlet: Outlet
) -> None:
    async with running(button(clock, board, silent=True), outlet):
        await hold(clock, board)
        outlet.tell("id-1", Feedback.ON_ITS_WAY)
        await clock.virtual.advance(2)
    assert [(type_, lane) for _, type_, _, lane in outlet.events] == [("duress.pressed", Lane.ALARM)]
    assert board.changes == 1


async def test_a_long_press_calls_in_its_own_way(clock: EdgeClock, board: Board, outlet: Outlet) -> None:
    async with running(button(clock, board, long_hold_s=6), outlet):
        await hold(clock, board, 7)
    assert outlet.types() == ["panic.pressed", "duress.pressed"]
    assert outlet.events[1][2] == {"held_s": 6.0, "button": "GPIO17", "long": True}


async def test_a_stuck_button_is_sabotage_told_once(clock: EdgeClock, board: Board, outlet: Outlet) -> None:
    async with running(button(clock, board), outlet):
        await hold(clock, board, 200)
    assert outlet.types() == ["panic.pressed", "tamper.detected"]
    assert outlet.events[1][2:] == ({"held_s": 60.0, "button": "GPIO17", "cause": "stuck"}, Lane.ALARM)


async def test_a_press_during_the_start_is_heard(clock: EdgeClock, board: Board, outlet: Outlet) -> None:
    board.factory.pin(17)._set_pull("up")  # as the button's driver will, which must not lift the finger
    board.press()
    board.factory.pin(17)._set_pull = lambda _value: None
    async with running(button(clock, board), outlet):
        await clock.virtual.advance(2.5)
    assert outlet.types() == ["panic.pressed"]


async def test_a_missed_interrupt_is_noticed_by_looking(
    clock: EdgeClock, board: Board, outlet: Outlet
) -> None:
    async with running(button(clock, board), outlet):
        pin = board.factory.pin(17)
        pin._change_state(False)  # the level changes and nobody is told
        await clock.virtual.advance(panic_button._SAMPLE_S + 2.5)
    assert outlet.types() == ["panic.pressed"]


async def test_a_full_outbox_does_not_end_the_watch(clock: EdgeClock, board: Board, outlet: Outlet) -> None:
    async with running(button(clock, board), outlet) as task:
        outlet.is_full = True
        await hold(clock, board)
        assert not task.done()
        assert board.changes == 1, "nobody may be told that a lost call was heard"
        outlet.is_full = False
        await hold(clock, board)
    assert outlet.types() == ["panic.pressed"]


async def test_without_gpio_the_error_names_the_package(clock: EdgeClock, outlet: Outlet) -> None:
    driver = panic_button.build(panic_button.Settings(device="boton-1", pin=17), clock)
    with pytest.raises(panic_button.ButtonError, match="python3-lgpio"):
        await driver.run(outlet)


async def test_a_pin_that_does_not_exist_is_named(clock: EdgeClock, board: Board, outlet: Outlet) -> None:
    with pytest.raises(panic_button.ButtonError, match="999"):
        await button(clock, board, pin=999).run(outlet)


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"silent": True, "cancel_window_s": 10}, "silencioso"),
        ({"hold_s": 3, "long_hold_s": 2}, "long_hold_s"),
        ({"hold_s": 20, "stuck_after_s": 10}, "stuck_after_s"),
        ({"hold": 2}, "extra"),
        ({"hold_s": -1}, "hold_s"),
        ({"long_hold_s": 5, "long_type": "Grito"}, "long_type"),
    ],
)
def test_settings_that_contradict_themselves_are_refused(settings: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        panic_button.Settings(**{"device": "boton-1", "pin": 17} | settings)


async def test_with_the_real_outbox_the_light_waits_for_the_disk(board: Board, tmp_path: Path) -> None:
    """No stand-in but the pins: the agent's own outlet, its outbox on disk and the machine's clock."""
    clock = SystemClock()
    outbox = await Outbox.open(outbox_path(tmp_path), 4_000_000)
    outlet = AgentOutlet(outbox, clock, contract.device_urn("gw-1"))
    settings = panic_button.Settings(device="boton-1", pin=17, led_pin=27, hold_s=0.05, bounce_ms=5)
    try:
        async with running(PanicButton(settings, clock, board.factory), outlet):
            board.press()
            await eventually(lambda: board.light)
            assert read_stats(outbox_path(tmp_path)).accepted["alarm"] == 1
            board.release()
            (row,) = await outbox.next(Lane.ALARM, 10)
            event = contract.decode_event(row.entry.payload)
            assert (event.type, event.source) == ("panic.pressed", contract.device_urn("boton-1"))
            outlet.tell([event.id], Feedback.RECEIVED)
            assert board.light
    finally:
        await outbox.close()


# ---------------------------------------------------------------------------------- thermometer


@pytest.mark.parametrize(
    ("register", "celsius"),
    [
        (0x7FF, 127.9375), (0x640, 100), (0x500, 80), (0x4B0, 75), (0x320, 50), (0x190, 25),
        (0x004, 0.25), (0x000, 0), (0xFFC, -0.25), (0xE70, -25), (0xC90, -55),
    ],
)  # fmt: skip
def test_tmp102_decodes_the_data_sheets_table(register: int, celsius: float) -> None:
    assert i2c_thermometer.decode([register >> 4, register << 4 & 0xF0], "tmp102") == celsius


@pytest.mark.parametrize(
    ("register", "celsius"),
    [(0x0960, 150), (0x0800, 128), (0x07FF, 127.9375), (0x0190, 25), (0x1FFC, -0.25), (0x1C90, -55)],
)
def test_tmp102_in_extended_mode_has_13_bits(register: int, celsius: float) -> None:
    raw = register << 3 | 1
    assert i2c_thermometer.decode([raw >> 8, raw & 0xFF], "tmp102") == celsius


@pytest.mark.parametrize(
    ("register", "celsius"),
    [(0x0FA, 125), (0x032, 25), (0x001, 0.5), (0x000, 0), (0x1FF, -0.5), (0x1CE, -25), (0x192, -55)],
)
def test_lm75_has_9_bits_and_ignores_the_others(register: int, celsius: float) -> None:
    raw = register << 7 | 0x55
    assert i2c_thermometer.decode([raw >> 8, raw & 0xFF], "lm75") == celsius


def test_lm75a_has_11_bits() -> None:
    assert i2c_thermometer.decode([0x19, 0x20], "lm75a") == 25.125
    assert i2c_thermometer.decode([0xE6, 0xE0], "lm75a") == -25.125


@dataclass
class Wire:
    """Stands where ``smbus2.SMBus`` would: gives the next answer, an error included."""

    answers: list[Sequence[int] | OSError]
    opened: list[int] = field(default_factory=list)
    is_closed: bool = True

    def open(self, bus: int) -> "Wire":
        if isinstance(self.answers[0], FileNotFoundError):
            raise self.answers.pop(0)  # type: ignore[misc]
        self.opened.append(bus)
        self.is_closed = False
        return self

    def read_i2c_block_data(self, i2c_addr: int, register: int, length: int) -> Sequence[int]:
        assert (i2c_addr, register, length) == (0x48, 0, 2)
        answer = self.answers.pop(0)
        if isinstance(answer, OSError):
            raise answer
        return answer

    def close(self) -> None:
        self.is_closed = True


MILD: Sequence[int] = (0x19, 0x00)


async def poll(clock: EdgeClock, outlet: Outlet, wire: Wire) -> None:
    """Let the thermometer read every answer, one a minute."""
    settings = i2c_thermometer.Settings(device="termo-1", interval_s=60)
    driver = i2c_thermometer.I2cThermometer(settings, clock, wire.open)
    rounds = len(wire.answers)
    async with running(driver, outlet):
        for _ in range(rounds - 1):
            await clock.virtual.sleeping()
            await clock.virtual.advance(60)
        await clock.virtual.sleeping()
    assert wire.answers == []


async def test_a_reading_a_minute(clock: EdgeClock, outlet: Outlet) -> None:
    wire = Wire([MILD, (0xE7, 0x00)])
    began_s = clock.wall().timestamp()
    await poll(clock, outlet, wire)
    assert outlet.measurements == [
        Measurement(name="urn:dev:org:32473-termo-1:temperature", time=began_s, unit="Cel", value=25.0),
        Measurement(name="urn:dev:org:32473-termo-1:temperature", time=began_s + 60, unit="Cel", value=-25.0),
    ]
    assert (wire.opened, wire.is_closed) == ([1], True)


async def test_a_failure_and_its_end_are_told_once_each(clock: EdgeClock, outlet: Outlet) -> None:
    missing = FileNotFoundError(errno.ENOENT, "no such file", "/dev/i2c-1")
    silent = OSError(errno.EREMOTEIO, "Remote I/O error")
    wire = Wire([missing, missing, silent, MILD, silent, MILD])
    await poll(clock, outlet, wire)
    where = {"bus": 1, "address": "0x48"}
    assert [(type_, data, lane) for _, type_, data, lane in outlet.events] == [
        ("sensor.failed", {"cause": "bus_missing", **where}, Lane.EVENT),
        ("sensor.recovered", {}, Lane.EVENT),
        ("sensor.failed", {"cause": "no_answer", **where}, Lane.EVENT),
        ("sensor.recovered", {}, Lane.EVENT),
    ]
    assert [m.value for m in outlet.measurements] == [25.0, 25.0]


@pytest.mark.parametrize(
    ("answer", "cause"),
    [
        ((0xFF, 0xFF), "bus_stuck"),
        ((0x19,), "short_answer"),
        ((0x80, 0x00), "implausible"),
        (OSError(errno.EIO, "Input/output error"), "bus_error"),
        (PermissionError(errno.EACCES, "Permission denied"), "no_permission"),
    ],
)
async def test_nonsense_from_the_wire_is_no_reading(
    clock: EdgeClock, outlet: Outlet, answer: Sequence[int] | OSError, cause: str
) -> None:
    await poll(clock, outlet, Wire([answer]))
    assert [data["cause"] for _, _, data, _ in outlet.events] == [cause]
    assert outlet.measurements == []


async def test_the_real_bus_is_missing_here_and_that_is_told(clock: EdgeClock, outlet: Outlet) -> None:
    """The default opener is smbus2's; bus 255 exists nowhere."""
    driver = i2c_thermometer.build(i2c_thermometer.Settings(device="termo-1", bus=255), clock)
    async with running(driver, outlet):
        await clock.virtual.sleeping()
    assert outlet.events[0][2]["cause"] == "bus_missing"


# --------------------------------------------------------------------------------------- replay


def values(series: csv_replay.Series) -> list[tuple[float, float]]:
    return [(point.offset_s, point.value) for point in series.points]


@pytest.mark.parametrize(
    "text",
    [
        "offset_s,value\n10,1.5\n40,2.5\n",
        "Offset_s, Value\r\n10,1.5\r\n\r\n40,2.5\r\n",
        "offset_s;value\n10;1,5\n40;2,5\n",
        "value,time\n1.5,2026-11-22T10:00:00-03:00\n2.5,2026-11-22T13:00:30Z\n",
    ],
)
def test_series_are_read_in_their_dialects(text: str) -> None:
    series, bad = csv_replay.parse_series(text)
    assert (values(series), bad) == ([(0, 1.5), (30, 2.5)], [])


def test_bad_rows_are_skipped_and_named_by_line() -> None:
    text = "offset_s,value\n0,1\nx,2\n5\n6,nan\n7,alto\n3,3\n2,4\n8,inf\n9,5\n"
    series, bad = csv_replay.parse_series(text)
    assert values(series) == [(0, 1), (3, 3), (9, 5)]
    assert [row.line for row in bad] == [3, 4, 5, 6, 8, 9]
    assert bad[0].problem == "'x' is not a number"
    assert bad[4].problem == "does not come after the row before"


@pytest.mark.parametrize("text", ["", "a,b\n1,2\n", "offset_s,value\n", "offset_s,value\nx,y\n"])
def test_a_file_without_a_series_is_refused(text: str) -> None:
    with pytest.raises(csv_replay.ReplayError):
        csv_replay.parse_series(text)


def test_values_between_rows_and_over_the_end() -> None:
    series, _ = csv_replay.parse_series("offset_s,value\n0,1\n10,2\n20,4\n")
    assert series.period_s == 30
    assert [series.value_at(at_s) for at_s in (0, 5, 10, 15, 25, 30, 65)] == [1, 1.5, 2, 3, 2.5, 1, 1.5]


def replay(clock: EdgeClock, folder: Path, **settings: Any) -> csv_replay.CsvReplay:
    path = folder / "serie.csv"
    path.write_text("offset_s,value\n0,1.25\nmal,0\n60,1.5\n120,1.75\n", "utf-8")
    chosen = {"device": "rio-1", "file": path, "name": "level", "unit": "m"} | settings
    return csv_replay.build(csv_replay.Settings(**chosen), clock)


async def test_a_series_is_played_at_its_own_pace(
    clock: EdgeClock, outlet: Outlet, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    began_s = clock.wall().timestamp()
    with caplog.at_level(logging.WARNING):
        driver = replay(clock, tmp_path)
    assert "serie.csv line 3 is skipped: 'mal' is not a number" in caplog.text
    async with running(driver, outlet) as task:
        await clock.virtual.advance(300)
        assert task.done()
    assert [(m.time - began_s, m.value) for m in outlet.measurements] == [(0, 1.25), (60, 1.5), (120, 1.75)]
    assert {(m.name, m.unit) for m in outlet.measurements} == {("urn:dev:org:32473-rio-1:level", "m")}


async def test_a_series_can_be_hastened_and_repeated(
    clock: EdgeClock, outlet: Outlet, tmp_path: Path
) -> None:
    began_s = clock.wall().timestamp()
    async with running(replay(clock, tmp_path, speed=60, loop=True), outlet):
        await clock.virtual.advance(5.5)
    assert [(round(m.time - began_s, 3), m.value) for m in outlet.measurements] == [
        (0, 1.25), (1, 1.5), (2, 1.75), (3, 1.25), (4, 1.5), (5, 1.75),
    ]  # fmt: skip


def test_a_file_that_is_missing_is_named(clock: EdgeClock, tmp_path: Path) -> None:
    with pytest.raises(csv_replay.ReplayError, match="nada\\.csv no existe"):
        csv_replay.read_series(tmp_path / "nada.csv")


def test_a_unit_outside_the_registry_is_refused() -> None:
    with pytest.raises(ValidationError, match="unidad de SenML"):
        csv_replay.Settings(device="d", file=Path("x.csv"), name="level", unit="metros")


@pytest.mark.parametrize("name", sorted(make.recordings()))
def test_the_shipped_series_are_what_their_maker_writes(name: str) -> None:
    shipped = csv_replay.find_recording(Path(name)).read_text("utf-8")
    assert shipped == make.recordings()[name]
    _, bad = csv_replay.parse_series(shipped)
    assert bad == []


def test_the_shipped_river_floods_and_calms_down() -> None:
    series = csv_replay.read_series(Path(make.RIVER_FILE))
    flooded = [point.offset_s for point in series.points if point.value > 2.5]
    assert 15 * 300 < flooded[0] < 35 * 300  # at speed 300, the demo's
    assert series.points[-1].value < 2.2
    assert series.period_s == 25 * 3600


def test_the_shipped_thermometer_sees_a_fire() -> None:
    series = csv_replay.read_series(Path(make.TEMPERATURE_FILE))
    assert max(point.value for point in series.points) > 55
    assert max(point.value for point in series.points if point.offset_s < 52_800) < 25


# ------------------------------------------------------------------------- as the agent finds them


def test_the_agents_settings_know_these_drivers(tmp_path: Path) -> None:
    path = tmp_path / "edge.toml"
    path.write_text(
        'gateway = "gw-1"\n'
        '[[drivers]]\ndriver = "panic_button"\ndevice = "boton-1"\npin = 17\n'
        '[[drivers]]\ndriver = "i2c_thermometer"\ndevice = "termo-1"\n'
        '[[drivers]]\ndriver = "csv_replay"\ndevice = "rio-1"\nfile = "river-flood.csv"\n'
        'name = "level"\nunit = "m"\nspeed = 300\nloop = true\n',
        "utf-8",
    )
    assert len(load(path).drivers) == 3


def test_a_wrong_setting_of_a_button_is_named(tmp_path: Path) -> None:
    path = tmp_path / "edge.toml"
    path.write_text(
        'gateway = "gw-1"\n[[drivers]]\ndriver = "panic_button"\ndevice = "b"\npin = 4\nholds_s = 1\n'
    )
    with pytest.raises(SettingsError, match="hold_s"):
        load(path)
