"""Who hears how an alert goes on: the group ("3 de 6 confirmaron"), who asked for help, and who went."""

import logging
import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from hub.alerts.feedback import outcome_words
from hub.alerts.lifecycle import Move, Reason
from hub.alerts.model import COLUMNS, Alert
from hub.database import Connection, Pool
from hub.notify import answer_text
from hub.notify.answer_text import Tally
from hub.notify.direct import LATER, Text, queue_texts
from hub.notify.text import economic

log = logging.getLogger(__name__)

NEWS_EVERY = timedelta(seconds=120)
MAX_NEWS = 4
"""Of one alert: a modem that sends a text in four seconds is busy for minutes with each of them."""
MAX_GOERS = 4
MAX_NAME_CHARS = 20
BATCH = 50
_OF_ALERT = ", ".join(f"a.{name}" for name in COLUMNS.split(", "))

_TALLY = """
select (select count(distinct contact_id) from notifications
        where alert_id = $1 and contact_id is not null)::integer as told,
  (select count(*) from confirmations
   where alert_id = $1 and answer = 'coming' and person like 'contact:%')::integer as coming
"""


async def tally(connection: Connection, alert_id: uuid.UUID) -> Tally:
    """How many of the people who were told are coming. Whoever comes was told, or called up."""
    row: Any = await connection.fetchrow(_TALLY, alert_id)
    return Tally(coming=row["coming"], told=max(row["told"], row["coming"]))


async def follow(
    connection: Connection, alert_id: uuid.UUID, contact_id: int | None, *, is_reporter: bool = False
) -> None:
    """This person hears of what happens to the alert from now on."""
    if contact_id is None:
        return
    await connection.execute(
        "insert into followers as f (alert_id, contact_id, is_reporter, told_log_id)"
        " select $1, $2, $3, coalesce(max(log_id), 0) from alert_log where alert_id = $1"
        " on conflict (alert_id, contact_id) do update"
        " set is_reporter = f.is_reporter or excluded.is_reporter, is_done = false",
        alert_id,
        contact_id,
        is_reporter,
    )


# -------------------------------------------------------------------------------------- who goes


async def news_is_due(connection: Connection, alert: Alert, now: datetime) -> None:
    """The others are told who goes: at once, then at most every two minutes. Never of a restricted alert."""
    if alert.is_restricted or alert.is_drill:
        return
    await connection.execute(
        "insert into answer_news as n (alert_id, due_at) values ($1, $2)"
        " on conflict (alert_id) do update"
        " set due_at = coalesce(n.due_at, greatest($2, n.told_at + $3)) where n.told < $4",
        alert.alert_id,
        now,
        NEWS_EVERY,
        MAX_NEWS,
    )


# The alert's row is left alone: a move meanwhile makes the news a little older, not wrong.
_DUE_NEWS = f"""
select n.told, {_OF_ALERT}
from answer_news n join alerts a using (alert_id)
where n.due_at <= $1 order by n.due_at limit $2
for update of n skip locked
"""  # noqa: S608  constants of ours
_GOERS = """
select c.contact_id, c.name, c.call_sign, coalesce(g.shows, 'count') as shows
from confirmations k join contacts c on k.person = 'contact:' || c.contact_id
left join watch_groups g on g.name = c.watch_group
where k.alert_id = $1 and k.answer = 'coming' order by k.at
"""
_OTHERS = """
select distinct c.contact_id, c.name from notifications n join contacts c using (contact_id)
where n.alert_id = $1 and c.active and not exists (
  select from confirmations k where k.alert_id = $1 and k.person = 'contact:' || c.contact_id
    and k.answer in ('nothing_found', 'not_coming'))
order by c.contact_id
"""


async def tell_news(pool: Pool, now: datetime) -> int:
    """Tell the groups whose turn it is; returns how many alerts were looked at."""
    async with pool.acquire() as connection, connection.transaction():
        rows = await connection.fetch(_DUE_NEWS, now, BATCH)
        for row in rows:
            await _tell_group(connection, Alert.from_row(row), now)
    return len(rows)


