"""Work in the street: the register of permits, the vault, rounds and their proof, times of phones."""

import asyncio
import hashlib
import os
import sys
import uuid
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from hub.database import Pool
from hub.fieldwork import evidence, patrols, permits
from hub.fieldwork.errors import FieldError, RefusedError, RegisterError, VaultError
from hub.fieldwork.form import load_form
from hub.fieldwork.messages import Inspection, read_item
from hub.fieldwork.permit_file import folio_of, read_permits
from hub.fieldwork.phone_time import corrected, offset_ms
from hub.fieldwork.places import distance_m
from hub.fieldwork.rounds import Checkin, Checkpoint, Position, judge, prove
from hub.fieldwork.vault import MAX_BYTES, Vault, media_type_of

NOW = datetime(2027, 1, 16, 20, 0, tzinfo=UTC)
TODAY = date(2027, 1, 16)
REGISTER = """folio,rubro,lugar,sector,desde,hasta,estado
PV-0001,artesanía,Costanera frente al 120,COSTA,2026-12-01,2027-03-31,vigente
PV-0002,alimentos,Plaza,CENTRO,,2026-12-31,
PV-0003,bebidas,Terminal,CENTRO,2027-02-01,28-02-2027,vigente
PV-0004,juguetes,Costanera frente al 300,COSTA,2026-12-01,2027-03-31,suspendido
"""
JPEG = b"\xff\xd8\xff\xe0" + b"una foto" * 64


# --------------------------------------------------------------------------------------------- permits


async def test_a_register_is_imported_searched_by_folio_and_imported_again(pool: Pool) -> None:
    done = await permits.import_permits(pool, REGISTER, "enero.csv", NOW)
    assert (done.new, done.changed, done.equal, done.absent) == (4, 0, 0, 0)
    standings = {
        folio: (await permits.find(pool, folio, TODAY)).standing  # type: ignore[union-attr]
        for folio in ("PV-0001", "PV-0002", "PV-0003", "PV-0004")
    }
    assert list(standings.values()) == ["valid", "expired", "not_yet", "suspended"]
    assert await permits.find(pool, "PV-9999", TODAY) is None
    later = REGISTER.replace("2026-12-31,", "2027-12-31,").replace("PV-0001", "PV-0101")
    done = await permits.import_permits(pool, later, "febrero.csv", NOW + timedelta(days=30))
    assert (done.new, done.changed, done.equal, done.absent) == (1, 1, 2, 1)
    register = await permits.register(pool, TODAY)
    assert (register.count, register.valid, register.source) == (5, 3, "febrero.csv")
    assert {p.folio for p in await permits.carried(pool, date(2027, 8, 1))} == {"PV-0002"}


async def test_one_bad_line_stops_the_import_unless_it_may_be_left_out(pool: Pool) -> None:
    bad = REGISTER + "PV-0005,flores,Feria,,,31-02-2027,\nPV-0001,flores,Feria,,,2027-03-01,\n"
    with pytest.raises(RegisterError) as refused:
        await permits.import_permits(pool, bad, "enero.csv", NOW)
    assert str(refused.value).splitlines() == [
        "enero.csv:6: «hasta»: «31-02-2027» no es una fecha; escriba 2026-12-31 o 31-12-2026",
        "enero.csv:7: «folio»: PV-0001 ya está en la línea 2; deje una",
    ]
    assert (await permits.register(pool, TODAY)).count == 0
    done = await permits.import_permits(pool, bad, "enero.csv", NOW, is_partial=True)
    assert (done.new, len(done.problems)) == (4, 2)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("folio,rubro,lugar,hasta,rut titular\n", "la columna «rut titular» puede identificar personas"),
        ("folio,rubro,hasta\n", "falta la columna «lugar»"),
        ("folio,rubro,lugar,hasta,color\n", "la columna «color» no se conoce"),
        ("folio;rubro;lugar;hasta\nP1;flores;de 12.345.678-5;2027-01-01\n", "contiene un RUT"),
        ("folio,rubro,lugar,hasta\n12345678-5,flores,Plaza,2027-01-01\n", "parece un RUT"),
        ("folio,rubro,lugar,hasta\nP1,flores,Plaza\n", "falta el valor de «hasta»"),
        ("folio,rubro,lugar,hasta\nP1,flores,Plaza,2027-01-01,x\n", "hay más valores que columnas"),
        ('folio,rubro,lugar,hasta\nP1,"flores"x,Plaza,2027-01-01\n', "no es CSV"),
        ("folio,rubro,lugar,hasta,desde\nP1,f,Plaza,2027-01-01,2027-02-01\n", "es anterior a «desde»"),
        ("folio,rubro,lugar,hasta,estado\nP1,f,Plaza,2027-01-01,anulado\n", "debe ser vigente"),
        ("folio,rubro,lugar,hasta\nPÉ 1!,f,Plaza,2027-01-01\n", "no es un folio"),
        ("", "falta la columna «folio»"),
    ],
)
def test_what_is_wrong_with_a_register_is_named(text: str, problem: str) -> None:
    kept, problems = read_permits(text, "r.csv")
    assert kept == []
    assert problem in str(problems[0])
    assert str(problems[0]).startswith("r.csv:")


