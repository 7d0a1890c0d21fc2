"""Import of device lists: what people really send, and whatever else a file may hold."""

import asyncio
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.contract import device_urn
from hub.database import Pool, connect
from hub.devices.import_fields import DEVICE_FIELDS
from hub.devices.import_files import MAX_FILE_BYTES, read_sheet
from hub.devices.import_plan import ImportReport, make_plan
from hub.devices.importing import import_bytes, import_file, render_report
from hub.devices.registry import Device, Registry

HEADER = "device;gateway;kind;name;place;sector;latitude;longitude;watch_group;silent_after_s"
ROW = "boton-12;gw-boldos;panic_button;Botón Los Boldos 12;Los Boldos 12;NORTE;-34,3921;-72,0087;boldos;180"


def plan_of(text: str | bytes, name: str = "list.csv") -> tuple[list[Device], ImportReport]:
    """Devices of a list against an empty registry, without the gateways' own."""
    plan = make_plan(read_sheet(name, text if isinstance(text, bytes) else text.encode()), {}, {})
    return [d for d in plan.new if d.kind != "gateway"], plan.report


def problem_lines(report: ImportReport) -> list[int | None]:
    return [problem.line for problem in report.problems]


async def do_import(pool: Pool, text: str, name: str = "list.csv") -> ImportReport:
    return await import_bytes(pool, name, text.encode())


async def registry_of(pool: Pool) -> Registry:
    registry = Registry()
    await registry.load(pool)
    return registry


# -------------------------------------------------------------------------------------- good lists


async def test_a_spreadsheet_with_semicolons_and_decimal_commas(pool: Pool, tmp_path: Path) -> None:
    path = tmp_path / "dispositivos.csv"
    path.write_bytes(b"\xef\xbb\xbf" + f"{HEADER}\r\n{ROW}\r\n;;;;;;;;;\r\n\r\n".encode())
    report = await import_file(pool, path)
    assert report == ImportReport(created=1, gateways_created=1)
    registry = await registry_of(pool)
    device = registry.device("urn:dev:org:32473-boton-12")
    assert device is not None
    assert (device.gateway, device.kind, device.name) == ("gw-boldos", "panic_button", "Botón Los Boldos 12")
    assert (device.place, device.sector, device.watch_group) == ("Los Boldos 12", "NORTE", "boldos")
    assert (device.latitude, device.longitude, device.silent_after_s) == (-34.3921, -72.0087, 180)
    own = registry.device(device_urn("gw-boldos"))
    assert own is not None
    assert (own.kind, own.gateway, own.adopted) == ("gateway", "gw-boldos", False)


@pytest.mark.parametrize(
    "text",
    [
        "gateway,device,longitude,latitude\ngw-1,b1,-72.5,-34.5",
        "GATEWAY ; Device;latitude;longitude\ngw-1;b1;−34,5;-72,50",
        'device,gateway,latitude,longitude\rb1, gw-1 ,"-34,5","-72,5"',
        "\ufeffdevice,gateway,latitude,longitude,,\nb1,gw-1,-34.5°,-72.5,,",
        "\n\ndevice,gateway,latitude,longitude\n\n\u00a0b1\u00a0,gw-1,-34.5,-72.5\n",
    ],
)
def test_the_same_list_in_many_hands(text: str) -> None:
    (device,), report = plan_of(text)
    assert report.problems == ()
    assert (device.source, device.gateway) == (device_urn("b1"), "gw-1")
    assert (device.latitude, device.longitude) == (-34.5, -72.5)


def test_what_is_left_out_gets_a_sensible_value() -> None:
    (device,), _ = plan_of("device,gateway,silent_after_s\nurn:uuid:6f1c,gw-1")
    assert device.source == "urn:uuid:6f1c"
    assert (device.kind, device.name, device.latitude, device.silent_after_s) == ("other", "", None, 180)


def test_texts_are_kept_in_one_form() -> None:
    (device,), _ = plan_of("device,gateway,kind,name\nb1,gw-1,Panic Button,  Bot\u0065\u0301n \u00a0 norte ")
    assert (device.kind, device.name) == ("panic_button", "Botén norte")


TOML = """
[[gateways]]
gateway = "gw-1"
name = "Sede social"

[[devices]]
device = "b1"
gateway = "gw-1"
latitude = -34.5
longitude = "-72,5"
silent_after_s = 600
color = "rojo"
"""


