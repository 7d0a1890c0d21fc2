"""The demo as a newcomer runs it: a commune, counted at both ends, while the broker loses its memory."""

import asyncio
import json
import signal
import sys
from pathlib import Path

import pytest
from fakes import eventually


async def start_demo(*options: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "hub.cli", "--log", "warning", "demo", "--http", "127.0.0.1:0", *options,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip


async def test_nothing_is_lost_while_the_broker_is_killed_and_forgets(server_folder: Path) -> None:
    demo = await start_demo(
        "--for", "40", "--json", "--kill-broker", "3", "--data", str(server_folder / "demo")
    )
    output, errors = await demo.communicate()
    assert demo.returncode == 0, errors.decode()[-3000:]
    result = json.loads(output.splitlines()[-1])
    assert result["broker_restarts"] == 3
    assert result["lost"] == 0
    assert result["pending"] == 0
    assert result["stored"] == result["sent"] >= 15
    assert result["measurements_stored"] <= result["measurements_sent"]
    assert {"panic", "duress", "gate_open", "camera_moved", "battery_low", "river_high"} <= result[
        "alerts"
    ].keys()
    assert result["notifications"] >= result["alerts"]["panic"]
    assert result["press_to_notification_ms"]["n"] >= 8
    lines = (server_folder / "demo" / "hub" / "sms.jsonl").read_text("utf-8").splitlines()
    assert all(json.loads(line)["text"] for line in lines)
    assert len(lines) >= result["notifications"]


@pytest.mark.timeout(90)
async def test_ctrl_c_leaves_no_process_behind(server_folder: Path) -> None:
    demo = await start_demo("--data", str(server_folder / "demo"))
    assert demo.stdout is not None
    edges = server_folder / "demo" / "edges"
    async with asyncio.timeout(60):
        while b"Ctrl-C" not in await demo.stdout.readline():
            assert not demo.stdout.at_eof()
    family = await eventually(lambda: _family(demo.pid) if len(_family(demo.pid)) >= 8 else None)
    assert len(list(edges.iterdir())) == 6
    demo.send_signal(signal.SIGINT)
    async with asyncio.timeout(60):
        await demo.communicate()
    await eventually(lambda: not any(Path(f"/proc/{pid}").exists() for pid in family))


def _family(pid: int) -> list[int]:
    """The process's children and theirs."""
    found = []
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        found += [int(child), *_family(int(child))] if Path(f"/proc/{child}").exists() else []
    return found
