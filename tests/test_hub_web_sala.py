"""The wall: its figures, who may see it, and screens that nobody signs in to."""

import asyncio
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest
import pytest_asyncio
from fastapi.routing import APIRoute, iter_route_contexts
from test_hub_web import Site, raise_alert, sign_in, site
from test_hub_web_device import tank

from hub.alerts import service as alerts
from hub.alerts.lifecycle import Move
from hub.alerts.model import Alert
from hub.cli import main
from hub.plan.parameters import SLA_S
from hub.web import sala, screens
from hub.web.permissions import ROLES, Permission
from hub.web.sala import Answers, SalaBook
from hub.web.texts import Wall, brief
from hub.web.users import UserError

__all__ = ["site"]  # a fixture

WALL = Wall("America/Santiago")


async def figures(site: Site) -> sala.Sala:
    return await sala.load(site.pool, site.clock.now(), WALL)


async def taken(site: Site, ago: timedelta, after_s: float | None, priority: int = 1) -> Alert:
    """An alert of some time ago, taken ``after_s`` later or not at all."""
    at = site.clock.now() - ago
    alert = await raise_alert(site, priority=priority, at=at)
    if after_s is not None:
        await alerts.move(
            site.pool, alert.alert_id, Move.ACKNOWLEDGE, author="olga", now=at + timedelta(seconds=after_s)
        )
    return alert


async def hear(site: Site, device_id: int, instants: list[datetime]) -> None:
    """Events of a device as the intake stores them."""
    await site.pool.execute(
        "insert into events (id, device_id, gateway, type, happened_at, time_quality, received_at, digest)"
        " select gen_random_uuid(), device_id, gateway, 'panic.pressed', at, 'device', at, ''"
        " from devices, unnest($2::timestamptz[]) at where device_id = $1",
        device_id,
        instants,
    )


# ------------------------------------------------------------------------------------------ figures


async def test_open_alerts_are_counted_and_stand_in_the_order_of_the_room(site: Site) -> None:
    second = await raise_alert(site, kind="gate_open", priority=2)
    old = await taken(site, timedelta(minutes=9), 5)
    new = await taken(site, timedelta(minutes=1), None)
    await raise_alert(site, is_drill=True)
    found = await figures(site)
    assert [(one.priority, one.n, one.waiting) for one in found.counts] == [
        (1, 2, 1),
        (2, 1, 1),
        (3, 0, 0),
        (4, 0, 0),
    ]
    assert [one.code for one in found.live] == [new.code, old.code, second.code]
    assert found.live[0].due_at == new.opened_at + timedelta(seconds=SLA_S[1])
    assert found.live[1].due_at is None
    assert found.live[0].where == "Los Boldos 12"


async def test_answers_count_what_was_taken_and_what_nobody_took_in_time(site: Site) -> None:
    hour = timedelta(hours=1)
    await taken(site, hour, 9)
    await taken(site, hour, 15)
    await taken(site, hour, 40)  # too late
    await taken(site, hour, None)  # still waiting, its time is over
    await taken(site, timedelta(seconds=5), None)  # its time still runs
    await taken(site, timedelta(days=3), 3)
    await taken(site, timedelta(days=8), 3)  # another week
    battery = await taken(site, hour, None, priority=4)
    await site.pool.execute(
        "update alerts set state = 'closed', closed_at = opened_at + interval '2 minutes'"
        " where alert_id = $1",
        battery.alert_id,
    )  # it was charged again: nobody had to come
    [first] = (await figures(site)).promises
    assert (first.priority, first.target_s) == (1, 15)
    assert first.today == Answers(4, 2, 15.0)
    assert (first.week.n, first.week.in_time) == (5, 3)
    assert (first.today.percent, Answers(0, 0, None).percent, Answers(1000, 999, 1.0).percent) == (
        50,
        None,
        99,
    )


async def test_today_begins_at_local_midnight(site: Site) -> None:
    since_midnight = site.clock.now() - WALL.midnight(WALL.field(site.clock.now())[:10])
    await taken(site, since_midnight + timedelta(minutes=1), 5)
    await taken(site, since_midnight - timedelta(minutes=1), 5)
    [first] = (await figures(site)).promises
    assert (first.today.n, first.week.n) == (1, 2)


