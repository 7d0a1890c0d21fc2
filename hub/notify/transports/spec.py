"""Transports as the hub's settings describe them, and the building of each. Descriptions are for installers.

Passwords are never in the settings: each one is a file that only the hub's account reads.
"""

import re
import secrets
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from hub.clock import Clock
from hub.notify.routing import PRIORITIES, Terms
from hub.notify.transports import Transport
from hub.notify.transports.file import FileTransport
from hub.notify.transports.http import KANNEL_ACCEPTED, Events, HttpGateway, HttpTransport
from hub.notify.transports.modem.settings import ModemSettings
from hub.notify.transports.modem.state import ModemState
from hub.notify.transports.smpp import SmppAccount, SmppTransport
from hub.notify.transports.smsd import SmsdTransport

NAME = r"^[a-z][a-z0-9-]{0,29}$"
_SECRET_FILES = (
    "password_file",
    "secret_file",
    "hook_token_file",
    "dsn_file",
    "urls_file",
    "tls_ca_file",
    "pin_file",
)


class TransportSpec(BaseModel):
    """What every transport has."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=NAME, description="nombre corto; se ve en la consola y en /metrics")
    ways: tuple[str, ...] = Field(
        ("sms",), description="vías que atiende; las políticas de escalamiento las nombran en «how»"
    )
    order: int = Field(1, ge=1, le=99, description="1 se usa primero; los demás, si los anteriores fallan")
    cost: float = Field(0, ge=0, description="pesos por mensaje; desempata entre los de igual orden")
    priorities: frozenset[int] = Field(
        frozenset(PRIORITIES), description="prioridades que atiende; si nadie más puede, las atiende todas"
    )
    groups: frozenset[str] = Field(
        frozenset(), description="grupos de vecinos a los que se reserva; vacío: todos los demás"
    )
    credit_min: float | None = Field(None, description="saldo bajo el cual se abre una alerta técnica")
    is_enabled: bool = Field(True, description="false: configurado pero fuera de uso")

    @field_validator("ways")
    @classmethod
    def _one_word_each(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not all(re.match(NAME, way) for way in value):
            raise ValueError("cada vía es una palabra en minúsculas, por ejemplo sms")
        return value

    @field_validator("priorities")
    @classmethod
    def _known_priorities(cls, value: frozenset[int]) -> frozenset[int]:
        if not value <= set(PRIORITIES):
            raise ValueError("las prioridades van de 1 a 4")
        return value

    @model_validator(mode="after")
    def _files_exist(self) -> "TransportSpec":
        for field in _SECRET_FILES:
            path = getattr(self, field, None)
            if path is not None and not path.is_file():
                raise ValueError(f"{field}: no existe el archivo {path}")
        return self

    def terms(self) -> Terms:
        return Terms(
            name=self.name,
            ways=self.ways,
            order=self.order,
            cost=self.cost,
            priorities=self.priorities,
            groups=self.groups,
            batch=getattr(self, "batch", 50),
            parallel=getattr(self, "parallel", 1),
            timeout_s=getattr(self, "timeout_s", None),
        )


class FileSpec(TransportSpec):
    """Lines in a file: demonstrations and tests."""

    kind: Literal["file"] = Field("file", description="archivo: demostraciones y pruebas")
    path: Path | None = Field(None, description="archivo; vacío: DATA/sms.jsonl")


class ModemSpec(TransportSpec, ModemSettings):
    """A modem of our own with a SIM."""

    kind: Literal["modem"] = Field(description="módem GSM con tarjeta SIM, por puerto serial")
    batch: int = Field(1, ge=1, le=50, description="mensajes que toma a la vez")
    timeout_s: float = Field(60, ge=8, le=300, description="segundos para enviar un mensaje con sus partes")


class SmppSpec(TransportSpec):
    """SMPP 3.4."""

    kind: Literal["smpp"] = Field(description="SMPP 3.4 con un operador o integrador")
    host: str = Field(min_length=1, description="servidor SMPP del operador")
    port: int = Field(2775, ge=1, le=65535, description="puerto SMPP")
    system_id: str = Field(min_length=1, max_length=15, description="usuario que dio el operador")
    password_file: Path = Field(description="archivo que contiene la clave (máximo 8 caracteres)")
    system_type: str = Field("", max_length=12, description="system_type, si el operador lo pide")
    sender: str = Field(
        "", max_length=20, description="remitente: número corto, +56… o nombre; vacío: el suyo"
    )
    multipart: Literal["udh", "sar"] = Field("udh", description="cómo se unen las partes de un texto largo")
    ids: Literal["same", "hex_answer", "hex_receipt"] = Field(
        "same", description="si el operador escribe el identificador en hexadecimal, dónde"
    )
    tls_ca_file: Path | None = Field(None, description="autoridad del certificado del operador; activa TLS")
    parallel: int = Field(10, ge=1, le=100, description="mensajes en vuelo (ventana que permite el operador)")


class HttpSpec(TransportSpec):
    """Kannel or any gateway by HTTP."""

    kind: Literal["http"] = Field(description="pasarela HTTP: Kannel u otro proveedor")
    url: str = Field(
        pattern=r"^https?://",
        description="dirección; admite {to} {digits} {text} {id} {priority} {secret} {hook}",
    )
    method: Literal["GET", "POST", "PUT"] = Field("POST", description="método HTTP")
    headers: dict[str, str] = Field({}, description="cabeceras; admiten {secret}")
    body: str = Field("", description="cuerpo con las mismas marcas; en JSON se escapan solas")
    secret_file: Path | None = Field(None, description="archivo con la clave que reemplaza {secret}")
    accepted: str = Field(KANNEL_ACCEPTED, description="expresión regular que la respuesta cumple si aceptó")
    reference: str = Field("", description="expresión con un grupo: el identificador en la respuesta")
    refused: str = Field("", description="expresión de las respuestas que rechazan ese número o texto")
    health_url: str = Field("", description="dirección que contesta 200 si la pasarela está bien")
    credit: str = Field("", description="expresión con un grupo: el saldo en la respuesta de health_url")
    hook_token_file: Path | None = Field(
        None, description="archivo con la clave con que la pasarela nos informa entregas y respuestas"
    )
    delivered_values: frozenset[str] = Field(
        frozenset({"1", "DELIVRD", "delivered"}), description="valores del informe que son «entregado»"
    )
    failed_values: frozenset[str] = Field(
        frozenset({"2", "16", "UNDELIV", "REJECTD", "EXPIRED", "failed", "undelivered"}),
        description="valores del informe que son «no entregado»; los demás se ignoran",
    )
    parallel: int = Field(8, ge=1, le=100, description="mensajes que se entregan a la vez")

    @field_validator("accepted", "reference", "refused", "credit")
    @classmethod
    def _expression(cls, value: str) -> str:
        try:
            re.compile(value)
        except re.error as error:
            raise ValueError(f"no es una expresión regular: {error}") from None
        return value

    @field_validator("reference", "credit")
    @classmethod
    def _with_group(cls, value: str) -> str:
        if value and re.compile(value).groups != 1:
            raise ValueError("necesita un grupo entre paréntesis")
        return value


class SmsdSpec(TransportSpec):
    """Gammu SMSD."""

    kind: Literal["smsd"] = Field(description="Gammu SMSD por su base PostgreSQL")
    dsn_file: Path = Field(description="archivo con la dirección de la base de SMSD (postgresql://…)")
    phone_id: str = Field("", description="phoneid de SMSD, si tiene varios módems")


class AppriseSpec(TransportSpec):
    """Telegram, e-mail, push, webhooks."""

    kind: Literal["apprise"] = Field(description="Telegram, correo, push o webhook por Apprise")
    urls_file: Path = Field(description="archivo con una dirección de Apprise por línea (contiene claves)")
    ways: tuple[str, ...] = Field(..., min_length=1, description="vías que atiende, por ejemplo telegram")
    title: str = Field("", description="título de los mensajes, donde el canal lo muestra")
    parallel: int = Field(10, ge=1, le=100, description="mensajes que se entregan a la vez")


AnySpec: TypeAlias = Annotated[
    FileSpec | ModemSpec | SmppSpec | HttpSpec | SmsdSpec | AppriseSpec, Field(discriminator="kind")
]


def read_secret(path: Path | None) -> str:
    return "" if path is None else path.read_text("utf-8").strip()


# ------------------------------------------------------------------------------------------- building


def build(
    spec: AnySpec,
    clock: Clock,
    *,
    default_path: Path,
    events: Callable[[str], Events],
    on_modem: Callable[[ModemState], None] | None = None,
) -> Transport:
    """The transport of a specification; ``events(name)`` gives what is pushed to the console for it.

    ``on_modem`` hears every change of a modem's state.

    Raises ValueError (Spanish) for secrets that cannot be used.
    """
    # a library is loaded where it is used: they are large
    if isinstance(spec, ModemSpec):
        from hub.notify.transports.modem.transport import ModemTransport

        settings = ModemSettings.model_validate(_fields_of(spec, ModemSettings))
        return ModemTransport(settings, clock, on_state=on_modem)
    if isinstance(spec, AppriseSpec):
        from hub.notify.transports.apprise import AppriseTransport

        lines = read_secret(spec.urls_file).splitlines()
        return AppriseTransport([u.strip() for u in lines if u.strip() and not u.startswith("#")], spec.title)
    if isinstance(spec, SmppSpec):
        return SmppTransport(_account(spec), secrets.randbelow(256))
    if isinstance(spec, HttpSpec):
        return HttpTransport(_gateway(spec), events(spec.name) if spec.hook_token_file else None)
    if isinstance(spec, SmsdSpec):
        return SmsdTransport(read_secret(spec.dsn_file), spec.phone_id, secrets.randbelow(256))
    return FileTransport(spec.path or default_path)


def _fields_of(spec: BaseModel, model: type[BaseModel]) -> dict[str, object]:
    return {name: getattr(spec, name) for name in model.model_fields}


def _account(spec: SmppSpec) -> SmppAccount:
    password = read_secret(spec.password_file)
    if len(password) > 8 or not password.isascii():
        raise ValueError(f"{spec.name}: la clave SMPP tiene a lo más 8 caracteres sin acentos")
    context = None
    if spec.tls_ca_file is not None:
        context = ssl.create_default_context(cafile=str(spec.tls_ca_file))
        context.minimum_version = ssl.TLSVersion.TLSv1_2
    return SmppAccount(
        host=spec.host,
        port=spec.port,
        system_id=spec.system_id,
        password=password,
        system_type=spec.system_type,
        sender=spec.sender,
        multipart=spec.multipart,
        ids=spec.ids,
        tls=context,
    )


def _gateway(spec: HttpSpec) -> HttpGateway:
    return HttpGateway(
        url=spec.url,
        method=spec.method,
        headers=spec.headers,
        body=spec.body,
        secret=read_secret(spec.secret_file),
        hook=read_secret(spec.hook_token_file),
        accepted=spec.accepted,
        reference=spec.reference,
        refused=spec.refused,
        health_url=spec.health_url,
        credit=spec.credit,
    )
