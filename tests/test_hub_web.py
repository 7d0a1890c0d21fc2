"""The console's server side, over HTTP: people sign in, are let through or not, and work alerts."""

import asyncio
import json
import re
import socket
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from fakes import VirtualClock
from fastapi import FastAPI
from fastapi.routing import APIRoute, iter_route_contexts
from processes import run

from hub.alerts import service as alerts
from hub.alerts.finding import Finding
from hub.alerts.lifecycle import Move, Reason
from hub.alerts.model import Alert
from hub.database import Pool
from hub.notify import service as notify
from hub.papers.making import Workshop
from hub.web import passwords, users
from hub.web.app import create_app
from hub.web.assets import AssetsMissingError, require_assets
from hub.web.audit import RecentReads
from hub.web.bus import AlertBus, AlertChanged, Closed, Refresh
from hub.web.context import RulesDesk
from hub.web.permissions import ROLES, Permission
from hub.web.server import WebServerError, serve
from hub.web.settings import WebSettings
from hub.web.texts import Wall, age
from hub.web.throttle import MAX_BY_PERSON, WINDOW, LoginThrottle

PASSWORD = "clave-de-prueba-larga"
HASHED = passwords.hash_password(PASSWORD)  # once: each one costs tens of milliseconds
PEOPLE = {
    "olga": ("Olga Soto", "operador"),
    "jaime": ("Jaime Rojas", "jefe_turno"),
    "tito": ("Tito Vera", "tecnico"),
    "aida": ("Aída Paz", "auditor"),
}


@dataclass
class Site:
    """A served console with its parts at hand."""

    pool: Pool
    clock: VirtualClock
    settings: WebSettings
    url: str = ""
    policies: Callable[[], notify.Policies] = notify.Policies
    desk: RulesDesk | None = None
    workshop: Workshop | None = None
    browsers: list[httpx.AsyncClient] = field(default_factory=list)

    async def start(self, port: int = 0) -> None:
        self.bus = AlertBus()
        self.app = create_app(
            pool=self.pool,
            clock=self.clock,
            settings=self.settings,
            metrics=lambda: b"almenara_up 1\n",
            bus=self.bus,
            policies=self.policies,
            desk=self.desk,
            workshop=self.workshop,
        )
        ready: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._serving = asyncio.create_task(serve(self.app, "127.0.0.1", port, ready.set_result))
        self.url = f"http://127.0.0.1:{await ready}"

    async def stop(self) -> None:
        """As the hub does: the task is cancelled, and ends when everybody was let go."""
        self._serving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await self._serving

    def stranger(self) -> httpx.AsyncClient:
        """Somebody with a browser and no account."""
        browser = httpx.AsyncClient(base_url=self.url, headers={"Accept": "text/html"})
        self.browsers.append(browser)
        return browser

    async def person(self, login: str) -> "Person":
        client = self.stranger()
        answer = await sign_in(client, login)
        assert answer.status_code == 303, answer.text
        session = (await client.get("/api/v1/session")).json()
        return Person(client, session["csrf"])

    async def audited(self, action: str) -> list[tuple[str, str, str]]:
        rows = await self.pool.fetch(
            "select login, object, detail from audit where action = $1 order by audit_id", action
        )
        return [(r["login"], r["object"], r["detail"]) for r in rows]


@dataclass
class Person:
    """Somebody who is signed in."""

    client: httpx.AsyncClient
    csrf: str

    async def move(self, alert: Alert, move: str, **fields: str) -> httpx.Response:
        """Press a button of the alert's page."""
        values = {"csrf": self.csrf, "move": move, "state": alert.state, "version": str(alert.version)}
        return await self.client.post(f"/alertas/{alert.alert_id}/mover", data=values | fields)

    async def call(self, alert: Alert, move: str, **fields: object) -> httpx.Response:
        """The same over the API."""
        return await self.client.post(
            f"/api/v1/alerts/{alert.alert_id}/moves",
            json={"move": move, **fields},
            headers={"X-CSRF-Token": self.csrf},
        )


async def sign_in(client: httpx.AsyncClient, login: str, password: str = PASSWORD) -> httpx.Response:
    page = await client.get("/ingresar")
    token = re.search(r'name="token" value="([^"]+)"', page.text)
    assert token is not None
    return await client.post("/ingresar", data={"usuario": login, "clave": password, "token": token[1]})


@asynccontextmanager
async def served(pool: Pool, settings: WebSettings, clock: VirtualClock) -> AsyncIterator[Site]:
    site = Site(pool, clock, settings)
    await site.start()
    try:
        yield site
        for browser in site.browsers:
            await browser.aclose()
    finally:
        await site.stop()


