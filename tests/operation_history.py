"""Operations, inspections and points over the commune of :mod:`commune_history`, seeded."""

import random
import uuid
from datetime import timedelta
from typing import Any

from commune_history import END, SECTORS, SPOTS, START, insert

from hub.database import Pool

MOVES = (
    ("plan", "planned"), ("confirm", "confirmed"), ("start", "in_progress"), ("execute", "executed"),
    ("close", "closed"),
)  # fmt: skip
PERMITS = ("valid", "expired", "none", "unknown", "not_needed", "other_place")
RESULTS = ("no_remark", "warning", "infringement", "closure_referred")

Rows = list[dict[str, Any]]


class Field:
    """Rows as they will be inserted, table by table."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        names = "operations operation_log operation_institutions operation_points operation_links inspections"
        self.tables: dict[str, Rows] = {name: [] for name in (*names.split(), "infringements")}

    def uuid(self) -> uuid.UUID:
        return uuid.UUID(int=self.dice.getrandbits(128))


async def fill(pool: Pool, seed: int = 11, operations: int = 160) -> None:
    """Needs the alerts of :func:`commune_history.fill`, of which some become links."""
    field = Field(seed)
    alerts = [row["alert_id"] for row in await pool.fetch("select alert_id from alerts order by alert_id")]
    for number in range(operations):
        _operation(field, number, alerts)
    for number in range(operations * 4):
        _inspection(field, number)
    for table, rows in field.tables.items():
        await insert(pool, table, rows)


def _operation(field: Field, number: int, alerts: list[uuid.UUID]) -> None:
    dice, operation_id = field.dice, field.uuid()
    start = START + (END - START) * dice.random()
    reached = dice.choice((1, 2, 3, 4, 5, 5, 5, 5))
    is_suspended = reached < 3 and dice.random() < 0.4
    state = "suspended" if is_suspended else MOVES[reached - 1][1]
    ended_at = start + timedelta(hours=4) if reached >= 4 and not is_suspended else None
    field.tables["operations"].append(
        {
            "operation_id": operation_id, "folio": f"OPF-{number}",
            "kind": dice.choice(("street_trade", "alcohol")), "state": state,
            "sector": dice.choice(SECTORS), "planned_start": start,
            "planned_end": start + timedelta(hours=3),
            "started_at": start + timedelta(minutes=9) if reached >= 3 else None, "ended_at": ended_at,
            "hot_spot": "FOC-CENTRO-01" if dice.random() < 0.2 else "",
            "suspended_because": "lluvia" if is_suspended else "",
            "acta_folio": f"ACTA-{number}" if state == "closed" else None,
            "closed_at": ended_at + timedelta(days=9) if ended_at and state == "closed" else None,
            "is_drill": dice.random() < 0.1, "author": "jaime", "created_at": start - timedelta(days=5),
        }
    )  # fmt: skip
    _log(field, operation_id, reached, is_suspended)
    _people(field, operation_id, has_signed=state == "closed")
    _points(field, operation_id, number)
    _links(field, operation_id, alerts)


def _log(field: Field, operation_id: uuid.UUID, reached: int, is_suspended: bool) -> None:
    operation = field.tables["operations"][-1]
    instants = (
        operation["created_at"], operation["created_at"] + timedelta(days=1), operation["started_at"],
        operation["ended_at"], operation["closed_at"],
    )  # fmt: skip
    told = list(zip(MOVES, instants, strict=True))[:reached]
    if is_suspended:
        told.append((("suspend", "suspended"), operation["planned_start"] - timedelta(hours=3)))
    for (move, state), at in told:
        line = {"operation_id": operation_id, "at": at, "author": "jaime", "move": move, "to_state": state}
        field.tables["operation_log"].append(line)


def _people(field: Field, operation_id: uuid.UUID, *, has_signed: bool) -> None:
    names = ("DSP", "Carabineros", "SEREMI de Salud", "Autoridad Marítima")
    for number, name in enumerate(field.dice.sample(names, field.dice.randint(1, 4))):
        field.tables["operation_institutions"].append(
            {
                "operation_id": operation_id, "institution": name, "role": "joins" if number else "leads",
                "headcount": 3, "present": field.dice.choice((None, 0, 2, 3)),
                "signed_at": field.tables["operations"][-1]["closed_at"] if has_signed else None,
            }
        )  # fmt: skip


def _points(field: Field, operation_id: uuid.UUID, number: int) -> None:
    dice, operation = field.dice, field.tables["operations"][-1]
    for point in range(number % 4):  # a quarter of them has no points at all
        latitude, longitude = dice.choice(SPOTS)
        has_ended = operation["ended_at"] is not None
        visited = operation["started_at"] if has_ended and dice.random() < 0.9 else None
        field.tables["operation_points"].append(
            {
                "operation_id": operation_id, "point": f"P{point}",
                "latitude": latitude + dice.uniform(-0.004, 0.004),
                "longitude": longitude + dice.uniform(-0.004, 0.004), "visited_at": visited,
                "cleared_at": operation["ended_at"] if visited and dice.random() < 0.8 else None,
            }
        )  # fmt: skip


def _links(field: Field, operation_id: uuid.UUID, alerts: list[uuid.UUID]) -> None:
    dice, operation = field.dice, field.tables["operations"][-1]
    for alert_id in dice.sample(alerts, dice.choice((0, 0, 1, 2))):
        is_removed = dice.random() < 0.3
        removed_at = operation["created_at"] + timedelta(days=60 * dice.random()) if is_removed else None
        field.tables["operation_links"].append(
            {
                "operation_id": operation_id, "alert_id": alert_id,
                "relation": dice.choice(("origin", "origin", "after")), "way": "automatic",
                "reason": "a 90 m", "author": "hub:linking", "at": operation["created_at"],
                "removed_at": removed_at, "removed_by": "jaime" if is_removed else None,
            }
        )  # fmt: skip


def _inspection(field: Field, number: int) -> None:
    """Many of them around the points that were cleared before; one in ten corrects an earlier one."""
    dice, inspection_id = field.dice, field.uuid()
    point = dice.choice(field.tables["operation_points"])
    is_named = dice.random() < 0.2
    at = (point["cleared_at"] or START) + timedelta(days=dice.uniform(-3, 40))
    operation_id = dice.choice((None, point["operation_id"])) if not is_named else point["operation_id"]
    earlier = field.tables["inspections"]
    is_correction = bool(earlier) and number % 10 == 0
    field.tables["inspections"].append(
        {
            "inspection_id": inspection_id, "folio": f"FIS-{number}", "operation_id": operation_id,
            "point": point["point"] if is_named else "", "sector": dice.choice(SECTORS),
            "latitude": None if is_named else point["latitude"] + dice.gauss(0, 0.0008),
            "longitude": None if is_named else point["longitude"] + dice.gauss(0, 0.0008),
            "permit_state": dice.choice(PERMITS), "result": dice.choice(RESULTS), "inspected_at": at,
            "replaces": earlier[number - 5]["inspection_id"] if is_correction else None,
            "author": "ines", "recorded_at": at + timedelta(minutes=5),
        }
    )  # fmt: skip
    if dice.random() < 0.3:
        row = {"inspection_id": inspection_id, "position": 1, "rule": "Ordenanza 07 art. 12"}
        field.tables["infringements"].append(row)
