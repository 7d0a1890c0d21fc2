"""The hub as its users run it: a process, a broker, a database, and strangers' tools."""

import asyncio
import json
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import httpx
import pytest
from conftest import Mosquitto
from fakes import eventually
from processes import hub_process, run

from edge import contract

DEVICES = """device,gateway,kind,name,place,latitude,longitude
boton-1,gw-boldos,panic_button,Los Boldos 12,Los Boldos,-34.39,-72.01
"""


def publish(port: int, topic: str, payload: str) -> None:
    """With Debian's own client, as a stranger would."""
    subprocess.run(
        ["/usr/bin/mosquitto_pub", "-h", "127.0.0.1", "-p", str(port), "-q", "1", "-t", topic, "-s"],
        input=payload.encode(),
        check=True,
        timeout=10,
    )


def event(id_: str, **changes: object) -> str:
    given = {
        "specversion": "1.0",
        "id": id_,
        "source": contract.device_urn("boton-1"),
        "type": "panic.pressed",
        "time": datetime.now(UTC).isoformat(),
        "data": {"held_s": 2.0},
    }
    return json.dumps(given | changes)


@pytest.fixture
def device_list(tmp_path: Path) -> Path:
    path = tmp_path / "dispositivos.csv"
    path.write_text(DEVICES, "utf-8")
    return path


async def test_a_strangers_cloudevent_becomes_an_alert_and_a_notification(
    mosquitto: Mosquitto, dsn: str, device_list: Path, server_folder: Path
) -> None:
    options = (
        "--mqtt",
        f"127.0.0.1:{mosquitto.port}",
        "--database",
        dsn,
        "--data",
        str(server_folder / "data"),
    )
    async with hub_process(server_folder, *options) as hub:
        code, output = await run("hub.cli", "devices", "import", str(device_list), *options)
        assert code == 0, output
        pool = await asyncpg.create_pool(dsn, min_size=1, max_size=2)
        try:
            topic = contract.topic("gw-boldos", contract.Leaf.ALARM)

            async def alert_count() -> int:
                # The registry follows the import by NOTIFY; a press before that is refused.
                publish(mosquitto.port, topic, event("e-1"))
                return int(await pool.fetchval("select count(*) from alerts"))

            await eventually(alert_count)
            for bad in (
                "{no",
                "[]",
                "x" * 1_000_000,
                event("e-2", source="urn:x:otro"),
                event("e-3", type=7),
            ):
                publish(mosquitto.port, topic, bad)
            publish(mosquitto.port, topic, event("e-4"))
            await eventually(lambda: pool.fetchval("select count(*) = 2 from events"))
            assert await pool.fetchval("select event_count from alerts") == 2
            sms = server_folder / "data" / "sms.jsonl"
            await eventually(lambda: sms.exists() and sms.stat().st_size > 0)
            line = json.loads(sms.read_text("utf-8").splitlines()[0])
            assert line["recipient"] == "turno"
            assert "PANICO" in line["text"]
            async with httpx.AsyncClient(base_url=hub.url() or "") as client:
                metrics = (await client.get("/metrics")).text
            assert 'almenara_stored_total{lane="alarm"} 2.0' in metrics
            assert 'almenara_refused_total{cause="too_large"} 1.0' in metrics
        finally:
            await pool.close()
        assert await hub.stop() == 0


def grafana_says(*alerts: dict[str, object]) -> dict[str, object]:
    """A body of Grafana's webhook contact point."""
    return {"receiver": "almenara-hub", "status": "firing", "alerts": list(alerts), "truncatedAlerts": 0}


def platform_alert(fingerprint: str, status: str = "firing", **labels: str) -> dict[str, object]:
    return {
        "status": status,
        "labels": {"alertname": "Avisos lentos", "origen": "almenara"} | labels,
        "annotations": {"summary": "Avisos lentos", "description": "El primer aviso tarda más de 2 s."},
        "startsAt": "2099-01-01T00:00:00Z",
        "endsAt": "0001-01-01T00:00:00Z",
        "fingerprint": fingerprint,
    }


@pytest.fixture
def hook_token(tmp_path: Path) -> Path:
    path = tmp_path / "hook.txt"
    path.write_text("de-grafana\n", "utf-8")
    return path


