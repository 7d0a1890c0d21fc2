"""The modem without its line: characters in, characters out, time by a callback."""

from collections import deque
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial

from hub.notify.transports.modem import pdu
from hub.notify.transports.modem.pdu import PduError, Submit
from modem_emulator import dialect
from modem_emulator.arrivals import Arrivals
from modem_emulator.commands import AtError, CmsError, commands
from modem_emulator.faults import Faults, Reports
from modem_emulator.state import (
    BANNER,
    HOME,
    INVALID_PDU,
    NO_NETWORK,
    ROAMING,
    SIM_PIN,
    SIM_PUK,
    Profile,
    Sent,
    Sim,
)
from modem_emulator.storage import Memory

ESC, CTRL_Z, CR, BACKSPACE = 0x1B, 0x1A, 0x0D, 0x08


class Modem:
    """``write`` takes what goes to the computer; ``later(delay_s, action)`` calls back on the same thread.

    ``message_s`` is how long the network takes for one text.
    """

    def __init__(
        self,
        write: Callable[[bytes], None],
        later: Callable[[float, Callable[[], None]], None],
        *,
        message_s: float = 0.0,
        pin: str = "",
    ) -> None:
        self._write = write
        self.later = later
        self.message_s = message_s
        self.boot_s = 0.2
        self.ack_s = 15.0
        self.faults = Faults()
        self.profile = Profile()
        self.sim = Sim(pin=pin, is_open=not pin)
        self.registration = HOME
        self.signal = 21
        self.is_radio_on = True
        self.reports = Reports()
        self.reports_for: dict[str, Reports] = {}
        self.memories = {"SM": Memory(30), "ME": Memory(100)}
        self.chosen = ["SM", "SM", "SM"]
        self.sent: list[Sent] = []
        self.arrivals = Arrivals(self)
        self.on_sent: Callable[[Sent], None] = lambda _: None
        self.commands: list[str] = []
        """Every command line that came, for tests to look at."""
        self.resets = 0
        self.ussd_style = "plain"
        self.hang_ends: frozenset[str] = frozenset()
        """Not empty while nothing answers: ``reset`` and ``reopen`` say what ends it."""
        self._line = bytearray()
        self._pdu: bytearray | None = None
        self._pdu_length = 0
        self._is_busy = False
        self._is_executing = False
        self._is_down = False
        self._input: deque[int] = deque()
        self._unasked: deque[bytes] = deque()
        self._reference = 0

    # ---------------------------------------------------------------------------- from the computer

    def feed(self, data: bytes) -> None:
        if self.hang_ends or self._is_down:
            self._feed_deaf(data)
            return
        self._input.extend(data)
        self._work()

    def reopened(self) -> None:
        """The computer closed the line and opened it again."""
        self._line.clear()
        self._pdu = None
        if "reopen" in self.hang_ends:
            self.hang_ends = frozenset()

    def _feed_deaf(self, data: bytes) -> None:
        self._line += data
        if "reset" in self.hang_ends and b"AT+CFUN=1,1\r" in self._line.upper():
            self._line.clear()
            self.reset()
        del self._line[:-64]

    def _work(self) -> None:
        """Until the input is used up or a text is on its way: what comes meanwhile waits."""
        while self._input and not self._is_busy and not self._is_down and not self.hang_ends:
            octet = self._input.popleft()
            if self._pdu is None:
                self._typed(octet)
            else:
                self._typed_pdu(octet)
        self._flush()

    def _typed(self, octet: int) -> None:
        if self.profile.has_echo:
            self._write(bytes([octet]))
        if octet == CR:
            line = self._line.decode("ascii", "replace").strip()
            self._line.clear()
            if line:
                self._execute(line)
        elif octet == BACKSPACE:
            del self._line[-1:]
        elif octet >= 0x20:
            self._line.append(octet)

    def _typed_pdu(self, octet: int) -> None:
        assert self._pdu is not None
        if self.profile.has_echo and octet >= 0x20:
            self._write(bytes([octet]))
        if octet == CTRL_Z:
            typed = self._pdu.decode("ascii", "replace")
            self._pdu = None
            self._submit(typed)
        elif octet == ESC:
            self._pdu = None
            self.answer([])
        elif octet > 0x20:
            self._pdu.append(octet)

    def _execute(self, line: str) -> None:
        self.commands.append(line)
        if not line.upper().startswith("AT"):
            return
        self._is_executing = True
        self._answer_all(line[2:])
        self._is_executing = False

    def _answer_all(self, text: str) -> None:
        lines: list[str] = []
        try:
            for command in commands(text):
                answer = dialect.answer(self, command)
                if answer is None:  # a prompt, or a reset that answered by itself
                    return
                lines += answer
        except AtError as error:
            self._send_lines([*lines, error.shown(self.profile.error_style)])
            return
        self.answer(lines)

    # ------------------------------------------------------------------------------ to the computer

    def answer(self, lines: Sequence[str], final: str = "OK") -> None:
        if lines and self.faults.inside_replies:
            self._send_lines(lines[:1])
            self._send_lines([self.faults.inside_replies.popleft()])
            self._send_lines([*lines[1:], final])
        else:
            self._send_lines([*lines, final])

    def _send_lines(self, lines: Sequence[str]) -> None:
        if not self.hang_ends:
            self._write("".join([f"\r\n{line}\r\n" for line in lines]).encode("latin-1", "replace"))

    def unasked(self, *lines: str) -> None:
        """As an unsolicited result code: at once, or when the line is free again."""
        self._unasked.append(("\r\n" + "\r\n".join(lines) + "\r\n").encode("latin-1", "replace"))
        self._flush()

    def noise(self, data: bytes) -> None:
        """Whatever it is, now."""
        self._write(data)

    def _flush(self) -> None:
        if self._is_taken or self.hang_ends or self._is_down:
            return
        while self._unasked:
            self._write(self._unasked.popleft())

    @property
    def _is_taken(self) -> bool:
        """Whether a command or a text is on the line."""
        return self._is_busy or self._is_executing or self._pdu is not None or bool(self._line)

    # -------------------------------------------------------------------------------- sending texts

    def prompt(self, length: int) -> None:
        """``AT+CMGS=<length>``."""
        if self.faults.no_prompts:
            self.faults.no_prompts -= 1
            return
        self._pdu, self._pdu_length = bytearray(), length
        self._write(b"\r\n> ")

    def _submit(self, typed: str) -> None:
        self._is_busy = True
        resets = self.resets
        self.later(self.message_s, lambda: self._submitted(typed, resets))

    def _submitted(self, typed: str, resets: int) -> None:
        """The network has taken the text, or has not."""
        if resets != self.resets:
            return  # the modem was reset meanwhile: it never went out
        try:
            submit = self._checked(typed)
        except CmsError as error:
            self._finish([], error.shown(self.profile.error_style))
            return
        self._reference = (self._reference + 1) % 256
        sent = Sent(datetime.now(UTC), self._reference, typed, submit)
        self.sent.append(sent)
        self.on_sent(sent)
        if submit.wants_report:
            self.report(sent, self.reports_for.get(submit.recipient, self.reports))
        self._confirm([f"+CMGS: {sent.reference}"])

    def _checked(self, typed: str) -> Submit:
        self.check_network()
        if self.faults.send_errors:
            raise CmsError(self.faults.send_errors.popleft())
        try:
            parsed = pdu.parse(typed)
        except PduError:
            raise CmsError(INVALID_PDU) from None
        if not isinstance(parsed, Submit) or len(typed) // 2 - 1 - int(typed[:2], 16) != self._pdu_length:
            raise CmsError(INVALID_PDU)
        return parsed

    def check_network(self) -> None:
        """Raises :class:`CmsError` when no text can go out."""
        self.check_sim()
        if not self.is_on_network:
            raise CmsError(NO_NETWORK)

    def check_sim(self) -> None:
        if not self.sim.is_open:
            raise CmsError(SIM_PIN if self.sim.attempts else SIM_PUK)

    @property
    def can_receive(self) -> bool:
        return self.is_on_network and not self._is_down

    @property
    def is_on_network(self) -> bool:
        return self.shown_registration in (HOME, ROAMING) and self.signal not in (0, 99)

    @property
    def shown_registration(self) -> int:
        return self.registration if self.is_radio_on and self.sim.is_open else 0

    def _confirm(self, lines: list[str]) -> None:
        faults = self.faults
        if faults.lost_oks:
            faults.lost_oks -= 1
            self._free()
        elif faults.late_oks:
            faults.late_oks -= 1
            self.later(faults.late_ok_s, lambda: self._finish(lines, "OK"))
        else:
            self._finish(lines, "OK")

    def _finish(self, lines: list[str], final: str) -> None:
        if not self._is_down:
            self._send_lines([*lines, final])
        self._free()

    def _free(self) -> None:
        self._is_busy = False
        self._work()

    def report(self, sent: Sent, plan: Reports) -> None:
        """The network's word, or words, on a text."""
        recipient = sent.submit.recipient
        if plan.is_national:
            recipient = recipient.removeprefix("+56")
        for index, status in enumerate(plan.statuses, 1):
            self.later(plan.delay_s * index, partial(self._report, sent, recipient, status, plan.centre))

    def _report(self, sent: Sent, recipient: str, status: int, centre: str | None) -> None:
        hexed, length = pdu.status_report(
            sent.reference,
            recipient,
            sent_at=sent.at.astimezone(),
            done_at=datetime.now(UTC),
            status=status,
            centre=self.sim.centre if centre is None else centre,
        )
        self.arrivals.arrive("report", hexed, length)

    # --------------------------------------------------------------------------------- the machine

    def set_registration(self, stat: int) -> None:
        """0 none, 1 home, 2 searching, 3 denied, 5 roaming; noted to the computer if it asked for it."""
        self.registration = stat
        self.registration_changed()

    def registration_changed(self) -> None:
        if self.profile.registration_notes:
            self.unasked(f"+CREG: {self.shown_registration}")
        self.arrivals.take_waiting()

    def unlock(self) -> None:
        self.sim.is_open, self.sim.attempts = True, 3
        self.registration_changed()

    def hang(self, *ends: str) -> None:
        """Nothing answers from now on; ``reset`` (``AT+CFUN=1,1``) or ``reopen`` ends it."""
        self.hang_ends = frozenset(ends or ("reset", "reopen"))

    def reset(self) -> None:
        """As ``AT+CFUN=1,1`` or a power cut: away for a moment, then the banner, and all set back."""
        self.resets += 1
        self.hang_ends = frozenset()
        self._is_down, self._is_busy, self._pdu = True, False, None
        self._line.clear()
        self._input.clear()
        self._unasked.clear()
        self.profile = Profile()
        self.arrivals.reset()
        self.is_radio_on = True
        self.sim.is_open = not self.sim.pin
        self.later(self.boot_s, self._boot)

    def _boot(self) -> None:
        self._is_down = False
        self._line.clear()
        self.banner()
        self.arrivals.take_waiting()

    def banner(self, lines: Sequence[str] | None = None) -> None:
        """What modems say at their start; also in the middle of work, when the power failed."""
        shown = BANNER if lines is None else lines
        if lines is None and not self.sim.is_open:
            shown = ("RDY", "+CFUN: 1", "+CPIN: SIM PIN")
        self._write("".join([f"\r\n{line}\r\n" for line in shown]).encode())
