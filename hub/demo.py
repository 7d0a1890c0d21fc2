"""``almenara-hub demo``: a whole commune on one machine, over real servers and real edge processes.

The hub runs in this process. Each gateway is a process of its own that plays its part of the scenario and
knows nothing of the hub but the broker's address. What the demo reports is counted at both ends: what the
edges' outboxes accepted, and what stands in the hub's database.
"""

import asyncio
import contextlib
import importlib.resources
import json
import logging
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hub.app import Hub, running
from hub.devices import importing
from hub.settings import HubSettings

log = logging.getLogger(__name__)

SCENARIO = "los-aromos"
DRAIN_S = 30.0
_QUIET_S = 0.2


@dataclass(frozen=True)
class Edge:
    """One gateway's process and folder."""

    gateway: str
    folder: Path
    process: asyncio.subprocess.Process


async def run(
    settings: HubSettings, *, for_s: float | None, as_json: bool, data: Path | None, kill_broker: int
) -> int:
    """Run the demo until it ends by itself or is stopped; returns the exit code."""
    stop = asyncio.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(signum, stop.set)
    with _folder(data) as folder:
        settings = settings.model_copy(
            update={
                "data": folder / "hub",
                "commune": "Los Aromos (ficticia)",
                "geojson": _scenario_file("geojson"),
                "http": _free_http(settings.http),
            }
        )
        async with running(settings) as hub:
            await _register(hub)
            async with _edges(hub, folder, for_s) as edges:
                _print_guide(hub, folder if data else None)
                await _play(hub, stop, for_s, kill_broker)
                await _drain(edges, stop)
            result = await _result(hub, edges)
    if for_s is not None or as_json:
        _print_result(result, as_json)
    return 0 if result["lost"] == 0 and result["stored"] == result["sent"] else 1


@contextmanager
def _folder(data: Path | None) -> Iterator[Path]:
    if data is not None:
        data.mkdir(parents=True, exist_ok=True)
        yield data.absolute()
        return
    # The embedded servers run under another account when we are root, so the way must be open to it.
    folder = Path(tempfile.mkdtemp(prefix="almenara-demo-"))
    folder.chmod(0o711)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _scenario_file(ending: str) -> Path:
    return Path(str(importlib.resources.files("edge") / "scenarios" / f"{SCENARIO}.{ending}"))


def _free_http(wanted: str) -> str:
    """The wanted address, or another port of it when that one is taken."""
    import socket

    host, _, port = wanted.rpartition(":")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, int(port)))
        except OSError:
            log.warning("port %s is taken; the console takes another", port)
            return f"{host}:0"
    return wanted


# ------------------------------------------------------------------------------------------ fleet


async def _simulate(*words: str) -> str:
    """Ask the edge about its scenario, as a process: the hub imports nothing of the edge but the contract."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "edge.simulate", *words, stdout=subprocess.PIPE
    )
    output, _ = await process.communicate()
    if process.returncode != 0:
        raise RuntimeError(f"edge.simulate {' '.join(words)} ended with {process.returncode}")
    return output.decode()


async def _register(hub: Hub) -> None:
    """The registry import that a technician would do, from the scenario's own list."""
    path = hub.settings.data / "dispositivos.csv"
    path.write_text(await _simulate("devices", str(_scenario_file("toml"))), "utf-8")
    report = await importing.import_file(hub.pool, path)
    if report.problems:
        raise RuntimeError(importing.render_report(report))
    await hub.registry.load(hub.pool)
    if hub.broker is not None:
        await hub.broker.set_gateways(hub.registry.gateways())


@asynccontextmanager
async def _edges(hub: Hub, folder: Path, for_s: float | None) -> AsyncIterator[list[Edge]]:
    """One process a gateway; on leaving, each is asked to stop, then ended."""
    names = (await _simulate("gateways", str(_scenario_file("toml")))).split()
    edges: list[Edge] = []
    try:
        for name in names:  # one by one, so that none is unattended when a later one fails
            edges.append(await _start_edge(hub, folder / "edges" / name, name, for_s))
        yield edges
    finally:
        await _stop(edges)


def _write_config(hub: Hub, folder: Path, gateway: str, for_s: float | None) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "edge.toml"
    lines = [
        f'gateway = "{gateway}"',
        f'data_dir = "{folder}"',
        "health_interval_s = 15",
        "",
        "[mqtt]",
        f'host = "{hub.address.host}"',
        f"port = {hub.address.port}",
        "",
        "[[drivers]]",
        'driver = "simulate"',
        f'scenario = "{_scenario_file("toml")}"',
        f'gateway = "{gateway}"',
    ]
    if for_s is not None:
        lines.append(f"stop_after_s = {for_s}")
    config.write_text("\n".join(lines) + "\n", "utf-8")
    return config


async def _start_edge(hub: Hub, folder: Path, gateway: str, for_s: float | None) -> Edge:
    config = _write_config(hub, folder, gateway, for_s)
    environment = dict(os.environ)
    if hub.broker is not None:
        environment["ALMENARA_EDGE_MQTT__USERNAME"] = gateway
        environment["ALMENARA_EDGE_MQTT__PASSWORD"] = hub.broker.gateway_password(gateway)
    with (folder / "log").open("ab") as output:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "edge.cli",
            "run",
            "--config",
            str(config),
            env=environment,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    return Edge(gateway, folder, process)


