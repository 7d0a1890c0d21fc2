"""Settings: a wrong one stops the start, names itself and says what to do."""

import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Literal

import pytest
from pydantic import BaseModel, ConfigDict, ValidationError

from edge import cli, settings
from edge.settings import MqttSettings, SettingsError, load


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("ALMENARA_EDGE_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "edge.toml"
    path.write_text('gateway = "gw-1"\n[mqtt]\nhost = "broker.local"\n', "utf-8")
    return path


def test_the_file_gives_values_and_the_rest_has_defaults(config: Path) -> None:
    loaded = load(config)
    assert (loaded.gateway, loaded.mqtt.host, loaded.mqtt.port) == ("gw-1", "broker.local", 1883)
    assert loaded.drivers == ()


def test_the_environment_wins_over_the_file(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALMENARA_EDGE_GATEWAY", "gw-2")
    monkeypatch.setenv("ALMENARA_EDGE_MQTT__PORT", "8883")
    loaded = load(config)
    assert (loaded.gateway, loaded.mqtt.host, loaded.mqtt.port) == ("gw-2", "broker.local", 8883)


def test_the_environment_alone_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALMENARA_EDGE_GATEWAY", "gw-2")
    assert load(None).gateway == "gw-2"


def test_a_secret_comes_from_its_file_and_is_never_shown(config: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("correct horse\n", "utf-8")
    config.write_text(f'gateway = "g"\n[mqtt]\npassword_file = "{secret}"\n', "utf-8")
    loaded = load(config)
    assert loaded.mqtt.secret() == "correct horse"
    assert "horse" not in "".join(settings.effective(loaded)) + repr(loaded)


def test_a_password_in_the_settings_is_masked(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALMENARA_EDGE_MQTT__PASSWORD", "battery staple")
    loaded = load(config)
    assert loaded.mqtt.secret() == "battery staple"
    assert "staple" not in "".join(settings.effective(loaded)) + repr(loaded)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "gateway: falta"),
        ('gateway = "Gw 1"', "gateway: use de 1 a 63"),
        ('gateway = "g"\nmqt = 1', "mqt: no existe; tal vez quiso decir mqtt"),
        ('gateway = "g"\n[mqtt]\nprt = 1', "mqtt.prt: no existe; tal vez quiso decir port"),
        ('gateway = "g"\n[mqtt]\nport = 70000', "mqtt.port: debe ser 65535 o menos"),
        ('gateway = "g"\n[mqtt]\nport = "x"', "mqtt.port: debe ser un número entero"),
        ('gateway = "g"\n[mqtt]\nprotocol = "4"', "mqtt.protocol: debe ser 'auto', '3.1.1' o '5'"),
        ('gateway = "g"\n[mqtt]\nca_file = "/nowhere"', "mqtt.ca_file: el archivo /nowhere no existe"),
        ('gateway = "g"\n[mqtt]\ncert_file = "{here}"', "mqtt: cert_file y key_file van juntos"),
        ('gateway = "g"\n[mqtt]\npassword = "p"\npassword_file = "{here}"', "password o password_file"),
        ('gateway = "g"\nmqtt = 3', "mqtt: debe ser una sección"),
        ('gateway = "g"\noutbox_limit_bytes = 5', "outbox_limit_bytes: debe ser 262144 o más"),
        ('gateway = "g"\nlog_level = "LOUD"', "log_level: debe ser"),
        ('gateway = "g"\n[[drivers]]\npin = 17', "drivers.0.driver: falta"),
        (
            'gateway = "g"\n[[drivers]]\ndriver = "csv_repla"',
            "'csv_repla' no existe; tal vez quiso decir csv_",
        ),
        ("gateway = ", "no es TOML válido"),
    ],
)
def test_a_wrong_setting_is_named(config: Path, text: str, expected: str) -> None:
    config.write_text(text.replace("{here}", str(config)), "utf-8")
    with pytest.raises(SettingsError) as caught:
        load(config)
    assert expected in str(caught.value)


def test_a_misspelt_variable_is_named(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALMENARA_EDGE_GATEWY", "x")
    with pytest.raises(SettingsError, match="ALMENARA_EDGE_GATEWY: no existe; tal vez quiso decir gateway"):
        load(config)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"no-such\.toml"):
        load(tmp_path / "no-such.toml")


# ------------------------------------------------------------------------------------------ drivers


class BellSettings(BaseModel):
    model_config = ConfigDict(extra="forbid")

    driver: Literal["bell"]
    pin: int


@pytest.fixture
def bell(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("a_bell")
    module.Settings = BellSettings  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "a_bell", module)
    monkeypatch.setitem(settings.DRIVERS, "bell", "a_bell")


@pytest.mark.usefixtures("bell")
def test_a_driver_checks_its_own_settings(config: Path) -> None:
    config.write_text('gateway = "g"\n[[drivers]]\ndriver = "bell"\npin = 17\n', "utf-8")
    (_, checked), *_ = settings.driver_settings(load(config))
    assert checked == BellSettings(driver="bell", pin=17)
    config.write_text('gateway = "g"\n[[drivers]]\ndriver = "bell"\npin = "x"\npn = 1\n', "utf-8")
    with pytest.raises(SettingsError) as caught:
        load(config)
    assert "drivers.0.pin: debe ser un número entero" in str(caught.value)
    assert "drivers.0.pn: no existe; tal vez quiso decir pin" in str(caught.value)


def test_a_driver_that_cannot_be_loaded_is_named(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a_broken_bell.py").write_text("import a_library_that_is_missing\n", "utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setitem(settings.DRIVERS, "bell", "a_broken_bell")
    config.write_text('gateway = "g"\n[[drivers]]\ndriver = "bell"\n', "utf-8")
    with pytest.raises(SettingsError, match=r"'bell' no se puede cargar.*a_library_that_is_missing"):
        load(config)


@pytest.mark.parametrize("name", sorted(settings.DRIVERS))
def test_every_driver_of_the_table_can_be_loaded(name: str) -> None:
    module = settings.driver_module(name)
    assert issubclass(module.Settings, BaseModel)
    assert callable(module.build)


# -------------------------------------------------------------------------------- on the command line


def test_check_shows_what_counts(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["check", "--config", str(config)]) == 0
    output = capsys.readouterr().out
    assert "gateway = gw-1" in output
    assert "mqtt.host = broker.local" in output


def test_a_wrong_setting_ends_with_two_and_one_line_for_each(tmp_path: Path) -> None:
    config = tmp_path / "edge.toml"
    config.write_text('gateway = "g"\nx = 1\n[mqtt]\nport = "y"\n', "utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "edge.cli", "run", "--config", config],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 2
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", [[], ["run"], ["queue"], ["check"]])
def test_help_is_there_and_spanish(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main([*command, "--help"])
    assert ended.value.code == 0
    output = capsys.readouterr().out
    assert output.startswith("uso: almenara-edge")
    assert "muestra esta ayuda" in output


def test_the_command_needs_nothing_of_the_hub() -> None:
    code = "import sys, edge.cli, edge.agent; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.split(".")[0] for name in done.stdout.split()}
    assert {"edge", "aiomqtt", "pydantic"} <= loaded
    assert not loaded & {"hub", "asyncpg", "fastapi", "uvicorn", "jinja2", "gpiozero", "smbus2"}


@pytest.mark.parametrize("other", ["nodo-2", "nodo-2:0", "nodo-2:70000", ":8883", "nodo-2:ocho"])
def test_another_node_needs_name_and_port(other: str) -> None:
    with pytest.raises(ValidationError, match="nombre:puerto"):
        MqttSettings(others=(other,))


def test_nodes_take_turns() -> None:
    mqtt = MqttSettings(host="uno", port=1883, others=("dos:8883", "[::1]:1884"))
    assert [mqtt.address(n) for n in range(4)] == [
        ("uno", 1883),
        ("dos", 8883),
        ("::1", 1884),
        ("uno", 1883),
    ]
