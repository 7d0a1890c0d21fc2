"""The plan's pages over HTTP: who sees them, what stands there, and a figure verified by a press."""

import re
from dataclasses import replace
from datetime import UTC, date, datetime

import planned_commune
import pytest
from test_hub_web import Site, site

from hub.plan.computing import NoData
from hub.plan.freezing import Point
from hub.plan.lights import Light, light
from hub.plan.model import Baseline
from hub.web import plan_chart
from hub.web.planning import activity_view, card
from hub.web.sparks import spark

__all__ = ["site"]  # a fixture


async def test_only_who_steers_or_audits_sees_the_plan(site: Site) -> None:
    for login, code in (("olga", 403), ("tito", 403), ("jaime", 200), ("aida", 200)):
        person = await site.person(login)
        for path in ("/plan", "/plan/BASE/I04"):
            assert (await person.client.get(path)).status_code == code, (login, path)
        answer = await person.client.post("/plan/cifras/1/verificar", data={"csrf": person.csrf})
        assert answer.status_code == (403 if code == 403 else 404)
    page = (await (await site.person("jaime")).client.get("/")).text
    assert 'href="/plan"' in page


async def test_without_a_plan_the_ready_indicators_are_there(site: Site) -> None:
    page = (await (await site.person("jaime")).client.get("/plan")).text
    assert "Sin plan vigente" in page
    assert "Alertas inoficiosas" in page
    assert "aún no se ha congelado ningún período" in page


async def test_the_board_shows_lights_evidence_and_what_is_missing(site: Site) -> None:
    await planned_commune.fill(site.pool, months=3)
    person = await site.person("aida")
    page = (await person.client.get("/plan")).text
    assert "PCSP-EJEMPLO-2025-2028, actualización 2" in page
    assert (
        "el denominador es 0: n(operativo, programado)" in page
    )  # sin dato is shown as such, with its reason
    assert "1 evidencia" in page
    assert "Aún no empieza" in page
    assert "<polyline" in page
    assert await site.audited("plan_read") == [("aida", "", "")]


async def test_the_chart_tells_frozen_from_provisional(site: Site) -> None:
    await planned_commune.fill(site.pool, months=4)
    client = (await site.person("jaime")).client
    series = (await client.get("/plan/BASE/I04/serie.json")).json()
    assert [bar["period"] for bar in series["bars"]] == ["2026-07", "2026-08", "2026-09", "2026-10"]
    assert all(isinstance(bar["value"], float) for bar in series["bars"])
    now = (await client.get("/plan/BASE/I04/provisorio.json")).json()
    assert now["period"] == "2026-11"
    assert now["told"].startswith("Provisoria 2026-11, hasta 23 nov 2026 21:04: ")
    assert now["value"] > 0
    assert now["light"] == ""
    assert await site.pool.fetchval("select count(*) from plan_snapshots where period = '2026-11'") == 0
    assert (await client.get("/plan/BASE/I99/serie.json")).status_code == 404
    olga = (await site.person("olga")).client
    assert (await olga.get("/plan/BASE/I04/provisorio.json")).status_code == 403


def test_each_period_is_held_against_the_target_of_its_year() -> None:
    [one] = [i for i in planned_commune.example().indicators() if i.targets and i.baseline][:1]
    one = replace(
        one, direction="sube", period="mes", targets={2025: 10.0, 2026: 20.0}, baseline=Baseline(5.0, 2024)
    )
    points = [Point(1, one.id, "2025-12", 12.0), Point(2, one.id, "2026-02", 12.0)]
    found = plan_chart.frozen(one, points, datetime(2026, 3, 3, tzinfo=UTC))
    bars = found["bars"]
    assert isinstance(bars, list)
    assert [(bar["period"], bar["target"], bar["light"], bar["value"]) for bar in bars] == [
        ("2025-12", 10.0, "cumple", 12.0),
        ("2026-01", 20.0, "", None),  # nobody froze it: a gap
        ("2026-02", 20.0, "avanza", 12.0),
    ]
    assert bars[1]["text"] == "sin congelar"
    assert found["baseline"] == 5.0


