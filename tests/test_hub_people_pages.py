"""Groups, calls, drills and bulletins as the room sees them; what each role may see; what is audited."""

import re
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from fakes import VirtualClock
from playwright.async_api import async_playwright, expect
from processes import run
from test_hub_console import CHROMIUM, FLAGS
from test_hub_web import HASHED, PASSWORD, PEOPLE, Site, served
from village import ANA, EVA, LUIS, NOW, SETTINGS, Village, after, settled

from hub.database import Pool
from hub.notify import call_tree, contacts, drills
from hub.web.settings import WebSettings


@pytest_asyncio.fixture
async def site(pool: Pool) -> AsyncIterator[Site]:
    people = PEOPLE | {"dora": ("Dora Díaz", "director")}
    await pool.executemany(
        "insert into users (login, name, role, password) values ($1, $2, $3, $4)",
        [(login, name, role, HASHED) for login, (name, role) in people.items()],
    )
    async with served(pool, WebSettings(commune="Los Aromos"), VirtualClock(NOW)) as site:
        yield site


@pytest.fixture
async def village(site: Site) -> Village:
    return await settled(site.pool)


async def page(site: Site, login: str, path: str) -> httpx.Response:
    return await (await site.person(login)).client.get(path)


NAMES = re.compile("Ana Rojas|Luis Soto|Eva Paz")


async def test_names_are_for_those_who_need_them_and_reading_them_is_recorded(
    site: Site, village: Village
) -> None:
    drill_id = await drills.run_now(site.pool, "Los Boldos", author="jaime", now=NOW)
    await village.sends(ANA, "1", after(5))
    named = {"/grupos/ver?grupo=Los+Boldos", f"/simulacros/{drill_id}", "/mensajes", "/llamadas"}
    counted = {"/grupos", "/simulacros"}
    may = {
        "olga": (named | counted, {"/boletines"}),
        "jaime": (named | counted | {"/boletines"}, set()),
        "dora": (counted, named | {"/boletines"}),
        "aida": (counted, named | {"/boletines"}),
        "tito": (set(), named | counted | {"/boletines"}),
    }
    for login, (allowed, refused) in may.items():
        client = (await site.person(login)).client
        for path in allowed | refused:
            answer = await client.get(path)
            assert answer.status_code == (200 if path in allowed else 403), (login, path)
            assert bool(NAMES.search(answer.text)) is (
                path in allowed and path.startswith(("/grupos/ver", "/simulacros/"))
            )
            assert "87650001" not in answer.text
    reads = [(login, thing) for login, thing, _ in await site.audited("people_read")]
    assert sorted(reads) == sorted(
        (login, thing) for login in ("olga", "jaime") for thing in ("Los Boldos", str(drill_id))
    )


async def test_the_next_person_to_call_with_the_number_and_what_became_of_it(
    site: Site, village: Village
) -> None:
    alert = await village.alert()
    await village.sends(ANA, "voy", after(5))
    await call_tree.watch_quorums(site.pool, after(200))
    operator = await site.person("olga")
    text = (await operator.client.get("/llamadas")).text
    assert "1 de 2 confirmaron que van" in text
    assert text.count("+569") == 1
    assert "+56987650003" in text  # Eva
    persona = re.search(r'name="persona" value="(\d+)"', text)
    assert persona is not None
    [(login, thing, detail)] = await site.audited("phone_read")
    assert (login, thing, detail) == ("olga", str(alert.alert_id), f"contact:{persona[1]}")
    fields = {"csrf": operator.csrf, "persona": persona[1], "resultado": "no_answer"}
    assert (await operator.client.post(f"/llamadas/{alert.alert_id}", data=fields)).status_code == 303
    text = (await operator.client.get("/llamadas")).text
    assert "+56987650002" in text  # Luis
    assert "No contesta" in text
    # the alert shows the same calls, and no number
    detail = (await operator.client.get(f"/alertas/{alert.alert_id}")).text
    assert "+569" not in detail
    assert "Llame ahora a <strong>Luis Soto</strong>" in detail
    assert "no contestó la llamada" in detail
    assert f"/llamadas#alerta-{alert.code}" in detail
    # and what is noted there moves the list of calls on
    luis = await site.pool.fetchval("select contact_id from contacts where phone = $1", LUIS)
    noted = fields | {"persona": str(luis), "resultado": "coming"}
    assert (await operator.client.post(f"/alertas/{alert.alert_id}/llamada", data=noted)).status_code == 303
    assert await village.answers(alert.alert_id) == {"Ana Rojas": "coming", "Luis Soto": "coming"}
    await call_tree.watch_quorums(site.pool, after(210))
    ended = (await operator.client.get(f"/alertas/{alert.alert_id}")).text
    assert "2 de 2</span> confirmados" in ended
    bad = await operator.client.post(f"/llamadas/{alert.alert_id}", data=fields | {"resultado": "quizás"})
    assert bad.status_code == 422
    nobody = await operator.client.post(f"/llamadas/{alert.alert_id}", data=fields | {"persona": "999"})
    assert nobody.status_code == 422
    assert "no está en la lista" in nobody.text


