"""The directorate's registers: figures, files with bad lines, sessions with their acta, who sees what."""

import hashlib
import re
from datetime import UTC, date, datetime
from typing import Any

import httpx
import pytest
from test_hub_web import HASHED, Person, Site, site

from hub.alerts import catalogue
from hub.database import Pool
from hub.plan import freezing
from hub.plan import service as plan
from hub.plan.computing import NoData
from hub.plan.facts import Asking
from hub.plan.parameters import parameters_of
from hub.plan.periods import parse_period
from hub.registers import files, service, sessions
from hub.registers.catalogue import AGREEMENTS, PROJECTS, REFERRALS, REGISTERS, REQUESTS, SESSIONS
from hub.registers.datasets import DATASETS
from hub.registers.model import Register, RegisterError, StaleError
from hub.registers.sessions import Seat
from hub.registers.values import read, shown, typed
from hub.web.permissions import Permission

__all__ = ["site"]  # a fixture

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
YEAR = {"starts_on": "2026-01-01", "ends_on": "2026-12-31"}
SITTING = {
    "body": "council",
    "starts_at": "2026-10-14T10:00",
    "state": "held",
    "minutes": "Carabineros expuso.",
}


async def add(pool: Pool, register: Register, now: datetime = NOW, **words: str) -> str:
    values, mistakes = read(register, words)
    assert mistakes == []
    async with pool.acquire() as connection, connection.transaction():
        return await service.write(connection, register, values, author="jaime", now=now)


async def figure(pool: Pool, name: str, label: str, as_of: datetime = NOW) -> Any:
    period = parse_period(label)
    asking = Asking(as_of=as_of, parameters=parameters_of(catalogue.load()))
    [one] = [indicator for indicator in plan.library() if indicator.id == name]
    figures, _ = await freezing.compute_period(pool, [one], period, asking)
    return figures[name].datum


# ------------------------------------------------------------------------------------------ figures


async def test_attendance_is_counted_by_seat_in_sessions_that_were_held(pool: Pool) -> None:
    first = await add(pool, SESSIONS, **SITTING)
    await add(pool, SESSIONS, **{**SITTING, "state": "planned", "starts_at": "2026-10-28T10:00"})
    committee = await add(pool, SESSIONS, **{**SITTING, "body": "committee"})
    for folio, present in ((first, 3), (committee, 1)):
        seats = [Seat(f"asiento {n}", n < present, is_substitute=False) for n in range(4)]
        await sessions.attend(pool, folio, seats, author="jaime", now=NOW)
    assert await figure(pool, "I22", "2026-10") == 75.0
    assert isinstance(await figure(pool, "I22", "2026-09"), NoData)


async def test_an_agreement_counts_when_its_day_has_come(pool: Pool) -> None:
    session = await add(pool, SESSIONS, **SITTING)
    base = {"session": session, "agreement": "Luminarias", "owner": "DOM"}
    await add(pool, AGREEMENTS, **base, due_on="2026-08-15", fulfilled_on="2026-08-15")
    await add(pool, AGREEMENTS, **base, due_on="2026-08-15", fulfilled_on="2026-08-16")
    await add(pool, AGREEMENTS, **base, due_on="2026-09-30")
    await add(pool, AGREEMENTS, **base, due_on="2026-09-30", dropped_because="lo hizo el MOP")
    assert await figure(pool, "I23", "2026-T3") == pytest.approx(100 / 3)


async def test_a_fact_that_was_told_later_is_not_known_before(pool: Pool) -> None:
    session = await add(pool, SESSIONS, **SITTING)
    words = {"session": session, "agreement": "Luminarias", "owner": "DOM", "due_on": "2026-09-30"}
    folio = await add(pool, AGREEMENTS, datetime(2026, 9, 1, tzinfo=UTC), **words)
    values, _ = read(AGREEMENTS, {**words, "fulfilled_on": "2026-09-15"})
    async with pool.acquire() as connection:
        await service.write(connection, AGREEMENTS, values, author="j", now=NOW, folio=folio)
    assert await figure(pool, "I23", "2026-T3", datetime(2026, 10, 5, tzinfo=UTC)) == 0.0
    assert await figure(pool, "I23", "2026-T3") == 100.0


async def test_victims_who_consent_and_are_taken_on_in_a_week(pool: Pool) -> None:
    base = {"opened_on": "2026-10-01", "matter": "vif"}
    yes = {**base, "has_consent": "sí", "consent_how": "paper", "institution": "Centro de la Mujer"}
    await add(pool, REFERRALS, **yes, referred_on="2026-10-02", accepted_on="2026-10-09")
    await add(pool, REFERRALS, **yes, referred_on="2026-10-02", accepted_on="2026-10-10")
    await add(pool, REFERRALS, **yes)
    await add(pool, REFERRALS, **base)
    assert await figure(pool, "I21", "2026-10") == pytest.approx(100 / 3)


