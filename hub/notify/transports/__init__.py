"""Ways to get a text to a phone. Each is one file of one shape; a transport keeps no queue of its own."""

import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, TypeAlias


class TransportError(Exception):
    """A text was not handed over, or nobody knows whether it was.

    ``permanent``: it is this phone or this text that is refused, so trying again is no use, and the transport
    is well. ``maybe_sent``: the text left and no answer came; it may arrive, so only a second attempt in all
    is allowed. ``rest_s``: the transport is well and takes no text of this urgency, nor a less urgent one,
    for so long. None of them: the transport is in trouble. The message (Spanish: people read it) names the
    cause and never the number.
    """

    def __init__(
        self, message: str, *, permanent: bool, maybe_sent: bool = False, rest_s: float | None = None
    ) -> None:
        super().__init__(message)
        self.permanent = permanent
        self.maybe_sent = maybe_sent
        self.rest_s = rest_s


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
    """The phone network's last word on the part that was sent under ``reference``."""

    reference: str
    at: datetime
    is_delivered: bool
    detail: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Inbound:
    """A text that came in. The number proves nothing about who wrote it.

    ``sender`` as the network gave it; ``reference`` is the transport's own name of the text, empty where it
    has none, so that one that is told twice can be known again.
    """

    sender: str
    at: datetime
    text: str
    reference: str = ""


TransportEvent: TypeAlias = DeliveryReport | Inbound


@dataclass(frozen=True, kw_only=True, slots=True)
class Health:
    """Whether texts can go out now; ``detail`` is Spanish, for the technician.

    Figures that a transport does not have are None: ``signal_dbm`` of its antenna, ``queue`` texts that wait
    inside it, ``credit`` left at the provider, in the unit in which the provider counts.
    """

    is_ok: bool
    detail: str = ""
    signal_dbm: int | None = None
    queue: int | None = None
    credit: float | None = None


class Transport(Protocol):
    """What every transport can do."""

    async def send(self, message: Outgoing) -> tuple[str, ...]:
        """Hand the text over; one reference for each part of it. Raises :class:`TransportError`."""
        ...

    def events(self) -> AsyncIterator[TransportEvent]:
        """Delivery reports and replies as they come; ends at once for a transport that has none.

        An event counts as taken when the next one is asked for: until then nothing is deleted or confirmed.
        """
        ...

    async def health(self) -> Health:
        """Never raises, and answers within seconds."""
        ...

    async def run_loop(self) -> None:
        """Connect, and connect again, for ever; returns at once where there is nothing to keep open."""
        ...
