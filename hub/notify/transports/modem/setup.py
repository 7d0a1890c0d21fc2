"""From an open port to a modem that sends and receives: who it is, its SIM, PDU mode, notices, memories."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from hub.notify.transports.modem import replies
from hub.notify.transports.modem.dialogue import Reply
from hub.notify.transports.modem.errors import (
    LOCKED,
    NO_PDU_MODE,
    NO_SMSC,
    NOT_YET,
    PIN_MALFORMED,
    PIN_NEEDED,
    PIN_RISKY,
    PIN_UNREADABLE,
    PIN_WRONG,
    PUK_NEEDED,
    SIM_BUSY,
    SIM_FAILED,
    UnusableError,
    cause_of,
)
from hub.notify.transports.modem.link import Link
from hub.notify.transports.modem.state import Identity

# Notices of texts (2,1: stored, with +CMTI) and of reports, from the best to what the oldest modems know.
_NOTICES = ("2,1,0,2,0", "2,1,0,1,0", "2,1,0,0,0", "1,1,0,1,0", "1,1,0,0,0")
# ME first: a SIM holds 10 to 50 texts, a modem's own memory some hundred.
_MEMORIES = ("ME", "SM", "MT")
_SWEPT = ("ME", "SM", "SR")
# +CFUN=1 starts the radio.
_RADIO_S = 15.0
_SIM_POLL_S = 0.5
# PIN2 guards what SMS does not need.
_OPEN = frozenset(("READY", "SIM PIN2", "SIM PUK2"))
_STATES = {"SIM PIN": PIN_NEEDED, "SIM PUK": PUK_NEEDED}


@dataclass(slots=True)
class PinGuard:
    """Remembers refused PINs: three wrong ones lock the SIM, so each is tried once."""

    refused: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a SIM may take to open; ``sleep`` ends early when the driver stops."""

    sim_s: float
    sleep: Callable[[float], object] = time.sleep


@dataclass(frozen=True, slots=True)
class Setup:
    """``swept`` are the memories where texts and reports may lie; ``receiving`` is where new ones go.

    ``notices`` is what ``AT+CNMI`` was set to; empty where only the sweep finds texts.
    """

    identity: Identity
    service_centre: str
    receiving: str
    swept: tuple[str, ...]
    notices: str


def identify(link: Link) -> Identity:
    """Greet the modem, switch its echo off, and ask who it is. Raises :class:`LineError`."""
    link.greet()
    for command in ("ATE0", "AT+CMEE=1"):
        link.ask(command)
    told = [replies.first_free(link.ask(f"AT+{name}").lines) for name in ("CGMI", "CGMM", "CGMR", "CGSN")]
    return Identity(maker=told[0], model=told[1], revision=told[2], serial=told[3])


def bring_up(
    link: Link,
    identity: Identity,
    pin_file: Path | None,
    smsc: str,
    guard: PinGuard,
    patience: Patience,
) -> Setup:
    """Make an identified modem usable. Raises :class:`UnusableError` with cause and remedy, or LineError."""
    _switch_on(link)
    unlock(link, pin_file, guard, patience)
    _choose_pdu_mode(link)
    receiving, swept = _choose_memories(link, patience)
    notices = choose_notices(link)
    return Setup(identity, _service_centre(link, smsc, patience), receiving, swept, notices)


def _switch_on(link: Link) -> None:
    reply = link.ask("AT+CFUN?", expects="+CFUN")
    if reply.is_ok and replies.after(reply.lines, "+CFUN") != "1":
        link.ask("AT+CFUN=1", timeout_s=_RADIO_S)


# ------------------------------------------------------------------------------------------------ SIM


def unlock(link: Link, pin_file: Path | None, guard: PinGuard, patience: Patience) -> None:
    """Wait for the SIM and give it its PIN, once."""
    state = _sim_state(link, patience)
    if state == "SIM PIN":
        _enter(link, _read_pin(pin_file), guard)
        state = _sim_state(link, patience)
    if state not in _OPEN:
        raise UnusableError(_STATES.get(state, LOCKED))


