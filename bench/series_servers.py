"""Servers that take line protocol: Debian's InfluxDB, an ancestor of version 2, and VictoriaMetrics.

InfluxDB 1.6 has no ``/api/v2/write``. Its address here ends in a query, so that the path which a client of
version 2 appends becomes the value of a parameter that nobody reads: no proxy, no copy, the client as it is.
"""

import contextlib
import signal
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx

from bench.errors import BenchError
from hub.servers import files, process
from hub.servers.child import free_port

_READY_S = 20.0
_CONFIG = """
reporting-disabled = true
bind-address = "127.0.0.1:{rpc}"
[meta]
  dir = "{root}/meta"
[data]
  dir = "{root}/data"
  wal-dir = "{root}/wal"
  query-log-enabled = false
[http]
  bind-address = "127.0.0.1:{port}"
  auth-enabled = {auth}
  log-enabled = false
  max-body-size = 0
[monitor]
  store-enabled = false
[logging]
  level = "warn"
"""


@dataclass(frozen=True)
class SeriesServer:
    """``url`` is for clients of version 2; ``count`` asks for the number of stored values."""

    url: str
    count: Callable[[], int]


def influx_config(root: Path, port: int, *, has_accounts: bool) -> str:
    """The settings of an influxd below ``root``; with accounts it asks for a password."""
    return _CONFIG.format(root=root, port=port, rpc=free_port(), auth=str(has_accounts).lower())


@contextlib.contextmanager
def influxdb(folder: Path) -> Iterator[SeriesServer]:
    """Debian's influxd, empty."""
    port = free_port()
    root = Path(tempfile.mkdtemp(prefix="influx-", dir=folder))  # a port may come again
    config = root / "influxdb.conf"
    config.write_text(influx_config(root, port, has_accounts=False))
    base = f"http://127.0.0.1:{port}"
    with _running(["/usr/bin/influxd", "run", "-config", config], f"{base}/ping", root / "log"):
        httpx.post(f"{base}/query", data={"q": "create database bench"}).raise_for_status()
        yield SeriesServer(f"{base}/write?db=bench&as=", lambda: _influx_count(base))


def _influx_count(base: str) -> int:
    query = {"db": "bench", "q": 'select count("value") from telemetry'}
    found = httpx.get(f"{base}/query", params=query, timeout=60).json()["results"][0].get("series")
    return int(found[0]["values"][0][1]) if found else 0


@contextlib.contextmanager
def victoriametrics(folder: Path) -> Iterator[SeriesServer]:
    """Debian's VictoriaMetrics, empty."""
    port = free_port()
    root = Path(tempfile.mkdtemp(prefix="victoria-", dir=folder))
    base = f"http://127.0.0.1:{port}"
    words = [
        "/usr/bin/victoria-metrics",
        f"-storageDataPath={root}/data",
        f"-httpListenAddr=127.0.0.1:{port}",
        "-search.latencyOffset=0s",
    ]
    with _running(words, f"{base}/health", root / "log"):
        yield SeriesServer(base, lambda: _victoria_count(base))


def _victoria_count(base: str) -> int:
    httpx.get(f"{base}/internal/force_flush", timeout=60)
    query = {"query": "sum(count_over_time(telemetry_value[3h]))"}
    found = httpx.get(f"{base}/api/v1/query", params=query, timeout=60).json()["data"]["result"]
    return int(found[0]["value"][1]) if found else 0


@contextlib.contextmanager
def _running(words: Sequence[object], health: str, log: Path) -> Iterator[None]:
    if not Path(str(words[0])).exists():
        raise BenchError(f"{words[0]} is missing: bench/peers installs it")
    with log.open("ab") as output:
        child = process.launch(words, account=None, death_signal=signal.SIGKILL, output=output)
    try:
        deadline = time.monotonic() + _READY_S
        while not _answers(health):
            if child.poll() is not None or time.monotonic() > deadline:
                raise BenchError(f"{words[0]} does not start: {files.tail(log)}")
            time.sleep(0.02)
        yield
    finally:
        child.kill()
        child.wait()


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=5).is_success
    except httpx.TransportError:
        return False
