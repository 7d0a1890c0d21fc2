"""A torn write-ahead log. SQLite stops at the first frame whose checksum fails and says nothing: every commit
behind it would be gone in silence. Such frames are taken out here, before SQLite opens the file.

Format: sqlite.org/fileformat2.html, section 4.
"""

import os
import struct
from pathlib import Path

_HEADER_BYTES = 32
_FRAME_HEADER_BYTES = 24
# Magic number → byte order of the words that are summed.
_ORDERS = {0x377F0682: "<", 0x377F0683: ">"}


def mend(log: Path) -> int:
    """Take torn frames out of the log, if whole ones stand behind them; returns how many.

    A torn end is not mended: a killed or powered-off writer leaves one, of a commit that never returned.
    """
    content = log.read_bytes() if log.exists() else b""
    mended, torn = without_torn_frames(content)
    if torn:
        part = log.with_name(log.name + ".mended")
        with part.open("wb") as file:
            file.write(mended)
            file.flush()
            os.fsync(file.fileno())
        part.replace(log)
    return torn


def without_torn_frames(content: bytes) -> tuple[bytes, int]:
    """The log up to its last whole frame without the torn ones before it, and how many those were."""
    order = _ORDERS.get(int.from_bytes(content[:4], "big"))
    if order is None or len(content) < _HEADER_BYTES:
        return content, 0
    frame_bytes = _FRAME_HEADER_BYTES + int.from_bytes(content[8:12], "big")
    salts, whole = content[16:24], [content[:_HEADER_BYTES]]
    found = written = struct.unpack(">II", content[24:32])
    torn = torn_before_last = 0
    doubtful: tuple[tuple[int, int], bytes, bytes] | None = None

    def keep(start: bytes, summed: bytes) -> None:
        nonlocal written
        written = _checksum(order, summed, written)
        whole.append(start + struct.pack(">II", *written) + summed[8:])

    for start in range(_HEADER_BYTES, len(content) - frame_bytes + 1, frame_bytes):
        header = content[start : start + _FRAME_HEADER_BYTES]
        if header[8:16] != salts:
            break  # left over from an earlier round of the log
        summed = header[:8] + content[start + _FRAME_HEADER_BYTES : start + frame_bytes]
        stored = struct.unpack(">II", header[16:24])
        its_sum = _checksum(order, summed, found)
        if its_sum != stored and doubtful is not None and _checksum(order, summed, doubtful[0]) == stored:
            keep(*doubtful[1:])  # of the frame before only the sum itself was torn
            its_sum = stored
        if its_sum == stored:
            keep(header[:16], summed)
            torn_before_last = torn
            doubtful = None
        else:
            torn += 1
            doubtful = (its_sum, header[:16], summed)
        found = stored  # each frame's sum goes on from the one before it, as that is written down
    return b"".join(whole), torn_before_last


def _checksum(order: str, data: bytes, start: tuple[int, ...]) -> tuple[int, int]:
    one, two = start
    words = struct.unpack(f"{order}{len(data) // 4}I", data)
    for even, odd in zip(words[::2], words[1::2], strict=True):
        one = (one + even + two) & 0xFFFFFFFF
        two = (two + odd + one) & 0xFFFFFFFF
    return one, two
