"""Settings: one TOML file, environment variables over it, secrets from files. Wrong ones stop the start.

``ALMENARA_EDGE_MQTT__HOST=…`` sets ``mqtt.host``; the file is named by ``--config`` or
``ALMENARA_EDGE_CONFIG``. Messages are Spanish: the reader is whoever installs the gateway.
"""

import difflib
import importlib
import os
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from edge import contract

ENV_PREFIX = "ALMENARA_EDGE_"
ENV_CONFIG = "ALMENARA_EDGE_CONFIG"
DEFAULT_CONFIG = Path("/etc/almenara/edge.toml")

DRIVERS: dict[str, str] = {
    "panic_button": "edge.drivers.panic_button",
    "i2c_thermometer": "edge.drivers.i2c_thermometer",
    "csv_replay": "edge.drivers.csv_replay",
    "simulate": "edge.simulate",
}
"""Name in ``[[drivers]]`` → module with ``Settings`` and ``build(settings, clock)``; imported when used."""


class SettingsError(Exception):
    """The settings cannot be used; the message (Spanish) names each one and says what to do."""


class MqttSettings(BaseModel):
    """How to reach the broker. ``ca_file`` switches TLS on; ``cert_file`` and ``key_file`` are ours.

    ``others``: ``host:port`` of the further nodes of a cluster, for when this one does not answer.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    host: str = Field(default="127.0.0.1", min_length=1)
    port: int = Field(default=1883, ge=1, le=65535)
    others: tuple[str, ...] = ()
    protocol: Literal["auto", "3.1.1", "5"] = "3.1.1"
    username: str | None = None
    password: SecretStr | None = None
    password_file: Path | None = None
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    keepalive_s: int = Field(default=15, ge=5, le=600)

    @field_validator("password_file", "ca_file", "cert_file", "key_file")
    @classmethod
    def _readable(cls, path: Path | None) -> Path | None:
        if path is not None and not (path.is_file() and os.access(path, os.R_OK)):
            raise ValueError(f"el archivo {path} no existe o no se puede leer")
        return path

    @model_validator(mode="after")
    def _consistent(self) -> "MqttSettings":
        if (self.cert_file is None) != (self.key_file is None):
            raise ValueError("cert_file y key_file van juntos: indique los dos o ninguno")
        if self.cert_file is not None and self.ca_file is None:
            raise ValueError("cert_file necesita también ca_file, el certificado de la autoridad del hub")
        if self.password is not None and self.password_file is not None:
            raise ValueError("indique password o password_file, no los dos")
        return self

    @field_validator("others")
    @classmethod
    def _are_addresses(cls, others: tuple[str, ...]) -> tuple[str, ...]:
        for other in others:
            host, _, port = other.rpartition(":")
            if not host or not port.isascii() or not port.isdigit() or not 1 <= int(port) <= 65535:
                raise ValueError(
                    f"«{other}» no es una dirección; escriba nombre:puerto, por ejemplo nodo-2:8883"
                )
        return others

    def address(self, attempt: int) -> tuple[str, int]:
        """Where to try for the ``attempt``-th time, counted from 0: one node after the other."""
        nodes = [(self.host, self.port)]
        for other in self.others:
            host, _, port = other.rpartition(":")
            nodes.append((host.strip("[]"), int(port)))
        return nodes[attempt % len(nodes)]

    def secret(self) -> str | None:
        """The password, read from its file where it is in one."""
        if self.password_file is not None:
            return self.password_file.read_text("utf-8").strip()
        return None if self.password is None else self.password.get_secret_value()


class Settings(BaseSettings):
    """Everything that an installation decides."""

    model_config = SettingsConfigDict(
        extra="forbid", frozen=True, env_prefix=ENV_PREFIX, env_nested_delimiter="__", env_ignore_empty=True
    )

    gateway: str
    data_dir: Path = Path("/var/lib/almenara-edge")
    outbox_limit_bytes: int = Field(default=64 * 1024 * 1024, ge=256 * 1024)
    health_interval_s: float = Field(default=60.0, ge=1.0)
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    mqtt: MqttSettings = MqttSettings()
    drivers: tuple[dict[str, Any], ...] = ()

    @field_validator("gateway")
    @classmethod
    def _is_gateway(cls, name: str) -> str:
        try:
            return contract.check_gateway(name)
        except contract.ContractError:
            raise ValueError(
                "use de 1 a 63 caracteres entre a-z, 0-9 y guion, sin guion al comienzo"
            ) from None

    @classmethod
    def settings_customise_sources(  # pydantic-settings gives the signature
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment wins over the file, which comes in as the initial values."""
        return env_settings, init_settings


def config_path(argument: Path | None, environment: Mapping[str, str] = os.environ) -> Path | None:
    """The file to read: the argument, the variable, or the usual place if there is one."""
    if argument is not None:
        return argument
    if environment.get(ENV_CONFIG):
        return Path(environment[ENV_CONFIG])
    return DEFAULT_CONFIG if DEFAULT_CONFIG.exists() else None