def test_a_folio_is_found_however_it_is_typed() -> None:
    assert folio_of(" pv-00 01\n") == "PV-0001"


# ----------------------------------------------------------------------------------------------- vault


def test_a_file_is_kept_under_its_hash_and_only_once(tmp_path: Path) -> None:
    vault = Vault(tmp_path / "boveda")
    sha256 = vault.put(JPEG)
    assert sha256 == hashlib.sha256(JPEG).hexdigest()
    assert vault.put(JPEG) == sha256
    files = [path for path in vault.folder.rglob("*") if path.is_file()]
    assert files == [vault.path_of(sha256)]
    assert vault.get(sha256) == JPEG
    assert files[0].stat().st_mode & 0o777 == 0o400
    assert vault.folder.stat().st_mode & 0o777 == 0o700


def test_a_changed_and_a_lost_file_are_told_apart(tmp_path: Path) -> None:
    vault = Vault(tmp_path)
    sha256 = vault.put(JPEG)
    vault.path_of(sha256).chmod(0o600)
    vault.path_of(sha256).write_bytes(JPEG[:-1])
    assert vault.state(sha256) == "changed"
    with pytest.raises(VaultError, match="cambió desde que se guardó"):
        vault.get(sha256)
    vault.put(JPEG)  # the phone sends it again: healed
    assert vault.get(sha256) == JPEG
    vault.path_of(sha256).unlink()
    assert vault.state(sha256) == "missing"
    with pytest.raises(VaultError, match="no está en la bóveda"):
        vault.get(sha256)


def test_a_file_is_synchronised_before_it_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    fsync, replace_file = os.fsync, Path.replace

    def watched_fsync(descriptor: int) -> None:
        steps.append("folder" if Path(f"/proc/self/fd/{descriptor}").resolve().is_dir() else "file")
        fsync(descriptor)

    def watched_replace(path: Path, target: Path) -> Path:
        steps.append("name")
        return replace_file(path, target)

    monkeypatch.setattr(os, "fsync", watched_fsync)
    monkeypatch.setattr(Path, "replace", watched_replace)
    Vault(tmp_path).put(JPEG)
    assert steps == ["file", "name", "folder", "folder"]


def test_the_type_is_read_from_the_content() -> None:
    assert media_type_of(JPEG) == "image/jpeg"
    assert media_type_of(b"\x89PNG\r\n\x1a\n...") == "image/png"
    assert media_type_of(b"RIFF\0\0\0\0WEBPVP8 ...") == "image/webp"
    for content in (b"", b"GIF89a", b"<svg onload=alert(1)>", b"%PDF-1.7", b"RIFF\0\0\0\0WAVEfmt "):
        with pytest.raises(VaultError, match="no es una foto"):
            media_type_of(content)
    with pytest.raises(VaultError, match="pesa más de 8 MB"):
        media_type_of(JPEG + bytes(MAX_BYTES))


# --------------------------------------------------------------------------------------------- rounds

POINT = Checkpoint(
    code="AB3D5F7H", name="Muelle", sector="COSTA", latitude=-34.39, longitude=-72.01, radius_m=60
)


def at_metres(north: float, accuracy_m: float) -> Position:
    """A position so far north of the point."""
    return Position(latitude=-34.39 + north / 111_195, longitude=-72.01, accuracy_m=accuracy_m)


def test_distance_on_the_ground() -> None:
    assert distance_m(-33.45, -70.66, -33.45, -70.66) == 0
    assert distance_m(-33.4489, -70.6693, -33.0472, -71.6127) == pytest.approx(98_500, rel=0.005)
    assert distance_m(0, 179.999, 0, -179.999) == pytest.approx(222.4, rel=0.001)


