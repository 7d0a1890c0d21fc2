"""Ways to get a text to a phone. Each is one file of one shape; a transport keeps no queue of its own."""

import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, TypeAlias


class TransportError(Exception):
    """A text was not handed over; ``permanent`` says that trying again is no use.

    The message names the cause and never the number.
    """

    def __init__(self, message: str, *, permanent: bool) -> None:
        super().__init__(message)
        self.permanent = permanent


@dataclass(frozen=True, kw_only=True, slots=True)
class Outgoing:
    """One text for one phone. ``to`` is E.164; empty where the settings name no duty phone."""

    notification_id: uuid.UUID
    at: datetime
    to: str
    recipient: str
    text: str
    priority: int
    alert_id: uuid.UUID | None = None
    code: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class DeliveryReport:
    """The phone network's word on a text that was sent under ``reference``."""

    reference: str
    at: datetime
    is_delivered: bool
    detail: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Inbound:
    """A text that came in. The number proves nothing about who wrote it."""

    sender: str
    at: datetime
    text: str


TransportEvent: TypeAlias = DeliveryReport | Inbound


@dataclass(frozen=True, kw_only=True, slots=True)
class Health:
    """Whether texts can go out now; ``detail`` is for the technician."""

    is_ok: bool
    detail: str = ""


class Transport(Protocol):
    """What every transport can do."""

    async def send(self, message: Outgoing) -> str:
        """Hand the text over and return the transport's reference; raise :class:`TransportError`."""
        ...

    def events(self) -> AsyncIterator[TransportEvent]:
        """Delivery reports and replies as they come; ends at once for a transport that has none."""
        ...

    async def health(self) -> Health: ...
