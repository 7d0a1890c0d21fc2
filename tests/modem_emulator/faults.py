"""What goes wrong on purpose. Every knob is a plain attribute that a test sets at any time."""

from collections import deque
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Reports:
    """How the network reports on a text: each status after another ``delay_s``; no status, no report.

    ``centre``: the service centre the report comes from; None is the SIM's own. ``is_national``: the
    recipient without country code, as some networks write it.
    """

    statuses: tuple[int, ...] = (0x00,)
    delay_s: float = 0.0
    centre: str | None = None
    is_national: bool = False


DELIVERED = Reports()
NEVER = Reports(statuses=())
EXPIRED = Reports(statuses=(0x46,))


@dataclass(slots=True)
class Faults:
    """Counters go down with every use; 0 is no fault."""

    send_errors: deque[int] = field(default_factory=deque)
    """``+CMS ERROR`` codes for the next texts, one each."""
    no_prompts: int = 0
    """So many ``AT+CMGS`` are never answered."""
    lost_oks: int = 0
    """So many texts go out, and the modem never says so."""
    late_oks: int = 0
    """So many texts are confirmed ``late_ok_s`` after they went out."""
    late_ok_s: float = 1.0
    inside_replies: deque[str] = field(default_factory=deque)
    """Lines that come unasked in the middle of the next replies of more than one line, one each."""
    deaf_commands: set[str] = field(default_factory=set)
    """Commands (``+CSQ``) that answer ERROR."""
