"""The machine and the versions that a report was made with."""

import os
import platform
import re
import subprocess
import time
from importlib.metadata import version
from pathlib import Path

from bench.figures import quantile
from hub.servers.postgres import installations

_SYNCS = 200
_PACKAGES = ("asyncpg", "msgspec", "uvloop", "aiomqtt")


def describe() -> dict[str, str | int | float]:
    """Cores, processor, memory, kernel and versions."""
    return {
        "cores": os.cpu_count() or 0,
        "cpu": _first(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text()),
        "ram_mb": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20,
        "kernel": platform.release(),
        "system": _first(r'^PRETTY_NAME="(.+)"$', Path("/etc/os-release").read_text()),
        "load_before": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "postgresql": _first(r"\) ([\d.]+)", _output(next(installations()).folder / "postgres", "-V")),
        "mosquitto": _first(r"version ([\d.]+)", _output("/usr/sbin/mosquitto", "-h")),
        "compiler": _output("gcc", "--version").partition("\n")[0],
        **{name: version(name) for name in _PACKAGES},
    }


def sync_ms(folder: Path) -> dict[str, float]:
    """How long the disk below ``folder`` takes for a page and fdatasync: no commit is faster."""
    path, taken = folder / "sync", []
    with path.open("wb", buffering=0) as file:
        for _ in range(_SYNCS):
            started = time.perf_counter()
            file.write(bytes(8192))
            os.fdatasync(file.fileno())
            taken.append(1000 * (time.perf_counter() - started))
    path.unlink()
    return {"p50": round(quantile(taken, 0.5), 2), "p99": round(quantile(taken, 0.99), 2)}


def revision(tree: Path) -> str:
    """The commit of a checkout; ``+`` says that something there is not committed."""
    if not (tree / ".git").exists():
        return "unknown"
    commit = _output("git", "-C", tree, "rev-parse", "--short=12", "HEAD").strip()
    is_changed = bool(_output("git", "-C", tree, "status", "--porcelain", "--", "hub", "edge", "bench/c"))
    return f"{commit}{'+' if is_changed else ''}"


def _output(*words: object) -> str:
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def _first(pattern: str, text: str) -> str:
    found = re.search(pattern, text, re.MULTILINE)
    return found[1] if found else "unknown"
