"""The next version of the plan in the console: parts as forms, mistakes, changes, approval."""

import hashlib
import importlib.resources
from datetime import UTC, datetime

import pytest
from test_hub_web import Person, Site, site
from test_hub_web_operations import send

from hub.database import Pool
from hub.plan import drafting, drafts, versions
from hub.plan.difference import differences
from hub.plan.errors import PlanError
from hub.plan.loading import load_plan, load_topics
from hub.plan.model import Plan
from hub.plan.writing import to_yaml

__all__ = ["site"]  # a fixture

TOPICS = load_topics()
YEARS = [2025, 2026, 2027, 2028]


def example() -> Plan:
    text = (importlib.resources.files("hub.plan") / "examples" / "plan-ejemplo.yaml").read_text("utf-8")
    return load_plan(text, TOPICS).plan


def document() -> drafting.Document:
    return drafting.read(to_yaml(example()))


def test_a_form_that_changes_nothing_leaves_the_plan_as_it_was() -> None:
    draft = document()
    for part in ("plan", "O1", "O1C1", "O1C1A1", "O1-1", "O2-2"):
        drafting.change(draft, part, drafting.flat(drafting.find(draft, part), YEARS), YEARS)
    plan, problems = drafting.judge(drafting.write(draft), TOPICS)
    assert problems == []
    assert plan is not None
    assert differences(example(), plan) == []


def test_a_change_is_told_in_words() -> None:
    draft = document()

    def change(part: str, **sent: str) -> None:
        old = drafting.flat(drafting.find(draft, part), YEARS)
        drafting.change(
            draft, part, old | {key.replace("__", "."): text for key, text in sent.items()}, YEARS
        )

    change("O1C1A1", presupuesto_clp="$ 12.500.000", corresponsables="Carabineros, SAG")
    change("O1-1", meta__2027="92,5", meta__2026="", sentido="baja")
    change("O2-2", linea_base__valor="61,5")
    change("plan", marco="Ley 18.695 art. 104 F\nLey 21.802, art. 3", vigencia__1="2027-12-31")
    change("O1", materia_104F="d,g,a")
    plan, problems = drafting.judge(drafting.write(draft), TOPICS)
    assert problems == []
    assert plan is not None
    told = "\n".join(differences(example(), plan))
    assert "12500000" in told
    [activity] = [one for one in plan.activities() if one.id == "O1C1A1"]
    assert activity.co_responsible == ("Carabineros", "SAG")
    [indicator] = [one for one in plan.indicators() if one.id == "O1-1"]
    assert (indicator.targets, indicator.direction) == ({2027: 92.5}, "baja")
    assert plan.frame == ("Ley 18.695 art. 104 F", "Ley 21.802, art. 3")
    assert plan.objectives[0].topics == ("d", "g", "a")


def test_parts_are_added_and_taken_out() -> None:
    draft = document()
    drafting.add(draft, "plan", "objetivo", "O3")
    drafting.add(draft, "O3", "componente", "O3C1")
    drafting.add(draft, "O3C1", "actividad", "O3C1A1")
    drafting.add(draft, "O3", "indicador", "O3-1")
    _, problems = drafting.judge(drafting.write(draft), TOPICS)
    assert any("actividad O3C1A1" in one and "nombre" in one for one in problems)
    for parent, kind, code, told in (
        ("O3", "objetivo", "X", "no contiene"),
        ("O3", "indicador", "O1-1", "ya está"),
        ("O3", "indicador", "con espacio", "no sirve de código"),
        ("O9", "indicador", "X", "no tiene"),
        ("plan", "objetivo", "plan", "ya está"),
    ):
        with pytest.raises(PlanError, match=told):
            drafting.add(draft, parent, kind, code)
    for part in ("O3C1A1", "O3-1", "O3"):
        drafting.remove(draft, part)
    plan, problems = drafting.judge(drafting.write(draft), TOPICS)
    assert plan is not None
    assert (problems, differences(example(), plan)) == ([], [])
    with pytest.raises(PlanError, match="descarte"):
        drafting.remove(draft, "plan")
    with pytest.raises(PlanError, match="no tiene"):
        drafting.remove(draft, "O3")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("plan: [", "no es YAML válido"),
        ("hola", "le falta"),
        ("plan: 3", "le falta"),
        ("plan: {}\nobjetivos: 3", "le falta"),
        ("plan: {}\nobjetivos: [3]", "forma de un plan"),
        ("plan: {}\nobjetivos: [{nombre: sin id}]", "forma de un plan"),
        ("plan: &a {id: x}\nobjetivos: [*a]", "anclas"),
        ("!!python/object/apply:os.system [ls]", "le falta"),
    ],
)
def test_a_file_that_is_no_plan_is_refused(text: str, told: str) -> None:
    with pytest.raises(PlanError, match=told):
        drafting.read(text)


