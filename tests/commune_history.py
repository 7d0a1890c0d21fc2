"""A small commune with a seeded history in the hub's own tables: sixteen months, three sectors."""

import random
import uuid
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

from hub.database import Pool

START = datetime(2025, 8, 1, 4, tzinfo=UTC)
END = datetime(2026, 11, 20, 3, tzinfo=UTC)
SECTORS = ("CENTRO", "COSTA", "QUEBRADA HONDA")
CODES = (
    "",
    "",
    "DEL.HURTO",
    "DEL.ROBO_VIOLENCIA",
    "INC.RUIDOS",
    "INC.ALCOHOL",
    "INC.COMERCIO",
    "RUR.ABIGEATO",
    "TEC.SIM",
)
KINDS = (
    "panic",
    "panic",
    "gate_open",
    "smoke",
    "cattle_theft",
    "river_high",
    "duress",
    "battery_low",
    "tamper",
)
REASONS = ("attended", "referred", "nothing_found", "mistaken", "technical", "test", "drill", "duplicate")
SPOTS = ((-34.39, -72.01), (-34.3905, -72.0105), (-34.36, -71.95), (-34.40, -72.00))


@dataclass
class History:
    """Rows as they will be inserted, table by table."""

    random: random.Random
    alerts: list[dict[str, Any]] = field(default_factory=list)
    log: list[dict[str, Any]] = field(default_factory=list)
    notifications: list[dict[str, Any]] = field(default_factory=list)
    confirmations: list[dict[str, Any]] = field(default_factory=list)

    def instant(self) -> datetime:
        return START + (END - START) * self.random.random()

    def uuid(self) -> uuid.UUID:
        return uuid.UUID(int=self.random.getrandbits(128))


async def fill(pool: Pool, seed: int = 7, alerts: int = 1_500) -> None:
    """Registry, people, alerts with their log, notices and answers, outages, population."""
    history = History(random.Random(seed))
    await _registry(pool)
    for number in range(alerts):
        _alert(history, number)
    for device in range(2, 17):
        _outages(history, device)
    _gateway_outage(history)
    for table, rows in (
        ("alerts", history.alerts),
        ("alert_log", history.log),
        ("notifications", history.notifications),
        ("confirmations", history.confirmations),
    ):
        await insert(pool, table, rows)
    await _population(pool)


async def insert(pool: Pool, table: str, rows: list[dict[str, Any]]) -> None:
    names = list(rows[0])
    marks = ", ".join(f"${number}" for number in range(1, len(names) + 1))
    await pool.executemany(
        f"insert into {table} ({', '.join(names)}) values ({marks})",
        [[row[name] for name in names] for row in rows],
    )


async def _registry(pool: Pool) -> None:
    """Device 1 is the gateway; 2-6 buttons, 7-11 sensors, 12-16 cameras; the last of each was never seen."""
    await insert(pool, "gateways", [{"gateway": "gw-1", "created_at": START - timedelta(days=30)}])
    kinds = ["gateway", *["panic_button"] * 5, *["river_level"] * 5, *["camera"] * 5]
    created = START - timedelta(days=30)
    await insert(
        pool,
        "devices",
        [
            {
                "source": f"urn:dev:org:32473-d{number}", "gateway": "gw-1", "kind": kind,
                "sector": SECTORS[number % 3], "watch_group": "jvr-1" if number % 3 == 2 else "",
                "silent_after_s": 180,
                "created_at": created if number % 4 else datetime(2026, 10, 11, 15, tzinfo=UTC),
            }
            for number, kind in enumerate(kinds, 1)
        ],
    )  # fmt: skip
    seen = [
        {
            "device_id": number, "last_seen_at": END,
            "first_seen_at": (created if number % 4 else datetime(2026, 10, 12, 3, tzinfo=UTC)),
        }
        for number in range(1, 17) if number not in (6, 11, 16)
    ]  # fmt: skip
    await insert(pool, "device_state", seen)
    people = [
        {"name": f"Vecino {n}", "phone": f"+5690000000{n}", "watch_group": "jvr-1" if n < 5 else ""}
        for n in range(1, 8)
    ]
    await insert(pool, "contacts", people)


