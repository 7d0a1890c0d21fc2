"""The Director's one screen: what waits, what is down, how the plan stands, what comes next, what is owed."""

import re
from datetime import timedelta

import planned_commune
from test_hub_operations import draft
from test_hub_registers import SITTING, add
from test_hub_web import HASHED, Person, Site, raise_alert, site

from hub.operations import service
from hub.registers.catalogue import AGREEMENTS, REQUESTS, SESSIONS

__all__ = ["site"]  # a fixture


async def director(site: Site) -> Person:
    await site.pool.execute(
        "insert into users (login, name, role, password) values ('dora', 'Dora', 'director', $1)", HASHED
    )
    return await site.person("dora")


async def test_an_empty_commune_says_that_nothing_is_known(site: Site) -> None:
    page = (await (await director(site)).client.get("/direccion")).text
    for text in (
        "Sin alertas P1 ni P2",
        "Todos los equipos hablan",
        "Sin plan vigente",
        "Ninguno programado",
    ):
        assert text in page, text
    assert "No hay próxima sesión programada" in page


async def test_what_waits_is_down_behind_coming_and_owed_stands_on_one_page(site: Site) -> None:
    person = await director(site)
    await planned_commune.fill(site.pool, months=1)
    now = site.clock.now()
    alert = await raise_alert(site, summary="Botón de pánico")
    start = now + timedelta(days=3)
    planned = draft(planned_start=start, planned_end=start + timedelta(hours=4), hot_spot="FOC-COSTA-01")
    operation = await service.plan(site.pool, planned, author="jaime", now=now)
    coming = {**SITTING, "state": "planned", "starts_at": "2026-12-09T10:00"}
    session = await add(site.pool, SESSIONS, now, **coming)
    agreement = {"agreement": "Luminarias", "owner": "DOM", "due_on": "2026-10-01"}
    owed = await add(site.pool, AGREEMENTS, now, session=session, **agreement)
    asked = await add(
        site.pool, REQUESTS, now, institution="Fiscalía", received_on="2026-10-01", due_on="2026-10-08"
    )
    page = (await person.client.get("/direccion")).text
    for text in (alert.code, operation.folio, "foco FOC-COSTA-01", owed, asked, "O2-2"):
        assert text in page, text
    assert f"/registros/sesiones/{session}" in page
    assert re.search(r"Sin señal \(([1-9]\d*)\)", page)
    assert re.search(r"0 de 1</strong> tomadas a tiempo", page)
    assert [what for _, what, _ in await site.audited("plan_read")] == ["direccion"]


async def test_it_is_the_directors_page(site: Site) -> None:
    person = await director(site)
    answer = await person.client.get("/ingresar")
    assert answer.headers.get("location") == "/direccion"
    for login in ("olga", "tito", "jaime", "aida"):
        assert (await (await site.person(login)).client.get("/direccion")).status_code == 403
