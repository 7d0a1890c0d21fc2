"""The street over HTTP: who may, what is taken once, photos and who reads them, permits, rounds."""

import asyncio
import hashlib
import re
import uuid
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import fieldwork_commune
import httpx
import pytest
import pytest_asyncio
from fakes import VirtualClock
from fieldwork_commune import LATITUDE, LONGITUDE, Evening
from test_hub_web import HASHED, PEOPLE, Person, Site, served

from hub.database import Pool
from hub.fieldwork.vault import MAX_BYTES
from hub.web.settings import WebSettings

PHONE = "0123456789abcdef" * 2
JPEG = b"\xff\xd8\xff\xe0" + b"una foto" * 64


@pytest_asyncio.fixture
async def site(pool: Pool, tmp_path: Path) -> AsyncIterator[Site]:
    people = {login: role for login, (_, role) in PEOPLE.items()} | {"ines": "inspector", "ivan": "inspector"}
    await pool.executemany(
        "insert into users (login, name, role, password) values ($1, $1, $2, $3)",
        [(login, role, HASHED) for login, role in people.items()],
    )
    settings = WebSettings(commune="Los Aromos", evidence_folder=tmp_path / "boveda")
    async with served(pool, settings, VirtualClock()) as running:
        yield running


@pytest_asyncio.fixture
async def evening(site: Site) -> Evening:
    return await fieldwork_commune.fill(site.pool, site.clock.now())


async def take(person: Person, **changes: object) -> dict[str, Any]:
    answer = await person.client.post(
        "/api/v1/field/take",
        json={"phone": PHONE, "folios": {}, "permits": ""} | changes,
        headers={"X-CSRF-Token": person.csrf},
    )
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def bring(
    site: Site, person: Person, *items: dict[str, Any], phone: str = PHONE
) -> list[dict[str, Any]]:
    answer = await person.client.post(
        "/api/v1/field/items",
        json={"phone": phone, "now": site.clock.now().isoformat(), "items": list(items)},
        headers={"X-CSRF-Token": person.csrf},
    )
    assert answer.status_code == 200, answer.text
    results: list[dict[str, Any]] = answer.json()["results"]
    return results


def inspection(site: Site, evening: Evening, **changes: object) -> dict[str, Any]:
    values: dict[str, Any] = {
        "kind": "inspection",
        "id": str(uuid.uuid4()),
        "at": site.clock.now().isoformat(),
        "operation_id": str(evening.operation_id),
        "point": "P1",
        "where": {"latitude": LATITUDE, "longitude": LONGITUDE, "accuracy_m": 9.5},
        "trade": "alimentos",
        "permit_state": "none",
        "result": "warning",
    }
    return values | changes


async def test_only_who_works_in_the_street_takes_and_brings(site: Site, evening: Evening) -> None:
    for login, code in (("olga", 403), ("tito", 403), ("aida", 403), ("ines", 200), ("jaime", 200)):
        person = await site.person(login)
        assert (await person.client.get("/terreno")).status_code == code
        assert (await person.client.get("/terreno/sw.js")).status_code == code
        for method, path in (
            ("POST", "/api/v1/field/take"),
            ("POST", "/api/v1/field/items"),
            ("PUT", f"/api/v1/field/photos/{uuid.uuid4()}"),
        ):
            answer = await person.client.request(method, path, content=b"{}")
            assert answer.status_code == 403, (login, path)  # without the token nobody
            answer = await person.client.request(
                method, path, content=b"{}", headers={"X-CSRF-Token": person.csrf}
            )
            assert answer.status_code == (403 if code == 403 else 422)
    assert (await site.stranger().get("/terreno")).status_code == 303


async def test_the_page_names_nobody_and_may_use_camera_and_position(site: Site) -> None:
    ines, jaime = await site.person("ines"), await site.person("jaime")
    page = await ines.client.get("/terreno")
    assert page.text == (await jaime.client.get("/terreno")).text
    assert not re.search(r"\b(ines|jaime|csrf)\b", page.text)
    assert page.headers["permissions-policy"] == "camera=(self), microphone=(), geolocation=(self)"
    assert "blob:" in page.headers["content-security-policy"]
    worker = await ines.client.get("/terreno/sw.js")
    assert worker.headers["service-worker-allowed"] == "/terreno"
    for path in ("js/field/main.js", "css/field.css", "vendor/atkinson/latin-400.woff2"):
        assert path in worker.text
    other = await ines.client.get("/permisos")
    assert "geolocation=()" in other.headers["permissions-policy"]