@pytest_asyncio.fixture
async def site(pool: Pool) -> AsyncIterator[Site]:
    await pool.executemany(
        "insert into users (login, name, role, password) values ($1, $2, $3, $4)",
        [(login, name, role, HASHED) for login, (name, role) in PEOPLE.items()],
    )
    async with served(pool, WebSettings(commune="Los Aromos"), VirtualClock()) as running:
        yield running


async def raise_alert(site: Site, kind: str = "panic", at: datetime | None = None, **fields: object) -> Alert:
    """An alert through the door that the intake uses, with the texts that it sets off; ``at``: else now."""
    at = at or site.clock.now()
    values: dict[str, object] = {
        "rule": f"{kind}_rule",
        "kind": kind,
        "priority": 1,
        "dedup_key": f"{kind}:{uuid.uuid4()}",
        "summary": "Botón de pánico: Los Boldos 12",
        "place": "Los Boldos 12",
        "sector": "Norte",
        "latitude": -34.4,
        "longitude": -72.0,
        "happened_at": at,
    }
    finding = Finding(**(values | fields))  # type: ignore[arg-type]
    async with site.pool.acquire() as connection, connection.transaction():
        outcomes = await alerts.open_or_join(connection, [finding], at)
        await notify.enqueue_for(connection, outcomes, at)
    return await fresh(site, outcomes[0].alert_id)


async def fresh(site: Site, alert_id: uuid.UUID) -> Alert:
    alert = await alerts.get(site.pool, alert_id)
    assert alert is not None
    return alert


# ------------------------------------------------------------------------------------------ sign in


async def test_a_stranger_gets_the_login_page_and_nothing_else(site: Site) -> None:
    stranger = site.stranger()
    page = await stranger.get("/alertas?estado=abiertas")
    assert page.status_code == 303
    assert page.headers["location"] == "/ingresar?siguiente=/alertas%3Festado%3Dabiertas"
    answer = await stranger.get("/api/v1/alerts")
    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["title"] == "Debe ingresar"


OPEN = {
    "/grafana/alertas": "_alerts_sent",
    "/calendario/{secret}.ics": "calendar_reader",
    "/publico/sectores.geojson": "published",
}
"""Routes without a session, and what guards each."""


async def test_every_route_asks_who_is_there_and_whether_that_person_may(site: Site) -> None:
    public = {"/ingresar", "/salud", "/metrics"}
    everybody = {"/", "/salir", "/api/v1/session", "/api/v1/openapi.json"}  # who is signed in, of any role
    seen = 0
    for path, methods, names in walk(site.app):
        if path in public:
            continue
        seen += 1
        if path.startswith("/pasarela/"):  # machines, each with a token of its own
            assert "hook_checked" in names, path
            continue
        if path in OPEN:  # each with a proof of its own
            assert OPEN[path] in names, path
            continue
        assert "signed_in" in names, path
        assert "check" in names or path in everybody, f"{path} asks for no permission"
        assert "POST" not in methods or "csrf_checked" in names, path
    assert seen >= 18


def walk(app: FastAPI) -> list[tuple[str, set[str], set[str]]]:
    """(path, methods, names of all dependencies) of every route."""
    return [
        (route.path or "", set(route.methods or ()), dependency_names(route.dependant))
        for route in iter_route_contexts(app.routes)
        if isinstance(route.original_route, APIRoute)
    ]


def dependency_names(dependant: object) -> set[str]:
    names = set()
    for child in dependant.dependencies:  # type: ignore[attr-defined]
        names |= {getattr(child.call, "__name__", "")} | dependency_names(child)
    return names


async def test_the_operator_signs_in_and_out(site: Site) -> None:
    operator = await site.person("olga")
    client = operator.client
    cookie = next(c for c in client.cookies.jar if c.name == "almenara")
    assert cookie.has_nonstandard_attr("HttpOnly")
    assert cookie.get_nonstandard_attr("SameSite") == "strict"
    assert (await client.get("/")).status_code == 200
    stored = await site.pool.fetchval("select session_id from sessions")
    assert cookie.value is not None
    assert cookie.value.encode() not in stored
    assert (await client.post("/salir", data={"csrf": operator.csrf})).status_code == 303
    client.cookies.set("almenara", cookie.value)  # a cookie that somebody kept
    assert (await client.get("/")).status_code == 303
    assert [login for login, _, _ in await site.audited("login")] == ["olga"]
    assert [login for login, _, _ in await site.audited("logout")] == ["olga"]


