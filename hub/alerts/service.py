"""The alerts room's one door: what the intake, the console and the notifications call."""

from hub.alerts.amending import (
    AmendError,
    Link,
    LinkSort,
    alerts_linked_to,
    change_priority,
    link,
    links_of,
    reclassify,
    unlink,
)
from hub.alerts.catalogue import Catalogue, CatalogueBook
from hub.alerts.children import Covered, covered, list_children
from hub.alerts.ending import calm_loop, close_by_hub
from hub.alerts.handover import (
    Change,
    DeviceOut,
    Handover,
    HandoverError,
    Pending,
    Signature,
    handover,
    sign,
    signatures,
)
from hub.alerts.model import RESTRICTED_KINDS, Alert, LogEntry, Outcome
from hub.alerts.opening import CHANNEL, open_or_join
from hub.alerts.reading import Counts, OpenAfter, counts, first_sent_at, get, list_open, search, timeline
from hub.alerts.receiving import receive
from hub.alerts.silences import (
    Silence,
    SilenceError,
    Silences,
    about_to_end,
    create_silence,
    end_silence,
    list_silences,
    past_silences,
)
from hub.alerts.visibility import may_see, visible_to
from hub.alerts.working import ConflictError, UnknownAlertError, move

__all__ = [
    "CHANNEL",
    "RESTRICTED_KINDS",
    "Alert",
    "AmendError",
    "Catalogue",
    "CatalogueBook",
    "Change",
    "ConflictError",
    "Counts",
    "Covered",
    "DeviceOut",
    "Handover",
    "HandoverError",
    "Link",
    "LinkSort",
    "LogEntry",
    "OpenAfter",
    "Outcome",
    "Pending",
    "Signature",
    "Silence",
    "SilenceError",
    "Silences",
    "UnknownAlertError",
    "about_to_end",
    "alerts_linked_to",
    "calm_loop",
    "change_priority",
    "close_by_hub",
    "counts",
    "covered",
    "create_silence",
    "end_silence",
    "first_sent_at",
    "get",
    "handover",
    "link",
    "links_of",
    "list_children",
    "list_open",
    "list_silences",
    "may_see",
    "move",
    "open_or_join",
    "past_silences",
    "receive",
    "reclassify",
    "search",
    "sign",
    "signatures",
    "timeline",
    "unlink",
    "visible_to",
]
