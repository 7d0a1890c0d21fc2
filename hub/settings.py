"""Settings of a hub: a TOML file, the environment (``ALMENARA_HUB_…``), secret files, the command line.

The command line wins over the environment, that over the secret files, those over the TOML file. An
unknown or wrong setting stops the start and is named.
"""

import os
import ssl
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import phonenumbers
from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from hub.mqtt.link import Address
from hub.notify.transports.spec import AnySpec, FileSpec

_FILES = (
    "mqtt_password_file",
    "mqtt_ca_file",
    "mqtt_cert_file",
    "mqtt_key_file",
    "geojson",
    "influxdb_token_file",
    "influxdb_ca_file",
)
_OWN_MACHINE = ("127.0.0.1", "localhost", "::1")


class SettingsError(Exception):
    """A setting is wrong; the message names it and says what to do. Spanish: the installer reads it."""


class HubSettings(BaseSettings):
    """All of a hub's settings, with the meaning of each."""

    model_config = SettingsConfigDict(env_prefix="ALMENARA_HUB_", extra="forbid", env_ignore_empty=True)

    data: Path = Field(Path("data"), description="carpeta de datos del hub")
    mqtt: str = Field("", description="broker HOST:PUERTO; vacío: broker incluido, solo en esta máquina")
    mqtt_version: Literal["auto", "3.1.1", "5"] = Field(
        "auto", description="versión de MQTT con un broker propio"
    )
    mqtt_username: str = Field("", description="usuario en el broker")
    mqtt_password: SecretStr = Field(
        SecretStr(""), description="clave en el broker; mejor en un archivo secreto"
    )
    mqtt_password_file: Path | None = Field(None, description="archivo que contiene la clave del broker")
    mqtt_ca_file: Path | None = Field(None, description="certificado de la autoridad del broker; activa TLS")
    mqtt_cert_file: Path | None = Field(None, description="certificado del hub ante el broker")
    mqtt_key_file: Path | None = Field(None, description="llave privada del certificado del hub")
    jetstream: str = Field(
        "", description="nodos NATS de un clúster (HOST:PUERTO,…); mqtt nombra entonces sus puertos MQTT"
    )
    jetstream_replicas: int = Field(3, ge=1, le=5, description="nodos que guardan cada mensaje del clúster")
    broker_port: int = Field(
        0, ge=0, le=65535, description="puerto del broker incluido; 0: uno libre, recordado"
    )
    database: SecretStr = Field(SecretStr(""), description="DSN de PostgreSQL; vacío: base incluida")
    http: str = Field("127.0.0.1:8480", description="dirección HOST:PUERTO de la consola")
    https_cookies: bool = Field(False, description="la consola se sirve por HTTPS (detrás de un proxy)")
    adopt_unknown_gateways: bool = Field(
        False,
        description="solo laboratorio: registra gateways y dispositivos desconocidos al primer contacto",
    )
    commune: str = Field("Comuna", description="nombre de la comuna")
    geojson: Path | None = Field(None, description="mapa de la comuna en GeoJSON")
    duty_phone: str = Field(
        "", description="teléfono de turno que recibe los avisos; vacío: solo queda registrado"
    )
    emergency_number: str = Field("133", description="número de emergencia que se escribe en los avisos")
    emergency_numbers: dict[str, str] = Field(
        {"Carabineros": "133", "Bomberos": "132", "SAMU": "131", "Fono Familia": "149", "Mujer": "1455"},
        description="números que la consola muestra a la central",
    )
    emergency_numbers_by_kind: dict[str, str] = Field(
        {"smoke": "132"}, description="número que se escribe en los avisos de una clase de alerta"
    )
    sms_file: Path | None = Field(None, description="archivo del transporte «file»; vacío: DATA/sms.jsonl")
    transports: tuple[AnySpec, ...] = Field(
        (), description="transportes de mensajes, en orden libre; vacío: solo el archivo «sms_file»"
    )
    telemetry_days: int = Field(
        400, ge=1, description="días que se conservan las mediciones y sus resúmenes por minuto"
    )
    telemetry_rollup_days: int = Field(
        3650, ge=30, description="días que se conservan los resúmenes por hora y por día"
    )
    telemetry_store: Literal["postgresql", "influxdb"] = Field(
        "postgresql", description="dónde se guardan las mediciones"
    )
    influxdb_url: str = Field(
        "", description="dirección de InfluxDB 2, por ejemplo https://series.comuna.cl:8086"
    )
    influxdb_org: str = Field("", description="organización en InfluxDB")
    influxdb_bucket: str = Field(
        "almenara", description="bucket de las mediciones; los resúmenes van en BUCKET/1m, /1h y /1d"
    )
    influxdb_token_file: Path | None = Field(
        None, description="archivo que contiene el token de InfluxDB, legible solo para el hub"
    )
    influxdb_ca_file: Path | None = Field(
        None, description="certificado de la autoridad de InfluxDB; vacío: las del sistema"
    )
    telemetry_spool_mb: int = Field(
        1024,
        ge=16,
        description="MB de disco mientras InfluxDB no responde; llenos, se pierden las mediciones más viejas",
    )
    event_days: int = Field(3650, ge=30, description="días que se conservan los eventos")
    role: Literal["all", "intake", "notify", "web"] = Field("all", description="tareas de este proceso")
    shards: int = Field(
        1, ge=1, le=64, description="partes en que varios hubs se reparten los gateways; igual en todos"
    )
    evidence_folder: Path | None = Field(
        None, description="bóveda de fotos y documentos; vacío: DATA/evidencia"
    )
    metrics_token: SecretStr = Field(SecretStr(""), description="clave para leer /metrics desde otra máquina")
    grafana_hook_token_file: Path | None = Field(
        None, description="archivo con el token con que Grafana avisa en /grafana/alertas; vacío: no puede"
    )

    freeze_days: int = Field(
        3, ge=0, le=60, description="días tras el término de un período en que el hub congela sus cifras"
    )
    grafana_url: str = Field(
        "", description="Grafana al que se avisa de casos y operativos como anotaciones; vacío: a ninguno"
    )
    grafana_token_file: Path | None = Field(
        None, description="archivo con el token de una cuenta de servicio que escribe anotaciones"
    )
    open_data: bool = Field(
        False, description="publica hechos por sector y mes, sin casillas menores de 5, en /publico"
    )

    @field_validator("http")
    @classmethod
    def _host_and_port(cls, value: str) -> str:
        if value:
            split_host_port(value)
        return value

    @field_validator("mqtt", "jetstream")
    @classmethod
    def _several_hosts(cls, value: str) -> str:
        for server in _parts(value):
            split_host_port(server)
        return value

    @field_validator("transports")
    @classmethod
    def _different_names(cls, value: tuple[AnySpec, ...]) -> tuple[AnySpec, ...]:
        names = [spec.name for spec in value]
        if repeated := {name for name in names if names.count(name) > 1}:
            raise ValueError(f"hay dos transportes con el nombre {min(repeated)}; cambie uno")
        return value

    @field_validator("duty_phone")
    @classmethod
    def _phone(cls, value: str) -> str:
        if not value:
            return value
        try:
            number = phonenumbers.parse(value, "CL")
        except phonenumbers.NumberParseException:
            raise ValueError("no es un teléfono; escriba por ejemplo +56987654321") from None
        if not phonenumbers.is_valid_number(number):
            raise ValueError("no es un teléfono válido; escriba por ejemplo +56987654321")
        return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)

    @model_validator(mode="after")
    def _files(self) -> "HubSettings":
        for name in _FILES:
            path = getattr(self, name)
            if path is not None and not path.is_file():
                raise ValueError(f"{name}: no existe el archivo {path}")
        if self.jetstream and not self.mqtt:
            raise ValueError("jetstream: indique en mqtt los puertos MQTT de los mismos nodos")
        if self.jetstream and self.shards > 1:
            raise ValueError("shards: con jetstream no hace falta; quítelo")
        if len(_parts(self.mqtt)) > 1 and not self.jetstream:
            raise ValueError("mqtt: varios nodos solo con jetstream; indique uno")
        if (self.mqtt_cert_file is None) != (self.mqtt_key_file is None):
            raise ValueError("mqtt_cert_file y mqtt_key_file van juntos")
        return self

    @model_validator(mode="after")
    def _influxdb(self) -> "HubSettings":
        url = urlsplit(self.influxdb_url)
        if self.influxdb_url and (url.scheme not in ("http", "https") or not url.hostname):
            raise ValueError("influxdb_url: escriba por ejemplo https://series.comuna.cl:8086")
        if url.scheme == "http" and url.hostname not in _OWN_MACHINE:
            raise ValueError("influxdb_url: el token viajaría a la vista; use https fuera de este equipo")
        if "/" in self.influxdb_bucket or not self.influxdb_bucket:
            raise ValueError("influxdb_bucket: escriba un nombre sin barra (/)")
        if self.telemetry_store == "influxdb":
            for name in ("influxdb_url", "influxdb_org", "influxdb_token_file"):
                if not getattr(self, name):
                    raise ValueError(f'{name}: hace falta para telemetry_store = "influxdb"')
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        del dotenv_settings
        path = os.environ.get("ALMENARA_HUB_CONFIG")
        toml = (TomlConfigSettingsSource(settings_cls, Path(path)),) if path else ()
        return (init_settings, env_settings, file_secret_settings, *toml)

    def transport_specs(self) -> tuple[AnySpec, ...]:
        """Those in use; without any, the file."""
        return tuple(spec for spec in self.transports if spec.is_enabled) or (
            FileSpec.model_validate({"name": "sms", "path": self.sms_file}),
        )

    def vault_folder(self) -> Path:
        return self.evidence_folder or self.data / "evidencia"

    def http_address(self) -> tuple[str, int]:
        return split_host_port(self.http)

    def broker_password(self) -> str:
        if self.mqtt_password_file is not None:
            return self.mqtt_password_file.read_text("utf-8").strip()
        return self.mqtt_password.get_secret_value()

    def tls(self) -> ssl.SSLContext | None:
        """TLS towards the broker; None without ``mqtt_ca_file``."""
        if self.mqtt_ca_file is None:
            return None
        context = ssl.create_default_context(cafile=str(self.mqtt_ca_file))
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if self.mqtt_cert_file and self.mqtt_key_file:
            context.load_cert_chain(self.mqtt_cert_file, self.mqtt_key_file)
        return context

    def broker_address(self) -> Address:
        """The broker of the settings, the first node of a cluster; only where ``mqtt`` is set."""
        return self.broker_addresses()[0]

    def broker_addresses(self) -> list[Address]:
        """The broker, or every node of a cluster (NATS speaks MQTT 3.1.1); empty where ``mqtt`` is."""
        is_old = self.mqtt_version == "3.1.1" or bool(self.jetstream)
        return [
            Address(
                host=host,
                port=port,
                username=self.mqtt_username or None,
                password=self.broker_password() or None,
                tls=self.tls(),
                version=4 if is_old else 5,
            )
            for host, port in map(split_host_port, _parts(self.mqtt))
        ]

    def jetstream_servers(self) -> list[str]:
        """``HOST:PORT`` of each node; empty without a cluster."""
        return _parts(self.jetstream)


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def split_host_port(text: str) -> tuple[str, int]:
    """``"host:port"`` → (host, port); raises ValueError in Spanish."""
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit() or not 0 <= int(port) <= 65535:
        raise ValueError(f"«{text}» no es HOST:PUERTO, por ejemplo 127.0.0.1:1883")
    return host.strip("[]"), int(port)


