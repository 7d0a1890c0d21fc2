"""The real processes of a fault run: hub, edges, Mosquitto. Each dies with us and is ended by process id."""

import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.faults import peers
from hub.servers import files, process
from hub.servers.child import free_port

TREE = Path(__file__).resolve().parents[2]
_POLL_S = 0.01
_START_LIMIT_S = 60.0
_STOP_LIMIT_S = 20.0
_URL = re.compile(rb"consola: (http://\S+)")
_BROKER = re.compile(rb"broker MQTT: \S+:(\d+)")
_REPEATS = re.compile(r'^almenara_duplicates_total\{lane="(?:alarm|event)"\} ([0-9.e+]+)$', re.MULTILINE)


class ProgramError(Exception):
    """A program of ours does not start, or does not end."""


class Program:
    """One process that can be started again and again; its output goes to ``log``."""

    def __init__(self, name: str, words: Sequence[str], log: Path) -> None:
        self.name = name
        self.words = list(words)
        self.environment: dict[str, str] = {}
        self.log = log
        self._process: subprocess.Popen[bytes] | None = None
        self._log_offset = 0

    @property
    def pid(self) -> int | None:
        running = self._process
        return running.pid if running is not None and running.poll() is None else None

    def launch(self) -> None:
        """Start; does not wait for anything."""
        self._log_offset = self.log.stat().st_size if self.log.exists() else 0
        environment = {"PYTHONPATH": str(TREE), **self.environment}
        pairs = [f"{name}={value}" for name, value in environment.items()]
        with files.open_log(self.log) as output:
            self._process = process.launch(
                ["env", *pairs, *self.words], account=None, death_signal=signal.SIGKILL, output=output
            )

    def said(self) -> bytes:
        """What it has written since it was launched."""
        return files.said_since(self.log, self._log_offset)

    async def kill(self) -> None:
        """``kill -9``, and wait until it is gone."""
        if self._process is not None:
            self._process.kill()
            await process.ended(self._process)

    async def stop(self) -> None:
        """SIGTERM; raises :class:`ProgramError` when it does not end in order."""
        running, self._process = self._process, None
        if running is None:
            return
        await process.end(running, signal.SIGTERM, signal.SIGKILL, _STOP_LIMIT_S)
        if running.returncode not in (0, -signal.SIGTERM):
            raise ProgramError(f"{self.name} ended with {running.returncode}: {files.tail(self.log)}")


class Hub(Program):
    """``almenara-hub serve``; the ports that it chose are read from its log."""

    def __init__(self, folder: Path, *options: str) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o711)
        words = [sys.executable, "-m", "hub.cli", "serve", "--http", "127.0.0.1:0", "--data", str(folder)]
        super().__init__(folder.name, [*words, *options], folder / "hub.log")
        self.folder = folder
        self.repeats = 0
        self._repeats_seen = 0

    @property
    def texts(self) -> Path:
        """Where the file transport writes."""
        return self.folder / "sms.jsonl"

    @property
    def url(self) -> str | None:
        found = _URL.search(self.said())
        return found[1].decode() if found else None

    @property
    def broker_port(self) -> int:
        found = _BROKER.search(self.said())
        return int(found[1]) if found else 0

    def is_ready(self) -> bool:
        if self.pid is None:
            raise ProgramError(f"{self.name} ended: {files.tail(self.log)}")
        return self.url is not None

    def look_at_repeats(self) -> None:
        """Add what its counter of stopped repeats has gained; a kill hides the last moment's from us."""
        if self.pid is None or self.url is None:
            return
        try:
            with urllib.request.urlopen(f"{self.url}/metrics", timeout=1.0) as answer:  # noqa: S310 - http
                text = answer.read().decode()
        except OSError:
            return
        seen = round(sum(float(value) for value in _REPEATS.findall(text)))
        self.repeats += max(0, seen - self._repeats_seen)
        self._repeats_seen = seen

    def launch(self) -> None:
        self._repeats_seen = 0
        super().launch()


