"""The control lane: births, deaths and command results. Bad ones are refused as everywhere."""

import logging
from collections.abc import Sequence

from edge import contract
from edge.contract import ContractError, Leaf
from hub.database import persist
from hub.devices import commands, status
from hub.intake.decode import SAMPLE_BYTES, Incoming, Refused
from hub.intake.pipeline import Handler, Intake, note_refused

log = logging.getLogger(__name__)

LEAVES = (Leaf.STATUS, Leaf.RESULT)


def control_lane(intake: Intake) -> Handler:
    """The handler of ``status`` and ``result``."""

    async def handle(messages: Sequence[Incoming]) -> None:
        intake.metrics.messages.labels("control").inc(len(messages))
        for message in messages:
            refused = await _take(intake, message)
            if refused is not None:
                note_refused(intake, [refused])

    return handle


async def _take(intake: Intake, message: Incoming) -> Refused | None:
    gateway = ""
    try:
        gateway, leaf = contract.parse_topic(message.topic)
        if not message.payload:
            return None  # somebody cleared a retained status: nothing to learn
        if not await _is_registered(intake, gateway):
            return Refused(gateway, "unknown_gateway", "the gateway is not registered", b"")
        if leaf is Leaf.STATUS:
            await _apply_status(intake, gateway, contract.decode(contract.Status, message.payload))
        else:
            await _apply_result(intake, gateway, contract.decode(contract.CommandResult, message.payload))
    except ContractError as error:
        return Refused(gateway, "malformed", str(error), message.payload[:SAMPLE_BYTES])
    return None


async def _is_registered(intake: Intake, gateway: str) -> bool:
    if intake.registry.knows_gateway(gateway):
        return True
    if intake.adopts_unknown:
        await intake.registry.adopt(intake.pool, gateway)
    return intake.adopts_unknown


async def _apply_status(intake: Intake, gateway: str, message: contract.Status) -> None:
    async def act() -> None:
        async with intake.pool.acquire() as connection, connection.transaction():
            await status.apply_status(connection, gateway, message, intake.clock.now())

    await persist(act, intake.clock.sleep, "status")


async def _apply_result(intake: Intake, gateway: str, result: contract.CommandResult) -> None:
    async def act() -> None:
        async with intake.pool.acquire() as connection, connection.transaction():
            await commands.apply_result(connection, gateway, result, intake.clock.now())

    await persist(act, intake.clock.sleep, "command result")
