"""Who opens and closes a device file: Linux's inotify, which the standard library does not have."""

import ctypes
import os
import struct

OPENED, CLOSED = 0x20, 0x08 | 0x10
_NONBLOCK = os.O_NONBLOCK
_EVENT = struct.Struct("iIII")
_libc = ctypes.CDLL(None, use_errno=True)


class Watch:
    """Readable when something happened to ``path``."""

    def __init__(self, path: str) -> None:
        self._fd: int = _libc.inotify_init1(_NONBLOCK)
        if self._fd < 0 or _libc.inotify_add_watch(self._fd, path.encode(), OPENED | CLOSED) < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), path)

    def fileno(self) -> int:
        return self._fd

    def read(self) -> list[int]:
        """The masks of what happened, in order."""
        try:
            data = os.read(self._fd, 4096)
        except BlockingIOError:
            return []
        masks, at = [], 0
        while at < len(data):
            _, mask, _, name_length = _EVENT.unpack_from(data, at)
            masks.append(mask)
            at += _EVENT.size + name_length
        return masks

    def close(self) -> None:
        os.close(self._fd)
