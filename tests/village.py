"""A watch group with its hub's desk: what phones send, and what they get."""

import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from test_hub_escalation import finding

from hub.alerts import service as alerts
from hub.database import Pool
from hub.notify import contacts, policy_file, service
from hub.notify.inbound import Desk
from hub.notify.policy import NotifySettings
from hub.notify.text import GSM7
from hub.notify.transports import Inbound

NOW = datetime(2026, 11, 24, 0, 4, tzinfo=UTC)  # 21:04 in Santiago
POLICIES = policy_file.load(None)
DUTY_PHONE = "+56987650000"
SETTINGS = NotifySettings(duty_phone=DUTY_PHONE)
ANA, LUIS, EVA = "+56987650001", "+56987650002", "+56987650003"
PEOPLE = (
    "name,phone,watch_group,call_sign,place\n"
    f"Ana Rojas,{ANA},Los Boldos,Base 2,Parcela 4\n"
    f"Luis Soto,{LUIS},Los Boldos,Puma 1,Parcela 9\n"
    f"Eva Paz,{EVA},Los Boldos,,\n"
)


def after(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


@dataclass
class Village:
    """A watch group, its hub's desk, and what phones send and get."""

    pool: Pool
    desk: Desk
    opened: list[str] = field(default_factory=list)

    async def alert(self, key: str = "panic:1", at: datetime = NOW, **changes: Any) -> alerts.Alert:
        async with self.pool.acquire() as connection, connection.transaction():
            outcomes = await alerts.open_or_join(connection, [finding(key, **changes)], at)
            await service.enqueue_for(connection, outcomes, at, SETTINGS, POLICIES)
        return await self.fresh(outcomes[0].alert_id)

    async def fresh(self, alert_id: uuid.UUID) -> alerts.Alert:
        found = await alerts.get(self.pool, alert_id)
        assert found is not None
        return found

    async def sends(self, phone: str, text: str, at: datetime = NOW) -> str:
        """The phone sends ``text``; returns what it is answered, empty for nothing."""
        before = {row["notification_id"] for row in await self.texts()}
        await self.desk.receive("sms", Inbound(sender=phone, at=at, text=text), at)
        await self.desk.handle_due(at)
        fresh = [r for r in await self.texts() if r["notification_id"] not in before]
        answers = [r["text"] for r in fresh if r["purpose"] == "answer"]
        assert len(answers) <= 1
        assert all(set(r["text"]) <= GSM7 and len(r["text"]) <= 160 for r in fresh)
        return answers[0] if answers else ""

    async def texts(self, purpose: str | None = None) -> list[Any]:
        return await self.pool.fetch(
            "select * from notifications where $1::text is null or purpose = $1"
            " order by created_at, recipient, text",
            purpose,
        )

    async def answers(self, alert_id: uuid.UUID) -> dict[str, str]:
        rows = await self.pool.fetch(
            "select coalesce(c.name, k.person) as name, k.answer from confirmations k"
            " left join contacts c on k.person = 'contact:' || c.contact_id where alert_id = $1",
            alert_id,
        )
        return {row["name"]: row["answer"] for row in rows}

    async def lines(self, alert_id: uuid.UUID, move: str) -> list[tuple[str, str]]:
        found = await alerts.timeline(self.pool, alert_id)
        return [(line.author, line.note) for line in found if line.move == move]

    async def states(self) -> list[str]:
        rows = await self.pool.fetch("select state from inbound_texts order by text_id")
        return [row["state"] for row in rows]


async def settled(pool: Pool) -> Village:
    """The group of Los Boldos with Ana, Luis and Eva."""
    await contacts.import_csv(pool, PEOPLE)
    await pool.execute("update watch_groups set sector = 'RURAL NORTE', latitude = -34.3, longitude = -71.9")
    opened: list[str] = []
    desk = Desk(pool=pool, settings=SETTINGS, policies=lambda: POLICIES, on_opened=opened.append)
    return Village(pool, desk, opened)
