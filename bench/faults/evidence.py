"""Reading what a fault run left behind: the drivers' lists, the database, the file transport's lines."""

import json
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from bench.faults.database import Database
from bench.faults.flood import EVENT_TYPE, PANIC_TYPE
from bench.faults.judge import Accepted, Evidence, SentLine, Stored, Text
from bench.faults.ledger import read_lines
from bench.faults.programs import Edge
from edge import contract

_EVENTS = f"""
    select e.id::text, d.source, e.gateway, e.type, e.sequence, (e.data->>'life')::int, (e.data->>'n')::int,
      e.received_at, e.happened_at, e.time_quality
    from events e join devices d using (device_id) where e.type in ('{EVENT_TYPE}', '{PANIC_TYPE}')
"""  # noqa: S608 - constants of ours
_HANDLED = """
    select l.source_event::text, l.alert_id::text from alert_log l join alerts a using (alert_id)
    where a.kind = 'panic' and l.source_event is not null and l.move in ('opened', 'joined')
"""
_COUNTS = "select alert_id::text, event_count from alerts where kind = 'panic'"
_STEPS = "select alert_id::text, note from alert_log where move = 'escalated'"
_TEXTS = "select notification_id::text, alert_id::text, recipient, state from notifications"


def read_accepted(edges: Sequence[Edge]) -> list[Accepted]:
    return [
        Accepted(
            id=line.id,
            source=contract.device_urn(line.source),
            gateway=edge.gateway,
            is_alarm=line.is_alarm,
            life=line.life,
            n=line.n,
            at_ms=line.at_ms,
        )
        for edge in edges
        for line in read_lines(edge.ledger)
    ]


class _Scale:
    """Wall clock to CLOCK_BOOTTIME in milliseconds: this machine's clocks do not step during a run."""

    def __init__(self) -> None:
        self._offset_ms = time.time_ns() / 1e6 - time.clock_gettime_ns(time.CLOCK_BOOTTIME) / 1e6

    def ms(self, at: datetime) -> int:
        return round(at.timestamp() * 1000 - self._offset_ms)


async def read_evidence(
    edges: Sequence[Edge], database: Database, texts: Sequence[Path], pending: dict[str, int]
) -> Evidence:
    scale = _Scale()
    return Evidence(
        accepted=read_accepted(edges),
        stored=[
            Stored(
                id=r[0],
                source=r[1],
                gateway=r[2],
                is_alarm=r[3] == PANIC_TYPE,
                sequence=r[4],
                life=r[5],
                n=r[6],
                received_ms=scale.ms(r[7]),
                happened_ms=scale.ms(r[8]),
                time_quality=r[9],
            )
            for r in await database.rows(_EVENTS)
        ],
        handled=[(r[0], r[1]) for r in await database.rows(_HANDLED)],
        event_counts={r[0]: r[1] for r in await database.rows(_COUNTS)},
        texts=[Text(id=r[0], alert_id=r[1], recipient=r[2], state=r[3]) for r in await database.rows(_TEXTS)],
        lines=[line for path in texts for line in _read_lines(path, scale)],
        steps=[(r[0], r[1]) for r in await database.rows(_STEPS)],
        pending={name: n for name, n in pending.items() if n},
    )


def _read_lines(texts: Path, scale: _Scale) -> list[SentLine]:
    if not texts.exists():
        return []
    found = [json.loads(line) for line in texts.read_text("utf-8").splitlines()]
    return [
        SentLine(
            text_id=line["notification_id"],
            alert_id=line["alert"],
            at_ms=scale.ms(datetime.fromisoformat(line["at"])),
        )
        for line in found
    ]