async def test_the_chief_changes_a_group_and_starts_a_drill(site: Site, village: Village) -> None:
    chief, operator = await site.person("jaime"), await site.person("olga")
    fields = {
        "csrf": chief.csrf,
        "grupo": "Los Boldos",
        "quorum": "3",
        "plazo": "240",
        "muestra": "first_name",
        "dia": "5",
        "hora": "10:30",
    }
    assert (await chief.client.post("/grupos/cambiar", data=fields)).status_code == 303
    row = await site.pool.fetchrow("select * from watch_groups")
    assert (row["quorum"], row["quorum_within_s"], row["shows"], row["drill_day"]) == (
        3,
        240,
        "first_name",
        5,
    )
    assert (await chief.client.post("/grupos/cambiar", data=fields | {"dia": "30"})).status_code == 422
    planned = [d.planned_at for d in await drills.list_drills(site.pool)]
    assert planned == [datetime(2026, 12, 5, 13, 30, tzinfo=UTC)]
    assert (await chief.client.post("/grupos/cambiar", data=fields | {"dia": "9"})).status_code == 303
    planned = [d.planned_at for d in await drills.list_drills(site.pool)]
    assert planned == [datetime(2026, 12, 9, 13, 30, tzinfo=UTC)]
    await chief.client.post("/grupos/cambiar", data=fields | {"dia": ""})
    assert await drills.list_drills(site.pool) == []
    refused = await operator.client.post("/grupos/cambiar", data=fields | {"csrf": operator.csrf})
    assert refused.status_code == 403
    started = await chief.client.post("/simulacros", data={"csrf": chief.csrf, "grupo": "Los Boldos"})
    assert started.status_code == 303
    assert "Luis Soto" in (await chief.client.get(started.headers["location"])).text
    again = await chief.client.post("/simulacros", data={"csrf": chief.csrf, "grupo": "Los Boldos"})
    assert again.status_code == 422
    assert "Ya hay un simulacro en curso" in again.text


async def test_the_proof_is_downloaded_byte_for_byte_and_a_forged_one_is_told(
    site: Site, village: Village
) -> None:
    drill_id = await drills.run_now(site.pool, "Los Boldos", author="jaime", now=NOW)
    await drills.run_due(site.pool, SETTINGS, NOW + timedelta(hours=1))
    auditor = await site.person("aida")
    proof = await auditor.client.get(f"/simulacros/{drill_id}/constancia")
    digest = await site.pool.fetchval("select digest from drills")
    assert drills.digest_of(proof.text) == digest
    assert digest[:16] in (await auditor.client.get("/simulacros")).text
    await site.pool.execute("update drills set snapshot = snapshot || ' '")
    assert "ALTERADA" in (await auditor.client.get("/simulacros")).text


async def test_a_bulletin_asks_for_how_many_people_it_is(site: Site, village: Village) -> None:
    await site.pool.execute("update contacts set bulletins = true")
    chief = await site.person("jaime")
    fields = {"csrf": chief.csrf, "texto": "Mañana corte de agua", "grupo": "Los Boldos"}
    asked = await chief.client.post("/boletines", data=fields)
    assert re.search(r"<strong class=\"number\">3</strong> personas", asked.text)
    assert await village.texts("bulletin") == []
    wrong = await chief.client.post("/boletines", data=fields | {"confirmados": "30"})
    assert wrong.status_code == 422
    assert (await chief.client.post("/boletines", data=fields | {"confirmados": "3"})).status_code == 303
    assert len(await village.texts("bulletin")) == 3


async def test_a_text_that_nobody_could_place_is_read_once(site: Site, village: Village) -> None:
    await village.sends("+56987659999", "<b>hola</b>", NOW)
    operator = await site.person("olga")
    text = (await operator.client.get("/mensajes")).text
    assert "&lt;b&gt;hola&lt;/b&gt;" in text
    found = re.search(r"/mensajes/([0-9a-f-]+)/leido", text)
    assert found is not None
    done = await operator.client.post(f"/mensajes/{found[1]}/leido", data={"csrf": operator.csrf})
    assert done.status_code == 303
    assert "hola" not in (await operator.client.get("/mensajes")).text
    assert await site.pool.fetchval("select seen_by from inbound_texts") == "olga"


# ------------------------------------------------------------------------------------- the browser

LIST = (
    "name,phone,watch_group,cell,place,role,call_order,call_sign,signal,quiet_from,quiet_until,bulletins,"
    "consent_on,consent_how,consent_by,consent_proof\n"
    "Ana Rojas,987650001,Los Boldos,Norte,Parcela 4,Base,1,Base 2,Buena,23:00,7:00,sí,"
    "2026-10-02,papel,Jaime Rojas,folio 12\n"
    "Luis Soto,987650002,Los Boldos,Sur,,Guía,2,Puma 1,mala,,,si,,,,\n"
    "Rosa Pérez,987650011,Junta de vigilancia rural Quebrada Honda,,,,,,,,,,,,,\n"
)


