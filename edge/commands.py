"""Commands from the hub: each carried out at most once, each answered every time it comes."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping

from edge import contract
from edge.clock import Clock
from edge.contract import Command, CommandResult, ResultState
from edge.outbox import Outbox, OutboxError

log = logging.getLogger(__name__)


class CommandError(Exception):
    """The command cannot be carried out; the message goes back to the hub."""


Handler = Callable[[Command], Awaitable[str]]
"""Carries a command out and returns a detail for the result; raises :class:`CommandError`."""


class Commands:
    """The table of handlers beside the memory of what was done, which survives restarts."""

    def __init__(self, handlers: Mapping[str, Handler], outbox: Outbox, clock: Clock) -> None:
        self._handlers = handlers
        self._outbox = outbox
        self._clock = clock
        self._one_at_a_time = asyncio.Lock()

    async def answer(self, command: Command) -> CommandResult:
        """The result to publish; a repeated id gets its first answer again and nothing is done."""
        async with self._one_at_a_time:
            try:
                return await self._answer(command)
            except OutboxError as error:
                return _failed(command, f"cannot be remembered: {error}")

    async def _answer(self, command: Command) -> CommandResult:
        seen, result = await self._outbox.command_result(command.id)
        if seen:
            return _remembered(command, result)
        if command.expires <= self._clock.wall():
            return CommandResult(id=command.id, state=ResultState.EXPIRED)
        handler = self._handlers.get(command.name)
        if handler is None:
            return _failed(command, f"unknown command {command.name[:40]!r}")
        await self._outbox.remember_command(command.id, None)
        done = await _carry_out(handler, command)
        await self._outbox.remember_command(command.id, contract.encode(done))
        log.info("command %s (%s): %s", command.id, command.name, done.state)
        return done


async def _carry_out(handler: Handler, command: Command) -> CommandResult:
    try:
        detail = await handler(command)
    except CommandError as error:
        return _failed(command, str(error))
    except Exception as error:  # whatever a handler does wrong, the hub is told
        log.exception("command %s (%s) failed", command.id, command.name)
        return _failed(command, f"{type(error).__name__} in the gateway")
    return CommandResult(id=command.id, state=ResultState.DONE, detail=detail)


def _failed(command: Command, detail: str) -> CommandResult:
    return CommandResult(id=command.id, state=ResultState.FAILED, detail=detail)


def _remembered(command: Command, result: bytes | None) -> CommandResult:
    if result is None:
        return _failed(command, "begun before, and interrupted")
    return contract.decode(CommandResult, result)


async def ping(_command: Command) -> str:
    """Proof that commands arrive."""
    return "pong"
