"""Who was told of an alert and how far it got, as the console shows them."""

import uuid
from dataclasses import dataclass
from datetime import datetime

from hub.notify import call_tree, ledger
from hub.notify.call_tree import Callee, Tree
from hub.notify.policy import DUTY
from hub.notify.standing import STANDING_LABELS, Line, Standing
from hub.web.context import Console


@dataclass(frozen=True, slots=True)
class LineView:
    key: str
    recipient: str
    standing: str
    label: str
    at: datetime
    cause: str
    transport: str
    attempts: int
    can_be_called: bool


@dataclass(frozen=True, slots=True)
class LedgerView:
    """``expected_at``: when the last waiting text should have left; None where that is not known."""

    lines: tuple[LineView, ...] = ()
    waiting: int = 0
    reached: int = 0
    expected_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class CallsView:
    """A group that did not answer in time; ``next`` None: everybody was tried, or nobody has to be."""

    tree: Tree
    next: Callee | None


async def load_calls(console: Console, alert_id: uuid.UUID) -> CallsView | None:
    """None for an alert that nobody has to be called about. No number is shown here."""
    tree = await call_tree.tree_of(console.pool, alert_id)
    if tree is None:
        return None
    people = await call_tree.callees(console.pool, alert_id)
    return CallsView(tree, None if tree.ended_at else call_tree.next_to_call(people))


async def load_ledger(console: Console, alert_id: uuid.UUID) -> LedgerView:
    found = await ledger.ledger_of(console.pool, alert_id, console.now())
    reached = {Standing.DELIVERED, Standing.ANSWERED, Standing.CALLED}
    return LedgerView(
        lines=tuple(_line(line) for line in found.lines),
        waiting=sum(line.is_waiting for line in found.lines),
        reached=sum(line.standing in reached for line in found.lines),
        expected_at=found.expected_at,
    )


def _line(line: Line) -> LineView:
    return LineView(
        key="" if line.contact_id is None else str(line.contact_id),
        recipient="Turno" if line.recipient == DUTY else line.recipient,
        standing=line.standing,
        label=STANDING_LABELS[line.standing],
        at=line.at,
        cause=line.cause,
        transport=line.transport,
        attempts=line.attempts,
        can_be_called=line.standing not in (Standing.ANSWERED, Standing.CALLED),
    )


# ---------------------------------------------------------------------------------------- transports
