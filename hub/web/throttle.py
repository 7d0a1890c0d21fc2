"""Login throttling, in memory and bounded: failures within a window, by three keys at once."""

from collections import OrderedDict, deque
from datetime import datetime, timedelta

WINDOW = timedelta(minutes=5)

# A person at one address is stopped soon. A login alone is stopped late: otherwise anybody who knows the
# shift chief's login could lock the room out.
MAX_BY_PERSON = 5
MAX_BY_ADDRESS = 20
MAX_BY_LOGIN = 100

MAX_KEYS = 10_000


class LoginThrottle:
    """Remembers failures only; a success forgets the person's own."""

    def __init__(self, max_keys: int = MAX_KEYS) -> None:
        self._failures: OrderedDict[tuple[str, str], deque[datetime]] = OrderedDict()
        self._max_keys = max_keys

    def wait_s(self, login: str, address: str, now: datetime) -> float:
        """Seconds until another attempt is let through; 0 when it may go on now."""
        return max(self._key_wait_s(key, limit, now) for key, limit in _keys(login, address))

    def failed(self, login: str, address: str, now: datetime) -> None:
        for key, limit in _keys(login, address):
            times = self._failures.setdefault(key, deque(maxlen=limit))
            times.append(now)
            self._failures.move_to_end(key)
        while len(self._failures) > self._max_keys:
            self._failures.popitem(last=False)

    def succeeded(self, login: str, address: str) -> None:
        self._failures.pop(_keys(login, address)[0][0], None)

    def __len__(self) -> int:
        return len(self._failures)

    def _key_wait_s(self, key: tuple[str, str], limit: int, now: datetime) -> float:
        times = self._failures.get(key)
        if times is None or len(times) < limit:
            return 0.0
        return max(0.0, (times[0] + WINDOW - now).total_seconds())


def _keys(login: str, address: str) -> tuple[tuple[tuple[str, str], int], ...]:
    return (
        (((login, address)), MAX_BY_PERSON),
        (("", address), MAX_BY_ADDRESS),
        ((login, ""), MAX_BY_LOGIN),
    )
