"""Operations: their life, what each move lacks, files with mistakes, and the acta that is made of records."""

import importlib.resources
import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from hub.database import Pool
from hub.operations import acta, importing, reading, service
from hub.operations.areas import load_sectors
from hub.operations.checking import problems
from hub.operations.lifecycle import MOVES, Move, State, offers
from hub.operations.loading import EXAMPLE, OperationFileError, load_operation
from hub.operations.model import Draft, Institution, OperationError, Point, StaleError, Task
from hub.operations.reading import Filter, totals

NOW = datetime(2027, 1, 10, 15, tzinfo=UTC)
START = datetime(2027, 1, 16, 20, tzinfo=UTC)


def draft(**changes: object) -> Draft:
    values: dict[str, object] = {
        "kind": "street_trade",
        "name": "Feria y costanera",
        "planned_start": START,
        "planned_end": START + timedelta(hours=4),
        "legal_basis": ("Ordenanza 07 art. 12",),
        "institutions": (
            Institution(name="DSP", role="leads", acting="autonomous", headcount=5),
            Institution(name="Carabineros", assists="DSP", headcount=3),
        ),
        "points": (Point(id="P1", name="Feria", latitude=-34.39, longitude=-72.01),),
        "tasks": (Task(phase="before", task="Revisar permisos"),),
    }
    return Draft(**(values | changes))  # type: ignore[arg-type]


async def moved(pool: Pool, folio: str, *moves: Move, at: datetime = START) -> None:
    for number, step in enumerate(moves):
        version = (await reading.find(pool, folio)).version
        await service.move(
            pool, folio, step, version=version, author="jaime", now=at + timedelta(minutes=number)
        )


# ---------------------------------------------------------------------------------------------- life


async def test_an_operation_is_planned_held_and_closed_with_its_acta(pool: Pool) -> None:
    planned = await service.plan(pool, draft(), author="jaime", now=NOW)
    assert planned.folio == "OPF-2027-0001"
    await moved(pool, planned.folio, Move.CONFIRM, Move.START)
    await service.tick(
        pool, planned.folio, tasks=[1], visited=["P1"], cleared=["P1"], author="ines", now=START
    )
    await moved(pool, planned.folio, Move.EXECUTE, at=START + timedelta(hours=3))
    with pytest.raises(OperationError, match="cuántas personas de Carabineros estuvieron"):
        await moved(pool, planned.folio, Move.CLOSE)
    await service.count(
        pool,
        planned.folio,
        present={"DSP": 5, "Carabineros": 0},
        totals={("identity", "Carabineros"): 20, ("stalls", "DSP"): 18},
        author="ines",
        now=START,
    )
    with pytest.raises(OperationError, match="la firma de DSP"):
        await moved(pool, planned.folio, Move.CLOSE)
    with pytest.raises(OperationError, match="no consta que estuviera"):  # who did not come does not sign
        await service.sign(pool, planned.folio, "Carabineros", author="jaime", now=START)
    await service.sign(pool, planned.folio, "DSP", author="jaime", now=START)
    await moved(pool, planned.folio, Move.CLOSE)
    dossier = await reading.dossier(pool, planned.folio)
    closed = dossier.operation
    assert (closed.state, closed.acta_folio) == ("closed", "ACTA-OPF-2027-0001")
    assert closed.acta_sha256 == service.digest(dossier)
    told = acta.text(dossier)
    assert "Controles de identidad | Carabineros | 20" in told
    assert "Feria | -34.39000, -72.01000 | sí | sí" in told
    assert [line.move for line in dossier.log][::-1] == [
        *("plan", "confirm", "start", "task", "execute", "count", "sign", "close")
    ]
    with pytest.raises(OperationError, match="acta cerrada"):
        await service.count(pool, planned.folio, present={"DSP": 9}, totals={}, author="x", now=START)


