"""Alerts and operations as rows with their log lines, placed by metres around one corner of the commune."""

import json
import math
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

from commune_history import insert

from hub.database import Pool

CORNER = (-34.39, -72.01)
NOON = datetime(2027, 1, 16, 15, tzinfo=UTC)
_DEGREE_M = math.radians(1) * 6_371_008.8


def at_metres(east: float, north: float) -> tuple[float, float]:
    """(latitude, longitude) that far from the corner."""
    latitude = CORNER[0] + north / _DEGREE_M
    return latitude, CORNER[1] + east / (_DEGREE_M * math.cos(math.radians(CORNER[0])))


def square(half_m: float, centre: tuple[float, float] = (0, 0)) -> dict[str, Any]:
    """A closed GeoJSON square around a place in metres."""
    east, north = centre
    corners = [(-1, -1), (1, -1), (1, 1), (-1, 1), (-1, -1)]
    ring = [at_metres(east + x * half_m, north + y * half_m) for x, y in corners]
    return {"type": "Polygon", "coordinates": [[[lon, lat] for lat, lon in ring]]}


def alert_row(
    opened_at: datetime, metres: tuple[float, float] | None = (0, 0), **changes: Any
) -> dict[str, Any]:
    """Closed as attended, an hour after; ``changes`` are columns."""
    alert_id = uuid.uuid4()
    latitude, longitude = at_metres(*metres) if metres is not None else (None, None)
    return {
        "alert_id": alert_id, "code": alert_id.hex[:8], "kind": "panic", "priority": 2, "state": "closed",
        "reason": "attended", "dedup_key": alert_id.hex, "sector": "COSTA", "summary": "x", "rule": "r",
        "latitude": latitude, "longitude": longitude, "happened_at": opened_at, "opened_at": opened_at,
        "last_event_at": opened_at, "closed_at": opened_at + timedelta(hours=1), "place": "Costanera",
        "classification": "INC.COMERCIO", "is_drill": False, "is_reserved": False, **changes,
    }  # fmt: skip


async def alert(
    pool: Pool, opened_at: datetime, metres: tuple[float, float] | None = (0, 0), **changes: Any
) -> uuid.UUID:
    row = alert_row(opened_at, metres, **changes)
    await insert(pool, "alerts", [row])
    await alert_line(pool, row["alert_id"], row["closed_at"] or opened_at)
    return uuid.UUID(str(row["alert_id"]))


async def alert_line(pool: Pool, alert_id: uuid.UUID, at: datetime) -> None:
    await insert(pool, "alert_log", [{"alert_id": alert_id, "at": at, "author": "olga", "move": "close"}])


async def operation(
    pool: Pool,
    start: datetime = NOON,
    *,
    points: dict[str, tuple[float, float]] | None = None,
    area: dict[str, Any] | None = None,
    **changes: Any,
) -> uuid.UUID:
    """Executed over three hours; ``points`` in metres."""
    operation_id = uuid.uuid4()
    row = {
        "operation_id": operation_id, "folio": f"OPF-{operation_id.hex[:8]}", "kind": "street_trade",
        "state": "executed", "sector": "COSTA", "area": json.dumps(area) if area else None,
        "planned_start": start, "planned_end": start + timedelta(hours=3), "started_at": start,
        "ended_at": start + timedelta(hours=3), "author": "jaime", "created_at": start - timedelta(days=2),
        **changes,
    }  # fmt: skip
    await insert(pool, "operations", [row])
    rows = [
        {
            "operation_id": operation_id, "point": name, "name": name, "latitude": at_metres(*place)[0],
            "longitude": at_metres(*place)[1],
        }
        for name, place in (points or {}).items()
    ]  # fmt: skip
    if rows:
        await insert(pool, "operation_points", rows)
    await operation_line(pool, operation_id, start - timedelta(days=2), "planned")
    if row["ended_at"]:
        await operation_line(pool, operation_id, row["ended_at"], "executed")
    return operation_id


async def operation_line(pool: Pool, operation_id: uuid.UUID, at: datetime, state: str) -> None:
    line = {"operation_id": operation_id, "at": at, "author": "jaime", "move": "change", "to_state": state}
    await insert(pool, "operation_log", [line])