async def test_two_people_never_overwrite_each_other_and_approval_wants_no_mistake(pool: Pool) -> None:
    now = datetime(2026, 11, 26, 12, tzinfo=UTC)
    await versions.store(pool, example(), TOPICS, author="x", now=now)
    await drafts.start(pool, TOPICS, author="dora", now=now)
    await drafts.start(pool, TOPICS, author="otra", now=now)
    draft = await drafts.current(pool)
    assert draft is not None
    assert (draft.author, draft.version) == ("dora", 1)
    content = drafting.read(draft.content)
    assert content["plan"]["actualizacion"] == "3"
    assert "aprobado" not in content["plan"]
    drafting.change(content, "O1C1", {"nombre": ""})
    await drafts.save(pool, drafting.write(content), version=1, author="dora", now=now)
    with pytest.raises(PlanError, match="otra persona"):
        await drafts.save(pool, drafting.write(content), version=1, author="jaime", now=now)
    with pytest.raises(PlanError, match="componente O1C1"):
        await drafts.approve(pool, TOPICS, version=2, author="dora", now=now)
    drafting.change(content, "O1C1", {"nombre": "Operativos"})
    await drafts.save(pool, drafting.write(content), version=2, author="dora", now=now)
    plan = await drafts.approve(pool, TOPICS, version=3, author="dora", now=now)
    assert plan.update == 3
    assert await drafts.current(pool) is None
    current = await versions.current(pool, TOPICS, now)
    assert current is not None
    assert (current.plan.update, current.author) == (3, "dora")
    with pytest.raises(PlanError, match="otra persona"):
        await drafts.approve(pool, TOPICS, version=3, author="dora", now=now)


async def director(site: Site) -> Person:
    await site.pool.execute("update users set role = 'director' where login = 'aida'")
    return await site.person("aida")


