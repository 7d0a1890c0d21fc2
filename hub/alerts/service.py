"""The alerts room's one door: what the intake, the console and the notifications call."""

from hub.alerts.model import RESTRICTED_KINDS, Alert, LogEntry, Outcome
from hub.alerts.opening import CHANNEL, close_by_hub, open_or_join
from hub.alerts.reading import Counts, OpenAfter, counts, get, list_open, search, timeline
from hub.alerts.working import ConflictError, UnknownAlertError, move

__all__ = [
    "CHANNEL",
    "RESTRICTED_KINDS",
    "Alert",
    "ConflictError",
    "Counts",
    "LogEntry",
    "OpenAfter",
    "Outcome",
    "UnknownAlertError",
    "close_by_hub",
    "counts",
    "get",
    "list_open",
    "move",
    "open_or_join",
    "search",
    "timeline",
]