@pytest.mark.parametrize(
    ("position", "verdict"),
    [
        (None, "unsupported"),
        (at_metres(0, 10), "proven"),
        (at_metres(75, 20), "proven"),
        (at_metres(95, 20), "unsupported"),  # perhaps there, perhaps not
        (at_metres(200, 20), "contradicted"),
        (at_metres(0, 800), "unsupported"),  # too blurred to prove anything
        (at_metres(200, 800), "unsupported"),  # ... and to disprove it
    ],
)
def test_what_a_position_proves(position: Position | None, verdict: str) -> None:
    assert judge(POINT, position).verdict == verdict


def mark(code: str, minute: int, verdict: str = "proven") -> Checkin:
    return Checkin(
        code=code,
        at=NOW + timedelta(minutes=minute),
        way="position",
        verdict=verdict,
        distance_m=5.0,
        accuracy_m=8.0,
        time_quality="offset",
        author="ines",
    )


def test_a_round_shows_its_gaps_and_what_was_never_proven() -> None:
    points = [POINT, replace(POINT, code="BBBBBBBB"), replace(POINT, code="CCCCCCCC")]
    checkins = [
        mark("AB3D5F7H", 5),
        mark("BBBBBBBB", 20, "contradicted"),
        mark("BBBBBBBB", 50),
        mark("AB3D5F7H", 61),
    ]
    end = NOW + timedelta(minutes=60)
    proof = prove(points, checkins, NOW, end, timedelta(minutes=30), end)
    assert proof.proven == 2
    assert [len(visit.checkins) for visit in proof.visits] == [1, 2, 0]
    assert [(gap.since, gap.length) for gap in proof.gaps] == [
        (NOW + timedelta(minutes=5), timedelta(minutes=45))
    ]
    assert [one.at for one in proof.outside] == [NOW + timedelta(minutes=61)]
    running = prove(points, [], NOW, end, timedelta(minutes=30), NOW + timedelta(minutes=10))
    assert running.gaps == []  # ten minutes are no gap yet
    assert prove(points, [], NOW, end, timedelta(minutes=30), NOW - timedelta(hours=5)).gaps == []


async def test_a_round_is_planned_walked_and_proven(pool: Pool) -> None:
    code = await checkpoint(pool)
    round_id = await plan(pool, [code])
    async with pool.acquire() as connection, connection.transaction():
        for number, position in enumerate((at_metres(500, 10), at_metres(3, 12))):
            verdict = await patrols.check_in(
                connection,
                checkin_id=uuid.uuid4(),
                round_id=round_id,
                code=code,
                way="qr",
                position=position,
                at=NOW + timedelta(minutes=10 + number),
                time_quality="offset",
                author="ines",
                phone="f" * 32,
                now=NOW,
            )
            assert verdict == ("contradicted", "proven")[number]
    (found,) = await patrols.rounds_of(pool, "DSP", NOW, NOW + timedelta(days=1))
    (proven,) = await patrols.proofs(pool, [found], NOW + timedelta(hours=9))
    (visit,) = proven.proof.visits
    assert visit.proven_at == NOW + timedelta(minutes=11)
    assert [round(one.distance_m or 0) for one in visit.checkins] == [500, 3]
    assert proven.proof.gaps[0].since == NOW + timedelta(minutes=11)
    with pytest.raises(FieldError, match="ya tiene marcas"):
        await patrols.cancel_round(pool, round_id, "lluvia", NOW)


async def checkpoint(pool: Pool, name: str = "Muelle") -> str:
    point = await patrols.add_checkpoint(
        pool,
        name=name,
        sector="COSTA",
        latitude=-34.39,
        longitude=-72.01,
        radius_m=60,
        author="jaime",
        now=NOW,
    )
    return point.code


async def plan(pool: Pool, over: list[str], **changes: object) -> uuid.UUID:
    values: dict[str, object] = {
        "name": "Ronda costanera",
        "institution": "DSP",
        "starts_at": NOW,
        "ends_at": NOW + timedelta(hours=8),
        "max_gap_s": 3600,
        "codes": over,
        "author": "jaime",
        "now": NOW,
    }
    return await patrols.plan_round(pool, **(values | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"name": " "}, "lleva un nombre"),
        ({"ends_at": NOW}, "termina después de empezar"),
        ({"ends_at": NOW + timedelta(hours=25)}, "a lo más 24 horas"),
        ({"max_gap_s": 5}, "de 1 minuto"),
        ({"codes": []}, "entre 1 y 40 puntos"),
        ({"codes": ["AB3D5F7H", "AB3D5F7H"]}, "puntos distintos"),
        ({"codes": ["AB3D5F7H"]}, "ya no está en uso"),
    ],
)
async def test_a_round_that_cannot_be_walked_is_refused(
    pool: Pool, changes: dict[str, object], problem: str
) -> None:
    with pytest.raises(FieldError, match=problem):
        await plan(pool, ["AB3D5F7H"], **changes)


