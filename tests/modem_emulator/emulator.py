"""The emulator as tests hold it: the modem on its line, and what the network saw."""

import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from hub.notify.transports.modem.pdu import whole
from modem_emulator.control import Control
from modem_emulator.faults import DELIVERED, Faults, Reports
from modem_emulator.line import Line
from modem_emulator.modem import Modem
from modem_emulator.state import Sent


class Emulator:
    """A GSM modem on a pseudo-terminal at ``link``; a context manager.

    ``control``: a Unix socket that takes the same orders from another process. ``log``: a file that gets
    every text that went out, a line of JSON each. Faults are set on :attr:`faults` and :attr:`modem`.
    """

    def __init__(
        self,
        link: Path,
        *,
        message_s: float = 0.0,
        pin: str = "",
        control: Path | None = None,
        log: Path | None = None,
    ) -> None:
        self.line = Line(link, self._feed, self._reopened)
        self.modem = Modem(self.line.write, self.line.later, message_s=message_s, pin=pin)
        self.modem.on_sent = self._sent
        self._log = log
        self._news = threading.Condition()
        self._control = Control(self, control) if control else None

    # the line is made before the modem that it feeds
    def _feed(self, data: bytes) -> None:
        self.modem.feed(data)

    def _reopened(self) -> None:
        self.modem.reopened()

    def start(self) -> None:
        self.line.start()
        if self._control:
            self._control.start()

    def stop(self) -> None:
        if self._control:
            self._control.stop()
        self.line.stop()

    def __enter__(self) -> "Emulator":
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    # ------------------------------------------------------------------------------- what went out

    @property
    def port(self) -> str:
        """The path that a driver opens."""
        return str(self.line.link)

    @property
    def faults(self) -> Faults:
        return self.modem.faults

    @property
    def sent(self) -> list[Sent]:
        """Every part that went out, in order."""
        return list(self.modem.sent)

    def texts(self) -> list[tuple[str, str]]:
        """(recipient, text) of every message of which all parts went out, by the order of its last part."""
        open_parts: dict[tuple[str, int, int], dict[int, Sent]] = {}
        done: list[tuple[str, str]] = []
        for sent in self.sent:
            submit, concat = sent.submit, sent.submit.concat
            if concat is None:
                done.append((submit.recipient, submit.text))
                continue
            key = (submit.recipient, concat.reference, concat.total)
            parts = open_parts.setdefault(key, {})
            parts[concat.number] = sent
            if len(parts) == concat.total:
                joined = "".join([parts[number].submit.text for number in sorted(parts)])
                done.append((submit.recipient, whole(joined, submit.coding)))
                del open_parts[key]
        return done

    def wait_sent(self, count: int, limit_s: float = 20.0) -> list[Sent]:
        """Blocks until ``count`` parts went out."""
        deadline = time.monotonic() + limit_s
        with self._news:
            while len(self.modem.sent) < count:
                if not self._news.wait(deadline - time.monotonic()):
                    raise AssertionError(f"{len(self.modem.sent)} of {count} parts went out in {limit_s} s")
        return self.sent

    def _sent(self, sent: Sent) -> None:
        if self._log:
            with self._log.open("a", encoding="utf-8") as log:
                log.write(sent.line() + "\n")
        with self._news:
            self._news.notify_all()

    # ---------------------------------------------------------------------- what the network does

    def receive(
        self, sender: str, text: str, *, order: Sequence[int] | None = None, reference: int | None = None
    ) -> None:
        """A text comes in; ``order`` shuffles, repeats or leaves out its parts: (2, 1), (1, 1, 2), (1, 3)."""
        self.line.call(lambda: self.modem.arrivals.receive(sender, text, order=order, reference=reference))

    def receive_pdu(self, pdu: str) -> None:
        self.line.call(lambda: self.modem.arrivals.receive_pdu(pdu))

    def set_reports(self, reports: Reports, recipient: str = "") -> None:
        """For one recipient, or for all that have no reports of their own."""
        if recipient:
            self.modem.reports_for[recipient] = reports
        else:
            self.modem.reports = reports

    def report(self, sent: Sent, reports: Reports = DELIVERED) -> None:
        """On a text that went out, whatever was planned for it."""
        self.line.call(lambda: self.modem.report(sent, reports))

    def set_registration(self, stat: int) -> None:
        self.line.call(lambda: self.modem.set_registration(stat))

    def set_signal(self, rssi: int) -> None:
        """0-31, 99 unknown; with 0 and 99 nothing goes out."""
        self.modem.signal = rssi
        self.line.call(self.modem.arrivals.take_waiting)

    def set_capacity(self, slots: int) -> None:
        """Of every memory; fewer than are filled means full."""
        for memory in self.modem.memories.values():
            memory.capacity = slots
        self.line.call(self.modem.arrivals.take_waiting)

    # ---------------------------------------------------------------------- what befalls the modem

    def unplug(self) -> None:
        self.line.call(self.line.unplug)

    def plug(self) -> None:
        """Back again, on another pseudo-terminal behind the same link, freshly started."""
        self.line.call(self._plug)

    def _plug(self) -> None:
        self.line.plug()
        self.modem.reset()

    def hang(self, *ends: str) -> None:
        """Nothing answers until ``reset`` or ``reopen``; ``never`` takes neither."""
        self.line.call(lambda: self.modem.hang(*ends))

    def reset(self) -> None:
        """A power cut."""
        self.line.call(self.modem.reset)

    def unasked(self, *lines: str) -> None:
        self.line.call(lambda: self.modem.unasked(*lines))

    def noise(self, data: bytes = b"\xff\x00\xfe~\x80\r\n\xc3(") -> None:
        """Bytes that are no answer to anything, at once."""
        self.line.call(lambda: self.modem.noise(data))

    def banner(self, lines: Sequence[str] | None = None) -> None:
        self.line.call(lambda: self.modem.banner(lines))
