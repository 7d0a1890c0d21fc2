"""Cases and operations as annotations in Grafana: begun, ended, told once, reserved ones without a place."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import pytest_asyncio
from fakes import VirtualClock, eventually
from grafana_api import TOKEN, GrafanaApi
from processes import hub_process
from test_hub_operations import draft

from hub.annotating import CLAIM, Annotating, Grafana, GrafanaError
from hub.database import Pool
from hub.operations import service
from hub.operations.lifecycle import Move

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)


@pytest_asyncio.fixture
async def grafana() -> AsyncIterator[tuple[GrafanaApi, str]]:
    api = GrafanaApi()
    async with api.serving() as url:
        yield api, url
    assert api.wrong == []


async def tell(pool: Pool, url: str, at: datetime = NOW, token: str = TOKEN) -> int:
    """One round of a hub of its own."""
    hub = Annotating(pool, Grafana(url=url, token=token), VirtualClock(at))
    try:
        return await hub.tell()
    finally:
        await hub.close()


async def alert(pool: Pool, code: str, **changes: object) -> str:
    row = {
        "kind": "panic",
        "priority": 1,
        "sector": "COSTA",
        "is_reserved": False,
        "is_drill": False,
        "at": NOW,
    }
    row |= changes
    id_ = await pool.fetchval(
        "insert into alerts (alert_id, code, kind, priority, state, dedup_key, summary, place, rule,"
        " happened_at, opened_at, last_event_at, sector, is_reserved, is_drill)"
        " values (gen_random_uuid(), $1, $2, $3, 'received', $1, 's', 'Los Ñires 12', 'r', $4, $4, $4,"
        " $5, $6, $7) returning alert_id",
        *(code, row["kind"], row["priority"], row["at"], row["sector"], row["is_reserved"], row["is_drill"]),
    )
    return str(id_)


async def close(pool: Pool, code: str, at: datetime) -> None:
    await pool.execute(
        "update alerts set state = 'closed', closed_at = $2, reason = 'attended' where code = $1", code, at
    )


def ms(at: datetime) -> int:
    return int(at.timestamp() * 1000)


async def test_a_case_is_told_when_it_opens_and_when_it_ends(
    pool: Pool, grafana: tuple[GrafanaApi, str]
) -> None:
    api, url = grafana
    id_ = await alert(pool, "K1")
    await alert(pool, "K2", priority=3)
    await alert(pool, "K3", is_drill=True)
    await alert(pool, "K4", at=NOW - timedelta(days=2))
    assert await tell(pool, url) == 1
    assert api.annotations == {
        1: {
            "time": ms(NOW),
            "tags": ["almenara", "alerta", "P1"],
            "text": f"K1 Botón de pánico, COSTA\n/alertas/{id_}",
        }
    }
    assert await tell(pool, url) == 0
    await close(pool, "K1", NOW + timedelta(minutes=9))
    assert await tell(pool, url) == 1
    assert api.annotations[1]["timeEnd"] == ms(NOW + timedelta(minutes=9))
    assert await tell(pool, url) == 0
    assert len(api.annotations) == 1


async def test_a_reserved_case_tells_neither_what_nor_where(
    pool: Pool, grafana: tuple[GrafanaApi, str]
) -> None:
    api, url = grafana
    await alert(pool, "K1", is_reserved=True)
    await alert(pool, "K2", kind="duress")
    await tell(pool, url)
    texts = [one["text"] for one in api.annotations.values()]
    assert len(texts) == 2
    assert all("Atención reservada" in text and "COSTA" not in text and "Ñires" not in text for text in texts)


async def test_an_operation_is_told_as_it_is_held(pool: Pool, grafana: tuple[GrafanaApi, str]) -> None:
    api, url = grafana
    plan = draft(planned_start=NOW, planned_end=NOW + timedelta(hours=4), sector="")
    folio = (await service.plan(pool, plan, author="jaime", now=NOW)).folio
    assert await tell(pool, url) == 0
    for number, step in enumerate((Move.CONFIRM, Move.START), 1):
        await service.move(pool, folio, step, version=number, author="jaime", now=NOW)
    assert await tell(pool, url) == 1
    assert api.annotations[1]["text"] == f"{folio} Comercio ambulante\n/operativos/{folio}"
    await service.move(pool, folio, Move.EXECUTE, version=3, author="jaime", now=NOW + timedelta(hours=3))
    await tell(pool, url)
    assert api.annotations[1]["timeEnd"] == ms(NOW + timedelta(hours=3))


async def test_what_was_missed_while_grafana_was_away_is_told_later(
    pool: Pool, grafana: tuple[GrafanaApi, str]
) -> None:
    api, url = grafana
    await alert(pool, "K1")
    with pytest.raises(GrafanaError, match="does not answer"):
        await tell(pool, "http://127.0.0.1:9")
    with pytest.raises(GrafanaError, match="check grafana_token_file"):
        await tell(pool, url, NOW + CLAIM * 2, token="otro")
    assert await tell(pool, url, NOW + CLAIM * 4) == 1
    assert len(api.annotations) == 1


async def test_a_hub_that_died_after_telling_is_not_repeated_by_another(
    pool: Pool, grafana: tuple[GrafanaApi, str]
) -> None:
    api, url = grafana
    await alert(pool, "K1")
    await alert(pool, "K2", at=NOW + timedelta(seconds=1))
    await asyncio.gather(tell(pool, url), tell(pool, url))
    assert len(api.annotations) == 2
    await pool.execute("update grafana_annotations set annotation = null")
    await tell(pool, url, NOW + timedelta(seconds=10))  # still the dead hub's claim
    assert await pool.fetchval("select count(*) from grafana_annotations where annotation is null") == 2
    await tell(pool, url, NOW + CLAIM * 2)
    assert len(api.annotations) == 2
    assert await pool.fetchval("select count(*) from grafana_annotations where annotation is null") == 0


async def test_a_hub_tells_by_itself_and_at_once(
    pool: Pool, dsn: str, grafana: tuple[GrafanaApi, str], server_folder: Path
) -> None:
    api, url = grafana
    token = server_folder / "grafana"
    token.write_text(f"{TOKEN}\n")
    environment = {"ALMENARA_HUB_GRAFANA_URL": url, "ALMENARA_HUB_GRAFANA_TOKEN_FILE": str(token)}
    options = ("--database", dsn, "--data", str(server_folder / "data"))
    async with hub_process(server_folder, *options, environment=environment) as hub:
        await alert(pool, "K1", at=datetime.now(UTC))
        await pool.execute("select pg_notify('alerts', '')")
        await eventually(lambda: api.annotations)
        assert await hub.stop() == 0