async def test_image_requests_answered_in_time(pool: Pool) -> None:
    base = {"institution": "Fiscalía", "received_on": "2026-10-05", "due_on": "2026-10-12"}
    await add(pool, REQUESTS, **base, answered_on="2026-10-12", outcome="Entregado")
    await add(pool, REQUESTS, **base, answered_on="2026-10-06", outcome="lost")
    await add(pool, REQUESTS, **base)
    await add(pool, REQUESTS, **base, answered_on="2026-10-13", outcome="none")
    assert await figure(pool, "I24", "2026-10") == 25.0


async def test_what_was_accounted_for_of_what_was_transferred(pool: Pool) -> None:
    base = {**YEAR, "amount_clp": "18.000.000"}
    fndr = await add(pool, PROJECTS, name="Cámaras", fund="FNDR", **base)
    own = await add(pool, PROJECTS, name="Patrullas", fund="municipal", **base)
    for project, sort, day, amount in (
        (fndr, "instalment", "2026-03-01", "9000000"),
        (fndr, "account", "2026-06-01", "6000000"),
        (fndr, "account", "2026-10-01", "3000000"),
        (own, "instalment", "2026-03-01", "5000000"),
    ):
        await add(pool, REGISTERS["cuotas"], project=project, sort=sort, day=day, amount_clp=amount)
    assert await figure(pool, "I26", "2026-T3") == pytest.approx(100 * 6 / 9)


# ------------------------------------------------------------------------------------------- entries


async def test_an_entry_has_a_folio_a_history_and_one_writer_at_a_time(pool: Pool) -> None:
    folio = await add(pool, PROJECTS, name="Cámaras", fund="FNDR", amount_clp="100", **YEAR)
    assert folio == "PRY-2026-0001"
    entry = await service.find(pool, PROJECTS, folio)
    values = {**entry.values, "amount_clp": 250}
    async with pool.acquire() as connection:
        await service.write(connection, PROJECTS, values, author="ana", now=NOW, folio=folio, version=1)
        with pytest.raises(StaleError, match="otra persona cambió"):
            await service.write(connection, PROJECTS, values, author="x", now=NOW, folio=folio, version=1)
        row = {"project": "PRY-2026-0099", "sort": "account", "day": date(2026, 1, 1), "amount_clp": 1}
        with pytest.raises(RegisterError, match="ese folio no existe; revise proyecto"):
            await service.write(connection, REGISTERS["cuotas"], row, author="x", now=NOW)
    changes = await service.history(pool, PROJECTS, folio)
    assert [(one.author, dict(one.changes)) for one in changes] == [
        ("ana", {"amount_clp": ["100", "250"]}),
        ("jaime", {"folio": [None, folio]}),
    ]


async def test_a_list_has_pages(pool: Pool) -> None:
    for number in range(5):
        await add(
            pool, REGISTERS["difusion"], day=f"2026-10-0{number + 1}", kind="talk", topic=f"tema {number}"
        )
    first = await service.listed(pool, REGISTERS["difusion"], limit=3)
    rest = await service.listed(pool, REGISTERS["difusion"], before=first[-1].folio, limit=3)
    assert [one.values["topic"][-1] for one in (*first, *rest)] == ["4", "3", "2", "1", "0"]


@pytest.mark.parametrize(
    ("register", "changes", "says"),
    [
        (REFERRALS, {"matter": "nada"}, "elija entre Violencia intrafamiliar"),
        (REFERRALS, {"referred_on": "2026-10-02"}, "sin consentimiento no se deriva"),
        (REFERRALS, {"has_consent": "sí"}, "cómo consintió"),
        (REFERRALS, {"outcome": "es 12.345.678-5"}, "RUT"),
        (REFERRALS, {"opened_on": "ayer"}, "AAAA-MM-DD"),
        (REFERRALS, {"opened_on": ""}, "falta"),
    ],
)
def test_a_mistake_names_field_and_remedy(register: Register, changes: dict[str, str], says: str) -> None:
    _, mistakes = read(register, {"opened_on": "2026-10-01", "matter": "vif", **changes})
    assert says in "; ".join(map(str, mistakes))