async def test_the_director_edits_judges_and_approves_in_the_console(site: Site) -> None:
    now = site.clock.now()
    await versions.store(site.pool, example(), TOPICS, author="x", now=now)
    chief, boss = await site.person("jaime"), await director(site)
    assert (await chief.client.get("/plan/editar")).status_code == 403
    exported = await chief.client.get("/plan/exportar.yaml")
    assert load_plan(exported.text, TOPICS).plan.id == example().id
    assert "Empezar un borrador" in (await boss.client.get("/plan/editar")).text
    assert (await boss.client.get("/plan/editar/O1")).status_code == 404
    await send(boss, "/plan/editar")
    page = (await boss.client.get("/plan/editar")).text
    assert "Listo para aprobar" in page
    part = await boss.client.get("/plan/editar/O1-1")
    assert 'name="meta.2027" value="90"' in part.text
    assert "Medidas para la fórmula" in part.text
    sent = drafting.flat(drafting.find(document(), "O1-1"), YEARS) | {"formula": "100 * n(nada)"}
    assert (await send(boss, "/plan/editar/O1-1", version="1", **sent)).status_code == 303
    page = (await boss.client.get("/plan/editar")).text
    assert "Falta corregir" in page
    assert "indicador O1-1" in page
    assert "no existe la medida «nada»" in (await boss.client.get("/plan/editar/O1-1")).text
    assert (await send(boss, "/plan/editar/aprobar", version="2")).status_code == 422
    stale = await send(boss, "/plan/editar/O1-1", version="1", **sent)
    assert stale.status_code == 422
    assert "100 * n(nada)" in stale.text
    sent |= {"formula": "100 * n(operativo, estado=ejecutado) / n(operativo, programado)"}
    assert (await send(boss, "/plan/editar/O1-1", version="2", **sent)).status_code == 303
    added = await send(boss, "/plan/editar/agregar", version="3", en="plan", tipo="objetivo", codigo="O3")
    assert added.headers["location"] == "/plan/editar/O3"
    objective = {"problema": "Ruidos", "objetivo": "Bajar los ruidos", "materia_104F": ["d", "g"]}
    assert (await send(boss, "/plan/editar/O3", version="4", **objective)).status_code == 303
    page = (await boss.client.get("/plan/editar")).text
    assert "Se agrega el objetivo O3" in page
    assert (await send(boss, "/plan/editar/aprobar", version="5")).status_code == 303
    board = (await boss.client.get("/plan")).text
    assert "actualización 3" in board
    assert "Bajar los ruidos" in board
    changed = [what for _, _, what in await site.audited("plan_changed")]
    assert changed[0] == "start"
    assert changed[-1].endswith("actualización 3")


async def test_a_file_takes_the_drafts_place_or_is_refused(site: Site) -> None:
    boss = await director(site)
    await send(boss, "/plan/editar")
    assert "Falta corregir" in (await boss.client.get("/plan/editar")).text
    for content, code, told in (
        (b"\xff\xfe", 422, "UTF-8"),
        (b"plan: [", 422, "es YAML válido"),
        (to_yaml(example()).encode(), 303, ""),
    ):
        answer = await boss.client.post(
            "/plan/editar/archivo",
            data={"csrf": boss.csrf, "version": "1"},
            files={"archivo": ("plan.yaml", content, "application/yaml")},
        )
        assert answer.status_code == code, answer.text
        assert told in answer.text
    assert "Listo para aprobar" in (await boss.client.get("/plan/editar")).text
    assert (await send(boss, "/plan/editar/descartar")).status_code == 303
    assert await drafts.current(site.pool) is None


async def test_evidence_is_noted_beside_its_activity(site: Site) -> None:
    boss, chief = await director(site), await site.person("jaime")
    fields = {"actividad": "O1C1A1", "fecha": "2026-11-02", "nota": "Acta ACTA-OPF-2026-0001"}
    assert (await send(boss, "/plan/evidencia", **fields)).status_code == 404  # no plan yet
    await versions.store(site.pool, example(), TOPICS, author="x", now=site.clock.now())
    assert (await send(chief, "/plan/evidencia", **fields)).status_code == 403
    assert "Anotar evidencia" in (await boss.client.get("/plan")).text
    for changes, told in (
        ({"nota": " "}, "qué prueba"),
        ({"nota": "Firma 12.345.678-5"}, "sin nombres ni RUT"),
        ({"fecha": "2200-01-01"}, "no ha llegado"),
        ({"actividad": "X"}, "o existe la actividad"),
    ):
        answer = await send(boss, "/plan/evidencia", **(fields | changes))
        assert answer.status_code == 422
        assert told in answer.text
    done = await boss.client.post(
        "/plan/evidencia", data={"csrf": boss.csrf, **fields}, files={"archivo": ("acta.pdf", b"acta", "x/y")}
    )
    assert done.status_code == 303
    [proof] = await versions.evidence_of(site.pool, example().id)
    assert (proof.file_name, proof.sha256) == ("acta.pdf", hashlib.sha256(b"acta").hexdigest())
    assert "1 evidencia" in (await boss.client.get("/plan")).text
