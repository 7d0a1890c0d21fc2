"""When to try again, and how often to speak of it."""

import logging

from hub.mqtt.errors import HandlerError, MqttError, ProtocolError, RefusedError

log = logging.getLogger(__name__)

RETRY_MIN_S = 0.1
RETRY_MAX_S = 1.0

STABLE_AFTER_S = 2.0
"""A connection that lived so long was a good one: the next is tried at once."""

REPEAT_COMPLAINT_S = 30.0
"""The same trouble is logged at most so often."""


def retry_delay_s(failures: int, jitter: float) -> float:
    """How long to wait after so many failures in a row; ``jitter`` (0 to 1) takes up to half of it off.

    At once after the first, then 0.1 s, doubling up to 1 s.
    """
    if failures <= 1:
        return 0.0
    return min(RETRY_MAX_S, RETRY_MIN_S * 2.0 ** min(failures - 2, 10)) * (1 - jitter / 2)


class Retry:
    """Counts failures in a row."""

    def __init__(self) -> None:
        self._failures = 0

    def failed(self, cause: MqttError, lived_s: float) -> None:
        """One more; after a connection that lived long enough it is the first."""
        before = 0 if lived_s > STABLE_AFTER_S else self._failures
        # A handler that fails at once must not turn the broker's redelivery into a storm.
        self._failures = max(before + 1, 2 if isinstance(cause, HandlerError) else 0)

    def delay_s(self, jitter: float) -> float:
        return retry_delay_s(self._failures, jitter)


class Complaints:
    """Logs a new trouble at once and the same one now and then: retries come every second.

    ``who`` is the client id, ``where`` the broker.
    """

    def __init__(self, who: str, where: str) -> None:
        self._who = who
        self._where = where
        self._last = ""
        self._logged_at = 0.0

    def add(self, cause: MqttError, now: float) -> None:
        if str(cause) == self._last and now - self._logged_at < REPEAT_COMPLAINT_S:
            return
        self._last, self._logged_at = str(cause), now
        is_wrong = isinstance(cause, RefusedError | ProtocolError)
        level = logging.ERROR if is_wrong else logging.WARNING
        log.log(level, "%s: %s; trying %s again", self._who, cause, self._where)