# ----------------------------------------------------------------------------------------------- times


def test_a_phone_is_corrected_by_its_offset() -> None:
    wrong = NOW - timedelta(days=400)
    ahead = offset_ms(wrong, NOW)
    assert corrected(wrong - timedelta(minutes=9), ahead, None, NOW) == (NOW - timedelta(minutes=9), "offset")
    assert corrected(wrong - timedelta(minutes=9), None, ahead, NOW)[0] == NOW - timedelta(minutes=9)
    assert corrected(NOW - timedelta(hours=1), None, None, NOW) == (NOW - timedelta(hours=1), "device")


def test_nothing_happens_in_the_future() -> None:
    assert corrected(NOW + timedelta(days=30), 0, None, NOW) == (NOW, "receipt")
    assert corrected(NOW + timedelta(seconds=40), 0, None, NOW) == (NOW, "offset")
    assert corrected(datetime.max.replace(tzinfo=UTC), 10**12, None, NOW) == (NOW, "receipt")


# ---------------------------------------------------------------------------------------------- items


def inspection(**changes: object) -> dict[str, object]:
    values: dict[str, object] = {
        "kind": "inspection",
        "id": str(uuid.uuid4()),
        "at": "2027-01-16T17:12:00-03:00",
        "trade": "alimentos",
        "permit_state": "none",
        "result": "infringement",
        "infringements": [{"rule": "Ordenanza 07 art. 12", "ticket_folio": "A-004512"}],
    }
    return values | changes


def test_an_item_is_read_into_types() -> None:
    item = read_item(msgspec.json.decode(msgspec.json.encode(inspection(campo_nuevo=1))))
    assert isinstance(item, Inspection)
    assert item.at == datetime(2027, 1, 16, 20, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("item", "problem"),
    [
        (inspection(trade=""), "El campo «trade»"),
        (inspection(at="2027-01-16T17:12:00"), "El campo «at»"),
        ({"kind": "inspection", "id": str(uuid.uuid4())}, "Falta el campo"),
        (inspection(infringements=[]), "lleva la norma infringida"),
        (inspection(result="warning"), "el resultado no es infracción"),
        (inspection(acting="assisting"), "a qué unidad acompaña"),
        (inspection(note="don 12.345.678-5 no quiso"), "«nota» contiene un RUT"),
        (inspection(where={"latitude": 91, "longitude": 0, "accuracy_m": 1}), "El campo «where.latitude»"),
        ({"kind": "otra", "id": "x"}, "una clase que el hub no conoce"),
        ("texto", "El campo «registro»"),
    ],
)
def test_a_bad_item_is_refused_with_its_field(item: object, problem: str) -> None:
    with pytest.raises(RefusedError) as refused:
        read_item(item)
    assert problem in str(refused.value)


# ----------------------------------------------------------------------------------------------- form


def test_a_commune_replaces_lists_of_the_form() -> None:
    own = "version: Ordenanza 3\nnormas:\n  - {norma: Ordenanza 3 art. 1, texto: Sin permiso}\n"
    form = load_form(own)
    assert (form.version, [one.rule for one in form.rules]) == ("Ordenanza 3", ["Ordenanza 3 art. 1"])
    assert form.trades == load_form().trades


@pytest.mark.parametrize(
    ("own", "problem"),
    [
        ("rubros: [", "fiscalizacion.yaml:1: no es YAML"),
        ("- rubros", "debe tener las claves"),
        ("rubro: [a]", "la clave «rubro» no existe"),
        ("rubros: []", "«rubros» debe ser una lista"),
        ("especies: [1]", "«especies» debe ser texto"),
        ("normas: [{norma: x}]", "la norma 1 lleva «norma» y «texto»"),
    ],
)
def test_a_bad_list_is_named(own: str, problem: str) -> None:
    with pytest.raises(FieldError) as refused:
        load_form(own)
    assert problem in str(refused.value)