async def test_a_session_ends_by_itself_and_with_the_account(site: Site) -> None:
    operator, chief = await site.person("olga"), await site.person("jaime")
    await site.pool.execute("update users set active = false where login = 'jaime'")
    assert (await chief.client.get("/")).status_code == 303
    await site.clock.advance(12 * 3600 + 1)
    assert (await operator.client.get("/")).status_code == 303


async def test_wrong_passwords_are_told_alike_recorded_and_slowed_down(site: Site) -> None:
    stranger = site.stranger()
    texts = set()
    for login in ("olga", "nadie", "olga", "olga", "olga", "olga"):
        answer = await sign_in(stranger, login, "equivocada-del-todo")
        assert answer.status_code == 401
        texts.add(re.sub(r'value="[^"]*"', "", answer.text))
    assert len(texts) == 1  # an unknown login looks like a wrong password
    answer = await sign_in(stranger, "olga")
    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) <= WINDOW.total_seconds() + 1
    await site.clock.advance(WINDOW.total_seconds())
    assert (await sign_in(stranger, "olga")).status_code == 303
    failed = [login for login, _, _ in await site.audited("login_failed")]
    assert failed == ["olga", "nadie", "olga", "olga", "olga", "olga"]


async def test_a_password_typed_into_the_login_field_is_not_recorded(site: Site) -> None:
    stranger = site.stranger()
    await sign_in(stranger, "Mi Clave Secreta 9!", "olga")
    assert [login for login, _, _ in await site.audited("login_failed")] == ["?"]


@pytest.mark.parametrize(
    "wanted", ["//malo.example", "https://malo.example", "/\\malo.example", "javascript:x"]
)
async def test_the_login_leads_nowhere_else(site: Site, wanted: str) -> None:
    stranger = site.stranger()
    page = await stranger.get("/ingresar", params={"siguiente": wanted})
    token = re.search(r'name="token" value="([^"]+)"', page.text)
    assert token is not None
    fields = {"usuario": "olga", "clave": PASSWORD, "token": token[1], "siguiente": wanted}
    answer = await stranger.post("/ingresar", data=fields)
    assert answer.headers["location"] == "/"


async def test_the_login_form_of_another_site_is_refused(site: Site) -> None:
    stranger = site.stranger()
    answer = await stranger.post("/ingresar", data={"usuario": "olga", "clave": PASSWORD, "token": "x"})
    assert answer.status_code == 403


# ---------------------------------------------------------------------------------------- permissions


async def test_the_table_of_roles_denies_by_default() -> None:
    assert users.User("x", "", "alcalde").may(Permission.SEE_ALERTS) is False
    assert Permission.WORK_ALERTS not in ROLES["director"] | ROLES["auditor"] | ROLES["tecnico"]


async def test_each_role_sees_its_own_pages(site: Site) -> None:
    expected = {
        "olga": {"/": 200, "/alertas": 200, "/dispositivos": 200, "/ayuda": 200}
        | {"/entrega": 200, "/silencios": 200, "/turnos": 200},
        "tito": {
            "/": 303,
            "/alertas": 403,
            "/dispositivos": 200,
            "/ayuda": 200,
            "/eventos": 403,
            "/cola": 403,
            "/entrega": 403,
            "/silencios": 200,
            "/turnos": 403,
            "/reglas/ensayos/x": 404,
        },
        "aida": {
            "/entrega": 200,
            "/turnos": 403,
            "/reglas/ensayos/x": 403,
            "/": 200,
            "/alertas": 200,
            "/dispositivos": 403,
            "/mapa/dispositivos.json": 403,
        },
    }
    for login, pages in expected.items():
        person = await site.person(login)
        client = person.client
        got = {path: (await client.get(path)).status_code for path in pages}
        assert got == pages, login


async def test_nobody_changes_anything_without_the_token_of_the_form(site: Site) -> None:
    alert = await raise_alert(site)
    operator = await site.person("olga")
    client = operator.client
    for token in ("", "otro"):
        answer = await client.post(
            f"/alertas/{alert.alert_id}/mover", data={"move": "acknowledge", "csrf": token}
        )
        assert answer.status_code == 403
    answer = await client.post(f"/api/v1/alerts/{alert.alert_id}/moves", json={"move": "acknowledge"})
    assert answer.status_code == 403
    assert (await fresh(site, alert.alert_id)).acknowledged_at is None


