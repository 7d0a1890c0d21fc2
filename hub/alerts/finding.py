"""What a rule concluded: the one word between rules and alerts."""

import uuid
from dataclasses import dataclass, replace
from datetime import datetime

RESTRICTED_KINDS = frozenset({"duress", "vif"})
"""Domestic violence and the like: neutral words, no place outside the case, no neighbours, no siren."""

SILENT_BUTTONS = frozenset({"duress_button", "vif_button"})
"""Kinds of devices whose place is where somebody in danger lives."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Confirm:
    """The alert becomes one of ``priority`` once ``at_least`` people answer one of ``answers`` in time.

    ``within_s`` counts from the opening; answers are ``coming``, ``nothing_found`` and ``help``.
    """

    at_least: int
    within_s: float
    priority: int
    answers: frozenset[str] = frozenset({"help"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """A reason to open an alert, or to join the one that is open under the same ``dedup_key``.

    ``priority`` is 1 (life) to 4; ``summary`` is Spanish text for people; ``happened_at`` is aware UTC.
    """

    rule: str
    kind: str
    priority: int
    dedup_key: str
    summary: str
    happened_at: datetime
    time_quality: str = "device"
    device_id: int | None = None
    gateway: str | None = None
    place: str = ""
    sector: str = ""
    latitude: float | None = None
    longitude: float | None = None
    watch_group: str = ""
    is_drill: bool = False
    source_event: uuid.UUID | None = None
    rule_version: str = ""
    """Which version of the rule; empty for what is no rule in a file."""
    confirm: Confirm | None = None
    """What people are asked while the alert stays as urgent as this; None: nobody is asked."""
    is_reserved: bool = False
    """Somebody calls for help by a silent button: the alert is of the case alone, whatever its kind."""

    @property
    def is_restricted(self) -> bool:
        return self.kind in RESTRICTED_KINDS or self.is_reserved


def silent_button(device_id: int | None) -> str:
    """What such a device is called wherever its case is not open."""
    return f"botón silencioso {device_id}" if device_id is not None else "botón silencioso"


def without_place(finding: Finding) -> Finding:
    """The upkeep of a silent button (battery, signal) is for all to see: nothing in it tells where it is."""
    return replace(finding, place="", latitude=None, longitude=None, watch_group="")