async def test_a_signature_that_is_older_than_a_record_is_asked_for_again(pool: Pool) -> None:
    folio = (await service.plan(pool, draft(tasks=()), author="jaime", now=NOW)).folio
    await moved(pool, folio, Move.CONFIRM, Move.START)
    await service.tick(pool, folio, tasks=[], visited=["P1"], cleared=[], author="ines", now=START)
    await moved(pool, folio, Move.EXECUTE)
    await service.count(
        pool, folio, present={"DSP": 5, "Carabineros": 0}, totals={}, author="ines", now=START
    )
    await service.sign(pool, folio, "DSP", author="jaime", now=START)
    operation = await reading.find(pool, folio)
    await pool.execute(
        "insert into inspections (inspection_id, folio, operation_id, permit_state, result, inspected_at,"
        " author, recorded_at) values (gen_random_uuid(), 'FIS-2027-000001', $1, 'none', 'warning', $2,"
        " 'ines', $3)",
        operation.operation_id,
        START,
        START + timedelta(hours=8),  # the phone had no network
    )
    with pytest.raises(OperationError, match="DSP firme de nuevo"):
        await moved(pool, folio, Move.CLOSE)
    await service.sign(pool, folio, "DSP", author="jaime", now=START + timedelta(hours=9))
    await moved(pool, folio, Move.CLOSE, at=START + timedelta(hours=10))
    assert "FIS-2027-000001" in acta.text(await reading.dossier(pool, folio))


async def test_two_people_never_overwrite_each_other(pool: Pool) -> None:
    planned = await service.plan(pool, draft(), author="jaime", now=NOW)
    await service.change(
        pool, planned.folio, draft(name="Otra"), version=planned.version, author="a", now=NOW
    )
    with pytest.raises(StaleError, match="otra persona cambió"):
        await service.move(pool, planned.folio, Move.CONFIRM, version=planned.version, author="b", now=NOW)


async def test_a_change_of_the_plan_keeps_what_was_marked(pool: Pool) -> None:
    planned = await service.plan(pool, draft(), author="jaime", now=NOW)
    await service.tick(pool, planned.folio, tasks=[1], visited=["P1"], cleared=[], author="ines", now=NOW)
    more = draft(tasks=(Task(phase="after", task="Informar"), Task(phase="before", task="Revisar permisos")))
    await service.change(pool, planned.folio, more, version=2, author="jaime", now=NOW)
    found = (await reading.find(pool, planned.folio)).draft
    assert [(one.task, one.done_by) for one in found.tasks] == [
        ("Informar", None),
        ("Revisar permisos", "ines"),
    ]
    assert found.points[0].visited_at == NOW


async def test_what_was_begun_is_suspended_with_a_reason_and_planned_again(pool: Pool) -> None:
    folio = (await service.plan(pool, draft(), author="jaime", now=NOW)).folio
    await moved(pool, folio, Move.CONFIRM, Move.START)
    version = (await reading.find(pool, folio)).version
    with pytest.raises(OperationError, match="por qué"):
        await service.move(pool, folio, Move.SUSPEND, version=version, author="j", now=NOW, note=" ")
    with pytest.raises(OperationError, match="RUT"):
        await service.move(
            pool, folio, Move.SUSPEND, version=version, author="j", now=NOW, note="no vino 12.345.678-5"
        )
    await service.move(pool, folio, Move.SUSPEND, version=version, author="j", now=NOW, note="lluvia")
    assert (await reading.find(pool, folio)).suspended_because == "lluvia"
    await moved(pool, folio, Move.REPLAN)
    again = await reading.find(pool, folio)
    assert (again.state, again.started_at, again.suspended_because) == ("planned", None, "")
    await moved(pool, folio, Move.CONFIRM, Move.START)
    version = (await reading.find(pool, folio)).version
    with pytest.raises(OperationError, match="ya no se cambia"):
        await service.change(pool, folio, draft(), version=version, author="j", now=NOW)


def test_every_state_has_a_way_on_but_a_closed_acta() -> None:
    assert {state for state, _ in MOVES} == {str(one) for one in State} - {"closed"}


