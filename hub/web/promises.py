"""The times that a policy promises for an alert, and how they stand. Pure."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from hub.alerts.model import Alert
from hub.notify.escalation import Stage
from hub.notify.outlook import Outlook


@dataclass(frozen=True, slots=True)
class Promise:
    """``due_at`` is None where it has not begun, ``met_at`` while it runs."""

    label: str
    within_s: int
    due_at: datetime | None
    met_at: datetime | None

    def state(self, now: datetime) -> str:
        """``waiting``, ``running``, ``over``, ``kept`` or ``late``."""
        if self.due_at is None:
            return "waiting"
        if self.met_at is not None:
            return "kept" if self.met_at <= self.due_at else "late"
        return "running" if now <= self.due_at else "over"


def promises(alert: Alert, outlook: Outlook, sent_at: datetime | None) -> list[Promise]:
    """``sent_at``: when somebody was first sent. An alert that was reopened counts from its new stage."""
    found = []
    if (within_s := outlook.acknowledge_within_s) is not None:
        first_due_at = alert.opened_at + timedelta(seconds=within_s)
        found.append(Promise("Acuse", within_s, first_due_at, alert.acknowledged_at or alert.closed_at))
    if (within_s := outlook.dispatch_within_s) is not None:
        is_waiting = outlook.stage is Stage.DISPATCH
        start = outlook.anchor_at if is_waiting else alert.acknowledged_at
        due_at = None if start is None else start + timedelta(seconds=within_s)
        found.append(Promise("Despacho", within_s, due_at, None if is_waiting else sent_at))
    return found