async def test_cameras_buttons_and_events(site: Site) -> None:
    now = site.clock.now()
    for kind, name in (("camera", "Cámara Plaza"), ("camera", "Cámara Playa"), ("panic_button", "Botón 1")):
        device_id = await tank(site, kind, name)
        if name != "Cámara Playa":
            await site.pool.execute(
                "insert into device_state (device_id, last_seen_at) values ($1, $2)", device_id, now
            )
    await tank(site, "duress_button", "Casa de alguien")
    await raise_alert(
        site, kind="device_silent", priority=3, device_id=device_id, at=now - timedelta(hours=1)
    )
    heard = [now, now - timedelta(minutes=6), now - timedelta(hours=3), now - timedelta(hours=30)]
    await hear(site, device_id, heard)
    found = await figures(site)
    assert (found.cameras.n, found.cameras.n_out) == (2, 1)
    [camera] = found.cameras.out
    assert (camera.name, camera.since) == ("Cámara Playa", None)
    [button] = found.buttons.out
    assert (button.name, button.since) == ("Botón 1", now - timedelta(hours=1))
    assert len(found.hours) == sala.HOURS
    assert [(bar.label, bar.n) for bar in found.hours if bar.n] == [("18", 1), ("20", 1), ("21", 1)]


async def test_a_reserved_case_keeps_its_times_and_loses_its_place(site: Site) -> None:
    await raise_alert(site, kind="duress", place="Pasaje Canario 77", sector="Norte")
    client = (await site.person("olga")).client
    page = (await client.get("/sala")).text
    assert "Atención reservada" in page
    assert "Canario" not in page
    assert "data-lat" not in page.split('id="cola"')[1].split("</ol>")[0]


@pytest.mark.parametrize(
    ("seconds", "text"), [(8.6, "9 s"), (125, "2,1 min"), (1500, "25 min"), (3900, "1 h 05")]
)
async def test_how_long_it_took(seconds: float, text: str) -> None:
    assert brief(seconds) == text


async def test_many_screens_are_one_question_and_a_change_is_never_missed(site: Site) -> None:
    book, now = SalaBook(), site.clock.now()

    async def read() -> sala.Sala:
        return await book.read(site.pool, site.bus, now, WALL)

    first, *others = await asyncio.gather(*(read() for _ in range(20)))
    assert all(one is first for one in others)
    await raise_alert(site)
    assert (await read()) is first  # nobody has told yet
    site.bus.refresh()
    assert (await read()).total == 1


# ----------------------------------------------------------------------------------------- screens


@pytest_asyncio.fixture
async def screen(site: Site) -> AsyncIterator[httpx.AsyncClient]:
    """A screen that was signed in with its key."""
    key = await screens.add(site.pool, "sala-1", "Sala de operaciones", site.clock.now())
    client = site.stranger()
    answer = await sign_in(client, "sala-1", key)
    assert answer.headers["location"] == "/sala"
    yield client


async def test_a_screen_sees_the_wall_and_nothing_else(site: Site, screen: httpx.AsyncClient) -> None:
    await raise_alert(site)
    assert ROLES["pantalla"] == {Permission.SEE_WALL}
    for path in ("/sala", "/sala/cifras", "/sala/comuna.geojson"):
        assert (await screen.get(path)).status_code == 200, path
    assert (await screen.get("/")).headers["location"] == "/sala"
    allowed = {"/", "/ingresar", "/salir", "/salud", "/metrics", "/api/v1/session", "/api/v1/openapi.json"}
    seen = 0
    for route in iter_route_contexts(site.app.routes):
        path = route.path or ""
        if not isinstance(route.original_route, APIRoute) or path in allowed or path.startswith("/sala"):
            continue
        if path.startswith(("/pasarela/", "/calendario/", "/publico/")):  # for machines without a session
            continue
        seen += 1
        address = re.sub(r"\{[^}]*(id|alert)[^}]*\}", "01936f6e-5a4c-7b1e-8d21-6f0f4c1b2a3d", path)
        address = re.sub(r"\{[^}]*\}", "1", address)
        for method in route.methods or ():
            answer = await screen.request(method, address, data={"csrf": "x"})
            assert answer.status_code in (403, 422), (method, path, answer.status_code)
    assert seen > 40


