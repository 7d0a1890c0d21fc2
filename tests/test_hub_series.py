"""Operations that come again: when, planned once and ahead, moved on their own, ended."""

import asyncio
from datetime import UTC, date, datetime, timedelta

import pytest
from test_hub_operations import draft, moved
from test_hub_web import Site, site
from test_hub_web_operations import FORM, send, with_sector

from hub.database import Pool
from hub.operations import acta, lifecycle, reading, series, service
from hub.operations.lifecycle import Move
from hub.operations.model import OperationError, Point, Task
from hub.operations.recurrence import checked, monthly, occurrences, weekly, words
from hub.plan.periods import SANTIAGO

__all__ = ["site"]  # a fixture

FRIDAY = datetime(2027, 1, 8, 21, tzinfo=SANTIAGO).astimezone(UTC)
NOW = datetime(2027, 1, 4, 12, tzinfo=UTC)
AUTHOR = "jaime"


def local(found: list[datetime]) -> list[str]:
    return [f"{at.astimezone(SANTIAGO):%a %d-%m %H:%M}" for at in found]


def test_a_round_keeps_its_hour_when_the_clocks_change() -> None:
    # in 2027 the clocks go back on 4 April
    rule = weekly(["SA"], 1, date(2027, 4, 24))
    start = datetime(2027, 3, 27, 21, tzinfo=SANTIAGO).astimezone(UTC)
    found = occurrences(rule, start, start - timedelta(seconds=1), start + timedelta(days=60))
    days = ["27-03", "03-04", "10-04", "17-04", "24-04"]
    assert local(found) == [f"Sat {day} 21:00" for day in days]
    assert {at.hour for at in found} == {0, 1}


def test_where_the_clock_jumps_over_the_hour_the_round_is_after_the_jump() -> None:
    # on 5 September 2027 midnight does not exist
    start = datetime(2027, 9, 4, 0, 30, tzinfo=SANTIAGO).astimezone(UTC)
    found = occurrences("FREQ=DAILY;COUNT=3", start, start - timedelta(seconds=1), start + timedelta(days=9))
    assert local(found) == ["Sat 04-09 00:30", "Sun 05-09 01:30", "Mon 06-09 00:30"]


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        (weekly(["SA", "FR"], 1, date(2027, 3, 15)), "los viernes y sábados, hasta el 15-03-2027"),
        (weekly(["MO"], 2, date(2027, 3, 15)), "los lunes, cada 2 semanas, hasta el 15-03-2027"),
        (monthly(FRIDAY, date(2027, 12, 31)), "el segundo viernes del mes, hasta el 31-12-2027"),
        ("FREQ=MONTHLY;BYDAY=-1WE;COUNT=4", "el último miércoles del mes, 4 veces"),
        ("FREQ=DAILY;COUNT=1", "todos los días, una vez"),
        ("FREQ=MONTHLY;BYMONTHDAY=1,15;COUNT=6", "el día 1 y 15 de cada mes, 6 veces"),
        ("FREQ=WEEKLY;UNTIL=20270315T030000Z", "el mismo día de la semana, hasta el 15-03-2027"),
    ],
)
def test_a_rule_is_told_in_words(rule: str, said: str) -> None:
    assert checked(rule, FRIDAY) == rule
    assert words(rule) == said


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        ("FREQ=YEARLY;COUNT=2", "diaria, semanal o mensual"),
        ("FREQ=WEEKLY", "necesita un término"),
        ("FREQ=WEEKLY;COUNT=2;UNTIL=20270101", "necesita un término"),
        ("FREQ=WEEKLY;BYHOUR=3;COUNT=2", "no usa BYHOUR"),
        ("FREQ=WEEKLY;BYDAY=XX;COUNT=2", "no se entiende"),
        ("FREQ=WEEKLY;COUNT=dos", "no se entiende"),
        ("FREQ=WEEKLY;UNTIL=mañana", "no se entiende"),
        ("FREQ=WEEKLY;INTERVAL=0;COUNT=2", "1 o más"),
        ("FREQ=WEEKLY;INTERVAL=;COUNT=2", "1 o más"),
        ("FREQ=WEEKLY;UNTIL=20200101", "ningún día"),
        ("FREQ=DAILY;COUNT=5000", "pasa de"),
        ("FREQ=MONTHLY;BYDAY=1MO;COUNT=100", "pasa de"),
        ("", "diaria, semanal o mensual"),
    ],
)
def test_a_rule_that_does_not_serve_is_refused_with_what_to_do(rule: str, told: str) -> None:
    with pytest.raises(OperationError, match=told):
        checked(rule, FRIDAY)


