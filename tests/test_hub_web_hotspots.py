"""Hot spots on the console: the list, one action to an operation, and what followed it."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest
from test_hub_hotspots import NOW, codes, fill
from test_hub_web import Person, Site, site

from hub.hotspots import planning, sheets
from hub.hotspots.model import Kind
from hub.operations import importing, reading
from hub.operations.areas import FiledSector, check_area
from hub.operations.effect import Effect, NotYet, told
from hub.operations.linking import Linking
from hub.operations.ratios import rate_ratio, relative_ratio

__all__ = ["site"]  # a fixture


def known() -> Mapping[str, str]:
    return codes()


async def with_spots(site: Site) -> Person:
    await fill(site.pool)
    await site.clock.advance((NOW - site.clock.now()).total_seconds())
    await sheets.refresh(site.pool, NOW, known)
    return await site.person("jaime")


async def test_a_hot_spot_becomes_a_planned_operation_with_its_causes_by_one_press(site: Site) -> None:
    person = await with_spots(site)
    page = (await person.client.get("/focos")).text
    assert "Feria Costanera" in page
    assert "es más de lo que explica el azar" in page
    assert "<polygon" in page
    sheet = await sheets.load(site.pool, "")
    assert sheet is not None
    spot = next(one for one in sheet.spots if any(p.name == "Feria Costanera" for p in one.points))
    answer = await person.client.post(f"/focos/{spot.code}/programar", data={"csrf": person.csrf})
    assert answer.status_code == 303, answer.text
    folio = answer.headers["location"].rpartition("/")[2]
    operation = await reading.find(site.pool, folio)
    assert (operation.draft.hot_spot, operation.draft.kind) == (spot.code, "street_trade")
    assert operation.draft.planned_start == spot.planned_start
    assert operation.draft.origin_since == sheet.since
    assert operation.draft.area is not None
    check_area(operation.draft.area)
    await Linking(site.pool, known).all(NOW)
    dossier = await reading.dossier(site.pool, folio)
    origins = [link for link in dossier.links if link.relation == "origin"]
    assert len(origins) >= 10
    assert "del punto Feria Costanera" in origins[0].reason
    assert (await person.client.get(f"/operativos/{folio}")).text.count("del punto Feria Costanera") >= 10
    again = await planning.plan(site.pool, sheet, spot, author="jaime", now=NOW)
    assert again.draft.institutions == operation.draft.institutions  # as the newest of its kind


async def test_who_may_not_plan_only_looks(site: Site) -> None:
    await with_spots(site)
    operator, technician = await site.person("olga"), await site.person("tito")
    page = (await operator.client.get("/focos?familia=INC")).text
    assert "Programar operativo" not in page
    answer = await operator.client.post("/focos/FOC-CENTRO-01/programar", data={"csrf": operator.csrf})
    assert answer.status_code == 403
    assert (await technician.client.get("/focos")).status_code == 403
    chief = await site.person("jaime")
    answer = await chief.client.post("/focos/FOC-NADA-01/programar", data={"csrf": chief.csrf})
    assert answer.status_code == 422
    assert (await chief.client.get("/focos?familia=XYZ")).status_code == 422


async def test_before_the_first_round_the_page_says_so(site: Site) -> None:
    page = (await (await site.person("jaime")).client.get("/focos")).text
    assert "El hub calcula los focos cada hora" in page


@pytest.mark.parametrize(("days", "is_due"), [(13, False), (14, True)])
async def test_the_effect_is_told_after_a_fortnight_beside_the_control(
    site: Site, days: int, is_due: bool
) -> None:
    square = [[-72.02, -34.38], [-72.0, -34.38], [-72.0, -34.4], [-72.02, -34.4], [-72.02, -34.38]]
    area = {"type": "Polygon", "coordinates": [square]}
    sectors = [
        FiledSector(sector=name, name="", area=area, is_rural=False, control=control)
        for name, control in (("COSTA", "CENTRO"), ("CENTRO", ""))
    ]
    await importing.store_sectors(site.pool, sectors, "prueba", NOW)
    ended = site.clock.now() - timedelta(days=days)
    began = ended - timedelta(hours=3)
    operation_id = await site.pool.fetchval(
        "insert into operations (operation_id, folio, kind, state, sector, planned_start, planned_end,"
        " started_at, ended_at, author, created_at) values (gen_random_uuid(), 'OPF-2026-0001',"
        " 'street_trade', 'executed', 'COSTA', $1, $2, $1, $2, 'x', $1) returning operation_id",
        began,
        ended,
    )
    await site.pool.execute(
        "insert into operation_points (operation_id, point, latitude, longitude)"
        " values ($1, 'P1', -34.39, -72.01)",
        operation_id,
    )
    hour = timedelta(hours=1)
    placed = [(began - hour, "COSTA", True)] * 12 + [(ended + hour, "COSTA", True)] * 4
    placed += [(ended + hour, "COSTA", False)] * 5  # too far away
    placed += [(began - hour, "CENTRO", False)] * 10 + [(ended + hour, "CENTRO", False)] * 9
    for number, (at, sector, is_near) in enumerate(placed):
        await site.pool.execute(
            "insert into alerts (alert_id, code, kind, priority, state, reason, dedup_key, summary, rule,"
            " happened_at, opened_at, last_event_at, closed_at, classification, sector, latitude, longitude)"
            " values (gen_random_uuid(), $1, 'community_alarm', 4, 'closed', 'attended', $1, 'x', 'r',"
            " $2, $2, $2, $2, 'INC.COMERCIO', $3, $4, -72.01)",
            f"A{number}",
            at,
            sector,
            -34.391 if is_near else -34.42,
        )
    person = await site.person("jaime")
    page = (await person.client.get("/operativos/OPF-2026-0001/efecto")).text
    document = (await person.client.get("/api/v1/operations/OPF-2026-0001/effect")).json()
    if not is_due:
        assert "falta 1 día" in page
        assert "before" not in document
        return
    assert (document["before"], document["after"]) == (12, 4)
    assert (document["control_before"], document["control_after"]) == (10, 9)
    assert document["relative"]["value"] == pytest.approx((4 / 12) / (9 / 10))
    assert "bajaron de 12 a 4" in page
    assert "En el sector de control, CENTRO, bajaron de 10 a 9" in page
    assert "no se puede descartar el azar" in page


async def test_an_operation_that_was_not_held_has_no_effect(site: Site) -> None:
    person = await site.person("jaime")
    assert (await person.client.get("/operativos/OPF-2026-0009/efecto")).status_code == 404


# --------------------------------------------------------------------------------------------- pure


def effect(before: int, after: int, control_before: int = 0, control_after: int = 0) -> Effect:
    has_control = bool(control_before)
    return Effect(
        before=before,
        after=after,
        control="CENTRO" if has_control else "",
        control_before=control_before,
        control_after=control_after,
        ratio=rate_ratio(after, before),
        relative=relative_ratio(after, before, control_after, control_before) if has_control else None,
    )


def test_words_do_not_boast() -> None:
    assert "no se puede descartar el azar" in told(effect(12, 7, 10, 9))[-1]
    assert "Es poco probable que sea azar: bajaron" in told(effect(80, 20, 60, 58))[-1]
    assert "subieron en comparación" in told(effect(20, 80, 60, 58))[-1]
    assert "no se sabe si habría cambiado igual" in told(effect(12, 7))[1]
    assert told(effect(0, 3, 10, 9))[-1].startswith("Sin hechos antes")
    waiting = told(NotYet(datetime(2026, 12, 1, 3, tzinfo=UTC), 5))
    assert waiting == ["Todavía no se puede decir: faltan 5 días (el 01-12-2026)."]


def test_the_kind_follows_the_commonest_class() -> None:
    def kind(*codes: str) -> str:
        return planning.kind_of(type("S", (), {"kinds": [Kind(code, 3) for code in codes]})())  # type: ignore[arg-type]

    assert kind("INC.COMERCIO", "DEL.HURTO") == "street_trade"
    assert (kind("RUR.ABIGEATO"), kind("DEL.HURTO"), kind()) == ("rural", "other", "other")