async def tell_a_month(village: Village) -> str:
    """A drill that is over, one that is planned, a group that has to be called, and a stranger's text."""
    pool, long_ago = village.pool, NOW - timedelta(days=20)
    await contacts.import_csv(pool, LIST)
    drill_id = await drills.run_now(pool, "Los Boldos", author="jaime", now=long_ago)
    await village.sends(ANA, "1", long_ago + timedelta(seconds=42))
    await drills.run_due(pool, SETTINGS, long_ago + timedelta(hours=1))
    await pool.execute("update watch_groups set drill_day = 5 where name = 'Los Boldos'")
    await drills.plan(pool, NOW)
    await village.alert(at=NOW - timedelta(minutes=4))
    await village.sends(ANA, "voy", NOW - timedelta(minutes=3))
    words = "Hola, vi una camioneta sospechosa en el cruce de Quebrada Honda hace un rato, avisen por favor"
    await village.sends("+56987659999", words, NOW)
    await call_tree.watch_quorums(pool, NOW)
    return str(drill_id)


@pytest.mark.parametrize("width", [1440, 390])
async def test_every_page_fits_and_the_call_is_made_by_keyboard(
    site: Site, village: Village, width: int, tmp_path: Path
) -> None:
    drill_id = await tell_a_month(village)
    names = ("/grupos", "/grupos/ver?grupo=Los+Boldos", "/mensajes", "/simulacros", f"/simulacros/{drill_id}")
    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        browser = await chromium.new_page(viewport={"width": width, "height": 844}, locale="es-CL")
        await browser.goto(f"{site.url}/ingresar")
        await browser.get_by_label("Usuario").fill("jaime")
        await browser.get_by_label("Contraseña").fill(PASSWORD)
        await browser.get_by_role("button", name="Ingresar").click()
        for number, path in enumerate((*names, "/boletines", "/llamadas")):
            await browser.goto(f"{site.url}{path}")
            await expect(browser.get_by_role("link", name="Simulacros", exact=True)).to_be_visible()
            await browser.screenshot(path=tmp_path / f"{number}.png", full_page=True)
            assert await browser.evaluate("document.documentElement.scrollWidth") <= width, path
        await browser.get_by_role("button", name="No contesta", exact=True).focus()
        await browser.keyboard.press("Enter")
        await expect(browser.locator(".dial")).to_have_text(EVA)
        await chromium.close()
    assert [note for _, note in await village.lines(await _alert_id(site), "called")] == [
        "Luis Soto: no contesta"
    ]


async def _alert_id(site: Site) -> uuid.UUID:
    found: uuid.UUID = await site.pool.fetchval("select alert_id from call_trees")
    return found


# ------------------------------------------------------------------------------------ command line


async def command(dsn: str, *words: str) -> tuple[int, str]:
    return await run("hub.cli", *words, "--database", dsn)


async def test_the_command_line_lists_exports_drills_and_counts(dsn: str, pool: Pool, tmp_path: Path) -> None:
    await settled(pool)
    await pool.execute("update contacts set bulletins = true where phone = $1", LUIS)
    code, text = await command(dsn, "contacts", "list", "--group", "Los Boldos")
    assert (code, "Ana Rojas\t+569 •••• 0001\tactiva" in text) == (0, True)
    path = tmp_path / "personas.csv"
    code, _ = await command(dsn, "contacts", "export", str(path))
    assert code == 0
    assert path.stat().st_mode & 0o777 == 0o600
    assert (await contacts.import_csv(pool, path.read_text("utf-8"))).unchanged == 3
    code, text = await command(dsn, "groups", "set", "Los Boldos", "--quorum", "4", "--drill-day", "7")
    assert (code, text.strip().splitlines()[-1]) == (0, "Los Boldos: guardado")
    assert await pool.fetchval("select quorum from watch_groups") == 4
    code, text = await command(dsn, "drills", "run", "Los Boldos")
    assert (code, "3 personas avisadas" in text) == (0, True)
    code, text = await command(dsn, "drills", "run", "Los Boldos")
    assert (code, "Ya hay un simulacro en curso" in text) == (1, True)
    code, text = await command(dsn, "bulletins", "send", "Corte de agua")
    assert (code, "1 personas lo recibirían" in text) == (0, True)
    assert await pool.fetchval("select count(*) from bulletins") == 0
    code, text = await command(dsn, "bulletins", "send", "Corte de agua", "--recipients", "1")
    assert (code, "en cola para 1 personas" in text) == (0, True)
    assert await command(dsn, "texts", "receive", "9 8765 0001", "voy") == (
        0,
        "anotado; el hub en marcha actúa y responde\n",
    )
    assert await pool.fetchval("select sender from inbound_texts where state = 'new'") == ANA
    assert await run("hub.cli", "texts", "read", "k71", "--codes", "K7") == (0, "coming K7\n")