async def planned(pool: Pool) -> list[str]:
    rows = await pool.fetch("select planned_start, series_id from operations order by planned_start")
    assert all(row["series_id"] is not None for row in rows)
    return local([row["planned_start"] for row in rows])


async def first(pool: Pool, **changes: object) -> str:
    plan = draft(planned_start=FRIDAY, planned_end=FRIDAY + timedelta(hours=4), **changes)
    return (await service.plan(pool, plan, author=AUTHOR, now=NOW)).folio


async def test_each_is_planned_once_and_only_when_it_is_close(pool: Pool) -> None:
    folio = await first(
        pool,
        points=[Point(id="P1", name="Feria", latitude=-34.39, longitude=-72.01)],
        tasks=[Task(phase="before", task="Revisar permisos")],
    )
    found, count = await series.repeat(
        pool, folio, weekly(["FR"], 1, date(2027, 5, 1)), author=AUTHOR, now=NOW
    )
    assert count == 7
    assert (found.planned, found.next_folio) == (8, folio)
    assert (await planned(pool))[-1] == "Fri 26-02 21:00"
    copy = (await reading.find(pool, "OPF-2027-0002")).draft
    original = (await reading.find(pool, folio)).draft
    assert (copy.institutions, copy.points, copy.legal_basis) == (
        original.institutions,
        original.points,
        original.legal_basis,
    )
    assert copy.tasks[0].task == "Revisar permisos"
    assert await series.plan_due(pool, NOW) == 0
    # a month later four more, even with two hubs at it; a season that passed unplanned is passed over
    later = NOW + timedelta(days=28)
    assert sum(await asyncio.gather(series.plan_due(pool, later), series.plan_due(pool, later))) == 4
    assert len(await planned(pool)) == 12
    assert await series.plan_due(pool, NOW + timedelta(days=365)) == 0


async def test_who_moves_or_suspends_one_has_the_last_word(pool: Pool) -> None:
    folio = await first(pool)
    await series.repeat(pool, folio, weekly(["FR"], 1, date(2027, 2, 1)), author=AUTHOR, now=NOW)
    second = await reading.find(pool, "OPF-2027-0002")
    moved_by = timedelta(days=1)
    changed = draft(
        planned_start=second.draft.planned_start + moved_by,
        planned_end=second.draft.planned_end + moved_by,
        series_id=second.draft.series_id,
    )
    await service.change(pool, second.folio, changed, version=second.version, author=AUTHOR, now=NOW)
    assert await series.plan_due(pool, NOW) == 0
    assert await planned(pool) == ["Fri 08-01 21:00", "Sat 16-01 21:00", "Fri 22-01 21:00", "Fri 29-01 21:00"]


async def test_one_that_cannot_be_planned_is_told_and_stops_no_other(pool: Pool) -> None:
    bad, good = await first(pool), await first(pool, name="Otra")
    for folio in (bad, good):
        await series.repeat(pool, folio, weekly(["FR"], 1, date(2027, 12, 1)), author=AUTHOR, now=NOW)
    await pool.execute(
        "update operation_series set template = jsonb_set(template, '{legal_basis}', '[]') where series_id ="
        " (select series_id from operations where folio = $1)",
        bad,
    )
    assert await series.plan_due(pool, NOW + timedelta(days=7)) == 1
    told = {one.problem for one in await series.listed(pool, NOW)}
    assert "" in told
    assert any("base legal" in one for one in told)


async def test_what_already_began_or_repeats_is_not_repeated(pool: Pool) -> None:
    folio = await first(pool)
    rule = weekly(["FR"], 1, date(2027, 2, 1))
    await series.repeat(pool, folio, rule, author=AUTHOR, now=NOW)
    with pytest.raises(OperationError, match="ya es parte"):
        await series.repeat(pool, folio, rule, author=AUTHOR, now=NOW)
    other = await first(pool)
    await moved(pool, other, Move.CONFIRM, Move.START)
    with pytest.raises(OperationError, match="ya empezó"):
        await series.repeat(pool, other, rule, author=AUTHOR, now=NOW)


