"""Commands to gateways: rows that are claimed under a lease, published, then marked sent."""

import asyncio
import logging
import math
import uuid
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, TypeAlias

import asyncpg
import msgspec

from edge import contract
from edge.contract import Command, CommandResult, Leaf, ResultState
from hub.clock import Clock, wake_or_sleep
from hub.database import UNAVAILABLE, Connection, Pool

log = logging.getLogger(__name__)

CHANNEL = "commands"
LEASE_S = 30.0
"""A hub that died while sending leaves its commands to the others after this long."""
RETRY_S = 2.0
POLL_S = 5.0
"""Finds stalled and expired commands when no NOTIFY says so."""
BATCH = 50
_MAX_DETAIL = 500

Publish: TypeAlias = Callable[[str, bytes, int, int], Awaitable[None]]
"""``publish(topic, payload, qos, expiry_s)``; returns once the broker has taken it, raises PublishError."""


class PublishError(Exception):
    """The broker did not take a message; trying again is right."""


async def queue_command(
    connection: Connection,
    gateway: str,
    name: str,
    arguments: Mapping[str, Any],
    expires_at: datetime,
    now: datetime,
) -> uuid.UUID:
    """Queue a command; the senders wake when the caller commits."""
    command_id = contract.uuid7(now)
    await connection.execute(
        "insert into commands (command_id, gateway, name, arguments, expires_at, created_at)"
        " values ($1, $2, $3, $4, $5, $6)",
        command_id,
        contract.check_gateway(gateway),
        name,
        msgspec.json.encode(dict(arguments)).decode(),
        expires_at,
        now,
    )
    await connection.execute("select pg_notify($1, '')", CHANNEL)
    return command_id


async def commands_loop(pool: Pool, publish: Publish, clock: Clock, wake: asyncio.Event) -> None:
    """Send what is queued, at each wake and every few seconds."""
    while True:
        wake.clear()
        try:
            while await send_due(pool, publish, clock) == BATCH:
                pass
        except UNAVAILABLE as error:
            log.warning("commands wait: database away (%s)", type(error).__name__)
        await wake_or_sleep(wake, clock, POLL_S)


async def send_due(pool: Pool, publish: Publish, clock: Clock) -> int:
    """One round: expire, claim, publish, mark sent; returns how many were claimed."""
    await _expire(pool, clock.now())
    rows = await pool.fetch(_CLAIM, clock.now(), clock.now() + timedelta(seconds=LEASE_S), BATCH)
    for row in rows:
        await _send(pool, publish, row, clock)
    return len(rows)


_CLAIM = """
update commands set lease_until = $2
where command_id in (
  select command_id from commands
  where state = 'queued' and expires_at > $1 and (lease_until is null or lease_until <= $1)
  order by created_at limit $3
  for update skip locked)
returning command_id, gateway, name, arguments, expires_at
"""


async def _expire(pool: Pool, now: datetime) -> None:
    rows = await pool.fetch(
        "update commands set state = 'expired', ended_at = $1"
        " where state = 'queued' and expires_at <= $1 and (lease_until is null or lease_until <= $1)"
        " returning command_id, gateway",
        now,
    )
    for row in rows:
        log.warning("command %s for gateway %s expired unsent", row["command_id"], row["gateway"])


async def _send(pool: Pool, publish: Publish, row: asyncpg.Record, clock: Clock) -> None:
    left_s = (row["expires_at"] - clock.now()).total_seconds()
    if left_s <= 0:
        await _release(pool, row, clock.now())  # the next round finds it expired
        return
    command = Command(
        id=str(row["command_id"]),
        name=row["name"],
        expires=row["expires_at"],
        arguments=msgspec.json.decode(row["arguments"]),
    )
    topic = contract.topic(row["gateway"], Leaf.COMMAND)
    try:
        await publish(topic, contract.encode(command), 1, math.ceil(left_s))
    except (PublishError, OSError, TimeoutError) as error:
        log.warning("command %s not published (%s); again soon", command.id, type(error).__name__)
        await _release(pool, row, clock.now() + timedelta(seconds=RETRY_S))
        return
    # Published first, marked after: a crash between repeats the command, and its id stops the repeat.
    await pool.execute(
        "update commands set state = 'sent', lease_until = null where command_id = $1 and state = 'queued'",
        row["command_id"],
    )


async def _release(pool: Pool, row: asyncpg.Record, until: datetime) -> None:
    await pool.execute(
        "update commands set lease_until = $2 where command_id = $1 and state = 'queued'",
        row["command_id"],
        until,
    )


_OPEN = ["queued", "sent", "accepted"]
ANSWERS: dict[ResultState, list[str]] = {
    # An answer may overtake the mark 'sent'.
    ResultState.ACCEPTED: ["queued", "sent"],
    ResultState.DONE: _OPEN,
    ResultState.FAILED: _OPEN,
    ResultState.EXPIRED: _OPEN,
}
"""From which states each answer is taken; an ended command stays as it ended."""


async def apply_result(connection: Connection, gateway: str, result: CommandResult, now: datetime) -> bool:
    """Store what became of a command; False for a repeat, a late answer or a gateway that was not asked."""
    try:
        command_id = uuid.UUID(result.id)
    except ValueError:
        return False
    state = await connection.fetchval(
        "update commands set state = $3, detail = $4, lease_until = null,"
        " ended_at = case when $3 = 'accepted' then null else $5::timestamptz end"
        " where command_id = $1 and gateway = $2 and state = any($6) returning state",
        command_id,
        gateway,
        result.state.value,
        result.detail.replace("\x00", "")[:_MAX_DETAIL],
        now,
        ANSWERS[result.state],
    )
    if state is None:
        log.info("a result of gateway %s changes no command: unknown, ended or another's", gateway)
    return state is not None
