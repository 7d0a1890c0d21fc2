"""Child processes that die with us.

They are launched through util-linux' ``setpriv``, which asks the kernel to signal the child when the thread
that started it ends (``PR_SET_PDEATHSIG``) and drops root. So they are started from the main thread, and no
code of ours runs between fork and exec.
"""

import asyncio
import logging
import os
import shutil
import signal
import subprocess
from collections.abc import Sequence
from typing import IO

from hub.servers import ServerError
from hub.servers.account import Account

log = logging.getLogger(__name__)

_ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "TZ": "UTC"}


def launch(
    argv: Sequence[object],
    *,
    account: Account | None,
    death_signal: signal.Signals,
    output: IO[bytes],
    stdin: int | IO[bytes] = subprocess.DEVNULL,
) -> "subprocess.Popen[bytes]":
    """Start ``argv``; the kernel sends it ``death_signal`` when we die. Raises :class:`ServerError`."""
    setpriv = shutil.which("setpriv", path="/usr/bin:/bin:/usr/sbin")
    if setpriv is None:
        raise ServerError("the program setpriv is missing: install util-linux")
    options = account.options if account else []
    return subprocess.Popen(
        [setpriv, f"--pdeathsig={death_signal.name.removeprefix('SIG')}", *options, "--", *map(str, argv)],
        stdin=stdin,
        stdout=output,
        stderr=subprocess.STDOUT,
        env=_ENVIRONMENT,
        cwd="/",
        # Ctrl-C at the terminal is for us; we stop the server in order afterwards.
        start_new_session=True,
    )


async def ended(process: "subprocess.Popen[bytes]") -> int:
    """Wait for the end of a child; its return code (negative: the signal)."""
    if process.poll() is None:
        loop, over = asyncio.get_running_loop(), asyncio.Event()
        handle = os.pidfd_open(process.pid)
        try:
            loop.add_reader(handle, over.set)
            await over.wait()
        finally:
            loop.remove_reader(handle)
            os.close(handle)
    return process.wait()


async def end(
    process: "subprocess.Popen[bytes]", gentle: signal.Signals, hard: signal.Signals, patience_s: float
) -> None:
    """Ask with ``gentle``, after ``patience_s`` insist with ``hard``."""
    process.send_signal(gentle)
    try:
        async with asyncio.timeout(patience_s):
            await ended(process)
    except TimeoutError:
        log.warning("process %d did not stop within %g s; insisting", process.pid, patience_s)
        process.send_signal(hard)
        await ended(process)
