"""Small files of the servers: secrets, settings, logs."""

import os
import secrets
from pathlib import Path
from typing import IO

from hub.servers.account import Account, give

_LOG_KEPT_BYTES = 8 * 1024 * 1024


def write_private(path: Path, content: bytes, account: Account | None = None) -> None:
    """Write a whole file that only its owner may read; a crash leaves the old one or the new one."""
    _write(part := _part(path), content)
    give(part, account)
    part.replace(path)


def kept_secret(path: Path, fresh: bytes) -> bytes:
    """The secret in ``path``; the first caller makes it from ``fresh``. Two processes get the same one."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o711)
        _write(part := _part(path), fresh)
        try:
            # Unlike a rename, a link fails when another process was first.
            path.hardlink_to(part)
        except FileExistsError:
            pass
        finally:
            part.unlink()
    return path.read_bytes()


def _part(path: Path) -> Path:
    return path.with_name(f"{path.name}.{secrets.token_hex(4)}.tmp")


def _write(path: Path, content: bytes) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def open_log(path: Path) -> IO[bytes]:
    """Append to a log file; one that has grown large becomes ``<name>.1`` first."""
    if path.exists() and path.stat().st_size > _LOG_KEPT_BYTES:
        path.replace(path.with_name(path.name + ".1"))
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab")


def said_since(path: Path, offset: int) -> bytes:
    """What a log file gained since it had ``offset`` bytes; all of it when it was begun anew meanwhile."""
    with path.open("rb") as file:
        file.seek(offset if offset <= os.fstat(file.fileno()).st_size else 0)
        return file.read()


def tail(path: Path, limit: int = 600) -> str:
    """The end of a log file in one line, for an error message."""
    text = path.read_bytes()[-limit:].decode("utf-8", "replace") if path.exists() else ""
    return " | ".join(line.strip() for line in text.splitlines() if line.strip())
