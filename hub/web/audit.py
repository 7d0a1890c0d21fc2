"""The audit: reads as well as writes. It holds logins and ids, never phones or contents."""

import enum
from collections import OrderedDict
from datetime import datetime, timedelta

from hub.database import Pool


class Action(enum.StrEnum):
    LOGIN = "login"
    LOGIN_FAILED = "login_failed"
    LOGIN_THROTTLED = "login_throttled"
    LOGOUT = "logout"
    ALERT_READ = "alert_read"
    RESTRICTED_READ = "restricted_read"
    ALERT_MOVED = "alert_moved"
    ALERT_AMENDED = "alert_amended"
    HANDOVER_READ = "handover_read"
    HANDOVER_SIGNED = "handover_signed"
    ROOM_WATCHED = "room_watched"
    TURNS_READ = "turns_read"
    TURNS_IMPORTED = "turns_imported"
    PLAN_READ = "plan_read"
    PLAN_CHANGED = "plan_changed"
    FIGURE_VERIFIED = "figure_verified"
    OPERATION_READ = "operation_read"
    OPERATION_CHANGED = "operation_changed"
    REGISTER_READ = "register_read"
    REGISTER_CHANGED = "register_changed"
    DATASET_READ = "dataset_read"
    PAPER_ASKED = "paper_asked"
    PAPER_READ = "paper_read"
    RULES_REHEARSED = "rules_rehearsed"
    RULES_PROMOTED = "rules_promoted"
    SILENCE_MADE = "silence_made"
    SILENCE_ENDED = "silence_ended"
    PEOPLE_READ = "people_read"
    PHONE_READ = "phone_read"
    TEXTS_READ = "texts_read"
    PERSON_CALLED = "person_called"
    GROUP_CHANGED = "group_changed"
    DRILL_STARTED = "drill_started"
    FIELD_BROUGHT = "field_brought"
    EVIDENCE_READ = "evidence_read"
    PERMIT_READ = "permit_read"
    ROUND_PLANNED = "round_planned"
    ROUND_CANCELLED = "round_cancelled"
    CHECKPOINT_MADE = "checkpoint_made"
    CHECKPOINT_RETIRED = "checkpoint_retired"
    SCREEN_ADDED = "screen_added"
    SCREEN_REVOKED = "screen_revoked"
    CALENDAR_SHARED = "calendar_shared"
    CALENDAR_REVOKED = "calendar_revoked"
    CALENDAR_READ = "calendar_read"
    BULLETIN_SENT = "bulletin_sent"


async def record(
    pool: Pool, at: datetime, login: str, action: Action, object_id: str = "", detail: str = ""
) -> None:
    await pool.execute(
        "insert into audit (at, login, action, object, detail) values ($1, $2, $3, $4, $5)",
        at,
        login,
        action,
        object_id,
        detail,
    )


class RecentReads:
    """Tells a person's first look at an alert from the live refreshes that follow it.

    In memory and bounded; after a restart a reading is merely recorded once more.
    """

    def __init__(self, quiet: timedelta = timedelta(hours=1), max_reads: int = 10_000) -> None:
        self._quiet = quiet
        self._max_reads = max_reads
        self._read_at: OrderedDict[tuple[bytes, str], datetime] = OrderedDict()

    def is_new(self, session_id: bytes, object_id: str, now: datetime) -> bool:
        """Whether this reading needs its own row; remembers it if so."""
        if self.is_recent(session_id, object_id, now):
            return False
        self._read_at[session_id, object_id] = now
        self._read_at.move_to_end((session_id, object_id))
        while len(self._read_at) > self._max_reads:
            self._read_at.popitem(last=False)
        return True

    def is_recent(self, session_id: bytes, object_id: str, now: datetime) -> bool:
        at = self._read_at.get((session_id, object_id))
        return at is not None and now - at < self._quiet