def load(config: Path | None = None, **overrides: Any) -> HubSettings:
    """Settings from all sources; ``overrides`` come from the command line. Raises :class:`SettingsError`."""
    if config is not None:
        if not config.is_file():
            raise SettingsError(f"no existe el archivo de configuración {config}")
        os.environ["ALMENARA_HUB_CONFIG"] = str(config)
    secrets = os.environ.get("ALMENARA_HUB_SECRETS")
    given = {name: value for name, value in overrides.items() if value is not None}
    try:
        return HubSettings(_secrets_dir=secrets, **given) if secrets else HubSettings(**given)  # type: ignore[call-arg]  # pydantic-settings takes it
    except ValidationError as error:
        raise SettingsError(_explain(error)) from error
    except ValueError as error:  # a TOML file that cannot be read
        raise SettingsError(f"el archivo de configuración no se puede leer: {error}") from error


def _explain(error: ValidationError) -> str:
    lines = []
    for problem in error.errors():
        name = ".".join(str(part) for part in problem["loc"]) or "configuración"
        kind, message = problem["type"], problem["msg"].removeprefix("Value error, ")
        lines.append(
            f"{name}: "
            + ("no existe este ajuste; revise el nombre" if kind == "extra_forbidden" else message)
        )
    return "\n".join(lines)
