"""The edge agent: CPU, memory, and what an event costs an SD card.

A real agent plays events of its own devices (driver ``simulate``) into its outbox and on to a real hub;
measured from before the first event until the last receipt has emptied the queue.
"""

import asyncio
import contextlib
import json
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from bench import usage
from bench.errors import BenchError
from bench.figures import Figure, Ratio, Section, figure
from bench.fleet import GATEWAYS, SENSORS
from bench.ground import HOST, TREE, Broker, environment
from bench.setting import PLAIN, Setting

GATEWAY = "bench-000"
DEVICES = [f"b-{number:05d}" for number in range(0, SENSORS, GATEWAYS)]
_QUIET_S = 4.0
"""The agent has started by then, and the first event is a second later."""

_PATIENCE_S = 30.0


@dataclass(frozen=True)
class Pace:
    """Events a second, and how many in all."""

    rate: int
    events: int


@dataclass(frozen=True)
class Sample:
    cpu_s: float
    written_kb: float
    memory_mb: float
    events: int
    lost: int


async def measure(setting: Setting) -> Section:
    events = setting.scale.edge_events
    paces = [Pace(10, max(events // 10, 10)), Pace(200, events)]
    found: dict[str, Sample] = {}
    for pace in paces:
        sample = await _one(setting, pace)
        found[f"{pace.rate} events/s"] = sample
        setting.say(f"edge: {pace.rate} events/s: {sample.written_kb:,.0f} kB written")
    peak = max(sample.memory_mb for sample in found.values())
    return Section(
        title="Edge agent",
        ratios=[Ratio("edge agent, peak", figure([peak]), "MB", "<= 60")],
        columns=["events", "CPU s/1,000 events", "MB written/1,000 events", "peak MB", "lost"],
        rows={name: _row(sample) for name, sample in found.items()},
        lost=sum(sample.lost for sample in found.values()),
        notes=[
            "Every event is on the disk (fsync) before it is sent, and deleted after its receipt.",
            "Written: what the agent made the kernel write (write_bytes), without the file system's journal.",
            "CPU includes the agent's idle work for as long as it took.",
        ],
    )


async def _one(setting: Setting, pace: Pace) -> Sample:
    ground = setting.ground
    async with (
        ground.database(PLAIN) as database,
        ground.broker() as broker,
        ground.hub(broker, database, next(iter(setting.trees.values()))),
    ):
        folder = ground.folder / f"edge-{pace.rate}"
        folder.mkdir()
        async with _agent(folder, broker, pace) as pid:
            await asyncio.sleep(_QUIET_S)
            cpu_s, written = usage.cpu_s(pid), usage.bytes_written(pid)
            await _emptied(folder, pace.events)
            cpu_s, written = usage.cpu_s(pid) - cpu_s, usage.bytes_written(pid) - written
            memory_mb = usage.peak_mb(pid)
        rows = await ground.query(database, "select count(*) from events where type = 'motion.detected'")
    return Sample(cpu_s, written / 1000, memory_mb, pace.events, pace.events - int(rows[0][0]))


@contextlib.asynccontextmanager
async def _agent(folder: Path, broker: Broker, pace: Pace) -> AsyncIterator[int]:
    """A running agent; its process id."""
    config = folder / "edge.toml"
    config.write_text(_config(folder, broker, pace))
    (folder / "scenario.toml").write_text(_scenario(pace))
    with (folder / "edge.log").open("wb") as output:
        child = subprocess.Popen(  # noqa: ASYNC220 - it returns at once
            [sys.executable, "-m", "edge.cli", "run", "--config", config],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=TREE,
            env=environment(TREE),
        )
    try:
        yield child.pid
        if child.poll() is not None:
            raise BenchError(f"the edge agent ended: {(folder / 'edge.log').read_text()[-500:]}")
    finally:
        child.send_signal(signal.SIGTERM)
        try:
            await asyncio.to_thread(child.wait, 10)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def _config(folder: Path, broker: Broker, pace: Pace) -> str:
    return (
        f'gateway = "{GATEWAY}"\ndata_dir = "{folder / "data"}"\nhealth_interval_s = 3600\n'
        f'[mqtt]\nhost = "{HOST}"\nport = {broker.port}\n'
        f'[[drivers]]\ndriver = "simulate"\nscenario = "{folder / "scenario.toml"}"\ngateway = "{GATEWAY}"\n'
        f"stop_after_s = {_QUIET_S + 1 + pace.events / pace.rate + 1}\n"
    )


def _scenario(pace: Pace) -> str:
    """Devices take turns; their heartbeats would be telemetry, and come once."""
    lines = ['name = "bench"', "seed = 1", "repeat_s = 86400"]
    place = f'gateway = "{GATEWAY}", kind = "sensor", place = "", sector = "", latitude = 0, longitude = 0'
    devices = [f'{{device = "{d}", name = "{d}", heartbeat_s = 86400, {place}}}' for d in DEVICES]
    story = [
        f'{{at_s = {_QUIET_S + 1 + n / pace.rate}, device = "{DEVICES[n % len(DEVICES)]}",'
        f' event = "motion.detected", data = {{zone = {n % 10}}}}}'
        for n in range(pace.events)
    ]
    lines += [f"devices = [{', '.join(devices)}]", f"story = [{', '.join(story)}]"]
    lines += ["[kinds.sensor.temperature]", "value = 20.0", 'unit = "Cel"']
    return "\n".join(lines) + "\n"


async def _emptied(folder: Path, events: int) -> None:
    """Return when the outbox has taken all events and holds none any more, or when that takes too long."""
    words = [sys.executable, "-m", "edge.cli", "queue", "--json", "--data", str(folder / "data")]
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_PATIENCE_S + 60):
            while True:
                child = await asyncio.create_subprocess_exec(
                    *words, stdout=asyncio.subprocess.PIPE, cwd=TREE, env=environment(TREE)
                )
                output, _ = await child.communicate()
                found = json.loads(output) if child.returncode == 0 else {"receipted": {"event": 0}}
                if found["receipted"]["event"] >= events:
                    return
                await asyncio.sleep(0.5)


def _row(sample: Sample) -> dict[str, Figure]:
    k = sample.events / 1000
    return {
        "events": figure([sample.events]),
        "CPU s/1,000 events": figure([sample.cpu_s / k]),
        "MB written/1,000 events": figure([sample.written_kb / 1000 / k]),
        "peak MB": figure([sample.memory_mb]),
        "lost": figure([sample.lost]),
    }