def check_sim(link: Link) -> None:
    """Raises :class:`UnusableError` for a SIM that was taken out, or that asks for its PIN again."""
    reply = link.ask("AT+CPIN?", expects="+CPIN")
    problem = PIN_NEEDED if reply.is_ok else cause_of(reply.final).problem
    if problem is not None and replies.pin_state(reply.lines) not in _OPEN:
        raise UnusableError(problem)


def _sim_state(link: Link, patience: Patience) -> str:
    """``READY``, ``SIM PIN``, ``SIM PUK``, …; waits while the SIM is busy."""
    reply = _ask_patiently(link, "AT+CPIN?", patience, expects="+CPIN")
    if not reply.is_ok:
        raise UnusableError(cause_of(reply.final).problem or SIM_FAILED)
    return replies.pin_state(reply.lines)


def _ask_patiently(link: Link, command: str, patience: Patience, *, expects: str = "") -> Reply:
    """Ask again while the answer is that it is too early: a SIM opens its memory seconds after its PIN."""
    deadline = time.monotonic() + patience.sim_s
    while True:
        reply = link.ask(command, expects=expects)
        if reply.is_ok or cause_of(reply.final) not in NOT_YET or time.monotonic() >= deadline:
            return reply
        patience.sleep(_SIM_POLL_S)


def _read_pin(pin_file: Path | None) -> str:
    if pin_file is None:
        raise UnusableError(PIN_NEEDED)
    try:
        pin = pin_file.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UnusableError(PIN_UNREADABLE) from error
    if not pin.isdigit() or not 4 <= len(pin) <= 8:
        raise UnusableError(PIN_MALFORMED)
    return pin


def _enter(link: Link, pin: str, guard: PinGuard) -> None:
    if pin in guard.refused:
        raise UnusableError(PIN_WRONG)
    if _attempts(link) == 1:
        raise UnusableError(PIN_RISKY)
    reply = link.ask(f'AT+CPIN="{pin}"', timeout_s=_RADIO_S)
    if not reply.is_ok:
        problem = cause_of(reply.final).problem or PIN_WRONG
        if problem is not SIM_BUSY:
            guard.refused.add(pin)
        raise UnusableError(problem)


def _attempts(link: Link) -> int | None:
    for command in ('AT+CPINR="SIM PIN"', "AT+SPIC"):
        reply = link.ask(command)
        if reply.is_ok and (left := replies.pin_attempts(reply.lines)) is not None:
            return left
    return None


# ------------------------------------------------------------------------------------------- messages


def _choose_pdu_mode(link: Link) -> None:
    # CSMS=0: a text needs no confirmation by AT+CNMA
    for command in ('AT+CSCS="GSM"', "AT+CSMS=0", "AT+CREG=0", "AT+COPS=3,0"):
        link.ask(command)
    if not link.ask("AT+CMGF=0").is_ok:
        raise UnusableError(NO_PDU_MODE)


def _choose_memories(link: Link, patience: Patience) -> tuple[str, tuple[str, ...]]:
    """(where new texts go, where to look); ``("", ("",))`` for a modem that does not let us choose."""
    offered = replies.memories(_ask_patiently(link, "AT+CPMS=?", patience).lines)
    swept = tuple(memory for memory in _SWEPT if memory in offered.reading)
    for memory in (name for name in _MEMORIES if name in (offered.receiving or offered.reading)):
        if _ask_patiently(link, f'AT+CPMS="{memory}","{memory}","{memory}"', patience).is_ok:
            return memory, swept or (memory,)
    return "", ("",)


def choose_notices(link: Link) -> str:
    """What ``AT+CNMI`` takes; empty: nothing."""
    return next((choice for choice in _NOTICES if link.ask(f"AT+CNMI={choice}").is_ok), "")


def _service_centre(link: Link, wanted: str, patience: Patience) -> str:
    found = _ask_service_centre(link, patience)
    if wanted and found != wanted:
        link.ask(f'AT+CSCA="{wanted}",145')
        found = _ask_service_centre(link, patience)
    if not found:
        raise UnusableError(NO_SMSC)
    return found


def _ask_service_centre(link: Link, patience: Patience) -> str:
    return replies.service_centre(_ask_patiently(link, "AT+CSCA?", patience, expects="+CSCA").lines)
