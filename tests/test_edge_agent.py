"""The agent as a whole: drivers, feedback, noise, and the real process under signals."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import pytest
from conftest import Mosquitto
from pydantic import BaseModel
from test_edge_uplink import FakeHub, hub_on, until

from edge import contract, settings
from edge.agent import Agent, AgentError, run
from edge.clock import Clock, SystemClock
from edge.commands import CommandError, Commands
from edge.contract import Command, ContractError, Leaf, Measurement, ResultState, State
from edge.drivers import Feedback, Lane, Outlet
from edge.outbox import Outbox, OutboxFullError, outbox_path
from edge.outlet import AgentOutlet
from edge.settings import Settings

CLOCK = SystemClock()
BUTTON = contract.device_urn("boton-1")


# ------------------------------------------------------------------------------ a driver of the test


class BellSettings(BaseModel):
    driver: Literal["bell"]
    failures: int = 0


class Bell:
    """A driver that a test presses."""

    def __init__(self) -> None:
        self.failures = 0
        self.starts = 0
        self.outlet: Outlet | None = None
        self.feedback: list[tuple[str, Feedback]] = []

    def build(self, given: BellSettings, _clock: Clock) -> "Bell":
        self.failures = given.failures
        return self

    async def run(self, outlet: Outlet) -> None:
        self.starts += 1
        if self.starts <= self.failures:
            raise OSError("no such pin")
        outlet.follow("boton-1", lambda event_id, feedback: self.feedback.append((event_id, feedback)))
        self.outlet = outlet
        await asyncio.Event().wait()

    async def press(self) -> str:
        await until(lambda: self.outlet is not None)
        assert self.outlet is not None
        return await self.outlet.event("boton-1", "panic.pressed", {"held_s": 2.5}, Lane.ALARM)


@pytest.fixture
def bell(monkeypatch: pytest.MonkeyPatch) -> Bell:
    driver = Bell()
    module = ModuleType("a_bell")
    module.Settings = BellSettings  # type: ignore[attr-defined]
    module.build = driver.build  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "a_bell", module)
    monkeypatch.setitem(settings.DRIVERS, "bell", "a_bell")
    return driver


def settings_of(folder: Path, port: int, **values: Any) -> Settings:
    given = {"gateway": "gw-1", "data_dir": folder / "data", "mqtt": {"port": port}} | values
    return Settings.model_validate(given)


@contextlib.asynccontextmanager
async def running(given: Settings) -> AsyncIterator["asyncio.Task[None]"]:
    stop = asyncio.Event()
    task = asyncio.create_task(run(given, CLOCK, stop))
    try:
        yield task
    finally:
        stop.set()
        await task


@pytest.fixture
async def hub(mosquitto: Mosquitto) -> AsyncIterator[FakeHub]:
    async with hub_on(mosquitto.host, mosquitto.port) as opened:
        yield opened


def events(hub: FakeHub, type: str) -> list[contract.Event]:
    found = [event for payload in hub.payloads for event in contract.decode_events(payload)[0]]
    return [event for event in found if event.type == type]


# -------------------------------------------------------------------------------- from press to LED


async def test_a_press_is_heard_received_and_answered(
    tmp_path: Path, mosquitto: Mosquitto, hub: FakeHub, bell: Bell
) -> None:
    given = settings_of(tmp_path, mosquitto.port, drivers=[{"driver": "bell"}])
    async with running(given):
        event_id = await bell.press()
        assert bell.feedback == [(event_id, Feedback.HEARD)]
        await until(lambda: (event_id, Feedback.RECEIVED) in bell.feedback)
        for feedback in ("on_its_way", "closed"):
            arguments = {"event_id": event_id, "source": BUTTON, "feedback": feedback, "text": "Patrulla."}
            command = Command(
                id=f"c-{feedback}",
                name="show_feedback",
                expires=datetime.now(UTC) + timedelta(minutes=1),
                arguments=arguments,
            )
            await hub.send(Leaf.COMMAND, command)
            await hub.send(Leaf.COMMAND, command)
            await until(lambda: len(hub.results) % 2 == 0 and len(hub.results) > 0)
            hub.results.clear()
        await until(lambda: len(bell.feedback) == 4)
        assert [feedback for _, feedback in bell.feedback] == list(Feedback)
    (event,) = events(hub, "panic.pressed")
    assert (event.id, event.source, event.sequence_number, event.bootid) == (
        event_id,
        BUTTON,
        1,
        CLOCK.boot_id,
    )
    assert event.fields() == {"held_s": 2.5}
    assert event.clock is CLOCK.quality()
    assert hub.statuses[-1].state is State.OFFLINE


async def test_health_comes_at_once_and_again(tmp_path: Path, mosquitto: Mosquitto, hub: FakeHub) -> None:
    async with running(settings_of(tmp_path, mosquitto.port, health_interval_s=1.0)):
        await until(lambda: len(hub.ids(Leaf.TELEMETRY)) >= 2)
    pack = contract.decode_pack(hub.payloads[0], 0)
    assert {m.source for m in pack.measurements} == {contract.device_urn("gw-1")}
    assert {"disk_free", "queue_depth"} <= {m.quantity for m in pack.measurements}
    assert pack.age_ms is not None


async def test_a_driver_that_fails_is_reported_and_started_again(
    tmp_path: Path, mosquitto: Mosquitto, hub: FakeHub, bell: Bell
) -> None:
    given = settings_of(tmp_path, mosquitto.port, drivers=[{"driver": "bell", "failures": 1}])
    async with running(given):
        await until(lambda: bell.starts == 2)
        await bell.press()
        await until(lambda: len(events(hub, "panic.pressed")) == 1)
    (event,) = events(hub, "driver.failed")
    assert event.source == contract.device_urn("gw-1")
    assert event.fields() == {"driver": "driver 0 (bell)", "problem": "OSError"}


async def test_a_torn_outbox_is_reported(tmp_path: Path, mosquitto: Mosquitto, hub: FakeHub) -> None:
    given = settings_of(tmp_path, mosquitto.port)
    given.data_dir.mkdir()
    outbox_path(given.data_dir).write_bytes(b"not a database, but long enough to look at" * 100)
    async with running(given):
        await until(lambda: len(events(hub, "outbox.torn")) == 1)
    assert events(hub, "outbox.torn")[0].fields()["file"].startswith("outbox.db.torn-")


async def test_two_agents_never_share_a_folder(tmp_path: Path, mosquitto: Mosquitto) -> None:
    given = settings_of(tmp_path, mosquitto.port)
    async with running(given) as first:
        await until(lambda: outbox_path(given.data_dir).exists())
        with pytest.raises(AgentError, match="Ya hay un agente"):
            await run(given, CLOCK, asyncio.Event())
        assert not first.done()


async def test_a_folder_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file")
    with pytest.raises(AgentError, match="No se puede usar la carpeta"):
        await run(settings_of(tmp_path, 1), CLOCK, asyncio.Event())


# --------------------------------------------------------------------------------------- the outlet


@pytest.fixture
async def outbox(tmp_path: Path) -> AsyncIterator[Outbox]:
    box = await Outbox.open(tmp_path / "o.db", 20_000)
    yield box
    await box.close()


async def test_what_cannot_be_stored_is_shouted_and_raised(outbox: Outbox) -> None:
    outlet = AgentOutlet(outbox, CLOCK, contract.device_urn("gw-1"))
    shouted: list[tuple[Leaf, contract.Event]] = []

    async def shout(leaf: Leaf, payload: bytes) -> bool:
        shouted.append((leaf, contract.decode_event(payload)))
        return True

    outlet.shout = shout
    for _ in range(2):
        await outlet.event("b", "panic.pressed", {"x": "y" * 5_000}, Lane.ALARM)
    for type, lane in (("panic.pressed", Lane.ALARM), ("gate.opened", Lane.EVENT)):
        with pytest.raises(OutboxFullError):
            await outlet.event("b", type, {"x": "y" * 5_000}, lane)
    assert [(leaf, event.type) for leaf, event in shouted] == [
        (Leaf.ALARM, "panic.pressed"),
        (Leaf.EVENT, "outbox.failed"),  # once a minute, not for each
    ]
    assert {event.age_ms for _, event in shouted} == {0}


async def test_many_measurements_become_several_packs(outbox: Outbox) -> None:
    outlet = AgentOutlet(outbox, CLOCK, "urn:gw")
    measured = [
        Measurement(name=f"{BUTTON}:level", time=1_700_000_000 + n, unit="m", value=1.0) for n in range(501)
    ]
    first = await outlet.measure(measured)
    rows = await outbox.next(Lane.TELEMETRY, 10)
    assert [row.entry.measurements for row in rows] == [500, 1]
    assert rows[0].entry.message_id == first
    packs = [contract.decode_pack(row.entry.payload, 0) for row in rows]
    assert [m for pack in packs for m in pack.measurements] == measured
    with pytest.raises(ContractError):
        await outlet.measure([])


async def test_an_event_larger_than_the_hub_takes_is_refused_here(outbox: Outbox) -> None:
    outlet = AgentOutlet(outbox, CLOCK, "urn:gw")
    with pytest.raises(ContractError, match="bytes, more than"):
        await outlet.event("b", "note.taken", {"x": "y" * contract.MAX_PAYLOAD_BYTES})


async def test_a_listener_that_fails_harms_nobody(outbox: Outbox) -> None:
    outlet = AgentOutlet(outbox, CLOCK, "urn:gw")
    heard: list[str] = []

    def broken(_event_id: str, _feedback: Feedback) -> None:
        raise RuntimeError("no LED")

    outlet.follow("b", broken)
    outlet.follow("b", lambda event_id, _: heard.append(event_id))
    assert [await outlet.event("b", "x.y")] == heard


# ------------------------------------------------------------------------------------------ commands


async def test_a_command_is_done_once_and_answered_each_time(outbox: Outbox) -> None:
    done: list[str] = []

    async def open_gate(command: Command) -> str:
        done.append(command.id)
        return f"opened {len(done)}"

    async def broken(_command: Command) -> str:
        raise KeyError("gate")

    async def unable(_command: Command) -> str:
        raise CommandError("the gate is locked")

    table = {"open_gate": open_gate, "broken": broken, "unable": unable}
    later, earlier = CLOCK.wall() + timedelta(hours=1), CLOCK.wall() - timedelta(seconds=1)

    def command(id: str, name: str, expires: datetime = later) -> Command:
        return Command(id=id, name=name, expires=expires)

    commands = Commands(table, outbox, CLOCK)
    first, again = await asyncio.gather(*(commands.answer(command("1", "open_gate")) for _ in range(2)))
    assert first == again
    assert (first.state, first.detail, done) == (ResultState.DONE, "opened 1", ["1"])
    restarted = Commands(table, outbox, CLOCK)
    assert await restarted.answer(command("1", "open_gate")) == first
    assert (await commands.answer(command("2", "open_gate", earlier))).state is ResultState.EXPIRED
    for id, name, detail in (
        ("3", "dance", "unknown"),
        ("4", "broken", "KeyError"),
        ("5", "unable", "the gate is locked"),
    ):
        result = await commands.answer(command(id, name))
        assert result.state is ResultState.FAILED
        assert detail in result.detail
    await outbox.remember_command("6", None)  # begun when the power went
    assert (await commands.answer(command("6", "open_gate"))).state is ResultState.FAILED
    assert done == ["1"]


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"event_id": 7, "feedback": "closed"},
        {"event_id": "e", "feedback": "heard"},
        {"event_id": "unknown", "feedback": "closed"},
        {"event_id": "e", "feedback": ["closed"]},
        {"event_id": "e", "feedback": "closed", "source": 3},
    ],
)
async def test_feedback_for_nobody_fails(outbox: Outbox, tmp_path: Path, arguments: dict[str, Any]) -> None:
    agent = Agent(settings_of(tmp_path, 1), CLOCK, outbox)
    command = Command(id="c", name="show_feedback", expires=CLOCK.wall(), arguments=arguments)
    with pytest.raises(CommandError):
        await agent._show_feedback(command)


# ---------------------------------------------------------------------------------- the real process


@pytest.fixture
def config(tmp_path: Path, mosquitto: Mosquitto) -> Path:
    path = tmp_path / "edge.toml"
    general = f'gateway = "gw-1"\ndata_dir = "{tmp_path}/data"\nhealth_interval_s = 1\n'
    path.write_text(f"{general}[mqtt]\nport = {mosquitto.port}\n")
    return path


@contextlib.contextmanager
def process(config: Path, **environment: str) -> Iterator["subprocess.Popen[str]"]:
    child = subprocess.Popen(
        [sys.executable, "-m", "edge.cli", "run", "--config", config],
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | environment,
    )
    try:
        yield child
    finally:
        if child.poll() is None:
            child.kill()
        assert child.stderr is not None
        child.stderr.close()
        child.wait()


def queue(config: Path) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "edge.cli", "queue", "--config", config, "--json"],
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(done.stdout)
    assert isinstance(found, dict)
    return found


def until_line(child: "subprocess.Popen[str]", text: str) -> None:
    assert child.stderr is not None
    for line in child.stderr:
        if text in line:
            return
    raise AssertionError(f"the agent ended without saying {text!r}")


def rss_mb(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise AssertionError("no such process")


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
async def test_the_process_starts_reports_and_stops_in_time(
    config: Path, hub: FakeHub, tmp_path: Path, how: signal.Signals
) -> None:
    name = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(name)
        systemd.settimeout(10)
        with process(config, NOTIFY_SOCKET=name) as child:
            heard = {await asyncio.to_thread(systemd.recv, 100) for _ in range(2)}
            assert heard == {b"READY=1", b"WATCHDOG=1"}
            await until(lambda: len(hub.ids(Leaf.TELEMETRY)) >= 2)
            assert rss_mb(child.pid) < 60
            child.send_signal(how)
            began_ms = CLOCK.boottime_ms()
            assert await asyncio.to_thread(child.wait, 5) == 0
            assert CLOCK.boottime_ms() - began_ms < 2000
            assert systemd.recv(100) == b"STOPPING=1"
    await until(lambda: hub.statuses[-1].state is State.OFFLINE)
    stats = queue(config)
    assert stats["accepted"]["telemetry"] == stats["receipted"]["telemetry"] + stats["pending"]["telemetry"]
    assert stats["measurements"] >= 2 * 4


def test_stopping_does_not_wait_for_a_connection_that_hangs(tmp_path: Path) -> None:
    with socket.socket() as full:  # its backlog is full: further connections get no answer at all
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        callers = [socket.socket() for _ in range(4)]
        for caller in callers:
            caller.setblocking(False)
            caller.connect_ex(("127.0.0.1", port))
        config = tmp_path / "edge.toml"
        config.write_text(f'gateway = "gw-1"\ndata_dir = "{tmp_path}/data"\n[mqtt]\nport = {port}\n')
        with process(config) as child:
            until_line(child, "gateway gw-1 runs")
            child.terminate()
            assert child.wait(2) == 0
        for caller in callers:
            caller.close()


async def test_a_killed_agent_goes_on_where_it_was(config: Path, hub: FakeHub) -> None:
    hub.answers = False
    for _ in range(3):
        with process(config) as child:
            sent = len(hub.received)
            await until(lambda sent=sent: len(hub.received) > sent)  # type: ignore[misc]
            child.kill()
    hub.answers = True
    accepted = queue(config)["accepted"]["telemetry"]
    with process(config) as child:
        await until(lambda: queue(config)["receipted"]["telemetry"] >= accepted)
        child.terminate()
        await asyncio.to_thread(child.wait, 5)
    with contextlib.closing(sqlite3.connect(config.parent / "data" / "outbox.db")) as db:
        assert db.execute("pragma integrity_check").fetchone() == ("ok",)


def test_the_queue_of_nothing_is_named(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    done = subprocess.run([sys.executable, "-m", "edge.cli", "queue", "--data", tmp_path], check=False)
    assert done.returncode == 1
    assert "outbox.db" in capfd.readouterr().err