async def test_a_case_is_linked_and_unlinked_with_its_reason(pool: Pool) -> None:
    folio = (await service.plan(pool, draft(), author="jaime", now=NOW)).folio
    for code, reserved in (("K7", False), ("V1", True)):
        await pool.execute(
            "insert into alerts (alert_id, code, kind, priority, state, dedup_key, summary, rule,"
            " happened_at, opened_at, last_event_at, is_reserved) values (gen_random_uuid(), $1, 'panic', 1,"
            " 'received', $1, 'x', 'r', $2, $2, $2, $3)",
            code,
            NOW,
            reserved,
        )
    await service.link(pool, folio, "k7", "origin", "vecinos avisaron", author="olga", now=NOW)
    with pytest.raises(OperationError, match="ya está vinculada"):
        await service.link(pool, folio, "K7", "origin", "otra vez", author="olga", now=NOW)
    with pytest.raises(OperationError, match="no hay una alerta V1"):
        await service.link(pool, folio, "V1", "origin", "reservada", author="olga", now=NOW)
    (link,) = (await reading.dossier(pool, folio)).links
    assert (link.code, link.way, link.reason) == ("K7", "by_hand", "vecinos avisaron")
    with pytest.raises(OperationError, match="por qué"):
        await service.unlink(pool, folio, link.link_id, "", author="olga", now=NOW)
    await service.unlink(pool, folio, link.link_id, "era otra feria", author="olga", now=NOW)
    assert (await reading.dossier(pool, folio)).links == []
    assert await pool.fetchval("select removed_by from operation_links") == "olga"


async def test_an_operation_of_another_day_does_not_start_by_a_slip(pool: Pool) -> None:
    folio = (await service.plan(pool, draft(), author="jaime", now=NOW)).folio
    await moved(pool, folio, Move.CONFIRM, at=NOW)
    early = START - timedelta(hours=12, minutes=1)
    with pytest.raises(OperationError, match="programado para el 16-01-2027 17:00; si parte antes, cambie"):
        await moved(pool, folio, Move.START, at=early)
    await moved(pool, folio, Move.START, at=early + timedelta(minutes=1))
    assert (await reading.find(pool, folio)).state == "in_progress"


async def test_what_is_planned_for_the_same_time_is_named(pool: Pool) -> None:
    first = (await service.plan(pool, draft(), author="jaime", now=NOW)).folio
    touching = START + timedelta(hours=4)
    changes: list[dict[str, object]] = [
        {"planned_start": touching, "planned_end": touching + timedelta(hours=1)},
        {
            "planned_start": START + timedelta(hours=3),
            "institutions": (Institution(name="PDI", role="leads"),),
        },
        {"planned_start": START - timedelta(hours=1)},
    ]
    others = [(await service.plan(pool, draft(**one), author="jaime", now=NOW)).folio for one in changes]
    await service.move(pool, others[2], Move.SUSPEND, version=1, author="jaime", now=NOW, note="lluvia")
    [found] = await reading.beside(pool, await reading.find(pool, first))
    assert (found.folio, found.shared, found.is_same_sector) == (others[1], [], False)
    await service.move(pool, others[2], Move.REPLAN, version=2, author="jaime", now=NOW)
    found, _ = await reading.beside(pool, await reading.find(pool, first))
    assert (found.folio, found.shared) == (others[2], ["Carabineros", "DSP"])


async def test_the_list_is_filtered_and_has_pages(pool: Pool) -> None:
    for number in range(4):
        at = START + timedelta(days=number)
        await service.plan(
            pool, draft(planned_start=at, planned_end=at + timedelta(hours=1)), author="j", now=NOW
        )
    first = await reading.listed(pool, Filter(), limit=3)
    assert [one.folio[-1] for one in first] == ["4", "3", "2"]
    rest = await reading.listed(pool, Filter(), (first[-1].planned_start, first[-1].folio), limit=3)
    assert [one.folio[-1] for one in rest] == ["1"]
    days = Filter(first=date(2027, 1, 17), end=date(2027, 1, 18))
    assert [one.folio[-1] for one in await reading.listed(pool, days)] == ["2"]
    assert await reading.listed(pool, Filter(institution="PDI")) == []


