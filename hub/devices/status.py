"""Births and deaths of gateways."""

import logging
from datetime import datetime

from edge.contract import ContractError, State, Status
from hub.database import Connection

log = logging.getLogger(__name__)

CHANNEL = "devices_state"
_MAX_TEXT = 64

# A will that a newer birth has overtaken carries an older epoch. An older birth is stale only within one
# boot: a gateway whose card was replaced counts from one again and must not stay dark for ever.
_UPDATE = """
update gateways
set state = $2, boot_id = $3, epoch = $4, version = $5, clock = $6, status_at = $7
where gateway = $1
  and ($4 >= epoch or ($2 = 'online' and boot_id is distinct from $3))
  and (state, boot_id, epoch, version, clock) is distinct from ($2, $3, $4, $5, $6)
returning true
"""


async def apply_status(connection: Connection, gateway: str, status: Status, now: datetime) -> bool:
    """Store a birth or a will; False when it is stale, a repeat, or of an unknown gateway.

    Raises :class:`ContractError` for an epoch that no counter reaches.
    """
    if not 0 <= status.epoch < 2**63:
        raise ContractError("epoch", f"{str(status.epoch)[:40]!r} is not a count")
    changed = await connection.fetchval(
        _UPDATE,
        gateway,
        status.state.value,
        _text(status.bootid),
        status.epoch,
        _text(status.version),
        status.clock.value,
        now,
    )
    if not changed:
        return False
    await connection.execute("select pg_notify($1, $2)", CHANNEL, gateway)
    level = logging.INFO if status.state is State.ONLINE else logging.WARNING
    log.log(level, "gateway %s is %s (epoch %d)", gateway, status.state.value, status.epoch)
    return True


def _text(text: str) -> str:
    return text.replace("\x00", "")[:_MAX_TEXT]