async def _tell_group(connection: Connection, alert: Alert, now: datetime) -> None:
    goers = await connection.fetch(_GOERS, alert.alert_id)
    is_told = alert.is_open and not alert.is_restricted and bool(goers)
    if is_told:
        others = await connection.fetch(_OTHERS, alert.alert_id)
        shown = shown_names([(g["name"], g["call_sign"], g["shows"]) for g in goers])
        text = answer_text.news(alert.code, shown, await tally(connection, alert.alert_id), now)
        alone = {goers[0]["contact_id"]} if len(goers) == 1 else set()
        texts = [
            Text(text=text, purpose="news", priority=LATER, recipient=o["name"], contact_id=o["contact_id"])
            for o in others
            if o["contact_id"] not in alone  # knows it
        ]
        await queue_texts(connection, texts, now)
    await connection.execute(
        "update answer_news set due_at = null, told_at = $2, told = told + $3 where alert_id = $1",
        alert.alert_id,
        now,
        int(is_told),
    )


def shown_names(goers: Sequence[tuple[str, str, str]]) -> list[str]:
    """How the goers (name, call-sign, what their group shows) are named to the others; some are not. Pure."""
    named = [_shown(*goer) for goer in goers]
    known = [name for name in named if name][:MAX_GOERS]
    more = len(goers) - len(known)
    return [*known, f"{more} mas"] if known and more else known


def _shown(name: str, call_sign: str, shows: str) -> str:
    first = name.split()[0] if name.split() else ""
    words = {"call_sign": call_sign, "first_name": first}.get(shows, "")
    return economic(words)[:MAX_NAME_CHARS]


# ------------------------------------------------------------------------------------- outcomes

# Moves of one alert are logged under its row lock, so their numbers are in order; a line that has not
# committed yet cannot be passed over.
_NEWS_FOR = f"""
select f.contact_id, f.is_reporter, c.name as person, l.log_id, l.move, {_OF_ALERT}
from followers f join contacts c using (contact_id) join alerts a using (alert_id)
join lateral (
  select log_id, move from alert_log
  where alert_id = f.alert_id and log_id > f.told_log_id
    and move in ('dispatch', 'close', 'merge', 'reopen')
  order by log_id limit 1
) l on true
where not f.is_done
order by l.log_id limit $1
for update of f skip locked
"""  # noqa: S608  constants of ours


async def tell_outcomes(pool: Pool, now: datetime) -> int:
    """Tell followers of the next thing that happened to their alert; returns how many were looked at."""
    async with pool.acquire() as connection, connection.transaction():
        rows = await connection.fetch(_NEWS_FOR, BATCH)
        texts = [text for row in rows if (text := _outcome(row)) is not None]
        await queue_texts(connection, texts, now)
        await connection.executemany(
            "update followers set told_log_id = $3, is_done = $4 where alert_id = $1 and contact_id = $2",
            [(row["alert_id"], row["contact_id"], row["log_id"], _is_end(row["move"])) for row in rows],
        )
    return len(rows)


def _is_end(move: str) -> bool:
    return move in (Move.CLOSE, Move.MERGE)


def _outcome(row: Any) -> Text | None:
    """None for what this person need not hear: a patrol is news to who asked for help, the end to all.

    Of an alert that became a restricted one nothing goes out any more: somebody else may hold the phone.
    """
    alert = Alert.from_row(row)
    move = Move(row["move"])
    if alert.is_restricted or alert.is_drill or (move is Move.DISPATCH and not row["is_reporter"]):
        return None
    words = outcome_words(alert, move, Reason(alert.reason) if alert.reason else None)
    if not words:
        return None
    return Text(
        text=answer_text.outcome(alert.code, words),
        purpose="outcome",
        priority=LATER,
        recipient=row["person"],
        contact_id=row["contact_id"],
    )