# --------------------------------------------------------------------------------------------- files


def example() -> str:
    return (importlib.resources.files("hub.operations") / "examples" / EXAMPLE).read_text("utf-8")


async def test_the_example_is_loaded_with_everything_that_was_written_down(pool: Pool) -> None:
    filed, left_out = load_operation(example())
    assert left_out == []
    operation, notes = await importing.store(pool, filed, author="línea de órdenes", now=NOW)
    assert notes == ["la temporada estival-2026-2027 no está registrada; quedó sin temporada"]
    assert (operation.folio, operation.state) == ("OPF-2027-0014", "closed")
    dossier = await reading.dossier(pool, operation.folio)
    assert len(dossier.inspections) == 3
    (fined,) = [one for one in dossier.inspections if one.infringements]
    assert fined.infringements[0].hearing_on == date(2027, 2, 3)
    assert (str(fined.seizures[0].quantity), fined.seizures[0].unit) == ("34", "kg")
    assert {(one.kind, one.institution): one.total for one in dossier.counts} == {
        ("stalls", "DSP"): 18,
        ("identity", "Carabineros"): 20,
        ("vehicles", "Carabineros"): 5,
        ("sanitary_files", "DSP"): 1,
        ("arrests", "Carabineros"): 0,
        ("victims_referred", "DSP"): 0,
    }
    assert operation.acta_sha256 == service.digest(dossier)
    carabineros = next(one for one in totals(dossier) if one.institution == "Carabineros")
    assert (carabineros.acting, carabineros.assists) == ("assisting", "DSP")
    with pytest.raises(OperationError, match="ya está"):
        await importing.store(pool, filed, author="x", now=NOW)
    # the next folio of the year comes after the one that a file brought
    assert (await service.plan(pool, draft(), author="j", now=NOW)).folio == "OPF-2027-0015"


@pytest.mark.parametrize(
    ("old", "new", "line", "text"),
    [
        ("instituciones: [", "institucione: [", 2, "no tiene instituciones"),
        ("rol: participa, personal: 3", "rol: lidera, personal: 3", 2, "lideran 2 instituciones"),
        ('fin: "2027-01-16T21:00:00-03:00"}', 'fin: "2027-01-16T11:00:00-03:00"}', 2, "después del inicio"),
        ("lat: -34.3921", "lat: norte", 8, "no es un número"),
        ("punto: P2, rubro: artesania", "punto: P9, rubro: artesania", 12, "el punto «P9» no está"),
        ("cantidad: 34", "cantidad: -3", 14, "mayor que cero"),
        ("decomisos: [{fiscalizacion: F1", "decomisos: [{fiscalizacion: F7", 14, "«F7», que no está"),
        ("por: Carabineros}, veh", "por: PDI}, veh", 11, "«PDI» no está en «instituciones»"),
        ("Sin lesionados", "Sin lesionados 12.345.678-5", 17, "RUT"),
        ("0f3c0000", "0f3z0000", 16, "SHA-256"),
        ("folio: OPF-2027-0014", "folio: catorce", 2, "no es un folio"),
        ("base_legal: [Ordenanza 07 art. 12, Ley 21.426, Ley 19.925 art. 25]", "", 2, "base legal"),
    ],
)
def test_a_mistake_is_named_with_its_line_and_remedy(old: str, new: str, line: int, text: str) -> None:
    assert old in example()
    with pytest.raises(OperationFileError) as caught:
        load_operation(example().replace(old, new))
    assert any(text in problem.text for problem in caught.value.problems), caught.value
    assert line in [problem.line for problem in caught.value.problems], caught.value