async def test_an_auditor_reads_but_does_not_work(site: Site) -> None:
    alert = await raise_alert(site)
    auditor = await site.person("aida")
    client = auditor.client
    page = await client.get(f"/alertas/{alert.alert_id}")
    assert page.status_code == 200
    assert "Acusar recibo" not in page.text
    assert (await auditor.move(alert, "acknowledge")).status_code == 403
    assert (await auditor.call(alert, "acknowledge")).status_code == 403
    assert (await fresh(site, alert.alert_id)).acknowledged_at is None


# ------------------------------------------------------------------------------------- working alerts


async def test_an_operator_works_an_alert_to_its_end_and_only_the_chief_reopens_it(site: Site) -> None:
    alert = await raise_alert(site)
    operator, chief = await site.person("olga"), await site.person("jaime")
    for move in ("acknowledge", "verify", "dispatch", "arrive", "control"):
        answer = await operator.move(alert, move, note="móvil 3")
        assert answer.status_code == 303, answer.text
        alert = await fresh(site, alert.alert_id)
    refused = await operator.move(alert, "close")
    assert refused.status_code == 422
    assert "Elija el motivo de cierre" in refused.text
    assert (await operator.move(alert, "close", reason="porque_si")).status_code == 422
    assert (await operator.move(alert, "close", reason="attended", note="sin lesionados")).status_code == 303
    alert = await fresh(site, alert.alert_id)
    assert (alert.state, alert.reason) == ("closed", Reason.ATTENDED)
    page = (await operator.client.get(f"/alertas/{alert.alert_id}")).text
    assert "Real atendida: sin lesionados" in page
    assert "Reabrir" not in page
    assert (await operator.move(alert, "reopen")).status_code == 403
    assert "Reabrir" in (await chief.client.get(f"/alertas/{alert.alert_id}")).text
    assert (await chief.move(alert, "reopen", note="volvió a llamar")).status_code == 303
    moves = [detail for _, _, detail in await site.audited("alert_moved")]
    assert moves == ["acknowledge", "verify", "dispatch", "arrive", "control", "close attended", "reopen"]


async def test_two_people_do_not_overwrite_each_other(site: Site) -> None:
    seen = await raise_alert(site)
    operator, chief = await site.person("olga"), await site.person("jaime")
    assert (await chief.move(seen, "dispatch")).status_code == 303
    late = await operator.move(seen, "verify")
    assert late.status_code == 409
    assert "Despachada" in late.text
    assert (await operator.call(seen, "comment", note="x", version=seen.version)).status_code == 409


async def test_another_press_meanwhile_does_not_stop_the_acknowledgement(site: Site) -> None:
    seen = await raise_alert(site, dedup_key="panic:1")
    await raise_alert(site, dedup_key="panic:1")
    operator = await site.person("olga")
    assert (await operator.move(seen, "acknowledge")).status_code == 303
    after = await fresh(site, seen.alert_id)
    assert (after.acknowledged_by, after.event_count) == ("olga", 2)


async def test_alerts_are_merged_by_code_and_assigned_to_oneself(site: Site) -> None:
    first, second = await raise_alert(site), await raise_alert(site)
    operator = await site.person("olga")
    assert (await operator.move(first, "assign")).status_code == 303
    assert (await operator.move(second, "merge", target="Q0")).status_code == 422
    assert (await operator.move(second, "merge", target=first.code.lower())).status_code == 303
    assert (await fresh(site, first.alert_id)).assigned_to == "olga"
    assert (await fresh(site, second.alert_id)).merged_into == first.alert_id


async def test_the_strip_of_unacknowledged_p1_is_on_every_page_until_somebody_takes_it(site: Site) -> None:
    alert = await raise_alert(site)
    operator = await site.person("olga")
    client = operator.client
    for path in ("/", "/alertas", "/dispositivos", "/ayuda", f"/alertas/{alert.alert_id}", "/tira"):
        assert "1 alerta de vida sin acuse" in (await client.get(path)).text, path
    await operator.move(alert, "acknowledge")
    for path in ("/", "/alertas", "/dispositivos", "/ayuda", f"/alertas/{alert.alert_id}", "/tira"):
        assert "sin acuse" not in (await client.get(path)).text, path


async def test_reading_an_alert_is_recorded_once_for_each_person(site: Site) -> None:
    alert = await raise_alert(site)
    operator, chief = await site.person("olga"), await site.person("jaime")
    for _ in range(3):
        await operator.client.get(f"/alertas/{alert.alert_id}")
    await chief.client.get(f"/api/v1/alerts/{alert.alert_id}")
    assert await site.audited("alert_read") == [
        ("olga", str(alert.alert_id), ""),
        ("jaime", str(alert.alert_id), ""),
    ]