async def test_a_toml_list(pool: Pool, tmp_path: Path) -> None:
    path = tmp_path / "list.toml"
    path.write_text(TOML, "utf-8")
    report = await import_file(pool, path)
    assert report == ImportReport(created=1, gateways_created=1, unknown_columns=("color",))
    registry = await registry_of(pool)
    device, own = registry.device(device_urn("b1")), registry.device(device_urn("gw-1"))
    assert device is not None
    assert own is not None
    assert (device.latitude, device.longitude, device.silent_after_s) == (-34.5, -72.5, 600)
    assert own.name == "Sede social"
    assert await pool.fetchval("select name from gateways where gateway = 'gw-1'") == "Sede social"
    assert await import_file(pool, path) == ImportReport(unchanged=1, unknown_columns=("color",))


async def test_the_gateways_own_row_can_stand_in_the_list(pool: Pool) -> None:
    text = "device,gateway,name,place\ngw-1,gw-1,Equipo de la sede,Sede"
    assert await do_import(pool, text) == ImportReport(created=1, gateways_created=1)
    own = (await registry_of(pool)).device(device_urn("gw-1"))
    assert own is not None
    assert (own.kind, own.name, own.place) == ("gateway", "Equipo de la sede", "Sede")
    assert await pool.fetchval("select name from gateways") == "Equipo de la sede"
    # a later list that does not mention it leaves its name alone
    await do_import(pool, "device,gateway\nb1,gw-1")
    assert (await registry_of(pool)).device(device_urn("gw-1")) == own


# ------------------------------------------------------------------------------------- repetitions


async def test_an_import_repeated_changes_nothing(pool: Pool) -> None:
    text = f"{HEADER}\n{ROW}"
    await do_import(pool, text)
    before = await pool.fetch("select *, xmin from devices order by device_id")
    assert await do_import(pool, text) == ImportReport(unchanged=1)
    assert await pool.fetch("select *, xmin from devices order by device_id") == before


async def test_only_the_columns_of_the_list_change(pool: Pool) -> None:
    await do_import(pool, f"{HEADER}\n{ROW}")
    report = await do_import(pool, "device,gateway,name\nboton-12,gw-boldos,Otro nombre")
    assert report == ImportReport(updated=1)
    device = (await registry_of(pool)).device(device_urn("boton-12"))
    assert device is not None
    assert (device.name, device.place, device.latitude) == ("Otro nombre", "Los Boldos 12", -34.3921)


async def test_a_device_on_another_gateway_is_reported_as_moved(pool: Pool) -> None:
    await do_import(pool, "device,gateway\nb1,gw-1\nb2,gw-1")
    report = await do_import(pool, "device,gateway\nb1,gw-1\nb2,gw-2")
    assert (report.updated, report.unchanged, report.gateways_created) == (1, 1, 1)
    (move,) = report.moved
    assert (move.line, move.source, move.before, move.after) == (3, device_urn("b2"), "gw-1", "gw-2")
    assert f"Línea 3: {device_urn('b2')} pasa del gateway gw-1 a gw-2." in render_report(report)
    assert (await registry_of(pool)).owner_of(device_urn("b2")) == "gw-2"


async def test_a_list_confirms_what_was_adopted(pool: Pool) -> None:
    await Registry().adopt(pool, "lab-1", device_urn("b1"), "panic.pressed")
    report = await do_import(pool, "device,gateway,name\nb1,lab-1,Botón")
    assert (report.created, report.updated) == (0, 1)
    device = (await registry_of(pool)).device(device_urn("b1"))
    assert device is not None
    assert (device.kind, device.name, device.adopted) == ("panic_button", "Botón", False)
    for table in ("gateways", "devices"):
        assert await pool.fetchval(f"select count(*) from {table} where adopted") == 0


async def test_imports_and_adoptions_at_once_end_in_one_row_each(pool: Pool) -> None:
    lines = "\n".join(f"b{n},gw-{n % 3}" for n in range(20))
    hub = Registry()
    await asyncio.gather(
        *(do_import(pool, f"device,gateway\n{lines}") for _ in range(3)),
        *(hub.adopt(pool, f"gw-{n % 3}", device_urn(f"b{n}")) for n in range(20)),
    )
    assert await do_import(pool, f"device,gateway\n{lines}") == ImportReport(unchanged=20)
    assert await pool.fetchval("select count(*) from devices where not adopted") == 23


# --------------------------------------------------------------------------------------- bad lists


