"""The C programs of the bench, compiled on the spot; and running them."""

import asyncio
import contextlib
import hashlib
import json
import shutil
import subprocess
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.errors import BenchError

SOURCES = Path(__file__).parent / "c"
BUILD = Path(__file__).parent.parent / "build" / "bench"
_FLAGS = ["-O2", "-std=c11", "-Wall", "-Wextra", "-Werror"]
_PROGRAMS = {
    "load": (["load.c", "mqtt.c", "payload.c"], []),
    "subscriber": (["subscriber.c"], ["-I/usr/include/postgresql", "-lmosquitto", "-lpq"]),
}


@dataclass(frozen=True)
class Programs:
    """Paths of the compiled programs."""

    load: Path
    subscriber: Path


def build() -> Programs:
    """Compile what is not compiled yet; raises :class:`BenchError`, also when Mosquitto is missing."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None or not Path("/usr/sbin/mosquitto").exists():
        raise BenchError("a C compiler or Mosquitto is missing: run bench/peers")
    BUILD.mkdir(parents=True, exist_ok=True)
    return Programs(**{name: _compile(compiler, name) for name in _PROGRAMS})


def _compile(compiler: str, name: str) -> Path:
    sources, libraries = _PROGRAMS[name]
    content = b"".join(path.read_bytes() for path in sorted(SOURCES.iterdir()))
    program = BUILD / f"{name}-{hashlib.sha256(content).hexdigest()[:12]}"
    if not program.exists():
        unfinished = program.with_suffix(".tmp")
        words = [compiler, *_FLAGS, "-o", str(unfinished), *(str(SOURCES / s) for s in sources), *libraries]
        result = subprocess.run(words, capture_output=True, text=True, check=False)
        if result.returncode:
            raise BenchError(f"{name} does not compile (run bench/peers first?)\n{result.stderr[-2000:]}")
        unfinished.rename(program)
    return program


class Running:
    """A program of ours that says a word when it is ready and ends with one JSON object."""

    def __init__(self, process: asyncio.subprocess.Process, name: str) -> None:
        self._process = process
        self._name = name

    async def hears(self, word: str) -> None:
        """Return when the program has said ``word``."""
        output = self._process.stdout
        assert output is not None  # noqa: S101 - it was started with a pipe
        while line := await output.readline():
            if line.decode().strip() == word:
                return
        raise BenchError(f"{self._name} ended before it said {word!r}: {await self._complaint()}")

    async def result(self) -> dict[str, Any]:
        """Its JSON object; what a program that gave up has to tell is a result too."""
        output = self._process.stdout
        assert output is not None  # noqa: S101 - it was started with a pipe
        lines = (await output.read()).decode().split("\n")
        found = [line for line in lines if line.startswith("{")]
        if not found:
            raise BenchError(f"{self._name} said nothing: {await self._complaint()}")
        await self._process.wait()
        parsed: dict[str, Any] = json.loads(found[-1])
        return parsed

    async def _complaint(self) -> str:
        errors = self._process.stderr
        await self._process.wait()
        return "" if errors is None else (await errors.read()).decode()[-500:].strip()


@contextlib.asynccontextmanager
async def running(program: Path, *words: object) -> AsyncIterator[Running]:
    """Start a program; it is killed when the context is left before its end."""
    process = await asyncio.create_subprocess_exec(
        program, *map(str, words), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        yield Running(process, program.name.partition("-")[0])
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
