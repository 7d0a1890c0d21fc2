"""Confirmed lines on our disk until the server has them: append-only files, read in order, bounded.

Layout of the folder::

    00000001.lines   records: length, CRC-32 and count of lines (little endian, 12 octets), then the batch
    cursor           file and offset up to which the server has everything
    rejected.lines   lines that the server refuses, with its reason, for people; bounded too

A batch starts with a comment line that lists its slots. A crash may tear the last record of a file: it was
never confirmed, and every start begins a new file.
"""

import logging
import os
import struct
import threading
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

from hub.telemetry.influx.lines import Batch

log = logging.getLogger(__name__)

_HEADER = struct.Struct("<III")
FILE_BYTES = 8 * 1024 * 1024
REJECTED_BYTES = 1024 * 1024
_SUFFIX = ".lines"


@dataclass(frozen=True, order=True)
class Position:
    """A place in the spool: number of the file, offset in it."""

    file: int
    offset: int


@dataclass(frozen=True)
class Record:
    """A batch, and where the next one begins."""

    batch: Batch
    after: Position


class Spool:
    """One writer, one reader; their calls may come from different threads. Raises :class:`OSError`.

    ``on_dropped`` hears how many lines had to go for want of room.
    """

    def __init__(self, folder: Path, limit_bytes: int, on_dropped: Callable[[int], None]) -> None:
        self.folder = folder
        self._on_dropped = on_dropped
        self._limit = limit_bytes
        self._file_bytes = min(FILE_BYTES, limit_bytes // 4)
        self._lock = threading.Lock()
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._sizes = {number: self._path(number).stat().st_size for number in self._numbers()}
        self._read = self._kept_position()
        self._remove_before(self._read.file)
        self._output = self._begin(max([*self._sizes, self._read.file]) + 1)
        self.waiting_bytes = self._waiting()
        """What the server lacks. Read without the lock: an event loop must not wait for a disk."""

    def close(self) -> None:
        self._output.close()

    # ------------------------------------------------------------------------------------- writer

    def append(self, batch: Batch) -> None:
        """Keep a batch; it is on the disk (fsync) when this returns."""
        slots = b"#" + b" ".join(b"%d" % slot for slot in batch.slots) + b"\n"
        body = slots + batch.lines
        record = _HEADER.pack(len(body), zlib.crc32(body), batch.count) + body
        with self._lock:
            self._make_room(len(record))
            self._write(record)
            self.waiting_bytes = self._waiting()
            handle = self._output.fileno()
        # Outside of the lock: whoever reads must not wait for a slow disk.
        os.fdatasync(handle)

    def _write(self, record: bytes) -> None:
        """All of the record or nothing of it: what follows a torn one would never be read."""
        start = self._sizes[self._last]
        view = memoryview(record)
        try:
            while view:
                view = view[self._output.write(view) :]
        except OSError:
            self._output.truncate(start)
            self._output.seek(start)
            raise
        self._sizes[self._last] = start + len(record)

    def _make_room(self, length: int) -> None:
        if self._sizes[self._last] and self._sizes[self._last] + length > self._file_bytes:
            self._output.close()
            self._output = self._begin(self._last + 1)
        while self._total() + length > self._limit and len(self._sizes) > 1:
            self._drop_oldest()

    def _drop_oldest(self) -> None:
        """The reader goes on in the next file."""
        oldest = min(self._sizes)
        unsent = self._read.offset if oldest == self._read.file else 0
        lost = sum(record.batch.count for record in self._records(oldest, unsent))
        self._remove_before(oldest + 1)
        self._read = max(self._read, Position(min(self._sizes), 0))
        if lost:
            self._on_dropped(lost)
            log.error("telemetry spool full (%d bytes): its oldest %d readings are gone", self._limit, lost)

    # ------------------------------------------------------------------------------------- reader

    def peek(self, limit_bytes: int, after: Position = Position(0, 0)) -> list[Record]:
        """The oldest batches that the server lacks, in order, together up to ``limit_bytes``, or one.

        Those before ``after`` are on their way already.
        """
        found: list[Record] = []
        size = 0
        with self._lock:
            start = max(self._read, after)
            for number in sorted(n for n in self._sizes if n >= start.file):
                for record in self._records(number, start.offset if number == start.file else 0):
                    size += len(record.batch.lines)
                    if found and size > limit_bytes:
                        return found
                    found.append(record)
        return found

    def advance(self, position: Position) -> None:
        """The server has everything before ``position``."""
        with self._lock:
            if position <= self._read:
                return  # the file was dropped for want of room meanwhile
            self._read = position
            part = self.folder / "cursor.tmp"
            # Not synchronised: an older cursor, after a crash, sends again what the server has. No harm.
            part.write_text(f"{position.file} {position.offset}\n")
            part.replace(self.folder / "cursor")
            self._remove_before(position.file)
            self.waiting_bytes = self._waiting()

    def reject(self, line: bytes, reason: str) -> None:
        """Set aside a line that no server will take, for a person to look at."""
        path = self.folder / "rejected.lines"
        if not path.exists() or path.stat().st_size < REJECTED_BYTES:
            with path.open("ab") as output:
                output.write(b"# " + reason.replace("\n", " ").encode() + b"\n" + line + b"\n")

    # -------------------------------------------------------------------------------------- files

    @property
    def _last(self) -> int:
        return max(self._sizes)

    def _total(self) -> int:
        return sum(self._sizes.values())

    def _waiting(self) -> int:
        return self._total() - min(self._read.offset, self._sizes.get(self._read.file, 0))

    def _path(self, number: int) -> Path:
        return self.folder / f"{number:08d}{_SUFFIX}"

    def _numbers(self) -> list[int]:
        return [int(p.stem) for p in self.folder.glob(f"*{_SUFFIX}") if p.stem.isdigit()]

    def _kept_position(self) -> Position:
        try:
            file, offset = map(int, (self.folder / "cursor").read_text().split())
        except (FileNotFoundError, ValueError):  # the first start, or torn by a crash: all is sent again
            return Position(min(self._sizes, default=0), 0)
        return Position(file, offset)

    def _begin(self, number: int) -> FileIO:
        self._sizes[number] = 0
        output = self._path(number).open("xb", buffering=0)
        folder = os.open(self.folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        return output

    def _remove_before(self, number: int) -> None:
        for old in [n for n in self._sizes if n < number]:
            self._path(old).unlink()
            del self._sizes[old]

    def _records(self, number: int, offset: int) -> Iterator[Record]:
        """Records of one file from ``offset`` on, until its end or a torn one."""
        with self._path(number).open("rb") as file:
            file.seek(offset)
            while len(header := file.read(_HEADER.size)) == _HEADER.size:
                length, checksum, count = _HEADER.unpack(header)
                body = file.read(length)
                if len(body) != length or zlib.crc32(body) != checksum:
                    log.warning("%s: a torn record ends it at %d", file.name, offset)
                    return
                offset += _HEADER.size + length
                slots, _, text = body.partition(b"\n")
                batch = Batch(text, count, tuple(map(int, slots[1:].split())))
                yield Record(batch, Position(number, offset))