def test_words_go_there_and_back() -> None:
    words = {
        "name": "Cámaras", "fund": "FNDR", "activity": "", "amount_clp": "$ 18.000.000",
        "starts_on": "01-03-2026", "ends_on": "2026-12-31", "state": "En ejecución",
    }  # fmt: skip
    values, mistakes = read(PROJECTS, words)
    assert mistakes == []
    again, _ = read(PROJECTS, {field.name: typed(field, values[field.name]) for field in PROJECTS.fields})
    assert again == values
    assert shown(PROJECTS.field("amount_clp"), values["amount_clp"]) == "$ 18.000.000"
    assert shown(PROJECTS.field("starts_on"), values["starts_on"]) == "01-03-2026"


# -------------------------------------------------------------------------------------------- files

_CSV = """fecha;tipo;tema;sector;asistentes
2026-10-01;Charla;Prevención;CENTRO;35
2026-10-02;Rifa;Otra;CENTRO;3
2026-10-03;Charla;=HYPERLINK("x");CENTRO;muchos
2026-10-04;Feria;Botones;COSTA
2026-10-05;Feria;Botones;COSTA;12
"""


async def test_a_file_tells_each_bad_line_and_brings_in_the_good_ones_if_asked(pool: Pool) -> None:
    register = REGISTERS["difusion"]
    lines, problems = files.parse(register, _CSV, "d.csv")
    assert [(problem.line, problem.text[:30]) for problem in problems] == [
        (3, "tipo: «Rifa» no vale; elija en"),
        (4, "asistentes: «muchos» no es un "),
        (5, "tiene 4 celdas y los títulos s"),
    ]
    assert [line.number for line in lines] == [2, 6]
    done, refused = await files.store(pool, register, lines, "d.csv", author="j", now=NOW, is_partial=True)
    assert (done, refused) == (2, [])
    text = files.as_csv(register, await service.listed(pool, register))
    again, problems = files.parse(register, text, "otra.csv")
    assert problems == []
    assert {line.folio for line in again} == {"DIF-2026-0001", "DIF-2026-0002"}


async def test_all_or_nothing_unless_asked(pool: Pool) -> None:
    register = AGREEMENTS
    session = await add(pool, SESSIONS, **SITTING)
    text = (
        f"sesión,acuerdo,responsable,plazo\n{session},Uno,DOM,2026-12-01\nCON-2026-0099,Dos,DOM,2026-12-01\n"
    )
    lines, problems = files.parse(register, text, "a.csv")
    assert problems == []
    done, refused = await files.store(pool, register, lines, "a.csv", author="j", now=NOW, is_partial=False)
    assert (done, [problem.line for problem in refused]) == (0, [3])
    assert await service.listed(pool, register) == []
    done, _ = await files.store(pool, register, lines, "a.csv", author="j", now=NOW, is_partial=True)
    assert done == 1


def test_columns_are_named() -> None:
    _, problems = files.parse(REGISTERS["difusion"], "fecha,color\n", "x.csv")
    assert any("no existe la columna «color»" in problem.text for problem in problems)
    assert any("falta la columna «tema»" in problem.text for problem in problems)


async def test_every_dataset_answers_and_hides_what_is_reserved(pool: Pool) -> None:
    for one in DATASETS.values():
        rows = await pool.fetch(one.sql, datetime(2026, 1, 1, tzinfo=UTC), NOW)
        assert rows == [], one.id
    for number in range(4):
        await add(pool, REFERRALS, opened_on=f"2026-10-0{number + 1}", matter="vif")
    rows = await pool.fetch(DATASETS["victimas"].sql, datetime(2026, 1, 1, tzinfo=UTC), NOW)
    assert [dict(row) for row in rows] == [
        {"mes": "2026-10", "materia": "vif", "derivaciones": "<5", "aceptadas": ""}
    ]
    assert "sin datos" in files.rows_as_csv([])


# ------------------------------------------------------------------------------------------ sessions


async def test_an_acta_is_made_of_notes_and_never_changed_once_approved(pool: Pool) -> None:
    folio = await add(pool, SESSIONS, **SITTING, agenda="Verano\nVarios")
    words = {"agreement": "Reforzar la costanera.", "owner": "DSP", "due_on": "2026-12-15"}
    await add(pool, AGREEMENTS, session=folio, **words)
    with pytest.raises(RegisterError, match="anote la asistencia"):
        await sessions.approve(pool, folio, author="j", now=NOW)
    seats = [Seat(name, n < 8, n == 2) for n, name in enumerate(sessions.SEATS["council"])]
    await sessions.attend(pool, folio, seats, author="j", now=NOW)
    sha256 = await sessions.approve(pool, folio, author="j", now=NOW)
    found = await sessions.sitting(pool, folio)
    assert hashlib.sha256(found.acta_text.encode()).hexdigest() == sha256
    for text in ("8 de 13 asientos (con quórum)", "2. Varios", "Reforzar la costanera. Responsable: DSP"):
        assert text in found.acta_text
    with pytest.raises(RegisterError, match="ya está aprobada"):
        await sessions.attend(pool, folio, seats, author="j", now=NOW)