async def test_the_pages_repeat_and_end(site: Site) -> None:
    await with_sector(site)
    chief = await site.person("jaime")
    now = site.clock.now()
    start = (now + timedelta(days=2)).astimezone(SANTIAGO).replace(hour=17, minute=0)
    form = FORM | {"inicio": f"{start:%Y-%m-%dT%H:%M}", "fin": f"{start + timedelta(hours=4):%Y-%m-%dT%H:%M}"}
    address = (await send(chief, "/operativos", **form)).headers["location"]
    assert "Repetir" in (await chief.client.get(address)).text
    page = (await chief.client.get(f"{address}/repetir")).text
    assert "por mes: el " in page
    day = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")[start.weekday()]
    until = (start + timedelta(days=21)).date().isoformat()
    wrong = await send(chief, f"{address}/repetir", como="weekly", cada="1", hasta=until)
    assert wrong.status_code == 422
    assert "Elija al menos un día" in wrong.text
    done = await send(chief, f"{address}/repetir", como="weekly", dia=day, cada="1", hasta=until)
    assert done.status_code == 303
    page = (await chief.client.get("/operativos/repeticiones")).text
    assert "Feria y costanera" in page
    assert "Se repite" in (await chief.client.get(address)).text
    [one] = await series.listed(site.pool, now)
    assert one.planned == 4
    operator = await site.person("olga")
    end = f"/operativos/repeticiones/{one.series_id}/terminar"
    assert (await send(operator, end)).status_code == 403
    assert (await send(chief, end, suspende="true")).status_code == 422
    over = await send(chief, end, suspende="true", motivo="Se acabó la feria")
    assert "OPF-" in over.text
    states = await site.pool.fetch("select state from operations order by planned_start")
    assert [row["state"] for row in states] == ["suspended"] * 4
    assert await series.plan_due(site.pool, now + timedelta(days=10)) == 0


async def test_a_task_that_was_not_done_is_left_out_with_its_reason(pool: Pool) -> None:
    plan = draft(tasks=[Task(phase="before", task="Revisar permisos"), Task(phase="after", task="Informar")])
    folio = (await service.plan(pool, plan, author=AUTHOR, now=NOW)).folio
    with pytest.raises(OperationError, match="no se registra ahora"):
        await service.drop_task(pool, folio, 2, "Llovía", author=AUTHOR, now=NOW)
    await moved(pool, folio, Move.CONFIRM, Move.START, Move.EXECUTE)
    await service.tick(pool, folio, tasks=[1], visited=[], cleared=[], author=AUTHOR, now=NOW)
    lacks = "; ".join(lifecycle.missing(await reading.dossier(pool, folio), Move.CLOSE, NOW))
    assert "marcar 1 tarea, o anotar por qué no se hizo" in lacks
    with pytest.raises(OperationError, match="diga por qué"):
        await service.drop_task(pool, folio, 2, " ", author=AUTHOR, now=NOW)
    with pytest.raises(OperationError, match="ya está hecha"):
        await service.drop_task(pool, folio, 1, "Llovía", author=AUTHOR, now=NOW)
    await service.drop_task(pool, folio, 2, "Llovía", author=AUTHOR, now=NOW)
    dossier = await reading.dossier(pool, folio)
    assert "tarea" not in "; ".join(lifecycle.missing(dossier, Move.CLOSE, NOW))
    assert "no: Llovía" in acta.text(dossier)
    await service.tick(pool, folio, tasks=[2], visited=[], cleared=[], author=AUTHOR, now=NOW)
    assert "no: Llovía" not in acta.text(await reading.dossier(pool, folio))


async def test_a_season_filters_the_month_and_is_named_in_it(site: Site) -> None:
    await with_sector(site)
    chief = await site.person("jaime")
    await site.pool.execute(
        "insert into seasons (season, name, starts_on, ends_on)"
        " values ('feria-2026', 'Época de ferias', '2026-11-20', '2026-12-10')"
    )
    await send(chief, "/operativos", **FORM)
    page = (await chief.client.get("/operativos?mes=2026-11&temporada=feria-2026")).text
    assert "Época de ferias: del 20-11-2026 al 10-12-2026" in page
    assert "OPF-2026-0001" in page
    assert "OPF-2026-0001" not in (await chief.client.get("/operativos?mes=2026-11&temporada=otra")).text
