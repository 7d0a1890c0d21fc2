"""The outbox's file on its disk: opening it, and living on when there is no room left."""

import logging
import os
import shutil
import sqlite3
import time
from contextlib import suppress
from pathlib import Path

from edge.rows import PAGE_BYTES, OutboxError

log = logging.getLogger(__name__)

BALLAST_BYTES = 1024 * 1024
"""Room kept for the day the disk is full: SQLite needs free space even to delete."""
_BALLAST_RETRY_S = 10.0
_DISTRESS_PAGES = 64
"""How far alarms may still grow the file on a full disk; the rest of the ballast stays for the log."""
_SCHEMA_VERSION = 1
_SCHEMA = """
create table rows (
  row_id integer primary key autoincrement,  -- order of acceptance; never given twice
  lane integer not null,
  message_id text not null unique,
  source text not null,
  size integer not null,
  payload blob not null,
  crc integer not null,                      -- SQLite has no checksums of its own
  measurements integer not null,
  boot_id text not null,
  boottime_ms integer not null,
  wall_ms integer not null,
  clock text not null
);
create index rows_lane on rows (lane);
create table counters (name text, lane integer, n integer not null, primary key (name, lane));
create table sequences (source text primary key, n integer not null);
create table epochs (one integer primary key check (one = 1), reserved integer not null);
create table refused (
  row_id integer primary key, message_id text, reason text, payload blob, wall_ms integer
);
create table commands (command_id text primary key, result blob, wall_ms integer not null);
"""


class Disk:
    """One open database file beside its ballast. ``limit_bytes`` is what its rows may take.

    Raises :class:`OutboxError` when the file is from a newer version, and sqlite3's errors.
    """

    def __init__(self, path: Path, limit_bytes: int) -> None:
        self._path = path
        self._limit_bytes = limit_bytes
        self._ballast = path.with_name(path.name + ".ballast")
        self._ballast_tried_at = float("-inf")
        self._in_distress = False
        self._distress_pages = 0
        self.db = sqlite3.connect(path, isolation_level=None, timeout=5.0)
        try:
            self._prepare()
        except BaseException:
            self.db.close()
            raise
        self.restore_ballast()
        if not self._ballast.exists() and not self._has_room():
            self._enter_distress()  # started again on a full disk, the ballast spent before

    def _prepare(self) -> None:
        self.db.execute("pragma journal_mode = wal")
        self.db.execute("pragma synchronous = normal")
        self.db.execute("pragma journal_size_limit = 1048576")
        check = self.db.execute("pragma quick_check(1)").fetchone()[0]
        if check != "ok":
            raise _torn_error(check)
        version = self.db.execute("pragma user_version").fetchone()[0]
        if version > _SCHEMA_VERSION:
            raise OutboxError(f"{self._path} was written by a newer version ({version}); install that one")
        if version == 0:
            self.db.executescript(f"begin; {_SCHEMA} pragma user_version = {_SCHEMA_VERSION}; commit;")
        self._set_bounds()

    def _set_bounds(self) -> None:
        # A short log: on a full disk the log is where the room runs out first.
        self.db.execute("pragma wal_autocheckpoint = 200")
        # Refused rows, commands and slack come on top of what the limit counts.
        pages = self._limit_bytes * 5 // 4 // PAGE_BYTES + 1024
        self.db.execute(f"pragma max_page_count = {pages}")

    def restore_ballast(self) -> None:
        """Make the ballast file again, if it is missing and the disk has room for more than it."""
        if self._ballast.exists() or time.monotonic() - self._ballast_tried_at < _BALLAST_RETRY_S:
            return
        self._ballast_tried_at = time.monotonic()
        try:
            if not self._has_room():
                return
            with self._ballast.open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, BALLAST_BYTES)
            self._leave_distress()
        except OSError as error:
            log.warning("no ballast file beside the outbox (%s)", error)
            self._ballast.unlink(missing_ok=True)

    def _has_room(self) -> bool:
        return shutil.disk_usage(self._path.parent).free > 2 * BALLAST_BYTES

    def drop_ballast(self) -> bool:
        """Turn the ballast into room, or find that the disk has room again; False when neither helps."""
        if self._ballast.exists():
            log.error("no room for the outbox; it uses its ballast and gives up what is least urgent")
            self._ballast.unlink()
            self._enter_distress()
            return True
        if self._in_distress and self._has_room():
            self._leave_distress()
            return True
        return False

    def _enter_distress(self) -> None:
        """From here on the file may not grow: the ballast's room is for the log, which every change needs."""
        self.checkpoint()
        self._in_distress = True
        spare_bytes = shutil.disk_usage(self._path.parent).free - BALLAST_BYTES
        pages = self.db.execute("pragma page_count").fetchone()[0] + max(0, spare_bytes // PAGE_BYTES)
        self._distress_pages = pages + _DISTRESS_PAGES
        self.db.execute(f"pragma max_page_count = {pages}")
        self.db.execute("pragma wal_autocheckpoint = 50")

    def let_alarms_grow(self) -> bool:
        """Give alarms the last pages; False when they have them already."""
        if not self._in_distress or self._distress_pages == 0:
            return False
        self.db.execute(f"pragma max_page_count = {self._distress_pages}")
        self._distress_pages = 0
        return True

    def _leave_distress(self) -> None:
        self._in_distress = False
        self._set_bounds()

    def checkpoint(self) -> None:
        with suppress(sqlite3.Error):  # it is retried by the next commit
            self.db.execute("pragma wal_checkpoint(truncate)")


def _torn_error(check: str) -> sqlite3.DatabaseError:
    error = sqlite3.DatabaseError(check)
    error.sqlite_errorname = "SQLITE_CORRUPT"
    return error
