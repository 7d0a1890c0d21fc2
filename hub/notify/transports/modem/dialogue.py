"""The AT dialogue (3GPP TS 27.007, TS 27.005, ITU-T V.250) without I/O: bytes in, events out.

You call :meth:`Dialogue.begin` with one command and write what it returns; you feed what the modem says, in
any pieces, and read events until its :class:`Reply` comes. Notices (unsolicited result codes) come at any
time, also in the middle of a reply. What is neither is noise and is dropped.
"""

import re
from dataclasses import dataclass
from typing import TypeAlias

ESCAPE = b"\x1b"
"""Leaves the prompt without sending."""
CTRL_Z = b"\x1a"
MAX_LINE_CHARS = 2048
"""Far above the longest line of a modem (a PDU of 176 octets is 352 characters); more is line noise."""

_FINAL = re.compile(r"OK|ERROR|\+CM[SE] ERROR: ?.*|COMMAND NOT SUPPORT|TOO MANY PARAMETERS|NO CARRIER")
_NAMED = re.compile(r"([+^*$#&%][A-Z][A-Z0-9]*):? ?(.*)", re.DOTALL)
_HEX = re.compile(r"(?:[0-9A-Fa-f]{2})+")
_NOISE = "".join(map(chr, (*range(0x20), *range(0x7F, 0xA1), 0xFF, 0xFE, ord(" "))))
_BANNERS = frozenset(("RDY", "+RDY", "^SYSSTART", "SYSSTART", "*ATREADY", "START", "NORMAL POWER DOWN"))
_WITH_BODY = frozenset(("+CMT", "+CDS"))
# Their answer comes after the command's own OK, or before it, so it is a notice in any case.
_ALWAYS_NOTICES = frozenset(("+CUSD", "+CMTI", "+CDSI", "+CMT", "+CDS", "^BOOT", "^RSSI", "^MODE"))
_REGISTRATION = frozenset(("+CREG", "+CGREG", "+CEREG"))


@dataclass(frozen=True, slots=True)
class Reply:
    """The end of a command: its lines of information, and the final result as the modem wrote it."""

    lines: tuple[str, ...]
    final: str

    @property
    def is_ok(self) -> bool:
        return self.final == "OK"


@dataclass(frozen=True, slots=True)
class Prompt:
    """The modem waits for a PDU."""


@dataclass(frozen=True, slots=True)
class Notice:
    """What the modem says unasked: ``+CMTI`` with ``"ME",3``; ``body`` is the PDU of +CMT and +CDS."""

    name: str
    text: str
    body: str = ""


@dataclass(frozen=True, slots=True)
class Restarted:
    """The modem has just started, so it has forgotten its settings and the command that was under way."""

    banner: str


Event: TypeAlias = Reply | Prompt | Notice | Restarted