async def test_a_restricted_alert_hides_its_place_until_a_reason_is_given(site: Site) -> None:
    alert = await raise_alert(
        site, kind="duress", place="Pasaje Canario 77", summary="Atención reservada: Pasaje Canario 77"
    )
    operator, auditor = await site.person("olga"), await site.person("aida")
    address = f"/alertas/{alert.alert_id}"
    everywhere = (
        address,
        "/",
        "/alertas",
        "/cola",
        "/tira",
        "/alertas?texto=canario",
        "/api/v1/alerts",
        f"/api/v1{address.replace('alertas', 'alerts')}",
        f"/api/v1/alerts/{alert.alert_id}/timeline",
    )
    for path in everywhere:
        text = (await operator.client.get(path)).text
        assert "Canario 77" not in text, path
        assert "-34.4" not in text, path
    assert "Atención reservada" in (await operator.client.get("/cola")).text
    reading = {"csrf": operator.csrf, "motivo": "curiosidad"}
    assert (await operator.client.post(f"{address}/reservado", data=reading)).status_code == 422
    reading["motivo"] = "Despachar un móvil al lugar"
    assert (await operator.client.post(f"{address}/reservado", data=reading)).status_code == 303
    assert "Canario 77" in (await operator.client.get(address)).text
    assert "Canario 77" not in (await operator.client.get("/cola")).text  # others look at the wall
    assert await site.audited("restricted_read") == [("olga", str(alert.alert_id), reading["motivo"])]
    await site.clock.advance(31 * 60)
    assert "Canario 77" not in (await operator.client.get(address)).text
    reading["csrf"] = auditor.csrf
    assert (await auditor.client.post(f"{address}/reservado", data=reading)).status_code == 403


# ------------------------------------------------------------------------------------------ lists, API


async def test_the_history_filters_and_has_pages(site: Site) -> None:
    for number in range(55):
        await raise_alert(site, kind="gate_open", priority=3, place=f"Portón {number:03}", summary="Portón")
        await site.clock.advance(60)
    await raise_alert(site, place="Los Boldos 12")
    operator = await site.person("olga")
    client = operator.client
    first = (await client.get("/alertas", params={"tipo": "gate_open", "prioridad": "3"})).text
    assert "Portón 054" in first
    assert "Los Boldos" not in first.split('id="contenido"')[1]
    link = re.search(r'href="([^"]+)" rel="next"', first)
    assert link is not None
    second = (await client.get(link[1].replace("&amp;", "&"))).text
    assert ("Portón 004" in second, "Portón 005" in second) == (True, False)
    assert 'rel="next"' not in second
    assert "Portón 017" in (await client.get("/alertas", params={"texto": "portón 017"})).text
    day = f"{site.clock.now() - timedelta(days=3):%Y-%m-%d}"
    assert "Sin alertas" in (await client.get("/alertas", params={"hasta": day})).text
    assert (await client.get("/alertas", params={"desde": "ayer"})).status_code == 422
    # the empty fields of the form filter nothing
    empty = dict.fromkeys(("texto", "estado", "prioridad", "tipo", "desde", "hasta"), "")
    assert (await client.get("/alertas", params=empty)).status_code == 200
    opened = (await client.get("/alertas", params={"estado": "abiertas", "texto": "boldos"})).text
    assert "Los Boldos 12" in opened


async def test_the_device_list_shows_state_battery_refusals_and_what_was_adopted(site: Site) -> None:
    now = site.clock.now()
    await site.pool.execute("insert into gateways (gateway, name, state) values ('gw-1', 'Sede', 'online')")
    await site.pool.execute(
        "insert into devices (source, gateway, kind, name, sector, adopted) select 'urn:dev:x:' || n, 'gw-1',"
        " 'panic_button', 'Botón ' || n, 'Norte', n = 1 from generate_series(1, 60) n"
    )
    await site.pool.execute(
        "insert into device_state select device_id, $1::timestamptz - make_interval(secs => device_id * 10),"
        " 0.15 from devices where device_id <= 30",
        now,
    )
    await site.pool.execute(
        "insert into refusals (gateway, cause, count, first_at, last_at, detail)"
        " values ('gw-x', 'unknown_gateway', 3, $1, $1, 'id: <b>raro</b>')",
        now,
    )
    operator, technician = await site.person("olga"), await site.person("tito")
    page = (await technician.client.get("/dispositivos")).text
    assert "Mensajes rechazados" in page
    assert "Equipo desconocido" in page
    assert "&lt;b&gt;raro&lt;/b&gt;" in page
    assert "1 dispositivo adoptado" in page
    assert "15 %" in page
    next_page = re.search(r'href="([^"]+)" rel="next"', page)
    assert next_page is not None
    assert "Botón 60" in (await technician.client.get(next_page[1].replace("&amp;", "&"))).text
    silent = (await technician.client.get("/dispositivos", params={"estado": "silent"})).text
    assert ("Botón 30" in silent, "Botón 5<" in silent) == (True, False)
    assert "Mensajes rechazados" not in (await operator.client.get("/dispositivos")).text
    listed = (await operator.client.get("/api/v1/devices", params={"state": "online", "limit": 5})).json()
    assert [d["name"] for d in listed["devices"]] == [f"Botón {n}" for n in range(1, 6)]
    assert listed["next_after"] is not None