class Mosquitto(Program):
    """Debian's Mosquitto set up as in production, anonymous. ``has_memory``: sessions reach its disk."""

    def __init__(self, folder: Path, *, has_memory: bool) -> None:
        folder.mkdir(mode=0o711)
        store = folder / "store"
        store.mkdir()
        store.chmod(0o777)  # started as root it becomes the user mosquitto before it opens its store
        self.port = free_port()
        configuration = folder / "mosquitto.conf"
        configuration.write_text(
            f"listener {self.port} 127.0.0.1\nallow_anonymous true\nset_tcp_nodelay true\n"
            "max_queued_messages 1000000\nmax_inflight_messages 1000\npersistent_client_expiration 14d\n"
            f"persistence {'true' if has_memory else 'false'}\npersistence_location {store}/\n"
            "autosave_interval 1\n"
        )
        super().__init__(
            "mosquitto", [peers.mosquitto_program(), "-c", str(configuration)], folder / "mosquitto.log"
        )

    def is_ready(self) -> bool:
        if self.pid is None:
            raise ProgramError(f"mosquitto ended: {files.tail(self.log)}")
        return is_listening(self.port)


class Edge(Program):
    """One gateway's agent with the flooding driver; ``clock`` is what libfaketime and the kernel tell it."""

    def __init__(self, gateway: str, folder: Path, data: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.gateway = gateway
        self.folder = folder
        self.data = data
        self.config = folder / "edge.toml"
        words = [sys.executable, "-m", "bench.faults.launch", "run", "--config", str(self.config)]
        super().__init__(gateway, words, folder / "edge.log")

    @property
    def ledger(self) -> Path:
        return self.folder / "ledger"

    @property
    def refusals(self) -> Path:
        return self.folder / "refusals"

    @property
    def outbox(self) -> Path:
        return self.data / "outbox.db"

    def configure(
        self, port: int, flood: Mapping[str, int | float], *, username: str = "", password: str = "",
        outbox_limit_bytes: int, health_interval_s: float, others: Sequence[int] = (),
    ) -> None:  # fmt: skip
        """Write the agent's settings, with the ports of further nodes; takes effect when it is launched."""
        nodes = ", ".join(f'"127.0.0.1:{other}"' for other in others)
        account = f'username = "{username}"\npassword = "{password}"\n' if username else ""
        driver = {
            "driver": "flood", "gateway": self.gateway, "ledger": str(self.ledger),
            "refusals": str(self.refusals), "outbox": str(self.outbox), **flood,
        }  # fmt: skip
        lines = [f'{k} = "{v}"' if isinstance(v, str) else f"{k} = {v}" for k, v in driver.items()]
        self.config.write_text(
            f'gateway = "{self.gateway}"\ndata_dir = "{self.data}"\n'
            f"outbox_limit_bytes = {outbox_limit_bytes}\nhealth_interval_s = {health_interval_s}\n\n"
            f'[mqtt]\nhost = "127.0.0.1"\nport = {port}\nothers = [{nodes}]\n{account}\n[[drivers]]\n'
            + "\n".join(lines)
            + "\n"
        )

    def nodes(self) -> list[str]:
        """The brokers that it was connected to, one after the other."""
        return re.findall(r"connected to (\S+) as", self.log.read_text("utf-8", "replace"))

    def set_clock(self, wall: str | None, *, is_synced: bool | None = None) -> None:
        """``wall`` as in faketime(1): ``+10m``, ``@1970-01-01 00:05:00``; None is the right time.

        The text is kept in a file that the library reads each second: :meth:`step_clock` moves a running one.
        """
        self.environment = {} if is_synced is None else {"FAULTS_SYNCED": str(int(is_synced))}
        if wall is not None:
            self.step_clock(wall)
            self.environment |= {
                "LD_PRELOAD": str(peers.faketime_library()),
                "FAKETIME_TIMESTAMP_FILE": str(self._clock_file),
                "FAKETIME_CACHE_DURATION": "1",
                "FAKETIME_DONT_FAKE_MONOTONIC": "1",
                # Without it the library also moves the deadlines by which Python's threads take turns.
                "FAKETIME_FORCE_MONOTONIC_FIX": "0",
            }

    def reboot(self) -> None:
        """The next launch is in a new boot of the machine: monotonic times of before mean nothing in it."""
        path = self.folder / "boot_id"
        path.write_text(f"{uuid.uuid4()}\n")
        self.environment["FAULTS_BOOT_ID"] = str(path)

    def step_clock(self, wall: str) -> None:
        """What NTP does when it gets through at last."""
        part = self._clock_file.with_suffix(".part")
        part.write_text(wall + "\n")
        part.replace(self._clock_file)

    @property
    def _clock_file(self) -> Path:
        return self.folder / "clock"


def is_listening(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def boottime_ms() -> int:
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000


def folder_owner_may_pass(folder: Path) -> None:
    """Servers run under another account when we are root: the way to their folders must be open."""
    folder.chmod(0o711)


START_LIMIT_S = _START_LIMIT_S
POLL_S = _POLL_S
