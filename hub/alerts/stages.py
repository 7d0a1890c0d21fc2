"""An alert's next step follows its state: a move that takes it or sends somebody calls the step off.

The rows of ``escalations`` are made and fired by the notify room. Here they only change with the alert, in
the move's own transaction; whoever changes one holds its alert's row lock.
"""

import uuid
from collections.abc import Mapping
from datetime import datetime

from hub.alerts.lifecycle import State
from hub.database import Connection

STAGES: Mapping[State, str] = {
    State.RECEIVED: "acknowledge",
    State.ACKNOWLEDGED: "dispatch",
    State.VERIFYING: "dispatch",
}
"""What an alert waits for; in every other state somebody is on the way or leads, or it is over."""

REST = "rest"

_ENTER = """
update escalations
set stage = $2::text, anchor_at = $3::timestamptz, fired = 0,
  due_at = case when $2::text = 'dispatch' then $3::timestamptz + make_interval(secs => dispatch_within_s) end
where alert_id = $1
"""


def stage_of(state: State) -> str:
    return STAGES.get(state, REST)


async def follow(
    connection: Connection, alert_id: uuid.UUID, before: State, after: State, now: datetime
) -> None:
    """Call off, or begin, what the alert waits for; nothing when it waits for the same as before."""
    if stage_of(before) != stage_of(after):
        await connection.execute(_ENTER, alert_id, stage_of(after), now)