async def test_a_bad_line_never_stops_the_others(pool: Pool) -> None:
    text = f"{HEADER}\nb1;gw-1\nb 2;gw-1\nb3;GW_1\n;gw-1\nb5;gw-1;;;;;91;0\nb6;gw-1\n"
    report = await do_import(pool, text)
    assert (report.created, problem_lines(report)) == (2, [3, 4, 5, 6])
    registry = await registry_of(pool)
    assert registry.owner_of(device_urn("b1")) == registry.owner_of(device_urn("b6")) == "gw-1"


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ("b1", "gateway: falta el gateway"),
        (";gw-1", "device: falta el nombre del dispositivo"),
        ("ñandú;gw-1", "device: «ñandú» no sirve como nombre de dispositivo"),
        ("urn:con espacio;gw-1", "no sirve como nombre de dispositivo"),
        ("urn:" + "x" * 300 + ";gw-1", "no sirve como nombre de dispositivo"),
        ("b1;Gw 1", "gateway: «Gw 1» no sirve como nombre de gateway"),
        ("b1;gw-1;botón", "kind: «botón» no sirve como tipo"),
        ("b1;gw-1;gateway", "el tipo gateway es solo para el equipo mismo"),
        ("b1;gw-1;;" + "n" * 121, "name: el texto tiene 121 caracteres"),
        ("b1;gw-1;;a\x00b", "name: «a�b» tiene caracteres que no se pueden mostrar"),
        ("b1;gw-1;;;;;-34.390.000;-72", "latitude: «-34.390.000» no es una coordenada"),
        ("b1;gw-1;;;;;-91;-72", "latitude: «-91» está fuera de rango"),
        ("b1;gw-1;;;;;-34;-181", "longitude: «-181» está fuera de rango"),
        ("b1;gw-1;;;;;nan;inf", "latitude: «nan» no es una coordenada"),
        ("b1;gw-1;;;;;-34", "hay solo una coordenada"),
        ("b1;gw-1;;;;;;;;0", "silent_after_s: «0» no es un plazo en segundos"),
        ("b1;gw-1;;;;;;;;3 min", "silent_after_s: «3 min» no es un plazo en segundos"),
        ("b1;gw-1;;;;;;;;99999999999", "no es un plazo en segundos"),
        ("b1;gw-1;;;;;;;;60;sobra", "tiene 11 columnas y el encabezado 10"),
        ('b1;gw-1;;"sin cerrar', "las comillas no calzan"),
        ("b1;gw-1;;" + "x" * 5000, "la línea es demasiado larga"),
    ],
)
def test_each_mistake_is_named_with_its_line(row: str, told: str) -> None:
    devices, report = plan_of(f"{HEADER}\nantes;gw-1\n{row}\ndespues;gw-1")
    assert [device.source for device in devices] == [device_urn("antes"), device_urn("despues")]
    assert 3 in problem_lines(report)
    assert told in render_report(report)
    assert all(problem.remedy.endswith(".") for problem in report.problems)


def test_decimal_commas_between_commas_are_explained() -> None:
    _, report = plan_of("device,gateway,latitude,longitude\nb1,gw-1,-34,39,-72,00")
    assert "Línea 2: tiene 6 columnas y el encabezado 4." in render_report(report)
    assert "punto y coma" in render_report(report)


def test_a_line_in_another_encoding_costs_only_itself() -> None:
    devices, report = plan_of(
        f"{HEADER}\nb1;gw-1\n".encode() + "b2;gw-1;;Botón\n".encode("cp1252") + b"b3;gw-1"
    )
    assert [device.source for device in devices] == [device_urn("b1"), device_urn("b3")]
    assert problem_lines(report) == [3]
    assert "UTF-8" in report.problems[0].remedy


def test_a_device_named_twice_counts_once() -> None:
    devices, report = plan_of("device,gateway,name\nb1,gw-1,primero\nurn:dev:org:32473-b1,gw-2,segundo")
    assert [device.name for device in devices] == ["primero"]
    assert report.problems[0].problem == "el dispositivo ya está en la línea 2"


def test_nobody_speaks_for_another_gateway() -> None:
    devices, report = plan_of("device,gateway\ngw-2,gw-1\nb1,gw-2")
    assert [device.source for device in devices] == [device_urn("b1")]
    assert report.problems[0].problem == "«gw-2» es un gateway y no puede depender de otro"


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        (b"", "el archivo está vacío"),
        (b" \n;;;\n", "el archivo está vacío"),
        (b"nombre,equipo\nb1,gw-1", "en el encabezado falta: device, gateway"),
        (b"device,gateway,device\nb1,gw-1,b1", "columna repetida: «device»"),
        ("device,gateway".encode("utf-16"), "el archivo está en UTF-16"),
        (b"\x00" * 100, "en el encabezado falta"),
        (b"x" * (MAX_FILE_BYTES + 1), "el archivo supera los 16 MB"),
    ],
)
def test_a_file_that_is_no_list_says_so(raw: bytes, told: str) -> None:
    devices, report = plan_of(raw)
    assert devices == []
    assert told in render_report(report)


