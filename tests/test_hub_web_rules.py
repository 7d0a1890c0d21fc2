"""The page of rules: a draft is checked, rehearsed in a process of its own, and put in force with a name."""

import asyncio
import re
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
import pytest_asyncio
import test_hub_web
from fakes import eventually
from test_hub_rules_rehearsal import add_alert, add_devices, add_events
from test_hub_web import Person, Site

from hub.rule_work import drafts
from hub.rule_work.apart import RehearsalError, rehearse_apart
from hub.rule_work.drafts import Drafts
from hub.rule_work.history import Span
from hub.rule_work.live import LiveRules
from hub.rule_work.work import RuleWork
from hub.rules.library import ready_rules
from hub.web import bars
from hub.web.context import RulesDesk

site = test_hub_web.site

GATE = """rules:
  - name: porton_de_dia
    title: Portón de día
    kind: gate_open
    priority: 3
    when: {event: gate.opened}
"""


@dataclass
class Workshop:
    """A console with rules in force, a folder of the municipality's own, and rehearsals that run."""

    site: Site
    folder: Path
    desk: RulesDesk

    async def give(self, person: Person, text: str, **more: str) -> tuple[int, str, str]:
        """(status, page, where to) of a pasted draft."""
        values = {"csrf": person.csrf, "borrador": text, "dias": "7"}
        answer = await person.client.post("/reglas", data=values | more)
        return answer.status_code, answer.text, answer.headers.get("location", "")

    async def rehearsed(self, person: Person, text: str) -> str:
        """The address of a draft whose rehearsal is over."""
        status, page, address = await self.give(person, text)
        assert status == 303, page
        draft = self.desk.drafts.get(address.rpartition("/")[2])
        assert draft is not None
        await eventually(lambda: self.is_over(draft.draft_id))
        return address

    def is_over(self, draft_id: str) -> bool:
        draft = self.desk.drafts.get(draft_id)
        return draft is not None and draft.state in ("done", "failed")


@asynccontextmanager
async def workshop(site: Site, rehearse: drafts.Rehearse) -> AsyncIterator[Workshop]:
    """The same console again, with a desk for rules."""
    await site.stop()
    with tempfile.TemporaryDirectory() as folder:
        live = LiveRules(site.pool, RuleWork(ready_rules()), Path(folder), site.clock)
        await live.start()
        site.desk = RulesDesk(live, Drafts(rehearse, Path(folder), site.clock))
        await site.start()
        working = asyncio.create_task(site.desk.drafts.run_loop())
        try:
            yield Workshop(site, Path(folder), site.desk)
        finally:
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)


@pytest_asyncio.fixture
async def shop(site: Site, dsn: str) -> AsyncIterator[Workshop]:
    async with workshop(site, partial(rehearse_apart, dsn)) as running:
        yield running


async def promote(person: Person, address: str, name: str) -> tuple[int, str]:
    answer = await person.client.post(f"{address}/activar", data={"csrf": person.csrf, "archivo": name})
    return answer.status_code, answer.text


async def test_the_page_lists_what_is_in_force_and_what_is_wrong_with_it(shop: Workshop) -> None:
    rule = next(r for r in shop.desk.live.rules if r.name == "battery_low")
    await shop.site.pool.execute(
        "insert into rule_stops values ($1, $2, $3, 'no such field')",
        rule.name,
        rule.version,
        shop.site.clock.now(),
    )
    auditor = await shop.site.person("aida")
    page = (await auditor.client.get("/reglas")).text
    assert page.count("<code>" + rule.version) == 1
    row = page.partition("<code>battery_low</code>")[2].partition("</tr>")[0]
    assert "Detenida" in row
    assert "no such field" in row
    assert "Incluida" in row
    assert "Revisar y ensayar" not in page
    (shop.folder / "mala.yaml").write_text("rules: [{name: x}]")
    await shop.desk.live.look()
    page = (await auditor.client.get("/reglas")).text
    assert "La carpeta de reglas tiene errores" in page
    assert "mala.yaml:1" in page


