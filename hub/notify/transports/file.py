"""Each text as one JSON line in a file: for demonstrations, tests, and rooms without a modem."""

import asyncio
import errno
import os
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec

from hub.notify.transports import Health, Outgoing, TransportError, TransportEvent


class _Line(msgspec.Struct):
    at: str
    to: str
    recipient: str
    text: str
    notification_id: str
    alert: str | None
    code: str


class FileTransport:
    """Appends to ``path`` (mode 0600: it holds phones), which is never rotated.

    The file is opened for each text, so that a file that was moved away or deleted is started anew. A
    missing folder is an error and is not made: it may be a disk that is not mounted. ``is_synced`` waits
    for the disk too; without it a power cut may take the last lines, which the database still has.
    """

    def __init__(self, path: Path, *, is_synced: bool = False) -> None:
        self._path = path
        self._is_synced = is_synced

    async def send(self, message: Outgoing) -> tuple[str, ...]:
        """Write one line; its reference is the notification's id."""
        line = msgspec.json.encode(_line(message)) + b"\n"
        try:
            if self._is_synced:
                # a slow disk must not hold up the loop
                await asyncio.to_thread(self._append, line)
            else:
                self._append(line)
        except OSError as error:
            raise TransportError(_cause(error), permanent=False) from error
        return (str(message.notification_id),)

    def _append(self, line: bytes) -> None:
        descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            _write_whole(descriptor, line)
            if self._is_synced:
                os.fsync(descriptor)
        finally:
            os.close(descriptor)

    async def events(self) -> AsyncIterator[TransportEvent]:
        """A file neither reports nor answers."""
        nothing: tuple[TransportEvent, ...] = ()
        for event in nothing:
            yield event

    async def health(self) -> Health:
        folder = self._path.parent
        if not os.access(folder, os.W_OK | os.X_OK):
            return Health(is_ok=False, detail=f"la carpeta {folder} no existe o no se puede escribir")
        return Health(is_ok=True)

    async def run_loop(self) -> None:
        """The file is opened for each text."""


def _line(message: Outgoing) -> _Line:
    return _Line(
        at=message.at.isoformat(),
        to=message.to,
        recipient=message.recipient,
        text=message.text,
        notification_id=str(message.notification_id),
        alert=None if message.alert_id is None else str(message.alert_id),
        code=message.code,
    )


def _write_whole(descriptor: int, line: bytes) -> None:
    """One write, all or nothing: half a line would spoil the next one as well."""
    written = os.write(descriptor, line)
    if written != len(line):
        os.ftruncate(descriptor, os.fstat(descriptor).st_size - written)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _cause(error: OSError) -> str:
    return f"the file cannot be written: {error.strerror or type(error).__name__}"