async def test_a_phone_takes_its_day_along_and_only_what_it_lacks(site: Site, evening: Evening) -> None:
    ines = await site.person("ines")
    load = await take(ines)
    (operation,) = load["operations"]
    assert (operation["folio"], operation["kind"]) == (evening.folio, "Comercio ambulante")
    assert [point["point"] for point in operation["points"]] == ["P1", "P2"]
    assert [task["is_done"] for task in operation["tasks"]] == [False, False]
    assert load["rounds"][0]["points"][0]["code"] == evening.code
    assert {row["folio"] for row in load["permits"]["rows"]} == {"PV-0001", "PV-0002"}
    assert load["blocks"] == [{"prefix": "FIS", "year": 2026, "first": 1, "last": 50}]
    again = await take(ines, folios={2026: 41}, permits=load["permits"]["version"])
    assert (again["blocks"], again["permits"], again["key"]) == ([], None, load["key"])
    ivan = await take(await site.person("ivan"))
    assert ivan["blocks"][0]["first"] == 51
    assert ivan["key"] != load["key"]  # the same phone, another person


async def test_another_institution_sees_its_own_operations(site: Site, evening: Evening) -> None:
    await site.pool.execute("update users set institution = 'SEREMI de Salud' where login = 'ivan'")
    ivan = await site.person("ivan")
    load = await take(ivan)
    assert (load["operations"], load["rounds"]) == ([], [])
    (result,) = await bring(site, ivan, inspection(site, evening))
    assert result["reason"].startswith("SEREMI de Salud no participa en OPF-")


async def test_the_last_days_of_a_year_bring_folios_of_the_next(site: Site) -> None:
    await site.clock.advance(timedelta(days=30).total_seconds())  # 24 December
    load = await take(await site.person("ines"))
    assert [block["year"] for block in load["blocks"]] == [2026, 2027]


async def test_a_bad_item_never_stops_the_others_and_repeats_count_once(site: Site, evening: Evening) -> None:
    ines = await site.person("ines")
    await take(ines)
    good = inspection(site, evening, folio="FIS-2026-000001")
    items = [
        good,
        inspection(site, evening, trade=""),
        {"kind": "nada", "id": "x"},
        inspection(site, evening, folio="FIS-2026-000099"),
        inspection(site, evening, point="P9"),
        inspection(site, evening, operation_id=str(uuid.uuid4())),
        inspection(site, evening),
    ]
    results = await bring(site, ines, *items)
    assert [one["state"] for one in results] == ["accepted", *["refused"] * 5, "accepted"]
    reasons = " ".join(one.get("reason", "") for one in results)
    for said in ("«trade»", "no conoce", "no fue entregado a usted", "«P9» no es de ese", "no existe"):
        assert said in reasons
    assert (results[0]["folio"], results[6]["folio"]) == ("FIS-2026-000001", "FIS-2026-000051")
    repeated = await bring(site, ines, *items)
    assert [one["state"] for one in repeated] == ["repeated", *["refused"] * 5, "repeated"]
    assert repeated[6]["folio"] == "FIS-2026-000051"
    (other,) = await bring(site, ines, good | {"trade": "bebidas"})
    assert "otro contenido" in other["reason"]
    (foreign,) = await bring(site, await site.person("ivan"), good)
    assert "otra persona" in foreign["reason"]
    (taken,) = await bring(site, ines, inspection(site, evening, folio="FIS-2026-000001"))
    assert "ya lo lleva otra" in taken["reason"]
    assert await site.pool.fetchval("select count(*) from inspections") == 2
    assert next(detail for _, _, detail in await site.audited("field_brought")) == "2 de 7"


async def test_the_same_item_at_the_same_time_is_taken_once(site: Site, evening: Evening) -> None:
    ines = await site.person("ines")
    await take(ines)
    item = inspection(site, evening, folio="FIS-2026-000002")
    answers = await asyncio.gather(*(bring(site, ines, item) for _ in range(6)))
    assert sorted(one["state"] for (one,) in answers) == ["accepted", *["repeated"] * 5]


async def test_a_closed_operation_takes_no_more(site: Site, evening: Evening) -> None:
    await site.pool.execute(
        "update operations set state = 'closed', closed_at = now(), acta_folio = 'ACTA-1'"
        " where operation_id = $1",
        evening.operation_id,
    )
    ines = await site.person("ines")
    items = [
        inspection(site, evening),
        {"kind": "task", "position": 1, "is_done": True},
        {"kind": "point", "point": "P1", "what": "visited"},
    ]
    base = {"operation_id": str(evening.operation_id), "at": site.clock.now().isoformat()}
    results = await bring(site, ines, *({"id": str(uuid.uuid4())} | base | item for item in items))
    assert all("ya cerró su acta" in one["reason"] for one in results)


async def put_photo(person: Person, file_id: str, content: bytes) -> httpx.Response:
    return await person.client.put(
        f"/api/v1/field/photos/{file_id}", content=content, headers={"X-CSRF-Token": person.csrf}
    )


def photo(site: Site, sha256: str) -> dict[str, Any]:
    return {
        "id": str(uuid.uuid4()),
        "sha256": sha256,
        "size_bytes": len(JPEG),
        "captured_at": site.clock.now().isoformat(),
    }