async def test_no_list_tells_where_a_silent_button_lives(site: Site) -> None:
    await site.pool.execute("insert into gateways (gateway) values ('gw-1')")
    await site.pool.execute(
        "insert into devices (source, gateway, kind, name, place, latitude, longitude)"
        " values ('urn:dev:x:9', 'gw-1', 'duress_button', 'Casa de Ana', 'Canario 77', -34.4, -72.0)"
    )
    chief = await site.person("jaime")
    for path in ("/dispositivos", "/api/v1/devices", "/mapa/dispositivos.json"):
        text = (await chief.client.get(path)).text
        assert "Ana" not in text, path
        assert "Canario" not in text, path
        assert "-34.4" not in text, path


async def test_the_api_lists_works_and_explains_itself(site: Site) -> None:
    alert = await raise_alert(site)
    operator = await site.person("olga")
    client = operator.client
    page = (await client.get("/api/v1/alerts", params={"open_only": True})).json()
    assert [a["code"] for a in page["alerts"]] == [alert.code]
    answer = await operator.call(alert, "acknowledge", version=alert.version)
    assert answer.json()["state"] == "acknowledged"
    assert "dispatch" in answer.json()["moves"]
    illegal = await operator.call(alert, "arrive")
    assert (illegal.status_code, illegal.headers["content-type"]) == (409, "application/problem+json")
    assert "«Acusada»" in illegal.json()["detail"]
    missing = await operator.call(alert, "close")
    assert missing.json()["errors"] == [{"field": "reason", "detail": "Elija el motivo de cierre."}]
    wrong = await operator.call(alert, "explotar")
    assert (wrong.status_code, wrong.json()["errors"][0]["field"]) == (422, "move")
    log = (await client.get(f"/api/v1/alerts/{alert.alert_id}/timeline")).json()
    assert [e["move"] for e in log["entries"]] == ["opened", "acknowledge"]
    assert (await client.get(f"/api/v1/alerts/{uuid.uuid4()}")).status_code == 404
    assert (await client.get("/api/v1/alerts/no-es-un-id")).status_code == 422
    document = (await client.get("/api/v1/openapi.json")).json()
    assert document["openapi"].startswith("3.")
    assert set(document["paths"]) >= {
        "/api/v1/alerts",
        "/api/v1/alerts/{alert_id}/moves",
        "/api/v1/devices",
    }
    for path in ("/docs", "/redoc", "/openapi.json"):
        assert (await client.get(path)).status_code == 404


# -------------------------------------------------------------------------------- headers, health, files


async def test_every_answer_carries_the_security_headers(site: Site) -> None:
    stranger = site.stranger()
    for path in ("/ingresar", "/no-existe", "/salud", "/api/v1/alerts"):
        headers = (await stranger.get(path)).headers
        policy = headers["content-security-policy"]
        assert "script-src 'self'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "same-origin"
        assert headers["cache-control"] == "no-store"
        assert "server" not in headers


async def test_pages_hold_no_inline_script_or_style(site: Site) -> None:
    await raise_alert(site)
    operator = await site.person("olga")
    client = operator.client
    for path in ("/", "/alertas", "/dispositivos", "/ayuda"):
        text = (await client.get(path)).text
        assert not re.search(r"<script(?![^>]*\bsrc=)|\sstyle=|\son\w+=|<style", text), path
        assert not re.search(r'(?:src|href)="(?:https?:)?//', text), path


