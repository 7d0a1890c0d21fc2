"""Names that tie things together: the parts of one text, and a text to its delivery report."""

import secrets
from collections import OrderedDict, deque
from hashlib import blake2s

import phonenumbers

MAX_RECIPIENTS = 10_000
MAX_KNOWN = 200
"""Below 256, where the references of the network come round."""


class ConcatReferences:
    """The reference that the parts of one text share: counted for each recipient, from a random start.

    A phone joins parts by (sender, reference, number of parts). A constant or the clock's second would give
    two texts that are under way to one phone the same reference, and the phone would mix them. After a
    restart the count starts anywhere, so the last text before it is met again once in 256 times.
    """

    def __init__(self) -> None:
        self._last: OrderedDict[str, int] = OrderedDict()

    def next(self, recipient: str) -> int:
        """0-255, never the same for 256 texts to one recipient."""
        last = self._last.pop(recipient, None)
        reference = secrets.randbelow(256) if last is None else (last + 1) % 256
        self._last[recipient] = reference
        if len(self._last) > MAX_RECIPIENTS:
            self._last.popitem(last=False)
        return reference


class KnownReferences:
    """The network's references of the last texts: a report of one of them is not another's."""

    def __init__(self) -> None:
        self._known: deque[tuple[int, str]] = deque(maxlen=MAX_KNOWN)

    def add(self, reference: int, number: str) -> None:
        self._known.append((reference, normal_number(number)))

    def has(self, reference: int, number: str) -> bool:
        return (reference, normal_number(number)) in self._known


def part_reference(modem: str, message_reference: int, number: str) -> str:
    """The transport's reference of one part, the same from ``+CMGS`` and from its delivery report.

    The network's own reference has eight bits, so the recipient is part of the name, as a digest: references
    stand in logs, numbers do not. It comes again after 256 parts to the same recipient; the newest is meant.
    """
    digest = blake2s(normal_number(number).encode(), digest_size=5, person=b"sms-part").hexdigest()
    return f"{modem}:{message_reference}:{digest}"


def normal_number(number: str) -> str:
    """E.164 of a number that a network wrote in its own way (national, 0056…); others as they are."""
    try:
        parsed = phonenumbers.parse(number, "CL")
    except phonenumbers.NumberParseException:
        return number
    if not phonenumbers.is_valid_number(parsed):
        return number
    return phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)
