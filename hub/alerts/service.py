"""The alerts room's one door: what the intake, the console and the notifications call."""

from hub.alerts.children import Covered, covered, list_children
from hub.alerts.ending import calm_loop, close_by_hub
from hub.alerts.model import RESTRICTED_KINDS, Alert, LogEntry, Outcome
from hub.alerts.opening import CHANNEL, open_or_join
from hub.alerts.reading import Counts, OpenAfter, counts, get, list_open, search, timeline
from hub.alerts.receiving import receive
from hub.alerts.working import ConflictError, UnknownAlertError, move

__all__ = [
    "CHANNEL",
    "RESTRICTED_KINDS",
    "Alert",
    "ConflictError",
    "Counts",
    "Covered",
    "LogEntry",
    "OpenAfter",
    "Outcome",
    "UnknownAlertError",
    "calm_loop",
    "close_by_hub",
    "counts",
    "covered",
    "get",
    "list_children",
    "list_open",
    "move",
    "open_or_join",
    "receive",
    "search",
    "timeline",
]