async def test_files_are_kept_for_ever_under_their_version(site: Site) -> None:
    stranger = site.stranger()
    page = (await stranger.get("/ingresar")).text
    names = re.findall(r'(?:src|href)="(/static/[^"]+)"', page)
    assert names
    for name in names:
        answer = await stranger.get(name)
        assert answer.status_code == 200
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
    old = await stranger.get("/static/000000000000/css/base.css")
    assert (old.status_code, old.headers["cache-control"]) == (200, "no-cache")
    assert (await stranger.get("/static/x/../../settings.py")).status_code == 404


def test_missing_files_name_the_remedy(tmp_path: object) -> None:
    with pytest.raises(AssetsMissingError, match="make setup"):
        require_assets(tmp_path)  # type: ignore[arg-type]


async def test_health_and_metrics(site: Site) -> None:
    stranger = site.stranger()
    assert (await stranger.get("/salud")).json() == {"status": "ok", "database": "ok"}
    assert (await stranger.get("/metrics")).text == "almenara_up 1\n"


async def test_metrics_are_for_this_machine_or_a_token(site: Site, pool: Pool) -> None:
    settings = WebSettings(metrics_token="llave")
    async with served(pool, settings, site.clock) as other:
        stranger = other.stranger()
        # uvicorn believes a proxy on loopback about whom it speaks for
        far = {"X-Forwarded-For": "203.0.113.9"}
        assert (await stranger.get("/metrics", headers=far)).status_code == 403
        told = far | {"Authorization": "Bearer llave"}
        assert (await stranger.get("/metrics", headers=told)).status_code == 200
        wrong = far | {"Authorization": "Bearer otra"}
        assert (await stranger.get("/metrics", headers=wrong)).status_code == 403


async def test_cookies_are_bound_to_the_host_where_tls_is_set(site: Site, pool: Pool) -> None:
    async with (
        served(pool, WebSettings(secure_cookie=True), site.clock) as secure,
        secure.stranger() as client,
    ):
        page = await client.get("/ingresar")
        assert "Secure" in page.headers["set-cookie"]
        assert page.headers["strict-transport-security"].startswith("max-age=")
        token = re.search(r'name="token" value="([^"]+)"', page.text)
        assert token is not None
        answer = await client.post(
            "/ingresar",
            data={"usuario": "olga", "clave": PASSWORD, "token": token[1]},
            headers={"Cookie": f"almenara_ingreso={token[1]}"},
        )
        cookies = answer.headers.get_list("set-cookie")
        assert any(c.startswith("__Host-almenara=") and "Secure" in c and "Path=/;" in c for c in cookies)


async def test_long_bodies_are_refused(site: Site) -> None:
    operator = await site.person("olga")
    alert = await raise_alert(site)
    assert (await operator.move(alert, "comment", note="x" * 70_000)).status_code == 413
    assert (await operator.move(alert, "comment", note="x" * 2_001)).status_code == 422


async def test_a_taken_address_is_named(site: Site) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(WebServerError, match=f"127.0.0.1:{port}"):
            await serve(site.app, "127.0.0.1", port)


# ---------------------------------------------------------------------------------------------- live


async def test_the_live_line_tells_changes_and_ends_with_the_hub(site: Site) -> None:
    alert_id = str(uuid.uuid4())
    operator = await site.person("olga")
    heard: list[tuple[str, object]] = []
    async with asyncio.timeout(60), operator.client.stream("GET", "/eventos", timeout=10) as line:
        assert line.headers["content-type"].startswith("text/event-stream")
        event = ""
        async for text in line.aiter_lines():
            name, _, value = text.partition(": ")
            if name == "event":
                event = value
            elif name == "data":
                heard.append((event, json.loads(value)))
                if len(heard) == 1:
                    site.bus.publish(alert_id, 4)
                elif len(heard) == 2:
                    site.bus.heard("")
                elif len(heard) == 3:
                    site.bus.close()
    assert heard[0] == ("latido", {"now": site.clock.now().isoformat()})
    assert heard[1] == ("alerta", {"alert_id": alert_id, "version": 4})
    assert heard[2] == ("todo", {})
    assert len(heard) == 3
    assert site.bus.listeners == 0


async def test_a_slow_console_is_told_to_read_everything_again() -> None:
    bus = AlertBus(max_pending=3)
    with bus.subscribe() as slow, bus.subscribe() as quick:
        for version in range(3):
            bus.publish("a", version)
        assert [await quick.next(1) for _ in range(3)] == [AlertChanged("a", v) for v in range(3)]
        for version in range(3, 9):
            bus.publish("a", version)
        assert await slow.next(1) == Refresh()
        assert await slow.next(0) is None
        bus.close()
        assert await slow.next(1) == Closed()
    with bus.subscribe() as late:
        assert await late.next(1) == Closed()


