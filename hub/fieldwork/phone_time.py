"""When something happened, told by a phone whose clock nobody trusts. Pure.

The phone sends the instant of its own clock and, where it knew it then, how far the hub's clock was ahead
of it. What was written before the first contact takes the difference at the moment of sending.
"""

from datetime import datetime, timedelta

TOLERANCE = timedelta(minutes=2)
"""A corrected instant may lie this far in the future: the network's delay, and a clock's drift of a day."""


def corrected(
    at: datetime, offset_ms: int | None, sending_offset_ms: int | None, received_at: datetime
) -> tuple[datetime, str]:
    """The instant by the hub's clock, and its quality: ``offset``, ``device`` or ``receipt``.

    ``receipt``: the phone's word lies in the future, so only the time of receipt is known.
    """
    offset = offset_ms if offset_ms is not None else sending_offset_ms
    quality = "device" if offset is None else "offset"
    try:
        instant = at + timedelta(milliseconds=offset or 0)
    except OverflowError:
        return received_at, "receipt"
    if instant > received_at + TOLERANCE:
        return received_at, "receipt"
    return min(instant, received_at), quality


def offset_ms(phone_now: datetime, hub_now: datetime) -> int:
    """How far the hub is ahead of a phone that has just said what time it has; negative: behind."""
    return round((hub_now - phone_now).total_seconds() * 1000)
