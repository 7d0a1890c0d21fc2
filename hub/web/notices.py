"""Who was told of an alert, and how far the message got."""

import uuid
from dataclasses import dataclass
from datetime import datetime

from hub.database import Pool
from hub.web import texts

MAX_NOTICES = 200


@dataclass(frozen=True, slots=True)
class Notice:
    recipient: str
    state: str
    state_label: str
    at: datetime | None
    attempts: int


async def list_notices(pool: Pool, alert_id: uuid.UUID) -> list[Notice]:
    """In the order in which they were queued."""
    rows = await pool.fetch(
        "select recipient, state, coalesce(sent_at, created_at) as at, attempts from notifications"
        " where alert_id = $1 order by created_at, recipient limit $2",
        alert_id,
        MAX_NOTICES,
    )
    return [
        Notice(
            recipient="Turno" if row["recipient"] == "turno" else row["recipient"],
            state=row["state"],
            state_label=texts.named(texts.NOTIFICATION_STATES, row["state"]),
            at=row["at"],
            attempts=row["attempts"],
        )
        for row in rows
    ]