@pytest.mark.parametrize(
    ("text", "line", "told"),
    [
        ("[[devices]]\ndevice = 'b1'\ngateway = \n", 3, "la sintaxis TOML no es válida"),
        ("devices = 3", None, "«devices» no es una lista"),
        ("devices = [1]", 1, "no es una tabla"),
        ("\n[[devices]]\ngateway = 'gw-1'", 2, "falta el nombre del dispositivo"),
        ("[[devices]]\ndevice='b1'\ngateway='gw-1'\nname=true", 1, "name: el valor no es texto ni número"),
        ("[[gateways]]\nname = 'sin identidad'", 1, "gateway: falta el gateway"),
        ("[[devices]]\ndevice='b1'\ngateway='gw-1'\nlatitude=nan\nlongitude=1", 1, "no es una coordenada"),
        ("a=" + "[" * 5000, None, "la sintaxis TOML no es válida"),
        ("a=" + "9" * 5000, None, "la sintaxis TOML no es válida"),
    ],
)
def test_mistakes_in_toml_are_named(text: str, line: int | None, told: str) -> None:
    devices, report = plan_of(text, "list.toml")
    assert devices == []
    assert problem_lines(report) == [line]
    assert told in render_report(report)


def test_unknown_columns_are_told_and_not_used() -> None:
    _, report = plan_of("device,gateway,rut,color\nb1,gw-1,1-9,rojo")
    assert report.unknown_columns == ("rut", "color")
    assert "Columnas desconocidas, no se usaron: «rut», «color»." in render_report(report)


async def test_a_file_that_cannot_be_read_is_a_report_too(pool: Pool, tmp_path: Path) -> None:
    for path in (tmp_path / "no-existe.csv", tmp_path, Path("nul\x00.csv")):
        report = await import_file(pool, path)
        assert problem_lines(report) == [None]
        assert render_report(report).startswith("Dispositivos: 0 nuevos")


# -------------------------------------------------------------------------------------- properties

CELLS = st.one_of(
    st.sampled_from(
        ["b1", "b2", "gw-1", "gw-2", "gateway", "-34,5", "-72.5", "180", "", "Los Boldos", '"', "urn:x:1"]
    ),
    st.text(max_size=12),
)
ROWS = st.lists(CELLS, max_size=12)
SEPARATORS = st.sampled_from([";", ","])


@st.composite
def lists(draw: st.DrawFn) -> bytes:
    """A list with the right columns in any order, and with anything in its cells."""
    separator = draw(SEPARATORS)
    header = draw(st.permutations(list(DEVICE_FIELDS)))
    rows = [header, *draw(st.lists(ROWS, max_size=6))]
    good = ["b9" if name == "device" else "gw-9" if name == "gateway" else "" for name in header]
    rows.insert(draw(st.integers(1, len(rows))), good)
    text = draw(st.sampled_from(["\n", "\r\n"])).join(separator.join(row) for row in rows)
    return text.encode("utf-8", "surrogatepass") + b"\n" + draw(st.binary(max_size=8))


@given(
    raw=st.one_of(st.binary(max_size=300), st.text(max_size=300).map(lambda t: t.encode("utf-8", "replace")))
)
@settings(max_examples=400, deadline=None)
@pytest.mark.parametrize("name", ["list.csv", "list.toml"])
def test_no_bytes_make_the_reader_raise(name: str, raw: bytes) -> None:
    _, report = plan_of(raw, name)
    assert render_report(report)


@given(value=st.recursive(st.none() | st.text(max_size=8), lambda c: st.lists(c, max_size=3), max_leaves=5))
@settings(max_examples=100, deadline=None)
def test_no_shape_of_toml_makes_the_reader_raise(value: object) -> None:
    text = f"devices = {value!r}\n[[gateways]]\ngateway = {value!r}"
    _, report = plan_of(text.encode("utf-8", "replace"), "list.toml")
    assert render_report(report)


def test_whatever_a_list_holds_the_database_takes_what_is_good(dsn: str) -> None:
    """The good row always gets in, no list makes the import raise, and a repeat changes nothing."""
    with asyncio.Runner() as runner:
        pool = runner.run(connect(dsn, max_size=1))

        @given(raw=lists())
        @settings(max_examples=150, deadline=None)
        def check(raw: bytes) -> None:
            runner.run(pool.execute("truncate gateways, devices, device_state cascade"))
            first = runner.run(import_bytes(pool, "list.csv", raw))
            again = runner.run(import_bytes(pool, "list.csv", raw))
            assert runner.run(pool.fetchval("select true from devices where source = $1", device_urn("b9")))
            assert (again.created, again.updated, again.moved) == (0, 0, ())
            assert again.unchanged == first.created
            assert again.problems == first.problems

        check()
        runner.run(pool.close())
