"""``almenara-hub plan …`` as a person types it, and the CSV files that it takes."""

import asyncio
import importlib.resources
import json
import re
from dataclasses import dataclass
from pathlib import Path

import commune_history
import pytest

from hub.cli import main
from hub.database import Pool
from hub.plan.csv_files import read_population, read_series

EXAMPLE = (importlib.resources.files("hub.plan") / "examples" / "plan-ejemplo.yaml").read_text("utf-8")
SERIES = "nivel,codigo,nombre,periodo,valor,unidad\n"
POPULATION = "sector,temporada,desde,hasta,residentes,flotante,rural,fuente\n"


@dataclass
class Shell:
    dsn: str
    folder: Path
    capture: pytest.CaptureFixture[str]

    async def run(self, *words: str, code: int = 0) -> str:
        """What the command wrote, errors included."""
        argv = ["plan", *words, "--database", self.dsn, "--data", str(self.folder)]
        found = await asyncio.to_thread(main, argv)
        said = self.capture.readouterr()
        assert found == code, said
        return said.out + said.err

    def write(self, name: str, text: str) -> str:
        path = self.folder / name
        path.write_text(text, "utf-8")
        return str(path)


@pytest.fixture
def shell(dsn: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Shell:
    return Shell(dsn, tmp_path, capsys)


async def test_a_plan_is_loaded_shown_compared_and_exported(shell: Shell) -> None:
    said = await shell.run("load", shell.write("plan.yaml", EXAMPLE))
    assert "2 objetivos, 2 actividades, 6 indicadores" in said
    assert "atención: plan.yaml:10: indicador O1-2: sin «sectores" in said
    assert "ya estaba cargada" in await shell.run("load", shell.write("plan.yaml", EXAMPLE))
    assert "O2C1A1 Instalar y supervisar 40 sensores" in await shell.run("show")
    newer = EXAMPLE.replace("actualizacion: 2", "actualizacion: 3").replace("2027: 90", "2027: 95")
    said = await shell.run("diff", shell.write("nuevo.yaml", newer))
    assert "En el indicador O1-1 cambia la meta: de 2026 80, 2027 90 a 2026 80, 2027 95" in said
    exported = shell.folder / "exportado.yaml"
    await shell.run("export", str(exported))
    assert "no cambia nada" in await shell.run("diff", str(exported))


async def test_a_bad_plan_is_refused_line_by_line_and_its_rest_loads_if_asked(shell: Shell) -> None:
    bad = shell.write("malo.yaml", EXAMPLE.replace("/ n(operativo, programado)", "/ n(operatibo)"))
    said = await shell.run("load", bad, code=1)
    assert "malo.yaml:9: indicador O1-1: «formula», columna 54: no existe la medida «operatibo»" in said
    assert "5 indicadores" in await shell.run("load", bad, "--partial")


async def test_a_municipality_has_its_own_catalogue_of_topics(shell: Shell) -> None:
    shell.write("materias.yaml", "version: Ley futura\nmaterias: {g: Proyectos}\n")
    said = await shell.run("load", shell.write("plan.yaml", EXAMPLE), code=1)
    assert "no existe la materia «d» en «Ley futura»" in said


async def test_figures_are_computed_frozen_and_verified(shell: Shell, pool: Pool) -> None:
    await commune_history.fill(pool, alerts=600)
    found = json.loads(await shell.run("indicators", "--period", "2026-10", "--json", "--by-sector"))
    by_id = {one["indicator"]: one for one in found["indicators"]}
    assert by_id["I04"]["value"] is not None
    assert by_id["I13"]["shown"] == "sin dato: el denominador es 0: n(operativo, programado)"
    assert set(by_id["I10"]["by_sector"]) == set(commune_history.SECTORS)
    public = json.loads(
        await shell.run("indicators", "--period", "2026-10", "--json", "--public", "--by-sector")
    )
    cells = [cell for one in public["indicators"] for cell in one["by_sector"].values()]
    assert any(cell.get("suppressed") for cell in cells)
    said = await shell.run("freeze", "--period", "2026-10")
    number = re.search(r"^(\d+)\tBASE\tI04", said, re.MULTILINE)
    assert number
    assert "igual: recalculada desde los datos da lo mismo" in await shell.run("verify", number[1])
    await pool.execute(
        "update alerts set reason = 'attended' where reason = 'mistaken' and opened_at >= '2026-10-01T03:00Z'"
    )
    assert "difiere: la cifra era" in await shell.run("verify", number[1], code=1)
    assert "ya estaba congelado: BASE 2026-10" in await shell.run("freeze", "--period", "2026-10")
    assert "\t2\t" not in await shell.run("snapshots", "--period", "2026-10")
    await shell.run("freeze", "--period", "2026-10", "--rectify", "cierres corregidos")
    assert "\t2\t" in await shell.run("snapshots", "--period", "2026-10")


async def test_what_cannot_be_is_one_line_of_spanish(shell: Shell) -> None:
    assert "no existe la cifra congelada 99" in await shell.run("verify", "99", code=1)
    assert "no hay un plan vigente" in await shell.run("show", code=1)
    assert "no ha terminado" in await shell.run("freeze", "--period", "2199-10", code=1)


def test_a_period_that_is_none_is_wrong_use(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["plan", "freeze", "--period", "octubre"])
    assert caught.value.code == 2
    assert "«octubre» no es un período" in capsys.readouterr().err


async def test_evidence_keeps_a_file_by_its_hash(shell: Shell, pool: Pool) -> None:
    await shell.run("load", shell.write("plan.yaml", EXAMPLE))
    act = shell.write("acta.pdf", "acta")
    await shell.run(
        "evidence", "O2C1A1", "--date", "2026-04-02", "--note", "acta de instalación", "--file", act
    )
    row = await pool.fetchrow("select activity, file_name, sha256 from plan_evidence")
    assert row["activity"] == "O2C1A1"
    assert row["file_name"] == "acta.pdf"
    assert len(row["sha256"]) == 64
    said = await shell.run("evidence", "NADA", "--date", "2026-04-02", "--note", "x", code=1)
    assert "no existe la actividad «NADA»" in said


async def test_population_and_official_series_come_from_csv(shell: Shell, pool: Pool) -> None:
    text = (
        f"{POPULATION}COSTA,permanente,2024-01-01,,9400,,no,INE 2024\n"
        "COSTA,estival,2025-12-15,2026-03-15,,30000,no,estudio\nX,permanente,2024-01-01,,diez,,no,INE\n"
    )
    said = await shell.run("population", shell.write("poblacion.csv", text), code=1)
    assert "poblacion.csv:4: «residentes»: «diez» debe ser un número entero" in said
    assert await pool.fetchval("select sum(visitors) from plan_population") == 30_000
    series = (
        f"{SERIES}familia,1,Robos con violencia,2026-T1,12,casos\n"
        "grupo,1,Robos con violencia,2026-T1,7,casos\n"
    )
    await shell.run("series", shell.write("cead.csv", series), "--source", "CEAD")
    rows = await pool.fetch("select level, value from official_series order by level")
    assert [tuple(row) for row in rows] == [("familia", 12.0), ("grupo", 7.0)]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("COSTA,permanente,ayer,,10,,no,INE", "AAAA-MM-DD"),
        ("COSTA,permanente,2026-01-01,2025-01-01,10,,no,INE", "anterior a «desde»"),
        ("COSTA,permanente,2026-01-01,,0,,no,INE", "población residente"),
        ("COSTA,permanente,2026-01-01,,10,5,no,INE", "línea de su temporada"),
        ("COSTA,permanente,2026-01-01,,10,,quizas,INE", "debe ser si o no"),
        ("COSTA,permanente,2026-01-01,,10,,no", "falta el valor de «fuente»"),
        ("COSTA,permanente,2026-01-01,,10,,no,INE,más", "más valores que columnas"),
        (",permanente,2026-01-01,,10,,no,INE", "«sector»"),
        ("CENTRO,permanente,2027-01-01,,10,,no,INE", "se cruza con 2026-01-01"),
    ],
)
def test_a_bad_line_is_named_and_the_others_stay(line: str, says: str) -> None:
    text = f"{POPULATION}CENTRO,permanente,2026-01-01,,10,,no,INE\n{line}\n"
    rows, problems = read_population(text, "p.csv")
    assert [row.sector for row in rows] == ["CENTRO"]
    assert [problem.line for problem in problems] == [3]
    assert says in problems[0].text


def test_spreadsheets_write_semicolons_and_a_mark() -> None:
    text = "\ufeff" + POPULATION.replace(",", ";") + "CENTRO;permanente;2026-01-01;;10;;sí;INE\n"
    rows, problems = read_population(text, "p.csv")
    assert (rows[0].is_rural, problems) == (True, [])


def test_a_series_without_its_columns_or_with_a_double_is_named() -> None:
    assert "falta la columna «codigo»" in read_series("nivel,nombre\n", "s.csv")[1][0].text
    text = (
        "nivel,codigo,nombre,periodo,valor,unidad\n"
        + "grupo,1,x,2026,3,casos\n" * 2
        + "grupo,1,x,mayo,3,casos\n"
    )
    values, problems = read_series(text, "s.csv")
    assert len(values) == 1
    assert ["está dos veces" in problems[0].text, "debe ser 2026" in problems[1].text] == [True, True]