# ----------------------------------------------------------------------------------------------- parts


async def test_the_first_user_is_made_once_and_can_sign_in(pool: Pool) -> None:
    password = await users.ensure_first_user(pool)
    assert password is not None
    assert await users.ensure_first_user(pool) is None
    async with served(pool, WebSettings(), VirtualClock()) as site:
        chief = site.stranger()
        assert (await sign_in(chief, users.FIRST_LOGIN, password)).status_code == 303
        await users.set_password(pool, users.FIRST_LOGIN, PASSWORD)
        assert (await chief.get("/")).status_code == 303  # the old session ended with the old password
        assert (await sign_in(chief, users.FIRST_LOGIN, PASSWORD)).status_code == 303


@pytest.mark.parametrize(
    ("login", "role", "password", "complaint"),
    [
        ("olga", "operador", PASSWORD, "ya existe"),
        ("Olga", "operador", PASSWORD, "minúsculas"),
        ("otra", "reina", PASSWORD, "rol"),
        ("otra", "operador", "corta", "entre 10 y 200"),
    ],
)
async def test_accounts_that_cannot_be_say_why(
    site: Site, login: str, role: str, password: str, complaint: str
) -> None:
    with pytest.raises(users.UserError, match=complaint):
        await users.create_user(site.pool, login, "Nombre", role, password)


def test_the_throttle_stops_a_person_not_the_room_and_stays_small() -> None:
    throttle, now = LoginThrottle(max_keys=50), VirtualClock().now()
    for _ in range(MAX_BY_PERSON):
        throttle.failed("olga", "10.0.0.9", now)
    assert throttle.wait_s("olga", "10.0.0.9", now) == WINDOW.total_seconds()
    assert throttle.wait_s("olga", "10.0.0.1", now) == 0
    assert throttle.wait_s("jaime", "10.0.0.9", now) == 0
    assert throttle.wait_s("olga", "10.0.0.9", now + WINDOW) == 0
    for number in range(500):
        throttle.failed(f"u{number}", f"10.1.{number // 250}.{number % 250}", now)
    assert len(throttle) == 50


def test_recent_reads_are_forgotten_in_time_and_in_number() -> None:
    reads, now = RecentReads(timedelta(hours=1), max_reads=2), VirtualClock().now()
    assert reads.is_new(b"s", "a", now)
    assert not reads.is_new(b"s", "a", now + timedelta(minutes=59))
    assert reads.is_new(b"s", "a", now + timedelta(hours=1))
    assert reads.is_new(b"s", "b", now)
    assert reads.is_new(b"s", "c", now)
    assert reads.is_new(b"s", "a", now)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0:00"),
        (42, "0:42"),
        (599, "9:59"),
        (600, "10 min"),
        (3599, "59 min"),
        (3600, "1 h 00"),
        (90_000, "1 d 1 h"),
        (-5, "0:00"),
    ],
)
def test_ages_are_short(seconds: int, text: str) -> None:
    now = VirtualClock().now()
    assert age(now - timedelta(seconds=seconds), now) == text


def test_times_are_those_of_the_commune_also_when_the_clocks_change() -> None:
    wall = Wall("America/Santiago")
    winter, summer = (
        datetime.fromisoformat("2026-07-01T12:00:00Z"),
        datetime.fromisoformat("2026-12-01T12:00:00Z"),
    )
    assert (wall.clock(winter), wall.clock(summer)) == ("08:00:00", "09:00:00")
    assert wall.moment(winter, summer) == "1 jul 08:00"
    assert wall.moment(summer, summer + timedelta(days=400)) == "1 dic 2026 09:00"


def test_the_moves_of_the_lifecycle_all_have_words() -> None:
    from hub.web import cards

    assert set(cards._DONE) == set(cards.MOVE_PERMISSIONS) == set(Move)
    assert {move.value for move in Move} <= set(cards._TITLES)


async def test_the_command_line_adds_an_account_with_its_role(dsn: str, site: Site, tmp_path: Path) -> None:
    words = ("--name", "Dora", "--role", "director", "--database", dsn, "--data", str(tmp_path))
    code, said = await run("hub.cli", "users", "add", "dora", *words, given=f"{PASSWORD}\n")
    assert code == 0, said
    assert await site.pool.fetchval("select role from users where login = 'dora'") == "director"
    dora = await site.person("dora")
    assert (await dora.client.get("/direccion")).status_code == 200