async def test_a_key_opens_once(site: Site, screen: httpx.AsyncClient) -> None:
    key = await screens.new_key(site.pool, "sala-1", site.clock.now())
    assert (await screen.get("/sala")).status_code == 303  # the old session went with the old key
    assert (await sign_in(site.stranger(), "sala-1", key)).status_code == 303
    assert (await sign_in(site.stranger(), "sala-1", key)).status_code == 401
    assert (await sign_in(site.stranger(), "sala-1", "-")).status_code == 401


async def test_a_screen_stays_signed_in_for_ever_while_it_is_on(
    site: Site, screen: httpx.AsyncClient
) -> None:
    for _ in range(4):
        await site.clock.advance(timedelta(days=300).total_seconds())
        answer = await screen.get("/sala")
        assert answer.status_code == 200
        assert f"Max-Age={int(screens.LENGTH.total_seconds())}" in answer.headers["set-cookie"]
    assert "set-cookie" not in (await screen.get("/sala")).headers
    await site.clock.advance(screens.LENGTH.total_seconds() + 1)
    assert (await screen.get("/sala")).status_code == 303


async def test_a_revoked_screen_is_dark_at_once(site: Site, screen: httpx.AsyncClient) -> None:
    await screens.revoke(site.pool, "sala-1", site.clock.now())
    assert (await screen.get("/sala/cifras", headers={"Accept": "application/json"})).status_code == 401
    assert [one.state for one in await screens.list_screens(site.pool, site.clock.now())] == ["revoked"]
    assert [row[1] for row in await site.audited("screen_revoked")] == ["sala-1"]
    with pytest.raises(UserError, match="No hay una pantalla «olga»"):
        await screens.revoke(site.pool, "olga", site.clock.now())


async def test_the_screens_line_says_that_something_changed_and_never_what(
    site: Site, screen: httpx.AsyncClient
) -> None:
    alert = await raise_alert(site)
    async with screen.stream("GET", "/sala/eventos") as answer:
        lines = answer.aiter_lines()
        assert await anext(lines) == "retry: 2000"
        site.bus.publish(str(alert.alert_id), 1)
        heard = []
        async for line in lines:
            heard.append(line)
            if line == "event: todo":
                break
    assert str(alert.alert_id) not in "\n".join(heard)


async def test_who_may_not_see_the_wall_does_not(site: Site) -> None:
    for login, status in (("olga", 200), ("jaime", 200), ("tito", 403), ("aida", 403)):
        assert (await (await site.person(login)).client.get("/sala")).status_code == status, login


def test_screens_are_made_and_revoked_by_command(dsn: str, capsys: pytest.CaptureFixture[str]) -> None:
    def run(*words: str) -> tuple[int, str, str]:
        code = main(["--log", "error", "users", "screen", *words, "--database", dsn])
        return code, *capsys.readouterr()

    code, out, _ = run("add", "sala-1", "--name", "Sala de operaciones")
    assert code == 0
    assert re.search(r"clave:   (\w{4}-){3}\w{4}", out)
    assert "espera que se escriba su clave" in run("list")[1]
    assert "ya existe" in run("add", "sala-1", "--name", "Otra")[2]
    assert "va en minúsculas" in run("add", "Sala 1", "--name", "Otra")[2]
    assert run("key", "sala-1")[1] != out
    assert run("revoke", "sala-1")[1] == "pantalla revocada: sala-1\n"
    assert "sala-1\tSala de operaciones\trevocada" in run("list")[1]
    assert "No hay una pantalla «nadie»" in run("revoke", "nadie")[2]


async def test_the_hours_are_those_of_the_commune() -> None:
    now = datetime(2026, 11, 24, 0, 4, tzinfo=UTC)
    bars = sala.hour_bars([{"at": datetime(2026, 11, 23, 23, tzinfo=UTC), "n": 4}], now, WALL)
    assert [(bar.label, bar.n, bar.height) for bar in bars[-2:]] == [("20", 4, 1.0), ("21", 0, 0.0)]