async def test_a_wrong_draft_is_shown_with_its_lines_and_stays_in_the_field(shop: Workshop) -> None:
    chief, operator = await shop.site.person("jaime"), await shop.site.person("olga")
    assert (await shop.give(operator, GATE))[0] == 403
    wrong = GATE.replace("priority: 3", "priority: alta").replace("kind: gate_open", "kind: Portón")
    status, page, _ = await shop.give(chief, wrong)
    assert status == 422
    assert "2 errores en el borrador" in page
    assert "<strong>Línea 4</strong>" in page
    assert "<strong>Línea 5</strong>" in page
    assert "priority: alta" in page
    example = GATE + (
        "    examples:\n      - name: avisa\n        start: 2026-11-24 12:00\n"
        "        signals: [{event: gate.closed}]\n        alerts: 1\n"
    )
    assert "ejemplo «avisa»" in (await shop.give(chief, example))[1]
    for text in ("", "rules: []", "no es yaml: ["):
        assert (await shop.give(chief, text))[0] == 422, text
    assert (await shop.give(chief, GATE, dias="400"))[0] == 422
    assert shop.desk.drafts.newest() == []


async def test_a_draft_is_rehearsed_beside_what_really_happened_and_put_in_force(shop: Workshop) -> None:
    pool, now = shop.site.pool, shop.site.clock.now()
    gate, other = await add_devices(pool)
    day = now - timedelta(days=2)
    await add_events(pool, gate, *(day + timedelta(hours=2 * n) for n in range(5)))
    await add_events(pool, other, day)
    for n in range(4):
        await add_alert(pool, "gate_open", gate, "mistaken", day + timedelta(hours=n))
    chief, operator = await shop.site.person("jaime"), await shop.site.person("olga")
    address = await shop.rehearsed(chief, GATE)
    page = (await chief.client.get(address)).text
    assert "<strong>6</strong><span>alertas nuevas</span>" in page
    assert 'falsa por error <strong class="number">4</strong>' in page
    assert re.search(r"Equipo 1</span><span class=\"number\">5 <span class=\"muted\">/ 4", page)
    assert page.count('<rect class="is-real"') == 4
    assert (await operator.client.get(address)).status_code == 403
    assert (await promote(operator, address, "porton.yaml"))[0] == 403
    for name in ("../x.yaml", "Portón.yaml", "x.txt", ""):
        assert (await promote(chief, address, name))[0] == 422, name
    assert list(shop.folder.iterdir()) == []
    assert (await promote(chief, address, "porton.yaml"))[0] == 303
    assert "porton_de_dia" in {rule.name for rule in shop.desk.live.rules}
    assert (shop.folder / "porton.yaml").read_text().startswith("# Activada por jaime el 23-11-2026")
    page = (await operator.client.get("/reglas")).text
    assert "<code>porton.yaml</code>" in page
    [(author, name, versions)] = await shop.site.audited("rules_promoted")
    assert (author, name, versions.split()[0]) == ("jaime", "porton.yaml", "porton_de_dia")


async def test_what_a_promotion_replaces_is_kept(shop: Workshop) -> None:
    chief = await shop.site.person("jaime")
    first = await shop.rehearsed(chief, GATE)
    await promote(chief, first, "porton.yaml")
    await shop.site.clock.advance(60)
    second = await shop.rehearsed(chief, GATE.replace("priority: 3", "priority: 2"))
    assert 'value="porton.yaml"' in (await chief.client.get(second)).text  # where its rule stands already
    # under another name the rule would be there twice: nothing changes
    status, page = await promote(chief, second, "otro.yaml")
    assert (status, "ya está en" in page) == (422, True)
    assert (await promote(chief, second, "porton.yaml"))[0] == 303
    [before] = (shop.folder / drafts.BEFORE).iterdir()
    assert "priority: 3" in before.read_text()
    assert next(r for r in shop.desk.live.rules if r.name == "porton_de_dia").priority == 2
    assert not list(shop.folder.glob(".*"))