def load(path: Path | None) -> Settings:
    """The effective settings, drivers' own ones checked too; raises :class:`SettingsError`."""
    values = _read_toml(path) if path else {}
    _check_environment(os.environ)
    try:
        settings = Settings(**values)
    except ValidationError as error:
        raise SettingsError(_explain(error, Settings)) from None
    driver_settings(settings)
    return settings


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise SettingsError(f"No se puede leer el archivo de ajustes {path}: {error.strerror}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"El archivo de ajustes {path} no es TOML válido: {error}.") from error


def _check_environment(environment: Mapping[str, str]) -> None:
    """pydantic passes unknown variables over; a misspelt one must not be obeyed in silence."""
    for name in environment:
        if name.startswith(ENV_PREFIX) and name != ENV_CONFIG:
            field = name.removeprefix(ENV_PREFIX).split("__")[0].lower()
            if field not in Settings.model_fields:
                raise SettingsError(f"Variable {name}: {_unknown(field, Settings.model_fields)}.")


# ----------------------------------------------------------------------------------------- drivers


def driver_module(name: str) -> ModuleType:
    """The module of a driver; raises :class:`SettingsError` naming it when it cannot be used here."""
    if name not in DRIVERS:
        raise SettingsError(f"Ajuste drivers: el driver {name!r} {_unknown(name, DRIVERS)}.")
    try:
        return importlib.import_module(DRIVERS[name])
    except Exception as error:
        raise SettingsError(
            f"El driver {name!r} no se puede cargar en este equipo ({type(error).__name__}: {error}). "
            "Instale lo que le falta o quítelo de los ajustes."
        ) from error


def driver_settings(settings: Settings) -> list[tuple[ModuleType, BaseModel]]:
    """(module, its checked settings) of each table in ``[[drivers]]``; raises :class:`SettingsError`."""
    return [_driver(index, table) for index, table in enumerate(settings.drivers)]


def _driver(index: int, table: Mapping[str, Any]) -> tuple[ModuleType, BaseModel]:
    name = table.get("driver")
    if not isinstance(name, str):
        raise SettingsError(
            f"Ajuste drivers.{index}.driver: falta; indique uno de {', '.join(sorted(DRIVERS))}."
        )
    module = driver_module(name)
    try:
        return module, module.Settings.model_validate(dict(table))
    except ValidationError as error:
        raise SettingsError(_explain(error, module.Settings, f"drivers.{index}.")) from None


# ------------------------------------------------------------------------------------ explanations

# pydantic's error types → what to do, in the reader's language; {name} come from the error's context.
_EXPLANATIONS: dict[str, str] = {
    "missing": "falta; agréguelo al archivo de ajustes o como variable {variable}",
    "int_parsing": "debe ser un número entero",
    "int_type": "debe ser un número entero",
    "int_from_float": "debe ser un número entero",
    "float_parsing": "debe ser un número",
    "float_type": "debe ser un número",
    "bool_parsing": "debe ser true o false",
    "bool_type": "debe ser true o false",
    "string_type": "debe ser un texto entre comillas",
    "string_too_short": "no puede quedar vacío",
    "path_type": "debe ser la ruta de un archivo o carpeta",
    "greater_than": "debe ser mayor que {gt}",
    "greater_than_equal": "debe ser {ge} o más",
    "less_than": "debe ser menor que {lt}",
    "less_than_equal": "debe ser {le} o menos",
    "literal_error": "debe ser {expected}",
    "model_type": "debe ser una sección con sus ajustes",
    "tuple_type": "debe ser una lista de secciones, como [[drivers]]",
    "dict_type": "debe ser una sección con sus ajustes",
}


def _explain(error: ValidationError, model: type[BaseModel], prefix: str = "") -> str:
    """One line for each wrong setting; values are not repeated, one of them may be a secret."""
    return "\n".join(
        f"Ajuste {prefix}{'.'.join(map(str, details['loc'])) or '(general)'}: "
        f"{_explanation(details, model, prefix)}."
        for details in error.errors(include_url=False, include_input=False)
    )


def _explanation(details: ErrorDetails, model: type[BaseModel], prefix: str) -> str:
    location = [str(part) for part in details["loc"]]
    if details["type"] == "extra_forbidden":
        return _unknown(location[-1], _fields(model, location[:-1]))
    context = dict(details.get("ctx", {}))
    if details["type"] == "value_error":
        return str(context.get("error", details["msg"]))
    context["expected"] = str(context.get("expected", "")).replace(" or ", " o ")
    context["variable"] = ENV_PREFIX + "__".join(location).upper() if not prefix else "de entorno"
    template = _EXPLANATIONS.get(details["type"])
    return template.format(**context) if template else f"valor no válido ({details['msg']})"


def _fields(model: type[BaseModel], location: Iterable[str]) -> Iterable[str]:
    """Names of the settings in the section at ``location``."""
    for part in location:
        field = model.model_fields.get(part)
        kind = field.annotation if field else None
        if not (isinstance(kind, type) and issubclass(kind, BaseModel)):
            return ()
        model = kind
    return model.model_fields


def _unknown(name: str, known: Iterable[str]) -> str:
    """ "no existe", with the nearest name there is."""
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"no existe; tal vez quiso decir {close[0]}" if close else "no existe; revise la ortografía"


def effective(settings: Settings) -> list[str]:
    """``name = value`` lines, secrets masked."""
    return list(_lines(settings.model_dump(mode="json"), ""))


def _lines(values: Mapping[str, Any], prefix: str) -> Iterable[str]:
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _lines(value, f"{prefix}{name}.")
        elif isinstance(value, list | tuple) and any(isinstance(part, dict) for part in value):
            for index, part in enumerate(value):
                yield from _lines(part, f"{prefix}{name}.{index}.")
        elif value is not None:
            yield f"{prefix}{name} = {value}"