async def test_a_figure_is_verified_by_a_press_and_a_change_is_told(site: Site) -> None:
    await planned_commune.fill(site.pool, months=1)
    person = await site.person("jaime")
    page = (await person.client.get("/plan/BASE/I04")).text
    assert (
        "De cada cien: cantidad de alertas (cierre: falsa, sin novedad o error), sobre cantidad de alertas"
        in page
    )
    assert "from alerts a" in page  # the query stands there
    found = re.search(r'action="(/plan/cifras/(\d+)/verificar)"', page)
    assert found
    answer = await person.client.post(found[1], data={"csrf": person.csrf})
    assert "Igual: recalculada desde los datos da" in answer.text
    assert re.search(r"Evidencia: \d+ filas de alerta", answer.text)
    await site.pool.execute("update alerts set reason = 'attended' where reason = 'mistaken'")
    answer = await person.client.post(found[1], data={"csrf": person.csrf})
    assert "No coincide con lo congelado" in answer.text
    assert "cierre era error y es atendida" in answer.text
    outcomes = [detail for _, _, detail in await site.audited("figure_verified")]
    assert outcomes == ["equal", "differs"]
    assert (await person.client.post(found[1])).status_code == 403  # without the token


@pytest.mark.parametrize("path", ["/plan/BASE/I99", "/plan/NADA/I04", "/plan/BASE/" + "x" * 64])
async def test_what_is_not_there_is_said(site: Site, path: str) -> None:
    assert (await (await site.person("jaime")).client.get(path)).status_code in (404, 422)


# --------------------------------------------------------------------------------------------- pure

INDICATOR = next(one for one in planned_commune.example().indicators() if one.id == "O1-2")
"""Better when it falls: 7.4 in 2025, 6.8 wanted in 2026."""


@pytest.mark.parametrize(
    ("datum", "expected"),
    [
        (6.8, Light.MET),
        (7.0, Light.ON_ITS_WAY),
        (7.4, Light.BEHIND),
        (9.0, Light.BEHIND),
        (NoData("x"), Light.NO_DATA),
    ],
)
def test_a_light_stands_between_baseline_and_target(datum: float | NoData, expected: Light) -> None:
    assert light(INDICATOR, datum, 2026) is expected


def test_lights_without_a_yardstick() -> None:
    assert light(replace(INDICATOR, direction="neutra"), 1.0, 2026) is Light.NO_TARGET
    assert light(INDICATOR, 1.0, 2025) is Light.NO_TARGET  # the first target is of 2026
    assert light(INDICATOR, 6.4, 2028) is Light.ON_ITS_WAY  # that of 2027 holds on: 6.0
    unknown = replace(INDICATOR, baseline=Baseline(None, 2026))
    assert light(unknown, 7.0, 2026) is Light.BEHIND


def test_periods_that_nobody_froze_are_gaps() -> None:
    points = [Point(1, "O1-2", "2026-08", 7.0), Point(2, "O1-2", "2026-10", 6.5)]
    shown = card("P", INDICATOR, points, planned_commune.NOW)
    assert (shown.value, shown.light, shown.target) == ("6,5 por 1.000 hab.", "cumple", "6,8 en 2026")
    assert shown.spark.lines == ()
    assert len(shown.spark.dots) == 2


def test_a_spark_of_nothing_of_one_and_of_equal_values() -> None:
    assert spark([], None).dots == ()
    assert spark([3.0], None).dots == ((66.0, 16.0),)
    assert spark([2.0, 2.0], 2.0).target == 16.0
    assert spark([None, 1.0, 2.0], None).lines == ("66,28 128,4",)


def test_an_activity_that_began_and_proves_nothing_is_missing_evidence() -> None:
    activity = next(planned_commune.example().activities())  # begins in December
    assert activity_view(activity, 0, date(2026, 11, 30)).state == "later"
    assert activity_view(activity, 0, date(2026, 12, 1)).state == "missing"
    assert activity_view(activity, 2, date(2026, 12, 1)).state_label == "2 evidencias"