class Dialogue:
    """One command at a time. Echo may be on or off, and may change when the modem restarts."""

    def __init__(self) -> None:
        self._buffer = ""
        self._command = ""
        self._echoes: tuple[str, ...] = ()
        self._lines: list[str] = []
        self._expects = ""
        self._wants_prompt = False
        self._pending: tuple[str, str] | None = None
        self._open_text: str | None = None

    @property
    def is_idle(self) -> bool:
        return not self._command

    def begin(self, command: str, *, expects: str = "", prompts: bool = False) -> bytes:
        """The bytes of ``command``, without its carriage return.

        ``expects`` names the information that a good reply must hold (``+CSQ``): an OK without it belongs to
        an earlier command and is dropped. ``prompts``: the modem is to ask for a PDU.
        """
        self._command, self._echoes = command, (command,)
        self._expects, self._wants_prompt = expects, prompts
        self._lines = []
        return command.encode("ascii") + b"\r"

    def body(self, pdu: str) -> bytes:
        """The bytes that answer the prompt."""
        self._wants_prompt = False
        self._echoes = (*self._echoes, pdu, f"> {pdu}")
        return pdu.encode("ascii") + CTRL_Z

    def give_up(self) -> None:
        """Nobody waits for the reply any more; should it come, it is noise."""
        self._command, self._expects, self._wants_prompt = "", "", False
        self._lines = []

    def feed(self, data: bytes) -> list[Event]:
        """The events that ``data`` completes. Every chunking of the same bytes gives the same events."""
        events: list[Event] = []
        for char in data.decode("latin-1"):
            if char in "\r\n":
                self._end_of_line(events)
            else:
                self._buffer += char
                self._check_prompt(events)
        return events

    def _check_prompt(self, events: list[Event]) -> None:
        if self._wants_prompt and self._buffer.lstrip(_NOISE) == ">":
            self._buffer, self._wants_prompt = "", False
            events.append(Prompt())
        elif len(self._buffer) > MAX_LINE_CHARS:
            self._buffer = ""

    def _end_of_line(self, events: list[Event]) -> None:
        line, self._buffer = self._buffer.strip(_NOISE), ""
        if not line.strip("> ") or self._is_echo(line):
            return
        event = self._read(line) if self._open_text is None else self._continued(line)
        if event is not None:
            events.append(event)

    def _is_echo(self, line: str) -> bool:
        return line in self._echoes or (line.startswith("> ") and line[2:] in self._echoes)

    def _read(self, line: str) -> Event | None:
        if line in _BANNERS:
            self.give_up()
            self._pending = None
            return Restarted(line)
        if self._pending is not None and _HEX.fullmatch(line):
            return self._with_body(line)
        if _FINAL.fullmatch(line):
            return self._final(line)
        return self._named(line)

    def _final(self, line: str) -> Reply | None:
        if not self._command or (line == "OK" and not self._has_expected()):
            return None
        reply = Reply(tuple(self._lines), line)
        self.give_up()
        return reply

    def _has_expected(self) -> bool:
        return not self._expects or any(line.startswith(self._expects) for line in self._lines)

    def _named(self, line: str) -> Notice | None:
        found = _NAMED.fullmatch(line)
        if found is None or self._is_answer(found[1], found[2]):
            if self._command:
                self._lines.append(line)
            return None
        if found[1] in _WITH_BODY:
            self._pending = (found[1], found[2])
            return None
        if found[1] == "+CUSD" and found[2].count('"') == 1:
            self._open_text = found[2]
            return None
        return Notice(found[1], found[2])

    def _continued(self, line: str) -> Event | None:
        """An operator's answer may hold line breaks; its closing quote ends it, or a final result."""
        text = self._open_text or ""
        if _FINAL.fullmatch(line) or line in _BANNERS:
            self._open_text = None
            return self._read(line)
        self._open_text = f"{text} {line}"
        if '"' not in line:
            return None
        text, self._open_text = self._open_text, None
        return Notice("+CUSD", text)

    def _is_answer(self, name: str, text: str) -> bool:
        """Whether ``+NAME: text`` answers the command that is under way."""
        if name in _ALWAYS_NOTICES or name not in self._command:
            return False
        # unasked it is "+CREG: <stat>[,…]", asked "+CREG: <n>,<stat>[,…]" (TS 27.007, 7.2)
        return name not in _REGISTRATION or re.match(r"\d+, ?\d+(?:,|$)", text) is not None

    def _with_body(self, line: str) -> Notice | None:
        """The PDU belongs to the pending notice if its length is the announced one, else to the reply."""
        name, text = self._pending or ("", "")
        if _tpdu_length(text) != len(line) // 2 - 1 - int(line[:2], 16):
            if self._command:
                self._lines.append(line)
            return None
        self._pending = None
        return Notice(name, text, line)


def _tpdu_length(text: str) -> int:
    """``"alpha",23`` or ``23`` → 23; -1 where there is none."""
    last = text.rsplit(",", 1)[-1].strip()
    return int(last) if last.isdigit() else -1
