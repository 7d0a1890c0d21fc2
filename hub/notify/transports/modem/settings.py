"""Settings of one modem. Spanish descriptions and errors: the installer reads them."""

import re
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, field_validator

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,29}")
_USSD = re.compile(r"[*#][0-9*#]+#")
_INTERNATIONAL = re.compile(r"\+\d{6,15}")


class ModemSettings(BaseModel):
    """One modem with its SIM."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(description="nombre corto del módem, como se ve en la consola y en /metrics")
    port: str = Field(
        min_length=1,
        description="puerto serial; el nombre fijo de udev (/dev/almenara-modem1) o de /dev/serial/by-id",
    )
    pin_file: Path | None = Field(
        default=None, description="archivo que contiene el PIN de la SIM; vacío: la SIM no pide PIN"
    )
    per_hour: int = Field(
        default=200,
        ge=1,
        le=100_000,
        description="mensajes por hora que tolera el operador; un quinto de la ráfaga es de la prioridad 1",
    )
    burst: int = Field(default=60, ge=1, le=10_000, description="mensajes seguidos que tolera tras una pausa")
    balance_code: str = Field(
        default="", description="código USSD del saldo, por ejemplo *103#; vacío: no se consulta"
    )
    smsc: str = Field(
        default="", description="central de mensajes del operador (+56…); vacío: la que trae la SIM"
    )
    validity_h: float = Field(
        default=24,
        gt=0,
        le=24 * 63,
        description="horas que la red guarda un mensaje para un teléfono apagado",
    )
    full_accents: bool = Field(
        default=False,
        description="conserva á í ó ú aunque el mensaje cueste más partes; si no, «texto económico»",
    )
    wants_reports: bool = Field(default=True, description="pide a la red el aviso de entrega de cada mensaje")

    @field_validator("name")
    @classmethod
    def _short(cls, value: str) -> str:
        return _checked(value, _NAME, "use minúsculas, cifras y guiones, por ejemplo modem1")

    @field_validator("balance_code")
    @classmethod
    def _ussd(cls, value: str) -> str:
        return value and _checked(value, _USSD, "un código de saldo es como *103#")

    @field_validator("smsc")
    @classmethod
    def _centre(cls, value: str) -> str:
        return value and _checked(value, _INTERNATIONAL, "escriba la central como +56 y sus cifras")


def _checked(value: str, form: re.Pattern[str], hint: str) -> str:
    if not form.fullmatch(value):
        raise ValueError(f"«{value}»: {hint}")
    return value