def _alert(history: History, number: int) -> None:
    dice, opened_at = history.random, history.instant()
    alert_id = history.uuid()
    acknowledged_at = opened_at + timedelta(seconds=dice.expovariate(1 / 40)) if dice.random() < 0.9 else None
    reason = dice.choice(REASONS) if acknowledged_at and dice.random() < 0.85 else None
    closed_at = opened_at + timedelta(minutes=dice.uniform(10, 900)) if reason else None
    place = dice.choice([*SPOTS, (None, None)])
    history.alerts.append(
        {
            "alert_id": alert_id, "code": f"A{number}", "kind": dice.choice(KINDS),
            "priority": dice.choice((1, 2, 3, 4)), "state": "closed" if reason else "acknowledged",
            "reason": reason, "dedup_key": f"k{number}", "sector": dice.choice(SECTORS), "summary": "x",
            "latitude": place[0], "longitude": place[1], "rule": "r", "happened_at": opened_at,
            "opened_at": opened_at, "last_event_at": opened_at, "is_drill": dice.random() < 0.05,
            "is_reserved": dice.random() < 0.03, "acknowledged_at": acknowledged_at, "closed_at": closed_at,
            "classification": dice.choice(CODES), "device_id": None, "gateway": None,
        }
    )  # fmt: skip
    if acknowledged_at and dice.random() < 0.5:
        for again in range(dice.choice((1, 2))):
            at = acknowledged_at + timedelta(minutes=dice.uniform(2, 30) + again)
            history.log.append(_line(alert_id, at, "arrive", "olga"))
    for contact in range(1, 8) if dice.random() < 0.3 else ():
        _notice(history, alert_id, contact, opened_at)


def _line(alert_id: uuid.UUID, at: datetime, move: str, author: str) -> dict[str, Any]:
    return {"alert_id": alert_id, "at": at, "author": author, "move": move}


def _notice(history: History, alert_id: uuid.UUID, contact: int, opened_at: datetime) -> None:
    dice = history.random
    for step in range(dice.choice((1, 1, 2))):
        at = opened_at + timedelta(seconds=1 + 120 * step)
        delivered = dice.choice((None, True, True, False))
        reported_at = at + timedelta(seconds=dice.expovariate(1 / 400))
        history.notifications.append(
            {
                "notification_id": history.uuid(), "alert_id": alert_id, "contact_id": contact,
                "recipient": f"Vecino {contact}", "priority": 1, "text": f"paso {step}", "state": "sent",
                "due_at": at, "created_at": at, "sent_at": at,
                "is_delivered": delivered, "reported_at": reported_at if delivered is not None else None,
                "purpose": "news" if step and dice.random() < 0.5 else "alert",
            }
        )  # fmt: skip
    if dice.random() < 0.6:
        at = opened_at + timedelta(seconds=dice.expovariate(1 / 500))
        history.confirmations.append(
            {"alert_id": alert_id, "person": f"contact:{contact}", "answer": "coming", "at": at}
        )


def _outages(history: History, device: int) -> None:
    for number in range(history.random.randint(2, 9)):
        _silence(history, f"d{device}-{number}", "device_silent", device, history.instant())


def _gateway_outage(history: History) -> None:
    for number in range(3):
        _silence(history, f"g-{number}", "gateway_silent", None, history.instant())
    _silence(history, "long", "device_silent", 13, datetime(2026, 10, 22, 12, tzinfo=UTC), forever=True)


def _silence(
    history: History, name: str, kind: str, device: int | None, at: datetime, *, forever: bool = False
) -> None:
    """Half of them end by the device's own sign of life, some by a person's hand, some never."""
    dice, alert_id = history.random, history.uuid()
    ended_at = None if forever or dice.random() < 0.02 else at + timedelta(hours=dice.expovariate(1 / 30))
    history.alerts.append(
        {
            **history.alerts[0], "alert_id": alert_id, "code": name[:6], "kind": kind, "priority": 3,
            "state": "closed" if ended_at else "received", "reason": "technical" if ended_at else None,
            "dedup_key": name, "sector": "", "latitude": None, "longitude": None, "happened_at": at,
            "opened_at": at + timedelta(seconds=4), "last_event_at": at, "is_drill": False,
            "is_reserved": False, "acknowledged_at": None, "classification": "", "device_id": device,
            "closed_at": ended_at and ended_at + timedelta(hours=1), "gateway": "gw-1",
        }
    )  # fmt: skip
    if ended_at and dice.random() < 0.7:
        history.log.append(_line(alert_id, ended_at, "cleared", "hub:supervision"))


async def _population(pool: Pool) -> None:
    rows = [
        {
            "sector": sector, "season": "permanente", "starts_on": date(2024, 1, 1),
            "ends_on": date(2200, 12, 31), "residents": people, "visitors": 0,
            "is_rural": sector == "QUEBRADA HONDA", "source": "INE",
        }
        for sector, people in zip(SECTORS, (15_000, 9_400, 4_000), strict=True)
    ]  # fmt: skip
    season = {"season": "estival", "starts_on": date(2025, 12, 15), "ends_on": date(2026, 3, 15)}
    rows.append({**rows[1], **season, "residents": 0, "visitors": 30_000})
    await insert(pool, "plan_population", rows)
