"""Apprise's channels, against a real HTTP server that takes its ``json://`` webhooks."""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
import pytest_asyncio

from hub.notify.transports import Outgoing, TransportError
from hub.notify.transports import apprise as channels
from hub.notify.transports.apprise import AppriseTransport

NOW = datetime(2026, 11, 24, 0, 4, tzinfo=UTC)


@dataclass
class Webhook:
    """Answers each request with ``status``; None: takes it and never answers."""

    status: int | None = 200
    port: int = 0
    got: list[dict[str, Any]] = field(default_factory=list)
    over: asyncio.Event = field(default_factory=asyncio.Event)
    answering: set["asyncio.Task[None] | None"] = field(default_factory=set)

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.answering.add(asyncio.current_task())
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        size = next(
            int(line.split(":")[1]) for line in head.splitlines() if line.lower().startswith("content-length")
        )
        self.got.append(json.loads(await reader.readexactly(size)))
        if self.status is not None:
            writer.write(
                f"HTTP/1.1 {self.status} X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode()
            )
        else:
            await self.over.wait()
        writer.close()
        await writer.wait_closed()

    @property
    def url(self) -> str:
        return f"json://127.0.0.1:{self.port}/"


@pytest_asyncio.fixture
async def webhook() -> AsyncIterator[Webhook]:
    hook = Webhook()
    server = await asyncio.start_server(hook.answer, "127.0.0.1", 0)
    hook.port = server.sockets[0].getsockname()[1]
    yield hook
    hook.over.set()
    server.close()
    await asyncio.gather(*(task for task in hook.answering if task), return_exceptions=True)
    await server.wait_closed()


def message(**changes: Any) -> Outgoing:
    values: dict[str, Any] = {
        "notification_id": uuid.uuid4(),
        "at": NOW,
        "to": "+56987650001",
        "recipient": "Ana",
        "text": "ALERTA K7 PANICO ¿Los Ñires 12?",
        "priority": 1,
        "alert_id": uuid.UUID(int=7),
    }
    return Outgoing(**(values | changes))


async def test_a_group_is_told_once_however_many_people_it_has(webhook: Webhook) -> None:
    transport = AppriseTransport([webhook.url], "Almenara")
    await asyncio.gather(*(transport.send(message(to=f"+5698765{n:04}")) for n in range(20)))
    await transport.send(message())
    await transport.send(message(text="SIN ACUSE HACE 30 s"))
    assert [got["message"] for got in webhook.got] == [message().text, "SIN ACUSE HACE 30 s"]
    assert (webhook.got[0]["title"], webhook.got[0]["type"]) == ("Almenara", "failure")
    # the channel hears of the alert, not of the people
    assert "+569" not in json.dumps(webhook.got)


async def test_one_channel_that_took_it_is_enough(webhook: Webhook) -> None:
    dead = "json://127.0.0.1:9/"
    assert await AppriseTransport([dead, webhook.url]).send(message()) == ()
    assert len(webhook.got) == 1


async def test_a_refusal_is_tried_again(webhook: Webhook) -> None:
    webhook.status = 500
    transport = AppriseTransport([webhook.url])
    with pytest.raises(TransportError, match="ningún canal") as caught:
        await transport.send(message())
    assert not caught.value.maybe_sent
    webhook.status = 200
    await transport.send(message())
    assert len(webhook.got) == 2


async def test_a_channel_that_hangs_may_have_told_the_group(
    webhook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(channels, "ANSWER_S", 0.2)
    webhook.status = None
    with pytest.raises(TransportError, match="no contestaron") as caught:
        # its own short limits let the thread that is left behind end
        await AppriseTransport([f"{webhook.url}?rto=1&cto=1"]).send(message())
    assert caught.value.maybe_sent


def test_an_address_that_is_none_is_named_by_its_line_and_not_shown() -> None:
    with pytest.raises(ValueError, match="línea 2") as caught:
        AppriseTransport(["json://127.0.0.1/", "secreto-de-nadie"])
    assert "secreto" not in str(caught.value)
    with pytest.raises(ValueError, match="ninguno"):
        AppriseTransport([])
