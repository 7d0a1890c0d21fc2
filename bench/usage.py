"""What processes use, from /proc: CPU seconds, memory, bytes written."""

import contextlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Cpu:
    """CPU seconds so far of the three processes that a hub needs; the database with all its backends."""

    hub: float
    database: float
    broker: float

    def since(self, before: "Cpu") -> "Cpu":
        return Cpu(self.hub - before.hub, self.database - before.database, self.broker - before.broker)


def cpu_s(pid: int | None) -> float:
    """CPU seconds of a process and of those children that it has waited for; 0 for none."""
    if pid is None:
        return 0.0
    return sum(_ticks(pid, with_children=True)) / _TICKS_PER_S


def cpu_of_family_s(pid: int) -> float:
    """CPU seconds of a process and all its children, those that ended included (PostgreSQL's backends)."""
    own = sum(_ticks(pid, with_children=True))
    return (own + sum(sum(_ticks(child)) for child in children(pid))) / _TICKS_PER_S


def _ticks(pid: int, *, with_children: bool = False) -> list[int]:
    with contextlib.suppress(OSError):
        # Behind the name, which may hold anything: utime, stime, cutime and cstime (fields 14 to 17).
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
        return [int(field) for field in fields[11 : 15 if with_children else 13]]
    return [0]


def children(pid: int) -> list[int]:
    """Process ids of the direct children."""
    return [child for child in _all() if _parent(child) == pid]


def _all() -> Iterable[int]:
    return (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit())


def _parent(pid: int) -> int:
    with contextlib.suppress(OSError):
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()[1])
    return 0


def memory_mb(pids: Iterable[int]) -> float:
    """Megabytes of memory of these processes, shared pages counted once (proportional set size)."""
    return sum(_field_kb(pid, "smaps_rollup", "Pss:") for pid in pids) / 1024


def peak_mb(pid: int) -> float:
    """The largest resident set that the process ever had."""
    return _field_kb(pid, "status", "VmHWM:") / 1024


def resident_mb(pid: int) -> float:
    return _field_kb(pid, "status", "VmRSS:") / 1024


def _field_kb(pid: int, file: str, name: str) -> int:
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/{file}").read_text().splitlines():
            if line.startswith(name):
                return int(line.split()[1])
    return 0


def bytes_written(pid: int) -> int:
    """Bytes that the process has caused to be written to storage (write_bytes of proc_pid_io(5))."""
    for line in Path(f"/proc/{pid}/io").read_text().splitlines():
        if line.startswith("write_bytes:"):
            return int(line.split()[1])
    return 0