def test_a_part_is_left_out_only_if_asked_for() -> None:
    text = example().replace("punto: P2, rubro: artesania", "punto: P9, rubro: artesania")
    filed, left_out = load_operation(text, is_partial=True)
    assert [one.id for one in filed.inspections] == ["F1", "F3"]
    assert len(left_out) == 1
    with pytest.raises(OperationFileError):  # who leads is no part that can be left out
        load_operation(example().replace("rol: lidera", "rol: participa"), is_partial=True)


def test_an_area_must_be_closed_and_must_not_cross_itself() -> None:
    square = [[-72.0, -34.0], [-71.9, -34.0], [-71.9, -34.1], [-72.0, -34.1], [-72.0, -34.0]]
    bow = [[-72.0, -34.0], [-71.9, -34.1], [-71.9, -34.0], [-72.0, -34.1], [-72.0, -34.0]]
    sea = [[200.0, -34.0], [-71.9, -34.0], [-71.9, -34.1], [200.0, -34.0]]
    cases = {"OK": square, "OPEN": square[:-1], "BOW": bow, "SEA": sea}
    features = [
        {
            "type": "Feature",
            "properties": {"sector": name},
            "geometry": {"type": "Polygon", "coordinates": [ring]},
        }
        for name, ring in cases.items()
    ]
    collection = {"type": "FeatureCollection", "features": features}
    found, bad = load_sectors(json.dumps(collection, indent=1))
    assert [one.sector for one in found] == ["OK"]
    assert [problem.text.partition(": ")[2].split(";")[0].split(" (")[0] for problem in bad] == [
        "el polígono no cierra",
        "el polígono se cruza a sí mismo",
        "tiene puntos fuera de la Tierra",
    ]
    assert [problem.line for problem in bad] == sorted({problem.line for problem in bad})
    assert load_sectors("{")[1][0].text.startswith("no es GeoJSON")
    drawn = "sector: {id: COSTA, poligono: [[-72.0, -34.0], [-71.9, -34.0], [-71.9, -34.1]],"
    text = example().replace("sector: {id: COSTA,", drawn)
    with pytest.raises(OperationFileError, match="no cierra"):
        load_operation(text)


async def test_seasons_do_not_cross_and_name_what_is_planned_in_them(pool: Pool) -> None:
    await importing.store_season(
        pool, "estival-2026-2027", "Época estival", date(2026, 12, 15), date(2027, 3, 15)
    )
    with pytest.raises(OperationError, match="se cruza con la temporada estival-2026-2027"):
        await importing.store_season(pool, "otra", "Otra", date(2027, 3, 1), date(2027, 4, 1))
    assert (await service.plan(pool, draft(), author="j", now=NOW)).draft.season == "estival-2026-2027"


def test_problems_say_what_to_do() -> None:
    assert problems(draft(), ()) == []
    for changes, text in (
        ({"institutions": ()}, "agregue al menos la que lidera"),
        ({"planned_end": START}, "después del inicio"),
        ({"points": ()}, "falta dónde"),
        ({"sector": "NORTE"}, "no existe el sector «NORTE»"),
        ({"legal_basis": ()}, "base legal"),
        ({"institutions": (*draft().institutions, Institution(name="PDI"))}, "a qué unidad acompaña"),
        ({"remarks": "vendía 9.876.543-2"}, "RUT"),
        ({"origin_since": START}, "ventana de origen"),
    ):
        found = problems(replace(draft(), **changes), {"COSTA"})  # type: ignore[arg-type]
        assert any(text in one for one in found), (changes, found)


async def test_offers_tell_what_is_missing(pool: Pool) -> None:
    lead = Institution(name="DSP", role="leads", acting="autonomous")
    folio = (await service.plan(pool, draft(institutions=(lead,)), author="j", now=NOW)).folio
    first = offers(await reading.dossier(pool, folio), NOW)
    assert [(one.move, one.missing) for one in first] == [
        (Move.CONFIRM, ("cuántas personas lleva DSP",)),
        (Move.SUSPEND, ()),
    ]
