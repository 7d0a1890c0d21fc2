"""An SMSC that runs: npm ``smpp`` in a Node process of its own, told and heard by JSON lines."""

import asyncio
import json
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fakes import eventually

from hub.notify.transports.smpp import SmppAccount, SmppTransport

PASSWORD = "secreto"
SYSTEM_ID = "almenara"


class Smsc:
    """``heard`` is everything that it told, in order."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.heard: list[dict[str, Any]] = []
        self._orders = 0
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None

    async def start(self) -> None:
        node = shutil.which("node")
        assert node is not None, "install Node (make setup)"
        script = Path(__file__).with_name("smsc.mjs")
        self._process = await asyncio.create_subprocess_exec(
            node,
            script,
            str(self.port),
            SYSTEM_ID,
            PASSWORD,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        self._reader = asyncio.create_task(self._read())
        await eventually(lambda: any("listening" in line for line in self.heard))

    async def _read(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            self.heard.append(json.loads(line))

    async def tell(self, **order: Any) -> None:
        """Give an order and wait until it is obeyed."""
        assert self._process is not None
        assert self._process.stdin is not None
        self._orders += 1
        number = self._orders
        self._process.stdin.write(json.dumps(order | {"order": number}).encode() + b"\n")
        await eventually(lambda: {"ordered": number} in self.heard)

    async def kill(self) -> None:
        """``kill -9``: connections end without a word."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()
        if self._reader is not None:
            await self._reader
        self._process = self._reader = None

    def submits(self) -> list[dict[str, Any]]:
        return [line for line in self.heard if "submit" in line]

    def account(self, **changes: Any) -> SmppAccount:
        values = {"host": "127.0.0.1", "port": self.port, "system_id": SYSTEM_ID, "password": PASSWORD}
        return SmppAccount(**(values | changes))


@asynccontextmanager
async def bound(smsc: Smsc, **changes: Any) -> AsyncIterator[SmppTransport]:
    """A transport that is connected to the SMSC."""
    transport = SmppTransport(smsc.account(**changes))
    task = asyncio.create_task(transport.run_loop())
    try:
        await eventually(lambda: is_ok(transport))
        yield transport
    finally:
        assert not task.done(), task.exception()
        task.cancel()
        await asyncio.wait([task])


async def is_ok(transport: SmppTransport) -> bool:
    return (await transport.health()).is_ok
