"""A rehearsal in a process of its own: a month of history must not keep an alarm waiting.

The parent writes one JSON request to the child's standard input and reads JSON lines: ``{"share": 0.4}``
while it goes on, then ``{"found": …}`` or ``{"error": …}``. The database's address goes by the environment.
"""

import asyncio
import json
import logging
import os
import sys
from collections.abc import Callable
from datetime import datetime
from typing import Any

from hub.rule_work.history import Span

log = logging.getLogger(__name__)

DSN = "ALMENARA_REHEARSAL_DSN"
NICENESS = 10
"""Below everything that a hub does."""
_MAX_LINE = 16 * 1024 * 1024


class RehearsalError(Exception):
    """A rehearsal that gave no result; the message is Spanish."""


async def rehearse_apart(
    dsn: str, text: str, span: Span, role: str, on_progress: Callable[[float], None]
) -> dict[str, Any]:
    """What :meth:`hub.rule_work.rehearsal.Rehearsal.as_json` gives for the rules in ``text``.

    ``role`` sees of what really happened what it may. Raises :class:`RehearsalError`. Cancelled, it ends the
    child.
    """
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "hub.rule_work.apart",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, DSN: dsn},
        limit=_MAX_LINE,
    )
    request = {"text": text, "since": span.since.isoformat(), "until": span.until.isoformat(), "role": role}
    try:
        return await _talk(child, request, on_progress)
    finally:
        if child.returncode is None:
            child.kill()
        await child.wait()


async def _talk(
    child: asyncio.subprocess.Process, request: dict[str, str], on_progress: Callable[[float], None]
) -> dict[str, Any]:
    assert child.stdin is not None  # noqa: S101 - both are pipes
    assert child.stdout is not None  # noqa: S101
    child.stdin.write(json.dumps(request).encode())
    child.stdin.close()
    async for line in child.stdout:
        message = json.loads(line)
        if "found" in message:
            found: dict[str, Any] = message["found"]
            return found
        if "error" in message:
            raise RehearsalError(message["error"])
        on_progress(message["share"])
    raise RehearsalError("El ensayo se cortó. Intente de nuevo; si se repite, avise al técnico.")


# ------------------------------------------------------------------------------------------ the child


def _say(message: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


async def _rehearse(request: dict[str, str]) -> None:
    from hub.database import UNAVAILABLE, DatabaseError, connect
    from hub.rule_work.rehearsal import rehearse
    from hub.rules.loading import load_rules

    rules = load_rules({"borrador.yaml": request["text"]})
    span = Span(datetime.fromisoformat(request["since"]), datetime.fromisoformat(request["until"]))
    try:
        pool = await connect(os.environ[DSN], max_size=1)
    except (DatabaseError, *UNAVAILABLE):
        _say({"error": "La base de datos no responde. Intente más tarde."})
        return
    try:
        found = await rehearse(pool, rules, span, lambda share: _say({"share": share}), role=request["role"])
        _say({"found": found.as_json()})
    finally:
        await pool.close()


def main() -> None:
    os.nice(NICENESS)
    asyncio.run(_rehearse(json.loads(sys.stdin.read())))


if __name__ == "__main__":
    main()
