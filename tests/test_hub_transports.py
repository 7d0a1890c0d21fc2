"""Transports as settings, their health, the alert that a dead one opens, and their page."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from fakes import VirtualClock
from test_hub_web import Site, raise_alert, site

from hub import settings as hub_settings
from hub.alerts import service as alerts
from hub.alerts.finding import Finding
from hub.database import Pool
from hub.notify import queue, service
from hub.notify.outfit import outfit_for
from hub.notify.router import Router
from hub.notify.routing import OPEN_AFTER, Terms
from hub.notify.transports import Health, Outgoing, TransportError, TransportEvent
from hub.notify.transports.http import HttpTransport
from hub.notify.transports.smpp import SmppTransport
from hub.notify.transports.spec import HttpSpec
from hub.notify.watching import CREDIT_KIND, DOWN_AFTER_S, DOWN_KIND, Watch, Watched, judged, looked, states
from hub.settings import HubSettings, SettingsError

__all__ = ["site"]  # the fixture

NOW = datetime(2026, 11, 24, 0, 4, tzinfo=UTC)


def after(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


# ------------------------------------------------------------------------------------------ settings

TOML = """
[[transports]]
kind = "modem"
name = "modem1"
port = "/dev/ttyUSB2"

[[transports]]
kind = "smpp"
name = "operador"
order = 2
cost = 18
host = "127.0.0.1"
system_id = "muni"
password_file = "{folder}/smpp"

[[transports]]
kind = "http"
name = "kannel"
order = 3
url = "http://127.0.0.1:13013/?text={{text}}"
hook_token_file = "{folder}/hook"

[[transports]]
kind = "smsd"
name = "viejo"
is_enabled = false
dsn_file = "{folder}/smpp"