# -------------------------------------------------------------------------------------------- evidence


async def test_photos_are_announced_stored_compared_and_verified(pool: Pool, tmp_path: Path) -> None:
    vault = Vault(tmp_path)
    inspection_id = uuid.uuid4()
    await pool.execute(
        "insert into inspections (inspection_id, folio, permit_state, result, inspected_at, author,"
        " recorded_at) values ($1, 'FIS-2027-000001', 'none', 'warning', $2, 'ines', $2)",
        inspection_id,
        NOW,
    )
    right, other, never = (
        evidence.Photo(file_id=uuid.uuid4(), sha256=digest, size_bytes=len(JPEG), captured_at=NOW)
        for digest in (hashlib.sha256(JPEG).hexdigest(), "0" * 64, "1" * 64)
    )
    async with pool.acquire() as connection:
        await evidence.announce(
            connection, inspection_id, None, "FIS-2027-000001", [right, other, never], "ines", NOW
        )
    for photo in (right, other):
        for _ in range(2):  # a repeat changes nothing
            file = await evidence.store(pool, vault, photo.file_id, JPEG, "ines", NOW)
            assert (file.is_stored, file.media_type, file.differs) == (True, "image/jpeg", photo is other)
    with pytest.raises(FieldError, match="de otra persona"):
        await evidence.store(pool, vault, never.file_id, JPEG, "olga", NOW)
    with pytest.raises(FieldError, match="primero la fiscalización"):
        await evidence.store(pool, vault, uuid.uuid4(), JPEG, "ines", NOW)
    states = {one.file.file_id: one.state async for one in evidence.verify(pool, vault, page=2)}
    assert states == {right.file_id: "equal", other.file_id: "equal", never.file_id: "awaited"}
    names = {file.name for file in await evidence.list_files(pool, limit=10)}
    assert names == {"FIS-2027-000001-1.jpg", "FIS-2027-000001-2.jpg", "FIS-2027-000001-3"}


async def order(dsn: str, data: Path, *words: str) -> tuple[int, str, str]:
    """Run ``almenara-hub``; returns its exit code and what it said."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "hub.cli", *words, "--database", dsn, "--data", str(data)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    said, complained = await process.communicate()
    assert process.returncode is not None
    return process.returncode, said.decode(), complained.decode()


async def test_orders_import_the_register_and_verify_the_vault(dsn: str, pool: Pool, tmp_path: Path) -> None:
    register = tmp_path / "registro.csv"
    register.write_text(REGISTER + "PV-0005,flores,Feria,,,mañana,\n")
    code, _, complained = await order(dsn, tmp_path, "permits", "import", str(register))
    assert (code, "registro.csv:6: «hasta»" in complained, "no se importó nada" in complained) == (
        1,
        True,
        True,
    )
    code, said, complained = await order(dsn, tmp_path, "permits", "import", str(register), "--partial")
    assert (code, "se deja fuera: registro.csv:6" in complained) == (1, True)
    assert "permisos nuevos: 4, cambiados: 0, iguales: 0" in said
    vault = Vault(tmp_path / "evidencia")
    kept, lost = (vault.put(JPEG + bytes([number])) for number in (1, 2))
    await pool.execute(
        "insert into inspections (inspection_id, folio, permit_state, result, inspected_at, author,"
        " recorded_at) values ($1, 'FIS-2027-000001', 'none', 'warning', $2, 'ines', $2)",
        uuid.UUID(int=1),
        NOW,
    )
    await pool.executemany(
        "insert into operation_files (file_id, inspection_id, name, media_type, size_bytes, sha256,"
        " claimed_sha256, is_stored, author, received_at)"
        " values ($1, $2, $3, 'image/jpeg', 9, $4, $4, true, 'ines', $5)",
        [
            (uuid.uuid4(), uuid.UUID(int=1), name, sha256, NOW)
            for name, sha256 in (("a.jpg", kept), ("b.jpg", lost))
        ],
    )
    code, said, _ = await order(dsn, tmp_path, "evidence", "verify")
    assert (code, "iguales: 2, cambiados: 0, faltan: 0" in said) == (0, True)
    vault.path_of(lost).unlink()
    vault.path_of(kept).chmod(0o600)
    vault.path_of(kept).write_bytes(JPEG)
    code, said, _ = await order(dsn, tmp_path, "evidence", "verify")
    assert code == 1
    assert "a.jpg" in said.split("CAMBIÓ")[0]
    assert "FALTA" in said