async def _stop(edges: Sequence[Edge]) -> None:
    for edge in edges:
        if edge.process.returncode is None:
            edge.process.terminate()
    for edge in edges:
        try:
            async with asyncio.timeout(10):
                await edge.process.wait()
        except TimeoutError:
            log.warning("gateway %s does not stop; killed", edge.gateway)
            edge.process.kill()
            await edge.process.wait()


# ------------------------------------------------------------------------------------------- play


async def _play(hub: Hub, stop: asyncio.Event, for_s: float | None, kill_broker: int) -> None:
    async with AsyncExitStack() as stack:
        if kill_broker and hub.broker is not None and for_s:
            task = asyncio.create_task(_kill_broker(hub, kill_broker, for_s))
            stack.callback(task.cancel)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(for_s):
                await stop.wait()


async def _kill_broker(hub: Hub, times: int, for_s: float) -> None:
    """End the broker with SIGKILL and delete all that it kept, at even distances; it is started again."""
    assert hub.broker is not None  # noqa: S101 - the caller looked
    for _ in range(times):
        await asyncio.sleep(for_s / (times + 1))
        log.warning("the broker is killed and its memory deleted")
        await hub.broker.wipe()


async def _drain(edges: Sequence[Edge], stop: asyncio.Event) -> None:
    """Wait until the outboxes hold no event any more; says how many are left when it takes too long."""
    for _ in range(int(DRAIN_S / _QUIET_S)):
        queues = await asyncio.gather(*(_queue(edge) for edge in edges))
        left = sum(q["pending"]["alarm"] + q["pending"]["event"] for q in queues)
        if left == 0 or stop.is_set():
            return
        await asyncio.sleep(_QUIET_S)
    log.error("the outboxes still hold %d events", left)


async def _queue(edge: Edge) -> dict[str, Any]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "edge.cli",
        "queue",
        "--data",
        str(edge.folder),
        "--json",
        stdout=subprocess.PIPE,
    )
    output, _ = await process.communicate()
    found: dict[str, Any] = json.loads(output)
    return found


# ----------------------------------------------------------------------------------------- result

_LATENCIES = """
    select extract(epoch from first.sent_at - e.claimed_at) * 1000
    from events e
    join alert_log l on l.source_event = e.id and l.move = 'opened'
    join lateral (select min(sent_at) as sent_at from notifications n where n.alert_id = l.alert_id) first
      on first.sent_at is not null
    where e.type in ('panic.pressed', 'duress.pressed')
"""


async def _result(hub: Hub, edges: Sequence[Edge]) -> dict[str, Any]:
    """What both ends counted. ``lost`` is what an outbox gave away and the database does not hold."""
    queues = await asyncio.gather(*(_queue(edge) for edge in edges))
    sent = sum(q["accepted"]["alarm"] + q["accepted"]["event"] for q in queues)
    pending = sum(q["pending"]["alarm"] + q["pending"]["event"] for q in queues)
    pool = hub.pool
    stored = await pool.fetchval("select count(*) from events")
    kinds = await pool.fetch("select kind, count(*) as n from alerts group by kind order by kind")
    latencies = sorted(float(r[0]) for r in await pool.fetch(_LATENCIES))
    return {
        "sent": sent,
        "stored": stored,
        "duplicates": _counter(hub, "almenara_duplicates", ("alarm", "event")),
        "lost": sent - pending - stored,
        "pending": pending,
        "measurements_sent": sum(q["measurements"] for q in queues),
        "measurements_stored": await pool.fetchval("select count(*) from telemetry"),
        "alerts": {r["kind"]: r["n"] for r in kinds},
        "notifications": await pool.fetchval("select count(*) from notifications where state = 'sent'"),
        "press_to_notification_ms": _quantiles(latencies),
        "broker_restarts": hub.broker.restarts if hub.broker else 0,
    }


def _counter(hub: Hub, name: str, lanes: Sequence[str]) -> int:
    values = (hub.metrics.registry.get_sample_value(f"{name}_total", {"lane": lane}) for lane in lanes)
    return int(sum(value or 0 for value in values))


def _quantiles(values: Sequence[float]) -> dict[str, float | int | None]:
    """p50 and p99 by nearest rank; null where nothing was pressed."""
    if not values:
        return {"p50": None, "p99": None, "n": 0}
    rank = min(len(values) - 1, round(0.99 * len(values)))
    return {"p50": round(statistics.median(values), 2), "p99": round(values[rank], 2), "n": len(values)}


# ------------------------------------------------------------------------------------------ words

_GUIDE = """
  Almenara, demostración: comuna ficticia de Los Aromos
  -----------------------------------------------------
  Consola   {url}
  Usuario   {login}
  Clave     {password}

  Qué mirar en el primer minuto
    - presiones de botones de pánico: alerta P1, sonido, aviso en {sms}
    - un portón que se abre, una cámara que se desvía, una batería baja
    - el río que sube sobre 2,5 m, y un dispositivo que deja de hablar
    - acuse recibo con la tecla «a», despache con «d», cierre con «c»
{note}
  Ctrl-C termina todo.
"""


def _print_guide(hub: Hub, kept: Path | None) -> None:
    login, password = hub.first_login or ("jefe", "(la de la primera vez)")
    note = f"    - los datos quedan en {kept}\n" if kept else ""
    sms = hub.settings.sms_file or hub.settings.data / "sms.jsonl"
    print(_GUIDE.format(url=hub.http_url, login=login, password=password, sms=sms, note=note), flush=True)


def _print_result(result: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print(json.dumps(result, ensure_ascii=False), flush=True)
        return
    for name, value in result.items():
        print(f"{name:26} {value}", flush=True)
