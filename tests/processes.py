"""Real processes of ours, started by tests and ended by process id."""

import asyncio
import contextlib
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

_URL = re.compile(rb"consola: (http://\S+)")


class HubProcess:
    """``almenara-hub serve`` with its log in a file."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path) -> None:
        self.process = process
        self.log = log

    def url(self) -> str | None:
        found = _URL.search(self.log.read_bytes())
        return found[1].decode() if found else None

    def first_password(self) -> str:
        """The password that the first run shows once."""
        text = self.log.read_text("utf-8")
        found = re.search(r"clave «([^»]+)»", text)
        assert found is not None, text
        return found[1]

    async def kill(self) -> None:
        """``kill -9``."""
        self.process.kill()
        await self.process.wait()

    async def stop(self) -> int:
        """SIGTERM; returns the exit code."""
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(60):
            return await self.process.wait()


@contextlib.asynccontextmanager
async def hub_process(
    folder: Path, *options: str, environment: Mapping[str, str] | None = None
) -> AsyncIterator[HubProcess]:
    """A hub that answers on a free port; killed at the end if it still runs."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o711)  # noqa: ASYNC240 - once, before anything runs
    log = folder / "hub.log"
    with log.open("ab") as output:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "hub.cli",
            "serve",
            "--http",
            "127.0.0.1:0",
            *options,
            stdout=output,
            stderr=output,
            env={**os.environ, **(environment or {})},
        )
    hub = HubProcess(process, log)
    try:
        async with asyncio.timeout(120):
            while hub.url() is None:
                assert process.returncode is None, log.read_text("utf-8")
                await asyncio.sleep(0.05)
        yield hub
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def run(*words: str, given: str = "", timeout_s: float = 120.0) -> tuple[int, str]:
    """Run a command of ours to its end, ``given`` on its input: (exit code, both outputs)."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        *words,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(timeout_s):
        output, _ = await process.communicate(given.encode())
    assert process.returncode is not None
    return process.returncode, output.decode()
