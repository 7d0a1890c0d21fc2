"""One open serial port and the dialogue on it: a command in, its reply out. Blocking; for one thread."""

import contextlib
import errno
import termios
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import serial

from hub.notify.transports.modem.dialogue import ESCAPE, Dialogue, Event, Notice, Prompt, Reply, Restarted
from hub.notify.transports.modem.errors import (
    NO_ANSWER,
    PORT_BUSY,
    PORT_DENIED,
    PORT_LOST,
    PORT_MISSING,
    PORT_UNREADABLE,
    CommandError,
    LineError,
    NoAnswerError,
    PortError,
    Problem,
    RestartedError,
)
from hub.notify.transports.modem.timing import Timing

BAUD = 115_200
"""USB modems ignore it; the common speed of serial ones."""
GREETINGS = 3
QUIET_S = 0.05
"""A modem that was silent for this long has nothing left to say about earlier commands."""
WRITE_S = 5.0
MAX_NOTICES = 1000


@dataclass(frozen=True, slots=True)
class Submission:
    """How a PDU went: the final reply, or None when none came although the PDU had left.

    ``lost`` is why the link died meanwhile.
    """

    reply: Reply | None
    lost: LineError | None = None


class Link:
    """Opens the port for itself alone. Every method may raise :class:`LineError`; then the link is dead."""

    def __init__(self, port: str, timing: Timing, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._timing = timing
        self._clock = clock
        self._dialogue = Dialogue()
        self._events: deque[Event] = deque()
        self._woken = threading.Event()
        self.notices: deque[Notice] = deque(maxlen=MAX_NOTICES)
        """What the modem said unasked, oldest first; whoever handles one takes it off."""
        self._serial = _open(port)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._serial.close()

    def wake(self) -> None:
        """End a running :meth:`listen`, or the next one; the one method for other threads."""
        self._woken.set()
        with contextlib.suppress(OSError, AttributeError, TypeError):
            self._serial.cancel_read()

    def greet(self) -> None:
        """Find the modem in whatever state it is: leave a prompt, get an OK, let older answers pass."""
        self._write(ESCAPE + b"\r")
        for _ in range(GREETINGS):
            with contextlib.suppress(NoAnswerError, RestartedError):
                if self.ask("AT", timeout_s=self._timing.greeting_s).is_ok:
                    return self._let_pass()
        raise NoAnswerError(NO_ANSWER.cause)

    def _let_pass(self) -> None:
        """An OK that belongs to an older command must not be taken for the answer to the next one."""
        while self._take_in(QUIET_S):
            pass

    def ask(self, command: str, *, expects: str = "", timeout_s: float | None = None) -> Reply:
        """Send a command and wait for its end, good or bad; ``timeout_s`` where it takes long."""
        self._write(self._dialogue.begin(command, expects=expects))
        reply = self._await(Reply, timeout_s or self._timing.command_s)
        if not isinstance(reply, Reply):
            self._dialogue.give_up()
            raise NoAnswerError(f"{_safe(command)}: {NO_ANSWER.cause}")
        return reply

    def order(self, command: str) -> tuple[str, ...]:
        """As :meth:`ask`; returns the information, and raises :class:`CommandError` for an error."""
        reply = self.ask(command)
        if not reply.is_ok:
            raise CommandError(_safe(command), reply.final)
        return reply.lines

    def submit(self, pdu: str, length: int) -> Submission:
        """``AT+CMGS``. Raises :class:`NoAnswerError` when the prompt does not come: then nothing has left."""
        self._write(self._dialogue.begin(f"AT+CMGS={length}", expects="+CMGS", prompts=True))
        answer = self._await((Prompt, Reply), self._timing.prompt_s)
        if isinstance(answer, Reply):
            return Submission(answer)
        if answer is None:
            self._dialogue.give_up()
            self._write(ESCAPE)
            raise NoAnswerError("el módem no pidió el mensaje")
        return self._hand_over(pdu)

    def _hand_over(self, pdu: str) -> Submission:
        try:
            self._write(self._dialogue.body(pdu))
            reply = self._await(Reply, self._timing.submit_s)
        except LineError as error:
            return Submission(None, error)
        if isinstance(reply, Reply):
            return Submission(reply)
        self._dialogue.give_up()
        return Submission(None)

    def listen(self, seconds: float) -> None:
        """Take in what comes until something came, ``seconds`` passed, or :meth:`wake` was called."""
        has_news = bool(self._events)
        while self._events:
            self._sort(self._events.popleft())
        if not has_news and not self._woken.is_set():
            self._take_in(seconds)
        self._woken.clear()

    def pause(self, seconds: float) -> None:
        """Take in what comes for ``seconds``."""
        deadline = self._clock() + seconds
        while (left := deadline - self._clock()) > 0:
            self._take_in(left)

    def _take_in(self, seconds: float) -> bool:
        """Whether anything came."""
        data = self._read(seconds)
        for event in self._dialogue.feed(data):
            self._sort(event)
        return bool(data)

    def _await(self, wanted: type[Event] | tuple[type[Event], ...], timeout_s: float) -> Event | None:
        deadline = self._clock() + timeout_s
        while True:
            while self._events:
                event = self._events.popleft()
                if isinstance(event, wanted):
                    return event
                self._sort(event)
            left = deadline - self._clock()
            if left <= 0:
                return None
            self._events.extend(self._dialogue.feed(self._read(left)))

    def _sort(self, event: Event) -> None:
        if isinstance(event, Notice):
            self.notices.append(event)
        elif isinstance(event, Restarted):
            raise RestartedError(f"el módem partió de nuevo ({event.banner})")

    def _read(self, seconds: float) -> bytes:
        with _port_errors():
            self._serial.timeout = seconds
            data: bytes = self._serial.read(1)
            if data:
                data += self._serial.read(self._serial.in_waiting)
        return data

    def _write(self, data: bytes) -> None:
        with _port_errors():
            self._serial.write(data)


def _open(port: str) -> serial.Serial:
    try:
        return serial.Serial(port, BAUD, write_timeout=WRITE_S, exclusive=True)
    except (OSError, ValueError) as error:
        raise PortError(_problem(port, error)) from error


def _problem(port: str, error: Exception) -> Problem:
    number = getattr(error, "errno", None)
    if number in (errno.ENOENT, errno.ENODEV, errno.ENXIO) or not Path(port).exists():
        return PORT_MISSING
    if number in (errno.EACCES, errno.EPERM):
        return PORT_DENIED
    return PORT_BUSY if number in (errno.EBUSY, errno.EAGAIN) else PORT_UNREADABLE


@contextlib.contextmanager
def _port_errors() -> Iterator[None]:
    """A port that went away shows in many ways: EIO, a closed descriptor, termios errors."""
    try:
        yield
    except serial.SerialTimeoutException as error:
        raise NoAnswerError("el módem no acepta más datos") from error
    except (OSError, TypeError, termios.error) as error:
        raise PortError(PORT_LOST) from error


def _safe(command: str) -> str:
    """The command without what is secret (the PIN) or personal."""
    return command.split("=")[0]