async def test_grafana_tells_of_the_platform(
    mosquitto: Mosquitto, dsn: str, server_folder: Path, hook_token: Path
) -> None:
    options = ("--mqtt", f"127.0.0.1:{mosquitto.port}", "--database", dsn, "--data", str(server_folder / "d"))
    told = {"ALMENARA_HUB_GRAFANA_HOOK_TOKEN_FILE": str(hook_token)}
    async with hub_process(server_folder, *options, environment=told) as hub:
        connection = await asyncpg.connect(dsn)
        right = {"Authorization": "Bearer de-grafana"}
        async with httpx.AsyncClient(base_url=hub.url() or "", timeout=30) as client:
            url, slow = "/grafana/alertas", grafana_says(platform_alert("f1"))
            for headers in ({}, {"Authorization": "Bearer otra"}):
                assert (await client.post(url, json=slow, headers=headers)).status_code == 403
            assert (await client.post(url, content=b"{no", headers=right)).status_code == 422
            assert (await client.post(url, json={"alerts": 1}, headers=right)).status_code == 422
            assert await connection.fetchval("select count(*) from alerts") == 0

            wrong = platform_alert("f3") | {"status": "pending"}
            both = grafana_says(wrong, platform_alert("f1"), platform_alert("f2", prioridad="1"))
            answer = await client.post(url, json=both, headers=right)
            assert answer.json() == {"firing": 2, "resolved": 0, "refused": 1}
            await client.post(url, json=slow, headers=right)
            opened = await connection.fetch("select * from alerts order by dedup_key")
            assert [(a["kind"], a["priority"], a["state"]) for a in opened] == [
                ("platform_fault", 3, "received"),
                ("platform_fault", 2, "received"),  # what is no call for help is never priority 1
            ]
            assert opened[0]["summary"] == "Avisos lentos: El primer aviso tarda más de 2 s."
            assert opened[0]["happened_at"].year < 2099
            assert await connection.fetchval("select count(*) from notifications") >= 1

            over = grafana_says(platform_alert("f1", "resolved"), platform_alert("unknown", "resolved"))
            for _ in range(2):
                assert (await client.post(url, json=over, headers=right)).status_code == 200
            states = await connection.fetch("select state, reason from alerts order by dedup_key")
            assert [tuple(row) for row in states] == [("closed", "technical"), ("received", None)]
        await connection.close()
        assert await hub.stop() == 0


async def test_a_hub_on_embedded_defaults_leaves_no_process_behind(
    server_folder: Path, device_list: Path
) -> None:
    data = server_folder / "data"
    async with hub_process(server_folder, "--data", str(data)) as hub:
        assert len(hub.first_password()) >= 12
        code, output = await run("hub.cli", "devices", "import", str(device_list), "--data", str(data))
        assert code == 0, output
        code, output = await run("hub.cli", "devices", "list", "--data", str(data))
        assert "boton-1" in output
        children = await asyncio.to_thread(_children, hub.process.pid)
        assert len(children) == 2
        assert await hub.stop() == 0
    await eventually(lambda: not any(Path(f"/proc/{pid}").exists() for pid in children))


async def test_a_killed_hub_takes_its_servers_along_and_comes_back(server_folder: Path) -> None:
    data = server_folder / "data"
    async with hub_process(server_folder, "--data", str(data)) as hub:
        children = await asyncio.to_thread(_children, hub.process.pid)
        await hub.kill()
    await eventually(lambda: not any(Path(f"/proc/{pid}").exists() for pid in children))
    async with hub_process(server_folder / "again", "--data", str(data)) as hub:
        assert await hub.stop() == 0


def _children(pid: int) -> list[int]:
    return [int(p) for p in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (("--mqtt", "nowhere"), "mqtt"),
        (("--http", "x:y:z"), "http"),
        (("--database", "postgresql://127.0.0.1:1/x"), "PostgreSQL"),
    ],
)
async def test_a_wrong_setting_stops_the_start_and_is_named(
    options: tuple[str, str], named: str, tmp_path: Path
) -> None:
    code, output = await run("hub.cli", "serve", "--data", str(tmp_path), *options)
    assert code in (1, 2)
    assert named in output
    assert "Traceback" not in output


async def test_an_unknown_setting_in_the_file_is_named(tmp_path: Path) -> None:
    config = tmp_path / "hub.toml"
    config.write_text('brocker = "x"\n')
    code, output = await run("hub.cli", "--config", str(config), "serve", "--data", str(tmp_path))
    assert code == 2
    assert "brocker" in output


async def test_a_taken_console_port_is_named(server_folder: Path, dsn: str, mosquitto: Mosquitto) -> None:
    server = await asyncio.start_server(lambda _r, _w: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    options = ("--mqtt", f"127.0.0.1:{mosquitto.port}", "--database", dsn, "--data", str(server_folder))
    async with server:
        code, output = await run("hub.cli", "serve", *options, "--http", f"127.0.0.1:{port}")
    assert code == 1
    assert f"127.0.0.1:{port}" in output
    assert "Traceback" not in output


async def test_a_second_hub_on_one_folder_is_told_so(
    server_folder: Path, dsn: str, mosquitto: Mosquitto
) -> None:
    options = ("--mqtt", f"127.0.0.1:{mosquitto.port}", "--database", dsn, "--data", str(server_folder))
    async with hub_process(server_folder / "first", *options):
        code, output = await run("hub.cli", "serve", *options, "--http", "127.0.0.1:0")
    assert code == 1
    assert "otro hub ya usa la carpeta" in output
    assert "Traceback" not in output


@pytest.mark.parametrize(
    "words", [(), ("serve",), ("demo",), ("devices",), ("devices", "import"), ("users", "add")]
)
async def test_every_command_explains_itself(words: tuple[str, ...]) -> None:
    code, output = await run("hub.cli", *words, "--help")
    assert code == 0
    assert "usage: almenara-hub" in output