# -------------------------------------------------------------------------------------------- pages


async def director(site: Site) -> Person:
    await site.pool.executemany(
        "insert into users (login, name, role, password) values ($1, $1, $2, $3)",
        [("dora", "director", HASHED), ("vera", "victimas", HASHED)],
    )
    return await site.person("dora")


async def send(person: Person, path: str, **fields: object) -> httpx.Response:
    return await person.client.post(path, data={"csrf": person.csrf, **fields})


async def test_a_session_is_kept_from_the_summons_to_the_approved_acta(site: Site) -> None:
    person = await director(site)
    answer = await send(person, "/registros/sesiones", **{**SITTING, "starts_at": "ayer"})
    assert answer.status_code == 422
    assert "no es fecha y hora" in answer.text
    answer = await send(
        person,
        "/registros/sesiones",
        **{**SITTING, "kind": "ordinary", "state": "planned", "agenda": "Verano"},
    )
    address = answer.headers["location"]
    page = (await person.client.get(address)).text
    assert "Ministerio Público" in page
    names = re.findall(r'name="asiento" value="([^"]+)"', page)
    marks = {"asiento": names, "presente": ["0", "1", "2", "3", "4", "5", "6"], "suplente": ["6"]}
    assert (await send(person, f"{address}/asistencia", **marks)).status_code == 303
    folio = address.rpartition("/")[2]
    answer = await send(
        person,
        "/registros/acuerdos",
        session=folio,
        agreement="Reforzar",
        owner="DSP",
        due_on="2026-11-01",
    )
    assert answer.status_code == 303, answer.text
    assert "Vencido" in (await person.client.get("/registros/acuerdos")).text
    assert (await send(person, f"{address}/aprobar")).status_code == 303
    page = (await person.client.get(address)).text
    assert "7 de 13" in page
    assert "SHA-256" in page
    answer = await send(person, address, **{**SITTING, "kind": "ordinary", "version": "3"})
    assert "ya está aprobada" in answer.text


async def test_referrals_are_for_their_own_people_and_each_reading_is_audited(site: Site) -> None:
    person = await director(site)
    assert (await person.client.get("/registros/derivaciones")).status_code == 403
    assert "Derivaciones" not in (await person.client.get("/registros")).text
    vera = await site.person("vera")
    answer = await send(
        vera, "/registros/derivaciones", opened_on="2026-11-01", matter="vif", has_consent="no"
    )
    assert answer.status_code == 303, answer.text
    assert (await vera.client.get(answer.headers["location"])).status_code == 200
    assert (await vera.client.get("/registros/proyectos")).status_code == 403
    read_ = [(login, what) for login, what, _ in await site.audited("register_read")]
    assert read_ == [("vera", "DER-2026-0001")]


async def test_files_go_in_and_out_by_the_page(site: Site) -> None:
    person = await director(site)
    upload = {"archivo": ("d.csv", _CSV.encode(), "text/csv")}
    answer = await person.client.post(
        "/registros/difusion/importar", data={"csrf": person.csrf}, files=upload
    )
    assert answer.status_code == 422
    assert "d.csv:3: tipo" in answer.text
    assert "No se importó nada" in answer.text
    answer = await person.client.post(
        "/registros/difusion/importar?parcial=si", data={"csrf": person.csrf}, files=upload
    )
    assert "2 líneas importadas" in answer.text
    text = (await person.client.get("/registros/difusion/archivo.csv")).text
    assert "Prevención" in text
    for days, code in (
        ("desde=2026-01-01&hasta=2026-11-20", 200),
        ("desde=2026-02-01&hasta=2026-01-01", 422),
    ):
        assert (await person.client.get(f"/registros/datos/partes.csv?{days}")).status_code == code
    assert [what for _, what, _ in await site.audited("dataset_read")] == ["difusion", "partes"]


async def test_roles_without_the_council_see_none_of_it(site: Site) -> None:
    for login in ("olga", "tito"):
        person = await site.person(login)
        data = "/registros/datos/partes.csv?desde=2026-01-01&hasta=2026-01-02"
        for path in ("/registros", "/registros/sesiones", data):
            assert (await person.client.get(path)).status_code == 403
    aida = await site.person("aida")  # who audits looks and does not write
    assert (await aida.client.get("/registros/sesiones")).status_code == 200
    assert (await send(aida, "/registros/sesiones", **SITTING)).status_code == 403


def test_every_permission_of_a_register_is_one() -> None:
    for one in (*REGISTERS.values(), *DATASETS.values()):
        Permission(one.see)
    for one in REGISTERS.values():
        Permission(one.keep)
