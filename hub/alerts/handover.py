"""The hand-over of a shift: what is open, what changed, what ends soon, what is out; signed off and on."""

import hashlib
import json
import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from hub.alerts.feedback import ANSWERED_KINDS
from hub.alerts.lifecycle import AlertError
from hub.alerts.model import COLUMNS, Alert
from hub.alerts.silences import Silence, about_to_end
from hub.alerts.visibility import visible_to
from hub.database import Pool

PAGE = 200
OVERDUE_AFTER = timedelta(hours=24)
"""Who pressed has to hear of an outcome within this."""
SILENCE_HORIZON = timedelta(hours=12)


class HandoverError(AlertError):
    """A signature that cannot be; the message is Spanish."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """What the shift did with one alert: how it stood at the end, and its moves by people, oldest first."""

    alert_id: uuid.UUID
    code: str
    kind: str
    priority: int
    state: str
    place: str
    is_reserved: bool
    was_opened: bool
    was_closed: bool
    moves: tuple[str, ...]
    authors: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class DeviceOut:
    device_id: int
    name: str
    kind: str
    gateway: str
    place: str
    last_seen_at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Pending:
    """An open alert that asked ``asked`` people and heard from ``answered`` of them."""

    alert_id: uuid.UUID
    code: str
    priority: int
    opened_at: datetime
    asked: int
    answered: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Handover:
    """A shift from ``since`` to ``at``. Lists hold at most :data:`PAGE` rows; the counts are complete."""

    since: datetime
    at: datetime
    open: Sequence[Alert]
    open_count: int
    changes: Sequence[Change]
    change_count: int
    silences_ending: Sequence[Silence]
    devices_out: Sequence[DeviceOut]
    devices_out_count: int
    pending: Sequence[Pending]
    overdue: Sequence[Alert]

    def digest(self) -> str:
        """SHA-256 of everything that is shown: what a signature stands for."""
        text = json.dumps(asdict(self), default=str, sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()


async def handover(pool: Pool, since: datetime, now: datetime, role: str | None = None) -> Handover:
    """Everything that the next shift has to know, as ``role`` may see it."""
    seen = visible_to(role)
    alerts = await pool.fetch(
        f"select {COLUMNS}, count(*) over () as n from alerts"  # noqa: S608  constants of ours
        f" where closed_at is null and parent_id is null and {seen}"
        f" order by priority, opened_at limit {PAGE}",
    )
    changes = await pool.fetch(_CHANGES.format(seen=seen), since, now, PAGE)
    devices = await pool.fetch(_DEVICES_OUT, now, PAGE)
    return Handover(
        since=since,
        at=now,
        open=[Alert.from_row(row) for row in alerts],
        open_count=alerts[0]["n"] if alerts else 0,
        changes=[_change(row) for row in changes],
        change_count=changes[0]["n"] if changes else 0,
        silences_ending=await about_to_end(pool, now, SILENCE_HORIZON),
        devices_out=[_without_count(DeviceOut, row) for row in devices],
        devices_out_count=devices[0]["n"] if devices else 0,
        pending=[Pending(**dict(row)) for row in await pool.fetch(_PENDING.format(seen=seen), PAGE)],
        overdue=await _overdue(pool, now, seen),
    )


_CHANGES = """
select a.alert_id, a.code, a.kind, a.priority, a.state, a.place, a.is_reserved,
  a.opened_at >= $1 as was_opened, coalesce(a.closed_at >= $1, false) as was_closed,
  array_agg(l.move order by l.log_id) filter (where l.author not like 'hub:%') as moves,
  array_agg(distinct l.author) filter (where l.author not like 'hub:%') as authors,
  count(*) over () as n
from (select * from alert_log where at >= $1 and at < $2) l join alerts a using (alert_id)
where {seen} and (l.author not like 'hub:%' or l.move in ('opened', 'close'))
  and (a.parent_id is null or l.author not like 'hub:%')
group by a.alert_id
order by a.priority, a.opened_at limit $3
"""
_DEVICES_OUT = """
select d.device_id, d.kind,
  case when d.kind in ('duress_button', 'vif_button') then 'Botón silencioso ' || d.device_id else d.name
    end as name, d.gateway,
  case when d.kind in ('duress_button', 'vif_button') then '' else d.place end as place,
  s.last_seen_at, count(*) over () as n
from device_state s join devices d using (device_id)
where s.last_seen_at <= $1::timestamptz - make_interval(secs => d.silent_after_s)
order by s.last_seen_at limit $2
"""
_PENDING = """
select a.alert_id, a.code, a.priority, a.opened_at, asked.n::integer as asked,
  (select count(*) from confirmations c where c.alert_id = a.alert_id)::integer as answered
from alerts a
cross join lateral (
  select count(distinct contact_id) as n from notifications n
  where n.alert_id = a.alert_id and n.contact_id is not null and n.state = 'sent'
) asked
where a.closed_at is null and a.parent_id is null and a.priority <= 2 and {seen} and asked.n > 0
  and (select count(*) from confirmations c where c.alert_id = a.alert_id) < asked.n
order by a.priority, a.opened_at limit $1
"""


async def _overdue(pool: Pool, now: datetime, seen: str) -> list[Alert]:
    rows = await pool.fetch(
        f"select {COLUMNS} from alerts where closed_at is null and parent_id is null and {seen}"  # noqa: S608
        " and kind = any($1) and opened_at <= $2 order by opened_at limit $3",
        sorted(ANSWERED_KINDS),
        now - OVERDUE_AFTER,
        PAGE,
    )
    return [Alert.from_row(row) for row in rows]


def _change(row: Any) -> Change:
    values = {name: row[name] for name in Change.__slots__}
    return Change(**(values | {"moves": tuple(row["moves"] or ()), "authors": tuple(row["authors"] or ())}))


def _without_count(kind: type[DeviceOut], row: Any) -> DeviceOut:
    return kind(**{name: row[name] for name in kind.__slots__})


# ------------------------------------------------------------------------------------ signatures


@dataclass(frozen=True, kw_only=True, slots=True)
class Signature:
    """``role``: ``off`` gives the shift away, ``on`` takes it. ``digest`` is what was on the page."""

    signature_id: int
    login: str
    role: str
    since: datetime
    at: datetime
    digest: str
    note: str


async def sign(
    pool: Pool,
    *,
    login: str,
    role: Literal["off", "on"],
    since: datetime,
    digest: str,
    now: datetime,
    note: str = "",
) -> Signature:
    """Sign a shift off or on; once for each person and side. Raises :class:`HandoverError`."""
    if role == "on" and await pool.fetchval(
        "select exists (select from shift_signatures where since = $1 and role = 'off' and login = $2)",
        since,
        login,
    ):
        raise HandoverError("Quien entrega el turno no puede recibirlo.")
    row = await pool.fetchrow(
        "insert into shift_signatures (login, role, since, at, digest, note) values ($1, $2, $3, $4, $5, $6)"
        " on conflict do nothing returning *",
        login,
        role,
        since,
        now,
        digest,
        note.replace("\x00", "").strip()[:2000],
    )
    if row is None:
        raise HandoverError("Usted ya firmó este turno.")
    return Signature(**dict(row))


async def signatures(pool: Pool, *, limit: int = 20) -> list[Signature]:
    """The newest signatures: the last ``off`` is where the next shift's page begins."""
    rows = await pool.fetch(
        "select * from shift_signatures order by at desc, signature_id desc limit $1",
        min(max(limit, 1), 500),
    )
    return [Signature(**dict(row)) for row in rows]
