"""Collects the parts of inbound messages, which come in any order, twice, or never. Pure.

A part that was lost does not keep the others: after a while the message is given out with a mark in its
place. Until then the parts are in memory only, so the modem's copy of a part is deleted once
:meth:`Assembler.is_waiting` says no; after a restart the parts are simply added again.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import groupby

from hub.notify.transports.modem.pdu import Concat, Deliver, whole
from hub.notify.transports.modem.segments import Coding

PATIENCE_S = 900.0
"""How long the other parts may take. Parts of one message leave a phone within seconds; a network that is
full or a phone that lost its signal takes minutes."""

MAX_OPEN = 200
"""Unfinished messages that are kept; the oldest is given out before its time."""

MISSING = "[falta una parte]"


@dataclass(frozen=True, slots=True)
class Message:
    """A whole text. ``missing`` are the numbers of the parts that never came."""

    sender: str
    at: datetime | None
    text: str
    missing: tuple[int, ...] = ()
    data: bytes = b""


@dataclass(frozen=True, slots=True)
class _Key:
    """The standard's own: a reference is only unique for its sender, and only for a while."""

    sender: str
    reference: int
    total: int


@dataclass(slots=True)
class _Open:
    since: datetime
    parts: dict[int, Deliver] = field(default_factory=dict)


class Assembler:
    """``patience_s``: how long a message waits for its parts since the last new one."""

    def __init__(self, patience_s: float = PATIENCE_S) -> None:
        self._patience = timedelta(seconds=patience_s)
        self._open: dict[_Key, _Open] = {}
        self._done: dict[_Key, _Open] = {}

    def add(self, part: Deliver, now: datetime) -> list[Message]:
        """The messages that ``part`` completes: usually none or one; a repeated part gives none."""
        if part.concat is None:
            return [Message(part.sender, part.at, part.text, data=part.data)]
        key, number = _key(part.sender, part.concat), part.concat.number
        done = self._done.get(key)
        # a text that was really sent twice has another time
        if done is not None and (old := done.parts.get(number)) and _same(old, part) and old.at == part.at:
            return []
        given_out = self._make_room(key, number, part)
        collected = self._open.setdefault(key, _Open(now))
        if number not in collected.parts:
            collected.parts[number] = part
            collected.since = now
        if len(collected.parts) == key.total:
            given_out.append(self._give_out(key))
        return given_out

    def give_up(self, now: datetime) -> list[Message]:
        """The messages whose patience is over, with their gaps marked; call it now and then."""
        for key in [key for key, done in self._done.items() if self._is_over(done, now)]:
            del self._done[key]
        return [self._give_out(key) for key in [k for k, o in self._open.items() if self._is_over(o, now)]]

    def is_waiting(self, part: Deliver) -> bool:
        """Whether ``part`` is held for a message that has not been given out."""
        if part.concat is None or (waiting := self._open.get(_key(part.sender, part.concat))) is None:
            return False
        held = waiting.parts.get(part.concat.number)
        return held is not None and _same(held, part)

    def _is_over(self, collected: _Open, now: datetime) -> bool:
        return now - collected.since >= self._patience

    def _make_room(self, key: _Key, number: int, part: Deliver) -> list[Message]:
        """Give out what the part shows to be over: an older message under the same reference."""
        collected = self._open.get(key)
        if collected is None:
            return [self._give_out(next(iter(self._open)))] if len(self._open) >= MAX_OPEN else []
        held = collected.parts.get(number)
        return [] if held is None or _same(held, part) else [self._give_out(key)]

    def _give_out(self, key: _Key) -> Message:
        collected = self._open.pop(key)
        self._done.pop(key, None)
        self._done[key] = collected
        if len(self._done) > MAX_OPEN:
            del self._done[next(iter(self._done))]
        return _message(key, collected.parts)


def _key(sender: str, concat: Concat) -> _Key:
    return _Key(sender, concat.reference, concat.total)


def _same(one: Deliver, other: Deliver) -> bool:
    """The same words; a repetition may have come by another centre."""
    return (one.text, one.data, one.coding) == (other.text, other.data, other.coding)


def _message(key: _Key, parts: dict[int, Deliver]) -> Message:
    first = parts[min(parts)]
    missing = tuple(number for number in range(1, key.total + 1) if number not in parts)
    return Message(
        sender=key.sender,
        at=first.at,
        text=_text(parts.get(number) for number in range(1, key.total + 1)),
        missing=missing,
        data=b"".join([parts[number].data for number in sorted(parts)]),
    )


def _text(parts: Iterable[Deliver | None]) -> str:
    """Neighbouring parts are joined before they are mended: a foreign sender may cut a character in two."""
    runs = groupby(parts, lambda part: None if part is None else part.coding)
    pieces: list[str] = []
    for coding, run in runs:
        pieces.append(MISSING if coding is None else _joined(run, coding))
    return "".join(pieces)


def _joined(run: Iterable[Deliver | None], coding: Coding) -> str:
    return whole("".join([part.text for part in run if part is not None]), coding)