async def test_photos_are_kept_flagged_served_and_every_reading_recorded(
    site: Site, evening: Evening
) -> None:
    ines = await site.person("ines")
    right, wrong = photo(site, hashlib.sha256(JPEG).hexdigest()), photo(site, "0" * 64)
    early = await put_photo(ines, right["id"], JPEG)
    assert (early.status_code, "primero la fiscalización" in early.text) == (422, True)
    await bring(site, ines, inspection(site, evening, photos=[right, wrong]))
    assert (await ines.client.get(f"/evidencias/{right['id']}")).status_code == 404  # not here yet
    assert (await put_photo(ines, right["id"], b"GIF89a")).status_code == 422
    assert (await put_photo(ines, right["id"], JPEG + bytes(MAX_BYTES))).status_code == 413
    assert (await put_photo(ines, right["id"], JPEG)).json()["differs"] is False
    assert (await put_photo(ines, right["id"], JPEG)).status_code == 200
    assert (await put_photo(ines, wrong["id"], JPEG)).json()["differs"] is True
    answer = await (await site.person("aida")).client.get(f"/evidencias/{right['id']}")
    assert (answer.content, answer.headers["content-type"]) == (JPEG, "image/jpeg")
    assert "sandbox" in answer.headers["content-security-policy"]
    assert (await (await site.person("tito")).client.get(f"/evidencias/{right['id']}")).status_code == 403
    assert [(login, object_) for login, object_, _ in await site.audited("evidence_read")] == [
        ("aida", right["id"])
    ]
    page = (await ines.client.get("/evidencias")).text
    assert "Otra huella" in page
    assert "Igual" in page


async def test_permits_are_searched_by_folio_alone(site: Site, evening: Evening) -> None:
    ines = await site.person("ines")
    assert "Vigente" in (await ines.client.get("/permisos", params={"folio": " pv-0001 "})).text
    assert "no figura en el registro" in (await ines.client.get("/permisos?folio=PV-77")).text
    answer = await ines.client.get("/permisos", params={"folio": "12.345.678-5"})
    assert (answer.status_code, "Parece un RUT" in answer.text) == (422, True)
    assert [object_ for _, object_, _ in await site.audited("permit_read")] == ["PV-0001", "PV-77"]
    assert (await (await site.person("tito")).client.get("/permisos")).status_code == 403


async def test_a_round_is_planned_walked_shown_and_not_called_off_any_more(
    site: Site, evening: Evening
) -> None:
    jaime, ines = await site.person("jaime"), await site.person("ines")
    form = {
        "csrf": jaime.csrf,
        "nombre": "Feria",
        "sector": "COSTA",
        "latitud": "-34,394",
        "longitud": "-72,01",
    }
    assert (await jaime.client.post("/rondas/puntos", data=form)).status_code == 303
    bad = await jaime.client.post("/rondas/puntos", data=form | {"latitud": "norte"})
    assert (bad.status_code, "van en grados" in bad.text) == (422, True)
    codes = [row["code"] for row in await site.pool.fetch("select code from checkpoints order by name desc")]
    plan: dict[str, Any] = {
        "csrf": jaime.csrf,
        "nombre": "Ronda de noche",
        "desde": "2026-11-23T21:00",
        "hasta": "2026-11-23T23:00",
        "minutos": "30",
        "punto": codes,
    }
    assert (await ines.client.post("/rondas", data=plan | {"csrf": ines.csrf})).status_code == 403
    refused = await jaime.client.post("/rondas", data=plan | {"hasta": "2026-11-23T20:00"})
    assert "termina después de empezar" in refused.text
    answer = await jaime.client.post("/rondas", data=plan)
    path = answer.headers["location"]
    where = {"latitude": LATITUDE, "longitude": LONGITUDE, "accuracy_m": 9.0}
    (result,) = await bring(
        site,
        ines,
        {
            "kind": "checkin",
            "id": str(uuid.uuid4()),
            "at": site.clock.now().isoformat(),
            "round_id": path.rpartition("/")[2],
            "code": codes[0],
            "way": "position",
            "where": where,
        },
    )
    assert result["state"] == "accepted"
    await site.clock.advance(7200)
    page = (await ines.client.get(path)).text
    assert "Comprobada" in page
    assert "Sin ninguna marca" in page
    assert "Con vacíos" in page
    assert "1 de 2" in (await ines.client.get("/rondas")).text
    answer = await jaime.client.post(f"{path}/suspender", data={"csrf": jaime.csrf, "motivo": "lluvia"})
    assert "ya tiene marcas" in answer.text
    other = f"/rondas/{evening.round_id}"
    await jaime.client.post(f"{other}/suspender", data={"csrf": jaime.csrf, "motivo": "lluvia"})
    assert "Suspendida" in (await jaime.client.get(other)).text
    assert len(await site.audited("round_planned")) == 1


@pytest.mark.parametrize(
    "path", ["/rondas/00000000-0000-0000-0000-000000000000", "/evidencias/x", "/rondas?antes=x"]
)
async def test_what_is_not_there_is_said(site: Site, path: str) -> None:
    assert (await (await site.person("jaime")).client.get(path)).status_code in (404, 422)