[[transports]]
kind = "apprise"
name = "canal"
ways = ["telegram"]
urls_file = "{folder}/urls"
"""


def loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, toml: str, smpp: str = "secreto") -> HubSettings:
    monkeypatch.delenv("ALMENARA_HUB_CONFIG", raising=False)
    (tmp_path / "smpp").write_text(smpp + "\n")
    (tmp_path / "hook").write_text("clave\n")
    (tmp_path / "urls").write_text("# el canal\njson://127.0.0.1/\n")
    config = tmp_path / "hub.toml"
    config.write_text(toml.format(folder=tmp_path))
    monkeypatch.setenv("ALMENARA_HUB_CONFIG", str(config))
    return hub_settings.load(config)


async def test_settings_become_transports(
    pool: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = loaded(tmp_path, monkeypatch, TOML)
    outfit = outfit_for(settings.transport_specs(), pool, VirtualClock(NOW), tmp_path / "sms.jsonl")
    assert list(outfit.transports) == ["modem1", "operador", "kannel", "canal"]
    assert isinstance(outfit.transports["operador"], SmppTransport)
    assert isinstance(outfit.transports["kannel"], HttpTransport)
    assert {"sms", "telegram", "operador"} <= set(outfit.router.ways())
    assert outfit.router.terms_of("modem1").batch == 1
    assert outfit.router.terms_of("operador").parallel == 10
    assert "secreto" not in repr(settings)


def test_without_transports_there_is_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = loaded(tmp_path, monkeypatch, "")
    assert [(spec.kind, spec.name) for spec in settings.transport_specs()] == [("file", "sms")]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("modem1", "operador"), "dos transportes con el nombre operador"),
        (("{folder}/smpp", "/no/hay"), "no existe el archivo /no/hay"),
        (('kind = "http"', 'kind = "paloma"'), "paloma"),
        (("order = 3", "orden = 3"), "orden"),
        (("order = 3", 'order = 3\naccepted = "("'), "no es una expresión regular"),
        (("order = 3", "order = 3\npriorities = [0]"), "de 1 a 4"),
    ],
)
def test_a_wrong_transport_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: tuple[str, str], words: str
) -> None:
    with pytest.raises(SettingsError, match=words):
        loaded(tmp_path, monkeypatch, TOML.replace(*change))


async def test_a_password_that_smpp_cannot_carry_is_told(
    pool: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = loaded(tmp_path, monkeypatch, TOML, smpp="demasiado-larga")
    with pytest.raises(ValueError, match="operador: la clave SMPP"):
        outfit_for(settings.transport_specs(), pool, VirtualClock(NOW), tmp_path / "sms.jsonl")


# -------------------------------------------------------------------------------------------- health


class Sick:
    """``health_now`` is what it says of itself."""

    def __init__(self) -> None:
        self.health_now: Health | Exception = Health(is_ok=True, signal_dbm=-71, credit=5000)

    async def send(self, message: Outgoing) -> tuple[str, ...]:
        del message
        raise TransportError("sin red", permanent=False)

    async def events(self) -> AsyncIterator[TransportEvent]:
        nothing: tuple[TransportEvent, ...] = ()
        for event in nothing:
            yield event

    async def health(self) -> Health:
        if isinstance(self.health_now, Exception):
            raise self.health_now
        return self.health_now

    async def run_loop(self) -> None: ...


def watched(**changes: Any) -> Watched:
    return Watched(**({"name": "modem", "kind": "modem", "since": NOW} | changes))


def test_a_short_break_is_no_news() -> None:
    down = looked(watched(), Health(is_ok=False, detail="sin red"), is_held_back=False, now=after(5))
    assert judged(down, "hub", after(5 + DOWN_AFTER_S - 1)) == ([], [])
    [finding], over = judged(down, "hub", after(5 + DOWN_AFTER_S))
    assert (finding.kind, finding.priority, over) == (DOWN_KIND, 2, [])
    assert finding.summary == "Transporte modem sin servicio: sin red"


def test_it_is_told_once_and_its_end_too() -> None:
    key = f"{DOWN_KIND}:hub:modem"
    down = watched(health=Health(is_ok=False), told=frozenset({key}))
    assert judged(down, "hub", after(3600)) == ([], [])
    well = looked(down, Health(is_ok=True), is_held_back=False, now=after(3600))
    assert judged(well, "hub", after(3600)) == ([], [key])
    # a transport whose texts fail is down, whatever it says of itself
    failing = looked(watched(), Health(is_ok=True), is_held_back=True, now=NOW)
    [finding], _ = judged(failing, "hub", after(DOWN_AFTER_S))
    assert "los envíos fallan" in finding.summary


def test_little_credit_is_told() -> None:
    poor = watched(health=Health(is_ok=True, credit=1999.5), credit_min=2000)
    [finding], _ = judged(poor, "hub", NOW)
    assert (finding.kind, finding.priority) == (CREDIT_KIND, 3)
    assert finding.summary == "Queda poco saldo en modem: 1999.5 (mínimo 2000)"
    rich = watched(
        health=Health(is_ok=True, credit=2000), credit_min=2000, told=frozenset({finding.dedup_key})
    )
    assert judged(rich, "hub", NOW) == ([], [finding.dedup_key])


async def test_a_dead_transport_is_an_alert_that_leaves_by_another(pool: Pool) -> None:
    clock, sick = VirtualClock(NOW), Sick()
    router = Router([Terms(name="modem"), Terms(name="entel", order=2)], clock)

    async def on_findings(new: list[Finding], over: list[str]) -> None:
        async with pool.acquire() as connection, connection.transaction():
            outcomes = await alerts.receive(connection, new, clock.now())
            await service.enqueue_for(connection, outcomes, clock.now())
            if over:
                await alerts.close_by_hub(connection, over, now=clock.now())

    seen: list[tuple[bool, int | None]] = []
    watch = Watch(
        pool=pool,
        owner="hub",
        router=router,
        clock=clock,
        on_findings=on_findings,  # type: ignore[arg-type]
        on_state=lambda watched, _: seen.append((watched.is_well, watched.health.signal_dbm)),
    )
    state = await watch.look(watched(), sick)
    assert seen == [(True, -71)]
    sick.health_now = ZeroDivisionError("+56987650001")
    for seconds in (5, 5 + DOWN_AFTER_S):
        await clock.advance(seconds - (clock.now() - NOW).total_seconds())
        state = await watch.look(state, sick)
    [alert] = await alerts.list_open(pool, limit=10)
    assert (alert.kind, alert.priority) == (DOWN_KIND, 2)
    assert "+569" not in alert.summary
    assert router.share("modem") is None
    share = router.share("entel")
    assert share is not None
    [claimed] = await queue.claim(pool, "entel", 50, 15, clock.now(), share.wants)
    assert "TRANSPORTE CAIDO" in claimed.text
    [shown] = await states(pool)
    assert (shown.is_ok, shown.detail) == (False, "falla (ZeroDivisionError)")
    sick.health_now = Health(is_ok=True)
    await watch.look(state, sick)
    assert await alerts.list_open(pool, limit=10) == []


async def test_failing_texts_hold_a_transport_back_until_one_leaves() -> None:
    clock = VirtualClock(NOW)
    router = Router([Terms(name="modem"), Terms(name="entel", order=2)], clock)
    for _ in range(OPEN_AFTER):
        router.failed("modem", TransportError("sin red", permanent=False))
    assert router.first_for("sms") == "entel"
    router.sent("modem", 1)
    assert router.first_for("sms") == "modem"


# --------------------------------------------------------------------------------------------- pages


async def test_the_page_shows_transports_to_those_who_tend_them(site: Site) -> None:
    await site.pool.execute(
        "insert into transport_states (transport, owner, kind, is_ok, is_open, detail, signal_dbm, credit,"
        " credit_min, s_per_text, checked_at, since) values"
        " ('modem1', 'h1', 'modem', true, false, 'Entel', -71, 1500, 2000, 4, $1, $1),"
        " ('operador', 'h1', 'smpp', false, false, 'sin conexión', null, null, null, null, $1, $1)",
        site.clock.now(),
    )
    technician = await site.person("tito")
    page = (await technician.client.get("/transportes")).text
    for words in ("modem1", "Módem GSM", "-71 dBm", "15 por min", "Bajo", "operador", "Sin servicio"):
        assert words in page
    auditor = await site.person("aida")
    assert (await auditor.client.get("/transportes")).status_code == 403


async def test_a_call_is_noted_on_the_ledger(site: Site) -> None:
    alert = await raise_alert(site)
    await site.pool.execute(
        "insert into notifications (notification_id, alert_id, recipient, priority, text, due_at, created_at)"
        " values (gen_random_uuid(), $1, 'turno', 1, 'x', $2, $2) on conflict do nothing",
        alert.alert_id,
        site.clock.now(),
    )
    operator = await site.person("olga")
    path = f"/alertas/{alert.alert_id}"
    assert "En cola" in (await operator.client.get(path)).text
    answer = await note_call(operator.client, path, operator.csrf, resultado="answered")
    assert answer.status_code == 303
    page = (await operator.client.get(path)).text
    assert "Contestó la llamada" in page
    [line] = await site.pool.fetch("select login, detail from audit where action = 'person_called'")
    assert tuple(line) == ("olga", "turno answered")
    stranger = await note_call(operator.client, path, operator.csrf, resultado="answered", persona="999")
    assert stranger.status_code == 422
    auditor = await site.person("aida")
    refused = await note_call(auditor.client, path, auditor.csrf, resultado="answered")
    assert refused.status_code == 403


async def note_call(client: httpx.AsyncClient, path: str, csrf: str, **values: str) -> httpx.Response:
    return await client.post(f"{path}/llamada", data={"csrf": csrf, **values})


def test_the_examples_of_the_guide_are_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    guide = (Path(__file__).parent.parent / "docs" / "transportes-sms.md").read_text("utf-8")
    blocks = guide.split("```toml\n")[1:]
    toml = "\n".join(block.split("```")[0] for block in blocks).replace("/etc/almenara/", f"{tmp_path}/")
    for name in ("pin-modem1", "smpp", "kannel", "kannel-avisa", "proveedor"):
        (tmp_path / name).write_text("x")
    config = tmp_path / "guide.toml"
    config.write_text(toml)
    monkeypatch.setenv("ALMENARA_HUB_CONFIG", str(config))
    specs = hub_settings.load(config).transport_specs()
    assert [spec.name for spec in specs] == ["modem1", "operador", "kannel", "proveedor"]
    assert isinstance(specs[3], HttpSpec)
    assert json.loads(specs[3].body)["text"] == "{text}"