async def test_a_technician_tries_rules_out_and_learns_nothing_of_reserved_alerts(shop: Workshop) -> None:
    pool, now = shop.site.pool, shop.site.clock.now()
    [device] = await add_devices(pool, 1)
    await pool.execute("update devices set kind = 'duress_button', name = 'Casa de Ana'")
    await add_events(pool, device, now - timedelta(days=1))
    await add_alert(pool, "duress", device, "attended", now - timedelta(days=1))
    text = GATE.replace("gate_open", "duress")
    technician, chief = await shop.site.person("tito"), await shop.site.person("jaime")
    mine = (await technician.client.get(await shop.rehearsed(technician, text))).text
    assert "ninguna en este plazo" in mine
    assert f"Botón silencioso {device}" in mine
    assert "Activar con mi nombre" not in mine
    address = await shop.rehearsed(chief, text)
    page = (await chief.client.get(address)).text
    assert 'real atendida <strong class="number">1</strong>' in page
    assert "Ana" not in page.partition('id="contenido"')[2]
    assert (await technician.client.get(address)).status_code == 404


async def test_a_rehearsal_shows_how_far_it_is_and_one_that_breaks_says_so(site: Site) -> None:
    going, release = asyncio.Event(), asyncio.Event()

    async def halfway(
        _text: str, _span: Span, _role: str, on_progress: Callable[[float], None]
    ) -> dict[str, object]:
        on_progress(0.4)
        going.set()
        await release.wait()
        raise RehearsalError("El ensayo se cortó.")

    async with workshop(site, halfway) as shop:
        chief = await site.person("jaime")
        _, _, address = await shop.give(chief, GATE)
        await asyncio.wait_for(going.wait(), 10)
        page = (await chief.client.get(f"{address}/avance")).text
        assert 'data-state="running"' in page
        assert "40 %" in page
        assert (await promote(chief, address, "x.yaml"))[0] == 422
        for _ in range(drafts.MAX_WAITING - 1):
            assert (await shop.give(chief, GATE))[0] == 303
        status, page, _ = await shop.give(chief, GATE)
        assert (status, "en espera" in page) == (422, True)
        release.set()
        await eventually(lambda: shop.is_over(address.rpartition("/")[2]))
        assert "El ensayo se cortó" in (await chief.client.get(address)).text
        assert (await chief.client.get("/reglas/ensayos/otro")).status_code == 404


async def test_a_rehearsal_that_cannot_be_made_stops_no_other_and_old_drafts_make_room(site: Site) -> None:
    broken = True

    async def rehearse(
        _text: str, _span: Span, _role: str, _on_progress: Callable[[float], None]
    ) -> dict[str, object]:
        if broken:
            raise OSError("no more processes")
        return {"false_share": None}

    desk = Drafts(rehearse, Path("unused"), site.clock)
    working = asyncio.create_task(desk.run_loop())
    rules, problems = drafts.check(GATE)
    assert problems == []
    made = []
    for _ in range(drafts.MAX_DRAFTS + 3):
        made.append(desk.add(GATE, rules, "jaime", "jefe_turno", 7).draft_id)
        await eventually(lambda: desk.newest()[0].state in ("done", "failed"))
        broken = False
        await site.clock.advance(1)
    assert desk.get(made[0]) is None
    states = [draft.state for draft in desk.newest()]
    assert states == ["done"] * drafts.MAX_DRAFTS
    working.cancel()
    await asyncio.gather(working, return_exceptions=True)


async def test_the_process_apart_tells_when_the_database_is_away_and_ends_with_its_caller(dsn: str) -> None:
    now = test_hub_web.VirtualClock().now()
    span = Span(now - timedelta(days=1), now)
    nowhere = "postgresql://nadie@127.0.0.1:1/nada"
    with pytest.raises(RehearsalError, match="base de datos"):
        await rehearse_apart(nowhere, GATE, span, "jefe_turno", lambda _: None)
    task = asyncio.create_task(rehearse_apart(dsn, GATE, span, "jefe_turno", lambda _: None))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def test_bars_share_one_scale_and_nothing_is_drawn_for_zero() -> None:
    would, real = [0] * 24, [0] * 24
    would[3], real[3], real[4] = 10, 5, 1
    drawn = bars.by_hour(would, real)
    assert [(bar.height, bar.is_real) for bar in drawn] == [(120.0, False), (60.0, True), (12.0, True)]
    assert all(bar.y + bar.height == bars.HEIGHT for bar in drawn)
    assert drawn[0].x < drawn[1].x < drawn[2].x
